//! `twinlog mirrors start`: asking for it, or for what it would do.

use super::planning::{self, Planned};
use super::requests::{done, outcome};
use super::showing::number_or_dash;
use super::words::{Words, pattern};
use super::{Failure, Node, StartArguments};
use crate::cli::{Misuse, screen, text};
use crate::mirror::Pattern;
use crate::model::TopicName;
use crate::protocol::mirror_rpc::{
    LostRange, MirrorTopicResult, StartMirrorTopicsRequest, StartPlan, TopicMetadata,
};

/// Topics that are to be started.
pub(super) struct Start {
    mirror: String,
    words: Words,
    exclude: Vec<Pattern>,
    dry_run: bool,
    json: bool,
}

impl Start {
    pub(super) fn new(start: StartArguments) -> Result<Start, Misuse> {
        let exclude = start.exclude.iter().map(|text| pattern(text.trim()));
        Ok(Start {
            mirror: start.mirror,
            words: Words::new(&start.topics)?,
            exclude: exclude.collect::<Result<_, _>>()?,
            dry_run: start.dry_run,
            json: start.json,
        })
    }

    pub(super) async fn run(self, node: &Node) -> Result<bool, Failure> {
        let topics = self.words.names.iter().map(|name| TopicMetadata {
            topic_name: name.clone(),
            ..TopicMetadata::default()
        });
        let exclude = self.exclude.iter();
        let request = StartMirrorTopicsRequest {
            mirror_name: self.mirror.clone(),
            topics: topics.collect(),
            include_patterns: self.words.pattern_texts(),
            exclude_patterns: exclude.map(|pattern| pattern.text().to_owned()).collect(),
            dry_run: self.dry_run,
            ..StartMirrorTopicsRequest::default()
        };
        let answer = node.connect().await?.ask_mirror(&request).await?;
        let (mut started, is_whole) = done(answer.topics.iter().map(outcome));
        if self.dry_run {
            return Ok(self.show_plan(&answer.topics)? && is_whole);
        }
        // Topics that are excluded from now on have been stopped.
        started.retain(|topic| !self.is_excluded(topic));
        let mirror = self.mirror;
        let told = match started.len() {
            0 if !is_whole && self.words.patterns.is_empty() => true,
            0 => screen::tell(&format!(
                "No matching topics found yet. Patterns saved to mirror {mirror} for \
                 auto-discovery."
            )),
            count => {
                let topics = started.join(", ");
                screen::tell(&format!(
                    "Started {count} topic(s) in mirror {mirror}: [{topics}]"
                ))
            }
        };
        Ok(told && is_whole)
    }

    fn is_excluded(&self, topic: &str) -> bool {
        let name = TopicName::new(topic);
        name.is_some_and(|name| self.exclude.iter().any(|pattern| pattern.matches(&name)))
    }

    fn show_plan(&self, topics: &[MirrorTopicResult]) -> Result<bool, Failure> {
        let sound = topics.iter().filter(|topic| topic.error_code == 0);
        let sound = sound.map(|topic| (topic.name.as_str(), topic.plan.as_deref()));
        let rows = planning::rows(&self.mirror, sound, StartPlan::read_all)?;
        Ok(planning::show(&rows, self.json, planned))
    }
}

/// A plan as people read it.
fn planned(rows: &[Planned<StartPlan>]) -> String {
    let heads = ["TOPIC", "PARTITION", "STATE", "PARTS-AT", "CUT", "COPY"];
    let range = |range: Option<LostRange>| match range {
        Some(range) => format!("{}..{}", range.from, range.to),
        None => "-".to_owned(),
    };
    let lines = rows.iter().map(|row| {
        let plan = &row.plan;
        vec![
            row.topic.clone(),
            plan.partition.to_string(),
            plan.state.clone().unwrap_or_else(|| "-".to_owned()),
            number_or_dash(plan.parts_at.unwrap_or(-1)),
            range(plan.cut),
            range(plan.copy),
        ]
    });
    let mut shown = text::table(&heads, &lines.collect::<Vec<_>>());
    for Planned { topic, plan, .. } in rows {
        shown += &planning::in_the_way(topic, plan.partition, &plan.hindrances);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_says_what_goes_and_what_comes() {
        let row = |plan| Planned {
            mirror: "back".to_owned(),
            topic: "orders".to_owned(),
            plan,
        };
        let back = StartPlan {
            parts_at: Some(60),
            cut: Some(LostRange { from: 60, to: 70 }),
            copy: Some(LostRange { from: 60, to: 90 }),
            ..StartPlan::default()
        };
        let barred = StartPlan {
            partition: 1,
            state: Some("STOPPED".to_owned()),
            hindrances: vec!["it is still mirrored".to_owned()],
            ..StartPlan::default()
        };
        let shown = planned(&[row(back), row(barred)]);
        let lines: Vec<Vec<&str>> = shown
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(lines[1], ["orders", "0", "-", "60", "60..70", "60..90"]);
        assert_eq!(lines[2], ["orders", "1", "STOPPED", "-", "-", "-"]);
        assert_eq!(
            shown.lines().last(),
            Some("in the way of orders-1: it is still mirrored")
        );
    }
}
