//! Which requests we answer as a broker, in which versions, and where the newer encoding begins.

use super::mirror_rpc;

/// One of Kafka's requests, as far as we answer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServedApi {
    /// Its number.
    pub key: i16,
    /// The oldest version that we answer.
    pub oldest: i16,
    /// The newest one.
    pub newest: i16,
    /// From this version on it has compact lengths and tagged fields.
    pub flexible_from: i16,
}

/// Records out of partitions.
pub const FETCH: ServedApi = served(1, 13, 18, 12);
/// The ends of partitions' logs.
pub const LIST_OFFSETS: ServedApi = served(2, 1, 10, 6);
/// Brokers, topics, and who leads what.
pub const METADATA: ServedApi = served(3, 9, 13, 9);
/// What we answer; the first question of every client.
pub const API_VERSIONS: ServedApi = served(18, 0, 4, 3);
/// Where leaders' epochs end.
pub const OFFSET_FOR_LEADER_EPOCH: ServedApi = served(23, 2, 4, 4);
/// Settings of topics.
pub const DESCRIBE_CONFIGS: ServedApi = served(32, 1, 4, 4);
/// Brokers and the cluster's id.
pub const DESCRIBE_CLUSTER: ServedApi = served(60, 0, 2, 0);

/// Ends of transactions, from their coordinators to the leaders of their partitions.
pub const WRITE_TXN_MARKERS: ServedApi = served(27, 1, 2, 1);

/// What a broker answers that consumers read from, by numbers.
pub const TO_CONSUMERS: [ServedApi; 7] = [
    FETCH,
    LIST_OFFSETS,
    METADATA,
    API_VERSIONS,
    OFFSET_FOR_LEADER_EPOCH,
    DESCRIBE_CONFIGS,
    DESCRIBE_CLUSTER,
];

/// What a leader answers to the stock brokers of its cluster, by numbers. They do not ask what it
/// speaks: the cluster's metadata version says in which versions they ask.
pub const TO_FOLLOWERS: [ServedApi; 5] = [
    FETCH.between(12, 18),
    LIST_OFFSETS.between(7, 11),
    API_VERSIONS,
    OFFSET_FOR_LEADER_EPOCH.between(4, 4),
    WRITE_TXN_MARKERS,
];

/// What a node answers to operators at once, and KIP-1279's requests, by numbers.
pub const TO_OPERATORS: [ServedApi; 12] = [
    METADATA,
    API_VERSIONS,
    DESCRIBE_CLUSTER,
    about_mirrors(94),
    about_mirrors(95),
    about_mirrors(96),
    about_mirrors(98),
    about_mirrors(99),
    about_mirrors(102),
    about_mirrors(103),
    about_mirrors(104),
    about_mirrors(107),
];

/// A request of `mirror_rpc`, by its number there.
const fn about_mirrors(key: i16) -> ServedApi {
    served(key, mirror_rpc::VERSION, mirror_rpc::VERSION, 0)
}

const fn served(key: i16, oldest: i16, newest: i16, flexible_from: i16) -> ServedApi {
    ServedApi {
        key,
        oldest,
        newest,
        flexible_from,
    }
}

impl ServedApi {
    /// The request with this number, if it is among those that are answered in any version.
    #[must_use]
    pub fn among(served: &[ServedApi], key: i16) -> Option<ServedApi> {
        served.iter().copied().find(|api| api.key == key)
    }

    /// The same request where it is answered in other versions.
    const fn between(self, oldest: i16, newest: i16) -> ServedApi {
        served(self.key, oldest, newest, self.flexible_from)
    }

    /// Whether we answer this version of it.
    #[must_use]
    pub fn has(self, version: i16) -> bool {
        (self.oldest..=self.newest).contains(&version)
    }

    /// Whether this version has compact lengths and tagged fields.
    #[must_use]
    pub fn is_flexible(self, version: i16) -> bool {
        version >= self.flexible_from
    }

    /// Whether tagged fields follow the correlation id of its answer. Those to `ApiVersions` never
    /// have them: whoever asks does not know yet what the broker speaks.
    #[must_use]
    pub fn answer_header_is_flexible(self, version: i16) -> bool {
        self.is_flexible(version) && self.key != API_VERSIONS.key
    }
}
