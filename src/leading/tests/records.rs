//! Batches out of files: whole, in order, and only those that may be served.

use std::path::{Path, PathBuf};

use super::logs::Written;
use crate::io::memory::MemoryDisk;
use crate::leading::records::{Found, Records, Unservable, Wanted};
use crate::model::{BrokerId, LeaderEpoch, Offset};

const ONE: BrokerId = BrokerId(1);

fn dir() -> &'static Path {
    Path::new("/log/t-0")
}

fn wanted(from: Offset, end: Offset) -> Wanted {
    Wanted {
        from,
        end,
        epoch: LeaderEpoch::new(5),
        by: Some(ONE),
    }
}

/// Some segments with gaps, from offset 1,000 on.
fn written(disk: &MemoryDisk) -> Written<MemoryDisk> {
    let mut written = Written::new(disk.clone(), dir(), 1_000);
    for nth in 0..40 {
        written.append(
            nth / 20,
            1 + u32::from(nth % 3 == 0),
            u64::from(nth % 7 == 6) * 10,
        );
    }
    written
}

/// Reads from `from` on as a follower does that comes again and again; `room` bytes each time.
fn read_all(records: &mut Records<MemoryDisk>, from: Offset, end: Offset, room: usize) -> Vec<u8> {
    let (mut all, mut next, mut room) = (Vec::new(), from, vec![0; room]);
    while next < end {
        match records.read(wanted(next, end), &mut room) {
            Ok(Found::Bytes(bytes)) => {
                let expect = crate::record::Expect::after(next, LeaderEpoch::NONE);
                let run = crate::record::check(&room[..bytes], expect).run;
                assert_eq!(run.bytes().len(), bytes, "whole, sound batches");
                next = run.next_offset();
                all.extend_from_slice(&room[..bytes]);
            }
            Ok(Found::Larger(need)) => {
                assert!(need > room.len());
                room.resize(need, 0);
            }
            Err(fault) => panic!("{fault}"),
        }
    }
    assert_eq!(next, end);
    all
}

#[test]
fn a_log_is_read_whole_in_rooms_of_every_size() {
    let disk = MemoryDisk::default();
    let written = written(&disk);
    assert!(disk.paths().iter().filter(is_log).count() > 2);
    for room in [1, 20, 61, 100, 130, 500, 1_999, 1 << 20] {
        let mut records = Records::new(disk.clone(), dir());
        let all = read_all(&mut records, written.start(), written.end(), room);
        assert!(all == written.bytes, "room {room}");
    }
}

fn is_log(path: &&PathBuf) -> bool {
    path.extension().is_some_and(|end| end == "log")
}

#[test]
fn segments_that_have_come_since_are_found() {
    let disk = MemoryDisk::default();
    let mut written = written(&disk);
    let mut records = Records::new(disk.clone(), dir());
    let mut all = read_all(&mut records, written.start(), written.end(), 1 << 20);
    for _ in 0..40 {
        let before = written.end();
        written.append(2, 3, 0);
        all.extend(read_all(&mut records, before, written.end(), 1 << 20));
    }
    assert!(all == written.bytes);
}

/// A follower that comes for what follows costs one read, a stranger a search.
#[test]
fn places_are_remembered() {
    let disk = MemoryDisk::default();
    let mut written = written(&disk);
    let mut records = Records::new(disk.clone(), dir());
    read_all(&mut records, written.start(), written.end(), 1 << 20);
    let from = written.end();
    let batch = written.append(2, 1, 0);
    let read = |records: &mut Records<MemoryDisk>, by| {
        let before = disk.bytes_read();
        let wanted = Wanted {
            by,
            ..wanted(from, written.end())
        };
        let found = records.read(wanted, &mut [0; 4_096]).expect("there");
        assert_eq!(found, Found::Bytes(batch.len()));
        disk.bytes_read() - before
    };
    assert_eq!(read(&mut records, Some(ONE)), batch.len() as u64);
    assert!(read(&mut records, None) > batch.len() as u64);
}

#[test]
fn nothing_beyond_the_end_that_was_told_is_served() {
    let disk = MemoryDisk::default();
    let mut written = Written::new(disk.clone(), dir(), 0);
    let told = written.append(0, 3, 0);
    let end = written.end();
    // It lies in the file, and nobody has said so.
    written.append(0, 3, 0);
    let mut records = Records::new(disk, dir());
    let mut room = vec![0; 4_096];
    let found = records.read(wanted(Offset::ZERO, end), &mut room);
    assert_eq!(found.expect("there"), Found::Bytes(told.len()));
    // A batch that only begins below the end is none of the log.
    let half = records.read(wanted(end, Offset::new(end.value() + 1)), &mut room);
    assert!(matches!(half, Err(Unservable::Damaged { .. })), "{half:?}");
}

#[test]
fn a_stamp_above_our_epoch_is_never_served() {
    let disk = MemoryDisk::default();
    let mut written = Written::new(disk.clone(), dir(), 0);
    let ours = written.append(5, 1, 0);
    let next = written.end();
    written.append(6, 1, 0);
    let mut records = Records::new(disk, dir());
    let mut room = vec![0; 4_096];
    let found = records.read(wanted(Offset::ZERO, written.end()), &mut room);
    assert_eq!(
        found.expect("sound"),
        Found::Bytes(ours.len()),
        "up to there"
    );
    let above = records.read(wanted(next, written.end()), &mut room);
    let Err(Unservable::Stamp { at, found, ours }) = above else {
        panic!("{above:?}");
    };
    assert_eq!((at, found.value(), ours.value()), (next, 6, 5));
}

#[test]
fn damage_is_told_and_no_byte_of_it_served() {
    let disk = MemoryDisk::default();
    let mut written = Written::new(disk.clone(), dir(), 0);
    let first = written.append(0, 1, 0);
    let next = written.end();
    written.append(0, 1, 0);
    let path = dir().join("00000000000000000000.log");
    let sound = disk.bytes(&path).expect("there");
    for at in [
        first.len(),
        first.len() + 8,
        first.len() + 16,
        first.len() + 23,
    ] {
        let mut damaged = sound.clone();
        damaged[at] ^= 0x80;
        disk.put(&path, &damaged);
        let mut records = Records::new(disk.clone(), dir());
        let mut room = vec![0; 4_096];
        let found = records.read(wanted(Offset::ZERO, written.end()), &mut room);
        assert_eq!(found.expect("sound"), Found::Bytes(first.len()), "{at}");
        let found = records.read(wanted(next, written.end()), &mut room);
        assert!(found.is_err(), "{at}: {found:?}");
    }
    // The file ends before the log does.
    disk.put(&path, &sound[..sound.len() - 1]);
    let mut records = Records::new(disk.clone(), dir());
    let found = records.read(wanted(next, written.end()), &mut vec![0; 4_096]);
    assert!(found.is_err(), "{found:?}");
    disk.put(&path, &sound[..first.len()]);
    let mut records = Records::new(disk, dir());
    let found = records.read(wanted(next, written.end()), &mut vec![0; 4_096]);
    assert!(found.is_err(), "{found:?}");
}

/// What retention has taken is not passed over.
#[test]
fn a_segment_that_is_gone_is_no_gap() {
    let disk = MemoryDisk::default();
    let written = written(&disk);
    let mut records = Records::new(disk.clone(), dir());
    let mut room = vec![0; 200];
    let first = records.read(wanted(written.start(), written.end()), &mut room);
    assert!(matches!(first, Ok(Found::Bytes(_))));
    let path = dir().join("00000000000000001000.log");
    crate::io::Disk::remove_file(&disk, &path).expect("there");
    records.rest();
    records.rest();
    let found = records.read(wanted(written.start(), written.end()), &mut room);
    assert!(found.is_err(), "{found:?}");
    let mut records = Records::new(disk, dir());
    let found = records.read(wanted(written.start(), written.end()), &mut room);
    assert!(found.is_err(), "{found:?}");
}
