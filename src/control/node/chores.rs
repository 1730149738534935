//! What is asked of the destination on behalf of partitions: gathered, and asked for many at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::mirror::PartitionKey;
use crate::model::{Instant, TopicPartition};

use super::guarding::Passed;
use crate::control::destination::producer_ids::Running;
use crate::control::destination::way_back::Found;

/// Partitions that want the same within so long are asked for together.
const GATHER: Duration = Duration::from_millis(5);
/// After a request has failed as a whole, the next of its kind waits so long.
const AGAIN: Duration = Duration::from_millis(500);
/// More partitions than this are not handed over by one request.
const AT_ONCE_MAX: usize = 4_000;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Topics and partitions that are missing.
    Create,
    /// To be elected.
    Elect,
    /// That somebody else is.
    Yield,
    /// That only the mirror may write.
    Fence,
    /// That others may write again.
    Unfence,
    /// That others get the partitions.
    HandOver,
    /// Where the new leaders' logs end.
    Verify,
    /// That replicas come back which were late.
    Restore,
    /// Where the two sides part, for partitions that are mirrored back.
    AskCounterpart,
    /// Replicas of what others have.
    Join,
}

impl Kind {
    /// All of them.
    pub(super) const ALL: [Kind; 10] = [
        Kind::Create,
        Kind::Elect,
        Kind::Yield,
        Kind::Fence,
        Kind::Unfence,
        Kind::HandOver,
        Kind::Verify,
        Kind::Restore,
        Kind::AskCounterpart,
        Kind::Join,
    ];
}

/// How something came out for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Result {
    /// It is so.
    Done,
    /// Not yet; in words.
    Again(String),
    /// Not yet, but at any moment; in words.
    Soon(String),
    /// It cannot be for now: it has failed, and is tried again in time; in words.
    Refused(String),
    /// It cannot be, and another try is no use; in words.
    Never(String),
}

/// How something came out.
#[derive(Debug)]
pub enum Outcome {
    /// A chore, for each of its partitions.
    Chore(Kind, Vec<(PartitionKey, Result)>),
    /// The destination's producer ids were to pass a mark.
    Passed(Passed),
    /// Producers that run at the destination under ids of the source's.
    Running(Running),
    /// Where the two sides of partitions part.
    Counterpart(Vec<(PartitionKey, Found)>),
    /// What has landed on us was to be moved away; these were refused.
    Evacuated(Vec<TopicPartition>),
}

/// Chores that wait, and those under way: one of each kind at a time.
#[derive(Debug, Default)]
pub(super) struct Chores {
    waiting: BTreeMap<Kind, BTreeSet<PartitionKey>>,
    under_way: BTreeSet<Kind>,
    not_before: BTreeMap<Kind, Instant>,
}

impl Chores {
    pub(super) fn want(&mut self, now: Instant, kind: Kind, key: &PartitionKey) {
        let waiting = self.waiting.entry(kind).or_default();
        if waiting.is_empty() {
            let soon = now.after(GATHER);
            let not_before = self.not_before.entry(kind).or_insert(soon);
            *not_before = soon.max(*not_before);
        }
        waiting.insert(key.clone());
    }

    /// The next chore that is due, with its partitions.
    pub(super) fn next(&mut self, now: Instant) -> Option<(Kind, Vec<PartitionKey>)> {
        let is_due = |kind: &Kind| self.due_at(*kind).is_some_and(|at| at <= now);
        let kind = Kind::ALL.into_iter().find(is_due)?;
        let waiting = self.waiting.get_mut(&kind)?;
        let mut keys = std::mem::take(waiting);
        if let Some(split) = keys.iter().nth(AT_ONCE_MAX).cloned() {
            *waiting = keys.split_off(&split);
        }
        self.under_way.insert(kind);
        Some((kind, keys.into_iter().collect()))
    }

    fn due_at(&self, kind: Kind) -> Option<Instant> {
        let waits = self.waiting.get(&kind).is_some_and(|all| !all.is_empty());
        let is_free = waits && !self.under_way.contains(&kind);
        is_free.then(|| self.not_before.get(&kind).copied().unwrap_or_default())
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let dues = Kind::ALL.into_iter().filter_map(|kind| self.due_at(kind));
        dues.min()
    }

    /// A chore has come out. Where it came to nothing, the next one waits.
    pub(super) fn ended(&mut self, now: Instant, kind: Kind, is_any_use: bool) {
        self.under_way.remove(&kind);
        let wait = if is_any_use { Duration::ZERO } else { AGAIN };
        self.not_before.insert(kind, now.after(wait));
    }
}
