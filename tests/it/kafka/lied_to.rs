//! A real broker behind a proxy that lies about what it sends: see `lying.rs` for the lies.

use std::fs;

use super::vault::{Vault, await_that};
use super::*;
use crate::lying::IMPATIENT;
use crate::lying::lies::{FRAMES, InFrame, InRecords, Lie, RECORDS};
use crate::lying::proxy::{Often, Plan, Proxy};

/// The offset in whose batch the lie is; in the midst of several answers' worth of batches.
const DAMAGED: i64 = 200;
const RECORDS_EACH: i64 = 400;

#[test]
fn a_real_broker_may_be_lied_about() {
    let Some(_turn) = Turn::take("a_real_broker_may_be_lied_about") else {
        return;
    };
    let workload = Arc::new(Workload::start(DEFAULT_VERSION));
    let cluster = Cluster::start(&workload, "lied-to", 1, &[]);
    for (topic, seed) in [("lied.sound", 1), ("lied.lies", 2)] {
        cluster.ask(&format!("create topic={topic} partitions=1"));
        cluster.ask(&format!(
            "produce topic={topic} count={RECORDS_EACH} size=300 batch=1000 seed={seed}"
        ));
    }
    let config = cluster.dir().join("impatient.toml");
    let small = format!("{IMPATIENT}partition_bytes_max = 16384\n");
    fs::write(&config, small).expect("the directory is there");
    let told = Told {
        cluster: &cluster,
        config: config.to_str().expect("our paths are text"),
    };
    let records = RECORDS.map(Lie::Records);
    for lie in records.into_iter().chain(FRAMES.map(Lie::Frame)) {
        told.once(lie);
    }
    for lie in RECORDS {
        told.always(lie);
    }
    for lie in FRAMES {
        told.always_about_answers(lie);
    }
    told.followed(InRecords::PayloadBit);
}

/// A proxy before the only broker of a cluster.
pub(super) fn before(cluster: &Cluster, plan: Plan) -> Proxy {
    let bootstrap = cluster.bootstrap();
    let port = bootstrap
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok());
    Proxy::start(port.expect("a port"), plan)
}

/// What a lie is called where a name has letters, digits and little else.
pub(super) fn name(lie: Lie) -> String {
    let words = format!("{lie:?}");
    let parts = words.split(|letter: char| !letter.is_ascii_alphanumeric());
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    parts.join("-")
}

struct Told<'a> {
    cluster: &'a Cluster,
    config: &'a str,
}

impl Told<'_> {
    fn proxy(&self, lie: Lie, often: Often) -> Proxy {
        let plan = Plan {
            lie,
            often,
            topic: "lied.lies".to_owned(),
            offset: DAMAGED,
        };
        before(self.cluster, plan)
    }

    fn vault(&self, lie: Lie, often: Often) -> Vault {
        Vault::new(self.cluster, &format!("{}-{often:?}", name(lie)))
    }

    fn args<'v>(&'v self, vault: &'v Vault, from: &'v str) -> [&'v str; 10] {
        let (into, config) = (vault.path(), self.config);
        [
            "copy",
            "--from",
            from,
            "--topics",
            "lied\\..*",
            "--into",
            into,
            "--config",
            config,
            "--json",
        ]
    }

    fn once(&self, lie: Lie) {
        let (proxy, vault) = (self.proxy(lie, Often::Once), self.vault(lie, Often::Once));
        let from = format!("127.0.0.1:{}", proxy.port);
        vault.run(&self.args(&vault, &from)).expect_code(0);
        assert_eq!(proxy.told(), 1, "{lie:?}");
        vault.assert_identical(self.cluster, 1, &self.cluster.offsets("lied\\..*"));
        vault.verify(Some(self.cluster)).expect_code(0);
    }

    fn always(&self, lie: InRecords) {
        let lie = Lie::Records(lie);
        let (proxy, vault) = (
            self.proxy(lie, Often::Always),
            self.vault(lie, Often::Always),
        );
        let from = format!("127.0.0.1:{}", proxy.port);
        let ended = vault.run(&self.args(&vault, &from)).expect_code(1);
        let ended = ended.expect_said(&["broker 1", "lied.lies-0 stop", "offset "]);
        assert!(!ended.stderr.contains("lied.sound"), "{ended:?}");
        self.holds_a_prefix(&vault);
        vault.verify(Some(self.cluster)).expect_code(0);
    }

    /// Of some answers all arrives, or what lies before their end: a last answer that is cut may
    /// have all of a partition there. Of the others nothing arrives. Each partition that lacks
    /// something is named.
    fn always_about_answers(&self, about: InFrame) {
        let lie = Lie::Frame(about);
        let (proxy, vault) = (
            self.proxy(lie, Often::Always),
            self.vault(lie, Often::Always),
        );
        let from = format!("127.0.0.1:{}", proxy.port);
        let ended = vault.run(&self.args(&vault, &from));
        assert!(proxy.told() > 0, "{lie:?}");
        let arrives = [InFrame::HugeField, InFrame::ByteByByte].contains(&about);
        let may_arrive = [InFrame::Cut, InFrame::Reset].contains(&about);
        if arrives || may_arrive && ended.code == Some(0) {
            ended.expect_code(0);
            vault.assert_identical(self.cluster, 1, &self.cluster.offsets("lied\\..*"));
        } else {
            let ended = ended.expect_code(1);
            ended.expect_said(&["broker 1", "lied.lies-0 stop"]);
            for name in ["lied.lies-0", "lied.sound-0"] {
                self.is_prefix(&vault, name);
            }
            if about == InFrame::Cut {
                // Whatever comes before a cut counts.
                let copy = compare::read(&vault.dir.join("lied.lies-0")).expect("readable");
                assert!(copy.end() > Some(DAMAGED), "{:?}", copy.end());
            }
        }
        vault.verify(Some(self.cluster)).expect_code(0);
    }

    /// Who follows goes on asking, says so, and copies the others.
    fn followed(&self, lie: InRecords) {
        let lie = Lie::Records(lie);
        let proxy = self.proxy(lie, Often::Always);
        let vault = Vault::new(self.cluster, "followed");
        let from = format!("127.0.0.1:{}", proxy.port);
        let args = self.args(&vault, &from);
        let mut following = vault.start(&[&args[..], &["--follow"]].concat());
        await_that(&mut following, "ten lies are refused", || {
            proxy.told() >= 10
        });
        self.cluster.ask("produce topic=lied.sound count=10 seed=3");
        vault.await_caught_up(self.cluster, "lied\\.sound", &mut following);
        let ended = following.stop().expect_code(0);
        // Whether it waits or asks at the moment of the stop is chance.
        ended.expect_said(&["lied.lies-0 waits", "broker 1"]);
        self.holds_a_prefix(&vault);
    }

    /// All of the one partition, and the other one up to the lie.
    fn holds_a_prefix(&self, vault: &Vault) {
        self.is_prefix(vault, "lied.lies-0");
        let copy = compare::read(&vault.dir.join("lied.lies-0"));
        let end = copy.expect("readable").end();
        let is_before = end.is_some_and(|end| 0 < end && end <= DAMAGED);
        assert!(is_before, "{}: ends at {end:?}", vault.path());
        vault.assert_partitions_identical(self.cluster, 1, &self.cluster.offsets("lied\\.sound"));
    }

    fn is_prefix(&self, vault: &Vault, name: &str) {
        let [source, copy] = [self.cluster.log_dir(1), vault.dir.clone()];
        compare::prefix(&source.join(name), &copy.join(name))
            .unwrap_or_else(|error| panic!("{error}"));
    }
}
