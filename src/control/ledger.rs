//! Every partition of a copy, and where it stands.

use std::collections::BTreeMap;

use crate::model::{Offset, SetAside, ShardId, TopicId, TopicName, TopicPartition};
use crate::shard::inbox::{Phase, Recovered, Status, Tally};

/// One partition's line.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its topic's id at the source.
    pub topic_id: TopicId,
    /// The shard it lives on.
    pub shard: ShardId,
    /// What it is doing.
    pub phase: Phase,
    /// What was copied in this run.
    pub tally: Tally,
    /// Its log's start here.
    pub log_start: Offset,
    /// Its log's end here when this run began.
    pub began_at: Offset,
    /// Its log's end here.
    pub log_end: Offset,
    /// Below it all is on disk.
    pub durable: Offset,
    /// How far it is to be copied, or how far the source's log reaches.
    pub target: Option<Offset>,
    /// What the source had lost, in this run and before.
    pub gaps: Vec<(Offset, Offset)>,
    /// The gaps that the vault knew before this run.
    pub(super) gaps_before: Vec<(Offset, Offset)>,
    /// What opening it took.
    pub recovered: Recovered,
    /// Where it was cut, because the source had lost what follows or because that was damaged here,
    /// and what was set aside before.
    pub cuts: Vec<(Offset, Option<SetAside>)>,
    /// What was copied before it was last closed.
    pub(super) tally_before: Tally,
    /// A shard has opened it.
    pub(super) is_open: bool,
}

/// Every partition of a copy, by name.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// The lines.
    pub lines: BTreeMap<TopicPartition, Line>,
}

/// The lines of one topic, summed up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicTotals {
    /// Partitions.
    pub partitions: u32,
    /// Of them, those that have stopped.
    pub stopped: u32,
    /// Of them, those that are done.
    pub done: u32,
    /// What was copied.
    pub tally: Tally,
    /// Offsets that were to be copied in this run.
    pub offsets_wanted: u64,
    /// Of them, those that were.
    pub offsets_copied: u64,
    /// Gaps.
    pub gaps: u32,
}

impl Ledger {
    pub(super) fn told(&mut self, status: Status) {
        let Some(line) = self.lines.get_mut(&status.id) else {
            return;
        };
        if !line.is_open {
            // What recovery has found is where this run begins.
            let copied = status.tally != Tally::default();
            line.began_at = if copied {
                line.began_at
            } else {
                status.log_end
            };
        }
        line.is_open = true;
        line.phase = status.phase;
        line.tally = Tally {
            bytes: line.tally_before.bytes + status.tally.bytes,
            batches: line.tally_before.batches + status.tally.batches,
        };
        line.log_start = status.log_start;
        line.log_end = status.log_end;
        line.durable = status.durable;
        line.target = line.target.max(status.high_watermark);
        line.gaps.clone_from(&line.gaps_before);
        line.gaps.extend(status.gaps);
        line.recovered = status.recovered;
    }

    /// A shard has closed it; it is opened again later, after `why`.
    pub(super) fn closed(&mut self, id: &TopicPartition, why: String) {
        if let Some(line) = self.lines.get_mut(id) {
            line.phase = Phase::Waiting(why);
            line.tally_before = line.tally;
            line.gaps_before.clone_from(&line.gaps);
        }
    }

    /// A shard has set aside what it is about to cut off.
    pub(super) fn set_aside(&mut self, id: &TopicPartition, aside: SetAside) {
        if let Some(line) = self.lines.get_mut(id) {
            line.cuts.push((Offset::new(aside.from), Some(aside)));
        }
    }

    /// A shard has cut it at `to`, as the source was.
    pub(super) fn cut(&mut self, id: &TopicPartition, to: Offset) {
        if let Some(line) = self.lines.get_mut(id) {
            if line.cuts.last().is_none_or(|(at, _)| *at != to) {
                line.cuts.push((to, None));
            }
            line.target = None;
            line.began_at = line.began_at.min(to);
        }
    }

    /// Whether nothing more will come of any partition.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let over = |line: &Line| matches!(line.phase, Phase::Done | Phase::Stopped(_));
        self.lines.values().all(over)
    }

    /// The partitions that go no further, with the reasons.
    pub fn stopped(&self) -> impl Iterator<Item = (&TopicPartition, &str)> {
        self.lines
            .iter()
            .filter_map(|(id, line)| match &line.phase {
                Phase::Stopped(why) => Some((id, why.as_str())),
                _ => None,
            })
    }

    /// The partitions that fail and are tried again, with the reasons.
    pub fn waiting(&self) -> impl Iterator<Item = (&TopicPartition, &str)> {
        self.lines
            .iter()
            .filter_map(|(id, line)| match &line.phase {
                Phase::Waiting(why) => Some((id, why.as_str())),
                _ => None,
            })
    }

    /// Totals per topic.
    #[must_use]
    pub fn topics(&self) -> BTreeMap<TopicName, TopicTotals> {
        let mut topics: BTreeMap<TopicName, TopicTotals> = BTreeMap::new();
        for (id, line) in &self.lines {
            topics.entry(id.topic.clone()).or_default().add(line);
        }
        topics
    }

    /// Totals of everything.
    #[must_use]
    pub fn totals(&self) -> TopicTotals {
        let mut totals = TopicTotals::default();
        for line in self.lines.values() {
            totals.add(line);
        }
        totals
    }

    /// Bytes that each shard has copied, by shard.
    #[must_use]
    pub fn shards(&self) -> BTreeMap<ShardId, Tally> {
        let mut shards: BTreeMap<ShardId, Tally> = BTreeMap::new();
        for line in self.lines.values() {
            let shard = shards.entry(line.shard).or_default();
            shard.bytes += line.tally.bytes;
            shard.batches += line.tally.batches;
        }
        shards
    }
}

impl TopicTotals {
    fn add(&mut self, line: &Line) {
        self.partitions += 1;
        self.stopped += u32::from(matches!(line.phase, Phase::Stopped(_)));
        self.done += u32::from(line.phase == Phase::Done);
        self.tally.bytes += line.tally.bytes;
        self.tally.batches += line.tally.batches;
        let target = line.target.unwrap_or(line.log_end).max(line.log_end);
        self.offsets_wanted += target.since(line.began_at.min(target));
        self.offsets_copied += line.log_end.since(line.began_at.min(line.log_end));
        self.gaps += u32::try_from(line.gaps.len()).unwrap_or(u32::MAX);
    }
}
