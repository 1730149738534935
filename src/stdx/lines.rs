//! The text form of Kafka's checkpoint files (`CheckpointFile`): version, count, one line each.

use std::fmt::{Display, Write as _};

/// Why a text is not such a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinesFault {
    /// The file ends before its version and count.
    #[error("it ends before its version and count")]
    Short,
    /// It has a version that we do not know.
    #[error("its version is {found:?}, {known} is known")]
    Version {
        /// The first line, its beginning at least.
        found: String,
        /// The version that was asked for.
        known: u32,
    },
    /// The second line is not the number of the lines that follow.
    #[error("it promises {promised:?} lines and has {found}")]
    Count {
        /// The second line, its beginning at least.
        promised: String,
        /// Lines that follow.
        found: usize,
    },
    /// A line does not have the form that its file demands.
    #[error("its line {line:?} cannot be read")]
    Line {
        /// The line, its beginning at least.
        line: String,
    },
}

/// Of a line that cannot be read an error quotes so much.
const QUOTED_CHARS_MAX: usize = 100;

fn quoted(line: &str) -> String {
    match line.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// The text of `version` with one line per entry.
#[must_use]
pub fn write<I>(version: u32, entries: I) -> String
where
    I: ExactSizeIterator<Item: Display>,
{
    let mut text = head(version, entries.len());
    for entry in entries {
        writeln!(text, "{entry}").expect("a String takes every write");
    }
    text
}

/// How a text of so many entries begins.
#[must_use]
pub fn head(version: u32, entries: usize) -> String {
    format!("{version}\n{entries}\n")
}

/// Reads each line of a text of `version` with `entry`, which says `None` to a line that it
/// cannot read. An empty text has no entries, as in Kafka, which makes the file before it writes.
///
/// # Errors
/// The first thing that is wrong with the text.
pub fn read<T>(
    text: &str,
    version: u32,
    mut entry: impl FnMut(&str) -> Option<T>,
) -> Result<Vec<T>, LinesFault> {
    let mut entries = Vec::new();
    each(text, version, |line| {
        entries.push(entry(line)?);
        Some(())
    })?;
    Ok(entries)
}

/// Shows each line of a text of `version` to `entry`, and keeps none: the text may be long.
///
/// # Errors
/// As [`read`].
pub fn each(
    text: &str,
    version: u32,
    mut entry: impl FnMut(&str) -> Option<()>,
) -> Result<(), LinesFault> {
    if text.is_empty() {
        return Ok(());
    }
    let mut lines = text.lines();
    let (Some(first), Some(count)) = (lines.next(), lines.next()) else {
        return Err(LinesFault::Short);
    };
    if first.parse() != Ok(version) {
        return Err(LinesFault::Version {
            found: quoted(first),
            known: version,
        });
    }
    let mut found = 0;
    for line in lines {
        entry(line).ok_or_else(|| LinesFault::Line { line: quoted(line) })?;
        found += 1;
    }
    if count.parse() != Ok(found) {
        return Err(LinesFault::Count {
            promised: quoted(count),
            found,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let text = write(0, [3, 5].iter());
        assert_eq!(text, "0\n2\n3\n5\n");
        assert_eq!(read(&text, 0, |line| line.parse().ok()), Ok(vec![3, 5]));
        assert_eq!(read::<u8>("", 0, |_| None), Ok(Vec::new()));
    }

    #[test]
    fn damage_is_named() {
        let number = |line: &str| line.parse::<u8>().ok();
        for (text, part) in [
            ("0\n", "ends before"),
            ("1\n0\n", "version"),
            ("0\n2\n1\n", "promises"),
            ("0\n-1\n", "promises"),
            ("0\n1\nx\n", "cannot be read"),
        ] {
            let fault = read(text, 0, number).expect_err(text).to_string();
            assert!(fault.contains(part), "{text:?}: {fault}");
        }
    }
}
