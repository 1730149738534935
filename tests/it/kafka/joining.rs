//! A broker of ours registers in a stock cluster, sees what stock tools make there, outlives its
//! controller and the loss of its own process, and leaves without a trace.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use twinlog::control::membership::{MemberOrder, Parting, take_part};
use twinlog::kraft::{
    Fate, Identity, Image, METADATA_VERSION, Member, News, Options, PartitionNews, Refusal, Role,
    Wish,
};
use twinlog::model::{BrokerEpoch, BrokerId, TopicName, Uuid};
use twinlog::protocol::ErrorCode;
use twinlog::protocol::controller::IsrChange;
use twinlog::protocol::metadata_record::Listener;
use twinlog::session::Security;
use twinlog::uring;

use super::*;

const US: BrokerId = BrokerId(9001);
const WITHIN: Duration = Duration::from_secs(60);

/// What the member said, with the cluster as it saw it then.
struct Said {
    news: News,
    image: Image,
}

/// A member on a thread of its own.
struct Node {
    id: BrokerId,
    orders: Option<mpsc::Sender<MemberOrder>>,
    said: Receiver<Said>,
    thread: Option<JoinHandle<Parting>>,
    image: Image,
    epochs: Vec<BrokerEpoch>,
    /// The port of the active controller.
    controller: Option<u16>,
    /// Partitions that name it, as its news add up.
    partitions: BTreeMap<String, PartitionNews>,
}

impl Node {
    fn start(id: BrokerId, life: u8, controllers: &str) -> Node {
        let identity = Identity {
            node: id,
            cluster_id: None,
            directory: Uuid::new([u8::try_from(id.0 % 200).expect("small"); 16]),
            incarnation: Uuid::new([life; 16]),
            listeners: vec![Listener {
                name: "INTERNAL".to_owned(),
                host: "127.0.0.1".to_owned(),
                port: 9,
                security: 0,
            }],
            rack: None,
            previous_epoch: BrokerEpoch::NONE,
            is_cordoned: false,
        };
        let options = Options {
            session_timeout_ms: 6_000,
            heartbeat_interval_ms: 1_000,
            ..Options::default()
        };
        let each = controllers.split(',');
        let controllers = each.map(|at| at.parse().expect("an address")).collect();
        let (orders, orders_out) = mpsc::channel(4);
        let (said_in, said) = sync_channel(10_000);
        let thread = uring::spawn_thread("member", None, move |world| async move {
            let member = Member::new(identity, options, controllers, u64::from(life));
            let mut hear = |member: &Member, news: News| {
                let image = member.image().clone();
                // A test that has failed does not listen any more.
                drop(said_in.send(Said { news, image }));
            };
            take_part(world, member, Security::Plaintext, orders_out, &mut hear).await
        });
        Node {
            id,
            orders: Some(orders),
            said,
            thread: Some(thread),
            image: Image::default(),
            epochs: Vec::new(),
            controller: None,
            partitions: BTreeMap::new(),
        }
    }

    /// Takes in what is said until `is_it` says so.
    fn until(&mut self, what: &str, mut is_it: impl FnMut(&News, &Node) -> bool) -> News {
        let deadline = Instant::now() + WITHIN;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let said = match self.said.recv_timeout(left) {
                Ok(said) => said,
                Err(RecvTimeoutError::Timeout) => panic!("{what}: not within {WITHIN:?}"),
                Err(RecvTimeoutError::Disconnected) => panic!("{what}: the member has ended"),
            };
            self.image = said.image;
            match &said.news {
                News::Registered(epoch) => self.epochs.push(*epoch),
                News::Controller(at) => self.controller = Some(at.port),
                News::Begun(all) => {
                    self.partitions.clear();
                    self.fold(all);
                }
                News::Changed { partitions, .. } => self.fold(partitions),
                News::Trouble(why) => eprintln!("{what}: {why}"),
                _ => {}
            }
            if is_it(&said.news, self) {
                return said.news;
            }
        }
    }

    fn fold(&mut self, partitions: &[PartitionNews]) {
        for news in partitions {
            let name = news.id.to_string();
            match news.now.role {
                Role::Absent => drop(self.partitions.remove(&name)),
                _ => drop(self.partitions.insert(name, news.clone())),
            }
        }
    }

    /// The answer to a heartbeat says it, and the metadata log: either may come first.
    fn until_serving(&mut self, what: &str) {
        let mut is_told = false;
        self.until(what, |news, node| {
            is_told |= *news == News::Unfenced;
            let us = node.image.brokers.get(node.id);
            is_told && us.is_some_and(|us| us.is_eligible())
        });
    }

    fn role(&self, partition: &str) -> Option<Role> {
        let news = self.partitions.get(partition)?;
        Some(news.now.role)
    }

    fn wish(&self, wish: Wish) {
        let orders = self.orders.as_ref().expect("not abandoned");
        let order = MemberOrder::Wish(wish);
        orders.blocking_send(order).expect("the member runs");
    }

    fn propose(&mut self, isr: &[(BrokerId, BrokerEpoch)]) -> Fate {
        let epoch = self.partitions["ours-1"].now.partition_epoch;
        self.propose_at(isr, epoch)
    }

    /// Proposes replicas in sync of a partition that we lead; returns what became of it.
    fn propose_at(&mut self, isr: &[(BrokerId, BrokerEpoch)], partition_epoch: i32) -> Fate {
        let news = &self.partitions["ours-1"];
        let order = MemberOrder::Propose(IsrChange {
            topic: news.topic_id,
            partition: news.id.partition,
            leader_epoch: news.now.leader_epoch,
            partition_epoch,
            isr: isr.to_vec(),
        });
        let orders = self.orders.as_ref().expect("not abandoned");
        orders.blocking_send(order).expect("the member runs");
        let news = self.until("a fate", |news, _| matches!(news, News::Isr(_)));
        let News::Isr(fates) = news else {
            unreachable!("just seen");
        };
        let [(_, fate)] = fates.try_into().expect("one was proposed");
        fate
    }

    fn join(mut self) -> Parting {
        self.orders = None;
        let thread = self.thread.take().expect("joined once");
        thread.join().expect("a member does not panic")
    }

    fn unregister(mut self) {
        self.wish(Wish::Unregister);
        self.until("unregistered", |news, _| *news == News::Unregistered);
        assert!(matches!(self.join(), Parting::Left));
    }
}

#[test]
fn a_member_joins_sees_survives_and_leaves_without_a_trace() {
    let test = "a_member_joins_sees_survives_and_leaves_without_a_trace";
    let Some(_turn) = Turn::take(test) else {
        return;
    };
    for version in versions() {
        let workload = Arc::new(Workload::start(&version));
        let settings = [("metadata.log.max.record.bytes.between.snapshots", "3000")];
        let mut cluster = Cluster::start(&workload, "joining", 2, &settings);
        cluster.ask("create topic=before partitions=3");
        let begun = Instant::now();
        let mut node = Node::start(US, 1, &cluster.controllers());
        node.until_serving("unfenced");
        eprintln!(
            "Kafka {version}: registered and unfenced after {:?}",
            begun.elapsed()
        );
        sees_what_is_there(&node, &version);
        sees_what_is_made(&cluster, &mut node);
        leads_when_the_other_goes(&mut cluster, &mut node);
        proposes(&mut node);
        survives_the_controller(&mut cluster, &mut node);
        let node = is_born_again(&cluster, node);
        is_refused(&cluster);
        leaves(&cluster, node);
        joins_by_a_snapshot(&cluster);
        nobody_complains(&cluster);
    }
}

/// Of three controllers the active one dies: the others elect, and we follow.
#[test]
fn a_member_follows_the_quorum_to_another_controller() {
    let Some(_turn) = Turn::take("a_member_follows_the_quorum_to_another_controller") else {
        return;
    };
    for version in versions() {
        let workload = Arc::new(Workload::start(&version));
        let mut cluster = Cluster::start_quorum(&workload, "quorum", (3, 3), &[]);
        let mut node = Node::start(US, 1, &cluster.controllers());
        node.until_serving("unfenced");
        let first = node.controller.expect("somebody has unfenced us");
        let dead = cluster.controller_at(first);
        let alive = dead % 3 + 1;
        let died = Instant::now();
        cluster.kill(dead);
        node.until("another controller", |_, node| {
            node.controller != Some(first)
        });
        eprintln!(
            "Kafka {version}: another controller after {:?}",
            died.elapsed()
        );
        cluster.ask(&format!("create topic=after assign={alive}+9001"));
        node.until("life goes on", |_, node| node.role("after-0").is_some());
        assert_eq!(node.epochs.len(), 1, "nothing was registered anew");
        cluster.ask("delete topic=after");
        node.until("nothing names us", |_, node| node.partitions.is_empty());
        cluster.restart(dead);
        node.unregister();
    }
}

fn sees_what_is_there(node: &Node, version: &str) {
    let level = node.image.features[METADATA_VERSION];
    let expected = match version {
        "3.9.2" => 21,
        "4.0.2" => 25,
        "4.1.2" => 27,
        _ => 30,
    };
    assert_eq!(level, expected);
    let stock: Vec<i32> = node.image.brokers.iter().map(|(id, _)| id.0).collect();
    assert_eq!(stock, [1, 2, US.0]);
    for (_, broker) in node.image.brokers.iter() {
        assert!(broker.is_eligible(), "{broker:?}");
    }
    let us = node.image.brokers.get(US).expect("registered");
    assert_eq!(us.listeners[0].name, "INTERNAL");
    assert_eq!(us.epoch, node.epochs[0]);
    let before = TopicName::new("before").expect("legal");
    let id = node
        .image
        .topics
        .id_of(&before)
        .expect("it was made before");
    assert_eq!(
        node.image.topics.get(id).expect("there").partitions.len(),
        3
    );
}

fn sees_what_is_made(cluster: &Cluster, node: &mut Node) {
    let id = cluster.ask("create topic=ours assign=1+9001,2+9001,1+2");
    node.until("partitions of a new topic", |_, node| {
        node.partitions.len() == 2
    });
    assert_eq!(node.role("ours-0"), Some(Role::Follow(BrokerId(1))));
    assert_eq!(node.role("ours-1"), Some(Role::Follow(BrokerId(2))));
    let known = node.partitions["ours-0"].topic_id;
    assert_eq!(id.field("id"), known.to_string());
    let partition = node.partitions["ours-0"].partition.clone().expect("there");
    assert_eq!(
        partition.isr,
        [BrokerId(1), US],
        "all are in sync from birth"
    );
    cluster.ask("configure topic=ours c.min.insync.replicas=2");
    let ours = TopicName::new("ours").expect("legal");
    node.until("a setting", |news, node| {
        matches!(news, News::Changed { .. }) && node.image.min_isr(&ours, 2) == 2
    });
    cluster.ask("create topic=gone assign=1+9001");
    node.until("a topic", |_, node| node.role("gone-0").is_some());
    cluster.ask("delete topic=gone");
    node.until("a deletion", |_, node| node.role("gone-0").is_none());
}

/// Nobody serves behind our listener, but the controller does not know.
fn leads_when_the_other_goes(cluster: &mut Cluster, node: &mut Node) {
    let before = node.partitions["ours-1"].now.leader_epoch;
    cluster.stop(2);
    node.until("leadership", |_, node| {
        node.role("ours-1") == Some(Role::Lead)
    });
    assert!(node.partitions["ours-1"].now.leader_epoch > before);
    cluster.restart(2);
    node.until("the other's return", |_, node| {
        let other = node.image.brokers.get(BrokerId(2));
        other.is_some_and(|other| other.is_eligible())
    });
}

/// The controller takes what a leader may propose, and says why where it may not. Nobody follows us
/// here, so that only the words are tried.
fn proposes(node: &mut Node) {
    let other = BrokerId(2);
    let life = node.image.brokers.get(other).expect("it is back").epoch;
    let earlier = BrokerEpoch::new(life.value() - 1);
    let refused = node.propose(&[(US, node.epochs[0]), (other, earlier)]);
    assert_eq!(refused, Fate::Reverted(ErrorCode::INELIGIBLE_REPLICA));
    for isr in [
        vec![(US, node.epochs[0]), (other, life)],
        vec![(US, node.epochs[0])],
    ] {
        let members: Vec<BrokerId> = isr.iter().map(|(id, _)| *id).collect();
        let fate = node.propose(&isr);
        let Fate::Committed {
            isr: told,
            partition_epoch,
            ..
        } = fate
        else {
            panic!("{fate:?}");
        };
        assert_eq!(told, members);
        let is_so = |node: &Node| {
            let partition = node.partitions["ours-1"].partition.as_ref();
            let partition = partition.expect("there");
            partition.partition_epoch == partition_epoch && partition.isr == members
        };
        // The metadata log may have said so before the answer did.
        if !is_so(node) {
            node.until("what was proposed", |_, node| is_so(node));
        }
    }
    let held = node.partitions["ours-1"].now.partition_epoch;
    let stale = node.propose_at(&[(US, node.epochs[0])], held - 1);
    assert_eq!(stale, Fate::Overtaken(ErrorCode::INVALID_UPDATE_VERSION));
}

fn survives_the_controller(cluster: &mut Cluster, node: &mut Node) {
    cluster.kill(1);
    std::thread::sleep(Duration::from_secs(3));
    cluster.restart(1);
    cluster.ask("create topic=after assign=2+9001");
    node.until("life goes on", |_, node| node.role("after-0").is_some());
    assert_eq!(node.epochs.len(), 1, "nothing was registered anew");
    let us = node.image.brokers.get(US).expect("registered");
    assert_eq!(us.epoch, node.epochs[0]);
}

/// The process dies without a word, and another one comes: first the session has to end.
fn is_born_again(cluster: &Cluster, mut node: Node) -> Node {
    let epoch = node.epochs[0];
    node.orders = None;
    assert!(matches!(node.join(), Parting::Abandoned));
    let mut again = Node::start(US, 2, &cluster.controllers());
    let mut doubles = 0;
    again.until("another life", |news, _| {
        if let News::Trouble(Refusal::Duplicate { .. }) = news {
            doubles += 1;
        }
        *news == News::Unfenced
    });
    assert_eq!(doubles, 1, "told once");
    assert!(again.epochs[0] > epoch);
    assert_eq!(again.role("after-0"), Some(Role::Follow(BrokerId(2))));
    again
}

/// What does not fit is refused with words that say what to change.
fn is_refused(cluster: &Cluster) {
    let mut astray = Node::start(BrokerId(9003), 1, &cluster.broker(1));
    // A broker that has just come back may not listen yet.
    astray.until("an address of no controller", |news, _| {
        matches!(news, News::Trouble(Refusal::NoController(_)))
    });
    assert!(matches!(astray.join(), Parting::Abandoned));
}

fn leaves(cluster: &Cluster, mut node: Node) {
    for topic in ["ours", "after"] {
        cluster.ask(&format!("delete topic={topic}"));
    }
    node.until("nothing names us", |_, node| node.partitions.is_empty());
    node.unregister();
}

fn joins_by_a_snapshot(cluster: &Cluster) {
    let dir = cluster.log_dir(1).join("__cluster_metadata-0");
    let files = std::fs::read_dir(dir).expect("a controller has its log");
    let names = files.map(|file| file.expect("readable").file_name());
    let real = names
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.ends_with(".checkpoint") && !name.starts_with(&"0".repeat(20)));
    assert!(real.count() > 0, "the controller has made a snapshot");
    let mut other = Node::start(BrokerId(9002), 1, &cluster.controllers());
    other.until_serving("unfenced by a snapshot");
    let brokers: Vec<i32> = other.image.brokers.iter().map(|(id, _)| id.0).collect();
    assert_eq!(brokers, [1, 2, 9002], "the first one has left no trace");
    for (_, topic) in other.image.topics.iter() {
        for partition in topic.partitions.values() {
            assert!(!partition.replicas.contains(&US), "{partition:?}");
        }
    }
    let before = TopicName::new("before").expect("legal");
    assert!(other.image.topics.id_of(&before).is_some());
    other.unregister();
}

/// Whatever a controller does not expect of a broker, it logs as an error with a stack trace and
/// with the request. Its own nodes' requests may astonish it after its restart; ours may not.
fn nobody_complains(cluster: &Cluster) {
    for node in 1..=2 {
        let log = cluster.dir().join(format!("node-{node}.log"));
        let text = std::fs::read_to_string(&log).expect("a node has a log");
        let ours = ["clientId=twinlog", "=9001", "=9002", "=9003"];
        let errors = text.lines().filter(|line| line.contains(" ERROR "));
        let errors = errors.filter(|line| ours.iter().any(|word| line.contains(word)));
        let errors: Vec<&str> = errors.collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", log.display());
    }
}
