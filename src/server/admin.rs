//! An admin listener's requests: those of KIP-1279, and what every client asks before them.
//!
//! What concerns mirrors is taken apart here and answered elsewhere; the rest is answered at once,
//! as the only broker of a cluster without topics, so that the admin clients of Kafka find us.

use super::api::{self, Call};
use super::audience::Audience;
use super::{CloseReason, Reply, Server};
use crate::protocol::RequestHeader;
use crate::protocol::mirror_rpc::{AdminAnswer, AdminRequest, answer_frame};
use crate::protocol::versions::{ServedApi, TO_OPERATORS};

pub use super::Identity;

/// The largest request that is looked at, in bytes without its length: 4,000 topics of the longest
/// names. What is read of a hostile one takes some fifty times as much memory.
pub const ADMIN_REQUEST_BYTES_MAX: usize = 1 << 20;

/// Who answers on an admin listener.
#[derive(Clone, Debug)]
pub struct AdminDesk {
    server: Server,
}

/// What to do about a request.
#[derive(Clone, Debug)]
pub enum AdminCall {
    /// Send this frame, its length included.
    Ready(Vec<u8>),
    /// Have it answered, then send [`AdminDesk::reply`].
    Ask(AdminRequest, Correlation),
    /// Nothing can be answered: close the connection.
    Close(CloseReason),
}

/// Which request an answer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Correlation(i32);

impl AdminDesk {
    /// Answers as `identity`.
    #[must_use]
    pub fn new(identity: Identity) -> AdminDesk {
        AdminDesk {
            server: Server::of(Audience::Operators(identity)),
        }
    }

    /// Takes a request apart: `frame` is its content, without the length before it.
    #[must_use]
    pub fn call(&self, frame: &[u8]) -> AdminCall {
        self.try_call(frame).unwrap_or_else(AdminCall::Close)
    }

    /// The answer to a request, as a frame.
    #[must_use]
    pub fn reply(answer: &AdminAnswer, to: Correlation) -> Vec<u8> {
        answer_frame(answer, to.0)
    }

    fn try_call(&self, frame: &[u8]) -> Result<AdminCall, CloseReason> {
        let (bytes, most) = (frame.len(), ADMIN_REQUEST_BYTES_MAX);
        if bytes > most {
            return Err(CloseReason::Size { bytes, most });
        }
        let (header, body) = RequestHeader::read(frame, &TO_OPERATORS)?;
        let (api_key, version) = (header.api_key, header.version);
        let api = ServedApi::among(&TO_OPERATORS, api_key).ok_or(CloseReason::Api { api_key })?;
        if api.has(version)
            && let Some(request) = AdminRequest::read(api_key, body)
        {
            return Ok(AdminCall::Ask(request?, Correlation(header.correlation)));
        }
        let call = Call {
            api,
            version,
            correlation: header.correlation,
            body,
        };
        match api::answer(&self.server, &call, &|_, _, _| None)? {
            Reply::Ready(frame) => Ok(AdminCall::Ready(frame)),
            Reply::Close(reason) => Err(reason),
            Reply::Fetch(_) => unreachable!("nothing is fetched here"),
        }
    }
}

#[cfg(test)]
mod tests;
