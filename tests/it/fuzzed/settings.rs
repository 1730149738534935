//! The text of a configuration file.

use twinlog::config::Config;
use twinlog::source::Source;

use crate::counting::held_by;

/// The parser makes a table of every dot in a key, and copies the text for every fault that it
/// sees, one at a time: so what is held counts here, and not what was ever asked for.
const PER_BYTE: u64 = 1024;
const BESIDE: u64 = 64 << 10;

/// Whatever is accepted, its owners can work with; whatever is refused names its line.
pub(super) fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (parsed, held) = held_by(|| Config::parse(text));
    let most = PER_BYTE * text.len() as u64 + BESIDE;
    assert!(held <= most, "{held} bytes held for {}", text.len());
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
