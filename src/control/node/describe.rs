//! How mirrors and their partitions are, for operators.

use std::collections::{BTreeMap, BTreeSet};

use crate::io::World;
use crate::mirror::{Mirror, MirrorName, PartitionKey, Retry, State};
use crate::model::{Offset, PartitionIndex, TopicId, TopicName, TopicPartition};
use crate::protocol::ErrorCode;
use crate::protocol::mirror_rpc::{
    ClusterMirror, ClusterMirrorListing, DescribeClusterMirrorsRequest,
    DescribeClusterMirrorsResponse, ListClusterMirrorsRequest, ListClusterMirrorsResponse,
    MirrorPartition, MirrorTopic,
};

use super::Node;

/// What stands for "nobody knows".
const UNKNOWN: i64 = -1;
/// A failure that no other try can mend.
const NOT_TRIED_AGAIN: i16 = -1;

impl<W: World> Node<W> {
    pub(super) fn list(&self, request: &ListClusterMirrorsRequest) -> ListClusterMirrorsResponse {
        let registry = self.state().registry();
        let mirrors = registry.mirrors().map(|(name, mirror)| {
            let topics = registry.topics_of(name).map(|(topic, _)| topic.to_string());
            let topics: Vec<String> = topics.collect();
            ClusterMirrorListing {
                mirror_name: name.to_string(),
                source_bootstrap: bootstrap(mirror),
                source_cluster_id: mirror.source_cluster_id.clone().unwrap_or_default(),
                topic_count: i32::try_from(topics.len()).unwrap_or(i32::MAX),
                topic_names: request.include_topic_names.then_some(topics),
            }
        });
        ListClusterMirrorsResponse {
            mirrors: mirrors.collect(),
            ..ListClusterMirrorsResponse::default()
        }
    }

    pub(super) fn describe(
        &self,
        request: &DescribeClusterMirrorsRequest,
    ) -> DescribeClusterMirrorsResponse {
        let registry = self.state().registry();
        let all = || registry.mirrors().map(|(name, _)| name.to_string());
        let names: Vec<String> = match &request.mirror_names {
            Some(names) => names.clone(),
            None => all().collect(),
        };
        let mirrors = names.iter().map(|name| match registry.mirror(name) {
            Ok((name, mirror)) => self.described(name, mirror, request),
            Err(refusal) => ClusterMirror {
                error_code: refusal.code().0,
                error_message: Some(refusal.to_string()),
                mirror_name: name.clone(),
                ..ClusterMirror::default()
            },
        });
        DescribeClusterMirrorsResponse {
            error_code: ErrorCode::NONE.0,
            mirrors: mirrors.collect(),
            ..DescribeClusterMirrorsResponse::default()
        }
    }

    fn described(
        &self,
        name: &MirrorName,
        mirror: &Mirror,
        request: &DescribeClusterMirrorsRequest,
    ) -> ClusterMirror {
        let wanted = request.topic_names.as_ref();
        let wanted: Option<BTreeSet<&str>> =
            wanted.map(|names| names.iter().map(String::as_str).collect());
        let is_wanted = |topic: &TopicName| {
            let wanted = wanted.as_ref();
            wanted.is_none_or(|wanted| wanted.contains(topic.as_str()))
        };
        let mut topics: BTreeMap<&TopicName, (TopicId, Vec<MirrorPartition>)> = BTreeMap::new();
        let registry = self.state().registry();
        let all = registry.topics_of(name);
        for (topic, said) in all.filter(|(topic, _)| is_wanted(topic)) {
            let (_, partitions) = topics.entry(topic).or_insert((said.id, Vec::new()));
            for index in 0..i32::try_from(said.partitions).unwrap_or(i32::MAX) {
                let key = PartitionKey {
                    mirror: name.clone(),
                    topic: said.id,
                    partition: PartitionIndex::new(index).expect("counted from 0"),
                };
                let id = TopicPartition {
                    topic: topic.clone(),
                    partition: key.partition,
                };
                let aside = request.include_stops.then(|| self.asides_of(&id));
                partitions.push(MirrorPartition {
                    set_aside: aside.flatten(),
                    ..self.partition(&key, request.include_stops)
                });
            }
        }
        let topics = topics.into_iter();
        let topics = topics.map(|(name, (topic_id, partitions))| MirrorTopic {
            topic_name: name.to_string(),
            partitions,
            topic_id,
        });
        let membership = self.membership.as_ref();
        ClusterMirror {
            mirror_name: name.to_string(),
            source_bootstrap: Some(bootstrap(mirror)),
            source_cluster_id: mirror.source_cluster_id.clone(),
            topics: topics.collect(),
            retry_attempts_max: i16::try_from(self.chosen.retry.max_attempts).unwrap_or(i16::MAX),
            destination_cluster_id: membership.and_then(|member| member.known_cluster()),
            ..ClusterMirror::default()
        }
    }

    fn partition(&self, key: &PartitionKey, includes_stops: bool) -> MirrorPartition {
        let (stop_step, stop_report) = match includes_stops {
            true => self.stop_of(key),
            false => (None, None),
        };
        let state = self.state().states().get(key);
        let position = self.state().positions().get(key);
        let handed_over = self.state().hand_over(key);
        let one = self.partitions.get(key);
        let offset = |offset: Option<Offset>| offset.map_or(UNKNOWN, Offset::value);
        let is_stopped = state.is_some_and(|state| state.state == State::Stopped);
        let hindrance = one.filter(|_| !is_stopped).and_then(|one| one.hindrance());
        let error = state.and_then(|state| state.error.clone());
        let doubt = one.filter(|_| !is_stopped);
        let doubt = doubt.and_then(|one| self.doubt_about(one));
        MirrorPartition {
            partition_index: key.partition.value(),
            state_value: state
                .map_or(State::UNKNOWN_NAME, |state| state.state.name())
                .to_owned(),
            error_message: error.or(hindrance.map(str::to_owned)).or(doubt),
            retry_attempt: match state.map(|state| state.retry) {
                Some(Retry::Never) => NOT_TRIED_AGAIN,
                Some(Retry::Counted(count)) => i16::try_from(count).unwrap_or(i16::MAX),
                None => 0,
            },
            source_offset: offset(one.and_then(|one| one.source_end())),
            destination_offset: offset(one.and_then(|one| one.log_end())),
            last_mirror_epoch: position.map_or(-1, |position| position.epoch.value()),
            last_mirror_offset: offset(position.and_then(|position| position.offset)),
            stop_step,
            stop_report,
            led_epoch: handed_over.map(|said| said.leader_epoch.value()),
            led_topic_id: handed_over.map_or(TopicId::ZERO, |said| said.topic),
            set_aside: None,
        }
    }
}

fn bootstrap(mirror: &Mirror) -> String {
    let servers = mirror.settings.get("bootstrap.servers");
    servers.cloned().unwrap_or_default()
}
