//! What partitions cost in which nothing happens: the engine beside a stock follower, both of the
//! same topic of the same stock broker.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::client::Client;
use super::filled;
use super::kafka::{Cluster, Release, until};
use crate::batches::Shape;
use crate::broker::TOPIC;
use crate::copy::{Fault, tried};
use crate::process::Child;

/// Each partition holds one batch of this size.
const BATCH_BYTES: u64 = 1 << 10;
/// What was begun is synced and reported within this.
const SETTLE: Duration = Duration::from_secs(15);

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Partitions, each with one small batch.
    #[arg(long, default_value_t = 1_000)]
    partitions: u32,
    /// For how long each one is watched.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The release of Kafka that source and follower are of.
    #[arg(long, default_value = "4.3.1")]
    kafka: String,
    /// The engine; by default the one beside this program.
    #[arg(long)]
    twinlog: Option<PathBuf>,
    /// Where it writes; what it writes is removed at the end.
    #[arg(long, default_value = "perf/results")]
    dir: PathBuf,
}

/// What a process needs while nothing happens.
#[derive(Clone, Copy)]
struct Idle {
    /// Of one core, its own and that of the source's broker beside.
    cpu_percent: f64,
    source_cpu_percent: f64,
    resident_bytes: u64,
}

/// Measures, and prints each one's cost.
pub(crate) fn run(options: &Options) -> Result<(), Fault> {
    let dir = options.dir.join(format!("idle-{}", std::process::id()));
    let release = Release::prepare(&options.kafka, &options.dir);
    let release = release.map_err(tried("fetching Kafka"))?;
    let bytes = BATCH_BYTES * u64::from(options.partitions);
    let shape = Shape::new(bytes, BATCH_BYTES, options.partitions)?;
    let mut bench = Bench::start(options, &release, &dir, shape)
        .map_err(tried("starting the source cluster"))?;
    let nothing = bench.engine("nothing-at-all", 0);
    let nothing = nothing.map_err(tried("watching the engine without partitions"))?;
    let engine = bench.engine(TOPIC, options.partitions as usize);
    let engine = engine.map_err(tried("watching the engine"))?;
    bench
        .source
        .add_node()
        .map_err(tried("starting the follower"))?;
    let bare = bench
        .follower()
        .map_err(tried("watching the follower without partitions"))?;
    bench.follow().map_err(tried("following"))?;
    let follower = bench.follower().map_err(tried("watching the follower"))?;
    drop(bench);
    fs::remove_dir_all(&dir).map_err(tried("removing what was written"))?;
    println!(
        "{} partitions, {} s each",
        options.partitions, options.seconds
    );
    print("twinlog copy", &engine, &nothing, options.partitions);
    print("stock follower", &follower, &bare, options.partitions);
    Ok(())
}

fn print(name: &str, with: &Idle, without: &Idle, partitions: u32) {
    let more = with.resident_bytes.saturating_sub(without.resident_bytes) / 1024;
    println!(
        "  {name:<14}  {:.2} % of a core ({:.2} % without partitions), the source beside {:.2} %; \
         {} MiB resident, {:.1} KiB more for each partition",
        with.cpu_percent,
        without.cpu_percent,
        with.source_cpu_percent,
        with.resident_bytes >> 20,
        more as f64 / f64::from(partitions),
    );
}

/// A source cluster, and what is watched beside it.
struct Bench<'r> {
    source: Cluster<'r>,
    client: Client,
    twinlog: PathBuf,
    dir: PathBuf,
    partitions: u32,
    watched: Duration,
}

impl<'r> Bench<'r> {
    fn start(
        options: &Options,
        release: &'r Release,
        dir: &Path,
        shape: Shape,
    ) -> io::Result<Bench<'r>> {
        let perf = std::env::current_exe()?;
        let beside = || perf.with_file_name("twinlog");
        let source = Cluster::start(release, dir.join("source"))?;
        let client = filled(&source, shape)?;
        Ok(Bench {
            source,
            client,
            twinlog: options.twinlog.clone().unwrap_or_else(beside),
            dir: dir.to_owned(),
            partitions: shape.partitions,
            watched: Duration::from_secs(options.seconds),
        })
    }

    /// Lets the engine follow `topics` until it holds `partitions`, and watches it.
    fn engine(&self, topics: &str, partitions: usize) -> io::Result<Idle> {
        let vault = self.dir.join(format!("vault-{topics}"));
        let from = format!("127.0.0.1:{}", self.source.node(1).port);
        let mut command = Command::new(&self.twinlog);
        command
            .args([
                "--quiet", "copy", "--follow", "--from", &from, "--topics", topics, "--into",
            ])
            .arg(&vault)
            .stdout(Stdio::null());
        let engine = Child::start(&mut command)?;
        until("the engine holds every partition", || {
            Ok(held(&vault) >= partitions)
        })?;
        self.watch(&engine)
    }

    /// Makes node 2 a replica of everything.
    fn follow(&mut self) -> io::Result<()> {
        self.client.reassign(self.partitions, &[1, 2])?;
        until("the follower is in sync", || self.client.has_replicas(2))
    }

    fn follower(&self) -> io::Result<Idle> {
        self.watch(&self.source.node(2).process)
    }

    fn watch(&self, process: &Child) -> io::Result<Idle> {
        thread::sleep(SETTLE);
        let source = &self.source.node(1).process;
        let cpu = || Ok::<_, io::Error>((process.cpu_so_far()?, source.cpu_so_far()?));
        let (begun, before) = (Instant::now(), cpu()?);
        thread::sleep(self.watched);
        let (wall, after) = (begun.elapsed(), cpu()?);
        let percent = |from: Duration, to: Duration| {
            100.0 * to.saturating_sub(from).as_secs_f64() / wall.as_secs_f64()
        };
        Ok(Idle {
            cpu_percent: percent(before.0, after.0),
            source_cpu_percent: percent(before.1, after.1),
            resident_bytes: process.resident_bytes()?,
        })
    }
}

/// Partitions of the topic in a vault whose batch has arrived.
fn held(vault: &Path) -> usize {
    let Ok(entries) = fs::read_dir(vault) else {
        return 0;
    };
    let has_batch = |dir: PathBuf| {
        let segment = dir.join(format!("{:020}.log", 0));
        fs::metadata(segment).is_ok_and(|segment| segment.len() > 0)
    };
    let dirs = entries.filter_map(|entry| Some(entry.ok()?.path()));
    dirs.filter(|dir| has_batch(dir.clone())).count()
}
