//! The bytes of a state log: groups of records, written and read.

use std::path::Path;

use crate::io::File;
use crate::mirror::{Record, StateLog};
use crate::model::{Offset, Position};
use crate::protocol::{Reader, Short, Writer};

use super::{StateFault, at};

/// What the file begins with.
pub(super) const HEAD: &[u8] = b"twinlog-state-1\n";
/// A group is no longer: what a torn write can have left is bounded by it.
pub(super) const GROUP_BYTES_MAX: usize = 64 << 20;
/// Bytes of a group before those that its length counts.
const BEFORE_BYTES: usize = 8;
/// Bytes of a group's offset and count.
const COUNTED_FROM: usize = 12;
/// Stands for the length of no value.
const NO_VALUE: i32 = -1;

/// What a file says.
pub(super) struct Found {
    pub(super) log: StateLog,
    /// The offset of the next record.
    pub(super) next: Offset,
    /// Where the last whole group ends; 0 where not even the file's head is there.
    pub(super) end: u64,
    /// Where the file does.
    pub(super) size: u64,
}

/// Records from offset `first` on as one group, and the offset after them.
pub(super) fn group(first: Offset, records: &[Record]) -> (Vec<u8>, Offset) {
    let mut content = Vec::new();
    let mut to = Writer::new(&mut content);
    to.i64(first.value());
    to.i32(length(records.len()));
    for record in records {
        let key = record.key();
        to.i32(length(key.len()));
        to.bytes(&key);
        match record.value() {
            Some(value) => {
                to.i32(length(value.len()));
                to.bytes(&value);
            }
            None => to.i32(NO_VALUE),
        }
    }
    let counted = length(content.len()).to_be_bytes();
    let sum = checksum(&counted, &content).to_be_bytes();
    let after = first.checked_add(records.len() as u64);
    let after = after.expect("nobody lives to append so many records");
    ([&counted[..], &sum, &content].concat(), after)
}

fn length(length: usize) -> i32 {
    i32::try_from(length).expect("a state log holds small things")
}

fn checksum(length: &[u8], content: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(length);
    sum.update(content);
    sum.finalize()
}

/// Reads a file from its beginning to the end of its last whole group.
///
/// # Errors
/// What is there was not written by us, or not like this.
pub(super) fn read_all<F: File>(file: &F, path: &Path) -> Result<Found, StateFault> {
    let size = file.size().map_err(at(path))?;
    let mut found = Found {
        log: StateLog::new(),
        next: Offset::ZERO,
        end: 0,
        size,
    };
    if !has_head(file, size).map_err(at(path))? {
        let zeros_or_ours = "it does not begin as a state log of this twinlog does";
        return match size <= HEAD.len() as u64 && is_unfinished_head(file, size, path)? {
            true => Ok(found),
            false => Err(damaged(path, 0, zeros_or_ours)),
        };
    }
    found.end = HEAD.len() as u64;
    while found.end < size {
        let Some(content) = whole(file, found.end, size).map_err(at(path))? else {
            refuse_followed(file, &found, path)?;
            break;
        };
        let taken = (BEFORE_BYTES + content.len()) as u64;
        let place = found.end;
        let is_first = place == HEAD.len() as u64;
        replay(&content, is_first, &mut found, path)?;
        found.end = place + taken;
    }
    Ok(found)
}

fn has_head<F: File>(file: &F, size: u64) -> std::io::Result<bool> {
    let mut head = [0; HEAD.len()];
    let read = file.read_at(&mut head, Position::ZERO)?;
    Ok(size >= HEAD.len() as u64 && read == HEAD.len() && head == *HEAD)
}

/// Whether it is a head that was being written when the power went: no record can be lost.
fn is_unfinished_head<F: File>(file: &F, size: u64, path: &Path) -> Result<bool, StateFault> {
    let mut head = [0; HEAD.len()];
    let read = file.read_at(&mut head, Position::ZERO).map_err(at(path))?;
    let there = head.iter().zip(HEAD).take(read);
    Ok(read as u64 == size && there.into_iter().all(|(is, be)| is == be || *is == 0))
}

/// The content of the group at `place`; none where it is not whole.
fn whole<F: File>(file: &F, place: u64, size: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut before = [0; BEFORE_BYTES];
    if file.read_at(&mut before, Position::new(place))? < BEFORE_BYTES {
        return Ok(None);
    }
    let left = size - place - BEFORE_BYTES as u64;
    let Some(length) = stated(&before, left) else {
        return Ok(None);
    };
    let mut content = vec![0; length];
    let from = Position::new(place + BEFORE_BYTES as u64);
    let read = file.read_at(&mut content, from)?;
    Ok((read == length && is_sound(&before, &content)).then_some(content))
}

/// The length of a group's content, if it can be that.
fn stated(before: &[u8], left: u64) -> Option<usize> {
    let mut reader = Reader::new(before);
    let length = usize::try_from(reader.i32().ok()?).ok()?;
    let can_be = length >= COUNTED_FROM && length as u64 <= left && length <= GROUP_BYTES_MAX;
    can_be.then_some(length)
}

fn is_sound(before: &[u8], content: &[u8]) -> bool {
    let (length, sum) = before.split_at(4);
    sum == checksum(length, content).to_be_bytes()
}

/// What is not whole was being written when everything ended; then nothing was written after it.
fn refuse_followed<F: File>(file: &F, found: &Found, path: &Path) -> Result<(), StateFault> {
    let left = found.size - found.end;
    let refuse = |why: &str| Err(damaged(path, found.end, why));
    if left > (GROUP_BYTES_MAX + BEFORE_BYTES) as u64 {
        return refuse("more follows there than is ever written at once");
    }
    let mut rest = vec![0; usize::try_from(left).expect("bounded above")];
    let read = file.read_at(&mut rest, Position::new(found.end));
    let read = read.map_err(at(path))?;
    rest.truncate(read);
    let least = found.next.value();
    for place in 1..rest.len().saturating_sub(BEFORE_BYTES + COUNTED_FROM) {
        let (before, behind) = rest[place..].split_at(BEFORE_BYTES);
        let Some(length) = stated(before, behind.len() as u64) else {
            continue;
        };
        // What is no later group is not worth a checksum.
        let mut reader = Reader::new(behind);
        let (first, count) = (reader.i64(), reader.i32());
        let most = least.saturating_add(left.cast_signed());
        let is_later = first.is_ok_and(|first| (least..=most).contains(&first))
            && count.is_ok_and(|count| count > 0);
        if is_later && is_sound(before, &behind[..length]) {
            return refuse("what is there cannot be read, and more was written after it");
        }
    }
    Ok(())
}

fn replay(
    content: &[u8],
    is_first: bool,
    found: &mut Found,
    path: &Path,
) -> Result<(), StateFault> {
    let place = found.end;
    let refuse = |why: &str| damaged(path, place, why);
    let short = |_: Short| refuse("its records are longer than it is");
    let mut reader = Reader::new(content);
    let first = reader.i64().map_err(short)?;
    let first = Offset::from_wire(first).ok_or_else(|| refuse("its offset is negative"))?;
    let count = reader.i32().map_err(short)?;
    if !is_first && first != found.next {
        return Err(refuse(&format!("offset {first} follows {}", found.next)));
    }
    found.next = first;
    for _ in 0..count {
        let key = reader.i32().map_err(short)?;
        let key = usize::try_from(key).map_err(|_| refuse("a record has no key"))?;
        let key = reader.bytes(key).map_err(short)?;
        let value = match reader.i32().map_err(short)? {
            NO_VALUE => None,
            length => {
                let length = usize::try_from(length);
                let length = length.map_err(|_| refuse("a record's length is negative"))?;
                Some(reader.bytes(length).map_err(short)?)
            }
        };
        let taken = found.log.replay(found.next, key, value);
        taken.map_err(|why| StateFault::Unknown {
            path: path.to_owned(),
            why,
        })?;
        let next = found.next.checked_add(1);
        found.next = next.ok_or_else(|| refuse("its offsets have no end"))?;
    }
    match reader.left() {
        0 => Ok(()),
        _ => Err(refuse("something stands behind its records")),
    }
}

fn damaged(path: &Path, at: u64, why: &str) -> StateFault {
    StateFault::Damaged {
        path: path.to_owned(),
        at,
        why: why.to_owned(),
    }
}
