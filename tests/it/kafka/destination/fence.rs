//! The write fence on a cluster with an authorizer, and on one without.

use std::collections::BTreeSet;

use twinlog::control::destination::fence::{Fences, LABEL, lower, raise, standing};
use twinlog::model::TopicName;
use twinlog::session::{Operation, Permission, TopicEntry};

use super::topics::name;
use super::*;

#[test]
fn nobody_writes_behind_a_fence_and_only_ours_is_taken_down() {
    let Some(_turn) = Turn::take("nobody_writes_behind_a_fence") else {
        return;
    };
    for version in newest_and_another("fence") {
        let workload = Arc::new(Workload::start(&version));
        let authorizer = "org.apache.kafka.metadata.authorizer.StandardAuthorizer";
        let settings = [
            ("authorizer.class.name", authorizer),
            ("allow.everyone.if.no.acl.found", "true"),
        ];
        let cluster = Cluster::start(&workload, "fenced", 1, &settings);
        for topic in ["ours", "theirs", "blind"] {
            cluster.ask(&format!("create topic={topic}"));
        }
        for topic in ["ours", "theirs"] {
            cluster.ask(&format!("allow topic={topic} host=* operations=ALL"));
        }
        let at = address(&cluster.broker(1));
        on_control(async |world| {
            let mut client = connect(&world, &at).await;
            stands_and_falls(&world, &mut client, &cluster).await;
            does_not_blind_us(&world, &mut client, &cluster).await;
        });
    }
}

fn topics(names: &[&str]) -> BTreeSet<TopicName> {
    names.iter().map(|text| name(text)).collect()
}

fn writes(cluster: &Cluster, topic: &str) -> Result<(), String> {
    let written = cluster.try_ask(&format!("produce topic={topic} count=1"));
    written.map(drop)
}

fn done(foreign: &[&str], blinding: &[&str]) -> Fences {
    Fences::Done {
        refused: std::collections::BTreeMap::new(),
        foreign: topics(foreign),
        blinding: topics(blinding),
    }
}

async fn stands_and_falls(world: &RealWorld, client: &mut Client<RealWorld>, cluster: &Cluster) {
    let denied = TopicEntry {
        topic: name("theirs"),
        principal: "User:*".to_owned(),
        operation: Operation::Write,
        permission: Permission::Deny,
    };
    let told = client.add_entries(&[denied]).await.expect("an answer");
    assert_eq!(told, [None]);
    writes(cluster, "ours").expect("it is open");
    let both = topics(&["ours", "theirs"]);
    for time in ["first", "again"] {
        let raised = raise(world, client, &both).await.expect("an answer");
        assert_eq!(raised, done(&["theirs"], &[]), "{time}");
    }
    assert_eq!(
        standing(client).await.expect("an answer"),
        Some(topics(&["ours"]))
    );
    for topic in ["ours", "theirs"] {
        let denied = writes(cluster, topic).expect_err("closed");
        assert!(denied.contains("Authorization"), "{denied}");
    }
    let entries = client
        .topic_entries(Operation::Write, Permission::Deny)
        .await;
    let entries = entries.expect("an answer").expect("there is an authorizer");
    let ours = entries.iter().filter(|entry| entry.principal == LABEL);
    assert_eq!(ours.count(), 1, "{entries:?}");
    for time in ["first", "again"] {
        let lowered = lower(client, &both).await.expect("an answer");
        assert_eq!(lowered, done(&["theirs"], &[]), "{time}");
    }
    assert_eq!(
        standing(client).await.expect("an answer"),
        Some(topics(&[]))
    );
    writes(cluster, "ours").expect("it is open again");
    writes(cluster, "theirs").expect_err("somebody else's");
}

/// Without an entry everybody may do everything; with ours, we ourselves might not see the topic.
async fn does_not_blind_us(world: &RealWorld, client: &mut Client<RealWorld>, cluster: &Cluster) {
    let raised = raise(world, client, &topics(&["blind"])).await;
    assert_eq!(raised.expect("an answer"), done(&[], &["blind"]));
    assert_eq!(
        standing(client).await.expect("an answer"),
        Some(topics(&[]))
    );
    writes(cluster, "blind").expect("it is open");
}
