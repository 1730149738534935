//! Free memory that is really there.
//!
//! A virtual machine may get a page of its memory from the host only when it is filled for the
//! first time. Who is first is charged for it, which costs several times what writing a file costs.

use std::fs;
use std::hint::black_box;
use std::io;

use crate::size;

/// Every page is at least so long.
const PAGE_BYTES: usize = 4096;

/// How much to fill.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// So many bytes, but no more than half of what the machine has available.
    #[arg(long, value_parser = size::parse)]
    bytes: u64,
}

/// Fills as much free memory, which is free again, and there, when this process has ended.
pub(crate) fn touch(options: &Options) -> io::Result<()> {
    let bytes = options.bytes.min(available_bytes()? / 2);
    let bytes = usize::try_from(bytes).map_err(io::Error::other)?;
    let mut memory = vec![0u8; bytes];
    for page in memory.chunks_mut(PAGE_BYTES) {
        page[0] = 1;
    }
    black_box(&memory);
    Ok(())
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
    #[test]
    fn the_machine_says_what_is_available() {
        // Less than these tests need, and more than any machine has.
        let possible = 1 << 20..1 << 50;
        assert!(possible.contains(&super::available_bytes().unwrap()));
    }
}
