//! A node of ours, its followers and the controller die or stand still while it mirrors: what the
//! destination has in the end is the source's, whoever has led in between.

use std::time::{Duration, Instant};

use super::mirrored::Mirrored;
use super::node::Node;
use super::stale::Stale;
use super::*;

/// Written all the time, by an idempotent producer and by transactions.
const LOAD: &str = "run.load";
/// To be stopped while a follower is away; one transaction of it is open.
const DOWN: &str = "run.down";
const TOPICS: &str = "run\\..*";
/// Longer than the controller waits for a broker that it does not hear of.
const SESSION_IS_OVER: Duration = Duration::from_secs(25);
/// How long a node stands still: twice as long as its session lasts.
const FROZEN: Duration = Duration::from_secs(15);

#[test]
fn a_mirror_outlives_those_who_carry_it() {
    let Some(_turn) = Turn::take("a_mirror_outlives_those_who_carry_it") else {
        return;
    };
    for version in oldest_and_newest() {
        let mut scene = Scene::begin(&version);
        scene.node_is_back_within_its_session();
        scene.node_is_back_after_its_session();
        scene.node_leaves_in_order_and_comes_back();
        scene.node_stands_still();
        scene.follower_is_away_while_a_stop_drains();
        scene.controller_is_away();
        scene.node_is_dead_for_good();
    }
}

struct Scene {
    mirrored: Mirrored,
    transactions: u32,
}

impl Scene {
    fn begin(version: &str) -> Scene {
        let workload = Arc::new(Workload::start(version));
        let mut mirrored = Mirrored::begin(&workload, "outliving", TOPICS);
        let source = &mirrored.source;
        source.ask(&format!("create topic={LOAD} partitions=3"));
        source.ask(&format!("create topic={DOWN} partitions=2"));
        source.ask(&format!("produce topic={DOWN} count=60 idempotent=true"));
        source.ask(&format!(
            "transact topic={DOWN} id=open txns=2 count=10 partition=0 end=open"
        ));
        mirrored.node.start();
        let mut scene = Scene {
            mirrored,
            transactions: 0,
        };
        scene.writes();
        scene.settles("at first");
        scene
    }

    /// Producers write to the source until it settles.
    fn writes(&mut self) {
        let source = &self.mirrored.source;
        source.ask(&format!("load id=steady topic={LOAD} rate=400 size=300"));
    }

    /// Some transactions, beside what is written all the time.
    fn transacts(&mut self) {
        self.transactions += 1;
        self.mirrored.source.ask(&format!(
            "transact topic={LOAD} id=t{} txns=3 count=20 end=alternate",
            self.transactions % 2
        ));
    }

    /// All that was written arrives at both brokers, as it is at the source; then it goes on.
    fn settles(&mut self, when: &str) {
        let begun = Instant::now();
        self.transacts();
        self.mirrored.source.ask("unload id=steady");
        self.mirrored.arrives(LOAD, when);
        eprintln!("{when}: settled after {:?}", begun.elapsed());
        self.writes();
    }

    fn node_is_back_within_its_session(&mut self) {
        let node = &mut self.mirrored.node;
        node.kill();
        node.start();
        self.settles("killed and back at once");
        assert_eq!(self.mirrored.last_epoch(LOAD), 0, "nobody else was elected");
    }

    fn node_is_back_after_its_session(&mut self) {
        self.mirrored.node.kill();
        let took = self.until_stock(LOAD);
        eprintln!("a stock broker leads {took:?} after the node's death");
        self.transacts();
        self.mirrored.node.start();
        self.until_ours(LOAD);
        self.settles("killed and back late");
        assert!(self.mirrored.last_epoch(LOAD) >= 2, "elected twice");
    }

    /// SIGTERM, as for an upgrade.
    fn node_leaves_in_order_and_comes_back(&mut self) {
        let node = &mut self.mirrored.node;
        node.stop().expect_code(0);
        let took = self.until_stock(LOAD);
        assert!(took < Duration::from_secs(3), "it hands over as it leaves");
        self.mirrored.node.start();
        self.until_ours(LOAD);
        self.settles("left in order and back");
    }

    fn node_stands_still(&mut self) {
        let mut follower = Stale::begin(&self.mirrored.destination, LOAD);
        let begun = Instant::now();
        self.mirrored.node.pause();
        self.until_stock(LOAD);
        std::thread::sleep(FROZEN.saturating_sub(begun.elapsed()));
        follower.asks_again();
        self.mirrored.node.resume();
        follower.finds_no_leader();
        self.until_ours(LOAD);
        self.settles("frozen and woken");
    }

    /// The stop goes to the other follower; whoever was away gets it all when it is back.
    fn follower_is_away_while_a_stop_drains(&mut self) {
        let Mirrored {
            destination, node, ..
        } = &mut self.mirrored;
        destination.kill(2);
        let stop = node.begin_mirrors(&["stop", "--mirror", "dr", "--topics", DOWN, "--wait"]);
        node.until_step(DOWN, "a replica in sync still lacks records");
        stop.await_end(SESSION_IS_OVER).expect_code(0);
        let is_theirs = self.mirrored.leads(DOWN, |leader| leader == 1);
        assert!(is_theirs, "the other follower leads");
        self.settles_at(&[1], "a follower is away");
        self.mirrored.destination.restart(2);
        self.mirrored.until_in_sync(LOAD, &[1, 2, 9001]);
        self.mirrored.until_in_sync(DOWN, &[1, 2]);
        self.mirrored.arrives(DOWN, "it is back");
        self.settles("a follower is back");
    }

    /// It is a broker as well: followers and controller are gone at once.
    fn controller_is_away(&mut self) {
        self.mirrored.destination.kill(1);
        self.transacts();
        std::thread::sleep(Duration::from_secs(2));
        self.mirrored.destination.restart(1);
        self.mirrored.until_in_sync(LOAD, &[1, 2, 9001]);
        self.settles("the controller is back");
    }

    /// Stock brokers have what the node had handed on, and one command takes the rest of it away.
    fn node_is_dead_for_good(&mut self) {
        self.mirrored.source.ask(&format!(
            "transact topic={LOAD} id=left count=5 partition=0 end=open"
        ));
        self.settles("a transaction is open");
        self.mirrored.node.kill();
        self.until_stock(LOAD);
        self.mirrored.source.ask("unload id=steady");
        let left = self.mirrored.unregister().expect_code(0);
        assert_eq!(left.number("/partitions"), 3, "{left:?}");
        self.mirrored.until_in_sync(LOAD, &[1, 2]);
        let Mirrored {
            source,
            destination,
            ..
        } = &self.mirrored;
        let had = source.offsets(LOAD);
        let got = destination.offsets(LOAD);
        for (had, got) in had.iter().zip(&got) {
            assert!(got.high_watermark <= had.high_watermark, "{had:?} {got:?}");
            assert!(got.high_watermark > 0, "{got:?}");
        }
        destination.ask(&format!("produce topic={LOAD} count=30 idempotent=true"));
        self.mirrored.agree_within(&got);
        let grown = self.mirrored.destination.offsets(LOAD);
        let end = |all: &[cluster::Partition]| -> i64 {
            all.iter().map(|partition| partition.high_watermark).sum()
        };
        assert_eq!(end(&grown), end(&got) + 30, "anybody may write");
        self.open_transactions_are_ended(&grown[0]);
    }
}

impl Scene {
    /// Nobody has ended what was open when the node died: an operator does.
    fn open_transactions_are_ended(&self, partition: &cluster::Partition) {
        let destination = &self.mirrored.destination;
        let stable = || -> i64 {
            let answer = destination.ask(&format!("offsets topics={LOAD} committed=true"));
            let first = answer.words().next().map(|words| words[3].parse());
            first.expect("a partition").expect("an offset")
        };
        assert!(stable() < partition.high_watermark, "it is open");
        let aborted = destination.ask(&format!("abort topic={LOAD} partition=0"));
        assert_eq!(aborted.number("aborted"), 1);
        let begun = Instant::now();
        while stable() != partition.high_watermark + 1 {
            assert!(begun.elapsed() < SESSION_IS_OVER, "{}", stable());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn settles_at(&mut self, brokers: &[u32], when: &str) {
        self.mirrored.source.ask("unload id=steady");
        self.mirrored.arrives_at(brokers, LOAD, when);
        self.writes();
    }

    /// Stock brokers lead a topic; says how long that took.
    fn until_stock(&mut self, topic: &str) -> Duration {
        let begun = Instant::now();
        let is_stock = |leader: i64| [1, 2].contains(&leader);
        while !self.mirrored.leads(topic, is_stock) {
            assert!(begun.elapsed() < SESSION_IS_OVER, "nobody was elected");
            std::thread::sleep(Duration::from_millis(100));
        }
        begun.elapsed()
    }

    /// We lead a topic: clients see no leader then.
    fn until_ours(&mut self, topic: &str) {
        let begun = Instant::now();
        let node: &mut Node = &mut self.mirrored.node;
        node.until_topic("mirroring again", topic, |one| {
            assert_ne!(one.state, "ULE_RECOVERY", "the source has lost nothing");
            one.state == "MIRRORING"
        });
        while !self.mirrored.leads(topic, |leader| leader == -1) {
            assert!(begun.elapsed() < SESSION_IS_OVER, "we were not elected");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}
