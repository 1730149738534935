//! `config.toml`, as the code has it: every key with its default, its bounds and its sentence.

use std::fmt::Write;

use super::Config;
use super::key::{Key, Kind, Place, Value};
use super::keys::{SECTIONS, Section};
use super::mirrors;

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
    text.push('\n');
    text.push_str(&mirrors::document());
    text
}

fn entry(section: &Section, key: &Key, defaults: &Config) -> String {
    format!(
        "# {}\n# {}.\n{} = {}\n",
        key.sentence,
        allowed(section, key),
        key_of(key.name),
        written(&key.value(defaults))
    )
}

/// A key as TOML takes it: a dot would make a table of what stands before it.
pub(super) fn key_of(name: &str) -> String {
    match name.contains('.') {
        true => format!("\"{name}\""),
        false => name.to_owned(),
    }
}

/// What the key may be.
fn allowed(section: &Section, key: &Key) -> String {
    if let Kind::Number(bounds) = &key.kind {
        let pair = section.ordered.iter().find(|(low, _)| *low == key.name);
        let limit = pair.map_or_else(String::new, |(_, high)| format!(", at most {high}"));
        return format!(
            "{} to {}{limit}",
            grouped(*bounds.start()),
            grouped(*bounds.end())
        );
    }
    match (key.place)(&mut Config::default()) {
        Place::Choice(choice) => format!("One of \"{}\"", choice.words().join("\", \"")),
        Place::Path(_) => "A path".to_owned(),
        Place::Word(_) => "A name; empty: not set".to_owned(),
        Place::Address(_) => "HOST:PORT".to_owned(),
        Place::MaybeAddress(_) => "HOST:PORT; empty: none".to_owned(),
        Place::Addresses(_) => "A list of HOST:PORT".to_owned(),
        _ => unreachable!("{} is no number", key.name),
    }
}

/// A value as TOML takes it.
fn written(value: &Value) -> String {
    match value {
        Value::Number(number) => grouped(*number),
        // The defaults hold nothing that would have to be escaped.
        Value::Text(text) => format!("\"{text}\""),
        Value::List(list) => {
            let texts = list.iter().map(|text| format!("\"{text}\""));
            format!("[{}]", texts.collect::<Vec<_>>().join(", "))
        }
    }
}

/// A number as TOML takes it and eyes like it: `16_777_216`.
pub(super) fn grouped(number: u64) -> String {
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
