//! What the fuzzers of `tests/fuzz` have found worth keeping, run through the same functions.
//!
//! `tests/fuzz/corpus/NAME` holds inputs that reach different code; `tests/fuzz/findings/NAME`
//! those that once broke a promise. `TWINLOG_RENEW=1` writes the seeds that fuzzing begins with.
#![expect(
    clippy::disallowed_methods,
    reason = "tests stand outside: corpora are files"
)]

mod seeds;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use twinlog::stdx::prng::Prng;

use crate::fuzzed::{TARGETS, run};

/// Inputs that are made of those that are kept, and their size.
const CHANGED: u64 = 3_000;
const CHANGED_BYTES_MAX: usize = 2_048;
/// All corpora together, in bytes: what every clone has to carry.
const CORPORA_BYTES_MAX: u64 = 600 << 10;

fn fuzz_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

/// The files of a directory by name; none where there is no such directory.
fn inputs(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.expect("listed").path());
    let mut paths: Vec<PathBuf> = paths.collect();
    paths.sort();
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).expect("an input is a readable file");
        (path, bytes)
    };
    paths.into_iter().map(read).collect()
}

/// Runs every input of every target; says which ones fail.
fn failures(of: impl Fn(&str) -> Vec<(PathBuf, Vec<u8>)>) -> (usize, Vec<String>) {
    let (mut count, mut failed) = (0, Vec::new());
    for target in &TARGETS {
        for (path, bytes) in of(target.name) {
            count += 1;
            if catch_unwind(AssertUnwindSafe(|| run(target.name, &bytes))).is_err() {
                failed.push(format!("{}: {}", target.name, path.display()));
            }
        }
    }
    (count, failed)
}

#[test]
fn corpora_and_findings_keep_every_promise() {
    let of = |name: &str| {
        let dirs = ["corpus", "findings"].map(|kind| fuzz_dir().join(kind).join(name));
        dirs.iter().flat_map(|dir| inputs(dir)).collect()
    };
    let (count, failed) = failures(of);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(
        count > 100,
        "only {count} inputs: the corpora are not there"
    );
}

#[test]
fn seeds_keep_every_promise() {
    let named = |(name, bytes): (String, Vec<u8>)| (PathBuf::from(name), bytes);
    let (count, failed) = failures(|name| seeds::of(name).into_iter().map(named).collect());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(count >= TARGETS.len());
    if std::env::var_os("TWINLOG_RENEW").is_none() {
        return;
    }
    for target in &TARGETS {
        let dir = fuzz_dir().join("corpus").join(target.name);
        fs::create_dir_all(&dir).expect("the repository is writable");
        for (name, bytes) in seeds::of(target.name) {
            fs::write(dir.join(name), bytes).expect("the repository is writable");
        }
    }
}

/// Changes an input as a fuzzer does: bytes, pieces of itself and of others.
fn changed(prng: &mut Prng, inputs: &[Vec<u8>]) -> Vec<u8> {
    let any = |prng: &mut Prng, below: usize| {
        usize::try_from(prng.below(below.max(1) as u64)).expect("below a size")
    };
    let mut bytes = inputs[any(prng, inputs.len())].clone();
    for _ in 0..=prng.below(6) {
        let other = &inputs[any(prng, inputs.len())];
        let (at, from) = (any(prng, bytes.len()), any(prng, other.len()));
        let size = any(prng, 24).min(other.len() - from);
        let piece = &other[from..from + size];
        let behind = (at + size).min(bytes.len());
        match prng.below(6) {
            _ if bytes.is_empty() => bytes.extend_from_slice(piece),
            0 => bytes[at] ^= 1 << prng.below(8),
            1 => bytes[at] = [0, 1, 7, 0x7f, 0x80, 0x81, 0xff][any(prng, 7)],
            2 => drop(bytes.splice(at..at, piece.iter().copied())),
            3 => drop(bytes.splice(at..behind, piece.iter().copied())),
            4 => drop(bytes.drain(at..behind)),
            _ => {
                let tail = bytes.split_off(at);
                bytes.extend_from_slice(&other[from..]);
                bytes.extend(tail);
            }
        }
        bytes.truncate(CHANGED_BYTES_MAX);
    }
    bytes
}

/// What recovery makes of hostile files it accepts when it sees it again: the same few thousand
/// directories each time, made of those that are kept.
#[test]
fn what_is_made_of_the_corpora_keeps_every_promise() {
    let of = |kind: &str| inputs(&fuzz_dir().join(kind).join("recovery"));
    let kept = [of("corpus"), of("findings")].concat();
    let mut kept: Vec<Vec<u8>> = kept.into_iter().map(|(_, bytes)| bytes).collect();
    kept.extend(seeds::of("recovery").into_iter().map(|(_, bytes)| bytes));
    let fails = |seed: &u64| {
        let bytes = changed(&mut Prng::new(*seed), &kept);
        catch_unwind(AssertUnwindSafe(|| run("recovery", &bytes))).is_err()
    };
    let failed: Vec<u64> = (0..CHANGED).filter(fails).collect();
    assert!(failed.is_empty(), "seeds {failed:?}");
}

#[test]
fn corpora_are_small_and_belong_to_a_target() {
    let corpus = fuzz_dir().join("corpus");
    let named: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    let mut bytes = 0;
    for dir in fs::read_dir(corpus).expect("there are corpora") {
        let dir = dir.expect("listed").path();
        let name = dir
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        assert!(named.contains(&name.as_str()), "{name} is no target");
        bytes += inputs(&dir)
            .iter()
            .map(|(_, input)| input.len() as u64)
            .sum::<u64>();
    }
    assert!(bytes <= CORPORA_BYTES_MAX, "{bytes} bytes of corpora");
}

/// Each target has its fuzzer, which `cargo fuzz` finds by the manifest.
#[test]
fn every_target_has_a_fuzzer() {
    let manifest = fs::read_to_string(fuzz_dir().join("Cargo.toml")).expect("it is there");
    for target in &TARGETS {
        let path = format!("fuzz_targets/{}.rs", target.name);
        assert!(manifest.contains(&format!("path = \"{path}\"")), "{path}");
        let text = fs::read_to_string(fuzz_dir().join(&path)).expect(&path);
        assert!(text.contains(&format!("run(\"{}\"", target.name)), "{path}");
    }
}
