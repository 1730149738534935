//! Segments go by age, by size and by the log's start, never before they may, and their files
//! later than they do.

use std::path::PathBuf;

use super::*;
use crate::io::memory::MemoryDisk;
use crate::log::{Beginning, LogOptions, Opened, open};
use crate::model::{LeaderEpoch, TopicId};
use crate::record::{BatchBuilder, Expect, check};

const NOW: WallTime = WallTime(1_000_000);
const OPTIONS: LogOptions = LogOptions {
    segment_bytes: 1_000,
    segment_ms: i64::MAX,
    index_interval_bytes: 300,
    index_bytes_max: 1 << 20,
};

fn old(bytes: u64, newest: Option<i64>, next: i64) -> Old {
    Old {
        bytes,
        newest,
        next: Offset::new(next),
    }
}

fn keeps_all() -> Expiry {
    Expiry {
        retention: Retention::default(),
        begins: Offset::ZERO,
        needed: Offset::new(i64::MAX),
    }
}

#[test]
fn age_and_size_and_start_count_from_the_oldest_segment_on() {
    let segments = [
        old(100, Some(900_000), 10),
        old(100, Some(950_000), 20),
        old(100, Some(940_000), 30),
        old(100, None, 40),
    ];
    let count = |expiry: Expiry| expiry.count(&segments, 450, NOW);
    let by_age = |ms| Retention {
        ms: Some(ms),
        bytes: None,
    };
    let by_size = |bytes| Retention {
        ms: None,
        bytes: Some(bytes),
    };
    let kept_by = |retention| Expiry {
        retention,
        ..keeps_all()
    };
    assert_eq!(count(keeps_all()), 0);
    assert_eq!(count(kept_by(by_age(100_000))), 0, "as old as it may be");
    assert_eq!(count(kept_by(by_age(99_999))), 1);
    assert_eq!(count(kept_by(by_age(55_000))), 1, "the next one is younger");
    assert_eq!(count(kept_by(by_age(0))), 3, "nobody knows how old it is");
    assert_eq!(count(kept_by(by_size(450))), 0);
    assert_eq!(
        count(kept_by(by_size(351))),
        0,
        "without it there is too little"
    );
    assert_eq!(count(kept_by(by_size(350))), 1);
    assert_eq!(count(kept_by(by_size(0))), 4);
    let begins = |offset| Expiry {
        begins: Offset::new(offset),
        ..keeps_all()
    };
    assert_eq!(count(begins(19)), 1);
    assert_eq!(count(begins(20)), 2);
    let needed = |offset| Expiry {
        needed: Offset::new(offset),
        ..kept_by(by_age(0))
    };
    assert_eq!(count(needed(19)), 1, "somebody has yet to fetch the rest");
}

fn dir() -> PathBuf {
    PathBuf::from("/vault/t-0")
}

fn opened(disk: &MemoryDisk, log_start: Offset) -> Opened<MemoryDisk> {
    let known = Beginning {
        log_start,
        ..Beginning::anew(TopicId::new([7; 16]))
    };
    open(disk.clone(), &dir(), OPTIONS, known, NOW).expect("the disk works")
}

/// A log of batches with two offsets and some 400 bytes each, a second apart.
fn filled(disk: &MemoryDisk) -> Opened<MemoryDisk> {
    let mut opened = opened(disk, Offset::ZERO);
    for nth in 0..12 {
        let base = opened.log.watermarks().log_end;
        let timestamp = NOW.0 - 12_000 + nth * 1_000;
        let mut batch = BatchBuilder::new(base, LeaderEpoch::new(0), timestamp);
        batch.push(None, Some(&[1; 150]), &[]);
        batch.push(None, Some(&[2; 150]), &[]);
        let bytes = batch.finish();
        let run = check(&bytes, Expect::after(base, LeaderEpoch::NONE)).run;
        opened
            .store
            .append(&mut opened.log, NOW, run)
            .expect("works");
    }
    opened.store.close(&mut opened.log, NOW).expect("works");
    opened
}

fn segments(disk: &MemoryDisk) -> Vec<i64> {
    let bases = layout::offsets(&disk.list(&dir()).expect("it is there"), LOG);
    bases.into_iter().map(Offset::value).collect()
}

#[test]
fn the_start_moves_first_and_the_files_go_the_next_time() {
    let disk = MemoryDisk::default();
    let Opened {
        mut log, mut store, ..
    } = filled(&disk);
    let all = segments(&disk);
    assert!(all.len() > 4, "{all:?} are no test");
    let expiry = Expiry {
        retention: Retention {
            ms: Some(7_500),
            bytes: None,
        },
        ..keeps_all()
    };
    let start = store.expire(&mut log, &expiry, NOW).expect("works");
    let start = start.expect("some are too old");
    assert!(all.contains(&start.value()), "a segment begins at {start}");
    assert_eq!(log.watermarks().log_start, start);
    assert_eq!(segments(&disk), all, "somebody may be reading them");
    // A kill here costs nothing: the start is known, or found anew.
    for known in [start, Offset::ZERO] {
        let disk = disk.after_kill();
        let Opened {
            mut log, mut store, ..
        } = opened(&disk, known);
        store.expire(&mut log, &expiry, NOW).expect("works");
        assert_eq!(log.watermarks().log_start, start);
        store.expire(&mut log, &expiry, NOW).expect("works");
        assert_eq!(segments(&disk)[0], start.value());
    }
    let again = store.expire(&mut log, &expiry, NOW).expect("works");
    assert_eq!(again, None);
    let left: Vec<i64> = all
        .into_iter()
        .filter(|base| *base >= start.value())
        .collect();
    assert_eq!(segments(&disk), left);
    let names = disk.list(&dir()).expect("it is there");
    let offsets = [INDEX, TIME_INDEX, SNAPSHOT].map(|suffix| layout::offsets(&names, suffix));
    assert!(
        offsets.iter().flatten().all(|at| *at >= start),
        "{offsets:?}"
    );
    // What is left is a log.
    let end = store.close(&mut log, NOW).expect("works");
    let log = opened(&disk, start).log;
    assert_eq!(
        (log.watermarks().log_start, log.watermarks().log_end),
        (start, end)
    );
}

#[test]
fn the_start_follows_into_a_segment_and_never_past_what_is_needed() {
    let disk = MemoryDisk::default();
    let Opened {
        mut log, mut store, ..
    } = filled(&disk);
    let mut expire = |begins: i64, needed: i64| {
        let expiry = Expiry {
            begins: Offset::new(begins),
            needed: Offset::new(needed),
            ..keeps_all()
        };
        let start = store.expire(&mut log, &expiry, NOW).expect("works");
        start.map(Offset::value)
    };
    assert_eq!(expire(7, 24), Some(7), "between two batches' boundaries");
    assert_eq!(expire(3, 24), None, "it never falls");
    assert_eq!(expire(20, 9), Some(9), "a replica is not so far");
    assert_eq!(expire(24, 24), Some(24), "nothing is left to be read");
    expire(24, 24);
    assert_eq!(segments(&disk).len(), 1, "the one that is written stays");
}

#[test]
fn a_kill_at_any_change_of_a_removal_leaves_a_log() {
    let whole = MemoryDisk::default();
    let mut filled = filled(&whole);
    let expiry = Expiry {
        begins: Offset::new(15),
        ..keeps_all()
    };
    let start = filled.store.expire(&mut filled.log, &expiry, NOW);
    let start = start.expect("works").expect("it moves");
    let end = filled.log.watermarks().log_end;
    for after in 0.. {
        let disk = whole.after_kill();
        let Opened {
            mut log, mut store, ..
        } = opened(&disk, start);
        store.expire(&mut log, &expiry, NOW).expect("works");
        disk.kill_after(after);
        let removed = store.expire(&mut log, &expiry, NOW);
        let left = disk.after_kill();
        let log = opened(&left, start).log;
        let held = (log.watermarks().log_start, log.watermarks().log_end);
        assert_eq!(held, (start, end), "killed after {after}");
        if removed.is_ok() {
            assert!(after > 5, "{after} changes are no test");
            break;
        }
    }
}
