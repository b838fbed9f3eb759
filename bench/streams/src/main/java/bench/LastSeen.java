package bench;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * When each customer was last seen, kept by Kafka Streams: parse, repartition by customer, keep the latest day, and
 * every minute look for who is due. Arguments: brokers, application, source topic, target topic, events,
 * customers, "rocksdb" or "memory", directory for state. Prints one line of JSON.
 */
public final class LastSeen {
    private static final String STORE = "last-seen";
    private static final long DAY_MS = 86_400_000L;
    private static final long RETENTION_DAYS = 730;
    private static final JsonFactory JSON = new JsonFactory();

    private static final LongAdder processed = new LongAdder();
    private static final LongAdder customers = new LongAdder();
    private static final AtomicLong begun = new AtomicLong();
    private static final AtomicLong cpuBegun = new AtomicLong();

    private record Seen(String customer, long at) {}

    public static void main(String[] arguments) throws Exception {
        String brokers = arguments[0];
        String application = arguments[1];
        long events = Long.parseLong(arguments[4]);
        long expected = Long.parseLong(arguments[5]);
        boolean inMemory = arguments[6].equals("memory");
        Properties properties = properties(brokers, application, arguments[7]);
        KafkaStreams streams =
                new KafkaStreams(topology(arguments[2], arguments[3], inMemory).build(properties), properties);
        CountDownLatch failed = new CountDownLatch(1);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            failed.countDown();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.start();
        while (processed.sum() < events && failed.getCount() > 0) {
            Thread.sleep(5);
        }
        double seconds = (System.nanoTime() - begun.get()) / 1e9;
        double cpu = (cpuNanos() - cpuBegun.get()) / 1e9;
        double peak = peakMib();
        double commit = streams.metrics().values().stream()
                .filter(metric -> metric.metricName().name().equals("commit-latency-avg")
                        && metric.metricName().group().equals("stream-thread-metrics"))
                .mapToDouble(metric -> (Double) metric.metricValue())
                .filter(Double::isFinite)
                .max()
                .orElse(0);
        if (processed.sum() != events || customers.sum() != expected) {
            System.err.printf("%d events and %d customers%n", processed.sum(), customers.sum());
            System.exit(1);
        }
        System.out.printf(
                Locale.ROOT,
                "{\"records\": %d, \"seconds\": %.3f, \"cpu_seconds\": %.3f, \"peak_mib\": %.1f, \"commit_ms\": %.1f}%n",
                events, seconds, cpu, peak, commit);
        System.out.flush();
        streams.close(Duration.ofSeconds(5));
        System.exit(0);
    }

    private static Properties properties(String brokers, String application, String state) {
        Properties properties = new Properties();
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, application);
        properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        properties.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        properties.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        properties.put(StreamsConfig.TOPOLOGY_OPTIMIZATION_CONFIG, StreamsConfig.OPTIMIZE);
        properties.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 5_000);
        // The processor writes what has changed, and only that: a record cache would look it up twice.
        properties.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
        // The default with exactly-once, 100 ms, spends its time on commits.
        properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1_000);
        properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 5_000);
        properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG), 4 << 20);
        properties.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 100);
        properties.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 128 << 10);
        properties.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
        properties.put(StreamsConfig.STATE_DIR_CONFIG, state);
        return properties;
    }

    private static StreamsBuilder topology(String source, String target, boolean inMemory) {
        StreamsBuilder builder = new StreamsBuilder();
        builder.addStateStore(Stores.keyValueStoreBuilder(
                inMemory ? Stores.inMemoryKeyValueStore(STORE) : Stores.persistentKeyValueStore(STORE),
                Serdes.String(),
                Serdes.Long()));
        builder.stream(source, Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
                .<String, Long>process(Parse::new)
                .repartition(Repartitioned.with(Serdes.String(), Serdes.Long()).withName("by-customer"))
                .<String, String>process(Keep::new, STORE)
                .to(target, Produced.with(Serdes.String(), Serdes.String()));
        return builder;
    }

    /** A record to the customer and when they were seen. */
    private static final class Parse implements Processor<byte[], byte[], String, Long> {
        private ProcessorContext<String, Long> context;

        @Override
        public void init(ProcessorContext<String, Long> context) {
            this.context = context;
        }

        @Override
        public void process(Record<byte[], byte[]> record) {
            if (begun.get() == 0 && begun.compareAndSet(0, System.nanoTime())) {
                cpuBegun.set(cpuNanos());
            }
            try {
                Seen seen = parse(record.value());
                if (seen != null) {
                    context.forward(new Record<>(seen.customer, seen.at, record.timestamp()));
                }
            } catch (IOException error) {
                throw new IllegalStateException(error);
            }
        }

        /** Null: it is no login. */
        private static Seen parse(byte[] value) throws IOException {
            String event = null;
            String user = null;
            long at = 0;
            try (JsonParser parser = JSON.createParser(value)) {
                parser.nextToken();
                while (parser.nextToken() == JsonToken.FIELD_NAME) {
                    String name = parser.currentName();
                    parser.nextToken();
                    switch (name) {
                        case "event" -> event = parser.getText();
                        case "user" -> user = parser.getText();
                        case "at" -> at = parser.getLongValue();
                        default -> parser.skipChildren();
                    }
                }
            }
            return "login".equals(event) && user != null ? new Seen(user, at) : null;
        }
    }

    /** Keeps the latest day of each customer, and tells who is due. */
    private static final class Keep implements Processor<String, Long, String, String> {
        private ProcessorContext<String, String> context;
        private KeyValueStore<String, Long> store;

        @Override
        public void init(ProcessorContext<String, String> context) {
            this.context = context;
            store = context.getStateStore(STORE);
            context.schedule(Duration.ofMinutes(1), PunctuationType.WALL_CLOCK_TIME, this::emit);
        }

        @Override
        public void process(Record<String, Long> record) {
            long day = Math.floorDiv(record.value(), DAY_MS);
            Long before = store.get(record.key());
            if (before == null || before < day) {
                store.put(record.key(), day);
                if (before == null) {
                    customers.increment();
                }
            }
            processed.increment();
        }

        private void emit(long now) {
            long due = Math.floorDiv(now, DAY_MS) - RETENTION_DAYS;
            try (KeyValueIterator<String, Long> all = store.all()) {
                while (all.hasNext()) {
                    var entry = all.next();
                    if (entry.value < due) {
                        context.forward(new Record<>(entry.key, "expire", now));
                        store.delete(entry.key);
                    }
                }
            }
        }
    }

    private static long cpuNanos() {
        return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }

    private static double peakMib() throws IOException {
        return Files.readAllLines(Path.of("/proc/self/status")).stream()
                .filter(line -> line.startsWith("VmHWM:"))
                .mapToDouble(line -> Double.parseDouble(line.replaceAll("[^0-9]", "")) / 1024)
                .findFirst()
                .orElse(0);
    }
}
