//! Kafka's own admin clients at the admin listener.

use super::*;
use crate::mirrors::node::FakeNode;

#[test]
fn kafkas_admin_clients_find_a_node() {
    let Some(_turn) = Turn::take("kafkas_admin_clients_find_a_node") else {
        return;
    };
    for version in newest_and_another("administering") {
        let node = FakeNode::start();
        let workload = Workload::start(&version);
        let found = workload.ask(&format!("ready b={}", node.at));
        assert_eq!(found.number("alive"), 1, "{version}");
        assert_eq!(found.field("cluster"), "twinlog", "{version}");
    }
}
