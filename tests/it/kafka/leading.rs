//! Stock brokers follow partitions that a node of ours leads: their logs become ours byte for byte,
//! they come into sync again after their absence, and they take over where we left off.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;
use twinlog::control::membership::MemberOrder;
use twinlog::generator::{PartitionLoad, Sizes, topics};
use twinlog::kraft::{Fate, News, Role};
use twinlog::leading::inbox::{IsrFate, Leadership, Moved, Order, Report, Stood};
use twinlog::leading::{Leading, Lease, Options, Ties};
use twinlog::log::{Beginning, Log, LogOptions, Opened, Store, open};
use twinlog::model::{BrokerId, Instant as Moment, LeaderEpoch, Offset, TopicId, WallTime};
use twinlog::record::check;
use twinlog::uring::{self, RealDisk};

use super::member::Node;
use super::*;

const US: BrokerId = BrokerId(9001);
const TOPIC: &str = "exact";
/// One for each kind of traffic that the generator knows.
const PARTITIONS: i32 = 5;
const LOG_START: i64 = 1_000_000;
const WITHIN: Duration = Duration::from_secs(90);

/// A log of ours that grows, stamped with the epoch in which we lead it.
struct Grown {
    topic_id: TopicId,
    load: PartitionLoad,
    log: Log,
    store: Store<RealDisk>,
    dir: PathBuf,
    epoch: LeaderEpoch,
}

impl Grown {
    fn begin(dir: &Path, index: i32, topic_id: TopicId, epoch: LeaderEpoch) -> Grown {
        let dir = dir.join(format!("{TOPIC}-{index}"));
        let known = Beginning {
            log_start: Offset::new(LOG_START),
            ..Beginning::anew(topic_id)
        };
        let options = LogOptions {
            segment_bytes: 1 << 20,
            ..LogOptions::default()
        };
        let opened = open(RealDisk, &dir, options, known, now());
        let Opened { log, store, .. } = opened.expect("an empty directory");
        let sizes = Sizes {
            records: 50,
            value_bytes: 300,
        };
        let kind = usize::try_from(index).expect("an index");
        Grown {
            topic_id,
            load: PartitionLoad::new(&topics(11, 1)[kind], 0, sizes),
            log,
            store,
            dir,
            epoch,
        }
    }

    fn grow(&mut self, batches: u32) {
        for _ in 0..batches {
            let batch = self.load.next_batch(now().0);
            self.append(batch);
        }
    }

    /// No transaction stays open.
    fn settle(&mut self) {
        for marker in self.load.settle(now().0) {
            self.append(marker);
        }
    }

    /// As a mirror does it: its own offsets, our epoch; both lie outside the checksum.
    fn append(&mut self, mut batch: Vec<u8>) {
        let base = i64::from_be_bytes(*batch.first_chunk().expect("a header"));
        batch[..8].copy_from_slice(&(base + LOG_START).to_be_bytes());
        batch[12..16].copy_from_slice(&self.epoch.value().to_be_bytes());
        let run = check(&batch, self.log.expects()).run;
        assert!(!run.is_empty(), "a sound batch");
        let appended = self.store.append(&mut self.log, now(), run);
        appended.expect("the disk is sound");
    }

    fn end(&self) -> Offset {
        self.log.watermarks().log_end
    }
}

fn now() -> WallTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    WallTime(i64::try_from(since.expect("after 1970").as_millis()).expect("before the end"))
}

/// A node of ours: it is a member, it leads, and this test stands in for the rest of it.
struct Leader {
    node: Node,
    orders: mpsc::Sender<Order>,
    moves: mpsc::Sender<Vec<Moved>>,
    reports: mpsc::Receiver<Report>,
    thread: JoinHandle<()>,
    dir: PathBuf,
    logs: BTreeMap<String, Grown>,
    stood: BTreeMap<String, Stood>,
    proposals: usize,
}

impl Leader {
    fn start(cluster: &Cluster) -> Leader {
        let (orders, orders_out) = mpsc::channel(256);
        let (moves, moves_out) = mpsc::channel(256);
        let (reports_in, reports) = mpsc::channel(1024);
        let (at_in, at) = sync_channel::<SocketAddr>(1);
        let lease = Lease::default();
        lease.extend(Moment::from_nanos(u64::MAX));
        let thread = uring::spawn_thread("leading", None, move |world| async move {
            let ties = Ties {
                orders: orders_out,
                moves: moves_out,
                reports: reports_in,
                lease,
            };
            let any = "127.0.0.1:0".parse().expect("an address");
            let options = Options {
                replica_lag_max_ms: 8_000,
                ..Options::default()
            };
            let leading = Leading::listen(world, any, US, options, ties).await;
            let leading = leading.expect("loopback has free ports");
            at_in.send(leading.local_addr()).expect("the test waits");
            leading.run().await;
        });
        let at = at.recv().expect("it listens");
        let mut node = Node::start_at(US, 1, &cluster.controllers(), at.port());
        node.until_serving("unfenced");
        Leader {
            node,
            orders,
            moves,
            reports,
            thread,
            dir: cluster.dir().join("leader"),
            logs: BTreeMap::new(),
            stood: BTreeMap::new(),
            proposals: 0,
        }
    }

    fn order(&self, order: Order) {
        self.orders.blocking_send(order).expect("it leads");
    }

    /// Passes on what was said since the last time.
    fn turn(&mut self) {
        let mut has_changed = false;
        while let Some(news) = self.node.next_news() {
            match news {
                News::Isr(fates) => {
                    for ((topic_id, partition), fate) in fates {
                        let fate = told(fate);
                        self.order(Order::Fate {
                            topic_id,
                            partition,
                            fate,
                        });
                    }
                }
                News::Changed { .. } | News::Begun(_) => has_changed = true,
                _ => {}
            }
        }
        if has_changed {
            self.lead_what_is_ours();
        }
        while let Ok(report) = self.reports.try_recv() {
            match report {
                Report::Propose(change) => {
                    self.proposals += 1;
                    self.node.order(MemberOrder::Propose(change));
                }
                Report::Stood(all) => {
                    for stood in all {
                        self.stood.insert(stood.id.to_string(), stood);
                    }
                }
                Report::Tally(tally) => {
                    assert_eq!((tally.unservable, tally.closed), (0, 0), "{tally:?}");
                }
            }
        }
    }

    fn lead_what_is_ours(&mut self) {
        let all = self.node.image.brokers.iter();
        let eligible = all.filter(|(_, broker)| broker.is_eligible());
        let eligible = eligible.map(|(id, broker)| (id, broker.epoch)).collect();
        self.order(Order::Brokers(eligible));
        let ours: Vec<String> = self.node.partitions.keys().cloned().collect();
        for name in ours {
            let news = self.node.partitions[&name].clone();
            let partition = news.partition.expect("it names us");
            if news.now.role != Role::Lead {
                continue;
            }
            let epoch = news.now.leader_epoch;
            let grown = self.logs.entry(name).or_insert_with(|| {
                // Half of the log is there before anybody follows.
                let index = news.id.partition.value();
                let mut grown = Grown::begin(&self.dir, index, news.topic_id, epoch);
                grown.grow(150);
                grown
            });
            assert_eq!(grown.epoch, epoch, "nobody else has led it");
            let marks = grown.log.watermarks();
            let told = Leadership {
                id: news.id,
                topic_id: news.topic_id,
                dir: grown.dir.clone(),
                leader_epoch: epoch,
                partition_epoch: news.now.partition_epoch,
                replicas: partition.replicas,
                isr: partition.isr,
                min_isr: 1,
                holds_others: false,
                before: None,
                log_start: marks.log_start,
                log_end: marks.log_end,
                epochs: grown.log.epochs().clone(),
                high_watermark: marks.log_start,
            };
            self.order(Order::Lead(Box::new(told)));
        }
    }

    /// Every log grows, as a shard says it.
    fn grow(&mut self, batches: u32) {
        let mut moves = Vec::new();
        for (name, grown) in &mut self.logs {
            grown.grow(batches);
            grown.settle();
            let marks = grown.log.watermarks();
            moves.push(Moved {
                id: name.parse().expect("a partition's name"),
                stamp: grown.epoch,
                log_start: marks.log_start,
                log_end: marks.log_end,
                epochs: None,
            });
        }
        self.moves.blocking_send(moves).expect("it leads");
    }

    fn until(&mut self, what: &str, mut is_it: impl FnMut(&Leader) -> bool) -> Duration {
        let begun = Instant::now();
        loop {
            self.turn();
            if is_it(self) {
                return begun.elapsed();
            }
            let stood = &self.stood;
            assert!(begun.elapsed() < WITHIN, "{what}: {stood:#?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Everybody has everything, and the metadata has these in sync.
    fn until_drained(&mut self, what: &str, isr: &[i32]) -> Duration {
        self.until(what, |leader| {
            let all = leader.logs.iter();
            let mut all = all.map(|(name, grown)| (leader.stood.get(name), name, grown.end()));
            all.all(|(stood, name, end)| {
                let is_drained =
                    stood.is_some_and(|stood| stood.is_drained && stood.log_end == end);
                let partition = leader.node.partitions.get(name);
                let partition = partition.and_then(|news| news.partition.as_ref());
                let mut told: Vec<i32> = partition.map_or_else(Vec::new, |partition| {
                    partition.isr.iter().map(|id| id.0).collect()
                });
                told.sort_unstable();
                is_drained && told == isr
            })
        })
    }

    fn end(self) {
        self.order(Order::Close);
        self.thread.join().expect("it does not panic");
        self.node.unregister();
    }
}

fn told(fate: Fate) -> IsrFate {
    match fate {
        Fate::Committed {
            isr,
            partition_epoch,
            ..
        } => IsrFate::Committed {
            isr,
            partition_epoch,
        },
        Fate::Reverted(_) => IsrFate::Reverted,
        Fate::Overtaken(_) => IsrFate::Overtaken,
    }
}

#[test]
fn stock_brokers_follow_come_back_and_take_over() {
    let Some(_turn) = Turn::take("stock_brokers_follow_come_back_and_take_over") else {
        return;
    };
    for version in versions() {
        let workload = Arc::new(Workload::start(&version));
        let mut cluster = Cluster::start_listeners(&workload, "leading", 2, &[]);
        let mut leader = Leader::start(&cluster);
        let each = vec![format!("{}+1+2", US.0); usize::try_from(PARTITIONS).expect("few")];
        let assign = each.join(",");
        cluster.ask(&format!("create topic={TOPIC} assign={assign} nowait=true"));
        leader.until("leadership", |leader| leader.logs.len() == each.len());
        let took = leader.until_drained("followers have caught up", &[1, 2, US.0]);
        eprintln!("Kafka {version}: followed after {took:?}");
        for _ in 0..20 {
            leader.grow(5);
        }
        let took = leader.until_drained("followers keep up", &[1, 2, US.0]);
        eprintln!("Kafka {version}: kept up after {took:?}");
        assert_eq!(leader.proposals, 0, "all were in sync from birth");
        logs_are_equal(&cluster, &leader);

        cluster.stop(2);
        leader.until_drained("one is gone", &[1, US.0]);
        leader.grow(20);
        leader.until_drained("the other goes on", &[1, US.0]);
        cluster.launch(2);
        let took = leader.until_drained("it is back in sync", &[1, 2, US.0]);
        eprintln!("Kafka {version}: back in sync after {took:?}");
        let proposed = leader.proposals;
        assert!(proposed >= leader.logs.len(), "{proposed} proposals");
        assert!(proposed <= 4 * leader.logs.len(), "{proposed}: it flaps");
        logs_are_equal(&cluster, &leader);
        takes_over(&cluster, &mut leader);
        leader.end();
        nobody_complains(&cluster);
    }
}

/// Every batch of both followers is ours, and nothing lies before our log's start.
fn logs_are_equal(cluster: &Cluster, leader: &Leader) {
    let mut equal = compare::Equal::default();
    for (name, grown) in &leader.logs {
        for node in [1, 2] {
            let theirs = cluster.log_dir(node).join(name);
            let range = LOG_START..grown.end().value();
            let same = compare::identical(&theirs, &grown.dir, range);
            equal += same.unwrap_or_else(|difference| panic!("{difference}"));
            let first = compare::segments(&theirs);
            let first = first.first().and_then(|path| path.file_stem());
            let first = first.and_then(|stem| stem.to_str()).map(str::to_owned);
            assert_eq!(first, Some(format!("{LOG_START:020}")));
        }
    }
    eprintln!("{equal:?}");
    assert_eq!(equal.partitions, 2 * leader.logs.len());
}

/// One reassignment, and a stock broker leads from our log's end on.
fn takes_over(cluster: &Cluster, leader: &mut Leader) {
    cluster.ask(&format!("reassign topic={TOPIC} replicas=1+2 nowait=true"));
    let took = leader.until("nothing names us", |leader| {
        leader.node.partitions.is_empty()
    });
    let ids = leader.logs.iter().map(|(name, grown)| Order::Resign {
        topic_id: grown.topic_id,
        id: name.parse().expect("a partition's name"),
    });
    for resign in ids.collect::<Vec<_>>() {
        leader.order(resign);
    }
    cluster.ask(&format!("reassign topic={TOPIC} replicas=1+2"));
    eprintln!("handed over after {took:?}");
    let told = cluster.offsets(TOPIC);
    assert_eq!(told.len(), leader.logs.len());
    for partition in &told {
        let end = leader.logs[&partition.directory()].end();
        let expected = (LOG_START, end.value());
        assert_eq!((partition.log_start, partition.high_watermark), expected);
    }
    cluster.ask(&format!(
        "produce topic={TOPIC} partition=0 count=3 batch=1"
    ));
    let after = cluster.offsets(TOPIC);
    let grown = after.iter().find(|partition| partition.index == 0);
    let grown = grown.expect("it is there").high_watermark;
    assert_eq!(grown, leader.logs[&format!("{TOPIC}-0")].end().value() + 3);
}

/// Brokers' own logs: no partition was given up, and nothing went wrong between them and us.
fn nobody_complains(cluster: &Cluster) {
    for node in 1..=2 {
        let log = cluster.dir().join(format!("node-{node}.log"));
        let text = std::fs::read_to_string(&log).expect("a node has a log");
        let words = [TOPIC, "9001", "ReplicaFetcher"];
        let wrong = text.lines().filter(|line| {
            let is_ours = words.iter().any(|word| line.contains(word));
            is_ours && (line.contains(" ERROR ") || line.contains("marked as failed"))
        });
        let wrong: Vec<&str> = wrong.collect();
        assert!(wrong.is_empty(), "{}: {wrong:#?}", log.display());
    }
}
