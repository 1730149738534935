//! What followers are sent over a socket, what they are kept waiting for, and when they are told
//! that we lead no more.

use std::time::Duration;

use kafka_protocol::messages::{ListOffsetsRequest, MetadataRequest};

use super::logs::TOPIC;
use super::scene::{EPOCH, ONE, PATIENCE, Scene, TWO, error, id, play, wanted};
use crate::leading::Options;
use crate::leading::inbox::{Moved, Order, Report};
use crate::model::{LeaderEpoch, Offset, TopicId};
use crate::protocol::ErrorCode;

/// A wait that nobody should need.
const LONG_MS: i32 = 20_000;

/// A topic that is made anew under the name.
const ANOTHER: TopicId = TopicId::new([8; 16]);

#[test]
fn followers_get_every_byte_and_the_drained_log_is_told() {
    play(Options::default(), |mut scene| async move {
        let mut log = scene.log(0, 1_000_000);
        for nth in 0..60 {
            log.append(nth / 20, 3, u64::from(nth % 9 == 8) * 5);
        }
        scene.everybody_lives().await;
        scene.lead(0, &log).await;
        let begun = scene.until_stands(0, |_| true).await;
        assert!(!begun.is_drained);
        let mut log_starts = Vec::new();
        for broker in [ONE, TWO] {
            let follower = scene.follower(broker).await;
            let early = follower.fetch(wanted(0, Offset::ZERO, -1), 0).await;
            assert_eq!(error(&early), ErrorCode::OFFSET_OUT_OF_RANGE);
            let all = follower.catch_up(0, log.start(), log.end()).await;
            assert!(all == log.bytes);
            let last = follower.fetch(wanted(0, log.end(), 2), 0).await;
            log_starts.push((last.log_start_offset, last.high_watermark));
        }
        // The last one's word has moved the high watermark before its last answer.
        let ends = [(1_000_000, 1_000_000), (1_000_000, log.end().value())];
        assert_eq!(log_starts, ends);
        let stood = scene.until_stands(0, |stood| stood.is_drained).await;
        assert_eq!(
            (stood.high_watermark, stood.log_end),
            (log.end(), log.end())
        );
        assert_eq!(stood.followers, [(ONE, log.end()), (TWO, log.end())]);
        let tally = scene
            .until("counts", |report| match report {
                Report::Tally(tally) if tally.record_bytes > 0 => Some(tally),
                _ => None,
            })
            .await;
        assert_eq!((tally.refused, tally.unservable, tally.closed), (0, 0, 0));
    });
}

#[test]
fn many_partitions_share_an_answer() {
    play(Options::default(), |scene| async move {
        scene.everybody_lives().await;
        let (mut logs, mut parts) = (Vec::new(), Vec::new());
        for number in 0..5 {
            let mut log = scene.log(number, 0);
            // Of every second one there is nothing to be had.
            for _ in 0..3 * (number % 2) {
                log.append_sized(0, 4, 0, 100);
            }
            scene.lead(number, &log).await;
            parts.push(wanted(number, Offset::ZERO, -1));
            logs.push(log);
        }
        let follower = scene.follower(ONE).await;
        let mut request = follower.request(parts, LONG_MS);
        let bytes = |records: &Option<bytes::Bytes>| records.as_ref().map_or(0, |all| all.len());
        for (most, expected) in [
            (10 << 20, [1, 1]),
            (logs[1].bytes.len(), [1, 0]),
            (1, [0, 0]),
        ] {
            request.max_bytes = i32::try_from(most).expect("small");
            let answer = follower.ask(18, &request).await.expect("it is answered");
            let told = &answer.responses[0].partitions;
            assert_eq!(told.len(), 5);
            let seen = [1, 3].map(|number| bytes(&told[number].records));
            let whole = [1, 3].map(|number: usize| logs[number].bytes.len());
            let whole = [whole[0] * expected[0], whole[1] * expected[1]];
            match most {
                // One batch is sent in any case, and no second one.
                1 => assert_eq!(seen, [logs[1].bytes.len() / 3, 0]),
                _ => assert_eq!(seen, whole),
            }
            let first = told[1].records.as_ref().expect("some");
            assert!(logs[1].bytes.starts_with(first));
            for empty in [0, 2, 4] {
                assert_eq!(bytes(&told[empty].records), 0);
            }
        }
    });
}

#[test]
fn a_batch_larger_than_any_answer_is_sent_alone() {
    let options = Options {
        answer_bytes_max: 1_000,
        ..Options::default()
    };
    play(options, |scene| async move {
        scene.everybody_lives().await;
        let mut log = scene.log(0, 0);
        let small = log.append(0, 1, 0);
        let before = log.end();
        let large = log.append_sized(0, 100, 0, 5_000);
        scene.lead(0, &log).await;
        let follower = scene.follower(ONE).await;
        let told = follower.fetch(wanted(0, Offset::ZERO, -1), 0).await;
        assert_eq!(told.records.expect("some"), small);
        let told = follower.fetch(wanted(0, before, 0), 0).await;
        assert_eq!(told.records.expect("some"), large);
        assert_eq!(told.high_watermark, 0);
    });
}

#[test]
fn a_fetch_is_held_until_there_is_something_or_its_time_is_over() {
    play(Options::default(), |scene| async move {
        scene.everybody_lives().await;
        let mut log = scene.log(0, 0);
        log.append(0, 1, 0);
        let end = log.end();
        scene.lead(0, &log).await;
        let follower = scene.follower(ONE).await;
        let asked_at = scene.now();
        let told = follower.fetch(wanted(0, end, 0), 300).await;
        assert_eq!(error(&told), ErrorCode::NONE);
        let waited = scene.now().since(asked_at);
        assert!(waited >= Duration::from_millis(300), "{waited:?}");
        assert!(told.records.is_none_or(|records| records.is_empty()));

        let asked_at = scene.now();
        follower
            .send(17, &follower.request(vec![wanted(0, end, 0)], LONG_MS))
            .await;
        scene.pause(50).await;
        let batch = log.append(0, 2, 0);
        scene.moved(0, &log).await;
        let answer = follower
            .answer::<kafka_protocol::messages::FetchRequest>(17)
            .await;
        let answer = answer.expect("it is answered");
        let records = answer.responses[0].partitions[0].records.clone();
        assert_eq!(records.expect("some"), batch);
        assert!(scene.now().since(asked_at) < PATIENCE / 3);
    });
}

/// Holds a fetch at the log's end, has something happen, and returns what it was answered.
async fn held(scene: &Scene, end: Offset, happens: impl AsyncFnOnce(&Scene)) -> (ErrorCode, i64) {
    let follower = scene.follower(ONE).await;
    let request = follower.request(vec![wanted(0, end, 0)], LONG_MS);
    follower.send(17, &request).await;
    scene.pause(50).await;
    let at = scene.now();
    happens(scene).await;
    let answer = follower
        .answer::<kafka_protocol::messages::FetchRequest>(17)
        .await;
    assert!(scene.now().since(at) < PATIENCE / 3, "at once");
    let told = &answer.expect("it is answered").responses[0].partitions[0];
    (error(told), told.diverging_epoch.end_offset)
}

#[test]
fn held_fetches_are_told_at_once_that_something_has_changed() {
    play(Options::default(), |scene| async move {
        scene.everybody_lives().await;
        let mut log = scene.log(0, 0);
        log.append(0, 5, 0);
        scene.lead(0, &log).await;
        let end = log.end();
        let resigned = held(&scene, end, async |scene| {
            scene.order(resign(TOPIC)).await;
        });
        assert_eq!(resigned.await.0, ErrorCode::NOT_LEADER_OR_FOLLOWER);

        scene.lead(0, &log).await;
        let led_anew = held(&scene, end, async |scene| {
            let mut told = scene.leadership(0, &log);
            told.leader_epoch = LeaderEpoch::new(EPOCH + 1);
            told.partition_epoch = 1;
            scene.order(Order::Lead(Box::new(told))).await;
        });
        assert_eq!(led_anew.await.0, ErrorCode::FENCED_LEADER_EPOCH);

        scene.order(resign(TOPIC)).await;
        scene.lead(0, &log).await;
        let cut = held(&scene, end, async |scene| {
            scene.order(resign(ANOTHER)).await;
            let moved = Moved {
                id: id(0),
                stamp: LeaderEpoch::new(EPOCH),
                log_start: Offset::ZERO,
                log_end: Offset::new(2),
                epochs: None,
            };
            scene.tell(moved).await;
        });
        assert_eq!(cut.await, (ErrorCode::NONE, 2), "it is told to cut as well");

        scene.order(resign(TOPIC)).await;
        scene.lead(0, &log).await;
        let anew = held(&scene, end, async |scene| {
            let mut told = scene.leadership(0, &log);
            told.topic_id = ANOTHER;
            scene.order(Order::Lead(Box::new(told))).await;
        });
        assert_eq!(anew.await.0, ErrorCode::UNKNOWN_TOPIC_ID);
    });
}

fn resign(topic_id: TopicId) -> Order {
    let id = id(0);
    Order::Resign { topic_id, id }
}

#[test]
fn after_the_lease_nothing_is_said_as_by_a_leader() {
    play(Options::default(), |scene| async move {
        scene.everybody_lives().await;
        let mut log = scene.log(0, 0);
        log.append(0, 5, 0);
        scene.lead(0, &log).await;
        let follower = scene.follower(ONE).await;
        let told = follower.fetch(wanted(0, Offset::ZERO, -1), 0).await;
        assert_eq!(error(&told), ErrorCode::NONE);
        // A fetch that was held while the process was frozen.
        let request = follower.request(vec![wanted(0, log.end(), 0)], 200);
        follower.send(17, &request).await;
        scene.pause(50).await;
        scene.lease.end();
        let answer = follower
            .answer::<kafka_protocol::messages::FetchRequest>(17)
            .await;
        let told = &answer.expect("it is answered").responses[0].partitions[0];
        assert_eq!(error(told), ErrorCode::NOT_LEADER_OR_FOLLOWER);
        let told = follower.fetch(wanted(0, Offset::ZERO, -1), 0).await;
        assert_eq!(error(&told), ErrorCode::NOT_LEADER_OR_FOLLOWER);
        scene.lease.extend(scene.now().after(PATIENCE));
        let told = follower.fetch(wanted(0, Offset::ZERO, -1), 0).await;
        assert_eq!(
            error(&told),
            ErrorCode::NONE,
            "the controller still trusts us"
        );
    });
}

#[test]
fn what_shards_tell_before_control_is_not_lost() {
    play(Options::default(), |scene| async move {
        scene.everybody_lives().await;
        let mut log = scene.log(0, 0);
        log.append(0, 1, 0);
        let before = scene.leadership(0, &log);
        log.append(0, 1, 0);
        scene.moved(0, &log).await;
        scene.order(Order::Lead(Box::new(before.clone()))).await;
        let follower = scene.follower(ONE).await;
        let all = follower.catch_up(0, log.start(), log.end()).await;
        assert!(all == log.bytes);
        // A change within the epoch says nothing of the log.
        let mut changed = before;
        changed.partition_epoch = 1;
        scene.order(Order::Lead(Box::new(changed))).await;
        let told = follower.fetch(wanted(0, log.end(), 0), 0).await;
        assert_eq!(error(&told), ErrorCode::NONE);
    });
}

#[test]
fn what_must_not_be_served_is_refused_and_counted() {
    play(Options::default(), |mut scene| async move {
        scene.everybody_lives().await;
        let mut log = scene.log(0, 0);
        let ours = log.append(EPOCH, 1, 0);
        let sound = log.end();
        log.append(EPOCH + 1, 1, 0);
        let mut told = scene.leadership(0, &log);
        told.epochs = super::logs::epochs(&[(EPOCH, 0)]);
        scene.order(Order::Lead(Box::new(told))).await;
        let mut other = scene.log(1, 0);
        other.append(EPOCH, 1, 0);
        scene.lead(1, &other).await;
        let follower = scene.follower(ONE).await;
        let told = follower.fetch(wanted(0, Offset::ZERO, -1), 0).await;
        assert_eq!(told.records.expect("some"), ours);
        // It is told at once, and the others get theirs.
        let both = vec![wanted(0, sound, EPOCH), wanted(1, Offset::ZERO, -1)];
        let answer = follower.ask(17, &follower.request(both, LONG_MS)).await;
        let answer = answer.expect("it is answered");
        let [refused, served] = &answer.responses[0].partitions[..] else {
            panic!("{answer:?}");
        };
        assert_eq!(error(refused), ErrorCode::KAFKA_STORAGE_ERROR);
        assert_eq!(error(served), ErrorCode::NONE);
        assert_eq!(served.records.clone().expect("some"), other.bytes);
        let alone = follower.fetch(wanted(0, sound, EPOCH), LONG_MS).await;
        assert_eq!(error(&alone), ErrorCode::KAFKA_STORAGE_ERROR);
        let counted = |report| match report {
            Report::Tally(tally) if tally.unservable == 2 => Some(()),
            _ => None,
        };
        scene.until("a count", counted).await;
    });
}

#[test]
fn whoever_talks_nonsense_is_shown_out_and_others_stay() {
    let options = Options {
        connections_max: 2,
        ..Options::default()
    };
    play(options, |mut scene| async move {
        scene.everybody_lives().await;
        let log = scene.log(0, 0);
        scene.lead(0, &log).await;
        let follower = scene.follower(ONE).await;
        let told = follower.fetch(wanted(0, Offset::ZERO, -1), 0).await;
        assert_eq!(error(&told), ErrorCode::NONE);
        for nonsense in [
            &[0xff; 8][..],
            b"GET / HTTP/1.1\r\n\r\n",
            &[0, 0, 0, 2, 0, 1],
        ] {
            let stranger = scene.follower(TWO).await;
            stranger.send_bytes(nonsense).await;
            let answer = stranger.answer::<MetadataRequest>(12).await;
            assert!(answer.is_none());
            // Its place is free once its task has ended.
            scene.pause(20).await;
        }
        let stranger = scene.follower(TWO).await;
        assert!(
            stranger
                .ask(12, &MetadataRequest::default())
                .await
                .is_none()
        );
        scene.pause(20).await;
        let second = scene.follower(TWO).await;
        let request = ListOffsetsRequest::default();
        assert!(second.ask(9, &request).await.is_some());
        let third = scene.follower(TWO).await;
        assert!(
            third.answer::<MetadataRequest>(12).await.is_none(),
            "too many"
        );
        let told = follower.fetch(wanted(0, Offset::ZERO, -1), 0).await;
        assert_eq!(error(&told), ErrorCode::NONE);
        let counted = |report| match report {
            Report::Tally(tally) if tally.closed == 5 && tally.connections == 2 => Some(()),
            _ => None,
        };
        scene.until("a count", counted).await;
        scene.order(Order::Close).await;
        let gone = follower.ask(9, &request).await;
        assert!(gone.is_none(), "all are shown out at the end");
    });
}
