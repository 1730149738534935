//! A world of one shard: a memory disk, a network in memory, and a clock that jumps to the first
//! moment that is waited for once nothing else is to be done.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local, yield_now};

use super::super::inbox::{Order, Report, Told};
use super::super::{Options, Shard, Ties};
use super::peer::Peer;
use crate::io::memory::MemoryDisk;
use crate::io::{Clock, World};
use crate::leading::inbox::Moved;
use crate::model::{Instant, ShardId, WallTime};

/// Turns that all others get before time jumps.
const TURNS: usize = 20;

#[derive(Clone)]
pub(super) struct Alone {
    disk: MemoryDisk,
    net: Peer,
    clock: Jumping,
}

#[derive(Clone, Default)]
pub(super) struct Jumping(Rc<Time>);

#[derive(Default)]
struct Time {
    now: Cell<Instant>,
    /// The moments that are waited for.
    awaited: RefCell<BTreeSet<(Instant, u64)>>,
    waits: Cell<u64>,
}

/// A moment that is waited for, for as long as it is.
struct Wait {
    time: Rc<Time>,
    moment: (Instant, u64),
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.time.awaited.borrow_mut().remove(&self.moment);
    }
}

impl Clock for Jumping {
    fn now(&self) -> Instant {
        self.0.now.get()
    }

    fn wall(&self) -> WallTime {
        super::WALL
    }

    fn sleep_until(&self, moment: Instant) -> impl Future<Output = ()> + 'static {
        let time = Rc::clone(&self.0);
        async move {
            let moment = (moment, time.waits.get());
            time.waits.set(moment.1 + 1);
            time.awaited.borrow_mut().insert(moment);
            let wait = Wait { time, moment };
            let time = &wait.time;
            let mut seen = (time.now.get(), 0);
            while time.now.get() < moment.0 {
                yield_now().await;
                let now = time.now.get();
                let turns = if seen.0 == now { seen.1 + 1 } else { 0 };
                seen = (now, turns);
                let first = time.awaited.borrow().first().copied();
                if turns > TURNS && first == Some(moment) {
                    time.now.set(moment.0);
                }
            }
        }
    }
}

impl World for Alone {
    type Disk = MemoryDisk;
    type Net = Peer;
    type Clock = Jumping;

    fn disk(&self) -> &MemoryDisk {
        &self.disk
    }

    fn net(&self) -> &Peer {
        &self.net
    }

    fn clock(&self) -> &Jumping {
        &self.clock
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        spawn_local(task);
    }
}

/// The other ends of a shard's queues.
pub(super) struct Ordered {
    orders: mpsc::Sender<Order>,
    reports: mpsc::Receiver<(ShardId, Report)>,
    moved: mpsc::Receiver<Vec<Moved>>,
    told: VecDeque<Told>,
    clock: Jumping,
}

impl Ordered {
    pub(super) async fn order(&self, order: Order) {
        // A shard that has ended is seen by what it tells no more.
        drop(self.orders.send(order).await);
    }

    /// What is told next; `None` once the shard has ended.
    pub(super) async fn next(&mut self) -> Option<Told> {
        while self.told.is_empty() {
            let (_, report) = await_in(&mut self.reports, &self.clock).await?;
            self.told.extend(report.told);
        }
        self.told.pop_front()
    }

    /// The next report as a whole; `None` once the shard has ended.
    pub(super) async fn report(&mut self) -> Option<Report> {
        let report = await_in(&mut self.reports, &self.clock).await;
        report.map(|(_, report)| report)
    }

    /// What the leading thread is told next.
    pub(super) async fn moved(&mut self) -> Vec<Moved> {
        let moved = await_in(&mut self.moved, &self.clock).await;
        moved.expect("the shard goes on")
    }

    /// Lets the shard work for a while.
    pub(super) async fn pass_ms(&self, ms: u64) {
        let until = self.clock.now().after(Duration::from_millis(ms));
        self.clock.sleep_until(until).await;
    }
}

/// What comes in a queue within a day; `None` once it has ended.
async fn await_in<T>(queue: &mut mpsc::Receiver<T>, clock: &Jumping) -> Option<T> {
    let late = clock.now().after(Duration::from_secs(86_400));
    tokio::select! {
        biased;
        one = queue.recv() => one,
        () = clock.sleep_until(late) => panic!("nothing comes"),
    }
}

pub(super) fn with_shard<T>(disk: &MemoryDisk, script: impl AsyncFnOnce(&mut Ordered) -> T) -> T {
    with_shard_of(disk, Options::default(), script)
}

/// The same in a network where nobody answers.
pub(super) fn with_shard_of<T>(
    disk: &MemoryDisk,
    options: Options,
    script: impl AsyncFnOnce(&mut Ordered) -> T,
) -> T {
    with_shard_and(disk, &Peer::default(), options, script)
}

/// A shard that nobody runs or tells anything.
pub(super) fn idle(disk: &MemoryDisk) -> Shard<Alone> {
    let world = Alone {
        disk: disk.clone(),
        net: Peer::default(),
        clock: Jumping::default(),
    };
    let ties = Ties {
        orders: mpsc::channel(1).1,
        reports: mpsc::channel(1).0,
        shard: ShardId(0),
        moved: None,
    };
    Shard::new(world, Options::default(), ties, 1)
}

/// Plays a script with a shard. Its queue to the leading thread has room for one message.
pub(super) fn with_shard_and<T>(
    disk: &MemoryDisk,
    net: &Peer,
    options: Options,
    script: impl AsyncFnOnce(&mut Ordered) -> T,
) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().expect("a runtime of one thread");
    let clock = Jumping::default();
    let world = Alone {
        disk: disk.clone(),
        net: net.clone(),
        clock: clock.clone(),
    };
    let (orders, orders_out) = mpsc::channel(64);
    let (reports_in, reports) = mpsc::channel(64);
    let (moved_in, moved) = mpsc::channel(1);
    let ties = Ties {
        orders: orders_out,
        reports: reports_in,
        shard: ShardId(0),
        moved: Some(moved_in),
    };
    let mut ordered = Ordered {
        orders,
        reports,
        moved,
        told: VecDeque::new(),
        clock,
    };
    LocalSet::new().block_on(&runtime, async move {
        spawn_local(Shard::new(world, options, ties, 1).run());
        script(&mut ordered).await
    })
}
