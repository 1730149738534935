//! `[[mirrors]]`: mirrors that a node has from its start. Their keys are declared in `mirror`.

use std::collections::BTreeMap;
use std::fmt::Write;

use toml::de::{DeTable, DeValue};

use super::parse::{Name, Reading, line_of, list, other_type, text};
use super::{Fault, Wrong};
use crate::control::DeclaredMirror;
use crate::mirror::{MirrorName, SETTINGS, Setting, SettingKind};

/// The section's name.
pub(super) const NAME: &str = "mirrors";
const MIRROR_NAME: &str = "name";
const BOOTSTRAP_SERVERS: &str = "bootstrap.servers";

/// Reads all of them.
pub(super) fn read(reading: &mut Reading<'_>, name: &Name<'_>, value: &DeValue<'_>) {
    let tables = value.as_array().map(|mirrors| {
        let tables = mirrors.iter().map(|mirror| (mirror, mirror.get_ref()));
        let tables = tables.map(|(mirror, value)| Some((mirror.span(), value.as_table()?)));
        tables.collect::<Option<Vec<_>>>()
    });
    let Some(Some(tables)) = tables else {
        let wrong = other_type(value, "[[mirrors]], once for each mirror,");
        return reading.blame(name.span(), NAME, wrong);
    };
    for (span, table) in tables {
        let line = line_of(reading.text, &span);
        let mut mirror = Mirror::default();
        mirror.table(reading, "", table);
        mirror.finish(reading, line);
    }
}

/// A mirror that is being read.
#[derive(Default)]
struct Mirror {
    name: Option<MirrorName>,
    settings: BTreeMap<String, String>,
    /// Keys that are there and wrong.
    suspect: Vec<String>,
}

impl Mirror {
    /// A part of it. TOML makes tables of the dots in a key without quotes.
    fn table(&mut self, reading: &mut Reading<'_>, above: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let key = match above {
                "" => name.get_ref().to_string(),
                above => format!("{above}.{}", name.get_ref()),
            };
            let below = value.get_ref().as_table();
            let beginning = format!("{key}.");
            let is_beginning = |setting: &Setting| setting.name.starts_with(&beginning);
            if let Some(below) = below.filter(|_| SETTINGS.iter().any(is_beginning)) {
                self.table(reading, &key, below);
            } else if let Err(wrong) = self.key(reading, &key, value) {
                reading.blame(name.span(), &format!("{NAME}.{key}"), wrong);
                self.suspect.push(key);
            }
        }
    }

    fn key(
        &mut self,
        reading: &Reading<'_>,
        key: &str,
        value: &toml::Spanned<DeValue<'_>>,
    ) -> Result<(), Wrong> {
        if key == MIRROR_NAME {
            let name = text(value.get_ref())?;
            let legal = MirrorName::new(&name).ok_or_else(|| no_name(&name))?;
            self.name = Some(legal);
            return Ok(());
        }
        let setting = Setting::named(key).ok_or_else(|| Wrong::UnknownKey { known: known() })?;
        let value = match &setting.kind {
            SettingKind::Number(bounds) => {
                let bounds = u64::from(*bounds.start())..=u64::from(*bounds.end());
                reading.number(&bounds, value)?.to_string()
            }
            SettingKind::Addresses | SettingKind::Patterns => elements(value.get_ref())?,
            SettingKind::Text | SettingKind::Choice(_) => text(value.get_ref())?,
        };
        setting.check(&value).map_err(Wrong::Setting)?;
        self.settings.insert(key.to_owned(), value);
        Ok(())
    }

    fn finish(self, reading: &mut Reading<'_>, line: usize) {
        let is_said = |key: &str| self.suspect.iter().any(|suspect| suspect == key);
        let mut lacks = |key: &str| {
            let key = format!("{NAME}.{key}");
            let wrong = Wrong::Relation("a mirror needs it, and it is not set".to_owned());
            reading.fault(Fault { line, key, wrong });
        };
        if !self.settings.contains_key(BOOTSTRAP_SERVERS) && !is_said(BOOTSTRAP_SERVERS) {
            lacks(BOOTSTRAP_SERVERS);
        }
        let Some(name) = self.name else {
            if !is_said(MIRROR_NAME) {
                lacks(MIRROR_NAME);
            }
            return;
        };
        let mirrors = &mut reading.config.node.mirrors;
        if mirrors.iter().any(|mirror| mirror.name == name) {
            let key = format!("{NAME}.{MIRROR_NAME}");
            let wrong = Wrong::Relation(format!("there are two mirrors '{name}': rename one"));
            return reading.fault(Fault { line, key, wrong });
        }
        mirrors.push(DeclaredMirror {
            name,
            settings: self.settings,
        });
    }
}

/// A list, as a setting states it. A single text may hold commas itself.
fn elements(value: &DeValue<'_>) -> Result<String, Wrong> {
    if let Some(text) = value.as_str() {
        return Ok(text.to_owned());
    }
    let elements = list(value)?;
    match elements.iter().find(|element| element.contains(',')) {
        Some(element) => Err(Wrong::Value(format!(
            "'{element}' holds a comma, which divides the elements of a list here: write it as two \
             elements, or a pattern without one"
        ))),
        None => Ok(elements.join(",")),
    }
}

fn no_name(name: &str) -> Wrong {
    let legal = "1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-'";
    Wrong::Value(format!("'{name}' is not a mirror's name: {legal}"))
}

fn known() -> String {
    let settings = SETTINGS.iter().map(|setting| setting.name);
    let names = [MIRROR_NAME].into_iter().chain(settings);
    names.collect::<Vec<_>>().join(", ")
}

/// The section as `config.toml` has it: there is no mirror by default, so it is all comment.
pub(super) fn document() -> String {
    let mut text = "\
# Mirrors that the node has from its start, each under a heading of its own; `twinlog mirrors`
# makes more. The keys are those of KIP-1279.
# [[mirrors]]

# Its name; it has to be set.
# name = \"dr\"
"
    .to_owned();
    for setting in &SETTINGS {
        let example = match &setting.kind {
            SettingKind::Number(bounds) => super::document::grouped(u64::from(*bounds.end())),
            SettingKind::Addresses => "\"broker-1:9092,broker-2:9092\"".to_owned(),
            SettingKind::Patterns => "[\"orders\", \"payments-.*\"]".to_owned(),
            SettingKind::Text => "\"\"".to_owned(),
            SettingKind::Choice(words) => format!("\"{}\"", words[0]),
        };
        let bounds = match &setting.kind {
            SettingKind::Number(bounds) => format!(
                " {} to {}.",
                super::document::grouped(u64::from(*bounds.start())),
                super::document::grouped(u64::from(*bounds.end()))
            ),
            _ => String::new(),
        };
        let (sentence, unless_set, name) = (setting.sentence, setting.unless_set, setting.name);
        write!(
            text,
            "\n# {sentence}\n# Unless set: {unless_set}.{bounds}\n# \"{name}\" = {example}\n"
        )
        .expect("strings grow");
    }
    text
}
