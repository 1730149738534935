//! Bytes of record batches.

use twinlog::model::{LeaderEpoch, Offset, ProducerIdShift};
use twinlog::record::{Contents, Expect, Rest, check, check_mut, control, first, scan, unshift};

use super::bounded;
use super::input::{self, Input};

/// Faults in words.
const BESIDE: u64 = 4 << 10;
/// Unpacked records; the codec keeps its own window, which is not ours to count.
const UNPACKED_MAX: usize = 1 << 10;

/// Batches are walked, checked, shifted and shifted back, and their records read.
pub(super) fn batches(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (how, shift) = (input.byte(), input.i64());
    let expect = Expect {
        next: Offset::from_wire(input.i64()).unwrap_or(Offset::ZERO),
        may_begin_before: how & 0x80 != 0,
        epoch: LeaderEpoch::new(i32::from(input.byte()) - 1),
        batch_bytes_max: 1 << 20,
    };
    let batches = input::batches(how, input.rest());
    bounded(batches.len(), BESIDE, || walk(&batches, expect));
    bounded(batches.len(), BESIDE + 4 * UNPACKED_MAX as u64, || {
        read(&batches, expect)
    });
    if let Some(shift) = ProducerIdShift::new(shift) {
        shift_and_back(&batches, expect, shift);
    }
}

fn walk(bytes: &[u8], expect: Expect) {
    let scanned = scan(bytes, expect);
    let checked = check(bytes, expect);
    let run = checked.run;
    assert!(bytes.starts_with(run.bytes()) && run.bytes().len() <= scanned.run.bytes().len());
    assert!(run.next_offset() >= expect.next && run.last_epoch() >= expect.epoch);
    let mut next = expect.next;
    let mut count = 0;
    for batch in run.batches() {
        assert!(batch.base_offset() >= next || (count == 0 && expect.may_begin_before));
        next = batch.next_offset();
        count += 1;
    }
    assert_eq!((count, next), (run.count(), run.next_offset()));
    if matches!(checked.rest, Rest::Nothing) {
        assert_eq!(
            run.bytes().len(),
            bytes.len(),
            "nothing is left out in silence"
        );
    }
    drop(first(bytes, expect));
}

fn read(bytes: &[u8], expect: Expect) {
    for batch in check(bytes, expect).run.batches() {
        drop(control(&batch));
        let Ok(contents) = Contents::of(&batch, UNPACKED_MAX) else {
            continue;
        };
        for record in contents.records().map_while(Result::ok) {
            assert!((batch.base_offset()..=batch.last_offset()).contains(&record.offset));
        }
    }
}

/// A shift leaves sound what is sound, and is undone exactly.
fn shift_and_back(batches: &[u8], expect: Expect, shift: ProducerIdShift) {
    let mut changed = batches.to_vec();
    let (mut run, _) = check_mut(&mut changed, expect);
    let shifted = run.shifted(shift);
    let bytes = shifted.run.bytes().len();
    assert_eq!(check(shifted.run.bytes(), expect).run.bytes().len(), bytes);
    let sizes: Vec<usize> = shifted
        .run
        .batches()
        .map(|batch| batch.bytes().len())
        .collect();
    let mut left = &mut changed[..bytes];
    for size in sizes {
        let (batch, rest) = left.split_at_mut(size);
        unshift(batch, shift).expect("it was added");
        left = rest;
    }
    assert_eq!(changed[..bytes], batches[..bytes]);
}
