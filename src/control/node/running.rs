//! The beginning and the end of a node.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::control::admin::{self, Asked};
use crate::control::doors::{Door, DoorFault};
use crate::control::metrics;
use crate::control::questions::Questions;
use crate::control::state_file::{StateFault, StateFile};
use crate::control::{NodeOptions, Options};
use crate::io::{Clock, World};
use crate::mirror::MirrorName;
use crate::model::{BrokerId, ShardId};
use crate::server::admin::Identity as Desk;
use crate::session::{Opening, Security};
use crate::shard::inbox::{Order, Report};
use crate::stdx::prng::Prng;
use crate::vault::{Found, Identity, Vault, VaultFault};

use super::event::{Event, Then};
use super::member::{MemberTies, Membership};
use super::shelf::Shelf;
use super::{Node, Threads};

/// The logs of a member.
pub(super) const LOGS: &str = "logs";
/// Requests of operators that may wait.
const OPERATORS_MAX: usize = 16;
/// For so long shards may take to close their logs.
const CLOSE_WITHIN: Duration = Duration::from_secs(60);
/// For so long the controller may take to let us go.
const LEAVE_WITHIN: Duration = Duration::from_secs(8);

/// What a node is connected to.
pub struct Ties {
    /// From all shards.
    pub reports: mpsc::Receiver<(ShardId, Report)>,
    /// To the node, from everybody else.
    pub events_in: mpsc::Sender<Event>,
    /// The other end of that.
    pub events: mpsc::Receiver<Event>,
    /// The threads of a membership, where there is to be one.
    pub member: Option<MemberTies>,
    /// Starts the shards of a mirror.
    pub threads: Threads,
}

/// Why a node has ended, or did not begin.
#[derive(Debug, thiserror::Error)]
pub enum NodeFault {
    /// Its state cannot be used.
    #[error(transparent)]
    State(#[from] StateFault),
    /// Its logs cannot be used.
    #[error(transparent)]
    Vault(#[from] VaultFault),
    /// Its logs are not those that its life has begun with.
    #[error(
        "other logs are in {} now than when this node was started: see that the right file system \
         is mounted there, then start the node again", dir.display()
    )]
    OtherLogs {
        /// Where they are.
        dir: PathBuf,
    },
    /// A mirror that the configuration declares cannot be.
    #[error("the mirror '{mirror}' of the configuration: {why}")]
    Declared {
        /// Its name.
        mirror: String,
        /// What is wrong with it.
        why: String,
    },
    /// Operators cannot be let in.
    #[error(transparent)]
    Door(#[from] DoorFault),
    /// A disk has lost what followers may have.
    #[error(
        "{partition}: {why}: what the disk has lost, followers may have had from this node, so \
         that it ends and leaves its partitions to them; see that the disk is sound (dmesg), then \
         start the node again: it will follow first"
    )]
    Disk {
        /// Of which partition.
        partition: String,
        /// What failed.
        why: String,
    },
    /// All shards have ended.
    #[error("the shards have ended by a bug; a message of theirs stands above")]
    ShardsLost,
    /// The destination does not have us any more.
    #[error("the destination does not have this node as a broker: {0}")]
    Parted(String),
}

/// Runs a node until `stop` is done, or it cannot go on; then closes everything in order.
///
/// # Errors
/// Why it did not begin, or could not go on.
pub async fn run<W: World>(
    world: W,
    options: Options,
    chosen: NodeOptions,
    ties: Ties,
    stop: impl Future<Output = ()>,
) -> Result<(), NodeFault> {
    let (operators_in, operators) = mpsc::channel(OPERATORS_MAX);
    let mut node = Node::begun(world.clone(), options, chosen, ties, operators)?;
    node.open_door(operators_in).await?;
    // The cluster is asked for its id only where that is not known.
    if let Some(known) = node.membership.as_ref().and_then(Membership::known_cluster) {
        node.open_logs(&known);
    }
    node.declare().await?;
    node.reconcile_mirrors().await;
    node.reconcile_topics();
    let ended = node.turns(stop).await;
    let closed = node.close().await;
    ended.and(closed)
}

impl<W: World> Node<W> {
    fn begun(
        world: W,
        options: Options,
        chosen: NodeOptions,
        ties: Ties,
        operators: mpsc::Receiver<Asked>,
    ) -> Result<Node<W>, NodeFault> {
        let file = StateFile::open(world.disk().clone(), &chosen.data_dir)?;
        let planned = super::planned_file::read(world.disk(), &chosen.data_dir);
        let asides = super::asides::Asides::read(world.disk(), &chosen.data_dir);
        let now = world.clock().now();
        let opening = Opening {
            security: Security::Plaintext,
            timeout: Duration::from_millis(u64::from(options.request_timeout_ms)),
        };
        let seed = u64::try_from(world.clock().wall().0).unwrap_or_default();
        let member = chosen.member();
        let membership = ties.member.zip(member);
        let membership = membership.map(|(ties, member)| Membership::new(member, ties));
        let mut shards = BTreeMap::new();
        let mut senders = BTreeMap::new();
        if let Some(membership) = &membership {
            let tie = &membership.follower;
            shards.insert(tie.id, None);
            senders.insert(tie.id, tie.orders.clone());
        }
        Ok(Node {
            world,
            options,
            chosen,
            opening,
            chance: Prng::new(seed),
            threads: ties.threads,
            file,
            writes: Vec::new(),
            keep_at: now,
            feeds: BTreeMap::new(),
            shards,
            worked: BTreeMap::new(),
            fatal: None,
            ties: senders,
            partitions: BTreeMap::new(),
            by_id: BTreeMap::new(),
            touched: BTreeSet::new(),
            bereft: BTreeSet::new(),
            renamed: Vec::new(),
            timers: BTreeSet::new(),
            shelves: BTreeMap::new(),
            is_clean: true,
            membership,
            destination_questions: Questions::default(),
            answers_due: Vec::new(),
            chores: super::chores::Chores::default(),
            asides,
            planned,
            held: Vec::new(),
            served: crate::leading::inbox::Tally::default(),
            reports: ties.reports,
            events_in: ties.events_in,
            events: ties.events,
            operators,
            failures: BTreeMap::new(),
            snapshots: watch::Sender::new(Arc::default()),
            write_books_at: now,
            tell_metrics_at: now,
        })
    }

    /// Lets operators in.
    async fn open_door(&self, asked: mpsc::Sender<Asked>) -> Result<(), NodeFault> {
        let options = &self.chosen.admin;
        let most = usize::from(options.connections_max);
        let door = Door::open(&self.world, "admin.listen", &options.listen, most).await?;
        let identity = Desk {
            broker: self.chosen.id.unwrap_or(BrokerId(0)),
            host: options.listen.host.clone(),
            port: door.at().port(),
            cluster: String::new(),
        };
        let serving = admin::serve(self.world.clone(), door, identity, asked);
        self.world.spawn(serving);
        if let Some(at) = &options.metrics {
            let door = Door::open(&self.world, "admin.metrics", at, most).await?;
            let telling = metrics::serve(self.world.clone(), door, self.snapshots.subscribe());
            self.world.spawn(telling);
        }
        Ok(())
    }

    /// Mirrors that the configuration declares are made, or get the settings that it has for them.
    async fn declare(&mut self) -> Result<(), NodeFault> {
        for declared in self.chosen.mirrors.clone() {
            let (name, settings) = (&declared.name, declared.settings.clone());
            let registry = self.state().registry();
            let records = match registry.mirror(name.as_str()).is_ok() {
                // It may be that its source is found elsewhere now.
                true => registry
                    .declare_again(name, settings)
                    .map(|record| record.into_iter().collect()),
                false => registry.create(name.as_str(), settings),
            };
            let records = records.map_err(|refusal| NodeFault::Declared {
                mirror: name.to_string(),
                why: refusal.to_string(),
            })?;
            if !records.is_empty() {
                self.file.append(records).await?;
            }
        }
        let stale = self
            .state()
            .registry()
            .stale(self.state().states(), self.state().positions());
        let stale = stale.into_iter().map(|record| (record, Then::Nothing));
        self.writes.extend(stale);
        Ok(())
    }

    /// The logs of a mirror in a vault, once its source's cluster is known.
    pub(super) fn open_vault(&mut self, mirror: &MirrorName, cluster_id: &str) {
        let key = Some(mirror.clone());
        if self.membership.is_some() || self.shelves.contains_key(&key) {
            return;
        }
        let dir = self.chosen.data_dir.join(mirror.as_str());
        let identity = Identity {
            cluster_id: cluster_id.to_owned(),
            node_id: 0,
            directory_id: random_id(),
        };
        self.put_shelf(key, &dir, &identity);
    }

    /// The logs of a member, once the destination's cluster is known.
    pub(super) fn open_logs(&mut self, cluster_id: &str) {
        let Some(membership) = &self.membership else {
            return;
        };
        if self.shelves.contains_key(&None) {
            return;
        }
        let dir = self.chosen.data_dir.join(LOGS);
        let identity = Identity {
            cluster_id: cluster_id.to_owned(),
            node_id: membership.us.0,
            directory_id: membership.logs(),
        };
        self.put_shelf(None, &dir, &identity);
    }

    fn put_shelf(&mut self, key: Option<MirrorName>, dir: &std::path::Path, identity: &Identity) {
        let shift = self.options.producer_id_shift;
        let disk = self.world.disk().clone();
        match Vault::open(disk, dir, identity, shift) {
            Ok((_, found)) if !self.are_known(&found) => {
                let dir = dir.to_owned();
                self.has_no_logs(NodeFault::OtherLogs { dir });
            }
            Ok((vault, found)) => {
                self.shelves.insert(key, Shelf::new(vault, found));
                if let Some(membership) = &mut self.membership {
                    membership.made.get_mut().clear();
                }
                self.touch_all();
            }
            Err(fault) if self.membership.is_some() => self.has_no_logs(fault.into()),
            Err(fault) => tracing::error!("{fault}"),
        }
    }

    /// Whether a member has opened the logs that it has begun its life with.
    fn are_known(&self, found: &Found) -> bool {
        let membership = self.membership.as_ref();
        membership.is_none_or(|member| found.state.directory_id == Some(member.logs()))
    }

    /// A broker without its logs would lead what it cannot serve. Nor has its life ended in order:
    /// whether they are whole nobody has seen.
    fn has_no_logs(&mut self, fault: NodeFault) {
        self.is_clean = false;
        self.fatal = Some(fault);
    }

    /// Leaves the destination, then has all logs closed, then the books.
    async fn close(mut self) -> Result<(), NodeFault> {
        if let Some(membership) = &self.membership {
            membership.leave().await;
            self.until(LEAVE_WITHIN, |node| {
                node.membership.as_ref().is_none_or(|member| member.is_gone)
            })
            .await;
        }
        for shard in self.ties.keys().copied().collect::<Vec<_>>() {
            self.order(shard, Order::Close).await;
        }
        let are_closed = self.until(CLOSE_WITHIN, |node| node.ties.is_empty()).await;
        let is_clean = self.is_clean && are_closed;
        for (_, shelf) in std::mem::take(&mut self.shelves) {
            shelf.close(is_clean)?;
        }
        if let Some(membership) = &mut self.membership {
            membership.ended(is_clean);
            self.keep_identity();
        }
        Ok(())
    }

    /// Takes in what happens until that is so, or the time is over. Says which.
    async fn until(&mut self, within: Duration, is_it: impl Fn(&Node<W>) -> bool) -> bool {
        let clock = self.world.clock().clone();
        let deadline = clock.now().after(within);
        while !is_it(self) {
            tokio::select! {
                biased;
                report = self.reports.recv() => match report {
                    Some((shard, report)) => self.reported(shard, report),
                    None => return is_it(self),
                },
                event = self.events.recv() => {
                    let event = event.expect("the node holds a sender itself");
                    self.last_heard(event).await;
                }
                () = clock.sleep_until(deadline) => return false,
            }
        }
        true
    }

    /// What still counts once the end has begun.
    async fn last_heard(&mut self, event: Event) {
        match event {
            Event::News(news, life, image) => {
                self.heard(news, life, image).await;
                for key in std::mem::take(&mut self.touched) {
                    self.tell_leading(&key).await;
                }
            }
            Event::Parted(_) => {
                if let Some(membership) = &mut self.membership {
                    membership.is_gone = true;
                }
            }
            Event::Leading(report) => self.leading_told(report).await,
            _ => {}
        }
    }
}

fn random_id() -> String {
    crate::model::TopicId::new(uuid::Uuid::new_v4().into_bytes()).to_string()
}
