//! The control plane, one thread: metadata, the rare RPCs, orders to the shards and their reports.
//!
//! Its state is moved by events only, and each wait for a broker is a task of its own that ends
//! as an event: a broker that does not answer keeps nobody else waiting. Reconciliation is
//! level-triggered: each view of the source is compared with what is known, so that an event
//! that was lost costs time and nothing else.

pub mod admin;
mod beginnings;
mod books;
mod catalogue;
pub mod destination;
pub mod doors;
mod errands;
mod ledger;
pub mod membership;
pub mod metrics;
pub mod node;
mod node_options;
mod options;
mod questions;
mod reopening;
mod run;
pub mod state_file;
mod views;

use std::path::PathBuf;

use hdrhistogram::Histogram;

use crate::session::{BrokerAddress, SessionFault};
use crate::vault::VaultFault;

pub use crate::mirror::{Selection, SelectionFault};
pub use crate::shard::inbox::{Phase, Tally};
pub use ledger::{Ledger, Line, TopicTotals};
pub use node_options::{
    AdminOptions, DeclaredMirror, DestinationKind, DestinationOptions, MemberOptions, NodeOptions,
    RogueWrites, Unfit,
};
pub use options::{Options, SourceLoss};
pub use run::{Shards, copy};

/// What is to be copied, and where to.
#[derive(Clone, Debug)]
pub struct Job {
    /// Brokers of the source to begin with.
    pub from: Vec<BrokerAddress>,
    /// Which topics.
    pub selection: Selection,
    /// The vault.
    pub into: PathBuf,
    /// For ever, not just up to the high watermarks that are found at the start.
    pub follow: bool,
}

/// How a copy ended.
#[derive(Debug)]
pub struct Outcome {
    /// Every partition and where it stands.
    pub ledger: Ledger,
    /// Milliseconds from a batch's timestamp to its commit, of all shards.
    pub lag_ms: Histogram<u64>,
    /// It was told to stop before it was done.
    pub was_stopped: bool,
}

/// Why nothing was copied at all.
#[derive(Debug, thiserror::Error)]
pub enum CopyFault {
    /// None of the brokers could be asked.
    #[error("the source cannot be asked: {}; {}", .0, .0.next_step())]
    Source(SessionFault),
    /// The vault cannot be used.
    #[error("{0}")]
    Vault(#[from] VaultFault),
    /// No topic matches.
    #[error(
        "no topic of the source matches {patterns}: patterns have to match a topic's whole name, \
         and topics that begin with __ are left out unless --exclude says otherwise"
    )]
    NoTopic {
        /// What was asked for.
        patterns: String,
    },
    /// A data-plane thread has ended before it was told to.
    #[error("shard {0} has ended: this is a bug, its message stands above")]
    ShardLost(crate::model::ShardId),
}
