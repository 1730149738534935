//! Which requests we answer as a broker, in which versions, and where the newer encoding begins.

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

/// All of them, by their numbers.
pub const SERVED: [ServedApi; 7] = [
    FETCH,
    LIST_OFFSETS,
    METADATA,
    API_VERSIONS,
    OFFSET_FOR_LEADER_EPOCH,
    DESCRIBE_CONFIGS,
    DESCRIBE_CLUSTER,
];

const fn served(key: i16, oldest: i16, newest: i16, flexible_from: i16) -> ServedApi {
    ServedApi {
        key,
        oldest,
        newest,
        flexible_from,
    }
}

impl ServedApi {
    /// The request with this number, if we answer it in any version.
    #[must_use]
    pub fn of(key: i16) -> Option<ServedApi> {
        SERVED.into_iter().find(|api| api.key == key)
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
