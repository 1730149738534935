//! Raises leader epochs in the adopting cluster, while the adopting broker is stopped.
//!
//! A controller raises a partition's epoch whenever a replica is taken from it. So another broker
//! is named as a further replica and taken back, once per epoch. Nobody leads the partition
//! meanwhile, so that broker finds nothing to copy; all that it does is to make an empty directory
//! and to delete it again.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::super::{screen, text};
use crate::io::{Clock, World};
use crate::model::{BrokerId, LeaderEpoch, TopicName, TopicPartition};
use crate::session::{BrokerAddress, Client, Opening, Refusal, Refusals, SessionFault};

/// Partitions in one request: a controller takes no more than 10,000 changes at once.
const PARTITIONS_MAX: usize = 1000;
/// Directories that a broker may be made to make at once, and then per second: each stays for a
/// minute (`file.delete.delay.ms`) with two maps of the 65,530 that a process may have.
const DIRECTORIES_MAX: f64 = 10_000.0;
const DIRECTORIES_PER_SECOND: f64 = 150.0;
/// How long between two looks at what a broker has heard of.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Between two lines where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// Without it, a partition of which no replica is in sync gets none back.
const UNCLEAN: &str = "unclean.leader.election.enable";

/// A partition whose leader epoch is too low.
#[derive(Debug)]
pub(super) struct Low {
    pub(super) id: TopicPartition,
    /// Its epoch in the adopting cluster.
    pub(super) epoch: LeaderEpoch,
    /// The least that it needs: its log's last.
    pub(super) wanted: LeaderEpoch,
    /// An earlier attempt was cut off: the further replica is still named.
    pub(super) is_cut_off: bool,
    /// No replica counts as in sync: eligible ones are kept apart (KIP-966).
    pub(super) is_without_isr: bool,
}

impl fmt::Display for Low {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Low {
            id, epoch, wanted, ..
        } = self;
        write!(
            f,
            "{id}: its leader epoch there was {epoch}, the log's last is {wanted}"
        )
    }
}

impl Low {
    /// By how much it is to be raised.
    fn steps(&self) -> u32 {
        let steps = self.wanted.value().saturating_sub(self.epoch.value());
        u32::try_from(steps).unwrap_or(0)
    }
}

/// Why the epochs are not high enough yet.
#[derive(Debug, thiserror::Error)]
pub(super) enum RaiseFault {
    #[error("{0}; leader epochs may be raised in part: run adopt again, it goes on from there")]
    Session(#[from] SessionFault),
    #[error(
        "the adopting cluster does not raise leader epochs: remove the cause, then run adopt \
         again:\n{}", .0.join("\n")
    )]
    Refused(Vec<String>),
    #[error(
        "{UNCLEAN} was true for a moment and could not be set back: do so with kafka-configs, \
         then run adopt again:\n{}", .0.join("\n")
    )]
    StaysUnclean(Vec<String>),
    #[error(
        "{at} has not heard of the raised leader epochs within {waited:?}: see whether the \
         controller is well, then run adopt again:\n{}", .late.join("\n")
    )]
    Unseen {
        at: BrokerAddress,
        waited: Duration,
        late: Vec<String>,
    },
}

/// The brokers of the adopting cluster.
pub(super) struct Brokers<'a> {
    /// Whom to ask.
    pub(super) at: &'a BrokerAddress,
    /// The stopped one, which adopts.
    pub(super) adopting: BrokerId,
    /// The others, which run; at least one.
    pub(super) others: Vec<BrokerId>,
}

/// Raises all epochs to those wanted, and waits until the broker that is asked has heard of it.
///
/// # Errors
/// Which partitions stay too low, and why.
pub(super) async fn raise<W: World>(
    world: &W,
    opening: Opening,
    brokers: Brokers<'_>,
    low: &[Low],
    quiet: bool,
) -> Result<(), RaiseFault> {
    let mut raiser = Raiser {
        world,
        opening,
        client: Client::connect(world, brokers.at, opening).await?,
        brokers,
        made: 0,
        begun: Instant::now(),
        progress: Progress::begin(low, quiet),
    };
    for low in low.chunks(PARTITIONS_MAX) {
        raiser.raise(&low.iter().collect::<Vec<_>>()).await?;
    }
    raiser.progress.bar.finish_and_clear();
    raiser.await_heard(low).await
}

struct Raiser<'a, W: World> {
    world: &'a W,
    opening: Opening,
    client: Client<W>,
    brokers: Brokers<'a>,
    /// Directories that the other brokers were made to make.
    made: usize,
    begun: Instant,
    progress: Progress,
}

impl<W: World> Raiser<'_, W> {
    /// One request's worth of partitions.
    async fn raise(&mut self, low: &[&Low]) -> Result<(), RaiseFault> {
        let bare = low.iter().filter(|low| low.is_without_isr);
        let bare: BTreeSet<&TopicName> = bare.map(|low| &low.id.topic).collect();
        match bare.is_empty() {
            true => self.first(low).await?,
            false => self.first_unclean(low, &bare).await?,
        }
        let steps = low.iter().map(|low| low.steps()).max().unwrap_or(0);
        for done in 1..steps {
            self.step(low, done).await?;
        }
        Ok(())
    }

    /// The first step, after whatever an earlier attempt left is taken back.
    async fn first(&mut self, low: &[&Low]) -> Result<(), RaiseFault> {
        let cut_off = low.iter().filter(|low| low.is_cut_off);
        let cut_off = cut_off.map(|low| (&low.id, None)).collect::<Vec<_>>();
        let refused = self.client.reassign(cut_off.into_iter()).await?;
        none_refused(low, &refused, "its further replica is not taken back")?;
        self.step(low, 0).await
    }

    /// The first step where no replica is in sync: to take one back makes the stopped broker the
    /// one in sync, which the controller calls unclean. Here it is not: the logs are all empty.
    async fn first_unclean(
        &mut self,
        low: &[&Low],
        topics: &BTreeSet<&TopicName>,
    ) -> Result<(), RaiseFault> {
        let all = || topics.iter().copied();
        let before = self.client.own_setting(all(), UNCLEAN).await?;
        let unclean = all().map(|topic| (topic, Some("true")));
        let refused = self.client.set(UNCLEAN, unclean).await?;
        let outcome = match refused.is_empty() {
            true => self.first(low).await,
            false => Err(RaiseFault::Refused(not_set(&refused))),
        };
        let was_set = all().filter(|topic| !refused.contains_key(topic));
        let back = was_set.map(|topic| (topic, before.get(topic).map(String::as_str)));
        let why = match self.set_back(back).await {
            Ok(refused) if refused.is_empty() => return outcome,
            Ok(refused) => not_set(&refused),
            Err(fault) => all().map(|topic| format!("{topic}: {fault}")).collect(),
        };
        Err(RaiseFault::StaysUnclean(why))
    }

    /// Over a connection of its own: the other one may be what has failed.
    async fn set_back<'a>(
        &self,
        values: impl Iterator<Item = (&'a TopicName, Option<&'a str>)>,
    ) -> Result<Refusals<TopicName>, SessionFault> {
        let mut client = Client::connect(self.world, self.brokers.at, self.opening).await?;
        client.set(UNCLEAN, values).await
    }

    /// Raises by one each epoch that is not high enough after as many steps as are done.
    async fn step(&mut self, low: &[&Low], done: u32) -> Result<(), RaiseFault> {
        let low = low.iter().filter(|low| low.steps() > done);
        let low: Vec<&Low> = low.copied().collect();
        let Brokers {
            adopting, others, ..
        } = &self.brokers;
        let more = low.iter().enumerate().map(|(nth, low)| {
            let other = others[nth % others.len()];
            (&low.id, Some(vec![*adopting, other]))
        });
        let mut refused = self.client.reassign(more).await?;
        let added = low.iter().filter(|low| !refused.contains_key(&low.id));
        let back = added.map(|low| (&low.id, None)).collect::<Vec<_>>();
        refused.extend(self.client.reassign(back.into_iter()).await?);
        none_refused(
            &low,
            &refused,
            "no further replica can be named for a moment",
        )?;
        self.made += low.len();
        self.progress.advance(low.len());
        self.pause().await;
        Ok(())
    }

    /// Waits for as long as the other brokers have enough to delete.
    async fn pause(&self) {
        let early = due(self.made, self.brokers.others.len());
        let early = early.saturating_sub(self.begun.elapsed());
        let clock = self.world.clock();
        clock.sleep_until(clock.now().after(early)).await;
    }

    async fn await_heard(&mut self, low: &[Low]) -> Result<(), RaiseFault> {
        let topics: BTreeSet<&TopicName> = low.iter().map(|low| &low.id.topic).collect();
        let topics: Vec<TopicName> = topics.into_iter().cloned().collect();
        let begun = Instant::now();
        loop {
            let view = self.client.cluster(Some(&topics)).await?;
            let epoch = |id| view.find(id).map(|(_, found)| found.epoch);
            let late = low.iter().filter(|low| epoch(&low.id) < Some(low.wanted));
            let late: Vec<String> = late.map(Low::to_string).collect();
            if late.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > self.opening.timeout {
                return Err(RaiseFault::Unseen {
                    at: self.brokers.at.clone(),
                    waited: self.opening.timeout,
                    late,
                });
            }
            let clock = self.world.clock();
            clock.sleep_until(clock.now().after(LOOK_INTERVAL)).await;
        }
    }
}

/// How long after the beginning `brokers` may have been made to make so many directories.
fn due(made: usize, brokers: usize) -> Duration {
    let each = made as f64 / brokers as f64;
    Duration::from_secs_f64((each - DIRECTORIES_MAX).max(0.0) / DIRECTORIES_PER_SECOND)
}

fn none_refused(
    low: &[&Low],
    refused: &Refusals<TopicPartition>,
    what: &str,
) -> Result<(), RaiseFault> {
    let why = |low: &&Low| Some(format!("{low}; {what}: {}", refused.get(&low.id)?));
    let lines: Vec<String> = low.iter().filter_map(why).collect();
    match lines.is_empty() {
        true => Ok(()),
        false => Err(RaiseFault::Refused(lines)),
    }
}

fn not_set(refused: &Refusals<TopicName>) -> Vec<String> {
    let line = |(topic, why): (&TopicName, &Refusal)| format!("{topic}: {UNCLEAN}: {why}");
    refused.iter().map(line).collect()
}

/// How many steps are done: a bar on a terminal, a line now and then elsewhere.
struct Progress {
    bar: ProgressBar,
    quiet: bool,
    next_line: Instant,
}

impl Progress {
    fn begin(low: &[Low], quiet: bool) -> Progress {
        let steps: u64 = low.iter().map(|low| u64::from(low.steps())).sum();
        if !quiet {
            let (partitions, steps) = (text::count(low.len() as u64), text::count(steps));
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

    fn advance(&mut self, steps: usize) {
        self.bar.inc(steps as u64);
        if !self.quiet && !screen::has_bars() && Instant::now() >= self.next_line {
            self.next_line = Instant::now() + LINE_INTERVAL;
            let done = text::count(self.bar.position());
            let all = text::count(self.bar.length().unwrap_or(0));
            screen::say(&format!("{done} of {all} steps"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_gets_no_more_directories_than_it_can_map() {
        assert_eq!(due(10_000, 1), Duration::ZERO);
        assert_eq!(due(23_000, 2), Duration::from_secs(10));
        // Two maps each, for all that a minute may leave behind.
        let kept = DIRECTORIES_MAX.max(60.0 * DIRECTORIES_PER_SECOND);
        assert!(2.0 * kept < 65_530.0 / 2.0);
    }
}
