//! Partitions change hands between brokers, and what the new leader has is compared with what the
//! old one had.

use std::time::{Duration, Instant};

use twinlog::control::destination::producer_ids::{Led, Mark, running_below};
use twinlog::control::destination::reassign;
use twinlog::control::destination::succession::{Left, LeftEnd, Verdict, compare};
use twinlog::control::destination::topics::create;
use twinlog::model::{LeaderEpoch, Offset, PartitionIndex, ProducerId, TopicPartition};
use twinlog::session::{PartitionAsked, Trial};

use super::topics::{name, topic};
use super::*;

const PARTITIONS: usize = 100;
const RECORDS: i64 = 2_000;
/// How long the new leader may take.
const WITHIN: Duration = Duration::from_secs(60);

/// Broker 1 stands for a node of ours, which 2 succeeds.
#[test]
fn whoever_succeeds_us_is_compared_exactly() {
    let Some(_turn) = Turn::take("whoever_succeeds_us_is_compared_exactly") else {
        return;
    };
    for version in newest_and_another("succession") {
        let workload = Arc::new(Workload::start(&version));
        let cluster = Cluster::start(&workload, "succeeding", 2, &[]);
        let controller = address(&cluster.controllers());
        let brokers = brokers(&cluster, &[1, 2]);
        on_control(async |world| {
            register(&world, &controller).await;
            let mut admin = connect(&world, &brokers[&BrokerId(2)]).await;
            let topics = [topic("many", &[&[1, 2][..]; PARTITIONS])];
            let made = create(&mut admin, &topics, Trial::No).await;
            assert!(made.expect("an answer").values().all(Result::is_ok));
            while cluster.try_ask("offsets topics=many").is_err() {}
            cluster.ask(&format!("produce topic=many count={RECORDS} acks=all"));
            cluster.ask("produce topic=many partition=7 count=5 acks=all");
            let mut left = left(&cluster);
            assert_eq!(left.len(), PARTITIONS);
            let to_two = left
                .iter()
                .map(|one| (one.asked.id.clone(), vec![BrokerId(2)]));
            let refused = reassign(&mut admin, &to_two.collect::<Vec<_>>()).await;
            assert!(refused.expect("an answer").is_empty());
            is_the_same(&world, &brokers, &left).await;
            // What clients write meanwhile is no difference, and one record more or less is one.
            cluster.ask("produce topic=many count=500 acks=all");
            is_the_same(&world, &brokers, &left).await;
            let LeftEnd::At(end) = left[7].end else {
                panic!("it was seen")
            };
            for claimed in [end.value() + 1, end.value() - 1] {
                left[7].end = LeftEnd::At(Offset::new(claimed));
                let verdicts = compared(&world, &brokers, &left).await;
                let differ = |one: &&Verdict| matches!(one, Verdict::Differs(_));
                assert_eq!(verdicts.iter().filter(differ).count(), 1);
                assert!(matches!(verdicts[7], Verdict::Differs(_)));
            }
            left[7].end = LeftEnd::At(end);
            // Whoever has deleted all that was ours has not lost it.
            cluster.ask("produce topic=many partition=7 count=5 acks=all");
            let trim = format!("trim topic=many partition=7 before={}", end.value() + 1);
            cluster.ask(&trim);
            is_the_same(&world, &brokers, &left).await;
            are_watched(&world, &cluster, &brokers).await;
            unregister(&world, &controller).await;
        });
    }
}

async fn compared(world: &RealWorld, brokers: &Brokers, left: &[Left]) -> Vec<Verdict> {
    let leader = &brokers[&BrokerId(2)];
    let verdicts = compare(world, OPENING, leader, left).await;
    verdicts.unwrap_or_else(|fault| panic!("{fault}"))
}

async fn is_the_same(world: &RealWorld, brokers: &Brokers, left: &[Left]) {
    let deadline = Instant::now() + WITHIN;
    loop {
        let verdicts = compared(world, brokers, left).await;
        if verdicts.iter().all(|one| *one == Verdict::Same) {
            return;
        }
        let waits = |one: &Verdict| matches!(one, Verdict::Same | Verdict::NotYet(_));
        assert!(verdicts.iter().all(waits), "{verdicts:?}");
        assert!(Instant::now() < deadline, "{verdicts:?}");
    }
}

/// The producers of before are known by their ids.
async fn are_watched(world: &RealWorld, cluster: &Cluster, brokers: &Brokers) {
    let led = (0..PARTITIONS).map(|index| partition("many", index));
    let led = Led {
        by: [(BrokerId(2), led.collect())].into(),
        by_nobody: Vec::new(),
    };
    let below = |mark| running_below(world, OPENING, brokers, led.clone(), mark);
    cluster.ask("produce topic=many count=10 acks=all idempotent=true");
    let beyond = Mark::beyond(ProducerId::from_wire(1_000_000), 0);
    let found = below(beyond).await;
    assert!(
        found.untold.is_empty() && found.silent.is_empty(),
        "{found:?}"
    );
    assert!(!found.below.is_empty(), "it has just written");
    assert!(below(Mark::default()).await.below.is_empty());
}

fn partition(topic: &str, index: usize) -> TopicPartition {
    let index = i32::try_from(index).expect("small");
    TopicPartition {
        topic: name(topic),
        partition: PartitionIndex::new(index).expect("not negative"),
    }
}

/// What its first leader has of the topic.
fn left(cluster: &Cluster) -> Vec<Left> {
    let offsets = cluster.offsets("many");
    let each = offsets.iter().map(|one| Left {
        asked: PartitionAsked {
            id: partition(
                &one.topic,
                usize::try_from(one.index).expect("not negative"),
            ),
            leader_epoch: LeaderEpoch::new(1),
        },
        end: LeftEnd::At(Offset::new(one.high_watermark)),
        led_in: LeaderEpoch::new(0),
    });
    each.collect()
}
