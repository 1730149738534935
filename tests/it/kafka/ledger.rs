//! What was said to be mirrored, noted outside of all processes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::compare::{self, Batch};

/// One partition, by its topic.
pub(super) type Id = (&'static str, i64);

/// How long what is promised may take to be on a disk.
const WITHIN: Duration = Duration::from_secs(90);
const EPOCH: std::ops::Range<usize> = 12..16;

/// A batch as it was when it was noted, whatever leader's epoch it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Noted {
    base: i64,
    next: i64,
    length: usize,
    print: u32,
}

impl Noted {
    fn of(batch: &Batch) -> Noted {
        let mut print = crc32fast::Hasher::new();
        print.update(&batch.bytes[..EPOCH.start]);
        print.update(&batch.bytes[EPOCH.end..]);
        Noted {
            base: batch.base,
            next: batch.next,
            length: batch.bytes.len(),
            print: print.finalize(),
        }
    }
}

/// All that was ever said to be mirrored.
#[derive(Default)]
pub(super) struct Ledger {
    of: BTreeMap<Id, Vec<Noted>>,
    /// How often a batch was compared with what is noted of it.
    pub(super) compared: usize,
}

impl Ledger {
    /// How many batches it has.
    pub(super) fn batches(&self) -> usize {
        self.of.values().map(Vec::len).sum()
    }

    /// Up to where it has a partition.
    pub(super) fn end(&self, id: Id) -> i64 {
        let last = self.of.get(&id).and_then(|all| all.last());
        last.map_or(0, |last| last.next)
    }

    /// Notes a partition up to an offset, as it lies in one of the directories of its source.
    pub(super) fn note(&mut self, id: Id, to: i64, dirs: &[PathBuf]) {
        if to <= self.end(id) {
            return;
        }
        let begun = Instant::now();
        let found = loop {
            let found = dirs.iter().filter_map(|dir| batches(dir));
            let mut found = found.filter(|all| all.last().is_some_and(|last| last.next >= to));
            if let Some(found) = found.next() {
                break found;
            }
            let ends: Vec<_> = dirs.iter().map(|dir| end(dir)).collect();
            assert!(
                begun.elapsed() < WITHIN,
                "{id:?} was said to be mirrored up to {to}, and its source ends at {ends:?}"
            );
            std::thread::sleep(Duration::from_millis(100));
        };
        self.begins(id, &found, "its source");
        let noted = self.of.entry(id).or_default();
        let more = found.into_iter().skip(noted.len());
        noted.extend(more.take_while(|one| one.next <= to));
        assert_eq!(self.end(id), to, "{id:?} was mirrored up to within a batch");
    }

    /// A stop left off behind all that is noted.
    pub(super) fn is_within(&self, id: Id, position: i64) {
        let noted = self.end(id);
        assert!(
            noted <= position,
            "{id:?} was said to be mirrored up to {noted}, and its stop has left off at {position}"
        );
    }

    /// All that is noted comes to be there, as it was noted.
    pub(super) fn is_in(&mut self, id: Id, dir: &Path, when: &str) {
        let found = self.reach(id, dir, when);
        self.begins(id, &found, &format!("{when}, {}", dir.display()));
    }

    /// What is there beyond the ledger, if there is anything: in words.
    pub(super) fn is_less(&self, id: Id, dir: &Path) -> Option<String> {
        let (noted, end) = (self.end(id), end(dir));
        let is_all = matches!(end, Ok(end) if end.unwrap_or(0) == noted);
        (!is_all).then(|| {
            let dir = dir.display();
            format!("{id:?}: the ledger ends at {noted}, and {dir} at {end:?}")
        })
    }

    fn reach(&self, id: Id, dir: &Path, when: &str) -> Vec<Noted> {
        let (begun, noted) = (Instant::now(), self.end(id));
        loop {
            if let Some(found) = batches(dir) {
                let end = found.last().map_or(0, |last| last.next);
                if end >= noted {
                    return found;
                }
            }
            assert!(
                begun.elapsed() < WITHIN,
                "{when}: {id:?}: the ledger ends at {noted}, and {} at {:?}",
                dir.display(),
                end(dir)
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn begins(&mut self, id: Id, found: &[Noted], with: &str) {
        if let Some((noted, found)) = self.misses(id, found) {
            panic!("{id:?}: the ledger has {noted:?}, and {with} {found:?}");
        }
        self.compared += self.of.get(&id).map_or(0, Vec::len);
    }

    /// The first batch of the ledger that is not there, and what is there instead.
    fn misses(&self, id: Id, found: &[Noted]) -> Option<(Noted, Option<Noted>)> {
        let noted = self.of.get(&id).into_iter().flatten().enumerate();
        let mut others = noted.map(|(nth, one)| (*one, found.get(nth).copied()));
        others.find(|(one, other)| Some(one) != other.as_ref())
    }
}

/// What lies there; none while that cannot be read, since a batch may be half there.
fn batches(dir: &Path) -> Option<Vec<Noted>> {
    let found = compare::read(dir).ok()?;
    Some(found.whole.iter().map(Noted::of).collect())
}

fn end(dir: &Path) -> Result<Option<i64>, String> {
    compare::read(dir).map(|found| found.end())
}

/// Two batches of one record each; their epoch, and the last byte of the second.
fn log(epoch: u8, last: u8) -> Vec<u8> {
    let batch = |base: u8, last: u8| {
        let mut bytes = vec![0; 61];
        (bytes[7], bytes[11], bytes[15]) = (base, 61 - 12, epoch);
        bytes[60] = last;
        bytes
    };
    [batch(0, 1), batch(1, last)].concat()
}

#[test]
fn what_is_missing_or_another_is_missed() {
    const ID: Id = ("kept", 0);
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let path = dir.path().join("00000000000000000000.log");
    let write = |bytes: &[u8]| std::fs::write(&path, bytes).expect("it is ours");
    write(&log(0, 2));
    let mut ledger = Ledger::default();
    ledger.note(ID, 2, &[dir.path().to_owned()]);
    assert_eq!((ledger.batches(), ledger.end(ID)), (2, 2));
    let misses = |bytes: &[u8]| {
        write(bytes);
        let found = batches(dir.path()).expect("whole batches");
        ledger.misses(ID, &found).is_some()
    };
    assert!(!misses(&log(9, 2)), "epochs are each cluster's own");
    assert!(misses(&log(0, 3)), "another byte");
    assert!(misses(&log(0, 2)[..61]), "a batch less");
}
