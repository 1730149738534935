//! Kafka's error codes (`org.apache.kafka.common.protocol.Errors`), as far as a mirror meets them.

use std::fmt;

/// A code as a broker states it; 0 is no error.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCode(pub i16);

macro_rules! error_codes {
    ($($name:ident = $code:literal,)*) => {
        impl ErrorCode {
            $(#[doc = concat!("Kafka's `", stringify!($name), "`.")]
            pub const $name: ErrorCode = ErrorCode($code);)*

            /// Kafka's name of the code, where it is one of those we know.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

error_codes! {
    UNKNOWN_SERVER_ERROR = -1,
    NONE = 0,
    OFFSET_OUT_OF_RANGE = 1,
    CORRUPT_MESSAGE = 2,
    UNKNOWN_TOPIC_OR_PARTITION = 3,
    INVALID_FETCH_SIZE = 4,
    LEADER_NOT_AVAILABLE = 5,
    NOT_LEADER_OR_FOLLOWER = 6,
    REQUEST_TIMED_OUT = 7,
    BROKER_NOT_AVAILABLE = 8,
    REPLICA_NOT_AVAILABLE = 9,
    NETWORK_EXCEPTION = 13,
    COORDINATOR_LOAD_IN_PROGRESS = 14,
    INVALID_TOPIC_EXCEPTION = 17,
    TOPIC_AUTHORIZATION_FAILED = 29,
    GROUP_AUTHORIZATION_FAILED = 30,
    CLUSTER_AUTHORIZATION_FAILED = 31,
    INVALID_TIMESTAMP = 32,
    UNSUPPORTED_VERSION = 35,
    TOPIC_ALREADY_EXISTS = 36,
    INVALID_PARTITIONS = 37,
    INVALID_REPLICATION_FACTOR = 38,
    INVALID_REPLICA_ASSIGNMENT = 39,
    INVALID_CONFIG = 40,
    NOT_CONTROLLER = 41,
    INVALID_REQUEST = 42,
    POLICY_VIOLATION = 44,
    SECURITY_DISABLED = 54,
    OPERATION_NOT_ATTEMPTED = 55,
    KAFKA_STORAGE_ERROR = 56,
    REASSIGNMENT_IN_PROGRESS = 60,
    NO_REASSIGNMENT_IN_PROGRESS = 85,
    FETCH_SESSION_ID_NOT_FOUND = 70,
    INVALID_FETCH_SESSION_EPOCH = 71,
    LISTENER_NOT_FOUND = 72,
    FENCED_LEADER_EPOCH = 74,
    UNKNOWN_LEADER_EPOCH = 75,
    UNSUPPORTED_COMPRESSION_TYPE = 76,
    STALE_BROKER_EPOCH = 77,
    OFFSET_NOT_AVAILABLE = 78,
    PREFERRED_LEADER_NOT_AVAILABLE = 80,
    ELIGIBLE_LEADERS_NOT_AVAILABLE = 83,
    ELECTION_NOT_NEEDED = 84,
    THROTTLING_QUOTA_EXCEEDED = 89,
    INVALID_UPDATE_VERSION = 95,
    SNAPSHOT_NOT_FOUND = 98,
    POSITION_OUT_OF_RANGE = 99,
    UNKNOWN_TOPIC_ID = 100,
    DUPLICATE_BROKER_REGISTRATION = 101,
    BROKER_ID_NOT_REGISTERED = 102,
    INCONSISTENT_TOPIC_ID = 103,
    INCONSISTENT_CLUSTER_ID = 104,
    FETCH_SESSION_TOPIC_ID_ERROR = 106,
    INELIGIBLE_REPLICA = 107,
    NEW_LEADER_ELECTED = 108,
    OFFSET_MOVED_TO_TIERED_STORAGE = 109,
    MISMATCHED_ENDPOINT_TYPE = 114,
    UNSUPPORTED_ENDPOINT_TYPE = 115,
    INVALID_REGISTRATION = 119,
    INVALID_REGULAR_EXPRESSION = 128,
    // From here on they are KIP-1279's, which no release has yet: they may become others.
    READ_ONLY_TOPIC = 134,
    INVALID_CLUSTER_MIRROR_NAME = 135,
    CLUSTER_MIRROR_ALREADY_EXISTS = 136,
    UNKNOWN_CLUSTER_MIRROR = 137,
    TOPIC_ALREADY_IN_CLUSTER_MIRROR = 138,
    TOPIC_NOT_IN_CLUSTER_MIRROR = 139,
    MIRROR_TOPIC_ALREADY_PAUSED = 140,
    MIRROR_TOPIC_NOT_PAUSED = 141,
    MIRROR_TOPIC_BEING_STOPPED = 142,
    CLUSTER_MIRROR_NOT_EMPTY = 143,
    CLUSTER_MIRROR_AUTHORIZATION_FAILED = 144,
    INVALID_CLUSTER_MIRROR_STATE = 145,
    MIRROR_TOPIC_NOT_STOPPED = 146,
}

impl ErrorCode {
    /// Whether there is an error at all.
    #[must_use]
    pub fn is_error(self) -> bool {
        self != ErrorCode::NONE
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "Kafka error {}", self.0),
        }
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
