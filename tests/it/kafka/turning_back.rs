//! There and back many times, and each time something is in the way: the node that is on its way
//! back is killed at each step, a follower stands still or is down, records are trimmed. In the end
//! all logs are equal, and what one side alone had is set aside.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use twinlog::model::TopicId;

use super::compare::range;
use super::mirrored::{nobody_spins, stamps_are_true};
use super::node::{APART, Node};
use super::*;

/// How long replicas may take to be equal.
const WITHIN: Duration = Duration::from_secs(90);
/// How long a step may take to come.
const STEP_WITHIN: Duration = Duration::from_secs(60);

const TOPICS: &str = "turn\\..*";
const LOAD: &str = "turn.load";
const COUNT: usize = 3;
/// The kind of record that says where the two sides part.
const WAY_BACK: u16 = 1003;
/// The nodes, as brokers.
const US: i32 = 9001;
/// Bytes moved, of a hundred that differ.
const MOVED_MAX: i64 = 105;

#[test]
fn all_is_equal_wherever_the_way_back_was_cut_off() {
    let Some(_turn) = Turn::take("all_is_equal_wherever_the_way_back_was_cut_off") else {
        return;
    };
    for version in newest_and_another("turning_back") {
        let mut scene = Scene::begin(&version);
        scene.moves_only_what_differs();
        // Where the machine is so slow that a moment is missed, the next one serves.
        scene.killed_at("on record", |marks| marks.is_aligned.is_some());
        scene.killed_at("begun anew", |marks| marks.is_anew);
        scene.killed_at("follows", |marks| marks.is_anew && marks.bytes > 0);
        scene.killed_in_sync();
        scene.killed_at("sets aside", |marks| marks.is_setting_aside);
        scene.killed_at("cut", |marks| {
            marks.is_aside && (marks.bytes == 0 || marks.is_aligned == Some(true))
        });
        scene.killed_at("aligned", |marks| marks.is_aligned == Some(true));
        scene.killed_at("goes on", |marks| {
            marks.is_aligned == Some(true) && marks.bytes > 0
        });
        scene.killed_before_a_follower_was_cut();
        scene.a_follower_is_down();
        scene.it_is_trimmed_behind_the_parting();
        if newest().contains(&version) {
            scene.goes_round_ten_times();
        }
    }
}

/// A cluster, and the node that is a broker of it and mirrors from the other one.
struct Side {
    cluster: Cluster,
    node: Node,
    mirror: &'static str,
}

struct Scene {
    sides: [Side; 2],
    /// Where it is written to; the other one mirrors it.
    active: usize,
    turns: u32,
}

/// Where the two sides of each partition part, and what has to go.
#[derive(Clone, Debug)]
struct Parting {
    from: i64,
    /// Where the log ended that is to be brought back.
    was: i64,
    /// Where it began.
    begun: i64,
    /// What it held from where they part.
    tail_bytes: u64,
}

/// What a node has on disk of the way back of a partition.
#[derive(Clone, Copy, Debug)]
struct Marks {
    /// Where the sides part is on record, and whether the destination ends there.
    is_aligned: Option<bool>,
    /// The log begins where the sides part, and has so many bytes.
    is_anew: bool,
    bytes: u64,
    /// That is all that the destination's brokers have from there.
    has_tail: bool,
    is_setting_aside: bool,
    is_aside: bool,
}

/// Where that is found, without the node's own reader.
struct Traces {
    data: PathBuf,
    key: Vec<u8>,
    partition: usize,
    from: i64,
    tail_bytes: u64,
}

impl Traces {
    fn of(scene: &Scene, partition: usize, parting: &Parting) -> Traces {
        let (back, source) = (scene.passive(), &scene.sides[scene.active].cluster);
        let answer = source.ask(&format!("describe topic={LOAD}"));
        let id: TopicId = answer.field("id").parse().expect("a topic's id");
        let name = back.mirror.as_bytes();
        let length = u16::try_from(name.len()).expect("a short name");
        let number = i32::try_from(partition).expect("a few");
        let key = [
            &WAY_BACK.to_be_bytes()[..],
            &length.to_be_bytes(),
            name,
            &id.bytes(),
            &number.to_be_bytes(),
        ];
        Traces {
            data: back.node.data.clone(),
            key: key.concat(),
            partition,
            from: parting.from,
            tail_bytes: parting.tail_bytes,
        }
    }

    fn look(&self) -> Marks {
        let log = self
            .data
            .join("logs")
            .join(format!("{LOAD}-{}", self.partition));
        let segments = compare::segments(&log).into_iter();
        let is_behind = |path: &PathBuf| {
            let base = path
                .file_stem()
                .and_then(|stem| stem.to_str()?.parse().ok());
            base.is_some_and(|base: i64| base >= self.from)
        };
        let segments: Vec<PathBuf> = segments.filter(is_behind).collect();
        let sizes = segments.iter().filter_map(|path| fs::metadata(path).ok());
        let bytes = sizes.map(|file| file.len()).sum();
        let aside = self.data.join("logs.aside");
        let aside = aside.join(format!("{LOAD}-{}.from-{}", self.partition, self.from));
        let is_aside = aside.exists();
        Marks {
            is_aligned: self.is_aligned(),
            is_anew: !segments.is_empty(),
            bytes,
            has_tail: bytes >= self.tail_bytes,
            is_setting_aside: is_aside || aside.with_extension(unfinished(self.from)).exists(),
            is_aside,
        }
    }

    /// What the last record says. A value lies behind its key and its length.
    fn is_aligned(&self) -> Option<bool> {
        const ALIGNED: usize = 2 + 16 + 8 + 8 + 4;
        let state = fs::read(self.data.join("mirror-state.log")).unwrap_or_default();
        let places = state.windows(self.key.len()).rposition(|at| at == self.key);
        let rest = state.get(places? + self.key.len()..)?;
        let length = i32::from_be_bytes(rest.get(..4)?.try_into().expect("four"));
        let value = rest.get(4..)?;
        (length > 0).then(|| value.get(ALIGNED) == Some(&1))
    }
}

/// What is set aside has this end of its name until it is whole.
fn unfinished(from: i64) -> String {
    format!("from-{from}.unfinished")
}

impl Scene {
    fn begin(version: &str) -> Scene {
        let workload = Arc::new(Workload::start(version));
        let first = Cluster::start(&workload, "turning-back-first", 2, &APART);
        let second = Cluster::start(&workload, "turning-back-second", 2, &APART);
        first.ask(&format!("create topic={LOAD} partitions={COUNT} rf=2"));
        first.ask(&format!(
            "produce topic={LOAD} count=900 keys=60 idempotent=true"
        ));
        let [there, back] = Node::pair(&first, &second, TOPICS);
        let side = |cluster, node, mirror| Side {
            cluster,
            node,
            mirror,
        };
        let mut scene = Scene {
            sides: [side(first, back, "back"), side(second, there, "dr")],
            active: 0,
            turns: 0,
        };
        scene.sides[1].node.start();
        scene.until_caught_up("at first");
        scene
    }

    fn passive(&self) -> &Side {
        &self.sides[1 - self.active]
    }

    fn until_caught_up(&mut self, when: &str) {
        let node = &mut self.sides[1 - self.active].node;
        node.until(when, COUNT, |one| one.is_caught_up());
    }

    /// A failover: from here on both sides write, and what the former active side writes has to go.
    /// Says where they part.
    fn part(&mut self, more: &str) -> Vec<Parting> {
        let (old, new) = (self.active, 1 - self.active);
        let side = &self.sides[new];
        // Each side remembers transactional ids of before: none is in what was mirrored from the
        // other one.
        let stop = [
            "stop",
            "--mirror",
            side.mirror,
            "--topics",
            TOPICS,
            "--wait",
        ];
        side.node.mirrors(&stop).expect_code(0);
        let left = side.node.describe();
        let tail = format!("produce topic={LOAD} count=90 keys=60 idempotent=true {more}");
        self.sides[old].cluster.ask(&tail);
        let turn = self.turns;
        self.sides[old].cluster.ask(&format!(
            "transact topic={LOAD} id=tail-{turn} txns=2 count=6 end=alternate"
        ));
        self.sides[new].cluster.ask(&format!(
            "produce topic={LOAD} count=200 keys=60 idempotent=true {more}"
        ));
        for id in [&format!("new-{turn}"), "app"] {
            self.sides[new].cluster.ask(&format!(
                "transact topic={LOAD} id={id} txns=4 count=10 end=alternate"
            ));
        }
        self.active = new;
        let ends = self.sides[old].cluster.offsets(LOAD);
        assert_eq!(left.len(), ends.len(), "{left:?}");
        let each = left.iter().zip(&ends).enumerate();
        let each = each.map(|(partition, (left, end))| Parting {
            from: left.last_mirror_offset,
            was: end.high_watermark,
            begun: end.log_start,
            tail_bytes: self.bytes_from(old, partition, left.last_mirror_offset),
        });
        let all: Vec<Parting> = each.collect();
        let has_tail = |one: &Parting| one.was > one.from;
        assert!(all.iter().all(has_tail), "{all:?}");
        all
    }

    /// The node of the side that was active mirrors back onto it.
    fn begin_return(&mut self) {
        let is_first = self.turns == 0;
        let side = &mut self.sides[1 - self.active];
        self.turns += 1;
        // The pattern that the stop has excluded, or a name that nobody has seen yet.
        let topics = if is_first { LOAD } else { TOPICS };
        if is_first {
            side.node.start();
        }
        let start = ["start", "--mirror", side.mirror, "--topics", topics];
        side.node.mirrors(&start).expect_code(0);
    }

    /// A whole turn, in which something happens once the way back has begun.
    fn turn(&mut self, what: &str, happens: impl FnOnce(&mut Scene, &[Parting])) {
        let begun = Instant::now();
        let parting = self.part("");
        self.begin_return();
        happens(self, &parting);
        self.comes_back(what, &parting);
        eprintln!("{what}: back after {:?}", begun.elapsed());
    }

    fn comes_back(&mut self, what: &str, parting: &[Parting]) {
        self.until_caught_up(what);
        self.are_equal(what, parting);
        for (partition, parting) in parting.iter().enumerate() {
            let wanted = (parting.from.max(parting.begun), parting.was);
            let aside = self.set_aside(partition);
            let held: Vec<_> = aside.iter().map(|dir| range(dir)).collect();
            // What is trimmed within a batch lies in the file still.
            let is_it = |(start, end): &(i64, i64)| {
                (parting.from..=wanted.0).contains(start) && *end == wanted.1
            };
            let is_kept = held.iter().flatten().any(is_it);
            assert!(is_kept, "{what}: {partition}: {parting:?}: {held:?}");
        }
    }

    /// Directories of what was set aside of a partition.
    fn set_aside(&self, partition: usize) -> Vec<PathBuf> {
        let name = format!("{LOAD}-{partition}.from-");
        let is_of = |path: &PathBuf| {
            let file = path.file_name().and_then(|name| name.to_str());
            file.is_some_and(|file| file.starts_with(&name) && !file.ends_with(".unfinished"))
        };
        let all = fs::read_dir(self.passive().node.data.join("logs.aside"));
        let all = all.into_iter().flatten();
        let all = all.map(|entry| entry.expect("readable").path());
        all.filter(is_of).collect()
    }

    fn replica(&self, side: usize, broker: u32, partition: usize) -> PathBuf {
        let dir = self.sides[side].cluster.log_dir(broker);
        dir.join(format!("{LOAD}-{partition}"))
    }

    fn replicas(&self, partition: usize) -> Vec<PathBuf> {
        let (active, passive) = (self.active, 1 - self.active);
        let all = [(active, 1), (active, 2), (passive, 1), (passive, 2)];
        let all = all.into_iter();
        all.map(|(side, broker)| self.replica(side, broker, partition))
            .collect()
    }

    /// All replicas of both clusters hold the same, but for the epochs of its batches, as far as
    /// they hold it.
    fn are_equal(&mut self, when: &str, parting: &[Parting]) {
        let source = self.sides[self.active].cluster.offsets(LOAD);
        for (partition, wanted) in source.iter().enumerate() {
            let dirs = self.replicas(partition);
            let begun = Instant::now();
            let end = |dir: &PathBuf| range(dir).map(|(_, end)| end);
            while dirs
                .iter()
                .any(|dir| end(dir) != Some(wanted.high_watermark))
            {
                let ranges: Vec<_> = dirs.iter().map(|dir| range(dir)).collect();
                assert!(
                    begun.elapsed() < WITHIN,
                    "{when}: {wanted:?}: {:?}: {ranges:?}\n{}\n{}",
                    parting.get(partition),
                    self.sides[0].node.said(),
                    self.sides[1].node.said()
                );
                std::thread::sleep(Duration::from_millis(200));
            }
            let starts = dirs.iter().filter_map(|dir| range(dir));
            let start = starts.map(|(start, _)| start).max().unwrap_or_default();
            let start = start.max(wanted.log_start);
            for dir in &dirs[1..] {
                compare::agree_but_for_epochs(&dirs[0], dir, start..wanted.high_watermark)
                    .unwrap_or_else(|difference| panic!("{when}: {difference}"));
                // Nobody keeps the epochs of what was trimmed, and files may hold it still.
                let begun = parting.get(partition).map_or(0, |one| one.begun);
                if (wanted.log_start, begun) == (0, 0) {
                    stamps_are_true(dir);
                }
            }
        }
        for side in &self.sides {
            nobody_spins(&side.cluster);
        }
    }
}

impl Scene {
    fn killed_at(&mut self, step: &str, at: impl Fn(Marks) -> bool) {
        self.turn(step, |scene, parting| {
            let traces = Traces::of(scene, 0, &parting[0]);
            let node = &mut scene.sides[1 - scene.active].node;
            let came = node.kill_once(STEP_WITHIN, || at(traces.look()));
            assert!(came, "{step}: {:?}", traces.look());
            eprintln!("{step}: killed with {:?} on disk", traces.look());
            node.start();
        });
    }

    /// The node is in sync, and so may be elected, before whom it follows answers it again: what it
    /// had of the tail before it was killed is all that can be set aside.
    fn killed_in_sync(&mut self) {
        let what = "in sync";
        self.turn(what, |scene, parting| {
            let passive = 1 - scene.active;
            let side = &mut scene.sides[passive];
            let at = side.cluster.broker(1);
            let heard = || asking::heard(&at, LOAD).partitions;
            // Broker 2 leads it, and broker 1, who is the controller too, may go on.
            let is_of_2 = |one: &asking::Replicas| one.all.iter().find(|id| **id != US) == Some(&2);
            let led = heard().iter().position(is_of_2);
            let led = led.expect("hand-overs are spread over the brokers");
            let traces = Traces::of(scene, led, &parting[led]);
            let side = &mut scene.sides[passive];
            let has_all = |marks: Marks| marks.is_anew && marks.has_tail;
            let came = side.node.kill_once(STEP_WITHIN, || has_all(traces.look()));
            assert!(came, "{what}: {:?}", traces.look());
            std::thread::sleep(Duration::from_millis(300));
            let is_in_sync = heard()[led].in_sync.contains(&US);
            eprintln!("{what}: {is_in_sync} with {:?} on disk", traces.look());
            side.cluster.pause(2);
            side.node.start();
            std::thread::sleep(Duration::from_secs(3));
            side.cluster.resume(2);
        });
    }

    /// A follower in sync stands still while the node cuts: what it has of the tail is what others
    /// elect it with.
    fn killed_before_a_follower_was_cut(&mut self) {
        let what = "a follower was not cut";
        self.turn(what, |scene, parting| {
            let passive = 1 - scene.active;
            let all = Traces::all(scene, parting);
            let begun = Instant::now();
            while !all.iter().any(|traces| traces.look().is_anew) {
                assert!(begun.elapsed() < STEP_WITHIN, "nothing begins");
            }
            scene.sides[passive].cluster.pause(2);
            let is_aside = || all.iter().any(|traces| traces.look().is_aside);
            let came = scene.sides[passive].node.kill_once(STEP_WITHIN, is_aside);
            assert!(came, "{what}: nothing was cut");
            let cut = all.iter().filter(|traces| traces.look().is_aside);
            for traces in cut {
                let held = range(&scene.replica(passive, 2, traces.partition));
                let has = (traces.partition, traces.look(), held);
                eprintln!("{what}: {has:?} of {:?}", parting[traces.partition]);
            }
            scene.sides[passive].cluster.resume(2);
            scene.sides[passive].node.start();
        });
    }

    fn a_follower_is_down(&mut self) {
        self.turn("a follower is down", |scene, _| {
            let passive = 1 - scene.active;
            scene.sides[passive].cluster.kill(2);
            scene.until_caught_up("while a follower is down");
            scene.sides[passive].cluster.restart(2);
        });
    }
}

impl Traces {
    fn all(scene: &Scene, parting: &[Parting]) -> Vec<Traces> {
        let all = parting.iter().enumerate();
        all.map(|(partition, parting)| Traces::of(scene, partition, parting))
            .collect()
    }
}

impl Scene {
    /// A partition is trimmed where it is brought back to, within the tail: nothing of it stays.
    fn it_is_trimmed_behind_the_parting(&mut self) {
        let what = "trimmed";
        let mut parting = self.part("");
        let passive = 1 - self.active;
        let trimmed = parting[0].was - 3;
        assert!(trimmed > parting[0].from, "{parting:?}");
        let trim = format!("trim topic={LOAD} partition=0 before={trimmed}");
        self.sides[passive].cluster.ask(&trim);
        parting[0].begun = trimmed;
        self.begin_return();
        self.comes_back(what, &parting);
        self.turn("at last", |scene, _| {
            let now = scene.sides[scene.active].cluster.offsets(LOAD);
            let starts: Vec<i64> = now.iter().map(|one| one.log_start).collect();
            assert_eq!(starts[0], parting[0].from, "it begins where the sides part");
        });
    }

    /// There and back ten times in all.
    fn goes_round_ten_times(&mut self) {
        while self.turns < 20 {
            self.turn("once more", |_, _| {});
        }
    }

    /// What both sides have is moved again in neither direction.
    fn moves_only_what_differs(&mut self) {
        let what = "moves only what differs";
        let before = self.bytes_of_active();
        let parting = self.part("size=9000");
        let had = self.bytes_of(1 - self.active);
        self.begin_return();
        self.comes_back(what, &parting);
        let tail = had - before;
        let new = self.bytes_of_active() - before;
        let all = self.bytes_of_active();
        let moved = self.moved(new);
        eprintln!("{what}: {moved} bytes were moved of {all}; {new} are new, {tail} had to go");
        assert!(tail > 500_000 && new > 1_000_000, "{tail} {new}");
        assert!(moved * 100 <= new * MOVED_MAX, "{moved} of {new}");
        for (partition, parting) in parting.iter().enumerate() {
            self.is_read(partition, parting);
        }
    }

    /// What the node has fetched from the source since its start: so much, or more.
    fn moved(&self, least: i64) -> i64 {
        let moved = || self.passive().node.summed("shard_bytes_total");
        let begun = Instant::now();
        while moved() < least {
            assert!(begun.elapsed() < WITHIN, "{} of {least}", moved());
            std::thread::sleep(Duration::from_millis(100));
        }
        // Numbers are up to a second old.
        std::thread::sleep(Duration::from_millis(1500));
        moved()
    }

    fn bytes_of_active(&self) -> i64 {
        self.bytes_of(self.active)
    }

    /// Bytes of a side's batches, once its first broker has all of them.
    fn bytes_of(&self, side: usize) -> i64 {
        let each = (0..COUNT).map(|partition| self.bytes_from(side, partition, 0));
        i64::try_from(each.sum::<u64>()).expect("a few MiB")
    }

    fn bytes_from(&self, side: usize, partition: usize, from: i64) -> u64 {
        let end = self.sides[side].cluster.offsets(LOAD)[partition].high_watermark;
        let dir = self.replica(side, 1, partition);
        let begun = Instant::now();
        while range(&dir).is_none_or(|(_, held)| held < end) {
            assert!(begun.elapsed() < WITHIN, "{end:?}: {:?}", range(&dir));
            std::thread::sleep(Duration::from_millis(50));
        }
        let batches = compare::read(&dir).expect("it is whole").whole;
        let from = batches.iter().filter(|batch| batch.base >= from);
        from.map(|batch| batch.bytes.len() as u64).sum()
    }

    /// `inspect` reads what was set aside, for people and for programs.
    fn is_read(&self, partition: usize, parting: &Parting) {
        let aside = self.set_aside(partition);
        let path = aside[0].to_str().expect("our paths are text");
        let outputs = self.passive().node.outputs();
        let plain = program::run(outputs, &["inspect", path]).expect_code(0);
        assert!(
            plain.stdout.contains(&parting.from.to_string()),
            "{plain:?}"
        );
        let args = ["inspect", path, "--json", "--records"];
        let ended = program::run(outputs, &args).expect_code(0);
        let objects = ended.stdout.lines().map(serde_json::from_str);
        let objects: Vec<Value> = objects.collect::<Result<_, _>>().expect("JSON lines");
        let of_kind = |kind: &'static str| objects.iter().filter(move |one| one["kind"] == kind);
        let batches: Vec<&Value> = of_kind("batch").collect();
        let records: i64 = batches
            .iter()
            .filter_map(|batch| batch["records"].as_i64())
            .sum();
        assert_eq!(records, parting.was - parting.from, "{parting:?}");
        assert_eq!(batches[0]["base_offset"], parting.from, "{parting:?}");
        let has_producer = |batch: &&Value| batch["producer_id"].as_i64().is_some_and(|id| id >= 0);
        assert!(batches.iter().all(has_producer), "{batches:?}");
        assert_eq!(of_kind("record").count() as i64, records, "{parting:?}");
        assert_eq!(of_kind("damage").count(), 0, "{path}");
    }
}
