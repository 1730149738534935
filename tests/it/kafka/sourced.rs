//! Mirrors onto a stock cluster from sources that speak what older Kafka speaks, that forget who
//! has asked for what, or cannot remember it: each is mirrored as if it were like the others.

use std::time::Instant;

use super::cluster::Partition;
use super::gate::{FETCH, Gate, OFFSET_FOR_LEADER_EPOCH};
use super::idling::{NO_SESSIONS, SESSION_NOT_FOUND, evict, has_begun_anew};
use super::mirrored::Mirrored;
use super::node::{APART, Node};
use super::older::{CASES, behind_gates, fetched_in_newest, newest_of};
use super::serving::{is_readable, replicas_equal};
use super::*;

/// Where the log of each first partition begins, within a batch.
const BEGINS: i64 = 101;
/// The topics of all cases.
const TOPICS: &str = "old\\..*";
/// The case whose source has compacted some of it: one of those with the oldest requests.
const COMPACTED: &str = "like-2.1";
/// The mirror of the source without room for sessions, and its only topic.
const ROOMLESS: &str = "roomless";
const ROOMLESS_PARTITIONS: usize = 8;

#[test]
fn whatever_a_source_can_do_its_mirror_is_the_same() {
    let Some(_turn) = Turn::take("whatever_a_source_can_do") else {
        return;
    };
    for version in oldest_and_newest() {
        let begun = Instant::now();
        let told = |what: &str| eprintln!("Kafka {version}: {what} after {:?}", begun.elapsed());
        let mut scene = Scene::begin(&version);
        told("begun");
        scene.speaks_what_passes();
        told("mirrored");
        scene.forgets_its_sessions();
        told("sessions begun anew");
        scene.says_where_epochs_end();
        told("started again");
        scene.is_the_same_after_the_stop();
        told("stopped");
    }
}

struct Scene {
    mirrored: Mirrored,
    /// One for each case.
    gates: Vec<Gate>,
    /// A source of its own, behind a gate.
    roomless: (Cluster, Gate),
}

impl Scene {
    fn begin(version: &str) -> Scene {
        let workload = Arc::new(Workload::start(version));
        let here = ["127.0.0.1"; CASES.len()];
        let (source, gates) = behind_gates(&workload, "sourced-source", &here, &[]);
        let slots = ("max.incremental.fetch.session.cache.slots", "1");
        let name = "sourced-roomless";
        let (other, mut others) = behind_gates(&workload, name, &here[..1], &[slots]);
        let destination = Cluster::start(&workload, "sourced-destination", 2, &APART);
        let node = Node::member(&destination, "sourced");
        for ((name, caps), gate) in CASES.iter().zip(&gates) {
            gate.narrow(caps);
            node.declare_at(name, &gate.bootstrap(), &format!("old\\.{name}\\..*"));
            fill(&source, name);
        }
        source.ask(&format!("compacted prefix=old.{COMPACTED}. seed=4"));
        node.declare_at(ROOMLESS, &others[0].bootstrap(), ROOMLESS);
        other.ask(&format!(
            "create topic={ROOMLESS} partitions={ROOMLESS_PARTITIONS}"
        ));
        other.ask(&format!("produce topic={ROOMLESS} count=800 keys=100"));
        let mirrored = Mirrored {
            source,
            destination,
            node,
        };
        let mut scene = Scene {
            mirrored,
            gates,
            roomless: (other, others.remove(0)),
        };
        scene.mirrored.node.start();
        scene
    }

    fn catches_up(&mut self, when: &str) -> Vec<Partition> {
        let all = self.mirrored.source.offsets(TOPICS);
        self.mirrored.arrive_at(&[1, 2], &all, when);
        all
    }

    fn speaks_what_passes(&mut self) {
        let all = self.catches_up("at first");
        let begins = all.iter().filter(|one| one.log_start == BEGINS);
        assert_eq!(begins.count(), CASES.len());
        for ((name, caps), gate) in CASES.iter().zip(&self.gates) {
            fetched_in_newest(name, caps, gate.take(FETCH));
        }
    }

    /// Of all mirrors whose source speaks of sessions, all sessions are taken away.
    fn forgets_its_sessions(&mut self) {
        let with_sessions = CASES
            .iter()
            .zip(&self.gates)
            .filter(|((_, caps), _)| newest_of(FETCH, caps).is_none_or(|cap| cap > NO_SESSIONS));
        let evicted: Vec<(Gate, Vec<i32>)> = with_sessions
            .map(|(_, gate)| (gate.clone(), evict(&self.mirrored.source, gate)))
            .collect();
        for (name, _) in CASES {
            write_more(&self.mirrored.source, name);
        }
        self.catches_up("without their sessions");
        for (gate, evicted) in &evicted {
            assert!(gate.take_errors().contains(&SESSION_NOT_FOUND));
            let is_anew = |_: &Node| has_begun_anew(gate, evicted);
            self.mirrored.node.await_that("new sessions", is_anew);
        }
    }

    /// Before a log goes on that was there at the start, the source says where its last epoch ends.
    fn says_where_epochs_end(&mut self) {
        self.mirrored.node.stop().expect_code(0);
        for (name, _) in CASES {
            let topic = format!("topic=old.{name}.mixed");
            self.mirrored
                .source
                .ask(&format!("produce {topic} count=50"));
        }
        self.mirrored.node.start();
        self.catches_up("after another start");
        for ((name, caps), gate) in CASES.iter().zip(&self.gates) {
            let asked = gate.take(OFFSET_FOR_LEADER_EPOCH);
            assert!(asked.requests > 0, "{name}");
            let cap = newest_of(OFFSET_FOR_LEADER_EPOCH, caps);
            assert!(
                cap.is_none_or(|cap| asked.version == cap),
                "{name}: {asked:?}"
            );
        }
    }

    /// Also where sessions were not to be had.
    fn is_the_same_after_the_stop(&mut self) {
        let (other, gate) = &self.roomless;
        other.ask(&format!(
            "produce topic={ROOMLESS} count=800 keys=100 seed=2"
        ));
        let theirs = other.offsets(ROOMLESS);
        let node = &mut self.mirrored.node;
        node.until_topic("caught up", ROOMLESS, |one| {
            let end = theirs
                .iter()
                .find(|end| i64::from(end.index) == one.partition);
            end.is_some_and(|end| end.high_watermark == one.destination_offset)
        });
        assert!(gate.take_sessions().len() <= 1);
        let mirrors = CASES.map(|(name, _)| name);
        node.stop_mirrors(&[&mirrors[..], &[ROOMLESS]].concat());
        let all = self.catches_up("after the stop");
        let Mirrored {
            destination, node, ..
        } = &mut self.mirrored;
        is_readable(destination, TOPICS, &all);
        is_readable(destination, ROOMLESS, &theirs);
        node.stop().expect_code(0);
        for broker in [2, 1] {
            destination.stop(broker);
            let (other, _) = &self.roomless;
            replicas_equal(other, &destination.log_dir(broker), &theirs);
        }
    }
}

/// Records of every kind behind a log start that lies within a batch; beside them a transaction
/// that stays open.
fn fill(source: &Cluster, name: &str) {
    let topic = format!("old.{name}.mixed");
    source.ask(&format!("create topic={topic} partitions=2"));
    let large = "batch=20000 p.linger.ms=50 codec=lz4";
    source.ask(&format!(
        "produce topic={topic} partition=0 count=600 {large}"
    ));
    source.ask(&format!("trim topic={topic} before={BEGINS}"));
    write_more(source, name);
    source.ask(&format!(
        "transact topic={topic} partition=1 id=open-{name} txns=2 count=10 end=open"
    ));
}

fn write_more(source: &Cluster, name: &str) {
    let at = format!("topic=old.{name}.mixed partition=0");
    source.ask(&format!("produce {at} count=50 batch=1000"));
    source.ask(&format!("produce {at} count=50 idempotent=true codec=zstd"));
    source.ask(&format!(
        "transact {at} id={name} txns=4 count=15 end=alternate"
    ));
}
