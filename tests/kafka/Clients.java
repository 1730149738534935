import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;

/**
 * What an application does, told record by record: one line "topic partition offset value" each. The
 * programs for librdkafka (application.c) and franz-go (application/main.go) know the same words.
 */
final class Clients {
    /** Producers whose transaction stays open. */
    private static final List<KafkaProducer<byte[], byte[]>> OPEN = new ArrayList<>();

    static void register(Map<String, Workload.Command> commands) {
        commands.put("put", Clients::put);
        commands.put("deal", Clients::deal);
        commands.put("take", Clients::take);
        commands.put("carry", Clients::carry);
    }

    /** count= records "tag-number" to the partitions= of topic= in turn, by an idempotent producer of its own. */
    private static void put(Workload.Args args, Workload.Answer answer) throws Exception {
        Map<String, String> options = Map.of("enable.idempotence", "true", "acks", "all");
        try (KafkaProducer<byte[], byte[]> producer = Writing.producer(args.text("b"), options)) {
            send(producer, args, answer);
        }
    }

    /** The same in one transaction of id=, which ends as end= says: commit, abort, or open. */
    private static void deal(Workload.Args args, Workload.Answer answer) throws Exception {
        Map<String, String> options = new HashMap<>();
        options.put("transactional.id", args.text("id"));
        options.put("transaction.timeout.ms", "900000");
        KafkaProducer<byte[], byte[]> producer = Writing.producer(args.text("b"), options);
        producer.initTransactions();
        producer.beginTransaction();
        send(producer, args, answer);
        switch (args.text("end")) {
            case "commit" -> producer.commitTransaction();
            case "abort" -> producer.abortTransaction();
            default -> {
                OPEN.add(producer);
                return;
            }
        }
        producer.close();
    }

    private static void send(KafkaProducer<byte[], byte[]> producer, Workload.Args args, Workload.Answer answer)
        throws Exception {
        Map<String, Future<RecordMetadata>> sent = new LinkedHashMap<>();
        int partitions = args.number("partitions", 2);
        for (int number = 0; number < args.number("count"); number++) {
            String value = args.text("tag") + "-" + number;
            byte[] bytes = value.getBytes(StandardCharsets.UTF_8);
            sent.put(value, producer.send(new ProducerRecord<>(args.text("topic"), number % partitions, null, bytes)));
        }
        producer.flush();
        for (Map.Entry<String, Future<RecordMetadata>> one : sent.entrySet()) {
            RecordMetadata written = one.getValue().get();
            answer.line(written.topic() + " " + written.partition() + " " + written.offset() + " " + one.getKey());
        }
    }

    /**
     * A member of group= reads topics= (commas between) until it has had max= records or all that there
     * is now (committed=true: last stable offset), commits, and leaves.
     */
    private static void take(Workload.Args args, Workload.Answer answer) throws Exception {
        long max = args.count("max", Long.MAX_VALUE);
        Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
        long count = 0;
        Map<String, String> options = Map.of("group.id", args.text("group"));
        try (KafkaConsumer<byte[], byte[]> consumer =
            Reading.consumer(args.text("b"), args.flag("committed"), options)) {
            consumer.subscribe(Arrays.asList(args.text("topics").split(",")));
            long deadline = System.nanoTime() + 60_000_000_000L;
            while (count < max && !Reading.atEnd(consumer)) {
                if (System.nanoTime() > deadline) throw new IllegalStateException("within 60 s only " + count);
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(java.time.Duration.ofMillis(200))) {
                    if (count == max) break;
                    answer.line(record.topic() + " " + record.partition() + " " + record.offset() + " "
                        + value(record));
                    next.put(new TopicPartition(record.topic(), record.partition()),
                        new OffsetAndMetadata(record.offset() + 1));
                    count++;
                }
            }
            consumer.commitSync(next);
        }
        answer.field("count", count);
    }

    /** What is no application's word has a length. */
    private static String value(ConsumerRecord<byte[], byte[]> record) {
        byte[] value = record.value();
        if (value == null) return "null";
        for (byte one : value) {
            if (one <= ' ' || one > '~') return "bytes-" + value.length;
        }
        return new String(value, StandardCharsets.UTF_8);
    }

    /**
     * Gives group= at to= the offsets that it has at from=, as an operator does with Kafka's tool for
     * groups: without the leader epochs of the other cluster.
     */
    private static void carry(Workload.Args args, Workload.Answer answer) throws Exception {
        String group = args.text("group");
        Map<TopicPartition, OffsetAndMetadata> plain = new HashMap<>();
        Topics.admin(args.text("from")).listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get()
            .forEach((partition, held) -> plain.put(partition, new OffsetAndMetadata(held.offset())));
        Topics.admin(args.text("to")).alterConsumerGroupOffsets(group, plain).all().get();
        answer.field("count", plain.size());
    }
}
