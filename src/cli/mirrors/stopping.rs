//! `twinlog mirrors stop`: asking for it, waiting for its end, and its report.

mod report;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use super::planning;
use super::requests::{Outcome, done, refusal};
use super::showing::as_json;
use super::words::Words;
use super::{Failure, Node, StopArguments};
use crate::cli::{Misuse, screen};
use crate::protocol::mirror_rpc::{StopMirrorTopicsRequest, StopPlan, StopTopicResult};

use watch::Watch;

/// Topics that are to be stopped.
pub(super) struct Stop {
    mirror: String,
    words: Words,
    how: How,
    quiet: bool,
}

/// What is wanted beside the stop itself.
struct How {
    waits: bool,
    within: Option<Duration>,
    planned: bool,
    dry_run: bool,
    force: bool,
    report: Option<PathBuf>,
    json: bool,
}

impl Stop {
    pub(super) fn new(stop: StopArguments, quiet: bool) -> Result<Stop, Misuse> {
        if let Some(path) = &stop.report {
            writable(path)?;
        }
        Ok(Stop {
            mirror: stop.mirror,
            words: Words::new(&stop.topics)?,
            how: How {
                waits: stop.wait || stop.report.is_some(),
                within: stop.timeout.map(Duration::from_secs),
                planned: stop.planned,
                dry_run: stop.dry_run,
                force: stop.force,
                report: stop.report,
                json: stop.json,
            },
            quiet,
        })
    }

    pub(super) async fn run(self, node: &Node) -> Result<bool, Failure> {
        let request = StopMirrorTopicsRequest {
            mirror_name: self.mirror.clone(),
            topics: self.words.names.clone(),
            patterns: self.words.pattern_texts(),
            planned: self.how.planned,
            dry_run: self.how.dry_run,
            force: self.how.force,
            ..StopMirrorTopicsRequest::default()
        };
        let mut client = node.connect().await?;
        let answer = client.ask_mirror(&request).await?;
        if self.how.dry_run {
            return self.show_plan(&answer.topics);
        }
        let (mut topics, is_whole) = done(answer.topics.iter().map(outcome));
        let mut watch = Watch::new(node, &self.mirror, client, self.how.within, self.quiet);
        if self.how.waits {
            // One that was stopped before is not told where a pattern matches it.
            let known = watch.topics().await?.into_iter();
            topics.extend(known.filter(|topic| self.words.matches(topic)));
            topics.sort();
            topics.dedup();
        }
        if topics.is_empty() {
            if is_whole {
                let mirror = &self.mirror;
                screen::say(&format!("error: no topic of mirror {mirror} matches"));
            }
            return Ok(false);
        }
        let are_stopped = match self.how.waits {
            true => self.wait(watch, &topics).await?,
            false => true,
        };
        let mirror = &self.mirror;
        let told = !are_stopped
            || self.how.json
            || screen::tell(&format!(
                "Stopped [{}] topic(s) in mirror {mirror}",
                topics.join(", ")
            ));
        Ok(told && are_stopped && is_whole)
    }

    async fn wait(&self, mut watch: Watch<'_>, topics: &[String]) -> Result<bool, Failure> {
        let end = watch.until_done(topics).await?;
        for reason in &end.reasons {
            screen::say(&format!("error: {reason}"));
        }
        let rows = report::rows(&end.mirror);
        if let Some(path) = &self.how.report {
            let written = std::fs::write(path, as_json(&rows) + "\n");
            written.map_err(|error| {
                let path = path.display();
                Failure::Said(format!("the report cannot be written to {path}: {error}"))
            })?;
        }
        let told = match self.how.json {
            true => screen::tell(&as_json(&rows)),
            false => self.quiet || screen::tell(&report::reported(&rows)),
        };
        Ok(told && end.reasons.is_empty())
    }

    fn show_plan(&self, topics: &[StopTopicResult]) -> Result<bool, Failure> {
        let (_, is_whole) = done(topics.iter().map(outcome));
        let sound = topics.iter().filter(|topic| topic.error_code == 0);
        let sound = sound.map(|topic| (topic.name.as_str(), topic.plan.as_deref()));
        let rows = planning::rows(&self.mirror, sound, StopPlan::read_all)?;
        Ok(planning::show(&rows, self.how.json, report::planned) && is_whole)
    }
}

fn outcome(result: &StopTopicResult) -> Outcome {
    let message = result.error_message.as_deref();
    let refusal = refusal(&result.name, result.error_code, message);
    (result.name.clone(), refusal)
}

/// A stop is not begun whose report has no place.
fn writable(path: &std::path::Path) -> Result<(), Misuse> {
    let opened = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path);
    opened.map(drop).map_err(|error| Misuse::Unreadable {
        path: path.to_owned(),
        error,
    })
}
