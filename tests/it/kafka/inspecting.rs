//! `inspect` tells the same numbers as Kafka's own DumpLogSegments, of a vault and of a broker's
//! own log directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::program;
use super::vault::{self, Vault};
use super::*;

const TOPICS: &str = "zoo\\..*";

/// Lines in our own words, by file.
type Told = BTreeMap<PathBuf, Vec<String>>;

#[test]
fn inspect_tells_the_numbers_of_dump_log_segments() {
    let Some(_turn) = Turn::take("inspect_tells_the_numbers_of_dump_log_segments") else {
        return;
    };
    for version in newest_and_another("inspecting") {
        let workload = Arc::new(Workload::start(&version));
        let mut source = Cluster::start(&workload, "inspecting", 1, &[]);
        source.ask("menagerie prefix=zoo. seed=5 tiny=300");
        let copied = Vault::new(&source, "inspected");
        copied.copy(&source, TOPICS, &[]).expect_code(0);
        let open = transactions_that_stay_open(&source);
        source.stop(1);
        let told = agrees(&source, &copied.dir);
        eprintln!("Kafka {version}, the vault: {told:?}");
        assert!(
            told["batch"] > 700 && told["offset"] > 50 && told["time"] > 50,
            "{told:?}"
        );
        assert!(told["aborted"] >= 10 && told["producer"] >= 10, "{told:?}");
        assert_eq!(
            open_transactions(&source, &copied.dir.join("zoo.transactions-0")),
            open
        );
        let told = agrees(&source, &source.log_dir(1));
        eprintln!("Kafka {version}, the broker: {told:?}");
        assert!(told["batch"] > 700, "{told:?}");
        overview(&source, &copied.dir, true);
        overview(&source, &source.log_dir(1), false);
    }
}

/// Whether the first partition of the transactions' topic ends with an open one.
fn transactions_that_stay_open(source: &Cluster) -> bool {
    let end = |committed: &str| {
        let answer = source.ask(&format!("offsets topics=zoo\\.transactions {committed}"));
        let ends = answer.words().map(|words| words[3].to_owned());
        ends.collect::<Vec<_>>()
    };
    end("committed=true")[0] != end("committed=false")[0]
}

fn open_transactions(source: &Cluster, partition: &Path) -> bool {
    let objects = inspect(source, partition, &["--summary"]);
    let summary = objects.last().expect("a summary");
    summary["open_transactions"].as_u64().expect("a number") > 0
}

fn inspect(source: &Cluster, path: &Path, more: &[&str]) -> Vec<Value> {
    let outputs = source.dir().join("inspect-output");
    let path = path.to_str().expect("our paths are text");
    let args = [&["inspect", path, "--json"], more].concat();
    let ended = program::run(&outputs, &args).expect_code(0);
    let objects = ended.stdout.lines().map(serde_json::from_str);
    objects
        .collect::<Result<_, _>>()
        .expect("each line is JSON")
}

/// Compares every file of every partition; says how many lines of each kind were compared.
fn agrees(source: &Cluster, log_dir: &Path) -> BTreeMap<String, usize> {
    let mut theirs: Told = dump::lines(&source.workload, log_dir)
        .into_iter()
        .map(|(file, lines)| {
            (
                file,
                lines.iter().filter_map(|line| their_line(line)).collect(),
            )
        })
        .collect();
    theirs.retain(|_, lines: &mut Vec<String>| !lines.is_empty());
    let mut ours = Told::new();
    for partition in vault::directories(log_dir) {
        let mut file = PathBuf::new();
        for object in inspect(source, &log_dir.join(partition), &[]) {
            if object["kind"] == "file" {
                file = PathBuf::from(object["path"].as_str().expect("a path"));
            } else if let Some(line) = our_line(&object) {
                ours.entry(file.clone()).or_default().push(line);
            }
        }
    }
    // A broker writes producers in no order, we in that of their ids.
    for told in [&mut ours, &mut theirs] {
        let is_snapshot = |file: &Path| file.extension().is_some_and(|end| end == "snapshot");
        let snapshots = told.iter_mut().filter(|(file, _)| is_snapshot(file));
        snapshots.for_each(|(_, lines)| lines.sort());
    }
    let mut counts = BTreeMap::new();
    for (file, lines) in &theirs {
        let told = ours.get(file).map(Vec::as_slice).unwrap_or_default();
        assert_eq!(told, lines, "{}", file.display());
        for line in lines {
            let kind = line.split(' ').next().expect("a word").to_owned();
            *counts.entry(kind).or_default() += 1;
        }
    }
    let files = |told: &Told| told.keys().cloned().collect::<Vec<_>>();
    assert_eq!(files(&ours), files(&theirs));
    counts
}

/// The pairs of a line such as `offset: 12 position: 345`, in a chosen order.
fn their_line(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let pairs = words.windows(2).filter_map(|pair| {
        let key = pair[0].strip_suffix(':')?;
        (!pair[1].ends_with(':')).then_some((key, pair[1]))
    });
    let pairs: BTreeMap<&str, &str> = pairs.collect();
    let told = |kind: &str, keys: &[&str]| {
        let values = keys.iter().map(|key| *pairs.get(key).unwrap_or(&"?"));
        let values: Vec<&str> = values.collect();
        Some(format!("{kind} {}", values.join(" ")).to_lowercase())
    };
    let has = |key: &str| pairs.contains_key(key);
    if has("baseOffset") {
        let time = pairs.get("CreateTime").or(pairs.get("LogAppendTime"));
        let line = told("batch", &BATCH_KEYS)?;
        Some(format!("{line} {}", time.unwrap_or(&"?")))
    } else if has("lastStableOffset") {
        told(
            "aborted",
            &[
                "producerId",
                "firstOffset",
                "lastOffset",
                "lastStableOffset",
            ],
        )
    } else if has("coordinatorEpoch") {
        told(
            "producer",
            &[
                "producerId",
                "producerEpoch",
                "coordinatorEpoch",
                "lastTimestamp",
            ],
        )
    } else if has("timestamp") && has("offset") {
        told("time", &["timestamp", "offset"])
    } else if has("position") && has("offset") {
        told("offset", &["offset", "position"])
    } else {
        None
    }
}

const BATCH_KEYS: [&str; 14] = [
    "position",
    "size",
    "baseOffset",
    "lastOffset",
    "count",
    "compresscodec",
    "partitionLeaderEpoch",
    "producerId",
    "producerEpoch",
    "baseSequence",
    "lastSequence",
    "isTransactional",
    "isControl",
    "crc",
];

fn our_line(object: &Value) -> Option<String> {
    let told = |kind: &str, keys: &[&str]| {
        let values = keys.iter().map(|key| match &object[*key] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        let values: Vec<String> = values.collect();
        Some(format!("{kind} {}", values.join(" ")))
    };
    match object["kind"].as_str().expect("a kind") {
        "batch" => {
            let mut object = object.clone();
            object["is_control"] = Value::from(!object["control"].is_null());
            let keys = [
                "position",
                "bytes",
                "base_offset",
                "last_offset",
                "records",
                "codec",
                "leader_epoch",
                "producer_id",
                "producer_epoch",
                "base_sequence",
                "last_sequence",
                "transactional",
                "is_control",
                "crc",
                "max_timestamp",
            ];
            let values = keys.iter().map(|key| match &object[*key] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            Some(format!("batch {}", values.collect::<Vec<_>>().join(" ")))
        }
        "offset_entry" => told("offset", &["offset", "position"]),
        "time_entry" => told("time", &["timestamp", "offset"]),
        "aborted_transaction" => told(
            "aborted",
            &[
                "producer_id",
                "first_offset",
                "last_offset",
                "last_stable_offset",
            ],
        ),
        "producer" => told(
            "producer",
            &[
                "producer_id",
                "producer_epoch",
                "coordinator_epoch",
                "timestamp",
            ],
        ),
        _ => None,
    }
}

fn overview(source: &Cluster, log_dir: &Path, is_vault: bool) {
    let objects = inspect(source, log_dir, &[]);
    assert_eq!(objects[0]["kind"], "log_directory");
    assert_eq!(objects[0]["is_vault"], is_vault);
    let partitions = objects
        .iter()
        .filter(|object| object["kind"] == "partition");
    assert_eq!(partitions.count(), vault::directories(log_dir).len());
}
