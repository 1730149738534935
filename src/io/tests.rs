//! The memory disk does what every disk does, and fails as it is told to.

use std::path::Path;

use super::memory::MemoryDisk;
use super::{Disk, File, Open, conformance};
use crate::model::Position;

fn disk() -> (MemoryDisk, &'static Path) {
    let (disk, dir) = (MemoryDisk::default(), Path::new("/disk"));
    disk.create_dir(dir).unwrap();
    (disk, dir)
}

#[test]
fn the_memory_disk_conforms() {
    let (disk, dir) = disk();
    conformance::conforms(&disk, dir);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(conformance::syncs(&disk, dir));
}

#[test]
fn the_memory_disk_loses_what_was_not_synced() {
    let (disk, dir) = disk();
    let path = dir.join("file");
    let file = disk.open(&path, Open::CreateEmpty).unwrap();
    file.write_at(b"safe", Position::ZERO).unwrap();
    file.sync_blocking().unwrap();
    disk.sync_dir(dir).unwrap();
    file.write_at(b"new", Position::new(4)).unwrap();
    disk.fail_syncs(true);
    assert!(file.sync_blocking().is_err() && disk.sync_dir(dir).is_err());
    for (left, expected) in [
        (0, &b"safe"[..]),
        (1, b"safenew"),
        (2, b"safen"),
        (3, b"safe\0\0\0"),
    ] {
        let after = disk.after_power_loss(|| left);
        assert_eq!(after.bytes(&path).unwrap(), expected, "{left}");
    }
    assert_eq!(disk.after_kill().bytes(&path).unwrap(), b"safenew");
    disk.fail_syncs(false);
    file.sync_blocking().unwrap();
    let after = disk.after_power_loss(|| 0);
    assert_eq!(after.bytes(&path).unwrap(), b"safenew");
}

#[test]
fn the_memory_disk_dies_in_the_middle_of_a_change_and_counts_what_it_reads() {
    let (disk, dir) = disk();
    let path = dir.join("file");
    let file = disk.open(&path, Open::CreateEmpty).unwrap();
    file.write_at(b"0123", Position::ZERO).unwrap();
    let mut into = [0; 3];
    file.read_at(&mut into, Position::new(2)).unwrap();
    assert_eq!(disk.bytes_read(), 2);
    disk.kill_after(1);
    file.write_at(b"45", Position::new(4)).unwrap();
    assert!(file.write_at(b"6789", Position::new(6)).is_err());
    assert!(file.size().is_err() && disk.list(dir).is_err());
    assert_eq!(disk.after_kill().bytes(&path).unwrap(), b"01234567");
}
