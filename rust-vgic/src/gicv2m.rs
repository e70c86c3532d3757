// SPDX-License-Identifier: GPL-2.0-only
//! A GICv2m frame: messages become SPIs of a GICv2 (Arm's Server Base System Architecture, DEN0029, appendix "GICv2m
//! Architecture"; Base System Architecture, DEN0094, the same).
//!
//! The frame has SPIs of its own, side by side. A device, or the guest itself, makes one pending by writing its INTID to
//! MSI_SETSPI_NS; all else of it is the distributor's. They are edge-triggered and stay so: GICD_ICFGR can be written for an SPI
//! only if that is programmable (IHI 0048B, 4.3.13), and a message is nothing that could be high.

use crate::config::MessageError;
use crate::domain::Domain;
use crate::host::Host;
use crate::intid::IntId;
use crate::registers::{Access, IIDR, Row, Width, Written, rows};
use crate::vcpu::Vcpu;

impl<H: Host + 'static> Domain<H> {
    /// MSI_IIDR has the fields of GICD_IIDR, but for the version of the architecture, 0, in bits 19 to 16.
    #[rustfmt::skip]
    const GICV2M: &'static [Row<H>] = rows! {
        // name       offset bytes widths element first reset read             write               exact
        MSI_TYPER      0x008 0x004 W  Word   0    0     Register(typer),       Ignored,            Never;
        MSI_SETSPI_NS  0x040 0x004 HW Word   0    0     Reset,                 Register(set_spi),  Never;
        MSI_IIDR       0xfcc 0x004 W  Word   0    IIDR  Reset,                 Ignored,            Never;
    };

    /// vCPU `cur` reads the frame at `offset` from its start. The value is zero-extended.
    pub fn v2m_read(&self, cur: &Vcpu<H::Vcpu>, offset: u32, width: Width) -> u64 {
        if self.msi_frame.is_none() {
            return 0;
        }
        self.access(cur, cur).read(Self::GICV2M, offset, width)
    }

    /// vCPU `cur` writes the frame. As [`Domain::v2m_read`]; bits of `value` beyond `width` are ignored.
    pub fn v2m_write(&self, cur: &Vcpu<H::Vcpu>, offset: u32, width: Width, value: u64) {
        if self.msi_frame.is_some() {
            self.access(cur, cur)
                .write(Self::GICV2M, offset, width, value);
        }
    }
}

impl<H: Host> Domain<H> {
    /// A device writes `data` to MSI_SETSPI_NS: the SPI that is named in bits 9 to 0 becomes pending. Any context, no lock.
    ///
    /// # Errors
    /// [`MessageError::NoDevice`] if the domain has no frame, [`MessageError::NoEvent`] if the SPI is none of its own: nothing
    /// has changed.
    pub fn spi_message(&self, data: u32) -> Result<(), MessageError> {
        let frame = self.msi_frame.ok_or(MessageError::NoDevice)?;
        let intid = IntId::new(data & SPI).filter(|intid| frame.has(*intid));
        self.inject(None, intid.ok_or(MessageError::NoEvent)?, true);
        Ok(())
    }

    /// The vCPU that such a message goes to. Any context.
    pub fn spi_message_target(&self, data: u32) -> Option<H::Vcpu> {
        let intid = IntId::new(data & SPI).filter(|intid| self.is_message_spi(*intid))?;
        let target = self.shared(intid)?.state().target()?;
        self.slot(target).and_then(Vcpu::handle)
    }

    /// Is it an SPI that messages make pending?
    pub(crate) fn is_message_spi(&self, intid: IntId) -> bool {
        self.msi_frame.is_some_and(|frame| frame.has(intid))
    }
}

/// MSI_SETSPI_NS.SPI.
const SPI: u32 = 0x3ff;

/// MSI_TYPER: the first SPI in bits 25 to 16, how many there are in bits 9 to 0.
fn typer<H: Host>(access: &Access<'_, H>, _: u32) -> u64 {
    let frame = access.domain.msi_frame;
    frame.map_or(0, |frame| {
        u64::from(frame.base & SPI).wrapping_shl(16) | u64::from(frame.count & SPI)
    })
}

fn set_spi<H: Host>(access: &Access<'_, H>, _: u32, written: Written) {
    // Of an SPI that is not the frame's, nothing becomes.
    let _ = access.domain.spi_message(written.value as u32);
}

#[cfg(test)]
mod tests;
