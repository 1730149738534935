//! A shard under orders, with a source on the wire: what it takes in is the source's but for the
//! stamps, and it stops and goes on where it is told to.
#![expect(
    clippy::disallowed_methods,
    reason = "tests stand outside: they look at what lies on the disk"
)]

use std::fs;
use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc;
use twinlog::io::{Clock, World};
use twinlog::leading::inbox::Moved;
use twinlog::model::{BrokerId, LeaderEpoch, Offset, ProducerIdShift, ShardId, TopicPartition};
use twinlog::shard::inbox::{
    Answer, Endpoint, EpochEnd, LogOptions, Mirror, Order, Question, Report, Status, Told,
};
use twinlog::shard::{Options, Shard, Ties};
use twinlog::uring::{self, RealWorld};

use crate::lying::source::{self, BATCHES, TOPICS, content};

/// What is to happen happens within this.
const PATIENCE: Duration = Duration::from_secs(30);

fn epoch(number: i32) -> LeaderEpoch {
    LeaderEpoch::new(number)
}

fn id() -> TopicPartition {
    "sound-0".parse().expect("a name")
}

/// The partition, to be led in epoch 7.
fn led(dir: &Path) -> Mirror {
    Mirror {
        id: id(),
        topic_id: TOPICS[0].1,
        held_topic_id: None,
        dir: dir.join("sound-0"),
        leader: BrokerId(1),
        leader_epoch: epoch(0),
        log_start: Offset::ZERO,
        recovery_point: Offset::ZERO,
        is_clean: false,
        refetchable: None,
        options: LogOptions {
            segment_bytes: 5_000,
            ..LogOptions::default()
        },
        producer_id_shift: ProducerIdShift::NONE,
        until: None,
        stamp: Some(epoch(7)),
        fetches: true,
        restarts: false,
        source_epochs: None,
        may_truncate: false,
        aside: None,
        follows_log_start: true,
        retention: None,
    }
}

/// The other ends of a shard's queues.
struct Ordered {
    world: RealWorld,
    orders: mpsc::Sender<Order>,
    reports: mpsc::Receiver<(ShardId, Report)>,
    moved: mpsc::Receiver<Vec<Moved>>,
}

impl Ordered {
    /// A shard that knows where the source's broker listens.
    async fn begin(world: RealWorld, port: u16) -> Ordered {
        let (orders, orders_out) = mpsc::channel(64);
        let (reports_in, reports) = mpsc::channel(64);
        let (moved_in, moved) = mpsc::channel(1024);
        let ties = Ties {
            orders: orders_out,
            reports: reports_in,
            shard: ShardId(0),
            moved: Some(moved_in),
        };
        let mut options = Options::default();
        // Small answers, so that there is a middle.
        options.source.partition_fetch_bytes_max = 1_000;
        world.spawn(Shard::new(world, options, ties, 1).run());
        let broker = Endpoint {
            broker: BrokerId(1),
            host: "127.0.0.1".to_owned(),
            port,
        };
        let ordered = Ordered {
            world,
            orders,
            reports,
            moved,
        };
        ordered.order(Order::Brokers(vec![broker])).await;
        ordered
    }

    async fn order(&self, order: Order) {
        self.orders.send(order).await.expect("the shard goes on");
    }

    /// The next report; what the shard asks the source is answered as an honest one would.
    async fn report(&mut self) -> Report {
        let late = self.world.clock().now().after(PATIENCE);
        let report = tokio::select! {
            report = self.reports.recv() => report.expect("the shard goes on").1,
            () = self.world.clock().sleep_until(late) => panic!("nothing is told"),
        };
        for asked in &report.questions {
            let Question::EpochEnd {
                cursor,
                leader_epoch: under,
                epoch: of,
                ..
            } = asked.question
            else {
                panic!("{asked:?}");
            };
            let end = Some(EpochEnd {
                epoch: of,
                end: Offset::new(BATCHES),
            });
            let answer = Answer::EpochEnd { of, under, end };
            self.order(Order::Answer { cursor, answer }).await;
        }
        report
    }

    /// Waits until a log end behind `at` is announced.
    async fn until_moved_past(&mut self, at: Offset) {
        loop {
            while let Ok(moved) = self.moved.try_recv() {
                if moved.iter().any(|moved| moved.log_end > at) {
                    return;
                }
            }
            self.report().await;
        }
    }

    /// The first thing told that `is_it`.
    async fn until_told<T>(&mut self, is_it: impl Fn(&Told) -> Option<T>) -> T {
        loop {
            for told in self.report().await.told {
                if let Some(found) = is_it(&told) {
                    return found;
                }
                let failed = matches!(told, Told::Failed { .. } | Told::Broken { .. });
                assert!(!failed, "{told:?}");
            }
        }
    }

    async fn until_status(&mut self, is_it: impl Fn(&Status) -> bool) {
        loop {
            let report = self.report().await;
            if report.statuses.iter().any(&is_it) {
                return;
            }
        }
    }

    /// Where it ceases: last mirrored offset and epoch.
    async fn cease(&mut self) -> (Offset, LeaderEpoch) {
        self.order(Order::Cease { id: id() }).await;
        self.until_told(|told| match told {
            Told::Ceased {
                mirrored,
                source_epoch,
                ..
            } => Some((*mirrored, *source_epoch)),
            _ => None,
        })
        .await
    }
}

/// The log's bytes, segment by segment.
fn held(dir: &Path) -> Vec<u8> {
    let entries = fs::read_dir(dir.join("sound-0")).expect("it is there");
    let paths = entries.map(|entry| entry.expect("readable").path());
    let mut logs: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "log"))
        .collect();
    logs.sort();
    logs.iter()
        .flat_map(|path| fs::read(path).expect("readable"))
        .collect()
}

/// What the source has of the first `batches`, with our stamp.
fn expected(batches: i64) -> Vec<u8> {
    let mut bytes = content(TOPICS[0].1, batches);
    let size = bytes.len() / usize::try_from(batches).expect("some");
    for batch in bytes.chunks_mut(size) {
        batch[12..16].copy_from_slice(&[0, 0, 0, 7]);
    }
    bytes
}

#[test]
fn what_is_led_is_the_sources_but_for_its_stamps() {
    let port = source::start();
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let dir = dir.path();
    uring::run(None, |world| async move {
        let mut ordered = Ordered::begin(world, port).await;
        ordered.order(Order::Mirror(Box::new(led(dir)))).await;
        let end = Offset::new(BATCHES);
        ordered.until_status(|status| status.log_end == end).await;
        assert_eq!(ordered.cease().await, (end, epoch(0)));
        let mut told = Vec::new();
        while let Ok(moved) = ordered.moved.try_recv() {
            told.extend(moved);
        }
        assert!(told.iter().all(|moved| moved.stamp == epoch(7)));
        let ends: Vec<Offset> = told.iter().map(|moved| moved.log_end).collect();
        assert!(ends.is_sorted() && ends.len() > 3, "{ends:?}");
        assert_eq!((ends[0], ends.last()), (Offset::ZERO, Some(&end)));
        ordered.order(Order::Release { id: id() }).await;
        let is_clean = ordered
            .until_told(|told| match told {
                Told::Released { is_clean, .. } => Some(*is_clean),
                _ => None,
            })
            .await;
        assert!(is_clean);
    });
    assert!(held(dir) == expected(BATCHES));
    let text = |name: &str| fs::read_to_string(dir.join("sound-0").join(name)).expect("there");
    assert_eq!(text("leader-epoch-checkpoint"), "0\n1\n7 0\n");
    assert_eq!(text("source-leader-epoch-checkpoint"), "0\n1\n0 0\n");
}

#[test]
fn nothing_follows_where_a_partition_has_ceased() {
    let port = source::start();
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let dir = dir.path();
    uring::run(None, |world| async move {
        let mut ordered = Ordered::begin(world, port).await;
        let mut mirror = led(dir);
        mirror.fetches = false;
        ordered.order(Order::Mirror(Box::new(mirror))).await;
        ordered
            .until_told(|told| matches!(told, Told::Opened { .. }).then_some(()))
            .await;
        let pause = Duration::from_millis(200);
        let clock = *ordered.world.clock();
        clock.sleep_until(clock.now().after(pause)).await;
        assert_eq!(held(dir).len(), 0, "nobody has asked for it");
        let mut ceased_at = Offset::ZERO;
        let mut times = 0;
        while ceased_at < Offset::new(BATCHES) {
            ordered.order(Order::Fetch { id: id() }).await;
            // As soon as something has come, in the midst of what is under way.
            ordered.until_moved_past(ceased_at).await;
            let (at, source_epoch) = ordered.cease().await;
            assert!(at > ceased_at && source_epoch == epoch(0));
            let there = held(dir);
            clock.sleep_until(clock.now().after(pause)).await;
            assert!(held(dir) == there, "something came behind {at}");
            assert!(there == expected(at.value()));
            ceased_at = at;
            times += 1;
        }
        assert!(times > 1, "it ceased {times} times");
    });
}
