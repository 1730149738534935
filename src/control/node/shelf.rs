//! The logs of one directory: what is known of each before a shard opens it, and the books about
//! all of them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::control::books::Books;
use crate::control::ledger::{Ledger, Line};
use crate::io::Disk;
use crate::model::{
    Offset, PartitionIndex, ProducerIdShift, ShardId, TopicId, TopicName, TopicPartition,
};
use crate::shard::inbox::{Phase, Recovered, Status, Tally};
use crate::vault::{Found, Vault, VaultFault};

/// A directory of logs, and its books.
pub(super) struct Shelf<D: Disk> {
    books: Books<D>,
    ledger: Ledger,
    /// How logs were left that shards have closed since.
    released: BTreeMap<TopicPartition, bool>,
}

/// What a shard has to know of a log before it opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// The topic that it is of; none where no notes were written yet.
    pub(super) topic_id: Option<TopicId>,
    pub(super) log_start: Offset,
    pub(super) recovery_point: Offset,
    pub(super) is_clean: bool,
}

impl<D: Disk> Shelf<D> {
    pub(super) fn new(vault: Vault<D>, found: Found) -> Shelf<D> {
        Shelf {
            books: Books::new(vault, found),
            ledger: Ledger::default(),
            released: BTreeMap::new(),
        }
    }

    /// The log of a partition; `None` where there is none.
    pub(super) fn held(&self, id: &TopicPartition) -> Option<Held> {
        if let Some(line) = self.ledger.lines.get(id).filter(|line| line.is_open) {
            return Some(Held {
                topic_id: Some(line.topic_id),
                log_start: line.log_start,
                recovery_point: line.durable,
                is_clean: self.released.get(id) == Some(&true),
            });
        }
        let known = self.books.known(id)?;
        Some(Held {
            topic_id: known.topic_id,
            log_start: known.log_start,
            recovery_point: known.recovery_point,
            is_clean: self.books.found().clean,
        })
    }

    /// The notes that are on disk say that the log is of another topic.
    pub(super) fn notes_another(&self, id: &TopicPartition, topic: TopicId) -> bool {
        let noted = self.books.noted(id);
        noted.is_some_and(|noted| noted != topic)
    }

    /// There is a log of some partition of the topic.
    pub(super) fn holds_any_of(&self, topic: &TopicName) -> bool {
        let first = TopicPartition {
            topic: topic.clone(),
            partition: PartitionIndex::default(),
        };
        let found = &self.books.found().partitions;
        let found = found.get(found.partition_point(|id| *id < first));
        let lines = self.ledger.lines.range(first..);
        let mut lines = lines.take_while(|(id, _)| id.topic == *topic);
        lines.any(|(_, line)| line.is_open) || found.is_some_and(|id| id.topic == *topic)
    }

    /// The notes tell of a log of this topic, and it is not there.
    pub(super) fn has_lost(&self, id: &TopicPartition, topic: TopicId) -> bool {
        let noted = self.books.found().state.partitions.get(id);
        let was_open = noted.is_some_and(|noted| {
            let held_any = noted.log_start.is_some_and(|start| start < noted.position);
            noted.topic_id == topic && held_any
        });
        was_open && self.held(id).is_none()
    }

    pub(super) fn dir_of(&self, id: &TopicPartition) -> PathBuf {
        self.books.vault().partition_dir(id)
    }

    pub(super) fn producer_id_shift(&self) -> ProducerIdShift {
        self.books.found().state.producer_id_shift
    }

    /// A shard is told to open a log.
    pub(super) fn opening(&mut self, id: &TopicPartition, topic_id: TopicId, begins_at: Offset) {
        self.released.remove(id);
        let held = self.held(id);
        let gaps = self.books.known(id).map(|known| known.gaps);
        let gaps = gaps.unwrap_or_default();
        let offset = held.map_or(begins_at, |held| held.recovery_point);
        let line = Line {
            topic_id,
            shard: ShardId(0),
            phase: Phase::Mirroring,
            tally: Tally::default(),
            tally_before: Tally::default(),
            cuts: Vec::new(),
            log_start: held.map_or(begins_at, |held| held.log_start),
            began_at: offset,
            log_end: offset,
            durable: offset,
            target: None,
            gaps: gaps.clone(),
            gaps_before: gaps,
            recovered: Recovered::default(),
            is_open: false,
        };
        let known = self.ledger.lines.entry(id.clone());
        known.or_insert(line).topic_id = topic_id;
    }

    pub(super) fn told(&mut self, status: Status) {
        self.ledger.told(status);
    }

    /// A shard has closed a log.
    pub(super) fn released(
        &mut self,
        id: &TopicPartition,
        (log_start, log_end): (Offset, Offset),
        is_clean: bool,
    ) {
        self.released.insert(id.clone(), is_clean);
        if let Some(line) = self.ledger.lines.get_mut(id) {
            line.log_start = log_start;
            line.log_end = log_end;
            if is_clean {
                line.durable = log_end;
            }
        }
    }

    /// Writes the books, where there is anything new. Says which recovery points have moved.
    pub(super) fn write(&mut self) -> Result<crate::vault::Offsets, VaultFault> {
        self.books.write(&self.ledger)
    }

    /// Writes them for the last time.
    pub(super) fn close(self, is_clean: bool) -> Result<(), VaultFault> {
        let all_clean = self.released.values().all(|is_clean| *is_clean);
        self.books.close(&self.ledger, is_clean && all_clean)
    }
}
