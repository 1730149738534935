//! Mirror topics at the destination: as the source has them, led by us, each partition with stock
//! brokers to succeed us.

mod carry_out;
mod placement;

use std::collections::BTreeMap;

use super::DestinationFault;
use crate::mirror::{Pattern, SelectionFault};
use crate::model::{BrokerId, TopicId, TopicName};
use crate::session::{Growth, NewTopic, Origin, Refusal, Setting};

pub use carry_out::{create, default_factor, grow};
pub use placement::{Seat, place};

/// Topics in one request.
const TOPICS_PER_REQUEST: usize = 500;
/// How many stock brokers have a partition where nobody has said how many.
const FACTOR: usize = 3;

/// Settings that a mirror topic does not take over from the source's
/// (`topic.properties.exclude`): those that are about the source's own brokers or need what only
/// its cluster knows.
pub const SETTINGS_EXCLUDED: [&str; 10] = [
    "follower.replication.throttled.replicas",
    "leader.replication.throttled.replicas",
    "message.timestamp.difference.max.ms",
    "log.message.timestamp.before.max.ms",
    "log.message.timestamp.after.max.ms",
    "message.timestamp.type",
    "unclean.leader.election.enable",
    "min.insync.replicas",
    "mirror.replication.throttled.replicas",
    "mirror.support.unclean.leader.election",
];
/// Settings that no stock destination can have of a mirror: tiered logs, which nobody fills here,
/// and old forms of records, which Kafka 4 does not know.
const NEVER: [&str; 4] = [
    "remote\\..*",
    "local\\.retention\\..*",
    "message\\.format\\.version",
    "message\\.downconversion\\.enable",
];

/// Which settings are taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclusions(Vec<Pattern>);

impl Exclusions {
    /// All but those that one of the patterns matches.
    ///
    /// # Errors
    /// One is not a regular expression.
    pub fn new<'a>(
        patterns: impl IntoIterator<Item = &'a str>,
    ) -> Result<Exclusions, SelectionFault> {
        let patterns = patterns.into_iter().chain(NEVER).map(Pattern::new);
        Ok(Exclusions(patterns.collect::<Result<_, _>>()?))
    }

    fn take(&self, settings: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let is_out = |name: &str| self.0.iter().any(|pattern| pattern.matches_text(name));
        let taken = settings.iter().filter(|(name, _)| !is_out(name));
        taken
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

impl Default for Exclusions {
    fn default() -> Exclusions {
        Exclusions::new(SETTINGS_EXCLUDED).expect("our own are sound")
    }
}

/// A topic as the source has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceTopic {
    /// Its name.
    pub name: TopicName,
    /// Its id there.
    pub id: TopicId,
    /// How many partitions it has.
    pub partitions: usize,
    /// What was set for the topic itself.
    pub settings: BTreeMap<String, String>,
}

/// The topic of the same name at the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its id there.
    pub id: TopicId,
    /// How many partitions it has.
    pub partitions: usize,
    /// The source topic that it is a mirror of by our own notes.
    pub mirrors: Option<TopicId>,
}

/// What has to be done about one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// It is as it should be.
    Nothing,
    /// It is to be made.
    Create(NewTopic),
    /// It lacks partitions.
    Grow(Growth),
}

/// Why a topic cannot be mirrored under its name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicRefusal {
    /// The name is taken.
    #[error(
        "topic {name} exists at the destination with id {theirs} and is no mirror of the source's \
         {ours}: delete or rename one of both, or leave it out by topics.exclude"
    )]
    Taken {
        /// Which.
        name: TopicName,
        /// The id of the destination's.
        theirs: TopicId,
        /// The id of the source's.
        ours: TopicId,
    },
    /// It mirrors a topic that the source no longer has.
    #[error(
        "topic {name} at the destination (id {theirs}) mirrors the source's topic {was}, which is \
         {now} today: it was deleted and created anew at the source; delete it at the destination \
         to mirror the new one"
    )]
    Recreated {
        /// Which.
        name: TopicName,
        /// The id of the destination's.
        theirs: TopicId,
        /// The source's id when it was mirrored first.
        was: TopicId,
        /// The source's id now.
        now: TopicId,
    },
    /// It has more partitions than the source's.
    #[error(
        "topic {name} has {theirs} partitions at the destination and {ours} at the source: \
         somebody has added some there, which cannot be taken back; delete it at the destination \
         to mirror it anew"
    )]
    Larger {
        /// Which.
        name: TopicName,
        /// The destination's partitions.
        theirs: usize,
        /// The source's.
        ours: usize,
    },
    /// Not enough stock brokers.
    #[error(
        "topic {name} is to have {factor} replicas beside ours, and the destination has {stock} \
         stock brokers that are alive: start more, or lower the replication factor"
    )]
    TooFewBrokers {
        /// Which.
        name: TopicName,
        /// How many are wanted.
        factor: usize,
        /// How many there are.
        stock: usize,
    },
}

/// What holds for all mirror topics.
#[derive(Clone, Debug)]
pub struct Shape<'a> {
    /// We lead.
    pub us: BrokerId,
    /// Stock brokers that are alive.
    pub stock: &'a [Seat],
    /// How many of them have each partition: as many remain after a failover.
    pub factor: usize,
    /// Which settings are not taken over.
    pub exclude: &'a Exclusions,
}

/// Decides what one source topic needs at the destination.
///
/// # Errors
/// It cannot be mirrored under its name.
pub fn decide(
    source: &SourceTopic,
    held: Option<&Held>,
    shape: &Shape<'_>,
) -> Result<Wanted, TopicRefusal> {
    let name = source.name.clone();
    let has = match held {
        None => 0,
        Some(held) => ours(source, held)?,
    };
    if has > source.partitions {
        return Err(TopicRefusal::Larger {
            name,
            theirs: has,
            ours: source.partitions,
        });
    }
    if held.is_some() && has == source.partitions {
        return Ok(Wanted::Nothing);
    }
    let stock = shape.stock.len();
    if shape.factor > stock || shape.factor == 0 {
        return Err(TopicRefusal::TooFewBrokers {
            name,
            factor: shape.factor.max(1),
            stock,
        });
    }
    let assignment = (has..source.partitions)
        .map(|partition| place(shape.us, shape.stock, shape.factor, &name, partition))
        .collect();
    Ok(match held {
        None => Wanted::Create(NewTopic {
            name,
            assignment,
            settings: shape.exclude.take(&source.settings),
        }),
        Some(_) => Wanted::Grow(Growth {
            name,
            from: has,
            assignment,
        }),
    })
}

/// How many partitions our mirror of it has.
fn ours(source: &SourceTopic, held: &Held) -> Result<usize, TopicRefusal> {
    let name = source.name.clone();
    match held.mirrors {
        None => Err(TopicRefusal::Taken {
            name,
            theirs: held.id,
            ours: source.id,
        }),
        Some(was) if !was.agrees(source.id, &name) => Err(TopicRefusal::Recreated {
            name,
            theirs: held.id,
            was,
            now: source.id,
        }),
        Some(_) => Ok(held.partitions),
    }
}

/// How many stock brokers are to have each partition: what the mirror says, what somebody has set
/// for the destination, or what is usual.
#[must_use]
pub fn factor(configured: Option<usize>, told: Option<&Setting>, stock: usize) -> usize {
    let set = told.filter(|setting| setting.origin != Origin::Default);
    let set = set.and_then(|setting| setting.value.as_deref()?.parse().ok());
    configured.or(set).unwrap_or(FACTOR.min(stock.max(1)))
}

/// Why the destination did not make a topic, or did not let it grow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("topic {name} at the destination: {why}{}", advice(why))]
pub struct NotMade {
    /// Which.
    pub name: TopicName,
    /// What it says.
    pub why: Refusal,
}

fn advice(why: &Refusal) -> &'static str {
    use crate::protocol::ErrorCode as Code;
    match why.code {
        Code::TOPIC_AUTHORIZATION_FAILED | Code::CLUSTER_AUTHORIZATION_FAILED => {
            "; grant CREATE and ALTER on the cluster to our principal"
        }
        Code::INVALID_CONFIG => {
            "; the destination does not take a setting of the source's: name it in \
             topic.properties.exclude"
        }
        Code::INVALID_REPLICA_ASSIGNMENT => {
            "; a broker of the assignment is not registered or cordoned: it is tried again with \
             the next view of the cluster"
        }
        Code::POLICY_VIOLATION => {
            "; the destination's create.topic.policy.class.name forbids it: let it pass"
        }
        _ => "",
    }
}

/// What became of each topic; or nothing at all could be asked.
pub type Made<T> = Result<BTreeMap<TopicName, Result<T, NotMade>>, DestinationFault>;

#[cfg(test)]
mod tests;
