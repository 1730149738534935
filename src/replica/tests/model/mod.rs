//! A small world in which every interleaving is tried: a source, us as a leader or a follower in a
//! destination, two stock brokers beside us, the controller, and messages that are late, lost or
//! heard twice.
//!
//! What we decide as a leader is decided by the code of `replica` itself: the high watermark, who
//! is proposed, who is done without, whether all is drained. What stands around it is modelled:
//! our log and what becomes of proposals (`lead`), stock brokers, the controller and the source
//! (`steps`). `rules` says what has to hold in every state, `search` goes through all of them, and
//! `faults` shows that each rule can be broken: a [`Fault`] is a mistake made on purpose.
//!
//! Covered: up to three batches, three leader epochs at the destination and so two failovers, each
//! an election of whoever is in sync (of us as well) or a hand-over, while the one who led before
//! may still believe to lead; answers to fetches that are lost; answers to proposals that are
//! refused, overtaken, late, or lost and asked for again; metadata that each broker hears when it
//! does; anybody who lags. And mishaps, as many in one run as the search says: a broker dies and
//! comes back in another life, with or without its last batch; the controller holds us for dead
//! though we live; a fetch is heard long after it was sent; the source takes a batch back; a stock
//! leader takes in a record of its own. The one or the other is cut off by us in a new epoch,
//! before we write in it.
//!
//! Not covered: the source's replicas but for the batch that an election there takes back; a
//! broker that is the last one in sync and loses records, which stock leaders have not survived
//! either; a proposal that outlives us; retention, gaps, and batches of more than one record;
//! time, of which the model knows only that anybody may lag.

mod faults;
pub(crate) mod lead;
mod rules;
mod search;
mod steps;

use std::hash::{Hash, Hasher};

use lead::Lead;

/// Us.
pub(crate) const US: usize = 0;
/// The brokers of the destination: us and two stock brokers.
const BROKERS: usize = 3;
/// Batches that the source comes to have.
const BATCHES: usize = 3;
/// Leader epochs at the destination, from 1 on.
const EPOCHS: u8 = 3;
/// Fewer in sync commit nothing.
pub(crate) const MIN_ISR: usize = 2;
/// Nowhere: an offset or an index that there is not.
pub(crate) const NONE: u8 = 0xff;

/// A set of brokers, a bit for each.
pub(crate) type Set = u8;

/// A batch: the epoch that it is stamped with, and whose it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Batch {
    epoch: u8,
    origin: Origin,
}

/// Where a batch is from; together with its offset that is all that it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Origin {
    /// The source.
    #[default]
    Source,
    /// The source, after it had taken back what it had there before.
    SourceAgain,
    /// A stock broker that led at the destination.
    Others,
}

/// A log; what lies behind its end is always the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Log {
    end: u8,
    all: [Batch; BATCHES],
}

/// A fetch of ours by a stock broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Fetch {
    who: u8,
    life: u8,
    /// The leader epoch that the follower knows.
    epoch: u8,
    from: u8,
    /// Of its last batch; 0 where it has none.
    last_epoch: u8,
}

/// One broker of the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Broker {
    is_alive: bool,
    /// The controller holds it for dead.
    is_fenced: bool,
    life: u8,
    log: Log,
    /// The leader epoch that it has heard of.
    knows: u8,
}

/// Everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct World {
    /// The leader epoch, by the controller; so are the next ones.
    epoch: u8,
    partition_epoch: u8,
    isr: Set,
    /// Who leads in each epoch, and where it has begun in the leader's log.
    leaders: [u8; EPOCHS as usize + 1],
    starts: [u8; EPOCHS as usize + 1],
    brokers: [Broker; BROKERS],
    /// What we know while we believe to lead.
    lead: Option<Lead>,
    /// A fetch that is heard later than others that were sent after it.
    late: Option<Fetch>,
    /// From where on the source has something else than it had.
    taken_back: u8,
    /// All that was ever below a high watermark of ours, and was not cut off on purpose.
    reported: Log,
    /// How many batches a log comes to have.
    room: u8,
    /// How many mishaps may come yet.
    mishaps: u8,
}

/// A mistake made on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The high watermark does without one who is in sync.
    MarkIgnoresAFollower,
    /// The high watermark does without those who were proposed.
    MarkIgnoresProposals,
    /// The high watermark falls with whoever asks from further down.
    MarkFalls,
    /// A fetch counts though its follower has to truncate first.
    CountsWhoDiverges,
    /// Fetches of lives that are over count.
    CountsLivesThatAreOver,
    /// Whoever fetches at all is far enough.
    JoinsFromAnywhere,
    /// Those who lag are done without, whoever is left.
    ShrinksToItself,
    /// Handed over while somebody lacks records.
    HandsOverUndrained,
    /// Batches are stamped with the epoch that comes next.
    StampsAhead,
    /// We write on what is not the source's.
    WritesOnOthers,
    /// A log is cut in an epoch in which it was written, and written on when all in sync have
    /// fetched from the cut.
    CutsWhatItHasStamped,
    /// The same, but only when every replica has.
    CutsAndAwaitsEverybody,
}

impl Hash for Log {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let batches = self.all.iter();
        let words = batches.map(|batch| u32::from(batch.epoch) << 4 | batch.origin as u32);
        state.write_u32(words.fold(u32::from(self.end), |all, word| all << 8 | word));
    }
}

impl Log {
    fn batches(&self) -> &[Batch] {
        &self.all[..usize::from(self.end)]
    }

    fn append(&mut self, batch: Batch) {
        self.all[usize::from(self.end)] = batch;
        self.end += 1;
    }

    /// Takes in all that lies behind its end in another.
    fn continue_as(&mut self, other: &Log) {
        for batch in other.batches().iter().skip(usize::from(self.end)) {
            self.append(*batch);
        }
    }

    fn cut(&mut self, to: u8) {
        while self.end > to {
            self.end -= 1;
            self.all[usize::from(self.end)] = Batch::default();
        }
    }

    /// The epoch of the last batch; 0 where there is none.
    fn last_epoch(&self) -> u8 {
        self.batches().last().map_or(0, |batch| batch.epoch)
    }

    /// Whether it begins with all of `front`.
    fn begins_with(&self, front: &Log) -> bool {
        self.batches().starts_with(front.batches())
    }

    /// The largest epoch not above `epoch` that has a batch, and where it ends; `None` where there
    /// is no such epoch.
    fn end_of(&self, epoch: u8) -> Option<(u8, u8)> {
        let above = self.batches().iter().filter(|batch| batch.epoch > epoch);
        let end = self.end - u8::try_from(above.count()).expect("few");
        let last = usize::from(end).checked_sub(1)?;
        Some((self.all[last].epoch, end))
    }

    /// What a leader says of `epoch` whose own has begun at `start`, as Kafka's
    /// `LeaderEpochFileCache.endOffsetFor`.
    fn told_end_of(&self, own: u8, start: u8, epoch: u8) -> Option<(u8, u8)> {
        match epoch.cmp(&own) {
            std::cmp::Ordering::Equal => Some((own, self.end)),
            std::cmp::Ordering::Greater => None,
            std::cmp::Ordering::Less => {
                let (floor, end) = self.end_of(epoch).unwrap_or((epoch, 0));
                Some((floor, end.min(start)))
            }
        }
    }

    /// What a follower does that is told so.
    fn cut_as_told(&mut self, (epoch, end): (u8, u8)) {
        let ours = self.end_of(epoch).map_or(0, |(_, end)| end);
        self.cut(end.min(ours));
    }
}

impl World {
    /// Everybody is there, in sync, and has nothing; we lead.
    fn new(room: u8, mishaps: u8) -> World {
        let broker = Broker {
            is_alive: true,
            is_fenced: false,
            life: 0,
            log: Log::default(),
            knows: 1,
        };
        let mut world = World {
            epoch: 1,
            partition_epoch: 0,
            isr: 0b111,
            leaders: [NONE; 4],
            starts: [NONE; 4],
            brokers: [broker; BROKERS],
            lead: None,
            late: None,
            taken_back: NONE,
            reported: Log::default(),
            room,
            mishaps,
        };
        world.leaders[1] = 0;
        world.starts[1] = 0;
        world.lead = Some(Lead::begin(world.told(), 0, 0));
        world
    }

    /// Who leads by the controller.
    fn leader(&self) -> usize {
        usize::from(self.leaders[usize::from(self.epoch)])
    }

    /// The same state with the two stock brokers in one order, and numbers from 0 on: whatever can
    /// come of either can come of both.
    fn canonical(mut self) -> World {
        self.count_from_zero();
        let mut other = self;
        other.swap();
        self.min(other)
    }

    /// Only differences of partition epochs matter, and nothing of epochs that nobody knows still.
    fn count_from_zero(&mut self) {
        let known = self.brokers.iter().map(|broker| broker.knows);
        let oldest = usize::from(known.filter(|epoch| *epoch > 0).min().unwrap_or(self.epoch));
        self.leaders[..oldest].fill(NONE);
        self.starts[..oldest].fill(NONE);
        let Some(lead) = &mut self.lead else {
            self.partition_epoch = 0;
            return;
        };
        let pending = lead
            .pending
            .map_or(lead.partition_epoch, |one| one.partition_epoch);
        let base = lead.partition_epoch.min(pending);
        // The controller refuses what we propose in an epoch that is over, and tells of another.
        self.partition_epoch = match lead.epoch == self.epoch {
            true => self.partition_epoch - base,
            false => 0,
        };
        lead.rebase(base);
        if lead.epoch != self.epoch {
            lead.is_over();
        }
    }

    fn swap(&mut self) {
        self.brokers.swap(1, 2);
        self.isr = swapped(self.isr);
        for leader in &mut self.leaders {
            *leader = swapped_id(*leader);
        }
        if let Some(late) = &mut self.late {
            late.who = swapped_id(late.who);
        }
        if let Some(lead) = &mut self.lead {
            lead.swap();
        }
    }
}

fn swapped(set: Set) -> Set {
    set & 1 | (set & 2) << 1 | (set & 4) >> 1
}

fn swapped_id(id: u8) -> u8 {
    match id {
        1 => 2,
        2 => 1,
        _ => id,
    }
}

fn has(set: Set, who: usize) -> bool {
    set & (1 << who) != 0
}

pub(crate) fn members(set: Set) -> impl Iterator<Item = usize> {
    (0..BROKERS).filter(move |who| has(set, *who))
}
