//! Where the two sides part, for a mirror back onto a cluster that its source had mirrored.
//!
//! Stock brokers do not know it: the node that mirrored the other way does (its LMO), and is asked
//! for it by the cluster's id, as KIP-1279 has it. What both clusters have by now may be less: each
//! may have lost records to an unclean election, so that their leaders are asked as well.

use std::collections::BTreeMap;

use crate::io::World;
use crate::mirror::{State, WayBack};
use crate::model::{LeaderEpoch, Offset, TopicId, TopicPartition};
use crate::protocol::mirror_rpc::{
    ClusterMirror, DescribeClusterMirrorsRequest, DescribeClusterMirrorsResponse, MirrorPartition,
};
use crate::session::{
    Bound, BrokerAddress, Client, EpochAsked, Opening, PartitionAsked, SessionFault,
};

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

/// What the counterpart says of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    /// Up to where it was mirrored (LMO).
    to: Offset,
    /// The destination's epoch there (LME); NONE where nothing was mirrored.
    epoch: LeaderEpoch,
    /// The source's epoch in which it was handed over; NONE where that is not known.
    led_epoch: LeaderEpoch,
}

/// Where a log begins and ends at the destination, and where epochs end on both sides.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    start: Option<Offset>,
    end: Option<Offset>,
    /// The end of the largest epoch there that is not above LME.
    epoch_end: Option<(LeaderEpoch, Offset)>,
    /// The end, at the source, of the largest epoch not above that of the hand-over.
    led_end: Option<(LeaderEpoch, Offset)>,
}

/// Asks the counterpart and the leaders on both sides. Of each partition something is found.
pub async fn seek<W: World>(
    world: &W,
    opening: Opening,
    peer: &[BrokerAddress],
    clusters: &Clusters,
    sought: &[Sought],
) -> BTreeMap<TopicPartition, Found> {
    let answer = match describe(world, opening, peer, clusters, sought).await {
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
    sought: &[Sought],
) -> Result<DescribeClusterMirrorsResponse, String> {
    let mut names: Vec<String> = sought
        .iter()
        .map(|one| one.here.id.topic.to_string())
        .collect();
    names.dedup();
    let request = DescribeClusterMirrorsRequest {
        cluster_id: Some(clusters.here.clone()),
        topic_names: Some(names),
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
fn read(
    answer: &DescribeClusterMirrorsResponse,
    clusters: &Clusters,
    one: &Sought,
) -> Result<Told, Found> {
    let id = &one.here.id;
    let is_of_here = |mirror: &&ClusterMirror| {
        mirror.source_cluster_id.as_ref() == Some(&clusters.here)
            && mirror
                .topics
                .iter()
                .any(|topic| topic.topic_name == id.topic.as_str())
    };
    let never = |why: String| Err(Found::Never(why));
    let Some(mirror) = answer.mirrors.iter().find(is_of_here) else {
        return never(format!(
            "the node that the mirror's setting peer names never mirrored the topic from this \
             cluster ({}): the destination's topic of that name is another one; delete or rename \
             it there, or exclude the topic from the mirror",
            clusters.here
        ));
    };
    if mirror.destination_cluster_id.as_ref() != Some(&clusters.there) {
        return never(format!(
            "the node that the mirror's setting peer names mirrors onto cluster {}, and this \
             mirror's source is {}: correct the one or the other",
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
    let index = id.partition.value();
    let mut partitions = topic.partitions.iter();
    match partitions.find(|told| told.partition_index == index) {
        Some(partition) => stopped_at(partition, one),
        None => never(
            "the partition was never mirrored from this cluster, so that what it holds is its own: \
             stop the topic, or delete it there to have all of it copied"
                .to_owned(),
        ),
    }
}

/// Where the counterpart's mirror of a partition was stopped.
fn stopped_at(partition: &MirrorPartition, one: &Sought) -> Result<Told, Found> {
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
    Ok(Told {
        to,
        epoch: LeaderEpoch::new(partition.last_mirror_epoch),
        led_epoch: partition
            .led_epoch
            .map_or(LeaderEpoch::NONE, LeaderEpoch::new),
    })
}

/// Asks the leaders on both sides. Where one does not answer, something is missing of what is seen.
async fn look<W: World>(
    world: &W,
    opening: Opening,
    told: &[(&Sought, Told)],
) -> BTreeMap<TopicPartition, Seen> {
    let mut seen: BTreeMap<TopicPartition, Seen> = BTreeMap::new();
    let mut here: BTreeMap<&BrokerAddress, Vec<(&Sought, Told)>> = BTreeMap::new();
    let mut there: BTreeMap<&BrokerAddress, Vec<EpochAsked>> = BTreeMap::new();
    for (one, said) in told {
        here.entry(&one.leader).or_default().push((one, *said));
        if let Some((leader, leader_epoch)) = &one.source
            && said.led_epoch.is_some()
        {
            let id = one.here.id.clone();
            let leader_epoch = *leader_epoch;
            let partition = PartitionAsked { id, leader_epoch };
            let epoch = said.led_epoch;
            let asked = there.entry(leader).or_default();
            asked.push(EpochAsked { partition, epoch });
        }
    }
    for (leader, asked) in here {
        if let Err(fault) = look_here(world, opening, leader, &asked, &mut seen).await {
            tracing::warn!("{fault}");
        }
    }
    for (leader, asked) in there {
        match epoch_ends(world, opening, leader, &asked).await {
            Ok(ends) => {
                for (id, end) in ends {
                    seen.entry(id).or_default().led_end = Some(end);
                }
            }
            Err(fault) => tracing::warn!("{fault}"),
        }
    }
    seen
}

async fn look_here<W: World>(
    world: &W,
    opening: Opening,
    leader: &BrokerAddress,
    asked: &[(&Sought, Told)],
    seen: &mut BTreeMap<TopicPartition, Seen>,
) -> Result<(), SessionFault> {
    let all: Vec<PartitionAsked> = asked.iter().map(|(one, _)| one.here.clone()).collect();
    let mut client = Client::connect(world, leader, opening).await?;
    for (id, start) in client.list_offsets(&all, Bound::Start).await? {
        seen.entry(id).or_default().start = start.ok();
    }
    for (id, end) in client.list_offsets(&all, Bound::End).await? {
        seen.entry(id).or_default().end = end.ok();
    }
    let epochs = asked.iter().filter(|(_, said)| said.epoch.is_some());
    let epochs = epochs.map(|(one, said)| EpochAsked {
        partition: one.here.clone(),
        epoch: said.epoch,
    });
    let epochs: Vec<EpochAsked> = epochs.collect();
    if !epochs.is_empty() {
        for (id, end) in client.epoch_ends(&epochs).await? {
            seen.entry(id).or_default().epoch_end = end.ok().flatten();
        }
    }
    Ok(())
}

async fn epoch_ends<W: World>(
    world: &W,
    opening: Opening,
    leader: &BrokerAddress,
    asked: &[EpochAsked],
) -> Result<Vec<(TopicPartition, (LeaderEpoch, Offset))>, SessionFault> {
    let mut client = Client::connect(world, leader, opening).await?;
    let ends = client.epoch_ends(asked).await?.into_iter();
    let known = ends.filter_map(|(id, end)| Some((id, end.ok().flatten()?)));
    Ok(known.collect())
}

/// Where the sides part: no later than the counterpart says, and than each side goes.
fn judge(one: &Sought, told: Told, seen: Seen) -> Found {
    let (Some(start), Some(end)) = (seen.start, seen.end) else {
        return Found::Later(
            "its leader at the destination does not tell where it ends".to_owned(),
        );
    };
    let mut from = told.to.min(end);
    if told.epoch.is_some() {
        let Some((epoch, epoch_end)) = seen.epoch_end else {
            return Found::Later(format!(
                "its leader at the destination does not tell where leader epoch {} ends",
                told.epoch
            ));
        };
        if epoch != told.epoch {
            // Who can tell how far the two go together below it?
            return Found::Never(format!(
                "the destination has nothing of leader epoch {} any more, in which it was mirrored \
                 last: an unclean election has taken it back; delete the topic there to have all \
                 of it copied",
                told.epoch
            ));
        }
        from = from.min(epoch_end);
    }
    if told.led_epoch.is_some() {
        let Some((_, led_end)) = seen.led_end else {
            return Found::Later(format!(
                "its leader at the source does not tell where leader epoch {} ends",
                told.led_epoch
            ));
        };
        from = from.min(led_end);
    }
    let parting = WayBack {
        topic: one.topic,
        from,
        log_start: start.min(from),
        epoch: told.led_epoch,
        is_aligned: false,
    };
    Found::At { parting, end }
}

#[cfg(test)]
mod tests;
