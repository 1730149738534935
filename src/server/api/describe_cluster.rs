//! `DescribeCluster`: ourselves, the only broker.

use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{self, DescribeClusterRequest, DescribeClusterResponse};

use super::{Call, CloseReason, Reply, Server, text};
use crate::protocol::ErrorCode;
use crate::protocol::shape::Shape;

/// The kinds of endpoints; brokers do not tell where controllers listen.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(super) fn answer(server: &Server, call: &Call<'_>) -> Result<Reply, CloseReason> {
    // Whether to tell rights, which endpoints, whether to tell fenced brokers: a byte each.
    let bytes = match call.version {
        0 => 1,
        1 => 2,
        _ => 3,
    };
    let request: DescribeClusterRequest = call.request(&[Shape::Bytes(bytes)])?;
    let error = match request.endpoint_type {
        BROKERS => ErrorCode::NONE,
        CONTROLLERS => ErrorCode::MISMATCHED_ENDPOINT_TYPE,
        _ => ErrorCode::UNSUPPORTED_ENDPOINT_TYPE,
    };
    let answer = DescribeClusterResponse::default()
        .with_error_code(error.0)
        .with_endpoint_type(request.endpoint_type);
    if error.is_error() {
        let why = text("this is a broker, which knows brokers only");
        return call.ready(&answer.with_error_message(Some(why)));
    }
    let identity = server.identity();
    let id = messages::BrokerId(identity.broker.0);
    let broker = DescribeClusterBroker::default()
        .with_broker_id(id)
        .with_host(text(&identity.host))
        .with_port(i32::from(identity.port));
    let answer = answer
        .with_cluster_id(text(&identity.cluster))
        .with_controller_id(id)
        .with_brokers(vec![broker]);
    call.ready(&answer)
}
