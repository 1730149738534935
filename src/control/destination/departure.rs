//! Leaves a cluster without a trace: the replicas of a node that has ended, its registration, and
//! its fences.

use std::collections::BTreeSet;
use std::time::Duration;

use super::fence::{self, Fences};
use super::fitness::{NODE_LISTENER, is_ours};
use super::watch::{Seen, WatchFault, look};
use super::{DestinationFault, reassign};
use crate::control::membership::Bootstrap;
use crate::io::{Clock, World};
use crate::kraft::{Image, Partition};
use crate::model::{BrokerId, TopicName, TopicPartition};
use crate::protocol::ErrorCode;
use crate::protocol::controller::Unregister;
use crate::session::{Client, Opening, SessionFault};

/// How long replicas may take to leave.
const WITHIN: Duration = Duration::from_secs(30);
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// Partitions that are named in one message.
const NAMES_MAX: usize = 5;

/// What is to be left, and how.
#[derive(Clone, Debug)]
pub struct Leaving {
    /// Controllers to begin with.
    pub bootstrap: Bootstrap,
    /// The node.
    pub node: BrokerId,
    /// Whether topics that are closed to writers as mirrors are opened.
    pub opens_fences: bool,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Whether the cluster knew the node.
    pub was_registered: bool,
    /// Partitions that the node was taken off.
    pub partitions: usize,
    /// Topics that were opened to writers.
    pub opened: BTreeSet<TopicName>,
    /// Topics that are still closed to writers by a fence of ours, but for what other nodes mirror.
    pub closed: BTreeSet<TopicName>,
}

/// Why the node is still there.
#[derive(Debug, thiserror::Error)]
pub enum DepartureFault {
    /// The cluster cannot be looked at.
    #[error("{0}")]
    Watch(#[from] WatchFault),
    /// It cannot be asked.
    #[error("{0}")]
    Destination(#[from] DestinationFault),
    /// Some other broker.
    #[error(
        "broker {0} is no node of twinlog: it has no listener {NODE_LISTENER}, or does not claim \
         the features of a node; correct the id"
    )]
    NotOurs(BrokerId),
    /// It runs.
    #[error(
        "broker {0} is alive: end its process first, which leaves in order; after a crash this \
         passes when its session expires"
    )]
    Alive(BrokerId),
    /// Data that nobody else has.
    #[error(
        "no other broker has all of {}: start the node and stop its mirrors, or delete these \
         topics", .0
    )]
    OnlyThere(String),
    /// Replicas that do not leave.
    #[error("the cluster does not take broker {node} off {what}")]
    Stays {
        /// Which.
        node: BrokerId,
        /// Of which partitions, and why.
        what: String,
    },
    /// The registration stays.
    #[error("the controller does not unregister broker {node}: {code} {said}{}", right(.code))]
    Refused {
        /// Which.
        node: BrokerId,
        /// Why.
        code: ErrorCode,
        /// In its words.
        said: String,
    },
}

impl From<SessionFault> for DepartureFault {
    fn from(fault: SessionFault) -> DepartureFault {
        DepartureFault::Destination(fault.into())
    }
}

fn right(code: &ErrorCode) -> &'static str {
    match *code {
        ErrorCode::CLUSTER_AUTHORIZATION_FAILED => "; grant ALTER on the cluster",
        _ => "",
    }
}

/// Takes a node that has ended off all replica lists, and its registration back. Done again, it
/// does what is left.
///
/// # Errors
/// The node stays registered.
pub async fn depart<W: World>(
    world: &W,
    opening: Opening,
    leaving: &Leaving,
) -> Result<Left, DepartureFault> {
    let node = leaving.node;
    let mut left = Left::default();
    let seen = see(world, opening, leaving).await?;
    let mut client = Client::connect(world, &seen.controller, opening).await?;
    if let Some(broker) = seen.image.brokers.get(node) {
        left.was_registered = true;
        if !is_ours(broker) {
            return Err(DepartureFault::NotOurs(node));
        }
        if !broker.is_fenced {
            return Err(DepartureFault::Alive(node));
        }
        left.partitions = take_off(world, opening, leaving, (&mut client, seen)).await?;
        let answer = client.ask(&Unregister { broker: node }).await?;
        let is_gone = ErrorCode::BROKER_ID_NOT_REGISTERED == answer.error;
        if answer.error.is_error() && !is_gone {
            return Err(DepartureFault::Refused {
                node,
                code: answer.error,
                said: answer.message,
            });
        }
    }
    let image = see(world, opening, leaving).await?.image;
    let closed = fence::standing(&mut client).await?.unwrap_or_default();
    let closed = &closed - &fence::of_other_nodes(node, &image);
    if leaving.opens_fences && !closed.is_empty() {
        let lowered = fence::lower(&mut client, &closed).await?;
        if let Fences::Done { refused, .. } = lowered {
            let is_open = |topic: &&TopicName| !refused.contains_key(*topic);
            left.opened = closed.iter().filter(is_open).cloned().collect();
        }
    }
    left.closed = &closed - &left.opened;
    Ok(left)
}

async fn see<W: World>(
    world: &W,
    opening: Opening,
    leaving: &Leaving,
) -> Result<Seen, DepartureFault> {
    let bootstrap = &leaving.bootstrap;
    Ok(look(world, bootstrap, opening.security, opening.timeout).await?)
}

/// A partition that a node is to be taken off.
#[derive(Debug, PartialEq, Eq)]
struct Departure {
    id: TopicPartition,
    /// Who goes on at once.
    first: Vec<BrokerId>,
    /// Who has it in the end.
    then: Vec<BrokerId>,
}

/// Takes the node off all partitions; says how many.
async fn take_off<W: World>(
    world: &W,
    opening: Opening,
    leaving: &Leaving,
    (client, seen): (&mut Client<W>, Seen),
) -> Result<usize, DepartureFault> {
    let node = leaving.node;
    let departures = departures(node, &seen.image)?;
    if departures.is_empty() {
        return Ok(0);
    }
    let first = departures.iter();
    let first: Vec<_> = first
        .map(|one| (one.id.clone(), one.first.clone()))
        .collect();
    let refused = reassign(client, &first).await?;
    if !refused.is_empty() {
        let lines = refused.iter().map(|(id, why)| format!("{id}: {why}"));
        let what = some(lines.collect());
        return Err(DepartureFault::Stays { node, what });
    }
    let clock = world.clock();
    let deadline = clock.now().after(WITHIN);
    loop {
        let seen = see(world, opening, leaving).await?;
        let there = seen.image.partitions_of(node);
        if there.is_empty() {
            break;
        }
        if clock.now() >= deadline {
            let names = there.iter().map(|news| news.id.to_string());
            let what = some(names.collect());
            return Err(DepartureFault::Stays { node, what });
        }
        clock.sleep_until(clock.now().after(LOOK_INTERVAL)).await;
    }
    let short = departures.iter().filter(|one| one.then != one.first);
    let then: Vec<_> = short
        .map(|one| (one.id.clone(), one.then.clone()))
        .collect();
    for (id, why) in reassign(client, &then).await? {
        tracing::warn!("{id} does not get back its replicas that were not in sync: {why}");
    }
    Ok(departures.len())
}

/// Who goes on with each partition that names the node.
fn departures(node: BrokerId, image: &Image) -> Result<Vec<Departure>, DepartureFault> {
    let mut all = Vec::new();
    let mut only_there = Vec::new();
    for news in image.partitions_of(node) {
        let Some(partition) = &news.partition else {
            continue;
        };
        match remaining(node, partition) {
            Some((first, then)) => all.push(Departure {
                id: news.id,
                first,
                then,
            }),
            None => only_there.push(news.id.to_string()),
        }
    }
    match only_there.is_empty() {
        true => Ok(all),
        false => Err(DepartureFault::OnlyThere(some(only_there))),
    }
}

fn remaining(node: BrokerId, partition: &Partition) -> Option<(Vec<BrokerId>, Vec<BrokerId>)> {
    let stays = |broker: &&BrokerId| **broker != node && !partition.removing.contains(*broker);
    let then: Vec<BrokerId> = partition.replicas.iter().filter(stays).copied().collect();
    let in_sync = then.iter().filter(|broker| partition.isr.contains(*broker));
    let first: Vec<BrokerId> = in_sync.copied().collect();
    (!first.is_empty()).then_some((first, then))
}

fn some(names: Vec<String>) -> String {
    let first = names.iter().take(NAMES_MAX).cloned().collect::<Vec<_>>();
    let first = first.join(", ");
    match names.len().saturating_sub(NAMES_MAX) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kraft::Delta;
    use crate::model::TopicId;
    use crate::protocol::metadata_record::{MetadataRecord, spoken};

    const TOPIC: TopicId = TopicId::new([7; 16]);

    fn ids(ids: &[i32]) -> Vec<BrokerId> {
        ids.iter().map(|id| BrokerId(*id)).collect()
    }

    /// Partitions by their replicas and those in sync.
    fn image(partitions: &[(&[i32], &[i32])]) -> Image {
        let mut records = vec![spoken::topic("orders", TOPIC)];
        records.extend(
            (0..)
                .zip(partitions)
                .map(|(number, (replicas, isr))| spoken::laid(TOPIC, number, replicas, isr)),
        );
        let mut image = Image::default();
        let mut delta = Delta::default();
        for bytes in &records {
            let record = MetadataRecord::read(bytes).expect("sound");
            image.apply(record, &mut delta).expect("it fits");
        }
        image
    }

    #[test]
    fn whoever_is_in_sync_goes_on_and_the_others_come_back() {
        let image = image(&[
            (&[9001, 1, 2], &[1]),
            (&[1, 2], &[1, 2]),
            (&[2, 9001], &[2]),
        ]);
        let found = departures(BrokerId(9001), &image).expect("others have it");
        let plain: Vec<_> = found
            .into_iter()
            .map(|one| (one.id.to_string(), one.first, one.then))
            .collect();
        let expected = [
            ("orders-0".to_owned(), ids(&[1]), ids(&[1, 2])),
            ("orders-2".to_owned(), ids(&[2]), ids(&[2])),
        ];
        assert_eq!(plain, expected);
    }

    #[test]
    fn what_nobody_else_has_is_not_given_up() {
        let image = image(&[(&[9001], &[9001]), (&[9001, 1], &[9001])]);
        let fault = departures(BrokerId(9001), &image).expect_err("only there");
        let text = fault.to_string();
        assert!(text.contains("orders-0, orders-1"), "{text}");
    }
}
