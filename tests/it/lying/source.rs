//! An honest source of two topics, small enough to be made up for every answer.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;

use twinlog::model::{
    BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicId, TopicName, Watermarks,
};
use twinlog::protocol::fetch::Segment;
use twinlog::record::BatchBuilder;
use twinlog::server::{
    EpochEnd, FetchNeeds, Identity, Partition, Reply, Server, Setting, SettingSource, Topic,
};

/// The topics' names and ids; each has one partition.
pub(crate) const TOPICS: [(&str, TopicId); 2] = [
    ("sound", TopicId::new([1; 16])),
    ("lies", TopicId::new([2; 16])),
];
/// Batches of each, one record and one offset in each batch.
pub(crate) const BATCHES: i64 = 40;
/// Batches of one partition in one answer at most.
pub(crate) const BATCHES_PER_ANSWER: i64 = 10;
fn epoch() -> LeaderEpoch {
    LeaderEpoch::new(0)
}

/// One batch of a topic.
pub(crate) fn batch(topic: TopicId, offset: i64) -> Vec<u8> {
    let mut batch = BatchBuilder::new(Offset::new(offset), epoch(), 1_000);
    batch.push(Some(b"key"), Some(&[topic.bytes()[0]; 500]), &[]);
    batch.finish()
}

/// The batches of a topic below `end`.
pub(crate) fn content(topic: TopicId, end: i64) -> Vec<u8> {
    (0..end).flat_map(|offset| batch(topic, offset)).collect()
}

/// Serves until the test's process ends; says at which port.
pub(crate) fn start() -> u16 {
    serving(|port| port, &TOPICS, 0..0)
}

/// The same of topics with other names.
pub(crate) fn start_with(topics: &[(&'static str, TopicId)]) -> u16 {
    serving(|port| port, topics, 0..0)
}

/// The same without the batches of some offsets, as compaction leaves it.
pub(crate) fn start_without(gone: Range<i64>) -> u16 {
    serving(|port| port, &TOPICS, gone)
}

/// The same, but its clients are told to come to another port.
pub(crate) fn start_elsewhere(advertised: u16) -> u16 {
    serving(move |_| advertised, &TOPICS, 0..0)
}

fn serving(
    advertised: impl Fn(u16) -> u16,
    topics: &[(&'static str, TopicId)],
    gone: Range<i64>,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let port = listener.local_addr().expect("it is bound").port();
    let advertised = advertised(port);
    let topics = topics.to_vec();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A client that goes ends its connection.
            let (server, gone) = (server(advertised, &topics), gone.clone());
            std::thread::spawn(move || drop(serve(stream, &server, &gone)));
        }
    });
    port
}

fn server(port: u16, topics: &[(&str, TopicId)]) -> Server {
    let mut server = Server::new(Identity {
        broker: BrokerId(1),
        host: "127.0.0.1".to_owned(),
        port,
        cluster: "lying-cluster-00000000".to_owned(),
    });
    let end = Offset::new(BATCHES);
    let partition = Partition {
        leader_epoch: epoch(),
        watermarks: Watermarks {
            log_start: Offset::ZERO,
            last_stable: end,
            high_watermark: end,
            log_end: end,
        },
        held_from: Offset::ZERO,
        followers: Vec::new(),
        holds_others: false,
    };
    for (name, id) in topics {
        server.tell(Topic {
            name: TopicName::new(name).expect("legal"),
            id: *id,
            partitions: vec![partition.clone()],
            settings: vec![Setting {
                name: "cleanup.policy".to_owned(),
                value: Some("delete".to_owned()),
                source: SettingSource::Default,
            }],
        });
    }
    server
}

fn serve(mut stream: TcpStream, server: &Server, gone: &Range<i64>) -> std::io::Result<()> {
    let epochs = |_: TopicId, _: PartitionIndex, epoch: LeaderEpoch| {
        let end = Offset::new(BATCHES);
        Some(EpochEnd { epoch, end })
    };
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut frame = vec![0; i32::from_be_bytes(length) as usize];
        stream.read_exact(&mut frame)?;
        match server.answer(&frame, &epochs) {
            Reply::Ready(bytes) => stream.write_all(&bytes)?,
            Reply::Close(reason) => panic!("{reason}"),
            Reply::Fetch(needs) => stream.write_all(&answer(&needs, gone))?,
        }
    }
}

fn answer(needs: &FetchNeeds, gone: &Range<i64>) -> Vec<u8> {
    let records: BTreeMap<usize, Vec<u8>> = needs
        .ranges()
        .iter()
        .map(|range| {
            let from = range.from.value();
            let offsets = from..range.end.value().min(from + BATCHES_PER_ANSWER);
            let offsets = offsets.filter(|offset| !gone.contains(offset));
            let bytes = offsets.flat_map(|offset| batch(range.topic, offset));
            (range.place, bytes.collect())
        })
        .collect();
    let lengths: Vec<usize> = needs
        .ranges()
        .iter()
        .map(|range| records[&range.place].len())
        .collect();
    let writer = needs.answer(&lengths);
    let mut out = Vec::new();
    for segment in writer.segments() {
        match segment {
            Segment::Bytes(bytes) => out.extend_from_slice(bytes),
            Segment::Records { partition, .. } => out.extend_from_slice(&records[&partition]),
        }
    }
    out
}
