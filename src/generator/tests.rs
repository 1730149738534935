//! What is generated passes every check, keeps the rules of producers and transactions, and is the
//! same for the same seed.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::record::{
    Batch, BatchFault, Codec, Contents, Control, Expect, Rest, TimestampType, check, control,
};

const SIZES: Sizes = Sizes {
    records: 9,
    value_bytes: 100,
};
const BATCHES: i64 = 400;

/// All batches of a partition, one after the other, and its load behind them.
fn generated(seed: u64, traffic: Traffic, index: u32) -> (Vec<u8>, PartitionLoad) {
    let topics = topics(seed, 2);
    let topic = topics.iter().find(|topic| topic.traffic == traffic);
    let mut load = PartitionLoad::new(topic.expect("one of each"), index, SIZES);
    let mut log = Vec::new();
    for time in 0..BATCHES {
        if time % 100 == 99 {
            load.elect();
        }
        log.extend(load.next_batch(1000 + time));
    }
    (log, load)
}

/// Shows each batch to `see`, after all of them have passed the check.
fn each(log: &[u8], load: &PartitionLoad, mut see: impl FnMut(Batch<'_>)) {
    let expect = Expect::first();
    let checked = check(log, expect);
    assert_eq!(checked.rest, Rest::Nothing);
    assert_eq!(checked.run.next_offset(), load.next_offset());
    assert_eq!(checked.run.last_epoch(), load.leader_epoch());
    for batch in checked.run.batches() {
        assert_eq!(batch.timestamp_type(), TimestampType::CreateTime);
        see(batch);
    }
}

/// Records of a batch, every one of them readable.
fn records(batch: &Batch<'_>) -> usize {
    let contents = Contents::of(batch, 1 << 20).expect("plain or zstd");
    let records: Result<Vec<_>, _> = contents.records().collect();
    records.expect("sound records").len()
}

const ALL: [Traffic; 5] = [
    Traffic::Plain,
    Traffic::Zstd,
    Traffic::Idempotent,
    Traffic::Transactions,
    Traffic::Compacted,
];

#[test]
fn every_batch_is_sound_to_its_last_record() {
    for traffic in ALL {
        let (log, load) = generated(1, traffic, 0);
        let mut codecs = BTreeSet::new();
        each(&log, &load, |batch| {
            assert_eq!(records(&batch), batch.record_count() as usize);
            codecs.insert(batch.codec().to_string());
        });
        let codecs: Vec<&str> = codecs.iter().map(String::as_str).collect();
        let expected: &[&str] = match traffic {
            Traffic::Plain | Traffic::Transactions => &["none"],
            Traffic::Zstd => &["zstd"],
            Traffic::Idempotent | Traffic::Compacted => &["none", "zstd"],
        };
        assert_eq!(codecs, expected, "{traffic:?}");
    }
}

#[test]
fn sequences_go_on_where_the_last_batch_ended() {
    for traffic in [
        Traffic::Idempotent,
        Traffic::Transactions,
        Traffic::Compacted,
    ] {
        let (log, load) = generated(2, traffic, 1);
        // By producer: its epoch, and the sequence number that is due.
        let mut due = BTreeMap::new();
        let mut seen = BTreeSet::new();
        each(&log, &load, |batch| {
            let producer = batch.producer().expect("all of them have one");
            seen.insert(producer.id);
            if batch.is_control() {
                return;
            }
            let known = due.get(&producer.id).copied();
            let (epoch, next) = known.unwrap_or((producer.epoch, 0));
            let expected = if producer.epoch > epoch { 0 } else { next };
            assert!(producer.epoch >= epoch);
            assert_eq!(producer.base_sequence, expected, "{batch:?}");
            due.insert(producer.id, (producer.epoch, batch.last_sequence() + 1));
        });
        let ids: Vec<i64> = seen.iter().map(|id| id.value()).collect();
        assert_eq!(ids, [3, 4, 5], "partitions do not share producers");
    }
}

#[test]
fn transactions_overlap_and_end_both_ways() {
    let topics = topics(3, 1);
    let topic = &topics[3];
    assert_eq!(topic.traffic, Traffic::Transactions);
    let mut load = PartitionLoad::new(topic, 0, SIZES);
    let mut open = BTreeMap::new();
    let (mut commits, mut aborts, mut most_open) = (0, 0, 0);
    for time in 0..BATCHES {
        let from = load.next_offset();
        let bytes = load.next_batch(time);
        let batch = sole(&bytes, from);
        let id = batch.producer().expect("all of them have one").id;
        assert!(batch.is_transactional());
        if batch.is_control() {
            assert!(open.remove(&id).is_some(), "nothing was open");
            match control(&batch) {
                Ok(Control::Commit { .. }) => commits += 1,
                Ok(Control::Abort { .. }) => aborts += 1,
                other => panic!("{other:?}"),
            }
        } else {
            open.entry(id).or_insert(from);
        }
        most_open = most_open.max(open.len());
        let stable = open.values().min().copied();
        assert_eq!(load.last_stable(), stable.unwrap_or(load.next_offset()));
    }
    assert!(commits > aborts && aborts > 0, "{commits} and {aborts}");
    assert_eq!(most_open, 3);
    let (from, left) = (load.next_offset(), open.len());
    let markers = load.settle(BATCHES);
    assert_eq!(markers.len(), left);
    assert_eq!(load.last_stable(), load.next_offset());
    assert_eq!(load.next_offset().since(from), left as u64);
}

fn sole(bytes: &[u8], next: Offset) -> Batch<'_> {
    let expect = Expect::after(next, LeaderEpoch::NONE);
    let checked = check(bytes, expect);
    assert_eq!((checked.rest, checked.run.count()), (Rest::Nothing, 1));
    checked.run.batches().next().expect("one batch")
}

#[test]
fn cleaning_leaves_gaps_between_batches_and_within_them() {
    let (log, load) = generated(4, Traffic::Compacted, 0);
    let (mut between, mut within, mut empty) = (0, 0, 0);
    let mut next = Offset::ZERO;
    each(&log, &load, |batch| {
        between += usize::from(batch.base_offset() > next);
        next = batch.next_offset();
        let offsets = next.since(batch.base_offset());
        within += usize::from(offsets > batch.record_count().into());
        empty += usize::from(batch.record_count() == 0);
    });
    for count in [between, within, empty] {
        assert!(
            count > 20,
            "{between} between, {within} within, {empty} empty"
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    for traffic in ALL {
        let (log, _) = generated(5, traffic, 0);
        assert!(log == generated(5, traffic, 0).0, "{traffic:?}");
        assert!(log != generated(6, traffic, 0).0, "{traffic:?}");
        assert!(log != generated(5, traffic, 1).0, "{traffic:?}");
    }
    let names = |seed| topics(seed, 1).into_iter().map(|topic| topic.name);
    assert!(names(1).eq(names(2)));
}

#[test]
fn a_batch_has_as_many_records_and_bytes_as_was_asked_for() {
    let (log, load) = generated(7, Traffic::Plain, 0);
    let mut counts = BTreeSet::new();
    each(&log, &load, |batch| {
        assert_eq!(batch.codec(), Codec::None);
        counts.insert(batch.record_count());
        let contents = Contents::of(&batch, 0).expect("plain");
        for record in contents.records() {
            let record = record.expect("a sound record");
            let bytes = record.value.map_or(SIZES.value_bytes, <[u8]>::len);
            assert_eq!(bytes, SIZES.value_bytes);
        }
    });
    assert_eq!(counts, BTreeSet::from([5, 6, 7, 8, 9]));
}

#[test]
fn words_repeat_so_that_compression_pays() {
    let (plain, _) = generated(8, Traffic::Plain, 0);
    let (packed, _) = generated(8, Traffic::Zstd, 0);
    assert!(
        packed.len() < plain.len() * 3 / 4,
        "{} of {}",
        packed.len(),
        plain.len()
    );
}

#[test]
fn damage_in_what_is_generated_is_seen() {
    let (mut log, _) = generated(9, Traffic::Transactions, 0);
    let at = log.len() / 2;
    log[at] ^= 1;
    let expect = Expect::first();
    let rest = check(&log, expect).rest;
    assert!(
        matches!(rest, Rest::Fault(BatchFault::Checksum { .. })),
        "{rest:?}"
    );
}
