//! A node for the sake of its answers: the admin listener that a real one has, before a list of
//! topics whose partitions move on each time somebody looks.

use std::collections::BTreeMap;
use std::sync::mpsc as std_mpsc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};
use twinlog::control::admin::{self, AdminAnswer, AdminRequest, Asked};
use twinlog::control::doors::Door;
use twinlog::io::World;
use twinlog::mirror::{Record, Refusal, Registry, State, StateLog};
use twinlog::model::{BrokerAddress, BrokerId, Offset};
use twinlog::protocol::ErrorCode;
use twinlog::protocol::mirror_rpc::{
    ClusterMirror, ClusterMirrorListing, CreateClusterMirrorResponse, DeleteClusterMirrorResponse,
    DescribeClusterMirrorsRequest, DescribeClusterMirrorsResponse, ListClusterMirrorsResponse,
    MirrorPartition, MirrorTopic, MirrorTopicResult, PauseMirrorTopicsResponse,
    RecoverMirrorTopicsResponse, ResumeMirrorTopicsResponse, StartMirrorTopicsResponse,
    StopMirrorTopicsRequest, StopMirrorTopicsResponse, StopPlan, StopReport, StopTopicResult,
};
use twinlog::server::admin::Identity;
use twinlog::uring;

/// Partitions of each topic.
const PARTITIONS: i32 = 2;

pub(crate) struct FakeNode {
    pub(crate) at: String,
    thread: Option<JoinHandle<()>>,
    stop: Option<oneshot::Sender<()>>,
}

impl FakeNode {
    pub(crate) fn start() -> FakeNode {
        let (at_in, at) = std_mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            uring::run(None, |world| async move {
                let any = BrokerAddress {
                    host: "127.0.0.1".to_owned(),
                    port: 0,
                };
                let door = Door::open(&world, "admin.listen", &any, 8).await;
                let door = door.expect("loopback has ports");
                let port = door.at().port();
                let identity = Identity {
                    broker: BrokerId(9001),
                    host: "127.0.0.1".to_owned(),
                    port,
                    cluster: "twinlog".to_owned(),
                };
                let (asked_in, asked) = mpsc::channel(4);
                world.spawn(async move { admin::serve(world, door, identity, asked_in).await });
                at_in
                    .send(format!("127.0.0.1:{port}"))
                    .expect("somebody wants to know");
                Mirrors::default().answer(asked, stopped).await;
            });
        });
        FakeNode {
            at: at.recv().expect("it listens"),
            thread: Some(thread),
            stop: Some(stop),
        }
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(
            ended.is_some_and(|ended| ended.is_ok()),
            "the node is content"
        );
    }
}

/// What is mirrored, and where each partition is.
#[derive(Default)]
struct Mirrors {
    log: StateLog,
    next: i64,
    states: BTreeMap<String, Vec<State>>,
    looks: u32,
}

type Answers = Vec<(String, Result<(), Refusal>)>;

impl Mirrors {
    async fn answer(mut self, mut asked: mpsc::Receiver<Asked>, stop: oneshot::Receiver<()>) {
        tokio::pin!(stop);
        loop {
            tokio::select! {
                _ = &mut stop => return,
                Some((request, answer)) = asked.recv() => {
                    if self.is_away(&request) {
                        continue;
                    }
                    let said = self.judge(&request);
                    let said = said.unwrap_or_else(|refusal| {
                        request.refused(refusal.code(), &refusal.to_string())
                    });
                    // A client that goes has heard enough.
                    drop(answer.send(said));
                }
            }
        }
    }

    /// Whether it drops a question: the second look at a topic whose name has `away` in it.
    fn is_away(&mut self, request: &AdminRequest) -> bool {
        let is_look = matches!(request, AdminRequest::Describe(_));
        let has_topic = self.states.keys().any(|topic| topic.contains("away"));
        let is_away = is_look && has_topic && self.looks == 1;
        self.looks += u32::from(is_away);
        is_away
    }

    fn registry(&self) -> &Registry {
        self.log.registry()
    }

    fn keep(&mut self, records: Vec<Record>) {
        for record in records {
            let kept = self.log.apply(Offset::new(self.next), record);
            kept.expect("it was planned");
            self.next += 1;
        }
    }

    fn judge(&mut self, request: &AdminRequest) -> Result<AdminAnswer, Refusal> {
        // Where nothing is on record of partitions, nothing hinders an operation.
        let states = BTreeMap::new();
        Ok(match request {
            AdminRequest::Create(create) => {
                let settings = create.configs.iter();
                let settings = settings.map(|config| {
                    let value = config.value.clone().unwrap_or_default();
                    (config.name.clone(), value)
                });
                let records = self
                    .registry()
                    .create(&create.mirror_name, settings.collect())?;
                self.keep(records);
                AdminAnswer::Create(CreateClusterMirrorResponse::default())
            }
            AdminRequest::Start(start) => {
                let plan = self.registry().start(&states, start)?;
                self.keep(plan.records);
                self.all(&plan.topics, State::Mirroring);
                AdminAnswer::Start(StartMirrorTopicsResponse {
                    topics: results(plan.topics),
                    ..StartMirrorTopicsResponse::default()
                })
            }
            AdminRequest::Stop(stop) => AdminAnswer::Stop(self.stop(stop)?),
            AdminRequest::Pause(pause) => {
                let plan = self.registry().pause(&states, pause)?;
                self.keep(plan.records);
                self.all(&plan.topics, State::Paused);
                AdminAnswer::Pause(PauseMirrorTopicsResponse {
                    topics: results(plan.topics),
                    ..PauseMirrorTopicsResponse::default()
                })
            }
            AdminRequest::Resume(resume) => {
                let plan = self.registry().resume(&states, resume)?;
                self.keep(plan.records);
                self.all(&plan.topics, State::Mirroring);
                AdminAnswer::Resume(ResumeMirrorTopicsResponse {
                    topics: results(plan.topics),
                    ..ResumeMirrorTopicsResponse::default()
                })
            }
            AdminRequest::Recover(recover) => {
                let recovery = self.registry().recover(&states, recover)?;
                self.all(&recovery.topics, State::Mirroring);
                AdminAnswer::Recover(RecoverMirrorTopicsResponse {
                    topics: results(recovery.topics),
                    ..RecoverMirrorTopicsResponse::default()
                })
            }
            AdminRequest::Delete(delete) => {
                let none = BTreeMap::new();
                let name = &delete.mirror_name;
                let records = self.registry().delete(&states, &none, name, None)?;
                self.keep(records);
                AdminAnswer::Delete(DeleteClusterMirrorResponse::default())
            }
            AdminRequest::List(_) => AdminAnswer::List(self.list()),
            AdminRequest::Describe(describe) => AdminAnswer::Describe(self.describe(describe)),
        })
    }

    fn all(&mut self, topics: &Answers, state: State) {
        for (topic, _) in topics.iter().filter(|(_, done)| done.is_ok()) {
            let states = vec![state; PARTITIONS as usize];
            self.states.insert(topic.clone(), states);
        }
    }

    /// A topic whose name has `stuck` in it fails to stop, one with `slow` never comes to the end.
    fn stop(
        &mut self,
        stop: &StopMirrorTopicsRequest,
    ) -> Result<StopMirrorTopicsResponse, Refusal> {
        let plan = self.registry().stop(stop)?;
        let mut results: Vec<StopTopicResult> = Vec::new();
        for result in results_of(&plan.topics) {
            let plans: Vec<StopPlan> = (0..PARTITIONS)
                .map(|partition| StopPlan {
                    partition,
                    state: "MIRRORING".to_owned(),
                    log_end: Some(10),
                    new_leader: Some(1),
                    hindrances: vec![
                        "the source is not quiet".to_owned();
                        usize::from(stop.planned)
                    ],
                    ..StopPlan::default()
                })
                .collect();
            results.push(StopTopicResult {
                name: result.name,
                error_code: result.error_code,
                error_message: result.error_message,
                plan: stop.dry_run.then(|| StopPlan::write_all(&plans)),
            });
        }
        if !stop.dry_run {
            self.keep(plan.records);
            self.all(&plan.topics, State::Stopping);
            self.looks = 0;
        }
        Ok(StopMirrorTopicsResponse {
            topics: results,
            ..StopMirrorTopicsResponse::default()
        })
    }

    fn list(&self) -> ListClusterMirrorsResponse {
        let listed = self
            .registry()
            .mirrors()
            .map(|(name, mirror)| ClusterMirrorListing {
                mirror_name: name.as_str().to_owned(),
                source_bootstrap: mirror.settings["bootstrap.servers"].clone(),
                topic_count: self.registry().topics_of(name).count() as i32,
                ..ClusterMirrorListing::default()
            });
        ListClusterMirrorsResponse {
            mirrors: listed.collect(),
            ..ListClusterMirrorsResponse::default()
        }
    }

    fn describe(
        &mut self,
        asked: &DescribeClusterMirrorsRequest,
    ) -> DescribeClusterMirrorsResponse {
        self.looks += 1;
        for (topic, states) in &mut self.states {
            let stopping = states.iter_mut().filter(|state| **state == State::Stopping);
            for (nth, state) in stopping.enumerate() {
                match topic.contains("stuck") && nth == 1 {
                    true => *state = State::Failed,
                    false if self.looks > 3 && !topic.contains("slow") => *state = State::Stopped,
                    false => {}
                }
            }
        }
        let names = asked.mirror_names.clone().unwrap_or_else(|| {
            let names = self.registry().mirrors();
            names.map(|(name, _)| name.as_str().to_owned()).collect()
        });
        let mirrors = names.iter().map(|name| self.describe_one(name));
        DescribeClusterMirrorsResponse {
            mirrors: mirrors.collect(),
            ..DescribeClusterMirrorsResponse::default()
        }
    }

    fn describe_one(&self, name: &str) -> ClusterMirror {
        let (name, _) = match self.registry().mirror(name) {
            Ok(found) => found,
            Err(refusal) => {
                return ClusterMirror {
                    error_code: refusal.code().0,
                    error_message: Some(refusal.to_string()),
                    mirror_name: name.to_owned(),
                    ..ClusterMirror::default()
                };
            }
        };
        let topics = self.registry().topics_of(name).map(|(topic, _)| {
            let states = self.states[topic.as_str()].iter();
            MirrorTopic {
                topic_name: topic.as_str().to_owned(),
                partitions: (0..)
                    .zip(states)
                    .map(|(nth, state)| partition(nth, *state))
                    .collect(),
                ..MirrorTopic::default()
            }
        });
        ClusterMirror {
            mirror_name: name.as_str().to_owned(),
            topics: topics.collect(),
            retry_attempts_max: 20,
            ..ClusterMirror::default()
        }
    }
}

fn partition(index: i32, state: State) -> MirrorPartition {
    let failed = state == State::Failed;
    let report = StopReport {
        last_mirror_offset: Some(10),
        last_mirror_epoch: Some(3),
        ..StopReport::default()
    };
    MirrorPartition {
        partition_index: index,
        state_value: state.name().to_owned(),
        error_message: failed.then(|| "a follower is gone".to_owned()),
        retry_attempt: if failed { -1 } else { 0 },
        source_offset: 12,
        destination_offset: 10,
        stop_step: (state == State::Stopping).then(|| "drain".to_owned()),
        stop_report: (state == State::Stopped).then(|| report.write()),
        ..MirrorPartition::default()
    }
}

fn results_of(topics: &Answers) -> Vec<MirrorTopicResult> {
    let results = topics.iter().map(|(name, outcome)| MirrorTopicResult {
        name: name.clone(),
        error_code: outcome
            .as_ref()
            .err()
            .map_or(ErrorCode::NONE.0, |why| why.code().0),
        error_message: outcome.as_ref().err().map(ToString::to_string),
        ..MirrorTopicResult::default()
    });
    results.collect()
}

fn results(topics: Answers) -> Vec<MirrorTopicResult> {
    results_of(&topics)
}
