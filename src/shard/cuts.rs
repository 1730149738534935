//! A partition's log that loses its end: because control says so, or because the source has lost
//! what was copied from it. What goes is set aside first where that is wanted.

use std::path::PathBuf;

use super::Shard;
use super::inbox::{Phase, Told};
use super::partition::{Partition, Work};
use crate::io::World;
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
    Half {
        /// What it says.
        fault: LogFault,
        /// Where what goes was set aside before.
        aside: Option<PathBuf>,
    },
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
            Ok(aside) => {
                let partition = &self.partitions[&cursor];
                self.report.told.push(Told::Cut {
                    id,
                    log_start: partition.log.watermarks().log_start,
                    log_end: partition.end(),
                    epochs: partition.log.epochs().clone(),
                    aside,
                });
                Ok(())
            }
            Err(Refusal::Never(why)) => Err(why),
            Err(Refusal::Whole(fault)) => Err(fault.to_string()),
            Err(Refusal::Half { fault, .. }) => {
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
        let aside = match self.cut(cursor, to) {
            Ok(aside) => aside,
            Err(refusal) => return self.refuse_cut(cursor, Work::Truncate(to), refusal),
        };
        let partition = &self.partitions[&cursor];
        let (end, epoch) = (partition.end(), partition.their_epoch());
        let kept = match &aside {
            Some(aside) => format!("it lies in {}", aside.display()),
            None => "it is not kept".to_owned(),
        };
        match self.options.source.replica.is_some() {
            true => tracing::info!(
                "{id}: from offset {end} to {held_to} its leader has something else: that was cut \
                 off here"
            ),
            false => tracing::warn!(
                "{id}: the source has lost what was copied from offset {end} to {held_to}; that \
                 was cut off here as well: {kept}"
            ),
        }
        self.report
            .told
            .push(Told::SourceTruncated { id, to: end, aside });
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
        let aside = match self.empty(cursor, at) {
            Ok(aside) => aside,
            Err(refusal) => return self.refuse_cut(cursor, Work::Restart(at), refusal),
        };
        tracing::warn!(
            "{id}: its leader has nothing of offsets {held_from} to {held_to} any more; it is \
             fetched anew from offset {at} on"
        );
        self.report
            .told
            .push(Told::SourceTruncated { id, to: at, aside });
        self.cut_is_done(cursor);
        self.source.restarted(cursor, at);
    }

    /// Takes everything from a log whose files nobody writes; it begins at `at` then. Says where
    /// what went was set aside.
    fn empty(&mut self, cursor: CursorId, at: Offset) -> Result<Option<PathBuf>, Refusal> {
        let partition = self.partitions.get(&cursor).expect("the caller has it");
        let aside = self.aside(partition, partition.log.watermarks().log_start)?;
        let emptied = empty(self.world.disk(), partition.store.dir(), partition.durable);
        let reopened = emptied.and_then(|()| self.reopened(cursor, at, at));
        if let Err(fault) = reopened {
            return Err(Refusal::Half { fault, aside });
        }
        self.announce_all(cursor);
        self.moved.insert(cursor);
        Ok(aside)
    }

    /// Cuts a log whose files nobody writes. Says where what went was set aside.
    fn cut(&mut self, cursor: CursorId, to: Offset) -> Result<Option<PathBuf>, Refusal> {
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
            return Ok(None);
        }
        let aside = self.aside(partition, to)?;
        let done = cut(
            self.world.disk(),
            partition.store.dir(),
            to,
            partition.durable,
        );
        let start = marks.log_start;
        let reopened = done.and_then(|end| self.reopened(cursor, start, end.unwrap_or(start)));
        if let Err(fault) = reopened {
            return Err(Refusal::Half { fault, aside });
        }
        self.announce_all(cursor);
        self.moved.insert(cursor);
        self.schedule(cursor);
        Ok(aside)
    }

    /// Sets aside what goes from `from` on, where that is wanted and not done yet.
    fn aside(
        &self,
        partition: &Partition<W::Disk>,
        from: Offset,
    ) -> Result<Option<PathBuf>, Refusal> {
        match (&partition.uncut, &partition.mirror.aside) {
            (Some(uncut), _) if uncut.is_half => Ok(uncut.aside.clone()),
            (_, None) => Ok(None),
            (_, Some(into)) => set_aside(self.world.disk(), partition.store.dir(), from, into)
                .map_err(Refusal::Whole),
        }
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
