// SPDX-License-Identifier: GPL-2.0-only
//! The races of the design, explored by loom on the real code.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p rust-vgic --release --test loom`
//!
//! Each model runs a domain of one or two vCPUs on loom's threads, in a host that does what a hypervisor does:
//! a kick unblocks the vCPU, and if it is running sends an inter-processor interrupt. At the end, a vCPU that was
//! interrupted leaves the guest and enters it once more; then every interrupt must be where it belongs, once.
#![cfg(loom)]

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use loom::thread;
use rust_vgic::lr::Format;
use rust_vgic::{Config, CpuInterface, Domain, Host, IntId, PhysIrq, Vcpu, VcpuId, Version, Width};

const SPI: u32 = 32;
const LRS: usize = 2;

/// A vCPU as the host knows it, each with a physical CPU of its own.
struct Machine {
    running: AtomicBool,
    blocked: AtomicBool,
    /// An inter-processor interrupt is on its way.
    ipi: AtomicBool,
    /// What the source of a resampled line says, if there is one.
    source: Option<AtomicBool>,
    lrs: [AtomicU64; LRS],
}

impl Machine {
    fn new(resampled: bool) -> Self {
        Self {
            running: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            ipi: AtomicBool::new(false),
            source: resampled.then(|| AtomicBool::new(false)),
            lrs: [AtomicU64::new(0), AtomicU64::new(0)],
        }
    }
}

struct Mock([Machine; 2]);

loom::thread_local! {
    static CPU: std::cell::Cell<usize> = std::cell::Cell::new(0);
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
        0xf800_0003
    }
    fn can_trap_dir(&self) -> bool {
        false
    }
    fn reset(&self) {}
    fn sync(&self) {}
}

struct NoPhys;

impl PhysIrq for NoPhys {
    fn set_enabled(&self, _on: bool) {}
    fn set_trigger(&self, _level: bool) {}
    fn set_active(&self, _on: bool) {}
    fn set_pending(&self, _on: bool) {}
    fn is_pending(&self) -> bool {
        false
    }
}

impl Host for Mock {
    type Vcpu = usize;
    type Phys = NoPhys;

    fn cpu(&self) -> impl CpuInterface {
        Cpu(&self.0[CPU.with(|cpu| cpu.get())])
    }
    fn kick(&self, vcpu: usize) {
        let m = &self.0[vcpu];
        let running = m.running.load(Ordering::Relaxed);
        m.blocked.swap(false, Ordering::AcqRel);
        if running {
            m.ipi.store(true, Ordering::Release);
        }
    }
    fn is_blocked(&self, vcpu: usize) -> bool {
        self.0[vcpu].blocked.load(Ordering::Relaxed)
    }
    fn irq_save(&self) -> usize {
        0
    }
    fn irq_restore(&self, _flags: usize) {}
    fn relax(&self) {
        thread::yield_now();
    }
    fn line(&self, vcpu: usize, _intid: IntId) -> Option<bool> {
        let source = self.0[vcpu].source.as_ref()?;
        Some(source.load(Ordering::SeqCst))
    }
    fn phys<R>(&self, _phys: u16, _f: impl FnOnce(&NoPhys) -> R) -> Option<R> {
        None
    }
    fn phys_affinity(&self, _phys: u16, _vcpu: usize) {}
    fn may_set_trigger(&self) -> bool {
        false
    }
}

type Vgic = Domain<Mock>;

fn intid(raw: u32) -> IntId {
    IntId::new(raw).unwrap()
}

fn vcpu(d: &Vgic, n: usize) -> &Vcpu<usize> {
    d.vcpu(VcpuId::new(n as u32).unwrap()).unwrap()
}

fn machine(d: &Vgic, n: usize) -> &Machine {
    &d.host().0[n]
}

/// A GICv2 domain whose guest has switched it on, with SPI 32 edge-triggered, enabled, for vCPU 0.
fn domain(vcpus: usize, resampled: bool) -> Arc<Vgic> {
    let host = Mock([Machine::new(resampled), Machine::new(resampled)]);
    let config = Config {
        version: Version::V2,
        vcpus,
        spis: 32,
        espis: 0,
        list_registers: LRS,
        format: Format::V2,
        regions: &[],
    };
    let d = Domain::new(&config, host).unwrap();
    for n in 0..vcpus {
        d.create_vcpu(VcpuId::new(n as u32).unwrap(), n).unwrap();
    }
    let v = vcpu(&d, 0);
    d.dist_write(v, 0, Width::Word, 1);
    d.dist_write(v, 0xc08, Width::Word, 2); // ICFGR2: edge-triggered
    d.dist_write(v, 0x820, Width::Byte, 1); // ITARGETSR
    d.dist_write(v, 0x104, Width::Word, 1); // ISENABLER1
    d.dist_write(v, 0x100, Width::Word, 0xffff_0000); // PPIs
    Arc::new(d)
}

/// The scheduler has chosen vCPU `n`, and it enters the guest on CPU `n`.
fn enter(d: &Vgic, n: usize) {
    CPU.with(|cpu| cpu.set(n));
    machine(d, n).running.store(true, Ordering::Relaxed);
    fence(Ordering::SeqCst); // the scheduler's lock
    d.sync_to(vcpu(d, n));
}

fn exit(d: &Vgic, n: usize) {
    CPU.with(|cpu| cpu.set(n));
    d.sync_from(vcpu(d, n));
}

/// A vCPU that was interrupted goes round once more.
fn settle(d: &Vgic, n: usize) {
    for _ in 0..3 {
        let m = machine(d, n);
        if m.running.load(Ordering::SeqCst) && m.ipi.swap(false, Ordering::SeqCst) {
            exit(d, n);
            d.sync_to(vcpu(d, n));
        }
    }
}

/// The states in which list registers of vCPU `n` show the interrupt: bit 0 pending, bit 1 active.
fn shown(d: &Vgic, n: usize, raw: u32) -> Vec<u64> {
    let lrs = machine(d, n).lrs.iter().map(|lr| lr.load(Ordering::SeqCst));
    lrs.filter(|lr| lr & 0x3ff == u64::from(raw) && lr >> 28 & 3 != 0)
        .map(|lr| lr >> 28 & 3)
        .collect()
}

/// The guest moves what its first list register shows from one state to another.
fn guest(d: &Vgic, n: usize, from: u64, to: u64) {
    let lr = &machine(d, n).lrs[0];
    let old = lr.load(Ordering::Relaxed);
    assert_eq!(old >> 28 & 3, from);
    lr.store(old & !(3 << 28) | to << 28, Ordering::Relaxed);
}

/// The vCPU blocks, unless it should not. Says whether it sleeps for good.
fn block(d: &Vgic, n: usize) -> bool {
    machine(d, n).blocked.swap(true, Ordering::AcqRel);
    fence(Ordering::SeqCst);
    !d.has_pending(vcpu(d, n))
}

fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    let runs = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = runs.clone();
    builder.check(move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        model();
    });
    println!(
        "{} executions",
        runs.load(std::sync::atomic::Ordering::Relaxed)
    );
}

#[test]
fn injection_against_entry() {
    explore(8, || {
        let d = domain(1, false);
        let other = d.clone();
        let t = thread::spawn(move || other.inject(None, intid(SPI), true));
        enter(&d, 0);
        t.join().unwrap();
        settle(&d, 0);
        assert_eq!(shown(&d, 0, SPI), [1]);
    });
}

#[test]
fn two_injectors_against_entry() {
    explore(4, || {
        let d = domain(1, false);
        let (a, b) = (d.clone(), d.clone());
        let t = thread::spawn(move || a.inject(None, intid(SPI), true));
        let u = thread::spawn(move || b.inject(Some(vcpu(&b, 0)), intid(27), true));
        enter(&d, 0);
        t.join().unwrap();
        u.join().unwrap();
        settle(&d, 0);
        assert_eq!(shown(&d, 0, SPI), [1]);
        assert_eq!(shown(&d, 0, 27), [1]);
    });
}

/// The first edge has been acknowledged (2) or ended (0) when the second arrives.
fn second_edge(state: u64, then: u64) {
    explore(8, move || {
        let d = domain(1, false);
        d.inject(None, intid(SPI), true);
        enter(&d, 0);
        guest(&d, 0, 1, state);
        machine(&d, 0).ipi.store(false, Ordering::SeqCst);
        let other = d.clone();
        let t = thread::spawn(move || other.inject(None, intid(SPI), true));
        exit(&d, 0);
        d.sync_to(vcpu(&d, 0));
        t.join().unwrap();
        settle(&d, 0);
        assert_eq!(shown(&d, 0, SPI), [then]);
    });
}

#[test]
fn second_edge_against_exit_with_the_first_active() {
    second_edge(2, 3);
}

#[test]
fn second_edge_against_exit_with_the_first_ended() {
    second_edge(0, 1);
}

fn injection_against_blocking_after(before: fn(&Vgic)) {
    explore(8, move || {
        let d = domain(1, false);
        enter(&d, 0);
        exit(&d, 0);
        before(&d);
        let other = d.clone();
        let t = thread::spawn(move || other.inject(None, intid(SPI), true));
        let sleeps = block(&d, 0);
        t.join().unwrap();
        let woken = !machine(&d, 0).blocked.load(Ordering::SeqCst);
        assert!(!sleeps || woken, "blocked with an interrupt pending");
    });
}

#[test]
fn injection_against_blocking() {
    injection_against_blocking_after(|_| {});
}

#[test]
fn injection_against_blocking_with_a_kick_used_up() {
    injection_against_blocking_after(|d| {
        // Kicks, and then is disabled, so that it cannot be what keeps the vCPU awake.
        d.inject(Some(vcpu(d, 0)), intid(30), true);
        d.dist_write(vcpu(d, 0), 0x180, Width::Word, 1 << 30);
    });
}

#[test]
fn retarget_against_injection_with_the_old_target_switched_off() {
    explore(8, || {
        let d = domain(2, false);
        let other = d.clone();
        let t = thread::spawn(move || other.inject(None, intid(SPI), true));
        d.dist_write(vcpu(&d, 1), 0x820, Width::Byte, 2);
        t.join().unwrap();
        enter(&d, 1);
        assert_eq!(
            shown(&d, 1, SPI),
            [1],
            "left in the inbox of a vCPU that never runs"
        );
        enter(&d, 0);
        assert!(shown(&d, 0, SPI).is_empty());
    });
}

#[test]
fn retarget_out_of_a_list_register_against_entry() {
    explore(8, || {
        let d = domain(2, false);
        d.inject(None, intid(SPI), true);
        enter(&d, 0);
        exit(&d, 0);
        machine(&d, 0).ipi.store(false, Ordering::SeqCst);
        let other = d.clone();
        let t = thread::spawn(move || other.dist_write(vcpu(&other, 1), 0x820, Width::Byte, 2));
        enter(&d, 0);
        t.join().unwrap();
        settle(&d, 0);
        enter(&d, 1);
        settle(&d, 1);
        assert!(shown(&d, 0, SPI).is_empty(), "delivered twice");
        assert_eq!(shown(&d, 1, SPI), [1]);
    });
}

#[test]
fn retarget_to_and_fro_against_injection() {
    explore(4, || {
        let d = domain(2, false);
        let (a, b) = (d.clone(), d.clone());
        let t = thread::spawn(move || a.inject(None, intid(SPI), true));
        let u = thread::spawn(move || b.dist_write(vcpu(&b, 1), 0x820, Width::Byte, 2));
        d.dist_write(vcpu(&d, 0), 0x820, Width::Byte, 1);
        t.join().unwrap();
        u.join().unwrap();
        enter(&d, 0);
        enter(&d, 1);
        settle(&d, 0);
        settle(&d, 1);
        assert_eq!([shown(&d, 0, SPI), shown(&d, 1, SPI)].concat(), [1]);
    });
}

#[test]
fn disable_against_injection_and_entry() {
    explore(4, || {
        let d = domain(1, false);
        let (a, b) = (d.clone(), d.clone());
        let t = thread::spawn(move || a.inject(None, intid(SPI), true));
        let u = thread::spawn(move || b.dist_write(vcpu(&b, 0), 0x184, Width::Word, 1));
        enter(&d, 0);
        t.join().unwrap();
        u.join().unwrap();
        settle(&d, 0);
        assert!(shown(&d, 0, SPI).is_empty(), "delivered though disabled");
        d.dist_write(vcpu(&d, 0), 0x104, Width::Word, 1);
        settle(&d, 0);
        assert_eq!(shown(&d, 0, SPI), [1], "lost while disabled");
    });
}

#[test]
fn lowering_a_resampled_line_against_raising_it() {
    explore(8, || {
        let d = domain(1, true);
        let ppi = intid(31);
        d.inject(Some(vcpu(&d, 0)), ppi, true);
        let other = d.clone();
        let t = thread::spawn(move || {
            if let Some(source) = &machine(&other, 0).source {
                source.swap(true, Ordering::SeqCst);
            }
            fence(Ordering::SeqCst);
            other.inject(Some(vcpu(&other, 0)), ppi, true);
        });
        let source = machine(&d, 0).source.as_ref();
        let level = source.is_some_and(|source| source.load(Ordering::SeqCst));
        d.inject(Some(vcpu(&d, 0)), ppi, level);
        t.join().unwrap();
        enter(&d, 0);
        assert_eq!(shown(&d, 0, 31), [1], "the source is high, the line low");
    });
}

#[test]
fn remote_read_against_exit() {
    explore(4, || {
        let d = domain(2, false);
        d.inject(None, intid(SPI), true);
        enter(&d, 0);
        let other = d.clone();
        let t = thread::spawn(move || other.dist_read(vcpu(&other, 1), 0x204, Width::Word) & 1);
        // The guest takes the interrupt and ends it before it next leaves.
        guest(&d, 0, 1, 0);
        exit(&d, 0);
        t.join().unwrap();
        assert_eq!(d.dist_read(vcpu(&d, 1), 0x204, Width::Word) & 1, 0);
    });
}
