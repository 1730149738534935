//! A broker whose answers begin well and end badly, in a time that is simulated.

use super::alone::{Ordered, with_shard_and};
use super::peer::Peer;
use super::*;
use crate::model::{TopicName, Watermarks};
use crate::protocol::fetch::Endpoint;
use crate::server::{Identity, Server, Topic};

/// The length, the correlation id, a tag, throttle, error and session: the head of an answer.
const HEAD_BYTES: usize = 4 + 4 + 1 + 4 + 2 + 4;

fn source(way: impl Fn(Vec<u8>) -> (Vec<u8>, bool) + 'static) -> Peer {
    let mut server = Server::new(Identity {
        broker: BrokerId(1),
        host: "source".to_owned(),
        port: 9092,
        cluster: "a-cluster".to_owned(),
    });
    let partition = crate::server::Partition {
        leader_epoch: epoch(5),
        watermarks: Watermarks {
            log_start: Offset::ZERO,
            last_stable: Offset::ZERO,
            high_watermark: Offset::ZERO,
            log_end: Offset::ZERO,
        },
        followers: Vec::new(),
        holds_others: false,
        held_from: Offset::ZERO,
    };
    server.tell(Topic {
        name: TopicName::new("t").expect("legal"),
        id: TOPIC,
        partitions: vec![partition],
        settings: Vec::new(),
    });
    Peer::new(server, Box::new(way))
}

/// Connections, and requests for records, within so many milliseconds of following.
fn followed_for(ms: u64, peer: &Peer) -> (u32, u32) {
    let disk = MemoryDisk::default();
    with_shard_and(
        &disk,
        peer,
        Options::default(),
        async |ordered: &mut Ordered| {
            let broker = Endpoint {
                broker: BrokerId(1),
                host: "source".to_owned(),
                port: 9092,
            };
            ordered.order(Order::Brokers(vec![broker])).await;
            let mut mirror = led(Offset::ZERO);
            (mirror.topic_id, mirror.held_topic_id) = (TOPIC, None);
            (mirror.stamp, mirror.fetches) = (None, true);
            ordered.order(Order::Mirror(mirror)).await;
            ordered.pass_ms(ms).await;
        },
    );
    (peer.connections(), peer.fetches())
}

#[test]
fn a_broker_whose_answers_break_off_is_connected_to_ever_more_rarely() {
    let broken = source(|mut answer| {
        answer.truncate(HEAD_BYTES + 1);
        (answer, false)
    });
    let (connections, fetches) = followed_for(60_000, &broken);
    assert!(fetches > 5, "{fetches} answers are no test");
    assert!((10..30).contains(&connections), "{connections}");
    let whole = source(|answer| (answer, true));
    assert_eq!(followed_for(60_000, &whole).0, 1);
}
