//! Topics with their assignment, growth, elections, settings by origin, and what is refused.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use twinlog::control::destination::topics::{create, default_factor, grow};
use twinlog::model::{Offset, TopicId, TopicName, TopicPartition};
use twinlog::session::{Growth, NewTopic, Origin, PartitionAsked, Trial};

use super::*;

const LOG_END: i64 = 10;
const WITHIN: Duration = Duration::from_secs(30);

#[test]
fn topics_are_made_as_they_are_asked_for_or_refused() {
    let Some(_turn) = Turn::take("topics_are_made_as_they_are_asked_for_or_refused") else {
        return;
    };
    for version in versions() {
        let workload = Arc::new(Workload::start(&version));
        let settings = [("default.replication.factor", "2")];
        let cluster = Cluster::start(&workload, "asked", 2, &settings);
        let controller = address(&cluster.controllers());
        let at = address(&cluster.broker(2));
        on_control(async |world| {
            register(&world, &controller).await;
            let mut client = connect(&world, &at).await;
            let id = is_made(&mut client).await;
            assert_eq!(
                cluster.ask("describe topic=ours").field("id"),
                id.to_string()
            );
            is_refused(&mut client).await;
            is_set(&mut client).await;
            grows(&mut client).await;
            let count = format!("produce topic=ours partition=0 count={LOG_END}");
            cluster.ask(&count);
            changes_its_leader(&mut client).await;
            forgets(&mut client).await;
            unregister(&world, &controller).await;
        });
    }
}

pub(super) fn name(text: &str) -> TopicName {
    TopicName::new(text).expect("legal")
}

fn ids(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().map(|id| BrokerId(*id)).collect()
}

pub(super) fn topic(text: &str, assignment: &[&[i32]]) -> NewTopic {
    NewTopic {
        name: name(text),
        assignment: assignment.iter().map(|replicas| ids(replicas)).collect(),
        settings: BTreeMap::new(),
    }
}

async fn is_made(client: &mut Client<RealWorld>) -> TopicId {
    let mut ours = topic("ours", &[&[9001, 1, 2], &[9001, 2, 1]]);
    let retention = ("retention.ms".to_owned(), "123456789".to_owned());
    ours.settings.extend([retention]);
    let tried = create(client, std::slice::from_ref(&ours), Trial::Only).await;
    assert!(tried.expect("an answer")[&ours.name].is_ok());
    let unmade = client.cluster(Some(&[name("ours")])).await.expect("a view");
    assert_eq!(
        unmade.topics[0].error,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
    );
    let made = create(client, &[ours], Trial::No).await.expect("an answer");
    let id = *made[&name("ours")].as_ref().expect("it was made");
    assert_ne!(id, TopicId::ZERO);
    id
}

/// Each of several is told for itself.
async fn is_refused(client: &mut Client<RealWorld>) {
    let mut wrong = topic("wrong", &[&[1]]);
    wrong
        .settings
        .extend([("no.such.setting".to_owned(), "1".to_owned())]);
    let topics = [
        topic("ours", &[&[1]]),
        topic("nobody", &[&[9001, 1], &[9009, 1]]),
        wrong,
        topic("fine", &[&[1]]),
    ];
    let told = create(client, &topics, Trial::No).await.expect("an answer");
    let code = |topic: &str| match &told[&name(topic)] {
        Ok(_) => ErrorCode::NONE,
        Err(fault) => {
            eprintln!("{fault}");
            fault.why.code
        }
    };
    assert_eq!(code("ours"), ErrorCode::TOPIC_ALREADY_EXISTS);
    assert_eq!(code("nobody"), ErrorCode::INVALID_REPLICA_ASSIGNMENT);
    assert_eq!(code("wrong"), ErrorCode::INVALID_CONFIG);
    assert_eq!(code("fine"), ErrorCode::NONE);
    let missing = name("missing");
    let asked = [missing.clone(), name("ours")];
    let told = client.topic_settings_by_origin(&asked).await;
    let told = told.expect("an answer");
    let refusal = told[&missing].as_ref().expect_err("it does not exist");
    assert_eq!(refusal.code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

async fn is_set(client: &mut Client<RealWorld>) {
    let told = client.topic_settings_by_origin(&[name("ours")]).await;
    let told = told.expect("an answer");
    let settings = told[&name("ours")].as_ref().expect("it is told");
    let own = settings
        .iter()
        .filter(|(_, setting)| setting.origin == Origin::Own);
    let own: Vec<&str> = own.map(|(name, _)| name.as_str()).collect();
    assert_eq!(own, ["retention.ms"]);
    assert_eq!(settings["retention.ms"].value.as_deref(), Some("123456789"));
    let factor = default_factor(client, BrokerId(2))
        .await
        .expect("an answer");
    let factor = factor.expect("it is told");
    assert_eq!(
        (factor.value.as_deref(), factor.origin),
        (Some("2"), Origin::File)
    );
}

async fn grows(client: &mut Client<RealWorld>) {
    let growth = |topic: &str, from, assignment: &[&[i32]]| Growth {
        name: name(topic),
        from,
        assignment: assignment.iter().map(|replicas| ids(replicas)).collect(),
    };
    let growths = [
        growth("ours", 2, &[&[9001, 2, 1]]),
        growth("fine", 1, &[&[9009]]),
        growth("missing", 1, &[&[1]]),
    ];
    let told = grow(client, &growths, Trial::No).await.expect("an answer");
    assert!(told[&name("ours")].is_ok());
    for topic in ["fine", "missing"] {
        assert!(told[&name(topic)].is_err(), "{topic}");
    }
}

/// We are registered and say nothing, so that partitions wait for us.
async fn changes_its_leader(client: &mut Client<RealWorld>) {
    let first: TopicPartition = "ours-0".parse().expect("a partition");
    let wanted = [(&first, Some(ids(&[2, 1])))];
    let refused = client
        .reassign(wanted.into_iter())
        .await
        .expect("an answer");
    assert!(refused.is_empty(), "{refused:?}");
    let asked = [first.clone(), "ours-9".parse().expect("a partition")];
    let refused = client.elect_preferred(&asked).await.expect("an answer");
    assert!(!refused.contains_key(&first), "{refused:?}");
    assert!(refused[&asked[1]].code.is_error());
    let again = client.elect_preferred(&asked).await.expect("an answer");
    assert_eq!(again[&first].code, ErrorCode::ELECTION_NOT_NEEDED);

    let view = client.cluster(Some(&[name("ours")])).await.expect("a view");
    let epoch = view.find(&first).expect("there").1.epoch;
    let leader_epoch = twinlog::model::LeaderEpoch::new(-1);
    let asked = PartitionAsked {
        id: first.clone(),
        leader_epoch,
    };
    let deadline = Instant::now() + WITHIN;
    let end = loop {
        let ends = client.log_ends(std::slice::from_ref(&asked)).await;
        match ends.expect("an answer")[0].1 {
            Ok(end) => break end,
            // Its follower has to catch up first.
            Err(ErrorCode::OFFSET_NOT_AVAILABLE) if Instant::now() < deadline => {}
            Err(code) => panic!("{code}"),
        }
    };
    assert_eq!(end.offset, Offset::new(LOG_END));
    assert!(end.leader_epoch >= epoch, "{end:?}, shown {epoch}");

    let wanted = [(&first, Some(ids(&[2, 1, 9001])))];
    client
        .reassign(wanted.into_iter())
        .await
        .expect("an answer");
    let under_way = client.reassignments().await.expect("an answer");
    assert_eq!(under_way[&first].adding, [US], "{under_way:?}");
    client
        .reassign([(&first, None)].into_iter())
        .await
        .expect("an answer");
    assert!(client.reassignments().await.expect("an answer").is_empty());
}

async fn forgets(client: &mut Client<RealWorld>) {
    let names = ["ours", "fine", "missing"].map(name);
    let refused = client.delete_topics(&names).await.expect("an answer");
    let missing: Vec<&TopicName> = refused.keys().collect();
    assert_eq!(missing, [&name("missing")]);
}
