//! What the batches of a log come to, window by window, and where that differs from another log.

use std::path::Path;

use super::{Chain, Digest, Mark, Owner, each_mark, window_of};
use crate::io::Disk;
use crate::log::append::Log;
use crate::log::fault::LogFault;
use crate::log::layout::{self, DIGEST};
use crate::log::reading::{BatchStream, Reader};
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
    let begins = Reader::open(disk.clone(), dir)?.begins();
    let mut marks = Vec::new();
    each_mark(disk, &dir.join(DIGEST), Owner::of(dir, topic_id), |mark| {
        let is_there = begins.is_some_and(|begins| mark.before >= begins);
        marks.extend(Some(mark).filter(|_| is_there));
        true
    })?;
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

impl Log {
    /// The digest of an open log up to `to`, which is its end or where it ends being the source's:
    /// from the first mark on that does not lie before its start. `None` where no mark tells it:
    /// nothing is read.
    #[must_use]
    pub fn digest(&self, to: Offset) -> Option<Digested> {
        if to <= self.log_start {
            let (from, chain) = (to, Chain::default());
            return Some(Digested { from, to, chain });
        }
        let Digest {
            chain,
            begin,
            theirs,
            ..
        } = self.digest;
        let end = match to == self.log_end {
            true => Some(Mark { before: to, chain }),
            false => theirs.filter(|mark| mark.before == to),
        };
        let begin = begin.filter(|mark| mark.before <= to);
        begin.zip(end).map(|(begin, end)| between(&begin, &end))
    }
}
