//! Whether what a vault's top-level files say of its partitions is the same everywhere.

use std::path::Path;

use super::{Found, Offsets};
use crate::model::TopicPartition;
use crate::stdx::shell::{beside, word};

/// Everything in which our notes, the checkpoints and the directories contradict each other, in
/// words; the vault lies in `dir`.
///
/// The notes are written last, so that in a vault that was not closed cleanly they may lag behind
/// the checkpoints.
pub(super) fn contradictions(found: &Found, dir: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    for id in &found.partitions {
        let Some(noted) = found.state.partitions.get(id) else {
            if found.clean {
                let (from, to) = (dir.join(id.to_string()), beside(dir, &format!(".{id}")));
                wrong.push(format!(
                    "{id}: the vault's notes do not know it: if it is no topic of the next copy, \
                     `mv {} {}`",
                    word(&from),
                    word(&to)
                ));
            }
            continue;
        };
        let files = [
            ("recovery-point-offset-checkpoint", &found.recovery_points),
            ("replication-offset-checkpoint", &found.high_watermarks),
        ];
        for (file, offsets) in files {
            wrong.extend(differs(found, id, file, offsets));
        }
        let start = found.log_starts.get(id);
        if found.clean && noted.log_start.is_some() && noted.log_start.as_ref() != start {
            wrong.push(format!(
                "{id}: log-start-offset-checkpoint says {}, the vault's notes say {}",
                said(start),
                said(noted.log_start.as_ref())
            ));
        }
    }
    wrong
}

/// The notes have a checksum and the checkpoints have none: what the notes say is believed. Those
/// of a vault that was not closed cleanly may lag behind.
pub(super) fn believe_notes(found: &mut Found) {
    for id in &found.partitions {
        let Some(noted) = found.state.partitions.get(id) else {
            continue;
        };
        for offsets in [&mut found.recovery_points, &mut found.high_watermarks] {
            let told = offsets.get(id).filter(|_| !found.clean);
            let believed = told.map_or(noted.position, |told| noted.position.max(*told));
            offsets.insert(id.clone(), believed);
        }
        if let Some(start) = noted.log_start.filter(|_| found.clean) {
            found.log_starts.insert(id.clone(), start);
        }
    }
}

fn differs(found: &Found, id: &TopicPartition, file: &str, offsets: &Offsets) -> Option<String> {
    let noted = found.state.partitions.get(id)?.position;
    let told = offsets.get(id);
    let agrees = match told {
        Some(told) if found.clean => *told == noted,
        Some(told) => *told >= noted,
        None => !found.clean,
    };
    let said = said(told);
    (!agrees).then(|| format!("{id}: {file} says {said}, the vault's notes say {noted}"))
}

fn said(offset: Option<&crate::model::Offset>) -> String {
    offset.map_or("nothing".to_owned(), ToString::to_string)
}
