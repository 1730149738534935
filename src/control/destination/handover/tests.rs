//! Who goes on, what is asked again, and when a new leader's log counts as ours.

use super::leaders::Replies;
use super::verdict::{Verdict, judge};
use super::*;
use crate::model::{Instant, PartitionIndex, TopicId, TopicName};
use crate::session::{ClusterView, LogEnd, PartitionView, TopicView};

const US: BrokerId = BrokerId(9001);

fn ids(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().map(|id| BrokerId(*id)).collect()
}

fn drained(partition: i32, replicas: &[i32], in_sync: &[i32]) -> Drained {
    Drained {
        id: id(partition),
        replicas: ids(replicas),
        in_sync: ids(in_sync),
        log_end: Offset::new(500),
        leader_epoch: LeaderEpoch::new(3),
    }
}

fn id(partition: i32) -> TopicPartition {
    TopicPartition {
        topic: TopicName::new("orders").expect("legal"),
        partition: PartitionIndex::new(partition).expect("not negative"),
    }
}

/// What a broker shows: leader, epoch, replicas, in sync.
type Shown<'a> = (Option<i32>, i32, &'a [i32], &'a [i32]);

fn view(shown: &[Shown<'_>]) -> ClusterView {
    let partitions = (0..).zip(shown).map(|(index, shown)| PartitionView {
        index: PartitionIndex::new(index).expect("not negative"),
        leader: shown.0.map(BrokerId),
        epoch: LeaderEpoch::new(shown.1),
        replicas: ids(shown.2),
        in_sync: ids(shown.3),
    });
    ClusterView {
        topics: vec![TopicView {
            name: TopicName::new("orders").expect("legal"),
            id: TopicId::ZERO,
            error: ErrorCode::NONE,
            partitions: partitions.collect(),
        }],
        ..ClusterView::default()
    }
}

fn end(offset: i64, epoch: i32) -> Result<LogEnd, ErrorCode> {
    Ok(LogEnd {
        offset: Offset::new(offset),
        leader_epoch: LeaderEpoch::new(epoch),
    })
}

fn began(offset: i64) -> Option<Result<Option<(LeaderEpoch, Offset)>, ErrorCode>> {
    Some(Ok(Some((LeaderEpoch::new(3), Offset::new(offset)))))
}

#[test]
fn only_those_in_sync_are_named_and_nobody_is_a_fault() {
    let all = [
        drained(0, &[9001, 1, 2], &[2, 9001, 1]),
        drained(1, &[9001, 1, 2], &[9001, 2]),
        drained(2, &[9001, 1], &[9001]),
    ];
    let round = Round::new(US, &all, Instant::default(), Options::default());
    let expected = [(id(0), ids(&[1, 2])), (id(1), ids(&[2]))];
    assert_eq!(round.first_moves(), expected);
    let nobody = Err(HandoverFault::NobodyInSync(id(2)));
    assert_eq!(round.into_done(), BTreeMap::from([(id(2), nobody)]));
}

#[test]
fn whoever_falls_out_of_sync_is_left_out_and_named() {
    let all = [drained(0, &[9001, 1, 2], &[9001, 1, 2])];
    let mut round = Round::new(US, &all, Instant::default(), Options::default());
    let open: Shown<'_> = (Some(9001), 3, &[9001, 1, 2], &[9001, 2]);
    assert_eq!(round.look(&view(&[open])), [(id(0), ids(&[2]))]);
    assert_eq!(round.look(&view(&[open])), [], "once");
    assert!(round.questions().is_empty(), "we lead it still");
    let led: Shown<'_> = (Some(2), 4, &[2], &[2]);
    assert_eq!(round.look(&view(&[led])), []);
    let questions = round.questions();
    assert_eq!(questions[&BrokerId(2)][0].0.leader_epoch.value(), 4);
    let replies = Replies {
        ends: vec![(id(0), end(500, 4))],
        epochs: BTreeMap::from([(id(0), began(500).expect("told"))]),
    };
    round.judge(BrokerId(2), replies);
    let led = Led {
        leader: BrokerId(2),
        epoch: LeaderEpoch::new(4),
        left_out: ids(&[1]),
    };
    assert!(round.waiting.is_empty());
    let mut heard = Vec::new();
    let mut told = 0;
    for _ in 0..2 {
        round.tell(&mut told, &mut |id, outcome| {
            heard.push((id.clone(), outcome.clone()))
        });
    }
    assert_eq!(heard, [(id(0), Ok(led))], "told once");
}

#[test]
fn an_older_view_names_no_leader() {
    let all = [drained(0, &[9001, 1], &[9001, 1])];
    let mut round = Round::new(US, &all, Instant::default(), Options::default());
    for shown in [
        (None, 4, &[9001, 1][..], &[9001, 1][..]),
        (Some(1), 3, &[9001, 1], &[9001, 1]),
        (Some(9001), 4, &[9001, 1], &[9001, 1]),
    ] {
        round.look(&view(&[shown]));
        assert!(round.questions().is_empty(), "{shown:?}");
    }
    let late = Instant::default().after(round.waited());
    assert!(round.is_late(late));
    round.give_up();
    let done = round.into_done();
    assert!(matches!(done[&id(0)], Err(HandoverFault::NotLed { .. })));
}

#[test]
fn a_log_is_ours_where_its_epoch_begins_at_our_end() {
    let ours = drained(0, &[9001, 1], &[9001, 1]);
    assert_eq!(judge(&ours, end(500, 4), began(500)), Verdict::Same);
    let written = judge(&ours, end(777, 4), began(500));
    assert_eq!(written, Verdict::Same, "clients write already");
    let lost = judge(&ours, end(500, 4), began(0));
    assert_eq!(
        lost,
        Verdict::Differs(Offset::new(0)),
        "refilled by clients"
    );
    let not_ready = ErrorCode::OFFSET_NOT_AVAILABLE;
    for (end, epoch_end) in [
        (Err(not_ready), began(500)),
        (end(500, 4), Some(Err(not_ready))),
        (end(400, 4), began(500)),
        (end(500, 3), began(500)),
    ] {
        assert_eq!(judge(&ours, end, epoch_end), Verdict::Again(not_ready));
    }
    let unbegun = judge(&ours, end(500, 4), Some(Ok(None)));
    assert_eq!(unbegun, Verdict::Again(ErrorCode::UNKNOWN_LEADER_EPOCH));
}

#[test]
fn what_the_controller_refuses_is_told_at_once() {
    let all = [drained(0, &[9001, 1], &[9001, 1])];
    let mut round = Round::new(US, &all, Instant::default(), Options::default());
    let why = Refusal {
        code: ErrorCode::CLUSTER_AUTHORIZATION_FAILED,
        said: String::new(),
    };
    round.refuse(BTreeMap::from([(id(0), why)]));
    let text = match &round.into_done()[&id(0)] {
        Err(fault) => fault.to_string(),
        Ok(led) => panic!("{led:?}"),
    };
    assert!(text.contains("CLUSTER_AUTHORIZATION_FAILED"), "{text}");
}
