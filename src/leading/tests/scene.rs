//! A leader on loopback, and followers that do what they are told.

use std::path::PathBuf;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{FetchRequest, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::logs::{TOPIC, Written};
use crate::io::{Buf, Clock, Net, Stream, World};
use crate::leading::inbox::{Leadership, Moved, Order, Report, Stood};
use crate::leading::{Leading, Lease, Options, Ties};
use crate::model::{
    BrokerEpoch, BrokerId, Instant, LeaderEpoch, Offset, PartitionIndex, TopicName, TopicPartition,
};
use crate::protocol::ErrorCode;
use crate::uring::{self, RealWorld};

pub(super) const US: BrokerId = BrokerId(9001);
pub(super) const ONE: BrokerId = BrokerId(1);
pub(super) const TWO: BrokerId = BrokerId(2);
pub(super) const EPOCH: i32 = 5;
/// Longer than anything takes here.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

type RealDisk = <RealWorld as World>::Disk;
type RealStream = <<RealWorld as World>::Net as Net>::Stream;

/// A leader, and both ends of what it is told and tells.
pub(super) struct Scene {
    pub(super) world: RealWorld,
    dir: tempfile::TempDir,
    at: std::net::SocketAddr,
    pub(super) orders: mpsc::Sender<Order>,
    moves: mpsc::Sender<Vec<Moved>>,
    reports: mpsc::Receiver<Report>,
    pub(super) lease: Lease,
}

/// Plays a scene.
pub(super) fn play<F: Future<Output = ()>>(options: Options, scene: impl FnOnce(Scene) -> F) {
    uring::run(None, |world| async move {
        scene(Scene::new(world, options).await).await;
    });
}

impl Scene {
    async fn new(world: RealWorld, options: Options) -> Scene {
        let (orders, orders_out) = mpsc::channel(64);
        let (moves, moves_out) = mpsc::channel(64);
        let (reports_in, reports) = mpsc::channel(64);
        let lease = Lease::default();
        lease.extend(Instant::from_nanos(u64::MAX));
        let ties = Ties {
            orders: orders_out,
            moves: moves_out,
            reports: reports_in,
            lease: lease.clone(),
        };
        let any = "127.0.0.1:0".parse().expect("an address");
        let leading = Leading::listen(world, any, US, options, ties)
            .await
            .expect("loopback has ports");
        let at = leading.local_addr();
        world.spawn(leading.run());
        Scene {
            world,
            dir: tempfile::tempdir().expect("there is a temporary directory"),
            at,
            orders,
            moves,
            reports,
            lease,
        }
    }

    pub(super) async fn order(&self, order: Order) {
        self.orders.send(order).await.expect("it runs");
    }

    /// All three are alive.
    pub(super) async fn everybody_lives(&self) {
        let all = [US, ONE, TWO].map(|id| (id, life(id)));
        self.order(Order::Brokers(all.into())).await;
    }

    fn log_dir(&self, number: i32) -> PathBuf {
        self.dir.path().join(format!("t-{number}"))
    }

    /// A new log.
    pub(super) fn log(&self, number: i32, start: i64) -> Written<RealDisk> {
        Written::new(*self.world.disk(), &self.log_dir(number), start)
    }

    pub(super) fn leadership(&self, number: i32, log: &Written<RealDisk>) -> Leadership {
        Leadership {
            id: id(number),
            topic_id: TOPIC,
            dir: self.log_dir(number),
            leader_epoch: LeaderEpoch::new(EPOCH),
            partition_epoch: 0,
            replicas: vec![US, ONE, TWO],
            isr: vec![US, ONE, TWO],
            min_isr: 1,
            holds_others: false,
            before: None,
            log_start: log.start(),
            log_end: log.end(),
            epochs: log.epochs(),
            high_watermark: log.start(),
        }
    }

    pub(super) async fn lead(&self, number: i32, log: &Written<RealDisk>) {
        let told = self.leadership(number, log);
        self.order(Order::Lead(Box::new(told))).await;
    }

    pub(super) async fn moved(&self, number: i32, log: &Written<RealDisk>) {
        let moved = Moved {
            id: id(number),
            stamp: LeaderEpoch::new(EPOCH),
            log_start: log.start(),
            log_end: log.end(),
            epochs: Some(log.epochs()),
        };
        self.tell(moved).await;
    }

    pub(super) async fn tell(&self, moved: Moved) {
        self.moves.send(vec![moved]).await.expect("it runs");
    }

    /// Waits for a report that `of` makes something of.
    pub(super) async fn until<T>(
        &mut self,
        what: &str,
        mut of: impl FnMut(Report) -> Option<T>,
    ) -> T {
        let clock = *self.world.clock();
        let late = clock.now().after(PATIENCE);
        loop {
            tokio::select! {
                report = self.reports.recv() => {
                    let report = report.unwrap_or_else(|| panic!("{what}: it has ended"));
                    if let Some(found) = of(report) {
                        return found;
                    }
                }
                () = clock.sleep_until(late) => panic!("{what}: not within {PATIENCE:?}"),
            }
        }
    }

    /// Waits until a partition stands so.
    pub(super) async fn until_stands(
        &mut self,
        number: i32,
        mut is_it: impl FnMut(&Stood) -> bool,
    ) -> Stood {
        self.until("a partition", |report| match report {
            Report::Stood(all) => all
                .into_iter()
                .find(|stood| stood.id == id(number) && is_it(stood)),
            _ => None,
        })
        .await
    }

    /// What was reported and not taken in yet.
    pub(super) fn reported(&mut self) -> Vec<Report> {
        std::iter::from_fn(|| self.reports.try_recv().ok()).collect()
    }

    pub(super) async fn pause(&self, millis: u64) {
        let clock = *self.world.clock();
        clock
            .sleep_until(clock.now().after(Duration::from_millis(millis)))
            .await;
    }

    pub(super) async fn follower(&self, broker: BrokerId) -> Follower {
        Follower::connect(self.world, self.at, broker).await
    }

    pub(super) fn now(&self) -> Instant {
        self.world.clock().now()
    }
}

pub(super) fn life(id: BrokerId) -> BrokerEpoch {
    BrokerEpoch::new(i64::from(id.0) + 10)
}

pub(super) fn id(number: i32) -> TopicPartition {
    TopicPartition {
        topic: TopicName::new("t").expect("a name"),
        partition: PartitionIndex::new(number).expect("not negative"),
    }
}

/// Where a follower wants to go on: an offset, and the epoch of what lies before it.
pub(super) fn wanted(number: i32, offset: Offset, epoch: i32) -> FetchPartition {
    FetchPartition::default()
        .with_partition(number)
        .with_current_leader_epoch(EPOCH)
        .with_fetch_offset(offset.value())
        .with_last_fetched_epoch(epoch)
        .with_partition_max_bytes(1 << 20)
}

/// A follower's connection.
pub(super) struct Follower {
    stream: RealStream,
    broker: BrokerId,
    life: i64,
    pub(super) version: i16,
}

impl Follower {
    pub(super) async fn connect(
        world: RealWorld,
        at: std::net::SocketAddr,
        broker: BrokerId,
    ) -> Follower {
        let stream = world.net().connect(at).await;
        Follower {
            stream: stream.expect("it listens"),
            broker,
            life: life(broker).value(),
            version: 17,
        }
    }

    /// Asks, and waits for the answer; none where the connection is closed.
    pub(super) async fn ask<R: Request>(&self, version: i16, request: &R) -> Option<R::Response>
    where
        R::Response: Decodable + HeaderVersion,
    {
        self.send(version, request).await;
        self.answer::<R>(version).await
    }

    pub(super) async fn send<R: Request>(&self, version: i16, request: &R) {
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(77)
            .with_client_id(Some(StrBytes::from_static_str("broker")));
        let mut frame = BytesMut::new();
        frame.extend_from_slice(&[0; 4]);
        let encoded = header.encode(&mut frame, R::header_version(version));
        encoded.expect("a sound header");
        let encoded = request.encode(&mut frame, version);
        encoded.expect("a sound request");
        let length = i32::try_from(frame.len() - 4).expect("small");
        frame[..4].copy_from_slice(&length.to_be_bytes());
        self.send_bytes(&frame).await;
    }

    pub(super) async fn send_bytes(&self, bytes: &[u8]) {
        let mut buf = Buf::unpooled(bytes.len());
        buf.push(bytes);
        let (_, sent) = self.stream.send(buf).await;
        sent.expect("it listens");
    }

    pub(super) async fn answer<R: Request>(&self, version: i16) -> Option<R::Response>
    where
        R::Response: Decodable + HeaderVersion,
    {
        let mut frame = Bytes::from(self.frame().await?);
        let header_version = R::Response::header_version(version);
        let header = ResponseHeader::decode(&mut frame, header_version).expect("a header");
        assert_eq!(header.correlation_id, 77);
        let answer = R::Response::decode(&mut frame, version).expect("an answer");
        assert!(frame.is_empty());
        Some(answer)
    }

    /// The next frame, without its length; none where the connection is closed.
    async fn frame(&self) -> Option<Vec<u8>> {
        let mut received = Vec::new();
        loop {
            let length = received.first_chunk::<4>();
            let length = length.map(|length| i32::from_be_bytes(*length));
            let length = length.map(|length| usize::try_from(length).expect("not negative"));
            if length.is_some_and(|length| received.len() == length + 4) {
                return Some(received.split_off(4));
            }
            let (buf, outcome) = self.stream.recv(Buf::unpooled(1 << 16)).await;
            if !matches!(outcome, Ok(1..)) {
                return None;
            }
            received.extend_from_slice(buf.bytes());
        }
    }

    pub(super) fn request(&self, wanted: Vec<FetchPartition>, max_wait_ms: i32) -> FetchRequest {
        let topic = FetchTopic::default()
            .with_topic_id(Uuid::from_bytes(TOPIC.bytes()))
            .with_partitions(wanted);
        let state = ReplicaState::default()
            .with_replica_id(self.broker.0.into())
            .with_replica_epoch(self.life);
        FetchRequest::default()
            .with_replica_state(state)
            .with_max_wait_ms(max_wait_ms)
            .with_min_bytes(1)
            .with_max_bytes(10 << 20)
            .with_session_epoch(0)
            .with_topics(vec![topic])
    }

    /// Fetches one partition.
    pub(super) async fn fetch(&self, wanted: FetchPartition, max_wait_ms: i32) -> PartitionData {
        let request = self.request(vec![wanted], max_wait_ms);
        let answer = self.ask(self.version, &request).await;
        let mut answer = answer.expect("it is answered");
        assert_eq!((answer.error_code, answer.session_id), (0, 0));
        let mut topic = answer.responses.remove(0);
        assert_eq!(topic.partitions.len(), 1);
        topic.partitions.remove(0)
    }

    /// Fetches until it has everything from `from` on, and says so once.
    pub(super) async fn catch_up(&self, number: i32, from: Offset, end: Offset) -> Vec<u8> {
        let (mut all, mut next, mut epoch) = (Vec::new(), from, -1);
        loop {
            let told = self.fetch(wanted(number, next, epoch), 0).await;
            assert_eq!(error(&told), ErrorCode::NONE);
            let records = told.records.unwrap_or_default();
            let expect = crate::record::Expect::after(next, LeaderEpoch::NONE);
            let run = crate::record::check(&records, expect).run;
            assert_eq!(run.bytes().len(), records.len(), "whole, sound batches");
            if run.is_empty() {
                assert_eq!(next, end);
                return all;
            }
            (next, epoch) = (run.next_offset(), run.last_epoch().value());
            all.extend_from_slice(&records);
        }
    }
}

pub(super) fn error(told: &PartitionData) -> ErrorCode {
    ErrorCode(told.error_code)
}
