import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** What consumers see, as counts and digests that two clusters can be compared by. */
final class Reading {
    static void register(Map<String, Workload.Command> commands) {
        commands.put("consume", Reading::consume);
        commands.put("group", Reading::group);
    }

    static KafkaConsumer<byte[], byte[]> consumer(String bootstrap, boolean committed, Map<String, String> extra) {
        Properties options = new Properties();
        options.put("bootstrap.servers", bootstrap);
        options.put("isolation.level", committed ? "read_committed" : "read_uncommitted");
        options.put("enable.auto.commit", "false");
        options.put("auto.offset.reset", "earliest");
        options.put("max.poll.records", "5000");
        options.put("reconnect.backoff.max.ms", "300");
        options.putAll(extra);
        return new KafkaConsumer<>(options, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    /**
     * Everything of the topics that match topics=, from log start to the end seen now (committed=true:
     * last stable offset). One line per partition: topic, partition, records, end, SHA-256 over them all.
     */
    private static void consume(Workload.Args args, Workload.Answer answer) throws Exception {
        List<TopicPartition> partitions = Topics.partitions(args.text("b"), args.text("topics"));
        long all = 0;
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(args.text("b"), args.flag("committed"), Map.of())) {
            Map<TopicPartition, Seen> seen = consume(consumer, partitions);
            for (Map.Entry<TopicPartition, Seen> entry : seen.entrySet()) {
                Seen one = entry.getValue();
                all += one.count;
                answer.line(one.line(entry.getKey()));
            }
        }
        answer.field("count", all);
    }

    static long count(String bootstrap, String topic) throws Exception {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(bootstrap, false, Map.of())) {
            return consume(consumer, Topics.partitions(bootstrap, topic)).values().stream()
                .mapToLong(seen -> seen.count).sum();
        }
    }

    private static Map<TopicPartition, Seen> consume(KafkaConsumer<byte[], byte[]> consumer, List<TopicPartition> partitions)
        throws Exception {
        consumer.assign(partitions);
        consumer.seekToBeginning(partitions);
        Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
        Map<TopicPartition, Seen> seen = new TreeMap<>(Topics.ORDER);
        for (TopicPartition partition : partitions) seen.put(partition, new Seen(ends.get(partition)));
        List<TopicPartition> left = new ArrayList<>(partitions);
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(90);
        // The position, not the last record, tells the end: control records and holes lie behind it.
        while (true) {
            left.removeIf(partition -> consumer.position(partition) >= ends.get(partition));
            if (left.isEmpty()) return seen;
            if (System.nanoTime() > deadline) throw new IllegalStateException("not consumed within 90 s: " + left);
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                Seen one = seen.get(new TopicPartition(record.topic(), record.partition()));
                if (record.offset() < one.end) one.take(record);
            }
        }
    }

    /**
     * A member of group= reads topic= until it has had max= records or reached the end, commits, leaves.
     * Answers count=, first= and next= of the lowest partition that it read from.
     */
    private static void group(Workload.Args args, Workload.Answer answer) throws Exception {
        long max = args.count("max", Long.MAX_VALUE);
        Map<TopicPartition, Long> first = new TreeMap<>(Topics.ORDER);
        Map<TopicPartition, Long> next = new HashMap<>();
        long count = 0;
        Map<String, String> options = new HashMap<>(Map.of("group.id", args.text("group")));
        options.put("max.poll.records", Long.toString(Math.min(max, 5000)));
        options.putAll(args.under("c."));
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(args.text("b"), args.flag("committed"), options)) {
            consumer.subscribe(List.of(args.text("topic")));
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
            while (count < max && !atEnd(consumer)) {
                if (System.nanoTime() > deadline) throw new IllegalStateException("group got only " + count);
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                    TopicPartition partition = new TopicPartition(record.topic(), record.partition());
                    first.putIfAbsent(partition, record.offset());
                    next.put(partition, record.offset() + 1);
                    count++;
                }
            }
            consumer.commitSync();
        }
        answer.field("count", count);
        for (TopicPartition partition : first.keySet()) {
            answer.line(partition.partition() + " " + first.get(partition) + " " + next.get(partition));
        }
    }

    static boolean atEnd(KafkaConsumer<byte[], byte[]> consumer) {
        Set<TopicPartition> mine = consumer.assignment();
        if (mine.isEmpty()) return false;
        Map<TopicPartition, Long> ends = consumer.endOffsets(mine);
        return mine.stream().allMatch(partition -> consumer.position(partition) >= ends.get(partition));
    }

    /** What was read of a partition. */
    static final class Seen {
        final MessageDigest digest;
        long end;
        long count;

        Seen(long end) {
            this.end = end;
            try {
                digest = MessageDigest.getInstance("SHA-256");
            } catch (java.security.NoSuchAlgorithmException impossible) {
                throw new IllegalStateException(impossible);
            }
        }

        String line(TopicPartition partition) {
            return partition.topic() + " " + partition.partition() + " " + count + " " + end + " "
                + HexFormat.of().formatHex(digest.digest());
        }

        void take(ConsumerRecord<byte[], byte[]> record) {
            count++;
            ByteBuffer numbers = ByteBuffer.allocate(20);
            numbers.putLong(record.offset()).putLong(record.timestamp()).putInt(record.timestampType().id);
            digest.update(numbers.array());
            take(record.key());
            take(record.value());
            for (Header header : record.headers()) {
                take(header.key().getBytes(java.nio.charset.StandardCharsets.UTF_8));
                take(header.value());
            }
        }

        private void take(byte[] bytes) {
            digest.update(ByteBuffer.allocate(4).putInt(bytes == null ? -1 : bytes.length).array());
            if (bytes != null) digest.update(bytes);
        }
    }
}
