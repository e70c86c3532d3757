// SPDX-License-Identifier: GPL-2.0-only
//! A vCPU that is played: what its guest has acknowledged, and what it loads, stores and sets.

use crate::guests::guest::{Abort, GuestCpu};
use crate::machine::cpuif::{Group, SPURIOUS};
use crate::xen::peer;
use recording::{Field, Frame, Register, Size, SysReg};

/// What is seen of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing: it is done.
    Done,
    /// What a load or a look at the interface gave.
    Value(u64),
    /// The guest would take a data abort.
    Aborted,
    /// The guest would take an undefined instruction.
    Undefined,
    /// What was acknowledged; 1023 for nothing.
    Taken(u32),
    /// Whether an interrupt was signalled.
    Signal(bool),
    /// The vCPU is blocked, off or preempted, and does nothing.
    Away,
    /// Who plays cannot do that.
    Unknown,
}

/// A vCPU being played.
#[derive(Default)]
pub(super) struct Player {
    pub(super) cpu: Option<GuestCpu>,
    pub(super) preempted: bool,
    /// Acknowledged and not ended, innermost last.
    pub(super) active: Vec<u32>,
    /// Ended with EOImode 1, and not deactivated.
    pub(super) dropped: Vec<u32>,
}

impl Player {
    /// By the registers of a group, or of that which Linux uses.
    pub(super) fn ack(&mut self, group: Option<Group>) -> Seen {
        let Some(cpu) = &self.cpu else {
            return Seen::Away;
        };
        let iar = cpu.ack_group(group.unwrap_or(cpu.group()));
        if !(1020..=SPURIOUS).contains(&iar) {
            self.active.push(iar);
        }
        Seen::Taken(iar)
    }

    pub(super) fn eoi(&mut self, group: Option<Group>, intid: Option<u32>) -> Seen {
        let Some(cpu) = &self.cpu else {
            return Seen::Away;
        };
        if let Some(iar) = pick(&mut self.active, intid) {
            cpu.eoi_group(group.unwrap_or(cpu.group()), iar);
            if cpu.interface(|i| i.eoimode()) {
                self.dropped.push(iar);
            }
        }
        Seen::Done
    }

    pub(super) fn dir(&mut self, intid: Option<u32>) -> Seen {
        let Some(cpu) = &self.cpu else {
            return Seen::Away;
        };
        if let Some(iar) = pick(&mut self.dropped, intid) {
            cpu.dir(iar);
        }
        Seen::Done
    }
}

/// Takes an INTID out of the list: the last if none is named. One that is named and not there is nobody's but is meant.
pub(crate) fn pick(list: &mut Vec<u32>, intid: Option<u32>) -> Option<u32> {
    let Some(intid) = intid else {
        return list.pop();
    };
    if let Some(n) = list.iter().rposition(|n| *n == intid) {
        list.remove(n);
    }
    Some(intid)
}

pub(super) fn address(cpu: &GuestCpu, register: Register) -> Option<u64> {
    let base = match register.frame {
        Frame::Gicd => cpu.gicd(),
        Frame::Gicr(vcpu) => cpu.gicr_of(vcpu.into())?,
        Frame::GiccDir if cpu.vcpu.gic_version == 2 => cpu.gicc_dir(),
        Frame::GiccDir => return None,
    };
    Some(base + u64::from(register.offset))
}

pub(super) fn done(result: Result<(), Abort>) -> Seen {
    result.map_or(Seen::Aborted, |()| Seen::Done)
}

pub(super) fn loaded(result: Result<u64, Abort>, size: Size) -> Seen {
    result.map_or(Seen::Aborted, |value| Seen::Value(value & size.mask()))
}

pub(super) fn sysreg(cpu: &GuestCpu, register: SysReg, value: u64) -> Seen {
    // One that does not trap is the CPU interface's own.
    let own = cpu.vcpu.gic_version == 3 && !cpu.interface(|i| i.dir_traps());
    if register == SysReg::Dir && own {
        cpu.dir(value as u32);
        return Seen::Done;
    }
    // With a GICv2 they are undefined before Xen is asked, and its C vGICs do not expect to be.
    let asked = peer::is_ours() || cpu.vcpu.gic_version == 3;
    if asked && cpu.write_sysreg(register, false, value) {
        Seen::Done
    } else {
        Seen::Undefined
    }
}

pub(super) fn set(cpu: &GuestCpu, field: Field, value: u8) -> Seen {
    let on = value != 0;
    match field {
        Field::Pmr => cpu.set_pmr(value),
        Field::Group0 => cpu.interface(|i| i.set_group_enable(Group::G0, on)),
        Field::Group1 => cpu.interface(|i| i.set_group_enable(Group::G1, on)),
        Field::EoiMode => cpu.set_eoimode(on),
        Field::Bpr0 => cpu.interface(|i| i.set_bpr(Group::G0, value.into())),
        Field::Bpr1 => cpu.interface(|i| i.set_bpr(Group::G1, value.into())),
    }
    Seen::Done
}
