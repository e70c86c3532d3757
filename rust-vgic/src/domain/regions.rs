// SPDX-License-Identifier: GPL-2.0-only
//! Where the redistributors of a domain are.

use super::Domain;
use crate::config::{Region, STRIDE};
use crate::host::Host;
use crate::intid::VcpuId;

impl<H: Host> Domain<H> {
    /// How many redistributors the regions before `region` have room for.
    pub(crate) fn regions_before(&self, region: usize) -> u64 {
        self.regions
            .iter()
            .take(region)
            .fold(0, |sum, r| sum.saturating_add(r.count()))
    }

    /// The region that has the redistributor of a vCPU, and which it is in there.
    pub(crate) fn place_of(&self, id: VcpuId) -> Option<(&Region, u64)> {
        let mut index = id.index() as u64;
        for region in &self.regions {
            match index.checked_sub(region.count()) {
                Some(left) => index = left,
                None => return Some((region, index)),
            }
        }
        None
    }

    /// The guest physical address of a vCPU's redistributor. `None` if the regions have no room for it.
    pub fn redistributor_base(&self, id: VcpuId) -> Option<u64> {
        let (region, index) = self.place_of(id)?;
        region.base.checked_add(index.checked_mul(STRIDE)?)
    }
}
