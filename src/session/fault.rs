//! Why a conversation with a broker failed.

use std::io;
use std::time::Duration;

use super::BrokerAddress;
use crate::protocol::{ErrorCode, Malformed};

/// Each text begins with whom we spoke to.
#[derive(Debug, thiserror::Error)]
pub enum SessionFault {
    /// No connection.
    #[error("{at} cannot be reached: {error}")]
    Unreachable {
        /// Whom we wanted.
        at: BrokerAddress,
        /// What the system says.
        error: io::Error,
    },
    /// The connection broke.
    #[error("{at} closed the connection: {error}")]
    Lost {
        /// Whom we spoke to.
        at: BrokerAddress,
        /// What the system says.
        error: io::Error,
    },
    /// No answer in time.
    #[error("{at} did not answer {what} within {waited:?}")]
    Silent {
        /// Whom we asked.
        at: BrokerAddress,
        /// What we asked.
        what: &'static str,
        /// How long we waited.
        waited: Duration,
    },
    /// An answer that is not what the protocol says.
    #[error("{at} answers {what} with what is no answer: {fault}")]
    Malformed {
        /// Whom we asked.
        at: BrokerAddress,
        /// What we asked.
        what: &'static str,
        /// What is wrong with it.
        fault: Malformed,
    },
    /// An answer that cannot be read.
    #[error("{at} answers {what} with what cannot be read: {why}")]
    Unreadable {
        /// Whom we asked.
        at: BrokerAddress,
        /// What we asked.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The broker does not speak a version that we do.
    #[error(
        "{at} does not speak {what} in a version that we know: it is no Kafka broker from 2.1 on"
    )]
    Unsupported {
        /// Whom we asked.
        at: BrokerAddress,
        /// Which request.
        what: &'static str,
    },
    /// The broker refuses.
    #[error("{at} refuses {what}: {code}")]
    Refused {
        /// Whom we asked.
        at: BrokerAddress,
        /// What we asked.
        what: &'static str,
        /// Why.
        code: ErrorCode,
    },
}
