//! A topic that is deleted for good at the source while a node mirrors it: the node says so, after
//! its death as well; the destination keeps what it has, other topics go on, and a stop hands over
//! what had arrived.

use super::mirrored::Mirrored;
use super::*;

const DELETED: &str = "gone.deleted";
const KEPT: &str = "gone.kept";
const RECORDS: i64 = 300;

#[test]
fn what_is_deleted_at_the_source_is_said_and_kept_and_handed_over() {
    let test = "what_is_deleted_at_the_source_is_said_and_kept_and_handed_over";
    let Some(_turn) = Turn::take(test) else {
        return;
    };
    for version in newest_and_another("deleting") {
        let workload = Arc::new(Workload::start(&version));
        let mut mirrored = Mirrored::begin(&workload, "deleting", "gone\\..*");
        for topic in [DELETED, KEPT] {
            let source = &mirrored.source;
            source.ask(&format!("create topic={topic}"));
            source.ask(&format!("produce topic={topic} count={RECORDS} batch=1000"));
        }
        mirrored.node.start();
        for topic in [DELETED, KEPT] {
            mirrored.arrives(topic, "at first");
        }
        let had = replicas(&mirrored, DELETED);
        mirrored.source.ask(&format!("delete topic={DELETED}"));
        is_said(&mut mirrored, DELETED);
        mirrored.node.kill();
        mirrored.node.start();
        is_said(&mut mirrored, DELETED);
        let more = format!("produce topic={KEPT} count=200 seed=2");
        mirrored.source.ask(&more);
        mirrored.arrives(KEPT, "others go on");
        assert!(replicas(&mirrored, DELETED) == had, "it was touched");
        is_handed_over(&mirrored, DELETED);
        assert!(replicas(&mirrored, DELETED) == had, "it was touched");
        mirrored.source.ask(&more);
        mirrored.arrives(KEPT, "others still go on");
        mirrored.node.stop().expect_code(0);
    }
}

/// What both brokers have of a topic's only partition.
fn replicas(mirrored: &Mirrored, topic: &str) -> [Vec<Vec<u8>>; 2] {
    [1, 2].map(|broker| {
        let dir = mirrored.destination.log_dir(broker);
        let read = compare::read(&dir.join(format!("{topic}-0")));
        let batches = read.unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!(batches.end(), Some(RECORDS), "{topic} at broker {broker}");
        let bytes = batches.whole.into_iter().map(|batch| batch.bytes);
        bytes.collect()
    })
}

fn is_said(mirrored: &mut Mirrored, topic: &str) {
    let node = &mut mirrored.node;
    node.until_topic("its deletion is said", topic, |one| {
        let error = one.error.as_deref().unwrap_or_default();
        one.state == "FAILED" && error.contains("the topic was deleted at the source")
    });
}

/// Nobody can tell what its source had in the end.
fn is_handed_over(mirrored: &Mirrored, topic: &str) {
    let stop = ["stop", "--mirror", "dr", "--topics", topic, "--wait"];
    let stopped = mirrored.node.mirrors(&[&stop[..], &["--json"]].concat());
    let report = stopped.expect_code(0).json();
    let row = &report[0];
    assert_eq!(row["state"], "STOPPED", "{row}");
    assert_eq!(row["lastMirrorOffset"], RECORDS, "{row}");
    assert_eq!(row["logEnd"], RECORDS, "{row}");
    for unknown in ["lag", "lost"] {
        assert!(row[unknown].is_null(), "{unknown}: {row}");
    }
    assert!(row["newLeader"] == 1 || row["newLeader"] == 2, "{row}");
    let there = mirrored.destination.offsets(topic);
    assert_eq!(there[0].high_watermark, RECORDS, "{topic}");
}
