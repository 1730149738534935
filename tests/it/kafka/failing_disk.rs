//! A member whose disk fails a sync: what was to be made durable by it is not taken for that. Its
//! life as a broker is over, stock brokers lead on with what they have, and once the disk is well
//! it comes back, follows them, leads again and mirrors on: nothing is lost at any replica.
//!
//! The disk is a file system on a file on another one: where that one is full, writes succeed, and
//! syncs do not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::mirrored::Mirrored;
use super::*;

const TOPIC: &str = "synced";
/// What the file system may believe to have, and what there is behind it, in MiB.
const SEEMING: u64 = 256;
const BEHIND: u64 = 48;
const ENDS_WITHIN: Duration = Duration::from_secs(90);

#[test]
fn a_failed_sync_is_never_followed_by_durable() {
    let test = "a_failed_sync_is_never_followed_by_durable";
    let Some(_turn) = Turn::take(test) else {
        return;
    };
    for version in newest() {
        let workload = Arc::new(Workload::start(&version));
        let mut mirrored = Mirrored::begin(&workload, "failing-disk", TOPIC);
        let logs = mirrored.node.data.join("logs");
        let mut disk = match Disk::mount(mirrored.destination.dir(), &logs) {
            Ok(disk) => disk,
            // Not every machine has loop devices, or lets us use them.
            Err(why) => return skip(test, &why.to_string()),
        };
        outlives_a_failed_sync(&mut mirrored, &mut disk);
    }
}

fn outlives_a_failed_sync(mirrored: &mut Mirrored, disk: &mut Disk) {
    mirrored
        .source
        .ask(&format!("create topic={TOPIC} partitions=2"));
    mirrored
        .source
        .ask(&format!("produce topic={TOPIC} count=200"));
    mirrored.node.start();
    mirrored.arrives(TOPIC, "at first");
    mirrored.until_in_sync(TOPIC, &[1, 2, 9001]);

    disk.fill();
    let more = format!("produce topic={TOPIC} count=4000 size=4000 seed=2 batch=200000");
    mirrored.source.ask(&more);
    let ended = mirrored.node.await_end(ENDS_WITHIN);
    ended.expect_code(1).expect_said(&[TOPIC, "sync"]);
    let deadline = std::time::Instant::now() + ENDS_WITHIN;
    while !mirrored.leads(TOPIC, |leader| [1, 2].contains(&leader)) {
        assert!(std::time::Instant::now() < deadline, "nobody leads");
        std::thread::sleep(Duration::from_millis(200));
    }

    disk.make_room();
    mirrored.node.start();
    mirrored.arrives(TOPIC, "when the disk is well");
    mirrored.until_in_sync(TOPIC, &[1, 2, 9001]);
    let ends = mirrored.source.offsets(TOPIC);
    mirrored.node.until("caught up", 2, |one| {
        let end = &ends[usize::try_from(one.partition).expect("a number")];
        one.is_caught_up() && one.destination_offset == end.high_watermark
    });
    mirrored.node.stop().expect_code(0);
    // What is on the disk, and not only in memory, is the source's.
    disk.forget_what_is_in_memory();
    for partition in &ends {
        let theirs = mirrored.source.log_dir(1).join(partition.directory());
        let ours = mirrored.node.data.join("logs").join(partition.directory());
        compare::agree_but_for_epochs(&theirs, &ours, partition.range())
            .unwrap_or_else(|difference| panic!("{difference}"));
    }
}

/// A file system that believes to have more room than there is behind it.
struct Disk {
    behind: PathBuf,
    device: PathBuf,
    at: PathBuf,
}

impl Disk {
    /// Makes one there; says what is missing where that cannot be done.
    fn mount(beside: &Path, at: &Path) -> Result<Disk, String> {
        let behind = beside.join("behind");
        for dir in [&behind, &at.to_owned()] {
            fs::create_dir_all(dir).expect("target is writable");
        }
        let size = format!("size={BEHIND}m");
        run(
            "mount",
            &["-t", "tmpfs", "-o", &size, "tmpfs", text(&behind)],
        )?;
        let mut disk = Disk {
            device: PathBuf::new(),
            at: at.to_owned(),
            behind,
        };
        let image = disk.behind.join("image");
        let file = fs::File::create(&image).expect("there is room");
        file.set_len(SEEMING << 20).expect("it is sparse");
        let device = run("losetup", &["--find", "--show", text(&image)])?;
        disk.device = PathBuf::from(device.trim());
        // With a journal the whole file system would fail at once.
        run(
            "mkfs.ext4",
            &["-q", "-O", "^has_journal", text(&disk.device)],
        )?;
        disk.attach()?;
        fs::remove_dir(at.join("lost+found")).expect("it is empty");
        Ok(disk)
    }

    fn attach(&self) -> Result<String, String> {
        run("mount", &[text(&self.device), text(&self.at)])
    }

    fn fill(&self) {
        let full = fs::File::create(self.filling()).and_then(|mut file| {
            let zeros = vec![0; 1 << 20];
            loop {
                std::io::Write::write_all(&mut file, &zeros)?;
            }
        });
        let full: std::io::Result<()> = full;
        full.expect_err("there is an end of it");
    }

    fn make_room(&self) {
        let size = format!("remount,size={}m", 2 * SEEMING);
        run("mount", &["-o", &size, text(&self.behind)]).expect("it was mounted");
        fs::remove_file(self.filling()).expect("it was written");
    }

    fn filling(&self) -> PathBuf {
        self.behind.join("filling")
    }

    fn forget_what_is_in_memory(&self) {
        run("umount", &[text(&self.at)]).expect("nobody uses it");
        self.attach().expect("it was there");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whatever was not made is not there to be undone.
        for (program, args) in [
            ("umount", ["-l", text(&self.at)]),
            ("losetup", ["-d", text(&self.device)]),
            ("umount", ["-l", text(&self.behind)]),
        ] {
            drop(run(program, &args));
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("our paths are text")
}

fn run(program: &str, args: &[&str]) -> Result<String, String> {
    let mut command = Command::new(program);
    let output = command.args(args).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("{program} {args:?}: {said}"))
        }
    }
}
