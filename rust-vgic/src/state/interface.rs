// SPDX-License-Identifier: GPL-2.0-only
//! The CPU interface of a vCPU, between what this hardware has and what the stream says of any.
//!
//! GICH_VMCR (IHI 0048B, 5.3.3) and ICH_VMCR_EL2 (IHI 0069, 12.4) have the same fields in the same places, with fewer bits of the
//! priority mask in the former. Active priorities differ by how many bits take part in preemption, and a GICv2 has those of both
//! groups in one register.

use super::error::Why;
use super::records::CpuInterfaceState;
use crate::config::Version;
use crate::host::InterfaceState;
use crate::lr::{Format, Vtr};

/// [`CpuInterfaceState::flags`]: the vCPU's interface starts afresh on its next entry.
pub(super) const AFRESH: u32 = 1 << 0;
/// [`CpuInterfaceState::flags`]: the same, and what is private and active stays so.
pub(super) const RESUMED: u32 = 1 << 2;
/// [`CpuInterfaceState::flags`]: it is as at reset.
pub(super) const AT_RESET: u32 = 1 << 1;

/// ICC_SRE_EL1: SRE, DFB and DIB.
const SRE: u32 = 0b111;

/// VMCR: AckCtl and FIQEn of a GICv2, CBPR, EOImode.
const ACK_CTL: u32 = 1 << 2;
const FIQ_EN: u32 = 1 << 3;
const CBPR: u32 = 1 << 4;
const EOIMODE: u32 = 1 << 9;
const BPR1: u32 = 18;
const BPR0: u32 = 21;
const PMR: u32 = 24;

/// What this hardware has.
#[derive(Clone, Copy)]
pub(super) struct Hardware {
    pub(super) vtr: Vtr,
    pub(super) format: Format,
    pub(super) version: Version,
}

const fn bit(on: bool, bit: u32) -> u32 {
    if on { bit } else { 0 }
}

impl Hardware {
    /// How far apart active priorities are in the stream's 128 bits.
    fn every(self) -> u32 {
        1_u32.wrapping_shl(self.vtr.preemption_step().saturating_sub(1))
    }

    /// Active priorities as the stream has them.
    fn spread(self, active: [u32; 4]) -> [u32; 4] {
        let all = join(active);
        let every = self.every();
        let mut spread = 0_u128;
        for n in 0..128_u32.checked_div(every).unwrap_or(0) {
            let on = all.wrapping_shr(n) & 1;
            spread |= on.wrapping_shl(n.wrapping_mul(every));
        }
        split(spread)
    }

    /// The same as this hardware has them. `None`: it does not have all of them.
    fn gather(self, active: [u32; 4]) -> Option<[u32; 4]> {
        let all = join(active);
        let every = self.every();
        let mut gathered = 0_u128;
        let mut seen = 0_u128;
        for n in 0..128_u32.checked_div(every).unwrap_or(0) {
            let at = n.wrapping_mul(every);
            let on = all.wrapping_shr(at) & 1;
            seen |= on.wrapping_shl(at);
            gathered |= on.wrapping_shl(n);
        }
        (seen == all).then(|| split(gathered))
    }

    /// What the stream is to say. `afresh`: [`AFRESH`] or [`RESUMED`], if so. `group1`: the active priorities, as the stream has them,
    /// of what was acknowledged in Group 1, for hardware that does not say which is whose.
    pub(super) fn save(self, raw: &InterfaceState, afresh: u32, group1: u128) -> CpuInterfaceState {
        let none = [0; 4];
        let untouched = raw.vmcr == 0 && raw.ap0r == none && raw.ap1r == none;
        let (mut ap0r, mut ap1r) = (self.spread(raw.ap0r), self.spread(raw.ap1r));
        if self.format == Format::V2 {
            let all = join(ap0r);
            (ap0r, ap1r) = (split(all & !group1), split(all & group1));
        }
        let vmcr = raw.vmcr;
        let v2 = bit(vmcr & ACK_CTL != 0, 4) | bit(vmcr & FIQ_EN != 0, 8);
        let v3 = self.version == Version::V3;
        CpuInterfaceState {
            flags: afresh | bit(untouched, AT_RESET),
            sre: if v3 { raw.sre & SRE } else { 0 },
            ctlr: bit(vmcr & CBPR != 0, 1) | bit(vmcr & EOIMODE != 0, 2) | if v3 { 0 } else { v2 },
            igrpen: vmcr & 3,
            pmr: vmcr.wrapping_shr(PMR),
            bpr0: vmcr.wrapping_shr(BPR0) & 7,
            bpr1: vmcr.wrapping_shr(BPR1) & 7,
            ap0r,
            ap1r,
        }
    }

    /// What this hardware is to have.
    ///
    /// # Errors
    /// The field that it has no room for, or that has no such value.
    pub(super) fn restore(
        self,
        s: &CpuInterfaceState,
    ) -> Result<InterfaceState, (&'static str, Why)> {
        let v3 = self.version == Version::V3;
        let ctlr = if v3 { 0b11 } else { 0b1111 };
        let known = [
            ("flags", s.flags, AFRESH | RESUMED | AT_RESET),
            ("sre", s.sre, if v3 { SRE } else { 0 }),
            ("ctlr", s.ctlr, ctlr),
            ("igrpen", s.igrpen, 0b11),
            ("pmr", s.pmr, 0xff),
            ("bpr0", s.bpr0, 7),
            ("bpr1", s.bpr1, 7),
        ];
        for (name, value, bits) in known {
            if value & !bits != 0 {
                return Err((name, Why::Value));
            }
        }
        if s.flags & AT_RESET != 0 {
            return self.at_reset(s);
        }
        // What starts afresh is as at reset, and is so saved.
        if s.flags & (AFRESH | RESUMED) != 0 {
            return Err(("flags", Why::Contradiction));
        }
        if s.pmr & !u32::from(self.vtr.priority_mask()) != 0 {
            return Err(("pmr", Why::Mismatch));
        }
        // The smallest that there is (IHI 0069, 12.2: one more in Group 1; a GICv2 the same, IHI 0048B, 4.4.3).
        let least = self.vtr.preemption_step().saturating_sub(1);
        if s.bpr0 < least {
            return Err(("bpr0", Why::Mismatch));
        }
        if s.bpr1 < least.saturating_add(1) {
            return Err(("bpr1", Why::Mismatch));
        }
        let mut ap0r = self.gather(s.ap0r).ok_or(("ap0r", Why::Mismatch))?;
        let mut ap1r = self.gather(s.ap1r).ok_or(("ap1r", Why::Mismatch))?;
        if self.format == Format::V2 {
            (ap0r, ap1r) = (split(join(ap0r) | join(ap1r)), [0; 4]);
        }
        let vmcr = s.igrpen
            | bit(s.ctlr & 1 != 0, CBPR)
            | bit(s.ctlr & 2 != 0, EOIMODE)
            | bit(s.ctlr & 4 != 0, ACK_CTL)
            | bit(s.ctlr & 8 != 0, FIQ_EN)
            | s.bpr1.wrapping_shl(BPR1)
            | s.bpr0.wrapping_shl(BPR0)
            | s.pmr.wrapping_shl(PMR);
        Ok(InterfaceState {
            vmcr,
            sre: self.sre(s),
            ap0r,
            ap1r,
        })
    }

    fn sre(self, s: &CpuInterfaceState) -> u32 {
        if self.format == Format::V2 { 0 } else { s.sre }
    }

    /// Nothing but ICC_SRE_EL1, which the host may have set.
    fn at_reset(self, s: &CpuInterfaceState) -> Result<InterfaceState, (&'static str, Why)> {
        let none = [0; 4];
        let rest = [
            ("ctlr", s.ctlr != 0),
            ("igrpen", s.igrpen != 0),
            ("pmr", s.pmr != 0),
            ("bpr0", s.bpr0 != 0),
            ("bpr1", s.bpr1 != 0),
            ("ap0r", s.ap0r != none),
            ("ap1r", s.ap1r != none),
        ];
        match rest.iter().find(|(_, set)| *set) {
            Some((name, _)) => Err((name, Why::Contradiction)),
            None => Ok(InterfaceState {
                sre: self.sre(s),
                ..InterfaceState::default()
            }),
        }
    }
}

/// Four registers as one.
pub(super) fn join(active: [u32; 4]) -> u128 {
    let [a, b, c, d] = active.map(u128::from);
    a | b.wrapping_shl(32) | c.wrapping_shl(64) | d.wrapping_shl(96)
}

fn split(active: u128) -> [u32; 4] {
    [0, 32, 64, 96].map(|at| active.wrapping_shr(at) as u32)
}

#[cfg(test)]
mod tests;
