//! A member of a stock cluster on a thread of its own, as a test sees it: what it says, and the
//! cluster as it was then.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use twinlog::control::membership::{MemberOrder, Parting, take_part};
use twinlog::kraft::{Fate, Identity, Image, Member, News, Options, PartitionNews, Role, Wish};
use twinlog::model::{BrokerEpoch, BrokerId, Uuid};
use twinlog::protocol::controller::IsrChange;
use twinlog::protocol::metadata_record::Listener;
use twinlog::session::Security;
use twinlog::uring;

const WITHIN: Duration = Duration::from_secs(60);

/// What the member said, with the cluster as it saw it then.
pub(super) struct Said {
    news: News,
    image: Image,
}

/// A member on a thread of its own.
pub(super) struct Node {
    pub(super) id: BrokerId,
    pub(super) orders: Option<mpsc::Sender<MemberOrder>>,
    pub(super) said: Receiver<Said>,
    pub(super) thread: Option<JoinHandle<Parting>>,
    pub(super) image: Image,
    pub(super) epochs: Vec<BrokerEpoch>,
    /// The port of the active controller.
    pub(super) controller: Option<u16>,
    /// Partitions that name it, as its news add up.
    pub(super) partitions: BTreeMap<String, PartitionNews>,
}

impl Node {
    pub(super) fn start(id: BrokerId, life: u8, controllers: &str) -> Node {
        // Nobody listens there.
        Node::start_at(id, life, controllers, 9)
    }

    /// The same with a port behind its inter-broker listener.
    pub(super) fn start_at(id: BrokerId, life: u8, controllers: &str, port: u16) -> Node {
        let identity = Identity {
            node: id,
            cluster_id: None,
            directory: Uuid::new([u8::try_from(id.0 % 200).expect("small"); 16]),
            incarnation: Uuid::new([life; 16]),
            listeners: vec![Listener {
                name: "INTERNAL".to_owned(),
                host: "127.0.0.1".to_owned(),
                port,
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
        let (security, brokers) = (Security::Plaintext, Vec::new());
        let (orders, orders_out) = mpsc::channel(4);
        let (said_in, said) = sync_channel(10_000);
        let thread = uring::spawn_thread("member", None, move |world| async move {
            let member = Member::new(identity, options, controllers, u64::from(life));
            let mut hear = |member: &Member, news: News| {
                let image = member.image().clone();
                // A test that has failed does not listen any more.
                drop(said_in.send(Said { news, image }));
            };
            take_part(world, member, security, brokers, orders_out, &mut hear).await
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
    pub(super) fn until(
        &mut self,
        what: &str,
        mut is_it: impl FnMut(&News, &Node) -> bool,
    ) -> News {
        let deadline = Instant::now() + WITHIN;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let said = match self.said.recv_timeout(left) {
                Ok(said) => said,
                Err(RecvTimeoutError::Timeout) => panic!("{what}: not within {WITHIN:?}"),
                Err(RecvTimeoutError::Disconnected) => panic!("{what}: the member has ended"),
            };
            let news = self.take(said);
            if is_it(&news, self) {
                return news;
            }
        }
    }

    /// Takes in what was said up to now.
    pub(super) fn listen(&mut self) {
        while self.next_news().is_some() {}
    }

    /// What was said and not taken in yet.
    pub(super) fn next_news(&mut self) -> Option<News> {
        let said = self.said.try_recv().ok()?;
        Some(self.take(said))
    }

    fn take(&mut self, said: Said) -> News {
        self.image = said.image;
        match &said.news {
            News::Registered(epoch) => self.epochs.push(*epoch),
            News::Controller(at) => self.controller = Some(at.port),
            News::Begun(all) => {
                self.partitions.clear();
                self.fold(all);
            }
            News::Changed { partitions, .. } => self.fold(partitions),
            News::Trouble(why) => eprintln!("the member: {why}"),
            _ => {}
        }
        said.news
    }

    pub(super) fn fold(&mut self, partitions: &[PartitionNews]) {
        for news in partitions {
            let name = news.id.to_string();
            match news.now.role {
                Role::Absent => drop(self.partitions.remove(&name)),
                _ => drop(self.partitions.insert(name, news.clone())),
            }
        }
    }

    /// The answer to a heartbeat says it, and the metadata log: either may come first.
    pub(super) fn until_serving(&mut self, what: &str) {
        let mut is_told = false;
        self.until(what, |news, node| {
            is_told |= *news == News::Unfenced;
            let us = node.image.brokers.get(node.id);
            is_told && us.is_some_and(|us| us.is_eligible())
        });
    }

    pub(super) fn role(&self, partition: &str) -> Option<Role> {
        let news = self.partitions.get(partition)?;
        Some(news.now.role)
    }

    pub(super) fn wish(&self, wish: Wish) {
        self.order(MemberOrder::Wish(wish));
    }

    pub(super) fn order(&self, order: MemberOrder) {
        let orders = self.orders.as_ref().expect("not abandoned");
        orders.blocking_send(order).expect("the member runs");
    }

    pub(super) fn propose(&mut self, isr: &[(BrokerId, BrokerEpoch)]) -> Fate {
        let epoch = self.partitions["ours-1"].now.partition_epoch;
        self.propose_at(isr, epoch)
    }

    /// Proposes replicas in sync of a partition that we lead; returns what became of it.
    pub(super) fn propose_at(
        &mut self,
        isr: &[(BrokerId, BrokerEpoch)],
        partition_epoch: i32,
    ) -> Fate {
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

    pub(super) fn join(mut self) -> Parting {
        self.orders = None;
        let thread = self.thread.take().expect("joined once");
        thread.join().expect("a member does not panic")
    }

    pub(super) fn unregister(mut self) {
        self.wish(Wish::Unregister);
        self.until("unregistered", |news, _| *news == News::Unregistered);
        assert!(matches!(self.join(), Parting::Left));
    }
}
