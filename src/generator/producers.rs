//! The producers of one partition: their sequence numbers and their transactions.

use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use crate::record::{Marker, Producer};
use crate::stdx::prng::Prng;

const PRODUCERS: usize = 3;
const COORDINATOR_EPOCH: i32 = 1;

/// A few producers that write to the same partition.
#[derive(Clone, Debug)]
pub(super) struct Producers {
    all: Vec<Writing>,
}

#[derive(Clone, Debug)]
struct Writing {
    id: ProducerId,
    epoch: i16,
    /// Of the next record; after 2^31 − 1 comes 0.
    sequence: i32,
    /// Where its open transaction begins.
    open_from: Option<Offset>,
}

/// Which producer's turn it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn(usize);

/// What happens next to the transactions of a partition.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// A producer writes; its transaction begins where none is open.
    Records(Turn),
    /// A producer's open transaction ends.
    End(Turn),
}

impl Producers {
    pub(super) fn new(partition: u32) -> Producers {
        let first = i64::from(partition) * PRODUCERS as i64;
        let writing = |id| Writing {
            id: ProducerId::from_wire(id).expect("counted from 0"),
            epoch: 0,
            sequence: 0,
            open_from: None,
        };
        Producers {
            all: (first..).map(writing).take(PRODUCERS).collect(),
        }
    }

    /// The header of the next batch of one of them, which uses up so many sequence numbers.
    pub(super) fn idempotent(&mut self, prng: &mut Prng, offsets: u64) -> Producer {
        let turn = self.turn(prng);
        self.all[turn.0].take(offsets)
    }

    /// Mostly records; open transactions are ended one time in four.
    pub(super) fn step(&self, prng: &mut Prng) -> Step {
        let turn = self.turn(prng);
        match self.all[turn.0].open_from {
            Some(_) if prng.below(4) == 0 => Step::End(turn),
            _ => Step::Records(turn),
        }
    }

    /// The header of a batch at `from` within the producer's transaction.
    pub(super) fn write(&mut self, turn: Turn, from: Offset, offsets: u64) -> Producer {
        let writing = &mut self.all[turn.0];
        writing.open_from.get_or_insert(from);
        writing.take(offsets)
    }

    /// The marker that ends the producer's open transaction. Who has to abort begins a new epoch.
    pub(super) fn end(
        &mut self,
        turn: Turn,
        commits: bool,
        (offset, leader_epoch, timestamp): (Offset, LeaderEpoch, i64),
    ) -> Marker {
        let writing = &mut self.all[turn.0];
        let open = writing.open_from.take();
        assert!(open.is_some(), "only open transactions end");
        let producer_epoch = ProducerEpoch::new(writing.epoch);
        if !commits {
            writing.begin_epoch();
        }
        Marker {
            offset,
            leader_epoch,
            timestamp,
            producer_id: writing.id,
            producer_epoch,
            coordinator_epoch: COORDINATOR_EPOCH,
            commits,
        }
    }

    /// Commits the oldest open transaction; nothing where none is open.
    pub(super) fn end_oldest(
        &mut self,
        offset: Offset,
        leader_epoch: LeaderEpoch,
        timestamp: i64,
    ) -> Option<Marker> {
        let oldest = self.oldest_open()?;
        let turn = self
            .all
            .iter()
            .position(|writing| writing.open_from == Some(oldest))?;
        Some(self.end(Turn(turn), true, (offset, leader_epoch, timestamp)))
    }

    /// The first offset of the oldest open transaction.
    pub(super) fn oldest_open(&self) -> Option<Offset> {
        self.all
            .iter()
            .filter_map(|writing| writing.open_from)
            .min()
    }

    fn turn(&self, prng: &mut Prng) -> Turn {
        let turn = prng.below(self.all.len() as u64);
        Turn(usize::try_from(turn).expect("below the count of producers"))
    }
}

impl Writing {
    fn take(&mut self, offsets: u64) -> Producer {
        let producer = Producer {
            id: self.id,
            epoch: ProducerEpoch::new(self.epoch),
            base_sequence: self.sequence,
        };
        let offsets = i32::try_from(offsets).expect("a batch has fewer than 2^31 offsets");
        self.sequence = self.sequence.wrapping_add(offsets) & i32::MAX;
        producer
    }

    /// A new epoch counts its records anew. Epochs that run out end the producer: another one
    /// takes its place.
    fn begin_epoch(&mut self) {
        self.sequence = 0;
        match self.epoch.checked_add(1) {
            Some(next) if next < i16::MAX => self.epoch = next,
            _ => {
                // Far beyond the ids of all partitions.
                let id = self.id.value() + (1 << 40);
                self.id = ProducerId::from_wire(id).expect("ids do not run out");
                self.epoch = 0;
            }
        }
    }
}
