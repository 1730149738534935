//! The features that we dare to support: never more than was tried on real clusters.

use std::collections::BTreeMap;

use super::Refusal;
use crate::protocol::metadata_record::FeatureRange;

/// Levels that twinlog was tried with. metadata.version 21 is Kafka 3.9's, 30 is 4.3's. Those of
/// groups, shares and streams concern coordinators, of which we never are one.
const KNOWN: [(&str, i16, i16); 7] = [
    ("eligible.leader.replicas.version", 0, 1),
    ("group.version", 0, 1),
    ("kraft.version", 0, 1),
    ("metadata.version", 21, 30),
    ("share.version", 0, 1),
    ("streams.version", 0, 1),
    ("transaction.version", 0, 2),
];

/// What a controller supports, and what its cluster has agreed upon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// Levels by feature that the controller supports.
    pub supported: BTreeMap<String, (i16, i16)>,
    /// Levels in force.
    pub finalized: BTreeMap<String, i16>,
}

impl Offer {
    /// Whether we dare to be a broker of a cluster with these features.
    ///
    /// # Errors
    /// One of them has a level that we have not been tried with.
    pub fn check(&self) -> Result<(), Refusal> {
        shared(self).map(drop)
    }
}

/// What we say to support: of each feature of the controller's what both sides know.
pub(super) fn shared(offer: &Offer) -> Result<Vec<FeatureRange>, Refusal> {
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
    let shared = KNOWN.iter().filter_map(|(name, least, most)| {
        let (their_least, their_most) = offer.supported.get(*name)?;
        let range = FeatureRange {
            name: (*name).to_owned(),
            least: *their_least.max(least),
            most: *their_most.min(most),
        };
        (range.least <= range.most).then_some(range)
    });
    Ok(shared.collect())
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

    fn offer(supported: &[(&str, i16, i16)], finalized: &[(&str, i16)]) -> Offer {
        Offer {
            supported: supported
                .iter()
                .map(|(name, least, most)| ((*name).to_owned(), (*least, *most)))
                .collect(),
            finalized: finalized
                .iter()
                .map(|(name, level)| ((*name).to_owned(), *level))
                .collect(),
        }
    }

    #[test]
    fn no_more_is_claimed_than_both_sides_know() {
        let told = [
            ("metadata.version", 7, 33),
            ("kraft.version", 0, 1),
            ("new.version", 0, 1),
        ];
        let shared = shared(&offer(&told, &[("metadata.version", 30)])).expect("known");
        assert_eq!(
            text(&shared),
            "kraft.version 0 to 1, metadata.version 21 to 30"
        );
    }

    #[test]
    fn levels_in_force_that_we_do_not_know_are_named() {
        let told = [("metadata.version", 7, 33)];
        for level in [20, 31] {
            let refused = shared(&offer(&told, &[("metadata.version", level)]));
            let refused = refused.expect_err("not known").to_string();
            assert!(refused.contains("metadata.version"), "{refused}");
            assert!(refused.contains("21 to 30"), "{refused}");
        }
        let refused = shared(&offer(&told, &[("new.version", 1)])).expect_err("not known");
        assert!(matches!(refused, Refusal::UnknownFeature { level: 1, .. }));
        assert!(shared(&offer(&told, &[("new.version", 0)])).is_ok());
    }
}
