//! Whom the destination remembers, held against what logs have.

use super::*;
use crate::session::Refusal;

const DAY: i64 = PRODUCERS_KEPT_MS;

fn id(value: i64) -> ProducerId {
    ProducerId::from_wire(value).expect("not negative")
}

/// It is looked below more than what is mirrored here.
fn looking() -> LowIds {
    LowIds {
        looks_below: 1_001,
        ..LowIds::default()
    }
}

fn silent() -> Running {
    let mut running = Running::default();
    let why = "it does not answer".to_owned();
    running.silent.insert(BrokerId(3), why);
    running
}

fn found(id: i64, seen: Seen) -> Running {
    let mut running = Running::default();
    running.below.insert(id, seen);
    running.remember.insert(BrokerId(1), Some(DAY));
    running
}

fn of_partition() -> Seen {
    Seen::Partition("theirs-0".parse().expect("a partition"))
}

/// A log that was compared with what was found last.
fn compared(low: &LowIds, met: &[i64]) -> Compared {
    let mut compared = Compared::default();
    compared.told(low.version, met.iter().map(|value| id(*value)).collect());
    compared
}

fn doubt(low: &LowIds, met: &[i64]) -> Option<String> {
    let compared = compared(low, met);
    let doubt = low.doubt(&compared, Some(id(1_000)));
    assert_eq!(doubt.is_some(), low.may_harm(&compared, Some(id(1_000))));
    doubt
}

fn danger(low: &LowIds, met: &[i64]) -> Option<String> {
    let compared = compared(low, met);
    low.danger(&low.met(&compared, Some(id(1_000))).collect())
}

#[test]
fn what_nobody_has_answered_is_in_doubt_and_asked_again_soon() {
    let mut low = looking();
    assert!(doubt(&low, &[]).is_some() && danger(&low, &[]).is_none());
    low.looked(Instant::default(), silent());
    let said = doubt(&low, &[]).expect("nobody knows");
    assert!(said.contains("broker 3"), "{said}");
    let again = Some(Instant::default().after(AGAIN));
    assert_eq!(low.deadline(None), again);
    low.looked(Instant::default(), Running::default());
    assert_eq!(doubt(&low, &[]), None);
    low.looked(Instant::default(), silent());
    assert_eq!(doubt(&low, &[]), None, "it was known");
}

fn untold(code: ErrorCode) -> Running {
    let mut running = Running::default();
    let said = String::new();
    let id = "theirs-0".parse().expect("a partition");
    running.untold.insert(id, Refusal { code, said });
    running
}

#[test]
fn who_may_not_look_everywhere_does_not_know() {
    let mut low = looking();
    low.looked(
        Instant::default(),
        untold(ErrorCode::TOPIC_AUTHORIZATION_FAILED),
    );
    let said = doubt(&low, &[]).expect("nobody knows");
    assert!(said.contains("theirs-0") && said.contains("READ"), "{said}");
    assert_eq!(low.closed(Some(id(1_000))), Some(said), "no use to wait");
    assert_eq!(low.closed(None), None, "nothing was mirrored with an id");
    let rare = Some(Instant::default().after(INTERVAL_UNTOLD));
    assert_eq!(low.deadline(None), rare);
    low.looked(
        Instant::default(),
        untold(ErrorCode::NOT_LEADER_OR_FOLLOWER),
    );
    let said = doubt(&low, &[]).expect("nobody knows");
    assert!(!said.contains("READ"), "{said}");
    assert_eq!(low.closed(Some(id(1_000))), None, "that passes");
    let again = Some(Instant::default().after(AGAIN));
    assert_eq!(low.deadline(None), again);
}

/// What nobody leads may stay so: it is asked for no oftener than all else, and hides no right that
/// is missing.
#[test]
fn what_nobody_leads_hides_nothing() {
    let nobody = || untold(ErrorCode::LEADER_NOT_AVAILABLE);
    let mut low = looking();
    low.looked(Instant::default(), nobody());
    let said = doubt(&low, &[]).expect("nobody knows");
    assert!(
        said.contains("1 partitions") && said.contains("theirs-0"),
        "{said}"
    );
    let usual = Some(Instant::default().after(INTERVAL));
    assert_eq!(low.deadline(None), usual);
    let mut both = nobody();
    let code = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
    let said = String::new();
    let zoo = "zoo-0".parse().expect("a partition");
    both.untold.insert(zoo, Refusal { code, said });
    low.looked(Instant::default(), Running::default());
    low.looked(Instant::default(), both);
    let said = low.closed(Some(id(1_000))).expect("a right is missing");
    assert!(said.contains("zoo-0") && said.contains("READ"), "{said}");
    // Ids that nobody has looked for: the reason is the one that holds looks up.
    let mut low = looking();
    low.looked(Instant::default(), Running::default());
    low.looked(Instant::default(), nobody());
    let beyond = low.doubt(&Compared::default(), Some(id(5_000)));
    assert!(beyond.is_some_and(|why| why.contains("theirs-0")));
}

#[test]
fn a_right_that_is_taken_away_or_a_new_topic_is_missed() {
    let mut low = looking();
    low.looked(Instant::default(), Running::default());
    assert_eq!(doubt(&low, &[]), None);
    low.looked(
        Instant::default(),
        untold(ErrorCode::TOPIC_AUTHORIZATION_FAILED),
    );
    assert!(low.closed(Some(id(1_000))).is_some());
    low.looked(Instant::default(), Running::default());
    assert_eq!(low.closed(Some(id(1_000))), None);
}

#[test]
fn what_was_seen_stays_until_everybody_has_answered() {
    let mut low = looking();
    low.looked(Instant::default(), found(17, of_partition()));
    low.looked(Instant::default(), silent());
    let said = danger(&low, &[17]).expect("it was seen");
    assert!(said.contains("theirs-0"), "{said}");
    let billing = found(17, Seen::Transactional("billing".into()));
    low.looked(Instant::default(), billing);
    let said = danger(&low, &[17]).expect("it was seen");
    assert!(said.contains("billing"), "{said}");
    low.looked(Instant::default(), Running::default());
    assert_eq!((danger(&low, &[17]), doubt(&low, &[])), (None, None));
}

#[test]
fn who_has_another_id_than_what_was_mirrored_is_no_danger() {
    let mut low = looking();
    low.looked(Instant::default(), found(17, of_partition()));
    assert_eq!(doubt(&low, &[]), None, "below the largest, and not there");
    assert!(doubt(&low, &[17]).is_some());
    assert_eq!(doubt(&low, &[18]), None, "nobody's here");
}

#[test]
fn a_log_is_in_doubt_until_it_is_compared_as_it_is() {
    let mut low = looking();
    low.looked(Instant::default(), found(17, of_partition()));
    let mut log = compared(&low, &[]);
    assert!(!low.may_harm(&log, Some(id(1_000))));
    log.again();
    assert!(low.may_harm(&log, Some(id(1_000))), "it has changed");
    let mut log = compared(&low, &[17]);
    low.looked(Instant::default(), found(18, of_partition()));
    let why = low.doubt(&log, Some(id(1_000))).expect("a later look");
    assert!(why.contains("being compared"), "{why}");
    log.told(low.version, Vec::new());
    assert!(!low.may_harm(&log, Some(id(1_000))));
}

#[test]
fn where_a_broker_remembers_longer_than_logs_do_every_lower_id_counts() {
    for kept in [Some(DAY + 1), None] {
        let mut low = looking();
        let mut running = found(17, of_partition());
        running.remember.insert(BrokerId(2), kept);
        low.looked(Instant::default(), running);
        let said = danger(&low, &[]).expect("nobody knows");
        assert!(said.contains("broker 2"), "{said}");
        let mut beyond = found(1_001, of_partition());
        beyond.remember.insert(BrokerId(2), kept);
        low.looked(Instant::default(), beyond);
        assert_eq!(doubt(&low, &[]), None, "beyond all that was mirrored");
        low.looked(Instant::default(), found(17, of_partition()));
        assert_eq!(doubt(&low, &[]), None, "it remembers no longer now");
    }
}

#[test]
fn ids_beyond_what_was_looked_at_are_looked_for_before_anything_is_handed_over() {
    let mut low = looking();
    low.looked(Instant::default(), found(17, of_partition()));
    let log = compared(&low, &[]);
    let (below, beyond) = (Some(id(1_000)), Some(id(1_001)));
    assert!(!low.may_harm(&log, below));
    assert!(low.may_harm(&log, beyond));
    let why = low.doubt(&log, beyond).expect("nobody knows");
    assert!(why.contains("again"), "{why}");
    let [later, soon] = [below, beyond].map(|largest| low.deadline(largest));
    assert_eq!(soon, Some(Instant::default().after(AGAIN)));
    assert!(soon < later, "{later:?}");
    low.looks_below = 2_000;
    low.looked(Instant::default(), silent());
    assert!(low.may_harm(&log, beyond), "somebody has not answered");
    low.looked(Instant::default(), Running::default());
    assert!(!low.may_harm(&log, beyond));
}
