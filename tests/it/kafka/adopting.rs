//! A stock broker serves a copy of a vault: consumers read it, a second replica joins, a group
//! commits, leaves and returns.

use super::vault::Vault;
use super::*;

const TOPICS: &str = "zoo\\..*";

#[test]
fn a_stock_broker_serves_an_adopted_vault() {
    let Some(_turn) = Turn::take("a_stock_broker_serves_an_adopted_vault") else {
        return;
    };
    for version in versions() {
        let workload = Arc::new(Workload::start(&version));
        let source = Cluster::start(&workload, "adopted", 1, &[]);
        source.ask("create topic=zoo.plain partitions=3");
        source.ask("produce topic=zoo.plain count=2000 size=300 codec=zstd");
        source.ask("create topic=zoo.txns partitions=1");
        source.ask("transact topic=zoo.txns id=t count=20 txns=4 end=alternate");
        let vault = Vault::new(&source, "adopted");
        vault.copy(&source, TOPICS, &[]).expect_code(0);
        serves(&workload, &source, &vault);
    }
}

fn serves(workload: &Arc<Workload>, source: &Cluster, vault: &Vault) {
    let mut heir = Cluster::start(workload, "adopting", 2, &[]);
    heir.ask("create topic=zoo.plain assign=2,2,2");
    heir.ask("create topic=zoo.txns assign=2");
    let log_dir = heir.log_dir(2);
    let log_dir = log_dir.to_str().expect("our paths are text").to_owned();
    let to = heir.bootstrap();
    let to = to.split(',').next().expect("node 1").to_owned();
    let args = [
        "adopt",
        "--vault",
        vault.path(),
        "--log-dir",
        &log_dir,
        "--to",
        &to,
    ];
    vault.run(&args).expect_code(1).expect_said(&["in use"]);
    heir.stop(2);
    vault.run(&args).expect_code(0);
    heir.restart(2);
    for isolation in ["committed=false", "committed=true"] {
        let question = format!("consume topics={TOPICS} {isolation}");
        let (ours, theirs) = (heir.ask(&question), source.ask(&question));
        assert!(theirs.number("count") > 0);
        assert_eq!(ours.lines, theirs.lines, "{isolation}");
    }
    heir.ask("reassign topic=zoo.plain replicas=2+1");
    heir.ask("reassign topic=zoo.txns replicas=2+1");
    let partitions = heir.offsets(TOPICS);
    vault.assert_partitions_identical(&heir, 1, &partitions);
    vault.assert_partitions_identical(&heir, 2, &partitions);
    // A group commits, leaves, and returns to where it was.
    let first = heir
        .ask("group topic=zoo.plain group=g max=500")
        .number("count");
    let second = heir.ask("group topic=zoo.plain group=g").number("count");
    assert!(first >= 500 && second > 0, "{first} and {second}");
    assert_eq!(first + second, 2000, "nothing twice, nothing left out");
}
