//! Who a member is from one process to the next: its directory, its life, and how that ended.
//!
//! One JSON file in the data directory, replaced as a whole. A life goes on in another process only
//! where nothing written can have been lost in between: under the same boot of the kernel. After a
//! loss of power our log may lack what followers have, and in the same life they would be told to
//! cut it off.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::io::{Disk, Durability, File, Open, advice, replace};
use crate::model::{BrokerEpoch, Position, TopicId, Uuid};

/// The file, in the data directory.
const FILE: &str = "member.json";
/// No such file is larger, in bytes.
const BYTES_MAX: u64 = 64 << 10;

/// What is kept of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    path: PathBuf,
    /// The cluster that it was in, once it was in one.
    pub cluster_id: Option<String>,
    /// Its log directory.
    pub directory: Uuid,
    /// Its life.
    pub incarnation: Uuid,
    /// The epoch of that life, once registered; of the life before, if that one ended cleanly.
    pub epoch: BrokerEpoch,
    /// The life before ended in order, and this one is another.
    pub ended_cleanly: bool,
    boot_id: String,
}

/// Why it cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum IdentityFault {
    /// What the system says.
    #[error("{}: {error}{}", path.display(), advice(error))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// It is not what we write.
    #[error(
        "{} is damaged ({why}): restore it, or remove it to be another member, once the old one \
         was unregistered",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// The form on disk.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    cluster_id: Option<String>,
    directory: String,
    incarnation: String,
    boot_id: String,
    epoch: i64,
    ended_cleanly: bool,
}

impl Kept {
    /// The member of a data directory: the one that was there, in the same life where that may go
    /// on, or a new one. `boot_id` is the kernel's own.
    ///
    /// # Errors
    /// Its file cannot be read or written.
    pub fn begin<D: Disk>(disk: &D, data_dir: &Path, boot_id: &str) -> Result<Kept, IdentityFault> {
        disk.create_dir(data_dir).map_err(at(data_dir))?;
        let path = data_dir.join(FILE);
        let kept = match read(disk, &path)? {
            None => Kept {
                path,
                cluster_id: None,
                directory: random(),
                incarnation: random(),
                epoch: BrokerEpoch::NONE,
                ended_cleanly: false,
                boot_id: boot_id.to_owned(),
            },
            Some(before) => before.goes_on(boot_id),
        };
        kept.save(disk)?;
        Ok(kept)
    }

    /// Whether a member of that data directory has ever been in a cluster.
    ///
    /// # Errors
    /// Its file cannot be read.
    pub fn was_member<D: Disk>(disk: &D, data_dir: &Path) -> Result<bool, IdentityFault> {
        let kept = read(disk, &data_dir.join(FILE))?;
        Ok(kept.is_some_and(|kept| kept.cluster_id.is_some()))
    }

    /// Whoever comes next under the same boot begins another life all the same.
    pub fn end_life(&mut self) {
        self.boot_id = String::new();
    }

    fn goes_on(self, boot_id: &str) -> Kept {
        let is_same_life = self.boot_id == boot_id && !self.ended_cleanly;
        if is_same_life {
            return self;
        }
        let epoch = if self.ended_cleanly {
            self.epoch
        } else {
            BrokerEpoch::NONE
        };
        Kept {
            incarnation: random(),
            epoch,
            boot_id: boot_id.to_owned(),
            ..self
        }
    }

    /// The epoch of the life before, where that ended in order.
    #[must_use]
    pub fn previous_epoch(&self) -> BrokerEpoch {
        match self.ended_cleanly {
            true => self.epoch,
            false => BrokerEpoch::NONE,
        }
    }

    /// Replaces what is kept, durably.
    ///
    /// # Errors
    /// What the system says.
    pub fn save<D: Disk>(&self, disk: &D) -> Result<(), IdentityFault> {
        let stored = Stored {
            cluster_id: self.cluster_id.clone(),
            directory: self.directory.to_string(),
            incarnation: self.incarnation.to_string(),
            boot_id: self.boot_id.clone(),
            epoch: self.epoch.value(),
            ended_cleanly: self.ended_cleanly,
        };
        let mut text = serde_json::to_string_pretty(&stored).expect("texts and numbers are JSON");
        text.push('\n');
        replace(disk, &self.path, text.as_bytes(), Durability::PowerLoss).map_err(at(&self.path))
    }
}

fn read<D: Disk>(disk: &D, path: &Path) -> Result<Option<Kept>, IdentityFault> {
    let file = match disk.open(path, Open::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(path)(error)),
    };
    let damaged = |why: String| IdentityFault::Damaged {
        path: path.to_owned(),
        why,
    };
    let size = file.size().map_err(at(path))?;
    if size > BYTES_MAX {
        return Err(damaged(format!("it has {size} bytes")));
    }
    let mut bytes = vec![0; usize::try_from(size).expect("bounded above")];
    let read = file.read_at(&mut bytes, Position::ZERO).map_err(at(path))?;
    let stored: Stored =
        serde_json::from_slice(&bytes[..read]).map_err(|fault| damaged(fault.to_string()))?;
    let id = |text: &str| {
        let id: Result<TopicId, _> = text.parse();
        id.map(|id| Uuid::new(id.bytes()))
            .map_err(|_| damaged(format!("'{text}' is no id")))
    };
    Ok(Some(Kept {
        path: path.to_owned(),
        directory: id(&stored.directory)?,
        incarnation: id(&stored.incarnation)?,
        cluster_id: stored.cluster_id,
        epoch: BrokerEpoch::new(stored.epoch),
        ended_cleanly: stored.ended_cleanly,
        boot_id: stored.boot_id,
    }))
}

fn random() -> Uuid {
    Uuid::new(uuid::Uuid::new_v4().into_bytes())
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> IdentityFault + '_ {
    |error| IdentityFault::Io {
        path: path.to_owned(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::memory::MemoryDisk;

    fn begin(disk: &MemoryDisk, boot: &str) -> Kept {
        Kept::begin(disk, Path::new("/data"), boot).expect("sound")
    }

    #[test]
    fn a_life_goes_on_under_the_same_boot_only() {
        let disk = MemoryDisk::default();
        let mut first = begin(&disk, "a");
        first.epoch = BrokerEpoch::new(7);
        first.cluster_id = Some("cluster".to_owned());
        first.save(&disk).expect("there is room");
        let again = begin(&disk, "a");
        assert_eq!(again, first, "nothing can be lost by the end of a process");
        let later = begin(&disk, "b");
        assert_ne!(later.incarnation, first.incarnation);
        assert_eq!(later.directory, first.directory);
        assert_eq!(later.cluster_id, first.cluster_id);
        assert_eq!(later.previous_epoch(), BrokerEpoch::NONE);
    }

    #[test]
    fn a_life_that_ended_in_order_is_another_and_says_so() {
        let disk = MemoryDisk::default();
        let mut first = begin(&disk, "a");
        first.epoch = BrokerEpoch::new(7);
        first.ended_cleanly = true;
        first.save(&disk).expect("there is room");
        let again = begin(&disk, "a");
        assert_ne!(again.incarnation, first.incarnation);
        assert_eq!(again.previous_epoch(), BrokerEpoch::new(7));
    }

    #[test]
    fn what_is_damaged_is_refused_by_name() {
        let disk = MemoryDisk::default();
        begin(&disk, "a");
        disk.put(Path::new("/data/member.json"), b"{}");
        let fault = Kept::begin(&disk, Path::new("/data"), "a").expect_err("damaged");
        assert!(
            fault.to_string().contains("member.json is damaged"),
            "{fault}"
        );
    }
}
