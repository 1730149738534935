//! What shards report, and what that means for partitions.

use crate::io::World;
use crate::mirror::{Action, Ending, Input, PartitionKey};
use crate::model::{ShardId, TopicPartition};
use crate::shard::inbox::{Phase, Report, Status, Told};

use super::Node;
use super::mirrored::Opened;

impl<W: World> Node<W> {
    pub(super) fn reported(&mut self, shard: ShardId, report: Report) {
        if report.closed.is_some() {
            self.shards.remove(&shard);
            self.ties.remove(&shard);
            self.is_clean &= report.closed.is_some_and(|closed| closed.is_clean);
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
        one.status = Some(status);
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
        let one = self
            .partitions
            .get_mut(&key)
            .expect("by_id is of partitions");
        if one.shard != Some(shard) {
            return;
        }
        self.touched.insert(key.clone());
        one.trouble = None;
        match told {
            Told::Opened {
                log_start,
                log_end,
                epochs,
                stamp,
                ..
            } => {
                let opened = Opened {
                    log_start,
                    log_end,
                    epochs,
                };
                one.opened(stamp, opened);
            }
            Told::Ceased {
                mirrored,
                source_epoch,
                ..
            } => one.ceased(mirrored, source_epoch),
            Told::Sealed {
                aborted, log_end, ..
            } => {
                one.is_busy = false;
                one.sealed_end = Some(log_end);
                one.report_sealed(&aborted, log_end);
                one.aborted = Some(aborted);
            }
            Told::Released {
                log_start,
                log_end,
                is_clean,
                ..
            } => {
                one.is_busy = false;
                one.is_stopped = false;
                one.closed();
                self.released(&key, (log_start, log_end), is_clean);
            }
            Told::Cut { .. } => one.is_busy = false,
            // Its status says that it goes no further.
            Told::Broken { why, .. } => one.trouble = Some(why),
            Told::SourceTruncated { .. } => self.ended(&key, Ending::SourceTruncated),
            Told::Failed { what, why, .. } => self.refused(&key, what, &why),
        }
    }

    fn released(
        &mut self,
        key: &PartitionKey,
        ends: (crate::model::Offset, crate::model::Offset),
        is_clean: bool,
    ) {
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
        one.is_busy = false;
        if one.opening.take().is_some() {
            one.closed();
        }
        if one.home().is_none() {
            one.shard = None;
        }
        let why = format!("{what}: {why}");
        one.trouble = Some(why.clone());
        self.fails(key, why, true);
    }
}

fn id_of(told: &Told) -> &TopicPartition {
    match told {
        Told::Opened { id, .. }
        | Told::Ceased { id, .. }
        | Told::Sealed { id, .. }
        | Told::Cut { id, .. }
        | Told::SourceTruncated { id, .. }
        | Told::Broken { id, .. }
        | Told::Released { id, .. }
        | Told::Failed { id, .. } => id,
    }
}
