//! One file per request: its shape, and how it is answered.

mod api_versions;
mod describe_cluster;
mod describe_configs;
pub(super) mod fetch;
mod list_offsets;
mod metadata;
mod offset_for_leader_epoch;
mod write_txn_markers;

pub use fetch::{FetchNeeds, NeededRange};

use kafka_protocol::messages;
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use super::{CloseReason, EpochEnds, Reply, Server};
use crate::model::TopicName;
use crate::protocol::header::{begin_answer, set_length};
use crate::protocol::shape::{Shape, walk};
use crate::protocol::versions::{self as served, ServedApi};

const FETCH: i16 = served::FETCH.key;
const LIST_OFFSETS: i16 = served::LIST_OFFSETS.key;
const METADATA: i16 = served::METADATA.key;
const API_VERSIONS: i16 = served::API_VERSIONS.key;
const OFFSET_FOR_LEADER_EPOCH: i16 = served::OFFSET_FOR_LEADER_EPOCH.key;
const WRITE_TXN_MARKERS: i16 = served::WRITE_TXN_MARKERS.key;
const DESCRIBE_CONFIGS: i16 = served::DESCRIBE_CONFIGS.key;
const DESCRIBE_CLUSTER: i16 = served::DESCRIBE_CLUSTER.key;

/// One request, its header taken apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'b> {
    pub(super) api: ServedApi,
    pub(super) version: i16,
    pub(super) correlation: i32,
    pub(super) body: &'b [u8],
}

/// Answers a request that we answer in some version.
pub(super) fn answer(
    server: &Server,
    call: &Call<'_>,
    epochs: &dyn EpochEnds,
) -> Result<Reply, CloseReason> {
    if !call.api.has(call.version) {
        return unknown_version(call);
    }
    match call.api.key {
        FETCH => fetch::answer(server, call, epochs),
        LIST_OFFSETS => list_offsets::answer(server, call, epochs),
        METADATA => metadata::answer(server, call),
        API_VERSIONS => api_versions::answer(server, call),
        OFFSET_FOR_LEADER_EPOCH => offset_for_leader_epoch::answer(server, call, epochs),
        WRITE_TXN_MARKERS => write_txn_markers::answer(server, call),
        DESCRIBE_CONFIGS => describe_configs::answer(server, call),
        DESCRIBE_CLUSTER => describe_cluster::answer(server, call),
        api_key => Err(CloseReason::Api { api_key }),
    }
}

/// Only the first question of a client is answered in a version that we do not know: it may ask
/// again.
fn unknown_version(call: &Call<'_>) -> Result<Reply, CloseReason> {
    if call.api.key == API_VERSIONS {
        return api_versions::unsupported(call);
    }
    Err(CloseReason::Version {
        api_key: call.api.key,
        version: call.version,
        oldest: call.api.oldest,
        newest: call.api.newest,
    })
}

impl Call<'_> {
    /// The request as the generated decoder reads it, after its lengths and counts were walked.
    fn request<R: Decodable>(&self, shape: &[Shape]) -> Result<R, CloseReason> {
        self.request_as(self.version, shape)
    }

    /// The same where the decoder knows the request's version by another number.
    fn request_as<R: Decodable>(&self, version: i16, shape: &[Shape]) -> Result<R, CloseReason> {
        walk(shape, self.api.is_flexible(version), self.body)?;
        R::decode(&mut &*self.body, version).map_err(|fault| CloseReason::Content {
            api_key: self.api.key,
            version: self.version,
            reason: fault.to_string(),
        })
    }

    /// The answer in the request's own version.
    fn ready(&self, answer: &impl Encodable) -> Result<Reply, CloseReason> {
        self.ready_as(self.version, answer)
    }

    fn ready_as(&self, version: i16, answer: &impl Encodable) -> Result<Reply, CloseReason> {
        let mut frame = Vec::new();
        let start = begin_answer(self.api, version, self.correlation, &mut frame);
        answer
            .encode(&mut frame, version)
            .map_err(|fault| CloseReason::Answer {
                api_key: self.api.key,
                version,
                reason: fault.to_string(),
            })?;
        set_length(&mut frame, start, 0);
        Ok(Reply::Ready(frame))
    }
}

/// Our own text in the generated types.
fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn name(name: &TopicName) -> messages::TopicName {
    messages::TopicName(text(name.as_str()))
}
