//! Two clusters have given out the same producer id: where it stands in what was mirrored nothing
//! is handed over unless that is forced, and where it does not that is no reason to wait.

use std::time::{Duration, Instant};

use super::node::{APART, Node};
use super::*;

/// How long a look for producers may take.
const WITHIN: Duration = Duration::from_secs(60);
const LOAD: &str = "twin.load";
const TOPICS: &str = "twin\\..*";

#[test]
fn only_an_id_that_was_mirrored_is_in_the_way() {
    let Some(_turn) = Turn::take("only_an_id_that_was_mirrored_is_in_the_way") else {
        return;
    };
    for version in newest_and_another("twin_ids") {
        let workload = Arc::new(Workload::start(&version));
        let first = Cluster::start(&workload, "twin-ids-first", 1, &APART);
        let second = Cluster::start(&workload, "twin-ids-second", 1, &APART);
        // Each gets the first id of its cluster, and keeps it.
        for (cluster, id) in [(&first, "ours"), (&second, "theirs")] {
            cluster.ask("create topic=other");
            cluster.ask(&format!(
                "transact topic=other id={id} txns=1 count=3 end=commit"
            ));
        }
        first.ask(&format!("create topic={LOAD}"));
        first.ask(&format!("produce topic={LOAD} count=50 idempotent=true"));
        let [mut there, mut back] = Node::pair(&first, &second, TOPICS);
        there.start();
        there.until("at first", 1, |one| one.is_caught_up());
        let stop = |mirror| ["stop", "--mirror", mirror, "--topics", LOAD, "--wait"];
        // Their id is a lower one than what was mirrored, and was not mirrored.
        there.mirrors(&stop("dr")).expect_code(0);
        // Its records are remembered: with the end of a transaction a producer may begin another
        // life, of which there are none.
        second.ask(&format!(
            "transact topic={LOAD} id=theirs txns=1 count=5 end=open"
        ));
        back.start();
        back.mirrors(&["start", "--mirror", "back", "--topics", LOAD])
            .expect_code(0);
        back.until("back", 1, |one| one.is_caught_up());
        let stop = stop("back");
        let plan = [&stop[..5], &["--dry-run"]].concat();
        let begun = Instant::now();
        while !back.mirrors(&plan).stdout.contains("\"ours\"") {
            assert!(begun.elapsed() < WITHIN, "nobody looks for producers");
            std::thread::sleep(Duration::from_millis(100));
        }
        back.mirrors(&stop)
            .expect_code(1)
            .expect_said(&["\"ours\"", "1 producers", "--force"]);
        back.until("it goes on", 1, |one| one.is_caught_up());
        back.mirrors(&[&stop[..], &["--force"]].concat())
            .expect_code(0);
    }
}
