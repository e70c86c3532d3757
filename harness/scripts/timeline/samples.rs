// SPDX-License-Identifier: GPL-2.0-only
//! Lives for the tests of the drawings.

use crate::notes::{Lives, MOST, Moment};

/// What happens, ten steps apart.
pub(super) fn lives(all: &[(Moment, Option<usize>, u32)]) -> Lives {
    let mut lives = Lives::default();
    for (step, &(moment, vcpu, intid)) in all.iter().enumerate() {
        if let Some(n) = lives.push(moment, vcpu, intid, None) {
            lives.events[n].step = step as u64 * 10;
        }
    }
    lives
}

pub(super) fn two_lives() -> Lives {
    use Moment::{Acknowledged, Ended, Injected, Loaded, Lowered};
    lives(&[
        (Lowered, Some(1), 27),
        (Injected, None, 40),
        (Injected, Some(1), 27),
        (Injected, Some(1), 27),
        (Loaded, Some(0), 40),
        (Acknowledged, Some(0), 40),
        (Lowered, Some(1), 27),
        (Ended, Some(0), 40),
    ])
}

/// As many events as a drawing can have, of many interrupts on many vCPUs, and a few more.
pub(super) fn most_lives() -> Lives {
    use Moment::{Acknowledged, Ended, Injected, Loaded};
    let moments = [Injected, Loaded, Acknowledged, Ended];
    let event = |n: usize| {
        let round = n / moments.len();
        let vcpu = round % 8;
        let intid = [27, 40, 41, 42, 5000, 3][round / 8 % 6];
        (moments[n % moments.len()], Some(vcpu), intid)
    };
    lives(&(0..MOST + 10).map(event).collect::<Vec<_>>())
}

#[test]
fn what_changes_nothing_is_not_noted_and_what_is_too_much_is_counted() {
    assert_eq!(two_lives().events.len(), 6);
    let most = most_lives();
    assert_eq!((most.events.len(), most.left_out), (MOST, 10));
}
