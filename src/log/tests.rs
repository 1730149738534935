//! A log on the memory disk: killed at every change, robbed of what was not synced, and with
//! every byte flipped.

use std::path::{Path, PathBuf};

use super::*;
use crate::generator::{PartitionLoad, Sizes, Traffic, topics};
use crate::io::memory::MemoryDisk;
use crate::model::{Offset, TopicId, WallTime};
use crate::record::{BatchBuilder, Expect, check};
use crate::stdx::prng::Prng;

const BATCHES: usize = 24;
const SYNC_EVERY: usize = 6;
const OPTIONS: LogOptions = LogOptions {
    segment_bytes: 3_000,
    segment_ms: i64::MAX,
    index_interval_bytes: 300,
    index_bytes_max: 1 << 20,
};
const WALL: WallTime = WallTime(2_000);

fn dir() -> PathBuf {
    PathBuf::from("/vault/t-0")
}

/// Batches of one partition, with transactions, epochs and gaps as `traffic` has them.
fn batches(traffic: Traffic) -> Vec<Vec<u8>> {
    let all = topics(7, 1);
    let topic = all.iter().find(|topic| topic.traffic == traffic);
    let sizes = Sizes {
        records: 3,
        value_bytes: 40,
    };
    let mut load = PartitionLoad::new(topic.expect("one of each"), 0, sizes);
    let batch = |nth: usize| {
        if nth % 7 == 6 {
            load.elect();
        }
        load.next_batch(1_000 + nth as i64)
    };
    (0..BATCHES).map(batch).collect()
}

fn known(recovery_point: Offset, is_clean: bool) -> Beginning<'static> {
    Beginning {
        recovery_point,
        is_clean,
        ..Beginning::anew(TopicId::new([7; 16]))
    }
}

fn append(log: &mut Log, store: &mut Store<MemoryDisk>, batch: &[u8]) -> Result<(), LogFault> {
    let expect = log.expects();
    let run = check(batch, expect).run;
    assert!(!run.is_empty(), "a sound batch");
    store.append(log, WALL, run)
}

/// How far a log had come when the disk ended it.
#[derive(Clone, Copy, Debug, Default)]
struct Reached {
    /// By its last sync.
    durable: Offset,
    /// By the sync before, which is what the vault's checkpoint says.
    recorded: Offset,
}

/// Appends everything with a sync now and then. Says how far that came when the disk ended it.
fn work(disk: &MemoryDisk, batches: &[Vec<u8>], reached: &mut Reached) -> Result<(), LogFault> {
    let Opened {
        mut log, mut store, ..
    } = open(
        disk.clone(),
        &dir(),
        OPTIONS,
        known(Offset::ZERO, false),
        WALL,
    )?;
    for (nth, batch) in batches.iter().enumerate() {
        append(&mut log, &mut store, batch)?;
        if nth % SYNC_EVERY == SYNC_EVERY - 1 {
            let durable = store.close(&mut log, WALL)?;
            reached.recorded = reached.durable;
            reached.durable = durable;
            store.recorded(reached.recorded);
        }
    }
    reached.durable = store.close(&mut log, WALL)?;
    Ok(())
}

/// Does all of it, and says where it ended.
fn worked(disk: &MemoryDisk, batches: &[Vec<u8>]) -> Offset {
    let mut reached = Reached::default();
    work(disk, batches, &mut reached).expect("nothing is in its way");
    reached.durable
}

/// Every segment's bytes, one after the other.
fn content(disk: &MemoryDisk) -> Vec<u8> {
    let mut logs: Vec<PathBuf> = disk.paths();
    logs.retain(|path| path.extension().is_some_and(|end| end == "log"));
    logs.sort();
    logs.iter()
        .flat_map(|path| disk.bytes(path).expect("listed"))
        .collect()
}

fn next_offset(batch: &[u8]) -> Offset {
    let expect = Expect::first();
    check(batch, expect).run.next_offset()
}

/// Opens what is left: beside the bytes from the recovery point on, which nobody has said to be
/// durable, it reads what lies between two index entries and the batches in which that ends.
fn reads_the_tail(left: &MemoryDisk, batches: &[Vec<u8>], recorded: Offset, what: &str) {
    let left = left.after_kill();
    let below: usize = batches
        .iter()
        .take_while(|batch| next_offset(batch) <= recorded)
        .map(Vec::len)
        .sum();
    let found = content(&left).len();
    let opened = open(left, &dir(), OPTIONS, known(recorded, false), WALL);
    let recovered = opened
        .unwrap_or_else(|fault| panic!("{what}: {fault}"))
        .recovered;
    let largest = batches.iter().map(Vec::len).max().expect("there are some");
    let most = found - below + OPTIONS.index_interval_bytes as usize + 2 * largest;
    let read = usize::try_from(recovered.bytes_read).expect("small");
    assert!(
        read <= most,
        "{what}: {read} bytes of {found} were read, {below} of them below the recovery point"
    );
}

/// Opens what is left, checks that it is a prefix that holds all that was durable, goes on to
/// the end, and lets the audit read it all.
fn recovers(left: &MemoryDisk, batches: &[Vec<u8>], durable: Offset, what: &str) {
    let opened = open(left.clone(), &dir(), OPTIONS, known(durable, false), WALL);
    let Opened {
        mut log, mut store, ..
    } = opened.unwrap_or_else(|fault| panic!("{what}: {fault}"));
    let whole = batches.concat();
    let held = content(left);
    assert!(whole.starts_with(&held), "{what}: not a prefix");
    let end = log.watermarks().log_end;
    assert!(
        end >= durable,
        "{what}: ends at {end}, {durable} was durable"
    );
    let mut bytes = 0;
    for batch in batches {
        bytes += batch.len();
        if bytes > held.len() {
            append(&mut log, &mut store, batch).expect("the disk works again");
        }
    }
    let end = store.close(&mut log, WALL).expect("the disk works again");
    assert_eq!(content(left), whole, "{what}");
    let told = log.digest(end).expect("it has marks");
    let read = super::digest(left.clone(), &dir(), Span::default()).expect("sound");
    assert_eq!(Some(told), super::whole(&read), "{what}");
    let claims = Claims {
        topic_id: TopicId::new([7; 16]),
        log_start: Some(Offset::ZERO),
        durable: end,
        is_clean: true,
    };
    let verified = verify(left, &dir(), claims).expect("the disk works again");
    assert_eq!(verified.findings, [], "{what}");
}

fn survives_everything(traffic: Traffic) {
    let batches = batches(traffic);
    let disk = MemoryDisk::default();
    let mut reached = Reached::default();
    work(&disk, &batches, &mut reached).expect("nothing is in its way");
    let changes = disk.changes();
    assert!(changes > 80, "{changes} changes are no test");
    for after in 0..changes {
        let disk = MemoryDisk::default();
        disk.kill_after(after);
        let mut reached = Reached::default();
        let ended = work(&disk, &batches, &mut reached);
        assert!(ended.is_err(), "killed after {after} of {changes} changes");
        for point in [reached.durable, reached.recorded] {
            let what = format!("recovery point {point}, killed after {after}");
            reads_the_tail(&disk.after_kill(), &batches, point, &what);
            recovers(&disk.after_kill(), &batches, point, &what);
            let mut prng = Prng::new(after as u64);
            let chance = || u32::try_from(prng.below(1 << 20)).expect("small");
            let left = disk.after_power_loss(chance);
            let what = format!("recovery point {point}, power lost after {after}");
            reads_the_tail(&left, &batches, point, &what);
            recovers(&left, &batches, point, &what);
        }
    }
}

/// No copy has closed it cleanly: it runs, or it was killed. What is wrong with it then?
fn unclean(disk: &MemoryDisk, durable: Offset) -> Vec<Finding> {
    let claims = Claims {
        topic_id: TopicId::new([7; 16]),
        log_start: Some(Offset::ZERO),
        durable,
        is_clean: false,
    };
    verify(disk, &dir(), claims).expect("readable").findings
}

/// Whatever a copy that runs may show, and all that the next one heals, is no finding.
fn is_never_accused(traffic: Traffic) {
    let batches = batches(traffic);
    let disk = MemoryDisk::default();
    worked(&disk, &batches);
    // Until then there is no partition.
    let begun = 6;
    for after in begun..disk.changes() {
        let disk = MemoryDisk::default();
        disk.kill_after(after);
        let mut reached = Reached::default();
        work(&disk, &batches, &mut reached).expect_err("killed");
        for point in [reached.durable, reached.recorded] {
            let left = disk.after_kill();
            assert_eq!(unclean(&left, point), [], "point {point}, after {after}");
            let mut prng = Prng::new(after as u64);
            let chance = || u32::try_from(prng.below(1 << 20)).expect("small");
            let left = disk.after_power_loss(chance);
            let lost = unclean(&left, point);
            assert_eq!(lost, [], "point {point}, power lost after {after}");
        }
    }
}

#[test]
fn a_copy_that_runs_or_was_killed_is_never_accused() {
    is_never_accused(Traffic::Transactions);
    is_never_accused(Traffic::Compacted);
}

#[test]
fn a_copy_that_runs_answers_for_what_is_durable() {
    let batches = batches(Traffic::Transactions);
    let disk = MemoryDisk::default();
    disk.kill_after(80);
    let mut reached = Reached::default();
    work(&disk, &batches, &mut reached).expect_err("killed");
    let running = disk.after_kill();
    let mut bytes: usize = batches
        .iter()
        .take_while(|batch| next_offset(batch) <= reached.durable)
        .map(Vec::len)
        .sum();
    assert!(bytes > 1_000, "{bytes} durable bytes are no test");
    let mut logs: Vec<PathBuf> = running.paths();
    logs.retain(|path| path.extension().is_some_and(|end| end == "log"));
    for path in logs {
        let content = running.bytes(&path).expect("listed");
        for at in 0..content.len().min(bytes) {
            let mut flipped = content.clone();
            flipped[at] ^= 0x10;
            let damaged = running.after_kill();
            damaged.put(&path, &flipped);
            let found = unclean(&damaged, reached.durable);
            assert!(!found.is_empty(), "{} byte {at}", path.display());
        }
        bytes -= content.len().min(bytes);
    }
}

#[test]
fn transactions_survive_a_kill_and_a_power_loss_at_every_change() {
    survives_everything(Traffic::Transactions);
}

#[test]
fn gaps_survive_a_kill_and_a_power_loss_at_every_change() {
    survives_everything(Traffic::Compacted);
}

#[test]
fn a_clean_log_is_opened_without_reading_it_all() {
    let batches = batches(Traffic::Transactions);
    let disk = MemoryDisk::default();
    let durable = worked(&disk, &batches);
    let opened = open(disk.clone(), &dir(), OPTIONS, known(durable, true), WALL).expect("sound");
    assert_eq!(opened.log.watermarks().log_end, durable);
    let bytes = content(&disk).len() as u64;
    assert!(
        opened.recovered.bytes_read * 4 < bytes,
        "{:?} of {bytes}",
        opened.recovered
    );
    assert_eq!(opened.recovered.bytes_cut, 0);
}

#[test]
fn what_was_durable_and_is_gone_is_refused() {
    let batches = batches(Traffic::Plain);
    let disk = MemoryDisk::default();
    let durable = worked(&disk, &batches);
    let mut logs = disk.paths();
    logs.retain(|path| path.extension().is_some_and(|end| end == "log"));
    let last = logs.iter().max().expect("there is one");
    let bytes = disk.bytes(last).expect("listed");
    disk.put(last, &bytes[..bytes.len() - 1]);
    for is_clean in [true, false] {
        let opened = open(
            disk.after_kill(),
            &dir(),
            OPTIONS,
            known(durable, is_clean),
            WALL,
        );
        let fault = opened.err().expect("a torn batch that was durable");
        assert!(fault.to_string().contains("verify"), "{fault}");
    }
}

mod aside;
mod cut;
mod damaged;
mod digest;
mod flipped;
mod full;
mod led;
mod marks;
mod reading;

#[test]
fn a_cut_log_ends_at_a_batch_and_grows_again() {
    for traffic in [Traffic::Transactions, Traffic::Compacted] {
        let batches = batches(traffic);
        let disk = MemoryDisk::default();
        let durable = worked(&disk, &batches);
        for to in (0..durable.value()).map(Offset::new) {
            let left = disk.after_kill();
            let end = truncate(&left, &dir(), to).expect("nothing is in its way");
            let end = end.unwrap_or(Offset::ZERO);
            assert!(end <= to, "{end} is behind {to}");
            recovers(&left, &batches, end, &format!("cut at {to}"));
            let again = disk.after_kill();
            for _ in 0..2 {
                let twice = truncate(&again, &dir(), to).expect("nothing is in its way");
                assert_eq!(twice.unwrap_or(Offset::ZERO), end, "safe to repeat");
            }
        }
    }
}

#[test]
fn a_cut_that_is_killed_can_be_done_again() {
    let batches = batches(Traffic::Transactions);
    let disk = MemoryDisk::default();
    let durable = worked(&disk, &batches);
    let to = Offset::new(durable.value() / 3);
    let whole = disk.after_kill();
    let before = whole.changes();
    let end = truncate(&whole, &dir(), to).expect("nothing is in its way");
    for after in 0..whole.changes() - before {
        let killed = disk.after_kill();
        killed.kill_after(after);
        truncate(&killed, &dir(), to).expect_err("killed in its midst");
        let left = killed.after_kill();
        let again = truncate(&left, &dir(), to).expect("the disk works again");
        assert_eq!(again, end, "killed after {after}");
        recovers(
            &left,
            &batches,
            end.unwrap_or_default(),
            &format!("killed after {after}"),
        );
    }
}
