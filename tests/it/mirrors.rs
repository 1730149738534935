//! `twinlog mirrors` before a node: what is asked, what is said, and how it ends.
#![expect(
    clippy::disallowed_methods,
    reason = "tests stand outside: real files, sockets and programs"
)]

pub(crate) mod node;

use std::net::TcpListener;
use std::process::{Command, Output};

use node::FakeNode;
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_twinlog");

fn mirrors(at: &str, args: &[&str]) -> Output {
    let before = ["mirrors", "--bootstrap-server", at];
    Command::new(PROGRAM)
        .args(before)
        .args(args)
        .output()
        .expect("cargo has built it")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

/// It ends with 0 and says exactly this.
#[track_caller]
fn says(node: &FakeNode, args: &[&str], expected: &str) {
    let ended = mirrors(&node.at, args);
    let (said, complaint) = (text(&ended.stdout), text(&ended.stderr));
    assert_eq!(ended.status.code(), Some(0), "{said}\n{complaint}");
    assert_eq!(said, expected);
    assert_eq!(complaint, "");
}

/// It ends with this code, and standard error has all of these words.
#[track_caller]
fn fails(at: &str, args: &[&str], code: i32, words: &[&str]) -> String {
    let ended = mirrors(at, args);
    let (said, complaint) = (text(&ended.stdout), text(&ended.stderr));
    assert_eq!(ended.status.code(), Some(code), "{said}\n{complaint}");
    for word in words {
        assert!(complaint.contains(word), "nothing of '{word}': {complaint}");
    }
    said
}

#[track_caller]
fn json(node: &FakeNode, args: &[&str]) -> Value {
    let ended = mirrors(&node.at, args);
    assert_eq!(ended.status.code(), Some(0), "{}", text(&ended.stderr));
    serde_json::from_slice(&ended.stdout).expect("it is JSON")
}

/// With the mirror `dr`, made of a file.
fn with_mirror() -> FakeNode {
    let node = FakeNode::start();
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let file = dir.path().join("dr.properties");
    let settings = "# the source\nbootstrap.servers=a:1,\\\n  b:2\nfetch.min.bytes: 7\n";
    std::fs::write(&file, settings).expect("written");
    let file = file.to_str().expect("our paths are text");
    let create = ["create", "--mirror", "dr", "--mirror-config", file];
    says(&node, &create, "Created mirror dr");
    node
}

#[test]
fn a_mirror_is_made_listed_and_removed() {
    let node = with_mirror();
    let listed = json(&node, &["list", "--json"]);
    assert_eq!(listed[0]["mirror"], "dr");
    assert_eq!(listed[0]["sourceBootstrapServers"], "a:1,b:2");
    let more = [
        "create",
        "--mirror",
        "x",
        "--config",
        "bootstrap.servers=c:3",
    ];
    says(&node, &more, "Created mirror x");
    let table = "\
MIRROR  TOPICS  SOURCE-CLUSTER-ID  SOURCE-BOOTSTRAP-SERVER
dr           0                  -                  a:1,b:2
x            0                  -                      c:3";
    says(&node, &["list"], table);
    let taken = [
        "refuses CreateClusterMirror",
        "CLUSTER_MIRROR_ALREADY_EXISTS (136)",
        "'x'",
    ];
    fails(&node.at, &more, 1, &taken);
    let unknown = [
        "create",
        "--mirror",
        "y",
        "--config",
        "bootstrap.server=c:3",
    ];
    fails(
        &node.at,
        &unknown,
        1,
        &["INVALID_REQUEST (42)", "bootstrap.servers"],
    );
    says(&node, &["delete", "--mirror", "x"], "Deleted mirror x");
    fails(
        &node.at,
        &["delete", "--mirror", "x"],
        1,
        &["UNKNOWN_CLUSTER_MIRROR (137)"],
    );
}

#[test]
fn topics_are_started_paused_resumed_and_shown() {
    let node = with_mirror();
    let on =
        |verb: &'static str, topics: &'static str| [verb, "--mirror", "dr", "--topics", topics];
    let nothing = "No matching topics found yet. Patterns saved to mirror dr for auto-discovery.";
    says(&node, &on("start", "x.*"), nothing);
    says(
        &node,
        &on("start", "orders,pay.v1"),
        "Started 2 topic(s) in mirror dr: [orders, pay.v1]",
    );
    says(
        &node,
        &on("pause", "o.*"),
        "Paused 1 topic(s) in mirror dr: [orders]",
    );
    let table = "\
MIRROR   TOPIC  PARTITION  SOURCE-OFFSET  DESTINATION-OFFSET  LAG      STATE
dr      orders          0             12                  10    2     PAUSED
dr      orders          1             12                  10    2     PAUSED
dr      pay.v1          0             12                  10    2  MIRRORING
dr      pay.v1          1             12                  10    2  MIRRORING";
    says(&node, &["describe"], table);
    let described = json(&node, &["describe", "--mirror", "dr", "--json"]);
    let partitions = described.as_array().expect("an array");
    assert_eq!(partitions.len(), 4);
    assert_eq!(
        (&partitions[0]["topic"], &partitions[0]["lag"]),
        (&"orders".into(), &2.into())
    );
    says(
        &node,
        &on("resume", ".*"),
        "Resumed 1 topic(s) in mirror dr: [orders]",
    );
    let words = ["no topic of mirror dr matches that can be recovered"];
    fails(&node.at, &on("recover", ".*"), 1, &words);
    let words = ["error: nobody: UNKNOWN_TOPIC_OR_PARTITION (3): the topic 'nobody'"];
    let said = fails(&node.at, &on("pause", "orders,nobody"), 1, &words);
    assert_eq!(said, "Paused 1 topic(s) in mirror dr: [orders]");
    let words = ["error: nowhere: UNKNOWN_CLUSTER_MIRROR (137): there is no mirror 'nowhere'"];
    let said = fails(
        &node.at,
        &["describe", "--mirror", "nowhere", "--json"],
        1,
        &words,
    );
    assert_eq!(said, "[]");
}

#[test]
fn a_stop_waits_for_every_partition_and_writes_its_report() {
    let node = with_mirror();
    let topics = ["start", "--mirror", "dr", "--topics", "a,b"];
    says(&node, &topics, "Started 2 topic(s) in mirror dr: [a, b]");
    let stop = |more: &[&'static str]| {
        let stop = ["stop", "--mirror", "dr", "--topics", "a,.*"];
        [&stop[..], more].concat()
    };
    let plan = json(&node, &stop(&["--planned", "--dry-run", "--json"]));
    let plan = plan.as_array().expect("an array");
    assert_eq!(plan.len(), 4);
    assert_eq!(plan[0]["hindrances"][0], "the source is not quiet");
    let shown = json(&node, &["describe", "--json"]);
    assert_eq!(shown[0]["state"], "MIRRORING", "nothing has been done");
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let report = dir.path().join("report.json");
    let path = report.to_str().expect("our paths are text").to_owned();
    let ended = mirrors(
        &node.at,
        &[&stop(&["--wait", "--report"])[..], &[&path]].concat(),
    );
    assert_eq!(ended.status.code(), Some(0), "{}", text(&ended.stderr));
    let said = text(&ended.stdout);
    assert!(
        said.ends_with("Stopped [a, b] topic(s) in mirror dr"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1 + 4 + 1, "{said}");
    let written = std::fs::read(&report).expect("it was written");
    let written: Value = serde_json::from_slice(&written).expect("it is JSON");
    assert_eq!(written.as_array().map(Vec::len), Some(4));
    assert_eq!(written[3]["topic"], "b");
    assert_eq!(written[3]["state"], "STOPPED");
    assert_eq!(written[3]["lastMirrorOffset"], 10);
    // Whoever asks again is told the same.
    let again = json(&node, &stop(&["--wait", "--json"]));
    assert_eq!(again, written);
    let empty = ["stop", "--mirror", "dr", "--topics", "z.*"];
    fails(&node.at, &empty, 1, &["no topic of mirror dr matches"]);
}

#[test]
fn a_stop_that_fails_says_of_which_partition_and_why() {
    let node = with_mirror();
    let topics = ["start", "--mirror", "dr", "--topics", "a,stuck"];
    says(
        &node,
        &topics,
        "Started 2 topic(s) in mirror dr: [a, stuck]",
    );
    let stop = ["stop", "--mirror", "dr", "--topics", "a,stuck", "--wait"];
    let words = ["error: stuck-1 is FAILED: a follower is gone; `twinlog mirrors recover` tries"];
    let said = fails(&node.at, &stop, 1, &words);
    assert!(
        said.contains("STOPPED") && !said.contains("Stopped ["),
        "{said}"
    );
    let failed = "\
MIRROR  TOPIC  PARTITION         RETRY               ERROR
dr      stuck          1  NonRetryable  a follower is gone";
    says(&node, &["describe", "--failed"], failed);
    let failed = json(&node, &["describe", "--failed", "--json"]);
    assert_eq!(failed.as_array().map(Vec::len), Some(1));
    let recover = ["recover", "--mirror", "dr", "--topics", ".*"];
    says(
        &node,
        &recover,
        "Recovered 1 topic(s) in mirror dr: [stuck]",
    );
}

#[test]
fn a_stop_is_waited_for_while_the_node_goes_and_comes_back() {
    let node = with_mirror();
    let topics = ["start", "--mirror", "dr", "--topics", "away"];
    says(&node, &topics, "Started 1 topic(s) in mirror dr: [away]");
    let ended = mirrors(
        &node.at,
        &["stop", "--mirror", "dr", "--topics", "away", "--wait"],
    );
    let (said, complaint) = (text(&ended.stdout), text(&ended.stderr));
    assert_eq!(ended.status.code(), Some(0), "{said}\n{complaint}");
    assert!(
        said.ends_with("Stopped [away] topic(s) in mirror dr"),
        "{said}"
    );
    let once = complaint.matches("waiting for it to come back").count();
    assert_eq!((once, complaint.lines().count()), (1, 1), "{complaint}");
}

#[test]
fn a_wait_may_have_an_end_of_its_own() {
    let node = with_mirror();
    let topics = ["start", "--mirror", "dr", "--topics", "slow"];
    says(&node, &topics, "Started 1 topic(s) in mirror dr: [slow]");
    let stop = [
        "stop",
        "--mirror",
        "dr",
        "--topics",
        "slow",
        "--wait",
        "--timeout",
        "1",
    ];
    let words = ["error: slow-0 is STOPPING", "error: slow-1 is STOPPING"];
    fails(&node.at, &stop, 1, &words);
}

#[test]
fn whoever_is_no_node_is_named_with_the_next_step() {
    let bound = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let at = bound.local_addr().expect("it is bound").to_string();
    drop(bound);
    let words = [
        "the node cannot be asked",
        &at,
        "see whether `twinlog serve` runs there",
    ];
    fails(&at, &["list"], 1, &words);
    let broker = format!("127.0.0.1:{}", crate::lying::source::start());
    let words = ["does not speak ListClusterMirrors", "knows no mirrors"];
    fails(&broker, &["list"], 1, &words);
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_belongs_there() {
    let nowhere = "127.0.0.1:1";
    let ended = Command::new(PROGRAM)
        .args(["mirrors", "list"])
        .output()
        .expect("built");
    assert_eq!(ended.status.code(), Some(2));
    assert!(text(&ended.stderr).contains("--bootstrap-server HOST:PORT is needed"));
    for (args, word) in [
        (&["create", "--mirror", "dr"][..], "--mirror-config"),
        (
            &["create", "--mirror", "dr", "--config", "k"],
            "KEY=VALUE belongs here",
        ),
        (
            &["create", "--mirror", "dr", "--mirror-config", "/no/file"],
            "/no/file",
        ),
        (&["start", "--mirror", "dr"], "--topics"),
        (
            &["start", "--mirror", "dr", "--topics", "a("],
            "'a(' is not a regular expression",
        ),
        (&["pause", "--topics", "a"], "--mirror"),
        (
            &["stop", "--mirror", "dr", "--topics", "a", "--timeout", "3"],
            "--wait",
        ),
        (
            &[
                "stop",
                "--mirror",
                "dr",
                "--topics",
                "a",
                "--report",
                "/no/dir/r",
            ],
            "/no/dir/r",
        ),
        (
            &[
                "stop",
                "--mirror",
                "dr",
                "--topics",
                "a",
                "--dry-run",
                "--wait",
            ],
            "--wait",
        ),
    ] {
        fails(nowhere, args, 2, &[word]);
    }
}
