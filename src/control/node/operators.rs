//! What operators ask for: decided by the registry, kept, then answered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::control::admin::{AdminAnswer, AdminRequest, Asked};
use crate::io::{Clock, World};
use crate::mirror::{Desired, Input, PartitionKey, Plan, Record, Refusal};
use crate::model::{Offset, TopicName, TopicPartition};
use crate::protocol::ErrorCode;
use crate::protocol::mirror_rpc::{
    CreateClusterMirrorRequest, CreateClusterMirrorResponse, DeleteClusterMirrorRequest,
    DeleteClusterMirrorResponse, MirrorTopicResult, PauseMirrorTopicsResponse,
    RecoverMirrorTopicsRequest, RecoverMirrorTopicsResponse, ResumeMirrorTopicsResponse,
    StartMirrorTopicsResponse, StopMirrorTopicsRequest, StopMirrorTopicsResponse, StopTopicResult,
};

use super::Node;
use super::event::Then;
use super::planned::Ends;

/// Before a planned stop nothing may have come to the source's logs for so long.
const STILL: Duration = Duration::from_secs(5);

/// The end of an answer that has topics: an error as a whole, or what became of each.
pub(super) type Told = (i16, Option<String>, Vec<MirrorTopicResult>);

impl<W: World> Node<W> {
    /// An operator asks. What changes something is answered once that is kept.
    pub(super) fn asked(&mut self, (mut request, answer): Asked) {
        if let AdminRequest::Describe(request) = request {
            return self.answer_or_hold(request, answer);
        }
        if let AdminRequest::Start(start) = &mut request {
            *start = self.with_matching(start);
            if start.dry_run {
                return self.plan_start(start, answer);
            }
        }
        let states = self.state().states();
        let registry = self.state().registry();
        let (records, said) = match &request {
            AdminRequest::List(request) => (Vec::new(), AdminAnswer::List(self.list(request))),
            AdminRequest::Describe(_) => unreachable!("it was answered above"),
            AdminRequest::Create(request) => self.create(request),
            AdminRequest::Delete(request) => self.delete(request),
            AdminRequest::Start(request) => {
                let (records, (error_code, error_message, topics)) =
                    planned(registry.start(states, request));
                // Whoever is started is not to be stopped by an earlier wish.
                let started = topics.iter().filter(|topic| topic.error_code == 0);
                for name in started.filter_map(|topic| TopicName::new(&topic.name)) {
                    self.planned.started(&name);
                }
                self.keep_planned_soon();
                let said = StartMirrorTopicsResponse {
                    error_code,
                    error_message,
                    topics,
                    ..StartMirrorTopicsResponse::default()
                };
                (records, AdminAnswer::Start(said))
            }
            AdminRequest::Pause(request) => {
                let (records, (error_code, error_message, topics)) =
                    planned(registry.pause(states, request));
                let said = PauseMirrorTopicsResponse {
                    error_code,
                    error_message,
                    topics,
                    ..PauseMirrorTopicsResponse::default()
                };
                (records, AdminAnswer::Pause(said))
            }
            AdminRequest::Resume(request) => {
                let (records, (error_code, error_message, topics)) =
                    planned(registry.resume(states, request));
                let said = ResumeMirrorTopicsResponse {
                    error_code,
                    error_message,
                    topics,
                    ..ResumeMirrorTopicsResponse::default()
                };
                (records, AdminAnswer::Resume(said))
            }
            AdminRequest::Stop(request) => self.stop(request),
            AdminRequest::Recover(request) => self.recover(request),
        };
        let mut records = records.into_iter();
        match records.next_back() {
            // Whoever has gone away does not want it.
            None => drop(answer.send(said)),
            Some(last) => {
                self.writes
                    .extend(records.map(|record| (record, Then::Nothing)));
                self.writes.push((last, Then::Answer(answer, said)));
            }
        }
    }

    fn create(&self, request: &CreateClusterMirrorRequest) -> (Vec<Record>, AdminAnswer) {
        let configs = request.configs.iter();
        let settings: BTreeMap<String, String> = configs
            .filter_map(|config| Some((config.name.clone(), config.value.clone()?)))
            .collect();
        let made = self
            .state()
            .registry()
            .create(&request.mirror_name, settings);
        let (records, (error_code, error_message)) = whole(made);
        let said = CreateClusterMirrorResponse {
            error_code,
            error_message,
            ..CreateClusterMirrorResponse::default()
        };
        (records, AdminAnswer::Create(said))
    }

    fn delete(&self, request: &DeleteClusterMirrorRequest) -> (Vec<Record>, AdminAnswer) {
        let offset = crate::model::Offset::from_wire(request.state_offset);
        let (states, positions) = (self.state().states(), self.state().positions());
        let registry = self.state().registry();
        let gone = registry.delete(states, positions, &request.mirror_name, offset);
        let (records, (error_code, error_message)) = whole(gone);
        let said = DeleteClusterMirrorResponse {
            error_code,
            error_message,
            ..DeleteClusterMirrorResponse::default()
        };
        (records, AdminAnswer::Delete(said))
    }

    fn stop(&mut self, request: &StopMirrorTopicsRequest) -> (Vec<Record>, AdminAnswer) {
        let plan = self.state().registry().stop(request);
        let is_planned = request.planned;
        let only_told = request.dry_run;
        let (mut records, (error_code, error_message, topics)) = planned(plan);
        let topics = topics.into_iter().map(|topic| StopTopicResult {
            name: topic.name,
            error_code: topic.error_code,
            error_message: topic.error_message,
            plan: None,
        });
        let mut topics: Vec<StopTopicResult> = topics.collect();
        let before = self.planned.clone();
        let meant = topics.iter().filter(|topic| topic.error_code == 0);
        let meant: BTreeSet<String> = meant.map(|topic| topic.name.clone()).collect();
        let danger = self.danger(|topic| meant.contains(topic.as_str()));
        if let Some(why) = danger.filter(|_| !request.force && !only_told) {
            self.look_soon();
            return (Vec::new(), AdminAnswer::Stop(refused(topics, &why)));
        }
        for topic in &mut topics {
            let name = TopicName::new(&topic.name).filter(|_| topic.error_code == 0);
            let Some(name) = name else {
                continue;
            };
            if request.force && !only_told && !is_planned {
                self.force(&name);
            }
            match only_told {
                true => topic.plan = Some(self.stop_plan(&request.mirror_name, &name)),
                false if is_planned => self.planned.want(name, request.force),
                false => self.planned.forget(&name),
            }
        }
        if is_planned {
            // The wish is written once nothing is missing; patterns count at once.
            records.retain(|record| !is_wish_to_stop(record));
        }
        if only_told {
            records.clear();
        }
        if let Err(why) = self.keep_planned() {
            self.planned = before;
            self.planned.changed();
            return (Vec::new(), AdminAnswer::Stop(refused(topics, &why)));
        }
        let said = StopMirrorTopicsResponse {
            error_code,
            error_message,
            topics,
            ..StopMirrorTopicsResponse::default()
        };
        (records, AdminAnswer::Stop(said))
    }

    fn recover(&mut self, request: &RecoverMirrorTopicsRequest) -> (Vec<Record>, AdminAnswer) {
        let registry = self.state().registry();
        let (error_code, error_message, topics) =
            match registry.recover(self.state().states(), request) {
                Ok(recovery) => {
                    for key in &recovery.partitions {
                        self.drive(key, Input::Recover);
                    }
                    (0, None, results(recovery.topics))
                }
                Err(refusal) => (refusal.code().0, Some(refusal.to_string()), Vec::new()),
            };
        let said = RecoverMirrorTopicsResponse {
            error_code,
            error_message,
            topics,
            ..RecoverMirrorTopicsResponse::default()
        };
        (Vec::new(), AdminAnswer::Recover(said))
    }

    /// Topics that were to be stopped once nothing is missing, and of which nothing is.
    pub(super) fn look_at_plans(&mut self) {
        let now = self.world.clock().now();
        let mut planned = std::mem::take(&mut self.planned);
        let looked = planned.look(
            now,
            STILL,
            |topic| self.topic_may_harm(topic),
            |topic| self.ends(topic),
            |ends| self.confirms(ends),
        );
        self.planned = planned;
        for topic in looked.ask {
            self.ask_for_ends(&topic);
        }
        for (topic, is_forced) in looked.due {
            if is_forced {
                self.force(&topic);
            }
            let Some(known) = self.state().registry().topic(&topic) else {
                continue;
            };
            let request = StopMirrorTopicsRequest {
                mirror_name: known.mirror.to_string(),
                topics: vec![topic.to_string()],
                ..StopMirrorTopicsRequest::default()
            };
            match self.state().registry().stop(&request) {
                Ok(plan) => {
                    // The wish is kept before the waiting is forgotten: both may be, neither not.
                    let records = plan.records.into_iter();
                    self.writes
                        .extend(records.map(|record| (record, Then::Nothing)));
                }
                Err(refusal) => tracing::warn!("{topic} cannot be stopped: {refusal}"),
            }
        }
    }

    /// It is handed over whatever becomes of whoever writes to it then.
    fn force(&mut self, topic: &TopicName) {
        self.planned.force(topic.clone());
        let of_topic = self.partitions.iter();
        let of_topic = of_topic.filter(|(_, one)| one.id.topic == *topic);
        let keys: Vec<PartitionKey> = of_topic.map(|(key, _)| key.clone()).collect();
        self.touched.extend(keys);
    }

    /// Of what was forced only stops that are under way are kept in mind.
    pub(super) fn forget_what_was_forced(&mut self) {
        // What is to be kept may be the very order to stop.
        if !self.writes.is_empty() {
            return;
        }
        let mut planned = std::mem::take(&mut self.planned);
        planned.retain_forced(|topic| self.is_being_stopped(topic));
        self.planned = planned;
    }

    fn is_being_stopped(&self, topic: &TopicName) -> bool {
        let known = self.state().registry().topic(topic);
        let is_wanted = known.is_some_and(|said| said.desired == Desired::Stopped);
        let of_topic = self.partitions.values();
        let mut of_topic = of_topic.filter(|one| one.id.topic == *topic).peekable();
        let is_none_known = of_topic.peek().is_none();
        is_wanted && (is_none_known || of_topic.any(|one| !one.life.is_writable()))
    }

    /// Where the partitions of a topic end, if nothing of any is missing here.
    fn ends(&self, topic: &TopicName) -> Ends {
        let of_topic = self
            .partitions
            .values()
            .filter(|one| one.id.topic == *topic);
        let ends = of_topic.map(|one| {
            let end = one.source_end().filter(|_| one.is_mirroring())?;
            (one.log_end()? >= end).then_some((one.id.clone(), end))
        });
        ends.collect()
    }
}

/// None of these topics is stopped, for this reason; what was wrong with them before remains.
fn refused(topics: Vec<StopTopicResult>, why: &str) -> StopMirrorTopicsResponse {
    let each = topics.into_iter().map(|topic| match topic.error_code {
        0 => StopTopicResult {
            error_code: ErrorCode::INVALID_CLUSTER_MIRROR_STATE.0,
            error_message: Some(why.to_owned()),
            ..topic
        },
        _ => topic,
    });
    StopMirrorTopicsResponse {
        topics: each.collect(),
        ..StopMirrorTopicsResponse::default()
    }
}

impl<W: World> Node<W> {
    /// Leaders at the source are asked where these logs end.
    fn ask_for_ends(&mut self, topic: &TopicName) {
        let of_topic = self.partitions.iter();
        for (key, one) in of_topic.filter(|(_, one)| one.id.topic == *topic) {
            if let Some(feed) = self.feeds.get_mut(&key.mirror) {
                feed.forget_bounds(&one.id);
                feed.want(&one.id);
            }
        }
    }

    /// They have said that it is there.
    fn confirms(&self, ends: &BTreeMap<TopicPartition, Offset>) -> bool {
        ends.iter().all(|(id, end)| {
            let key = self.by_id.get(id);
            let feed = key.and_then(|key| self.feeds.get(&key.mirror));
            let bounds = feed.and_then(|feed| feed.bounds(id));
            bounds.is_some_and(|(_, told)| told == *end)
        })
    }
}

fn is_wish_to_stop(record: &Record) -> bool {
    matches!(record, Record::Topic(_, Some(said)) if said.desired == Desired::Stopped)
}

fn whole(outcome: Result<Vec<Record>, Refusal>) -> (Vec<Record>, (i16, Option<String>)) {
    match outcome {
        Ok(records) => (records, (ErrorCode::NONE.0, None)),
        Err(refusal) => (Vec::new(), (refusal.code().0, Some(refusal.to_string()))),
    }
}

pub(super) fn planned(outcome: Result<Plan, Refusal>) -> (Vec<Record>, Told) {
    match outcome {
        Ok(plan) => (
            plan.records,
            (ErrorCode::NONE.0, None, results(plan.topics)),
        ),
        Err(refusal) => (
            Vec::new(),
            (refusal.code().0, Some(refusal.to_string()), Vec::new()),
        ),
    }
}

fn results(topics: Vec<(String, Result<(), Refusal>)>) -> Vec<MirrorTopicResult> {
    let result = |(name, outcome): (String, Result<(), Refusal>)| match outcome {
        Ok(()) => MirrorTopicResult {
            name,
            ..MirrorTopicResult::default()
        },
        Err(refusal) => MirrorTopicResult {
            name,
            error_code: refusal.code().0,
            error_message: Some(refusal.to_string()),
            ..MirrorTopicResult::default()
        },
    };
    topics.into_iter().map(result).collect()
}
