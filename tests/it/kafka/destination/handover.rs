//! Partitions change hands between brokers, and the new leader's log is looked at.

use std::collections::BTreeMap;
use std::time::Instant;

use twinlog::control::destination::handover::{
    Drained, HandedOver, HandoverFault, Led, Options, hand_over, restore,
};
use twinlog::control::destination::producer_ids::{Mark, running_below};
use twinlog::control::destination::topics::create;
use twinlog::model::{LeaderEpoch, Offset, PartitionIndex, ProducerId, TopicPartition};
use twinlog::session::Trial;

use super::topics::{name, topic};
use super::*;

/// Broker 1 stands for a node of ours.
const NODE: BrokerId = BrokerId(1);
const PARTITIONS: usize = 100;
const RECORDS: i64 = 2_000;

#[test]
fn drained_partitions_go_to_whoever_is_in_sync_and_are_compared() {
    let Some(_turn) = Turn::take("drained_partitions_go_to_whoever_is_in_sync") else {
        return;
    };
    for version in versions() {
        let workload = Arc::new(Workload::start(&version));
        let cluster = Cluster::start(&workload, "handing", 2, &[]);
        let controller = address(&cluster.controllers());
        let brokers = brokers(&cluster, &[1, 2]);
        on_control(async |world| {
            register(&world, &controller).await;
            let mut admin = connect(&world, &brokers[&BrokerId(2)]).await;
            let replicas = [&[1, 2][..]; PARTITIONS];
            let topics = [topic("many", &replicas), topic("short", &[&[1, 2, 9001]])];
            let made = create(&mut admin, &topics, Trial::No).await;
            assert!(made.expect("an answer").values().all(Result::is_ok));
            for (topic, count) in [("many", RECORDS), ("short", 5)] {
                let partitions = format!("topics={topic}");
                while cluster.try_ask(&format!("offsets {partitions}")).is_err() {}
                cluster.ask(&format!("produce topic={topic} count={count} acks=all"));
            }
            let hands = Hands {
                world: &world,
                brokers: &brokers,
            };
            hands.are_changed(&cluster, &mut admin, &version).await;
            hands.wait_for_nobody(&cluster, &mut admin).await;
            hands.are_watched(&cluster).await;
            unregister(&world, &controller).await;
        });
    }
}

struct Hands<'a> {
    world: &'a RealWorld,
    brokers: &'a Brokers,
}

impl Hands<'_> {
    async fn hand_over(&self, admin: &mut Client<RealWorld>, drained: &[Drained]) -> HandedOver {
        let to = (NODE, self.brokers);
        let mut heard = HandedOver::new();
        let mut hear = |id: &TopicPartition, outcome: &Result<Led, HandoverFault>| {
            heard.insert(id.clone(), outcome.clone());
        };
        let what = (drained, Options::default());
        let handed = hand_over(self.world, OPENING, admin, to, what, &mut hear).await;
        let handed = handed.unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!(heard, handed, "each was told of");
        handed
    }

    async fn are_changed(&self, cluster: &Cluster, admin: &mut Client<RealWorld>, version: &str) {
        let mut all = drained(cluster, "many", &[1, 2], &[1, 2]);
        assert_eq!(all.len(), PARTITIONS);
        // One of them claims to have had more.
        let claimed = all[7].log_end.value() + 1;
        all[7].log_end = Offset::new(claimed);
        let begun = Instant::now();
        let handed = self.hand_over(admin, &all).await;
        let took = begun.elapsed();
        eprintln!("Kafka {version}: {PARTITIONS} partitions handed over in {took:?}");
        for (nth, one) in all.iter().enumerate() {
            match (&handed[&one.id], nth) {
                (Err(HandoverFault::Differs { ours, theirs, .. }), 7) => {
                    assert_eq!((ours.value(), theirs.value()), (claimed, claimed - 1));
                }
                (Ok(led), _) => {
                    assert_eq!(led.leader, BrokerId(2));
                    assert_eq!(led.epoch, LeaderEpoch::new(1));
                    assert!(led.left_out.is_empty());
                }
                (outcome, _) => panic!("{}: {outcome:?}", one.id),
            }
        }
        // What clients write meanwhile is no difference, and to do it again is to look again.
        cluster.ask("produce topic=many count=500 acks=all");
        let again = self.hand_over(admin, &all).await;
        assert_eq!(again, handed);
    }

    /// A replica that is not in sync would keep the old leader in office.
    async fn wait_for_nobody(&self, cluster: &Cluster, admin: &mut Client<RealWorld>) {
        let believed = drained(cluster, "short", &[1, 2, 9001], &[1, 2, 9001]);
        let handed = self.hand_over(admin, &believed).await;
        let led = handed[&believed[0].id].as_ref().expect("it is led");
        assert_eq!((led.leader, &led.left_out[..]), (BrokerId(2), &[US][..]));
        let refused = restore(admin, NODE, &believed, &handed).await;
        assert!(refused.expect("an answer").is_empty());
        let under_way = admin.reassignments().await.expect("an answer");
        assert_eq!(under_way[&believed[0].id].adding, [US]);
    }

    /// The producers of before are known by their ids.
    async fn are_watched(&self, cluster: &Cluster) {
        let led = (0..PARTITIONS).map(|index| partition("many", index));
        let led = BTreeMap::from([(BrokerId(2), led.collect::<Vec<_>>())]);
        let below = |mark| running_below(self.world, OPENING, self.brokers, led.clone(), mark);
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
}

fn partition(topic: &str, index: usize) -> TopicPartition {
    let index = i32::try_from(index).expect("small");
    TopicPartition {
        topic: name(topic),
        partition: PartitionIndex::new(index).expect("not negative"),
    }
}

fn drained(cluster: &Cluster, topic: &str, replicas: &[i32], in_sync: &[i32]) -> Vec<Drained> {
    let ids = |ids: &[i32]| ids.iter().map(|id| BrokerId(*id)).collect();
    let offsets = cluster.offsets(topic);
    let each = offsets.iter().map(|one| Drained {
        id: partition(
            &one.topic,
            usize::try_from(one.index).expect("not negative"),
        ),
        replicas: ids(replicas),
        in_sync: ids(in_sync),
        log_end: Offset::new(one.high_watermark),
        leader_epoch: LeaderEpoch::new(0),
    });
    each.collect()
}
