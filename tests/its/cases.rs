// SPDX-License-Identifier: GPL-2.0-only
//! Failures of ITSes in the field, by name. Those that need several threads are in `threads`.

use super::*;
use vgic_harness::guests::guest::Size;
use vgic_harness::guests::its::gits;
use vgic_harness::guests::linux::gicr;
use vgic_harness::xen::faults;

#[test]
fn xen_old_invall_of_an_unmapped_collection() {
    boot!(SMALL, 2, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 1);
    its.send(&cpus[0], &[command::unmapc(1)]);
    its.send(&cpus[0], &[command::invall(1), command::invall(200)]);
    assert!(domain.send_msi(0, DEVICE, 0));
    assert_eq!(taken(&cpus), [vec![], vec![]], "it goes nowhere");
    its.send(&cpus[0], &[command::mapc(1, 1), command::invall(1)]);
    send(&domain, DEVICE, 0);
    assert_eq!(taken(&cpus), [vec![], vec![LPI]]);
}

#[test]
fn xen_old_mapti_range_check_wrong_at_both_ends() {
    boot!(SMALL, 1, domain, cpus, its);
    its.send(&cpus[0], &[command::mapd(DEVICE, 5, its.itt(DEVICE))]);
    for (event, lpi, good) in [
        (0, 8191, false),
        (1, 8192, true),
        (2, 65535, true),
        (3, 65536, false),
        (4, 0, false),
        (5, 1023, false),
        (6, u32::MAX, false),
        // Its low 16 bits are a mapped LPI's.
        (7, 0x1_2000, false),
        // Beyond the device's events.
        (32, 8300, false),
        (u32::MAX, 8300, false),
    ] {
        if (8192..65536).contains(&lpi) {
            its::configure(&domain, lpi, 0xa0, true);
        }
        let commands = [
            command::mapti(DEVICE, event, lpi, 0),
            command::int(DEVICE, event),
        ];
        its.send(&cpus[0], &commands);
        let expected = if good { vec![lpi] } else { vec![] };
        assert_eq!(taken(&cpus), [expected], "event {event}, LPI {lpi}");
    }
    // MAPI has the number of the event for the LPI: there is none so low.
    its.send(&cpus[0], &[command::mapi(DEVICE, 8, 0)]);
    its.send(&cpus[0], &[command::int(DEVICE, 8)]);
    assert_eq!(taken(&cpus), [vec![]]);
}

#[test]
fn xen_old_unmap_loop_with_a_guests_count() {
    boot!(SMALL, 1, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 2, |_| 0);
    // 2^32 events, to be mapped and to be unmapped.
    let device = u64::from(DEVICE) << 32 | 8;
    for valid in [gits::VALID, 0] {
        let (stores, reads) = (cpus[0].stores(), domain.memory_accesses());
        its.send(&cpus[0], &[[device, 0x1f, valid, 0]]);
        assert_eq!(cpus[0].stores() - stores, 1);
        assert!(domain.memory_accesses() - reads <= 2);
    }
    its.map_device(&cpus[0], DEVICE, LPI, 2, |_| 0);
    send(&domain, DEVICE, 1);
    assert_eq!(taken(&cpus), [vec![LPI + 1]]);
}

#[test]
fn xen_old_guest_memory_is_read_with_interrupts_off() {
    // The mock looks at each access; here is one of each kind that reads or writes.
    boot!(SMALL, 1, domain, cpus, its);
    let before = domain.memory_accesses();
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    its.send(&cpus[0], &[command::invall(0)]);
    let frame = cpus[0].gicr_of(0).expect("a redistributor");
    let invalidate = u64::from(LPI);
    for register in [gicr::INVLPIR, gicr::INVALLR] {
        let done = cpus[0].store(frame + register, Size::Double, invalidate);
        assert_eq!(done, Ok(()));
    }
    cpus[0].gicr_write(gicr::CTLR, 0);
    cpus[0].gicr_write(gicr::CTLR, 1);
    assert!(domain.memory_accesses() - before > 10);
    assert_eq!(domain.machine.take_reports(), [""; 0]);
}

#[test]
fn xen_a_device_that_fails_is_off_the_tree() {
    boot!(SMALL, 1, domain, cpus, its);
    let before = faults::live();
    // The host has no LPIs for so many events, ever again.
    for _ in 0..3 {
        its.send(&cpus[0], &[command::mapd(DEVICE, 15, its.itt(DEVICE))]);
        its.send(&cpus[0], &[command::mapd(DEVICE + 1, 15, its.itt(1))]);
        its.send(&cpus[0], &[command::mapd(DEVICE + 2, 15, its.itt(2))]);
        assert!(!domain.send_msi(0, DEVICE + 1, 0));
        let off = [0, 1, 2].map(|n| command::unmapd(DEVICE + n));
        its.send(&cpus[0], &off);
        assert_eq!(faults::live(), before);
    }
}

#[test]
fn kvm_movall_moves_only_what_targets_the_source() {
    boot!(SMALL, 3, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 6, |n| n as u16 % 3);
    cpus.iter().for_each(|cpu| cpu.interface(|i| i.set_pmr(0)));
    (0..6).for_each(|n| send(&domain, DEVICE, n));
    its.send(&cpus[0], &[command::movall(0, 2)]);
    cpus.iter()
        .for_each(|cpu| cpu.interface(|i| i.set_pmr(linux::PMR)));
    let mut all = taken(&cpus);
    all.iter_mut().for_each(|lpis| lpis.sort_unstable());
    let ones = vec![LPI + 1, LPI + 4];
    assert_eq!(all, [vec![], ones, vec![LPI, LPI + 2, LPI + 3, LPI + 5]]);
}

#[test]
fn rust_vgics_unchecked_intid_in_invlpir() {
    boot!(SMALL, 1, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    let frame = cpus[0].gicr_of(0).expect("a redistributor");
    for intid in [
        0,
        1,
        31,
        1023,
        8191,
        8192,
        65535,
        65536,
        u32::MAX.into(),
        !0,
    ] {
        for size in [Size::Word, Size::Double] {
            let _ = cpus[0].store(frame + gicr::INVLPIR, size, intid);
        }
    }
    send(&domain, DEVICE, 0);
    assert_eq!(taken(&cpus), [vec![LPI]]);
}

#[test]
fn rust_vgics_truncated_intids() {
    boot!(SMALL, 1, domain, cpus, its);
    let lpis = [8192, 8192 + 255, 8192 + 256, 0x8000, 0xff00, 0xffff];
    its.send(&cpus[0], &[command::mapd(DEVICE, 5, its.itt(DEVICE))]);
    for (event, lpi) in (0..).zip(lpis) {
        its::configure(&domain, lpi, 0xa0, true);
        let commands = [
            command::mapti(DEVICE, event, lpi, 0),
            command::inv(DEVICE, event),
        ];
        its.send(&cpus[0], &commands);
    }
    for (event, lpi) in (0..).zip(lpis) {
        send(&domain, DEVICE, event);
        assert_eq!(taken(&cpus), [vec![lpi]]);
    }
}

#[test]
fn kvm_tables_with_duplicate_entries() {
    boot!(SMALL, 2, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 2, |n| n as u16);
    // The LPI of one event for another: the last has it. The same again: as it was. Another for the same event: instead.
    its.send(&cpus[0], &[command::mapti(DEVICE, 1, LPI, 1)]);
    (0..2).for_each(|n| send(&domain, DEVICE, n));
    assert_eq!(taken(&cpus), [vec![], vec![LPI]], "of event 1 alone");
    its.send(&cpus[0], &[command::mapti(DEVICE, 0, LPI, 0)]);
    its.send(&cpus[0], &[command::mapti(DEVICE, 0, LPI, 1)]);
    send(&domain, DEVICE, 0);
    assert_eq!(taken(&cpus), [vec![], vec![LPI]]);
    its::configure(&domain, LPI + 5, 0xa0, true);
    its.send(&cpus[0], &[command::mapti(DEVICE, 0, LPI + 5, 0)]);
    send(&domain, DEVICE, 0);
    assert_eq!(taken(&cpus), [vec![LPI + 5], vec![]]);
    // A device that is mapped anew has no events.
    its.send(&cpus[0], &[command::mapd(DEVICE, 5, its.itt(DEVICE))]);
    send(&domain, DEVICE, 0);
    its.send(&cpus[0], &[command::int(DEVICE, 0)]);
    assert_eq!(taken(&cpus), [vec![], vec![]]);
}
