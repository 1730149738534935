//! When logs are synced, a few at a time; and the close of all of them.

use std::time::Duration;

use super::Shard;
use super::event::Event;
use super::inbox::{Closed, Phase, Told};
use super::partition::{End, Partition};
use crate::io::{Clock, Disk, World};
use crate::log::{LogFault, cut_unsynced};
use crate::model::{Instant, Offset};
use crate::source::CursorId;

/// More would only queue up in the device.
const SYNCS_IN_FLIGHT_MAX: usize = 4;
/// A journal takes as many at a time as there are, and nobody else is kept waiting by them.
const SEALS_IN_FLIGHT_MAX: usize = 64;

impl<W: World> Shard<W> {
    /// Something was appended to a partition's log.
    pub(super) fn appended(&mut self, cursor: CursorId) {
        let now = self.now();
        self.moved.insert(cursor);
        self.announce(cursor);
        let partition = self.partitions.get_mut(&cursor).expect("just appended to");
        let was_clean = partition.dirty_since.is_none();
        partition.dirty_since.get_or_insert(now);
        if partition.store.appended_bytes() >= self.options.flush_bytes {
            self.sync_soon(cursor);
        } else if was_clean {
            self.schedule(cursor);
        }
    }

    /// Puts a partition that is dirty in line for its time.
    pub(super) fn schedule(&mut self, cursor: CursorId) {
        let interval = Duration::from_millis(u64::from(self.options.flush_interval_ms));
        let partition = self.partitions.get(&cursor).expect("the caller has it");
        if let Some(since) = partition.dirty_since {
            self.due.insert((since.after(interval), cursor));
        }
    }

    /// Puts a partition in line now.
    pub(super) fn sync_soon(&mut self, cursor: CursorId) {
        self.due.insert((Instant::default(), cursor));
    }

    pub(super) fn flush_deadline(&self) -> Option<Instant> {
        let has_room = self.syncs_in_flight < SYNCS_IN_FLIGHT_MAX;
        self.due
            .first()
            .filter(|_| has_room)
            .map(|(moment, _)| *moment)
    }

    /// Syncs what is due, as far as there is room.
    pub(super) fn flush(&mut self) {
        self.sync_sealed();
        let now = self.now();
        while self.flush_deadline().is_some_and(|moment| moment <= now) {
            let (_, cursor) = self.due.pop_first().expect("its moment was just seen");
            self.sync(cursor);
        }
    }

    fn sync(&mut self, cursor: CursorId) {
        let wall = self.world.clock().wall();
        let Some(partition) = self.partitions.get_mut(&cursor) else {
            return;
        };
        if !partition.has_sound_files() || partition.is_syncing {
            // Who is syncing looks at what has come since when it is done.
            return;
        }
        let is_released = matches!(partition.awaited, Some(End::Released { .. }));
        if partition.durable == partition.end() && !is_released {
            partition.dirty_since = None;
            return self.settle(cursor);
        }
        match partition.store.sync_point(&mut partition.log, wall) {
            Ok(point) => {
                partition.dirty_since = None;
                partition.is_unflushed = false;
                partition.is_syncing = true;
                if let Some(End::Released { is_under_way }) = &mut partition.awaited {
                    *is_under_way = true;
                }
                self.syncs_in_flight += 1;
                let events = self.events_in.clone();
                self.world.spawn(async move {
                    let outcome = point.sync().await;
                    let end = point.end;
                    drop(
                        events
                            .send(Event::Synced {
                                cursor,
                                end,
                                outcome,
                            })
                            .await,
                    );
                });
            }
            Err(fault) => {
                self.unflushed(cursor, &fault);
                self.not_durable(cursor, &fault.to_string());
            }
        }
    }

    pub(super) fn synced(&mut self, cursor: CursorId, end: Offset, outcome: Result<(), LogFault>) {
        self.syncs_in_flight -= 1;
        let Some(partition) = self.partitions.get_mut(&cursor) else {
            return;
        };
        partition.is_syncing = false;
        match outcome {
            // It was cut meanwhile.
            Ok(()) if partition.is_broken => {}
            Ok(()) => {
                partition.durable = partition.durable.max(end);
                self.moved.insert(cursor);
                self.goes_well(cursor);
                self.settle(cursor);
                self.synced_point(cursor);
            }
            Err(fault) => {
                self.break_off(cursor, &fault);
                self.not_durable(cursor, &fault.to_string());
            }
        }
        self.go_on(cursor);
    }

    /// Makes the batches of sealed logs durable, many at a time: who waits for that waits with all
    /// partitions of a mirror. What recovery would rather not make again follows with the next sync
    /// point. One at a time has the files of a partition: of two syncs of a file the system tells
    /// one that it has failed, and what a sync point has taken is not in the next one.
    pub(super) fn sync_sealed(&mut self) {
        while self.seals_in_flight < SEALS_IN_FLIGHT_MAX
            && let Some(cursor) = self.next_to_seal()
        {
            let partition = self.partitions.get_mut(&cursor);
            let waits = |partition: &&mut Partition<_>| {
                // An ordinary sync may have come first, with all of it.
                matches!(partition.awaited, Some(End::Sealed(_)))
            };
            let Some(partition) = partition.filter(waits) else {
                continue;
            };
            match partition.store.data_point(&partition.log) {
                Ok(point) => {
                    partition.is_syncing = true;
                    self.seals_in_flight += 1;
                    let events = self.events_in.clone();
                    self.world.spawn(async move {
                        let outcome = point.sync().await;
                        let end = point.end;
                        let sealed = Event::Sealed {
                            cursor,
                            end,
                            outcome,
                        };
                        drop(events.send(sealed).await);
                    });
                }
                Err(fault) => self.not_sealed(cursor, &fault),
            }
        }
    }

    /// The first in line whose files are not at work.
    fn next_to_seal(&mut self) -> Option<CursorId> {
        let is_syncing = |cursor| {
            let partition = self.partitions.get(cursor);
            partition.is_some_and(|partition| partition.is_syncing)
        };
        let nth = self.to_seal.iter().position(|cursor| !is_syncing(cursor))?;
        self.to_seal.remove(nth)
    }

    pub(super) fn sealed(&mut self, cursor: CursorId, end: Offset, outcome: Result<(), LogFault>) {
        self.seals_in_flight -= 1;
        let Some(partition) = self.partitions.get_mut(&cursor) else {
            return;
        };
        partition.is_syncing = false;
        assert!(end == partition.end(), "nothing comes to a sealed log");
        match outcome {
            Ok(()) if partition.is_broken => {}
            Ok(()) => {
                self.settle(cursor);
                self.is_over(cursor);
            }
            Err(fault) => self.not_sealed(cursor, &fault),
        }
        self.go_on(cursor);
    }

    fn not_sealed(&mut self, cursor: CursorId, fault: &LogFault) {
        match fault.may_pass() {
            true => self.pause(cursor, fault.to_string()),
            false => self.break_off(cursor, fault),
        }
        self.not_durable(cursor, &fault.to_string());
    }

    /// After a sync: is it done, or has more come meanwhile?
    fn settle(&mut self, cursor: CursorId) {
        let partition = self.partitions.get_mut(&cursor).expect("the caller has it");
        let is_released = matches!(partition.awaited, Some(End::Released { .. }));
        if is_released {
            return self.sync_soon(cursor);
        }
        if partition.durable < partition.end() {
            return match partition.is_complete {
                true => self.sync_soon(cursor),
                false => self.schedule(cursor),
            };
        }
        let is_ending = partition.is_complete && !matches!(partition.phase, Phase::Stopped(_));
        if is_ending && partition.phase != Phase::Done {
            partition.phase = Phase::Done;
            self.moved.insert(cursor);
            self.next_report = Instant::default();
        }
    }

    /// The files are in an unknown state: nothing of them is called durable any more.
    pub(super) fn break_off(&mut self, cursor: CursorId, fault: &LogFault) {
        if let Some(partition) = self.partitions.get_mut(&cursor) {
            if std::mem::replace(&mut partition.is_broken, true) {
                // A sync that was under way when something else failed.
                return;
            }
            // A later sync would succeed without them: what was not durable is fetched again.
            let (dir, durable) = (partition.store.dir(), partition.durable);
            if let Err(fault) = cut_unsynced(self.world.disk(), dir, durable) {
                tracing::warn!(
                    "{} could not be cut, which is tried again: {fault}",
                    partition.id
                );
            }
            self.report.told.push(Told::Broken {
                id: partition.id.clone(),
                durable,
                why: fault.to_string(),
            });
        }
        self.give_up(cursor, fault.to_string());
    }

    /// Makes everything durable, reports it and ends.
    pub(super) async fn close(mut self) {
        for lane in self.links.keys().copied().collect::<Vec<_>>() {
            self.hang_up_on(lane);
        }
        // What was ordered before is carried out to its end.
        loop {
            self.flush();
            if self.syncs_in_flight + self.seals_in_flight == 0 {
                break;
            }
            match self.events.recv().await {
                Some(Event::Synced {
                    cursor,
                    end,
                    outcome,
                }) => self.synced(cursor, end, outcome),
                Some(Event::Sealed {
                    cursor,
                    end,
                    outcome,
                }) => self.sealed(cursor, end, outcome),
                _ => {}
            }
        }
        let wall = self.world.clock().wall();
        let mut is_clean = true;
        let cursors: Vec<CursorId> = self.partitions.keys().copied().collect();
        for cursor in cursors {
            let partition = self.partitions.get_mut(&cursor).expect("just listed");
            self.moved.insert(cursor);
            if !partition.has_sound_files() {
                is_clean = false;
                cut_at_last(self.world.disk(), partition);
                continue;
            }
            match partition.store.close(&mut partition.log, wall) {
                Ok(end) => {
                    partition.durable = end;
                    // What was lost has to be missed at the next start as well.
                    is_clean &= partition.unhealed_end().is_none();
                }
                Err(fault) => {
                    is_clean = false;
                    match fault.may_pass() {
                        true => self.give_up(cursor, fault.to_string()),
                        false => self.break_off(cursor, &fault),
                    }
                }
            }
        }
        self.report.closed = Some(Closed {
            is_clean: is_clean && self.all_opened && self.unopened.is_empty(),
            lag_ms: self.lag_ms.clone(),
        });
        self.collect();
        // Where control has ended, nobody wants it.
        let report = (self.ties.shard, self.report);
        drop(self.ties.reports.send(report).await);
    }
}

/// Cuts off what a failed sync has lost, if that could not be done when it failed.
fn cut_at_last<D: Disk>(disk: &D, partition: &Partition<D>) {
    let (dir, durable) = (partition.store.dir(), partition.durable);
    // Where only a sync has failed once more, no start finds the batches.
    if let Err(fault) = cut_unsynced(disk, dir, durable)
        && fault.may_pass()
    {
        tracing::error!(
            "{}: what a failed sync has lost behind offset {durable} could not be cut off: \
             {fault}; restart the machine before the next copy, which takes it for durable \
             otherwise",
            partition.id
        );
    }
}
