//! Following as a replica: the leader's log is right, ours is cut until it is the beginning of it,
//! and what is asked for next is what we hold.

use super::cursor::{Stage, Subject, Then};
use super::divergence::{Alignment, EpochEnd, HeldEpochs, align};
use super::lane::Queue;
use super::{CursorId, Reached, Source, Trouble, Turn};
use crate::model::{BrokerEpoch, Instant, Offset};
use crate::protocol::fetch::{Diverging, TOPIC_IDS_FROM};

/// The oldest version of Fetch that a replica asks in: older ones know a topic by its name, and
/// cannot tell it from another one of that name.
pub const REPLICA_VERSION_MIN: i16 = TOPIC_IDS_FROM;

impl Source {
    /// The controller has registered us anew: requests state this epoch from now on. Leaders do
    /// not listen to an earlier one.
    ///
    /// # Panics
    /// We are a consumer.
    pub fn registered_as(&mut self, epoch: BrokerEpoch) {
        let replica = self.options.replica.as_mut();
        replica.expect("only a replica is registered").epoch = epoch;
    }

    /// Our own log of a partition begins at `start` from now on.
    pub fn log_starts_at(&mut self, id: CursorId, start: Offset) {
        if let Some(cursor) = self.cursors.get_mut(id.0) {
            cursor.log_start = start;
        }
    }

    /// The next of the partitions of which the answer that ended last has told news without
    /// records; to be asked after each answer. Only a replica has any.
    pub fn next_news(&mut self) -> Option<CursorId> {
        self.news.pop_first()
    }

    pub(super) fn is_replica(&self) -> bool {
        self.options.replica.is_some()
    }

    /// The leader says where its log leaves ours. What is left after a cut is compared by the next
    /// request: it may take more than one (KIP-279).
    pub(super) fn obey(
        &mut self,
        now: Instant,
        id: CursorId,
        diverging: Diverging,
        held: HeldEpochs<'_>,
    ) -> Turn {
        let committed = self.cursor(id).committed;
        let Some(end) = diverging.end else {
            return self.fail_then_ask(now, id, Trouble::Diverging, Subject::EpochEnd);
        };
        let epoch = diverging.epoch;
        let theirs = EpochEnd { epoch, end };
        match align(committed.next, committed.epoch, theirs, held) {
            Alignment::Cut { to } => self.cut(id, to, theirs),
            // We have led without a batch: the epoch goes, and nothing else.
            Alignment::Agreed if epoch < committed.epoch => self.cut(id, committed.next, theirs),
            Alignment::Agreed | Alignment::Absurd => {
                self.rest(now, id, Trouble::Diverging, Then::Fetch)
            }
        }
    }

    /// The leader's log goes on with a batch that begins inside ours: they differ, though no epoch
    /// says so, since the leader has deleted the records that would. No checksum covers a batch's
    /// offset: a single one is not believed.
    pub(super) fn overlapped(&mut self, now: Instant, id: CursorId, base: Offset) -> Turn {
        let answers_max = self.options.corrupt_answers_max;
        let cursor = self.cursor_mut(id);
        cursor.corrupt_answers += 1;
        if cursor.corrupt_answers < answers_max {
            return self.rest(now, id, Trouble::Corrupt, Then::Fetch);
        }
        cursor.corrupt_answers = 0;
        let epoch = cursor.committed.epoch;
        self.cut(id, base, EpochEnd { epoch, end: base })
    }

    /// Nothing of what we hold is in the leader's log, which begins at `start`.
    pub(super) fn restart(&mut self, id: CursorId, start: Offset) -> Turn {
        self.halt(id, Stage::Truncating);
        Turn::Restart { at: start }
    }

    /// The leader had nothing for us, or no room.
    pub(super) fn met_the_end(&mut self, id: CursorId, conclusive: bool) -> Turn {
        let cursor = self.cursor_mut(id);
        cursor.answered_well();
        let end = cursor.committed.next;
        // A leader may hold back what it has for the sake of others (a throttled replica).
        let is_visible = cursor.high_watermark.is_some_and(|shown| end >= shown);
        if conclusive && is_visible && !cursor.has_all() {
            let leader_epoch = cursor.leader_epoch;
            cursor.reached = Some(Reached { leader_epoch, end });
            self.news.insert(id);
        }
        let has_all = self.cursor(id).has_all();
        self.doubt(id, !has_all);
        self.resume_as(id, Queue::Hungry)
    }
}
