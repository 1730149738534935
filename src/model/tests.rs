//! What the nouns refuse and how they print.

use super::*;

#[test]
fn a_name_has_an_id_of_its_own_that_agrees_with_every_other() {
    let [one, two] = ["one", "two"].map(|name| TopicName::new(name).expect("legal"));
    let stands = TopicId::of_name(&one);
    assert_eq!(stands, TopicId::of_name(&one));
    assert_ne!(stands, TopicId::of_name(&two));
    let (a, b) = (TopicId::new([1; 16]), TopicId::new([2; 16]));
    assert!(a.agrees(stands, &one) && stands.agrees(b, &one) && a.agrees(a, &one));
    assert!(!a.agrees(b, &one) && !a.agrees(TopicId::of_name(&two), &one));
}

#[test]
fn topic_ids_print_and_parse_as_kafka_does() {
    // The pairs were printed by Kafka's own Uuid class.
    let cases = [
        ([0u8; 16], "AAAAAAAAAAAAAAAAAAAAAA"),
        ([0xff; 16], "_____________________w"),
        (
            [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
            "AAECAwQFBgcICQoLDA0ODw",
        ),
    ];
    for (bytes, text) in cases {
        assert_eq!(TopicId::new(bytes).to_string(), text);
        assert_eq!(text.parse(), Ok(TopicId::new(bytes)));
    }
    for refused in [
        "",
        "AAECAwQFBgcICQoLDA0OD",
        "AAECAwQFBgcICQoLDA0ODx",
        "AAECAwQFBgcICQoLDA0OD=",
    ] {
        assert!(refused.parse::<TopicId>().is_err(), "{refused}");
    }
}

#[test]
fn only_kafkas_names_become_topics_and_directories() {
    for refused in ["", ".", "..", "a/b", "a b", "ä", &"x".repeat(250)] {
        assert!(TopicName::new(refused).is_none(), "{refused}");
    }
    for name in ["a-0", "a-b-12", "__x-3", &format!("{}-0", "x".repeat(249))] {
        let parsed: TopicPartition = name.parse().expect("a legal directory name");
        assert_eq!(parsed.to_string(), *name);
    }
    for refused in [
        "a",
        "a-",
        "-1",
        "a-01",
        "a-+1",
        "a--",
        "a-x",
        "a-2147483648",
        "a-1.deleted",
    ] {
        assert!(refused.parse::<TopicPartition>().is_err(), "{refused}");
    }
}

#[test]
fn wire_numbers_below_zero_are_not_offsets() {
    assert_eq!(Offset::from_wire(-1), None);
    assert_eq!(Offset::from_wire(0), Some(Offset::ZERO));
    assert_eq!(Offset::new(i64::MAX).checked_add(1), None);
    assert!(!LeaderEpoch::new(-7).is_some());
}

#[test]
#[should_panic(expected = "out of order")]
fn watermarks_out_of_order_stop_the_process() {
    let mut marks = Watermarks::empty_at(Offset::new(5));
    marks.high_watermark = Offset::new(6);
    marks.assert_invariants();
}
