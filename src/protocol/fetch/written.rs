//! A Fetch answer as a broker writes it: all bytes around the records, and where the records go,
//! which are not copied.

use super::answer::{AnswerEnd, AnswerHead, PartitionHead, PartitionTail};
use super::around::{Around, Told};
use super::topics::Topics;
use crate::model::Offset;
use crate::protocol::header::set_length;
use crate::protocol::primitive::Writer;

/// What is said of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionAnswer {
    /// Before its records, with their length.
    pub head: PartitionHead,
    /// Where the oldest open transaction begins; none where it is unknown.
    pub last_stable: Option<Offset>,
    /// After them.
    pub tail: PartitionTail,
}

/// One answer, complete but for the records.
#[derive(Clone, Debug)]
pub struct AnswerWriter {
    /// Everything but the records.
    bytes: Vec<u8>,
    cuts: Vec<Cut>,
    records_bytes: usize,
}

/// Records that belong between the bytes before `at` and those behind it.
#[derive(Clone, Copy, Debug)]
struct Cut {
    at: usize,
    partition: usize,
    records_bytes: usize,
}

/// A piece of an answer, in the order of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// So many bytes of a partition's records, which the caller supplies.
    Records {
        /// Which of the partitions that the writer was given.
        partition: usize,
        /// Their length, as it was stated; never 0.
        bytes: usize,
    },
}

impl AnswerWriter {
    /// Writes the answer to the request of this version and correlation id. Partitions of one topic
    /// stand together where they come one after the other; an older version calls topics as they
    /// are `named`. Endpoints are left out of versions that have no place for them.
    #[must_use]
    pub fn new(
        version: i16,
        correlation: i32,
        head: AnswerHead,
        partitions: &[PartitionAnswer],
        named: &Topics,
        end: &AnswerEnd,
    ) -> AnswerWriter {
        let mut writer = AnswerWriter {
            bytes: Vec::new(),
            cuts: Vec::new(),
            records_bytes: 0,
        };
        let told = Told { partitions, named };
        let mut around = Around::begin(version, correlation, head, told, &mut writer.bytes);
        for (number, answer) in partitions.iter().enumerate() {
            let records_bytes = answer.head.records_bytes;
            if records_bytes == 0 {
                continue;
            }
            around.up_to(number, told, &mut writer.bytes);
            Writer::new(&mut writer.bytes).compact(records_bytes);
            writer.records_bytes = writer.records_bytes.saturating_add(records_bytes);
            writer.cuts.push(Cut {
                at: writer.bytes.len(),
                partition: number,
                records_bytes,
            });
        }
        around.end(told, end, &mut writer.bytes);
        set_length(&mut writer.bytes, 0, writer.records_bytes);
        writer
    }

    /// Bytes of the whole frame, its length and all records included.
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        self.bytes.len().saturating_add(self.records_bytes)
    }

    /// The frame's pieces, in the order of sending.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        let starts = std::iter::once(0).chain(self.cuts.iter().map(|cut| cut.at));
        let ends = self.cuts.iter().map(|cut| cut.at);
        let ends = ends.chain(std::iter::once(self.bytes.len()));
        let records = self.cuts.iter().map(|cut| {
            Some(Segment::Records {
                partition: cut.partition,
                bytes: cut.records_bytes,
            })
        });
        let records = records.chain(std::iter::once(None));
        starts
            .zip(ends)
            .zip(records)
            .flat_map(|((start, end), records)| {
                let bytes = self.bytes.get(start..end).expect("cuts lie in the bytes");
                [Some(Segment::Bytes(bytes)), records].into_iter().flatten()
            })
    }
}

#[cfg(test)]
mod tests;
