//! Requests of operators.

use twinlog::model::BrokerId;
use twinlog::protocol::ErrorCode;
use twinlog::protocol::frame::{LENGTH_BYTES, front};
use twinlog::protocol::mirror_rpc::AdminRequest;
use twinlog::server::admin::{AdminCall, AdminDesk, Identity};

use super::bounded_by;

/// A text of no letters has one byte on the wire, and its own place in a list that grows.
const PER_BYTE: u64 = 128;
const BESIDE: u64 = 64 << 10;

/// A request to the admin listener: it is answered in a whole frame, asked of the node in a form
/// that can be refused, or the connection is closed.
pub(super) fn admin_requests(bytes: &[u8]) {
    let desk = AdminDesk::new(Identity {
        broker: BrokerId(7),
        host: "127.0.0.1".to_owned(),
        port: 9_292,
        cluster: "a-cluster".to_owned(),
    });
    match bounded_by(PER_BYTE, bytes.len(), BESIDE, || desk.call(bytes)) {
        AdminCall::Ready(frame) => assert_framed(&frame),
        AdminCall::Ask(request, correlation) => {
            let refused = request.refused(ErrorCode::INVALID_REQUEST, "because");
            assert_framed(&AdminDesk::reply(&refused, correlation));
            assert!(AdminRequest::API_KEYS.contains(&i16::from_be_bytes([bytes[0], bytes[1]])));
        }
        AdminCall::Close(reason) => assert!(!reason.to_string().is_empty()),
    }
}

fn assert_framed(frame: &[u8]) {
    let content = front(frame, usize::MAX).expect("our own length");
    assert_eq!(content.map(<[u8]>::len), Some(frame.len() - LENGTH_BYTES));
}
