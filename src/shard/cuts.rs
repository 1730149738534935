//! A partition's log that loses its end: because control says so, or because the source has lost
//! what was copied from it. What goes is set aside first where that is wanted.

use super::Shard;
use super::inbox::{Phase, Told};
use super::partition::Work;
use crate::io::{Clock, World};
use crate::log::{LogFault, Opened, cut, empty, set_aside};
use crate::model::Offset;
use crate::source::CursorId;

/// Why a log was not cut.
pub(super) enum Refusal {
    /// It is as it was, and cannot be cut there.
    Never(String),
    /// The disk has refused what comes before the cut: it is as it was.
    Whole(LogFault),
    /// The disk has refused some of the cut: nobody knows what is there.
    Half(LogFault),
}

impl<W: World> Shard<W> {
    /// Cuts a log that is not fetched, as control says.
    pub(super) fn cut_as_told(&mut self, cursor: CursorId, to: Offset) -> Result<(), String> {
        let partition = self.at_rest(cursor)?;
        let id = partition.id.clone();
        let cut = match to < partition.log.watermarks().log_start {
            true => self.empty(cursor, to),
            false => self.cut(cursor, to),
        };
        match cut {
            Ok(()) => {
                let partition = &self.partitions[&cursor];
                self.report.told.push(Told::Cut {
                    id,
                    log_start: partition.log.watermarks().log_start,
                    log_end: partition.end(),
                    epochs: partition.log.epochs().clone(),
                });
                Ok(())
            }
            Err(Refusal::Never(why)) => Err(why),
            Err(Refusal::Whole(fault)) => Err(fault.to_string()),
            Err(Refusal::Half(fault)) => {
                self.close_for(cursor, fault.to_string());
                Err(format!("{fault}; mirror it again and repeat the cut"))
            }
        }
    }

    /// The source has lost what lies from `to` on.
    pub(super) fn source_truncated(&mut self, cursor: CursorId, to: Offset) {
        self.take_no_more(cursor);
        if let Some(partition) = self.partitions.get_mut(&cursor) {
            partition.waiting.push_back(Work::Truncate(to));
            self.go_on(cursor);
        }
    }

    /// Cuts a log likewise and follows the source from there. One that we lead is left as it is.
    pub(super) fn cut_as_source(&mut self, cursor: CursorId, to: Offset) {
        let Some(partition) = self.partitions.get(&cursor) else {
            return;
        };
        if !partition.is_to_be_cut() {
            return;
        }
        let id = partition.id.clone();
        let held_to = partition.end();
        if partition.log.stamp().is_some() {
            tracing::warn!(
                "{id}: the source has lost what was copied from offset {to} to {held_to}"
            );
            self.stop_fetching(cursor);
            let told = Told::SourceTookBack { id, from: to };
            return self.report.told.push(told);
        }
        if let Err(refusal) = self.cut(cursor, to) {
            return self.refuse_cut(cursor, Work::Truncate(to), refusal);
        }
        let partition = &self.partitions[&cursor];
        let (end, epoch) = (partition.end(), partition.their_epoch());
        match self.options.source.replica.is_some() {
            true => tracing::info!(
                "{id}: from offset {end} to {held_to} its leader has something else: that was cut \
                 off here"
            ),
            false => tracing::warn!(
                "{id}: the source has lost what was copied from offset {end} to {held_to}; that \
                 was cut off here as well"
            ),
        }
        self.report.told.push(Told::SourceTruncated { id, to: end });
        self.cut_is_done(cursor);
        self.source.truncated(cursor, end, epoch);
    }

    /// The leader of a replica has nothing of what that holds any more: its log begins at `at`.
    pub(super) fn source_restarted(&mut self, cursor: CursorId, at: Offset) {
        self.take_no_more(cursor);
        if let Some(partition) = self.partitions.get_mut(&cursor) {
            partition.waiting.push_back(Work::Restart(at));
            self.go_on(cursor);
        }
    }

    /// Empties a log, which begins and ends at `at` then.
    pub(super) fn restart_as_source(&mut self, cursor: CursorId, at: Offset) {
        let Some(partition) = self.partitions.get(&cursor) else {
            return;
        };
        if !partition.is_to_be_cut() {
            return;
        }
        assert!(partition.log.stamp().is_none(), "a replica leads nothing");
        let id = partition.id.clone();
        let (held_from, held_to) = (partition.log.watermarks().log_start, partition.end());
        if let Err(refusal) = self.empty(cursor, at) {
            return self.refuse_cut(cursor, Work::Restart(at), refusal);
        }
        tracing::warn!(
            "{id}: its leader has nothing of offsets {held_from} to {held_to} any more; it is \
             fetched anew from offset {at} on"
        );
        self.report.told.push(Told::SourceTruncated { id, to: at });
        self.cut_is_done(cursor);
        self.source.restarted(cursor, at);
    }

    /// Takes everything from a log whose files nobody writes; it begins at `at` then.
    fn empty(&mut self, cursor: CursorId, at: Offset) -> Result<(), Refusal> {
        let partition = self.partitions.get(&cursor).expect("the caller has it");
        self.set_aside(cursor, partition.log.watermarks().log_start)?;
        let partition = self.partitions.get(&cursor).expect("it was there");
        let emptied = empty(self.world.disk(), partition.store.dir(), partition.durable);
        let reopened = emptied.and_then(|()| self.reopened(cursor, at, at));
        if let Err(fault) = reopened {
            return Err(Refusal::Half(fault));
        }
        self.announce_all(cursor);
        self.moved.insert(cursor);
        Ok(())
    }

    /// Cuts a log whose files nobody writes.
    fn cut(&mut self, cursor: CursorId, to: Offset) -> Result<(), Refusal> {
        let partition = self.partitions.get(&cursor).expect("the caller has it");
        let marks = partition.log.watermarks();
        assert!(!partition.is_syncing, "its files are at work");
        if to < marks.log_start {
            return Err(Refusal::Never(format!(
                "it would have to end at offset {to}, and begins at {}",
                marks.log_start
            )));
        }
        if to >= marks.log_end {
            return Ok(());
        }
        self.set_aside(cursor, to)?;
        let partition = self.partitions.get(&cursor).expect("it was there");
        let done = cut(
            self.world.disk(),
            partition.store.dir(),
            to,
            partition.durable,
        );
        let start = marks.log_start;
        let reopened = done.and_then(|end| self.reopened(cursor, start, end.unwrap_or(start)));
        if let Err(fault) = reopened {
            return Err(Refusal::Half(fault));
        }
        self.announce_all(cursor);
        self.moved.insert(cursor);
        self.schedule(cursor);
        Ok(())
    }

    /// Sets aside what goes from `from` on, where that is wanted. Where a cut is repeated that was
    /// done: room is what lacks then.
    fn set_aside(&mut self, cursor: CursorId, from: Offset) -> Result<(), Refusal> {
        let partition = self.partitions.get(&cursor).expect("the caller has it");
        let (id, dir) = (partition.id.clone(), partition.store.dir());
        let into = partition.mirror.aside.as_deref();
        let Some(into) = into.filter(|_| !partition.is_half_cut()) else {
            return Ok(());
        };
        let (disk, wall) = (self.world.disk(), self.world.clock().wall());
        let aside = set_aside(disk, dir, from, into, wall).map_err(Refusal::Whole)?;
        if let Some(aside) = aside {
            tracing::warn!("{id}: what is cut off is set aside: {aside}");
            let aside = Box::new(aside);
            self.report.told.push(Told::SetAside { id, aside });
        }
        Ok(())
    }

    /// The log is open anew, after its files were cut: it begins at `start` and ends at `end`.
    fn reopened(&mut self, cursor: CursorId, start: Offset, end: Offset) -> Result<(), LogFault> {
        let now = self.now();
        let partition = self.partitions.get_mut(&cursor).expect("the caller has it");
        let mut mirror = partition.mirror.clone();
        mirror.log_start = start;
        // As it is known elsewhere; the cut is remembered beside the log.
        mirror.recovery_point = partition.durable;
        partition.durable = partition.durable.min(end);
        // What is cut is not wanted any more.
        partition.whole = None;
        mirror.is_clean = false;
        mirror.refetchable = None;
        mirror.source_epochs = None;
        let Opened { log, store, .. } = self.open(&mirror)?;
        let partition = self.partitions.get_mut(&cursor).expect("it was there");
        (partition.log, partition.store) = (log, store);
        let end = partition.end();
        partition.replicated = partition.replicated.min(end);
        partition.gaps.retain(|(from, _)| *from < end);
        partition.durable = partition.durable.max(start).min(partition.end());
        partition.is_unflushed = false;
        partition.dirty_since = (partition.durable < partition.end()).then_some(now);
        Ok(())
    }

    /// A partition's log cannot be used here any more.
    pub(super) fn close_for(&mut self, cursor: CursorId, why: String) {
        self.source.unfollow(cursor);
        let partition = self.partitions.remove(&cursor).expect("the caller has it");
        self.by_name.remove(&partition.id);
        self.moved.remove(&cursor);
        self.all_opened = false;
        tracing::error!("{} stops: {why}", partition.id);
        let mut status = partition.status(None);
        status.phase = Phase::Stopped(why);
        // A node waits for it to be closed, and opens it again.
        if partition.log.stamp().is_some() || self.options.source.replica.is_some() {
            self.report.told.push(Told::Released {
                id: partition.id.clone(),
                log_start: status.log_start,
                log_end: partition.durable,
                is_clean: false,
            });
        }
        self.report.statuses.push(status);
    }
}
