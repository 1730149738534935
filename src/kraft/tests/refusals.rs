//! What is said to a member that is refused, and whether it tries again.

use super::*;
use crate::protocol::ErrorCode;
use crate::protocol::fetch::Endpoint;

/// A member that has asked for the log, over a connection to the first controller.
fn asking() -> Member {
    let mut member = member(1, 5);
    member.identity.cluster_id = Some(CLUSTER.to_owned());
    meets(&mut member, CLUSTER, &[101, 102, 103]);
    assert_eq!(member.next_news(), Some(News::Cluster(CLUSTER.to_owned())));
    let step = member.next_step(ZERO);
    assert!(matches!(
        step,
        Some(Step::Ask {
            question: Question::Fetch(_),
            ..
        })
    ));
    member
}

/// Connects the member and answers its first question: of which cluster the controllers are, and
/// who they are.
fn meets(member: &mut Member, cluster_id: &str, controllers: &[i32]) {
    let step = member.next_step(ZERO);
    assert!(matches!(
        step,
        Some(Step::Connect {
            lane: Lane::Log,
            ..
        })
    ));
    member.connected(Lane::Log, offer());
    let step = member.next_step(ZERO);
    assert!(matches!(
        step,
        Some(Step::Ask {
            question: Question::Cluster(_),
            ..
        })
    ));
    let controllers = controllers.iter().map(|id| Endpoint {
        broker: BrokerId(*id),
        host: "c".to_owned(),
        port: 1,
    });
    let answer = Answer::Cluster(ClusterAnswer {
        error: ErrorCode::NONE,
        cluster_id: cluster_id.to_owned(),
        controllers: controllers.collect(),
    });
    member.answered(ZERO, Lane::Log, answer);
}

fn said(refused: ErrorCode, error: ErrorCode) -> Answer {
    Answer::Fetch(MetadataAnswer {
        refused,
        error,
        leadership: Leadership {
            leader: Some(BrokerId(101)),
            epoch: 1,
            endpoints: Vec::new(),
        },
        diverging: None,
        snapshot: None,
        high_watermark: Some(Offset::ZERO),
        records: Vec::new(),
    })
}

#[test]
fn want_of_rights_is_told_once_and_asked_about_rarely() {
    let mut member = asking();
    let denied = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
    member.answered(ZERO, Lane::Log, said(denied, ErrorCode::NONE));
    let Some(News::Trouble(why)) = member.next_news() else {
        panic!("nothing was told");
    };
    assert!(why.to_string().contains("ClusterAction"), "{why}");
    let step = member.next_step(ZERO);
    assert_eq!(step, Some(Step::Close { lane: Lane::Log }));
    assert_eq!(member.next_step(ZERO), None);
    let later = member.next_deadline().expect("it is tried again");
    assert!(later.since(ZERO) >= Duration::from_secs(8), "{later:?}");
}

#[test]
fn another_cluster_is_refused_for_good() {
    let mut member = asking();
    let other = ErrorCode::INCONSISTENT_CLUSTER_ID;
    member.answered(ZERO, Lane::Log, said(other, ErrorCode::NONE));
    let Some(News::Refused(Refusal::OtherCluster { expected, .. })) = member.next_news() else {
        panic!("nothing was told");
    };
    assert_eq!(expected, CLUSTER);
    assert_eq!(
        member.next_step(ZERO),
        Some(Step::Close { lane: Lane::Log })
    );
    assert_eq!(
        (member.next_step(ZERO), member.next_deadline()),
        (None, None)
    );
}

/// It would be taken for that controller if it fetched the log once.
#[test]
fn the_id_of_a_controller_is_refused_before_the_log_is_asked_for() {
    let mut member = member(1, 5);
    meets(&mut member, CLUSTER, &[101, US.0]);
    let told = member.next_news();
    assert_eq!(told, Some(News::Refused(Refusal::Controller { node: US })));
    let close = Some(Step::Close { lane: Lane::Log });
    assert_eq!(
        (member.next_step(ZERO), member.next_step(ZERO)),
        (close, None)
    );
}

#[test]
fn a_cluster_that_is_not_the_known_one_is_refused() {
    let mut member = member(1, 5);
    member.identity.cluster_id = Some("before".to_owned());
    meets(&mut member, CLUSTER, &[]);
    let told = member.next_news();
    assert!(
        matches!(&told, Some(News::Refused(Refusal::OtherCluster { expected, .. }))
            if expected == "before"),
        "{told:?}"
    );
}

/// Answers the first question of our life with an error.
fn registration_answered(error: ErrorCode, offer: Offer) -> (Member, Option<Registration>) {
    let mut member = asking();
    member.answered(ZERO, Lane::Log, said(ErrorCode::NONE, ErrorCode::NONE));
    let mut asked = None;
    for _ in 0..10 {
        match member.next_step(ZERO) {
            Some(Step::Connect { lane, .. }) => member.connected(lane, offer.clone()),
            Some(Step::Ask {
                question: Question::Register(question),
                ..
            }) => {
                asked = Some(question);
                let epoch = BrokerEpoch::NONE;
                let answer = Answer::Register(RegistrationAnswer { error, epoch });
                member.answered(ZERO, Lane::Life, answer);
                break;
            }
            Some(_) => {}
            None => break,
        }
    }
    (member, asked)
}

fn refusal(member: &mut Member) -> Option<Refusal> {
    std::iter::from_fn(|| member.next_news()).find_map(|news| match news {
        News::Refused(why) | News::Trouble(why) => Some(why),
        _ => None,
    })
}

#[test]
fn refusals_of_the_registration_say_what_to_change() {
    for (error, part) in [
        (ErrorCode::UNSUPPORTED_VERSION, "metadata.version 21 to 30"),
        (ErrorCode::DUPLICATE_BROKER_REGISTRATION, "another process"),
        (ErrorCode::INVALID_REGISTRATION, "directory"),
        (ErrorCode::INCONSISTENT_CLUSTER_ID, CLUSTER),
        (
            ErrorCode::CLUSTER_AUTHORIZATION_FAILED,
            "grant ClusterAction",
        ),
    ] {
        let (mut member, asked) = registration_answered(error, offer());
        let asked = asked.expect("it was asked");
        let expected = FeatureRange {
            name: METADATA_VERSION.to_owned(),
            least: 21,
            most: 30,
        };
        assert!(asked.features.contains(&expected), "{asked:?}");
        let why = refusal(&mut member).expect("something hinders").to_string();
        assert!(why.contains(part), "{why}");
    }
}

#[test]
fn a_level_that_we_do_not_know_is_refused_before_anybody_is_asked() {
    let newer = Offer {
        finalized: [(METADATA_VERSION.to_owned(), 33)].into(),
    };
    let (mut member, asked) = registration_answered(ErrorCode::NONE, newer);
    assert_eq!(asked, None);
    let why = refusal(&mut member).expect("refused").to_string();
    assert!(why.contains("level 33"), "{why}");
}

#[test]
fn damaged_and_unknown_records_end_in_other_ways() {
    let mut damaged = asking();
    let Answer::Fetch(mut answer) = said(ErrorCode::NONE, ErrorCode::NONE) else {
        unreachable!("it is a fetch");
    };
    let mut batch = crate::record::BatchBuilder::new(Offset::ZERO, LeaderEpoch::new(1), 0);
    batch.push(None, Some(&[1, 29, 0]), &[]);
    answer.records = batch.finish();
    answer.high_watermark = Some(Offset::new(1));
    let unknown = answer.clone();
    *answer.records.last_mut().expect("not empty") ^= 1;
    damaged.answered(ZERO, Lane::Log, Answer::Fetch(answer));
    assert!(
        refusal(&mut damaged)
            .expect("told")
            .to_string()
            .contains("damaged")
    );
    assert!(damaged.next_deadline().is_some(), "it is tried again");
    let mut stopped = asking();
    stopped.answered(ZERO, Lane::Log, Answer::Fetch(unknown));
    let why = refusal(&mut stopped).expect("told").to_string();
    assert!(why.contains("unknown kind 29"), "{why}");
    assert_eq!(stopped.next_deadline(), None);
}
