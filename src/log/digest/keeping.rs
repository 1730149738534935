//! Which marks are kept: all of segments, windows and the log's beginning, and few of the syncs.
//!
//! Marks are appended. What goes of them goes with a replacement of the file: of one that was
//! written over, a loss of power could leave marks of two digests.

use std::path::Path;

use super::file::{each_mark, truncate};
use super::{Digest, MARK_ENTRY, Mark, window_of};
use crate::io::{Disk, Durability, File, Open, replace};
use crate::log::append::Log;
use crate::log::fault::{LogFault, at, replacing};
use crate::log::index::{count_within, entry_at};
use crate::log::layout::DIGEST;
use crate::log::store::{Store, put};
use crate::model::Offset;

/// Marks that only a sync's end has put: with more of them the file is thinned.
const ENDS_MAX: usize = 1_024;
/// How many of them stay at least, the newest ones.
const ENDS_KEPT: usize = 64;

impl Digest {
    /// Recovery is over: of the file in `dir` stays what was believed of it.
    pub(in crate::log) fn settle<D: Disk>(&mut self, disk: &D, dir: &Path) -> Result<(), LogFault> {
        let path = dir.join(DIGEST);
        match self.written {
            // Begun anew: nothing is written over the marks of before.
            Some(0) => match disk.remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(at(&path)(error));
                }
                _ => {}
            },
            Some(bytes) => truncate(disk, dir, bytes)?,
            None => {}
        }
        if let Some(turn) = self.turn.filter(|_| self.theirs.is_none()) {
            let found = self.first_from(turn, disk, dir)?;
            self.theirs = found.filter(|mark| mark.before == turn);
        }
        Ok(())
    }

    /// The log begins at `start` now: looks for the first mark from there on.
    pub(in crate::log) fn begins_at<D: Disk>(
        &mut self,
        start: Offset,
        disk: &D,
        dir: &Path,
    ) -> Result<(), LogFault> {
        self.begin = self.first_from(start, disk, dir)?;
        self.start = start;
        Ok(())
    }

    fn first_from<D: Disk>(
        &self,
        offset: Offset,
        disk: &D,
        dir: &Path,
    ) -> Result<Option<Mark>, LogFault> {
        let path = dir.join(DIGEST);
        let (_, found) = self.search(offset, disk, &path).map_err(at(&path))?;
        let mut pending = Mark::read_all(&self.pending, self.owner).into_iter();
        Ok(found.or_else(|| pending.find(|mark| mark.before >= offset)))
    }

    /// How many marks of the file at `path` lie below `offset`, and the first other one.
    fn search<D: Disk>(
        &self,
        offset: Offset,
        disk: &D,
        path: &Path,
    ) -> std::io::Result<(usize, Option<Mark>)> {
        let file = match disk.open(path, Open::Read) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((0, None)),
            file => file?,
        };
        let bytes = self.written.unwrap_or(file.size()?);
        let most = usize::try_from(bytes).unwrap_or(usize::MAX) / MARK_ENTRY;
        let read = |entry: &[u8]| Mark::read(entry, self.owner);
        let is_below = |mark: &Mark| mark.before < offset;
        let below = count_within(&file, MARK_ENTRY, most, read, is_below)?;
        let found = match below < most {
            true => entry_at(&file, MARK_ENTRY, below, read)?,
            false => None,
        };
        Ok((below, found))
    }
}

impl<D: Disk> Store<D> {
    /// The digest as of the log's end, and the marks before it.
    pub(in crate::log) fn write_marks(&mut self, log: &mut Log) -> Result<(), LogFault> {
        log.digest.ends_at(log.log_end);
        let is_due = log.digest.ends > ENDS_MAX;
        let Some(mut written) = log.digest.written.filter(|_| !is_due) else {
            return self.rewrite_marks(log);
        };
        if log.digest.pending.is_empty() {
            return Ok(());
        }
        let path = self.dir.join(DIGEST);
        if self.marks.is_none() {
            let made = self.disk.open(&path, Open::WriteOrCreate);
            self.marks = Some(made.map_err(at(&path))?);
            self.names_changed = true;
        }
        let file = self.marks.as_ref().expect("made above");
        put(file, &mut log.digest.pending, &mut written).map_err(at(&path))?;
        log.digest.written = Some(written);
        Ok(())
    }

    /// Takes marks of what has gone with time out of the file, once they are as many as others.
    pub(in crate::log) fn forget_marks(&mut self, log: &mut Log) -> Result<(), LogFault> {
        let path = self.dir.join(DIGEST);
        let begins = log.older.first().copied().unwrap_or(log.segment.base);
        let searched = log.digest.search(begins, &self.disk, &path);
        let (gone, _) = searched.map_err(at(&path))?;
        let bytes = (gone * MARK_ENTRY) as u64;
        let is_due = |written: u64| bytes >= written.div_ceil(2).max(1);
        match log.digest.written.is_none_or(is_due) {
            true => self.rewrite_marks(log),
            false => Ok(()),
        }
    }

    /// Replaces the file by one of the marks that are kept.
    fn rewrite_marks(&mut self, log: &mut Log) -> Result<(), LogFault> {
        let path = self.dir.join(DIGEST);
        let owner = log.digest.owner;
        let pending = Mark::read_all(&log.digest.pending, owner);
        let ours = log.digest.written.unwrap_or(u64::MAX) / MARK_ENTRY as u64;
        let next = pending.first().map(|mark| mark.before);
        let mut marks = Vec::new();
        each_mark(&self.disk, &path, owner, |mark| {
            // A replacement that has failed may have got as far as what is pending.
            let is_ours = (marks.len() as u64) < ours;
            let is_before = next.is_none_or(|next| mark.before < next);
            if is_ours && is_before {
                marks.push(mark);
            }
            is_ours && is_before
        })?;
        marks.extend(pending);
        let ends = self.thin(log, &mut marks);
        let mut bytes = Vec::new();
        marks.iter().for_each(|mark| mark.push(owner, &mut bytes));
        self.marks = None;
        // Which of both files is there is not known where it fails.
        log.digest.written = None;
        replace(&self.disk, &path, &bytes, Durability::PowerLoss).map_err(replacing(&path))?;
        log.digest.written = Some(bytes.len() as u64);
        log.digest.pending.clear();
        log.digest.ends = ends;
        Ok(())
    }

    /// Leaves of the marks those that are kept. Says how many of them a sync's end alone has put.
    fn thin(&self, log: &Log, marks: &mut Vec<Mark>) -> usize {
        let mut bases = log.older.clone();
        bases.push(log.segment.base);
        let gone = marks.partition_point(|mark| mark.before < bases[0]);
        marks.drain(..gone);
        let known = [log.digest.begin, log.digest.theirs, marks.first().copied()];
        let known = known.map(|mark| mark.map(|mark| mark.before));
        // Recovery begins where there is a snapshot of the producers, and needs a mark there.
        let is_needed = |before: &Offset| {
            bases.binary_search(before).is_ok()
                || self.loose.offsets().contains(before)
                || known.contains(&Some(*before))
        };
        let is_end = |mark: &Mark| mark.is_within_a_window() && !is_needed(&mark.before);
        let mut spare = marks.iter().filter(|mark| is_end(mark)).count();
        marks.retain(|mark| {
            let is_end = is_end(mark);
            let stays = !is_end || spare <= ENDS_KEPT;
            spare -= usize::from(is_end);
            stays
        });
        let within = marks.iter().filter(|mark| is_end(mark));
        within.count()
    }
}

impl Mark {
    /// It is not at a window's beginning.
    pub(super) fn is_within_a_window(&self) -> bool {
        window_of(self.before) != self.before
    }
}
