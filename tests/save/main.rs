// SPDX-License-Identifier: GPL-2.0-only
//! A domain's vGIC is saved and restored.

mod messages;
mod moved;
mod size;

/// Which sequences are played. More, on request: VGIC_SEEDS=10000 cargo test --release --test save; VGIC_FIRST says from where on.
fn seeds() -> std::ops::Range<u64> {
    let asked = |name| std::env::var(name).ok().and_then(|n| n.parse().ok());
    let first: u64 = asked("VGIC_FIRST").unwrap_or(0);
    first..first + asked("VGIC_SEEDS").unwrap_or(100)
}
