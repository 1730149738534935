//! What dies, stands still or is elected while one side is mirrored onto the other.

use std::time::Duration;

use super::*;

/// Longer than the controller waits for a broker that it does not hear of.
const SESSION_IS_OVER: Duration = Duration::from_secs(8);

/// Where it strikes: the node mirrors, its destination's brokers 1 and 2 follow it, the first of
/// which is the controller as well.
#[derive(Clone, Copy, Debug)]
enum Fault {
    NodeIsBackAtOnce,
    NodeIsAwayForLong,
    NodeLeavesInOrder,
    NodePauses,
    NodeStandsStill,
    FollowerDies,
    ControllerDies,
    FollowerPauses,
    FollowerStandsStill,
    ControllerPauses,
    AnotherIsElected,
    BrokerOfTheSourceDies,
    SourceIsAway,
    CounterpartDies,
}

/// How likely each is, in parts of the whole.
const ODDS: [(Fault, u64); 14] = [
    (Fault::NodeIsBackAtOnce, 3),
    (Fault::NodeIsAwayForLong, 3),
    (Fault::NodeLeavesInOrder, 1),
    (Fault::NodePauses, 2),
    (Fault::NodeStandsStill, 3),
    (Fault::FollowerDies, 3),
    (Fault::ControllerDies, 2),
    (Fault::FollowerPauses, 1),
    (Fault::FollowerStandsStill, 2),
    (Fault::ControllerPauses, 1),
    (Fault::AnotherIsElected, 3),
    (Fault::BrokerOfTheSourceDies, 3),
    (Fault::SourceIsAway, 1),
    (Fault::CounterpartDies, 1),
];

impl Storm {
    /// Something happens, or several things one right after the other.
    pub(super) fn strikes(&mut self) {
        self.waits(2000);
        for _ in 0..=self.chance.below(2) {
            let fault = self.draws();
            self.happens(&format!("{fault:?}"));
            self.strike(fault);
            self.waits(1000);
        }
        self.is_well();
    }

    fn draws(&mut self) -> Fault {
        let all: u64 = ODDS.iter().map(|(_, part)| part).sum();
        let mut drawn = self.chance.below(all);
        for (fault, part) in ODDS {
            match drawn.checked_sub(part) {
                Some(left) => drawn = left,
                None => return fault,
            }
        }
        unreachable!("one of them was drawn")
    }

    fn strike(&mut self, fault: Fault) {
        match fault {
            Fault::NodeIsBackAtOnce => self.node_is_away(Duration::ZERO),
            Fault::NodeIsAwayForLong => self.node_is_away(SESSION_IS_OVER),
            Fault::NodeLeavesInOrder => {
                self.passive().node.stop().expect_code(0);
                self.waits(5000);
                self.passive().node.start();
            }
            Fault::NodePauses => self.node_pauses(Duration::ZERO),
            Fault::NodeStandsStill => self.node_pauses(SESSION_IS_OVER),
            Fault::FollowerDies => self.stock_broker_dies(2, 10_000),
            Fault::ControllerDies => self.stock_broker_dies(1, 3000),
            Fault::FollowerPauses => self.stock_broker_pauses(2, Duration::ZERO),
            Fault::FollowerStandsStill => self.stock_broker_pauses(2, SESSION_IS_OVER),
            Fault::ControllerPauses => self.stock_broker_pauses(1, Duration::ZERO),
            Fault::AnotherIsElected => self.another_is_elected(),
            Fault::BrokerOfTheSourceDies => self.broker_of_the_source_dies(),
            Fault::SourceIsAway => self.source_is_away(),
            Fault::CounterpartDies => self.counterpart_dies(),
        }
    }

    fn node_is_away(&mut self, at_least: Duration) {
        self.passive().node.kill();
        std::thread::sleep(at_least);
        self.waits(3000);
        self.passive().node.start();
    }

    fn node_pauses(&mut self, at_least: Duration) {
        self.passive().node.pause();
        std::thread::sleep(at_least);
        self.waits(5000);
        self.passive().node.resume();
    }

    /// One at a time: the other one is in sync by then, or comes to be.
    fn stock_broker_dies(&mut self, broker: u32, most: u64) {
        self.passive().cluster.kill(broker);
        self.waits(most);
        self.passive().cluster.restart(broker);
    }

    fn stock_broker_pauses(&mut self, broker: u32, at_least: Duration) {
        self.passive().cluster.pause(broker);
        std::thread::sleep(at_least);
        self.waits(3000);
        self.passive().cluster.resume(broker);
    }

    /// An operator prefers somebody else than the node, for all of a topic's partitions.
    fn another_is_elected(&mut self) {
        let first = 1 + self.chance.below(2);
        let (topic, count) = [STEADY, TXNS][self.chance.below(2) as usize];
        let replicas = format!("{first}+9001+{}", 3 - first);
        let cluster = &self.passive().cluster;
        let mut commands = vec![format!(
            "reassign topic={topic} replicas={replicas} nowait=true"
        )];
        commands.extend((0..count).map(|index| format!("elect topic={topic} partition={index}")));
        for command in commands {
            // The node may have taken it back by then.
            if let Err(error) = cluster.try_ask(&command) {
                eprintln!("          {command}: {error}");
            }
        }
    }

    /// What it had committed the other one has.
    fn broker_of_the_source_dies(&mut self) {
        self.active().until_whole();
        let broker = 1 + u32::try_from(self.chance.below(2)).expect("small");
        self.active().cluster.kill(broker);
        self.waits(8000);
        self.active().cluster.restart(broker);
        self.active().until_whole();
    }

    fn source_is_away(&mut self) {
        self.source_dies();
        self.waits(12_000);
        self.active().cluster.restart_dead();
        self.active().until_whole();
    }

    /// Both of its brokers, the controller last.
    pub(super) fn source_dies(&mut self) {
        self.active().until_whole();
        for broker in [2, 1] {
            self.active().cluster.kill(broker);
        }
    }

    /// The node that has mirrored the other way has nothing to do.
    fn counterpart_dies(&mut self) {
        if self.active().is_begun() {
            self.active().node.kill();
            self.waits(9000);
            self.active().node.start();
        }
    }

    /// Everybody is back, and all partitions are mirrored.
    pub(super) fn is_well(&mut self) {
        for side in &mut self.sides {
            side.cluster.await_running();
        }
        self.active().until_whole();
        let count = partitions().len();
        let passive = self.passive();
        passive
            .node
            .until("mirrored again", count, |one| one.state == "MIRRORING");
        self.say("all is well");
    }
}
