//! What a node lists of what it has set aside, against what Kafka's own tool reads there and what
//! was written.

use std::collections::BTreeMap;

use serde_json::Value;

use super::node::Node;
use super::*;

/// The lists of all partitions in a description or a report.
pub(super) fn of(rows: &Value) -> Vec<Value> {
    let rows = rows.as_array().expect("a list of partitions").iter();
    let lists = rows.filter_map(|row| row["setAside"].as_array());
    lists.flatten().cloned().collect()
}

/// What a node describes.
pub(super) fn told(node: &Node) -> Vec<Value> {
    of(&node.mirrors(&["describe", "--json"]).expect_code(0).json())
}

pub(super) fn number(value: &Value, key: &str) -> i64 {
    let number = value[key].as_i64();
    number.unwrap_or_else(|| panic!("{key} of {value}"))
}

/// 150 records of nobody, 100 of one producer and 30 of another, in three transactions: two of
/// them committed, so that each partition has such an end of theirs at most twice.
pub(super) fn is_what_lies_there(workload: &Workload, node: &Node, told: &[Value]) {
    let mut by_producer: BTreeMap<i64, i64> = BTreeMap::new();
    let mut of_nobody = 0;
    for aside in told {
        let dumped = Dumped::of(workload, node, aside);
        let sum = |key: &str| number(&aside["withoutProducer"], key);
        assert_eq!(
            dumped.producers.get(&-1).copied().unwrap_or_default(),
            sum("records")
        );
        for one in aside["producers"].as_array().expect("a list") {
            let id = number(one, "producerId");
            let records = number(one, "records");
            assert_eq!(dumped.producers.get(&id), Some(&records), "{aside}");
            *by_producer.entry(id).or_default() += records;
        }
        let listed = dumped.producers.keys().filter(|id| **id >= 0).count();
        assert_eq!(aside["producers"].as_array().map(Vec::len), Some(listed));
        assert_eq!(
            number(&aside["control"], "batches"),
            dumped.control,
            "{aside}"
        );
        let [committed, aborted, open] = ["committed", "aborted", "open"]
            .map(|how| number(aside, &format!("{how}Transactions")));
        assert_eq!((committed + aborted, open), (dumped.control, 0), "{aside}");
        assert!(committed <= 2 && aborted <= 1, "{aside}");
        assert_eq!(number(aside, "batches"), dumped.batches);
        assert_eq!(number(aside, "to"), dumped.end);
        assert_eq!(number(aside, "unreadableBytes"), 0);
        of_nobody += sum("records");
    }
    let mut records: Vec<i64> = by_producer.into_values().collect();
    records.sort_unstable();
    assert_eq!((of_nobody, records), (150, vec![30, 100]), "{told:?}");
}

/// What Kafka's tool prints of a part of a log, summed up.
#[derive(Default)]
struct Dumped {
    batches: i64,
    control: i64,
    end: i64,
    /// Records that are no markers.
    producers: BTreeMap<i64, i64>,
}

impl Dumped {
    fn of(workload: &Workload, node: &Node, aside: &Value) -> Dumped {
        let all = dump::lines(workload, &node.data.join("logs.aside"));
        let path = aside["path"].as_str().expect("a path");
        let files = all.iter().filter(|(file, _)| file.starts_with(path));
        let mut dumped = Dumped::default();
        for line in files.flat_map(|(_, lines)| lines) {
            if line.starts_with("baseOffset: ") {
                dumped.take(line);
            }
        }
        dumped
    }

    fn take(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let after = |key: &str| {
            let at = words.iter().position(|word| *word == key);
            at.map_or_else(|| panic!("no {key} in {line}"), |at| words[at + 1])
        };
        let number = |key: &str| after(key).parse::<i64>().expect("a number");
        self.batches += 1;
        self.end = number("lastOffset:") + 1;
        match after("isControl:") {
            "true" => self.control += 1,
            _ => *self.producers.entry(number("producerId:")).or_default() += number("count:"),
        }
    }
}
