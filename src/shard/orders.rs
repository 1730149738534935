//! What control wants, carried out.

use super::Shard;
use super::inbox::{Mirror, Order, Phase, Tally, Told};
use super::partition::Partition;
use crate::io::{Clock, World};
use crate::log::{Beginning, LogFault, Opened, open};
use crate::model::{Offset, TopicPartition};
use crate::source::{Answer, CursorId, Followed, Turn};

impl<W: World> Shard<W> {
    pub(super) fn obey(&mut self, order: Order) {
        match order {
            Order::Brokers(endpoints) => {
                for endpoint in endpoints {
                    self.source.broker_at(endpoint);
                }
            }
            Order::Mirror(mirror) => self.mirror(*mirror),
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
            Order::Replicated(_) => {}
            Order::Stamp { id, .. } => self.refuse(id, "stamp"),
            Order::Fetch { id } => self.refuse(id, "fetch"),
            Order::Cease { id } => self.refuse(id, "cease"),
            Order::Seal { id } => self.refuse(id, "seal"),
            Order::Cut { id, .. } => self.refuse(id, "cut"),
            Order::Release { id } => self.refuse(id, "release"),
            Order::Close => unreachable!("the loop ends with it"),
        }
    }

    fn refuse(&mut self, id: TopicPartition, what: &'static str) {
        let why = "this version cannot do it yet".to_owned();
        self.report.told.push(Told::Failed { id, what, why });
    }

    fn recorded(&mut self, id: &TopicPartition, point: Offset) {
        let cursor = self.by_name.get(id);
        if let Some(partition) = cursor.and_then(|cursor| self.partitions.get_mut(cursor)) {
            partition.store.recorded(point);
        }
    }

    pub(super) fn is_stopped(&self, cursor: CursorId) -> bool {
        let partition = self.partitions.get(&cursor);
        partition.is_none_or(|partition| matches!(partition.phase, Phase::Stopped(_)))
    }

    fn mirror(&mut self, mirror: Mirror) {
        let is_plain = mirror.stamp.is_none() && mirror.fetches && mirror.retention.is_none();
        if !is_plain || mirror.may_truncate || mirror.follows_log_start {
            return self.refuse(mirror.id, "open");
        }
        let now = self.now();
        self.open_or_wait(mirror, now);
    }

    pub(super) fn open(&self, mirror: &Mirror) -> Result<Opened<W::Disk>, LogFault> {
        let known = Beginning {
            topic_id: mirror.topic_id,
            log_start: mirror.log_start,
            recovery_point: mirror.recovery_point,
            is_clean: mirror.is_clean,
            refetchable: mirror.refetchable,
        };
        let (disk, wall) = (self.world.disk().clone(), self.world.clock().wall());
        open(disk, &mirror.dir, mirror.options, known, wall)
    }

    pub(super) fn follow(&mut self, mirror: Mirror, opened: Opened<W::Disk>) {
        let Opened {
            log,
            store,
            recovered,
        } = opened;
        let (cursor, turn) = self.source.follow(Followed {
            id: mirror.id.clone(),
            topic_id: mirror.topic_id,
            leader: mirror.leader,
            leader_epoch: mirror.leader_epoch,
            position: log.watermarks().log_end,
            last_epoch: log.last_epoch(),
            log_start: log.watermarks().log_start,
            is_empty: log.is_empty(),
            until: mirror.until,
        });
        if !mirror.is_clean {
            tracing::info!(
                "{} was not closed cleanly: {} bytes of it were read again, {} cut off",
                mirror.id,
                recovered.bytes_read,
                recovered.bytes_cut
            );
        }
        let end = log.watermarks().log_end;
        let durable = if mirror.is_clean {
            end
        } else {
            mirror.recovery_point.min(end)
        };
        let partition = Partition {
            id: mirror.id.clone(),
            log,
            store,
            phase: Phase::Mirroring,
            tally: Tally::default(),
            durable,
            gaps: Vec::new(),
            recovered,
            producer_id_shift: mirror.producer_id_shift,
            is_to_end: mirror.until.is_some(),
            waiting_since: None,
            said_at: None,
            suspicion: None,
            dirty_since: (durable < end).then(|| self.now()),
            is_unflushed: false,
            is_syncing: false,
            is_complete: false,
            is_broken: false,
        };
        self.report.told.push(Told::Opened {
            id: mirror.id.clone(),
            log_start: partition.log.watermarks().log_start,
            log_end: end,
            epochs: partition.log.epochs().clone(),
            stamp: None,
            source_epoch: partition.log.last_epoch(),
        });
        self.partitions.insert(cursor, partition);
        self.by_name.insert(mirror.id, cursor);
        self.moved.insert(cursor);
        self.schedule(cursor);
        if turn == Turn::Done {
            self.turn(cursor, turn);
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
        self.turn(cursor, turn);
    }
}
