//! What the source says of a partition, done, and judged against what its log went through.

use std::time::Duration;

use super::super::scene::{epoch, offset};
use super::logs::Copy;
use super::play::{Manner, Play};
use crate::source::{Cause, Trouble, Turn};

impl Play {
    /// Does as the source says of a partition, and judges whether it may say so.
    pub(super) fn take_turn(&mut self, number: usize, turn: Turn) {
        self.seen.insert(name_of(&turn));
        let (part, mirror) = (&self.cluster.parts[number], &mut self.mirrors[number]);
        let copy = &mut mirror.copy;
        match turn {
            Turn::Continue | Turn::Asked => return,
            Turn::Retry { at, trouble, .. } => {
                let longest = Duration::from_millis(self.options.retry_backoff_max_ms.into());
                let wait = at.since(self.now);
                assert!(
                    wait > Duration::ZERO && wait <= longest,
                    "{trouble}: {wait:?}"
                );
            }
            Turn::Gap { from, to } => {
                let start = part.log.start;
                assert!(from.value() == copy.end && from < to && to.value() <= start);
                copy.next = to.value();
            }
            Turn::Truncate { to } => {
                let is_replica = self.manner == Manner::Replica;
                let may = self.may_truncate && part.lost;
                assert!(
                    may || is_replica,
                    "a cut at {to} without need: {copy:?} {part:?}"
                );
                assert!(to.value() < copy.next);
                copy.cut(to.value());
                let id = mirror.id.expect("it is followed");
                let (next, last) = (offset(copy.next), epoch(copy.epoch()));
                self.source.truncated(id, next, last);
            }
            Turn::Restart { at } => {
                assert!(self.manner == Manner::Replica, "only a replica begins anew");
                assert!(at.value() <= part.log.start);
                *copy = Copy::beginning_at(at.value());
                let id = mirror.id.expect("it is followed");
                self.source.restarted(id, at);
            }
            Turn::Done => {
                mirror.has_ended = true;
                let until = mirror.until.expect("only then there is an end");
                let missing = |next| next <= until;
                let misses = part.log.visible(copy.next).any(|batch| missing(batch.next));
                assert!(copy.next >= until || part.lost || !misses, "done too early");
            }
            Turn::Stop(cause) => {
                mirror.has_ended = true;
                self.judge_stop(number, cause);
            }
        }
        self.note(number as u64);
    }

    fn judge_stop(&self, number: usize, cause: Cause) {
        let (part, mirror) = (&self.cluster.parts[number], &self.mirrors[number]);
        let (end, next) = (mirror.copy.end, mirror.copy.next);
        let is_just = match cause {
            Cause::SourceTruncated { held_to, .. } => {
                part.lost && !self.may_truncate && held_to == offset(end)
            }
            Cause::TopicDeleted => part.deleted,
            Cause::TopicRecreated { .. } | Cause::LeaderEpochFell { .. } => false,
            Cause::Corrupt {
                next: place,
                answers,
                ..
            } => {
                let enough = answers == self.options.corrupt_answers_max;
                enough && mirror.spoiled >= answers && place == offset(next)
            }
            Cause::BatchTooLarge {
                next: place, need, ..
            } => part.has_giant && need > self.options.batch_bytes_max && place == offset(next),
        };
        assert!(is_just, "{cause} is no reason: {mirror:?} {part:?}");
    }
}

fn name_of(turn: &Turn) -> &'static str {
    match turn {
        Turn::Continue => "continue",
        Turn::Asked => "asked",
        Turn::Gap { .. } => "gap",
        Turn::Truncate { .. } => "truncate",
        Turn::Restart { .. } => "restart",
        Turn::Done => "done",
        Turn::Retry { trouble, .. } => match trouble {
            Trouble::Refused(_) => "refused",
            Trouble::Corrupt => "corrupt",
            Trouble::EpochAhead => "epoch ahead again",
            Trouble::Missing { .. } => "missing",
            Trouble::NoWatermark { .. } => "no watermark",
            Trouble::Promised { .. } => "promised",
            Trouble::Unwritten => "unwritten",
            Trouble::Diverging => "diverging",
            Trouble::NoAnswer => "no answer",
            Trouble::Crossed { .. } => "crossed",
        },
        Turn::Stop(cause) => match cause {
            Cause::SourceTruncated { .. } => "stop: truncated",
            Cause::TopicDeleted => "stop: deleted",
            Cause::TopicRecreated { .. } => "stop: recreated",
            Cause::LeaderEpochFell { .. } => "stop: epoch fell",
            Cause::Corrupt { .. } => "stop: corrupt",
            Cause::BatchTooLarge { .. } => "stop: too large",
        },
    }
}
