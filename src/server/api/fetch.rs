//! `Fetch`: which ranges of which logs are needed, and the answer around what was found there.

use std::time::Duration;

use super::{Call, CloseReason, EpochEnds, Reply, Server};
use crate::model::{BrokerEpoch, BrokerId, Offset, PartitionIndex, TopicId};
use crate::protocol::ErrorCode;
use crate::protocol::fetch::{
    AnswerEnd, AnswerHead, AnswerWriter, Around, Diverging, FetchPartition, FetchRequest,
    PartitionAnswer, PartitionHead, PartitionTail, TOPIC_IDS_FROM, Told, read_request,
};
use crate::server::audience::{Asker, Audience};
use crate::server::{Partition, Topic};

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
    follower: Option<(BrokerId, BrokerEpoch)>,
    /// One for each partition of the request, as far as it is known without records.
    answers: Vec<PartitionAnswer>,
    ranges: Vec<NeededRange>,
    /// One of them could not be read.
    has_failed: bool,
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
    /// Batches that reach beyond this offset are not visible yet. May lie at or below `from`: then
    /// there is nothing to read, but something to wait for.
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
    /// The follower that asks and in which life, where it is the one that the metadata knows: all
    /// of [`FetchNeeds::ranges`] begin where its logs end.
    #[must_use]
    pub fn follower(&self) -> Option<(BrokerId, BrokerEpoch)> {
        self.follower
    }

    /// What to read, in the order in which the bytes are to be shared out.
    #[must_use]
    pub fn ranges(&self) -> &[NeededRange] {
        &self.ranges
    }

    /// How many partitions the answer has.
    #[must_use]
    pub fn partitions(&self) -> usize {
        self.answers.len()
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
            || self.has_failed
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
        let (end, named) = (AnswerEnd::default(), &self.request.named);
        let (version, correlation) = (self.version, self.correlation);
        AnswerWriter::new(version, correlation, self.head, &answers, named, &end)
    }

    /// One of [`FetchNeeds::ranges`] cannot be read: its partition is answered with this error.
    pub fn fail(&mut self, range: usize, error: ErrorCode) {
        let place = self.ranges[range].place;
        let head = &self.answers[place].head;
        self.answers[place] = refusal(head.topic, head.partition, error);
        self.has_failed = true;
    }

    /// Begins the answer, for a caller who puts the records where they belong.
    #[must_use]
    pub fn begin(&self, out: &mut Vec<u8>) -> Around {
        let (version, correlation) = (self.version, self.correlation);
        Around::begin(version, correlation, self.head, self.told(), out)
    }

    /// Goes on with the answer, up to the length of the records of one of [`FetchNeeds::ranges`].
    pub fn up_to(&self, around: &mut Around, range: usize, out: &mut Vec<u8>) {
        around.up_to(self.ranges[range].place, self.told(), out);
    }

    /// Ends the answer.
    pub fn end(&self, around: Around, out: &mut Vec<u8>) {
        around.end(self.told(), &AnswerEnd::default(), out);
    }

    fn told(&self) -> Told<'_> {
        Told {
            partitions: &self.answers,
            named: &self.request.named,
        }
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
        follower: server.counted(asker(&request)),
        answers: Vec::new(),
        ranges: Vec::new(),
        has_failed: false,
        request,
    };
    if !error.is_error() {
        needs.answers.reserve_exact(needs.request.partitions.len());
        for wanted in &needs.request.partitions {
            let place = needs.answers.len();
            let judged = Judging {
                server,
                version,
                request: &needs.request,
            }
            .judge(wanted, epochs);
            needs
                .answers
                .push(judged.answer(wanted, needs.request.replica.is_some()));
            needs.ranges.extend(judged.range(wanted, place));
        }
    }
    needs
}

fn asker(request: &FetchRequest) -> Asker {
    Asker {
        replica: request.replica,
        life: request.replica_epoch,
    }
}

fn refusal(topic: TopicId, partition: PartitionIndex, error: ErrorCode) -> PartitionAnswer {
    PartitionAnswer {
        head: PartitionHead {
            topic,
            partition,
            error,
            high_watermark: None,
            log_start: None,
            records_bytes: 0,
        },
        last_stable: None,
        tail: PartitionTail::default(),
    }
}

/// What becomes of one partition.
enum Judged<'s> {
    Readable(Readable<'s>),
    Diverged(&'s Partition, Diverging),
    Refused(ErrorCode),
}

#[derive(Clone, Copy)]
struct Readable<'s> {
    topic: TopicId,
    partition: &'s Partition,
    from: Offset,
    /// Up to where the asker may see.
    end: Offset,
}

/// A request, partition by partition.
#[derive(Clone, Copy)]
struct Judging<'s, 'r> {
    server: &'s Server,
    version: i16,
    request: &'r FetchRequest,
}

impl<'s> Judging<'s, '_> {
    fn judge(self, wanted: &FetchPartition, epochs: &dyn EpochEnds) -> Judged<'s> {
        self.try_judge(wanted, epochs)
            .unwrap_or_else(Judged::Refused)
    }

    /// The order of the checks is Kafka's (`Partition.readRecords`).
    fn try_judge(
        self,
        wanted: &FetchPartition,
        epochs: &dyn EpochEnds,
    ) -> Result<Judged<'s>, ErrorCode> {
        let (server, request) = (self.server, self.request);
        let topic = self.topic(wanted)?;
        let partition = topic.partition(wanted.partition.value());
        let partition = partition.ok_or_else(|| server.unknown_partition())?;
        if request.replica.is_some() && matches!(server.audience, Audience::Consumers(_)) {
            // Whoever believes to follow means another leader.
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        if request.read_committed {
            // It would take a list of aborted transactions, which is not kept.
            return Err(ErrorCode::UNSUPPORTED_VERSION);
        }
        server.admits(partition, wanted.leader_epoch, asker(request))?;
        let marks = &partition.watermarks;
        let from = wanted
            .fetch_offset
            .filter(|from| *from >= marks.log_start)
            .ok_or(ErrorCode::OFFSET_OUT_OF_RANGE)?;
        if wanted.last_fetched_epoch.is_some() {
            let end = epochs
                .end_of(topic.id, wanted.partition, wanted.last_fetched_epoch)
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
        if from < partition.held_from {
            // It is there, and we have it not: whoever leads it after us may give it.
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        Ok(Judged::Readable(Readable {
            topic: topic.id,
            partition,
            from,
            end: match request.replica {
                Some(_) => marks.log_end,
                None => marks.high_watermark,
            },
        }))
    }

    fn topic(self, wanted: &FetchPartition) -> Result<&'s Topic, ErrorCode> {
        let server = self.server;
        if self.version >= TOPIC_IDS_FROM {
            let topic = server.topics.get(&wanted.topic);
            return topic.ok_or(ErrorCode::UNKNOWN_TOPIC_ID);
        }
        let name = self.request.named.name_of(wanted.topic);
        let id = name.and_then(|name| server.ids.get(name));
        let topic = id.and_then(|id| server.topics.get(id));
        topic.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    }
}

impl Judged<'_> {
    fn answer(&self, wanted: &FetchPartition, to_follower: bool) -> PartitionAnswer {
        let (partition, diverging) = match self {
            Judged::Readable(readable) => (readable.partition, None),
            Judged::Diverged(partition, diverging) => (*partition, Some(*diverging)),
            Judged::Refused(error) => return refusal(wanted.topic, wanted.partition, *error),
        };
        let marks = &partition.watermarks;
        let mut answer = refusal(wanted.topic, wanted.partition, ErrorCode::NONE);
        answer.head.high_watermark = Some(marks.high_watermark);
        answer.head.log_start = Some(marks.log_start);
        // Followers keep account of transactions themselves.
        answer.last_stable = (!to_follower).then_some(marks.last_stable);
        answer.tail.diverging = diverging;
        answer
    }

    fn range(&self, wanted: &FetchPartition, place: usize) -> Option<NeededRange> {
        let Judged::Readable(readable) = *self else {
            return None;
        };
        Some(NeededRange {
            topic: readable.topic,
            partition: wanted.partition,
            from: readable.from,
            end: readable.end,
            max_bytes: wanted.max_bytes,
            place,
        })
    }
}
