// SPDX-License-Identifier: GPL-2.0-only
//! What Linux's drivers do to a GIC when it comes up, and what they do to an interrupt later. Offsets are those of
//! IHI 0048B chapter 4.3 and IHI 0069 chapter 12.

use crate::guests::guest::{GuestCpu, Size, SysReg};
use crate::machine::cpuif::Group;
use crate::machine::physgic::FIRST_ESPI;
use crate::xen::domain::Domain;

/// Distributor registers.
pub mod gicd {
    pub const CTLR: u64 = 0x000;
    pub const TYPER: u64 = 0x004;
    pub const IIDR: u64 = 0x008;
    pub const IGROUPR: u64 = 0x080;
    pub const ISENABLER: u64 = 0x100;
    pub const ICENABLER: u64 = 0x180;
    pub const ISPENDR: u64 = 0x200;
    pub const ICPENDR: u64 = 0x280;
    pub const ISACTIVER: u64 = 0x300;
    pub const ICACTIVER: u64 = 0x380;
    pub const IPRIORITYR: u64 = 0x400;
    pub const ITARGETSR: u64 = 0x800;
    pub const ICFGR: u64 = 0xc00;
    pub const IGRPMODR: u64 = 0xd00;
    pub const SGIR: u64 = 0xf00;
    pub const IROUTER: u64 = 0x6000;
    pub const PIDR2_V2: u64 = 0xfe8;
    pub const PIDR2: u64 = 0xffe8;

    /// Where the array of the extended SPIs is that goes with an array of SPIs.
    pub fn extended(register: u64) -> u64 {
        match register {
            IGROUPR => 0x1000,
            ISENABLER => 0x1200,
            ICENABLER => 0x1400,
            ISPENDR => 0x1600,
            ICPENDR => 0x1800,
            ISACTIVER => 0x1a00,
            ICACTIVER => 0x1c00,
            IPRIORITYR => 0x2000,
            ICFGR => 0x3000,
            IROUTER => 0x8000,
            _ => panic!("no register of extended SPIs goes with {register:#x}"),
        }
    }
}

/// Redistributor registers, from RD_base.
pub mod gicr {
    pub const CTLR: u64 = 0x0;
    pub const TYPER: u64 = 0x8;
    pub const WAKER: u64 = 0x14;
    pub const PROPBASER: u64 = 0x70;
    pub const PENDBASER: u64 = 0x78;
    pub const INVLPIR: u64 = 0xa0;
    pub const INVALLR: u64 = 0xb0;
    pub const SYNCR: u64 = 0xc0;
    pub const PIDR2: u64 = 0xffe8;
    /// The second frame: the private interrupts' registers, at the distributor's offsets.
    pub const SGI_BASE: u64 = 0x1_0000;
}

/// The priority Linux gives to everything, and the mask it sets.
pub const PRIORITY: u32 = 0xa0;
pub const PMR: u8 = 0xf0;

/// Where interrupt `intid` is in an array of registers with `bits` for each: the byte, and the bit in it.
fn place(array: u64, bits: u64, intid: u32) -> (u64, u32) {
    let (array, index) = match intid.checked_sub(FIRST_ESPI.into()) {
        Some(n) => (gicd::extended(array), n),
        None => (array, intid),
    };
    let bit = u64::from(index) * bits;
    (array + bit / 8, (bit % 8) as u32)
}

/// The same as a word and the bit in that.
fn word(array: u64, bits: u64, intid: u32) -> (u64, u32) {
    let (byte, bit) = place(array, bits, intid);
    (byte & !3, (byte & 3) as u32 * 8 + bit)
}

/// The extended SPIs that the distributor says it has.
fn extended(cpu: &GuestCpu) -> std::ops::Range<u32> {
    let typer = cpu.gicd_read(gicd::TYPER);
    let first = u32::from(FIRST_ESPI);
    let count = if cpu.vcpu.gic_version == 3 && typer >> 8 & 1 != 0 {
        ((typer >> 27) + 1) * 32
    } else {
        0
    };
    first..first + count
}

/// Brings up the distributor, once per domain, on the boot CPU. The number of interrupts it says it has.
pub fn init_distributor(cpu: &GuestCpu) -> u32 {
    let v2 = cpu.vcpu.gic_version == 2;
    let lines = ((cpu.gicd_read(gicd::TYPER) & 0x1f) + 1) * 32;
    let lines = lines.min(1020);
    cpu.gicd_write(gicd::CTLR, 0);
    let shared = (32..lines).chain(extended(cpu));
    let fill = |array: u64, bits: u64, value: u32| {
        let mut words: Vec<u64> = shared.clone().map(|n| word(array, bits, n).0).collect();
        words.dedup();
        words.iter().for_each(|o| cpu.gicd_write(*o, value));
    };
    if !v2 {
        fill(gicd::IGROUPR, 1, !0);
    } else {
        // The CPU that boots is the target of everything: it asks for its own mask.
        let mask = (0..8)
            .map(|n| cpu.gicd_read(gicd::ITARGETSR + n * 4))
            .fold(0, |a, b| a | b);
        let mask = (mask | mask >> 16) & 0xffff;
        let mask = (mask | mask >> 8) & 0xff;
        fill(gicd::ITARGETSR, 8, mask * 0x0101_0101);
    }
    fill(gicd::ICFGR, 2, 0);
    fill(gicd::IPRIORITYR, 8, PRIORITY * 0x0101_0101);
    fill(gicd::ICACTIVER, 1, !0);
    fill(gicd::ICENABLER, 1, !0);
    if v2 {
        cpu.gicd_write(gicd::CTLR, 1);
    } else {
        // ARE, and both groups as one security state has them.
        cpu.gicd_write(gicd::CTLR, 1 << 4 | 1 << 1 | 1);
        for intid in shared {
            route(cpu, intid, 0);
        }
    }
    lines
}

/// Brings up a vCPU's private interrupts and its CPU interface.
pub fn init_cpu(cpu: &GuestCpu) {
    let v2 = cpu.vcpu.gic_version == 2;
    if !v2 {
        wake_redistributor(cpu);
        private_write(cpu, gicd::IGROUPR, !0);
    }
    private_write(cpu, gicd::ICACTIVER, !0);
    private_write(cpu, gicd::ICENABLER, 0xffff_0000);
    for n in 0..8 {
        private_write(cpu, gicd::IPRIORITYR + n * 4, PRIORITY * 0x0101_0101);
    }
    private_write(cpu, gicd::ISENABLER, 0xffff);
    cpu.set_pmr(PMR);
    cpu.interface(|i| {
        i.set_bpr(Group::G0, 0);
        i.set_bpr(Group::G1, 0);
    });
    cpu.set_eoimode(false);
    cpu.interface(|i| i.set_group_enable(if v2 { Group::G0 } else { Group::G1 }, true));
}

fn wake_redistributor(cpu: &GuestCpu) {
    const PROCESSOR_SLEEP: u32 = 1 << 1;
    const CHILDREN_ASLEEP: u32 = 1 << 2;
    let waker = cpu.gicr_read(gicr::WAKER);
    cpu.gicr_write(gicr::WAKER, waker & !PROCESSOR_SLEEP);
    if (0..1000).all(|_| cpu.gicr_read(gicr::WAKER) & CHILDREN_ASLEEP != 0) {
        cpu.machine().report("the redistributor does not wake up");
    }
}

/// A register that is banked per vCPU: in the distributor with GICv2, in the redistributor with GICv3.
pub fn private_read(cpu: &GuestCpu, offset: u64) -> u32 {
    if cpu.vcpu.gic_version == 2 {
        cpu.gicd_read(offset)
    } else {
        cpu.gicr_read(gicr::SGI_BASE + offset)
    }
}

/// As [`private_read`].
pub fn private_write(cpu: &GuestCpu, offset: u64, value: u32) {
    if cpu.vcpu.gic_version == 2 {
        cpu.gicd_write(offset, value);
    } else {
        cpu.gicr_write(gicr::SGI_BASE + offset, value);
    }
}

/// The bit of `intid` in a register with one bit per interrupt.
pub fn bit(cpu: &GuestCpu, register: u64, intid: u32) -> bool {
    let (offset, shift) = word(register, 1, intid);
    let value = if intid < 32 {
        private_read(cpu, offset)
    } else {
        cpu.gicd_read(offset)
    };
    value >> shift & 1 != 0
}

/// Writes the bit of `intid` in a set or clear register.
pub fn poke(cpu: &GuestCpu, register: u64, intid: u32) {
    let (offset, shift) = word(register, 1, intid);
    if intid < 32 {
        private_write(cpu, offset, 1 << shift);
    } else {
        cpu.gicd_write(offset, 1 << shift);
    }
}

/// Enables an interrupt.
pub fn enable(cpu: &GuestCpu, intid: u32) {
    poke(cpu, gicd::ISENABLER, intid);
}

/// Disables an interrupt.
pub fn disable(cpu: &GuestCpu, intid: u32) {
    poke(cpu, gicd::ICENABLER, intid);
}

/// Puts a shared interrupt in Group 1, or in Group 0.
pub fn set_group1(cpu: &GuestCpu, intid: u32, group1: bool) {
    let (offset, shift) = word(gicd::IGROUPR, 1, intid);
    let old = cpu.gicd_read(offset) & !(1 << shift);
    cpu.gicd_write(offset, old | u32::from(group1) << shift);
}

/// Makes a disabled interrupt edge-triggered or level-sensitive.
pub fn set_trigger(cpu: &GuestCpu, intid: u32, edge: bool) {
    let (offset, shift) = word(gicd::ICFGR, 2, intid);
    let old = if intid < 32 {
        private_read(cpu, offset)
    } else {
        cpu.gicd_read(offset)
    };
    let new = old & !(2 << shift) | u32::from(edge) << (shift + 1);
    if intid < 32 {
        private_write(cpu, offset, new);
    } else {
        cpu.gicd_write(offset, new);
    }
}

/// Sets a priority, with a byte access as Linux does on GICv2.
pub fn set_priority(cpu: &GuestCpu, intid: u32, priority: u8) {
    let frame = match (intid, cpu.vcpu.gic_version, cpu.gicr_of(cpu.vcpu.id)) {
        (0..32, 3, Some(own)) => own + gicr::SGI_BASE,
        _ => cpu.gicd(),
    };
    let address = frame + place(gicd::IPRIORITYR, 8, intid).0;
    if let Err(abort) = cpu.store(address, Size::Byte, priority.into()) {
        cpu.machine()
            .report(format!("a byte write of IPRIORITYR aborts: {abort:?}"));
    }
}

/// Routes a shared interrupt to a vCPU (`irq_set_affinity`).
pub fn route(cpu: &GuestCpu, intid: u32, to: usize) {
    let stored = if cpu.vcpu.gic_version == 2 {
        cpu.store(
            cpu.gicd() + gicd::ITARGETSR + u64::from(intid),
            Size::Byte,
            1 << to,
        )
    } else {
        cpu.store(
            cpu.gicd() + place(gicd::IROUTER, 64, intid).0,
            Size::Double,
            affinity(to),
        )
    };
    if let Err(abort) = stored {
        cpu.machine()
            .report(format!("routing interrupt {intid} aborts: {abort:?}"));
    }
}

/// Lets any vCPU take a shared interrupt: all of them in ITARGETSR, or IROUTER.Interrupt_Routing_Mode.
pub fn route_to_any(cpu: &GuestCpu, intid: u32) {
    let stored = if cpu.vcpu.gic_version == 2 {
        let byte = cpu.gicd() + gicd::ITARGETSR + u64::from(intid);
        cpu.store(byte, Size::Byte, 0xff)
    } else {
        let router = cpu.gicd() + place(gicd::IROUTER, 64, intid).0;
        cpu.store(router, Size::Double, 1 << 31)
    };
    if let Err(abort) = stored {
        cpu.machine()
            .report(format!("routing interrupt {intid} aborts: {abort:?}"));
    }
}

/// Affinity of a vCPU, as Xen gives it: sixteen to a cluster.
pub fn affinity(id: usize) -> u64 {
    (id & 0xf) as u64 | ((id >> 4) as u64) << 8
}

/// Sends an SGI to one vCPU.
pub fn send_sgi(cpu: &GuestCpu, to: usize, sgi: u32) {
    if cpu.vcpu.gic_version == 2 {
        cpu.gicd_write(gicd::SGIR, 1 << (16 + to) | sgi);
    } else {
        let cluster = (to >> 4) as u64;
        let value = u64::from(sgi) << 24 | cluster << 16 | 1 << (to & 0xf);
        if !cpu.write_sysreg(SysReg::Sgi1r, false, value) {
            cpu.machine()
                .report("ICC_SGI1R_EL1 is UNDEF in a GICv3 guest");
        }
    }
}

/// INTID of what `IAR` read, without the source of an SGI.
pub fn intid(cpu: &GuestCpu, iar: u32) -> u32 {
    if cpu.vcpu.gic_version == 2 {
        iar & 0x3ff
    } else {
        iar
    }
}

/// Boots a guest step by step on this thread: all its vCPUs, brought up as Linux does it.
pub fn boot(domain: &Domain) -> Vec<GuestCpu> {
    let cpus: Vec<GuestCpu> = (0..domain.config.vcpus)
        .map(|id| GuestCpu::start(domain, id))
        .collect();
    init_distributor(&cpus[0]);
    cpus.iter().for_each(init_cpu);
    cpus
}
