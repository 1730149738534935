//! A vault whose copy was killed: its logs are recovered and closed, for which no source is needed.

use std::path::Path;

use super::AdoptFault;
use crate::io::{Clock, World};
use crate::log::{Beginning, LogOptions, Opened, open};
use crate::model::{Offset, TopicId, TopicPartition};
use crate::uring::{self, RealDisk};
use crate::vault::{Checkpoint, Found, Identity, State, Vault};

/// Recovers every log as the next copy would, closes it and marks the vault as clean. Says what
/// stands in the vault then.
pub(super) fn close(dir: &Path, state: &State) -> Result<Found, AdoptFault> {
    let identity = Identity {
        cluster_id: state.source_cluster_id.clone(),
        node_id: 0,
        directory_id: TopicId::new(uuid::Uuid::new_v4().into_bytes()).to_string(),
    };
    let (vault, mut found) = Vault::open(RealDisk, dir, &identity, state.producer_id_shift)?;
    for id in found.partitions.clone() {
        close_log(&vault, &mut found, &id)?;
    }
    vault.save(Checkpoint::LogStart, &found.log_starts)?;
    vault.save(Checkpoint::RecoveryPoint, &found.recovery_points)?;
    vault.save(Checkpoint::HighWatermark, &found.high_watermarks)?;
    vault.save_state(&found.state)?;
    vault.close()?;
    found.clean = true;
    Ok(found)
}

/// Recovers one log, closes it and notes where it begins and ends.
fn close_log(
    vault: &Vault<RealDisk>,
    found: &mut Found,
    id: &TopicPartition,
) -> Result<(), AdoptFault> {
    let known = found.state.partitions.get_mut(id);
    let state = known.ok_or_else(|| AdoptFault::Unclean(vault.dir().to_owned()))?;
    let offset = |offset: Option<&Offset>| offset.copied().unwrap_or(Offset::ZERO);
    let log_start = offset(found.log_starts.get(id));
    let beginning = Beginning {
        topic_id: state.topic_id,
        log_start,
        recovery_point: offset(found.recovery_points.get(id)).max(log_start),
        is_clean: false,
        // Nobody is there of whom it could be fetched.
        refetchable: None,
        aside: None,
    };
    let dir = vault.partition_dir(id);
    let closed = uring::run(None, |world| async move {
        let wall = world.clock().wall();
        let opened = open(RealDisk, &dir, LogOptions::default(), beginning, wall)?;
        let Opened {
            mut log, mut store, ..
        } = opened;
        let end = store.close(&mut log, wall)?;
        Ok::<_, AdoptFault>((log.watermarks().log_start, end))
    });
    let (start, end) = closed?;
    state.position = end;
    state.log_start = Some(start);
    found.log_starts.insert(id.clone(), start);
    found.recovery_points.insert(id.clone(), end);
    found.high_watermarks.insert(id.clone(), end);
    Ok(())
}
