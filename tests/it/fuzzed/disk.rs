//! A disk in memory: small, fast, and not counted among what is allocated for an input.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use twinlog::io::{Disk, Entry, File, Open};
use twinlog::model::Position;

use crate::counting::uncounted;

/// A segment is smaller than 2 GiB; a file of a test is smaller still.
const FILE_BYTES_MAX: usize = 1 << 24;

type Bytes = Rc<RefCell<Vec<u8>>>;

/// Files by path. Every directory exists that was made or that holds a file.
#[derive(Clone, Default)]
pub(crate) struct FlatDisk(Rc<RefCell<Tree>>);

#[derive(Default)]
struct Tree {
    files: BTreeMap<OsString, Bytes>,
    dirs: BTreeSet<OsString>,
}

/// An open file; its clones are the same file.
#[derive(Clone)]
pub(crate) struct FlatFile(Bytes);

impl FlatDisk {
    /// Puts a file there.
    pub(super) fn put(&self, path: &Path, bytes: &[u8]) {
        let dir = path.parent().expect("a file lies in a directory");
        let mut tree = self.0.borrow_mut();
        tree.dirs.insert(dir.into());
        let bytes = Rc::new(RefCell::new(bytes.to_vec()));
        tree.files.insert(path.into(), bytes);
    }

    /// Makes a directory.
    pub(super) fn put_dir(&self, path: &Path) {
        self.0.borrow_mut().dirs.insert(path.into());
    }

    /// Another disk with the same files.
    pub(super) fn copied(&self) -> FlatDisk {
        let disk = FlatDisk::default();
        for (path, bytes) in self.files() {
            disk.put(&path, &bytes);
        }
        disk
    }

    /// The content of a file, if it is there.
    pub(crate) fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let tree = self.0.borrow();
        let file = tree.files.get(path.as_os_str())?;
        Some(file.borrow().clone())
    }

    /// Every file with its content, by path.
    pub(super) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let tree = self.0.borrow();
        let files = tree.files.iter();
        files
            .map(|(path, bytes)| (path.into(), bytes.borrow().clone()))
            .collect()
    }

    /// Bytes in all files and names.
    pub(super) fn size(&self) -> usize {
        let tree = self.0.borrow();
        let files = tree.files.iter();
        files
            .map(|(name, bytes)| name.len() + bytes.borrow().len())
            .sum()
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl File for FlatFile {
    fn read_at(&self, into: &mut [u8], at: Position) -> io::Result<usize> {
        let bytes = self.0.borrow();
        let from = usize::try_from(at.value())
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let count = into.len().min(bytes.len() - from);
        into[..count].copy_from_slice(&bytes[from..from + count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], at: Position) -> io::Result<()> {
        let end = at.value().saturating_add(bytes.len() as u64);
        let end = usize::try_from(end).unwrap_or(usize::MAX);
        if end > FILE_BYTES_MAX {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut held = self.0.borrow_mut();
        uncounted(|| {
            let size = held.len().max(end);
            held.resize(size, 0);
        });
        held[end - bytes.len()..end].copy_from_slice(bytes);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.borrow().len() as u64)
    }

    fn truncate(&self, size: Position) -> io::Result<()> {
        let size = usize::try_from(size.value()).unwrap_or(usize::MAX);
        if size > FILE_BYTES_MAX {
            return Err(io::ErrorKind::StorageFull.into());
        }
        uncounted(|| self.0.borrow_mut().resize(size, 0));
        Ok(())
    }

    fn sync_blocking(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> impl Future<Output = io::Result<()>> + 'static {
        std::future::ready(Ok(()))
    }
}

impl Disk for FlatDisk {
    type File = FlatFile;

    fn open(&self, path: &Path, how: Open) -> io::Result<FlatFile> {
        let known = self.0.borrow().files.get(path.as_os_str()).cloned();
        let file = match (known, how) {
            (Some(file), Open::CreateEmpty) => {
                file.borrow_mut().clear();
                file
            }
            (Some(file), _) => file,
            (None, Open::Read | Open::Write) => return Err(missing()),
            (None, Open::WriteOrCreate | Open::CreateEmpty) => uncounted(|| {
                self.put(path, &[]);
                let tree = self.0.borrow();
                tree.files.get(path.as_os_str()).cloned().expect("just put")
            }),
        };
        Ok(FlatFile(file))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let tree = self.0.borrow();
        if tree.files.contains_key(dir.as_os_str()) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        if !tree.dirs.contains(dir.as_os_str()) {
            return Err(missing());
        }
        let entry = |path: &OsString, is_dir, bytes| {
            let path = Path::new(path);
            let name = path.file_name().filter(|_| path.parent() == Some(dir))?;
            let name = name.to_string_lossy().into_owned();
            Some(Entry {
                name,
                is_dir,
                bytes,
            })
        };
        let dirs = tree.dirs.iter().filter_map(|path| entry(path, true, 0));
        let size = |bytes: &Bytes| bytes.borrow().len() as u64;
        let files = tree.files.iter();
        let files = files.filter_map(|(path, bytes)| entry(path, false, size(bytes)));
        let mut entries: Vec<Entry> = dirs.chain(files).collect();
        entries.sort();
        Ok(entries)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        uncounted(|| self.put_dir(dir));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let removed = self.0.borrow_mut().files.remove(path.as_os_str());
        removed.map(drop).ok_or_else(missing)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut tree = self.0.borrow_mut();
        let file = tree.files.remove(from.as_os_str()).ok_or_else(missing)?;
        uncounted(|| tree.files.insert(to.into(), file));
        Ok(())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn is_locked(&self, _path: &Path) -> io::Result<bool> {
        Ok(false)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<FlatFile>> {
        self.open(path, Open::WriteOrCreate).map(Some)
    }
}
