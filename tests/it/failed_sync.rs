//! A sync of a log that fails, under control and shard as they are: nothing that it was to make
//! durable is ever called so, and the next copy fetches it again.
#![expect(
    clippy::disallowed_methods,
    reason = "tests stand outside: they look at what lies on the disk"
)]

use std::cell::Cell;
use std::fs;
use std::future::Future;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;
use twinlog::control::{self, Job, Ledger, Line, Outcome, Phase, Selection, Shards};
use twinlog::io::{Clock, Disk, Entry, File, Open, World};
use twinlog::model::{Offset, Position, ShardId};
use twinlog::shard::{self, Shard, Ties};
use twinlog::uring::{self, RealClock, RealDisk, RealFile, RealNet, RealWorld};

use crate::lying::source::{self, BATCHES, TOPICS, content};

/// The machine, but for the syncs of one partition's segments.
#[derive(Clone)]
struct Machine {
    real: RealWorld,
    disk: BadDisk,
}

/// A disk that fails one sync of a segment in a directory of this name.
#[derive(Clone)]
struct BadDisk {
    real: RealDisk,
    partition: &'static str,
    /// Syncs of it that succeed before.
    spared: Rc<Cell<u32>>,
    has_failed: Rc<Cell<bool>>,
}

#[derive(Clone)]
struct BadFile {
    real: RealFile,
    /// Set for the segments that are meant.
    disk: Option<BadDisk>,
}

impl World for Machine {
    type Disk = BadDisk;
    type Net = RealNet;
    type Clock = RealClock;

    fn disk(&self) -> &BadDisk {
        &self.disk
    }

    fn net(&self) -> &RealNet {
        self.real.net()
    }

    fn clock(&self) -> &RealClock {
        self.real.clock()
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.real.spawn(task);
    }
}

impl BadFile {
    fn fails_now(&self) -> io::Result<()> {
        let Some(disk) = self.disk.as_ref().filter(|disk| !disk.has_failed.get()) else {
            return Ok(());
        };
        let Some(left) = disk.spared.get().checked_sub(1) else {
            disk.has_failed.set(true);
            return Err(io::Error::other("the device has lost it"));
        };
        disk.spared.set(left);
        Ok(())
    }
}

impl File for BadFile {
    fn read_at(&self, into: &mut [u8], at: Position) -> io::Result<usize> {
        self.real.read_at(into, at)
    }

    fn write_at(&self, bytes: &[u8], at: Position) -> io::Result<()> {
        self.real.write_at(bytes, at)
    }

    fn size(&self) -> io::Result<u64> {
        self.real.size()
    }

    fn truncate(&self, size: Position) -> io::Result<()> {
        self.real.truncate(size)
    }

    fn sync_blocking(&self) -> io::Result<()> {
        self.fails_now()?;
        self.real.sync_blocking()
    }

    fn sync(&self) -> impl Future<Output = io::Result<()>> + 'static {
        let (outcome, sync) = (self.fails_now(), self.real.sync());
        async move {
            outcome?;
            sync.await
        }
    }
}

impl Disk for BadDisk {
    type File = BadFile;

    fn open(&self, path: &Path, how: Open) -> io::Result<BadFile> {
        let is_segment = path.extension().is_some_and(|end| end == "log");
        let dir = path.parent().and_then(Path::file_name);
        let is_meant = is_segment && dir.is_some_and(|dir| dir == self.partition);
        Ok(BadFile {
            real: self.real.open(path, how)?,
            disk: is_meant.then(|| self.clone()),
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.real.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.real.create_dir(dir)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.real.remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.real.rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.real.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<BadFile>> {
        let real = self.real.lock(path)?;
        Ok(real.map(|real| BadFile { real, disk: None }))
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        self.real.is_locked(path)
    }
}

/// A whole copy on one thread, with one shard.
fn copied(port: u16, into: &Path, spared: u32) -> Outcome {
    run(port, into, spared, false)
}

/// A copy that ends by itself, or follows until everything is durable.
fn run(port: u16, into: &Path, spared: u32, follow: bool) -> Outcome {
    let job = Job {
        from: vec![format!("127.0.0.1:{port}").parse().expect("an address")],
        selection: Selection::new(".*", None).expect("sound"),
        into: into.to_owned(),
        follow,
    };
    let is_done = Rc::new(Cell::new(false));
    let outcome = uring::run(None, |real| async move {
        let disk = BadDisk {
            real: *real.disk(),
            partition: "lies-0",
            spared: Rc::new(Cell::new(spared)),
            has_failed: Rc::new(Cell::new(false)),
        };
        let world = Machine { real, disk };
        let (orders_in, orders) = mpsc::channel(64);
        let (reports_in, reports) = mpsc::channel(64);
        let ties = Ties {
            orders,
            reports: reports_in,
            shard: ShardId(0),
            moved: None,
        };
        let options = shard::Options {
            flush_interval_ms: 100,
            ..shard::Options::default()
        };
        let shard = Shard::new(world.clone(), options, ties, 1);
        world.spawn(shard.run());
        let shards = Shards {
            orders: vec![orders_in],
            reports,
        };
        let stop = when(is_done.clone(), *world.clock(), follow);
        let options = control::Options {
            checkpoint_interval_ms: 200,
            ..control::Options::default()
        };
        let mut show = |ledger: &Ledger| {
            let is_durable = |line: &Line| line.durable == Offset::new(BATCHES);
            let lines = &ledger.lines;
            is_done.set(lines.len() == TOPICS.len() && lines.values().all(is_durable));
        };
        control::copy(world, options, job, shards, stop, &mut show).await
    });
    outcome.expect("the vault itself is sound")
}

async fn when(is_done: Rc<Cell<bool>>, clock: RealClock, follow: bool) {
    if !follow {
        return std::future::pending().await;
    }
    let begun = clock.now();
    while !is_done.get() {
        let now = clock.now();
        assert!(
            now.since(begun) < Duration::from_secs(60),
            "it does not go on"
        );
        clock
            .sleep_until(now.after(Duration::from_millis(50)))
            .await;
    }
}

#[test]
fn a_copy_that_follows_opens_again_what_a_sync_has_lost() {
    let port = source::start();
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let vault = dir.path().join("vault");
    let outcome = run(port, &vault, 0, true);
    assert!(outcome.ledger.stopped().next().is_none());
    for (name, id) in TOPICS {
        let path = vault.join(format!("{name}-0/00000000000000000000.log"));
        let held = fs::read(path).expect("it is there");
        assert!(held == content(id, BATCHES), "{name}");
        let line = &outcome.ledger.lines[&format!("{name}-0").parse().expect("a name")];
        let whole = content(id, BATCHES).len() as u64;
        let taken = if name == "lies" { whole + 1 } else { whole };
        assert!(line.tally.bytes >= taken, "{name}: {:?}", line.tally);
    }
    assert!(
        vault.join(".kafka_cleanshutdown").exists(),
        "all of it is well"
    );
}

#[test]
fn a_failed_sync_stops_its_partition_and_what_it_was_for_is_fetched_again() {
    let port = source::start();
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let vault = dir.path().join("vault");
    let held = |name: &str| {
        let path = vault.join(format!("{name}-0/00000000000000000000.log"));
        fs::read(path).unwrap_or_default()
    };
    let outcome = copied(port, &vault, 0);
    for (id, line) in &outcome.ledger.lines {
        if id.topic.as_str() == "sound" {
            assert_eq!(line.phase, Phase::Done, "the other goes on");
            assert_eq!(line.durable, Offset::new(BATCHES));
            continue;
        }
        let Phase::Stopped(why) = &line.phase else {
            panic!("{id}: {:?}", line.phase);
        };
        assert!(why.contains("could not be synced"), "{why}");
        assert_eq!(line.durable, Offset::ZERO, "{id} is called durable");
    }
    assert_eq!(held("lies").len(), 0, "a later sync could vouch for it");
    let point = vault.join("recovery-point-offset-checkpoint");
    let points = fs::read_to_string(point).expect("it was written");
    assert!(points.lines().any(|line| line == "lies 0 0"), "{points}");
    let marker = vault.join(".kafka_cleanshutdown");
    assert!(!marker.exists(), "it was not closed cleanly");
    // The device is well again; no sync of this run fails.
    let again = copied(port, &vault, u32::MAX);
    assert!(again.ledger.stopped().next().is_none());
    for (name, id) in TOPICS {
        assert!(held(name) == content(id, BATCHES), "{name}");
    }
}
