// SPDX-License-Identifier: GPL-2.0-only
//! LPIs, or an ITS, are enabled or disabled while messages, commands and the guest go on; and what SYNC waits for.

use super::*;
use loom::sync::atomic::Ordering::SeqCst;

/// LPIs are disabled while a message arrives: the redistributor drops it, or it is in the pending table, or on its way until LPIs are
/// enabled. Once at most, and not before.
fn a_message_against_disabling_lpis(enabled: bool) {
    explore(4, move || {
        let d = mapped();
        configure(&d, enabled);
        send(&d, 1, 0, &[INV]);
        let other = d.clone();
        let t = thread::spawn(move || message(&other));
        redist(&d, 0, gicr::CTLR, 0);
        t.join().unwrap();
        configure(&d, true);
        send(&d, 1, 0, &[INV]);
        assert_eq!(seen(&d), NOTHING, "delivered with LPIs disabled");
        let mut byte = [0];
        d.host().read_guest(pending_byte(0), &mut byte);
        redist(&d, 0, gicr::PENDBASER, pending_table(0));
        redist(&d, 0, gicr::CTLR, 1);
        let got = seen(&d);
        assert!(
            got == once_at(0) || byte == [0] && got == NOTHING,
            "{got:?}"
        );
    });
}

/// They are disabled and enabled again meanwhile: what was saved is pending again, however late the message finds them disabled.
#[test]
fn enabled_again_against_a_message() {
    explore(3, || {
        let d = mapped();
        let other = d.clone();
        let t = thread::spawn(move || message(&other));
        redist(&d, 0, gicr::CTLR, 0);
        let mut byte = [0];
        d.host().read_guest(pending_byte(0), &mut byte);
        redist(&d, 0, gicr::CTLR, 1);
        t.join().unwrap();
        let got = seen(&d);
        assert!(
            got == once_at(0) || byte == [0] && got == NOTHING,
            "{got:?}"
        );
    });
}

/// LPIs are disabled by another vCPU while the guest has one in a list register, leaves and enters: taken, or saved as
/// pending.
#[test]
fn enabled_once_it_is_taken_or_saved() {
    explore(3, || {
        let d = mapped();
        message(&d);
        enter(&d, 0);
        forget_ipis(&d);
        let other = d.clone();
        let t = thread::spawn(move || {
            trap(&other, 0);
            let takes = shown(&other, 0, LPI) == [1];
            if takes {
                guest(&other, 0, LPI, 1, 0);
            }
            trap(&other, 0);
            takes
        });
        let off = || d.redist_write(vcpu(&d, 1), 0, gicr::CTLR, Width::Word, 0);
        let mut progress = off();
        let takes = t.join().unwrap();
        for _ in 0..2 {
            if progress == Progress::Again {
                settle(&d, 0);
                progress = off();
            }
        }
        assert_eq!(progress, Progress::Done);
        let mut byte = [0];
        d.host().read_guest(pending_byte(0), &mut byte);
        assert_eq!(byte, [u8::from(!takes)], "taken: {takes}");
        assert_eq!(seen(&d), NOTHING);
    });
}

/// A pending one is brought to a vCPU while LPIs are enabled there: it comes, whoever is first.
#[test]
fn enabled_finds_what_was_withheld() {
    explore(3, || {
        let d = domain(1);
        send(&d, 1, 0, &[mapti(1)]);
        message(&d);
        redist(&d, 0, gicr::CTLR, 0);
        redist(&d, 0, gicr::PENDBASER, pending_table(0) | gicr::PTZ);
        let other = d.clone();
        let t = thread::spawn(move || send(&other, 1, 0, &[movi(0)]));
        redist(&d, 0, gicr::CTLR, 1);
        t.join().unwrap();
        assert_eq!(seen(&d), once_at(0));
    });
}

/// An ITS is disabled while a message arrives: translated before, or not at all, and none is afterwards.
#[test]
fn enabled_against_a_message() {
    explore(3, || {
        let d = mapped();
        let (other, runs) = (d.clone(), d.clone());
        let t = thread::spawn(move || message(&other));
        let u = thread::spawn(move || enter(&runs, 0));
        its(&d, 1, 0, gits::CTLR, 0);
        t.join().unwrap();
        u.join().unwrap();
        if seen(&d) != NOTHING {
            assert_eq!(seen(&d), once_at(0));
            guest(&d, 0, LPI, 1, 0);
            trap(&d, 0);
        }
        message(&d);
        assert_eq!(seen(&d), NOTHING, "of an ITS that is off");
        its(&d, 1, 0, gits::CTLR, 1);
        message(&d);
        assert_eq!(seen(&d), once_at(0));
    });
}

/// Once SYNC is done, no guest that runs has in its list registers what was taken away.
#[test]
fn sync_against_exits_and_entries() {
    explore(3, || {
        let d = mapped();
        message(&d);
        enter(&d, 0);
        forget_ipis(&d);
        let other = d.clone();
        let done = Arc::new(loom::sync::atomic::AtomicBool::new(false));
        let is_done = done.clone();
        let t = thread::spawn(move || {
            for _ in 0..2 {
                let late = is_done.load(SeqCst);
                let got = shown(&other, 0, LPI);
                assert!(!late || got.is_empty(), "after SYNC");
                trap(&other, 0);
            }
            let late = is_done.load(SeqCst);
            let got = shown(&other, 0, LPI);
            assert!(!late || got.is_empty(), "after SYNC");
        });
        let bytes: Vec<u8> = [DISCARD, SYNC]
            .concat()
            .into_iter()
            .flat_map(u64::to_le_bytes)
            .collect();
        let at = creadr(&d);
        d.host().write_guest(QUEUES + at, &bytes);
        let run = || its(&d, 1, 0, gits::CWRITER, at + 64);
        let mut progress = run();
        if progress == Progress::Done {
            done.store(true, SeqCst);
        }
        t.join().unwrap();
        for _ in 0..2 {
            if progress == Progress::Again {
                settle(&d, 0);
                progress = run();
            }
        }
        assert_eq!(progress, Progress::Done);
        assert_eq!(shown(&d, 0, LPI), [0; 0]);
    });
}

#[test]
fn a_message_against_disabling_all_lpis() {
    a_message_against_disabling_lpis(true);
}

#[test]
fn a_message_for_a_disabled_one_against_disabling_all_lpis() {
    a_message_against_disabling_lpis(false);
}

/// An LPI that nobody has mapped is pending in the table of vCPU 0, which enables LPIs while an ITS maps it to vCPU 1: it is pending at
/// vCPU 0, or has gone along with the mapping to vCPU 1; and with that a message merges.
#[test]
fn reading_the_pending_table_against_mapti() {
    explore(3, || {
        let d = domain(1);
        redist(&d, 0, gicr::CTLR, 0);
        d.host().write_guest(pending_byte(0), &[1]);
        redist(&d, 0, gicr::PENDBASER, pending_table(0));
        let other = d.clone();
        let t = thread::spawn(move || redist(&other, 0, gicr::CTLR, 1));
        send(&d, 1, 0, &[mapti(1)]);
        t.join().unwrap();
        message(&d);
        let seen = seen(&d);
        assert!(seen == once_at(0) || seen == once_at(1), "{seen:?}");
    });
}
