//! Whether a cluster is fit to be a destination: what is right, what is to be minded, and what has
//! to be changed before.

mod gather;
mod judge;

use std::collections::BTreeMap;
use std::fmt;

use super::Brokers;
use super::producer_ids::Running;
use super::watch::Seen;
use crate::control::membership::Bootstrap;
use crate::kraft::{Broker, Offer, are_a_nodes};
use crate::model::{BrokerId, TopicName};
use crate::session::{BrokerAddress, Refusal, Rights, SessionFault, Settings, TopicRights};

pub use gather::survey;

/// The listener that nodes of ours have: it carries the address of their admin listener.
pub const NODE_LISTENER: &str = "TWINLOG";

/// Whether a broker is a node of ours, this one or another: it has no replicas but of its own
/// mirrors, and gives out no producer ids. Anybody may name a listener like ours, and a stock
/// broker that is taken for a node would go on giving out ids that the source has given: it has to
/// claim the features of one as well.
#[must_use]
pub fn is_ours(broker: &Broker) -> bool {
    broker.listener(NODE_LISTENER).is_some() && are_a_nodes(&broker.features)
}

/// How something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// To be minded.
    Warn,
    /// A node must not join before it is changed.
    Refuse,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How it was found.
    pub level: Level,
    /// What was looked at.
    pub about: &'static str,
    /// What was found.
    pub found: String,
    /// What to change; empty where nothing is to be done.
    pub next: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.about, self.found)?;
        match self.next.is_empty() {
            true => Ok(()),
            false => write!(f, ": {}", self.next),
        }
    }
}

/// Who is to join, and how.
#[derive(Clone, Debug)]
pub struct Joining {
    /// Controllers to begin with.
    pub bootstrap: Bootstrap,
    /// The inter-broker listener, where it is known.
    pub listener: Option<String>,
    /// The id that we want, where it is chosen.
    pub node: Option<BrokerId>,
    /// How long we take a session to last, in milliseconds.
    pub session_timeout_ms: u32,
    /// Our own `min.insync.replicas`.
    pub min_insync_replicas: u16,
}

/// What a stock broker says.
#[derive(Debug)]
struct Met {
    /// Where it listens for other brokers.
    at: Option<BrokerAddress>,
    /// Why it cannot be asked there.
    fault: Option<SessionFault>,
    /// Its settings.
    settings: Result<Settings, Refusal>,
}

/// Everything that was found out.
#[derive(Debug)]
struct Facts {
    seen: Seen,
    /// What the active controller supports, and the settings that it has.
    offer: Offer,
    controller: Settings,
    /// Ids of controllers.
    controllers: Vec<BrokerId>,
    /// The inter-broker listener; what was asked for, else what brokers say.
    listener: Option<String>,
    /// Stock brokers that are alive.
    met: BTreeMap<BrokerId, Met>,
    rights: Known<RightsThere>,
    /// Whether there is an authorizer.
    authorizer: Known<bool>,
    producers: Running,
}

/// What we may do.
#[derive(Debug)]
struct RightsThere {
    cluster: Option<Rights>,
    topics: TopicRights,
    /// Topics that are there and are not shown to us.
    hidden: Vec<TopicName>,
}

/// Something that was told, or why not.
type Known<T> = Result<T, String>;

impl Facts {
    fn brokers(&self) -> Brokers {
        let met = self.met.iter();
        let at = met.filter_map(|(broker, met)| Some((*broker, met.at.clone()?)));
        at.collect()
    }

    /// The value that brokers have, by the broker.
    fn settings<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (BrokerId, &'a str)> {
        self.met.iter().filter_map(move |(broker, met)| {
            let setting = met.settings.as_ref().ok()?.get(name)?;
            Some((*broker, setting.value.as_deref()?))
        })
    }
}

#[cfg(test)]
mod tests;
