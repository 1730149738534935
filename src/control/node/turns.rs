//! The turns of a node: what has happened is taken in, decided upon, kept, and carried out.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use crate::control::state_file::StateFault;
use crate::io::{Clock, World};
use crate::mirror::{Action, Ending, Input, PartitionKey, Record};
use crate::model::{Instant, ShardId};
use crate::session::Opening;
use crate::shard::inbox::{Answer, CursorId, Order};

use super::event::{Event, Then};
use super::{Node, NodeFault};

/// Events that are taken in before anything else is looked at.
const EVENTS_PER_TURN: usize = 1_024;
/// After the state could not be written, it is written again so much later.
const KEEP_AGAIN: Duration = Duration::from_secs(1);
/// After a step of a partition has failed, the next one waits so long.
const REST: Duration = Duration::from_millis(500);

impl<W: World> Node<W> {
    /// Works until it is told to end.
    pub(super) async fn turns(&mut self, stop: impl Future<Output = ()>) -> Result<(), NodeFault> {
        let mut stop = pin!(stop);
        loop {
            self.settle().await?;
            let deadline = self.deadline();
            let clock = self.world.clock().clone();
            tokio::select! {
                biased;
                () = &mut stop => return Ok(()),
                report = self.reports.recv() => {
                    let (shard, report) = report.ok_or(NodeFault::ShardsLost)?;
                    self.reported(shard, report);
                }
                event = self.events.recv() => {
                    self.take(event.expect("the node holds a sender itself")).await?;
                }
                asked = self.operators.recv() => {
                // Whoever listens for operators ends with us.
                if let Some(asked) = asked {
                    self.asked(asked);
                }
            }
                () = clock.sleep_until(deadline) => {}
            }
            for _ in 0..EVENTS_PER_TURN {
                if let Ok((shard, report)) = self.reports.try_recv() {
                    self.reported(shard, report);
                } else if let Ok(event) = self.events.try_recv() {
                    self.take(event).await?;
                } else {
                    break;
                }
            }
        }
    }

    /// Everything that follows from what has been taken in, until nothing more does.
    async fn settle(&mut self) -> Result<(), NodeFault> {
        self.tick();
        loop {
            if let Some(fault) = self.fatal.take() {
                return Err(fault);
            }
            self.advance().await;
            let has_kept = self.keep().await?;
            if self.touched.is_empty() && !has_kept {
                break;
            }
        }
        self.ask_sources();
        self.answer_shards().await;
        self.ask_destination().await;
        self.look_at_plans();
        self.write_books().await;
        self.answer_held();
        self.tell_metrics();
        Ok(())
    }

    /// Writes what is to be kept; then whoever waits for it goes on. Says whether anything was.
    async fn keep(&mut self) -> Result<bool, NodeFault> {
        let now = self.world.clock().now();
        if self.writes.is_empty() || now < self.keep_at {
            return Ok(false);
        }
        let writes = std::mem::take(&mut self.writes);
        let (records, thens): (Vec<Record>, Vec<Then>) = writes.into_iter().unzip();
        let is_other = |record: &Record| matches!(record, Record::Mirror(..) | Record::Topic(..));
        let is_other = records.iter().any(is_other);
        match self.file.append(records.clone()).await {
            Ok(()) => {}
            Err(fault @ StateFault::Io { .. }) => {
                tracing::error!("nothing goes on before the node's state can be kept: {fault}");
                self.writes = records.into_iter().zip(thens).collect();
                self.keep_at = now.after(KEEP_AGAIN);
                return Ok(false);
            }
            Err(fault) => return Err(fault.into()),
        }
        if is_other {
            self.reconcile_mirrors().await;
            self.reconcile_topics();
        }
        for then in thens {
            self.kept(then);
        }
        Ok(true)
    }

    fn kept(&mut self, then: Then) {
        match then {
            Then::State(key, ticket) => self.drive(&key, Input::Written { ticket }),
            Then::Step(key) => {
                if let Some(one) = self.partitions.get_mut(&key) {
                    one.is_busy = false;
                    self.touched.insert(key);
                }
            }
            Then::Answer(to, answer) => {
                // Whoever has gone away does not want it.
                drop(to.send(answer));
            }
            Then::Nothing => {}
        }
    }

    async fn take(&mut self, event: Event) -> Result<(), NodeFault> {
        match event {
            Event::Seen { mirror, outcome } => self.seen(&mirror, outcome).await,
            Event::Began {
                mirror,
                asked,
                outcome,
            } => {
                let now = self.world.clock().now();
                if let Err(fault) = &outcome {
                    tracing::warn!(
                        "{mirror}: {fault}: clients have to reach each broker at the address that \
                         it advertises (advertised.listeners)"
                    );
                }
                if let Some(feed) = self.feeds.get_mut(&mirror) {
                    feed.began(now, &asked, outcome.ok());
                }
                let keys = asked.iter().filter_map(|id| self.by_id.get(id));
                let keys: Vec<PartitionKey> = keys.cloned().collect();
                self.touched.extend(keys);
            }
            Event::Answered {
                mirror,
                broker,
                answers,
            } => {
                let mirror = mirror.and_then(|mirror| self.feeds.get_mut(&mirror));
                if let Some(feed) = mirror {
                    feed.questions.answered(broker);
                    let unanswered =
                        |(_, _, answer): &(_, _, Answer)| *answer == Answer::Unavailable;
                    if answers.iter().any(unanswered) {
                        feed.look_soon();
                    }
                } else {
                    self.destination_questions.answered(broker);
                }
                self.answers_due.extend(answers);
            }
            Event::News(news, life, image) => {
                self.heard(news, life, image).await;
                self.see_who_is_away();
            }
            Event::Parted(why) => {
                // Nobody is to be waited for then.
                if let Some(membership) = &mut self.membership {
                    membership.is_gone = true;
                }
                return Err(NodeFault::Parted(why));
            }
            Event::Leading(report) => self.leading_told(report).await,
            Event::Chore(outcome) => self.chore_ended(outcome),
        }
        Ok(())
    }

    async fn seen(
        &mut self,
        mirror: &crate::mirror::MirrorName,
        outcome: Result<crate::session::ClusterView, crate::session::SessionFault>,
    ) {
        let (now, interval) = (self.world.clock().now(), self.look_interval());
        if let Some(feed) = self.feeds.get_mut(mirror) {
            feed.looked(now, interval);
        }
        let is_seen = outcome.is_ok();
        match outcome {
            Ok(view) => self.see(mirror, &view).await,
            Err(fault) => {
                let why = format!("the source cannot be asked: {fault}");
                let feed = self.feeds.get_mut(mirror);
                if feed.is_some_and(|feed| feed.is_silent(now, &why)) {
                    tracing::warn!("{mirror}: {why}");
                }
                let feed = self.feeds.get(mirror);
                if feed.is_some_and(|feed| feed.is_gone(now)) {
                    self.source_is_gone(mirror, &why);
                }
            }
        }
        if let Some(feed) = self.feeds.get_mut(mirror) {
            self.answers_due.extend(feed.leader_answers(is_seen));
            let want: Vec<PartitionKey> = self
                .partitions
                .keys()
                .filter(|key| key.mirror == *mirror)
                .cloned()
                .collect();
            self.touched.extend(want);
        }
    }

    /// What is mirrored from it has failed, until it is heard of again.
    fn source_is_gone(&mut self, mirror: &crate::mirror::MirrorName, why: &str) {
        let of_mirror = self.partitions.iter().filter(|(key, one)| {
            let mirrors = one
                .acting
                .is_some_and(|(_, action)| action == Action::Mirror);
            key.mirror == *mirror && mirrors
        });
        let keys: Vec<PartitionKey> = of_mirror.map(|(key, _)| key.clone()).collect();
        for key in keys {
            *self.failures.entry(mirror.clone()).or_default() += 1;
            let why = why.to_owned();
            let is_retryable = true;
            self.ended(&key, Ending::Failed { why, is_retryable });
            self.bereft.insert(key);
        }
    }

    /// What had failed because its source was away need not wait for its next try, nor is that held
    /// against it; but what was tried too often waits for an operator.
    pub(super) fn source_is_back(&mut self, mirror: &crate::mirror::MirrorName) {
        let bereft = std::mem::take(&mut self.bereft);
        let (back, others) = bereft.into_iter().partition(|key| key.mirror == *mirror);
        self.bereft = others;
        let back: std::collections::BTreeSet<PartitionKey> = back;
        for key in back {
            let record = self.state().states().get(&key);
            if record.is_some_and(|record| !self.chosen.retry.is_exhausted(record.retry)) {
                self.drive(&key, Input::Recover);
            }
        }
    }

    async fn answer_shards(&mut self) {
        for (shard, cursor, answer) in std::mem::take(&mut self.answers_due) {
            self.order(shard, Order::Answer { cursor, answer }).await;
        }
    }

    pub(super) async fn order(&self, shard: ShardId, order: Order) {
        if let Some(orders) = self.ties.get(&shard) {
            // A shard that has ended is seen by its reports.
            drop(orders.send(order).await);
        }
    }

    /// Runs an errand beside everything else.
    pub(super) fn errand<F: Future<Output = Event> + 'static>(
        &self,
        errand: impl FnOnce(W, Opening) -> F + 'static,
    ) {
        let (events, opening) = (self.events_in.clone(), self.opening);
        let errand = errand(self.world.clone(), opening);
        self.world.spawn(async move {
            // Where the node has ended, nobody wants it.
            drop(events.send(errand.await).await);
        });
    }

    /// Partitions whose moment has come.
    fn tick(&mut self) {
        let now = self.world.clock().now();
        while self.timers.first().is_some_and(|(at, _)| *at <= now) {
            let (_, key) = self.timers.pop_first().expect("just seen");
            if let Some(one) = self.partitions.get_mut(&key) {
                one.rests = false;
                self.drive(&key, Input::Tick);
            }
        }
    }

    /// Nothing is tried for a partition for a while.
    pub(super) fn rest(&mut self, key: &PartitionKey) {
        self.rest_for(key, REST);
    }

    /// The same for so long.
    pub(super) fn rest_for(&mut self, key: &PartitionKey, time: Duration) {
        let until = self.world.clock().now().after(time);
        if let Some(one) = self.partitions.get_mut(key) {
            one.rests = true;
            self.timers.insert((until, key.clone()));
        }
    }

    fn deadline(&self) -> Instant {
        let feeds = self.feeds.values();
        let looks = feeds
            .filter(|feed| !feed.is_looking)
            .map(|feed| feed.look_at);
        let begins = self.feeds.values().filter_map(super::feed::Feed::begin_at);
        let timer = self.timers.first().map(|(at, _)| *at);
        let keep = (!self.writes.is_empty()).then_some(self.keep_at);
        let others = [
            timer,
            keep,
            self.chores.deadline(),
            self.planned.deadline(),
            self.low_ids_deadline(),
            self.strangers_deadline(),
            self.held_deadline(),
            Some(self.write_books_at),
            Some(self.tell_metrics_at),
        ];
        let all = looks.chain(begins).chain(others.into_iter().flatten());
        all.min().expect("books are written now and then")
    }

    /// Writes the books of all logs now and then.
    async fn write_books(&mut self) {
        let now = self.world.clock().now();
        if now < self.write_books_at {
            return;
        }
        let interval = u64::from(self.options.checkpoint_interval_ms);
        self.write_books_at = now.after(Duration::from_millis(interval));
        self.forget_what_was_forced();
        self.keep_planned_soon();
        self.write_notes().await;
        for (shard, marks) in self.replicated() {
            self.order(shard, Order::Replicated(marks)).await;
        }
    }

    /// Writes the notes of all logs, and says whether that worked. Shards are told of their
    /// recovery points: what recovery would have needed before is of no use then.
    pub(super) async fn write_notes(&mut self) -> bool {
        let mut moved = Vec::new();
        let mut are_written = true;
        for shelf in self.shelves.values_mut() {
            match shelf.write() {
                Ok(points) => moved.extend(points),
                Err(fault) => {
                    tracing::warn!("the notes of logs cannot be written now: {fault}");
                    are_written = false;
                }
            }
        }
        let mut by_shard: std::collections::BTreeMap<ShardId, Vec<_>> =
            std::collections::BTreeMap::new();
        for (id, point) in moved {
            let one = self.by_id.get(&id).and_then(|key| self.partitions.get(key));
            if let Some(shard) = one.and_then(|one| one.shard) {
                by_shard.entry(shard).or_default().push((id, point));
            }
        }
        for (shard, points) in by_shard {
            self.order(shard, Order::Recorded(points)).await;
        }
        are_written
    }
}

/// Whose question an answer is for.
pub(super) type AnswerDue = (ShardId, CursorId, Answer);
