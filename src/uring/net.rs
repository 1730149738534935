//! TCP streams through the ring. Sockets are left in blocking mode: the ring waits for them itself.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{AsRawFd, FromRawFd};
use std::rc::Rc;

use io_uring::{opcode, types};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::aside::aside;
use super::files::named;
use super::operation::perform;
use crate::io::{Buf, Listener, Net, Stream};

/// Connections that may wait for an accept.
const BACKLOG: i32 = 128;

/// The network of this machine.
#[derive(Clone, Copy, Debug)]
pub struct RealNet;

/// A connected socket; its clones are the same socket.
#[derive(Clone, Debug)]
pub struct RealStream(Rc<Socket>);

/// A listening socket.
#[derive(Debug)]
pub struct RealListener(Rc<TcpListener>);

impl RealStream {
    fn new(socket: Socket) -> io::Result<RealStream> {
        // The receive buffer is left to the kernel: a fixed size switches its tuning off.
        socket.set_tcp_nodelay(true)?;
        Ok(RealStream(Rc::new(socket)))
    }

    fn fd(&self) -> types::Fd {
        types::Fd(self.0.as_raw_fd())
    }
}

impl Stream for RealStream {
    async fn recv(&self, mut buf: Buf) -> (Buf, io::Result<usize>) {
        let room = buf.room();
        assert!(
            !room.is_empty(),
            "a receive into no room would look like the stream's end"
        );
        let length = u32::try_from(room.len()).unwrap_or(u32::MAX);
        // The pages behind `room` stay where they are while the buffer moves into the operation.
        let entry = opcode::Recv::new(self.fd(), room.as_mut_ptr(), length).build();
        let ((mut buf, _open), outcome) = perform(entry, (buf, self.clone())).await;
        let outcome = outcome.map(|bytes| bytes as usize);
        if let Ok(bytes) = outcome {
            buf.filled(bytes);
        }
        (buf, outcome)
    }

    async fn send(&self, mut buf: Buf) -> (Buf, io::Result<()>) {
        while !buf.bytes().is_empty() {
            let bytes = buf.bytes();
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            let entry = opcode::Send::new(self.fd(), bytes.as_ptr(), length)
                .flags(libc::MSG_NOSIGNAL)
                .build();
            let ((back, _open), outcome) = perform(entry, (buf, self.clone())).await;
            buf = back;
            match outcome {
                Ok(sent) => buf.consume(sent as usize),
                Err(fault) => return (buf, Err(fault)),
            }
        }
        (buf, Ok(()))
    }

    fn shutdown(&self) {
        // It may be closed already; then there is nothing to end.
        drop(self.0.shutdown(std::net::Shutdown::Both));
    }
}

impl Listener for RealListener {
    type Stream = RealStream;

    fn local_addr(&self) -> SocketAddr {
        self.0.local_addr().expect("a bound socket has an address")
    }

    async fn accept(&self) -> io::Result<RealStream> {
        let fd = types::Fd(self.0.as_raw_fd());
        let nowhere = (std::ptr::null_mut(), std::ptr::null_mut());
        let entry = opcode::Accept::new(fd, nowhere.0, nowhere.1)
            .flags(libc::SOCK_CLOEXEC)
            .build();
        let (_open, outcome) = perform(entry, self.0.clone()).await;
        let accepted = i32::try_from(outcome?).expect("a descriptor is an int");
        // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
        RealStream::new(unsafe { Socket::from_raw_fd(accepted) })
    }
}

impl Net for RealNet {
    type Stream = RealStream;
    type Listener = RealListener;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let host = host.to_owned();
        // The system has no look-up that a ring could wait for.
        aside(move || Ok((host, port).to_socket_addrs()?.collect())).await
    }

    async fn connect(&self, to: SocketAddr) -> io::Result<RealStream> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP));
        let socket = socket.map_err(named)?;
        let stream = RealStream::new(socket)?;
        let address = Box::new(SockAddr::from(to));
        // The address is boxed, so that it stays where it is while the box moves.
        let entry =
            opcode::Connect::new(stream.fd(), address.as_ptr().cast(), address.len()).build();
        let (_address, outcome) = perform(entry, (address, stream.clone())).await;
        outcome.map(|_| stream)
    }

    fn listen(&self, at: SocketAddr) -> io::Result<RealListener> {
        let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&at.into())?;
        socket.listen(BACKLOG)?;
        Ok(RealListener(Rc::new(socket.into())))
    }
}
