// SPDX-License-Identifier: GPL-2.0-only
//! A second operating system finds an ITS and redistributors as the first has left them, on and in use, and has tables of its own: the
//! order is the one of Linux, which gives the ITS its tables before it looks at a redistributor.

use super::command::{mapc, sync};
use super::{
    BIG, CONFIGURED, ENABLE_LPIS, ID_BITS, LPIS, PTZ, VALID, allocate, baser, disable, enable,
    fill, gicr_lpi, gicr_register, put, ring, set_lpis, set_queue, target, wait, with_table,
};
use crate::cpu::CPUS;
use crate::gic::gicr;
use crate::mmio::{read32, read64, write64};
use crate::outcome::{Outcome, check};

/// Bytes of a pending table that are of use.
const PENDING_SIZE: usize = 1 << (ID_BITS - 3);

/// Takes over all that is there; collections 0 and 1 go to the CPUs with these numbers, and every LPI is enabled.
pub fn second_kernel() -> Outcome {
    disable()?;
    for kind in [1, 4] {
        let table = allocate(BIG, BIG)?;
        let at = baser(kind)?;
        // One write, over what was valid.
        write64(at, VALID | with_table(read64(at), table));
    }
    set_queue(allocate(0x1000, 0x1000)?, 1);
    enable();
    let properties = allocate(LPIS as usize, 0x1000)?;
    fill(properties, LPIS as usize, CONFIGURED);
    for cpu in 0..CPUS {
        let at = gicr_register(cpu, gicr::CTLR);
        let on = read32(at) & ENABLE_LPIS != 0;
        check!(on, "LPIs of CPU {cpu} are off, and nobody has done it");
        set_lpis(cpu, false)?;
        let off = read32(at) & ENABLE_LPIS == 0;
        check!(off, "GICR_CTLR.EnableLPIs of CPU {cpu} stays 1");
        let pending = allocate(PENDING_SIZE, BIG)? as u64;
        let bits = ID_BITS - 1;
        write64(
            gicr_register(cpu, gicr_lpi::PROPBASER),
            properties as u64 | bits,
        );
        write64(gicr_register(cpu, gicr_lpi::PENDBASER), PTZ | pending);
        set_lpis(cpu, true)?;
    }
    for (icid, cpu) in [(0, 0), (1, 1)] {
        put(&mapc(icid, cpu));
        put(&sync(target(cpu)));
    }
    ring();
    wait()
}
