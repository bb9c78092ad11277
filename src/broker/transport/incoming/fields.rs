//! The fields of methods and content headers (AMQP 0-9-1, section 4.2.5): their bounds are checked, and what
//! amiquip fails on is mended. Mending changes no length, so everything stays where it is.

use crate::message::Fidelity;

/// How deep tables may be nested. amiquip parses by recursion, on a thread with 2 MiB of stack; deeper tables are
/// passed to it as bytes.
pub(super) const DEPTH_MAX: usize = 32;

/// A field reaches beyond its bounds or has an unknown type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The kinds of fields. Flags are packed into octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Octet,
    Short,
    Long,
    LongLong,
    ShortString,
    LongString,
    Table,
}

use Field::{Long, LongLong, LongString, Octet, Short, ShortString, Table};

const PROPERTIES: [Field; 14] = [
    ShortString, // content-type
    ShortString, // content-encoding
    Table,       // headers
    Octet,       // delivery-mode
    Octet,       // priority
    ShortString, // correlation-id
    ShortString, // reply-to
    ShortString, // expiration
    ShortString, // message-id
    LongLong,    // timestamp
    ShortString, // type
    ShortString, // user-id
    ShortString, // app-id
    ShortString, // cluster-id
];

/// A walk through fields, one behind the other.
pub(super) struct Fields<'a> {
    rest: &'a mut [u8],
    /// What mending has left of them so far.
    fidelity: Fidelity,
}

impl<'a> Fields<'a> {
    pub(super) fn of(bytes: &'a mut [u8]) -> Fields<'a> {
        Fields {
            rest: bytes,
            fidelity: Fidelity::Exact,
        }
    }

    pub(super) fn fidelity(&self) -> Fidelity {
        self.fidelity
    }

    fn note(&mut self, fidelity: Fidelity) {
        self.fidelity = self.fidelity.max(fidelity);
    }

    pub(super) fn skip(&mut self, length: usize) -> Result<(), Malformed> {
        self.take(length).map(|_| ())
    }

    pub(super) fn short(&mut self) -> Result<u16, Malformed> {
        self.number().map(u16::from_be_bytes)
    }

    pub(super) fn long(&mut self) -> Result<u32, Malformed> {
        self.number().map(u32::from_be_bytes)
    }

    pub(super) fn long_long(&mut self) -> Result<u64, Malformed> {
        self.number().map(u64::from_be_bytes)
    }

    /// A short string, made UTF-8.
    pub(super) fn short_string(&mut self) -> Result<&'a str, Malformed> {
        let length = self.octet()?;
        let bytes = self.take(length.into())?;
        if str::from_utf8(bytes).is_err() {
            self.note(Fidelity::Lossy);
        }
        Ok(mend(bytes))
    }

    /// A long string, made UTF-8.
    pub(super) fn long_string(&mut self) -> Result<&'a str, Malformed> {
        self.long_bytes().map(mend)
    }

    /// A field table, its strings made UTF-8.
    pub(super) fn table(&mut self) -> Result<(), Malformed> {
        self.table_at(0)
    }

    /// The properties that a content header's flags announce, from the highest bit down.
    pub(super) fn properties(&mut self, flags: u16) -> Result<(), Malformed> {
        if flags & 0b11 != 0 {
            return Err(Malformed); // there are no properties beyond these, and no second word of flags
        }
        for (bit, kind) in (0..16).rev().zip(&PROPERTIES) {
            if flags & (1 << bit) != 0 {
                self.pass(*kind)?;
            }
        }
        Ok(())
    }

    /// Walks past a field.
    pub(super) fn pass(&mut self, kind: Field) -> Result<(), Malformed> {
        match kind {
            Octet => self.skip(1),
            Short => self.skip(2),
            Long => self.skip(4),
            LongLong => self.skip(8),
            ShortString => self.short_string().map(|_| ()),
            LongString => self.long_string().map(|_| ()),
            Table => self.table(),
        }
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a mut [u8], Malformed> {
        let rest = std::mem::take(&mut self.rest);
        let (taken, rest) = rest.split_at_mut_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn number<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], Malformed> {
        let bytes = self.take(LENGTH)?;
        bytes.first_chunk().copied().ok_or(Malformed)
    }

    fn octet(&mut self) -> Result<u8, Malformed> {
        self.number().map(u8::from_be_bytes)
    }

    fn long_bytes(&mut self) -> Result<&'a mut [u8], Malformed> {
        let length = self.number().map(u32::from_be_bytes)?;
        self.take(length as usize)
    }

    fn table_at(&mut self, depth: usize) -> Result<(), Malformed> {
        let mut entries = Fields::of(self.long_bytes()?);
        let mut names = Vec::new();
        while !entries.rest.is_empty() {
            names.push(entries.short_string()?);
            entries.value_at(depth)?;
        }
        names.sort_unstable();
        // amiquip keeps one of two that have the same name.
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            self.note(Fidelity::Lossy);
        }
        self.note(entries.fidelity);
        Ok(())
    }

    fn array_at(&mut self, depth: usize) -> Result<(), Malformed> {
        let mut values = Fields::of(self.long_bytes()?);
        while !values.rest.is_empty() {
            values.value_at(depth)?;
        }
        self.note(values.fidelity);
        Ok(())
    }

    /// A value with its type before it, as `RabbitMQ` has them
    /// (<https://www.rabbitmq.com/amqp-0-9-1-errata>, section 3).
    fn value_at(&mut self, depth: usize) -> Result<(), Malformed> {
        // The same layout as a string's, a table's and an array's.
        const BYTES: u8 = b'x';
        let [kind] = self.take(1)? else {
            return Err(Malformed);
        };
        match *kind {
            b'V' => Ok(()),
            b't' | b'b' | b'B' => self.skip(1),
            b's' | b'u' | b'U' => self.skip(2),
            b'I' | b'i' | b'f' => self.skip(4),
            b'D' => self.skip(5),
            b'l' | b'L' | b'd' | b'T' => self.skip(8),
            BYTES => self.long_bytes().map(|_| ()),
            b'S' => {
                if str::from_utf8(self.long_bytes()?).is_err() {
                    *kind = BYTES;
                    self.note(Fidelity::TextAsBytes);
                }
                Ok(())
            }
            b'F' | b'A' if depth == DEPTH_MAX => {
                *kind = BYTES;
                self.note(Fidelity::Lossy);
                self.long_bytes().map(|_| ())
            }
            b'F' => self.table_at(depth + 1),
            b'A' => self.array_at(depth + 1),
            _ => Err(Malformed),
        }
    }
}

/// Replaces each byte that is in the way of UTF-8 by a question mark.
fn mend(bytes: &mut [u8]) -> &str {
    let mut mended = 0;
    while let Err(error) = str::from_utf8(&bytes[mended..]) {
        let start = mended + error.valid_up_to();
        mended = error
            .error_len()
            .map_or(bytes.len(), |length| start + length);
        bytes[start..mended].fill(b'?');
    }
    str::from_utf8(bytes).unwrap_or_default()
}
