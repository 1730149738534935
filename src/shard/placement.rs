//! Which shard a partition lives on: by its name, for as long as the number of shards stands.

use crate::model::{PartitionIndex, ShardId, TopicId};
use crate::stdx::prng::mix;

/// The shard of a partition. Neighbouring partitions of a topic go to different shards.
#[must_use]
pub fn shard_of(topic: TopicId, partition: PartitionIndex, shards: u16) -> ShardId {
    let bytes = topic.bytes();
    let (high, low) = bytes.split_at(8);
    let half = |bytes: &[u8]| {
        let bytes = bytes.first_chunk().expect("half of sixteen bytes");
        u64::from_be_bytes(*bytes)
    };
    let first = mix(half(high) ^ half(low)) % u64::from(shards);
    let index = u64::from(partition.value().unsigned_abs());
    let shard = (first + index) % u64::from(shards);
    ShardId(u16::try_from(shard).expect("less than the number of shards"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_spread_and_stay() {
        let topic = TopicId::new([7; 16]);
        let shard = |index| shard_of(topic, PartitionIndex::new(index).expect("positive"), 3).0;
        let first: Vec<u16> = (0..6).map(shard).collect();
        let mut sorted = first[..3].to_vec();
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2]);
        assert_eq!(first[..3], first[3..]);
    }
}
