//! The nouns of the domain as types of their own: offsets, epochs, ids, watermarks, time.

mod address;
mod aside;
mod epoch;
mod ids;
mod offset;
mod time;
mod watermarks;

pub use address::{BrokerAddress, NotAnAddress};
pub use aside::{SetAside, Written, WrittenBy};
pub use epoch::{BrokerEpoch, LeaderEpoch, ProducerEpoch};
pub use ids::{
    BrokerId, PartitionIndex, ProducerId, ProducerIdShift, ShardId, TopicId, TopicName,
    TopicPartition, UnknownTopicId, Uuid,
};
pub use offset::{Offset, Position};
pub use time::{Instant, WallTime};
pub use watermarks::Watermarks;

#[cfg(test)]
mod tests;
