// SPDX-License-Identifier: GPL-2.0-only
//! A host for tests: one CPU interface for each vCPU, physical interrupts that remember what was done to them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

pub(crate) mod chance;
pub(crate) mod history;

use crate::config::{Config, Limits, LpiConfig, Region, Version};
use crate::domain::Domain;
use crate::host::{Backing, CpuInterface, Host, InterfaceState, PhysIrq};
use crate::intid::{IntId, VcpuId};
use crate::irq::Event;
use crate::lr::Format;
use crate::vcpu::Vcpu;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst};

/// A physical interrupt.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Phys {
    pub(crate) enabled: bool,
    pub(crate) pending: bool,
    pub(crate) active: bool,
    pub(crate) level: bool,
    /// It is an edge, whatever the guest says.
    pub(crate) edge: bool,
    /// The trigger was changed while enabled.
    pub(crate) torn: bool,
    /// The vCPU that it follows.
    pub(crate) follows: Option<usize>,
}

/// The same under its lock.
pub(crate) struct Locked(Cell<Phys>);

impl Locked {
    fn with(&self, f: impl FnOnce(&mut Phys)) {
        let mut phys = self.0.get();
        f(&mut phys);
        self.0.set(phys);
    }
}

impl PhysIrq for Locked {
    fn set_enabled(&self, on: bool) {
        self.with(|phys| phys.enabled = on);
    }
    fn set_trigger(&self, level: bool) {
        self.with(|phys| {
            phys.torn |= phys.enabled;
            phys.level = level;
        });
    }
    fn set_active(&self, on: bool) {
        self.with(|phys| phys.active = on);
    }
    fn set_pending(&self, on: bool) {
        self.with(|phys| phys.pending = on);
    }
    fn is_pending(&self) -> bool {
        self.0.get().pending
    }
    fn has_fallen(&self) -> bool {
        let phys = self.0.get();
        !phys.pending && !phys.edge
    }
}

/// A virtual CPU interface without any behaviour.
#[derive(Default)]
pub(crate) struct Cpu {
    pub(crate) lrs: [AtomicU64; 16],
    pub(crate) hcr: AtomicU32,
    pub(crate) vmcr: AtomicU32,
    pub(crate) traps_dir: bool,
    pub(crate) vtr: u32,
    /// Of Group 0 or, where a test does not tell them apart, of both.
    pub(crate) active_priorities: [AtomicU32; 4],
    pub(crate) sre: AtomicU32,
    /// Of Group 1.
    pub(crate) ap1r: [AtomicU32; 4],
    /// Something was written that a memory-mapped CPU interface need not show yet.
    pub(crate) unseen: AtomicBool,
}

impl CpuInterface for &Cpu {
    fn read_lr(&self, n: usize) -> u64 {
        self.lrs[n].load(SeqCst)
    }
    fn write_lr(&self, n: usize, value: u64) {
        self.unseen.store(true, SeqCst);
        self.lrs[n].store(value, SeqCst);
    }
    fn read_hcr(&self) -> u32 {
        self.hcr.load(SeqCst)
    }
    fn write_hcr(&self, value: u32) {
        self.unseen.store(true, SeqCst);
        self.hcr.store(value, SeqCst);
    }
    fn read_vmcr(&self) -> u32 {
        self.vmcr.load(SeqCst)
    }
    fn reset(&self) {
        self.unseen.store(true, SeqCst);
        self.vmcr.store(0, SeqCst);
    }
    fn sync(&self) {}
    fn sync_written(&self) {
        self.unseen.store(false, SeqCst);
    }
    fn can_trap_dir(&self) -> bool {
        self.traps_dir
    }
    fn write_vmcr(&self, value: u32) {
        self.vmcr.store(value, SeqCst);
    }
    fn read_vtr(&self) -> u32 {
        self.vtr
    }
    fn read_icc_ctlr(&self) -> u32 {
        !0
    }
    fn read_active_priorities(&self, n: usize) -> u32 {
        self.active_priorities[n].load(SeqCst) | self.ap1r[n].load(SeqCst)
    }
}

type Hook = Box<dyn FnMut() + Send>;

#[derive(Default)]
pub(crate) struct Fake {
    /// By number of vCPU.
    pub(crate) cpus: Vec<Cpu>,
    /// Whose CPU interface is that of this physical CPU.
    pub(crate) current: AtomicUsize,
    /// Who was kicked since [`Fake::kicked`].
    kicks: Mutex<Vec<usize>>,
    pub(crate) phys: Mutex<HashMap<u16, Phys>>,
    /// The line of any private interrupt, if it can be seen.
    pub(crate) line: Mutex<Option<bool>>,
    /// Which vCPUs are switched off.
    pub(crate) off: Mutex<HashSet<usize>>,
    pub(crate) sets_trigger: AtomicBool,
    masked: AtomicUsize,
    /// The IRQ line of each vCPU's guest, as it was told last.
    pub(crate) virtual_irq: Mutex<HashMap<usize, bool>>,
    /// What happens just before a physical interrupt is locked.
    pub(crate) before_phys: Mutex<Option<Hook>>,
    /// What happens while somebody waits.
    pub(crate) while_waiting: Mutex<Option<Hook>>,
    /// What happens while guest memory is read.
    pub(crate) while_reading: Mutex<Option<Hook>>,
    /// Guest memory: pages that are there.
    pub(crate) memory: Mutex<HashMap<u64, [u8; 4096]>>,
    /// Reads of guest memory.
    pub(crate) reads: AtomicU32,
    /// Writes to it.
    pub(crate) writes: AtomicU32,
    /// What is mapped at the host's ITS: devices with their event bits, events with their LPIs.
    pub(crate) devices: Mutex<HashMap<(u16, u32), u32>>,
    pub(crate) events: Mutex<HashMap<(u16, u32, u32), IntId>>,
    /// Where their physical LPIs go.
    pub(crate) routes: Mutex<HashMap<(u16, u32, u32), usize>>,
    /// The host maps nothing more.
    pub(crate) refuses: AtomicBool,
    /// Nor, if this is not 0, a device with more events, as a power of 2.
    pub(crate) most_bits: AtomicUsize,
    /// Devices from this number on are device models', if it is not 0.
    pub(crate) software_from: AtomicU32,
}

impl Fake {
    /// A host of these CPUs.
    pub(crate) fn on(cpus: Vec<Cpu>) -> Self {
        Self {
            cpus,
            ..Self::default()
        }
    }

    pub(crate) fn kicked(&self) -> Vec<usize> {
        let mut kicked = std::mem::take(&mut *self.kicks.lock().unwrap());
        kicked.sort_unstable();
        kicked.dedup();
        kicked
    }

    /// Guest memory from `address` on has these bytes.
    pub(crate) fn poke(&self, address: u64, bytes: &[u8]) {
        let mut memory = self.memory.lock().unwrap();
        let mut at = address;
        let mut left = bytes;
        while !left.is_empty() {
            let offset = (at & 0xfff) as usize;
            let (here, rest) = left.split_at(left.len().min(4096 - offset));
            let page = memory.entry(at & !0xfff).or_insert([0; 4096]);
            page[offset..][..here.len()].copy_from_slice(here);
            at += here.len() as u64;
            left = rest;
        }
    }

    fn is_software(&self, device: u32) -> bool {
        let from = self.software_from.load(SeqCst);
        from != 0 && device >= from
    }

    /// A byte of guest memory.
    pub(crate) fn peek(&self, address: u64) -> Option<u8> {
        let memory = self.memory.lock().unwrap();
        let page = memory.get(&(address & !0xfff))?;
        Some(page[(address & 0xfff) as usize])
    }

    pub(crate) fn phys_state(&self, phys: u16) -> Phys {
        self.phys.lock().unwrap()[&phys]
    }

    pub(crate) fn change(&self, phys: u16, f: impl FnOnce(&mut Phys)) {
        f(self.phys.lock().unwrap().entry(phys).or_default());
    }
}

impl Host for Fake {
    type Vcpu = usize;
    type Phys = Locked;

    fn name(&self) -> impl std::fmt::Display {
        "domain"
    }
    fn cpu(&self) -> impl CpuInterface {
        &self.cpus[self.current.load(SeqCst)]
    }
    fn kick(&self, vcpu: usize) {
        self.kicks.lock().unwrap().push(vcpu);
    }
    fn is_blocked(&self, _: usize) -> bool {
        false
    }
    fn is_online(&self, vcpu: usize) -> bool {
        !self.off.lock().unwrap().contains(&vcpu)
    }
    fn irq_save(&self) -> usize {
        self.masked.fetch_add(1, SeqCst)
    }
    fn irq_restore(&self, flags: usize) {
        self.masked.store(flags, SeqCst);
    }
    fn relax(&self) {
        let hook = self.while_waiting.lock().unwrap().take();
        if let Some(mut hook) = hook {
            hook();
        }
    }
    fn line(&self, _: usize, _: IntId) -> Option<bool> {
        *self.line.lock().unwrap()
    }
    fn save_interface(&self, vcpu: usize) -> InterfaceState {
        let cpu = &self.cpus[vcpu];
        InterfaceState {
            vmcr: cpu.vmcr.load(SeqCst),
            sre: cpu.sre.load(SeqCst),
            ap0r: [0, 1, 2, 3].map(|n| cpu.active_priorities[n].load(SeqCst)),
            ap1r: [0, 1, 2, 3].map(|n| cpu.ap1r[n].load(SeqCst)),
        }
    }
    fn restore_interface(&self, vcpu: usize, state: &InterfaceState) {
        let cpu = &self.cpus[vcpu];
        cpu.vmcr.store(state.vmcr, SeqCst);
        cpu.sre.store(state.sre, SeqCst);
        for n in 0..4 {
            cpu.active_priorities[n].store(state.ap0r[n], SeqCst);
            cpu.ap1r[n].store(state.ap1r[n], SeqCst);
        }
    }
    fn set_own_active(&self, phys: u16, on: bool) {
        assert_ne!(self.masked.load(SeqCst), 0, "interrupts must be masked");
        self.change(phys, |phys| phys.active = on);
    }
    fn phys<R>(&self, phys: u16, f: impl FnOnce(&Locked) -> R) -> Option<R> {
        let hook = self.before_phys.lock().unwrap().take();
        if let Some(mut hook) = hook {
            hook();
        }
        let mut all = self.phys.lock().unwrap();
        let slot = all.get_mut(&phys)?;
        let locked = Locked(Cell::new(*slot));
        let result = f(&locked);
        *slot = locked.0.get();
        Some(result)
    }
    fn phys_has_fallen(&self, phys: u16) -> bool {
        let hook = self.before_phys.lock().unwrap().take();
        if let Some(mut hook) = hook {
            hook();
        }
        let all = self.phys.lock().unwrap();
        all.get(&phys)
            .is_some_and(|phys| Locked(Cell::new(*phys)).has_fallen())
    }
    fn phys_affinity(&self, phys: u16, vcpu: usize) {
        assert_ne!(self.masked.load(SeqCst), 0, "interrupts must be masked");
        self.change(phys, |phys| phys.follows = Some(vcpu));
    }
    fn may_set_trigger(&self) -> bool {
        self.sets_trigger.load(SeqCst)
    }
    fn set_virtual_irq(&self, vcpu: usize, on: bool) {
        let before = self.virtual_irq.lock().unwrap().insert(vcpu, on);
        assert_ne!(before.unwrap_or(false), on, "no change");
    }
    fn read_guest(&self, address: u64, to: &mut [u8]) -> bool {
        self.reads.fetch_add(1, SeqCst);
        assert!(address >> 52 == 0, "beyond any address: {address:#x}");
        let hook = self.while_reading.lock().unwrap().take();
        if let Some(mut hook) = hook {
            hook();
        }
        // What is read is aligned to its size.
        let memory = self.memory.lock().unwrap();
        let page = memory.get(&(address & !0xfff));
        if let Some(page) = page {
            to.copy_from_slice(&page[(address & 0xfff) as usize..][..to.len()]);
        }
        page.is_some()
    }
    fn write_guest(&self, address: u64, from: &[u8]) -> bool {
        self.writes.fetch_add(1, SeqCst);
        assert!(address >> 52 == 0, "beyond any address: {address:#x}");
        let last = address + from.len() as u64 - 1;
        assert_eq!(address & !0xfff, last & !0xfff, "of two pages");
        let there = self.peek(address).is_some();
        if there {
            self.poke(address, from);
        }
        there
    }
    fn map_device(&self, its: u16, device: u32, event_bits: Option<u32>) -> Backing {
        let mut devices = self.devices.lock().unwrap();
        match event_bits {
            Some(_) if self.refuses.load(SeqCst) => return Backing::Refused,
            Some(_) if self.is_software(device) => return Backing::Software,
            Some(bits) if (1..bits as usize).contains(&self.most_bits.load(SeqCst)) => {
                return Backing::Refused;
            }
            Some(bits) => assert_eq!(devices.insert((its, device), bits), None),
            None => {
                assert!(devices.remove(&(its, device)).is_some());
                let others = |i, d| (i, d) != (its, device);
                (self.events.lock().unwrap()).retain(|(i, d, _), _| others(*i, *d));
                (self.routes.lock().unwrap()).retain(|(i, d, _), _| others(*i, *d));
            }
        }
        Backing::Hardware
    }
    fn map_event(&self, its: u16, device: u32, event: u32, intid: IntId) -> bool {
        if self.refuses.load(SeqCst) {
            return false;
        }
        let there = self.devices.lock().unwrap().contains_key(&(its, device));
        if there {
            let mut events = self.events.lock().unwrap();
            events.insert((its, device, event), intid);
        }
        there
    }
    fn unmap_event(&self, its: u16, device: u32, event: u32) {
        let gone = self.events.lock().unwrap().remove(&(its, device, event));
        assert!(gone.is_some());
        self.routes.lock().unwrap().remove(&(its, device, event));
    }
    fn route_event(&self, its: u16, device: u32, event: u32, vcpu: usize) {
        let at = (its, device, event);
        assert!(self.events.lock().unwrap().contains_key(&at));
        self.routes.lock().unwrap().insert(at, vcpu);
    }
}

/// A GICv3 domain of one region of redistributors, for tests to say where theirs is otherwise.
pub(crate) const V3: Config<'static> = Config {
    version: Version::V3,
    vcpus: 2,
    spis: 32,
    espis: 0,
    list_registers: 4,
    format: Format::V3 { sources: false },
    regions: &[Region {
        base: 0x1000_0000,
        size: 0x10_0000,
    }],
    lpis: LpiConfig {
        id_bits: 0,
        limits: Limits {
            lpis: 0,
            devices: 0,
            events: 0,
        },
    },
    its: &[],
    msi_frame: None,
};

/// A domain of which the host has created the first `created` vCPUs.
pub(crate) fn domain_of(config: &Config<'_>, created: usize) -> Domain<Fake> {
    domain_on(config, created, || Cpu {
        traps_dir: config.format != Format::V2,
        ..Cpu::default()
    })
}

/// The same on CPUs like this one.
pub(crate) fn domain_on(
    config: &Config<'_>,
    created: usize,
    cpu: impl Fn() -> Cpu,
) -> Domain<Fake> {
    let host = Fake::on((0..config.vcpus).map(|_| cpu()).collect());
    let domain = Domain::new(config, host).unwrap();
    for n in 0..created {
        let id = VcpuId::new(n as u32).unwrap();
        domain.create_vcpu(id, n).unwrap();
    }
    domain
}

/// A GICv2 domain with four list registers.
pub(crate) fn v2(vcpus: usize, spis: usize) -> Domain<Fake> {
    let config = Config {
        version: Version::V2,
        vcpus,
        spis,
        espis: 0,
        list_registers: 4,
        format: Format::V2,
        regions: &[],
        lpis: LpiConfig::default(),
        its: &[],
        msi_frame: None,
    };
    domain_of(&config, vcpus)
}

/// A GICv3 domain with four list registers; redistributors in two regions, of which the first has room for two.
pub(crate) fn v3(vcpus: usize, spis: usize, espis: usize) -> Domain<Fake> {
    v3_on(vcpus, spis, espis, || Cpu {
        traps_dir: true,
        ..Cpu::default()
    })
}

/// The same on CPUs like this one.
pub(crate) fn v3_on(
    vcpus: usize,
    spis: usize,
    espis: usize,
    cpu: impl Fn() -> Cpu,
) -> Domain<Fake> {
    let config = Config {
        vcpus,
        spis,
        espis,
        regions: &[
            Region {
                base: 0x1000_0000,
                size: 0x4_0000,
            },
            Region {
                base: 0x2000_0000,
                size: 0x100_0000,
            },
        ],
        ..V3
    };
    domain_on(&config, vcpus, cpu)
}

impl Domain<Fake> {
    pub(crate) fn v(&self, n: u32) -> &Vcpu<usize> {
        self.slot(VcpuId::new(n).unwrap()).unwrap()
    }

    /// Enters the guest of a vCPU on its own physical CPU.
    pub(crate) fn enter(&self, n: u32) {
        self.host.current.store(n as usize, SeqCst);
        self.sync_to(self.v(n));
    }

    /// Leaves it.
    pub(crate) fn leave(&self, n: u32) {
        self.host.current.store(n as usize, SeqCst);
        self.sync_from(self.v(n));
    }

    /// An SPI becomes pending for vCPU 0.
    pub(crate) fn raise(&self, raw: u32, priority: u8, group1: bool) {
        let v = self.v(0);
        let intid = IntId::new(raw).unwrap();
        for event in [
            Event::Targets(1, Some(v.id())),
            Event::Priority(priority),
            Event::Group1(group1),
            Event::Enable(true),
        ] {
            self.post(v, intid, event);
        }
        self.inject(None, intid, true);
    }

    /// The guest of vCPU 0 acknowledges all that its list registers have, and exits.
    pub(crate) fn acknowledge_all(&self) {
        for lr in &self.host.cpus[0].lrs[..self.list_registers] {
            lr.store(lr.load(SeqCst) & !(3 << 28) | 2 << 28, SeqCst);
        }
        self.leave(0);
    }

    /// Every vCPU has seen what was asked of it.
    pub(crate) fn settle(&self) {
        for v in self.created() {
            self.enter(v.id().raw().into());
            self.leave(v.id().raw().into());
        }
        self.host.kicked();
    }

    /// The INTIDs in a vCPU's list registers.
    pub(crate) fn loaded(&self, n: u32) -> Vec<u16> {
        let lrs = &self.host.cpus[n as usize].lrs;
        let mut loaded: Vec<u16> = lrs
            .iter()
            .map(|lr| lr.load(SeqCst))
            .filter(|lr| *lr != 0)
            .map(|lr| self.format.intid(lr))
            .collect();
        loaded.sort_unstable();
        loaded
    }

    /// Connects an SPI to a physical interrupt of the same number.
    pub(crate) fn connected_spi(&self, raw: u16) -> IntId {
        let intid = IntId::new(raw.into()).unwrap();
        self.host.change(raw, |_| {});
        self.connect(intid, raw).unwrap();
        intid
    }
}
