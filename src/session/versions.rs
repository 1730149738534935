//! Which versions of which requests both sides speak.

use std::collections::BTreeMap;

use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, CreateAclsRequest, CreatePartitionsRequest,
    CreateTopicsRequest, DeleteAclsRequest, DeleteTopicsRequest, DescribeAclsRequest,
    DescribeConfigsRequest, ElectLeadersRequest, InitProducerIdRequest, ListOffsetsRequest,
    MetadataRequest, OffsetForLeaderEpochRequest,
};
use kafka_protocol::protocol::{Message, Request, VersionRange};

use crate::protocol::controller::ControllerCall;
use crate::protocol::fetch;

/// What a broker says it speaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Negotiated {
    theirs: BTreeMap<i16, (i16, i16)>,
    supported: BTreeMap<String, (i16, i16)>,
    finalized: BTreeMap<String, i16>,
}

impl Negotiated {
    pub(super) fn of(answer: &ApiVersionsResponse) -> Negotiated {
        let range = |api: &kafka_protocol::messages::api_versions_response::ApiVersion| {
            (api.api_key, (api.min_version, api.max_version))
        };
        let supported = answer.supported_features.iter();
        let finalized = answer.finalized_features.iter();
        Negotiated {
            theirs: answer.api_keys.iter().map(range).collect(),
            supported: supported
                .map(|known| {
                    (
                        known.name.to_string(),
                        (known.min_version, known.max_version),
                    )
                })
                .collect(),
            finalized: finalized
                .map(|known| (known.name.to_string(), known.max_version_level))
                .collect(),
        }
    }

    /// Levels of features that it supports.
    #[must_use]
    pub fn supported(&self) -> &BTreeMap<String, (i16, i16)> {
        &self.supported
    }

    /// Levels of features that its cluster has agreed upon.
    #[must_use]
    pub fn finalized(&self) -> &BTreeMap<String, i16> {
        &self.finalized
    }

    /// The newest version of a request to a controller that both sides speak.
    #[must_use]
    pub fn best_call<C: ControllerCall>(&self) -> Option<i16> {
        self.common(C::KEY, C::VERSIONS)
    }

    /// The oldest and the newest version of a request that we speak.
    #[must_use]
    pub fn ours<R: Request>() -> (i16, i16) {
        ours(R::KEY, R::VERSIONS)
    }

    /// The newest version of a request that both sides speak.
    #[must_use]
    pub fn best<R: Request>(&self) -> Option<i16> {
        self.common(R::KEY, Negotiated::ours::<R>())
    }

    /// The newest version of Fetch that both sides speak.
    #[must_use]
    pub fn best_fetch(&self) -> Option<i16> {
        let ours = (fetch::VERSION_MIN, fetch::VERSION_MAX);
        self.common(fetch::API_KEY, ours)
    }

    /// Whether they speak this version of the request with this key.
    #[must_use]
    pub fn has(&self, key: i16, version: i16) -> bool {
        self.common(key, (version, version)).is_some()
    }

    fn common(&self, key: i16, ours: (i16, i16)) -> Option<i16> {
        let (least, most) = *self.theirs.get(&key)?;
        let best = most.min(ours.1);
        (best >= least.max(ours.0)).then_some(best)
    }
}

/// What we ask for in the forms that we have tried; older or newer ones are not spoken.
pub(super) fn ours(key: i16, known: VersionRange) -> (i16, i16) {
    let least = match key {
        // The leaders' epochs (Kafka 2.1). Topic ids come with 10; before, names stand for them.
        MetadataRequest::KEY => 7,
        // The current leader epoch.
        ListOffsetsRequest::KEY => 4,
        OffsetForLeaderEpochRequest::KEY => 2,
        DescribeConfigsRequest::KEY => 1,
        ApiVersionsRequest::KEY => 0,
        // Destinations are asked for these: the form that Kafka 3.9 and all after it speak.
        CreateTopicsRequest::KEY => 7,
        DeleteTopicsRequest::KEY => 6,
        InitProducerIdRequest::KEY => return (5, 5),
        CreatePartitionsRequest::KEY
        | DescribeAclsRequest::KEY
        | CreateAclsRequest::KEY
        | DeleteAclsRequest::KEY => 3,
        ElectLeadersRequest::KEY => 2,
        _ => known.min,
    };
    (least, known.max)
}

/// The name of a request, for people.
pub(super) fn name<R: Request + Message>() -> &'static str {
    match ApiKey::try_from(R::KEY) {
        Ok(ApiKey::ApiVersions) => "ApiVersions",
        Ok(ApiKey::Metadata) => "Metadata",
        Ok(ApiKey::ListOffsets) => "ListOffsets",
        Ok(ApiKey::OffsetForLeaderEpoch) => "OffsetForLeaderEpoch",
        Ok(ApiKey::DescribeConfigs) => "DescribeConfigs",
        Ok(ApiKey::DescribeCluster) => "DescribeCluster",
        Ok(ApiKey::DescribeLogDirs) => "DescribeLogDirs",
        Ok(ApiKey::AlterPartitionReassignments) => "AlterPartitionReassignments",
        Ok(ApiKey::IncrementalAlterConfigs) => "IncrementalAlterConfigs",
        Ok(ApiKey::ListPartitionReassignments) => "ListPartitionReassignments",
        Ok(ApiKey::ElectLeaders) => "ElectLeaders",
        Ok(ApiKey::CreateTopics) => "CreateTopics",
        Ok(ApiKey::CreatePartitions) => "CreatePartitions",
        Ok(ApiKey::DeleteTopics) => "DeleteTopics",
        Ok(ApiKey::DescribeAcls) => "DescribeAcls",
        Ok(ApiKey::CreateAcls) => "CreateAcls",
        Ok(ApiKey::DeleteAcls) => "DeleteAcls",
        Ok(ApiKey::DescribeProducers) => "DescribeProducers",
        Ok(ApiKey::InitProducerId) => "InitProducerId",
        Ok(ApiKey::ListTransactions) => "ListTransactions",
        _ => "a request",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn theirs(key: i16, least: i16, most: i16) -> Negotiated {
        Negotiated {
            theirs: [(key, (least, most))].into(),
            ..Negotiated::default()
        }
    }

    #[test]
    fn the_newest_common_version_is_taken_or_none() {
        assert_eq!(theirs(1, 4, 17).best_fetch(), Some(17));
        assert_eq!(theirs(1, 4, 99).best_fetch(), Some(fetch::VERSION_MAX));
        assert_eq!(theirs(1, 0, 12).best_fetch(), Some(12));
        assert_eq!(theirs(1, 0, 3).best_fetch(), None);
        assert_eq!(theirs(1, 19, 20).best_fetch(), None);
        assert_eq!(theirs(2, 0, 9).best_fetch(), None);
        assert_eq!(
            theirs(MetadataRequest::KEY, 0, 12).best::<MetadataRequest>(),
            Some(12)
        );
        assert_eq!(
            theirs(MetadataRequest::KEY, 0, 7).best::<MetadataRequest>(),
            Some(7)
        );
        assert_eq!(
            theirs(MetadataRequest::KEY, 0, 6).best::<MetadataRequest>(),
            None
        );
    }
}
