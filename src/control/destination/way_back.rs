//! Where the two sides part, for a mirror back onto a cluster that its source had mirrored.
//!
//! Stock brokers do not know it: the node that mirrored the other way does (its LMO), and is asked
//! for it by the cluster's id, as KIP-1279 has it. What both clusters have by now may be less: each
//! may have lost records to an unclean election, so that their leaders are asked as well.
//!
//! Where that node cannot be reached the report that it has exported takes its place, and has to
//! fit as its own word has. Where it can, and says that it has mirrored nothing of a topic, nobody
//! but we have moved anything since we stopped last: both sides part where we did.

mod looking;
mod report;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::io::World;
use crate::mirror::{State, WayBack};
use crate::model::{LeaderEpoch, Offset, TopicId, TopicPartition};
use crate::protocol::mirror_rpc::{
    ClusterMirror, DescribeClusterMirrorsRequest, DescribeClusterMirrorsResponse, MirrorPartition,
};
use crate::session::{BrokerAddress, Client, Opening, PartitionAsked};

use looking::{Behind, Seen, look};

/// A partition that is to be mirrored back, and who knows of it.
#[derive(Clone, Debug)]
pub struct Sought {
    /// The partition, as its leader at the destination is to be asked.
    pub here: PartitionAsked,
    /// Its topic's id there.
    pub topic: TopicId,
    /// Its topic's id at the source.
    pub source_topic: TopicId,
    /// Its leader there.
    pub leader: BrokerAddress,
    /// Its leader at the source, and that one's epoch; none where nobody is known to lead it.
    pub source: Option<(BrokerAddress, LeaderEpoch)>,
    /// Where our own last stop of it left off, if there was one.
    pub own: Option<Own>,
}

/// Where a stop of ours left off, and what it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Own {
    /// Up to where it was mirrored.
    pub to: Offset,
    /// The source's epoch there; NONE where nothing was mirrored.
    pub epoch: LeaderEpoch,
    /// The destination's epoch in which it was handed over.
    pub led_epoch: LeaderEpoch,
    /// Its topic's id at the destination.
    pub topic: TopicId,
}

/// Who may know where the two sides part.
#[derive(Clone, Debug, Default)]
pub struct Witnesses {
    /// Where the node listens that mirrors the other way.
    pub peer: Vec<BrokerAddress>,
    /// The report that it has exported.
    pub report: Option<PathBuf>,
}

/// What a witness says.
#[derive(Debug)]
struct Answer {
    by: Witness,
    mirrors: Vec<ClusterMirror>,
    /// Of these it says something that cannot be; what, in words.
    unsound: BTreeMap<(String, i32), String>,
}

/// Who says it.
#[derive(Debug)]
enum Witness {
    Peer,
    Report(PathBuf),
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Witness::Peer => f.write_str("the node that the mirror's setting peer names"),
            Witness::Report(path) => {
                let path = path.display();
                write!(
                    f,
                    "the node whose report is {path} (the mirror's setting peer.report)"
                )
            }
        }
    }
}

/// Whom a node that mirrors the other way has to be about.
#[derive(Clone, Debug)]
pub struct Clusters {
    /// Our destination: its source.
    pub here: String,
    /// Our source: its destination.
    pub there: String,
}

/// What is found of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Where the sides part, and where the destination ends now.
    At {
        /// What is to be put on record.
        parting: WayBack,
        /// What lies from the parting to here is to go.
        end: Offset,
    },
    /// A leader did not answer; in words.
    Later(String),
    /// The counterpart could not tell just now; in words.
    NotYet(String),
    /// Nobody can tell; in words.
    Never(String),
}

/// What is known of the last stop of a partition, one of the counterpart's or of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    /// Up to where it was mirrored (LMO).
    to: Offset,
    /// The destination's epoch there: LME, or that in which we handed it over; NONE where nothing
    /// was mirrored.
    epoch: LeaderEpoch,
    /// The source's epoch there: that in which the counterpart handed it over, or our LME; NONE
    /// where that is not known.
    led_epoch: LeaderEpoch,
    whose: Whose,
}

/// Whose stop it was, and who tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// The counterpart's, as it says itself.
    Theirs,
    /// The counterpart's, by a report.
    Reported,
    Own,
}

/// Asks the counterpart and the leaders on both sides. Of each partition something is found.
pub async fn seek<W: World>(
    world: &W,
    opening: Opening,
    witnesses: &Witnesses,
    clusters: &Clusters,
    sought: &[Sought],
) -> BTreeMap<TopicPartition, Found> {
    let topics = sought.iter().map(|one| one.here.id.topic.to_string());
    let mut topics: Vec<String> = topics.collect();
    topics.dedup();
    let told = describe(world, opening, &witnesses.peer, clusters, &topics).await;
    let answer = match (told, &witnesses.report) {
        (Ok(answer), _) => Ok(Answer {
            by: Witness::Peer,
            mirrors: answer.mirrors,
            unsound: BTreeMap::new(),
        }),
        (Err(why), None) => Err(format!(
            "{why}; where it is gone for good, name the report of its stop (peer.report), or one \
             that is made by comparing both sides (twinlog verify --parting)"
        )),
        (Err(why), Some(path)) => report::read(world.disk(), path, &topics)
            .inspect_err(|_| tracing::warn!("{why}"))
            .map_err(|fault| format!("{why}; and {fault}")),
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(why) => {
            let all = sought.iter().map(|one| one.here.id.clone());
            return all.map(|id| (id, Found::NotYet(why.clone()))).collect();
        }
    };
    let mut found = BTreeMap::new();
    let mut told = Vec::new();
    for one in sought {
        match read(&answer, clusters, one) {
            Ok(said) => told.push((one, said)),
            Err(not) => {
                found.insert(one.here.id.clone(), not);
            }
        }
    }
    let seen = look(world, opening, &told).await;
    for (one, said) in told {
        let seen = seen.get(&one.here.id).copied().unwrap_or_default();
        found.insert(one.here.id.clone(), judge(one, said, seen));
    }
    found
}

/// The counterpart is told of all its addresses that answer first.
async fn describe<W: World>(
    world: &W,
    opening: Opening,
    peer: &[BrokerAddress],
    clusters: &Clusters,
    topics: &[String],
) -> Result<DescribeClusterMirrorsResponse, String> {
    let request = DescribeClusterMirrorsRequest {
        cluster_id: Some(clusters.here.clone()),
        topic_names: Some(topics.to_vec()),
        ..DescribeClusterMirrorsRequest::default()
    };
    let mut why = "no address of it is known".to_owned();
    for at in peer {
        let answer = match Client::connect(world, at, opening).await {
            Ok(mut client) => client.ask_mirror(&request).await,
            Err(fault) => Err(fault.into()),
        };
        match answer {
            Ok(answer) => return Ok(answer),
            Err(fault) => why = fault.to_string(),
        }
    }
    Err(format!(
        "the node that mirrors the other way (the mirror's setting peer) has to tell where the two \
         sides part: {why}"
    ))
}

/// What the counterpart says of a partition that it has handed over.
fn read(answer: &Answer, clusters: &Clusters, one: &Sought) -> Result<Told, Found> {
    let (id, by) = (&one.here.id, &answer.by);
    let index = id.partition.value();
    if let Some(why) = answer.unsound.get(&(id.topic.to_string(), index)) {
        return Err(Found::NotYet(why.clone()));
    }
    let is_of_here = |mirror: &&ClusterMirror| {
        mirror.source_cluster_id.as_ref() == Some(&clusters.here)
            && mirror
                .topics
                .iter()
                .any(|topic| topic.topic_name == id.topic.as_str())
    };
    let never = |why: String| Err(Found::Never(why));
    let Some(mirror) = answer.mirrors.iter().find(is_of_here) else {
        if let Some(own) = own(answer, clusters, one) {
            return Ok(own);
        }
        if let Witness::Report(path) = by {
            return Err(unnamed(path));
        }
        return never(format!(
            "{by} never mirrored the topic from this cluster ({}): the destination's topic of that \
             name is another one; delete or rename it there, or exclude the topic from the mirror",
            clusters.here
        ));
    };
    if mirror.destination_cluster_id.as_ref() != Some(&clusters.there) {
        return never(format!(
            "{by} mirrors onto cluster {}, and this mirror's source is {}: correct the one or the \
             other",
            mirror.destination_cluster_id.as_deref().unwrap_or("?"),
            clusters.there
        ));
    }
    let topics = mirror.topics.iter();
    let mut topics = topics.filter(|topic| topic.topic_name == id.topic.as_str());
    let topic = topics.next().expect("the mirror was chosen by it");
    if topic.topic_id != one.topic {
        return never(format!(
            "what was mirrored from this cluster was the topic of id {}, and the one of that name \
             has id {} now: it was made anew; delete it to have all of it copied, or exclude it \
             from the mirror",
            topic.topic_id, one.topic
        ));
    }
    let mut partitions = topic.partitions.iter();
    match partitions.find(|told| told.partition_index == index) {
        Some(partition) => stopped_at(by, partition, one),
        None => match by {
            Witness::Report(path) => Err(unnamed(path)),
            Witness::Peer => never(
            "the partition was never mirrored from this cluster, so that what it holds is its own: \
             stop the topic, or delete it there to have all of it copied"
                .to_owned(),
        )},
    }
}

/// What a report leaves out it says nothing about.
fn unnamed(path: &Path) -> Found {
    Found::Never(format!(
        "the report {} (the mirror's setting peer.report) says nothing of the partition as one \
         that was mirrored from this cluster: export the report of its stop, or compare both \
         clusters (twinlog verify --parting), and name that one",
        path.display()
    ))
}

/// Where we have stopped ourselves, and the counterpart has moved nothing since: it mirrors between
/// the same two clusters, and has nothing of the topic.
fn own(answer: &Answer, clusters: &Clusters, one: &Sought) -> Option<Told> {
    let is_between = |mirror: &ClusterMirror| {
        mirror.source_cluster_id.as_ref() == Some(&clusters.here)
            && mirror.destination_cluster_id.as_ref() == Some(&clusters.there)
    };
    let is_asked = matches!(answer.by, Witness::Peer);
    let is_so = is_asked && answer.mirrors.iter().any(is_between);
    let own = one.own.filter(|own| is_so && own.topic == one.topic)?;
    Some(Told {
        to: own.to,
        epoch: own.led_epoch,
        led_epoch: own.epoch,
        whose: Whose::Own,
    })
}

/// Where the counterpart's mirror of a partition was stopped.
fn stopped_at(by: &Witness, partition: &MirrorPartition, one: &Sought) -> Result<Told, Found> {
    if partition.state_value != State::Stopped.name() {
        // Each would mirror the other. The moment that it stops is no reason to turn round: whose
        // cluster is the active one then is for people to say.
        return Err(Found::Never(format!(
            "it is still mirrored from this cluster ({} there): stop it there first (twinlog \
             mirrors stop), then have it tried again here (twinlog mirrors recover)",
            partition.state_value
        )));
    }
    let was = partition.led_topic_id;
    if was != TopicId::ZERO && was != one.source_topic {
        // Offsets and epochs of the one say nothing of the other.
        return Err(Found::Never(format!(
            "what was mirrored from this cluster became the topic of id {was} at the source, and \
             the one of that name has id {} there now: it was made anew; delete the topic here to \
             have all of it copied, or exclude it from the mirror",
            one.source_topic
        )));
    }
    let Some(to) = Offset::from_wire(partition.last_mirror_offset) else {
        return Err(Found::Never(
            "nobody knows up to where it was mirrored from this cluster (no LMO is on record): \
             compare both sides, and delete the topic on the one that is to be the copy"
                .to_owned(),
        ));
    };
    if let (Witness::Report(path), Some(own)) = (by, one.own)
        && own.to > to
    {
        return Err(Found::Never(format!(
            "the report {} is of a stop at offset {to}, and this node has handed the partition \
             over at {} since: export the report of the last stop (twinlog mirrors stop --report, \
             on the node that mirrors the other way)",
            path.display(),
            own.to
        )));
    }
    Ok(Told {
        to,
        epoch: LeaderEpoch::new(partition.last_mirror_epoch),
        led_epoch: partition
            .led_epoch
            .map_or(LeaderEpoch::NONE, LeaderEpoch::new),
        whose: match by {
            Witness::Peer => Whose::Theirs,
            Witness::Report(_) => Whose::Reported,
        },
    })
}

const HERE: &str = "the destination";
const THERE: &str = "the source";

/// Where the sides part: no later than the counterpart says, and than each side goes.
fn judge(one: &Sought, told: Told, seen: Seen) -> Found {
    let (Some(start), Some(end)) = (seen.start, seen.end) else {
        return Found::Later(
            "its leader at the destination does not tell where it ends".to_owned(),
        );
    };
    let mut from = told.to.min(end);
    // Where whoever was mirrored from has nothing of that epoch any more, nobody can tell how far
    // the two go together below it. Whoever was mirrored onto may have got nothing in it.
    let is_own = told.whose == Whose::Own;
    let here = (HERE, told.epoch, seen.epoch_end, !is_own);
    let there = (THERE, told.led_epoch, seen.led_end, is_own);
    for (side, wanted, found, is_strict) in [here, there] {
        if !wanted.is_some() {
            continue;
        }
        let Some((epoch, epoch_end)) = found else {
            return Found::Later(format!(
                "its leader at {side} does not tell where leader epoch {wanted} ends"
            ));
        };
        if is_strict && epoch != wanted {
            return Found::Never(format!(
                "{side} has nothing of leader epoch {wanted} any more, in which it was mirrored \
                 last: an unclean election has taken it back; delete the topic on the side that is \
                 to be the copy to have all of it copied"
            ));
        }
        from = from.min(epoch_end);
    }
    if let (Whose::Reported, Behind::Batch { begins, .. }) = (told.whose, seen.behind)
        && begins < from
    {
        // A log is cut between its batches.
        return Found::Never(format!(
            "the report has it stopped at offset {}, which is within the batch that begins at \
             {begins} at the destination: it is not of this log; name the report of its last stop \
             (peer.report)",
            told.to
        ));
    }
    if told.whose != Whose::Theirs {
        match (seen.behind, seen.beside, seen.behind_there) {
            (Behind::Unknown, ..) | (_, Behind::Unknown, _) | (.., Behind::Unknown) => {
                return Found::Later("a leader does not tell what follows the stop".to_owned());
            }
            (_, Behind::Batch { .. }, there) if seen.beside == there => {
                return Found::Never(outdated(told));
            }
            _ => {}
        }
    }
    // One in which nothing was written leaves no trace with whoever leads next: it would be missed
    // when the other direction is resumed. Whoever leads in it still tells of it.
    let before = seen.led_before.filter(|(_, end)| *end >= from);
    let with_records = before.or(seen.led_end);
    let with_records = with_records.map(|(epoch, _)| epoch.min(told.led_epoch));
    let parting = WayBack {
        topic: one.topic,
        from,
        log_start: start.min(from),
        epoch: with_records.unwrap_or(told.led_epoch),
        is_aligned: false,
    };
    Found::At { parting, end }
}

/// What was told is true no more: the sides part later by now.
fn outdated(told: Told) -> String {
    let to = told.to;
    match told.whose {
        Whose::Reported => format!(
            "both sides have the same behind offset {to}, where they part by the report: it is an \
             old one; export the report of the last stop, or compare both clusters anew (twinlog \
             verify --parting), and name that one (peer.report)"
        ),
        Whose::Own | Whose::Theirs => format!(
            "both sides have the same behind offset {to}, where this node has stopped last: it was \
             mirrored back, and the node that mirrors the other way knows nothing of that any \
             more; compare both clusters (twinlog verify --parting) and name that report \
             (peer.report), or delete the topic on the side that is to be the copy to have all of \
             it copied"
        ),
    }
}

#[cfg(test)]
mod tests;
