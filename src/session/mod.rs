//! One authenticated byte stream, both ends: handshake, correlation, deadlines.
//!
//! [`Client`] speaks the rare requests of control, one at a time. A shard takes only the
//! [`Channel`] and the versions that were agreed upon, and speaks Fetch over it by itself.

mod acls;
mod admin;
mod answers;
mod calls;
mod channel;
mod client;
mod fault;
mod mirrors;
mod producers;
mod survey;
mod topics;
mod versions;
mod view;

pub use crate::model::{BrokerAddress, NotAnAddress};
pub use acls::{Permission, TopicEntry};
pub use admin::{Reassignment, Refusal, Refusals};
pub use answers::Answered;
pub use calls::{
    Bound, EndReply, EpochAsked, EpochReply, LogEnd, OffsetReply, PartitionAsked, TopicSettings,
    look_at,
};
pub use channel::{Channel, Security};
pub use client::{CLIENT_ID, Client, Fetched, Opening};
pub use fault::SessionFault;
pub use mirrors::MirrorFault;
pub use producers::ActiveProducer;
pub use survey::{Operation, Rights, TopicRights};
pub use topics::{Growth, NewTopic, Origin, Setting, Settings, Trial};
pub use versions::Negotiated;
pub use view::{ClusterView, PartitionView, TopicView};
