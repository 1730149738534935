//! `DescribeCluster` in every version.

use kafka_protocol::messages::DescribeClusterRequest;

use super::*;
use crate::protocol::ErrorCode;

#[test]
fn the_cluster_is_one_broker() {
    for version in 0..=2 {
        let answer = ask(&server(), version, &DescribeClusterRequest::default());
        assert_eq!((answer.error_code, &*answer.cluster_id), (0, "a-cluster"));
        assert_eq!((answer.controller_id.0, answer.endpoint_type), (7, 1));
        let [broker] = &answer.brokers[..] else {
            panic!("{answer:?}")
        };
        assert_eq!(
            (broker.broker_id.0, &*broker.host, broker.port),
            (7, "127.0.0.1", 19_092)
        );
    }
}

#[test]
fn other_endpoints_are_not_told() {
    for (kind, error) in [
        (2, ErrorCode::MISMATCHED_ENDPOINT_TYPE),
        (9, ErrorCode::UNSUPPORTED_ENDPOINT_TYPE),
    ] {
        let request = DescribeClusterRequest::default().with_endpoint_type(kind);
        for version in 1..=2 {
            let answer = ask(&server(), version, &request);
            assert_eq!((answer.error_code, answer.brokers.len()), (error.0, 0));
            assert!(answer.error_message.is_some());
        }
    }
}

#[test]
fn the_new_codes_are_kafkas() {
    use kafka_protocol::error::ResponseError;
    let code = |error: ErrorCode| ResponseError::try_from_code(error.0);
    assert_eq!(
        code(ErrorCode::MISMATCHED_ENDPOINT_TYPE),
        Some(ResponseError::MismatchedEndpointType)
    );
    assert_eq!(
        code(ErrorCode::UNSUPPORTED_ENDPOINT_TYPE),
        Some(ResponseError::UnsupportedEndpointType)
    );
}
