//! A shard of a member that follows as a replica, driven as control would: orders by what the
//! member hears, questions brought to brokers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use twinlog::kraft::Role;
use twinlog::model::{BrokerEpoch, BrokerId, Offset, ProducerIdShift, ShardId, TopicPartition};
use twinlog::protocol::fetch::Replica;
use twinlog::session::{
    Bound, BrokerAddress, Client, EpochAsked, Opening, PartitionAsked, Security,
};
use twinlog::shard::inbox::{
    Answer, Asked, Closed, Endpoint, EpochEnd, LogOptions, Mirror, Order, Question, Report, Status,
    Told,
};
use twinlog::shard::{Options, Shard, Ties};
use twinlog::source;
use twinlog::uring;

use super::member::Node;

const WITHIN: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(10);
/// What the stock brokers' listener is called in these clusters.
const LISTENER: &str = "PLAINTEXT";

/// What a shard says of the logs that it follows, and how to tell it more.
pub(super) struct Follower {
    orders: mpsc::Sender<Order>,
    reports: mpsc::Receiver<(ShardId, Report)>,
    thread: Option<JoinHandle<()>>,
    dir: PathBuf,
    /// Leaders as the shard was last told.
    leaders: BTreeMap<String, (BrokerId, i32)>,
    pub(super) statuses: BTreeMap<String, Status>,
    pub(super) told: Vec<Told>,
    closed: Option<Closed>,
}

/// What is known of a log that is not new.
#[derive(Clone, Copy, Default)]
pub(super) struct Known {
    pub(super) log_start: i64,
    pub(super) recovery_point: i64,
    pub(super) is_clean: bool,
}

impl Follower {
    /// A shard that asks as this broker in this life, and keeps its logs in `dir`.
    pub(super) fn start(us: BrokerId, life: BrokerEpoch, dir: &Path) -> Follower {
        let source = source::Options {
            replica: Some(Replica {
                broker: us,
                epoch: life,
            }),
            retry_backoff_max_ms: 1_000,
            ..source::Options::default()
        };
        let options = Options {
            source,
            ..Options::default()
        };
        let (orders, orders_out) = mpsc::channel(64);
        let (reports_in, reports) = mpsc::channel(64);
        let ties = Ties {
            orders: orders_out,
            reports: reports_in,
            shard: ShardId(0),
            moved: None,
        };
        let thread = uring::spawn_thread("follower", None, move |world| async move {
            Shard::new(world, options, ties, 1).run().await;
        });
        Follower {
            orders,
            reports,
            thread: Some(thread),
            dir: dir.to_owned(),
            leaders: BTreeMap::new(),
            statuses: BTreeMap::new(),
            told: Vec::new(),
            closed: None,
        }
    }

    /// Where the files of a partition lie.
    pub(super) fn dir_of(&self, partition: &str) -> PathBuf {
        self.dir.join(partition)
    }

    /// Begins to follow a partition that a stock broker leads.
    pub(super) fn follow(&mut self, node: &Node, partition: &str, known: Known) {
        self.order(brokers(node));
        let news = &node.partitions[partition];
        let Role::Follow(leader) = news.now.role else {
            panic!("{partition} is {:?}", news.now.role);
        };
        let leader_epoch = news.now.leader_epoch;
        self.leaders
            .insert(partition.to_owned(), (leader, leader_epoch.value()));
        self.order(Order::Mirror(Box::new(Mirror {
            id: news.id.clone(),
            topic_id: news.topic_id,
            held_topic_id: None,
            dir: self.dir_of(partition),
            leader,
            leader_epoch,
            log_start: Offset::new(known.log_start),
            recovery_point: Offset::new(known.recovery_point),
            is_clean: known.is_clean,
            refetchable: Some(Offset::new(known.log_start)),
            options: LogOptions::default(),
            producer_id_shift: ProducerIdShift::NONE,
            until: None,
            stamp: None,
            fetches: true,
            restarts: false,
            source_epochs: None,
            may_truncate: true,
            aside: None,
            follows_log_start: true,
            retention: None,
        })));
    }

    pub(super) fn order(&self, order: Order) {
        self.orders.blocking_send(order).expect("the shard runs");
    }

    /// Lets control's part go on until `is_so`.
    pub(super) fn until(
        &mut self,
        node: &mut Node,
        what: &str,
        mut is_so: impl FnMut(&Follower, &Node) -> bool,
    ) {
        let deadline = Instant::now() + WITHIN;
        loop {
            node.listen();
            self.tell_leaders(node);
            while let Ok((_, report)) = self.reports.try_recv() {
                self.take(node, report);
            }
            if is_so(self, node) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{what}: not within {WITHIN:?}; {:?}; {:?}",
                self.statuses,
                self.told
            );
            std::thread::sleep(PAUSE);
        }
    }

    fn tell_leaders(&mut self, node: &Node) {
        for (partition, told) in &mut self.leaders {
            let Some(news) = node.partitions.get(partition) else {
                continue;
            };
            let Role::Follow(leader) = news.now.role else {
                continue;
            };
            let epoch = news.now.leader_epoch;
            if *told != (leader, epoch.value()) {
                *told = (leader, epoch.value());
                let id = news.id.clone();
                let order = Order::Leader { id, leader, epoch };
                self.orders.blocking_send(brokers(node)).expect("it runs");
                self.orders.blocking_send(order).expect("it runs");
            }
        }
    }

    fn take(&mut self, node: &Node, report: Report) {
        for status in report.statuses {
            self.statuses.insert(status.id.to_string(), status);
        }
        self.told.extend(report.told);
        for asked in report.questions {
            self.answer(node, asked);
        }
    }

    fn answer(&self, node: &Node, asked: Asked) {
        let Asked { question, id } = asked;
        let (cursor, leader, leader_epoch, epoch) = match question {
            Question::Broker { .. } => return self.order(brokers(node)),
            Question::Leader { cursor } => {
                let (id, _) = id.expect("a partition's question");
                let news = &node.partitions[&id.to_string()];
                let answer = match news.now.role {
                    Role::Follow(leader) => Answer::Leader {
                        leader,
                        epoch: news.now.leader_epoch,
                    },
                    _ => Answer::Unavailable,
                };
                return self.order(Order::Answer { cursor, answer });
            }
            Question::Bounds {
                cursor,
                leader,
                leader_epoch,
            } => (cursor, leader, leader_epoch, None),
            Question::EpochEnd {
                cursor,
                leader,
                leader_epoch,
                epoch,
            } => (cursor, leader, leader_epoch, Some(epoch)),
        };
        let (id, _) = id.expect("a partition's question");
        let partition = PartitionAsked { id, leader_epoch };
        let asked = epoch.map(|epoch| EpochAsked {
            partition: partition.clone(),
            epoch,
        });
        let at = address(node, leader);
        let (us, orders) = (node.id, self.orders.clone());
        // A dead leader may take its time, and the member's news go on.
        std::thread::spawn(move || {
            let answer = at.and_then(|at| match asked {
                Some(asked) => epoch_end(&at, &asked),
                None => bounds(&at, us, &partition),
            });
            let answer = answer.unwrap_or(Answer::Unavailable);
            // Where the test has ended, nobody wants it.
            drop(orders.blocking_send(Order::Answer { cursor, answer }));
        });
    }

    /// Whether a log has all that its leader has, which ends there, and knows that it is visible.
    pub(super) fn has_all(&self, partition: &str, end: i64) -> bool {
        let end = Offset::new(end);
        self.statuses.get(partition).is_some_and(|status| {
            let reached = status.reached.map(|reached| reached.end);
            let ends = [Some(status.log_end), reached, status.high_watermark];
            ends.iter().all(|one| *one == Some(end))
        })
    }

    /// Makes everything durable and ends; says what is to be known of the logs next time.
    pub(super) fn close(mut self) -> BTreeMap<String, Known> {
        self.order(Order::Close);
        while let Some((_, report)) = self.reports.blocking_recv() {
            for status in report.statuses {
                self.statuses.insert(status.id.to_string(), status);
            }
            self.closed = report.closed.or(self.closed);
        }
        let thread = self.thread.take().expect("closed once");
        thread.join().expect("a shard does not panic");
        let is_clean = self.closed.expect("the last report says so").is_clean;
        let known = |status: &Status| Known {
            log_start: status.log_start.value(),
            recovery_point: status.durable.value(),
            is_clean,
        };
        let statuses = self.statuses.iter();
        statuses
            .map(|(id, status)| (id.clone(), known(status)))
            .collect()
    }
}

/// Where the log of a partition ends that a stock broker leads, as a replica is told.
pub(super) fn log_end(node: &Node, partition: &str) -> i64 {
    let news = &node.partitions[partition];
    let Role::Follow(leader) = news.now.role else {
        panic!("{partition} is {:?}", news.now.role);
    };
    let asked = PartitionAsked {
        id: news.id.clone(),
        leader_epoch: news.now.leader_epoch,
    };
    let at = address(node, leader).expect("it is registered");
    let Some(Answer::Bounds { end, .. }) = bounds(&at, node.id, &asked) else {
        panic!("the leader of {partition} does not say where its log ends");
    };
    end.value()
}

fn brokers(node: &Node) -> Order {
    let stock = node.image.brokers.iter().filter(|(id, _)| *id != node.id);
    let listens = stock.filter_map(|(id, _)| {
        let broker = node.image.brokers.get(id)?;
        let listener = broker.listeners.iter().find(|one| one.name == LISTENER)?;
        Some(Endpoint {
            broker: id,
            host: listener.host.clone(),
            port: listener.port,
        })
    });
    Order::Brokers(listens.collect())
}

fn address(node: &Node, broker: BrokerId) -> Option<BrokerAddress> {
    let broker = node.image.brokers.get(broker)?;
    let listener = broker.listeners.iter().find(|one| one.name == LISTENER)?;
    format!("{}:{}", listener.host, listener.port).parse().ok()
}

fn opening() -> Opening {
    Opening {
        security: Security::Plaintext,
        timeout: Duration::from_secs(5),
    }
}

fn bounds(at: &BrokerAddress, us: BrokerId, asked: &PartitionAsked) -> Option<Answer> {
    let (at, asked) = (at.clone(), [asked.clone()]);
    uring::run(None, |world| async move {
        let mut client = Client::connect(&world, &at, opening()).await.ok()?;
        let start = client.list_offsets(&asked, Bound::Start).await.ok()?;
        let end = client.list_offsets(&asked, Bound::LogEnd(us)).await.ok()?;
        Some(Answer::Bounds {
            start: only(start)?,
            end: only(end)?,
        })
    })
}

fn only(
    replies: Vec<(TopicPartition, Result<Offset, twinlog::protocol::ErrorCode>)>,
) -> Option<Offset> {
    replies.into_iter().next()?.1.ok()
}

fn epoch_end(at: &BrokerAddress, asked: &EpochAsked) -> Option<Answer> {
    let (at, asked) = (at.clone(), asked.clone());
    uring::run(None, |world| async move {
        let mut client = Client::connect(&world, &at, opening()).await.ok()?;
        let replies = client.epoch_ends(std::slice::from_ref(&asked)).await.ok()?;
        let (_, end) = replies.into_iter().next()?;
        Some(Answer::EpochEnd {
            of: asked.epoch,
            under: asked.partition.leader_epoch,
            end: end.ok()?.map(|(epoch, end)| EpochEnd { epoch, end }),
        })
    })
}
