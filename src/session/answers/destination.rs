//! Shapes of the answers that only a destination gives, each in the versions that we speak.

use kafka_protocol::messages::{
    CreateAclsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteAclsRequest,
    DeleteTopicsRequest, DescribeAclsRequest, DescribeProducersRequest, ElectLeadersRequest,
    InitProducerIdRequest, ListPartitionReassignmentsRequest, ListTransactionsRequest,
};

use super::Answered;
use crate::protocol::shape::Shape::{self, Bytes as Fixed, List, Numbers, Tagged, Text, Texts};

impl Answered for CreateTopicsRequest {
    fn shape(_version: i16) -> &'static [Shape] {
        // Name, value, three flags.
        const SETTINGS: Shape = List(&[Text, Text, Fixed(3)]);
        // Why the settings are not told.
        const SETTINGS_ERROR: Shape = Tagged(&[(0, Fixed(2))]);
        // Name, id and error, its text, counts of partitions and replicas.
        const TOPICS: Shape = List(&[Text, Fixed(18), Text, Fixed(6), SETTINGS, SETTINGS_ERROR]);
        &[Fixed(4), TOPICS]
    }
}

impl Answered for CreatePartitionsRequest {
    fn shape(_version: i16) -> &'static [Shape] {
        // Name, error and its text.
        &[Fixed(4), List(&[Text, Fixed(2), Text])]
    }
}

impl Answered for DeleteTopicsRequest {
    fn shape(_version: i16) -> &'static [Shape] {
        // Name, id and error, its text.
        &[Fixed(4), List(&[Text, Fixed(18), Text])]
    }
}

impl Answered for ElectLeadersRequest {
    fn shape(_version: i16) -> &'static [Shape] {
        // Number and error, its text.
        const PARTITIONS: Shape = List(&[Fixed(6), Text]);
        &[Fixed(6), List(&[Text, PARTITIONS])]
    }
}

impl Answered for ListPartitionReassignmentsRequest {
    fn shape(_version: i16) -> &'static [Shape] {
        // Number; all replicas, those that come, those that go.
        const PARTITIONS: Shape = List(&[Fixed(4), Numbers(4), Numbers(4), Numbers(4)]);
        &[Fixed(6), Text, List(&[Text, PARTITIONS])]
    }
}

impl Answered for DescribeAclsRequest {
    fn shape(_version: i16) -> &'static [Shape] {
        // Whose, from where, what and which way.
        const ENTRIES: Shape = List(&[Text, Text, Fixed(2)]);
        // Kind, name and pattern.
        const RESOURCES: Shape = List(&[Fixed(1), Text, Fixed(1), ENTRIES]);
        &[Fixed(6), Text, RESOURCES]
    }
}

impl Answered for CreateAclsRequest {
    fn shape(_version: i16) -> &'static [Shape] {
        &[Fixed(4), List(&[Fixed(2), Text])]
    }
}

impl Answered for DeleteAclsRequest {
    fn shape(_version: i16) -> &'static [Shape] {
        // Error and its text, kind, name and pattern, whose, from where, what and which way.
        const MATCHING: Shape = List(&[
            Fixed(2),
            Text,
            Fixed(1),
            Text,
            Fixed(1),
            Text,
            Text,
            Fixed(2),
        ]);
        &[Fixed(4), List(&[Fixed(2), Text, MATCHING])]
    }
}

impl Answered for DescribeProducersRequest {
    fn shape(_version: i16) -> &'static [Shape] {
        // Id, epoch, sequence, timestamp, coordinator's epoch, where its transaction began.
        const PRODUCERS: Shape = List(&[Fixed(36)]);
        // Number and error, its text.
        const PARTITIONS: Shape = List(&[Fixed(6), Text, PRODUCERS]);
        &[Fixed(4), List(&[Text, PARTITIONS])]
    }
}

impl Answered for InitProducerIdRequest {
    fn shape(_version: i16) -> &'static [Shape] {
        // Throttle, error, id, epoch.
        &[Fixed(16)]
    }
}

impl Answered for ListTransactionsRequest {
    fn shape(_version: i16) -> &'static [Shape] {
        // Transactional id, producer id, state.
        const TRANSACTIONS: Shape = List(&[Text, Fixed(8), Text]);
        // Throttle and error, states that nobody knows.
        &[Fixed(6), Texts, TRANSACTIONS]
    }
}

#[cfg(test)]
mod tests;
