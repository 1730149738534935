//! How far the raising of leader epochs has come.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::super::{screen, text};

/// Between two lines where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// How many steps are done: a bar on a terminal, a line now and then elsewhere.
pub(super) struct Progress {
    bar: ProgressBar,
    quiet: bool,
    next_line: Instant,
}

impl Progress {
    /// Says what is begun.
    pub(super) fn begin(partitions: usize, steps: u64, quiet: bool) -> Progress {
        if !quiet {
            let (partitions, steps) = (text::count(partitions as u64), text::count(steps));
            screen::say(&format!(
                "raising the leader epochs of {partitions} partitions, {steps} steps"
            ));
        }
        let style = ProgressStyle::with_template("raising [{bar:30}] {pos}/{len} steps, {eta}")
            .expect("the template is sound")
            .progress_chars("=> ");
        let bar = match quiet || !screen::has_bars() {
            true => ProgressBar::hidden(),
            false => screen::bars().add(ProgressBar::new(0).with_style(style)),
        };
        bar.set_length(steps);
        Progress {
            bar,
            quiet,
            next_line: Instant::now() + LINE_INTERVAL,
        }
    }

    /// So many more are done.
    pub(super) fn advance(&mut self, steps: usize) {
        self.bar.inc(steps as u64);
        if !self.quiet && !screen::has_bars() && Instant::now() >= self.next_line {
            self.next_line = Instant::now() + LINE_INTERVAL;
            let done = text::count(self.bar.position());
            let all = text::count(self.bar.length().unwrap_or(0));
            screen::say(&format!("{done} of {all} steps"));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
