//! Load for the demo: record batches as real producers, coordinators and cleaners leave them, the
//! same for the same seed.

mod payload;
mod producers;

use crate::model::{LeaderEpoch, Offset, TopicId, TopicName};
use crate::record::BatchBuilder;
use crate::stdx::prng::{Prng, mix};
use payload::Payload;
use producers::{Producers, Step};

/// What the batches of a topic are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Plain batches without a producer id.
    Plain,
    /// The same, compressed.
    Zstd,
    /// Batches of several idempotent producers, some compressed.
    Idempotent,
    /// Transactions that overlap, ended by commit and abort markers.
    Transactions,
    /// What a cleaner leaves: gaps between batches and within them, batches without records.
    Compacted,
}

/// How large the pieces are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Records of a batch at most; half of it at least.
    pub records: u32,
    /// Bytes of a record's value.
    pub value_bytes: usize,
}

/// A topic that gets load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedTopic {
    /// Its name, which says what its traffic is.
    pub name: TopicName,
    /// Its id.
    pub id: TopicId,
    /// How many partitions it has.
    pub partitions: u32,
    /// What its batches are like.
    pub traffic: Traffic,
}

/// One topic for each kind of traffic; names never change, ids follow from `seed`.
#[must_use]
pub fn topics(seed: u64, partitions: u32) -> Vec<LoadedTopic> {
    let kinds = [
        ("demo-plain", Traffic::Plain),
        ("demo-zstd", Traffic::Zstd),
        ("demo-idempotent", Traffic::Idempotent),
        ("demo-transactions", Traffic::Transactions),
        ("demo-compacted", Traffic::Compacted),
    ];
    let mut prng = Prng::new(seed);
    kinds
        .into_iter()
        .map(|(name, traffic)| {
            let halves = [prng.next_u64(), prng.next_u64()].map(u64::to_be_bytes);
            let mut id = [0; 16];
            id.copy_from_slice(halves.as_flattened());
            LoadedTopic {
                name: TopicName::new(name).expect("it has letters and hyphens only"),
                id: TopicId::new(id),
                partitions,
                traffic,
            }
        })
        .collect()
}

/// The load of one partition: batch after batch, as its leader's log would hold them.
#[derive(Clone, Debug)]
pub struct PartitionLoad {
    traffic: Traffic,
    sizes: Sizes,
    prng: Prng,
    payload: Payload,
    producers: Producers,
    leader_epoch: LeaderEpoch,
    next: Offset,
}

/// Levels above this one cost more time than a demo has.
const ZSTD_LEVEL: i32 = 1;
/// Offsets that a gap takes at most.
const GAP_MAX: u64 = 6;

impl PartitionLoad {
    /// The load of partition `index` of `topic`, from offset 0 and leader's epoch 0 on. The whole
    /// of it follows from the topic's id, the partition, the sizes and the timestamps.
    #[must_use]
    pub fn new(topic: &LoadedTopic, index: u32, sizes: Sizes) -> PartitionLoad {
        assert!(sizes.records > 0, "a batch has a record");
        let id = u128::from_be_bytes(topic.id.bytes());
        let (high, low) = ((id >> 64) as u64, id as u64);
        let mut prng = Prng::new(mix(high ^ mix(low)).wrapping_add(u64::from(index)));
        let payload = Payload::new(&mut prng, sizes.value_bytes);
        // Producer ids are given out by the cluster: no two partitions share one here.
        let producers = Producers::new(index);
        PartitionLoad {
            traffic: topic.traffic,
            sizes,
            prng,
            payload,
            producers,
            leader_epoch: LeaderEpoch::new(0),
            next: Offset::ZERO,
        }
    }

    /// The offset after the last batch.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.next
    }

    /// The first offset of the oldest open transaction, or the offset after the last batch.
    #[must_use]
    pub fn last_stable(&self) -> Offset {
        self.producers.oldest_open().unwrap_or(self.next)
    }

    /// The epoch of the next batch's leader.
    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// Another leader: the next batch has a later epoch.
    pub fn elect(&mut self) {
        self.leader_epoch = LeaderEpoch::new(self.leader_epoch.value() + 1);
    }

    /// The next batch. `timestamp` is in ms.
    pub fn next_batch(&mut self, timestamp: i64) -> Vec<u8> {
        let batch = match self.traffic {
            Traffic::Plain => self.whole(timestamp),
            Traffic::Zstd => self.whole(timestamp).zstd(ZSTD_LEVEL),
            Traffic::Idempotent => self.idempotent(timestamp),
            Traffic::Transactions => return self.transaction_step(timestamp),
            Traffic::Compacted => self.compacted(timestamp),
        };
        self.next = batch.next_offset();
        batch.finish()
    }

    /// Ends the transactions that are open, with one marker each: the log is whole after it.
    pub fn settle(&mut self, timestamp: i64) -> Vec<Vec<u8>> {
        let mut markers = Vec::new();
        while let Some(marker) = self
            .producers
            .end_oldest(self.next, self.leader_epoch, timestamp)
        {
            self.next = following(self.next, 1);
            markers.push(marker.batch());
        }
        markers
    }

    fn records(&mut self) -> u32 {
        let least = self.sizes.records.div_ceil(2);
        let spread = self.sizes.records - least + 1;
        least + u32::try_from(self.prng.below(spread.into())).expect("below 32 bits")
    }

    /// A batch of records alone, without a gap.
    fn whole(&mut self, timestamp: i64) -> BatchBuilder {
        let mut batch = BatchBuilder::new(self.next, self.leader_epoch, timestamp);
        for _ in 0..self.records() {
            self.payload.push(&mut self.prng, &mut batch, timestamp);
        }
        batch
    }

    fn idempotent(&mut self, timestamp: i64) -> BatchBuilder {
        let batch = self.whole(timestamp);
        let offsets = batch.next_offset().since(self.next);
        let producer = self.producers.idempotent(&mut self.prng, offsets);
        let batch = batch.producer(producer);
        match self.prng.below(2) {
            0 => batch,
            _ => batch.zstd(ZSTD_LEVEL),
        }
    }

    /// Records of a transaction, or a marker.
    fn transaction_step(&mut self, timestamp: i64) -> Vec<u8> {
        match self.producers.step(&mut self.prng) {
            Step::Records(turn) => {
                let batch = self.whole(timestamp);
                let offsets = batch.next_offset().since(self.next);
                let producer = self.producers.write(turn, self.next, offsets);
                self.next = batch.next_offset();
                batch.producer(producer).transactional().finish()
            }
            Step::End(turn) => {
                let marker = self.producers.end(
                    turn,
                    self.prng.below(4) > 0,
                    (self.next, self.leader_epoch, timestamp),
                );
                self.next = following(self.next, 1);
                marker.batch()
            }
        }
    }

    /// A batch as it is after its cleaning: of every third no record is left, and whole batches
    /// before it may be gone.
    fn compacted(&mut self, timestamp: i64) -> BatchBuilder {
        let base = following(self.next, self.prng.below(GAP_MAX));
        let mut batch = BatchBuilder::new(base, self.leader_epoch, timestamp);
        let (records, survives) = (self.records(), self.prng.below(3) > 0);
        for _ in 0..records {
            if survives && self.prng.below(2) == 0 {
                self.payload.push(&mut self.prng, &mut batch, timestamp);
            } else {
                batch.skip(1);
            }
        }
        // An emptied batch stays for the sake of its producer's last sequence number.
        let offsets = batch.next_offset().since(base);
        let producer = self.producers.idempotent(&mut self.prng, offsets);
        let batch = batch.producer(producer);
        match self.prng.below(2) {
            0 => batch,
            _ => batch.zstd(ZSTD_LEVEL),
        }
    }
}

fn following(offset: Offset, offsets: u64) -> Offset {
    offset
        .checked_add(offsets)
        .expect("a demo ends long before offsets do")
}

#[cfg(test)]
mod tests;
