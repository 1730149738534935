//! The state log on disk: what a node must not forget, kept before anything is done because of it.
//!
//! A log of [`Record`]s in one file. They are appended in groups, all or none of one, and a group
//! counts when it is durable: [`StateFile::append`] returns no earlier. When most of the file has
//! been replaced by later records it is written anew, beside the old one, and takes its name. It is
//! the only place that knows where the records are: they could as well be a topic's.
//!
//! ```text
//! file    HEAD, groups
//! group   length i32 of what follows the checksum, CRC-32 u32 of the rest,
//!         offset i64 of the first record, count i32, records
//! record  length i32 of the key, key, length i32 of the value or −1 for none, value
//! ```
//!
//! Numbers are big-endian. A group is written only when the one before it is durable, so that no
//! more than the last one can be torn. It is cut off where its end is missing or is not what it was
//! when the checksum was made, and nothing follows; everything else is damage, and is not guessed
//! at.

mod groups;

use std::io;
use std::path::{Path, PathBuf};

use crate::io::{Disk, File, Open, advice};
use crate::mirror::{Record, ReplayFault, StateLog};
use crate::model::{Offset, Position};

use groups::{GROUP_BYTES_MAX, HEAD, group, read_all};

/// The file's name in the node's directory.
pub const FILE: &str = "mirror-state.log";
const FRESH: &str = "mirror-state.log.new";
/// Who holds this lock may write the file.
const LOCK: &str = "node.lock";
/// A smaller file is not worth writing anew.
const REWRITE_BYTES_MIN: u64 = 1 << 20;
/// It is written anew once it is so many times as large as it was then.
const REWRITE_GROWTH: u64 = 4;
/// Records in one group of a file that is written anew: a loss there loses the new file only.
const REWRITE_RECORDS: usize = 4_096;

/// Why the state cannot be kept, or be told.
#[derive(Debug, thiserror::Error)]
pub enum StateFault {
    /// The system says no.
    #[error("{}: {error}{}", path.display(), advice(error))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it says.
        error: io::Error,
    },
    /// Another process is this node.
    #[error(
        "{} is in use by another twinlog: stop that one, or set another node.data_dir",
        dir.display()
    )]
    InUse {
        /// The node's directory.
        dir: PathBuf,
    },
    /// The bytes are not those that were written.
    #[error(
        "{} is damaged at byte {at}: {why}. Put a copy of it back. Where there is none, move it \
         away: the node then knows the mirrors of its configuration only, no topic that was \
         started or stopped by command, and no position of a stop", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where its damage begins.
        at: u64,
        /// What is wrong there.
        why: String,
    },
    /// A record that we cannot take in.
    #[error("{}: {why}: was it written by a newer twinlog? Then run that one", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// Which record, and what is wrong with it.
        why: ReplayFault,
    },
    /// So many records at once.
    #[error("{bytes} bytes of state at once: {GROUP_BYTES_MAX} at the most")]
    TooMuch {
        /// What they would take.
        bytes: usize,
    },
    /// An earlier write has left it in the dark.
    #[error(
        "nothing more is written to {}: after an earlier failure nobody knows what of it is kept. \
         See to the disk, then start the node again", path.display()
    )]
    Broken {
        /// The file.
        path: PathBuf,
    },
}

/// The state log, and what it says.
pub struct StateFile<D: Disk> {
    disk: D,
    dir: PathBuf,
    file: D::File,
    log: StateLog,
    /// The file's bytes.
    end: u64,
    /// The offset of the next record.
    next: Offset,
    /// The size at which it is to be written anew.
    rewrite_at: u64,
    is_broken: bool,
    /// Held, never read: the lock ends with the file.
    _lock: D::File,
}

/// What the log in `dir` says, without lock or change: a node may be writing it. `None` where
/// there is none.
///
/// # Errors
/// It cannot be read, or is not what was written.
pub fn look<D: Disk>(disk: &D, dir: &Path) -> Result<Option<StateLog>, StateFault> {
    let path = dir.join(FILE);
    let file = match disk.open(&path, Open::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(&path)(error)),
    };
    Ok(Some(read_all(&file, &path)?.log))
}

impl<D: Disk> StateFile<D> {
    /// Opens the log in `dir`, or begins one. All that it says is durable from then on: a process
    /// that was killed may have written what it did not live to see kept.
    ///
    /// # Errors
    /// It cannot be read, or is not what was written. Nothing was changed then.
    pub fn open(disk: D, dir: &Path) -> Result<StateFile<D>, StateFault> {
        disk.create_dir(dir).map_err(at(dir))?;
        let lock = disk.lock(&dir.join(LOCK)).map_err(at(&dir.join(LOCK)))?;
        let lock = lock.ok_or_else(|| StateFault::InUse {
            dir: dir.to_owned(),
        })?;
        let path = dir.join(FILE);
        let entries = disk.list(dir).map_err(at(dir))?;
        let is_there = |name: &str| entries.iter().any(|entry| entry.name == name);
        if is_there(FRESH) {
            // It was never the file: who was writing it ended before that.
            disk.remove_file(&dir.join(FRESH))
                .map_err(at(&dir.join(FRESH)))?;
        }
        let file = disk.open(&path, Open::WriteOrCreate).map_err(at(&path))?;
        let found = read_all(&file, &path)?;
        if found.size > found.end {
            tracing::warn!(
                "{}: {} bytes at its end were never wholly written; they are cut off",
                path.display(),
                found.size - found.end
            );
            file.truncate(Position::new(found.end)).map_err(at(&path))?;
        }
        let mut end = found.end;
        if end == 0 {
            file.write_at(HEAD, Position::ZERO).map_err(at(&path))?;
            end = HEAD.len() as u64;
        }
        file.sync_blocking().map_err(at(&path))?;
        disk.sync_dir(dir).map_err(at(dir))?;
        Ok(StateFile {
            disk,
            dir: dir.to_owned(),
            file,
            log: found.log,
            end,
            next: found.next,
            rewrite_at: end.saturating_mul(2).max(REWRITE_BYTES_MIN),
            is_broken: false,
            _lock: lock,
        })
    }

    /// All that the records say that are kept.
    #[must_use]
    pub fn log(&self) -> &StateLog {
        &self.log
    }

    /// Keeps records, all or none. Where it returns `Ok` they are durable and in [`Self::log`].
    ///
    /// To be awaited to its end: one that was dropped leaves the log [`StateFault::Broken`].
    ///
    /// # Errors
    /// None of them counts. Whether more can be kept is told by the next call: a full disk may
    /// get room, after anything else it says [`StateFault::Broken`].
    pub async fn append(&mut self, records: Vec<Record>) -> Result<(), StateFault> {
        let path = self.dir.join(FILE);
        if self.is_broken {
            return Err(StateFault::Broken { path });
        }
        if records.is_empty() {
            return Ok(());
        }
        self.try_each(&records)?;
        let (bytes, after) = group(self.next, &records);
        if bytes.len() > GROUP_BYTES_MAX {
            let bytes = bytes.len();
            return Err(StateFault::TooMuch { bytes });
        }
        self.is_broken = true;
        let end = Position::new(self.end);
        if let Err(error) = self.file.write_at(&bytes, end) {
            // What was written of it is cut off; then it is as if nothing had been tried.
            self.is_broken = self.file.truncate(end).is_err();
            return Err(at(&path)(error));
        }
        self.file.sync().await.map_err(at(&path))?;
        self.is_broken = false;
        self.end += bytes.len() as u64;
        for (offset, record) in (self.next.value()..).zip(records) {
            let taken = self.log.apply(Offset::new(offset), record);
            taken.expect("what was written has been tried, and offsets rise");
        }
        self.next = after;
        if self.end >= self.rewrite_at {
            self.rewrite().await?;
        }
        Ok(())
    }

    /// What could not be replayed is not written.
    fn try_each(&self, records: &[Record]) -> Result<(), StateFault> {
        for record in records {
            let tried = StateLog::new().replay(self.next, &record.key(), record.value().as_deref());
            tried.map_err(|why| StateFault::Unknown {
                path: self.dir.join(FILE),
                why,
            })?;
        }
        Ok(())
    }

    /// Writes the file anew with the records that count. Their offsets end where they ended, so
    /// that what an operator has seen is not newer than what there is.
    async fn rewrite(&mut self) -> Result<(), StateFault> {
        let (path, fresh) = (self.dir.join(FILE), self.dir.join(FRESH));
        let written = self.write_fresh(&fresh).await;
        let (file, end) = match written {
            Ok(written) => written,
            Err(error) => {
                // The old file has everything still.
                tracing::warn!(
                    "{} is not made smaller: {}: {error}{}",
                    path.display(),
                    fresh.display(),
                    advice(&error)
                );
                drop(self.disk.remove_file(&fresh));
                self.rewrite_at = self.end.saturating_mul(2);
                return Ok(());
            }
        };
        self.is_broken = true;
        self.disk.rename(&fresh, &path).map_err(at(&path))?;
        // Until this is done a loss of power may bring the old file back: nothing may have been
        // written to the new one by then.
        self.disk.sync_dir(&self.dir).map_err(at(&self.dir))?;
        self.is_broken = false;
        self.file = file;
        self.end = end;
        self.rewrite_at = end.saturating_mul(REWRITE_GROWTH).max(REWRITE_BYTES_MIN);
        Ok(())
    }

    async fn write_fresh(&self, path: &Path) -> io::Result<(D::File, u64)> {
        let records: Vec<Record> = self.log.records().collect();
        let count = i64::try_from(records.len()).expect("what is in memory can be counted");
        let mut next = Offset::from_wire(self.next.value() - count)
            .expect("each record that counts was appended once");
        let file = self.disk.open(path, Open::CreateEmpty)?;
        file.write_at(HEAD, Position::ZERO)?;
        let mut end = HEAD.len() as u64;
        for records in records.chunks(REWRITE_RECORDS) {
            let (bytes, after) = group(next, records);
            file.write_at(&bytes, Position::new(end))?;
            end += bytes.len() as u64;
            next = after;
        }
        file.sync().await?;
        Ok((file, end))
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> StateFault {
    let path = path.to_owned();
    |error| StateFault::Io { path, error }
}

#[cfg(test)]
mod tests;
