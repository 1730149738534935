//! What we know as a leader, and what we decide: by the code of `replica`.

use std::time::Duration;

use super::{BROKERS, Fault, MIN_ISR, NONE, Set, US, has, members, swapped};
use crate::model::{BrokerEpoch, BrokerId, Instant, Offset};
use crate::replica::{
    Eligible, Fetched, Followers, Isr, Proposal, expansion, high_watermark, is_drained, shrinkage,
};

/// Longer than nobody lags in the model.
const LAG_MAX: Duration = Duration::from_secs(30);
const NOW: Instant = Instant::from_nanos(0);
const LONG_AFTER: Instant = Instant::from_nanos(60_000_000_000);

/// What the metadata says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Told {
    pub(crate) epoch: u8,
    pub(crate) partition_epoch: u8,
    pub(crate) isr: Set,
    /// Who is not fenced, and everybody's life.
    pub(crate) unfenced: Set,
    pub(crate) lives: [u8; BROKERS],
}

/// A proposal that has no fate yet, as far as we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Pending {
    pub(crate) isr: Set,
    pub(crate) lives: [u8; BROKERS],
    pub(crate) partition_epoch: u8,
    pub(crate) fate: Fate,
}

/// What has become of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Fate {
    /// The controller has yet to look at it.
    Sent,
    /// It is so, with this partition epoch; the answer is on its way, as with the others.
    Committed(u8),
    Reverted,
    Overtaken,
}

/// One epoch of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Lead {
    pub(crate) epoch: u8,
    pub(crate) partition_epoch: u8,
    pub(crate) committed: Set,
    /// Empty where nothing is.
    pub(crate) proposed: Set,
    pub(crate) pending: Option<Pending>,
    unfenced: Set,
    lives: [u8; BROKERS],
    /// From where each has fetched last, and in which life.
    pub(crate) heard: [(u8, u8); BROKERS],
    pub(crate) high_watermark: u8,
    /// The log was cut: nothing is written before all in sync are.
    pub(crate) awaits: bool,
}

impl Lead {
    /// We begin to lead a log that ends at `end`; `mark` is what was written down last.
    pub(crate) fn begin(told: Told, mark: u8, end: u8) -> Lead {
        let mut lead = Lead {
            epoch: told.epoch,
            partition_epoch: told.partition_epoch,
            committed: told.isr,
            proposed: 0,
            pending: None,
            unfenced: told.unfenced,
            lives: told.lives,
            heard: [(NONE, 0); BROKERS],
            high_watermark: mark.min(end),
            awaits: false,
        };
        lead.advance(end, None);
        lead
    }

    /// The metadata's word within our epoch.
    pub(crate) fn change(&mut self, told: Told, end: u8) {
        if told.partition_epoch > self.partition_epoch {
            self.proposed = 0;
            self.partition_epoch = told.partition_epoch;
            self.committed = told.isr;
        }
        (self.unfenced, self.lives) = (told.unfenced, told.lives);
        self.advance(end, None);
    }

    /// The log ends elsewhere.
    pub(crate) fn moved(&mut self, end: u8, is_cut: bool, fault: Option<Fault>) {
        if is_cut {
            self.heard = [(NONE, 0); BROKERS];
            self.high_watermark = self.high_watermark.min(end);
        }
        self.advance(end, fault);
    }

    /// Whether a fetch in this life counts.
    pub(crate) fn counts(&self, who: usize, life: u8) -> bool {
        has(self.unfenced, who) && self.lives[who] == life
    }

    /// Whether it is answered.
    pub(crate) fn believes(&self, who: usize, life: u8) -> bool {
        !has(self.unfenced, who) || life >= self.lives[who]
    }

    /// A fetch that was found right.
    pub(crate) fn fetched(
        &mut self,
        (who, life, from): (usize, u8, u8),
        (end, epoch_start): (u8, u8),
        fault: Option<Fault>,
    ) {
        let fetched = self.fetch(who, (from, life));
        let mut followers = self.followers(end);
        followers.fetched(fetched, offset(end));
        let one = followers.get(id(who)).expect("it has just fetched");
        self.heard[who] = (number(one.log_end), life);
        self.advance(end, fault);
        if self.pending.is_some() {
            return;
        }
        let (mut mark, mut start) = (self.high_watermark, epoch_start);
        if fault == Some(Fault::JoinsFromAnywhere) {
            (mark, start) = (0, 0);
        }
        let all = [0, 1, 2].map(id);
        let (isr, eligible) = (self.isr(), self.eligible());
        let wanted = expansion(&isr, &all, &eligible, &fetched, offset(mark), offset(start));
        if let Some(wanted) = wanted {
            self.propose(&wanted);
        }
    }

    /// Those in `laggards` have had less than everything for too long. Says whether anything is
    /// proposed.
    pub(crate) fn shrinks(&mut self, laggards: Set, fault: Option<Fault>) -> bool {
        if self.pending.is_some() {
            return false;
        }
        let of = |lags: bool| move |who: &usize| *who != US && has(laggards, *who) == lags;
        let ids = |lags| (0..BROKERS).filter(of(lags)).map(id).collect::<Vec<_>>();
        let mut followers = Followers::begin(&ids(true), NOW);
        followers.expect(&ids(false), LONG_AFTER);
        let (isr, eligible) = (self.isr(), self.eligible());
        let wanted = shrinkage(
            id(US),
            &isr,
            &followers,
            &eligible,
            LONG_AFTER,
            LAG_MAX,
            MIN_ISR,
        );
        let alone = (fault == Some(Fault::ShrinksToItself)).then(|| vec![(id(US), life(0))]);
        match wanted.or(alone) {
            Some(wanted) => self.propose(&wanted),
            None => return false,
        }
        true
    }

    fn propose(&mut self, wanted: &Proposal) {
        let each = wanted.iter().map(|(who, _)| 1 << who.0);
        self.proposed = each.sum();
        self.pending = Some(Pending {
            isr: self.proposed,
            lives: self.lives,
            partition_epoch: self.partition_epoch,
            fate: Fate::Sent,
        });
    }

    /// The fate of the proposal has come.
    pub(crate) fn fate(&mut self, end: u8, fault: Option<Fault>) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        match pending.fate {
            Fate::Committed(partition_epoch) if partition_epoch > self.partition_epoch => {
                self.committed = pending.isr;
                self.proposed = 0;
                self.partition_epoch = partition_epoch;
            }
            Fate::Reverted => self.proposed = 0,
            Fate::Committed(_) | Fate::Overtaken | Fate::Sent => {}
        }
        self.advance(end, fault);
    }

    /// The fate is not told for too long.
    pub(crate) fn repeat(&mut self) {
        let Some(pending) = &mut self.pending else {
            return;
        };
        match self.proposed != 0 && pending.partition_epoch == self.partition_epoch {
            true => pending.fate = Fate::Sent,
            false => self.pending = None,
        }
    }

    /// Whether all in sync have all.
    pub(crate) fn is_drained(&self, end: u8) -> bool {
        let followers = self.followers(end);
        is_drained(
            id(US),
            offset(end),
            &self.isr(),
            &followers,
            offset(self.high_watermark),
        )
    }

    /// Whether every replica has fetched from there.
    pub(crate) fn is_everybody_at(&self, end: u8) -> bool {
        self.heard.iter().skip(1).all(|(from, _)| *from == end)
    }

    fn advance(&mut self, end: u8, fault: Option<Fault>) {
        let mut before = self.high_watermark.min(end);
        let mut isr = self.isr();
        match fault {
            Some(Fault::MarkIgnoresAFollower) if isr.committed.len() > MIN_ISR => {
                isr.committed.pop();
            }
            Some(Fault::MarkIgnoresProposals) => isr.proposed = None,
            Some(Fault::MarkFalls) => before = 0,
            _ => {}
        }
        let followers = self.followers(end);
        let mark = high_watermark(
            id(US),
            offset(end),
            &isr,
            &followers,
            MIN_ISR,
            offset(before),
        );
        self.high_watermark = number(mark);
    }

    fn isr(&self) -> Isr {
        let ids = |set| members(set).map(id).collect::<Vec<_>>();
        Isr {
            committed: ids(self.committed),
            proposed: (self.proposed != 0).then(|| ids(self.proposed)),
        }
    }

    fn eligible(&self) -> Eligible {
        let unfenced = members(self.unfenced);
        unfenced
            .map(|who| (id(who), life(self.lives[who])))
            .collect()
    }

    fn followers(&self, end: u8) -> Followers {
        let in_sync: Vec<BrokerId> = members(self.committed & !1).map(id).collect();
        let mut followers = Followers::begin(&in_sync, NOW);
        for (who, heard) in self.heard.iter().enumerate() {
            if heard.0 != NONE {
                followers.fetched(self.fetch(who, *heard), offset(end));
            }
        }
        followers
    }

    fn fetch(&self, who: usize, (from, epoch): (u8, u8)) -> Fetched {
        Fetched {
            follower: id(who),
            epoch: life(epoch),
            offset: offset(from),
            at: NOW,
        }
    }

    pub(super) fn rebase(&mut self, base: u8) {
        self.partition_epoch -= base;
        if let Some(pending) = &mut self.pending {
            pending.partition_epoch -= base;
            if let Fate::Committed(epoch) = &mut pending.fate {
                *epoch -= base;
            }
        }
    }

    /// Others lead, and we have yet to hear of it: whatever we propose is refused. That we propose
    /// nothing any more only makes us report more.
    pub(super) fn is_over(&mut self) {
        self.partition_epoch = 0;
        self.pending = Some(Pending {
            isr: 0,
            lives: [0; BROKERS],
            partition_epoch: 0,
            fate: Fate::Sent,
        });
    }

    pub(super) fn swap(&mut self) {
        self.committed = swapped(self.committed);
        self.proposed = swapped(self.proposed);
        self.unfenced = swapped(self.unfenced);
        self.lives.swap(1, 2);
        self.heard.swap(1, 2);
        if let Some(pending) = &mut self.pending {
            pending.isr = swapped(pending.isr);
            pending.lives.swap(1, 2);
        }
    }
}

pub(crate) fn id(who: usize) -> BrokerId {
    BrokerId(i32::try_from(who).expect("few"))
}

pub(crate) fn life(number: u8) -> BrokerEpoch {
    BrokerEpoch::new(i64::from(number))
}

pub(crate) fn offset(number: u8) -> Offset {
    Offset::new(i64::from(number))
}

fn number(offset: Offset) -> u8 {
    u8::try_from(offset.value()).expect("few batches")
}
