//! Asks a cluster for all that decides whether it is fit. Changes nothing there.

use std::collections::{BTreeMap, BTreeSet};

use super::super::producer_ids::{Mark, Running, led, running_below};
use super::super::watch::look;
use super::judge::judge;
use super::{Facts, Finding, Joining, Known, Level, Met, RightsThere, is_ours};
use crate::io::World;
use crate::kraft::{Broker, Image, Offer};
use crate::model::{BrokerId, TopicName};
use crate::protocol::controller::DescribeCluster;
use crate::protocol::metadata_record::Listener;
use crate::session::{
    BrokerAddress, Client, Opening, Operation, Permission, Refusal, SessionFault, Settings,
};

/// Topics in one question about rights.
const TOPICS_PER_REQUEST: usize = 500;
/// Settings of brokers that matter.
const SETTINGS: [&str; 8] = [
    INTER_BROKER,
    INTER_BROKER_SECURITY,
    "auto.create.topics.enable",
    "default.replication.factor",
    "unclean.leader.election.enable",
    "create.topic.policy.class.name",
    SESSION_TIMEOUT,
    MIN_ISR,
];
const INTER_BROKER: &str = "inter.broker.listener.name";
/// Names the listener where nobody has named it.
const INTER_BROKER_SECURITY: &str = "security.inter.broker.protocol";
const NAME_CONTROLLERS: &str = "name the addresses of controller.quorum.bootstrap.servers or \
                                controller.quorum.voters, and grant CLUSTER_ACTION on the cluster";
const NAME_BROKERS: &str = "name brokers that run, of Kafka 3.9 or newer, and grant DESCRIBE on \
                            the cluster";
pub(super) const SESSION_TIMEOUT: &str = "broker.session.timeout.ms";
pub(super) const MIN_ISR: &str = "min.insync.replicas";
/// `SecurityProtocol.PLAINTEXT`.
pub(super) const PLAINTEXT: i16 = 0;

/// Looks at a cluster that a node is to join. What could not be found out is a finding as well.
pub async fn survey<W: World>(world: &W, opening: Opening, joining: &Joining) -> Vec<Finding> {
    let bootstrap = &joining.bootstrap;
    let seen = match look(world, bootstrap, opening.security, opening.timeout).await {
        Ok(seen) => seen,
        Err(fault) => {
            return vec![Finding {
                level: Level::Refuse,
                about: "controllers",
                found: fault.to_string(),
                next: match bootstrap.brokers.is_empty() {
                    true => NAME_CONTROLLERS.to_owned(),
                    false => format!("{NAME_BROKERS}, or {NAME_CONTROLLERS}"),
                },
            }];
        }
    };
    let mut facts = Facts {
        seen,
        offer: Offer::default(),
        controller: Settings::new(),
        controllers: Vec::new(),
        listener: joining.listener.clone(),
        met: BTreeMap::new(),
        rights: Err("no broker could be asked".to_owned()),
        authorizer: Err("no broker could be asked".to_owned()),
        producers: Running::default(),
    };
    let mut survey = Survey { world, opening };
    if let Err(fault) = survey.ask_controller(&mut facts).await {
        tracing::warn!("{fault}");
    }
    survey.meet(&mut facts).await;
    survey.ask_brokers(&mut facts).await;
    judge(&facts, joining)
}

struct Survey<'a, W: World> {
    world: &'a W,
    opening: Opening,
}

impl<W: World> Survey<'_, W> {
    async fn ask_controller(&mut self, facts: &mut Facts) -> Result<(), SessionFault> {
        let at = &facts.seen.controller;
        let mut client = Client::connect(self.world, at, self.opening).await?;
        facts.offer = Offer {
            finalized: client.versions().finalized().clone(),
        };
        let cluster = client.ask(&DescribeCluster).await?;
        let all = cluster.controllers.iter();
        facts.controllers = all.map(|controller| controller.broker).collect();
        let mut all = cluster.controllers.iter();
        let itself = all.find(|controller| BrokerAddress::from(*controller) == *at);
        if let Some(itself) = itself {
            let told = client.broker_settings(itself.broker, &[SESSION_TIMEOUT]);
            facts.controller = told.await?.unwrap_or_default();
        }
        Ok(())
    }

    /// Every stock broker that is alive: its settings, and whether it can be reached where other
    /// brokers reach it.
    async fn meet(&mut self, facts: &mut Facts) {
        let stock = stock(&facts.seen.image);
        let mut told = BTreeMap::new();
        for (id, broker) in &stock {
            let preferred = facts.listener.clone();
            let settings = self.settings(*id, broker, preferred.as_deref()).await;
            told.insert(*id, settings);
        }
        let told_listener = told
            .values()
            .find_map(|told| listener_of(told.as_ref().ok()?));
        if facts.listener.is_none() {
            facts.listener = told_listener;
        }
        for (id, broker) in stock {
            let settings = told.remove(&id).expect("each was asked");
            let mut met = Met {
                at: None,
                fault: None,
                settings,
            };
            let listener = facts.listener.as_deref();
            let listener = listener.and_then(|name| broker.listener(name));
            if let Some(listener) = listener.filter(|found| found.security == PLAINTEXT) {
                let at = address(listener);
                match Client::connect(self.world, &at, self.opening).await {
                    Ok(_) => met.at = Some(at),
                    Err(fault) => met.fault = Some(fault),
                }
            }
            facts.met.insert(id, met);
        }
    }

    /// A broker's settings, over whichever listener lets us.
    async fn settings(
        &self,
        id: BrokerId,
        broker: &Broker,
        preferred: Option<&str>,
    ) -> Result<Settings, Refusal> {
        let mut listeners: Vec<&Listener> = broker.listeners.iter().collect();
        listeners.sort_by_key(|listener| Some(listener.name.as_str()) != preferred);
        let mut last = "it has no listener that is PLAINTEXT".to_owned();
        for listener in listeners {
            if listener.security != PLAINTEXT {
                continue;
            }
            let asked = async {
                let at = address(listener);
                let mut client = Client::connect(self.world, &at, self.opening).await?;
                client.broker_settings(id, &SETTINGS).await
            };
            match asked.await {
                Ok(told) => return told,
                Err(fault) => last = fault.to_string(),
            }
        }
        Err(Refusal {
            code: crate::protocol::ErrorCode::BROKER_NOT_AVAILABLE,
            said: last,
        })
    }

    async fn ask_brokers(&mut self, facts: &mut Facts) {
        let brokers = facts.brokers();
        let Some(at) = brokers.values().next() else {
            return;
        };
        facts.rights = self.rights(at, &facts.seen.image).await;
        facts.authorizer = self.authorizer(at).await;
        let mut led = led(&facts.seen.image, |_| true);
        // Nodes of ours lead mirrors, whose producers are the source's.
        led.by.retain(|broker, _| brokers.contains_key(broker));
        let all = Mark::beyond(crate::model::ProducerId::from_wire(i64::MAX), 0);
        facts.producers = running_below(self.world, self.opening, &brokers, led, all).await;
    }

    async fn rights(&self, at: &BrokerAddress, image: &Image) -> Known<RightsThere> {
        let asked = async {
            let mut client = Client::connect(self.world, at, self.opening).await?;
            let cluster = client.cluster_rights().await?;
            let names: Vec<TopicName> = image
                .topics
                .iter()
                .map(|(_, topic)| topic.name.clone())
                .collect();
            let shown = client.cluster(None).await?;
            let shown: BTreeSet<TopicName> =
                shown.topics.into_iter().map(|topic| topic.name).collect();
            let hidden = names.iter().filter(|name| !shown.contains(*name)).cloned();
            let hidden = hidden.collect();
            let mut topics = BTreeMap::new();
            for some in names.chunks(TOPICS_PER_REQUEST) {
                topics.extend(client.topic_rights(some).await?.unwrap_or_default());
            }
            Ok::<_, SessionFault>(RightsThere {
                cluster,
                topics,
                hidden,
            })
        };
        asked.await.map_err(|fault| fault.to_string())
    }

    async fn authorizer(&self, at: &BrokerAddress) -> Known<bool> {
        let asked = async {
            let mut client = Client::connect(self.world, at, self.opening).await?;
            let entries = client.topic_entries(Operation::Write, Permission::Deny);
            Ok::<_, SessionFault>(entries.await?.is_some())
        };
        asked.await.map_err(|fault| fault.to_string())
    }
}

/// Brokers that are alive and none of ours.
pub(super) fn stock(image: &Image) -> BTreeMap<BrokerId, Broker> {
    let all = image.brokers.iter();
    let stock = all.filter(|(_, broker)| broker.is_eligible() && !is_ours(broker));
    stock.map(|(id, broker)| (id, broker.clone())).collect()
}

fn listener_of(settings: &Settings) -> Option<String> {
    let value = |name: &str| settings.get(name)?.value.clone();
    let named = value(INTER_BROKER).filter(|name| !name.is_empty());
    named.or_else(|| value(INTER_BROKER_SECURITY))
}

fn address(listener: &Listener) -> BrokerAddress {
    BrokerAddress {
        host: listener.host.clone(),
        port: listener.port,
    }
}
