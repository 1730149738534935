//! Requests to replies: what a client of ours asks for and how it is answered.
//!
//! A frame goes in; what comes out is an answer, the ranges of logs that a Fetch needs before it
//! can be answered, or the reason to close the connection. Nothing here waits, reads or writes.

pub mod admin;
mod api;
mod audience;
mod reply;
mod topics;

use std::cell::Cell;
use std::collections::BTreeMap;

pub use api::{FetchNeeds, NeededRange};
pub use reply::{CloseReason, Reply};
pub use topics::{EpochEnd, EpochEnds, Partition, Setting, SettingSource, Topic};

use audience::{Audience, Cluster};

use crate::model::{BrokerId, PartitionIndex, TopicId, TopicName, Watermarks};
use crate::protocol::RequestHeader;
use crate::protocol::versions::ServedApi;

/// The largest request that is looked at, in bytes without its length.
pub const REQUEST_BYTES_MAX: usize = 1 << 20;

/// Who answers: the only broker of a cluster of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its node id.
    pub broker: BrokerId,
    /// Where clients find it.
    pub host: String,
    /// At which port.
    pub port: u16,
    /// The cluster's id.
    pub cluster: String,
}

/// A broker's knowledge of itself and of its topics, as far as it was told.
#[derive(Clone, Debug)]
pub struct Server {
    audience: Audience,
    topics: BTreeMap<TopicId, Topic>,
    ids: BTreeMap<TopicName, TopicId>,
    refused: Cell<u64>,
}

impl Server {
    /// A broker without topics, alone in its cluster, from which consumers read.
    #[must_use]
    pub fn new(identity: Identity) -> Server {
        Server::of(Audience::Consumers(identity))
    }

    /// A broker that leads no partition yet, of a cluster whose brokers follow it. Nobody trusts it
    /// before [`Server::trust`] says so.
    #[must_use]
    pub fn for_followers() -> Server {
        Server::of(Audience::Followers(Cluster::default()))
    }

    fn of(audience: Audience) -> Server {
        Server {
            audience,
            topics: BTreeMap::new(),
            ids: BTreeMap::new(),
            refused: Cell::new(0),
        }
    }

    /// From now on there is this topic; whatever had its name or its id is gone.
    pub fn tell(&mut self, topic: Topic) {
        for partition in &topic.partitions {
            partition.watermarks.assert_invariants();
        }
        self.forget(topic.id);
        if let Some(id) = self.ids.get(&topic.name).copied() {
            self.forget(id);
        }
        self.ids.insert(topic.name.clone(), topic.id);
        self.topics.insert(topic.id, topic);
        assert_eq!(self.ids.len(), self.topics.len(), "one name for each id");
    }

    /// From now on there is no topic with this id.
    pub fn forget(&mut self, id: TopicId) {
        if let Some(topic) = self.topics.remove(&id) {
            self.ids.remove(&topic.name);
        }
    }

    /// We lead this partition from now on, or lead it otherwise than before. Of its topic's others
    /// it is not known who leads them. Whatever had the topic's name with another id is gone.
    pub fn lead(
        &mut self,
        name: &TopicName,
        topic: TopicId,
        index: PartitionIndex,
        partition: Partition,
    ) {
        if !self.topics.contains_key(&topic) {
            self.tell(Topic {
                name: name.clone(),
                id: topic,
                partitions: Vec::new(),
                settings: Vec::new(),
            });
        }
        let known = self.topics.get_mut(&topic).expect("told just now");
        let least = usize::try_from(index.value()).expect("an index is not negative") + 1;
        if known.partitions.len() < least {
            known.partitions.resize_with(least, Partition::elsewhere);
        }
        assert!(self.tell_partition(topic, index, partition), "it has room");
    }

    /// We lead this partition no longer.
    pub fn resign(&mut self, topic: TopicId, index: PartitionIndex) {
        self.tell_partition(topic, index, Partition::elsewhere());
    }

    /// A partition's log has moved on. False where there is no such partition.
    pub fn tell_watermarks(
        &mut self,
        topic: TopicId,
        index: PartitionIndex,
        watermarks: Watermarks,
    ) -> bool {
        watermarks.assert_invariants();
        let known = self.topics.get_mut(&topic);
        match known.and_then(|topic| topic.partition_mut(index)) {
            Some(known) => known.watermarks = watermarks,
            None => return false,
        }
        true
    }

    /// A partition has moved on. False where there is no such partition.
    pub fn tell_partition(
        &mut self,
        topic: TopicId,
        index: PartitionIndex,
        partition: Partition,
    ) -> bool {
        partition.watermarks.assert_invariants();
        let known = self
            .topics
            .get_mut(&topic)
            .and_then(|topic| topic.partition_mut(index));
        let Some(known) = known else {
            return false;
        };
        *known = partition;
        true
    }

    /// Answers a request: `frame` is its content, without the length before it. `epochs` knows
    /// where leaders' epochs end.
    pub fn answer(&self, frame: &[u8], epochs: &dyn EpochEnds) -> Reply {
        self.try_answer(frame, epochs).unwrap_or_else(Reply::Close)
    }

    /// What a Fetch needs by now that was held back, with everything judged anew.
    #[must_use]
    pub fn again(&self, needs: &FetchNeeds, epochs: &dyn EpochEnds) -> FetchNeeds {
        api::fetch::again(self, needs, epochs)
    }

    fn try_answer(&self, frame: &[u8], epochs: &dyn EpochEnds) -> Result<Reply, CloseReason> {
        let (bytes, most) = (frame.len(), REQUEST_BYTES_MAX);
        if bytes > most {
            return Err(CloseReason::Size { bytes, most });
        }
        let (header, body) = RequestHeader::read(frame, self.audience.served())?;
        let api_key = header.api_key;
        let api = ServedApi::among(self.audience.served(), api_key)
            .ok_or(CloseReason::Api { api_key })?;
        let call = api::Call {
            api,
            version: header.version,
            correlation: header.correlation,
            body,
        };
        api::answer(self, &call, epochs)
    }

    fn by_name(&self, name: &str) -> Option<&Topic> {
        let name = TopicName::new(name)?;
        self.ids.get(&name).and_then(|id| self.topics.get(id))
    }
}

#[cfg(test)]
mod tests;
