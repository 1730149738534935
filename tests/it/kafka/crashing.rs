//! SIGKILL of the program at any moment of a copy under load: nothing foreign, nothing lost, and
//! the way back costs what was not synced, not the whole log.

use std::time::Duration;

use super::vault::Vault;
use super::*;

/// How often it is killed.
const KILLS: u32 = 20;

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
    let mut moment = Moments(0x7477_696e);
    for nth in 0..KILLS {
        let following = vault.follow(&cluster, "crash\\..*");
        cluster.ask(&format!(
            "transact topic=crash.random id=t{} count=20 txns=2 end=alternate",
            nth % 3
        ));
        std::thread::sleep(moment.next());
        following.kill();
        is_a_prefix(&cluster, &vault);
    }
    cluster.ask("unload id=load");
    let last = vault.copy(&cluster, "crash\\..*", &[]).expect_code(0);
    vault.assert_identical(&cluster, 1, &cluster.offsets("crash\\..*"));
    dump::complains_not(&workload, &vault.dir);
    vault.verify(Some(&cluster)).expect_code(0);
    eprintln!("the last of {KILLS} recoveries: {}", last.stdout.trim());
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
