//! What trials have shown to be dangerous about leading in somebody else's cluster: its controllers
//! elect another while we lead, followers that count as in sync have nothing or fall out of sync
//! one after the other, and the cluster lays its own topics upon us.

use std::time::{Duration, Instant};

use super::asking::{Heard, Replicas, heard};
use super::cluster::{Partition, Voters};
use super::mirrored::Mirrored;
use super::node::{APART, Node};
use super::*;

/// How long what somebody does by himself may take.
const WITHIN: Duration = Duration::from_secs(60);
const LAST: Duration = Duration::from_secs(120);

#[test]
fn a_mirror_outlives_the_active_controller() {
    let Some(_turn) = Turn::take("a_mirror_outlives_the_active_controller") else {
        return;
    };
    for version in newest() {
        let workload = Arc::new(Workload::start(&version));
        let source = Cluster::start(&workload, "quorum-source", 1, &[]);
        source.ask("create topic=kept partitions=3");
        let source = outlives_the_active_controller(source, Voters::Configured);
        outlives_the_active_controller(source, Voters::Agreed);
    }
}

/// Three brokers are the controllers as well: the one that dies was a follower, too. Gives back the
/// source.
fn outlives_the_active_controller(source: Cluster, voters: Voters) -> Cluster {
    let name = format!("quorum-{voters:?}").to_lowercase();
    let workload = Arc::clone(&source.workload);
    let destination = Cluster::start_voters(&workload, &name, (3, 3), voters, &APART);
    let mut mirrored = Mirrored::between(source, destination, "kept");
    mirrored.node = Node::member_of_brokers(&mirrored.destination, "member");
    mirrored.node.declare("dr", &mirrored.source, "kept");
    mirrored.source.ask("load id=kept topic=kept rate=300");
    mirrored.node.start();
    mirrored.until_in_sync("kept", &[1, 2, 3, 9001]);
    let told = mirrored.destination.ask("quorum");
    let agrees = told.words().any(|words| words == ["kraft.version", "1"]);
    assert_eq!(agrees, voters == Voters::Agreed, "{told:?}");
    let active = u32::try_from(told.number("leader")).expect("an id");
    let died = Instant::now();
    mirrored.destination.kill(active);
    let alive: Vec<u32> = (1..=3).filter(|id| *id != active).collect();
    let mut in_sync: Vec<i64> = alive.iter().map(|id| i64::from(*id)).collect();
    in_sync.push(9001);
    // Only another controller can take the dead one out of sync.
    mirrored.until_in_sync("kept", &in_sync);
    eprintln!("{voters:?}: taken out after {:?}", died.elapsed());
    let next = mirrored.destination.ask("quorum").number("leader");
    assert!(in_sync.contains(&next) && next != 9001, "{next}");
    mirrored.source.ask("unload id=kept");
    mirrored.arrives_at(&alive, "kept", "another controller is active");
    for broker in &alive {
        for partition in mirrored.source.offsets("kept") {
            let epochs = compare::epochs(&mirrored.replica(*broker, &partition));
            assert_eq!(epochs, [(0, 0)], "nobody else was elected");
        }
    }
    mirrored.source.ask("load id=kept topic=kept rate=300");
    mirrored.destination.restart(active);
    mirrored.until_in_sync("kept", &[1, 2, 3, 9001]);
    stops_and_all_is_there(&mut mirrored, "kept", &[1, 2, 3]);
    mirrored.source
}

/// Handed over while it is written at the source: all that had come is there, wherever it is to be.
fn stops_and_all_is_there(mirrored: &mut Mirrored, topic: &str, brokers: &[u32]) {
    stops(mirrored, topic);
    mirrored.source.ask(&format!("unload id={topic}"));
    let got = mirrored.destination.offsets(topic);
    for (had, got) in mirrored.source.offsets(topic).iter().zip(&got) {
        assert!(got.high_watermark > 0, "{got:?}");
        assert!(got.high_watermark <= had.high_watermark, "{had:?} {got:?}");
    }
    mirrored.arrive_at(brokers, &got, "handed over");
    let write = format!("produce topic={topic} count=30 acks=all idempotent=true");
    mirrored.destination.ask(&write);
    let after = mirrored.destination.offsets(topic);
    assert_eq!(records(&after), records(&got) + 30, "anybody may write");
}

fn stops(mirrored: &mut Mirrored, topic: &str) {
    let node = &mut mirrored.node;
    node.mirrors(&["stop", "--mirror", "dr", "--topics", topic, "--wait"])
        .expect_code(0);
    let stopped = node.until_topic("stopped", topic, |one| one.state == "STOPPED");
    for (stopped, got) in stopped.iter().zip(mirrored.destination.offsets(topic)) {
        assert_eq!(stopped.last_mirror_offset, got.high_watermark, "{got:?}");
    }
}

fn records(all: &[Partition]) -> i64 {
    all.iter().map(|one| one.high_watermark).sum()
}

#[test]
fn followers_that_lack_records_inherit_nothing() {
    let Some(_turn) = Turn::take("followers_that_lack_records_inherit_nothing") else {
        return;
    };
    for version in newest() {
        let mut scene = Thin::begin(&version);
        scene.a_topic_is_stopped_as_soon_as_it_is_there();
        scene.followers_fall_out_one_after_the_other();
        scene.nobody_but_us_is_in_sync_when_we_die();
        scene.all_is_there();
    }
}

/// How long the controller waits for a broker that it does not hear of, and how long a follower may
/// lag behind us.
const SESSION: Duration = Duration::from_secs(10);
const LAG: Duration = Duration::from_secs(2);
/// Two are to be in sync, or nothing is committed.
const THIN: &str = "thin";

/// Node 1 is the controller and does not follow what is at stake: it sees all when the two others
/// stand still.
struct Thin {
    mirrored: Mirrored,
    has_elr: bool,
}

fn ids(text: &str) -> Vec<i64> {
    let ids = text.split('+').filter(|id| !id.is_empty());
    let mut ids: Vec<i64> = ids.map(|id| id.parse().expect("an id")).collect();
    ids.sort_unstable();
    ids
}

impl Thin {
    fn begin(version: &str) -> Thin {
        let workload = Arc::new(Workload::start(version));
        let source = Cluster::start(&workload, "thin-source", 1, &[]);
        let session = SESSION.as_millis().to_string();
        let settings = [
            ("default.replication.factor", "2"),
            ("min.insync.replicas", "2"),
            ("broker.session.timeout.ms", session.as_str()),
        ];
        let settings = [&APART[..], &settings].concat();
        let destination = Cluster::start(&workload, "thin-destination", 3, &settings);
        let features = destination.ask("quorum");
        let mut words = features.words();
        let has_elr = words.any(|words| words == ["eligible.leader.replicas.version", "1"]);
        let mirrored = Mirrored::between(source, destination, "thin|born");
        let node = &mirrored.node;
        let session = format!("session_timeout_ms = {session}");
        node.set("session_timeout_ms = 6000", &session);
        node.set(
            "heartbeat_interval_ms",
            &format!(
                "replica_lag_ms = {}\nheartbeat_interval_ms",
                LAG.as_millis()
            ),
        );
        if !has_elr {
            // Without it what brokers have in their files is not in the metadata.
            node.set("replica_lag_ms", "min_insync_replicas = 2\nreplica_lag_ms");
        }
        let mut scene = Thin { mirrored, has_elr };
        scene.mirrored.node.start();
        scene
    }

    /// Those that were in sync from birth have yet to fetch for the first time, and the controller
    /// would elect them as they are.
    fn a_topic_is_stopped_as_soon_as_it_is_there(&mut self) {
        let Mirrored {
            source,
            destination,
            node,
        } = &mut self.mirrored;
        destination.pause(2);
        destination.pause(3);
        source.ask("create topic=born partitions=6");
        source.ask("produce topic=born count=600 batch=500");
        let all = source.offsets("born");
        node.until_topic("mirrored", "born", |one| {
            let of = all.iter().find(|of| i64::from(of.index) == one.partition);
            of.is_some_and(|of| of.high_watermark == one.destination_offset)
        });
        let stop = node.begin_mirrors(&["stop", "--mirror", "dr", "--topics", "born", "--wait"]);
        node.until_step("born", "a replica in sync still lacks records");
        std::thread::sleep(Duration::from_secs(1));
        let now = self.heard("born");
        assert_eq!(now.alive, [1, 2, 3], "it took too long to show anything");
        let none_has_fetched = |one: &&Replicas| !one.all.contains(&1);
        let waiting: Vec<&Replicas> = now.partitions.iter().filter(none_has_fetched).collect();
        assert!(!waiting.is_empty(), "{now:?}");
        for one in waiting {
            assert_eq!(one.in_sync, [2, 3, 9001], "nothing is handed over yet");
        }
        self.mirrored.destination.resume(2);
        self.mirrored.destination.resume(3);
        stop.await_end(LAST).expect_code(0);
        let got = self.mirrored.destination.offsets("born");
        assert_eq!(got, all);
        for partition in &all {
            self.began_where_we_ended(partition);
        }
    }

    /// Whoever leads it has had all before.
    fn began_where_we_ended(&mut self, partition: &Partition) {
        let topic = &partition.topic;
        let told = self
            .mirrored
            .destination
            .ask(&format!("describe topic={topic}"));
        let index = partition.index.to_string();
        let mut words = told.words();
        let words = words.find(|words| words[0] == index).expect("it is there");
        let leader = words[1].parse().expect("an id");
        let replicas: Vec<u32> = words[2]
            .split('+')
            .map(|id| id.parse().expect("an id"))
            .collect();
        let wanted = std::slice::from_ref(partition);
        self.mirrored.arrive_at(&replicas, wanted, "handed over");
        let epochs = compare::epochs(&self.mirrored.replica(leader, partition));
        assert_eq!(epochs, [(0, 0), (1, partition.high_watermark)]);
    }

    /// What the controller's own broker has heard.
    fn heard(&self, topic: &str) -> Heard {
        heard(&self.mirrored.destination.broker(1), topic)
    }

    fn until_in_sync(&mut self, wanted: &[i32]) -> Heard {
        let begun = Instant::now();
        loop {
            let now = self.heard(THIN);
            if now.partitions.iter().all(|one| one.in_sync == wanted) {
                return now;
            }
            self.mirrored.node.assert_alive();
            let is_late = begun.elapsed() > WITHIN;
            assert!(!is_late, "{wanted:?}: {now:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn marks(&self) -> [i64; 2] {
        self.measured("high_watermark")
    }

    fn ends(&self) -> [i64; 2] {
        self.measured("destination_offset")
    }

    /// Less than nothing where it is not known.
    fn measured(&self, what: &str) -> [i64; 2] {
        let node = &self.mirrored.node;
        [0, 1].map(|partition| node.measured(what, THIN, partition).unwrap_or(-1))
    }

    fn until_ahead(&self, what: &str, of: [i64; 2], now: impl Fn(&Thin) -> [i64; 2]) {
        let begun = Instant::now();
        while (0..2).any(|partition| now(self)[partition] <= of[partition]) {
            assert!(begun.elapsed() < WITHIN, "{what}: {of:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn followers_fall_out_one_after_the_other(&mut self) {
        let source = &self.mirrored.source;
        source.ask("create topic=thin partitions=2");
        source.ask("load id=thin topic=thin rate=300");
        let node = &mut self.mirrored.node;
        node.until_topic("mirrored", THIN, |one| one.destination_offset > 0);
        let destination = &self.mirrored.destination;
        destination.ask("reassign topic=thin replicas=9001+2+3 nowait=true");
        self.until_in_sync(&[2, 3, 9001]);
        self.mirrored.destination.pause(2);
        let now = self.until_in_sync(&[3, 9001]);
        assert!(
            now.alive.contains(&2),
            "we have taken it out, and nobody else"
        );
        self.until_ahead("two are enough", self.marks(), Thin::marks);
        self.mirrored.destination.pause(3);
        let paused = Instant::now();
        let mut last = Duration::ZERO;
        while last < 2 * LAG + Duration::from_secs(1) {
            let now = self.heard(THIN);
            assert!(now.alive.contains(&3), "it took too long to show anything");
            for one in &now.partitions {
                assert_eq!(one.in_sync, [3, 9001], "we are left alone by ourselves");
            }
            last = paused.elapsed();
        }
        let marks = self.marks();
        let ends = self.ends();
        self.until_in_sync(&[9001]);
        self.nothing_is_committed(marks);
        self.mirrored.destination.resume(2);
        self.mirrored.destination.resume(3);
        self.until_in_sync(&[2, 3, 9001]);
        self.until_ahead("all have it", ends, Thin::marks);
        self.settles();
        let logged = self.mirrored.destination.logged(1);
        let rejected = logged
            .lines()
            .filter(|line| line.contains("AlterPartition"));
        let rejected: Vec<&str> = rejected.collect();
        assert!(rejected.len() < 20, "it flaps: {rejected:#?}");
    }

    /// While we alone are in sync, our log grows and these marks stand still.
    fn nothing_is_committed(&self, marks: [i64; 2]) {
        for _ in 0..2 {
            self.until_ahead("the source is read on", self.ends(), Thin::ends);
            assert_eq!(self.marks(), marks, "nothing is committed by us alone");
        }
    }

    /// All that was written is at both, and the same; then it goes on.
    fn settles(&mut self) {
        let source = &self.mirrored.source;
        source.ask("unload id=thin");
        self.mirrored.arrives_at(&[2, 3], THIN, "settled");
        self.mirrored.source.ask("load id=thin topic=thin rate=300");
    }

    /// With eligible leader replicas whoever was in sync before us is elected: nothing was
    /// committed without it. Without them nobody is, until we are back.
    fn nobody_but_us_is_in_sync_when_we_die(&mut self) {
        self.mirrored.destination.stop(3);
        self.until_in_sync(&[2, 9001]);
        self.mirrored.destination.stop(2);
        self.until_in_sync(&[9001]);
        // What is measured is a second old at most.
        self.until_ahead("the source is read on", self.ends(), Thin::ends);
        self.nothing_is_committed(self.marks());
        self.mirrored.node.kill();
        self.mirrored.destination.restart_dead();
        let heir = if self.has_elr { 2 } else { -1 };
        let died = Instant::now();
        while died.elapsed() < SESSION || !self.mirrored.leads(THIN, |leader| leader == heir) {
            let is_late = died.elapsed() > WITHIN;
            assert!(
                !is_late,
                "{:?}",
                self.mirrored.destination.ask("describe topic=thin")
            );
            std::thread::sleep(Duration::from_millis(200));
        }
        self.mirrored.node.start();
        self.until_in_sync(&[2, 3, 9001]);
        let node = &mut self.mirrored.node;
        node.until_topic("mirrored on", THIN, |one| {
            assert_ne!(one.state, "ULE_RECOVERY", "the source has lost nothing");
            one.state == "MIRRORING"
        });
        self.until_ahead("all have it", self.ends(), Thin::marks);
    }

    fn all_is_there(&mut self) {
        self.settles();
        stops_and_all_is_there(&mut self.mirrored, THIN, &[2, 3]);
    }
}

#[test]
fn what_the_cluster_places_does_not_stay_with_us() {
    let Some(_turn) = Turn::take("what_the_cluster_places_does_not_stay_with_us") else {
        return;
    };
    // Only the newest knows that nothing is to be placed on us.
    for version in oldest_and_newest() {
        does_not_stay_with_us(&version);
    }
}

/// Topics that nobody has assigned to brokers: made by a client, by a producer that finds none, and
/// by coordinators whose first group and first transaction come while we are there.
fn does_not_stay_with_us(version: &str) {
    let workload = Arc::new(Workload::start(version));
    let source = Cluster::start(&workload, "placing-source", 1, &[]);
    source.ask("create topic=ours partitions=2");
    source.ask("produce topic=ours count=200");
    let settings = [
        ("auto.create.topics.enable", "true"),
        ("num.partitions", "6"),
        ("default.replication.factor", "2"),
        ("offsets.topic.num.partitions", "6"),
        ("transaction.state.log.num.partitions", "6"),
    ];
    let settings = [&APART[..], &settings].concat();
    let destination = Cluster::start(&workload, "placing-destination", 2, &settings);
    let mut mirrored = Mirrored::between(source, destination, "ours");
    mirrored.node.start();
    mirrored.arrives("ours", "at first");
    let destination = &mirrored.destination;
    destination.ask("create topic=made partitions=12 rf=2 nowait=true");
    destination.ask("produce topic=found count=300 acks=all");
    destination.ask("transact topic=found id=theirs txns=3 count=20 end=commit");
    let read = destination.ask("group group=readers topic=found committed=true");
    assert_eq!(read.number("count"), 360);
    let all = ["made", "found", "__consumer_offsets", "__transaction_state"];
    let knows_us = version.starts_with("4.3");
    for (topic, factor) in all.into_iter().zip([2, 2, 1, 1]) {
        stays_with_stock(destination, topic, factor, knows_us);
    }
    for topic in &all[..2] {
        destination.ask(&format!("produce topic={topic} count=60 acks=all seed=2"));
    }
    let read = destination.ask("group group=readers topic=found committed=true");
    assert_eq!(read.number("count"), 60, "the group goes on where it was");
    mirrored.until_in_sync("ours", &[1, 2, 9001]);
    stops(&mut mirrored, "ours");
}

/// It has as many replicas as it should, none of them ours, by now or before long.
fn stays_with_stock(destination: &Cluster, topic: &str, factor: usize, at_once: bool) {
    let begun = Instant::now();
    loop {
        let told = destination.ask(&format!("describe topic={topic}"));
        let words: Vec<Vec<&str>> = told.words().collect();
        let is_theirs = |words: &Vec<&str>| {
            let replicas = ids(words[2]);
            replicas.len() == factor && !replicas.contains(&9001) && words[1] != "-1"
        };
        if !words.is_empty() && words.iter().all(is_theirs) {
            return;
        }
        let is_late = at_once || begun.elapsed() > WITHIN;
        assert!(!is_late, "{topic}: {words:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
