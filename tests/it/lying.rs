//! A source that lies: damage is refused by name, never stored, and nobody else's trouble.
#![expect(
    clippy::disallowed_methods,
    reason = "tests stand outside: real sockets, threads and programs"
)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use twinlog::model::{
    BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicId, TopicName, Watermarks,
};
use twinlog::protocol::fetch::Segment;
use twinlog::record::BatchBuilder;
use twinlog::server::{EpochEnd, FetchNeeds, Identity, Partition, Reply, Server, Topic};

const SOUND: TopicId = TopicId::new([1; 16]);
const LIES: TopicId = TopicId::new([2; 16]);
const BATCHES: i64 = 40;
/// The batch that is lied about.
const DAMAGED: i64 = 17;

/// What the source does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    /// A bit of a payload is flipped, always.
    FlippedBit,
    /// A batch claims a negative length, always.
    NegativeLength,
    /// Another batch's offsets, always.
    WrongOffset,
    /// The first three answers are garbage of the right length.
    Garbage,
    /// The first three answers are cut and the connection closed.
    CutFrame,
    /// The first three answers claim to have 2 GiB.
    HugeFrame,
    /// The first three answers are to another request.
    WrongCorrelation,
}

impl Lie {
    fn is_lasting(self) -> bool {
        matches!(
            self,
            Lie::FlippedBit | Lie::NegativeLength | Lie::WrongOffset
        )
    }
}

fn batch(offset: i64) -> Vec<u8> {
    let mut batch = BatchBuilder::new(Offset::new(offset), LeaderEpoch::new(0), 1_000);
    batch.push(Some(b"key"), Some(&[7; 500]), &[]);
    batch.finish()
}

fn told(offset: i64, topic: TopicId, lie: Lie) -> Vec<u8> {
    let mut bytes = batch(offset);
    if topic == LIES && offset == DAMAGED {
        match lie {
            Lie::FlippedBit => bytes[300] ^= 1,
            Lie::NegativeLength => bytes[8..12].copy_from_slice(&(-1i32).to_be_bytes()),
            Lie::WrongOffset => bytes[..8].copy_from_slice(&3i64.to_be_bytes()),
            _ => {}
        }
    }
    bytes
}

fn server(port: u16) -> Server {
    let mut server = Server::new(Identity {
        broker: BrokerId(1),
        host: "127.0.0.1".to_owned(),
        port,
        cluster: "lying-cluster-00000000".to_owned(),
    });
    let end = Offset::new(BATCHES);
    let partition = Partition {
        leader_epoch: LeaderEpoch::new(0),
        watermarks: Watermarks {
            log_start: Offset::ZERO,
            last_stable: end,
            high_watermark: end,
            log_end: end,
        },
    };
    for (name, id) in [("sound", SOUND), ("lies", LIES)] {
        server.tell(Topic {
            name: TopicName::new(name).expect("legal"),
            id,
            partitions: vec![partition],
            settings: Vec::new(),
        });
    }
    server
}

/// Serves until the test's process ends.
fn start(lie: Lie) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let port = listener.local_addr().expect("it is bound").port();
    let lies_left = Arc::new(AtomicU32::new(3));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (server, left) = (server(port), Arc::clone(&lies_left));
            // A client that goes ends its connection.
            std::thread::spawn(move || drop(serve(stream, &server, lie, &left)));
        }
    });
    port
}

fn serve(
    mut stream: TcpStream,
    server: &Server,
    lie: Lie,
    left: &AtomicU32,
) -> std::io::Result<()> {
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
            Reply::Fetch(needs) => {
                let mut bytes = answer(&needs, lie);
                let spend = |left: u32| left.checked_sub(1);
                let lies_now = !lie.is_lasting()
                    && left
                        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend)
                        .is_ok();
                if lies_now {
                    spoil(&mut bytes, lie);
                }
                stream.write_all(&bytes)?;
                if lies_now && lie == Lie::CutFrame {
                    return Ok(());
                }
            }
        }
    }
}

fn answer(needs: &FetchNeeds, lie: Lie) -> Vec<u8> {
    let records: BTreeMap<usize, Vec<u8>> = needs
        .ranges()
        .iter()
        .map(|range| {
            let offsets = range.from.value()..range.end.value().min(range.from.value() + 10);
            let bytes = offsets.flat_map(|offset| told(offset, range.topic, lie));
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

fn spoil(bytes: &mut Vec<u8>, lie: Lie) {
    match lie {
        Lie::Garbage => bytes[8..].fill(0xa5),
        Lie::CutFrame => bytes.truncate(bytes.len() / 2),
        Lie::HugeFrame => bytes[..4].copy_from_slice(&i32::MAX.to_be_bytes()),
        Lie::WrongCorrelation => bytes[4] ^= 0x40,
        _ => {}
    }
}

fn twinlog(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_twinlog"));
    command.args(args).output().expect("cargo has built it")
}

fn content(vault: &Path, partition: &str) -> Vec<u8> {
    let path = vault.join(partition).join("00000000000000000000.log");
    std::fs::read(path).expect("it was begun")
}

fn whole() -> Vec<u8> {
    (0..BATCHES).flat_map(batch).collect()
}

fn copied_from(lie: Lie) {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let vault = dir.path().join("vault");
    let from = format!("127.0.0.1:{}", start(lie));
    let into = vault.to_str().expect("text");
    let copied = twinlog(&[
        "copy", "--from", &from, "--topics", ".*", "--into", into, "--json",
    ]);
    let said = String::from_utf8_lossy(&copied.stderr).into_owned();
    assert!(!said.contains("panicked"), "{lie:?}: {said}");
    assert_eq!(
        content(&vault, "sound-0"),
        whole(),
        "{lie:?}: the other goes on\n{said}"
    );
    if lie.is_lasting() {
        assert_eq!(copied.status.code(), Some(1), "{lie:?}: {said}");
        let sound: Vec<u8> = (0..DAMAGED).flat_map(batch).collect();
        assert_eq!(
            content(&vault, "lies-0"),
            sound,
            "{lie:?}: stored up to the damage"
        );
        for word in ["broker 1", "lies-0", "offset 17"] {
            assert!(
                said.contains(word),
                "{lie:?} said nothing of {word}: {said}"
            );
        }
    } else {
        assert_eq!(copied.status.code(), Some(0), "{lie:?}: {said}");
        assert_eq!(content(&vault, "lies-0"), whole(), "{lie:?}");
    }
    let verified = twinlog(&["verify", "--vault", into]);
    assert_eq!(verified.status.code(), Some(0), "{lie:?}");
}

#[test]
fn a_flipped_bit_is_refused_by_name() {
    copied_from(Lie::FlippedBit);
}

#[test]
fn a_negative_length_is_refused_by_name() {
    copied_from(Lie::NegativeLength);
}

#[test]
fn offsets_of_another_batch_are_refused_by_name() {
    copied_from(Lie::WrongOffset);
}

#[test]
fn garbage_costs_a_connection() {
    copied_from(Lie::Garbage);
}

#[test]
fn a_cut_frame_costs_a_connection() {
    copied_from(Lie::CutFrame);
}

#[test]
fn a_frame_of_two_gib_costs_no_memory() {
    copied_from(Lie::HugeFrame);
}

#[test]
fn the_answer_to_another_request_is_not_believed() {
    copied_from(Lie::WrongCorrelation);
}
