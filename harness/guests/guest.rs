// SPDX-License-Identifier: GPL-2.0-only
//! A virtual CPU as its guest has it: accesses to the distributor that trap, a CPU interface that does not, WFI,
//! and an interrupt vector for the guest to run when the interface signals.

mod coming;
pub mod hvc;

use crate::machine::cpuif::{Group, SPURIOUS, View, VirtualCpuInterface};
use crate::notes::{self, Moment};
use crate::xen::abi;
use crate::xen::domain::{Domain, Gicc};
use crate::xen::host::Machine;
use crate::xen::vcpu::Vcpu;
pub use recording::{Size, SysReg};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The answer to an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abort {
    /// The vGIC refused it.
    Refused,
    /// No frame is there.
    Unmapped,
}

/// What becomes of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    Done,
    /// The guest executes it once more.
    Again,
}

/// A register of a GICv3's CPU interface that both groups share, by its number for the C half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Icc {
    /// `ICC_DIR_EL1`
    Dir = SysReg::Dir as u32,
    /// `ICC_CTLR_EL1`
    Ctlr,
    /// `ICC_PMR_EL1`
    Pmr,
    /// `ICC_RPR_EL1`
    Rpr,
}

/// How long a blocked vCPU is waited for before a test calls it a hang. Not a measure: only its absence fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A vCPU of a domain, in its guest's hands. Dropped, it leaves its physical CPU.
pub struct GuestCpu {
    machine: Arc<Machine>,
    pub vcpu: Arc<Vcpu>,
    cpu: usize,
    on_cpu: bool,
    /// When an interrupt and a trap come at once, the trap is taken first. Either is right; the ways through Xen differ.
    pub traps_win: bool,
    /// The guest executes in AArch32.
    pub aarch32: bool,
    /// How often stores have trapped.
    stores: AtomicU64,
    gicd: u64,
    gicc: Gicc,
    gicr: Vec<(u64, u64)>,
}

impl GuestCpu {
    /// Lets vCPU `id` of the domain run, on the physical CPU that it was made for.
    pub fn start(domain: &Domain, id: usize) -> Self {
        let mut new = Self::parked(domain, id);
        new.resume();
        new
    }

    /// The same of one that does not run yet.
    pub fn parked(domain: &Domain, id: usize) -> Self {
        let vcpu = domain.vcpu(id);
        let cpu = vcpu.processor();
        Self {
            machine: Arc::clone(&domain.machine),
            vcpu,
            cpu,
            on_cpu: false,
            traps_win: false,
            aarch32: false,
            stores: AtomicU64::new(0),
            gicd: domain.gicd(),
            gicc: domain.gicc(),
            gicr: domain.gicr_regions(),
        }
    }

    /// The physical CPU it runs on.
    pub fn cpu(&self) -> usize {
        self.cpu
    }

    pub fn machine(&self) -> &Arc<Machine> {
        &self.machine
    }

    fn resume(&mut self) {
        if !self.on_cpu {
            self.machine
                .on(self.cpu, |m, p| m.schedule_in(p, &self.vcpu));
            self.on_cpu = true;
        }
    }

    /// Executes guest instructions that do not trap.
    fn run<R>(&self, f: impl FnOnce(&mut VirtualCpuInterface) -> (R, Option<u16>)) -> R {
        assert!(
            self.on_cpu,
            "vCPU {} is blocked or off and cannot execute",
            self.vcpu.id
        );
        self.machine.on(self.cpu, |m, p| {
            m.poll(p);
            let (result, deactivated) = f(&mut p.interface());
            if let Some(irq) = deactivated {
                m.deactivate(p, irq);
            }
            if !self.traps_win {
                m.poll(p);
            }
            result
        })
    }

    fn trap<R>(&self, f: impl FnOnce() -> R) -> R {
        assert!(
            self.on_cpu,
            "vCPU {} is blocked or off and cannot execute",
            self.vcpu.id
        );
        self.machine.on(self.cpu, |m, p| {
            if !self.traps_win {
                m.poll(p);
            }
            let result = m.trap(p, f);
            m.poll(p);
            result
        })
    }

    /// Lets whatever has come in from outside take effect.
    pub fn step(&self) {
        self.run(|_| ((), None));
    }

    /// A trap that is none of the vGIC's business, with `f` as its handler.
    pub fn hypercall<R>(&self, f: impl FnOnce() -> R) -> R {
        self.trap(f)
    }

    // ------------------------------------------------------------------ memory

    /// A load that traps.
    ///
    /// # Errors
    /// If the guest would take a data abort.
    pub fn load(&self, address: u64, size: Size) -> Result<u64, Abort> {
        let mut value = 0;
        let (v, mut base) = (self.vcpu.raw(), address);
        let load = || {
            abi::mmio(
                v,
                &mut base,
                0,
                size as u32,
                false,
                self.aarch32,
                &mut value,
            )
        };
        match self.trap(load) {
            1 => Ok(value),
            0 => Err(Abort::Refused),
            _ => Err(Abort::Unmapped),
        }
    }

    /// A store that traps, as often as the vGIC has it executed. All of `value` is handed over, as a whole register is
    /// by Xen.
    ///
    /// # Errors
    /// If the guest would take a data abort.
    pub fn store(&self, address: u64, size: Size, value: u64) -> Result<(), Abort> {
        while self.store_once(address, size, value)? == Store::Again {}
        Ok(())
    }

    /// One trap of a store.
    ///
    /// # Errors
    /// If the guest would take a data abort.
    pub fn store_once(&self, address: u64, size: Size, value: u64) -> Result<Store, Abort> {
        self.store_then(&mut { address }, 0, size, value, || {})
    }

    /// One trap of a post-indexed store (`str value, [base], #step`).
    ///
    /// # Errors
    /// If the guest would take a data abort.
    pub fn store_post_indexed(
        &self,
        base: &mut u64,
        step: i32,
        size: Size,
        value: u64,
    ) -> Result<Store, Abort> {
        self.store_then(base, step, size, value, || {})
    }

    /// The same, with `then` before the guest goes on.
    fn store_then(
        &self,
        base: &mut u64,
        step: i32,
        size: Size,
        mut value: u64,
        then: impl FnOnce(),
    ) -> Result<Store, Abort> {
        let v = self.vcpu.raw();
        self.stores.fetch_add(1, Ordering::Relaxed);
        let answer = self.trap(|| {
            let answer = abi::mmio(v, base, step, size as u32, true, self.aarch32, &mut value);
            then();
            answer
        });
        match answer {
            1 => Ok(Store::Done),
            2 => Ok(Store::Again),
            0 => Err(Abort::Refused),
            _ => Err(Abort::Unmapped),
        }
    }

    /// How often stores have trapped.
    pub fn stores(&self) -> u64 {
        self.stores.load(Ordering::Relaxed)
    }

    /// Address of the distributor.
    pub fn gicd(&self) -> u64 {
        self.gicd
    }

    /// Address of `GICC_DIR`, of a GICv2.
    pub fn gicc_dir(&self) -> u64 {
        self.gicc.dir()
    }

    /// Address of the redistributor of vCPU `id` (RD_base; SGI_base is 64 KiB further).
    pub fn gicr_of(&self, id: usize) -> Option<u64> {
        let mut left = id as u64 * GICR_STRIDE;
        for &(base, size) in &self.gicr {
            if left < size {
                return Some(base + left);
            }
            left -= size;
        }
        None
    }

    /// A 32-bit register of the distributor.
    pub fn gicd_read(&self, offset: u64) -> u32 {
        self.read32(self.gicd + offset)
    }

    pub fn gicd_write(&self, offset: u64, value: u32) {
        self.write32(self.gicd + offset, value);
    }

    /// A 32-bit register of this vCPU's own redistributor.
    pub fn gicr_read(&self, offset: u64) -> u32 {
        self.gicr_of(self.vcpu.id)
            .map_or(0, |base| self.read32(base + offset))
    }

    pub fn gicr_write(&self, offset: u64, value: u32) {
        if let Some(base) = self.gicr_of(self.vcpu.id) {
            self.write32(base + offset, value);
        }
    }

    fn read32(&self, address: u64) -> u32 {
        match self.load(address, Size::Word) {
            Ok(value) => value as u32,
            Err(abort) => {
                self.machine
                    .report(format!("a 32-bit read of {address:#x} aborts: {abort:?}"));
                0
            }
        }
    }

    fn write32(&self, address: u64, value: u32) {
        if let Err(abort) = self.store(address, Size::Word, value.into()) {
            self.machine
                .report(format!("a 32-bit write of {address:#x} aborts: {abort:?}"));
        }
    }

    /// A write that traps, in AArch64 or through CP15. False: UNDEF.
    #[must_use]
    pub fn write_sysreg(&self, register: SysReg, aarch32: bool, mut value: u64) -> bool {
        self.trap(|| abi::sysreg(register as u32, aarch32, false, &mut value))
    }

    /// A read of one, which is write-only. False: UNDEF.
    #[must_use]
    pub fn read_sysreg(&self, register: SysReg) -> bool {
        self.trap(|| abi::sysreg(register as u32, false, true, &mut 0))
    }

    /// A read of a register of the CPU interface that traps. None: UNDEF.
    #[must_use]
    pub fn read_icc(&self, register: Icc) -> Option<u64> {
        let mut value = !0;
        let read = || abi::sysreg(register as u32, self.aarch32, true, &mut value);
        self.trap(read).then_some(value)
    }

    /// A write of one that traps. False: UNDEF.
    #[must_use]
    pub fn write_icc(&self, register: Icc, mut value: u64) -> bool {
        self.trap(|| abi::sysreg(register as u32, self.aarch32, false, &mut value))
    }

    // ------------------------------------------------------------------ the CPU interface

    /// Which view the guest has.
    pub fn view(&self) -> View {
        if self.vcpu.gic_version == 2 {
            View::Gicv
        } else {
            View::Icv
        }
    }

    /// The group that a Linux guest uses: 0 with GICv2, 1 with GICv3.
    pub fn group(&self) -> Group {
        if self.vcpu.gic_version == 2 {
            Group::G0
        } else {
            Group::G1
        }
    }

    /// Changes or reads the CPU interface.
    pub fn interface<R>(&self, f: impl FnOnce(&mut VirtualCpuInterface) -> R) -> R {
        self.run(|i| (f(i), None))
    }

    /// Do accesses of `ICC_CTLR_EL1` and its like trap?
    pub fn common_traps(&self) -> bool {
        self.interface(|i| i.common_traps())
    }

    /// What traps is there in a GICv3.
    fn trapped<R>(&self, answer: Option<R>) -> Option<R> {
        if answer.is_none() {
            self.machine.report("what traps is UNDEF in a GICv3 guest");
        }
        answer
    }

    /// An access of `ICC_CTLR_EL1` or one of its like, if it does not trap: that is decided as it is executed.
    fn untrapped<R>(&self, f: impl FnOnce(&mut VirtualCpuInterface) -> R) -> Option<R> {
        self.interface(|i| (!i.common_traps()).then(|| f(i)))
    }

    /// The priority mask, which may trap.
    pub fn set_pmr(&self, pmr: u8) {
        if self.untrapped(|i| i.set_pmr(pmr)).is_none() {
            self.trapped(self.write_icc(Icc::Pmr, pmr.into()).then_some(()));
        }
    }

    /// The same read.
    pub fn pmr(&self) -> u8 {
        self.untrapped(|i| i.pmr())
            .or_else(|| Some(self.trapped(self.read_icc(Icc::Pmr))? as u8))
            .unwrap_or(0)
    }

    /// The running priority, which may trap.
    pub fn running_priority(&self) -> u8 {
        self.untrapped(|i| i.running_priority())
            .or_else(|| Some(self.trapped(self.read_icc(Icc::Rpr))? as u8))
            .unwrap_or(0)
    }

    /// EOImode, of a register that may trap and that is read first.
    pub fn set_eoimode(&self, split: bool) {
        const EOIMODE: u64 = 1 << 1;
        if self.untrapped(|i| i.set_eoimode(split)).is_none() {
            let old = self.trapped(self.read_icc(Icc::Ctlr)).unwrap_or(0) & !EOIMODE;
            let new = if split { old | EOIMODE } else { old };
            self.trapped(self.write_icc(Icc::Ctlr, new).then_some(()));
        }
    }

    /// Is an interrupt signalled, IRQ or FIQ?
    pub fn signalled(&self) -> bool {
        self.interface(|i| i.virq() || i.vfiq())
    }

    /// Acknowledges an interrupt of the guest's usual group: what `IAR` reads.
    pub fn ack(&self) -> u32 {
        self.ack_group(self.group())
    }

    pub fn ack_group(&self, group: Group) -> u32 {
        self.run(|i| {
            let iar = i.ack(group);
            if !(1020..=SPURIOUS).contains(&iar) {
                self.note(Moment::Acknowledged, iar);
            }
            (iar, None)
        })
    }

    fn note(&self, moment: Moment, iar: u32) {
        // Without the sender of a GICv2's SGI.
        let intid = if self.vcpu.gic_version == 2 {
            iar & 0x3ff
        } else {
            iar
        };
        let word = || abi::word(std::ptr::null_mut(), self.vcpu.raw(), intid);
        notes::note(moment, Some(self.vcpu.id), intid).word(word);
    }

    /// Ends an interrupt: a write of `EOIR` with what `IAR` read.
    pub fn eoi(&self, iar: u32) {
        self.eoi_group(self.group(), iar);
    }

    pub fn eoi_group(&self, group: Group, iar: u32) {
        self.run(|i| {
            let deactivated = i.eoi(group, iar);
            if !i.eoimode() {
                self.note(Moment::Ended, iar);
            }
            ((), deactivated)
        });
    }

    /// Deactivates an interrupt: a write of `DIR`, which may trap.
    pub fn dir(&self, iar: u32) {
        // Before the guest goes on, which may have it again at once.
        let ended = || self.note(Moment::Ended, iar);
        if self.vcpu.gic_version == 2 && !self.gicc.is_mapped(self.gicc.dir()) {
            let done = self.store_then(&mut self.gicc.dir(), 0, Size::Word, iar.into(), ended);
            if let Err(abort) = done {
                self.machine
                    .report(format!("a write of GICC_DIR aborts: {abort:?}"));
            }
            return;
        }
        let trapped = self.run(|i| {
            if i.dir_traps() {
                return (true, None);
            }
            let deactivated = i.dir(iar);
            ended();
            (false, deactivated)
        });
        if trapped {
            let done = self.trap(|| {
                let done = abi::sysreg(Icc::Dir as u32, self.aarch32, false, &mut iar.into());
                ended();
                done
            });
            self.trapped(done.then_some(()));
        }
    }

    /// Takes an interrupt, has `f` handle it, and ends it. None: nothing is signalled.
    pub fn take(&self, f: impl FnOnce(u32)) -> Option<u32> {
        if !self.signalled() {
            return None;
        }
        let iar = self.ack();
        if (1020..=SPURIOUS).contains(&iar) {
            return None;
        }
        f(iar);
        self.eoi(iar);
        Some(iar)
    }

    /// Takes and ends interrupts until there is no more, also as many as there can be LPIs: what IAR read each time.
    ///
    /// # Panics
    /// It never ends.
    pub fn take_all(&self) -> Vec<u32> {
        const MOST: usize = 70_000;
        let all: Vec<u32> = std::iter::from_fn(|| self.take(|_| ()))
            .take(MOST)
            .collect();
        assert!(all.len() < MOST, "it never ends");
        all
    }
}

/// Distance of two redistributors without LPIs of GICv4.
pub const GICR_STRIDE: u64 = 0x2_0000;

impl Drop for GuestCpu {
    fn drop(&mut self) {
        // A test that panics leaves the machine as it is.
        if !std::thread::panicking() {
            self.preempt();
        }
    }
}
