//! Two partition directories, byte by byte: a walker of its own, so that it shares no mistake
//! with the program that is tested.

use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Offset and length, then (leader epoch, magic, CRC, attributes) up to the last offset delta.
const PREFIX: usize = 12;
const LEADER_EPOCH: Range<usize> = 12..16;
/// Its low byte.
const ATTRIBUTES: usize = 22;
const LAST_OFFSET_DELTA: Range<usize> = 23..27;
const PRODUCER_ID: Range<usize> = 43..51;
const PRODUCER_EPOCH: Range<usize> = 51..53;
const HEADER: usize = 61;
/// Of a batch with no record but the end of a transaction, what that end is: behind five fields of
/// a byte each and the version of the key.
const MARKER: Range<usize> = HEADER + 7..HEADER + 9;
const CONTROL: u8 = 0x20;
const ABORT: i16 = 0;

/// One batch as it lies on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    /// The first eight bytes.
    pub(super) base: i64,
    /// The offset after its last one.
    pub(super) next: i64,
    /// All of it.
    pub(super) bytes: Vec<u8>,
}

impl Batch {
    /// The id and the epoch of who wrote it.
    pub(super) fn producer(&self) -> (i64, i16) {
        let [id, epoch] = [PRODUCER_ID, PRODUCER_EPOCH].map(|field| &self.bytes[field]);
        (
            i64::from_be_bytes(id.try_into().expect("eight")),
            i16::from_be_bytes(epoch.try_into().expect("two")),
        )
    }

    /// Whether it ends a transaction.
    pub(super) fn is_marker(&self) -> bool {
        self.bytes[ATTRIBUTES] & CONTROL != 0
    }

    /// Whether it ends a transaction whose records are not valid.
    pub(super) fn is_abort(&self) -> bool {
        let marker = |bytes: &[u8]| i16::from_be_bytes(bytes.try_into().expect("two"));
        self.is_marker() && marker(&self.bytes[MARKER]) == ABORT
    }
}

/// A partition's batches in the order of the segments, and what could not be read as one.
#[derive(Debug, Default)]
pub(super) struct Batches {
    /// Whole batches.
    pub(super) whole: Vec<Batch>,
    /// Bytes of the last segment after its last whole batch.
    pub(super) torn_bytes: usize,
}

impl Batches {
    /// The offset after the last batch; `None` if there is no batch.
    pub(super) fn end(&self) -> Option<i64> {
        self.whole.last().map(|batch| batch.next)
    }

    /// From the first batch's base offset to the end; empty where there is no batch.
    pub(super) fn range(&self) -> (i64, i64) {
        let start = self.whole.first().map_or(0, |batch| batch.base);
        (start, self.end().unwrap_or(start))
    }

    /// Batches that hold anything of `offsets`. A batch that the range cuts counts.
    pub(super) fn within(&self, offsets: Range<i64>) -> &[Batch] {
        let from = self
            .whole
            .partition_point(|batch| batch.next <= offsets.start);
        let to = self.whole.partition_point(|batch| batch.base < offsets.end);
        &self.whole[from.min(to)..to]
    }
}

/// Segment files of a partition directory, by base offset. None where the directory is not there.
pub(super) fn segments(partition: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(partition) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.expect("the directory is readable").path());
    let mut logs: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|x| x == "log"))
        .collect();
    // Twenty digits: the order of the names is the order of the offsets.
    logs.sort();
    logs
}

/// What a broker's checkpoint says of a log's epochs: each with the offset where it began.
pub(super) fn epochs(partition: &Path) -> Vec<(i32, i64)> {
    let path = partition.join("leader-epoch-checkpoint");
    let text = fs::read_to_string(&path).unwrap_or_default();
    let entries = text.lines().skip(2).map(|line| {
        let (epoch, start) = line.split_once(' ').expect("two numbers");
        let epoch = epoch.parse().expect("an epoch");
        (epoch, start.parse().expect("an offset"))
    });
    entries.collect()
}

/// What a log holds; none while it is written.
pub(super) fn range(dir: &Path) -> Option<(i64, i64)> {
    read(dir).ok().map(|batches| batches.range())
}

/// Reads a partition's batches. Offsets have to rise from batch to batch and from file to file, and
/// only the last file may end within a batch.
pub(super) fn read(partition: &Path) -> Result<Batches, String> {
    let mut found = Batches::default();
    let logs = segments(partition);
    for (nth, log) in logs.iter().enumerate() {
        let bytes = fs::read(log).map_err(|error| format!("{}: {error}", log.display()))?;
        let base = log
            .file_stem()
            .and_then(|stem| stem.to_str())
            .and_then(|stem| stem.parse::<i64>().ok());
        let base = base.ok_or_else(|| format!("{}: no offset in the name", log.display()))?;
        let floor = found.end().unwrap_or(i64::MIN).max(base);
        found.torn_bytes = walk(&bytes, floor, &mut found.whole)
            .map_err(|at| format!("{}: {at}", log.display()))?;
        if found.torn_bytes > 0 && nth + 1 < logs.len() {
            return Err(format!(
                "{}: ends within a batch, but is not the last",
                log.display()
            ));
        }
    }
    Ok(found)
}

fn walk(bytes: &[u8], floor: i64, found: &mut Vec<Batch>) -> Result<usize, String> {
    let (mut at, mut floor) = (0, floor);
    while let Some(prefix) = bytes.get(at..at + PREFIX) {
        let base = i64::from_be_bytes(prefix[..8].try_into().expect("eight"));
        let length = i32::from_be_bytes(prefix[8..].try_into().expect("four"));
        let size =
            PREFIX + usize::try_from(length).map_err(|_| format!("length {length} at {at}"))?;
        if size < HEADER {
            return Err(format!("length {length} at {at}"));
        }
        let Some(batch) = bytes.get(at..at + size) else {
            break;
        };
        let delta = i32::from_be_bytes(batch[LAST_OFFSET_DELTA].try_into().expect("four"));
        if base < floor || delta < 0 {
            return Err(format!(
                "batch {base}+{delta} at {at}, but offsets had reached {floor}"
            ));
        }
        floor = base + i64::from(delta) + 1;
        found.push(Batch {
            base,
            next: floor,
            bytes: batch.to_owned(),
        });
        at += size;
    }
    Ok(bytes.len() - at)
}

/// How much was found equal.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Equal {
    /// Partitions that were looked at.
    pub(super) partitions: usize,
    /// Batches of the copies.
    pub(super) batches: usize,
    /// Their bytes.
    pub(super) bytes: usize,
}

/// The first difference between two partitions.
#[derive(Debug)]
pub(super) struct Difference(String);

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks that `copy` holds the batches of `source` which hold anything of `offsets` (log start to
/// high watermark), byte for byte, and nothing else.
pub(super) fn identical(
    source: &Path,
    copy: &Path,
    offsets: Range<i64>,
) -> Result<Equal, Difference> {
    let ours = read_all(copy)?;
    if ours.torn_bytes > 0 {
        let torn = format!("{} bytes of a torn batch", ours.torn_bytes);
        return Err(difference(source, copy, &torn));
    }
    same(read_all(source)?.within(offsets), &ours.whole)
        .map_err(|what| difference(source, copy, &what))
}

/// Checks that both hold the same batches within `offsets`, whatever else they hold.
pub(super) fn agree(source: &Path, copy: &Path, offsets: Range<i64>) -> Result<Equal, Difference> {
    let (ours, theirs) = (read_all(copy)?, read_all(source)?);
    same(theirs.within(offsets.clone()), ours.within(offsets))
        .map_err(|what| difference(source, copy, &what))
}

/// The same, but for the four bytes of each batch that say in which leader's epoch it was written.
pub(super) fn agree_but_for_epochs(
    source: &Path,
    copy: &Path,
    offsets: Range<i64>,
) -> Result<Equal, Difference> {
    let without = |batches: &[Batch]| -> Vec<Batch> {
        let mut batches = batches.to_vec();
        for batch in &mut batches {
            batch.bytes[LEADER_EPOCH].fill(0);
        }
        batches
    };
    let (ours, theirs) = (read_all(copy)?, read_all(source)?);
    let ours = without(ours.within(offsets.clone()));
    same(&without(theirs.within(offsets)), &ours).map_err(|what| difference(source, copy, &what))
}

/// Checks that the whole batches of `copy` are the first ones of `source`; a torn one may follow.
pub(super) fn prefix(source: &Path, copy: &Path) -> Result<Equal, Difference> {
    let (ours, theirs) = (read_all(copy)?, read_all(source)?);
    let (start, end) = ours.range();
    same(theirs.within(start..end), &ours.whole).map_err(|what| difference(source, copy, &what))
}

fn read_all(partition: &Path) -> Result<Batches, Difference> {
    read(partition).map_err(Difference)
}

fn difference(source: &Path, copy: &Path, what: &str) -> Difference {
    Difference(format!(
        "{} against {}: {what}",
        copy.display(),
        source.display()
    ))
}

fn same(wanted: &[Batch], ours: &[Batch]) -> Result<Equal, String> {
    let mut equal = Equal {
        partitions: 1,
        ..Equal::default()
    };
    for (theirs, ours) in wanted.iter().zip(ours) {
        if theirs != ours {
            return Err(first_difference(theirs, ours));
        }
        equal.batches += 1;
        equal.bytes += ours.bytes.len();
    }
    if wanted.len() != ours.len() {
        return Err(format!(
            "{} batches, the source has {}",
            ours.len(),
            wanted.len()
        ));
    }
    Ok(equal)
}

fn first_difference(theirs: &Batch, ours: &Batch) -> String {
    let head = |batch: &Batch| {
        format!(
            "{}..{} ({} bytes)",
            batch.base,
            batch.next,
            batch.bytes.len()
        )
    };
    let at = theirs
        .bytes
        .iter()
        .zip(&ours.bytes)
        .position(|(a, b)| a != b);
    format!(
        "batch {} should be {}; first differing byte: {at:?}",
        head(ours),
        head(theirs)
    )
}

impl std::ops::AddAssign for Equal {
    fn add_assign(&mut self, other: Self) {
        self.partitions += other.partitions;
        self.batches += other.batches;
        self.bytes += other.bytes;
    }
}
