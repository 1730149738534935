//! What leads on from a finding: the commands, word for word.

use std::path::{Path, PathBuf};

use crate::log::fault::way_out;
use crate::log::layout::{self, DIGEST, EPOCHS, INDEX, SNAPSHOT, TIME_INDEX, TXN_INDEX};
use crate::stdx::shell::{beside, word};

/// What leads on from a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The next copy makes again what is missing.
    Copy,
    /// These files are made from the batches: removed, the next copy makes them again.
    Remove(Vec<PathBuf>),
    /// The partition in this directory has to be fetched anew.
    Anew(PathBuf),
    /// It belongs elsewhere.
    Away(PathBuf),
}

impl Remedy {
    /// What leads on from damage of the file at `path`, of a partition that lies in `dir`.
    pub(super) fn of(path: &Path, dir: &Path, is_led: bool) -> Remedy {
        let anew = || Remedy::Anew(dir.to_owned());
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return anew();
        };
        let offset = |suffix| layout::offset_of(name, suffix);
        if let Some(base) = offset(TXN_INDEX) {
            // That it is gone is not seen: most segments have none. An index of offsets is missed.
            let index = layout::path(dir, base, INDEX);
            return Remedy::Remove(vec![path.to_owned(), index]);
        }
        let is_derived = [INDEX, TIME_INDEX, SNAPSHOT]
            .into_iter()
            .any(|suffix| offset(suffix).is_some());
        // Where a log is led, an epoch may begin before its first batch.
        if is_derived || name == DIGEST || name == EPOCHS && !is_led {
            return Remedy::Remove(vec![path.to_owned()]);
        }
        match path == dir || layout::is_ours(name) {
            true => anew(),
            false => Remedy::Away(path.to_owned()),
        }
    }
}

impl std::fmt::Display for Remedy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Remedy::Copy => write!(f, "the same `twinlog copy` makes it again"),
            Remedy::Remove(paths) => {
                write!(f, "`rm -f")?;
                for path in paths {
                    write!(f, " {}", word(path))?;
                }
                write!(f, "`, then the same `twinlog copy` makes it again")
            }
            Remedy::Anew(dir) => write!(f, "{}", way_out(Some(dir))),
            Remedy::Away(path) => {
                let vault = path.parent().and_then(Path::parent);
                let name = path.file_name().unwrap_or_default().display();
                let away = beside(vault.unwrap_or(Path::new("")), &format!(".{name}"));
                write!(f, "`mv {} {}` takes it out", word(path), word(&away))
            }
        }
    }
}
