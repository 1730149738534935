//! `ApiVersions`: what we answer. A version that we do not know is answered in the oldest form.

use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};

use super::{Call, CloseReason, Reply, Server};
use crate::protocol::ErrorCode;
use crate::protocol::shape::Shape;
use crate::protocol::versions::ServedApi;

/// The client's software from this version on: name and version.
const SOFTWARE_FROM: i16 = 3;
const SOFTWARE: &[Shape] = &[Shape::Text, Shape::Text];

pub(super) fn answer(server: &Server, call: &Call<'_>) -> Result<Reply, CloseReason> {
    let has_software = call.version >= SOFTWARE_FROM;
    let request: ApiVersionsRequest = call.request(if has_software { SOFTWARE } else { &[] })?;
    let legal =
        is_software(&request.client_software_name) && is_software(&request.client_software_version);
    if has_software && !legal {
        let refusal = ErrorCode::INVALID_REQUEST.0;
        return call.ready(&ApiVersionsResponse::default().with_error_code(refusal));
    }
    let apis = server.audience.served().iter().map(range).collect();
    call.ready(&ApiVersionsResponse::default().with_api_keys(apis))
}

/// Version 0, which every client reads, says in which versions it may ask again.
pub(super) fn unsupported(call: &Call<'_>) -> Result<Reply, CloseReason> {
    let answer = ApiVersionsResponse::default()
        .with_error_code(ErrorCode::UNSUPPORTED_VERSION.0)
        .with_api_keys(vec![range(&call.api)]);
    call.ready_as(0, &answer)
}

fn range(api: &ServedApi) -> ApiVersion {
    ApiVersion::default()
        .with_api_key(api.key)
        .with_min_version(api.oldest)
        .with_max_version(api.newest)
}

/// Letters and digits, with dots and hyphens between them.
fn is_software(text: &str) -> bool {
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    ends(text.bytes().next()) && ends(text.bytes().last()) && text.bytes().all(legal)
}
