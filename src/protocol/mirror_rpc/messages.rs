//! What the requests of KIP-1279 and their answers are made of.
//!
//! What is marked "ours" is not in the KIP: it stands in tagged fields with numbers that the KIP
//! will not come to, which every other implementation passes over.

use super::field::messages;
use super::{Message, MirrorRequest, Refusable};
use crate::model::TopicId;
use crate::protocol::{ErrorCode, Malformed};

/// What stands for "nobody knows" in offsets and epochs.
const UNKNOWN_OFFSET: i64 = -1;
const UNKNOWN_EPOCH: i32 = -1;
/// What stands for "was not asked for" in authorized operations.
const NOT_ASKED_FOR: i32 = i32::MIN;
/// No state-change record is too new for a request that says this.
const ANY_STATE: i64 = -1;

macro_rules! requests {
    ($($key:literal $name:literal: $kind:ident, $request:ident => $answer:ident,)*) => {
        $(
            impl MirrorRequest for $request {
                const API_KEY: i16 = $key;
                const NAME: &'static str = $name;
                type Answer = $answer;
            }
        )*

        /// Any of the requests.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum AdminRequest {
            $(#[doc = concat!("`", $name, "`.")] $kind($request),)*
        }

        /// What answers any of them.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum AdminAnswer {
            $(#[doc = concat!("To `", $name, "`.")] $kind($answer),)*
        }

        impl AdminRequest {
            /// The keys of all of them.
            pub const API_KEYS: &[i16] = &[$($key,)*];

            /// Reads the request of a key from the bytes behind the header; none where it is
            /// none of these.
            ///
            /// # Errors
            /// They are another message, or more than one.
            pub fn read(api_key: i16, bytes: &[u8]) -> Option<Result<AdminRequest, Malformed>> {
                match api_key {
                    $($key => Some($request::read(bytes).map(AdminRequest::$kind)),)*
                    _ => None,
                }
            }

            /// The KIP's name of it.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(AdminRequest::$kind(_) => $name,)*
                }
            }

            /// The answer that refuses all of it.
            #[must_use]
            pub fn refused(&self, code: ErrorCode, why: &str) -> AdminAnswer {
                match self {
                    $(AdminRequest::$kind(_) => AdminAnswer::$kind($answer {
                        error_code: code.0,
                        error_message: Some(why.to_owned()),
                        ..$answer::default()
                    }),)*
                }
            }
        }

        impl AdminAnswer {
            /// Appends it.
            pub fn write(&self, out: &mut Vec<u8>) {
                match self {
                    $(AdminAnswer::$kind(answer) => answer.write(out),)*
                }
            }
        }

        $(
            impl Refusable for $answer {
                fn refusal(&self) -> Option<(ErrorCode, Option<&str>)> {
                    let code = ErrorCode(self.error_code);
                    code.is_error().then_some((code, self.error_message.as_deref()))
                }
            }
        )*
    };
}

requests! {
    94 "CreateClusterMirror": Create, CreateClusterMirrorRequest => CreateClusterMirrorResponse,
    95 "StartMirrorTopics": Start, StartMirrorTopicsRequest => StartMirrorTopicsResponse,
    96 "StopMirrorTopics": Stop, StopMirrorTopicsRequest => StopMirrorTopicsResponse,
    98 "ListClusterMirrors": List, ListClusterMirrorsRequest => ListClusterMirrorsResponse,
    99 "DescribeClusterMirrors": Describe,
        DescribeClusterMirrorsRequest => DescribeClusterMirrorsResponse,
    102 "PauseMirrorTopics": Pause, PauseMirrorTopicsRequest => PauseMirrorTopicsResponse,
    103 "ResumeMirrorTopics": Resume, ResumeMirrorTopicsRequest => ResumeMirrorTopicsResponse,
    104 "DeleteClusterMirror": Delete, DeleteClusterMirrorRequest => DeleteClusterMirrorResponse,
    107 "RecoverMirrorTopics": Recover, RecoverMirrorTopicsRequest => RecoverMirrorTopicsResponse,
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
        [1001]
        /// Ours: only to be told what would be done.
        dry_run: bool,
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
        [1000]
        /// Ours: what would be done, as [`super::StartPlan`] has it; none unless that was all that
        /// was asked for.
        plan: Option<String>,
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
        [1000]
        /// Ours: not before all is mirrored and the source has been quiet for a while.
        planned: bool,
        [1001]
        /// Ours: only to be told what would be done.
        dry_run: bool,
        [1002]
        /// Ours: although something was found that may do harm to who uses the topics then.
        force: bool,
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
        topics: Vec<StopTopicResult>,
    }

    /// What became of a topic that is to be stopped.
    StopTopicResult {
        /// Its name.
        name: String,
        /// 0 where it was done.
        error_code: i16,
        /// Why it was not, in words.
        error_message: Option<String>,
        [1000]
        /// Ours: what would be done, as [`super::StopPlan`] has it; none unless that was all that
        /// was asked for.
        plan: Option<String>,
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
        [1000]
        /// Ours: how far the stop of each partition is, its report, and what was set aside of it.
        include_stops: bool,
        [1001]
        /// Ours: these topics alone; none for all. Whoever waits for a few asks often.
        topic_names: Option<Vec<String>>,
        [1002]
        /// Ours: answered once all partitions of those topics are stopped or have failed, or after
        /// so many ms.
        hold_ms: i32,
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
        [1000]
        /// Ours: with so many failures a partition is left alone; 0 where that is not told.
        retry_attempts_max: i16,
        [1001]
        /// Ours: the cluster onto which it mirrors; none where that is a vault, or not known.
        destination_cluster_id: Option<String>,
    }

    /// How a topic of a mirror is.
    MirrorTopic {
        /// Its name.
        topic_name: String,
        /// Its partitions.
        partitions: Vec<MirrorPartition>,
        [1000]
        /// Ours: its id at the source; zero while that is not known.
        topic_id: TopicId,
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
        [1000]
        /// Ours: the step of its stop that is under way, in words; none unless asked for.
        stop_step: Option<String>,
        [1001]
        /// Ours: the report of its last stop, as [`super::StopReport`] has it; none unless asked
        /// for.
        stop_report: Option<String>,
        [1002]
        /// Ours: the leader epoch at the destination in which its last stop handed it over.
        led_epoch: Option<i32>,
        [1003]
        /// Ours: its topic's id at the destination, as its last stop handed it over; zero where
        /// that is not known.
        led_topic_id: TopicId,
        [1004]
        /// Ours: what was set aside of its log before that was cut, as a list of
        /// [`crate::model::SetAside`], the oldest first; none unless asked for.
        set_aside: Option<String>,
    }
}
