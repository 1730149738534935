//! A source, our log and every stock replica of a destination, partition by partition, while all
//! of them are written and handed over.
//!
//! Followers are asked as their leader is: a stock broker answers a consumer from any replica, up
//! to the high watermark that it knows. All logs of a partition are read side by side, one answer
//! of each at a time. What differs is read again a few times before it is said, since elections and
//! retention go on meanwhile; a log that differs is followed no further.

mod align;
mod cluster;
mod parting;
mod partition;
mod shared;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;

use super::{AuditFault, Subject};
use crate::io::World;
use crate::log::Verified;
use crate::model::{BrokerId, Offset, ProducerIdShift, TopicName, TopicPartition};
use crate::session::{BrokerAddress, ClusterView};
use crate::vault::Vault;

use cluster::Cluster;
use partition::{Comparing, Ours};
use stream::Own;

pub use align::Side;
pub use cluster::Manners;
pub use parting::{Course, Why};
pub use shared::{Alike, Origin, Unvouched};

/// What is to be compared.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Brokers of the source to begin with; none where it is not to be asked.
    pub from: &'a [BrokerAddress],
    /// Brokers of the destination to begin with.
    pub destination: &'a [BrokerAddress],
    /// How both are asked.
    pub manners: Manners,
    /// What was added to the producer ids at the destination, where no log of ours says so.
    pub shift: ProducerIdShift,
}

/// What comparing one partition came to.
#[derive(Clone, Debug, Default)]
pub struct Twins {
    /// Every log that was read.
    pub logs: Vec<Told>,
    /// Batches that two logs or more have alike.
    pub identical: u64,
    /// Bytes of batches that were looked at, of all logs.
    pub bytes: u64,
    /// Behind the last of these batches.
    pub equal_to: Option<Offset>,
    /// The destination has gone on without the source.
    pub alone: Option<Alone>,
    /// Up to where source and destination are the same; none where no source was asked.
    pub common: Option<Result<Alike, Unvouched>>,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Logs that were not read, or not to their ends.
    pub unread: Vec<Unread>,
    /// What our log says of itself.
    pub verified: Option<Verified>,
}

/// Where the destination has gone on without the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alone {
    /// The first offset that is the destination's own.
    pub from: Offset,
    /// Why that is no loss.
    pub why: Why,
}

/// One log of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Whose.
    pub side: Side,
    /// Where it begins.
    pub log_start: Offset,
    /// Its high watermark; none where it was not asked for batches, or lies on our disk.
    pub high_watermark: Option<Offset>,
    /// Where it ends.
    pub log_end: Offset,
    /// How far it was read.
    pub read_to: Offset,
    /// Offsets that others have and that may come yet.
    pub behind: u64,
    /// Offsets below its start that others have: retention, or where its copy began.
    pub removed: u64,
    /// Batches that compaction has rewritten or removed here, and not elsewhere.
    pub compacted: u64,
}

/// Something that is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whose log it is.
    pub who: String,
    /// Where.
    pub at: Offset,
    /// What is wrong.
    pub what: String,
}

/// A log that was not read, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Whose.
    pub side: Side,
    /// Why.
    pub why: String,
    /// It should have been readable.
    pub is_fault: bool,
}

/// What is told while partitions are compared.
pub enum News<'a> {
    /// So many partitions will be compared.
    Begins(usize),
    /// A topic is only here or there.
    Topic(&'a TopicName, OneSided),
    /// A partition has been compared, or could not be.
    Partition(&'a TopicPartition, Result<Box<Twins>, String>),
}

/// Where a topic is alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OneSided {
    /// Only the source has it, or has more partitions of it.
    AtSource,
    /// Only the destination has it.
    AtDestination,
}

/// Both clusters, and what is known of our own logs.
struct Clusters<W: World> {
    source: Option<Cluster<W>>,
    destination: Cluster<W>,
    /// Our broker's id there, where our logs say it.
    node: Option<BrokerId>,
    /// What was added to producer ids in our logs, and in the replicas.
    log_shift: ProducerIdShift,
    replica_shift: ProducerIdShift,
    logs: Option<(W::Disk, std::path::PathBuf)>,
}

impl<W: World> Clusters<W> {
    /// Where our log begins by now: retention goes on while we read.
    fn log_start(&self, id: &TopicPartition) -> Offset {
        let Some((disk, dir)) = &self.logs else {
            return Offset::ZERO;
        };
        let found = Vault::look(disk, dir);
        let start = found
            .ok()
            .and_then(|found| found.log_starts.get(id).copied());
        start.unwrap_or_default()
    }
}

/// Compares all partitions of the destination's topics that `takes` says, with the source and with
/// our logs where they are given. `course` tells how far a partition was mirrored, each time anew.
///
/// # Errors
/// A cluster cannot be asked at all, or our logs are of another one.
pub async fn compare<W: World>(
    world: &W,
    (asked, logs): (Asked<'_>, Option<&Subject<W::Disk>>),
    takes: &dyn Fn(&TopicName) -> bool,
    course: &mut dyn FnMut(&TopicPartition) -> Course,
    show: &mut dyn FnMut(News<'_>),
) -> Result<(), AuditFault> {
    let manners = asked.manners;
    let destination = Cluster::begin(world, asked.destination, manners, "destination").await?;
    let source = match asked.from {
        [] => None,
        from => Some(Cluster::begin(world, from, manners, "source").await?),
    };
    let mut clusters = Clusters {
        source,
        destination,
        node: None,
        log_shift: ProducerIdShift::NONE,
        replica_shift: asked.shift,
        logs: logs.map(|subject| (subject.disk.clone(), subject.dir.clone())),
    };
    if let Some(subject) = logs {
        clusters.know(subject)?;
    }
    let theirs = clusters.source.as_ref().map(|source| &source.view);
    for (topic, side) in one_sided(&clusters.destination.view, theirs, takes) {
        show(News::Topic(&topic, side));
    }
    let all = partitions(&clusters.destination.view, takes);
    show(News::Begins(all.len()));
    for id in all {
        let twins = clusters.partition(&id, logs, course).await;
        show(News::Partition(&id, twins.map(Box::new)));
    }
    Ok(())
}

impl<W: World> Clusters<W> {
    /// What our logs say of themselves.
    fn know(&mut self, subject: &Subject<W::Disk>) -> Result<(), AuditFault> {
        self.log_shift = subject.producer_id_shift();
        let held = subject.cluster_id();
        let source = self.source.as_ref().map(|source| &source.view.cluster_id);
        if held == self.destination.view.cluster_id {
            self.replica_shift = self.log_shift;
            self.node = subject.node_id()?.map(BrokerId);
            return Ok(());
        }
        if source.is_some_and(|source| source == held) {
            return Ok(());
        }
        let found = [Some(&self.destination.view.cluster_id), source];
        Err(AuditFault::OtherLogs {
            dir: subject.dir.clone(),
            held: held.to_owned(),
            found: found.into_iter().flatten().cloned().collect(),
        })
    }

    async fn partition(
        &mut self,
        id: &TopicPartition,
        logs: Option<&Subject<W::Disk>>,
        course: &mut dyn FnMut(&TopicPartition) -> Course,
    ) -> Result<Twins, String> {
        let held = logs.filter(|subject| self.is_of_this(subject, id));
        let verified = held.map(|subject| subject.verify(id)).transpose();
        let verified = verified.map_err(|fault| format!("our log cannot be read: {fault}"))?;
        let log = held.zip(verified.as_ref()).map(|(subject, verified)| {
            let (start, gaps) = subject.start_and_gaps(id, verified);
            let end = verified.range.map_or(start, |(_, end)| end);
            let dir = subject.dir.join(id.to_string());
            Ours {
                own: Own::new(subject.disk.clone(), Path::new(&dir), end),
                start,
                end,
                gaps,
            }
        });
        let comparing = Comparing::begin(self, id, log).await;
        let mut twins = comparing.compare(course).await;
        twins.verified = verified;
        Ok(twins)
    }

    /// Whether our logs have the partition, of the topic that has this name now.
    fn is_of_this(&self, subject: &Subject<W::Disk>, id: &TopicPartition) -> bool {
        if subject.found.partitions.binary_search(id).is_err() {
            return false;
        }
        let is_destinations = subject.cluster_id() == self.destination.view.cluster_id;
        let cluster = match &self.source {
            Some(source) if !is_destinations => source,
            _ => &self.destination,
        };
        let noted = subject.found.state.partitions.get(id);
        let now = cluster.view.find(id).map(|(topic, _)| topic.id);
        noted
            .zip(now)
            .is_none_or(|(noted, now)| noted.topic_id.agrees(now, &id.topic))
    }
}

impl<D: crate::io::Disk> Subject<D> {
    /// Where the log of a partition begins, and what is known to be missing in it.
    fn start_and_gaps(
        &self,
        id: &TopicPartition,
        verified: &Verified,
    ) -> (Offset, Vec<(Offset, Offset)>) {
        let state = self.found.state.partitions.get(id);
        let gaps = state.into_iter().flat_map(|state| &state.gaps);
        let first = verified.range.map(|(first, _)| first);
        let start = self.found.log_starts.get(id).copied().or(first);
        (
            start.unwrap_or_default(),
            gaps.map(|gap| (gap.from, gap.to)).collect(),
        )
    }
}

/// Partitions of the topics that are meant, in order.
fn partitions(view: &ClusterView, takes: &dyn Fn(&TopicName) -> bool) -> Vec<TopicPartition> {
    let topics = view.topics.iter().filter(|topic| takes(&topic.name));
    let all = topics.flat_map(|topic| {
        topic.partitions.iter().map(|partition| TopicPartition {
            topic: topic.name.clone(),
            partition: partition.index,
        })
    });
    let mut all: Vec<TopicPartition> = all.collect();
    all.sort();
    all
}

/// Topics of which one cluster has nothing, or fewer partitions, where there are two.
fn one_sided(
    ours: &ClusterView,
    theirs: Option<&ClusterView>,
    takes: &dyn Fn(&TopicName) -> bool,
) -> Vec<(TopicName, OneSided)> {
    let Some(theirs) = theirs else {
        return Vec::new();
    };
    let (here, there) = (partitions(ours, takes), partitions(theirs, takes));
    let lacking = |some: &[TopicPartition], others: &[TopicPartition]| {
        let missing = some.iter().filter(|id| others.binary_search(id).is_err());
        let topics: BTreeSet<TopicName> = missing.map(|id| id.topic.clone()).collect();
        topics
    };
    let at_source = lacking(&there, &here).into_iter();
    let at_destination = lacking(&here, &there).into_iter();
    let at_source = at_source.map(|topic| (topic, OneSided::AtSource));
    at_source
        .chain(at_destination.map(|topic| (topic, OneSided::AtDestination)))
        .collect()
}
