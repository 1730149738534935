//! A storm from a seed: two clusters that mirror each other in turn while they are written to,
//! whatever dies or stands still in between; and a ledger beside it, in which nothing that was said
//! to be mirrored may ever be missing.
//!
//! It runs where it is asked for: `TWINLOG_STRESS_SECONDS` says for how long (`.ci/run` asks for
//! five minutes), `TWINLOG_STRESS_SEED` which storm. The seed decides what happens and in which
//! order, and not how fast the machine is.

mod changing;
mod faults;
mod side;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use twinlog::stdx::prng::Prng;

use super::ledger::{Id, Ledger};
use super::*;
use side::Side;

const SEED: u64 = 1279;
const TOPICS: &str = "storm\\..*";
/// Each with how many partitions it has: written by an idempotent producer all the time; and by
/// transactions.
const STEADY: (&str, i64) = ("storm.steady", 3);
const TXNS: (&str, i64) = ("storm.txns", 2);
const CODECS: [&str; 4] = ["none", "lz4", "snappy", "gzip"];
/// After so long at most a coordinator ends what is open, wherever its topic is mirrored by then.
const OPEN_MS: u64 = 30_000;
/// How much longer that may take, and the copy of it.
const ENDED_WITHIN: Duration = Duration::from_secs(90);
/// So long is what /metrics has out of date at most.
const MEASURED: Duration = Duration::from_millis(1500);

#[test]
fn a_seeded_storm_loses_nothing() {
    let seconds = chosen("TWINLOG_STRESS_SECONDS", 0);
    if seconds == 0 {
        eprintln!("skipped: TWINLOG_STRESS_SECONDS asks for no storm");
        return;
    }
    let Some(_turn) = Turn::take("a_seeded_storm_loses_nothing") else {
        return;
    };
    let seed = chosen("TWINLOG_STRESS_SEED", SEED);
    for version in newest() {
        eprintln!("a storm of {seconds} s on {version}: TWINLOG_STRESS_SEED={seed}");
        let mut storm = Storm::begin(&version, seed);
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end {
            storm.round();
        }
        storm.ends();
    }
}

fn chosen(key: &str, otherwise: u64) -> u64 {
    std::env::var(key).map_or(otherwise, |value| value.parse().expect("a number"))
}

fn partitions() -> Vec<Id> {
    let all = [STEADY, TXNS].into_iter();
    let all = all.flat_map(|(topic, count)| (0..count).map(move |index| (topic, index)));
    all.collect()
}

struct Storm {
    sides: [Side; 2],
    /// Which side is written to; the other one's node mirrors it.
    active: usize,
    /// Which side a producer writes to all the time, if any.
    loaded: Option<usize>,
    ledger: Ledger,
    chance: Prng,
    begun: Instant,
    rounds: u32,
    transactions: u32,
    counts: BTreeMap<String, u32>,
}

impl Storm {
    fn begin(version: &str, seed: u64) -> Storm {
        let workload = Arc::new(Workload::start(version));
        let sides = Side::both(&workload);
        for (topic, partitions) in [STEADY, TXNS] {
            // Of more than one segment, sooner or later.
            let settings = format!("partitions={partitions} rf=2 c.segment.bytes=1048576");
            sides[0]
                .cluster
                .ask(&format!("create topic={topic} {settings}"));
        }
        let mut storm = Storm {
            sides,
            active: 0,
            loaded: None,
            ledger: Ledger::default(),
            chance: Prng::new(seed),
            begun: Instant::now(),
            rounds: 0,
            transactions: 0,
            counts: BTreeMap::new(),
        };
        storm.writes();
        storm.passive().mirrors_again();
        storm.settles("at first");
        storm
    }

    fn active(&mut self) -> &mut Side {
        &mut self.sides[self.active]
    }

    fn passive(&mut self) -> &mut Side {
        &mut self.sides[1 - self.active]
    }

    /// Mirrored in one direction while all kinds of things happen, and then in the other.
    fn round(&mut self) {
        self.rounds += 1;
        let direction = ["first to second", "second to first"][self.active];
        let round = self.rounds;
        self.say(&format!("-- round {round}: from {direction}"));
        self.writes();
        for _ in 0..=self.chance.below(3) {
            self.transacts();
            self.strikes();
            self.notes();
            if self.chance.below(3) == 0 {
                self.settles("in between");
                self.writes();
            }
        }
        self.fails_over();
        self.writes();
        self.transacts();
        self.fails_back();
        self.settles("after the way back");
    }

    fn ends(&mut self) {
        self.settles("at last");
        for id in partitions() {
            let dirs = self.replicas(id);
            let end = self.ledger.end(id);
            for dir in &dirs[1..] {
                compare::agree_but_for_epochs(&dirs[0], dir, 0..end)
                    .unwrap_or_else(|difference| panic!("at last: {difference}"));
            }
        }
        self.say(&format!(
            "{} rounds, {} batches on the ledger, {} comparisons of a batch with it",
            self.rounds,
            self.ledger.batches(),
            self.ledger.compared
        ));
        for (what, count) in &self.counts {
            eprintln!("{count:>8}  {what}");
        }
    }

    fn say(&self, what: &str) {
        eprintln!("{:>8.1}  {what}", self.begun.elapsed().as_secs_f64());
    }

    /// Says what happens next, and counts it.
    fn happens(&mut self, what: &str) {
        self.say(what);
        *self.counts.entry(what.to_owned()).or_default() += 1;
    }

    /// Lets some time pass, up to so many milliseconds.
    fn waits(&mut self, most: u64) {
        let pause = self.chance.below(most + 1);
        std::thread::sleep(Duration::from_millis(pause));
    }
}

/// Who writes.
impl Storm {
    /// A producer writes to the active side from here on.
    fn writes(&mut self) {
        if self.loaded == Some(self.active) {
            return;
        }
        self.writes_no_more();
        let (rate, size) = (50 + self.chance.below(300), 50 + self.chance.below(400));
        let codec = CODECS[self.chance.below(4) as usize];
        let (topic, _) = STEADY;
        self.active().cluster.ask(&format!(
            "load id=steady topic={topic} rate={rate} size={size} codec={codec}"
        ));
        self.loaded = Some(self.active);
    }

    fn writes_no_more(&mut self) {
        if let Some(loaded) = self.loaded.take() {
            let told = self.sides[loaded].cluster.ask("unload id=steady");
            assert_eq!(told.number("failed"), 0, "a producer gave up");
        }
    }

    /// Transactions of two producers that both sides know, and now and then one that is left open.
    fn transacts(&mut self) {
        self.transactions += 1;
        let nth = self.transactions;
        let ((topic, count), id) = (TXNS, format!("t{}", self.chance.below(2)));
        let open = (self.chance.below(3) == 0).then(|| self.chance.below(count.unsigned_abs()));
        let patience = 3000 + self.chance.below(OPEN_MS - 3000);
        let cluster = &self.active().cluster;
        cluster.ask(&format!(
            "transact topic={topic} id={id} txns=3 count=10 end=alternate"
        ));
        if let Some(partition) = open {
            cluster.ask(&format!(
                "transact topic={topic} id=open{nth} partition={partition} txns=2 count=5 end=open \
                 p.transaction.timeout.ms={patience}"
            ));
        }
    }
}

/// What is held against the ledger.
impl Storm {
    /// The four directories of a partition, the active side's first.
    fn replicas(&self, id: Id) -> Vec<std::path::PathBuf> {
        let sides = [self.active, 1 - self.active];
        let dirs = sides.into_iter().flat_map(|side| {
            let side = &self.sides[side];
            [1, 2].map(|broker| side.replica(broker, id))
        });
        dirs.collect()
    }

    /// What all replicas in sync have of the source by the node's own word: from here on it may
    /// not be missing.
    fn notes(&mut self) {
        let node = &self.sides[1 - self.active].node;
        let mirrored = |node: &node::Node| -> Vec<(String, i64)> {
            let all = node.describe().into_iter();
            let all = all.filter(|one| one.state == "MIRRORING");
            all.map(|one| (one.topic, one.partition)).collect()
        };
        let before = mirrored(node);
        std::thread::sleep(MEASURED);
        let marks = partitions().into_iter();
        let marks = marks.map(|id| (id, node.measured("high_watermark", id.0, id.1)));
        let marks: Vec<(Id, Option<i64>)> = marks.collect();
        let after = mirrored(node);
        let mut noted = 0;
        for (id, mark) in marks {
            let is_it = |all: &[(String, i64)]| all.iter().any(|one| (one.0.as_str(), one.1) == id);
            let Some(mark) = mark.filter(|_| is_it(&before) && is_it(&after)) else {
                continue;
            };
            noted += 1;
            let dirs = self.replicas(id);
            self.ledger.note(id, mark, &dirs[..2]);
        }
        self.say(&format!(
            "{noted} partitions noted, {} batches on the ledger",
            self.ledger.batches()
        ));
    }

    /// Nobody writes, and all comes to be the same everywhere. A coordinator may still end a
    /// transaction that was left open: what that adds has to come as well.
    fn settles(&mut self, when: &str) {
        self.writes_no_more();
        self.is_well();
        let begun = Instant::now();
        loop {
            let count = partitions().len();
            let passive = self.passive();
            passive.node.until(when, count, |one| one.is_caught_up());
            let wanted = self.active().ends();
            for (id, end) in wanted {
                let dirs = self.replicas(id);
                self.ledger.note(id, end, &dirs[..2]);
                for dir in &dirs {
                    self.ledger.is_in(id, dir, when);
                }
            }
            let Some(more) = self.more() else {
                break;
            };
            let patience = Duration::from_millis(OPEN_MS) + ENDED_WITHIN;
            assert!(begun.elapsed() < patience, "{when}: {more}");
        }
        self.happens("all four replicas compared");
    }

    /// A replica that has something which is not on the ledger.
    fn more(&self) -> Option<String> {
        let ids = partitions().into_iter();
        let mut all = ids.flat_map(|id| self.replicas(id).into_iter().map(move |dir| (id, dir)));
        all.find_map(|(id, dir)| self.ledger.is_less(id, &dir))
    }
}
