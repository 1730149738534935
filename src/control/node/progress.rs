//! What a partition is about, in words for people, and when each step of its stop began.

use std::time::Duration;

use crate::mirror::Action;
use crate::model::Instant;
use crate::protocol::mirror_rpc::{StepBegun, StopReport};

use super::course::Next;
use super::mirrored::Mirrored;

/// More steps than a stop has, unless it goes round and round.
const STEPS_MAX: usize = 24;

impl Next {
    /// What is done, or waited for.
    pub(super) fn words(&self) -> &'static str {
        match self {
            Next::Wait(what) | Next::Refuse(what) => what,
            Next::Create => "the topic is made at the destination",
            Next::AskCounterpart => "the counterpart is asked where both sides part",
            Next::Join => "this node gets a replica of what others have",
            Next::RecordAligned => "the destination ends where both sides part",
            Next::RecordParting => "its position is put on record",
            Next::ForgetWayBack => "it is not mirrored back any more",
            Next::Open(_) => "its log is opened",
            Next::Release => "its log is closed",
            Next::Stamp(_) => "another leader epoch begins",
            Next::Yield => "a stock broker is to lead, so that another leader epoch begins",
            Next::Elect => "the controller is asked to let this node lead",
            Next::Cut(_) => "what is not the source's is cut off",
            Next::RefuseOthers(..) => "its log holds what is not the source's",
            Next::Fetch => "fetching begins",
            Next::ForgetPosition => "the position of an earlier stop is taken back",
            Next::Cease => "fetching ends",
            Next::RecordPosition => "its position is put on record",
            Next::Seal => "open transactions are ended",
            Next::RecordHandOver => "what it is handed over with is put on record",
            Next::RefuseLog => "its log is of a topic that is gone",
            Next::Fence => "writers are kept out",
            Next::Unfence => "writers are let in",
            Next::HandOver => "it is handed over",
            Next::Verify => "its new leader is asked for its log's end",
            Next::Restore => "replicas that were late come back",
            Next::Done => "done",
        }
    }
}

/// The steps of a stop.
#[derive(Debug, Default)]
pub(super) struct Progress {
    asked_at: Option<Instant>,
    steps: Vec<(&'static str, Instant)>,
}

impl Progress {
    /// A stop is asked for, now.
    pub(super) fn begin(&mut self, now: Instant) {
        self.asked_at = Some(now);
        self.steps.clear();
    }

    fn note(&mut self, now: Instant, step: &'static str) {
        // After a restart nobody knows when it was asked for.
        self.asked_at.get_or_insert(now);
        let is_news = self.steps.last().is_none_or(|(last, _)| *last != step);
        if is_news && self.steps.len() < STEPS_MAX {
            self.steps.push((step, now));
        }
    }

    /// Puts into a report how long it took until each step began, and until the last one.
    pub(super) fn tell(&self, report: &mut StopReport) {
        let Some(asked_at) = self.asked_at else {
            return;
        };
        let after = |at: Instant| ms(at.since(asked_at));
        let steps = self.steps.iter().map(|(step, at)| StepBegun {
            step: (*step).to_owned(),
            at_ms: after(*at),
        });
        report.steps = steps.collect();
        let done = Next::Done.words();
        let done = self.steps.last().filter(|(last, _)| *last == done);
        report.took_ms = done.map(|(_, at)| after(*at));
    }
}

impl Mirrored {
    /// This is what it is about from now on.
    pub(super) fn is_about(&mut self, now: Instant, step: &Next) {
        self.waits_for = step.words();
        if self
            .acting
            .is_some_and(|(_, action)| action == Action::Stop)
        {
            self.progress.note(now, self.waits_for);
        }
    }
}

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_when_each_step_began() {
        let at = |ms: u64| Instant::from_nanos(ms * 1_000_000);
        let mut progress = Progress::default();
        let mut report = StopReport::default();
        progress.tell(&mut report);
        assert_eq!(report, StopReport::default(), "nothing was asked for");
        progress.begin(at(10));
        for (ms, step) in [(12, Next::Cease), (13, Next::Cease), (20, Next::Seal)] {
            progress.note(at(ms), step.words());
        }
        progress.tell(&mut report);
        let steps: Vec<_> = report.steps.iter().map(|step| step.at_ms).collect();
        assert_eq!((steps, report.took_ms), (vec![2, 10], None));
        progress.note(at(30), Next::Done.words());
        progress.tell(&mut report);
        assert_eq!(report.took_ms, Some(20));
        progress.begin(at(40));
        progress.tell(&mut report);
        assert!(report.steps.is_empty(), "another stop");
    }
}
