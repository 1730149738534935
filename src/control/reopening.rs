//! Partitions whose files have failed under a copy that goes on: closed, and opened again after a
//! pause.

use std::collections::BTreeMap;
use std::time::Duration;

use super::beginnings::Unbegun;
use super::run::Control;
use crate::io::{Clock, World};
use crate::model::{Instant, ShardId, TopicPartition};
use crate::shard::inbox::{Order, Told};

/// A partition is opened again this much later, after further failures up to [`DOUBLINGS`] times
/// twice as late.
const PAUSE: Duration = Duration::from_secs(5);
const DOUBLINGS: u32 = 6;

/// The partitions that failed in this run.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// How often each has, and why it did last.
    known: BTreeMap<TopicPartition, (u32, String)>,
    /// What cannot be closed yet, and when that is tried again.
    unreleased: BTreeMap<TopicPartition, Instant>,
}

impl Failures {
    /// When something is to be closed again.
    pub(super) fn next(&self) -> Option<Instant> {
        self.unreleased.values().min().copied()
    }
}

impl<W: World> Control<W> {
    pub(super) async fn told(&mut self, shard: ShardId, told: Told) {
        match told {
            Told::Broken { id, why, .. } if self.job.follow => {
                let (times, last) = self.failures.known.entry(id.clone()).or_default();
                *times += 1;
                *last = why;
                self.order(shard, Order::Release { id }).await;
            }
            Told::Failed {
                id,
                what: "release",
                ..
            } if self.job.follow => {
                let again_at = self.clock.now().after(PAUSE);
                self.failures.unreleased.insert(id, again_at);
            }
            Told::Released { id, .. } => self.released(&id),
            Told::SetAside { id, aside } => self.ledger.set_aside(&id, *aside),
            Told::SourceTruncated { id, to } => self.ledger.cut(&id, to),
            _ => {}
        }
    }

    /// A shard has closed a partition whose files failed.
    fn released(&mut self, id: &TopicPartition) {
        let Some(line) = self.ledger.lines.get(id) else {
            return;
        };
        let (times, why) = self.failures.known.get(id).cloned().unwrap_or_default();
        let pause = PAUSE * (1 << times.saturating_sub(1).min(DOUBLINGS));
        tracing::warn!("{id} is opened again in {pause:?}");
        let unbegun = Unbegun::again(line.topic_id, self.clock.now(), pause, why.clone());
        self.unbegun.insert(id.clone(), unbegun);
        self.ledger.closed(id, why);
    }

    /// Closes what could not be closed before.
    pub(super) async fn release_again(&mut self, now: Instant) {
        let waiting = self.failures.unreleased.iter();
        let due = waiting.filter(|(_, at)| **at <= now);
        let due: Vec<TopicPartition> = due.map(|(id, _)| id.clone()).collect();
        for id in due {
            self.failures.unreleased.remove(&id);
            if let Some(line) = self.ledger.lines.get(&id) {
                let shard = line.shard;
                self.order(shard, Order::Release { id }).await;
            }
        }
    }
}
