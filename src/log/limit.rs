//! A log was cut below its recovery point, which others keep: how far it is believed meanwhile.
//!
//! `cut-checkpoint` holds one line in the form of Kafka's checkpoints: where the log ends since the
//! cut, and up to where it was durable before. A recovery point between the two may be of before
//! the cut; one above the second is surely newer, and so is that of a log that was closed cleanly
//! since. The file goes once one is seen that is not doubted where it is kept: what is said when
//! the log is opened may not be written down yet.

use std::path::Path;

use crate::io::{Disk, Durability, replace};
use crate::model::Offset;
use crate::stdx::lines;

use super::fault::{LogFault, at, replacing};
use super::layout::{self, CUT};
use super::opening::Beginning;
use super::verify::Claims;

const VERSION: u32 = 0;

/// What a cut has left to be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    /// The log's end since the cut.
    pub(super) to: Offset,
    /// Up to where it was durable before.
    durable: Offset,
}

impl Limit {
    /// Whether `point` may be told by somebody who does not know of the cut.
    pub(super) fn doubts(self, point: Offset) -> bool {
        self.to < point && point <= self.durable
    }

    /// Nothing is doubted any more: whoever says that the log was closed cleanly has been told of
    /// its end since the cut, and whatever he says next is newer.
    fn settled(self) -> Limit {
        let to = self.durable;
        Limit { to, ..self }
    }

    pub(super) fn from_text(text: &str) -> Option<Limit> {
        let limits = lines::read(text, VERSION, |line| {
            let (to, durable) = line.split_once(' ')?;
            let offset = |text: &str| text.parse().ok().and_then(Offset::from_wire);
            let (to, durable) = (offset(to)?, offset(durable)?);
            Some(Limit { to, durable })
        });
        limits.ok()?.first().copied()
    }

    fn to_text(self) -> String {
        let line = format!("{} {}", self.to, self.durable);
        lines::write(VERSION, [line].iter())
    }
}

/// Remembers durably that the log in `dir`, which was durable up to `durable`, is cut at `to`.
pub(super) fn note<D: Disk>(
    disk: &D,
    dir: &Path,
    to: Offset,
    durable: Offset,
) -> Result<(), LogFault> {
    let before = read(disk, dir)?;
    let limit = Limit {
        to: before.map_or(to, |before| before.to.min(to)),
        durable: before.map_or(durable, |before| before.durable.max(durable)),
    };
    let path = dir.join(CUT);
    let text = limit.to_text();
    replace(disk, &path, text.as_bytes(), Durability::PowerLoss).map_err(replacing(&path))
}

/// What is known of a log, and no more of it than is to be believed after a cut.
pub(super) fn believed<'d, D: Disk>(
    disk: &D,
    dir: &Path,
    known: Beginning<'d>,
) -> Result<(Beginning<'d>, Option<Limit>), LogFault> {
    let Some(limit) = read(disk, dir)? else {
        return Ok((known, None));
    };
    if known.is_clean {
        return Ok((known, Some(limit.settled())));
    }
    let recovery_point = match limit.doubts(known.recovery_point) {
        true => limit.to.max(known.log_start),
        false => known.recovery_point,
    };
    let known = Beginning {
        recovery_point,
        ..known
    };
    Ok((known, Some(limit)))
}

/// A newer recovery point is known elsewhere.
pub(super) fn forget<D: Disk>(disk: &D, dir: &Path) -> Result<(), LogFault> {
    let path = dir.join(CUT);
    match disk.remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at(&path)(error)),
        _ => Ok(()),
    }
}

/// What is claimed of a log that was not closed cleanly, and no more of it than is to be believed
/// after a cut. One that was emptied may begin anywhere since.
pub(super) fn claimable<D: Disk>(disk: &D, dir: &Path, claims: Claims) -> Result<Claims, LogFault> {
    let limit = read(disk, dir)?.filter(|limit| limit.doubts(claims.durable));
    let Some(limit) = limit.filter(|_| !claims.is_clean) else {
        return Ok(claims);
    };
    Ok(Claims {
        durable: limit.to,
        log_start: claims.log_start.filter(|start| *start < limit.to),
        ..claims
    })
}

fn read<D: Disk>(disk: &D, dir: &Path) -> Result<Option<Limit>, LogFault> {
    let bytes = layout::content(disk, &dir.join(CUT))?;
    Ok(bytes.and_then(|bytes| Limit::from_text(&String::from_utf8_lossy(&bytes))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_between_the_cut_and_what_was_durable_is_doubted() {
        let limit = Limit {
            to: Offset::new(100),
            durable: Offset::new(500),
        };
        let doubted = [99, 100, 101, 500, 501].map(|point| limit.doubts(Offset::new(point)));
        assert_eq!(doubted, [false, false, true, true, false]);
        assert_eq!(Limit::from_text(&limit.to_text()), Some(limit));
        for text in ["", "0\n0\n", "0\n1\n7\n", "1\n1\n1 2\n"] {
            assert_eq!(Limit::from_text(text), None, "{text:?}");
        }
    }
}
