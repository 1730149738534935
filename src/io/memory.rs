//! A disk in memory for unit tests: it counts, it can be killed at any change, and it forgets
//! what was not synced.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};

use super::{Disk, Entry, File, Open};
use crate::model::Position;

/// What Linux says where a disk fails.
const EIO: i32 = 5;

#[derive(Clone, Default)]
struct Inode {
    live: Vec<u8>,
    synced: Vec<u8>,
    /// A sync has failed: what was written before it is taken for clean, and never reaches the
    /// disk.
    is_poisoned: bool,
}

#[derive(Default)]
struct State {
    inodes: Vec<Inode>,
    dirs: Vec<PathBuf>,
    names: BTreeMap<PathBuf, usize>,
    synced_names: BTreeMap<PathBuf, usize>,
    locks: BTreeMap<PathBuf, Weak<()>>,
    changes: usize,
    changes_max: Option<usize>,
    syncs_fail: bool,
    syncs: usize,
    /// These syncs fail, by their numbers.
    failing_syncs: std::ops::Range<usize>,
    truncates_fail: bool,
    /// So many files can be made yet, where that is bounded.
    names_left: Option<usize>,
    /// Changes for which the disk needs room.
    grows: usize,
    /// Those of them for which it has none, by their numbers.
    full: std::ops::Range<usize>,
    /// What it says then: that it is full, or else that it is broken.
    is_broken: bool,
    bytes_read: u64,
}

impl State {
    fn has_dir(&self, dir: &Path) -> bool {
        self.dirs.iter().any(|known| known == dir)
    }

    fn make_dirs(&mut self, dir: &Path) {
        for above in dir.ancestors() {
            if !self.has_dir(above) {
                self.dirs.push(above.to_owned());
            }
        }
    }

    /// Refuses a name in a directory that is not there.
    fn needs_parent(&self, path: &Path) -> io::Result<()> {
        let parent = path.parent().is_some_and(|parent| self.has_dir(parent));
        if parent { Ok(()) } else { Err(missing()) }
    }

    /// Moves a directory and everything below it.
    fn rename_dir(&mut self, from: &Path, to: &Path) {
        let moved = |path: &Path| match path.strip_prefix(from) {
            Ok(below) if below.as_os_str().is_empty() => to.to_owned(),
            Ok(below) => to.join(below),
            Err(_) => path.to_owned(),
        };
        for dir in &mut self.dirs {
            *dir = moved(dir);
        }
        let names = std::mem::take(&mut self.names);
        let names = names.into_iter().map(|(path, inode)| (moved(&path), inode));
        self.names = names.collect();
    }
}

/// Files by path. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct MemoryDisk(Rc<RefCell<State>>);

/// One open file of it; it outlives its name.
#[derive(Clone)]
pub(crate) struct MemoryFile {
    disk: MemoryDisk,
    inode: usize,
    is_writable: bool,
    _lock: Option<Rc<()>>,
}

impl MemoryDisk {
    /// From now on the change that follows `changes` further ones is cut in its middle and every
    /// later operation fails, as if the process had been killed there.
    pub(crate) fn kill_after(&self, changes: usize) {
        let mut state = self.0.borrow_mut();
        state.changes_max = Some(state.changes + changes);
    }

    /// Makes every later sync fail, or succeed again.
    pub(crate) fn fail_syncs(&self, fail: bool) {
        self.0.borrow_mut().syncs_fail = fail;
    }

    /// Makes the sync that follows `syncs` further ones fail, and no other.
    pub(crate) fn fail_sync_after(&self, syncs: usize) {
        self.fail_syncs_after(syncs, 1);
    }

    /// The same for so many syncs, one after the other; 0 makes the disk well again.
    pub(crate) fn fail_syncs_after(&self, syncs: usize, times: usize) {
        let mut state = self.0.borrow_mut();
        let from = state.syncs + syncs;
        state.failing_syncs = from..from + times;
    }

    /// Makes every later attempt to cut a file fail, or succeed again.
    pub(crate) fn fail_truncates(&self, fail: bool) {
        self.0.borrow_mut().truncates_fail = fail;
    }

    /// Has room for so many further files, however small; or again for any number.
    pub(crate) fn bound_names(&self, left: Option<usize>) {
        self.0.borrow_mut().names_left = left;
    }

    /// Syncs so far.
    pub(crate) fn syncs(&self) -> usize {
        self.0.borrow().syncs
    }

    /// Has no room for `times` changes, after `grows` further ones that need some.
    pub(crate) fn fill_after(&self, grows: usize, times: usize) {
        let mut state = self.0.borrow_mut();
        let from = state.grows + grows;
        state.full = from..from + times;
    }

    /// Cannot write (`EIO`) for `times` changes, after `grows` further ones that need room.
    pub(crate) fn break_after(&self, grows: usize, times: usize) {
        self.fill_after(grows, times);
        self.0.borrow_mut().is_broken = true;
    }

    /// Changes so far for which room was needed.
    pub(crate) fn grows(&self) -> usize {
        self.0.borrow().grows
    }

    fn room(&self) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        let nth = state.grows;
        state.grows += 1;
        match state.full.contains(&nth) {
            true if state.is_broken => Err(io::Error::from_raw_os_error(EIO)),
            true => Err(io::Error::from(io::ErrorKind::StorageFull)),
            false => Ok(()),
        }
    }

    /// Counts a sync; it may be the one that fails.
    fn sync(&self) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        let nth = state.syncs;
        state.syncs += 1;
        match state.syncs_fail || state.failing_syncs.contains(&nth) {
            true => Err(io::Error::other("sync failed")),
            false => Ok(()),
        }
    }

    /// Changes so far.
    pub(crate) fn changes(&self) -> usize {
        self.0.borrow().changes
    }

    /// Bytes read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.0.borrow().bytes_read
    }

    /// The disk as the next process finds it after a kill: everything written is there.
    pub(crate) fn after_kill(&self) -> MemoryDisk {
        let state = self.0.borrow();
        MemoryDisk::holding(&state.names, &state.dirs, |inode| {
            state.inodes[inode].live.clone()
        })
    }

    /// The disk after a loss of power: of each file the synced bytes, and of what was not synced
    /// whatever `chance` leaves (0 nothing, 1 everything, 2 a half, 3 zeros in its place).
    pub(crate) fn after_power_loss(&self, mut chance: impl FnMut() -> u32) -> MemoryDisk {
        let state = self.0.borrow();
        let names = match chance() % 2 {
            0 => &state.synced_names,
            _ => &state.names,
        };
        MemoryDisk::holding(names, &state.dirs, |inode| {
            let Inode { live, synced, .. } = &state.inodes[inode];
            let same = live.iter().zip(synced).take_while(|(a, b)| a == b).count();
            match chance() % 4 {
                0 => synced.clone(),
                1 => live.clone(),
                2 if same == synced.len() => live[..same + (live.len() - same) / 2].to_vec(),
                3 if same == synced.len() => {
                    let mut zeros = synced.clone();
                    zeros.resize(live.len(), 0);
                    zeros
                }
                _ => synced.clone(),
            }
        })
    }

    /// A file's bytes; `None` where it is missing.
    pub(crate) fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.0.borrow();
        let inode = state.names.get(path)?;
        Some(state.inodes[*inode].live.clone())
    }

    /// Puts a file there, synced, and the directories that it needs.
    pub(crate) fn put(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.0.borrow_mut();
        state.make_dirs(path.parent().expect("a file lies in a directory"));
        let inode = state.inodes.len();
        state.inodes.push(Inode {
            live: bytes.to_vec(),
            synced: bytes.to_vec(),
            is_poisoned: false,
        });
        state.names.insert(path.to_owned(), inode);
        state.synced_names.insert(path.to_owned(), inode);
    }

    /// All files.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.0.borrow().names.keys().cloned().collect()
    }

    fn holding(
        names: &BTreeMap<PathBuf, usize>,
        dirs: &[PathBuf],
        mut content: impl FnMut(usize) -> Vec<u8>,
    ) -> MemoryDisk {
        let disk = MemoryDisk::default();
        disk.0.borrow_mut().dirs = dirs.to_vec();
        for (path, inode) in names {
            disk.put(path, &content(*inode));
        }
        disk
    }

    fn alive(&self) -> io::Result<()> {
        let state = self.0.borrow();
        match state.changes_max {
            Some(max) if state.changes > max => Err(killed()),
            _ => Ok(()),
        }
    }

    /// Counts one change; `Err` with whether it is the very one that is cut.
    fn change(&self) -> Result<(), Cut> {
        let mut state = self.0.borrow_mut();
        state.changes += 1;
        match state.changes_max {
            Some(max) if state.changes == max + 1 => Err(Cut::Now),
            Some(max) if state.changes > max => Err(Cut::Before),
            _ => Ok(()),
        }
    }

    fn change_names(
        &self,
        change: impl FnOnce(&mut BTreeMap<PathBuf, usize>) -> Option<()>,
    ) -> io::Result<()> {
        self.change().map_err(|_| killed())?;
        change(&mut self.0.borrow_mut().names).ok_or_else(missing)
    }
}

enum Cut {
    Now,
    Before,
}

fn killed() -> io::Error {
    io::Error::other("killed")
}

fn missing() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

impl MemoryFile {
    fn writable(&self) -> io::Result<()> {
        match self.is_writable {
            true => Ok(()),
            false => Err(io::Error::other("open for reading only")),
        }
    }
}

impl File for MemoryFile {
    fn read_at(&self, into: &mut [u8], at: Position) -> io::Result<usize> {
        self.disk.alive()?;
        let mut state = self.disk.0.borrow_mut();
        let at = usize::try_from(at.value()).expect("small");
        let rest = state.inodes[self.inode].live.get(at..).unwrap_or(&[]);
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        state.bytes_read += count as u64;
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], at: Position) -> io::Result<()> {
        self.writable()?;
        if bytes.is_empty() {
            return self.disk.alive();
        }
        let room = self.disk.room();
        let written = match self.disk.change() {
            Ok(()) if room.is_err() => &bytes[..bytes.len() / 2],
            Ok(()) => bytes,
            Err(Cut::Now) => &bytes[..bytes.len() / 2],
            Err(Cut::Before) => return Err(killed()),
        };
        let mut state = self.disk.0.borrow_mut();
        let live = &mut state.inodes[self.inode].live;
        let at = usize::try_from(at.value()).expect("small");
        if live.len() < at + written.len() {
            live.resize(at + written.len(), 0);
        }
        live[at..at + written.len()].copy_from_slice(written);
        room?;
        if written.len() < bytes.len() {
            return Err(killed());
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        self.disk.alive()?;
        Ok(self.disk.0.borrow().inodes[self.inode].live.len() as u64)
    }

    fn truncate(&self, size: Position) -> io::Result<()> {
        self.writable()?;
        self.disk.change().map_err(|_| killed())?;
        if self.disk.0.borrow().truncates_fail {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        let size = usize::try_from(size.value()).expect("small");
        let mut state = self.disk.0.borrow_mut();
        let inode = &mut state.inodes[self.inode];
        // What is written again is dirty again.
        inode.is_poisoned &= size >= inode.live.len();
        inode.live.resize(size, 0);
        Ok(())
    }

    fn sync_blocking(&self) -> io::Result<()> {
        self.disk.change().map_err(|_| killed())?;
        let synced = self.disk.sync();
        let mut state = self.disk.0.borrow_mut();
        let lies_later = !state.syncs_fail;
        let inode = &mut state.inodes[self.inode];
        let has_lost = synced.is_err() && inode.live != inode.synced;
        inode.is_poisoned |= has_lost && lies_later;
        if synced.is_ok() && !inode.is_poisoned {
            inode.synced = inode.live.clone();
        }
        synced
    }

    fn sync(&self) -> impl Future<Output = io::Result<()>> + 'static {
        let file = self.clone();
        async move {
            // Others get their turns meanwhile.
            tokio::task::yield_now().await;
            file.sync_blocking()
        }
    }
}

impl Disk for MemoryDisk {
    type File = MemoryFile;

    fn open(&self, path: &Path, how: Open) -> io::Result<MemoryFile> {
        self.alive()?;
        let known = self.0.borrow().names.get(path).copied();
        let inode = match (known, how) {
            (Some(inode), Open::CreateEmpty) => {
                self.change().map_err(|_| killed())?;
                let emptied = &mut self.0.borrow_mut().inodes[inode];
                emptied.live.clear();
                emptied.is_poisoned = false;
                inode
            }
            (Some(inode), _) => inode,
            (None, Open::Read | Open::Write) => return Err(missing()),
            (None, Open::WriteOrCreate | Open::CreateEmpty) => {
                self.0.borrow().needs_parent(path)?;
                self.room()?;
                self.change().map_err(|_| killed())?;
                let mut state = self.0.borrow_mut();
                if let Some(left) = &mut state.names_left {
                    let after = left.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
                    *left = after;
                }
                state.inodes.push(Inode::default());
                let inode = state.inodes.len() - 1;
                state.names.insert(path.to_owned(), inode);
                inode
            }
        };
        Ok(MemoryFile {
            disk: self.clone(),
            inode,
            is_writable: how != Open::Read,
            _lock: None,
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.alive()?;
        let state = self.0.borrow();
        if state.names.contains_key(dir) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        if !state.has_dir(dir) {
            return Err(missing());
        }
        let name = |path: &Path| {
            path.file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        };
        let inside = |path: &&PathBuf| path.parent() == Some(dir);
        let dirs = state.dirs.iter().filter(inside).map(|path| Entry {
            name: name(path),
            is_dir: true,
            bytes: 0,
        });
        let files = state.names.iter().filter(|(path, _)| inside(path));
        let files = files.map(|(path, inode)| Entry {
            name: name(path),
            is_dir: false,
            bytes: state.inodes[*inode].live.len() as u64,
        });
        let mut entries: Vec<Entry> = dirs.chain(files).collect();
        entries.sort();
        Ok(entries)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.alive()?;
        let mut state = self.0.borrow_mut();
        if dir.ancestors().any(|above| state.names.contains_key(above)) {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        state.make_dirs(dir);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change_names(|names| names.remove(path).map(|_| ()))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.borrow().needs_parent(to)?;
        if self.0.borrow().has_dir(from) {
            self.change().map_err(|_| killed())?;
            self.0.borrow_mut().rename_dir(from, to);
            return Ok(());
        }
        self.change_names(|names| {
            let inode = names.remove(from)?;
            names.insert(to.to_owned(), inode);
            Some(())
        })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.change().map_err(|_| killed())?;
        let state = self.0.borrow();
        if !state.has_dir(dir) {
            return Err(missing());
        }
        drop(state);
        self.sync()?;
        let mut state = self.0.borrow_mut();
        state.synced_names = state.names.clone();
        Ok(())
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        self.alive()?;
        let state = self.0.borrow();
        let held = state.locks.get(path);
        Ok(held.is_some_and(|held| held.upgrade().is_some()))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<MemoryFile>> {
        let mut file = self.open(path, Open::WriteOrCreate)?;
        let mut state = self.0.borrow_mut();
        if state
            .locks
            .get(path)
            .is_some_and(|held| held.upgrade().is_some())
        {
            return Ok(None);
        }
        let held = Rc::new(());
        state.locks.insert(path.to_owned(), Rc::downgrade(&held));
        drop(state);
        file._lock = Some(held);
        Ok(Some(file))
    }
}
