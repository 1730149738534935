//! What control wants of one partition that is open: done at once, or once its files are at rest,
//! one thing after the other.

use std::collections::VecDeque;

use super::Shard;
use super::inbox::{Aborted, Order, Phase, Told};
use super::ingest::Expectation;
use super::partition::{End, Partition, Work};
use crate::io::{Clock, World};
use crate::log::cut_unsynced;
use crate::model::{LeaderEpoch, TopicPartition};
use crate::source::CursorId;

impl<W: World> Shard<W> {
    /// Takes an order about a partition that is, or is to be, open here.
    pub(super) fn task(&mut self, order: Order) {
        let (id, verb) = subject(&order);
        let id = id.clone();
        let Some(cursor) = self.by_name.get(&id).copied() else {
            return self.without_log(order);
        };
        if self.cut_gives_way(cursor, &order) {
            self.wait_behind(cursor, order);
            return self.go_on(cursor);
        }
        let partition = self.partitions.get_mut(&cursor).expect("it has a name");
        let needs_rest = matches!(order, Order::Cut { .. } | Order::Release { .. });
        if partition.is_busy() || needs_rest && partition.is_syncing {
            return self.wait_behind(cursor, order);
        }
        let done = match order {
            Order::Mirror(_) => Err("it is mirrored already: release it first".to_owned()),
            Order::Stamp { epoch, .. } => self.lead(cursor, epoch),
            Order::Fetch { .. } => self.fetch_again(cursor),
            Order::Cease { .. } => {
                self.cease(cursor);
                Ok(())
            }
            Order::Seal { .. } => self.seal(cursor),
            Order::Cut { to, .. } => self.cut_as_told(cursor, to),
            Order::Release { .. } => self.release(cursor),
            _ => unreachable!("no order about one open partition"),
        };
        if let Err(why) = done {
            self.failed(id, verb, why);
        }
    }

    fn wait_behind(&mut self, cursor: CursorId, order: Order) {
        let partition = self.partitions.get_mut(&cursor).expect("the caller has it");
        partition.waiting.push_back(Work::Order(order));
    }

    /// What waited for the files of a partition to be at rest, as far as it goes now.
    pub(super) fn go_on(&mut self, cursor: CursorId) {
        let now = self.now();
        while let Some(partition) = self.partitions.get_mut(&cursor) {
            let is_at_work = partition.is_syncing || partition.awaited.is_some();
            if is_at_work || partition.waits_to_cut(now) {
                return;
            }
            match partition.waiting.pop_front() {
                None => return,
                Some(Work::Truncate(to)) => self.cut_as_source(cursor, to),
                Some(Work::Restart(at)) => self.restart_as_source(cursor, at),
                Some(Work::Order(order)) => {
                    // What waits behind it still has to.
                    let behind = std::mem::take(&mut partition.waiting);
                    self.task(order);
                    self.wait_again(cursor, behind);
                }
            }
        }
    }

    /// Puts back what waits; where the partition is gone, its turn has come.
    fn wait_again(&mut self, cursor: CursorId, behind: VecDeque<Work>) {
        if let Some(partition) = self.partitions.get_mut(&cursor) {
            partition.waiting.extend(behind);
            return;
        }
        for work in behind {
            if let Work::Order(order) = work {
                self.task(order);
            }
        }
    }

    pub(super) fn failed(&mut self, id: TopicPartition, what: &'static str, why: String) {
        tracing::warn!("{id}: {what}: {why}");
        self.report.told.push(Told::Failed { id, what, why });
    }

    /// Leads it in another epoch from here on.
    fn lead(&mut self, cursor: CursorId, epoch: LeaderEpoch) -> Result<(), String> {
        let partition = self.partitions.get_mut(&cursor).expect("the caller has it");
        if !partition.has_sound_files() {
            return Err(BROKEN.to_owned());
        }
        if partition.log.stamp().is_none() {
            return Err("it was opened to be followed, not to be led".to_owned());
        }
        let (log, store) = (&mut partition.log, &mut partition.store);
        let led = store.lead(log, epoch, None);
        led.map_err(|fault| fault.to_string())?;
        partition.mirror.stamp = Some(epoch);
        let told = partition.opened();
        self.report.told.push(told);
        self.announce_all(cursor);
        Ok(())
    }

    /// Fetches from the log's end on.
    pub(super) fn fetch_again(&mut self, cursor: CursorId) -> Result<(), String> {
        let partition = self.partitions.get_mut(&cursor).expect("the caller has it");
        match &partition.phase {
            Phase::Stopped(why) => {
                return Err(format!(
                    "it has stopped, release it and mirror it again: {why}"
                ));
            }
            Phase::Done => return Err("all that was asked for is there".to_owned()),
            Phase::Mirroring | Phase::Waiting(_) => {}
        }
        let (end, mirrored) = (partition.end(), partition.theirs());
        if mirrored < end {
            return Err(format!(
                "from offset {mirrored} to {end} its log is not known to be the source's: cut it \
                 there first, or tell the source's epochs"
            ));
        }
        if !partition.is_fetched {
            partition.is_fetched = true;
            let epoch = partition.their_epoch();
            let turn = self.source.begin_again(cursor, end, epoch);
            self.turn(cursor, turn);
        }
        Ok(())
    }

    /// Fetches no more, and says where that leaves it.
    fn cease(&mut self, cursor: CursorId) {
        self.stop_fetching(cursor);
        let partition = self.partitions.get(&cursor).expect("the caller has it");
        let mirrored = partition.log.mirrored();
        // Of files that have failed nobody knows what they hold.
        let digest = match partition.has_sound_files() {
            true => partition.log.digest(mirrored),
            false => None,
        };
        let told = Told::Ceased {
            id: partition.id.clone(),
            log_end: partition.end(),
            mirrored,
            digest,
            source_epoch: partition.log.source_epoch(),
        };
        self.report.told.push(told);
    }

    /// From now on nothing is asked for it, and nothing of what is under way is taken.
    pub(super) fn stop_fetching(&mut self, cursor: CursorId) {
        self.take_no_more(cursor);
        let partition = self.partitions.get_mut(&cursor).expect("the caller has it");
        if !std::mem::take(&mut partition.is_fetched) || partition.is_over() {
            return;
        }
        if matches!(partition.phase, Phase::Waiting(_)) && !partition.is_unflushed {
            partition.phase = Phase::Mirroring;
            partition.waiting_since = None;
        }
        self.source.cease(cursor);
        self.moved.insert(cursor);
    }

    /// What still comes of an answer is not wanted.
    pub(super) fn take_no_more(&mut self, cursor: CursorId) {
        for link in self.links.values_mut() {
            if let Some(taking) = &mut link.taking
                && taking
                    .expect
                    .as_ref()
                    .is_some_and(|expect| expect.cursor == cursor)
            {
                taking.expect = Some(Expectation::nothing(cursor));
            }
        }
    }

    fn seal(&mut self, cursor: CursorId) -> Result<(), String> {
        let wall = self.world.clock().wall();
        let partition = self.at_rest(cursor)?;
        if partition.log.stamp().is_none() {
            return Err("only who leads a log writes into it, and this one is followed".to_owned());
        }
        let before = partition.end();
        let sealed = partition.store.seal(&mut partition.log, wall);
        if partition.end() > before {
            self.appended(cursor);
        }
        let aborted = match sealed {
            Ok(aborted) => aborted,
            Err(fault) => {
                if !fault.may_pass() {
                    self.break_off(cursor, &fault);
                }
                return Err(fault.to_string());
            }
        };
        let aborted = aborted.into_iter().map(|open| Aborted {
            producer: open.producer,
            epoch: open.epoch,
            first_offset: open.first,
        });
        let partition = self.partitions.get_mut(&cursor).expect("at rest above");
        let left = partition.log.open_transactions();
        if left > 0 {
            tracing::warn!(
                "{}: {left} transactions stay open that are not known to be the source's: \
                 consumers of committed records wait for them; where nobody ends them, \
                 kafka-transactions.sh abort does",
                partition.id
            );
        }
        partition.awaited = Some(End::Sealed(aborted.collect()));
        match partition.durable == partition.end() {
            true => self.is_over(cursor),
            false => self.to_seal.push_back(cursor),
        }
        Ok(())
    }

    fn release(&mut self, cursor: CursorId) -> Result<(), String> {
        self.stop_fetching(cursor);
        let partition = self.partitions.get_mut(&cursor).expect("the caller has it");
        if partition.has_sound_files() {
            partition.store.finish(&mut partition.log);
            partition.awaited = Some(End::Released {
                is_under_way: false,
            });
            self.sync_soon(cursor);
            return Ok(());
        }
        // A sync that comes later would succeed without what was lost.
        let (dir, durable) = (partition.store.dir(), partition.durable);
        let cut = cut_unsynced(self.world.disk(), dir, durable);
        cut.map_err(|fault| fault.to_string())?;
        self.forget(cursor, false);
        Ok(())
    }

    /// A partition that is not fetched, and whose files can be written.
    pub(super) fn at_rest(&mut self, cursor: CursorId) -> Result<&mut Partition<W::Disk>, String> {
        let partition = self.partitions.get_mut(&cursor).expect("the caller has it");
        if !partition.has_sound_files() {
            return Err(BROKEN.to_owned());
        }
        match partition.is_fetched && !partition.is_over() {
            true => Err("it is still fetched: let that cease first".to_owned()),
            false => Ok(partition),
        }
    }

    /// A sync point of it has become durable: what waited for that is over.
    pub(super) fn synced_point(&mut self, cursor: CursorId) {
        let partition = self.partitions.get(&cursor).expect("the caller has it");
        let is_over = match partition.awaited {
            Some(End::Sealed(_)) => partition.durable == partition.end(),
            Some(End::Released { is_under_way }) => is_under_way,
            None => false,
        };
        if is_over {
            self.is_over(cursor);
        }
    }

    /// What waited for all of it to be durable.
    pub(super) fn is_over(&mut self, cursor: CursorId) {
        let partition = self.partitions.get_mut(&cursor).expect("the caller has it");
        let (id, log_end) = (partition.id.clone(), partition.end());
        match partition.awaited.take() {
            Some(End::Sealed(aborted)) => self.report.told.push(Told::Sealed {
                id,
                log_end,
                aborted,
            }),
            Some(End::Released { .. }) => self.forget(cursor, true),
            None => {}
        }
    }

    /// What waited for a sync of it waits in vain.
    pub(super) fn not_durable(&mut self, cursor: CursorId, why: &str) {
        let Some(partition) = self.partitions.get_mut(&cursor) else {
            return;
        };
        let id = partition.id.clone();
        match partition.awaited.take() {
            Some(End::Released { .. }) if self.is_cut_back(cursor) => self.forget(cursor, false),
            Some(end) => self.failed(id, end.verb(), why.to_owned()),
            None => {}
        }
    }

    /// Whether nothing of a broken partition is there that may be lost.
    fn is_cut_back(&self, cursor: CursorId) -> bool {
        let partition = self.partitions.get(&cursor).expect("the caller has it");
        let (dir, durable) = (partition.store.dir(), partition.durable);
        partition.is_broken && cut_unsynced(self.world.disk(), dir, durable).is_ok()
    }

    /// Gives a partition away.
    fn forget(&mut self, cursor: CursorId, is_clean: bool) {
        let progress = self.source.progress(cursor);
        self.source.unfollow(cursor);
        let partition = self.partitions.remove(&cursor).expect("the caller has it");
        self.by_name.remove(&partition.id);
        self.moved.remove(&cursor);
        let mut status = partition.status(progress);
        if !is_clean {
            status.log_end = status.durable.max(status.log_start);
        }
        self.report.told.push(Told::Released {
            id: partition.id,
            log_start: status.log_start,
            log_end: status.log_end,
            is_clean,
        });
        self.report.statuses.push(status);
        self.wait_again(cursor, partition.waiting);
    }
}

const BROKEN: &str = "its files have failed: release it and mirror it again";

/// Which partition an order is about, and the order as a verb.
pub(super) fn subject(order: &Order) -> (&TopicPartition, &'static str) {
    match order {
        Order::Mirror(mirror) => (&mirror.id, "open"),
        Order::Stamp { id, .. } => (id, "stamp"),
        Order::Fetch { id } => (id, "fetch"),
        Order::Cease { id } => (id, "cease"),
        Order::Seal { id } => (id, "seal"),
        Order::Cut { id, .. } => (id, "cut"),
        Order::Release { id } => (id, "release"),
        _ => unreachable!("no order about one partition"),
    }
}
