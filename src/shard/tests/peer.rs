//! A network in memory. Where it has a broker, each connection is answered by the pure server, and
//! what that answers may be changed on its way; where it has none, nobody answers.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::sync::Notify;

use crate::io::{Buf, Listener, Net, Stream};
use crate::model::{LeaderEpoch, Offset, PartitionIndex, TopicId};
use crate::protocol::fetch::Segment;
use crate::server::{EpochEnd, Reply, Server};

/// What becomes of an answer to Fetch: its bytes, and whether the connection goes on behind them.
type Way = Box<dyn Fn(Vec<u8>) -> (Vec<u8>, bool)>;

/// The network, and the only broker in it.
#[derive(Clone, Default)]
pub(super) struct Peer(Rc<State>);

#[derive(Default)]
struct State {
    broker: Option<(Server, Way)>,
    connections: Cell<u32>,
    fetches: Cell<u32>,
}

impl Peer {
    /// A broker that has nothing behind where it is asked.
    pub(super) fn new(server: Server, way: Way) -> Peer {
        let broker = Some((server, way));
        Peer(Rc::new(State {
            broker,
            ..State::default()
        }))
    }

    /// Connections that were opened to it.
    pub(super) fn connections(&self) -> u32 {
        self.0.connections.get()
    }

    /// Requests for records that it has answered.
    pub(super) fn fetches(&self) -> u32 {
        self.0.fetches.get()
    }

    /// The answer to a request, with the length before it; whether the connection goes on.
    fn answer(&self, frame: &[u8]) -> (Vec<u8>, bool) {
        let (server, way) = self.0.broker.as_ref().expect("somebody was connected to");
        let epochs = |_: TopicId, _: PartitionIndex, epoch: LeaderEpoch| {
            let end = Offset::new(i64::MAX);
            Some(EpochEnd { epoch, end })
        };
        match server.answer(frame, &epochs) {
            Reply::Ready(bytes) => (bytes, true),
            Reply::Close(reason) => panic!("{reason}"),
            Reply::Fetch(needs) => {
                self.0.fetches.set(self.0.fetches.get() + 1);
                let none = vec![0; needs.ranges().len()];
                let writer = needs.answer(&none);
                let mut answer = Vec::new();
                for segment in writer.segments() {
                    let Segment::Bytes(bytes) = segment else {
                        unreachable!("it has no records");
                    };
                    answer.extend_from_slice(bytes);
                }
                way(answer)
            }
        }
    }
}

/// One connection to it.
#[derive(Clone)]
pub(super) struct Wire {
    peer: Peer,
    half: Rc<Half>,
}

/// What is on its way to the one who has connected.
#[derive(Default)]
struct Half {
    bytes: RefCell<Vec<u8>>,
    is_over: Cell<bool>,
    moved: Notify,
}

impl Stream for Wire {
    async fn recv(&self, mut buf: Buf) -> (Buf, io::Result<usize>) {
        loop {
            let moved = self.half.moved.notified();
            let came = {
                let mut bytes = self.half.bytes.borrow_mut();
                let fits = bytes.len().min(buf.room().len());
                buf.push(&bytes.drain(..fits).collect::<Vec<u8>>());
                fits
            };
            if came > 0 || self.half.is_over.get() {
                return (buf, Ok(came));
            }
            moved.await;
        }
    }

    async fn send(&self, buf: Buf) -> (Buf, io::Result<()>) {
        let (answer, goes_on) = self.peer.answer(&buf.bytes()[size_of::<i32>()..]);
        self.half.bytes.borrow_mut().extend(answer);
        self.half.is_over.set(!goes_on);
        self.half.moved.notify_one();
        (buf, Ok(()))
    }

    fn shutdown(&self) {
        self.half.is_over.set(true);
        self.half.moved.notify_one();
    }
}

impl Listener for Wire {
    type Stream = Wire;

    fn local_addr(&self) -> SocketAddr {
        SocketAddr::new([127, 0, 0, 1].into(), 0)
    }

    async fn accept(&self) -> io::Result<Wire> {
        std::future::pending().await
    }
}

impl Net for Peer {
    type Stream = Wire;
    type Listener = Wire;

    fn resolve(&self, _: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> {
        let at = SocketAddr::new([127, 0, 0, 1].into(), port);
        std::future::ready(Ok(vec![at]))
    }

    async fn connect(&self, _: SocketAddr) -> io::Result<Wire> {
        if self.0.broker.is_none() {
            return std::future::pending().await;
        }
        self.0.connections.set(self.0.connections.get() + 1);
        Ok(Wire {
            peer: self.clone(),
            half: Rc::default(),
        })
    }

    fn listen(&self, _: SocketAddr) -> io::Result<Wire> {
        unreachable!("a shard listens nowhere")
    }
}
