//! The marks of the digest against the batches.

use super::{Audit, Remedy};
use crate::io::Disk;
use crate::log::LogFault;
use crate::log::digest::{Chain, MARK_ENTRY, Mark, Owner, each_mark};
use crate::log::layout::DIGEST;
use crate::model::Offset;

/// The marks of a log, and how far they were compared.
#[derive(Default)]
pub(super) struct Marked {
    /// Those that are sound, rising.
    marks: Vec<Mark>,
    /// Bytes of the file; `None` where there is none.
    bytes: Option<u64>,
    /// How many of them were compared, or lie before the first batch.
    done: usize,
    /// The last one that was compared, and what the batches come to there.
    anchor: Option<(Mark, Chain)>,
    /// What the batches come to so far.
    chain: Chain,
}

impl Marked {
    pub(super) fn push(&mut self, header: u64) {
        self.chain.push(header);
    }
}

impl<D: Disk> Audit<'_, D> {
    pub(super) fn marked(&self) -> Result<Marked, LogFault> {
        let owner = Owner::of(self.dir, self.claims.topic_id);
        let mut marks = Vec::new();
        let bytes = each_mark(self.disk, &self.dir.join(DIGEST), owner, |mark| {
            marks.push(mark);
            true
        })?;
        Ok(Marked {
            marks,
            bytes,
            ..Marked::default()
        })
    }

    /// What begins below has gone with time.
    fn begins(&self) -> Offset {
        self.bases.first().copied().unwrap_or_default()
    }

    /// Compares the marks up to `offset`, which is where the next batch begins, or the log ends.
    pub(super) fn compare_marks_to(&mut self, offset: Offset) {
        while let Some(mark) = self.marked.marks.get(self.marked.done).copied()
            && mark.before <= offset
        {
            let (nth, chain) = (self.marked.done, self.marked.chain);
            self.marked.done += 1;
            if mark.before < self.begins() || !self.is_settled_up_to(mark.before) {
                continue;
            }
            let anchor = self.marked.anchor.replace((mark, chain));
            let Some((before, there)) = anchor else {
                continue;
            };
            let (noted, found) = (mark.chain.since(before.chain), chain.since(there));
            if noted != found {
                let why = format!(
                    "of offsets {} to {} it noted other batches than lie there: {}, and there are \
                     {}",
                    before.before, mark.before, noted.batches, found.batches
                );
                let at = (nth * MARK_ENTRY) as u64;
                let remedy = Remedy::Anew(self.dir.to_owned());
                self.found(self.dir.join(DIGEST), Some(at), why, remedy);
            }
        }
    }

    /// All batches were read: it reaches as far as they do.
    pub(super) fn compare_digest(&mut self) {
        self.compare_marks_to(self.next);
        let path = self.dir.join(DIGEST);
        let begins = self.begins();
        let mut told = self.marked.marks.iter().map(|mark| mark.before);
        self.verified.digest_from = told.find(|before| *before >= begins);
        let Some(bytes) = self.marked.bytes else {
            return;
        };
        let sound = (self.marked.marks.len() * MARK_ENTRY) as u64;
        let reaches = self.marked.marks.last().map(|mark| mark.before);
        // The first mark is at the first batch.
        let least = self
            .verified
            .range
            .map(|(first, _)| reaches.unwrap_or(first));
        let is_short = least.is_some_and(|reaches| reaches < self.claims.durable);
        if bytes > sound && (self.claims.is_clean || is_short && bytes - sound >= MARK_ENTRY as u64)
        {
            let why = "what is there is no mark of this log";
            self.find(path, Some(sound), why);
        } else if let Some((_, end)) = self.verified.range
            && self.claims.is_clean
            && reaches != Some(end)
        {
            self.find(path, None, format!("it has no mark at the log's end {end}"));
        }
    }
}
