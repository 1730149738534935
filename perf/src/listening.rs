//! Listening on this machine alone, and not for ever.

use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use crate::poll;

/// Listens on the loopback address and says on standard output on which port; 0 asks for any.
pub(crate) fn announced(port: u16) -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let mut out = io::stdout();
    writeln!(out, "{}", listener.local_addr()?.port())?;
    out.flush()?;
    Ok(listener)
}

/// The next connection; none where nobody comes within `limit`.
pub(crate) fn accept(listener: &TcpListener, limit: Duration) -> io::Result<Option<TcpStream>> {
    if !poll::readable(listener.as_fd(), limit)? {
        return Ok(None);
    }
    let (stream, _) = listener.accept()?;
    Ok(Some(stream))
}
