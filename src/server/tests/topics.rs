//! What the server is told, and forgets.

use super::*;

#[test]
fn a_name_and_an_id_belong_to_one_topic() {
    let mut server = server();
    let renamed = Topic {
        name: topic_name("renamed"),
        id: ORDERS,
        partitions: Vec::new(),
        settings: Vec::new(),
    };
    server.tell(renamed.clone());
    assert!(server.by_name("orders").is_none());
    assert_eq!(server.by_name("renamed"), Some(&renamed));
    // The same name again, made anew under another id.
    let anew = Topic {
        id: ABSENT,
        ..renamed
    };
    server.tell(anew.clone());
    assert_eq!(server.by_name("renamed"), Some(&anew));
    assert!(!server.topics.contains_key(&ORDERS));
    server.forget(ABSENT);
    assert!(server.by_name("renamed").is_none());
    assert_eq!(server.topics.len(), 1);
}

#[test]
fn only_partitions_that_are_there_can_move() {
    let mut server = server();
    let moved = partition([11, 21, 21, 30]);
    assert!(server.tell_partition(ORDERS, index(0), moved.clone()));
    assert_eq!(server.topics[&ORDERS].partitions[0], moved);
    assert!(!server.tell_partition(ORDERS, index(2), moved.clone()));
    assert!(!server.tell_partition(ABSENT, index(0), moved));
}
