//! Which batches are let through: every fault, every cut, every flipped byte.

use super::*;
use crate::record::BatchBuilder;
use crate::record::crc;

const BASE: i64 = 0x0102_0304_0506_0708;
const EPOCH: i32 = 0x0102_0304;
const MOST: usize = 1 << 20;

/// A batch of `records` records at `base`.
fn batch(base: i64, epoch: i32, records: u32) -> Vec<u8> {
    let mut batch = BatchBuilder::new(Offset::new(base), LeaderEpoch::new(epoch), 1);
    for _ in 0..records {
        batch.push(Some(b"key"), Some(b"value"), &[]);
    }
    batch.finish()
}

fn due(next: i64, epoch: i32) -> Expect {
    Expect {
        batch_bytes_max: MOST,
        ..Expect::after(Offset::new(next), LeaderEpoch::new(epoch))
    }
}

/// Puts `value` at `at` and renews the checksum.
fn with(mut batch: Vec<u8>, at: usize, value: &[u8]) -> Vec<u8> {
    batch[at..at + value.len()].copy_from_slice(value);
    let crc = crc::crc32c(&batch[CRC_FROM..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

/// What is said of the only batch; nothing of it may count as sound.
fn refusal(bytes: &[u8], expect: Expect) -> Rest {
    let checked = check(bytes, expect);
    assert!(checked.run.is_empty(), "{:?}", checked.run);
    assert_eq!(checked.run.next_offset(), expect.next);
    assert_eq!(checked.run.last_epoch(), expect.epoch);
    checked.rest
}

fn fault(bytes: &[u8], expect: Expect) -> BatchFault {
    match refusal(bytes, expect) {
        Rest::Fault(fault) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn formats_other_than_2_are_refused_by_their_age() {
    for magic in i8::MIN..=i8::MAX {
        let bytes = with(batch(5, 0, 1), 16, &magic.to_be_bytes());
        let at = 5;
        match magic {
            2 => assert_eq!(check(&bytes, due(5, 0)).rest, Rest::Nothing),
            0 | 1 => assert_eq!(
                fault(&bytes, due(5, 0)),
                BatchFault::OldFormat { at, magic }
            ),
            _ => assert_eq!(
                fault(&bytes, due(5, 0)),
                BatchFault::UnknownFormat { at, magic }
            ),
        }
    }
}

#[test]
fn lengths_that_cannot_be_are_refused_before_the_bytes_come() {
    for length in [i32::MIN, -1, 0, 48, MOST as i32 - 11, i32::MAX] {
        let bytes = with(batch(5, 0, 1), 8, &length.to_be_bytes());
        let refused = BatchFault::Length {
            at: 5,
            length: i64::from(length) + 12,
            least: HEADER_BYTES,
            most: MOST,
        };
        assert_eq!(fault(&bytes[..17], due(5, 0)), refused);
    }
    let longest = with(batch(5, 0, 1), 8, &(MOST as i32 - 12).to_be_bytes());
    let (have, need) = (17, Some(MOST));
    assert_eq!(
        refusal(&longest[..17], due(5, 0)),
        Rest::Short { have, need }
    );
}

#[test]
fn a_wrong_checksum_names_both() {
    let mut bytes = batch(5, 0, 1);
    let found = crc::crc32c(&bytes[CRC_FROM..]);
    bytes[20] ^= 1;
    let (at, said) = (5, found ^ 1);
    let refused = BatchFault::Checksum { at, said, found };
    assert_eq!(fault(&bytes, due(5, 0)), refused);
    assert_eq!(scan(&bytes, due(5, 0)).run.count(), 1, "scan sees no sums");
}

#[test]
fn counts_and_deltas_that_cannot_be_are_refused() {
    for (count, delta) in [(3, 1), (-1, 1), (0, -1), (1, i32::MIN), (i32::MIN, 0)] {
        let bytes = with(batch(5, 0, 2), 57, &i32::to_be_bytes(count));
        let bytes = with(bytes, 23, &i32::to_be_bytes(delta));
        let refused = BatchFault::Count {
            at: 5,
            count,
            delta,
        };
        assert_eq!(fault(&bytes, due(5, 0)), refused);
    }
}

#[test]
fn offsets_that_cannot_be_counted_are_refused() {
    let (count, delta) = (2, 1);
    for at in [-1, i64::MIN, i64::MAX, i64::MAX - 1] {
        let bytes = with(batch(5, 0, 2), 0, &i64::to_be_bytes(at));
        let refused = BatchFault::Count { at, count, delta };
        assert_eq!(fault(&bytes, due(0, 0)), refused);
    }
    let last = with(batch(5, 0, 2), 0, &(i64::MAX - 2).to_be_bytes());
    let run = check(&last, due(0, 0)).run;
    assert_eq!(run.next_offset().value(), i64::MAX);
}

#[test]
fn compaction_leaves_fewer_records_than_offsets() {
    for records in 0..=3 {
        let mut compacted = BatchBuilder::new(Offset::new(5), LeaderEpoch::new(0), 1);
        compacted.skip(7);
        for _ in 0..records {
            compacted.push(None, None, &[]);
        }
        let bytes = compacted.finish();
        let checked = check(&bytes, due(5, 0));
        assert_eq!(checked.rest, Rest::Nothing);
        let batch = checked.run.batches().next().expect("it is sound");
        assert_eq!(batch.record_count(), records);
        assert_eq!(checked.run.next_offset().value(), 12 + i64::from(records));
    }
}

#[test]
fn offsets_may_leave_gaps_and_not_overlap() {
    let bytes = [batch(5, 0, 2), batch(9, 0, 1), batch(9, 0, 3)].concat();
    let checked = check(&bytes, due(3, 0));
    assert_eq!(
        (checked.run.count(), checked.run.next_offset().value()),
        (2, 10)
    );
    let refused = BatchFault::Order {
        base: 9,
        last: 11,
        next: Offset::new(10),
    };
    assert_eq!(checked.rest, Rest::Fault(refused));
}

#[test]
fn only_the_first_batch_may_begin_before_what_is_due() {
    let before = Expect {
        may_begin_before: true,
        ..due(6, 0)
    };
    let bytes = [batch(5, 0, 2), batch(6, 0, 2)].concat();
    let checked = check(&bytes, before);
    assert_eq!(
        (checked.run.count(), checked.run.next_offset().value()),
        (1, 7)
    );
    let refused = BatchFault::Order {
        base: 6,
        last: 7,
        next: Offset::new(7),
    };
    assert_eq!(checked.rest, Rest::Fault(refused));
    let refused = |next| BatchFault::Order {
        base: 5,
        last: 6,
        next: Offset::new(next),
    };
    assert_eq!(fault(&bytes, due(6, 0)), refused(6));
    // It must reach what is due.
    let beyond = Expect {
        next: Offset::new(7),
        ..before
    };
    assert_eq!(fault(&bytes, beyond), refused(7));
}

#[test]
fn epochs_must_not_fall() {
    let bytes = [
        batch(0, 3, 1),
        batch(1, 3, 1),
        batch(2, 4, 1),
        batch(3, 2, 1),
    ]
    .concat();
    let checked = check(&bytes, due(0, 3));
    assert_eq!(
        (checked.run.count(), checked.run.last_epoch().value()),
        (3, 4)
    );
    let refused = BatchFault::Epoch {
        at: 3,
        epoch: LeaderEpoch::new(2),
        before: LeaderEpoch::new(4),
    };
    assert_eq!(checked.rest, Rest::Fault(refused));
}

#[test]
fn a_tail_is_short_at_every_cut() {
    let whole = batch(0, 0, 1);
    let bytes = [&whole[..], &batch(1, 0, 2)].concat();
    let second = bytes.len() - whole.len();
    for end in 0..bytes.len() {
        let checked = check(&bytes[..end], due(0, 0));
        let sound = u32::from(end >= whole.len());
        assert_eq!(checked.run.count(), sound, "{end}");
        let have = end - checked.run.bytes().len();
        let size = if sound == 0 { whole.len() } else { second };
        let expected = match have {
            0 => Rest::Nothing,
            1..17 => Rest::Short { have, need: None },
            _ => Rest::Short {
                have,
                need: Some(size),
            },
        };
        assert_eq!(checked.rest, expected, "{end}");
    }
}

#[test]
fn a_run_without_its_front_has_the_same_batches() {
    let bytes = [batch(0, 0, 1), batch(1, 0, 1), batch(2, 0, 1)].concat();
    let run = check(&bytes, due(0, 0)).run;
    let first = run.batches().next().expect("three batches").bytes().len();
    let rest = run.after(first, 1);
    assert_eq!((rest.count(), rest.next_offset().value()), (2, 3));
    let bases: Vec<i64> = rest
        .batches()
        .map(|batch| batch.base_offset().value())
        .collect();
    assert_eq!(bases, [1, 2]);
}

/// What `check` may say of a batch of which one byte is another.
#[derive(Debug, PartialEq, Eq)]
enum Allowed {
    /// It is a whole sound batch still: nothing can tell that it is another.
    Sound,
    /// A fault, and never a wait for more bytes.
    Fault,
    /// A fault, or a wait for the bytes that its length promises.
    FaultOrShort,
}

/// The rule that the test below states: all flips are seen, except where the bytes outside the CRC
/// say something else that could be true.
fn allowed(at: usize, flipped: &[u8]) -> Allowed {
    let (base, _) = flipped.split_first_chunk().expect("a whole header");
    let base = i64::from_be_bytes(*base);
    let epoch = i32::from_be_bytes(flipped[12..16].try_into().expect("four bytes"));
    let sound = match at {
        // A later base offset is a gap, as compaction leaves it.
        0..8 => base >= BASE,
        8..12 => return Allowed::FaultOrShort,
        // A later epoch is another leader's.
        12..16 => epoch >= EPOCH,
        _ => false,
    };
    if sound {
        Allowed::Sound
    } else {
        Allowed::Fault
    }
}

#[test]
fn every_flip_under_the_checksum_is_refused() {
    let whole = batch(BASE, EPOCH, 2);
    let mut sound = 0;
    for at in 0..whole.len() {
        for flip in 1..=u8::MAX {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            let checked = check(&bytes, due(BASE, EPOCH));
            let said = match checked.rest {
                Rest::Nothing => Allowed::Sound,
                Rest::Fault(_) => Allowed::Fault,
                Rest::Short { .. } => Allowed::FaultOrShort,
            };
            let expected = allowed(at, &bytes);
            let fits =
                said == expected || (expected == Allowed::FaultOrShort && said == Allowed::Fault);
            assert!(fits, "byte {at} ^ {flip:02x}: {said:?}, not {expected:?}");
            assert_eq!(checked.run.is_empty(), said != Allowed::Sound);
            sound += usize::from(said == Allowed::Sound);
        }
    }
    assert!(
        sound > 0,
        "some flips cannot be seen, or this test is blind"
    );
}
