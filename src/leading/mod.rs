//! Leading partitions of a stock cluster: its brokers fetch from us with their ordinary replica
//! fetcher, and we say who is in sync and up to where records are safe.
//!
//! One thread does it. Control says what we lead and who is alive, shards say how far logs reach,
//! connections bring followers' fetches; `replica` and `server` decide what follows. Record bytes
//! are read from the shards' files, which are shared through the page cache, to the very place in
//! an answer from which they are sent.
//!
//! | File | Says |
//! |---|---|
//! | `inbox`, `lease` | what we are told and what we tell; for how long we may speak as a leader |
//! | `partition` | one partition: followers, proposals, high watermark |
//! | `leads` | all partitions, and what becomes of them with every event |
//! | `records`, `answers` | batches out of files, each looked at; the answer around them |
//! | `news` | what control is told, and when |
//! | `connections`, `connection` | who is connected; one of them |
//!
//! Invariants: nothing is answered as by a leader after the lease; no batch is served above our
//! leader epoch or beyond the log's end; in an epoch the high watermark never falls but where the
//! log is cut, and is never above what somebody in sync has; for a partition one proposal is under
//! way at most, and growth is proposed only by a fetch that has just arrived.

mod answers;
mod connection;
mod connections;
pub mod inbox;
mod leads;
mod lease;
mod news;
mod options;
mod partition;
mod records;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use crate::io::{Clock, Listener, Net, Stream, World, listen_when_free};
use crate::model::BrokerId;

use connection::Connection;
use inbox::{Moved, Order, Report};
use leads::{Leads, StreamOf};

pub use lease::Lease;
pub use options::Options;

/// How long to wait when a connection could not be accepted: too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The ends of the leading thread's queues.
pub struct Ties {
    /// What control wants.
    pub orders: mpsc::Receiver<Order>,
    /// What shards have done.
    pub moves: mpsc::Receiver<Vec<Moved>>,
    /// What control is told.
    pub reports: mpsc::Sender<Report>,
    /// For how long we may speak as a leader.
    pub lease: Lease,
}

/// The thread that followers fetch from.
pub struct Leading<W: World> {
    world: W,
    listener: <W::Net as Net>::Listener,
    leads: Rc<RefCell<Leads<W>>>,
    orders: mpsc::Receiver<Order>,
    moves: mpsc::Receiver<Vec<Moved>>,
    alarm: Rc<Notify>,
}

impl<W: World> Leading<W> {
    /// Listens on `at` for those who follow what `us` leads.
    ///
    /// # Errors
    /// What the system says: most likely the address is taken.
    pub async fn listen(
        world: W,
        at: SocketAddr,
        us: BrokerId,
        options: Options,
        ties: Ties,
    ) -> io::Result<Leading<W>> {
        let listener = listen_when_free(&world, at).await?;
        let leads = Leads::new(world.clone(), us, options, ties.lease, ties.reports);
        Ok(Leading {
            world,
            listener,
            leads: Rc::new(RefCell::new(leads)),
            orders: ties.orders,
            moves: ties.moves,
            alarm: Rc::new(Notify::new()),
        })
    }

    /// Where it listens, with the port that the system chose.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Serves until it is told to close, or nobody is left who could tell it.
    pub async fn run(self) {
        let Leading {
            world,
            listener,
            leads,
            mut orders,
            mut moves,
            alarm,
        } = self;
        let accepting = accept(world.clone(), listener, leads.clone(), alarm.clone());
        world.spawn(accepting);
        let clock = world.clock().clone();
        let mut has_shards = true;
        loop {
            let deadline = leads.borrow_mut().take_turn(clock.now());
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    None | Some(Order::Close) => break,
                    Some(order) => {
                        while let Ok(told) = moves.try_recv() {
                            leads.borrow_mut().moved(told, clock.now());
                        }
                        leads.borrow_mut().obey(order, clock.now());
                    }
                },
                told = moves.recv(), if has_shards => match told {
                    Some(told) => leads.borrow_mut().moved(told, clock.now()),
                    None => has_shards = false,
                },
                () = alarm.notified() => {}
                () = clock.sleep_until(deadline) => {}
            }
        }
        leads.borrow_mut().end();
    }
}

async fn accept<W: World>(
    world: W,
    listener: <W::Net as Net>::Listener,
    leads: Rc<RefCell<Leads<W>>>,
    alarm: Rc<Notify>,
) {
    let clock = world.clock().clone();
    loop {
        let stream: StreamOf<W> = match listener.accept().await {
            Ok(stream) => stream,
            Err(fault) => {
                tracing::warn!("a connection to our followers' listener has failed: {fault}");
                clock.sleep_until(clock.now().after(ACCEPT_PAUSE)).await;
                continue;
            }
        };
        let added = leads.borrow_mut().connected(&stream, clock.now());
        let Some((id, wake)) = added else {
            stream.shutdown();
            continue;
        };
        let connection = Connection {
            id,
            stream,
            wake,
            clock: clock.clone(),
            leads: leads.clone(),
            alarm: alarm.clone(),
            answered_at: Cell::default(),
        };
        world.spawn(connection.run());
    }
}

#[cfg(test)]
mod tests;
