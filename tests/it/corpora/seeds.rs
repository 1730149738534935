//! The inputs that fuzzing begins with: sound ones of every kind.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::BytesMut;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset as DivergingEpoch, FetchableTopicResponse, LeaderIdAndEpoch,
    NodeEndpoint, PartitionData,
};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, DescribeClusterRequest, DescribeClusterResponse,
    DescribeConfigsRequest, DescribeConfigsResponse, DescribeLogDirsRequest,
    DescribeLogDirsResponse, FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse,
    MetadataRequest, MetadataResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    RequestHeader, TopicName as WireName, WriteTxnMarkersRequest,
};
use kafka_protocol::protocol::{Encodable, Request, StrBytes};
use twinlog::control::state_file::{self, StateFile};
use twinlog::mirror::{
    ClusterMirror, Desired, LastMirrorEpochs, MirrorName, MirrorPartitionState, MirrorTopic,
    PartitionKey, Record, State,
};
use twinlog::model::{LeaderEpoch, Offset, PartitionIndex, TopicId, TopicName};
use twinlog::protocol::fetch::VERSION_MIN;
use twinlog::protocol::frame::LENGTH_BYTES;
use twinlog::protocol::mirror_rpc::{
    self, CreateClusterMirrorRequest, DeleteClusterMirrorRequest, DescribeClusterMirrorsRequest,
    ListClusterMirrorsRequest, MirrorConfig, MirrorRequest, PauseMirrorTopicsRequest,
    RecoverMirrorTopicsRequest, ResumeMirrorTopicsRequest, StartMirrorTopicsRequest,
    StopMirrorTopicsRequest, TopicMetadata,
};
use twinlog::protocol::versions::{
    API_VERSIONS, DESCRIBE_CLUSTER, DESCRIBE_CONFIGS, FETCH, LIST_OFFSETS, METADATA,
    OFFSET_FOR_LEADER_EPOCH, ServedApi, TO_FOLLOWERS, WRITE_TXN_MARKERS,
};
use twinlog::session::{Answered, Negotiated};
use uuid::Uuid;

use crate::fuzzed::disk::FlatDisk;
use crate::fuzzed::logs::{packed_sound, sound_directory, ten_batches};
use crate::fuzzed::sound_input;
use crate::fuzzed::wire::CORRELATION;

type Seed = (String, Vec<u8>);

/// The seeds of a target, named.
pub(super) fn of(target: &str) -> Vec<Seed> {
    match target {
        "frames" => framed(requests()),
        "requests" => requests(),
        "followers" => followers(),
        "admin_requests" => admin_requests(),
        "fetch_answers" => fetch_answers(),
        "answers" => answers(),
        "batches" => batches(),
        "indexes" => indexes(),
        "leader_epochs" => vec![seed("sound", b"0\n2\n0 0\n1 5\n".to_vec())],
        "snapshots" => files("snapshot", 1),
        "checkpoints" => checkpoints(),
        "vault_state" => vault_states(),
        "mirror_state" => mirror_states(),
        "recovery" => recoveries(),
        "configuration" => configurations(),
        other => panic!("no seeds of {other}"),
    }
}

fn seed(name: &str, bytes: Vec<u8>) -> Seed {
    (format!("seed-{name}"), bytes)
}

fn framed(contents: Vec<Seed>) -> Vec<Seed> {
    let frame = |(name, content): Seed| {
        let length = i32::try_from(content.len()).expect("small");
        (name, [&length.to_be_bytes()[..], &content].concat())
    };
    contents.into_iter().map(frame).collect()
}

fn topic() -> WireName {
    WireName(StrBytes::from_static_str("t"))
}

/// A request of every version.
fn requests() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let partition = FetchPartition::default().with_fetch_offset(12);
    let fetched = FetchTopic::default()
        .with_topic_id(Uuid::from_bytes([1; 16]))
        .with_partitions(vec![partition.clone(), partition]);
    let fetch = FetchRequest::default().with_topics(vec![fetched]);
    each_version(FETCH, &mut seeds, |_| fetch.clone());
    let listed = ListOffsetsTopic::default()
        .with_name(topic())
        .with_partitions(vec![ListOffsetsPartition::default().with_timestamp(-1); 2]);
    let list = ListOffsetsRequest::default().with_topics(vec![listed]);
    each_version(LIST_OFFSETS, &mut seeds, |_| list.clone());
    let named = MetadataRequestTopic::default().with_name(Some(topic()));
    let metadata = MetadataRequest::default().with_topics(Some(vec![named]));
    each_version(METADATA, &mut seeds, |_| metadata.clone());
    let text = StrBytes::from_static_str("x");
    each_version(API_VERSIONS, &mut seeds, |version| match version {
        ..3 => ApiVersionsRequest::default(),
        _ => ApiVersionsRequest::default()
            .with_client_software_name(text.clone())
            .with_client_software_version(text.clone()),
    });
    let epochs = OffsetForLeaderTopic::default()
        .with_topic(topic())
        .with_partitions(vec![OffsetForLeaderPartition::default(); 2]);
    let ends = OffsetForLeaderEpochRequest::default().with_topics(vec![epochs]);
    each_version(
        OFFSET_FOR_LEADER_EPOCH,
        &mut seeds,
        |version| match version {
            ..3 => ends.clone().with_replica_id((-2).into()),
            _ => ends.clone(),
        },
    );
    let described = DescribeConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(StrBytes::from_static_str("t"))
        .with_configuration_keys(Some(vec![StrBytes::from_static_str("cleanup.policy")]));
    let configs = DescribeConfigsRequest::default().with_resources(vec![described]);
    each_version(DESCRIBE_CONFIGS, &mut seeds, |_| configs.clone());
    each_version(DESCRIBE_CLUSTER, &mut seeds, |_| {
        DescribeClusterRequest::default()
    });
    seeds
}

/// A request of each kind that the admin listener answers.
fn admin_requests() -> Vec<Seed> {
    let mirror_name = || "m".to_owned();
    let topics = || vec!["t".to_owned(), "u".to_owned()];
    let config = MirrorConfig {
        name: "bootstrap.servers".to_owned(),
        value: Some("a:1".to_owned()),
    };
    let started = TopicMetadata {
        topic_name: "t".to_owned(),
        ..TopicMetadata::default()
    };
    let mut seeds = vec![
        about_mirrors(&CreateClusterMirrorRequest {
            mirror_name: mirror_name(),
            configs: vec![config.clone(), config],
        }),
        about_mirrors(&StartMirrorTopicsRequest {
            mirror_name: mirror_name(),
            topics: vec![started.clone(), started],
            include_patterns: topics(),
            exclude_patterns: topics(),
            state_offset: 9,
            dry_run: true,
        }),
        about_mirrors(&StopMirrorTopicsRequest {
            mirror_name: mirror_name(),
            topics: topics(),
            patterns: topics(),
            planned: true,
            dry_run: true,
            force: true,
            state_offset: -1,
        }),
        about_mirrors(&PauseMirrorTopicsRequest {
            mirror_name: mirror_name(),
            topics: topics(),
            state_offset: -1,
        }),
        about_mirrors(&ResumeMirrorTopicsRequest {
            mirror_name: mirror_name(),
            topics: topics(),
            state_offset: -1,
        }),
        about_mirrors(&RecoverMirrorTopicsRequest {
            mirror_name: mirror_name(),
            topics: topics(),
        }),
        about_mirrors(&DeleteClusterMirrorRequest::default()),
        about_mirrors(&ListClusterMirrorsRequest::default()),
        about_mirrors(&DescribeClusterMirrorsRequest {
            mirror_names: Some(topics()),
            cluster_id: Some("c".to_owned()),
            include_stops: true,
            hold_ms: 9,
            ..DescribeClusterMirrorsRequest::default()
        }),
    ];
    let own = ["seed-3-12", "seed-18-0", "seed-18-4", "seed-60-1"];
    seeds.extend(
        requests()
            .into_iter()
            .filter(|(name, _)| own.contains(&name.as_str())),
    );
    seeds
}

fn about_mirrors<R: MirrorRequest>(request: &R) -> Seed {
    let frame = mirror_rpc::frame(request, CORRELATION, "c");
    seed(&R::API_KEY.to_string(), frame[LENGTH_BYTES..].to_vec())
}

/// A mirror, a topic, and where its partition is: in groups, and as one file without its head.
fn mirror_states() -> Vec<Seed> {
    let dir = Path::new("/node");
    let disk = FlatDisk::default();
    let name = MirrorName::new("dr").expect("a name");
    let key = PartitionKey {
        mirror: name.clone(),
        topic: TopicId::new([1; 16]),
        partition: PartitionIndex::new(0).expect("not negative"),
    };
    let mirror = ClusterMirror {
        include: vec!["a.*".to_owned()],
        settings: BTreeMap::from([("bootstrap.servers".to_owned(), "a:1".to_owned())]),
        ..ClusterMirror::default()
    };
    let topic = MirrorTopic {
        id: key.topic,
        mirror: name.clone(),
        desired: Desired::Mirroring,
        partitions: 1,
    };
    let position = LastMirrorEpochs {
        epoch: LeaderEpoch::new(3),
        offset: Some(Offset::new(9)),
    };
    let groups = [
        vec![Record::Mirror(name, Some(mirror))],
        vec![
            Record::Topic(TopicName::new("t").expect("a name"), Some(topic)),
            Record::State(
                key.clone(),
                Some(MirrorPartitionState::begun(State::Failed)),
            ),
        ],
        vec![
            Record::Position(key.clone(), Some(position)),
            Record::State(key, None),
        ],
    ];
    let mut file = StateFile::open(disk.clone(), dir).expect("a disk in memory");
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime without drivers");
    for group in groups {
        runtime
            .block_on(file.append(group))
            .expect("a disk in memory");
    }
    let whole = disk
        .bytes(&dir.join(state_file::FILE))
        .expect("it is there");
    let mut left = &whole[b"twinlog-state-1\n".len()..];
    let plain = [&[0][..], left].concat();
    let mut apart = vec![1];
    while let Some(length) = left.first_chunk::<4>() {
        let end = 8 + u32::from_be_bytes(*length) as usize;
        apart.extend_from_slice(&length[2..]);
        apart.extend_from_slice(&left[8..end]);
        left = &left[end..];
    }
    vec![seed("plain", plain), seed("apart", apart)]
}

/// A request of every version that followers may ask in.
fn followers() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let served = |api: ServedApi| {
        let found = ServedApi::among(&TO_FOLLOWERS, api.key);
        found.expect("they may ask it")
    };
    each_version(served(FETCH), &mut seeds, followed);
    let listed = ListOffsetsTopic::default()
        .with_name(topic())
        .with_partitions(vec![ListOffsetsPartition::default().with_timestamp(-2); 2]);
    let list = ListOffsetsRequest::default()
        .with_replica_id(1.into())
        .with_topics(vec![listed]);
    // The encoder does not know the newest version, which has the same fields.
    let known = ServedApi {
        newest: 10,
        ..served(LIST_OFFSETS)
    };
    each_version(known, &mut seeds, |_| list.clone());
    let epochs = OffsetForLeaderTopic::default()
        .with_topic(topic())
        .with_partitions(vec![OffsetForLeaderPartition::default(); 2]);
    let ends = OffsetForLeaderEpochRequest::default()
        .with_replica_id(1.into())
        .with_topics(vec![epochs]);
    let ends_in = served(OFFSET_FOR_LEADER_EPOCH);
    each_version(ends_in, &mut seeds, |_| ends.clone());
    let marked = WritableTxnMarkerTopic::default()
        .with_name(topic())
        .with_partition_indexes(vec![0, 1]);
    let marker = WritableTxnMarker::default()
        .with_producer_id(9.into())
        .with_topics(vec![marked]);
    let markers = WriteTxnMarkersRequest::default().with_markers(vec![marker; 2]);
    let known = ServedApi {
        newest: 1,
        ..WRITE_TXN_MARKERS
    };
    each_version(known, &mut seeds, |_| markers.clone());
    seeds
}

/// A follower's fetch of a partition that is led, of one that is not, and of one that has diverged.
fn followed(version: i16) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_current_leader_epoch(5)
        .with_fetch_offset(12)
        .with_partition_max_bytes(1 << 20);
    let elsewhere = partition.clone().with_partition(1);
    let diverged = partition.clone().with_last_fetched_epoch(7);
    let fetched = FetchTopic::default().with_partitions(vec![partition, elsewhere, diverged]);
    let fetched = match version {
        12 => fetched.with_topic(topic()),
        _ => fetched.with_topic_id(Uuid::from_bytes([1; 16])),
    };
    let request = FetchRequest::default().with_topics(vec![fetched]);
    let state = ReplicaState::default()
        .with_replica_id(1.into())
        .with_replica_epoch(11);
    match version {
        ..15 => request.with_replica_id(1.into()),
        _ => request.with_replica_state(state),
    }
}

fn each_version<R: Request>(api: ServedApi, seeds: &mut Vec<Seed>, of: impl Fn(i16) -> R) {
    for version in api.oldest..=api.newest {
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(CORRELATION)
            .with_client_id(Some(StrBytes::from_static_str("c")));
        let mut out = BytesMut::new();
        let encoded = header.encode(&mut out, R::header_version(version));
        encoded.expect("a sound header");
        of(version)
            .encode(&mut out, version)
            .expect("a sound request");
        seeds.push(seed(&format!("{}-{version}", R::KEY), out.to_vec()));
    }
}

fn fetch_answers() -> Vec<Seed> {
    let aborted = AbortedTransaction::default()
        .with_producer_id(9.into())
        .with_first_offset(5);
    let full = PartitionData::default()
        .with_high_watermark(100)
        .with_aborted_transactions(Some(vec![aborted]))
        .with_records(Some(bytes::Bytes::from_static(b"some records")));
    let moved = LeaderIdAndEpoch::default()
        .with_leader_id(4.into())
        .with_leader_epoch(8);
    let refused = PartitionData::default()
        .with_partition_index(1)
        .with_error_code(6)
        .with_current_leader(moved);
    let diverging = DivergingEpoch::default().with_epoch(5).with_end_offset(50);
    let diverged = PartitionData::default()
        .with_partition_index(2)
        .with_diverging_epoch(diverging);
    let answered = FetchableTopicResponse::default()
        .with_topic_id(Uuid::from_bytes([7; 16]))
        .with_partitions(vec![full, refused, diverged]);
    let answer = FetchResponse::default().with_responses(vec![answered]);
    let there = NodeEndpoint::default()
        .with_node_id(4.into())
        .with_host("there".into())
        .with_port(9092);
    let of = |version: i16| {
        let nth = u8::try_from(version - VERSION_MIN).expect("a later one");
        let answer = match version {
            ..16 => answer.clone(),
            _ => answer.clone().with_node_endpoints(vec![there.clone()]),
        };
        let mut content = BytesMut::from(&CORRELATION.to_be_bytes()[..]);
        content.extend_from_slice(&[0]);
        answer
            .encode(&mut content, version)
            .expect("a sound answer");
        let length = i32::try_from(content.len()).expect("small");
        let bytes = [&[nth, 4][..], &length.to_be_bytes(), &content].concat();
        seed(&version.to_string(), bytes)
    };
    (FETCH.oldest..=FETCH.newest).map(of).collect()
}

/// Answers that have something in each of their lists.
fn answers() -> Vec<Seed> {
    let host = StrBytes::from_static_str("there");
    let broker = MetadataResponseBroker::default()
        .with_host(host)
        .with_port(9092);
    let partition = MetadataResponsePartition::default()
        .with_replica_nodes(vec![1.into(), 2.into()])
        .with_isr_nodes(vec![1.into()]);
    let told = MetadataResponseTopic::default()
        .with_name(Some(topic()))
        .with_partitions(vec![partition; 2]);
    let metadata = MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_topics(vec![told]);
    let setting = DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_static_str("retention.ms"))
        .with_value(Some(StrBytes::from_static_str("-1")));
    let described = DescribeConfigsResult::default()
        .with_resource_name(StrBytes::from_static_str("t"))
        .with_configs(vec![setting; 2]);
    let configs = DescribeConfigsResponse::default().with_results(vec![described]);
    let bounds = ListOffsetsTopicResponse::default()
        .with_name(topic())
        .with_partitions(vec![ListOffsetsPartitionResponse::default(); 2]);
    let bounds = ListOffsetsResponse::default().with_topics(vec![bounds]);
    let ends = OffsetForLeaderTopicResult::default()
        .with_topic(topic())
        .with_partitions(vec![EpochEndOffset::default(); 2]);
    let ends = OffsetForLeaderEpochResponse::default().with_topics(vec![ends]);
    let mut seeds = Vec::new();
    let versions = ApiVersionsResponse::default();
    answered::<ApiVersionsRequest>(&mut seeds, 0, |_| versions.clone());
    answered::<MetadataRequest>(&mut seeds, 1, |_| metadata.clone());
    answered::<ListOffsetsRequest>(&mut seeds, 2, |_| bounds.clone());
    answered::<OffsetForLeaderEpochRequest>(&mut seeds, 3, |_| ends.clone());
    answered::<DescribeConfigsRequest>(&mut seeds, 4, |_| configs.clone());
    answered::<DescribeClusterRequest>(&mut seeds, 5, cluster);
    answered::<DescribeLogDirsRequest>(&mut seeds, 6, log_dirs);
    seeds
}

fn cluster(version: i16) -> DescribeClusterResponse {
    let broker = DescribeClusterBroker::default()
        .with_host(StrBytes::from_static_str("there"))
        .with_rack(Some(StrBytes::from_static_str("a")));
    let cluster = DescribeClusterResponse::default()
        .with_cluster_id(StrBytes::from_static_str("a-cluster"))
        .with_brokers(vec![broker.clone().with_is_fenced(version >= 2), broker]);
    match version {
        0 => cluster,
        _ => cluster.with_endpoint_type(2),
    }
}

fn log_dirs(version: i16) -> DescribeLogDirsResponse {
    let partition = DescribeLogDirsPartition::default().with_partition_size(9);
    let held = DescribeLogDirsTopic::default()
        .with_name(topic())
        .with_partitions(vec![partition; 2]);
    let dir = DescribeLogDirsResult::default()
        .with_log_dir(StrBytes::from_static_str("/there"))
        .with_topics(vec![held]);
    let dir = match version {
        ..4 => dir,
        _ => dir.with_total_bytes(1 << 40).with_usable_bytes(1 << 30),
    };
    DescribeLogDirsResponse::default().with_results(vec![dir; 2])
}

/// Answers in every version that we ask for.
fn answered<R: Answered>(seeds: &mut Vec<Seed>, which: u8, of: impl Fn(i16) -> R::Response)
where
    R::Response: Encodable,
{
    let (oldest, newest) = Negotiated::ours::<R>();
    for (nth, version) in (0u8..).zip(oldest..=newest) {
        let mut out = BytesMut::from(&[which, nth][..]);
        let encoded = of(version).encode(&mut out, version);
        encoded.expect("a sound answer");
        seeds.push(seed(&format!("{}-{version}", R::KEY), out.to_vec()));
    }
}

/// How, a shift of 1, from offset 0 on, after no epoch.
fn batches() -> Vec<Seed> {
    let head = |how: u8| [&[how][..], &1i64.to_be_bytes(), &[0; 9]].concat();
    let batches = ten_batches();
    vec![
        seed("raw", [head(0), batches.clone()].concat()),
        seed("apart", [head(2), sound_input()].concat()),
    ]
}

fn indexes() -> Vec<Seed> {
    let kinds = ["index", "timeindex", "txnindex"];
    let of = |(kind, suffix): (u8, &str)| files(suffix, kind);
    (0..).zip(kinds).flat_map(of).collect()
}

/// The files of a sound log that end so, behind a byte.
fn files(suffix: &str, head: u8) -> Vec<Seed> {
    let found = sound_directory().into_iter();
    let found = found.filter(|(name, _)| name.ends_with(&format!(".{suffix}")));
    found
        .map(|(_, bytes)| seed(suffix, [&[head][..], &bytes].concat()))
        .collect()
}

fn checkpoints() -> Vec<Seed> {
    let text = |which: u8| [&[which][..], b"0\n2\nt 0 7\nother.topic 12 9000\n"].concat();
    (0..3)
        .map(|which| seed(&which.to_string(), text(which)))
        .collect()
}

fn vault_states() -> Vec<Seed> {
    let json = br#"{"source_cluster_id":"c","producer_id_shift":3,"partitions":{"t-0":{
        "topic_id":"AQEBAQEBAQEBAQEBAQEBAQ","position":7,"gaps":[[1,3]],"ending":"running"},
        "t-1":{"topic_id":"AQEBAQEBAQEBAQEBAQEBAQ","position":7,"ending":"stopped","why":"x"}}}"#;
    vec![seed("sound", [&[1][..], json].concat())]
}

fn recoveries() -> Vec<Seed> {
    let of = |(name, flags, durable): (&str, u8, u8)| seed(name, packed_sound(flags, durable));
    [("clean", 1, 10), ("torn", 0, 6), ("reopened-clean", 2, 10)]
        .map(of)
        .to_vec()
}

fn configurations() -> Vec<Seed> {
    vec![
        seed("document", twinlog::config::document().into_bytes()),
        seed(
            "wrong",
            b"[source]\nfetch_wait_ms = 0\nx = 1\n[y]\nz = 'a'\n".to_vec(),
        ),
    ]
}
