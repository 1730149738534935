//! Connections to source brokers: when to open one, and what becomes of what was asked on it.

use std::time::Duration;

use super::cursor::Then;
use super::lane::{Link, Queue, Request};
use super::replica::REPLICA_VERSION_MIN;
use super::session::Manner;
use super::{CursorId, LaneId, Question, Source, Trouble, Turn, Withheld};
use crate::model::Instant;
use crate::protocol::error_code::ErrorCode;
use crate::protocol::fetch::Endpoint;

/// The longest throttle that is obeyed; a broker that wants more mutes the connection itself.
const THROTTLE_MAX: Duration = Duration::from_secs(60);
/// So many excuses in a row are told. A broker with a quota has records between its throttles.
const EXCUSES_MAX: u32 = 10;
/// The broker has dropped a session, or does not know it by what we know.
const SESSION_ERRORS: [ErrorCode; 3] = [
    ErrorCode::FETCH_SESSION_ID_NOT_FOUND,
    ErrorCode::INVALID_FETCH_SESSION_EPOCH,
    ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR,
];

impl Source {
    /// The next connection to open, and where to; it is then being opened. `None`: none now.
    pub fn plan_connect(&mut self, now: Instant) -> Option<(LaneId, Endpoint)> {
        self.wake(now);
        let wanted = self.lanes.iter().filter(|(lane, known)| {
            let wants = known.link == Link::Down && known.has_queue();
            wants && self.cluster.not_before(lane.broker) <= now
        });
        let mut unknown = Vec::new();
        let mut found = None;
        for (lane, _) in wanted {
            if let Some(endpoint) = self.cluster.endpoint(lane.broker) {
                found = Some((*lane, endpoint.clone()));
                break;
            }
            unknown.push(*lane);
        }
        for lane in unknown {
            self.broker_failed(now, lane);
        }
        let (lane, endpoint) = found?;
        self.lane_mut(lane).link = Link::Connecting;
        Some((lane, endpoint))
    }

    /// The connection stands, and `version` of Fetch is the newest that both sides speak: requests
    /// may be sent.
    pub fn lane_up(&mut self, lane: LaneId, version: i16) {
        let Some(known) = self.lanes.get_mut(&lane) else {
            return;
        };
        assert!(known.link == Link::Connecting, "a lane came up unasked");
        let is_enough = self.options.replica.is_none() || version >= REPLICA_VERSION_MIN;
        assert!(is_enough, "a replica cannot ask in version {version}");
        known.link = Link::Up;
        known.version = version;
    }

    /// The connection broke, or could not be opened. What was asked on it will be asked again.
    pub fn lane_lost(&mut self, now: Instant, lane: LaneId) {
        if self.lane_closed(lane) {
            self.broker_failed(now, lane);
        }
    }

    /// The connection was closed by us. Says whether there was one.
    pub fn lane_closed(&mut self, lane: LaneId) -> bool {
        let Some(known) = self.lanes.get_mut(&lane) else {
            return false;
        };
        if known.link == Link::Down {
            return false;
        }
        known.link = Link::Down;
        // Whoever did not believe the answer may wait in a queue elsewhere by now.
        let current = known.current.take().filter(|current| current.believed);
        let abandoned = current.and_then(|current| current.asked).map(|(id, _)| id);
        if let Some(id) = abandoned {
            self.abandon_answer(id);
        }
        let in_flight = std::mem::take(&mut self.lane_mut(lane).in_flight);
        self.end_session(lane, false);
        for request in in_flight {
            self.take_back(lane, &request);
            self.lane_mut(lane).keep_spare(request.asks);
        }
        self.lane_mut(lane).outdated_session = 0;
        if let Some(id) = abandoned.filter(|id| self.cursors.get(id.0).is_some()) {
            self.settle(id, Queue::Hungry);
        }
        self.drop_unused(lane);
        true
    }

    /// Whether no partition needs this connection any more.
    #[must_use]
    pub fn is_unused(&self, lane: LaneId) -> bool {
        self.lanes.get(&lane).is_none_or(|known| known.cursors == 0)
    }

    /// The answer to the oldest request of `lane` begins: what its head says of it as a whole, its
    /// error and the session that it belongs to (0 for none). Says why it brings nothing, where
    /// that is to be told of all partitions of the lane; each hears of it when that is over.
    pub fn answer_begun(
        &mut self,
        now: Instant,
        lane: LaneId,
        throttle: Duration,
        (error, session): (ErrorCode, i32),
    ) -> Option<Withheld> {
        let is_over = self.match_session(lane, !throttle.is_zero(), error, session);
        let Source {
            lanes,
            options,
            prng,
            ..
        } = self;
        let known = lanes
            .get_mut(&lane)
            .expect("a lane with an answer is there");
        let request = known.arriving();
        request.refused = error != ErrorCode::NONE;
        request.excused = request.refused || !throttle.is_zero();
        let is_excused = request.excused;
        known.not_before = now.after(throttle.min(THROTTLE_MAX));
        known.excuses = match is_excused {
            true => known.excuses.saturating_add(1),
            false => 0,
        };
        let answers = known.excuses;
        let mut withheld = (answers >= EXCUSES_MAX).then_some(Withheld::Throttled { answers });
        if error == ErrorCode::NONE {
            known.backoff.reset();
        } else {
            // A session that the broker has dropped is no failure, unless it does so again at once.
            let is_usual = is_over && known.backoff.failures() == 0;
            let until = known.backoff.fail(now, options, prng);
            if !is_usual {
                known.not_before = known.not_before.max(until);
                withheld = Some(Withheld::Refused(error));
            }
        }
        if withheld.is_some() {
            // The first answer of the next one tells of everybody.
            self.end_session(lane, true);
        }
        withheld
    }

    /// Begins or ends the lane's session as the head of an answer says. Says whether the error, if
    /// there is one, is about the session alone.
    fn match_session(
        &mut self,
        lane: LaneId,
        throttled: bool,
        error: ErrorCode,
        told: i32,
    ) -> bool {
        let known = self.lanes.get_mut(&lane);
        let known = known.expect("a lane with an answer is there");
        let manner = known.arriving().manner;
        let ours = known.session.as_ref().map(|session| session.id);
        match (manner, error) {
            (Manner::Apart, _) => {}
            // A session whose first answer does not tell of everybody is of no use.
            (Manner::Begins, ErrorCode::NONE) if throttled => known.outdated_session = told,
            (Manner::Begins, ErrorCode::NONE) if told != 0 => self.begin_session(lane, told),
            (Manner::Begins, _) => {}
            (Manner::Continues, ErrorCode::NONE) if ours == Some(told) => {}
            (Manner::Continues, ErrorCode::FETCH_SESSION_ID_NOT_FOUND) => {
                self.end_session(lane, false);
            }
            (Manner::Continues, _) => self.end_session(lane, true),
        }
        manner != Manner::Apart && SESSION_ERRORS.contains(&error)
    }

    /// The answer is complete. Says how many partitions it left out that it should not have;
    /// those wait and are asked for again. In a session that goes on, whoever is left out is
    /// unchanged.
    pub fn answer_done(&mut self, now: Instant, lane: LaneId) -> usize {
        let known = self.lane_mut(lane);
        assert!(
            known.current.is_none(),
            "a partition of the answer has no end"
        );
        let request = known.in_flight.pop_front();
        let request = request.expect("an answer has its request: the session matches them");
        if !request.refused {
            self.cluster.did_well(lane.broker);
        }
        let mut missing = 0;
        match (request.excused, request.manner) {
            (true, _) => self.take_back(lane, &request),
            (false, Manner::Apart | Manner::Begins) => missing = self.miss(now, lane, &request),
            (false, Manner::Continues) => {}
        }
        let conclusive = request.is_conclusive(self.is_replica());
        if !request.excused && conclusive && request.manner != Manner::Apart {
            self.told_nothing(now, lane, request.number);
        }
        let known = self.lane_mut(lane);
        if request.fed_bytes > 0 {
            known.excuses = 0;
        }
        known.rest_if_hasty(now, &request);
        known.keep_spare(request.asks);
        known.assert_invariants();
        missing
    }

    /// The next of the partitions that go on otherwise because the answer that ended last had
    /// nothing for them, and how; to be asked after each answer.
    pub fn next_untold(&mut self) -> Option<(CursorId, Turn)> {
        self.untold.pop_front()
    }

    /// The moment of the next thing to do, if nothing else happens before. Meant for when all
    /// of [`Source::plan_connect`], [`Source::plan_fetch`] and [`Source::next_question`] have
    /// nothing to give.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let rest = self.resting.first().map(|(until, _)| *until);
        let lanes = self.lanes.iter().filter_map(|(lane, known)| {
            let open = match known.link {
                Link::Down => self.cluster.not_before(lane.broker),
                Link::Up if known.is_free() => known.not_before,
                Link::Up | Link::Connecting => return None,
            };
            known.has_work().then_some(open)
        });
        lanes.chain(rest).min()
    }

    fn broker_failed(&mut self, now: Instant, lane: LaneId) {
        let Source {
            cluster,
            options,
            prng,
            ..
        } = self;
        let broker = lane.broker;
        if cluster.failed(now, broker, options, prng) {
            self.questions.push_back(Question::Broker { broker });
        }
    }

    fn abandon_answer(&mut self, id: CursorId) {
        if let Some(cursor) = self.cursors.get_mut(id.0) {
            cursor.answering = false;
            cursor.predicted = None;
            cursor.ticket = None;
        }
    }

    /// Nothing will come for what `request` asked and is still open.
    fn take_back(&mut self, lane: LaneId, request: &Request) {
        for id in &request.asks.cursors {
            if self.forget_open(lane, request.number, *id) {
                self.settle(*id, Queue::Hungry);
            }
        }
    }

    fn miss(&mut self, now: Instant, lane: LaneId, request: &Request) -> usize {
        let mut missing = 0;
        for id in &request.asks.cursors {
            if !self.forget_open(lane, request.number, *id)
                && !self.was_left_out(lane, request, *id)
            {
                continue;
            }
            missing += 1;
            let cursor = self.cursor(*id);
            if cursor.wants_fetch() {
                let (broker, next) = (lane.broker, cursor.committed.next);
                let trouble = Trouble::Missing { broker, next };
                let turn = self.rest(now, *id, trouble, Then::Fetch);
                self.untold.push_back((*id, turn));
            }
        }
        missing
    }

    /// Whether `id` still waited for its part of the request; it does no longer.
    fn forget_open(&mut self, lane: LaneId, request: u64, id: CursorId) -> bool {
        let cursor = self.cursors.get_mut(id.0);
        cursor.is_some_and(|cursor| cursor.close_once(lane, request))
    }

    /// Whether `id` stands in the session that the request began, and its answer told nothing of
    /// it: that first one has to tell of everybody.
    fn was_left_out(&self, lane: LaneId, request: &Request, id: CursorId) -> bool {
        let Some(cursor) = self.cursors.get(id.0) else {
            return false;
        };
        let stands = cursor.member_of == Some(request.number) && cursor.lane == lane;
        stands && cursor.answered_in != Some(request.number)
    }
}
