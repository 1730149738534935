//! In which directory our replicas are, as the controller is told where it takes them for lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::io::World;
use crate::kraft::Image;
use crate::model::{BrokerEpoch, BrokerId, TopicPartition, Uuid};
use crate::protocol::ErrorCode;
use crate::protocol::controller::AssignReplicas;
use crate::session::{Client, Refusal};

/// Replicas in one request, as a stock broker bounds them (`AssignmentsManager`).
const REPLICAS_MAX: usize = 2_000;

/// Where we live, as one life of us is registered.
#[derive(Debug)]
pub(super) struct Dwelling {
    pub(super) image: Arc<Image>,
    pub(super) broker: BrokerId,
    pub(super) epoch: BrokerEpoch,
    pub(super) directory: Uuid,
}

impl Dwelling {
    /// The controller elects nobody for a replica of a directory that it takes for lost: ours is
    /// another one where our disk was replaced. Whether it is so shows with the next election.
    pub(super) async fn tell<W: World>(
        &self,
        client: &mut Client<W>,
        unelected: &BTreeMap<TopicPartition, Refusal>,
    ) {
        for request in self.requests(unelected) {
            match client.ask(&request).await {
                Ok(ErrorCode::NONE) => {}
                Ok(code) => tracing::warn!("the controller answers AssignReplicasToDirs: {code}"),
                Err(fault) => return tracing::warn!("{fault}"),
            }
        }
    }

    fn requests(&self, unelected: &BTreeMap<TopicPartition, Refusal>) -> Vec<AssignReplicas> {
        let elsewhere = unelected
            .iter()
            .filter(|(_, why)| why.code == ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE);
        let topics = &self.image.topics;
        let replicas =
            elsewhere.filter_map(|(id, _)| Some((topics.id_of(&id.topic)?, id.partition)));
        let mut replicas: Vec<_> = replicas.collect();
        replicas.sort_unstable();
        let requests = replicas.chunks(REPLICAS_MAX).map(|some| AssignReplicas {
            broker: self.broker,
            epoch: self.epoch,
            directory: self.directory,
            replicas: some.to_vec(),
        });
        requests.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kraft::Delta;
    use crate::model::{PartitionIndex, TopicId};
    use crate::protocol::metadata_record::{MetadataRecord, spoken};

    #[test]
    fn what_is_refused_for_its_directory_is_told_in_requests_that_are_bounded() {
        let (mut image, topic) = (Image::default(), TopicId::new([3; 16]));
        let bytes = spoken::topic("t", topic);
        let record = MetadataRecord::read(&bytes).expect("sound");
        image.apply(record, &mut Delta::default()).expect("it fits");
        let dwelling = Dwelling {
            image: Arc::new(image),
            broker: BrokerId(9001),
            epoch: BrokerEpoch::new(7),
            directory: Uuid::new([5; 16]),
        };
        let refused = |topic: &str, number, code| {
            let id = format!("{topic}-{number}").parse().expect("a partition");
            let said = String::new();
            (id, Refusal { code, said })
        };
        let lost = ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE;
        let count = i32::try_from(REPLICAS_MAX).expect("few") + 1;
        let mut unelected: BTreeMap<_, _> = (0..count).map(|one| refused("t", one, lost)).collect();
        unelected.extend([
            refused("t", count, ErrorCode::ELECTION_NOT_NEEDED),
            refused("unknown", 0, lost),
        ]);
        let requests = dwelling.requests(&unelected);
        let sizes: Vec<usize> = requests.iter().map(|one| one.replicas.len()).collect();
        assert_eq!(sizes, [REPLICAS_MAX, 1]);
        let last = (topic, PartitionIndex::new(count - 1).expect("positive"));
        assert_eq!(requests[1].replicas, [last]);
    }
}
