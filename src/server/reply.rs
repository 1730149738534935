//! What becomes of a request.

use super::FetchNeeds;
use crate::protocol::Malformed;

/// What to do about a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Send this frame, its length included.
    Ready(Vec<u8>),
    /// Get these records, then send what [`FetchNeeds::answer`] makes of them.
    Fetch(Box<FetchNeeds>),
    /// Nothing can be answered: close the connection.
    Close(CloseReason),
}

/// Why a connection has to end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// A request that is too large to be looked at.
    #[error("a request of {bytes} bytes came; no more than {most} are accepted")]
    Size {
        /// Its bytes.
        bytes: usize,
        /// What is accepted.
        most: usize,
    },
    /// Bytes that are no request.
    #[error("a request cannot be read: {0}")]
    Malformed(#[from] Malformed),
    /// A request that we do not answer in any version.
    #[error("requests with API key {api_key} are not answered here")]
    Api {
        /// Its number.
        api_key: i16,
    },
    /// A version that we do not answer.
    #[error(
        "requests with API key {api_key} are answered in versions {oldest} to {newest}, \
         not {version}"
    )]
    Version {
        /// The request's number.
        api_key: i16,
        /// The version that was asked for.
        version: i16,
        /// The oldest that we answer.
        oldest: i16,
        /// The newest that we answer.
        newest: i16,
    },
    /// A request of the right shape with content that cannot be.
    #[error("a request with API key {api_key}, version {version}, cannot be read: {reason}")]
    Content {
        /// The request's number.
        api_key: i16,
        /// Its version.
        version: i16,
        /// What the decoder says.
        reason: String,
    },
    /// An answer that the protocol cannot express: we were told something that is too long.
    #[error("the answer to API key {api_key}, version {version}, cannot be written: {reason}")]
    Answer {
        /// The request's number.
        api_key: i16,
        /// Its version.
        version: i16,
        /// What the encoder says.
        reason: String,
    },
}
