//! The producer-id transform: adds a constant to the ids of whole batches, in place, and takes it
//! away again.
//!
//! Producer ids stand in batch headers, control batches included, and nowhere else in a log:
//! a transaction's marker names no producer. Snapshots and transaction indexes are derived from
//! the headers. The checksum is patched by the change ([`patched`]), so that records that were
//! damaged before stay seen to be damaged.

use zerocopy::FromBytes;

use super::crc::patched;
use super::layout::{BatchHeader, HEADER_BYTES, LENGTH_END, PRODUCER_ID_END};
use super::run::{Run, RunMut};
use crate::model::ProducerIdShift;

/// Why a batch's producer id is not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShiftFault {
    /// The sum is no producer id.
    #[error(
        "the batch at offset {at} has producer id {id}, to which {shift} cannot be added: \
         begin a new vault with a smaller producer-id shift"
    )]
    Overflow {
        /// The batch's base offset.
        at: i64,
        /// Its producer's id.
        id: i64,
        /// What was to be added.
        shift: ProducerIdShift,
    },
    /// Nothing was added to it.
    #[error("the batch at offset {at} has producer id {id}, to which {shift} was never added")]
    NotShifted {
        /// The batch's base offset.
        at: i64,
        /// Its producer's id.
        id: i64,
        /// What was to be taken away.
        shift: ProducerIdShift,
    },
}

/// A run whose producer ids were changed.
#[derive(Debug)]
pub struct Shifted<'b> {
    /// All batches, or those before the first one that cannot be changed.
    pub run: Run<'b>,
    /// Why it is not all of them.
    pub fault: Option<ShiftFault>,
}

impl RunMut<'_> {
    /// Adds `shift` to the producer ids of all batches that have a producer.
    #[must_use]
    pub fn shifted(&mut self, shift: ProducerIdShift) -> Shifted<'_> {
        let fault = match shift {
            ProducerIdShift::NONE => None,
            shift => self.shift(shift).err(),
        };
        match fault {
            None => Shifted {
                run: self.as_run(),
                fault: None,
            },
            Some((before, fault)) => Shifted {
                run: Run::new(self.bytes, self.extent_of(before)),
                fault: Some(fault),
            },
        }
    }

    /// The error says how many batches lie before the one that cannot be changed.
    fn shift(&mut self, shift: ProducerIdShift) -> Result<(), (usize, ShiftFault)> {
        let mut left = &mut *self.bytes;
        let mut before = 0usize;
        while !left.is_empty() {
            let (header, _) = BatchHeader::mut_from_prefix(left).expect("a run has whole batches");
            add(header, shift).map_err(|fault| (before, fault))?;
            let size = size(header);
            (_, left) = left.split_at_mut(size);
            before = before.saturating_add(1);
        }
        Ok(())
    }
}

/// Takes `shift` away again from the producer id of one whole batch, checked before.
///
/// # Errors
/// It was not added. Then the batch is as it was.
pub fn unshift(batch: &mut [u8], shift: ProducerIdShift) -> Result<(), ShiftFault> {
    let (header, _) = BatchHeader::mut_from_prefix(batch).expect("a batch has its header");
    let id = header.producer_id.get();
    if id < 0 {
        return Ok(());
    }
    let source = id.checked_sub(shift.value()).filter(|id| *id >= 0);
    let at = header.base_offset.get();
    let source = source.ok_or(ShiftFault::NotShifted { at, id, shift })?;
    put(header, source);
    Ok(())
}

fn add(header: &mut BatchHeader, shift: ProducerIdShift) -> Result<(), ShiftFault> {
    let id = header.producer_id.get();
    if id < 0 {
        return Ok(());
    }
    let at = header.base_offset.get();
    let sum = id.checked_add(shift.value());
    let sum = sum.ok_or(ShiftFault::Overflow { at, id, shift })?;
    put(header, sum);
    Ok(())
}

/// Sets the id and patches the checksum.
fn put(header: &mut BatchHeader, id: i64) {
    let change = header.producer_id.get() ^ id;
    let behind = size(header).saturating_sub(PRODUCER_ID_END);
    let behind = u32::try_from(behind).expect("a batch states its size in 31 bits");
    let crc = patched(header.crc.get(), change.cast_unsigned(), behind);
    header.crc.set(crc);
    header.producer_id.set(id);
}

/// The batch's size. Whoever checked it has found it to be there.
fn size(header: &BatchHeader) -> usize {
    let length = usize::try_from(header.length.get()).expect("a run has sound lengths");
    length.saturating_add(LENGTH_END).max(HEADER_BYTES)
}

#[cfg(test)]
mod tests;
