// SPDX-License-Identifier: GPL-2.0-only
//! Why a stream is not restored.

use super::record::Record;
use core::fmt;

/// Why a stream was refused. The domain is as it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RestoreError {
    /// In which record, if it is one that there is.
    pub record: Option<Record>,
    /// Which of those.
    pub instance: u16,
    /// In which field.
    pub field: &'static str,
    /// Where that is in the stream, in bytes.
    pub offset: usize,
    /// And what is wrong with it.
    pub why: Why,
}

/// What is wrong with a field of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// The stream ends within it.
    Truncated,
    /// There is no such record.
    Unknown,
    /// Another record has to be here, or none.
    Order,
    /// This is of a version that is not known here.
    Version,
    /// Such a record has another length.
    Length,
    /// It is reserved, and not zero.
    Reserved,
    /// No vGIC can have this value there.
    Value,
    /// It contradicts what another field says.
    Contradiction,
    /// This domain, or this host, is not like that.
    Mismatch,
    /// The tables of the ITS in guest memory are not as an ITS writes them.
    Tables,
    /// The domain may not have as much.
    Limit,
    /// There is no memory.
    NoMemory,
    /// The domain's vGIC is not as after its creation or a reset, or a vCPU runs.
    Busy,
}

impl Why {
    /// For a person.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Truncated => "the stream ends here",
            Self::Unknown => "there is no such record",
            Self::Order => "another record has to be here",
            Self::Version => "its version is not known",
            Self::Length => "its length is wrong",
            Self::Reserved => "it is reserved, and not zero",
            Self::Value => "it has no such value",
            Self::Contradiction => "another field says otherwise",
            Self::Mismatch => "this domain or host is not like that",
            Self::Tables => "the ITS's tables in guest memory are broken",
            Self::Limit => "the domain may not have as much",
            Self::NoMemory => "no memory",
            Self::Busy => "the vGIC is in use: reset it first",
        }
    }
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = self.record.map_or("unknown record", Record::name);
        write!(
            f,
            "{record} {}, {} at {:#x}: {}",
            self.instance,
            self.field,
            self.offset,
            self.why.text()
        )
    }
}

impl core::error::Error for RestoreError {}
