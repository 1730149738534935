//! What a stop would do and has done, partition by partition.

use crate::cli::mirrors::planning::{self, Planned};
use crate::cli::mirrors::showing::{number_or_dash, set_aside};
use crate::cli::text;
use crate::model::TopicId;
use crate::protocol::mirror_rpc::{
    ClusterMirror, ExportedStop, MirrorPartition, MirrorTopic, StopPlan, StopReport,
};

/// The partitions of topics. Where the node has no report, the positions of the description are
/// what is known.
pub(super) fn rows(mirror: &ClusterMirror) -> Vec<ExportedStop> {
    let topics = mirror.topics.iter();
    let rows = topics.flat_map(|topic| {
        let partitions = topic.partitions.iter();
        partitions.map(move |partition| row(mirror, topic, partition))
    });
    rows.collect()
}

fn row(mirror: &ClusterMirror, topic: &MirrorTopic, partition: &MirrorPartition) -> ExportedStop {
    let known = |number: i64| (number >= 0).then_some(number);
    let id = |id: TopicId| (id != TopicId::ZERO).then(|| id.to_string());
    let read = partition.stop_report.as_deref();
    let read = read.and_then(|json| StopReport::read(json).ok());
    let report = read.unwrap_or_else(|| StopReport {
        last_mirror_offset: known(partition.last_mirror_offset),
        last_mirror_epoch: known(i64::from(partition.last_mirror_epoch))
            .map(|_| partition.last_mirror_epoch),
        ..StopReport::default()
    });
    ExportedStop {
        mirror: mirror.mirror_name.clone(),
        source_cluster_id: mirror.source_cluster_id.clone(),
        destination_cluster_id: mirror.destination_cluster_id.clone(),
        topic: topic.topic_name.clone(),
        topic_id: id(topic.topic_id),
        destination_topic_id: id(partition.led_topic_id),
        partition: partition.partition_index,
        state: partition.state_value.clone(),
        error_message: partition.error_message.clone(),
        led_epoch: partition.led_epoch,
        set_aside: set_aside(partition),
        report,
    }
}

/// A plan as people read it.
pub(super) fn planned(rows: &[Planned<StopPlan>]) -> String {
    let heads = [
        "TOPIC",
        "PARTITION",
        "STATE",
        "LOG-END",
        "LAG",
        "OPEN-TRANSACTIONS",
        "NEW-LEADER",
    ];
    let lines = rows.iter().map(|row| {
        let plan = &row.plan;
        let open = plan.open_transactions.map(u64::cast_signed);
        vec![
            row.topic.clone(),
            plan.partition.to_string(),
            plan.state.clone(),
            number(plan.log_end),
            number(plan.lag),
            number(open),
            number(plan.new_leader.map(i64::from)),
        ]
    });
    let mut shown = text::table(&heads, &lines.collect::<Vec<_>>());
    for Planned { topic, plan, .. } in rows {
        shown += &planning::in_the_way(topic, plan.partition, &plan.hindrances);
    }
    shown
}

/// A report as people read it.
pub(super) fn reported(rows: &[ExportedStop]) -> String {
    let heads = [
        "TOPIC",
        "PARTITION",
        "STATE",
        "LAST-MIRROR-OFFSET",
        "LAST-MIRROR-EPOCH",
        "ABORTED",
        "LAG",
        "LOST",
        "NEW-LEADER",
    ];
    let lines = rows.iter().map(|row| {
        let report = &row.report;
        let lost = report
            .lost
            .map(|lost| format!("{}..{}", lost.from, lost.to));
        vec![
            row.topic.clone(),
            row.partition.to_string(),
            row.state.clone(),
            number(report.last_mirror_offset),
            number(report.last_mirror_epoch.map(i64::from)),
            report.aborted_transactions.len().to_string(),
            number(report.lag),
            lost.unwrap_or_else(|| "-".to_owned()),
            number(report.new_leader.map(i64::from)),
        ]
    });
    let mut shown = text::table(&heads, &lines.collect::<Vec<_>>());
    for row in rows {
        let (topic, partition) = (&row.topic, row.partition);
        for aside in &row.set_aside {
            shown.push_str(&format!("\n{topic}-{partition}: set aside: {aside}"));
        }
        for broker in &row.report.not_drained {
            shown.push_str(&format!(
                "\n{topic}-{partition}: broker {broker} was fenced and did not answer: see that \
                 its process has ended, or restart it; it may give out producer ids of the source's"
            ));
        }
    }
    shown
}

fn number(number: Option<i64>) -> String {
    number_or_dash(number.unwrap_or(-1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::mirrors::showing::as_json;
    use crate::model::{SetAside, Written, WrittenBy};
    use crate::protocol::mirror_rpc::{AbortedTransaction, LogDigest, LostRange, StepBegun};

    fn full() -> StopReport {
        StopReport {
            last_mirror_offset: Some(100),
            last_mirror_epoch: Some(4),
            digest: Some(LogDigest {
                from: 7,
                to: 100,
                batches: 31,
                digest: "0a1b".to_owned(),
            }),
            aborted_transactions: vec![AbortedTransaction {
                producer_id: 9,
                producer_epoch: 1,
                first_offset: 90,
            }],
            lag: Some(5),
            lag_ms: Some(12),
            lost: Some(LostRange { from: 100, to: 105 }),
            not_drained: vec![3],
            new_leader: Some(2),
            leader_epoch: Some(7),
            log_end: Some(101),
            took_ms: Some(340),
            steps: vec![StepBegun {
                step: "fetching ends".to_owned(),
                at_ms: 4,
            }],
        }
    }

    fn aside() -> SetAside {
        let all = Written {
            batches: 1,
            records: 2,
            bytes: 80,
        };
        SetAside {
            topic: "t".to_owned(),
            partition: 1,
            path: "/data/logs.aside/t-1.from-7".to_owned(),
            from: 7,
            to: 9,
            all,
            producers: vec![WrittenBy {
                producer_id: 4,
                written: all,
                ..WrittenBy::default()
            }],
            ..SetAside::default()
        }
    }

    #[test]
    fn a_report_is_what_the_node_says_or_else_what_it_describes() {
        let report = full();
        let id = TopicId::new([7; 16]);
        let topic = MirrorTopic {
            topic_name: "t".to_owned(),
            topic_id: id,
            partitions: vec![
                MirrorPartition {
                    state_value: "STOPPED".to_owned(),
                    stop_report: Some(report.write()),
                    led_epoch: Some(6),
                    led_topic_id: id,
                    ..MirrorPartition::default()
                },
                MirrorPartition {
                    partition_index: 1,
                    state_value: "STOPPED".to_owned(),
                    last_mirror_offset: 7,
                    last_mirror_epoch: 0,
                    ..MirrorPartition::default()
                },
            ],
        };
        let mirror = ClusterMirror {
            mirror_name: "dr".to_owned(),
            source_cluster_id: Some("A".to_owned()),
            topics: vec![topic],
            ..ClusterMirror::default()
        };
        let rows = rows(&mirror);
        assert_eq!(rows[0].report, report);
        assert_eq!(rows[1].report.last_mirror_offset, Some(7));
        let shown = reported(&rows);
        let said = shown.lines().last().expect("it is said");
        assert!(said.starts_with("t-0: broker 3"), "{said}");
        let words = |line: usize| {
            let line = shown.lines().nth(line).expect("three lines");
            line.split_whitespace().collect::<Vec<_>>()
        };
        assert_eq!(
            words(1),
            ["t", "0", "STOPPED", "100", "4", "1", "5", "100..105", "2"]
        );
        assert_eq!(
            words(2),
            ["t", "1", "STOPPED", "7", "0", "0", "-", "-", "-"]
        );
        let json = as_json(&rows[..1]);
        let expected = [
            r#"[{"mirror":"dr","sourceClusterId":"A","destinationClusterId":null,"topic":"t","#,
            r#""topicId":"BwcHBwcHBwcHBwcHBwcHBw","#,
            r#""destinationTopicId":"BwcHBwcHBwcHBwcHBwcHBw","#,
            r#""partition":0,"state":"STOPPED","errorMessage":null,"ledEpoch":6,"setAside":[],"#,
            r#""lastMirrorOffset":100,"lastMirrorEpoch":4,"#,
            r#""digest":{"from":7,"to":100,"batches":31,"digest":"0a1b"},"#,
            r#""abortedTransactions":[{"#,
            r#""producerId":9,"producerEpoch":1,"firstOffset":90}],"lag":5,"lagMs":12,"#,
            r#""lost":{"from":100,"to":105},"notDrained":[3],"newLeader":2,"leaderEpoch":7,"#,
            r#""logEnd":101,"tookMs":340,"steps":[{"step":"fetching ends","atMs":4}]}]"#,
        ]
        .concat();
        assert_eq!(json, expected);
        let read = ExportedStop::read_all(as_json(&rows).as_bytes());
        assert_eq!(read.as_ref(), Ok(&rows));
    }

    #[test]
    fn a_report_lists_what_was_set_aside() {
        let partition = MirrorPartition {
            partition_index: 1,
            state_value: "STOPPED".to_owned(),
            set_aside: Some(SetAside::write(&[aside()])),
            ..MirrorPartition::default()
        };
        let topic = MirrorTopic {
            topic_name: "t".to_owned(),
            partitions: vec![partition],
            ..MirrorTopic::default()
        };
        let rows = rows(&ClusterMirror {
            topics: vec![topic],
            ..ClusterMirror::default()
        });
        let shown = reported(&rows);
        let said = shown.lines().last().expect("it is said");
        let of_aside = "t-1: set aside: offsets 7 up to 9, 2 records in 1 batch, of producers 4";
        assert!(said.starts_with(of_aside), "{said}");
        let json = as_json(&rows);
        assert!(
            json.contains(r#""setAside":[{"topic":"t","partition":1,"#),
            "{json}"
        );
        let read = ExportedStop::read_all(json.as_bytes()).expect("it is whole");
        assert_eq!(read[0].set_aside, [], "of no use to whoever mirrors back");
    }

    #[test]
    fn a_plan_tells_what_is_in_the_way() {
        let plan = StopPlan {
            partition: 3,
            state: "MIRRORING".to_owned(),
            log_end: Some(8),
            hindrances: vec!["producer 7 has a low id".to_owned()],
            ..StopPlan::default()
        };
        let read = StopPlan::read_all(&StopPlan::write_all(std::slice::from_ref(&plan)));
        assert_eq!(read, Ok(vec![plan.clone()]));
        let row = Planned {
            mirror: "dr".to_owned(),
            topic: "t".to_owned(),
            plan,
        };
        let shown = planned(&[row]);
        assert!(
            shown.ends_with("in the way of t-3: producer 7 has a low id"),
            "{shown}"
        );
    }
}
