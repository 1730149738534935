//! A partition's answer → what to do with its records, and how the partition goes on.

use super::cursor::{Asked, Stage, Subject, Term, Then};
use super::lane::{Current, Queue};
use super::session::Manner;
use super::verdict::{Remedy, remedy};
use super::{
    Cause, CursorId, Expected, HeldEpochs, LaneId, Outcome, Source, Trouble, Turn, Verdict,
};
use crate::model::{BrokerId, Instant, LeaderEpoch};
use crate::protocol::error_code::ErrorCode;
use crate::protocol::fetch::{Diverging, PartitionHead, PartitionTail};

/// So many times more patience where the source's high watermark lies below `until`: a new
/// leader's is late for a moment before it is known to have lost records.
const PATIENCE_BELOW_UNTIL: u32 = 20;

/// So many high watermarks may come without a record, where there should be one. A broker shows
/// what lies below the one it tells: it is a few where a leader is new, or another one at fault.
const PROMISES_MAX: u32 = 20;

/// So many claims in a row that a batch is larger than allowed are believed.
pub(super) const OVERSIZED_ANSWERS_MAX: u32 = 3;

impl Source {
    /// Begins one partition of the answer that arrives on `lane`; `is_last`: no other follows in
    /// it. Every call is followed by one of [`Source::judge_tail`].
    pub fn judge(&mut self, lane: LaneId, head: &PartitionHead, is_last: bool) -> Verdict {
        let owner = self.by_id.get(&(head.topic, head.partition)).copied();
        let is_replica = self.is_replica();
        let known = self.lane_mut(lane);
        assert!(known.current.is_none(), "the partition before has no end");
        let request = known.arriving();
        let number = request.number;
        let conclusive = request.is_conclusive(is_replica);
        request.fed_bytes += head.records_bytes;
        let id = request.expect(head.topic, head.partition).or(owner);
        let apart = request.manner == Manner::Apart;
        let asked = id.and_then(|id| {
            let asked = self.cursors.get(id.0)?.asked_in(lane, number)?;
            (!apart || asked.term == Term::Once).then_some((id, asked))
        });
        let believed = asked.is_some_and(|(id, asked)| self.cursor(id).believes(asked));
        if let Some((id, asked)) = asked {
            self.answered_about(id, asked, head, number);
        }
        self.lane_mut(lane).current = Some(Current {
            asked,
            believed,
            error: head.error,
            conclusive,
            looked_ahead: false,
            is_last,
        });
        match asked {
            Some((id, _)) if believed => self.verdict(id, head),
            _ => Verdict::Ignore,
        }
    }

    /// What is said of a partition holds whether or not its records are wanted. In a session it is
    /// not said twice.
    fn answered_about(&mut self, id: CursorId, asked: Asked, head: &PartitionHead, request: u64) {
        let is_replica = self.is_replica();
        let cursor = self.cursor_mut(id);
        cursor.answered_in = Some(request);
        if head.error == ErrorCode::NONE && asked.leader_epoch == cursor.leader_epoch {
            let before = (cursor.high_watermark, cursor.source_start);
            cursor.told(head.high_watermark, head.log_start);
            if is_replica && before != (cursor.high_watermark, cursor.source_start) {
                self.news.insert(id);
            }
        }
    }

    fn verdict(&mut self, id: CursorId, head: &PartitionHead) -> Verdict {
        let cursor = self.cursor_mut(id);
        cursor.answering = true;
        // Whoever has come back to the place of an answer that was still under way may be queued;
        // what is to be asked next is known at the end.
        cursor.ticket = None;
        if head.error != ErrorCode::NONE {
            return Verdict::Wait { cursor: id };
        }
        if head.records_bytes == 0 {
            return Verdict::Wait { cursor: id };
        }
        Verdict::Append(Expected {
            cursor: id,
            next: cursor.committed.next,
            may_begin_before: cursor.may_begin_before,
            epoch_min: cursor.committed.epoch,
            epoch_max: cursor.leader_epoch,
        })
    }

    /// Ends the partition that [`Source::judge`] began, after its records were appended
    /// ([`Source::advanced`]) or skipped. `held` is asked about our own log's epochs.
    pub fn judge_tail(
        &mut self,
        now: Instant,
        lane: LaneId,
        tail: &PartitionTail,
        outcome: Outcome,
        held: HeldEpochs<'_>,
    ) -> Turn {
        let known = self.lane_mut(lane);
        let current = known.current.take().expect("a partition's end has a head");
        let request = known.arriving();
        request.is_told |= current.is_last;
        let number = request.number;
        let Some((id, asked)) = current.asked else {
            return Turn::Continue;
        };
        let Some(cursor) = self.cursors.get_mut(id.0) else {
            return Turn::Continue;
        };
        cursor.close_once(lane, number);
        if !current.believed {
            self.settle(id, Queue::Hungry);
            return Turn::Continue;
        }
        cursor.answering = false;
        cursor.predicted = None;
        // Stopped meanwhile, or an objection of a leader that has been replaced meanwhile.
        let outdated = asked.leader_epoch != cursor.leader_epoch;
        let objects = current.error != ErrorCode::NONE || tail.diverging.is_some();
        if cursor.stage != Stage::Fetching || outdated && objects {
            self.settle(id, Queue::Hungry);
            return Turn::Continue;
        }
        let turn = match tail.diverging.filter(|_| current.error == ErrorCode::NONE) {
            Some(diverging) => self.diverging(now, id, diverging, held),
            None => self.after_answer(now, id, &current, asked, tail, outcome),
        };
        self.cursor(id).assert_invariants();
        turn
    }

    fn after_answer(
        &mut self,
        now: Instant,
        id: CursorId,
        current: &Current,
        asked: Asked,
        tail: &PartitionTail,
        outcome: Outcome,
    ) -> Turn {
        if current.error != ErrorCode::NONE {
            return self.refused(now, id, current.error, tail);
        }
        match outcome {
            Outcome::Appended => self.appended(id, asked),
            Outcome::Nothing => self.empty(now, id, current.conclusive),
            Outcome::TooSmall { need } => self.too_small(now, id, asked, need),
            Outcome::Overlaps { base } if self.is_replica() => self.overlapped(now, id, base),
            Outcome::Corrupt | Outcome::Overlaps { .. } => self.corrupt(now, id),
            Outcome::EpochAhead => {
                self.fail_then_ask(now, id, Trouble::EpochAhead, Subject::Leader)
            }
            Outcome::Unwritten => self.rest(now, id, Trouble::Unwritten, Then::Fetch),
        }
    }

    fn refused(
        &mut self,
        now: Instant,
        id: CursorId,
        error: ErrorCode,
        tail: &PartitionTail,
    ) -> Turn {
        let trouble = Trouble::Refused(error);
        match remedy(error) {
            Remedy::Again => self.rest(now, id, trouble, Then::Fetch),
            Remedy::LeaderAfterRest => {
                let cursor = self.cursor_mut(id);
                // Where no id would tell, the topic may come back as another one.
                cursor.compared &= !cursor.by_name || !cursor.committed.epoch.is_some();
                self.rest(now, id, trouble, Then::Ask(Subject::Leader))
            }
            Remedy::Bounds => self.fail_then_ask(now, id, trouble, Subject::Bounds),
            Remedy::NewLeader => {
                let Some((leader, epoch)) = self.hint(id, tail) else {
                    return self.fail_then_ask(now, id, trouble, Subject::Leader);
                };
                self.move_to(id, leader, epoch);
                // The next answer has to bring something, or the metadata is asked.
                self.cursor_mut(id).followed_hint = true;
                self.settle(id, Queue::Hungry);
                Turn::Continue
            }
        }
    }

    /// The leader that the answer names, where that is news (KIP-951). It is followed once, to a
    /// broker that is known: no other answer ends what is a lie.
    fn hint(&self, id: CursorId, tail: &PartitionTail) -> Option<(BrokerId, LeaderEpoch)> {
        let hint = tail.leader?;
        let cursor = self.cursor(id);
        let is_first = cursor.backoff.failures() == 0 && !cursor.followed_hint;
        let is_news = hint.epoch > cursor.leader_epoch && is_first;
        let is_known = self.cluster.endpoint(hint.leader).is_some();
        (is_news && is_known).then_some((hint.leader, hint.epoch))
    }

    fn diverging(
        &mut self,
        now: Instant,
        id: CursorId,
        diverging: Diverging,
        held: HeldEpochs<'_>,
    ) -> Turn {
        if !self.cursor(id).committed.epoch.is_some() {
            // A log without any epoch cannot differ from the source's; the answer is absurd.
            return self.rest(now, id, Trouble::Diverging, Then::Fetch);
        }
        match self.is_replica() {
            true => self.obey(now, id, diverging, held),
            false => self.fail_then_ask(now, id, Trouble::Diverging, Subject::EpochEnd),
        }
    }

    fn appended(&mut self, id: CursorId, asked: Asked) -> Turn {
        let cursor = self.cursor_mut(id);
        assert!(
            cursor.committed.next > asked.next,
            "records were appended, but the cursor was not advanced"
        );
        cursor.went_well();
        self.resume_as(id, Queue::Served)
    }

    pub(super) fn empty(&mut self, now: Instant, id: CursorId, conclusive: bool) -> Turn {
        if self.is_replica() {
            return self.met_the_end(id, conclusive);
        }
        let patience = self.options.empty_answers_max;
        let cursor = self.cursor_mut(id);
        let (broker, next) = (cursor.leader, cursor.committed.next);
        let Some(high_watermark) = cursor.high_watermark else {
            return self.rest(now, id, Trouble::NoWatermark { broker }, Then::Fetch);
        };
        let is_behind = cursor.is_behind();
        if conclusive && is_behind && cursor.empty_answers == 0 {
            cursor.promises = cursor.promises.saturating_add(1);
        }
        if conclusive || next >= high_watermark {
            cursor.empty_answers = cursor.empty_answers.saturating_add(1);
        }
        let patience = match cursor.until {
            Some(until) if high_watermark < until => patience.saturating_mul(PATIENCE_BELOW_UNTIL),
            _ => patience,
        };
        let has_waited = cursor.empty_answers >= patience;
        let is_to_end = cursor.until.is_some();
        if is_to_end && has_waited {
            return self.finish(id);
        }
        if is_to_end {
            // Its empty answers are counted, and there is an end to them.
            let lane = cursor.lane;
            self.lane_mut(lane).hasty = 0;
        }
        let cursor = self.cursor_mut(id);
        if is_behind && !has_waited && cursor.promises >= PROMISES_MAX {
            let trouble = Trouble::Promised {
                broker,
                next,
                high_watermark,
            };
            return self.rest(now, id, trouble, Then::Fetch);
        }
        cursor.answered_well();
        self.doubt(id, is_behind && !has_waited);
        self.resume_as(id, Queue::Hungry)
    }

    /// Not one whole batch came: next time the partition is asked for alone, with room. Alone,
    /// a broker always sends one whole batch (KIP-74), but only up to the room asked for
    /// where the batch does not come first.
    fn too_small(&mut self, now: Instant, id: CursorId, asked: Asked, need: Option<u32>) -> Turn {
        let batch_bytes_max = self.options.batch_bytes_max;
        if let Some(need) = need.filter(|need| *need > batch_bytes_max) {
            let cursor = self.cursor_mut(id);
            cursor.oversized_answers += 1;
            if cursor.oversized_answers < OVERSIZED_ANSWERS_MAX {
                // No checksum covers the length: a single claim is not believed.
                return self.rest(now, id, Trouble::Corrupt, Then::Fetch);
            }
            return self.stop_for(
                id,
                Cause::BatchTooLarge {
                    next: asked.next,
                    need,
                    batch_bytes_max,
                },
            );
        }
        let had_room = need.is_some_and(|need| need <= asked.room);
        if asked.alone && (had_room || asked.room == batch_bytes_max) {
            return self.corrupt(now, id);
        }
        let doubled = match asked.alone {
            true => asked.room.saturating_mul(2),
            false => asked.room,
        };
        self.leave_session(id);
        let cursor = self.cursor_mut(id);
        cursor.ticket = None;
        cursor.alone = true;
        cursor.room = doubled.max(need.unwrap_or(0)).min(batch_bytes_max);
        self.settle(id, Queue::Alone);
        Turn::Continue
    }

    fn corrupt(&mut self, now: Instant, id: CursorId) -> Turn {
        let answers_max = self.options.corrupt_answers_max;
        let cursor = self.cursor_mut(id);
        cursor.corrupt_answers += 1;
        let (broker, next) = (cursor.leader, cursor.committed.next);
        let answers = cursor.corrupt_answers;
        if answers >= answers_max {
            return self.stop_for(
                id,
                Cause::Corrupt {
                    broker,
                    next,
                    answers,
                },
            );
        }
        self.rest(now, id, Trouble::Corrupt, Then::Fetch)
    }
}
