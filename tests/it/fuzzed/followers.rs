//! Requests of those who follow what we lead, as they come over the brokers' listener.

use twinlog::model::{
    BrokerEpoch, BrokerId, LeaderEpoch, Offset, PartitionIndex, TopicId, TopicName, Watermarks,
};
use twinlog::protocol::Writer;
use twinlog::protocol::header::set_length;
use twinlog::server::{EpochEnd, FetchNeeds, Partition, Reply, Server};

use super::bounded_by;
use super::wire::assert_framed;

/// A fetch keeps what it has asked for, what is answered, and what is to be read: some hundred
/// bytes for the thirty-three of a partition. Of other requests generated types are made.
const PER_BYTE: u64 = 16;
const BESIDE: u64 = 64 << 10;
/// What is answered for each partition takes no more than this, the name of its topic aside.
const ANSWER_BYTES: usize = 64;

/// Every request is answered in a whole frame, or the connection is closed; a fetch in the same
/// bytes whether its records are put in afterwards or lie there already.
pub(super) fn followers(bytes: &[u8]) {
    let server = leader();
    let reply = bounded_by(PER_BYTE, bytes.len(), BESIDE, || {
        server.answer(bytes, &ends)
    });
    match reply {
        Reply::Ready(frame) => assert_framed(&frame),
        Reply::Close(reason) => assert!(!reason.to_string().is_empty()),
        Reply::Fetch(mut needs) => {
            let again = server.again(&needs, &ends);
            assert_eq!(needs.ranges(), again.ranges());
            assert_framed(&around(&needs, 3));
            if !needs.ranges().is_empty() {
                needs.fail(0, twinlog::protocol::ErrorCode::KAFKA_STORAGE_ERROR);
                assert!(needs.is_urgent(), "an error is told at once");
                assert_framed(&around(&needs, 0));
            }
        }
    }
}

/// The answer around so many bytes of records for each range.
fn around(needs: &FetchNeeds, records_bytes: usize) -> Vec<u8> {
    let mut frame = Vec::new();
    let mut around = needs.begin(&mut frame);
    if records_bytes > 0 {
        for range in 0..needs.ranges().len() {
            needs.up_to(&mut around, range, &mut frame);
            Writer::new(&mut frame).compact(records_bytes);
            frame.resize(frame.len() + records_bytes, 7);
        }
    }
    needs.end(around, &mut frame);
    let records = needs.ranges().len() * records_bytes;
    let most = ANSWER_BYTES + needs.partitions() * (ANSWER_BYTES + TopicName::BYTES_MAX) + records;
    assert!(frame.len() <= most, "{} bytes", frame.len());
    set_length(&mut frame, 0, 0);
    frame
}

/// Two partitions that we lead, one that we do not, and two followers.
fn leader() -> Server {
    let mut server = Server::for_followers();
    let lives = [(1, 11), (2, 12)];
    let lives = lives.map(|(id, life)| (BrokerId(id), BrokerEpoch::new(life)));
    server.tell_brokers(lives.into());
    server.trust(true);
    let name = TopicName::new("t").expect("a name");
    for (number, [log_start, high_watermark, log_end]) in [(0, [10, 20, 25]), (2, [0, 0, 0])] {
        let at = Offset::new;
        let partition = Partition {
            leader_epoch: LeaderEpoch::new(5),
            watermarks: Watermarks {
                log_start: at(log_start),
                last_stable: at(high_watermark),
                high_watermark: at(high_watermark),
                log_end: at(log_end),
            },
            held_from: at(log_start),
            followers: vec![BrokerId(1), BrokerId(2)],
            holds_others: false,
        };
        let number = PartitionIndex::new(number).expect("not negative");
        server.lead(&name, TopicId::new([1; 16]), number, partition);
    }
    server
}

fn ends(_topic: TopicId, _partition: PartitionIndex, epoch: LeaderEpoch) -> Option<EpochEnd> {
    (epoch <= LeaderEpoch::new(5)).then_some(EpochEnd {
        epoch,
        end: Offset::new(20),
    })
}
