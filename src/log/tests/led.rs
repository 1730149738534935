//! A log that we lead: stamped batches with the source's epochs beside them, epochs that begin
//! without a batch, sealing and cutting, killed and robbed of power at every change.

use super::*;
use crate::io::Disk;
use crate::model::LeaderEpoch;
use crate::record::check_mut;

/// We lead anew before this batch.
const LEAD_ANEW_AT: usize = 10;

fn epoch(number: i32) -> LeaderEpoch {
    LeaderEpoch::new(number)
}

/// The epoch in which the batch of this number is taken in: lower than most of the source's.
fn stamp(nth: usize) -> LeaderEpoch {
    epoch(if nth < LEAD_ANEW_AT { 0 } else { 1 })
}

fn source_epoch(batch: &[u8]) -> LeaderEpoch {
    check(batch, Expect::first()).run.last_epoch()
}

fn base(batch: &[u8]) -> Offset {
    let run = check(batch, Expect::first()).run;
    run.batches().next().expect("it is one").base_offset()
}

/// The batch as it lies in the log.
fn stamped(batch: &[u8], stamp: LeaderEpoch) -> Vec<u8> {
    let mut bytes = batch.to_vec();
    let (mut run, _) = check_mut(&mut bytes, Expect::first());
    run.stamp(stamp);
    bytes
}

fn all_stamped(batches: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let numbered = batches.iter().enumerate();
    numbered
        .map(|(nth, batch)| stamped(batch, stamp(nth)))
        .collect()
}

fn mirror(log: &mut Log, store: &mut Store<MemoryDisk>, batch: &[u8]) -> Result<(), LogFault> {
    let mut bytes = batch.to_vec();
    let due = Expect::after(log.watermarks().log_end, log.source_epoch());
    let (mut run, _) = check_mut(&mut bytes, due);
    assert!(!run.as_run().is_empty(), "a sound batch");
    store.note_source_epochs(log, &run.as_run())?;
    run.stamp(log.stamp().expect("it is led"));
    store.append(log, WALL, run.as_run())
}

/// Mirrors what is missing, with a sync now and then.
fn mirror_all(
    opened: Opened<MemoryDisk>,
    batches: &[Vec<u8>],
    reached: &mut Reached,
) -> Result<(Log, Store<MemoryDisk>), LogFault> {
    let Opened {
        mut log, mut store, ..
    } = opened;
    let held = log.watermarks().log_end;
    let is_held = |batch: &&Vec<u8>| next_offset(batch) <= held;
    let first = batches.iter().take_while(is_held).count();
    store.lead(&mut log, stamp(first), None)?;
    for (nth, batch) in batches.iter().enumerate().skip(first) {
        if log.stamp() != Some(stamp(nth)) {
            store.lead(&mut log, stamp(nth), None)?;
        }
        mirror(&mut log, &mut store, batch)?;
        if nth % SYNC_EVERY == SYNC_EVERY - 1 {
            let durable = store.close(&mut log, WALL)?;
            reached.recorded = reached.durable;
            reached.durable = durable;
            store.recorded(reached.recorded);
        }
    }
    reached.durable = store.close(&mut log, WALL)?;
    Ok((log, store))
}

fn opened(disk: &MemoryDisk, recovery_point: Offset) -> Result<Opened<MemoryDisk>, LogFault> {
    let known = known(recovery_point, false);
    open(disk.clone(), &dir(), OPTIONS, known, WALL)
}

fn led(
    disk: &MemoryDisk,
    batches: &[Vec<u8>],
    reached: &mut Reached,
) -> Result<(Log, Store<MemoryDisk>), LogFault> {
    mirror_all(opened(disk, Offset::ZERO)?, batches, reached)
}

/// The source's epochs of the batches that a log holds which ends at `end`.
fn expected_epochs(batches: &[Vec<u8>], end: Offset) -> Vec<(LeaderEpoch, Offset)> {
    let mut epochs: Vec<(LeaderEpoch, Offset)> = Vec::new();
    for batch in batches.iter().filter(|batch| next_offset(batch) <= end) {
        let known = epochs.last().map(|(epoch, _)| *epoch);
        if known != Some(source_epoch(batch)) {
            epochs.push((source_epoch(batch), base(batch)));
        }
    }
    epochs
}

fn findings(disk: &MemoryDisk, durable: Offset, is_clean: bool) -> Vec<Finding> {
    let claims = Claims {
        topic_id: TopicId::new([7; 16]),
        log_start: Some(Offset::ZERO),
        durable,
        is_clean,
    };
    verify(disk, &dir(), claims).expect("readable").findings
}

/// Opens what is left, compares it with what may be there, and goes on to the end.
fn goes_on(left: &MemoryDisk, batches: &[Vec<u8>], durable: Offset, what: &str) {
    let whole = all_stamped(batches).concat();
    let opened = opened(left, durable).unwrap_or_else(|fault| panic!("{what}: {fault}"));
    assert!(whole.starts_with(&content(left)), "{what}: not a prefix");
    let end = opened.log.watermarks().log_end;
    assert!(
        end >= durable,
        "{what}: ends at {end}, {durable} was durable"
    );
    if !opened.log.is_empty() {
        // It may know of batches that were never written, or are lost.
        let told = opened.log.source_epochs().iter();
        let told: Vec<_> = told.filter(|(_, start)| *start < end).collect();
        assert_eq!(told, expected_epochs(batches, end), "{what}");
    }
    let mut reached = Reached::default();
    let (log, _) = mirror_all(opened, batches, &mut reached).expect("the disk works again");
    assert_eq!(content(left), whole, "{what}");
    assert_eq!(findings(left, reached.durable, true), [], "{what}");
    assert_eq!(log.mirrored(), reached.durable);
}

#[test]
fn a_led_log_survives_a_kill_and_a_power_loss_at_every_change() {
    for traffic in [Traffic::Transactions, Traffic::Compacted] {
        let batches = batches(traffic);
        let disk = MemoryDisk::default();
        led(&disk, &batches, &mut Reached::default()).expect("nothing is in its way");
        let changes = disk.changes();
        for after in 0..changes {
            let disk = MemoryDisk::default();
            disk.kill_after(after);
            let mut reached = Reached::default();
            let ended = led(&disk, &batches, &mut reached);
            assert!(ended.is_err(), "killed after {after} of {changes} changes");
            for point in [reached.durable, reached.recorded] {
                let what = format!("{traffic:?}, point {point}, killed after {after}");
                goes_on(&disk.after_kill(), &batches, point, &what);
                let mut prng = Prng::new(after as u64);
                let chance = || u32::try_from(prng.below(1 << 20)).expect("small");
                let left = disk.after_power_loss(chance);
                let what = format!("{traffic:?}, point {point}, power lost after {after}");
                goes_on(&left, &batches, point, &what);
            }
        }
    }
}

/// What was told of an epoch is there after a loss of power, though no batch of it came.
#[test]
fn an_epoch_without_a_batch_is_durable_once_it_has_begun() {
    let batches = batches(Traffic::Plain);
    let disk = MemoryDisk::default();
    let mut reached = Reached::default();
    let (mut log, mut store) = led(&disk, &batches, &mut reached).expect("nothing is in its way");
    let end = reached.durable;
    let before = disk.changes();
    store.lead(&mut log, epoch(4), None).expect("a later one");
    let changes = disk.changes() - before;
    assert!(changes > 0);
    let begun = |disk: &MemoryDisk| {
        let bytes = disk.bytes(&dir().join("leader-epoch-checkpoint"));
        let text = String::from_utf8(bytes.expect("it is there")).expect("text");
        text.ends_with(&format!("\n4 {end}\n"))
    };
    assert!(begun(&disk.after_power_loss(|| 0)));
    assert_eq!(log.epochs().latest(), epoch(4));
    assert_eq!(log.last_epoch(), stamp(batches.len()), "of the last batch");
    assert_eq!(findings(&disk, end, true), [], "no batch need have it");
    // The next one had no batch before it either, and one that is over is refused.
    store.lead(&mut log, epoch(6), None).expect("a later one");
    let begins: Vec<_> = log.epochs().iter().filter(|(_, at)| *at == end).collect();
    assert_eq!(begins, [(epoch(6), end)]);
    let fault = store
        .lead(&mut log, epoch(5), None)
        .expect_err("it is over");
    assert!(fault.to_string().contains("leader epoch 5"), "{fault}");
    // Who opens it again begins the same epoch at the same place, without a write.
    let Opened {
        mut log, mut store, ..
    } = opened(&disk.after_kill(), end).expect("sound");
    store.lead(&mut log, epoch(6), None).expect("the same");
    assert_eq!(log.epochs().iter().last(), Some((epoch(6), end)));
    assert_eq!(
        log.source_epoch(),
        source_epoch(batches.last().expect("some"))
    );
}

#[test]
fn a_batch_of_another_epoch_never_gets_into_a_led_log() {
    let batches = batches(Traffic::Plain);
    let disk = MemoryDisk::default();
    let Opened {
        mut log, mut store, ..
    } = opened(&disk, Offset::ZERO).expect("new");
    store.lead(&mut log, epoch(2), None).expect("empty");
    let other = stamped(&batches[0], epoch(3));
    let appended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let run = check(&other, Expect::first()).run;
        store.append(&mut log, WALL, run)
    }));
    assert!(appended.is_err(), "followers would spin on it");
    assert_eq!(content(&disk).len(), 0);
}

/// What came before a log was led, or from another leader meanwhile, is not taken for the
/// source's.
#[test]
fn what_others_have_written_is_told_apart() {
    let batches = batches(Traffic::Plain);
    let disk = MemoryDisk::default();
    let Opened {
        mut log, mut store, ..
    } = opened(&disk, Offset::ZERO).expect("new");
    store.lead(&mut log, epoch(0), None).expect("empty");
    for batch in &batches[..8] {
        mirror(&mut log, &mut store, batch).expect("works");
    }
    let mirrored = log.watermarks().log_end;
    store.close(&mut log, WALL).expect("works");
    // As a replica of another leader, which has taken in something.
    let Opened {
        mut log, mut store, ..
    } = opened(&disk, mirrored).expect("sound");
    for batch in &batches[8..10] {
        append(&mut log, &mut store, &stamped(batch, epoch(1))).expect("works");
    }
    let end = store.close(&mut log, WALL).expect("works");
    assert_eq!(log.mirrored(), mirrored);
    for left in [disk.after_kill(), disk.after_power_loss(|| 0)] {
        let Opened {
            mut log, mut store, ..
        } = opened(&left, end).expect("sound");
        store.lead(&mut log, epoch(2), None).expect("a later one");
        assert_eq!((log.mirrored(), log.watermarks().log_end), (mirrored, end));
        assert_eq!(log.source_epoch(), source_epoch(&batches[7]));
        drop((log, store));
        // Cut to what is the source's, it goes on.
        cut(&left, &dir(), mirrored, end).expect("works");
        let mut opened = opened(&left, end).expect("sound");
        let Opened { log, store, .. } = &mut opened;
        store.lead(log, epoch(2), None).expect("the same");
        assert_eq!(log.mirrored(), log.watermarks().log_end);
        mirror(log, store, &batches[8]).expect("works");
        assert_eq!(log.source_epoch(), source_epoch(&batches[8]));
    }
}

/// After a loss of power a follower gives back what we had mirrored: that is the source's still, in
/// the source's epochs, and what came behind it in the follower's own epoch is not.
#[test]
fn what_is_given_back_is_what_it_was() {
    let batches = batches(Traffic::Plain);
    let led_to = |count: usize| {
        let disk = MemoryDisk::default();
        let Opened {
            mut log, mut store, ..
        } = opened(&disk, Offset::ZERO).expect("new");
        store.lead(&mut log, epoch(3), None).expect("empty");
        for batch in &batches[..count] {
            mirror(&mut log, &mut store, batch).expect("works");
        }
        (disk, log)
    };
    let (whole, log) = led_to(8);
    let (lost, _) = led_to(4);
    for name in [
        "source-leader-epoch-checkpoint",
        "led-leader-epoch-checkpoint",
    ] {
        let bytes = whole
            .bytes(&dir().join(name))
            .expect("it was written before its batch");
        lost.put(&dir().join(name), &bytes);
    }
    let mut back = opened(&lost, Offset::ZERO).expect("sound");
    for (batch, by) in [(4, 3), (5, 3), (6, 3), (7, 3), (8, 4)] {
        let bytes = stamped(&batches[batch], epoch(by));
        let run = check(&bytes, back.log.expects()).run;
        back.store.append(&mut back.log, WALL, run).expect("works");
    }
    let end = log.watermarks().log_end;
    assert_eq!(back.log.mirrored(), end);
    assert!(back.log.watermarks().log_end > end);
    assert_eq!(back.log.source_epoch(), log.source_epoch());
    let again = opened(&lost.after_kill(), Offset::ZERO).expect("sound").log;
    assert_eq!(
        (again.mirrored(), again.source_epoch()),
        (end, log.source_epoch())
    );
}

#[test]
fn a_log_of_unknown_origin_is_nobodys_until_control_knows() {
    let batches = batches(Traffic::Plain);
    let whole = MemoryDisk::default();
    let end = worked(&whole, &batches);
    let damaged = whole.after_kill();
    damaged.put(&dir().join("source-leader-epoch-checkpoint"), b"0\n1\n3");
    for disk in [whole, damaged] {
        let Opened {
            mut log, mut store, ..
        } = opened(&disk, end).expect("sound");
        store.lead(&mut log, epoch(9), None).expect("a later one");
        assert_eq!(log.mirrored(), Offset::ZERO);
        assert_eq!(log.source_epoch(), LeaderEpoch::NONE);
        let found = expected_epochs(&batches, end);
        let found = LeaderEpochs::of(found).expect("they rise");
        store
            .lead(&mut log, epoch(9), Some(found.clone()))
            .expect("the same");
        assert_eq!(log.mirrored(), end);
        let log = opened(&disk, end).expect("sound").log;
        assert_eq!(log.source_epochs(), &found, "it is remembered");
    }
}

/// How many of the batches are mirrored before a log is sealed: some transactions are open then.
const SEALED_AT: usize = 17;

fn to_be_sealed(disk: &MemoryDisk, batches: &[Vec<u8>]) -> Result<Offset, LogFault> {
    let (log, _) = led(disk, &batches[..SEALED_AT], &mut Reached::default())?;
    Ok(log.watermarks().log_end)
}

#[test]
fn sealing_aborts_what_is_open_once_wherever_it_is_killed() {
    let batches = batches(Traffic::Transactions);
    let whole = MemoryDisk::default();
    let end = to_be_sealed(&whole, &batches).expect("nothing is in its way");
    let mirrored = content(&whole);
    let seal = |disk: &MemoryDisk| {
        let Opened {
            mut log, mut store, ..
        } = opened(disk, end)?;
        store.lead(&mut log, epoch(3), None)?;
        let aborted = store.seal(&mut log, WALL)?;
        let end = store.close(&mut log, WALL)?;
        Ok::<_, LogFault>((aborted, end, log))
    };
    let sealed = whole.after_kill();
    let (aborted, sealed_end, log) = seal(&sealed).expect("nothing is in its way");
    assert!(aborted.len() > 1, "{aborted:?} is no test");
    assert_eq!(sealed_end.since(end) as usize, aborted.len());
    assert_eq!(log.watermarks().last_stable, sealed_end);
    assert_eq!(
        (log.mirrored(), log.watermarks().log_end),
        (end, sealed_end)
    );
    assert_eq!(log.source_epoch(), source_epoch(&batches[SEALED_AT - 1]));
    assert_eq!(content(&sealed).len(), mirrored.len() + 78 * aborted.len());
    let begun: Vec<Offset> = aborted.iter().map(|one| one.first).collect();
    assert!(begun.is_sorted(), "{begun:?}");
    assert_eq!(findings(&sealed, sealed_end, true), []);
    let (again, _, _) = seal(&sealed.after_kill()).expect("sealed already");
    assert_eq!(again, []);
    let changes = sealed.changes();
    for after in 0..changes {
        let disk = whole.after_kill();
        disk.kill_after(after);
        seal(&disk).map(drop).expect_err("killed in its midst");
        let mut prng = Prng::new(after as u64);
        let chance = || u32::try_from(prng.below(1 << 20)).expect("small");
        for left in [disk.after_kill(), disk.after_power_loss(chance)] {
            let what = format!("killed after {after}");
            let (_, end_now, log) = seal(&left).unwrap_or_else(|fault| panic!("{what}: {fault}"));
            assert_eq!(end_now, sealed_end, "{what}");
            assert_eq!(log.mirrored(), end, "{what}");
            assert_eq!(content(&left), content(&sealed), "{what}");
            assert_eq!(findings(&left, sealed_end, true), [], "{what}");
        }
    }
}

/// Who leads after us has their coordinator's word, and we have not.
#[test]
fn transactions_that_others_have_begun_are_left_to_them() {
    let batches = batches(Traffic::Transactions);
    let disk = MemoryDisk::default();
    let mirrored = to_be_sealed(&disk, &batches).expect("nothing is in its way");
    let Opened {
        mut log, mut store, ..
    } = opened(&disk, mirrored).expect("sound");
    // As a replica of another leader, which others write to.
    for batch in &batches[SEALED_AT..SEALED_AT + 6] {
        append(&mut log, &mut store, &stamped(batch, epoch(8))).expect("works");
    }
    let end = store.close(&mut log, WALL).expect("works");
    let Opened {
        mut log, mut store, ..
    } = opened(&disk, end).expect("sound");
    store.lead(&mut log, epoch(9), None).expect("a later one");
    assert_eq!(log.mirrored(), mirrored);
    let all = log.open_transactions();
    let aborted = store.seal(&mut log, WALL).expect("works");
    assert!(!aborted.is_empty(), "it is no test");
    assert!(
        aborted.iter().all(|one| one.first < mirrored),
        "{aborted:?}"
    );
    assert!(aborted.len() < all, "it is no test");
    assert_eq!(log.open_transactions(), all - aborted.len());
    assert!(log.watermarks().last_stable >= mirrored);
    assert!(log.watermarks().last_stable < end, "theirs hold it");
}

/// A cut below the recovery point, which nobody lowers before the kill.
#[test]
fn a_cut_that_is_killed_is_not_taken_for_a_loss() {
    let batches = batches(Traffic::Transactions);
    let whole = MemoryDisk::default();
    let mut reached = Reached::default();
    led(&whole, &batches, &mut reached).expect("nothing is in its way");
    let durable = reached.durable;
    let to = next_offset(&batches[12]);
    let cut_whole = whole.after_kill();
    let before = cut_whole.changes();
    cut(&cut_whole, &dir(), to, durable).expect("nothing is in its way");
    for after in 0..=cut_whole.changes() - before {
        let disk = whole.after_kill();
        disk.kill_after(after);
        drop(cut(&disk, &dir(), to, durable));
        let mut prng = Prng::new(after as u64);
        let chance = || u32::try_from(prng.below(1 << 20)).expect("small");
        for left in [disk.after_kill(), disk.after_power_loss(chance)] {
            let what = format!("killed after {after}");
            let log = opened(&left, durable).unwrap_or_else(|fault| panic!("{what}: {fault}"));
            assert!(log.log.watermarks().log_end >= to, "{what}");
            drop(log);
            cut(&left, &dir(), to, durable).unwrap_or_else(|fault| panic!("{what}: {fault}"));
            let cut = opened(&left, durable).unwrap_or_else(|fault| panic!("{what}: {fault}"));
            assert_eq!(cut.log.watermarks().log_end, to, "{what}");
            assert_eq!(cut.log.mirrored(), to, "{what}");
            goes_on(&left, &batches, to, &what);
        }
    }
}

#[test]
fn a_cut_is_remembered_until_the_recovery_point_is_surely_newer() {
    let batches = batches(Traffic::Plain);
    let disk = MemoryDisk::default();
    let durable = worked(&disk, &batches);
    let to = next_offset(&batches[4]);
    cut(&disk, &dir(), to, durable).expect("works");
    let note = dir().join("cut-checkpoint");
    let opened_with = |disk: &MemoryDisk, point| opened(disk, point).expect("sound");
    for point in [durable, to] {
        let disk = disk.after_kill();
        let end = opened_with(&disk, point).log.watermarks().log_end;
        assert_eq!(end, to);
        assert!(
            disk.bytes(&note).is_some(),
            "nobody has written {point} down"
        );
    }
    let Opened {
        mut log, mut store, ..
    } = opened_with(&disk, durable);
    for batch in &batches[5..8] {
        append(&mut log, &mut store, batch).expect("works");
    }
    let end = store.close(&mut log, WALL).expect("works");
    store.recorded(end);
    assert!(disk.bytes(&note).is_some(), "it may be of before the cut");
    store.recorded(to);
    assert!(disk.bytes(&note).is_none());
    // Whoever lost what was durable since is told so.
    let logs = disk
        .paths()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "log"));
    let last = logs.max().expect("there is one");
    disk.put(&last, &[]);
    assert!(opened(&disk, end).is_err());
}

#[test]
fn what_is_cut_off_is_set_aside_whole() {
    let batches = batches(Traffic::Transactions);
    let disk = MemoryDisk::default();
    led(&disk, &batches, &mut Reached::default()).expect("nothing is in its way");
    let into = PathBuf::from("/vault.aside");
    let whole = content(&disk);
    for nth in [0, 5, 13, batches.len() - 1] {
        let disk = disk.after_kill();
        let to = next_offset(&batches[nth]);
        let aside = set_aside(&disk, &dir(), to, &into, WALL).expect("works");
        let again = set_aside(&disk, &dir(), to, &into, WALL).expect("works");
        let stays: usize = batches[..=nth].iter().map(Vec::len).sum();
        assert!(content(&disk).starts_with(&whole), "nothing has changed");
        let Some(aside) = aside else {
            assert_eq!(nth, batches.len() - 1, "there was something");
            continue;
        };
        assert_ne!(Some(&aside), again.as_ref(), "nothing is written over");
        let mut held = Vec::new();
        describe(&disk, Path::new(&aside.path), &mut |piece| match piece {
            Piece::Batch(batch, _) => held.extend_from_slice(batch.bytes()),
            Piece::NoBatch(_, why) | Piece::NotReadable(why) => panic!("{why}"),
            _ => {}
        })
        .expect("readable");
        assert!(held == whole[stays..], "cut at {to}");
        let names = disk.list(&into).expect("it is there");
        assert!(
            names
                .iter()
                .all(|entry| !entry.name.ends_with("unfinished"))
        );
        assert_eq!(names.len(), 2);
    }
}
