//! Waiting for a stop: what the node says of every partition, until all of them have come to an
//! end.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::mirrors::requests::described;
use crate::cli::mirrors::{Failure, Node};
use crate::cli::{screen, text};
use crate::io::{Clock, World};
use crate::mirror::State;
use crate::protocol::mirror_rpc::{ClusterMirror, MirrorPartition, MirrorTopic};
use crate::session::{Client, MirrorFault};
use crate::uring::RealWorld;

/// The node answers once all has come to an end, or after so long.
const HOLD: Duration = Duration::from_millis(500);
/// Between two questions all the same.
const WAIT: Duration = Duration::from_millis(30);
/// The same while the node is away.
const LONG_WAIT: Duration = Duration::from_millis(500);
/// How long the node may be away: a stop goes on when it comes back.
const AWAY_MAX: Duration = Duration::from_secs(60);
/// Between two lines where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// How a wait ended.
pub(super) struct End {
    /// The mirror as it was last seen, with the topics that were waited for.
    pub(super) mirror: ClusterMirror,
    /// Why a partition is not stopped, each in words.
    pub(super) reasons: Vec<String>,
}

pub(super) struct Watch<'n> {
    node: &'n Node,
    mirror: &'n str,
    client: Option<Client<RealWorld>>,
    until: Option<Instant>,
    quiet: bool,
    bar: Option<ProgressBar>,
    next_line: Instant,
    away_since: Option<Instant>,
}

/// How far the partitions are.
#[derive(Debug, Default, PartialEq, Eq)]
struct Progress {
    all: usize,
    stopped: usize,
    /// What is being done with one that is not.
    step: String,
    /// Why those that will not be stopped are not.
    given_up: Vec<String>,
    /// Those that may be stopped still, and where they are.
    open: Vec<String>,
}

impl Progress {
    fn of(topics: &[MirrorTopic], attempts_max: i16) -> Progress {
        let mut progress = Progress::default();
        for topic in topics {
            for partition in &topic.partitions {
                progress.count(&topic.topic_name, partition, attempts_max);
            }
        }
        progress
    }

    fn count(&mut self, topic: &str, partition: &MirrorPartition, attempts_max: i16) {
        let (index, state) = (partition.partition_index, &partition.state_value);
        self.all += 1;
        if *state == State::Stopped.name() {
            self.stopped += 1;
            return;
        }
        let error = partition.error_message.as_deref();
        let attempt = partition.retry_attempt;
        let is_over = attempt < 0 || attempts_max > 0 && attempt >= attempts_max;
        if *state == State::Failed.name() && is_over {
            let why = error.unwrap_or("the node does not say why");
            self.given_up.push(format!(
                "{topic}-{index} is {state}: {why}; `twinlog mirrors recover` tries again"
            ));
            return;
        }
        let because = error.map(|error| format!(": {error}")).unwrap_or_default();
        self.open
            .push(format!("{topic}-{index} is {state}{because}"));
        if let Some(step) = &partition.stop_step {
            self.step.clone_from(step);
        }
    }
}

impl<'n> Watch<'n> {
    pub(super) fn new(
        node: &'n Node,
        mirror: &'n str,
        client: Client<RealWorld>,
        within: Option<Duration>,
        quiet: bool,
    ) -> Watch<'n> {
        let now = Instant::now();
        Watch {
            node,
            mirror,
            client: Some(client),
            until: within.map(|within| now + within),
            quiet,
            bar: None,
            next_line: now + LINE_INTERVAL,
            away_since: None,
        }
    }

    /// The names of all topics of the mirror.
    pub(super) async fn topics(&mut self) -> Result<Vec<String>, Failure> {
        loop {
            if let Some(found) = self.look(None, false, Duration::ZERO).await? {
                let topics = found.topics.into_iter();
                return Ok(topics.map(|topic| topic.topic_name).collect());
            }
            self.rest(LONG_WAIT).await;
        }
    }

    /// Asks until every partition of these topics is stopped, or will not be.
    pub(super) async fn until_done(&mut self, topics: &[String]) -> Result<End, Failure> {
        let wanted = topics;
        loop {
            let asked = Instant::now();
            let found = self.look(Some(wanted), true, HOLD).await?;
            let worked = asked.elapsed();
            let is_away = found.is_none();
            if let Some(found) = found {
                let topics = named(wanted, &found);
                let mut progress = Progress::of(&topics, found.retry_attempts_max);
                self.show(&progress);
                let is_late = self.until.is_some_and(|until| Instant::now() >= until);
                if progress.open.is_empty() || is_late {
                    self.clear();
                    let mut reasons = progress.given_up;
                    reasons.append(&mut progress.open);
                    reasons.extend(self.missing(wanted, &topics));
                    let mirror = ClusterMirror { topics, ..found };
                    return Ok(End { mirror, reasons });
                }
            }
            // What it did not hold back it had to work for: it is not asked without rest.
            let wait = match is_away {
                true => LONG_WAIT,
                false if worked < HOLD => WAIT.max(worked),
                false => WAIT,
            };
            self.rest(wait).await;
        }
    }

    async fn rest(&self, wait: Duration) {
        let clock = self.node.world.clock();
        clock.sleep_until(clock.now().after(wait)).await;
    }

    /// What the node says of these topics, or of all; none while it is away.
    async fn look(
        &mut self,
        topics: Option<&[String]>,
        include_stops: bool,
        hold: Duration,
    ) -> Result<Option<ClusterMirror>, Failure> {
        let how = (include_stops, hold);
        let asked = match self.client.take() {
            Some(client) => Ok(client),
            None => self.node.connect().await,
        };
        let fault = match asked {
            Ok(mut open) => match described(&mut open, self.mirror, topics, how).await {
                Ok(found) => {
                    self.client = Some(open);
                    self.away_since = None;
                    return Ok(Some(found));
                }
                Err(failure) => failure,
            },
            Err(fault) => Failure::Asked(fault),
        };
        let Failure::Asked(MirrorFault::Session(_)) = &fault else {
            return Err(fault);
        };
        let now = Instant::now();
        if self.away_since.is_none() && !self.quiet {
            screen::say(&format!("{fault}; waiting for it to come back"));
        }
        let since = *self.away_since.get_or_insert(now);
        let is_late = self.until.is_some_and(|until| now >= until);
        match now.duration_since(since) > AWAY_MAX || is_late {
            true => Err(fault),
            false => Ok(None),
        }
    }

    fn missing(&self, wanted: &[String], found: &[MirrorTopic]) -> Vec<String> {
        let is_found = |name: &String| found.iter().any(|topic| topic.topic_name == *name);
        let missing = wanted.iter().filter(|name| !is_found(name));
        let mirror = self.mirror;
        let reasons = missing.map(|name| format!("{name}: mirror {mirror} has no such topic"));
        reasons.collect()
    }

    fn show(&mut self, progress: &Progress) {
        if self.quiet {
            return;
        }
        let ended = progress.stopped + progress.given_up.len();
        if screen::has_bars() {
            let bar = self.bar.get_or_insert_with(|| {
                let style = ProgressStyle::with_template("{bar:30} {pos}/{len} stopped  {msg}");
                let bar = ProgressBar::new(progress.all as u64);
                screen::bars().add(bar.with_style(style.expect("a sound template")))
            });
            bar.set_length(progress.all as u64);
            bar.set_position(ended as u64);
            bar.set_message(progress.step.clone());
        } else if Instant::now() >= self.next_line {
            self.next_line = Instant::now() + LINE_INTERVAL;
            let (stopped, all) = (progress.stopped as u64, progress.all as u64);
            let (stopped, all) = (
                text::count(stopped),
                text::many(all, "partition", "partitions"),
            );
            let step = &progress.step;
            let doing = if step.is_empty() {
                String::new()
            } else {
                format!(", {step}")
            };
            screen::say(&format!("{stopped} of {all} stopped{doing}"));
        }
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn named(wanted: &[String], mirror: &ClusterMirror) -> Vec<MirrorTopic> {
    let topics = mirror.topics.iter();
    let named = topics.filter(|topic| wanted.contains(&topic.topic_name));
    named.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(index: i32, state: State, retry: i16, error: Option<&str>) -> MirrorPartition {
        MirrorPartition {
            partition_index: index,
            state_value: state.name().to_owned(),
            retry_attempt: retry,
            error_message: error.map(str::to_owned),
            ..MirrorPartition::default()
        }
    }

    #[test]
    fn only_what_is_not_tried_again_is_given_up() {
        let mut draining = partition(1, State::Stopping, 0, None);
        draining.stop_step = Some("drain".to_owned());
        let topics = [MirrorTopic {
            topic_name: "t".to_owned(),
            partitions: vec![
                partition(0, State::Stopped, 0, None),
                draining,
                partition(2, State::Failed, 3, Some("slow")),
                partition(3, State::Failed, -1, Some("broken")),
                partition(4, State::Failed, 20, None),
            ],
            ..MirrorTopic::default()
        }];
        let progress = Progress::of(&topics, 20);
        let again = "; `twinlog mirrors recover` tries again";
        let expected = Progress {
            all: 5,
            stopped: 1,
            step: "drain".to_owned(),
            given_up: vec![
                format!("t-3 is FAILED: broken{again}"),
                format!("t-4 is FAILED: the node does not say why{again}"),
            ],
            open: vec![
                "t-1 is STOPPING".to_owned(),
                "t-2 is FAILED: slow".to_owned(),
            ],
        };
        assert_eq!(progress, expected);
        // Where the most is not told, only the node's own word ends it.
        assert_eq!(Progress::of(&topics, 0).given_up.len(), 1);
    }
}
