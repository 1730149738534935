//! Views of a source, one after the other.

use super::*;
use crate::model::PartitionIndex;
use crate::protocol::ErrorCode;
use crate::session::PartitionView;

const OLD: TopicId = TopicId::new([1; 16]);
const NEW: TopicId = TopicId::new([2; 16]);

/// Name, id, and per partition its leader and epoch.
type Seen<'a> = (&'a str, TopicId, &'a [(i32, i32)]);

fn view(topics: &[Seen<'_>]) -> ClusterView {
    let partition = |(nth, (leader, epoch)): (usize, &(i32, i32))| PartitionView {
        index: PartitionIndex::new(i32::try_from(nth).expect("few")).expect("positive"),
        leader: (*leader >= 0).then_some(BrokerId(*leader)),
        epoch: LeaderEpoch::new(*epoch),
        replicas: Vec::new(),
        in_sync: Vec::new(),
    };
    let topic = |(name, id, partitions): &Seen<'_>| TopicView {
        name: TopicName::new(name).expect("legal"),
        id: *id,
        error: ErrorCode::NONE,
        partitions: partitions.iter().enumerate().map(partition).collect(),
    };
    ClusterView {
        topics: topics.iter().map(topic).collect(),
        ..ClusterView::default()
    }
}

fn catalogue(held: &[(&str, TopicId)]) -> Catalogue {
    let selection = Selection::new("a.*", None).expect("sound");
    let held = held
        .iter()
        .map(|(name, id)| (TopicName::new(name).expect("legal"), *id));
    Catalogue::new(selection, held)
}

fn second(nth: u64) -> Instant {
    Instant::from_nanos(nth * 1_000_000_000)
}

#[test]
fn partitions_appear_grow_and_move() {
    let mut catalogue = catalogue(&[]);
    let changes = catalogue.take(
        second(0),
        &view(&[("a", OLD, &[(1, 0)]), ("b", NEW, &[(1, 0)])]),
    );
    assert_eq!(changes.len(), 2, "only what is selected: {changes:?}");
    let changes = catalogue.take(second(5), &view(&[("a", OLD, &[(1, 0), (-1, 0)])]));
    assert!(matches!(&changes[..], [Change::Appeared { id, .. }] if id.to_string() == "a-1"));
    let changes = catalogue.take(second(9), &view(&[("a", OLD, &[(2, 1), (2, 0)])]));
    assert_eq!(changes.len(), 2);
    let stale = catalogue.take(second(9), &view(&[("a", OLD, &[(1, 0), (2, 0)])]));
    assert_eq!(stale, [], "metadata of a broker that lags behind");
}

#[test]
fn a_topic_is_gone_only_after_several_views_and_some_time() {
    let mut catalogue = catalogue(&[]);
    catalogue.take(second(0), &view(&[("a", OLD, &[(1, 0)])]));
    for at in [1, 2, 3] {
        assert_eq!(catalogue.take(second(at), &view(&[])), []);
    }
    assert_eq!(catalogue.take(second(9), &view(&[])).len(), 1);
    assert_eq!(catalogue.take(second(20), &view(&[])), [], "said once");
}

#[test]
fn another_id_ends_a_topic_also_after_a_restart() {
    let mut catalogue = catalogue(&[("a", OLD)]);
    let changes = catalogue.take(second(0), &view(&[("a", NEW, &[(1, 0), (1, 0)])]));
    let recreated = |change: &Change| {
        matches!(
            change,
            Change::Ended {
                cause: Cause::TopicRecreated {
                    held: OLD,
                    now: NEW
                },
                ..
            }
        )
    };
    assert_eq!(changes.len(), 2);
    assert!(changes.iter().all(recreated), "{changes:?}");
}

#[test]
fn what_only_the_vault_knows_is_not_missed() {
    let mut catalogue = catalogue(&[("a", OLD)]);
    for at in 0..30 {
        assert_eq!(catalogue.take(second(at), &view(&[])), []);
    }
}

#[test]
fn a_topic_without_an_id_is_the_one_that_had_or_gets_one() {
    let stands = TopicId::of_name(&TopicName::new("a").expect("legal"));
    for (held, seen) in [(stands, OLD), (OLD, stands), (stands, stands)] {
        let mut catalogue = catalogue(&[("a", held)]);
        let changes = catalogue.take(second(0), &view(&[("a", seen, &[(1, 0)])]));
        let appeared = changes
            .iter()
            .any(|change| matches!(change, Change::Appeared { topic_id, .. } if *topic_id == held));
        assert!(appeared, "{changes:?}");
        let ended = |change: &Change| matches!(change, Change::Ended { .. });
        assert!(!changes.iter().any(ended), "{changes:?}");
    }
}
