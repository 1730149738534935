//! What else states the offsets and epochs of durable batches, which no checksum covers: what is
//! read has to agree with it.

use crate::log::epochs::LeaderEpochs;
use crate::log::fact::BatchFact;
use crate::log::layout::EPOCHS;
use crate::log::opening::Beginning;
use crate::model::Offset;

/// The notes that are held against the batches as they are read.
pub(super) struct Witness {
    /// A batch ended here, and everything below was durable.
    end: Offset,
    /// There was one at all.
    has_end: bool,
    /// Nothing lies behind it.
    is_closed: bool,
    /// The checkpoint of the epochs, where it can be read.
    epochs: Option<LeaderEpochs>,
}

impl Witness {
    pub(super) fn new(known: &Beginning<'_>, epochs: Option<LeaderEpochs>) -> Witness {
        Witness {
            end: known.recovery_point,
            has_end: known.recovery_point > known.log_start,
            is_closed: known.is_clean,
            epochs,
        }
    }

    /// The epochs as they were noted.
    pub(super) fn epochs(&self) -> Option<&LeaderEpochs> {
        self.epochs.as_ref()
    }

    /// Why a batch which follows another one that ends at `before` is not what was durable there.
    pub(super) fn contradicts(&self, fact: &BatchFact, before: Offset) -> Option<String> {
        let (end, reaches) = (self.end, fact.next());
        if self.has_end && reaches > end && before < end {
            return Some(format!(
                "offsets {before} to {reaches} pass over {end}, where a batch ended that was synced"
            ));
        }
        if self.is_closed && reaches > end {
            return Some(format!("it reaches to {reaches}, but was closed at {end}"));
        }
        let noted = self.epochs.as_ref()?.at(fact.last);
        (reaches <= end && noted != fact.epoch).then(|| {
            format!(
                "the batch at offset {} has leader epoch {}, but {EPOCHS} says {noted}; if the \
                 batch is right, remove that file",
                fact.base, fact.epoch
            )
        })
    }
}
