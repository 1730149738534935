//! A thread with a ring of its own, and the world as that thread sees it.

use std::future::Future;
use std::thread::{Builder, JoinHandle};

use super::clock::RealClock;
use super::cores::pin;
use super::disk::RealDisk;
use super::net::RealNet;
use crate::io::World;

/// Entries are submitted when the thread parks; more than this before a park would submit early.
const SUBMISSIONS: u32 = 1024;
/// Completions that may wait; far more than operations are ever in flight.
const COMPLETIONS: u32 = 4096;

/// The machine.
#[derive(Clone, Copy, Debug)]
pub struct RealWorld {
    disk: RealDisk,
    net: RealNet,
    clock: RealClock,
}

impl World for RealWorld {
    type Disk = RealDisk;
    type Net = RealNet;
    type Clock = RealClock;

    fn disk(&self) -> &RealDisk {
        &self.disk
    }

    fn net(&self) -> &RealNet {
        &self.net
    }

    fn clock(&self) -> &RealClock {
        &self.clock
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        drop(tokio_uring::spawn(task));
    }
}

/// Runs `main` on the calling thread with a ring, bound to `core` where one is given. The machine
/// has passed [`super::probe`].
pub fn run<F: Future>(core: Option<usize>, main: impl FnOnce(RealWorld) -> F) -> F::Output {
    if let Some(core) = core
        && let Err(fault) = pin(core)
    {
        // Unpinned it is slower and no less right.
        tracing::warn!("the thread could not be bound to core {core}: {fault}");
    }
    let mut ring = tokio_uring::uring_builder();
    ring.setup_coop_taskrun()
        .setup_single_issuer()
        .setup_cqsize(COMPLETIONS);
    let world = RealWorld {
        disk: RealDisk,
        net: RealNet,
        clock: RealClock,
    };
    tokio_uring::builder()
        .entries(SUBMISSIONS)
        .uring_builder(&ring)
        .start(async move { main(world).await })
}

/// Starts a thread that runs `main` as [`run`] does.
pub fn spawn_thread<F>(
    name: &str,
    core: Option<usize>,
    main: impl FnOnce(RealWorld) -> F + Send + 'static,
) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: Send + 'static,
{
    Builder::new()
        .name(name.to_owned())
        .spawn(move || run(core, main))
        .expect("the system has room for a thread per core")
}
