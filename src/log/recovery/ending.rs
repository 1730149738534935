//! The end of recovery: what no open would make sense of again is taken away.

use super::{Opened, Recovery};
use crate::io::Disk;
use crate::log::append::Log;
use crate::log::fault::LogFault;
use crate::log::layout::{INDEX, LOG, SNAPSHOT, TIME_INDEX, TXN_INDEX};
use crate::log::segment::Segment;
use crate::log::store::{Files, Store};
use crate::model::Offset;

impl<D: Disk> Recovery<'_, D> {
    /// All batches are read.
    pub(super) fn finish(
        self,
        mut log: Log,
        mut store: Store<D>,
        producers_at: Offset,
    ) -> Result<Opened<D>, LogFault> {
        let end = log.watermarks().log_end;
        let reached = log.log_end.max(log.log_start);
        if reached < self.known.recovery_point {
            return Err(LogFault::Missing {
                dir: self.dir,
                end,
                durable: self.known.recovery_point.max(producers_at),
            });
        }
        if reached < producers_at {
            return Err(LogFault::SnapshotAhead {
                path: self.path(producers_at, SNAPSHOT),
                at: producers_at,
                end,
            });
        }
        for offset in &self.found.snapshots {
            let begins = *offset == log.segment.base || log.older.binary_search(offset).is_ok();
            if *offset == producers_at && !begins {
                store.adopt_snapshot(*offset);
            } else if !begins {
                self.remove(&self.path(*offset, SNAPSHOT))?;
            }
        }
        self.begin_at_end(&mut log, &mut store, end)?;
        self.drop_hollow_segments(&mut log)?;
        log.digest.settle(&self.disk, &self.dir)?;
        let start = log.log_start;
        log.digest.begins_at(start, &self.disk, &self.dir)?;
        store.recorded(self.known.recovery_point);
        Ok(Opened {
            log,
            store,
            recovered: self.recovered,
            aside: None,
        })
    }

    /// A segment that was cut to nothing may begin far behind the log's end. It and the snapshot
    /// of its beginning would tell of a log that reaches there.
    fn begin_at_end(
        &self,
        log: &mut Log,
        store: &mut Store<D>,
        end: Offset,
    ) -> Result<(), LogFault> {
        let base = log.segment.base;
        if base <= end || log.segment.size > 0 {
            return Ok(());
        }
        // Where there are batches, the log's start may lie behind the last one.
        let begin = if log.is_empty { end } else { log.log_end };
        store.files = Files::create(&self.disk, &self.dir, begin)?;
        log.segment = Segment::new(begin, self.now);
        self.forget_segment(base)
    }

    /// What lies before the first batch is no part of the log: the next open would say so, and
    /// take a segment without batches for one that has lost them.
    fn drop_hollow_segments(&self, log: &mut Log) -> Result<(), LogFault> {
        let present = log.segment.base;
        for base in self.hollow.iter().filter(|base| **base != present) {
            self.forget_segment(*base)?;
        }
        if !log.is_empty {
            let first = log.older.first().copied().unwrap_or(present);
            log.log_start = log.log_start.max(first);
        }
        Ok(())
    }

    fn forget_segment(&self, base: Offset) -> Result<(), LogFault> {
        for suffix in [INDEX, TIME_INDEX, TXN_INDEX, SNAPSHOT, LOG] {
            self.forget(&self.path(base, suffix))?;
        }
        Ok(())
    }
}
