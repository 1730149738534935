//! Requests of operators: what is answered at once, what is asked, what closes the connection.

use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, DescribeClusterResponse, MetadataRequest,
    MetadataResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable};

use super::*;
use crate::model::BrokerId;
use crate::protocol::mirror_rpc::{self, ListClusterMirrorsRequest, StopMirrorTopicsRequest};

fn desk() -> AdminDesk {
    AdminDesk::new(Identity {
        broker: BrokerId(9001),
        host: "here".to_owned(),
        port: 9292,
        cluster: "a-cluster".to_owned(),
    })
}

/// A frame's content: a header without client id, then `body`.
fn request(api_key: i16, version: i16, is_flexible: bool, body: &[u8]) -> Vec<u8> {
    let mut content = [api_key.to_be_bytes(), version.to_be_bytes()].concat();
    content.extend_from_slice(&77i32.to_be_bytes());
    content.extend_from_slice(&(-1i16).to_be_bytes());
    content.extend(is_flexible.then_some(0));
    content.extend_from_slice(body);
    content
}

#[track_caller]
fn ready(frame: &[u8]) -> Vec<u8> {
    match desk().call(frame) {
        AdminCall::Ready(answer) => {
            assert_eq!(answer[4..8], 77i32.to_be_bytes());
            answer[8..].to_vec()
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn closed(frame: &[u8]) -> String {
    match desk().call(frame) {
        AdminCall::Close(reason) => reason.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_version_of_the_greeting_is_told_the_same_keys() {
    for version in 0..=4 {
        let mut body = Vec::new();
        let software = ApiVersionsRequest::default()
            .with_client_software_name("x".into())
            .with_client_software_version("1".into());
        let asked = if version >= 3 {
            software
        } else {
            ApiVersionsRequest::default()
        };
        asked.encode(&mut body, version).expect("our own");
        let answer = ready(&request(18, version, version >= 3, &body));
        let answer = ApiVersionsResponse::decode(&mut &answer[..], version).expect("readable");
        let keys: Vec<i16> = answer.api_keys.iter().map(|api| api.api_key).collect();
        let expected = [3, 18, 60, 94, 95, 96, 98, 99, 102, 103, 104, 107];
        assert_eq!(keys, expected, "version {version}");
        let mirrors = answer.api_keys.iter().filter(|api| api.api_key >= 94);
        assert!(
            mirrors
                .into_iter()
                .all(|api| (api.min_version, api.max_version) == (0, 0))
        );
    }
    let answer = ready(&request(18, 99, false, b""));
    let answer = ApiVersionsResponse::decode(&mut &answer[..], 0).expect("readable");
    assert_eq!(
        answer.error_code, 35,
        "ask again in a version that is known"
    );
}

#[test]
fn kafkas_admin_clients_find_one_broker_without_topics() {
    let mut body = Vec::new();
    let all = MetadataRequest::default().with_topics(None);
    all.encode(&mut body, 12).expect("our own");
    let answer = ready(&request(3, 12, true, &body));
    let answer = MetadataResponse::decode(&mut &answer[1..], 12).expect("readable");
    assert_eq!((answer.brokers.len(), answer.topics.len()), (1, 0));
    let broker = &answer.brokers[0];
    assert_eq!(
        (broker.node_id.0, broker.port, answer.controller_id.0),
        (9001, 9292, 9001)
    );
    let answer = ready(&request(60, 0, true, b"\x00\x00"));
    let answer = DescribeClusterResponse::decode(&mut &answer[1..], 0).expect("readable");
    assert_eq!(answer.cluster_id.as_str(), "a-cluster");
}

#[test]
fn a_request_about_mirrors_is_to_be_asked_and_its_answer_finds_the_way_back() {
    let stop = StopMirrorTopicsRequest {
        mirror_name: "dr".to_owned(),
        topics: vec!["t".to_owned()],
        planned: true,
        ..StopMirrorTopicsRequest::default()
    };
    let frame = mirror_rpc::frame(&stop, 5, "me");
    let AdminCall::Ask(asked, correlation) = desk().call(&frame[4..]) else {
        panic!("it is a request about mirrors");
    };
    assert_eq!(asked, AdminRequest::Stop(stop));
    let answer = asked.refused(crate::protocol::ErrorCode::INVALID_REQUEST, "no");
    let reply = AdminDesk::reply(&answer, correlation);
    let read = mirror_rpc::answer::<StopMirrorTopicsRequest>(&reply[4..], 5);
    assert_eq!(AdminAnswer::Stop(read.expect("sound")), answer);
}

#[test]
fn what_cannot_be_answered_says_why() {
    let list = mirror_rpc::frame(&ListClusterMirrorsRequest::default(), 5, "me");
    let list = &list[4..];
    let mut newer = list.to_vec();
    newer[3] = 1;
    let too_large = vec![0; ADMIN_REQUEST_BYTES_MAX + 1];
    for (frame, expected) in [
        (request(0, 9, true, b""), "API key 0 are not answered here"),
        (request(1, 12, true, b""), "API key 1 are not answered here"),
        (
            request(97, 0, true, b""),
            "API key 97 are not answered here",
        ),
        (newer, "API key 98 are answered in versions 0 to 0, not 1"),
        (list[..list.len() - 1].to_vec(), "reaches over the end"),
        ([list, b"x"].concat(), "left over"),
        (
            request(98, 0, false, b""),
            "the header of a request reaches over",
        ),
        (b"GET /".to_vec(), "cannot be"),
        (too_large, "no more than 1048576 are accepted"),
    ] {
        let said = closed(&frame);
        assert!(said.contains(expected), "{said}");
    }
}
