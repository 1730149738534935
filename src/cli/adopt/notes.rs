//! What topics had set before adopt changed it, noted in the log directory until it is set back: a
//! run that is killed in between leaves what the next one needs to do so.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::raise::Settings;
use crate::io::{Durability, advice, replace};
use crate::model::TopicName;
use crate::uring::RealDisk;

/// A broker leaves plain files of its log directory alone whose names it does not know.
const FILE: &str = "twinlog-adopting.settings";
/// Stands for no setting of the topic's own.
const NONE: &str = "-";

/// Why the notes cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotesFault {
    #[error("{}: {error}{}", path.display(), advice(error))]
    Io { path: PathBuf, error: io::Error },
    #[error(
        "{} cannot be read: see with kafka-configs whether unclean.leader.election.enable of the \
         topics is as it should be, remove the file, then run adopt again", .0.display()
    )]
    Damaged(PathBuf),
}

/// The notes of one log directory.
pub(super) struct Notes {
    path: PathBuf,
    held: Settings,
    /// The same with what was set back since.
    known: Settings,
}

impl Notes {
    /// What an earlier run has left there; mostly nothing.
    pub(super) fn read(log_dir: &Path) -> Result<Notes, NotesFault> {
        let path = log_dir.join(FILE);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(NotesFault::Io { path, error }),
            Ok(text) => text,
        };
        match text.lines().map(noted).collect() {
            Some(held) => Ok(Notes {
                path,
                known: Settings::clone(&held),
                held,
            }),
            None => Err(NotesFault::Damaged(path)),
        }
    }

    /// What was set before, of each topic that is not set back yet.
    pub(super) fn held(&self) -> &Settings {
        &self.held
    }

    /// What was set before, of each topic that was ever noted: a broker may still tell what it was
    /// changed to.
    pub(super) fn known(&self) -> &Settings {
        &self.known
    }

    /// Notes what was set, durably, before it is changed.
    pub(super) fn add(&mut self, before: &Settings) -> Result<(), NotesFault> {
        self.held.extend(before.clone());
        self.known.extend(before.clone());
        self.write()
    }

    /// These are set back.
    pub(super) fn forget<'a>(
        &mut self,
        topics: impl IntoIterator<Item = &'a TopicName>,
    ) -> Result<(), NotesFault> {
        for topic in topics {
            self.held.remove(topic);
        }
        self.write()
    }

    fn write(&self) -> Result<(), NotesFault> {
        let line = |(topic, value): (&TopicName, &Option<String>)| {
            format!("{topic} {}\n", value.as_deref().unwrap_or(NONE))
        };
        let text: String = self.held.iter().map(line).collect();
        let written = match text.is_empty() {
            true => fs::remove_file(&self.path),
            false => replace(
                &RealDisk,
                &self.path,
                text.as_bytes(),
                Durability::PowerLoss,
            ),
        };
        written.map_err(|error| NotesFault::Io {
            path: self.path.clone(),
            error,
        })
    }
}

fn noted(line: &str) -> Option<(TopicName, Option<String>)> {
    let (topic, value) = line.split_once(' ')?;
    let value = (value != NONE).then(|| value.to_owned());
    Some((TopicName::new(topic)?, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(all: &[(&str, Option<&str>)]) -> Settings {
        let each = all.iter().map(|(topic, value)| {
            let topic = TopicName::new(topic).expect("a name");
            (topic, value.map(str::to_owned))
        });
        each.collect()
    }

    #[test]
    fn a_run_that_is_killed_leaves_its_notes_to_the_next() {
        let dir = tempfile::tempdir().expect("there is a temporary directory");
        let mut notes = Notes::read(dir.path()).expect("there are none");
        assert!(notes.held().is_empty());
        let before = settings(&[("a", Some("false")), ("b.c", None)]);
        notes.add(&before).expect("there is room");
        let mut next = Notes::read(dir.path()).expect("sound");
        assert_eq!(*next.held(), before);
        next.forget(before.keys().take(1)).expect("there is room");
        let mut last = Notes::read(dir.path()).expect("sound");
        assert_eq!(*last.held(), settings(&[("b.c", None)]));
        last.forget(before.keys()).expect("it is there");
        let left = fs::read_dir(dir.path()).expect("it is there").count();
        assert_eq!(left, 0, "nothing stays");
    }

    #[test]
    fn notes_that_cannot_be_read_are_not_taken_for_none() {
        let dir = tempfile::tempdir().expect("there is a temporary directory");
        fs::write(dir.path().join(FILE), "topic\n").expect("there is room");
        let refused = Notes::read(dir.path()).err().expect("no value");
        assert!(refused.to_string().contains("kafka-configs"), "{refused}");
    }
}
