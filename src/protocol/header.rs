//! What stands before every request and every answer, by request and version.

use super::primitive::{Malformed, Reader, Unread, Writer};
use super::versions::ServedApi;

/// The header of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// Which request.
    pub api_key: i16,
    /// In which version.
    pub version: i16,
    /// The number that its answer has to repeat.
    pub correlation: i32,
    /// Who asks, in its own words; bytes that are not UTF-8 are replaced.
    pub client_id: Option<String>,
}

impl RequestHeader {
    /// Splits a frame (without its length) into the header and the request's own bytes. Tagged
    /// fields are passed over where the version is one of those that are `served`; of all others,
    /// only the header is of use.
    ///
    /// # Errors
    /// The frame ends before the header does, or a length in it cannot be.
    pub fn read<'f>(
        frame: &'f [u8],
        served: &[ServedApi],
    ) -> Result<(RequestHeader, &'f [u8]), Malformed> {
        let mut reader = Reader::new(frame);
        let header = match fields(&mut reader, served) {
            Ok(header) => header,
            Err(Unread::Malformed(fault)) => return Err(fault),
            Err(Unread::Short) => {
                let field = "the header of a request";
                return Err(Malformed::BeyondFrame { field });
            }
        };
        let body = frame
            .get(reader.taken()..)
            .expect("no more is taken than there is");
        Ok((header, body))
    }
}

fn fields(reader: &mut Reader<'_>, served: &[ServedApi]) -> Result<RequestHeader, Unread> {
    let header = RequestHeader {
        api_key: reader.i16()?,
        version: reader.i16()?,
        correlation: reader.i32()?,
        client_id: client_id(reader)?,
    };
    let known = ServedApi::among(served, header.api_key).filter(|api| api.has(header.version));
    if known.is_some_and(|api| api.is_flexible(header.version)) {
        reader.tagged(|_, _| Ok(()))?;
    }
    Ok(header)
}

/// A string of the older kind in all versions of the header.
fn client_id(reader: &mut Reader<'_>) -> Result<Option<String>, Unread> {
    let length = reader.i16()?;
    match usize::try_from(length) {
        Ok(bytes) => Ok(Some(
            String::from_utf8_lossy(reader.bytes(bytes)?).into_owned(),
        )),
        Err(_) if length == -1 => Ok(None),
        Err(_) => Err(Malformed::Impossible {
            field: "the length of a client id",
            value: i64::from(length),
        }
        .into()),
    }
}

/// Appends what an answer begins with, the frame's length included, which is not known yet. Whoever
/// has written the answer calls [`set_length`] with the place that this returns.
pub fn begin_answer(api: ServedApi, version: i16, correlation: i32, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    let mut to = Writer::new(out);
    to.i32(0);
    to.i32(correlation);
    if api.answer_header_is_flexible(version) {
        to.no_tags();
    }
    start
}

/// States the length of the frame that begins at `start` and ends `beyond` bytes after `out` does.
pub fn set_length(out: &mut [u8], start: usize, beyond: usize) {
    let frame = out.get_mut(start..).expect("the frame was appended");
    let (length, content) = frame
        .split_first_chunk_mut::<4>()
        .expect("its length comes first");
    let bytes = content.len().saturating_add(beyond);
    let bytes = i32::try_from(bytes).expect("a frame of ours is shorter than 2 GiB");
    *length = bytes.to_be_bytes();
}

#[cfg(test)]
mod tests;
