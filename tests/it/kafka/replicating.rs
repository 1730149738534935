//! A shard of ours follows stock leaders as a replica: its log is theirs byte for byte, it comes
//! into the in-sync set, obeys where the logs part, and may be elected when it has been away.

use std::path::Path;
use std::time::Instant;

use twinlog::control::membership::Parting;
use twinlog::kraft::Role;
use twinlog::model::BrokerId;
use twinlog::shard::inbox::{Order, Told};

use super::compare::{Batches, read};
use super::follower::{Follower, Known, log_end};
use super::member::Node;
use super::*;

const US: BrokerId = BrokerId(9001);
const PARTITION: &str = "followed-0";
/// Longer than a broker stands still here, however slow the machine.
const SESSION: (&str, &str) = ("broker.session.timeout.ms", "12000");

#[test]
fn a_replica_is_let_in_sync_obeys_and_may_be_elected() {
    let Some(_turn) = Turn::take("a_replica_is_let_in_sync_obeys_and_may_be_elected") else {
        return;
    };
    for version in newest_and_another("replicating") {
        let mut scene = Scene::begin(&version);
        scene.comes_into_sync_while_producers_write();
        scene.goes_on_after_a_tear();
        scene.is_cut_where_a_new_leader_has_less();
        scene.comes_back_to_a_log_that_begins_later();
        scene.is_registered_anew_while_it_follows();
        scene.is_elected();
    }
}

struct Scene {
    cluster: Cluster,
    node: Node,
    follower: Option<Follower>,
}

impl Scene {
    /// Broker 2 leads and 3 follows; 1 is the controller. We are a replica that nobody has seen.
    fn begin(version: &str) -> Scene {
        let workload = Arc::new(Workload::start(version));
        let cluster = Cluster::start_quorum(&workload, "replicating", (3, 1), &[SESSION]);
        // The coordinators' topic is made now, or some of it would be laid upon us.
        cluster.ask("create topic=before partitions=1");
        cluster.ask("transact topic=before id=before count=1");
        let mut node = Node::start(US, 1, &cluster.controllers());
        node.until_serving("unfenced");
        cluster.ask("create topic=followed assign=2+3+9001 c.segment.bytes=1048576");
        node.until("a partition of ours", |_, node| {
            node.role(PARTITION).is_some()
        });
        assert_eq!(node.role(PARTITION), Some(Role::Follow(BrokerId(2))));
        Scene {
            cluster,
            node,
            follower: None,
        }
    }

    fn follow(&mut self, known: Known) {
        let epoch = *self.node.epochs.last().expect("registered");
        let dir = self.cluster.dir().join("ours");
        let mut follower = Follower::start(US, epoch, &dir);
        follower.follow(&self.node, PARTITION, known);
        self.follower = Some(follower);
    }

    fn until(&mut self, what: &str, is_so: impl FnMut(&Follower, &Node) -> bool) {
        let follower = self.follower.as_mut().expect("we follow");
        let begun = Instant::now();
        follower.until(&mut self.node, what, is_so);
        eprintln!("{what}: after {:?}", begun.elapsed());
    }

    fn until_in_sync(&mut self) {
        self.until("in sync", |_, node| isr(node).contains(&US));
    }

    /// All that the leader has is ours, and every byte of it the same.
    fn until_equal(&mut self, leader: u32) {
        let end = log_end(&self.node, PARTITION);
        self.until("all of it", |follower, _| follower.has_all(PARTITION, end));
        let follower = self.follower.as_ref().expect("we follow");
        let status = &follower.statuses[PARTITION];
        let ours = batches(&follower.dir_of(PARTITION));
        let theirs = batches(&self.cluster.log_dir(leader).join(PARTITION));
        let from = status.log_start.value().max(theirs.range().0);
        let (ours, theirs) = (ours.within(from..end), theirs.within(from..end));
        assert_eq!(ours.len(), theirs.len());
        for (one, other) in ours.iter().zip(theirs) {
            assert!(one == other, "the batch at {} differs", one.base);
        }
    }

    /// What a broker is asked that need not be all well.
    fn ask_of(&self, broker: u32, command: &str) {
        let at = self.cluster.broker(broker);
        self.cluster.workload.ask(&format!("{command} b={at}"));
    }

    fn comes_into_sync_while_producers_write(&mut self) {
        self.ask_of(2, "produce topic=followed count=4000 size=700 acks=1");
        self.node
            .until("out of sync", |_, node| !isr(node).contains(&US));
        self.ask_of(2, "load id=steady topic=followed rate=200");
        self.follow(Known::default());
        self.until_in_sync();
        for (codec, end) in [("zstd", "commit"), ("lz4", "abort"), ("none", "commit")] {
            let what =
                format!("transact topic=followed id={codec} codec={codec} count=20 end={end}");
            self.ask_of(2, &what);
        }
        self.cluster.workload.ask("unload id=steady");
        self.until_equal(2);
    }

    /// As a kill leaves it: the end of the last segment is torn, nothing was closed.
    fn goes_on_after_a_tear(&mut self) {
        let follower = self.follower.take().expect("we follow");
        let dir = follower.dir_of(PARTITION);
        let known = follower.close()[PARTITION];
        let segments = super::compare::segments(&dir);
        let last = segments.last().expect("there are some");
        let file = File::options().write(true).open(last).expect("it is ours");
        let size = file.metadata().expect("it is there").len();
        file.set_len(size - 37).expect("it is ours");
        self.ask_of(2, "produce topic=followed count=50 acks=1");
        self.follow(Known {
            is_clean: false,
            ..known
        });
        self.until_equal(2);
        self.until_in_sync();
    }

    /// Broker 3 stands still while 2 takes what only we fetch, and then 2 dies.
    fn is_cut_where_a_new_leader_has_less(&mut self) {
        // Whom the leader has let go of would not hold its high watermark back.
        self.until("all in sync", |_, node| isr(node).len() == 3);
        let before = self.end();
        self.cluster.pause(3);
        // The first one answers a fetch that 3 has sent before, and it finds it when it goes on.
        for (count, end) in [(1, before + 1), (200, before + 201)] {
            self.ask_of(2, &format!("produce topic=followed count={count} acks=1"));
            self.until("what only we have", |follower, _| {
                follower.statuses[PARTITION].log_end.value() == end
            });
        }
        let status = &self.follower.as_ref().expect("we follow").statuses[PARTITION];
        let high = status.high_watermark.map(|high| high.value());
        assert_eq!(high, Some(before), "nobody else has it");
        self.cluster.kill(2);
        self.cluster.resume(3);
        self.until("another leader", |_, node| {
            node.role(PARTITION) == Some(Role::Follow(BrokerId(3)))
        });
        self.until("the cut", |follower, _| {
            let cut = follower.told.iter().find_map(|told| match told {
                Told::SourceTruncated { to, .. } => Some(to.value()),
                _ => None,
            });
            cut.is_some_and(|to| (before..=before + 1).contains(&to))
        });
        self.ask_of(3, "produce topic=followed count=77 acks=1");
        self.until_equal(3);
        self.until_in_sync();
        self.cluster.restart(2);
        self.ask_of(3, "produce topic=followed count=10 acks=all");
        self.until_equal(3);
    }

    /// We are away for longer than our session lasts, and the leader deletes all that we have.
    fn comes_back_to_a_log_that_begins_later(&mut self) {
        let follower = self.follower.take().expect("we follow");
        let known = follower.close()[PARTITION];
        self.die_and_come_back(2, |scene| {
            scene.ask_of(3, "produce topic=followed count=500 acks=1");
            let before = known.recovery_point + 250;
            scene.ask_of(3, &format!("trim topic=followed before={before}"));
        });
        self.follow(known);
        self.until_in_sync();
        self.until_equal(3);
        let follower = self.follower.as_ref().expect("we follow");
        let start = follower.statuses[PARTITION].log_start.value();
        assert_eq!(start, known.recovery_point + 250);
    }

    /// Our session ends while our log is followed: leaders listen to the new life only.
    fn is_registered_anew_while_it_follows(&mut self) {
        self.die_and_come_back(3, |scene| {
            scene.ask_of(3, "produce topic=followed count=10 acks=all");
        });
        let epoch = *self.node.epochs.last().expect("registered");
        let follower = self.follower.as_ref().expect("we follow");
        follower.order(Order::Registered(epoch));
        self.until_in_sync();
        self.ask_of(3, "produce topic=followed count=10 acks=all");
        self.until_equal(3);
    }

    fn die_and_come_back(&mut self, life: u8, meanwhile: impl FnOnce(&Scene)) {
        let fresh = Node::start(BrokerId(9002), 1, &self.cluster.controllers());
        let mut old = std::mem::replace(&mut self.node, fresh);
        old.orders = None;
        assert!(matches!(old.join(), Parting::Abandoned));
        self.node.until("our session is over", |_, node| {
            let us = node.image.brokers.get(US);
            us.is_some_and(|us| us.is_fenced)
        });
        meanwhile(self);
        let again = Node::start(US, life, &self.cluster.controllers());
        std::mem::replace(&mut self.node, again).unregister();
        self.node.until_serving("another life");
        assert!(!isr(&self.node).contains(&US));
    }

    fn is_elected(&mut self) {
        self.cluster
            .ask("reassign topic=followed replicas=9001+3+2");
        self.cluster.ask("elect topic=followed");
        self.until("elected", |_, node| {
            node.role(PARTITION) == Some(Role::Lead)
        });
        self.follower.take().expect("we follow").close();
    }

    fn end(&self) -> i64 {
        let follower = self.follower.as_ref().expect("we follow");
        follower.statuses[PARTITION].log_end.value()
    }
}

fn isr(node: &Node) -> Vec<BrokerId> {
    let partition = node.partitions.get(PARTITION);
    let partition = partition.and_then(|news| news.partition.as_ref());
    partition.map_or(Vec::new(), |partition| partition.isr.clone())
}

fn batches(dir: &Path) -> Batches {
    read(dir).unwrap_or_else(|fault| panic!("{fault}"))
}
