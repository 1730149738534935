//! What a source says of us and of itself: what we may do there, and how large its topics are.

use std::collections::BTreeMap;

use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    DescribeClusterRequest, DescribeLogDirsRequest, MetadataRequest, TopicName as WireName,
};

use super::calls::{by_topic, partition, text};
use super::{Client, SessionFault};
use crate::io::World;
use crate::model::{TopicName, TopicPartition};
use crate::protocol::ErrorCode;

/// From this version on Metadata tells what we may do with a topic (KIP-430).
const RIGHTS_FROM: i16 = 8;
/// What a broker says that was not asked, or does not know.
const NOT_TOLD: i32 = i32::MIN;

/// Something that an access control list may allow (`org.apache.kafka.common.acl.AclOperation`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(
    missing_docs,
    reason = "Kafka's words, which its documentation explains"
)]
pub enum Operation {
    Read = 3,
    Write = 4,
    Create = 5,
    Delete = 6,
    Alter = 7,
    Describe = 8,
    ClusterAction = 9,
    DescribeConfigs = 10,
    AlterConfigs = 11,
    IdempotentWrite = 12,
}

impl Operation {
    /// All of them.
    pub const ALL: [Operation; 10] = [
        Operation::Read,
        Operation::Write,
        Operation::Create,
        Operation::Delete,
        Operation::Alter,
        Operation::Describe,
        Operation::ClusterAction,
        Operation::DescribeConfigs,
        Operation::AlterConfigs,
        Operation::IdempotentWrite,
    ];

    /// The operation with this number.
    #[must_use]
    pub fn of(code: i8) -> Option<Operation> {
        Operation::ALL
            .into_iter()
            .find(|operation| *operation as i8 == code)
    }

    /// Its name in Kafka's tools.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Operation::Read => "READ",
            Operation::Write => "WRITE",
            Operation::Create => "CREATE",
            Operation::Delete => "DELETE",
            Operation::Alter => "ALTER",
            Operation::Describe => "DESCRIBE",
            Operation::ClusterAction => "CLUSTER_ACTION",
            Operation::DescribeConfigs => "DESCRIBE_CONFIGS",
            Operation::AlterConfigs => "ALTER_CONFIGS",
            Operation::IdempotentWrite => "IDEMPOTENT_WRITE",
        }
    }
}

/// The operations that we are allowed on one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights(i32);

impl Rights {
    /// What a broker says: one bit for each operation. None where it says nothing.
    #[must_use]
    pub fn told(bits: i32) -> Option<Rights> {
        (bits != NOT_TOLD).then_some(Rights(bits))
    }

    /// Whether `operation` is allowed.
    #[must_use]
    pub fn allow(self, operation: Operation) -> bool {
        self.0 >> (operation as i32) & 1 == 1
    }
}

/// What we may do with topics; a topic that we may not even describe is not told of.
pub type TopicRights = BTreeMap<TopicName, Option<Rights>>;

impl<W: World> Client<W> {
    /// What we may do with these topics. `None` where the broker is too old to say so.
    ///
    /// # Errors
    /// No answer that can be used.
    pub async fn topic_rights(
        &mut self,
        topics: &[TopicName],
    ) -> Result<Option<TopicRights>, SessionFault> {
        let version = self.versions().best::<MetadataRequest>();
        if version.is_some_and(|version| version < RIGHTS_FROM) {
            return Ok(None);
        }
        let asked = |name: &TopicName| {
            MetadataRequestTopic::default().with_name(Some(WireName(text(name.as_str()))))
        };
        let request = MetadataRequest::default()
            .with_topics(Some(topics.iter().map(asked).collect()))
            .with_allow_auto_topic_creation(false)
            .with_include_topic_authorized_operations(true);
        let answer = self.call(&request).await?;
        self.refused::<MetadataRequest>(answer.error_code)?;
        let told = answer.topics.iter().filter_map(|topic| {
            let name = TopicName::new(topic.name.as_ref()?)?;
            Some((name, Rights::told(topic.topic_authorized_operations)))
        });
        Ok(Some(told.collect()))
    }

    /// What we may do with the cluster. `None` where the broker does not say so.
    ///
    /// # Errors
    /// No answer that can be used.
    pub async fn cluster_rights(&mut self) -> Result<Option<Rights>, SessionFault> {
        if self.versions().best::<DescribeClusterRequest>().is_none() {
            return Ok(None);
        }
        let request =
            DescribeClusterRequest::default().with_include_cluster_authorized_operations(true);
        let answer = self.call(&request).await?;
        self.refused::<DescribeClusterRequest>(answer.error_code)?;
        Ok(Rights::told(answer.cluster_authorized_operations))
    }

    /// Bytes of the replicas that this broker has of partitions. Empty where we may not know.
    ///
    /// # Errors
    /// No answer that can be used.
    pub async fn log_sizes(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, u64>, SessionFault> {
        let numbers = partitions
            .iter()
            .map(|id| (&id.topic, id.partition.value()));
        let topics = by_topic(numbers).into_iter().map(|(name, numbers)| {
            DescribableLogDirTopic::default()
                .with_topic(WireName(text(name.as_str())))
                .with_partitions(numbers)
        });
        let request = DescribeLogDirsRequest::default().with_topics(Some(topics.collect()));
        let answer = self.call(&request).await?;
        let dirs = answer.results.iter();
        let dirs = dirs.filter(|dir| !ErrorCode(dir.error_code).is_error());
        let topics = dirs.flat_map(|dir| &dir.topics);
        let sizes = topics.flat_map(|topic| {
            let present = topic.partitions.iter().filter(|one| !one.is_future_key);
            present.filter_map(|one| {
                let id = partition(&topic.name, one.partition_index)?;
                Some((id, u64::try_from(one.partition_size).ok()?))
            })
        });
        Ok(sizes.collect())
    }
}
