//! The marks of the digest: told without reading, few, true after a kill, and never in the way.

use super::*;
use crate::io::Disk;
use crate::log::digest::MARK_ENTRY;
use crate::log::layout::DIGEST;
use crate::log::segment::GAP_MAX;
use crate::model::LeaderEpoch;
use crate::record::check_mut;

const WHOLE_SEGMENTS: LogOptions = LogOptions {
    segment_bytes: 16 << 10,
    ..OPTIONS
};

fn opened(disk: &MemoryDisk, options: LogOptions, point: Offset) -> Opened<MemoryDisk> {
    open(disk.clone(), &dir(), options, known(point, false), WALL).expect("sound")
}

fn path() -> PathBuf {
    dir().join(DIGEST)
}

fn small(base: Offset) -> Vec<u8> {
    let mut batch = BatchBuilder::new(base, LeaderEpoch::new(0), 1_000);
    batch.push(Some(b"k"), Some(b"v"), &[]);
    batch.finish()
}

/// What the batches come to there, read one by one.
fn read(disk: &MemoryDisk, from: Offset, to: Offset) -> Chain {
    let (from, to) = (Some(from), Some(to));
    let ranges = digest(disk.clone(), &dir(), Span { from, to }).expect("sound");
    whole(&ranges).map(|all| all.chain).unwrap_or_default()
}

/// The log tells of all that it holds up to `to`, at once, and is right.
fn tells(disk: &MemoryDisk, log: &Log, to: Offset, what: &str) {
    let before = disk.bytes_read();
    let told = log
        .digest(to)
        .unwrap_or_else(|| panic!("{what}: it has no digest"));
    assert_eq!(disk.bytes_read(), before, "{what}: it is read for that");
    assert_eq!(told.to, to, "{what}");
    assert_eq!(told.chain, read(disk, told.from, to), "{what}");
}

/// A log that is led and was sealed, and where what is the source's ends.
fn sealed(disk: &MemoryDisk, is_synced: bool) -> (Log, Offset) {
    let Opened {
        mut log, mut store, ..
    } = opened(disk, OPTIONS, Offset::ZERO);
    let stamp = LeaderEpoch::new(9);
    store.lead(&mut log, stamp, None).expect("works");
    for batch in &batches(Traffic::Transactions) {
        let mut bytes = batch.clone();
        let due = Expect::after(log.watermarks().log_end, log.source_epoch());
        let (mut run, _) = check_mut(&mut bytes, due);
        store
            .note_source_epochs(&mut log, &run.as_run())
            .expect("works");
        run.stamp(stamp);
        store.append(&mut log, WALL, run.as_run()).expect("works");
    }
    let mirrored = store.close(&mut log, WALL).expect("works");
    let aborted = store.seal(&mut log, WALL).expect("works");
    assert!(!aborted.is_empty(), "markers follow");
    if is_synced {
        store.close(&mut log, WALL).expect("works");
    }
    (log, mirrored)
}

#[test]
fn a_digest_is_told_without_reading_also_before_markers_of_our_own() {
    for is_synced in [false, true] {
        let disk = MemoryDisk::default();
        let (log, mirrored) = sealed(&disk, is_synced);
        let end = log.watermarks().log_end;
        assert_eq!(log.mirrored(), mirrored);
        for to in [mirrored, end] {
            tells(&disk, &log, to, "sealed");
        }
        for point in [Offset::ZERO, mirrored, end] {
            if point == end && !is_synced {
                continue;
            }
            let left = disk.after_kill();
            let Opened { log, .. } = opened(&left, OPTIONS, point);
            for to in [mirrored, end] {
                let what = format!("opened at {point}, synced: {is_synced}");
                tells(&left, &log, to, &what);
            }
        }
    }
}

#[test]
fn a_digest_follows_the_logs_start() {
    let disk = MemoryDisk::default();
    let batches = batches(Traffic::Compacted);
    let end = worked(&disk, &batches);
    let Opened {
        mut log, mut store, ..
    } = opened(&disk, OPTIONS, end);
    for begins in (0..end.value()).map(Offset::new) {
        let expiry = Expiry {
            retention: Retention::default(),
            begins,
            needed: Offset::new(i64::MAX),
        };
        store.expire(&mut log, &expiry, WALL).expect("works");
        let start = log.watermarks().log_start;
        tells(&disk, &log, end, "it goes with time");
        let from = log.digest(end).expect("just told").from;
        assert!(from >= start, "{from}");
        let left = disk.after_kill();
        let beginning = Beginning {
            log_start: start,
            ..known(end, false)
        };
        let again = open(left.clone(), &dir(), OPTIONS, beginning, WALL).expect("sound");
        let what = format!("opened at {start}");
        tells(&left, &again.log, end, &what);
        assert_eq!(again.log.digest(end).expect("told").from, from);
    }
}

/// A log with so many syncs after its batches, and where each of the last two ended.
fn synced(disk: &MemoryDisk, syncs: i64, reached: &mut Reached) -> (Log, Store<MemoryDisk>) {
    let Opened {
        mut log, mut store, ..
    } = opened(disk, WHOLE_SEGMENTS, Offset::ZERO);
    goes_on(&mut log, &mut store, syncs, reached).expect("works");
    (log, store)
}

fn goes_on(
    log: &mut Log,
    store: &mut Store<MemoryDisk>,
    syncs: i64,
    reached: &mut Reached,
) -> Result<(), LogFault> {
    for _ in 0..syncs {
        let next = small(log.watermarks().log_end);
        append(log, store, &next)?;
        let durable = store.close(log, WALL)?;
        reached.recorded = reached.durable;
        reached.durable = durable;
        store.recorded(reached.recorded);
    }
    Ok(())
}

#[test]
fn many_syncs_leave_a_small_file() {
    let disk = MemoryDisk::default();
    let mut reached = Reached::default();
    let (mut log, mut store) = synced(&disk, 2_000, &mut reached);
    // What a sync does for the digest, without the rest of it.
    for _ in 0..98_000 {
        let next = small(log.log_end);
        append(&mut log, &mut store, &next).expect("works");
        store.write_marks(&mut log).expect("works");
    }
    let end = store.close(&mut log, WALL).expect("works");
    let marks = disk.bytes(&path()).expect("there is one").len() / MARK_ENTRY;
    let segments = log.older.len() + 1;
    assert!(segments < 1_000, "{segments} segments are no test");
    assert!(marks < segments + 1_024 + 200, "{marks} marks");
    tells(&disk, &log, end, "after many syncs");
    let Opened { log, .. } = opened(&disk.after_kill(), WHOLE_SEGMENTS, end);
    assert_eq!(log.digest(end).expect("told").from, Offset::ZERO);
}

#[test]
fn the_right_mark_is_believed_wherever_a_thinning_is_killed() {
    let disk = MemoryDisk::default();
    let mut reached = Reached::default();
    drop(synced(&disk, 1_024, &mut reached));
    let go = |disk: &MemoryDisk, reached: &mut Reached| {
        let known = known(reached.recorded, false);
        let Opened {
            mut log, mut store, ..
        } = open(disk.clone(), &dir(), WHOLE_SEGMENTS, known, WALL)?;
        goes_on(&mut log, &mut store, 10, reached)
    };
    let all = disk.after_kill();
    let before = all.bytes(&path()).expect("there is one").len();
    go(&all, &mut reached.clone()).expect("nothing is in its way");
    let after = all.bytes(&path()).expect("there is one").len();
    assert!(after < before / 5, "{before} bytes became {after}");
    for kill_after in 0..all.changes() {
        let killed = disk.after_kill();
        killed.kill_after(kill_after);
        let mut reached = reached;
        go(&killed, &mut reached).expect_err("killed");
        let mut prng = Prng::new(kill_after as u64);
        let chance = || u32::try_from(prng.below(1 << 20)).expect("small");
        for left in [killed.after_kill(), killed.after_power_loss(chance)] {
            for point in [reached.durable, reached.recorded] {
                let left = left.after_kill();
                let what = format!("point {point}, killed after {kill_after}");
                let found = opened(&left, WHOLE_SEGMENTS, point);
                let log = found.log;
                let end = log.watermarks().log_end;
                tells(&left, &log, end, &what);
                let from = log.digest(end).expect("told").from;
                assert_eq!(from, Offset::ZERO, "{what}");
                assert!(found.recovered.bytes_read < 2_000, "{what}");
            }
        }
    }
}

#[test]
fn without_a_digest_no_more_is_read_and_nothing_is_found() {
    let disk = MemoryDisk::default();
    let batches = batches(Traffic::Transactions);
    let end = worked(&disk, &batches);
    let sound = disk.bytes(&path()).expect("there is one");
    let read_with = |left: &MemoryDisk, is_clean: bool| {
        let opened = open(left.clone(), &dir(), OPTIONS, known(end, is_clean), WALL);
        opened.expect("sound").recovered.bytes_read
    };
    for (is_clean, damage) in [(true, 0), (false, 0), (true, 3), (false, 3)] {
        let due = read_with(&disk.after_kill(), is_clean);
        let left = disk.after_kill();
        match damage {
            0 => left.remove_file(&path()).expect("it is there"),
            marks => left.put(&path(), &sound[..marks * MARK_ENTRY - 1]),
        }
        assert_eq!(read_with(&left.after_kill(), is_clean), due);
        if damage == 0 {
            let claims = Claims {
                topic_id: TopicId::new([7; 16]),
                log_start: Some(Offset::ZERO),
                durable: end,
                is_clean,
            };
            let verified = verify(&left, &dir(), claims).expect("readable");
            assert_eq!(verified.findings, []);
        }
        let found = open(left.clone(), &dir(), OPTIONS, known(end, is_clean), WALL);
        let Opened {
            mut log, mut store, ..
        } = found.expect("sound");
        tells(&left, &log, end, "begun anew");
        let from = log.digest(end).expect("told").from;
        assert!(Offset::ZERO < from && from < end, "it begins at {from}");
        store.close(&mut log, WALL).expect("works");
        let claims = Claims {
            topic_id: TopicId::new([7; 16]),
            log_start: Some(Offset::ZERO),
            durable: end,
            is_clean: true,
        };
        let verified = verify(&left, &dir(), claims).expect("readable");
        assert_eq!(verified.findings, []);
        let Opened { log, .. } = opened(&left, OPTIONS, end);
        tells(&left, &log, end, "opened again");
        assert_eq!(log.digest(end).expect("told").from, from);
    }
}

/// A segment begins far ahead, and its first batch is never whole.
#[test]
fn a_segment_that_came_to_nothing_leaves_no_mark() {
    let far = Offset::new(5 + 2 * i64::try_from(GAP_MAX).expect("small"));
    let goes_on_below = |disk: &MemoryDisk, mut log: Log, mut store: Store<MemoryDisk>| {
        for nth in 0..20 {
            append(&mut log, &mut store, &small(Offset::new(9 + nth))).expect("works");
        }
        let end = store.close(&mut log, WALL).expect("works");
        tells(disk, &log, end, "below");
        let batches = log.digest(end).expect("told").chain.batches;
        assert_eq!(batches, 22);
    };
    let mut begun = 0;
    for (is_closed, room) in (0..16).map(|nth| (nth % 2 == 1, nth / 2)) {
        let disk = MemoryDisk::default();
        let Opened {
            mut log, mut store, ..
        } = opened(&disk, OPTIONS, Offset::ZERO);
        append(&mut log, &mut store, &small(Offset::ZERO)).expect("works");
        append(&mut log, &mut store, &small(Offset::new(1))).expect("works");
        disk.fill_after(room, 1);
        if append(&mut log, &mut store, &small(far)).is_ok() {
            continue;
        }
        begun += u32::from(log.segment.base == far);
        if is_closed {
            store.close(&mut log, WALL).expect("works");
        }
        goes_on_below(&disk, log, store);
    }
    assert!(begun > 1, "the segment has never begun");
    let disk = MemoryDisk::default();
    let Opened {
        mut log, mut store, ..
    } = opened(&disk, OPTIONS, Offset::ZERO);
    append(&mut log, &mut store, &small(Offset::ZERO)).expect("works");
    append(&mut log, &mut store, &small(Offset::new(1))).expect("works");
    let point = store.close(&mut log, WALL).expect("works");
    append(&mut log, &mut store, &small(far)).expect("works");
    let last = layout::path(&dir(), far, "log");
    let torn = disk.bytes(&last).expect("it has begun");
    disk.put(&last, &torn[..torn.len() - 1]);
    let left = disk.after_kill();
    let Opened { log, store, .. } = opened(&left, OPTIONS, point);
    goes_on_below(&left, log, store);
}

/// Whichever of both files a failed replacement has left, the next write makes up for it.
#[test]
fn a_replacement_that_failed_is_made_up_for() {
    let disk = MemoryDisk::default();
    let batches = batches(Traffic::Transactions);
    let end = worked(&disk, &batches);
    for failing in 0..4 {
        let left = disk.after_kill();
        let Opened {
            mut log, mut store, ..
        } = opened(&left, OPTIONS, end);
        let expiry = Expiry {
            retention: Retention::default(),
            begins: Offset::new(end.value() * 4 / 5),
            needed: end,
        };
        store.expire(&mut log, &expiry, WALL).expect("works");
        let before = left.bytes(&path()).expect("there is one").len();
        match failing {
            0 => left.bound_names(Some(0)),
            1 => left.fill_after(0, 1),
            nth => left.fail_syncs_after(nth - 2, 1),
        }
        store
            .expire(&mut log, &expiry, WALL)
            .expect_err("it cannot be replaced");
        left.bound_names(None);
        let mut batch = BatchBuilder::new(end, log.last_epoch(), 1_000);
        batch.push(Some(b"k"), Some(b"v"), &[]);
        let again = batch.finish();
        append(&mut log, &mut store, &again).expect("works");
        let end = store.close(&mut log, WALL).expect("works");
        tells(&left, &log, end, "after a failure");
        let after = left.bytes(&path()).expect("there is one").len();
        assert!(after < before, "it was not rewritten");
        let bytes_behind = after % MARK_ENTRY;
        assert_eq!(bytes_behind, 0);
        let claims = Claims {
            topic_id: TopicId::new([7; 16]),
            log_start: None,
            durable: end,
            is_clean: true,
        };
        let verified = verify(&left, &dir(), claims).expect("readable");
        let mut findings = verified.findings.into_iter();
        let found = findings.find(|finding| finding.path == path());
        assert_eq!(found, None, "failing: {failing}");
    }
}

#[test]
fn a_huge_file_costs_little() {
    let disk = MemoryDisk::default();
    let batches = batches(Traffic::Transactions);
    let end = worked(&disk, &batches);
    let mut bytes = disk.bytes(&path()).expect("there is one");
    let due = bytes.len() as u64;
    bytes.resize(64 << 20, 0);
    disk.put(&path(), &bytes);
    let most = 4 * (64 << 10) + 4 * due;
    let before = disk.bytes_read();
    drop(noted_digest(&disk, &dir()).expect("readable"));
    assert!(disk.bytes_read() - before < most, "noted");
    let left = disk.after_kill();
    let Opened { log, .. } = opened(&left, OPTIONS, end);
    tells(&left, &log, end, "huge");
    assert!(left.bytes_read() < most + 4 * content(&left).len() as u64);
    let before = disk.bytes_read();
    truncate(&disk, &dir(), Offset::new(end.value() / 2)).expect("works");
    assert!(disk.bytes_read() - before < most + content(&disk).len() as u64);
}
