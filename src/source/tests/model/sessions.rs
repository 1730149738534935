//! What brokers remember of those who ask, as Kafka's `FetchSession` does (KIP-227).

use std::collections::BTreeMap;

use super::chance::Chance;
use super::cluster::PartAnswer;
use crate::model::{Offset, PartitionIndex, TopicId};
use crate::protocol::error_code::ErrorCode;
use crate::protocol::fetch::{Ask, AskedPartition, Session};

/// A request as a broker sees it.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) ask: Ask,
    pub(super) session: Session,
    pub(super) asked: Vec<AskedPartition>,
    pub(super) forgotten: Vec<(TopicId, PartitionIndex)>,
}

/// All sessions of all brokers.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    known: BTreeMap<i32, Known>,
    last_id: i32,
}

#[derive(Debug)]
struct Known {
    broker: i32,
    /// The epoch of the next request.
    epoch: i32,
    /// In the order of filling: whoever had records goes to the end.
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    asked: AskedPartition,
    /// High watermark and log start as told last.
    told: Option<(Option<Offset>, Option<Offset>)>,
}

impl Sessions {
    /// Everything that the request wants, with the session's id (0 for none) and whether this is
    /// its first answer.
    pub(super) fn take_in(
        &mut self,
        broker: i32,
        wanted: &Wanted,
        stormy: bool,
        chance: &mut Chance,
    ) -> Result<(i32, Vec<AskedPartition>, bool), ErrorCode> {
        let Session { id, epoch } = wanted.session;
        if stormy && chance.one_in(40) {
            self.known.remove(&id);
        }
        match epoch {
            -1 => Ok((0, wanted.asked.clone(), true)),
            0 => {
                self.known.remove(&id);
                Ok((
                    self.begin(broker, wanted, stormy, chance),
                    wanted.asked.clone(),
                    true,
                ))
            }
            _ => {
                let asked = self.go_on(broker, wanted)?;
                Ok((id, asked, false))
            }
        }
    }

    fn begin(&mut self, broker: i32, wanted: &Wanted, stormy: bool, chance: &mut Chance) -> i32 {
        assert!(wanted.forgotten.is_empty(), "there is nothing to forget");
        if stormy && chance.one_in(4) {
            return 0;
        }
        self.last_id += 1;
        let member = |asked: &AskedPartition| Member {
            asked: *asked,
            told: None,
        };
        let known = Known {
            broker,
            epoch: 1,
            members: wanted.asked.iter().map(member).collect(),
        };
        self.known.insert(self.last_id, known);
        self.last_id
    }

    fn go_on(&mut self, broker: i32, wanted: &Wanted) -> Result<Vec<AskedPartition>, ErrorCode> {
        let known = self.known.get_mut(&wanted.session.id);
        let known = known.ok_or(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)?;
        assert_eq!(known.broker, broker, "a session of another broker");
        assert_eq!(
            known.epoch, wanted.session.epoch,
            "requests came in another order"
        );
        known.epoch += 1;
        for asked in &wanted.asked {
            let is_it = |member: &&mut Member| key(&member.asked) == key(asked);
            match known.members.iter_mut().find(is_it) {
                Some(member) => member.asked = *asked,
                None => known.members.push(Member {
                    asked: *asked,
                    told: None,
                }),
            }
        }
        known
            .members
            .retain(|member| !wanted.forgotten.contains(&key(&member.asked)));
        Ok(known.members.iter().map(|member| member.asked).collect())
    }

    /// Leaves out of a session's answer what it has told before.
    pub(super) fn what_is_new(&mut self, id: i32, parts: Vec<PartAnswer>) -> Vec<PartAnswer> {
        let Some(known) = self.known.get_mut(&id) else {
            return parts;
        };
        let is_new = |part: &PartAnswer| {
            let head = &part.head;
            let is_it = |member: &Member| member.asked.topic == head.topic;
            let place = known
                .members
                .iter()
                .position(is_it)
                .expect("it was asked for");
            let mut member = known.members.remove(place);
            let told = (head.high_watermark, head.log_start);
            let has_failed = head.error != ErrorCode::NONE;
            let is_new = has_failed
                || head.records_bytes > 0
                || part.tail.diverging.is_some()
                || member.told != Some(told);
            member.told = (!has_failed).then_some(told);
            let place = match head.records_bytes {
                0 => place,
                _ => known.members.len(),
            };
            known.members.insert(place, member);
            is_new
        };
        let mut is_new = is_new;
        parts.into_iter().filter(|part| is_new(part)).collect()
    }

    /// Who stands in a session.
    pub(super) fn members(&self, id: i32) -> Option<Vec<AskedPartition>> {
        let known = self.known.get(&id)?;
        Some(known.members.iter().map(|member| member.asked).collect())
    }
}

fn key(asked: &AskedPartition) -> (TopicId, PartitionIndex) {
    (asked.topic, asked.partition)
}
