//! A batch that claims to be large is not held on the mere word of its length, which may be
//! damaged: its checksum is made piece by piece before.

use std::path::Path;

use zerocopy::FromBytes;

use crate::io::File;
use crate::model::Position;
use crate::record::crc::Pieces;
use crate::record::{BatchFault, BatchHeader, CRC_FROM, HEADER_BYTES};

use super::fault::{LogFault, at};

/// Batches of up to so many bytes are held first and checked then.
const SMALL_BYTES: u64 = 16 << 20;
const PIECE_BYTES: u64 = 1 << 20;

/// What is wrong with the batch of `bytes` bytes that seems to begin at `place`, if it is large;
/// the file called `name` has so many.
pub(super) fn fault<F: File>(
    file: &F,
    name: &Path,
    place: Position,
    bytes: u64,
) -> Result<Option<BatchFault>, LogFault> {
    if bytes <= SMALL_BYTES {
        return Ok(None);
    }
    let mut header = [0; HEADER_BYTES];
    file.read_at(&mut header, place).map_err(at(name))?;
    let header = BatchHeader::ref_from_bytes(&header).expect("the sizes are the same");
    let (mut pieces, mut done) = (Pieces::default(), CRC_FROM as u64);
    let mut piece = vec![0; usize::try_from(PIECE_BYTES).expect("small")];
    while done < bytes {
        let size = usize::try_from(PIECE_BYTES.min(bytes - done)).expect("small");
        let read = file.read_at(&mut piece[..size], place.plus(done));
        let read = read.map_err(at(name))?;
        if read == 0 {
            // It has become shorter meanwhile.
            break;
        }
        pieces.push(&piece[..read]);
        done += read as u64;
    }
    let (said, found) = (header.crc.get(), pieces.crc32c());
    let at = header.base_offset.get();
    Ok((said != found).then_some(BatchFault::Checksum { at, said, found }))
}
