//! Which partitions go into the next request, and how much each may take of its answer.

use super::cursor::{Asked, Subject};
use super::lane::{Lane, Link, Turnstile};
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

    pub(super) fn len(&self) -> usize {
        self.cursors.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cursors.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.cursors.clear();
        self.partitions.clear();
    }
}

/// One Fetch request, ready to be written. Its partitions are in the order of their turns:
/// a broker fills its answer in that order until the bytes are used up.
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
    /// now. Costs time in proportion to the partitions in the request.
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
        let mut asks = known.spare_list();
        let alone = self.choose(lane, &mut asks);
        let number = self.next_request;
        let known = self.lane_mut(lane);
        if asks.is_empty() {
            known.keep_spare(asks);
            return None;
        }
        let waiting = known.has_alone();
        self.next_request += 1;
        self.mark_asked(lane, number, alone, &asks);
        let Source {
            lanes,
            options,
            topics,
            ..
        } = self;
        let known = lanes.get_mut(&lane).expect("found above");
        let version = known.asks_in();
        let request = known.send(number, asks, alone);
        let partitions = request.asks.partitions.as_slice();
        let max_bytes = match alone {
            true => partitions[0].max_bytes,
            false => wire_bytes(options.fetch_bytes_max),
        };
        // Whoever needs the next request alone is not kept waiting by an idle one.
        let max_wait_ms = if waiting { 0 } else { options.fetch_wait_ms };
        let ask = Ask {
            max_wait_ms: i32::try_from(max_wait_ms).unwrap_or(i32::MAX),
            min_bytes: i32::try_from(options.fetch_min_bytes).unwrap_or(i32::MAX),
            max_bytes,
        };
        Some(FetchPlan {
            lane,
            version,
            request: Request::alone(ask, partitions),
            topics,
        })
    }

    /// Takes those whose turn it is from the queues: one alone, or all that share. Says which.
    fn choose(&mut self, lane: LaneId, asks: &mut Asks) -> bool {
        if self.take(lane, asks, 1, Lane::pop_alone) {
            return true;
        }
        if self.take(lane, asks, usize::MAX, Lane::pop_sharing) {
            return false;
        }
        // The others' turn came, but none of them was there any more.
        self.take(lane, asks, 1, Lane::pop_alone)
    }

    fn take(
        &mut self,
        lane: LaneId,
        asks: &mut Asks,
        asks_max: usize,
        pop: impl Fn(&mut Lane) -> Option<Turnstile>,
    ) -> bool {
        while asks.len() < asks_max {
            let Some(turn) = pop(self.lane_mut(lane)) else {
                break;
            };
            if let Some(ask) = self.redeem(lane, turn) {
                asks.push(turn.cursor, ask);
            }
        }
        !asks.is_empty()
    }

    /// What the holder of a place in a queue wants; `None` where it has gone elsewhere.
    fn redeem(&mut self, lane: LaneId, turn: Turnstile) -> Option<AskedPartition> {
        let version = self.lane_mut(lane).asks_in();
        let cursor = self.cursors.get_mut(turn.cursor.0)?;
        cursor.ticket.take_if(|ticket| *ticket == turn.ticket)?;
        assert!(cursor.may_be_asked(), "a queued cursor is not ready");
        if version < LAST_EPOCH_FROM && !cursor.is_compared() {
            self.ask(turn.cursor, Subject::EpochEnd);
            return None;
        }
        let (fetch_offset, last_fetched_epoch) = cursor.next_ask();
        Some(AskedPartition {
            topic: cursor.topic_id,
            partition: cursor.name.partition,
            leader_epoch: cursor.leader_epoch,
            fetch_offset,
            last_fetched_epoch,
            max_bytes: wire_bytes(cursor.room),
        })
    }

    fn mark_asked(&mut self, lane: LaneId, request: u64, alone: bool, asks: &Asks) {
        for (id, ask) in asks.cursors.iter().zip(&asks.partitions) {
            let cursor = self.cursor_mut(*id);
            cursor.put_asked(Asked {
                lane,
                request,
                next: ask.fetch_offset,
                leader_epoch: ask.leader_epoch,
                room: cursor.room,
                alone,
            });
            cursor.assert_invariants();
        }
    }
}

fn wire_bytes(bytes: u32) -> i32 {
    i32::try_from(bytes).expect("the options' sizes fit the wire")
}
