//! What a node has exported of its stops, in place of its own word.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Answer, Witness};
use crate::io::{Disk, File, Open};
use crate::model::{Position, TopicId};
use crate::protocol::mirror_rpc::{ClusterMirror, ExportedStop, MirrorPartition, MirrorTopic};

/// No report is larger, in bytes.
const BYTES_MAX: u64 = 64 << 20;

/// Why a report is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReportFault {
    #[error(
        "the report {} cannot be read: {why}; correct peer.report, or the file's rights",
        .path.display()
    )]
    Unreadable { path: PathBuf, why: String },
    #[error("the report {} has {bytes} bytes, and may have {BYTES_MAX}: {AGAIN}", .path.display())]
    TooLarge { path: PathBuf, bytes: u64 },
    #[error("{} is no whole report of a stop: {why}; {AGAIN}", .path.display())]
    Damaged { path: PathBuf, why: String },
    #[error("the report {} has no sound {field} in its entry {entry}: {AGAIN}", .path.display())]
    Field {
        path: PathBuf,
        /// Counted from 1.
        entry: usize,
        field: &'static str,
    },
}

const AGAIN: &str = "export it again (twinlog mirrors stop --report, on the node that mirrors the \
                     other way, or twinlog verify --parting)";

/// Reads a report as what the node would have answered of some topics.
pub(super) fn read<D: Disk>(
    disk: &D,
    path: &Path,
    topics: &[String],
) -> Result<Answer, ReportFault> {
    let bytes = bytes(disk, path)?;
    let stops = ExportedStop::read_all(&bytes).map_err(|why| ReportFault::Damaged {
        path: path.to_owned(),
        why,
    })?;
    let mut mirrors: BTreeMap<_, ClusterMirror> = BTreeMap::new();
    let mut unsound = BTreeMap::new();
    let stops = (1..).zip(stops);
    for (entry, stop) in stops.filter(|(_, stop)| topics.contains(&stop.topic)) {
        let of = (
            stop.mirror.clone(),
            stop.source_cluster_id.clone(),
            stop.destination_cluster_id.clone(),
        );
        let (topic, partition) = match said(&stop) {
            Ok(said) => said,
            Err(field) => {
                let path = path.to_owned();
                let fault = ReportFault::Field { path, entry, field };
                if stop.partition < 0 {
                    return Err(fault);
                }
                unsound.insert((stop.topic, stop.partition), fault.to_string());
                continue;
            }
        };
        let mirror = mirrors.entry(of).or_insert_with(|| ClusterMirror {
            mirror_name: stop.mirror.clone(),
            source_cluster_id: stop.source_cluster_id.clone(),
            destination_cluster_id: stop.destination_cluster_id.clone(),
            ..ClusterMirror::default()
        });
        let is_it = |known: &MirrorTopic| {
            (&known.topic_name, known.topic_id) == (&topic.topic_name, topic.topic_id)
        };
        match mirror.topics.iter_mut().find(|known| is_it(known)) {
            Some(known) => known.partitions.push(partition),
            None => mirror.topics.push(MirrorTopic {
                partitions: vec![partition],
                ..topic
            }),
        }
    }
    Ok(Answer {
        by: Witness::Report(path.to_owned()),
        mirrors: mirrors.into_values().collect(),
        unsound,
    })
}

fn bytes<D: Disk>(disk: &D, path: &Path) -> Result<Vec<u8>, ReportFault> {
    let unreadable = |error: std::io::Error| ReportFault::Unreadable {
        path: path.to_owned(),
        why: error.to_string(),
    };
    let file = disk.open(path, Open::Read).map_err(unreadable)?;
    let size = file.size().map_err(unreadable)?;
    if size > BYTES_MAX {
        return Err(ReportFault::TooLarge {
            path: path.to_owned(),
            bytes: size,
        });
    }
    let mut bytes = vec![0; usize::try_from(size).expect("bounded above")];
    let read = file.read_at(&mut bytes, Position::ZERO);
    bytes.truncate(read.map_err(unreadable)?);
    Ok(bytes)
}

/// An entry as the node would have said it; the name of a field that is missing, or cannot be.
fn said(stop: &ExportedStop) -> Result<(MirrorTopic, MirrorPartition), &'static str> {
    let has = |is_there: bool, field| is_there.then_some(()).ok_or(field);
    let id = |text: &Option<String>, field| {
        let id: TopicId = text.as_ref().ok_or(field)?.parse().map_err(|_| field)?;
        has(id != TopicId::ZERO, field).map(|()| id)
    };
    has(stop.partition >= 0, "partition")?;
    has(!stop.state.is_empty(), "state")?;
    has(stop.source_cluster_id.is_some(), "sourceClusterId")?;
    has(
        stop.destination_cluster_id.is_some(),
        "destinationClusterId",
    )?;
    // Of what was not stopped there is none.
    let to = stop.report.last_mirror_offset.unwrap_or(-1);
    has(to >= -1, "lastMirrorOffset")?;
    let epoch = stop.report.last_mirror_epoch.unwrap_or(-1);
    // Without it nobody could tell whether the destination still has what it is about.
    has(epoch >= 0 || to <= 0, "lastMirrorEpoch")?;
    let led_epoch = stop.led_epoch.filter(|epoch| *epoch >= 0);
    let topic = MirrorTopic {
        topic_name: stop.topic.clone(),
        topic_id: id(&stop.topic_id, "topicId")?,
        ..MirrorTopic::default()
    };
    let partition = MirrorPartition {
        partition_index: stop.partition,
        state_value: stop.state.clone(),
        last_mirror_epoch: epoch,
        last_mirror_offset: to,
        led_epoch: Some(led_epoch.ok_or("ledEpoch")?),
        led_topic_id: id(&stop.destination_topic_id, "destinationTopicId")?,
        ..MirrorPartition::default()
    };
    Ok((topic, partition))
}

#[cfg(test)]
mod tests;
