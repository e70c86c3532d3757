// SPDX-License-Identifier: GPL-2.0-only
//! How records are framed, and how a record is its bytes: one table of fields for each, from which all of that comes.

use super::error::{RestoreError, Why};
use super::record::Record;

/// Bytes of what precedes each record: its typecode (16 bits), its instance (16 bits) and its length in bytes (32 bits).
pub const DESCRIPTOR: usize = 8;

/// Every record begins with its version, and this is all there is so far.
pub const VERSION: u32 = 1;

/// A field of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Where it is in the record, in bytes.
    pub offset: usize,
    /// Of each of its elements, in bytes.
    pub element: usize,
    /// How many there are.
    pub count: usize,
}

/// A number, or an array of them, in little-endian bytes.
pub(super) trait Plain: Sized {
    const ELEMENT: usize;
    const COUNT: usize;
    fn put(&self, to: &mut Bytes<'_>);
    fn get(from: &mut Reader<'_>) -> Self;
}

macro_rules! plain {
    ($($int:ty)*) => {$(
        impl Plain for $int {
            const ELEMENT: usize = size_of::<$int>();
            const COUNT: usize = 1;
            fn put(&self, to: &mut Bytes<'_>) {
                to.put(&self.to_le_bytes());
            }
            fn get(from: &mut Reader<'_>) -> Self {
                <$int>::from_le_bytes(from.get())
            }
        }
    )*};
}
plain! { u8 u16 u32 u64 }

impl<T: Plain, const N: usize> Plain for [T; N] {
    const ELEMENT: usize = T::ELEMENT;
    const COUNT: usize = N;
    fn put(&self, to: &mut Bytes<'_>) {
        self.iter().for_each(|one| one.put(to));
    }
    fn get(from: &mut Reader<'_>) -> Self {
        core::array::from_fn(|_| T::get(from))
    }
}

/// Where bytes go. Without a buffer they are only counted; what a buffer has no room for is counted as well.
pub(super) struct Bytes<'a> {
    buffer: Option<&'a mut [u8]>,
    at: usize,
    full: bool,
}

impl<'a> Bytes<'a> {
    pub(super) fn new(buffer: Option<&'a mut [u8]>) -> Self {
        Self {
            buffer,
            at: 0,
            full: false,
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.at.saturating_add(bytes.len());
        if let Some(buffer) = self.buffer.as_deref_mut() {
            match buffer.get_mut(self.at..end) {
                // Not copy_from_slice(), which asks once more, and panics.
                Some(place) => place
                    .iter_mut()
                    .zip(bytes)
                    .for_each(|(to, from)| *to = *from),
                None => self.full = true,
            }
        }
        self.at = end;
    }

    /// How many there were, if there was room for all.
    pub(super) fn written(&self) -> Option<usize> {
        (!self.full).then_some(self.at)
    }

    fn descriptor(&mut self, record: Record, instance: u16, length: usize) {
        self.put(&(record as u16).to_le_bytes());
        self.put(&instance.to_le_bytes());
        self.put(&(length as u32).to_le_bytes());
    }

    /// A record with what precedes it.
    pub(super) fn record<S: State>(&mut self, instance: u16, state: &S) {
        self.descriptor(S::RECORD, instance, S::LENGTH);
        VERSION.put(self);
        state.encode(self);
    }

    /// The last.
    pub(super) fn end(&mut self) {
        self.descriptor(Record::End, 0, 0);
    }
}

/// Bytes that are read; beyond their end there are zeroes.
pub(super) struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn get<const N: usize>(&mut self) -> [u8; N] {
        let Some((bytes, rest)) = self.0.split_first_chunk::<N>() else {
            self.0 = &[];
            return [0; N];
        };
        self.0 = rest;
        *bytes
    }
}

/// What a record is to who saves it and who restores it.
pub(super) trait State: Sized {
    const RECORD: Record;
    const FIELDS: &'static [Field];
    /// Of a record, in bytes.
    const LENGTH: usize;

    /// All but the version.
    fn encode(&self, to: &mut Bytes<'_>);

    /// All but the version.
    fn parse(from: &mut Reader<'_>) -> Self;

    /// Where in a stream the field of this name is, in a record that begins at `at`.
    fn offset(at: usize, name: &str) -> usize {
        let field = Self::FIELDS.iter().find(|field| field.name == name);
        at.saturating_add(field.map_or(0, |field| field.offset))
    }
}

/// A record of a stream, as it is framed.
#[derive(Clone, Copy)]
pub(super) struct Framed<'a> {
    pub(super) record: Record,
    pub(super) instance: u16,
    /// Where its first byte is in the stream.
    pub(super) at: usize,
    pub(super) body: &'a [u8],
}

impl Framed<'_> {
    /// What is wrong with a field of it.
    pub(super) fn wrong<S: State>(&self, field: &'static str, why: Why) -> RestoreError {
        RestoreError {
            record: Some(self.record),
            instance: self.instance,
            field,
            offset: S::offset(self.at, field),
            why,
        }
    }

    /// What is wrong with it as a whole.
    pub(super) fn bad(&self, field: &'static str, why: Why) -> RestoreError {
        RestoreError {
            record: Some(self.record),
            instance: self.instance,
            field,
            offset: self.at,
            why,
        }
    }

    /// What it says.
    ///
    /// # Errors
    /// It is none of these, or of another version or length.
    pub(super) fn state<S: State>(&self) -> Result<S, RestoreError> {
        if self.record != S::RECORD {
            return Err(self.bad("typecode", Why::Order));
        }
        let mut reader = Reader(self.body);
        if self.body.len() < VERSION.to_le_bytes().len() {
            return Err(self.bad("length", Why::Length));
        }
        if u32::get(&mut reader) != VERSION {
            return Err(self.wrong::<S>("version", Why::Version));
        }
        if self.body.len() != S::LENGTH {
            return Err(self.bad("length", Why::Length));
        }
        Ok(S::parse(&mut reader))
    }
}

/// The records of a stream, one after the other.
#[derive(Clone)]
pub(super) struct Records<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Records<'a> {
    pub(super) fn new(all: &'a [u8]) -> Self {
        Self { all, at: 0 }
    }

    /// How far it has come.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The next, whatever it is.
    ///
    /// # Errors
    /// There is none that is whole, or there is no such record.
    pub(super) fn next(&mut self) -> Result<Framed<'a>, RestoreError> {
        let wrong = |record, instance, field, offset, why| RestoreError {
            record,
            instance,
            field,
            offset,
            why,
        };
        let left = self.all.get(self.at..).unwrap_or_default();
        let Some((descriptor, rest)) = left.split_first_chunk::<DESCRIPTOR>() else {
            return Err(wrong(None, 0, "typecode", self.at, Why::Truncated));
        };
        let mut reader = Reader(descriptor);
        let typecode = u16::from_le_bytes(reader.get());
        let instance = u16::from_le_bytes(reader.get());
        let length = u32::get(&mut reader) as usize;
        let Some(record) = Record::of(typecode) else {
            return Err(wrong(None, instance, "typecode", self.at, Why::Unknown));
        };
        let at = self.at.saturating_add(DESCRIPTOR);
        let Some(body) = rest.get(..length) else {
            let length_at = self.at.saturating_add(4);
            return Err(wrong(
                Some(record),
                instance,
                "length",
                length_at,
                Why::Truncated,
            ));
        };
        self.at = at.saturating_add(length);
        Ok(Framed {
            record,
            instance,
            at,
            body,
        })
    }
}

/// Defines a record: the structure with its fields in the order of their bytes, and everything that follows from that.
macro_rules! record {
    ($($(#[$doc:meta])* $name:ident = $record:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $name {
            /// Its fields with their places, after the version, which each record begins with.
            pub const FIELDS: &'static [Field] = {
                const FIELDS: &[Field] = &placed([
                    Field { name: "version", offset: 0, element: 4, count: 1 },
                    $(Field {
                        name: stringify!($field),
                        offset: 0,
                        element: <$type as Plain>::ELEMENT,
                        count: <$type as Plain>::COUNT,
                    },)*
                ]);
                FIELDS
            };

            /// Bytes of such a record.
            pub const LENGTH: usize = length(Self::FIELDS);
        }

        impl State for $name {
            const RECORD: Record = Record::$record;
            const FIELDS: &'static [Field] = $name::FIELDS;
            const LENGTH: usize = $name::LENGTH;

            fn encode(&self, to: &mut Bytes<'_>) {
                $(self.$field.put(to);)*
            }

            fn parse(from: &mut Reader<'_>) -> Self {
                Self { $($field: Plain::get(from),)* }
            }
        }
    )*};
}
pub(super) use record;

/// The same fields, each where the one before it ends.
#[allow(clippy::indexing_slicing, reason = "when it is compiled")]
pub(super) const fn placed<const N: usize>(mut fields: [Field; N]) -> [Field; N] {
    let (mut n, mut at) = (0_usize, 0_usize);
    while n < N {
        fields[n].offset = at;
        at = at.wrapping_add(fields[n].element.wrapping_mul(fields[n].count));
        n = n.wrapping_add(1);
    }
    fields
}

/// Where the last of the fields ends.
pub(super) const fn length(fields: &[Field]) -> usize {
    match fields.last() {
        Some(last) => last
            .offset
            .wrapping_add(last.element.wrapping_mul(last.count)),
        None => 0,
    }
}
