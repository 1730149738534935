//! What a node tells whoever watches it, now and then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::control::metrics::{MemberSample, MirrorSample, PartitionSample, ShardSample, Snapshot};
use crate::io::{Clock, World};
use crate::kraft::Life;
use crate::model::ShardId;

use super::Node;
use super::course::Part;
use super::mirrored::Mirrored;

/// How often.
const INTERVAL: Duration = Duration::from_secs(1);

impl<W: World> Node<W> {
    pub(super) fn tell_metrics(&mut self) {
        let now = self.world.clock().now();
        if now < self.tell_metrics_at {
            return;
        }
        self.tell_metrics_at = now.after(INTERVAL);
        // Where nobody asks, nobody listens.
        drop(self.snapshots.send(Arc::new(self.snapshot())));
    }

    fn snapshot(&self) -> Snapshot {
        let registry = self.state().registry();
        let mirrors = registry.mirrors().map(|(name, _)| MirrorSample {
            name: name.clone(),
            topics: registry.topics_of(name).count() as u64,
            metadata_errors: self.feeds.get(name).map_or(0, |feed| feed.errors),
            failures: self.failures.get(name).copied().unwrap_or_default(),
        });
        Snapshot {
            mirrors: mirrors.collect(),
            partitions: self.partition_samples(),
            shards: self.shard_samples(),
            member: self.member_sample(),
        }
    }

    fn partition_samples(&self) -> Vec<PartitionSample> {
        let now = self.world.clock().now();
        let samples = self.partitions.iter().map(|(key, one)| {
            let status = one.status.as_ref();
            PartitionSample {
                mirror: key.mirror.clone(),
                topic: one.id.topic.clone(),
                partition: key.partition,
                state: self.state().states().get(key).map(|record| record.state),
                lag_offsets: one.lag().map(i64::unsigned_abs),
                lag_bytes: one.lag_bytes(),
                lag: one.lag_time(now),
                source_offset: one.source_end().map(|end| end.value().unsigned_abs()),
                log_end: status.map(|status| status.log_end.value().unsigned_abs()),
                high_watermark: one
                    .stood
                    .as_ref()
                    .map(|stood| stood.high_watermark.value().unsigned_abs()),
            }
        });
        samples.collect()
    }

    fn shard_samples(&self) -> Vec<ShardSample> {
        let mut on: BTreeMap<ShardId, Vec<&Mirrored>> = BTreeMap::new();
        for one in self.partitions.values() {
            if let Some(shard) = one.shard {
                on.entry(shard).or_default().push(one);
            }
        }
        let samples = self.shards.iter().map(|(shard, mirror)| {
            let here = on.get(shard).map(Vec::as_slice).unwrap_or_default();
            let tallies = here.iter().filter_map(|one| one.status.as_ref());
            let tallies = tallies.map(|status| status.tally);
            let (bytes, batches) = tallies.fold((0, 0), |(bytes, batches), tally| {
                (bytes + tally.bytes, batches + tally.batches)
            });
            ShardSample {
                shard: *shard,
                mirror: mirror.clone(),
                partitions: here.len() as u64,
                bytes,
                batches,
                busy: self.worked.get(shard).copied(),
            }
        });
        samples.collect()
    }

    fn member_sample(&self) -> Option<MemberSample> {
        let membership = self.membership.as_ref()?;
        let leads = |one: &&Mirrored| matches!(membership.part(&one.id), Part::Lead(_));
        let led: Vec<&Mirrored> = self.partitions.values().filter(leads).collect();
        let is_short = |one: &&&Mirrored| {
            let partition = membership.partition(&one.id);
            partition.is_some_and(|(_, partition)| partition.isr.len() < partition.replicas.len())
        };
        let is_drained =
            |one: &&&Mirrored| one.stood.as_ref().is_some_and(|stood| stood.is_drained);
        Some(MemberSample {
            life: membership.life.unwrap_or(Life::Absent),
            lease: Some(membership.lease.left(self.world.clock().now())),
            led: led.len() as u64,
            drained: led.iter().filter(is_drained).count() as u64,
            under_replicated: led.iter().filter(is_short).count() as u64,
            refused_requests: self.served.refused,
            closed_connections: self.served.closed,
        })
    }
}
