//! `twinlog check` against a real broker: what it finds, and what it says is missing.

use super::older::gated_as;
use super::program::Ended;
use super::vault::Vault;
use super::*;

/// The address that the program comes from, as the broker's access control lists know it.
const OURS: &str = "127.0.0.2";

#[test]
fn a_check_names_what_is_missing_and_what_is_too_much() {
    let Some(_turn) = Turn::take("a_check_names_what_is_missing") else {
        return;
    };
    for version in versions() {
        let authorizer = "org.apache.kafka.metadata.authorizer.StandardAuthorizer";
        let settings = [
            ("authorizer.class.name", authorizer),
            ("allow.everyone.if.no.acl.found", "true"),
        ];
        let (source, gate) = gated_as(OURS, &version, "checking", &settings);
        source.ask("create topic=guarded partitions=3");
        source.ask("produce topic=guarded count=300 size=1000");
        let vault = Vault::new(&source, "checked");
        let check = |topics: &str| {
            let from = gate.bootstrap();
            let args = ["check", "--from", &from, "--topics", topics];
            let into = ["--into", vault.path(), "--json"];
            vault.run(&[&args[..], &into].concat())
        };
        let open = check("guarded").expect_code(0);
        assert_eq!(found(&open, "topics", "ok"), "1 with 3 partitions");
        assert!(found(&open, "space", "ok").contains("KiB at the source"));
        assert!(found(&open, "rights", "warn").contains("WRITE"), "{open:?}");
        assert!(!vault.dir.exists(), "it changes nothing");

        source.ask("allow topic=guarded host=127.0.0.1 operations=ALL");
        source.ask(&format!(
            "allow topic=guarded host={OURS} operations=DESCRIBE"
        ));
        let refused = check("guarded").expect_code(1);
        assert_eq!(
            found(&refused, "rights", "fail"),
            "READ is missing on guarded"
        );
        source.ask(&format!(
            "allow topic=guarded host={OURS} operations=READ,DESCRIBE_CONFIGS"
        ));
        let allowed = check("guarded").expect_code(0);
        assert_eq!(
            found(&allowed, "rights", "ok"),
            "READ and DESCRIBE on every topic"
        );
        assert!(found(&check("no-such-topic").expect_code(1), "topics", "fail").contains("none"));
        vault
            .copy_from(&gate.bootstrap(), "guarded", &[])
            .expect_code(0);
        eprintln!("Kafka {version}:\n{}", allowed.stdout);
    }
}

/// What the line about something says that has this status.
pub(super) fn found(ended: &Ended, about: &str, status: &str) -> String {
    let json = ended.json();
    let lines = json["lines"].as_array().expect("there are lines");
    let line = lines
        .iter()
        .find(|line| line["about"] == about && line["status"] == status);
    let line = line.unwrap_or_else(|| panic!("no {status} about {about}: {json:#}"));
    line["found"].as_str().expect("a text").to_owned()
}
