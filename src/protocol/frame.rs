//! Frames out of a byte stream: four bytes of length, then as many bytes of content.

use super::primitive::{FRAME_LENGTH, Malformed, Reader};

/// The content of the frame at the front of `stream`; none where not all of it is there. The frame
/// itself has [`LENGTH_BYTES`] more.
///
/// # Errors
/// Its length is negative, or more than `most` bytes: nothing after it can be read any more.
pub fn front(stream: &[u8], most: usize) -> Result<Option<&[u8]>, Malformed> {
    let mut reader = Reader::new(stream);
    let Ok(stated) = reader.i32() else {
        return Ok(None);
    };
    let length = usize::try_from(stated)
        .ok()
        .filter(|length| *length <= most)
        .ok_or(Malformed::Impossible {
            field: FRAME_LENGTH,
            value: i64::from(stated),
        })?;
    Ok(reader.bytes(length).ok())
}

/// Bytes of a frame before its content.
pub const LENGTH_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_seen_when_all_of_it_is_there() {
        let stream = [0, 0, 0, 2, 7, 8, 9];
        for end in 0..6 {
            assert_eq!(front(&stream[..end], 2), Ok(None));
        }
        assert_eq!(front(&stream, 2), Ok(Some(&[7u8, 8][..])));
        assert_eq!(front(&[0; 4], 0), Ok(Some(&[][..])));
    }

    #[test]
    fn lengths_that_cannot_be_are_refused_at_once() {
        for (stream, value) in [([0xff; 4], -1), ([0, 0, 0, 3], 3)] {
            let field = "the length of a frame";
            assert_eq!(
                front(&stream, 2),
                Err(Malformed::Impossible { field, value })
            );
        }
    }
}
