//! Up to where source and destination are the same, where nobody has noted it.
//!
//! What was compared equal, batch by batch, needs no history: whoever follows the destination's
//! leader up to there has what the source has, however it came about. A mirror goes on from there
//! as from a stop: what the destination has behind it is set aside and cut off at every replica,
//! and the source's is fetched. So a place that is too early costs a copy and no record of the
//! source, and one that is too late cannot be, since nothing counts but what was equal.
//!
//! That does not hold where something in between was not compared: nobody vouches for it then.

use std::fmt;

use super::Finding;
use super::align::{Front, Mark, Row, Side, Twin};
use crate::model::{BrokerId, LeaderEpoch, Offset, TopicId};

/// Up to where both sides are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alike {
    /// The first offset behind the last batch that both have.
    pub to: Offset,
    /// The source, and its leader epoch of that batch.
    pub source: Origin,
    /// The same of the destination.
    pub destination: Origin,
}

/// Whose batches they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The cluster's id.
    pub cluster: String,
    /// The topic's id there.
    pub topic: TopicId,
    /// The leader epoch of the last batch; NONE where there is none.
    pub epoch: LeaderEpoch,
}

/// Why nobody can tell up to where both sides are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unvouched {
    /// The source does not have the partition, or was not asked.
    NoSource,
    /// Nobody could read what the destination's leader has.
    NoLeader,
    /// A log could not be read on.
    Unread(Side),
    /// Compaction has rewritten or removed what was to be compared.
    Compacted(Offset),
    /// Retention has removed it meanwhile.
    Removed(Offset),
    /// No batch with records is on both sides.
    Nothing,
    /// A log differs where both sides are the same.
    Differs(Finding),
}

impl fmt::Display for Unvouched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unvouched::NoSource => f.write_str(
                "the source does not have it: see that --from is the cluster that it was mirrored \
                 from",
            ),
            Unvouched::NoLeader => f.write_str(
                "its leader at the destination cannot be read by clients: where a node of ours \
                 leads it, end that node, so that a broker of the destination does, and compare \
                 again",
            ),
            Unvouched::Unread(side) => {
                write!(
                    f,
                    "{side} could not be read on: mend that, and compare again"
                )
            }
            Unvouched::Compacted(at) => write!(
                f,
                "compaction has touched one side and not the other at offset {at}, which hides \
                 where they part: delete the topic on the side that is to be the copy to have all \
                 of it copied"
            ),
            Unvouched::Removed(at) => write!(
                f,
                "retention has removed what was being compared at offset {at}: compare again"
            ),
            Unvouched::Nothing => f.write_str(
                "no batch of records is on both sides, so that nothing tells whether they were \
                 ever the same: delete the topic on the side that is to be the copy to have all of \
                 it copied",
            ),
            Unvouched::Differs(Finding { who, at, what }) => write!(
                f,
                "both sides are the same there, and {who} is not, at offset {at} ({what}): mend \
                 that replica, and compare again"
            ),
        }
    }
}

/// The last batch that both have.
#[derive(Clone, Copy, Debug)]
struct Last {
    to: Offset,
    source: LeaderEpoch,
    destination: LeaderEpoch,
}

/// What the source and the destination's leader have in common, as rows are settled.
#[derive(Debug)]
pub(super) struct Shared {
    leader: Option<Side>,
    last: Option<Last>,
    has_records: bool,
    /// What comes does not count any more.
    is_over: bool,
    hidden: Option<Unvouched>,
}

impl Shared {
    pub(super) fn with(leader: Option<BrokerId>) -> Shared {
        Shared {
            leader: leader.map(Side::Replica),
            last: None,
            has_records: false,
            is_over: false,
            hidden: None,
        }
    }

    /// A log cannot be read any further.
    pub(super) fn unread(&mut self, side: Side) {
        if !self.is_over && self.is_one(side) {
            self.hides(Unvouched::Unread(side));
        }
    }

    pub(super) fn is_one(&self, side: Side) -> bool {
        side == Side::Source || Some(side) == self.leader
    }

    /// A row is as it is.
    pub(super) fn take(&mut self, row: &Row, fronts: &[Front<'_>]) {
        if self.is_over {
            return;
        }
        let both = fronts.iter().zip(&row.marks);
        let mut both = both.filter(|(front, _)| self.is_one(front.side));
        let (Some(one), Some(other), None) = (both.next(), both.next(), both.next()) else {
            self.is_over = true;
            return;
        };
        let (source, leader) = match one.0.side {
            Side::Source => (one, other),
            Side::Log | Side::Replica(_) => (other, one),
        };
        let has = |front: &Front<'_>| front.batch.is_some_and(|batch| batch.base == row.at);
        let is = |mark: &Mark| [source.1, leader.1].contains(&mark);
        match (source.0.batch, leader.0.batch) {
            _ if !has(source.0) && !has(leader.0) => {}
            (Some(theirs), Some(ours)) if theirs.bytes == ours.bytes => self.same(theirs, ours),
            // Before the one of both begins that begins later.
            _ if is(&Mark::Removed) && self.last.is_none() => {}
            _ if is(&Mark::Removed) => self.hides(Unvouched::Removed(row.at)),
            _ if is(&Mark::Compacted) => self.hides(Unvouched::Compacted(row.at)),
            _ => self.is_over = true,
        }
    }

    fn same(&mut self, theirs: &Twin, ours: &Twin) {
        self.has_records |= !ours.is_control;
        self.last = Some(Last {
            to: ours.next,
            source: theirs.epoch,
            destination: ours.epoch,
        });
    }

    fn hides(&mut self, why: Unvouched) {
        self.is_over = true;
        self.hidden = Some(why);
    }

    /// What both have in common. The ends are those of the source and of the destination's leader,
    /// where they could be read; `named` is what both are, each in its present leader epoch.
    pub(super) fn verdict(
        self,
        ends: [Option<Offset>; 2],
        findings: &[Finding],
        named: [Origin; 2],
    ) -> Result<Alike, Unvouched> {
        let leader_end = match ends {
            [None, _] => return Err(Unvouched::NoSource),
            [_, None] => return Err(Unvouched::NoLeader),
            [_, Some(end)] => end,
        };
        if let Some(why) = self.hidden {
            return Err(why);
        }
        let [source, destination] = named;
        let last = match self.last.filter(|_| self.has_records) {
            Some(last) => last,
            // Nothing was ever there, and nothing can be lost.
            None if leader_end == Offset::ZERO => Last {
                to: Offset::ZERO,
                source: source.epoch,
                destination: LeaderEpoch::NONE,
            },
            None => return Err(Unvouched::Nothing),
        };
        if let Some(finding) = findings.iter().find(|finding| finding.at < last.to) {
            return Err(Unvouched::Differs(finding.clone()));
        }
        Ok(Alike {
            to: last.to,
            source: Origin {
                epoch: last.source,
                ..source
            },
            destination: Origin {
                epoch: last.destination,
                ..destination
            },
        })
    }
}
