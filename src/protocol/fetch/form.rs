//! What differs from version to version of Fetch.

use crate::protocol::primitive::{Malformed, Reader, Unread, Writer};

/// One version's fields and encodings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    version: i16,
}

impl Form {
    pub(super) fn of(version: i16) -> Form {
        assert!(
            (super::VERSION_MIN..=super::VERSION_MAX).contains(&version),
            "version {version}"
        );
        Form { version }
    }

    /// Compact lengths and tagged fields.
    fn is_flexible(self) -> bool {
        self.version >= 12
    }

    /// Topics have ids, not names.
    pub(super) fn has_topic_ids(self) -> bool {
        self.version >= super::TOPIC_IDS_FROM
    }

    /// Incremental sessions, and with them errors of whole answers (KIP-227).
    pub(super) fn has_sessions(self) -> bool {
        self.version >= super::SESSIONS_FROM
    }

    /// Where logs begin, in requests of followers and in answers.
    pub(super) fn has_log_start(self) -> bool {
        self.version >= 5
    }

    /// The leader's epoch as the asker knows it (KIP-320).
    pub(super) fn has_leader_epoch(self) -> bool {
        self.version >= 9
    }

    /// The epoch of the asker's last batch, and the diverging epoch in the answer (KIP-595).
    pub(super) fn has_last_epoch(self) -> bool {
        self.version >= super::LAST_EPOCH_FROM
    }

    /// The asker's rack, and the replica that it had better ask (KIP-392).
    pub(super) fn has_rack(self) -> bool {
        self.version >= 11
    }

    /// The replica's id stands in front; later it is a tagged field.
    pub(super) fn has_replica_id(self) -> bool {
        self.version < 15
    }

    /// Brokers' addresses at the end of an answer (KIP-951).
    pub(super) fn has_endpoints(self) -> bool {
        self.version >= 16
    }

    /// A count of elements or of record bytes; none where there is no list.
    pub(super) fn count(
        self,
        reader: &mut Reader<'_>,
        field: &'static str,
    ) -> Result<Option<usize>, Unread> {
        match self.is_flexible() {
            true => reader.compact(field),
            false => nullable(reader.i32()?, field),
        }
    }

    /// A string's bytes; empty where there is none.
    pub(super) fn text<'b>(
        self,
        reader: &mut Reader<'b>,
        field: &'static str,
    ) -> Result<&'b [u8], Unread> {
        let length = match self.is_flexible() {
            true => reader.compact(field)?,
            false => nullable(reader.i16()?.into(), field)?,
        };
        Ok(reader.bytes(length.unwrap_or(0))?)
    }

    /// The tagged fields of a version that has them.
    pub(super) fn tagged<'b>(
        self,
        reader: &mut Reader<'b>,
        take: impl FnMut(u32, Reader<'b>) -> Result<(), Unread>,
    ) -> Result<(), Unread> {
        match self.is_flexible() {
            true => reader.tagged(take),
            false => Ok(()),
        }
    }

    pub(super) fn skip_tags(self, reader: &mut Reader<'_>) -> Result<(), Unread> {
        self.tagged(reader, |_, _| Ok(()))
    }

    pub(super) fn write_count(self, to: &mut Writer<'_>, count: usize) {
        match self.is_flexible() {
            true => to.compact(count),
            false => to.i32(i32::try_from(count).expect("our requests are short")),
        }
    }

    pub(super) fn write_text(self, to: &mut Writer<'_>, text: &str) {
        match self.is_flexible() {
            true => {
                to.compact(text.len());
                to.bytes(text.as_bytes());
            }
            false => to.string(text),
        }
    }

    pub(super) fn write_no_tags(self, to: &mut Writer<'_>) {
        if self.is_flexible() {
            to.no_tags();
        }
    }
}

/// A length of the older encoding: −1 is none.
fn nullable(stated: i32, field: &'static str) -> Result<Option<usize>, Unread> {
    match usize::try_from(stated) {
        Ok(length) => Ok(Some(length)),
        Err(_) if stated == -1 => Ok(None),
        Err(_) => {
            let value = i64::from(stated);
            Err(Malformed::Impossible { field, value }.into())
        }
    }
}
