//! The state log of a node.

use std::path::Path;

use twinlog::control::state_file::{FILE, StateFault, StateFile};

use super::disk::FlatDisk;
use super::input::Input;

const HEAD: &[u8] = b"twinlog-state-1\n";

/// A state log, the checksums of its groups made right or not: it says the same when it is read
/// again, or is left as it was. Patterns in it take more memory than they are long.
pub(super) fn mirror_state(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let file = match input.byte() & 1 {
        1 => put_together(&mut input),
        _ => [HEAD, input.rest()].concat(),
    };
    let (disk, dir) = (FlatDisk::default(), Path::new("/node"));
    disk.put(&dir.join(FILE), &file);
    let found = StateFile::open(disk.clone(), dir).map(|opened| opened.log().clone());
    let left = disk.bytes(&dir.join(FILE)).expect("it is there");
    match found {
        Ok(found) => {
            assert!(file.starts_with(&left), "no more than an end is cut off");
            let again = StateFile::open(disk.clone(), dir).expect("it was sound");
            assert_eq!(*again.log(), found);
            assert_eq!(disk.bytes(&dir.join(FILE)), Some(left));
        }
        Err(fault) => {
            assert!(matches!(
                fault,
                StateFault::Damaged { .. } | StateFault::Unknown { .. }
            ));
            assert!(!fault.to_string().is_empty());
            assert_eq!(left, file);
        }
    }
}

/// Groups whose contents have a length of two bytes in the input.
fn put_together(input: &mut Input<'_>) -> Vec<u8> {
    let mut file = HEAD.to_vec();
    while !input.is_empty() {
        let length = usize::from(input.byte()) << 8 | usize::from(input.byte());
        let content = input.take(length);
        let counted = u32::try_from(content.len()).expect("small").to_be_bytes();
        let mut sum = crc32fast::Hasher::new();
        sum.update(&counted);
        sum.update(content);
        file.extend_from_slice(&counted);
        file.extend_from_slice(&sum.finalize().to_be_bytes());
        file.extend_from_slice(content);
    }
    file
}
