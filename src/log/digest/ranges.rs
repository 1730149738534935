//! What the batches of a log come to, window by window, and where that differs from another log.

use std::path::Path;

use super::{Chain, MARK_ENTRY, Mark, Owner, window_of};
use crate::io::{Disk, Durability, replace};
use crate::log::append::Log;
use crate::log::fault::{LogFault, replacing};
use crate::log::layout::{self, DIGEST};
use crate::log::reading::{BatchStream, Reader};
use crate::log::store::Store;
use crate::model::Offset;

/// The digest of the batches that begin at `from` or behind, and below `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digested {
    /// The first offset.
    pub from: Offset,
    /// The one behind the last.
    pub to: Offset,
    /// What they come to.
    pub chain: Chain,
}

/// Where two logs have been compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// Both have the same batches there.
    Same(Digested),
    /// They have not: the first one's, and the second one's.
    Differs(Digested, Digested),
    /// Only one of them tells of these offsets, or they tell of nothing narrower.
    Alone(Digested),
}

/// Which offsets are meant.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// From here on; all where there is none.
    pub from: Option<Offset>,
    /// Up to here; all where there is none.
    pub to: Option<Offset>,
}

/// Reads the batches of the log in `dir`, ours or a broker's, and says what those in `span` come
/// to, one range for each window. The first one begins no earlier and the last one ends no later
/// than the log does; there is none where no batch is.
///
/// # Errors
/// The disk's, or a batch that is damaged.
pub fn digest<D: Disk>(disk: D, dir: &Path, span: Span) -> Result<Vec<Digested>, LogFault> {
    let reader = Reader::open(disk, dir)?;
    let begins = reader.begins();
    let from = span.from.max(begins).unwrap_or_default();
    let mut stream = BatchStream::from(reader, from)?;
    let mut ranges: Vec<Digested> = Vec::new();
    let mut end = from;
    while let Some(batch) = stream.next_batch()? {
        let base = batch.base_offset();
        if span.to.is_some_and(|to| base >= to) {
            end = span.to.unwrap_or(end);
            break;
        }
        end = batch.next_offset();
        if base < from {
            continue;
        }
        let window = window_of(base);
        if ranges.last().is_none_or(|last| last.from < window) {
            let first = span.from.map_or(base, |_| from);
            let from = ranges.last().map_or(first, |_| window);
            if let Some(last) = ranges.last_mut() {
                last.to = from;
            }
            let (to, chain) = (end, Chain::default());
            ranges.push(Digested { from, to, chain });
        }
        let last = ranges.last_mut().expect("there is one by now");
        last.chain.take(&batch);
    }
    let end = span.to.map_or(end, |to| to.min(end));
    if let Some(last) = ranges.last_mut() {
        last.to = end;
    }
    Ok(ranges)
}

/// What the marks beside the log in `dir` say without reading it; none where there are none.
///
/// # Errors
/// The disk's.
pub fn noted_digest<D: Disk>(disk: &D, dir: &Path) -> Result<Vec<Digested>, LogFault> {
    let Some(topic_id) = layout::topic_id(disk, dir)? else {
        return Ok(Vec::new());
    };
    let bytes = layout::content(disk, &dir.join(DIGEST))?.unwrap_or_default();
    let mut marks = Mark::read_all(&bytes, Owner::of(dir, topic_id));
    let begins = Reader::open(disk.clone(), dir)?.begins();
    marks.retain(|mark| begins.is_some_and(|begins| mark.before >= begins));
    let ends = [marks.first(), marks.last()].map(|mark| mark.map(|mark| mark.before));
    let is_cut = |mark: &Mark| {
        let before = Some(mark.before);
        ends.contains(&before) || window_of(mark.before) == mark.before
    };
    marks.retain(is_cut);
    let pairs = marks.windows(2).map(|pair| Digested {
        from: pair[0].before,
        to: pair[1].before,
        chain: pair[1].chain.since(pair[0].chain),
    });
    Ok(pairs.collect())
}

/// All ranges, which follow each other, as one.
#[must_use]
pub fn whole(ranges: &[Digested]) -> Option<Digested> {
    let (first, last) = ranges.first().zip(ranges.last())?;
    let chain = |all: Chain, next: &Digested| all.then(next.chain);
    Some(Digested {
        from: first.from,
        to: last.to,
        chain: ranges.iter().fold(Chain::default(), chain),
    })
}

/// Holds ranges of one log against those of another one, wherever both of them cut.
#[must_use]
pub fn compare(ours: &[Digested], theirs: &[Digested]) -> Vec<Compared> {
    let (ours, theirs) = (marks(ours), marks(theirs));
    let at = |marks: &[Mark], before| {
        let found = marks.binary_search_by_key(&before, |mark: &Mark| mark.before);
        found.ok().map(|nth| marks[nth])
    };
    let both = ours
        .iter()
        .filter_map(|mark| Some((*mark, at(&theirs, mark.before)?)));
    let both: Vec<(Mark, Mark)> = both.collect();
    let mut compared: Vec<Compared> = Vec::new();
    for pair in both.windows(2) {
        let [(our, their), (our_next, their_next)] = pair else {
            continue;
        };
        let (one, other) = (between(our, our_next), between(their, their_next));
        compared.push(match one == other {
            true => Compared::Same(one),
            false => Compared::Differs(one, other),
        });
    }
    for marks in [&ours, &theirs] {
        let inner = both.first().zip(both.last());
        let inner = inner.map(|((first, _), (last, _))| (first.before, last.before));
        compared.extend(outside(marks, inner));
    }
    compared
}

/// What of the marks lies before and behind those that both sides have.
fn outside(marks: &[Mark], inner: Option<(Offset, Offset)>) -> impl Iterator<Item = Compared> {
    let at = |nth: usize| marks.get(nth).copied();
    let last = marks.len().checked_sub(1).and_then(at);
    let inner_at = |before| marks.iter().find(|mark| mark.before == before).copied();
    let ends = match inner {
        None => [at(0).zip(last), None],
        Some((begin, end)) => [at(0).zip(inner_at(begin)), inner_at(end).zip(last)],
    };
    let ends = ends.into_iter().flatten();
    let ends = ends.filter(|(one, other)| one.before < other.before);
    ends.map(|(one, other)| Compared::Alone(between(&one, &other)))
}

fn between(one: &Mark, other: &Mark) -> Digested {
    Digested {
        from: one.before,
        to: other.before,
        chain: other.chain.since(one.chain),
    }
}

fn marks(ranges: &[Digested]) -> Vec<Mark> {
    let mut chain = Chain::default();
    let first = ranges.first().map(|range| Mark {
        before: range.from,
        chain,
    });
    let rest = ranges.iter().map(|range| {
        chain = chain.then(range.chain);
        Mark {
            before: range.to,
            chain,
        }
    });
    first.into_iter().chain(rest).collect()
}

impl<D: Disk> Store<D> {
    /// The digest of an open log up to `to`, from its start on; where no mark is right there, from
    /// the first one behind. Of a log that has none between the two, the batches are read.
    ///
    /// # Errors
    /// The disk's, or damage.
    pub fn digest(&self, log: &Log, to: Offset) -> Result<Digested, LogFault> {
        let mut marks = log.digest.marks(&self.disk, &self.dir)?;
        marks.push(Mark {
            before: log.log_end,
            chain: log.digest.chain,
        });
        let start = log.log_start.min(to);
        let to = to.min(log.log_end).max(start);
        let from = marks.iter().map(|mark| mark.before);
        let from = from.filter(|before| (start..to).contains(before)).min();
        let from = from.unwrap_or(start);
        let (one, other) = (self.mark_at(&marks, from)?, self.mark_at(&marks, to)?);
        Ok(between(&one, &other))
    }

    /// Takes marks of what has gone with time out of the file, once they are as many as others.
    pub(in crate::log) fn forget_marks(&mut self, log: &mut Log) -> Result<(), LogFault> {
        let begins = log.older.first().copied().unwrap_or(log.segment.base);
        let path = self.dir.join(DIGEST);
        let mut bytes = layout::content(&self.disk, &path)?.unwrap_or_default();
        bytes.truncate(usize::try_from(log.digest.written).unwrap_or(usize::MAX));
        let marks = log.digest.marks(&self.disk, &self.dir)?;
        let gone = marks.partition_point(|mark| mark.before < begins) * MARK_ENTRY;
        if gone < bytes.len().div_ceil(2).max(1) || gone > bytes.len() {
            return Ok(());
        }
        let kept = &bytes[gone..];
        replace(&self.disk, &path, kept, Durability::PowerLoss).map_err(replacing(&path))?;
        log.digest.written = kept.len() as u64;
        self.marks = None;
        Ok(())
    }

    /// The digest of the batches below `before`, from the newest mark that does not lie behind.
    fn mark_at(&self, marks: &[Mark], before: Offset) -> Result<Mark, LogFault> {
        let nth = marks.partition_point(|mark| mark.before <= before);
        let Some(known) = nth.checked_sub(1).map(|nth| marks[nth]) else {
            return Ok(Mark {
                before,
                chain: Chain::default(),
            });
        };
        if known.before == before {
            return Ok(known);
        }
        let span = Span {
            from: Some(known.before),
            to: Some(before),
        };
        let read = whole(&digest(self.disk.clone(), &self.dir, span)?);
        let chain = read.map(|read| read.chain).unwrap_or_default();
        Ok(Mark {
            before,
            chain: known.chain.then(chain),
        })
    }
}
