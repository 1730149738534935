//! The barrier between the source's producer ids and those that the destination gives out.
//!
//! Mirrored producers live on in stock brokers after a failover. A new producer that is given the
//! id of one of them may be answered as a repetition, and what it writes is lost in silence. So
//! the destination's allocator is pushed past all ids that we have mirrored, and each stock broker
//! is asked for ids until the block that it holds from before is used up.

mod drain;
mod push;
mod running;

use std::collections::BTreeMap;

use crate::model::{BrokerEpoch, BrokerId, ProducerId};
use crate::protocol::ErrorCode;
use crate::session::SessionFault;

pub use drain::{Drained, drain};
pub use push::{Pushed, Registered, push};
pub use running::{Led, Running, Seen, led, running_below};

/// Ids in one block (`ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE`).
const BLOCK: i64 = 1_000;

/// How fast, how far and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Connections to the controller that push at the same time: calls that wait together share
    /// a commit, a single connection is slow.
    pub connections_max: u32,
    /// Blocks that are taken per second at most. Each is a record in the metadata log.
    pub blocks_per_second: u32,
    /// How many ids the allocator may be pushed in all.
    pub distance_max: i64,
    /// Ids that one stock broker may be asked for: it holds one block, and perhaps the next one.
    pub drain_calls_max: u32,
    /// How often a broker that has no block yet is asked again.
    pub drain_retries_max: u32,
    /// The wait between two such questions, in milliseconds.
    pub retry_backoff_ms: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            connections_max: 64,
            blocks_per_second: 2_000,
            distance_max: 100_000_000,
            drain_calls_max: 4_000,
            drain_retries_max: 200,
            retry_backoff_ms: 25,
        }
    }
}

/// Ids below it belong to the source; the destination may give out none of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(i64);

impl Mark {
    /// The mark that leaves `margin` ids beyond the largest mirrored one for those that are still
    /// to come.
    #[must_use]
    pub fn beyond(largest: Option<ProducerId>, margin: u32) -> Mark {
        largest.map_or(Mark(0), |id| {
            let taken = id.value().saturating_add(1);
            Mark(taken.saturating_add(i64::from(margin)))
        })
    }

    /// The first id that may be given out.
    #[must_use]
    pub fn value(self) -> i64 {
        self.0
    }

    /// Whether an id that was given out lies beyond.
    #[must_use]
    pub fn is_passed_by(self, given: ProducerId) -> bool {
        given.value() >= self.0
    }
}

/// Why the barrier does not stand yet.
#[derive(Debug, thiserror::Error)]
pub enum BarrierFault {
    /// Somebody cannot be spoken to.
    #[error("{0}")]
    Session(#[from] SessionFault),
    /// The controller gives no block.
    #[error("the controller gives no block of producer ids: {}{}", .0, advice(.0))]
    Refused(ErrorCode),
    /// A broker gives no id.
    #[error("broker {broker} gives no producer id: {code}{}", advice(code))]
    NoId {
        /// Which.
        broker: BrokerId,
        /// What it says.
        code: ErrorCode,
    },
    /// A controller whose blocks cannot be.
    #[error("the controller gives a block of {count} producer ids from {start}, which cannot be")]
    Impossible {
        /// Where it begins.
        start: i64,
        /// Its size.
        count: i32,
    },
    /// It would take too many blocks.
    #[error(
        "the source's producer ids reach {mark}, the destination's {next}: {distance_max} is as \
         far as they are pushed; see whether the source's are real, and raise \
         `producer_id_distance_max`"
    )]
    TooFar {
        /// Where the destination's have to be.
        mark: i64,
        /// Where they are.
        next: i64,
        /// How far they are pushed.
        distance_max: i64,
    },
    /// A broker's block does not end.
    #[error(
        "broker {broker} still gives producer id {given} after {calls} questions, below {mark}: \
         restart it, so that it takes a new block"
    )]
    Endless {
        /// Which.
        broker: BrokerId,
        /// What it gave last.
        given: ProducerId,
        /// How often it was asked.
        calls: u32,
        /// What it has to pass.
        mark: i64,
    },
}

fn advice(code: &ErrorCode) -> &'static str {
    match *code {
        ErrorCode::CLUSTER_AUTHORIZATION_FAILED => {
            "; grant CLUSTER_ACTION and IDEMPOTENT_WRITE on the cluster to our principal"
        }
        ErrorCode::STALE_BROKER_EPOCH | ErrorCode::BROKER_ID_NOT_REGISTERED => {
            "; it is tried again in the next life of our registration"
        }
        _ => "",
    }
}

/// How far the barrier stands. Nothing of it has to survive a restart: looking again is cheap
/// where all is done.
#[derive(Clone, Debug, Default)]
pub struct Barrier {
    mark: Mark,
    /// Ids below it have been given to brokers, or to us.
    next: i64,
    /// What each stock broker gave last, and in which life.
    given: BTreeMap<BrokerId, (BrokerEpoch, ProducerId)>,
}

impl Barrier {
    /// Wants all ids of the destination beyond `mark`; never lower than before.
    pub fn raise(&mut self, mark: Mark) {
        self.mark = self.mark.max(mark);
    }

    /// Where it is to stand.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// Takes in that all ids below `next` have been given out: from the metadata, or by [`push`].
    pub fn allocated(&mut self, next: i64) {
        self.next = self.next.max(next);
    }

    /// Where the destination's allocator is, as far as we know.
    #[must_use]
    pub fn next(&self) -> i64 {
        self.next
    }

    /// Whether the allocator has to be pushed.
    #[must_use]
    pub fn wants_push(&self) -> bool {
        self.next < self.mark.0
    }

    /// Takes in what a stock broker gave out in one life of it.
    pub fn gave(&mut self, broker: BrokerId, epoch: BrokerEpoch, id: ProducerId) {
        self.given.insert(broker, (epoch, id));
    }

    /// Those of the stock brokers, each in its life, that may still give out ids below the mark.
    #[must_use]
    pub fn behind(
        &self,
        brokers: impl IntoIterator<Item = (BrokerId, BrokerEpoch)>,
    ) -> Vec<BrokerId> {
        let is_past = |broker: BrokerId, epoch: BrokerEpoch| match self.given.get(&broker) {
            Some((life, id)) => *life == epoch && self.mark.is_passed_by(*id),
            None => false,
        };
        let brokers = brokers.into_iter();
        let behind = brokers.filter(|(broker, epoch)| self.mark.0 > 0 && !is_past(*broker, *epoch));
        behind.map(|(broker, _)| broker).collect()
    }

    /// Whether no id below the mark will be given out any more, by any of these brokers.
    #[must_use]
    pub fn is_past(&self, brokers: impl IntoIterator<Item = (BrokerId, BrokerEpoch)>) -> bool {
        !self.wants_push() && self.behind(brokers).is_empty()
    }
}

#[cfg(test)]
mod tests;
