//! There and back: a source that was failed over from gets what was written since, and leads again.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::node::{APART, Described, Node};
use super::set_aside as listing;
use super::*;

/// How long replicas may take to be equal.
const WITHIN: Duration = Duration::from_secs(60);

const TOPICS: &str = "round\\..*";
/// What is written all the time, on one side or the other.
const LOAD: &str = "round.load";
const COUNT: usize = 3;

#[test]
fn what_was_written_after_a_failover_comes_back() {
    let Some(_turn) = Turn::take("what_was_written_after_a_failover_comes_back") else {
        return;
    };
    for version in newest_and_another("failing_back") {
        let mut round = Round::begin(&version, "failing-back");
        round.fails_over();
        round.fails_back();
        round.hands_back();
        round.goes_on();
    }
}

/// The node that knows where both sides part is gone, and has left its report.
#[test]
fn a_report_stands_for_the_node_that_wrote_it() {
    let Some(_turn) = Turn::take("a_report_stands_for_the_node_that_wrote_it") else {
        return;
    };
    for version in newest_and_another("reported") {
        let mut round = Round::begin(&version, "reported");
        round.leaves_a_report();
        round.comes_back_by_the_report();
        round.hands_back();
    }
}

/// Neither that node nor a report of it is left.
#[test]
fn a_comparison_stands_for_the_report() {
    let Some(_turn) = Turn::take("a_comparison_stands_for_the_report") else {
        return;
    };
    for version in newest_and_another("compared_back") {
        let mut round = Round::begin(&version, "compared");
        let left = round.leaves_nothing();
        round.is_compared(&left);
        round.comes_back_by_the_comparison(&left);
        round.hands_back();
    }
}

/// A failover is tried out, and its end is that all goes on as it was.
#[test]
fn after_a_drill_the_first_direction_goes_on() {
    let Some(_turn) = Turn::take("after_a_drill_the_first_direction_goes_on") else {
        return;
    };
    for version in newest_and_another("drilled") {
        let mut round = Round::begin(&version, "drilled");
        round.is_drilled();
    }
}

/// Two clusters, and a node for each direction.
struct Round {
    first: Cluster,
    second: Cluster,
    /// From the first onto the second.
    there: Node,
    /// From the second onto the first.
    back: Node,
}

impl Round {
    fn begin(version: &str, name: &str) -> Round {
        let workload = Arc::new(Workload::start(version));
        let start = |side| Cluster::start(&workload, &format!("{name}-{side}"), 2, &APART);
        let (first, second) = (start("first"), start("second"));
        first.ask(&format!("create topic={LOAD} partitions={COUNT} rf=2"));
        first.ask(&format!(
            "produce topic={LOAD} count=900 keys=60 idempotent=true"
        ));
        let [there, back] = Node::pair(&first, &second, TOPICS);
        let mut round = Round {
            first,
            second,
            there,
            back,
        };
        round.there.start();
        round
            .there
            .until("at first", COUNT, |one| one.is_caught_up());
        round
    }

    /// The first cluster writes on after its mirror has stopped: that tail is what has to go.
    fn fails_over(&mut self) {
        let stop = ["stop", "--mirror", "dr", "--topics", TOPICS, "--wait"];
        let stop = [&stop[..], &["--json"]].concat();
        let report = self.there.mirrors(&stop).expect_code(0).json();
        self.first
            .ask(&format!("produce topic={LOAD} count=150 keys=60"));
        self.first.ask(&format!(
            "produce topic={LOAD} count=100 keys=60 idempotent=true"
        ));
        self.first.ask(&format!(
            "transact topic={LOAD} id=lost txns=3 count=10 end=alternate"
        ));
        self.second.ask(&format!(
            "produce topic={LOAD} count=400 keys=60 idempotent=true"
        ));
        self.second.ask(&format!(
            "transact topic={LOAD} id=t txns=4 count=10 end=alternate"
        ));
        self.report_is_checked(&report);
    }

    /// What the report says of the batches is what an auditor finds on all disks, though both sides
    /// have gone on since.
    fn report_is_checked(&self, report: &serde_json::Value) {
        let rows = report.as_array().expect("a list of partitions");
        assert_eq!(rows.len(), COUNT);
        for row in rows {
            let told = &row["digest"];
            assert_eq!(told["to"], row["lastMirrorOffset"], "{row}");
            assert!(told["batches"].as_u64() > Some(1), "{row}");
            let [from, to] = ["from", "to"].map(|key| told[key].to_string());
            for (cluster, broker) in [&self.first, &self.second]
                .iter()
                .flat_map(|cluster| [1, 2].map(|broker| (cluster, broker)))
            {
                let dir = cluster
                    .log_dir(broker)
                    .join(format!("{LOAD}-{}", row["partition"]));
                let dir = dir.to_str().expect("our paths are text");
                let args = [
                    "inspect", dir, "--digest", "--from", &from, "--to", &to, "--json",
                ];
                let shown = program::run(self.there.outputs(), &args).expect_code(0);
                let whole = shown.stdout.lines().last().expect("it has batches");
                let whole: serde_json::Value = serde_json::from_str(whole).expect("it is JSON");
                for key in ["from", "to", "batches", "digest"] {
                    assert_eq!(whole[key], told[key], "{dir}: {whole} {told}");
                }
            }
        }
    }

    fn fails_back(&mut self) {
        let left = self.there.describe();
        let ends = self.first.offsets(LOAD);
        self.is_told_beforehand(&left, &ends);
        self.back.start();
        // It waits for an operator's word.
        std::thread::sleep(Duration::from_secs(2));
        assert!(self.back.describe().is_empty(), "{}", self.back.said());
        let start = ["start", "--mirror", "back", "--topics", TOPICS];
        self.back.mirrors(&start).expect_code(0);
        self.back.until("back", COUNT, |one| one.is_caught_up());
        self.are_equal("after the way back");
        for (one, was) in left.iter().zip(&ends) {
            let tail = was.high_watermark - one.last_mirror_offset;
            assert!(tail > 0, "{one:?} {was:?}");
            let aside = self.set_aside(one.partition);
            assert_eq!(aside.len() as i64, 1, "{one:?}");
            let aside = compare::read(&aside[0]).expect("it is whole");
            assert_eq!(
                aside.range(),
                (one.last_mirror_offset, was.high_watermark),
                "{one:?}"
            );
        }
        let told = listing::told(&self.back);
        listing::is_what_lies_there(&self.first.workload, &self.back, &told);
        self.back.stop().expect_code(0);
        self.back.start();
        self.back.until("anew", COUNT, |one| one.is_caught_up());
        assert_eq!(
            listing::told(&self.back),
            told,
            "it is told after a restart"
        );
    }

    /// Both sides write on after it was written, and its node dies.
    fn leaves_a_report(&mut self) {
        let report = self.report();
        let stop = ["stop", "--mirror", "dr", "--topics", TOPICS, "--report"];
        let stop = [&stop[..], &[report.to_str().expect("text")]].concat();
        self.there.mirrors(&stop).expect_code(0);
        self.there.kill();
        self.first
            .ask(&format!("produce topic={LOAD} count=150 keys=60"));
        self.second.ask(&format!(
            "produce topic={LOAD} count=400 keys=60 idempotent=true"
        ));
        self.back
            .configure(&format!("\"peer.report\" = \"{}\"\n", report.display()));
    }

    fn report(&self) -> PathBuf {
        self.back.outputs().join("report.json")
    }

    /// It is refused while it is damaged, or says what cannot be.
    fn comes_back_by_the_report(&mut self) {
        let path = self.report();
        let whole = std::fs::read_to_string(&path).expect("it was exported");
        let ends = self.first.offsets(LOAD);
        let half = &whole[..whole.len() / 2];
        std::fs::write(&path, half).expect("target is writable");
        self.back.start();
        let start = ["start", "--mirror", "back", "--topics", TOPICS];
        self.back.mirrors(&start).expect_code(0);
        self.is_refused(&["report.json", "no whole report", "export it again"]);
        let mut said: serde_json::Value = serde_json::from_str(&whole).expect("JSON");
        let mut change = |name: &str, value: serde_json::Value| {
            let stops = said.as_array_mut().expect("a list of partitions");
            let was = stops.iter_mut().map(|stop| {
                let was = stop[name].clone();
                stop[name] = value.clone();
                was
            });
            let was: Vec<_> = was.collect();
            std::fs::write(&path, said.to_string()).expect("target is writable");
            let stops = said.as_array_mut().expect("a list of partitions");
            for (stop, was) in stops.iter_mut().zip(was) {
                stop[name] = was;
            }
        };
        change("ledEpoch", serde_json::Value::Null);
        self.is_refused(&["report.json", "ledEpoch", "export it again"]);
        change("sourceClusterId", "another".into());
        self.is_refused(&[
            "report.json",
            "says nothing of the partition as one that was mirrored",
        ]);
        for stop in said.as_array_mut().expect("a list of partitions") {
            let lmo = stop["lastMirrorOffset"].as_i64().expect("a number");
            stop["lastMirrorOffset"] = (lmo - 1).into();
        }
        std::fs::write(&path, said.to_string()).expect("target is writable");
        self.is_refused(&["within the batch", "peer.report"]);
        let untouched = self.first.offsets(LOAD);
        assert_eq!(format!("{untouched:?}"), format!("{ends:?}"));
        std::fs::write(&path, whole).expect("target is writable");
        self.is_tried_again(Described::is_caught_up);
        self.are_equal("by the report");
    }

    /// The node is gone with all that it knew, and both sides write on.
    fn leaves_nothing(&mut self) -> Vec<Described> {
        let stop = ["stop", "--mirror", "dr", "--topics", TOPICS, "--wait"];
        self.there.mirrors(&stop).expect_code(0);
        let left = self.there.describe();
        self.there.kill();
        std::fs::remove_dir_all(&self.there.data).expect("it was there");
        for (cluster, seed) in [(&self.first, 2), (&self.second, 3)] {
            let records = format!("topic={LOAD} count=150 keys=60 seed={seed}");
            cluster.ask(&format!("produce {records}"));
            cluster.ask(&format!("produce {records} idempotent=true"));
        }
        left
    }

    /// What it says first is done.
    fn is_compared(&mut self, left: &[Described]) {
        let before = self.first.offsets(LOAD);
        self.back.start();
        let start = ["start", "--mirror", "back", "--topics", TOPICS];
        self.back.mirrors(&start).expect_code(0);
        self.is_refused(&["twinlog verify --parting", "peer.report"]);
        let report = self.report();
        let (to, from) = (self.first.bootstrap(), self.second.bootstrap());
        let verify = ["verify", "--destination", &to, "--from", &from];
        let path = report.to_str().expect("our paths are text");
        let more = ["--topics", TOPICS, "--parting", path];
        let told = program::run(self.back.outputs(), &[&verify[..], &more].concat());
        // They differ behind that, and it says so.
        let told = told.expect_code(1);
        eprintln!("{}", told.stdout);
        assert_eq!(
            told.stdout.matches("both sides part at offset").count(),
            COUNT
        );
        let text = std::fs::read(&report).expect("it was written");
        let rows: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        let rows = rows.as_array().expect("a list of partitions");
        assert_eq!(rows.len(), COUNT, "{rows:?}");
        for row in rows {
            let is_it = |one: &&Described| row["partition"] == one.partition;
            let one = left.iter().find(is_it).expect("it was mirrored");
            assert_eq!(row["lastMirrorOffset"], one.last_mirror_offset, "{row}");
        }
        let after = self.first.offsets(LOAD);
        assert_eq!(format!("{after:?}"), format!("{before:?}"), "it only reads");
    }

    /// What both have is not moved, and what the first cluster alone has is set aside.
    fn comes_back_by_the_comparison(&mut self, left: &[Described]) {
        let ends = self.first.offsets(LOAD);
        self.back.stop().expect_code(0);
        let report = format!("\"peer.report\" = \"{}\"\n", self.report().display());
        self.back.configure(&report);
        self.back.start();
        self.is_tried_again(Described::is_caught_up);
        self.are_equal("by the comparison");
        let (mut common, mut new) = (0, 0);
        for (one, was) in left.iter().zip(&ends) {
            let (from, to) = (one.last_mirror_offset, was.high_watermark);
            assert!(to > from, "{one:?} {was:?}");
            let aside = self.set_aside(one.partition);
            assert_eq!(aside.len(), 1, "{one:?}");
            assert_eq!(compare::range(&aside[0]), Some((from, to)), "{one:?}");
            let dir = self.second.log_dir(1).join(was.directory());
            for batch in compare::read(&dir).expect("it is whole").whole {
                let bytes = if batch.base < from {
                    &mut common
                } else {
                    &mut new
                };
                *bytes += batch.bytes.len() as i64;
            }
        }
        // Numbers are up to a second old.
        std::thread::sleep(Duration::from_millis(1500));
        let moved = self.back.summed("shard_bytes_total");
        eprintln!("{moved} bytes were moved; {new} are new, {common} are on both sides");
        assert!(moved >= new && moved < new + common / 4, "{moved}");
    }

    /// What was refused is tried again until it is refused in these words, or no more.
    fn is_tried_again(&mut self, until: impl Fn(&Described) -> bool) {
        let recover = ["recover", "--mirror", "back", "--topics", LOAD];
        let begun = Instant::now();
        loop {
            let all = self.back.describe();
            if all.len() == COUNT && all.iter().all(&until) {
                return;
            }
            assert!(begun.elapsed() < WITHIN, "{all:#?}");
            // Not all have failed yet, or any more.
            self.back.mirrors(&recover);
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn is_refused(&mut self, words: &[&str]) {
        self.is_tried_again(|one| {
            let error = one.error.as_deref().unwrap_or_default();
            one.state == "FAILED" && words.iter().all(|word| error.contains(word))
        });
    }

    fn is_drilled(&mut self) {
        self.back.start();
        self.fails_over();
        let left = self.there.describe();
        let ends = self.second.offsets(LOAD);
        let start = ["start", "--mirror", "dr", "--topics", TOPICS];
        let dry = [&start[..], &["--dry-run", "--json"]].concat();
        let told = self.there.mirrors(&dry).expect_code(0).json();
        let plans = told.as_array().expect("a list of partitions");
        assert_eq!(plans.len(), COUNT, "{told}");
        for ((plan, left), end) in plans.iter().zip(&left).zip(&ends) {
            assert_eq!(plan["partsAt"], left.last_mirror_offset, "{plan}");
            assert_eq!(plan["cut"]["to"], end.high_watermark, "{plan}");
        }
        self.there.mirrors(&start).expect_code(0);
        self.there.until("goes on", COUNT, |one| one.is_caught_up());
        self.are_equal("after the drill");
        let aside = self.there.data.join("logs.aside");
        let aside = std::fs::read_dir(aside).expect("what was written is set aside");
        assert_eq!(aside.count(), COUNT);
    }

    /// A node whose mirror has no topics yet says what would be done, and does nothing.
    fn is_told_beforehand(&self, left: &[Described], ends: &[cluster::Partition]) {
        let mut asked = Node::member(&self.first, "asked");
        asked.declare_beside(&self.there, "back", &self.second, "none");
        asked.start();
        let words = ["start", "--mirror", "back", "--topics", LOAD];
        let dry = [&words[..], &["--dry-run", "--json"]].concat();
        let begun = Instant::now();
        let told = loop {
            let told = asked.mirrors(&dry).expect_code(0).json();
            let hindered = told.to_string().contains("not heard of yet");
            if told.as_array().is_some_and(|all| all.len() == COUNT) && !hindered {
                break told;
            }
            assert!(begun.elapsed() < WITHIN, "{told}");
            std::thread::sleep(Duration::from_millis(200));
        };
        let shown = asked.mirrors(&dry[..dry.len() - 1]).expect_code(0);
        eprintln!("{}", shown.stdout);
        for ((plan, left), end) in told.as_array().into_iter().flatten().zip(left).zip(ends) {
            let lmo = left.last_mirror_offset;
            assert_eq!(plan["partsAt"], lmo, "{plan}");
            assert_eq!(plan["cut"]["from"], lmo, "{plan}");
            assert_eq!(plan["cut"]["to"], end.high_watermark, "{plan}");
            assert_eq!(plan["copy"]["from"], lmo, "{plan}");
        }
        assert_eq!(self.first.offsets(LOAD).len(), COUNT, "nothing was touched");
        asked.stop().expect_code(0);
    }

    /// Directories of what was set aside of a partition at the first cluster.
    fn set_aside(&self, partition: i64) -> Vec<PathBuf> {
        let all = std::fs::read_dir(self.back.data.join("logs.aside"));
        let all = all
            .into_iter()
            .flatten()
            .map(|entry| entry.expect("readable").path());
        let name = format!("{LOAD}-{partition}");
        let is_of = |path: &PathBuf| {
            let file = path.file_name().and_then(|name| name.to_str());
            file.is_some_and(|file| file.starts_with(&name))
        };
        all.filter(is_of).collect()
    }

    fn hands_back(&mut self) {
        self.second.ask(&format!(
            "produce topic={LOAD} count=200 keys=60 idempotent=true"
        ));
        self.back.until("again", COUNT, |one| one.is_caught_up());
        let report = self.back.outputs().join("back.json");
        let stop = ["stop", "--mirror", "back", "--topics", TOPICS, "--report"];
        let stop = [&stop[..], &[report.to_str().expect("text")]].concat();
        let stopped = self.back.mirrors(&stop).expect_code(0);
        eprintln!("{}", stopped.stdout);
        assert_eq!(stopped.stdout.matches(": set aside: ").count(), COUNT);
        let report = std::fs::read(report).expect("it is exported");
        let report: serde_json::Value = serde_json::from_slice(&report).expect("it is JSON");
        assert_eq!(listing::of(&report), listing::told(&self.back));
        self.first.ask(&format!(
            "produce topic={LOAD} count=250 keys=60 idempotent=true"
        ));
    }

    /// The first direction resumes.
    fn goes_on(&mut self) {
        let start = ["start", "--mirror", "dr", "--topics", TOPICS];
        self.there.mirrors(&start).expect_code(0);
        self.there
            .until("there again", COUNT, |one| one.is_caught_up());
        self.are_equal("after the whole round");
    }

    /// All replicas of both clusters hold the same, but for the epochs of its batches.
    fn are_equal(&mut self, when: &str) {
        for partition in 0..COUNT {
            let sides = [&self.first, &self.first, &self.second, &self.second];
            let dirs = sides.into_iter().zip([1, 2, 1, 2]);
            let dirs = dirs.map(|(cluster, broker)| {
                cluster.log_dir(broker).join(format!("{LOAD}-{partition}"))
            });
            let dirs: Vec<PathBuf> = dirs.collect();
            let range = |dir: &PathBuf| compare::read(dir).ok().map(|batches| batches.range());
            let begun = Instant::now();
            while dirs.iter().any(|dir| range(dir) != range(&dirs[0])) {
                let ranges: Vec<_> = dirs.iter().map(range).collect();
                assert!(
                    begun.elapsed() < WITHIN,
                    "{when}: {partition}: {ranges:?}\n{}\n{}",
                    self.there.said(),
                    self.back.said()
                );
                std::thread::sleep(Duration::from_millis(200));
            }
            let (from, to) = range(&dirs[0]).expect("it is whole");
            for dir in &dirs[1..] {
                compare::agree_but_for_epochs(&dirs[0], dir, from..to)
                    .unwrap_or_else(|difference| panic!("{when}: {difference}"));
            }
        }
    }
}
