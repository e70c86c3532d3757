// SPDX-License-Identifier: GPL-2.0-only
//! A vCPU, with what Xen keeps for it.

use crate::lock::lock;
use crate::machine::cpuif::{View, VirtualCpuInterface, hcr};
use crate::notes;
use crate::xen::abi;
use crate::xen::functions::{RawDomain, RawVcpu};
use crate::xen::peer::is_ours;
use crate::xen::vtimer::{CNT_ENABLE, FUTURE, Timer, is_high};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU64, Ordering};

/// What a hypervisor has of a vCPU that does not run, beside its vGIC's state.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    flags: u64,
    upcall: u8,
    timers: [u64; 5],
    vtimer: (bool, bool),
}

/// What `gic_save_state()` keeps.
#[derive(Clone, Debug, Default)]
struct Saved {
    lrs: Vec<u64>,
    vmcr: u32,
    apr: [u128; 2],
}

/// `RVGIC_INTERFACE_WORDS`
const INTERFACE_WORDS: usize = 10;

/// A vCPU.
pub struct Vcpu {
    raw: *mut RawVcpu,
    domain: *mut RawDomain,
    pub id: usize,
    pub gic_version: u8,
    pub timer: Timer,
    saved: Mutex<Option<Saved>>,
}

// SAFETY: the fields of `struct vcpu` that the mock touches are accessed atomically; `Domain` keeps it alive.
unsafe impl Send for Vcpu {}
// SAFETY: as above.
unsafe impl Sync for Vcpu {}

/// In the place of a version of the GIC, an rVIC.
pub const RVIC: u8 = 4;

/// Of `HCR_EL2`: a virtual interrupt, a virtual abort that is pending, and that what of EL1 says how memory is seen traps.
pub const VI: u64 = 1 << 7;
/// See above.
pub const VA: u64 = 1 << 8;
/// See above.
pub const TVM: u64 = 1 << 26;

const BLOCKED: u64 = 1 << 0;
const DOWN: u64 = 1 << 1;

impl Vcpu {
    /// PPIs as Xen gives them to guests.
    pub const VTIMER: u32 = 27;
    pub const PTIMER: u32 = 30;
    pub const EVTCHN: u32 = 31;

    /// A vCPU of this domain, made by the C half, that has not run yet.
    pub(crate) fn new(
        raw: *mut RawVcpu,
        domain: *mut RawDomain,
        id: usize,
        gic_version: u8,
    ) -> Self {
        Self {
            raw,
            domain,
            id,
            gic_version,
            // SAFETY: alive, and changed atomically by everybody.
            timer: unsafe { Timer::new(raw) },
            saved: Mutex::new(None),
        }
    }

    pub(crate) fn raw(&self) -> *mut RawVcpu {
        self.raw
    }

    /// The word of one of its interrupts, if the vGIC has words.
    pub(crate) fn word(&self, intid: u32) -> Option<u64> {
        abi::word(self.domain, self.raw, intid)
    }

    fn pause_flags(&self) -> &AtomicU64 {
        // SAFETY: aligned, alive, and changed atomically by everybody.
        unsafe { AtomicU64::from_ptr(abi::mock_vcpu_pause_flags(self.raw)) }
    }

    fn running_flag(&self) -> &AtomicBool {
        // SAFETY: as above.
        unsafe { AtomicBool::from_ptr(abi::mock_vcpu_is_running(self.raw)) }
    }

    fn processor_field(&self) -> &AtomicI32 {
        // SAFETY: as above.
        unsafe { AtomicI32::from_ptr(abi::mock_vcpu_processor(self.raw)) }
    }

    fn hcr_field(&self) -> &AtomicU64 {
        // SAFETY: as above.
        unsafe { AtomicU64::from_ptr(abi::mock_vcpu_hcr(self.raw)) }
    }

    /// `v->arch.hcr_el2`: what Xen has of `HCR_EL2`.
    pub fn hcr(&self) -> u64 {
        self.hcr_field().load(Ordering::SeqCst)
    }

    /// On an exit. While a virtual abort is pending, the register is what counts: taken, it is pending no longer.
    pub(crate) fn read_hcr_back(&self, register: u64) {
        if self.hcr() & VA != 0 {
            self.hcr_field().store(register, Ordering::SeqCst);
        }
    }

    /// `vcpu_hcr_set_flags()` and `vcpu_hcr_clear_flags()` of the vCPU, which is current: what the register is then.
    pub(crate) fn change_hcr(&self, flags: u64, on: bool) -> u64 {
        let hcr = if on {
            self.hcr() | flags
        } else {
            self.hcr() & !flags
        };
        self.hcr_field().store(hcr, Ordering::SeqCst);
        hcr
    }

    /// Has it an rVIC in place of a GIC?
    pub fn has_rvic(&self) -> bool {
        self.gic_version == RVIC
    }

    fn upcall(&self) -> &AtomicU8 {
        // SAFETY: as above.
        unsafe { AtomicU8::from_ptr(abi::mock_vcpu_upcall(self.raw)) }
    }

    /// What there is of it beside its vGIC's state, while it does not run.
    pub fn kept(&self) -> Kept {
        let mut timers = [0; 5];
        abi::timers_get(self.raw, timers.as_mut_ptr());
        Kept {
            flags: self.pause_flags().load(Ordering::SeqCst),
            upcall: self.upcall().load(Ordering::SeqCst),
            timers,
            vtimer: self.timer.kept(),
        }
    }

    /// The same of another, which this one is to be from now on.
    pub fn keep(&self, kept: &Kept) {
        self.pause_flags().store(kept.flags, Ordering::SeqCst);
        self.upcall().store(kept.upcall, Ordering::SeqCst);
        abi::timers_set(self.raw, kept.timers.as_ptr());
        self.timer.keep(kept.vtimer);
    }

    pub(crate) fn set_running(&self, on: bool) {
        self.running_flag().store(on, Ordering::SeqCst);
    }

    /// Is it on a physical CPU, in the guest or in Xen?
    pub fn is_running(&self) -> bool {
        self.running_flag().load(Ordering::SeqCst)
    }

    pub(crate) fn set_processor(&self, cpu: usize) {
        self.processor_field().store(cpu as i32, Ordering::SeqCst);
    }

    /// `v->processor`.
    pub fn processor(&self) -> usize {
        self.processor_field().load(Ordering::SeqCst) as usize
    }

    pub(crate) fn set_blocked(&self, on: bool) {
        if on {
            self.pause_flags().fetch_or(BLOCKED, Ordering::SeqCst);
        } else {
            self.pause_flags().fetch_and(!BLOCKED, Ordering::SeqCst);
        }
    }

    /// Does it wait for an interrupt?
    pub fn is_blocked(&self) -> bool {
        self.pause_flags().load(Ordering::SeqCst) & BLOCKED != 0
    }

    pub(crate) fn set_down(&self, down: bool) {
        if down {
            self.pause_flags().fetch_or(DOWN, Ordering::SeqCst);
        } else {
            self.pause_flags().fetch_and(!DOWN, Ordering::SeqCst);
        }
    }

    /// Is it switched off (PSCI)?
    pub fn is_down(&self) -> bool {
        self.pause_flags().load(Ordering::SeqCst) & DOWN != 0
    }

    /// Could the scheduler run it?
    pub fn is_runnable(&self) -> bool {
        self.pause_flags().load(Ordering::SeqCst) == 0
    }

    /// `vtimer_update_irqs()` and `vcpu_update_evtchn_irq()`, on exits from the guest: ours asks for it.
    pub(crate) fn update_lines(&self) {
        if !self.wants_lines() {
            return;
        }
        if !is_ours() {
            // Xen drops the mask, which is its own most of the time.
            self.inject(Self::VTIMER, self.timer.is_pending());
        }
        self.inject(Self::PTIMER, is_high(self.read_ptimer()));
        self.inject(Self::EVTCHN, self.upcall_pending());
    }

    /// Does the vGIC want the lines that Xen keeps to be looked at on the next exit?
    pub fn wants_lines(&self) -> bool {
        abi::wants_lines(self.raw)
    }

    /// `vcpu_unblock()`, for a reason that is none of the vGIC's business.
    pub fn set_awake(&self) {
        self.set_blocked(false);
    }

    /// `vgic_inject_irq()` of a private interrupt.
    pub(crate) fn inject(&self, intid: u32, level: bool) {
        let noted = notes::source(Some(self.id), intid, level);
        abi::inject(self.domain, self.raw, intid, level);
        noted.word(|| abi::word(self.domain, self.raw, intid));
    }

    /// Has it an event channel upcall pending?
    pub fn upcall_pending(&self) -> bool {
        self.upcall().load(Ordering::SeqCst) != 0
    }

    /// The guest's side: takes the upcall.
    pub fn take_upcall(&self) -> bool {
        self.upcall().swap(0, Ordering::SeqCst) != 0
    }

    /// `vcpu_mark_events_pending()`: any context, any CPU of the machine.
    pub fn send_event(&self) {
        if self.upcall().swap(1, Ordering::SeqCst) == 0 {
            self.inject(Self::EVTCHN, true);
        }
    }

    /// The emulated physical timer expires: a softirq of Xen's on any CPU. Says whether Xen's own timer was set for that.
    pub fn expire_ptimer(&self) -> bool {
        abi::ptimer_expire(self.raw)
    }

    /// The guest's side, inside a trap: programs the physical timer anew, which ends its condition.
    pub fn program_ptimer(&self, enable: bool) {
        self.write_ptimer(if enable { CNT_ENABLE } else { 0 }, FUTURE);
    }

    /// The same with any values of `CNTP_CTL_EL0` and `CNTP_CVAL_EL0`.
    pub fn write_ptimer(&self, control: u64, comparator: u64) {
        abi::ptimer_write(self.raw, control, comparator);
    }

    /// `CNTP_CTL_EL0`.
    pub fn read_ptimer(&self) -> u64 {
        abi::ptimer_read(self.raw)
    }

    /// `local_events_need_delivery_nomask()`, of the current vCPU.
    pub(crate) fn events_need_delivery(&self) -> bool {
        abi::pending(self.raw) != 0 || (self.upcall_pending() && abi::evtchn_pending(self.raw))
    }
}

impl Vcpu {
    /// The guest's side: moves the comparator of the virtual timer into the future, with the timer on and unmasked.
    pub fn program_vtimer(&self) {
        self.timer.set_expired(false);
        self.timer.write(CNT_ENABLE);
    }

    /// Xen's own timer for a vCPU that does not run, on any CPU.
    pub(crate) fn timer_softirq(&self) {
        if self.timer.is_due() && self.timer.disarm() {
            abi::vtimer_expired(self.raw);
        }
    }

    /// `gic_save_state()`.
    pub(crate) fn save(&self, interface: &VirtualCpuInterface) {
        *lock(&self.saved) = Some(Saved {
            lrs: (0..interface.lrs()).map(|n| interface.raw_lr(n)).collect(),
            vmcr: interface.vmcr(),
            apr: [interface.apr(0), interface.apr(1)],
        });
        let mut words = [0; INTERFACE_WORDS];
        words[0] = interface.vmcr();
        words[1] = u32::from(self.gic_version == 3);
        for (group, at) in [(0, 2), (1, 6)] {
            let registers = words[at..].iter_mut().take(4).enumerate();
            registers.for_each(|(n, word)| *word = (interface.apr(group) >> (32 * n)) as u32);
        }
        abi::interface_set(self.raw, words.as_ptr());
    }

    /// `gic_restore_state()`; for a vCPU that has not run yet everything is zero.
    pub(crate) fn restore(&self, interface: &mut VirtualCpuInterface, gic: u8) {
        interface.set_view(if self.gic_version == 2 {
            View::Gicv
        } else {
            View::Icv
        });
        let saved = lock(&self.saved);
        let empty = Saved::default();
        let saved = saved.as_ref().unwrap_or(&empty);
        for n in 0..interface.lrs() {
            interface.set_raw_lr(n, saved.lrs.get(n).copied().unwrap_or(0));
        }
        // Where there is a C half that keeps it, it may have been restored since.
        let mut words = [0; INTERFACE_WORDS];
        if abi::interface_get(self.raw, words.as_mut_ptr()) {
            let active = |at: usize| {
                let registers = words[at..].iter().take(4).rev();
                registers.fold(0_u128, |all, word| all << 32 | u128::from(*word))
            };
            interface.set_vmcr(words[0]);
            interface.set_apr(0, active(2));
            interface.set_apr(1, active(6));
        } else {
            interface.set_vmcr(saved.vmcr);
            interface.set_apr(0, saved.apr[0]);
            interface.set_apr(1, saved.apr[1]);
        }
        if gic == 2 {
            interface.write_hcr(hcr::EN);
        }
    }
}
