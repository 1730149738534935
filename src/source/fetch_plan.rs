//! Which partitions go into the next request, and how much each may take of its answer.

use std::time::Duration;

use super::cursor::{Asked, Subject, Term};
use super::lane::{Link, Queue, Turnstile};
use super::session::Manner;
use super::{CursorId, LaneId, Source};
use crate::model::Instant;
use crate::protocol::fetch::{Ask, AskedPartition, LAST_EPOCH_FROM, Request, Topics};

/// What one request asks for: its partitions as they are written, and whose they are.
#[derive(Debug, Default)]
pub(super) struct Asks {
    pub(super) partitions: Vec<AskedPartition>,
    pub(super) cursors: Vec<CursorId>,
}

impl Asks {
    fn push(&mut self, cursor: CursorId, partition: AskedPartition) {
        self.cursors.push(cursor);
        self.partitions.push(partition);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cursors.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.cursors.clear();
        self.partitions.clear();
    }
}

/// One Fetch request, ready to be written. Without a session its partitions are in the order of
/// their turns: a broker fills its answer in that order until the bytes are used up. In a session
/// the broker keeps that order itself: whoever had records goes behind all others.
#[derive(Clone, Copy, Debug)]
pub struct FetchPlan<'a> {
    /// Where it is to be sent.
    pub lane: LaneId,
    /// The version of Fetch to write it in.
    pub version: i16,
    /// The request.
    pub request: Request<'a>,
    /// The names of its topics.
    pub topics: &'a Topics,
}

impl Source {
    /// The next request for `lane`, which is then in flight. `None`: nothing to ask, or not
    /// now. Costs time in proportion to the partitions in the request, which in a session are those
    /// that have moved.
    ///
    /// A lane has one request in flight. The next one may follow early, while the answer
    /// arrives, as soon as nothing is open in it but the end of a partition that
    /// [`Source::look_ahead`] has foreseen.
    pub fn plan_fetch(&mut self, now: Instant, lane: LaneId) -> Option<FetchPlan<'_>> {
        self.wake(now);
        let known = self.lanes.get_mut(&lane)?;
        if known.link != Link::Up || now < known.not_before || !known.is_free() {
            return None;
        }
        self.renew_session(lane);
        let mut asks = self.lane_mut(lane).spare_list();
        let number = self.next_request;
        let Some(Choice { alone, held_back }) = self.choose(lane, number, &mut asks) else {
            self.lane_mut(lane).keep_spare(asks);
            return None;
        };
        let known = self.lane_mut(lane);
        let manner = if alone { Manner::Apart } else { known.manner() };
        let waiting = known.has_alone() || held_back;
        self.next_request += 1;
        self.mark_asked(lane, number, alone, manner, &asks);
        let Source {
            lanes,
            options,
            topics,
            ..
        } = self;
        let known = lanes.get_mut(&lane).expect("found above");
        let version = known.asks_in();
        let session = known.name_session(manner);
        let max_bytes = match alone {
            true => asks.partitions[0].max_bytes,
            false => wire_bytes(options.fetch_bytes_max),
        };
        let room = usize::try_from(max_bytes).expect("sizes are positive");
        known.send(number, asks, (alone, room), manner);
        // Whoever needs the next request alone is not kept waiting by an idle one.
        let max_wait_ms = if waiting { 0 } else { options.fetch_wait_ms };
        let request = known.in_flight.back_mut().expect("just put there");
        request.sent_at = now;
        request.wait = Duration::from_millis(u64::from(max_wait_ms));
        let partitions = request.asks.partitions.as_slice();
        let ask = Ask {
            max_wait_ms: i32::try_from(max_wait_ms).unwrap_or(i32::MAX),
            min_bytes: i32::try_from(options.fetch_min_bytes).unwrap_or(i32::MAX),
            max_bytes,
        };
        Some(FetchPlan {
            lane,
            version,
            request: Request {
                replica: options.replica,
                ask,
                session,
                partitions,
                forgotten: match manner {
                    Manner::Continues => &known.forgotten,
                    Manner::Apart | Manner::Begins => &[],
                },
            },
            topics,
        })
    }

    /// Takes those whose turn it is from the queues: one alone, or all that share. `None`: there is
    /// nothing to ask for.
    fn choose(&mut self, lane: LaneId, number: u64, asks: &mut Asks) -> Option<Choice> {
        let alone = Some(Choice {
            alone: true,
            held_back: false,
        });
        if self.take_alone(lane, asks) {
            return alone;
        }
        let held_back = self.take_sharing(lane, number, asks);
        if !asks.is_empty() || self.lane_mut(lane).session.is_some() {
            return Some(Choice {
                alone: false,
                held_back,
            });
        }
        // The others' turn came, but none of them was there any more.
        self.take_alone(lane, asks).then_some(alone).flatten()
    }

    fn take_alone(&mut self, lane: LaneId, asks: &mut Asks) -> bool {
        while asks.is_empty() {
            let Some(turn) = self.lane_mut(lane).pop_alone() else {
                return false;
            };
            if let Some(ask) = self.redeem(lane, turn) {
                asks.push(turn.cursor, ask);
            }
        }
        true
    }

    /// Says whether anybody has to wait for the request that follows.
    fn take_sharing(&mut self, lane: LaneId, number: u64, asks: &mut Asks) -> bool {
        self.take_leaving(lane, number);
        let mut held_back = Vec::new();
        while let Some(turn) = self.lane_mut(lane).pop_sharing() {
            let Some(ask) = self.redeem(lane, turn) else {
                continue;
            };
            match self.cursor(turn.cursor).forgotten_in == Some(number) {
                true => held_back.push(turn.cursor),
                false => asks.push(turn.cursor, ask),
            }
        }
        for id in &held_back {
            self.enqueue(*id, Queue::Hungry);
        }
        !held_back.is_empty()
    }

    /// What the holder of a place in a queue wants; `None` where it has gone elsewhere.
    fn redeem(&mut self, lane: LaneId, turn: Turnstile) -> Option<AskedPartition> {
        let version = self.lane_mut(lane).asks_in();
        let is_replica = self.is_replica();
        let cursor = self.cursors.get_mut(turn.cursor.0)?;
        cursor.ticket.take_if(|ticket| *ticket == turn.ticket)?;
        assert!(cursor.may_be_asked(), "a queued cursor is not ready");
        if version < LAST_EPOCH_FROM && !cursor.is_compared() {
            // What is still being taken in belongs to what is compared.
            if !cursor.answering {
                self.ask(turn.cursor, Subject::EpochEnd);
            }
            return None;
        }
        let (fetch_offset, last_fetched_epoch) = cursor.next_ask();
        Some(AskedPartition {
            topic: cursor.topic_id,
            partition: cursor.name.partition,
            leader_epoch: cursor.leader_epoch,
            fetch_offset,
            last_fetched_epoch,
            log_start: is_replica.then_some(cursor.log_start),
            max_bytes: wire_bytes(cursor.room),
        })
    }

    fn mark_asked(&mut self, lane: LaneId, request: u64, alone: bool, manner: Manner, asks: &Asks) {
        let known = self.lane_mut(lane);
        let front = known.in_flight.front().map(|request| request.number);
        for (id, ask) in asks.cursors.iter().zip(&asks.partitions) {
            match manner {
                Manner::Apart => self.leave_session(*id),
                Manner::Begins => {}
                Manner::Continues => self.join_session(lane, *id),
            }
            let cursor = self.cursor_mut(*id);
            let asked = Asked {
                lane,
                first: request,
                term: match manner {
                    Manner::Continues => Term::Standing,
                    Manner::Apart | Manner::Begins => Term::Once,
                },
                next: ask.fetch_offset,
                last_epoch: ask.last_fetched_epoch,
                leader_epoch: ask.leader_epoch,
                room: cursor.room,
                alone,
            };
            cursor.put_asked(asked, front);
            cursor.assert_invariants();
        }
    }
}

/// Who goes into a request.
struct Choice {
    /// One, alone.
    alone: bool,
    /// Somebody cannot go before the request that follows.
    held_back: bool,
}

fn wire_bytes(bytes: u32) -> i32 {
    i32::try_from(bytes).expect("the options' sizes fit the wire")
}
