//! SIGKILL of the program at any moment of a copy under load: nothing foreign, nothing lost, and
//! the way back costs what was not synced, not the whole log.

use std::collections::BTreeMap;
use std::time::Duration;

use super::vault::Vault;
use super::*;

/// How often it is killed, unless `TWINLOG_KAFKA_KILLS` says otherwise.
const KILLS: u32 = 20;
/// Syncs and checkpoints often enough that there is something durable between two killings.
const OFTEN: &str = "[shard]\nflush_interval_ms = 150\n[vault]\ncheckpoint_interval_ms = 150\n";
/// Bytes that recovery may read of a partition beside what lies behind its recovery point: it
/// begins at the last index entry below (4 KiB apart, `index.interval.bytes`) and ends each read
/// of 1 MiB within a batch, which it reads again. No batch here is larger than 17 KiB.
const BESIDE_THE_TAIL: u64 = 128 << 10;

fn kills() -> u32 {
    let stated = std::env::var("TWINLOG_KAFKA_KILLS");
    stated.map_or(KILLS, |text| text.parse().expect("a number of kills"))
}

#[test]
fn a_killed_copy_is_a_prefix_and_ends_identical() {
    let Some(_turn) = Turn::take("a_killed_copy_is_a_prefix_and_ends_identical") else {
        return;
    };
    let workload = Arc::new(Workload::start(DEFAULT_VERSION));
    let cluster = Cluster::start(&workload, "crashing", 1, &[]);
    cluster.ask("create topic=crash.load partitions=4");
    cluster.ask("create topic=crash.random partitions=1");
    cluster.ask("load id=load topic=crash.load rate=3000 size=400 codec=none p.linger.ms=2");
    let vault = Vault::new(&cluster, "crashed");
    let config = cluster.dir().join("often.toml");
    std::fs::write(&config, OFTEN).expect("target is writable");
    let often = [
        "-v",
        "--config",
        config.to_str().expect("our paths are text"),
    ];
    let mut moment = Moments(0x7477_696e);
    let kills = kills();
    let mut seen = Seen::default();
    for nth in 0..kills {
        let tails = tails(&vault);
        let following = vault.follow_with(&cluster, "crash\\..*", &often);
        cluster.ask(&format!(
            "transact topic=crash.random id=t{} count=20 txns=2 end=alternate",
            nth % 3
        ));
        std::thread::sleep(moment.next());
        seen.judge(&following.kill().stderr, &tails);
        is_a_prefix(&cluster, &vault);
    }
    cluster.ask("unload id=load");
    let tails = tails(&vault);
    let last = vault.copy(&cluster, "crash\\..*", &["-v"]).expect_code(0);
    seen.judge(&last.stderr, &tails);
    seen.assert_telling(kills);
    vault.assert_identical(&cluster, 1, &cluster.offsets("crash\\..*"));
    dump::complains_not(&workload, &vault.dir);
    vault.verify(Some(&cluster)).expect_code(0);
    eprintln!("{kills} killings: {seen:?}");
}

/// What of a partition's files was not called durable, and what was, in bytes.
#[derive(Clone, Copy, Debug)]
struct Tail {
    unsynced: u64,
    durable: u64,
}

/// The tails of all partitions as a killed program has left them.
fn tails(vault: &Vault) -> BTreeMap<String, Tail> {
    let tail = |name: String| {
        let point = vault.recovery_point(&name);
        let batches = compare::read(&vault.dir.join(&name));
        let batches = batches.unwrap_or_else(|error| panic!("{error}"));
        let bytes = |is_durable: bool| -> u64 {
            let chosen = batches.whole.iter();
            let chosen = chosen.filter(|batch| (batch.next <= point) == is_durable);
            chosen.map(|batch| batch.bytes.len() as u64).sum()
        };
        let tail = Tail {
            unsynced: bytes(false) + batches.torn_bytes as u64,
            durable: bytes(true),
        };
        (name, tail)
    };
    vault.partitions_there().into_iter().map(tail).collect()
}

/// The recoveries that were judged.
#[derive(Debug, Default)]
struct Seen {
    recoveries: u32,
    /// Of them, those of partitions of which most was durable: to read all would have shown.
    telling: u32,
    bytes_read: u64,
    unsynced: u64,
    durable: u64,
}

impl Seen {
    /// What the program has read of each partition: at most its tail and a constant.
    fn judge(&mut self, said: &str, tails: &BTreeMap<String, Tail>) {
        for line in said.lines() {
            let Some((before, after)) = line.split_once(" was not closed cleanly: ") else {
                continue;
            };
            let name = before.rsplit(' ').next().expect("a partition's name");
            let read = after.split(' ').next().and_then(|bytes| bytes.parse().ok());
            let read: u64 = read.unwrap_or_else(|| panic!("no number of bytes: {line}"));
            // One that was not there before has no tail.
            let none = Tail {
                unsynced: 0,
                durable: 0,
            };
            let tail = tails.get(name).copied().unwrap_or(none);
            assert!(
                read <= tail.unsynced + BESIDE_THE_TAIL,
                "{name}: {read} bytes were read, {tail:?}"
            );
            self.recoveries += 1;
            self.telling += u32::from(tail.durable > tail.unsynced + 2 * BESIDE_THE_TAIL);
            self.bytes_read += read;
            self.unsynced += tail.unsynced;
            self.durable += tail.durable;
        }
    }

    fn assert_telling(&self, kills: u32) {
        assert!(
            self.telling >= kills / 2,
            "most were durable too seldom: {self:?}"
        );
    }
}

fn is_a_prefix(cluster: &Cluster, vault: &Vault) {
    for name in vault.partitions_there() {
        let source = cluster.log_dir(1).join(&name);
        compare::prefix(&source, &vault.dir.join(&name)).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// Waits of up to two seconds, the short ones as likely as the long ones: a killing in the middle
/// of a recovery counts as well.
struct Moments(u32);

impl Moments {
    fn next(&mut self) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        let scale = 1 << (self.0 % 5);
        Duration::from_millis(u64::from(self.0 >> 8) % (2000 / scale))
    }
}
