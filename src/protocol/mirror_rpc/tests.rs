//! Messages as bytes and back.

use super::*;
use crate::model::TopicId;
use crate::protocol::versions::TO_OPERATORS;

fn written(message: &impl Message) -> Vec<u8> {
    let mut out = Vec::new();
    message.write(&mut out);
    out
}

#[test]
fn fields_stand_in_their_order_and_are_compact() {
    let request = CreateClusterMirrorRequest {
        mirror_name: "dr".to_owned(),
        configs: vec![MirrorConfig {
            name: "k".to_owned(),
            value: None,
        }],
    };
    // Name of 2 bytes, one setting, its name of 1, no value, no tags, no tags.
    assert_eq!(written(&request), b"\x03dr\x02\x02k\x00\x00\x00");
    assert_eq!(
        CreateClusterMirrorRequest::read(&written(&request)),
        Ok(request)
    );
}

#[test]
fn a_tagged_field_is_written_where_it_says_something() {
    let mut request = StopMirrorTopicsRequest {
        mirror_name: "m".to_owned(),
        ..StopMirrorTopicsRequest::default()
    };
    let state_offset = [0xff; 8];
    let plain = [b"\x02m\x01".as_slice(), &state_offset, b"\x00"].concat();
    assert_eq!(written(&request), plain);
    request.patterns = vec!["a.*".to_owned()];
    let tagged = [
        b"\x02m\x01".as_slice(),
        &state_offset,
        b"\x01\x00\x05\x02\x04a.*",
    ]
    .concat();
    assert_eq!(written(&request), tagged);
    assert_eq!(StopMirrorTopicsRequest::read(&tagged), Ok(request));
}

#[test]
fn a_tag_of_later_versions_is_passed_over() {
    let bytes = b"\x00\x00\x01\x09\x02xy";
    let request = DescribeClusterMirrorsRequest::read(bytes).unwrap();
    assert_eq!(request, DescribeClusterMirrorsRequest::default());
}

#[test]
fn every_field_of_a_description_survives() {
    let partition = MirrorPartition {
        partition_index: 7,
        state_value: "FAILED".to_owned(),
        error_message: Some("because".to_owned()),
        retry_attempt: -1,
        source_offset: 1 << 40,
        destination_offset: 3,
        last_mirror_epoch: 2,
        last_mirror_offset: 1,
        stop_step: Some("drain".to_owned()),
        stop_report: None,
        led_epoch: Some(17),
        led_topic_id: TopicId::new([5; 16]),
        set_aside: Some("[]".to_owned()),
    };
    let mirror = ClusterMirror {
        mirror_name: "dr".to_owned(),
        source_cluster_id: Some(String::new()),
        topics: vec![MirrorTopic {
            topic_name: "t".to_owned(),
            partitions: vec![partition],
            topic_id: TopicId::new([7; 16]),
        }],
        destination_cluster_id: Some("there".to_owned()),
        ..ClusterMirror::default()
    };
    let answer = DescribeClusterMirrorsResponse {
        mirrors: vec![mirror],
        ..DescribeClusterMirrorsResponse::default()
    };
    assert_eq!(
        DescribeClusterMirrorsResponse::read(&written(&answer)),
        Ok(answer)
    );
    let start = StartMirrorTopicsRequest {
        topics: vec![TopicMetadata {
            topic_id: TopicId::new([9; 16]),
            topic_name: "t".to_owned(),
            num_partitions: 3,
        }],
        ..StartMirrorTopicsRequest::default()
    };
    assert_eq!(StartMirrorTopicsRequest::read(&written(&start)), Ok(start));
}

#[test]
fn what_is_cut_off_or_left_over_is_refused() {
    let whole = written(&MirrorPartition::default());
    for end in 0..whole.len() {
        let cut = MirrorPartition::read(&whole[..end]);
        assert!(matches!(cut, Err(Malformed::BeyondFrame { .. })), "{end}");
    }
    let longer = [whole.as_slice(), b"\x00"].concat();
    let refused = MirrorPartition::read(&longer);
    assert_eq!(refused, Err(Malformed::LeftOver { left: 1 }));
}

#[test]
fn a_claim_of_many_elements_costs_nothing() {
    // Four billion topics in eight bytes.
    let bytes = b"\x02m\xff\xff\xff\xff\x0f\x00";
    assert!(PauseMirrorTopicsRequest::read(bytes).is_err());
    // A null where a name has to be, and text that is none.
    assert!(PauseMirrorTopicsRequest::read(b"\x00").is_err());
    assert!(PauseMirrorTopicsRequest::read(b"\x02\xff\x01").is_err());
}

#[test]
fn keys_are_those_of_the_kip() {
    let keys = [94, 95, 96, 98, 99, 102, 103, 104, 107];
    assert_eq!(AdminRequest::API_KEYS, keys);
    let served = TO_OPERATORS.iter().map(|api| api.key);
    let served: Vec<i16> = served.filter(|key| *key >= keys[0]).collect();
    assert_eq!(served, keys, "what is offered is what is read");
    for key in keys {
        // Only a name and lists that are empty, or less.
        let read = AdminRequest::read(key, b"");
        assert!(matches!(read, Some(Err(_))), "{key}");
    }
    for key in [0, 18, 93, 97, 100, 101, 105, 106, 108] {
        assert_eq!(AdminRequest::read(key, b""), None, "{key}");
    }
}

#[test]
fn our_own_fields_have_tags_that_others_pass_over() {
    let request = StopMirrorTopicsRequest {
        mirror_name: "m".to_owned(),
        planned: true,
        dry_run: true,
        ..StopMirrorTopicsRequest::default()
    };
    // Tags 1000 and 1001 as varints, each of one byte.
    let tags = b"\x02\xe8\x07\x01\x01\xe9\x07\x01\x01";
    assert!(written(&request).ends_with(tags), "{:?}", written(&request));
    assert_eq!(
        StopMirrorTopicsRequest::read(&written(&request)),
        Ok(request)
    );
    let result = StopTopicResult {
        name: "t".to_owned(),
        plan: Some("{}".to_owned()),
        ..StopTopicResult::default()
    };
    let read = MirrorTopicResult::read(&written(&result)).expect("the KIP's part of it");
    assert_eq!(read.name, "t");
    assert_eq!(StopTopicResult::read(&written(&result)), Ok(result));
}

#[test]
fn any_request_is_read_by_its_key_and_can_be_refused() {
    let stop = StopMirrorTopicsRequest {
        mirror_name: "m".to_owned(),
        topics: vec!["t".to_owned()],
        force: true,
        ..StopMirrorTopicsRequest::default()
    };
    let read = AdminRequest::read(96, &written(&stop)).expect("one of them");
    let request = read.expect("sound");
    assert_eq!(request, AdminRequest::Stop(stop));
    assert_eq!(request.name(), "StopMirrorTopics");
    let answer = request.refused(ErrorCode::INVALID_REQUEST, "because");
    let frame = answer_frame(&answer, 7);
    assert_eq!(
        frame[..4],
        i32::try_from(frame.len() - 4).unwrap().to_be_bytes()
    );
    let read = super::answer::<StopMirrorTopicsRequest>(&frame[4..], 7).expect("sound");
    assert_eq!(AdminAnswer::Stop(read.clone()), answer);
    let refusal = Some((ErrorCode::INVALID_REQUEST, Some("because")));
    assert_eq!(read.refusal(), refusal);
    let (expected, found) = (8, 7);
    let other = super::answer::<StopMirrorTopicsRequest>(&frame[4..], 8);
    assert_eq!(other, Err(Malformed::Correlation { expected, found }));
}

#[test]
fn a_request_as_a_frame_has_its_header() {
    let request = DeleteClusterMirrorRequest {
        mirror_name: "m".to_owned(),
        state_offset: -1,
    };
    let frame = frame(&request, 5, "me");
    let header = b"\x00\x00\x00\x18\x00\x68\x00\x00\x00\x00\x00\x05\x00\x02me\x00";
    assert_eq!(frame, [header.as_slice(), &written(&request)].concat());
}
