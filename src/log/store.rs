//! The files of one log, and the effects of what was decided about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::io::{Disk, Durability, File, Open, replace};
use crate::model::{Offset, Position, WallTime};
use crate::record::Run;

use super::append::{Log, Next};
use super::epochs::LeaderEpochs;
use super::fault::{LogFault, at, replacing, unsynced};
use super::layout::{self, DIGEST, EPOCHS, INDEX, LOG, SNAPSHOT, TIME_INDEX, TXN_INDEX};
use super::limit::{self, Limit};
use super::snapshots::Loose;

/// Index bytes that are kept in memory at most, per log.
const PENDING_BYTES_MAX: usize = 16 << 10;

/// The open files of the segment that is written, and what still has to be synced.
pub struct Store<D: Disk> {
    pub(super) disk: D,
    pub(super) dir: PathBuf,
    pub(super) files: Files<D::File>,
    /// The marks of its digest, once there are some.
    pub(super) marks: Option<D::File>,
    /// Files that were written to and closed to further writes since the last sync point.
    unsynced: Vec<(PathBuf, D::File)>,
    /// Names were made or removed since the directory was last synced.
    pub(super) names_changed: bool,
    /// Snapshots that no segment begins with.
    pub(super) loose: Loose,
    /// The log was cut, and its recovery point may not be known to be lower.
    pub(super) limit: Option<Limit>,
    /// Segments below the log's start whose files are still there, the oldest one last.
    pub(super) expired: Vec<Offset>,
    appended_bytes: u64,
    /// A write has failed, and what it left behind the log's end could not be cut off.
    is_torn: bool,
}

/// The files of one segment.
pub(super) struct Files<F> {
    pub(super) log: F,
    pub(super) index: F,
    pub(super) times: F,
    /// There only where a transaction was aborted.
    pub(super) aborted: Option<F>,
}

/// What has to be synced so that everything up to `end` is durable.
pub struct SyncPoint<F> {
    /// The log's end when the point was made.
    pub end: Offset,
    /// The files, in the order in which they are to be synced.
    pub files: Vec<(PathBuf, F)>,
}

impl<F: File> SyncPoint<F> {
    /// Syncs one file after the other without blocking the thread.
    ///
    /// # Errors
    /// What the system says, with the file's name. Nothing is known about any of them then.
    pub async fn sync(&self) -> Result<(), LogFault> {
        for (path, file) in &self.files {
            file.sync().await.map_err(unsynced(path))?;
        }
        Ok(())
    }

    fn sync_blocking(&self) -> Result<(), LogFault> {
        for (path, file) in &self.files {
            file.sync_blocking().map_err(unsynced(path))?;
        }
        Ok(())
    }
}

impl<D: Disk> Store<D> {
    pub(super) fn new(disk: D, dir: &Path, files: Files<D::File>) -> Store<D> {
        Store {
            disk,
            dir: dir.to_owned(),
            files,
            marks: None,
            unsynced: Vec::new(),
            names_changed: true,
            loose: Loose::default(),
            limit: None,
            expired: Vec::new(),
            appended_bytes: 0,
            is_torn: false,
        }
    }

    /// The vault's checkpoint says that everything below `point` is durable: what recovery would
    /// have needed before goes with the next sync point.
    pub fn recorded(&mut self, point: Offset) {
        self.loose.recorded(point);
        let is_over = |limit: &mut Limit| !limit.doubts(point);
        if self.limit.take_if(is_over).is_some()
            && let Err(fault) = limit::forget(&self.disk, &self.dir)
        {
            // It only makes the next recovery more careful.
            tracing::debug!("{fault}");
        }
    }

    /// As much of a recovery point that is known elsewhere as is believed: not what lies behind a
    /// cut that it may not know of.
    #[must_use]
    pub fn believed(&self, point: Offset) -> Offset {
        let limit = self.limit.filter(|limit| limit.doubts(point));
        limit.map_or(point, |limit| limit.to)
    }

    /// The partition's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Bytes that were appended since the last sync point.
    #[must_use]
    pub fn appended_bytes(&self) -> u64 {
        self.appended_bytes
    }

    /// Appends a run that continues the log: plans, writes and commits it, segment by segment.
    ///
    /// # Errors
    /// A marker that cannot be read, before which all is appended; or what the system says: then
    /// the log ends where it did, and what was written behind goes before it is closed.
    pub fn append(
        &mut self,
        log: &mut Log,
        now: WallTime,
        mut run: Run<'_>,
    ) -> Result<(), LogFault> {
        if log.stamp.is_none() {
            self.note_origin(log, &run)?;
        }
        while !run.is_empty() {
            match log.plan(now, &run)? {
                Next::Roll(base) => self.roll(log, base, now)?,
                Next::Write { bytes, batches } => {
                    if let Err(fault) = self.write(log, &run.bytes()[..bytes]) {
                        log.abandon();
                        self.is_torn = true;
                        // What cannot be cut now is before the next sync.
                        drop(self.cut_torn(log));
                        return Err(fault);
                    }
                    log.commit();
                    run = run.after(bytes, batches);
                }
            }
        }
        self.relieve(log)
    }

    /// Writes planned bytes at the end of the segment.
    fn write(&mut self, log: &Log, bytes: &[u8]) -> Result<(), LogFault> {
        let path = || layout::path(&self.dir, log.segment.base, LOG);
        let end = Position::new(log.segment.size);
        let written = self.files.log.write_at(bytes, end);
        written.map_err(|error| at(&path())(error))?;
        self.appended_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Cuts off what a write that failed has left behind the log's end, which needs no room: a
    /// clean end vouches for all that its files hold.
    fn cut_torn(&mut self, log: &Log) -> Result<(), LogFault> {
        if self.is_torn {
            let end = Position::new(log.segment.size);
            let cut = self.files.log.truncate(end);
            cut.map_err(|error| at(&layout::path(&self.dir, log.segment.base, LOG))(error))?;
            self.is_torn = false;
        }
        Ok(())
    }

    /// Writes index entries out where many have come together.
    fn relieve(&mut self, log: &mut Log) -> Result<(), LogFault> {
        match log.segment.pending.bytes() > PENDING_BYTES_MAX {
            true => self.write_indexes(log),
            false => Ok(()),
        }
    }

    pub(super) fn write_indexes(&mut self, log: &mut Log) -> Result<(), LogFault> {
        let segment = &mut log.segment;
        let path = |suffix| layout::path(&self.dir, segment.base, suffix);
        let (pending, written) = (&mut segment.pending, &mut segment.written);
        put(
            &self.files.index,
            &mut pending.offsets,
            &mut written.offsets,
        )
        .map_err(|error| at(&path(INDEX))(error))?;
        put(&self.files.times, &mut pending.times, &mut written.times)
            .map_err(|error| at(&path(TIME_INDEX))(error))?;
        if pending.aborted.is_empty() {
            return Ok(());
        }
        let path = path(TXN_INDEX);
        if self.files.aborted.is_none() {
            let made = self.disk.open(&path, Open::WriteOrCreate);
            self.files.aborted = Some(made.map_err(at(&path))?);
            self.names_changed = true;
        }
        let file = self.files.aborted.as_ref().expect("made above");
        put(file, &mut pending.aborted, &mut written.aborted).map_err(at(&path))
    }

    /// Ends the segment and begins a new one at `base`. An empty segment is replaced.
    fn roll(&mut self, log: &mut Log, base: Offset, now: WallTime) -> Result<(), LogFault> {
        self.cut_torn(log)?;
        log.segment.finish();
        self.write_indexes(log)?;
        let is_empty = log.segment.size == 0;
        let ended = log.segment.base;
        assert!(
            !is_empty || base != ended,
            "an empty segment has room for its own base offset"
        );
        if !is_empty {
            log.producers.expire(now);
            self.write_snapshot(log, base)?;
        }
        let fresh = self.begin(base)?;
        if is_empty {
            for suffix in [LOG, INDEX, TIME_INDEX] {
                self.remove(ended, suffix)?;
            }
        }
        let ended_files = std::mem::replace(&mut self.files, fresh);
        if !is_empty {
            self.unsynced.extend(ended_files.named(&self.dir, ended));
        }
        self.names_changed = true;
        log.rolled(base, now);
        Ok(())
    }

    /// The files of a new segment, or none of them: a log that is closed instead has no part of it.
    fn begin(&mut self, base: Offset) -> Result<Files<D::File>, LogFault> {
        let made = Files::create(&self.disk, &self.dir, base);
        if made.is_err() {
            for suffix in [TIME_INDEX, INDEX, LOG] {
                drop(self.remove(base, suffix));
            }
        }
        made
    }

    /// Makes a point up to which everything will be durable once its files are synced. Index
    /// entries, epochs and producers are written out first.
    ///
    /// # Errors
    /// What the system says.
    pub fn sync_point(
        &mut self,
        log: &mut Log,
        now: WallTime,
    ) -> Result<SyncPoint<D::File>, LogFault> {
        self.cut_torn(log)?;
        self.write_indexes(log)?;
        if log.epochs_changed {
            self.write_epochs(&log.epochs)?;
            log.epochs_changed = false;
        }
        log.producers.expire(now);
        self.write_loose_snapshot(log)?;
        self.write_marks(log)?;
        if std::mem::take(&mut self.names_changed) {
            let synced = self.disk.sync_dir(&self.dir);
            synced.map_err(unsynced(&self.dir))?;
        }
        let mut files = std::mem::take(&mut self.unsynced);
        files.extend(
            self.marks
                .clone()
                .map(|marks| (self.dir.join(DIGEST), marks)),
        );
        files.extend(self.files.named(&self.dir, log.segment.base));
        self.appended_bytes = 0;
        Ok(SyncPoint {
            end: log.watermarks().log_end,
            files,
        })
    }

    /// The same for the batches alone, without what recovery would make of them again: nothing is
    /// to be believed without reading it then.
    ///
    /// # Errors
    /// What the system says.
    pub fn data_point(&mut self, log: &Log) -> Result<SyncPoint<D::File>, LogFault> {
        if std::mem::take(&mut self.names_changed) {
            let synced = self.disk.sync_dir(&self.dir);
            synced.map_err(unsynced(&self.dir))?;
        }
        let is_segment = |path: &Path| path.extension().is_some_and(|end| end == LOG);
        let older = self.unsynced.iter().filter(|(path, _)| is_segment(path));
        let present = layout::path(&self.dir, log.segment.base, LOG);
        let files = older.cloned().chain([(present, self.files.log.clone())]);
        Ok(SyncPoint {
            end: log.watermarks().log_end,
            files: files.collect(),
        })
    }

    /// The files are left as a clean stop of a broker does, once the next sync point is synced.
    pub fn finish(&self, log: &mut Log) {
        log.segment.finish();
    }

    /// Makes everything durable and leaves the files as a clean stop of a broker does. Says up
    /// to which offset.
    ///
    /// # Errors
    /// What the system says.
    pub fn close(&mut self, log: &mut Log, now: WallTime) -> Result<Offset, LogFault> {
        self.finish(log);
        let point = self.sync_point(log, now)?;
        point.sync_blocking()?;
        Ok(point.end)
    }

    pub(super) fn write_epochs(&self, epochs: &LeaderEpochs) -> Result<(), LogFault> {
        let path = self.dir.join(EPOCHS);
        let text = epochs.to_text();
        replace(&self.disk, &path, text.as_bytes(), Durability::PowerLoss).map_err(replacing(&path))
    }

    /// The producers as of the log's end, so that recovery need not read what lies before.
    fn write_loose_snapshot(&mut self, log: &Log) -> Result<(), LogFault> {
        let end = log.watermarks().log_end;
        if !self.loose.has(end) {
            self.write_snapshot(log, end)?;
            self.loose.made(end);
        }
        let mut bases = log.older.clone();
        bases.push(log.segment.base);
        for offset in self.loose.unneeded(&bases) {
            self.remove(offset, SNAPSHOT)?;
        }
        Ok(())
    }

    fn write_snapshot(&mut self, log: &Log, offset: Offset) -> Result<(), LogFault> {
        let path = layout::path(&self.dir, offset, SNAPSHOT);
        let file = self
            .disk
            .open(&path, Open::CreateEmpty)
            .map_err(at(&path))?;
        let written = file.write_at(&log.producers.to_snapshot(), Position::ZERO);
        written.map_err(at(&path))?;
        // An attempt before this one may have got so far.
        self.unsynced.retain(|(known, _)| *known != path);
        self.unsynced.push((path, file));
        self.names_changed = true;
        Ok(())
    }

    /// Recovery has read the present segment to its end and goes on with the one at `base`,
    /// before which the producers are to be noted where they are known.
    pub(super) fn move_on(
        &mut self,
        log: &mut Log,
        files: Files<D::File>,
        base: Offset,
        knows_producers: bool,
    ) -> Result<(), LogFault> {
        log.segment.finish();
        self.write_indexes(log)?;
        if knows_producers {
            self.write_snapshot(log, base)?;
        }
        let read = std::mem::replace(&mut self.files, files);
        self.unsynced
            .extend(read.named(&self.dir, log.segment.base));
        Ok(())
    }

    /// Recovery has found a snapshot that no segment begins with.
    pub(super) fn adopt_snapshot(&mut self, offset: Offset) {
        self.loose.made(offset);
    }

    /// Removes a file, unless an attempt before this one has got so far.
    pub(super) fn remove(&mut self, offset: Offset, suffix: &str) -> Result<(), LogFault> {
        let path = layout::path(&self.dir, offset, suffix);
        match self.disk.remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&path)(error)),
            _ => self.names_changed = true,
        }
        Ok(())
    }
}

impl<F: File> Files<F> {
    /// New, empty files of a segment.
    pub(super) fn create<D>(disk: &D, dir: &Path, base: Offset) -> Result<Files<F>, LogFault>
    where
        D: Disk<File = F>,
    {
        let make = |suffix| {
            let path = layout::path(dir, base, suffix);
            disk.open(&path, Open::CreateEmpty).map_err(at(&path))
        };
        Ok(Files {
            log: make(LOG)?,
            index: make(INDEX)?,
            times: make(TIME_INDEX)?,
            aborted: None,
        })
    }

    /// The files with their names.
    fn named(&self, dir: &Path, base: Offset) -> impl Iterator<Item = (PathBuf, F)> {
        let files = [
            (INDEX, Some(&self.index)),
            (TIME_INDEX, Some(&self.times)),
            (TXN_INDEX, self.aborted.as_ref()),
            (LOG, Some(&self.log)),
        ];
        let named = files
            .map(|(suffix, file)| file.map(|file| (layout::path(dir, base, suffix), file.clone())));
        named.into_iter().flatten()
    }
}

pub(super) fn put<F: File>(
    file: &F,
    pending: &mut Vec<u8>,
    written: &mut u64,
) -> std::io::Result<()> {
    if pending.is_empty() {
        return Ok(());
    }
    file.write_at(pending, Position::new(*written))?;
    *written += pending.len() as u64;
    pending.clear();
    Ok(())
}
