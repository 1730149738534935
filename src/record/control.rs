//! What a control batch says: the end of a transaction, or something that concerns only its quorum.
//!
//! The key of its record is a version and a type, two bytes each; the value of a transaction's
//! marker is a version of two bytes and the coordinator's epoch of four (Kafka: `ControlRecordType`
//! and `EndTransactionMarker`). Later versions only add behind these fields.

use super::batch::{Batch, Codec};
use super::entry::Entry;
use super::fields::{EntryFault, Fields};
use crate::model::Offset;

pub(super) const ABORT: i16 = 0;
pub(super) const COMMIT: i16 = 1;
const LEADER_CHANGE: i16 = 2;

/// What a control batch says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// The producer's open transaction is valid.
    Commit {
        /// The epoch of the transaction coordinator that wrote the marker.
        coordinator_epoch: i32,
    },
    /// The records of the producer's open transaction are void.
    Abort {
        /// The epoch of the transaction coordinator that wrote the marker.
        coordinator_epoch: i32,
    },
    /// A quorum has a new leader; in metadata logs only.
    LeaderChange,
    /// A type of record that says nothing about transactions.
    Other(i16),
}

/// Why a batch says nothing that could be understood. Its place is its base offset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlFault {
    /// It holds users' records.
    #[error("the batch at offset {at} is not a control batch")]
    NotControl {
        /// Where.
        at: Offset,
    },
    /// Compaction has removed its record, and with it a whole transaction: nothing is left to do.
    #[error("the control batch at offset {at} holds no record")]
    Empty {
        /// Where.
        at: Offset,
    },
    /// Control batches are never compressed.
    #[error("the control batch at offset {at} is compressed ({codec})")]
    Compressed {
        /// Where.
        at: Offset,
        /// How.
        codec: Codec,
    },
    /// Its first record is none.
    #[error("the record of the control batch at offset {at} cannot be read: {fault}")]
    Record {
        /// Where.
        at: Offset,
        /// What is wrong with it.
        fault: EntryFault,
    },
    /// Its key is too short for a version and a type.
    #[error("the control batch at offset {at} has a key of {bytes} bytes; 4 are needed")]
    Key {
        /// Where.
        at: Offset,
        /// Bytes of the key, 0 where there is none.
        bytes: usize,
    },
    /// Its value is too short for a version and an epoch.
    #[error("the transaction marker at offset {at} has a value of {bytes} bytes; 6 are needed")]
    Value {
        /// Where.
        at: Offset,
        /// Bytes of the value, 0 where there is none.
        bytes: usize,
    },
    /// Its key or value has a version below zero.
    #[error("the control batch at offset {at} has a record of version {version}")]
    Version {
        /// Where.
        at: Offset,
        /// The version.
        version: i16,
    },
}

/// What the first record of a control batch says; there is no second one in a partition's log.
///
/// # Errors
/// The batch is no control batch, or its record is not one that Kafka writes. An empty one is
/// refused with a variant of its own, since compaction leaves such batches.
pub fn control(batch: &Batch<'_>) -> Result<Control, ControlFault> {
    let at = batch.base_offset();
    if !batch.is_control() {
        return Err(ControlFault::NotControl { at });
    }
    if batch.record_count() == 0 {
        return Err(ControlFault::Empty { at });
    }
    if batch.codec() != Codec::None {
        let codec = batch.codec();
        return Err(ControlFault::Compressed { at, codec });
    }
    let entry = Entry::read(&mut Fields::new(batch.records()))
        .map_err(|fault| ControlFault::Record { at, fault })?;
    let key = entry.key.unwrap_or_default();
    let value = entry.value.unwrap_or_default();
    match record_type(key, at)? {
        COMMIT => Ok(Control::Commit {
            coordinator_epoch: coordinator_epoch(value, at)?,
        }),
        ABORT => Ok(Control::Abort {
            coordinator_epoch: coordinator_epoch(value, at)?,
        }),
        LEADER_CHANGE => Ok(Control::LeaderChange),
        other => Ok(Control::Other(other)),
    }
}

fn record_type(key: &[u8], at: Offset) -> Result<i16, ControlFault> {
    let Some(([v0, v1, t0, t1], _)) = key.split_first_chunk() else {
        let bytes = key.len();
        return Err(ControlFault::Key { at, bytes });
    };
    known_version(i16::from_be_bytes([*v0, *v1]), at)?;
    Ok(i16::from_be_bytes([*t0, *t1]))
}

fn coordinator_epoch(value: &[u8], at: Offset) -> Result<i32, ControlFault> {
    let Some(([v0, v1, epoch @ ..], _)) = value.split_first_chunk::<6>() else {
        let bytes = value.len();
        return Err(ControlFault::Value { at, bytes });
    };
    known_version(i16::from_be_bytes([*v0, *v1]), at)?;
    Ok(i32::from_be_bytes(*epoch))
}

/// Newer versions are read as far as they are known, as Kafka does.
fn known_version(version: i16, at: Offset) -> Result<(), ControlFault> {
    match version {
        0.. => Ok(()),
        _ => Err(ControlFault::Version { at, version }),
    }
}

#[cfg(test)]
mod tests;
