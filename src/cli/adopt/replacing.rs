//! A partition's empty files are replaced by the vault's, in steps that may be cut off anywhere
//! and begun again.
//!
//! A copy is made under a name that no broker looks at. Files get their own names once all copies
//! are there and durable: indexes first, then segments from the oldest on, so that what a broker
//! would see in between is the beginning of the log. A segment that has its name already is the
//! vault's, as [`stranger`] has made sure, and is not copied again. What has a strange name stays.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::io::{Disk, Entry, advice};
use crate::log::is_for_us;
use crate::model::TopicId;
use crate::uring::RealDisk;

/// The end of the name of a copy that is being made.
const UNFINISHED: &str = ".twinlog-adopting";
const METADATA: &str = "partition.metadata";
/// How the names end that a broker gives to a log's files.
const OWN_ENDS: [&str; 7] = [
    ".log",
    ".index",
    ".timeindex",
    ".txnindex",
    ".snapshot",
    "leader-epoch-checkpoint",
    METADATA,
];
/// Bytes of two files that are compared at once.
const WINDOW_BYTES: usize = 1 << 20;

/// Where the system said no.
#[derive(Debug, thiserror::Error)]
#[error(
    "{}: {error}{}; once the cause is gone, run the same adopt again: it goes on from there",
    path.display(), advice(error)
)]
pub(super) struct ReplaceFault {
    path: PathBuf,
    error: io::Error,
}

fn at(path: &Path) -> impl Fn(io::Error) -> ReplaceFault + '_ {
    |error| ReplaceFault {
        path: path.to_owned(),
        error,
    }
}

fn is_segment(entry: &Entry) -> bool {
    entry.name.ends_with(".log") && entry.bytes > 0
}

/// Whether all records that lie in `to` are the vault's, from an adoption that was cut off.
/// `None` where they are, or where there are none; else the first file that is not.
pub(super) fn stranger(from: &Path, to: &Path) -> io::Result<Option<PathBuf>> {
    let entries = RealDisk.list(to)?;
    for segment in entries.iter().filter(|entry| is_segment(entry)) {
        let there = to.join(&segment.name);
        if !is_same(&from.join(&segment.name), &there)? {
            return Ok(Some(there));
        }
    }
    Ok(None)
}

/// Whether both files hold the same bytes; the first may be missing.
fn is_same(ours: &Path, there: &Path) -> io::Result<bool> {
    let mut ours = match fs::File::open(ours) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    let mut there = fs::File::open(there)?;
    if ours.metadata()?.len() != there.metadata()?.len() {
        return Ok(false);
    }
    let (mut held, mut found) = (vec![0; WINDOW_BYTES], Vec::with_capacity(WINDOW_BYTES));
    loop {
        let count = ours.read(&mut held)?;
        found.clear();
        Read::by_ref(&mut there)
            .take(count as u64)
            .read_to_end(&mut found)?;
        if held[..count] != found[..] {
            return Ok(false);
        }
        if count == 0 {
            return Ok(true);
        }
    }
}

/// One effect; a copy and what is written are durable when it is done.
#[derive(Debug)]
enum Step {
    Remove(PathBuf),
    Copy { from: PathBuf, to: PathBuf },
    Write { text: String, to: PathBuf },
    Rename { from: PathBuf, to: PathBuf },
    Sync(PathBuf),
}

/// What is to be done, in its order.
pub(super) struct Replacement(Vec<Step>);

impl Replacement {
    /// How the partition in `to`, of which no file is a [`stranger`], gets the files of `from`.
    pub(super) fn plan(
        from: &Path,
        to: &Path,
        topic_id: TopicId,
    ) -> Result<Replacement, ReplaceFault> {
        let there = RealDisk.list(to).map_err(at(to))?;
        let mut held = RealDisk.list(from).map_err(at(from))?;
        let is_held = |name: &str| held.iter().any(|entry| entry.name == name);
        let is_unfinished = |entry: &&Entry| entry.name.ends_with(UNFINISHED);
        let is_stale = |entry: &&Entry| {
            let is_own = OWN_ENDS.iter().any(|end| entry.name.ends_with(end));
            is_own && !is_held(&entry.name)
        };
        let remove = |entry: &Entry| Step::Remove(to.join(&entry.name));
        let unfinished: Vec<Step> = there.iter().filter(is_unfinished).map(remove).collect();
        let stale: Vec<Step> = there.iter().filter(is_stale).map(remove).collect();
        let is_kept = |entry: &Entry| {
            let same = |there: &Entry| there.name == entry.name && is_segment(there);
            there.iter().any(same)
        };
        held.retain(|entry| !entry.is_dir && !is_kept(entry) && !is_for_us(&entry.name));
        held.sort_by_key(|entry| (entry.name.ends_with(".log"), entry.name.clone()));
        let aside = |name: &str| to.join(format!("{name}{UNFINISHED}"));
        let made = held.iter().map(|entry| match entry.name.as_str() {
            METADATA => Step::Write {
                text: format!("version: 0\ntopic_id: {topic_id}"),
                to: aside(METADATA),
            },
            name => Step::Copy {
                from: from.join(name),
                to: aside(name),
            },
        });
        let named = held.iter().map(|entry| Step::Rename {
            from: aside(&entry.name),
            to: to.join(&entry.name),
        });
        let steps = unfinished.into_iter().chain(made).chain(stale).chain(named);
        let synced = [Step::Sync(to.to_owned())];
        Ok(Replacement(steps.chain(synced).collect()))
    }

    /// Does all of it. Says how many bytes were copied.
    pub(super) fn carry_out(self) -> Result<u64, ReplaceFault> {
        self.0.iter().map(Step::carry_out).sum()
    }
}

impl Step {
    /// Says how many bytes were copied.
    fn carry_out(&self) -> Result<u64, ReplaceFault> {
        match self {
            Step::Remove(path) => fs::remove_file(path).map_err(at(path))?,
            Step::Copy { from, to } => {
                let bytes = fs::copy(from, to).map_err(at(to))?;
                sync(to)?;
                return Ok(bytes);
            }
            Step::Write { text, to } => {
                fs::write(to, text).map_err(at(to))?;
                sync(to)?;
            }
            Step::Rename { from, to } => fs::rename(from, to).map_err(at(to))?,
            Step::Sync(dir) => RealDisk.sync_dir(dir).map_err(at(dir))?,
        }
        Ok(0)
    }
}

fn sync(path: &Path) -> Result<(), ReplaceFault> {
    let synced = fs::File::open(path).and_then(|file| file.sync_all());
    synced.map_err(at(path))
}

#[cfg(test)]
mod tests;
