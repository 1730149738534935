//! Questions about mirrors, to a node of ours or whoever speaks KIP-1279.

use super::{BrokerAddress, CLIENT_ID, Client, SessionFault};
use crate::io::World;
use crate::protocol::ErrorCode;
use crate::protocol::frame::LENGTH_BYTES;
use crate::protocol::mirror_rpc::{self, MirrorRequest, Refusable};

/// Why a question about mirrors was not answered.
#[derive(Debug, thiserror::Error)]
pub enum MirrorFault {
    /// The conversation failed.
    #[error("the node cannot be asked: {}; {}", .0, next_step(.0))]
    Session(#[from] SessionFault),
    /// It is something else than a node.
    #[error(
        "{at} does not speak {what} of KIP-1279: give the admin.listen of a `twinlog serve`; what \
         answers there knows no mirrors"
    )]
    NoNode {
        /// Whom we asked.
        at: BrokerAddress,
        /// What we wanted to ask.
        what: &'static str,
    },
    /// All of it was refused.
    #[error("{at} refuses {what}: {code}{}", spoken(why))]
    Refused {
        /// Whom we asked.
        at: BrokerAddress,
        /// What we asked.
        what: &'static str,
        /// Why.
        code: ErrorCode,
        /// Why, in the node's own words.
        why: String,
    },
}

fn spoken(why: &str) -> String {
    match why.is_empty() {
        true => String::new(),
        false => format!(": {why}"),
    }
}

fn next_step(fault: &SessionFault) -> String {
    match fault {
        SessionFault::Unreachable { .. } | SessionFault::Silent { .. } => {
            "see whether `twinlog serve` runs there, and what admin.listen of its configuration is"
                .to_owned()
        }
        SessionFault::Lost { .. } => "the log of that `twinlog serve` says why".to_owned(),
        _ => "see whether it is the admin.listen of a `twinlog serve`".to_owned(),
    }
}

impl<W: World> Client<W> {
    /// Asks about mirrors. What may be refused in parts is told in the answer.
    ///
    /// # Errors
    /// No version, no answer, or none that can be read: the connection is of no use then. Or all
    /// of it was refused.
    pub async fn ask_mirror<R: MirrorRequest>(
        &mut self,
        request: &R,
    ) -> Result<R::Answer, MirrorFault> {
        if !self.versions().has(R::API_KEY, mirror_rpc::VERSION) {
            return Err(MirrorFault::NoNode {
                at: self.at().clone(),
                what: R::NAME,
            });
        }
        let correlation = self.take_correlation();
        let frame = mirror_rpc::frame(request, correlation, CLIENT_ID);
        self.send(R::NAME, &frame).await?;
        let answer = self.answer(R::NAME).await?;
        let content = answer.get(LENGTH_BYTES..).unwrap_or_default();
        let answer = mirror_rpc::answer::<R>(content, correlation)
            .map_err(|fault| self.malformed(R::NAME, fault))?;
        if let Some((code, why)) = answer.refusal() {
            return Err(MirrorFault::Refused {
                at: self.at().clone(),
                what: R::NAME,
                code,
                why: why.unwrap_or_default().to_owned(),
            });
        }
        Ok(answer)
    }
}
