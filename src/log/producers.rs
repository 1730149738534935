//! Idempotent producers and open transactions of one log, and their snapshot
//! (`ProducerStateManager`, `ProducerAppendInfo` for replicated appends).
//!
//! | Snapshot field | Bytes |
//! |---|---|
//! | version, 1 | 2 |
//! | CRC-32C of all that follows | 4 |
//! | count of producers | 4 |
//! | per producer: | 46 |
//! | its id | 8 |
//! | its epoch | 2 |
//! | last sequence, offset, offset delta, timestamp | 4, 8, 4, 8 |
//! | coordinator epoch | 4 |
//! | first offset of the open transaction, or −1 | 8 |

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Offset, ProducerEpoch, ProducerId, WallTime};
use crate::record::crc::crc32c;
use crate::stdx::bytes::{be_i16, be_i32, be_i64};

use super::fact::BatchFact;
use super::index::AbortedTxn;
use super::sealing::OpenTransaction;

const VERSION: i16 = 1;
const CRC_AT: usize = 2;
const CRC_FROM: usize = 6;
const HEAD_BYTES: usize = 10;
const ENTRY_BYTES: usize = 46;
/// For how long a producer that is silent is remembered: `producer.id.expiration.ms`, Kafka's
/// default, and an hour more. Brokers forget by clocks of their own, and not at once; whom they may
/// still know is still known here.
const EXPIRATION_MS: i64 = PRODUCERS_KEPT_MS + 3_600_000;
/// A broker that remembers producers for no longer remembers none that this log has forgotten.
pub const PRODUCERS_KEPT_MS: i64 = 86_400_000;

/// What a log knows of one producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownProducer {
    /// Who.
    pub id: ProducerId,
    /// In which life.
    pub epoch: ProducerEpoch,
    /// The sequence number of its last record in this life; −1 where there is none.
    pub last_sequence: i32,
    /// The last offset of its last batch of records in this life.
    pub last_offset: Option<Offset>,
    /// That batch's last offset less its base offset.
    pub offset_delta: i32,
    /// When it wrote last, in ms; −1 where that is not known.
    pub timestamp: i64,
    /// The epoch of the coordinator that wrote its last marker; −1 where there is none.
    pub coordinator_epoch: i32,
    /// The first offset of its open transaction.
    pub open_since: Option<Offset>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Producer {
    epoch: ProducerEpoch,
    last_sequence: i32,
    /// −1 before the first data batch of this epoch.
    last_offset: i64,
    offset_delta: i32,
    timestamp: i64,
    coordinator_epoch: i32,
    open_since: Option<Offset>,
}

/// The producers of one log as its batches up to some offset tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Producers {
    known: BTreeMap<ProducerId, Producer>,
    open: BTreeSet<(Offset, ProducerId)>,
    /// The largest id that was known when some were last forgotten.
    largest_before: Option<ProducerId>,
}

impl Producers {
    /// Takes in the next batch; the abort that it marks, if it marks one of a transaction that
    /// has records.
    pub(super) fn apply(&mut self, fact: &BatchFact) -> Option<AbortedTxn> {
        let stated = fact.producer?;
        if fact.is_control && fact.marker.is_none() {
            // A transaction of which compaction has left nothing, or no transaction at all.
            return None;
        }
        let fresh = Producer::new(stated.epoch);
        let producer = self.known.entry(stated.id).or_insert(fresh);
        if producer.epoch != stated.epoch {
            // Another life of the producer begins; its open transaction goes on until its marker.
            *producer = Producer {
                coordinator_epoch: producer.coordinator_epoch,
                open_since: producer.open_since,
                ..fresh
            };
        }
        producer.timestamp = fact.timestamp;
        let Some(marker) = fact.marker else {
            producer.wrote(fact);
            if fact.is_transactional && producer.open_since.is_none() {
                producer.open_since = Some(fact.base);
                self.open.insert((fact.base, stated.id));
            }
            return None;
        };
        producer.coordinator_epoch = marker.coordinator_epoch;
        let first = producer.open_since.take()?;
        self.open.remove(&(first, stated.id));
        let last_stable = self.first_unstable().unwrap_or(fact.next());
        marker.is_abort.then_some(AbortedTxn {
            producer: stated.id,
            first,
            last: fact.last,
            last_stable,
        })
    }

    /// The first offset of the oldest open transaction.
    pub(super) fn first_unstable(&self) -> Option<Offset> {
        self.open.first().map(|(first, _)| *first)
    }

    /// How many transactions are open.
    pub(super) fn open_count(&self) -> usize {
        self.open.len()
    }

    /// Open transactions, in the order in which they began.
    pub(super) fn open(&self) -> Vec<OpenTransaction> {
        let open = self.open.iter().map(|(first, id)| {
            let producer = self.known.get(id).expect("who has one open is known");
            OpenTransaction {
                producer: *id,
                epoch: producer.epoch,
                first: *first,
                coordinator_epoch: producer.coordinator_epoch,
            }
        });
        open.collect()
    }

    /// The largest id that was met.
    pub(super) fn largest_id(&self) -> Option<ProducerId> {
        let known = self.known.last_key_value().map(|(id, _)| *id);
        known.max(self.largest_before)
    }

    /// Those of `ids` whose last records are remembered, so that what another producer of the same
    /// id writes may be taken for them. Of one that only markers are remembered of, nothing is.
    pub(super) fn written_under(&self, ids: &BTreeSet<ProducerId>) -> Vec<ProducerId> {
        let has_records = |producer: &Producer| producer.last_offset >= 0;
        if ids.len() < self.known.len() {
            let is_met = |id: &&ProducerId| self.known.get(id).is_some_and(has_records);
            return ids.iter().filter(is_met).copied().collect();
        }
        let known = self.known.iter();
        let met = known.filter(|(id, producer)| has_records(producer) && ids.contains(id));
        met.map(|(id, _)| *id).collect()
    }

    /// Forgets producers that have been silent for somewhat longer than a broker needs to.
    pub(super) fn expire(&mut self, now: WallTime) {
        self.largest_before = self.largest_id();
        self.known.retain(|_, producer| {
            let silent_ms = now.0.saturating_sub(producer.timestamp);
            producer.open_since.is_some() || silent_ms < EXPIRATION_MS
        });
    }

    /// The bytes of a `.snapshot` file.
    pub(super) fn to_snapshot(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES + self.known.len() * ENTRY_BYTES);
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(&[0; CRC_FROM - CRC_AT]);
        let count = i32::try_from(self.known.len()).expect("fewer than 2^31 producers fit memory");
        out.extend_from_slice(&count.to_be_bytes());
        for (id, producer) in &self.known {
            producer.push(*id, &mut out);
        }
        let crc = crc32c(&out[CRC_FROM..]);
        out[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
        out
    }

    /// Reads a `.snapshot` file; `None` where it is not what was written.
    pub(super) fn from_snapshot(bytes: &[u8]) -> Option<Producers> {
        let stored = stored(bytes)?;
        let open = stored.clone();
        let open = open.filter_map(|(id, producer)| Some((producer.open_since?, id)));
        Some(Producers {
            open: open.collect(),
            known: stored.collect(),
            largest_before: None,
        })
    }

    /// Whether a snapshot tells what a replay does, of the producers that it tells of. Those that
    /// have been silent may be left out; those that a replay which does not know the log from
    /// its beginning has not met may be there.
    pub(super) fn agrees_with(&self, replayed: &Producers, knows_all: bool) -> bool {
        self.known
            .iter()
            .all(|(id, stored)| match replayed.known.get(id) {
                Some(producer) => !knows_all || stored.agrees_with(producer),
                None => !knows_all,
            })
    }

    /// How many producers are known.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }
}

/// Each producer of a `.snapshot` file as it stands there; `None` where the file is not what was
/// written. Nothing is made of it: a snapshot may be large.
pub(super) fn known_in(bytes: &[u8]) -> Option<impl Iterator<Item = KnownProducer> + '_> {
    let stored = stored(bytes)?;
    Some(stored.map(|(id, producer)| producer.known_as(id)))
}

type Stored = (ProducerId, Producer);

fn stored(bytes: &[u8]) -> Option<impl Iterator<Item = Stored> + Clone + '_> {
    let entries = bytes.get(HEAD_BYTES..)?;
    let crc = crc32c(&bytes[CRC_FROM..]).cast_signed();
    let count = usize::try_from(be_i32(bytes, CRC_FROM)?).ok()?;
    let is_sound = be_i16(bytes, 0)? == VERSION
        && be_i32(bytes, CRC_AT)? == crc
        && count.checked_mul(ENTRY_BYTES)? == entries.len();
    let entries = entries.chunks_exact(ENTRY_BYTES).map(Producer::read);
    let is_read = is_sound && entries.clone().all(|entry| entry.is_some());
    is_read.then(|| entries.flatten())
}

impl Producer {
    fn new(epoch: ProducerEpoch) -> Producer {
        Producer {
            epoch,
            last_sequence: -1,
            last_offset: -1,
            offset_delta: 0,
            timestamp: -1,
            coordinator_epoch: -1,
            open_since: None,
        }
    }

    fn known_as(&self, id: ProducerId) -> KnownProducer {
        KnownProducer {
            id,
            epoch: self.epoch,
            last_sequence: self.last_sequence,
            last_offset: Offset::from_wire(self.last_offset),
            offset_delta: self.offset_delta,
            timestamp: self.timestamp,
            coordinator_epoch: self.coordinator_epoch,
            open_since: self.open_since,
        }
    }

    /// The same producer, perhaps forgotten and met again.
    fn agrees_with(&self, replayed: &Producer) -> bool {
        let written = |one: &Producer| (one.last_sequence, one.last_offset, one.offset_delta);
        let met = |one: &Producer| (one.epoch, one.open_since, one.timestamp);
        let fresh = Producer::new(self.epoch);
        met(self) == met(replayed)
            && (written(self) == written(replayed) || written(self) == written(&fresh))
            && [replayed.coordinator_epoch, -1].contains(&self.coordinator_epoch)
    }

    fn wrote(&mut self, fact: &BatchFact) {
        self.last_sequence = fact.last_sequence;
        self.last_offset = fact.last.value();
        self.offset_delta =
            i32::try_from(fact.last.since(fact.base)).expect("a batch states its delta in 31 bits");
    }

    fn push(&self, id: ProducerId, out: &mut Vec<u8>) {
        out.extend_from_slice(&id.value().to_be_bytes());
        out.extend_from_slice(&self.epoch.value().to_be_bytes());
        out.extend_from_slice(&self.last_sequence.to_be_bytes());
        out.extend_from_slice(&self.last_offset.to_be_bytes());
        out.extend_from_slice(&self.offset_delta.to_be_bytes());
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.coordinator_epoch.to_be_bytes());
        let open = self.open_since.map_or(-1, Offset::value);
        out.extend_from_slice(&open.to_be_bytes());
    }

    fn read(entry: &[u8]) -> Option<(ProducerId, Producer)> {
        let id = ProducerId::from_wire(be_i64(entry, 0)?)?;
        let producer = Producer {
            epoch: ProducerEpoch::new(be_i16(entry, 8)?),
            last_sequence: be_i32(entry, 10)?,
            last_offset: be_i64(entry, 14)?,
            offset_delta: be_i32(entry, 22)?,
            timestamp: be_i64(entry, 26)?,
            coordinator_epoch: be_i32(entry, 34)?,
            open_since: Offset::from_wire(be_i64(entry, 38)?),
        };
        Some((id, producer))
    }
}

#[cfg(test)]
mod tests;
