// SPDX-License-Identifier: GPL-2.0-only
//! Pending, masked and enabled: what is deliverable, and in which order.

use super::{
    Chance, done, expect, expect_and_end, expect_none, line_is, mask, pending_is, signal, unmask,
};
use crate::outcome::{Outcome, check, fail};
use crate::rvic::call::{self, Status, check_status};
use crate::rvic::{own, total, trusted};

crate::cases::cases! {
    ANY: signal_to_self, each_interrupt, masked_waits, acknowledge_masks, masking_takes_it_back, clear_pending_takes_it_back,
        signal_twice_is_once, first_deliverable_first, first_unmasked_first, all_at_once, disabled_drops, disabled_keeps_pending,
        unmasked_while_disabled, acknowledge_while_disabled, twice_is_no_error, by_chance;
}

/// With the feature `planted-fault`, a SIGNAL to oneself is expected to be another one.
const PLANTED: u64 = cfg!(feature = "planted-fault") as u64;

fn signal_to_self() -> Outcome {
    unmask(5)?;
    expect_none("before it is signalled")?;
    signal(5)?;
    line_is(true, "after SIGNAL")?;
    pending_is(own(), 5, true, "after SIGNAL")?;
    expect(5 + PLANTED)?;
    pending_is(own(), 5, false, "after ACKNOWLEDGE")?;
    expect_none("after ACKNOWLEDGE")
}

fn each_interrupt() -> Outcome {
    for intid in 0..total() {
        unmask(intid)?;
        signal(intid)?;
        expect_and_end(intid)?;
        expect_none("again")?;
        mask(intid)?;
    }
    Ok(())
}

fn masked_waits() -> Outcome {
    for intid in [0, 15, 16, 31, trusted(), total() - 1] {
        signal(intid)?;
        pending_is(own(), intid, true, "after SIGNAL")?;
        expect_none("although it is masked")?;
        unmask(intid)?;
        line_is(true, "after CLEAR_MASKED")?;
        expect_and_end(intid)?;
        expect_none("again")?;
    }
    Ok(())
}

/// What has been acknowledged comes again when it has been ended, not before.
fn acknowledge_masks() -> Outcome {
    unmask(7)?;
    signal(7)?;
    expect(7)?;
    signal(7)?;
    pending_is(own(), 7, true, "after a SIGNAL before its end")?;
    expect_none("before its end")?;
    unmask(7)?;
    expect_and_end(7)?;
    expect_none("again")
}

fn masking_takes_it_back() -> Outcome {
    unmask(8)?;
    signal(8)?;
    line_is(true, "after SIGNAL")?;
    mask(8)?;
    expect_none("after SET_MASKED")?;
    pending_is(own(), 8, true, "after SET_MASKED")?;
    unmask(8)?;
    expect_and_end(8)
}

fn clear_pending_takes_it_back() -> Outcome {
    unmask(9)?;
    signal(9)?;
    line_is(true, "after SIGNAL")?;
    done("CLEAR_PENDING", call::clear_pending(own(), 9))?;
    pending_is(own(), 9, false, "after CLEAR_PENDING")?;
    expect_none("after CLEAR_PENDING")?;
    signal(9)?;
    expect_and_end(9)
}

fn signal_twice_is_once() -> Outcome {
    unmask(3)?;
    signal(3)?;
    signal(3)?;
    expect_and_end(3)?;
    expect_none("a second time")
}

/// A number of interrupts that is not sorted, across all words of 16 and of 32.
fn shuffled() -> impl Iterator<Item = u64> {
    // 29 is prime to every power of two and to three, so each number comes once.
    let total = total();
    (0..total).map(move |n| (n * 29 + 11) % total)
}

fn first_deliverable_first() -> Outcome {
    for intid in 0..total() {
        unmask(intid)?;
    }
    for intid in shuffled() {
        signal(intid)?;
    }
    for intid in shuffled() {
        expect(intid)?;
    }
    expect_none("after all")
}

/// What counts is when it became deliverable, not when it became pending.
fn first_unmasked_first() -> Outcome {
    for intid in 0..total() {
        signal(intid)?;
    }
    for intid in shuffled() {
        unmask(intid)?;
    }
    for intid in shuffled() {
        expect(intid)?;
    }
    // One that was masked for a while is behind those that were not.
    for intid in [2, 4, 6] {
        unmask(intid)?;
        signal(intid)?;
    }
    mask(2)?;
    unmask(2)?;
    for intid in [4, 6, 2] {
        expect(intid)?;
    }
    expect_none("after all")
}

fn all_at_once() -> Outcome {
    for intid in 0..total() {
        signal(intid)?;
    }
    done("DISABLE", call::disable())?;
    for intid in 0..total() {
        unmask(intid)?;
    }
    line_is(false, "while disabled")?;
    done("ENABLE", call::enable())?;
    let mut seen = 0;
    while let Ok(intid) = call::acknowledge() {
        check!(intid < total(), "interrupt {intid} came");
        pending_is(own(), intid, false, "after ACKNOWLEDGE")?;
        seen += 1;
        check!(seen <= total(), "{intid} came, and all had come");
    }
    check!(seen == total(), "{seen} of {} came", total());
    expect_none("after all")
}

fn disabled_drops() -> Outcome {
    unmask(5)?;
    done("DISABLE", call::disable())?;
    check_status!("SIGNAL", call::signal(own(), 5), Status::DISABLED);
    pending_is(own(), 5, false, "by a SIGNAL while disabled")?;
    done("ENABLE", call::enable())?;
    expect_none("by a SIGNAL while disabled")
}

fn disabled_keeps_pending() -> Outcome {
    unmask(6)?;
    signal(6)?;
    done("DISABLE", call::disable())?;
    line_is(false, "while disabled")?;
    pending_is(own(), 6, true, "while disabled")?;
    done("ENABLE", call::enable())?;
    line_is(true, "after ENABLE")?;
    expect_and_end(6)
}

/// The fault of 2020: what was unmasked while disabled never came.
fn unmasked_while_disabled() -> Outcome {
    signal(4)?;
    done("DISABLE", call::disable())?;
    unmask(4)?;
    line_is(false, "while disabled")?;
    done("ENABLE", call::enable())?;
    line_is(true, "after ENABLE")?;
    expect_and_end(4)
}

fn acknowledge_while_disabled() -> Outcome {
    unmask(4)?;
    signal(4)?;
    done("DISABLE", call::disable())?;
    if call::acknowledge() != Err(Status::DISABLED) {
        fail!("ACKNOWLEDGE does not say DISABLED")
    }
    pending_is(own(), 4, true, "after an ACKNOWLEDGE while disabled")?;
    done("ENABLE", call::enable())?;
    expect_and_end(4)
}

fn twice_is_no_error() -> Outcome {
    for _ in 0..2 {
        done("ENABLE", call::enable())?;
        mask(1)?;
        done("CLEAR_PENDING", call::clear_pending(own(), 1))?;
    }
    unmask(1)?;
    unmask(1)?;
    for _ in 0..2 {
        done("DISABLE", call::disable())?;
    }
    done("ENABLE", call::enable())?;
    signal(1)?;
    expect_and_end(1)
}

/// What must be so of some interrupts, kept beside the rVIC: the order in which they became deliverable is that of `queue`.
struct Expected {
    pending: u64,
    masked: u64,
    enabled: bool,
    queue: [u64; 64],
    length: usize,
}

impl Expected {
    /// The queue follows from what has changed of `n`.
    fn settle(&mut self, n: u64) {
        let deliverable = self.pending >> n & 1 != 0 && self.masked >> n & 1 == 0;
        let place = self.queue.iter().take(self.length).position(|&q| q == n);
        match (deliverable, place) {
            (true, None) => {
                if let Some(end) = self.queue.get_mut(self.length) {
                    *end = n;
                    self.length += 1;
                }
            }
            (false, Some(place)) => {
                self.queue.copy_within(place + 1..self.length, place);
                self.length -= 1;
            }
            _ => {}
        }
    }
}

/// Ten thousand calls on a few interrupts in different words, each checked. Nothing is said of the order of those that DISABLE
/// found deliverable, so nothing is pending there when it comes.
fn by_chance() -> Outcome {
    let total = total();
    let number = |n: u64| (n * 13 + 3) % total;
    let mut chance = Chance(0x2545_f491_4f6c_dd1d);
    let mut expected = Expected {
        pending: 0,
        masked: 0xff,
        enabled: true,
        queue: [0; 64],
        length: 0,
    };
    for step in 0..10_000 {
        let n = chance.below(8);
        let bit = 1 << n;
        match chance.below(16) {
            0..4 => {
                let wanted = if expected.enabled {
                    expected.pending |= bit;
                    Status::SUCCESS
                } else {
                    Status::DISABLED
                };
                check_status!("SIGNAL", call::signal(own(), number(n)), wanted);
            }
            4..6 => {
                mask(number(n))?;
                expected.masked |= bit;
            }
            6..10 => {
                unmask(number(n))?;
                expected.masked &= !bit;
            }
            10 => {
                done("CLEAR_PENDING", call::clear_pending(own(), number(n)))?;
                expected.pending &= !bit;
            }
            11 if expected.length == 0 => {
                expected.enabled = !expected.enabled;
                let status = if expected.enabled {
                    call::enable()
                } else {
                    call::disable()
                };
                done("ENABLE or DISABLE", status)?;
            }
            12 => pending_is(
                own(),
                number(n),
                expected.pending & bit != 0,
                "in a random run",
            )?,
            _ => {
                let wanted = match (expected.enabled, expected.length) {
                    (false, _) => Err(Status::DISABLED),
                    (true, 0) => Err(Status::NO_INTERRUPTS),
                    (true, _) => Ok(number(expected.queue[0])),
                };
                let seen = call::acknowledge();
                if seen != wanted {
                    let text = |r: Result<u64, Status>| r.unwrap_or_else(|s| s.0 | 1 << 32);
                    fail!(
                        "step {step}: ACKNOWLEDGE says {:#x}, expected {:#x}",
                        text(seen),
                        text(wanted)
                    );
                }
                if wanted.is_ok() {
                    let n = expected.queue[0];
                    expected.pending &= !(1 << n);
                    expected.masked |= 1 << n;
                    expected.settle(n);
                }
            }
        }
        expected.settle(n);
        let up = expected.enabled && expected.length > 0;
        check!(
            crate::rvic::line() == up,
            "step {step}: ISR_EL1.I is {}",
            u32::from(!up)
        );
    }
    Ok(())
}
