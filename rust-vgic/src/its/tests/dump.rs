// SPDX-License-Identifier: GPL-2.0-only
//! What a person sees of ITSes and LPIs.

use super::*;

fn dump(rig: &Rig, n: u32) -> String {
    let mut text = String::new();
    rig.domain.dump(rig.domain.v(n), &mut text).unwrap();
    text
}

/// The line that begins like this.
fn line<'a>(text: &'a str, begin: &str) -> &'a str {
    let mut lines = text.lines().map(str::trim_start);
    lines.find(|line| line.starts_with(begin)).unwrap()
}

/// A device with `count` events, of which each is pending at vCPU 1.
fn pending(count: u32) -> Rig {
    let mut rig = Rig::new();
    rig.ok(mapc(1, 1, true));
    rig.ok(mapd(7, EVENT_BITS, true));
    for n in 0..count {
        rig.configure(8192 + n, 0x40, true);
        rig.ok(mapti(7, n, 8192 + n, 1));
        rig.inject(8192 + n);
    }
    rig
}

#[test]
fn an_its_with_its_queue_and_what_is_mapped() {
    let mut rig = pending(2);
    let text = dump(&rig, 0);
    assert_eq!(
        line(&text, "vGIC: 1 ITS"),
        "vGIC: 1 ITSes, with 1 devices of 16 and 2 events of 4096 mapped, 256 LPIs of 4096 used"
    );
    let its = line(&text, "vGIC: ITS 0");
    let expected = "vGIC: ITS 0: enabled, CBASER 0x8000000000300000, CWRITER 0x80, CREADR 0x80, \
                    2 events mapped";
    assert_eq!(its, expected);
    assert_eq!(rig.command([0x42, 0, 0, 0]), 0x01_4200);
    let text = dump(&rig, 0);
    let its = line(&text, "vGIC: ITS 0");
    assert!(
        its.ends_with("mapped, 1 command errors, the last 0x14200"),
        "{its}"
    );
    assert!(!dump(&rig, 1).contains("ITS"), "once for the domain");
}

#[test]
fn an_its_that_waits() {
    let rig = pending(1);
    rig.domain.host().memory.lock().unwrap().remove(&QUEUE);
    rig.write(0, CWRITER, 0x100);
    let text = dump(&rig, 0);
    let its = line(&text, "vGIC: ITS 0");
    assert!(its.contains("CWRITER 0x100, CREADR 0x60 stalled"), "{its}");
    rig.write(0, CTLR, 0);
    let text = dump(&rig, 0);
    assert!(line(&text, "vGIC: ITS 0").contains("disabled and quiescent"));
    // Until its tables are gone, or a vCPU has done with it.
    for waits in [&rig.its().todo, &rig.its().busy] {
        waits.store(1, SeqCst);
        let text = dump(&rig, 0);
        assert!(line(&text, "vGIC: ITS 0").contains("disabled, but not quiescent"));
        waits.store(0, SeqCst);
    }
}

#[test]
fn a_pending_lpi_with_the_reason() {
    let mut rig = pending(1);
    let why = |rig: &Rig| line(&dump(rig, 1), "8192:").to_owned();
    assert!(why(&rig).ends_with("for its vCPU to enter the guest, or for a list register"));
    rig.configure(8192, 0x40, false);
    rig.ok(of_event(INV, 7, 0));
    let text = why(&rig);
    assert!(text.contains("pending edge, priority 0x40"), "{text}");
    assert!(text.ends_with("not delivered: disabled"), "{text}");
    assert!(!dump(&rig, 2).contains("8192"), "of vCPU 1 alone");
    rig.redist(1, 0, 0);
    assert!(line(&dump(&rig, 1), "LPIs:").contains("off in GICR_CTLR"));
}

#[test]
fn however_many_are_pending_few_are_shown() {
    let rig = pending(1000);
    let text = dump(&rig, 1);
    assert_eq!(text.matches("pending edge").count(), 32);
    assert_eq!(line(&text, "LPIs:"), "LPIs: 968 more");
}
