//! Where we are in one source partition, and which answers we believe.

use super::backoff::Backoff;
use super::{LaneId, Options};
use crate::model::{BrokerId, Instant, LeaderEpoch, Offset, TopicId, TopicPartition};
use crate::stdx::slots::SlotKey;

/// Names one partition's cursor, from `follow` to `unfollow`; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CursorId(pub(super) SlotKey);

/// How far the log has come: what `follow`, `advanced` and `truncated` said, nothing guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The offset to fetch next.
    pub next: Offset,
    /// The leader epoch of the log's last batch, [`LeaderEpoch::NONE`] for an empty log.
    pub epoch: LeaderEpoch,
}

/// Where the log will be if the append under way succeeds. Good for asking early, for nothing
/// else: it never becomes [`Committed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Predicted {
    pub(super) next: Offset,
    pub(super) epoch: LeaderEpoch,
}

/// What one request in flight asked for. Its answer is believed only while this still is what
/// the log needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) lane: LaneId,
    pub(super) request: u64,
    pub(super) next: Offset,
    pub(super) leader_epoch: LeaderEpoch,
    /// The room asked for, in bytes.
    pub(super) room: u32,
    /// Asked for in a request of its own.
    pub(super) alone: bool,
}

/// What control is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// Where the log's last epoch ends at the source.
    EpochEnd,
    /// Where the source's log begins and ends, because the fetch offset lies outside.
    Bounds,
    /// The same, because the source knows none of our epochs: only to name both ends.
    BoundsOfDiverged,
    /// Who leads the partition.
    Leader,
}

/// What follows a rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Fetch,
    Ask(Subject),
}

/// What a cursor is doing. All moves:
///
/// ```text
///   follow, empty log ───────────────▶ Fetching ◀───── rest over ────── Resting
///   follow, held up to `until` ──────▶ Done            failure ───────▶   │ ▲
///                                       ▲  │ ▲                 rest over │ │ no answer
///                 `until` reached ──────┘  │ │ agreed, gap, leader told   ▼ │
///   follow, records held ────────────────▶ Questioning ◀──────────────────┘ │
///                       out of range,      │   ▲  │      └──────────────────┘
///                       diverging epoch,   │   │  │ logs differ, allowed
///                       leader unknown ────┘   │  ▼
///                                     truncated└─Truncating
///
///   any ── damage, divergence, topic gone, told to ──▶ Stopped
/// ```
///
/// `Fetching` covers waiting in a lane's queue and being in flight. `Done` and `Stopped` are
/// left by `unfollow` only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Fetching,
    Resting { until: Instant, then: Then },
    Questioning(Subject),
    Truncating,
    Done,
    Stopped,
}

/// The requests of one cursor that may be in flight at a time: one, and the early next one.
const ASKED_MAX: usize = 2;

/// One partition's place in the source. Owned by one shard.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) name: TopicPartition,
    pub(super) topic_id: TopicId,
    pub(super) leader: BrokerId,
    pub(super) leader_epoch: LeaderEpoch,
    pub(super) lane: LaneId,
    pub(super) stage: Stage,
    pub(super) committed: Committed,
    pub(super) predicted: Option<Predicted>,
    /// The epoch to state as last fetched: the log's, or none right after a gap, where the
    /// source could only misread it.
    pub(super) stated_epoch: LeaderEpoch,
    /// The first batch to come may begin below the committed place: an empty log, or a gap,
    /// may begin inside a batch.
    pub(super) may_begin_before: bool,
    asked: [Option<Asked>; ASKED_MAX],
    /// The source was found to have what the log held when it was first followed, if anything.
    pub(super) compared: bool,
    /// The leader's epoch under which it was last found so. A request that cannot say which
    /// epoch the log ends in is only sent to a leader of this epoch.
    pub(super) compared_under: LeaderEpoch,
    /// Its topic has a name and no id.
    pub(super) by_name: bool,
    /// An answer for it is being taken in.
    pub(super) answering: bool,
    /// Held while it waits in its lane's queue.
    pub(super) ticket: Option<u64>,
    pub(super) until: Option<Offset>,
    pub(super) backoff: Backoff,
    /// Bytes to ask for; grows where batches are larger than the ordinary room.
    pub(super) room: u32,
    /// Its next request is its own.
    pub(super) alone: bool,
    pub(super) corrupt_answers: u32,
    /// Answers in a row whose first batch claims more bytes than are allowed.
    pub(super) oversized_answers: u32,
    pub(super) empty_answers: u32,
    /// The source's, as last told; it says how far behind we are, and never refuses a batch.
    pub(super) high_watermark: Option<Offset>,
    pub(super) source_start: Option<Offset>,
}

impl Cursor {
    pub(super) fn new(followed: super::Followed, lane: LaneId, options: &Options) -> Cursor {
        let epoch = match followed.is_empty {
            true => LeaderEpoch::NONE,
            false => followed.last_epoch,
        };
        let by_name = followed.topic_id == TopicId::of_name(&followed.id.topic);
        let mut cursor = Cursor {
            name: followed.id,
            topic_id: followed.topic_id,
            leader: followed.leader,
            leader_epoch: followed.leader_epoch,
            lane,
            stage: Stage::Fetching,
            committed: Committed {
                next: followed.position,
                epoch,
            },
            predicted: None,
            stated_epoch: epoch,
            may_begin_before: followed.is_empty,
            asked: [None; ASKED_MAX],
            compared: !epoch.is_some(),
            compared_under: LeaderEpoch::NONE,
            by_name,
            answering: false,
            ticket: None,
            until: followed.until,
            backoff: Backoff::default(),
            room: options.partition_fetch_bytes_max,
            alone: false,
            corrupt_answers: 0,
            oversized_answers: 0,
            empty_answers: 0,
            high_watermark: None,
            source_start: None,
        };
        cursor.stage = cursor.first_stage();
        cursor.assert_invariants();
        cursor
    }

    /// A log that holds records may have been diverged from while we were away. Only a leader
    /// of the log's last epoch or a later one can tell.
    fn first_stage(&self) -> Stage {
        if self.leader_epoch < self.committed.epoch {
            Stage::Questioning(Subject::Leader)
        } else if self.committed.epoch.is_some() {
            Stage::Questioning(Subject::EpochEnd)
        } else if self.reached_until() {
            Stage::Done
        } else {
            Stage::Fetching
        }
    }

    /// Whether everything asked for at `follow` is in the log.
    pub(super) fn reached_until(&self) -> bool {
        self.until.is_some_and(|until| self.committed.next >= until)
    }

    /// What the next request would ask for: the offset and the last fetched epoch.
    pub(super) fn next_ask(&self) -> (Offset, LeaderEpoch) {
        match self.predicted {
            Some(ahead) => (ahead.next, ahead.epoch),
            None => (self.committed.next, self.stated_epoch),
        }
    }

    /// Whether a request may ask for it now: nothing of it is in flight, or only the answer
    /// whose end was foreseen.
    pub(super) fn may_be_asked(&self) -> bool {
        let foreseen = self.answering && self.predicted.is_some() && self.asked_count() == 1;
        self.stage == Stage::Fetching && (self.asked_count() == 0 || foreseen)
    }

    /// Whether the present leader is known to have what the log holds. A log that is empty has
    /// nothing to be compared, and what it takes from this leader is the leader's.
    pub(super) fn is_compared(&mut self) -> bool {
        if !self.committed.epoch.is_some() {
            self.compared_under = self.leader_epoch;
        }
        self.compared_under == self.leader_epoch
    }

    pub(super) fn wants_fetch(&self) -> bool {
        self.stage == Stage::Fetching
    }

    pub(super) fn asked_count(&self) -> usize {
        self.asked.iter().flatten().count()
    }

    pub(super) fn put_asked(&mut self, asked: Asked) {
        let free = self.asked.iter_mut().find(|place| place.is_none());
        *free.expect("a cursor has two requests in flight at most") = Some(asked);
    }

    pub(super) fn asked_in(&self, lane: LaneId, request: u64) -> Option<Asked> {
        let mut known = self.asked.iter().flatten();
        known
            .find(|asked| asked.lane == lane && asked.request == request)
            .copied()
    }

    /// Whether an answer to `asked` is what the log needs now.
    pub(super) fn believes(&self, asked: Asked) -> bool {
        self.stage == Stage::Fetching
            && asked.next == self.committed.next
            && asked.leader_epoch == self.leader_epoch
            && !self.answering
    }

    /// Forgets a request: it is answered, or its answer will not be believed.
    pub(super) fn forget_asked(&mut self, is_meant: impl Fn(&Asked) -> bool) {
        for place in &mut self.asked {
            if place.as_ref().is_some_and(&is_meant) {
                *place = None;
            }
        }
    }

    /// Takes what the source says of itself. An empty answer says something only while the
    /// high watermark stays where it was.
    pub(super) fn told(&mut self, high_watermark: Option<Offset>, log_start: Option<Offset>) {
        if self.high_watermark != high_watermark {
            self.empty_answers = 0;
        }
        self.high_watermark = high_watermark;
        self.source_start = log_start.or(self.source_start);
    }

    pub(super) fn went_well(&mut self) {
        self.backoff.reset();
        self.corrupt_answers = 0;
        self.oversized_answers = 0;
        self.empty_answers = 0;
        self.alone = false;
    }

    pub(super) fn assert_invariants(&self) {
        assert!(self.asked_count() <= ASKED_MAX);
        assert!(self.ticket.is_none() || self.stage == Stage::Fetching);
        assert!(self.ticket.is_none() || self.may_be_asked());
        assert!(self.predicted.is_none() || self.answering);
        assert!(self.lane.broker == self.leader);
        assert!(!self.committed.epoch.is_some() || self.stated_epoch <= self.committed.epoch);
    }
}
