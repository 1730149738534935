//! A planned stop while producers still write to the source: it waits, through a SIGKILL of the
//! node as well, and each topic is handed over by itself once its source has stood still, with all
//! that the source has and nothing beside it.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::mirrored::Mirrored;
use super::program::Running;
use super::*;

/// Written to without a rest: something is missing nearly always.
const BUSY: &str = "wait.busy";
/// Written to now and then: nothing is missing for most of the time, but more is to come.
const SLOW: &str = "wait.slow";
/// Each with the records that are written to it within a second.
const RATES: [(&str, u32); 2] = [(BUSY, 300), (SLOW, 4)];
const PARTITIONS: usize = 4;
/// Before a planned stop nothing may have come for so long.
const STILL: Duration = Duration::from_secs(5);
/// The last record may have been written so long before its producer was told to end.
const LAST_RECORD: Duration = Duration::from_secs(2);
/// How long anything may take that the stop does not have to wait for.
const WITHIN: Duration = Duration::from_secs(60);

#[test]
fn a_planned_stop_waits_for_producers_to_end_through_a_kill() {
    let test = "a_planned_stop_waits_for_producers_to_end_through_a_kill";
    let Some(_turn) = Turn::take(test) else {
        return;
    };
    for version in newest_and_another("awaiting") {
        let mut scene = Scene::begin(&version);
        scene.it_waits("it was just asked for");
        scene.node_is_killed();
        scene.it_waits("the node is back");
        scene.producer_ends(BUSY);
        scene.others_still_wait(SLOW);
        scene.producer_ends(SLOW);
        scene.all_is_handed_over();
    }
}

struct Scene {
    mirrored: Mirrored,
    /// The operator's command. It asks for the stop once, and only looks on from there.
    stop: Running,
}

impl Scene {
    fn begin(version: &str) -> Scene {
        let workload = Arc::new(Workload::start(version));
        let mut mirrored = Mirrored::begin(&workload, "awaiting", "wait\\..*");
        for (topic, rate) in RATES {
            let source = &mirrored.source;
            source.ask(&format!("create topic={topic} partitions=2"));
            source.ask(&format!("produce topic={topic} count=40"));
            source.ask(&format!(
                "load id={topic} topic={topic} rate={rate} keys=10000"
            ));
        }
        let node = &mut mirrored.node;
        node.start();
        node.until("it mirrors", PARTITIONS, |one| one.state == "MIRRORING");
        let stop = node.begin_mirrors(&[
            "stop",
            "--mirror",
            "dr",
            "--topics",
            "wait\\..*",
            "--planned",
            "--wait",
            "--json",
        ]);
        Scene { mirrored, stop }
    }

    /// For longer than a source has to stand still: whatever is written arrives, and nothing is
    /// handed over.
    fn it_waits(&mut self, when: &str) {
        let had = self.written();
        let told = self.told_to_wait();
        let begun = Instant::now();
        while begun.elapsed() < STILL + LAST_RECORD || self.told_to_wait() == told {
            assert!(begun.elapsed() < WITHIN, "{when}: {}", self.stop.said());
            self.stop.assert_alive();
            self.mirrored.node.assert_alive();
            let all = self.mirrored.node.describe();
            assert_eq!(all.len(), PARTITIONS, "{when}: {all:#?}");
            let is_mirrored = all.iter().all(|one| one.state == "MIRRORING");
            assert!(is_mirrored, "{when}: {all:#?}");
            std::thread::sleep(Duration::from_millis(100));
        }
        let has = self.written();
        for (had, has) in had.iter().zip(has) {
            assert!(*had < has, "{when}: {had} written, then {has}");
        }
    }

    /// Records at the source, of each topic.
    fn written(&self) -> [i64; 2] {
        RATES.map(|(topic, _)| {
            let ends = self.mirrored.source.offsets(topic);
            ends.iter().map(|end| end.high_watermark).sum()
        })
    }

    /// How often the command has said that nothing is handed over yet.
    fn told_to_wait(&self) -> usize {
        let said = self.stop.said();
        let none = format!("0 of {PARTITIONS} partitions stopped");
        said.matches(&none).count()
    }

    fn node_is_killed(&mut self) {
        let node = &mut self.mirrored.node;
        node.kill();
        node.start();
        let had = self.mirrored.source.offsets("wait\\..*");
        let node = &mut self.mirrored.node;
        node.until("it mirrors again", PARTITIONS, |one| {
            let mut of_it = had.iter().filter(|end| end.topic == one.topic);
            let end = of_it.find(|end| i64::from(end.index) == one.partition);
            let end = end.map(|end| end.high_watermark);
            one.state == "MIRRORING" && Some(one.destination_offset) >= end
        });
    }

    /// From then on nothing comes, and what was said long ago is done.
    fn producer_ends(&mut self, topic: &str) {
        let ended = Instant::now();
        let written = self.mirrored.source.ask(&format!("unload id={topic}"));
        assert_eq!(written.number("failed"), 0, "{topic}");
        let node = &mut self.mirrored.node;
        node.until_topic("handed over", topic, |one| one.state == "STOPPED");
        let took = ended.elapsed();
        assert!(took + LAST_RECORD >= STILL, "{topic}: after {took:?}");
        eprintln!("{topic}: handed over {took:?} after its producer was told to end");
    }

    fn others_still_wait(&mut self, topic: &str) {
        let mut all = self.mirrored.node.describe();
        all.retain(|one| one.topic == topic);
        let is_mirrored = all.iter().all(|one| one.state == "MIRRORING");
        assert!(is_mirrored && !all.is_empty(), "{all:#?}");
        self.stop.assert_alive();
    }

    fn all_is_handed_over(mut self) {
        let ended = self.stop.await_end(WITHIN).expect_code(0);
        let ended = ended.expect_said(&["waiting for it to come back"]);
        let report = ended.json();
        let rows = report.as_array().expect("a row for each partition");
        assert_eq!(rows.len(), PARTITIONS, "{report}");
        for (topic, _) in RATES {
            let had = self.mirrored.source.offsets(topic);
            let has = self.mirrored.destination.offsets(topic);
            assert_eq!(had.len(), has.len());
            for (had, has) in had.iter().zip(&has) {
                let row = rows.iter().find(|row| {
                    row["topic"] == had.topic.as_str() && row["partition"] == had.index
                });
                is_whole(row.expect("it was stopped"), had.high_watermark);
                assert_eq!(has.high_watermark, had.high_watermark, "{has:?}");
            }
            self.mirrored.arrives(topic, "handed over");
        }
        self.mirrored.node.stop().expect_code(0);
    }
}

/// A stock broker leads it from where the source ends, and nothing is lost.
fn is_whole(row: &Value, end: i64) {
    assert_eq!(row["state"], "STOPPED", "{row}");
    assert_eq!(row["lastMirrorOffset"], end, "{row}");
    assert_eq!(row["logEnd"], end, "{row}");
    assert_eq!(row["lag"], 0, "{row}");
    assert!(row["lost"].is_null(), "{row}");
    assert!(row["newLeader"] == 1 || row["newLeader"] == 2, "{row}");
}
