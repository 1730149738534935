//! An adoption that is killed where it hurts: while a setting of the adopting cluster is changed,
//! while it copies, while files get their names. The next run goes on, and sets back what was left.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::vault::Vault;
use super::*;

const TOPICS: &str = "killed\\..*";
const ELECTIONS: u32 = 6;
/// Partitions of the topic whose copy takes a while.
const LARGE: usize = 6;
/// How long a run may take to come where it is killed.
const WITHIN: Duration = Duration::from_secs(60);
/// A copy that is being made.
const UNFINISHED: &str = ".twinlog-adopting";
const NOTES: &str = "twinlog-adopting.settings";

#[test]
fn an_adoption_that_is_killed_goes_on() {
    let Some(_turn) = Turn::take("an_adoption_that_is_killed_goes_on") else {
        return;
    };
    for version in newest_and_another("cut_off") {
        let workload = Arc::new(Workload::start(&version));
        let source = Cluster::start(&workload, "cut-off-from", 2, &[]);
        fill(&source);
        let vault = Vault::new(&source, "cut-off");
        vault.copy(&source, TOPICS, &[]).expect_code(0);
        let mut heir = Cluster::start(&workload, "cut-off", 2, &[]);
        create(&heir);
        heir.stop(2);
        let adoption = Adoption { heir, vault };
        let before = adoption.settings();
        let was_noted = adoption.is_killed_in_its_window();
        eprintln!("Kafka {version}: killed in its window: {was_noted}");
        adoption.is_killed_while_it_copies();
        adoption.is_killed_among_names();
        adoption.run().await_end(WITHIN).expect_code(0);
        assert_eq!(adoption.settings(), before, "all is set as it was");
        assert_eq!(adoption.count(|name| name.ends_with(UNFINISHED)), 0);
        assert!(!adoption.heir.log_dir(2).join(NOTES).exists());
        adoption.serves(&source);
    }
}

/// A topic whose leaders have changed, and one that takes a while to copy.
fn fill(source: &Cluster) {
    source.ask("create topic=killed.elected assign=1+2");
    for nth in 0..ELECTIONS {
        let replicas = ["2+1", "1+2"][nth as usize % 2];
        source.ask(&format!(
            "reassign topic=killed.elected replicas={replicas} nowait=true"
        ));
        source.ask("elect topic=killed.elected");
        source.ask("produce topic=killed.elected count=20");
    }
    let assign = ["1"; LARGE].join(",");
    source.ask(&format!("create topic=killed.large assign={assign}"));
    source.ask("produce topic=killed.large count=6000 size=40000 batch=500000 seed=3");
}

fn create(heir: &Cluster) {
    let retention = "c.retention.ms=-1";
    let assign = ["2"; LARGE].join(",");
    heir.ask(&format!(
        "create topic=killed.large assign={assign} {retention}"
    ));
    heir.ask(&format!("create topic=killed.elected assign=2 {retention}"));
    heir.ask("configure topic=killed.elected c.unclean.leader.election.enable=false");
}

struct Adoption {
    /// Its broker 2 is stopped.
    heir: Cluster,
    vault: Vault,
}

impl Adoption {
    fn run(&self) -> program::Running {
        let log_dir = self.heir.log_dir(2);
        let log_dir = log_dir.to_str().expect("our paths are text");
        let to = self.heir.bootstrap();
        let to = to.split(',').next().expect("node 1");
        let args = ["adopt", "--vault", self.vault.path()];
        self.vault
            .start(&[&args[..], &["--log-dir", log_dir, "--to", to]].concat())
    }

    /// Starts a run and kills it as soon as `is_there` says so.
    fn kill_when(&self, what: &str, is_there: impl Fn() -> bool) {
        let mut running = self.run();
        let begun = Instant::now();
        while !is_there() {
            running.assert_alive();
            assert!(
                begun.elapsed() < WITHIN,
                "never: {what}\n{}",
                running.said()
            );
            std::thread::sleep(Duration::from_micros(200));
        }
        let ended = running.kill();
        assert_eq!(ended.code, None, "{what}: it had ended already, {ended:?}");
    }

    /// Files of the stopped broker's partitions of which `is` says yes.
    fn count(&self, is: impl Fn(&str) -> bool) -> usize {
        let entries = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten();
        let partitions = entries(&self.heir.log_dir(2))
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("killed."));
        let files = partitions.flat_map(|dir| entries(&dir.path()).collect::<Vec<_>>());
        files
            .filter(|file| is(&file.file_name().to_string_lossy()))
            .count()
    }

    fn settings(&self) -> [Vec<String>; 2] {
        let of = |topic: &str| self.heir.ask(&format!("settings topic={topic}")).lines;
        ["killed.elected", "killed.large"].map(of)
    }

    /// Where eligible replicas are kept apart, a setting is changed for a moment. The kill leaves
    /// it changed, and its notes. Says whether there is such a moment.
    fn is_killed_in_its_window(&self) -> bool {
        let notes = self.heir.log_dir(2).join(NOTES);
        let copies = || self.count(|name| name.ends_with(UNFINISHED)) > 0;
        self.kill_when("a setting is noted, or copies are made", || {
            notes.exists() || copies()
        });
        if !notes.exists() {
            return false;
        }
        // It may have come in the instant before the change.
        self.heir
            .ask("configure topic=killed.elected c.unclean.leader.election.enable=true");
        true
    }

    fn is_killed_while_it_copies(&self) {
        self.kill_when("half of a segment is copied", || {
            self.count(|name| name.ends_with(&format!(".log{UNFINISHED}"))) > 0
        });
    }

    /// Of one partition the segments have their names, of another one they do not.
    fn is_killed_among_names(&self) {
        let named = || {
            let dir = self.heir.log_dir(2);
            let size = |nth: usize| {
                let log = format!("killed.large-{nth}/00000000000000000000.log");
                fs::metadata(dir.join(log)).map_or(0, |log| log.len())
            };
            (0..LARGE).any(|nth| size(nth) > 0)
        };
        self.kill_when("a segment has its name", named);
        let dir = self.heir.log_dir(2);
        let last = dir.join(format!("killed.large-{}", LARGE - 1));
        let left = fs::metadata(last.join("00000000000000000000.log"));
        assert_eq!(left.map_or(0, |log| log.len()), 0, "not all of them have");
    }

    /// The broker starts on it; clients see what they see at the source.
    fn serves(mut self, source: &Cluster) {
        self.heir.restart(2);
        let partitions = source.offsets(TOPICS);
        assert_eq!(self.heir.offsets(TOPICS), partitions);
        let equal = self
            .vault
            .assert_partitions_identical(&self.heir, 2, &partitions);
        assert!(equal.batches > 100, "{equal:?}");
        let question = format!("consume topics={TOPICS} committed=false");
        assert_eq!(self.heir.ask(&question).lines, source.ask(&question).lines);
    }
}
