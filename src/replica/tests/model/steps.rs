//! What may happen next, and what comes of it.

use super::lead::{Fate, Lead, Told};
use super::rules::Rule;
use super::{BROKERS, Batch, EPOCHS, Fault, Fetch, NONE, Origin, Set, US, World, has, members};

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A batch of the source comes to us, and we write it.
    Arrives,
    /// The source takes back the last batch that we have of it.
    SourceTakesBack,
    /// We cut off what the source does not have.
    Cut,
    /// A follower's fetch is heard by us, and our answer is taken in or lost. When it is taken in
    /// does not matter: nobody sees what a follower has before it fetches again.
    Fetch(usize, bool),
    /// A copy of the fetch that a follower would send now stays on its way.
    Delay(usize),
    /// That copy is heard.
    Late,
    /// Those lag for too long.
    Shrink(Set),
    /// The controller looks at our proposal.
    Decide,
    /// We hear what became of it.
    Fate,
    /// The answer does not come; we ask again.
    Repeat,
    /// A broker hears what the metadata says.
    Hear(usize),
    /// We hear that we lead again, and have no high watermark on record.
    HearAnew,
    /// A broker dies.
    Die(usize),
    /// The controller holds a broker for dead; another leads if it did.
    Fence(usize, usize),
    /// It is back, in another life, with its last batch or without it.
    Return(usize, bool),
    /// The controller has one in sync lead.
    Elect(usize),
    /// All is drained: we hand over to that one.
    HandOver(usize),
    /// A broker fetches from a stock leader.
    FetchStock(usize),
    /// A stock leader takes in a record of its own.
    Others(usize),
}

/// What came of a step: another state, or a rule that does not allow it.
pub(super) type Came = Result<World, Rule>;

/// All steps there are; most of them are not possible at a time.
pub(super) fn all() -> Vec<Step> {
    let mut steps = vec![
        Step::Arrives,
        Step::SourceTakesBack,
        Step::Cut,
        Step::Late,
        Step::Decide,
        Step::Fate,
        Step::Repeat,
        Step::HearAnew,
    ];
    steps.extend([0b010, 0b100, 0b110].map(Step::Shrink));
    for who in 0..BROKERS {
        steps.extend([Step::Hear(who), Step::Die(who), Step::Elect(who)]);
        steps.extend([Step::FetchStock(who), Step::Fence(who, who)]);
        steps.extend([Step::Return(who, true), Step::Return(who, false)]);
        steps.extend(
            (0..BROKERS)
                .filter(|to| *to != who)
                .map(|to| Step::Fence(who, to)),
        );
    }
    for stock in 1..BROKERS {
        steps.extend([
            Step::Fetch(stock, true),
            Step::Fetch(stock, false),
            Step::Delay(stock),
        ]);
        steps.extend([Step::HandOver(stock), Step::Others(stock)]);
    }
    steps
}

impl World {
    /// What comes of a step; `None` where it cannot happen, or changes nothing.
    pub(super) fn after(&self, step: Step, fault: Option<Fault>) -> Option<Came> {
        let mut next = *self;
        let has_happened = match step {
            Step::Arrives => match next.arrives(fault)? {
                Ok(()) => true,
                Err(rule) => return Some(Err(rule)),
            },
            Step::SourceTakesBack => next.source_takes_back(),
            Step::Cut => next.cut(fault),
            Step::Fetch(who, is_taken) => next.fetch(who, is_taken, fault),
            Step::Delay(who) => next.delay(who),
            Step::Late => next.late_fetch(fault),
            Step::Shrink(laggards) => {
                let lead = next.our_lead()?;
                lead.shrinks(laggards, fault)
            }
            Step::Decide => next.decide(),
            Step::Fate => {
                let end = next.brokers[US].log.end;
                let lead = next.our_lead()?;
                if lead.pending?.fate == Fate::Sent {
                    return None;
                }
                lead.fate(end, fault);
                true
            }
            Step::Repeat => {
                let epoch = next.epoch;
                let lead = next.our_lead().filter(|lead| lead.epoch == epoch)?;
                lead.repeat();
                true
            }
            Step::Hear(who) => next.hear(who, true),
            Step::HearAnew => next.hear(US, false),
            Step::Die(who) => next.die(who),
            Step::Fence(who, to) => next.fence(who, to),
            Step::Return(who, is_whole) => next.come_back(who, is_whole),
            Step::Elect(to) => next.elect(to),
            Step::HandOver(to) => return next.hand_over(to, fault),
            Step::FetchStock(who) => next.fetch_stock(who),
            Step::Others(who) => next.others(who),
        };
        if !has_happened {
            return None;
        }
        next.report();
        (next != *self).then_some(Ok(next))
    }

    pub(super) fn told(&self) -> Told {
        let unfenced = (0..BROKERS).filter(|who| !self.brokers[*who].is_fenced);
        Told {
            epoch: self.epoch,
            partition_epoch: self.partition_epoch,
            isr: self.isr,
            unfenced: unfenced.map(|who| 1 << who).sum(),
            lives: self.brokers.map(|broker| broker.life),
        }
    }

    /// What lies below our high watermark is reported.
    fn report(&mut self) {
        let Some(lead) = &self.lead else {
            return;
        };
        if lead.high_watermark > self.reported.end {
            self.reported = self.brokers[US].log;
            self.reported.cut(lead.high_watermark);
        }
    }

    fn our_lead(&mut self) -> Option<&mut Lead> {
        self.lead.as_mut().filter(|_| self.brokers[US].is_alive)
    }

    fn spend(&mut self) -> bool {
        let left = self.mishaps.checked_sub(1);
        self.mishaps = left.unwrap_or(0);
        left.is_some()
    }

    /// What the source has at an offset.
    fn source_at(&self, offset: u8) -> Origin {
        match self.taken_back <= offset {
            true => Origin::SourceAgain,
            false => Origin::Source,
        }
    }

    /// Up to where our log is the source's.
    fn mirrored(&self) -> u8 {
        let ours = self.brokers[US].log.batches().iter();
        let theirs = (0..).zip(ours);
        let same = theirs.take_while(|(at, batch)| batch.origin == self.source_at(*at));
        u8::try_from(same.count()).expect("few")
    }

    fn arrives(&mut self, fault: Option<Fault>) -> Option<Result<(), Rule>> {
        let mirrored = self.mirrored();
        let lead = self.our_lead()?;
        let (epoch, awaits) = (lead.epoch, lead.awaits);
        let log = self.brokers[US].log;
        let is_sources = mirrored == log.end || fault == Some(Fault::WritesOnOthers);
        if log.end == self.room || awaits || !is_sources {
            return None;
        }
        let ahead = u8::from(fault == Some(Fault::StampsAhead));
        let batch = Batch {
            epoch: epoch + ahead,
            origin: self.source_at(log.end),
        };
        if usize::from(self.leaders[usize::from(epoch)]) != US || batch.epoch < log.last_epoch() {
            return Some(Err(Rule::OnlyItsLeaderStamps));
        }
        self.brokers[US].log.append(batch);
        let end = self.brokers[US].log.end;
        self.lead.as_mut()?.moved(end, false, fault);
        Some(Ok(()))
    }

    fn source_takes_back(&mut self) -> bool {
        let end = self.mirrored();
        if end == 0 || self.taken_back != NONE || !self.spend() {
            return false;
        }
        self.taken_back = end - 1;
        true
    }

    /// In a new epoch, before anything is written in it; or with the same epoch as what is cut.
    fn cut(&mut self, fault: Option<Fault>) -> bool {
        let (to, log) = (self.mirrored(), self.brokers[US].log);
        let Some(lead) = self.our_lead() else {
            return false;
        };
        let epoch = lead.epoch;
        let has_stamped = log.last_epoch() == epoch;
        let cuts_it = [Fault::CutsWhatItHasStamped, Fault::CutsAndAwaitsEverybody];
        let may = !has_stamped || fault.is_some_and(|fault| cuts_it.contains(&fault));
        if to == log.end || !may {
            return false;
        }
        lead.awaits = has_stamped;
        lead.moved(to, true, fault);
        self.brokers[US].log.cut(to);
        self.reported.cut(to);
        let start = &mut self.starts[usize::from(epoch)];
        *start = (*start).min(to);
        true
    }

    /// The fetch that a stock broker sends now, if it follows us.
    fn fetch_of(&self, who: usize) -> Option<Fetch> {
        let broker = &self.brokers[who];
        let leads = usize::from(self.leaders[usize::from(broker.knows)]) == US;
        (broker.is_alive && leads).then_some(Fetch {
            who: u8::try_from(who).expect("few"),
            life: broker.life,
            epoch: broker.knows,
            from: broker.log.end,
            last_epoch: broker.log.last_epoch(),
        })
    }

    fn delay(&mut self, who: usize) -> bool {
        let fetch = self.fetch_of(who);
        if fetch.is_none() || self.late.is_some() || !self.spend() {
            return false;
        }
        self.late = fetch;
        true
    }

    fn late_fetch(&mut self, fault: Option<Fault>) -> bool {
        let Some(fetch) = self.late.take() else {
            return false;
        };
        // Whoever sent it does not wait for an answer any more.
        let _told = self.answer(&fetch, fault);
        true
    }

    fn fetch(&mut self, who: usize, is_taken: bool, fault: Option<Fault>) -> bool {
        let Some(fetch) = self.fetch_of(who) else {
            return false;
        };
        let Some(answer) = self.answer(&fetch, fault) else {
            return false;
        };
        let ours = self.brokers[US].log;
        let log = &mut self.brokers[who].log;
        match answer {
            _ if !is_taken => {}
            Err(end) => log.cut_as_told(end),
            Ok(()) => log.continue_as(&ours),
        }
        true
    }

    /// How we answer: with records, or with where to truncate.
    fn answer(&mut self, fetch: &Fetch, fault: Option<Fault>) -> Option<Result<(), (u8, u8)>> {
        let (log, start) = (self.brokers[US].log, self.starts[usize::from(fetch.epoch)]);
        let lead = self.our_lead()?;
        let who = usize::from(fetch.who);
        let takes_any = fault == Some(Fault::CountsLivesThatAreOver);
        if fetch.epoch != lead.epoch || !(lead.believes(who, fetch.life) || takes_any) {
            return None;
        }
        let mut diverging = None;
        if fetch.last_epoch > 0 {
            let told = log.told_end_of(lead.epoch, start, fetch.last_epoch)?;
            diverging = (told.0 < fetch.last_epoch || told.1 < fetch.from).then_some(told);
        }
        let may_count = diverging.is_none() || fault == Some(Fault::CountsWhoDiverges);
        if fetch.from > log.end && diverging.is_none() {
            return None;
        }
        let life = if takes_any {
            self.brokers[who].life
        } else {
            fetch.life
        };
        let lead = self.our_lead()?;
        if may_count && lead.counts(who, life) {
            let from = fetch.from.min(log.end);
            lead.fetched((who, life, from), (log.end, start), fault);
            let is_cut = lead.is_drained(log.end)
                && (fault != Some(Fault::CutsAndAwaitsEverybody) || lead.is_everybody_at(log.end));
            lead.awaits &= !is_cut;
        }
        Some(match diverging {
            Some(end) => Err(end),
            None => Ok(()),
        })
    }

    fn decide(&mut self) -> bool {
        let (epoch, partition_epoch) = (self.epoch, self.partition_epoch);
        let told = self.told();
        let Some(lead) = &mut self.lead else {
            return false;
        };
        let (led, Some(pending)) = (lead.epoch, &mut lead.pending) else {
            return false;
        };
        if pending.fate != Fate::Sent || led != epoch {
            return false;
        }
        let is_well = |who| has(told.unfenced, who) && told.lives[who] == pending.lives[who];
        pending.fate = if pending.partition_epoch != partition_epoch {
            Fate::Overtaken
        } else if !members(pending.isr).all(is_well) {
            Fate::Reverted
        } else {
            self.isr = pending.isr;
            self.partition_epoch += 1;
            Fate::Committed(self.partition_epoch)
        };
        true
    }

    fn hear(&mut self, who: usize, knows_mark: bool) -> bool {
        let (epoch, leads) = (self.epoch, self.leader() == who);
        let told = self.told();
        let broker = &mut self.brokers[who];
        let end = broker.log.end;
        if !broker.is_alive || (who != US && broker.knows == epoch) {
            return false;
        }
        let is_new = broker.knows != epoch;
        broker.knows = epoch;
        if is_new && leads {
            self.starts[usize::from(epoch)] = end;
        }
        match &mut self.lead {
            _ if who != US => {}
            Some(lead) if !is_new => lead.change(told, end),
            _ if is_new && leads => {
                let mark = if knows_mark { self.reported.end } else { 0 };
                self.lead = Some(Lead::begin(told, mark, end));
            }
            _ => self.lead = None,
        }
        true
    }

    fn die(&mut self, who: usize) -> bool {
        if !self.brokers[who].is_alive || !self.spend() {
            return false;
        }
        let broker = &mut self.brokers[who];
        broker.is_alive = false;
        if who == US {
            self.lead = None;
        }
        true
    }

    /// Whoever is the last one in sync stays that.
    fn fence(&mut self, who: usize, to: usize) -> bool {
        let leads = self.leader() == who;
        let is_last = self.isr == 1 << who;
        let is_alive = self.brokers[who].is_alive;
        if self.brokers[who].is_fenced || (is_alive && who != US) {
            return false;
        }
        if is_alive && !self.spend() {
            return false;
        }
        if leads && !is_last {
            if to == who || !self.may_lead(to) {
                return false;
            }
            self.lead_by(to);
        } else if to != who {
            return false;
        }
        self.brokers[who].is_fenced = true;
        if !is_last && has(self.isr, who) {
            self.isr &= !(1 << who);
            self.partition_epoch += 1;
        }
        true
    }

    fn may_lead(&self, to: usize) -> bool {
        has(self.isr, to) && !self.brokers[to].is_fenced && self.epoch < EPOCHS
    }

    fn lead_by(&mut self, to: usize) {
        self.epoch += 1;
        self.partition_epoch += 1;
        self.leaders[usize::from(self.epoch)] = u8::try_from(to).expect("few");
    }

    fn elect(&mut self, to: usize) -> bool {
        let may = self.may_lead(to) && self.leader() != to;
        if may {
            self.lead_by(to);
        }
        may
    }

    /// The controller has fenced it before. Whoever is in sync still is so because nobody else was,
    /// and leads again.
    fn come_back(&mut self, who: usize, is_whole: bool) -> bool {
        let is_last = has(self.isr, who);
        let leads = self.leader() == who;
        let broker = &mut self.brokers[who];
        if !broker.is_fenced || (is_last && (!is_whole || self.epoch == EPOCHS)) {
            return false;
        }
        if !is_whole {
            if broker.log.end == 0 || broker.is_alive {
                return false;
            }
            broker.log.cut(broker.log.end - 1);
        }
        if !broker.is_alive {
            broker.life += 1;
            broker.knows = 0;
        }
        (broker.is_alive, broker.is_fenced) = (true, false);
        if is_last && leads {
            self.lead_by(who);
        }
        true
    }

    fn hand_over(&mut self, to: usize, fault: Option<Fault>) -> Option<Came> {
        let (ours, epoch) = (self.brokers[US].log, self.epoch);
        let is_forced = fault == Some(Fault::HandsOverUndrained);
        let lead = self.our_lead()?;
        let is_drained = is_forced || lead.is_drained(ours.end);
        if lead.epoch != epoch || !is_drained || to == US || !self.elect(to) {
            return None;
        }
        self.isr &= !1;
        if self.brokers[to].log != ours {
            return Some(Err(Rule::HandOverIsWhole));
        }
        Some(Ok(*self))
    }

    /// A fetch from a stock broker, its answer, and what the leader makes of it.
    fn fetch_stock(&mut self, who: usize) -> bool {
        let epoch = self.brokers[who].knows;
        let leader = usize::from(self.leaders[usize::from(epoch)]);
        if ![1, 2].contains(&leader) || leader == who || !self.brokers[who].is_alive {
            return false;
        }
        let leads = self.brokers[leader];
        if leads.knows != epoch || !leads.is_alive {
            return false;
        }
        let start = self.starts[usize::from(epoch)];
        let log = &mut self.brokers[who].log;
        let last = log.last_epoch();
        if last > 0 {
            let Some(told) = leads.log.told_end_of(epoch, start, last) else {
                return false;
            };
            if told.0 < last || told.1 < log.end {
                log.cut_as_told(told);
                return true;
            }
        }
        if log.end > leads.log.end {
            return false;
        }
        log.continue_as(&leads.log);
        let is_counted = self.epoch == epoch && !self.brokers[who].is_fenced;
        if is_counted && !has(self.isr, who) && self.brokers[who].log.end >= start {
            self.isr |= 1 << who;
            self.partition_epoch += 1;
        }
        true
    }

    fn others(&mut self, who: usize) -> bool {
        let broker = self.brokers[who];
        let leads = usize::from(self.leaders[usize::from(broker.knows)]) == who;
        if !broker.is_alive || !leads || broker.log.end == self.room || !self.spend() {
            return false;
        }
        let batch = Batch {
            epoch: broker.knows,
            origin: Origin::Others,
        };
        self.brokers[who].log.append(batch);
        true
    }
}
