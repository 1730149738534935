//! SIGKILL of a node at each step of a stop: started again it goes on by itself, stops where it
//! was about to, and ends each open transaction once.
//!
//! Steps that wait for others are made to last by letting one of those stand still. Those that
//! wait for nobody are seen by what they leave on disk, and the kill follows at once; it may still
//! come too late, so that each of them has a few topics.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use twinlog::model::TopicId;

use super::mirrored::Mirrored;
use super::node::Described;
use super::program::Running;
use super::*;

const TOPICS: &str = "cut\\..*";
/// Topics for a step that does not last.
const TRIES: usize = 3;
/// How long a step may take to come.
const WITHIN: Duration = Duration::from_secs(30);
const STOPPING: u8 = 6;
/// Kinds of records of a node's state log.
const POSITION: u16 = 0;
const STATE: u16 = 1;
const HAND_OVER: u16 = 1002;

#[test]
fn a_stop_goes_on_wherever_it_was_cut_off() {
    let Some(_turn) = Turn::take("a_stop_goes_on_wherever_it_was_cut_off") else {
        return;
    };
    for version in oldest_and_newest() {
        let mut scene = Scene::begin(&version);
        scene.killed_on_its_way(
            "fetching-ends",
            |marks| marks.is_stopping,
            |after| !after.has_position,
        );
        scene.killed_on_its_way(
            "position",
            |marks| marks.has_position,
            |after| !after.has_markers,
        );
        scene.killed_on_its_way("seal", |marks| marks.has_markers, |after| after.has_markers);
        scene.killed_while_it_drains();
        scene.killed_where_a_replica_is_late();
        scene.killed_before_writers_are_let_in();
        scene.killed_while_its_heir_is_silent();
        scene.killed_while_ids_are_not_apart_and_nobody_is_there_to_inherit();
        scene.all_is_as_it_was_at_the_source();
    }
}

struct Scene {
    mirrored: Mirrored,
    /// Transactions of partition 0 that are open, by topic.
    open: Vec<(String, i64)>,
}

/// What a node has on disk of the stop of a topic's first partition.
#[derive(Clone, Copy, Debug)]
struct Marks {
    is_stopping: bool,
    has_position: bool,
    has_markers: bool,
    is_noted: bool,
}

/// Where that is found, without the node's own reader.
struct Traces {
    state: PathBuf,
    log: PathBuf,
    id: [u8; 16],
    bytes_before: u64,
}

impl Traces {
    fn of(scene: &Scene, topic: &str) -> Traces {
        let answer = scene
            .mirrored
            .source
            .ask(&format!("describe topic={topic}"));
        let id: TopicId = answer.field("id").parse().expect("a topic's id");
        let data = &scene.mirrored.node.data;
        let log = data.join("logs").join(format!("{topic}-0"));
        Traces {
            state: data.join("mirror-state.log"),
            bytes_before: bytes(&log),
            id: id.bytes(),
            log,
        }
    }

    fn look(&self) -> Marks {
        let state = fs::read(&self.state).unwrap_or_default();
        let states = self.values(&state, STATE);
        Marks {
            is_stopping: states.iter().any(|value| value.get(2) == Some(&STOPPING)),
            has_position: !self.values(&state, POSITION).is_empty(),
            has_markers: bytes(&self.log) > self.bytes_before,
            is_noted: !self.values(&state, HAND_OVER).is_empty(),
        }
    }

    /// The values of the partition's records of a kind: each lies behind its key and its length.
    fn values<'a>(&self, state: &'a [u8], kind: u16) -> Vec<&'a [u8]> {
        let [high, low] = kind.to_be_bytes();
        let key = [&[high, low, 0, 2], &b"dr"[..], &self.id, &[0; 4]].concat();
        let found = state.windows(key.len()).enumerate();
        let found = found.filter(|(_, window)| *window == key);
        found
            .filter_map(|(at, _)| state.get(at + key.len() + 4..))
            .collect()
    }
}

/// Bytes of a partition's batches.
fn bytes(log: &std::path::Path) -> u64 {
    let segments = compare::segments(log).into_iter();
    let sizes = segments.filter_map(|path| fs::metadata(path).ok());
    sizes.map(|file| file.len()).sum()
}

impl Scene {
    fn begin(version: &str) -> Scene {
        let workload = Arc::new(Workload::start(version));
        let mirrored = Mirrored::begin(&workload, "interrupting", TOPICS);
        let mut scene = Scene {
            mirrored,
            open: Vec::new(),
        };
        for step in ["fetching-ends", "position", "seal"] {
            for nth in 0..TRIES {
                scene.topic(&format!("cut.{step}-{nth}"), 2);
            }
        }
        scene.topic("cut.drain", 1);
        scene.topic("cut.ids", 0);
        for plain in ["cut.writers", "cut.heir", "cut.nobody", "cut.late"] {
            scene.topic(plain, 0);
        }
        scene.mirrored.node.start();
        let topics: Vec<String> = scene.open.iter().map(|(topic, _)| topic.clone()).collect();
        for topic in topics {
            scene.mirrored.arrives(&topic, "at first");
        }
        for (topic, replicas) in [
            ("cut.heir", "9001+2"),
            ("cut.nobody", "9001+2"),
            ("cut.ids", "9001+1"),
        ] {
            let destination = &scene.mirrored.destination;
            destination.ask(&format!(
                "reassign topic={topic} replicas={replicas} nowait=true"
            ));
        }
        scene.mirrored.until_in_sync("cut.heir", &[2, 9001]);
        scene.mirrored.until_in_sync("cut.ids", &[1, 9001]);
        scene.mirrored.until_in_sync("cut.late", &[1, 2, 9001]);
        scene
    }

    fn topic(&mut self, topic: &str, open: u32) {
        let source = &self.mirrored.source;
        source.ask(&format!("create topic={topic} partitions=2"));
        source.ask(&format!("produce topic={topic} count=40 idempotent=true"));
        for nth in 0..open {
            source.ask(&format!(
                "transact topic={topic} id={topic}-{nth} txns=2 count=10 partition=0 end=open"
            ));
        }
        self.open.push((topic.to_owned(), i64::from(open)));
    }

    fn begin_stop(&mut self, topic: &str) -> Running {
        let node = &self.mirrored.node;
        node.begin_mirrors(&[
            "stop", "--mirror", "dr", "--topics", topic, "--wait", "--json",
        ])
    }

    /// Killed as soon as something is on disk, while something else is not yet.
    fn killed_on_its_way(
        &mut self,
        step: &str,
        at: impl Fn(Marks) -> bool,
        is_hit: impl Fn(Marks) -> bool,
    ) {
        let mut hits = 0;
        for nth in 0..TRIES {
            let topic = format!("cut.{step}-{nth}");
            let traces = Traces::of(self, &topic);
            let stop = self.begin_stop(&topic);
            let node = &mut self.mirrored.node;
            let came = node.kill_once(WITHIN, || at(traces.look()));
            assert!(came, "{topic} came to nothing: {:?}", traces.look());
            let after = traces.look();
            hits += u32::from(is_hit(after));
            eprintln!("{topic}: killed with {after:?} on disk");
            // It may have died before it could answer.
            drop(stop);
            self.goes_on(&topic);
        }
        assert!(hits > 0, "{step}: every kill came too late");
    }

    /// Started again, it comes to the end of the stop, and to the same one when it is asked again.
    fn goes_on(&mut self, topic: &str) {
        let begun = Instant::now();
        let wanted = self.mirrored.source.offsets(topic);
        let node = &mut self.mirrored.node;
        node.start();
        node.until_topic("the stop goes on", topic, |one| one.state == "STOPPED");
        eprintln!("{topic}: stopped {:?} after the start", begun.elapsed());
        let again = ["stop", "--mirror", "dr", "--topics", topic, "--wait"];
        node.mirrors(&again).expect_code(0);
        let is_right = |one: &Described| {
            let of_it = wanted
                .iter()
                .find(|of| i64::from(of.index) == one.partition);
            of_it.is_some_and(|of| of.high_watermark == one.last_mirror_offset)
        };
        node.until_topic("stopped where the source was", topic, |one| {
            one.state == "STOPPED" && is_right(one)
        });
    }

    /// An operator who waits does not notice more than that it takes longer.
    fn goes_on_for(&mut self, stop: Running, topic: &str) {
        self.goes_on(topic);
        stop.await_end(WITHIN).expect_code(0);
    }

    fn killed_while_it_drains(&mut self) {
        self.mirrored.destination.pause(2);
        let stop = self.begin_stop("cut.drain");
        let node = &mut self.mirrored.node;
        node.until_step("cut.drain", "a replica in sync still lacks records");
        node.kill();
        self.mirrored.destination.resume(2);
        self.goes_on_for(stop, "cut.drain");
    }

    /// What it is handed over with is on record, with who was late: whoever runs then gives that
    /// one its replica back.
    fn killed_where_a_replica_is_late(&mut self) {
        self.mirrored.destination.pause(2);
        self.mirrored.until_in_sync_says(1, "cut.late", &[1, 9001]);
        let traces = Traces::of(self, "cut.late");
        let stop = self.begin_stop("cut.late");
        let node = &mut self.mirrored.node;
        let came = node.kill_once(WITHIN, || traces.look().is_noted);
        assert!(came, "nothing is handed over: {:?}", traces.look());
        self.mirrored.destination.resume(2);
        self.goes_on_for(stop, "cut.late");
        self.mirrored.until_in_sync("cut.late", &[1, 2]);
    }

    /// The controller stands still.
    fn killed_before_writers_are_let_in(&mut self) {
        self.mirrored.destination.pause(1);
        let stop = self.begin_stop("cut.writers");
        let node = &mut self.mirrored.node;
        node.until_step("cut.writers", "writers are let in");
        node.kill();
        self.mirrored.destination.resume(1);
        self.goes_on_for(stop, "cut.writers");
    }

    /// It was handed over, and whoever has it now does not answer.
    fn killed_while_its_heir_is_silent(&mut self) {
        self.mirrored.destination.pause(2);
        let stop = self.begin_stop("cut.heir");
        let node = &mut self.mirrored.node;
        node.until_step("cut.heir", "its new leader is asked for its log's end");
        node.kill();
        self.mirrored.destination.resume(2);
        self.goes_on_for(stop, "cut.heir");
    }

    /// A broker that stands still may give out any id, until the controller takes it for dead; and
    /// until it is back, what only it has a replica of is handed over to nobody.
    fn killed_while_ids_are_not_apart_and_nobody_is_there_to_inherit(&mut self) {
        let waits = "producer ids of the source may still be given out by the destination";
        self.mirrored.destination.pause(2);
        let node = &mut self.mirrored.node;
        node.kill();
        node.start();
        let stop = self.begin_stop("cut.ids");
        let node = &mut self.mirrored.node;
        node.until_step("cut.ids", waits);
        node.kill();
        self.goes_on_for(stop, "cut.ids");
        self.mirrored.until_in_sync_says(1, "cut.nobody", &[9001]);
        let stop = self.begin_stop("cut.nobody");
        let node = &mut self.mirrored.node;
        node.until_step("cut.nobody", "it is handed over");
        node.until_topic("a reason", "cut.nobody", |one| {
            let error = one.error.as_deref().unwrap_or_default();
            error.contains("no stock broker is in sync")
        });
        node.kill();
        self.mirrored.destination.resume(2);
        self.goes_on_for(stop, "cut.nobody");
    }

    /// Both replicas have the source's records and one marker for each open transaction.
    fn all_is_as_it_was_at_the_source(&mut self) {
        for (topic, open) in self.open.clone() {
            self.mirrored.arrives_where_it_is(&topic);
            let had = self.mirrored.source.offsets(&topic);
            let has = self.mirrored.destination.offsets(&topic);
            for (had, has) in had.iter().zip(&has) {
                let open = if had.index == 0 { open } else { 0 };
                assert_eq!(has.high_watermark, had.high_watermark + open, "{has:?}");
            }
        }
    }
}
