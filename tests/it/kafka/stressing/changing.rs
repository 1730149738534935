//! Which side is written to changes: a failover, and then the way back of what was mirrored.

use std::time::{Duration, Instant};

use super::super::program::Running;
use super::*;

/// How long a stop may take.
const WITHIN: Duration = Duration::from_secs(150);
/// How long the way back is looked for.
const ON_ITS_WAY: Duration = Duration::from_secs(5);

/// How a failover goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Everything that was written has come.
    Planned,
    /// While the source is written to.
    AtOnce,
    /// The source is dead.
    InNeed,
    /// The node is killed in the middle of it.
    NodeDies,
    /// A stock broker is.
    BrokerDies,
}

const WAYS: [Way; 5] = [
    Way::Planned,
    Way::AtOnce,
    Way::InNeed,
    Way::NodeDies,
    Way::BrokerDies,
];

impl Storm {
    /// From here on the other side is written to.
    pub(super) fn fails_over(&mut self) {
        self.notes();
        let way = WAYS[self.chance.below(5) as usize];
        self.happens(&format!("failover: {way:?}"));
        match way {
            Way::Planned => self.planned(),
            Way::AtOnce => {
                let stop = self.passive().begin_stop(&[]);
                ends_well(stop);
            }
            Way::InNeed => self.in_need(),
            Way::NodeDies => self.node_dies(),
            Way::BrokerDies => self.broker_dies(),
        }
        self.is_handed_over();
        self.leaves_a_tail(way);
    }

    fn planned(&mut self) {
        self.writes_no_more();
        let before = self.active().ends();
        let stop = self.passive().begin_stop(&["--planned"]);
        ends_well(stop);
        // A coordinator may have ended what was open, before the stop or after it.
        let after = self.active().ends();
        for (((id, position), (_, before)), (_, after)) in
            self.positions().into_iter().zip(before).zip(after)
        {
            let is_all = (before..=after).contains(&position);
            assert!(
                is_all,
                "{id:?}: {position} is not all of {before}..={after}"
            );
        }
    }

    fn in_need(&mut self) {
        self.source_dies();
        self.waits(12_000);
        let stop = self.passive().begin_stop(&[]);
        ends_well(stop);
        self.active().cluster.restart_dead();
        self.active().until_whole();
    }

    fn node_dies(&mut self) {
        let stop = self.passive().begin_stop(&[]);
        self.waits(1500);
        self.passive().node.kill();
        if self.chance.below(2) == 0 {
            self.waits(9000);
        }
        self.passive().node.start();
        // The node may have died before it could answer.
        drop(stop);
        let stop = self.passive().begin_stop(&[]);
        ends_well(stop);
    }

    fn broker_dies(&mut self) {
        let broker = 1 + u32::try_from(self.chance.below(2)).expect("small");
        let stop = self.passive().begin_stop(&[]);
        self.waits(500);
        self.passive().cluster.kill(broker);
        self.waits(5000);
        self.passive().cluster.restart(broker);
        ends_well(stop);
    }

    /// Where the stop has left off.
    fn positions(&mut self) -> Vec<(Id, i64)> {
        let all = partitions();
        let passive = self.passive();
        let told = passive
            .node
            .until("stopped", all.len(), |one| one.state == "STOPPED");
        let at = |(topic, index): Id| {
            let mut all = told.iter();
            let found = all.find(|one| one.topic == topic && one.partition == index);
            found.expect("it is there").last_mirror_offset
        };
        all.into_iter().map(|id| (id, at(id))).collect()
    }

    /// All that is on the ledger is at the side that is written to from here on.
    fn is_handed_over(&mut self) {
        for (id, position) in self.positions() {
            self.ledger.is_within(id, position);
            for broker in [1, 2] {
                let dir = self.passive().replica(broker, id);
                self.ledger.is_in(id, &dir, "handed over");
            }
        }
        self.active = 1 - self.active;
        self.active().until_whole();
        self.say("handed over");
    }

    /// What is written to the side that is left has to go.
    fn leaves_a_tail(&mut self, way: Way) {
        if self.loaded.is_some() {
            self.waits(2000);
        }
        self.writes_no_more();
        if way == Way::Planned && self.chance.below(2) == 0 {
            return;
        }
        let cluster = &self.passive().cluster;
        for (topic, _) in [STEADY, TXNS] {
            cluster.ask(&format!("produce topic={topic} count=40 keys=20 seed=7"));
        }
        self.happens("a tail is left behind");
    }

    /// What was mirrored from is mirrored onto.
    pub(super) fn fails_back(&mut self) {
        self.waits(3000);
        self.happens("failback");
        self.passive().mirrors_again();
        match self.chance.below(4) {
            0 => self.node_dies_on_its_way_back(),
            1 => self.controller_dies_on_the_way_back(),
            _ => {}
        }
        self.is_well();
    }

    fn node_dies_on_its_way_back(&mut self) {
        self.happens("failback: the node dies on its way");
        let begun = Instant::now();
        let is_on_its_way = |one: &node::Described| one.state == "LOG_ALIGNMENT";
        let node = &self.passive().node;
        while begun.elapsed() < ON_ITS_WAY && !node.describe().iter().any(is_on_its_way) {}
        self.waits(1000);
        self.passive().node.kill();
        if self.chance.below(2) == 0 {
            self.waits(9000);
        }
        self.passive().node.start();
    }

    fn controller_dies_on_the_way_back(&mut self) {
        self.happens("failback: the controller dies");
        self.waits(1000);
        self.passive().cluster.kill(1);
        self.waits(3000);
        self.passive().cluster.restart(1);
    }
}

fn ends_well(stop: Running) {
    stop.await_end(WITHIN).expect_code(0);
}
