//! What only control can find out: questions as values, and what their answers mean.

use super::cursor::{Stage, Subject, Then};
use super::divergence::{Alignment, EpochEnd, HeldEpochs, align, cut_below};
use super::moves::FAILURES_PER_LEADER_QUESTION;
use super::verdict::{Cause, Trouble, Turn};
use super::{CursorId, Source};
use crate::model::{BrokerId, Instant, LeaderEpoch, Offset, TopicId};
use crate::protocol::error_code::ErrorCode;

/// So many answers in a row that name a leader older than our log's last epoch are believed: it
/// is the source that has gone back in time, not its metadata that is late.
const OLD_NEWS_MAX: u32 = 10;

/// A question to control. One that names a cursor is answered by [`Source::answered`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// OffsetForLeaderEpoch: where does `epoch` end at the source? To be asked of `leader`
    /// with `leader_epoch` as the current epoch and −1 as replica id.
    EpochEnd {
        /// Whom it concerns.
        cursor: CursorId,
        /// The partition's leader as far as we know.
        leader: BrokerId,
        /// That leader's epoch.
        leader_epoch: LeaderEpoch,
        /// The epoch of our log's last batch.
        epoch: LeaderEpoch,
    },
    /// ListOffsets: where does the source's log begin (earliest) and end (latest)? A replica has to
    /// say that it is one: whoever does not is told of the high watermark.
    Bounds {
        /// Whom it concerns.
        cursor: CursorId,
        /// The partition's leader as far as we know.
        leader: BrokerId,
        /// That leader's epoch.
        leader_epoch: LeaderEpoch,
    },
    /// Metadata: who leads the partition, and does its topic still exist?
    Leader {
        /// Whom it concerns.
        cursor: CursorId,
    },
    /// Metadata of the cluster: where does `broker` listen, and what does it still lead? There
    /// is no answer but [`Source::broker_at`] and [`Source::leader_moved`].
    Broker {
        /// The broker that cannot be reached, was never told of, or leads partitions about
        /// which nothing can be found out.
        broker: BrokerId,
    },
}

/// Control's answer to a [`Question`] about a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To `EpochEnd`.
    EpochEnd {
        /// The epoch that was asked for.
        of: LeaderEpoch,
        /// The leader's epoch under which it was asked.
        under: LeaderEpoch,
        /// The source's largest epoch not above the one asked for, and its end. `None`: the
        /// source answers −1, it knows no epoch as large as that one.
        end: Option<EpochEnd>,
    },
    /// To `Bounds`.
    Bounds {
        /// The source's log start.
        start: Offset,
        /// The source's high watermark; to a replica, where its log ends.
        end: Offset,
    },
    /// To `Leader`.
    Leader {
        /// The broker that leads the partition.
        leader: BrokerId,
        /// Its epoch.
        epoch: LeaderEpoch,
    },
    /// To any: it could not be found out now; it will be asked again after a wait.
    Unavailable,
    /// To any: the source has no such topic any more.
    TopicDeleted,
    /// To any: the topic has another id now.
    TopicRecreated {
        /// The new topic's id.
        topic_id: TopicId,
    },
}

impl Source {
    /// The next question for control, each given out once.
    pub fn next_question(&mut self) -> Option<Question> {
        while let Some(question) = self.questions.pop_front() {
            if let Question::Broker { broker } = question {
                self.cluster.question_taken(broker);
            }
            if self.matters(&question) {
                return Some(question);
            }
        }
        None
    }

    /// Whether somebody still waits for the answer: its partition may have been stopped, or
    /// told of its leader, in the meantime.
    fn matters(&self, question: &Question) -> bool {
        let (id, is_asked): (_, fn(Subject) -> bool) = match question {
            Question::Broker { .. } => return true,
            Question::EpochEnd { cursor, .. } => (cursor, |subject| subject == Subject::EpochEnd),
            Question::Bounds { cursor, .. } => (cursor, |subject| {
                matches!(subject, Subject::Bounds | Subject::BoundsOfDiverged)
            }),
            Question::Leader { cursor } => (cursor, |subject| subject == Subject::Leader),
        };
        let stage = self.cursors.get(id.0).map(|cursor| cursor.stage);
        matches!(stage, Some(Stage::Questioning(subject)) if is_asked(subject))
    }

    /// Takes control's answer. `held` is asked about our own log's epochs. An answer that
    /// nobody waits for any more means nothing.
    pub fn answered(
        &mut self,
        now: Instant,
        id: CursorId,
        answer: Answer,
        held: HeldEpochs<'_>,
    ) -> Turn {
        let Some(cursor) = self.cursors.get(id.0) else {
            return Turn::Continue;
        };
        let Stage::Questioning(subject) = cursor.stage else {
            return Turn::Continue;
        };
        if let Answer::EpochEnd { of, .. } = answer
            && of != cursor.committed.epoch
        {
            // To a question of before; the log has gone on since.
            return Turn::Continue;
        }
        match (subject, answer) {
            (_, Answer::TopicDeleted) => self.stop_for(id, Cause::TopicDeleted),
            (_, Answer::TopicRecreated { topic_id }) => {
                let held = cursor.topic_id;
                self.stop_for(
                    id,
                    Cause::TopicRecreated {
                        held,
                        now: topic_id,
                    },
                )
            }
            (_, Answer::Unavailable) => self.no_answer(now, id, subject),
            (Subject::EpochEnd, Answer::EpochEnd { end: None, .. }) => {
                self.ask(id, Subject::BoundsOfDiverged);
                Turn::Asked
            }
            (
                Subject::EpochEnd,
                Answer::EpochEnd {
                    under,
                    end: Some(end),
                    ..
                },
            ) => self.aligned(now, id, (under, end), held),
            (Subject::Bounds | Subject::BoundsOfDiverged, Answer::Bounds { start, end })
                if start > end =>
            {
                let broker = cursor.leader;
                let trouble = Trouble::Crossed { broker, start, end };
                self.rest(now, id, trouble, Then::Ask(subject))
            }
            (Subject::Bounds, Answer::Bounds { start, end }) => self.bounded(now, id, start, end),
            (Subject::BoundsOfDiverged, Answer::Bounds { end, .. }) => self.diverged(id, end, held),
            (Subject::Leader, Answer::Leader { leader, epoch }) => {
                self.led_by(now, id, leader, epoch)
            }
            _ => Turn::Continue,
        }
    }

    /// Asked again after a wait. Where that did not help either, the leader may be gone: its
    /// partitions are told of a new one by [`Source::leader_moved`], the question stays.
    fn no_answer(&mut self, now: Instant, id: CursorId, subject: Subject) -> Turn {
        let turn = self.rest(now, id, Trouble::NoAnswer, Then::Ask(subject));
        let cursor = self.cursor(id);
        let failures = cursor.backoff.failures();
        let broker = cursor.leader;
        let doubt = failures.is_multiple_of(FAILURES_PER_LEADER_QUESTION);
        if doubt && subject != Subject::Leader && self.cluster.doubted(broker) {
            self.questions.push_back(Question::Broker { broker });
        }
        turn
    }

    fn aligned(
        &mut self,
        now: Instant,
        id: CursorId,
        (under, source): (LeaderEpoch, EpochEnd),
        held: HeldEpochs<'_>,
    ) -> Turn {
        let cursor = self.cursor(id);
        match align(cursor.log_end(), cursor.committed.epoch, source, held) {
            Alignment::Agreed => {
                let cursor = self.cursor_mut(id);
                cursor.compared = true;
                cursor.compared_under = under;
                self.resume(id)
            }
            Alignment::Absurd => {
                self.rest(now, id, Trouble::NoAnswer, Then::Ask(Subject::EpochEnd))
            }
            Alignment::Cut { to } => self.cut(id, to, source),
        }
    }

    /// The fetch offset was out of range; the source now says of which range. That is held against
    /// the log's end each time: what it has said before may have been wrong.
    fn bounded(&mut self, now: Instant, id: CursorId, start: Offset, end: Offset) -> Turn {
        let cursor = self.cursor_mut(id);
        cursor.source_start = Some(start);
        cursor.skip_nothing();
        let from = cursor.committed.next;
        if from < start && self.is_replica() {
            return self.restart(id, start);
        }
        let cursor = self.cursor_mut(id);
        if from < start {
            let from = cursor.skip_to(start);
            self.go_on(id);
            return Turn::Gap { from, to: start };
        }
        // Not retention: the source lost what it had, or knows no epoch of ours any more
        // (Partition.readRecords reports both as out of range).
        if cursor.committed.epoch.is_some() {
            self.ask(id, Subject::EpochEnd);
            return Turn::Asked;
        }
        if from <= end {
            // In range by now, and no epoch of ours that the source could object to.
            let trouble = Trouble::Refused(ErrorCode::OFFSET_OUT_OF_RANGE);
            return self.rest(now, id, trouble, Then::Fetch);
        }
        if self.is_replica() {
            return self.restart(id, start);
        }
        let epoch = LeaderEpoch::NONE;
        self.cut(id, end, EpochEnd { epoch, end })
    }

    /// The source knows none of our epochs; its log's end names the other side of the fault.
    fn diverged(&mut self, id: CursorId, end: Offset, held: HeldEpochs<'_>) -> Turn {
        let cursor = self.cursor(id);
        let epoch = cursor.committed.epoch;
        let to = cut_below(epoch, held).min(cursor.log_end());
        // What lies behind the leader's end is not in it, whatever its epoch.
        let to = if self.is_replica() { to.min(end) } else { to };
        self.cut(id, to, EpochEnd { epoch, end })
    }

    /// Our log goes on where the source's does not.
    pub(super) fn cut(&mut self, id: CursorId, to: Offset, source: EpochEnd) -> Turn {
        let held_to = self.cursor(id).log_end();
        if !self.is_replica() && !self.cursor(id).may_truncate {
            return self.stop_for(
                id,
                Cause::SourceTruncated {
                    held_to,
                    source_end: source.end,
                    epoch: source.epoch,
                },
            );
        }
        let cursor = self.cursor(id);
        if self.is_replica() && to <= cursor.log_start {
            // Nothing would be left: then it may begin where its leader's log does.
            let start = cursor.source_start.unwrap_or(cursor.log_start);
            return self.restart(id, start);
        }
        self.halt(id, Stage::Truncating);
        Turn::Truncate { to }
    }

    fn led_by(&mut self, now: Instant, id: CursorId, leader: BrokerId, epoch: LeaderEpoch) -> Turn {
        let cursor = self.cursor(id);
        let behind_log = epoch < cursor.committed.epoch;
        let is_patient = cursor.backoff.failures() < OLD_NEWS_MAX;
        if epoch < cursor.leader_epoch && cursor.by_name && !is_patient {
            let held = cursor.leader_epoch;
            return self.stop_for(id, Cause::LeaderEpochFell { held, now: epoch });
        }
        if is_patient && (epoch < cursor.leader_epoch || behind_log) {
            // Metadata of a broker that has not heard of the election yet.
            return self.rest(now, id, Trouble::NoAnswer, Then::Ask(Subject::Leader));
        }
        self.move_to(id, leader, epoch);
        if !self.cursor(id).compared {
            self.ask(id, Subject::EpochEnd);
            return Turn::Asked;
        }
        self.resume(id)
    }

    /// Puts a question to control and waits for its answer.
    pub(super) fn ask(&mut self, id: CursorId, subject: Subject) {
        self.halt(id, Stage::Questioning(subject));
        let cursor = self.cursor(id);
        let (leader, leader_epoch) = (cursor.leader, cursor.leader_epoch);
        let epoch = cursor.committed.epoch;
        self.questions.push_back(match subject {
            Subject::EpochEnd => Question::EpochEnd {
                cursor: id,
                leader,
                leader_epoch,
                epoch,
            },
            Subject::Bounds | Subject::BoundsOfDiverged => Question::Bounds {
                cursor: id,
                leader,
                leader_epoch,
            },
            Subject::Leader => Question::Leader { cursor: id },
        });
    }
}
