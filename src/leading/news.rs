//! What control is to be told, and when.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use tokio::sync::mpsc;

use super::inbox::{IsrChange, Report, Stood, Tally};
use super::leads::Key;
use crate::model::Instant;

/// What is urgent is told after so long, with all else that has become urgent by then.
const URGENT_INTERVAL: Duration = Duration::from_millis(5);
/// How often counts are told.
const TALLY_INTERVAL: Duration = Duration::from_secs(1);
/// How long to wait while control takes nothing in.
const FULL_INTERVAL: Duration = Duration::from_millis(10);

/// Reports that wait to be told.
#[derive(Debug)]
pub(super) struct News {
    reports: mpsc::Sender<Report>,
    interval: Duration,
    proposals: VecDeque<IsrChange>,
    /// Partitions that have moved, and those of which that is urgent.
    moved: BTreeSet<Key>,
    urgent: BTreeSet<Key>,
    next_moved: Instant,
    next_urgent: Instant,
    pub(super) tally: Tally,
    told: Tally,
    next_tally: Instant,
    /// Control's queue was full; it is tried again then.
    full_until: Option<Instant>,
}

impl News {
    pub(super) fn new(reports: mpsc::Sender<Report>, interval: Duration) -> News {
        News {
            reports,
            interval,
            proposals: VecDeque::new(),
            moved: BTreeSet::new(),
            urgent: BTreeSet::new(),
            next_moved: Instant::default(),
            next_urgent: Instant::default(),
            tally: Tally::default(),
            told: Tally::default(),
            next_tally: Instant::default(),
            full_until: None,
        }
    }

    pub(super) fn propose(&mut self, change: IsrChange) {
        self.proposals.push_back(change);
    }

    pub(super) fn moved(&mut self, key: Key, is_urgent: bool) {
        self.moved.insert(key);
        if is_urgent {
            self.urgent.insert(key);
        }
    }

    pub(super) fn forget(&mut self, key: Key) {
        self.moved.remove(&key);
        self.urgent.remove(&key);
    }

    /// When something is to be told; none where there is nothing.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let proposals = (!self.proposals.is_empty()).then_some(Instant::default());
        let urgent = (!self.urgent.is_empty()).then_some(self.next_urgent);
        let moved = (!self.moved.is_empty()).then_some(self.next_moved);
        let tally = (self.tally != self.told).then_some(self.next_tally);
        let first = [proposals, urgent, moved, tally]
            .into_iter()
            .flatten()
            .min()?;
        Some(self.full_until.map_or(first, |until| first.max(until)))
    }

    /// Tells what is due. `stood` says where a partition stands.
    pub(super) fn tell(&mut self, now: Instant, mut stood: impl FnMut(Key) -> Option<Stood>) {
        self.full_until = None;
        while let Some(change) = self.proposals.front() {
            if !self.send(now, Report::Propose(change.clone())) {
                return;
            }
            self.proposals.pop_front();
        }
        let keys: Vec<Key> = if !self.moved.is_empty() && now >= self.next_moved {
            self.moved.iter().copied().collect()
        } else if !self.urgent.is_empty() && now >= self.next_urgent {
            self.urgent.iter().copied().collect()
        } else {
            Vec::new()
        };
        if !keys.is_empty() {
            let all = keys.iter().filter_map(|key| stood(*key)).collect();
            if !self.send(now, Report::Stood(all)) {
                return;
            }
            if keys.len() == self.moved.len() {
                self.next_moved = now.after(self.interval);
            }
            self.next_urgent = now.after(URGENT_INTERVAL);
            for key in keys {
                self.forget(key);
            }
        }
        if self.tally != self.told && now >= self.next_tally {
            if self.send(now, Report::Tally(self.tally)) {
                self.told = self.tally;
            }
            self.next_tally = now.after(TALLY_INTERVAL);
        }
    }

    /// False where control has no room for it now.
    fn send(&mut self, now: Instant, report: Report) -> bool {
        match self.reports.try_send(report) {
            // Nobody is there to be told any more: we are about to be closed.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.full_until = Some(now.after(FULL_INTERVAL));
                false
            }
        }
    }
}
