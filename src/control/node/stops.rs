//! What a stop would do, is doing and has done, for operators.

use crate::io::World;
use crate::mirror::{Action, PartitionKey, State};
use crate::model::{Instant, Offset, TopicName};
use crate::protocol::mirror_rpc::{AbortedTransaction, LogDigest, LostRange, StopPlan, StopReport};
use crate::shard::inbox::{Aborted, Digested, Phase};

use super::Node;
use super::course::Part;
use super::mirrored::Mirrored;

impl<W: World> Node<W> {
    /// What a stop would do with the partitions of a topic now, as JSON.
    pub(super) fn stop_plan(&self, mirror: &str, topic: &TopicName) -> String {
        let of_topic = self.partitions.iter();
        let of_topic =
            of_topic.filter(|(key, one)| key.mirror.as_str() == mirror && one.id.topic == *topic);
        let plans: Vec<StopPlan> = of_topic.map(|(key, one)| self.planned(key, one)).collect();
        StopPlan::write_all(&plans)
    }

    fn planned(&self, key: &PartitionKey, one: &Mirrored) -> StopPlan {
        let state = self.state().states().get(key);
        let membership = self.membership.as_ref();
        let partition = membership.and_then(|member| Some((member, member.partition(&one.id)?.1)));
        let heirs = partition
            .map(|(member, partition)| one.heirs(member.us, &partition.replicas, &partition.isr));
        let mut hindrances: Vec<String> = one.hindrance().map(str::to_owned).into_iter().collect();
        if let Some(heirs) = &heirs
            && heirs.in_sync.is_empty()
        {
            hindrances.push("no stock broker is in sync".to_owned());
        }
        if let Some(ids) = membership.map(|member| &member.ids)
            && membership.is_some_and(|member| !ids.is_apart(&member.stock_lives()))
        {
            let what = "the destination's producer ids are not past the source's";
            let why = ids.trouble().map(|why| format!(": {why}"));
            hindrances.push(format!("{what}{}", why.unwrap_or_default()));
        }
        if membership.is_some_and(|member| !matches!(member.part(&one.id), Part::Lead(_))) {
            hindrances.push("this node does not lead the partition now".to_owned());
        }
        hindrances.extend(self.doubt(one));
        StopPlan {
            partition: one.id.partition.value(),
            state: state
                .map_or(State::UNKNOWN_NAME, |state| state.state.name())
                .to_owned(),
            log_end: one.log_end().map(Offset::value),
            lag: one.lag(),
            open_transactions: one
                .status
                .as_ref()
                .map(|status| status.open_transactions as u64),
            new_leader: heirs.and_then(|heirs| Some(heirs.in_sync.first()?.0)),
            hindrances,
        }
    }

    /// How far the stop of a partition is, and its report as JSON.
    pub(super) fn stop_of(&self, key: &PartitionKey) -> (Option<String>, Option<String>) {
        let Some(one) = self.partitions.get(key) else {
            return (None, None);
        };
        let is_stopping = one.acting.is_some_and(|(_, action)| action == Action::Stop);
        let step = is_stopping.then(|| one.waits_for.to_owned());
        let position = self.state().positions().get(key);
        let report = position.map(|position| {
            let mut report = one.report.clone();
            report.last_mirror_offset = position.offset.map(Offset::value);
            report.last_mirror_epoch = position.epoch.is_some().then(|| position.epoch.value());
            one.progress.tell(&mut report);
            report.write()
        });
        (step, report)
    }
}

impl Mirrored {
    /// Fetching has ended where the log ends now: what is missing is missing.
    pub(super) fn report_ceased(&mut self, now: Instant, log_end: Offset, is_heard: bool) {
        let status = self.status.as_ref();
        let is_fetched = status.is_some_and(|status| status.phase == Phase::Mirroring);
        // What was told before the source fell silent may be old.
        let is_heard = is_heard && is_fetched;
        let source = self.source_end().filter(|_| is_heard);
        let lag = source.map(|source| (source.value() - log_end.value()).max(0));
        let lag_time = self.lag_time(now).filter(|_| is_heard);
        self.report = StopReport {
            lag,
            lag_ms: lag_time.and_then(|time| i64::try_from(time.as_millis()).ok()),
            lost: source
                .filter(|source| *source > log_end)
                .map(|to| LostRange {
                    from: log_end.value(),
                    to: to.value(),
                }),
            ..StopReport::default()
        };
    }

    pub(super) fn report_digest(&mut self, digest: Option<Digested>) {
        self.report.digest = digest.map(|digest| LogDigest {
            from: digest.from.value(),
            to: digest.to.value(),
            batches: digest.chain.batches,
            digest: digest.chain.to_string(),
        });
    }

    /// An earlier try of the stop had come further than what is left.
    pub(super) fn report_lost(&mut self, log_end: Offset, before: Option<Offset>) {
        if let Some(before) = before.filter(|before| *before > log_end) {
            let lost = self.report.lost.take();
            self.report.lost = Some(LostRange {
                from: log_end.value(),
                to: lost.map_or(before.value(), |lost| lost.to.max(before.value())),
            });
        }
    }

    pub(super) fn report_sealed(&mut self, aborted: &[Aborted], log_end: Offset) {
        self.report.log_end = Some(log_end.value());
        let each = aborted.iter().map(|one| AbortedTransaction {
            producer_id: one.producer.value(),
            producer_epoch: one.epoch.value(),
            first_offset: one.first_offset.value(),
        });
        self.report.aborted_transactions = each.collect();
    }
}
