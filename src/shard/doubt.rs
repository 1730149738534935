//! What of an answer is not believed although each of its batches is sound by itself.

use crate::model::{LeaderEpoch, Offset};
use crate::record::{BatchFault, Expect, RunMut};
use crate::source;

/// More than a log can grow between the source's look at its end and the end of its answer.
const GROWTH_MAX: u64 = 1 << 24;
/// What an answer says beside records: some hundred bytes for each of many partitions.
const HEADS_BYTES_MAX: usize = 64 << 20;

/// What stands beside records is read piece by piece, and no honest piece is near this: the
/// longest, a list of aborted transactions, is never asked for.
pub(super) const PIECE_BYTES_MAX: usize = 4 << 20;

/// What follows the batches that are appended.
pub(super) enum Ending {
    Nothing,
    Short {
        need: Option<usize>,
    },
    Fault(BatchFault),
    /// A batch is newer than the leader that sent it.
    EpochAhead {
        at: Offset,
        epoch: LeaderEpoch,
        most: LeaderEpoch,
    },
    /// A batch lies where the source's log cannot have come yet.
    Beyond {
        at: Offset,
        end: Offset,
    },
}

/// Where a log whose end is near `high_watermark` cannot reach while an answer is made.
pub(super) fn beyond(high_watermark: Option<Offset>) -> Option<Offset> {
    high_watermark.and_then(|end| end.checked_add(GROWTH_MAX))
}

/// No answer to what is asked with these options has more bytes.
pub(super) fn frame_bytes_max(options: &source::Options) -> usize {
    let records = options.fetch_bytes_max as usize + options.batch_bytes_max as usize;
    records + HEADS_BYTES_MAX
}

/// The part of a run that nothing speaks against. Neither offset nor epoch of a batch is covered
/// by its checksum: where the next batch would fit without the last one, either of the two may be
/// the wrong one, and neither is taken. `due` is what the run began with.
pub(super) fn uncontradicted(
    run: RunMut<'_>,
    ending: Ending,
    due: Expect,
    beyond: Option<Offset>,
) -> (RunMut<'_>, Ending) {
    let all = run.as_run();
    if let Some(end) = beyond.filter(|end| !all.is_empty() && all.next_offset() > *end) {
        let near = all.batches().take_while(|batch| batch.next_offset() <= end);
        let near = near.count();
        let far = all.batches().nth(near).expect("the last of them is");
        let at = far.base_offset();
        return (run.front(near), Ending::Beyond { at, end });
    }
    let Some(kept) = (all.count() as usize).checked_sub(1) else {
        return (run, ending);
    };
    let before = || match kept.checked_sub(1) {
        Some(nth) => {
            let batch = all.batches().nth(nth).expect("it is one of them");
            (batch.next_offset(), batch.leader_epoch())
        }
        None => (due.next, due.epoch),
    };
    let fits_without = match &ending {
        Ending::Fault(BatchFault::Order { base, .. }) => *base >= before().0.value(),
        Ending::Fault(BatchFault::Epoch { epoch, .. }) => *epoch >= before().1,
        _ => false,
    };
    match fits_without {
        true => (run.front(kept), ending),
        false => (run, ending),
    }
}
