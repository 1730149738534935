//! A node of ours loses its disk: it shortens nobody's log, says what to do, and what is done then
//! ends exact. Compared with its source, what the destination has goes on where both sides part.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::ledger::{Id, Ledger};
use super::mirrored::Mirrored;
use super::node::{Described, Node};
use super::*;

const TOPICS: &str = "wiped\\..*";
/// To be left to the destination, and to be mirrored anew.
const LEFT: &str = "wiped.left";
const ANEW: &str = "wiped.anew";
const IDS: [Id; 4] = [(LEFT, 0), (LEFT, 1), (ANEW, 0), (ANEW, 1)];
const WITHIN: Duration = Duration::from_secs(60);

#[test]
fn a_node_without_its_disk_shortens_nobodys_log() {
    let test = "a_node_without_its_disk_shortens_nobodys_log";
    let Some(_turn) = Turn::take(test) else {
        return;
    };
    for version in oldest_and_newest() {
        let mut scene = Scene::begin(&version, "wiping");
        scene.wiped_while_it_was_stopped();
        scene.wiped_when_it_was_killed();
        scene.its_logs_alone_are_wiped();
    }
}

#[test]
fn what_is_compared_goes_on_where_both_sides_part() {
    let test = "what_is_compared_goes_on_where_both_sides_part";
    let Some(_turn) = Turn::take(test) else {
        return;
    };
    for version in newest_and_another("compared") {
        let mut scene = Scene::begin(&version, "wiped-compared");
        scene.goes_on_where_both_sides_part();
    }
}

struct Scene {
    mirrored: Mirrored,
    ledger: Ledger,
}

impl Scene {
    fn begin(version: &str, name: &str) -> Scene {
        let workload = Arc::new(Workload::start(version));
        let mut mirrored = Mirrored::begin(&workload, name, TOPICS);
        for topic in [LEFT, ANEW] {
            let source = &mirrored.source;
            source.ask(&format!("create topic={topic} partitions=2"));
            source.ask(&format!("produce topic={topic} count=400 batch=2000"));
        }
        mirrored.node.start();
        for topic in [LEFT, ANEW] {
            mirrored.arrives(topic, "at first");
            mirrored.until_in_sync(topic, &[1, 2, 9001]);
        }
        let mut ledger = Ledger::default();
        let count = mirrored.source.offsets(TOPICS).len();
        mirrored
            .node
            .until("caught up", count, |one| one.is_caught_up());
        mirrored.notes(&mut ledger, &IDS);
        Scene { mirrored, ledger }
    }

    fn wipes(&self) {
        fs::remove_dir_all(&self.mirrored.node.data).expect("it was there");
    }

    fn is_kept(&mut self, ids: &[Id], when: &str) {
        let Scene { mirrored, ledger } = self;
        mirrored.keep(ledger, ids, &[1, 2], when);
    }

    /// Nothing is known of what the destination has: it is left as it is, with words about it. The
    /// node may have found its replicas before its mirror, and have moved them away like any others
    /// that are laid upon it.
    fn is_refused(&mut self, topic: &str, when: &str) {
        let node = &mut self.mirrored.node;
        let failed = node.until_topic(when, topic, |one| one.state == "FAILED");
        for one in failed {
            let why = one.error.unwrap_or_default();
            let refusals = [
                "is known to be the source's",
                "moved the partition away",
                "that is not ours",
            ];
            let is_known = refusals.iter().any(|words| why.contains(words));
            assert!(is_known && why.contains("delete"), "{when}: {why}");
        }
    }

    fn wiped_while_it_was_stopped(&mut self) {
        self.mirrored.node.stop().expect_code(0);
        self.wipes();
        let source = &self.mirrored.source;
        source.ask(&format!("produce topic={LEFT} count=50 seed=2"));
        self.mirrored.node.start();
        self.is_refused(LEFT, "wiped while it was stopped");
        self.is_refused(ANEW, "wiped while it was stopped");
        self.is_kept(&IDS, "wiped while it was stopped");
        let node = &self.mirrored.node;
        let stop = ["stop", "--mirror", "dr", "--topics", LEFT, "--wait"];
        node.mirrors(&stop).expect_code(0);
        self.mirrored.until_in_sync(LEFT, &[1, 2]);
        let destination = &self.mirrored.destination;
        destination.ask(&format!("produce topic={LEFT} count=20 acks=all"));
        self.is_kept(&IDS, "left to the destination");
        self.is_mirrored_anew();
    }

    /// Deleted at the destination, with what the node has of it out of the way, as it says.
    fn is_mirrored_anew(&mut self) {
        let destination = &self.mirrored.destination;
        destination.ask(&format!("delete topic={ANEW}"));
        let node = &mut self.mirrored.node;
        let recover = ["recover", "--mirror", "dr", "--topics", ANEW];
        let begun = Instant::now();
        loop {
            // Until it has heard of that it is refused for the same reason again.
            drop(node.mirrors(&recover));
            std::thread::sleep(Duration::from_millis(500));
            let mut all = node.describe();
            all.retain(|one| one.topic == ANEW);
            if all.iter().all(Described::is_caught_up) {
                break;
            }
            let errors = all.into_iter().filter_map(|one| one.error);
            if let Some(why) = errors.into_iter().find(|why| why.contains("&& find ")) {
                does_as_it_says(node, &why);
            }
            assert!(begun.elapsed() < WITHIN, "it is not mirrored anew");
        }
        self.mirrored.until_in_sync(ANEW, &[1, 2, 9001]);
        self.mirrored.arrives(ANEW, "mirrored anew");
        self.is_kept(&IDS[2..], "mirrored anew");
    }

    fn wiped_when_it_was_killed(&mut self) {
        self.mirrored.node.kill();
        self.wipes();
        self.mirrored.node.start();
        self.is_refused(ANEW, "wiped when it was killed");
        self.is_kept(&IDS, "wiped when it was killed");
        self.is_mirrored_anew();
    }

    /// As if the file system that they were on had not been mounted: in the life that it was in it
    /// would be taken for a leader that has nothing.
    fn its_logs_alone_are_wiped(&mut self) {
        self.mirrored.notes(&mut self.ledger, &IDS[2..]);
        self.mirrored.node.kill();
        fs::remove_dir_all(self.mirrored.node.data.join("logs")).expect("it was there");
        self.mirrored.node.start();
        self.is_refused(ANEW, "its logs alone are wiped");
        self.is_kept(&IDS, "its logs alone are wiped");
        self.is_mirrored_anew();
    }
}

impl Scene {
    /// Whoever reaches the destination writes to one of the topics while the node is away, and the
    /// source goes on. What both have stays where it is.
    fn goes_on_where_both_sides_part(&mut self) {
        self.mirrored.node.kill();
        self.wipes();
        let mirrored = [LEFT, ANEW].map(|topic| self.mirrored.source.offsets(topic));
        let mirrored = mirrored.iter().flatten().map(|one| one.high_watermark);
        let ends: Vec<i64> = mirrored.collect();
        let ends: [i64; 4] = ends.try_into().expect("two of each topic");
        let Mirrored {
            source,
            destination,
            ..
        } = &self.mirrored;
        for partition in [0, 1] {
            let theirs = format!("partition={partition} count=40 acks=all seed=7");
            destination.ask(&format!("produce topic={LEFT} {theirs}"));
        }
        for topic in [LEFT, ANEW] {
            for partition in [0, 1] {
                let more = format!("partition={partition} count=100 seed=2");
                source.ask(&format!("produce topic={topic} {more}"));
            }
        }
        self.mirrored.node.start();
        for topic in [LEFT, ANEW] {
            self.is_refused(topic, "wiped, to be compared");
        }
        let node = &self.mirrored.node;
        let stop = ["stop", "--mirror", "dr", "--topics", TOPICS, "--wait"];
        node.mirrors(&stop).expect_code(0);
        let written = self.mirrored.destination.offsets(LEFT);
        self.is_compared(&ends);
        let node = &mut self.mirrored.node;
        node.stop().expect_code(0);
        let report = format!("\"peer.report\" = \"{}\"\n", report(node).display());
        node.configure(&report);
        node.start();
        let start = ["start", "--mirror", "dr", "--topics", TOPICS];
        node.mirrors(&start).expect_code(0);
        let count = IDS.len();
        node.until("compared", count, |one| one.is_caught_up());
        self.is_exact(&ends, &written, "it goes on");
        let node = &mut self.mirrored.node;
        let stop = ["stop", "--mirror", "dr", "--topics", TOPICS, "--wait"];
        node.mirrors(&stop).expect_code(0);
        self.is_kept(&IDS, "handed over");
    }

    /// The report names each partition, at the end of what was mirrored.
    fn is_compared(&self, ends: &[i64; 4]) {
        let Mirrored {
            source,
            destination,
            node,
        } = &self.mirrored;
        let report = report(node);
        let (from, to) = (source.bootstrap(), destination.bootstrap());
        let verify = ["verify", "--destination", &to, "--from", &from, "--json"];
        let path = report.to_str().expect("our paths are text");
        let more = ["--topics", TOPICS, "--parting", path];
        let told = program::run(node.outputs(), &[&verify[..], &more].concat());
        let told = told.expect_code(0).json();
        let text = fs::read_to_string(&report).expect("it was written");
        let rows: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let rows = rows.as_array().expect("a list of partitions");
        assert_eq!(rows.len(), ends.len(), "{text}");
        for ((topic, partition), end) in IDS.into_iter().zip(ends) {
            let is_it =
                |row: &&serde_json::Value| row["topic"] == topic && row["partition"] == partition;
            let row = rows.iter().find(is_it).expect("each has an entry");
            assert_eq!(row["lastMirrorOffset"], *end, "{text}\n{told}");
        }
    }

    /// All that the source has is at both brokers, and more comes. The node has what follows the
    /// parting, and has set aside what others wrote.
    fn is_exact(&mut self, ends: &[i64; 4], written: &[cluster::Partition], when: &str) {
        for topic in [LEFT, ANEW] {
            self.mirrored.arrives(topic, when);
            self.mirrored.until_in_sync(topic, &[1, 2, 9001]);
            let source = &self.mirrored.source;
            source.ask(&format!("produce topic={topic} count=60 seed=3"));
            self.mirrored.arrives(topic, when);
        }
        self.is_kept(&IDS, when);
        let Scene { mirrored, ledger } = self;
        mirrored.notes(ledger, &IDS);
        let data = &self.mirrored.node.data;
        for ((topic, partition), end) in IDS.into_iter().zip(ends) {
            let log = data.join("logs").join(format!("{topic}-{partition}"));
            let segments = compare::segments(&log);
            let first = segments.first().and_then(|path| path.file_stem());
            let wanted = format!("{end:020}");
            let is_from_there = first.is_some_and(|first| first == wanted.as_str());
            assert!(is_from_there, "what both have was copied: {segments:?}");
        }
        let aside = |topic, partition, end| {
            let name = format!("{topic}-{partition}.from-{end}");
            compare::range(&data.join("logs.aside").join(name))
        };
        for (partition, (written, end)) in written.iter().zip(ends).enumerate() {
            assert!(written.high_watermark > *end, "others wrote to each");
            let wanted = Some((*end, written.high_watermark));
            assert_eq!(aside(LEFT, partition, end), wanted);
        }
    }
}

fn report(node: &Node) -> PathBuf {
    node.outputs().join("parting.json")
}

fn does_as_it_says(node: &mut Node, why: &str) {
    node.stop().expect_code(0);
    let command = why.split("run ").nth(1).expect("a command");
    let command = command.split(", start").next().expect("it ends");
    let done = Command::new("sh").args(["-ec", command]).status();
    assert!(done.expect("there is a shell").success(), "{command}");
    node.start();
}
