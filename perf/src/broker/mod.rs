//! A source broker that is no bottleneck: it speaks as much Kafka as copying needs, and replays
//! record batches from memory. One thread for each connection, blocking sockets.

mod fetch;
mod replies;

#[cfg(test)]
mod tests;

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use twinlog::protocol::{Reader, Short};

use crate::batches::{Impossible, Shape};
use crate::{listening, size};

/// The only topic's name.
pub(crate) const TOPIC: &str = "perf";
const TOPIC_ID: [u8; 16] = *b"perf-topic-id-01";
/// Its leader's epoch, always.
const LEADER_EPOCH: i32 = 0;
/// A request that is longer is none.
const REQUEST_BYTES_MAX: usize = 16 << 20;

/// What the broker holds and where it listens.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The port to listen on; 0 for any.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Bytes of record batches in all partitions together.
    #[arg(long, value_parser = size::parse)]
    bytes: u64,
    /// Bytes of a batch.
    #[arg(long, value_parser = size::parse, default_value = "64KiB")]
    batch_bytes: u64,
    /// Partitions of the topic.
    #[arg(long, default_value_t = 1)]
    partitions: u32,
    /// Ends after so many seconds without a request.
    #[arg(long, default_value_t = 120)]
    idle_s: u64,
}

/// Why a connection, or the broker, ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The network.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What should be held cannot be.
    #[error("{0}")]
    Impossible(#[from] Impossible),
    /// A Fetch request with a field that cannot be what it claims to be.
    #[error("{0} of a Fetch request cannot be read")]
    Unreadable(&'static str),
    /// A request that ends too early.
    #[error("a request ends before its last field")]
    Short,
    /// A request of a length that is refused.
    #[error("a request claims {0} bytes")]
    Length(i32),
    /// A request that is not answered here.
    #[error("no answer is known to API {key} in version {version}")]
    Unknown {
        /// Its API key.
        key: i16,
        /// Its version.
        version: i16,
    },
    /// A request or reply that the codec refuses.
    #[error("API {key} in version {version} cannot be read or answered: {cause}")]
    Codec {
        /// Its API key.
        key: i16,
        /// Its version.
        version: i16,
        /// What the codec says.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl From<Short> for Fault {
    fn from(_: Short) -> Fault {
        Fault::Short
    }
}

/// Listens, says where, and answers until nobody asks any more.
pub(crate) fn run(options: &Options) -> Result<(), Fault> {
    let shape = Shape::new(options.bytes, options.batch_bytes, options.partitions)?;
    let listener = listening::announced(options.port)?;
    Ok(serve(
        &listener,
        shape,
        Duration::from_secs(options.idle_s),
    )?)
}

/// Answers whoever connects; ends when nobody is connected and nobody comes for as long as `idle`.
fn serve(listener: &TcpListener, shape: Shape, idle: Duration) -> io::Result<()> {
    let connected = Arc::new(AtomicUsize::new(0));
    loop {
        let Some(stream) = listening::accept(listener, idle)? else {
            if connected.load(Ordering::Acquire) == 0 {
                return Ok(());
            }
            continue;
        };
        connected.fetch_add(1, Ordering::AcqRel);
        let connected = Arc::clone(&connected);
        thread::spawn(move || {
            let ended = Connection::new(stream, shape, idle).and_then(Connection::serve);
            if let Err(fault) = ended {
                eprintln!("perf broker: {fault}");
            }
            connected.fetch_sub(1, Ordering::AcqRel);
        });
    }
}

/// One client's connection; lives on a thread of its own.
struct Connection {
    to: TcpStream,
    from: BufReader<TcpStream>,
    here: SocketAddr,
    shape: Shape,
    fetches: fetch::Fetches,
}

impl Connection {
    fn new(stream: TcpStream, shape: Shape, idle: Duration) -> Result<Connection, Fault> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(idle))?;
        stream.set_write_timeout(Some(idle))?;
        Ok(Connection {
            here: stream.local_addr()?,
            from: BufReader::with_capacity(64 << 10, stream.try_clone()?),
            to: stream,
            shape,
            fetches: fetch::Fetches::new(shape),
        })
    }

    /// Answers request after request until the client leaves.
    fn serve(mut self) -> Result<(), Fault> {
        let mut frame = Vec::new();
        while self.read_frame(&mut frame)? {
            let mut start = Reader::new(&frame);
            if start.i16()? == twinlog::protocol::fetch::API_KEY {
                self.fetches.answer(&frame, &mut self.to)?;
            } else {
                let request = Bytes::copy_from_slice(&frame);
                let reply = replies::reply(request, self.shape, self.here)?;
                self.to.write_all(&reply)?;
            }
        }
        Ok(())
    }

    /// Reads the next request without its length; false where there is none.
    fn read_frame(&mut self, frame: &mut Vec<u8>) -> Result<bool, Fault> {
        let mut length = [0; 4];
        match self.from.read_exact(&mut length) {
            Ok(()) => {}
            Err(fault) if fault.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(fault) => return Err(fault.into()),
        }
        let stated = i32::from_be_bytes(length);
        let length = usize::try_from(stated)
            .ok()
            .filter(|length| *length <= REQUEST_BYTES_MAX)
            .ok_or(Fault::Length(stated))?;
        frame.resize(length, 0);
        self.from.read_exact(frame)?;
        Ok(true)
    }
}
