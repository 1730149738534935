//! One of our three connections to controllers.

use crate::model::Instant;
use crate::session::BrokerAddress;

/// What a connection is for. One that waits for an answer keeps none of the others waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// The metadata log, and who leads the quorum.
    Log,
    /// Registration and heartbeats.
    Life,
    /// Replicas in sync.
    Proposals,
}

impl Lane {
    /// All three.
    pub const ALL: [Lane; 3] = [Lane::Log, Lane::Life, Lane::Proposals];

    pub(super) fn index(self) -> usize {
        match self {
            Lane::Log => 0,
            Lane::Life => 1,
            Lane::Proposals => 2,
        }
    }
}

/// How a connection stands.
///
/// ```text
///          connect             connected        ask
///   Down ───────────▶ Opening ───────────▶ Open ────▶ Asked
///    ▲                   │                  │ ▲ answer  │
///    └───────────────────┴──────────────────┴─┴─────────┘
///                     failed, lost, closed
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// There is none, and is not to be before a moment.
    Down { not_before: Instant },
    /// On its way.
    Opening { to: BrokerAddress },
    /// There, and nothing is under way.
    Open { to: BrokerAddress },
    /// There, and an answer is due to what was asked at a moment.
    Asked { to: BrokerAddress, since: Instant },
}

impl Link {
    /// To whom, if there is one.
    pub(super) fn to(&self) -> Option<&BrokerAddress> {
        match self {
            Link::Down { .. } => None,
            Link::Opening { to } | Link::Open { to } | Link::Asked { to, .. } => Some(to),
        }
    }

    pub(super) fn opened(&mut self) {
        let Link::Opening { to } = self else {
            panic!("a connection that nobody asked for: {self:?}");
        };
        *self = Link::Open { to: to.clone() };
    }

    pub(super) fn asked(&mut self, since: Instant) {
        let Link::Open { to } = self else {
            panic!("a question over what is not open: {self:?}");
        };
        let to = to.clone();
        *self = Link::Asked { to, since };
    }

    /// To whom, and when the question that is answered was asked.
    pub(super) fn answered(&mut self) -> (BrokerAddress, Instant) {
        let Link::Asked { to, since } = self else {
            panic!("an answer to what nobody asked: {self:?}");
        };
        let (to, since) = (to.clone(), *since);
        *self = Link::Open { to: to.clone() };
        (to, since)
    }
}
