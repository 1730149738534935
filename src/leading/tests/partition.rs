//! One partition: what moves it, what does not, and what it proposes.

use std::path::PathBuf;
use std::time::Duration;

use super::logs::{TOPIC, epochs};
use crate::leading::inbox::{Eligible, IsrFate, LeaderEpochs, Leadership, Moved};
use crate::leading::partition::{Change, Led};
use crate::model::{
    BrokerEpoch, BrokerId, Instant, LeaderEpoch, Offset, PartitionIndex, TopicName, TopicPartition,
};
use crate::protocol::controller::IsrChange;
use crate::replica::Fetched;

const US: BrokerId = BrokerId(9001);
const ONE: BrokerId = BrokerId(1);
const TWO: BrokerId = BrokerId(2);
const LAG: Duration = Duration::from_secs(30);

fn at(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * 1_000_000_000)
}

fn offset(value: i64) -> Offset {
    Offset::new(value)
}

fn leadership(isr: &[BrokerId]) -> Leadership {
    Leadership {
        id: TopicPartition {
            topic: TopicName::new("t").expect("a name"),
            partition: PartitionIndex::default(),
        },
        topic_id: TOPIC,
        dir: PathBuf::new(),
        leader_epoch: LeaderEpoch::new(5),
        partition_epoch: 7,
        replicas: vec![US, ONE, TWO],
        isr: isr.to_vec(),
        min_isr: 1,
        holds_others: false,
        before: None,
        log_start: offset(10),
        log_end: offset(100),
        epochs: epochs(&[(2, 10), (4, 50), (5, 90)]),
        high_watermark: offset(60),
    }
}

fn led(isr: &[BrokerId]) -> Led {
    Led::begin(US, at(0), leadership(isr))
}

fn eligible() -> Eligible {
    [US, ONE, TWO].map(|id| (id, life(id))).into()
}

fn life(id: BrokerId) -> BrokerEpoch {
    BrokerEpoch::new(i64::from(id.0) + 10)
}

/// A follower asks; says what is proposed.
fn fetch(led: &mut Led, follower: BrokerId, from: i64, seconds: u64) -> Option<IsrChange> {
    let fetched = Fetched {
        follower,
        epoch: life(follower),
        offset: offset(from),
        at: at(seconds),
    };
    led.fetched(&fetched, &eligible()).1
}

fn moved(log_start: i64, log_end: i64, epochs: Option<LeaderEpochs>) -> Moved {
    Moved {
        id: leadership(&[]).id,
        stamp: LeaderEpoch::new(5),
        log_start: offset(log_start),
        log_end: offset(log_end),
        epochs,
    }
}

fn mark(led: &Led) -> i64 {
    let marks = led.watermarks();
    marks.assert_invariants();
    marks.high_watermark.value()
}

fn ids(change: &IsrChange) -> Vec<BrokerId> {
    change.isr.iter().map(|(id, _)| *id).collect()
}

#[test]
fn the_high_watermark_begins_where_it_was_written_down_within_the_log() {
    for (written, begins) in [(0, 10), (60, 60), (100, 100), (130, 100)] {
        let mut told = leadership(&[US, ONE, TWO]);
        told.high_watermark = offset(written);
        assert_eq!(mark(&Led::begin(US, at(0), told)), begins);
    }
}

#[test]
fn the_high_watermark_follows_the_slowest_in_sync_and_never_falls() {
    let mut led = led(&[US, ONE, TWO]);
    fetch(&mut led, ONE, 100, 1);
    assert_eq!(mark(&led), 60, "two has not fetched");
    fetch(&mut led, TWO, 80, 1);
    assert_eq!(mark(&led), 80);
    fetch(&mut led, TWO, 70, 2);
    assert_eq!(mark(&led), 80);
    assert_eq!(led.moved(at(3), moved(10, 150, None)), Change::Moved);
    assert_eq!(mark(&led), 80);
    fetch(&mut led, ONE, 150, 4);
    assert!(!led.is_drained());
    fetch(&mut led, TWO, 150, 4);
    assert_eq!(mark(&led), 150);
    let stood = led.stood();
    assert!(stood.is_drained);
    assert_eq!(stood.followers, [(ONE, offset(150)), (TWO, offset(150))]);
}

#[test]
fn a_log_that_loses_its_front_takes_the_high_watermark_along() {
    let mut led = led(&[US, ONE, TWO]);
    assert_eq!(led.moved(at(1), moved(75, 100, None)), Change::Moved);
    assert_eq!(mark(&led), 75);
    assert_eq!(led.moved(at(1), moved(75, 100, None)), Change::None);
}

#[test]
fn a_cut_begins_anew_with_everybody() {
    let mut led = led(&[US, ONE, TWO]);
    fetch(&mut led, ONE, 100, 1);
    fetch(&mut led, TWO, 100, 1);
    assert!(led.is_drained());
    let cut = moved(10, 70, Some(epochs(&[(2, 10), (5, 50)])));
    assert_eq!(led.moved(at(2), cut), Change::Cut);
    assert_eq!(mark(&led), 70);
    assert!(!led.is_drained(), "they still have what was cut off");
    assert!(led.stood().followers.is_empty());
    let end = led.end_of(LeaderEpoch::new(4));
    assert_eq!(end, Some((LeaderEpoch::new(2), offset(50))));
    fetch(&mut led, ONE, 70, 3);
    fetch(&mut led, TWO, 70, 3);
    assert!(led.is_drained());
}

#[test]
fn the_word_of_another_leadership_changes_nothing() {
    let mut led = led(&[US, ONE, TWO]);
    for stamp in [4, 6] {
        let mut told = moved(10, 200, None);
        told.stamp = LeaderEpoch::new(stamp);
        assert_eq!(led.moved(at(1), told), Change::None);
    }
    assert_eq!(led.watermarks().log_end, offset(100));
    let mut older = leadership(&[US]);
    older.partition_epoch = 6;
    led.change(at(1), &older);
    fetch(&mut led, ONE, 100, 1);
    assert_eq!(mark(&led), 60, "still all three are in sync");
    let mut newer = leadership(&[US, ONE]);
    newer.partition_epoch = 8;
    newer.log_end = offset(90);
    led.change(at(1), &newer);
    assert_eq!(mark(&led), 100, "of the log only shards tell");
}

#[test]
fn epochs_end_as_kafka_says() {
    let led = led(&[US]);
    let end = |epoch| {
        let found = led.end_of(LeaderEpoch::new(epoch));
        found.map(|(epoch, end)| (epoch.value(), end.value()))
    };
    assert_eq!(end(5), Some((5, 100)), "the newest ends with the log");
    assert_eq!(end(6), None, "nobody knows");
    assert_eq!(end(4), Some((4, 90)));
    assert_eq!(end(3), Some((2, 50)));
    assert_eq!(end(2), Some((2, 50)));
    assert_eq!(end(1), Some((1, 10)), "older than all: the first start");
    let at = |at| led.epoch_at(offset(at)).value();
    assert_eq!([at(9), at(10), at(49), at(50), at(99)], [-1, 2, 2, 4, 5]);
}

#[test]
fn one_proposal_is_under_way_at_a_time() {
    let mut led = led(&[US]);
    assert_eq!(fetch(&mut led, ONE, 89, 1), None, "nothing of our epoch");
    let change = fetch(&mut led, ONE, 100, 1).expect("far enough");
    assert_eq!(ids(&change), [US, ONE]);
    assert_eq!(
        (change.partition_epoch, change.leader_epoch.value()),
        (7, 5)
    );
    assert_eq!(fetch(&mut led, ONE, 100, 2), None);
    assert_eq!(fetch(&mut led, TWO, 100, 2), None);
    assert_eq!(led.shrink(at(90), &eligible(), LAG), None);
    let isr = vec![US, ONE];
    let fate = IsrFate::Committed {
        isr,
        partition_epoch: 8,
    };
    led.fate(at(3), fate);
    let change = fetch(&mut led, TWO, 100, 3).expect("its turn");
    assert_eq!(ids(&change), [US, ONE, TWO]);
    assert_eq!(change.partition_epoch, 8);
    // It is refused; one more fetch proposes it again.
    led.fate(at(3), IsrFate::Reverted);
    assert!(fetch(&mut led, TWO, 100, 4).is_some());
}

#[test]
fn whoever_was_proposed_counts_until_the_metadata_says_otherwise() {
    let mut led = led(&[US]);
    assert!(fetch(&mut led, ONE, 100, 1).is_some());
    led.moved(at(2), moved(10, 200, None));
    assert_eq!(mark(&led), 100, "one may be in sync");
    led.fate(at(3), IsrFate::Overtaken);
    assert_eq!(mark(&led), 100, "it may still be");
    assert_eq!(fetch(&mut led, TWO, 200, 4), None, "nothing before that");
    let mut told = leadership(&[US]);
    told.partition_epoch = 9;
    led.change(at(5), &told);
    assert_eq!(mark(&led), 200);
    assert!(fetch(&mut led, TWO, 200, 6).is_some());
}

#[test]
fn a_fate_that_comes_after_the_metadata_changes_nothing() {
    let mut led = led(&[US]);
    assert!(fetch(&mut led, ONE, 100, 1).is_some());
    let mut told = leadership(&[US, ONE, TWO]);
    told.partition_epoch = 9;
    led.change(at(2), &told);
    assert_eq!(
        fetch(&mut led, TWO, 100, 2),
        None,
        "in sync, and the fate of the last one is not told"
    );
    let isr = vec![US, ONE];
    let late = IsrFate::Committed {
        isr,
        partition_epoch: 8,
    };
    led.fate(at(3), late);
    led.moved(at(3), moved(10, 200, None));
    fetch(&mut led, ONE, 200, 4);
    assert_eq!(mark(&led), 100, "two is in sync");
}

#[test]
fn a_proposal_whose_fate_is_lost_is_repeated_or_forgotten() {
    let mut led = led(&[US]);
    let change = fetch(&mut led, ONE, 100, 1).expect("far enough");
    assert_eq!(led.repeat(at(20), LAG), None);
    assert_eq!(led.repeat(at(31), LAG), Some(change));
    assert_eq!(led.repeat(at(32), LAG), None);
    let mut told = leadership(&[US]);
    told.partition_epoch = 8;
    led.change(at(33), &told);
    assert!(led.is_pending());
    assert_eq!(led.repeat(at(62), LAG), None);
    assert!(!led.is_pending(), "it can come about no more");
    assert!(fetch(&mut led, ONE, 100, 63).is_some());
}

#[test]
fn whoever_lags_is_done_without_unless_too_few_were_left() {
    let mut led = led(&[US, ONE, TWO]);
    fetch(&mut led, ONE, 100, 25);
    assert_eq!(led.shrink(at(29), &eligible(), LAG), None);
    let change = led.shrink(at(31), &eligible(), LAG).expect("two is silent");
    assert_eq!(ids(&change), [US, ONE]);
    let mut strict = leadership(&[US, ONE, TWO]);
    strict.min_isr = 3;
    let mut strict = Led::begin(US, at(0), strict);
    fetch(&mut strict, ONE, 100, 25);
    assert_eq!(strict.shrink(at(31), &eligible(), LAG), None);
    let mut alone = super::partition::led(&[US, ONE]);
    assert_eq!(alone.shrink(at(31), &eligible(), LAG), None, "never alone");
}

#[test]
#[should_panic(expected = "a batch is of an epoch after 4, in which we lead")]
fn nobody_leads_a_log_that_is_ahead_of_it() {
    let mut told = leadership(&[US]);
    told.leader_epoch = LeaderEpoch::new(4);
    Led::begin(US, at(0), told);
}
