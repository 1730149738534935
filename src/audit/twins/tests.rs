//! What is said of logs side by side: batches that differ, that are gone and why, and a destination
//! that goes on alone.

use super::Finding;
use super::align::{Front, Mark, Row, Side, Twin, Wrong, look};
use super::parting::{Course, Parting, Why};
use super::shared::{Origin, Shared, Unvouched};
use crate::model::{
    BrokerId, LeaderEpoch, Offset, ProducerEpoch, ProducerId, ProducerIdShift, TopicId,
};
use crate::record::{BatchBuilder, Expect, Marker, Producer, check};

const REPLICA_1: Side = Side::Replica(BrokerId(1));
const REPLICA_2: Side = Side::Replica(BrokerId(2));

fn twin(bytes: &[u8]) -> Twin {
    shifted_twin(bytes, ProducerIdShift::NONE)
}

fn shifted_twin(bytes: &[u8], shift: ProducerIdShift) -> Twin {
    let run = check(bytes, Expect::first()).run;
    Twin::of(&run.batches().next().expect("a batch"), shift)
}

/// A batch of two records, from a leader in this epoch.
fn batch(base: i64, epoch: i32, value: &[u8]) -> Twin {
    let epoch = LeaderEpoch::new(epoch);
    let mut batch = BatchBuilder::new(Offset::new(base), epoch, 1_000);
    batch.push(Some(b"a"), Some(value), &[]);
    batch.push(Some(b"b"), Some(value), &[]);
    twin(&batch.finish())
}

/// What compaction leaves of it that removes the first record.
fn cleaned(base: i64, value: &[u8]) -> Twin {
    let mut batch = BatchBuilder::new(Offset::new(base), LeaderEpoch::new(0), 1_000);
    batch.skip(1);
    batch.push(Some(b"b"), Some(value), &[]);
    twin(&batch.finish())
}

fn front(side: Side, batch: &Twin) -> Front<'_> {
    Front {
        side,
        start: Offset::ZERO,
        batch: Some(batch),
        end: batch.next,
        gaps: &[],
    }
}

fn ended(side: Side, end: i64) -> Front<'static> {
    Front {
        side,
        start: Offset::ZERO,
        batch: None,
        end: Offset::new(end),
        gaps: &[],
    }
}

#[track_caller]
fn row(fronts: &[Front<'_>]) -> Row {
    look(fronts, false).expect("somebody has a batch")
}

#[track_caller]
fn compacted_row(fronts: &[Front<'_>]) -> Row {
    look(fronts, true).expect("somebody has a batch")
}

#[test]
fn leader_epochs_make_no_difference_and_everything_else_does() {
    let (theirs, ours) = (batch(10, 3, b"x"), batch(10, 7, b"x"));
    let alike = row(&[front(Side::Source, &theirs), front(REPLICA_1, &ours)]);
    assert_eq!(alike.marks, [Mark::Same, Mark::Same]);
    assert_eq!((alike.at, alike.next), (Offset::new(10), Offset::new(12)));
    assert_eq!((alike.agreeing(), alike.is_doubtful()), (2, false));
    for at in (0..ours.bytes.len()).filter(|at| !(12..16).contains(at)) {
        let mut damaged = ours.clone();
        damaged.bytes[at] ^= 1;
        let fronts = [
            front(Side::Source, &theirs),
            front(REPLICA_1, &ours),
            front(REPLICA_2, &damaged),
        ];
        let (here, there) = (ours.bytes.len(), ours.bytes.len());
        let (from, of) = (at, Side::Source);
        let wrong = Wrong::Bytes {
            from,
            here,
            there,
            of,
        };
        let found = row(&fronts);
        assert_eq!(found.marks, [Mark::Same, Mark::Same, Mark::Wrong(wrong)]);
    }
}

#[test]
fn producer_ids_are_compared_as_the_source_gave_them_out() {
    let shift = ProducerIdShift::new(1_000).expect("not negative");
    let of = |id: i64, shift| {
        let producer = Producer {
            id: ProducerId::from_wire(id).expect("not negative"),
            epoch: ProducerEpoch::new(0),
            base_sequence: 0,
        };
        let batch = BatchBuilder::new(Offset::ZERO, LeaderEpoch::new(0), 0);
        let mut batch = batch.producer(producer);
        batch.push(None, Some(b"x"), &[]);
        shifted_twin(&batch.finish(), shift)
    };
    let theirs = of(7, ProducerIdShift::NONE);
    assert_eq!(theirs.bytes, of(1_007, shift).bytes);
    // One of the destination's own stays what it is.
    assert_eq!(theirs.bytes, of(7, shift).bytes);
    assert_ne!(theirs.bytes, of(8, shift).bytes);
}

/// Without a source our own log is believed, then the many.
#[test]
fn the_one_that_differs_is_named() {
    let (right, wrong) = (batch(0, 0, b"x"), batch(0, 0, b"y"));
    let other = Side::Replica(BrokerId(3));
    let is_wrong = |mark: &Mark| matches!(mark, Mark::Wrong(_));
    let wrongs = |fronts: &[Front<'_>]| {
        let marks = row(fronts).marks;
        marks.iter().map(is_wrong).collect::<Vec<_>>()
    };
    let ours = [
        front(Side::Log, &right),
        front(REPLICA_1, &wrong),
        front(REPLICA_2, &wrong),
    ];
    assert_eq!(wrongs(&ours), [false, true, true]);
    let many = [
        front(REPLICA_1, &wrong),
        front(REPLICA_2, &right),
        front(other, &right),
    ];
    assert_eq!(wrongs(&many), [true, false, false]);
    let sources = [
        front(Side::Source, &right),
        front(Side::Log, &wrong),
        front(REPLICA_1, &wrong),
        front(REPLICA_2, &right),
    ];
    assert_eq!(wrongs(&sources), [false, true, true, false]);
}

#[test]
fn what_is_missing_is_loss_unless_something_tells_why() {
    let (first, second) = (batch(0, 0, b"x"), batch(2, 0, b"x"));
    let to = Offset::new(2);
    let (source, other) = (front(Side::Source, &first), front(REPLICA_1, &first));
    let mark = |replica| row(&[source, other, replica]).marks[2].clone();
    let missing = Wrong::Missing {
        to,
        of: Side::Source,
    };
    assert_eq!(mark(front(REPLICA_2, &second)), Mark::Wrong(missing));
    // Its high watermark has passed what it does not have.
    let missing = Wrong::Missing {
        to: Offset::new(9),
        of: Side::Source,
    };
    assert_eq!(mark(ended(REPLICA_2, 9)), Mark::Wrong(missing));
    assert_eq!(mark(ended(REPLICA_2, 0)), Mark::Behind);
    let start = Front {
        start: to,
        ..front(REPLICA_2, &second)
    };
    assert_eq!(mark(start), Mark::Removed);
    let gaps = [(Offset::ZERO, to)];
    let gap = Front {
        gaps: &gaps,
        ..front(Side::Log, &second)
    };
    assert_eq!(mark(gap), Mark::Gap);
    let cleaned = compacted_row(&[source, other, front(REPLICA_2, &second)]);
    assert_eq!(cleaned.marks[2], Mark::Compacted);
}

#[test]
fn compaction_removes_records_and_changes_none() {
    let (whole, less) = (batch(0, 0, b"x"), cleaned(0, b"x"));
    let fronts = [front(Side::Source, &less), front(REPLICA_1, &whole)];
    let marks = compacted_row(&fronts).marks;
    assert!(marks.contains(&Mark::Compacted), "{marks:?}");
    assert!(!compacted_row(&fronts).is_doubtful());
    assert!(row(&fronts).is_doubtful(), "the topic is not compacted");
    let mut longer = whole.clone();
    longer.bytes[23..27].copy_from_slice(&9i32.to_be_bytes());
    let fronts = [front(Side::Source, &less), front(REPLICA_1, &longer)];
    assert!(compacted_row(&fronts).is_doubtful());
}

#[test]
fn a_source_that_says_something_else_has_parted_from_all() {
    let (theirs, ours, later) = (batch(4, 9, b"x"), batch(4, 2, b"y"), batch(6, 9, b"x"));
    let of = Side::Source;
    let parts = |source: Front<'_>| {
        let fronts = [source, front(REPLICA_1, &ours), front(REPLICA_2, &ours)];
        let found = row(&fronts);
        assert_eq!(found.marks[1..], [Mark::Same, Mark::Same]);
        assert_eq!(found.destination, Some(1));
        found.marks[0].clone()
    };
    let differs = parts(front(of, &theirs));
    assert!(
        matches!(differs, Mark::Parted(Wrong::Bytes { .. })),
        "{differs:?}"
    );
    let gone = parts(front(of, &later));
    assert_eq!(gone, Mark::Parted(Wrong::Extra { of }));
    let end = Offset::new(4);
    assert_eq!(parts(ended(of, 4)), Mark::Parted(Wrong::Beyond { end, of }));
    // Nobody has gone on where the destination is only behind.
    let behind = [front(of, &theirs), ended(REPLICA_1, 4)];
    assert_eq!(row(&behind).marks, [Mark::Same, Mark::Behind]);
}

#[test]
fn a_destination_goes_on_alone_where_it_was_let_go() {
    let at = Offset::new(4);
    let new = batch(4, 3, b"y");
    let parting = Parting {
        at,
        batch: Some(&new),
        before: LeaderEpoch::new(2),
        is_led_by_stock: true,
    };
    let stopped = |end| Course::Stopped(Offset::new(end));
    assert_eq!(parting.why(stopped(4)), Some(Why::Stopped(at)));
    assert!(parting.why(stopped(2)).is_some());
    assert_eq!(parting.why(stopped(5)), None, "it was mirrored further");
    assert_eq!(parting.why(Course::Mirrored), None);
    assert_eq!(parting.why(Course::Leaving), Some(Why::Leaving));
    // Where nobody has told, a new epoch of a broker of its own says it.
    let led = Why::Led(LeaderEpoch::new(3));
    assert_eq!(parting.why(Course::Unknown), Some(led));
    let ours = Parting {
        is_led_by_stock: false,
        ..parting
    };
    assert_eq!(ours.why(Course::Unknown), None);
    let within = Parting {
        before: LeaderEpoch::new(3),
        ..parting
    };
    assert_eq!(within.why(Course::Unknown), None);
    let nothing = Parting {
        batch: None,
        ..parting
    };
    assert_eq!(nothing.why(Course::Unknown), None, "that is loss");
}

/// A marker at offset 4.
fn marker(commits: bool) -> Twin {
    let marker = Marker {
        offset: Offset::new(4),
        leader_epoch: LeaderEpoch::new(2),
        timestamp: 1_000,
        producer_id: ProducerId::from_wire(7).expect("not negative"),
        producer_epoch: ProducerEpoch::new(0),
        coordinator_epoch: 0,
        commits,
    };
    twin(&marker.batch())
}

#[test]
fn an_abort_that_only_the_destination_has_is_a_stops() {
    let (abort, commit) = (marker(false), marker(true));
    let why = |batch: &Twin| {
        let parting = Parting {
            at: batch.base,
            batch: Some(batch),
            before: LeaderEpoch::new(2),
            is_led_by_stock: false,
        };
        parting.why(Course::Unknown)
    };
    assert_eq!(why(&abort), Some(Why::Aborted));
    assert_eq!(why(&commit), None);
}

const NOBODYS: Origin = Origin {
    cluster: String::new(),
    topic: TopicId::ZERO,
    epoch: LeaderEpoch::NONE,
};

/// A log that begins there.
type Log<'a> = (Side, i64, &'a [Twin]);

/// What comes of comparing these logs, where broker 1 leads at the destination: up to where both
/// sides are the same, and the epochs of the last batch there.
fn common(logs: &[Log<'_>], is_compacted: bool) -> Result<(i64, i32, i32), Unvouched> {
    let mut shared = Shared::with(Some(BrokerId(1)));
    let mut findings = Vec::new();
    let mut open: Vec<(Log<'_>, usize)> = logs.iter().map(|log| (*log, 0)).collect();
    loop {
        let fronts = open.iter().map(|((side, start, batches), nth)| Front {
            side: *side,
            start: Offset::new(*start),
            batch: batches.get(*nth),
            end: end(&(*side, *start, batches)),
            gaps: &[],
        });
        let fronts: Vec<Front<'_>> = fronts.collect();
        let Some(row) = look(&fronts, is_compacted) else {
            break;
        };
        shared.take(&row, &fronts);
        let mut marks = row.marks.iter();
        open.retain_mut(|((side, _, batches), nth)| {
            let is_at = batches.get(*nth).is_some_and(|batch| batch.base == row.at);
            *nth += usize::from(is_at);
            match marks.next().expect("one for each") {
                Mark::Wrong(wrong) => {
                    let (who, at, what) = (side.to_string(), row.at, wrong.to_string());
                    findings.push(Finding { who, at, what });
                    false
                }
                Mark::Parted(_) => false,
                _ => true,
            }
        });
    }
    let ended = |side| logs.iter().find(|log| log.0 == side).map(end);
    let ends = [ended(Side::Source), ended(REPLICA_1)];
    let common = shared.verdict(ends, &findings, [NOBODYS, NOBODYS])?;
    let (source, destination) = (common.source.epoch, common.destination.epoch);
    Ok((common.to.value(), source.value(), destination.value()))
}

fn end((_, start, batches): &Log<'_>) -> Offset {
    batches.last().map_or(Offset::new(*start), |last| last.next)
}

#[test]
fn both_sides_part_where_the_last_batch_ends_that_they_have_alike() {
    let theirs = [batch(0, 5, b"x"), batch(2, 6, b"x"), batch(4, 7, b"x")];
    let ours = [batch(0, 1, b"x"), batch(2, 3, b"x"), batch(4, 4, b"x")];
    let (source, leader) = (Side::Source, REPLICA_1);
    let parts = |theirs: &[Twin], ours: &[Twin]| {
        let follower = &ours[..1];
        let logs = [
            (source, 0, theirs),
            (leader, 0, ours),
            (REPLICA_2, 0, follower),
        ];
        common(&logs, false)
    };
    assert_eq!(parts(&theirs, &ours), Ok((6, 7, 4)), "they do not part");
    assert_eq!(
        parts(&theirs, &ours[..2]),
        Ok((4, 6, 3)),
        "the source goes on"
    );
    assert_eq!(
        parts(&theirs[..2], &ours),
        Ok((4, 6, 3)),
        "the destination does"
    );
    let others = [ours[0].clone(), ours[1].clone(), batch(4, 8, b"y")];
    assert_eq!(parts(&theirs, &others), Ok((4, 6, 3)), "both do");
    // What is the same again behind a difference has come about otherwise.
    let within = [ours[0].clone(), batch(2, 3, b"y"), ours[2].clone()];
    assert_eq!(parts(&theirs, &within), Ok((2, 5, 1)));
    let lacking = [ours[0].clone(), ours[2].clone()];
    assert_eq!(parts(&theirs, &lacking), Ok((2, 5, 1)));
    assert_eq!(parts(&lacking, &ours), Ok((2, 1, 1)));
}

#[test]
fn nobody_vouches_for_what_was_not_compared() {
    let theirs = [batch(0, 5, b"x"), batch(2, 6, b"x"), batch(4, 7, b"x")];
    let ours = [batch(0, 1, b"x"), batch(2, 3, b"x"), batch(4, 4, b"x")];
    let (source, leader) = (Side::Source, REPLICA_1);
    let parts = |start, theirs: &[Twin], ours: &[Twin]| {
        common(&[(source, start, theirs), (leader, 0, ours)], false)
    };
    assert_eq!(parts(2, &theirs[1..], &ours), Ok((6, 7, 4)), "retention");
    let nothing = Err(Unvouched::Nothing);
    assert_eq!(parts(4, &theirs[2..], &ours[..2]), nothing, "all of both");
    assert_eq!(parts(6, &[], &ours), nothing);
    assert_eq!(
        parts(0, &[batch(0, 5, b"z")], &ours),
        nothing,
        "another topic"
    );
    assert_eq!(
        parts(0, &theirs, &[]),
        Ok((0, -1, -1)),
        "nothing was ever there"
    );
    let alone = common(&[(leader, 0, &ours)], false);
    assert_eq!(alone, Err(Unvouched::NoSource));
    let unled = common(&[(source, 0, &theirs), (REPLICA_2, 0, &ours)], false);
    assert_eq!(unled, Err(Unvouched::NoLeader));
    let damaged = [batch(0, 1, b"y")];
    let logs = |damaged| {
        [
            (source, 0, &theirs[..]),
            (leader, 0, &ours),
            (REPLICA_2, 0, damaged),
        ]
    };
    let found = common(&logs(&damaged), false);
    assert!(matches!(found, Err(Unvouched::Differs(_))), "{found:?}");
    let later = [ours[0].clone(), ours[1].clone(), batch(4, 4, b"y")];
    let found = common(
        &[logs(&later)[0], (leader, 0, &ours[..2]), logs(&later)[2]],
        false,
    );
    assert_eq!(found, Ok((4, 6, 3)), "it differs behind the parting");
}

#[test]
fn compaction_hides_where_both_sides_part() {
    let theirs = [batch(0, 5, b"x"), batch(2, 6, b"x"), batch(4, 7, b"x")];
    let ours = [batch(0, 1, b"x"), batch(2, 3, b"x"), batch(4, 4, b"x")];
    let parts = |theirs: &[Twin], ours: &[Twin]| {
        common(&[(Side::Source, 0, theirs), (REPLICA_1, 0, ours)], true)
    };
    assert_eq!(parts(&theirs, &ours), Ok((6, 7, 4)));
    let hidden = |at| Err(Unvouched::Compacted(Offset::new(at)));
    assert_eq!(
        parts(&theirs, &[ours[0].clone(), ours[2].clone()]),
        hidden(2)
    );
    assert_eq!(parts(&theirs[1..], &ours), hidden(0));
    assert_eq!(parts(&[cleaned(0, b"x")], &ours), hidden(0));
    // The same everywhere is the same.
    assert_eq!(parts(&theirs[1..], &ours[1..]), Ok((6, 7, 4)));
    assert_eq!(parts(&theirs[..2], &ours[..2]), Ok((4, 6, 3)));
}

/// Whoever writes markers writes the same ones for the same producers.
#[test]
fn markers_alone_prove_nothing() {
    let marker = [marker(true)];
    let parts = |theirs: &[Twin], ours: &[Twin]| {
        common(&[(Side::Source, 4, theirs), (REPLICA_1, 4, ours)], false)
    };
    assert_eq!(parts(&marker, &marker), Err(Unvouched::Nothing));
    let more = [marker[0].clone(), batch(5, 2, b"x")];
    assert_eq!(parts(&more, &more), Ok((7, 2, 2)));
}
