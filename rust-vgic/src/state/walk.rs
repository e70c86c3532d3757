// SPDX-License-Identifier: GPL-2.0-only
//! A stream is gone through record by record, in the one order that there is: once to check it, once to do what it says.

use super::error::{RestoreError, Why};
use super::record::Record;
use super::records::{
    CpuInterfaceState, DistributorState, HeaderState, ItsState, LpiState, MsiFrameState,
    RedistributorState, SpiState,
};
use super::save::BLOCK;
use super::stream::{Framed, Records};
use crate::domain::Domain;
use crate::host::Host;
use crate::intid::IntId;
use crate::irq::Irq;
use crate::its::Its;
use crate::vcpu::Vcpu;

pub(super) type Checked = Result<(), RestoreError>;

/// What is done with each record. Nothing, where nothing is said.
pub(super) trait Visit<H: Host> {
    fn header(&mut self, _: &Framed<'_>, _: &HeaderState) -> Checked {
        Ok(())
    }
    fn distributor(&mut self, _: &Framed<'_>, _: &DistributorState) -> Checked {
        Ok(())
    }
    fn redistributor(
        &mut self,
        _: &Framed<'_>,
        _: &RedistributorState,
        _: &Vcpu<H::Vcpu>,
    ) -> Checked {
        Ok(())
    }
    fn interface(&mut self, _: &Framed<'_>, _: &CpuInterfaceState, _: &Vcpu<H::Vcpu>) -> Checked {
        Ok(())
    }
    /// Those from the INTID on.
    fn spis(&mut self, _: &Framed<'_>, _: &SpiState, _: u32, _: &[Irq]) -> Checked {
        Ok(())
    }
    /// Those from the INTID on.
    fn lpis(&mut self, _: &Framed<'_>, _: &LpiState, _: u32) -> Checked {
        Ok(())
    }
    fn its(&mut self, _: &Framed<'_>, _: &ItsState, _: &Its) -> Checked {
        Ok(())
    }
    fn msi_frame(&mut self, _: &Framed<'_>, _: &MsiFrameState) -> Checked {
        Ok(())
    }
}

/// The next record, which has to be this one.
pub(super) fn take<'a>(
    records: &mut Records<'a>,
    record: Record,
    instance: u32,
) -> Result<Framed<'a>, RestoreError> {
    let framed = records.next()?;
    if framed.record != record {
        return Err(framed.bad("typecode", Why::Order));
    }
    if u32::from(framed.instance) != instance {
        return Err(framed.bad("instance", Why::Order));
    }
    Ok(framed)
}

/// The END record, and nothing after it.
pub(super) fn take_end(records: &mut Records<'_>, stream: &[u8]) -> Checked {
    let framed = take(records, Record::End, 0)?;
    if !framed.body.is_empty() {
        return Err(framed.bad("length", Why::Length));
    }
    if records.at() != stream.len() {
        return Err(framed.bad("length", Why::Order));
    }
    Ok(())
}

impl<H: Host> Domain<H> {
    /// Goes through a stream, of a domain like this.
    ///
    /// # Errors
    /// It is none, or what a visit says.
    pub(super) fn each_record(&self, stream: &[u8], visit: &mut impl Visit<H>) -> Checked {
        let mut records = Records::new(stream);
        let framed = take(&mut records, Record::Header, 0)?;
        visit.header(&framed, &framed.state()?)?;
        let framed = take(&mut records, Record::Distributor, 0)?;
        visit.distributor(&framed, &framed.state()?)?;
        for (n, v) in (0..).zip(&self.vcpus) {
            let framed = take(&mut records, Record::Redistributor, n)?;
            visit.redistributor(&framed, &framed.state()?, v)?;
        }
        for (n, v) in (0..).zip(&self.vcpus) {
            let framed = take(&mut records, Record::CpuInterface, n)?;
            visit.interface(&framed, &framed.state()?, v)?;
        }
        for (table, base) in [(&self.spis, IntId::SPI), (&self.espis, IntId::ESPI)] {
            for (irqs, first) in table.chunks(BLOCK).zip((base..).step_by(BLOCK)) {
                let framed = take(&mut records, Record::Spi, first / 32)?;
                visit.spis(&framed, &framed.state()?, first, irqs)?;
            }
        }
        self.each_lpi_record(&mut records, visit)?;
        for (n, its) in (0..).zip(&self.its) {
            let framed = take(&mut records, Record::Its, n)?;
            visit.its(&framed, &framed.state()?, its)?;
        }
        if self.msi_frame.is_some() {
            let framed = take(&mut records, Record::MsiFrame, 0)?;
            visit.msi_frame(&framed, &framed.state()?)?;
        }
        take_end(&mut records, stream)
    }

    /// As many records of LPIs as there are, in the order of their numbers.
    fn each_lpi_record(&self, records: &mut Records<'_>, visit: &mut impl Visit<H>) -> Checked {
        let numbers = match self.lpis.id_bits {
            0 => 0,
            bits => 1_u32.wrapping_shl(bits).saturating_sub(IntId::LPI),
        };
        let mut least = 0;
        loop {
            let mut ahead = records.clone();
            let framed = ahead.next()?;
            if framed.record != Record::Lpi {
                return Ok(());
            }
            let instance = u32::from(framed.instance);
            if instance < least {
                return Err(framed.bad("instance", Why::Order));
            }
            if instance >= numbers / 32 {
                return Err(framed.bad("instance", Why::Mismatch));
            }
            let first = IntId::LPI.saturating_add(instance.saturating_mul(32));
            visit.lpis(&framed, &framed.state()?, first)?;
            least = instance.saturating_add(1);
            *records = ahead;
        }
    }
}
