//! The write fence: while a topic is mirrored, nobody may write to it at the destination.
//!
//! Kafka has no topics that can only be read. As long as we lead, nobody else can write anyway; but
//! when we are away, a stock broker leads, and takes what it is given. Where the destination has an
//! authorizer, an entry of the topic's list denies it to everybody (super users aside). Followers
//! are not concerned.
//!
//! Beside the entry for everybody stands one for a principal that does not exist, [`LABEL`]: it
//! says that the fence is ours, to us and to whoever reads the lists. A topic that was closed
//! without it was closed by somebody else, and stays so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::DestinationFault;
use super::fitness::is_ours;
use crate::io::{Clock, World};
use crate::kraft::{Image, Partition};
use crate::model::{BrokerId, TopicName};
use crate::session::{Client, Operation, Permission, Refusal, TopicEntry};

/// Nobody's name: whoever finds it denied knows whose fence it is.
pub const LABEL: &str = "User:twinlog-fence";
const EVERYBODY: &str = "User:*";
/// Entries in one request; an answer has to stay in proportion to its bytes.
const ENTRIES_PER_REQUEST: usize = 500;
/// How long a broker may take to hear of what the controller has done.
const HEARD_WITHIN: Duration = Duration::from_secs(5);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How a fence was found or left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fences {
    /// The destination has no authorizer: there can be none, and the topics are open whenever a
    /// stock broker leads them. To be said once.
    Impossible,
    /// All that was asked for, but these, and why.
    Done {
        /// Whose fence could not be changed.
        refused: BTreeMap<TopicName, Refusal>,
        /// Topics that somebody else has closed to everybody: they stay closed after a failover.
        foreign: BTreeSet<TopicName>,
        /// Topics that are left open, since we may not see them behind a fence: our right to
        /// describe them rests on nobody having said anything about them
        /// (`allow.everyone.if.no.acl.found`). It has to be granted: DESCRIBE, DESCRIBE_CONFIGS and
        /// ALTER on topics to our principal.
        blinding: BTreeSet<TopicName>,
    },
}

/// Closes topics to writers. Done again, it adds what is missing.
///
/// # Errors
/// The destination cannot be asked, or does not show its lists to us.
pub async fn raise<W: World>(
    world: &W,
    client: &mut Client<W>,
    topics: &BTreeSet<TopicName>,
) -> Result<Fences, DestinationFault> {
    let Some(found) = Found::look(client).await? else {
        return Ok(Fences::Impossible);
    };
    let missing = found.to_add(topics);
    let mut refused = change(client, &missing, Change::Add).await?;
    let added: BTreeSet<TopicName> = missing.into_iter().map(|entry| entry.topic).collect();
    let added: BTreeSet<TopicName> = added
        .into_iter()
        .filter(|topic| !refused.contains_key(topic))
        .collect();
    await_standing(world, client, &added).await?;
    let blinding = unseen(client, &added).await?;
    if !blinding.is_empty()
        && let Fences::Done { refused: kept, .. } = lower(client, &blinding).await?
    {
        refused.extend(kept);
    }
    Ok(Fences::Done {
        refused,
        foreign: found.foreign(topics),
        blinding,
    })
}

/// Waits until the broker that we ask knows of the fences, but not for ever: then they stand
/// somewhere else already.
async fn await_standing<W: World>(
    world: &W,
    client: &mut Client<W>,
    topics: &BTreeSet<TopicName>,
) -> Result<(), DestinationFault> {
    let clock = world.clock();
    let deadline = clock.now().after(HEARD_WITHIN);
    while !topics.is_empty() && clock.now() < deadline {
        let found = Found::look(client).await?.unwrap_or_default();
        if topics.is_subset(&found.closed) {
            return Ok(());
        }
        clock.sleep_until(clock.now().after(LOOK_INTERVAL)).await;
    }
    Ok(())
}

/// Those that we may not describe any more.
async fn unseen<W: World>(
    client: &mut Client<W>,
    topics: &BTreeSet<TopicName>,
) -> Result<BTreeSet<TopicName>, DestinationFault> {
    let all: Vec<TopicName> = topics.iter().cloned().collect();
    let mut unseen = BTreeSet::new();
    for some in all.chunks(ENTRIES_PER_REQUEST) {
        let told = client.topic_rights(some).await?.unwrap_or_default();
        let sees = |topic: &&TopicName| {
            let rights = told.get(*topic).copied().flatten();
            rights.is_some_and(|rights| rights.allow(Operation::Describe))
        };
        unseen.extend(some.iter().filter(|topic| !sees(topic)).cloned());
    }
    Ok(unseen)
}

/// Opens topics again that we have closed. Done again, it removes what is left.
///
/// # Errors
/// The destination cannot be asked, or does not show its lists to us.
pub async fn lower<W: World>(
    client: &mut Client<W>,
    topics: &BTreeSet<TopicName>,
) -> Result<Fences, DestinationFault> {
    let Some(found) = Found::look(client).await? else {
        return Ok(Fences::Impossible);
    };
    let ours: BTreeSet<&TopicName> = found.labelled.intersection(topics).collect();
    let closed = ours.iter().filter(|topic| found.closed.contains(**topic));
    let entries: Vec<TopicEntry> = closed.map(|topic| entry(topic, EVERYBODY)).collect();
    let mut refused = change(client, &entries, Change::Remove).await?;
    // The label goes last: without it, nobody would know whose fence it is.
    let open = ours.iter().filter(|topic| !refused.contains_key(**topic));
    let labels: Vec<TopicEntry> = open.map(|topic| entry(topic, LABEL)).collect();
    refused.extend(change(client, &labels, Change::Remove).await?);
    Ok(Fences::Done {
        refused,
        foreign: found.foreign(topics),
        blinding: BTreeSet::new(),
    })
}

/// The topics that stand behind a fence of ours. `None` where there is no authorizer.
///
/// # Errors
/// The destination cannot be asked, or does not show its lists to us.
pub async fn standing<W: World>(
    client: &mut Client<W>,
) -> Result<Option<BTreeSet<TopicName>>, DestinationFault> {
    let found = Found::look(client).await?;
    Ok(found.map(|found| &found.closed & &found.labelled))
}

/// Topics that another node of ours has gone on with: fences about them are not `us`'s to lower,
/// where we have no part in them any more.
#[must_use]
pub fn of_other_nodes(us: BrokerId, image: &Image) -> BTreeSet<TopicName> {
    let is_node = |id: &BrokerId| image.brokers.get(*id).is_some_and(is_ours);
    let is_theirs = |partition: &Partition| partition.replicas.iter().any(is_node);
    let is_ours_too = |partition: &Partition| partition.replicas.contains(&us);
    let topics = image.topics.iter().map(|(_, topic)| topic);
    let theirs = topics.filter(|topic| {
        let mut all = topic.partitions.values();
        all.any(is_theirs) && !topic.partitions.values().any(is_ours_too)
    });
    theirs.map(|topic| topic.name.clone()).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Add,
    Remove,
}

async fn change<W: World>(
    client: &mut Client<W>,
    entries: &[TopicEntry],
    change: Change,
) -> Result<BTreeMap<TopicName, Refusal>, DestinationFault> {
    let mut refused = BTreeMap::new();
    for some in entries.chunks(ENTRIES_PER_REQUEST) {
        let told = match change {
            Change::Add => client.add_entries(some).await?,
            Change::Remove => client.remove_entries(some).await?,
        };
        let each = some.iter().zip(told);
        refused.extend(each.filter_map(|(entry, why)| Some((entry.topic.clone(), why?))));
    }
    Ok(refused)
}

/// What the lists say about writing.
#[derive(Debug, Default)]
struct Found {
    /// Nobody may write.
    closed: BTreeSet<TopicName>,
    /// They have our label.
    labelled: BTreeSet<TopicName>,
}

impl Found {
    async fn look<W: World>(client: &mut Client<W>) -> Result<Option<Found>, DestinationFault> {
        let entries = client
            .topic_entries(Operation::Write, Permission::Deny)
            .await?;
        Ok(entries.map(Found::of))
    }

    fn of(entries: Vec<TopicEntry>) -> Found {
        let mut found = Found::default();
        for entry in entries {
            match entry.principal.as_str() {
                EVERYBODY => _ = found.closed.insert(entry.topic),
                LABEL => _ = found.labelled.insert(entry.topic),
                _ => {}
            }
        }
        found
    }

    /// Both entries of a topic stand next to each other, so that one request has both.
    fn to_add(&self, topics: &BTreeSet<TopicName>) -> Vec<TopicEntry> {
        let open = topics.difference(&self.closed);
        open.flat_map(|topic| [entry(topic, LABEL), entry(topic, EVERYBODY)])
            .collect()
    }

    fn foreign(&self, topics: &BTreeSet<TopicName>) -> BTreeSet<TopicName> {
        let closed = self.closed.intersection(topics);
        let foreign = closed.filter(|topic| !self.labelled.contains(*topic));
        foreign.cloned().collect()
    }
}

fn entry(topic: &TopicName, principal: &str) -> TopicEntry {
    TopicEntry {
        topic: topic.clone(),
        principal: principal.to_owned(),
        operation: Operation::Write,
        permission: Permission::Deny,
    }
}

#[cfg(test)]
mod tests;
