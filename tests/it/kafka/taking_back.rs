//! A source that takes back what was mirrored already, by an unclean election, while a replica at
//! the destination is not there: where that is allowed, what it took back goes everywhere.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::compare::range;
use super::mirrored::{Mirrored, nobody_spins, stamps_are_true};
use super::node::APART;
use super::*;

/// How long replicas may take to be equal.
const WITHIN: Duration = Duration::from_secs(60);
/// May lose what the source loses.
const FOLLOWS: &str = "back.follows";
/// May not.
const KEEPS: &str = "back.keeps";

#[test]
fn what_the_source_takes_back_goes_where_that_is_allowed() {
    let Some(_turn) = Turn::take("what_the_source_takes_back_goes_where_that_is_allowed") else {
        return;
    };
    for version in newest_and_another("taking_back") {
        let mut scene = Scene::begin(&version);
        scene.source_takes_back();
        scene.who_may_not_fails();
        scene.who_may_goes_on_from_there();
        scene.who_was_away_is_cut_as_well();
        scene.who_is_allowed_later_goes_on();
    }
}

struct Scene {
    all: Mirrored,
    epoch: i32,
}

impl Scene {
    /// Both brokers of the source, and both of the destination, have a hundred records; four
    /// hundred more lack broker 3 of the source, and broker 2 of the destination is gone then.
    fn begin(version: &str) -> Scene {
        let workload = Arc::new(Workload::start(version));
        let mut source = Cluster::start(&workload, "taking-back-source", 3, &[]);
        let destination = Cluster::start(&workload, "taking-back-destination", 2, &APART);
        for topic in [FOLLOWS, KEEPS] {
            source.ask(&format!(
                "create topic={topic} assign=2+3 c.unclean.leader.election.enable=true"
            ));
            source.ask(&format!("produce topic={topic} count=100 batch=1000"));
        }
        source.kill(3);
        let mut all = Mirrored::between(source, destination, "back\\..*");
        all.node.configure(&format!(
            "\"unclean.leader.election.topics\" = ['{}']\n",
            FOLLOWS.replace('.', "\\.")
        ));
        all.node.start();
        for topic in [FOLLOWS, KEEPS] {
            let count = format!("produce topic={topic} count=400 batch=1000 seed=6");
            all.source.ask(&count);
        }
        all.node
            .until("at first", 2, |one| one.destination_offset == 500);
        all.until_in_sync(FOLLOWS, &[1, 2, 9001]);
        all.destination.kill(2);
        all.until_in_sync_says(1, FOLLOWS, &[1, 9001]);
        all.until_in_sync_says(1, KEEPS, &[1, 9001]);
        let epoch = all.last_epoch(FOLLOWS);
        Scene { all, epoch }
    }

    fn source_takes_back(&mut self) {
        let source = &mut self.all.source;
        source.kill(2);
        source.restart(3);
        for topic in [FOLLOWS, KEEPS] {
            // The controller may have elected it already.
            drop(source.try_ask(&format!("elect topic={topic} unclean=true")));
            source.ask(&format!("produce topic={topic} count=50 batch=1000 seed=7"));
        }
    }

    fn who_may_not_fails(&mut self) {
        let node = &mut self.all.node;
        let failed = node.until_topic("it may not", KEEPS, |one| one.state == "FAILED");
        let error = failed[0].error.as_deref().unwrap_or_default();
        for word in ["500", "100", "unclean.leader.election.topics"] {
            assert!(error.contains(word), "{error}");
        }
        assert_eq!(self.range_at(1, KEEPS), Some((0, 500)), "nothing was cut");
    }

    fn who_may_goes_on_from_there(&mut self) {
        let node = &mut self.all.node;
        node.until_topic("it may", FOLLOWS, |one| {
            one.state == "MIRRORING" && one.destination_offset == one.source_offset
        });
        self.is_equal(FOLLOWS, &[1]);
        let epoch = self.all.last_epoch(FOLLOWS);
        assert!(epoch >= self.epoch + 2, "{epoch}: another epoch has begun");
        let aside = self.all.node.data.join("logs.aside");
        let aside = aside.join(format!("{FOLLOWS}-0.from-100"));
        assert_eq!(range(&aside), Some((100, 500)), "{}", aside.display());
        let lost = self.all.source.log_dir(2).join(format!("{FOLLOWS}-0"));
        compare::agree_but_for_epochs(&lost, &aside, 100..500)
            .unwrap_or_else(|difference| panic!("{difference}"));
    }

    /// What it has of the tail has the epoch of before.
    fn who_was_away_is_cut_as_well(&mut self) {
        assert_eq!(self.range_at(2, FOLLOWS), Some((0, 500)), "it has it still");
        self.all.destination.restart(2);
        self.all.until_in_sync(FOLLOWS, &[1, 2, 9001]);
        self.is_equal(FOLLOWS, &[1, 2]);
    }

    /// An operator allows it, and has it recovered.
    fn who_is_allowed_later_goes_on(&mut self) {
        let node = &mut self.all.node;
        let follows = FOLLOWS.replace('.', "\\.");
        node.set(&format!("['{follows}']"), "['back\\..*']");
        node.stop().expect_code(0);
        node.start();
        let recover = ["recover", "--mirror", "dr", "--topics", KEEPS];
        node.mirrors(&recover);
        node.until_topic("it may now", KEEPS, |one| {
            one.state == "MIRRORING" && one.destination_offset == one.source_offset
        });
        self.is_equal(KEEPS, &[1, 2]);
        nobody_spins(&self.all.destination);
    }

    fn dir_at(&self, broker: u32, topic: &str) -> PathBuf {
        let dir = self.all.destination.log_dir(broker);
        dir.join(format!("{topic}-0"))
    }

    fn range_at(&self, broker: u32, topic: &str) -> Option<(i64, i64)> {
        range(&self.dir_at(broker, topic))
    }

    /// Those brokers have what the source has now, but for the epochs of its batches.
    fn is_equal(&mut self, topic: &str, brokers: &[u32]) {
        let theirs = self.all.source.log_dir(3).join(format!("{topic}-0"));
        let wanted = range(&theirs).expect("it is whole");
        for broker in brokers {
            let begun = Instant::now();
            while self.range_at(*broker, topic) != Some(wanted) {
                let has = self.range_at(*broker, topic);
                assert!(
                    begun.elapsed() < WITHIN,
                    "{topic}: broker {broker} has {has:?} of {wanted:?}\n{}",
                    self.all.node.said()
                );
                std::thread::sleep(Duration::from_millis(100));
            }
            let dir = self.dir_at(*broker, topic);
            compare::agree_but_for_epochs(&theirs, &dir, wanted.0..wanted.1)
                .unwrap_or_else(|difference| panic!("broker {broker}: {difference}"));
            stamps_are_true(&dir);
        }
    }
}
