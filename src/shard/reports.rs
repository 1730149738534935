//! What control is told, as often as it can take it and not more often than is useful.

use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;

use super::Shard;
use super::inbox::{Asked, Report};
use crate::io::{Clock, World};
use crate::source::Question;

/// Between two reports of mere progress.
const INTERVAL: Duration = Duration::from_millis(100);

impl<W: World> Shard<W> {
    /// Puts the source's questions into the next report.
    pub(super) fn ask(&mut self) {
        while let Some(question) = self.source.next_question() {
            let id = match question {
                Question::Broker { .. } => None,
                Question::EpochEnd { cursor, .. }
                | Question::Bounds { cursor, .. }
                | Question::Leader { cursor } => {
                    let named = self.source.name(cursor);
                    named.map(|(id, topic_id, _)| (id.clone(), topic_id))
                }
            };
            self.report.questions.push(Asked { question, id });
        }
    }

    /// Sends a report, if there is something to tell and control has room for it.
    pub(super) fn tell(&mut self) {
        let now = self.now();
        let is_urgent = self.has_urgent_news();
        let is_due = !self.moved.is_empty() && self.next_report <= now;
        if !is_urgent && !is_due {
            return;
        }
        self.next_report = now.after(INTERVAL);
        // Other shards tell by the same queue: what has no room of its own now is kept for later.
        let reports = self.ties.reports.clone();
        let room = match reports.try_reserve() {
            Ok(room) => Some(room),
            Err(TrySendError::Full(())) => return,
            // Control has ended, and nobody wants it.
            Err(TrySendError::Closed(())) => None,
        };
        self.collect();
        self.report.worked = self.world.clock().worked();
        let report = std::mem::take(&mut self.report);
        if let Some(room) = room {
            room.send((self.ties.shard, report));
        }
    }

    /// Whether there is anything to tell.
    pub(super) fn has_news(&self) -> bool {
        !self.moved.is_empty() || self.has_urgent_news()
    }

    fn has_urgent_news(&self) -> bool {
        let Report {
            statuses,
            questions,
            told,
            ..
        } = &self.report;
        !questions.is_empty() || !statuses.is_empty() || !told.is_empty()
    }

    /// The status of every partition that has moved.
    pub(super) fn collect(&mut self) {
        for cursor in std::mem::take(&mut self.moved) {
            if let Some(partition) = self.partitions.get(&cursor) {
                let status = partition.status(self.source.progress(cursor));
                self.report.statuses.push(status);
            }
        }
    }
}
