//! `WriteTxnMarkers`: how transactions have ended that one of the cluster's own producers has begun
//! here, as its coordinator believes.
//!
//! None has where nobody but the mirror has written to what we lead: there is nothing to close, and
//! the marker is as good as written. Where others have, while another broker led it, whoever leads
//! it after us is to write the marker. A coordinator that reads any other error than those few
//! which it expects, or none at all for one of its producers, ends its whole process.

use super::{Call, CloseReason, Reply, Server};
use crate::model::LeaderEpoch;
use crate::protocol::ErrorCode;
use crate::protocol::header::{begin_answer, set_length};
use crate::protocol::txn_markers::{read_markers, write_answer};

pub(super) fn answer(server: &Server, call: &Call<'_>) -> Result<Reply, CloseReason> {
    let markers = read_markers(call.version, call.body, |topic, index| {
        match has_nothing_of_theirs(server, topic, index) {
            true => ErrorCode::NONE,
            // It looks for the leader, and asks that one.
            false => ErrorCode::NOT_LEADER_OR_FOLLOWER,
        }
    })?;
    let mut frame = Vec::new();
    let start = begin_answer(call.api, call.version, call.correlation, &mut frame);
    write_answer(&markers, &mut frame);
    set_length(&mut frame, start, 0);
    Ok(Reply::Ready(frame))
}

fn has_nothing_of_theirs(server: &Server, topic: &str, index: i32) -> bool {
    let topic = server.by_name(topic);
    let partition = topic.and_then(|topic| topic.partition(index));
    partition.is_some_and(|partition| {
        !partition.holds_others && server.leads(partition, LeaderEpoch::NONE).is_ok()
    })
}
