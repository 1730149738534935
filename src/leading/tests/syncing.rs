//! Who comes into sync and who is done without, as control hears of it.

use super::logs::TOPIC;
use super::scene::{EPOCH, ONE, Scene, TWO, US, id, life, play, wanted};
use crate::leading::Options;
use crate::leading::inbox::{IsrChange, IsrFate, Order, Report};
use crate::model::{BrokerId, LeaderEpoch};
use crate::protocol::ErrorCode;

async fn proposed(scene: &mut Scene) -> IsrChange {
    let proposal = |report| match report {
        Report::Propose(change) => Some(change),
        _ => None,
    };
    scene.until("a proposal", proposal).await
}

fn proposals(reports: &[Report]) -> usize {
    let proposals = reports
        .iter()
        .filter(|report| matches!(report, Report::Propose(_)));
    proposals.count()
}

async fn tell(scene: &Scene, fate: IsrFate) {
    let partition = id(0).partition;
    let order = Order::Fate {
        topic_id: TOPIC,
        partition,
        fate,
    };
    scene.order(order).await;
}

fn members(change: &IsrChange) -> Vec<BrokerId> {
    change.isr.iter().map(|(id, _)| *id).collect()
}

#[test]
fn whoever_has_caught_up_is_proposed_once_and_then_counts() {
    play(Options::default(), |mut scene| async move {
        scene.everybody_lives().await;
        let mut log = scene.log(0, 0);
        log.append(0, 4, 0);
        let mut told = scene.leadership(0, &log);
        told.isr = vec![US, TWO];
        scene.order(Order::Lead(Box::new(told))).await;
        let (one, two) = (scene.follower(ONE).await, scene.follower(TWO).await);
        let end = log.end();
        one.catch_up(0, log.start(), end).await;
        let change = proposed(&mut scene).await;
        assert_eq!(members(&change), [US, TWO, ONE]);
        assert_eq!(change.isr[2].1, life(ONE));
        let about = (change.topic, change.leader_epoch, change.partition_epoch);
        assert_eq!(about, (TOPIC, LeaderEpoch::new(EPOCH), 0));
        for _ in 0..3 {
            one.fetch(wanted(0, end, 0), 0).await;
        }
        scene.pause(30).await;
        assert_eq!(proposals(&scene.reported()), 0, "nobody is proposed twice");
        tell(&scene, IsrFate::Reverted).await;
        scene.pause(30).await;
        assert_eq!(proposals(&scene.reported()), 0, "nobody without a fetch");
        one.fetch(wanted(0, end, 0), 0).await;
        proposed(&mut scene).await;
        let isr = vec![US, TWO, ONE];
        let fate = IsrFate::Committed {
            isr,
            partition_epoch: 1,
        };
        tell(&scene, fate).await;
        // The second one has yet to fetch: nothing is safe before.
        two.catch_up(0, log.start(), end).await;
        scene.until_stands(0, |stood| stood.is_drained).await;
        log.append(0, 1, 0);
        scene.moved(0, &log).await;
        two.catch_up(0, end, log.end()).await;
        let stood = scene
            .until_stands(0, |stood| stood.followers[1].1 == log.end())
            .await;
        assert_eq!((stood.high_watermark, stood.is_drained), (end, false));
    });
}

#[test]
fn whoever_is_not_alive_by_the_metadata_is_served_and_not_counted() {
    play(Options::default(), |mut scene| async move {
        let some = [US, TWO].map(|id| (id, life(id)));
        scene.order(Order::Brokers(some.into())).await;
        let mut log = scene.log(0, 0);
        log.append(0, 4, 0);
        let mut told = scene.leadership(0, &log);
        told.isr = vec![US];
        told.high_watermark = log.end();
        scene.order(Order::Lead(Box::new(told))).await;
        let one = scene.follower(ONE).await;
        let all = one.catch_up(0, log.start(), log.end()).await;
        assert!(all == log.bytes);
        scene.pause(30).await;
        assert_eq!(proposals(&scene.reported()), 0, "it is fenced");
        scene.everybody_lives().await;
        one.fetch(wanted(0, log.end(), 0), 0).await;
        assert_eq!(members(&proposed(&mut scene).await), [US, ONE]);
    });
}

#[test]
fn whoever_is_silent_is_done_without() {
    let options = Options {
        replica_lag_max_ms: 300,
        ..Options::default()
    };
    play(options, |mut scene| async move {
        scene.everybody_lives().await;
        let mut log = scene.log(0, 0);
        log.append(0, 4, 0);
        scene.lead(0, &log).await;
        let one = scene.follower(ONE).await;
        one.catch_up(0, log.start(), log.end()).await;
        let mut change = None;
        while change.is_none() {
            let told = one.fetch(wanted(0, log.end(), 0), 20).await;
            assert_eq!(super::scene::error(&told), ErrorCode::NONE);
            change = scene
                .reported()
                .into_iter()
                .find_map(|report| match report {
                    Report::Propose(change) => Some(change),
                    _ => None,
                });
        }
        let change = change.expect("found");
        assert_eq!(members(&change), [US, ONE]);
        let isr = vec![US, ONE];
        let fate = IsrFate::Committed {
            isr,
            partition_epoch: 1,
        };
        tell(&scene, fate).await;
        scene.until_stands(0, |stood| stood.is_drained).await;
        // Now nobody fetches: we never propose to be alone.
        scene.pause(1_000).await;
        assert_eq!(proposals(&scene.reported()), 0);
    });
}
