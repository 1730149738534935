//! TOML to options: each key against its declaration, then the keys against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::key::{Key, Kind, Value};
use super::keys::{SECTIONS, Section};
use super::{Config, Fault, Wrong, mirrors, relations};

/// No configuration is longer: the parser's work on what is none grows with the square of it.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// Dots outside of quotes and comments, of which the parser makes a table each: so many in any
/// text, and one more for so many bytes of it.
const DOTS_MAX: usize = 48;
const BYTES_PER_DOT: usize = 8;
/// More that is wrong with a file says nothing more.
const FAULTS_MAX: usize = 100;

/// [`Config::parse`].
pub(super) fn parse(text: &str) -> Result<Config, Vec<Fault>> {
    let refused = |why| {
        let (line, key, wrong) = (1, String::new(), Wrong::Syntax(why));
        Err(vec![Fault { line, key, wrong }])
    };
    if text.len() > TEXT_BYTES_MAX {
        return refused(format!("more than {TEXT_BYTES_MAX} bytes"));
    }
    let dots_max = DOTS_MAX + text.len() / BYTES_PER_DOT;
    if dots(text) > dots_max {
        return refused(format!("more than {dots_max} dots outside of quotes"));
    }
    let table = DeTable::parse(text).map_err(|error| vec![not_toml(text, &error)])?;
    let mut reading = Reading {
        text,
        config: Config::default(),
        faults: Vec::new(),
        lines: Lines::new(),
    };
    for (name, value) in table.get_ref() {
        reading.root(name, value);
    }
    let Reading {
        config,
        mut faults,
        lines,
        ..
    } = reading;
    relations::check(&config, &lines, &mut faults);
    if faults.is_empty() {
        return Ok(config);
    }
    faults.sort_by_key(|fault| fault.line);
    Err(faults)
}

/// A key of a table, with its place in the text.
pub(super) type Name<'t> = Spanned<std::borrow::Cow<'t, str>>;

/// Where a key's value was found sound, by the key with its section.
pub(super) type Lines = BTreeMap<String, usize>;

/// A text that is being read, and what came of it so far.
pub(super) struct Reading<'t> {
    pub(super) text: &'t str,
    pub(super) config: Config,
    faults: Vec<Fault>,
    pub(super) lines: Lines,
}

impl Reading<'_> {
    fn root(&mut self, name: &Name<'_>, value: &Spanned<DeValue<'_>>) {
        let key = name.get_ref();
        if key == mirrors::NAME {
            return mirrors::read(self, name, value.get_ref());
        }
        let section = SECTIONS.iter().find(|section| section.name == key);
        match (section, value.get_ref().as_table()) {
            (Some(section), Some(table)) => self.section(section, table),
            (Some(_), None) => {
                let wrong = other_type(value.get_ref(), "a section");
                self.blame(name.span(), key, wrong);
            }
            (None, Some(_)) => {
                let known = section_names();
                self.blame(name.span(), key, Wrong::UnknownSection { known });
            }
            (None, None) => {
                let known = section_names();
                self.blame(name.span(), key, Wrong::Homeless { known });
            }
        }
    }

    fn section(&mut self, section: &'static Section, table: &DeTable<'_>) {
        let mut suspect = BTreeSet::new();
        self.keys(section, "", table, &mut suspect);
        for &(low, high) in section.ordered {
            if !suspect.contains(low) && !suspect.contains(high) {
                self.compare(section, low, high);
            }
        }
    }

    /// A part of a section. TOML makes tables of the dots in a key without quotes.
    fn keys(
        &mut self,
        section: &'static Section,
        above: &str,
        table: &DeTable<'_>,
        suspect: &mut BTreeSet<&'static str>,
    ) {
        for (name, value) in table {
            let name_here = format!("{above}{}", name.get_ref());
            let beginning = format!("{name_here}.");
            let is_beginning = |key: &Key| key.name.starts_with(&beginning);
            let below = value.get_ref().as_table();
            if let Some(below) = below.filter(|_| section.keys.iter().any(is_beginning)) {
                self.keys(section, &beginning, below, suspect);
                continue;
            }
            let full = full(section, &name_here);
            let Some(key) = section.keys.iter().find(|key| key.name == name_here) else {
                let names = section.keys.iter().map(|key| key.name.to_owned());
                let known = names.collect::<Vec<_>>().join(", ");
                self.blame(name.span(), &full, Wrong::UnknownKey { known });
                continue;
            };
            let value = self.value(key, value);
            match value.and_then(|value| key.set(&mut self.config, &value)) {
                Ok(()) => {
                    self.lines.insert(full, line_of(self.text, &name.span()));
                }
                Err(wrong) => {
                    suspect.insert(key.name);
                    self.blame(name.span(), &full, wrong);
                }
            }
        }
    }

    fn value(&self, key: &Key, value: &Spanned<DeValue<'_>>) -> Result<Value, Wrong> {
        match &key.kind {
            Kind::Number(bounds) => self.number(bounds, value).map(Value::Number),
            Kind::Text => text(value.get_ref()).map(Value::Text),
            Kind::List => list(value.get_ref()).map(Value::List),
        }
    }

    /// A number within its bounds.
    pub(super) fn number(
        &self,
        bounds: &RangeInclusive<u64>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<u64, Wrong> {
        let Some(integer) = value.get_ref().as_integer() else {
            return Err(other_type(value.get_ref(), "a whole number"));
        };
        u64::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .filter(|number| bounds.contains(number))
            .ok_or_else(|| Wrong::OutOfBounds {
                value: self.text[value.span()].to_owned(),
                min: *bounds.start(),
                max: *bounds.end(),
            })
    }

    /// Blames the one of the two keys that the text mentions last.
    fn compare(&mut self, section: &'static Section, low: &'static str, high: &'static str) {
        let value = |name| {
            let key = section.keys.iter().find(|key| key.name == name);
            let key = key.expect("sections order keys of their own");
            key.number(&self.config)
        };
        let (low_value, high_value) = (value(low), value(high));
        if low_value <= high_value {
            return;
        }
        let mentioned = [low, high].into_iter().filter_map(|name| {
            let line = self.lines.get(&full(section, name))?;
            Some((*line, name))
        });
        let (line, blamed) = mentioned.max().expect("defaults comply");
        self.fault(Fault {
            line,
            key: full(section, blamed),
            wrong: Wrong::Above {
                low,
                low_value,
                high,
                high_value,
            },
        });
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        }
    }

    pub(super) fn blame(&mut self, at: Range<usize>, key: &str, wrong: Wrong) {
        self.fault(Fault {
            line: line_of(self.text, &at),
            key: key.to_owned(),
            wrong,
        });
    }
}

/// Dots that stand neither in quotes nor in a comment. Text over several lines may count as either.
fn dots(text: &str) -> usize {
    let of_line = |line: &str| {
        let (mut count, mut quote) = (0, None);
        let mut letters = line.bytes();
        while let Some(letter) = letters.next() {
            match (quote, letter) {
                (Some(b'"'), b'\\') => drop(letters.next()),
                (Some(open), _) if letter == open => quote = None,
                (None, b'"' | b'\'') => quote = Some(letter),
                (None, b'#') => break,
                (None, b'.') => count += 1,
                _ => {}
            }
        }
        count
    };
    text.lines().map(of_line).sum()
}

fn full(section: &Section, key: &str) -> String {
    format!("{}.{key}", section.name)
}

fn section_names() -> String {
    let names = SECTIONS.iter().map(|section| format!("[{}]", section.name));
    let names = names.chain([format!("[[{}]]", mirrors::NAME)]);
    names.collect::<Vec<_>>().join(", ")
}

/// A text, as it is meant.
pub(super) fn text(value: &DeValue<'_>) -> Result<String, Wrong> {
    let text = value.as_str().ok_or_else(|| other_type(value, "a text"))?;
    Ok(text.to_owned())
}

/// A list of texts.
pub(super) fn list(value: &DeValue<'_>) -> Result<Vec<String>, Wrong> {
    let list = value.as_array();
    let list = list.ok_or_else(|| other_type(value, "a list of texts"))?;
    list.iter().map(|element| text(element.get_ref())).collect()
}

pub(super) fn other_type(value: &DeValue<'_>, wanted: &'static str) -> Wrong {
    let found = kind(value);
    Wrong::Type { found, wanted }
}

fn not_toml(text: &str, error: &toml::de::Error) -> Fault {
    // Without a place it is about the text as a whole.
    let line = error.span().map_or(1, |span| line_of(text, &span));
    let message = error.message().lines().collect::<Vec<_>>().join("; ");
    Fault {
        line,
        key: String::new(),
        wrong: Wrong::Syntax(message),
    }
}

pub(super) fn line_of(text: &str, span: &Range<usize>) -> usize {
    let before = &text.as_bytes()[..span.start.min(text.len())];
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}
