//! The keys of sections that stand once: each with its name, its sentence, what it may be, and the
//! option that it sets.

use std::ops::RangeInclusive;

use super::key::{Key, Kind, Place};

/// The keys that stand under one heading.
pub(super) struct Section {
    pub(super) name: &'static str,
    /// What the section is about, in one sentence.
    pub(super) sentence: &'static str,
    pub(super) keys: &'static [Key],
    /// Pairs of its numbers of which the first may not be above the second. Defaults comply.
    pub(super) ordered: &'static [(&'static str, &'static str)],
}

/// Bytes that a request can ask for: Kafka's field is a signed 32-bit number.
const ASKED_BYTES: RangeInclusive<u64> = 1..=0x7fff_ffff;
/// Milliseconds up to an hour.
const UP_TO_AN_HOUR: RangeInclusive<u64> = 1..=3_600_000;
/// Milliseconds of what would be a flood if it came more often, up to an hour.
const TENTH_TO_AN_HOUR: RangeInclusive<u64> = 100..=3_600_000;

/// Every section, in the order of the document.
pub(super) static SECTIONS: [Section; 7] = [NODE, ADMIN, DESTINATION, RETRY, SOURCE, SHARD, VAULT];

const NODE: Section = Section {
    name: "node",
    sentence: "The node of `twinlog serve`; the other commands take no notice.",
    keys: &[
        Key {
            name: "id",
            sentence: "Its id: as a member, one that no broker or controller there has. 0: none.",
            kind: Kind::Number(0..=0x7fff_ffff),
            place: |config| Place::Broker(&mut config.node.id),
        },
        Key {
            name: "data_dir",
            sentence: "Where its logs and its state are.",
            kind: Kind::Text,
            place: |config| Place::Path(&mut config.node.data_dir),
        },
        Key {
            name: "cores",
            sentence: "How many cores its shards may use; 0: all.",
            kind: Kind::Number(0..=1024),
            place: |config| Place::U16(&mut config.node.cores),
        },
    ],
    ordered: &[],
};

const ADMIN: Section = Section {
    name: "admin",
    sentence: "Where operators find the node.",
    keys: &[
        Key {
            name: "listen",
            sentence: "Where it takes the requests of KIP-1279, as from `twinlog mirrors`.",
            kind: Kind::Text,
            place: |config| Place::Address(&mut config.node.admin.listen),
        },
        Key {
            name: "advertised",
            sentence: "Where other nodes find that, if it differs: a member registers it.",
            kind: Kind::Text,
            place: |config| Place::MaybeAddress(&mut config.node.admin.advertised),
        },
        Key {
            name: "metrics",
            sentence: "Where it tells its metrics: HTTP, /metrics.",
            kind: Kind::Text,
            place: |config| Place::MaybeAddress(&mut config.node.admin.metrics),
        },
        Key {
            name: "connections_max",
            sentence: "Connections that each of the two may have; more are closed.",
            kind: Kind::Number(1..=4096),
            place: |config| Place::U16(&mut config.node.admin.connections_max),
        },
    ],
    ordered: &[],
};

const DESTINATION: Section = Section {
    name: "destination",
    sentence: "Where mirrors land: in a vault of the node, or in a cluster whose member it is.",
    keys: &[
        Key {
            name: "kind",
            sentence: "Which of the two; a member needs node.id and what follows, up to listen.",
            kind: Kind::Text,
            place: |config| Place::Choice(&mut config.node.destination.kind),
        },
        Key {
            name: "controllers",
            sentence: "Controllers of the cluster to begin with.",
            kind: Kind::List,
            place: |config| Place::Addresses(&mut config.node.destination.controllers),
        },
        Key {
            name: "bootstrap.servers",
            sentence: "Brokers of the cluster, which are asked where its controllers listen.",
            kind: Kind::List,
            place: |config| Place::Addresses(&mut config.node.destination.bootstrap_servers),
        },
        Key {
            name: "listener_name",
            sentence: "The cluster's inter-broker listener (inter.broker.listener.name).",
            kind: Kind::Text,
            place: |config| Place::Word(&mut config.node.destination.listener_name),
        },
        Key {
            name: "listen",
            sentence: "Where the node serves that listener.",
            kind: Kind::Text,
            place: |config| Place::MaybeAddress(&mut config.node.destination.listen),
        },
        Key {
            name: "advertised",
            sentence: "Where the cluster's brokers find it, if that differs from listen.",
            kind: Kind::Text,
            place: |config| Place::MaybeAddress(&mut config.node.destination.advertised),
        },
        Key {
            name: "rack",
            sentence: "The node's broker.rack; one that other brokers have, where they have any.",
            kind: Kind::Text,
            place: |config| Place::Word(&mut config.node.destination.rack),
        },
        Key {
            name: "session_timeout_ms",
            sentence: "What broker.session.timeout.ms is on the cluster's controllers.",
            kind: Kind::Number(TENTH_TO_AN_HOUR),
            place: |config| Place::U32(&mut config.kraft.session_timeout_ms),
        },
        Key {
            name: "heartbeat_interval_ms",
            sentence: "How often the controller hears of the node.",
            kind: Kind::Number(TENTH_TO_AN_HOUR),
            place: |config| Place::U32(&mut config.kraft.heartbeat_interval_ms),
        },
        Key {
            name: "replica_lag_ms",
            sentence: "Out of sync is who lags for so long, as replica.lag.time.max.ms.",
            kind: Kind::Number(TENTH_TO_AN_HOUR),
            place: |config| Place::U32(&mut config.node.destination.replica_lag_ms),
        },
        Key {
            name: "min_insync_replicas",
            sentence: "Its min.insync.replicas, for topics of which the cluster tells none.",
            kind: Kind::Number(1..=32),
            place: |config| Place::U16(&mut config.node.destination.min_insync_replicas),
        },
        Key {
            name: "producer_id_distance_max",
            sentence: "So many ids may be used up there to get past the source's producers.",
            kind: Kind::Number(1_000..=1 << 40),
            place: |config| Place::U64(&mut config.node.destination.producer_id_distance_max),
        },
        Key {
            name: "unfit",
            sentence: "What if the cluster is not fit (twinlog check) when a node first joins.",
            kind: Kind::Text,
            place: |config| Place::Choice(&mut config.node.destination.unfit),
        },
        Key {
            name: "rogue_writes",
            sentence: "What is done about records that others wrote to a mirror topic.",
            kind: Kind::Text,
            place: |config| Place::Choice(&mut config.node.destination.rogue_writes),
        },
    ],
    ordered: &[],
};

const RETRY: Section = Section {
    name: "retry",
    sentence: "When a mirror's failed partition is tried again (mirror.failed.retry.*).",
    keys: &[
        Key {
            name: "initial_backoff_ms",
            sentence: "The longest wait after the first failure; each one doubles it.",
            kind: Kind::Number(UP_TO_AN_HOUR),
            place: |config| Place::U32(&mut config.node.retry.initial_backoff_ms),
        },
        Key {
            name: "max_backoff_ms",
            sentence: "The longest wait of all.",
            kind: Kind::Number(UP_TO_AN_HOUR),
            place: |config| Place::U32(&mut config.node.retry.max_backoff_ms),
        },
        Key {
            name: "max_attempts",
            sentence: "With so many failures it waits for `twinlog mirrors recover`.",
            kind: Kind::Number(0..=0x7fff),
            place: |config| Place::U16(&mut config.node.retry.max_attempts),
        },
    ],
    ordered: &[("initial_backoff_ms", "max_backoff_ms")],
};

const SOURCE: Section = Section {
    name: "source",
    sentence: "How the source cluster is asked.",
    keys: &[
        Key {
            name: "fetch_bytes_max",
            sentence: "Bytes of records that one fetch answer may hold.",
            kind: Kind::Number(ASKED_BYTES),
            place: |config| Place::U32(&mut config.shard.source.fetch_bytes_max),
        },
        Key {
            name: "partition_bytes_max",
            sentence: "Bytes of records that one partition may take of a fetch answer.",
            kind: Kind::Number(ASKED_BYTES),
            place: |config| Place::U32(&mut config.shard.source.partition_fetch_bytes_max),
        },
        Key {
            name: "batch_bytes_max",
            sentence: "Bytes of the largest batch; a larger one stops its partition.",
            kind: Kind::Number(ASKED_BYTES),
            place: |config| Place::U32(&mut config.shard.source.batch_bytes_max),
        },
        Key {
            name: "fetch_wait_ms",
            sentence: "How long the source may hold a fetch back for want of records.",
            kind: Kind::Number(1..=300_000),
            place: |config| Place::U32(&mut config.shard.source.fetch_wait_ms),
        },
        Key {
            name: "fetch_min_bytes",
            sentence: "Bytes of records for whose sake the source may hold a fetch back.",
            kind: Kind::Number(ASKED_BYTES),
            place: |config| Place::U32(&mut config.shard.source.fetch_min_bytes),
        },
        Key {
            name: "connections_per_broker",
            sentence: "Connections of each shard to each source broker.",
            kind: Kind::Number(1..=64),
            place: |config| Place::U16(&mut config.shard.source.lanes_per_broker),
        },
        Key {
            name: "retry_backoff_ms",
            sentence: "The first wait after a failure; it doubles with every further one.",
            kind: Kind::Number(UP_TO_AN_HOUR),
            place: |config| Place::U32(&mut config.shard.source.retry_backoff_ms),
        },
        Key {
            name: "retry_backoff_max_ms",
            sentence: "The longest wait after a failure.",
            kind: Kind::Number(UP_TO_AN_HOUR),
            place: |config| Place::U32(&mut config.shard.source.retry_backoff_max_ms),
        },
        Key {
            name: "metadata_interval_ms",
            sentence: "How often topics, partitions and leaders are asked for.",
            kind: Kind::Number(TENTH_TO_AN_HOUR),
            place: |config| Place::U32(&mut config.control.metadata_interval_ms),
        },
        Key {
            name: "request_timeout_ms",
            sentence: "How long a rare request, such as one for metadata, may take.",
            kind: Kind::Number(TENTH_TO_AN_HOUR),
            place: |config| Place::U32(&mut config.control.request_timeout_ms),
        },
        Key {
            name: "answer_timeout_ms",
            sentence: "How long a due fetch answer may bring next to nothing.",
            kind: Kind::Number(TENTH_TO_AN_HOUR),
            place: |config| Place::U32(&mut config.shard.answer_timeout_ms),
        },
        Key {
            name: "patience_ms",
            sentence: "How long a copy without --follow retries a partition that only fails.",
            kind: Kind::Number(TENTH_TO_AN_HOUR),
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
            kind: Kind::Number(64 << 10..=1 << 30),
            place: |config| Place::U32(&mut config.shard.window_bytes),
        },
        Key {
            name: "flush_bytes",
            sentence: "A partition's log is synced when so many bytes are unsynced.",
            kind: Kind::Number(1..=1 << 40),
            place: |config| Place::U64(&mut config.shard.flush_bytes),
        },
        Key {
            name: "flush_interval_ms",
            sentence: "A partition's log is synced when its oldest unsynced append is so old.",
            kind: Kind::Number(UP_TO_AN_HOUR),
            place: |config| Place::U32(&mut config.shard.flush_interval_ms),
        },
        Key {
            name: "retention_interval_ms",
            sentence: "How often old segments of logs that are led here are looked for.",
            kind: Kind::Number(TENTH_TO_AN_HOUR),
            place: |config| Place::U32(&mut config.shard.retention_interval_ms),
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
            kind: Kind::Number(TENTH_TO_AN_HOUR),
            place: |config| Place::U32(&mut config.control.checkpoint_interval_ms),
        },
        Key {
            name: "producer_id_shift",
            sentence: "Added to every producer id; a vault keeps what it began with. 0: nothing.",
            kind: Kind::Number(0..=i64::MAX.unsigned_abs()),
            place: |config| Place::Shift(&mut config.control.producer_id_shift),
        },
        Key {
            name: "source_loss",
            sentence: "What becomes of records here that the source has lost since.",
            kind: Kind::Text,
            place: |config| Place::Choice(&mut config.control.source_loss),
        },
    ],
    ordered: &[],
};
