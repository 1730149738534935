//! What was found, as findings: each says what to change where something has to be.

use std::collections::BTreeSet;

use super::gather::{MIN_ISR, PLAINTEXT, SESSION_TIMEOUT, stock};
use super::{Facts, Finding, Joining, Level, is_ours};
use crate::kraft::{Broker, Image, METADATA_VERSION};
use crate::model::{BrokerId, TopicName};
use crate::protocol::ErrorCode;
use crate::session::{Operation, Origin, Rights};

/// From this level on (Kafka 4.3) a broker that is cordoned gets no replicas but those that are
/// assigned by hand.
const CORDON_FROM: i16 = 30;
/// Things that are named in one line.
const NAMES_MAX: usize = 5;
/// What a node does with the cluster.
const CLUSTER_RIGHTS: [Operation; 5] = [
    Operation::ClusterAction,
    Operation::Alter,
    Operation::Create,
    Operation::Describe,
    Operation::IdempotentWrite,
];
/// What it does with topics.
const TOPIC_RIGHTS: [Operation; 3] = [
    Operation::Describe,
    Operation::DescribeConfigs,
    Operation::Alter,
];

pub(super) fn judge(facts: &Facts, joining: &Joining) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    let Facts { seen, .. } = facts;
    let found = format!(
        "cluster {}, the active one is {}",
        seen.cluster_id, seen.controller
    );
    findings.ok("controllers", found);
    findings.versions(facts);
    findings.brokers(facts);
    findings.listeners(facts);
    findings.node(facts, joining);
    let can_cordon = can_cordon(&seen.image);
    findings.internal_topics(facts, can_cordon);
    findings.auto_create(facts, can_cordon);
    findings.defaults(facts);
    findings.min_isr(facts, joining);
    findings.session(facts, joining);
    findings.rights(facts);
    findings.fence(facts);
    findings.producers(facts);
    findings.0
}

fn can_cordon(image: &Image) -> bool {
    let level = image.features.get(METADATA_VERSION);
    level.is_some_and(|level| *level >= CORDON_FROM)
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(
        &mut self,
        level: Level,
        about: &'static str,
        found: impl Into<String>,
        next: impl Into<String>,
    ) {
        self.0.push(Finding {
            level,
            about,
            found: found.into(),
            next: next.into(),
        });
    }

    fn ok(&mut self, about: &'static str, found: impl Into<String>) {
        self.add(Level::Ok, about, found, "");
    }

    fn versions(&mut self, facts: &Facts) {
        let about = "features";
        match facts.offer.check() {
            Err(refusal) => {
                let next = "a node does not register with levels that it was not tried with";
                self.add(Level::Refuse, about, refusal.to_string(), next);
            }
            Ok(()) => {
                let all = facts.offer.finalized.iter();
                let all = all.map(|(name, level)| format!("{name} {level}"));
                self.ok(about, all.collect::<Vec<_>>().join(", "));
            }
        }
    }

    fn brokers(&mut self, facts: &Facts) {
        let about = "brokers";
        let all = facts.seen.image.brokers.iter();
        let dead = all.filter(|(_, broker)| !broker.is_eligible() && !is_ours(broker));
        let dead: Vec<BrokerId> = dead.map(|(id, _)| id).collect();
        if !dead.is_empty() {
            let found = format!("{} are registered and not alive", ids(&dead));
            let next = "start them, or unregister them (kafka-cluster unregister): mirror topics \
                        get no replicas there";
            self.add(Level::Warn, about, found, next);
        }
        for (id, met) in &facts.met {
            if let Some(fault) = &met.fault {
                let next = "a node has to reach every broker at its inter-broker listener";
                self.add(Level::Refuse, about, format!("{id}: {fault}"), next);
            }
            if let Err(refusal) = &met.settings {
                let found = format!("{id} does not tell its settings: {refusal}");
                let next = "grant DESCRIBE_CONFIGS on the cluster, and see whether it is well";
                self.add(Level::Warn, about, found, next);
            }
        }
        match facts.met.len() {
            0 => self.add(
                Level::Refuse,
                about,
                "no stock broker is alive",
                "start some: they follow a node, and succeed it",
            ),
            count => self.ok(about, format!("{count} stock brokers are alive")),
        }
    }

    fn listeners(&mut self, facts: &Facts) {
        let about = "listeners";
        let Some(name) = facts.listener.as_deref() else {
            let next = "name the inter-broker listener (--listener)";
            return self.add(Level::Warn, about, "no broker tells which is which", next);
        };
        let stock = stock(&facts.seen.image);
        let those = |is_so: &dyn Fn(&Broker) -> bool| {
            let found = stock.iter().filter(|(_, broker)| is_so(broker));
            found.map(|(id, _)| *id).collect::<Vec<_>>()
        };
        let without = those(&|broker| broker.listener(name).is_none());
        if !without.is_empty() {
            let found = format!("brokers {} have none named {name}", ids(&without));
            let next = "name the listener that inter.broker.listener.name names";
            return self.add(Level::Refuse, about, found, next);
        }
        if !can_cordon(&facts.seen.image) {
            let racks = stock.values().filter_map(|broker| broker.rack.as_deref());
            if let Some(rack) = racks.min() {
                let found = format!("brokers are in racks, {rack} among them");
                let next = "set destination.rack to a rack that others are in: one of its own \
                            would get a replica of every new partition";
                self.add(Level::Warn, "racks", found, next);
            }
        }
        let alone = those(&|broker| broker.listeners.len() == 1);
        if !alone.is_empty() {
            let found = format!(
                "brokers {} have no listener but {name}, so that clients come over it, and would \
                 be led to a node",
                ids(&alone)
            );
            let next = "give them a listener of their own for other brokers (listeners, \
                        advertised.listeners, listener.security.protocol.map) and name it by \
                        inter.broker.listener.name, one broker after the other";
            return self.add(Level::Refuse, about, found, next);
        }
        let is_secured = |broker: &Broker| {
            let found = broker.listener(name);
            found.is_some_and(|found| found.security != PLAINTEXT)
        };
        let secured = those(&is_secured);
        if !secured.is_empty() {
            let found = format!("{name} of brokers {} is secured", ids(&secured));
            let next = "TLS and SASL are not spoken yet: let it be PLAINTEXT within a network of \
                        its own";
            return self.add(Level::Refuse, about, found, next);
        }
        let all = stock.values().flat_map(|broker| &broker.listeners);
        let others = all.map(|listener| listener.name.as_str());
        let others: BTreeSet<&str> = others.filter(|other| *other != name).collect();
        let others = others.into_iter().collect::<Vec<_>>().join(", ");
        self.ok(
            about,
            format!("{name} between brokers, {others} for clients"),
        );
    }

    fn node(&mut self, facts: &Facts, joining: &Joining) {
        let about = "node id";
        let all = facts.seen.image.brokers.iter();
        let nodes: Vec<BrokerId> = all
            .filter(|(_, broker)| is_ours(broker))
            .map(|(id, _)| id)
            .collect();
        if let Some(id) = joining.node {
            let broker = facts.seen.image.brokers.get(id);
            let is_controllers = facts.controllers.contains(&id);
            match broker {
                _ if is_controllers => self.add(
                    Level::Refuse,
                    about,
                    format!("{id} is a controller's"),
                    "choose another one: controllers and brokers share their ids",
                ),
                Some(broker) if !is_ours(broker) => self.add(
                    Level::Refuse,
                    about,
                    format!("{id} is a broker's that is none of ours"),
                    "choose another one",
                ),
                Some(_) => self.ok(about, format!("{id} was registered before, by a node")),
                None => self.ok(about, format!("{id} is free")),
            }
        }
        if !nodes.is_empty() {
            self.ok("nodes", format!("{} are registered", ids(&nodes)));
        }
    }

    fn internal_topics(&mut self, facts: &Facts, can_cordon: bool) {
        let about = "internal topics";
        let image = &facts.seen.image;
        let shares = image.features.get("share.version");
        let needs_share = shares.is_some_and(|level| *level > 0);
        let mut needed = vec!["__consumer_offsets", "__transaction_state"];
        needed.extend(needs_share.then_some("__share_group_state"));
        let is_there = |name: &str| {
            let name = TopicName::new(name).expect("legal");
            image.topics.id_of(&name).is_some()
        };
        let missing: Vec<&str> = needed
            .iter()
            .filter(|name| !is_there(name))
            .copied()
            .collect();
        if missing.is_empty() {
            return self.ok(about, format!("{} exist", needed.join(" and ")));
        }
        let found = format!("{} do not exist yet", missing.join(" and "));
        if can_cordon {
            let found = format!("{found}; none of their partitions will be put on a node");
            return self.ok(about, found);
        }
        let next = "some of their partitions would be put on a node, and stand still: let a \
                    consumer of a group and, where share.version is above 0, one of a share group \
                    run once before, and kafka-transactions.sh describe --transactional-id any \
                    (which makes the topic, and no producer that counts as running), or set \
                    destination.unfit = \"register\", so that what lands there is moved away";
        self.add(Level::Refuse, about, found, next);
    }

    fn auto_create(&mut self, facts: &Facts, can_cordon: bool) {
        let about = "auto.create.topics.enable";
        let on = facts.settings(about).filter(|(_, value)| *value == "true");
        let on: Vec<BrokerId> = on.map(|(id, _)| id).collect();
        if on.is_empty() {
            return self.ok(about, "false");
        }
        let found = format!("true at brokers {}", ids(&on));
        let (level, next) = match can_cordon {
            true => (
                Level::Warn,
                "set it to false: a client that asks for a topic before it is mirrored makes one, \
                 and then the name is taken",
            ),
            false => (
                Level::Refuse,
                "set it to false: a topic that a client makes by asking for it may be put on a \
                 node, and its name is taken for mirrors",
            ),
        };
        self.add(level, about, found, next);
    }

    fn defaults(&mut self, facts: &Facts) {
        let name = "default.replication.factor";
        let alive = facts.met.len();
        let settings = facts
            .met
            .values()
            .filter_map(|met| met.settings.as_ref().ok());
        let mut settings = settings.filter_map(|settings| settings.get(name));
        if let Some(setting) = settings.next() {
            let value = setting.value.as_deref().unwrap_or_default();
            let factor = super::super::topics::factor(None, Some(setting), alive);
            match setting.origin {
                Origin::Default => {
                    let found = format!("{value}, which nobody has set: mirrors get {factor}");
                    self.ok(name, found);
                }
                _ if factor > alive => {
                    let found = format!("{value}, and {alive} stock brokers are alive");
                    let next = "start more, or set the mirrors' replication factor";
                    self.add(Level::Refuse, name, found, next);
                }
                _ => self.ok(name, value),
            }
        }
        let name = "unclean.leader.election.enable";
        if facts.settings(name).any(|(_, value)| value == "true") {
            let next = "set it to false: a replica without the data may be elected over one that \
                        has it";
            self.add(Level::Warn, name, "true", next);
        }
        let name = "create.topic.policy.class.name";
        let policy = facts.settings(name).find(|(_, value)| !value.is_empty());
        if let Some((_, policy)) = policy {
            let next = "see that it lets mirror topics pass, with a node as their first replica";
            self.add(Level::Warn, name, policy, next);
        }
    }

    /// What stands in brokers' files counts for what they lead themselves, and is in no metadata.
    fn min_isr(&mut self, facts: &Facts, joining: &Joining) {
        let told = facts.met.values();
        let told = told.filter_map(|met| met.settings.as_ref().ok()?.get(MIN_ISR));
        let in_files = told.filter(|setting| setting.origin == Origin::File);
        let in_files = in_files.filter_map(|setting| setting.value.as_ref()?.parse::<u16>().ok());
        let Some(theirs) = in_files.max() else {
            return;
        };
        let ours = joining.min_insync_replicas;
        match theirs <= ours {
            true => self.ok(MIN_ISR, format!("{theirs} in brokers' files, {ours} here")),
            false => {
                let found = format!(
                    "{theirs} in brokers' files: a mirror counts as committed with {ours} in sync"
                );
                let next = format!("set destination.min_insync_replicas = {theirs}");
                self.add(Level::Warn, MIN_ISR, found, next);
            }
        }
    }

    fn session(&mut self, facts: &Facts, joining: &Joining) {
        let about = SESSION_TIMEOUT;
        let told = facts.controller.get(about);
        let told = told.and_then(|setting| setting.value.as_deref());
        let told = told.or_else(|| facts.settings(about).map(|(_, value)| value).next());
        let ours = joining.session_timeout_ms;
        let Some(theirs) = told.and_then(|value| value.parse::<u32>().ok()) else {
            let next = "see that destination.session_timeout_ms is not above it";
            return self.add(Level::Warn, about, "not told", next);
        };
        if theirs == ours {
            return self.ok(about, format!("{theirs}"));
        }
        let found = format!("{theirs}, and a node takes it for {ours}");
        let next = format!("set destination.session_timeout_ms = {theirs}");
        let level = match theirs < ours {
            // We would take ourselves for leaders when others lead already.
            true => Level::Refuse,
            false => Level::Warn,
        };
        self.add(level, about, found, next);
    }

    fn rights(&mut self, facts: &Facts) {
        let about = "rights";
        let there = match &facts.rights {
            Ok(there) => there,
            Err(why) => return self.add(Level::Warn, about, format!("not known: {why}"), ""),
        };
        let mut lacks = false;
        if let Some(cluster) = there.cluster {
            let missing = CLUSTER_RIGHTS.into_iter();
            let missing = missing.filter(|operation| !cluster.allow(*operation));
            let missing: Vec<&str> = missing.map(Operation::name).collect();
            if !missing.is_empty() {
                lacks = true;
                let found = format!("{} on the cluster are missing", missing.join(", "));
                let next = format!(
                    "kafka-acls --add --cluster --allow-principal … {}",
                    each_operation(&missing)
                );
                self.add(Level::Refuse, about, found, next);
            }
        }
        let told = there.topics.values().flatten();
        let told: Vec<Rights> = told.copied().collect();
        let missing = TOPIC_RIGHTS.into_iter().filter(|operation| {
            let is_hidden = *operation == Operation::Describe && !there.hidden.is_empty();
            is_hidden || told.iter().any(|rights| !rights.allow(*operation))
        });
        let missing: Vec<&str> = missing.map(Operation::name).collect();
        if !missing.is_empty() {
            lacks = true;
            let hidden = match there.hidden.is_empty() {
                true => String::new(),
                false => format!("; {} are not shown to us", some(&there.hidden)),
            };
            let found = format!("{} on topics are missing{hidden}", missing.join(", "));
            let next = format!(
                "kafka-acls --add --topic '*' --allow-principal … {}",
                each_operation(&missing)
            );
            self.add(Level::Refuse, about, found, next);
        }
        if !lacks {
            self.ok(about, "all that a node needs on the cluster and on topics");
        }
    }

    fn fence(&mut self, facts: &Facts) {
        let about = "write fence";
        match &facts.authorizer {
            Ok(true) => self.ok(
                about,
                "there is an authorizer: mirrors are closed to writers",
            ),
            Ok(false) => self.add(
                Level::Warn,
                about,
                "the cluster has no authorizer",
                "whoever reaches the cluster may write to a mirror while no node leads it: keep \
                 producers away until a failover, or set authorizer.class.name",
            ),
            Err(why) => self.add(
                Level::Warn,
                about,
                format!("not known: {why}"),
                "grant DESCRIBE and ALTER on the cluster",
            ),
        }
    }

    fn producers(&mut self, facts: &Facts) {
        let about = "producers";
        let running = &facts.producers;
        if let Some((broker, why)) = running.silent.iter().next() {
            let found = format!("broker {broker} does not tell: {why}");
            let next = "look at that broker: as long as it does not, nothing is handed over, but \
                        for stops with --force";
            self.add(Level::Warn, about, found, next);
        }
        let (closed, silent): (Vec<_>, Vec<_>) = running
            .untold
            .iter()
            .partition(|(_, why)| why.code == ErrorCode::TOPIC_AUTHORIZATION_FAILED);
        for (untold, next) in [
            (
                closed,
                "grant READ on topics: without it a stop needs --force, and you to see yourself \
                 that no idempotent producer runs there",
            ),
            (
                silent,
                "look at their leaders: as long as they do not, stops wait, but for those with \
                 --force",
            ),
        ] {
            if let Some((id, why)) = untold.first() {
                let count = untold.len();
                let found =
                    format!("{count} partitions do not tell theirs, {id} among them: {why}");
                self.add(Level::Warn, about, found, next);
            }
        }
        let Some((highest, seen)) = running.below.last_key_value() else {
            if running.untold.is_empty() && running.silent.is_empty() {
                let found = "none has written with an id of its own for a day, and no \
                             transactional id is remembered";
                self.ok(about, found);
            }
            return;
        };
        let count = running.below.len();
        let found = format!("{count} have ids of their own, up to {highest} (that one {seen})");
        let next = "those that run on keep their ids, which the source may have given as well, and \
                    so does whoever takes up a transactional id: once a node has joined and its \
                    barrier stands, restart the former, and give the latter other transactional \
                    ids, before they write to topics that were mirrors";
        self.add(Level::Warn, about, found, next);
    }
}

fn ids(ids: &[BrokerId]) -> String {
    let all = ids.iter().map(ToString::to_string);
    all.collect::<Vec<_>>().join(", ")
}

fn some(names: &[TopicName]) -> String {
    let first = names.iter().take(NAMES_MAX).map(TopicName::as_str);
    let first = first.collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(NAMES_MAX) {
        None | Some(0) => first,
        Some(more) => format!("{first} and {more} more"),
    }
}

fn each_operation(names: &[&str]) -> String {
    let each = names.iter().map(|name| format!("--operation {name}"));
    each.collect::<Vec<_>>().join(" ")
}
