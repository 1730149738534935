//! Kafka's own DumpLogSegments over whole log directories, in the JVM that runs already.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::jars;
use super::workload::Workload;

/// What the tool can read.
const SUFFIXES: [&str; 5] = ["log", "index", "timeindex", "txnindex", "snapshot"];

/// How much the tool read without a complaint.
#[derive(Debug, Clone, Copy)]
pub(super) struct Read {
    /// Files of all kinds.
    pub(super) files: i64,
    /// Batches whose CRC it found valid.
    pub(super) batches: i64,
}

/// Has the tool read every segment, index and snapshot of the partitions in `log_dir`. Panics with
/// its complaints; also where it changed the directory, as it does when an index is missing.
pub(super) fn complains_not(workload: &Workload, log_dir: &Path) -> Read {
    let files = readable(log_dir);
    let answer = workload.ask(&format!("dump list={}", listed(&files).display()));
    assert!(
        answer.lines.is_empty(),
        "DumpLogSegments complains:\n{}",
        answer.lines.join("\n")
    );
    let read = Read {
        files: answer.number("files"),
        batches: answer.number("batches"),
    };
    assert_eq!(
        usize::try_from(read.files),
        Ok(files.len()),
        "it has read every file"
    );
    let created: Vec<_> = readable(log_dir).difference(&files).cloned().collect();
    assert!(
        created.is_empty(),
        "files were missing, since the tool made them: {created:?}"
    );
    read
}

/// Every line that the tool prints of the partitions in `log_dir`, by file.
pub(super) fn lines(workload: &Workload, log_dir: &Path) -> BTreeMap<PathBuf, Vec<String>> {
    let files = readable(log_dir);
    let answer = workload.ask(&format!("dumped list={}", listed(&files).display()));
    let mut found: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    let mut file = PathBuf::new();
    for line in answer.lines {
        match line.strip_prefix("Dumping ") {
            Some(name) => file = PathBuf::from(name),
            None => found.entry(file.clone()).or_default().push(line),
        }
    }
    found
}

/// A file that names all of `files`, a line each.
fn listed(files: &BTreeSet<PathBuf>) -> PathBuf {
    let list = jars::fresh("dump", "list");
    let names = files
        .iter()
        .map(|file| file.to_str().expect("our paths are text"));
    let names: Vec<&str> = names.collect();
    fs::write(&list, names.join("\n")).expect("target is writable");
    list
}

fn readable(log_dir: &Path) -> BTreeSet<PathBuf> {
    let entries =
        fs::read_dir(log_dir).unwrap_or_else(|error| panic!("{}: {error}", log_dir.display()));
    let partitions = entries
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.is_dir());
    let inside = partitions.flat_map(|dir| fs::read_dir(dir).expect("it is a directory"));
    let files = inside.map(|entry| entry.expect("readable").path());
    files
        .filter(|path| {
            path.extension()
                .and_then(|x| x.to_str())
                .is_some_and(|x| SUFFIXES.contains(&x))
        })
        .collect()
}
