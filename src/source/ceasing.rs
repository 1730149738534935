//! A partition that is known and not fetched, for as long as its owner wants: nothing is asked for
//! it, and nothing of what is under way is believed.

use super::cursor::Stage;
use super::lane::Queue;
use super::{Committed, CursorId, Source, Turn};
use crate::model::{LeaderEpoch, Offset};

impl Source {
    /// Fetches a partition no more, until [`Source::begin_again`].
    pub fn cease(&mut self, id: CursorId) {
        if self.cursors.get(id.0).is_none() {
            return;
        }
        self.halt(id, Stage::Ceased);
        let cursor = self.cursor_mut(id);
        cursor.answering = false;
        cursor.predicted = None;
        for lane in self.lanes.values_mut() {
            let current = lane.current.as_mut();
            let is_its = |asked: Option<(CursorId, _)>| asked.is_some_and(|(asked, _)| asked == id);
            if let Some(current) = current.filter(|current| is_its(current.asked)) {
                current.believed = false;
            }
        }
        self.cursor(id).assert_invariants();
    }

    /// Fetches a partition that was ceased, whose log ends at `next` by now, in the source's leader
    /// epoch `epoch` ([`LeaderEpoch::NONE`] where it is empty): as one that is followed from now
    /// on.
    ///
    /// # Panics
    /// It was not ceased.
    pub fn begin_again(&mut self, id: CursorId, next: Offset, epoch: LeaderEpoch) -> Turn {
        let is_replica = self.is_replica();
        let cursor = self.cursor_mut(id);
        assert!(cursor.stage == Stage::Ceased, "it is fetched, or over");
        cursor.begins_at(Committed { next, epoch }, is_replica);
        match cursor.first_stage() {
            Stage::Questioning(subject) => {
                self.ask(id, subject);
                Turn::Asked
            }
            Stage::Done => self.finish(id),
            _ => {
                self.halt(id, Stage::Fetching);
                self.settle(id, Queue::Hungry);
                self.cursor(id).assert_invariants();
                Turn::Continue
            }
        }
    }
}
