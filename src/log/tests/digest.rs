//! The digest of a log: the same wherever the same batches lie, and another one elsewhere.

use super::*;
use crate::log::digest::{MARK_ENTRY, Owner, each_mark};
use crate::model::LeaderEpoch;

const ALL: Span = Span {
    from: None,
    to: None,
};

/// Batches that reach over some windows, with gaps.
fn wide() -> Vec<Vec<u8>> {
    let batch = |nth: i64| {
        let epoch = LeaderEpoch::new(i32::try_from(nth / 9).expect("small"));
        let mut batch = BatchBuilder::new(Offset::new(5 + nth * 9_000), epoch, 1_000 + nth);
        for record in 0..=nth % 3 {
            let key = [u8::try_from(record).expect("small")];
            batch.push(Some(&key), Some(&[7; 90]), &[]);
        }
        batch.finish()
    };
    (0..30).map(batch).collect()
}

fn opened(disk: &MemoryDisk, options: LogOptions, point: Offset) -> Opened<MemoryDisk> {
    open(disk.clone(), &dir(), options, known(point, false), WALL).expect("sound")
}

/// A log of these batches that was synced after every `nth` of them.
fn held(disk: &MemoryDisk, batches: &[Vec<u8>], options: LogOptions, nth: usize) -> Digested {
    let Opened {
        mut log, mut store, ..
    } = opened(disk, options, Offset::ZERO);
    for (at, batch) in batches.iter().enumerate() {
        append(&mut log, &mut store, batch).expect("works");
        if at % nth == nth - 1 {
            store.close(&mut log, WALL).expect("works");
        }
    }
    store.close(&mut log, WALL).expect("works");
    let end = log.watermarks().log_end;
    log.digest(end).expect("it has marks")
}

fn scanned(disk: &MemoryDisk, span: Span) -> Vec<Digested> {
    digest(disk.clone(), &dir(), span).expect("sound")
}

fn ranges_of(batches: &[Vec<u8>]) -> Vec<Digested> {
    let disk = MemoryDisk::default();
    held(&disk, batches, LogOptions::default(), 100);
    scanned(&disk, ALL)
}

#[test]
fn the_same_batches_come_to_the_same_in_other_segments() {
    for batches in [
        wide(),
        batches(Traffic::Transactions),
        batches(Traffic::Compacted),
    ] {
        let reference = ranges_of(&batches);
        for (segment_bytes, nth) in [(400, 1), (1_000, 7), (3_000, 3), (1 << 20, 100)] {
            let options = LogOptions {
                segment_bytes,
                ..OPTIONS
            };
            let disk = MemoryDisk::default();
            let kept = held(&disk, &batches, options, nth);
            assert_eq!(Some(kept), whole(&reference));
            assert_eq!(scanned(&disk, ALL), reference);
            let noted = noted_digest(&disk, &dir()).expect("readable");
            assert_eq!(noted, reference, "segments of {segment_bytes}");
        }
    }
    assert_eq!(ranges_of(&wide()).len(), 4, "windows");
}

/// What was kept as it came is what is read.
#[test]
fn any_mark_tells_what_the_batches_do() {
    let disk = MemoryDisk::default();
    let batches = wide();
    held(&disk, &batches, OPTIONS, 4);
    let owner = Owner::of(&dir(), TopicId::new([7; 16]));
    let mut marks = Vec::new();
    let path = dir().join("digest-checkpoint");
    let size = each_mark(&disk, &path, owner, |mark| {
        marks.push(mark);
        true
    });
    let bytes = size.expect("readable").expect("it is there");
    assert_eq!(bytes as usize, marks.len() * MARK_ENTRY);
    assert!(marks.len() > 10, "{marks:?} are no test");
    for mark in marks {
        let span = Span {
            to: Some(mark.before),
            ..ALL
        };
        let read = whole(&scanned(&disk, span)).map(|read| read.chain);
        assert_eq!(mark.chain, read.unwrap_or_default(), "{}", mark.before);
    }
}

#[test]
fn what_differs_is_told_window_by_window() {
    let all = wide();
    let sound = ranges_of(&all);
    let same = |compared: &[Compared]| {
        let is_same = |one: &&Compared| matches!(one, Compared::Same(_));
        compared.iter().filter(is_same).count()
    };
    assert_eq!(same(&compare(&sound, &sound)), 4);
    // One that begins later and ends earlier is compared where both have something.
    let later = ranges_of(&all[9..28]);
    let compared = compare(&sound, &later);
    assert_eq!(same(&compared), 1, "{compared:?}");
    assert!(
        !compared
            .iter()
            .any(|one| matches!(one, Compared::Differs(..)))
    );
    let alone = |one: &Compared| matches!(one, Compared::Alone(_));
    assert_eq!(compared.iter().filter(|one| alone(one)).count(), 4);
    // Compaction has taken a batch of the third window.
    let mut less = all.clone();
    less.remove(17);
    let compared = compare(&sound, &ranges_of(&less));
    let differs = compared.iter().filter_map(|one| match one {
        Compared::Differs(one, other) => Some((one.from, one.chain.batches, other.chain.batches)),
        _ => None,
    });
    let differs: Vec<_> = differs.collect();
    assert_eq!(differs, [(Offset::new(131_072), 7, 6)]);
    assert_eq!(same(&compared), 3);
    assert_eq!(
        compare(&sound, &[]),
        [Compared::Alone(whole(&sound).expect("some"))]
    );
}

/// A member stamps its own epoch into what it mirrors.
#[test]
fn leader_epochs_do_not_count() {
    let batches = wide();
    let stamp = |batch: &Vec<u8>| {
        let mut stamped = batch.clone();
        stamped[12..16].copy_from_slice(&99i32.to_be_bytes());
        stamped
    };
    let stamped: Vec<Vec<u8>> = batches.iter().map(stamp).collect();
    assert_eq!(ranges_of(&stamped), ranges_of(&batches));
}

#[test]
fn a_log_that_was_cut_is_as_one_that_ended_there() {
    for batches in [wide(), batches(Traffic::Compacted)] {
        let disk = MemoryDisk::default();
        held(&disk, &batches, OPTIONS, 5);
        let end = next_offset(batches.last().expect("some"));
        for nth in 0..batches.len() {
            let to = next_offset(&batches[nth]);
            let shorter = ranges_of(&batches[..=nth]);
            for is_known in [false, true] {
                let left = disk.after_kill();
                match is_known {
                    true => truncate(&left, &dir(), to).expect("works"),
                    false => super::cut(&left, &dir(), to, end).expect("works"),
                };
                let Opened { log, .. } = opened(&left, OPTIONS, to);
                let told = log.digest(to).expect("it has marks");
                assert_eq!(Some(told), whole(&shorter), "cut at {to}");
            }
        }
    }
}

/// What lies beside the log is never believed where it is not the log's.
#[test]
fn a_digest_that_is_torn_or_anothers_is_made_anew() {
    let batches = wide();
    let sound = ranges_of(&batches);
    let disk = MemoryDisk::default();
    held(&disk, &batches, OPTIONS, 5);
    let path = dir().join("digest-checkpoint");
    let bytes = disk.bytes(&path).expect("it is there");
    let foreign = MemoryDisk::default();
    let elsewhere = PathBuf::from("/vault/t-1");
    let known_there = known(Offset::ZERO, false);
    let opened_there = open(foreign.clone(), &elsewhere, OPTIONS, known_there, WALL);
    let Opened {
        mut log, mut store, ..
    } = opened_there.expect("a new one");
    append(&mut log, &mut store, &batches[3]).expect("works");
    store.close(&mut log, WALL).expect("works");
    let foreign = foreign.bytes(&elsewhere.join("digest-checkpoint"));
    let torn = (0..bytes.len()).map(|at| bytes[..at].to_vec());
    let zeros = (0..bytes.len()).step_by(7).map(|at| {
        let mut lost = bytes.clone();
        lost[at..].fill(0);
        lost
    });
    let end = next_offset(batches.last().expect("some"));
    let mut begun_anew = 0;
    for damaged in torn.chain(zeros).chain([foreign.expect("written")]) {
        let left = disk.after_kill();
        left.put(&path, &damaged);
        let Opened {
            mut log, mut store, ..
        } = opened(&left, OPTIONS, end);
        let told = log.digest(end).expect("it has marks");
        let begins = told.from;
        let behind = batches.iter().filter(|batch| next_offset(batch) > begins);
        let behind: Vec<Vec<u8>> = behind.cloned().collect();
        assert_eq!(Some(told), whole(&ranges_of(&behind)));
        begun_anew += u32::from(Some(told) != whole(&sound));
        store.close(&mut log, WALL).expect("works");
        let noted = noted_digest(&left, &dir()).expect("readable");
        assert_eq!(whole(&noted), Some(told));
    }
    assert!(begun_anew > 10, "{begun_anew}");
}
