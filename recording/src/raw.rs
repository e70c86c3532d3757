// SPDX-License-Identifier: GPL-2.0-only
//! Raw records: what a recorder inside the hypervisor writes, sixteen bytes each, in the order in which things happened.
//!
//! | bytes | |
//! |---|---|
//! | 0 | kind, see [`Event`]; 0 is a record that was reserved and not written |
//! | 1 | vCPU, or 255 |
//! | 2–3 | domain |
//! | 4–7 | `a` |
//! | 8–15 | `b` |
//!
//! All are little-endian. A record is two 64-bit words, so that a recorder can store it with two instructions; it stores the
//! first word, which holds the kind, last. Records of several domains and vCPUs may interleave; those of one vCPU are in its order.

use crate::op::{Frame, Register, Size, SysReg};

/// Bytes of a record.
pub const BYTES: usize = 16;
/// In the place of a vCPU: none.
const NOBODY: u8 = 255;

/// The state of an interrupt in a list register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum LrState {
    /// Not there (any more).
    Invalid,
    /// Pending.
    Pending,
    /// Active.
    Active,
    /// Both.
    PendingActive,
}

impl LrState {
    /// From the two bits that both formats of list registers have.
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Invalid,
            1 => Self::Pending,
            2 => Self::Active,
            _ => Self::PendingActive,
        }
    }

    /// Whether the interrupt is active.
    pub const fn is_active(self) -> bool {
        self as u8 & 2 != 0
    }

    /// Whether it is pending.
    pub const fn is_pending(self) -> bool {
        self as u8 & 1 != 0
    }
}

/// What happened. Between an entry and the exit after it, all that the guest does without a trap shows in the records written at
/// the exit: list registers, `VMCR` and `EOIcount` first, then [`Event::Exited`], then what the trap is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// 1: a domain was made.
    DomainMade {
        /// Version of its GIC, 2 or 3.
        gic: u8,
        /// Its vCPUs.
        vcpus: u8,
        /// Its shared interrupts, as the vGIC was told.
        spis: u16,
        /// List registers of the hardware.
        lrs: u8,
    },
    /// 2: a physical interrupt was connected to a shared one.
    Connected {
        /// The guest's.
        intid: u32,
        /// Level-sensitive.
        level: bool,
    },
    /// 3: a load trapped, and was answered. 4: a store.
    Mmio {
        /// Whose.
        vcpu: u8,
        /// A store.
        write: bool,
        /// Where.
        register: Register,
        /// How wide.
        size: Size,
        /// What was stored, or the answer.
        value: u64,
    },
    /// 5: a write of a system register trapped.
    Sysreg {
        /// Whose.
        vcpu: u8,
        /// Which.
        register: SysReg,
        /// What.
        value: u64,
    },
    /// 6: `vgic_inject_irq()`.
    Injected {
        /// Whose, if it is private.
        vcpu: Option<u8>,
        /// Which.
        intid: u32,
        /// Raised, or lowered.
        level: bool,
    },
    /// 7: the guest is entered.
    Entered {
        /// Who.
        vcpu: u8,
    },
    /// 8: a list register is not in the state in which it was at the entry.
    ListRegister {
        /// Whose.
        vcpu: u8,
        /// Which interrupt: as `IAR` reads, with the sender of a GICv2's SGI.
        intid: u32,
        /// At the entry.
        before: LrState,
        /// At the exit.
        after: LrState,
        /// Its priority.
        priority: u8,
    },
    /// 9: the guest was left.
    Exited {
        /// Who.
        vcpu: u8,
    },
    /// 10: `GICH_VMCR` or `ICH_VMCR_EL2` (whose layouts agree) is not what it was at the last exit.
    Vmcr {
        /// Whose.
        vcpu: u8,
        /// What it is.
        value: u32,
    },
    /// 11: interrupts were ended that have no list register (`HCR.EOIcount` at the exit, if not 0).
    EoiCount {
        /// By whom.
        vcpu: u8,
        /// How many.
        count: u8,
    },
    /// 12: a vCPU was switched off.
    Off {
        /// Who.
        vcpu: u8,
    },
    /// 13: a vCPU was switched on (`vgic_clear_pending_irqs()`).
    On {
        /// Who.
        vcpu: u8,
    },
    /// 14: a vCPU moved to another physical CPU (`arch_move_irqs()`).
    Moved {
        /// Who.
        vcpu: u8,
    },
    /// 15: the recorder had no room from here on.
    Full,
}

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw {
    /// Whose; 0 is the hardware domain.
    pub domain: u16,
    /// What.
    pub event: Event,
}

/// `a` of an access: offset (18 bits), width (2), block (2), redistributor (8).
const fn pack_register(register: Register, size: Size) -> u32 {
    let (frame, vcpu) = match register.frame {
        Frame::Gicd => (0, 0),
        Frame::Gicr(vcpu) => (1, vcpu),
        Frame::GiccDir => (2, 0),
    };
    (register.offset & (Register::LIMIT - 1))
        | (size as u32) << 18
        | frame << 20
        | (vcpu as u32) << 22
}

const fn unpack_register(a: u32) -> Option<(Register, Size)> {
    let frame = match a >> 20 & 3 {
        0 => Frame::Gicd,
        1 => Frame::Gicr((a >> 22) as u8),
        2 => Frame::GiccDir,
        _ => return None,
    };
    let register = Register {
        frame,
        offset: a & (Register::LIMIT - 1),
    };
    Some((register, Size::from_log2((a >> 18) as u8)))
}

impl Raw {
    /// The record as two words, the one with the kind first.
    pub const fn encode(self) -> [u64; 2] {
        let (kind, vcpu, a, b): (u8, u8, u32, u64) = match self.event {
            Event::DomainMade {
                gic,
                vcpus,
                spis,
                lrs,
            } => (
                1,
                NOBODY,
                gic as u32 | (vcpus as u32) << 8 | (spis as u32) << 16,
                lrs as u64,
            ),
            Event::Connected { intid, level } => (2, NOBODY, intid, level as u64),
            Event::Mmio {
                vcpu,
                write,
                register,
                size,
                value,
            } => (3 + write as u8, vcpu, pack_register(register, size), value),
            Event::Sysreg {
                vcpu,
                register,
                value,
            } => (5, vcpu, register as u32, value),
            Event::Injected { vcpu, intid, level } => {
                let vcpu = match vcpu {
                    Some(vcpu) => vcpu,
                    None => NOBODY,
                };
                (6, vcpu, intid, level as u64)
            }
            Event::Entered { vcpu } => (7, vcpu, 0, 0),
            Event::ListRegister {
                vcpu,
                intid,
                before,
                after,
                priority,
            } => {
                let b = before as u64 | (after as u64) << 2 | (priority as u64) << 8;
                (8, vcpu, intid, b)
            }
            Event::Exited { vcpu } => (9, vcpu, 0, 0),
            Event::Vmcr { vcpu, value } => (10, vcpu, value, 0),
            Event::EoiCount { vcpu, count } => (11, vcpu, count as u32, 0),
            Event::Off { vcpu } => (12, vcpu, 0, 0),
            Event::On { vcpu } => (13, vcpu, 0, 0),
            Event::Moved { vcpu } => (14, vcpu, 0, 0),
            Event::Full => (15, NOBODY, 0, 0),
        };
        let first =
            kind as u64 | (vcpu as u64) << 8 | (self.domain as u64) << 16 | (a as u64) << 32;
        [first, b]
    }

    /// The inverse. None: no such record.
    pub const fn decode([first, b]: [u64; 2]) -> Option<Self> {
        let vcpu = (first >> 8) as u8;
        let a = (first >> 32) as u32;
        let event = match first as u8 {
            1 => Event::DomainMade {
                gic: a as u8,
                vcpus: (a >> 8) as u8,
                spis: (a >> 16) as u16,
                lrs: b as u8,
            },
            2 => Event::Connected {
                intid: a,
                level: b & 1 != 0,
            },
            kind @ (3 | 4) => match unpack_register(a) {
                Some((register, size)) => Event::Mmio {
                    vcpu,
                    write: kind == 4,
                    register,
                    size,
                    value: b,
                },
                None => return None,
            },
            5 => {
                let register = match a {
                    0 => SysReg::Sgi1r,
                    1 => SysReg::Asgi1r,
                    2 => SysReg::Sgi0r,
                    3 => SysReg::Dir,
                    _ => return None,
                };
                Event::Sysreg {
                    vcpu,
                    register,
                    value: b,
                }
            }
            6 => Event::Injected {
                vcpu: if vcpu == NOBODY { None } else { Some(vcpu) },
                intid: a,
                level: b & 1 != 0,
            },
            7 => Event::Entered { vcpu },
            8 => Event::ListRegister {
                vcpu,
                intid: a,
                before: LrState::from_bits(b as u8),
                after: LrState::from_bits((b >> 2) as u8),
                priority: (b >> 8) as u8,
            },
            9 => Event::Exited { vcpu },
            10 => Event::Vmcr { vcpu, value: a },
            11 => Event::EoiCount {
                vcpu,
                count: a as u8,
            },
            12 => Event::Off { vcpu },
            13 => Event::On { vcpu },
            14 => Event::Moved { vcpu },
            15 => Event::Full,
            _ => return None,
        };
        Some(Self {
            domain: (first >> 16) as u16,
            event,
        })
    }

    /// From the bytes of a dump.
    pub const fn from_bytes(bytes: &[u8; BYTES]) -> Option<Self> {
        let all = u128::from_le_bytes(*bytes);
        Self::decode([all as u64, (all >> 64) as u64])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each, with every field at values that would run into its neighbours.
    fn samples() -> Vec<Event> {
        let register = Register::gicr(127, Register::LIMIT - 4);
        let mut all = vec![
            Event::DomainMade {
                gic: 3,
                vcpus: 128,
                spis: 988,
                lrs: 16,
            },
            Event::Connected {
                intid: 1019,
                level: true,
            },
            Event::Injected {
                vcpu: None,
                intid: 4096,
                level: true,
            },
            Event::Injected {
                vcpu: Some(3),
                intid: 27,
                level: false,
            },
            Event::Entered { vcpu: 1 },
            Event::ListRegister {
                vcpu: 2,
                intid: 7 << 10 | 15,
                before: LrState::PendingActive,
                after: LrState::Active,
                priority: 0xf8,
            },
            Event::Exited { vcpu: 1 },
            Event::Vmcr {
                vcpu: 254,
                value: u32::MAX,
            },
            Event::EoiCount { vcpu: 0, count: 31 },
            Event::Off { vcpu: 9 },
            Event::On { vcpu: 9 },
            Event::Moved { vcpu: 9 },
            Event::Full,
        ];
        for write in [false, true] {
            all.push(Event::Mmio {
                vcpu: 5,
                write,
                register,
                size: Size::Double,
                value: u64::MAX,
            });
        }
        all.extend(SysReg::ALL.map(|register| Event::Sysreg {
            vcpu: 4,
            register,
            value: 1 << 63 | 1,
        }));
        all
    }

    #[test]
    fn every_record_round_trips() {
        for event in samples() {
            let raw = Raw {
                domain: 0x7fef,
                event,
            };
            let [first, second] = raw.encode();
            let bytes = (u128::from(first) | u128::from(second) << 64).to_le_bytes();
            assert_eq!(Raw::from_bytes(&bytes), Some(raw));
        }
    }

    #[test]
    fn what_is_no_record_is_none() {
        assert_eq!(Raw::decode([0, 0]), None, "reserved, never written");
        assert_eq!(Raw::decode([16, 0]), None);
        assert_eq!(Raw::decode([5 | 4 << 32, 0]), None, "a system register");
        assert_eq!(Raw::decode([3 | 3 << 52, 0]), None, "a block");
    }
}
