//! `config.toml`, as the code has it: every key with its default, its bounds and its sentence.

use std::fmt::Write;

use super::Config;
use super::keys::{Key, SECTIONS, Section};

const HEAD: &str = "\
# Every key of twinlog with its default. A file needs only what it changes; a key that is not
# listed here is an error. Names say their units: bytes or milliseconds (ms).
#
# Memory is bounded by shard.window_bytes for each connection, of which every core has
# source.connections_per_broker to each broker. While a batch arrives that is larger, its connection
# takes as much as the batch has, source.batch_bytes_max at most. A partition adds some 20 KiB, and
# 100 bytes for each producer that wrote to it within a day.
";

/// The text of `config.toml`: TOML that sets every key to its default.
#[must_use]
pub fn document() -> String {
    let defaults = Config::default();
    let mut text = HEAD.to_owned();
    for section in &SECTIONS {
        let (sentence, name) = (section.sentence, section.name);
        write!(text, "\n# {sentence}\n[{name}]\n").expect("strings grow");
        for key in section.keys {
            text.push('\n');
            text.push_str(&entry(section, key, &defaults));
        }
    }
    text
}

fn entry(section: &Section, key: &Key, defaults: &Config) -> String {
    let pair = section.ordered.iter().find(|(low, _)| *low == key.name);
    let limit = pair.map_or_else(String::new, |(_, high)| format!(", at most {high}"));
    format!(
        "# {}\n# {} to {}{limit}.\n{} = {}\n",
        key.sentence,
        grouped(*key.bounds.start()),
        grouped(*key.bounds.end()),
        key.name,
        grouped(key.value(defaults))
    )
}

/// A number as TOML takes it and eyes like it: `16_777_216`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}
