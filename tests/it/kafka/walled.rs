//! A node in a destination with an authorizer: it has the few rights that it needs, and keeps
//! others from writing to what it mirrors, for as long as it does.

use std::time::{Duration, Instant};

use serde_json::json;

use super::cluster::free_ports;
use super::node::Node;
use super::*;

/// What a node may do beside what it is refused at first.
const ON_CLUSTER: &str = "ALTER,CREATE,DESCRIBE,IDEMPOTENT_WRITE";
const ON_TOPICS: &str = "DESCRIBE,DESCRIBE_CONFIGS,ALTER";
/// How long a node that is refused is listened to.
const LISTENED: Duration = Duration::from_secs(10);
/// So many refusals a controller may have to log meanwhile, and so many lines.
const REFUSALS_MAX: usize = 4;
const LINES_MAX: usize = 300;
/// Kafka's numbers of a kind of thing, of what is done to it, and of a denial.
const TOPIC: i8 = 2;
const WRITE: i8 = 4;
const DENY: i8 = 2;

#[test]
fn nobody_writes_to_a_mirror_of_a_node_with_few_rights() {
    let Some(_turn) = Turn::take("nobody_writes_to_a_mirror_of_a_node_with_few_rights") else {
        return;
    };
    for version in oldest_and_newest() {
        let workload = Arc::new(Workload::start(&version));
        let source = Cluster::start(&workload, "walled-source", 1, &[]);
        for (topic, partitions) in [
            ("walled", 2),
            ("breached", 1),
            ("half", 1),
            ("moved", 1),
            ("left", 1),
        ] {
            source.ask(&format!("create topic={topic} partitions={partitions}"));
            source.ask(&format!("produce topic={topic} count=300"));
        }
        let walled = Walled::start(&workload);
        let mut node = Node::member(&walled.cluster, "member");
        node.declare("dr", &source, "walled|breached|half|moved|numbered|left");
        node.start();
        let refusals = walled.lets_in(&mut node);
        node.until("caught up", 6, |one| one.is_caught_up());
        walled.denies(&["User:*", "User:twinlog-fence"], "walled");
        walled.opens_what_was_taken_away(&mut node);
        // While we lead it, no client sees a leader that it could write to.
        node.kill();
        walled.is_led_by(1);
        let denied = walled.writes("walled").expect_err("a fence stands");
        assert!(denied.contains("TopicAuthorization"), "{denied}");
        walled.writes("open").expect("no mirror");
        let breach = walled.writes_as("root", "breached");
        breach.expect("nobody keeps out a super user");
        node.start();
        walled.is_led_by(9001);
        source.ask("produce topic=walled count=300 seed=2");
        let ends = source.offsets("walled");
        node.until_topic("caught up again", "walled", |one| {
            let end = &ends[usize::try_from(one.partition).expect("a number")];
            one.is_caught_up() && one.destination_offset == end.high_watermark
        });
        is_found(&mut node);
        node.mirrors(&["stop", "--mirror", "dr", "--topics", "walled", "--wait"])
            .expect_code(0);
        walled.writes("walled").expect("the fence is gone");
        walled.denies(&[], "walled");
        let written = walled.cluster.offsets("walled");
        let end =
            |all: &[cluster::Partition]| -> i64 { all.iter().map(|one| one.range().end).sum() };
        assert_eq!(end(&written), end(&ends) + 10);
        walled.opens_what_was_half_open(&mut node);
        walled.has_to_show_its_producers(&source, &mut node);
        node.stop().expect_code(0);
        walled.has_denied_us_nothing(refusals);
        walled.is_opened_for_a_node_that_is_gone(&node);
    }
}

/// What was written past the fence is the last that stands there, and is not taken for ours.
fn is_found(node: &mut Node) {
    let found = node.until_topic("a breach is found", "breached", |one| one.state == "FAILED");
    let why = found[0].error.clone().unwrap_or_default();
    let says = ["300", "310", "rogue_writes", "recover"];
    assert!(says.iter().all(|word| why.contains(word)), "{why}");
}

/// A destination with an authorizer, and alice, who may write to every topic.
struct Walled {
    cluster: Cluster,
    /// Where alice comes in.
    door: String,
}

impl Walled {
    fn start(workload: &Arc<Workload>) -> Walled {
        let ports = free_ports(2);
        let door = format!("127.0.0.1:{}", ports[0]);
        let advertised = format!("{{before}},INTERNAL://127.0.0.1:0,CLIENTS://{door}");
        // Brokers come to the controller by a door of their own: its rights are not theirs.
        let own = format!("127.0.0.1:{}", ports[1]);
        let (voters, listeners) = (format!("1@{own}"), format!("{advertised},OWN://{own}"));
        let settings = [
            ("listeners", listeners.as_str()),
            ("advertised.listeners", advertised.as_str()),
            (
                "listener.security.protocol.map",
                "{before},INTERNAL:PLAINTEXT,CLIENTS:SASL_PLAINTEXT,OWN:SASL_PLAINTEXT",
            ),
            ("controller.listener.names", "OWN,{before}"),
            ("controller.quorum.voters", voters.as_str()),
            ("sasl.mechanism.controller.protocol", "PLAIN"),
            (
                "listener.name.own.plain.sasl.jaas.config",
                "org.apache.kafka.common.security.plain.PlainLoginModule required \
                 username=\"broker\" password=\"broker\" user_broker=\"broker\";",
            ),
            ("super.users", "User:broker;User:root"),
            ("inter.broker.listener.name", "INTERNAL"),
            ("sasl.enabled.mechanisms", "PLAIN"),
            (
                "listener.name.clients.plain.sasl.jaas.config",
                "org.apache.kafka.common.security.plain.PlainLoginModule required \
                 user_alice=\"alice\" user_root=\"root\";",
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
        self.writes_as("alice", topic)
    }

    fn writes_as(&self, who: &str, topic: &str) -> Result<(), String> {
        let command = format!("produce topic={topic} count=10 login={who} b={}", self.door);
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

    /// A node that may not be a broker says what it lacks, is in nobody's way, and comes in once it
    /// has it. Says how often it was refused.
    fn lets_in(&self, node: &mut Node) -> usize {
        node.until_said("grant ClusterAction on the cluster");
        let lines = || self.cluster.logged(1).lines().count();
        let before = (self.refusals(), lines());
        std::thread::sleep(LISTENED);
        let more = (self.refusals() - before.0, lines() - before.1);
        assert!(more.0 <= REFUSALS_MAX && more.1 <= LINES_MAX, "{more:?}");
        self.cluster
            .ask("allow cluster=true operations=CLUSTER_ACTION");
        // The controller hears of it before its answer comes.
        self.refusals()
    }

    /// How often somebody was denied to act as a broker.
    fn refusals(&self) -> usize {
        let text = self.cluster.logged(1);
        let denied = text.lines().filter(|line| line.contains(" is Denied "));
        denied
            .filter(|line| line.contains("CLUSTER_ACTION"))
            .count()
    }

    /// Killed while it lets writers in, a node may have taken away a part of the fence. The rest it
    /// takes away when it is back.
    fn opens_what_was_half_open(&self, node: &mut Node) {
        let denied = || self.cluster.ask("denied topic=half").lines;
        self.cluster.pause(1);
        let stop = node.begin_mirrors(&["stop", "--mirror", "dr", "--topics", "half", "--wait"]);
        node.until_step("half", "writers are let in");
        node.kill();
        self.cluster.resume(1);
        assert_eq!(denied(), ["User:*", "User:twinlog-fence"]);
        // As if the kill had come one request later.
        let half = self.cluster.ask("open topic=half principal=User:*");
        assert_eq!(half.number("removed"), 1);
        node.start();
        stop.await_end(Duration::from_secs(60)).expect_code(0);
        assert_eq!(denied(), [""; 0], "nothing of the fence is left");
        self.writes("half").expect("anybody who may");
        assert_eq!(self.cluster.offsets("half")[0].range(), 0..310);
    }

    /// Who may not ask for others' producers does not know whose ids the source's are as well, and
    /// hands nothing over that has such ids before it was told.
    fn has_to_show_its_producers(&self, source: &Cluster, node: &mut Node) {
        source.ask("create topic=numbered");
        source.ask("produce topic=numbered count=50 idempotent=true");
        node.until_topic("mirrored", "numbered", |one| one.destination_offset == 50);
        node.until_said("grant the node READ on topics");
        let stop = ["stop", "--mirror", "dr", "--topics", "numbered", "--wait"];
        let refused = node.mirrors(&stop).expect_code(1);
        refused.expect_said(&["open-0", "READ", "--force"]);
        self.cluster.ask("allow topic=* operations=READ");
        let begun = Instant::now();
        // It is asked again, and not by each of these.
        while node.mirrors(&stop).code != Some(0) {
            assert!(begun.elapsed() < LISTENED, "it is not seen");
            std::thread::sleep(Duration::from_millis(500));
        }
        self.writes("numbered").expect("the fence is gone");
    }

    /// What completes a failover when the node never comes back: its fences stay for as long as
    /// nobody says that writers are to be let in.
    fn is_opened_for_a_node_that_is_gone(&self, node: &Node) {
        let unregister = |more: &[&str]| {
            let controllers = self.cluster.controllers();
            let at = ["unregister", "--controllers", &controllers, "--id", "9001"];
            let args = [&at, more, &["--json"]].concat();
            program::run(node.outputs(), &args).expect_code(0).json()
        };
        let left = unregister(&[]);
        assert_eq!(left["closed"], json!(["breached", "left"]), "{left}");
        assert_eq!(left["opened"], json!([]), "{left}");
        let denied = self.writes("left").expect_err("the fence stands");
        assert!(denied.contains("TopicAuthorization"), "{denied}");
        let left = unregister(&["--open-fences"]);
        assert_eq!(left["opened"], json!(["breached", "left"]), "{left}");
        assert_eq!(self.cluster.ask("denied topic=left").lines, [""; 0]);
        self.writes("left").expect("the fence is gone");
        assert_eq!(self.cluster.offsets("left")[0].range(), 0..310);
    }

    /// Waits until both partitions of the mirror are led by that broker.
    /// These, in order, may not write to a topic as the metadata log has it, and nothing else is
    /// denied there. One of them is nobody's name, and marks whose fence it is.
    fn denies(&self, whom: &[&str], topic: &str) {
        let rights = stale::seen(&self.cluster).image.rights;
        let denials = rights.values().filter(|right| {
            (right.resource_kind, right.resource.as_str()) == (TOPIC, topic)
                && right.permission == DENY
        });
        let told = denials.map(|right| (right.principal.as_str(), right.operation));
        let mut told: Vec<_> = told.collect();
        told.sort_unstable();
        let wanted: Vec<_> = whom.iter().map(|who| (*who, WRITE)).collect();
        assert_eq!(told, wanted);
    }

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
    /// but for what it lacked at first, and for the cluster's default of replicas, which can be
    /// done without.
    fn has_denied_us_nothing(&self, refusals: usize) {
        assert_eq!(self.refusals(), refusals, "denied what it was granted");
        let text = self.cluster.logged(1);
        let denied = text.lines().filter(|line| line.contains(" is Denied "));
        let ours = denied.filter(|line| line.contains("User:ANONYMOUS"));
        // The first is what we have tried ourselves.
        let known = [
            "Topic:LITERAL:open",
            "CLUSTER_ACTION",
            "Cluster:LITERAL:kafka-cluster for request = DescribeConfigs",
        ];
        let is_new = |line: &&str| !known.iter().any(|known| line.contains(known));
        let more: Vec<&str> = ours.filter(is_new).collect();
        assert!(more.is_empty(), "{more:#?}");
    }
}
