//! Files: read and written inline, synced through the ring.

use std::fs;
use std::future::Future;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;

use io_uring::{opcode, types};

use super::files::named;
use super::operation::perform;
use crate::io::{Disk, Entry, File, Open};
use crate::model::Position;

/// The file systems of this machine.
#[derive(Clone, Copy, Debug)]
pub struct RealDisk;

/// An open file; its clones are the same file.
#[derive(Clone, Debug)]
pub struct RealFile(Rc<fs::File>);

impl File for RealFile {
    fn read_at(&self, into: &mut [u8], at: Position) -> io::Result<usize> {
        let mut read = 0;
        while read < into.len() {
            match self.0.read_at(&mut into[read..], at.value() + read as u64) {
                Ok(0) => break,
                Ok(bytes) => read += bytes,
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], at: Position) -> io::Result<()> {
        self.0.write_all_at(bytes, at.value())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn truncate(&self, size: Position) -> io::Result<()> {
        self.0.set_len(size.value())
    }

    fn sync_blocking(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync(&self) -> impl Future<Output = io::Result<()>> + 'static {
        let file = self.clone();
        async move {
            let fd = types::Fd(file.0.as_raw_fd());
            let entry = opcode::Fsync::new(fd)
                .flags(types::FsyncFlags::DATASYNC)
                .build();
            perform(entry, file).await.1.map(|_| ())
        }
    }
}

impl Disk for RealDisk {
    type File = RealFile;

    fn open(&self, path: &Path, how: Open) -> io::Result<RealFile> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(how != Open::Read);
        match how {
            Open::Read | Open::Write => {}
            Open::WriteOrCreate => _ = options.create(true),
            Open::CreateEmpty => _ = options.create(true).truncate(true),
        }
        let opened = options.open(path).map_err(named);
        opened.map(|file| RealFile(Rc::new(file)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir).map_err(named)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            match entry.metadata() {
                Ok(met) => entries.push(Entry {
                    name,
                    is_dir: met.is_dir(),
                    bytes: met.len(),
                }),
                // Somebody has removed it since it was listed.
                Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
                Err(fault) => return Err(fault),
            }
        }
        entries.sort();
        Ok(entries)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::File::open(dir).map_err(named)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<RealFile>> {
        let file = self.open(path, Open::WriteOrCreate)?;
        let whole = whole_file();
        // SAFETY: the kernel reads one flock, which lives on this stack frame; the descriptor is
        // open as long as `file` is.
        let code = unsafe { libc::fcntl(file.0.as_raw_fd(), libc::F_OFD_SETLK, &raw const whole) };
        if code == 0 {
            return Ok(Some(file));
        }
        match io::Error::last_os_error() {
            fault if matches!(fault.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(None),
            fault => Err(fault),
        }
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        let file = match self.open(path, Open::Read) {
            Ok(file) => file,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(fault) => return Err(fault),
        };
        let mut whole = whole_file();
        // SAFETY: the kernel reads and writes one flock, which lives on this stack frame; the
        // descriptor is open as long as `file` is.
        let code = unsafe { libc::fcntl(file.0.as_raw_fd(), libc::F_OFD_GETLK, &raw mut whole) };
        match code {
            0 => Ok(i32::from(whole.l_type) != libc::F_UNLCK),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// The write lock of a file as a whole.
fn whole_file() -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}
