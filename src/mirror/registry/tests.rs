//! Operations one by one: what they change, and what they refuse with which code.

use super::*;
use crate::mirror::state_log::StateLog;
use crate::model::TopicId;
use crate::protocol::ErrorCode;
use crate::protocol::mirror_rpc::{
    PauseMirrorTopicsRequest, RecoverMirrorTopicsRequest, ResumeMirrorTopicsRequest,
    StartMirrorTopicsRequest, StopMirrorTopicsRequest, TopicMetadata,
};

/// A log of records, and the registry in it.
struct Desk {
    log: StateLog,
    next: i64,
}

impl Desk {
    /// With the mirrors `dr` and `other`.
    fn new() -> Desk {
        let mut desk = Desk {
            log: StateLog::new(),
            next: 0,
        };
        for name in ["dr", "other"] {
            let made = desk.registry().create(name, settings(&[]));
            desk.keep(made.expect("sound"));
        }
        desk
    }

    fn registry(&self) -> &Registry {
        self.log.registry()
    }

    fn keep(&mut self, records: Vec<Record>) {
        for record in records {
            let offset = Offset::new(self.next);
            let (key, value) = (record.key(), record.value());
            let kept = self.log.replay(offset, &key, value.as_deref());
            kept.expect("what an operation plans can be replayed");
            self.next += 1;
        }
    }

    /// Brings all partitions of a topic into a state.
    fn put(&mut self, topic: &str, state: State) {
        for index in 0..self.known(topic).partitions {
            self.put_one(topic, index as i32, Some(state));
        }
    }

    fn put_one(&mut self, topic: &str, index: i32, state: Option<State>) {
        let known = self.known(topic);
        let key = PartitionKey {
            mirror: known.mirror.clone(),
            topic: known.id,
            partition: PartitionIndex::new(index).expect("positive"),
        };
        self.keep(vec![Record::State(
            key,
            state.map(MirrorPartitionState::begun),
        )]);
    }

    fn known(&self, topic: &str) -> &MirrorTopic {
        self.registry().topic(&name(topic)).expect("known")
    }

    fn desired(&self, topic: &str) -> Desired {
        self.known(topic).desired
    }

    fn start(&mut self, mirror: &str, topics: &[TopicMetadata]) -> Vec<Result<(), Refusal>> {
        let request = StartMirrorTopicsRequest {
            mirror_name: mirror.to_owned(),
            topics: topics.to_vec(),
            ..StartMirrorTopicsRequest::default()
        };
        let plan = self.registry().start(self.log.states(), &request);
        self.done(plan)
    }

    fn start_patterns(&mut self, include: &[&str], exclude: &[&str]) -> Vec<String> {
        let request = StartMirrorTopicsRequest {
            mirror_name: "dr".to_owned(),
            include_patterns: texts(include),
            exclude_patterns: texts(exclude),
            ..StartMirrorTopicsRequest::default()
        };
        let plan = self.registry().start(self.log.states(), &request);
        let plan = plan.expect("a mirror that is known");
        self.keep(plan.records);
        plan.topics.into_iter().map(|(topic, _)| topic).collect()
    }

    fn stop(&mut self, mirror: &str, topics: &[&str]) -> Vec<Result<(), Refusal>> {
        let plan = self.registry().stop(&StopMirrorTopicsRequest {
            mirror_name: mirror.to_owned(),
            topics: texts(topics),
            ..StopMirrorTopicsRequest::default()
        });
        self.done(plan)
    }

    fn pause(&mut self, mirror: &str, topics: &[&str]) -> Vec<Result<(), Refusal>> {
        let request = PauseMirrorTopicsRequest {
            mirror_name: mirror.to_owned(),
            topics: texts(topics),
            ..PauseMirrorTopicsRequest::default()
        };
        let plan = self.registry().pause(self.log.states(), &request);
        self.done(plan)
    }

    fn resume(&mut self, mirror: &str, topics: &[&str]) -> Vec<Result<(), Refusal>> {
        let request = ResumeMirrorTopicsRequest {
            mirror_name: mirror.to_owned(),
            topics: texts(topics),
            ..ResumeMirrorTopicsRequest::default()
        };
        let plan = self.registry().resume(self.log.states(), &request);
        self.done(plan)
    }

    fn delete(&mut self, mirror: &str) -> Result<Vec<Record>, Refusal> {
        let log = &self.log;
        let records = self
            .registry()
            .delete(log.states(), log.positions(), mirror, None)?;
        self.keep(records.clone());
        Ok(records)
    }

    fn done(&mut self, plan: Result<Plan, Refusal>) -> Vec<Result<(), Refusal>> {
        let plan = plan.expect("a mirror that is known");
        self.keep(plan.records);
        plan.topics
            .into_iter()
            .map(|(_, outcome)| outcome)
            .collect()
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn settings(more: &[(&str, &str)]) -> BTreeMap<String, String> {
    let source = [("bootstrap.servers", "a:1,b:2")];
    let all = source.iter().chain(more);
    all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn name(topic: &str) -> TopicName {
    TopicName::new(topic).expect("sound")
}

fn source(topic: &str, id: u8) -> TopicMetadata {
    TopicMetadata {
        topic_id: TopicId::new([id; 16]),
        topic_name: topic.to_owned(),
        num_partitions: 2,
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: &Result<T, Refusal>, code: i16) {
    let refusal = outcome.as_ref().expect_err("it cannot be");
    assert_eq!(refusal.code(), ErrorCode(code), "{refusal}");
}

#[test]
fn a_mirror_is_made_once_with_a_name_and_a_source() {
    let desk = Desk::new();
    let create = |name: &str, settings| desk.registry().create(name, settings);
    refused(&create("dr", settings(&[])), 136);
    for bad in ["", "a/b", ".."] {
        refused(&create(bad, settings(&[])), 135);
    }
    for lacking in [
        BTreeMap::new(),
        BTreeMap::from([("bootstrap.servers".to_owned(), " , ".to_owned())]),
    ] {
        refused(&create("new", lacking), 42);
    }
    refused(&create("new", settings(&[("topics.include", "a,b(")])), 128);
    for (key, value) in [("fetch.min.bytes", "none"), ("fetch.size", "1")] {
        refused(&create("new", settings(&[(key, value)])), 40);
    }
    refused(&create("new", settings(&[("bootstrap.servers", "a")])), 40);
    let mut desk = Desk::new();
    let chosen = settings(&[
        ("topics.include", "a.*, b"),
        ("source.cluster.id", "c"),
        ("fetch.min.bytes", "9"),
    ]);
    let made = desk.registry().create("new", chosen).expect("sound");
    desk.keep(made);
    let (_, mirror) = desk.registry().mirror("new").expect("made");
    let takes = ["a1", "b", "b1", "__a"].map(|topic| mirror.takes(&name(topic)));
    assert_eq!(takes, [true, true, false, false]);
    assert_eq!(mirror.source_cluster_id.as_deref(), Some("c"));
    let keys: Vec<_> = mirror.settings.keys().map(String::as_str).collect();
    assert_eq!(keys, ["bootstrap.servers", "fetch.min.bytes"]);
    let all = desk
        .registry()
        .create("all", settings(&[("topics.include", ".*")]));
    desk.keep(all.expect("sound"));
    let (_, all) = desk.registry().mirror("all").expect("made");
    assert!(all.takes(&name("a")) && !all.takes(&name("__consumer_offsets")));
}

#[test]
fn the_life_of_a_topic() {
    let mut desk = Desk::new();
    assert_eq!(desk.start("dr", &[source("t.1", 1)]), [Ok(())]);
    assert_eq!(desk.desired("t.1"), Desired::Mirroring);
    let (_, mirror) = desk.registry().mirror("dr").expect("known");
    assert!(mirror.takes(&name("t.1")) && !mirror.takes(&name("tx1")));
    assert_eq!(mirror.include.len(), 1);
    desk.put("t.1", State::Mirroring);
    assert_eq!(desk.pause("dr", &["t.1"]), [Ok(())]);
    desk.put("t.1", State::Paused);
    assert_eq!(desk.resume("dr", &["t.1"]), [Ok(())]);
    desk.put("t.1", State::Failed);
    assert_eq!(
        desk.stop("dr", &["t.1"]),
        [Ok(())],
        "a failover waits for nothing"
    );
    assert_eq!(desk.desired("t.1"), Desired::Stopped);
    assert_eq!(
        desk.known("t.1").mirror.as_str(),
        "dr",
        "it keeps its mirror"
    );
    desk.put("t.1", State::Stopped);
    assert_eq!(desk.start("dr", &[source("t.1", 1)]), [Ok(())]);
    assert_eq!(desk.desired("t.1"), Desired::Mirroring);
}

#[test]
fn what_is_so_already_changes_nothing() {
    let mut desk = Desk::new();
    desk.start("dr", &[source("t", 1)]);
    desk.put("t", State::Mirroring);
    let before = desk.next;
    assert_eq!(desk.start("dr", &[source("t", 1)]), [Ok(())]);
    assert_eq!(desk.resume("dr", &["t"]), [Ok(())]);
    assert_eq!(desk.next, before);
    desk.pause("dr", &["t"]);
    let before = desk.next;
    assert_eq!(desk.pause("dr", &["t"]), [Ok(())]);
    assert_eq!(desk.next, before);
    desk.stop("dr", &["t"]);
    let before = desk.next;
    assert_eq!(desk.stop("dr", &["t", "t"]), [Ok(())]);
    assert_eq!(desk.next, before);
}

#[test]
fn starts_that_cannot_be() {
    let mut desk = Desk::new();
    desk.start("dr", &[source("t", 1), source("p", 2), source("s", 3)]);
    desk.put("p", State::Mirroring);
    desk.pause("dr", &["p"]);
    desk.stop("dr", &["s"]);
    desk.put("s", State::Stopped);
    desk.put_one("s", 1, Some(State::Stopping));
    let before = desk.next;
    let mut few = source("few", 9);
    few.num_partitions = -1;
    let table = [
        ("dr", source("a b", 4), 17),
        ("dr", source("__internal", 4), 42),
        ("dr", source("t", 9), 103),
        ("dr", source("new", 1), 36),
        ("other", source("t", 1), 138),
        ("dr", source("p", 2), 146),
        ("dr", source("s", 3), 142),
        ("dr", few, 37),
    ];
    for (mirror, topic, code) in table {
        let outcomes = desk.start(mirror, &[topic]);
        refused(&outcomes[0], code);
        assert_eq!(desk.next, before, "nothing has changed");
    }
    let request = StartMirrorTopicsRequest {
        mirror_name: "none".to_owned(),
        ..StartMirrorTopicsRequest::default()
    };
    refused(&desk.registry().start(desk.log.states(), &request), 137);
}

#[test]
fn one_topic_that_is_refused_keeps_no_other_up() {
    let mut desk = Desk::new();
    let outcomes = desk.start("dr", &[source("__no", 1), source("yes", 2)]);
    refused(&outcomes[0], 42);
    assert_eq!(outcomes[1], Ok(()));
    assert_eq!(desk.desired("yes"), Desired::Mirroring);
    assert_eq!(desk.registry().topic(&name("__no")), None);
    let outcomes = desk.start("dr", &[source("a", 7), source("b", 7)]);
    assert_eq!(outcomes[0], Ok(()));
    refused(&outcomes[1], 36);
}

#[test]
fn a_topic_that_is_not_there_yet_is_started_and_learnt_later() {
    let mut desk = Desk::new();
    let mut unknown = source("t", 0);
    unknown.num_partitions = 0;
    assert_eq!(desk.start("dr", &[unknown]), [Ok(())]);
    let learn = |desk: &Desk, id, count| {
        let id = TopicId::new([id; 16]);
        desk.registry().learn(&name("t"), id, count)
    };
    let learnt = learn(&desk, 5, 3).expect("sound").expect("news");
    desk.keep(vec![learnt]);
    assert_eq!(desk.known("t").partitions, 3);
    assert_eq!(learn(&desk, 5, 3), Ok(None));
    assert_eq!(learn(&desk, 5, 1), Ok(None), "partitions do not vanish");
    assert!(learn(&desk, 5, 4).expect("sound").is_some());
    refused(&learn(&desk, 6, 3), 103);
    let none = desk.registry().learn(&name("u"), TopicId::ZERO, 1);
    refused(&none, 3);
    desk.stop("dr", &["t"]);
    assert_eq!(desk.start("dr", &[source("t", 0)]), [Ok(())]);
    assert_eq!(desk.known("t").id, TopicId::new([5; 16]), "not forgotten");
}

#[test]
fn a_stopped_topic_may_go_to_another_mirror() {
    let mut desk = Desk::new();
    desk.start("dr", &[source("t", 1)]);
    desk.stop("dr", &["t"]);
    desk.put("t", State::Stopped);
    assert_eq!(desk.start("other", &[source("t", 1)]), [Ok(())]);
    assert_eq!(desk.known("t").mirror.as_str(), "other");
    refused(&desk.stop("dr", &["t"])[0], 139);
}

#[test]
fn patterns_move_from_one_list_to_the_other() {
    let mut desk = Desk::new();
    let takes = |desk: &Desk, topic: &str| {
        let (_, mirror) = desk.registry().mirror("dr").expect("known");
        mirror.takes(&name(topic))
    };
    desk.start("dr", &[source("a1", 1), source("b1", 2)]);
    assert!(desk.start_patterns(&["a.*", "b.*"], &[]).is_empty());
    assert!(takes(&desk, "a2") && takes(&desk, "b2"));
    desk.start("dr", &[source("a3", 3)]);
    desk.stop("dr", &["a3"]);
    let (_, mirror) = desk.registry().mirror("dr").expect("known");
    assert_eq!(
        mirror.include.len(),
        4,
        "what a pattern takes needs no name"
    );
    assert_eq!(desk.start_patterns(&[], &["a.*"]), ["a1"]);
    assert!(!takes(&desk, "a2") && takes(&desk, "b2"));
    assert_eq!(desk.desired("a1"), Desired::Stopped);
    desk.start_patterns(&["a.*"], &[]);
    assert!(takes(&desk, "a2"));
    let stop = StopMirrorTopicsRequest {
        mirror_name: "dr".to_owned(),
        patterns: texts(&["b.*"]),
        ..StopMirrorTopicsRequest::default()
    };
    let plan = desk.registry().stop(&stop);
    assert_eq!(desk.done(plan), [Ok(())]);
    assert_eq!(desk.desired("b1"), Desired::Stopped);
    assert!(!takes(&desk, "b2"));
    let bad = StopMirrorTopicsRequest {
        patterns: texts(&["b["]),
        ..stop
    };
    refused(&desk.registry().stop(&bad), 128);
}

/// A planned stop keeps its pattern at once, and the topics go on until nothing of them is missing:
/// what is asked of others meanwhile, and the end of the first that is due, stop none of them.
#[test]
fn what_an_earlier_pattern_excludes_is_not_stopped_by_a_later_request() {
    let mut desk = Desk::new();
    desk.start("dr", &[source("a1", 1), source("a2", 2), source("b1", 3)]);
    let stop = StopMirrorTopicsRequest {
        mirror_name: "dr".to_owned(),
        patterns: texts(&["a.*"]),
        ..StopMirrorTopicsRequest::default()
    };
    let mut plan = desk.registry().stop(&stop).expect("a mirror that is known");
    plan.records
        .retain(|record| matches!(record, Record::Mirror(..)));
    desk.keep(plan.records);
    assert_eq!(desk.stop("dr", &["a1"]), [Ok(())]);
    assert_eq!(desk.desired("a1"), Desired::Stopped);
    assert_eq!(desk.desired("a2"), Desired::Mirroring);
    assert_eq!(desk.start("dr", &[source("c1", 4)]), [Ok(())]);
    assert_eq!(desk.start_patterns(&[], &["b.*"]), ["b1"]);
    assert_eq!(desk.desired("a2"), Desired::Mirroring);
    // Whoever does not want to wait any more says so by the same pattern.
    let plan = desk.registry().stop(&stop);
    assert_eq!(desk.done(plan), [Ok(())]);
    assert_eq!(desk.desired("a2"), Desired::Stopped);
}

#[test]
fn a_name_that_was_excluded_by_itself_can_be_started() {
    let mut desk = Desk::new();
    desk.start_patterns(&[], &["t.1", "u\\.1", "v.*"]);
    assert_eq!(desk.start("dr", &[source("t.1", 1)]), [Ok(())]);
    assert_eq!(desk.start("dr", &[source("u.1", 2)]), [Ok(())]);
    refused(&desk.start("dr", &[source("v.1", 3)])[0], 42);
}

#[test]
fn pauses_and_resumes_that_cannot_be() {
    let mut desk = Desk::new();
    desk.start("dr", &[source("t", 1), source("s", 2)]);
    desk.stop("dr", &["s"]);
    refused(&desk.pause("dr", &["s"])[0], 145);
    refused(&desk.resume("dr", &["s"])[0], 141);
    refused(&desk.pause("dr", &["none"])[0], 3);
    refused(&desk.pause("dr", &["a/b"])[0], 17);
    refused(&desk.pause("other", &["t"])[0], 139);
    let states = [None, Some(State::Failed), Some(State::LogAlignment)];
    for state in states {
        desk.put("t", State::Mirroring);
        desk.put_one("t", 1, state);
        let outcome = desk.pause("dr", &["t"]).remove(0);
        refused(&outcome, 145);
        let partition = PartitionIndex::new(1).expect("positive");
        let told = Refusal::WrongState {
            topic: name("t"),
            partition,
            state,
            expected: State::Mirroring,
        };
        assert_eq!(outcome, Err(told));
    }
    desk.put("t", State::Mirroring);
    assert_eq!(desk.pause("dr", &["t"]), [Ok(())]);
    desk.put_one("t", 0, Some(State::Pausing));
    refused(&desk.resume("dr", &["t"])[0], 145);
}

#[test]
fn only_failed_partitions_are_recovered() {
    let mut desk = Desk::new();
    desk.start("dr", &[source("t", 1), source("u", 2)]);
    desk.put("t", State::Mirroring);
    desk.put_one("t", 1, Some(State::Failed));
    desk.put("u", State::Failed);
    let request = RecoverMirrorTopicsRequest {
        mirror_name: "dr".to_owned(),
        topics: texts(&["t", "none"]),
    };
    let recovery = desk.registry().recover(desk.log.states(), &request);
    let recovery = recovery.expect("known");
    let found: Vec<_> = recovery
        .partitions
        .iter()
        .map(|key| key.partition.value())
        .collect();
    assert_eq!(found, [1]);
    assert_eq!(recovery.partitions[0].topic, TopicId::new([1; 16]));
    assert_eq!(recovery.topics[0].1, Ok(()));
    refused(&recovery.topics[1].1, 3);
}

#[test]
fn only_a_mirror_that_is_stopped_whole_is_removed_and_nothing_of_it_stays() {
    let mut desk = Desk::new();
    refused(&desk.delete("none"), 137);
    desk.start("dr", &[source("t", 1)]);
    desk.start("other", &[source("u", 2)]);
    desk.put("t", State::Mirroring);
    desk.put("u", State::Mirroring);
    refused(&desk.delete("dr"), 143);
    desk.stop("dr", &["t"]);
    refused(&desk.delete("dr"), 145);
    desk.put("t", State::Stopped);
    desk.put_one("t", 1, None);
    refused(&desk.delete("dr"), 145);
    desk.put("t", State::Stopped);
    let key = desk.log.states().keys().next().expect("on record").clone();
    let said = LastMirrorEpochs {
        epoch: crate::model::LeaderEpoch::NONE,
        offset: Some(Offset::ZERO),
    };
    let handed_over = crate::mirror::HandOver {
        topic: TopicId::ZERO,
        position: Offset::ZERO,
        end: Offset::ZERO,
        leader_epoch: crate::model::LeaderEpoch::new(3),
        late: Vec::new(),
    };
    desk.keep(vec![
        Record::Position(key.clone(), Some(said)),
        Record::HandOver(key.clone(), Some(handed_over)),
    ]);
    assert!(desk.log.hand_over(&key).is_some());
    let records = desk.delete("dr").expect("all is stopped");
    assert_eq!(records.len(), 8);
    for forgotten in [
        Record::HandOver(key.clone(), None),
        Record::WayBack(key, None),
    ] {
        assert!(records.contains(&forgotten), "{records:?}");
    }
    assert!(records.iter().all(|record| record.value().is_none()));
    refused(&desk.registry().mirror("dr"), 137);
    let left: Vec<_> = desk
        .log
        .states()
        .keys()
        .map(|key| key.mirror.as_str())
        .collect();
    assert_eq!(left, ["other", "other"]);
    assert!(desk.log.positions().is_empty());
    assert_eq!(desk.registry().topics().count(), 1);
    let made = desk.registry().create("dr", settings(&[]));
    assert!(made.is_ok(), "the name is free again");
    let outcomes = desk.start("other", &[source("v", 1), source("w", 2)]);
    assert_eq!(outcomes[0], Ok(()), "the id is free again");
    refused(&outcomes[1], 36);
}

#[test]
fn a_removal_that_was_cut_short_leaves_no_topic_alone_and_is_completed() {
    let mut desk = Desk::new();
    desk.start("dr", &[source("t", 1)]);
    desk.stop("dr", &["t"]);
    desk.put("t", State::Stopped);
    let stale = |desk: &Desk| {
        desk.registry()
            .stale(desk.log.states(), desk.log.positions())
    };
    assert!(stale(&desk).is_empty());
    let log = &desk.log;
    let records = desk
        .registry()
        .delete(log.states(), log.positions(), "dr", None);
    let records = records.expect("all is stopped");
    for record in records {
        desk.keep(vec![record]);
        for (_, topic) in desk.registry().topics() {
            assert!(desk.registry().mirror(topic.mirror.as_str()).is_ok());
        }
        let rest = stale(&desk);
        if desk.registry().mirror("dr").is_err() {
            assert_eq!(rest.len(), 2 * desk.log.states().len(), "and the way back");
        }
    }
    assert!(desk.log.states().is_empty() && stale(&desk).is_empty());
}

#[test]
fn a_pattern_starts_what_was_stopped_as_well() {
    let mut desk = Desk::new();
    desk.start("dr", &[source("a.1", 1), source("a.2", 2), source("b", 3)]);
    for topic in ["a.1", "a.2", "b"] {
        desk.stop("dr", &[topic]);
        desk.put(topic, State::Stopped);
    }
    desk.put("a.2", State::Stopping);
    assert_eq!(desk.start_patterns(&["a.*"], &[]), ["a.1", "a.2"]);
    let desired = ["a.1", "a.2", "b"].map(|topic| desk.desired(topic));
    let (started, not) = (Desired::Mirroring, Desired::Stopped);
    assert_eq!(desired, [started, not, not], "one is still being stopped");
    assert_eq!(desk.start_patterns(&["nothing"], &[]), [""; 0]);
}

#[test]
fn who_has_not_seen_the_last_change_is_refused() {
    let mut desk = Desk::new();
    desk.start("dr", &[source("t", 1), source("u", 2)]);
    let seen = desk.next - 1;
    desk.stop("dr", &["t"]);
    let request = |topic: &str, state_offset| StopMirrorTopicsRequest {
        mirror_name: "dr".to_owned(),
        topics: texts(&[topic]),
        state_offset,
        ..StopMirrorTopicsRequest::default()
    };
    let stop = |topic, offset| desk.registry().stop(&request(topic, offset));
    refused(&stop("t", seen), 145);
    assert!(stop("u", seen).is_ok(), "another topic has changed");
    assert!(stop("t", desk.next - 1).is_ok());
    assert!(stop("t", -1).is_ok());
    let log = &desk.log;
    let old = Some(Offset::new(seen));
    let delete = desk
        .registry()
        .delete(log.states(), log.positions(), "dr", old);
    refused(&delete, 145);
}
