//! What a source says: who answers, in which versions, what we may do there, and how much there is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kafka_protocol::messages::{MetadataRequest, OffsetForLeaderEpochRequest};

use super::Lines;
use crate::cli::text;
use crate::control::Selection;
use crate::io::World;
use crate::model::{BrokerId, TopicId, TopicName, TopicPartition};
use crate::protocol::fetch::{Endpoint, LAST_EPOCH_FROM, SESSIONS_FROM, TOPIC_IDS_FROM};
use crate::session::{
    BrokerAddress, Client, ClusterView, Opening, Operation, Rights, Security, SessionFault, look_at,
};
use crate::uring;

const TIMEOUT: Duration = Duration::from_secs(10);
/// Topics in one question about rights.
const TOPICS_PER_REQUEST: usize = 500;
/// Topics that are named in one line.
const NAMES_MAX: usize = 5;
/// What a copy does with a topic.
const NEEDED: [Operation; 2] = [Operation::Read, Operation::Describe];
/// What no copy ever does.
const NEEDLESS: [Operation; 7] = [
    Operation::Write,
    Operation::Create,
    Operation::Delete,
    Operation::Alter,
    Operation::AlterConfigs,
    Operation::ClusterAction,
    Operation::IdempotentWrite,
];

/// Looks at the source. Says how many bytes its topics have, as far as it tells.
pub(super) fn check(
    from: &[BrokerAddress],
    selection: &Selection,
    lines: &mut Lines,
) -> Option<u64> {
    let opening = Opening {
        security: Security::Plaintext,
        timeout: TIMEOUT,
    };
    uring::run(None, |world| async move {
        let mut survey = Survey {
            world,
            opening,
            lines,
            clients: BTreeMap::new(),
        };
        survey.run(from, selection).await
    })
}

struct Survey<'a, W: World> {
    world: W,
    opening: Opening,
    lines: &'a mut Lines,
    clients: BTreeMap<BrokerId, Client<W>>,
}

impl<W: World> Survey<'_, W> {
    async fn run(&mut self, from: &[BrokerAddress], selection: &Selection) -> Option<u64> {
        let view = match look_at(&self.world, from, self.opening).await {
            Ok((_, view)) => view,
            Err(fault) => {
                let next = fault.next_step();
                self.lines.fail("source", fault.to_string(), next);
                return None;
            }
        };
        let brokers = view.brokers.len();
        let found = format!("cluster {} of {brokers} brokers", view.cluster_id);
        self.lines.ok("source", found);
        for endpoint in &view.brokers {
            self.meet(endpoint).await;
        }
        let topics: Vec<TopicName> = view
            .topics
            .iter()
            .map(|topic| topic.name.clone())
            .filter(|name| selection.takes(name))
            .collect();
        self.count(&view, &topics, selection);
        if topics.is_empty() {
            return None;
        }
        if let Err(fault) = self.rights(&topics).await {
            self.lines
                .warn("rights", format!("not known: {fault}"), "try again");
        }
        self.sizes(&view, &topics.into_iter().collect()).await
    }

    /// One broker: whether it can be reached where it says, and what it speaks.
    async fn meet(&mut self, endpoint: &Endpoint) {
        let about = format!("broker {}", endpoint.broker);
        let at = BrokerAddress::from(endpoint);
        let client = match Client::connect(&self.world, &at, self.opening).await {
            Ok(client) => client,
            Err(fault) => {
                let next = "every broker has to be reachable under the name that it advertises \
                            (advertised.listeners)";
                return self.lines.fail(&about, fault.to_string(), next);
            }
        };
        let versions = client.versions();
        let fetch = versions.best_fetch();
        let rest = versions.best::<MetadataRequest>();
        let rest = rest.and(versions.best::<OffsetForLeaderEpochRequest>());
        match (fetch, rest) {
            (Some(fetch), Some(_)) => {
                let found = format!("{at}, Fetch {fetch}{}", lacks(fetch));
                match fetch < TOPIC_IDS_FROM {
                    true => self
                        .lines
                        .warn(&about, found, "works; a newer broker tells more"),
                    false => self.lines.ok(&about, found),
                }
            }
            _ => {
                let found = format!("{at} speaks no version that we know");
                self.lines
                    .fail(&about, found, "sources from Kafka 2.1 on can be copied");
            }
        }
        self.clients.insert(endpoint.broker, client);
    }

    fn count(&mut self, view: &ClusterView, topics: &[TopicName], selection: &Selection) {
        if topics.is_empty() {
            let found = format!("none that we may see matches {}", selection.text());
            let next = "patterns match whole names; a topic without DESCRIBE is not shown to us";
            return self.lines.fail("topics", found, next);
        }
        let chosen = || {
            view.topics
                .iter()
                .filter(|topic| topics.contains(&topic.name))
        };
        let partitions = || chosen().flat_map(|topic| &topic.partitions);
        let leaderless = partitions().filter(|partition| partition.leader.is_none());
        let leaderless = leaderless.count();
        let found = format!("{} with {} partitions", topics.len(), partitions().count());
        match leaderless {
            0 => self.lines.ok("topics", found),
            _ => self.lines.warn(
                "topics",
                format!("{found}, {leaderless} of them without a leader"),
                "bring their brokers back: nobody can be asked for them",
            ),
        }
        if let Some(first) = view.unnameable.first() {
            let found = format!(
                "{} have names that no topic can have, among them '{}'",
                view.unnameable.len(),
                first.escape_debug()
            );
            let next = "they are left out: no directory could be named so";
            self.lines.warn("topic names", found, next);
        }
        let nameless = chosen().filter(|topic| topic.id == TopicId::of_name(&topic.name));
        if nameless.count() > 0 {
            let next = "do not delete topics and create them anew under the same names while they \
                        are copied: that is only noticed where the logs contradict each other";
            self.lines.warn(
                "topic ids",
                "the source tells none (before Kafka 2.8)",
                next,
            );
        }
    }

    async fn rights(&mut self, topics: &[TopicName]) -> Result<(), SessionFault> {
        let Some(client) = self.clients.values_mut().next() else {
            return Ok(());
        };
        let mut told = BTreeMap::new();
        for topics in topics.chunks(TOPICS_PER_REQUEST) {
            told.extend(client.topic_rights(topics).await?.unwrap_or_default());
        }
        let cluster = client.cluster_rights().await?;
        let known = told
            .iter()
            .filter_map(|(name, rights)| Some((name, (*rights)?)));
        let known: Vec<(&TopicName, Rights)> = known.collect();
        if known.is_empty() {
            let next = "look at the access control lists: READ, DESCRIBE and DESCRIBE_CONFIGS on \
                        the topics are needed";
            self.lines
                .warn("rights", "the source is too old to tell them", next);
            return Ok(());
        }
        judge(&known, cluster, self.lines);
        Ok(())
    }

    /// What the leaders' replicas have.
    async fn sizes(&mut self, view: &ClusterView, topics: &BTreeSet<TopicName>) -> Option<u64> {
        let mut led: BTreeMap<BrokerId, Vec<TopicPartition>> = BTreeMap::new();
        for topic in view
            .topics
            .iter()
            .filter(|topic| topics.contains(&topic.name))
        {
            for partition in &topic.partitions {
                let id = TopicPartition {
                    topic: topic.name.clone(),
                    partition: partition.index,
                };
                led.entry(partition.leader?).or_default().push(id);
            }
        }
        let mut bytes = 0;
        for (leader, partitions) in &led {
            let sizes = self.clients.get_mut(leader)?.log_sizes(partitions).await;
            let sizes = sizes.unwrap_or_default();
            if partitions.iter().any(|id| !sizes.contains_key(id)) {
                let next = "allow DESCRIBE on the cluster, or look at its log directories";
                self.lines.warn("size", "the source does not tell it", next);
                return None;
            }
            bytes += sizes.values().sum::<u64>();
        }
        self.lines.ok("size", text::bytes(bytes));
        Some(bytes)
    }
}

/// What a version of Fetch cannot do.
fn lacks(fetch: i16) -> &'static str {
    if fetch < SESSIONS_FROM {
        ": no sessions, so that idle partitions cost requests"
    } else if fetch < LAST_EPOCH_FROM {
        ": divergence is asked for apart"
    } else if fetch < TOPIC_IDS_FROM {
        ": topics by name"
    } else {
        ""
    }
}

/// What is missing, and what is too much.
fn judge(topics: &[(&TopicName, Rights)], cluster: Option<Rights>, lines: &mut Lines) {
    let lacking = |operation: Operation| {
        let without = topics.iter().filter(|(_, rights)| !rights.allow(operation));
        without.map(|(name, _)| *name).collect::<Vec<_>>()
    };
    for operation in NEEDED {
        let without = lacking(operation);
        if !without.is_empty() {
            let found = format!("{} is missing on {}", operation.name(), some(&without));
            let next = format!(
                "kafka-acls --add --operation {} --topic …",
                operation.name()
            );
            lines.fail("rights", found, next);
        }
    }
    let without = lacking(Operation::DescribeConfigs);
    if !without.is_empty() {
        let found = format!("DESCRIBE_CONFIGS is missing on {}", some(&without));
        let next = "allow it, or segments are rolled by Kafka's defaults instead of the topic's \
                    settings";
        lines.warn("rights", found, next);
    }
    if NEEDED
        .iter()
        .all(|operation| lacking(*operation).is_empty())
    {
        lines.ok("rights", "READ and DESCRIBE on every topic");
    }
    let held = |operation: &&Operation| {
        let on_topics = topics.iter().any(|(_, rights)| rights.allow(**operation));
        on_topics || cluster.is_some_and(|rights| rights.allow(**operation))
    };
    let needless: Vec<&str> = NEEDLESS.iter().filter(held).map(|one| one.name()).collect();
    if !needless.is_empty() {
        let next = "give twinlog a user of its own with READ, DESCRIBE and DESCRIBE_CONFIGS on the \
                    topics and DESCRIBE on the cluster; a source without an authorizer allows \
                    everybody everything";
        let found = format!("more than a copy needs: {}", needless.join(", "));
        lines.warn("rights", found, next);
    }
}

/// The first few names, and how many more there are.
fn some(names: &[&TopicName]) -> String {
    let first: Vec<&str> = names
        .iter()
        .take(NAMES_MAX)
        .map(|name| name.as_str())
        .collect();
    match names.len().saturating_sub(NAMES_MAX) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    fn rights(operations: &[Operation]) -> Rights {
        let bits = operations.iter().map(|operation| 1 << *operation as i32);
        Rights::told(bits.sum()).expect("told")
    }

    fn judged(topics: &[&[Operation]], cluster: &[Operation]) -> Vec<(Status, String)> {
        let names = (0..topics.len()).map(|nth| TopicName::new(&format!("t{nth}")));
        let names: Vec<TopicName> = names.map(|name| name.expect("legal")).collect();
        let told = topics.iter().map(|operations| rights(operations));
        let told: Vec<(&TopicName, Rights)> = names.iter().zip(told).collect();
        let mut lines = Lines::default();
        judge(&told, Some(rights(cluster)), &mut lines);
        let said = lines.0.into_iter();
        said.map(|line| (line.status, line.found)).collect()
    }

    #[test]
    fn what_is_missing_fails_and_what_is_too_much_warns() {
        use Operation::{AlterConfigs, ClusterAction, Describe, DescribeConfigs, Read};
        let enough = [Read, Describe, DescribeConfigs];
        let only_ok = judged(&[&enough], &[Describe]);
        assert_eq!(only_ok.len(), 1, "{only_ok:?}");
        assert_eq!(only_ok[0].0, Status::Ok);
        let missing = judged(&[&enough, &[Describe, DescribeConfigs]], &[]);
        assert_eq!(
            missing,
            [(Status::Fail, "READ is missing on t1".to_owned())]
        );
        let without = judged(&[&[Read, Describe]], &[]);
        assert_eq!(without[0].0, Status::Warn);
        let much = [Read, Describe, DescribeConfigs, AlterConfigs];
        let much = judged(&[&enough, &much], &[ClusterAction]);
        let said = "more than a copy needs: ALTER_CONFIGS, CLUSTER_ACTION".to_owned();
        assert_eq!(much.last(), Some(&(Status::Warn, said)));
        assert!(Rights::told(i32::MIN).is_none());
    }
}
