//! How the fields of a flexible message stand on the wire, and messages made of fields.

use crate::model::TopicId;
use crate::protocol::{Malformed, Reader, Unread, Writer};

/// Something that stands on the wire as a field.
pub trait Field: Sized + Default + PartialEq {
    /// Reads it; `name` is what it is called where it cannot be read.
    ///
    /// # Errors
    /// The bytes end before it does, or it cannot be what it claims to be.
    fn take(reader: &mut Reader<'_>, name: &'static str) -> Result<Self, Unread>;

    /// Writes it.
    fn put(&self, writer: &mut Writer<'_>);
}

macro_rules! numbers {
    ($($kind:ident)*) => {$(
        impl Field for $kind {
            fn take(reader: &mut Reader<'_>, _: &'static str) -> Result<$kind, Unread> {
                Ok(reader.$kind()?)
            }

            fn put(&self, writer: &mut Writer<'_>) {
                writer.$kind(*self);
            }
        }
    )*};
}

numbers! { i16 i32 i64 }

impl Field for bool {
    fn take(reader: &mut Reader<'_>, _: &'static str) -> Result<bool, Unread> {
        Ok(reader.i8()? != 0)
    }

    fn put(&self, writer: &mut Writer<'_>) {
        writer.i8(i8::from(*self));
    }
}

/// A number that is not negative; −1 for none.
impl Field for Option<i32> {
    fn take(reader: &mut Reader<'_>, _: &'static str) -> Result<Option<i32>, Unread> {
        let number = reader.i32()?;
        Ok((number >= 0).then_some(number))
    }

    fn put(&self, writer: &mut Writer<'_>) {
        writer.i32(self.unwrap_or(-1));
    }
}

impl Field for TopicId {
    fn take(reader: &mut Reader<'_>, _: &'static str) -> Result<TopicId, Unread> {
        Ok(TopicId::new(reader.uuid()?))
    }

    fn put(&self, writer: &mut Writer<'_>) {
        writer.bytes(&self.bytes());
    }
}

impl Field for String {
    fn take(reader: &mut Reader<'_>, name: &'static str) -> Result<String, Unread> {
        let text = <Option<String> as Field>::take(reader, name)?;
        text.ok_or_else(|| impossible(name, -1))
    }

    fn put(&self, writer: &mut Writer<'_>) {
        writer.compact(self.len());
        writer.bytes(self.as_bytes());
    }
}

impl Field for Option<String> {
    fn take(reader: &mut Reader<'_>, name: &'static str) -> Result<Option<String>, Unread> {
        let Some(length) = reader.compact(name)? else {
            return Ok(None);
        };
        let bytes = reader.bytes(length)?;
        let text = std::str::from_utf8(bytes);
        let at = |fault: std::str::Utf8Error| i64::try_from(fault.valid_up_to()).unwrap_or(-1);
        let text = text.map_err(|fault| impossible(name, at(fault)))?;
        Ok(Some(text.to_owned()))
    }

    fn put(&self, writer: &mut Writer<'_>) {
        match self {
            Some(text) => text.put(writer),
            None => writer.varint(0),
        }
    }
}

impl<F: Field> Field for Vec<F> {
    fn take(reader: &mut Reader<'_>, name: &'static str) -> Result<Vec<F>, Unread> {
        let elements = <Option<Vec<F>> as Field>::take(reader, name)?;
        elements.ok_or_else(|| impossible(name, -1))
    }

    fn put(&self, writer: &mut Writer<'_>) {
        writer.compact(self.len());
        for element in self {
            element.put(writer);
        }
    }
}

impl<F: Field> Field for Option<Vec<F>> {
    fn take(reader: &mut Reader<'_>, name: &'static str) -> Result<Option<Vec<F>>, Unread> {
        let Some(count) = reader.compact(name)? else {
            return Ok(None);
        };
        // The count is not believed: room is made as elements come, each of a byte at least.
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(F::take(reader, name)?);
        }
        Ok(Some(elements))
    }

    fn put(&self, writer: &mut Writer<'_>) {
        match self {
            Some(elements) => elements.put(writer),
            None => writer.varint(0),
        }
    }
}

fn impossible(field: &'static str, value: i64) -> Unread {
    Malformed::Impossible { field, value }.into()
}

/// Declares messages and what they are made of. Fields stand in the order of the declaration;
/// `[N]` makes one a tagged field, which is left out where it is the default.
macro_rules! messages {
    ($(
        $(#[$about:meta])*
        $name:ident {
            $($(#[$field_about:meta])* $field:ident: $kind:ty $(= $default:expr)?,)*
            $([$tag:literal] $(#[$tagged_about:meta])* $tagged:ident: $tagged_kind:ty,)*
        }
    )*) => {$(
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_about])* pub $field: $kind,)*
            $($(#[$tagged_about])* pub $tagged: $tagged_kind,)*
        }

        impl Default for $name {
            fn default() -> $name {
                $name {
                    $($field: $crate::protocol::mirror_rpc::field::or_default!($($default)?),)*
                    $($tagged: Default::default(),)*
                }
            }
        }

        impl $crate::protocol::mirror_rpc::field::Field for $name {
            fn take(
                reader: &mut $crate::protocol::Reader<'_>,
                _: &'static str,
            ) -> Result<$name, $crate::protocol::Unread> {
                use $crate::protocol::mirror_rpc::field::Field;
                $(let $field = <$kind as Field>::take(reader, stringify!($field))?;)*
                $(let mut $tagged = <$tagged_kind>::default();)*
                reader.tagged(|tag, mut _bytes| match tag {
                    $($tag => {
                        $tagged = <$tagged_kind as Field>::take(&mut _bytes, stringify!($tagged))?;
                        Ok(())
                    })*
                    _ => Ok(()),
                })?;
                Ok($name { $($field,)* $($tagged,)* })
            }

            fn put(&self, writer: &mut $crate::protocol::Writer<'_>) {
                $(self.$field.put(writer);)*
                let tagged: &[(u32, Vec<u8>)] = &[
                    $(($tag, $crate::protocol::mirror_rpc::field::tagged(&self.$tagged)),)*
                ];
                $crate::protocol::mirror_rpc::field::put_tagged(tagged, writer);
            }
        }
    )*};
}

macro_rules! or_default {
    () => {
        Default::default()
    };
    ($default:expr) => {
        $default
    };
}

pub(super) use {messages, or_default};

/// The bytes of a tagged field; none where it is the default.
pub(super) fn tagged<F: Field>(field: &F) -> Vec<u8> {
    let mut bytes = Vec::new();
    if *field != F::default() {
        field.put(&mut Writer::new(&mut bytes));
    }
    bytes
}

/// Writes those tagged fields that have bytes, in the order of their tags.
pub(super) fn put_tagged(fields: &[(u32, Vec<u8>)], writer: &mut Writer<'_>) {
    let fields = fields.iter().filter(|(_, bytes)| !bytes.is_empty());
    let count = u32::try_from(fields.clone().count()).expect("a message has few tags");
    writer.varint(count);
    for (tag, bytes) in fields {
        writer.varint(*tag);
        writer.varint(u32::try_from(bytes.len()).expect("our messages are short"));
        writer.bytes(bytes);
    }
}
