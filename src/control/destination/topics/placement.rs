//! Who has a partition beside us: every broker the same share, first successors above all, and
//! racks apart.

use std::collections::BTreeMap;

use crate::model::{BrokerId, TopicName};

/// A stock broker that may have replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Which.
    pub broker: BrokerId,
    /// Its rack, if it has one.
    pub rack: Option<String>,
}

/// The replicas of one partition: we first, then `factor` stock brokers, of which the first
/// succeeds us. The same for the same brokers, so that growth goes on where it was.
///
/// # Panics
/// There are fewer brokers than that.
#[must_use]
pub fn place(
    us: BrokerId,
    stock: &[Seat],
    factor: usize,
    topic: &TopicName,
    partition: usize,
) -> Vec<BrokerId> {
    assert!(factor <= stock.len(), "a factor that was not checked");
    let row = by_rack(stock);
    let count = row.len();
    // Topics of one partition must not all begin with the same broker.
    let at = first(topic, count) + partition;
    // In each round another one follows the first.
    let shift = partition / count.max(1);
    let mut replicas = vec![us];
    let mut racks: Vec<&Option<String>> = Vec::new();
    let others = (0..count.saturating_sub(1)).map(|nth| 1 + (shift + nth) % (count - 1));
    let candidates: Vec<&Seat> = std::iter::once(0)
        .chain(others)
        .map(|step| row[(at + step) % count])
        .collect();
    // Other racks first, as long as there are any; then whoever is next.
    for wants_new_rack in [true, false] {
        for seat in &candidates {
            let is_new = seat.rack.is_none() || !racks.contains(&&seat.rack);
            if replicas.len() <= factor
                && is_new >= wants_new_rack
                && !replicas.contains(&seat.broker)
            {
                replicas.push(seat.broker);
                racks.push(&seat.rack);
            }
        }
    }
    replicas
}

/// The brokers so that neighbours are of different racks, as far as that can be.
fn by_rack(stock: &[Seat]) -> Vec<&Seat> {
    let mut racks: BTreeMap<&Option<String>, Vec<&Seat>> = BTreeMap::new();
    let mut sorted: Vec<&Seat> = stock.iter().collect();
    sorted.sort_by_key(|seat| seat.broker);
    for seat in sorted {
        racks.entry(&seat.rack).or_default().push(seat);
    }
    let rounds = racks.values().map(Vec::len).max().unwrap_or(0);
    let row = (0..rounds).flat_map(|round| racks.values().filter_map(move |rack| rack.get(round)));
    row.copied().collect()
}

/// FNV-1a of the name: even, and the same on every machine.
fn first(topic: &TopicName, count: usize) -> usize {
    let hash = topic
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    usize::try_from(hash % count.max(1) as u64).expect("below a count")
}
