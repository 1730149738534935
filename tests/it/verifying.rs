//! `verify` beside a copy that runs, that was killed and that was stopped: no fault in any.
#![expect(
    clippy::disallowed_methods,
    reason = "tests stand outside: real files, clocks and programs"
)]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

/// Syncs and checkpoints all the time.
const OFTEN: &str = "[shard]\nflush_interval_ms = 20\n[vault]\ncheckpoint_interval_ms = 100\n";
/// Five topics of four.
const PARTITIONS: usize = 20;
/// Verifying that goes on beside the copy.
const BESIDE: Duration = Duration::from_secs(4);

fn twinlog(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_twinlog"));
    command.args(args).stdin(Stdio::null());
    command
}

/// A program that is killed when the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A source that writes all the time, and a vault to copy it into.
struct Scene {
    _source: Running,
    from: String,
    dir: tempfile::TempDir,
}

impl Scene {
    fn new() -> Scene {
        let dir = tempfile::tempdir().expect("there is a temporary directory");
        std::fs::write(dir.path().join("often.toml"), OFTEN).expect("there is room");
        let logs = dir.path().join("source");
        let mut source = twinlog(&["demo-source", "--mib", "5", "--seconds", "60", "--dir"])
            .arg(&logs)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cargo has built it");
        let mut from = String::new();
        let stdout = source.stdout.take().expect("it is piped");
        let read = BufReader::new(stdout).read_line(&mut from);
        read.expect("it says where it listens");
        let mut stdin = source.stdin.as_ref().expect("it is piped");
        stdin.write_all(b"write\n").expect("it reads");
        Scene {
            _source: Running(source),
            from: from.trim().to_owned(),
            dir,
        }
    }

    fn vault(&self) -> PathBuf {
        self.dir.path().join("vault")
    }

    /// Starts a copy that goes on, and waits until it has called some of every partition durable.
    fn follow(&self) -> Running {
        let copy = twinlog(&[
            "copy", "--follow", "--topics", "demo-.*", "--from", &self.from,
        ])
        .arg("--config")
        .arg(self.dir.path().join("often.toml"))
        .arg("--into")
        .arg(self.vault())
        .stdout(Stdio::null())
        .spawn()
        .expect("cargo has built it");
        let begun = (Instant::now(), SystemTime::now());
        while !self.is_durable_since(begun.1) {
            let waited = begun.0.elapsed();
            assert!(waited < Duration::from_secs(60), "no checkpoint");
            std::thread::sleep(Duration::from_millis(20));
        }
        Running(copy)
    }

    /// Whether a checkpoint was written after `since` that says something of every partition.
    fn is_durable_since(&self, since: SystemTime) -> bool {
        let path = self.vault().join("recovery-point-offset-checkpoint");
        let written = std::fs::metadata(&path).and_then(|file| file.modified());
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let is_begun = |line: &&str| line.starts_with("demo-") && !line.ends_with(" 0");
        written.is_ok_and(|at| at > since) && text.lines().filter(is_begun).count() == PARTITIONS
    }

    /// Verifies the vault against its source.
    fn compare(&self, more: &[&str]) -> Output {
        twinlog(&["verify", "--from", &self.from, "--vault"])
            .arg(self.vault())
            .args(more)
            .output()
            .expect("cargo has built it")
    }

    /// The same: nothing may be found.
    #[track_caller]
    fn is_sound(&self, being_written: bool) -> Value {
        let Output {
            status,
            stdout,
            stderr,
        } = self.compare(&["--json"]);
        let said = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(0), "{said}");
        let json: Value = serde_json::from_slice(&stdout).expect("it says JSON");
        assert_eq!(json["being_written"], being_written, "{json}");
        assert_eq!(json["faults"], Value::Array(Vec::new()));
        json
    }
}

fn end(mut running: Running, how: &str) {
    let id = running.0.id().to_string();
    let killed = Command::new("kill").args([how, &id]).status();
    assert!(killed.expect("kill is there").success());
    running.0.wait().expect("it is our child");
}

/// The bytes of the newest segment of a partition, and where it lies.
fn segment(vault: &Path) -> (PathBuf, Vec<u8>) {
    let path = vault.join("demo-plain-0/00000000000000000000.log");
    let bytes = std::fs::read(&path).expect("it was begun");
    (path, bytes)
}

#[test]
fn a_copy_is_sound_while_it_runs_and_however_it_ends() {
    let scene = Scene::new();
    let copy = scene.follow();
    let (begun, mut times) = (Instant::now(), 0);
    while begun.elapsed() < BESIDE || times < 3 {
        scene.is_sound(true);
        times += 1;
    }
    end(copy, "-KILL");
    scene.is_sound(false);
    let copy = scene.follow();
    scene.is_sound(true);
    end(copy, "-TERM");
    let told = scene.is_sound(false);
    assert!(told["identical_batches"].as_u64() > Some(20), "{told}");
}

#[test]
fn a_copy_that_is_behind_is_told_from_one_that_is_whole() {
    let scene = Scene::new();
    end(scene.follow(), "-TERM");
    // The source goes on.
    std::thread::sleep(Duration::from_millis(500));
    let behind = scene.is_sound(false);
    let lags = behind["behind"].as_array().expect("a list");
    assert!(!lags.is_empty() && lags.len() <= PARTITIONS, "{behind}");
    for lag in lags {
        let number = |key: &str| lag[key].as_i64().expect("a number");
        assert!(number("offsets") > 0 && number("end") > 0, "{lag}");
        assert_eq!(
            number("source_end"),
            number("end") + number("offsets"),
            "{lag}"
        );
    }
    let total: i64 = lags.iter().filter_map(|lag| lag["offsets"].as_i64()).sum();
    assert_eq!(behind["offsets_behind"], total);
    for (more, code) in [(&[][..], 0), (&["--complete"][..], 1)] {
        let told = scene.compare(more);
        assert_eq!(told.status.code(), Some(code), "{told:?}");
        let said = String::from_utf8_lossy(&told.stdout);
        let verdict = "identical as far as it goes; the source is ahead by ";
        assert!(said.contains(verdict), "{said}");
        assert!(said.contains(" behind\n"), "{said}");
        let said = String::from_utf8_lossy(&told.stderr);
        assert_eq!(
            said.contains("the copy is not complete"),
            code == 1,
            "{said}"
        );
    }
}

#[test]
fn damage_below_the_recovery_point_is_found_while_a_copy_runs() {
    let scene = Scene::new();
    end(scene.follow(), "-TERM");
    let copy = scene.follow();
    let (path, mut bytes) = segment(&scene.vault());
    bytes[1_000] ^= 1;
    let file = std::fs::OpenOptions::new().write(true).open(&path);
    let mut file = file.expect("it can be written");
    file.write_all(&bytes[..1_001]).expect("there is room");
    let verified = twinlog(&["verify", "--vault"])
        .arg(scene.vault())
        .output()
        .expect("cargo has built it");
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert_eq!(verified.status.code(), Some(1), "{said}");
    assert!(said.contains("demo-plain-0: "), "{said}");
    drop(copy);
}
