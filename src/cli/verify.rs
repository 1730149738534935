//! `twinlog verify`: a vault against itself, or against its source; all replicas of a destination
//! against each other, our log and the source.

mod destination;
mod parting;
mod twins;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::{Ending, Misuse, screen, text};
use crate::audit::{Asking, AuditFault, Comparison, Lacking, Subject, compare};
use crate::config::Config;
use crate::log::{Verified, take_out};
use crate::model::{Offset, TopicPartition};
use crate::session::{BrokerAddress, Opening, Security};
use crate::uring::{self, RealDisk};
use crate::vault::{Offsets, Vault};

/// Verify a vault: every byte of it and, with --from, that it equals the source. With
/// --destination, that all replicas of a cluster equal each other, our log and the source.
///
/// Reads only; a copy or a node may go on meanwhile. Then all is checked that it has called
/// durable, and the rest as far as it goes.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("copies").required(true).multiple(true))]
pub(super) struct VerifyArguments {
    /// The vault; or the data directory of a node that is a broker of a cluster.
    #[arg(long, value_name = "DIR", group = "copies")]
    vault: Option<PathBuf>,
    /// Brokers of a cluster that a node mirrors onto, or has mirrored onto: each replica of each
    /// partition is read, those of followers too, and compared with the others, with --vault's log
    /// and with --from's, where these are given.
    #[arg(
        long,
        value_name = "HOST:PORT",
        value_delimiter = ',',
        group = "copies"
    )]
    destination: Vec<BrokerAddress>,
    /// Brokers of the source to compare with, batch by batch.
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    from: Vec<BrokerAddress>,
    /// With --destination: topics to compare, by a regular expression that matches their whole
    /// names [default: all].
    #[arg(long, value_name = "REGEX", requires = "destination")]
    topics: Option<String>,
    /// With --destination: topics to leave out [default: __.*].
    #[arg(long, value_name = "REGEX", requires = "destination")]
    exclude: Option<String>,
    /// With --destination: a report of where the destination and --from part is written there, one
    /// that a mirror's setting peer.report takes: what both have alike needs no history, so that a
    /// node that has lost its logs, another one, or one for the way back can go on from there.
    #[arg(long, value_name = "FILE", requires_all = ["destination", "from"])]
    parting: Option<PathBuf>,
    /// Fail as well where anything is behind, or a replica was not compared.
    #[arg(long)]
    complete: bool,
    /// The result as one JSON object on standard output.
    #[arg(long)]
    json: bool,
    /// The configuration file of the copy or the node, for how long a broker may take to answer and
    /// how large answers and batches may be.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// More partitions that are behind are counted and not named.
const BEHIND_MAX: usize = 20;

/// What verifying came to.
#[derive(Default)]
pub(super) struct Verdict {
    pub(super) partitions: u64,
    pub(super) batches: u64,
    pub(super) bytes: u64,
    pub(super) records: u64,
    pub(super) index_entries: u64,
    pub(super) identical: u64,
    compacted: u64,
    expired: u64,
    behind: Vec<Behind>,
    lacking: Vec<(TopicPartition, Lacking)>,
    producer_id_shift: i64,
    is_written: bool,
    vault: PathBuf,
    gaps: Vec<String>,
    notes: Vec<String>,
    pub(super) faults: Vec<String>,
}

/// A partition of which the source has more.
struct Behind {
    id: TopicPartition,
    end: Offset,
    source_end: Offset,
    offsets: u64,
}

impl std::fmt::Display for Behind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Behind { id, end, .. } = self;
        let source_end = self.source_end;
        let offsets = text::many(self.offsets, "offset", "offsets");
        write!(
            f,
            "{id}: equal up to offset {end}, the source ends at {source_end}: {offsets} behind"
        )
    }
}

impl VerifyArguments {
    pub(super) fn run(self, quiet: bool) -> Result<Ending, Misuse> {
        let begun = Instant::now();
        let config = super::config(self.config.as_deref())?;
        let Some(vault) = self.vault.as_deref().map(logs_in) else {
            return self.run_destination(None, &config, quiet);
        };
        if !self.destination.is_empty() {
            return self.run_destination(Some(&vault), &config, quiet);
        }
        if self.complete && self.from.is_empty() {
            let why = "--complete needs --from: how much there is, only a source can tell";
            return Err(Misuse::Argument(why.to_owned()));
        }
        let verdict = match verify(&vault, &self.from, &config, quiet) {
            Ok(verdict) => verdict,
            Err(fault) => {
                screen::say(&format!("error: {fault}"));
                return Ok(Ending::Incomplete);
            }
        };
        let was_told = screen::tell(&match self.json {
            true => verdict.to_json().to_string(),
            false => verdict.to_text(!self.from.is_empty(), begun.elapsed()),
        });
        for fault in &verdict.faults {
            screen::say(fault);
        }
        let is_complete = !self.complete || verdict.has_all();
        if !is_complete {
            screen::say(&format!("the copy is not complete: {}", verdict.lag()));
        }
        Ok(match was_told && is_complete && verdict.faults.is_empty() {
            true => Ending::Done,
            false => Ending::Incomplete,
        })
    }
}

/// Where a node that is a broker has its logs, within its data directory.
const LOGS: &str = "logs";

/// The logs that are meant: a node's are asked for by its data directory as well.
fn logs_in(dir: &Path) -> PathBuf {
    let inner = dir.join(LOGS);
    let has_notes = |dir: &Path| dir.join(Vault::<RealDisk>::STATE).exists();
    match !has_notes(dir) && has_notes(&inner) {
        true => inner,
        false => dir.to_owned(),
    }
}

/// Verifies the vault, and compares it with the source where one is given.
pub(super) fn verify(
    vault: &Path,
    from: &[BrokerAddress],
    config: &Config,
    quiet: bool,
) -> Result<Verdict, AuditFault> {
    let subject = Subject::look(RealDisk, vault)?;
    let mut verdict = Verdict {
        producer_id_shift: subject.producer_id_shift().value(),
        is_written: subject.is_written()?,
        vault: vault.to_owned(),
        ..Verdict::default()
    };
    let damage = subject.damage().iter();
    let damage = damage.map(|what| format!("{what}: the same `twinlog copy` mends the notes"));
    verdict.faults.extend(damage);
    for id in subject.missing() {
        let what = format!("{id}: its directory is missing");
        let way_out = "the same `twinlog copy` fetches it anew";
        verdict.faults.push(format!("{what}: {way_out}"));
    }
    let bar = bar(subject.partitions().len() as u64, "verifying", quiet);
    let mut ends = Offsets::new();
    for id in subject.partitions() {
        match subject.verify(id) {
            Ok(verified) => {
                let end = verified.range.map_or(Offset::ZERO, |(_, end)| end);
                ends.insert(id.clone(), end);
                verdict.verified(id, verified);
            }
            Err(fault) => verdict.faults.push(format!("{id}: {fault}")),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if from.is_empty() {
        return Ok(verdict);
    }
    let bar = self::bar(subject.partitions().len() as u64, "comparing", quiet);
    let asking = Asking {
        from,
        opening: Opening {
            security: Security::Plaintext,
            timeout: Duration::from_millis(config.control.request_timeout_ms.into()),
        },
        batch_bytes_max: config.shard.source.batch_bytes_max,
    };
    uring::run(None, |world| {
        let (verdict, subject, ends, bar) = (&mut verdict, &subject, &ends, &bar);
        async move {
            let mut show = |id: &TopicPartition, outcome| {
                verdict.compared(id, outcome);
                bar.inc(1);
            };
            compare(&world, subject, asking, ends, &mut show).await
        }
    })?;
    bar.finish_and_clear();
    Ok(verdict)
}

fn bar(length: u64, what: &'static str, quiet: bool) -> ProgressBar {
    if quiet || !screen::has_bars() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{prefix} [{bar:30}] {pos}/{len} partitions, {eta}")
        .expect("the template is sound")
        .progress_chars("=> ");
    let bar = ProgressBar::new(length).with_style(style).with_prefix(what);
    screen::bars().add(bar)
}

impl Verdict {
    fn verified(&mut self, id: &TopicPartition, verified: Verified) {
        self.partitions += 1;
        self.batches += verified.batches;
        self.bytes += verified.bytes;
        self.records += verified.records;
        self.index_entries += verified.index_entries;
        if let Some((from, to)) = verified.gaps.first() {
            let count = match verified.gaps.len() {
                1 => "1 gap".to_owned(),
                gaps => format!("{} gaps", text::count(gaps as u64)),
            };
            let first = format!("the first from offset {from} up to {to}");
            self.gaps
                .push(format!("{id}: {count} in its offsets, {first}"));
        }
        if verified.unfinished_bytes > 0 {
            let bytes = text::bytes(verified.unfinished_bytes);
            self.notes.push(match self.is_written {
                true => format!("{id}: {bytes} of a write that goes on"),
                false => format!("{id}: {bytes} of an unfinished write; the next copy cuts them"),
            });
        }
        let is_noted = match verified.range.zip(verified.digest_from) {
            Some(((first, _), from)) if from > first => {
                let note = format!("{id}: its digest begins at offset {from}");
                self.notes.push(note);
                true
            }
            noted => noted.is_some(),
        };
        if !is_noted && verified.range.is_some() && !self.is_written {
            self.notes.push(format!("{id}: no digest"));
        }
        for finding in verified.findings {
            self.faults.push(format!("{id}: {finding}"));
        }
    }

    fn compared(&mut self, id: &TopicPartition, outcome: Result<Comparison, String>) {
        let comparison = match outcome {
            Ok(comparison) => comparison,
            Err(why) => return self.faults.push(format!("{id}: not compared, {why}")),
        };
        self.identical += comparison.identical;
        self.compacted += comparison.compacted;
        self.expired += comparison.expired;
        let lacking = comparison.lacking.into_iter();
        self.lacking
            .extend(lacking.map(|lacking| (id.clone(), lacking)));
        if comparison.behind > 0 {
            self.behind.push(Behind {
                id: id.clone(),
                end: comparison.end,
                source_end: comparison.source_end,
                offsets: comparison.behind,
            });
        }
        if let Some(difference) = comparison.difference {
            self.faults.push(format!(
                "{id}: offset {}: {}",
                difference.at, difference.what
            ));
        }
    }

    fn to_text(&self, is_compared: bool, elapsed: Duration) -> String {
        let mut lines = self.gaps.clone();
        lines.extend(self.notes.iter().cloned());
        lines.push(format!(
            "{} partitions, {} batches, {} records, {}, {} index entries read in {}",
            text::count(self.partitions),
            text::count(self.batches),
            text::count(self.records),
            text::bytes(self.bytes),
            text::count(self.index_entries),
            text::time(elapsed),
        ));
        let sound = self.faults.is_empty();
        if self.is_written {
            let still = "what it has not called durable is checked as far as it goes";
            lines.push(format!("a copy is writing this vault: {still}"));
        }
        if self.producer_id_shift != 0 {
            let shift = self.producer_id_shift;
            lines.push(format!("producer ids here are the source's plus {shift}"));
        }
        if is_compared {
            lines.push(format!(
                "{} batches equal the source's, byte for byte",
                text::count(self.identical)
            ));
            let others = [
                (
                    self.compacted,
                    "batches here that the source has compacted since",
                ),
                (self.expired, "batches here that the source no longer has"),
            ];
            let others = others.iter().filter(|(count, _)| *count > 0);
            lines.extend(others.map(|(count, what)| format!("{} {what}", text::count(*count))));
            let lacking = self.lacking.iter().take(BEHIND_MAX);
            lines.extend(lacking.map(|(id, lacking)| lacks(&self.vault, id, lacking)));
            if self.lacking.len() > BEHIND_MAX {
                let more = text::count((self.lacking.len() - BEHIND_MAX) as u64);
                lines.push(format!("{more} more such ranges; --json names all of them"));
            }
            lines.extend(self.behind.iter().take(BEHIND_MAX).map(Behind::to_string));
            if self.behind.len() > BEHIND_MAX {
                let more = (self.behind.len() - BEHIND_MAX) as u64;
                let more = text::many(more, "more partition is", "more partitions are");
                lines.push(format!("{more} behind; --json names all of them"));
            }
        }
        lines.push(match (sound, is_compared) {
            (true, true) if self.has_all() => "identical".to_owned(),
            (true, true) => format!("identical as far as it goes; {}", self.lag()),
            (true, false) => "sound".to_owned(),
            (false, _) => format!("NOT SOUND: {} findings", self.faults.len()),
        });
        lines.join("\n")
    }

    /// Whether nothing that the source has is missing here.
    fn has_all(&self) -> bool {
        self.behind.is_empty() && self.lacking.is_empty()
    }

    /// How far the copy is behind, and what it leaves out.
    fn lag(&self) -> String {
        let behind = format!(
            "the source is ahead by {} in {}",
            text::many(self.offsets_behind(), "offset", "offsets"),
            text::many(self.behind.len() as u64, "partition", "partitions")
        );
        let lacking = format!(
            "{} that the source has are not here",
            text::many(
                self.lacking.len() as u64,
                "range of offsets",
                "ranges of offsets"
            )
        );
        match (self.behind.is_empty(), self.lacking.is_empty()) {
            (_, true) => behind,
            (true, false) => lacking,
            (false, false) => format!("{behind}, and {lacking}"),
        }
    }

    fn offsets_behind(&self) -> u64 {
        self.behind.iter().map(|behind| behind.offsets).sum()
    }

    fn to_json(&self) -> Value {
        let behind = self.behind.iter().map(|behind| {
            json!({
                "partition": behind.id.to_string(),
                "end": behind.end.value(),
                "source_end": behind.source_end.value(),
                "offsets": behind.offsets,
            })
        });
        let behind: Vec<Value> = behind.collect();
        let lacking = self.lacking.iter().map(|(id, lacking)| {
            json!({
                "partition": id.to_string(),
                "from": lacking.from.value(),
                "to": lacking.to.value(),
                "why": lacking.why.to_string(),
            })
        });
        let lacking: Vec<Value> = lacking.collect();
        json!({
            "sound": self.faults.is_empty(),
            "being_written": self.is_written,
            "producer_id_shift": self.producer_id_shift,
            "partitions": self.partitions,
            "batches": self.batches,
            "records": self.records,
            "bytes": self.bytes,
            "index_entries": self.index_entries,
            "identical_batches": self.identical,
            "compacted_batches": self.compacted,
            "expired_batches": self.expired,
            "offsets_behind": self.offsets_behind(),
            "behind": behind,
            "lacking": lacking,
            "gaps": self.gaps,
            "notes": self.notes,
            "faults": self.faults,
        })
    }
}

/// What the source has and the copy leaves out, and what leads on.
fn lacks(vault: &Path, id: &TopicPartition, lacking: &Lacking) -> String {
    let Lacking { from, to, why } = lacking;
    let command = take_out(&vault.join(id.to_string()));
    format!(
        "{id}: the source has offsets {from} to {to}, which are not here: {why}; after `{command}` \
         the same copy fetches the partition anew"
    )
}
