// SPDX-License-Identifier: GPL-2.0-only
//! A host for the models, on loom's atomics: vCPUs, the physical CPUs they are on, and inter-processor interrupts.

mod offsets;
mod physical;

pub use offsets::{gicd, gicr};
use physical::Physical;

use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use loom::sync::{Arc, Mutex};
use loom::thread;
use rust_vgic::lr::Format;
use rust_vgic::redistributor::Region;
use rust_vgic::{
    Config, CpuInterface, Domain, Host, IntId, InterfaceState, LpiConfig, Vcpu, VcpuId, Version,
    Width,
};
use std::collections::BTreeMap;

/// The SPI that most models are about: edge-triggered, enabled, for vCPU 0.
pub const SPI: u32 = 32;
/// A level-sensitive PPI, and two that are always of a higher priority than [`SPI`].
pub const PPI: u32 = 27;
pub const FIRST: [u32; 2] = [16, 17];
pub const LRS: usize = 2;
/// VMCR: all priorities, and both groups or none.
const GROUPS_ON: u32 = 0xf800_0003;
const GROUPS_OFF: u32 = 0xf800_0000;
/// The physical interrupt that [`SPI`] can be mapped to.
const PHYS: u16 = 77;
/// The one behind [`PPI`], if there is one.
const OWN_PHYS: u16 = 26;

/// A vCPU as the host knows it. Its list registers go with it from one physical CPU to another, as a context switch has it.
struct Machine {
    running: AtomicBool,
    blocked: AtomicBool,
    processor: AtomicUsize,
    /// What the source of a resampled line says, if there is one.
    source: Option<AtomicBool>,
    lrs: [AtomicU64; LRS],
    /// As PSCI has it.
    online: AtomicBool,
    /// VMCR. Not loom's: only the physical CPU that the vCPU is on has it.
    vmcr: std::sync::atomic::AtomicU32,
    /// The PPI of the physical CPU that it is on is active. Not loom's, for the same reason.
    ppi_active: std::sync::atomic::AtomicBool,
    /// HCR_EL2.VI. The same.
    virtual_irq: std::sync::atomic::AtomicBool,
}

impl Machine {
    fn new(processor: usize, resampled: bool) -> Self {
        Self {
            running: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            processor: AtomicUsize::new(processor),
            source: resampled.then(|| AtomicBool::new(false)),
            lrs: [AtomicU64::new(0), AtomicU64::new(0)],
            online: AtomicBool::new(true),
            vmcr: std::sync::atomic::AtomicU32::new(GROUPS_ON),
            ppi_active: false.into(),
            virtual_irq: false.into(),
        }
    }
}

pub struct Mock {
    vcpus: [Machine; 2],
    /// An inter-processor interrupt is on its way to a physical CPU.
    ipi: [AtomicBool; 3],
    /// Guest memory. What is in it is not loom's, and is as it was written last; `touched` has loom try its accesses in all orders.
    memory: std::sync::Mutex<BTreeMap<u64, u8>>,
    touched: AtomicBool,
    /// What is behind [`SPI`] where it is hardware-mapped.
    physical: Mutex<Physical>,
    /// What models ask afterwards. Not loom's: looking at it must not order anything.
    pub kicks: std::sync::atomic::AtomicUsize,
    pub waits: std::sync::atomic::AtomicUsize,
}

loom::thread_local! {
    /// The vCPU whose registers this physical CPU has.
    static CURRENT: std::cell::Cell<usize> = std::cell::Cell::new(0);
}

struct Cpu<'a>(&'a Machine);

impl CpuInterface for Cpu<'_> {
    fn read_lr(&self, n: usize) -> u64 {
        self.0.lrs[n].load(Ordering::Relaxed)
    }
    fn write_lr(&self, n: usize, value: u64) {
        self.0.lrs[n].store(value, Ordering::Relaxed);
    }
    fn read_hcr(&self) -> u32 {
        1
    }
    fn write_hcr(&self, _value: u32) {}
    fn read_vmcr(&self) -> u32 {
        self.0.vmcr.load(Ordering::Relaxed)
    }
    fn can_trap_dir(&self) -> bool {
        true
    }
    fn write_vmcr(&self, _value: u32) {}
    fn read_vtr(&self) -> u32 {
        0
    }
    fn read_icc_ctlr(&self) -> u32 {
        0
    }
    fn read_active_priorities(&self, _n: usize) -> u32 {
        0
    }
    fn reset(&self) {}
    fn sync(&self) {}
    fn sync_written(&self) {}
}

impl Host for Mock {
    type Vcpu = usize;
    type Phys = Physical;

    fn name(&self) -> impl std::fmt::Display {
        "domain"
    }
    fn cpu(&self) -> impl CpuInterface {
        Cpu(&self.vcpus[CURRENT.with(|cpu| cpu.get())])
    }
    fn kick(&self, vcpu: usize) {
        let m = &self.vcpus[vcpu];
        self.kicks.fetch_add(1, Ordering::Relaxed);
        let running = m.running.load(Ordering::Relaxed);
        m.blocked.swap(false, Ordering::AcqRel);
        if running {
            // It may have moved on by now; then it has entered the guest since.
            // Not a store, which loom might put before the one that the target has taken already.
            self.ipi[m.processor.load(Ordering::Relaxed)].swap(true, Ordering::Release);
        }
    }
    fn is_blocked(&self, vcpu: usize) -> bool {
        self.vcpus[vcpu].blocked.load(Ordering::Relaxed)
    }
    fn is_online(&self, vcpu: usize) -> bool {
        self.vcpus[vcpu].online.load(Ordering::Relaxed)
    }
    fn irq_save(&self) -> usize {
        0
    }
    fn irq_restore(&self, _flags: usize) {}
    fn relax(&self) {
        self.waits.fetch_add(1, Ordering::Relaxed);
        thread::yield_now();
    }
    fn line(&self, vcpu: usize, _intid: IntId) -> Option<bool> {
        let source = self.vcpus[vcpu].source.as_ref()?;
        Some(source.load(Ordering::Relaxed))
    }
    fn phys<R>(&self, phys: u16, f: impl FnOnce(&Physical) -> R) -> Option<R> {
        (phys == PHYS).then(|| f(&self.physical.lock().unwrap()))
    }
    fn phys_has_fallen(&self, _phys: u16) -> bool {
        true
    }
    fn save_interface(&self, _vcpu: usize) -> InterfaceState {
        InterfaceState::default()
    }
    fn restore_interface(&self, _vcpu: usize, _state: &InterfaceState) {}
    fn set_own_active(&self, _phys: u16, on: bool) {
        let vcpu = CURRENT.with(|cpu| cpu.get());
        self.vcpus[vcpu].ppi_active.store(on, Ordering::Relaxed);
    }
    fn phys_affinity(&self, _phys: u16, _vcpu: usize) {}
    fn set_virtual_irq(&self, vcpu: usize, on: bool) {
        self.vcpus[vcpu].virtual_irq.store(on, Ordering::Relaxed);
    }
    fn may_set_trigger(&self) -> bool {
        false
    }
    fn read_guest(&self, address: u64, to: &mut [u8]) -> bool {
        self.touched.load(Ordering::Relaxed);
        let memory = self.memory.lock().unwrap();
        for (byte, at) in to.iter_mut().zip(address..) {
            *byte = memory.get(&at).copied().unwrap_or(0);
        }
        true
    }
    fn write_guest(&self, address: u64, from: &[u8]) -> bool {
        let bytes = (address..).zip(from.iter().copied());
        self.touched.store(true, Ordering::Relaxed);
        self.memory.lock().unwrap().extend(bytes);
        true
    }
}

pub type Vgic = Domain<Mock>;

pub fn intid(raw: u32) -> IntId {
    IntId::new(raw).unwrap()
}

pub fn vcpu(d: &Vgic, n: usize) -> &Vcpu<usize> {
    d.vcpu(VcpuId::new(n as u32).unwrap()).unwrap()
}

/// Injects [`SPI`].
pub fn inject(d: &Vgic) {
    d.inject(None, intid(SPI), true);
}

/// A private interrupt of vCPU `n`.
pub fn inject_private(d: &Vgic, n: usize, raw: u32, level: bool) {
    d.inject(Some(vcpu(d, n)), intid(raw), level);
}

/// vCPU `n` writes a word of the distributor.
pub fn write(d: &Vgic, n: usize, offset: u32, value: u64) {
    d.dist_write(vcpu(d, n), offset, Width::Word, value);
}

/// vCPU `n` reads the bit of [`SPI`].
pub fn read_bit(d: &Vgic, n: usize, offset: u32) -> bool {
    d.dist_read(vcpu(d, n), offset, Width::Word) & 1 != 0
}

/// vCPU `n` routes [`SPI`] to vCPU `to`.
pub fn retarget(d: &Vgic, n: usize, to: usize) {
    d.dist_write(vcpu(d, n), gicd::ITARGETSR32, Width::Byte, 1 << to);
}

/// The vCPU that [`SPI`] is routed to.
pub fn target(d: &Vgic) -> usize {
    let byte = d.dist_read(vcpu(d, 0), gicd::ITARGETSR32, Width::Byte);
    byte.trailing_zeros() as usize
}

/// A GICv2 domain whose guest has switched it on.
pub fn domain(vcpus: usize) -> Arc<Vgic> {
    domain_with(vcpus, false)
}

/// The same whose lines the host can look at again.
pub fn resampled_domain() -> Arc<Vgic> {
    domain_with(1, true)
}

/// Two vCPUs, and [`SPI`] is mapped to a physical interrupt.
pub fn hardware_domain() -> Arc<Vgic> {
    let d = domain(2);
    write(&d, 0, gicd::ICENABLER1, 1);
    d.connect(intid(SPI), PHYS).unwrap();
    write(&d, 0, gicd::ISENABLER1, 1);
    d
}

/// The physical interrupt fires, unless it is active: then it cannot. Its handler runs under its lock.
pub fn fire(d: &Vgic) -> bool {
    let physical = d.host().physical.lock().unwrap();
    let fires = !physical.active.swap(true, Ordering::AcqRel);
    if fires {
        inject(d);
    }
    fires
}

/// Is the physical interrupt active?
pub fn is_physical_active(d: &Vgic) -> bool {
    let physical = d.host().physical.lock().unwrap();
    physical.active.load(Ordering::Relaxed)
}

/// A GICv3 of two vCPUs, without LPIs.
pub fn gicv3() -> Config<'static> {
    Config {
        version: Version::V3,
        vcpus: 2,
        spis: 32,
        espis: 0,
        list_registers: LRS,
        format: Format::V3 { sources: false },
        regions: &[Region {
            base: 0x1000_0000,
            size: 0x4_0000,
        }],
        lpis: LpiConfig::default(),
        its: &[],
        msi_frame: None,
    }
}

/// A GICv3 domain of two vCPUs whose guest has switched it on, with [`SPI`] and [`PPI`] as in the other.
pub fn gicv3_domain() -> Arc<Vgic> {
    let d = create(&gicv3(), false);
    write(&d, 0, gicd::CTLR, 0b10);
    write(&d, 0, gicd::ICFGR2, 2);
    write(&d, 0, gicd::ISENABLER1, 1);
    write_redistributor(&d, 0, gicr::ISENABLER0, 1 << PPI);
    Arc::new(d)
}

/// The same, and [`PPI`] of vCPU 0 is mapped to that of the CPU that it is on: a timer's, whose line is vCPU 0's source.
pub fn timer_domain() -> Arc<Vgic> {
    let d = create(&gicv3(), true);
    d.connect_private(vcpu(&d, 0), intid(PPI), OWN_PHYS)
        .unwrap();
    write(&d, 0, gicd::CTLR, 0b10);
    write_redistributor(&d, 0, gicr::ISENABLER0, 1 << PPI);
    Arc::new(d)
}

/// Is the PPI of vCPU 0's physical CPU active?
pub fn is_ppi_active(d: &Vgic) -> bool {
    d.host().vcpus[0].ppi_active.load(Ordering::Relaxed)
}

/// The guest ends what its PPI is behind.
pub fn deactivate_ppi(d: &Vgic) {
    d.host().set_own_active(OWN_PHYS, false);
}

/// The PPI of vCPU 0's physical CPU, which is out of the guest, is taken if it fires.
pub fn fire_ppi(d: &Vgic) {
    CURRENT.with(|cpu| cpu.set(0));
    if source(d).is_some_and(|s| s.load(Ordering::Relaxed)) && !is_ppi_active(d) {
        d.host().set_own_active(OWN_PHYS, true);
        assert!(d.private_fired(vcpu(d, 0), intid(PPI)));
    }
}

/// vCPU 0 leaves its physical CPU. Has its timer fired?
pub fn unload(d: &Vgic) -> bool {
    CURRENT.with(|cpu| cpu.set(0));
    let line = source(d).is_some_and(|s| s.load(Ordering::Relaxed));
    let held = d.unload_private(vcpu(d, 0), intid(PPI), line);
    assert!(!is_ppi_active(d));
    schedule_out(d, 0);
    held
}

/// vCPU 0 comes to its physical CPU, and enters its guest.
pub fn load(d: &Vgic) {
    CURRENT.with(|cpu| cpu.set(0));
    let line = source(d).is_some_and(|s| s.load(Ordering::Relaxed));
    d.host().vcpus[0].running.store(true, Ordering::Relaxed);
    d.load_private(vcpu(d, 0), intid(PPI), line);
    enter(d, 0);
}

/// vCPU `n` writes a word of vCPU 0's redistributor.
pub fn write_redistributor(d: &Vgic, n: usize, offset: u64, value: u64) {
    d.redist_write(vcpu(d, n), 0, offset, Width::Word, value);
}

/// vCPU `n` reads it.
pub fn read_redistributor(d: &Vgic, n: usize, offset: u64) -> u64 {
    d.redist_read(vcpu(d, n), 0, offset, Width::Word)
}

/// A domain as its host creates it.
pub fn create(config: &Config<'_>, resampled: bool) -> Vgic {
    let d = Domain::new(config, Mock::new(resampled)).unwrap();
    for n in 0..config.vcpus {
        d.create_vcpu(VcpuId::new(n as u32).unwrap(), n).unwrap();
    }
    d
}

impl Mock {
    pub fn new(resampled: bool) -> Self {
        Self {
            vcpus: [Machine::new(0, resampled), Machine::new(1, resampled)],
            ipi: [false; 3].map(AtomicBool::new),
            memory: Default::default(),
            touched: AtomicBool::new(false),
            physical: Mutex::new(Physical::new()),
            kicks: Default::default(),
            waits: Default::default(),
        }
    }

    /// The scheduler has chosen vCPU `n`, which does not run yet.
    pub fn schedule_in(&self, n: usize) {
        CURRENT.with(|cpu| cpu.set(n));
        self.vcpus[n].running.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst); // the scheduler's lock
    }

    /// The physical CPU of vCPU `n`, which runs, takes an inter-processor interrupt, if there is one.
    pub fn is_interrupted(&self, n: usize) -> bool {
        let m = &self.vcpus[n];
        let ipi = &self.ipi[m.processor.load(Ordering::SeqCst)];
        m.running.load(Ordering::SeqCst) && ipi.swap(false, Ordering::SeqCst)
    }

    /// vCPU `n` blocks, whatever is pending.
    pub fn fall_asleep(&self, n: usize) {
        self.vcpus[n].blocked.swap(true, Ordering::AcqRel);
    }

    /// Has somebody unblocked it?
    pub fn is_woken(&self, n: usize) -> bool {
        !self.vcpus[n].blocked.load(Ordering::SeqCst)
    }

    /// HCR_EL2.VI of vCPU `n`.
    pub fn virtual_irq(&self, n: usize) -> bool {
        self.vcpus[n].virtual_irq.load(Ordering::Relaxed)
    }

    /// What the source of vCPU `n`'s lines says.
    pub fn set_source(&self, n: usize, line: bool) {
        if let Some(source) = &self.vcpus[n].source {
            source.store(line, Ordering::Relaxed);
        }
    }
}

fn domain_with(vcpus: usize, resampled: bool) -> Arc<Vgic> {
    let config = Config {
        version: Version::V2,
        vcpus,
        spis: 32,
        espis: 0,
        list_registers: LRS,
        format: Format::V2,
        regions: &[],
        lpis: LpiConfig::default(),
        its: &[],
        msi_frame: None,
    };
    let d = create(&config, resampled);
    write(&d, 0, gicd::CTLR, 1);
    write(&d, 0, gicd::ICFGR2, 2);
    d.dist_write(vcpu(&d, 0), gicd::IPRIORITYR32, Width::Byte, 0x80);
    retarget(&d, 0, 0);
    write(&d, 0, gicd::ISENABLER1, 1);
    write(&d, 0, gicd::ISENABLER0, 0xffff_0000);
    Arc::new(d)
}

/// The scheduler has chosen vCPU `n`, and it enters the guest on the physical CPU that it was on.
pub fn enter(d: &Vgic, n: usize) {
    d.host().schedule_in(n);
    d.sync_to(vcpu(d, n));
}

/// Has the scheduler chosen vCPU `n`?
pub fn is_running(d: &Vgic, n: usize) -> bool {
    d.host().vcpus[n].running.load(Ordering::SeqCst)
}

pub fn exit(d: &Vgic, n: usize) {
    CURRENT.with(|cpu| cpu.set(n));
    d.sync_from(vcpu(d, n));
}

/// An exit, and back into the guest at once.
pub fn trap(d: &Vgic, n: usize) {
    exit(d, n);
    d.sync_to(vcpu(d, n));
}

/// The scheduler has taken vCPU `n`, which has left the guest, off its physical CPU.
pub fn schedule_out(d: &Vgic, n: usize) {
    let m = &d.host().vcpus[n];
    m.running.store(false, Ordering::Relaxed);
    fence(Ordering::SeqCst); // the scheduler's lock
}

/// It has chosen another physical CPU for vCPU `n`, which does not run.
pub fn migrate(d: &Vgic, n: usize, cpu: usize) {
    d.host().vcpus[n].processor.store(cpu, Ordering::Relaxed);
    d.moved(vcpu(d, n));
}

/// Inter-processor interrupts that have been sent until now have been taken.
pub fn forget_ipis(d: &Vgic) {
    for ipi in &d.host().ipi {
        ipi.store(false, Ordering::SeqCst);
    }
}

/// A vCPU whose physical CPU was interrupted goes round once more.
pub fn settle(d: &Vgic, n: usize) {
    for _ in 0..3 {
        if d.host().is_interrupted(n) {
            trap(d, n);
        }
    }
}

/// The states in which list registers of vCPU `n` show an interrupt: bit 0 pending, bit 1 active.
pub fn shown(d: &Vgic, n: usize, raw: u32) -> Vec<u64> {
    let (number, state) = fields(d);
    let lrs = &d.host().vcpus[n].lrs;
    lrs.iter()
        .map(|lr| lr.load(Ordering::SeqCst))
        .filter(|lr| lr & number == u64::from(raw) && lr >> state & 3 != 0)
        .map(|lr| lr >> state & 3)
        .collect()
}

/// In a list register: the mask of the INTID, and where the state is.
fn fields(d: &Vgic) -> (u64, u32) {
    match d.format() {
        Format::V2 => (0x3ff, 28),
        Format::V3 { .. } => (0xffff_ffff, 62),
    }
}

/// The guest of vCPU `n` enables or disables the groups at its CPU interface.
pub fn set_groups(d: &Vgic, n: usize, on: bool) {
    let vmcr = if on { GROUPS_ON } else { GROUPS_OFF };
    d.host().vcpus[n].vmcr.store(vmcr, Ordering::Relaxed);
}

/// PSCI CPU_OFF of vCPU `n`, which has left the guest.
pub fn switch_off(d: &Vgic, n: usize) {
    d.host().vcpus[n].online.swap(false, Ordering::AcqRel);
    d.cpu_off(vcpu(d, n));
}

/// The guest moves what its list registers show of an interrupt from one state to another.
pub fn guest(d: &Vgic, n: usize, raw: u32, from: u64, to: u64) {
    let (number, state) = fields(d);
    for lr in &d.host().vcpus[n].lrs {
        let old = lr.load(Ordering::Relaxed);
        if old & number == u64::from(raw) && old >> state & 3 == from {
            lr.store(old & !(3 << state) | to << state, Ordering::Relaxed);
            return;
        }
    }
    panic!("no list register shows {raw} in state {from}");
}

/// The vCPU blocks, whatever is pending.
pub fn fall_asleep(d: &Vgic, n: usize) {
    d.host().fall_asleep(n);
}

/// The vCPU blocks, unless it should not. Says whether it sleeps.
pub fn block(d: &Vgic, n: usize) -> bool {
    fall_asleep(d, n);
    !d.has_pending(vcpu(d, n))
}

/// Has somebody unblocked it?
pub fn is_woken(d: &Vgic, n: usize) -> bool {
    d.host().is_woken(n)
}

/// The source of vCPU 0's resampled lines.
pub fn source(d: &Vgic) -> Option<&AtomicBool> {
    d.host().vcpus[0].source.as_ref()
}

/// Runs a model in every order of its threads' accesses with so many preemptions.
pub fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    let runs = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = runs.clone();
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    println!("{} executions", runs.load(Ordering::Relaxed));
}
