//! What it costs to be followed: the engine as a broker of a stock cluster beside a stock leader,
//! the same batches, the same number of stock followers that begin with nothing.

use std::fmt::{self, Write};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::client::Client;
use super::kafka::{Cluster, Release, free_port, until};
use super::{Cost, Meter, filled};
use crate::batches::Shape;
use crate::broker::TOPIC;
use crate::copy::{Fault, tried};
use crate::process::Child;
use crate::spread::Spread;

/// The engine's id as a broker.
const ENGINE: i32 = 9001;
/// Followers of a topic, at the most.
const FOLLOWERS_MAX: usize = 2;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Pairs for each number of followers.
    #[arg(long, default_value_t = 4)]
    pairs: u32,
    /// What each follower fetches.
    #[arg(long, default_value = "1GiB", value_parser = crate::size::parse)]
    bytes: u64,
    /// The size of a batch.
    #[arg(long, default_value = "64KiB", value_parser = crate::size::parse)]
    batch_bytes: u64,
    /// Partitions of the topic.
    #[arg(long, default_value_t = 8)]
    partitions: u32,
    /// The release of Kafka that all brokers are of.
    #[arg(long, default_value = "4.3.1")]
    kafka: String,
    /// The engine; by default the one beside this program.
    #[arg(long)]
    twinlog: Option<PathBuf>,
    /// Where everybody writes; what is written is removed at the end.
    #[arg(long, default_value = "perf/results")]
    dir: PathBuf,
}

/// Somebody who leads the topic, and brokers that can follow.
struct Leader<'r> {
    cluster: Cluster<'r>,
    client: Client,
    /// Replicas of the topic: the leader's, then as many followers as wanted.
    replicas: Vec<i32>,
    /// The leader, where it is not node 1 of the cluster.
    engine: Option<Child>,
    shape: Shape,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}, {:.3}", self.cpu_per_gib, self.gib_per_s)
    }
}

/// Measures pairs, prints each, and then what they say together.
pub(crate) fn run(options: &Options) -> Result<(), Fault> {
    let dir = options.dir.join(format!("serving-{}", std::process::id()));
    let release = Release::prepare(&options.kafka, &options.dir);
    let release = release.map_err(tried("fetching Kafka"))?;
    let shape = Shape::new(options.bytes, options.batch_bytes, options.partitions)?;
    let mut stock = Leader::stock(&release, &dir.join("source"), shape)
        .map_err(tried("starting the source cluster"))?;
    let mut engine = Leader::engine(options, &release, &dir, stock.port(), shape)
        .map_err(tried("starting the engine in a cluster"))?;
    // A virtual machine for Java compiles what it runs often: the first time does not count.
    for leader in [&mut stock, &mut engine] {
        leader.serve(1).map_err(tried("serving"))?;
    }
    for followers in 1..=FOLLOWERS_MAX {
        let mut pairs = Vec::new();
        for number in 1..=options.pairs {
            let pair = pair(&mut stock, &mut engine, followers, number % 2 == 0);
            let pair = pair.map_err(tried("serving"))?;
            println!(
                "{followers} followers, pair {number}: stock leader {}; twinlog {}",
                pair[0], pair[1]
            );
            pairs.push(pair);
        }
        sum_up(followers, &pairs);
    }
    drop((engine, stock));
    fs::remove_dir_all(&dir).map_err(tried("removing what was written"))
}

/// The stock leader, then the engine, whoever comes first.
fn pair(
    stock: &mut Leader<'_>,
    engine: &mut Leader<'_>,
    followers: usize,
    is_engine_first: bool,
) -> io::Result<[Cost; 2]> {
    if is_engine_first {
        let engine = engine.serve(followers)?;
        return Ok([stock.serve(followers)?, engine]);
    }
    Ok([stock.serve(followers)?, engine.serve(followers)?])
}

fn sum_up(followers: usize, pairs: &[[Cost; 2]]) {
    let spread = |of: &dyn Fn(&[Cost; 2]) -> f64| Spread::of(pairs.iter().map(of));
    println!(
        "{followers} followers, median (min..max) of {} pairs",
        pairs.len()
    );
    for (nth, name) in ["stock leader", "twinlog"].into_iter().enumerate() {
        println!(
            "  {name:<12}  CPU-s per GiB served {}, GiB/s to each follower {}",
            spread(&|pair| pair[nth].cpu_per_gib),
            spread(&|pair| pair[nth].gib_per_s),
        );
    }
    println!(
        "  of the stock leader's cost, in a pair: {}",
        spread(&|pair| pair[1].cpu_per_gib / pair[0].cpu_per_gib)
    );
}

impl<'r> Leader<'r> {
    fn stock(release: &'r Release, dir: &Path, shape: Shape) -> io::Result<Leader<'r>> {
        let mut cluster = Cluster::start(release, dir.to_owned())?;
        let client = filled(&cluster, shape)?;
        for _ in 0..FOLLOWERS_MAX {
            cluster.add_node()?;
        }
        Ok(Leader {
            cluster,
            client,
            replicas: vec![1, 2, 3],
            engine: None,
            shape,
        })
    }

    /// A cluster in which the engine leads a mirror of the topic, all of which is there.
    fn engine(
        options: &Options,
        release: &'r Release,
        dir: &Path,
        source: u16,
        shape: Shape,
    ) -> io::Result<Leader<'r>> {
        let mut cluster = Cluster::start(release, dir.join("destination"))?;
        cluster.add_node()?;
        let data = std::path::absolute(dir.join("engine"))?;
        let engine = start(options, &data, cluster.controller(), source)?;
        let mut client = Client::connect(cluster.node(1).port)?;
        until("the engine has mirrored everything", || {
            Ok(held(&data.join("logs")) >= shape.bytes())
        })?;
        until("its followers are in sync", || client.has_replicas(3))?;
        let mut leader = Leader {
            cluster,
            client,
            replicas: vec![ENGINE, 1, 2],
            engine: Some(engine),
            shape,
        };
        leader.release()?;
        Ok(leader)
    }

    fn port(&self) -> u16 {
        self.cluster.node(1).port
    }

    /// Lets so many brokers follow until they are in sync; then they lose all again.
    fn serve(&mut self, followers: usize) -> io::Result<Cost> {
        let process = self
            .engine
            .as_ref()
            .unwrap_or(&self.cluster.node(1).process);
        let meter = Meter::start(process)?;
        let replicas = &self.replicas[..=followers];
        self.client.reassign(self.shape.partitions, replicas)?;
        let count = replicas.len();
        until("the followers are in sync", || {
            self.client.has_replicas(count)
        })?;
        let cost = meter.read(process, self.shape.bytes())?;
        self.release()?;
        let served = followers as f64;
        Ok(Cost {
            cpu_per_gib: cost.cpu_per_gib / served,
            ..cost
        })
    }

    /// Only the leader has a replica.
    fn release(&mut self) -> io::Result<()> {
        let leader = &self.replicas[..1];
        self.client.reassign(self.shape.partitions, leader)?;
        until("the followers are released", || self.client.has_replicas(1))?;
        let followers = self.replicas[1..].iter();
        let logs = followers.filter_map(|id| usize::try_from(*id).ok());
        for logs in logs.map(|id| &self.cluster.node(id).logs) {
            until("a follower's logs are gone", || Ok(held(logs) == 0))?;
        }
        Ok(())
    }
}

/// Starts the engine as a broker of the cluster of that controller, with a mirror of the topic.
fn start(options: &Options, data: &Path, controller: u16, source: u16) -> io::Result<Child> {
    let perf = std::env::current_exe()?;
    let twinlog = options.twinlog.clone();
    let twinlog = twinlog.unwrap_or_else(|| perf.with_file_name("twinlog"));
    fs::create_dir_all(data)?;
    let (admin, listen) = (free_port()?, free_port()?);
    let mut text = String::new();
    let written = write!(
        text,
        "[node]\nid = {ENGINE}\ndata_dir = \"{}\"\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n\
         [destination]\nkind = \"member\"\ncontrollers = [\"127.0.0.1:{controller}\"]\n\
         listener_name = \"PLAINTEXT\"\nlisten = \"127.0.0.1:{listen}\"\nunfit = \"register\"\n\
         [[mirrors]]\nname = \"perf\"\n\"bootstrap.servers\" = \"127.0.0.1:{source}\"\n\
         \"topics.include\" = [\"{TOPIC}\"]\n",
        data.display()
    );
    written.map_err(io::Error::other)?;
    let config = data.join("config.toml");
    fs::write(&config, text)?;
    let log = fs::File::create(data.join("engine.log"))?;
    let mut command = Command::new(twinlog);
    command.args(["serve", "--config"]).arg(&config);
    Child::start(command.stdout(Stdio::null()).stderr(log))
}

/// Bytes of batches of the topic in a log directory.
fn held(logs: &Path) -> u64 {
    let of = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten();
    let partitions = of(logs).filter(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with(TOPIC)
    });
    let files = partitions.flat_map(|partition| of(&partition.path()).collect::<Vec<_>>());
    let logs = files.filter(|file| file.path().extension().is_some_and(|it| it == "log"));
    let sizes = logs.filter_map(|file| Some(file.metadata().ok()?.len()));
    sizes.sum()
}
