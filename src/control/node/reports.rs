//! What shards report, and what that means for partitions.

use crate::io::{Clock, World};
use crate::mirror::{Action, Ending, Input, PartitionKey};
use crate::model::{Offset, ShardId, TopicPartition};
use crate::shard::inbox::{Phase, Report, Status, Told};

use super::course::Home;
use super::mirrored::Opened;
use super::{Node, NodeFault};

/// What a shard calls the order to close a log.
const RELEASE: &str = "release";

impl<W: World> Node<W> {
    pub(super) fn reported(&mut self, shard: ShardId, report: Report) {
        if report.closed.is_some() {
            self.shards.remove(&shard);
            self.ties.remove(&shard);
            self.worked.remove(&shard);
            self.is_clean &= report.closed.is_some_and(|closed| closed.is_clean);
        }
        if self.shards.contains_key(&shard) {
            self.worked.insert(shard, report.worked);
        }
        for status in report.statuses {
            self.stands(shard, status);
        }
        for told in report.told {
            self.told(shard, told);
        }
        let owner = self.shards.get(&shard).cloned().flatten();
        for asked in report.questions {
            match &owner {
                Some(mirror) => {
                    if let Some(feed) = self.feeds.get_mut(mirror) {
                        feed.asked(shard, asked);
                    }
                }
                None => self.asked_about_destination(shard, asked),
            }
        }
    }

    fn stands(&mut self, shard: ShardId, status: Status) {
        let Some(key) = self.by_id.get(&status.id).cloned() else {
            return;
        };
        let shelf = self.shelf_of(&key);
        let one = self
            .partitions
            .get_mut(&key)
            .expect("by_id is of partitions");
        if one.shard != Some(shard) {
            return;
        }
        if let Some(shelf) = self.shelves.get_mut(&shelf) {
            shelf.told(status.clone());
        }
        let before = one.log_end();
        let has_grown = before.is_some_and(|before| before < status.log_end);
        let stopped = match &status.phase {
            Phase::Stopped(why) => Some(why.clone()),
            _ => None,
        };
        if let (Some(membership), Some(id)) = (&mut self.membership, status.largest_producer_id) {
            membership.ids.seen(id);
        }
        one.stands(self.world.clock().now(), status);
        self.touched.insert(key.clone());
        if let Some(why) = stopped {
            return self.log_stopped(&key, why);
        }
        let ticket = one.acting.filter(|(_, action)| *action == Action::Mirror);
        if let Some((ticket, _)) = ticket.filter(|_| has_grown) {
            self.drive(&key, Input::Progressed { ticket });
        }
    }

    /// A shard goes no further with a log: it is given back, and the action has failed.
    fn log_stopped(&mut self, key: &PartitionKey, why: String) {
        let one = self.partitions.get_mut(key).expect("the caller has it");
        if one.is_stopped {
            return;
        }
        one.is_stopped = true;
        self.fails(key, why, true);
    }

    fn told(&mut self, shard: ShardId, told: Told) {
        let id = id_of(&told).clone();
        let Some(key) = self.by_id.get(&id).cloned() else {
            return;
        };
        let one = self.partitions.get_mut(&key);
        let one = one.expect("by_id is of partitions");
        if one.shard == Some(shard) {
            self.touched.insert(key.clone());
            self.takes_in(&key, told);
        }
    }

    fn takes_in(&mut self, key: &PartitionKey, told: Told) {
        let one = self.partitions.get_mut(key).expect("the caller has it");
        let is_asked = matches!(told, Told::Compared { .. });
        one.trouble.take_if(|_| !is_asked);
        match told {
            Told::Opened {
                log_start,
                log_end,
                epochs,
                stamp,
                mirrored,
                ..
            } => {
                let opened = Opened {
                    log_start,
                    log_end,
                    epochs,
                    mirrored,
                };
                one.opened(stamp, opened);
            }
            Told::Ceased {
                mirrored,
                source_epoch,
                digest,
                ..
            } => {
                let now = self.world.clock().now();
                let feed = self.feeds.get(&key.mirror);
                let is_heard = feed.is_some_and(|feed| feed.trouble.is_none());
                one.ceased(now, (mirrored, source_epoch), digest, is_heard);
            }
            Told::Compared { version, met, .. } => self.compared(key, version, met),
            Told::Sealed {
                aborted, log_end, ..
            } => one.sealed(aborted, log_end),
            Told::Released {
                log_start,
                log_end,
                is_clean,
                ..
            } => {
                one.is_busy = false;
                one.is_stopped = false;
                one.closed();
                self.released(key, (log_start, log_end), is_clean);
            }
            Told::Cut {
                log_start,
                log_end,
                epochs,
                ..
            } => one.cut((log_start, log_end), epochs),
            Told::SetAside { id, aside } => self.asides.add(&id, *aside),
            // Its status says that it goes no further.
            Told::Broken { why, .. } => self.disk_failed(key, why),
            // A stock leader had less than we; what the source has is another matter.
            Told::SourceTruncated { .. } if one.home() == Some(Home::Follower) => {}
            Told::SourceTruncated { .. } => self.source_truncated(key),
            Told::SourceTookBack { from, .. } => {
                one.source_took_back(from);
                self.source_truncated(key);
            }
            Told::Failed { what, why, .. } => self.refused(key, what, &why),
        }
    }

    /// Something else may be under way by now, which does not end with that.
    fn source_truncated(&mut self, key: &PartitionKey) {
        let one = self.partitions.get(key);
        let acting = one.and_then(|one| one.acting);
        if acting.is_some_and(|(_, action)| action == Action::Mirror) {
            self.ended(key, Ending::SourceTruncated);
        }
    }

    /// What a disk has lost, followers may have had from us: in the same epoch they would be told
    /// to cut it off. So this life as a broker is over, others lead, and the next one follows them.
    fn disk_failed(&mut self, key: &PartitionKey, why: String) {
        let one = self.partitions.get_mut(key).expect("the caller has it");
        let partition = one.id.to_string();
        one.trouble = Some(why.clone());
        if let Some(membership) = &mut self.membership {
            let why = match membership.end_life(self.world.disk()) {
                Ok(()) => why,
                Err(fault) => {
                    tracing::error!("{partition}: {fault}");
                    format!("{why}; {fault}")
                }
            };
            let fault = NodeFault::Disk { partition, why };
            self.fatal.get_or_insert(fault);
        }
    }

    fn released(&mut self, key: &PartitionKey, ends: (Offset, Offset), is_clean: bool) {
        let shelf = self.shelf_of(key);
        let one = self.partitions.get(key).expect("the caller has it");
        let id = one.id.clone();
        if let Some(shelf) = self.shelves.get_mut(&shelf) {
            shelf.released(&id, ends, is_clean);
        }
        if let Some(feed) = self.feeds.get_mut(&key.mirror) {
            feed.forget_bounds(&id);
        }
    }

    /// A shard could not do what it was told.
    fn refused(&mut self, key: &PartitionKey, what: &str, why: &str) {
        let one = self.partitions.get_mut(key).expect("the caller has it");
        (one.is_busy, one.is_cutting) = (false, false);
        if one.opening.take().is_some() {
            one.closed();
        }
        if one.home().is_none() {
            one.shard = None;
        }
        let why = format!("{what}: {why}");
        one.trouble = Some(why.clone());
        if what == RELEASE {
            // It is tried again, and whatever had failed before has been told.
            return self.rest(key);
        }
        // Of what has failed already, nobody else says when it is tried again.
        let has_failed = one.acting.is_none();
        self.fails(key, why, true);
        if has_failed {
            self.rest(key);
        }
    }
}

fn id_of(told: &Told) -> &TopicPartition {
    match told {
        Told::Opened { id, .. }
        | Told::Ceased { id, .. }
        | Told::Compared { id, .. }
        | Told::Sealed { id, .. }
        | Told::Cut { id, .. }
        | Told::SetAside { id, .. }
        | Told::SourceTruncated { id, .. }
        | Told::SourceTookBack { id, .. }
        | Told::Broken { id, .. }
        | Told::Released { id, .. }
        | Told::Failed { id, .. } => id,
    }
}
