// SPDX-License-Identifier: GPL-2.0-only
//! What must be known before the first operation, and what makes operations valid.

use crate::driver::FIRST_ESPI;
use crate::op::{Field, Frame, Op, Register, Size};
use std::fmt;

/// What is wrong, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(String);

impl Error {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// A shared interrupt with a physical one behind it, of the same INTID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HardwareLine {
    /// Which.
    pub intid: u32,
    /// Level-sensitive; else edge-triggered.
    pub level: bool,
}

/// The machine and the domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Version of the GIC, 2 or 3.
    pub gic: u8,
    /// vCPUs of the domain.
    pub vcpus: u8,
    /// Its shared interrupts, from INTID 32 on.
    pub spis: u16,
    /// List registers of each CPU.
    pub lrs: u8,
    /// The shared interrupts that physical ones are mapped to.
    pub hardware: Vec<HardwareLine>,
    /// Where it comes from, for people.
    pub origin: String,
}

/// More operations than this are no recording: they would not fit into memory.
pub const MAX_OPS: usize = 1 << 23;
/// Shared interrupts, the extended ones aside.
pub const MAX_SPIS: u16 = 988;
/// Extended SPIs.
pub const MAX_ESPIS: u32 = 1024;
/// Bytes of [`Head::origin`].
pub const MAX_ORIGIN: usize = 4096;
/// INTIDs are below.
pub const MAX_INTID: u32 = 1 << 16;

impl Head {
    /// A small domain, as scripts have it unless they say otherwise.
    pub fn small(gic: u8) -> Self {
        Self {
            gic,
            vcpus: 2,
            spis: 64,
            lrs: 4,
            hardware: Vec::new(),
            origin: String::new(),
        }
    }

    /// The physical interrupt behind a shared one.
    pub fn hardware_line(&self, intid: u32) -> Option<HardwareLine> {
        self.hardware.iter().copied().find(|l| l.intid == intid)
    }

    /// Whether this can be a machine and a domain.
    ///
    /// # Errors
    /// What cannot be.
    pub fn check(&self) -> Result<(), Error> {
        self.fault()
            .map_or(Ok(()), |(_, what)| Err(Error::new(what)))
    }

    /// What cannot be, after the word of a script's head that says it.
    pub(crate) fn fault(&self) -> Option<(&'static str, String)> {
        let (most, because) = match self.gic {
            2 => (8, "GICD_ITARGETSR has a bit for each (IHI 0048B 4.3.12)"),
            3 => (128, "Xen has no more for a domain"),
            other => return Some(("gic", format!("there is no GICv{other}: 2 or 3"))),
        };
        let (gic, vcpus, spis, lrs) = (self.gic, self.vcpus, self.spis, self.lrs);
        if !(1..=most).contains(&vcpus) {
            let what = format!("{vcpus} vCPUs, where a GICv{gic} has 1 to {most}: {because}");
            return Some(("vcpus", what));
        }
        if spis > MAX_SPIS {
            let because = "their INTIDs are 32 to 1019 (IHI 0048B 2.2.1)";
            return Some((
                "spis",
                format!("{spis} SPIs, of at most {MAX_SPIS}: {because}"),
            ));
        }
        if !(1..=16).contains(&lrs) {
            let because = "there are ICH_LR0_EL2 to ICH_LR15_EL2 (ICH_VTR_EL2.ListRegs)";
            return Some((
                "lrs",
                format!("{lrs} list registers, of 1 to 16: {because}"),
            ));
        }
        if self.origin.len() > MAX_ORIGIN {
            let what = format!("the origin is longer than {MAX_ORIGIN} bytes");
            return Some(("origin", what));
        }
        let last = 31 + u32::from(spis);
        // How many extended ones there are is not in the head: whoever knows looks at them.
        let extended =
            |intid: u32| gic == 3 && (FIRST_ESPI..FIRST_ESPI + MAX_ESPIS).contains(&intid);
        let outside = |l: &&HardwareLine| !(32..=last).contains(&l.intid) && !extended(l.intid);
        let HardwareLine { intid, .. } = self.hardware.iter().find(outside)?;
        let what = match spis {
            0 => format!("INTID {intid} is no SPI here: the domain has none"),
            _ => format!("INTID {intid} is no SPI here: they are 32 to {last}, as `spis` says"),
        };
        Some(("hardware", what))
    }

    /// Whether this can happen to that domain.
    ///
    /// # Errors
    /// What cannot.
    pub fn check_op(&self, op: &Op) -> Result<(), Error> {
        if let Some(vcpu) = op.vcpu().filter(|v| *v >= self.vcpus) {
            return Err(Error::new(format!(
                "there is no vCPU {vcpu}: the domain has {}",
                self.vcpus
            )));
        }
        match *op {
            Op::Write {
                register,
                size,
                value,
                ..
            } => self.check_access(register, size, Some(value)),
            Op::Read {
                register,
                size,
                value,
                ..
            } => self.check_access(register, size, value),
            Op::Line { intid, .. } => check_intid(intid, 32..MAX_INTID),
            Op::PrivateLine { intid, .. } => check_intid(intid, 16..32),
            Op::Ack { intid, .. } | Op::Eoi { intid, .. } | Op::Dir { intid, .. } => {
                check_intid(intid.unwrap_or(0), 0..MAX_INTID)
            }
            Op::Set { field, value, .. } => check_field(field, value),
            _ => Ok(()),
        }
    }

    fn check_access(&self, at: Register, size: Size, value: Option<u64>) -> Result<(), Error> {
        if at.offset >= Register::LIMIT {
            return Err(Error::new(format!(
                "offset {:#x} is outside of any block of registers",
                at.offset
            )));
        }
        match at.frame {
            Frame::Gicr(vcpu) if vcpu >= self.vcpus => {
                return Err(Error::new(format!(
                    "there is no redistributor of vCPU {vcpu}"
                )));
            }
            _ => {}
        }
        match value.filter(|v| v & !size.mask() != 0) {
            Some(v) => Err(Error::new(format!(
                "{v:#x} does not fit into {} bits",
                8 << size as u8
            ))),
            None => Ok(()),
        }
    }
}

fn check_intid(intid: u32, range: std::ops::Range<u32>) -> Result<(), Error> {
    if range.contains(&intid) {
        return Ok(());
    }
    Err(Error::new(format!(
        "INTID {intid} is not in {} to {}",
        range.start,
        range.end - 1
    )))
}

fn check_field(field: Field, value: u8) -> Result<(), Error> {
    let most = match field {
        Field::Pmr => 255,
        Field::Group0 | Field::Group1 | Field::EoiMode => 1,
        Field::Bpr0 | Field::Bpr1 => 7,
    };
    if value <= most {
        return Ok(());
    }
    Err(Error::new(format!("{value} is more than {most}")))
}

/// What happened to a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// To which.
    pub head: Head,
    /// What, in order.
    pub ops: Vec<Op>,
}
