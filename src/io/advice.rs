//! What can be done where the system says no, in words that follow its own.

use std::io::{self, ErrorKind};

/// The next step as the end of a sentence, with what parts it from the words before; empty where
/// none is known.
#[must_use]
pub fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::PermissionDenied => {
            "; give the user that runs twinlog the right to it, or choose another place"
        }
        ErrorKind::ReadOnlyFilesystem => {
            "; its file system is mounted for reading only: choose another place"
        }
        ErrorKind::NotFound => "; see whether the path is right",
        ErrorKind::NotADirectory => "; a directory is wanted: see whether the path is right",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; make room there",
        _ => "",
    }
}
