//! All of a destination is restarted while a node of ours mirrors onto it, its brokers one after
//! the other; its controllers are gone for longer than a session lasts, dead or standing still; and
//! when the node comes back there is a snapshot in the place of the metadata log's beginning.

use std::time::{Duration, Instant};

use super::ledger::{Id, Ledger};
use super::mirrored::Mirrored;
use super::node::APART;
use super::*;

const TOPIC: &str = "kept";
const IDS: [Id; 3] = [(TOPIC, 0), (TOPIC, 1), (TOPIC, 2)];
const ALL: [i64; 4] = [1, 2, 3, 9001];
/// When our session has ended by our own clock, and how long the controllers are gone.
const SESSION_IS_OVER: Duration = Duration::from_millis(7500);
const AWAY: Duration = Duration::from_secs(11);
/// A controller lets go of what is old once a minute.
const CLEANED_WITHIN: Duration = Duration::from_secs(90);

#[test]
fn a_mirror_outlives_restarts_of_all_and_the_loss_of_the_quorum() {
    let test = "a_mirror_outlives_restarts_of_all_and_the_loss_of_the_quorum";
    let Some(_turn) = Turn::take(test) else {
        return;
    };
    for version in newest_and_another("restarting") {
        let mut scene = Scene::begin(&version);
        scene.all_are_restarted();
        scene.the_controllers_die();
        scene.the_controllers_stand_still();
        scene.node_begins_with_a_snapshot();
        scene.all_is_there();
    }
}

/// Node 1 is the only controller, and a broker as well.
struct Scene {
    mirrored: Mirrored,
    ledger: Ledger,
}

impl Scene {
    fn begin(version: &str) -> Scene {
        let workload = Arc::new(Workload::start(version));
        let source = Cluster::start(&workload, "restarting-source", 1, &[]);
        let settings = [
            ("metadata.log.max.record.bytes.between.snapshots", "3000"),
            ("metadata.max.retention.bytes", "8192"),
            // How small a segment may be depends on the release.
            ("metadata.log.segment.ms", "2000"),
        ];
        let settings = [&APART[..], &settings].concat();
        let destination = Cluster::start(&workload, "restarting-destination", 3, &settings);
        let mut mirrored = Mirrored::between(source, destination, TOPIC);
        let source = &mirrored.source;
        source.ask(&format!("create topic={TOPIC} partitions=3"));
        source.ask(&format!("load id=steady topic={TOPIC} rate=300"));
        mirrored.node.start();
        mirrored.until_in_sync(TOPIC, &ALL);
        let ledger = Ledger::default();
        Scene { mirrored, ledger }
    }

    fn notes(&mut self) {
        self.mirrored.notes(&mut self.ledger, &IDS);
    }

    /// Everybody is in sync, and has what was noted.
    fn is_whole(&mut self, when: &str) {
        self.mirrored.until_in_sync(TOPIC, &ALL);
        self.mirrored.keep(&mut self.ledger, &IDS, &[1, 2, 3], when);
    }

    fn all_are_restarted(&mut self) {
        for broker in [2, 3, 1] {
            self.notes();
            self.mirrored.destination.stop(broker);
            self.mirrored.destination.restart(broker);
            self.is_whole("restarted");
        }
    }

    fn the_controllers_die(&mut self) {
        let begun = Instant::now();
        self.mirrored.destination.kill(1);
        self.nothing_is_served_after_the_session(begun);
        self.mirrored.destination.restart(1);
        self.goes_on("the controllers are back");
    }

    fn the_controllers_stand_still(&mut self) {
        let begun = Instant::now();
        self.mirrored.destination.pause(1);
        self.nothing_is_served_after_the_session(begun);
        self.mirrored.destination.resume(1);
        self.goes_on("the controllers go on");
    }

    /// Followers are alive all the while, and may have been given another leader: from us they get
    /// nothing more.
    fn nothing_is_served_after_the_session(&mut self, begun: Instant) {
        self.notes();
        std::thread::sleep(SESSION_IS_OVER.saturating_sub(begun.elapsed()));
        let then = self.ends(2);
        std::thread::sleep(AWAY.saturating_sub(begun.elapsed()));
        self.mirrored.node.assert_alive();
        assert_eq!(self.ends(2), then, "we have served beyond our session");
    }

    fn ends(&self, broker: u32) -> Vec<Option<i64>> {
        let dir = self.mirrored.destination.log_dir(broker);
        let dirs = IDS.map(|(topic, index)| dir.join(format!("{topic}-{index}")));
        let ends = dirs.iter().map(|dir| compare::read(dir));
        ends.map(|all| all.expect("nobody writes to it").end())
            .collect()
    }

    /// More than there was comes to be at all of them.
    fn goes_on(&mut self, when: &str) {
        let wanted = self.mirrored.source.offsets(TOPIC);
        self.mirrored.arrive_at(&[1, 2, 3], &wanted, when);
        self.mirrored.node.until(when, IDS.len(), |one| {
            assert_ne!(one.state, "ULE_RECOVERY", "the source has lost nothing");
            one.state == "MIRRORING"
        });
        self.is_whole(when);
        self.notes();
    }

    /// Whoever asks for the log from its beginning on gets a snapshot.
    fn node_begins_with_a_snapshot(&mut self) {
        self.mirrored.node.kill();
        let dir = self.mirrored.destination.log_dir(1);
        let first = dir.join("__cluster_metadata-0/00000000000000000000.log");
        let begun = Instant::now();
        while first.exists() {
            assert!(begun.elapsed() < CLEANED_WITHIN, "the log begins with 0");
            std::thread::sleep(Duration::from_millis(200));
        }
        eprintln!("the metadata log begins later after {:?}", begun.elapsed());
        self.mirrored.node.start();
        self.goes_on("it begins with a snapshot");
    }

    fn all_is_there(&mut self) {
        let stop = ["stop", "--mirror", "dr", "--topics", TOPIC, "--wait"];
        self.mirrored.node.mirrors(&stop).expect_code(0);
        self.mirrored.source.ask("unload id=steady");
        let Scene { mirrored, ledger } = self;
        mirrored.keep(ledger, &IDS, &[1, 2, 3], "handed over");
        let got = mirrored.destination.offsets(TOPIC);
        mirrored.arrive_at(&[1, 2, 3], &got, "handed over");
        assert!(ledger.batches() > 100, "{}", ledger.batches());
        mirrored.node.stop().expect_code(0);
    }
}
