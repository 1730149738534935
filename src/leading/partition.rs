//! One partition that we lead: what follows from fetches, from the shard's word and from the
//! controller's. Decides, and performs nothing.

use std::time::Duration;

use super::inbox::{IsrChange, IsrFate, LeaderEpochs, Leadership, Moved, Stood};
use crate::model::{BrokerId, Instant, LeaderEpoch, Offset, TopicId, TopicPartition, Watermarks};
use crate::replica::{
    Eligible, Fetched, Followers, Isr, Proposal, expansion, high_watermark, is_drained, shrinkage,
};

/// One partition in one epoch of ours.
#[derive(Debug)]
pub(super) struct Led {
    pub(super) id: TopicPartition,
    pub(super) topic_id: TopicId,
    pub(super) leader_epoch: LeaderEpoch,
    partition_epoch: i32,
    us: BrokerId,
    /// All replicas but ours.
    pub(super) replicas: Vec<BrokerId>,
    isr: Isr,
    min_isr: usize,
    pub(super) holds_others: bool,
    log_start: Offset,
    before: Option<(Offset, Offset)>,
    log_end: Offset,
    high_watermark: Offset,
    epochs: LeaderEpochs,
    followers: Followers,
    /// What was proposed last and has no fate yet, and when.
    pending: Option<(IsrChange, Instant)>,
}

/// What is new of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing that is told of it.
    None,
    /// It has grown, or lost records in front.
    Moved,
    /// It was cut: what was found in its files is worth nothing, and followers have to come back.
    Cut,
}

impl Led {
    /// Leadership begins: nobody has fetched, and the high watermark is what was written down.
    pub(super) fn begin(us: BrokerId, now: Instant, told: Leadership) -> Led {
        assert!(
            told.log_start <= told.log_end,
            "a log begins before it ends"
        );
        assert!(
            told.epochs.latest() <= told.leader_epoch,
            "{}: a batch is of an epoch after {}, in which we lead",
            told.id,
            told.leader_epoch
        );
        let mut led = Led {
            id: told.id,
            topic_id: told.topic_id,
            leader_epoch: told.leader_epoch,
            partition_epoch: told.partition_epoch,
            us,
            replicas: Vec::new(),
            isr: Isr {
                committed: told.isr,
                proposed: None,
            },
            min_isr: told.min_isr,
            holds_others: told.holds_others,
            log_start: told.log_start,
            before: told.before,
            log_end: told.log_end,
            high_watermark: told.high_watermark.clamp(told.log_start, told.log_end),
            epochs: told.epochs,
            followers: Followers::default(),
            pending: None,
        };
        led.assign(&told.replicas, now);
        led.advance();
        led
    }

    /// The controller's word within our epoch. Of the log, shards tell more.
    pub(super) fn change(&mut self, now: Instant, told: &Leadership) {
        assert_eq!(told.leader_epoch, self.leader_epoch, "another leadership");
        if told.partition_epoch < self.partition_epoch {
            return;
        }
        if told.partition_epoch > self.partition_epoch {
            // Whatever was proposed in an older state can come about no more.
            self.isr.proposed = None;
            self.partition_epoch = told.partition_epoch;
            self.isr.committed.clone_from(&told.isr);
        }
        self.min_isr = told.min_isr;
        self.holds_others = told.holds_others;
        self.assign(&told.replicas, now);
        self.advance();
    }

    fn assign(&mut self, replicas: &[BrokerId], now: Instant) {
        let others = replicas.iter().copied().filter(|id| *id != self.us);
        self.replicas = others.collect();
        self.followers.retain(&self.replicas);
        self.expect_isr(now);
    }

    /// Whoever is in sync counts, heard of or not.
    fn expect_isr(&mut self, now: Instant) {
        let others = self.isr.committed.iter().copied();
        let others: Vec<BrokerId> = others.filter(|id| *id != self.us).collect();
        self.followers.expect(&others, now);
    }

    /// The shard's word; of another leadership's log it says nothing.
    pub(super) fn moved(&mut self, now: Instant, told: Moved) -> Change {
        if told.stamp != self.leader_epoch {
            return Change::None;
        }
        assert!(
            told.log_start <= told.log_end,
            "a log begins before it ends"
        );
        let is_cut = told.log_end < self.log_end;
        let is_moved = (told.log_start, told.log_end) != (self.log_start, self.log_end);
        self.log_start = told.log_start;
        self.log_end = told.log_end;
        if let Some(epochs) = told.epochs {
            self.epochs = epochs;
        }
        if is_cut {
            self.followers = Followers::default();
            self.expect_isr(now);
        }
        self.advance();
        match (is_cut, is_moved) {
            (true, _) => Change::Cut,
            (false, true) => Change::Moved,
            (false, false) => Change::None,
        }
    }

    /// A follower's fetch that has just arrived and was found right. Says whether anything that is
    /// told has changed by it, and what is to be proposed.
    pub(super) fn fetched(
        &mut self,
        fetched: &Fetched,
        eligible: &Eligible,
    ) -> (bool, Option<IsrChange>) {
        let before = self.followers.get(fetched.follower);
        let is_news = before.is_none_or(|one| !one.has_fetched || one.log_end != fetched.offset);
        self.followers.fetched(*fetched, self.log_end);
        if is_news {
            self.advance();
        }
        let wanted = match self.pending {
            Some(_) => None,
            None => expansion(
                &self.isr,
                &self.replicas,
                eligible,
                fetched,
                self.high_watermark,
                self.epoch_start(),
            ),
        };
        let proposal = wanted.map(|wanted| self.propose(fetched.at, wanted));
        (is_news, proposal)
    }

    /// Whoever has lagged for too long is to be in sync no longer.
    pub(super) fn shrink(
        &mut self,
        now: Instant,
        eligible: &Eligible,
        lag_max: Duration,
    ) -> Option<IsrChange> {
        if self.pending.is_some() || self.isr.committed.len() < 2 {
            return None;
        }
        let wanted = shrinkage(
            self.us,
            &self.isr,
            &self.followers,
            eligible,
            now,
            lag_max,
            self.min_isr,
        )?;
        Some(self.propose(now, wanted))
    }

    fn propose(&mut self, now: Instant, wanted: Proposal) -> IsrChange {
        self.isr.proposed = Some(wanted.iter().map(|(id, _)| *id).collect());
        let change = IsrChange {
            topic: self.topic_id,
            partition: self.id.partition,
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            isr: wanted,
        };
        self.pending = Some((change.clone(), now));
        change
    }

    /// What became of a proposal.
    pub(super) fn fate(&mut self, now: Instant, fate: IsrFate) {
        if self.pending.take().is_none() {
            return;
        }
        match fate {
            // The metadata may have said so before, and more.
            IsrFate::Committed {
                isr,
                partition_epoch,
            } if partition_epoch > self.partition_epoch => {
                self.isr.committed = isr;
                self.isr.proposed = None;
                self.partition_epoch = partition_epoch;
                self.expect_isr(now);
            }
            IsrFate::Reverted => self.isr.proposed = None,
            // Those who were proposed may be in sync, until the metadata says who is.
            IsrFate::Committed { .. } | IsrFate::Overtaken => {}
        }
        self.advance();
    }

    /// A proposal whose fate is not told for too long is made once more, just as it was: the
    /// controller takes it or knows it already. One that was overtaken is forgotten.
    pub(super) fn repeat(&mut self, now: Instant, timeout: Duration) -> Option<IsrChange> {
        let (change, since) = self.pending.as_mut()?;
        if now.since(*since) < timeout {
            return None;
        }
        *since = now;
        let change = change.clone();
        if self.isr.proposed.is_none() || change.partition_epoch != self.partition_epoch {
            self.pending = None;
            return None;
        }
        Some(change)
    }

    /// Whether a proposal waits for its fate.
    pub(super) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    fn advance(&mut self) {
        let before = self.high_watermark.min(self.log_end);
        let mark = high_watermark(
            self.us,
            self.log_end,
            &self.isr,
            &self.followers,
            self.min_isr,
            before,
        );
        assert!(
            mark == before || self.is_with_all(mark),
            "{}: the high watermark would be {mark}, which somebody in sync does not have",
            self.id
        );
        self.high_watermark = mark.max(self.log_start);
        assert!(
            (before..=self.log_end).contains(&self.high_watermark),
            "{}: the high watermark falls, or is above its log",
            self.id
        );
    }

    /// Whether everybody who may be in sync has fetched up to there.
    fn is_with_all(&self, mark: Offset) -> bool {
        let has_it = |id| {
            let follower = self.followers.get(id);
            id == self.us || follower.is_some_and(|one| one.log_end >= mark)
        };
        self.isr.maximal().all(has_it)
    }

    /// What followers are told. When transactions end, they find out themselves.
    pub(super) fn watermarks(&self) -> Watermarks {
        Watermarks {
            log_start: self.shown_start(),
            last_stable: self.high_watermark,
            high_watermark: self.high_watermark,
            log_end: self.log_end,
        }
    }

    /// From here on we have its records.
    pub(super) fn held_from(&self) -> Offset {
        self.log_start
    }

    /// Where the log begins as a whole. Followers delete what lies before that, so that it is not
    /// where our part of it begins.
    fn shown_start(&self) -> Offset {
        let before = self.before.filter(|(_, to)| self.log_start <= *to);
        before.map_or(self.log_start, |(from, _)| from)
    }

    pub(super) fn is_drained(&self) -> bool {
        is_drained(
            self.us,
            self.log_end,
            &self.isr,
            &self.followers,
            self.high_watermark,
        )
    }

    pub(super) fn stood(&self) -> Stood {
        let heard = self.followers.heard();
        Stood {
            id: self.id.clone(),
            leader_epoch: self.leader_epoch,
            high_watermark: self.high_watermark,
            log_end: self.log_end,
            is_drained: self.is_drained(),
            followers: heard.map(|(id, one)| (id, one.log_end)).collect(),
        }
    }

    /// As Kafka's `LeaderEpochFileCache.endOffsetFor`.
    pub(super) fn end_of(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        if epoch == self.epochs.latest() {
            return Some((epoch, self.log_end));
        }
        let (_, end) = self.epochs.iter().find(|(known, _)| *known > epoch)?;
        let floor = self.epochs.iter().take_while(|(known, _)| *known <= epoch);
        Some((floor.last().map_or(epoch, |(floor, _)| floor), end))
    }

    /// The epoch in which the record at `offset` was taken in.
    pub(super) fn epoch_at(&self, offset: Offset) -> LeaderEpoch {
        let begun = self.epochs.iter().take_while(|(_, start)| *start <= offset);
        begun.last().map_or(LeaderEpoch::NONE, |(epoch, _)| epoch)
    }

    /// Where our epoch began.
    fn epoch_start(&self) -> Offset {
        let last = self.epochs.iter().last();
        let ours = last.filter(|(epoch, _)| *epoch == self.leader_epoch);
        ours.map_or(self.log_end, |(_, start)| start)
    }
}
