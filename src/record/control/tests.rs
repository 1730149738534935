//! Control batches as Kafka writes them, and every way in which one can be wrong.

use zerocopy::{FromBytes, IntoBytes};

use super::*;
use crate::record::layout::{BatchHeader, HEADER_BYTES};
use crate::record::{Expect, check, crc};

const AT: Offset = Offset::ZERO;
const CONTROL_ATTRIBUTE: i16 = 0x20;

/// The one batch of `bytes`, after it has passed the check.
fn read(bytes: &[u8]) -> Result<Control, ControlFault> {
    let expect = Expect::first();
    let checked = check(bytes, expect);
    let batch = checked.run.batches().next().expect("one sound batch");
    control(&batch)
}

fn batch(attributes: i16, count: i32, records: &[u8]) -> Vec<u8> {
    let length = i32::try_from(HEADER_BYTES - 12 + records.len()).unwrap();
    let mut header = BatchHeader::read_from_bytes(&[0; HEADER_BYTES]).unwrap();
    header.length = length.into();
    header.magic = 2;
    header.attributes = attributes.into();
    header.count = count.into();
    let covered = [&header.as_bytes()[21..], records].concat();
    header.crc = crc::crc32c(&covered).into();
    [header.as_bytes(), records].concat()
}

/// Lengths here are below 64, so that each is one byte: twice itself.
fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let zigzag = |length: usize| u8::try_from(2 * length).unwrap();
    let body = [
        &[0, 0, 0, zigzag(key.len())][..],
        key,
        &[zigzag(value.len())],
        value,
        &[0],
    ]
    .concat();
    [&[zigzag(body.len())][..], &body].concat()
}

fn marker(key: &[u8], value: &[u8]) -> Result<Control, ControlFault> {
    read(&batch(CONTROL_ATTRIBUTE, 1, &record(key, value)))
}

#[test]
fn markers_are_understood() {
    let value = [0, 0, 0, 0, 1, 2];
    let coordinator_epoch = 258;
    assert_eq!(
        marker(&[0, 0, 0, 1], &value),
        Ok(Control::Commit { coordinator_epoch })
    );
    assert_eq!(
        marker(&[0, 0, 0, 0], &value),
        Ok(Control::Abort { coordinator_epoch })
    );
    assert_eq!(marker(&[0, 0, 0, 2], &[]), Ok(Control::LeaderChange));
    assert_eq!(marker(&[0, 0, 0, 6], &[]), Ok(Control::Other(6)));
}

#[test]
fn newer_versions_are_read_as_far_as_they_are_known() {
    let newer = marker(&[0, 1, 0, 1, 9], &[0, 1, 0, 0, 0, 7, 9, 9]);
    let coordinator_epoch = 7;
    assert_eq!(newer, Ok(Control::Commit { coordinator_epoch }));
}

#[test]
fn short_and_negative_fields_are_refused() {
    let at = AT;
    let (key, value) = ([0, 0, 0, 1], [0; 6]);
    for bytes in 0..4 {
        let fault = Err(ControlFault::Key { at, bytes });
        assert_eq!(marker(&key[..bytes], &value), fault);
    }
    for bytes in 0..6 {
        let fault = Err(ControlFault::Value { at, bytes });
        assert_eq!(marker(&key, &value[..bytes]), fault);
    }
    let fault = Err(ControlFault::Version { at, version: -1 });
    assert_eq!(marker(&[0xff, 0xff, 0, 1], &value), fault);
    assert_eq!(marker(&key, &[0xff, 0xff, 0, 0, 0, 0]), fault);
}

#[test]
fn absent_keys_and_values_count_as_empty() {
    let at = AT;
    let no_key = [12, 0, 0, 0, 1, 1, 0];
    assert_eq!(
        read(&batch(CONTROL_ATTRIBUTE, 1, &no_key)),
        Err(ControlFault::Key { at, bytes: 0 })
    );
    let no_value = [20, 0, 0, 0, 8, 0, 0, 0, 0, 1, 0];
    assert_eq!(
        read(&batch(CONTROL_ATTRIBUTE, 1, &no_value)),
        Err(ControlFault::Value { at, bytes: 0 })
    );
}

#[test]
fn batches_that_hold_no_control_record_are_told_apart() {
    let at = AT;
    let records = record(&[0, 0, 0, 1], &[0; 6]);
    let cases = [
        (batch(0, 1, &records), ControlFault::NotControl { at }),
        (batch(CONTROL_ATTRIBUTE, 0, &[]), ControlFault::Empty { at }),
        (
            batch(CONTROL_ATTRIBUTE | 4, 1, &records),
            ControlFault::Compressed {
                at,
                codec: Codec::Zstd,
            },
        ),
    ];
    for (bytes, fault) in cases {
        assert_eq!(read(&bytes), Err(fault));
    }
}

#[test]
fn a_record_cut_anywhere_is_refused() {
    let records = record(&[0, 0, 0, 1], &[0; 6]);
    for end in 0..records.len() {
        let cut = read(&batch(CONTROL_ATTRIBUTE, 1, &records[..end]));
        assert!(
            matches!(cut, Err(ControlFault::Record { .. })),
            "{end}: {cut:?}"
        );
    }
}
