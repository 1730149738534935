//! The directory of what a demo generates: made anew for each, and known by a mark, so that what
//! is left of one that was killed can go.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::DemoFault;
use crate::cli::Misuse;

/// A file that no partition has. It comes first and goes last.
const MARK: &str = ".twinlog-demo";

/// What is generated; it goes with this value.
pub(super) struct Generated {
    path: PathBuf,
    /// The directory around it, where that was made for it.
    around: Option<PathBuf>,
}

impl Generated {
    /// An empty one of this name in the demo's directory.
    pub(super) fn begin(dir: &Path, name: &str) -> Result<Generated, DemoFault> {
        let path = dir.join(name);
        if !may_go(&path)? {
            let path = path.display();
            let why = format!("{path} exists and is not of a demo: choose another --dir");
            return Err(Misuse::Argument(why).into());
        }
        remove(&path);
        let around = (!dir.exists()).then(|| dir.to_owned());
        let generated = Generated { path, around };
        let made = fs::create_dir_all(&generated.path);
        let marked = made.and_then(|()| fs::write(generated.path.join(MARK), ""));
        marked.map_err(|error| {
            let path = generated.path.display();
            io::Error::new(
                error.kind(),
                format!("{path}: {error}{}", crate::io::advice(&error)),
            )
        })?;
        Ok(generated)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Generated {
    fn drop(&mut self) {
        remove(&self.path);
        if let Some(around) = &self.around {
            // It stays where a vault lies in it.
            drop(fs::remove_dir(around));
        }
    }
}

/// Whether nothing is there, or what a demo has generated.
fn may_go(path: &Path) -> io::Result<bool> {
    match fs::read_dir(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(!path.is_symlink()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => Ok(false),
        Err(error) => Err(error),
        Ok(mut entries) => Ok(path.join(MARK).exists() || entries.next().is_none()),
    }
}

/// Removes what a demo has generated, as far as that can be done; the mark stays until the rest
/// is gone.
pub(super) fn remove(path: &Path) {
    let Ok(entries) = fs::read_dir(path) else {
        return;
    };
    for entry in entries.flatten().filter(|entry| entry.file_name() != MARK) {
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        // What stays keeps its directory, and goes before the next demo there.
        drop(match is_directory {
            true => fs::remove_dir_all(entry.path()),
            false => fs::remove_file(entry.path()),
        });
    }
    let is_bare = fs::read_dir(path).is_ok_and(|left| left.count() <= 1);
    if is_bare {
        drop(fs::remove_file(path.join(MARK)));
        drop(fs::remove_dir(path));
    }
}
