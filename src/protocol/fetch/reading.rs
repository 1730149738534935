//! A Fetch answer, read from a window of received bytes that need not hold all of it.
//!
//! The order of an answer is the order of the steps:
//!
//! ```text
//! Head ( Partition Records* PartitionEnd )* End
//! ```
//!
//! A step is taken whole or not at all: where the window ends inside one, `Step::More` says so, and
//! the same bytes are shown again with more behind them. Only record bytes come in pieces.

use super::answer::{AnswerEnd, AnswerHead, Diverging, Endpoint, LeaderHint};
use super::answer::{PartitionHead, PartitionTail, Step};
use super::form::Form;
use super::topics::Topics;
use crate::model::{BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicId};
use crate::protocol::error_code::ErrorCode;
use crate::protocol::primitive::{Malformed, Reader, Unread};

/// Everything of a partition before its records has to fit into a window; aborted transactions are
/// the part that can be long.
const ABORTED_MAX: usize = 1 << 16;
/// Number, host's length, port, rack's length, tags.
const ENDPOINT_BYTES_MIN: usize = 11;
const TOPICS_MAX: usize = 1 << 20;
const PARTITIONS_MAX: usize = 1 << 20;

/// Reads one answer. Cheap to clone: a clone can look ahead without moving the original.
#[derive(Clone, Debug)]
pub struct AnswerReader {
    form: Form,
    correlation: i32,
    /// Bytes of the frame that were not read yet; unknown before its length is read.
    frame_left: Option<usize>,
    topics_left: usize,
    partitions_left: usize,
    topic: TopicId,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Head,
    Topic,
    Partition,
    Records { left: usize },
    Tail,
    End,
    Done,
}

impl AnswerReader {
    /// Reads the answer to the request of this version and correlation id.
    #[must_use]
    pub fn new(version: i16, correlation: i32) -> AnswerReader {
        AnswerReader {
            form: Form::of(version),
            correlation,
            frame_left: None,
            topics_left: 0,
            partitions_left: 0,
            topic: TopicId::ZERO,
            place: Place::Head,
        }
    }

    /// Bytes of the frame that were not read yet, once its length is known.
    #[must_use]
    pub fn frame_left(&self) -> Option<usize> {
        self.frame_left
    }

    /// Whether no other partition follows the one that was begun last.
    #[must_use]
    pub fn is_at_last_partition(&self) -> bool {
        self.partitions_left == 0 && self.topics_left == 0
    }

    /// The next step, and how many bytes of the window it has used. `window` begins where the last
    /// step ended. `topics` knows the ids of topics that an older version names.
    ///
    /// # Errors
    /// The answer is not what the protocol says; nothing of it can be read any more.
    pub fn next(&mut self, window: &[u8], topics: &Topics) -> Result<(Step, usize), Malformed> {
        let inside = match self.frame_left {
            Some(left) => window.get(..left).unwrap_or(window),
            None => window,
        };
        let ends_here = self.frame_left.is_some_and(|left| left <= window.len());
        let before = self.clone();
        let mut reader = Reader::new(inside);
        match self.step(&mut reader, topics) {
            Ok(step) => {
                self.frame_left = self.left_after(reader.taken())?;
                Ok((step, reader.taken()))
            }
            Err(Unread::Malformed(fault)) => Err(fault),
            Err(Unread::Short) if ends_here => Err(Malformed::BeyondFrame {
                field: self.place.field(),
            }),
            Err(Unread::Short) => {
                *self = before;
                Ok((Step::More(1), 0))
            }
        }
    }

    /// The caller has used `bytes` of the records that were shown.
    pub fn take_records(&mut self, bytes: usize) {
        let Place::Records { left } = self.place else {
            unreachable!(
                "records are taken while they are shown, not at {:?}",
                self.place
            )
        };
        let left = left
            .checked_sub(bytes)
            .expect("no more is taken than was shown");
        self.place = Place::Records { left };
        let frame_left = self.frame_left.expect("the frame's length was read first");
        self.frame_left = Some(
            frame_left
                .checked_sub(bytes)
                .expect("records lie in their frame"),
        );
    }

    fn left_after(&self, taken: usize) -> Result<Option<usize>, Malformed> {
        let Some(left) = self.frame_left else {
            return Ok(None);
        };
        let left = left
            .checked_sub(taken)
            .ok_or(Malformed::BeyondFrame { field: "a field" })?;
        match (self.place, left) {
            (Place::Done, 1..) => Err(Malformed::LeftOver { left }),
            _ => Ok(Some(left)),
        }
    }

    fn step(&mut self, reader: &mut Reader<'_>, topics: &Topics) -> Result<Step, Unread> {
        loop {
            match self.place {
                Place::Head => return self.head(reader),
                Place::Topic if self.topics_left == 0 => self.place = Place::End,
                Place::Topic => self.topic(reader, topics)?,
                Place::Partition if self.partitions_left == 0 => {
                    self.form.skip_tags(reader)?;
                    self.place = Place::Topic;
                }
                Place::Partition => return self.partition(reader),
                Place::Records { left: 0 } => self.place = Place::Tail,
                Place::Records { left } => {
                    // Bytes of steps that were taken on the way here belong to this one.
                    let available = reader.left().min(left);
                    return if available == 0 {
                        Err(Unread::Short)
                    } else {
                        Ok(Step::Records { available, left })
                    };
                }
                Place::Tail => return self.tail(reader),
                Place::End => return self.end(reader),
                Place::Done => unreachable!("the answer was read to its end"),
            }
        }
    }

    fn head(&mut self, reader: &mut Reader<'_>) -> Result<Step, Unread> {
        let length = reader.i32()?;
        let frame = positive(length, "the length of a frame")?;
        let correlation = reader.i32()?;
        if correlation != self.correlation {
            let expected = self.correlation;
            return Err(Malformed::Correlation {
                expected,
                found: correlation,
            }
            .into());
        }
        self.form.skip_tags(reader)?;
        let throttle_ms = reader.i32()?;
        let (mut error, mut session) = (ErrorCode::NONE, 0);
        if self.form.has_sessions() {
            error = ErrorCode(reader.i16()?);
            session = reader.i32()?;
        }
        let count = self.form.count(reader, "count of topics")?;
        self.topics_left = bounded(count, TOPICS_MAX, "topics")?;
        // The length itself is not part of what it counts.
        self.frame_left = Some(frame.saturating_add(size_of::<i32>()));
        self.place = Place::Topic;
        Ok(Step::Head(AnswerHead {
            throttle_ms,
            error,
            session,
        }))
    }

    fn topic(&mut self, reader: &mut Reader<'_>, topics: &Topics) -> Result<(), Unread> {
        let topic = match self.form.has_topic_ids() {
            true => TopicId::new(reader.uuid()?),
            false => {
                let name = self.form.text(reader, "the name of a topic")?;
                topics.id_of(name).unwrap_or(TopicId::ZERO)
            }
        };
        let partitions = self.form.count(reader, "count of partitions")?;
        self.partitions_left = bounded(partitions, PARTITIONS_MAX, "partitions")?;
        self.topic = topic;
        self.topics_left = self.topics_left.saturating_sub(1);
        self.place = Place::Partition;
        Ok(())
    }

    fn partition(&mut self, reader: &mut Reader<'_>) -> Result<Step, Unread> {
        let index = reader.i32()?;
        let partition = PartitionIndex::new(index).ok_or(Malformed::Impossible {
            field: "a partition",
            value: i64::from(index),
        })?;
        let error = ErrorCode(reader.i16()?);
        let high_watermark = Offset::from_wire(reader.i64()?);
        let _last_stable = reader.i64()?;
        let mut log_start = None;
        if self.form.has_log_start() {
            log_start = Offset::from_wire(reader.i64()?);
        }
        self.skip_aborted(reader)?;
        if self.form.has_rack() {
            let _preferred_replica = reader.i32()?;
        }
        let records_bytes = self.form.count(reader, "length of records")?.unwrap_or(0);
        let frame_left = self.frame_left.expect("the head was read first");
        if records_bytes > frame_left.saturating_sub(reader.taken()) {
            return Err(Malformed::BeyondFrame { field: "records" }.into());
        }
        self.partitions_left = self.partitions_left.saturating_sub(1);
        self.place = Place::Records {
            left: records_bytes,
        };
        let topic = self.topic;
        let head = PartitionHead {
            topic,
            partition,
            error,
            high_watermark,
            log_start,
            records_bytes,
        };
        Ok(Step::Partition(head))
    }

    /// Aborted transactions are told to consumers that filter; we keep everything.
    fn skip_aborted(&self, reader: &mut Reader<'_>) -> Result<(), Unread> {
        let count = self.form.count(reader, "count of aborted transactions")?;
        for _ in 0..bounded(count, ABORTED_MAX, "aborted")? {
            let _producer_and_offset = reader.bytes(16)?;
            self.form.skip_tags(reader)?;
        }
        Ok(())
    }

    fn tail(&mut self, reader: &mut Reader<'_>) -> Result<Step, Unread> {
        let mut tail = PartitionTail::default();
        self.form.tagged(reader, |tag, mut field| {
            match tag {
                0 => {
                    let epoch = LeaderEpoch::new(field.i32()?);
                    let end = Offset::from_wire(field.i64()?);
                    tail.diverging = Some(Diverging { epoch, end });
                }
                1 => {
                    let leader = BrokerId(field.i32()?);
                    let epoch = LeaderEpoch::new(field.i32()?);
                    tail.leader = (leader.0 >= 0).then_some(LeaderHint { leader, epoch });
                }
                _ => {}
            }
            Ok(())
        })?;
        self.place = Place::Partition;
        Ok(Step::PartitionEnd(tail))
    }

    fn end(&mut self, reader: &mut Reader<'_>) -> Result<Step, Unread> {
        let mut end = AnswerEnd::default();
        let has_endpoints = self.form.has_endpoints();
        self.form.tagged(reader, |tag, field| {
            if tag == 0 && has_endpoints {
                end.endpoints = endpoints(field)?;
            }
            Ok(())
        })?;
        self.place = Place::Done;
        Ok(Step::End(end))
    }
}

impl Place {
    fn field(self) -> &'static str {
        match self {
            Place::Head => "the head of a Fetch answer",
            Place::Topic => "a topic of a Fetch answer",
            Place::Partition => "a partition of a Fetch answer",
            Place::Records { .. } => "the records of a partition",
            Place::Tail => "the end of a partition",
            Place::End | Place::Done => "the end of a Fetch answer",
        }
    }
}

fn positive(value: i32, field: &'static str) -> Result<usize, Malformed> {
    usize::try_from(value).map_err(|_| Malformed::Impossible {
        field,
        value: i64::from(value),
    })
}

fn bounded(count: Option<usize>, most: usize, field: &'static str) -> Result<usize, Malformed> {
    let count = count.unwrap_or(0);
    let value = i64::try_from(count).unwrap_or(i64::MAX);
    if count <= most {
        Ok(count)
    } else {
        Err(Malformed::Impossible { field, value })
    }
}

fn endpoints(mut field: Reader<'_>) -> Result<Vec<Endpoint>, Unread> {
    let count = field.compact("count of endpoints")?;
    let most = field.left() / ENDPOINT_BYTES_MIN;
    let count = bounded(count, most, "endpoints")?;
    let mut endpoints = Vec::with_capacity(count);
    for _ in 0..count {
        let broker = BrokerId(field.i32()?);
        let host_bytes = field.compact("length of a host")?.unwrap_or(0);
        let host = String::from_utf8_lossy(field.bytes(host_bytes)?).into_owned();
        let port = field.i32()?;
        let rack_bytes = field.compact("length of a rack")?.unwrap_or(0);
        let _rack = field.bytes(rack_bytes)?;
        field.tagged(|_, _| Ok(()))?;
        if let Ok(port) = u16::try_from(port) {
            endpoints.push(Endpoint { broker, host, port });
        }
    }
    Ok(endpoints)
}
