import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Records written by real producers. Everything about a record follows from its seed and number. */
final class Writing {
    private static final Map<String, KafkaProducer<byte[], byte[]>> OPEN = new HashMap<>();
    private static final Map<String, Load> LOADS = new HashMap<>();

    static void register(Map<String, Workload.Command> commands) {
        commands.put("produce", Writing::produce);
        commands.put("transact", Writing::transact);
        commands.put("finish", Writing::finish);
        commands.put("load", Writing::load);
        commands.put("unload", Writing::unload);
    }

    /** A producer that does not give up within half a minute; extra options come last. */
    static KafkaProducer<byte[], byte[]> producer(String bootstrap, Map<String, String> extra) {
        Properties options = new Properties();
        options.put("bootstrap.servers", bootstrap);
        options.put("linger.ms", "5");
        // Twenty thousand batches of one record each take a while where the machine has more to do.
        options.put("delivery.timeout.ms", "200000");
        options.put("request.timeout.ms", "10000");
        options.put("max.block.ms", "60000");
        options.put("reconnect.backoff.max.ms", "300");
        options.put("max.request.size", "16777216");
        options.putAll(extra);
        return new KafkaProducer<>(options, new ByteArraySerializer(), new ByteArraySerializer());
    }

    /** How records look: seed=, size=, keys= (how many distinct, 0: none), headers=, tombstones= (every n-th), ts=, step=. */
    record Shape(long seed, int size, int keys, int headers, int tombstones, long ts, long step) {
        static Shape of(Workload.Args args) {
            return new Shape(args.count("seed", 1), args.number("size", 100), args.number("keys", 0),
                args.number("headers", 0), args.number("tombstones", 0), args.count("ts", 0),
                args.count("step", 1));
        }

        ProducerRecord<byte[], byte[]> record(String topic, Integer partition, long number) {
            Random random = new Random(seed * 1_000_003 + number);
            byte[] key = keys == 0 ? null : ("key-" + random.nextInt(keys)).getBytes(StandardCharsets.UTF_8);
            boolean tombstone = tombstones > 0 && number % tombstones == tombstones - 1;
            Header[] extra = new Header[headers];
            for (int i = 0; i < headers; i++) {
                // A header without a value is legal and differs from an empty one.
                extra[i] = new RecordHeader("h" + i, i % 3 == 2 ? null : word(random, i));
            }
            Long time = ts == 0 ? null : Long.valueOf(ts + number * step);
            return new ProducerRecord<>(topic, partition, time, key, tombstone ? null : word(random, size),
                List.of(extra));
        }

        /** Half noise, half text, so that codecs have something to do. */
        private static byte[] word(Random random, int size) {
            byte[] bytes = new byte[size];
            random.nextBytes(bytes);
            for (int i = size / 2; i < size; i++) bytes[i] = (byte) ('a' + (i % 17));
            return bytes;
        }
    }

    /**
     * count= records to topic= (partition=, else wherever the partitioner sends them), with codec=,
     * batch= bytes, acks=, idempotent= and a record's shape; producer options as p.name=. Whoever has
     * login= to a listener that asks for it has the same word for a password.
     */
    private static void produce(Workload.Args args, Workload.Answer answer) throws Exception {
        Map<String, String> options = new HashMap<>();
        options.put("compression.type", args.text("codec", "none"));
        options.put("batch.size", args.text("batch", "16384"));
        options.put("acks", args.text("acks", "all"));
        options.put("enable.idempotence", args.text("idempotent", "false"));
        options.putAll(args.under("p."));
        String login = args.text("login", "");
        if (!login.isEmpty()) {
            options.put("security.protocol", "SASL_PLAINTEXT");
            options.put("sasl.mechanism", "PLAIN");
            options.put("sasl.jaas.config", "org.apache.kafka.common.security.plain.PlainLoginModule required username=\""
                + login + "\" password=\"" + login + "\";");
        }
        Integer partition = args.text("partition", "any").equals("any") ? null : Integer.valueOf(args.number("partition"));
        try (KafkaProducer<byte[], byte[]> producer = producer(args.text("b"), options)) {
            send(producer, args.text("topic"), partition, args.count("count", 1), Shape.of(args));
        }
        answer.field("count", args.count("count", 1));
    }

    static void send(KafkaProducer<byte[], byte[]> producer, String topic, Integer partition, long count,
        Shape shape) throws Exception {
        AtomicReference<Exception> failure = new AtomicReference<>();
        for (long number = 0; number < count; number++) {
            producer.send(shape.record(topic, partition, number), (written, error) -> {
                if (error != null) failure.compareAndSet(null, error);
            });
        }
        producer.flush();
        if (failure.get() != null) throw failure.get();
    }

    /**
     * txns= transactions of count= records each, by the transactional id id=, ended as end= says:
     * commit, abort, alternate, or open (the last one stays open until "finish").
     */
    private static void transact(Workload.Args args, Workload.Answer answer) throws Exception {
        Map<String, String> options = new HashMap<>();
        options.put("transactional.id", args.text("id"));
        options.put("compression.type", args.text("codec", "none"));
        options.put("transaction.timeout.ms", "900000");
        options.putAll(args.under("p."));
        KafkaProducer<byte[], byte[]> producer = producer(args.text("b"), options);
        producer.initTransactions();
        String end = args.text("end", "commit");
        int txns = args.number("txns", 1);
        Integer partition = args.text("partition", "any").equals("any") ? null : Integer.valueOf(args.number("partition"));
        for (int txn = 0; txn < txns; txn++) {
            producer.beginTransaction();
            send(producer, args.text("topic"), partition, args.count("count", 10), Shape.of(args));
            if (end.equals("open") && txn == txns - 1) {
                OPEN.put(args.text("id"), producer);
                return;
            }
            boolean abort = end.equals("abort") || (end.equals("alternate") && txn % 2 == 1);
            if (abort) producer.abortTransaction(); else producer.commitTransaction();
        }
        producer.close();
    }

    /** Ends what "transact end=open" left: how=commit or how=abort. */
    private static void finish(Workload.Args args, Workload.Answer answer) {
        try (KafkaProducer<byte[], byte[]> producer = OPEN.remove(args.text("id"))) {
            if (args.text("how").equals("commit")) producer.commitTransaction(); else producer.abortTransaction();
        }
    }

    /** Starts to write to topic= at rate= records a second in the background, until "unload" of the same id=. */
    private static void load(Workload.Args args, Workload.Answer answer) {
        Load load = new Load(args);
        LOADS.put(args.text("id"), load);
        load.start();
    }

    /** Ends a load; answers how many records were acknowledged. */
    private static void unload(Workload.Args args, Workload.Answer answer) throws Exception {
        Load load = LOADS.remove(args.text("id"));
        load.wanted = false;
        load.join();
        answer.field("acknowledged", load.acknowledged).field("failed", load.failed);
    }

    private static final class Load extends Thread {
        private final Workload.Args args;
        volatile boolean wanted = true;
        volatile long acknowledged;
        volatile long failed;

        Load(Workload.Args args) {
            super("load-" + args.text("id"));
            this.args = args;
            setDaemon(true);
        }

        @Override
        public void run() {
            Map<String, String> options = new HashMap<>();
            options.put("compression.type", args.text("codec", "none"));
            options.put("enable.idempotence", args.text("idempotent", "true"));
            options.putAll(args.under("p."));
            Shape shape = Shape.of(args);
            String topic = args.text("topic");
            long pause = 1_000_000_000L / args.number("rate", 100);
            long next = System.nanoTime();
            try (KafkaProducer<byte[], byte[]> producer = producer(args.text("b"), options)) {
                for (long number = 0; wanted; number++) {
                    Future<RecordMetadata> unused = producer.send(shape.record(topic, null, number), (written, error) -> {
                        // Callbacks come from the producer's one sender thread.
                        if (error == null) acknowledged++; else failed++;
                    });
                    next += pause;
                    long early = next - System.nanoTime();
                    if (early > 1_000_000) Thread.sleep(early / 1_000_000);
                }
            } catch (InterruptedException stopped) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
