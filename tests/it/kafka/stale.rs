//! A follower's requests that wait before a leader who stands still: what it says to them when it
//! is woken, and somebody else leads.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::messages::{FetchResponse, ResponseHeader};
use kafka_protocol::protocol::Decodable;
use twinlog::control::destination::watch::{Seen, look};
use twinlog::control::membership::Bootstrap;
use twinlog::model::{BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicName};
use twinlog::protocol::fetch::{
    Ask, AskedPartition, Replica, Request, Session, Topics, write_request,
};
use twinlog::session::Security;
use twinlog::uring;

use super::*;

/// How long a woken leader may take to answer.
const WITHIN: Duration = Duration::from_secs(20);
const US: BrokerId = BrokerId(9001);
const FOLLOWER: BrokerId = BrokerId(1);
const VERSION: i16 = 17;
/// Whoever does not say which epoch it means is answered under any.
const NOT_SAID: LeaderEpoch = LeaderEpoch::NONE;

/// The destination as its controllers have it.
pub(super) fn seen(destination: &Cluster) -> Seen {
    let controllers = destination.controllers();
    let each = controllers.split(',').map(|at| at.parse());
    let controllers = each.map(|at| at.expect("an address")).collect();
    let bootstrap = Bootstrap::of(controllers);
    let looked = uring::run(None, |world| async move {
        look(&world, &bootstrap, Security::Plaintext, WITHIN).await
    });
    looked.unwrap_or_else(|fault| panic!("{fault}"))
}

/// What a leader says of a partition.
#[derive(Debug)]
struct Said {
    error: i16,
    high_watermark: i64,
    records: usize,
}

/// A follower of the first partition of a topic that the node leads, which lacks the last batch.
pub(super) struct Stale {
    at: String,
    replica: Replica,
    asked: AskedPartition,
    /// Connections from before, which the leader knows.
    open: Vec<TcpStream>,
}

impl Stale {
    /// It is answered now, whichever way it asks.
    pub(super) fn begin(destination: &Cluster, topic: &str) -> Stale {
        let image = seen(destination).image;
        let name = TopicName::new(topic).expect("legal");
        let id = image.topics.id_of(&name).expect("it is there");
        let index = PartitionIndex::new(0).expect("not negative");
        let partition = &image.topics.get(id).expect("there").partitions[&index];
        assert_eq!(partition.leader, Some(US), "{partition:?}");
        let node = image.brokers.get(US).expect("registered");
        let listener = node.listener("INTERNAL").expect("brokers find it");
        let dir = destination.log_dir(1).join(format!("{topic}-0"));
        let batches = compare::read(&dir).unwrap_or_else(|fault| panic!("{fault}"));
        let last = batches.whole.last().expect("it has records");
        let mut stale = Stale {
            at: format!("{}:{}", listener.host, listener.port),
            replica: Replica {
                broker: FOLLOWER,
                epoch: image.brokers.get(FOLLOWER).expect("registered").epoch,
            },
            asked: AskedPartition {
                topic: id,
                partition: index,
                leader_epoch: partition.leader_epoch,
                fetch_offset: Offset::new(last.base),
                last_fetched_epoch: partition.leader_epoch,
                log_start: Some(Offset::ZERO),
                max_bytes: 1 << 20,
            },
            open: Vec::new(),
        };
        for epoch in stale.epochs() {
            let mut stream = stale.connect();
            stale.ask(&mut stream, epoch);
            let said = hear(&mut stream).expect("it leads, and answers");
            let is_served = said.error == 0 && said.records > 0 && said.high_watermark >= 0;
            assert!(is_served, "{epoch:?}: {said:?}");
            stale.open.push(stream);
        }
        stale
    }

    fn epochs(&self) -> [LeaderEpoch; 2] {
        [self.asked.leader_epoch, NOT_SAID]
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.at).expect("the kernel takes it");
        let within = Some(WITHIN);
        stream.set_read_timeout(within).expect("a socket");
        stream
    }

    fn ask(&self, stream: &mut TcpStream, leader_epoch: LeaderEpoch) {
        let partitions = [AskedPartition {
            leader_epoch,
            ..self.asked
        }];
        let request = Request {
            replica: Some(self.replica),
            ask: Ask {
                max_wait_ms: 0,
                min_bytes: 0,
                max_bytes: 1 << 20,
            },
            session: Session::NONE,
            partitions: &partitions,
            forgotten: &[],
        };
        let mut frame = Vec::new();
        let topics = Topics::default();
        write_request(VERSION, 7, "stale", &request, &topics, &mut frame);
        stream.write_all(&frame).expect("the kernel takes it");
    }

    /// The same questions while the node stands still: over connections that it knows, and over
    /// others that it has yet to accept.
    pub(super) fn asks_again(&mut self) {
        let mut all = std::mem::take(&mut self.open);
        all.extend([self.connect(), self.connect()]);
        let epochs = self.epochs().into_iter().cycle();
        for (stream, epoch) in all.iter_mut().zip(epochs) {
            self.ask(stream, epoch);
        }
        self.open = all;
    }

    /// The node runs again: it serves nothing under an epoch that is over, however it is asked.
    pub(super) fn finds_no_leader(self) {
        let woken = Instant::now();
        let epochs = self.epochs();
        for (nth, mut stream) in self.open.into_iter().enumerate() {
            let how = (epochs[nth % 2], if nth < 2 { "known" } else { "new" });
            match hear(&mut stream) {
                Ok(said) => {
                    let is_refused = said.error != 0 && said.records == 0;
                    assert!(is_refused && said.high_watermark < 0, "{how:?}: {said:?}");
                    eprintln!("{how:?}: {said:?} after {:?}", woken.elapsed());
                }
                Err(error) => {
                    let is_silent = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut];
                    assert!(!is_silent.contains(&error.kind()), "{how:?}: {error}");
                    eprintln!("{how:?}: {error} after {:?}", woken.elapsed());
                }
            }
        }
    }
}

/// The answer, or how the connection ended.
fn hear(stream: &mut TcpStream) -> io::Result<Said> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer)?;
    let mut answer = Bytes::from(answer);
    let header = ResponseHeader::decode(&mut answer, 1).expect("it speaks the protocol");
    assert_eq!(header.correlation_id, 7);
    let answer = FetchResponse::decode(&mut answer, VERSION).expect("it speaks the protocol");
    let partition = answer.responses.first().map(|topic| &topic.partitions[0]);
    let records = partition.and_then(|one| one.records.as_ref());
    Ok(Said {
        error: match answer.error_code {
            0 => partition.map_or(0, |one| one.error_code),
            error => error,
        },
        high_watermark: partition.map_or(-1, |one| one.high_watermark),
        records: records.map_or(0, Bytes::len),
    })
}
