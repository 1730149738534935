//! A snapshot as the text of OpenMetrics.
//!
//! Names begin with `twinlog_`; behind it stand KIP-1279's own words where it has some.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::{MemberSample, PartitionSample, ShardSample, Snapshot};
use crate::kraft::Life;
use crate::mirror::{MirrorName, State};

/// What the text is, for who asks.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The lives of a member of which one is 1 and the others are 0.
const LIVES: [&str; 6] = ["absent", "fenced", "serving", "lapsed", "leaving", "gone"];

/// Writes a snapshot.
pub(super) fn written(snapshot: &Snapshot) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Shown(snapshot.clone())));
    let mut text = String::new();
    let encoded = prometheus_client::encoding::text::encode(&mut text, &registry);
    encoded.expect("strings grow");
    text
}

#[derive(Debug)]
struct Shown(Snapshot);

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(&mut encoder);
        families.mirrors(&self.0)?;
        families.states(&self.0.partitions)?;
        families.partitions(&self.0.partitions)?;
        families.shards(&self.0.shards)?;
        self.0
            .member
            .as_ref()
            .map_or(Ok(()), |member| families.member(member))
    }
}

/// A sample: its labels, and its number if it is known.
type Sample<L> = (L, Option<f64>);

struct Families<'a, 'e>(&'a mut DescriptorEncoder<'e>);

impl Families<'_, '_> {
    fn family<L: EncodeLabelSet>(
        &mut self,
        kind: MetricType,
        name: &str,
        help: &str,
        samples: impl Iterator<Item = Sample<L>>,
    ) -> fmt::Result {
        let mut known = samples.filter_map(|(labels, value)| Some((labels, value?)));
        let Some(first) = known.next() else {
            return Ok(());
        };
        let name = format!("twinlog_{name}");
        let is_counter = matches!(kind, MetricType::Counter);
        let mut family = self.0.encode_descriptor(&name, help, None, kind)?;
        for (labels, value) in std::iter::once(first).chain(known) {
            put(family.encode_family(&labels)?, is_counter, value)?;
        }
        Ok(())
    }

    fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl Iterator<Item = Sample<L>>,
    ) -> fmt::Result {
        self.family(MetricType::Gauge, name, help, samples)
    }

    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl Iterator<Item = Sample<L>>,
    ) -> fmt::Result {
        self.family(MetricType::Counter, name, help, samples)
    }

    fn mirrors(&mut self, snapshot: &Snapshot) -> fmt::Result {
        let each = |number: fn(&super::MirrorSample) -> u64| {
            snapshot.mirrors.iter().map(move |mirror| {
                let labels = [("mirror", mirror.name.as_str().to_owned())];
                (labels, whole(Some(number(mirror))))
            })
        };
        self.gauges(
            "mirror_topic_count",
            "Topics of the mirror",
            each(|mirror| mirror.topics),
        )?;
        self.counters(
            "topic_metadata_refresh_error",
            "Failures to ask the source for its topics",
            each(|mirror| mirror.metadata_errors),
        )?;
        self.counters(
            "partition_failures",
            "Failures of partitions of the mirror",
            each(|mirror| mirror.failures),
        )
    }

    /// The KIP has a gauge for each state; partitions of which nothing is known are in none.
    fn states(&mut self, partitions: &[PartitionSample]) -> fmt::Result {
        let mut counts: BTreeMap<&MirrorName, BTreeMap<State, u64>> = BTreeMap::new();
        for partition in partitions {
            let of_mirror = counts.entry(&partition.mirror).or_default();
            if let Some(state) = partition.state {
                *of_mirror.entry(state).or_default() += 1;
            }
        }
        for state in State::ALL {
            let name = format!("{}_partition_state", state.name().to_lowercase());
            let help = format!("Partitions in the state {state}");
            let samples = counts.iter().map(|(mirror, counts)| {
                let count = counts.get(&state).copied().unwrap_or_default();
                ([("mirror", mirror.as_str().to_owned())], whole(Some(count)))
            });
            self.gauges(&name, &help, samples)?;
        }
        Ok(())
    }

    fn partitions(&mut self, partitions: &[PartitionSample]) -> fmt::Result {
        let each = |number: fn(&PartitionSample) -> Option<f64>| {
            partitions.iter().map(move |partition| {
                let labels = [
                    ("mirror", partition.mirror.as_str().to_owned()),
                    ("topic", partition.topic.as_str().to_owned()),
                    ("partition", partition.partition.to_string()),
                ];
                (labels, number(partition))
            })
        };
        self.gauges(
            "lag_offsets",
            "Offsets by which the source is ahead",
            each(|partition| whole(partition.lag_offsets)),
        )?;
        self.gauges(
            "lag_bytes",
            "Bytes by which the source is ahead, about",
            each(|partition| whole(partition.lag_bytes)),
        )?;
        self.gauges(
            "lag_seconds",
            "For how long the source has been ahead",
            each(|partition| partition.lag.map(|lag| lag.as_secs_f64())),
        )?;
        self.gauges(
            "source_offset",
            "High watermark at the source",
            each(|partition| whole(partition.source_offset)),
        )?;
        self.gauges(
            "destination_offset",
            "Log end here",
            each(|partition| whole(partition.log_end)),
        )?;
        self.gauges(
            "high_watermark",
            "Offset up to which the followers in sync have everything",
            each(|partition| whole(partition.high_watermark)),
        )
    }

    fn shards(&mut self, shards: &[ShardSample]) -> fmt::Result {
        let each = |number: fn(&ShardSample) -> Option<f64>| {
            shards.iter().map(move |shard| {
                let mirror = shard.mirror.as_ref().map(MirrorName::as_str);
                let labels = [
                    ("shard", shard.shard.to_string()),
                    ("mirror", mirror.unwrap_or_default().to_owned()),
                ];
                (labels, number(shard))
            })
        };
        self.gauges(
            "shard_partitions",
            "Partitions of the shard",
            each(|shard| whole(Some(shard.partitions))),
        )?;
        self.counters(
            "shard_bytes",
            "Bytes of records that the shard has appended",
            each(|shard| whole(Some(shard.bytes))),
        )?;
        self.counters(
            "shard_batches",
            "Batches that the shard has appended",
            each(|shard| whole(Some(shard.batches))),
        )?;
        self.counters(
            "shard_busy_seconds",
            "Time for which the shard was busy",
            each(|shard| shard.busy.map(|busy| busy.as_secs_f64())),
        )
    }

    fn member(&mut self, member: &MemberSample) -> fmt::Result {
        let lives = LIVES.into_iter().map(|life| {
            let is_now = u64::from(life == word(member.life));
            ([("life", life)], whole(Some(is_now)))
        });
        self.gauges(
            "member_life",
            "How the node stands with the controller",
            lives,
        )?;
        let lease = member.lease.map(|lease| lease.as_secs_f64());
        for (name, help, number) in [
            (
                "member_lease_seconds",
                "For how long the controller takes the node for alive",
                lease,
            ),
            (
                "led_partitions",
                "Partitions that the node leads",
                whole(Some(member.led)),
            ),
            (
                "drained_partitions",
                "Led partitions whose followers in sync have everything",
                whole(Some(member.drained)),
            ),
            (
                "under_replicated_partitions",
                "Led partitions with a replica out of sync",
                whole(Some(member.under_replicated)),
            ),
        ] {
            self.one(MetricType::Gauge, name, help, number)?;
        }
        self.one(
            MetricType::Counter,
            "refused_requests",
            "Requests on the inter-broker listener that were refused",
            whole(Some(member.refused_requests)),
        )?;
        self.one(
            MetricType::Counter,
            "closed_connections",
            "Connections to it that were closed: nonsense came over them, or there were too many",
            whole(Some(member.closed_connections)),
        )
    }

    /// A family of one sample without labels.
    fn one(&mut self, kind: MetricType, name: &str, help: &str, value: Option<f64>) -> fmt::Result {
        let Some(value) = value else {
            return Ok(());
        };
        let name = format!("twinlog_{name}");
        let is_counter = matches!(kind, MetricType::Counter);
        let sample = self.0.encode_descriptor(&name, help, None, kind)?;
        put(sample, is_counter, value)
    }
}

fn put(mut sample: MetricEncoder<'_>, is_counter: bool, value: f64) -> fmt::Result {
    match is_counter {
        true => sample.encode_counter::<NoLabelSet, f64, f64>(&value, None),
        false => sample.encode_gauge(&value),
    }
}

fn word(life: Life) -> &'static str {
    match life {
        Life::Absent => "absent",
        Life::Fenced { .. } => "fenced",
        Life::Serving { .. } => "serving",
        Life::Lapsed { .. } => "lapsed",
        Life::Leaving { .. } => "leaving",
        Life::Gone => "gone",
    }
}

/// A number as the text has it; offsets above 2^53 lose their last digits.
fn whole(number: Option<u64>) -> Option<f64> {
    number.map(|number| number as f64)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::control::metrics::MirrorSample;
    use crate::model::{BrokerEpoch, Instant, PartitionIndex, ShardId, TopicName};

    fn snapshot() -> Snapshot {
        let name = MirrorName::new("dr").expect("a name");
        let partition = |index: i32, state| PartitionSample {
            mirror: name.clone(),
            topic: TopicName::new("orders").expect("a name"),
            partition: PartitionIndex::new(index).expect("not negative"),
            state,
            lag_offsets: Some(7),
            lag_bytes: None,
            lag: Some(Duration::from_millis(1_500)),
            source_offset: Some(20),
            log_end: Some(13),
            high_watermark: None,
        };
        Snapshot {
            mirrors: vec![MirrorSample {
                name: name.clone(),
                topics: 2,
                metadata_errors: 3,
                failures: 4,
            }],
            partitions: vec![
                partition(0, Some(State::Mirroring)),
                partition(1, Some(State::Mirroring)),
                partition(2, None),
            ],
            shards: vec![ShardSample {
                shard: ShardId(0),
                mirror: Some(name.clone()),
                partitions: 3,
                bytes: 1 << 40,
                batches: 5,
                busy: Some(Duration::from_millis(250)),
            }],
            member: Some(MemberSample {
                life: Life::Serving {
                    epoch: BrokerEpoch::new(5),
                    lease: Instant::from_nanos(9),
                },
                lease: Some(Duration::from_secs(9)),
                led: 3,
                drained: 2,
                under_replicated: 1,
                refused_requests: 6,
                closed_connections: 7,
            }),
        }
    }

    #[test]
    fn everything_that_is_known_is_told() {
        let text = written(&snapshot());
        let of = r#"{mirror="dr",topic="orders",partition="1"}"#;
        for line in [
            "# TYPE twinlog_mirror_topic_count gauge",
            r#"twinlog_mirror_topic_count{mirror="dr"} 2.0"#,
            r#"twinlog_topic_metadata_refresh_error_total{mirror="dr"} 3.0"#,
            r#"twinlog_partition_failures_total{mirror="dr"} 4.0"#,
            r#"twinlog_mirroring_partition_state{mirror="dr"} 2.0"#,
            r#"twinlog_failed_partition_state{mirror="dr"} 0.0"#,
            r#"twinlog_log_alignment_partition_state{mirror="dr"} 0.0"#,
            &format!("twinlog_lag_offsets{of} 7.0"),
            &format!("twinlog_lag_seconds{of} 1.5"),
            &format!("twinlog_source_offset{of} 20.0"),
            &format!("twinlog_destination_offset{of} 13.0"),
            "# TYPE twinlog_shard_bytes counter",
            r#"twinlog_shard_bytes_total{shard="0",mirror="dr"} 1099511627776.0"#,
            r#"twinlog_shard_batches_total{shard="0",mirror="dr"} 5.0"#,
            r#"twinlog_shard_busy_seconds_total{shard="0",mirror="dr"} 0.25"#,
            r#"twinlog_member_life{life="serving"} 1.0"#,
            r#"twinlog_member_life{life="fenced"} 0.0"#,
            "twinlog_member_lease_seconds 9.0",
            "twinlog_led_partitions 3.0",
            "twinlog_drained_partitions 2.0",
            "twinlog_under_replicated_partitions 1.0",
            "twinlog_refused_requests_total 6.0",
            "twinlog_closed_connections_total 7.0",
            "# EOF",
        ] {
            assert!(
                text.lines().any(|told| told == line),
                "nothing of {line}: {text}"
            );
        }
        assert_eq!(
            text.lines()
                .filter(|line| line.ends_with("_partition_state gauge"))
                .count(),
            9
        );
    }

    #[test]
    fn what_is_not_known_is_not_told() {
        let text = written(&snapshot());
        assert!(
            !text.contains("lag_bytes") && !text.contains("high_watermark"),
            "{text}"
        );
        assert_eq!(written(&Snapshot::default()), "# EOF\n");
    }
}
