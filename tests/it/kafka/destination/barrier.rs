//! The allocator of producer ids is pushed past a mark, and no broker gives a lower id any more.

use std::time::{Duration, Instant};

use twinlog::control::destination::producer_ids::{
    BarrierFault, Mark, Options, Pushed, drain, push,
};
use twinlog::model::ProducerId;

use super::super::asking::heard;
use super::super::mirrored::Mirrored;
use super::super::node::APART;
use super::*;

/// A million ids: as many as a cluster gives out in its first years.
const LARGEST: i64 = 1_000_000;

#[test]
fn no_broker_gives_an_id_that_the_source_may_have_given() {
    let Some(_turn) = Turn::take("no_broker_gives_an_id_that_the_source_may_have_given") else {
        return;
    };
    for version in newest_and_another("barrier") {
        let workload = Arc::new(Workload::start(&version));
        let cluster = Cluster::start(&workload, "barrier", 2, &[]);
        let controller = address(&cluster.controllers());
        let brokers = brokers(&cluster, &[1, 2]);
        on_control(|world| async move {
            stands(&world, &controller, &brokers, &version).await;
            unregister(&world, &controller).await;
        });
    }
}

async fn stands(world: &RealWorld, controller: &BrokerAddress, brokers: &Brokers, version: &str) {
    let us = register(world, controller).await;
    let mark = Mark::beyond(ProducerId::from_wire(LARGEST), 0);
    let options = Options {
        blocks_per_second: 1_000_000,
        ..Options::default()
    };
    // Each broker holds a block from before.
    let low = drain(world, OPENING, brokers, Mark::default(), &options).await;
    for drained in low.into_values() {
        assert!(drained.expect("an id").given.value() < LARGEST);
    }
    let begun = Instant::now();
    let known = (mark, 0);
    let pushed = push(world, OPENING, (controller, us), known, &options).await;
    let pushed = pushed.unwrap_or_else(|fault| panic!("{fault}"));
    let took = begun.elapsed();
    assert!(pushed.next >= mark.value(), "{pushed:?}");
    let needed = (LARGEST + 1).unsigned_abs().div_ceil(1_000);
    assert!((needed - 3..=needed).contains(&pushed.blocks), "{pushed:?}");
    let begun = Instant::now();
    let drained = drain(world, OPENING, brokers, mark, &options).await;
    eprintln!(
        "Kafka {version}: {} blocks in {took:?}, {:.0} ids/s; drained in {:?}: {drained:?}",
        pushed.blocks,
        (pushed.blocks * 1_000) as f64 / took.as_secs_f64(),
        begun.elapsed()
    );
    for (broker, at) in brokers {
        let drained = drained[broker].as_ref().expect("it is past");
        assert!((2..=1_000).contains(&drained.calls), "{drained:?}");
        let mut client = connect(world, at).await;
        for _ in 0..3 {
            let given = client.new_producer_id().await.expect("an answer");
            assert!(mark.is_passed_by(given.expect("an id")), "broker {broker}");
        }
    }
    is_repeated(world, (controller, us), brokers, (mark, pushed)).await;
}

/// What is done is done: nothing is taken twice, and a wrong life is refused.
async fn is_repeated(
    world: &RealWorld,
    (controller, us): (&BrokerAddress, Registered),
    brokers: &Brokers,
    (mark, pushed): (Mark, Pushed),
) {
    let options = Options::default();
    let known = (mark, pushed.next);
    let again = push(world, OPENING, (controller, us), known, &options).await;
    let again = again.expect("nothing to do");
    assert_eq!((again.blocks, again.next), (0, pushed.next));
    let unknown = (mark, 0);
    let again = push(world, OPENING, (controller, us), unknown, &options).await;
    assert_eq!(again.expect("one block tells").blocks, 1);
    for drained in drain(world, OPENING, brokers, mark, &options)
        .await
        .into_values()
    {
        assert_eq!(drained.expect("past already").calls, 1);
    }
    let earlier = Registered {
        epoch: BrokerEpoch::new(us.epoch.value() - 1),
        ..us
    };
    let further = (Mark::beyond(ProducerId::from_wire(2 * LARGEST), 0), 0);
    let refused = push(world, OPENING, (controller, earlier), further, &options).await;
    let refused = refused.expect_err("that life is over");
    assert!(
        matches!(
            refused,
            BarrierFault::Refused(ErrorCode::STALE_BROKER_EPOCH)
        ),
        "{refused}"
    );
}

#[test]
fn one_that_stood_still_when_topics_were_handed_over_gives_no_such_id_once_it_is_back() {
    let test = "one_that_stood_still_when_topics_were_handed_over_gives_no_such_id_once_it_is_back";
    let Some(_turn) = Turn::take(test) else {
        return;
    };
    for version in newest() {
        stood_still_and_is_back(&version);
    }
}

fn stood_still_and_is_back(version: &str) {
    let workload = Arc::new(Workload::start(version));
    let source = Cluster::start(&workload, "still-source", 1, &[]);
    source.ask("create topic=still assign=1");
    source.ask("produce topic=still count=10 acks=all idempotent=true");
    let settings = [&APART[..], &[("broker.session.timeout.ms", "6000")]].concat();
    let destination = Cluster::start(&workload, "still-destination", 2, &settings);
    let from_before = one_id_each(&destination, &[1, 2]);
    assert!(from_before < LARGEST, "{from_before}");
    let mut mirrored = Mirrored::between(source, destination, "still");
    mirrored.destination.pause(2);
    let deadline = Instant::now() + Duration::from_secs(60);
    while heard(&mirrored.destination.broker(1), "still").alive != [1] {
        assert!(Instant::now() < deadline, "it is not fenced");
        std::thread::sleep(Duration::from_millis(200));
    }
    mirrored.node.start();
    let node = &mut mirrored.node;
    node.until("caught up", 1, |one| one.is_caught_up());
    // Nobody waits for what may be dead, and it is said.
    let stop = ["stop", "--mirror", "dr", "--topics", "still", "--wait"];
    let stopped = node.mirrors(&stop);
    let shown = &stopped.expect_code(0).stdout;
    assert!(shown.contains("still-0: broker 2 was fenced"), "{shown}");
    node.until_said("broker 2 is fenced and was not asked");
    mirrored.destination.resume(2);
    mirrored.node.until_said("broker 2 runs on");
    let given = one_id_each(&mirrored.destination, &[2]);
    // As far beyond the source's as is left for those to come.
    assert!(given > 50_000, "{given}");
    mirrored.node.stop().expect_code(0);
}

/// The largest that they give.
fn one_id_each(cluster: &Cluster, nodes: &[u32]) -> i64 {
    let brokers = brokers(cluster, nodes);
    on_control(|world| async move {
        let options = Options::default();
        let given = drain(&world, OPENING, &brokers, Mark::default(), &options).await;
        let given = given.into_values();
        let given = given.map(|one| one.expect("an id").given.value());
        given.max().expect("somebody was asked")
    })
}
