//! The threads of a node: shards of each mirror, and those of a membership.

use std::net::ToSocketAddrs;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use super::Misuse;
use crate::config::Config;
use crate::control::MemberOptions;
use crate::control::membership::{Bootstrap, MemberOrder, Parting, take_part};
use crate::control::node::{Event, Hearing, Kept, MemberTies, ShardTie};
use crate::io::World;
use crate::kraft::{self, Member};
use crate::leading::inbox::{Moved, Order as LeadingOrder};
use crate::leading::{self, Leading, Lease};
use crate::mirror::{MirrorName, MirrorSettings};
use crate::model::{BrokerAddress, BrokerEpoch, ShardId};
use crate::protocol::fetch::Replica;
use crate::protocol::metadata_record::Listener;
use crate::session::Security;
use crate::shard::inbox::Report;
use crate::shard::{self, Shard};
use crate::uring;

/// Orders that may wait for a thread.
const ORDERS_MAX: usize = 1_024;
/// Reports and moves that may wait for a thread.
const REPORTS_MAX: usize = 256;
/// Where the kernel says which start of it this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// The additional listener, by which nodes find each other's operators' listener.
const NODES_LISTENER: &str = "TWINLOG";
/// A leader of the destination that fails is asked again after no more than this, in milliseconds;
/// as `replica.fetch.backoff.ms` of a stock follower.
const FOLLOW_AGAIN_MS: u32 = 1_000;
/// Kafka's number of PLAINTEXT.
const PLAINTEXT: i16 = 0;

/// Makes threads, and waits for their ends.
#[derive(Clone)]
pub(super) struct Plant {
    config: Config,
    reports: mpsc::Sender<(ShardId, Report)>,
    made: Arc<Mutex<Made>>,
}

#[derive(Default)]
struct Made {
    shards: u16,
    threads: Vec<JoinHandle<()>>,
    /// To the thread that serves followers.
    moved: Option<mpsc::Sender<Vec<Moved>>>,
}

impl Plant {
    pub(super) fn new(config: &Config, reports: mpsc::Sender<(ShardId, Report)>) -> Plant {
        Plant {
            config: config.clone(),
            reports,
            made: Arc::default(),
        }
    }

    fn made(&self) -> std::sync::MutexGuard<'_, Made> {
        self.made.lock().expect("nobody panics with it")
    }

    /// One shard of a mirror for each core that the node may use.
    pub(super) fn shards(&self, mirror: &MirrorName, settings: &MirrorSettings) -> Vec<ShardTie> {
        let mut cores = uring::cores();
        match self.config.node.cores {
            0 => {}
            most => cores.truncate(usize::from(most)),
        }
        let mut options = self.config.shard_of(settings);
        // A source that sends damage may be mended, or another broker may take the lead.
        options.source.corrupt_answers_max = u32::MAX;
        let ties = cores.into_iter().enumerate().map(|(nth, core)| {
            let name = format!("{mirror}-{nth}");
            self.shard(&name, Some(core), options.clone())
        });
        ties.collect()
    }

    fn shard(&self, name: &str, core: Option<usize>, options: shard::Options) -> ShardTie {
        let mut made = self.made();
        let id = ShardId(made.shards);
        made.shards += 1;
        let (orders, orders_out) = mpsc::channel(ORDERS_MAX);
        let ties = shard::Ties {
            orders: orders_out,
            reports: self.reports.clone(),
            shard: id,
            moved: made.moved.clone(),
        };
        let seed = u64::from(id.0);
        let thread = uring::spawn_thread(name, core, move |world| async move {
            Shard::new(world, options, ties, seed).run().await;
        });
        made.threads.push(thread);
        ShardTie { id, orders }
    }

    /// The threads of a membership: the one that keeps it, the one that serves followers, and the
    /// shard that follows leaders of the destination.
    pub(super) fn member(
        &self,
        member: &MemberOptions,
        events: &mpsc::Sender<Event>,
    ) -> Result<MemberTies, Misuse> {
        let boot_id = std::fs::read_to_string(BOOT_ID).map_err(|error| Misuse::Unreadable {
            path: BOOT_ID.into(),
            error,
        })?;
        let kept = Kept::begin(&uring::RealDisk, &self.config.node.data_dir, boot_id.trim());
        let kept = kept.map_err(|fault| Misuse::Argument(fault.to_string()))?;
        let lease = Lease::default();
        let leading = self.leading(member, events, lease.clone())?;
        let orders = self.membership(member, &kept, events, lease.clone());
        let mut options = self.config.shard.clone();
        // Stock leaders are near, and whoever waits for us waits for all of the destination.
        options.source.retry_backoff_max_ms = FOLLOW_AGAIN_MS;
        options.source.replica = Some(Replica {
            broker: member.id,
            epoch: BrokerEpoch::NONE,
        });
        Ok(MemberTies {
            orders,
            leading,
            follower: self.shard("follower", None, options),
            lease,
            kept,
        })
    }

    fn leading(
        &self,
        member: &MemberOptions,
        events: &mpsc::Sender<Event>,
        lease: Lease,
    ) -> Result<mpsc::Sender<LeadingOrder>, Misuse> {
        let unusable = |why: String| {
            let at = &member.listen;
            Misuse::Argument(format!("destination.listen: {at} cannot be used: {why}"))
        };
        let at = (member.listen.host.as_str(), member.listen.port).to_socket_addrs();
        let at = at.map_err(|error| unusable(error.to_string()))?.next();
        let at = at.ok_or_else(|| unusable("it is no address".to_owned()))?;
        let (orders, orders_out) = mpsc::channel(ORDERS_MAX);
        let (moved, moves) = mpsc::channel(REPORTS_MAX);
        let (reports, mut reports_out) = mpsc::channel(REPORTS_MAX);
        let ties = leading::Ties {
            orders: orders_out,
            moves,
            reports,
            lease,
        };
        let options = leading::Options {
            replica_lag_max_ms: self.config.node.destination.replica_lag_ms,
            ..leading::Options::default()
        };
        let (us, events) = (member.id, events.clone());
        let (listening, heard) = std::sync::mpsc::sync_channel(1);
        let thread = uring::spawn_thread("leading", None, move |world| async move {
            let relaying = world;
            let leading = match Leading::listen(world, at, us, options, ties).await {
                Ok(leading) => leading,
                Err(error) => return drop(listening.send(Err(error))),
            };
            drop(listening.send(Ok(())));
            relaying.spawn(async move {
                while let Some(report) = reports_out.recv().await {
                    drop(events.send(Event::Leading(report)).await);
                }
            });
            leading.run().await;
        });
        let mut made = self.made();
        made.threads.push(thread);
        made.moved = Some(moved);
        match heard.recv() {
            Ok(Ok(())) => Ok(orders),
            Ok(Err(error)) => Err(unusable(error.to_string())),
            Err(_) => Err(unusable("the thread has ended".to_owned())),
        }
    }

    fn membership(
        &self,
        member: &MemberOptions,
        kept: &Kept,
        events: &mpsc::Sender<Event>,
        lease: Lease,
    ) -> mpsc::Sender<MemberOrder> {
        let listener = |name: &str, at: &BrokerAddress| Listener {
            name: name.to_owned(),
            host: at.host.clone(),
            port: at.port,
            security: PLAINTEXT,
        };
        let admin = &self.config.node.admin;
        let rack = self.config.node.destination.rack.clone();
        let identity = kraft::Identity {
            node: member.id,
            cluster_id: kept.cluster_id.clone(),
            directory: kept.directory,
            incarnation: kept.incarnation,
            listeners: vec![
                listener(&member.listener_name, &member.advertised),
                listener(
                    NODES_LISTENER,
                    admin.advertised.as_ref().unwrap_or(&admin.listen),
                ),
            ],
            rack: Some(rack).filter(|rack| !rack.is_empty()),
            previous_epoch: kept.previous_epoch(),
            is_cordoned: true,
        };
        let Bootstrap {
            controllers,
            brokers,
        } = member.bootstrap.clone();
        let options = self.config.kraft.clone();
        let (orders, orders_out) = mpsc::channel(ORDERS_MAX);
        let events = events.clone();
        let seed = u64::from(std::process::id());
        let thread = uring::spawn_thread("membership", None, move |world| async move {
            let member = Member::new(identity, options, controllers, seed);
            let mut hearing = Hearing::new(events.clone(), lease);
            let security = Security::Plaintext;
            let parting =
                take_part(world, member, security, brokers, orders_out, &mut hearing).await;
            hearing.end().await;
            let why = match parting {
                Parting::Left => "it has left".to_owned(),
                Parting::Abandoned => "the node has ended".to_owned(),
                Parting::Refused(why) => why.to_string(),
            };
            drop(events.send(Event::Parted(why)).await);
        });
        self.made().threads.push(thread);
        orders
    }

    /// Waits until all threads have ended.
    pub(super) fn join(self) {
        let threads = std::mem::take(&mut self.made().threads);
        self.made().moved = None;
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread has ended by a bug; its message stands above");
            }
        }
    }
}
