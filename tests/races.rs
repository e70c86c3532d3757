// SPDX-License-Identifier: GPL-2.0-only
//! Data races on purpose, one on each side: `cargo xtask tsan` runs them first, and trusts its silence about the other
//! tests only after both have been reported.

use std::cell::UnsafeCell;
use std::sync::Barrier;
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::abi;

/// Runs `racy` on two threads, which nothing puts in an order once both are there.
fn twice(racy: impl Fn() + Sync) {
    let start = Barrier::new(2);
    let run = || {
        start.wait();
        racy();
    };
    std::thread::scope(|scope| {
        scope.spawn(run);
        scope.spawn(run);
    });
}

#[test]
#[ignore = "a data race: for cargo xtask tsan"]
fn planted_in_rust() {
    struct Shared(UnsafeCell<u32>);
    // SAFETY: not safe at all; that this goes unseen by the compiler is the point.
    unsafe impl Sync for Shared {}
    let shared = Shared(UnsafeCell::new(0));
    let shared = &shared;
    // SAFETY: as above.
    twice(|| unsafe { *shared.0.get() += 1 });
}

#[test]
#[ignore = "a data race: for cargo xtask tsan"]
fn planted_in_c() {
    // SAFETY: not safe at all: the C half of the mock keeps its machine in plain variables.
    twice(|| unsafe { abi::mock_power_on(&Profile::GICV2.hardware()) });
}
