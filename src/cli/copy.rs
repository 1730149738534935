//! `twinlog copy`: topics of a live cluster into a vault.

mod progress;
pub(super) mod summary;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use super::engine::{self, Stop};
use super::{Ending, Misuse, screen, text};
use crate::control::{Job, Selection, SourceLoss};
use crate::model::ProducerIdShift;
use crate::session::BrokerAddress;

use progress::Progress;
use summary::Summary;

/// Copy topics of a live cluster into a vault, byte for byte and offset for offset.
///
/// Ends when everything is here that lay below the high watermarks at the start; with --follow,
/// when it is stopped. A second run on the same vault fetches what is new.
///
/// What fails, at the source or on this disk, is tried again: with --follow for ever, else for
/// source.patience_ms; then its partition is given up by name, and the copy ends with 1.
#[derive(Debug, Args)]
pub(super) struct CopyArguments {
    /// Brokers of the source to begin with.
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', required = true)]
    from: Vec<BrokerAddress>,
    /// Topics to copy: a regular expression that matches their whole names.
    #[arg(long, value_name = "REGEX")]
    topics: String,
    /// Topics to leave out [default: __.*].
    #[arg(long, value_name = "REGEX")]
    exclude: Option<String>,
    /// The vault: a new or empty directory, or the vault of an earlier copy.
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// Go on until stopped.
    #[arg(long)]
    follow: bool,
    /// Add N to every producer id, so that none meets an id of the cluster that will adopt the
    /// vault [default: vault.producer_id_shift of the configuration, 0].
    ///
    /// Checksums are repaired, nothing else changes, and verify --from takes it away again. Every
    /// copy into the vault has to give the same number.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    producer_id_shift: Option<i64>,
    /// Where the source has lost records that were copied (an unclean leader election), set them
    /// aside beside the vault, in INTO.aside, cut them off, and go on [default: vault.source_loss
    /// of the configuration, stop the partition].
    #[arg(long)]
    truncate: bool,
    /// A configuration file; config.toml at the root of the repository shows every key.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The result as one JSON object on standard output.
    #[arg(long)]
    json: bool,
}

impl CopyArguments {
    pub(super) fn run(self, quiet: bool) -> Result<Ending, Misuse> {
        let mut config = super::config(self.config.as_deref())?;
        if let Some(shift) = self.producer_id_shift {
            config.control.producer_id_shift =
                ProducerIdShift::new(shift).expect("the argument's range begins at 0");
        }
        if self.truncate {
            config.control.source_loss = SourceLoss::SetAside;
        }
        let selection = Selection::new(&self.topics, self.exclude.as_deref());
        let job = Job {
            from: self.from,
            selection: selection.map_err(|fault| Misuse::Argument(fault.to_string()))?,
            into: self.into.clone(),
            follow: self.follow,
        };
        let stop = Stop::listen();
        let begun = Instant::now();
        let mut progress = Progress::new(quiet, self.follow);
        let outcome = engine::copy(&config, job, &stop, None, &mut |ledger| {
            progress.show(ledger)
        })?;
        progress.end();
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(fault) => {
                screen::say(&format!("error: {fault}"));
                return Ok(Ending::Incomplete);
            }
        };
        let summary = Summary::new(&outcome, begun.elapsed(), &self.into);
        let mut is_complete = screen::tell(&match self.json {
            true => summary.to_json().to_string(),
            false => summary.to_text(),
        });
        if outcome.was_stopped && !self.follow {
            let totals = outcome.ledger.totals();
            let left = totals.offsets_wanted.saturating_sub(totals.offsets_copied);
            screen::say(&format!(
                "stopped before the end: {} offsets are left; the same command goes on from here",
                text::count(left)
            ));
            is_complete = false;
        }
        for (id, line) in &outcome.ledger.lines {
            for (to, aside) in &line.cuts {
                let kept = match aside {
                    Some(aside) => format!("was set aside: {aside}"),
                    None => "is not kept".to_owned(),
                };
                screen::say(&format!(
                    "{id} was cut at offset {to}; what followed there {kept}"
                ));
            }
        }
        for (id, why) in outcome.ledger.stopped() {
            screen::say(&format!("{id} stopped: {why}"));
            is_complete = false;
        }
        for (id, why) in outcome.ledger.waiting() {
            screen::say(&format!("{id} was waiting: {why}"));
        }
        Ok(match is_complete {
            true => Ending::Done,
            false => Ending::Incomplete,
        })
    }
}
