//! The requests that are answered at once, and what is said of their answers.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::properties::Properties;
use super::words::Words;
use super::{Failure, Node};
use crate::cli::{Misuse, screen};
use crate::mirror::State;
use crate::protocol::ErrorCode;
use crate::protocol::mirror_rpc::{
    ClusterMirror, CreateClusterMirrorRequest, DeleteClusterMirrorRequest,
    DescribeClusterMirrorsRequest, MirrorConfig, MirrorTopic, MirrorTopicResult,
    PauseMirrorTopicsRequest, RecoverMirrorTopicsRequest, ResumeMirrorTopicsRequest,
};
use crate::session::Client;
use crate::uring::RealWorld;

/// A mirror that is to be made.
pub(super) struct Create {
    mirror: String,
    settings: BTreeMap<String, String>,
}

impl Create {
    pub(super) fn new(
        mirror: String,
        file: Option<&Path>,
        more: &[String],
    ) -> Result<Create, Misuse> {
        let mut settings = match file {
            Some(path) => Properties::of_file(path)?.0,
            None => BTreeMap::new(),
        };
        for setting in more {
            let (key, value) = setting.split_once('=').ok_or_else(|| {
                Misuse::Argument(format!("--config {setting}: KEY=VALUE belongs here"))
            })?;
            settings.insert(key.trim().to_owned(), value.to_owned());
        }
        Ok(Create { mirror, settings })
    }

    pub(super) async fn run(self, node: &Node) -> Result<bool, Failure> {
        let settings = self.settings.into_iter();
        let request = CreateClusterMirrorRequest {
            mirror_name: self.mirror,
            configs: settings
                .map(|(name, value)| MirrorConfig {
                    name,
                    value: Some(value),
                })
                .collect(),
        };
        node.connect().await?.ask_mirror(&request).await?;
        Ok(screen::tell(&format!(
            "Created mirror {}",
            request.mirror_name
        )))
    }
}

pub(super) async fn delete(node: &Node, mirror: String) -> Result<bool, Failure> {
    let request = DeleteClusterMirrorRequest {
        mirror_name: mirror,
        ..DeleteClusterMirrorRequest::default()
    };
    node.connect().await?.ask_mirror(&request).await?;
    Ok(screen::tell(&format!(
        "Deleted mirror {}",
        request.mirror_name
    )))
}

/// What is done to topics that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Pause,
    Resume,
    Recover,
}

impl Kind {
    fn past(self) -> &'static str {
        match self {
            Kind::Pause => "Paused",
            Kind::Resume => "Resumed",
            Kind::Recover => "Recovered",
        }
    }

    /// Whether a pattern means a topic with a partition in this state.
    fn means(self, state: &str) -> bool {
        let is = |other: State| state == other.name();
        match self {
            Kind::Pause => ![
                State::Pausing,
                State::Paused,
                State::Stopping,
                State::Stopped,
            ]
            .into_iter()
            .any(is),
            Kind::Resume => is(State::Paused),
            Kind::Recover => is(State::Failed),
        }
    }
}

/// Topics that are to be paused, resumed or recovered.
pub(super) struct Change {
    kind: Kind,
    mirror: String,
    words: Words,
}

impl Change {
    pub(super) fn new(kind: Kind, mirror: String, topics: &[String]) -> Result<Change, Misuse> {
        let words = Words::new(topics)?;
        Ok(Change {
            kind,
            mirror,
            words,
        })
    }

    pub(super) async fn run(self, node: &Node) -> Result<bool, Failure> {
        let mut client = node.connect().await?;
        let topics = self.topics(&mut client).await?;
        if topics.is_empty() {
            return Err(Failure::Said(format!(
                "no topic of mirror {} matches that can be {}",
                self.mirror,
                self.kind.past().to_lowercase()
            )));
        }
        let results = self.ask(&mut client, topics).await?;
        let (changed, is_whole) = done(results.iter().map(outcome));
        let (past, mirror) = (self.kind.past(), self.mirror);
        let told = changed.is_empty()
            || screen::tell(&format!(
                "{past} {} topic(s) in mirror {mirror}: [{}]",
                changed.len(),
                changed.join(", ")
            ));
        Ok(told && is_whole)
    }

    /// The topics by name. Whoever asks by pattern means those that there are.
    async fn topics(&self, client: &mut Client<RealWorld>) -> Result<Vec<String>, Failure> {
        let mut topics = self.words.names.clone();
        if self.words.patterns.is_empty() {
            return Ok(topics);
        }
        let described = described(client, &self.mirror, None, (false, Duration::ZERO)).await?;
        let meant = |topic: &MirrorTopic| {
            let mut partitions = topic.partitions.iter();
            self.words.matches(&topic.topic_name)
                && partitions.any(|partition| self.kind.means(&partition.state_value))
        };
        let matched = described.topics.into_iter().filter(meant);
        topics.extend(matched.map(|topic| topic.topic_name));
        topics.sort();
        topics.dedup();
        Ok(topics)
    }

    async fn ask(
        &self,
        client: &mut Client<RealWorld>,
        topics: Vec<String>,
    ) -> Result<Vec<MirrorTopicResult>, Failure> {
        let mirror_name = self.mirror.clone();
        Ok(match self.kind {
            Kind::Pause => {
                let request = PauseMirrorTopicsRequest {
                    mirror_name,
                    topics,
                    ..PauseMirrorTopicsRequest::default()
                };
                client.ask_mirror(&request).await?.topics
            }
            Kind::Resume => {
                let request = ResumeMirrorTopicsRequest {
                    mirror_name,
                    topics,
                    ..ResumeMirrorTopicsRequest::default()
                };
                client.ask_mirror(&request).await?.topics
            }
            Kind::Recover => {
                let request = RecoverMirrorTopicsRequest {
                    mirror_name,
                    topics,
                };
                client.ask_mirror(&request).await?.topics
            }
        })
    }
}

/// How one mirror is, or these topics of it, and with `include_stops` how far their stops are. The
/// node may hold its answer back for so long, until the stops have come to their end.
pub(super) async fn described(
    client: &mut Client<RealWorld>,
    mirror: &str,
    topics: Option<&[String]>,
    (include_stops, hold): (bool, Duration),
) -> Result<ClusterMirror, Failure> {
    let request = DescribeClusterMirrorsRequest {
        mirror_names: Some(vec![mirror.to_owned()]),
        include_stops,
        topic_names: topics.map(<[String]>::to_vec),
        hold_ms: i32::try_from(hold.as_millis()).unwrap_or(i32::MAX),
        ..DescribeClusterMirrorsRequest::default()
    };
    let answer = client.ask_mirror(&request).await?;
    let found = answer
        .mirrors
        .into_iter()
        .find(|found| found.mirror_name == mirror);
    let found =
        found.ok_or_else(|| Failure::Said(format!("the node tells nothing of {mirror}")))?;
    match refusal(mirror, found.error_code, found.error_message.as_deref()) {
        Some(refusal) => Err(Failure::Said(refusal)),
        None => Ok(found),
    }
}

/// What became of a topic: its name, and why it was refused.
pub(super) type Outcome = (String, Option<String>);

pub(super) fn outcome(result: &MirrorTopicResult) -> Outcome {
    let message = result.error_message.as_deref();
    let refusal = refusal(&result.name, result.error_code, message);
    (result.name.clone(), refusal)
}

/// A refusal of something, in words.
pub(super) fn refusal(what: &str, code: i16, message: Option<&str>) -> Option<String> {
    let code = ErrorCode(code);
    let message = message.map(|message| format!(": {message}"));
    let refusal = || format!("{what}: {code}{}", message.unwrap_or_default());
    code.is_error().then(refusal)
}

/// The topics with which it was done; says of the others why not, and whether there are none.
pub(super) fn done(outcomes: impl Iterator<Item = Outcome>) -> (Vec<String>, bool) {
    let (mut topics, mut is_whole) = (Vec::new(), true);
    for (topic, refusal) in outcomes {
        match refusal {
            None => topics.push(topic),
            Some(refusal) => {
                screen::say(&format!("error: {refusal}"));
                is_whole = false;
            }
        }
    }
    (topics, is_whole)
}
