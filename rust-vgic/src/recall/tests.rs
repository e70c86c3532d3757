// SPDX-License-Identifier: GPL-2.0-only
//! What is taken away from a vCPU in its guest is gone when the write, or RWP, says so. vCPU 1 is in its guest.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use super::*;
use crate::fake::{Fake, v2, v3};
use crate::intid::IntId;
use crate::irq::Event;
use crate::registers::Width::Word;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

const SPI: u32 = 40;
const ESPI: u32 = 4100;
const PPI: u32 = 20;
const GICD_RWP: u64 = 1 << 31;
const GICR_RWP: u64 = 1 << 3;
/// vCPU 1's redistributor, in region 0.
const RD: u64 = 0x2_0000;
const SGI: u64 = RD + 0x1_0000;

impl Domain<Fake> {
    /// All that can be pending for vCPU 1 is, and is enabled; the distributor is on.
    fn pend(&self) {
        for cpu in &self.host.cpus {
            cpu.vmcr.store(0x1f << 27 | 3, SeqCst);
        }
        self.dist_write(self.v(0), 0, Word, 3);
        for raw in [SPI, ESPI, PPI] {
            let v = self.v(1);
            let intid = IntId::new(raw).unwrap();
            for event in [
                Event::Trigger { level: false },
                Event::Route(Some(v.id())),
                Event::Enable(true),
                Event::SetPending,
            ] {
                self.post(v, intid, event);
            }
        }
        self.enter(1);
        assert!(!self.loaded(1).is_empty());
        self.host.kicked();
    }

    fn gicd(&self) -> bool {
        self.dist_read(self.v(0), 0, Word) & GICD_RWP != 0
    }

    fn gicr(&self) -> bool {
        self.redist_read(self.v(0), 0, RD, Word) & GICR_RWP != 0
    }

    /// What vCPU 1's list registers show as pending or active.
    fn shows(&self, raw: u32) -> bool {
        self.loaded(1).contains(&(raw as u16))
    }
}

/// Nobody waits for a vCPU that never comes: the test would not end.
fn waits_for(domain: &Arc<Domain<Fake>>, hook: impl FnOnce(&Domain<Fake>) + Send + 'static) {
    let other = Arc::downgrade(domain);
    let mut hook = Some(hook);
    *domain.host.while_waiting.lock().unwrap() = Some(Box::new(move || {
        let domain = other.upgrade().unwrap();
        hook.take().unwrap()(&domain);
        domain.host.current.store(0, SeqCst);
    }));
}

fn has_waited(domain: &Domain<Fake>) -> bool {
    domain.host.while_waiting.lock().unwrap().is_none()
}

/// GICD_ICENABLER of SPIs and extended ones, and the group enables that become 0.
#[test]
fn done_means_done_says_gicd_rwp() {
    let writes: [(u32, u64, Option<u32>); 4] = [
        (0x184, 1 << (SPI % 32), Some(SPI)),
        (0x1400, 1 << (ESPI - 4096), Some(ESPI)),
        (0, 1, None),
        (0, 0, None),
    ];
    for (offset, value, gone) in writes {
        let domain = v3(3, 64, 64);
        domain.pend();
        assert!(!domain.gicd());
        domain.dist_write(domain.v(0), offset, Word, value);
        assert!(domain.host.kicked().contains(&1));
        assert!(domain.gicd(), "{offset:#x}");
        assert!(domain.gicd(), "{offset:#x}: and still");
        // Whoever asks.
        assert_ne!(domain.dist_read(domain.v(2), 0, Word) & GICD_RWP, 0);
        domain.leave(1);
        assert!(!domain.gicd(), "{offset:#x}: it has left");
        domain.enter(1);
        assert!(!domain.gicd(), "{offset:#x}: it knows");
        match gone {
            Some(raw) => assert!(!domain.shows(raw)),
            None => assert_eq!(domain.loaded(1), []),
        }
    }
}

/// It is looked for between an exit and the entry after it, or not before that: both end it.
#[test]
fn done_means_done_if_the_exit_is_not_seen() {
    let domain = v3(2, 64, 0);
    domain.pend();
    domain.dist_write(domain.v(0), 0x184, Word, 1 << (SPI % 32));
    domain.leave(1);
    domain.enter(1);
    assert!(!domain.gicd());
    // A second one begins anew.
    domain.dist_write(domain.v(0), 0x104, Word, 1 << (SPI % 32));
    domain.leave(1);
    domain.enter(1);
    assert!(domain.shows(SPI));
    assert!(!domain.gicd());
    domain.dist_write(domain.v(0), 0x184, Word, 1 << (SPI % 32));
    assert!(domain.gicd());
}

#[test]
fn done_means_done_says_gicr_rwp() {
    let domain = v3(2, 64, 0);
    domain.pend();
    assert!(!domain.gicr());
    domain.redist_write(domain.v(0), 0, SGI + 0x180, Word, 1 << PPI);
    assert!(domain.host.kicked().contains(&1));
    assert!(domain.gicr());
    assert!(!domain.gicd(), "that is another frame's");
    let own = domain.redist_read(domain.v(0), 0, 0, Word);
    assert_eq!(own & GICR_RWP, 0, "so is this");
    domain.leave(1);
    assert!(!domain.gicr());
    // To the vCPU itself it is done at once: it is out of its guest for it.
    domain.redist_write(domain.v(1), 0, SGI + 0x100, Word, 1 << PPI);
    domain.redist_write(domain.v(1), 0, SGI + 0x180, Word, 1 << PPI);
    assert!(!domain.gicr());
    domain.enter(1);
    assert!(!domain.gicr());
    assert!(!domain.shows(PPI));
}

/// Whoever holds nothing of it, or is out of its guest, is neither disturbed nor waited for.
#[test]
fn done_means_done_at_once_where_nobody_holds_it() {
    let domain = v3(3, 64, 0);
    domain.pend();
    domain.enter(2);
    let mut waits = domain.host.kicked();
    // Nothing that vCPU 1 has.
    domain.dist_write(domain.v(0), 0x184, Word, !(1 << (SPI % 32)));
    domain.redist_write(domain.v(0), 0, SGI + 0x180, Word, 1);
    waits.extend(domain.host.kicked());
    assert!(!domain.gicd() && !domain.gicr());
    // A group that becomes 1 has no RWP.
    domain.leave(1);
    domain.leave(2);
    domain.dist_write(domain.v(0), 0, Word, 0);
    assert!(!domain.gicd(), "all are out");
    domain.enter(1);
    domain.enter(2);
    domain.dist_write(domain.v(0), 0, Word, 3);
    assert!(!domain.gicd());
    assert_eq!(waits, []);
}

/// A GICv2 has no RWP: what is written waits, until those who held it have left their guests after it.
#[test]
fn done_means_done_when_a_gicv2_has_written() {
    for (offset, value) in [(0x184, 1 << (SPI % 32)), (0, 0), (0x284, 1 << (SPI % 32))] {
        let domain = Arc::new(v2(2, 64));
        domain.pend();
        waits_for(&domain, move |domain| {
            let shared = domain.shared(IntId::new(SPI).unwrap()).unwrap();
            // It is written by now.
            let written = match offset {
                0x184 => !shared.state().enabled(),
                0x284 => !shared.state().pending(),
                _ => domain.ctlr.load(SeqCst) == 0,
            };
            assert!(written, "{offset:#x}");
            domain.leave(1);
            domain.enter(1);
        });
        domain.dist_write(domain.v(0), offset, Word, value);
        assert!(has_waited(&domain), "{offset:#x}");
        assert!(!domain.shows(SPI), "{offset:#x}");
    }
}

/// The guest of vCPU 1 ends what it had active, and takes it once more: what was written before that is not about the second.
#[test]
fn done_means_done_for_the_active_state() {
    for (offset, taken) in [(0x384, true), (0x304, false)] {
        for v3_guest in [false, true] {
            let domain = Arc::new(if v3_guest { v3(2, 64, 0) } else { v2(2, 64) });
            let (pending, active) = if v3_guest {
                (1 << 62, 1 << 63)
            } else {
                (1 << 28, 1 << 29)
            };
            domain.pend();
            let slot = domain.host.cpus[1].lrs[..4]
                .iter()
                .position(|lr| u32::from(domain.format.intid(lr.load(SeqCst))) == SPI)
                .unwrap();
            let set = move |domain: &Domain<Fake>, state: u64| {
                let lr = &domain.host.cpus[1].lrs[slot];
                lr.store(lr.load(SeqCst) & !(pending | active) | state, SeqCst);
            };
            if taken {
                set(&domain, active);
            }
            goes_round(&domain);
            domain.dist_write(domain.v(0), offset, Word, 1 << (SPI % 32));
            let clear = offset == 0x384;
            let shown = domain.host.cpus[1].lrs[slot].load(SeqCst) & active != 0;
            assert_eq!(shown, !clear, "{offset:#x}: the list register knows");
            let word = domain.shared(IntId::new(SPI).unwrap()).unwrap().state();
            assert_eq!(word.folded_active(), !clear);
            assert!(!word.clears_active() && !word.sets_active(), "{word:?}");
        }
    }
}

/// vCPU 1 goes round each time somebody waits for it.
fn goes_round(domain: &Arc<Domain<Fake>>) {
    let other = Arc::downgrade(domain);
    waits_for(domain, move |domain| {
        domain.leave(1);
        domain.enter(1);
        if let Some(domain) = other.upgrade() {
            goes_round(&domain);
        }
    });
}

/// A guest that never leaves costs the writer a bounded time.
#[test]
fn done_means_done_is_bounded() {
    let domain = v2(2, 64);
    domain.pend();
    domain.dist_write(domain.v(0), 0x184, Word, 1 << (SPI % 32));
    assert!(domain.shows(SPI));
    assert!(domain.v(1).is_awaited());
}
