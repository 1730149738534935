//! `ApiVersions`, and versions that are not answered.

use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, ProduceRequest};

use super::*;
use crate::protocol::ErrorCode;
use crate::protocol::versions::{API_VERSIONS, TO_CONSUMERS};

fn request(version: i16) -> ApiVersionsRequest {
    let request = ApiVersionsRequest::default();
    if version < 3 {
        return request;
    }
    request
        .with_client_software_name(StrBytes::from_static_str("apache-kafka-java"))
        .with_client_software_version(StrBytes::from_static_str("4.1.0"))
}

fn ranges(answer: &ApiVersionsResponse) -> Vec<(i16, i16, i16)> {
    answer
        .api_keys
        .iter()
        .map(|api| (api.api_key, api.min_version, api.max_version))
        .collect()
}

#[test]
fn every_version_tells_what_is_answered() {
    let expected = vec![
        (1, 13, 18),
        (2, 1, 10),
        (3, 9, 13),
        (18, 0, 4),
        (23, 2, 4),
        (32, 1, 4),
        (60, 0, 2),
    ];
    for version in 0..=4 {
        let answer = ask(&server(), version, &request(version));
        assert_eq!((answer.error_code, ranges(&answer)), (0, expected.clone()));
    }
}

#[test]
fn an_unknown_version_is_answered_in_the_oldest_form() {
    for version in [-1, 5, i16::MAX] {
        let mut frame = frame(4, &request(4));
        frame[2..4].copy_from_slice(&i16::to_be_bytes(version));
        let Reply::Ready(answer) = server().answer(&frame, &epochs) else {
            panic!("the client may ask again");
        };
        let answer: ApiVersionsResponse = decode(0, answer);
        let error = ErrorCode::UNSUPPORTED_VERSION.0;
        assert_eq!(
            (answer.error_code, ranges(&answer)),
            (error, vec![(18, 0, 4)])
        );
    }
}

#[test]
fn software_has_a_legal_name_and_version() {
    for (name, version, error) in [
        ("a", "1", ErrorCode::NONE),
        ("a-b.C9", "1.0-rc1", ErrorCode::NONE),
        ("", "1", ErrorCode::INVALID_REQUEST),
        ("a", "", ErrorCode::INVALID_REQUEST),
        ("-a", "1", ErrorCode::INVALID_REQUEST),
        ("a", "1.", ErrorCode::INVALID_REQUEST),
        ("a b", "1", ErrorCode::INVALID_REQUEST),
    ] {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str(name))
            .with_client_software_version(StrBytes::from_static_str(version));
        let answer = ask(&server(), 3, &request);
        assert_eq!(answer.error_code, error.0, "{name:?} {version:?}");
    }
}

#[test]
fn other_requests_in_unknown_versions_end_the_connection() {
    for api in TO_CONSUMERS.into_iter().filter(|api| *api != API_VERSIONS) {
        for version in [api.oldest - 1, api.newest + 1] {
            let mut frame = frame(0, &request(0));
            frame[..2].copy_from_slice(&api.key.to_be_bytes());
            frame[2..4].copy_from_slice(&version.to_be_bytes());
            let expected = CloseReason::Version {
                api_key: api.key,
                version,
                oldest: api.oldest,
                newest: api.newest,
            };
            assert_eq!(closed(&server(), &frame), expected);
        }
    }
}

#[test]
fn other_requests_end_the_connection() {
    let produce = frame(9, &ProduceRequest::default());
    assert_eq!(closed(&server(), &produce), CloseReason::Api { api_key: 0 });
}
