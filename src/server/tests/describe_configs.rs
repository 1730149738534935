//! `DescribeConfigs` in every version.

use kafka_protocol::messages::DescribeConfigsRequest;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResult;

use super::*;
use crate::protocol::ErrorCode;

const VERSIONS: std::ops::RangeInclusive<i16> = 1..=4;

fn resource(kind: i8, name: &'static str) -> DescribeConfigsResource {
    DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(StrBytes::from_static_str(name))
        .with_configuration_keys(None)
}

fn asked(version: i16, resources: Vec<DescribeConfigsResource>) -> Vec<DescribeConfigsResult> {
    let request = DescribeConfigsRequest::default().with_resources(resources);
    ask(&server(), version, &request).results
}

fn settings(result: &DescribeConfigsResult) -> Vec<(&str, Option<&str>, i8)> {
    result
        .configs
        .iter()
        .map(|of| (&*of.name, of.value.as_deref(), of.config_source))
        .collect()
}

#[test]
fn settings_of_topics_are_told_as_given() {
    for version in VERSIONS {
        let results = asked(version, vec![resource(2, "orders"), resource(2, "events")]);
        let expected = [
            ("cleanup.policy", Some("compact"), 1),
            ("retention.ms", None, 5),
        ];
        assert_eq!(settings(&results[0]), expected);
        assert_eq!((results[1].error_code, settings(&results[1])), (0, vec![]));
    }
}

#[test]
fn only_the_settings_that_are_named_are_told() {
    let keys = |names: &[&'static str]| {
        let names = names.iter().map(|name| StrBytes::from_static_str(name));
        resource(2, "orders").with_configuration_keys(Some(names.collect()))
    };
    for version in VERSIONS {
        let named = asked(version, vec![keys(&["retention.ms", "unknown"])]);
        assert_eq!(settings(&named[0]), [("retention.ms", None, 5)]);
        let none = asked(version, vec![keys(&[])]);
        assert_eq!(settings(&none[0]).len(), 2, "no names, no choice");
    }
}

#[test]
fn what_has_no_settings_is_told_apart() {
    for version in VERSIONS {
        for (kind, name, error) in [
            (2, "nowhere", ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
            (2, "no/where", ErrorCode::INVALID_TOPIC_EXCEPTION),
            (4, "7", ErrorCode::NONE),
            (4, "", ErrorCode::NONE),
            (4, "8", ErrorCode::INVALID_REQUEST),
            (8, "7", ErrorCode::INVALID_REQUEST),
            (-1, "", ErrorCode::INVALID_REQUEST),
        ] {
            let results = asked(version, vec![resource(kind, name)]);
            let [result] = &results[..] else {
                panic!("{results:?}")
            };
            assert_eq!((result.error_code, result.configs.len()), (error.0, 0));
            assert_eq!(result.error_message.is_some(), error.is_error());
            assert_eq!((result.resource_type, &*result.resource_name), (kind, name));
        }
    }
}

#[test]
fn a_topic_that_is_asked_for_often_is_told_once() {
    assert_eq!(asked(4, vec![resource(2, "orders"); 1000]).len(), 1);
}

#[test]
fn an_answer_that_cannot_be_written_ends_the_connection() {
    let mut server = server();
    let mut topic = server.topics[&EVENTS].clone();
    let long = "x".repeat(40_000);
    topic.settings = vec![setting("long", Some(&long), SettingSource::Topic)];
    server.tell(topic);
    let request = DescribeConfigsRequest::default().with_resources(vec![resource(2, "events")]);
    let told = ask(&server, 4, &request);
    assert_eq!(told.results[0].configs[0].value.as_deref(), Some(&long[..]));
    // The older encoding has no room for it.
    let reason = closed(&server, &frame(3, &request));
    assert!(matches!(reason, CloseReason::Answer { version: 3, .. }));
}
