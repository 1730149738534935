//! What the requests of KIP-1279 and their answers are made of.

use super::MirrorRequest;
use super::field::messages;
use crate::model::TopicId;

/// What stands for "nobody knows" in offsets and epochs.
const UNKNOWN_OFFSET: i64 = -1;
const UNKNOWN_EPOCH: i32 = -1;
/// What stands for "was not asked for" in authorized operations.
const NOT_ASKED_FOR: i32 = i32::MIN;
/// No state-change record is too new for a request that says this.
const ANY_STATE: i64 = -1;

macro_rules! requests {
    ($($key:literal $name:literal: $request:ident => $answer:ident,)*) => {$(
        impl MirrorRequest for $request {
            const API_KEY: i16 = $key;
            const NAME: &'static str = $name;
            type Answer = $answer;
        }
    )*};
}

requests! {
    94 "CreateClusterMirror": CreateClusterMirrorRequest => CreateClusterMirrorResponse,
    95 "StartMirrorTopics": StartMirrorTopicsRequest => StartMirrorTopicsResponse,
    96 "StopMirrorTopics": StopMirrorTopicsRequest => StopMirrorTopicsResponse,
    98 "ListClusterMirrors": ListClusterMirrorsRequest => ListClusterMirrorsResponse,
    99 "DescribeClusterMirrors": DescribeClusterMirrorsRequest => DescribeClusterMirrorsResponse,
    102 "PauseMirrorTopics": PauseMirrorTopicsRequest => PauseMirrorTopicsResponse,
    103 "ResumeMirrorTopics": ResumeMirrorTopicsRequest => ResumeMirrorTopicsResponse,
    104 "DeleteClusterMirror": DeleteClusterMirrorRequest => DeleteClusterMirrorResponse,
    107 "RecoverMirrorTopics": RecoverMirrorTopicsRequest => RecoverMirrorTopicsResponse,
}

messages! {
    /// Makes a mirror that has no topics yet.
    CreateClusterMirrorRequest {
        /// Its name, which follows the rules of topic names.
        mirror_name: String,
        /// Its settings; `bootstrap.servers` has to be among them.
        configs: Vec<MirrorConfig>,
    }

    /// A setting of a mirror.
    MirrorConfig {
        /// The key.
        name: String,
        /// The value; none for the default.
        value: Option<String>,
    }

    /// Whether the mirror was made.
    CreateClusterMirrorResponse {
        /// How long the client is to be quiet, in ms.
        throttle_time_ms: i32,
        /// 0 where it was.
        error_code: i16,
        /// Why not, in words.
        error_message: Option<String>,
    }

    /// Starts topics of a mirror, now and as they appear.
    StartMirrorTopicsRequest {
        /// The mirror.
        mirror_name: String,
        /// Topics by name.
        topics: Vec<TopicMetadata>,
        /// Patterns of names to include from now on.
        include_patterns: Vec<String>,
        /// Patterns of names to exclude from now on.
        exclude_patterns: Vec<String>,
        /// Refused where the state has changed after this offset; −1 for never.
        state_offset: i64 = ANY_STATE,
    }

    /// A topic of the source.
    TopicMetadata {
        /// Its id at the source; zero where it is not known yet.
        topic_id: TopicId,
        /// Its name.
        topic_name: String,
        /// How many partitions it has; 0 where that is not known yet.
        num_partitions: i32,
    }

    /// What became of each topic.
    StartMirrorTopicsResponse {
        /// How long the client is to be quiet, in ms.
        throttle_time_ms: i32,
        /// 0 where the request as a whole was taken.
        error_code: i16,
        /// Why it was not, in words.
        error_message: Option<String>,
        /// The topics.
        topics: Vec<MirrorTopicResult>,
    }

    /// What became of a topic.
    MirrorTopicResult {
        /// Its name.
        name: String,
        /// 0 where it was done.
        error_code: i16,
        /// Why it was not, in words.
        error_message: Option<String>,
    }

    /// Stops topics of a mirror: they become writable.
    StopMirrorTopicsRequest {
        /// The mirror.
        mirror_name: String,
        /// Topics by name.
        topics: Vec<String>,
        /// Refused where the state has changed after this offset; −1 for never.
        state_offset: i64 = ANY_STATE,
        [0]
        /// Patterns of names to exclude from now on.
        patterns: Vec<String>,
    }

    /// What became of each topic.
    StopMirrorTopicsResponse {
        /// How long the client is to be quiet, in ms.
        throttle_time_ms: i32,
        /// 0 where the request as a whole was taken.
        error_code: i16,
        /// Why it was not, in words.
        error_message: Option<String>,
        /// The topics.
        topics: Vec<MirrorTopicResult>,
    }

    /// Stops fetching topics, which stay read-only.
    PauseMirrorTopicsRequest {
        /// The mirror.
        mirror_name: String,
        /// Topics by name.
        topics: Vec<String>,
        /// Refused where the state has changed after this offset; −1 for never.
        state_offset: i64 = ANY_STATE,
    }

    /// What became of each topic.
    PauseMirrorTopicsResponse {
        /// How long the client is to be quiet, in ms.
        throttle_time_ms: i32,
        /// 0 where the request as a whole was taken.
        error_code: i16,
        /// Why it was not, in words.
        error_message: Option<String>,
        /// The topics.
        topics: Vec<MirrorTopicResult>,
    }

    /// Goes on with paused topics.
    ResumeMirrorTopicsRequest {
        /// The mirror.
        mirror_name: String,
        /// Topics by name.
        topics: Vec<String>,
        /// Refused where the state has changed after this offset; −1 for never.
        state_offset: i64 = ANY_STATE,
    }

    /// What became of each topic.
    ResumeMirrorTopicsResponse {
        /// How long the client is to be quiet, in ms.
        throttle_time_ms: i32,
        /// 0 where the request as a whole was taken.
        error_code: i16,
        /// Why it was not, in words.
        error_message: Option<String>,
        /// The topics.
        topics: Vec<MirrorTopicResult>,
    }

    /// Has failed partitions tried again.
    RecoverMirrorTopicsRequest {
        /// The mirror.
        mirror_name: String,
        /// Topics by name.
        topics: Vec<String>,
    }

    /// What became of each topic.
    RecoverMirrorTopicsResponse {
        /// How long the client is to be quiet, in ms.
        throttle_time_ms: i32,
        /// 0 where the request as a whole was taken.
        error_code: i16,
        /// Why it was not, in words.
        error_message: Option<String>,
        /// The topics.
        topics: Vec<MirrorTopicResult>,
    }

    /// Removes a mirror whose topics are all stopped.
    DeleteClusterMirrorRequest {
        /// The mirror.
        mirror_name: String,
        /// Refused where the state has changed after this offset; −1 for never.
        state_offset: i64 = ANY_STATE,
    }

    /// Whether the mirror is gone.
    DeleteClusterMirrorResponse {
        /// How long the client is to be quiet, in ms.
        throttle_time_ms: i32,
        /// 0 where it is.
        error_code: i16,
        /// Why not, in words.
        error_message: Option<String>,
    }

    /// Asks for the mirrors that there are.
    ListClusterMirrorsRequest {
        /// Names of the topics, not only how many.
        include_topic_names: bool,
    }

    /// The mirrors that there are.
    ListClusterMirrorsResponse {
        /// How long the client is to be quiet, in ms.
        throttle_time_ms: i32,
        /// 0 where they are told.
        error_code: i16,
        /// Why not, in words.
        error_message: Option<String>,
        /// The mirrors.
        mirrors: Vec<ClusterMirrorListing>,
    }

    /// One of the mirrors.
    ClusterMirrorListing {
        /// Its name.
        mirror_name: String,
        /// Where its source is asked first.
        source_bootstrap: String,
        /// Its source's cluster id; empty while that is not known.
        source_cluster_id: String,
        /// How many topics it has.
        topic_count: i32,
        /// Their names; none unless they were asked for.
        topic_names: Option<Vec<String>>,
    }

    /// Asks how mirrors and their partitions are.
    DescribeClusterMirrorsRequest {
        /// Which mirrors; none for all.
        mirror_names: Option<Vec<String>>,
        /// What the client may do with them, too.
        include_authorized_operations: bool,
        [0]
        /// The asking cluster's own id, where it wants to know last mirror positions.
        cluster_id: Option<String>,
    }

    /// How mirrors are.
    DescribeClusterMirrorsResponse {
        /// How long the client is to be quiet, in ms.
        throttle_time_ms: i32,
        /// 0 where they are told.
        error_code: i16,
        /// Why not, in words.
        error_message: Option<String>,
        /// The mirrors.
        mirrors: Vec<ClusterMirror>,
    }

    /// How a mirror is.
    ClusterMirror {
        /// 0 where it is there.
        error_code: i16,
        /// Why it cannot be told, in words.
        error_message: Option<String>,
        /// Its name.
        mirror_name: String,
        /// Where its source is asked first.
        source_bootstrap: Option<String>,
        /// Its source's cluster id.
        source_cluster_id: Option<String>,
        /// What the client may do with it, as bits.
        authorized_operations: i32 = NOT_ASKED_FOR,
        /// Its topics.
        topics: Vec<MirrorTopic>,
    }

    /// How a topic of a mirror is.
    MirrorTopic {
        /// Its name.
        topic_name: String,
        /// Its partitions.
        partitions: Vec<MirrorPartition>,
    }

    /// How a partition of a mirror is.
    MirrorPartition {
        /// Its number.
        partition_index: i32,
        /// The name of its state.
        state_value: String,
        /// Why it has failed.
        error_message: Option<String>,
        /// How often it was tried again; −1 where that is no use.
        retry_attempt: i16,
        /// The source's high watermark.
        source_offset: i64 = UNKNOWN_OFFSET,
        /// Our log's end.
        destination_offset: i64 = UNKNOWN_OFFSET,
        /// The last mirrored epoch.
        last_mirror_epoch: i32 = UNKNOWN_EPOCH,
        /// The offset behind the last mirrored record.
        last_mirror_offset: i64 = UNKNOWN_OFFSET,
    }
}
