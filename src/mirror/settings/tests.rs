//! Texts in, settings or faults out.

use super::*;

fn read(pairs: &[(&str, &str)]) -> Result<MirrorSettings, SettingFault> {
    let pairs = pairs.iter();
    let owned = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    MirrorSettings::read(&owned.collect())
}

#[test]
fn each_setting_goes_where_it_belongs() {
    let all = read(&[
        ("bootstrap.servers", " a:1, b:2 ,"),
        ("source.cluster.id", "c"),
        ("peer", "d:3"),
        ("peer.report", " /r.json "),
        ("topics.include", "a.*,b"),
        ("topics.exclude", ""),
        ("security.protocol", "PLAINTEXT"),
        ("request.timeout.ms", "100"),
        ("fetch.wait.max.ms", "2"),
        ("fetch.backoff.ms", "3"),
        ("fetch.min.bytes", "4"),
        ("fetch.response.max.bytes", "5"),
        ("fetch.max.bytes", "2147483647"),
        ("unclean.leader.election.topics", "a.*, b"),
    ]);
    let expected = MirrorSettings {
        unclean_topics: vec![
            Pattern::new("a.*").expect("a pattern"),
            Pattern::new("b").expect("another"),
        ],
        bootstrap_servers: ["a:1", "b:2"].map(|at| at.parse().expect(at)).to_vec(),
        source_cluster_id: Some("c".to_owned()),
        peer: vec!["d:3".parse().expect("an address")],
        peer_report: Some("/r.json".to_owned()),
        request_timeout_ms: Some(100),
        fetch_wait_max_ms: Some(2),
        fetch_backoff_ms: Some(3),
        fetch_min_bytes: Some(4),
        fetch_response_max_bytes: Some(5),
        fetch_max_bytes: Some(0x7fff_ffff),
    };
    assert_eq!(all, Ok(expected));
    assert_eq!(read(&[]), Ok(MirrorSettings::default()));
}

#[test]
fn each_fault_names_the_key_and_what_may_be() {
    for (name, value, words) in [
        (
            "fetch.size",
            "1",
            "no such setting of a mirror; there are boot",
        ),
        (
            "fetch.min.bytes",
            "0",
            "'0' is not a whole number from 1 to 2",
        ),
        ("fetch.min.bytes", "1k", "'1k' is not a whole number from 1"),
        ("fetch.wait.max.ms", "300001", "from 1 to 300000"),
        ("bootstrap.servers", "a:1,b", "'b' is not HOST:PORT"),
        ("bootstrap.servers", " ,", "nothing is said"),
        ("source.cluster.id", " ", "nothing is said"),
        ("topics.include", "a,b(", "'b(' is not a regular expression"),
        ("security.protocol", "SSL", "'SSL' is not one of PLAINTEXT"),
    ] {
        let fault = read(&[(name, value)]).expect_err(value).to_string();
        assert!(fault.starts_with(&format!("{name}: ")), "{fault}");
        assert!(fault.contains(words), "{fault}");
    }
}

#[test]
fn keys_are_declared_once_with_a_sentence() {
    let mut names: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), SETTINGS.len());
    for setting in &SETTINGS {
        assert!(setting.sentence.ends_with('.'), "{}", setting.name);
        assert!(Setting::named(setting.name).is_some());
    }
}
