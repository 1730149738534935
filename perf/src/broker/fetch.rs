//! Fetch, answered by hand: the text around the records is written, the records are sent from a
//! block that lies ready.

use std::io::{self, IoSlice, Write};
use std::thread;
use std::time::Duration;

use twinlog::protocol::fetch::{TOPIC_IDS_FROM, VERSION_MAX};
use twinlog::protocol::{Reader, Writer};

use super::{Fault, LEADER_EPOCH, TOPIC_ID};
use crate::batches::{Block, Shape};

const NONE: i16 = 0;
const OFFSET_OUT_OF_RANGE: i16 = 1;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const UNKNOWN_LEADER_EPOCH: i16 = 76;
const UNKNOWN_TOPIC_ID: i16 = 100;

/// A wait for records that will never come is cut to this.
const WAIT_MAX: Duration = Duration::from_millis(500);
const COUNT_MAX: usize = 1 << 20;

/// The answers to one connection's fetches; owns what they need over and over.
pub(super) struct Fetches {
    shape: Shape,
    block: Block,
    text: Vec<u8>,
    runs: Vec<Run>,
}

/// Batches that go out behind a part of the text.
struct Run {
    text_end: usize,
    first: u64,
    batches: u64,
}

/// What is asked as a whole.
struct Asked {
    correlation: i32,
    wait: Duration,
    bytes_max: u64,
}

/// What is asked of a partition.
struct AskedPartition {
    index: i32,
    leader_epoch: i32,
    offset: i64,
    bytes_max: u64,
}

/// What a partition gets.
struct Given {
    error: i16,
    first: u64,
    batches: u64,
}

impl Fetches {
    pub(super) fn new(shape: Shape) -> Fetches {
        Fetches {
            shape,
            block: Block::new(shape),
            text: Vec::new(),
            runs: Vec::new(),
        }
    }

    /// Answers the request in `frame`, which is without its length.
    pub(super) fn answer(&mut self, frame: &[u8], to: &mut impl Write) -> Result<(), Fault> {
        let mut request = Reader::new(frame);
        let asked = read_head(&mut request)?;
        self.runs.clear();
        self.text.clear();
        let mut text = Writer::new(&mut self.text);
        // The length, set below; the correlation, no tags, no throttling, no error, no session.
        text.i32(0);
        text.i32(asked.correlation);
        text.no_tags();
        text.i32(0);
        text.i16(NONE);
        text.i32(0);
        let has_fault = self.write_topics(&mut request, asked.bytes_max)?;
        Writer::new(&mut self.text).no_tags();
        let records = self.runs.iter().map(|run| run.batches).sum::<u64>() as usize;
        let length = self.text.len() - 4 + records * self.shape.batch_bytes;
        let length = i32::try_from(length).map_err(|_| Fault::Length(i32::MAX))?;
        self.text[..4].copy_from_slice(&length.to_be_bytes());
        if self.runs.is_empty() && !has_fault {
            thread::sleep(asked.wait);
        }
        Ok(self.send(to)?)
    }

    /// Writes an entry for every partition that is asked for; says whether one has an error.
    fn write_topics(&mut self, request: &mut Reader<'_>, bytes_max: u64) -> Result<bool, Fault> {
        let mut left = bytes_max;
        let mut has_fault = false;
        let topics = count(request, "the count of topics")?;
        Writer::new(&mut self.text).compact(topics);
        for _ in 0..topics {
            let topic = request.uuid()?;
            let partitions = count(request, "the count of partitions")?;
            let mut text = Writer::new(&mut self.text);
            text.bytes(&topic);
            text.compact(partitions);
            for _ in 0..partitions {
                let asked = read_partition(request)?;
                let given = give(self.shape, topic, &asked, left, self.runs.is_empty());
                left = left.saturating_sub(given.batches * self.shape.batch_bytes as u64);
                has_fault |= given.error != NONE;
                self.write_partition(asked.index, &given);
            }
            skip_tags(request)?;
            Writer::new(&mut self.text).no_tags();
        }
        Ok(has_fault)
    }

    fn write_partition(&mut self, index: i32, given: &Given) {
        let (end, start) = match given.error {
            NONE | OFFSET_OUT_OF_RANGE => (self.shape.end_offset(), 0),
            _ => (-1, -1),
        };
        let mut text = Writer::new(&mut self.text);
        text.i32(index);
        text.i16(given.error);
        text.i64(end);
        text.i64(end);
        text.i64(start);
        // No aborted transactions, no preferred replica.
        text.varint(0);
        text.i32(-1);
        let batches = usize::try_from(given.batches).expect("an answer fits the memory");
        text.compact(batches * self.shape.batch_bytes);
        if batches > 0 {
            self.runs.push(Run {
                text_end: self.text.len(),
                first: given.first,
                batches: given.batches,
            });
        }
        Writer::new(&mut self.text).no_tags();
    }

    fn send(&mut self, to: &mut impl Write) -> io::Result<()> {
        let mut text = self.text.as_slice();
        let mut sent = 0;
        for (number, run) in self.runs.iter().enumerate() {
            let (mut before, behind) = text.split_at(run.text_end - sent);
            let is_last_run = number + 1 == self.runs.len();
            (text, sent) = (behind, run.text_end);
            let (mut first, mut left) = (run.first, run.batches);
            while left > 0 {
                let batches = self.block.from(first, left);
                let count = (batches.len() / self.shape.batch_bytes) as u64;
                (first, left) = (first + count, left - count);
                // The answer's last bytes go with the last batches.
                let end = if is_last_run && left == 0 {
                    std::mem::take(&mut text)
                } else {
                    &[]
                };
                write_all(to, &[before, batches, end])?;
                before = &[];
            }
        }
        to.write_all(text)
    }
}

fn write_all(to: &mut impl Write, parts: &[&[u8]; 3]) -> io::Result<()> {
    let mut slices = parts.map(IoSlice::new);
    let mut left = &mut slices[..];
    // Takes empty slices off the front.
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match to.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut left, written),
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(())
}

/// Whole batches from the one that holds the offset on, within both bounds; the first batch of an
/// answer is given whatever its size, as Kafka does.
fn give(shape: Shape, topic: [u8; 16], asked: &AskedPartition, left: u64, is_first: bool) -> Given {
    let refuse = |error| Given {
        error,
        first: 0,
        batches: 0,
    };
    if topic != TOPIC_ID {
        return refuse(UNKNOWN_TOPIC_ID);
    }
    if u32::try_from(asked.index).map_or(true, |index| index >= shape.partitions) {
        return refuse(UNKNOWN_TOPIC_OR_PARTITION);
    }
    if asked.leader_epoch > LEADER_EPOCH {
        return refuse(UNKNOWN_LEADER_EPOCH);
    }
    let offset = u64::try_from(asked.offset).ok();
    let Some(first) = offset.filter(|_| asked.offset <= shape.end_offset()) else {
        return refuse(OFFSET_OUT_OF_RANGE);
    };
    let first = first / shape.records;
    let fitting = asked.bytes_max.min(left) / shape.batch_bytes as u64;
    let batches = fitting.max(u64::from(is_first)).min(shape.batches - first);
    Given {
        error: NONE,
        first,
        batches,
    }
}

fn read_head(request: &mut Reader<'_>) -> Result<Asked, Fault> {
    let key = request.i16()?;
    let version = request.i16()?;
    if !(TOPIC_IDS_FROM..=VERSION_MAX).contains(&version) {
        return Err(Fault::Unknown { key, version });
    }
    let correlation = request.i32()?;
    let client_id_bytes = usize::try_from(request.i16()?).unwrap_or(0);
    let _client_id = request.bytes(client_id_bytes)?;
    skip_tags(request)?;
    if version < 15 {
        let _replica = request.i32()?;
    }
    let wait_ms = u64::try_from(request.i32()?).unwrap_or(0);
    let _bytes_min = request.i32()?;
    let bytes_max = u64::try_from(request.i32()?).unwrap_or(0);
    // The isolation level, the session and its epoch.
    request.bytes(1 + 4 + 4)?;
    Ok(Asked {
        correlation,
        wait: Duration::from_millis(wait_ms).min(WAIT_MAX),
        bytes_max,
    })
}

fn read_partition(request: &mut Reader<'_>) -> Result<AskedPartition, Fault> {
    let index = request.i32()?;
    let leader_epoch = request.i32()?;
    let offset = request.i64()?;
    let _last_fetched_epoch = request.i32()?;
    let _log_start = request.i64()?;
    let bytes_max = u64::try_from(request.i32()?).unwrap_or(0);
    skip_tags(request)?;
    Ok(AskedPartition {
        index,
        leader_epoch,
        offset,
        bytes_max,
    })
}

fn skip_tags(request: &mut Reader<'_>) -> Result<(), Fault> {
    let skipped = request.tagged(|_, _| Ok(()));
    skipped.map_err(|_| Fault::Unreadable("a row of tagged fields"))
}

fn count(request: &mut Reader<'_>, field: &'static str) -> Result<usize, Fault> {
    let stated = request.compact(field).ok().flatten();
    stated
        .filter(|count| *count <= COUNT_MAX)
        .ok_or(Fault::Unreadable(field))
}
