//! The moves between a cursor's stages, and into and out of the queues of lanes.

use super::cluster::lane_of;
use super::cursor::{Cursor, Stage, Subject, Then};
use super::lane::{Lane, Link, Queue, Turnstile};
use super::{Cause, CursorId, LaneId, Source, Trouble, Turn};
use crate::model::{BrokerId, Instant, LeaderEpoch};

/// After every so many failures in a row control is asked whether the leader is still right.
pub(super) const FAILURES_PER_LEADER_QUESTION: u32 = 3;

impl Source {
    pub(super) fn cursor(&self, id: CursorId) -> &Cursor {
        self.cursors.get(id.0).expect("the caller found it before")
    }

    pub(super) fn cursor_mut(&mut self, id: CursorId) -> &mut Cursor {
        self.cursors
            .get_mut(id.0)
            .expect("the caller found it before")
    }

    pub(super) fn lane_mut(&mut self, lane: LaneId) -> &mut Lane {
        self.lanes
            .get_mut(&lane)
            .expect("a lane stays while it has cursors or a link")
    }

    /// Queues a cursor for its next request, if it wants one and none is in flight or stands.
    pub(super) fn settle(&mut self, id: CursorId, queue: Queue) {
        let cursor = self.cursor(id);
        let waits = cursor.stage == Stage::Fetching && cursor.ticket.is_none();
        if waits && !cursor.answering && !cursor.is_asked() {
            let queue = if cursor.alone { Queue::Alone } else { queue };
            self.enqueue(id, queue);
        }
    }

    pub(super) fn enqueue(&mut self, id: CursorId, queue: Queue) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let cursor = self.cursor_mut(id);
        assert!(cursor.ticket.is_none(), "queued twice");
        cursor.ticket = Some(ticket);
        let lane = cursor.lane;
        self.sweep(lane);
        let known = self.lane_mut(lane);
        known.push(queue, Turnstile { cursor: id, ticket });
        known.assert_invariants();
    }

    fn sweep(&mut self, lane: LaneId) {
        let Source { cursors, lanes, .. } = self;
        let known = lanes.get_mut(&lane).expect("a cursor's lane is there");
        known.sweep(|turn| {
            let holder = cursors.get(turn.cursor.0);
            holder.is_some_and(|cursor| cursor.ticket == Some(turn.ticket))
        });
    }

    /// Ends every rest that is over.
    pub(super) fn wake(&mut self, now: Instant) {
        while let Some((until, id)) = self.resting.first().copied()
            && until <= now
        {
            self.end_rest(id);
        }
    }

    pub(super) fn end_rest(&mut self, id: CursorId) {
        let Stage::Resting { then, .. } = self.cursor(id).stage else {
            unreachable!("who is in the list of the resting rests");
        };
        match then {
            Then::Fetch => self.go_on(id),
            Then::Ask(subject) => self.ask(id, subject),
        }
    }

    /// Back to fetching, from whatever it was.
    pub(super) fn go_on(&mut self, id: CursorId) {
        self.halt(id, Stage::Fetching);
        self.settle(id, Queue::Hungry);
    }

    /// Back to fetching, unless everything is there.
    pub(super) fn resume(&mut self, id: CursorId) -> Turn {
        self.halt(id, Stage::Fetching);
        self.resume_as(id, Queue::Hungry)
    }

    pub(super) fn resume_as(&mut self, id: CursorId, queue: Queue) -> Turn {
        if self.cursor(id).reached_until() {
            return self.finish(id);
        }
        self.settle(id, queue);
        Turn::Continue
    }

    pub(super) fn finish(&mut self, id: CursorId) -> Turn {
        self.halt(id, Stage::Done);
        Turn::Done
    }

    pub(super) fn stop_for(&mut self, id: CursorId, cause: Cause) -> Turn {
        self.halt(id, Stage::Stopped);
        Turn::Stop(cause)
    }

    /// Leaves the present stage with all that belongs to it.
    pub(super) fn halt(&mut self, id: CursorId, next: Stage) {
        if next != Stage::Fetching {
            self.leave_session(id);
        }
        let cursor = self.cursor_mut(id);
        cursor.ticket = None;
        let left = std::mem::replace(&mut cursor.stage, next);
        if let Stage::Resting { until, .. } = left {
            self.resting.remove(&(until, id));
        }
    }

    /// A first failure is looked into at once; where that did not help, not before a rest.
    pub(super) fn fail_then_ask(
        &mut self,
        now: Instant,
        id: CursorId,
        trouble: Trouble,
        subject: Subject,
    ) -> Turn {
        let turn = self.rest(now, id, trouble, Then::Ask(subject));
        if self.cursor(id).backoff.failures() > 1 {
            return turn;
        }
        self.end_rest(id);
        Turn::Asked
    }

    /// Counts a failure of a cursor; says until when to wait because of it.
    pub(super) fn fail(&mut self, now: Instant, id: CursorId) -> Instant {
        let Source {
            cursors,
            options,
            prng,
            ..
        } = self;
        let cursor = cursors.get_mut(id.0).expect("a failing cursor is there");
        cursor.backoff.fail(now, options, prng)
    }

    /// Waits because of a failure. Repeated failures are a reason to doubt the leader.
    pub(super) fn rest(
        &mut self,
        now: Instant,
        id: CursorId,
        trouble: Trouble,
        then: Then,
    ) -> Turn {
        let until = self.fail(now, id);
        let failures = self.cursor(id).backoff.failures();
        let doubt = then == Then::Fetch && failures.is_multiple_of(FAILURES_PER_LEADER_QUESTION);
        let then = if doubt {
            Then::Ask(Subject::Leader)
        } else {
            then
        };
        self.halt(id, Stage::Resting { until, then });
        self.resting.insert((until, id));
        Turn::Retry {
            at: until,
            trouble,
            failures,
        }
    }

    /// From now on `leader` is asked. Answers of the one before are not believed any more.
    pub(super) fn move_to(&mut self, id: CursorId, leader: BrokerId, epoch: LeaderEpoch) {
        let lanes_per_broker = self.options.lanes_per_broker;
        self.leave_session(id);
        let known = self.lane_mut(self.cursor(id).lane);
        let front = known.in_flight.front().map(|request| request.number);
        let cursor = self.cursor_mut(id);
        let (topic, partition) = (cursor.topic_id, cursor.name.partition);
        let lane = lane_of(leader, topic, partition, lanes_per_broker);
        let left = std::mem::replace(&mut cursor.lane, lane);
        cursor.ticket = None;
        cursor.leader = leader;
        cursor.leader_epoch = epoch;
        // An answer that is being taken in was sound when it began; its end settles the rest.
        let (answering, from) = (cursor.answering, left);
        cursor
            .keep_asked(|asked| answering && front.is_some_and(|front| asked.covers(from, front)));
        let by_name = cursor.by_name;
        self.enter_lane(lane, by_name);
        self.leave_lane(left, by_name);
    }

    /// One cursor more on `lane`.
    pub(super) fn enter_lane(&mut self, lane: LaneId, by_name: bool) {
        let known = self.lanes.entry(lane).or_insert_with(Lane::new);
        known.cursors += 1;
        known.by_name += usize::from(by_name);
    }

    /// One cursor fewer on `lane`.
    pub(super) fn leave_lane(&mut self, lane: LaneId, by_name: bool) {
        let known = self.lane_mut(lane);
        known.cursors -= 1;
        known.by_name -= usize::from(by_name);
        self.sweep(lane);
        self.drop_unused(lane);
    }

    pub(super) fn drop_unused(&mut self, lane: LaneId) {
        let known = self.lane_mut(lane);
        if known.cursors == 0 && known.link == Link::Down {
            self.lanes.remove(&lane);
        }
    }
}
