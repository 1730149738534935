//! The topics whose planned stop still waits, and those whose stop is forced and under way, from
//! one process to the next: one name a line, with words behind it where the stop is forced;
//! replaced as a whole before an operator is told.

use std::path::{Path, PathBuf};

use crate::io::{Disk, Durability, File, Open, World, advice, replace};
use crate::model::{Position, TopicName};

use super::Node;
use super::planned::Planned;

/// The file, in the data directory.
const FILE: &str = "planned-stops";
/// Behind the name of a topic whose stop is forced.
const FORCED: &str = " force";
/// The same where it waits no more, and is under way.
const UNDER_WAY: &str = " force stopping";
/// No such file is larger, in bytes.
const BYTES_MAX: u64 = 16 << 20;

/// What waited when the last process ended. What cannot be read is said, and waited for no more.
pub(super) fn read<D: Disk>(disk: &D, data_dir: &Path) -> Planned {
    let mut planned = Planned::default();
    match wishes(disk, &data_dir.join(FILE)) {
        Ok(wishes) => {
            for (name, how) in wishes {
                match how {
                    How::Waits => planned.want(name, false),
                    How::Forced => planned.want(name, true),
                    How::UnderWay => planned.force(name),
                }
            }
        }
        Err(why) => tracing::error!("planned stops are forgotten, order them again: {why}"),
    }
    planned
}

/// What is said of a topic.
enum How {
    Waits,
    Forced,
    UnderWay,
}

fn said_in(line: &str) -> (&str, How) {
    if let Some(name) = line.strip_suffix(UNDER_WAY) {
        return (name, How::UnderWay);
    }
    match line.strip_suffix(FORCED) {
        Some(name) => (name, How::Forced),
        None => (line, How::Waits),
    }
}

fn wishes<D: Disk>(disk: &D, path: &Path) -> Result<Vec<(TopicName, How)>, String> {
    let said = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = match disk.open(path, Open::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(said(error)),
    };
    let size = file.size().map_err(said)?;
    if size > BYTES_MAX {
        return Err(format!("{} has {size} bytes", path.display()));
    }
    let mut bytes = vec![0; usize::try_from(size).expect("bounded above")];
    let read = file.read_at(&mut bytes, Position::ZERO).map_err(said)?;
    let text = String::from_utf8_lossy(&bytes[..read]).into_owned();
    let wish = |line: &str| {
        let (name, how) = said_in(line);
        let name = TopicName::new(name);
        let name = name.ok_or_else(|| format!("{}: '{line}' is no topic", path.display()))?;
        Ok((name, how))
    };
    text.lines().map(wish).collect()
}

/// Keeps what waits, where that has changed.
fn keep<D: Disk>(disk: &D, data_dir: &Path, planned: &mut Planned) -> Result<(), String> {
    if !planned.has_changed() {
        return Ok(());
    }
    let path: PathBuf = data_dir.join(FILE);
    let wishes = planned.wishes();
    let wishes = wishes.map(|(name, how)| format!("{name}{}\n", if how { FORCED } else { "" }));
    let under_way = planned.forced().map(|name| format!("{name}{UNDER_WAY}\n"));
    let text: String = wishes.chain(under_way).collect();
    replace(disk, &path, text.as_bytes(), Durability::PowerLoss).map_err(|error| {
        planned.changed();
        format!("{}: {error}{}", path.display(), advice(&error))
    })
}

impl<W: World> Node<W> {
    /// Keeps what waits and what is forced, where that has changed.
    ///
    /// # Errors
    /// It is not kept, and is as before after a restart.
    pub(super) fn keep_planned(&mut self) -> Result<(), String> {
        let disk = self.world.disk();
        keep(disk, &self.chosen.data_dir, &mut self.planned)
    }

    /// The same now, or as soon as that can be.
    pub(super) fn keep_planned_soon(&mut self) {
        if let Err(why) = self.keep_planned() {
            tracing::error!("{why}: until it is kept, a restart would undo planned stops");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::memory::MemoryDisk;

    fn kept(disk: &MemoryDisk, planned: &mut Planned) -> Planned {
        keep(disk, Path::new("data"), planned).expect("there is room");
        read(&disk.after_kill(), Path::new("data"))
    }

    #[test]
    fn what_is_forced_stays_so_until_it_is_done_or_taken_back() {
        let [orders, payments] = ["orders", "payments"].map(|name| {
            let name = TopicName::new(name);
            name.expect("legal")
        });
        let disk = MemoryDisk::default();
        disk.create_dir(Path::new("data")).expect("there is room");
        let mut planned = Planned::default();
        planned.force(orders.clone());
        planned.want(payments.clone(), true);
        let mut again = kept(&disk, &mut planned);
        assert!(again.forces(&orders) && again.forces(&payments));
        assert_eq!(again.wishes().count(), 1, "that one still waits");
        again.forget(&payments);
        again.force(payments.clone());
        let mut again = kept(&disk, &mut again);
        assert!(again.forces(&payments));
        assert_eq!(again.wishes().count(), 0);
        again.started(&payments);
        let mut again = kept(&disk, &mut again);
        assert!(again.forces(&orders) && !again.forces(&payments));
        again.retain_forced(|_| false);
        assert!(!kept(&disk, &mut again).forces(&orders));
    }

    #[test]
    fn what_could_not_be_kept_is_kept_later() {
        let disk = MemoryDisk::default();
        disk.create_dir(Path::new("data")).expect("there is room");
        let name = TopicName::new("orders").expect("legal");
        let mut planned = Planned::default();
        planned.force(name.clone());
        disk.fill_after(0, 1);
        let why = keep(&disk, Path::new("data"), &mut planned).expect_err("it is full");
        assert!(why.contains("planned-stops"), "{why}");
        assert!(kept(&disk, &mut planned).forces(&name));
    }

    #[test]
    fn what_waits_is_read_again_and_damage_is_no_topic() {
        let (disk, dir) = (MemoryDisk::default(), Path::new("data"));
        assert_eq!(read(&disk, dir).wishes().count(), 0);
        disk.put(&dir.join(FILE), b"orders\npayments force\n");
        let planned = read(&disk, dir);
        let wishes = planned.wishes();
        let wishes: Vec<_> = wishes.map(|(name, how)| (name.to_string(), how)).collect();
        assert_eq!(
            wishes,
            [("orders".into(), false), ("payments".into(), true)]
        );
        disk.put(&dir.join(FILE), b"orders\n\xff/..\n");
        assert_eq!(read(&disk, dir).wishes().count(), 0);
    }
}
