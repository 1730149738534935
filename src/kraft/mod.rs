//! Being a broker of a KRaft cluster: its metadata log, our registration and heartbeats, our
//! proposals.
//!
//! A pure machine: time comes in as an argument, what is to be done goes out as values. Whoever
//! drives it works in turns:
//!
//! 1. It does what [`Member::next_step`] says until that says nothing, and tells how it went:
//!    [`Member::connected`], [`Member::answered`], [`Member::failed`]. Connections are told apart
//!    by their [`Lane`]; each has one question under way at most.
//! 2. It takes what [`Member::next_news`] has for it.
//! 3. It sleeps until [`Member::next_deadline`] at most.
//!
//! Invariants: nothing above the high watermark is in the image; partitions are news only after
//! our own registration in this life has been applied, whole first and then by what each answer
//! of the log has changed as a whole; heartbeats and proposals go to a controller only that
//! answers fetches of the log as a leader does; we count as trusted no longer than the lease of
//! the last heartbeat that was answered, counted from when it was sent.

mod alter_partition;
mod features;
mod image;
mod life;
mod lifeline;
mod link;
mod log_lane;
mod member;
mod metadata_log;
mod options;
mod quorum;
mod refusal;

use std::time::Duration;

use crate::model::{BrokerEpoch, BrokerId, Uuid};
use crate::protocol::controller::{
    AlterPartition, AlterPartitionAnswer, ClusterAnswer, DescribeCluster, Heartbeat,
    HeartbeatAnswer, MetadataAnswer, MetadataFetch, Registration, RegistrationAnswer,
    SnapshotAnswer, SnapshotFetch, Unregister, UnregisterAnswer,
};
use crate::protocol::metadata_record::Listener;
use crate::session::BrokerAddress;

pub use alter_partition::{Fate, PartitionKey};
pub use features::{Offer, are_a_nodes, claimed};
pub use image::{
    Broker, Brokers, Configs, Delta, Image, ImageFault, METADATA_VERSION, Partition, PartitionNews,
    ResourceKind, Right, Role, Standing, Topic, Topics,
};
pub use life::{Life, Wish};
pub use link::Lane;
pub use member::Member;
pub use metadata_log::LogFault;
pub use options::Options;
pub use refusal::Refusal;

/// Who we are in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Our broker id, which no controller or broker of the cluster has.
    pub node: BrokerId,
    /// The cluster; learnt from its controllers where it is not known yet.
    pub cluster_id: Option<String>,
    /// Our log directory: the same in every life.
    pub directory: Uuid,
    /// This life. Used again only by a process that comes back with all that it had.
    pub incarnation: Uuid,
    /// Where we listen; the destination's inter-broker listener is among them.
    pub listeners: Vec<Listener>,
    /// Our rack.
    pub rack: Option<String>,
    /// The epoch of an earlier life that has ended cleanly.
    pub previous_epoch: BrokerEpoch,
    /// Whether our directory takes no replicas but those that are assigned by hand. Controllers
    /// from 4.3 on listen to it.
    pub is_cordoned: bool,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Connect a lane.
    Connect {
        /// Which.
        lane: Lane,
        /// To whom.
        to: BrokerAddress,
        /// How long that may take.
        within: Duration,
    },
    /// Ask over a lane that is connected.
    Ask {
        /// Which.
        lane: Lane,
        /// What.
        question: Question,
        /// How long the answer may take.
        within: Duration,
    },
    /// Close a lane; nothing is to be told of it any more.
    Close {
        /// Which.
        lane: Lane,
    },
}

/// A question to a controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Which cluster it is of.
    Cluster(DescribeCluster),
    /// What follows in the metadata log.
    Fetch(MetadataFetch),
    /// A piece of a snapshot.
    Snapshot(SnapshotFetch),
    /// To be registered.
    Register(Registration),
    /// A sign of life.
    Heartbeat(Heartbeat),
    /// To be forgotten.
    Unregister(Unregister),
    /// Other replicas in sync.
    Propose(AlterPartition),
}

/// The answer to a [`Question`] of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Which cluster it is of.
    Cluster(ClusterAnswer),
    /// What follows in the metadata log.
    Fetch(MetadataAnswer),
    /// A piece of a snapshot.
    Snapshot(SnapshotAnswer),
    /// Whether we are registered.
    Register(RegistrationAnswer),
    /// Whether we are heard.
    Heartbeat(HeartbeatAnswer),
    /// Whether we are forgotten.
    Unregister(UnregisterAnswer),
    /// What became of proposals.
    Propose(AlterPartitionAnswer),
}

/// What has come about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The cluster that we are in; to be kept.
    Cluster(String),
    /// The active controller is this one.
    Controller(BrokerAddress),
    /// We are registered, in this life's epoch; to be kept.
    Registered(BrokerEpoch),
    /// All that is settled has been applied, our own registration included: everything that names
    /// us. What was told before counts no longer.
    Begun(Vec<PartitionNews>),
    /// One answer of the log has changed this.
    Changed {
        /// Partitions that name us, or did.
        partitions: Vec<PartitionNews>,
        /// All that was touched.
        delta: Delta,
    },
    /// The controller trusts us: we may lead and be in sync.
    Unfenced,
    /// The controller does not trust us, or no longer.
    Fenced,
    /// The controller has not heard of us for as long as a session lasts: we count as fenced.
    Lapsed,
    /// What became of proposals.
    Isr(Vec<(PartitionKey, Fate)>),
    /// Something hinders us. It is tried again, less and less often; told once until it changes.
    Trouble(Refusal),
    /// The cluster does not have us, and trying again will not help. Nothing more will be done.
    Refused(Refusal),
    /// We have left in order.
    Gone,
    /// The cluster has forgotten us. Nothing more will be done.
    Unregistered,
}

#[cfg(test)]
mod tests;
