//! What control wants, carried out.

use super::Shard;
use super::inbox::{Mirror, Order, Phase, Told};
use super::partition::Partition;
use crate::io::{Clock, World};
use crate::log::{Beginning, LogFault, Opened, open};
use crate::model::{Offset, TopicPartition};
use crate::source::{Answer, CursorId, Turn};

impl<W: World> Shard<W> {
    pub(super) fn obey(&mut self, order: Order) {
        match order {
            Order::Brokers(endpoints) => {
                for endpoint in endpoints {
                    self.source.broker_at(endpoint);
                }
            }
            Order::Leader { id, leader, epoch } => {
                if let Some(cursor) = self.by_name.get(&id) {
                    self.source.leader_moved(*cursor, leader, epoch);
                }
                let waiting = self.unopened.iter_mut();
                for waiting in waiting.filter(|unopened| unopened.mirror.id == id) {
                    (waiting.mirror.leader, waiting.mirror.leader_epoch) = (leader, epoch);
                }
            }
            Order::Answer { cursor, answer } => self.answered(cursor, answer),
            Order::Recorded(points) => {
                for (id, point) in points {
                    self.recorded(&id, point);
                }
            }
            Order::Stop { id, cause } => {
                self.forget_unopened(&id, &cause.to_string());
                if let Some(cursor) = self.by_name.get(&id).copied()
                    && !self.is_stopped(cursor)
                {
                    self.give_up(cursor, cause.to_string());
                }
            }
            Order::Replicated(points) => {
                for (id, point) in points {
                    self.replicated(&id, point);
                }
            }
            Order::Retain { id, retention } => {
                if let Some(partition) = self.named(&id) {
                    partition.mirror.retention = retention;
                }
            }
            Order::Compare { id, with, version } => {
                let partition = self.named(&id);
                let met = partition.map(|partition| partition.log.written_under(&with));
                if let Some(met) = met {
                    self.report.told.push(Told::Compared { id, version, met });
                }
            }
            Order::Registered(epoch) => self.source.registered_as(epoch),
            Order::Close => unreachable!("the loop ends with it"),
            order => self.task(order),
        }
    }

    fn named(&mut self, id: &TopicPartition) -> Option<&mut Partition<W::Disk>> {
        let cursor = self.by_name.get(id)?;
        self.partitions.get_mut(cursor)
    }

    fn recorded(&mut self, id: &TopicPartition, point: Offset) {
        // Half a cut has its own notes of what is durable, and they stay.
        if let Some(partition) = self.named(id).filter(|one| !one.is_half_cut()) {
            // A log that lacks what it had is said to reach further than it does.
            partition.store.recorded(point.min(partition.durable));
        }
    }

    fn replicated(&mut self, id: &TopicPartition, point: Offset) {
        if let Some(partition) = self.named(id) {
            partition.replicated = partition.replicated.max(point).min(partition.end());
        }
    }

    pub(super) fn is_stopped(&self, cursor: CursorId) -> bool {
        let partition = self.partitions.get(&cursor);
        partition.is_none_or(|partition| matches!(partition.phase, Phase::Stopped(_)))
    }

    /// Opens a partition's log. Where we lead it, the epoch in which we do has begun then.
    pub(super) fn open(&self, mirror: &Mirror) -> Result<Opened<W::Disk>, LogFault> {
        let known = Beginning {
            topic_id: mirror.held_topic_id.unwrap_or(mirror.topic_id),
            log_start: mirror.log_start,
            recovery_point: mirror.recovery_point,
            is_clean: mirror.is_clean,
            refetchable: mirror.refetchable,
            aside: mirror.aside.as_deref(),
        };
        let (disk, wall) = (self.world.disk().clone(), self.world.clock().wall());
        let mut opened = open(disk, &mirror.dir, mirror.options, known, wall)?;
        if let Some(stamp) = mirror.stamp {
            let Opened { log, store, .. } = &mut opened;
            store.lead(log, stamp, mirror.source_epochs.clone())?;
        }
        Ok(opened)
    }

    /// A partition's log is open: it is followed from now on, or once that is ordered.
    pub(super) fn follow(&mut self, mirror: Mirror, opened: Opened<W::Disk>) {
        let Opened {
            log,
            store,
            recovered,
            aside,
        } = opened;
        if !mirror.is_clean {
            tracing::info!(
                "{} was not closed cleanly: {} bytes of it were read again, {} cut off",
                mirror.id,
                recovered.bytes_read,
                recovered.bytes_cut
            );
        }
        let (id, fetches) = (mirror.id.clone(), mirror.fetches);
        let mut partition = Partition::new(mirror, log, store, recovered);
        let (cursor, turn) = self.source.follow(partition.followed());
        let end = partition.end();
        partition.dirty_since = (partition.durable < end).then(|| self.now());
        let can_fetch = partition.theirs() == end;
        partition.is_fetched = fetches && can_fetch;
        if let Some(aside) = aside.map(Box::new) {
            let id = id.clone();
            self.report.told.push(Told::SetAside { id, aside });
        }
        self.report.told.push(partition.opened());
        self.partitions.insert(cursor, partition);
        self.by_name.insert(id.clone(), cursor);
        self.moved.insert(cursor);
        self.announce_all(cursor);
        self.schedule(cursor);
        if !(fetches && can_fetch) {
            self.source.cease(cursor);
        } else if turn == Turn::Done {
            self.turn(cursor, turn);
        }
        if fetches && let Err(why) = self.fetch_again(cursor) {
            self.failed(id, "fetch", why);
        }
    }

    fn answered(&mut self, cursor: CursorId, answer: Answer) {
        let Some(partition) = self.partitions.get(&cursor) else {
            return;
        };
        let held = |epoch| partition.held(epoch);
        let turn = self.source.answered(self.now(), cursor, answer, &held);
        if !matches!(turn, Turn::Retry { .. })
            && let Some(partition) = self.partitions.get_mut(&cursor)
            && matches!(partition.phase, Phase::Waiting(_))
        {
            partition.phase = Phase::Mirroring;
            self.moved.insert(cursor);
        }
        // Patience goes on: what is asked next may fail as before.
        if turn != Turn::Continue {
            self.turn(cursor, turn);
        }
    }
}
