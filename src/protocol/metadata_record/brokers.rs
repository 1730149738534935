//! Records that say what a broker is and how it fares.

use super::{required, uuids};
use crate::model::{BrokerEpoch, BrokerId, Uuid};
use crate::protocol::primitive::{Reader, Unread};

/// Where a broker or a controller listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The listener's name.
    pub name: String,
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// `SecurityProtocol`: 0 is PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    pub security: i16,
}

/// The levels of a feature that somebody supports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureRange {
    /// The feature.
    pub name: String,
    /// The least level.
    pub least: i16,
    /// The highest.
    pub most: i16,
}

/// A broker is there, or has another face.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterBroker<'b> {
    /// Which.
    pub broker: BrokerId,
    /// Which life of it, by its own word.
    pub incarnation: Uuid,
    /// Which life of it, by the controller's.
    pub epoch: BrokerEpoch,
    /// Where it listens.
    pub listeners: Vec<Listener>,
    /// What it supports.
    pub features: Vec<FeatureRange>,
    /// Its rack.
    pub rack: Option<&'b str>,
    /// Not to lead and not to be in sync.
    pub is_fenced: bool,
    /// On its way out.
    pub is_shutting_down: bool,
    /// Its log directories.
    pub directories: Vec<Uuid>,
    /// Those of them that take no new replicas.
    pub cordoned: Vec<Uuid>,
}

impl<'b> RegisterBroker<'b> {
    pub(super) fn read(
        reader: &mut Reader<'b>,
        version: u32,
    ) -> Result<RegisterBroker<'b>, Unread> {
        let broker = BrokerId(reader.i32()?);
        if version >= 2 {
            let _migrating = reader.bool()?;
        }
        let mut record = RegisterBroker {
            broker,
            incarnation: Uuid::new(reader.uuid()?),
            epoch: BrokerEpoch::new(reader.i64()?),
            // Two lengths, a port, a protocol and the count of tagged fields.
            listeners: reader.list(7, "listeners", listener)?.unwrap_or_default(),
            features: reader.list(6, "features", feature)?.unwrap_or_default(),
            rack: reader.text("a rack")?,
            is_fenced: reader.bool()?,
            is_shutting_down: version >= 1 && reader.bool()?,
            directories: Vec::new(),
            cordoned: Vec::new(),
        };
        reader.tagged(|tag, mut field| {
            let known = match tag {
                0 => &mut record.directories,
                1 => &mut record.cordoned,
                _ => return Ok(()),
            };
            *known = uuids(&mut field, "log directories")?.unwrap_or_default();
            Ok(())
        })?;
        Ok(record)
    }
}

fn listener(reader: &mut Reader<'_>) -> Result<Listener, Unread> {
    let listener = Listener {
        name: required(reader, "a listener's name")?.to_owned(),
        host: required(reader, "a listener's host")?.to_owned(),
        port: reader.u16()?,
        security: reader.i16()?,
    };
    reader.tagged(|_, _| Ok(()))?;
    Ok(listener)
}

fn feature(reader: &mut Reader<'_>) -> Result<FeatureRange, Unread> {
    let range = FeatureRange {
        name: required(reader, "a feature's name")?.to_owned(),
        least: reader.i16()?,
        most: reader.i16()?,
    };
    reader.tagged(|_, _| Ok(()))?;
    Ok(range)
}

/// What has changed about a broker; none where it has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationChange {
    /// Which.
    pub broker: BrokerId,
    /// In which life.
    pub epoch: BrokerEpoch,
    /// Fenced, or no longer.
    pub is_fenced: Option<bool>,
    /// On its way out; a broker that is never comes back in the same life.
    pub is_shutting_down: Option<bool>,
    /// Its log directories.
    pub directories: Option<Vec<Uuid>>,
    /// Those of them that take no new replicas.
    pub cordoned: Option<Vec<Uuid>>,
}

impl RegistrationChange {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<RegistrationChange, Unread> {
        let mut change = RegistrationChange {
            broker: BrokerId(reader.i32()?),
            epoch: BrokerEpoch::new(reader.i64()?),
            is_fenced: None,
            is_shutting_down: None,
            directories: None,
            cordoned: None,
        };
        reader.tagged(|tag, mut field| {
            match tag {
                0 => change.is_fenced = turn(field.i8()?),
                1 => change.is_shutting_down = turn(field.i8()?),
                // An empty list is no change here: a broker always has a directory.
                2 => {
                    change.directories = uuids(&mut field, "log directories")?
                        .filter(|directories| !directories.is_empty());
                }
                3 => change.cordoned = uuids(&mut field, "log directories")?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(change)
    }
}

/// −1 switches off, 1 on, 0 leaves it.
fn turn(value: i8) -> Option<bool> {
    match value {
        0 => None,
        value => Some(value > 0),
    }
}
