//! Where we are in one source partition, and which answers we believe.

use super::backoff::Backoff;
use super::{LaneId, Options};
use crate::model::{BrokerId, Instant, LeaderEpoch, Offset, TopicId, TopicPartition};
use crate::stdx::slots::SlotKey;

/// Names one partition's cursor, from `follow` to `unfollow`; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CursorId(pub(super) SlotKey);

/// How far the log has come: what `follow`, `advanced` and `truncated` said, nothing guessed; or
/// how far the source says that it has lost what follows.
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
    /// The request that asked for it.
    pub(super) first: u64,
    pub(super) term: Term,
    pub(super) next: Offset,
    pub(super) last_epoch: LeaderEpoch,
    pub(super) leader_epoch: LeaderEpoch,
    /// The room asked for, in bytes.
    pub(super) room: u32,
    /// Asked for in a request of its own.
    pub(super) alone: bool,
}

/// For how many requests something is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Term {
    /// The one.
    Once,
    /// It and all that follow in the session.
    Standing,
    /// It and those that followed, up to this one: since then it is asked for anew or not at all.
    Until(u64),
}

impl Asked {
    /// Whether the answer to `request` on `lane` may answer this.
    pub(super) fn covers(&self, lane: LaneId, request: u64) -> bool {
        let in_term = match self.term {
            Term::Once => self.first == request,
            Term::Standing => self.first <= request,
            Term::Until(last) => (self.first..=last).contains(&request),
        };
        self.lane == lane && in_term
    }
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
///   any ── told to ──▶ Ceased ── told to ──▶ as after follow
/// ```
///
/// A replica goes from `Fetching` to `Truncating` at its leader's word, and back: its next request
/// compares what is left. `Fetching` covers waiting in a lane's queue, being in flight and standing
/// in a session. `Done` and `Stopped` are left by `unfollow` only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Fetching,
    Resting { until: Instant, then: Then },
    Questioning(Subject),
    Truncating,
    Ceased,
    Done,
    Stopped,
}

/// What one cursor may have asked for at a time: in the request that is being answered, and in the
/// one after it.
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
    /// Where the log ends, while the committed place lies behind a gap of which the source has told
    /// and which no batch has proven yet.
    before_gap: Option<Offset>,
    pub(super) predicted: Option<Predicted>,
    /// The epoch to state as last fetched: the log's, or none right after a gap, where the
    /// source could only misread it.
    pub(super) stated_epoch: LeaderEpoch,
    /// The first batch to come may begin below the committed place: an empty log, or a gap,
    /// may begin inside a batch.
    pub(super) may_begin_before: bool,
    asked: [Option<Asked>; ASKED_MAX],
    /// The session of its lane in which it stands.
    pub(super) member_of: Option<u64>,
    /// The request that told the broker to forget it. It cannot be asked for in the same one.
    pub(super) forgotten_in: Option<u64>,
    /// The last request in whose answer it was told of.
    pub(super) answered_in: Option<u64>,
    /// The source was found to have what the log held when it was first followed, if anything. A
    /// replica's leader finds out itself at every request.
    pub(super) compared: bool,
    /// The leader's epoch under which it was last found so. A request that cannot say which
    /// epoch the log ends in is only sent to a leader of this epoch.
    pub(super) compared_under: LeaderEpoch,
    /// What the source has lost may be cut off the log as well.
    pub(super) may_truncate: bool,
    /// Its topic has a name and no id.
    pub(super) by_name: bool,
    /// An answer for it is being taken in.
    pub(super) answering: bool,
    /// Held while it waits in its lane's queue.
    pub(super) ticket: Option<u64>,
    pub(super) until: Option<Offset>,
    pub(super) backoff: Backoff,
    /// The leader is one that an answer has named, and has not answered well yet.
    pub(super) followed_hint: bool,
    /// Bytes to ask for; grows where batches are larger than the ordinary room.
    pub(super) room: u32,
    /// Its next request is its own.
    pub(super) alone: bool,
    pub(super) corrupt_answers: u32,
    /// Answers in a row whose first batch claims more bytes than are allowed.
    pub(super) oversized_answers: u32,
    pub(super) empty_answers: u32,
    /// High watermarks that came without records since the log moved.
    pub(super) promises: u32,
    /// The source's, as last told; it says how far behind we are, and never refuses a batch.
    pub(super) high_watermark: Option<Offset>,
    pub(super) source_start: Option<Offset>,
    /// Where our own log begins.
    pub(super) log_start: Offset,
    /// A replica's: where it had all that its leader had.
    pub(super) reached: Option<Reached>,
}

/// A replica had all of its leader's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The leader's epoch.
    pub leader_epoch: LeaderEpoch,
    /// Where both logs ended.
    pub end: Offset,
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
            before_gap: None,
            predicted: None,
            stated_epoch: epoch,
            may_begin_before: followed.is_empty,
            asked: [None; ASKED_MAX],
            member_of: None,
            forgotten_in: None,
            answered_in: None,
            compared: !epoch.is_some() || options.replica.is_some(),
            compared_under: LeaderEpoch::NONE,
            may_truncate: followed.may_truncate,
            by_name,
            answering: false,
            ticket: None,
            until: followed.until,
            backoff: Backoff::default(),
            followed_hint: false,
            room: options.partition_fetch_bytes_max,
            alone: false,
            corrupt_answers: 0,
            oversized_answers: 0,
            empty_answers: 0,
            promises: 0,
            high_watermark: None,
            source_start: None,
            log_start: followed.log_start,
            reached: None,
        };
        cursor.stage = cursor.first_stage();
        cursor.assert_invariants();
        cursor
    }

    /// Its log was changed while nothing was fetched for it, and is as `committed` says.
    pub(super) fn begins_at(&mut self, committed: Committed, is_replica: bool) {
        self.is_at(committed);
        self.compared = !committed.epoch.is_some() || is_replica;
        self.compared_under = LeaderEpoch::NONE;
        self.reached = None;
        self.went_well();
    }

    /// Its log ends there.
    pub(super) fn is_at(&mut self, committed: Committed) {
        self.committed = committed;
        self.before_gap = None;
        self.stated_epoch = committed.epoch;
        self.may_begin_before = !committed.epoch.is_some();
    }

    /// Where its log ends.
    pub(super) fn log_end(&self) -> Offset {
        self.before_gap.unwrap_or(self.committed.next)
    }

    /// The source says that it begins at `start`, where the log does not reach. Says from where on
    /// it has nothing then.
    pub(super) fn skip_to(&mut self, start: Offset) -> Offset {
        let end = self.log_end();
        self.before_gap = Some(end);
        self.committed.next = start;
        self.stated_epoch = LeaderEpoch::NONE;
        self.may_begin_before = true;
        end
    }

    /// What the source has said that it has lost is to be asked for after all.
    pub(super) fn skip_nothing(&mut self) {
        let next = self.log_end();
        self.is_at(Committed {
            next,
            ..self.committed
        });
    }

    /// Batches were appended, up to there. Says which gap they leave behind them.
    pub(super) fn advanced(&mut self, committed: Committed) -> Option<(Offset, Offset)> {
        let gap = self.before_gap.map(|from| (from, self.committed.next));
        self.is_at(committed);
        self.may_begin_before = false;
        self.went_well();
        gap
    }

    /// A log that holds records may have been diverged from while we were away. Only a leader
    /// of the log's last epoch or a later one can tell.
    pub(super) fn first_stage(&self) -> Stage {
        if self.leader_epoch < self.committed.epoch {
            Stage::Questioning(Subject::Leader)
        } else if !self.compared {
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

    /// Whether a request may ask for it now: no answer for it is being taken in, or one whose end
    /// was foreseen.
    pub(super) fn may_be_asked(&self) -> bool {
        let is_open = !self.answering || self.predicted.is_some();
        self.stage == Stage::Fetching && is_open
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

    /// Whether nothing has to be asked: an answer is on its way, or the session asks for just what
    /// the log needs.
    pub(super) fn is_asked(&self) -> bool {
        let (next, last_epoch) = self.next_ask();
        let wanted = (next, last_epoch, self.leader_epoch, self.room);
        let mut known = self.asked.iter().flatten();
        known.any(|asked| match asked.term {
            Term::Once => true,
            Term::Standing => {
                (asked.next, asked.last_epoch, asked.leader_epoch, asked.room) == wanted
            }
            Term::Until(_) => false,
        })
    }

    /// Enters what a request asks for, while the answer to `front` arrives on the same lane. What
    /// stood there before stands no longer.
    pub(super) fn put_asked(&mut self, asked: Asked, front: Option<u64>) {
        self.end_term(asked.first - 1);
        let answering = self.answering;
        self.keep_asked(|before| match before.lane == asked.lane {
            true => front.is_some_and(|front| before.covers(asked.lane, front)),
            false => answering,
        });
        let free = self.asked.iter_mut().find(|place| place.is_none());
        *free.expect("a cursor has two requests in flight at most") = Some(asked);
    }

    /// What stands, stands up to the request `last` and no longer.
    pub(super) fn end_term(&mut self, last: u64) {
        for asked in self.asked.iter_mut().flatten() {
            if asked.term == Term::Standing {
                asked.term = Term::Until(last);
            }
        }
    }

    /// What `request` has asked for stands from now on. Says whether it had asked for anything.
    pub(super) fn begin_term(&mut self, lane: LaneId, request: u64) -> bool {
        let mut known = self.asked.iter_mut().flatten();
        let asked = known.find(|asked| asked.lane == lane && asked.first == request);
        asked.map(|asked| asked.term = Term::Standing).is_some()
    }

    /// What the answer to `request` of `lane` answers.
    pub(super) fn asked_in(&self, lane: LaneId, request: u64) -> Option<Asked> {
        let mut known = self.asked.iter().flatten();
        known.find(|asked| asked.covers(lane, request)).copied()
    }

    /// Whether an answer to `asked` is what the log needs now.
    pub(super) fn believes(&self, asked: Asked) -> bool {
        self.stage == Stage::Fetching
            && asked.next == self.committed.next
            && asked.leader_epoch == self.leader_epoch
            && !self.answering
    }

    /// Forgets what the one request has asked for: it is answered, or never will be. Says whether
    /// it was still open.
    pub(super) fn close_once(&mut self, lane: LaneId, request: u64) -> bool {
        let is_it = |asked: &Asked| asked.term == Term::Once && asked.covers(lane, request);
        let was_open = self.asked.iter().flatten().any(is_it);
        self.keep_asked(|asked| !is_it(asked));
        was_open
    }

    pub(super) fn keep_asked(&mut self, is_meant: impl Fn(&Asked) -> bool) {
        for place in &mut self.asked {
            if place.as_ref().is_some_and(|asked| !is_meant(asked)) {
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

    /// Whether a replica has all that its leader has, as far as the last answer tells.
    pub(super) fn has_all(&self) -> bool {
        let here = Reached {
            leader_epoch: self.leader_epoch,
            end: self.committed.next,
        };
        self.reached == Some(here)
    }

    /// Whether an empty answer would say something: as far as is known, there should be more.
    pub(super) fn is_behind(&self) -> bool {
        let next = self.committed.next;
        self.until.is_some() || self.high_watermark.is_some_and(|shown| next < shown)
    }

    /// Its leader has answered as one does.
    pub(super) fn answered_well(&mut self) {
        self.backoff.reset();
        self.followed_hint = false;
    }

    pub(super) fn went_well(&mut self) {
        self.answered_well();
        self.corrupt_answers = 0;
        self.oversized_answers = 0;
        self.empty_answers = 0;
        self.promises = 0;
        self.alone = false;
    }

    pub(super) fn assert_invariants(&self) {
        let stands = |asked: &Asked| asked.term == Term::Standing;
        let standing = self
            .asked
            .iter()
            .flatten()
            .filter(|asked| stands(asked))
            .count();
        assert!(standing == usize::from(self.member_of.is_some()));
        assert!(self.member_of.is_none() || self.stage == Stage::Fetching);
        assert!(self.ticket.is_none() || self.stage == Stage::Fetching);
        assert!(self.ticket.is_none() || self.may_be_asked());
        assert!(self.predicted.is_none() || self.answering);
        assert!(self.lane.broker == self.leader);
        assert!(self.log_end() <= self.committed.next);
        assert!(!self.committed.epoch.is_some() || self.stated_epoch <= self.committed.epoch);
    }
}
