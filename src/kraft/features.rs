//! The features that we dare to support: never more than was tried on real clusters.

use std::collections::BTreeMap;

use super::{METADATA_VERSION, Refusal};
use crate::protocol::metadata_record::FeatureRange;

/// Levels that twinlog was tried with. metadata.version 21 is Kafka 3.9's, 30 is 4.3's. Those of
/// groups, shares and streams concern coordinators, of which we never are one.
const KNOWN: [(&str, i16, i16); 7] = [
    ("eligible.leader.replicas.version", 0, 1),
    ("group.version", 0, 1),
    ("kraft.version", 0, 1),
    (METADATA_VERSION, LEAST, 30),
    ("share.version", 0, 1),
    ("streams.version", 0, 1),
    ("transaction.version", 0, 2),
];

/// What a cluster has agreed upon, by a controller's word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// Levels in force.
    pub finalized: BTreeMap<String, i16>,
}

impl Offer {
    /// Whether we dare to be a broker of a cluster with these features.
    ///
    /// # Errors
    /// One of them has a level that we have not been tried with.
    pub fn check(&self) -> Result<(), Refusal> {
        claimed(self).map(drop)
    }
}

/// Where we begin to know metadata.version. Stock brokers of 3.9 know it from 1 on, those of 4.0 to
/// 4.3 from 7 on, whatever level is in force.
const LEAST: i16 = 21;

/// Whether a broker claims what a node of ours does, and no stock broker of these releases.
#[must_use]
pub fn are_a_nodes(claimed: &[FeatureRange]) -> bool {
    claimed
        .iter()
        .any(|range| range.name == METADATA_VERSION && range.least >= LEAST)
}

/// What we say to support: all that was tried, whatever of it this controller knows. It is told
/// once in a life, and a cluster that goes to another release raises its levels within that.
///
/// # Errors
/// A level is in force that was not tried.
pub fn claimed(offer: &Offer) -> Result<Vec<FeatureRange>, Refusal> {
    for (feature, level) in &offer.finalized {
        let (feature, level) = (feature.clone(), *level);
        match KNOWN.iter().find(|(name, _, _)| *name == feature) {
            Some((_, least, most)) if !(*least..=*most).contains(&level) => {
                return Err(Refusal::FeatureLevel {
                    feature,
                    level,
                    least: *least,
                    most: *most,
                });
            }
            None if level > 0 => return Err(Refusal::UnknownFeature { feature, level }),
            _ => {}
        }
    }
    let all = KNOWN.iter().map(|(name, least, most)| FeatureRange {
        name: (*name).to_owned(),
        least: *least,
        most: *most,
    });
    Ok(all.collect())
}

/// The same for people.
pub(super) fn text(features: &[FeatureRange]) -> String {
    let each = features
        .iter()
        .map(|range| format!("{} {} to {}", range.name, range.least, range.most));
    each.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(finalized: &[(&str, i16)]) -> Offer {
        Offer {
            finalized: finalized
                .iter()
                .map(|(name, level)| ((*name).to_owned(), *level))
                .collect(),
        }
    }

    /// Kafka 3.9 may become 4.3 while we are there.
    #[test]
    fn what_was_tried_is_claimed_whatever_is_in_force() {
        for level in [21, 30] {
            let claimed = claimed(&offer(&[("metadata.version", level)])).expect("known");
            let text = text(&claimed);
            assert!(text.contains("metadata.version 21 to 30"), "{text}");
            assert!(text.contains("streams.version 0 to 1"), "{text}");
            assert!(are_a_nodes(&claimed));
        }
    }

    #[test]
    fn levels_in_force_that_we_do_not_know_are_named() {
        for level in [20, 31] {
            let refused = claimed(&offer(&[("metadata.version", level)]));
            let refused = refused.expect_err("not known").to_string();
            assert!(refused.contains("metadata.version"), "{refused}");
            assert!(refused.contains("21 to 30"), "{refused}");
        }
        let refused = claimed(&offer(&[("new.version", 1)])).expect_err("not known");
        assert!(matches!(refused, Refusal::UnknownFeature { level: 1, .. }));
        assert!(claimed(&offer(&[("new.version", 0)])).is_ok());
    }
}
