//! The text of a configuration file.

use twinlog::config::Config;
use twinlog::source::Source;

use super::{BESIDE_MAX, bounded_by};

/// The parser makes tokens, events and tables of what it reads: 13 bytes for each byte of a file
/// like `config.toml`, 30 of one with mirrors, 270 of one that is nothing but tables in a list.
const PER_BYTE: u64 = 384;

/// Whatever is accepted, its owners can work with; whatever is refused names its line.
pub(super) fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let parsed = bounded_by(PER_BYTE, text.len(), BESIDE_MAX, || Config::parse(text));
    match parsed {
        Ok(config) => drop(Source::new(config.shard.source, 1)),
        Err(faults) => {
            assert!(!faults.is_empty());
            let lines = text.lines().count().max(1);
            assert!(
                faults
                    .iter()
                    .all(|fault| (1..=lines + 1).contains(&fault.line))
            );
            assert!(faults.iter().all(|fault| !fault.to_string().is_empty()));
        }
    }
}
