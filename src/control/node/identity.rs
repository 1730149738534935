//! Who a member is from one process to the next: its directory, its life, and how that ended.
//!
//! One JSON file in the data directory, replaced as a whole. A life goes on in another process only
//! where nothing written can have been lost in between: under the same boot of the kernel. After a
//! loss of power our log may lack what followers have, and in the same life they would be told to
//! cut it off. The same holds where our logs are not there any more, or others are, and once a disk
//! has failed a sync: that life is over, and where the disk does not take that in words, the name
//! of the file says it.
//!
//! Which logs are ours they say themselves, by the id of their directory. As with a stock broker
//! they are registered by it, so that those that come back are the same directory again. Earlier
//! state of the same logs has the same id: where a backup of them is put back under the same boot,
//! nothing tells it from what was there.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::io::{Disk, Durability, File, Open, advice, replace};
use crate::model::{BrokerEpoch, Position, TopicId, Uuid};
use crate::vault::{Vault, VaultFault};

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
    /// Its log directory, as it is registered.
    pub directory: Uuid,
    /// The id that the logs of this life have, or get once they are made; unknown in a file of an
    /// early version.
    logs: Option<String>,
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
    /// It may be that the logs are there.
    #[error(
        "{why}: whose logs are in {dir} cannot be told, and where they are taken for gone nobody \
         leads what only they have. Nothing was changed: see that the disk is mounted and sound \
         (dmesg), and that the files can be read; a meta.properties that is damaged is restored \
         from a backup or, where twinlog.state is beside it, moved away: it is written again from \
         that. To begin without those logs, run: mv {dir} {dir}.damaged",
        dir = dir.display()
    )]
    Logs {
        /// Where they are.
        dir: PathBuf,
        /// Why not.
        why: VaultFault,
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
    logs: Option<String>,
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
    /// Its file cannot be read or written, or it cannot be told whose logs are there.
    pub fn begin<D: Disk>(disk: &D, data_dir: &Path, boot_id: &str) -> Result<Kept, IdentityFault> {
        disk.create_dir(data_dir).map_err(at(data_dir))?;
        let path = data_dir.join(FILE);
        let before = find(disk, &path)?;
        let dir = data_dir.join(LOGS);
        let found = Vault::directory_id(disk, &dir);
        let found = found.map_err(|why| IdentityFault::Logs { dir, why })?;
        let kept = match before {
            None => Kept::with(path.clone(), boot_id, found),
            Some(before) => before.goes_on(boot_id, found),
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

    /// A new member, with the logs that were found.
    fn with(path: PathBuf, boot_id: &str, found: Option<String>) -> Kept {
        let own = found.as_deref().and_then(id);
        // The controller elects nobody for replicas of a directory that was lost.
        let directory = own.unwrap_or_else(random);
        Kept {
            path,
            cluster_id: None,
            directory,
            logs: Some(found.unwrap_or_else(|| directory.to_string())),
            incarnation: random(),
            epoch: BrokerEpoch::NONE,
            ended_cleanly: false,
            boot_id: boot_id.to_owned(),
        }
    }

    fn goes_on(self, boot_id: &str, found: Option<String>) -> Kept {
        let has_logs = found.is_some() && (self.logs.is_none() || self.logs == found);
        if !has_logs {
            if self.cluster_id.is_some() {
                let there = found.as_deref().unwrap_or("none");
                tracing::warn!(
                    "the logs that this node had are not in {LOGS} of its data directory any more; \
                     the id of those that are is {there}: it goes on with them in another life, \
                     as the directory that they are"
                );
            }
            return Kept {
                cluster_id: self.cluster_id,
                ..Kept::with(self.path, boot_id, found)
            };
        }
        let is_same_life = self.boot_id == boot_id && !self.ended_cleanly;
        let epoch = match is_same_life || self.ended_cleanly {
            true => self.epoch,
            false => BrokerEpoch::NONE,
        };
        Kept {
            logs: found,
            incarnation: match is_same_life {
                true => self.incarnation,
                false => random(),
            },
            epoch,
            boot_id: boot_id.to_owned(),
            ..self
        }
    }

    /// The id that the logs of this life have, or get once they are made.
    #[must_use]
    pub fn logs(&self) -> String {
        let own = self.logs.clone();
        own.unwrap_or_else(|| self.directory.to_string())
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
            logs: self.logs.clone(),
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
    let id = |text: &str| id(text).ok_or_else(|| damaged(format!("'{text}' is no id")));
    Ok(Some(Kept {
        path: path.to_owned(),
        directory: id(&stored.directory)?,
        logs: stored.logs,
        incarnation: id(&stored.incarnation)?,
        cluster_id: stored.cluster_id,
        epoch: BrokerEpoch::new(stored.epoch),
        ended_cleanly: stored.ended_cleanly,
        boot_id: stored.boot_id,
    }))
}

fn id(text: &str) -> Option<Uuid> {
    let id: TopicId = text.parse().ok()?;
    Some(Uuid::new(id.bytes()))
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

    /// A member begins, and has logs by then: where none were there, in the directory that it told.
    fn begin(disk: &MemoryDisk, boot: &str) -> Kept {
        let kept = Kept::begin(disk, Path::new("/data"), boot).expect("sound");
        if Vault::node_id(disk, Path::new("/data/logs")).is_ok_and(|id| id.is_none()) {
            mount(disk, kept.directory);
        }
        kept
    }

    /// Logs with that id of theirs are there.
    fn mount(disk: &MemoryDisk, directory: Uuid) {
        let identity = crate::vault::Identity {
            cluster_id: "cluster".to_owned(),
            node_id: 9001,
            directory_id: directory.to_string(),
        };
        disk.put(Path::new(META), identity.to_text().as_bytes());
    }

    /// One that has been in a cluster.
    fn member(disk: &MemoryDisk, ended_cleanly: bool) -> Kept {
        let mut first = begin(disk, "a");
        first.epoch = BrokerEpoch::new(7);
        first.cluster_id = Some("cluster".to_owned());
        first.ended_cleanly = ended_cleanly;
        first.save(disk).expect("there is room");
        first
    }

    const META: &str = "/data/logs/meta.properties";

    /// The file system that the logs were on was not mounted at one start, and is again.
    #[test]
    fn logs_that_come_back_are_the_directory_that_they_were_in_another_life() {
        for ended_cleanly in [false, true] {
            let disk = MemoryDisk::default();
            let first = member(&disk, ended_cleanly);
            disk.remove_file(Path::new(META)).expect("it is there");
            let bare = member(&disk, ended_cleanly);
            assert_ne!(bare.incarnation, first.incarnation);
            assert_ne!(bare.directory, first.directory);
            mount(&disk, first.directory);
            let back = begin(&disk, "a");
            assert_ne!(back.incarnation, bare.incarnation, "that had other logs");
            assert_ne!(back.incarnation, first.incarnation);
            assert_eq!(back.directory, first.directory);
            assert_eq!(
                back.previous_epoch(),
                BrokerEpoch::NONE,
                "these did not end so"
            );
            assert_eq!(begin(&disk, "a"), back, "that life goes on");
        }
    }

    #[test]
    fn where_it_cannot_be_told_whose_logs_they_are_nothing_is_begun() {
        let spoil: [fn(&MemoryDisk); 3] = [
            |disk| disk.put(Path::new(META), b"version=1\ndirectory.id=x\n"),
            |disk| {
                disk.remove_file(Path::new(META)).expect("it is there");
                disk.put(Path::new("/data/logs/t-0/0.log"), b"");
            },
            |disk| {
                disk.remove_file(Path::new(META)).expect("it is there");
                disk.put(Path::new("/data/logs"), b"not to be listed");
            },
        ];
        for spoil in spoil {
            let disk = MemoryDisk::default();
            member(&disk, false);
            let file = || read(&disk, Path::new("/data/member.json")).expect("sound");
            let before = file();
            spoil(&disk);
            let fault = Kept::begin(&disk, Path::new("/data"), "a").expect_err("not told");
            assert!(fault.to_string().contains("/data/logs"), "{fault}");
            assert_eq!(file(), before);
        }
    }

    /// What it was registered with was drawn apart from its logs' own id.
    #[test]
    fn a_file_of_before_goes_on_with_the_logs_that_are_there() {
        let disk = MemoryDisk::default();
        let first = member(&disk, false);
        let before = serde_json::json!({
            "cluster_id": "cluster",
            "directory": first.directory.to_string(),
            "incarnation": first.incarnation.to_string(),
            "boot_id": "a",
            "epoch": 7,
            "ended_cleanly": false,
        });
        let file = Path::new("/data/member.json");
        disk.put(file, before.to_string().as_bytes());
        mount(&disk, Uuid::new([9; 16]));
        let again = begin(&disk, "a");
        assert_eq!(again.incarnation, first.incarnation);
        assert_eq!(again.directory, first.directory);
        let later = begin(&disk, "b");
        assert_eq!(later.directory, first.directory);
        // From then on they are known.
        mount(&disk, Uuid::new([8; 16]));
        let others = begin(&disk, "b");
        assert_ne!(others.incarnation, later.incarnation);
        assert_eq!(others.directory, Uuid::new([8; 16]));
    }

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
            // Whoever is to be another member is one, in the directory that it has.
            let file = Path::new("/data/member.json");
            disk.remove_file(file).expect("it is there");
            let another = begin(&disk, "a");
            assert_ne!(another.incarnation, next.incarnation);
            assert_eq!(another.cluster_id, None);
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
