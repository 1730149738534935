//! Headers against the generated ones, and frames that are cut.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{self, ApiKey};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use super::*;
use crate::protocol::versions::{API_VERSIONS, FETCH, TO_CONSUMERS, TO_FOLLOWERS};

const CORRELATION: i32 = 0x0102_0304;

fn generated(api_key: i16, version: i16, client_id: Option<&'static str>) -> Vec<u8> {
    let header = messages::RequestHeader::default()
        .with_request_api_key(api_key)
        .with_request_api_version(version)
        .with_correlation_id(CORRELATION)
        .with_client_id(client_id.map(StrBytes::from_static_str));
    let api = ApiKey::try_from(api_key).expect("Kafka knows it");
    let mut frame = BytesMut::new();
    header
        .encode(&mut frame, api.request_header_version(version))
        .unwrap();
    frame.to_vec()
}

#[test]
fn request_headers_are_read_as_they_are_generated() {
    for api in TO_CONSUMERS.into_iter().chain(TO_FOLLOWERS) {
        for version in api.oldest..=api.newest {
            for client_id in [None, Some(""), Some("me")] {
                let mut frame = generated(api.key, version, client_id);
                frame.extend_from_slice(b"body");
                let expected = RequestHeader {
                    api_key: api.key,
                    version,
                    correlation: CORRELATION,
                    client_id: client_id.map(str::to_owned),
                };
                let read = RequestHeader::read(&frame, &[api]);
                assert_eq!(read, Ok((expected, &b"body"[..])), "{api:?} {version}");
            }
        }
    }
}

#[test]
fn answers_begin_as_they_are_generated() {
    for api in TO_CONSUMERS.into_iter().chain(TO_FOLLOWERS) {
        for version in api.oldest..=api.newest {
            let mut frame = b"before".to_vec();
            let start = begin_answer(api, version, CORRELATION, &mut frame);
            frame.extend_from_slice(b"body");
            set_length(&mut frame, start, 1000);
            let mut bytes = Bytes::from(frame).slice(6..);
            let length = bytes.split_to(4);
            let header_version = ApiKey::try_from(api.key)
                .unwrap()
                .response_header_version(version);
            let content = bytes.len();
            let header = messages::ResponseHeader::decode(&mut bytes, header_version).unwrap();
            assert_eq!(header.correlation_id, CORRELATION);
            assert_eq!(&bytes[..], b"body", "{api:?} {version}");
            let expected = i32::try_from(content + 1000).unwrap();
            assert_eq!(length, expected.to_be_bytes()[..]);
        }
    }
}

#[test]
fn a_version_that_we_do_not_speak_still_says_who_asks() {
    // What follows could be of any form: it is left to nobody.
    let mut frame = generated(API_VERSIONS.key, 4, Some("me"));
    frame[3] = 99;
    let (header, _) = RequestHeader::read(&frame, &TO_CONSUMERS).unwrap();
    assert_eq!((header.version, header.correlation), (99, CORRELATION));
}

#[test]
fn a_header_cut_anywhere_is_refused() {
    let frame = generated(FETCH.key, 17, Some("me"));
    let field = "the header of a request";
    for end in 0..frame.len() {
        let cut = RequestHeader::read(&frame[..end], &TO_CONSUMERS);
        assert_eq!(cut, Err(Malformed::BeyondFrame { field }), "{end}");
    }
}

#[test]
fn impossible_lengths_are_refused() {
    let mut frame = generated(FETCH.key, 17, Some("me"));
    frame[8..10].copy_from_slice(&(-2i16).to_be_bytes());
    let refused = Malformed::Impossible {
        field: "the length of a client id",
        value: -2,
    };
    assert_eq!(RequestHeader::read(&frame, &TO_CONSUMERS), Err(refused));
}
