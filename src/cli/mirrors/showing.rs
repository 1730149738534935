//! What `list` and `describe` show: tables for people, JSON for machines.

use serde::Serialize;

use super::requests::refusal;
use super::{Failure, Node};
use crate::cli::{screen, text};
use crate::mirror::State;
use crate::model::SetAside;
use crate::protocol::mirror_rpc::{
    ClusterMirror, DescribeClusterMirrorsRequest, ListClusterMirrorsRequest, MirrorPartition,
};

/// Characters of an error in a table.
const ERROR_CHARACTERS: usize = 80;

/// A mirror of a list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    mirror: String,
    topics: i32,
    source_cluster_id: String,
    source_bootstrap_servers: String,
}

pub(super) async fn list(node: &Node, json: bool) -> Result<bool, Failure> {
    let request = ListClusterMirrorsRequest::default();
    let answer = node.connect().await?.ask_mirror(&request).await?;
    let listed: Vec<Listed> = answer
        .mirrors
        .into_iter()
        .map(|mirror| Listed {
            mirror: mirror.mirror_name,
            topics: mirror.topic_count,
            source_cluster_id: mirror.source_cluster_id,
            source_bootstrap_servers: mirror.source_bootstrap,
        })
        .collect();
    if json {
        return Ok(screen::tell(&as_json(&listed)));
    }
    let heads = [
        "MIRROR",
        "TOPICS",
        "SOURCE-CLUSTER-ID",
        "SOURCE-BOOTSTRAP-SERVER",
    ];
    let rows = listed.into_iter().map(|mirror| {
        let count = mirror.topics.to_string();
        let id = some_or_dash(mirror.source_cluster_id);
        vec![mirror.mirror, count, id, mirror.source_bootstrap_servers]
    });
    Ok(screen::tell(&text::table(
        &heads,
        &rows.collect::<Vec<_>>(),
    )))
}

/// A partition of a description, in the KIP's words and two more.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    mirror: String,
    topic: String,
    partition: i32,
    source_offset: i64,
    destination_offset: i64,
    lag: i64,
    state: String,
    retry_attempt: i16,
    error_message: Option<String>,
    last_mirror_epoch: i32,
    last_mirror_offset: i64,
    /// What its stop is about, while it is being stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_step: Option<String>,
    /// What was set aside of its log before that was cut.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    set_aside: Vec<SetAside>,
    #[serde(skip)]
    attempts_max: i16,
}

/// How many offsets the source is ahead; −1 where that is not known.
pub(super) fn lag(partition: &MirrorPartition) -> i64 {
    match (partition.source_offset, partition.destination_offset) {
        (..0, _) | (_, ..0) => -1,
        (source, destination) => source.saturating_sub(destination).max(0),
    }
}

/// What was set aside of a partition's log.
pub(super) fn set_aside(partition: &MirrorPartition) -> Vec<SetAside> {
    let json = partition.set_aside.as_deref().unwrap_or("[]");
    SetAside::read(json.as_bytes()).unwrap_or_default()
}

pub(super) async fn describe(
    node: &Node,
    mirrors: Vec<String>,
    failed: bool,
    json: bool,
) -> Result<bool, Failure> {
    let request = DescribeClusterMirrorsRequest {
        mirror_names: (!mirrors.is_empty()).then_some(mirrors),
        include_stops: json,
        ..DescribeClusterMirrorsRequest::default()
    };
    let answer = node.connect().await?.ask_mirror(&request).await?;
    let (mut rows, mut is_whole) = (Vec::new(), true);
    for mirror in answer.mirrors {
        let message = mirror.error_message.as_deref();
        if let Some(refusal) = refusal(&mirror.mirror_name, mirror.error_code, message) {
            screen::say(&format!("error: {refusal}"));
            is_whole = false;
        }
        rows.extend(rows_of(mirror));
    }
    if failed {
        rows.retain(|row| row.state == State::Failed.name());
    }
    let shown = match (json, failed) {
        (true, _) => as_json(&rows),
        (false, true) => failures(&rows),
        (false, false) => partitions(&rows),
    };
    Ok(screen::tell(&shown) && is_whole)
}

fn rows_of(mirror: ClusterMirror) -> impl Iterator<Item = Row> {
    let (name, attempts_max) = (mirror.mirror_name, mirror.retry_attempts_max);
    mirror.topics.into_iter().flat_map(move |topic| {
        let (name, title) = (name.clone(), topic.topic_name);
        topic.partitions.into_iter().map(move |partition| Row {
            mirror: name.clone(),
            topic: title.clone(),
            partition: partition.partition_index,
            source_offset: partition.source_offset,
            destination_offset: partition.destination_offset,
            lag: lag(&partition),
            set_aside: set_aside(&partition),
            state: partition.state_value,
            retry_attempt: partition.retry_attempt,
            error_message: partition.error_message,
            last_mirror_epoch: partition.last_mirror_epoch,
            last_mirror_offset: partition.last_mirror_offset,
            stop_step: partition.stop_step,
            attempts_max,
        })
    })
}

fn partitions(rows: &[Row]) -> String {
    let heads = [
        "MIRROR",
        "TOPIC",
        "PARTITION",
        "SOURCE-OFFSET",
        "DESTINATION-OFFSET",
        "LAG",
        "STATE",
    ];
    let rows = rows.iter().map(|row| {
        let state = match row.state.as_str() {
            State::UNKNOWN_NAME => "-".to_owned(),
            state => state.to_owned(),
        };
        vec![
            row.mirror.clone(),
            row.topic.clone(),
            row.partition.to_string(),
            number_or_dash(row.source_offset),
            number_or_dash(row.destination_offset),
            number_or_dash(row.lag),
            state,
        ]
    });
    text::table(&heads, &rows.collect::<Vec<_>>())
}

fn failures(rows: &[Row]) -> String {
    let heads = ["MIRROR", "TOPIC", "PARTITION", "RETRY", "ERROR"];
    let rows = rows.iter().map(|row| {
        let error = row.error_message.clone().unwrap_or_default();
        vec![
            row.mirror.clone(),
            row.topic.clone(),
            row.partition.to_string(),
            retry(row.retry_attempt, row.attempts_max),
            text::shortened(&error, ERROR_CHARACTERS),
        ]
    });
    text::table(&heads, &rows.collect::<Vec<_>>())
}

/// How often it was tried again, of how many times.
fn retry(attempt: i16, most: i16) -> String {
    match (attempt, most) {
        (..0, _) => "NonRetryable".to_owned(),
        (_, ..=0) => attempt.to_string(),
        _ => format!("{attempt}/{most}"),
    }
}

pub(super) fn number_or_dash(number: i64) -> String {
    match number {
        ..0 => "-".to_owned(),
        _ => number.to_string(),
    }
}

fn some_or_dash(text: String) -> String {
    if text.is_empty() {
        "-".to_owned()
    } else {
        text
    }
}

pub(super) fn as_json(rows: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(rows).expect("numbers and texts are JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::mirror_rpc::MirrorTopic;

    fn mirror() -> ClusterMirror {
        let mirrored = MirrorPartition {
            partition_index: 3,
            state_value: "MIRRORING".to_owned(),
            source_offset: 12,
            destination_offset: 10,
            ..MirrorPartition::default()
        };
        let unknown = MirrorPartition {
            state_value: "UNKNOWN".to_owned(),
            ..MirrorPartition::default()
        };
        let failed = MirrorPartition {
            partition_index: 1,
            state_value: "FAILED".to_owned(),
            error_message: Some("x".repeat(100)),
            retry_attempt: 3,
            source_offset: 5,
            destination_offset: 7,
            last_mirror_epoch: 2,
            last_mirror_offset: 6,
            set_aside: Some(r#"[{"topic":"orders","partition":1,"from":7}]"#.to_owned()),
            ..MirrorPartition::default()
        };
        ClusterMirror {
            mirror_name: "dr".to_owned(),
            retry_attempts_max: 20,
            topics: vec![MirrorTopic {
                topic_name: "orders".to_owned(),
                partitions: vec![unknown, failed, mirrored],
                ..MirrorTopic::default()
            }],
            ..ClusterMirror::default()
        }
    }

    #[test]
    fn a_description_has_the_columns_of_the_kip() {
        let rows: Vec<Row> = rows_of(mirror()).collect();
        let expected = "\
MIRROR   TOPIC  PARTITION  SOURCE-OFFSET  DESTINATION-OFFSET  LAG      STATE
dr      orders          0              -                   -    -          -
dr      orders          1              5                   7    0     FAILED
dr      orders          3             12                  10    2  MIRRORING";
        assert_eq!(partitions(&rows), expected);
    }

    #[test]
    fn failures_tell_how_often_and_why() {
        let rows: Vec<Row> = rows_of(mirror()).filter(|row| row.partition == 1).collect();
        let shown = failures(&rows);
        let (heads, line) = shown.split_once('\n').expect("two lines");
        let words = |line: &str| {
            let words = line.split_whitespace().map(str::to_owned);
            words.collect::<Vec<_>>()
        };
        assert_eq!(
            words(heads),
            ["MIRROR", "TOPIC", "PARTITION", "RETRY", "ERROR"]
        );
        let words = words(line);
        assert_eq!(words[..4], ["dr", "orders", "1", "3/20"]);
        assert_eq!(words[4].chars().count(), 80);
        assert_eq!(retry(-1, 20), "NonRetryable");
        assert_eq!(retry(4, 0), "4");
    }

    #[test]
    fn json_has_the_keys_of_the_kip_and_the_last_positions() {
        let rows: Vec<Row> = rows_of(mirror()).collect();
        let json = as_json(&rows[1]);
        assert!(json.contains(r#""setAside":[{"topic":"orders","#), "{json}");
        let rows = &rows[2..];
        let expected = [
            r#"[{"mirror":"dr","topic":"orders","partition":3,"sourceOffset":12,"#,
            r#""destinationOffset":10,"lag":2,"state":"MIRRORING","retryAttempt":0,"#,
            r#""errorMessage":null,"lastMirrorEpoch":-1,"lastMirrorOffset":-1}]"#,
        ]
        .concat();
        assert_eq!(as_json(rows), expected);
    }
}
