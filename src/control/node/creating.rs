//! Topics and partitions that the destination lacks: what each needs is for `destination::topics`
//! to say, by what both clusters have.

use std::collections::{BTreeMap, BTreeSet};

use crate::control::destination::topics::{
    Exclusions, Held, Seat, Shape, SourceTopic, Wanted, create, decide, default_factor, factor,
    grow,
};
use crate::io::World;
use crate::mirror::PartitionKey;
use crate::model::{BrokerId, TopicId, TopicName, TopicPartition};
use crate::session::{BrokerAddress, Client, Opening, Origin, Trial};
use crate::shard::inbox::Endpoint;

use super::Node;
use super::asks::Done;
use super::chores::{Kind, Result};
use super::whose::Whose;

/// What is wanted of the destination, and who can be asked about it.
struct Order {
    us: BrokerId,
    topics: Vec<(SourceTopic, Option<Held>)>,
    /// Brokers of the sources, where settings are asked for.
    sources: Vec<(BrokerAddress, BTreeSet<TopicName>)>,
    stock: Vec<Seat>,
    /// One stock broker, where it is asked for the cluster's default.
    broker: Option<Endpoint>,
}

impl<W: World> Node<W> {
    pub(super) fn create_missing(&mut self, keys: Vec<PartitionKey>) {
        let named = self.named(keys);
        let Some(membership) = &self.membership else {
            return;
        };
        let topics: BTreeSet<&TopicName> = named.iter().map(|(id, _)| &id.topic).collect();
        let mut wanted = Vec::new();
        let mut by_mirror: BTreeMap<_, BTreeSet<TopicName>> = BTreeMap::new();
        for topic in topics {
            let Some(known) = self.state().registry().topic(topic) else {
                continue;
            };
            let mirror = known.mirror.clone();
            by_mirror.entry(mirror).or_default().insert(topic.clone());
            let source = SourceTopic {
                name: topic.clone(),
                id: known.id,
                partitions: known.partitions as usize,
                settings: BTreeMap::new(),
            };
            wanted.push((source, self.has(topic, known.id)));
        }
        let sources = by_mirror.into_iter().flat_map(|(mirror, topics)| {
            let feed = self.feeds.get(&mirror);
            let addresses = feed.map(|feed| feed.addresses()).unwrap_or_default();
            addresses.into_iter().map(move |at| (at, topics.clone()))
        });
        let order = Order {
            us: membership.us,
            topics: wanted,
            sources: sources.collect(),
            stock: membership.seats(),
            broker: membership.stock_endpoints().into_iter().next(),
        };
        let world = self.world.clone();
        let opening = self.opening;
        self.by_controller(Kind::Create, named, move |client, ids| async move {
            carry_out(&world, opening, client, order, &ids).await
        });
    }

    /// A topic of that name at the destination. It is our mirror where any of it is ours.
    fn has(&self, topic: &TopicName, source: TopicId) -> Option<Held> {
        let image = self.membership.as_ref()?.image();
        let id = image.topics.id_of(topic)?;
        let partitions = &image.topics.get(id)?.partitions;
        let mut ids = partitions.keys().map(|partition| TopicPartition {
            topic: topic.clone(),
            partition: *partition,
        });
        let is_mirror = ids.any(|id| self.whose(&id) != Whose::Others);
        Some(Held {
            id,
            partitions: partitions.len(),
            mirrors: is_mirror.then_some(source),
        })
    }
}

async fn carry_out<W: World>(
    world: &W,
    opening: Opening,
    mut client: Client<W>,
    mut order: Order,
    ids: &[TopicPartition],
) -> Done {
    if let Err(why) = settings(world, opening, &mut order).await {
        return Done::Nothing(why);
    }
    let told = match &order.broker {
        Some(endpoint) => told_factor(world, opening, endpoint).await,
        None => Ok(None),
    };
    let told = match told {
        Ok(told) => told,
        Err(why) => return Done::Nothing(why),
    };
    let exclude = Exclusions::default();
    let shape = Shape {
        us: order.us,
        stock: &order.stock,
        factor: factor(None, told.as_ref(), order.stock.len()),
        exclude: &exclude,
    };
    let mut refused: BTreeMap<TopicName, Result> = BTreeMap::new();
    let (mut fresh, mut growths) = (Vec::new(), Vec::new());
    for (source, held) in &order.topics {
        match decide(source, held.as_ref(), &shape) {
            Ok(Wanted::Nothing) => {}
            Ok(Wanted::Create(topic)) => fresh.push(topic),
            Ok(Wanted::Grow(growth)) => growths.push(growth),
            Err(refusal) => {
                refused.insert(source.name.clone(), Result::Refused(refusal.to_string()));
            }
        }
    }
    let made = create(&mut client, &fresh, Trial::No).await;
    let grown = grow(&mut client, &growths, Trial::No).await;
    match (made, grown) {
        (Ok(made), Ok(grown)) => {
            let made = made
                .into_iter()
                .filter_map(|(name, made)| Some((name, made.err()?)));
            let grown = grown
                .into_iter()
                .filter_map(|(name, grown)| Some((name, grown.err()?)));
            let again = made.chain(grown);
            refused.extend(again.map(|(name, why)| (name, Result::Again(why.to_string()))));
        }
        (Err(fault), _) | (_, Err(fault)) => return Done::Nothing(fault.to_string()),
    }
    let but = ids
        .iter()
        .filter_map(|id| Some((id.clone(), refused.get(&id.topic)?.clone())));
    Done::But(but.collect())
}

async fn told_factor<W: World>(
    world: &W,
    opening: Opening,
    broker: &Endpoint,
) -> std::result::Result<Option<crate::session::Setting>, String> {
    let client = Client::connect(world, &BrokerAddress::from(broker), opening).await;
    let mut client = client.map_err(|fault| fault.to_string())?;
    let told = default_factor(&mut client, broker.broker).await;
    told.map_err(|fault| fault.to_string())
}

/// What was set for the topics themselves at their sources, by the first broker that says it.
async fn settings<W: World>(
    world: &W,
    opening: Opening,
    order: &mut Order,
) -> std::result::Result<(), String> {
    let mut own: BTreeMap<TopicName, BTreeMap<String, String>> = BTreeMap::new();
    let mut trouble = "no broker of the source is known".to_owned();
    for (at, topics) in &order.sources {
        let missing = topics.iter().filter(|topic| !own.contains_key(*topic));
        let missing: Vec<TopicName> = missing.cloned().collect();
        if missing.is_empty() {
            continue;
        }
        let told = async {
            let mut client = Client::connect(world, at, opening).await?;
            client.topic_settings_by_origin(&missing).await
        };
        match told.await {
            Ok(told) => {
                for (topic, settings) in told {
                    match settings {
                        Ok(settings) => {
                            let set = settings.into_iter();
                            let set = set.filter(|(_, one)| one.origin == Origin::Own);
                            let set = set.filter_map(|(name, one)| Some((name, one.value?)));
                            own.insert(topic, set.collect());
                        }
                        Err(refusal) => trouble = format!("settings of {topic}: {refusal}"),
                    }
                }
            }
            Err(fault) => trouble = fault.to_string(),
        }
    }
    for (source, _) in &mut order.topics {
        match own.remove(&source.name) {
            Some(settings) => source.settings = settings,
            None => return Err(trouble),
        }
    }
    Ok(())
}
