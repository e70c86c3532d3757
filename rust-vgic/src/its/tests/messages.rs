// SPDX-License-Identifier: GPL-2.0-only
//! Devices of device models among those of the hardware: what the host hears of them, and what their messages do.

use super::commands::two_events;
use super::*;
use crate::config::{Error, MessageError};

/// From this number on devices are device models'.
const SOFT: u32 = 16;

fn mixed() -> Rig {
    let rig = Rig::new();
    rig.domain.host().software_from.store(SOFT, SeqCst);
    rig
}

fn host_has(rig: &Rig) -> (usize, usize) {
    let host = rig.domain.host();
    let devices = host.devices.lock().unwrap().len();
    (devices, host.events.lock().unwrap().len())
}

#[test]
fn the_host_hears_of_its_own_devices_only() {
    let mut rig = mixed();
    for (n, device) in [(0, SOFT), (1, SOFT + 1), (2, 7)] {
        rig.ok(mapd(device, 5, true));
        rig.ok(mapti(device, 0, 8200 + n, 0));
        rig.ok(mapti(device, 1, 8210 + n, 0));
    }
    assert_eq!(host_has(&rig), (1, 2));
    rig.ok(mapc(0, 2, true));
    rig.configure(8200, 0x40, true);
    rig.ok(of_event(INV, SOFT, 0));
    // It would assert of an event that it does not know.
    rig.ok(movi(SOFT, 0, 0));
    rig.domain.follow_lpi(IntId::new(8200).unwrap());
    rig.ok(of_event(DISCARD, SOFT, 1));
    rig.ok(mapti(SOFT, 0, 8220, 0));
    // The LPI of an event of the host's device, and the other way round.
    rig.ok(mapti(SOFT, 2, 8202, 0));
    assert_eq!(host_has(&rig), (1, 1));
    rig.ok(mapti(7, 3, 8220, 0));
    assert_eq!(host_has(&rig), (1, 2));
    // Larger, smaller, away.
    for bits in [EVENT_BITS, 2] {
        rig.ok(mapd(SOFT, bits, true));
        assert_eq!(rig.domain.message(0, SOFT, 2), Err(MessageError::NoEvent));
    }
    rig.ok(mapd(SOFT, 5, false));
    rig.ok(mapd(SOFT + 1, 5, false));
    assert_eq!(host_has(&rig), (1, 2));
    assert_eq!(rig.domain.message(0, SOFT, 0), Err(MessageError::NoDevice));
}

#[test]
fn a_message_is_for_devices_of_device_models() {
    let mut rig = mixed();
    rig.ok(mapc(0, 2, true));
    for (lpi, device) in [(8200, SOFT), (8201, 7)] {
        rig.configure(lpi, 0x40, true);
        rig.ok(mapd(device, 5, true));
        rig.ok(mapti(device, 3, lpi, 0));
        rig.ok(of_event(INV, device, 3));
    }
    let message = |its, device, event| rig.domain.message(its, device, event);
    assert_eq!(message(0, 7, 3), Err(MessageError::HasHardware));
    assert_eq!(message(0, 7, 4), Err(MessageError::HasHardware));
    assert_eq!(message(1, SOFT, 3), Err(MessageError::NoDevice));
    assert_eq!(message(0, SOFT + 1, 3), Err(MessageError::NoDevice));
    assert_eq!(message(0, SOFT, 4), Err(MessageError::NoEvent));
    assert_eq!(message(0, SOFT, 32 | 3), Err(MessageError::NoEvent));
    // No number beyond GITS_TYPER.Devbits is one within.
    assert_eq!(
        message(0, 1 << DEVICE_BITS | SOFT, 3),
        Err(MessageError::NoDevice)
    );
    assert_eq!([8200, 8201].map(|n| rig.pending(n)), [None; 2]);
    assert_eq!(message(0, SOFT, 3), Ok(()));
    assert_eq!(message(0, SOFT, 3), Ok(()), "it merges");
    assert_eq!(rig.pending(8200), Some(2));
    assert_eq!(rig.take(2), [8200]);
    assert_eq!(rig.take(2), []);
}

/// Tables that the guest has just given it are being read: nobody is told that there is no such event, and what is sent again comes.
#[test]
fn a_message_while_tables_are_read_is_to_be_sent_again() {
    for table in [BASER0, BASER1] {
        let mut rig = Rig::new();
        // Its table is in memory.
        let device = 5;
        rig.domain.host().software_from.store(device, SeqCst);
        rig.ok(mapc(1, 2, true));
        rig.ok(mapd(device, EVENT_BITS, true));
        for event in 0..700 {
            rig.ok(mapti(device, event, 8200 + event, 1));
        }
        let message = || rig.domain.message(0, device, 699);
        rig.off();
        assert_eq!(message(), Err(MessageError::Disabled));
        let old = rig.read(0, table);
        rig.copy_page(old & 0xffff_ffff_f000, (old ^ 0x8000) & 0xffff_ffff_f000);
        rig.write(0, table, old ^ 0x8000);
        assert_eq!(message(), Err(MessageError::Disabled));
        let mut traps = 0;
        while rig.write(0, CTLR, 1) == Progress::Again {
            traps += 1;
            assert_eq!(message(), Err(MessageError::Again), "{table:#x} {traps}");
            assert_eq!(rig.pending(8200 + 699), None);
        }
        assert!(traps > 0, "{table:#x}: they are read in one trap");
        assert_eq!(message(), Ok(()));
        assert_eq!(rig.pending(8200 + 699), Some(2));
        assert_eq!(
            rig.domain.message(0, device, 700),
            Err(MessageError::NoEvent)
        );
    }
}

/// A device that the host has taken away, or given, since: what MAPD is told then counts.
#[test]
fn mapd_asks_again_whose_a_device_is() {
    let mut rig = two_events();
    rig.domain.host().software_from.store(SOFT, SeqCst);
    assert_eq!(rig.domain.message(0, 7, 0), Err(MessageError::HasHardware));
    let (devices, _) = host_has(&rig);
    assert_eq!(devices, 1);
    // Unmapped, it is forgotten whose it was.
    rig.ok(mapd(7, 5, false));
    rig.domain.host().software_from.store(7, SeqCst);
    rig.ok(mapd(7, 5, true));
    rig.ok(mapti(7, 0, 8200, 1));
    assert_eq!(host_has(&rig), (0, 0));
    assert_eq!(rig.domain.message(0, 7, 0), Ok(()));
    assert_eq!(rig.take(1), [8200]);
}

/// One that MAPD of more events finds to be a device model's now.
#[test]
fn mapd_of_more_events_asks_again_whose_a_device_is() {
    let mut rig = two_events();
    rig.domain.host().software_from.store(7, SeqCst);
    rig.ok(mapd(7, EVENT_BITS, true));
    assert_eq!(host_has(&rig), (0, 0), "nothing is left there");
    rig.ok(mapti(7, 0, 8200, 1));
    assert_eq!(rig.domain.message(0, 7, 0), Ok(()));
    rig.ok(mapd(7, 5, false));
    assert_eq!(host_has(&rig), (0, 0));
}

#[test]
fn limits_are_as_they_are_set() {
    let rig = Rig::new();
    assert_eq!(rig.domain.limits(), MANY);
    let some = Limits {
        lpis: 300,
        devices: 1,
        events: 2,
    };
    assert_eq!(rig.domain.set_limits(some), Ok(()));
    assert_eq!(rig.domain.limits(), Limits { lpis: 512, ..some });
    for bad in [
        Limits { lpis: 0, ..some },
        Limits { devices: 0, ..some },
        Limits { events: 0, ..some },
        Limits {
            lpis: 57_345,
            ..some
        },
        Limits {
            devices: 65_537,
            ..some
        },
        Limits {
            events: 57_345,
            ..some
        },
    ] {
        assert_eq!(rig.domain.set_limits(bad), Err(Error::Invalid), "{bad:?}");
    }
    let mut rig = rig;
    rig.ok(mapd(1, 5, true));
    assert_eq!(rig.domain.set_limits(some), Err(Error::Busy));
    rig.ok(mapd(1, 5, false));
    assert_eq!(rig.domain.set_limits(MANY), Ok(()));
    // The words of LPIs stay, once there are any.
    rig.ok(mapd(1, 5, true));
    rig.ok(mapti(1, 0, 8192, 0));
    rig.ok(mapd(1, 5, false));
    assert_eq!(rig.domain.set_limits(some), Err(Error::Busy));
    assert_eq!(rig.domain.limits(), MANY);
    let none = crate::fake::v3(1, 32, 0);
    assert_eq!(none.set_limits(some), Err(Error::Invalid), "no LPIs");
}

/// It has come in the middle of whoever has the tables, on the same CPU perhaps.
#[test]
fn a_message_that_cannot_wait_says_so() {
    let mut rig = mixed();
    rig.ok(mapc(0, 2, true));
    rig.ok(mapd(SOFT, 5, true));
    rig.ok(mapti(SOFT, 3, 8200, 0));
    rig.configure(8200, 0x40, true);
    rig.ok(of_event(INV, SOFT, 3));
    let intid = IntId::new(8200).unwrap();
    let pending = |rig: &Rig| rig.domain.lpis.get(intid).unwrap().irq.state().pending();
    let tables = rig.its().tables.lock();
    let now = rig.domain.message_now(0, SOFT, 3);
    assert_eq!((now, pending(&rig)), (Err(MessageError::Again), false));
    assert_eq!(rig.domain.message_target(0, SOFT, 3), None);
    drop(tables);
    assert_eq!(
        rig.domain.message_target(0, SOFT, 3),
        rig.domain.lpi_target(intid)
    );
    assert!(rig.domain.lpi_target(intid).is_some());
    let now = rig.domain.message_now(0, SOFT, 3);
    assert_eq!((now, pending(&rig)), (Ok(()), true));
    for (its, device, event, error) in [
        (1, SOFT, 3, MessageError::NoDevice),
        (0, SOFT + 1, 3, MessageError::NoDevice),
        (0, SOFT, 4, MessageError::NoEvent),
    ] {
        assert_eq!(rig.domain.message_now(its, device, event), Err(error));
        assert_eq!(rig.domain.message_target(its, device, event), None);
    }
}
