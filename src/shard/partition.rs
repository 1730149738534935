//! One partition of a shard: its log, its files, and what is told of it.

use std::collections::VecDeque;

use super::inbox::{Aborted, Mirror, Order, Phase, Status, Tally, Told};
use crate::io::Disk;
use crate::log::{Log, Recovered, Store};
use crate::model::{Instant, LeaderEpoch, Offset, TopicPartition};
use crate::source::{EpochEnd, Followed, Progress};

/// A partition that is being mirrored, or was until it stopped.
pub(super) struct Partition<D: Disk> {
    pub(super) id: TopicPartition,
    /// As it was ordered, with the stamp of now.
    pub(super) mirror: Mirror,
    pub(super) log: Log,
    pub(super) store: Store<D>,
    pub(super) phase: Phase,
    pub(super) tally: Tally,
    pub(super) durable: Offset,
    /// Up to here it was durable before it lost what it is fetching again. That is told until it
    /// is so once more: whoever opens the log next has to know that it lacks something.
    pub(super) whole: Option<Offset>,
    pub(super) gaps: Vec<(Offset, Offset)>,
    pub(super) recovered: Recovered,
    /// Records are wanted from the source.
    pub(super) is_fetched: bool,
    /// Up to here every in-sync replica has it.
    pub(super) replicated: Offset,
    /// What is to be done once the sync under way has ended, in its order.
    pub(super) waiting: VecDeque<Work>,
    /// What is told once all that the log holds now is durable.
    pub(super) awaited: Option<End>,
    /// Since when it fails and is tried again.
    pub(super) waiting_since: Option<Instant>,
    /// When it was last said that it waits.
    pub(super) said_at: Option<Instant>,
    /// The source's high watermark, as control was told last or is about to be.
    pub(super) told_mark: Option<Offset>,
    /// What was wrong with the answer that is being taken in.
    pub(super) suspicion: Option<String>,
    /// The oldest append that no sync point covers.
    pub(super) dirty_since: Option<Instant>,
    /// What a sync point needs could not be written.
    pub(super) is_unflushed: bool,
    /// Files of it are being synced: nobody else syncs or cuts them meanwhile.
    pub(super) is_syncing: bool,
    /// Everything that was asked for is in the log; durable comes next.
    pub(super) is_complete: bool,
    /// A write or sync has failed: what the files hold is not known any more.
    pub(super) is_broken: bool,
    /// A cut that the disk has refused, and that is tried again.
    pub(super) uncut: Option<Uncut>,
}

/// A cut that waits for the disk, the first of what waits for the files.
#[derive(Debug)]
pub(super) struct Uncut {
    /// It is tried again then.
    pub(super) again_at: Instant,
    /// It has begun: until it is repeated to its end, nobody knows what the files hold.
    pub(super) is_half: bool,
}

/// What waits for a partition's files to be at rest.
#[derive(Debug)]
pub(super) enum Work {
    /// What control wants.
    Order(Order),
    /// The source has lost what lies from this offset on.
    Truncate(Offset),
    /// The source has nothing of it any more, and begins at this offset.
    Restart(Offset),
}

/// What is over once a sync is.
#[derive(Debug)]
pub(super) enum End {
    /// All transactions have ended, these by our markers.
    Sealed(Vec<Aborted>),
    /// The partition is given away.
    Released {
        /// The sync point under way is the one that it waits for.
        is_under_way: bool,
    },
}

impl End {
    /// The order, as a verb.
    pub(super) fn verb(&self) -> &'static str {
        match self {
            End::Sealed(_) => "seal",
            End::Released { .. } => "release",
        }
    }
}

impl<D: Disk> Partition<D> {
    /// A partition whose log was just opened.
    pub(super) fn new(mirror: Mirror, log: Log, store: Store<D>, recovered: Recovered) -> Self {
        let marks = log.watermarks();
        let (end, point) = (marks.log_end, store.believed(mirror.recovery_point));
        let durable = match mirror.is_clean {
            true => end,
            false => point.clamp(marks.log_start, end),
        };
        let was = Some(point).filter(|was| *was > end);
        Partition {
            id: mirror.id.clone(),
            phase: Phase::Mirroring,
            tally: Tally::default(),
            durable,
            whole: was.filter(|_| mirror.refetchable.is_some()),
            gaps: Vec::new(),
            recovered,
            is_fetched: false,
            replicated: log.watermarks().log_start,
            waiting: VecDeque::new(),
            awaited: None,
            waiting_since: None,
            said_at: None,
            told_mark: None,
            suspicion: None,
            dirty_since: None,
            is_unflushed: false,
            is_syncing: false,
            is_complete: false,
            is_broken: false,
            uncut: None,
            mirror,
            log,
            store,
        }
    }

    pub(super) fn status(&self, progress: Option<Progress>) -> Status {
        let marks = self.log.watermarks();
        Status {
            id: self.id.clone(),
            phase: self.phase.clone(),
            tally: self.tally,
            log_start: marks.log_start,
            log_end: marks.log_end,
            durable: self.whole.unwrap_or(self.durable).max(self.durable),
            high_watermark: progress.and_then(|progress| progress.high_watermark),
            gaps: self.gaps.clone(),
            recovered: self.recovered,
            source_epoch: self.log.source_epoch(),
            open_transactions: self.log.open_transactions(),
            largest_producer_id: self.log.largest_producer_id(),
            reached: progress.and_then(|progress| progress.reached),
        }
    }

    /// That its log is open, and what it is like.
    pub(super) fn opened(&self) -> Told {
        let marks = self.log.watermarks();
        Told::Opened {
            id: self.id.clone(),
            log_start: marks.log_start,
            log_end: marks.log_end,
            epochs: self.log.epochs().clone(),
            stamp: self.log.stamp(),
            mirrored: self.log.mirrored(),
            source_epoch: self.log.source_epoch(),
        }
    }

    /// How it is to be followed, from what it holds.
    pub(super) fn followed(&self) -> Followed {
        let (mirror, marks) = (&self.mirror, self.log.watermarks());
        Followed {
            id: self.id.clone(),
            topic_id: mirror.topic_id,
            leader: mirror.leader,
            leader_epoch: mirror.leader_epoch,
            position: marks.log_end,
            last_epoch: self.their_epoch(),
            log_start: marks.log_start,
            is_empty: self.log.is_empty(),
            until: mirror.until,
            may_truncate: mirror.may_truncate,
        }
    }

    /// Up to where it is what those have whom it is fetched from.
    pub(super) fn theirs(&self) -> Offset {
        match self.log.stamp() {
            Some(_) => self.log.mirrored(),
            None => self.end(),
        }
    }

    /// The epoch of its last batch, as those say whom it is fetched from.
    pub(super) fn their_epoch(&self) -> LeaderEpoch {
        match self.log.stamp() {
            Some(_) => self.log.source_epoch(),
            None => self.log.last_epoch(),
        }
    }

    /// Their largest epoch in our log not above `epoch`, and where it ends.
    pub(super) fn held(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        let epochs = match self.log.stamp() {
            Some(_) => self.log.source_epochs(),
            None => self.log.epochs(),
        };
        let (epoch, end) = epochs.end_of(epoch, self.theirs())?;
        Some(EpochEnd { epoch, end })
    }

    /// Nothing more will come of it.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Done | Phase::Stopped(_))
    }

    /// Records of it may be appended.
    pub(super) fn takes_records(&self) -> bool {
        self.is_fetched && !self.is_over() && self.has_sound_files()
    }

    /// The source has told of a cut, and nothing has come between. Half a cut is to be repeated.
    pub(super) fn is_to_be_cut(&self) -> bool {
        self.is_fetched && !self.is_over() && !self.is_broken
    }

    /// What its files hold is known.
    pub(super) fn has_sound_files(&self) -> bool {
        !self.is_broken && !self.is_half_cut()
    }

    /// A cut of it has begun and has to be repeated.
    pub(super) fn is_half_cut(&self) -> bool {
        self.uncut.as_ref().is_some_and(|uncut| uncut.is_half)
    }

    /// The first thing that waits is a cut, and not to be tried before a later moment.
    pub(super) fn waits_to_cut(&self, now: Instant) -> bool {
        let is_later = |uncut: &Uncut| uncut.again_at > now;
        self.is_cut_first() && self.uncut.as_ref().is_some_and(is_later)
    }

    /// The first thing that waits is a cut that the source has told of.
    pub(super) fn is_cut_first(&self) -> bool {
        let first = self.waiting.front();
        matches!(first, Some(Work::Truncate(_) | Work::Restart(_)))
    }

    /// An order is being carried out, or waits to be.
    pub(super) fn is_busy(&self) -> bool {
        self.awaited.is_some() || !self.waiting.is_empty()
    }

    pub(super) fn end(&self) -> Offset {
        self.log.watermarks().log_end
    }
}
