//! What a destination answers is walked to its last byte first, as all answers are.

use std::mem::size_of;

use kafka_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use kafka_protocol::messages::delete_acls_response::{
    DeleteAclsFilterResult, DeleteAclsMatchingAcl,
};
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::describe_acls_response::{AclDescription, DescribeAclsResource};
use kafka_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::list_partition_reassignments_response::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use kafka_protocol::messages::list_transactions_response::TransactionState;
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, BrokerId,
    CreateAclsResponse, CreatePartitionsResponse, CreateTopicsResponse, DeleteAclsResponse,
    DeleteTopicsResponse, DescribeAclsResponse, DescribeProducersResponse, ElectLeadersResponse,
    InitProducerIdResponse, ListPartitionReassignmentsResponse, ListTransactionsResponse,
    ProducerId, TopicName, TransactionalId,
};

use super::super::read;
use super::super::tests::{CORRELATION, check_every_version, element, frame, text};
use super::*;

fn orders() -> TopicName {
    TopicName(text("orders"))
}

fn created(count: usize) -> CreateTopicsResponse {
    let setting = CreatableTopicConfigs::default()
        .with_name(text("segment.bytes"))
        .with_value(Some(text("1073741824")));
    let topic = CreatableTopicResult::default()
        .with_name(orders())
        .with_error_message(None)
        .with_topic_config_error_code(29)
        .with_configs(Some(vec![setting; count]));
    CreateTopicsResponse::default().with_topics(vec![topic; 2])
}

fn grown(count: usize) -> CreatePartitionsResponse {
    let topic = CreatePartitionsTopicResult::default()
        .with_name(orders())
        .with_error_message(Some(text("it has as many")));
    CreatePartitionsResponse::default().with_results(vec![topic; count])
}

fn deleted(count: usize) -> DeleteTopicsResponse {
    let topic = DeletableTopicResult::default().with_name(Some(orders()));
    DeleteTopicsResponse::default().with_responses(vec![topic; count])
}

fn elected(count: usize) -> ElectLeadersResponse {
    let partition = PartitionResult::default().with_error_message(None);
    let topic = ReplicaElectionResult::default()
        .with_topic(orders())
        .with_partition_result(vec![partition; count]);
    ElectLeadersResponse::default().with_replica_election_results(vec![topic; 2])
}

fn under_way(count: usize) -> ListPartitionReassignmentsResponse {
    let partition = OngoingPartitionReassignment::default()
        .with_replicas(vec![BrokerId(1); 3])
        .with_adding_replicas(vec![BrokerId(1)]);
    let topic = OngoingTopicReassignment::default()
        .with_name(orders())
        .with_partitions(vec![partition; count]);
    ListPartitionReassignmentsResponse::default().with_topics(vec![topic; 2])
}

fn listed(count: usize) -> DescribeAclsResponse {
    let entry = AclDescription::default()
        .with_principal(text("User:*"))
        .with_host(text("*"));
    let resource = DescribeAclsResource::default()
        .with_resource_name(text("orders"))
        .with_acls(vec![entry; 2]);
    DescribeAclsResponse::default()
        .with_error_message(None)
        .with_resources(vec![resource; count])
}

fn added(count: usize) -> CreateAclsResponse {
    let one = AclCreationResult::default().with_error_message(Some(text("not allowed")));
    CreateAclsResponse::default().with_results(vec![one; count])
}

fn removed(count: usize) -> DeleteAclsResponse {
    let one = DeleteAclsMatchingAcl::default()
        .with_resource_name(text("orders"))
        .with_principal(text("User:*"))
        .with_host(text("*"));
    let filter = DeleteAclsFilterResult::default().with_matching_acls(vec![one; 2]);
    DeleteAclsResponse::default().with_filter_results(vec![filter; count])
}

fn producing(count: usize) -> DescribeProducersResponse {
    let partition =
        PartitionResponse::default().with_active_producers(vec![ProducerState::default(); count]);
    let topic = TopicResponse::default()
        .with_name(orders())
        .with_partitions(vec![partition; 2]);
    DescribeProducersResponse::default().with_topics(vec![topic; 2])
}

fn transacting(count: usize) -> ListTransactionsResponse {
    let one = TransactionState::default()
        .with_transactional_id(TransactionalId(text("t")))
        .with_producer_id(ProducerId(7))
        .with_transaction_state(text("Empty"));
    ListTransactionsResponse::default()
        .with_unknown_state_filters(vec![text("none"); 2])
        .with_transaction_states(vec![one; count])
}

fn given(_count: usize) -> InitProducerIdResponse {
    InitProducerIdResponse::default().with_producer_epoch(3)
}

#[test]
fn every_answer_of_a_destination_is_read_in_every_version() {
    check_every_version::<CreateTopicsRequest>(created);
    check_every_version::<CreatePartitionsRequest>(grown);
    check_every_version::<DeleteTopicsRequest>(deleted);
    check_every_version::<ElectLeadersRequest>(elected);
    check_every_version::<ListPartitionReassignmentsRequest>(under_way);
    check_every_version::<DescribeAclsRequest>(listed);
    check_every_version::<CreateAclsRequest>(added);
    check_every_version::<DeleteAclsRequest>(removed);
    check_every_version::<DescribeProducersRequest>(producing);
    check_every_version::<InitProducerIdRequest>(given);
    check_every_version::<ListTransactionsRequest>(transacting);
}

/// As many partitions as one request may have, each of a topic with a short name.
#[test]
fn reassignments_of_many_small_topics_are_read() {
    let partition = ReassignablePartitionResponse::default().with_error_message(None);
    let topic = ReassignableTopicResponse::default()
        .with_name(TopicName(text("t123")))
        .with_partitions(vec![partition]);
    let answer = AlterPartitionReassignmentsResponse::default()
        .with_error_message(None)
        .with_responses(vec![topic; 4_000]);
    let whole = frame::<AlterPartitionReassignmentsRequest>(&answer, 1);
    let told = read::<AlterPartitionReassignmentsRequest>(whole, 1, CORRELATION);
    assert_eq!(told.expect("a sound answer"), answer);
}

#[test]
fn a_shape_of_a_destination_knows_what_the_decoder_makes_of_it() {
    let created = CreateTopicsRequest::shape(7);
    let reassigned = ListPartitionReassignmentsRequest::shape(0);
    let listed = DescribeAclsRequest::shape(3);
    let removed = DeleteAclsRequest::shape(3);
    let producing = DescribeProducersRequest::shape(0);
    let elected = ElectLeadersRequest::shape(2);
    for (said, is) in [
        (element(created, &[1]), size_of::<CreatableTopicResult>()),
        (
            element(created, &[1, 4]),
            size_of::<CreatableTopicConfigs>(),
        ),
        (
            element(CreatePartitionsRequest::shape(3), &[1]),
            size_of::<CreatePartitionsTopicResult>(),
        ),
        (
            element(DeleteTopicsRequest::shape(6), &[1]),
            size_of::<DeletableTopicResult>(),
        ),
        (element(elected, &[1]), size_of::<ReplicaElectionResult>()),
        (element(elected, &[1, 1]), size_of::<PartitionResult>()),
        (
            element(reassigned, &[2]),
            size_of::<OngoingTopicReassignment>(),
        ),
        (
            element(reassigned, &[2, 1]),
            size_of::<OngoingPartitionReassignment>(),
        ),
        (element(listed, &[2]), size_of::<DescribeAclsResource>()),
        (element(listed, &[2, 3]), size_of::<AclDescription>()),
        (
            element(CreateAclsRequest::shape(3), &[1]),
            size_of::<AclCreationResult>(),
        ),
        (element(removed, &[1]), size_of::<DeleteAclsFilterResult>()),
        (
            element(removed, &[1, 2]),
            size_of::<DeleteAclsMatchingAcl>(),
        ),
        (
            element(ListTransactionsRequest::shape(0), &[2]),
            size_of::<TransactionState>(),
        ),
        (element(producing, &[1]), size_of::<TopicResponse>()),
        (element(producing, &[1, 1]), size_of::<PartitionResponse>()),
        (element(producing, &[1, 1, 2]), size_of::<ProducerState>()),
    ] {
        assert!(said >= is && said <= is + 16, "{said} said, {is} needed");
    }
}
