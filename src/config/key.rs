//! What a key is: its value as a file states it, and the option that takes it.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::{Config, Wrong};
use crate::control::{DestinationKind, RogueWrites, SourceLoss, Unfit};
use crate::model::{BrokerAddress, BrokerId, ProducerIdShift};

/// A key that may be set. Its default is the option's own.
pub(super) struct Key {
    pub(super) name: &'static str,
    /// What it means, in one sentence.
    pub(super) sentence: &'static str,
    /// What a file may say.
    pub(super) kind: Kind,
    /// The option that it sets.
    pub(super) place: fn(&mut Config) -> Place<'_>,
}

/// What a file may say for a key.
pub(super) enum Kind {
    /// A whole number; never more than its option holds, nor than TOML can say.
    Number(RangeInclusive<u64>),
    /// A text.
    Text,
    /// A list of texts.
    List,
}

/// What a file says for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Number(u64),
    Text(String),
    List(Vec<String>),
}

/// An option, by what it takes.
pub(super) enum Place<'a> {
    U16(&'a mut u16),
    U32(&'a mut u32),
    U64(&'a mut u64),
    Shift(&'a mut ProducerIdShift),
    /// 0 stands for none.
    Broker(&'a mut Option<BrokerId>),
    Path(&'a mut PathBuf),
    /// A listener's name; empty for none.
    Word(&'a mut String),
    Choice(&'a mut dyn Chosen),
    Address(&'a mut BrokerAddress),
    /// Empty for none.
    MaybeAddress(&'a mut Option<BrokerAddress>),
    Addresses(&'a mut Vec<BrokerAddress>),
}

/// One of some words.
pub(super) trait Chosen {
    /// Those that may be.
    fn words(&self) -> &'static [&'static str];
    /// The one that is.
    fn word(&self) -> &'static str;
    /// Takes another; whether it is one of them.
    fn choose(&mut self, word: &str) -> bool;
}

macro_rules! choices {
    ($($choice:ident { $($word:literal: $variant:ident,)* })*) => {$(
        impl Chosen for $choice {
            fn words(&self) -> &'static [&'static str] {
                &[$($word,)*]
            }

            fn word(&self) -> &'static str {
                match self {
                    $($choice::$variant => $word,)*
                }
            }

            fn choose(&mut self, word: &str) -> bool {
                match word {
                    $($word => *self = $choice::$variant,)*
                    _ => return false,
                }
                true
            }
        }
    )*};
}

choices! {
    DestinationKind { "vault": Vault, "member": Member, }
    Unfit { "refuse": Refuse, "register": Register, }
    RogueWrites { "stop": Stop, "set-aside": SetAside, }
    SourceLoss { "stop": Stop, "set-aside": SetAside, }
}

impl Place<'_> {
    fn value(&self) -> Value {
        let text = |address: Option<&BrokerAddress>| {
            Value::Text(address.map(ToString::to_string).unwrap_or_default())
        };
        match self {
            Place::U16(place) => Value::Number(u64::from(**place)),
            Place::U32(place) => Value::Number(u64::from(**place)),
            Place::U64(place) => Value::Number(**place),
            Place::Shift(place) => Value::Number(place.value().unsigned_abs()),
            Place::Broker(place) => {
                Value::Number(place.map_or(0, |id| u64::from(id.0.unsigned_abs())))
            }
            Place::Path(place) => Value::Text(place.to_string_lossy().into_owned()),
            Place::Word(place) => Value::Text((*place).clone()),
            Place::Choice(place) => Value::Text(place.word().to_owned()),
            Place::Address(place) => text(Some(place)),
            Place::MaybeAddress(place) => text(place.as_ref()),
            Place::Addresses(place) => Value::List(place.iter().map(ToString::to_string).collect()),
        }
    }

    fn set_number(self, value: u64) {
        const FITS: &str = "a key's bounds fit its option";
        match self {
            Place::U16(place) => *place = u16::try_from(value).expect(FITS),
            Place::U32(place) => *place = u32::try_from(value).expect(FITS),
            Place::U64(place) => *place = value,
            Place::Shift(place) => {
                let shift = i64::try_from(value).ok().and_then(ProducerIdShift::new);
                *place = shift.expect(FITS);
            }
            Place::Broker(place) => {
                let id = i32::try_from(value).expect(FITS);
                *place = (id > 0).then_some(BrokerId(id));
            }
            _ => unreachable!("a key for numbers sets a number"),
        }
    }

    fn set_text(self, value: &str) -> Result<(), Wrong> {
        match self {
            Place::Path(_) if value.is_empty() => return Err(said("a path belongs here")),
            Place::Path(place) => *place = PathBuf::from(value),
            Place::Word(place) => *place = word(value)?,
            Place::Choice(place) => {
                if !place.choose(value) {
                    let words = place.words().join("\", \"");
                    return Err(said(&format!("'{value}' is none of \"{words}\"")));
                }
            }
            Place::Address(place) => *place = address(value)?,
            Place::MaybeAddress(place) if value.is_empty() => *place = None,
            Place::MaybeAddress(place) => *place = Some(address(value)?),
            _ => unreachable!("a key for texts sets a text"),
        }
        Ok(())
    }

    fn set_list(self, values: &[String]) -> Result<(), Wrong> {
        let Place::Addresses(place) = self else {
            unreachable!("a key for lists sets a list");
        };
        let addresses = values.iter().map(|value| address(value));
        *place = addresses.collect::<Result<_, _>>()?;
        Ok(())
    }
}

fn said(why: &str) -> Wrong {
    Wrong::Value(why.to_owned())
}

fn address(text: &str) -> Result<BrokerAddress, Wrong> {
    text.parse().map_err(Wrong::Address)
}

/// Kafka's rule for listeners, what can stand before `://`; racks have none.
fn word(text: &str) -> Result<String, Wrong> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match text.bytes().all(legal) {
        true => Ok(text.to_owned()),
        false => Err(said(&format!(
            "'{text}' is not a name, such as INTERNAL: letters, digits, '.', '_' and '-'"
        ))),
    }
}

impl Key {
    /// What `config` says for this key.
    pub(super) fn value(&self, config: &Config) -> Value {
        (self.place)(&mut config.clone()).value()
    }

    /// The number that `config` says for this key.
    pub(super) fn number(&self, config: &Config) -> u64 {
        match self.value(config) {
            Value::Number(number) => number,
            other => unreachable!("{} is {other:?}", self.name),
        }
    }

    /// Sets the option to a value of the key's kind; numbers are within the bounds.
    ///
    /// # Errors
    /// What is wrong with a text.
    pub(super) fn set(&self, config: &mut Config, value: &Value) -> Result<(), Wrong> {
        let place = (self.place)(config);
        match (&self.kind, value) {
            (Kind::Number(bounds), Value::Number(number)) => {
                assert!(bounds.contains(number), "{} = {number}", self.name);
                place.set_number(*number);
                Ok(())
            }
            (Kind::Text, Value::Text(text)) => place.set_text(text),
            (Kind::List, Value::List(list)) => place.set_list(list),
            _ => unreachable!("{} is given {value:?}", self.name),
        }
    }
}
