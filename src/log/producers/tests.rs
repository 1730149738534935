//! Producers, their transactions and their snapshots.

use super::*;
use crate::log::fact::Marker;
use crate::model::LeaderEpoch;
use crate::record;

fn data(id: i64, epoch: i16, base: i64, records: i64, is_transactional: bool) -> BatchFact {
    BatchFact {
        base: Offset::new(base),
        last: Offset::new(base + records - 1),
        bytes: 100,
        epoch: LeaderEpoch::new(0),
        max_timestamp: 1_000 + base,
        timestamp: 1_000 + base,
        producer: Some(record::Producer {
            id: ProducerId::from_wire(id).expect("not negative"),
            epoch: ProducerEpoch::new(epoch),
            base_sequence: 0,
        }),
        last_sequence: i32::try_from(records - 1).expect("small"),
        is_transactional,
        is_control: false,
        marker: None,
        digest: 0,
    }
}

fn marker(id: i64, base: i64, is_abort: bool) -> BatchFact {
    BatchFact {
        is_control: true,
        marker: Some(Marker {
            is_abort,
            coordinator_epoch: 3,
        }),
        ..data(id, 0, base, 1, true)
    }
}

#[test]
fn an_abort_names_its_transaction_and_the_oldest_still_open() {
    let mut producers = Producers::default();
    assert_eq!(producers.apply(&data(1, 0, 10, 2, true)), None);
    assert_eq!(producers.apply(&data(2, 0, 12, 2, true)), None);
    assert_eq!(producers.first_unstable(), Some(Offset::new(10)));
    let aborted = producers.apply(&marker(1, 14, true)).expect("aborted");
    assert_eq!((aborted.first.value(), aborted.last.value()), (10, 14));
    assert_eq!(aborted.last_stable.value(), 12, "producer 2's is open");
    let aborted = producers.apply(&marker(2, 15, true)).expect("aborted");
    assert_eq!(aborted.last_stable.value(), 16, "none is open");
    assert_eq!(producers.first_unstable(), None);
}

#[test]
fn commits_and_empty_transactions_leave_no_entry() {
    let mut producers = Producers::default();
    producers.apply(&data(1, 0, 10, 2, true));
    assert_eq!(producers.apply(&marker(1, 12, false)), None);
    assert_eq!(
        producers.apply(&marker(1, 13, true)),
        None,
        "nothing to abort"
    );
    let emptied = BatchFact {
        marker: None,
        ..marker(9, 14, true)
    };
    producers.apply(&emptied);
    assert_eq!(
        producers.len(),
        1,
        "an emptied marker says nothing of its producer"
    );
}

#[test]
fn a_snapshot_is_read_back_and_any_flipped_byte_refused() {
    let mut producers = Producers::default();
    producers.apply(&data(1, 0, 10, 2, true));
    producers.apply(&data(2, 5, 12, 7, false));
    let bytes = producers.to_snapshot();
    assert_eq!(bytes.len(), HEAD_BYTES + 2 * ENTRY_BYTES);
    assert_eq!(Producers::from_snapshot(&bytes), Some(producers));
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert_eq!(Producers::from_snapshot(&damaged), None, "byte {at}");
    }
    for end in 0..bytes.len() {
        assert_eq!(
            Producers::from_snapshot(&bytes[..end]),
            None,
            "cut at {end}"
        );
    }
}

#[test]
fn silent_producers_are_forgotten_unless_a_transaction_is_open() {
    let mut producers = Producers::default();
    producers.apply(&data(1, 0, 10, 2, true));
    producers.apply(&data(2, 0, 12, 2, false));
    producers.expire(WallTime(1_012 + EXPIRATION_MS - 1));
    assert_eq!(producers.len(), 2);
    producers.expire(WallTime(1_012 + EXPIRATION_MS));
    assert_eq!(producers.len(), 1);
    assert_eq!(producers.first_unstable(), Some(Offset::new(10)));
}

#[test]
fn whose_records_are_remembered_is_told_and_markers_alone_are_none() {
    let mut producers = Producers::default();
    producers.apply(&data(1, 0, 10, 2, false));
    producers.apply(&data(2, 0, 12, 2, true));
    producers.apply(&marker(3, 14, true));
    let id = |value| ProducerId::from_wire(value).expect("not negative");
    let among = |ids: &[i64]| {
        let ids = ids.iter().map(|value| id(*value)).collect();
        producers.written_under(&ids)
    };
    assert_eq!(among(&[2]), [id(2)], "fewer than are known");
    let all: Vec<i64> = (0..9).collect();
    assert_eq!(among(&all), [id(1), id(2)]);
    assert_eq!(among(&[3, 4]), []);
    // Another life of it has begun, of which there are no records.
    let bumped = BatchFact {
        is_control: true,
        marker: marker(2, 15, true).marker,
        ..data(2, 1, 15, 1, true)
    };
    producers.apply(&bumped);
    assert_eq!(producers.written_under(&[id(2)].into()), []);
}
