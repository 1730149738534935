//! Every replica of a destination against the source and the node's own log, while all of them are
//! written, handed over, trimmed and damaged.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::mirrored::Mirrored;
use super::program::{self, Ended};
use super::*;

const TOPICS: &str = "watch\\..*";
const LIVE: &str = "watch.live";
const OPEN: &str = "watch.open";
const TRIMMED: &str = "watch.trimmed";
const PARTITIONS: usize = 4;
/// Below it the source lets go of the topic that is trimmed, and later the destination.
const TRIMS: [i64; 2] = [40, 70];

#[test]
fn replicas_are_watched_through_a_handover() {
    let Some(_turn) = Turn::take("replicas_are_watched_through_a_handover") else {
        return;
    };
    for version in newest_and_another("watching") {
        let mut scene = Scene::begin(&version);
        scene.all_are_equal_while_they_are_written();
        scene.retention_is_no_loss();
        scene.a_handover_is_no_difference();
        scene.the_destination_goes_on_alone();
        scene.damage_is_named();
        scene.mirrored.node.stop().expect_code(0);
    }
}

struct Scene {
    mirrored: Mirrored,
}

impl Scene {
    fn begin(version: &str) -> Scene {
        let workload = Arc::new(Workload::start(version));
        let mut mirrored = Mirrored::begin(&workload, "watching", TOPICS);
        let source = &mirrored.source;
        source.ask(&format!("create topic={LIVE} partitions=2"));
        for topic in [OPEN, TRIMMED] {
            source.ask(&format!("create topic={topic} partitions=1"));
        }
        for topic in [LIVE, OPEN, TRIMMED] {
            source.ask(&format!(
                "produce topic={topic} count=200 size=100 batch=1000"
            ));
        }
        source.ask(&format!(
            "transact topic={OPEN} id=open txns=1 count=5 end=open"
        ));
        mirrored.node.start();
        let caught_up = |one: &node::Described| one.is_caught_up();
        mirrored.node.until("caught up", PARTITIONS, caught_up);
        for topic in [LIVE, OPEN, TRIMMED] {
            mirrored.until_in_sync(topic, &[1, 2, 9001]);
        }
        Scene { mirrored }
    }

    fn verify(&self, more: &[&str]) -> Ended {
        let destination = self.mirrored.destination.bootstrap();
        let args = ["verify", "--destination", &destination, "--topics", TOPICS];
        program::run(self.mirrored.node.outputs(), &[&args, more].concat())
    }

    /// With the source and our log.
    fn verify_all(&self, more: &[&str]) -> Ended {
        let from = self.mirrored.source.bootstrap();
        let data = self
            .mirrored
            .node
            .data
            .to_str()
            .expect("our paths are text");
        let args = ["--from", &from, "--vault", data];
        self.verify(&[&args, more].concat())
    }

    /// One topic is written all the time, by clients of the source.
    fn all_are_equal_while_they_are_written(&self) {
        let source = &self.mirrored.source;
        source.ask(&format!("load id=live topic={LIVE} rate=300 size=200"));
        for _ in 0..2 {
            let told = self.verify_all(&["--json"]).expect_code(0).json();
            let partitions = told["partitions"].as_array().expect("a list");
            assert_eq!(partitions.len(), PARTITIONS, "{told}");
            for partition in partitions {
                assert_eq!(logs(partition), ["source", "ours", "1", "2"], "{partition}");
                assert_eq!(partition["not_compared"], serde_json::json!([]));
                assert!(number(partition, "identical_batches") > 5, "{partition}");
                assert!(partition["alone"].is_null(), "{partition}");
            }
        }
        // Who leads is not asked, and nobody can tell whether it should be.
        let others = self.verify(&["--json"]).expect_code(0).json();
        let unread = &one(&others, LIVE, 0)["not_compared"][0];
        assert_eq!(unread["broker"], 9001, "{others}");
        let failed = self.verify(&["--complete"]).expect_code(1);
        failed.expect_said(&["not all is compared"]);
    }

    /// The source lets go of records that the others still have.
    fn retention_is_no_loss(&self) {
        let source = &self.mirrored.source;
        source.ask(&format!("trim topic={TRIMMED} before={}", TRIMS[0]));
        let told = self.verify_all(&["--json"]).expect_code(0).json();
        let trimmed = one(&told, TRIMMED, 0);
        assert_eq!(trimmed["logs"][0]["log_start"], TRIMS[0], "{told}");
        assert_eq!(trimmed["logs"][0]["removed_by_retention"], TRIMS[0]);
        assert_eq!(trimmed["logs"][2]["removed_by_retention"], 0);
        let text = self.verify_all(&[]).expect_code(0).stdout;
        assert!(text.contains("retention"), "{text}");
    }

    /// It is looked at all the while.
    fn a_handover_is_no_difference(&mut self) {
        let args = ["stop", "--mirror", "dr", "--topics", ".*", "--wait"];
        let stopping = self.mirrored.node.begin_mirrors(&args);
        for more in [&["--json"][..], &[]] {
            self.verify_all(more).expect_code(0);
        }
        stopping
            .await_end(std::time::Duration::from_secs(60))
            .expect_code(0);
        let told = self.mirrored.source.ask("unload id=live");
        assert_eq!(told.number("failed"), 0);
        self.verify_all(&["--json"]).expect_code(0);
    }

    /// Both sides are written from here on.
    fn the_destination_goes_on_alone(&self) {
        let Mirrored {
            source,
            destination,
            node,
        } = &self.mirrored;
        for partition in [0, 1] {
            let live = format!("produce topic={LIVE} partition={partition}");
            source.ask(&format!("{live} count=30 seed=5"));
            destination.ask(&format!("{live} count=40 seed=6 acks=all"));
        }
        destination.ask(&format!("trim topic={TRIMMED} before={}", TRIMS[1]));
        let told = self.verify_all(&["--json"]).expect_code(0).json();
        let of_log = self.verify(&["--from", &source.bootstrap(), "--json"]);
        let guessed = of_log.expect_code(0).json();
        for stopped in node.describe() {
            let (topic, partition) = (&stopped.topic, stopped.partition);
            let from = &one(&told, topic, partition)["alone"]["from"];
            assert_eq!(*from, stopped.last_mirror_offset, "{told}");
            if topic == TRIMMED {
                // Nothing of its own has come yet.
                continue;
            }
            // What the leader epochs say is the same.
            let from = &one(&guessed, topic, partition)["alone"]["from"];
            assert_eq!(*from, stopped.last_mirror_offset, "{guessed}");
        }
        let trimmed = one(&told, TRIMMED, 0);
        assert_eq!(trimmed["logs"][3]["removed_by_retention"], TRIMS[1]);
        let text = self.verify_all(&[]).expect_code(0).stdout;
        assert!(text.contains("goes on alone from there"), "{text}");
    }

    /// In the segments of a broker that was down: a byte of a record, and a batch that is gone.
    fn damage_is_named(&mut self) {
        let destination = &mut self.mirrored.destination;
        destination.stop(2);
        let log = |partition: &str| {
            let dir = destination.log_dir(2).join(partition);
            compare::segments(&dir).pop().expect("it has a segment")
        };
        let flipped = flip(&log(&format!("{LIVE}-0")));
        let gone = cut_out(&log(&format!("{LIVE}-1")));
        destination.restart(2);
        self.mirrored.until_in_sync(LIVE, &[1, 2]);
        for ended in [self.verify_all(&[]), self.verify(&[])] {
            let ended = ended.expect_code(1);
            let lines: Vec<&str> = ended.stderr.lines().collect();
            let said = |words: [&str; 2]| {
                let mut lines = lines.iter();
                lines.any(|line| words.iter().all(|word| line.contains(word)))
            };
            let damage = format!("{LIVE}-0: broker 2: offset {flipped}: ");
            assert!(said([&damage, "is damaged"]), "{lines:#?}");
            let loss = format!("{LIVE}-1: broker 2: offset {}: ", gone.0);
            let range = format!("offsets up to {} are missing", gone.1);
            assert!(said([&loss, &range]), "{lines:#?}");
            assert_eq!(lines.len(), 2, "{lines:#?}");
        }
    }
}

fn number(value: &Value, key: &str) -> u64 {
    value[key]
        .as_u64()
        .unwrap_or_else(|| panic!("{key} of {value}"))
}

/// What is told of one partition.
fn one<'a>(told: &'a Value, topic: &str, partition: i64) -> &'a Value {
    let all = told["partitions"].as_array().expect("a list");
    let name = format!("{topic}-{partition}");
    let found = all.iter().find(|one| one["partition"] == *name);
    found.unwrap_or_else(|| panic!("nothing of {name}: {told}"))
}

/// Whose logs of a partition were read.
fn logs(partition: &Value) -> Vec<String> {
    let logs = partition["logs"].as_array().expect("a list");
    let of = |log: &Value| match log["broker"].as_i64() {
        Some(broker) => broker.to_string(),
        None => log["log"].as_str().expect("a name").to_owned(),
    };
    logs.iter().map(of).collect()
}

/// Batches of a segment with their places, in the middle of which one is taken.
fn middle(log: &PathBuf) -> (Vec<u8>, usize, compare::Batch) {
    let bytes = fs::read(log).expect("it is there");
    let dir = log.parent().expect("it lies in a partition");
    let mut batches = compare::read(dir).expect("readable").whole;
    let nth = batches.len() / 3;
    assert!(nth > 0, "there are some before");
    let at = batches[..nth].iter().map(|batch| batch.bytes.len()).sum();
    (bytes, at, batches.swap_remove(nth))
}

/// Changes a byte of a record. Says in which batch.
fn flip(log: &PathBuf) -> i64 {
    let (mut bytes, at, batch) = middle(log);
    bytes[at + batch.bytes.len() - 3] ^= 1;
    fs::write(log, bytes).expect("it is ours");
    batch.base
}

/// Takes a batch away, with the indexes that would tell. Says which offsets it had.
fn cut_out(log: &PathBuf) -> (i64, i64) {
    let (mut bytes, at, batch) = middle(log);
    bytes.drain(at..at + batch.bytes.len());
    fs::write(log, bytes).expect("it is ours");
    for index in ["index", "timeindex"] {
        fs::remove_file(log.with_extension(index)).expect("it is there");
    }
    (batch.base, batch.next)
}
