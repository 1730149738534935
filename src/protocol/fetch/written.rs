//! A Fetch answer as a broker writes it: all bytes around the records, and where the records go,
//! which are not copied.

use super::answer::{AnswerEnd, AnswerHead, Diverging, Endpoint, LeaderHint};
use super::answer::{PartitionHead, PartitionTail};
use crate::model::Offset;
use crate::protocol::header::{begin_answer, set_length};
use crate::protocol::primitive::Writer;
use crate::protocol::versions::FETCH;

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

const NO_PREFERRED_REPLICA: i32 = -1;
/// Brokers are told to the one who asked from this version on.
const ENDPOINTS_FROM: i16 = 16;

impl AnswerWriter {
    /// Writes the answer to the request of this version and correlation id. Partitions of one topic
    /// stand together where they come one after the other. Endpoints are left out of versions that
    /// have no place for them.
    #[must_use]
    pub fn new(
        version: i16,
        correlation: i32,
        head: AnswerHead,
        partitions: &[PartitionAnswer],
        end: &AnswerEnd,
    ) -> AnswerWriter {
        assert!(FETCH.has(version), "version {version}");
        let mut writer = AnswerWriter {
            bytes: Vec::new(),
            cuts: Vec::new(),
            records_bytes: 0,
        };
        let start = begin_answer(FETCH, version, correlation, &mut writer.bytes);
        let mut to = Writer::new(&mut writer.bytes);
        to.i32(head.throttle_ms);
        to.i16(head.error.0);
        to.i32(head.session);
        writer.topics(partitions);
        writer.end(version, end);
        set_length(&mut writer.bytes, start, writer.records_bytes);
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

    fn topics(&mut self, partitions: &[PartitionAnswer]) {
        let same_topic =
            |one: &PartitionAnswer, next: &PartitionAnswer| one.head.topic == next.head.topic;
        let topics = partitions.chunk_by(same_topic);
        Writer::new(&mut self.bytes).compact(topics.clone().count());
        let mut numbers = 0..;
        for topic in topics {
            let id = topic.first().map(|of| of.head.topic).unwrap_or_default();
            let mut to = Writer::new(&mut self.bytes);
            to.bytes(&id.bytes());
            to.compact(topic.len());
            for (partition, number) in topic.iter().zip(&mut numbers) {
                self.partition(number, partition);
            }
            Writer::new(&mut self.bytes).no_tags();
        }
    }

    fn partition(&mut self, number: usize, answer: &PartitionAnswer) {
        let head = &answer.head;
        let mut to = Writer::new(&mut self.bytes);
        to.i32(head.partition.value());
        to.i16(head.error.0);
        to.i64(wire(head.high_watermark));
        to.i64(wire(answer.last_stable));
        to.i64(wire(head.log_start));
        // No aborted transactions: they are told only to those who filter by them.
        to.varint(0);
        to.i32(NO_PREFERRED_REPLICA);
        to.compact(head.records_bytes);
        if head.records_bytes > 0 {
            self.records_bytes = self.records_bytes.saturating_add(head.records_bytes);
            self.cuts.push(Cut {
                at: self.bytes.len(),
                partition: number,
                records_bytes: head.records_bytes,
            });
        }
        self.tail(&answer.tail);
    }

    fn tail(&mut self, tail: &PartitionTail) {
        let mut to = Writer::new(&mut self.bytes);
        let tags = u32::from(tail.diverging.is_some()).saturating_add(tail.leader.is_some().into());
        to.varint(tags);
        if let Some(Diverging { epoch, end }) = tail.diverging {
            // The tag, and the size: four bytes, eight bytes, no tags.
            to.varint(0);
            to.varint(13);
            to.i32(epoch.value());
            to.i64(wire(end));
            to.no_tags();
        }
        if let Some(LeaderHint { leader, epoch }) = tail.leader {
            to.varint(1);
            to.varint(9);
            to.i32(leader.0);
            to.i32(epoch.value());
            to.no_tags();
        }
    }

    fn end(&mut self, version: i16, end: &AnswerEnd) {
        if version < ENDPOINTS_FROM || end.endpoints.is_empty() {
            return Writer::new(&mut self.bytes).no_tags();
        }
        let field = endpoints(&end.endpoints);
        let mut to = Writer::new(&mut self.bytes);
        // One tagged field, number 0, with its size.
        to.varint(1);
        to.varint(0);
        to.varint(u32::try_from(field.len()).expect("endpoints are short"));
        to.bytes(&field);
    }
}

fn endpoints(endpoints: &[Endpoint]) -> Vec<u8> {
    let mut field = Vec::new();
    let mut to = Writer::new(&mut field);
    to.compact(endpoints.len());
    for Endpoint { broker, host, port } in endpoints {
        to.i32(broker.0);
        to.compact(host.len());
        to.bytes(host.as_bytes());
        to.i32(i32::from(*port));
        // No rack.
        to.varint(0);
        to.no_tags();
    }
    field
}

fn wire(offset: Option<Offset>) -> i64 {
    offset.map_or(-1, Offset::value)
}

#[cfg(test)]
mod tests;
