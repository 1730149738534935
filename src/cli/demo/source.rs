//! `twinlog demo-source`: a process that generates logs and serves them as a broker does.

use std::cell::RefCell;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use clap::Args;

use super::generated;
use super::served::{Served, serve};
use crate::cli::{Ending, Misuse, screen};
use crate::generator::{LoadedTopic, PartitionLoad, Sizes, topics};
use crate::io::{Clock, Disk, Listener, Net, World};
use crate::log::{Beginning, Log, LogFault, LogOptions, Opened, Reader, Store, open};
use crate::model::{BrokerId, LeaderEpoch, PartitionIndex, WallTime};
use crate::record::check;
use crate::server::{Identity, Partition, Server, Topic};
use crate::uring;

const PARTITIONS: u32 = 4;
/// Half of the records' values compress well.
const SIZES: Sizes = Sizes {
    records: 100,
    value_bytes: 1000,
};
const SEED: u64 = 1;
/// Between two batches of live load, over all partitions.
const LIVE_INTERVAL: Duration = Duration::from_millis(1);

/// Generate the demo's topics and serve them until standard input ends.
#[derive(Debug, Args)]
pub(in crate::cli) struct SourceArguments {
    #[arg(long)]
    dir: PathBuf,
    #[arg(long)]
    mib: u64,
    #[arg(long)]
    seconds: u64,
}

impl SourceArguments {
    pub(in crate::cli) fn run(self) -> Result<Ending, Misuse> {
        uring::probe()?;
        let done = uring::run(None, |world| async move { source(world, self).await });
        Ok(match done {
            Ok(()) => Ending::Done,
            Err(fault) => {
                screen::say(&format!("error: {fault}"));
                Ending::Incomplete
            }
        })
    }
}

async fn source<W: World>(world: W, arguments: SourceArguments) -> Result<(), LogFault> {
    let failed = |error| LogFault::Io {
        path: arguments.dir.clone(),
        error,
    };
    let any = "127.0.0.1:0".parse().expect("it is an address");
    let listener = world.net().listen(any).map_err(failed)?;
    let port = listener.local_addr().port();
    let mut write = orders(&arguments.dir);
    let mut grown = grow_all(&world, &arguments)?;
    let served = Rc::new(RefCell::new(offer(port, &mut grown)));
    println!("127.0.0.1:{port}");
    // Who reads it has the address by then, or is gone.
    drop(std::io::stdout().flush());
    let (accepting, offered) = (world.clone(), served.clone());
    world.spawn(async move {
        while let Ok(stream) = listener.accept().await {
            accepting.spawn(serve(accepting.clone(), stream, offered.clone()));
        }
    });
    write.recv().await;
    let until = world
        .clock()
        .now()
        .after(Duration::from_secs(arguments.seconds));
    let mut nth = 0;
    while world.clock().now() < until {
        world
            .clock()
            .sleep_until(world.clock().now().after(LIVE_INTERVAL))
            .await;
        let count = grown.len();
        let one = &mut grown[nth % count];
        let batch = one.load.next_batch(world.clock().wall().0);
        one.append(world.clock().wall(), &batch)?;
        one.tell(&mut served.borrow_mut());
        nth += 1;
    }
    write.recv().await;
    Ok(())
}

/// Says when there is a line to be read. Where no more can come, nobody is left to whom all this
/// is of use: it goes, and the process ends.
fn orders(dir: &Path) -> tokio::sync::mpsc::Receiver<()> {
    let (told, orders) = tokio::sync::mpsc::channel(1);
    let dir = dir.to_owned();
    std::thread::spawn(move || {
        for _ in std::io::stdin().lock().lines().map_while(Result::ok) {
            if told.blocking_send(()).is_err() {
                break;
            }
        }
        generated::remove(&dir);
        std::process::exit(0);
    });
    orders
}

/// Topics of equal size.
fn grow_all<W: World>(
    world: &W,
    arguments: &SourceArguments,
) -> Result<Vec<Grown<W::Disk>>, LogFault> {
    let mut grown = Vec::new();
    let topics = topics(SEED, PARTITIONS);
    let bytes = (arguments.mib << 20) / (topics.len() as u64 * u64::from(PARTITIONS));
    for topic in &topics {
        for index in 0..PARTITIONS {
            let mut one = Grown::begin(world, &arguments.dir, topic, index)?;
            while one.bytes < bytes {
                let wall = world.clock().wall();
                let batch = one.load.next_batch(wall.0);
                one.append(wall, &batch)?;
            }
            for marker in one.load.settle(world.clock().wall().0) {
                one.append(world.clock().wall(), &marker)?;
            }
            one.store.sync_point(&mut one.log, world.clock().wall())?;
            grown.push(one);
        }
    }
    Ok(grown)
}

fn offer<D: Disk>(port: u16, grown: &mut [Grown<D>]) -> Served<D> {
    let mut server = Server::new(Identity {
        broker: BrokerId(1),
        host: "127.0.0.1".to_owned(),
        port,
        cluster: "twinlog-demo-source-00".to_owned(),
    });
    for topic in topics(SEED, PARTITIONS) {
        let of_topic = grown.iter().filter(|one| one.topic.id == topic.id);
        server.tell(Topic {
            name: topic.name.clone(),
            id: topic.id,
            partitions: of_topic.map(Grown::partition).collect(),
            settings: Vec::new(),
        });
    }
    let mut served = Served::new(server);
    for one in grown {
        served.reads(
            one.topic.id,
            one.index,
            one.reader.take().expect("made at its beginning"),
        );
        one.tell(&mut served);
    }
    served
}

/// A partition that is written.
struct Grown<D: Disk> {
    topic: LoadedTopic,
    index: PartitionIndex,
    load: PartitionLoad,
    log: Log,
    store: Store<D>,
    reader: Option<Reader<D>>,
    bytes: u64,
}

impl<D: Disk> Grown<D> {
    fn begin<W: World<Disk = D>>(
        world: &W,
        dir: &Path,
        topic: &LoadedTopic,
        nth: u32,
    ) -> Result<Grown<D>, LogFault> {
        let dir = dir.join(format!("{}-{nth}", topic.name));
        let known = Beginning::anew(topic.id);
        let options = LogOptions::default();
        let Opened { log, store, .. } = open(
            world.disk().clone(),
            &dir,
            options,
            known,
            world.clock().wall(),
        )?;
        let index = i32::try_from(nth).ok().and_then(PartitionIndex::new);
        Ok(Grown {
            topic: topic.clone(),
            index: index.expect("a few partitions"),
            load: PartitionLoad::new(topic, nth, SIZES),
            log,
            store,
            reader: Some(Reader::open(world.disk().clone(), &dir)?),
            bytes: 0,
        })
    }

    fn append(&mut self, wall: WallTime, batch: &[u8]) -> Result<(), LogFault> {
        let expect = self.log.expects();
        let run = check(batch, expect).run;
        assert!(!run.is_empty(), "the generator makes sound batches");
        self.bytes += batch.len() as u64;
        self.store.append(&mut self.log, wall, run)
    }

    fn partition(&self) -> Partition {
        Partition {
            leader_epoch: self.log.last_epoch().max(LeaderEpoch::new(0)),
            watermarks: self.log.watermarks(),
            held_from: self.log.watermarks().log_start,
            followers: Vec::new(),
            holds_others: false,
        }
    }

    fn tell(&self, served: &mut Served<D>) {
        let epochs = self.log.epochs().clone();
        served.moved(self.topic.id, self.index, self.partition(), epochs);
    }
}
