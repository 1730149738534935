import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.producer.KafkaProducer;

/**
 * One topic of every kind that real clients leave behind, all of them named after prefix=. Bounded so
 * that the whole of it takes some twenty seconds; the topics stay as they are afterwards.
 */
final class Menagerie {
    private static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    /** A time in the past that no retention touches, so that record times can be chosen freely. */
    private static final long EPOCH = 1_700_000_000_000L;

    private final String bootstrap;
    private final String prefix;
    private final long seed;
    private final short replicas;

    private Menagerie(Workload.Args args) {
        bootstrap = args.text("b");
        prefix = args.text("prefix");
        seed = args.count("seed", 1);
        replicas = (short) args.number("rf", 1);
    }

    static void register(Map<String, Workload.Command> commands) {
        commands.put("menagerie", (args, answer) -> new Menagerie(args).fill(args.number("tiny", 20_000)));
        commands.put("random", (args, answer) -> new Menagerie(args).random(args.number("steps", 60)));
        commands.put("compacted", (args, answer) -> new Menagerie(args).compacted());
    }

    private void fill(int tiny) throws Exception {
        // Compaction takes its time: it goes on in the background while the others are written.
        long written = compactedBegin();
        for (String codec : CODECS) codec(codec);
        idempotent();
        transactions();
        trimmed();
        appendTime();
        headers();
        large();
        tinyBatches(tiny);
        wide();
        longName();
        rolled();
        random(60);
        compactedEnd(written);
    }

    private void compacted() throws Exception {
        compactedEnd(compactedBegin());
    }

    private String create(String name, int partitions, Map<String, String> settings) throws Exception {
        Map<String, String> all = new HashMap<>(Map.of("retention.ms", "-1"));
        all.putAll(settings);
        String topic = name.startsWith(prefix) ? name : prefix + name;
        Topics.create(bootstrap, new NewTopic(topic, partitions, replicas).configs(all));
        return topic;
    }

    private Writing.Shape shape(int size, int keys, int headers, int tombstones) {
        return new Writing.Shape(seed, size, keys, headers, tombstones, EPOCH, 7);
    }

    private void write(String topic, Integer partition, long count, Writing.Shape shape, Map<String, String> options)
        throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = Writing.producer(bootstrap, options)) {
            Writing.send(producer, topic, partition, count, shape);
        }
    }

    private void codec(String codec) throws Exception {
        String topic = create("codec-" + codec, 2, Map.of());
        Map<String, String> options = Map.of("compression.type", codec, "enable.idempotence", "false");
        write(topic, null, 400, shape(300, 50, 0, 0), options);
        write(topic, 0, 50, shape(9_000, 0, 1, 0), options);
    }

    private void idempotent() throws Exception {
        String topic = create("idempotent", 3, Map.of());
        for (int producer = 0; producer < 3; producer++) {
            write(topic, null, 200, shape(64, 20, 0, 0), Map.of("enable.idempotence", "true", "linger.ms", "1"));
        }
    }

    /** Committed, aborted, both interleaved with plain records, and one transaction that stays open. */
    private void transactions() throws Exception {
        String topic = create("transactions", 2, Map.of());
        Map<String, Workload.Command> commands = new HashMap<>();
        Writing.register(commands);
        for (String end : List.of("commit", "abort", "alternate")) {
            transact(commands, topic, end, 4, "p.linger.ms=1");
            write(topic, null, 30, shape(50, 0, 0, 0), Map.of("compression.type", "lz4"));
        }
        transact(commands, topic, "open", 2, "codec=zstd");
        write(topic, null, 30, shape(50, 0, 0, 0), Map.of());
    }

    private void transact(Map<String, Workload.Command> commands, String topic, String end, int txns, String extra)
        throws Exception {
        String[] words = {"transact", "b=" + bootstrap, "topic=" + topic, "id=" + prefix + end, "end=" + end,
            "txns=" + txns, "count=15", "keys=20", "seed=" + seed, extra};
        commands.get("transact").run(new Workload.Args(words), new Workload.Answer());
    }

    /** Log start lies inside a batch. */
    private void trimmed() throws Exception {
        String topic = create("trimmed", 1, Map.of());
        write(topic, 0, 3_000, shape(80, 0, 0, 0), Map.of("linger.ms", "50", "batch.size", "40000"));
        Topics.trim(bootstrap, topic, 0, 1_001);
    }

    private void appendTime() throws Exception {
        String topic = create("append-time", 1, Map.of("message.timestamp.type", "LogAppendTime"));
        write(topic, 0, 300, shape(100, 0, 0, 0), Map.of("compression.type", "gzip"));
        write(topic, 0, 300, shape(100, 0, 0, 0), Map.of());
    }

    private void headers() throws Exception {
        String topic = create("headers", 1, Map.of());
        write(topic, 0, 300, shape(30, 40, 5, 4), Map.of("compression.type", "snappy"));
    }

    private void large() throws Exception {
        String topic = create("large", 1, Map.of("max.message.bytes", "8388608"));
        write(topic, 0, 3, shape(1_000, 0, 0, 0), Map.of());
        write(topic, 0, 2, shape(5 << 20, 0, 0, 0), Map.of("buffer.memory", "67108864"));
        write(topic, 0, 3, shape(1_000, 0, 0, 0), Map.of());
    }

    private void tinyBatches(int count) throws Exception {
        String topic = create("tiny", 1, Map.of());
        // Not tinier: room is reserved by an upper bound, in which two records of few bytes find place.
        write(topic, 0, count, shape(70, 0, 0, 0),
            Map.of("batch.size", "0", "linger.ms", "0", "acks", "all", "enable.idempotence", "false",
                "max.in.flight.requests.per.connection", "50"));
    }

    private void wide() throws Exception {
        String topic = create("wide", 50, Map.of());
        try (KafkaProducer<byte[], byte[]> producer = Writing.producer(bootstrap, Map.of())) {
            for (int partition = 0; partition < 50; partition++) {
                if (partition % 3 != 0) Writing.send(producer, topic, partition, 20 + partition, shape(40, 0, 0, 0));
            }
        }
    }

    private void longName() throws Exception {
        String topic = create(prefix + "n".repeat(249 - prefix.length()), 1, Map.of());
        write(topic, 0, 100, shape(60, 0, 0, 0), Map.of());
    }

    /** Many segments: each batch's time lies further ahead than segment.ms allows. */
    private void rolled() throws Exception {
        String topic = create("rolled", 1, Map.of("segment.ms", "1000"));
        Map<String, String> options = Map.of("batch.size", "0", "linger.ms", "0");
        write(topic, 0, 12, new Writing.Shape(seed, 500, 0, 0, 0, EPOCH, 5_000), options);
    }

    /** Keys that are overwritten again and again, in segments of a few batches. Returns what was written. */
    private long compactedBegin() throws Exception {
        String topic = create("compacted", 1, Map.of("cleanup.policy", "compact", "segment.ms", "1000",
            "min.cleanable.dirty.ratio", "0.01", "max.compaction.lag.ms", "1000", "delete.retention.ms", "0",
            "file.delete.delay.ms", "100"));
        long written = 0;
        for (int round = 0; round < 6; round++) {
            Writing.Shape shape = new Writing.Shape(seed + round, 200, 30, 0, 11, EPOCH + round * 60_000L, 40);
            String codec = CODECS.get(round % CODECS.size());
            write(topic, 0, 100, shape, Map.of("compression.type", codec, "batch.size", "2000", "linger.ms", "2"));
            written += 100;
        }
        return written;
    }

    /** Waits until the cleaner has left gaps, then stops it for good. */
    private void compactedEnd(long written) throws Exception {
        String topic = prefix + "compacted";
        long[] last = {written};
        Topics.until("the cleaner has compacted " + topic, () -> {
            try {
                long before = last[0];
                last[0] = Reading.count(bootstrap, topic);
                if (last[0] == before) Thread.sleep(400);
                return last[0] < written && last[0] == before;
            } catch (Exception failure) {
                throw new IllegalStateException(failure);
            }
        });
        Topics.configure(bootstrap, topic, Map.of("cleanup.policy", "delete"));
    }

    /** Steps drawn from the seed: who writes, how much, how compressed, in which transaction or none. */
    private void random(int steps) throws Exception {
        String topic = create("random-" + seed, 3, Map.of("segment.ms", "60000"));
        Random random = new Random(seed);
        for (int step = 0; step < steps; step++) {
            Map<String, String> options = new HashMap<>();
            options.put("compression.type", CODECS.get(random.nextInt(CODECS.size())));
            options.put("batch.size", Integer.toString(1 << random.nextInt(17)));
            options.put("linger.ms", Integer.toString(random.nextInt(3)));
            // On a slow machine a broker may see the first of many tiny batches again when it remembers
            // only the last five of them: then the client tries until its time is over.
            options.put("max.in.flight.requests.per.connection", "1");
            boolean transaction = random.nextInt(3) == 0;
            if (transaction) options.put("transactional.id", prefix + "random-" + random.nextInt(4));
            Writing.Shape shape = new Writing.Shape(seed * 1_000 + step, random.nextInt(2_000), random.nextInt(20),
                random.nextInt(3), random.nextInt(5), EPOCH + step * 10_000L + random.nextInt(30_000), random.nextInt(50));
            Integer partition = random.nextBoolean() ? Integer.valueOf(random.nextInt(3)) : null;
            randomStep(topic, partition, 1 + random.nextInt(40), shape, options, transaction, random.nextBoolean());
        }
    }

    private void randomStep(String topic, Integer partition, long count, Writing.Shape shape, Map<String, String> options,
        boolean transaction, boolean commit) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = Writing.producer(bootstrap, options)) {
            if (transaction) {
                producer.initTransactions();
                producer.beginTransaction();
            }
            Writing.send(producer, topic, partition, count, shape);
            if (transaction && commit) producer.commitTransaction();
            if (transaction && !commit) producer.abortTransaction();
        }
    }
}
