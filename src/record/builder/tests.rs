//! What is built passes the check, says what was put in, and has Kafka's bytes.

use proptest::prelude::*;

use super::*;
use crate::record::{Batch, Checked, Codec, Contents, Control, Expect, Rest, check, control};

const RECORDS_BYTES_MAX: usize = 1 << 22;

fn checked(bytes: &[u8]) -> Checked<'_> {
    let expect = Expect::first();
    check(bytes, expect)
}

/// The only batch of `bytes`, which must be nothing but that batch.
fn sole(bytes: &[u8]) -> Batch<'_> {
    let checked = checked(bytes);
    assert_eq!((checked.rest, checked.run.count()), (Rest::Nothing, 1));
    checked.run.batches().next().expect("one batch")
}

fn producer() -> Producer {
    Producer {
        id: ProducerId::from_wire(4711).expect("not negative"),
        epoch: ProducerEpoch::new(3),
        base_sequence: 12,
    }
}

#[test]
fn every_byte_of_a_small_batch_is_where_kafka_has_it() {
    let mut batch = BatchBuilder::new(Offset::new(7), LeaderEpoch::new(2), 1000)
        .producer(producer())
        .transactional();
    let header = RecordHeader {
        key: b"h",
        value: None,
    };
    batch.push(Some(b"k"), None, &[header]);
    batch.push_at(999, None, Some(b"v"), &[]);
    let bytes = batch.finish();
    let expected = [
        &[0, 0, 0, 0, 0, 0, 0, 7][..], // base offset
        &[0, 0, 0, 68],                // length
        &[0, 0, 0, 2, 2],              // leader epoch, magic
        &crc32c(&bytes[CRC_FROM..]).to_be_bytes(),
        &[0, 0x10],                                // attributes
        &[0, 0, 0, 1],                             // last offset delta
        &[0, 0, 0, 0, 0, 0, 3, 0xe8],              // base timestamp
        &[0, 0, 0, 0, 0, 0, 3, 0xe8],              // max timestamp
        &[0, 0, 0, 0, 0, 0, 0x12, 0x67],           // producer id
        &[0, 3],                                   // producer epoch
        &[0, 0, 0, 12],                            // base sequence
        &[0, 0, 0, 2],                             // count
        &[20, 0, 0, 0, 2, b'k', 1, 2, 2, b'h', 1], // the first record
        &[14, 0, 1, 2, 1, 2, b'v', 0],             // the second
    ]
    .concat();
    assert_eq!(bytes, expected);
    let batch = sole(&bytes);
    assert_eq!(batch.producer(), Some(producer()));
    assert_eq!(batch.last_sequence(), 13);
    assert!(batch.is_transactional() && !batch.is_control());
}

#[test]
fn markers_say_how_a_transaction_ended() {
    for commits in [true, false] {
        let marker = Marker {
            offset: Offset::new(9),
            leader_epoch: LeaderEpoch::new(1),
            timestamp: 5,
            producer_id: producer().id,
            producer_epoch: producer().epoch,
            coordinator_epoch: 17,
            commits,
        };
        let bytes = marker.batch();
        let batch = sole(&bytes);
        let coordinator_epoch = 17;
        let expected = if commits {
            Control::Commit { coordinator_epoch }
        } else {
            Control::Abort { coordinator_epoch }
        };
        assert_eq!(control(&batch), Ok(expected));
        assert!(batch.is_transactional() && batch.is_control());
        assert_eq!(batch.producer().map(|of| of.base_sequence), Some(-1));
        // The size that Kafka's own markers have.
        assert_eq!(bytes.len(), 78);
    }
}

#[test]
fn gaps_stay_in_the_offsets() {
    let mut batch = BatchBuilder::new(Offset::new(100), LeaderEpoch::new(0), 1);
    batch.skip(2).push(None, Some(b"a"), &[]);
    batch.skip(3).push(None, Some(b"b"), &[]).skip(4);
    assert_eq!(batch.next_offset(), Offset::new(111));
    let bytes = batch.finish();
    let batch = sole(&bytes);
    assert_eq!(
        (batch.record_count(), batch.last_offset().value()),
        (2, 110)
    );
    let contents = Contents::of(&batch, RECORDS_BYTES_MAX).unwrap();
    let offsets: Vec<i64> = contents
        .records()
        .map(|record| record.unwrap().offset.value())
        .collect();
    assert_eq!(offsets, [102, 106]);
}

#[test]
fn a_batch_that_compaction_has_emptied_is_a_header() {
    let mut batch = BatchBuilder::new(Offset::new(4), LeaderEpoch::new(0), 1).zstd(3);
    batch.skip(5);
    let bytes = batch.finish();
    let batch = sole(&bytes);
    assert_eq!((bytes.len(), batch.codec()), (HEADER_BYTES, Codec::None));
    assert_eq!((batch.record_count(), batch.next_offset().value()), (0, 9));
    assert_eq!((batch.base_timestamp(), batch.max_timestamp()), (-1, 1));
    let contents = Contents::of(&batch, 0).unwrap();
    assert_eq!(contents.records().next(), None);
}

#[test]
#[should_panic(expected = "an offset at least")]
fn a_batch_without_an_offset_cannot_be_built() {
    let batch = BatchBuilder::new(Offset::ZERO, LeaderEpoch::new(0), 1);
    drop(batch.finish());
}

/// What a test puts into a batch, owned.
#[derive(Clone, Debug)]
struct Written {
    gap: u32,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..80),
        // Long enough for lengths of more than one byte, and easy to compress.
        (any::<u8>(), 64usize..20_000).prop_map(|(byte, length)| vec![byte; length]),
    ]
}

fn written() -> impl Strategy<Value = Written> {
    let header = (bytes(), proptest::option::of(bytes()));
    (
        0u32..3,
        0i64..1 << 50,
        proptest::option::of(bytes()),
        proptest::option::of(bytes()),
        proptest::collection::vec(header, 0..3),
    )
        .prop_map(|(gap, timestamp, key, value, headers)| Written {
            gap,
            timestamp,
            key,
            value,
            headers,
        })
}

fn headers(written: &Written) -> Vec<RecordHeader<'_>> {
    written
        .headers
        .iter()
        .map(|(key, value)| RecordHeader {
            key,
            value: value.as_deref(),
        })
        .collect()
}

proptest! {
    #[test]
    fn what_went_in_comes_out(
        base in 0i64..1 << 60,
        zstd in proptest::option::of(1i32..6),
        producer in any::<bool>().prop_map(|has| has.then(producer)),
        records in proptest::collection::vec(written(), 1..20),
    ) {
        let mut batch = BatchBuilder::new(Offset::new(base), LeaderEpoch::new(5), 1 << 40);
        batch.zstd_level = zstd;
        batch.producer = producer;
        let mut expected = Vec::new();
        for one in &records {
            batch.skip(one.gap);
            let (key, value) = (one.key.as_deref(), one.value.as_deref());
            expected.push((batch.next_offset(), one.timestamp, key, value, headers(one)));
            batch.push_at(one.timestamp, one.key.as_deref(), one.value.as_deref(), &headers(one));
        }
        let (next, unpacked) = (batch.next_offset(), batch.records_bytes());
        let bytes = batch.finish();
        let batch = sole(&bytes);
        prop_assert_eq!(batch.base_offset().value(), base);
        prop_assert_eq!(batch.next_offset(), next);
        prop_assert_eq!(batch.leader_epoch(), LeaderEpoch::new(5));
        prop_assert_eq!(batch.producer(), producer);
        let largest = records.iter().map(|one| one.timestamp).max();
        prop_assert_eq!(Some(batch.max_timestamp()), largest);
        let contents = Contents::of(&batch, unpacked).unwrap();
        let records = contents.records().map(Result::unwrap);
        let found: Vec<_> = records
            .map(|one| (one.offset, one.timestamp, one.key, one.value, one.headers.collect()))
            .collect();
        prop_assert_eq!(found, expected);
    }
}
