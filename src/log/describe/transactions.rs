//! The transactions of a log as its batches tell of them: what each wrote and how it ended.

use std::collections::BTreeMap;

use crate::log::fact::BatchFact;
use crate::model::{Offset, ProducerEpoch, ProducerId};

/// One transaction within one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Whose.
    pub producer: ProducerId,
    /// In which life of the producer.
    pub epoch: ProducerEpoch,
    /// Its first offset; none where a marker ends what nothing here has begun.
    pub first: Option<Offset>,
    /// Its marker's offset, or its last record's where nothing ends it.
    pub last: Offset,
    /// Its batches, the marker aside.
    pub batches: u64,
    /// Their records.
    pub records: u64,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its records are valid.
    Committed,
    /// Its records are void.
    Aborted,
    /// Not yet.
    Open,
}

/// The transactions that have begun and not ended.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    open: BTreeMap<ProducerId, Transaction>,
}

impl Transactions {
    /// Takes in the next batch; the transaction that it ends, if it is a marker.
    pub(super) fn take(&mut self, fact: &BatchFact, records: u32) -> Option<Transaction> {
        let producer = fact.producer?;
        let fresh = Transaction {
            producer: producer.id,
            epoch: producer.epoch,
            first: None,
            last: fact.last,
            batches: 0,
            records: 0,
            outcome: Outcome::Open,
        };
        if let Some(marker) = fact.marker {
            let begun = self.open.remove(&producer.id).unwrap_or(fresh);
            let outcome = match marker.is_abort {
                true => Outcome::Aborted,
                false => Outcome::Committed,
            };
            return Some(Transaction {
                last: fact.last,
                outcome,
                ..begun
            });
        }
        if fact.is_transactional && !fact.is_control {
            let begun = self.open.entry(producer.id).or_insert(fresh);
            begun.first.get_or_insert(fact.base);
            begun.last = fact.last;
            begun.batches += 1;
            begun.records += u64::from(records);
        }
        None
    }

    /// Those that nothing has ended, by producer.
    pub(super) fn open(self) -> impl Iterator<Item = Transaction> {
        self.open.into_values()
    }
}
