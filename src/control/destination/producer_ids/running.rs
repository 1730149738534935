//! Producers that run at the destination under ids that the source may have given out as well.

use std::collections::BTreeMap;
use std::fmt;

use super::super::Brokers;
use super::super::fitness::is_ours;
use super::super::together::together;
use super::Mark;
use crate::io::World;
use crate::kraft::Image;
use crate::model::{BrokerId, ProducerId, TopicName, TopicPartition};
use crate::protocol::ErrorCode;
use crate::session::{ActiveProducer, BrokerAddress, Client, Opening, Refusal, SessionFault};

/// Partitions in one question.
const PARTITIONS_PER_REQUEST: usize = 1_000;

/// For how long a broker remembers who has written to a partition.
const EXPIRATION: &str = "producer.id.expiration.ms";

/// What was found.
#[derive(Debug, Default)]
pub struct Running {
    /// Where producers below the mark were seen, by their ids.
    pub below: BTreeMap<i64, Seen>,
    /// Partitions that do not tell their producers.
    pub untold: BTreeMap<TopicPartition, Refusal>,
    /// Brokers that could not be asked, and why.
    pub silent: BTreeMap<BrokerId, String>,
    /// For how long brokers remember producers, in ms: those that tell, and those that do not.
    pub remember: BTreeMap<BrokerId, Option<i64>>,
}

/// Who remembers a producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A partition that it has written to.
    Partition(TopicPartition),
    /// The coordinator of a transactional id: whoever takes that up again, restarted or not, goes
    /// on with the same producer id.
    Transactional(String),
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Seen::Partition(id) => write!(f, "written to {id}"),
            Seen::Transactional(name) => write!(f, "of the transactional id {name:?}"),
        }
    }
}

/// Partitions whose producers matter, by who can tell them.
#[derive(Clone, Debug, Default)]
pub struct Led {
    /// Those that are led, by their leaders.
    pub by: BTreeMap<BrokerId, Vec<TopicPartition>>,
    /// Those that nobody leads: whoever has written there comes back with its leader, under the
    /// same id.
    pub by_nobody: Vec<TopicPartition>,
}

/// The partitions of wanted topics, by who leads them. Where a node of ours has a replica it is a
/// mirror, of that node or of another one: ids that are found there are its source's.
pub fn led(image: &Image, is_wanted: impl Fn(&TopicName) -> bool) -> Led {
    let mut led = Led::default();
    let topics = image.topics.iter();
    for (_, topic) in topics.filter(|(_, topic)| is_wanted(&topic.name)) {
        for (number, partition) in &topic.partitions {
            let id = TopicPartition {
                topic: topic.name.clone(),
                partition: *number,
            };
            let brokers = partition.replicas.iter();
            let mut brokers = brokers.filter_map(|id| image.brokers.get(*id));
            if brokers.any(is_ours) {
                continue;
            }
            match partition.leader {
                Some(leader) => led.by.entry(leader).or_default().push(id),
                None => led.by_nobody.push(id),
            }
        }
    }
    led
}

/// Looks for producers below `mark` in partitions that stock brokers lead, and among the
/// transactional ids that they coordinate. A partition forgets one that has not written for longer
/// than `producer.id.expiration.ms` (a day), a coordinator an id that nobody has used for
/// `transactional.id.expiration.ms` (a week).
pub async fn running_below<W: World>(
    world: &W,
    opening: Opening,
    brokers: &Brokers,
    mut led: Led,
    mark: Mark,
) -> Running {
    let asked = brokers.iter().map(|(broker, at)| {
        let (broker, at, world) = (*broker, at.clone(), world.clone());
        let partitions = led.by.remove(&broker).unwrap_or_default();
        async move {
            let mut running = Running::default();
            let asked = (broker, &at, &*partitions);
            let told = running.ask(&world, opening, asked, mark).await;
            if let Err(why) = told {
                running.silent.insert(broker, why);
            }
            running
        }
    });
    let asked: Vec<_> = asked.collect();
    let mut all = Running::default();
    for one in together(world, asked).await {
        for (id, seen) in one.below {
            all.remember(id, seen);
        }
        all.untold.extend(one.untold);
        all.silent.extend(one.silent);
        all.remember.extend(one.remember);
    }
    // Who leads something, and is not there to be asked.
    let why = |broker| (broker, "it is not known where it listens".to_owned());
    all.silent.extend(led.by.into_keys().map(why));
    let nobody = Refusal {
        code: ErrorCode::LEADER_NOT_AVAILABLE,
        said: "nobody leads it".to_owned(),
    };
    let unled = led.by_nobody.into_iter();
    all.untold.extend(unled.map(|id| (id, nobody.clone())));
    all
}

impl Running {
    async fn ask<W: World>(
        &mut self,
        world: &W,
        opening: Opening,
        (broker, at, partitions): (BrokerId, &BrokerAddress, &[TopicPartition]),
        mark: Mark,
    ) -> Result<(), String> {
        let said = |fault: SessionFault| fault.to_string();
        let mut client = Client::connect(world, at, opening).await.map_err(said)?;
        let settings = client.broker_settings(broker, &[EXPIRATION]).await;
        let kept = settings.map_err(said)?.ok().and_then(|settings| {
            let kept = settings.get(EXPIRATION)?.value.as_ref()?;
            kept.parse().ok()
        });
        self.remember.insert(broker, kept);
        for partitions in partitions.chunks(PARTITIONS_PER_REQUEST) {
            self.take(
                client.active_producers(partitions).await.map_err(said)?,
                mark,
            );
        }
        match client.transactional_ids().await.map_err(said)? {
            Ok(ids) => {
                for (name, id) in ids {
                    self.saw(id, mark, Seen::Transactional(name));
                }
                Ok(())
            }
            Err(code) => Err(format!("{at} does not list transactional ids: {code}")),
        }
    }

    fn take(
        &mut self,
        told: BTreeMap<TopicPartition, Result<Vec<ActiveProducer>, Refusal>>,
        mark: Mark,
    ) {
        for (id, producers) in told {
            match producers {
                Ok(producers) => {
                    for producer in producers {
                        self.saw(producer.id, mark, Seen::Partition(id.clone()));
                    }
                }
                Err(refusal) => drop(self.untold.insert(id, refusal)),
            }
        }
    }

    fn saw(&mut self, id: ProducerId, mark: Mark, seen: Seen) {
        if !mark.is_passed_by(id) {
            self.remember(id.value(), seen);
        }
    }

    /// A coordinator's word counts for more than a partition's: no restart mends that one.
    fn remember(&mut self, id: i64, seen: Seen) {
        let known = self.below.entry(id).or_insert_with(|| seen.clone());
        if matches!(seen, Seen::Transactional(_)) {
            *known = seen;
        }
    }
}
