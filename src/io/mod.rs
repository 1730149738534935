//! The seam to the world: a disk, a network and a clock as traits, and the buffers they move.

mod advice;
mod buf;
mod clock;
#[cfg(test)]
pub(crate) mod conformance;
mod disk;
#[cfg(test)]
pub(crate) mod memory;
mod net;

pub use advice::advice;
pub use buf::{Buf, Pool};
pub use clock::Clock;
pub use disk::{Disk, Durability, Entry, File, Open, replace};
pub use net::{Listener, Net, Stream, listen_when_free};

use std::future::Future;

/// Everything outside the process, as one thread sees it. The real side is `uring`; the other
/// side is the simulated one of the tests.
pub trait World: Clone + 'static {
    /// Files and directories.
    type Disk: Disk;
    /// Byte streams to other processes.
    type Net: Net;
    /// Time.
    type Clock: Clock;

    /// This thread's disk.
    fn disk(&self) -> &Self::Disk;
    /// This thread's network.
    fn net(&self) -> &Self::Net;
    /// This thread's clock.
    fn clock(&self) -> &Self::Clock;
    /// Runs `task` on this thread beside the caller.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);
}

#[cfg(test)]
mod tests;
