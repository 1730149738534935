//! `perf copy` from outside, with a script in the engine's place: what it runs, prints and leaves.
#![expect(
    clippy::disallowed_methods,
    reason = "the test prepares and looks at files"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// 64 batches of 64 KiB.
const BYTES: &str = "4MiB";

/// Runs two small pairs with an engine that runs `script`.
fn copied(dir: &Path, script: &str, more: &[&str]) -> Output {
    let engine = dir.join("engine");
    fs::write(&engine, format!("#!/bin/sh\n{script}\n")).expect("the directory is there");
    fs::set_permissions(&engine, fs::Permissions::from_mode(0o755)).expect("it is ours");
    Command::new(env!("CARGO_BIN_EXE_perf"))
        .args(["copy", "--pairs=2", "--bytes", BYTES, "--dir"])
        .arg(dir.join("runs"))
        .arg("--twinlog")
        .arg(&engine)
        .args(more)
        .output()
        .expect("perf was built for this test")
}

/// An engine that notes how it was called, writes a file, and says that it has copied so much.
fn engine(dir: &Path, bytes: u64) -> String {
    let calls = dir.join("calls");
    let calls = calls.display();
    format!(
        "echo \"$@\" >> {calls}\nmkdir $7 && echo kept > $7/file\n\
         echo copying\necho '{{\"bytes\": {bytes}}}'"
    )
}

fn assert_nothing_stays(dir: &Path) {
    let runs = fs::read_dir(dir.join("runs")).expect("it stays itself");
    let left = runs.count();
    assert_eq!(left, 0, "runs remove what they write");
}

#[test]
fn pairs_are_printed_and_summed_up() {
    let dir = tempfile::tempdir().unwrap();
    let script = engine(dir.path(), 4 << 20);
    let ended = copied(dir.path(), &script, &["--", "--more", "1"]);
    let says = String::from_utf8(ended.stdout).unwrap();
    assert!(
        ended.status.success(),
        "{:?}",
        String::from_utf8(ended.stderr)
    );
    for part in [
        "pair 1 (floor first): floor ",
        "pair 2 (engine first): floor ",
        "median (min..max) of 2 pairs",
        "ratio of medians",
        "row 1a: engine <= 1.30 x floor + 0.05 CPU-s/GiB: ",
    ] {
        assert!(says.contains(part), "'{part}' is missing:\n{says}");
    }
    let calls = fs::read_to_string(dir.path().join("calls")).unwrap();
    assert_eq!(calls.lines().count(), 2);
    for call in calls.lines() {
        assert!(call.starts_with("copy --from 127.0.0.1:"), "{call}");
        assert!(call.contains(" --topics perf --into "), "{call}");
        assert!(call.ends_with(" --json --more 1"), "{call}");
    }
    assert_nothing_stays(dir.path());
}

#[test]
fn another_broker_can_be_the_source() {
    let dir = tempfile::tempdir().unwrap();
    let script = engine(dir.path(), 12_345);
    let ended = copied(dir.path(), &script, &["--from=b:9092", "--topics=a.*"]);
    assert!(
        ended.status.success(),
        "{:?}",
        String::from_utf8(ended.stderr)
    );
    let calls = fs::read_to_string(dir.path().join("calls")).unwrap();
    for call in calls.lines() {
        assert!(
            call.starts_with("copy --from b:9092 --topics a.* "),
            "{call}"
        );
    }
}

#[test]
fn an_engine_that_copies_too_little_is_no_measurement() {
    let dir = tempfile::tempdir().unwrap();
    let script = engine(dir.path(), (4 << 20) - 1);
    let ended = copied(dir.path(), &script, &[]);
    assert!(!ended.status.success());
    let says = String::from_utf8(ended.stderr).unwrap();
    assert!(says.contains("4194303 bytes where 4194304"), "{says}");
    assert_nothing_stays(dir.path());
}

#[test]
fn an_engine_that_fails_or_hangs_ends_the_measurement() {
    let dir = tempfile::tempdir().unwrap();
    let failed = copied(dir.path(), "echo broken >&2; exit 3", &[]);
    assert!(!failed.status.success());
    let says = String::from_utf8(failed.stderr).unwrap();
    assert!(
        says.contains("exit status: 3") && says.contains("broken"),
        "{says}"
    );
    let late = copied(dir.path(), "exec sleep 100", &["--limit-s=1"]);
    assert!(!late.status.success());
    let says = String::from_utf8(late.stderr).unwrap();
    assert!(says.contains("did not end within 1 s"), "{says}");
    assert_nothing_stays(dir.path());
}

#[test]
fn a_single_partition_on_a_core_of_its_own_is_held_against_the_floors_speed() {
    let dir = tempfile::tempdir().unwrap();
    let allowed = format!(
        "grep Cpus_allowed_list /proc/self/status > {}",
        dir.path().join("core").display()
    );
    let script = format!("{allowed}\n{}", engine(dir.path(), 4 << 20));
    let ended = copied(
        dir.path(),
        &script,
        &["--partitions=1", "--core=0", "--batch-bytes=1KiB"],
    );
    let says = String::from_utf8(ended.stdout).unwrap();
    assert!(
        ended.status.success(),
        "{:?}",
        String::from_utf8(ended.stderr)
    );
    assert!(
        says.contains("row 1b: engine <= 2.20 x floor + 0.00 CPU-s/GiB: "),
        "{says}"
    );
    assert!(
        says.contains("row 2a: engine >= 0.80 x floor GiB/s: "),
        "{says}"
    );
    let core = fs::read_to_string(dir.path().join("core")).unwrap();
    assert_eq!(core.split_whitespace().last(), Some("0"));
}
