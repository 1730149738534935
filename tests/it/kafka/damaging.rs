//! A vault that is damaged on disk, beside the real broker that it was copied from: every file gone
//! or changed is found; the next copy mends what it can mend safely, and names the command for the
//! rest. The source compacts one topic after it was copied, so that its batches cannot come back.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::program::Ended;
use super::vault::Vault;
use super::*;

const TOPICS: &str = "damage\\..*";
const PLAIN: &str = "damage.plain-0";
const COMPACTED: &str = "damage.compacted-0";

#[test]
fn damage_is_found_and_mended_where_that_is_safe() {
    let Some(_turn) = Turn::take("damage_is_found_and_mended_where_that_is_safe") else {
        return;
    };
    let workload = Arc::new(Workload::start(DEFAULT_VERSION));
    let cluster = Cluster::start(&workload, "damaging", 1, &[]);
    cluster.ask("create topic=damage.plain partitions=1");
    cluster.ask("produce topic=damage.plain count=800 size=300 batch=2000 seed=1");
    cluster.ask("create topic=damage.compacted partitions=1 c.segment.ms=1000");
    for seed in 2..5 {
        let shape = "count=200 size=200 keys=10 batch=1500";
        cluster.ask(&format!(
            "produce topic=damage.compacted {shape} seed={seed}"
        ));
    }
    let vault = Vault::new(&cluster, "damaged");
    vault.copy(&cluster, TOPICS, &[]).expect_code(0);
    vault.assert_identical(&cluster, 1, &cluster.offsets(TOPICS));
    let damaged = Damaged { cluster, vault };
    damaged.every_file_but_batches_is_made_again();
    for damage in [flipped, torn, gone] {
        damaged.is_fetched_again(damage);
    }
    damaged.source_compacts();
    damaged.source_goes_on();
    damaged.is_refused_with_the_command();
}

/// Changes a file; each in its own way.
type Damage = fn(&PathBuf);

fn flipped(path: &PathBuf) {
    let mut bytes = fs::read(path).expect("it is there");
    let at = bytes.len() - 5;
    bytes[at] ^= 1;
    fs::write(path, bytes).expect("it is ours");
}

fn torn(path: &PathBuf) {
    let bytes = fs::read(path).expect("it is there");
    fs::write(path, &bytes[..bytes.len() / 2]).expect("it is ours");
}

fn gone(path: &PathBuf) {
    fs::remove_file(path).expect("it is there");
}

struct Damaged {
    cluster: Cluster,
    vault: Vault,
}

impl Damaged {
    fn copy(&self) -> Ended {
        self.vault.copy(&self.cluster, TOPICS, &[])
    }

    fn log(&self, partition: &str) -> PathBuf {
        compare::segments(&self.vault.dir.join(partition))
            .pop()
            .expect("it has a segment")
    }

    /// Every file of the vault that is not a segment, goes and comes back as it was understood.
    fn every_file_but_batches_is_made_again(&self) {
        let top = &self.vault.dir;
        let inside = |dir: &PathBuf| {
            let entries = fs::read_dir(dir).expect("readable");
            let paths = entries.map(|entry| entry.expect("readable").path());
            paths.filter(|path| path.is_file()).collect::<Vec<_>>()
        };
        let mut files = inside(top);
        files.extend(inside(&top.join(PLAIN)));
        let names_of_nothing = [".lock", ".kafka_cleanshutdown"];
        files.retain(|path| {
            let name = path.file_name().expect("it has one").to_string_lossy();
            !name.ends_with(".log") && !names_of_nothing.contains(&&*name)
        });
        assert!(files.len() >= 11, "{files:?}");
        for file in files {
            gone(&file);
            let name = file.display().to_string();
            let found = self.vault.verify(None);
            // Whoever copies without digests leaves a sound vault, which is told all the same.
            let is_a_digest = name.ends_with("/digest-checkpoint");
            let code = i32::from(!is_a_digest);
            assert_eq!(found.code, Some(code), "{name} is missing: {found:?}");
            if is_a_digest {
                let told = format!("{PLAIN}: no digest");
                assert!(found.stdout.contains(&told), "{found:?}");
            }
            self.copy().expect_code(0);
            let mended = self.vault.verify(Some(&self.cluster));
            assert_eq!(mended.code, Some(0), "{name} was made again: {mended:?}");
        }
    }

    /// Batches that the source still has as they were.
    fn is_fetched_again(&self, damage: Damage) {
        damage(&self.log(PLAIN));
        let found = self.vault.verify(None).expect_code(1);
        found.expect_said(&[PLAIN]);
        let said = self.copy().expect_code(0);
        said.expect_said(&["is fetched again", PLAIN]);
        let partitions = self.cluster.offsets(TOPICS);
        self.vault.assert_identical(&self.cluster, 1, &partitions);
        self.vault.verify(Some(&self.cluster)).expect_code(0);
    }

    /// The cleaner takes away what the vault still has: no difference, but a class of its own.
    fn source_compacts(&self) {
        self.cluster.ask(
            "configure topic=damage.compacted c.cleanup.policy=compact \
             c.min.cleanable.dirty.ratio=0.01 c.max.compaction.lag.ms=1000 c.delete.retention.ms=0",
        );
        let source = self.cluster.log_dir(1).join(COMPACTED);
        let copied = compare::read(&self.vault.dir.join(COMPACTED)).expect("readable");
        let deadline = Instant::now() + Duration::from_secs(90);
        let mut seed = 100;
        loop {
            // What is to be cleaned has to lie in a segment that is not written any more.
            self.cluster.ask(&format!(
                "produce topic=damage.compacted count=10 size=200 keys=10 seed={seed}"
            ));
            std::thread::sleep(Duration::from_millis(1500));
            seed += 1;
            let now = compare::read(&source);
            if now.is_ok_and(|now| now.whole.first() != copied.whole.first()) {
                break;
            }
            assert!(Instant::now() < deadline, "the cleaner does not come");
        }
        let compared = self.vault.run(&[
            "verify",
            "--vault",
            self.vault.path(),
            "--from",
            &self.cluster.bootstrap(),
            "--json",
        ]);
        let compared = compared.expect_code(0);
        assert!(compared.number("/compacted_batches") > 0, "{compared:?}");
        assert!(compared.number("/identical_batches") > 100, "{compared:?}");
    }

    /// What is not copied yet is no difference, but no copy of it either: told by partition, new
    /// ones of a copied topic among them.
    fn source_goes_on(&self) {
        self.cluster.ask("grow topic=damage.plain partitions=2");
        self.cluster
            .ask("produce topic=damage.plain partition=1 count=50 size=100 seed=9");
        let from = self.cluster.bootstrap();
        let args = ["verify", "--vault", self.vault.path(), "--from", &from];
        let told = self.vault.run(&[&args[..], &["--json"]].concat());
        let told = told.expect_code(0).json();
        let behind = told["behind"].as_array().expect("a list").clone();
        let of = |partition: &str| {
            let mut all = behind.iter();
            all.find(|one| one["partition"] == partition).cloned()
        };
        let grown = of("damage.plain-1").expect("it is not copied at all");
        assert!(
            grown["end"] == 0 && grown["offsets"] == grown["source_end"],
            "{grown}"
        );
        assert!(of(COMPACTED).is_some(), "{told}");
        let whole = self.vault.run(&[&args[..], &["--complete"]].concat());
        whole
            .expect_code(1)
            .expect_said(&["the copy is not complete"]);
        self.copy().expect_code(0);
        let whole = self.vault.run(&[&args[..], &["--complete"]].concat());
        assert!(whole.expect_code(0).stdout.ends_with("\nidentical\n"));
    }

    /// Batches that the source does not have any more as they were.
    fn is_refused_with_the_command(&self) {
        let before = fs::read(self.log(COMPACTED)).expect("it is there");
        torn(&self.log(COMPACTED));
        let torn = fs::read(self.log(COMPACTED)).expect("it is there");
        self.vault
            .verify(None)
            .expect_code(1)
            .expect_said(&[COMPACTED]);
        let refused = self.copy().expect_code(1).expect_said(&[COMPACTED, "`mv "]);
        let after = fs::read(self.log(COMPACTED)).expect("it is there");
        assert!(after == torn, "nothing of what is left is touched");
        assert!(before.starts_with(&after));
        let (_, command) = refused.stderr.split_once("`mv ").expect("just seen");
        let (command, _) = command.split_once('`').expect("it has an end");
        let status = Command::new("sh")
            .args(["-c", &format!("mv {command}")])
            .status();
        assert!(status.expect("there is a shell").success(), "mv {command}");
        self.copy().expect_code(0);
        self.vault.verify(Some(&self.cluster)).expect_code(0);
        self.vault
            .assert_partitions_identical(&self.cluster, 1, &self.cluster.offsets(TOPICS));
    }
}
