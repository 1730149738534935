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
        "{at} does not speak {what} in a version that we know: a source needs Kafka 2.1 or newer, \
         a destination 3.9"
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

/// Where security is asked for, a listener hangs up on whoever speaks without.
const PLAINTEXT: &str = "give a Kafka listener that is PLAINTEXT: TLS and SASL are not spoken yet";

impl SessionFault {
    /// What the user can do about it, for whoever began with this broker.
    #[must_use]
    pub fn next_step(&self) -> String {
        match self {
            SessionFault::Unreachable { at, error } => not_reached(at, error),
            SessionFault::Lost { .. } => PLAINTEXT.to_owned(),
            SessionFault::Silent { .. } => {
                format!("see whether the broker is well, and {PLAINTEXT}")
            }
            SessionFault::Malformed { fault, .. } => match fault.spoken() {
                Some(spoken) => format!("what answers there speaks {spoken}: {PLAINTEXT}"),
                None => format!("see whether it is a Kafka broker: {PLAINTEXT}"),
            },
            SessionFault::Unreadable { .. } => "see whether it is a Kafka broker".to_owned(),
            SessionFault::Unsupported { .. } => {
                "give a broker of a newer Kafka: 2.1 at a source, 3.9 at a destination".to_owned()
            }
            SessionFault::Refused { .. } => {
                "`twinlog check` shows what may be done there".to_owned()
            }
        }
    }
}

fn not_reached(at: &BrokerAddress, error: &io::Error) -> String {
    let host = &at.host;
    match error.kind() {
        io::ErrorKind::NotFound => {
            format!("look for a typing error, and see whether `getent hosts {host}` knows the name")
        }
        io::ErrorKind::ConnectionRefused => format!(
            "nobody listens there: see whether the broker runs on {host}, and on which port \
             (listeners in its server.properties)"
        ),
        _ => format!(
            "see whether the broker runs, and whether a firewall lies between this machine and \
             {host}"
        ),
    }
}
