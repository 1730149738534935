//! What a copy came to, as a table and as JSON.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::text;
use crate::control::{Outcome, TopicTotals};
use crate::uring::process_cpu;

/// Characters of a topic's name in the table: beside the numbers, it fits a terminal of 100. A name
/// may have 249; all of it stands in the JSON.
const NAME_CHARACTERS_MAX: usize = 48;

pub(in super::super) struct Summary<'a> {
    outcome: &'a Outcome,
    totals: TopicTotals,
    elapsed: Duration,
    cpu: Duration,
    vault: &'a Path,
}

impl<'a> Summary<'a> {
    pub(in super::super) fn new(
        outcome: &'a Outcome,
        elapsed: Duration,
        vault: &'a Path,
    ) -> Summary<'a> {
        Summary {
            totals: outcome.ledger.totals(),
            outcome,
            elapsed,
            cpu: process_cpu(),
            vault,
        }
    }

    /// CPU seconds per GiB; nothing to say of less than a MiB.
    pub(in super::super) fn cpu_per_gib(&self) -> Option<f64> {
        let gib = self.totals.tally.bytes as f64 / f64::from(1 << 30);
        (self.totals.tally.bytes >= 1 << 20).then(|| self.cpu.as_secs_f64() / gib)
    }

    pub(in super::super) fn to_text(&self) -> String {
        let row = |name: &str, totals: &TopicTotals| {
            vec![
                name.to_owned(),
                text::count(u64::from(totals.partitions)),
                text::count(totals.tally.batches),
                text::bytes(totals.tally.bytes),
                text::count(u64::from(totals.gaps)),
                text::count(u64::from(totals.stopped)),
            ]
        };
        let topics = self.outcome.ledger.topics();
        let names: Vec<&str> = topics.keys().map(|name| name.as_str()).collect();
        let names = text::distinct(&names, NAME_CHARACTERS_MAX);
        let named = names.iter().zip(topics.values());
        let mut rows: Vec<Vec<String>> = named.map(|(name, totals)| row(name, totals)).collect();
        rows.push(row("total", &self.totals));
        let heads = ["topic", "partitions", "batches", "bytes", "gaps", "stopped"];
        let cpu = self.cpu_per_gib();
        format!(
            "{}\n\n{} in {}, {}{}\nvault: {}",
            text::table(&heads, &rows),
            text::bytes(self.totals.tally.bytes),
            text::time(self.elapsed),
            text::rate(self.totals.tally.bytes, self.elapsed),
            cpu.map(|cpu| format!(", {cpu:.2} CPU-s/GiB"))
                .unwrap_or_default(),
            self.vault.display(),
        )
    }

    pub(in super::super) fn to_json(&self) -> Value {
        let ledger = &self.outcome.ledger;
        let stopped = ledger.stopped().map(|(id, why)| {
            json!({ "topic": id.topic.as_str(), "partition": id.partition.value(), "why": why })
        });
        let gaps = ledger.lines.iter().flat_map(|(id, line)| {
            line.gaps.iter().map(move |(from, to)| {
                json!({
                    "topic": id.topic.as_str(), "partition": id.partition.value(),
                    "from": from.value(), "to": to.value(),
                })
            })
        });
        let cuts = ledger.lines.iter().flat_map(|(id, line)| {
            line.cuts.iter().map(move |(to, aside)| {
                json!({
                    "topic": id.topic.as_str(), "partition": id.partition.value(),
                    "to": to.value(),
                    "aside": aside.as_ref().map(|aside| &aside.path),
                    "set_aside": aside,
                })
            })
        });
        let topics = ledger.topics();
        let by_topic = topics.iter().map(|(name, totals)| {
            json!({
                "topic": name.as_str(), "partitions": totals.partitions,
                "batches": totals.tally.batches, "bytes": totals.tally.bytes,
                "gaps": totals.gaps, "stopped": totals.stopped,
            })
        });
        let sum =
            |bytes: fn(&crate::control::Line) -> u64| ledger.lines.values().map(bytes).sum::<u64>();
        let shards = ledger.shards().into_iter().map(|(shard, tally)| {
            json!({ "shard": shard.0, "bytes": tally.bytes, "batches": tally.batches })
        });
        json!({
            "bytes": self.totals.tally.bytes,
            "batches": self.totals.tally.batches,
            "partitions": self.totals.partitions,
            "topics": topics.len(),
            "by_topic": by_topic.collect::<Vec<_>>(),
            "was_stopped": self.outcome.was_stopped,
            "stopped": stopped.collect::<Vec<_>>(),
            "gaps": gaps.collect::<Vec<_>>(),
            "cuts": cuts.collect::<Vec<_>>(),
            "elapsed_seconds": self.elapsed.as_secs_f64(),
            "cpu_seconds": self.cpu.as_secs_f64(),
            "cpu_seconds_per_gib": self.cpu_per_gib(),
            "recovery_bytes_read": sum(|line| line.recovered.bytes_read),
            "recovery_bytes_cut": sum(|line| line.recovered.bytes_cut),
            "shards": shards.collect::<Vec<_>>(),
            "vault": self.vault.display().to_string(),
        })
    }
}
