//! Every key, once: its name, what it means, what it may be, and which option it sets.

use std::ops::RangeInclusive;

use super::Config;
use crate::model::ProducerIdShift;

/// The keys that stand under one heading.
pub(super) struct Section {
    pub(super) name: &'static str,
    /// What the section is about, in one sentence.
    pub(super) sentence: &'static str,
    pub(super) keys: &'static [Key],
    /// Pairs of its keys of which the first may not be above the second. Defaults comply.
    pub(super) ordered: &'static [(&'static str, &'static str)],
}

/// A number that may be set. Its default is the option's own.
pub(super) struct Key {
    pub(super) name: &'static str,
    /// What it means, in one sentence.
    pub(super) sentence: &'static str,
    /// What it may be; never more than its option holds, nor than TOML can say.
    pub(super) bounds: RangeInclusive<u64>,
    /// The option that it sets.
    pub(super) place: fn(&mut Config) -> Place<'_>,
}

/// An option, by its width.
pub(super) enum Place<'a> {
    U16(&'a mut u16),
    U32(&'a mut u32),
    U64(&'a mut u64),
    Shift(&'a mut ProducerIdShift),
}

impl Place<'_> {
    fn value(&self) -> u64 {
        match self {
            Place::U16(place) => u64::from(**place),
            Place::U32(place) => u64::from(**place),
            Place::U64(place) => **place,
            Place::Shift(place) => place.value().unsigned_abs(),
        }
    }

    fn set(self, value: u64) {
        const FITS: &str = "a key's bounds fit its option";
        match self {
            Place::U16(place) => *place = u16::try_from(value).expect(FITS),
            Place::U32(place) => *place = u32::try_from(value).expect(FITS),
            Place::U64(place) => *place = value,
            Place::Shift(place) => {
                let shift = i64::try_from(value).ok().and_then(ProducerIdShift::new);
                *place = shift.expect(FITS);
            }
        }
    }
}

impl Key {
    /// What `config` says for this key.
    pub(super) fn value(&self, config: &Config) -> u64 {
        (self.place)(&mut config.clone()).value()
    }

    /// Sets the option. The value is within the bounds.
    pub(super) fn set(&self, config: &mut Config, value: u64) {
        assert!(self.bounds.contains(&value), "{} = {value}", self.name);
        (self.place)(config).set(value);
    }
}

/// Bytes that a request can ask for: Kafka's field is a signed 32-bit number.
const ASKED_BYTES: RangeInclusive<u64> = 1..=0x7fff_ffff;
/// Milliseconds up to an hour.
const UP_TO_AN_HOUR: RangeInclusive<u64> = 1..=3_600_000;
/// Milliseconds of what would be a flood if it came more often, up to an hour.
const TENTH_TO_AN_HOUR: RangeInclusive<u64> = 100..=3_600_000;

/// Every section, in the order of the document.
pub(super) static SECTIONS: [Section; 3] = [SOURCE, SHARD, VAULT];

const SOURCE: Section = Section {
    name: "source",
    sentence: "How the source cluster is asked.",
    keys: &[
        Key {
            name: "fetch_bytes_max",
            sentence: "Bytes of records that one fetch answer may hold.",
            bounds: ASKED_BYTES,
            place: |config| Place::U32(&mut config.shard.source.fetch_bytes_max),
        },
        Key {
            name: "partition_bytes_max",
            sentence: "Bytes of records that one partition may take of a fetch answer.",
            bounds: ASKED_BYTES,
            place: |config| Place::U32(&mut config.shard.source.partition_fetch_bytes_max),
        },
        Key {
            name: "batch_bytes_max",
            sentence: "Bytes of the largest batch; a larger one stops its partition.",
            bounds: ASKED_BYTES,
            place: |config| Place::U32(&mut config.shard.source.batch_bytes_max),
        },
        Key {
            name: "fetch_wait_ms",
            sentence: "How long the source may hold a fetch back for want of records.",
            bounds: 1..=300_000,
            place: |config| Place::U32(&mut config.shard.source.fetch_wait_ms),
        },
        Key {
            name: "fetch_min_bytes",
            sentence: "Bytes of records for whose sake the source may hold a fetch back.",
            bounds: ASKED_BYTES,
            place: |config| Place::U32(&mut config.shard.source.fetch_min_bytes),
        },
        Key {
            name: "connections_per_broker",
            sentence: "Connections of each shard to each source broker.",
            bounds: 1..=64,
            place: |config| Place::U16(&mut config.shard.source.lanes_per_broker),
        },
        Key {
            name: "retry_backoff_ms",
            sentence: "The first wait after a failure; it doubles with every further one.",
            bounds: UP_TO_AN_HOUR,
            place: |config| Place::U32(&mut config.shard.source.retry_backoff_ms),
        },
        Key {
            name: "retry_backoff_max_ms",
            sentence: "The longest wait after a failure.",
            bounds: UP_TO_AN_HOUR,
            place: |config| Place::U32(&mut config.shard.source.retry_backoff_max_ms),
        },
        Key {
            name: "metadata_interval_ms",
            sentence: "How often topics, partitions and leaders are asked for.",
            bounds: TENTH_TO_AN_HOUR,
            place: |config| Place::U32(&mut config.control.metadata_interval_ms),
        },
        Key {
            name: "request_timeout_ms",
            sentence: "How long a rare request, such as one for metadata, may take.",
            bounds: TENTH_TO_AN_HOUR,
            place: |config| Place::U32(&mut config.control.request_timeout_ms),
        },
        Key {
            name: "answer_timeout_ms",
            sentence: "How long a due fetch answer may bring next to nothing.",
            bounds: TENTH_TO_AN_HOUR,
            place: |config| Place::U32(&mut config.shard.answer_timeout_ms),
        },
        Key {
            name: "patience_ms",
            sentence: "How long a copy without --follow retries a partition that only fails.",
            bounds: TENTH_TO_AN_HOUR,
            place: |config| Place::U32(&mut config.shard.patience_ms),
        },
    ],
    ordered: &[
        ("partition_bytes_max", "batch_bytes_max"),
        ("fetch_min_bytes", "fetch_bytes_max"),
        ("retry_backoff_ms", "retry_backoff_max_ms"),
    ],
};

const SHARD: Section = Section {
    name: "shard",
    sentence: "How a shard receives, appends and syncs.",
    keys: &[
        Key {
            name: "window_bytes",
            sentence: "Bytes that a connection receives into; a larger batch gets more.",
            bounds: 64 << 10..=1 << 30,
            place: |config| Place::U32(&mut config.shard.window_bytes),
        },
        Key {
            name: "flush_bytes",
            sentence: "A partition's log is synced when so many bytes are unsynced.",
            bounds: 1..=1 << 40,
            place: |config| Place::U64(&mut config.shard.flush_bytes),
        },
        Key {
            name: "flush_interval_ms",
            sentence: "A partition's log is synced when its oldest unsynced append is so old.",
            bounds: UP_TO_AN_HOUR,
            place: |config| Place::U32(&mut config.shard.flush_interval_ms),
        },
    ],
    ordered: &[],
};

const VAULT: Section = Section {
    name: "vault",
    sentence: "What a vault holds, and what is kept at its top.",
    keys: &[
        Key {
            name: "checkpoint_interval_ms",
            sentence: "How often the vault's checkpoints and state are written.",
            bounds: TENTH_TO_AN_HOUR,
            place: |config| Place::U32(&mut config.control.checkpoint_interval_ms),
        },
        Key {
            name: "producer_id_shift",
            sentence: "Added to every producer id; a vault keeps what it began with. 0: nothing.",
            bounds: 0..=i64::MAX.unsigned_abs(),
            place: |config| Place::Shift(&mut config.control.producer_id_shift),
        },
    ],
    ordered: &[],
};
