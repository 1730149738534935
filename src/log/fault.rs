//! Why a log cannot be opened, read or written.

use std::io;
use std::path::{Path, PathBuf};

use crate::io::advice;
use crate::model::{LeaderEpoch, Offset, TopicId};
use crate::record::ControlFault;
use crate::stdx::shell::{beside, word};

/// Whose fault it is shows in the variant; each text says the way out where there is one.
#[derive(Debug, thiserror::Error)]
pub enum LogFault {
    /// The disk said no.
    #[error("{}: {error}{}", path.display(), advice(error))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The disk could not say that what was written lies there: it may be lost already.
    #[error(
        "{} could not be synced, so that nobody knows what the disk holds of it: {error}; it goes \
         on from what was durable: a copy that follows opens it again by itself, any other one \
         when it is run again", path.display()
    )]
    Unsynced {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file is not what was written to it.
    #[error(
        "{} is damaged at byte {at}: {why}; it was durable before, so this is no torn write: {}",
        path.display(), way_out(path.parent())
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        at: u64,
        /// What is wrong.
        why: String,
        /// The end of what is sound before it, where that is known.
        sound_end: Option<Offset>,
    },
    /// Segments that were durable are gone.
    #[error(
        "{} ends at offset {end}, but offsets up to {durable} were durable: files are missing: {}",
        dir.display(), way_out(Some(dir))
    )]
    Missing {
        /// The partition's directory.
        dir: PathBuf,
        /// Where it ends now.
        end: Offset,
        /// Where it was known to reach.
        durable: Offset,
    },
    /// A snapshot of producers tells of offsets that were never durable.
    #[error(
        "{} tells of producers up to offset {at}, but the log ends at {end}, and no more was \
         durable: after `rm {}` the same copy does without it", path.display(), word(path)
    )]
    SnapshotAhead {
        /// The snapshot.
        path: PathBuf,
        /// Its offset.
        at: Offset,
        /// Where the log ends.
        end: Offset,
    },
    /// A directory that belongs to another topic.
    #[error(
        "{} holds topic id {found}, it should be {expected}: it comes from elsewhere: {}",
        dir.display(), way_out(Some(dir))
    )]
    Elsewhere {
        /// The partition's directory.
        dir: PathBuf,
        /// The topic id that its `partition.metadata` names.
        found: TopicId,
        /// The topic's id.
        expected: TopicId,
    },
    /// It is to be led in an epoch that is over.
    #[error(
        "{} cannot be led in leader epoch {epoch}: its log knows epoch {last}, so that it comes \
         from another cluster, or the cluster has forgotten; look at it with `twinlog inspect {}`",
        dir.display(), word(dir)
    )]
    Led {
        /// The partition's directory.
        dir: PathBuf,
        /// The epoch in which it is to be led.
        epoch: LeaderEpoch,
        /// The epoch that it knows.
        last: LeaderEpoch,
    },
    /// A marker of a transaction that cannot be read.
    #[error("the control batch at offset {at} cannot be read: {fault}")]
    Marker {
        /// Its offset.
        at: Offset,
        /// What is wrong.
        fault: ControlFault,
    },
}

/// The commands that lead on from damage that cannot be mended here.
pub(super) fn way_out(dir: Option<&Path>) -> String {
    let nowhere = Path::new("");
    let dir = dir.unwrap_or(nowhere);
    let vault = match dir.parent() {
        None => nowhere,
        Some(vault) if vault == nowhere => Path::new("."),
        Some(vault) => vault,
    };
    format!(
        "`twinlog verify --vault {} --from HOST:PORT` shows what the source still has; after \
         `{}` the same copy fetches the partition anew",
        word(vault),
        take_out(dir)
    )
}

/// The command that takes a partition's directory out of its vault.
#[must_use]
pub fn take_out(dir: &Path) -> String {
    let vault = dir.parent().unwrap_or(Path::new(""));
    let name = dir.file_name().unwrap_or_default().display();
    let aside = beside(vault, &format!(".{name}.damaged"));
    format!("mv {} {}", word(dir), word(&aside))
}

impl LogFault {
    /// Up to where the log is sound, of a log that has lost what was durable.
    pub(super) fn sound_end(&self) -> Option<Offset> {
        match self {
            LogFault::Damaged { sound_end, .. } => *sound_end,
            LogFault::Missing { end, .. } => Some(*end),
            _ => None,
        }
    }

    /// Whether it may pass by itself, and nothing is lost that the log has: a disk that is full.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, LogFault::Io { .. })
    }
}

/// Names the file whose sync has failed.
pub(super) fn unsynced(path: &Path) -> impl Fn(io::Error) -> LogFault + '_ {
    |error| LogFault::Unsynced {
        path: path.to_owned(),
        error,
    }
}

/// Names a small file that could not be replaced: for want of room, or else perhaps unsynced.
pub(super) fn replacing(path: &Path) -> impl Fn(io::Error) -> LogFault + '_ {
    |error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => at(path)(error),
        _ => unsynced(path)(error),
    }
}

/// Names the file in the system's complaint.
pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> LogFault + '_ {
    |error| LogFault::Io {
        path: path.to_owned(),
        error,
    }
}
