//! Producer ids: a new one from a broker, and those that its partitions and coordinators know.

use std::collections::BTreeMap;

use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::{
    DescribeProducersRequest, InitProducerIdRequest, ListTransactionsRequest, TopicName as WireName,
};

use super::admin::Refusal;
use super::calls::{by_topic, partition, text};
use super::{Client, SessionFault};
use crate::io::World;
use crate::model::{ProducerId, TopicPartition};
use crate::protocol::ErrorCode;

/// A producer that a partition's leader remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveProducer {
    /// Its id.
    pub id: ProducerId,
    /// When it wrote last, in ms since 1970.
    pub last_written_ms: i64,
}

impl<W: World> Client<W> {
    /// A new producer id out of this broker's block, or why there is none.
    ///
    /// # Errors
    /// No answer that can be used.
    pub async fn new_producer_id(&mut self) -> Result<Result<ProducerId, ErrorCode>, SessionFault> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(i32::MAX);
        let answer = self.call(&request).await?;
        Ok(match ErrorCode(answer.error_code) {
            ErrorCode::NONE => {
                ProducerId::from_wire(answer.producer_id.0).ok_or(ErrorCode::UNKNOWN_SERVER_ERROR)
            }
            code => Err(code),
        })
    }

    /// The transactional ids that this broker coordinates and lets us see, each with the producer
    /// id that whoever takes it up again goes on with; or why they are not told.
    ///
    /// # Errors
    /// No answer that can be used.
    pub async fn transactional_ids(
        &mut self,
    ) -> Result<Result<BTreeMap<String, ProducerId>, ErrorCode>, SessionFault> {
        let answer = self.call(&ListTransactionsRequest::default()).await?;
        Ok(match ErrorCode(answer.error_code) {
            ErrorCode::NONE => {
                let all = answer.transaction_states.into_iter();
                let known = all.filter_map(|one| {
                    let id = ProducerId::from_wire(one.producer_id.0)?;
                    Some((one.transactional_id.to_string(), id))
                });
                Ok(known.collect())
            }
            code => Err(code),
        })
    }

    /// The producers that partitions which this broker leads remember, or why they are not told.
    ///
    /// # Errors
    /// No answer that can be used.
    pub async fn active_producers(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, Result<Vec<ActiveProducer>, Refusal>>, SessionFault> {
        let numbers = partitions
            .iter()
            .map(|id| (&id.topic, id.partition.value()));
        let topics = by_topic(numbers).into_iter().map(|(name, numbers)| {
            TopicRequest::default()
                .with_name(WireName(text(name.as_str())))
                .with_partition_indexes(numbers)
        });
        let request = DescribeProducersRequest::default().with_topics(topics.collect());
        let answer = self.call(&request).await?;
        let told = answer.topics.iter().flat_map(|topic| {
            topic.partitions.iter().filter_map(|reply| {
                let producers = reply.active_producers.iter().filter_map(|producer| {
                    Some(ActiveProducer {
                        id: ProducerId::from_wire(producer.producer_id.0)?,
                        last_written_ms: producer.last_timestamp,
                    })
                });
                let outcome = match Refusal::of(reply.error_code, reply.error_message.as_ref()) {
                    Some(refusal) => Err(refusal),
                    None => Ok(producers.collect()),
                };
                Some((partition(&topic.name, reply.partition_index)?, outcome))
            })
        });
        let mut told: BTreeMap<TopicPartition, Result<Vec<ActiveProducer>, Refusal>> =
            told.collect();
        for id in partitions {
            told.entry(id.clone())
                .or_insert_with(|| Err(Refusal::silence()));
        }
        Ok(told)
    }
}
