//! Two nodes of ours in one destination, each with mirrors of its own: neither is in the other's
//! way, nothing of the one is laid upon the other, and where one dies stock brokers lead what it
//! has led. Compared with its source that goes on by the other node, and the dead one does no harm
//! when it comes back.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::ledger::{Id, Ledger};
use super::mirrored::{Mirrored, stamps_are_true};
use super::node::{APART, Node};
use super::*;

const ONE: &str = "one.load";
const TWO: &str = "two.load";
const IDS: [Id; 2] = [(ONE, 0), (ONE, 1)];
/// Made while both nodes are there.
const LATER: [(&str, i64); 2] = [("one.later", 9001), ("two.later", 9002)];
/// There can be a write fence. Everybody is a super user here, and none is kept out by it.
const WALLED: [(&str, &str); 2] = [
    (
        "authorizer.class.name",
        "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    ),
    ("super.users", "User:ANONYMOUS"),
];
const WITHIN: Duration = Duration::from_secs(60);

#[test]
fn two_nodes_share_a_destination() {
    let Some(_turn) = Turn::take("two_nodes_share_a_destination") else {
        return;
    };
    for version in newest() {
        let mut scene = Scene::begin(&version, "sharing", &APART);
        scene.topics_are_laid_upon_stock_brokers();
        scene.a_stop_waits_for_no_node();
        scene.one_dies();
        scene.what_it_led_is_not_taken();
        scene.it_comes_back();
        scene.it_dies_for_good();
    }
}

#[test]
fn another_node_goes_on_with_what_a_dead_one_led() {
    let test = "another_node_goes_on_with_what_a_dead_one_led";
    let Some(_turn) = Turn::take(test) else {
        return;
    };
    for version in newest_and_another("taken_over") {
        let walled = [&APART[..], &WALLED].concat();
        let mut scene = Scene::begin(&version, "taken-over", &walled);
        scene.each_partition_has_records();
        scene.one_dies();
        let parting = scene.both_sides_part();
        scene.the_other_takes_over(&parting);
        scene.the_dead_one_does_no_harm();
    }
}

/// The first node's mirror, and the other node, which has another one of the same source.
struct Scene {
    mirrored: Mirrored,
    other: Node,
    ledger: Ledger,
}

impl Scene {
    fn begin(version: &str, name: &str, settings: &[(&str, &str)]) -> Scene {
        let workload = Arc::new(Workload::start(version));
        let source = Cluster::start(&workload, &format!("{name}-source"), 1, &[]);
        let destination = Cluster::start(&workload, &format!("{name}-destination"), 2, settings);
        let mut mirrored = Mirrored::between(source, destination, "one\\..*");
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
        self.mirrored.source.ask(&format!("unload id={TWO}"));
        for copy in self.is_whole(TWO, when) {
            assert_eq!(compare::epochs(&copy), [(0, 0)], "{when}");
        }
        let source = &self.mirrored.source;
        source.ask(&format!("load id={TWO} topic={TWO} rate=200"));
    }

    /// The other node mirrors all of it, and both brokers have what the source has. Where.
    fn is_whole(&mut self, topic: &str, when: &str) -> Vec<PathBuf> {
        let source = &self.mirrored.source;
        let wanted = source.offsets(topic);
        self.other
            .until_topic(when, topic, |one| one.is_caught_up());
        let mut copies = Vec::new();
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
                copies.push(copy);
            }
        }
        copies
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

impl Scene {
    fn each_partition_has_records(&mut self) {
        for (_, partition) in IDS {
            let some = format!("produce topic={ONE} partition={partition} count=200");
            self.mirrored.source.ask(&some);
        }
        self.mirrored.arrives(ONE, "both nodes are there");
    }

    /// The source goes on, and somebody writes to what the dead node led. Where both sides part, by
    /// their comparison.
    fn both_sides_part(&mut self) -> Vec<i64> {
        let Mirrored {
            source,
            destination,
            ..
        } = &self.mirrored;
        for topic in [ONE, TWO] {
            source.ask(&format!("unload id={topic}"));
        }
        for (_, partition) in IDS {
            let more = format!("partition={partition} count=100 seed=2");
            source.ask(&format!("produce topic={ONE} {more}"));
        }
        let parting = destination.offsets(ONE);
        for (_, partition) in IDS {
            let theirs = format!("partition={partition} count=40 acks=all seed=7");
            destination.ask(&format!("produce topic={ONE} {theirs}"));
        }
        let report = self.report();
        let path = report.to_str().expect("our paths are text");
        let (from, to) = (source.bootstrap(), destination.bootstrap());
        let verify = ["verify", "--destination", &to, "--from", &from];
        let more = ["--topics", ONE, "--parting", path];
        let told = program::run(self.other.outputs(), &[&verify[..], &more].concat());
        told.expect_code(0);
        parting.iter().map(|one| one.high_watermark).collect()
    }

    fn report(&self) -> PathBuf {
        self.other.outputs().join("parting.json")
    }

    /// It goes on from there, whoever has it still by the destination's word.
    fn the_other_takes_over(&mut self, parting: &[i64]) {
        self.other.stop().expect_code(0);
        let report = format!("\"peer.report\" = \"{}\"\n", self.report().display());
        self.other.configure(&report);
        self.other.start();
        let start = ["start", "--mirror", "beside", "--topics", ONE];
        self.other.mirrors(&start).expect_code(0);
        self.is_whole(ONE, "taken over");
        self.mirrored.until_in_sync(ONE, &[1, 2, 9002]);
        for ((_, partition), from) in IDS.into_iter().zip(parting) {
            let name = format!("{ONE}-{partition}.from-{from}");
            let aside = self.other.data.join("logs.aside").join(name);
            let (begins, end) = compare::range(&aside).expect("what others wrote is set aside");
            assert!(begins == *from && end > begins, "{aside:?}: {begins} {end}");
        }
        self.goes_on_with_it("taken over");
    }

    /// What comes is mirrored, by the node that leads it already: nobody else is elected.
    fn goes_on_with_it(&mut self, when: &str) {
        let before = self.is_whole(ONE, when);
        let before: Vec<_> = before.iter().map(|copy| compare::epochs(copy)).collect();
        for (_, partition) in IDS {
            let more = format!("partition={partition} count=60 seed=3");
            let source = &self.mirrored.source;
            source.ask(&format!("produce topic={ONE} {more}"));
        }
        let after = self.is_whole(ONE, when);
        let after: Vec<_> = after.iter().map(|copy| compare::epochs(copy)).collect();
        assert_eq!(before, after, "{when}");
        let Scene {
            mirrored, ledger, ..
        } = self;
        mirrored.keep(ledger, &IDS, &[1, 2], when);
    }

    /// It was told by nobody, and wants what it had. It gets none of it, and says why.
    fn the_dead_one_does_no_harm(&mut self) {
        let when = "the dead one is back";
        let node = &mut self.mirrored.node;
        node.start();
        let failed = node.until_topic(when, ONE, |one| one.state == "FAILED");
        for one in failed {
            let why = one.error.unwrap_or_default();
            assert!(why.contains("moved the partition away"), "{why}");
        }
        self.goes_on_with_it(when);
        self.mirrored.until_in_sync(ONE, &[1, 2, 9002]);
        let told = self.replicas(ONE);
        assert!(!told.contains("9001"), "{told}");
        let recover = ["recover", "--mirror", "dr", "--topics", ONE];
        self.mirrored.node.mirrors(&recover).expect_code(0);
        self.goes_on_with_it("it is told to have another try");
        self.is_whole(TWO, when);
        let stop = ["stop", "--mirror", "dr", "--topics", ONE, "--wait"];
        self.mirrored.node.mirrors(&stop).expect_code(0);
        self.goes_on_with_it("it leaves it to the other");
        self.is_fenced("it leaves it to the other");
        self.mirrored.node.kill();
        self.is_unregistered();
        self.goes_on_with_it("it is unregistered");
        self.is_fenced("it is unregistered");
        self.other.stop().expect_code(0);
    }

    /// The fences about what the other node mirrors are its own.
    fn is_fenced(&self, when: &str) {
        for topic in [ONE, TWO] {
            let denied = format!("denied topic={topic}");
            let denied = self.mirrored.destination.ask(&denied).lines;
            assert_eq!(denied, ["User:*", "User:twinlog-fence"], "{when}: {topic}");
        }
    }

    /// Once its session has expired.
    fn is_unregistered(&self) {
        let begun = Instant::now();
        while self.mirrored.unregister().code != Some(0) {
            assert!(begun.elapsed() < WITHIN, "it stays registered");
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}
