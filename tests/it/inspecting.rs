//! `inspect` over a vault that is sound and one that is not: no panic, an exit code that tells,
//! every line of `--json` an object, nothing on the terminal that steers it.
#![expect(
    clippy::disallowed_methods,
    reason = "tests stand outside: real files and programs"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use twinlog::log::{Beginning, LogOptions, Opened, open};
use twinlog::model::{
    LeaderEpoch, Offset, ProducerEpoch, ProducerId, ProducerIdShift, TopicId, TopicPartition,
    WallTime,
};
use twinlog::record::{BatchBuilder, Marker, Producer, RecordHeader, check};
use twinlog::uring::RealDisk;
use twinlog::vault::{Checkpoint, Identity, Offsets, Vault};

const WALL: WallTime = WallTime(2_000);
const BATCHES: i64 = 6;
/// Clears a terminal.
const STEERING: &str = "\u{1b}[2J";

/// Batches of one producer, the third of them packed, and an aborted end.
fn batches() -> Vec<Vec<u8>> {
    let producer = Producer {
        id: ProducerId::from_wire(4).expect("not negative"),
        epoch: ProducerEpoch::new(1),
        base_sequence: 0,
    };
    let (epoch, time) = (LeaderEpoch::new(3), 1_000);
    let header = RecordHeader {
        key: STEERING.as_bytes(),
        value: None,
    };
    let data = |nth: i64| {
        let mut batch = BatchBuilder::new(Offset::new(nth), epoch, time + nth);
        if nth == 2 {
            batch = batch.zstd(3);
        }
        batch = batch.producer(producer).transactional();
        batch.push(Some(STEERING.as_bytes()), Some(&[0xff; 50]), &[header]);
        batch.finish()
    };
    let marker = Marker {
        offset: Offset::new(BATCHES),
        leader_epoch: epoch,
        timestamp: time,
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        coordinator_epoch: 9,
        commits: false,
    };
    (0..BATCHES).map(data).chain([marker.batch()]).collect()
}

/// A vault of one partition, closed cleanly.
fn vault(dir: &Path) {
    let identity = Identity {
        cluster_id: "here".to_owned(),
        node_id: 0,
        directory_id: TopicId::new([7; 16]).to_string(),
    };
    let shift = ProducerIdShift::NONE;
    let (vault, _) = Vault::open(RealDisk, dir, &identity, shift).expect("a new vault");
    let known = Beginning::anew(TopicId::new([1; 16]));
    let options = LogOptions {
        index_interval_bytes: 0,
        ..LogOptions::default()
    };
    let id: TopicPartition = "t-0".parse().expect("a partition's name");
    let path = vault.partition_dir(&id);
    let Opened {
        mut log, mut store, ..
    } = open(RealDisk, &path, options, known, WALL).expect("a new directory");
    for batch in batches() {
        let expect = log.expects();
        let run = check(&batch, expect).run;
        store.append(&mut log, WALL, run).expect("there is room");
    }
    let end = store.close(&mut log, WALL).expect("synced");
    let offsets = Offsets::from([(id, end)]);
    for which in [Checkpoint::RecoveryPoint, Checkpoint::HighWatermark] {
        vault.save(which, &offsets).expect("saved");
    }
    vault.close().expect("closed");
}

fn inspect(path: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_twinlog"));
    command.arg("inspect").arg(path).args(more);
    command.output().expect("cargo has built it")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn assert_tidy(output: &Output, is_json: bool) {
    let (out, said) = (text(&output.stdout), text(&output.stderr));
    assert!(!said.contains("panicked"), "{said}");
    assert!(output.status.code().is_some(), "no signal: {said}");
    assert!(
        !out.contains('\u{1b}') && !said.contains('\u{1b}'),
        "{out}\n{said}"
    );
    if is_json {
        for line in out.lines() {
            let object: Value = serde_json::from_str(line).expect(line);
            assert!(object["kind"].is_string(), "{line}");
        }
    }
}

const WAYS: [&[&str]; 6] = [
    &["--all"],
    &["--all", "--records"],
    &["--all", "--summary"],
    &["--all", "--batches"],
    &["--all", "--json"],
    &["--all", "--json", "--records"],
];

fn is_json(way: &[&str]) -> bool {
    way.contains(&"--json")
}

/// Every file of the vault but its lock.
fn files(vault: &Path) -> Vec<PathBuf> {
    let inside = |dir: &Path| {
        let entries = fs::read_dir(dir).expect("readable");
        let paths = entries.map(|entry| entry.expect("readable").path());
        paths.filter(|path| path.is_file()).collect::<Vec<_>>()
    };
    let mut files = [inside(vault), inside(&vault.join("t-0"))].concat();
    files.retain(|path| !path.ends_with(".lock"));
    files.sort();
    files
}

#[test]
fn a_sound_vault_is_told_in_every_way() {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    vault(dir.path());
    for way in WAYS {
        let output = inspect(dir.path(), way);
        assert_tidy(&output, is_json(way));
        assert_eq!(
            output.status.code(),
            Some(0),
            "{way:?}: {}",
            text(&output.stderr)
        );
    }
    for path in files(dir.path()) {
        for way in [&[][..], &["--json"]] {
            let output = inspect(&path, way);
            assert_tidy(&output, is_json(way));
            assert_eq!(output.status.code(), Some(0), "{}", path.display());
        }
    }
    let told = text(&inspect(dir.path(), &["--all", "--records"]).stdout);
    for part in [
        "a vault",
        "cluster here",
        "1970-01-01T00:00:01.002Z",
        "ABORT by coordinator epoch 9",
        "6 records in 6 batches from offset 0, aborted",
        "0 committed, 1 aborted, none open",
        "7 with 7 records",
        "sound          yes",
    ] {
        assert!(told.contains(part), "nothing of {part:?} in\n{told}");
    }
    let records = told.lines().filter(|line| line.contains("  key "));
    assert_eq!(records.count(), 7, "packed ones too: {told}");
}

#[test]
fn what_is_no_vault_is_refused_with_the_way_out() {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let strange = dir.path().join("notes.txt");
    fs::write(&strange, "notes").expect("written");
    for path in [dir.path(), &strange, &dir.path().join("nowhere")] {
        let output = inspect(path, &[]);
        assert_eq!(output.status.code(), Some(2));
        let said = text(&output.stderr);
        assert!(said.contains("give a vault, a partition of it"), "{said}");
    }
}

#[test]
fn damage_is_told_and_never_panics() {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    vault(dir.path());
    for path in files(dir.path()) {
        let sound = fs::read(&path).expect("there");
        let step = (sound.len() / 6).max(1);
        for at in (0..sound.len()).step_by(step) {
            let mut damaged = sound.clone();
            damaged[at] ^= 0x81;
            fs::write(&path, &damaged).expect("written");
            for way in [WAYS[1], WAYS[5]] {
                assert_tidy(&inspect(dir.path(), way), is_json(way));
            }
            assert_tidy(&inspect(&path, &[]), false);
        }
        fs::write(&path, &sound).expect("written");
    }
    let log = dir.path().join("t-0/00000000000000000000.log");
    let mut bytes = fs::read(&log).expect("there");
    bytes[200] ^= 1;
    fs::write(&log, &bytes).expect("written");
    let output = inspect(&dir.path().join("t-0"), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("NO BATCH at position"));
    assert!(text(&output.stderr).contains("1 fault, shown above"));
    bytes[200] ^= 1;
    fs::write(&log, &bytes).expect("written");
    let index = log.with_extension("index");
    let mut bytes = fs::read(&index).expect("there");
    bytes[7] ^= 1;
    fs::write(&index, &bytes).expect("written");
    let output = inspect(&dir.path().join("t-0"), &["--summary"]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stdout);
    assert!(
        told.contains("WRONG: no batch begins at its place"),
        "{told}"
    );
    assert!(told.contains("1 DIFFER"), "{told}");
}

#[test]
fn a_digest_is_told_and_compared_with_anothers() {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let root = dir.path().join("vault");
    vault(&root);
    let partition = root.join("t-0");
    let digest = |more: &[&str]| {
        let output = inspect(&partition, &[&["--digest"], more].concat());
        assert_tidy(&output, more.contains(&"--json"));
        output
    };
    let told = digest(&["--json"]);
    assert_eq!(told.status.code(), Some(0), "{}", text(&told.stderr));
    let lines = text(&told.stdout);
    let whole: Value = serde_json::from_str(lines.lines().last().expect("some")).expect("JSON");
    let range = [&whole["from"], &whole["to"], &whole["batches"]];
    assert_eq!(range, [0, 7, 7]);
    assert_eq!(lines, text(&digest(&["--json", "--noted"]).stdout));
    let part = text(&digest(&["--from", "1", "--to", "4"]).stdout);
    assert!(part.contains("1..4") && !part.contains(".7"), "{part}");
    // A member stamps leader epochs.
    let file = partition.join("00000000000000000000.log");
    let mut bytes = fs::read(&file).expect("it is there");
    bytes[15] = 1;
    fs::write(&file, bytes).expect("there is room");
    let export = dir.path().join("export");
    let path = export.to_str().expect("our paths are text");
    let digit = whole["digest"].as_str().expect("digits").chars().next();
    let other = if digit == Some('0') {
        "\"digest\":\"1"
    } else {
        "\"digest\":\"0"
    };
    let differs = lines.replace(&format!("\"digest\":\"{}", digit.expect("some")), other);
    for (theirs, code, kind) in [
        (lines.as_str(), 0, "same"),
        (&differs, 1, "differs"),
        ("", 1, "alone"),
        ("{}", 2, ""),
        (&lines.replace("\"to\":7", "\"to\":-7"), 2, ""),
    ] {
        fs::write(&export, theirs).expect("there is room");
        let compared = digest(&["--against", path]);
        let said = text(&compared.stdout);
        assert_eq!(compared.status.code(), Some(code), "{theirs}\n{said}");
        assert!(said.contains(kind), "{said}");
    }
    assert_eq!(inspect(&file, &["--digest"]).status.code(), Some(2));
    assert_eq!(inspect(&partition, &["--from", "1"]).status.code(), Some(2));
}
