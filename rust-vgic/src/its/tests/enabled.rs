// SPDX-License-Identifier: GPL-2.0-only
//! GITS_CTLR.Enabled and GICR_CTLR.EnableLPIs: what is off delivers nothing.

use super::commands::two_events;
use super::*;

const GICR_CTLR: u64 = 0x0;
const PENDBASER: u64 = 0x78;

fn pending_byte(rig: &Rig, n: u64) -> u8 {
    let byte = PENDING + n * 0x1_0000 + 8200 / 8;
    rig.domain.host().peek(byte).unwrap()
}

/// IHI 0069, GITS_CTLR: with Enabled = 0, writes to GITS_TRANSLATER are ignored.
#[test]
fn enabled_its_translates_and_no_other() {
    let rig = two_events();
    rig.write(0, CTLR, 0);
    rig.inject(8200);
    assert_eq!(rig.pending(8200), None);
    rig.write(0, CTLR, 1);
    assert_eq!(rig.take(1), [], "nothing was kept");
    rig.inject(8200);
    assert_eq!(rig.take(1), [8200]);
}

/// Of several it is the one that has mapped the LPI.
#[test]
fn enabled_is_asked_of_the_its_that_has_mapped_it() {
    let mut rig = Rig::with(LIMITS, 2);
    rig.ok(mapc(1, 1, true));
    rig.ok(mapd(7, 5, true));
    rig.ok(mapti(7, 0, 8200, 1));
    rig.inject(8200);
    assert_eq!(rig.pending(8200), Some(1), "the other is off");
    rig.ok(of_event(CLEAR, 7, 0));
    rig.write(0, CTLR, 0);
    rig.enable(1);
    rig.inject(8200);
    assert_eq!(rig.pending(8200), None, "the other is on");
    // One that nobody has mapped is nobody's message.
    rig.redist(2, GICR_CTLR, 0);
    (rig.domain.host()).poke(PENDING + 0x2_0000 + 8202 / 8, &[1 << (8202 % 8)]);
    rig.redist(2, PENDBASER, PENDING + 0x2_0000);
    rig.redist(2, GICR_CTLR, 1);
    rig.configure(8202, 0x40, true);
    rig.redist(2, 0xa0, 8202);
    assert_eq!(rig.take(2), [8202], "from the table");
    rig.inject(8202);
    assert_eq!(rig.take(2), []);
}

/// Whatever brings it there: it stays pending, is not delivered, and comes when LPIs are enabled; or goes on to where they are.
#[test]
fn enabled_lpis_are_delivered_and_no_others() {
    type Way = fn(&mut Rig, u16, u64);
    const WAYS: [Way; 4] = [
        |rig, icid, _| rig.ok(movi(7, 0, icid)),
        |rig, _, target| rig.ok(mapc(1, target, true)),
        |rig, icid, _| rig.ok(mapti(7, 0, 8200, icid)),
        |rig, _, target| rig.ok(movall(1, target)),
    ];
    for (n, way) in WAYS.into_iter().enumerate() {
        for running in [false, true] {
            for zero in [0, 1 << 62] {
                let mut rig = two_events();
                rig.redist(2, GICR_CTLR, 0);
                if running {
                    rig.domain.host().cpus[2].vmcr.store(0xff00_0003, SeqCst);
                    rig.domain.enter(2);
                }
                rig.inject(8200);
                way(&mut rig, 2, 2);
                if running {
                    rig.domain.leave(2);
                }
                assert_eq!(rig.take(2), [], "way {n}");
                assert_eq!(rig.pending(8200), Some(2), "way {n}");
                assert!(!rig.domain.has_pending(rig.domain.v(2)), "it can block");
                assert_eq!(pending_byte(&rig, 2), 0, "the table is not in use");
                rig.redist(2, PENDBASER, (PENDING + 0x2_0000) | zero);
                rig.domain.host().kicked();
                rig.redist(2, GICR_CTLR, 1);
                assert_eq!(rig.domain.host().kicked(), [2]);
                assert_eq!(rig.take(2), [8200], "way {n}");
                assert_eq!(rig.take(2), []);
            }
        }
    }
    let mut rig = two_events();
    rig.redist(2, GICR_CTLR, 0);
    rig.inject(8200);
    rig.ok(movi(7, 0, 2));
    assert_eq!(rig.take(2), []);
    rig.configure(8200, 0x10, true);
    rig.ok(of_event(INV, 7, 0));
    assert_eq!(rig.take(2), [], "of another priority");
    rig.ok(mapc(2, 3, true));
    assert_eq!(rig.take(3), [8200]);
}

/// Those of a higher priority that may not come keep nothing from those that may.
#[test]
fn enabled_interrupts_come_before_lpis_that_are_withheld() {
    let mut rig = two_events();
    rig.configure(8200, 0, true);
    rig.ok(of_event(INV, 7, 0));
    rig.redist(2, GICR_CTLR, 0);
    rig.inject(8200);
    rig.ok(movi(7, 0, 2));
    let v = rig.domain.v(2);
    let ppi = IntId::new(27).unwrap();
    for event in [
        crate::irq::Event::Priority(0xf0),
        crate::irq::Event::Enable(true),
    ] {
        rig.domain.post(v, ppi, event);
    }
    rig.domain.inject(Some(v), ppi, true);
    rig.domain.host().cpus[2].vmcr.store(0xff00_0003, SeqCst);
    rig.domain.enter(2);
    assert_eq!(rig.domain.loaded(2), [27]);
}

/// LPIs are disabled by another vCPU while one is in a list register: it is taken, or saved as pending, and never both.
#[test]
fn enabled_once_it_is_taken_or_saved() {
    for takes in [false, true] {
        let rig = two_events();
        rig.inject(8200);
        let cpu = &rig.domain.host().cpus[1];
        cpu.vmcr.store(0xff00_0003, SeqCst);
        rig.domain.enter(1);
        assert_eq!(rig.domain.loaded(1), [8200]);
        let off = || {
            let at = 0x2_0000;
            (rig.domain).redist_write(rig.domain.v(0), 0, at, Width::Word, 0)
        };
        assert_eq!(off(), Progress::Again, "it is in the guest");
        if takes {
            cpu.lrs[0].store(0, SeqCst);
        }
        // It was in the hypervisor for a moment, and has it no more when it is back.
        rig.domain.leave(1);
        rig.domain.enter(1);
        assert_eq!(rig.domain.loaded(1), []);
        while off() == Progress::Again {}
        assert_eq!(pending_byte(&rig, 1), u8::from(!takes));
        rig.domain.leave(1);
        assert_eq!(rig.take(1), []);
        rig.redist(1, GICR_CTLR, 1);
        assert_eq!(rig.take(1), if takes { vec![] } else { vec![8200] });
    }
}

/// A message that is on its way when LPIs are disabled takes nothing away that a later enable has found in the table.
#[test]
fn enabled_again_what_was_saved_is_pending() {
    let rig = two_events();
    rig.inject(8200);
    for _ in 0..3 {
        rig.redist(1, GICR_CTLR, 0);
        assert_eq!((rig.pending(8200), pending_byte(&rig, 1)), (None, 1));
        rig.inject(8200);
        assert_eq!(rig.pending(8200), None, "dropped");
        // PTZ, which was written at first, says nothing of what has been saved since.
        rig.redist(1, GICR_CTLR, 1);
        assert_eq!(rig.pending(8200), Some(1));
    }
    assert_eq!(rig.take(1), [8200]);
}

/// What is pending in a table without ever having been mapped has memory of its own.
#[test]
fn enabled_with_a_table_of_ones_mapti_has_its_pages() {
    let limits = LpiConfig {
        limits: Limits { lpis: 512, ..MANY },
        ..LIMITS
    };
    let mut rig = Rig::with(limits, 1);
    rig.redist(1, GICR_CTLR, 0);
    rig.domain.host().poke(PENDING + 0x1_0000, &[0xff; 0x800]);
    rig.redist(1, PENDBASER, PENDING + 0x1_0000);
    rig.redist(1, GICR_CTLR, 1);
    assert_eq!(rig.domain.lpis.all(0).count(), 512, "bounded");
    rig.ok(mapc(1, 1, true));
    rig.ok(mapd(7, EVENT_BITS, true));
    for page in 0..2 {
        rig.ok(mapti(7, page, (1 << 14) - 1 - page * 256, 1));
    }
    assert_eq!(rig.command(mapti(7, 2, 12_000, 1)), 0x01_0a06);
}
