//! What comparing a destination came to, for people and for machines.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::{parting, text};
use crate::audit::twins::{Alone, OneSided, Side, Told, Twins};
use crate::model::{Offset, TopicName, TopicPartition};
use crate::protocol::mirror_rpc::ExportedStop;

/// More lines of one kind are counted and not shown.
const LINES_MAX: usize = 20;

/// All partitions that were compared.
pub(super) struct Compared {
    /// Topics were chosen, so that all that match are wanted.
    are_chosen: bool,
    partitions: Vec<(TopicPartition, Twins)>,
    topics: Vec<(TopicName, OneSided)>,
    faults: Vec<String>,
    /// Where both sides part was asked for.
    tells_parting: bool,
}

impl Compared {
    pub(super) fn new(are_chosen: bool) -> Compared {
        Compared {
            are_chosen,
            tells_parting: false,
            partitions: Vec::new(),
            topics: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// What is wrong with the files at the top of our logs.
    pub(super) fn damage(&mut self, damage: &[String]) {
        let said = damage.iter();
        let said =
            said.map(|what| format!("our logs: {what}: a start of the node mends its notes"));
        self.faults.extend(said);
    }

    pub(super) fn one_sided(&mut self, topic: &TopicName, side: OneSided) {
        if self.are_chosen && side == OneSided::AtSource {
            self.faults.push(format!(
                "{topic}: the source has it, or more partitions of it than the destination: see \
                 whether a mirror includes it, or narrow --topics"
            ));
        }
        self.topics.push((topic.clone(), side));
    }

    pub(super) fn take(&mut self, id: &TopicPartition, outcome: Result<Twins, String>) {
        let twins = match outcome {
            Ok(twins) => twins,
            Err(why) => {
                self.faults.push(format!("{id}: not compared, {why}"));
                Twins::default()
            }
        };
        for finding in &twins.findings {
            let (who, at, what) = (&finding.who, finding.at, &finding.what);
            let on = "what follows there was not compared";
            self.faults
                .push(format!("{id}: {who}: offset {at}: {what}; {on}"));
        }
        for unread in twins.unread.iter().filter(|unread| unread.is_fault) {
            self.faults.push(format!(
                "{id}: {}: not compared, {}",
                unread.side, unread.why
            ));
        }
        for finding in twins
            .verified
            .iter()
            .flat_map(|verified| &verified.findings)
        {
            self.faults.push(format!("{id}: our log: {finding}"));
        }
        self.partitions.push((id.clone(), twins));
    }

    /// Writes where both sides part, of each partition of which that is known; where it is not,
    /// that is a fault.
    pub(super) fn parts(&mut self, path: &Path) {
        self.tells_parting = true;
        let all = self.partitions.iter();
        let known = all.clone().filter_map(|(id, twins)| {
            let common = twins.common.as_ref()?.as_ref().ok()?;
            Some(parting::exported(id, common))
        });
        let known: Vec<ExportedStop> = known.collect();
        let unknown = all.filter_map(|(id, twins)| {
            let why = match &twins.common {
                Some(Ok(_)) => return None,
                Some(Err(why)) => why.to_string(),
                None => "it was not compared".to_owned(),
            };
            Some(format!(
                "{id}: nobody can tell where both sides part: {why}"
            ))
        });
        self.faults.extend(unknown.collect::<Vec<_>>());
        if let Err(why) = parting::write(path, &known) {
            self.faults.push(why);
        }
    }

    /// What was found of where both sides part.
    fn parting(&self) -> impl Iterator<Item = String> {
        let all = self.partitions.iter().filter(|_| self.tells_parting);
        all.filter_map(|(id, twins)| {
            let common = twins.common.as_ref()?.as_ref().ok()?;
            let of_destination = twins.logs.iter().filter(|told| told.side != Side::Source);
            let end = of_destination.map(|told| told.read_to).max();
            let more = end.unwrap_or_default().since(common.to);
            let more = text::many(more, "offset", "offsets");
            let to = common.to;
            Some(format!(
                "{id}: both sides part at offset {to}; the destination has {more} behind it"
            ))
        })
    }

    pub(super) fn partitions(&self) -> usize {
        self.partitions.len()
    }

    pub(super) fn faults(&self) -> &[String] {
        &self.faults
    }

    pub(super) fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }

    /// Whether every replica was compared to the end of the longest log.
    pub(super) fn has_all(&self) -> bool {
        self.behind().next().is_none() && self.unread().next().is_none()
    }

    fn behind(&self) -> impl Iterator<Item = (&TopicPartition, &Told)> {
        let all = self.partitions.iter();
        all.flat_map(|(id, twins)| twins.logs.iter().map(move |told| (id, told)))
            .filter(|(_, told)| told.behind > 0)
    }

    /// Logs that nobody expected to be readable.
    fn unread(&self) -> impl Iterator<Item = String> {
        let all = self.partitions.iter();
        let unread = all.flat_map(|(id, twins)| twins.unread.iter().map(move |one| (id, one)));
        unread
            .filter(|(_, one)| !one.is_fault)
            .map(|(id, one)| format!("{id}: {}: not compared, {}", one.side, one.why))
    }

    /// What is behind, and what was not compared.
    pub(super) fn lag(&self) -> String {
        let offsets = self.behind().map(|(_, told)| told.behind).sum();
        let (behind, unread) = (self.behind().count(), self.unread().count());
        format!(
            "{} behind by {}, {} not compared",
            text::many(behind as u64, "log is", "logs are"),
            text::many(offsets, "offset", "offsets"),
            text::many(unread as u64, "log was", "logs were"),
        )
    }

    pub(super) fn to_text(&self, elapsed: Duration) -> String {
        let mut lines = Vec::new();
        let alone = self.partitions.iter().filter_map(|(id, twins)| {
            let alone = twins.alone?;
            Some(alone_text(id, twins, alone))
        });
        some(&mut lines, alone, "partitions that go on alone");
        some(&mut lines, self.parting(), "partitions that part");
        some(&mut lines, self.removed(), "logs that begin later");
        some(&mut lines, self.compacted(), "logs that were compacted");
        let behind = self.behind().map(|(id, told)| behind_text(id, told));
        some(&mut lines, behind, "logs that are behind");
        some(&mut lines, self.unread(), "logs that were not compared");
        some(&mut lines, self.topics_text(), "such topics");
        lines.push(self.counts(elapsed));
        lines.push(match (self.is_sound(), self.has_all()) {
            (true, true) => "equal".to_owned(),
            (true, false) => format!("equal as far as they go; {}", self.lag()),
            (false, _) => format!("NOT EQUAL: {} findings", self.faults.len()),
        });
        lines.join("\n")
    }

    /// Logs that begin behind others: retention moves a log's start, and nothing else does.
    fn removed(&self) -> impl Iterator<Item = String> {
        let all = self.partitions.iter();
        let removed = all.flat_map(|(id, twins)| twins.logs.iter().map(move |told| (id, told)));
        let removed = removed.filter(|(_, told)| told.removed > 0);
        removed.map(|(id, told)| {
            format!(
                "{id}: {} begins at offset {}, {} later than another log: retention, or where its \
                 copy began; no loss",
                told.side,
                told.log_start,
                text::many(told.removed, "offset", "offsets")
            )
        })
    }

    fn compacted(&self) -> impl Iterator<Item = String> {
        let all = self.partitions.iter();
        let compacted = all.flat_map(|(id, twins)| twins.logs.iter().map(move |told| (id, told)));
        let compacted = compacted.filter(|(_, told)| told.compacted > 0);
        compacted.map(|(id, told)| {
            format!(
                "{id}: compaction has rewritten or removed {} at {} that other logs have",
                text::many(told.compacted, "batch", "batches"),
                told.side
            )
        })
    }

    fn topics_text(&self) -> impl Iterator<Item = String> {
        let topics = self.topics.iter();
        let topics = topics.filter(|(_, side)| !self.are_chosen || *side != OneSided::AtSource);
        topics.map(|(topic, side)| match side {
            OneSided::AtSource => {
                format!("{topic}: only the source has it, or more partitions of it")
            }
            OneSided::AtDestination => format!(
                "{topic}: only the destination has it, or more partitions of it: its replicas are \
                 compared with each other"
            ),
        })
    }

    fn counts(&self, elapsed: Duration) -> String {
        let all = self.partitions.iter();
        let sum = |of: fn(&Twins) -> u64| all.clone().map(|(_, twins)| of(twins)).sum::<u64>();
        format!(
            "{} of {}, {} equal but for their leader epochs, {} read in {}",
            text::many(sum(|twins| twins.logs.len() as u64), "log", "logs"),
            text::many(self.partitions.len() as u64, "partition", "partitions"),
            text::many(sum(|twins| twins.identical), "batch", "batches"),
            text::bytes(sum(|twins| twins.bytes)),
            text::time(elapsed),
        )
    }

    pub(super) fn to_json(&self) -> Value {
        let topics = |wanted: OneSided| {
            let topics = self.topics.iter().filter(|(_, side)| *side == wanted);
            topics.map(|(topic, _)| topic.as_str()).collect::<Vec<_>>()
        };
        let partitions = self.partitions.iter();
        let partitions = partitions.map(|(id, twins)| partition_json(id, twins));
        json!({
            "sound": self.is_sound(),
            "complete": self.has_all(),
            "partitions": partitions.collect::<Vec<_>>(),
            "topics_only_at_source": topics(OneSided::AtSource),
            "topics_only_at_destination": topics(OneSided::AtDestination),
            "faults": self.faults,
        })
    }
}

/// The first few of these lines, and how many more there are.
fn some(lines: &mut Vec<String>, all: impl Iterator<Item = String>, what: &str) {
    let mut more = 0;
    for (nth, line) in all.enumerate() {
        match nth < LINES_MAX {
            true => lines.push(line),
            false => more += 1,
        }
    }
    if more > 0 {
        let more = text::count(more);
        lines.push(format!("{more} more {what}; --json names all of them"));
    }
}

fn alone_text(id: &TopicPartition, twins: &Twins, alone: Alone) -> String {
    let of_destination = twins.logs.iter().filter(|told| told.side != Side::Source);
    let end = of_destination.map(|told| told.read_to).max();
    let end = end.unwrap_or(alone.from);
    let Alone { from, why } = alone;
    let own = match end > from {
        true => format!("up to {end}"),
        false => "and has nothing of its own yet".to_owned(),
    };
    format!(
        "{id}: equal up to offset {from}; the destination goes on alone from there, {own}: {why}"
    )
}

fn behind_text(id: &TopicPartition, told: &Told) -> String {
    let Told { side, read_to, .. } = told;
    let behind = text::many(told.behind, "offset", "offsets");
    format!("{id}: {side}: equal up to offset {read_to}, {behind} behind")
}

fn partition_json(id: &TopicPartition, twins: &Twins) -> Value {
    let logs = twins.logs.iter().map(|told| {
        json!({
            "log": side_json(told.side),
            "broker": broker(told.side),
            "log_start": told.log_start.value(),
            "high_watermark": told.high_watermark.map(Offset::value),
            "log_end": told.log_end.value(),
            "read_to": told.read_to.value(),
            "behind": told.behind,
            "removed_by_retention": told.removed,
            "compacted_batches": told.compacted,
        })
    });
    let alone = twins
        .alone
        .map(|Alone { from, why }| json!({ "from": from.value(), "why": why.to_string() }));
    let common = twins
        .common
        .as_ref()
        .and_then(|common| common.as_ref().ok());
    let findings = twins.findings.iter().map(
        |finding| json!({ "log": finding.who, "offset": finding.at.value(), "what": finding.what }),
    );
    let unread = twins.unread.iter().map(|unread| {
        json!({
            "log": side_json(unread.side),
            "broker": broker(unread.side),
            "why": unread.why,
            "is_fault": unread.is_fault,
        })
    });
    json!({
        "partition": id.to_string(),
        "identical_batches": twins.identical,
        "bytes": twins.bytes,
        "equal_to": twins.equal_to.map(Offset::value),
        "parts_at": common.map(|common| common.to.value()),
        "alone": alone,
        "logs": logs.collect::<Vec<_>>(),
        "findings": findings.collect::<Vec<_>>(),
        "not_compared": unread.collect::<Vec<_>>(),
    })
}

fn side_json(side: Side) -> &'static str {
    match side {
        Side::Source => "source",
        Side::Log => "ours",
        Side::Replica(_) => "replica",
    }
}

fn broker(side: Side) -> Option<i32> {
    match side {
        Side::Replica(broker) => Some(broker.0),
        Side::Source | Side::Log => None,
    }
}
