// SPDX-License-Identifier: GPL-2.0-only
//! All there is of a domain, in text: two of which it is the same are the same. For tests; it is not in a hypervisor.

use super::Domain;
use crate::host::Host;
use core::fmt::{self, Write};

impl<H: Host> Domain<H> {
    /// Writes all there is of it, while nothing happens to it: not what it counts, nor what the host was told of lines, which it keeps.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn image(&self, out: &mut impl Write) -> fmt::Result {
        let Self {
            host: _,
            config,
            rvics,
            rvid,
        } = self;
        writeln!(out, "{config:?}")?;
        for rvic in rvics {
            rvic.image(out)?;
        }
        writeln!(out, "{rvid:?}")
    }
}
