// SPDX-License-Identifier: GPL-2.0-only
//! A domain is restored.

use super::error::{RestoreError, Why};
use super::stream::Records;
use crate::domain::Domain;
use crate::host::Host;

impl<H: Host> Domain<H> {
    /// Restores what was saved, of this domain or of another that is like it. Its vGIC is as after its creation or a reset; what has come to it
    /// since is kept.
    ///
    /// # Errors
    /// What is wrong, with the stream or with the domain: then that is as it was.
    pub fn restore(&self, stream: &[u8]) -> Result<(), RestoreError> {
        let mut records = Records::new(stream);
        let first = records.next()?;
        Err(RestoreError {
            record: Some(first.record),
            instance: first.instance,
            field: "typecode",
            offset: records.at(),
            why: Why::Busy,
        })
    }
}
