//! Two nodes of ours in one destination, each with mirrors of its own: neither is in the other's
//! way, nothing of the one is laid upon the other, and where one dies stock brokers lead what it
//! has led.

use std::time::{Duration, Instant};

use super::ledger::{Id, Ledger};
use super::mirrored::{Mirrored, stamps_are_true};
use super::node::Node;
use super::*;

const ONE: &str = "one.load";
const TWO: &str = "two.load";
const IDS: [Id; 2] = [(ONE, 0), (ONE, 1)];
/// Made while both nodes are there.
const LATER: [(&str, i64); 2] = [("one.later", 9001), ("two.later", 9002)];
const WITHIN: Duration = Duration::from_secs(60);

#[test]
fn two_nodes_share_a_destination() {
    let Some(_turn) = Turn::take("two_nodes_share_a_destination") else {
        return;
    };
    for version in newest() {
        let mut scene = Scene::begin(&version);
        scene.topics_are_laid_upon_stock_brokers();
        scene.a_stop_waits_for_no_node();
        scene.one_dies();
        scene.what_it_led_is_not_taken();
        scene.it_comes_back();
        scene.it_dies_for_good();
    }
}

/// The first node's mirror, and the other node, which has another one of the same source.
struct Scene {
    mirrored: Mirrored,
    other: Node,
    ledger: Ledger,
}

impl Scene {
    fn begin(version: &str) -> Scene {
        let workload = Arc::new(Workload::start(version));
        let mut mirrored = Mirrored::begin(&workload, "sharing", "one\\..*");
        let mut other = Node::member(&mirrored.destination, "other");
        other.set("id = 9001", "id = 9002");
        other.declare("beside", &mirrored.source, "two\\..*");
        let source = &mirrored.source;
        for topic in [ONE, TWO] {
            source.ask(&format!("create topic={topic} partitions=2"));
            source.ask(&format!("load id={topic} topic={topic} rate=200"));
        }
        mirrored.node.start();
        other.start();
        let mut scene = Scene {
            mirrored,
            other,
            ledger: Ledger::default(),
        };
        scene.both_mirror();
        scene
    }

    fn both_mirror(&mut self) {
        self.mirrored.until_in_sync(ONE, &[1, 2, 9001]);
        self.mirrored.until_in_sync(TWO, &[1, 2, 9002]);
    }

    fn topics_are_laid_upon_stock_brokers(&mut self) {
        for (topic, node) in LATER {
            let source = &self.mirrored.source;
            source.ask(&format!("create topic={topic} partitions=4"));
            source.ask(&format!("produce topic={topic} count=100"));
            self.mirrored.arrives(topic, "both nodes are there");
            self.mirrored.until_in_sync(topic, &[1, 2, node]);
        }
        // Whatever was laid upon a node would have left it by now.
        for words in [("one.later", "9002"), ("two.later", "9001")] {
            let told = self.replicas(words.0);
            assert!(!told.contains(words.1), "{told}");
        }
    }

    /// Which brokers have the partitions of a topic, in one word.
    fn replicas(&self, topic: &str) -> String {
        let told = self
            .mirrored
            .destination
            .ask(&format!("describe topic={topic}"));
        let replicas = told.words().map(|words| words[2].to_owned());
        replicas.collect::<Vec<_>>().join(" ")
    }

    /// Another node gives out no ids, and is asked for none.
    fn a_stop_waits_for_no_node(&mut self) {
        let stop = [
            "stop",
            "--mirror",
            "beside",
            "--topics",
            "two.later",
            "--wait",
        ];
        self.other
            .begin_mirrors(&stop)
            .await_end(WITHIN)
            .expect_code(0);
        let stop = ["stop", "--mirror", "dr", "--topics", "one.later", "--wait"];
        let stop = self.mirrored.node.begin_mirrors(&stop);
        stop.await_end(WITHIN).expect_code(0);
    }

    fn one_dies(&mut self) {
        self.mirrored.notes(&mut self.ledger, &IDS);
        self.mirrored.node.kill();
        self.until(ONE, |leader| [1, 2].contains(&leader));
        let Scene {
            mirrored, ledger, ..
        } = self;
        mirrored.keep(ledger, &IDS, &[1, 2], "a node is dead");
        self.the_other_goes_on("a node is dead");
    }

    fn until(&self, topic: &str, is_it: impl Fn(i64) -> bool) {
        let begun = Instant::now();
        while !self.mirrored.leads(topic, &is_it) {
            assert!(begun.elapsed() < WITHIN, "{topic}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Nobody but the other node has ever led what it mirrors.
    fn the_other_goes_on(&mut self, when: &str) {
        let source = &self.mirrored.source;
        source.ask(&format!("unload id={TWO}"));
        let wanted = source.offsets(TWO);
        self.other.until_topic(when, TWO, |one| one.is_caught_up());
        for partition in &wanted {
            let theirs = source.log_dir(1).join(partition.directory());
            for broker in [1, 2] {
                let copy = self.mirrored.replica(broker, partition);
                let begun = Instant::now();
                let end = || compare::read(&copy).ok().and_then(|batches| batches.end());
                while end() < Some(partition.high_watermark) {
                    assert!(begun.elapsed() < WITHIN, "{when}: {:?}", end());
                    std::thread::sleep(Duration::from_millis(100));
                }
                compare::agree_but_for_epochs(&theirs, &copy, partition.range())
                    .unwrap_or_else(|difference| panic!("{when}: {difference}"));
                stamps_are_true(&copy);
                assert_eq!(compare::epochs(&copy), [(0, 0)], "{when}");
            }
        }
        source.ask(&format!("load id={TWO} topic={TWO} rate=200"));
    }

    /// The other node is told to mirror it: it says what is in its way, and leaves it alone.
    fn what_it_led_is_not_taken(&mut self) {
        let start = ["start", "--mirror", "beside", "--topics", ONE];
        self.other.mirrors(&start).expect_code(0);
        let failed = self
            .other
            .until_topic("refused", ONE, |one| one.state == "FAILED");
        let why = failed[0].error.clone().unwrap_or_default();
        assert!(why.contains("not ours") && why.contains("delete"), "{why}");
        let told = self.replicas(ONE);
        assert!(!told.contains("9002"), "{told}");
        let stop = ["stop", "--mirror", "beside", "--topics", ONE, "--wait"];
        self.other.mirrors(&stop).expect_code(0);
    }

    fn it_comes_back(&mut self) {
        self.mirrored.node.start();
        self.until(ONE, |leader| leader == -1);
        self.mirrored.source.ask(&format!("unload id={ONE}"));
        self.mirrored.arrives(ONE, "it is back");
        self.mirrored.notes(&mut self.ledger, &IDS);
    }

    fn it_dies_for_good(&mut self) {
        self.mirrored.node.kill();
        self.until(ONE, |leader| [1, 2].contains(&leader));
        self.mirrored.unregister().expect_code(0);
        self.mirrored.until_in_sync(ONE, &[1, 2]);
        let Scene {
            mirrored, ledger, ..
        } = self;
        mirrored.keep(ledger, &IDS, &[1, 2], "it is dead for good");
        self.the_other_goes_on("alone");
        let stop = ["stop", "--mirror", "beside", "--topics", TWO, "--wait"];
        self.other.mirrors(&stop).expect_code(0);
        self.other.stop().expect_code(0);
    }
}
