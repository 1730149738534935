//! The segments that are read, one after the other, and where reading ends before they do.

use std::path::Path;

use super::Recovery;
use crate::io::{Disk, File};
use crate::log::append::Log;
use crate::log::fact::BatchFact;
use crate::log::fault::{LogFault, at};
use crate::log::layout::{self, LOG};
use crate::log::store::Store;
use crate::log::walk::{Arrived, Obstacle, Route, walk};
use crate::model::{Offset, Position};
use crate::record::BatchFault;

impl<D: Disk> Recovery<'_, D> {
    /// `None`: a batch contradicts what was noted of it.
    pub(super) fn read_segment(
        &mut self,
        log: &mut Log,
        store: &Store<D>,
        size: u64,
        producers_at: Offset,
    ) -> Result<Option<Arrived>, LogFault> {
        let base = log.segment.base;
        let name = self.path(base, LOG);
        let route = Route {
            from: Position::new(log.segment.size),
            to: size,
            next: log.log_end.max(base),
            epoch: log.last_epoch(),
        };
        let mut is_contradicted = false;
        let walked = walk(&store.files.log, &name, route, |batch, position| {
            let fact = BatchFact::of(batch).map_err(|fault| LogFault::Marker {
                at: batch.base_offset(),
                fault,
            })?;
            let is_far = fact.last.since(base) > i32::MAX as u64;
            let far = || format!("offset {} is too far from the segment's base", fact.last);
            let contradicted = self.witness.contradicts(&fact, log.log_end);
            is_contradicted = contradicted.is_some();
            if let Some(why) = contradicted.or_else(|| is_far.then(far)) {
                return Err(LogFault::Damaged {
                    path: name.clone(),
                    at: position.value(),
                    why,
                    sound_end: Some(log.log_end.max(log.log_start)),
                });
            }
            log.recover(&fact, fact.base >= producers_at);
            Ok(())
        });
        let arrived = match walked {
            Err(contradiction) if is_contradicted => {
                self.contradiction = Some(contradiction);
                return Ok(None);
            }
            walked => walked?,
        };
        self.recovered.bytes_read += arrived.bytes_read;
        Ok(Some(arrived))
    }

    /// Cuts what cannot be read, unless it was durable.
    pub(super) fn cut(
        &mut self,
        store: &Store<D>,
        log: &Log,
        arrived: &Arrived,
        size: u64,
        segment: usize,
    ) -> Result<(), LogFault> {
        let path = self.path(log.segment.base, LOG);
        let is_durable = self.known.is_clean || log.log_end < self.known.recovery_point;
        if is_durable || self.repeats(store, log.segment.base, arrived)? {
            let obstacle = arrived.obstacle.as_ref();
            // Of two batches that cannot follow each other either one may be the wrong one.
            let is_pair = obstacle.is_some_and(Obstacle::is_between_batches);
            let last = arrived.last_base.filter(|_| is_pair);
            return Err(LogFault::Damaged {
                path,
                at: arrived.position,
                why: obstacle.map(ToString::to_string).unwrap_or_default(),
                sound_end: Some(last.unwrap_or(log.log_end).max(log.log_start)),
            });
        }
        let end = Position::new(arrived.position);
        store.files.log.truncate(end).map_err(at(&path))?;
        self.recovered.bytes_cut += size.saturating_sub(arrived.position);
        for base in self.found.bases.split_off(segment + 1) {
            let entry = layout::path(Path::new(""), base, LOG);
            let sizes = self
                .found
                .entries
                .iter()
                .filter(|found| Path::new(&found.name) == entry);
            self.recovered.bytes_cut += sizes.map(|found| found.bytes).sum::<u64>();
            self.remove_segment(base)?;
        }
        Ok(())
    }

    /// Whether the obstacle is a sound batch whose offsets were durable: no unfinished write, but
    /// the batch before it, or itself, is not where it was.
    fn repeats(
        &self,
        store: &Store<D>,
        segment: Offset,
        arrived: &Arrived,
    ) -> Result<bool, LogFault> {
        let Some(Obstacle::Fault(BatchFault::Order { base, .. })) = arrived.obstacle else {
            return Ok(false);
        };
        let (file, path) = (&store.files.log, self.path(segment, LOG));
        let size = file.size().map_err(at(&path))?;
        let was_durable = base < self.known.recovery_point.value();
        Ok(was_durable && self.is_batch(file, segment, arrived.position, size)?)
    }

    pub(super) fn next_segment(
        &self,
        log: &mut Log,
        store: &mut Store<D>,
        base: Offset,
        producers_at: Offset,
    ) -> Result<u64, LogFault> {
        let (files, size) = self.open_files(base)?;
        let kept = self.keep_nothing(base, files, size, producers_at)?;
        store.move_on(log, kept.files, base, base >= producers_at)?;
        log.moved_to(kept.segment);
        Ok(size)
    }
}
