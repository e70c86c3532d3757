// SPDX-License-Identifier: GPL-2.0-only
//! More pending and more active interrupts than any list register holds.

use super::{cases, expect, expect_and_end, expect_none, ready_spi};
use crate::gic::{self, Ack, EoiMode, IntId};
use crate::outcome::{Outcome, check, check_eq};
use crate::second;

cases! {
    ANY: pending_32, active_6_nested, active_18_nested, active_6_dir_in_any_order, active_18_dir_in_any_order,
        active_18_dir_reversed, active_18_then_more, active_18_ended_with_pending_again, active_12_on_both_cpus,
        active_18_one_deactivated_by_icactiver, active_8_dir_on_other_cpu;
}

const MOST: usize = 18;

/// Distinct priorities, the first the highest.
fn priority(n: usize) -> u8 {
    0x10 + 8 * n as u8
}

fn pending_32() -> Outcome {
    for n in 0..gic::SPIS {
        // Another order than that of the numbers; nothing ever lets the very lowest priority pass.
        let id = ready_spi(n, ((n * 13) % 31 * 8) as u8);
        gic::set_pending(id);
    }
    let mut last = 0;
    for _ in 0..gic::SPIS {
        let ack = super::next()?;
        let running = gic::running_priority();
        check!(
            running >= last,
            "priority {running:#x} came after {last:#x}"
        );
        last = running;
        gic::end(ack);
    }
    expect_none("after all")
}

/// Acknowledges `count`, each preempting the one before, and ends them in reverse.
fn nest(count: usize) -> Outcome {
    let mut acks = [Ack(1023); MOST];
    for n in (0..count).rev() {
        let id = ready_spi(n as u32, priority(n));
        gic::set_pending(id);
        acks[n] = expect(id)?;
        check_eq!(
            "the running priority on the way in",
            gic::running_priority(),
            priority(n)
        );
    }
    for n in 0..count {
        let id = gic::spi(n as u32);
        check!(
            gic::is_active(id),
            "interrupt {} of {count} is not active",
            n
        );
    }
    for (n, ack) in acks.into_iter().enumerate().take(count) {
        check_eq!(
            "the running priority on the way out",
            gic::running_priority(),
            priority(n)
        );
        gic::end(ack);
        check!(
            !gic::is_active(gic::spi(n as u32)),
            "interrupt {n} of {count} is active after its end"
        );
    }
    check!(gic::is_idle(), "not idle at the end");
    expect_none("after all")?;
    again(count)
}

/// All of them can be delivered once more.
fn again(count: usize) -> Outcome {
    gic::set_eoi_mode(EoiMode::Both);
    for n in 0..count {
        gic::set_pending(gic::spi(n as u32));
    }
    for n in 0..count {
        expect_and_end(gic::spi(n as u32))?;
    }
    expect_none("after all were delivered again")
}

fn active_6_nested() -> Outcome {
    nest(6)
}

fn active_18_nested() -> Outcome {
    nest(18)
}

/// Has `count` active at the same time, their priorities dropped; all were pending before the first was taken.
fn activate(count: usize) -> Outcome<[Ack; MOST]> {
    gic::set_eoi_mode(EoiMode::Split);
    let mut acks = [Ack(1023); MOST];
    for n in 0..count {
        gic::set_pending(ready_spi(n as u32, priority(n)));
    }
    for (n, place) in acks.iter_mut().enumerate().take(count) {
        *place = expect(gic::spi(n as u32))?;
        check_eq!("the running priority", gic::running_priority(), priority(n));
        gic::end(*place);
        check!(gic::is_idle(), "EOI did not drop the priority");
    }
    check_active(count, 0)?;
    Ok(acks)
}

/// Those below `count` are active, but for those in the mask `gone`.
fn check_active(count: usize, gone: u32) -> Outcome {
    for n in 0..count {
        let wanted = gone >> n & 1 == 0;
        let seen = gic::is_active(gic::spi(n as u32));
        check!(
            seen == wanted,
            "interrupt {n} of {count}: active is {seen}, deactivated so far {gone:#x}"
        );
    }
    Ok(())
}

/// Deactivates in the order of `step`, which has no factor in common with `count`.
fn deactivate_all(count: usize, acks: &[Ack; MOST], step: usize) -> Outcome {
    let mut gone = 0;
    for i in 0..count {
        let n = (i * step + step / 2) % count;
        gic::deactivate(acks[n]);
        gone |= 1 << n;
        check_active(count, gone)?;
    }
    expect_none("after all")?;
    again(count)
}

fn active_6_dir_in_any_order() -> Outcome {
    let acks = activate(6)?;
    deactivate_all(6, &acks, 5)
}

fn active_18_dir_in_any_order() -> Outcome {
    let acks = activate(18)?;
    deactivate_all(18, &acks, 7)
}

fn active_18_dir_reversed() -> Outcome {
    let acks = activate(18)?;
    for n in (0..18).rev() {
        gic::deactivate(acks[n]);
    }
    check_active(18, 0x3_ffff)?;
    again(18)
}

fn active_18_then_more() -> Outcome {
    let acks = activate(18)?;
    // Others come and go while all list registers could be full of these.
    for n in [20, 21, 22, 20] {
        let id = ready_spi(n, 0xd0);
        gic::set_pending(id);
        let ack = expect(id)?;
        gic::end(ack);
        gic::deactivate(ack);
        check!(!gic::is_active(id), "the other one is still active");
    }
    let sgi = IntId(2);
    gic::enable(sgi);
    gic::send_sgi(sgi, 0);
    let ack = expect(sgi)?;
    gic::end(ack);
    gic::deactivate(ack);
    deactivate_all(18, &acks, 11)
}

fn active_18_ended_with_pending_again() -> Outcome {
    let acks = activate(18)?;
    for n in 0..18 {
        gic::set_pending(gic::spi(n));
    }
    expect_none("although it is active")?;
    for n in (0..18).rev() {
        gic::deactivate(acks[n]);
        let ack = expect(gic::spi(n as u32))?;
        gic::end(ack);
        gic::deactivate(ack);
    }
    expect_none("after all")
}

fn active_12_on_both_cpus() -> Outcome {
    for n in 16..28 {
        let id = ready_spi(n, priority(n as usize - 16));
        gic::route(id, 1);
        gic::set_pending(id);
    }
    second::start(
        |_| {
            gic::set_eoi_mode(EoiMode::Split);
            for n in 16..28 {
                gic::end(expect(gic::spi(n))?);
            }
            for n in [27, 16, 21, 18, 24, 17, 26, 19, 25, 20, 23, 22] {
                gic::deactivate(Ack(gic::spi(n).0));
                check!(
                    !gic::is_active(gic::spi(n)),
                    "interrupt {n} is still active"
                );
            }
            Ok(0)
        },
        0,
    )?;
    let acks = activate(12);
    second::finish()?;
    deactivate_all(12, &acks?, 7)
}

fn active_18_one_deactivated_by_icactiver() -> Outcome {
    let acks = activate(18)?;
    for n in [17, 3, 9] {
        gic::clear_active(gic::spi(n));
        check!(
            !gic::is_active(gic::spi(n)),
            "interrupt {n} is active after ICACTIVER"
        );
    }
    check_active(18, 1 << 17 | 1 << 3 | 1 << 9)?;
    for (n, &ack) in acks.iter().enumerate() {
        if ![17, 3, 9].contains(&n) {
            gic::deactivate(ack);
        }
    }
    check_active(18, 0x3_ffff)?;
    again(18)
}

fn active_8_dir_on_other_cpu() -> Outcome {
    activate(8)?;
    second::run(
        |_| {
            gic::set_eoi_mode(EoiMode::Split);
            for n in [5, 0, 7, 2, 6, 1, 4, 3] {
                gic::deactivate(Ack(gic::spi(n).0));
            }
            Ok(0)
        },
        0,
    )?;
    let all = crate::timer::within(1000, || (0..8).all(|n| !gic::is_active(gic::spi(n))));
    check!(all, "some are active after DIR on CPU 1");
    again(8)
}
