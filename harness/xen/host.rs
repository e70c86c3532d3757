// SPDX-License-Identifier: GPL-2.0-only
//! The machine: physical CPUs with their virtual CPU interfaces, a physical GIC, and Xen's way through an
//! interrupt, an exit from a guest and an entry to it.
//!
//! A physical CPU is a token, not a thread: whoever does something on it claims it, and the code that runs
//! meanwhile finds it as "this CPU". So the same scenario runs with a thread per vCPU, or step by step on one thread.

use crate::lock::lock;
use crate::machine::bell::Bell;
use crate::machine::cpuif::{VirtualCpuInterface, hcr, vmcr};
use crate::machine::physgic::PhysicalGic;
use crate::machine::profile::Profile;
use crate::notes;
use crate::xen::abi;
use crate::xen::faults;
use crate::xen::flaws;
use crate::xen::functions::RawVcpu;
use crate::xen::vcpu::Vcpu;
use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// Things counted per physical CPU.
#[derive(Default)]
pub struct Counters {
    pub exits: AtomicU64,
    pub ipis: AtomicU64,
    pub maintenance: AtomicU64,
    pub interrupts: AtomicU64,
}

/// One physical CPU.
pub struct Pcpu {
    pub index: usize,
    claim: Mutex<()>,
    bell: Arc<Bell>,
    interface: Mutex<VirtualCpuInterface>,
    /// `current` of Xen: a vCPU, or the idle one.
    current: AtomicPtr<RawVcpu>,
    idle: *mut RawVcpu,
    running: Mutex<Option<Arc<Vcpu>>>,
    in_guest: AtomicBool,
    irqs_on: AtomicBool,
    in_irq: AtomicBool,
    /// A host interrupt's handler runs: the running priority keeps others but IPIs away.
    in_handler: AtomicBool,
    pub counters: Counters,
}

// SAFETY: the idle vCPU belongs to the machine, which outlives all that runs on it; it is only passed to the C half.
unsafe impl Send for Pcpu {}
// SAFETY: as above.
unsafe impl Sync for Pcpu {}

impl Pcpu {
    /// The virtual CPU interface. Short: never while a function of the vGIC is called.
    pub fn interface(&self) -> MutexGuard<'_, VirtualCpuInterface> {
        lock(&self.interface)
    }

    pub(crate) fn current(&self) -> *mut RawVcpu {
        self.current.load(Ordering::SeqCst)
    }

    /// Which vCPU is on it.
    pub(crate) fn guest(&self) -> Option<usize> {
        self.running().map(|v| v.id)
    }

    fn running(&self) -> Option<Arc<Vcpu>> {
        lock(&self.running).clone()
    }

    pub(crate) fn irqs_on(&self) -> bool {
        self.irqs_on.load(Ordering::Relaxed)
    }

    pub(crate) fn in_irq(&self) -> bool {
        self.in_irq.load(Ordering::Relaxed)
    }
}

/// The machine. One is powered on at a time in a process, as Xen is there once.
pub struct Machine {
    pub profile: Profile,
    pub gic: PhysicalGic,
    pcpus: Vec<Pcpu>,
    console: Mutex<String>,
    broken: Mutex<Vec<String>>,
}

/// Physical CPUs that the C half has room for.
const MOST_CPUS: usize = 256;

/// Whether a machine is on.
static POWER: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

thread_local! {
    /// The machine and physical CPU on which this thread executes.
    static HERE: Cell<Option<(NonNull<Machine>, usize)>> = const { Cell::new(None) };
}

/// Runs `f` with the machine and physical CPU of this thread; nothing if it is on none.
pub(crate) fn here<R>(f: impl FnOnce(&Machine, &Pcpu) -> R) -> Option<R> {
    let (machine, cpu) = HERE.with(Cell::get)?;
    // SAFETY: `Machine::on` keeps the machine borrowed while it is named here.
    let machine = unsafe { machine.as_ref() };
    machine.pcpus.get(cpu).map(|p| f(machine, p))
}

/// How the guest was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// A trap: Xen unmasks interrupts before it looks at the list registers.
    Sync,
    /// An interrupt: they stay masked.
    Irq,
}

impl Machine {
    /// Powers a machine on; waits until no other one is.
    pub fn power_on(profile: Profile) -> Arc<Self> {
        let mut on = lock(&POWER.0);
        while *on {
            on = POWER
                .1
                .wait(on)
                .unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        *on = true;
        drop(on);
        notes::machine(profile.about);
        faults::fail_none();
        faults::forbidden();
        let cpus = profile.cpus.clamp(1, MOST_CPUS);
        let bells: Vec<Arc<Bell>> = (0..cpus).map(|_| Arc::default()).collect();
        let wakers = bells.clone();
        let machine = Arc::new(Self {
            profile,
            gic: PhysicalGic::new(profile.spis, profile.espis, cpus, move |cpu| {
                wakers[cpu].ring();
            }),
            pcpus: bells
                .into_iter()
                .enumerate()
                .map(|(n, bell)| Pcpu::new(n, bell, &profile))
                .collect(),
            console: Mutex::default(),
            broken: Mutex::default(),
        });
        machine.on(0, |_, _| {
            if profile.itses != 0 && !abi::has_itses() {
                machine.report("this vGIC has no virtual ITS");
            }
            // SAFETY: no domain exists, as at boot.
            unsafe { abi::mock_power_on(&profile.hardware()) };
        });
        machine
    }

    /// A physical CPU.
    pub fn pcpu(&self, cpu: usize) -> &Pcpu {
        &self.pcpus[cpu]
    }

    /// All physical CPUs.
    pub fn pcpus(&self) -> &[Pcpu] {
        &self.pcpus
    }

    /// Something happened that would have been a crash, a hang or a failed assertion of Xen.
    pub fn report(&self, what: impl Into<String>) {
        let what = what.into();
        let mut broken = lock(&self.broken);
        if broken.len() < 20 {
            broken.push(what);
        }
    }

    /// What was reported until now; empties the list.
    pub fn take_reports(&self) -> Vec<String> {
        if faults::forbidden() {
            self.report("memory was allocated or freed where Xen forbids it");
        }
        std::mem::take(&mut *lock(&self.broken))
    }

    pub(crate) fn print(&self, text: &str) {
        let mut console = lock(&self.console);
        if console.len() < 1 << 20 {
            console.push_str(text);
        }
    }

    /// The console's text until now; empties it.
    pub fn take_console(&self) -> String {
        std::mem::take(&mut *lock(&self.console))
    }

    /// Executes `f` on a physical CPU, when whoever is on it has let go.
    pub fn on<R>(&self, cpu: usize, f: impl FnOnce(&Self, &Pcpu) -> R) -> R {
        let p = &self.pcpus[cpu];
        let _claim = lock(&p.claim);
        self.claimed(p, f)
    }

    fn claimed<R>(&self, p: &Pcpu, f: impl FnOnce(&Self, &Pcpu) -> R) -> R {
        struct Back(Option<(NonNull<Machine>, usize)>);
        impl Drop for Back {
            fn drop(&mut self) {
                HERE.with(|h| h.set(self.0));
            }
        }
        notes::step();
        let _back = Back(HERE.with(|h| h.replace(Some((NonNull::from(self), p.index)))));
        f(self, p)
    }

    /// Executes a hypervisor function, interrupts on, as a hypercall or softirq of whoever is current there would.
    /// If a guest runs there it is interrupted for it.
    pub fn hypervisor<R>(&self, cpu: usize, f: impl FnOnce() -> R) -> R {
        self.on(cpu, |m, p| {
            if p.in_guest.load(Ordering::SeqCst) {
                m.trap(p, f)
            } else {
                f()
            }
        })
    }

    /// What `vgic_vcpu_pending_irq()` says of an idle vCPU: Xen asks that of whatever is current.
    pub fn idle_has_pending(&self, cpu: usize) -> bool {
        self.on(cpu, |_, p| {
            abi::pending(p.idle) != 0 || abi::evtchn_pending(p.idle)
        })
    }

    // ------------------------------------------------------------------ interrupts of the hypervisor

    /// Is there an interrupt that this CPU would take, were it unmasked?
    fn due(&self, p: &Pcpu) -> bool {
        p.bell.rings()
            || (!p.in_handler.load(Ordering::Relaxed)
                && (self.gic.asserted(p.index)
                    || p.interface().maintenance()
                    || p.running().is_some_and(|v| v.timer.asserted())))
    }

    /// Takes interrupts if they are unmasked and there are any.
    pub(crate) fn window(&self, p: &Pcpu) {
        if p.irqs_on() && self.due(p) {
            self.gic_interrupt(p);
        }
    }

    /// `gic_interrupt()`: everything that is pending, until nothing is.
    fn gic_interrupt(&self, p: &Pcpu) {
        let was_on = p.irqs_on.swap(false, Ordering::Relaxed);
        let nested = p.in_irq.swap(true, Ordering::Relaxed);
        let mut turns = 0;
        // The maintenance interrupt, once it has been taken.
        let mut ignored = false;
        loop {
            turns += 1;
            if turns > 10_000 {
                self.report(format!(
                    "pCPU {} never gets out of gic_interrupt()",
                    p.index
                ));
                break;
            }
            if p.bell.take() {
                p.counters.ipis.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            if p.in_handler.load(Ordering::Relaxed) {
                break;
            }
            let maintenance = p.interface().maintenance() && !ignored;
            if maintenance {
                ignored = self.profile.forgiving && flaws::keeps_maintenance_up();
                p.counters.maintenance.fetch_add(1, Ordering::Relaxed);
                // Xen's own handler does nothing.
                self.host_handler(p, || {
                    abi::maintenance();
                });
            } else if let Some(v) = p.running().filter(|v| v.timer.asserted()) {
                v.timer.mask();
                self.host_handler(p, || v.inject(Vcpu::VTIMER, true));
            } else if let Some(irq) = self.gic.acknowledge(p.index) {
                p.counters.interrupts.fetch_add(1, Ordering::Relaxed);
                self.do_irq(irq);
            } else if let Some(lpi) = self.gic.acknowledge_lpi(p.index) {
                p.counters.interrupts.fetch_add(1, Ordering::Relaxed);
                abi::do_lpi(lpi);
            } else {
                break;
            }
        }
        p.in_irq.store(nested, Ordering::Relaxed);
        p.irqs_on.store(was_on, Ordering::Relaxed);
    }

    /// The handler of an interrupt of Xen's own: interrupts on, but at the running priority.
    fn host_handler(&self, p: &Pcpu, f: impl FnOnce()) {
        p.in_handler.store(true, Ordering::Relaxed);
        p.irqs_on.store(true, Ordering::Relaxed);
        f();
        p.irqs_on.store(false, Ordering::Relaxed);
        p.in_handler.store(false, Ordering::Relaxed);
    }

    /// `do_IRQ()` for an interrupt that belongs to a guest.
    pub(crate) fn do_irq(&self, irq: u16) {
        let mut virq = 0;
        // SAFETY: a shared interrupt that the machine has; the lock is released below.
        let d = unsafe { abi::mock_irq_begin(irq.into(), &mut virq) };
        if d.is_null() {
            // Nobody's: Xen says so and ends it.
            self.gic.set_enabled(irq, false);
            self.gic.deactivate(irq);
        } else {
            let noted = notes::source(None, virq, true);
            abi::inject(d, std::ptr::null_mut(), virq, true);
            noted.word(|| abi::word(d, std::ptr::null_mut(), virq));
        }
        // SAFETY: locked above by this thread.
        unsafe { abi::mock_irq_end(irq.into()) };
    }

    pub(crate) fn irq_save(&self, p: &Pcpu) -> bool {
        p.irqs_on.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn irq_restore(&self, p: &Pcpu, on: bool) {
        p.irqs_on.store(on, Ordering::Relaxed);
        self.window(p);
    }

    /// The second half of `vcpu_kick()`.
    pub(crate) fn wake(&self, processor: usize, running_elsewhere: bool) {
        let Some(p) = self.pcpus.get(processor) else {
            return;
        };
        if running_elsewhere {
            p.bell.send();
        }
        p.bell.ring();
    }

    /// From now on IPIs to a physical CPU are under way, until they are released or someone waits for what they bring about.
    pub fn hold(&self, cpu: usize) {
        self.pcpus[cpu].bell.hold();
    }

    /// They arrive.
    pub fn release(&self, cpu: usize) {
        self.pcpus[cpu].bell.release();
    }

    /// Lets another physical CPU that is in a guest take its interrupts, if nobody executes there.
    fn attend(&self, p: &Pcpu) {
        if let Ok(_claim) = p.claim.try_lock() {
            self.claimed(p, |m, p| m.poll(p));
        }
    }

    /// One turn of a busy wait on this CPU: time passes for the others.
    pub(crate) fn relax(&self, me: &Pcpu) {
        for p in self.pcpus.iter().filter(|p| p.index != me.index) {
            p.bell.arrive();
            if p.in_guest.load(Ordering::SeqCst) && p.bell.rings() {
                self.attend(p);
            }
        }
        std::thread::yield_now();
    }

    // ------------------------------------------------------------------ guests

    /// Lets the guest's CPU see what has come from outside: exits as long as there is an interrupt to take.
    pub(crate) fn poll(&self, p: &Pcpu) {
        for _ in 0..10_000 {
            if !p.in_guest.load(Ordering::SeqCst) || !self.due(p) {
                return;
            }
            if p.interface().maintenance() {
                p.counters.maintenance.fetch_add(1, Ordering::Relaxed);
            }
            self.exit(p, Exit::Irq);
            self.gic_interrupt(p);
            self.enter(p);
        }
        self.report(format!("pCPU {} never gets to run its guest", p.index));
    }

    /// A trap from the guest, with `f` as Xen's handler of it.
    pub(crate) fn trap<R>(&self, p: &Pcpu, f: impl FnOnce() -> R) -> R {
        self.exit(p, Exit::Sync);
        let result = f();
        self.enter(p);
        result
    }

    fn exit(&self, p: &Pcpu, exit: Exit) {
        p.counters.exits.fetch_add(1, Ordering::Relaxed);
        p.in_guest.store(false, Ordering::SeqCst);
        if exit == Exit::Sync {
            p.irqs_on.store(true, Ordering::Relaxed);
            self.window(p);
        }
        let Some(v) = p.running() else {
            self.report("an exit without a guest");
            return;
        };
        // enter_hypervisor_from_guest(): three lines, then the list registers.
        v.update_lines();
        abi::sync_from(v.raw());
    }

    fn enter(&self, p: &Pcpu) {
        p.irqs_on.store(false, Ordering::Relaxed);
        abi::sync_to();
        p.in_guest.store(true, Ordering::SeqCst);
    }

    /// Puts a vCPU on an idle physical CPU and enters its guest.
    pub(crate) fn schedule_in(&self, p: &Pcpu, v: &Arc<Vcpu>) {
        if p.current() != p.idle {
            self.report(format!("two vCPUs on pCPU {}", p.index));
            return;
        }
        p.irqs_on.store(false, Ordering::Relaxed);
        v.set_processor(p.index);
        v.set_running(true);
        p.current.store(v.raw(), Ordering::SeqCst);
        *lock(&p.running) = Some(Arc::clone(v));
        v.restore(&mut p.interface(), self.profile.gic);
        abi::restore_state(v.raw());
        self.enter(p);
    }

    /// Takes the vCPU, whose trap this is, off its physical CPU.
    pub(crate) fn schedule_out(&self, p: &Pcpu) {
        let Some(v) = lock(&p.running).take() else {
            return;
        };
        p.irqs_on.store(false, Ordering::Relaxed);
        abi::save_state(v.raw());
        {
            let mut interface = p.interface();
            v.save(&interface);
            if self.profile.gic == 2 {
                // gicv2_save_state() does this; gicv3_save_state() leaves ICH_HCR_EL2 alone.
                interface.write_hcr(0);
            }
        }
        p.current.store(p.idle, Ordering::SeqCst);
        v.set_running(false);
        p.irqs_on.store(true, Ordering::Relaxed);
        self.window(p);
        // The virtual timer of a vCPU that does not run is one of Xen's timers.
        if v.timer.asserted() {
            v.timer.mask();
            v.inject(Vcpu::VTIMER, true);
        }
    }

    /// A trap after which the guest does not go on: `f` handles it, and says whether the vCPU stays.
    pub(crate) fn leave(&self, p: &Pcpu, f: impl FnOnce() -> bool) -> bool {
        self.exit(p, Exit::Sync);
        let stays = f();
        if stays {
            self.enter(p);
        } else {
            self.schedule_out(p);
        }
        stays
    }

    /// The idle loop: takes interrupts until `done`, or until nothing has happened for `patience`. On no claim.
    pub(crate) fn idle(&self, cpu: usize, done: impl Fn() -> bool, patience: Duration) -> bool {
        let p = &self.pcpus[cpu];
        loop {
            self.on(cpu, |m, p| m.window(p));
            let guard = lock(&p.bell.lock);
            if done() {
                return true;
            }
            if self.due(p) {
                continue;
            }
            let waited = p.bell.rung.wait_timeout(guard, patience);
            let (guard, timeout) = waited.unwrap_or_else(|poisoned| poisoned.into_inner());
            drop(guard);
            if timeout.timed_out() && !done() && !self.due(p) {
                return false;
            }
        }
    }

    /// Lets a physical CPU take what is due, in a guest or idle.
    pub fn quiesce(&self, cpu: usize) {
        self.on(cpu, |m, p| {
            m.poll(p);
            m.window(p);
        });
    }

    /// Wakes whoever waits on a physical CPU, to look again.
    pub fn ring(&self, cpu: usize) {
        self.pcpus[cpu].bell.ring();
    }
}

impl Pcpu {
    fn new(index: usize, bell: Arc<Bell>, profile: &Profile) -> Self {
        let mut interface =
            VirtualCpuInterface::new(profile.lr_format(), profile.lrs, profile.priority_bits);
        if profile.gic == 3 {
            // gicv3_hyp_init()
            interface.write_hcr(hcr::EN);
            interface.set_vmcr(vmcr::EOIM | vmcr::ENG1);
        }
        interface.blind_to_sources = profile.forgiving && flaws::forgets_sgi_sources();
        // SAFETY: takes any number.
        let idle = unsafe { abi::mock_idle(index as u32) };
        Self {
            index,
            claim: Mutex::new(()),
            bell,
            interface: Mutex::new(interface),
            current: AtomicPtr::new(idle),
            idle,
            running: Mutex::new(None),
            in_guest: AtomicBool::new(false),
            irqs_on: AtomicBool::new(true),
            in_irq: AtomicBool::new(false),
            in_handler: AtomicBool::new(false),
            counters: Counters::default(),
        }
    }
}

impl Drop for Pcpu {
    fn drop(&mut self) {
        // SAFETY: made in `new`, and nothing runs here any more.
        unsafe { abi::mock_vcpu_release(self.idle) };
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let reports = self.take_reports();
        *lock(&POWER.0) = false;
        POWER.1.notify_all();
        if !std::thread::panicking() {
            assert!(reports.is_empty(), "the machine reports: {reports:#?}");
        }
    }
}

impl Vcpu {
    /// The virtual timer expires. On no CPU's claim.
    pub fn expire_vtimer(&self, machine: &Machine) {
        self.timer.expire();
        machine.ring(self.processor());
    }
}
