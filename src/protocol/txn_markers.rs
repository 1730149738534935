//! `WriteTxnMarkers` as the leader of partitions receives it: how transactions have ended.
//!
//! Of a marker only that is read which an answer needs. The answer has each producer once, as
//! Kafka's own have it: who asks looks results up by producer, and a result that is missing ends
//! the process of a stock coordinator.

use std::collections::BTreeMap;

use super::error_code::ErrorCode;
use super::primitive::{Malformed, Reader, Unread, Writer};

/// From this version on a marker says by which rules its transaction was made.
const RULES_FROM: i16 = 2;
/// Producer, its epoch, commit or abort, count of topics, coordinator's epoch, tags.
const MARKER_BYTES_MIN: usize = 17;
/// A name of no letter, count of partitions, tags.
const TOPIC_BYTES_MIN: usize = 3;

/// The partitions that each producer's transactions have touched, by the names of their topics,
/// each with what becomes of its marker.
pub type Markers<'b> = BTreeMap<i64, BTreeMap<&'b str, BTreeMap<i32, ErrorCode>>>;

/// Reads a request of version 1 or 2; `bytes` begin behind the request's header and end with its
/// frame. `judge` says what becomes of the marker for a partition.
///
/// # Errors
/// The bytes are not such a request.
pub fn read_markers<'b>(
    version: i16,
    bytes: &'b [u8],
    mut judge: impl FnMut(&'b str, i32) -> ErrorCode,
) -> Result<Markers<'b>, Malformed> {
    let mut reader = Reader::new(bytes);
    let mut markers = Markers::new();
    let read = markers_of(version, &mut reader, &mut markers, &mut judge);
    let field = "a WriteTxnMarkers request";
    read.map_err(|unread| unread.malformed_or(Malformed::BeyondFrame { field }))?;
    match reader.left() {
        0 => Ok(markers),
        left => Err(Malformed::LeftOver { left }),
    }
}

fn markers_of<'b>(
    version: i16,
    reader: &mut Reader<'b>,
    markers: &mut Markers<'b>,
    judge: &mut impl FnMut(&'b str, i32) -> ErrorCode,
) -> Result<(), Unread> {
    let count = reader.count(MARKER_BYTES_MIN, "a count of markers")?;
    for _ in 0..count.unwrap_or(0) {
        let producer = reader.i64()?;
        let _producer_epoch = reader.i16()?;
        let _is_commit = reader.bool()?;
        let topics = markers.entry(producer).or_default();
        let count = reader.count(TOPIC_BYTES_MIN, "a count of topics")?;
        for _ in 0..count.unwrap_or(0) {
            let name = reader.text("the name of a topic")?.unwrap_or_default();
            let partitions = topics.entry(name).or_default();
            let count = reader.count(size_of::<i32>(), "a count of partitions")?;
            for _ in 0..count.unwrap_or(0) {
                let index = reader.i32()?;
                partitions.insert(index, judge(name, index));
            }
            no_tags(reader)?;
        }
        let _coordinator_epoch = reader.i32()?;
        if version >= RULES_FROM {
            let _rules = reader.i8()?;
        }
        no_tags(reader)?;
    }
    no_tags(reader)
}

fn no_tags(reader: &mut Reader<'_>) -> Result<(), Unread> {
    reader.tagged(|_, _| Ok(()))
}

/// Writes the answer, the same in both versions, behind its header.
pub fn write_answer(markers: &Markers<'_>, out: &mut Vec<u8>) {
    let mut to = Writer::new(out);
    to.list(markers.iter(), |to, (producer, topics)| {
        to.i64(*producer);
        to.list(topics.iter(), |to, (name, partitions)| {
            to.text(Some(name));
            to.list(partitions.iter(), |to, (index, error)| {
                to.i32(*index);
                to.i16(error.0);
                to.no_tags();
            });
            to.no_tags();
        });
        to.no_tags();
    });
    to.no_tags();
}

#[cfg(test)]
mod tests;
