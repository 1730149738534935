//! The connections that are open, and how those are woken that hold a fetch back.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::io::Stream;
use crate::model::Instant;

/// One connection, by the order in which they came.
pub(super) type ConnectionId = u64;

/// All of one thread.
pub(super) struct Connections<S: Stream> {
    open: BTreeMap<ConnectionId, Open<S>>,
    next: ConnectionId,
}

struct Open<S> {
    stream: S,
    wake: Rc<Notify>,
    heard_at: Instant,
}

impl<S: Stream> Connections<S> {
    pub(super) fn new() -> Connections<S> {
        Connections {
            open: BTreeMap::new(),
            next: 0,
        }
    }

    pub(super) fn count(&self) -> usize {
        self.open.len()
    }

    /// A new one, and what wakes it.
    pub(super) fn add(&mut self, stream: S, now: Instant) -> (ConnectionId, Rc<Notify>) {
        let (id, wake) = (self.next, Rc::new(Notify::new()));
        self.next += 1;
        let open = Open {
            stream,
            wake: wake.clone(),
            heard_at: now,
        };
        self.open.insert(id, open);
        (id, wake)
    }

    pub(super) fn remove(&mut self, id: ConnectionId) {
        self.open.remove(&id);
    }

    /// Something has come over it.
    pub(super) fn heard(&mut self, id: ConnectionId, now: Instant) {
        if let Some(open) = self.open.get_mut(&id) {
            open.heard_at = now;
        }
    }

    /// Has those look again that wait for something that has happened now.
    pub(super) fn wake(&self, watchers: &mut Vec<ConnectionId>) {
        for id in watchers.drain(..) {
            if let Some(open) = self.open.get(&id) {
                open.wake.notify_one();
            }
        }
    }

    /// Ends all over which nothing has come for longer than `idle`.
    pub(super) fn end_idle(&self, now: Instant, idle: Duration) {
        let silent = self.open.values();
        for open in silent.filter(|open| now.since(open.heard_at) > idle) {
            open.stream.shutdown();
        }
    }

    /// Ends all.
    pub(super) fn end(&self) {
        for open in self.open.values() {
            open.stream.shutdown();
            open.wake.notify_one();
        }
    }
}
