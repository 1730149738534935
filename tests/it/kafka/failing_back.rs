//! There and back: a source that was failed over from gets what was written since, and leads again.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::node::{APART, Described, Node};
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
        let mut round = Round::begin(&version);
        round.fails_over();
        round.fails_back();
        round.hands_back();
        round.goes_on();
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
    fn begin(version: &str) -> Round {
        let workload = Arc::new(Workload::start(version));
        let first = Cluster::start(&workload, "failing-back-first", 2, &APART);
        let second = Cluster::start(&workload, "failing-back-second", 2, &APART);
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
        self.there.mirrors(&stop).expect_code(0);
        self.first
            .ask(&format!("produce topic={LOAD} count=150 keys=60"));
        self.second.ask(&format!(
            "produce topic={LOAD} count=400 keys=60 idempotent=true"
        ));
        self.second.ask(&format!(
            "transact topic={LOAD} id=t txns=4 count=10 end=alternate"
        ));
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
        let stop = ["stop", "--mirror", "back", "--topics", TOPICS, "--wait"];
        let stopped = self.back.mirrors(&stop).expect_code(0);
        eprintln!("{}", stopped.stdout);
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
