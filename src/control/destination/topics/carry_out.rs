//! Asks the destination for topics and partitions, as many at once as a controller takes.

use std::collections::BTreeMap;

use super::super::{DestinationFault, PARTITIONS_PER_REQUEST};
use super::{Made, NotMade, TOPICS_PER_REQUEST};
use crate::io::World;
use crate::model::{BrokerId, TopicId};
use crate::session::{Client, Growth, NewTopic, Setting, Trial};

/// The destination's own factor of replication, as one of its brokers tells it. `None` where it
/// does not tell.
///
/// # Errors
/// The broker cannot be asked.
pub async fn default_factor<W: World>(
    client: &mut Client<W>,
    broker: BrokerId,
) -> Result<Option<Setting>, DestinationFault> {
    const NAME: &str = "default.replication.factor";
    let told = client.broker_settings(broker, &[NAME]).await?;
    Ok(told.ok().and_then(|mut settings| settings.remove(NAME)))
}

/// Makes topics and tells their ids at the destination. To be noted before, so that one which was
/// made before a crash is known again.
///
/// # Errors
/// The destination cannot be asked; some topics may have been made.
pub async fn create<W: World>(
    client: &mut Client<W>,
    topics: &[NewTopic],
    trial: Trial,
) -> Made<TopicId> {
    let mut made = BTreeMap::new();
    for some in groups(topics, |topic| topic.assignment.len()) {
        let told = client.create_topics(some, trial).await?;
        made.extend(told.into_iter().map(|(name, outcome)| {
            let outcome = outcome.map_err(|why| NotMade {
                name: name.clone(),
                why,
            });
            (name, outcome)
        }));
    }
    Ok(made)
}

/// Lets topics grow.
///
/// # Errors
/// The destination cannot be asked; some topics may have grown.
pub async fn grow<W: World>(client: &mut Client<W>, growths: &[Growth], trial: Trial) -> Made<()> {
    let mut made = BTreeMap::new();
    for some in groups(growths, |growth| growth.assignment.len()) {
        let mut refused = client.create_partitions(some, trial).await?;
        made.extend(some.iter().map(|Growth { name, .. }| {
            let outcome = match refused.remove(name) {
                Some(why) => Err(NotMade {
                    name: name.clone(),
                    why,
                }),
                None => Ok(()),
            };
            (name.clone(), outcome)
        }));
    }
    Ok(made)
}

/// Cuts into groups that one request may hold; one that alone is too large is a group of its own.
fn groups<T>(all: &[T], partitions: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let mut groups = Vec::new();
    let (mut begin, mut sum) = (0, 0);
    for (nth, one) in all.iter().enumerate() {
        let more = partitions(one);
        let is_full = sum + more > PARTITIONS_PER_REQUEST || nth - begin >= TOPICS_PER_REQUEST;
        if is_full && nth > begin {
            groups.push(&all[begin..nth]);
            (begin, sum) = (nth, 0);
        }
        sum += more;
    }
    if begin < all.len() {
        groups.push(&all[begin..]);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_holds_no_more_than_a_controller_takes() {
        let sizes = |all: &[usize]| {
            let groups = groups(all, |size| *size);
            groups.into_iter().map(<[usize]>::len).collect::<Vec<_>>()
        };
        assert_eq!(sizes(&[]), [0; 0]);
        assert_eq!(sizes(&[2_000, 2_000, 1]), [2, 1]);
        assert_eq!(sizes(&[9_000, 1, 9_000]), [1, 1, 1]);
        assert_eq!(sizes(&[1; 1_200]), [500, 500, 200]);
    }
}
