//! Where both sides part, found by comparing them, as the report of a stop: a mirror that goes the
//! other way would have stopped where both are the same. Whoever mirrors onto the destination again
//! needs no more than that, since being the same has no direction.

use std::path::Path;

use crate::audit::twins::Alike;
use crate::cli::Misuse;
use crate::io::{Durability, advice, replace};
use crate::mirror::State;
use crate::model::TopicPartition;
use crate::protocol::mirror_rpc::{ExportedStop, StopReport};
use crate::uring::RealDisk;

/// In the place of a mirror's name.
const FOUND: &str = "found by twinlog verify --parting";

/// An entry of the report.
pub(super) fn exported(id: &TopicPartition, common: &Alike) -> ExportedStop {
    let (from, onto) = (&common.destination, &common.source);
    ExportedStop {
        mirror: FOUND.to_owned(),
        source_cluster_id: Some(from.cluster.clone()),
        destination_cluster_id: Some(onto.cluster.clone()),
        topic: id.topic.to_string(),
        topic_id: Some(from.topic.to_string()),
        destination_topic_id: Some(onto.topic.to_string()),
        partition: id.partition.value(),
        state: State::Stopped.name().to_owned(),
        error_message: None,
        set_aside: Vec::new(),
        led_epoch: Some(onto.epoch.value()),
        report: StopReport {
            last_mirror_offset: Some(common.to.value()),
            last_mirror_epoch: Some(from.epoch.value()),
            ..StopReport::default()
        },
    }
}

/// A comparison is not begun whose report has no place: there is none in it until it is known.
pub(super) fn clear(path: &Path) -> Result<(), Misuse> {
    let written = replace(&RealDisk, path, b"[]\n", Durability::ProcessCrash);
    written.map_err(|error| Misuse::Unreadable {
        path: path.to_owned(),
        error,
    })
}

/// Replaces the report as a whole.
pub(super) fn write(path: &Path, all: &[ExportedStop]) -> Result<(), String> {
    let text = serde_json::to_string(all).expect("numbers and texts are JSON") + "\n";
    let written = replace(&RealDisk, path, text.as_bytes(), Durability::PowerLoss);
    written.map_err(|error| {
        let (path, advice) = (path.display(), advice(&error));
        format!("where both sides part cannot be written to {path}: {error}{advice}")
    })
}
