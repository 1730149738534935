//! What a counterpart may say, and what is made of it.

use super::*;
use crate::model::{PartitionIndex, TopicName};
use crate::protocol::mirror_rpc::{MirrorPartition, MirrorTopic};

const TOPIC: TopicId = TopicId::new([7; 16]);
const SOURCE_TOPIC: TopicId = TopicId::new([9; 16]);

fn sought() -> Sought {
    Sought {
        here: PartitionAsked {
            id: TopicPartition {
                topic: TopicName::new("orders").expect("legal"),
                partition: PartitionIndex::new(1).expect("positive"),
            },
            leader_epoch: LeaderEpoch::new(9),
        },
        topic: TOPIC,
        source_topic: SOURCE_TOPIC,
        leader: "127.0.0.1:1".parse().expect("an address"),
        source: None,
        own: None,
    }
}

fn clusters() -> Clusters {
    Clusters {
        here: "A".to_owned(),
        there: "B".to_owned(),
    }
}

fn stopped() -> MirrorPartition {
    MirrorPartition {
        partition_index: 1,
        state_value: "STOPPED".to_owned(),
        last_mirror_epoch: 3,
        last_mirror_offset: 500,
        led_epoch: Some(6),
        led_topic_id: SOURCE_TOPIC,
        ..MirrorPartition::default()
    }
}

fn mirror(partition: MirrorPartition) -> ClusterMirror {
    ClusterMirror {
        mirror_name: "dr".to_owned(),
        source_cluster_id: Some("A".to_owned()),
        destination_cluster_id: Some("B".to_owned()),
        topics: vec![MirrorTopic {
            topic_name: "orders".to_owned(),
            topic_id: TOPIC,
            partitions: vec![MirrorPartition::default(), partition],
        }],
        ..ClusterMirror::default()
    }
}

fn told(mirror: ClusterMirror) -> Result<Told, Found> {
    read(&said_by(Witness::Peer, mirror), &clusters(), &sought())
}

fn said_by(by: Witness, mirror: ClusterMirror) -> Answer {
    let mirrors = vec![ClusterMirror::default(), mirror];
    let unsound = BTreeMap::new();
    Answer {
        by,
        mirrors,
        unsound,
    }
}

fn never(mirror: ClusterMirror, words: &str) {
    let found = told(mirror);
    assert!(
        matches!(&found, Err(Found::Never(why)) if why.contains(words)),
        "{words}: {found:?}"
    );
}

#[test]
fn the_counterpart_knows_where_it_stopped() {
    let expected = Told {
        to: Offset::new(500),
        epoch: LeaderEpoch::new(3),
        led_epoch: LeaderEpoch::new(6),
        whose: Whose::Theirs,
    };
    assert_eq!(told(mirror(stopped())), Ok(expected));
}

#[test]
fn a_counterpart_of_something_else_is_refused_for_good() {
    let other_source = ClusterMirror {
        source_cluster_id: Some("C".to_owned()),
        ..mirror(stopped())
    };
    never(other_source, "never mirrored the topic");
    let other_destination = ClusterMirror {
        destination_cluster_id: Some("C".to_owned()),
        ..mirror(stopped())
    };
    never(other_destination, "mirrors onto cluster C");
    let mut anew = mirror(stopped());
    anew.topics[0].topic_id = TopicId::new([8; 16]);
    never(anew, "made anew");
    let anew_at_source = MirrorPartition {
        led_topic_id: TopicId::new([8; 16]),
        ..stopped()
    };
    never(mirror(anew_at_source), "became the topic of id");
    let mut fewer = mirror(stopped());
    fewer.topics[0].partitions.pop();
    never(fewer, "never mirrored from this cluster");
    let unknown = MirrorPartition {
        last_mirror_offset: -1,
        ..stopped()
    };
    never(mirror(unknown), "no LMO");
}

#[test]
fn what_is_still_mirrored_the_other_way_takes_an_operators_word() {
    for state in ["MIRRORING", "STOPPING", "FAILED"] {
        let running = MirrorPartition {
            state_value: state.to_owned(),
            ..stopped()
        };
        let found = told(mirror(running));
        assert!(
            matches!(&found, Err(Found::Never(why)) if why.contains(state)),
            "{found:?}"
        );
    }
}

fn said() -> Told {
    told(mirror(stopped())).expect("it is stopped")
}

fn seen() -> Seen {
    let end = |epoch, end| Some((LeaderEpoch::new(epoch), Offset::new(end)));
    Seen {
        start: Some(Offset::new(100)),
        end: Some(Offset::new(730)),
        epoch_end: end(3, 600),
        behind: Behind::Nothing,
        beside: Behind::Nothing,
        behind_there: Behind::Nothing,
        led_end: end(6, 502),
        led_before: end(5, 300),
    }
}

fn behind(begins: i64, crc: u32) -> Behind {
    Behind::Batch {
        begins: Offset::new(begins),
        crc,
    }
}

fn parts_at(seen: Seen) -> Found {
    judge(&sought(), said(), seen)
}

fn at(from: i64, log_start: i64) -> Found {
    ends_at(from, log_start, 730)
}

fn ends_at(from: i64, log_start: i64, end: i64) -> Found {
    let parting = WayBack {
        topic: TOPIC,
        from: Offset::new(from),
        log_start: Offset::new(log_start),
        epoch: LeaderEpoch::new(6),
        is_aligned: false,
    };
    let end = Offset::new(end);
    Found::At { parting, end }
}

#[test]
fn the_sides_part_no_later_than_each_of_them_goes() {
    assert_eq!(parts_at(seen()), at(500, 100));
    let short = Seen {
        end: Some(Offset::new(480)),
        ..seen()
    };
    let expected = ends_at(480, 100, 480);
    assert_eq!(parts_at(short), expected, "the destination has less");
    let retaken = Seen {
        epoch_end: Some((LeaderEpoch::new(3), Offset::new(450))),
        ..seen()
    };
    assert_eq!(parts_at(retaken), at(450, 100), "it took some of it back");
    let lost = Seen {
        led_end: Some((LeaderEpoch::new(6), Offset::new(400))),
        ..seen()
    };
    assert_eq!(parts_at(lost), at(400, 100), "the source has less");
    let deleted = Seen {
        start: Some(Offset::new(700)),
        ..seen()
    };
    assert_eq!(parts_at(deleted), at(500, 500), "retention has passed it");
}

/// Whoever leads next there keeps no trace of it, and would be taken for one who has lost it.
#[test]
fn an_epoch_without_records_is_not_the_one_where_the_sides_part() {
    let idle = Seen {
        led_end: Some((LeaderEpoch::new(5), Offset::new(500))),
        ..seen()
    };
    let Found::At { parting, .. } = parts_at(idle) else {
        panic!("it is known");
    };
    assert_eq!(parting.from, Offset::new(500));
    assert_eq!(parting.epoch, LeaderEpoch::new(5), "has the last records");
    let still_leads = Seen {
        led_end: Some((LeaderEpoch::new(6), Offset::new(500))),
        led_before: Some((LeaderEpoch::new(4), Offset::new(500))),
        ..seen()
    };
    let Found::At { parting, .. } = parts_at(still_leads) else {
        panic!("it is known");
    };
    assert_eq!(parting.epoch, LeaderEpoch::new(4), "has the last records");
}

#[test]
fn what_a_leader_does_not_tell_is_asked_again() {
    let silent = [
        Seen {
            end: None,
            ..seen()
        },
        Seen {
            start: None,
            ..seen()
        },
        Seen {
            epoch_end: None,
            ..seen()
        },
        Seen {
            led_end: None,
            ..seen()
        },
    ];
    for seen in silent {
        assert!(matches!(parts_at(seen), Found::Later(_)), "{seen:?}");
    }
}

#[test]
fn an_epoch_that_is_gone_is_refused() {
    let gone = Seen {
        epoch_end: Some((LeaderEpoch::new(2), Offset::new(450))),
        ..seen()
    };
    assert!(matches!(parts_at(gone), Found::Never(_)));
}

#[test]
fn nothing_mirrored_needs_no_epochs() {
    let nothing = Told {
        epoch: LeaderEpoch::NONE,
        led_epoch: LeaderEpoch::NONE,
        ..said()
    };
    let seen = Seen {
        epoch_end: None,
        led_end: None,
        ..seen()
    };
    let Found::At { parting, .. } = judge(&sought(), nothing, seen) else {
        panic!("it is known");
    };
    assert_eq!(parting.from, Offset::new(500));
}

/// We have stopped at 400 ourselves.
fn handed_over() -> Sought {
    Sought {
        own: Some(Own {
            to: Offset::new(400),
            epoch: LeaderEpoch::new(2),
            led_epoch: LeaderEpoch::new(5),
            topic: TOPIC,
        }),
        ..sought()
    }
}

/// The counterpart mirrors between the two clusters, and this topic never.
fn nothing_of_it() -> ClusterMirror {
    ClusterMirror {
        topics: Vec::new(),
        ..mirror(stopped())
    }
}

#[test]
fn where_the_counterpart_has_moved_nothing_our_own_stop_counts() {
    let own = Told {
        to: Offset::new(400),
        epoch: LeaderEpoch::new(5),
        led_epoch: LeaderEpoch::new(2),
        whose: Whose::Own,
    };
    let answer = said_by(Witness::Peer, nothing_of_it());
    assert_eq!(read(&answer, &clusters(), &handed_over()), Ok(own));
    let refused = |answer: &Answer, one: &Sought| {
        let found = read(answer, &clusters(), one);
        let is_it = matches!(&found, Err(Found::Never(why)) if why.contains("never mirrored"));
        assert!(is_it, "{found:?}");
    };
    refused(&answer, &sought());
    let anew = Sought {
        topic: TopicId::new([8; 16]),
        ..handed_over()
    };
    refused(&answer, &anew);
    let elsewhere = ClusterMirror {
        destination_cluster_id: Some("C".to_owned()),
        ..nothing_of_it()
    };
    refused(&said_by(Witness::Peer, elsewhere), &handed_over());
    // It may have moved something since.
    let report = Witness::Report("/report".into());
    let found = read(
        &said_by(report, nothing_of_it()),
        &clusters(),
        &handed_over(),
    );
    let is_it = matches!(&found, Err(Found::Never(why))
        if why.contains("says nothing of the partition") && !why.contains("delete"));
    assert!(is_it, "{found:?}");
}

#[test]
fn our_own_stop_counts_no_further_than_each_side_goes() {
    let own = Told {
        to: Offset::new(400),
        epoch: LeaderEpoch::new(5),
        led_epoch: LeaderEpoch::new(2),
        whose: Whose::Own,
    };
    let end = |epoch, end| Some((LeaderEpoch::new(epoch), Offset::new(end)));
    let seen = Seen {
        start: Some(Offset::new(0)),
        end: Some(Offset::new(450)),
        epoch_end: end(5, 403),
        behind: Behind::Nothing,
        beside: Behind::Nothing,
        behind_there: Behind::Nothing,
        led_end: end(2, 420),
        led_before: end(1, 300),
    };
    let from = |seen| match judge(&sought(), own, seen) {
        Found::At { parting, end } => {
            assert_eq!(parting.epoch, LeaderEpoch::new(2));
            assert_eq!(end, Offset::new(450));
            parting.from.value()
        }
        found => panic!("{found:?}"),
    };
    assert_eq!(from(seen), 400);
    let idle = Seen {
        epoch_end: end(4, 403),
        ..seen
    };
    assert_eq!(from(idle), 400, "nothing was mirrored in that epoch");
    let lost_here = Seen {
        epoch_end: end(5, 380),
        ..seen
    };
    assert_eq!(from(lost_here), 380);
    let lost_there = Seen {
        led_end: end(2, 390),
        ..seen
    };
    assert_eq!(from(lost_there), 390);
    let gone = Seen {
        led_end: end(1, 410),
        ..seen
    };
    assert!(matches!(judge(&sought(), own, gone), Found::Never(_)));
    let both = |here, there| Seen {
        behind: here,
        beside: here,
        behind_there: there,
        ..seen
    };
    assert_eq!(from(both(behind(400, 7), behind(400, 8))), 400, "its own");
    assert_eq!(from(both(behind(400, 7), Behind::Nothing)), 400);
    let brought = both(behind(400, 7), behind(400, 7));
    let found = judge(&sought(), own, brought);
    let is_it = matches!(&found, Found::Never(why) if why.contains("was mirrored back"));
    assert!(is_it, "{found:?}");
    for unknown in [
        both(Behind::Unknown, Behind::Nothing),
        both(Behind::Nothing, Behind::Unknown),
    ] {
        assert!(matches!(judge(&sought(), own, unknown), Found::Later(_)));
    }
}

#[test]
fn a_report_of_an_earlier_stop_is_refused_by_name() {
    let report = |to| {
        let earlier = MirrorPartition {
            last_mirror_offset: to,
            ..stopped()
        };
        said_by(Witness::Report("/old.json".into()), mirror(earlier))
    };
    let found = read(&report(399), &clusters(), &handed_over());
    let is_it = matches!(&found, Err(Found::Never(why))
        if why.contains("/old.json") && why.contains("399") && why.contains("400"));
    assert!(is_it, "{found:?}");
    assert!(read(&report(400), &clusters(), &handed_over()).is_ok());
}

/// Believed for ever, it would have all that was mirrored since set aside and cut off.
#[test]
fn a_report_is_of_no_use_once_the_sides_part_later() {
    let reported = Told {
        whose: Whose::Reported,
        ..said()
    };
    let both = |here, there| Seen {
        beside: here,
        behind_there: there,
        ..seen()
    };
    let found = judge(&sought(), reported, both(behind(500, 7), behind(500, 7)));
    let is_it = matches!(&found, Found::Never(why)
        if why.contains("an old one") && why.contains("--parting"));
    assert!(is_it, "{found:?}");
    let parted = judge(&sought(), reported, both(behind(500, 7), behind(500, 8)));
    assert_eq!(parted, at(500, 100));
    for unknown in [
        both(Behind::Unknown, Behind::Nothing),
        both(Behind::Nothing, Behind::Unknown),
    ] {
        let found = judge(&sought(), reported, unknown);
        assert!(matches!(found, Found::Later(_)), "{found:?}");
    }
}

#[test]
fn a_stop_within_a_batch_is_of_another_log() {
    let begins = |at| Seen {
        behind: behind(at, 7),
        ..seen()
    };
    let reported = Told {
        whose: Whose::Reported,
        ..said()
    };
    let parts_at = |seen| judge(&sought(), reported, seen);
    assert_eq!(parts_at(begins(500)), at(500, 100));
    assert_eq!(
        parts_at(begins(503)),
        at(500, 100),
        "compaction has taken some"
    );
    let found = parts_at(begins(493));
    let is_it = matches!(&found, Found::Never(why) if why.contains("493") && why.contains("500"));
    assert!(is_it, "{found:?}");
}
