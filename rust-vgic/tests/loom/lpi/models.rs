// SPDX-License-Identifier: GPL-2.0-only
//! Messages of device models, [`Domain::message`](rust_vgic::Domain::message), against commands: an event is looked up, and its
//! LPI becomes pending, while the event is unmapped or moved. Who sends is told whether its message has been taken.

use super::*;
use rust_vgic::MessageError;

/// Event 1 of device 0 becomes [`LPI`] of collection 1.
const MAPTI_OTHER: Command = [0x0a, (LPI as u64) << 32 | 1, 1, 0];

fn sent(d: &Vgic, event: u32) -> Result<(), MessageError> {
    d.message(0, 0, event)
}

/// Nobody waits for who sends: its message is not taken for one of the event that has the LPI next.
fn a_message_against_unmapping(unmapping: &'static [Command]) {
    explore(2, move || {
        let d = mapped();
        let other = d.clone();
        let t = thread::spawn(move || sent(&other, 0));
        send(&d, 1, 0, unmapping);
        send(&d, 1, 0, &[MAPTI_OTHER]);
        let first = t.join().unwrap();
        assert!(
            matches!(
                first,
                Ok(()) | Err(MessageError::NoDevice | MessageError::NoEvent)
            ),
            "{first:?}"
        );
        assert_eq!(seen(&d), NOTHING, "of an event that is unmapped");
        assert_eq!(sent(&d, 0), Err(MessageError::NoEvent));
        assert_eq!(sent(&d, 1), Ok(()));
        assert_eq!(seen(&d), once_at(1));
    });
}

#[test]
fn a_model_sends_against_discard_and_mapti() {
    a_message_against_unmapping(&[DISCARD]);
}

#[test]
fn a_model_sends_against_mapd_and_mapti() {
    a_message_against_unmapping(&[UNMAPD, MAPD]);
}

#[test]
fn a_model_sends_against_mapd_anew_and_mapti() {
    a_message_against_unmapping(&[MAPD]);
}

/// The LPI goes to another event in one command.
#[test]
fn a_model_sends_against_mapti_of_its_lpi() {
    a_message_against_unmapping(&[]);
}

/// Two models send one event: taken twice, delivered once, and where it is moved to.
fn two_messages_against_moving(moving: Command) {
    explore(2, move || {
        let d = mapped();
        let (a, b) = (d.clone(), d.clone());
        let t = thread::spawn(move || sent(&a, 0));
        let u = thread::spawn(move || sent(&b, 0));
        send(&d, 1, 0, &[moving]);
        assert_eq!(t.join().unwrap(), Ok(()));
        assert_eq!(u.join().unwrap(), Ok(()));
        assert_eq!(seen(&d), once_at(1));
    });
}

#[test]
fn two_models_send_against_movi() {
    two_messages_against_moving(movi(1));
}

#[test]
fn two_models_send_against_mapc() {
    two_messages_against_moving(mapc(0, 1));
}

/// Moved before, so that the word says another vCPU than the collection does.
#[test]
fn a_model_sends_after_movall_against_movi() {
    explore(3, || {
        let d = moved_and_taken();
        trap(&d, 1);
        forget_ipis(&d);
        let other = d.clone();
        let t = thread::spawn(move || sent(&other, 0));
        send(&d, 1, 0, &[movi(1)]);
        assert_eq!(t.join().unwrap(), Ok(()));
        assert_eq!(seen(&d), once_at(1));
    });
}

/// What has been taken is in the pending table, or waits until LPIs are enabled again; what has not been is nowhere.
#[test]
fn a_model_sends_against_disabling_lpis() {
    explore(3, || {
        let d = mapped();
        let other = d.clone();
        let t = thread::spawn(move || sent(&other, 0));
        redist(&d, 0, gicr::CTLR, 0);
        redist(&d, 0, gicr::PENDBASER, pending_table(0));
        redist(&d, 0, gicr::CTLR, 1);
        match t.join().unwrap() {
            Ok(()) => assert_eq!(seen(&d), once_at(0), "it was taken"),
            Err(MessageError::Disabled) => assert_eq!(seen(&d), NOTHING),
            other => panic!("{other:?}"),
        }
    });
}

/// The ITS is disabled: what is taken is pending by then, and nothing afterwards.
#[test]
fn a_model_sends_against_disabling_the_its() {
    explore(2, || {
        let d = mapped();
        let other = d.clone();
        let t = thread::spawn(move || sent(&other, 0));
        its(&d, 1, 0, gits::CTLR, 0);
        let lpi = d.state_of(None, intid(LPI)).unwrap();
        let before = lpi.pending();
        let taken = t.join().unwrap();
        let after = d.state_of(None, intid(LPI)).unwrap().pending();
        assert_eq!((before, after), (taken.is_ok(), taken.is_ok()));
        assert!(
            matches!(taken, Ok(()) | Err(MessageError::Disabled)),
            "{taken:?}"
        );
    });
}

/// The vCPU blocks just then: it is woken.
#[test]
fn a_model_sends_against_blocking() {
    explore(4, || {
        let d = mapped();
        enter(&d, 0);
        exit(&d, 0);
        forget_ipis(&d);
        let other = d.clone();
        let t = thread::spawn(move || sent(&other, 0));
        let sleeps = block(&d, 0);
        assert_eq!(t.join().unwrap(), Ok(()));
        assert!(!sleeps || is_woken(&d, 0), "nobody wakes it");
        assert_eq!(seen(&d), once_at(0));
    });
}
