//! Producers that run at the destination under ids that the source may have given out as well.

use std::collections::BTreeMap;

use super::super::Brokers;
use super::super::together::together;
use super::Mark;
use crate::io::World;
use crate::kraft::Image;
use crate::model::{BrokerId, TopicName, TopicPartition};
use crate::session::{ActiveProducer, Client, Opening, Refusal, SessionFault};

/// Partitions in one question.
const PARTITIONS_PER_REQUEST: usize = 1_000;

/// What was found.
#[derive(Debug, Default)]
pub struct Running {
    /// Producers below the mark, and a partition that remembers each.
    pub below: BTreeMap<i64, (TopicPartition, ActiveProducer)>,
    /// Partitions that do not tell their producers.
    pub untold: BTreeMap<TopicPartition, Refusal>,
    /// Brokers that could not be asked.
    pub silent: BTreeMap<BrokerId, SessionFault>,
}

/// The partitions of wanted topics, by who leads them.
pub fn led(
    image: &Image,
    is_wanted: impl Fn(&TopicName) -> bool,
) -> BTreeMap<BrokerId, Vec<TopicPartition>> {
    let mut led: BTreeMap<BrokerId, Vec<TopicPartition>> = BTreeMap::new();
    let topics = image.topics.iter();
    for (_, topic) in topics.filter(|(_, topic)| is_wanted(&topic.name)) {
        for (number, partition) in &topic.partitions {
            let id = TopicPartition {
                topic: topic.name.clone(),
                partition: *number,
            };
            if let Some(leader) = partition.leader {
                led.entry(leader).or_default().push(id);
            }
        }
    }
    led
}

/// Looks for producers below `mark` in partitions that stock brokers lead. One that has not
/// written for longer than `producer.id.expiration.ms` (a day) is not remembered.
pub async fn running_below<W: World>(
    world: &W,
    opening: Opening,
    brokers: &Brokers,
    led: BTreeMap<BrokerId, Vec<TopicPartition>>,
    mark: Mark,
) -> Running {
    let tasks = led.into_iter().filter_map(|(broker, partitions)| {
        let at = brokers.get(&broker)?.clone();
        let world = world.clone();
        Some(async move {
            let mut running = Running::default();
            let asked = async {
                let mut client = Client::connect(&world, &at, opening).await?;
                for partitions in partitions.chunks(PARTITIONS_PER_REQUEST) {
                    let told = client.active_producers(partitions).await?;
                    running.take(told, mark);
                }
                Ok(())
            };
            if let Err(fault) = asked.await {
                running.silent.insert(broker, fault);
            }
            running
        })
    });
    let mut all = Running::default();
    for one in together(world, tasks).await {
        all.below.extend(one.below);
        all.untold.extend(one.untold);
        all.silent.extend(one.silent);
    }
    all
}

impl Running {
    fn take(
        &mut self,
        told: BTreeMap<TopicPartition, Result<Vec<ActiveProducer>, Refusal>>,
        mark: Mark,
    ) {
        for (id, producers) in told {
            match producers {
                Ok(producers) => {
                    let low = producers.into_iter();
                    let low = low.filter(|producer| !mark.is_passed_by(producer.id));
                    let low = low.map(|producer| (producer.id.value(), (id.clone(), producer)));
                    self.below.extend(low);
                }
                Err(refusal) => drop(self.untold.insert(id, refusal)),
            }
        }
    }
}
