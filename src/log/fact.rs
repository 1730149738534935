//! What a log remembers of one batch, once its bytes are somewhere else.

use crate::model::{LeaderEpoch, Offset};
use crate::record::{Batch, Control, ControlFault, Producer, control};

use super::digest;

/// The end of a transaction, as its marker says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) is_abort: bool,
    pub(super) coordinator_epoch: i32,
}

/// One batch, without its records.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchFact {
    pub(super) base: Offset,
    pub(super) last: Offset,
    pub(super) bytes: u32,
    pub(super) epoch: LeaderEpoch,
    /// −1 where it holds no record that has one.
    pub(super) max_timestamp: i64,
    /// The header's largest timestamp, whatever compaction has left of the batch.
    pub(super) timestamp: i64,
    pub(super) producer: Option<Producer>,
    pub(super) last_sequence: i32,
    pub(super) is_transactional: bool,
    pub(super) is_control: bool,
    pub(super) marker: Option<Marker>,
    /// What it counts for in the log's digest.
    pub(super) digest: u64,
}

impl BatchFact {
    pub(super) fn of(batch: &Batch<'_>) -> Result<BatchFact, ControlFault> {
        let is_empty = batch.record_count() == 0;
        let marker = match batch.is_control() && !is_empty {
            true => marker(batch)?,
            false => None,
        };
        Ok(BatchFact {
            base: batch.base_offset(),
            last: batch.last_offset(),
            bytes: u32::try_from(batch.bytes().len()).expect("a batch states its size in 31 bits"),
            epoch: batch.leader_epoch(),
            // Compaction empties a batch and keeps its header: no record has that time any more.
            max_timestamp: if is_empty { -1 } else { batch.max_timestamp() },
            timestamp: batch.max_timestamp(),
            producer: batch.producer(),
            last_sequence: batch.last_sequence(),
            is_transactional: batch.is_transactional(),
            is_control: batch.is_control(),
            marker,
            digest: digest::of_header(batch),
        })
    }

    pub(super) fn next(&self) -> Offset {
        self.last
            .checked_add(1)
            .expect("the check has refused the largest offset")
    }
}

fn marker(batch: &Batch<'_>) -> Result<Option<Marker>, ControlFault> {
    Ok(match control(batch)? {
        Control::Commit { coordinator_epoch } => Some(Marker {
            is_abort: false,
            coordinator_epoch,
        }),
        Control::Abort { coordinator_epoch } => Some(Marker {
            is_abort: true,
            coordinator_epoch,
        }),
        _ => None,
    })
}
