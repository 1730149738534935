//! A world of one shard: a memory disk, a network where nobody answers, and a clock that jumps to
//! the moment that is waited for once nothing else is to be done.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::task::{LocalSet, spawn_local, yield_now};

use super::super::inbox::{Order, Told};
use super::super::{Options, Shard, Ties};
use crate::io::memory::MemoryDisk;
use crate::io::{Buf, Clock, Listener, Net, Stream, World};
use crate::leading::inbox::Moved;
use crate::model::{Instant, ShardId, WallTime};

/// Turns that all others get before time jumps.
const TURNS: usize = 20;

#[derive(Clone)]
struct Alone {
    disk: MemoryDisk,
    clock: Jumping,
}

#[derive(Clone, Default)]
pub(super) struct Jumping(Rc<Cell<Instant>>);

#[derive(Clone)]
struct Nobody;

impl Clock for Jumping {
    fn now(&self) -> Instant {
        self.0.get()
    }

    fn wall(&self) -> WallTime {
        super::WALL
    }

    fn sleep_until(&self, moment: Instant) -> impl Future<Output = ()> + 'static {
        let clock = self.clone();
        async move {
            for _ in 0..TURNS {
                yield_now().await;
            }
            clock.0.set(clock.0.get().max(moment));
        }
    }
}

impl Stream for Nobody {
    async fn recv(&self, _: Buf) -> (Buf, io::Result<usize>) {
        std::future::pending().await
    }

    async fn send(&self, _: Buf) -> (Buf, io::Result<()>) {
        std::future::pending().await
    }

    fn shutdown(&self) {}
}

impl Listener for Nobody {
    type Stream = Nobody;

    fn local_addr(&self) -> SocketAddr {
        SocketAddr::new([127, 0, 0, 1].into(), 0)
    }

    async fn accept(&self) -> io::Result<Nobody> {
        std::future::pending().await
    }
}

impl Net for Nobody {
    type Stream = Nobody;
    type Listener = Nobody;

    async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        std::future::pending().await
    }

    async fn connect(&self, _: SocketAddr) -> io::Result<Nobody> {
        std::future::pending().await
    }

    fn listen(&self, _: SocketAddr) -> io::Result<Nobody> {
        Ok(Nobody)
    }
}

impl World for Alone {
    type Disk = MemoryDisk;
    type Net = Nobody;
    type Clock = Jumping;

    fn disk(&self) -> &MemoryDisk {
        &self.disk
    }

    fn net(&self) -> &Nobody {
        &Nobody
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
    reports: mpsc::Receiver<(ShardId, super::super::Report)>,
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

    /// What the leading thread is told next.
    pub(super) async fn moved(&mut self) -> Vec<Moved> {
        let moved = await_in(&mut self.moved, &self.clock).await;
        moved.expect("the shard goes on")
    }

    /// Lets the shard work for a while.
    pub(super) async fn pass_ms(&self, ms: u64) {
        let until = self.clock.now().after(Duration::from_millis(ms));
        while self.clock.now() < until {
            yield_now().await;
        }
    }
}

/// What comes in a queue within a day; `None` once it has ended.
async fn await_in<T>(queue: &mut mpsc::Receiver<T>, clock: &Jumping) -> Option<T> {
    let late = clock.now().after(Duration::from_secs(86_400));
    loop {
        match queue.try_recv() {
            Ok(one) => return Some(one),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => assert!(clock.now() < late, "nothing comes"),
        }
        yield_now().await;
    }
}

pub(super) fn with_shard<T>(disk: &MemoryDisk, script: impl AsyncFnOnce(&mut Ordered) -> T) -> T {
    with_shard_of(disk, Options::default(), script)
}

/// Plays a script with a shard. Its queue to the leading thread has room for one message.
pub(super) fn with_shard_of<T>(
    disk: &MemoryDisk,
    options: Options,
    script: impl AsyncFnOnce(&mut Ordered) -> T,
) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().expect("a runtime of one thread");
    let clock = Jumping::default();
    let world = Alone {
        disk: disk.clone(),
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
