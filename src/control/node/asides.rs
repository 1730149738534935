//! What was set aside of the node's logs: what each directory says of itself, read again at each
//! start, so that it is told for as long as it lies there.

use std::collections::BTreeMap;
use std::path::Path;

use crate::io::{Disk, Open, World};
use crate::model::{PartitionIndex, Position, SetAside, TopicName, TopicPartition};

use super::Node;
use super::steps::ASIDE;

/// Of one partition the newest ones are told, so many.
const TOLD_MAX: usize = 16;
/// No file that we write is larger, in bytes.
const BYTES_MAX: usize = 64 << 10;

/// What was set aside, by partition, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Asides(BTreeMap<TopicPartition, Vec<SetAside>>);

impl Asides {
    /// What lies in the data directory. What cannot be read is said, and left where it is.
    pub(super) fn read<D: Disk>(disk: &D, data_dir: &Path) -> Asides {
        let (mut asides, dir) = (Asides::default(), data_dir.join(ASIDE));
        let entries = match disk.list(&dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::error!(
                    "what was set aside is not listed: {}: {error}",
                    dir.display()
                );
                return asides;
            }
            entries => entries.unwrap_or_default(),
        };
        let mut all = Vec::new();
        for entry in entries.iter().filter(|entry| entry.is_dir) {
            let path = dir.join(&entry.name);
            match one(disk, &path) {
                Ok(found) => all.extend(found),
                Err(why) => tracing::error!(
                    "what was set aside in {0} is not listed: {why}; see what it is with twinlog \
                     inspect {0}",
                    path.display()
                ),
            }
        }
        all.sort_by_key(|(_, aside)| aside.timestamp);
        for (id, aside) in all {
            asides.add(&id, aside);
        }
        asides
    }

    pub(super) fn add(&mut self, id: &TopicPartition, aside: SetAside) {
        let all = self.0.entry(id.clone()).or_default();
        if all.len() == TOLD_MAX {
            all.remove(0);
        }
        all.push(aside);
    }
}

/// What a directory says of itself; nothing where it has not come from a cut, or is not whole.
fn one<D: Disk>(disk: &D, dir: &Path) -> Result<Option<(TopicPartition, SetAside)>, String> {
    let is_unfinished = dir.extension().is_some_and(|end| end == "unfinished");
    let file = match disk.open(&dir.join(SetAside::FILE), Open::Read) {
        _ if is_unfinished => return Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(|error| error.to_string())?,
    };
    let mut bytes = vec![0; BYTES_MAX];
    let read = crate::io::File::read_at(&file, &mut bytes, Position::ZERO);
    let read = read.map_err(|error| error.to_string())?;
    let mut aside: SetAside = SetAside::read(&bytes[..read])?;
    aside.producers.truncate(SetAside::PRODUCERS_MAX);
    aside.path = dir.display().to_string();
    let id = TopicName::new(&aside.topic).zip(PartitionIndex::new(aside.partition));
    let (topic, partition) = id.ok_or("it names no partition")?;
    Ok(Some((TopicPartition { topic, partition }, aside)))
}

impl<W: World> Node<W> {
    /// What was set aside of a partition, as JSON; none where that is nothing.
    pub(super) fn asides_of(&self, id: &TopicPartition) -> Option<String> {
        self.asides.0.get(id).map(SetAside::write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::memory::MemoryDisk;

    fn id() -> TopicPartition {
        "orders-3".parse().expect("it is one")
    }

    fn aside(timestamp: i64) -> SetAside {
        SetAside {
            topic: "orders".to_owned(),
            partition: 3,
            timestamp,
            ..SetAside::default()
        }
    }

    fn put(disk: &MemoryDisk, name: &str, content: &str) {
        let dir = Path::new("/data").join(ASIDE).join(name);
        disk.create_dir(&dir).expect("the disk works");
        disk.put(&dir.join(SetAside::FILE), content.as_bytes());
    }

    /// Where an operator has moved it, too; what cannot be read hides nothing else.
    #[test]
    fn the_next_start_tells_what_lies_there() {
        let disk = MemoryDisk::default();
        let read = || Asides::read(&disk, Path::new("/data")).0;
        assert!(read().is_empty(), "there is no such directory");
        put(&disk, "moved", &SetAside::write(&aside(2)));
        put(&disk, "orders-3.from-7", &SetAside::write(&aside(1)));
        put(&disk, "orders-3.from-8", "{\"topic\":\"orders\"");
        put(
            &disk,
            "orders-3.from-9",
            &SetAside::write(&SetAside::default()),
        );
        put(
            &disk,
            "orders-3.from-9.unfinished",
            &SetAside::write(&aside(3)),
        );
        let old = Path::new("/data/logs.aside/orders-3");
        disk.create_dir(old).expect("the disk works");
        let told = read();
        let at = |name: &str, timestamp| SetAside {
            path: format!("/data/logs.aside/{name}"),
            ..aside(timestamp)
        };
        let expected = vec![at("orders-3.from-7", 1), at("moved", 2)];
        assert_eq!(told, BTreeMap::from([(id(), expected)]));
    }

    #[test]
    fn the_newest_are_told() {
        let mut asides = Asides::default();
        for timestamp in 0..20 {
            asides.add(&id(), aside(timestamp));
        }
        let told: Vec<i64> = asides.0[&id()].iter().map(|one| one.timestamp).collect();
        assert_eq!(told, (4..20).collect::<Vec<_>>());
    }
}
