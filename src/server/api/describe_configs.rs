//! `DescribeConfigs`: the settings of topics, as we were told them; our own are nobody's business.

use std::collections::BTreeSet;

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use super::{Call, CloseReason, Reply, Server, text};
use crate::model::TopicName;
use crate::protocol::ErrorCode;
use crate::protocol::shape::Shape;
use crate::server::{Setting, SettingSource};

/// Kind, name, names of settings.
const RESOURCE: &[Shape] = &[Shape::Bytes(1), Shape::Text, Shape::Texts];
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
/// Descriptions of settings can be asked for from this version on.
const DOCUMENTATION_FROM: i16 = 3;

type Found = Result<Vec<DescribeConfigsResourceResult>, ErrorCode>;

pub(super) fn answer(server: &Server, call: &Call<'_>) -> Result<Reply, CloseReason> {
    // Whether to tell synonyms, and descriptions: a byte each.
    let flags = if call.version < DOCUMENTATION_FROM {
        1
    } else {
        2
    };
    let request: DescribeConfigsRequest =
        call.request(&[Shape::List(RESOURCE), Shape::Bytes(flags)])?;
    // Each is told once, so that no answer grows beyond what there is to tell.
    let mut told = BTreeSet::new();
    let results = request
        .resources
        .iter()
        .filter(|resource| told.insert((resource.resource_type, &*resource.resource_name)))
        .map(|resource| result(server, resource))
        .collect();
    call.ready(&DescribeConfigsResponse::default().with_results(results))
}

fn result(server: &Server, resource: &DescribeConfigsResource) -> DescribeConfigsResult {
    let result = DescribeConfigsResult::default()
        .with_resource_type(resource.resource_type)
        .with_resource_name(resource.resource_name.clone());
    match settings(server, resource) {
        Ok(settings) => result.with_error_message(None).with_configs(settings),
        Err(error) => {
            let why = error.name().map(text);
            result.with_error_code(error.0).with_error_message(why)
        }
    }
}

fn settings(server: &Server, resource: &DescribeConfigsResource) -> Found {
    let name = &*resource.resource_name;
    match resource.resource_type {
        TOPIC if TopicName::new(name).is_none() => Err(ErrorCode::INVALID_TOPIC_EXCEPTION),
        TOPIC => {
            let topic = server
                .by_name(name)
                .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
            let asked = resource.configuration_keys.as_deref().unwrap_or_default();
            let wanted = |setting: &&Setting| {
                asked.is_empty() || asked.iter().any(|key| **key == *setting.name)
            };
            Ok(topic.settings.iter().filter(wanted).map(entry).collect())
        }
        BROKER if name.is_empty() || name == server.identity().broker.to_string() => Ok(Vec::new()),
        _ => Err(ErrorCode::INVALID_REQUEST),
    }
}

fn entry(setting: &Setting) -> DescribeConfigsResourceResult {
    let source = match setting.source {
        SettingSource::Topic => 1,
        SettingSource::Default => 5,
    };
    DescribeConfigsResourceResult::default()
        .with_name(text(&setting.name))
        .with_value(setting.value.as_deref().map(text))
        .with_config_source(source)
        .with_documentation(None)
}
