//! Why a log cannot be opened, read or written.

use std::io;
use std::path::{Path, PathBuf};

use crate::model::Offset;
use crate::record::ControlFault;

/// Whose fault it is shows in the variant; each text says the way out where there is one.
#[derive(Debug, thiserror::Error)]
pub enum LogFault {
    /// The disk said no.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The disk could not say that what was written lies there: it may be lost already.
    #[error(
        "{} could not be synced, so that nobody knows what the disk holds of it: {error}; it goes \
         on from what was durable when the copy is started again", path.display()
    )]
    Unsynced {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file is not what was written to it.
    #[error(
        "{} is damaged at byte {at}: {why}; it was durable before, so this is no torn write: \
         run twinlog verify --vault on the vault, then move the partition's directory aside and \
         copy it again", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        at: u64,
        /// What is wrong.
        why: String,
    },
    /// Segments that were durable are gone.
    #[error(
        "{} ends at offset {end}, but offsets up to {durable} were durable: files are missing; \
         restore them, or move the directory aside and copy the partition again", dir.display()
    )]
    Missing {
        /// The partition's directory.
        dir: PathBuf,
        /// Where it ends now.
        end: Offset,
        /// Where it was known to reach.
        durable: Offset,
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

impl LogFault {
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
