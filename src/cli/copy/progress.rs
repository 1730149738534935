//! How far a copy has come: bars per topic on a terminal, a line now and then elsewhere.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::super::{screen, text};
use crate::control::{Ledger, TopicTotals};
use crate::model::TopicName;

/// More topics than this share the bar of the whole.
const BARS_MAX: usize = 12;
/// Room for a topic's name before its bar.
const NAME_CHARACTERS: usize = 24;
/// Between two lines where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

pub(super) struct Progress {
    quiet: bool,
    follow: bool,
    begun: Instant,
    whole: Option<ProgressBar>,
    topics: BTreeMap<TopicName, ProgressBar>,
    next_line: Instant,
}

impl Progress {
    pub(super) fn new(quiet: bool, follow: bool) -> Progress {
        let begun = Instant::now();
        Progress {
            quiet,
            follow,
            begun,
            whole: None,
            topics: BTreeMap::new(),
            next_line: begun + LINE_INTERVAL,
        }
    }

    /// Shows where everything stands.
    pub(super) fn show(&mut self, ledger: &Ledger) {
        if self.quiet {
            return;
        }
        if screen::has_bars() {
            self.draw(ledger);
        } else if Instant::now() >= self.next_line {
            self.next_line = Instant::now() + LINE_INTERVAL;
            screen::say(&self.line(&ledger.totals()));
        }
    }

    pub(super) fn end(&mut self) {
        for bar in self.topics.values().chain(&self.whole) {
            bar.finish_and_clear();
        }
    }

    fn draw(&mut self, ledger: &Ledger) {
        let totals = ledger.totals();
        let topics = ledger.topics();
        if topics.len() <= BARS_MAX {
            for (name, totals) in &topics {
                let bar = self
                    .topics
                    .entry(name.clone())
                    .or_insert_with(|| bar(name.as_str()));
                set(bar, totals, self.begun);
            }
        }
        let whole = self.whole.get_or_insert_with(|| bar("all topics"));
        set(whole, &totals, self.begun);
    }

    fn line(&self, totals: &TopicTotals) -> String {
        let elapsed = self.begun.elapsed();
        let copied = format!(
            "{} partitions, {} in {}, {}",
            totals.partitions,
            text::bytes(totals.tally.bytes),
            text::time(elapsed),
            text::rate(totals.tally.bytes, elapsed)
        );
        let left = totals.offsets_wanted.saturating_sub(totals.offsets_copied);
        match self.follow && left == 0 {
            true => format!("{copied}; nothing left to copy now"),
            false => format!(
                "{copied}; {} offsets left{}",
                text::count(left),
                eta(totals, elapsed)
            ),
        }
    }
}

fn eta(totals: &TopicTotals, elapsed: Duration) -> String {
    let left = totals.offsets_wanted.saturating_sub(totals.offsets_copied);
    if totals.offsets_copied == 0 || left == 0 {
        return String::new();
    }
    let seconds = elapsed.as_secs_f64() * left as f64 / totals.offsets_copied as f64;
    format!(", {} to go", text::time(Duration::from_secs_f64(seconds)))
}

fn bar(name: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:>24} [{bar:30}] {percent:>3}% {msg}")
        .expect("the template is sound")
        .progress_chars("=> ");
    let bar = ProgressBar::new(1)
        .with_style(style)
        .with_prefix(text::shortened(name, NAME_CHARACTERS));
    screen::bars().add(bar)
}

fn set(bar: &ProgressBar, totals: &TopicTotals, begun: Instant) {
    let elapsed = begun.elapsed();
    bar.set_length(totals.offsets_wanted.max(1));
    bar.set_position(match totals.offsets_wanted {
        0 => 1,
        _ => totals.offsets_copied,
    });
    let stopped = match totals.stopped {
        0 => String::new(),
        count => format!(", {count} stopped"),
    };
    bar.set_message(format!(
        "{} {}{}{stopped}",
        text::bytes(totals.tally.bytes),
        text::rate(totals.tally.bytes, elapsed),
        eta(totals, elapsed)
    ));
}
