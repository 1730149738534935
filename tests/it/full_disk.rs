//! A disk without room, under the real program: a small file system of its own is filled to some
//! page or other, and later has room again. Needs root to mount one, and says so where it is not;
//! where nothing may be left out, that is a failure.
#![expect(
    clippy::disallowed_methods,
    reason = "tests stand outside: real files, threads and programs"
)]

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::kafka::skip;
use crate::lying::IMPATIENT;
use crate::lying::source::{self, BATCHES, TOPICS, content};

const PAGE_BYTES: usize = 4096;
/// The file system's size in pages; the made-up source needs about forty.
const PAGES: usize = 128;
/// With so many free pages all has room.
const PAGES_TRIED: usize = 44;

/// A small file system, unmounted in the end.
struct Small {
    at: tempfile::TempDir,
    beside: tempfile::TempDir,
}

impl Small {
    /// `None`, and said so, where mounting is not allowed.
    fn mount() -> Option<Small> {
        let [at, beside] = [(); 2].map(|()| tempfile::tempdir().expect("there is a directory"));
        let size = format!("size={}", PAGES * PAGE_BYTES);
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(at.path());
        let mounted = mount.stderr(Stdio::null()).status();
        if !mounted.is_ok_and(|status| status.success()) {
            skip("a full disk", "mounting a small file system needs root");
            return None;
        }
        fs::write(beside.path().join("config.toml"), IMPATIENT).expect("it is there");
        Some(Small { at, beside })
    }

    fn ballast(&self) -> PathBuf {
        self.at.path().join("ballast")
    }

    /// Fills it but for so many pages.
    fn fill(&self, free: usize) {
        // The root directory and the ballast itself take no page.
        fs::write(self.ballast(), vec![1; (PAGES - free) * PAGE_BYTES]).expect("there is room");
    }

    fn make_room(&self) {
        fs::remove_file(self.ballast()).expect("it is there");
    }

    fn vault(&self) -> PathBuf {
        self.at.path().join("vault")
    }

    fn start(&self, port: u16, more: &[&str]) -> Running {
        let said = self.beside.path().join("said");
        let (from, vault) = (format!("127.0.0.1:{port}"), self.vault());
        let config = self.beside.path().join("config.toml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_twinlog"));
        command.args([
            "copy", "--from", &from, "--topics", ".*", "--json", "--into",
        ]);
        command.arg(vault).arg("--config").arg(config).args(more);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(fs::File::create(&said).expect("it is there"));
        let child = command.spawn().expect("cargo has built it");
        Running { child, said }
    }

    fn is_whole(&self) -> bool {
        TOPICS.iter().all(|(name, id)| {
            let dir = self.vault().join(format!("{name}-0"));
            let held = fs::read(dir.join("00000000000000000000.log"));
            held.is_ok_and(|held| held == content(*id, BATCHES))
        })
    }

    fn verifies(&self, what: &str) {
        let mut verify = Command::new(env!("CARGO_BIN_EXE_twinlog"));
        let verified = verify
            .arg("verify")
            .arg("--vault")
            .arg(self.vault())
            .output();
        let verified = verified.expect("cargo has built it");
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        assert_eq!(verified.status.code(), Some(0), "{what}: {said}");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let mut unmount = Command::new("umount");
        drop(unmount.arg("-l").arg(self.at.path()).status());
    }
}

struct Running {
    child: Child,
    said: PathBuf,
}

impl Running {
    fn said(&self) -> String {
        let said = fs::read_to_string(&self.said).unwrap_or_default();
        assert!(!said.contains("panicked"), "{said}");
        said
    }

    /// Its exit code, once it has ended.
    fn ended(&mut self) -> Option<i32> {
        let status = self.child.try_wait().expect("it is our child");
        status.map(|status| status.code().expect("no signal has ended it"))
    }

    fn await_end(&mut self) -> i32 {
        await_that("it ends", || self.ended().is_some());
        self.ended().expect("just seen")
    }

    fn stop(&mut self) -> i32 {
        let id = self.child.id().to_string();
        drop(Command::new("kill").args(["-TERM", &id]).status());
        self.await_end()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Several times the longest rest before the disk is tried again.
const WITHIN: Duration = Duration::from_secs(150);

fn await_that(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < WITHIN, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn lacks_room(said: &str) -> bool {
    said.contains("No space left on device")
}

/// With every number of free pages something else is the first that does not fit.
#[test]
fn work_resumes_when_there_is_room() {
    if Small::mount().is_none() {
        return;
    }
    let mut refused = 0;
    for free in 0..PAGES_TRIED {
        refused += usize::from(follows_with(free));
    }
    assert!(refused >= 20, "the disk was full {refused} times only");
}

/// Follows on a disk with so many free pages, then with room. Says whether room was lacking.
fn follows_with(free: usize) -> bool {
    let what = format!("{free} pages free");
    let port = source::start();
    let small = Small::mount().expect("it could be mounted before");
    small.fill(free);
    let mut following = small.start(port, &["--follow"]);
    await_that(&what, || {
        let has_ended = following.ended().is_some();
        has_ended || lacks_room(&following.said()) || small.is_whole()
    });
    let was_refused = lacks_room(&following.said());
    if let Some(code) = following.ended() {
        // Not even the vault could be made.
        assert_eq!(code, 1, "{what}: {}", following.said());
        assert!(was_refused, "{what}: {}", following.said());
        small.make_room();
        assert_eq!(small.start(port, &[]).await_end(), 0, "{what}");
    } else {
        small.make_room();
        await_that(&format!("{what}: it resumes"), || small.is_whole());
        assert_eq!(following.stop(), 0, "{what}: {}", following.said());
    }
    assert!(small.is_whole(), "{what}");
    small.verifies(&what);
    was_refused
}

/// A copy that is to end has patience for a while, says what it lacks, and goes on next time.
#[test]
fn a_copy_that_is_to_end_gives_up_by_name_and_goes_on_later() {
    let Some(small) = Small::mount() else {
        return;
    };
    let port = source::start();
    small.fill(24);
    let mut copying = small.start(port, &[]);
    assert_eq!(copying.await_end(), 1, "{}", copying.said());
    let said = copying.said();
    let names_one = ["sound-0 stop", "lies-0 stop"];
    assert!(lacks_room(&said), "{said}");
    assert!(names_one.iter().any(|name| said.contains(name)), "{said}");
    small.make_room();
    assert_eq!(small.start(port, &[]).await_end(), 0);
    assert!(small.is_whole());
    small.verifies("with room again");
}
