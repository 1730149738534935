//! A digest of a log's batches that grows with each of them, and marks of it on the way.
//!
//! Of each batch the 61 bytes of its header count, with zeros for the leader epoch, which a member
//! stamps anew, and three more behind; the checksum among them stands for the records. A digest is
//! the number of batches and
//!
//! `value' = value · FACTOR + XXH3-64(header)` modulo 2^128
//!
//! from the first batch to the last one, so that order and completeness count. It can be taken
//! apart and put together where batches meet: what lies between two marks follows from both of
//! them, wherever the log began, and two nodes come to the same whatever their segments are. It
//! finds what has gone wrong, not whoever forges batches: that would take a keyed hash.
//!
//! `digest-checkpoint` holds the marks in the order of their offsets, appended to as indexes are.
//! A mark at an offset tells the digest of the batches that begin below. There is one at the first
//! batch, one in each window of [`WINDOW`] offsets that has a batch, one at each segment's
//! beginning, one where what is not the source's begins, and one at the end of each of the newest
//! syncs. Where no mark is found at a start, the digest begins with what that reads. An entry is
//! made of offset, 8; batches, 8; value, 16; and the check, 8: XXH3 of those and of whose log it
//! is.

mod file;
mod keeping;
mod ranges;

use std::path::Path;

use twox_hash::XxHash3_64;

use crate::io::Disk;
use crate::model::{Offset, TopicId};
use crate::record::{Batch, HEADER_BYTES};
use crate::stdx::bytes::be_i64;

use super::fault::LogFault;
use super::layout::DIGEST;

pub(super) use file::{cut, each_mark};
pub use ranges::{Compared, Digested, Span, compare, digest, noted_digest, whole};

/// Offsets of a window: a power of two, and windows begin at its multiples.
const WINDOW: i64 = 1 << 16;
pub(super) const MARK_ENTRY: usize = 40;
const CHECKED_BYTES: usize = 32;
/// Odd, and as far from one as can be: each power of it differs from the others.
const FACTOR: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;
/// A header in words of eight bytes, the last one filled up.
const WORDS: usize = HEADER_BYTES.div_ceil(8);
/// What the word that holds the leader epoch, in its last four bytes, keeps of it.
const BEFORE_EPOCH: u64 = 0xffff_ffff_0000_0000;

/// The digest of batches that follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// How many.
    pub batches: u64,
    /// Their headers, one after the other.
    pub value: u128,
}

/// What a batch counts for.
pub(super) fn of_header(batch: &Batch<'_>) -> u64 {
    let header = batch.bytes().first_chunk();
    of_bytes(header.expect("a batch has a header"))
}

/// In words as they are hashed, each of them stored once: a processor waits long for a word that
/// was stored in parts, half of the time that it takes to hash a header.
fn of_bytes(header: &[u8; HEADER_BYTES]) -> u64 {
    let word = |at: usize| {
        let bytes = header[at..].first_chunk();
        u64::from_be_bytes(*bytes.expect("within the header"))
    };
    let last = word(HEADER_BYTES - 8) << (8 * (8 * WORDS - HEADER_BYTES));
    let words: [u64; WORDS] = [
        word(0),
        word(8) & BEFORE_EPOCH,
        word(16),
        word(24),
        word(32),
        word(40),
        word(48),
        last,
    ];
    XxHash3_64::oneshot(words.map(u64::to_be_bytes).as_flattened())
}

/// The value, in hexadecimal digits.
impl std::fmt::Display for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.value)
    }
}

impl Chain {
    /// Takes in the batch that follows.
    pub fn take(&mut self, batch: &Batch<'_>) {
        self.push(of_header(batch));
    }

    pub(super) fn push(&mut self, header: u64) {
        self.batches += 1;
        let before = self.value.wrapping_mul(FACTOR);
        self.value = before.wrapping_add(header.into());
    }

    /// These batches and behind them those of `later`.
    #[must_use]
    pub fn then(self, later: Chain) -> Chain {
        let before = self.value.wrapping_mul(power(later.batches));
        Chain {
            batches: self.batches.wrapping_add(later.batches),
            value: before.wrapping_add(later.value),
        }
    }

    /// These batches without the first ones, which are those of `before`.
    #[must_use]
    pub fn since(self, before: Chain) -> Chain {
        let batches = self.batches.wrapping_sub(before.batches);
        let gone = before.value.wrapping_mul(power(batches));
        Chain {
            batches,
            value: self.value.wrapping_sub(gone),
        }
    }
}

fn power(mut exponent: u64) -> u128 {
    let (mut power, mut square) = (1u128, FACTOR);
    while exponent > 0 {
        if exponent & 1 == 1 {
            power = power.wrapping_mul(square);
        }
        square = square.wrapping_mul(square);
        exponent >>= 1;
    }
    power
}

/// The beginning of the window that an offset lies in.
pub(super) fn window_of(offset: Offset) -> Offset {
    Offset::new(offset.value() & !(WINDOW - 1))
}

/// The digest of the batches that begin below an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) before: Offset,
    pub(super) chain: Chain,
}

/// Whose marks they are: those of another log are none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Owner(u64);

impl Owner {
    pub(super) fn of(dir: &Path, topic_id: TopicId) -> Owner {
        let mut name = dir
            .file_name()
            .unwrap_or_default()
            .as_encoded_bytes()
            .to_vec();
        name.extend_from_slice(&topic_id.bytes());
        Owner(XxHash3_64::oneshot(&name))
    }

    fn check(self, entry: &[u8]) -> [u8; 8] {
        let mut bytes = [0; CHECKED_BYTES + size_of::<u64>()];
        bytes[..CHECKED_BYTES].copy_from_slice(entry);
        bytes[CHECKED_BYTES..].copy_from_slice(&self.0.to_be_bytes());
        XxHash3_64::oneshot(&bytes).to_be_bytes()
    }
}

impl Mark {
    fn push(self, owner: Owner, out: &mut Vec<u8>) {
        let begin = out.len();
        out.extend_from_slice(&self.before.value().to_be_bytes());
        out.extend_from_slice(&self.chain.batches.to_be_bytes());
        out.extend_from_slice(&self.chain.value.to_be_bytes());
        let check = owner.check(&out[begin..]);
        out.extend_from_slice(&check);
    }

    /// `None`: it is none, or another log's.
    pub(super) fn read(entry: &[u8], owner: Owner) -> Option<Mark> {
        let (said, check) = entry.split_at_checked(CHECKED_BYTES)?;
        let mark = Mark {
            before: Offset::from_wire(be_i64(said, 0)?)?,
            chain: Chain {
                batches: be_i64(said, 8)?.cast_unsigned(),
                value: u128::from_be_bytes(*said.get(16..)?.first_chunk()?),
            },
        };
        (check == owner.check(said)).then_some(mark)
    }

    /// The marks at the front of a file that are sound, and lie one behind the other.
    pub(super) fn read_all(bytes: &[u8], owner: Owner) -> Vec<Mark> {
        let entries = bytes.chunks_exact(MARK_ENTRY);
        let mut marks: Vec<Mark> = Vec::new();
        for mark in entries.map_while(|entry| Mark::read(entry, owner)) {
            if marks.last().is_some_and(|last| last.before >= mark.before) {
                break;
            }
            marks.push(mark);
        }
        marks
    }
}

/// The digest of a log so far, the marks that are not in the file yet, and those that are asked
/// for.
#[derive(Clone, Debug, Default)]
pub(super) struct Digest {
    owner: Owner,
    pub(super) chain: Chain,
    /// Where the newest mark is.
    last: Option<Offset>,
    pending: Vec<u8>,
    /// Bytes of marks in the file; `None` where a replacement of it has failed.
    written: Option<u64>,
    /// Marks, at least, that only a sync's end has put.
    ends: usize,
    /// Where the log begins, and the first mark from there on.
    start: Offset,
    pub(super) begin: Option<Mark>,
    /// Where the log goes on with what is not the source's, and the mark there.
    turn: Option<Offset>,
    pub(super) theirs: Option<Mark>,
}

impl Digest {
    /// The digest of a log of which no mark is known.
    pub(super) fn new(owner: Owner) -> Digest {
        Digest {
            owner,
            written: Some(0),
            ..Digest::default()
        }
    }

    /// As far as the file in `dir` has marks that are sound, up to `limit`, of a log whose segments
    /// begin at `bases`.
    pub(super) fn noted<D: Disk>(
        disk: &D,
        dir: &Path,
        owner: Owner,
        limit: Offset,
        bases: &[Offset],
    ) -> Result<Digest, LogFault> {
        let mut digest = Digest::new(owner);
        let mut written = 0;
        each_mark(disk, &dir.join(DIGEST), owner, |mark| {
            if mark.before > limit {
                return false;
            }
            let is_base = bases.binary_search(&mark.before).is_ok();
            digest.ends += usize::from(!is_base && mark.is_within_a_window());
            (digest.chain, digest.last) = (mark.chain, Some(mark.before));
            written += MARK_ENTRY as u64;
            true
        })?;
        digest.written = Some(written);
        Ok(digest)
    }

    /// Whether nothing is left out of it if reading begins at `offset`.
    pub(super) fn reaches(&self, offset: Offset) -> bool {
        self.last.is_some_and(|last| last >= offset)
    }

    /// The log is not the source's from `turn` on, behind which no batch has come yet.
    pub(super) fn turns_at(&mut self, turn: Option<Offset>) {
        if self.turn != turn {
            (self.turn, self.theirs) = (turn, None);
        }
    }

    /// Takes in the log's next batch, unless a mark tells of it already. It is the first one of
    /// the segment that `begins` there, where there is one.
    pub(super) fn take(&mut self, base: Offset, header: u64, begins: Option<Offset>) {
        match self.last {
            Some(last) if base < last => return,
            Some(_) => {
                let turn = self.turn.filter(|turn| *turn <= base);
                let mut due = [Some(window_of(base)), begins, turn];
                due.sort_unstable();
                due.into_iter()
                    .flatten()
                    .for_each(|before| self.mark(before));
            }
            None => self.push(base),
        }
        self.chain.push(header);
    }

    /// A sync ends at `before`, where the log does.
    fn ends_at(&mut self, before: Offset) {
        let last = self.last;
        self.mark(before);
        self.ends += usize::from(self.last != last);
    }

    /// All batches so far begin below `before`, and none that comes does.
    fn mark(&mut self, before: Offset) {
        if self.last.is_some_and(|last| last < before) {
            self.push(before);
        }
        if self.last == Some(before) && self.turn == Some(before) && self.theirs.is_none() {
            let chain = self.chain;
            self.theirs = Some(Mark { before, chain });
        }
    }

    fn push(&mut self, before: Offset) {
        let chain = self.chain;
        let mark = Mark { before, chain };
        mark.push(self.owner, &mut self.pending);
        self.last = Some(before);
        if before >= self.start {
            self.begin.get_or_insert(mark);
        }
    }
}

#[cfg(test)]
mod tests;
