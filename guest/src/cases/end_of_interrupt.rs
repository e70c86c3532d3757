// SPDX-License-Identifier: GPL-2.0-only
//! EOI and DIR: priority drop and deactivation, together and apart.

use super::{cases, expect, expect_and_end, expect_none, ready_spi};
use crate::gic::{self, Ack, EoiMode, IntId};
use crate::outcome::{Outcome, check, check_eq};
use crate::second;
use crate::timer::{self, Timer};

cases! {
    ANY: eoimode0, eoimode1, eoimode1_sgi, eoimode1_timer, eoimode1_lower_runs_after_drop,
        eoimode1_pending_while_active, dir_on_other_cpu, dir_on_other_cpu_with_pending, end_of_spurious;
    V3: shared_registers_in_both_modes;
}

fn eoimode0() -> Outcome {
    let id = ready_spi(0, 0x80);
    gic::set_pending(id);
    let ack = expect(id)?;
    check!(gic::is_active(id), "not active after the acknowledge");
    gic::end(ack);
    check!(gic::is_idle(), "EOI did not drop the priority");
    check!(!gic::is_active(id), "EOI did not deactivate");
    Ok(())
}

fn eoimode1() -> Outcome {
    gic::set_eoi_mode(EoiMode::Split);
    let id = ready_spi(0, 0x80);
    gic::set_pending(id);
    let ack = expect(id)?;
    check_eq!("the running priority", gic::running_priority(), 0x80);
    gic::end(ack);
    check!(gic::is_idle(), "EOI did not drop the priority");
    check!(gic::is_active(id), "EOI has deactivated");
    gic::deactivate(ack);
    check!(!gic::is_active(id), "DIR did not deactivate");
    expect_none("again after DIR")?;
    gic::set_pending(id);
    let ack = expect(id)?;
    gic::end(ack);
    gic::deactivate(ack);
    Ok(())
}

fn eoimode1_sgi() -> Outcome {
    gic::set_eoi_mode(EoiMode::Split);
    let id = IntId(6);
    gic::enable(id);
    for _ in 0..3 {
        gic::send_sgi(id, 0);
        let ack = expect(id)?;
        gic::end(ack);
        gic::send_sgi(id, 0);
        expect_none("although it is active")?;
        gic::deactivate(ack);
        let ack = expect(id)?;
        gic::end(ack);
        gic::deactivate(ack);
        expect_none("a third time")?;
    }
    Ok(())
}

fn eoimode1_timer() -> Outcome {
    gic::set_eoi_mode(EoiMode::Split);
    for timer in Timer::ALL {
        let id = timer.intid();
        gic::enable(id);
        for _ in 0..3 {
            timer.arm(1);
            let ack = expect(id)?;
            gic::end(ack);
            check!(
                gic::is_active(id),
                "EOI has deactivated the {}",
                timer.name()
            );
            timer.stop();
            gic::deactivate(ack);
            check!(
                !gic::is_active(id),
                "DIR did not deactivate the {}",
                timer.name()
            );
            expect_none("although the timer has been stopped")?;
        }
        gic::disable(id);
    }
    Ok(())
}

fn eoimode1_lower_runs_after_drop() -> Outcome {
    gic::set_eoi_mode(EoiMode::Split);
    let (high, low) = (ready_spi(0, 0x40), ready_spi(1, 0xc0));
    gic::set_pending(high);
    let first = expect(high)?;
    gic::set_pending(low);
    expect_none("although its priority is lower than the running one")?;
    gic::end(first);
    let second = expect(low)?;
    check!(
        gic::is_active(high) && gic::is_active(low),
        "not both are active"
    );
    gic::end(second);
    gic::deactivate(first);
    check!(
        !gic::is_active(high) && gic::is_active(low),
        "DIR has deactivated the wrong one"
    );
    gic::deactivate(second);
    check!(!gic::is_active(low), "DIR did not deactivate the second");
    Ok(())
}

fn eoimode1_pending_while_active() -> Outcome {
    gic::set_eoi_mode(EoiMode::Split);
    let id = ready_spi(2, 0x80);
    gic::set_pending(id);
    let ack = expect(id)?;
    gic::end(ack);
    gic::set_pending(id);
    expect_none("although it is active")?;
    check!(gic::is_pending(id), "it is not pending");
    gic::deactivate(ack);
    let ack = expect(id)?;
    gic::end(ack);
    gic::deactivate(ack);
    expect_none("a third time")
}

fn job_deactivate(id: usize) -> Outcome<usize> {
    gic::set_eoi_mode(EoiMode::Split);
    gic::deactivate(Ack(id as u32));
    Ok(0)
}

fn dir_on_other_cpu() -> Outcome {
    gic::set_eoi_mode(EoiMode::Split);
    for n in 0..4 {
        let id = ready_spi(n, 0x80);
        gic::set_pending(id);
        gic::end(expect(id)?);
        check!(gic::is_active(id), "not active before DIR");
        second::run(job_deactivate, id.0 as usize)?;
        let inactive = timer::within(1000, || !gic::is_active(id));
        check!(inactive, "still active after DIR on CPU 1");
        gic::set_pending(id);
        gic::end(expect(id)?);
    }
    Ok(())
}

fn dir_on_other_cpu_with_pending() -> Outcome {
    gic::set_eoi_mode(EoiMode::Split);
    let id = ready_spi(5, 0x80);
    gic::set_pending(id);
    gic::end(expect(id)?);
    gic::set_pending(id);
    expect_none("although it is active")?;
    second::run(job_deactivate, id.0 as usize)?;
    gic::end(expect(id)?);
    Ok(())
}

/// A hypervisor may trap what both groups share while there is EOImode 1, and the guest must not see that.
fn shared_registers_in_both_modes() -> Outcome {
    const CBPR: u64 = 1 << 0;
    const EOIMODE: u64 = 1 << 1;
    let fixed = gic::v3::control() & !(CBPR | EOIMODE);
    for mode in [EoiMode::Both, EoiMode::Split, EoiMode::Both, EoiMode::Split] {
        gic::set_eoi_mode(mode);
        // An interrupt of its own, after which it is seen that the mode has changed.
        let id = ready_spi(0, 0x80);
        gic::set_pending(id);
        let ack = expect(id)?;
        gic::end(ack);
        gic::deactivate(ack);
        let bits = if mode == EoiMode::Split { EOIMODE } else { 0 };
        for cbpr in [CBPR, 0] {
            gic::v3::set_control(bits | cbpr);
            check_eq!("ICC_CTLR_EL1", gic::v3::control(), fixed | bits | cbpr);
        }
        for mask in [0, 0x40, 0xf8] {
            gic::set_priority_mask(mask);
            check_eq!("ICC_PMR_EL1", gic::v3::priority_mask(), mask.into());
        }
        gic::set_priority_mask(0x80);
        gic::set_pending(id);
        expect_none("although it is masked")?;
        gic::set_priority_mask(0xf8);
        let outer = expect(id)?;
        check_eq!("the running priority", gic::running_priority(), 0x80);
        let urgent = ready_spi(1, 0x40);
        gic::set_pending(urgent);
        let inner = expect(urgent)?;
        check_eq!("the running priority", gic::running_priority(), 0x40);
        for (ack, left) in [(inner, 0x80), (outer, 0xff)] {
            gic::end(ack);
            gic::deactivate(ack);
            check_eq!("the running priority", gic::running_priority(), left);
        }
        check!(
            !gic::is_active(id) && !gic::is_active(urgent),
            "one of them is still active"
        );
    }
    Ok(())
}

fn end_of_spurious() -> Outcome {
    // Such a write is ignored.
    for mode in [EoiMode::Both, EoiMode::Split] {
        gic::set_eoi_mode(mode);
        gic::end(Ack(1023));
    }
    gic::set_eoi_mode(EoiMode::Both);
    let id = ready_spi(0, 0x80);
    gic::set_pending(id);
    expect_and_end(id)
}
