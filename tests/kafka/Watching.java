import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;

/** A member of a group that reads in the background, whatever becomes of those that it reads from. */
final class Watching extends Thread {
    private static final Map<String, Watching> ALL = new ConcurrentHashMap<>();

    private final Workload.Args args;
    private final Map<TopicPartition, Reading.Seen> seen = new TreeMap<>(Topics.ORDER);
    private volatile boolean wanted = true;
    private volatile Exception fault;

    private Watching(Workload.Args args) {
        super("watch-" + args.text("id"));
        this.args = args;
        setDaemon(true);
    }

    static void register(Map<String, Workload.Command> commands) {
        commands.put("watch", Watching::watch);
        commands.put("unwatch", Watching::unwatch);
    }

    /** Begins to read topic= in group id=, committed= or all. */
    private static void watch(Workload.Args args, Workload.Answer answer) {
        Watching watching = new Watching(args);
        ALL.put(args.text("id"), watching);
        watching.start();
    }

    /**
     * Waits until all that is there has been read, and answers as "consume" does. It is a failure that
     * a record came twice, or after a later one.
     */
    private static void unwatch(Workload.Args args, Workload.Answer answer) throws Exception {
        Watching watching = ALL.remove(args.text("id"));
        watching.wanted = false;
        watching.join();
        if (watching.fault != null) throw watching.fault;
        watching.seen.forEach((partition, one) -> answer.line(one.line(partition)));
    }

    @Override
    public void run() {
        Map<String, String> options = new HashMap<>(Map.of("group.id", args.text("id"), "enable.auto.commit", "true"));
        try (KafkaConsumer<byte[], byte[]> consumer = Reading.consumer(args.text("b"), args.flag("committed"), options)) {
            consumer.subscribe(List.of(args.text("topic")));
            Map<TopicPartition, Long> last = new HashMap<>();
            while (wanted) take(consumer, last);
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
            while (!Reading.atEnd(consumer)) {
                if (System.nanoTime() > deadline) throw new IllegalStateException("not read within 60 s: " + last);
                take(consumer, last);
            }
            consumer.endOffsets(consumer.assignment()).forEach((partition, end) -> of(partition).end = end);
        } catch (Exception failure) {
            fault = failure;
        }
    }

    private void take(KafkaConsumer<byte[], byte[]> consumer, Map<TopicPartition, Long> last) {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100))) {
            TopicPartition partition = new TopicPartition(record.topic(), record.partition());
            Long before = last.put(partition, record.offset());
            if (before != null && before >= record.offset()) {
                throw new IllegalStateException(partition + ": " + record.offset() + " came after " + before);
            }
            of(partition).take(record);
        }
    }

    private Reading.Seen of(TopicPartition partition) {
        return seen.computeIfAbsent(partition, fresh -> new Reading.Seen(0));
    }
}
