//! Byte streams. A buffer is handed over for the time of an operation and always comes back.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::{Buf, Clock, World};

/// A connected stream. Its two directions may be used by two tasks at a time.
pub trait Stream: Clone + 'static {
    /// Waits for bytes and appends them to `buf`, which must have room; 0 means that the peer has
    /// closed. Must be awaited to its end: a dropped receive loses bytes.
    fn recv(&self, buf: Buf) -> impl Future<Output = (Buf, io::Result<usize>)>;

    /// Sends all bytes of `buf`.
    fn send(&self, buf: Buf) -> impl Future<Output = (Buf, io::Result<()>)>;

    /// Ends both directions; a waiting receive completes with 0 or an error.
    fn shutdown(&self);
}

/// A bound address that accepts streams.
pub trait Listener: 'static {
    /// What it accepts.
    type Stream: Stream;

    /// The address that it is bound to, with the port that the system chose.
    fn local_addr(&self) -> SocketAddr;

    /// Waits for the next stream.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>>;
}

/// The network below one thread.
pub trait Net: Clone + 'static {
    /// Its streams.
    type Stream: Stream;
    /// Its listeners.
    type Listener: Listener<Stream = Self::Stream>;

    /// Addresses of a host name or literal, in the order in which they should be tried. The thread
    /// goes on with other tasks meanwhile. May be dropped at any time.
    fn resolve(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>>;

    /// Connects, without Nagle's delay and with the receive buffer left to the kernel.
    fn connect(&self, to: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>>;

    /// Listens on `at`; port 0 lets the system choose.
    ///
    /// # Errors
    /// What the system says.
    fn listen(&self, at: SocketAddr) -> io::Result<Self::Listener>;
}

/// Between two looks at an address that somebody has.
const AGAIN: Duration = Duration::from_millis(20);
/// A process that was killed leaves its sockets to the kernel, which takes its time to close those
/// that a ring was busy with.
const TAKEN_WITHIN: Duration = Duration::from_secs(2);

/// Listens on `at`; where somebody has it, once he has gone.
///
/// # Errors
/// What the system says. That it is taken is believed after two seconds.
pub async fn listen_when_free<W: World>(
    world: &W,
    at: SocketAddr,
) -> io::Result<<W::Net as Net>::Listener> {
    let clock = world.clock();
    let deadline = clock.now().after(TAKEN_WITHIN);
    loop {
        match world.net().listen(at) {
            Err(taken) if taken.kind() == io::ErrorKind::AddrInUse && clock.now() < deadline => {
                clock.sleep_until(clock.now().after(AGAIN)).await;
            }
            outcome => return outcome,
        }
    }
}
