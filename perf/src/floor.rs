//! The floor: the least that receiving bytes and keeping them in a file can cost one thread.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::{listening, size};

/// How much the sender hands to the kernel at a time.
const SEND_BYTES: usize = 1 << 20;
/// A receiver that does not come, or stops taking bytes, has died.
const PATIENCE: Duration = Duration::from_secs(60);

/// The receive buffers of which the best is the floor's.
pub(crate) const BUFFERS: [u64; 3] = [64 << 10, 256 << 10, 1 << 20];

/// What to send.
#[derive(clap::Args)]
pub(crate) struct SenderOptions {
    /// The port to listen on; 0 for any.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// How many bytes.
    #[arg(long, value_parser = size::parse)]
    bytes: u64,
}

/// What to receive and where to keep it.
#[derive(clap::Args)]
pub(crate) struct LoopOptions {
    /// Where the sender listens.
    #[arg(long)]
    from: SocketAddr,
    /// The file, which must not be there yet.
    #[arg(long)]
    into: PathBuf,
    /// How many bytes.
    #[arg(long, value_parser = size::parse)]
    bytes: u64,
    /// The receive buffer.
    #[arg(long, value_parser = size::parse)]
    buffer: u64,
}

/// Sends bytes from one buffer, over and over, to the first who connects.
pub(crate) fn send(options: &SenderOptions) -> io::Result<()> {
    let listener = listening::announced(options.port)?;
    let Some(mut stream) = listening::accept(&listener, PATIENCE)? else {
        return Err(io::ErrorKind::TimedOut.into());
    };
    stream.set_write_timeout(Some(PATIENCE))?;
    let buffer = vec![0xa5; SEND_BYTES];
    let mut left = options.bytes;
    while left > 0 {
        let part = usize::try_from(left).map_or(SEND_BYTES, |left| left.min(SEND_BYTES));
        stream.write_all(&buffer[..part])?;
        left -= part as u64;
    }
    Ok(())
}

/// The floor loop: fill the buffer, write it behind what is there, sync the data at the end.
pub(crate) fn receive(options: &LoopOptions) -> io::Result<()> {
    let mut stream = TcpStream::connect(options.from)?;
    let file = File::create_new(&options.into)?;
    let buffer_bytes = usize::try_from(options.buffer).map_err(io::Error::other)?;
    let mut buffer = vec![0; buffer_bytes];
    let mut at = 0;
    while at < options.bytes {
        let left = options.bytes - at;
        let part = usize::try_from(left).map_or(buffer_bytes, |left| left.min(buffer_bytes));
        // Whole buffers keep the writes on page borders.
        stream.read_exact(&mut buffer[..part])?;
        file.write_all_at(&buffer[..part], at)?;
        at += part as u64;
    }
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};

    #[test]
    fn what_is_received_is_what_lies_in_the_file() {
        let bytes: Vec<u8> = (0..100_000u32).map(|at| (at % 251) as u8).collect();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let options = LoopOptions {
            from: listener.local_addr().unwrap(),
            into: dir.path().join("floor"),
            bytes: bytes.len() as u64,
            buffer: 4096,
        };
        std::thread::scope(|scope| {
            scope.spawn(|| listener.accept().unwrap().0.write_all(&bytes).unwrap());
            receive(&options).unwrap();
        });
        assert_eq!(std::fs::read(&options.into).unwrap(), bytes);
    }

    #[test]
    fn a_sender_that_ends_early_is_a_fault() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let options = LoopOptions {
            from: listener.local_addr().unwrap(),
            into: dir.path().join("floor"),
            bytes: 3,
            buffer: 4096,
        };
        std::thread::scope(|scope| {
            scope.spawn(|| listener.accept().unwrap().0.write_all(b"no").unwrap());
            let fault = receive(&options).unwrap_err();
            assert_eq!(fault.kind(), io::ErrorKind::UnexpectedEof);
        });
    }
}
