#!/usr/bin/env python3
"""A target system in twenty lines: read, obey, answer (pip install confluent-kafka)."""
import json
import sys
from datetime import datetime, timezone
from confluent_kafka import Consumer, Producer

servers, topic, acks = sys.argv[1:4]  # kafka:9092 crm.commands lapsed.acks
consumer = Consumer({"bootstrap.servers": servers, "group.id": topic, "auto.offset.reset": "earliest",
                     "isolation.level": "read_committed", "enable.auto.commit": False})
producer, executed = Producer({"bootstrap.servers": servers}), set()  # keep `executed` in your database
consumer.subscribe([topic])
while True:
    message = consumer.poll(1.0)
    if message is None or message.error():
        continue
    event, now = json.loads(message.value()), datetime.now(timezone.utc)
    data, expiry = event["data"], event.get("expirytime")
    if expiry is None or now < datetime.fromisoformat(expiry.replace("Z", "+00:00")):  # a lease: never obey it later
        if event["id"] not in executed:
            print(data["command"], data["customer"], data["categories"], "recalls", data["recalls"])  # do it here
            executed.add(event["id"])
        answer = {"command": event["id"], "attempt": data["attempt"], "customer": data["customer"],
                  "target": data["target"], "result": "done", "time": now.isoformat()}
        producer.produce(acks, key=message.key(), value=json.dumps(answer))
        producer.flush()
    consumer.commit(message, asynchronous=False)
