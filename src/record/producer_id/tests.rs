//! Ids are changed in place and back, and nothing else is.

use proptest::prelude::*;

use super::*;
use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use crate::record::{BatchBuilder, Expect, Marker, Producer, Rest, check, check_mut};

fn shift(by: i64) -> ProducerIdShift {
    ProducerIdShift::new(by).expect("not negative")
}

fn expect() -> Expect {
    Expect::first()
}

fn producer(id: i64) -> Producer {
    Producer {
        id: ProducerId::from_wire(id).expect("not negative"),
        epoch: ProducerEpoch::new(3),
        base_sequence: 7,
    }
}

/// A batch of `id` at `base`, without a producer where the id is negative.
fn batch(base: i64, id: i64, value: &[u8]) -> Vec<u8> {
    let mut batch = BatchBuilder::new(Offset::new(base), LeaderEpoch::new(2), 1_000);
    if id >= 0 {
        batch = batch.producer(producer(id)).transactional();
    }
    batch.push(Some(b"key"), Some(value), &[]);
    batch.finish()
}

fn marker(base: i64, id: i64) -> Vec<u8> {
    let producer = producer(id);
    let marker = Marker {
        offset: Offset::new(base),
        leader_epoch: LeaderEpoch::new(2),
        timestamp: 1_000,
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        coordinator_epoch: 9,
        commits: false,
    };
    marker.batch()
}

/// The ids of all batches, each found sound by a check that knows nothing of this.
fn ids(bytes: &[u8]) -> Vec<i64> {
    let checked = check(bytes, expect());
    assert_eq!(checked.rest, Rest::Nothing, "all are sound");
    let batches = checked.run.batches();
    batches
        .map(|batch| batch.header().producer_id.get())
        .collect()
}

/// Takes the shift away from every batch.
fn unshift_all(bytes: &mut [u8], by: ProducerIdShift) {
    let run = check(bytes, expect()).run;
    let sizes: Vec<usize> = run.batches().map(|batch| batch.bytes().len()).collect();
    let mut left = bytes;
    for size in sizes {
        let (batch, rest) = left.split_at_mut(size);
        unshift(batch, by).expect("it was added");
        left = rest;
    }
}

#[test]
fn every_kind_of_batch_is_shifted_and_back() {
    let kinds = [
        batch(0, 4, &[1; 10]),
        batch(1, -1, &[2; 10]),
        batch(2, 0, &[3; 70_000]),
        marker(3, 4),
        batch(4, i64::MAX - 1_000, &[]),
    ];
    let source: Vec<u8> = kinds.concat();
    let mut bytes = source.clone();
    let (mut run, _) = check_mut(&mut bytes, expect());
    let Shifted { run, fault } = run.shifted(shift(1_000));
    assert_eq!((run.count(), fault), (5, None));
    assert_eq!(run.next_offset(), Offset::new(5));
    assert_eq!(ids(&bytes), [1_004, -1, 1_000, 1_004, i64::MAX]);
    let differs = |at: &usize| bytes[*at] != source[*at];
    let changed = (0..source.len()).filter(differs).count();
    assert!(changed <= 4 * 12, "ids and checksums only: {changed} bytes");
    unshift_all(&mut bytes, shift(1_000));
    assert_eq!(bytes, source);
}

#[test]
fn no_shift_changes_no_byte() {
    let source = [batch(0, 4, &[1; 10]), marker(1, 4)].concat();
    let mut bytes = source.clone();
    let (mut run, _) = check_mut(&mut bytes, expect());
    assert_eq!(run.shifted(ProducerIdShift::NONE).run.count(), 2);
    assert_eq!(bytes, source);
}

#[test]
fn an_id_that_would_overflow_ends_the_run_before_it() {
    let parts = [
        batch(0, 4, b"a"),
        batch(1, i64::MAX - 4, b"b"),
        batch(2, 4, b"c"),
    ];
    let mut bytes = parts.concat();
    let (mut run, _) = check_mut(&mut bytes, expect());
    let Shifted { run, fault } = run.shifted(shift(5));
    assert_eq!((run.count(), run.next_offset()), (1, Offset::new(1)));
    assert_eq!(run.bytes().len(), parts[0].len());
    let (at, id) = (1, i64::MAX - 4);
    let shift = shift(5);
    assert_eq!(fault, Some(ShiftFault::Overflow { at, id, shift }));
    assert_eq!(ids(&bytes), [9, i64::MAX - 4, 4], "each as it was or whole");
}

#[test]
fn a_run_of_which_nothing_can_be_shifted_is_what_was_expected() {
    let mut bytes = batch(6, i64::MAX, b"a");
    let (mut run, _) = check_mut(&mut bytes, expect());
    let Shifted { run, fault } = run.shifted(shift(1));
    assert!(run.is_empty() && fault.is_some());
    assert_eq!(
        (run.next_offset(), run.last_epoch()),
        (Offset::ZERO, LeaderEpoch::NONE)
    );
}

#[test]
fn what_was_not_added_is_not_taken_away() {
    let source = batch(6, 4, b"a");
    let mut bytes = source.clone();
    let (at, id, shift) = (6, 4, shift(5));
    let refused = unshift(&mut bytes, shift);
    assert_eq!(refused, Err(ShiftFault::NotShifted { at, id, shift }));
    assert_eq!(bytes, source);
}

#[test]
fn damage_that_the_checksum_told_of_it_tells_of_afterwards() {
    let mut bytes = batch(0, 4, &[1; 500]);
    let (mut run, _) = check_mut(&mut bytes, expect());
    assert_eq!(run.shifted(shift(77)).fault, None);
    for at in [61, 300, bytes.len() - 1] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        unshift(&mut damaged, shift(77)).expect("it was added");
        let checked = check(&damaged, expect());
        assert!(matches!(checked.rest, Rest::Fault(_)), "byte {at}");
    }
}

proptest! {
    #[test]
    fn shifting_is_undone_exactly(
        batches in prop::collection::vec((-1i64..1 << 50, 0usize..3_000), 1..8),
        by in 1i64..i64::MAX - (1 << 50),
    ) {
        let made = (0..).zip(&batches).map(|(base, (id, size))| batch(base, *id, &vec![7; *size]));
        let source = made.collect::<Vec<_>>().concat();
        let mut bytes = source.clone();
        let (mut run, _) = check_mut(&mut bytes, expect());
        prop_assert_eq!(run.shifted(shift(by)).fault, None);
        let wanted: Vec<i64> = batches
            .iter()
            .map(|(id, _)| if *id < 0 { *id } else { id + by })
            .collect();
        prop_assert_eq!(ids(&bytes), wanted);
        unshift_all(&mut bytes, shift(by));
        prop_assert_eq!(bytes, source);
    }
}
