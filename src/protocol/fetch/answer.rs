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

use crate::model::{BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicId};
use crate::protocol::error_code::ErrorCode;
use crate::protocol::primitive::{Malformed, Reader, Unread};

/// Everything of a partition before its records has to fit into a window; aborted transactions are
/// the part that can be long.
const ABORTED_MAX: usize = 1 << 16;
const TOPICS_MAX: usize = 1 << 20;
const PARTITIONS_MAX: usize = 1 << 20;

/// Reads one answer. Cheap to clone: a clone can look ahead without moving the original.
#[derive(Clone, Debug)]
pub struct AnswerReader {
    version: i16,
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

/// What comes next in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The window ends before the next step does; at least so many bytes more are needed.
    More(usize),
    /// The answer's beginning.
    Head(AnswerHead),
    /// A partition's entry begins.
    Partition(PartitionHead),
    /// The window's front is record bytes of the partition; so many of it, of `left` in all. The
    /// caller says by [`AnswerReader::take_records`] how many it has used.
    Records {
        /// Bytes of the window that are records of this partition.
        available: usize,
        /// Bytes of the partition's records that were not taken, the available ones included.
        left: usize,
    },
    /// The partition's entry ends.
    PartitionEnd(PartitionTail),
    /// The answer ends, and with it the frame.
    End(AnswerEnd),
}

/// An answer's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerHead {
    /// How long the broker wants us to wait before the next request, in ms.
    pub throttle_ms: i32,
    /// An error of the request as a whole.
    pub error: ErrorCode,
}

/// What is said of a partition before its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionHead {
    /// The topic.
    pub topic: TopicId,
    /// The partition.
    pub partition: PartitionIndex,
    /// Its error.
    pub error: ErrorCode,
    /// Its high watermark, taken before the records were read; none where it is unknown.
    pub high_watermark: Option<Offset>,
    /// Its log start offset; none where it is unknown.
    pub log_start: Option<Offset>,
    /// Bytes of records that follow.
    pub records_bytes: usize,
}

/// What is said of a partition after its records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionTail {
    /// Where our log leaves the leader's.
    pub diverging: Option<Diverging>,
    /// Who leads instead.
    pub leader: Option<LeaderHint>,
}

/// The largest epoch of the leader's that is not above ours, and where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Diverging {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Its end offset; none where the leader does not know.
    pub end: Option<Offset>,
}

/// A partition's leader, as told by a broker that is not it (KIP-951).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderHint {
    /// The leader.
    pub leader: BrokerId,
    /// Its epoch.
    pub epoch: LeaderEpoch,
}

/// An answer's end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerEnd {
    /// Where the leaders of the hints listen (KIP-951), as far as hosts are literal addresses or
    /// names.
    pub endpoints: Vec<Endpoint>,
}

/// Where a broker listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The broker.
    pub broker: BrokerId,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl AnswerReader {
    /// Reads the answer to the request of this version and correlation id.
    #[must_use]
    pub fn new(version: i16, correlation: i32) -> AnswerReader {
        AnswerReader {
            version,
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

    /// The next step, and how many bytes of the window it has used. `window` begins where the last
    /// step ended.
    ///
    /// # Errors
    /// The answer is not what the protocol says; nothing of it can be read any more.
    pub fn next(&mut self, window: &[u8]) -> Result<(Step, usize), Malformed> {
        let inside = match self.frame_left {
            Some(left) => window.get(..left).unwrap_or(window),
            None => window,
        };
        let ends_here = self.frame_left.is_some_and(|left| left <= window.len());
        let before = self.clone();
        let mut reader = Reader::new(inside);
        match self.step(&mut reader) {
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

    fn step(&mut self, reader: &mut Reader<'_>) -> Result<Step, Unread> {
        loop {
            match self.place {
                Place::Head => return self.head(reader),
                Place::Topic if self.topics_left == 0 => self.place = Place::End,
                Place::Topic => self.topic(reader)?,
                Place::Partition if self.partitions_left == 0 => {
                    reader.tagged(|_, _| Ok(()))?;
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
        reader.tagged(|_, _| Ok(()))?;
        let throttle_ms = reader.i32()?;
        let error = ErrorCode(reader.i16()?);
        let _session = reader.i32()?;
        self.topics_left = bounded(reader.compact("count of topics")?, TOPICS_MAX, "topics")?;
        // The length itself is not part of what it counts.
        self.frame_left = Some(frame.saturating_add(size_of::<i32>()));
        self.place = Place::Topic;
        Ok(Step::Head(AnswerHead { throttle_ms, error }))
    }

    fn topic(&mut self, reader: &mut Reader<'_>) -> Result<(), Unread> {
        let topic = TopicId::new(reader.uuid()?);
        let partitions = reader.compact("count of partitions")?;
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
        let log_start = Offset::from_wire(reader.i64()?);
        skip_aborted(reader)?;
        let _preferred_replica = reader.i32()?;
        let records_bytes = reader.compact("length of records")?.unwrap_or(0);
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

    fn tail(&mut self, reader: &mut Reader<'_>) -> Result<Step, Unread> {
        let mut tail = PartitionTail::default();
        reader.tagged(|tag, mut field| {
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
        let has_endpoints = self.version >= 16;
        reader.tagged(|tag, field| {
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

/// Aborted transactions are told to consumers that filter; we keep everything.
fn skip_aborted(reader: &mut Reader<'_>) -> Result<(), Unread> {
    let count = bounded(
        reader.compact("count of aborted transactions")?,
        ABORTED_MAX,
        "aborted",
    )?;
    for _ in 0..count {
        let _producer_and_offset = reader.bytes(16)?;
        reader.tagged(|_, _| Ok(()))?;
    }
    Ok(())
}

fn endpoints(mut field: Reader<'_>) -> Result<Vec<Endpoint>, Unread> {
    let count = bounded(
        field.compact("count of endpoints")?,
        field.left(),
        "endpoints",
    )?;
    let mut endpoints = Vec::new();
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
