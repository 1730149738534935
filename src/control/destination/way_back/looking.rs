//! What the leaders on both sides say of a partition that is to be mirrored back.

use std::collections::BTreeMap;

use super::{Sought, Told, Whose};
use crate::io::World;
use crate::model::{LeaderEpoch, Offset, TopicId, TopicPartition};
use crate::protocol::ErrorCode;
use crate::protocol::fetch::{Ask, AskedPartition};
use crate::session::{
    Bound, BrokerAddress, Client, EpochAsked, Opening, PartitionAsked, SessionFault,
};

/// Where a batch has the checksum of all that follows it (`DefaultRecordBatch`).
const CRC_AT: usize = 17;
/// No batch that is looked at has more bytes.
const BATCH_BYTES_MAX: u32 = 128 << 20;

/// Where a log begins and ends at the destination, and where epochs end on both sides.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) start: Option<Offset>,
    pub(super) end: Option<Offset>,
    /// The end of the largest epoch there that is not above the one of the stop.
    pub(super) epoch_end: Option<(LeaderEpoch, Offset)>,
    /// What lies there behind a stop that is reported, or our own.
    pub(super) behind: Behind,
    /// What lies behind it on both sides from where both have anything.
    pub(super) beside: Behind,
    pub(super) behind_there: Behind,
    /// The same as that of the epoch at the source.
    pub(super) led_end: Option<(LeaderEpoch, Offset)>,
    /// The same of the epochs before that one.
    pub(super) led_before: Option<(LeaderEpoch, Offset)>,
}

/// The batch that has an offset, or the one that follows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Behind {
    /// Nobody has told.
    #[default]
    Unknown,
    /// There is none.
    Nothing,
    Batch {
        begins: Offset,
        crc: u32,
    },
}

/// Asks the leaders on both sides. Where one does not answer, something is missing of what is seen.
pub(super) async fn look<W: World>(
    world: &W,
    opening: Opening,
    told: &[(&Sought, Told)],
) -> BTreeMap<TopicPartition, Seen> {
    let mut seen: BTreeMap<TopicPartition, Seen> = BTreeMap::new();
    let mut here: BTreeMap<&BrokerAddress, Vec<(&Sought, Told)>> = BTreeMap::new();
    let mut doubted: BTreeMap<&BrokerAddress, Vec<(&Sought, Told)>> = BTreeMap::new();
    let mut there: BTreeMap<&BrokerAddress, Vec<EpochAsked>> = BTreeMap::new();
    for (one, said) in told {
        here.entry(&one.leader).or_default().push((one, *said));
        if let (Some((leader, _)), true) = (&one.source, said.whose != Whose::Theirs) {
            doubted.entry(leader).or_default().push((one, *said));
        }
        if let Some((leader, leader_epoch)) = &one.source
            && said.led_epoch.is_some()
        {
            let id = one.here.id.clone();
            let leader_epoch = *leader_epoch;
            let partition = PartitionAsked { id, leader_epoch };
            let epoch = said.led_epoch;
            let asked = there.entry(leader).or_default();
            asked.push(EpochAsked { partition, epoch });
        }
    }
    for (leader, asked) in here {
        if let Err(fault) = look_here(world, opening, leader, &asked, &mut seen).await {
            tracing::warn!("{fault}");
        }
    }
    for (leader, asked) in doubted {
        if let Err(fault) = look_there(world, opening, leader, &asked, &mut seen).await {
            tracing::warn!("{fault}");
        }
    }
    for (leader, asked) in there {
        match epoch_ends(world, opening, leader, &asked).await {
            Ok(ends) => {
                for (id, (end, before)) in ends {
                    let seen = seen.entry(id).or_default();
                    (seen.led_end, seen.led_before) = (Some(end), before);
                }
            }
            Err(fault) => tracing::warn!("{fault}"),
        }
    }
    seen
}

async fn look_here<W: World>(
    world: &W,
    opening: Opening,
    leader: &BrokerAddress,
    asked: &[(&Sought, Told)],
    seen: &mut BTreeMap<TopicPartition, Seen>,
) -> Result<(), SessionFault> {
    let all: Vec<PartitionAsked> = asked.iter().map(|(one, _)| one.here.clone()).collect();
    let mut client = Client::connect(world, leader, opening).await?;
    for (id, start) in client.list_offsets(&all, Bound::Start).await? {
        seen.entry(id).or_default().start = start.ok();
    }
    for (id, end) in client.list_offsets(&all, Bound::End).await? {
        seen.entry(id).or_default().end = end.ok();
    }
    for (one, said) in asked.iter().filter(|(_, said)| said.whose != Whose::Theirs) {
        let seen = seen.entry(one.here.id.clone()).or_default();
        let begins = seen.start.unwrap_or(said.to).max(said.to);
        seen.behind = behind(&mut client, one.topic, &one.here, begins).await?;
    }
    let epochs = asked.iter().filter(|(_, said)| said.epoch.is_some());
    let epochs = epochs.map(|(one, said)| EpochAsked {
        partition: one.here.clone(),
        epoch: said.epoch,
    });
    let epochs: Vec<EpochAsked> = epochs.collect();
    if !epochs.is_empty() {
        for (id, end) in client.epoch_ends(&epochs).await? {
            seen.entry(id).or_default().epoch_end = end.ok().flatten();
        }
    }
    Ok(())
}

/// What lies at the source behind stops that are not the counterpart's own word, and what the
/// destination has in the same place.
async fn look_there<W: World>(
    world: &W,
    opening: Opening,
    leader: &BrokerAddress,
    asked: &[(&Sought, Told)],
    seen: &mut BTreeMap<TopicPartition, Seen>,
) -> Result<(), SessionFault> {
    let of = |one: &Sought| {
        let (_, leader_epoch) = one.source.clone()?;
        let id = one.here.id.clone();
        Some(PartitionAsked { id, leader_epoch })
    };
    let all: Vec<PartitionAsked> = asked.iter().filter_map(|(one, _)| of(one)).collect();
    let mut client = Client::connect(world, leader, opening).await?;
    let starts = client.list_offsets(&all, Bound::Start).await?;
    let starts: BTreeMap<TopicPartition, Offset> = starts
        .into_iter()
        .filter_map(|(id, start)| Some((id, start.ok()?)))
        .collect();
    for (one, said) in asked {
        let seen = seen.entry(one.here.id.clone()).or_default();
        let start = starts.get(&one.here.id);
        let (Some(start), Some(start_here), Some(of)) = (start, seen.start, of(one)) else {
            continue;
        };
        let looked_at = said.to.max(start_here);
        let at = looked_at.max(*start);
        seen.behind_there = behind(&mut client, one.source_topic, &of, at).await?;
        seen.beside = seen.behind;
        if at != looked_at {
            // The source has no longer what lies right behind the stop.
            let mut here = Client::connect(world, &one.leader, opening).await?;
            seen.beside = behind(&mut here, one.topic, &one.here, at).await?;
        }
    }
    Ok(())
}

async fn behind<W: World>(
    client: &mut Client<W>,
    topic: TopicId,
    of: &PartitionAsked,
    at: Offset,
) -> Result<Behind, SessionFault> {
    // A whole batch comes all the same, and where there is none it is not waited for.
    let ask = Ask {
        max_wait_ms: 0,
        min_bytes: 1,
        max_bytes: 1,
    };
    let asked = AskedPartition {
        topic,
        partition: of.id.partition,
        leader_epoch: of.leader_epoch,
        fetch_offset: at,
        last_fetched_epoch: LeaderEpoch::NONE,
        log_start: None,
        max_bytes: 1,
    };
    let name = &of.id.topic;
    let fetched = client.fetch(ask, name, asked, BATCH_BYTES_MAX).await?;
    Ok(match fetched.head.error {
        ErrorCode::NONE => first(&fetched.records),
        ErrorCode::OFFSET_OUT_OF_RANGE => Behind::Nothing,
        _ => Behind::Unknown,
    })
}

fn first(records: &[u8]) -> Behind {
    let base = records.first_chunk::<8>();
    let begins = base.and_then(|base| Offset::from_wire(i64::from_be_bytes(*base)));
    let crc = records.get(CRC_AT..).and_then(|rest| rest.first_chunk());
    match begins.zip(crc) {
        Some((begins, crc)) => Behind::Batch {
            begins,
            crc: u32::from_be_bytes(*crc),
        },
        None => Behind::Nothing,
    }
}

/// The end of the largest epoch that is not above the one that is asked for, and the same of those
/// before that.
type Ends = ((LeaderEpoch, Offset), Option<(LeaderEpoch, Offset)>);

async fn epoch_ends<W: World>(
    world: &W,
    opening: Opening,
    leader: &BrokerAddress,
    asked: &[EpochAsked],
) -> Result<Vec<(TopicPartition, Ends)>, SessionFault> {
    let mut client = Client::connect(world, leader, opening).await?;
    let ends = client.epoch_ends(asked).await?.into_iter();
    let known = ends.filter_map(|(id, end)| Some((id, end.ok().flatten()?)));
    let known: Vec<_> = known.collect();
    let earlier = asked.iter().filter(|one| one.epoch.value() > 0);
    let earlier = earlier.map(|one| EpochAsked {
        partition: one.partition.clone(),
        epoch: LeaderEpoch::new(one.epoch.value() - 1),
    });
    let earlier: Vec<EpochAsked> = earlier.collect();
    let mut before = BTreeMap::new();
    if !earlier.is_empty() {
        let ends = client.epoch_ends(&earlier).await?.into_iter();
        before.extend(ends.filter_map(|(id, end)| Some((id, end.ok().flatten()?))));
    }
    let both = known.into_iter().map(|(id, end)| {
        let before = before.remove(&id);
        (id, (end, before))
    });
    Ok(both.collect())
}
