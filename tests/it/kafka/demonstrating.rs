//! `twinlog demo --member`: the whole round as a newcomer sees it, and nothing is left of it.

use super::*;

#[test]
fn a_demo_on_real_kafka_shows_the_whole_round() {
    let Some(_turn) = Turn::take("a_demo_on_real_kafka_shows_the_whole_round") else {
        return;
    };
    let release = jars::prepare(DEFAULT_VERSION);
    let dir = jars::root().join("run/demonstrating");
    drop(std::fs::remove_dir_all(&dir));
    let [outputs, demo] = ["output", "demo"].map(|name| dir.join(name));
    let libs = release.libs.to_str().expect("our paths are text");
    let at = demo.to_str().expect("our paths are text");
    let args = ["demo", "--member", "--kafka", libs, "--dir", at];
    let ended = program::run(&outputs, &args).expect_code(0);
    for words in [
        "$ twinlog check --destination",
        "$ twinlog serve --config node.toml",
        "MIRRORING",
        "Stopped [orders] topic(s) in mirror dr",
        "20,000 records",
        "21,000 records",
    ] {
        assert!(ended.stdout.contains(words), "{words}: {}", ended.stdout);
    }
    assert!(!demo.exists(), "nothing is left");
}
