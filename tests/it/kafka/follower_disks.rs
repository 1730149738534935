//! A follower loses its disk and gets another one: all that it had comes back from our node.
//! The new one is small, and comes to be full: the broker ends, nobody waits for it, and it is in
//! sync again once there is room.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::ledger::{Id, Ledger};
use super::mirrored::Mirrored;
use super::*;

const TOPIC: &str = "followed";
const IDS: [Id; 2] = [(TOPIC, 0), (TOPIC, 1)];
const WITHIN: Duration = Duration::from_secs(60);
/// What the broker's new disk has, in MiB, and the bytes that are written when it is full.
const DISK: u64 = 96;
const MORE: usize = 24 << 20;

#[test]
fn a_follower_whose_disk_is_lost_or_full_comes_back() {
    let test = "a_follower_whose_disk_is_lost_or_full_comes_back";
    let Some(_turn) = Turn::take(test) else {
        return;
    };
    for version in newest() {
        let workload = Arc::new(Workload::start(&version));
        let mut mirrored = Mirrored::begin(&workload, "full-follower", TOPIC);
        let source = &mirrored.source;
        source.ask(&format!("create topic={TOPIC} partitions=2"));
        source.ask(&format!("load id=steady topic={TOPIC} rate=300"));
        mirrored.node.start();
        mirrored.until_in_sync(TOPIC, &[1, 2, 9001]);
        let mut ledger = Ledger::default();
        mirrored.notes(&mut ledger, &IDS);
        let disk = gets_another_disk(&mut mirrored);
        mirrored.until_in_sync(TOPIC, &[1, 2, 9001]);
        mirrored.keep(&mut ledger, &IDS, &[1, 2], "it has another disk");
        mirrored.notes(&mut ledger, &IDS);
        match &disk {
            Ok(disk) => is_full(&mut mirrored, disk),
            // Not every machine lets us.
            Err(why) => skip(&format!("the second half of {test}"), &why.to_string()),
        }
        mirrored.source.ask("unload id=steady");
        mirrored.arrives(TOPIC, "at last");
        mirrored.keep(&mut ledger, &IDS, &[1, 2], "at last");
        mirrored.node.stop().expect_code(0);
    }
}

/// The broker that only follows dies with its disk, and comes back with a small and empty one.
fn gets_another_disk(mirrored: &mut Mirrored) -> Result<Mounted, String> {
    mirrored.destination.kill(2);
    let mut disk = Err("nobody has tried".to_owned());
    mirrored
        .destination
        .replace_disk(2, |dir| disk = Mounted::at(dir));
    mirrored.destination.restart(2);
    disk
}

/// It ends by itself, is waited for by nobody, and goes on once there is room.
fn is_full(mirrored: &mut Mirrored, disk: &Mounted) {
    let filling = disk.fill();
    let more = format!("topic={TOPIC} count={} size=8000 batch=200000", MORE / 8000);
    mirrored.source.ask(&format!("produce {more}"));
    mirrored.destination.await_end(2, WITHIN);
    mirrored.until_in_sync_says(1, TOPIC, &[1, 9001]);
    let wanted = mirrored.source.offsets(TOPIC);
    mirrored.arrive_at(&[1], &wanted, "the other one's disk is full");
    fs::remove_file(filling).expect("it was written");
    mirrored.destination.restart(2);
    mirrored.until_in_sync(TOPIC, &[1, 2, 9001]);
}

/// A small file system.
struct Mounted(PathBuf);

impl Mounted {
    fn at(dir: &Path) -> Result<Mounted, String> {
        let size = format!("size={DISK}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir);
        let output = mount.output().map_err(|error| format!("mount: {error}"))?;
        match output.status.success() {
            true => Ok(Mounted(dir.to_owned())),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// Leaves no room; says what takes it.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filling");
        let full = fs::File::create(&path).and_then(|mut file| {
            let zeros = vec![0; 1 << 16];
            loop {
                std::io::Write::write_all(&mut file, &zeros)?;
            }
        });
        let full: std::io::Result<()> = full;
        full.expect_err("there is an end of it");
        path
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // The broker on it may still run.
        drop(Command::new("umount").arg("-l").arg(&self.0).output());
    }
}
