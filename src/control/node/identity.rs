//! Who a member is from one process to the next: its directory, its life, and how that ended.
//!
//! One JSON file in the data directory, replaced as a whole. A life goes on in another process only
//! where nothing written can have been lost in between: under the same boot of the kernel. After a
//! loss of power our log may lack what followers have, and in the same life they would be told to
//! cut it off. The same holds where our logs are not there any more, and once a disk has failed a
//! sync: that life is over, and where the disk does not take that in words, the name of the file
//! says it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::io::{Disk, Durability, File, Open, advice, replace};
use crate::model::{BrokerEpoch, Position, TopicId, Uuid};
use crate::vault::Vault;

use super::running::LOGS;

/// The file, in the data directory.
const FILE: &str = "member.json";
/// Behind the name where the life in it is over, and the file itself could not say so.
const OVER: &str = "over";
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
    /// The file still says that its life goes on.
    #[error(
        "{why}: that this node's life as a broker is over could not be noted, and followers would \
         be told to cut off what was lost here if the next start went on with it: before the node \
         is started again, run: mv {path} {path}.{OVER}",
        path = path.display()
    )]
    NotOver {
        /// The file.
        path: PathBuf,
        /// Why it could not.
        why: Box<IdentityFault>,
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
        let kept = match find(disk, &path)? {
            None => Kept {
                path: path.clone(),
                cluster_id: None,
                directory: random(),
                incarnation: random(),
                epoch: BrokerEpoch::NONE,
                ended_cleanly: false,
                boot_id: boot_id.to_owned(),
            },
            Some(before) => {
                let logs = data_dir.join(LOGS);
                let are_there = Vault::node_id(disk, &logs).is_ok_and(|id| id.is_some());
                before.goes_on(boot_id, are_there)
            }
        };
        kept.save(disk)?;
        let over = over(&path);
        match disk.remove_file(&over) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at(&over)(error)),
            _ => Ok(kept),
        }
    }

    /// Whether a member of that data directory has ever been in a cluster.
    ///
    /// # Errors
    /// Its file cannot be read.
    pub fn was_member<D: Disk>(disk: &D, data_dir: &Path) -> Result<bool, IdentityFault> {
        let kept = find(disk, &data_dir.join(FILE))?;
        Ok(kept.is_some_and(|kept| kept.cluster_id.is_some()))
    }

    /// Whoever comes next under the same boot begins another life all the same. Where that cannot
    /// be written the file gets another name: that takes no room and no sync, and need not outlive
    /// a loss of power, which ends every life.
    ///
    /// # Errors
    /// The disk takes neither: an operator has to see to it.
    pub fn end_life<D: Disk>(&mut self, disk: &D) -> Result<(), IdentityFault> {
        self.boot_id = String::new();
        let Err(fault) = self.save(disk) else {
            return Ok(());
        };
        let renamed = disk.rename(&self.path, &over(&self.path));
        renamed.map_err(|_| IdentityFault::NotOver {
            path: self.path.clone(),
            why: Box::new(fault),
        })
    }

    fn goes_on(self, boot_id: &str, has_logs: bool) -> Kept {
        let is_same_life = self.boot_id == boot_id && has_logs && !self.ended_cleanly;
        if is_same_life {
            return self;
        }
        let epoch = if self.ended_cleanly {
            self.epoch
        } else {
            BrokerEpoch::NONE
        };
        Kept {
            // The controller elects nobody for replicas of a directory that was lost.
            directory: if has_logs { self.directory } else { random() },
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

/// What is kept, maybe of a life that is over.
fn find<D: Disk>(disk: &D, path: &Path) -> Result<Option<Kept>, IdentityFault> {
    if let Some(kept) = read(disk, path)? {
        return Ok(Some(kept));
    }
    let kept = read(disk, &over(path))?;
    Ok(kept.map(|kept| Kept {
        path: path.to_owned(),
        boot_id: String::new(),
        ended_cleanly: false,
        ..kept
    }))
}

fn over(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(OVER);
    PathBuf::from(name)
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

    /// A member begins, and has logs by then.
    fn begin(disk: &MemoryDisk, boot: &str) -> Kept {
        let kept = Kept::begin(disk, Path::new("/data"), boot).expect("sound");
        let identity = crate::vault::Identity {
            cluster_id: "cluster".to_owned(),
            node_id: 9001,
            directory_id: "logs".to_owned(),
        };
        disk.put(Path::new(META), identity.to_text().as_bytes());
        kept
    }

    const META: &str = "/data/logs/meta.properties";

    /// In the life that it was in it would be the leader of what it has not got any more.
    #[test]
    fn a_life_ends_with_its_logs() {
        let disk = MemoryDisk::default();
        let mut first = begin(&disk, "a");
        first.epoch = BrokerEpoch::new(7);
        first.cluster_id = Some("cluster".to_owned());
        first.save(&disk).expect("there is room");
        assert_eq!(begin(&disk, "a").incarnation, first.incarnation);
        disk.remove_file(Path::new(META)).expect("it is there");
        let next = begin(&disk, "a");
        assert_ne!(next.incarnation, first.incarnation);
        assert_ne!(next.directory, first.directory);
        assert_eq!(next.previous_epoch(), BrokerEpoch::NONE);
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

    /// A disk that has failed a sync may well refuse what is written next.
    #[test]
    fn a_life_that_is_over_is_not_gone_on_with_though_nothing_can_be_written() {
        let spoil: [fn(&MemoryDisk); 3] = [
            |disk| disk.fail_syncs(true),
            |disk| disk.fill_after(0, 100),
            |disk| disk.break_after(0, 100),
        ];
        for spoil in spoil {
            let disk = MemoryDisk::default();
            let mut first = begin(&disk, "a");
            first.epoch = BrokerEpoch::new(7);
            first.cluster_id = Some("cluster".to_owned());
            first.save(&disk).expect("there is room");
            spoil(&disk);
            first.end_life(&disk).expect("no room is needed");
            let disk = disk.after_kill();
            assert!(Kept::was_member(&disk, Path::new("/data")).expect("sound"));
            let next = begin(&disk, "a");
            assert_ne!(next.incarnation, first.incarnation);
            assert_eq!(next.previous_epoch(), BrokerEpoch::NONE);
            assert_eq!(next.directory, first.directory);
            assert_eq!(next.cluster_id, first.cluster_id);
            assert_eq!(begin(&disk, "a"), next, "that life goes on");
            // Whoever is to be another member is one.
            let file = Path::new("/data/member.json");
            disk.remove_file(file).expect("it is there");
            assert_ne!(begin(&disk, "a").directory, first.directory);
        }
    }

    #[test]
    fn where_nothing_at_all_can_be_changed_an_operator_is_told_what_to_do_first() {
        let disk = MemoryDisk::default();
        let mut first = begin(&disk, "a");
        disk.kill_after(0);
        let fault = first.end_life(&disk).expect_err("the disk is dead");
        let said = fault.to_string();
        let command = "mv /data/member.json /data/member.json.over";
        assert!(said.contains(command), "{said}");
        // What that comes to.
        let disk = disk.after_kill();
        let [from, to] = ["/data/member.json", "/data/member.json.over"].map(Path::new);
        disk.rename(from, to).expect("it is there");
        assert_ne!(begin(&disk, "a").incarnation, first.incarnation);
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
