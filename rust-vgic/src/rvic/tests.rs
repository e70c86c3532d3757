// SPDX-License-Identifier: GPL-2.0-only
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod exhaustive;
mod faults;
mod hostile;
mod levels;
mod messages;
mod model;
mod order;
mod power;
mod random;
mod reset;

use super::{Config, Domain, Messages, Rvic};
use crate::fake::Fake;
use crate::intid::VcpuId;
use std::sync::atomic::Ordering::SeqCst;

pub(super) const RVID: u64 = 0xc500_0100;
pub(super) const RVIC: u64 = 0xc500_0200;

pub(super) const MAP: u64 = RVID + 1;
pub(super) const UNMAP: u64 = RVID + 2;
pub(super) const FEATURES: u64 = RVID + 0x10;
pub(super) const RESAMPLE_INPUT: u64 = RVID + 0x11;

pub(super) const INFO: u64 = RVIC + 1;
pub(super) const ENABLE: u64 = RVIC + 2;
pub(super) const DISABLE: u64 = RVIC + 3;
pub(super) const SET_MASKED: u64 = RVIC + 4;
pub(super) const CLEAR_MASKED: u64 = RVIC + 5;
pub(super) const IS_PENDING: u64 = RVIC + 6;
pub(super) const SIGNAL: u64 = RVIC + 7;
pub(super) const CLEAR_PENDING: u64 = RVIC + 8;
pub(super) const ACKNOWLEDGE: u64 = RVIC + 9;
pub(super) const RESAMPLE: u64 = RVIC + 10;

pub(super) const OK: u64 = 0;
pub(super) const DISABLED: u64 = 3;
pub(super) const NO_INTERRUPTS: u64 = 4;
pub(super) const NOT_SUPPORTED: u64 = u64::MAX;

/// ERROR_PARAMETER of that argument.
pub(super) const fn bad_parameter(index: u64) -> u64 {
    1 | index << 8
}

/// INVALID_CPU: only the first argument is one.
pub(super) const INVALID_CPU: u64 = 2;

/// The least that there can be, with two vCPUs and some inputs.
pub(super) const LEAST: Config = Config {
    vcpus: 2,
    trusted: 32,
    untrusted: 32,
    inputs: 8,
    messages: None,
    level_inputs: false,
};

/// The same with both extensions.
pub(super) const EXTENDED: Config = Config {
    messages: Some(Messages { first: 4, count: 4 }),
    level_inputs: true,
    ..LEAST
};

/// A domain of which the host has created all vCPUs.
pub(super) fn domain(config: &Config) -> Domain<Fake> {
    let domain = Domain::new(config, Fake::default()).unwrap();
    for n in 0..config.vcpus {
        let id = VcpuId::new(n as u32).unwrap();
        domain.create_vcpu(id, n).unwrap();
    }
    domain
}

/// The MPIDR of a vCPU.
pub(super) fn mpidr(n: u64) -> u64 {
    n & 15 | n >> 4 << 8
}

impl Domain<Fake> {
    pub(super) fn v(&self, n: usize) -> &Rvic<usize> {
        self.vcpu(VcpuId::new(n as u32).unwrap()).unwrap()
    }

    /// A call of vCPU `n`'s guest, which leaves it for that and enters it again: status and value.
    pub(super) fn hvc(&self, n: usize, function: u64, args: [u64; 3]) -> (u64, u64) {
        let own = self.v(n);
        self.leave(own);
        let [status, value, rest @ ..] = self.call(own, function, args).unwrap();
        assert_eq!(rest, [0, 0]);
        self.enter(own);
        (status, value)
    }

    /// A call that has to be a success, and its value.
    pub(super) fn done(&self, n: usize, function: u64, args: [u64; 3]) -> u64 {
        let (status, value) = self.hvc(n, function, args);
        assert_eq!(status, OK, "{function:#x} {args:#x?}");
        value
    }

    /// ACKNOWLEDGE of vCPU `n`: what it has taken.
    pub(super) fn acknowledged(&self, n: usize) -> Option<u64> {
        let (status, intid) = self.hvc(n, ACKNOWLEDGE, [0; 3]);
        let none = (status, intid) == (NO_INTERRUPTS, 0);
        assert!(none || status == OK, "{status} {intid}");
        (!none).then_some(intid)
    }

    /// ENABLE of vCPU `n`, and CLEAR_MASKED of these.
    pub(super) fn ready(&self, n: usize, intids: &[u64]) {
        self.done(n, ENABLE, [0; 3]);
        for intid in intids {
            self.done(n, CLEAR_MASKED, [mpidr(n as u64), *intid, 0]);
        }
    }

    /// The IRQ line of vCPU `n`'s guest.
    pub(super) fn shows(&self, n: usize) -> bool {
        let lines = self.host.virtual_irq.lock().unwrap();
        lines.get(&n).copied().unwrap_or(false)
    }

    /// A kick arrives: the vCPUs that were kicked go out of their guests and in again. Which?
    pub(super) fn answer_kicks(&self) -> Vec<usize> {
        let kicked = self.host.kicked();
        for n in &kicked {
            self.leave(self.v(*n));
            self.enter(self.v(*n));
        }
        kicked
    }

    /// What the host says of lines that it can look at.
    pub(super) fn source(&self, line: Option<bool>) {
        *self.host.line.lock().unwrap() = line;
    }

    /// No CPU has interrupts masked.
    pub(super) fn unmasked(&self) -> bool {
        self.host.current.load(SeqCst) == 0
    }
}

#[test]
fn version_and_info() {
    let d = domain(&Config {
        untrusted: 96,
        ..LEAST
    });
    assert_eq!(d.done(0, RVIC, [0; 3]), 3);
    assert_eq!(d.done(0, RVID, [0; 3]), 3);
    assert_eq!(d.done(0, INFO, [0, 0, 0]), 32);
    assert_eq!(d.done(0, INFO, [1, 0, 0]), 96);
    for key in [2, 1 << 32, u64::MAX] {
        assert_eq!(d.hvc(0, INFO, [key, 0, 0]), (bad_parameter(0), 0));
    }
}

#[test]
fn of_a_function_identifier_the_lower_half_counts() {
    let d = domain(&LEAST);
    let own = d.v(0);
    assert_eq!(
        d.call(own, 0xffff_ffff_c500_0200, [0; 3]),
        Some([0, 3, 0, 0])
    );
    // The 32-bit convention is not ours, nor are the neighbours.
    for function in [0x8500_0200, 0xc500_00ff, 0xc500_0300, 0, u64::MAX] {
        assert_eq!(d.call(own, function, [0; 3]), None);
    }
    for function in [
        0xc500_020b,
        0xc500_02ff,
        0xc500_0103,
        FEATURES,
        RESAMPLE_INPUT,
    ] {
        assert_eq!(d.hvc(0, function, [0; 3]), (NOT_SUPPORTED, 0));
    }
}

#[test]
fn extensions_are_there_if_asked_for() {
    let of = |messages: bool, levels: bool| {
        let config = Config {
            messages: EXTENDED.messages.filter(|_| messages),
            level_inputs: levels,
            ..LEAST
        };
        let d = domain(&config);
        let features = d.hvc(0, FEATURES, [0; 3]);
        (features, d.hvc(0, RESAMPLE_INPUT, [0; 3]).0, d.functions())
    };
    assert_eq!(of(false, false), ((NOT_SUPPORTED, 0), NOT_SUPPORTED, 14));
    assert_eq!(of(true, false), ((OK, 1), NOT_SUPPORTED, 15));
    assert_eq!(of(false, true), ((OK, 2), OK, 16));
    assert_eq!(of(true, true), ((OK, 3), OK, 16));
}

#[test]
fn a_signal_wakes_and_is_taken_once() {
    let d = domain(&LEAST);
    d.ready(1, &[3]);
    d.host.kicked();
    assert!(!d.shows(1) && !d.has_pending(d.v(1)));
    d.done(0, SIGNAL, [mpidr(1), 3, 0]);
    assert!(d.has_pending(d.v(1)));
    assert_eq!(d.answer_kicks(), [1]);
    assert!(d.shows(1));
    assert_eq!(d.acknowledged(1), Some(3));
    assert!(!d.shows(1));
    assert_eq!(d.acknowledged(1), None);
    // Pending behind its mask, until that is cleared.
    d.done(0, SIGNAL, [mpidr(1), 3, 0]);
    assert_eq!(d.answer_kicks(), []);
    assert_eq!(d.done(1, IS_PENDING, [mpidr(1), 3, 0]), 1);
    assert_eq!(d.acknowledged(1), None);
    d.done(1, CLEAR_MASKED, [mpidr(1), 3, 0]);
    assert!(d.shows(1));
    assert_eq!(d.acknowledged(1), Some(3));
}

/// ISR_EL1.I mirrors the line: it goes off, too, when another vCPU takes the last away, and nobody is bothered for less.
#[test]
fn the_line_follows_what_others_do() {
    for function in [SET_MASKED, CLEAR_PENDING] {
        let d = domain(&LEAST);
        d.ready(1, &[3, 40]);
        d.done(1, SIGNAL, [mpidr(1), 3, 0]);
        d.done(1, SIGNAL, [mpidr(1), 40, 0]);
        assert_eq!(d.answer_kicks(), [], "its own calls end with an entry");
        assert!(d.shows(1));
        d.done(0, function, [mpidr(1), 3, 0]);
        assert_eq!(d.answer_kicks(), [], "there is another");
        d.done(0, function, [mpidr(1), 40, 0]);
        assert_eq!(d.answer_kicks(), [1]);
        assert!(!d.shows(1));
        // What is on already need not be told again.
        d.done(0, CLEAR_MASKED, [mpidr(1), 3, 0]);
        d.done(0, SIGNAL, [mpidr(1), 3, 0]);
        assert_eq!(d.answer_kicks(), [1]);
        d.done(0, CLEAR_MASKED, [mpidr(1), 40, 0]);
        d.done(0, SIGNAL, [mpidr(1), 40, 0]);
        assert_eq!(d.answer_kicks(), []);
    }
}

#[test]
fn who_is_kicked_already_is_not_kicked_again() {
    let d = domain(&LEAST);
    d.ready(1, &[3, 4]);
    d.enter(d.v(1));
    d.done(0, SIGNAL, [mpidr(1), 3, 0]);
    assert_eq!(d.host.kicked(), [1]);
    d.done(0, SIGNAL, [mpidr(1), 4, 0]);
    assert_eq!(d.host.kicked(), []);
    // But out of its guest it may sleep.
    d.leave(d.v(1));
    d.done(0, CLEAR_PENDING, [mpidr(1), 4, 0]);
    assert_eq!(d.host.kicked(), []);
    d.done(0, SIGNAL, [mpidr(1), 4, 0]);
    assert_eq!(d.host.kicked(), [1]);
}

#[test]
fn vcpus_are_created_once_and_named_by_their_affinity() {
    let config = Config { vcpus: 18, ..LEAST };
    let d = Domain::new(&config, Fake::default()).unwrap();
    let id = |n| VcpuId::new(n).unwrap();
    let own = d.create_vcpu(id(0), 0).unwrap();
    assert_eq!(d.create_vcpu(id(0), 0).err(), Some(crate::Error::Busy));
    assert_eq!(d.create_vcpu(id(18), 0).err(), Some(crate::Error::Invalid));
    let mask = |mpidr| d.call(own, SET_MASKED, [mpidr, 3, 0]).unwrap()[0];
    assert_eq!(mask(0x0101), INVALID_CPU, "not created yet");
    let last = d.create_vcpu(id(17), 17).unwrap();
    assert_eq!(mask(0x0101), OK);
    assert_eq!(mask(0x0102), INVALID_CPU);
    for bad in [
        0x10,
        0x0111,
        1 << 16,
        1 << 24,
        1 << 31,
        1 << 32,
        1 << 40,
        1 << 63,
    ] {
        assert_eq!(mask(bad), INVALID_CPU, "{bad:#x}");
        let map = d.call(own, MAP, [0, bad, 32]).unwrap()[0];
        assert_eq!(map, bad_parameter(1), "{bad:#x}");
    }
    d.free_vcpu(last);
    assert_eq!(mask(0x0101), INVALID_CPU);
}

#[test]
fn a_person_sees_why() {
    let d = domain(&EXTENDED);
    d.done(0, MAP, [1, mpidr(1), 40]);
    d.inject_input(2, true).unwrap();
    d.ready(1, &[3]);
    for intid in [3, 4, 40] {
        d.done(1, SIGNAL, [mpidr(1), intid, 0]);
    }
    let dump = |n| {
        let mut text = String::new();
        d.dump(d.v(n), &mut text).unwrap();
        text
    };
    let of_first = dump(0);
    assert!(
        of_first.contains("rVID: 8 inputs\n       1: v1 40\n       2: not mapped, line high\n")
    );
    assert!(of_first.contains("rVIC of v0: disabled, line off, in the guest"));
    let of_second = dump(1);
    assert!(!of_second.contains("rVID"));
    assert!(of_second.contains("rVIC of v1: enabled, line on, in the guest"));
    assert!(of_second.contains("    3: pending; waits for its guest\n"));
    assert!(of_second.contains("    4: pending; not delivered: masked\n"));
    d.done(1, DISABLE, [0; 3]);
    assert!(dump(1).contains("    3: pending; not delivered: the rVIC is disabled\n"));
}
