//! Byte streams. A buffer is handed over for the time of an operation and always comes back.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use super::Buf;

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
