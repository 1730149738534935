//! Transactions of the destination's own producers that reach into a topic which a node mirrors.
//!
//! A client cannot write to such a topic, but it may say that its transaction does, and then its
//! coordinator asks the node to write how the transaction has ended. A coordinator ends its whole
//! process on an answer that it does not expect, and never completes a transaction without one.

use std::time::{Duration, Instant};

use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, DescribeTransactionsRequest, EndTxnRequest, FindCoordinatorRequest,
    InitProducerIdRequest, ProducerId, TopicName, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;

use super::asking::ask;
use super::mirrored::Mirrored;
use super::*;

const TOPIC: &str = "told";
const PARTITIONS: usize = 2;
/// A coordinator that waits for a leader asks it again every 100 ms.
const WITHIN: Duration = Duration::from_secs(20);
/// How `FindCoordinator` calls transactions.
const TRANSACTIONS: i8 = 1;
const COORDINATOR_NOT_AVAILABLE: i16 = 15;

#[test]
fn a_coordinator_completes_what_reaches_into_a_mirror() {
    let test = "a_coordinator_completes_what_reaches_into_a_mirror";
    let Some(_turn) = Turn::take(test) else {
        return;
    };
    for version in oldest_and_newest() {
        completes(&version);
    }
}

fn completes(version: &str) {
    let workload = Arc::new(Workload::start(version));
    let mut mirrored = Mirrored::begin(&workload, "marking", TOPIC);
    let source = &mirrored.source;
    source.ask(&format!("create topic={TOPIC} partitions={PARTITIONS}"));
    source.ask(&format!("transact topic={TOPIC} id=theirs txns=4 count=5"));
    // Before the node can be told to hold some of the coordinators' own topic.
    coordinator(&mirrored.destination, "commits");
    mirrored.node.start();
    let caught_up = |one: &node::Described| one.is_caught_up();
    mirrored.node.until("caught up", PARTITIONS, caught_up);
    mirrored.arrives(TOPIC, "before");

    for (is_committed, id) in [(true, "commits"), (false, "aborts")] {
        let ours = Transaction::begin(&mirrored.destination, id);
        ours.reaches_into_the_mirror();
        mirrored.node.pause();
        ours.end(is_committed);
        let waiting = ours.state();
        mirrored.node.resume();
        assert!(waiting.starts_with("Prepare"), "{id}: {waiting}");
        ours.completes();
    }
    // Of those markers there is none in the mirror, and what the source writes arrives as ever.
    let source = &mirrored.source;
    source.ask(&format!("transact topic={TOPIC} id=theirs txns=4 count=5"));
    mirrored.arrives(TOPIC, "after");
    let ends = mirrored.source.offsets(TOPIC);
    let stop = ["stop", "--mirror", "dr", "--topics", TOPIC, "--wait"];
    mirrored.node.mirrors(&stop).expect_code(0);
    assert_eq!(mirrored.destination.offsets(TOPIC), ends);
    // The coordinators live, and whoever had such a transaction goes on with the topic.
    let destination = &mirrored.destination;
    for id in ["commits", "aborts"] {
        destination.ask(&format!("transact topic={TOPIC} id={id} txns=1 count=1"));
    }
    mirrored.node.stop().expect_code(0);
}

/// Where the coordinator of a transactional id listens. Whoever asks first has its topic made.
fn coordinator(cluster: &Cluster, id: &str) -> String {
    let request = FindCoordinatorRequest::default()
        .with_key(StrBytes::from_string(id.to_owned()))
        .with_key_type(TRANSACTIONS);
    let begun = Instant::now();
    loop {
        let found = ask(&cluster.broker(1), 3, &request);
        if found.error_code == 0 {
            return format!("{}:{}", found.host, found.port);
        }
        let is_making = found.error_code == COORDINATOR_NOT_AVAILABLE;
        assert!(is_making && begun.elapsed() < WITHIN, "{found:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A transaction at the destination, spoken by hand: clients add a partition to one only when they
/// find who leads it.
struct Transaction {
    id: TransactionalId,
    coordinator: String,
    producer: ProducerId,
    epoch: i16,
}

impl Transaction {
    fn begin(cluster: &Cluster, id: &str) -> Transaction {
        let coordinator = coordinator(cluster, id);
        let id = TransactionalId(StrBytes::from_string(id.to_owned()));
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(id.clone()))
            .with_transaction_timeout_ms(60_000)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let given = ask(&coordinator, 4, &request);
        assert_eq!(given.error_code, 0, "{given:?}");
        Transaction {
            id,
            coordinator,
            producer: given.producer_id,
            epoch: given.producer_epoch,
        }
    }

    fn reaches_into_the_mirror(&self) {
        let topic = AddPartitionsToTxnTopic::default()
            .with_name(TopicName(StrBytes::from_static_str(TOPIC)))
            .with_partitions(vec![0, 1]);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(self.id.clone())
            .with_v3_and_below_producer_id(self.producer)
            .with_v3_and_below_producer_epoch(self.epoch)
            .with_v3_and_below_topics(vec![topic]);
        let added = ask(&self.coordinator, 3, &request);
        let results = added.results_by_topic_v3_and_below.iter();
        let partitions = results.flat_map(|topic| &topic.results_by_partition);
        let errors: Vec<i16> = partitions.map(|one| one.partition_error_code).collect();
        assert_eq!(errors, [0; PARTITIONS], "{added:?}");
    }

    fn end(&self, is_committed: bool) {
        let request = EndTxnRequest::default()
            .with_transactional_id(self.id.clone())
            .with_producer_id(self.producer)
            .with_producer_epoch(self.epoch)
            .with_committed(is_committed);
        let ended = ask(&self.coordinator, 3, &request);
        assert_eq!(ended.error_code, 0, "{ended:?}");
    }

    fn state(&self) -> String {
        let ids = vec![self.id.clone()];
        let request = DescribeTransactionsRequest::default().with_transactional_ids(ids);
        let told = ask(&self.coordinator, 0, &request);
        let state = &told.transaction_states[0];
        assert_eq!(state.error_code, 0, "{told:?}");
        state.transaction_state.to_string()
    }

    fn completes(&self) {
        let begun = Instant::now();
        loop {
            let state = self.state();
            if state.starts_with("Complete") {
                return;
            }
            assert!(begun.elapsed() < WITHIN, "{:?}: {state}", self.id);
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}
