//! One follower's connection: requests in, answers out, in their order, one at a time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::sync::Notify;

use super::connections::ConnectionId;
use super::leads::Leads;
use crate::io::{Buf, Clock, Stream, World};
use crate::model::Instant;
use crate::protocol::frame::{LENGTH_BYTES, front};
use crate::server::{FetchNeeds, REQUEST_BYTES_MAX, Reply};

/// The task of one connection.
pub(super) struct Connection<W: World, S: Stream> {
    pub(super) id: ConnectionId,
    pub(super) stream: S,
    pub(super) wake: Rc<Notify>,
    pub(super) clock: W::Clock,
    pub(super) leads: Rc<RefCell<Leads<W>>>,
    /// Rings when there may be something to tell.
    pub(super) alarm: Rc<Notify>,
    /// When a fetch was answered last.
    pub(super) answered_at: Cell<Instant>,
}

impl<W: World, S: Stream> Connection<W, S> {
    /// Answers until the other side goes, says what cannot be understood, or all is closed.
    pub(super) async fn run(self) {
        self.serve().await;
        self.stream.shutdown();
        self.leads.borrow_mut().connections.remove(self.id);
        self.alarm.notify_one();
    }

    async fn serve(&self) {
        let mut window = Buf::unpooled(REQUEST_BYTES_MAX + LENGTH_BYTES);
        loop {
            let (reply, bytes) = match front(window.bytes(), REQUEST_BYTES_MAX) {
                Ok(Some(frame)) => (self.hear(frame), frame.len() + LENGTH_BYTES),
                Ok(None) => {
                    window.compact();
                    let (back, received) = self.stream.recv(window).await;
                    window = back;
                    match received {
                        Ok(1..) => continue,
                        _ => return,
                    }
                }
                Err(fault) => {
                    self.leads.borrow_mut().news.tally.closed += 1;
                    (Reply::Close(fault.into()), 0)
                }
            };
            window.consume(bytes);
            let answer = match reply {
                Reply::Ready(bytes) => {
                    let mut answer = Buf::unpooled(bytes.len());
                    answer.push(&bytes);
                    answer
                }
                Reply::Fetch(needs) => self.settle(needs).await,
                Reply::Close(reason) => {
                    tracing::warn!("a connection to our followers' listener is closed: {reason}");
                    return;
                }
            };
            let (sent, outcome) = self.stream.send(answer).await;
            self.leads.borrow_mut().put_back(sent);
            if outcome.is_err() {
                return;
            }
        }
    }

    fn hear(&self, frame: &[u8]) -> Reply {
        let reply = self
            .leads
            .borrow_mut()
            .hear(self.id, frame, self.clock.now());
        self.ring();
        reply
    }

    /// The answer to a fetch, held back as long as it allows.
    async fn settle(&self, mut needs: Box<FetchNeeds>) -> Buf {
        let deadline = self.clock.now().after(needs.max_wait());
        self.keep_pace(&mut needs).await;
        loop {
            let is_late = self.clock.now() >= deadline;
            let answer = self.leads.borrow_mut().answer(&mut needs, self.id, is_late);
            if let Some(answer) = answer {
                self.answered_at.set(self.clock.now());
                self.ring();
                return answer;
            }
            tokio::select! {
                biased;
                () = self.wake.notified() => {}
                () = self.clock.sleep_until(deadline) => {}
            }
            self.look_again(&mut needs);
        }
    }

    /// Does not answer again too soon after the last time.
    async fn keep_pace(&self, needs: &mut FetchNeeds) {
        let pace = self.leads.borrow().options.answer_pace(needs.partitions());
        let due = self.answered_at.get().after(pace);
        if !needs.is_urgent() && self.clock.now() < due {
            self.clock.sleep_until(due).await;
            self.look_again(needs);
        }
    }

    fn look_again(&self, needs: &mut FetchNeeds) {
        let again = self.leads.borrow_mut().again(needs, self.clock.now());
        *needs = again;
    }

    /// Has the thread's own turn come earlier, where there is something to tell before it.
    fn ring(&self) {
        if self.leads.borrow().is_due_early() {
            self.alarm.notify_one();
        }
    }
}
