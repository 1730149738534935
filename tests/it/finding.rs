//! Brokers that are asked where their controllers listen, and cannot tell.
#![expect(
    clippy::disallowed_methods,
    reason = "tests stand outside: real sockets, threads and clocks"
)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::describe_quorum_response::{
    Listener, Node, PartitionData, ReplicaState, TopicData,
};
use kafka_protocol::messages::{
    ApiVersionsResponse, BrokerId, DescribeQuorumRequest, DescribeQuorumResponse, RequestHeader,
    TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use twinlog::control::destination::watch::{WatchFault, look};
use twinlog::control::membership::Bootstrap;
use twinlog::model::BrokerAddress;
use twinlog::session::Security;
use twinlog::uring;

const WITHIN: Duration = Duration::from_secs(2);
const API_VERSIONS: i16 = 18;
const DESCRIBE_QUORUM: i16 = 55;
const CLUSTER_AUTHORIZATION_FAILED: i16 = 31;
const NOT_CONTROLLER: i16 = 41;

/// A broker of which only this is known: the newest version of DescribeQuorum, and what it answers
/// to it each time; the last one for ever.
#[derive(Clone)]
struct Broker {
    newest: i16,
    answers: Vec<DescribeQuorumResponse>,
    asked: Arc<AtomicUsize>,
}

impl Broker {
    fn answering(answers: &[DescribeQuorumResponse]) -> Broker {
        Broker {
            newest: 2,
            answers: answers.to_vec(),
            asked: Arc::default(),
        }
    }

    /// Serves until the test's process ends.
    fn start(self) -> BrokerAddress {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
        let port = listener.local_addr().expect("it is bound").port();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let broker = self.clone();
                std::thread::spawn(move || while broker.answer_one(&stream).is_some() {});
            }
        });
        here(port)
    }

    fn answer_one(&self, mut stream: &TcpStream) -> Option<()> {
        let mut length = [0; 4];
        stream.read_exact(&mut length).ok()?;
        let mut asked = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut asked).ok()?;
        let mut asked = Bytes::from(asked);
        let key = i16::from_be_bytes([asked[0], asked[1]]);
        let version = i16::from_be_bytes([asked[2], asked[3]]);
        let header = RequestHeader::decode(&mut asked, 2).expect("we wrote it");
        let mut answer = BytesMut::new();
        answer.extend_from_slice(&header.correlation_id.to_be_bytes());
        match key {
            API_VERSIONS => self.versions().encode(&mut answer, version),
            _ => {
                let asked = DescribeQuorumRequest::decode(&mut asked, version).expect("as here");
                let topic = &asked.topics[0];
                assert_eq!(topic.topic_name.0.as_str(), "__cluster_metadata");
                assert_eq!(topic.partitions[0].partition_index, 0);
                answer.extend_from_slice(&[0]);
                let before = self.asked.fetch_add(1, Ordering::Relaxed);
                let told = &self.answers[before.min(self.answers.len() - 1)];
                told.encode(&mut answer, version)
            }
        }
        .expect("all of it is set");
        let length = u32::try_from(answer.len()).expect("short");
        let frame = [&length.to_be_bytes()[..], &answer].concat();
        stream.write_all(&frame).ok()
    }

    fn versions(&self) -> ApiVersionsResponse {
        let one = |key, newest| {
            ApiVersion::default()
                .with_api_key(key)
                .with_max_version(newest)
        };
        let keys = vec![one(API_VERSIONS, 4), one(DESCRIBE_QUORUM, self.newest)];
        ApiVersionsResponse::default().with_api_keys(keys)
    }
}

fn here(port: u16) -> BrokerAddress {
    let host = "127.0.0.1".to_owned();
    BrokerAddress { host, port }
}

/// Nobody listens there.
fn nobody() -> BrokerAddress {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    here(listener.local_addr().expect("it is bound").port())
}

/// A quorum of three that 102 leads, of which these voters and this observer have listeners.
fn quorum(listening: &[(i32, u16)]) -> DescribeQuorumResponse {
    let replica = |id| ReplicaState::default().with_replica_id(BrokerId(id));
    let partition = PartitionData::default()
        .with_leader_id(BrokerId(102))
        .with_leader_epoch(7)
        .with_current_voters([101, 102, 103].map(replica).to_vec())
        .with_observers(vec![replica(1)]);
    let topic = TopicData::default()
        .with_topic_name(TopicName(StrBytes::from_static_str("__cluster_metadata")))
        .with_partitions(vec![partition]);
    let node = |(id, port): &(i32, u16)| {
        let listener = Listener::default()
            .with_name(StrBytes::from_static_str("CONTROLLER"))
            .with_host(StrBytes::from_static_str("127.0.0.1"))
            .with_port(*port);
        Node::default()
            .with_node_id(BrokerId(*id))
            .with_listeners(vec![listener])
    };
    DescribeQuorumResponse::default()
        .with_topics(vec![topic])
        .with_nodes(listening.iter().map(node).collect())
}

/// What is said to a node that has only these brokers.
fn said(brokers: Vec<BrokerAddress>, within: Duration) -> WatchFault {
    let bootstrap = Bootstrap {
        controllers: Vec::new(),
        brokers,
    };
    let looked = uring::run(None, |world| async move {
        look(&world, &bootstrap, Security::Plaintext, within).await
    });
    looked.expect_err("there is no controller")
}

fn check(brokers: Vec<BrokerAddress>, parts: &[&str]) {
    let fault = said(brokers, WITHIN).to_string();
    for part in parts {
        assert!(fault.contains(part), "{part}: {fault}");
    }
}

/// Whatever the reason, it stands there with the key that would mend it.
#[test]
fn why_no_broker_tells_of_controllers_is_said() {
    const KEYS: [&str; 2] = ["correct `bootstrap.servers`", "in `controllers`"];
    const NONE: &str = "answers DescribeQuorum without a listener of any controller";
    let silent = nobody();
    let refused = format!("{silent} cannot be reached");
    let mut old = Broker::answering(&[quorum(&[])]);
    old.newest = 1;
    let error = DescribeQuorumResponse::default().with_error_code(NOT_CONTROLLER);
    let answering = |answer| Broker::answering(&[answer]).start();
    let cases = [
        (silent, refused.as_str()),
        (
            old.start(),
            "does not speak DescribeQuorum in a version that we know",
        ),
        (
            answering(error),
            "answers DescribeQuorum with NOT_CONTROLLER",
        ),
        (answering(quorum(&[])), NONE),
        // Only voters count.
        (answering(quorum(&[(1, 9)])), NONE),
    ];
    std::thread::scope(|all| {
        for (broker, part) in cases {
            all.spawn(move || check(vec![broker], &[&[part], &KEYS[..]].concat()));
        }
    });
}

#[test]
fn what_is_no_broker_is_called_so() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            // Whoever asked may have gone.
            drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        }
    });
    check(vec![here(port)], &["speaks HTTP", "`bootstrap.servers`"]);
}

/// No other broker is asked, and nobody waits.
#[test]
fn want_of_the_right_is_said_at_once() {
    let answer = DescribeQuorumResponse::default().with_error_code(CLUSTER_AUTHORIZATION_FAILED);
    let strict = Broker::answering(&[answer]).start();
    let begun = Instant::now();
    check(
        vec![strict, nobody()],
        &["DescribeQuorum is not allowed: grant Describe on the cluster"],
    );
    assert!(begun.elapsed() < WITHIN, "{:?}", begun.elapsed());
}

/// One broker is down, the next one knows.
#[test]
fn controllers_are_found_through_whichever_broker_answers() {
    let gone = nobody();
    let knows = Broker::answering(&[quorum(&[(101, 9), (102, gone.port)])]);
    let fault = said(vec![nobody(), knows.start()], WITHIN).to_string();
    assert!(fault.contains("cannot be reached"), "{fault}");
    let turned_to = [format!("{gone} "), "127.0.0.1:9 ".to_owned()];
    assert!(turned_to.iter().any(|at| fault.contains(at)), "{fault}");
}

/// None of those that are known answers: brokers are asked again, and by now name another address.
#[test]
fn a_quorum_that_has_moved_is_found_again() {
    let (before, after) = (nobody(), nobody());
    let told = [&before, &after].map(|at| quorum(&[(102, at.port)]));
    let broker = Broker::answering(&told);
    let asked = Arc::clone(&broker.asked);
    let fault = said(vec![broker.start()], 3 * WITHIN).to_string();
    assert!(
        fault.contains(&format!("{after} cannot be reached")),
        "{fault}"
    );
    assert!(asked.load(Ordering::Relaxed) >= 2);
}
