//! Files and directories. Data is written and read inline (a buffered write through a ring goes to
//! a worker thread on ext4); only the sync, which can take a second, leaves the thread.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};

use crate::model::Position;

/// How a file is to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// For reading; it must exist.
    Read,
    /// For reading and writing; it must exist.
    Write,
    /// For reading and writing; made empty where it is missing.
    WriteOrCreate,
    /// For reading and writing; made anew, emptied where it exists.
    CreateEmpty,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its name; entries whose name is not UTF-8 are reported with replacement characters.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// A file's size in bytes.
    pub bytes: u64,
}

/// An open file. Cheap to clone where the real side needs it for an operation in flight.
pub trait File: Clone + 'static {
    /// Reads until `into` is full or the file ends; returns the bytes read.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, into: &mut [u8], at: Position) -> io::Result<usize>;

    /// Writes all of `bytes` at `at`.
    ///
    /// # Errors
    /// What the system says; part of the bytes may then have been written.
    fn write_at(&self, bytes: &[u8], at: Position) -> io::Result<()>;

    /// The file's size in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn size(&self) -> io::Result<u64>;

    /// Cuts the file, or extends it with zeros.
    ///
    /// # Errors
    /// What the system says.
    fn truncate(&self, size: Position) -> io::Result<()>;

    /// Waits, blocking the thread, until data and size are durable. For start, stop and small
    /// files.
    ///
    /// # Errors
    /// What the system says. After an error nothing about earlier writes is known: a later
    /// success proves nothing.
    fn sync_blocking(&self) -> io::Result<()>;

    /// The same without blocking the thread.
    fn sync(&self) -> impl Future<Output = io::Result<()>> + 'static;
}

/// The file system below one thread.
pub trait Disk: Clone + 'static {
    /// An open file of it.
    type File: File;

    /// Opens or makes a file.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, path: &Path, how: Open) -> io::Result<Self::File>;

    /// A directory's entries, sorted by name.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;

    /// Makes a directory and its missing parents; no error where it exists.
    ///
    /// # Errors
    /// What the system says.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the system says.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Renames a file or directory, replacing a file of the new name.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes a directory's entries durable.
    ///
    /// # Errors
    /// What the system says.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Opens `path`, made where missing, and takes the POSIX/OFD write lock that Java's `FileLock`
    /// takes; `None` while another process holds it. The lock ends with the file.
    ///
    /// # Errors
    /// What the system says.
    fn lock(&self, path: &Path) -> io::Result<Option<Self::File>>;

    /// Whether anybody holds that lock now; nobody does where there is no file. Nothing is changed.
    ///
    /// # Errors
    /// What the system says.
    fn is_locked(&self, path: &Path) -> io::Result<bool>;
}

/// Whether a small file must survive a loss of power, or only one of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// File and directory are synced.
    PowerLoss,
    /// Nothing is synced; the rename alone keeps the file whole.
    ProcessCrash,
}

/// Replaces a small file as a whole: readers see the old or the new content, never a mixture.
///
/// # Errors
/// What the system says; the old content then still stands.
pub fn replace<D: Disk>(
    disk: &D,
    path: &Path,
    content: &[u8],
    durability: Durability,
) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let fresh = PathBuf::from(name);
    let file = disk.open(&fresh, Open::CreateEmpty)?;
    file.write_at(content, Position::ZERO)?;
    if durability == Durability::PowerLoss {
        file.sync_blocking()?;
    }
    disk.rename(&fresh, path)?;
    match (durability, path.parent()) {
        (Durability::PowerLoss, Some(dir)) => disk.sync_dir(dir),
        _ => Ok(()),
    }
}
