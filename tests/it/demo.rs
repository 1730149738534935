//! How `demo` ends: 0 when all was shown, 1 when something failed on the way, 2 on wrong usage.
#![expect(
    clippy::disallowed_methods,
    reason = "tests stand outside: real files and programs"
)]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs a small demo in `dir` to its end and calls `when_following` once the first copy is done:
/// its exit code and all that it said.
fn demo(dir: &Path, when_following: impl FnOnce()) -> (Option<i32>, String) {
    demo_until(dir, "following", |_| when_following())
}

/// The same with another line that is waited for, by how it begins.
fn demo_until(
    dir: &Path,
    line_begins: &str,
    act: impl FnOnce(&std::process::Child),
) -> (Option<i32>, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_twinlog"))
        .args(["demo", "--mib", "20", "--seconds", "2", "--dir"])
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("cargo has built it");
    let mut act = Some(act);
    let mut said = String::new();
    let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
    for line in stderr.lines().map_while(Result::ok) {
        if line.starts_with(line_begins) {
            act.take().expect("it is said once")(&child);
        }
        said.push_str(&line);
        said.push('\n');
    }
    let mut stdout = child.stdout.take().expect("it is piped");
    stdout.read_to_string(&mut said).expect("it says text");
    let status = child.wait().expect("it was started");
    assert!(!said.contains("panicked"), "{said}");
    (status.code(), said)
}

/// The exit code of a small demo that is started with a limit of open files, and what it says.
fn demo_within(limit: &str, dir: &Path) -> (Option<i32>, String) {
    let program = env!("CARGO_BIN_EXE_twinlog");
    let script = format!("ulimit {limit} && exec {program} demo --mib 5 --seconds 1 --dir \"$0\"");
    let ended = Command::new("sh").arg("-c").arg(script).arg(dir).output();
    let ended = ended.expect("there is a shell");
    let said = [ended.stdout, ended.stderr].concat();
    (
        ended.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[track_caller]
fn ends_with(code: i32, words: &[&str], (ended, said): (Option<i32>, String)) {
    assert_eq!(ended, Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "nothing of '{word}': {said}");
    }
}

#[test]
fn a_demo_that_shows_all_ends_with_0() {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    ends_with(0, &["verified", "yes"], demo(dir.path(), || {}));
}

#[test]
fn a_vault_that_exists_is_wrong_usage() {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    std::fs::create_dir(dir.path().join("vault")).expect("the directory is new");
    let nothing = || panic!("nothing is copied");
    ends_with(2, &["choose another --dir"], demo(dir.path(), nothing));
}

/// No file may have more than 50 KiB, which ends the process that generates.
#[test]
fn a_source_that_cannot_generate_is_a_failure() {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let ended = demo_within("-c 0 && ulimit -f 100", dir.path());
    ends_with(1, &["the source has ended, signal"], ended);
    assert!(!dir.path().join("source").exists());
}

/// A demo that generates more than a test waits for, and has begun to.
fn generating(dir: &Path) -> std::process::Child {
    let child = Command::new(env!("CARGO_BIN_EXE_twinlog"))
        .args(["demo", "--mib", "4000", "--dir"])
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("cargo has built it");
    let segment = dir.join("source/demo-plain-0/00000000000000000000.log");
    wait_until("something is generated", || {
        std::fs::metadata(&segment).is_ok_and(|segment| segment.len() > 0)
    });
    child
}

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("never: {what}");
}

fn signal(child: &std::process::Child, name: &str) {
    let mut kill = Command::new("kill");
    let sent = kill.args([name, &child.id().to_string()]).status();
    assert!(sent.expect("every system has it").success());
}

#[test]
fn a_demo_that_is_interrupted_while_it_generates_leaves_nothing() {
    for name in ["-INT", "-TERM"] {
        let parent = tempfile::tempdir().expect("there is a temporary directory");
        let dir = parent.path().join("demo");
        let child = generating(&dir);
        signal(&child, name);
        let ended = child.wait_with_output().expect("it was started");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        let words = ["stopped while the source was generated", "removed"];
        ends_with(1, &words, (ended.status.code(), said));
        assert!(!dir.exists(), "it was made for the demo");
    }
}

/// Each line stands between two phases.
#[test]
fn a_demo_that_is_interrupted_between_two_phases_stops() {
    for line in ["a second process", "copying", "following", "verifying"] {
        let dir = tempfile::tempdir().expect("there is a temporary directory");
        let ended = demo_until(dir.path(), line, |child| signal(child, "-TERM"));
        ends_with(1, &["error: stopped"], ended);
        assert!(!dir.path().join("source").exists(), "{line}");
    }
}

#[test]
fn a_demo_that_is_killed_while_it_generates_can_be_shown_again() {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let mut child = generating(dir.path());
    signal(&child, "-KILL");
    child.wait().expect("it was started");
    let source = dir.path().join("source");
    wait_until("the process that generates ends", || !source.exists());
    // Nobody is there to clear up where both processes are killed.
    let half_made = source.join("demo-plain-0");
    std::fs::create_dir_all(&half_made).expect("there is room");
    std::fs::write(half_made.join("00000000000000000000.log"), [7; 99]).expect("there is room");
    std::fs::write(source.join(".twinlog-demo"), "").expect("there is room");
    ends_with(0, &["verified", "yes"], demo(dir.path(), || {}));
    assert!(!source.exists());
}

#[test]
fn a_source_that_is_not_of_a_demo_is_left_alone() {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let source = dir.path().join("source");
    let nothing = || panic!("nothing is copied");
    std::fs::write(&source, "a file").expect("the directory is new");
    ends_with(2, &["choose another --dir"], demo(dir.path(), nothing));
    std::fs::remove_file(&source).expect("it is still there");
    std::fs::create_dir(&source).expect("there is room");
    std::fs::write(source.join("main.c"), "int main;").expect("there is room");
    ends_with(2, &["choose another --dir"], demo(dir.path(), nothing));
    assert!(source.join("main.c").exists());
}

#[test]
fn a_copy_that_fails_is_a_failure() {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let nowhere = dir.path().join("not-there/nor-there");
    std::os::unix::fs::symlink(nowhere, dir.path().join("vault")).expect("the directory is new");
    let nothing = || panic!("nothing is copied");
    ends_with(1, &["error: ", "vault"], demo(dir.path(), nothing));
}

#[test]
fn a_vault_that_is_damaged_meanwhile_is_a_failure() {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let segment = dir
        .path()
        .join("vault/demo-plain-0/00000000000000000000.log");
    let flip = || {
        let mut bytes = std::fs::read(&segment).expect("the first copy is done");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        // In place, as a medium that rots does: the size stays.
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .open(&segment)
            .expect("it can be written");
        std::io::Write::write_all(&mut file, &bytes[..=middle]).expect("there is room");
    };
    ends_with(1, &["NO", "demo-plain-0: "], demo(dir.path(), flip));
}

/// Twenty partitions have sixty files open.
#[test]
fn a_soft_limit_of_open_files_is_raised() {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    ends_with(0, &["verified", "yes"], demo_within("-Sn 40", dir.path()));
}

#[test]
fn a_hard_limit_of_open_files_is_named() {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let ended = demo_within("-n 60", dir.path());
    ends_with(1, &["no more than 60 open files", "LimitNOFILE"], ended);
}

#[test]
fn a_demo_on_real_kafka_says_what_it_needs() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let dir = parent.path().join("demo");
    let ended = Command::new(env!("CARGO_BIN_EXE_twinlog"))
        .args(["demo", "--member", "--dir"])
        .arg(&dir)
        .env("PATH", parent.path())
        .output();
    let ended = ended.expect("cargo has built it");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    ends_with(
        2,
        &["needs Java 17 or newer (java), and Maven (mvn)", "no java"],
        (ended.status.code(), said),
    );
    assert!(!dir.exists(), "it was made for the demo");
}
