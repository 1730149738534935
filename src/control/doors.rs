//! Doors for operators: a listener, no more connections than it may have, no peer that holds one
//! for ever.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use crate::io::{Buf, Clock, Listener, Net, Stream, World, listen_when_free};
use crate::model::{BrokerAddress, Instant};

/// How long nothing is accepted after the system could not.
const PAUSE: Duration = Duration::from_millis(200);

type ListenerOf<W> = <<W as World>::Net as Net>::Listener;
type StreamOf<W> = <<W as World>::Net as Net>::Stream;

/// A listener that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {at} cannot be listened on: {error}; {}", next_step(error))]
pub struct DoorFault {
    /// The key of the configuration that says so.
    pub key: &'static str,
    /// Where.
    pub at: BrokerAddress,
    /// What the system says.
    pub error: io::Error,
}

fn next_step(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "choose another port, or stop whoever has it",
        io::ErrorKind::PermissionDenied => "ports below 1024 need a right: choose another port",
        _ => "choose an address of this machine",
    }
}

/// A bound listener.
pub struct Door<W: World> {
    listener: ListenerOf<W>,
    key: &'static str,
    connections_max: usize,
}

impl<W: World> Door<W> {
    /// Listens at `at`, which `key` of the configuration says.
    ///
    /// # Errors
    /// The address is none of this machine's, or taken.
    pub async fn open(
        world: &W,
        key: &'static str,
        at: &BrokerAddress,
        connections_max: usize,
    ) -> Result<Door<W>, DoorFault> {
        let listening = async {
            let addresses = match at.host.parse::<IpAddr>() {
                Ok(literal) => vec![SocketAddr::new(literal, at.port)],
                Err(_) => world.net().resolve(&at.host, at.port).await?,
            };
            let first = addresses.into_iter().next();
            let first = first.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
            listen_when_free(world, first).await
        };
        let listener = listening.await.map_err(|error| DoorFault {
            key,
            at: at.clone(),
            error,
        })?;
        Ok(Door {
            listener,
            key,
            connections_max,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn at(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Gives each connection a task that `answer` makes, until `closed` is over. Those that are too
    /// many are closed at once.
    pub(super) async fn serve<T: Future<Output = ()> + 'static>(
        self,
        world: W,
        closed: impl Future<Output = ()>,
        answer: impl Fn(StreamOf<W>) -> T,
    ) {
        let mut closed = pin!(closed);
        let open = Rc::new(());
        loop {
            let accepted = tokio::select! {
                () = &mut closed => return,
                accepted = self.listener.accept() => accepted,
            };
            let stream = match accepted {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::warn!("{}: no connection can be accepted: {error}", self.key);
                    world
                        .clock()
                        .sleep_until(world.clock().now().after(PAUSE))
                        .await;
                    continue;
                }
            };
            if Rc::strong_count(&open) > self.connections_max {
                let most = self.connections_max;
                tracing::warn!(
                    "{}: {most} connections are open, another is closed",
                    self.key
                );
                stream.shutdown();
                continue;
            }
            let (counted, task) = (open.clone(), answer(stream));
            world.spawn(async move {
                task.await;
                drop(counted);
            });
        }
    }
}

/// Awaits an operation on `stream` to its end, which the deadline brings about by closing the
/// stream: one that is dropped would go on without us. None where the deadline did it.
pub(super) async fn timely<W: World, S: Stream, T>(
    world: &W,
    stream: &S,
    deadline: Instant,
    operation: impl Future<Output = T>,
) -> Option<T> {
    let mut operation = pin!(operation);
    tokio::select! {
        done = &mut operation => return Some(done),
        () = world.clock().sleep_until(deadline) => stream.shutdown(),
    }
    drop(operation.await);
    None
}

/// Sends all of `bytes`; whether the peer took them in time.
pub(super) async fn send<W: World, S: Stream>(
    world: &W,
    stream: &S,
    within: Duration,
    bytes: &[u8],
) -> bool {
    let mut out = Buf::unpooled(bytes.len());
    out.push(bytes);
    let deadline = world.clock().now().after(within);
    let sent = timely(world, stream, deadline, stream.send(out)).await;
    matches!(sent, Some((_, Ok(()))))
}
