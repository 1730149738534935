//! The top level of a vault: its lock, its identity, its checkpoints and our own state file.
//!
//! A vault is laid out as one entry of a broker's `log.dirs`. A stock broker reads the lock, the
//! identity, the clean-shutdown marker and the checkpoints here, takes every directory for a
//! partition and stops on one that is none; plain files that it does not know it leaves alone.

mod agreement;
mod checkpoints;
mod fault;
mod identity;
mod state;
mod top_file;

pub use checkpoints::{Checkpoint, Offsets, merge_checkpoint};
pub use fault::VaultFault;
pub use identity::Identity;
pub use state::{Ending, Gap, PartitionState, State};
pub use top_file::{TopFile, is_top_file, read_top_file};

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::io::{Disk, Durability, Entry, File, Open, replace};
use crate::model::{Offset, Position, ProducerIdShift, TopicPartition};

/// Java's `FileLock` on this file is how a broker claims a log directory (`LogManager`).
const LOCK: &str = ".lock";
/// Its presence in a log directory says that everything was synced and closed
/// (`CleanShutdownFileHandler`).
pub const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
/// What stands in it. A broker takes the epoch into its registration; -1 is its own "none".
const MARKER: &str = r#"{"version":0,"brokerEpoch":-1}"#;
/// No small file of a vault is larger, in bytes; more is damage.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// A vault that is ours: no other process may write it until this value is gone.
pub struct Vault<D: Disk> {
    disk: D,
    dir: PathBuf,
    /// Held, never read: the lock ends with the file.
    _lock: D::File,
}

/// What stood in a vault when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Whether whoever wrote it last synced and closed everything.
    pub clean: bool,
    /// Our own notes.
    pub state: State,
    /// Below these offsets a partition's files were synced.
    pub recovery_points: Offsets,
    /// The partitions' high watermarks.
    pub high_watermarks: Offsets,
    /// The partitions' log starts.
    pub log_starts: Offsets,
    /// Every partition directory, sorted.
    pub partitions: Vec<TopicPartition>,
    /// What is wrong with the files at the top, in words. What could be told from the others
    /// stands above.
    pub damage: Vec<String>,
}

impl<D: Disk> Vault<D> {
    /// The file that makes a directory a vault.
    pub const STATE: &str = state::FILE;

    /// Locks the vault at `dir`, or makes one there for `identity` where nothing is yet. All that
    /// it holds has its producer ids raised by `shift`: the vault remembers it before it gets its
    /// first partition. The clean-shutdown marker is gone afterwards; [`Found::clean`] remembers
    /// it.
    ///
    /// # Errors
    /// Why the vault is not ours to write.
    pub fn open(
        disk: D,
        dir: &Path,
        identity: &Identity,
        shift: ProducerIdShift,
    ) -> Result<(Vault<D>, Found), VaultFault> {
        disk.create_dir(dir).map_err(at(dir))?;
        refuse_strange(&disk, dir)?;
        let lock = lock(&disk, dir)?;
        complete(&disk, dir, identity, shift)?;
        let mut found = Vault::look(&disk, dir)?;
        refuse_other_source(dir, &found.state, identity)?;
        refuse_other_shift(dir, &found, shift)?;
        // Notes and copy do not change at once, and are the same where it stands.
        remove_marker(&disk, dir, found.clean)?;
        let is_new = found.state.producer_id_shift != shift;
        found.state.producer_id_shift = shift;
        if found.state.directory_id.is_none() {
            let own = identity::directory_id(&disk, dir)?;
            found.state.directory_id = own.or_else(|| Some(identity.directory_id.clone()));
        }
        mend(&disk, dir, &found, identity, is_new)?;
        let vault = Vault {
            disk,
            dir: dir.to_owned(),
            _lock: lock,
        };
        Ok((vault, found))
    }

    /// What stands in a vault, without lock or change: for tools. A process that writes it at the
    /// same time may be ahead of the answer.
    ///
    /// # Errors
    /// Why the directory is not a sound vault.
    pub fn look(disk: &D, dir: &Path) -> Result<Found, VaultFault> {
        let entries = disk.list(dir).map_err(at(dir))?;
        let has = |name: &str| entries.iter().any(|entry| entry.name == name);
        if !has(state::FILE) && !has(state::COPY) {
            return Err(strange(disk, dir, &entries)?);
        }
        // Before and after all else: nobody has written meanwhile where it stands both times.
        let marker = read_text(disk, &dir.join(CLEAN_SHUTDOWN))?;
        let mut damage = Vec::new();
        let state::Read { state, differs } = state::read(disk, dir, &mut damage)?;
        let notes_are_sound = damage.is_empty();
        let (judged, path) = (
            identity::judge(disk, dir, &state)?,
            dir.join(identity::FILE),
        );
        damage.extend(judged.map(|why| format!("{} is damaged: {why}", path.display())));
        if marker.as_ref().is_some_and(|marker| marker != MARKER) {
            let path = dir.join(CLEAN_SHUTDOWN);
            damage.push(format!("{} is damaged", path.display()));
        }
        let directories = partitions(dir, &entries)?;
        let noted = |offset: fn(&PartitionState) -> Option<Offset>| -> Offsets {
            let held = directories.iter();
            let noted = held.filter_map(|id| Some((id.clone(), state.partitions.get(id)?)));
            noted
                .filter_map(|(id, state)| Some((id, offset(state)?)))
                .collect()
        };
        let mut known: Vec<TopicPartition> = directories.clone();
        known.extend(state.partitions.keys().cloned());
        known.sort();
        known.dedup();
        let mut strangers = Vec::new();
        let mut checkpoint = |which: Checkpoint, noted: Offsets| {
            let told = checkpoints::read_or(disk, dir, which, &known, noted, &mut damage)?;
            strangers.extend(told.strangers(which));
            Ok::<Offsets, VaultFault>(told.offsets)
        };
        let position = |state: &PartitionState| Some(state.position);
        let recovery_points = checkpoint(Checkpoint::RecoveryPoint, noted(position))?;
        let high_watermarks = checkpoint(Checkpoint::HighWatermark, noted(position))?;
        let log_starts = checkpoint(Checkpoint::LogStart, noted(|state| state.log_start))?;
        // After the checkpoints: whoever writes meanwhile makes directories before he tells, and
        // takes the marker away before that.
        let entries = disk.list(dir).map_err(at(dir))?;
        let is_closed = entries.iter().any(|entry| entry.name == CLEAN_SHUTDOWN);
        let mut found = Found {
            clean: marker.is_some() && is_closed,
            state,
            recovery_points,
            high_watermarks,
            log_starts,
            partitions: partitions(dir, &entries)?,
            damage,
        };
        if found.clean && differs {
            let (path, copy) = (dir.join(state::FILE), state::COPY);
            let what = format!("{} does not say what {copy} says", path.display());
            found.damage.push(what);
        }
        if notes_are_sound {
            let contradictions = agreement::contradictions(&found, dir);
            found.damage.extend(contradictions);
            if found.clean {
                found.damage.extend(strangers);
            }
            agreement::believe_notes(&mut found);
        }
        Ok(found)
    }

    /// The id of the broker whose logs lie in `dir`, where its identity tells it; 0 for none.
    ///
    /// # Errors
    /// What the system says, with the file's name.
    pub fn node_id(disk: &D, dir: &Path) -> Result<Option<i32>, VaultFault> {
        identity::node_id(disk, dir)
    }

    /// The id of the directory whose logs lie in `dir`; `None` where there are none, or no `dir`.
    ///
    /// # Errors
    /// There are some, or what is there cannot be read, and whose they are cannot be told.
    pub fn directory_id(disk: &D, dir: &Path) -> Result<Option<String>, VaultFault> {
        identity::of_logs(disk, dir)
    }

    /// Whether a process has the vault in `dir` open to write it. Reads only.
    ///
    /// # Errors
    /// What the system says, with the file's name.
    pub fn is_written(disk: &D, dir: &Path) -> Result<bool, VaultFault> {
        let path = dir.join(LOCK);
        disk.is_locked(&path).map_err(at(&path))
    }

    /// The vault's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where a partition's files lie.
    #[must_use]
    pub fn partition_dir(&self, id: &TopicPartition) -> PathBuf {
        self.dir.join(id.to_string())
    }

    /// Replaces one of the three checkpoints as a whole, durably.
    ///
    /// # Errors
    /// What the system says, with the file's name.
    pub fn save(&self, which: Checkpoint, offsets: &Offsets) -> Result<(), VaultFault> {
        checkpoints::write(&self.disk, &self.dir, which, offsets)
    }

    /// Replaces our own notes, durably.
    ///
    /// # Errors
    /// What the system says, with the file's name.
    pub fn save_state(&self, state: &State) -> Result<(), VaultFault> {
        state::write(&self.disk, &self.dir, state)
    }

    /// Marks the vault as cleanly closed and unlocks it. Every log has been closed and synced
    /// before, and the checkpoints saved.
    ///
    /// # Errors
    /// What the system says, with the file's name.
    pub fn close(self) -> Result<(), VaultFault> {
        let path = self.dir.join(CLEAN_SHUTDOWN);
        let notes = state::read(&self.disk, &self.dir, &mut Vec::new())?;
        state::write_copy(&self.disk, &self.dir, &notes.state)?;
        let content = MARKER.as_bytes();
        replace(&self.disk, &path, content, Durability::PowerLoss).map_err(at(&path))
    }
}

/// The removal is synced: a marker that comes back after a loss of power would vouch for writes
/// that it never saw.
fn remove_marker<D: Disk>(disk: &D, dir: &Path, present: bool) -> Result<(), VaultFault> {
    if !present {
        return Ok(());
    }
    let path = dir.join(CLEAN_SHUTDOWN);
    disk.remove_file(&path).map_err(at(&path))?;
    disk.sync_dir(dir).map_err(at(dir))
}

fn lock<D: Disk>(disk: &D, dir: &Path) -> Result<D::File, VaultFault> {
    let path = dir.join(LOCK);
    disk.lock(&path)
        .map_err(at(&path))?
        .ok_or_else(|| VaultFault::Locked {
            dir: dir.to_owned(),
        })
}

/// Our state file makes a directory a vault. Only an empty directory becomes one; a broker's own,
/// or somebody's files, are never touched.
fn refuse_strange<D: Disk>(disk: &D, dir: &Path) -> Result<(), VaultFault> {
    let entries = disk.list(dir).map_err(at(dir))?;
    let has = |name: &str| entries.iter().any(|entry| entry.name == name);
    // What a creation that was cut off before its first file may have left.
    let unfinished = format!("{}.tmp", state::FILE);
    let harmless = |entry: &Entry| !entry.is_dir && [LOCK, &unfinished].contains(&&*entry.name);
    match has(state::FILE) || has(state::COPY) || entries.iter().all(harmless) {
        true => Ok(()),
        false => Err(strange(disk, dir, &entries)?),
    }
}

/// Whose directory it seems to be that has no notes of ours.
fn strange<D: Disk>(disk: &D, dir: &Path, entries: &[Entry]) -> Result<VaultFault, VaultFault> {
    let is_brokers = entries.iter().any(|entry| entry.name == identity::FILE);
    let is_ours = identity::is_ours(disk, dir)?;
    let dir = dir.to_owned();
    Ok(match (is_ours, is_brokers) {
        (true, _) => VaultFault::NotesGone { dir },
        (false, true) => VaultFault::BrokersDirectory { dir },
        (false, false) => VaultFault::NotAVault { dir },
    })
}

/// Makes what a new vault lacks. The state file comes first, as it makes the directory ours.
fn complete<D: Disk>(
    disk: &D,
    dir: &Path,
    identity: &Identity,
    shift: ProducerIdShift,
) -> Result<(), VaultFault> {
    let entries = disk.list(dir).map_err(at(dir))?;
    let lacks = |name: &str| !entries.iter().any(|entry| entry.name == name);
    if lacks(state::FILE) && lacks(state::COPY) {
        let state = State {
            source_cluster_id: identity.cluster_id.clone(),
            directory_id: Some(identity.directory_id.clone()),
            producer_id_shift: shift,
            partitions: BTreeMap::new(),
        };
        state::write(disk, dir, &state)?;
        state::write_copy(disk, dir, &state)?;
    }
    if lacks(identity::FILE) {
        // A creation that was cut off may have noted another id already.
        let notes = state::read(disk, dir, &mut Vec::new());
        let state = notes.ok().map(|notes| notes.state);
        identity::write(disk, dir, &noted(identity, state.as_ref()))?;
    }
    Ok(())
}

/// Writes again what is damaged and does not change as a copy goes on; the checkpoints follow with
/// the first notes; and the notes where something in them `is_new`. Their copy is renewed in any
/// case.
fn mend<D: Disk>(
    disk: &D,
    dir: &Path,
    found: &Found,
    identity: &Identity,
    is_new: bool,
) -> Result<(), VaultFault> {
    for what in &found.damage {
        tracing::warn!("{what}; it is written again from what else is known");
    }
    if is_new || !found.damage.is_empty() {
        state::write(disk, dir, &found.state)?;
    }
    if identity::judge(disk, dir, &found.state)?.is_some() {
        identity::write(disk, dir, &noted(identity, Some(&found.state)))?;
    }
    state::write_copy(disk, dir, &found.state)
}

/// The identity of a directory whose notes may know its id.
fn noted(identity: &Identity, state: Option<&State>) -> Identity {
    let noted = state.and_then(|state| state.directory_id.clone());
    Identity {
        directory_id: noted.unwrap_or_else(|| identity.directory_id.clone()),
        ..identity.clone()
    }
}

fn refuse_other_source(dir: &Path, state: &State, identity: &Identity) -> Result<(), VaultFault> {
    if state.source_cluster_id == identity.cluster_id {
        return Ok(());
    }
    Err(VaultFault::OtherSource {
        dir: dir.to_owned(),
        theirs: identity.cluster_id.clone(),
        ours: state.source_cluster_id.clone(),
    })
}

/// One constant for all that a vault holds, since nothing in a batch tells by which one it was
/// changed. A vault without partitions may still take another.
fn refuse_other_shift(dir: &Path, found: &Found, shift: ProducerIdShift) -> Result<(), VaultFault> {
    let held = found.state.producer_id_shift;
    if held == shift || found.partitions.is_empty() {
        return Ok(());
    }
    Err(VaultFault::OtherShift {
        dir: dir.to_owned(),
        held,
        asked: shift,
    })
}

fn partitions(dir: &Path, entries: &[Entry]) -> Result<Vec<TopicPartition>, VaultFault> {
    let directories = entries.iter().filter(|entry| entry.is_dir);
    let mut found = directories
        .map(|entry| {
            entry.name.parse().map_err(|()| VaultFault::Foreign {
                path: dir.join(&entry.name),
            })
        })
        .collect::<Result<Vec<TopicPartition>, VaultFault>>()?;
    found.sort();
    Ok(found)
}

/// Reads a small file as text; `None` where it is missing.
fn read_text<D: Disk>(disk: &D, path: &Path) -> Result<Option<String>, VaultFault> {
    let file = match disk.open(path, Open::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(path)(error)),
    };
    let damaged = |why: &str| VaultFault::Damaged {
        path: path.to_owned(),
        why: why.to_owned(),
    };
    let size = file.size().map_err(at(path))?;
    if size > FILE_BYTES_MAX {
        return Err(damaged("it is too large to be one"));
    }
    let mut bytes = vec![0; usize::try_from(size).expect("bounded above")];
    let read = file.read_at(&mut bytes, Position::ZERO).map_err(at(path))?;
    bytes.truncate(read);
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| damaged("it is not text"))
}

/// Names the file in the system's complaint.
fn at(path: &Path) -> impl Fn(io::Error) -> VaultFault + '_ {
    |error| VaultFault::Io {
        path: path.to_owned(),
        error,
    }
}

#[cfg(test)]
mod tests;
