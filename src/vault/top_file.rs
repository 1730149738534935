//! The small files at the top of a log directory, each read for itself: for tools.

use std::io;
use std::path::Path;

use super::{Checkpoint, Offsets, VaultFault, at, checkpoints, identity, read_text, state};
use crate::io::Disk;

/// What a cleaner has gone through (`LogCleanerManager`); of brokers alone, formed as the others.
const CLEANER: &str = "cleaner-offset-checkpoint";

/// What such a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopFile {
    /// A checkpoint.
    Offsets(Offsets),
    /// A text.
    Lines(Vec<String>),
}

/// Whether a file of this name is one that [`read_top_file`] can read.
#[must_use]
pub fn is_top_file(name: &str) -> bool {
    let others = [
        state::FILE,
        state::COPY,
        identity::FILE,
        super::CLEAN_SHUTDOWN,
    ];
    is_checkpoint(name) || others.contains(&name)
}

fn is_checkpoint(name: &str) -> bool {
    let checkpoints = [
        Checkpoint::RecoveryPoint,
        Checkpoint::HighWatermark,
        Checkpoint::LogStart,
    ];
    name == CLEANER || checkpoints.iter().any(|which| which.file_name() == name)
}

/// Reads one of the files at the top of a vault or of a broker's log directory.
///
/// # Errors
/// It is not there, or not what its name says.
pub fn read_top_file<D: Disk>(disk: &D, path: &Path) -> Result<TopFile, VaultFault> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let missing = || at(path)(io::ErrorKind::NotFound.into());
    let text = read_text(disk, path)?.ok_or_else(missing)?;
    if is_checkpoint(&name) {
        let offsets = checkpoints::from_text(&text, path)?;
        return Ok(TopFile::Offsets(offsets));
    }
    if [state::FILE, state::COPY].contains(&&*name) {
        let dir = path.parent().unwrap_or(Path::new(""));
        // Its checksum and form.
        drop(state::read_one(disk, dir, &name)?);
    }
    Ok(TopFile::Lines(text.lines().map(str::to_owned).collect()))
}
