//! What JVMs load, written down once for each release: brokers and clients start in half the time
//! then, and tests start hundreds of them.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use super::cluster::Cluster;
use super::jars::{self, Archives, Release};
use super::workload::Workload;

/// The release with its archives: made by a rehearsal, unless they were before. Where it makes
/// none, JVMs start as they would without.
pub(super) fn with(release: Release) -> Release {
    let (root, version) = (jars::root(), &release.version);
    let lock = File::create(root.join(format!("archives-{version}.lock")));
    let lock = lock.expect("target is writable");
    lock.lock().expect("the file system knows locks");
    let dir = root.join(format!("archives-{version}"));
    let mark = dir.join(".sources");
    let digest = format!("{:08x}", jars::sources_digest());
    if fs::read_to_string(&mark).ok().as_ref() != Some(&digest) {
        rehearse(&release, &dir);
        fs::write(mark, digest).expect("it was made above");
    }
    let are_there = ["Broker", "Workload"].map(|main| dir.join(format!("{main}.jsa")).exists());
    let archives = match are_there {
        [true, true] => Archives::Found(dir),
        _ => Archives::None,
    };
    Release {
        archives,
        ..release
    }
}

/// A broker and its clients do what they do in most tests, and end.
fn rehearse(release: &Release, dir: &Path) {
    if dir.exists() {
        fs::remove_dir_all(dir).expect("what an earlier run left can be removed");
    }
    fs::create_dir_all(dir).expect("target is writable");
    let release = Release {
        archives: Archives::Written(dir.to_owned()),
        ..release.clone()
    };
    let workload = Arc::new(Workload::of(release));
    let mut cluster = Cluster::start(&workload, "rehearsal", 1, &[]);
    cluster.ask("create topic=rehearsed partitions=2");
    cluster.ask("produce topic=rehearsed count=100 acks=all idempotent=true");
    cluster.ask("transact topic=rehearsed id=rehearsed count=10 txns=2 end=alternate");
    cluster.ask("consume topics=rehearsed committed=true");
    cluster.ask("group topic=rehearsed group=rehearsed");
    cluster.offsets("rehearsed");
    cluster.stop(1);
    workload.stop();
}
