// SPDX-License-Identifier: GPL-2.0-only

use super::name;
use crate::scripts::script::{Remark, play_and_tell};
use recording::text::{Machine, Script};

/// What is said of a script for a GICv3 with an ITS, set up but for LPIs.
fn told(text: &str) -> Vec<String> {
    let machine = |_: &str| {
        Ok(Machine {
            gics: vec![3],
            itses: 0,
            most_itses: 1,
        })
    };
    let text = format!("gic 3\nitses 1\nboot\n{text}");
    let script = Script::parse(&text, machine).unwrap_or_else(|e| panic!("{text}: {e}"));
    let mut told = Vec::new();
    let tell = |remark: Remark| told.push(remark.to_string());
    play_and_tell(&script.versions[0], tell).expect("a domain");
    told
}

/// It is as the script says, and nothing is shown.
fn quiet(text: &str) {
    assert_eq!(told(text), [""; 0], "{text}");
}

fn tells(text: &str, what: &str) {
    let told = told(text);
    assert!(
        told.len() == 1 && told[0].contains(what),
        "{text}: {told:#?}"
    );
}

/// A device with events 0 and 1: LPI 8192 to vCPU 0, and LPI 8193 to vCPU 1.
const DEVICE: &str = "lpis\nlpi 8192 0xa0\nlpi 8193 0xa0\nits 0 MAPD 8 1\nits 0 MAPTI 8 0 8192 0\nits 0 MAPTI 8 1 8193 1\n";

#[test]
fn commands_do_what_their_names_say() {
    for text in [
        "msi 8 0\nack 0 8192\neoi 0 8192\nmsi 8 1\nack 1 8193\neoi 1",
        "its 1 INT 8 0\nack 0 8192",
        "its 0 INT 8 0\nits 0 CLEAR 8 0\nits 0 SYNC 0\nack 0 none",
        "its 0 DISCARD 8 0\nmsi 8 0\nack 0 none",
        "its 0 MOVI 8 0 1\nmsi 8 0\nack 1 8192",
        "msi 8 0\nits 0 MOVALL 0 1\nack 0 none\nack 1 8192",
        "its 0 MAPC 0 1\nmsi 8 0\nack 1 8192",
        "its 0 MAPC 0 off\nits 0 SYNC 1\nmsi 8 0\nack 0 none",
        "lpi 8192 0 disabled\nits 0 INVALL 0\nits 0 SYNC 0\nmsi 8 0\nsignal 0 no",
        "lpi 8192 0x40\nits 0 INV 8 0\nmsi 8 0\nset 0 pmr 0x40\nsignal 0 no\nset 0 pmr 0x48\nsignal 0 yes",
        "lpi 8200 0xa0\nits 0 MAPD 9 14\nits 0 MAPI 9 8200 1\nits 0 INT 9 8200\nack 1 8200",
        "its 0 0x800000003 0 0 0\nack 0 8192",
        "wait 1\nmsi 8 1\nack 1 8193",
    ] {
        quiet(&format!("{DEVICE}{text}"));
    }
}

#[test]
fn what_cannot_be_done_with_an_its_is_told() {
    tells("its 0 SYNC 0", "ITS 0 has no queue: `lpis` sets one up");
    let off = "lpis\nwrite 0 GITS_CTLR 0\n";
    tells(
        &format!("{off}write64 0 GITS_CBASER 0x8000000000000000\nits 0 SYNC 0"),
        "the queue of ITS 0 is at 0x0, where the guest has no memory",
    );
    tells(
        &format!("{off}its 0 SYNC 0"),
        "it waits in the queue: ITS 0 is off",
    );
    tells("lpis\nmsi 8 0", "ITS 0 has no device 0x8 with an event 0");
    // A page of commands, of which the last does not fit; these are told, too, and so is that they wait.
    let page = "write64 0 GITS_CBASER 0x8000000101000000\n";
    let full = told(&format!("{off}{page}{}", "its 0 SYNC 0\n".repeat(128)));
    let last = full.last().expect("a remark");
    assert!(
        last.contains("the queue of ITS 0 is full") && full.len() == 128,
        "{last}"
    );
}

#[test]
fn what_is_refused_or_ignored_is_told() {
    tells(
        "lpis\nits 0 MAPD 0x10000 1",
        "it is refused, command error 0x10801",
    );
    tells(
        "lpis\nits 0 99 0 0 0\nits 0 SYNC 0",
        "5: its 0 99 0 0 0: it is refused",
    );
    tells(
        "read 0 GICD+0xf30 0",
        "the vGIC logs: d0v0: a read of 32 bits at offset 0xf30",
    );
    tells(
        "line 40 up\ndump",
        "   40: pending level, priority 0xa0, on no list; not delivered: disabled",
    );
    let text = format!("{DEVICE}its 0 MAPD 8 off\nits 0 SYNC 1\nits 0 INT 8 0\nack 0 none");
    tells(&text, "its 0 INT 8 0: it is refused, command error 0x10304");
    // A look changes nothing.
    quiet("enable 0 40\nhold 0\nline 40 up\nsignal 0 no");
    let told = told("enable 0 40\nhold 0\nline 40 up\ndump\nsignal 0");
    assert!(
        told.len() == 2 && told[1].ends_with("no signal"),
        "{told:?}"
    );
}

#[test]
fn memory_is_what_the_guest_and_its_devices_have() {
    quiet("memory write64 0x101fffff8 0x1122334455667788\nmemory read8 0x101fffff9 0x77");
    quiet("memory write16 0x100000001 0xabcd\nmemory read 0x100000000 0xabcd00");
    tells("memory read 0x100000000", "memory read 0x100000000: 0x0");
    tells(
        "memory read8 0x100000000 1",
        "0x1 was expected, and there was 0x0",
    );
    // What `lpi` writes is a byte of the table, and a command is 32 of the queue.
    quiet("lpi 8193 0x80\nmemory read16 0x100000000 0x8100");
    quiet("lpis\nits 1 SYNC 1\nmemory read64 0x101000080 5\nmemory read64 0x101000090 0x10000");
}

#[test]
fn an_ipi_that_is_held_arrives_when_it_is_released_or_waited_for() {
    let line = "edge 0 40\nenable 0 40\nhold 0\nline 40 up\n";
    quiet(&format!("{line}signal 0 no\nrelease 0\nsignal 0 yes"));
    quiet(&format!("{line}exit 0\nsignal 0 yes\nrelease 0\nack 0 40"));
    // Two that wait for the CPU to be out of its guest.
    quiet(&format!(
        "{line}exit 0\nack 0 40\nread 1 GICD_ISACTIVER1 0x100"
    ));
    // On to another CPU, where nothing is held.
    quiet(&format!(
        "{line}migrate 0\nsignal 0 yes\nrelease 0\nack 0 40"
    ));
    quiet(&format!("{line}hold 0\nhold 0\nrelease 0\nsignal 0 yes"));
}

#[test]
fn the_special_intids_are_told_apart() {
    assert_eq!(name(1023, 2), "no interrupt");
    assert_eq!(
        name(1022, 2),
        "1022, an interrupt of Group 1 (`ack1` takes it)"
    );
    assert_eq!(name(1021, 3), "the special INTID 1021");
    assert_eq!(name(2, 2), "SGI 2 from CPU 0");
    assert_eq!(name(0x1c0f, 2), "SGI 15 from CPU 7");
    assert_eq!(name(2, 3), "SGI 2");
    assert_eq!(name(4096, 3), "interrupt 4096");
    assert_eq!(name(8192, 3), "LPI 8192");
}
