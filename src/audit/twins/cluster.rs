//! A cluster whose logs are read: who leads what, and asking on through failures and elections.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::audit::AuditFault;
use crate::io::{Clock, World};
use crate::model::{BrokerId, Instant, LeaderEpoch, Offset, TopicId, TopicName, TopicPartition};
use crate::protocol::ErrorCode;
use crate::protocol::fetch::{Ask, AskedPartition};
use crate::session::{
    Bound, BrokerAddress, Client, ClusterView, Fetched, Opening, PartitionAsked, SessionFault,
    look_at,
};

/// Before somebody is asked again who could not answer.
const PAUSE: Duration = Duration::from_millis(300);

/// How clusters are asked.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// How connections are opened.
    pub opening: Opening,
    /// Bytes of records that one answer may bring, unless one batch is larger.
    pub answer_bytes: i32,
    /// The largest batch.
    pub batch_bytes_max: u32,
    /// How long a broker that does not answer, or a partition without a leader, is waited for.
    pub patience: Duration,
}

/// So many looks in a row that do not show a partition mean that its topic was deleted.
const BLIND_LOOKS_MAX: u32 = 10;

/// One cluster.
pub(super) struct Cluster<W: World> {
    world: W,
    begin_with: Vec<BrokerAddress>,
    pub(super) manners: Manners,
    pub(super) view: ClusterView,
    clients: BTreeMap<BrokerId, Client<W>>,
    /// Brokers that were waited for in vain, until they are seen to answer again.
    given_up: BTreeMap<BrokerId, String>,
    compacted: BTreeMap<TopicName, bool>,
}

/// Whom a question goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    Leader,
    Replica(BrokerId),
}

/// What is asked of one log.
#[derive(Clone, Copy, Debug)]
pub(super) enum Question {
    /// Batches from this offset on, as many as there is room for.
    Records { from: Offset, room: i32 },
    /// Where it begins and ends.
    Bounds,
}

pub(super) enum Reply {
    Records(Fetched),
    Bounds { start: Offset, end: Offset },
}

/// Why a log cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unable {
    pub(super) why: String,
    /// It should have been readable.
    pub(super) is_fault: bool,
}

impl Unable {
    pub(super) fn fault(why: impl Into<String>) -> Unable {
        Unable {
            why: why.into(),
            is_fault: true,
        }
    }
}

/// Why a question was not answered.
enum Refusal {
    /// It may be answered later.
    Now(String),
    /// It never will.
    Ever(Unable),
}

impl From<SessionFault> for Refusal {
    fn from(fault: SessionFault) -> Refusal {
        Refusal::Now(fault.to_string())
    }
}

impl<W: World> Cluster<W> {
    /// Looks at a cluster for the first time.
    pub(super) async fn begin(
        world: &W,
        begin_with: &[BrokerAddress],
        manners: Manners,
        what: &'static str,
    ) -> Result<Cluster<W>, AuditFault> {
        let looked = look_at(world, begin_with, manners.opening).await;
        let (_, view) = looked.map_err(|fault| AuditFault::Cluster { what, fault })?;
        Ok(Cluster {
            world: world.clone(),
            begin_with: begin_with.to_vec(),
            manners,
            view,
            clients: BTreeMap::new(),
            given_up: BTreeMap::new(),
            compacted: BTreeMap::new(),
        })
    }

    /// Looks again; where nobody answers, what was seen before stands.
    pub(super) async fn look(&mut self) {
        let seen = self.view.brokers.iter().map(BrokerAddress::from);
        let mut all: Vec<BrokerAddress> = self.begin_with.clone();
        all.extend(seen);
        if let Ok((_, view)) = look_at(&self.world, &all, self.manners.opening).await {
            self.view = view;
        }
    }

    /// Whether a broker that clients can reach leads the partition.
    pub(super) fn is_led_in_sight(&self, id: &TopicPartition) -> bool {
        let leader = self
            .view
            .find(id)
            .and_then(|(_, partition)| partition.leader);
        leader.is_some_and(|leader| self.sees(leader))
    }

    /// Whether clients can reach a broker.
    pub(super) fn sees(&self, broker: BrokerId) -> bool {
        let mut brokers = self.view.brokers.iter();
        brokers.any(|endpoint| endpoint.broker == broker)
    }

    /// Whether a topic is compacted. Where that is not told, it is not.
    pub(super) async fn is_compacted(&mut self, topic: &TopicName) -> bool {
        if let Some(known) = self.compacted.get(topic) {
            return *known;
        }
        let brokers: Vec<BrokerId> = self.view.brokers.iter().map(|one| one.broker).collect();
        for broker in brokers {
            if self.given_up.contains_key(&broker) || self.connect(broker).await.is_err() {
                continue;
            }
            let client = self.clients.get_mut(&broker).expect("connected above");
            let Ok(told) = client.topic_settings(std::slice::from_ref(topic)).await else {
                self.clients.remove(&broker);
                continue;
            };
            let policy = told.get(topic).and_then(|all| all.get("cleanup.policy"));
            let is_compacted = policy.is_some_and(|policy| policy.contains("compact"));
            self.compacted.insert(topic.clone(), is_compacted);
            return is_compacted;
        }
        false
    }

    /// Asks until there is an answer or patience is at its end. The partition is to be of the
    /// topic with this id still.
    pub(super) async fn ask(
        &mut self,
        (topic, id): (TopicId, &TopicPartition),
        whom: Whom,
        question: Question,
    ) -> Result<Reply, Unable> {
        if let Whom::Replica(broker) = whom
            && let Some(why) = self.given_up.get(&broker)
        {
            return Err(Unable::fault(why));
        }
        let deadline = self.now().after(self.manners.patience);
        let mut blind = 0;
        loop {
            let why = match self.try_ask((topic, id), whom, question).await {
                Ok(reply) => return Ok(reply),
                Err(Refusal::Ever(unable)) => return Err(unable),
                Err(Refusal::Now(why)) => why,
            };
            if self.now() >= deadline {
                let why = format!("{why}, for {:?}", self.manners.patience);
                if let Whom::Replica(broker) = whom {
                    self.given_up.insert(broker, why.clone());
                }
                return Err(Unable::fault(why));
            }
            self.pause(PAUSE).await;
            self.look().await;
            blind = self.view.find(id).map_or(blind + 1, |_| 0);
            if blind >= BLIND_LOOKS_MAX {
                return Err(Unable {
                    why: "its topic was deleted meanwhile".to_owned(),
                    is_fault: false,
                });
            }
        }
    }

    fn now(&self) -> Instant {
        self.world.clock().now()
    }

    pub(super) async fn pause(&self, wait: Duration) {
        let clock = self.world.clock();
        clock.sleep_until(clock.now().after(wait)).await;
    }

    async fn try_ask(
        &mut self,
        (topic, id): (TopicId, &TopicPartition),
        whom: Whom,
        question: Question,
    ) -> Result<Reply, Refusal> {
        let broker = self.broker((topic, id), whom)?;
        self.connect(broker).await?;
        let manners = self.manners;
        let client = self.clients.get_mut(&broker).expect("connected above");
        let asked = match question {
            Question::Records { from, room } => {
                records(client, (topic, id), (from, room), manners.batch_bytes_max).await
            }
            Question::Bounds => bounds(client, id, whom).await,
        };
        if asked.is_err() {
            // Whatever it was, the connection may be of no more use.
            self.clients.remove(&broker);
        }
        asked
    }

    fn broker(
        &self,
        (topic, id): (TopicId, &TopicPartition),
        whom: Whom,
    ) -> Result<BrokerId, Refusal> {
        let found = self.view.find(id);
        let Some((seen, partition)) = found else {
            return Err(Refusal::Now("nobody knows the partition".to_owned()));
        };
        let gone = |why: &str, is_fault| {
            let why = why.to_owned();
            Err(Refusal::Ever(Unable { why, is_fault }))
        };
        if !topic.agrees(seen.id, &id.topic) {
            return gone("there is another topic of that name now", true);
        }
        match whom {
            Whom::Leader => partition
                .leader
                .ok_or_else(|| Refusal::Now("nobody leads it".to_owned())),
            Whom::Replica(broker) if partition.replicas.contains(&broker) => Ok(broker),
            Whom::Replica(_) => gone("it has no replica any more", false),
        }
    }

    async fn connect(&mut self, broker: BrokerId) -> Result<(), Refusal> {
        if self.clients.contains_key(&broker) {
            return Ok(());
        }
        let mut endpoints = self.view.brokers.iter();
        let endpoint = endpoints.find(|endpoint| endpoint.broker == broker);
        let unseen = || Refusal::Now(format!("broker {broker} has no listener for clients"));
        let address = BrokerAddress::from(endpoint.ok_or_else(unseen)?);
        let client = Client::connect(&self.world, &address, self.manners.opening).await?;
        self.clients.insert(broker, client);
        Ok(())
    }
}

async fn records<W: World>(
    client: &mut Client<W>,
    (topic, id): (TopicId, &TopicPartition),
    (from, room): (Offset, i32),
    batch_bytes_max: u32,
) -> Result<Reply, Refusal> {
    let ask = Ask {
        max_wait_ms: 100,
        min_bytes: 1,
        max_bytes: room,
    };
    let asked = AskedPartition {
        topic,
        partition: id.partition,
        leader_epoch: LeaderEpoch::NONE,
        fetch_offset: from,
        last_fetched_epoch: LeaderEpoch::NONE,
        log_start: None,
        max_bytes: room,
    };
    let fetched = client.fetch(ask, &id.topic, asked, batch_bytes_max).await?;
    match fetched.head.error {
        ErrorCode::NONE | ErrorCode::OFFSET_OUT_OF_RANGE => Ok(Reply::Records(fetched)),
        code => Err(refused(client.at(), code)),
    }
}

async fn bounds<W: World>(
    client: &mut Client<W>,
    id: &TopicPartition,
    whom: Whom,
) -> Result<Reply, Refusal> {
    let (first, last) = match whom {
        Whom::Leader => (Bound::Start, Bound::End),
        Whom::Replica(_) => (Bound::HeldStart, Bound::HeldEnd),
    };
    let start = bound(client, id, first).await?;
    let end = bound(client, id, last).await?;
    Ok(Reply::Bounds { start, end })
}

async fn bound<W: World>(
    client: &mut Client<W>,
    id: &TopicPartition,
    bound: Bound,
) -> Result<Offset, Refusal> {
    let asked = PartitionAsked {
        id: id.clone(),
        leader_epoch: LeaderEpoch::NONE,
    };
    let replies = client
        .list_offsets(std::slice::from_ref(&asked), bound)
        .await?;
    let reply = replies.into_iter().find(|(told, _)| told == id);
    match reply.map(|(_, offset)| offset) {
        Some(Ok(offset)) => Ok(offset),
        Some(Err(code)) => Err(refused(client.at(), code)),
        None => Err(Refusal::Now(format!(
            "the answer of {} leaves it out",
            client.at()
        ))),
    }
}

/// Elections, reassignments and starts of brokers pass; so does what is not known to last.
fn refused(at: &BrokerAddress, code: ErrorCode) -> Refusal {
    let why = format!("{at} answers {code}");
    match code {
        ErrorCode::TOPIC_AUTHORIZATION_FAILED => Refusal::Ever(Unable::fault(format!(
            "{why}: whoever compares needs READ and DESCRIBE on the topic"
        ))),
        _ => Refusal::Now(why),
    }
}
