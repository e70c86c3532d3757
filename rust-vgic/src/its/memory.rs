// SPDX-License-Identifier: GPL-2.0-only
//! How much memory what ITSes map can take.

use super::tables::{Device, Mapped};
use crate::config::{ItsConfig, Limits};
use crate::lpi::Lpi;
use crate::radix::Radix;

/// Bytes that a guest can have its ITSes allocate at the most, whatever it maps: of all layouts that its limits allow, the one
/// that shares the fewest nodes of the tables. What the domain is created with is not in it, nor what the host's allocator adds
/// to each of the pieces, none of which is larger than 8 KiB.
///
/// A device is alone in nodes of its ITS's tree, an event in nodes of its device's; LPIs come in blocks, of those that are
/// mapped and of those that a pending table has.
///
/// ```
/// use rust_vgic::{ItsConfig, Limits, its::most_bytes};
/// let its = ItsConfig { device_bits: 16, event_bits: 16 };
/// // Just over a megabyte.
/// assert_eq!(most_bytes(Limits::DEFAULT, &[its]), 1_059_968);
/// ```
#[must_use]
pub fn most_bytes(limits: Limits, itses: &[ItsConfig]) -> u64 {
    let bits = |of: fn(&ItsConfig) -> u32| itses.iter().map(of).max().unwrap_or(0);
    let devices = Radix::<Device>::most_bytes(
        limits.devices.into(),
        itses.len() as u64,
        bits(|its| its.device_bits),
    );
    let events = Radix::<Mapped>::most_bytes(
        limits.events.into(),
        limits.devices.into(),
        bits(|its| its.event_bits),
    );
    let blocks = limits.lpis.div_ceil(Limits::LPI_BLOCK);
    let lpis = u64::from(blocks)
        .saturating_mul(Limits::LPI_BLOCK.into())
        .saturating_mul(size_of::<Lpi>() as u64)
        .saturating_mul(2);
    devices.saturating_add(events).saturating_add(lpis)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The docs of the limits have these numbers.
    #[test]
    fn sizes_are_what_the_docs_say() {
        assert_eq!(size_of::<Lpi>(), 32, "an LPI");
        assert_eq!(Radix::<Mapped>::NODE, 136, "a node of events");
        assert_eq!(Radix::<Device>::NODE, 640, "a node of devices");
        let all = |devices, events, lpis| Limits {
            lpis,
            devices,
            events,
        };
        let its = [ItsConfig {
            device_bits: 16,
            event_bits: 16,
        }];
        let none = most_bytes(all(0, 0, 0), &its);
        assert_eq!(none, 0);
        assert_eq!(most_bytes(all(1, 0, 0), &its), 4 * 640);
        assert_eq!(most_bytes(all(1, 1, 0), &its), 4 * 640 + 4 * 136);
        // A second one has a root in common, but in another ITS.
        assert_eq!(most_bytes(all(2, 0, 0), &its), 7 * 640);
        assert_eq!(most_bytes(all(2, 0, 0), &[its[0]; 2]), 8 * 640);
        assert_eq!(most_bytes(all(0, 0, 1), &its), 2 * 8192);
        assert_eq!(most_bytes(all(0, 0, 257), &its), 4 * 8192);
    }
}
