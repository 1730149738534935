//! Free memory that is really there, and stays there.
//!
//! A virtual machine may get a page of its memory from the host only when it is filled for the
//! first time, and whoever fills it is charged several times what writing a file costs. What is
//! freed goes back to the host after seconds, in blocks of 2 MiB. So memory is filled and then
//! freed but for a page here and there: no block is ever free as a whole, and none is given back.

use std::fs;
use std::io;
use std::ptr::NonNull;
use std::time::Duration;

use crate::size;

/// Every page is at least so long.
const PAGE_BYTES: usize = 4096;
/// One page of so many is kept: two of each block that would be given back.
const KEPT_EACH: usize = 256;

/// How much to keep there.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// So many bytes, but no more than half of what the machine has available.
    #[arg(long, value_parser = size::parse)]
    bytes: u64,
    /// How long, in seconds.
    #[arg(long, default_value_t = 3600)]
    limit_s: u64,
}

/// Fills as much free memory and frees it again; says so, and keeps it there until this process is
/// killed or its time is over.
pub(crate) fn hold(options: &Options) -> io::Result<()> {
    let bytes = options.bytes.min(available_bytes()? / 2);
    let memory = Memory::map(usize::try_from(bytes).map_err(io::Error::other)?)?;
    memory.fill();
    memory.free_most()?;
    println!("held");
    std::thread::sleep(Duration::from_secs(options.limit_s));
    Ok(())
}

/// Pages of this process that nobody reads.
struct Memory {
    first: NonNull<u8>,
    bytes: usize,
}

impl Memory {
    fn map(bytes: usize) -> io::Result<Memory> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping at a place that the kernel chooses touches no memory of ours.
        let mapped = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, kind, -1, 0) };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let first = NonNull::new(mapped.cast()).expect("a mapping is nowhere near zero");
        let memory = Memory { first, bytes };
        // Small pages, of which some can be kept.
        memory.advise(0, bytes, libc::MADV_NOHUGEPAGE)?;
        Ok(memory)
    }

    fn fill(&self) {
        for at in (0..self.bytes).step_by(PAGE_BYTES) {
            // SAFETY: `at` lies in the mapping, which lives as long as this process.
            unsafe { self.first.add(at).write_volatile(1) };
        }
    }

    fn free_most(&self) -> io::Result<()> {
        let step = PAGE_BYTES * KEPT_EACH;
        for at in (0..self.bytes).step_by(step) {
            let end = self.bytes.min(at + step);
            let begin = end.min(at + PAGE_BYTES);
            self.advise(begin, end - begin, libc::MADV_DONTNEED)?;
        }
        Ok(())
    }

    fn advise(&self, at: usize, bytes: usize, advice: libc::c_int) -> io::Result<()> {
        // SAFETY: the range lies in the mapping, to which no reference exists.
        match unsafe { libc::madvise(self.first.add(at).as_ptr().cast(), bytes, advice) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

fn available_bytes() -> io::Result<u64> {
    let told = fs::read_to_string("/proc/meminfo")?;
    told.lines()
        .find_map(|line| line.strip_prefix("MemAvailable:")?.strip_suffix("kB"))
        .and_then(|kib| kib.trim().parse::<u64>().ok())
        .map(|kib| kib * 1024)
        .ok_or_else(|| io::Error::other("/proc/meminfo does not say what is available"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_what_is_available() {
        // Less than these tests need, and more than any machine has.
        let possible = 1 << 20..1 << 50;
        assert!(possible.contains(&available_bytes().unwrap()));
    }

    #[test]
    fn one_page_of_each_stretch_is_kept() {
        let pages = 3 * KEPT_EACH + 5;
        let memory = Memory::map(pages * PAGE_BYTES).unwrap();
        memory.fill();
        memory.free_most().unwrap();
        let kept = (0..pages).filter(|page| {
            // SAFETY: the page lies in the mapping; a freed one reads as zero.
            unsafe { memory.first.add(page * PAGE_BYTES).read_volatile() == 1 }
        });
        let expected: Vec<usize> = (0..4).map(|stretch| stretch * KEPT_EACH).collect();
        assert_eq!(kept.collect::<Vec<usize>>(), expected);
    }
}
