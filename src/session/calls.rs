//! The rare questions of control, in our own words.

use std::collections::BTreeMap;

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{
    BrokerId as WireBroker, DescribeConfigsRequest, ListOffsetsRequest, MetadataRequest,
    OffsetForLeaderEpochRequest, TopicName as WireName,
};
use kafka_protocol::protocol::StrBytes;

use super::view::{self, ClusterView};
use super::{BrokerAddress, Client, Opening, SessionFault};
use crate::io::World;
use crate::model::{BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicName, TopicPartition};
use crate::protocol::ErrorCode;

/// Whoever is no broker.
const NO_REPLICA: WireBroker = WireBroker(-1);
/// Whoever asks a broker for its own log, whether it leads or follows
/// (`ListOffsetsRequest.DEBUGGING_REPLICA_ID`).
const ANY_REPLICA: WireBroker = WireBroker(-2);
/// `ConfigResource.Type.TOPIC`.
pub(super) const TOPIC: i8 = 2;

/// Which end of a log is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The log start.
    Start,
    /// The high watermark.
    End,
    /// The log's end, which leaders tell their replicas only; this one is us.
    LogEnd(BrokerId),
    /// The log start of the broker that is asked, whether it leads or follows.
    HeldStart,
    /// The end of its log, likewise.
    HeldEnd,
}

/// A partition in a question to its leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionAsked {
    /// Which.
    pub id: TopicPartition,
    /// The leader's epoch as we know it.
    pub leader_epoch: LeaderEpoch,
}

/// A partition of which the end of an epoch is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochAsked {
    /// Which partition.
    pub partition: PartitionAsked,
    /// Which epoch.
    pub epoch: LeaderEpoch,
}

/// Where a log ends for clients: its high watermark, and the epoch in which its leader leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnd {
    /// The high watermark.
    pub offset: Offset,
    /// The last epoch that the log knows.
    pub leader_epoch: LeaderEpoch,
}

/// One partition's answer: where its log ends, or why that is not told.
pub type EndReply = (TopicPartition, Result<LogEnd, ErrorCode>);
/// One partition's answer: its offset, or why there is none.
pub type OffsetReply = (TopicPartition, Result<Offset, ErrorCode>);
/// One partition's answer: the largest epoch not above the one asked for and its end, `None`
/// where there is no such epoch, or why there is no answer.
pub type EpochReply = (
    TopicPartition,
    Result<Option<(LeaderEpoch, Offset)>, ErrorCode>,
);
/// A topic's settings by name, as far as their values are told.
pub type TopicSettings = BTreeMap<String, String>;

/// Asks one broker after the other, until one tells all about the cluster. Says which one did.
///
/// # Errors
/// What the last one said.
pub async fn look_at<'a, W: World>(
    world: &W,
    brokers: &'a [BrokerAddress],
    opening: Opening,
) -> Result<(&'a BrokerAddress, ClusterView), SessionFault> {
    let mut last = None;
    for broker in brokers {
        let asked = async {
            let mut client = Client::connect(world, broker, opening).await?;
            client.cluster(None).await
        };
        match asked.await {
            Ok(view) => return Ok((broker, view)),
            Err(fault) => last = Some(fault),
        }
    }
    Err(last.expect("there is a broker to begin with"))
}

impl<W: World> Client<W> {
    /// Brokers and topics: all of them, or those named.
    ///
    /// # Errors
    /// No answer that can be used.
    pub async fn cluster(
        &mut self,
        topics: Option<&[TopicName]>,
    ) -> Result<ClusterView, SessionFault> {
        let asked = |name: &TopicName| {
            MetadataRequestTopic::default().with_name(Some(WireName(text(name.as_str()))))
        };
        let request = MetadataRequest::default()
            .with_topics(topics.map(|names| names.iter().map(asked).collect()))
            .with_allow_auto_topic_creation(false);
        let answer = self.call(&request).await?;
        self.refused::<MetadataRequest>(answer.error_code)?;
        view::read(&answer).map_err(|why| self.unreadable::<MetadataRequest>(why))
    }

    /// Where the logs of partitions begin or end that this broker leads, or has.
    ///
    /// # Errors
    /// No answer that can be used.
    pub async fn list_offsets(
        &mut self,
        partitions: &[PartitionAsked],
        bound: Bound,
    ) -> Result<Vec<OffsetReply>, SessionFault> {
        let replies = self.list(partitions, bound).await?;
        let offset = |(id, end): EndReply| (id, end.map(|end| end.offset));
        Ok(replies.into_iter().map(offset).collect())
    }

    /// Where the logs of partitions that this broker leads end, with the epoch. A leader that has
    /// just been elected refuses with `OFFSET_NOT_AVAILABLE` until its followers have caught up.
    ///
    /// # Errors
    /// No answer that can be used.
    pub async fn log_ends(
        &mut self,
        partitions: &[PartitionAsked],
    ) -> Result<Vec<EndReply>, SessionFault> {
        self.list(partitions, Bound::End).await
    }

    async fn list(
        &mut self,
        partitions: &[PartitionAsked],
        bound: Bound,
    ) -> Result<Vec<EndReply>, SessionFault> {
        let (timestamp, replica) = match bound {
            Bound::Start => (-2, NO_REPLICA),
            Bound::End => (-1, NO_REPLICA),
            Bound::LogEnd(us) => (-1, WireBroker(us.0)),
            Bound::HeldStart => (-2, ANY_REPLICA),
            Bound::HeldEnd => (-1, ANY_REPLICA),
        };
        let topics = by_topic(partitions.iter().map(|asked| {
            let partition = ListOffsetsPartition::default()
                .with_partition_index(asked.id.partition.value())
                .with_current_leader_epoch(asked.leader_epoch.value())
                .with_timestamp(timestamp);
            (&asked.id.topic, partition)
        }));
        let topics = topics.into_iter().map(|(name, partitions)| {
            ListOffsetsTopic::default()
                .with_name(WireName(text(name.as_str())))
                .with_partitions(partitions)
        });
        let request = ListOffsetsRequest::default()
            .with_replica_id(replica)
            .with_topics(topics.collect());
        let answer = self.call(&request).await?;
        let replies = answer.topics.iter().flat_map(|topic| {
            topic.partitions.iter().filter_map(|reply| {
                let end = |offset| LogEnd {
                    offset,
                    leader_epoch: LeaderEpoch::new(reply.leader_epoch),
                };
                let offset = match ErrorCode(reply.error_code) {
                    ErrorCode::NONE => Offset::from_wire(reply.offset)
                        .map(end)
                        .ok_or(ErrorCode::UNKNOWN_SERVER_ERROR),
                    error => Err(error),
                };
                Some((partition(&topic.name, reply.partition_index)?, offset))
            })
        });
        Ok(replies.collect())
    }

    /// How far epochs reach in the logs of partitions that this broker leads.
    ///
    /// # Errors
    /// No answer that can be used.
    pub async fn epoch_ends(
        &mut self,
        asked: &[EpochAsked],
    ) -> Result<Vec<EpochReply>, SessionFault> {
        let topics = by_topic(asked.iter().map(|asked| {
            let one = OffsetForLeaderPartition::default()
                .with_partition(asked.partition.id.partition.value())
                .with_current_leader_epoch(asked.partition.leader_epoch.value())
                .with_leader_epoch(asked.epoch.value());
            (&asked.partition.id.topic, one)
        }));
        let topics = topics.into_iter().map(|(name, partitions)| {
            OffsetForLeaderTopic::default()
                .with_topic(WireName(text(name.as_str())))
                .with_partitions(partitions)
        });
        let request = OffsetForLeaderEpochRequest::default()
            .with_replica_id(NO_REPLICA)
            .with_topics(topics.collect());
        let answer = self.call(&request).await?;
        let replies = answer.topics.iter().flat_map(|topic| {
            topic.partitions.iter().filter_map(|reply| {
                let end = Offset::from_wire(reply.end_offset);
                let told = match ErrorCode(reply.error_code) {
                    ErrorCode::NONE => {
                        Ok(end.map(|end| (LeaderEpoch::new(reply.leader_epoch), end)))
                    }
                    error => Err(error),
                };
                Some((partition(&topic.topic, reply.partition)?, told))
            })
        });
        Ok(replies.collect())
    }

    /// The settings of topics. A topic that does not exist, or that we may not see, is left out.
    ///
    /// # Errors
    /// No answer that can be used.
    pub async fn topic_settings(
        &mut self,
        topics: &[TopicName],
    ) -> Result<BTreeMap<TopicName, TopicSettings>, SessionFault> {
        let resource = |name: &TopicName| {
            DescribeConfigsResource::default()
                .with_resource_type(TOPIC)
                .with_resource_name(text(name.as_str()))
                .with_configuration_keys(None)
        };
        let request =
            DescribeConfigsRequest::default().with_resources(topics.iter().map(resource).collect());
        let answer = self.call(&request).await?;
        let told = answer
            .results
            .iter()
            .filter(|result| result.error_code == 0);
        Ok(told
            .filter_map(|result| {
                let settings = result.configs.iter().filter_map(|config| {
                    Some((config.name.to_string(), config.value.as_ref()?.to_string()))
                });
                Some((TopicName::new(&result.resource_name)?, settings.collect()))
            })
            .collect())
    }
}

pub(super) fn partition(name: &WireName, index: i32) -> Option<TopicPartition> {
    Some(TopicPartition {
        topic: TopicName::new(name)?,
        partition: PartitionIndex::new(index)?,
    })
}

pub(super) fn by_topic<'a, T>(
    asked: impl Iterator<Item = (&'a TopicName, T)>,
) -> BTreeMap<&'a TopicName, Vec<T>> {
    let mut topics: BTreeMap<&TopicName, Vec<T>> = BTreeMap::new();
    for (name, one) in asked {
        topics.entry(name).or_default().push(one);
    }
    topics
}

pub(super) fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}
