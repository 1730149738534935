//! A node of ours loses its disk: it shortens nobody's log, says what to do, and what is done then
//! ends exact.

use std::fs;
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
        let mut scene = Scene::begin(&version);
        scene.wiped_while_it_was_stopped();
        scene.wiped_when_it_was_killed();
        scene.its_logs_alone_are_wiped();
    }
}

struct Scene {
    mirrored: Mirrored,
    ledger: Ledger,
}

impl Scene {
    fn begin(version: &str) -> Scene {
        let workload = Arc::new(Workload::start(version));
        let mut mirrored = Mirrored::begin(&workload, "wiping", TOPICS);
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

fn does_as_it_says(node: &mut Node, why: &str) {
    node.stop().expect_code(0);
    let command = why.split("run ").nth(1).expect("a command");
    let command = command.split(", start").next().expect("it ends");
    let done = Command::new("sh").args(["-ec", command]).status();
    assert!(done.expect("there is a shell").success(), "{command}");
    node.start();
}
