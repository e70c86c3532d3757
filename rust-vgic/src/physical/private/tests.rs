// SPDX-License-Identifier: GPL-2.0-only
//! A private interrupt that is mapped, beside a host that has nothing but its physical one.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use super::*;
use crate::fake::{Fake, v2, v3};
use crate::registers::Width::Word;
use std::sync::atomic::Ordering::SeqCst;

const PPI: u32 = 27;
const PHYS: u16 = 26;

fn intid(raw: u32) -> IntId {
    IntId::new(raw).unwrap()
}

impl Domain<Fake> {
    fn timer(&self) -> State {
        self.v(0).private(intid(PPI)).unwrap().state()
    }

    fn is_active(&self) -> bool {
        self.host.phys_state(PHYS).active
    }

    fn masked<R>(&self, f: impl FnOnce() -> R) -> R {
        let _masked = self.mask();
        f()
    }
}

/// Both versions, with the timer of vCPU 0 mapped.
fn each(test: impl Fn(&Domain<Fake>)) {
    for d in [v2(1, 32), v3(1, 32, 0)] {
        d.host.change(PHYS, |_| ());
        d.connect_private(d.v(0), intid(PPI), PHYS).unwrap();
        test(&d);
    }
}

#[test]
fn timer_only_a_quiet_ppi_is_mapped_and_once() {
    let d = v2(1, 32);
    let v = d.v(0);
    let connect = |raw| d.connect_private(v, intid(raw), PHYS);
    assert_eq!(connect(3), Err(Error::Invalid), "an SGI");
    assert_eq!(connect(32), Err(Error::Invalid), "an SPI");
    d.dist_write(v, 0x100, Word, 1 << PPI);
    assert_eq!(connect(PPI), Err(Error::Busy), "enabled");
    d.dist_write(v, 0x180, Word, 1 << PPI);
    d.inject(Some(v), intid(PPI), true);
    assert_eq!(connect(PPI), Err(Error::Busy), "pending");
    d.inject(Some(v), intid(PPI), false);
    assert_eq!(connect(PPI), Ok(()));
    assert_eq!(connect(PPI), Err(Error::Busy), "mapped");
    assert_eq!(connect(PPI + 1), Ok(()), "another");
}

#[test]
fn timer_that_is_not_mapped_is_nobodys() {
    let d = v2(1, 32);
    let (v, timer) = (d.v(0), intid(PPI));
    assert!(!d.private_fired(v, timer));
    assert!(!d.masked(|| d.load_private(v, timer, true)));
    assert!(!d.masked(|| d.unload_private(v, timer, true)));
    assert!(!d.timer().pending());
}

/// What the host knows of what fired goes with the vCPU, and a line that is high already is no news.
#[test]
fn timer_comes_and_goes() {
    each(|d| {
        let (v, timer) = (d.v(0), intid(PPI));
        assert!(!d.masked(|| d.load_private(v, timer, false)));
        assert!(!d.is_active() && !d.masked(|| d.unload_private(v, timer, true)));
        assert!(d.masked(|| d.load_private(v, timer, true)), "it has risen");
        assert!(d.is_active() && d.timer().pending());
        assert!(
            d.masked(|| d.unload_private(v, timer, true)),
            "it has fired"
        );
        assert!(!d.is_active() && d.timer().holds_phys());
        assert!(!d.masked(|| d.load_private(v, timer, true)), "no news");
        assert!(d.is_active());
    });
}

/// What hung on a line that has fallen by then stays behind: somebody is to wait until it rises again.
#[test]
fn timer_that_fell_is_waited_for_again() {
    each(|d| {
        let (v, timer) = (d.v(0), intid(PPI));
        assert!(d.masked(|| d.load_private(v, timer, true)));
        assert!(!d.masked(|| d.unload_private(v, timer, false)));
        assert!(!d.is_active() && !d.timer().pending() && !d.timer().holds_phys());
        assert!(!d.masked(|| d.load_private(v, timer, false)));
        d.enter(0);
        assert_eq!(d.loaded(0), []);
    });
}

/// Registers reach neither the host's enable nor its trigger, nor its pending state.
#[test]
fn timer_leaves_the_hosts_interrupt_as_it_is() {
    each(|d| {
        d.host.sets_trigger.store(true, SeqCst);
        let v = d.v(0);
        let before = d.host.phys_state(PHYS);
        let frame = |offset: u32| {
            if d.version == crate::Version::V2 {
                d.dist_write(v, offset, Word, 1 << PPI);
            } else {
                let sgi_base = u64::from(0x1_0000 + offset);
                let _ = d.redist_write(v, 0, sgi_base, Word, 1 << PPI);
            }
        };
        for offset in [0x100, 0x180, 0x200, 0x280, 0x300, 0x380, 0xc04] {
            frame(offset);
            assert_eq!(d.host.phys_state(PHYS), before, "{offset:#x}");
        }
        assert!(d.timer().level() && !d.timer().active());
    });
}
