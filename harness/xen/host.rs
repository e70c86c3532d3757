// SPDX-License-Identifier: GPL-2.0-only
//! The machine with Xen on it: physical CPUs with their virtual CPU interfaces, and a physical GIC.
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
use std::ffi::CString;
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
    pub(super) claim: Mutex<()>,
    pub(super) bell: Arc<Bell>,
    interface: Mutex<VirtualCpuInterface>,
    /// `current` of Xen: a vCPU, or the idle one.
    pub(super) current: AtomicPtr<RawVcpu>,
    pub(super) idle: *mut RawVcpu,
    pub(super) running: Mutex<Option<Arc<Vcpu>>>,
    pub(super) in_guest: AtomicBool,
    pub(super) irqs_on: AtomicBool,
    pub(super) in_irq: AtomicBool,
    /// A host interrupt's handler runs: the running priority keeps others but IPIs away.
    pub(super) in_handler: AtomicBool,
    /// The PPI of the virtual timer is active.
    pub(super) vtimer_active: AtomicBool,
    /// The same is enabled.
    pub(super) vtimer_enabled: AtomicBool,
    /// `HCR_EL2`.
    hcr_el2: AtomicU64,
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

    /// Does a guest execute on it?
    pub fn is_in_guest(&self) -> bool {
        self.in_guest.load(Ordering::SeqCst)
    }

    pub(crate) fn current(&self) -> *mut RawVcpu {
        self.current.load(Ordering::SeqCst)
    }

    /// Which vCPU is on it.
    pub(crate) fn guest(&self) -> Option<usize> {
        self.running().map(|v| v.id)
    }

    /// Is the PPI of its virtual timer active?
    pub fn is_vtimer_active(&self) -> bool {
        self.vtimer_active.load(Ordering::SeqCst)
    }

    /// `HCR_EL2`.
    pub(crate) fn hcr_el2(&self) -> u64 {
        self.hcr_el2.load(Ordering::SeqCst)
    }

    pub(crate) fn set_hcr_el2(&self, hcr: u64) {
        self.hcr_el2.store(hcr, Ordering::SeqCst);
    }

    pub(super) fn vtimer_fires(&self) -> bool {
        !self.is_vtimer_active()
            && self.vtimer_enabled.load(Ordering::SeqCst)
            && self.running().is_some_and(|v| v.timer.line())
    }

    pub(crate) fn running(&self) -> Option<Arc<Vcpu>> {
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
    pub(super) pcpus: Vec<Pcpu>,
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
        for cpu in 0..cpus {
            machine.on(cpu, |_, _| abi::vtimer_setup());
        }
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

    /// Time passes, as much as is said and no other. If a timer of Xen's expires, its CPU is interrupted for it.
    pub fn pass(&self, time: Duration) {
        let mut expired = false;
        abi::pass_time(time.as_nanos() as u64, &mut expired);
        if expired {
            for p in &self.pcpus {
                p.bell.send();
                p.bell.ring();
            }
        }
    }

    /// `vgic-storm=` on Xen's command line. False: it is refused.
    pub fn storm_parameter(&self, text: &str) -> bool {
        let (text, mut ok) = (CString::new(text).unwrap_or_default(), false);
        self.on(0, |_, _| abi::storm_param(text.as_ptr(), &mut ok)) && ok
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

    pub(super) fn claimed<R>(&self, p: &Pcpu, f: impl FnOnce(&Self, &Pcpu) -> R) -> R {
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

    /// What `vgic_vcpu_pending_irq()` says of an idle vCPU: Xen asks that of whatever is current.
    pub fn idle_has_pending(&self, cpu: usize) -> bool {
        self.on(cpu, |_, p| {
            abi::pending(p.idle) != 0 || abi::evtchn_pending(p.idle)
        })
    }
}

impl Pcpu {
    fn new(index: usize, bell: Arc<Bell>, profile: &Profile) -> Self {
        let mut interface =
            VirtualCpuInterface::new(profile.lr_format(), profile.lrs, profile.priority_bits);
        interface.tds = profile.tds;
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
            vtimer_active: AtomicBool::new(false),
            vtimer_enabled: AtomicBool::new(true),
            hcr_el2: AtomicU64::new(0),
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
