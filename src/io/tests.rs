//! The memory disk does what every disk does.

use std::path::Path;

use super::memory::MemoryDisk;
use super::{Disk, conformance};

#[test]
fn the_memory_disk_conforms() {
    let (disk, dir) = (MemoryDisk::default(), Path::new("/disk"));
    disk.create_dir(dir).unwrap();
    conformance::conforms(&disk, dir);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(conformance::syncs(&disk, dir));
}
