//! The names of a partition's files, and its smallest one.

use std::path::{Path, PathBuf};

use crate::io::{Disk, Durability, Entry, File, Open, replace};
use crate::model::{Offset, Position, SetAside, TopicId};

use super::fault::{LogFault, at};

/// Record batches.
pub(super) const LOG: &str = "log";
/// Offset index.
pub(super) const INDEX: &str = "index";
/// Time index.
pub(super) const TIME_INDEX: &str = "timeindex";
/// Aborted transactions; there only where there are some.
pub(super) const TXN_INDEX: &str = "txnindex";
/// Producer state.
pub(super) const SNAPSHOT: &str = "snapshot";
/// Leader epochs.
pub(super) const EPOCHS: &str = "leader-epoch-checkpoint";
/// The source's leader epochs, where the batches have others.
pub(super) const SOURCE_EPOCHS: &str = "source-leader-epoch-checkpoint";
pub(super) const LED_EPOCHS: &str = "led-leader-epoch-checkpoint";
/// How far a log was cut.
pub(super) const CUT: &str = "cut-checkpoint";
/// The digest of the batches, at marks on the way.
pub(super) const DIGEST: &str = "digest-checkpoint";
/// The topic's id (`PartitionMetadataFile`).
pub(super) const METADATA: &str = "partition.metadata";
/// What `io::replace` writes before it renames.
pub(super) const UNFINISHED: &str = "tmp";

/// No index, checkpoint or snapshot is larger.
const SMALL_FILE_BYTES_MAX: u64 = 256 << 20;

/// `00000000000000000042.log` for offset 42 (`LogFileUtils.filenamePrefixFromOffset`).
pub(super) fn path(dir: &Path, offset: Offset, suffix: &str) -> PathBuf {
    dir.join(format!("{:020}.{suffix}", offset.value()))
}

/// The offset in a file's name, where it has this suffix.
pub(super) fn offset_of(name: &str, suffix: &str) -> Option<Offset> {
    let (digits, found) = name.split_once('.')?;
    if found != suffix || digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().and_then(Offset::from_wire)
}

/// Whether a file of this name is made from what lies in a segment.
pub(super) fn is_derived(name: &str) -> bool {
    let suffixes = [INDEX, TIME_INDEX, TXN_INDEX, SNAPSHOT];
    let mut suffixes = suffixes.into_iter();
    name == DIGEST || suffixes.any(|suffix| offset_of(name, suffix).is_some())
}

/// Whether a file of this name belongs into a partition's directory.
pub(super) fn is_ours(name: &str) -> bool {
    let is_segment = offset_of(name, LOG).is_some();
    let is_unfinished = name
        .rsplit_once('.')
        .is_some_and(|(_, end)| end == UNFINISHED);
    let is_named = is_for_us(name) || [EPOCHS, METADATA].contains(&name);
    is_segment || is_derived(name) || is_unfinished || is_named
}

/// Whether a file of this name is one that no broker knows.
#[must_use]
pub fn is_for_us(name: &str) -> bool {
    [SOURCE_EPOCHS, LED_EPOCHS, CUT, DIGEST, SetAside::FILE].contains(&name)
}

/// The offsets that files of this suffix are named by, rising as the names do.
pub(super) fn offsets(entries: &[Entry], suffix: &str) -> Vec<Offset> {
    let names = entries.iter().map(|entry| entry.name.as_str());
    names.filter_map(|name| offset_of(name, suffix)).collect()
}

/// A small file's bytes, or as many as no sound one exceeds; `None` where it is missing.
pub(super) fn content<D: Disk>(disk: &D, path: &Path) -> Result<Option<Vec<u8>>, LogFault> {
    let file = match disk.open(path, Open::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(path)(error)),
    };
    let size = file.size().map_err(at(path))?.min(SMALL_FILE_BYTES_MAX);
    let mut bytes = vec![0; usize::try_from(size).expect("bounded above")];
    let read = file.read_at(&mut bytes, Position::ZERO).map_err(at(path))?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

/// The topic's id that `partition.metadata` names; `None` where it names none.
pub(super) fn topic_id<D: Disk>(disk: &D, dir: &Path) -> Result<Option<TopicId>, LogFault> {
    let bytes = content(disk, &dir.join(METADATA))?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let named = text.trim_end().strip_prefix("version: 0\ntopic_id: ");
    Ok(named.and_then(|named| named.parse().ok()))
}

/// Writes `partition.metadata` again where it is missing or damaged.
///
/// # Errors
/// The disk's, or it names another topic.
pub(super) fn renew_metadata<D: Disk>(disk: &D, dir: &Path, id: TopicId) -> Result<(), LogFault> {
    match topic_id(disk, dir)? {
        Some(found) if found == id => Ok(()),
        Some(found) if found != TopicId::ZERO => Err(LogFault::Elsewhere {
            dir: dir.to_owned(),
            found,
            expected: id,
        }),
        _ => write_metadata(disk, dir, id),
    }
}

/// Writes `partition.metadata`, durably.
pub(super) fn write_metadata<D: Disk>(disk: &D, dir: &Path, id: TopicId) -> Result<(), LogFault> {
    let path = dir.join(METADATA);
    let text = format!("version: 0\ntopic_id: {id}");
    replace(disk, &path, text.as_bytes(), Durability::PowerLoss).map_err(at(&path))
}
