//! What the thread of a membership tells a node, and how it is told to whom at once.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::control::membership::Hear;
use crate::kraft::{Image, Life, Member, News};
use crate::leading::inbox::Lease;

use super::event::Event;

/// Ears on the thread of a membership, which must not be held up: news that the node cannot take
/// now waits here.
pub struct Hearing {
    events: mpsc::Sender<Event>,
    waiting: VecDeque<Event>,
    image: Arc<Image>,
    lease: Lease,
}

impl Hearing {
    /// Tells the node by `events`, and whoever serves followers by `lease`.
    #[must_use]
    pub fn new(events: mpsc::Sender<Event>, lease: Lease) -> Hearing {
        Hearing {
            events,
            waiting: VecDeque::new(),
            image: Arc::default(),
            lease,
        }
    }

    fn flush(&mut self) {
        while let Some(event) = self.waiting.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) {
                self.waiting.push_front(event);
                return;
            }
        }
    }
}

impl Hearing {
    /// Tells all that still waits.
    pub async fn end(self) {
        for event in self.waiting {
            // Where the node has ended, nobody wants it.
            drop(self.events.send(event).await);
        }
        self.lease.end();
    }
}

impl Hear for Hearing {
    fn news(&mut self, member: &Member, news: News) {
        if matches!(news, News::Begun(_) | News::Changed { .. }) {
            self.image = Arc::new(member.image().clone());
        }
        let event = Event::News(news, member.life(), self.image.clone());
        self.waiting.push_back(event);
        self.flush();
    }

    /// The lease is as long as the last heartbeat that was answered says, and over at once where
    /// the controller trusts us no longer.
    fn turned(&mut self, member: &Member) {
        self.flush();
        match member.life() {
            Life::Serving { lease, .. } => self.lease.extend(lease),
            _ => self.lease.end(),
        }
    }
}
