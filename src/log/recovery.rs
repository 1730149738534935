//! From files of unknown state to a log: a table of what is found, then the sequence.
//!
//! | Found | Then |
//! |---|---|
//! | no segment | none is there: `opening` makes a new log, or refuses |
//! | closed cleanly | the last segment is read from its last index entry on |
//! | not closed cleanly | all is read from the newest synced snapshot of producers on |
//! | epochs or snapshots damaged or gone | all is read from the log's first batch on |
//! | no mark of the digest where reading begins | the digest begins there |
//! | durable batches with other epochs or another end than was noted | as one that is damaged |
//! | an index shorter, longer or other than its segment | its segment is read from its start |
//! | a time index without the times that the offset index implies | the same |
//! | a torn or damaged batch at or above what was durable | cut there; later segments go |
//! | a segment that ends before the next one begins | the same: its end was never written |
//! | a segment without batches far before the next one, or far behind the end | it goes |
//! | a torn or damaged batch below what was durable | cut, where all of it can be fetched again |
//! | the same, where it cannot be | refused: the disk has lost what it had |
//! | indexes or snapshots of older segments gone | all is read from the first such segment on |
//! | `partition.metadata` damaged or gone | written again |
//! | `partition.metadata` of another topic | refused: the files come from elsewhere |
//!
//! What is read is checked, checksums included. What lies below the place where reading begins
//! is believed: it was synced. Only `verify` reads everything.

mod ending;
mod kept;
mod reading;
mod witness;

use std::path::{Path, PathBuf};

use crate::io::{Disk, Entry, File, Open};
use crate::model::{Offset, WallTime};

use super::LogOptions;
use super::append::Log;
use super::digest::{Digest, Owner};
use super::epochs::LeaderEpochs;
use super::fault::{LogFault, at};
use super::layout::{self, EPOCHS, INDEX, LOG, SNAPSHOT, TIME_INDEX, UNFINISHED};
use super::lineage;
use super::opening::{Beginning, Opened, Recovered};
use super::producers::Producers;
use super::segment::GAP_MAX;
use super::store::{Files, Store};
use super::walk::Obstacle;
use kept::Kept;
use witness::Witness;

/// The log that `dir` holds; `None` where it has no segments.
///
/// # Errors
/// The disk's, or damage to what was durable.
pub(super) fn recover<D: Disk>(
    disk: &D,
    dir: &Path,
    options: LogOptions,
    known: Beginning<'_>,
    now: WallTime,
) -> Result<Option<Opened<D>>, LogFault> {
    let found = Found::list(disk, dir)?;
    if found.bases.is_empty() {
        return Ok(None);
    }
    layout::renew_metadata(disk, dir, known.topic_id)?;
    let recovery = Recovery {
        witness: Witness::new(&known, noted_epochs(disk, dir)?),
        others: lineage::others(disk, dir)?,
        disk: disk.clone(),
        dir: dir.to_owned(),
        options,
        known,
        now,
        found,
        hollow: Vec::new(),
        contradiction: None,
        recovered: Recovered::default(),
    };
    recovery.run().map(Some)
}

/// The leader epochs as their checkpoint has them, where it can be read.
fn noted_epochs<D: Disk>(disk: &D, dir: &Path) -> Result<Option<LeaderEpochs>, LogFault> {
    let bytes = layout::content(disk, &dir.join(EPOCHS))?;
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(text.and_then(|text| LeaderEpochs::from_text(&text).ok()))
}

/// Whether batches are missing between a segment that ends at `end` and the next one at `base`.
/// Segments begin where the log ends, unless the next batch lies too far behind that.
pub(super) fn is_lost(end: Offset, base: Offset) -> bool {
    end < base && base.since(end) <= GAP_MAX
}

/// What a partition's directory holds.
struct Found {
    entries: Vec<Entry>,
    /// Of the segments, rising.
    bases: Vec<Offset>,
    /// Of the snapshots, rising.
    snapshots: Vec<Offset>,
}

impl Found {
    fn list<D: Disk>(disk: &D, dir: &Path) -> Result<Found, LogFault> {
        let entries = disk.list(dir).map_err(at(dir))?;
        let bases = layout::offsets(&entries, LOG);
        let snapshots = layout::offsets(&entries, SNAPSHOT);
        Ok(Found {
            entries,
            bases,
            snapshots,
        })
    }

    /// The first segment below `durable` that lacks what all of them have: its indexes, and the
    /// producers as of its beginning.
    fn first_incomplete(&self, durable: Offset) -> Option<Offset> {
        let names = [INDEX, TIME_INDEX].map(|suffix| layout::offsets(&self.entries, suffix));
        let has = |offsets: &[Offset], base: &Offset| offsets.binary_search(base).is_ok();
        let below = self.bases.iter().enumerate();
        let mut below = below.take_while(|(_, base)| **base < durable);
        let incomplete = below.find(|(nth, base)| {
            let has_producers = *nth == 0 || has(&self.snapshots, base);
            !has_producers || names.iter().any(|offsets| !has(offsets, base))
        });
        incomplete.map(|(_, base)| *base)
    }
}

struct Recovery<'d, D: Disk> {
    disk: D,
    dir: PathBuf,
    options: LogOptions,
    known: Beginning<'d>,
    now: WallTime,
    found: Found,
    /// Segments that were read and have no batch, though others follow.
    hollow: Vec<Offset>,
    witness: Witness,
    /// Where the log goes on with what is not the source's.
    others: Option<Offset>,
    /// The first batch in what was read that is not what was durable.
    contradiction: Option<LogFault>,
    recovered: Recovered,
}

/// What is believed without reading the batches it was made of.
struct Trusted {
    /// Reading begins here or before.
    from: Offset,
    epochs: LeaderEpochs,
    producers: Producers,
    /// The producers are as of this offset.
    producers_at: Offset,
    /// The batches' digest as of one of its marks.
    digest: Digest,
}

impl Trusted {
    /// Everything is read, from the first segment on.
    fn nothing(start: Offset, owner: Owner) -> Trusted {
        Trusted {
            from: start,
            epochs: LeaderEpochs::default(),
            producers: Producers::default(),
            producers_at: start,
            digest: Digest::new(owner),
        }
    }
}

/// Where reading begins.
struct Begun<F> {
    log: Log,
    /// Those of the segment that is read first.
    files: Files<F>,
    /// Which of the segments that is.
    segment: usize,
    /// Bytes in its file.
    size: u64,
}

impl<D: Disk> Recovery<'_, D> {
    fn run(mut self) -> Result<Opened<D>, LogFault> {
        self.remove_unfinished()?;
        self.drop_empty_segments()?;
        let mut trusted = self.trusted()?;
        let mut read = self.read(&trusted)?;
        if read.is_none() {
            // The first contradiction may lie before what was read.
            trusted = Trusted::nothing(self.found.bases[0], self.owner());
            read = self.read(&trusted)?;
        }
        match (read, self.contradiction.take()) {
            (Some((log, store)), _) => self.finish(log, store, trusted.producers_at),
            (None, contradiction) => Err(contradiction.expect("all was read")),
        }
    }

    /// Reads what is not believed. `None`: it contradicts what is.
    fn read(&mut self, trusted: &Trusted) -> Result<Option<(Log, Store<D>)>, LogFault> {
        self.hollow.clear();
        let begun = self.begin(trusted)?;
        if self.is_contradicted(&begun)? {
            return Ok(None);
        }
        let Begun {
            mut log,
            files,
            mut segment,
            mut size,
        } = begun;
        let mut store = Store::new(self.disk.clone(), &self.dir, files);
        loop {
            let arrived = self.read_segment(&mut log, &store, size, trusted.producers_at)?;
            let Some(mut arrived) = arrived else {
                return Ok(None);
            };
            let next = self.found.bases.get(segment + 1).copied();
            let lost = next
                .filter(|base| is_lost(log.log_end, *base))
                .map(Obstacle::Lost);
            arrived.obstacle = arrived.obstacle.or(lost);
            if arrived.obstacle.is_some() {
                self.cut(&store, &log, &arrived, size, segment)?;
                break;
            }
            segment += 1;
            let Some(base) = next else {
                break;
            };
            if log.segment.size == 0 {
                self.hollow.push(log.segment.base);
            }
            size = self.next_segment(&mut log, &mut store, base, trusted.producers_at)?;
        }
        Ok(Some((log, store)))
    }

    /// The log as far as it is believed.
    fn begin(&self, trusted: &Trusted) -> Result<Begun<D::File>, LogFault> {
        let above = |base: &Offset| *base <= trusted.from;
        let segment = self.found.bases.partition_point(above).saturating_sub(1);
        let kept = self.keep(self.found.bases[segment], trusted)?;
        let size = kept.size;
        let (log, files) = self.log(trusted, kept, segment);
        Ok(Begun {
            log,
            files,
            segment,
            size,
        })
    }

    /// The checkpoint of epochs knows one before the first batch that is read which is newer than
    /// the batch's own: it is another log's, or damaged. It has no checksum that would tell.
    fn is_contradicted(&self, begun: &Begun<D::File>) -> Result<bool, LogFault> {
        let segment = &begun.log.segment;
        let head = self.head_at(&begun.files.log, segment.base, segment.size)?;
        Ok(head.is_some_and(|head| head.epoch < begun.log.last_epoch()))
    }

    fn log(&self, trusted: &Trusted, kept: Kept<D::File>, first: usize) -> (Log, Files<D::File>) {
        let begins = first == 0 && kept.segment.size == 0;
        let start = self.known.log_start.max(self.found.bases[0]);
        let mut log = Log::new(self.options, start, kept.segment);
        log.older = self.found.bases[..first].to_vec();
        log.log_end = kept.offset;
        log.is_empty = begins;
        log.epochs = trusted.epochs.clone();
        // What is read again is taken in again.
        log.epochs.cut(kept.offset);
        log.producers = trusted.producers.clone();
        log.digest = trusted.digest.clone();
        if !log.digest.reaches(kept.offset) {
            // No more is read for its sake.
            log.digest = Digest::new(self.owner());
        }
        log.digest.turns_at(self.others);
        (log, kept.files)
    }

    /// What `io::replace` had begun is nobody's.
    fn remove_unfinished(&self) -> Result<(), LogFault> {
        for entry in &self.found.entries {
            if Path::new(&entry.name)
                .extension()
                .is_some_and(|end| end == UNFINISHED)
            {
                self.remove(&self.dir.join(&entry.name))?;
            }
        }
        Ok(())
    }

    /// A segment that was begun and got no batch says nothing of where the log ends.
    fn drop_empty_segments(&mut self) -> Result<(), LogFault> {
        while let [_, .., last] = self.found.bases[..] {
            let path = self.path(last, LOG);
            let file = self.disk.open(&path, Open::Read).map_err(at(&path))?;
            if file.size().map_err(at(&path))? > 0 {
                break;
            }
            self.remove_segment(last)?;
            self.found.bases.pop();
        }
        Ok(())
    }

    fn trusted(&self) -> Result<Trusted, LogFault> {
        let start = self.found.bases[0];
        let durable = match self.known.is_clean {
            true => Offset::new(i64::MAX),
            false => self.known.recovery_point.max(start),
        };
        let durable = self.found.first_incomplete(durable).unwrap_or(durable);
        let epochs = self.witness.epochs().cloned();
        let snapshot = self.newest_snapshot(durable)?;
        let Some((epochs, (producers_at, producers))) = epochs.zip(snapshot) else {
            return Ok(Trusted::nothing(start, self.owner()));
        };
        let limit = durable.min(self.known.recovery_point);
        let bases = &self.found.bases;
        let digest = Digest::noted(&self.disk, &self.dir, self.owner(), limit, bases)?;
        Ok(Trusted {
            from: durable.min(producers_at).max(start),
            epochs,
            producers,
            producers_at,
            digest,
        })
    }

    /// The newest sound snapshot not above `durable`. Where nothing was durable, there is
    /// nothing to remember.
    fn newest_snapshot(&self, durable: Offset) -> Result<Option<(Offset, Producers)>, LogFault> {
        let usable = self
            .found
            .snapshots
            .iter()
            .rev()
            .filter(|at| **at <= durable);
        for offset in usable {
            let bytes = layout::content(&self.disk, &self.path(*offset, SNAPSHOT))?;
            let bytes = bytes.unwrap_or_default();
            if let Some(producers) = Producers::from_snapshot(&bytes) {
                return Ok(Some((*offset, producers)));
            }
        }
        let start = self.found.bases[0];
        Ok((durable <= start).then(|| (start, Producers::default())))
    }

    fn owner(&self) -> Owner {
        Owner::of(&self.dir, self.known.topic_id)
    }

    fn path(&self, base: Offset, suffix: &str) -> PathBuf {
        layout::path(&self.dir, base, suffix)
    }

    fn remove(&self, path: &Path) -> Result<(), LogFault> {
        self.disk.remove_file(path).map_err(at(path))
    }

    /// Removes what may be gone already.
    fn forget(&self, path: &Path) -> Result<(), LogFault> {
        match self.disk.remove_file(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(at(path)),
        }
    }

    fn remove_segment(&self, base: Offset) -> Result<(), LogFault> {
        let prefix = format!("{:020}.", base.value());
        for entry in self
            .found
            .entries
            .iter()
            .filter(|entry| entry.name.starts_with(&prefix))
        {
            if !entry.name.ends_with(SNAPSHOT) {
                self.remove(&self.dir.join(&entry.name))?;
            }
        }
        Ok(())
    }
}
