//! What a GiB costs the engine, and what it costs those who do the same work today: a stock
//! broker that follows, and MirrorMaker 2. All copy the same topic from the same stock broker.

mod client;
pub(crate) mod idle;
mod kafka;
pub(crate) mod serving;

use std::fs;
use std::io;
use std::path::Path;
use std::time::Instant;

use crate::batches::Shape;
use crate::broker::TOPIC;
use crate::copy::{self, Fault, Runs};
use crate::process::Child;
use crate::size::gib;
use crate::spread::Spread;
use client::Client;
use kafka::{Cluster, Release, until};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    copy: copy::Options,
    /// The release of Kafka that source, follower and MirrorMaker 2 are of.
    #[arg(long, default_value = "4.3.1")]
    kafka: String,
}

/// What one run has cost.
#[derive(Clone, Copy)]
struct Cost {
    cpu_per_gib: f64,
    gib_per_s: f64,
}

/// One after the other: the floor, the engine, a stock follower, MirrorMaker 2.
type Round = [Cost; 4];
const NAMES: [&str; 4] = [
    "floor loop",
    "twinlog copy",
    "stock follower",
    "MirrorMaker 2",
];

/// Who copies, and from where.
struct Peers<'r> {
    release: &'r Release,
    source: Cluster<'r>,
    client: Client,
    shape: Shape,
}

/// Measures rounds, prints each, and then what they say together.
pub(crate) fn run(mut options: Options) -> Result<(), Fault> {
    let shape = options.copy.shape()?;
    let dir = options
        .copy
        .dir
        .join(format!("peers-{}", std::process::id()));
    let kafka = |what: &str| copy::tried(what.to_owned());
    let release = Release::prepare(&options.kafka, &options.copy.dir);
    let release = release.map_err(kafka("fetching Kafka"))?;
    let mut peers = Peers::start(&release, &dir.join("source"), shape)
        .map_err(kafka("starting the source cluster"))?;
    options.copy.from = Some(format!("127.0.0.1:{}", peers.source.node(1).port));
    options.copy.topics = Some(TOPIC.to_owned());
    let mut runs = Runs::new(&options.copy, shape)?;
    let buffer = runs.best_buffer()?;
    // A virtual machine for Java compiles what it runs often: the first time does not count.
    peers.follow().map_err(kafka("following"))?;
    let mut rounds = Vec::new();
    for number in 1..=options.copy.pairs {
        let floor = Cost::from(runs.floor(shape.bytes(), buffer)?);
        let engine = Cost::from(runs.engine()?);
        let follower = peers.follow().map_err(kafka("following"))?;
        let target = dir.join(format!("target-{number}"));
        let mirror = peers.mirror(&target).map_err(kafka("mirroring"))?;
        let round = [floor, engine, follower, mirror];
        print(number, &round);
        rounds.push(round);
    }
    sum_up(&rounds);
    drop(peers);
    fs::remove_dir_all(&dir).map_err(kafka("removing what the brokers have written"))
}

/// A client of a source that leads the topic, and has put all of it there.
fn filled(source: &Cluster<'_>, shape: Shape) -> io::Result<Client> {
    let mut client = Client::connect(source.node(1).port)?;
    client.create_topic(shape.partitions, 1)?;
    until("the broker leads the topic", || {
        Ok(client.records(shape.partitions)?.is_some())
    })?;
    client.fill(shape)?;
    Ok(client)
}

impl<'r> Peers<'r> {
    fn start(release: &'r Release, dir: &Path, shape: Shape) -> io::Result<Peers<'r>> {
        let mut source = Cluster::start(release, dir.to_owned())?;
        let client = filled(&source, shape)?;
        source.add_node()?;
        Ok(Peers {
            release,
            source,
            client,
            shape,
        })
    }

    /// Makes node 2 a replica of everything, until it is in sync; then it loses all again.
    fn follow(&mut self) -> io::Result<Cost> {
        let partitions = self.shape.partitions;
        let meter = Meter::start(&self.source.node(2).process)?;
        self.client.reassign(partitions, &[1, 2])?;
        until("the follower is in sync", || self.client.has_replicas(2))?;
        let follower = self.source.node(2);
        let cost = meter.read(&follower.process, self.shape.bytes())?;
        self.client.reassign(partitions, &[1])?;
        until("the follower is released", || self.client.has_replicas(1))?;
        until("the follower's logs are gone", || {
            let mut names = fs::read_dir(&follower.logs)?;
            let is_of_topic = |name: &str| name.starts_with(TOPIC);
            Ok(!names
                .any(|entry| entry.is_ok_and(|it| is_of_topic(&it.file_name().to_string_lossy()))))
        })?;
        Ok(cost)
    }

    /// Lets MirrorMaker 2 copy everything into a new cluster. What it needs until its first record
    /// is not charged, nor is the target's broker.
    fn mirror(&self, dir: &Path) -> io::Result<Cost> {
        let target = Cluster::start(self.release, dir.to_owned())?;
        let (from, to) = (self.source.node(1).port, target.node(1).port);
        let mut client = Client::connect(to)?;
        let partitions = self.shape.partitions;
        let mirror = self.release.mirror_maker(dir, from, to)?;
        until("a first record is there", || {
            Ok(client.records(partitions)? > Some(0))
        })?;
        let meter = Meter::start(&mirror)?;
        let before = client.records(partitions)?.unwrap_or(0);
        let all = self.shape.batches * self.shape.records * u64::from(partitions);
        until("all records are there", || {
            Ok(client.records(partitions)? >= Some(all))
        })?;
        let bytes = self.shape.bytes() / all * (all - before);
        let cost = meter.read(&mirror, bytes);
        drop((mirror, target));
        fs::remove_dir_all(dir)?;
        cost
    }
}

/// What a process that runs all the time needs for one thing.
struct Meter {
    cpu_s: f64,
    started: Instant,
}

impl Meter {
    fn start(process: &Child) -> io::Result<Meter> {
        Ok(Meter {
            cpu_s: process.cpu_so_far()?.as_secs_f64(),
            started: Instant::now(),
        })
    }

    fn read(&self, process: &Child, bytes: u64) -> io::Result<Cost> {
        let wall_s = self.started.elapsed().as_secs_f64();
        let cpu_s = process.cpu_so_far()?.as_secs_f64() - self.cpu_s;
        Ok(Cost {
            cpu_per_gib: cpu_s / gib(bytes),
            gib_per_s: gib(bytes) / wall_s,
        })
    }
}

impl From<copy::Sample> for Cost {
    fn from(sample: copy::Sample) -> Cost {
        Cost {
            cpu_per_gib: sample.cpu_per_gib,
            gib_per_s: sample.gib_per_s,
        }
    }
}

fn print(number: u32, round: &Round) {
    let costs = NAMES.iter().zip(round);
    let costs =
        costs.map(|(name, cost)| format!("{name} {:.3}, {:.3}", cost.cpu_per_gib, cost.gib_per_s));
    println!(
        "round {number}: {}",
        costs.collect::<Vec<String>>().join("; ")
    );
}

/// Prints medians and spreads, and each one's median as a multiple of the engine's.
fn sum_up(rounds: &[Round]) {
    println!("median (min..max) of {} rounds", rounds.len());
    let of = |who: usize, value: fn(&Cost) -> f64| {
        Spread::of(rounds.iter().map(|round| value(&round[who])))
    };
    let engine = of(1, |cost| cost.cpu_per_gib).median;
    for (who, name) in NAMES.iter().enumerate() {
        let cpu = of(who, |cost| cost.cpu_per_gib);
        let speed = of(who, |cost| cost.gib_per_s);
        println!(
            "  {name:<14}  CPU-s/GiB {cpu}, {:.2} x twinlog's; GiB/s {speed}",
            cpu.median / engine
        );
    }
}
