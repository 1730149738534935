//! The turns of a copy: look at the source, order, take reports and answers, keep the books.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::sync::mpsc;

use super::beginnings::Unbegun;
use super::books::Books;
use super::catalogue::Catalogue;
use super::errands::{Event, inquire};
use super::ledger::Ledger;
use super::questions::Questions;
use super::reopening::Failures;
use super::{CopyFault, Job, Options, Outcome};
use crate::io::{Clock, World};
use crate::model::{BrokerId, Instant, Offset, ShardId, TopicId, TopicPartition};
use crate::session::{BrokerAddress, Opening, Security, TopicView, look_at};
use crate::shard::inbox::{Answer, Endpoint, Order, Report};
use crate::vault::{Identity, Vault};

/// A question about leaders is not answered more often than this.
const VIEW_INTERVAL_MIN: Duration = Duration::from_millis(250);
/// Errands that may end at the same time before anyone looks.
const EVENTS_MAX: usize = 256;
/// How often the caller sees the ledger.
const SHOW_INTERVAL: Duration = Duration::from_millis(250);

/// The data plane as control sees it.
pub struct Shards {
    /// To each shard, by number.
    pub orders: Vec<mpsc::Sender<Order>>,
    /// From all of them.
    pub reports: mpsc::Receiver<(ShardId, Report)>,
}

/// Copies what `job` says until all of it is done, or `stop` is; then closes shards and vault.
/// `show` sees the ledger several times a second.
///
/// # Errors
/// Why nothing could be copied at all. What stopped single partitions stands in the outcome.
pub async fn copy<W: World>(
    world: W,
    options: Options,
    job: Job,
    shards: Shards,
    stop: impl Future<Output = ()>,
    show: &mut dyn FnMut(&Ledger),
) -> Result<Outcome, CopyFault> {
    let opening = Opening {
        security: Security::Plaintext,
        timeout: Duration::from_millis(u64::from(options.request_timeout_ms)),
    };
    let mut stop = pin!(stop);
    let looked = look_at(&world, &job.from, opening).await;
    let (_, first) = looked.map_err(CopyFault::Source)?;
    let is_meant = |topic: &TopicView| job.selection.takes(&topic.name);
    if !job.follow && !first.topics.iter().any(is_meant) {
        let patterns = job.selection.text().to_owned();
        return Err(CopyFault::NoTopic { patterns });
    }
    let identity = Identity {
        cluster_id: first.cluster_id.clone(),
        node_id: 0,
        directory_id: TopicId::new(uuid::Uuid::new_v4().into_bytes()).to_string(),
    };
    let shift = options.producer_id_shift;
    let (vault, found) = Vault::open(world.disk().clone(), &job.into, &identity, shift)?;
    let mut control = Control::new(
        world,
        options,
        job,
        shards,
        opening,
        Books::new(vault, found),
    );
    control.see(&first).await?;
    let mut was_stopped = false;
    while !was_stopped && !control.is_over() {
        control.act().await;
        let deadline = control.deadline();
        tokio::select! {
            biased;
            () = &mut stop => was_stopped = true,
            report = control.shards.reports.recv() => control.reported(report).await?,
            event = control.events.recv() => {
                control.take(event.expect("control holds a sender itself")).await?;
            }
            () = control.clock.sleep_until(deadline) => {}
        }
        if control.show_at <= control.clock.now() {
            control.show_at = control.clock.now().after(SHOW_INTERVAL);
            show(&control.ledger);
        }
    }
    let outcome = control.close(was_stopped).await;
    if let Ok(outcome) = &outcome {
        show(&outcome.ledger);
    }
    outcome
}

pub(super) struct Control<W: World> {
    pub(super) world: W,
    pub(super) clock: W::Clock,
    pub(super) options: Options,
    pub(super) opening: Opening,
    pub(super) job: Job,
    pub(super) shards: Shards,
    pub(super) books: Books<W::Disk>,
    pub(super) catalogue: Catalogue,
    pub(super) ledger: Ledger,
    pub(super) questions: Questions,
    pub(super) brokers: BTreeMap<BrokerId, Endpoint>,
    /// Partitions that no shard was told of, since nobody has said where their logs begin.
    pub(super) unbegun: BTreeMap<TopicPartition, Unbegun>,
    pub(super) asked_to_begin: BTreeSet<TopicPartition>,
    pub(super) failures: Failures,
    pub(super) events_in: mpsc::Sender<Event>,
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) is_looking: bool,
    pub(super) look_at: Instant,
    pub(super) looked_at: Instant,
    pub(super) write_at: Instant,
    pub(super) show_at: Instant,
    /// It was said that topics have names only.
    pub(super) has_warned_of_names: bool,
}

impl<W: World> Control<W> {
    fn new(
        world: W,
        options: Options,
        job: Job,
        shards: Shards,
        opening: Opening,
        books: Books<W::Disk>,
    ) -> Control<W> {
        let state = &books.found().state;
        let held = state
            .partitions
            .iter()
            .map(|(id, one)| (id.topic.clone(), one.topic_id));
        let catalogue = Catalogue::new(job.selection.clone(), held);
        let (events_in, events) = mpsc::channel(EVENTS_MAX);
        let clock = world.clock().clone();
        let now = clock.now();
        Control {
            world,
            clock,
            options,
            opening,
            job,
            shards,
            books,
            catalogue,
            ledger: Ledger::default(),
            questions: Questions::default(),
            brokers: BTreeMap::new(),
            unbegun: BTreeMap::new(),
            asked_to_begin: BTreeSet::new(),
            failures: Failures::default(),
            events_in,
            events,
            is_looking: false,
            look_at: now,
            looked_at: now,
            write_at: now,
            show_at: now,
            has_warned_of_names: false,
        }
    }

    fn is_over(&self) -> bool {
        !self.job.follow && self.unbegun.is_empty() && self.ledger.is_over()
    }

    fn deadline(&self) -> Instant {
        let look = match self.is_looking {
            true => self.write_at,
            false => self.look_at,
        };
        let begin = self.begin_at().unwrap_or(look);
        let release = self.failures.next().unwrap_or(look);
        look.min(begin)
            .min(release)
            .min(self.write_at)
            .min(self.show_at)
    }

    /// Everything that is due now.
    async fn act(&mut self) {
        let now = self.clock.now();
        if !self.is_looking && self.look_at <= now {
            self.look();
        }
        self.release_again(now).await;
        self.begin(now);
        while let Some((broker, batch)) = self.questions.next_batch() {
            let endpoint = self.brokers.get(&broker).cloned();
            self.errand(move |world, opening| async move {
                let answers = match endpoint {
                    Some(endpoint) => inquire(&world, &endpoint, &batch, opening, None).await,
                    None => {
                        let unknown = batch.iter();
                        unknown
                            .map(|errand| (errand.shard, errand.cursor, Answer::Unavailable))
                            .collect()
                    }
                };
                Event::Answered { broker, answers }
            });
        }
        if self.write_at <= now {
            self.write(now).await;
        }
    }

    /// Writes the books. The shards are told of their recovery points: what recovery would have
    /// needed before is of no use then.
    async fn write(&mut self, now: Instant) {
        let interval = Duration::from_millis(u64::from(self.options.checkpoint_interval_ms));
        self.write_at = now.after(interval);
        let mut moved: BTreeMap<ShardId, Vec<(TopicPartition, Offset)>> = BTreeMap::new();
        let moved_points = match self.books.write(&self.ledger) {
            Ok(points) => points,
            Err(fault) => {
                tracing::warn!("the vault's notes cannot be written now: {fault}");
                return;
            }
        };
        for (id, point) in moved_points {
            if let Some(line) = self.ledger.lines.get(&id) {
                moved.entry(line.shard).or_default().push((id, point));
            }
        }
        for (shard, points) in moved {
            self.order(shard, Order::Recorded(points)).await;
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
            // Where control has ended, nobody wants it.
            drop(events.send(errand.await).await);
        });
    }

    fn look(&mut self) {
        self.is_looking = true;
        let mut addresses: Vec<BrokerAddress> =
            self.brokers.values().map(BrokerAddress::from).collect();
        addresses.extend(self.job.from.iter().cloned());
        self.errand(move |world, opening| async move {
            let looked = look_at(&world, &addresses, opening).await;
            Event::Seen(looked.map(|(_, view)| view))
        });
    }

    /// A view of the source is wanted before it is due.
    pub(super) fn look_soon(&mut self) {
        self.look_at = self.look_at.min(self.looked_at.after(VIEW_INTERVAL_MIN));
    }

    async fn take(&mut self, event: Event) -> Result<(), CopyFault> {
        match event {
            Event::Seen(outcome) => {
                self.is_looking = false;
                let now = self.clock.now();
                self.looked_at = now;
                let interval = u64::from(self.options.metadata_interval_ms);
                self.look_at = now.after(Duration::from_millis(interval));
                match outcome {
                    Ok(view) => self.see(&view).await?,
                    Err(fault) => {
                        tracing::warn!("the source cannot be asked: {fault}");
                        self.answer_leaders(None).await;
                    }
                }
            }
            Event::Began { asked, outcome } => {
                for id in &asked {
                    self.asked_to_begin.remove(id);
                }
                match outcome {
                    Ok(beginnings) => self.begun(&asked, beginnings).await,
                    Err(fault) => {
                        let why = format!(
                            "{fault}: clients have to reach each broker at the address that it \
                             advertises (advertised.listeners)"
                        );
                        self.not_begun(&asked, &why);
                    }
                }
            }
            Event::Answered { broker, answers } => {
                self.questions.answered(broker);
                for (shard, cursor, answer) in answers {
                    if answer == Answer::Unavailable {
                        self.look_soon();
                    }
                    self.order(shard, Order::Answer { cursor, answer }).await;
                }
            }
        }
        Ok(())
    }

    async fn reported(&mut self, report: Option<(ShardId, Report)>) -> Result<(), CopyFault> {
        let (shard, report) = report.ok_or(CopyFault::ShardLost(ShardId(0)))?;
        if report.closed.is_some() {
            return Err(CopyFault::ShardLost(shard));
        }
        for status in report.statuses {
            self.ledger.told(status);
        }
        for told in report.told {
            self.told(shard, told).await;
        }
        for asked in report.questions {
            if self.questions.take(shard, asked) {
                self.look_soon();
            }
        }
        Ok(())
    }

    pub(super) async fn order(&self, shard: ShardId, order: Order) {
        // A shard that has ended is seen by its reports.
        drop(self.shards.orders[usize::from(shard.0)].send(order).await);
    }

    async fn close(mut self, was_stopped: bool) -> Result<Outcome, CopyFault> {
        for shard in 0..self.shards.orders.len() {
            let shard = ShardId(u16::try_from(shard).expect("few shards"));
            self.order(shard, Order::Close).await;
        }
        let mut lag_ms = Histogram::new(3).expect("three digits are allowed");
        let mut is_clean = true;
        for _ in 0..self.shards.orders.len() {
            let closed = loop {
                let (_, report) = self
                    .shards
                    .reports
                    .recv()
                    .await
                    .ok_or(CopyFault::ShardLost(ShardId(0)))?;
                for status in report.statuses {
                    self.ledger.told(status);
                }
                if let Some(closed) = report.closed {
                    break closed;
                }
            };
            is_clean &= closed.is_clean;
            lag_ms
                .add(&closed.lag_ms)
                .expect("all have the same bounds");
        }
        self.books.close(&self.ledger, is_clean)?;
        Ok(Outcome {
            ledger: self.ledger,
            lag_ms,
            was_stopped,
        })
    }
}
