//! The topics whose planned stop still waits, from one process to the next: one name a line, with
//! a word behind it where the stop is forced; replaced as a whole before an operator is told.

use std::path::{Path, PathBuf};

use crate::io::{Disk, Durability, File, Open, World, replace};
use crate::model::{Position, TopicName};

use super::Node;
use super::planned::Planned;

/// The file, in the data directory.
const FILE: &str = "planned-stops";
/// Behind the name of a topic whose stop is forced.
const FORCED: &str = " force";
/// No such file is larger, in bytes.
const BYTES_MAX: u64 = 16 << 20;

/// What waited when the last process ended. What cannot be read is said, and waited for no more.
pub(super) fn read<D: Disk>(disk: &D, data_dir: &Path) -> Planned {
    let mut planned = Planned::default();
    match wishes(disk, &data_dir.join(FILE)) {
        Ok(wishes) => {
            for (name, is_forced) in wishes {
                planned.want(name, is_forced);
            }
        }
        Err(why) => tracing::error!("planned stops are forgotten, order them again: {why}"),
    }
    planned
}

fn wishes<D: Disk>(disk: &D, path: &Path) -> Result<Vec<(TopicName, bool)>, String> {
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
        let (name, is_forced) = match line.strip_suffix(FORCED) {
            Some(name) => (name, true),
            None => (line, false),
        };
        let name = TopicName::new(name);
        let name = name.ok_or_else(|| format!("{}: '{line}' is no topic", path.display()))?;
        Ok((name, is_forced))
    };
    text.lines().map(wish).collect()
}

impl<W: World> Node<W> {
    /// Keeps what waits, where that has changed.
    pub(super) fn keep_planned(&mut self) {
        if !self.planned.has_changed() {
            return;
        }
        let path: PathBuf = self.chosen.data_dir.join(FILE);
        let text: String = self
            .planned
            .wishes()
            .map(|(name, is_forced)| format!("{name}{}\n", if is_forced { FORCED } else { "" }))
            .collect();
        let kept = replace(
            self.world.disk(),
            &path,
            text.as_bytes(),
            Durability::PowerLoss,
        );
        if let Err(error) = kept {
            let path = path.display();
            tracing::error!("{path}: {error}: a planned stop would not survive a restart");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::memory::MemoryDisk;

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
