//! `meta.properties`: whose log directory this is, as `MetaProperties` version 1 states it.

use std::path::Path;

use crate::io::{Disk, Durability, replace};

use super::{VaultFault, at};

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
    pub fn to_text(&self) -> String {
        format!(
            "#\nversion=1\ncluster.id={}\nnode.id={}\ndirectory.id={}\n",
            escaped(&self.cluster_id),
            self.node_id,
            escaped(&self.directory_id)
        )
    }
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
