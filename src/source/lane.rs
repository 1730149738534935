//! One connection to a source broker: what waits for it and what is asked on it.

use std::collections::VecDeque;
use std::time::Duration;

use super::CursorId;
use super::backoff::Backoff;
use super::cursor::Asked;
use super::fetch_plan::Asks;
use super::session::{Manner, Session};
use crate::model::{BrokerId, Instant, PartitionIndex, TopicId};
use crate::protocol::error_code::ErrorCode;
use crate::protocol::fetch::{TOPIC_IDS_FROM, VERSION_MIN};

/// The answer under way and the early next request.
pub(super) const REQUESTS_IN_FLIGHT_MAX: usize = 2;
/// So many answers in a row that bring nothing much sooner than they had to are of no account.
const HASTY_ANSWERS_MAX: u32 = 10;
/// An answer that brings nothing within this share of the time that it may take is hasty.
const HASTY_SHARE: u32 = 4;
/// The first rest after hasty answers; each further one doubles it.
const FIRST_REST: Duration = Duration::from_millis(1);
/// Queues may hold entries of cursors that have left; beyond this they are swept.
const SWEEP_FROM: usize = 64;

/// Names one connection of this shard to one source broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId {
    /// The broker at its other end.
    pub broker: BrokerId,
    /// Which of our connections to that broker, from 0.
    pub number: u16,
}

/// A cursor's turn in a queue; valid only while the cursor holds the same ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turnstile {
    pub(super) cursor: CursorId,
    pub(super) ticket: u64,
}

/// Which queue a cursor waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    /// Its last answer brought it nothing: it goes first.
    Hungry,
    /// Its last answer brought records: it goes behind the others.
    Served,
    /// It needs a request of its own.
    Alone,
}

/// Where the connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Down,
    Connecting,
    Up,
}

/// One request whose answer is not complete.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) number: u64,
    pub(super) asks: Asks,
    pub(super) manner: Manner,
    /// Nothing more is told of any partition.
    pub(super) is_told: bool,
    /// Where in `asks` the next partition is expected: brokers answer in the order asked.
    expected: usize,
    /// Its answer has begun to arrive.
    pub(super) arriving: bool,
    /// Bytes of records that the answer may have.
    room: usize,
    /// Bytes of records that the answer has brought.
    pub(super) fed_bytes: usize,
    /// The answer as a whole was an error or a throttle: what it leaves out is not a fault.
    pub(super) excused: bool,
    /// The answer as a whole was an error.
    pub(super) refused: bool,
    pub(super) sent_at: Instant,
    /// How long the broker may hold it back for want of records.
    pub(super) wait: Duration,
}

/// The partition of the arriving answer whose records are being taken in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Current {
    /// Whose answer it is, and to what. `None`: nobody waits for it any more.
    pub(super) asked: Option<(CursorId, Asked)>,
    /// It answers what the log needs now.
    pub(super) believed: bool,
    pub(super) error: ErrorCode,
    /// No partition before it had taken room of the answer that it needs, so that an empty answer
    /// says something about this partition.
    pub(super) conclusive: bool,
    pub(super) looked_ahead: bool,
    /// No other partition follows in the answer.
    pub(super) is_last: bool,
}

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) link: Link,
    /// No request before this moment: a throttle or an error of a whole answer.
    pub(super) not_before: Instant,
    pub(super) backoff: Backoff,
    /// Answers in a row that were excused and brought no records.
    pub(super) excuses: u32,
    /// Answers in a row that were hasty.
    pub(super) hasty: u32,
    /// The newest version of Fetch that the broker speaks.
    pub(super) version: i16,
    /// Cursors that belong to this lane, queued or not.
    pub(super) cursors: usize,
    /// Of them, those whose topic has no id.
    pub(super) by_name: usize,
    pub(super) in_flight: VecDeque<Request>,
    pub(super) current: Option<Current>,
    pub(super) session: Option<Session>,
    /// The broker's number of a session that is of no use any more; 0 for none.
    pub(super) outdated_session: i32,
    /// What the last request told the broker to forget.
    pub(super) forgotten: Vec<(TopicId, PartitionIndex)>,
    hungry: VecDeque<Turnstile>,
    served: VecDeque<Turnstile>,
    alone: VecDeque<Turnstile>,
    /// The last request was for one partition alone; the others have the next turn.
    alone_last: bool,
    spare: Vec<Asks>,
}

impl Lane {
    pub(super) fn new() -> Lane {
        Lane {
            link: Link::Down,
            not_before: Instant::default(),
            backoff: Backoff::default(),
            excuses: 0,
            hasty: 0,
            version: VERSION_MIN,
            cursors: 0,
            by_name: 0,
            in_flight: VecDeque::with_capacity(REQUESTS_IN_FLIGHT_MAX),
            current: None,
            session: None,
            outdated_session: 0,
            forgotten: Vec::new(),
            hungry: VecDeque::new(),
            served: VecDeque::new(),
            alone: VecDeque::new(),
            alone_last: false,
            spare: Vec::new(),
        }
    }

    /// Whether a request may be sent: nothing is in flight, or the answer under way has
    /// nothing left to say about what the next request could ask.
    pub(super) fn is_free(&self) -> bool {
        let Some(front) = self.in_flight.front() else {
            return true;
        };
        let is_foreseen = |current: Current| current.is_last && current.looked_ahead;
        let is_open = !front.is_told && !self.current.is_some_and(is_foreseen);
        self.in_flight.len() < REQUESTS_IN_FLIGHT_MAX && front.arriving && !is_open
    }

    /// The version to ask in.
    pub(super) fn asks_in(&self) -> i16 {
        match self.by_name {
            0 => self.version,
            _ => self.version.min(TOPIC_IDS_FROM - 1),
        }
    }

    pub(super) fn has_queue(&self) -> bool {
        !(self.hungry.is_empty() && self.served.is_empty() && self.alone.is_empty())
    }

    /// Whether there is anything to ask for.
    pub(super) fn has_work(&self) -> bool {
        self.has_queue() || self.members() > 0
    }

    /// Whether a general request would leave someone waiting who needs one alone.
    pub(super) fn has_alone(&self) -> bool {
        !self.alone.is_empty()
    }

    pub(super) fn push(&mut self, queue: Queue, turn: Turnstile) {
        self.queue(queue).push_back(turn);
    }

    fn queue(&mut self, queue: Queue) -> &mut VecDeque<Turnstile> {
        match queue {
            Queue::Hungry => &mut self.hungry,
            Queue::Served => &mut self.served,
            Queue::Alone => &mut self.alone,
        }
    }

    /// Drops the entries of cursors that have gone elsewhere, once they may be the majority.
    pub(super) fn sweep(&mut self, is_valid: impl Fn(&Turnstile) -> bool) {
        let entries = self.hungry.len() + self.served.len() + self.alone.len();
        if entries < SWEEP_FROM + 2 * self.cursors {
            return;
        }
        for queue in [Queue::Hungry, Queue::Served, Queue::Alone] {
            self.queue(queue).retain(&is_valid);
        }
    }

    /// The next one that needs a request alone, if it is its turn.
    pub(super) fn pop_alone(&mut self) -> Option<Turnstile> {
        let queued = !(self.hungry.is_empty() && self.served.is_empty());
        let others = queued || self.members() > 0;
        if self.alone_last && others {
            return None;
        }
        self.alone.pop_front()
    }

    /// The next one that shares a request, those first whom the last answer left out.
    pub(super) fn pop_sharing(&mut self) -> Option<Turnstile> {
        self.hungry.pop_front().or_else(|| self.served.pop_front())
    }

    /// An empty list for the next request, its room reused.
    pub(super) fn spare_list(&mut self) -> Asks {
        self.spare.pop().unwrap_or_default()
    }

    pub(super) fn keep_spare(&mut self, mut list: Asks) {
        list.clear();
        if self.spare.len() < REQUESTS_IN_FLIGHT_MAX {
            self.spare.push(list);
        }
    }

    /// Puts a request in flight; `room` bytes may come.
    pub(super) fn send(
        &mut self,
        number: u64,
        asks: Asks,
        (alone, room): (bool, usize),
        manner: Manner,
    ) {
        assert!(self.is_free(), "a request too many on a lane");
        assert!(
            !asks.is_empty() || manner == Manner::Continues,
            "a request for nothing"
        );
        self.alone_last = alone;
        self.in_flight.push_back(Request {
            number,
            asks,
            manner,
            is_told: false,
            expected: 0,
            arriving: false,
            room,
            fed_bytes: 0,
            excused: false,
            refused: false,
            sent_at: Instant::default(),
            wait: Duration::ZERO,
        });
    }

    /// The request whose answer is arriving.
    pub(super) fn arriving(&mut self) -> &mut Request {
        let request = self
            .in_flight
            .front_mut()
            .expect("an answer has its request: the session matches them");
        request.arriving = true;
        request
    }

    /// The answer to `request` is complete. A broker that holds nothing back is not asked without
    /// rest while it has nothing.
    pub(super) fn rest_if_hasty(&mut self, now: Instant, request: &Request) {
        if request.excused || request.wait.is_zero() {
            return;
        }
        let is_early = now.since(request.sent_at) < request.wait / HASTY_SHARE;
        self.hasty = match request.fed_bytes == 0 && is_early {
            true => self.hasty.saturating_add(1),
            false => 0,
        };
        let rest = rest_after(self.hasty, request.wait);
        self.not_before = self.not_before.max(now.after(rest));
    }

    pub(super) fn assert_invariants(&self) {
        assert!(self.in_flight.len() <= REQUESTS_IN_FLIGHT_MAX);
        assert!(self.link == Link::Up || self.in_flight.is_empty() && self.session.is_none());
        assert!(self.current.is_none() || self.in_flight.front().is_some_and(|r| r.arriving));
        let entries = self.hungry.len() + self.served.len() + self.alone.len();
        assert!(
            entries <= SWEEP_FROM + 2 * self.cursors,
            "a queue keeps {entries} entries for {} cursors",
            self.cursors
        );
    }
}

/// How long a lane rests after so many hasty answers in a row, of a broker that may hold a fetch
/// back for so long.
fn rest_after(hasty: u32, wait: Duration) -> Duration {
    let Some(doublings) = hasty.checked_sub(HASTY_ANSWERS_MAX + 1) else {
        return Duration::ZERO;
    };
    let factor = 1u32.checked_shl(doublings).unwrap_or(u32::MAX);
    FIRST_REST.saturating_mul(factor).min(wait)
}

impl Request {
    /// Whether a partition for which no records come from here on has none. Kafka's brokers give
    /// everybody what there is while there is room; of other brokers we know less.
    pub(super) fn is_conclusive(&self, is_replica: bool) -> bool {
        match is_replica {
            true => self.fed_bytes < self.room,
            false => self.fed_bytes == 0,
        }
    }

    /// The cursor that was asked for as this partition, looking first where the broker's
    /// order puts it.
    pub(super) fn expect(&mut self, topic: TopicId, partition: PartitionIndex) -> Option<CursorId> {
        let ask = self.asks.partitions.get(self.expected)?;
        if (ask.topic, ask.partition) != (topic, partition) {
            return None;
        }
        let cursor = self.asks.cursors.get(self.expected).copied();
        self.expected += 1;
        cursor
    }
}
