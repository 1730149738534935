//! `meta.properties`: whose log directory this is, as `MetaProperties` version 1 states it.

use std::io;
use std::path::Path;

use crate::io::{Disk, Durability, replace};
use crate::model::TopicPartition;

use super::{State, VaultFault, at, read_text, state};

pub(super) const FILE: &str = "meta.properties";

/// Whose directory a vault is. A broker that is started on it compares the first two with its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The source's cluster id.
    pub cluster_id: String,
    /// A broker's node id; a vault has none of its own and says 0.
    pub node_id: i32,
    /// A random id of this directory (KIP-858), printed as topic ids are.
    pub directory_id: String,
}

impl Identity {
    /// The file's text. Backslashes escape what Java's `Properties` would take for syntax.
    #[must_use]
    ///
    /// The first line is a comment for a broker, and the checksum of the others for us.
    pub fn to_text(&self) -> String {
        let body = format!(
            "version=1\n{}\n{NODE}{}\n{}\n",
            cluster_line(&self.cluster_id),
            self.node_id,
            directory_line(&self.directory_id)
        );
        format!("{}\n{body}", head(&body))
    }
}

fn cluster_line(cluster_id: &str) -> String {
    format!("cluster.id={}", escaped(cluster_id))
}

const NODE: &str = "node.id=";
const DIRECTORY: &str = "directory.id=";

fn directory_line(directory_id: &str) -> String {
    format!("{DIRECTORY}{}", escaped(directory_id))
}

fn head(body: &str) -> String {
    format!("#twinlog {:08x}", crc32fast::hash(body.as_bytes()))
}

/// Whether we have written the file that stands in `dir`.
pub(super) fn is_ours<D: Disk>(disk: &D, dir: &Path) -> Result<bool, VaultFault> {
    match read_text(disk, &dir.join(FILE)) {
        Ok(text) => {
            let text = text.unwrap_or_default();
            let parts = text.split_once('\n');
            Ok(parts.is_some_and(|(found, body)| found == head(body)))
        }
        Err(VaultFault::Damaged { .. }) => Ok(false),
        Err(fault) => Err(fault),
    }
}

/// The broker whose directory it is, where the file says it and is as we have written it.
pub(super) fn node_id<D: Disk>(disk: &D, dir: &Path) -> Result<Option<i32>, VaultFault> {
    if !is_ours(disk, dir)? {
        return Ok(None);
    }
    let text = read_text(disk, &dir.join(FILE))?.unwrap_or_default();
    let id = text.lines().find_map(|line| line.strip_prefix(NODE));
    Ok(id.and_then(|id| id.parse().ok()))
}

/// The directory's id, where the file says it and is as we have written it.
pub(super) fn directory_id<D: Disk>(disk: &D, dir: &Path) -> Result<Option<String>, VaultFault> {
    if !is_ours(disk, dir)? {
        return Ok(None);
    }
    let text = read_text(disk, &dir.join(FILE))?.unwrap_or_default();
    let id = text.lines().find_map(|line| line.strip_prefix(DIRECTORY));
    // None of ours has anything that is escaped.
    Ok(id.filter(|id| !id.contains('\\')).map(str::to_owned))
}

/// The id of the directory whose logs lie in `dir`: none where there are no logs. A creation that
/// was cut off may have noted it already, and where the file is missing the notes have it.
pub(super) fn of_logs<D: Disk>(disk: &D, dir: &Path) -> Result<Option<String>, VaultFault> {
    let entries = match disk.list(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(dir)(error)),
    };
    let has = |name: &str| entries.iter().any(|entry| entry.name == name);
    let damaged = |why: &str| VaultFault::Damaged {
        path: dir.join(FILE),
        why: why.to_owned(),
    };
    if has(FILE) {
        let own = directory_id(disk, dir)?;
        return own
            .map(Some)
            .ok_or_else(|| damaged("it is not as it was written"));
    }
    if has(state::FILE) || has(state::COPY) {
        let notes = state::read(disk, dir, &mut Vec::new())?;
        if let Some(noted) = notes.state.directory_id {
            return Ok(Some(noted));
        }
    }
    let is_log = |name: &str| name.parse::<TopicPartition>().is_ok();
    match entries.iter().any(|one| one.is_dir && is_log(&one.name)) {
        true => Err(damaged("it is missing")),
        false => Ok(None),
    }
}

/// What is wrong with the file of a vault whose notes are `state`, in words.
pub(super) fn judge<D: Disk>(
    disk: &D,
    dir: &Path,
    state: &State,
) -> Result<Option<String>, VaultFault> {
    let text = match read_text(disk, &dir.join(FILE)) {
        Ok(Some(text)) => text,
        Ok(None) => return Ok(Some("it is missing".to_owned())),
        Err(VaultFault::Damaged { why, .. }) => return Ok(Some(why)),
        Err(fault) => return Err(fault),
    };
    let cluster_id = &state.source_cluster_id;
    let line = cluster_line(cluster_id);
    let noted = state.directory_id.as_deref().map(directory_line);
    Ok(match text.split_once('\n') {
        Some((found, body)) if found != head(body) => {
            Some("its checksum does not agree".to_owned())
        }
        Some((_, body)) if !body.lines().any(|found| found == line) => {
            Some(format!("it does not name cluster {cluster_id}"))
        }
        Some((_, body))
            if noted
                .as_ref()
                .is_some_and(|line| !body.lines().any(|found| found == *line)) =>
        {
            Some("it is another directory's".to_owned())
        }
        Some(_) => None,
        None => Some("it has no first line".to_owned()),
    })
}

pub(super) fn write<D: Disk>(disk: &D, dir: &Path, identity: &Identity) -> Result<(), VaultFault> {
    let path = dir.join(FILE);
    let text = identity.to_text();
    replace(disk, &path, text.as_bytes(), Durability::PowerLoss).map_err(at(&path))
}

fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for letter in value.chars() {
        if matches!(letter, '\\' | '=' | ':' | '#' | '!' | ' ') {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}
