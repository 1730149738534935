//! One authenticated byte stream, both ends: handshake, correlation, deadlines.
//!
//! [`Client`] speaks the rare requests of control, one at a time. A shard takes only the
//! [`Channel`] and the versions that were agreed upon, and speaks Fetch over it by itself.

mod address;
mod admin;
mod answers;
mod calls;
mod channel;
mod client;
mod fault;
mod survey;
mod versions;

pub use address::{BrokerAddress, NotAnAddress};
pub use admin::{Refusal, Refusals};
pub use answers::Answered;
pub use calls::{
    Bound, ClusterView, EpochAsked, EpochReply, OffsetReply, PartitionAsked, PartitionView,
    TopicSettings, TopicView, look_at,
};
pub use channel::{Channel, Security};
pub use client::{CLIENT_ID, Client, Fetched, Opening};
pub use fault::SessionFault;
pub use survey::{Operation, Rights, TopicRights};
pub use versions::Negotiated;
