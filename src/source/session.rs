//! The incremental session of a lane (KIP-227): the broker remembers what we want, so that a
//! request names only what has changed, and an answer only what is new.

use std::collections::BTreeSet;

use super::cursor::Stage;
use super::lane::{Lane, Queue};
use super::{CursorId, LaneId, Source, Turn};
use crate::model::{Instant, PartitionIndex, TopicId};
use crate::protocol::fetch::{SESSIONS_FROM, TOPIC_IDS_FROM};

/// One session, from the answer that began it.
#[derive(Debug)]
pub(super) struct Session {
    /// The request that began it: no other session has this number.
    pub(super) number: u64,
    /// The broker's number for it.
    pub(super) id: i32,
    /// The epoch of the next request.
    pub(super) epoch: i32,
    /// Its topics have ids; a request that names them belongs to another session.
    has_topic_ids: bool,
    /// Cursors that stand in it.
    pub(super) members: usize,
    /// What the broker still has to forget.
    pub(super) leaving: Vec<(TopicId, PartitionIndex)>,
    /// Members that an answer says something of by leaving them out: there is nothing where there
    /// may have been something.
    doubtful: BTreeSet<CursorId>,
}

impl Session {
    fn next_epoch(&mut self) -> i32 {
        let epoch = self.epoch;
        // 0 begins another session.
        self.epoch = epoch.checked_add(1).unwrap_or(1);
        epoch
    }
}

/// How a request relates to its lane's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Not at all.
    Apart,
    /// It would like to begin one.
    Begins,
    /// It goes on with it.
    Continues,
}

impl Lane {
    /// What stands in the session, if there is one.
    pub(super) fn members(&self) -> usize {
        self.session.as_ref().map_or(0, |session| session.members)
    }

    /// How the next request that is not for one partition alone relates to a session.
    pub(super) fn manner(&self) -> Manner {
        match &self.session {
            Some(_) => Manner::Continues,
            None if self.asks_in() >= SESSIONS_FROM => Manner::Begins,
            None => Manner::Apart,
        }
    }

    /// The session as a request names it.
    pub(super) fn name_session(&mut self, manner: Manner) -> crate::protocol::fetch::Session {
        use crate::protocol::fetch::Session as Named;
        match (manner, &mut self.session) {
            (Manner::Apart, _) => Named::NONE,
            (Manner::Continues, Some(session)) => Named {
                id: session.id,
                epoch: session.next_epoch(),
            },
            // The one before is of no use any more; this ends it.
            (Manner::Begins | Manner::Continues, _) => Named {
                id: std::mem::take(&mut self.outdated_session),
                epoch: 0,
            },
        }
    }
}

impl Source {
    /// Ends a session that nobody stands in, or that calls topics otherwise than the next request
    /// would.
    pub(super) fn renew_session(&mut self, lane: LaneId) {
        let known = self.lane_mut(lane);
        let has_topic_ids = known.asks_in() >= TOPIC_IDS_FROM;
        let is_outdated = known
            .session
            .as_ref()
            .is_some_and(|one| one.members == 0 || one.has_topic_ids != has_topic_ids);
        if is_outdated {
            self.end_session(lane, true);
        }
    }

    /// The broker has begun a session with all that the arriving request has asked for.
    pub(super) fn begin_session(&mut self, lane: LaneId, id: i32) {
        let known = self.lane_mut(lane);
        let has_topic_ids = known.asks_in() >= TOPIC_IDS_FROM;
        let request = known.arriving();
        let number = request.number;
        let asks = std::mem::take(&mut request.asks);
        let mut session = Session {
            number,
            id,
            epoch: 1,
            has_topic_ids,
            members: 0,
            leaving: Vec::new(),
            doubtful: BTreeSet::new(),
        };
        for (id, asked) in asks.cursors.iter().zip(&asks.partitions) {
            let cursor = self.cursors.get_mut(id.0);
            let joins = cursor.is_some_and(|cursor| {
                let wants = cursor.stage == Stage::Fetching && !cursor.alone;
                let joins = wants && cursor.lane == lane && cursor.begin_term(lane, number);
                cursor.member_of = joins.then_some(number).or(cursor.member_of);
                joins
            });
            match joins {
                true => session.members += 1,
                false => session.leaving.push((asked.topic, asked.partition)),
            }
        }
        self.lane_mut(lane).session = Some(session);
        for id in &asks.cursors {
            let cursor = self.cursors.get(id.0);
            if cursor.is_some_and(|cursor| cursor.member_of == Some(number)) {
                // Its place may have been foreseen wrongly.
                self.settle(*id, Queue::Hungry);
            }
        }
        self.lane_mut(lane).arriving().asks = asks;
    }

    /// There is no session any more; who stood in it is asked for anew. `closes`: the broker may
    /// still have it, and is told with the next request.
    pub(super) fn end_session(&mut self, lane: LaneId, closes: bool) {
        let Some(session) = self.lane_mut(lane).session.take() else {
            return;
        };
        self.lane_mut(lane).outdated_session = if closes { session.id } else { 0 };
        let is_member = |id: &CursorId| {
            let cursor = self.cursor(*id);
            cursor.lane == lane && cursor.member_of == Some(session.number)
        };
        let all = self.cursors.iter().map(|(key, _)| CursorId(key));
        let members: Vec<CursorId> = all.filter(is_member).collect();
        assert!(members.len() == session.members, "members were miscounted");
        for id in members {
            let last = self.next_request - 1;
            let cursor = self.cursor_mut(id);
            cursor.member_of = None;
            cursor.end_term(last);
            self.settle(id, Queue::Hungry);
        }
    }

    /// A request of the lane's session is about to ask for `id`, which stands in it from then on.
    pub(super) fn join_session(&mut self, lane: LaneId, id: CursorId) {
        let is_replica = self.is_replica();
        let Source { cursors, lanes, .. } = self;
        let cursor = cursors.get_mut(id.0).expect("it is asked for");
        let known = lanes.get_mut(&lane).expect("it is asked on");
        let session = known.session.as_mut().expect("the request belongs to it");
        if cursor.member_of.replace(session.number).is_none() {
            session.members += 1;
        }
        if cursor.is_behind() || is_replica && !cursor.has_all() {
            session.doubtful.insert(id);
        }
    }

    /// `id` is not to be asked for in its lane's session any more.
    pub(super) fn leave_session(&mut self, id: CursorId) {
        let Source { cursors, lanes, .. } = self;
        let cursor = cursors.get_mut(id.0).expect("the caller found it before");
        let Some(number) = cursor.member_of.take() else {
            return;
        };
        cursor.end_term(self.next_request - 1);
        let known = lanes
            .get_mut(&cursor.lane)
            .expect("a cursor's lane is there");
        let session = known.session.as_mut().expect("it has a member");
        assert!(session.number == number, "a member of another session");
        session.members -= 1;
        session.doubtful.remove(&id);
        session
            .leaving
            .push((cursor.topic_id, cursor.name.partition));
    }

    /// Takes what the broker has to forget into the request `number`: whoever would come back in
    /// it waits for the next one, since the broker would forget them again, and since it tells
    /// only what has changed to those whom it remembers.
    pub(super) fn take_leaving(&mut self, lane: LaneId, number: u64) {
        let Source {
            cursors,
            lanes,
            by_id,
            ..
        } = self;
        let known = lanes.get_mut(&lane).expect("it is asked on");
        let Some(session) = &mut known.session else {
            return;
        };
        known.forgotten.clear();
        known.forgotten.append(&mut session.leaving);
        known.forgotten.sort_unstable();
        known.forgotten.dedup();
        for key in &known.forgotten {
            let cursor = by_id.get(key).and_then(|id| cursors.get_mut(id.0));
            if let Some(cursor) = cursor {
                cursor.forgotten_in = Some(number);
            }
        }
    }

    /// From now on an answer that leaves out `id` counts as an empty one, until it is known what
    /// that means.
    pub(super) fn doubt(&mut self, id: CursorId, is_doubtful: bool) {
        let Source { cursors, lanes, .. } = self;
        let cursor = cursors.get(id.0).expect("the caller found it before");
        let known = lanes
            .get_mut(&cursor.lane)
            .expect("a cursor's lane is there");
        if cursor.member_of.is_none() {
            return;
        }
        let session = known.session.as_mut().expect("it has a member");
        match is_doubtful {
            true => session.doubtful.insert(id),
            false => session.doubtful.remove(&id),
        };
    }

    /// The answer to `request`, which had room for more records, has told all that is new; of the
    /// others it has told that there is nothing.
    pub(super) fn told_nothing(&mut self, now: Instant, lane: LaneId, request: u64) {
        let Some(session) = &self.lane_mut(lane).session else {
            return;
        };
        for id in session.doubtful.clone() {
            let cursor = self.cursor(id);
            let asked = cursor.asked_in(lane, request);
            let is_meant = asked.is_some_and(|asked| cursor.believes(asked));
            if !is_meant || cursor.answered_in == Some(request) {
                continue;
            }
            let turn = self.empty(now, id, true);
            if turn != Turn::Continue {
                self.untold.push_back((id, turn));
            }
        }
    }
}
