//! Records that are not what they say: each fault, and damage under a right checksum.

use proptest::prelude::*;

use super::*;
use crate::model::LeaderEpoch;
use crate::record::{BatchBuilder, Expect, check, crc};

const AT: Offset = Offset::ZERO;
const ATTRIBUTES: usize = 22;
const LAST_DELTA: usize = 26;
const BASE_TIMESTAMP: usize = 27;
const MAX_TIMESTAMP: usize = 35;
const COUNT: usize = 60;
const RECORDS: usize = 61;

/// Renews length and checksum after a test has changed something.
fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let length = u32::try_from(bytes.len() - 12).unwrap();
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn read(bytes: &[u8], bytes_max: usize) -> Result<Vec<(i64, i64)>, EntriesFault> {
    let expect = Expect::first();
    let checked = check(bytes, expect);
    let batch = checked.run.batches().next().expect("a sound batch");
    let contents = Contents::of(&batch, bytes_max)?;
    let mut seen = Vec::new();
    for record in contents.records() {
        let record = record?;
        seen.push((record.offset.value(), record.timestamp));
    }
    Ok(seen)
}

/// Two records of eight bytes each.
fn plain() -> Vec<u8> {
    let mut batch = BatchBuilder::new(AT, LeaderEpoch::new(1), 50);
    batch.push(None, Some(b"a"), &[]);
    batch.push(None, Some(b"b"), &[]);
    batch.finish()
}

fn packed() -> Vec<u8> {
    let mut batch = BatchBuilder::new(AT, LeaderEpoch::new(1), 50).zstd(1);
    batch.push(None, Some(&[7; 5000]), &[]);
    batch.finish()
}

/// The plain batch with other bytes at one place.
fn with(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut batch = plain();
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    seal(batch)
}

#[test]
fn records_have_their_own_times_or_the_brokers() {
    assert_eq!(read(&plain(), 0), Ok(vec![(0, 50), (1, 50)]));
    let mut appended = with(ATTRIBUTES, &[8]);
    appended[MAX_TIMESTAMP..MAX_TIMESTAMP + 8].copy_from_slice(&77i64.to_be_bytes());
    assert_eq!(read(&seal(appended), 0), Ok(vec![(0, 77), (1, 77)]));
}

#[test]
fn other_codecs_are_refused_by_name() {
    let codecs = [Codec::Gzip, Codec::Snappy, Codec::Lz4];
    let unknown = [Codec::Unknown(5), Codec::Unknown(6), Codec::Unknown(7)];
    for (number, codec) in (1..4).zip(codecs).chain((5..8).zip(unknown)) {
        let refused = Err(EntriesFault::Codec { at: AT, codec });
        assert_eq!(read(&with(ATTRIBUTES, &[number]), 1 << 20), refused);
    }
}

#[test]
fn unpacking_stops_at_its_bound() {
    let bytes = packed();
    let most = 5000;
    assert_eq!(read(&bytes, most), Err(EntriesFault::Size { at: AT, most }));
    // Length, attributes, two deltas, no key, the value's length, the value, no headers.
    assert_eq!(
        read(&bytes, 2 + 1 + 2 + 1 + 2 + 5000 + 1),
        Ok(vec![(0, 50)])
    );
}

#[test]
fn a_packed_batch_that_is_cut_or_no_zstd_is_refused() {
    let whole = packed();
    for end in RECORDS..whole.len() {
        let cut = read(&seal(whole[..end].to_vec()), 1 << 20);
        let refused = matches!(
            cut,
            Err(EntriesFault::Packed { .. } | EntriesFault::Entry { .. })
        );
        assert!(refused, "{end}: {cut:?}");
    }
    let plain = read(&with(ATTRIBUTES, &[4]), 1 << 20);
    assert!(
        matches!(plain, Err(EntriesFault::Packed { .. })),
        "{plain:?}"
    );
}

#[test]
fn each_fault_of_a_plain_batch_is_named() {
    let at = AT;
    let entry = |fault| Err(EntriesFault::Entry { at, fault });
    // The records: length, attributes, timestamp delta, offset delta, key, value, headers.
    let second = RECORDS + 8;
    let cases = [
        (
            with(COUNT, &[1]),
            Err(EntriesFault::LeftOver { at, left: 8 }),
        ),
        (
            with(second + 3, &[0]),
            Err(EntriesFault::Order { at, delta: 0 }),
        ),
        (
            with(second + 3, &[4]),
            Err(EntriesFault::Order { at, delta: 2 }),
        ),
        (
            with(second + 3, &[1]),
            entry(EntryFault::Impossible {
                field: "an offset delta",
                value: -1,
            }),
        ),
        (
            with(RECORDS, &[1]),
            entry(EntryFault::Impossible {
                field: "the length of a record",
                value: -1,
            }),
        ),
        (
            with(RECORDS, &[16]),
            entry(EntryFault::LeftOver { left: 1 }),
        ),
        (
            with(second, &[16]),
            entry(EntryFault::Beyond { field: "a record" }),
        ),
        (
            with(RECORDS + 5, &[20]),
            entry(EntryFault::Beyond { field: "a value" }),
        ),
        (
            with(RECORDS + 7, &[2]),
            entry(EntryFault::Beyond { field: "headers" }),
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(read(&bytes, 0), expected);
    }
    let mut late = with(RECORDS + 2, &[2]);
    late[BASE_TIMESTAMP..BASE_TIMESTAMP + 8].copy_from_slice(&i64::MAX.to_be_bytes());
    let fault = EntriesFault::Timestamp { at, delta: 1 };
    assert_eq!(read(&seal(late), 0), Err(fault));
}

#[test]
fn a_count_without_records_ends_at_the_bytes() {
    let mut hostile = plain();
    hostile[LAST_DELTA - 3..=LAST_DELTA].copy_from_slice(&(i32::MAX - 1).to_be_bytes());
    hostile[COUNT - 3..=COUNT].copy_from_slice(&i32::MAX.to_be_bytes());
    let fault = EntryFault::Beyond {
        field: "the length of a record",
    };
    let fault = EntriesFault::Entry { at: AT, fault };
    assert_eq!(read(&seal(hostile), 0), Err(fault));
}

proptest! {
    #[test]
    fn damage_under_a_right_checksum_ends_in_records_or_a_fault(
        zstd: bool, places in proptest::collection::vec((0usize..100, any::<u8>()), 1..4),
    ) {
        let mut bytes = if zstd { packed() } else { plain() };
        let room = bytes.len() - RECORDS;
        for (at, value) in places {
            bytes[RECORDS + at % room] = value;
        }
        match read(&seal(bytes), 1 << 16) {
            Ok(seen) => prop_assert_eq!(seen.len(), if zstd { 1 } else { 2 }),
            Err(fault) => prop_assert!(fault.to_string().contains("offset 0")),
        }
    }
}
