//! The three offset checkpoints at the top of a log directory (`OffsetCheckpointFile`).

use std::collections::BTreeMap;
use std::path::Path;

use crate::io::{Disk, Durability, replace};
use crate::model::{Offset, PartitionIndex, TopicName, TopicPartition};
use crate::stdx::lines;

use super::{VaultFault, at, read_text};

/// One offset per partition.
pub type Offsets = BTreeMap<TopicPartition, Offset>;

const VERSION: u32 = 0;

/// Which of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkpoint {
    /// Below it a log's files were synced.
    RecoveryPoint,
    /// The high watermark.
    HighWatermark,
    /// The first offset that may be read.
    LogStart,
}

impl Checkpoint {
    /// The file's name, as a broker knows it.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Checkpoint::RecoveryPoint => "recovery-point-offset-checkpoint",
            Checkpoint::HighWatermark => "replication-offset-checkpoint",
            Checkpoint::LogStart => "log-start-offset-checkpoint",
        }
    }
}

/// A missing file has no entries.
pub(super) fn read<D: Disk>(
    disk: &D,
    dir: &Path,
    which: Checkpoint,
) -> Result<Offsets, VaultFault> {
    let path = dir.join(which.file_name());
    let text = read_text(disk, &path)?.unwrap_or_default();
    from_text(&text, &path)
}

/// What the text of the checkpoint at `path` says.
pub(super) fn from_text(text: &str, path: &Path) -> Result<Offsets, VaultFault> {
    let entries = lines::read(text, VERSION, entry).map_err(|fault| VaultFault::Damaged {
        path: path.to_owned(),
        why: fault.to_string(),
    })?;
    Ok(entries.into_iter().collect())
}

/// The same; of a file that is damaged, or gone while `noted` has entries, `noted` is believed,
/// and `damage` told.
pub(super) fn read_or<D: Disk>(
    disk: &D,
    dir: &Path,
    which: Checkpoint,
    noted: Offsets,
    damage: &mut Vec<String>,
) -> Result<Offsets, VaultFault> {
    let path = dir.join(which.file_name());
    match read(disk, dir, which) {
        Ok(offsets) if offsets.is_empty() && !noted.is_empty() => {
            damage.push(format!("{} is missing or empty", path.display()));
            Ok(noted)
        }
        Err(fault @ VaultFault::Damaged { .. }) => {
            damage.push(fault.to_string());
            Ok(noted)
        }
        told => told,
    }
}

pub(super) fn write<D: Disk>(
    disk: &D,
    dir: &Path,
    which: Checkpoint,
    offsets: &Offsets,
) -> Result<(), VaultFault> {
    let path = dir.join(which.file_name());
    let line = |(id, offset): (&TopicPartition, &Offset)| {
        format!("{} {} {offset}", id.topic, id.partition)
    };
    let text = lines::write(VERSION, offsets.iter().map(line));
    replace(disk, &path, text.as_bytes(), Durability::PowerLoss).map_err(at(&path))
}

/// Adds offsets to a checkpoint of a stopped broker's log directory, durably; what it says of other
/// partitions stays.
///
/// # Errors
/// The file is damaged, or what the system says.
pub fn merge_checkpoint<D: Disk>(
    disk: &D,
    dir: &Path,
    which: Checkpoint,
    offsets: &Offsets,
) -> Result<(), VaultFault> {
    let mut merged = read(disk, dir, which)?;
    merged.extend(offsets.iter().map(|(id, offset)| (id.clone(), *offset)));
    write(disk, dir, which, &merged)
}

fn entry(line: &str) -> Option<(TopicPartition, Offset)> {
    let mut words = line.split(' ');
    let topic = TopicName::new(words.next()?)?;
    let partition = PartitionIndex::new(words.next()?.parse().ok()?)?;
    let offset = Offset::from_wire(words.next()?.parse().ok()?)?;
    let id = TopicPartition { topic, partition };
    words.next().is_none().then_some((id, offset))
}
