//! The seam where security goes: what lies between a socket's bytes and the protocol's.

use std::io;

use crate::io::{Buf, Stream};

/// How a connection is secured. TLS and SASL will be further variants, with their handshake in
/// [`Channel::establish`] and their records between [`Channel::recv`] and the socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// Not at all: Kafka's `PLAINTEXT`.
    #[default]
    Plaintext,
}

/// A connection, secured as agreed: the protocol's bytes in and out.
#[derive(Clone)]
pub struct Channel<S> {
    stream: S,
}

impl<S: Stream> Channel<S> {
    /// Does what `security` demands before the first request.
    ///
    /// # Errors
    /// The handshake failed.
    pub(super) async fn establish(stream: S, security: Security) -> io::Result<Channel<S>> {
        match security {
            Security::Plaintext => Ok(Channel { stream }),
        }
    }

    /// As [`Stream::recv`].
    pub async fn recv(&self, buf: Buf) -> (Buf, io::Result<usize>) {
        self.stream.recv(buf).await
    }

    /// As [`Stream::send`].
    pub async fn send(&self, buf: Buf) -> (Buf, io::Result<()>) {
        self.stream.send(buf).await
    }

    /// As [`Stream::shutdown`].
    pub fn shutdown(&self) {
        self.stream.shutdown();
    }
}
