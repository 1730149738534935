//! The source cluster, as seen by one shard: where we are in each partition and which answers
//! we believe.
//!
//! A pure machine: time comes in as an argument, requests and questions go out as values. The
//! shard that owns it works in turns:
//!
//! 1. It opens the connections that [`Source::plan_connect`] names, and says how that went
//!    ([`Source::lane_up`], [`Source::lane_lost`]).
//! 2. It sends what [`Source::plan_fetch`] yields for each lane.
//! 3. It brings [`Source::next_question`] to control, and control's answers to
//!    [`Source::answered`].
//! 4. As an answer arrives: [`Source::answer_begun`]; per partition [`Source::judge`], then
//!    [`Source::advanced`] for what is appended, then [`Source::judge_tail`]; at the end
//!    [`Source::answer_done`], [`Source::next_untold`] and [`Source::next_news`].
//!    [`Source::look_ahead`] lets the next request leave early.
//! 5. It sleeps until [`Source::next_deadline`] at most.
//!
//! Invariants: one request per partition in flight, or two where the answer that arrives was
//! foreseen to its end; what stands in a session is what the log needs, or is named anew by the
//! next request; an answer is believed only if it was asked for at the very offset and
//! leader epoch that the log needs now; the committed place moves by what the log committed,
//! by a gap that the source tells of and by a truncation, by nothing else; what it tells of is no
//! gap before a batch from behind it has come. A replica asks for nothing that would
//! acknowledge what its log does not hold.

mod backoff;
mod ceasing;
mod cluster;
mod cursor;
mod divergence;
mod fetch_plan;
mod judge;
mod lane;
mod links;
mod moves;
mod options;
mod question;
mod replica;
mod session;
mod verdict;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::model::{
    BrokerId, Instant, LeaderEpoch, Offset, PartitionIndex, TopicId, TopicPartition,
};
use crate::protocol::fetch::{Endpoint, Topics};
use crate::stdx::prng::Prng;
use crate::stdx::slots::Slots;

use cluster::{Cluster, lane_of};
use cursor::{Cursor, Predicted, Stage, Subject, Then};
use lane::{Lane, Queue};

pub use cursor::{Committed, CursorId, Reached};
pub use divergence::{EpochEnd, HeldEpochs};
pub use fetch_plan::FetchPlan;
pub use lane::LaneId;
pub use options::Options;
pub use question::{Answer, Question};
pub use replica::REPLICA_VERSION_MIN;
pub use verdict::{Cause, Expected, Outcome, Trouble, Turn, Verdict, Withheld};

/// A partition to be followed, and where our log of it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// Its name.
    pub id: TopicPartition,
    /// Its topic's id at the source.
    pub topic_id: TopicId,
    /// The broker that leads it.
    pub leader: BrokerId,
    /// That leader's epoch.
    pub leader_epoch: LeaderEpoch,
    /// The offset to fetch next: our log's end, or the source's log start for a new log.
    pub position: Offset,
    /// The leader epoch of our log's last batch.
    pub last_epoch: LeaderEpoch,
    /// Where our log begins.
    pub log_start: Offset,
    /// Our log holds no batch.
    pub is_empty: bool,
    /// The partition is [`Turn::Done`] once our log's end is here; `None` follows for ever.
    pub until: Option<Offset>,
    /// What the source has lost may be cut off our log as well ([`Turn::Truncate`]); a replica's
    /// always is.
    pub may_truncate: bool,
}

/// How far one partition has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is in our log.
    pub committed: Committed,
    /// The source's high watermark, once an answer told it; a replica's own lies at its log's end
    /// where the leader's lies above.
    pub high_watermark: Option<Offset>,
    /// The source's log start, once an answer told it.
    pub source_start: Option<Offset>,
    /// All that the source shows is in our log, as far as its last answer tells.
    pub is_caught_up: bool,
    /// Where a replica had all that its leader had.
    pub reached: Option<Reached>,
}

/// One shard's view of the source cluster.
#[derive(Debug)]
pub struct Source {
    options: Options,
    prng: Prng,
    cluster: Cluster,
    cursors: Slots<Cursor>,
    by_id: BTreeMap<(TopicId, PartitionIndex), CursorId>,
    /// The topics of all cursors.
    topics: Topics,
    lanes: BTreeMap<LaneId, Lane>,
    /// The cursors that rest, by the end of their rest.
    resting: BTreeSet<(Instant, CursorId)>,
    /// At most one per cursor and one per broker that still has a meaning.
    questions: VecDeque<Question>,
    /// Partitions that are done, or fail, since an answer has left them out.
    untold: VecDeque<(CursorId, Turn)>,
    /// A replica's partitions of which something else than records was told.
    news: BTreeSet<CursorId>,
    next_request: u64,
    next_ticket: u64,
}

impl Source {
    /// A source of which nothing is known yet. `seed` spreads the waits after failures.
    #[must_use]
    pub fn new(options: Options, seed: u64) -> Source {
        options.assert_sound();
        Source {
            options,
            prng: Prng::new(seed),
            cluster: Cluster::default(),
            cursors: Slots::default(),
            by_id: BTreeMap::new(),
            topics: Topics::default(),
            lanes: BTreeMap::new(),
            resting: BTreeSet::new(),
            questions: VecDeque::new(),
            untold: VecDeque::new(),
            news: BTreeSet::new(),
            next_request: 1,
            next_ticket: 0,
        }
    }

    /// Tells where a broker listens, from metadata.
    pub fn broker_at(&mut self, endpoint: Endpoint) {
        self.cluster.learn(endpoint);
    }

    /// The end of a Fetch answer tells where a broker listens (KIP-951). Whom neither metadata nor
    /// the answer named as a leader before is of no use, and there may be any number of them.
    pub fn leader_at(&mut self, endpoint: Endpoint) {
        let broker = endpoint.broker;
        let mut lanes = self.lanes.range(LaneId { broker, number: 0 }..);
        let leads = lanes.next().is_some_and(|(lane, _)| lane.broker == broker);
        if leads || self.cluster.knows(broker) {
            self.cluster.learn(endpoint);
        }
    }

    /// Where a broker listens, as last told.
    #[must_use]
    pub fn endpoint(&self, broker: BrokerId) -> Option<&Endpoint> {
        self.cluster.endpoint(broker)
    }

    /// The topics of the partitions that are followed.
    #[must_use]
    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    /// Begins to follow a partition, which is not followed yet. Who holds records and is no replica
    /// first asks how far their last epoch reaches at the source. [`Turn::Done`]: nothing is
    /// missing.
    pub fn follow(&mut self, followed: Followed) -> (CursorId, Turn) {
        let key = (followed.topic_id, followed.id.partition);
        let lane = lane_of(followed.leader, key.0, key.1, self.options.lanes_per_broker);
        let cursor = Cursor::new(followed, lane, &self.options);
        let (stage, by_name) = (cursor.stage, cursor.by_name);
        assert!(
            !by_name || !self.is_replica(),
            "a replica knows its topics' ids"
        );
        self.topics.insert(key.0, &cursor.name.topic);
        let id = CursorId(self.cursors.insert(cursor));
        assert!(self.by_id.insert(key, id).is_none(), "followed twice");
        self.enter_lane(lane, by_name);
        let turn = match stage {
            Stage::Questioning(subject) => {
                self.ask(id, subject);
                Turn::Asked
            }
            Stage::Done => Turn::Done,
            _ => {
                self.settle(id, Queue::Hungry);
                Turn::Continue
            }
        };
        (id, turn)
    }

    /// Follows a partition no longer. What is still under way for it will be ignored.
    pub fn unfollow(&mut self, id: CursorId) {
        if self.cursors.get(id.0).is_some() {
            self.leave_session(id);
        }
        let Some(cursor) = self.cursors.remove(id.0) else {
            return;
        };
        let topic = cursor.topic_id;
        self.news.remove(&id);
        self.by_id.remove(&(topic, cursor.name.partition));
        let mut others = self.by_id.range((topic, PartitionIndex::default())..);
        if others.next().is_none_or(|((other, _), _)| *other != topic) {
            self.topics.remove(topic);
        }
        if let Stage::Resting { until, .. } = cursor.stage {
            self.resting.remove(&(until, id));
        }
        self.leave_lane(cursor.lane, cursor.by_name);
    }

    /// Stops a partition for a reason of the caller's; it stays known until `unfollow`.
    pub fn stop(&mut self, id: CursorId) {
        if self.cursors.get(id.0).is_some() {
            self.halt(id, Stage::Stopped);
        }
    }

    /// The partition's leader, as control's own metadata tells. Old news is ignored.
    pub fn leader_moved(&mut self, id: CursorId, leader: BrokerId, epoch: LeaderEpoch) {
        let Some(cursor) = self.cursors.get(id.0) else {
            return;
        };
        if epoch <= cursor.leader_epoch {
            return;
        }
        let waits = matches!(
            cursor.stage,
            Stage::Questioning(Subject::Leader)
                | Stage::Resting {
                    then: Then::Ask(Subject::Leader),
                    ..
                }
        );
        let compared = cursor.compared;
        let ends_wait = waits && epoch >= cursor.committed.epoch;
        self.move_to(id, leader, epoch);
        match (ends_wait, compared) {
            (true, true) => self.go_on(id),
            (true, false) => self.ask(id, Subject::EpochEnd),
            (false, _) => self.settle(id, Queue::Hungry),
        }
        self.cursor(id).assert_invariants();
    }

    /// Batches of the answer under way were committed to the log, which now ends at `next` in
    /// the leader epoch `epoch`. Says which offsets are missing before them, where the source has
    /// told of that ([`Turn::Gap`]): that it goes on behind them is proven now, and to be recorded.
    pub fn advanced(
        &mut self,
        id: CursorId,
        next: Offset,
        epoch: LeaderEpoch,
    ) -> Option<(Offset, Offset)> {
        let cursor = self.cursors.get_mut(id.0)?;
        let committed = cursor.committed;
        assert!(
            next > committed.next,
            "a log advanced from {} to {next}",
            committed.next
        );
        assert!(epoch >= committed.epoch, "a log's epoch fell to {epoch}");
        self.cluster.did_well(cursor.leader);
        cursor.advanced(Committed { next, epoch })
    }

    /// The answer under way will bring the log to `next` in the leader epoch `epoch`, unless
    /// its batches prove unsound: the next request may already ask for what follows. A replica's
    /// may not: it would acknowledge what is not held yet.
    pub fn look_ahead(&mut self, id: CursorId, next: Offset, epoch: LeaderEpoch) {
        let is_replica = self.is_replica();
        let Some(cursor) = self.cursors.get_mut(id.0).filter(|_| !is_replica) else {
            return;
        };
        if !cursor.answering || cursor.stage != Stage::Fetching {
            return;
        }
        let finishes = cursor.until.is_some_and(|until| next >= until);
        if next <= cursor.committed.next || finishes {
            return;
        }
        let queued = cursor.ticket.is_some();
        let known = self.lanes.get_mut(&cursor.lane);
        let known = known.expect("a cursor's lane is there");
        let has_left = known.in_flight.len() != 1;
        let Some(current) = known.current.as_mut().filter(|_| !has_left) else {
            return;
        };
        if current.asked.is_some_and(|(answered, _)| answered == id) {
            current.looked_ahead = true;
            cursor.predicted = Some(Predicted { next, epoch });
            if !queued {
                self.enqueue(id, Queue::Served);
            }
        }
    }

    /// The log was emptied as [`Turn::Restart`] asked, and begins and ends at `start`.
    pub fn restarted(&mut self, id: CursorId, start: Offset) {
        self.log_starts_at(id, start);
        self.truncated(id, start, LeaderEpoch::NONE);
    }

    /// The log was cut as [`Turn::Truncate`] asked; it now ends at `next`, and its last batch
    /// has the leader epoch `epoch` ([`LeaderEpoch::NONE`] where none is left). What is left
    /// is compared with the source again.
    pub fn truncated(&mut self, id: CursorId, next: Offset, epoch: LeaderEpoch) {
        let is_replica = self.is_replica();
        let Some(cursor) = self.cursors.get_mut(id.0) else {
            return;
        };
        let was_stopped = cursor.stage == Stage::Stopped;
        assert!(
            was_stopped || cursor.stage == Stage::Truncating,
            "nothing was to be truncated"
        );
        let before = cursor.committed;
        let has_shrunk = next < before.next || epoch < before.epoch || !epoch.is_some();
        assert!(has_shrunk || !is_replica, "a cut at {next} has cut nothing");
        cursor.is_at(Committed { next, epoch });
        cursor.reached = None;
        if was_stopped {
            return;
        }
        if epoch.is_some() && !is_replica {
            self.ask(id, Subject::EpochEnd);
        } else {
            self.go_on(id);
        }
    }

    /// How far a partition has come; `None` once it is no longer followed.
    #[must_use]
    pub fn progress(&self, id: CursorId) -> Option<Progress> {
        let cursor = self.cursors.get(id.0)?;
        let shown = cursor.high_watermark;
        let next = cursor.committed.next;
        let has_shown = shown.is_some_and(|end| next >= end);
        Some(Progress {
            committed: cursor.committed,
            high_watermark: match self.is_replica() {
                true => shown.map(|end| end.min(next)),
                false => shown,
            },
            source_start: cursor.source_start,
            is_caught_up: match self.is_replica() {
                true => cursor.has_all(),
                false => has_shown || cursor.empty_answers >= self.options.empty_answers_max,
            },
            reached: cursor.reached,
        })
    }

    /// The connection that a partition is asked on; `None` once it is not followed.
    #[must_use]
    pub fn lane(&self, id: CursorId) -> Option<LaneId> {
        self.cursors.get(id.0).map(|cursor| cursor.lane)
    }

    /// The partition's name, its topic's id and its leader; `None` once it is not followed.
    #[must_use]
    pub fn name(&self, id: CursorId) -> Option<(&TopicPartition, TopicId, BrokerId)> {
        let cursor = self.cursors.get(id.0)?;
        Some((&cursor.name, cursor.topic_id, cursor.leader))
    }
}

#[cfg(test)]
mod tests;
