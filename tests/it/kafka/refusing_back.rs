//! What is not to be mirrored back, and is not touched: nobody tells where the two sides part, or
//! what has the name is another topic. Whatever can be mended goes on once it is.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::node::{APART, Node};
use super::*;

/// How long replicas may take to be equal.
const WITHIN: Duration = Duration::from_secs(60);
/// Longer than it takes until what was refused is tried again.
const RETRIED: Duration = Duration::from_secs(3);

/// Failures are tried again at once, and as often as it takes.
const RETRY: &str = "[retry]\nmax_backoff_ms = 500\nmax_attempts = 10000\n";
/// Mirrored, and stopped in order.
const LOAD: &str = "no.load";
/// Mirrored; then deleted where it came from, and made anew.
const AGAIN: &str = "no.again";
/// Mirrored; then deleted where it had come to and made anew, while whoever is to mirror it back
/// looks on.
const RENEWED: &str = "no.renewed";
/// The same, while nobody looks on.
const ANOTHER: &str = "no.another";
/// On both sides before anything was mirrored.
const TAKEN: &str = "no.taken";
/// On both sides, and nobody was asked to mirror it.
const OTHER: &str = "no.other";
/// On both sides, and mirrored into a vault.
const VAULT: &str = "no.vault";
const THERE: &str = "no\\.(load|again|renewed|another|taken)";
const BACK: &str = "no\\.(load|again|taken|other)";
/// All of them.
const TOPICS: [&str; 7] = [LOAD, AGAIN, RENEWED, ANOTHER, TAKEN, OTHER, VAULT];

#[test]
fn nothing_is_touched_before_it_is_known_where_both_sides_part() {
    let test = "nothing_is_touched_before_it_is_known_where_both_sides_part";
    let Some(_turn) = Turn::take(test) else {
        return;
    };
    for version in newest() {
        let mut scene = Scene::begin(&version);
        scene.nobody_answers();
        scene.it_is_mirrored_still();
        scene.what_is_left_goes_on();
        scene.what_is_refused_is_refused_for_good();
        scene.what_is_deleted_is_copied();
    }
}

struct Scene {
    first: Cluster,
    second: Cluster,
    there: Node,
    back: Node,
    /// Bytes of all logs at the first cluster before anybody wants to mirror back onto it.
    before: BTreeMap<PathBuf, Vec<u8>>,
    _vault: Node,
}

impl Scene {
    fn begin(version: &str) -> Scene {
        let workload = Arc::new(Workload::start(version));
        let first = Cluster::start(&workload, "refusing-back-first", 1, &APART);
        let second = Cluster::start(&workload, "refusing-back-second", 1, &APART);
        for topic in TOPICS {
            first.ask(&format!("create topic={topic}"));
            first.ask(&format!("produce topic={topic} count=100 idempotent=true"));
        }
        for topic in [TAKEN, OTHER, VAULT] {
            second.ask(&format!("create topic={topic}"));
            second.ask(&format!("produce topic={topic} count=70 seed=2"));
        }
        let there = Node::member(&second, "there");
        let back = Node::member(&first, "back");
        let mut vault = Node::vault(&first, "vault");
        there.configure(RETRY);
        back.configure(RETRY);
        there.declare_beside(&back, "dr", &first, THERE);
        vault.declare("keep", &first, "no\\.vault");
        back.declare_beside(&there, "back", &second, BACK);
        back.declare_beside(&vault, "wrong", &second, "no\\.vault");
        vault.start();
        vault.until("kept", 1, |one| one.is_caught_up());
        let mut scene = Scene {
            first,
            second,
            there,
            back,
            before: BTreeMap::new(),
            _vault: vault,
        };
        scene.there.start();
        scene.there.until("at first", 4, |one| one.is_caught_up());
        // What is there already takes an operator's word.
        let taken = ["start", "--mirror", "dr", "--topics", TAKEN];
        scene.there.mirrors(&taken).expect_code(0);
        scene
            .there
            .until("taken", 5, |one| match one.topic == TAKEN {
                true => one.state == "FAILED",
                false => one.is_caught_up(),
            });
        scene
    }

    /// The counterpart is dead. Another one is alive, and mirrors elsewhere.
    fn nobody_answers(&mut self) {
        // In the first epoch of a topic, which every topic has.
        let stop = [
            "stop",
            "--mirror",
            "dr",
            "--topics",
            "no.renewed,no.another",
            "--wait",
        ];
        self.there.mirrors(&stop).expect_code(0);
        self.there.kill();
        self.made_anew(ANOTHER);
        // Nobody can look after it meanwhile.
        self.first.ask(&format!("delete topic={AGAIN}"));
        self.first.ask(&format!("create topic={AGAIN}"));
        self.first
            .ask(&format!("produce topic={AGAIN} count=130 seed=3"));
        self.first
            .ask(&format!("produce topic={LOAD} count=30 seed=4"));
        self.before = self.logs();
        let begun = Instant::now();
        let is_led = |topic: &str| {
            let described = self.second.try_ask(&format!("describe topic={topic}"));
            described.is_ok_and(|said| said.words().all(|words| words[1] == "1"))
        };
        while ![LOAD, AGAIN].into_iter().all(is_led) {
            assert!(begun.elapsed() < WITHIN, "nobody leads");
            std::thread::sleep(Duration::from_millis(200));
        }
        self.back.start();
        let topics = [LOAD, AGAIN, ANOTHER, TAKEN, OTHER].join(",");
        for (mirror, topics) in [("back", topics.as_str()), ("wrong", VAULT)] {
            let start = ["start", "--mirror", mirror, "--topics", topics];
            self.back.mirrors(&start).expect_code(0);
        }
        let unreachable = "cannot be reached";
        self.refuses(&[
            (LOAD, unreachable),
            (AGAIN, unreachable),
            (ANOTHER, unreachable),
            (TAKEN, unreachable),
            (OTHER, unreachable),
            (VAULT, "mirrors onto cluster"),
        ]);
        self.is_untouched();
    }

    /// Another topic has the name where it had come to, with more records than there were.
    fn made_anew(&self, topic: &str) {
        self.second.ask(&format!("delete topic={topic}"));
        self.second.ask(&format!("create topic={topic}"));
        let anew = format!("produce topic={topic} count=150 seed=5 idempotent=true");
        self.second.ask(&anew);
    }

    fn it_is_mirrored_still(&mut self) {
        self.there.start();
        self.refuses(&[
            (LOAD, "it is still mirrored from this cluster"),
            (AGAIN, "it was made anew"),
            (ANOTHER, "became the topic of id"),
            (TAKEN, "it is still mirrored from this cluster"),
            (OTHER, "never mirrored the topic from this cluster"),
            (VAULT, "mirrors onto cluster"),
        ]);
        self.is_untouched();
    }

    /// What has only waited for the stop goes on with a word.
    fn what_is_left_goes_on(&mut self) {
        let stop = ["stop", "--mirror", "dr", "--topics", THERE, "--wait"];
        self.there.mirrors(&stop).expect_code(0);
        let topics = [LOAD, TAKEN].join(",");
        let recover = ["recover", "--mirror", "back", "--topics", &topics];
        self.back.mirrors(&recover).expect_code(0);
        self.back
            .until_topic("goes on", LOAD, |one| one.is_caught_up());
        let dir = |cluster: &Cluster| cluster.log_dir(1).join(format!("{LOAD}-0"));
        let (ours, theirs) = (dir(&self.first), dir(&self.second));
        let begun = Instant::now();
        let end = |dir| compare::read(dir).ok().and_then(|held| held.end());
        while end(&ours) != end(&theirs) {
            assert!(begun.elapsed() < WITHIN, "{}", self.back.said());
            std::thread::sleep(Duration::from_millis(100));
        }
        let offsets = self.second.offsets(LOAD);
        compare::agree_but_for_epochs(&theirs, &ours, offsets[0].range())
            .unwrap_or_else(|difference| panic!("{difference}"));
    }

    fn what_is_refused_is_refused_for_good(&mut self) {
        self.made_anew(RENEWED);
        let start = ["start", "--mirror", "back", "--topics", "no\\.renewed"];
        self.back.mirrors(&start).expect_code(0);
        let wanted = [
            (AGAIN, "it was made anew"),
            (RENEWED, "was recreated at the source"),
            (ANOTHER, "became the topic of id"),
            (TAKEN, "nobody knows up to where it was mirrored"),
            (OTHER, "never mirrored the topic from this cluster"),
            (VAULT, "mirrors onto cluster"),
        ];
        self.refuses(&wanted);
        std::thread::sleep(RETRIED);
        self.refuses(&wanted);
        for (topic, _) in wanted {
            let mirror = if topic == VAULT { "wrong" } else { "back" };
            let recover = ["recover", "--mirror", mirror, "--topics", topic];
            self.back.mirrors(&recover).expect_code(0);
        }
        self.refuses(&wanted);
        self.is_untouched();
    }

    /// As the words have it.
    fn what_is_deleted_is_copied(&mut self) {
        self.first.ask(&format!("delete topic={AGAIN}"));
        let recover = ["recover", "--mirror", "back", "--topics", AGAIN];
        self.back.mirrors(&recover).expect_code(0);
        let all = self
            .back
            .until_topic("copied", AGAIN, |one| one.is_caught_up());
        assert_eq!(all[0].destination_offset, 100, "{all:?}");
    }

    /// Each of these topics has failed with these words.
    fn refuses(&mut self, wanted: &[(&str, &str)]) {
        for (topic, words) in wanted {
            self.back.until_topic(words, topic, |one| {
                let error = one.error.as_deref().unwrap_or_default();
                one.state == "FAILED" && error.contains(words)
            });
        }
    }

    /// No log of the first cluster has changed, but for that of what goes on, and nobody has
    /// another replica.
    fn is_untouched(&self) {
        let now = self.logs();
        for (log, bytes) in &self.before {
            let is_load = log.display().to_string().contains(LOAD);
            let is_same = now.get(log) == Some(bytes);
            assert!(is_load || is_same, "{} has changed", log.display());
        }
        for topic in &TOPICS[1..] {
            let described = self.first.ask(&format!("describe topic={topic}"));
            let words = described.words().next().expect("it has a partition");
            assert_eq!((words[1], words[2]), ("1", "1"), "{topic}");
        }
    }

    /// The segments of all topics at the first cluster.
    fn logs(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let dirs = TOPICS.map(|topic| self.first.log_dir(1).join(format!("{topic}-0")));
        let logs = dirs.into_iter().flat_map(|dir| compare::segments(&dir));
        logs.map(|log| (log.clone(), fs::read(&log).expect("it is readable")))
            .collect()
    }
}
