//! Batches above and below the high watermark, cuts, transactions and snapshots.

use super::*;
use crate::kraft::image::Role;
use crate::model::{BrokerId, PartitionIndex, TopicId};
use crate::protocol::ErrorCode;
use crate::protocol::controller::Leadership;
use crate::protocol::metadata_record::{NewPartition, PartitionChange, Recovery, spoken};
use crate::record::BatchBuilder;

const US: BrokerId = BrokerId(9001);
const TOPIC: TopicId = TopicId::new([7; 16]);

fn batch(base: i64, epoch: i32, values: &[Vec<u8>]) -> Vec<u8> {
    let mut batch = BatchBuilder::new(Offset::new(base), LeaderEpoch::new(epoch), 1_000);
    for value in values {
        batch.push(None, Some(value), &[]);
    }
    batch.finish()
}

fn number() -> PartitionIndex {
    PartitionIndex::new(0).expect("not negative")
}

fn partition() -> Vec<u8> {
    spoken::partition(&NewPartition {
        topic: TOPIC,
        partition: number(),
        replicas: vec![US, BrokerId(1)],
        isr: vec![US, BrokerId(1)],
        removing: Vec::new(),
        adding: Vec::new(),
        leader: Some(US),
        leader_epoch: LeaderEpoch::new(0),
        partition_epoch: 0,
        recovery: Recovery::Recovered,
        elr: Vec::new(),
        last_known_elr: Vec::new(),
    })
}

fn moved_to(leader: i32) -> Vec<u8> {
    let mut change = PartitionChange::of(TOPIC, number());
    change.leader = Some((leader >= 0).then_some(BrokerId(leader)));
    spoken::change_partition(&change)
}

fn topic() -> Vec<Vec<u8>> {
    vec![spoken::topic("orders", TOPIC), partition()]
}

fn leader(log: &MetadataLog) -> Option<(Option<BrokerId>, i32)> {
    let partition = log.image().topics.partition(TOPIC, number())?;
    Some((partition.leader, partition.leader_epoch.value()))
}

fn settled(offset: i64) -> Option<Offset> {
    Some(Offset::new(offset))
}

#[test]
fn only_what_is_settled_is_applied_and_each_answer_is_one_delta() {
    let mut log = MetadataLog::new();
    let bytes = [batch(0, 1, &topic()), batch(2, 1, &[moved_to(1)])].concat();
    let nothing = log.take_records(&bytes, settled(0)).expect("sound");
    assert_eq!((nothing, leader(&log)), (Progress::Nothing, None));
    assert_eq!(log.applied(), None);
    let wanted = Wanted::Records {
        offset: Offset::new(3),
        last_epoch: LeaderEpoch::new(1),
        high_watermark: settled(0),
    };
    assert_eq!(log.wanted(), wanted);
    let Progress::Applied(delta) = log.take_records(&[], settled(3)).expect("sound") else {
        panic!("nothing was applied");
    };
    let news = delta.partitions_of(US, log.image());
    assert_eq!(news.len(), 1);
    assert_eq!(news[0].was, Role::Absent);
    assert_eq!(news[0].now.role, Role::Follow(BrokerId(1)));
    assert_eq!(leader(&log), Some((Some(BrokerId(1)), 1)));
    assert_eq!(log.applied(), settled(2));
    assert!(log.is_caught_up());
}

#[test]
fn a_batch_is_settled_whole_or_not_at_all() {
    let mut log = MetadataLog::new();
    let bytes = batch(0, 1, &topic());
    log.take_records(&bytes, settled(1)).expect("sound");
    assert_eq!(leader(&log), None);
    assert!(!log.is_caught_up());
}

#[test]
fn what_a_new_leader_does_not_have_is_cut_off() {
    let mut log = MetadataLog::new();
    log.take_records(&batch(0, 1, &topic()), settled(2))
        .expect("sound");
    let lost = [batch(2, 1, &[moved_to(1)]), batch(3, 2, &[moved_to(-1)])].concat();
    log.take_records(&lost, settled(2)).expect("sound");
    let progress = log.diverged(LeaderEpoch::new(1), Offset::new(3));
    assert_eq!(progress, Progress::Nothing);
    let wanted = Wanted::Records {
        offset: Offset::new(3),
        last_epoch: LeaderEpoch::new(1),
        high_watermark: settled(2),
    };
    assert_eq!(log.wanted(), wanted);
    assert_eq!(
        log.diverged(LeaderEpoch::new(1), Offset::new(2)),
        Progress::Nothing
    );
    log.take_records(&batch(2, 3, &[moved_to(US.0)]), settled(3))
        .expect("sound");
    assert_eq!(leader(&log), Some((Some(US), 1)));
}

#[test]
fn a_cluster_that_has_lost_what_was_settled_is_read_anew() {
    let mut log = MetadataLog::new();
    log.take_records(&batch(0, 1, &topic()), settled(2))
        .expect("sound");
    let progress = log.diverged(LeaderEpoch::new(1), Offset::new(1));
    assert_eq!((progress, leader(&log)), (Progress::Replaced, None));
    let Wanted::Records { offset, .. } = log.wanted() else {
        panic!("a snapshot was not spoken of");
    };
    assert_eq!(offset, Offset::ZERO);
}

#[test]
fn transactions_count_when_they_end_and_not_when_they_are_void() {
    let mut log = MetadataLog::new();
    let begun = batch(0, 1, &[vec![spoken::bare(23)], topic()].concat());
    log.take_records(&begun, settled(3)).expect("sound");
    assert_eq!((leader(&log), log.applied()), (None, None));
    log.take_records(&batch(3, 1, &[spoken::bare(24)]), settled(4))
        .expect("sound");
    assert_eq!(leader(&log), Some((Some(US), 0)));
    assert_eq!(log.applied(), settled(3));
    let void = [
        spoken::bare(23),
        moved_to(1),
        spoken::bare(25),
        spoken::bare(20),
    ];
    log.take_records(&batch(4, 1, &void), settled(8))
        .expect("sound");
    assert_eq!(leader(&log), Some((Some(US), 0)));
    let stray = log.take_records(&batch(8, 1, &[spoken::bare(24)]), settled(9));
    assert!(matches!(stray, Err(LogFault::Transaction { .. })));
}

fn piece(bytes: &[u8], position: usize, end: usize) -> SnapshotAnswer {
    SnapshotAnswer {
        refused: ErrorCode::NONE,
        error: ErrorCode::NONE,
        leadership: Leadership::default(),
        id: Some(snapshot_id()),
        size: bytes.len() as u64,
        position: position as u64,
        bytes: bytes[position..end].to_vec(),
    }
}

fn snapshot_id() -> SnapshotId {
    SnapshotId {
        end: Offset::new(52),
        epoch: LeaderEpoch::new(4),
    }
}

#[test]
fn a_snapshot_takes_the_images_place_when_it_is_whole_however_it_is_cut() {
    let bytes = [batch(0, 4, &topic()), batch(2, 4, &[spoken::bare(20)])].concat();
    for cut in 0..=bytes.len() {
        let mut log = MetadataLog::new();
        log.begin_snapshot(snapshot_id());
        if cut > 0 && cut < bytes.len() {
            let first = log.take_piece(&piece(&bytes, 0, cut)).expect("sound");
            assert_eq!(first, Progress::Nothing, "{cut}");
        }
        let from = cut % bytes.len();
        let last = log
            .take_piece(&piece(&bytes, from, bytes.len()))
            .expect("sound");
        assert_eq!(last, Progress::Replaced, "{cut}");
        assert_eq!(leader(&log), Some((Some(US), 0)));
        assert_eq!(log.applied(), settled(51));
        let wanted = Wanted::Records {
            offset: Offset::new(52),
            last_epoch: LeaderEpoch::new(4),
            high_watermark: settled(52),
        };
        assert_eq!(log.wanted(), wanted);
    }
}

#[test]
fn pieces_that_do_not_fit_are_refused_and_the_snapshot_is_begun_anew() {
    let bytes = batch(0, 4, &topic());
    let short = piece(&bytes[..bytes.len() - 1], 0, bytes.len() - 1);
    let mut other = piece(&bytes, 0, bytes.len());
    other.id = None;
    for wrong in [
        piece(&bytes, 5, bytes.len()),
        piece(&bytes, 0, 0),
        short,
        other,
    ] {
        let mut log = MetadataLog::new();
        log.begin_snapshot(snapshot_id());
        let refused = log.take_piece(&wrong).expect_err("wrong");
        assert!(refused.is_passing(), "{refused}");
        assert!(matches!(log.wanted(), Wanted::Records { .. }));
    }
}

#[test]
fn damage_changes_nothing_and_what_is_not_understood_is_final() {
    let mut log = MetadataLog::new();
    let mut damaged = batch(0, 1, &topic());
    *damaged.last_mut().expect("not empty") ^= 1;
    let refused = log.take_records(&damaged, settled(2)).expect_err("damaged");
    assert!(refused.is_passing(), "{refused}");
    assert!(matches!(
        log.wanted(),
        Wanted::Records {
            offset: Offset::ZERO,
            ..
        }
    ));
    let unknown = batch(0, 1, &[spoken::bare(29)]);
    let refused = log.take_records(&unknown, settled(1)).expect_err("unknown");
    assert!(!refused.is_passing());
    assert!(refused.to_string().contains("newer"), "{refused}");
    let mut log = MetadataLog::new();
    let astray = batch(0, 1, &[moved_to(1)]);
    let refused = log.take_records(&astray, settled(1)).expect_err("astray");
    assert!(matches!(refused, LogFault::Image { .. }), "{refused}");
}
