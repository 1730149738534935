//! The admin listener: operators' requests, in the RPCs of KIP-1279, on their way to the node.
//!
//! Each connection is a task; it has one request under way, and its answers keep the order of the
//! requests. What they mean is for the node to say: they go to it over a bounded queue, each with
//! the place where its answer is waited for.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::doors::{Door, send, timely};
use crate::io::{Buf, Clock, Stream, World};
use crate::protocol::frame::{LENGTH_BYTES, front};
use crate::server::admin::{ADMIN_REQUEST_BYTES_MAX, AdminCall, AdminDesk, Identity};

pub use crate::protocol::mirror_rpc::{AdminAnswer, AdminRequest};

/// A request, and where its answer is waited for. One that is dropped ends the connection.
pub type Asked = (AdminRequest, oneshot::Sender<AdminAnswer>);

/// What a connection has room for until a larger request comes.
const WINDOW_BYTES: usize = 16 << 10;
/// How long a connection may be open without a request.
const IDLE: Duration = Duration::from_secs(600);
/// How long the rest of a request may take, and the taking of an answer.
const UNDER_WAY: Duration = Duration::from_secs(30);

/// Answers whoever connects, as `identity`, until the node takes no requests any more.
pub async fn serve<W: World>(
    world: W,
    door: Door<W>,
    identity: Identity,
    asked: mpsc::Sender<Asked>,
) {
    let desk = Rc::new(AdminDesk::new(identity));
    let closed = asked.clone();
    let answering = world.clone();
    door.serve(world, async move { closed.closed().await }, |stream| {
        let conversation = Conversation {
            world: answering.clone(),
            stream,
            desk: desk.clone(),
            asked: asked.clone(),
        };
        conversation.run()
    })
    .await;
}

/// One connection.
struct Conversation<W: World, S: Stream> {
    world: W,
    stream: S,
    desk: Rc<AdminDesk>,
    asked: mpsc::Sender<Asked>,
}

impl<W: World, S: Stream> Conversation<W, S> {
    async fn run(self) {
        let mut window = Buf::unpooled(WINDOW_BYTES);
        loop {
            loop {
                let frame = match front(window.bytes(), ADMIN_REQUEST_BYTES_MAX) {
                    Ok(Some(frame)) => frame,
                    Ok(None) => break,
                    Err(fault) => return self.close(&fault),
                };
                let bytes = frame.len() + LENGTH_BYTES;
                let call = self.desk.call(frame);
                window.consume(bytes);
                if !self.answer(call).await {
                    return;
                }
            }
            window = roomy(window);
            let patience = if window.bytes().is_empty() {
                IDLE
            } else {
                UNDER_WAY
            };
            let deadline = self.world.clock().now().after(patience);
            let receiving = self.stream.recv(window);
            let received = timely(&self.world, &self.stream, deadline, receiving).await;
            let Some((back, Ok(1..))) = received else {
                return;
            };
            window = back;
        }
    }

    /// Answers one request; whether another may follow.
    async fn answer(&self, call: AdminCall) -> bool {
        let frame = match call {
            AdminCall::Ready(frame) => frame,
            AdminCall::Ask(request, correlation) => {
                let name = request.name();
                let (answer_in, answer) = oneshot::channel();
                if self.asked.send((request, answer_in)).await.is_err() {
                    self.close(&"the node is stopping");
                    return false;
                }
                let Ok(answer) = answer.await else {
                    self.close(&format!("the node has no answer to {name}"));
                    return false;
                };
                AdminDesk::reply(&answer, correlation)
            }
            AdminCall::Close(reason) => {
                self.close(&reason);
                return false;
            }
        };
        send(&self.world, &self.stream, UNDER_WAY, &frame).await
    }

    fn close(&self, why: &dyn std::fmt::Display) {
        tracing::warn!("a connection to the admin listener is closed: {why}");
        self.stream.shutdown();
    }
}

/// The same bytes, which are less than a request, with room for the rest of it; and with no more
/// room than usual once a large one is answered.
fn roomy(mut window: Buf) -> Buf {
    let stated = window.bytes().first_chunk::<LENGTH_BYTES>();
    let stated = stated.map_or(0, |length| u32::from_be_bytes(*length) as usize);
    let needed = WINDOW_BYTES.max(stated + LENGTH_BYTES);
    let is_usual = window.capacity() == WINDOW_BYTES;
    if window.capacity() >= needed && (is_usual || needed > WINDOW_BYTES) {
        window.compact();
        return window;
    }
    let mut other = Buf::unpooled(needed);
    other.push(window.bytes());
    other
}

#[cfg(test)]
mod tests;
