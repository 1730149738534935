//! `Fetch`: which ranges of which logs are needed, and the answer around what was found there.

use std::time::Duration;

use super::{Call, CloseReason, EpochEnds, Reply, Server};
use crate::model::{Offset, PartitionIndex, TopicId};
use crate::protocol::ErrorCode;
use crate::protocol::fetch::{
    AnswerEnd, AnswerHead, AnswerWriter, Diverging, FetchPartition, FetchRequest, PartitionAnswer,
    PartitionHead, PartitionTail, read_request,
};
use crate::server::Partition;

/// The largest answer that we begin, in bytes of records: Kafka's `fetch.max.bytes`.
const ANSWER_BYTES_MAX: usize = 55 << 20;
/// Epochs of sessions that want a full answer: a new session, and none.
const FULL: [i32; 2] = [0, -1];

/// What a Fetch needs before it can be answered. Whoever holds it back asks
/// [`Server::again`](crate::server::Server::again) before it is answered.
#[derive(Clone, Debug)]
pub struct FetchNeeds {
    version: i16,
    correlation: i32,
    request: FetchRequest,
    head: AnswerHead,
    /// One for each partition of the request, as far as it is known without records.
    answers: Vec<PartitionAnswer>,
    ranges: Vec<NeededRange>,
}

/// A range of a log that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeededRange {
    /// The topic.
    pub topic: TopicId,
    /// The partition.
    pub partition: PartitionIndex,
    /// The first offset that is wanted; the batch that holds it is sent whole.
    pub from: Offset,
    /// Batches that reach this offset are not visible yet. May lie at or below `from`: then there
    /// is nothing to read, but something to wait for.
    pub end: Offset,
    /// No more bytes than this, except one whole batch where nothing else is sent.
    pub max_bytes: usize,
    /// Which partition of the answer it is for, as its segments count them.
    pub place: usize,
}

impl NeededRange {
    /// Whether nothing of it is visible.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end <= self.from
    }
}

impl FetchNeeds {
    /// What to read, in the order in which the bytes are to be shared out.
    #[must_use]
    pub fn ranges(&self) -> &[NeededRange] {
        &self.ranges
    }

    /// No more bytes than this in all, except that the first batch is always sent whole.
    #[must_use]
    pub fn max_bytes(&self) -> usize {
        self.request.max_bytes.min(ANSWER_BYTES_MAX)
    }

    /// The answer may be held back until so many bytes are there, or `max_wait` is over.
    #[must_use]
    pub fn min_bytes(&self) -> usize {
        self.request.min_bytes
    }

    /// How long it may be held back.
    #[must_use]
    pub fn max_wait(&self) -> Duration {
        self.request.max_wait
    }

    /// Whether waiting would help nobody: an error or a divergence has to be told, nothing is
    /// waited for, or no bytes or no time are asked for.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.ranges.is_empty()
            || self.ranges.len() < self.answers.len()
            || self.request.min_bytes == 0
            || self.request.max_wait.is_zero()
    }

    /// The answer with so many bytes of records for each of [`FetchNeeds::ranges`].
    #[must_use]
    pub fn answer(&self, records_bytes: &[usize]) -> AnswerWriter {
        assert_eq!(records_bytes.len(), self.ranges.len(), "one length a range");
        let mut answers = self.answers.clone();
        for (range, bytes) in self.ranges.iter().zip(records_bytes) {
            answers[range.place].head.records_bytes = *bytes;
        }
        let end = AnswerEnd::default();
        AnswerWriter::new(self.version, self.correlation, self.head, &answers, &end)
    }
}

pub(super) fn answer(
    server: &Server,
    call: &Call<'_>,
    epochs: &dyn EpochEnds,
) -> Result<Reply, CloseReason> {
    let request = read_request(call.version, call.body)?;
    let needs = needs(server, (call.version, call.correlation), request, epochs);
    Ok(Reply::Fetch(Box::new(needs)))
}

pub(in crate::server) fn again(
    server: &Server,
    held: &FetchNeeds,
    epochs: &dyn EpochEnds,
) -> FetchNeeds {
    let call = (held.version, held.correlation);
    needs(server, call, held.request.clone(), epochs)
}

fn needs(
    server: &Server,
    (version, correlation): (i16, i32),
    request: FetchRequest,
    epochs: &dyn EpochEnds,
) -> FetchNeeds {
    let error = if FULL.contains(&request.session_epoch) {
        ErrorCode::NONE
    } else {
        // We keep no sessions: whoever believes to have one asks in full again.
        ErrorCode::FETCH_SESSION_ID_NOT_FOUND
    };
    let mut needs = FetchNeeds {
        version,
        correlation,
        head: AnswerHead {
            throttle_ms: 0,
            // Whoever begins a session is told that there is none, and asks in full again.
            session: 0,
            error,
        },
        answers: Vec::new(),
        ranges: Vec::new(),
        request,
    };
    if !error.is_error() {
        for wanted in &needs.request.partitions {
            let place = needs.answers.len();
            let judged = judge(server, &needs.request, wanted, epochs);
            needs.answers.push(judged.answer(wanted));
            needs.ranges.extend(judged.range(wanted, place));
        }
    }
    needs
}

/// What becomes of one partition.
enum Judged<'s> {
    Readable(&'s Partition, Offset),
    Diverged(&'s Partition, Diverging),
    Refused(ErrorCode),
}

fn judge<'s>(
    server: &'s Server,
    request: &FetchRequest,
    wanted: &FetchPartition,
    epochs: &dyn EpochEnds,
) -> Judged<'s> {
    try_judge(server, request, wanted, epochs).unwrap_or_else(Judged::Refused)
}

/// The order of the checks is Kafka's (`Partition.readRecords`).
fn try_judge<'s>(
    server: &'s Server,
    request: &FetchRequest,
    wanted: &FetchPartition,
    epochs: &dyn EpochEnds,
) -> Result<Judged<'s>, ErrorCode> {
    let topic = server
        .topics
        .get(&wanted.topic)
        .ok_or(ErrorCode::UNKNOWN_TOPIC_ID)?;
    let partition = topic
        .partition(wanted.partition.value())
        .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
    if request.replica.is_some() {
        // We have no followers: whoever believes to be one means another leader.
        return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    }
    if request.read_committed {
        // It would take a list of aborted transactions, which is not kept.
        return Err(ErrorCode::UNSUPPORTED_VERSION);
    }
    partition.led_in(wanted.leader_epoch)?;
    let marks = &partition.watermarks;
    let from = wanted
        .fetch_offset
        .filter(|from| *from >= marks.log_start)
        .ok_or(ErrorCode::OFFSET_OUT_OF_RANGE)?;
    if wanted.last_fetched_epoch.is_some() {
        let end = epochs
            .end_of(wanted.topic, wanted.partition, wanted.last_fetched_epoch)
            .ok_or(ErrorCode::OFFSET_OUT_OF_RANGE)?;
        if end.epoch < wanted.last_fetched_epoch || end.end < from {
            let diverging = Diverging {
                epoch: end.epoch,
                end: Some(end.end),
            };
            return Ok(Judged::Diverged(partition, diverging));
        }
    }
    if from > marks.log_end {
        return Err(ErrorCode::OFFSET_OUT_OF_RANGE);
    }
    Ok(Judged::Readable(partition, from))
}

impl Judged<'_> {
    fn answer(&self, wanted: &FetchPartition) -> PartitionAnswer {
        let (error, partition, diverging) = match self {
            Judged::Readable(partition, _) => (ErrorCode::NONE, Some(partition), None),
            Judged::Diverged(partition, diverging) => {
                (ErrorCode::NONE, Some(partition), Some(*diverging))
            }
            Judged::Refused(error) => (*error, None, None),
        };
        let head = PartitionHead {
            topic: wanted.topic,
            partition: wanted.partition,
            error,
            high_watermark: partition.map(|of| of.watermarks.high_watermark),
            log_start: partition.map(|of| of.watermarks.log_start),
            records_bytes: 0,
        };
        PartitionAnswer {
            head,
            last_stable: partition.map(|of| of.watermarks.last_stable),
            tail: PartitionTail {
                diverging,
                leader: None,
            },
        }
    }

    fn range(&self, wanted: &FetchPartition, place: usize) -> Option<NeededRange> {
        let Judged::Readable(partition, from) = *self else {
            return None;
        };
        Some(NeededRange {
            topic: wanted.topic,
            partition: wanted.partition,
            from,
            end: partition.watermarks.high_watermark,
            max_bytes: wanted.max_bytes,
            place,
        })
    }
}
