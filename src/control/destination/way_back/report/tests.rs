//! What a report may say, and what is made of it.

use super::*;
use crate::io::memory::MemoryDisk;
use crate::protocol::mirror_rpc::StopReport;

const TOPIC: TopicId = TopicId::new([7; 16]);
const THERE: TopicId = TopicId::new([9; 16]);

fn stop() -> ExportedStop {
    ExportedStop {
        mirror: "dr".to_owned(),
        source_cluster_id: Some("A".to_owned()),
        destination_cluster_id: Some("B".to_owned()),
        topic: "orders".to_owned(),
        topic_id: Some(TOPIC.to_string()),
        destination_topic_id: Some(THERE.to_string()),
        partition: 1,
        state: "STOPPED".to_owned(),
        error_message: None,
        led_epoch: Some(6),
        set_aside: Vec::new(),
        report: StopReport {
            last_mirror_offset: Some(500),
            last_mirror_epoch: Some(3),
            ..StopReport::default()
        },
    }
}

fn read_bytes(bytes: &[u8]) -> Result<Answer, ReportFault> {
    let disk = MemoryDisk::default();
    let path = Path::new("/reports/report.json");
    disk.create_dir(Path::new("/reports"))
        .expect("a new directory");
    let file = disk.open(path, Open::CreateEmpty).expect("a new file");
    file.write_at(bytes, Position::ZERO).expect("it is written");
    read(&disk, path, &["orders".to_owned()])
}

fn read_all(stops: &[ExportedStop]) -> Result<Answer, ReportFault> {
    read_bytes(&serde_json::to_vec(stops).expect("numbers and texts"))
}

#[test]
fn a_report_says_what_its_node_would_have_said() {
    let other = ExportedStop {
        topic: "others".to_owned(),
        topic_id: None,
        ..stop()
    };
    let first = ExportedStop {
        partition: 0,
        ..stop()
    };
    let answer = read_all(&[first, other, stop()]).expect("it is whole");
    assert!(matches!(&answer.by, Witness::Report(path) if path.ends_with("report.json")));
    let [mirror] = &answer.mirrors[..] else {
        panic!("{answer:?}");
    };
    assert_eq!(mirror.source_cluster_id.as_deref(), Some("A"));
    assert_eq!(mirror.destination_cluster_id.as_deref(), Some("B"));
    let [topic] = &mirror.topics[..] else {
        panic!("{mirror:?}");
    };
    assert_eq!(topic.topic_id, TOPIC);
    let expected = MirrorPartition {
        partition_index: 1,
        state_value: "STOPPED".to_owned(),
        last_mirror_epoch: 3,
        last_mirror_offset: 500,
        led_epoch: Some(6),
        led_topic_id: THERE,
        ..MirrorPartition::default()
    };
    assert_eq!(topic.partitions[1], expected);
}

#[test]
fn a_report_that_is_not_whole_is_refused_by_its_name() {
    let whole = serde_json::to_vec(&[stop()]).expect("numbers and texts");
    for end in [0, 1, whole.len() / 2, whole.len() - 1] {
        let fault = read_bytes(&whole[..end]).expect_err("it is cut off");
        assert!(
            matches!(fault, ReportFault::Damaged { .. }),
            "{end}: {fault}"
        );
    }
    let many = format!("[{}{{}}]", "{},".repeat(100_000));
    let fault = read_bytes(many.as_bytes()).expect_err("too many for a report");
    assert!(fault.to_string().contains("100000"), "{fault}");
    let fault = read(&MemoryDisk::default(), Path::new("/none"), &[]);
    let said = fault.expect_err("there is none").to_string();
    assert!(
        said.contains("/none") && said.contains("peer.report"),
        "{said}"
    );
}

#[test]
fn a_field_that_is_missing_or_cannot_be_is_named() {
    type Spoil = fn(&mut ExportedStop);
    let spoils: [(&str, Spoil); 9] = [
        ("sourceClusterId", |stop| stop.source_cluster_id = None),
        ("destinationClusterId", |stop| {
            stop.destination_cluster_id = None;
        }),
        ("topicId", |stop| stop.topic_id = Some("short".to_owned())),
        ("destinationTopicId", |stop| {
            stop.destination_topic_id = None
        }),
        ("ledEpoch", |stop| stop.led_epoch = None),
        ("partition", |stop| stop.partition = -1),
        ("state", |stop| stop.state.clear()),
        ("lastMirrorOffset", |stop| {
            stop.report.last_mirror_offset = Some(-7);
        }),
        ("lastMirrorEpoch", |stop| {
            stop.report.last_mirror_epoch = None;
        }),
    ];
    for (field, spoil) in spoils {
        let mut unsound = stop();
        spoil(&mut unsound);
        let other = ExportedStop {
            partition: 0,
            ..stop()
        };
        let id = ("orders".to_owned(), unsound.partition);
        let said = match read_all(&[unsound, other]) {
            // Nobody knows of which partition it is.
            Err(fault) => fault.to_string(),
            Ok(answer) => {
                assert_eq!(answer.mirrors[0].topics[0].partitions.len(), 1, "the other");
                answer.unsound[&id].clone()
            }
        };
        assert!(said.contains(field) && said.contains("entry 1"), "{said}");
        assert_eq!(
            read_all(&[stop()]).map(|answer| answer.unsound.len()).ok(),
            Some(0)
        );
    }
}

#[test]
fn what_was_not_stopped_is_left_to_whoever_asks() {
    let failed = ExportedStop {
        state: "FAILED".to_owned(),
        report: StopReport::default(),
        ..stop()
    };
    let answer = read_all(&[failed]).expect("it is whole");
    let partition = &answer.mirrors[0].topics[0].partitions[0];
    assert_eq!(partition.last_mirror_offset, -1);
}
