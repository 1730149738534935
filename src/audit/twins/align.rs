//! Several logs of one partition side by side: what one look at their fronts says of each.

use std::fmt;

use crate::audit::compare::is_rewrite;
use crate::model::{BrokerId, LeaderEpoch, Offset, ProducerIdShift};
use crate::record::{Batch, Control, control, unshift};

/// Where a batch states the leader epoch, which each cluster has of its own.
const LEADER_EPOCH: std::ops::Range<usize> = 12..16;

/// Whose log it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The source's, as whoever leads it has it.
    Source,
    /// Ours, on this machine's disk.
    Log,
    /// That of a broker of the destination.
    Replica(BrokerId),
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Side::Source => f.write_str("the source"),
            Side::Log => f.write_str("our log"),
            Side::Replica(broker) => write!(f, "broker {broker}"),
        }
    }
}

/// A batch in the form in which all logs have it alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Twin {
    /// All of it, without the leader epoch and with the source's producer id.
    pub(super) bytes: Vec<u8>,
    pub(super) base: Offset,
    pub(super) next: Offset,
    /// The leader epoch that it had.
    pub(super) epoch: LeaderEpoch,
    /// It ends a transaction in vain, as a stop does with those that are open.
    pub(super) is_abort: bool,
    /// It is a marker, and no record of anybody's.
    pub(super) is_control: bool,
}

impl Twin {
    /// A batch of a log to whose producer ids `shift` was added.
    pub(super) fn of(batch: &Batch<'_>, shift: ProducerIdShift) -> Twin {
        let mut bytes = batch.bytes().to_vec();
        if unshift(&mut bytes, shift).is_err() {
            // Nothing was added to it: it is the destination's own, and stays as it is.
        }
        bytes[LEADER_EPOCH].fill(0);
        let is_control = batch.is_control();
        let is_abort = is_control && matches!(control(batch), Ok(Control::Abort { .. }));
        Twin {
            bytes,
            base: batch.base_offset(),
            next: batch.next_offset(),
            epoch: batch.leader_epoch(),
            is_abort,
            is_control,
        }
    }
}

/// What one log shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Front<'a> {
    pub(super) side: Side,
    /// Where the log begins.
    pub(super) start: Offset,
    /// Its next batch; none where it has no more.
    pub(super) batch: Option<&'a Twin>,
    /// Where it ends, where it has no more.
    pub(super) end: Offset,
    /// Offsets that are known to be missing in it.
    pub(super) gaps: &'a [(Offset, Offset)],
}

/// What the fronts say of the first batch that any of them has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) at: Offset,
    pub(super) next: Offset,
    /// What is said of each log, in the order of the fronts.
    pub(super) marks: Vec<Mark>,
    /// The log that the others of the destination are held against; none where the destination
    /// says nothing.
    pub(super) destination: Option<usize>,
}

/// What is said of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// It has the batch, as the others have it.
    Same,
    /// Compaction has rewritten the batch here, or taken it away.
    Compacted,
    /// The log begins behind it.
    Removed,
    /// The gap is on record.
    Gap,
    /// The log does not reach so far.
    Behind,
    /// It is the source's, and all of the destination says something else: what is wrong there.
    Parted(Wrong),
    /// It is not as the others say.
    Wrong(Wrong),
}

/// What is not as it is elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// The batch has other bytes than that of `of`.
    Bytes {
        from: usize,
        here: usize,
        there: usize,
        of: Side,
    },
    /// It has no batch from here up to `to`, and `of` has.
    Missing { to: Offset, of: Side },
    /// It has a batch that `of` does not have.
    Extra { of: Side },
    /// The log of `of` ends before.
    Beyond { end: Offset, of: Side },
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::Bytes {
                from,
                here,
                there,
                of,
            } => write!(
                f,
                "its batch differs from byte {from} on: {here} bytes here, {there} at {of}"
            ),
            Wrong::Missing { to, of } => {
                write!(f, "offsets up to {to} are missing, which {of} has")
            }
            Wrong::Extra { of } => write!(f, "it has a batch that {of} does not have"),
            Wrong::Beyond { end, of } => write!(f, "it goes on where {of} ends, at offset {end}"),
        }
    }
}

/// What a log has to say of one batch.
#[derive(Clone, Copy, Debug)]
enum Opinion<'a> {
    Has(&'a Twin),
    /// It goes on at this offset without it.
    Lacks(Offset),
}

/// Looks at the first batch that any of the logs has. `None`: none has any more.
pub(super) fn look(fronts: &[Front<'_>], is_compacted: bool) -> Option<Row> {
    let heads = fronts.iter().filter_map(|front| front.batch);
    let first = heads.min_by_key(|batch| (batch.base, batch.next))?;
    let (at, next) = (first.base, first.next);
    let said: Vec<_> = fronts
        .iter()
        .map(|front| said(front, (at, next), is_compacted))
        .collect();
    let judge = Judge {
        fronts,
        opinions: said.iter().map(|said| said.as_ref().err()).collect(),
        is_compacted,
    };
    let destination = judge.destination();
    let mark = |(nth, said): (usize, &Result<Mark, Opinion<'_>>)| match said {
        Ok(Mark::Behind) if fronts[nth].side == Side::Source => judge.source_ends(nth, destination),
        Ok(mark) => mark.clone(),
        Err(_) => judge.mark(nth, destination),
    };
    let marks = said.iter().enumerate().map(mark).collect();
    Some(Row {
        at,
        next,
        marks,
        destination,
    })
}

/// What a log says of the batch, or why it says nothing.
fn said<'a>(
    front: &Front<'a>,
    (at, next): (Offset, Offset),
    is_compacted: bool,
) -> Result<Mark, Opinion<'a>> {
    let goes_on = match front.batch {
        Some(batch) if batch.base == at => return Err(Opinion::Has(batch)),
        Some(batch) => batch.base,
        None if front.end <= at => return Ok(Mark::Behind),
        None => front.end,
    };
    let is_gap = |(from, to): &(Offset, Offset)| *from <= at && at < *to;
    Ok(match () {
        () if at < front.start => Mark::Removed,
        () if front.gaps.iter().any(is_gap) => Mark::Gap,
        () if is_compacted => Mark::Compacted,
        () if front.batch.is_none() && front.end < next => Mark::Behind,
        () => return Err(Opinion::Lacks(goes_on)),
    })
}

struct Judge<'a> {
    fronts: &'a [Front<'a>],
    opinions: Vec<Option<&'a Opinion<'a>>>,
    is_compacted: bool,
}

impl Judge<'_> {
    fn of(&self, nth: usize) -> Option<Opinion<'_>> {
        self.opinions[nth].copied()
    }

    fn source(&self) -> Option<usize> {
        let mut all = self.fronts.iter();
        let nth = all.position(|front| front.side == Side::Source)?;
        self.of(nth).map(|_| nth)
    }

    fn agree(&self, one: usize, other: usize) -> bool {
        match (self.of(one), self.of(other)) {
            (Some(Opinion::Has(one)), Some(Opinion::Has(other))) => self.same(one, other),
            (Some(Opinion::Lacks(_)), Some(Opinion::Lacks(_))) => true,
            _ => false,
        }
    }

    fn same(&self, one: &Twin, other: &Twin) -> bool {
        let rewrites = |one: &Twin, other: &Twin| is_rewrite(&one.bytes, &other.bytes);
        let is_rewritten = || rewrites(one, other) || rewrites(other, one);
        one.bytes == other.bytes || self.is_compacted && is_rewritten()
    }

    /// Which log speaks for the destination: one that agrees with the source; else ours; else the
    /// one with which most others agree.
    fn destination(&self) -> Option<usize> {
        let all = 0..self.fronts.len();
        let has_said =
            |nth: &usize| self.fronts[*nth].side != Side::Source && self.opinions[*nth].is_some();
        let logs: Vec<usize> = all.filter(has_said).collect();
        let source = self.source();
        let rank = |nth: &usize| {
            let others = logs.iter().filter(|other| self.agree(*nth, **other));
            (
                source.is_some_and(|source| self.agree(*nth, source)),
                self.fronts[*nth].side == Side::Log,
                others.count(),
                std::cmp::Reverse(*nth),
            )
        };
        logs.iter().copied().max_by_key(rank)
    }

    fn mark(&self, nth: usize, destination: Option<usize>) -> Mark {
        let is_source = self.fronts[nth].side == Side::Source;
        let Some(speaker) = destination else {
            return Mark::Same;
        };
        // What the source and some of the destination have is the source's; nobody else's word
        // counts then.
        let source = self.source();
        let trusted = source.filter(|source| !is_source && self.agree(*source, speaker));
        let other = trusted.unwrap_or(speaker);
        if !self.agree(nth, other) {
            return match is_source {
                true => Mark::Parted(self.wrong(speaker, nth)),
                false => Mark::Wrong(self.wrong(nth, other)),
            };
        }
        match (self.of(nth), self.of(other)) {
            (Some(Opinion::Has(one)), Some(Opinion::Has(other))) if one.bytes != other.bytes => {
                Mark::Compacted
            }
            _ => Mark::Same,
        }
    }

    fn wrong(&self, nth: usize, other: usize) -> Wrong {
        let of = self.fronts[other].side;
        match (self.of(nth), self.of(other)) {
            (Some(Opinion::Has(here)), Some(Opinion::Has(there))) => {
                let (here, there) = (&here.bytes, &there.bytes);
                let same = here.iter().zip(there).take_while(|(a, b)| a == b);
                Wrong::Bytes {
                    from: same.count(),
                    here: here.len(),
                    there: there.len(),
                    of,
                }
            }
            (Some(Opinion::Lacks(to)), _) => Wrong::Missing { to, of },
            _ => Wrong::Extra { of },
        }
    }

    /// The source's log ends before the batch.
    fn source_ends(&self, nth: usize, destination: Option<usize>) -> Mark {
        let has = |speaker: usize| matches!(self.of(speaker), Some(Opinion::Has(_)));
        let (end, of) = (self.fronts[nth].end, Side::Source);
        match destination.is_some_and(has) {
            true => Mark::Parted(Wrong::Beyond { end, of }),
            false => Mark::Behind,
        }
    }
}

impl Row {
    /// Whether anything is not as it should be.
    pub(super) fn is_doubtful(&self) -> bool {
        let is_wrong = |mark: &Mark| matches!(mark, Mark::Parted(_) | Mark::Wrong(_));
        self.marks.iter().any(is_wrong)
    }

    /// How many have the batch, or what compaction has left of it, and say the same.
    pub(super) fn agreeing(&self) -> usize {
        let same = self.marks.iter();
        same.filter(|mark| matches!(mark, Mark::Same | Mark::Compacted))
            .count()
    }
}
