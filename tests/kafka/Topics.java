import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.BooleanSupplier;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AccessControlEntryFilter;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.errors.PreferredLeaderNotAvailableException;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourcePatternFilter;
import org.apache.kafka.common.resource.ResourceType;

/** Topics and partitions, seen and changed by the admin client. b= is the bootstrap address. */
final class Topics {
    private static final Map<String, Admin> ADMINS = new HashMap<>();

    static void register(Map<String, Workload.Command> commands) {
        commands.put("ready", Topics::ready);
        commands.put("quorum", Topics::quorum);
        commands.put("raise", Topics::raise);
        commands.put("allow", Topics::allow);
        commands.put("denied", Topics::denied);
        commands.put("open", Topics::reopen);
        commands.put("create", (args, answer) -> create(args, answer));
        commands.put("configure", Topics::configure);
        commands.put("settings", Topics::settings);
        commands.put("delete", Topics::delete);
        commands.put("grow", Topics::grow);
        commands.put("elect", Topics::elect);
        commands.put("reassign", Topics::reassign);
        commands.put("trim", Topics::trim);
        commands.put("describe", Topics::describe);
        commands.put("offsets", Topics::offsets);
        commands.put("abort", Topics::abort);
    }

    static Admin admin(String bootstrap) {
        return ADMINS.computeIfAbsent(bootstrap, Topics::open);
    }

    private static Admin open(String bootstrap) {
        Properties options = new Properties();
        options.put("bootstrap.servers", bootstrap);
        options.put("request.timeout.ms", "10000");
        options.put("default.api.timeout.ms", "40000");
        options.put("reconnect.backoff.max.ms", "300");
        // A client that met a broker before the others knows nobody where that one stops.
        // The default from 4.0 on.
        options.put("metadata.recovery.strategy", "rebootstrap");
        return Admin.create(options);
    }

    /** Answers alive=, the number of brokers that take part, and cluster=, the cluster's id. */
    private static void ready(Workload.Args args, Workload.Answer answer) throws Exception {
        try {
            var cluster = admin(args.text("b")).describeCluster();
            answer.field("alive", cluster.nodes().get(8, TimeUnit.SECONDS).size());
            answer.field("cluster", cluster.clusterId().get(8, TimeUnit.SECONDS));
        } catch (TimeoutException late) {
            // Whoever asks again begins with the bootstrap addresses.
            ADMINS.remove(args.text("b")).close(Duration.ZERO);
            throw late;
        }
    }

    /** Answers leader=, the active controller, and a line for each feature that is in force: name, level. */
    private static void quorum(Workload.Args args, Workload.Answer answer) throws Exception {
        Admin admin = admin(args.text("b"));
        admin.describeFeatures().featureMetadata().get().finalizedFeatures()
            .forEach((name, levels) -> answer.line(name + " " + levels.maxVersionLevel()));
        answer.field("leader", admin.describeMetadataQuorum().quorumInfo().get().leaderId());
    }

    /** Raises feature= to level=, which a broker may refuse. */
    private static void raise(Workload.Args args, Workload.Answer answer) throws Exception {
        var update = new FeatureUpdate((short) args.number("level"), FeatureUpdate.UpgradeType.UPGRADE);
        admin(args.text("b"))
            .updateFeatures(Map.of(args.text("feature"), update), new UpdateFeaturesOptions()).all().get();
    }

    /** Allows operations= (commas between) on topic=, or with cluster=true on the cluster, to principal= from host=. */
    private static void allow(Workload.Args args, Workload.Answer answer) throws Exception {
        var on = args.flag("cluster")
            ? new ResourcePattern(ResourceType.CLUSTER, "kafka-cluster", PatternType.LITERAL)
            : new ResourcePattern(ResourceType.TOPIC, args.text("topic"), PatternType.LITERAL);
        // Whoever is not authenticated is called so.
        String principal = args.text("principal", "User:ANONYMOUS");
        List<AclBinding> bindings = Arrays.stream(args.text("operations").split(","))
            .map(AclOperation::valueOf)
            .map(operation -> new AccessControlEntry(
                principal, args.text("host", "*"), operation, AclPermissionType.ALLOW))
            .map(entry -> new AclBinding(on, entry))
            .collect(Collectors.toList());
        admin(args.text("b")).createAcls(bindings).all().get();
    }

    /** Everybody who is denied to write to topic=: one line for each principal. */
    private static void denied(Workload.Args args, Workload.Answer answer) throws Exception {
        admin(args.text("b")).describeAcls(denials(args.text("topic"), null)).values().get().stream()
            .map(binding -> binding.entry().principal()).sorted().forEach(answer::line);
    }

    /** Takes it back that principal= is denied to write to topic=. */
    private static void reopen(Workload.Args args, Workload.Answer answer) throws Exception {
        var removed = admin(args.text("b"))
            .deleteAcls(List.of(denials(args.text("topic"), args.text("principal")))).all().get();
        answer.field("removed", removed.size());
    }

    private static AclBindingFilter denials(String topic, String principal) {
        return new AclBindingFilter(
            new ResourcePatternFilter(ResourceType.TOPIC, topic, PatternType.LITERAL),
            new AccessControlEntryFilter(principal, null, AclOperation.WRITE, AclPermissionType.DENY));
    }

    /**
     * partitions= and rf=, or assign=1+2,2+1 (the replicas of each partition); settings as c.name=.
     * With nowait=true its leaders are not waited for, which clients may never see.
     */
    static void create(Workload.Args args, Workload.Answer answer) throws Exception {
        String topic = args.text("topic");
        String assign = args.text("assign", "");
        NewTopic fresh = assign.isEmpty()
            ? new NewTopic(topic, args.number("partitions", 1), (short) args.number("rf", 1))
            : new NewTopic(topic, assignment(assign));
        fresh.configs(args.under("c."));
        if (args.flag("nowait")) {
            admin(args.text("b")).createTopics(List.of(fresh)).all().get();
            return;
        }
        create(args.text("b"), fresh);
        answer.field("id", described(args.text("b"), topic).topicId());
    }

    static void create(String bootstrap, NewTopic fresh) throws Exception {
        admin(bootstrap).createTopics(List.of(fresh)).all().get();
        int partitions = fresh.replicasAssignments() == null
            ? fresh.numPartitions() : fresh.replicasAssignments().size();
        until("topic " + fresh.name() + " has leaders", () -> led(bootstrap, fresh.name(), partitions));
    }

    private static Map<Integer, List<Integer>> assignment(String text) {
        Map<Integer, List<Integer>> assignment = new HashMap<>();
        for (String replicas : text.split(",")) assignment.put(assignment.size(), brokers(replicas));
        return assignment;
    }

    private static List<Integer> brokers(String text) {
        return Arrays.stream(text.split("\\+")).map(Integer::valueOf).collect(Collectors.toList());
    }

    private static boolean led(String bootstrap, String topic, int partitions) {
        List<TopicPartitionInfo> infos = description(bootstrap, topic).partitions();
        return infos.size() == partitions && infos.stream().allMatch(info -> info.leader() != null
            && !info.leader().isEmpty());
    }

    /** What any broker may be asked for: one that has not heard of the topic yet is asked again. */
    static TopicDescription described(String bootstrap, String topic) throws Exception {
        TopicDescription[] found = new TopicDescription[1];
        until("topic " + topic + " is known", () -> {
            found[0] = description(bootstrap, topic);
            return true;
        });
        return found[0];
    }

    static TopicDescription description(String bootstrap, String topic) {
        try {
            return admin(bootstrap).describeTopics(List.of(topic)).allTopicNames().get().get(topic);
        } catch (InterruptedException | ExecutionException failure) {
            throw new IllegalStateException(failure.getCause());
        }
    }

    private static void configure(Workload.Args args, Workload.Answer answer) throws Exception {
        configure(args.text("b"), args.text("topic"), args.under("c."));
    }

    static void configure(String bootstrap, String topic, Map<String, String> settings) throws Exception {
        Collection<AlterConfigOp> changes = new ArrayList<>();
        settings.forEach((key, value) ->
            changes.add(new AlterConfigOp(new ConfigEntry(key, value), AlterConfigOp.OpType.SET)));
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        admin(bootstrap).incrementalAlterConfigs(Map.of(resource, changes)).all().get();
    }

    /** One line per setting that topic= has of its own: name, value. */
    private static void settings(Workload.Args args, Workload.Answer answer) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, args.text("topic"));
        Config config = admin(args.text("b")).describeConfigs(List.of(resource)).all().get().get(resource);
        config.entries().stream()
            .filter(entry -> entry.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG)
            .forEach(entry -> answer.line(entry.name() + " " + entry.value()));
    }

    private static void delete(Workload.Args args, Workload.Answer answer) throws Exception {
        Admin admin = admin(args.text("b"));
        String topic = args.text("topic");
        admin.deleteTopics(List.of(topic)).all().get();
        until("topic " + topic + " is gone", () -> !names(admin).contains(topic));
    }

    private static Set<String> names(Admin admin) {
        try {
            return admin.listTopics().names().get();
        } catch (InterruptedException | ExecutionException failure) {
            throw new IllegalStateException(failure);
        }
    }

    /** To partitions=, or assign=1+2,2+1 to those that come to it; with nowait=true leaders are not waited for. */
    private static void grow(Workload.Args args, Workload.Answer answer) throws Exception {
        String topic = args.text("topic");
        int partitions = args.number("partitions");
        List<List<Integer>> assign = new ArrayList<>();
        for (String replicas : args.text("assign", "").split(",")) {
            if (!replicas.isEmpty()) assign.add(brokers(replicas));
        }
        NewPartitions wish = assign.isEmpty()
            ? NewPartitions.increaseTo(partitions) : NewPartitions.increaseTo(partitions, assign);
        admin(args.text("b")).createPartitions(Map.of(topic, wish)).all().get();
        if (args.flag("nowait")) return;
        until(topic + " has grown", () -> led(args.text("b"), topic, partitions));
    }

    /** The preferred leader of a partition, or with unclean=true whoever is alive. */
    private static void elect(Workload.Args args, Workload.Answer answer) throws Exception {
        ElectionType type = args.flag("unclean") ? ElectionType.UNCLEAN : ElectionType.PREFERRED;
        TopicPartition partition = new TopicPartition(args.text("topic"), args.number("partition", 0));
        Admin admin = admin(args.text("b"));
        // A replica that is to lead may be late for a moment.
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (true) {
            var outcome = admin.electLeaders(type, Set.of(partition)).partitions().get();
            Optional<Throwable> failure = outcome.get(partition);
            if (failure.isEmpty() || failure.get() instanceof ElectionNotNeededException) return;
            boolean waits = failure.get() instanceof PreferredLeaderNotAvailableException;
            if (!waits || System.nanoTime() > deadline) throw new IllegalStateException(failure.get());
            Thread.sleep(100);
        }
    }

    /** Gives partition= the replicas replicas=1+2, the first preferred, and waits until they hold it. */
    private static void reassign(Workload.Args args, Workload.Answer answer) throws Exception {
        Admin admin = admin(args.text("b"));
        List<Integer> replicas = brokers(args.text("replicas"));
        String topic = args.text("topic");
        List<Integer> partitions = new ArrayList<>();
        if (args.text("partition", "all").equals("all")) {
            described(args.text("b"), topic).partitions().forEach(info -> partitions.add(info.partition()));
        } else {
            partitions.add(args.number("partition"));
        }
        Map<TopicPartition, Optional<NewPartitionReassignment>> wish = new HashMap<>();
        for (int partition : partitions) {
            wish.put(new TopicPartition(topic, partition), Optional.of(new NewPartitionReassignment(replicas)));
        }
        admin.alterPartitionReassignments(wish).all().get();
        if (args.flag("nowait")) return;
        until(topic + " is reassigned", () -> description(args.text("b"), topic).partitions().stream()
            .filter(info -> partitions.contains(info.partition()))
            .allMatch(info -> ids(info.replicas()).equals(replicas)
                && new TreeSet<>(ids(info.isr())).equals(new TreeSet<>(replicas))));
    }

    private static List<Integer> ids(List<Node> nodes) {
        return nodes.stream().map(Node::id).collect(Collectors.toList());
    }

    /** DeleteRecords: partition= keeps what lies at before= and later. */
    private static void trim(Workload.Args args, Workload.Answer answer) throws Exception {
        trim(args.text("b"), args.text("topic"), args.number("partition", 0), args.count("before", -1));
    }

    static void trim(String bootstrap, String topic, int partition, long before) throws Exception {
        Map<TopicPartition, RecordsToDelete> wish =
            Map.of(new TopicPartition(topic, partition), RecordsToDelete.beforeOffset(before));
        admin(bootstrap).deleteRecords(wish).all().get();
    }

    /** One line per partition: number, leader (-1: none), replicas, in-sync replicas. */
    private static void describe(Workload.Args args, Workload.Answer answer) throws Exception {
        TopicDescription topic = described(args.text("b"), args.text("topic"));
        for (TopicPartitionInfo info : topic.partitions()) {
            int leader = info.leader() == null ? -1 : info.leader().id();
            answer.line(info.partition() + " " + leader + " " + joined(info.replicas()) + " "
                + joined(info.isr()));
        }
        answer.field("id", topic.topicId());
    }

    private static String joined(List<Node> nodes) {
        return nodes.stream().map(Node::idString).collect(Collectors.joining("+"));
    }

    /** One line per partition of the topics that match: topic, partition, log start, high watermark. */
    private static void offsets(Workload.Args args, Workload.Answer answer) throws Exception {
        // The client of 4.0 and 4.1 goes on asking the leader that it saw last, dead or not.
        try (Admin admin = open(args.text("b"))) {
            offsets(admin, args, answer);
        }
    }

    private static void offsets(Admin admin, Workload.Args args, Workload.Answer answer) throws Exception {
        Map<TopicPartition, OffsetSpec> first = new TreeMap<>(ORDER);
        Map<TopicPartition, OffsetSpec> last = new HashMap<>();
        for (TopicPartition partition : partitions(args.text("b"), args.text("topics"))) {
            first.put(partition, OffsetSpec.earliest());
            last.put(partition, OffsetSpec.latest());
        }
        ListOffsetsOptions level = new ListOffsetsOptions(args.flag("committed")
            ? IsolationLevel.READ_COMMITTED : IsolationLevel.READ_UNCOMMITTED);
        Map<TopicPartition, ListOffsetsResultInfo> starts = admin.listOffsets(first).all().get();
        Map<TopicPartition, ListOffsetsResultInfo> ends = admin.listOffsets(last, level).all().get();
        for (TopicPartition partition : first.keySet()) {
            answer.line(partition.topic() + " " + partition.partition() + " "
                + starts.get(partition).offset() + " " + ends.get(partition).offset());
        }
    }

    /** Aborts what is open in partition= of topic=, as kafka-transactions.sh does; answers aborted=. */
    private static void abort(Workload.Args args, Workload.Answer answer) throws Exception {
        Admin admin = admin(args.text("b"));
        TopicPartition partition = new TopicPartition(args.text("topic"), args.number("partition", 0));
        int aborted = 0;
        for (ProducerState one : admin.describeProducers(List.of(partition)).partitionResult(partition).get()
            .activeProducers()) {
            if (one.currentTransactionStartOffset().isEmpty()) continue;
            admin.abortTransaction(new AbortTransactionSpec(partition, one.producerId(),
                (short) one.producerEpoch(), one.coordinatorEpoch().orElse(0))).all().get();
            aborted++;
        }
        answer.field("aborted", aborted);
    }

    static final java.util.Comparator<TopicPartition> ORDER =
        java.util.Comparator.comparing(TopicPartition::topic).thenComparing(TopicPartition::partition);

    static List<TopicPartition> partitions(String bootstrap, String pattern) throws Exception {
        Pattern wanted = Pattern.compile(pattern);
        Admin admin = admin(bootstrap);
        List<String> topics = names(admin).stream()
            .filter(name -> wanted.matcher(name).matches()).collect(Collectors.toList());
        List<TopicPartition> found = new ArrayList<>();
        admin.describeTopics(topics).allTopicNames().get().forEach((name, topic) ->
            topic.partitions().forEach(info -> found.add(new TopicPartition(name, info.partition()))));
        found.sort(ORDER);
        return found;
    }

    static void until(String what, BooleanSupplier condition) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (true) {
            try {
                if (condition.getAsBoolean()) return;
            } catch (IllegalStateException notYet) {
                if (System.nanoTime() > deadline) throw notYet;
            }
            if (System.nanoTime() > deadline) throw new IllegalStateException("not within 60 s: " + what);
            Thread.sleep(50);
        }
    }
}
