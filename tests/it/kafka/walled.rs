//! A node in a destination with an authorizer: it has the few rights that it needs, and keeps
//! others from writing to what it mirrors, for as long as it does.

use std::time::{Duration, Instant};

use super::cluster::free_ports;
use super::node::Node;
use super::*;

/// What a node may do, and the brokers of its cluster with it: they are as anonymous as it is.
const ON_CLUSTER: &str = "CLUSTER_ACTION,ALTER,CREATE,DESCRIBE,IDEMPOTENT_WRITE";
const ON_TOPICS: &str = "DESCRIBE,DESCRIBE_CONFIGS,ALTER";

#[test]
fn nobody_writes_to_a_mirror_of_a_node_with_few_rights() {
    let Some(_turn) = Turn::take("nobody_writes_to_a_mirror_of_a_node_with_few_rights") else {
        return;
    };
    for version in oldest_and_newest() {
        let workload = Arc::new(Workload::start(&version));
        let source = Cluster::start(&workload, "walled-source", 1, &[]);
        source.ask("create topic=walled partitions=2");
        source.ask("produce topic=walled count=300");
        source.ask("create topic=moved partitions=1");
        source.ask("produce topic=moved count=30");
        let walled = Walled::start(&workload);
        let mut node = Node::member(&walled.cluster, "member");
        node.declare("dr", &source, "walled|moved");
        node.start();
        node.until("caught up", 3, |one| one.is_caught_up());
        walled.opens_what_was_taken_away(&mut node);
        // While we lead it, no client sees a leader that it could write to.
        node.kill();
        walled.is_led_by(1);
        let denied = walled.writes("walled").expect_err("a fence stands");
        assert!(denied.contains("TopicAuthorization"), "{denied}");
        walled.writes("open").expect("no mirror");
        node.start();
        walled.is_led_by(9001);
        source.ask("produce topic=walled count=300 seed=2");
        let ends = source.offsets("walled");
        node.until_topic("caught up again", "walled", |one| {
            let end = &ends[usize::try_from(one.partition).expect("a number")];
            one.is_caught_up() && one.destination_offset == end.high_watermark
        });
        node.mirrors(&["stop", "--mirror", "dr", "--topics", "walled", "--wait"])
            .expect_code(0);
        walled.writes("walled").expect("the fence is gone");
        let written = walled.cluster.offsets("walled");
        let end =
            |all: &[cluster::Partition]| -> i64 { all.iter().map(|one| one.range().end).sum() };
        assert_eq!(end(&written), end(&ends) + 10);
        node.stop().expect_code(0);
        walled.has_denied_us_nothing();
    }
}

/// A destination with an authorizer, and alice, who may write to every topic.
struct Walled {
    cluster: Cluster,
    /// Where alice comes in.
    door: String,
}

impl Walled {
    fn start(workload: &Arc<Workload>) -> Walled {
        let door = format!("127.0.0.1:{}", free_ports(1)[0]);
        let listeners = format!("{{before}},INTERNAL://127.0.0.1:0,CLIENTS://{door}");
        let settings = [
            ("listeners", listeners.as_str()),
            ("advertised.listeners", listeners.as_str()),
            (
                "listener.security.protocol.map",
                "{before},INTERNAL:PLAINTEXT,CLIENTS:SASL_PLAINTEXT",
            ),
            ("inter.broker.listener.name", "INTERNAL"),
            ("sasl.enabled.mechanisms", "PLAIN"),
            (
                "listener.name.clients.plain.sasl.jaas.config",
                "org.apache.kafka.common.security.plain.PlainLoginModule required \
                 user_alice=\"alice\";",
            ),
            (
                "authorizer.class.name",
                "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            ),
            // Until the first entry of its kind: then nobody has a right that he was not given.
            ("allow.everyone.if.no.acl.found", "true"),
        ];
        let cluster = Cluster::start(workload, "walled-destination", 1, &settings);
        cluster.ask(&format!("allow topic=* operations={ON_TOPICS}"));
        cluster.ask("allow topic=* operations=WRITE principal=User:alice");
        cluster.ask(&format!("allow cluster=true operations={ON_CLUSTER}"));
        cluster.ask("create topic=open");
        let walled = Walled { cluster, door };
        walled.writes("open").expect("alice may");
        let denied = walled.cluster.try_ask("produce topic=open count=1");
        let denied = denied.expect_err("the brokers' own principal has no such right");
        assert!(denied.contains("TopicAuthorization"), "{denied}");
        walled
    }

    /// Ten records of alice's.
    fn writes(&self, topic: &str) -> Result<(), String> {
        let command = format!("produce topic={topic} count=10 login=alice b={}", self.door);
        self.cluster.workload.try_ask(&command).map(drop)
    }

    /// Somebody takes a mirror's partition away and does not know of the fence: the stop takes it
    /// down all the same.
    fn opens_what_was_taken_away(&self, node: &mut Node) {
        self.cluster.ask("reassign topic=moved replicas=1");
        let denied = self.writes("moved").expect_err("the fence stands");
        assert!(denied.contains("TopicAuthorization"), "{denied}");
        node.mirrors(&["stop", "--mirror", "dr", "--topics", "moved", "--wait"])
            .expect_code(0);
        self.writes("moved").expect("the fence is gone");
    }

    /// Waits until both partitions of the mirror are led by that broker.
    fn is_led_by(&self, broker: i32) {
        // Clients see nobody where the leader has no listener of theirs.
        let leader = if broker == 9001 { -1 } else { broker };
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let told = self.cluster.ask("describe topic=walled");
            let leaders = told.words().map(|words| words[1].parse() == Ok(leader));
            if leaders.collect::<Vec<_>>() == [true, true] {
                return;
            }
            assert!(Instant::now() < deadline, "{told:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The authorizer logs whom it denies what. Ours has asked for nothing that it may not have,
    /// but for the cluster's default of replicas, which can be done without.
    fn has_denied_us_nothing(&self) {
        let log = self.cluster.dir().join("node-1.log");
        let text = std::fs::read_to_string(&log).expect("a node has a log");
        let denied = text.lines().filter(|line| line.contains(" is Denied "));
        let ours = denied.filter(|line| line.contains("User:ANONYMOUS"));
        // The first is what we have tried ourselves.
        let known = [
            "Topic:LITERAL:open",
            "Cluster:LITERAL:kafka-cluster for request = DescribeConfigs",
        ];
        let is_new = |line: &&str| !known.iter().any(|known| line.contains(known));
        let more: Vec<&str> = ours.filter(is_new).collect();
        assert!(more.is_empty(), "{more:#?}");
    }
}
