//! Whether those who lead after us have what we had.
//!
//! The controller elects whoever is in sync, and does not look whether they have all: that they do
//! is seen here. Where our epoch ended in the new leader's log is exact whatever clients write
//! meanwhile, since what comes after it is another epoch's.

use std::collections::BTreeMap;

use crate::io::World;
use crate::model::{LeaderEpoch, Offset, TopicPartition};
use crate::protocol::ErrorCode;
use crate::session::{
    Bound, BrokerAddress, Client, EpochAsked, LogEnd, Opening, PartitionAsked, SessionFault,
};

/// A partition that we led, as it was when nothing was appended to it any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Which one, and in which epoch it is led now.
    pub asked: PartitionAsked,
    /// Where our log ended.
    pub end: LeftEnd,
    /// The epoch in which we led it; none where that is not known any more.
    pub led_in: LeaderEpoch,
}

/// Where our log ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftEnd {
    /// Exactly here.
    At(Offset),
    /// Not below: what was appended after a position was not written down.
    NotBelow(Offset),
}

/// How a new leader stands to the log that we had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It began where ours ended, and serves all of it.
    Same,
    /// It has yet to take in that it leads, or to have its followers catch up.
    NotYet(String),
    /// It does not say.
    Unknown(String),
    /// It began somewhere else.
    Differs(String),
}

/// What one leader says of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Said {
    /// Where the log ends for clients.
    end: Option<Result<LogEnd, ErrorCode>>,
    /// Where our epoch ended in it.
    epoch_end: Option<Result<Option<(LeaderEpoch, Offset)>, ErrorCode>>,
    /// Where its log begins: asked for where our epoch's end was moved.
    start: Option<Result<Offset, ErrorCode>>,
}

/// Asks a leader for all that it has taken over from us. The verdicts come in the order of `left`.
///
/// # Errors
/// It cannot be asked.
pub async fn compare<W: World>(
    world: &W,
    opening: Opening,
    leader: &BrokerAddress,
    left: &[Left],
) -> Result<Vec<Verdict>, SessionFault> {
    let mut client = Client::connect(world, leader, opening).await?;
    let all: Vec<PartitionAsked> = left.iter().map(|one| one.asked.clone()).collect();
    let mut said: BTreeMap<TopicPartition, Said> = BTreeMap::new();
    for (id, end) in client.log_ends(&all).await? {
        said.entry(id).or_default().end = Some(end);
    }
    // To those that are not led yet the broker has nothing else to say, and it has enough to do.
    let is_led = |one: &&Left| {
        let said = said.get(&one.asked.id);
        said.is_some_and(|said| matches!(said.end, Some(Ok(_))))
    };
    let epochs = left.iter().filter(is_led).map(|one| EpochAsked {
        partition: one.asked.clone(),
        epoch: one.led_in,
    });
    let epochs: Vec<EpochAsked> = epochs.collect();
    if !epochs.is_empty() {
        for (id, end) in client.epoch_ends(&epochs).await? {
            said.entry(id).or_default().epoch_end = Some(end);
        }
    }
    let said_of = |said: &BTreeMap<TopicPartition, Said>, one: &Left| {
        said.get(&one.asked.id).copied().unwrap_or_default()
    };
    let moved = left.iter().filter(|one| one.is_moved(said_of(&said, one)));
    let moved: Vec<PartitionAsked> = moved.map(|one| one.asked.clone()).collect();
    if !moved.is_empty() {
        for (id, start) in client.list_offsets(&moved, Bound::Start).await? {
            said.entry(id).or_default().start = Some(start);
        }
    }
    Ok(left
        .iter()
        .map(|one| one.judge(said_of(&said, one)))
        .collect())
}

impl Left {
    /// Its leader says that it had more than we when it began. Epochs begin no earlier than the
    /// log does: it may be that retention has deleted all that was ours.
    fn is_moved(&self, said: Said) -> bool {
        let LeftEnd::At(ours) = self.end else {
            return false;
        };
        self.led_in.is_some() && matches!(said.epoch_end, Some(Ok(Some((_, end)))) if end > ours)
    }

    fn judge(&self, said: Said) -> Verdict {
        let end = match said.end {
            Some(Ok(end)) => end,
            Some(Err(code)) => return refused(code),
            None => return Verdict::Unknown("its leader does not tell where it ends".to_owned()),
        };
        if !self.led_in.is_some() {
            return self.judge_end(end);
        }
        let began = match said.epoch_end {
            Some(Ok(Some((_, began)))) => began,
            Some(Ok(None)) | None => return not_yet(),
            Some(Err(code)) => return refused(code),
        };
        if end.leader_epoch <= self.led_in {
            return not_yet();
        }
        let ours = self.end.offset();
        let is_deleted = matches!(said.start, Some(Ok(start)) if start >= began);
        let is_same = match self.end {
            LeftEnd::At(_) => began == ours || began > ours && is_deleted,
            LeftEnd::NotBelow(_) => began >= ours,
        };
        if !is_same {
            return Verdict::Differs(format!(
                "its new leader's log ended at {began} when it took over, ours at {ours}: let \
                 nobody write to it until it is known why"
            ));
        }
        self.judge_end(end)
    }

    /// Its followers have to catch up with it before clients may read all.
    fn judge_end(&self, end: LogEnd) -> Verdict {
        let ours = self.end.offset();
        match (end.offset >= ours, self.led_in.is_some()) {
            (true, _) => Verdict::Same,
            (false, true) => Verdict::NotYet(format!("its leader serves it up to {}", end.offset)),
            (false, false) => Verdict::Differs(format!(
                "its new leader's log ends at {}, ours at {ours}: records are missing there",
                end.offset
            )),
        }
    }
}

impl LeftEnd {
    fn offset(self) -> Offset {
        match self {
            LeftEnd::At(offset) | LeftEnd::NotBelow(offset) => offset,
        }
    }
}

fn not_yet() -> Verdict {
    Verdict::NotYet("its new leader does not lead yet".to_owned())
}

fn refused(code: ErrorCode) -> Verdict {
    let is_new_to_it = [
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::LEADER_NOT_AVAILABLE,
        ErrorCode::FENCED_LEADER_EPOCH,
        ErrorCode::UNKNOWN_LEADER_EPOCH,
        ErrorCode::OFFSET_NOT_AVAILABLE,
    ];
    let why = format!("its leader answers {code}");
    match is_new_to_it.contains(&code) {
        true => Verdict::NotYet(why),
        false => Verdict::Unknown(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PartitionIndex, TopicName};

    fn left(end: LeftEnd, led_in: i32) -> Left {
        Left {
            asked: PartitionAsked {
                id: TopicPartition {
                    topic: TopicName::new("orders").expect("legal"),
                    partition: PartitionIndex::new(0).expect("not negative"),
                },
                leader_epoch: LeaderEpoch::new(4),
            },
            end,
            led_in: LeaderEpoch::new(led_in),
        }
    }

    fn said(end: i64, epoch: i32, began: Option<i64>) -> Said {
        let end = LogEnd {
            offset: Offset::new(end),
            leader_epoch: LeaderEpoch::new(epoch),
        };
        Said {
            end: Some(Ok(end)),
            epoch_end: Some(Ok(
                began.map(|began| (LeaderEpoch::new(3), Offset::new(began)))
            )),
            start: None,
        }
    }

    fn beginning(start: i64, said: Said) -> Said {
        let start = Some(Ok(Offset::new(start)));
        Said { start, ..said }
    }

    #[test]
    fn only_exactly_our_log_is_the_same() {
        let ours = left(LeftEnd::At(Offset::new(500)), 3);
        assert_eq!(ours.judge(said(500, 4, Some(500))), Verdict::Same);
        let written = said(730, 4, Some(500));
        assert_eq!(ours.judge(written), Verdict::Same, "clients write");
        for began in [499, 501, 0] {
            let differs = ours.judge(said(730, 4, Some(began)));
            let shows = began.to_string();
            assert!(
                matches!(&differs, Verdict::Differs(why) if why.contains(&shows)),
                "{differs:?}"
            );
        }
    }

    #[test]
    fn a_leader_that_has_just_begun_is_asked_again() {
        let ours = left(LeftEnd::At(Offset::new(500)), 3);
        let behind = [said(499, 4, Some(500)), said(500, 3, Some(500))];
        let unaware = [said(500, 4, None), said(500, 3, Some(200))];
        let error = |code| Said {
            end: Some(Err(code)),
            ..said(500, 4, Some(500))
        };
        let new_to_it = [error(ErrorCode::OFFSET_NOT_AVAILABLE)];
        for said in behind.into_iter().chain(unaware).chain(new_to_it) {
            assert!(matches!(ours.judge(said), Verdict::NotYet(_)), "{said:?}");
        }
        let unknown = [
            error(ErrorCode::TOPIC_AUTHORIZATION_FAILED),
            Said::default(),
        ];
        for said in unknown {
            assert!(matches!(ours.judge(said), Verdict::Unknown(_)), "{said:?}");
        }
    }

    #[test]
    fn what_was_deleted_since_is_no_difference() {
        let ours = left(LeftEnd::At(Offset::new(500)), 3);
        let moved = said(900, 4, Some(700));
        assert!(ours.is_moved(moved) && !ours.is_moved(said(900, 4, Some(500))));
        assert_eq!(ours.judge(beginning(700, moved)), Verdict::Same);
        let differs = ours.judge(beginning(100, moved));
        assert!(matches!(differs, Verdict::Differs(_)), "{differs:?}");
    }

    #[test]
    fn what_is_not_known_exactly_is_a_bound() {
        let about = left(LeftEnd::NotBelow(Offset::new(500)), 3);
        assert_eq!(about.judge(said(502, 4, Some(502))), Verdict::Same);
        let less = about.judge(said(502, 4, Some(499)));
        assert!(matches!(less, Verdict::Differs(_)), "{less:?}");
        let by_whom = left(LeftEnd::NotBelow(Offset::new(500)), -1);
        assert_eq!(by_whom.judge(said(500, 4, None)), Verdict::Same);
        let less = by_whom.judge(said(499, 4, None));
        assert!(matches!(less, Verdict::Differs(_)), "{less:?}");
    }
}
