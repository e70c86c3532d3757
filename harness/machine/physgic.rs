// SPDX-License-Identifier: GPL-2.0-only
//! A physical GIC, as far as Xen's `do_IRQ` and hardware-mapped interrupts need one: shared interrupts with
//! enable, pending latch, line, trigger type, active state and target CPU.
//!
//! Xen runs it with EOImode = 1: an interrupt for a guest has its priority dropped in `do_IRQ` and stays active
//! until the guest's own end of interrupt deactivates it through the HW bit of a list register.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// First shared interrupt.
pub const FIRST_SPI: u16 = 32;
/// First extended one.
pub const FIRST_ESPI: u16 = 4096;

/// One shared interrupt.
#[derive(Clone, Debug, Default)]
struct Line {
    enabled: bool,
    level_sensitive: bool,
    line: bool,
    latch: bool,
    active: bool,
    target: usize,
    acknowledged: u64,
    deactivated: u64,
}

impl Line {
    fn pending(&self) -> bool {
        self.latch || (self.level_sensitive && self.line)
    }

    fn deliverable(&self) -> bool {
        self.enabled && self.pending() && !self.active
    }
}

/// What a test may look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub enabled: bool,
    pub pending: bool,
    pub active: bool,
    pub level_sensitive: bool,
    pub target: usize,
    pub acknowledged: u64,
    pub deactivated: u64,
}

/// The model. All operations may come from any thread; `wake` is called without its lock held.
pub struct PhysicalGic {
    /// Shared interrupts, then extended ones.
    lines: Mutex<Vec<Line>>,
    spis: usize,
    asserted: Vec<AtomicBool>,
    lpis: Mutex<Lpis>,
    invlpir: AtomicBool,
    slow: AtomicBool,
    /// LPIs that are pending at a CPU.
    pending_lpis: Vec<AtomicUsize>,
    wake: Box<dyn Fn(usize) + Send + Sync>,
}

impl PhysicalGic {
    /// A GIC with `spis` shared interrupts, `espis` extended ones and `cpus` CPU interfaces. `wake(cpu)` is called when the interrupt
    /// line to that CPU goes up.
    pub fn new(
        spis: usize,
        espis: usize,
        cpus: usize,
        wake: impl Fn(usize) + Send + Sync + 'static,
    ) -> Self {
        Self {
            lines: Mutex::new(vec![Line::default(); spis + espis]),
            spis,
            asserted: (0..cpus).map(|_| AtomicBool::new(false)).collect(),
            lpis: Mutex::default(),
            invlpir: AtomicBool::new(false),
            slow: AtomicBool::new(false),
            pending_lpis: (0..cpus).map(|_| AtomicUsize::new(0)).collect(),
            wake: Box::new(wake),
        }
    }

    fn index(&self, irq: u16) -> Option<usize> {
        match irq.checked_sub(FIRST_ESPI) {
            Some(n) => Some(self.spis + usize::from(n)),
            None => irq
                .checked_sub(FIRST_SPI)
                .map(usize::from)
                .filter(|n| *n < self.spis),
        }
    }

    fn irq(&self, index: usize) -> u16 {
        match index.checked_sub(self.spis) {
            Some(n) => n as u16 + FIRST_ESPI,
            None => index as u16 + FIRST_SPI,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Line>> {
        self.lines
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Runs `f` on an interrupt, then brings the lines to the CPUs up to date.
    fn with<R: Default>(&self, irq: u16, f: impl FnOnce(&mut Line) -> R) -> R {
        let mut lines = self.lock();
        let Some(line) = self.index(irq).and_then(|index| lines.get_mut(index)) else {
            return R::default();
        };
        let result = f(line);
        let mut raised = Vec::new();
        for (cpu, asserted) in self.asserted.iter().enumerate() {
            let now = lines.iter().any(|l| l.target == cpu && l.deliverable());
            if !asserted.swap(now, Ordering::SeqCst) && now {
                raised.push(cpu);
            }
        }
        drop(lines);
        raised.into_iter().for_each(|cpu| (self.wake)(cpu));
        result
    }

    /// Whether the interrupt line to `cpu` is up. Cheap.
    pub fn asserted(&self, cpu: usize) -> bool {
        let lpi = self.pending_lpis.get(cpu);
        let line = self.asserted.get(cpu);
        line.is_some_and(|a| a.load(Ordering::SeqCst))
            || lpi.is_some_and(|n| n.load(Ordering::SeqCst) != 0)
    }

    /// The wire from the device. A rising edge latches an edge-triggered interrupt.
    pub fn set_line(&self, irq: u16, up: bool) {
        self.with(irq, |l| {
            if up && !l.line && !l.level_sensitive {
                l.latch = true;
            }
            l.line = up;
        });
    }

    /// A pulse on the wire.
    pub fn pulse(&self, irq: u16) {
        self.set_line(irq, true);
        self.set_line(irq, false);
    }

    pub fn set_enabled(&self, irq: u16, on: bool) {
        self.with(irq, |l| l.enabled = on);
    }

    pub fn set_level_sensitive(&self, irq: u16, level: bool) {
        self.with(irq, |l| l.level_sensitive = level);
    }

    pub fn set_active(&self, irq: u16, on: bool) {
        self.with(irq, |l| l.active = on);
    }

    /// `ISPENDR` and `ICPENDR`: the latch; a line that is up stays pending.
    pub fn set_pending(&self, irq: u16, on: bool) {
        self.with(irq, |l| l.latch = on);
    }

    pub fn is_pending(&self, irq: u16) -> bool {
        self.with(irq, |l| l.pending())
    }

    pub fn set_target(&self, irq: u16, cpu: usize) {
        self.with(irq, |l| l.target = cpu);
    }

    /// `GICC_IAR` on `cpu`: the lowest deliverable INTID becomes active.
    pub fn acknowledge(&self, cpu: usize) -> Option<u16> {
        let irq = self
            .lock()
            .iter()
            .position(|l| l.target == cpu && l.deliverable())
            .map(|index| self.irq(index))?;
        self.with(irq, |l| {
            // Looked at again: another CPU may have been faster, or the line may have fallen.
            (l.target == cpu && l.deliverable()).then(|| {
                l.latch = false;
                l.active = true;
                l.acknowledged += 1;
                irq
            })
        })
    }

    /// `GICC_DIR`, or the HW bit of a list register.
    pub fn deactivate(&self, irq: u16) {
        self.with(irq, |l| {
            if l.active {
                l.active = false;
                l.deactivated += 1;
            }
        });
    }

    /// The state of an interrupt, all of it.
    pub fn snapshot(&self, irq: u16) -> Option<Snapshot> {
        self.with(irq, |l| {
            Some(Snapshot {
                enabled: l.enabled,
                pending: l.pending(),
                active: l.active,
                level_sensitive: l.level_sensitive,
                target: l.target,
                acknowledged: l.acknowledged,
                deactivated: l.deactivated,
            })
        })
    }
}

/// What the property table says of an LPI, and what the redistributors have read.
#[derive(Clone, Copy, Debug)]
struct Property {
    written: bool,
    read: bool,
}

impl Default for Property {
    fn default() -> Self {
        Self {
            written: true,
            read: true,
        }
    }
}

/// LPIs: edges without an active state. At CPU 0 if nobody says otherwise, and enabled.
#[derive(Debug, Default)]
struct Lpis {
    targets: BTreeMap<u32, usize>,
    properties: BTreeMap<u32, Property>,
    pending: BTreeSet<u32>,
    restless: BTreeMap<u32, u32>,
}

impl Lpis {
    fn target(&self, lpi: u32) -> usize {
        self.targets.get(&lpi).copied().unwrap_or(0)
    }

    /// As far as the redistributors know.
    fn enabled(&self, lpi: u32) -> bool {
        self.properties.get(&lpi).is_none_or(|p| p.read)
    }

    fn deliverable(&self, lpi: u32, cpu: usize) -> bool {
        self.target(lpi) == cpu && self.enabled(lpi)
    }
}

impl PhysicalGic {
    /// Runs `f`, then brings what the CPUs see up to date.
    fn with_lpis<R>(&self, f: impl FnOnce(&mut Lpis) -> R) -> R {
        let mut lpis = self.lpis.lock().unwrap_or_else(PoisonError::into_inner);
        let result = f(&mut lpis);
        let mut counts = vec![0; self.pending_lpis.len()];
        for lpi in lpis.pending.iter().filter(|lpi| lpis.enabled(**lpi)) {
            counts[lpis.target(*lpi)] += 1;
        }
        let mut raised = Vec::new();
        for (cpu, (pending, count)) in self.pending_lpis.iter().zip(counts).enumerate() {
            if pending.swap(count, Ordering::SeqCst) == 0 && count != 0 {
                raised.push(cpu);
            }
        }
        drop(lpis);
        raised.into_iter().for_each(|cpu| (self.wake)(cpu));
        result
    }

    /// An ITS has translated a device's message to this LPI.
    pub fn send_lpi(&self, lpi: u32) {
        self.with_lpis(|l| l.pending.insert(lpi));
    }

    /// A device sends this one now, and so often again as soon as it is taken.
    pub fn set_restless(&self, lpi: u32, times: u32) {
        self.with_lpis(|l| {
            l.restless.insert(lpi, times);
            l.pending.insert(lpi)
        });
    }

    /// How often it is going to do so. It does not any more.
    pub fn rest(&self, lpi: u32) -> u32 {
        self.with_lpis(|l| l.restless.remove(&lpi).unwrap_or(0))
    }

    /// Whoever takes one lets other threads have their turn, on a machine that is busy.
    pub fn set_slow(&self, on: bool) {
        self.slow.store(on, Ordering::SeqCst);
    }

    /// Is it in a pending table?
    pub fn lpi_is_pending(&self, lpi: u32) -> bool {
        self.with_lpis(|l| l.pending.contains(&lpi))
    }

    /// The enable bit of its property byte, in memory: redistributors go on with what they have read.
    pub fn set_lpi_property(&self, lpi: u32, enabled: bool) {
        self.with_lpis(|l| l.properties.entry(lpi).or_default().written = enabled);
    }

    /// What its property byte says.
    pub fn lpi_property(&self, lpi: u32) -> bool {
        self.with_lpis(|l| l.properties.get(&lpi).is_none_or(|p| p.written))
    }

    /// INV: it is read again.
    pub fn invalidate_lpi(&self, lpi: u32) {
        self.with_lpis(|l| {
            if let Some(property) = l.properties.get_mut(&lpi) {
                property.read = property.written;
            }
        });
    }

    /// `GICR_INVLPIR` of `cpu`, which only concerns what goes there. False: there is no such register.
    pub fn invalidate_lpi_at(&self, lpi: u32, cpu: usize) -> bool {
        let direct = self.invlpir.load(Ordering::SeqCst);
        if direct && self.lpi_target(lpi) == cpu {
            self.invalidate_lpi(lpi);
        }
        direct
    }

    /// `GICR_CTLR.IR`: redistributors have `GICR_INVLPIR`. Without a word they have not, as QEMU's.
    pub fn set_invlpir(&self, on: bool) {
        self.invlpir.store(on, Ordering::SeqCst);
    }

    /// MOVI: what is pending goes along.
    pub fn set_lpi_target(&self, lpi: u32, cpu: usize) {
        let cpu = cpu.min(self.pending_lpis.len() - 1);
        self.with_lpis(|l| l.targets.insert(lpi, cpu));
    }

    /// The CPU that an LPI goes to.
    pub fn lpi_target(&self, lpi: u32) -> usize {
        self.with_lpis(|l| l.target(lpi))
    }

    /// CLEAR: it is not pending any more.
    pub fn clear_lpi(&self, lpi: u32) {
        self.with_lpis(|l| l.pending.remove(&lpi));
    }

    /// Its event is not mapped any more.
    pub fn reset_lpi(&self, lpi: u32) {
        self.with_lpis(|l| {
            l.targets.remove(&lpi);
            l.pending.remove(&lpi)
        });
    }

    /// `GICC_IAR` on `cpu`, of LPIs: with the end of the interrupt it is over.
    pub fn acknowledge_lpi(&self, cpu: usize) -> Option<u32> {
        if self.pending_lpis.get(cpu)?.load(Ordering::SeqCst) == 0 {
            return None;
        }
        if self.slow.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        self.with_lpis(|l| {
            let lpi = l.pending.iter().copied().find(|n| l.deliverable(*n, cpu))?;
            match l.restless.get_mut(&lpi) {
                Some(times) if *times != 0 => *times -= 1,
                _ => {
                    l.pending.remove(&lpi);
                }
            }
            Some(lpi)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn gic() -> (PhysicalGic, Arc<AtomicUsize>) {
        let wakes = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&wakes);
        let gic = PhysicalGic::new(64, 32, 2, move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        (gic, wakes)
    }

    #[test]
    fn an_edge_is_latched_and_merged_while_active() {
        let (gic, wakes) = gic();
        gic.pulse(40);
        assert!(!gic.asserted(0), "not enabled");
        gic.set_enabled(40, true);
        assert!(gic.asserted(0) && wakes.load(Ordering::SeqCst) == 1);
        assert_eq!(gic.acknowledge(0), Some(40));
        gic.pulse(40);
        gic.pulse(40);
        assert_eq!(gic.acknowledge(0), None, "active: held back");
        gic.deactivate(40);
        assert_eq!(gic.acknowledge(0), Some(40));
        gic.deactivate(40);
        assert_eq!(gic.acknowledge(0), None);
    }

    #[test]
    fn a_level_stays_pending_until_lowered() {
        let (gic, _) = gic();
        gic.set_level_sensitive(33, true);
        gic.set_enabled(33, true);
        gic.set_line(33, true);
        assert_eq!(gic.acknowledge(0), Some(33));
        gic.deactivate(33);
        assert_eq!(gic.acknowledge(0), Some(33), "line still up");
        gic.set_line(33, false);
        gic.deactivate(33);
        assert_eq!(gic.acknowledge(0), None);
        assert!(!gic.is_pending(33));
    }

    #[test]
    fn target_decides_and_unknown_interrupts_are_ignored() {
        let (gic, _) = gic();
        gic.set_target(50, 1);
        gic.set_enabled(50, true);
        gic.pulse(50);
        assert_eq!((gic.acknowledge(0), gic.acknowledge(1)), (None, Some(50)));
        gic.pulse(5000);
        gic.pulse(3);
        assert_eq!(gic.snapshot(3), None);
        assert_eq!(gic.snapshot(96), None, "beyond the last SPI");
    }

    #[test]
    fn an_lpi_merges_while_it_is_pending_and_moves_with_its_event() {
        let (gic, wakes) = gic();
        gic.send_lpi(8192);
        gic.send_lpi(8192);
        assert!(gic.asserted(0) && wakes.load(Ordering::SeqCst) == 1);
        gic.set_lpi_target(8192, 1);
        assert!(!gic.asserted(0) && gic.asserted(1));
        assert_eq!(gic.acknowledge_lpi(0), None);
        assert_eq!(gic.acknowledge_lpi(1), Some(8192));
        assert_eq!(gic.acknowledge_lpi(1), None);
        gic.send_lpi(8192);
        gic.reset_lpi(8192);
        assert!(!gic.asserted(1) && gic.lpi_target(8192) == 0);
    }

    #[test]
    fn a_property_is_what_was_read_until_it_is_invalidated() {
        let (gic, _) = gic();
        gic.set_lpi_property(8192, false);
        gic.send_lpi(8192);
        assert_eq!(gic.acknowledge_lpi(0), Some(8192), "not read yet");
        gic.invalidate_lpi(8192);
        gic.send_lpi(8192);
        assert!(!gic.asserted(0) && gic.lpi_is_pending(8192));
        gic.set_lpi_property(8192, true);
        assert_eq!(gic.acknowledge_lpi(0), None);
        assert!(!gic.invalidate_lpi_at(8192, 0), "no such register");
        gic.set_invlpir(true);
        assert!(gic.invalidate_lpi_at(8192, 1) && !gic.asserted(0));
        assert!(gic.invalidate_lpi_at(8192, 0) && gic.asserted(0));
        assert_eq!(gic.acknowledge_lpi(0), Some(8192));
    }

    #[test]
    fn extended_interrupts_have_their_own_numbers() {
        let (gic, _) = gic();
        gic.set_enabled(4127, true);
        gic.pulse(4127);
        gic.pulse(4128);
        assert_eq!(gic.acknowledge(0), Some(4127));
        assert_eq!(gic.acknowledge(0), None);
        assert_eq!(gic.snapshot(4128), None);
    }
}
