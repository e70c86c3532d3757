// SPDX-License-Identifier: GPL-2.0-only
//! What Xen does with a domain that has an rVIC, and with no other.

use super::Domain;
use crate::xen::abi;

impl Domain {
    /// How many calls of its own `XEN_SMCCC_FUNCTION_COUNT` has for it.
    pub fn calls(&self) -> u32 {
        let mut count = 0;
        abi::smccc_count(self.raw, &mut count);
        count
    }

    /// It becomes a 32-bit domain.
    pub fn choose_aarch32(&self) {
        abi::choose_aarch32(self.raw);
    }

    /// `arch_domain_creation_finished()`: has the domain crashed?
    pub fn finish(&self) -> bool {
        let mut crashed = false;
        self.machine
            .hypervisor(0, || abi::finished(self.raw, &mut crashed));
        crashed
    }
}
