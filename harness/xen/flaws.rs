// SPDX-License-Identifier: GPL-2.0-only
//! Faults of Xen's C vGICs that would end most runs early: what a forgiving machine passes over.

use crate::xen::abi;
use crate::xen::peer::is_ours;

/// The new C vGIC puts an active SGI back into a list register with source 0. GIC-400 ends it nevertheless.
pub fn forgets_sgi_sources() -> bool {
    !is_ours() && abi::samples_lines()
}

/// Both C vGICs may lose an interrupt that is moved while it is active and comes again. The new one does not wake the
/// vCPU that it is moved to. The old one looks at it under the lock of another vCPU than the one that ends it; if it is
/// mapped to hardware, it stays active in the physical GIC then.
pub fn loses_moved_interrupts() -> bool {
    !is_ours()
}

/// Nobody takes the line of the maintenance interrupt down before `vgic_sync_from_lrs()`, and `gic_interrupt()` does
/// not end if it is up on a trap.
pub fn keeps_maintenance_up() -> bool {
    !is_ours()
}
