//! Why a directory cannot be used as a vault, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::io::advice;
use crate::model::ProducerIdShift;
use crate::stdx::shell::{beside, word};

/// Whose fault it is shows in the variant; each text ends with the way out.
#[derive(Debug, thiserror::Error)]
pub enum VaultFault {
    /// Another process writes it.
    #[error(
        "{} is in use by another process (twinlog or a broker holds its .lock): \
         stop that one, or choose another directory", dir.display()
    )]
    Locked {
        /// The vault.
        dir: PathBuf,
    },
    /// Neither empty nor a vault.
    #[error(
        "{} is not a vault and not empty: copy into an empty or new directory; what is read has \
         to be the directory of an earlier copy", dir.display()
    )]
    NotAVault {
        /// The directory.
        dir: PathBuf,
    },
    /// A broker's log directory.
    #[error(
        "{} is a broker's log directory, not a vault: choose another directory", dir.display()
    )]
    BrokersDirectory {
        /// The directory.
        dir: PathBuf,
    },
    /// It was copied from another cluster.
    #[error(
        "{} holds a copy of cluster {ours}, the source is cluster {theirs}: \
         choose another directory, or --from the cluster that it was copied from", dir.display()
    )]
    OtherSource {
        /// The vault.
        dir: PathBuf,
        /// The cluster id that the vault was made for.
        ours: String,
        /// The cluster id of the source that was asked for.
        theirs: String,
    },
    /// Its producer ids are shifted by another constant than the one that is asked for.
    #[error(
        "{} holds {}, this copy asks for {}: {}, or choose another directory",
        dir.display(), ids(*held), ids(*asked), shift_like(*held)
    )]
    OtherShift {
        /// The vault.
        dir: PathBuf,
        /// What was added to the ids that it holds.
        held: ProducerIdShift,
        /// What was asked for.
        asked: ProducerIdShift,
    },
    /// A directory that is no partition; a stock broker stops on it.
    #[error(
        "{} does not belong into a vault, a broker would stop on it: move it away", path.display()
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// One of the small files is not as it was written. A vault's own are written again by the
    /// next copy, from what the others say.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Neither our notes nor their copy can be read.
    #[error(
        "twinlog.state in {} is damaged, {why}, and so is its copy: restore one of them from a \
         backup; or {}", dir.display(), anew(dir)
    )]
    NotesLost {
        /// The vault.
        dir: PathBuf,
        /// What is wrong with the first.
        why: String,
    },
    /// Both are gone, and the directory is one that we have made.
    #[error(
        "{} was made by twinlog, but neither twinlog.state nor its copy is there. If it is a \
         vault, restore one of them from a backup; or {}. If it was given to a broker, choose \
         another directory", dir.display(), anew(dir)
    )]
    NotesGone {
        /// The vault.
        dir: PathBuf,
    },
    /// The disk said no.
    #[error("{}: {error}{}", path.display(), advice(error))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// The command that makes room for a new vault in place of `dir`.
fn anew(dir: &Path) -> String {
    let command = match dir.file_name() {
        Some(_) => format!("mv {} {}", word(dir), word(&beside(dir, ".damaged"))),
        // What a directory is called is not seen from within it.
        None => format!(r#"cd {} && mv "$(pwd -P)" "$(pwd -P).damaged""#, word(dir)),
    };
    format!("`{command}`, and the same copy makes the vault anew")
}

fn ids(shift: ProducerIdShift) -> String {
    match shift {
        ProducerIdShift::NONE => "the source's own producer ids".to_owned(),
        shift => format!("producer ids raised by {shift}"),
    }
}

fn shift_like(held: ProducerIdShift) -> String {
    match held {
        ProducerIdShift::NONE => {
            "leave out --producer-id-shift and the key of that name".to_owned()
        }
        held => format!("give --producer-id-shift {held}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_out_is_a_command_from_wherever_it_is_given() {
        for (dir, command) in [
            ("/v", "`mv /v /v.damaged`"),
            ("my vault/", "`mv 'my vault/' 'my vault.damaged'`"),
            (".", r#"`cd . && mv "$(pwd -P)" "$(pwd -P).damaged"`"#),
        ] {
            let why = "it is missing".to_owned();
            let dir = PathBuf::from(dir);
            let gone = VaultFault::NotesGone { dir: dir.clone() }.to_string();
            let lost = VaultFault::NotesLost { dir, why }.to_string();
            assert!(gone.contains(command) && lost.contains(command), "{lost}");
        }
    }
}
