//! The destination's cluster as a node that is a broker of it sees it, and what follows from that
//! for partitions and for the thread that serves followers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::control::MemberOptions;
use crate::control::destination::fitness::is_ours;
use crate::control::destination::topics::Seat;
use crate::control::membership::MemberOrder;
use crate::io::{Disk, World};
use crate::kraft::{self, Fate, Image, Life, News, PartitionNews, Wish};
use crate::leading::inbox::{self as leading, Eligible, IsrFate, Leadership, Lease};
use crate::mirror::{Action, PartitionKey};
use crate::model::{BrokerEpoch, BrokerId, Offset, TopicId, TopicPartition};
use crate::session::BrokerAddress;
use crate::shard::inbox::{Endpoint, Order};

use super::Node;
use super::course::{Goal, Home, LogAt, Part};
use super::dwelling::Dwelling;
use super::feed::ShardTie;
use super::guarding::ProducerIds;
use super::identity::{IdentityFault, Kept};
use super::low_ids::LowIds;
use super::mirrored::{Led, Mirrored};
use super::strangers::Strangers;
use super::whose::Whose;

/// Our membership of the destination's cluster.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) us: BrokerId,
    pub(super) options: MemberOptions,
    /// Who we are from one process to the next.
    kept: Kept,
    /// For how long the controller takes us for alive.
    pub(super) lease: Lease,
    image: Arc<Image>,
    /// The image is whole, and we are in it.
    pub(super) has_begun: bool,
    /// The controller trusts us.
    pub(super) is_serving: bool,
    /// How we stand with it.
    pub(super) life: Option<Life>,
    /// The active controller.
    pub(super) controller: Option<BrokerAddress>,
    /// To the thread that keeps our membership.
    orders: mpsc::Sender<MemberOrder>,
    /// To the thread that serves followers.
    leading: mpsc::Sender<leading::Order>,
    /// The shard that follows leaders of the destination.
    pub(super) follower: ShardTie,
    /// Brokers as the follower shard was told last, and those that may be in sync.
    endpoints: BTreeMap<BrokerId, Endpoint>,
    eligible: Eligible,
    pub(super) ids: ProducerIds,
    pub(super) low_ids: LowIds,
    pub(super) strangers: Strangers,
    /// Topics of the image that are known to be made by us, or not to be.
    pub(super) made: RefCell<BTreeMap<TopicId, bool>>,
    /// What hinders us, as last told.
    pub(super) trouble: Option<String>,
    /// The controller has let us go: our life has ended in order, once our logs have.
    has_left: bool,
    /// The thread that keeps our membership has ended.
    pub(super) is_gone: bool,
}

/// The threads of a membership.
#[derive(Debug)]
pub struct MemberTies {
    /// To the thread that keeps our membership.
    pub orders: mpsc::Sender<MemberOrder>,
    /// To the thread that serves followers.
    pub leading: mpsc::Sender<leading::Order>,
    /// The shard that follows leaders of the destination.
    pub follower: ShardTie,
    /// For how long the controller takes us for alive.
    pub lease: Lease,
    /// Who we are.
    pub kept: Kept,
}

impl Membership {
    pub(super) fn new(options: MemberOptions, ties: MemberTies) -> Membership {
        Membership {
            us: options.id,
            options,
            kept: ties.kept,
            lease: ties.lease,
            image: Arc::default(),
            has_begun: false,
            is_serving: false,
            life: None,
            controller: None,
            orders: ties.orders,
            leading: ties.leading,
            follower: ties.follower,
            endpoints: BTreeMap::new(),
            eligible: Eligible::new(),
            ids: ProducerIds::default(),
            low_ids: LowIds::default(),
            strangers: Strangers::default(),
            made: RefCell::default(),
            trouble: None,
            has_left: false,
            is_gone: false,
        }
    }

    /// Has leaderships moved to others, and then leaves.
    pub(super) async fn leave(&self) {
        // Where that thread has ended, we have left already.
        drop(self.orders.send(MemberOrder::Wish(Wish::Leave)).await);
    }

    /// The next process is not to go on with this life.
    pub(super) fn end_life<D: Disk>(&mut self, disk: &D) -> Result<(), IdentityFault> {
        self.kept.end_life(disk)
    }

    /// All has ended: in order only where the controller had let us go and every log is whole.
    pub(super) fn ended(&mut self, is_clean: bool) {
        self.kept.ended_cleanly = self.has_left && is_clean;
    }

    /// The cluster that we were in before.
    pub(super) fn known_cluster(&self) -> Option<String> {
        self.kept.cluster_id.clone()
    }

    /// The id of the logs' directory.
    pub(super) fn logs(&self) -> String {
        self.kept.logs()
    }

    pub(super) fn image(&self) -> &Arc<Image> {
        &self.image
    }

    /// A partition as the destination has it, with its topic's id there.
    pub(super) fn partition(&self, id: &TopicPartition) -> Option<(TopicId, &kraft::Partition)> {
        let topic = self.image.topics.id_of(&id.topic)?;
        Some((topic, self.image.topics.partition(topic, id.partition)?))
    }

    /// Our part in a partition.
    pub(super) fn part(&self, id: &TopicPartition) -> Part {
        if !self.has_begun {
            return Part::Unknown;
        }
        let Some((_, partition)) = self.partition(id) else {
            return Part::Missing;
        };
        if !partition.replicas.contains(&self.us) {
            let is_led = partition.leader.is_some();
            return Part::Foreign { is_led };
        }
        match partition.leader {
            None => Part::Wait,
            Some(leader) if leader == self.us => Part::Lead(partition.leader_epoch),
            Some(_) => Part::Follow {
                is_in_sync: partition.isr.contains(&self.us),
            },
        }
    }

    /// A stock broker that may lead a partition after us with all that it has.
    pub(super) fn heir(&self, id: &TopicPartition) -> Option<BrokerId> {
        let (_, partition) = self.partition(id)?;
        let is_heir = |broker: &&BrokerId| {
            let broker = self.image.brokers.get(**broker);
            broker.is_some_and(|one| one.is_eligible() && !is_ours(one))
        };
        partition.isr.iter().find(is_heir).copied()
    }

    /// Nobody but us has a replica.
    pub(super) fn is_alone(&self, id: &TopicPartition) -> bool {
        let partition = self.partition(id);
        partition.is_none_or(|(_, one)| one.replicas.iter().all(|broker| *broker == self.us))
    }

    /// Where brokers are found by other brokers.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = Endpoint> + '_ {
        self.endpoints.values().cloned()
    }

    pub(super) fn endpoint(&self, broker: BrokerId) -> Option<Endpoint> {
        self.endpoints.get(&broker).cloned()
    }

    /// Our own life, as the metadata has it.
    pub(super) fn epoch(&self) -> Option<BrokerEpoch> {
        self.image.brokers.get(self.us).map(|broker| broker.epoch)
    }

    /// In which directory our replicas are, where we are registered.
    pub(super) fn dwelling(&self) -> Option<Dwelling> {
        Some(Dwelling {
            image: self.image.clone(),
            broker: self.us,
            epoch: self.epoch()?,
            directory: self.kept.directory,
        })
    }

    /// Stock brokers that live, each in its life.
    pub(super) fn stock_lives(&self) -> Vec<(BrokerId, BrokerEpoch)> {
        let brokers = &self.image.brokers;
        let is_node = |id: &BrokerId| brokers.get(*id).is_some_and(is_ours);
        let others = self.eligible.iter();
        let others = others.filter(|(id, _)| **id != self.us && !is_node(id));
        others.map(|(id, epoch)| (*id, *epoch)).collect()
    }

    /// Where they are found by other brokers.
    pub(super) fn stock_endpoints(&self) -> Vec<Endpoint> {
        let lives = self.stock_lives().into_iter();
        lives.filter_map(|(id, _)| self.endpoint(id)).collect()
    }

    /// Where replicas can be put beside ours.
    pub(super) fn seats(&self) -> Vec<Seat> {
        let lives = self.stock_lives().into_iter();
        let seats = lives.map(|(broker, _)| Seat {
            broker,
            rack: self
                .image
                .brokers
                .get(broker)
                .and_then(|one| one.rack.clone()),
        });
        seats.collect()
    }

    /// How we lead a partition, where we do and its log is open for that.
    fn led(&self, one: &Mirrored) -> Option<Led> {
        let (topic_id, partition) = self.partition(&one.id)?;
        let LogAt::Open {
            home: Home::Mirror,
            stamp,
            ..
        } = one.log
        else {
            return None;
        };
        let is_ours = partition.leader == Some(self.us);
        let opened = one.opened.as_ref()?;
        (is_ours && stamp == Some(partition.leader_epoch)).then(|| Led {
            topic_id,
            epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            min_isr: self.image.min_isr(
                &one.id.topic,
                partition.replicas.len(),
                self.options.min_insync_replicas,
            ),
            holds_others: opened.mirrored < opened.log_end,
        })
    }

    /// The same with all that the thread needs which serves followers.
    fn leadership(&self, one: &Mirrored, led: Led, dir: PathBuf) -> Option<Leadership> {
        let (_, partition) = self.partition(&one.id)?;
        let opened = one.opened.as_ref()?;
        // What others have is not known before they ask: it begins where the log does.
        let stood = one.stood.as_ref().map(|stood| stood.high_watermark);
        let high_watermark = stood.unwrap_or(Offset::ZERO);
        Some(Leadership {
            id: one.id.clone(),
            topic_id: led.topic_id,
            dir,
            leader_epoch: led.epoch,
            partition_epoch: led.partition_epoch,
            replicas: partition.replicas.clone(),
            isr: partition.isr.clone(),
            min_isr: led.min_isr,
            holds_others: led.holds_others,
            log_start: opened.log_start,
            before: None,
            log_end: opened.log_end,
            epochs: opened.epochs.clone(),
            high_watermark: high_watermark.clamp(opened.log_start, opened.log_end),
        })
    }
}

impl<W: World> Node<W> {
    /// News of the destination.
    pub(super) async fn heard(&mut self, news: News, life: Life, image: Arc<Image>) {
        let Some(membership) = &mut self.membership else {
            return;
        };
        membership.image = image;
        membership.made.get_mut().clear();
        membership.life = Some(life);
        match news {
            News::Controller(at) => membership.controller = Some(at),
            News::Registered(epoch) => {
                membership.has_begun = false;
                membership.kept.epoch = epoch;
                membership.kept.ended_cleanly = false;
                self.keep_identity();
                let Some(membership) = &self.membership else {
                    return;
                };
                let shard = membership.follower.id;
                self.order(shard, Order::Registered(epoch)).await;
                self.touch_all();
            }
            News::Begun(all) => {
                membership.has_begun = true;
                membership.trouble = None;
                self.brokers_changed().await;
                self.touch_all();
                drop(all);
                self.evacuate().await;
            }
            News::Changed { partitions, delta } => {
                if !delta.brokers().is_empty() {
                    self.brokers_changed().await;
                }
                if !delta.configs().is_empty() {
                    let touched: Vec<_> = delta.configs().iter().cloned().collect();
                    self.settings_changed(&touched).await;
                    self.touch_all();
                }
                self.changed(&partitions).await;
            }
            News::Unfenced => membership.is_serving = true,
            News::Fenced | News::Lapsed => membership.is_serving = false,
            News::Isr(fates) => {
                for ((topic_id, partition), fate) in fates {
                    let fate = isr_fate(fate);
                    let order = leading::Order::Fate {
                        topic_id,
                        partition,
                        fate,
                    };
                    self.lead(order).await;
                }
            }
            News::Trouble(why) => {
                tracing::warn!("membership: {why}");
                membership.trouble = Some(why.to_string());
            }
            News::Cluster(id) => {
                membership.kept.cluster_id = Some(id.clone());
                self.keep_identity();
                self.open_logs(&id);
            }
            News::Gone => membership.has_left = true,
            News::Refused(_) | News::Unregistered => {}
        }
    }

    pub(super) fn keep_identity(&self) {
        if let Some(membership) = &self.membership
            && let Err(fault) = membership.kept.save(self.world.disk())
        {
            tracing::error!("{fault}");
        }
    }

    async fn changed(&mut self, partitions: &[PartitionNews]) {
        for news in partitions {
            if let Some(key) = self.by_id.get(&news.id).cloned() {
                self.touched.insert(key.clone());
                if let Some(one) = self.partitions.get_mut(&key) {
                    // Whatever was waited for may have come.
                    one.rests = false;
                }
                self.tell_follower(&key, news).await;
            }
        }
        self.evacuate().await;
    }

    /// The follower shard learns of another leader of what it follows.
    async fn tell_follower(&mut self, key: &PartitionKey, news: &PartitionNews) {
        let one = self.partitions.get(key);
        if one.is_none_or(|one| one.home() != Some(Home::Follower)) {
            return;
        }
        let leader = news.partition.as_ref().and_then(|now| now.leader);
        let shard = self.membership.as_ref().map(|member| member.follower.id);
        if let (Some(leader), Some(shard)) = (leader, shard) {
            let order = Order::Leader {
                id: news.id.clone(),
                leader,
                epoch: news.now.leader_epoch,
            };
            self.order(shard, order).await;
        }
    }

    /// Who lives, and where.
    async fn brokers_changed(&mut self) {
        let Some(membership) = &mut self.membership else {
            return;
        };
        let name = &membership.options.listener_name;
        let brokers = membership.image.brokers.iter();
        let at = brokers.filter_map(|(id, broker)| {
            let listener = broker.listener(name)?;
            Some((
                id,
                Endpoint {
                    broker: id,
                    host: listener.host.clone(),
                    port: listener.port,
                },
            ))
        });
        let endpoints: BTreeMap<BrokerId, Endpoint> = at.collect();
        let brokers = membership.image.brokers.iter();
        let eligible = brokers.filter(|(_, broker)| broker.is_eligible());
        let eligible: Eligible = eligible.map(|(id, broker)| (id, broker.epoch)).collect();
        let shard = membership.follower.id;
        if membership.eligible != eligible {
            membership.eligible = eligible.clone();
            self.lead(leading::Order::Brokers(eligible)).await;
        }
        let Some(membership) = &mut self.membership else {
            return;
        };
        if membership.endpoints != endpoints {
            membership.endpoints = endpoints;
            let all = membership.endpoints().collect();
            self.order(shard, Order::Brokers(all)).await;
        }
        // Whoever was waited for may have come, or gone.
        self.touch_all();
    }

    /// The thread that serves followers learns whether we lead a partition now, and how.
    pub(super) async fn tell_leading(&mut self, key: &PartitionKey) {
        let (Some(one), Some(shelf)) = (self.partitions.get(key), self.shelves.get(&None)) else {
            return;
        };
        // Asked whenever anything is new: nothing is made before it is known to be another.
        let now = self.led(key, one);
        if one.led == now {
            return;
        }
        let membership = self.membership.as_ref();
        let leads = membership.zip(now).and_then(|(membership, now)| {
            let leads = membership.leadership(one, now, shelf.dir_of(&one.id))?;
            let before = self.before(key);
            Some(Leadership { before, ..leads })
        });
        let id = one.id.clone();
        let one = self.partitions.get_mut(key).expect("just seen");
        let before = std::mem::replace(&mut one.led, now);
        if let Some(leads) = leads {
            let membership = self.membership.as_mut().expect("just seen");
            let adopted = membership.strangers.adopted(&id);
            let lead = leading::Order::Lead(Box::new(leads));
            for order in adopted.into_iter().chain([lead]) {
                self.lead(order).await;
            }
        } else if let Some(Led { topic_id, .. }) = before {
            self.lead(leading::Order::Resign { topic_id, id }).await;
        }
    }

    /// How we lead a partition, where others may follow.
    fn led(&self, key: &PartitionKey, one: &Mirrored) -> Option<Led> {
        let led = self.membership.as_ref()?.led(one)?;
        // Nobody is to follow what is about to be cut.
        let exceeds =
            one.goal() != Some(Goal::Act(Action::Stop)) && one.exceeds(self.way_back(key));
        let is_to_be_cut = exceeds || one.is_cutting || one.is_about_to_take_back();
        (!is_to_be_cut && self.whose(&one.id) != Whose::Others).then_some(led)
    }

    /// The thread that serves followers has something to tell.
    pub(super) async fn leading_told(&mut self, report: leading::Report) {
        match report {
            leading::Report::Propose(change) => {
                if let Some(membership) = &self.membership {
                    let order = MemberOrder::Propose(change);
                    drop(membership.orders.send(order).await);
                }
            }
            leading::Report::Stood(all) => {
                for stood in all {
                    if let Some(key) = self.by_id.get(&stood.id).cloned()
                        && let Some(one) = self.partitions.get_mut(&key)
                    {
                        one.stood = Some(stood);
                        self.touched.insert(key);
                    }
                }
            }
            leading::Report::Tally(tally) => self.served = tally,
        }
    }

    pub(super) async fn lead(&self, order: leading::Order) {
        if let Some(membership) = &self.membership {
            // Where that thread has ended, the node is about to.
            drop(membership.leading.send(order).await);
        }
    }

    pub(super) fn touch_all(&mut self) {
        self.touched.extend(self.partitions.keys().cloned());
    }
}

fn isr_fate(fate: Fate) -> IsrFate {
    match fate {
        Fate::Committed {
            isr,
            partition_epoch,
            ..
        } => IsrFate::Committed {
            isr,
            partition_epoch,
        },
        Fate::Reverted(_) => IsrFate::Reverted,
        Fate::Overtaken(_) => IsrFate::Overtaken,
    }
}
