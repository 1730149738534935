//! A broker that promises too much in its answers to rare questions: what its counts claim is never
//! set aside, and it is named with what it was asked.
#![expect(
    clippy::disallowed_methods,
    reason = "tests stand outside: real sockets and threads"
)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use twinlog::model::{BrokerId, LeaderEpoch, PartitionIndex, TopicId, TopicName, TopicPartition};
use twinlog::server::{Identity, Reply, Server};
use twinlog::session::{
    Bound, BrokerAddress, Client, EpochAsked, Opening, PartitionAsked, Security, SessionFault,
};
use twinlog::uring;

use crate::counting::allocated;

/// What a client sets aside for itself: its window, its requests, what it is told of versions.
const OWN_BYTES: u64 = 256 << 10;
/// Bytes for each byte of an answer: the frame as it grows, and what is made of it.
const BYTES_PER_BYTE: u64 = 12;

/// A question of `session`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Question {
    Versions,
    Cluster,
    Offsets,
    Epochs,
    Settings,
}

const QUESTIONS: [Question; 5] = [
    Question::Versions,
    Question::Cluster,
    Question::Offsets,
    Question::Epochs,
    Question::Settings,
];

impl Question {
    fn name(self) -> &'static str {
        match self {
            Question::Versions => "ApiVersions",
            Question::Cluster => "Metadata",
            Question::Offsets => "ListOffsets",
            Question::Epochs => "OffsetForLeaderEpoch",
            Question::Settings => "DescribeConfigs",
        }
    }

    /// What stands before the first count: the header's tags, then a throttle time, or an error.
    fn before_the_count(self) -> usize {
        match self {
            Question::Versions => 2,
            _ => 1 + 4,
        }
    }

    async fn ask(self, client: &mut Client<uring::RealWorld>) -> Result<(), SessionFault> {
        let topic = TopicName::new("orders").expect("legal");
        let asked = PartitionAsked {
            id: TopicPartition {
                topic: topic.clone(),
                partition: PartitionIndex::new(0).expect("not negative"),
            },
            leader_epoch: LeaderEpoch::NONE,
        };
        match self {
            Question::Versions => Ok(()),
            Question::Cluster => client.cluster(None).await.map(drop),
            Question::Offsets => client.list_offsets(&[asked], Bound::End).await.map(drop),
            Question::Epochs => {
                let epoch = LeaderEpoch::new(3);
                let partition = asked;
                let asked = [EpochAsked { partition, epoch }];
                client.epoch_ends(&asked).await.map(drop)
            }
            Question::Settings => client.topic_settings(&[topic]).await.map(drop),
        }
    }
}

/// One connection: sound versions where something else is asked, then `body`.
fn answer(mut stream: TcpStream, question: Question, body: &[u8]) -> std::io::Result<()> {
    let server = Server::new(Identity {
        broker: BrokerId(1),
        host: "127.0.0.1".to_owned(),
        port: 9092,
        cluster: "a-cluster".to_owned(),
    });
    if question != Question::Versions {
        let request = request(&mut stream)?;
        let reply = server.answer(
            &request,
            &|_: TopicId, _: PartitionIndex, _: LeaderEpoch| None,
        );
        let Reply::Ready(bytes) = reply else {
            panic!("every server says what it speaks");
        };
        stream.write_all(&bytes)?;
    }
    let request = request(&mut stream)?;
    let length = u32::try_from(4 + body.len()).expect("small");
    let correlation = &request[4..8];
    stream.write_all(&[&length.to_be_bytes(), correlation, body].concat())
}

fn request(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut request = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut request)?;
    Ok(request)
}

/// What a client says to `body`, and how much it allocated for it.
fn asked(question: Question, body: &[u8]) -> (Result<(), SessionFault>, BrokerAddress, u64) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let at = listener.local_addr().expect("it is bound").to_string();
    let at: BrokerAddress = at.parse().expect("an address");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (stream, _) = listener.accept().expect("the client comes");
            // A client that goes ends its connection.
            drop(answer(stream, question, body));
        });
        let opening = Opening {
            security: Security::Plaintext,
            timeout: Duration::from_secs(10),
        };
        let (said, bytes) = uring::run(None, |world| {
            let at = &at;
            async move {
                let before = allocated().bytes;
                let said = match Client::connect(&world, at, opening).await {
                    Ok(mut client) => question.ask(&mut client).await,
                    Err(fault) => Err(fault),
                };
                (said, allocated().bytes - before)
            }
        });
        (said, at, bytes)
    })
}

#[track_caller]
fn assert_modest(question: Question, body: &[u8], bytes: u64) {
    let most = OWN_BYTES + BYTES_PER_BYTE * body.len() as u64;
    assert!(
        bytes <= most,
        "{question:?}: {bytes} bytes allocated, {most} are enough for {body:?}"
    );
}

#[test]
fn a_count_without_its_bytes_is_refused_by_name() {
    for question in QUESTIONS {
        // 16 MiB and more of elements in a hundred bytes: a system would grant it.
        let mut body = vec![0; question.before_the_count()];
        body.extend_from_slice(&[0x80, 0x80, 0x20]);
        body.resize(body.len() + 100, 0);
        let (said, at, bytes) = asked(question, &body);
        assert_modest(question, &body, bytes);
        let fault = said.expect_err("it is no answer");
        assert!(matches!(fault, SessionFault::Malformed { .. }), "{fault:?}");
        let said = fault.to_string();
        for word in [at.to_string().as_str(), question.name(), "524287"] {
            assert!(said.contains(word), "nothing of {word}: {said}");
        }
    }
}

#[test]
fn garbage_is_answered_within_its_size() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for nth in 0..300 {
        let question = QUESTIONS[nth % QUESTIONS.len()];
        let length = (next() % 3000) as usize;
        // Small numbers come often, so that much of it is believed for a while.
        let mask = [0x01, 0x07, 0x3f, 0xff][(next() % 4) as usize];
        let mut body: Vec<u8> = (0..length).map(|_| next() as u8 & mask).collect();
        let known = question.before_the_count().min(body.len());
        body[..known].fill(0);
        let (_, _, bytes) = asked(question, &body);
        assert_modest(question, &body, bytes);
    }
}
