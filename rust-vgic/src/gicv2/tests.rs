// SPDX-License-Identifier: GPL-2.0-only
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use super::*;
use crate::config::{Config, Error, Version};
use crate::fake::{Fake, Phys, domain_of, v2};
use crate::lr::Format;
use crate::registers::Width::{self, Byte, Double, Half, Word};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

impl Domain<Fake> {
    fn r(&self, cur: u32, offset: u32) -> u64 {
        self.dist_read(self.v(cur), offset, Word)
    }
    fn w(&self, cur: u32, offset: u32, value: u64) {
        self.dist_write(self.v(cur), offset, Word, value);
    }
    fn rb(&self, cur: u32, offset: u32) -> u64 {
        self.dist_read(self.v(cur), offset, Byte)
    }
    fn wb(&self, cur: u32, offset: u32, value: u64) {
        self.dist_write(self.v(cur), offset, Byte, value);
    }
}

fn spi(raw: u32) -> IntId {
    IntId::new(raw).unwrap()
}

/// Sets an SPI up as Linux does: level, priority 0xa0, to one vCPU, enabled; the distributor on.
fn ready(domain: &Domain<Fake>, raw: u32, target: u64) {
    domain.w(0, 0, 1);
    domain.wb(0, 0x400 + raw, 0xa0);
    domain.wb(0, 0x800 + raw, target);
    domain.w(0, 0x100 + raw / 32 * 4, 1 << (raw % 32));
    domain.settle();
}

/// GICH_VMCR with both groups enabled and all priorities unmasked.
fn open(domain: &Domain<Fake>) {
    for cpu in &domain.host.cpus {
        cpu.vmcr.store(0x1f << 27 | 3, SeqCst);
    }
}

#[test]
fn typer_counts_lines_and_cpus() {
    // ITLinesNumber N is 32 (N + 1) interrupts.
    assert_eq!(v2(1, 0).r(0, 4), 0);
    assert_eq!(v2(4, 64).r(0, 4), 2 | 3 << 5);
    assert_eq!(v2(8, 33).r(7, 4), 2 | 7 << 5);
    assert_eq!(v2(8, 988).r(7, 4), 0x1f | 7 << 5);
    // Not the number that happen to exist: the guest sizes its tables by it.
    let config = Config {
        version: Version::V2,
        vcpus: 3,
        spis: 32,
        espis: 0,
        list_registers: 4,
        format: Format::V2,
        regions: &[],
        lpis: crate::LpiConfig::default(),
        its: &[],
        msi_frame: None,
    };
    assert_eq!(domain_of(&config, 1).r(0, 4), 1 | 2 << 5);
}

#[test]
fn ctlr_enables_groups_and_makes_all_look() {
    let domain = v2(3, 32);
    domain.w(0, 0, 0xffff_ffff);
    assert_eq!(domain.r(2, 0), 3);
    assert_eq!(domain.host.kicked(), [1, 2]);
    for n in 0..3 {
        assert_ne!(domain.v(n).flags.load(SeqCst) & 1, 0);
    }
    domain.w(0, 0, 3);
    assert_eq!(domain.host.kicked(), []);
    domain.w(1, 0, 2);
    assert_eq!((domain.r(0, 0), domain.host.kicked()), (2, vec![0, 2]));
}

#[test]
fn sgis_are_enabled_and_stay_so() {
    let domain = v2(2, 32);
    for offset in [0x100, 0x180] {
        assert_eq!(domain.r(1, offset), 0xffff);
    }
    domain.w(1, 0x180, 0xffff_ffff);
    assert_eq!(domain.r(1, 0x100), 0xffff);
    domain.w(1, 0x100, 1 << 27);
    assert_eq!(domain.r(1, 0x180), 1 << 27 | 0xffff);
    assert_eq!(domain.r(0, 0x180), 0xffff, "PPIs are banked");
}

#[test]
fn spis_are_enabled_and_disabled_by_ones() {
    let domain = v2(2, 64);
    domain.w(0, 0x104, 0x8000_0005);
    domain.w(0, 0x104, 0);
    assert_eq!(domain.r(1, 0x104), 0x8000_0005);
    domain.w(1, 0x184, 0x8000_0001);
    domain.w(1, 0x184, 0);
    assert_eq!((domain.r(0, 0x104), domain.r(0, 0x184)), (4, 4));
    assert_eq!(domain.r(0, 0x108), 0);
}

#[test]
fn the_last_spi_is_1019() {
    let domain = v2(1, 988);
    for (set, bits) in [(0x80, 1), (0x100, 1), (0x200, 1), (0x300, 1)] {
        let offset = set + 1019 * bits / 32 * 4;
        domain.w(0, offset, 0xffff_ffff);
        assert_eq!(domain.r(0, offset), 0x0fff_ffff, "{set:#x}");
    }
    domain.w(0, 0x400 + 1020, 0xffff_ffff);
    assert_eq!(domain.r(0, 0x400 + 1020), 0);
    domain.w(0, 0xc00 + 63 * 4, 0xffff_ffff);
    assert_eq!(domain.r(0, 0xc00 + 63 * 4), 0x00aa_aaaa);
}

#[test]
fn groups_are_bits() {
    let domain = v2(2, 32);
    domain.w(0, 0x80, 0x8000_0001);
    domain.w(0, 0x84, 0xf0);
    assert_eq!((domain.r(0, 0x80), domain.r(1, 0x80)), (0x8000_0001, 0));
    domain.w(1, 0x84, 0x90);
    assert_eq!(domain.r(0, 0x84), 0x90);
}

#[test]
fn priorities_have_five_bits_and_bytes() {
    let domain = v2(2, 32);
    domain.w(0, 0x420, 0xffff_ffff);
    assert_eq!(domain.r(0, 0x420), 0xf8f8_f8f8);
    domain.wb(0, 0x421, 0xa7);
    assert_eq!(domain.r(0, 0x420), 0xf8f8_a0f8);
    assert_eq!(domain.rb(0, 0x421), 0xa0);
    domain.wb(0, 0x41b, 0x1_28);
    assert_eq!((domain.rb(0, 0x41b), domain.rb(1, 0x41b)), (0x28, 0));
    for width in [Half, Double] {
        domain.dist_write(domain.v(0), 0x420, width, 0);
        assert_eq!(domain.dist_read(domain.v(0), 0x420, width), 0);
    }
    assert_eq!(domain.r(0, 0x420), 0xf8f8_a0f8);
}

#[test]
fn icfgr_has_one_bit_for_spis_and_none_for_others() {
    let domain = v2(2, 32);
    assert_eq!((domain.r(0, 0xc00), domain.r(0, 0xc04)), (0xaaaa_aaaa, 0));
    for offset in [0xc00, 0xc04] {
        let before = domain.r(0, offset);
        domain.w(0, offset, !before);
        assert_eq!(domain.r(0, offset), before);
    }
    domain.w(0, 0xc08, 0xffff_fffd);
    assert_eq!(domain.r(0, 0xc08), 0xaaaa_aaa8);
    // XSA-94: ICFGR beyond the implemented interrupts.
    domain.w(0, 0xc10, 0xffff_ffff);
    assert_eq!(domain.r(0, 0xc10), 0);
}

#[test]
fn itargetsr_shows_who_reads() {
    let domain = v2(4, 32);
    for n in 0..4 {
        assert_eq!(domain.r(n, 0x800), 0x0101_0101 << n);
        assert_eq!(domain.rb(n, 0x81f), 1 << n);
    }
    domain.w(1, 0x800, 0x0101_0101);
    assert_eq!(domain.r(1, 0x800), 0x0202_0202);
    let state = domain.v(1).private(spi(0)).unwrap().state();
    assert_eq!((state.target(), state.itargets()), (VcpuId::new(1), 0));
}

#[test]
fn itargetsr_keeps_all_targets_that_exist_and_the_lowest_counts() {
    let domain = v2(4, 32);
    let irq = domain.shared(spi(33)).unwrap();
    assert_eq!((domain.rb(0, 0x821), irq.state().target()), (0, None));
    domain.wb(0, 0x821, 0xff);
    assert_eq!(domain.rb(3, 0x821), 0x0f);
    assert_eq!(irq.state().target(), VcpuId::new(0));
    domain.w(0, 0x820, 0x0c00);
    assert_eq!(domain.r(3, 0x820), 0x0c00);
    assert_eq!(irq.state().target(), VcpuId::new(2));
    domain.wb(0, 0x821, 0xf0);
    assert_eq!((domain.rb(0, 0x821), irq.state().target()), (0, None));
}

/// The new C vGIC dereferenced a vCPU that had not been created.
#[test]
fn itargetsr_naming_a_vcpu_that_is_not_created() {
    let config = Config {
        version: Version::V2,
        vcpus: 4,
        spis: 32,
        espis: 0,
        list_registers: 4,
        format: Format::V2,
        regions: &[],
        lpis: crate::LpiConfig::default(),
        its: &[],
        msi_frame: None,
    };
    let domain = domain_of(&config, 2);
    ready(&domain, 32, 0xff);
    assert_eq!(domain.rb(0, 0x820), 3);
    domain.wb(0, 0x820, 0x0c);
    assert_eq!(domain.rb(0, 0x820), 0);
    domain.inject(None, spi(32), true);
    assert!(domain.r(0, 0x204) & 1 != 0, "pending, for nobody");
    domain.wb(0, 0x820, 2);
    assert_eq!(domain.host.kicked(), [1], "delivered once it has a target");
}

#[test]
fn itargetsr_of_a_single_cpu_is_raz_wi_and_delivers() {
    let domain = v2(1, 32);
    open(&domain);
    ready(&domain, 32, 0);
    assert_eq!((domain.r(0, 0x800), domain.r(0, 0x820)), (0, 0));
    domain.inject(None, spi(32), true);
    domain.enter(0);
    assert_eq!(domain.loaded(0), [32]);
}

#[test]
fn sgir_filters() {
    let domain = v2(4, 32);
    let pending = || -> Vec<u64> { (0..4).map(|n| domain.r(n, 0x204 - 4)).collect() };
    let clear = || (0..4).for_each(|n| domain.w(n, 0xf10, 0xffff_ffff));
    // Target list; bits of CPUs that do not exist are nothing (XSA-225, be7f0cc651).
    domain.w(1, 0xf00, 0xfd << 16 | 3);
    assert_eq!(pending(), [8, 0, 8, 8]);
    clear();
    domain.w(1, 0xf00, 1 << 24 | 2);
    assert_eq!(pending(), [4, 0, 4, 4]);
    clear();
    domain.w(1, 0xf00, 2 << 24 | 0xff << 16 | 2);
    assert_eq!(pending(), [0, 4, 0, 0]);
    clear();
    // XSA-117: the reserved filter hit a BUG().
    domain.w(1, 0xf00, 3 << 24 | 0xff << 16 | 2);
    assert_eq!(pending(), [0; 4]);
    // CVE-2021-20221: the INTID has four bits.
    domain.w(1, 0xf00, 1 << 16 | 0x3f0 | 5);
    assert_eq!(pending(), [1 << 5, 0, 0, 0]);
    assert_eq!(domain.r(1, 0xf00), 0, "write-only");
}

#[test]
fn the_source_of_an_sgi_is_kept_and_loaded() {
    let domain = v2(4, 32);
    open(&domain);
    domain.w(0, 0, 1);
    domain.w(3, 0xf00, 1 << 16 | 7);
    domain.w(2, 0xf00, 1 << 16 | 7);
    assert_eq!(domain.rb(0, 0xf17), 0b1100);
    assert_eq!(domain.r(0, 0xf24), 0b1100 << 24);
    domain.enter(0);
    let lr = domain.host.cpus[0].lrs[0].load(SeqCst);
    assert_eq!((lr & 0x3ff, lr >> 10 & 7), (7, 2), "lowest source first");
    domain.leave(0);
    assert_eq!(
        domain.rb(0, 0xf27),
        0b1100,
        "what is in a list register is pending"
    );
    domain.wb(0, 0xf17, 0b0100);
    assert_eq!((domain.rb(0, 0xf17), domain.r(0, 0x200)), (0b1000, 1 << 7));
    domain.enter(0);
    let lr = domain.host.cpus[0].lrs[0].load(SeqCst);
    assert_eq!((lr & 0x3ff, lr >> 10 & 7), (7, 3));
    domain.leave(0);
    domain.wb(0, 0xf17, 0b1000);
    assert_eq!((domain.rb(0, 0xf17), domain.r(0, 0x200)), (0, 0));
}

#[test]
fn spendsgir_makes_pending_by_byte() {
    let domain = v2(3, 32);
    domain.wb(1, 0xf2e, 0xff);
    assert_eq!(domain.r(1, 0xf1c), 0x07 << 16, "sources that exist");
    assert_eq!((domain.r(1, 0x200), domain.r(0, 0x200)), (1 << 14, 0));
    domain.w(1, 0xf20, 0x0200_0001);
    assert_eq!(domain.r(1, 0xf10), 0x0200_0001);
    domain.w(1, 0xf20, 0);
    domain.w(1, 0xf10, 0);
    assert_eq!(domain.r(1, 0x200), 1 << 14 | 1 << 3 | 1);
    domain.w(1, 0xf1c, 0xffff_ffff);
    assert_eq!(domain.r(1, 0x200), 1 << 3 | 1);
}

/// The new C vGIC: ISPENDR0 with the bit of an SGI made one pending without a source, and then panicked.
#[test]
fn ispendr0_does_not_touch_sgis() {
    let domain = v2(2, 32);
    domain.w(0, 0x200, 0xffff_ffff);
    assert_eq!(domain.r(0, 0x200), 0xffff_0000);
    domain.w(1, 0xf00, 1 << 16 | 7);
    domain.w(0, 0x280, 0xffff_ffff);
    assert_eq!(domain.r(0, 0x280), 1 << 7);
}

/// FF-A's notification is an SGI that nobody has sent.
#[test]
fn an_sgi_without_a_source_is_delivered() {
    let domain = v2(2, 32);
    open(&domain);
    domain.w(0, 0, 1);
    domain.inject(Some(domain.v(1)), spi(8), true);
    assert_eq!(domain.r(1, 0x200), 1 << 8);
    domain.enter(1);
    assert_eq!(domain.loaded(1), [8]);
}

#[test]
fn pending_is_the_latch_or_the_line() {
    let domain = v2(1, 32);
    domain.inject(None, spi(32), true);
    domain.w(0, 0x204, 2);
    assert_eq!((domain.r(0, 0x204), domain.r(0, 0x284)), (3, 3));
    domain.w(0, 0x284, 3);
    assert_eq!(domain.r(0, 0x204), 1, "the line is still high");
    domain.inject(None, spi(32), false);
    assert_eq!(domain.r(0, 0x204), 0);
    // A latch outlives the line.
    domain.w(0, 0x204, 1);
    domain.inject(None, spi(32), false);
    assert_eq!(domain.r(0, 0x204), 1);
}

#[test]
fn active_is_set_and_cleared() {
    let domain = v2(2, 32);
    domain.w(0, 0x304, 6);
    domain.w(0, 0x304, 0);
    domain.w(1, 0x384, 2);
    assert_eq!((domain.r(0, 0x304), domain.r(0, 0x384)), (4, 4));
    domain.w(1, 0x300, 1 << 16);
    assert_eq!((domain.r(0, 0x300), domain.r(1, 0x300)), (0, 1 << 16));
}

/// What others hold in list registers is asked for before it is shown: they leave the guest, and the words are exact.
#[test]
fn reads_wait_for_those_in_the_guest() {
    let domain = Arc::new(v2(2, 32));
    open(&domain);
    ready(&domain, 32, 2);
    domain.inject(None, spi(32), true);
    domain.enter(1);
    assert_eq!(domain.loaded(1), [32]);
    domain.host.kicked();
    // The guest of vCPU 1 acknowledges it.
    let lr = &domain.host.cpus[1].lrs[0];
    lr.store(lr.load(SeqCst) & !(3 << 28) | 2 << 28, SeqCst);
    let other = Arc::downgrade(&domain);
    *domain.host.while_waiting.lock().unwrap() = Some(Box::new(move || {
        let other = other.upgrade().unwrap();
        assert_eq!(other.host.kicked(), [1]);
        other.leave(1);
    }));
    assert_eq!(domain.r(0, 0x304), 1);
    assert!(domain.host.while_waiting.lock().unwrap().is_none());
}

#[test]
fn writes_that_depend_on_it_wait_too_but_only_for_what_they_name() {
    for offset in [0x184, 0x284, 0x304, 0x384] {
        for (named, waits) in [(1, true), (2, false)] {
            let domain = Arc::new(v2(2, 32));
            open(&domain);
            ready(&domain, 32, 2);
            domain.inject(None, spi(32), true);
            domain.enter(1);
            let other = Arc::downgrade(&domain);
            *domain.host.while_waiting.lock().unwrap() =
                Some(Box::new(move || other.upgrade().unwrap().leave(1)));
            domain.w(0, offset, named);
            let waited = domain.host.while_waiting.lock().unwrap().is_none();
            assert_eq!(waited, waits, "{offset:#x} {named}");
        }
    }
}

#[test]
fn a_hardware_interrupt_is_enabled_after_its_word() {
    let domain = v2(2, 32);
    let intid = domain.connected_spi(40);
    domain.host.sets_trigger.store(true, SeqCst);
    domain.wb(0, 0x828, 2);
    assert_eq!(domain.host.phys_state(40).follows, Some(1));
    domain.w(0, 0xc08, 2 << 16);
    assert_eq!(
        domain.host.phys_state(40),
        Phys {
            follows: Some(1),
            ..Phys::default()
        }
    );
    domain.w(0, 0xc08, 0);
    domain.w(0, 0x104, 1 << 8);
    assert!(domain.shared(intid).unwrap().state().enabled());
    let on = Phys {
        enabled: true,
        level: true,
        follows: Some(1),
        ..Phys::default()
    };
    assert_eq!(domain.host.phys_state(40), on);
    // While it is enabled, the trigger is left alone.
    domain.w(0, 0xc08, 2 << 16);
    domain.w(0, 0x104, 1 << 8);
    assert_eq!(domain.host.phys_state(40), on);
    domain.w(0, 0x184, 1 << 8);
    assert_eq!(
        domain.host.phys_state(40),
        Phys {
            enabled: false,
            ..on
        }
    );
    domain.w(0, 0x104, 1 << 8);
    assert_eq!(domain.host.phys_state(40), Phys { level: false, ..on });
}

/// The physical distributor may be set otherwise than what the guest reads and writes back.
#[test]
fn the_trigger_is_handed_on_though_it_does_not_change() {
    let domain = v2(1, 32);
    domain.connected_spi(40);
    domain.host.sets_trigger.store(true, SeqCst);
    assert!(!domain.host.phys_state(40).level);
    domain.w(0, 0xc08, 0);
    assert!(domain.host.phys_state(40).level);
}

#[test]
fn the_trigger_of_a_physical_interrupt_is_not_everybodys() {
    let domain = v2(1, 32);
    domain.connected_spi(40);
    domain.w(0, 0xc08, 2 << 16);
    domain.w(0, 0xc08, 0);
    domain.w(0, 0x104, 1 << 8);
    assert_eq!(
        domain.host.phys_state(40),
        Phys {
            enabled: true,
            follows: Some(0),
            ..Phys::default()
        }
    );
}

#[test]
fn pending_of_a_hardware_interrupt_is_in_the_physical_distributor() {
    let domain = v2(1, 32);
    let intid = domain.connected_spi(40);
    domain.w(0, 0x204, 1 << 8);
    assert!(domain.host.phys_state(40).pending);
    assert!(!domain.shared(intid).unwrap().state().pending());
    assert_eq!(domain.r(0, 0x204), 1 << 8);
    domain.w(0, 0x284, 1 << 8);
    assert_eq!(domain.host.phys_state(40), Phys::default());
    // It has arrived: what is taken back must be able to come again.
    let line = |high| domain.host.change(40, |phys| phys.pending = high);
    domain.host.change(40, |phys| phys.active = true);
    line(true);
    domain.inject(None, intid, true);
    assert_eq!(domain.r(0, 0x204), 1 << 8);
    // Its line is asked, which may have fallen since.
    line(false);
    assert_eq!(domain.r(0, 0x204), 0);
    line(true);
    domain.w(0, 0x284, 1 << 8);
    assert_eq!(domain.host.phys_state(40), Phys::default());
    assert_eq!(domain.r(0, 0x204), 0);
}

/// Toolstacks disconnect interrupts while the guest runs.
#[test]
fn a_physical_interrupt_that_was_just_disconnected_is_left_alone() {
    for (offset, value) in [
        (0x104, 1 << 8),
        (0x204, 1 << 8),
        (0x284, 1 << 8),
        (0x304, 1 << 8),
        (0xc08, 2 << 16),
    ] {
        for again in [false, true] {
            let domain = Arc::new(v2(1, 32));
            domain.host.sets_trigger.store(true, SeqCst);
            let intid = domain.connected_spi(40);
            let before = Phys {
                pending: true,
                level: true,
                ..Phys::default()
            };
            domain.host.change(40, |phys| *phys = before);
            domain.host.change(41, |_| {});
            let other = Arc::downgrade(&domain);
            *domain.host.before_phys.lock().unwrap() = Some(Box::new(move || {
                let domain = other.upgrade().unwrap();
                domain.disconnect(intid, 40).unwrap();
                if again && !domain.shared(intid).unwrap().state().enabled() {
                    domain.connect(intid, 41).unwrap();
                }
            }));
            domain.w(0, offset, value);
            assert!(domain.host.before_phys.lock().unwrap().is_none());
            let after = Phys {
                follows: None,
                ..domain.host.phys_state(40)
            };
            assert_eq!(after, before, "{offset:#x} {again}");
        }
    }
}

#[test]
fn active_of_a_hardware_interrupt_is_active_at_both() {
    let domain = v2(1, 32);
    domain.connected_spi(40);
    domain.w(0, 0x304, 1 << 8);
    assert!(domain.host.phys_state(40).active);
    assert_eq!(domain.r(0, 0x304), 1 << 8);
    domain.w(0, 0x384, 1 << 8);
    assert!(!domain.host.phys_state(40).active);
    assert_eq!(domain.r(0, 0x304), 0);
}

#[test]
fn there_are_no_redistributors() {
    let domain = v2(2, 32);
    for width in Width::ALL {
        assert_eq!(domain.redist_read(domain.v(0), 0, 0, width), 0);
        domain.redist_write(domain.v(0), 0, 0x1_0100, width, u64::MAX);
    }
    assert_eq!(domain.r(0, 0x100), 0xffff);
}

#[test]
fn only_the_physical_interrupt_that_it_has_is_disconnected() {
    let domain = v2(1, 32);
    let intid = domain.connected_spi(40);
    for (intid, phys) in [(intid, 41), (IntId::new(intid.raw() + 1).unwrap(), 40)] {
        let refused = domain.disconnect(intid, phys);
        assert!(matches!(refused, Err(Error::Invalid)), "{refused:?}");
    }
    assert!(domain.shared(intid).unwrap().state().hw());
    assert!(domain.disconnect(intid, 40).is_ok());
    assert!(!domain.shared(intid).unwrap().state().hw());
}
