#!/usr/bin/env python3
"""Checks evidence without lapsed: reads what `kcat -C -e -J` prints of <application>.audit. Exits with 1 on a fault.

    check-evidence.py AUDIT                     counts commands by what has become of them, and complains
    check-evidence.py AUDIT KEYFILE CUSTOMER    also prints a customer's pseudonym and entries
"""
import hashlib
import hmac
import json
import sys
from datetime import date, datetime
from zoneinfo import ZoneInfo


def at(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


records = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
entries = [(record["key"], json.loads(record["payload"])) for record in records]
texts = {(e["policy"], e["policy_version"]): e for _, e in entries if e["entry"] == "policy"}
sent, warned, answers, faults = {}, {}, {}, []

if len(sys.argv) > 3:
    secret = open(sys.argv[2], "rb").read().rstrip(b"\r\n")
    key = hashlib.sha256(b"lapsed pseudonyms\0" + secret).digest()
    pseudonym = hmac.new(key, sys.argv[3].encode(), hashlib.sha256).hexdigest()[:32]
    print(pseudonym, *(json.dumps(entry) for who, entry in entries if who == pseudonym), "", sep="\n")

for who, entry in entries:  # what is about one customer stands in one partition, in its order
    if entry["entry"] == "acknowledged":
        if entry["answers"] != "nothing" and (who, entry["command"]) not in sent:
            faults.append(f"{entry['command']}: answered, and never sent")
        answers[entry["command"]] = "done" if "done" in (entry["result"], answers.get(entry["command"])) else entry["result"]
    if entry["entry"] != "sent":
        continue
    attempts = sent.setdefault((who, entry["id"]), {})
    if entry["attempt"] in attempts:
        faults.append(f"{entry['id']}: attempt {entry['attempt']} was sent twice")
    attempts[entry["attempt"]] = entry
    text = texts.get((entry["policy"], entry["policy_version"]))
    if text is None:
        faults.append(f"{entry['id']}: the text of its policy's version is not in evidence")
        continue
    warnings = warned.setdefault((who, entry["policy"]), {})
    if entry["command"] == "recall":
        warnings.pop(entry["recalls"], None)
        answers.setdefault(entry["recalls"], "recalled")
        continue
    if at(entry["time"]) < at(entry["deadline"]):
        faults.append(f"{entry['id']}: sent before its deadline")
    if entry["command"] == "warn":
        warnings[entry["id"]] = entry["next"]["on"]
    elif entry["cause"] == "period" and entry["categories"] and text["stages"][0]["command"] == "warn":
        today = at(entry["time"]).astimezone(ZoneInfo(text["time_zone"]))
        due = [on for on in warnings.values() if (at(on) <= today if "T" in on else date.fromisoformat(on) <= today.date())]
        if not due:
            faults.append(f"{entry['id']}: removes what nobody was warned of in time")

outcomes = {}
for (who, command), attempts in sent.items():
    first = attempts[min(attempts)]
    if first["command"] != "recall":
        outcome = answers.get(command, "outstanding" if first["expirytime"] else "unanswered")
        key = (first["policy"], first["command"], first["target"], outcome)
        outcomes[key] = outcomes.get(key, 0) + 1
for key, count in sorted(outcomes.items()):
    print(f"{count:>9}", *key)
print(f"{len(entries)} entries, {len(faults)} faults")
print(*faults, sep="\n", file=sys.stderr)
sys.exit(1 if faults else 0)
