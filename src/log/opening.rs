//! A partition's directory → its log, ready to be appended to: what is there, or a new one.
//!
//! | Found | Then |
//! |---|---|
//! | segments | `recovery`; what it refuses and can be fetched again is cut: once more |
//! | none, and nothing was durable | a new, empty log |
//! | none, though some of it was durable | refused: files are missing |

use std::path::Path;

use crate::io::Disk;
use crate::model::{Offset, SetAside, TopicId, WallTime};

use super::LogOptions;
use super::append::Log;
use super::aside::set_aside;
use super::digest::{Digest, Owner};
use super::fault::{LogFault, at};
use super::layout;
use super::limit;
use super::lineage;
use super::recovery::recover;
use super::segment::Segment;
use super::store::{Files, Store};
use super::truncate::truncate;

/// What is known of a log before its files are looked at.
#[derive(Clone, Copy, Debug)]
pub struct Beginning<'d> {
    /// The topic's id, for a log that does not exist yet.
    pub topic_id: TopicId,
    /// The first offset that may be read; a log that does not exist yet begins there.
    pub log_start: Offset,
    /// Everything below was synced.
    pub recovery_point: Offset,
    /// It was closed cleanly: everything was synced.
    pub is_clean: bool,
    /// What lies at or above can be fetched again just as it was: what is damaged there is cut.
    pub refetchable: Option<Offset>,
    /// The directory into which that is copied before.
    pub aside: Option<&'d Path>,
}

impl Beginning<'_> {
    /// Nothing is known but the topic's id: the log begins at offset 0, and what is there may have
    /// been left by a kill.
    #[must_use]
    pub fn anew(topic_id: TopicId) -> Beginning<'static> {
        Beginning {
            topic_id,
            log_start: Offset::ZERO,
            recovery_point: Offset::ZERO,
            is_clean: false,
            refetchable: None,
            aside: None,
        }
    }
}

/// A log, ready to be appended to.
pub struct Opened<D: Disk> {
    /// What it holds.
    pub log: Log,
    /// Its files.
    pub store: Store<D>,
    /// What it took to find out.
    pub recovered: Recovered,
    /// What was damaged, is fetched again, and was set aside before.
    pub aside: Option<SetAside>,
}

/// What opening a log took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Bytes of batches that were read.
    pub bytes_read: u64,
    /// Bytes behind the last sound batch that were cut off.
    pub bytes_cut: u64,
}

/// Opens the log in `dir`, or makes it.
///
/// # Errors
/// The disk's, or damage to what was durable.
pub fn open<D: Disk>(
    disk: D,
    dir: &Path,
    options: LogOptions,
    known: Beginning<'_>,
    now: WallTime,
) -> Result<Opened<D>, LogFault> {
    disk.create_dir(dir).map_err(at(dir))?;
    let (known, limit) = limit::believed(&disk, dir, known)?;
    let mut opened = open_known(&disk, dir, options, known, now)?;
    opened.store.limit = limit;
    lineage::load(&disk, dir, &mut opened.log)?;
    Ok(opened)
}

fn open_known<D: Disk>(
    disk: &D,
    dir: &Path,
    options: LogOptions,
    known: Beginning<'_>,
    now: WallTime,
) -> Result<Opened<D>, LogFault> {
    let opened = attempt(disk, dir, options, known, now);
    let lost = |end: &Offset| known.refetchable.is_some_and(|from| from <= *end);
    let fault = match opened {
        Err(fault) => fault,
        opened => return opened,
    };
    let Some(end) = fault.sound_end().filter(lost) else {
        return Err(fault);
    };
    tracing::warn!("what follows offset {end} is fetched again: {fault}");
    // The source may not have all of it any more.
    let aside = match known.aside {
        Some(into) => set_aside(disk, dir, end, into, now)?,
        None => None,
    };
    if let Some(aside) = &aside {
        tracing::warn!("what was there is set aside: {aside}");
    }
    let left = truncate(disk, dir, end)?;
    let known = Beginning {
        recovery_point: known.recovery_point.min(left.unwrap_or(known.log_start)),
        is_clean: false,
        refetchable: None,
        ..known
    };
    let opened = attempt(disk, dir, options, known, now)?;
    Ok(Opened { aside, ..opened })
}

fn attempt<D: Disk>(
    disk: &D,
    dir: &Path,
    options: LogOptions,
    known: Beginning<'_>,
    now: WallTime,
) -> Result<Opened<D>, LogFault> {
    match recover(disk, dir, options, known, now)? {
        Some(opened) => Ok(opened),
        None => create(disk.clone(), dir, options, known, now),
    }
}

fn create<D: Disk>(
    disk: D,
    dir: &Path,
    options: LogOptions,
    known: Beginning<'_>,
    now: WallTime,
) -> Result<Opened<D>, LogFault> {
    if known.recovery_point > known.log_start {
        return Err(LogFault::Missing {
            dir: dir.to_owned(),
            end: known.log_start,
            durable: known.recovery_point,
        });
    }
    // What was derived from segments that are gone.
    let entries = disk.list(dir).map_err(at(dir))?;
    for entry in entries
        .iter()
        .filter(|entry| layout::is_derived(&entry.name))
    {
        let path = dir.join(&entry.name);
        disk.remove_file(&path).map_err(at(&path))?;
    }
    layout::write_metadata(&disk, dir, known.topic_id)?;
    let files = Files::create(&disk, dir, known.log_start)?;
    let segment = Segment::new(known.log_start, now);
    let mut log = Log::new(options, known.log_start, segment);
    log.digest = Digest::new(Owner::of(dir, known.topic_id));
    log.digest.turns_at(lineage::others(&disk, dir)?);
    Ok(Opened {
        log,
        store: Store::new(disk, dir, files),
        recovered: Recovered::default(),
        aside: None,
    })
}
