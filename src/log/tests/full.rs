//! A disk that is full for a while, or cannot write, at every change that needs room; and one whose
//! sync fails, at every sync.

use super::*;

/// Repeats what only lacks room until it is done.
fn until_it_goes<T>(refused: &mut usize, mut what: impl FnMut() -> Result<T, LogFault>) -> T {
    loop {
        match what() {
            Ok(done) => return done,
            Err(fault) => {
                assert!(fault.may_pass(), "{fault}");
                *refused += 1;
                assert!(*refused < 100, "it never goes: {fault}");
            }
        }
    }
}

/// Appends everything with a sync now and then, each thing as often as the disk refuses it. Says
/// how often that was.
fn work_patiently(disk: &MemoryDisk, batches: &[Vec<u8>]) -> (Offset, usize) {
    let mut refused = 0;
    let known = known(Offset::ZERO, false);
    let Opened {
        mut log, mut store, ..
    } = until_it_goes(&mut refused, || {
        open(disk.clone(), &dir(), OPTIONS, known, WALL)
    });
    for (nth, batch) in batches.iter().enumerate() {
        let end = next_offset(batch);
        until_it_goes(&mut refused, || {
            // What was appended before the trouble is not appended again.
            match log.watermarks().log_end < end {
                true => append(&mut log, &mut store, batch),
                false => Ok(()),
            }
        });
        if nth % SYNC_EVERY == SYNC_EVERY - 1 {
            until_it_goes(&mut refused, || store.close(&mut log, WALL));
        }
    }
    let durable = until_it_goes(&mut refused, || store.close(&mut log, WALL));
    (durable, refused)
}

#[test]
fn a_full_disk_is_waited_out_wherever_it_fills() {
    let batches = batches(Traffic::Transactions);
    let disk = MemoryDisk::default();
    worked(&disk, &batches);
    let grows = disk.grows();
    assert!(grows > 50, "{grows} changes that need room are no test");
    for after in 0..grows {
        for times in [1, 4] {
            let disk = MemoryDisk::default();
            disk.fill_after(after, times);
            let (durable, refused) = work_patiently(&disk, &batches);
            let what = format!("full {times} times after {after}");
            assert!(refused > 0, "{what}: nothing was refused");
            assert!(content(&disk) == batches.concat(), "{what}");
            let claims = Claims {
                topic_id: TopicId::new([7; 16]),
                log_start: Some(Offset::ZERO),
                durable,
                is_clean: true,
            };
            let verified = verify(&disk, &dir(), claims).expect("the disk works");
            assert_eq!(verified.findings, [], "{what}");
            recovers(&disk.after_kill(), &batches, durable, &what);
        }
    }
}

#[test]
fn a_kill_while_the_disk_is_full_leaves_a_prefix() {
    let batches = batches(Traffic::Transactions);
    let disk = MemoryDisk::default();
    worked(&disk, &batches);
    for after in 0..disk.grows() {
        let disk = MemoryDisk::default();
        disk.fill_after(after, usize::MAX >> 1);
        let mut reached = Reached::default();
        let fault = work(&disk, &batches, &mut reached).expect_err("it is full");
        assert!(fault.may_pass(), "{fault}");
        let what = format!("killed when it was full after {after}");
        recovers(&disk.after_kill(), &batches, reached.durable, &what);
        let left = disk.after_power_loss(|| 0);
        recovers(&left, &batches, reached.durable, &what);
    }
}

#[test]
fn a_write_that_fails_leaves_a_prefix_and_all_that_was_durable() {
    let batches = batches(Traffic::Transactions);
    let disk = MemoryDisk::default();
    worked(&disk, &batches);
    for after in 0..disk.grows() {
        for times in [1, usize::MAX >> 1] {
            let disk = MemoryDisk::default();
            disk.break_after(after, times);
            let mut reached = Reached::default();
            let fault = work(&disk, &batches, &mut reached).expect_err("it cannot write");
            let what = format!("{times} writes fail after {after}: {fault}");
            // It names the file, and what the system says.
            let said = fault.to_string();
            assert!(
                said.contains("/vault/t-0") && said.contains("os error 5"),
                "{what}"
            );
            recovers(&disk.after_kill(), &batches, reached.durable, &what);
            let left = disk.after_power_loss(|| 0);
            recovers(&left, &batches, reached.durable, &what);
        }
    }
}

/// The operating system takes what it could not write for clean: the next sync succeeds and has
/// written nothing. What was not durable is cut, and only what is written again counts.
#[test]
fn a_failed_sync_is_never_followed_by_durable() {
    let batches = batches(Traffic::Transactions);
    let disk = MemoryDisk::default();
    worked(&disk, &batches);
    let syncs = disk.syncs();
    assert!(syncs > 20, "{syncs} syncs are no test");
    for after in 0..syncs {
        let disk = MemoryDisk::default();
        disk.fail_sync_after(after);
        let mut reached = Reached::default();
        let what = format!("sync {after} fails");
        let Err(fault) = work(&disk, &batches, &mut reached) else {
            panic!("{what}, and nobody noticed");
        };
        let left = disk.after_power_loss(|| 0);
        recovers(&left, &batches, reached.durable, &what);
        if reached.durable == Offset::ZERO {
            continue;
        }
        assert!(!fault.may_pass(), "{what}: {fault}");
        cut_unsynced(&disk, &dir(), reached.durable).expect("the disk works again");
        recovers(&disk, &batches, reached.durable, &what);
        let lost = disk.after_power_loss(|| 0);
        assert!(
            content(&lost) == batches.concat(),
            "{what}: called durable, and lost"
        );
        let claims = Claims {
            topic_id: TopicId::new([7; 16]),
            log_start: Some(Offset::ZERO),
            durable: next_offset(batches.last().expect("there are some")),
            is_clean: true,
        };
        let verified = verify(&lost, &dir(), claims).expect("the disk works again");
        assert_eq!(verified.findings, [], "{what}");
    }
}

/// Appends until the disk refuses a batch, then closes the log as often as it takes.
fn closed_after_refusal(disk: &MemoryDisk, batches: &[Vec<u8>]) -> Option<Offset> {
    let opened = open(
        disk.clone(),
        &dir(),
        OPTIONS,
        known(Offset::ZERO, false),
        WALL,
    );
    let Opened {
        mut log, mut store, ..
    } = opened.ok()?;
    let mut refused = batches
        .iter()
        .map(|batch| append(&mut log, &mut store, batch));
    refused.find_map(Result::err)?;
    disk.fail_truncates(false);
    Some(until_it_goes(&mut 0, || store.close(&mut log, WALL)))
}

/// What is left of a write that failed is gone before the log is called closed.
#[test]
fn nothing_lies_behind_a_clean_end_after_a_write_that_failed() {
    let batches = batches(Traffic::Transactions);
    let disk = MemoryDisk::default();
    worked(&disk, &batches);
    let mut refusals = 0;
    for (after, can_cut) in (0..disk.grows()).flat_map(|after| [(after, true), (after, false)]) {
        let disk = MemoryDisk::default();
        disk.fill_after(after, 1);
        disk.fail_truncates(!can_cut);
        let Some(end) = closed_after_refusal(&disk, &batches) else {
            continue;
        };
        refusals += 1;
        let what = format!("full after {after}, cuts succeed: {can_cut}");
        let claims = Claims {
            topic_id: TopicId::new([7; 16]),
            log_start: Some(Offset::ZERO),
            durable: end,
            is_clean: true,
        };
        let verified = verify(&disk, &dir(), claims).expect("the disk works");
        assert_eq!(verified.findings, [], "{what}");
        let opened = open(disk.after_kill(), &dir(), OPTIONS, known(end, true), WALL);
        let opened = opened.unwrap_or_else(|fault| panic!("{what}: {fault}"));
        assert_eq!(opened.log.watermarks().log_end, end, "{what}");
    }
    assert!(refusals > 40, "{refusals} refusals are no test");
}

/// A log where there is none yet.
fn anew(disk: &MemoryDisk) -> Opened<MemoryDisk> {
    let beginning = known(Offset::ZERO, false);
    let opened = open(disk.clone(), &dir(), OPTIONS, beginning, WALL);
    opened.expect("nothing is in its way")
}

/// The close of a log tries to cut what a write has left, and says where it cannot.
#[test]
fn a_log_is_not_closed_while_more_lies_behind_its_end() {
    let batches = batches(Traffic::Plain);
    let disk = MemoryDisk::default();
    let Opened {
        mut log, mut store, ..
    } = anew(&disk);
    append(&mut log, &mut store, &batches[0]).expect("works");
    disk.fail_truncates(true);
    disk.fill_after(0, 1);
    append(&mut log, &mut store, &batches[1]).expect_err("it is full");
    let fault = store.close(&mut log, WALL).expect_err("it cannot be cut");
    assert!(
        fault.may_pass() && fault.to_string().contains(".log: "),
        "{fault}"
    );
    disk.fail_truncates(false);
    store.close(&mut log, WALL).expect("now it can");
    assert!(content(&disk) == batches[0]);
}

/// A new segment needs files that cannot be made: what waits for a sync does not pile up.
#[test]
fn attempts_to_begin_a_segment_leave_nothing_behind() {
    let batches = batches(Traffic::Plain);
    let disk = MemoryDisk::default();
    let Opened {
        mut log, mut store, ..
    } = anew(&disk);
    // The snapshot of its beginning can be made, and no more.
    disk.bound_names(Some(1));
    let mut due = batches.iter();
    let refused = due.find(|batch| append(&mut log, &mut store, batch).is_err());
    let refused = refused.expect("a segment is full at last");
    for _ in 0..20 {
        append(&mut log, &mut store, refused).expect_err("no file can be made");
    }
    disk.bound_names(None);
    let point = store.sync_point(&mut log, WALL).expect("works");
    let mut names: Vec<&PathBuf> = point.files.iter().map(|(path, _)| path).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), point.files.len(), "a file is held twice");
}

/// The same as above of a device that goes on failing while what it has lost is cut off, and is
/// well again when the log is opened next.
#[test]
fn syncs_that_go_on_failing_are_never_followed_by_durable() {
    let batches = batches(Traffic::Transactions);
    let disk = MemoryDisk::default();
    worked(&disk, &batches);
    for after in 0..disk.syncs() {
        for times in [2, 3, usize::MAX >> 1] {
            let disk = MemoryDisk::default();
            disk.fail_syncs_after(after, times);
            let mut reached = Reached::default();
            let what = format!("{times} syncs fail from {after} on");
            work(&disk, &batches, &mut reached).expect_err(&what);
            if reached.durable == Offset::ZERO {
                continue;
            }
            // It may say that it could not sync.
            drop(cut_unsynced(&disk, &dir(), reached.durable));
            disk.fail_syncs_after(0, 0);
            recovers(&disk, &batches, reached.durable, &what);
            let lost = disk.after_power_loss(|| 0);
            assert!(
                content(&lost) == batches.concat(),
                "{what}: called durable, and lost"
            );
        }
    }
}

#[test]
fn a_cut_of_what_a_sync_has_lost_can_be_killed_and_done_again() {
    let batches = batches(Traffic::Transactions);
    let disk = MemoryDisk::default();
    worked(&disk, &batches);
    let syncs = disk.syncs();
    let disk = MemoryDisk::default();
    disk.fail_sync_after(syncs - 20);
    let mut reached = Reached::default();
    work(&disk, &batches, &mut reached).expect_err("its sync fails");
    let durable = reached.durable;
    assert!(durable > Offset::ZERO, "something was durable");
    let whole = disk.after_kill();
    cut_unsynced(&whole, &dir(), durable).expect("works");
    let left = content(&whole);
    assert!(left.len() < content(&disk).len(), "something is cut");
    for after in 0..whole.changes() {
        let killed = disk.after_kill();
        killed.kill_after(after);
        cut_unsynced(&killed, &dir(), durable).expect_err("killed in its midst");
        let mut prng = Prng::new(after as u64);
        let chance = || u32::try_from(prng.below(1 << 20)).expect("small");
        for found in [killed.after_kill(), killed.after_power_loss(chance)] {
            let what = format!("killed after {after}");
            recovers(&found.after_kill(), &batches, durable, &what);
            cut_unsynced(&found, &dir(), durable).expect("works");
            assert!(content(&found) == left, "{what}");
            recovers(&found, &batches, durable, &what);
        }
    }
}
