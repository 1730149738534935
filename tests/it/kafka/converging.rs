//! Two mirrors of one source while brokers of both clusters are restarted one after another, the
//! source is away as a whole, and applications wait at the destination for the failover: all
//! replicas come to be the same, and whoever has waited reads each record once.

use std::time::{Duration, Instant};

use super::node::{APART, Described, Node};
use super::*;

/// Partitions of each topic; those with a number belong to the one mirror, the last to the other.
const TOPICS: [(&str, i64); 3] = [("my-topic-1", 3), ("my-topic-2", 2), ("new-topic", 1)];
const PARTITIONS: usize = 6;
/// Longer than two tries take, one right after the other.
const TRIED_TWICE: Duration = Duration::from_secs(5);

#[test]
fn all_replicas_converge_whoever_is_restarted() {
    let Some(_turn) = Turn::take("all_replicas_converge_whoever_is_restarted") else {
        return;
    };
    for version in newest() {
        let mut scene = Scene::begin(&version);
        scene.brokers_of_both_clusters_are_restarted();
        scene.source_is_away();
        scene.source_lets_go_of_what_was_not_mirrored_yet();
        scene.topic_is_made_anew_at_the_source();
        scene.whoever_has_waited_reads_each_record_once();
    }
}

struct Scene {
    source: Cluster,
    destination: Cluster,
    node: Node,
}

impl Scene {
    fn begin(version: &str) -> Scene {
        let workload = Arc::new(Workload::start(version));
        let mut source = Cluster::start(&workload, "converging-source", 2, &[]);
        let destination = Cluster::start(&workload, "converging-destination", 2, &APART);
        for (topic, partitions) in TOPICS {
            source.ask(&format!(
                "create topic={topic} partitions={partitions} rf=2"
            ));
            source.ask(&format!("produce topic={topic} count=100"));
        }
        // Leader epochs that are not the first ones.
        source.stop(2);
        source.restart(2);
        let mut node = Node::member(&destination, "converging");
        node.declare("pattern", &source, "my-topic.*");
        node.declare("literal", &source, "new-topic");
        node.start();
        let mut scene = Scene {
            source,
            destination,
            node,
        };
        scene.catches_up("at first");
        scene
    }

    fn catches_up(&mut self, when: &str) {
        self.node.until(when, PARTITIONS, |one| one.is_caught_up());
    }

    /// Somebody writes to every topic of the source.
    fn writes(&self) {
        for (topic, _) in TOPICS {
            self.source.ask(&format!(
                "load id={topic} topic={topic} rate=200 size=300 p.acks=all"
            ));
        }
    }

    fn writes_no_more(&self) {
        for (topic, _) in TOPICS {
            let told = self.source.ask(&format!("unload id={topic}"));
            assert_eq!(told.number("failed"), 0, "{topic}");
            assert!(told.number("acknowledged") > 0, "{topic}");
        }
    }

    /// Node 1 of either cluster is its controller as well.
    fn brokers_of_both_clusters_are_restarted(&mut self) {
        self.writes();
        for (is_source, broker) in [(false, 1), (true, 2), (false, 2), (true, 1)] {
            let cluster = match is_source {
                true => &mut self.source,
                false => &mut self.destination,
            };
            cluster.stop(broker);
            cluster.restart(broker);
        }
        // The leader of some partitions dies without a word.
        self.source.kill(2);
        std::thread::sleep(Duration::from_secs(2));
        self.source.restart_dead();
        self.writes_no_more();
        self.catches_up("after all restarts");
        self.all_replicas_are_the_same();
    }

    /// A mirror fails and is tried again by itself; once that was in vain often enough, an operator
    /// has it recovered.
    fn source_is_away(&mut self) {
        self.source_dies();
        self.source.restart_dead();
        self.source.ask("produce topic=new-topic count=30 seed=5");
        self.catches_up("by itself");

        self.node.stop().expect_code(0);
        self.node.configure("[retry]\nmax_attempts = 2\n");
        self.node.start();
        self.catches_up("with few tries");
        self.source_dies();
        std::thread::sleep(TRIED_TWICE);
        self.source.restart_dead();
        std::thread::sleep(TRIED_TWICE);
        let has_failed = |one: &Described| one.state == "FAILED";
        self.node.until("nobody tries", PARTITIONS, has_failed);
        for mirror in ["pattern", "literal"] {
            let recover = ["recover", "--mirror", mirror, "--topics", ".*"];
            self.node.mirrors(&recover).expect_code(0);
        }
        self.source.ask("produce topic=new-topic count=30 seed=6");
        self.catches_up("recovered");
    }

    fn source_dies(&mut self) {
        for broker in [2, 1] {
            self.source.kill(broker);
        }
        let is_told = |one: &Described| {
            let why = one.error.as_deref().unwrap_or_default();
            let says = ["the source cannot be asked", "recreated at the source"];
            one.state == "FAILED" && says.iter().any(|word| why.contains(word))
        };
        self.node.until("the source is gone", PARTITIONS, is_told);
    }

    /// While the node is away, records come and go; it goes on where the source begins by then.
    fn source_lets_go_of_what_was_not_mirrored_yet(&mut self) {
        let topic = "my-topic-2";
        self.node.stop().expect_code(0);
        self.source.ask(&format!(
            "produce topic={topic} partition=0 count=200 seed=6"
        ));
        let end = self.source.offsets(topic)[0].high_watermark;
        let begins = end - 50;
        self.source
            .ask(&format!("trim topic={topic} before={begins}"));
        assert_eq!(self.source.offsets(topic)[0].log_start, begins);
        self.node.start();
        self.catches_up("after records were gone");
        self.all_replicas_are_the_same();
    }

    /// The others are mirrored on, and what was mirrored of it before stays.
    fn topic_is_made_anew_at_the_source(&mut self) {
        let [_, _, (topic, partitions)] = TOPICS;
        self.source.ask(&format!("delete topic={topic}"));
        self.source.ask(&format!(
            "create topic={topic} partitions={partitions} rf=2"
        ));
        self.source.ask("produce topic=my-topic-1 count=30 seed=7");
        let all = self.node.until("another topic", PARTITIONS, |one| {
            one.is_caught_up() != (one.topic == topic)
                && (one.state == "FAILED") == (one.topic == topic)
        });
        let failed = all.iter().find(|one| one.topic == topic);
        let why = failed.and_then(|one| one.error.clone()).unwrap_or_default();
        assert!(why.contains("recreated at the source"), "{why}");
    }

    /// The disaster itself: the source is gone, and its partitions are handed over as they are.
    fn whoever_has_waited_reads_each_record_once(&mut self) {
        let topic = "my-topic-1";
        let readers = [("all", "false"), ("committed", "true")];
        for (id, committed) in readers {
            let watch = format!("watch id={id} topic={topic} committed={committed}");
            self.destination.ask(&watch);
        }
        self.source.ask(&format!(
            "transact topic={topic} id=last txns=4 count=25 end=alternate"
        ));
        let is_whole = |one: &Described| one.is_caught_up() || one.topic == "new-topic";
        self.node.until("transactions", PARTITIONS, is_whole);
        let there = readers.map(|(_, committed)| {
            let question = format!("consume topics={topic} committed={committed}");
            self.source.ask(&question)
        });
        let offsets = self.source.offsets("my-topic.*");
        self.source_dies();
        for mirror in ["pattern", "literal"] {
            let stop = [
                "stop", "--mirror", mirror, "--topics", ".*", "--wait", "--json",
            ];
            let report = self.node.mirrors(&stop).expect_code(0).json();
            for row in report.as_array().expect("a row for each partition") {
                assert!(row["lastMirrorOffset"].is_i64(), "{row}");
                // How much it has more is not known of a source that is gone.
                assert!(row["lag"].is_null() && row["lost"].is_null(), "{row}");
            }
        }
        for ((id, _), there) in readers.into_iter().zip(&there) {
            let read = self.destination.ask(&format!("unwatch id={id}"));
            assert_eq!(read.lines, there.lines, "{id}");
            assert_eq!(read.lines.len(), 3, "{id}");
        }
        self.replicas_are_the_same(&offsets);
        self.node.stop().expect_code(0);
    }

    fn all_replicas_are_the_same(&self) {
        self.replicas_are_the_same(&self.source.offsets("my-topic.*"));
    }

    /// But for leader epochs, which each cluster has of its own.
    fn replicas_are_the_same(&self, partitions: &[cluster::Partition]) {
        for partition in partitions {
            let name = partition.directory();
            let replicas = [
                self.source.log_dir(1),
                self.source.log_dir(2),
                self.destination.log_dir(1),
                self.destination.log_dir(2),
            ]
            .map(|logs| logs.join(&name));
            for replica in &replicas {
                // Whoever was restarted last may lack what the others have.
                let wanted = partition.high_watermark;
                let deadline = Instant::now() + Duration::from_secs(60);
                let end = || compare::read(replica).ok()?.end();
                while end().unwrap_or_default() < wanted {
                    assert!(Instant::now() < deadline, "{name}: {:?} of {wanted}", end());
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
            let [first, others @ ..] = &replicas;
            for replica in others {
                let same = compare::agree_but_for_epochs(first, replica, partition.range());
                same.unwrap_or_else(|difference| panic!("{difference}"));
            }
        }
    }
}
