// SPDX-License-Identifier: GPL-2.0-only
//! The same of domains with an rVIC: each call, an exit and an entry, what comes from outside, CPU_ON and a reset. There are as many
//! vCPUs, interrupts and inputs as there can be.

use super::{BUDGET, longest};
use std::hint::black_box;
use vgic_harness::guests::guest::GuestCpu;
use vgic_harness::guests::guest::hvc::{DOORBELL, Refused, rvic, rvid};
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;

/// What is about one interrupt: it does not depend on how many there are.
const ONE: u64 = BUDGET / 200;
/// What looks at each word of an rVIC, 128.
const WORDS: u64 = BUDGET / 100;
/// What looks at each of its interrupts, 2,048.
const INTERRUPTS: u64 = BUDGET / 10;

const ALL: u64 = 2048;
const TRUSTED: u64 = 32;
const INPUTS: u64 = ALL - TRUSTED;
/// Of these, those that messages become.
const MESSAGES: u64 = 32;

/// Interrupts that are looked at.
const WHERE: [u64; 4] = [0, TRUSTED - 1, TRUSTED, ALL - 1];

/// What is counted.
#[inline(never)]
fn one_trap<R>(f: impl FnOnce() -> R) -> R {
    black_box(f())
}

// The vCPUs go first.
struct Guest {
    /// The first three of 128.
    cpus: Vec<GuestCpu>,
    domain: Domain,
}

impl Guest {
    fn new(config: Config) -> Self {
        let machine = Machine::power_on(Profile::GICV3.with_cpus(8));
        let domain = Domain::with_vcpus(&machine, config).expect("a domain");
        domain.unpause();
        let cpus: Vec<_> = (0..3).map(|id| GuestCpu::start(&domain, id)).collect();
        for cpu in &cpus {
            cpu.must(rvic::ENABLE, [0; 3]);
        }
        Self { cpus, domain }
    }

    /// All masked, no input mapped.
    fn boot() -> Self {
        Self::new(Config {
            spis: (INPUTS - MESSAGES) as u32,
            ..Config::rvic(128).with_levels().with_msi()
        })
    }

    /// vCPU 0 takes everything, and each input goes there.
    fn open() -> Self {
        let guest = Self::boot();
        for intid in 0..ALL {
            guest.about(rvic::CLEAR_MASKED, intid);
        }
        for input in 0..INPUTS {
            guest.caller().must(rvid::MAP, [input, 0, TRUSTED + input]);
        }
        guest
    }

    /// And everything is pending there.
    fn full() -> Self {
        let guest = Self::open();
        for intid in 0..TRUSTED {
            guest.about(rvic::SIGNAL, intid);
        }
        for input in 0..INPUTS {
            guest.inject(input, true);
        }
        guest
    }

    /// Everything was pending there, and the last one is.
    fn emptied() -> Self {
        let guest = Self::full();
        for intid in 0..ALL - 1 {
            guest.about(rvic::CLEAR_PENDING, intid);
        }
        guest
    }

    fn caller(&self) -> &GuestCpu {
        &self.cpus[1]
    }

    /// vCPU 1 calls about an interrupt of vCPU 0.
    fn about(&self, function: u64, intid: u64) {
        self.caller().must(function, [0, intid, 0]);
    }

    fn inject(&self, input: u64, level: bool) {
        let virq = (TRUSTED + input) as u32;
        (self.domain.machine).hypervisor(3, || self.domain.inject(virq, level));
    }

    /// Each call that is about one interrupt.
    fn calls(&self, intid: u64) {
        let me = GuestCpu::affinity(1);
        let input = intid.saturating_sub(TRUSTED);
        let untrusted = TRUSTED + input;
        for (function, arguments) in [
            (rvic::VERSION, [0; 3]),
            (rvic::INFO, [1, 0, 0]),
            (rvic::SIGNAL, [0, intid, 0]),
            (rvic::IS_PENDING, [0, intid, 0]),
            (rvic::SET_MASKED, [0, intid, 0]),
            (rvic::CLEAR_MASKED, [0, intid, 0]),
            (rvic::CLEAR_PENDING, [0, intid, 0]),
            (rvic::CLEAR_MASKED, [me, intid, 0]),
            (rvic::SIGNAL, [me, intid, 0]),
            (rvic::CLEAR_PENDING, [me, intid, 0]),
            (rvic::SET_MASKED, [me, intid, 0]),
            (rvic::RESAMPLE, [intid % TRUSTED, 0, 0]),
            (rvid::VERSION, [0; 3]),
            (rvid::FEATURES, [0; 3]),
            (rvid::UNMAP, [input, 0, 0]),
            (rvid::MAP, [input, me, untrusted]),
            (rvid::MAP, [input, 0, untrusted]),
            (rvid::RESAMPLE, [input, 0, 0]),
            // Errors.
            (rvic::SIGNAL, [u64::MAX; 3]),
            (rvid::MAP, [u64::MAX; 3]),
            (rvid::VERSION + 0x50, [0; 3]),
            // Its target runs, and takes it.
            (rvic::SIGNAL, [0, intid, 0]),
        ] {
            let answer = one_trap(|| self.caller().call(function, arguments));
            let wrong = arguments[0] == u64::MAX || function == rvid::VERSION + 0x50;
            let message = function == rvid::RESAMPLE && input >= INPUTS - MESSAGES;
            assert_eq!(
                answer.is_err(),
                wrong || message,
                "{function:#x}: {answer:?}"
            );
            self.cpus.iter().for_each(|cpu| one_trap(|| cpu.step()));
        }
    }
}

/// A name, the most that is taken, and what is counted.
type Workload = (&'static str, u64, fn());

const WORKLOADS: [Workload; 11] = [
    ("rVIC: calls, nothing pending", ONE, || {
        let guest = Guest::open();
        WHERE.into_iter().for_each(|intid| guest.calls(intid));
    }),
    ("rVIC: calls, all pending", ONE, || {
        let guest = Guest::full();
        WHERE.into_iter().for_each(|intid| guest.calls(intid));
    }),
    ("rVIC: calls, all was pending", WORDS, || {
        let guest = Guest::emptied();
        WHERE.into_iter().for_each(|intid| guest.calls(intid));
    }),
    ("rVIC: exit and entry", ONE, || {
        let guest = Guest::open();
        for _ in 0..8 {
            one_trap(|| guest.cpus[0].hypercall(|| ()));
        }
    }),
    ("rVIC: ACKNOWLEDGE, one pending", WORDS, || {
        let guest = Guest::open();
        for intid in WHERE {
            guest.about(rvic::SIGNAL, intid);
            let taken = || guest.cpus[0].call(rvic::ACKNOWLEDGE, [0; 3]);
            assert_eq!(one_trap(taken), Ok(intid));
            assert_eq!(one_trap(taken), Err(Refused::NoInterrupts));
        }
    }),
    ("rVIC: ACKNOWLEDGE, all pending", INTERRUPTS, || {
        let guest = Guest::full();
        for intid in 0..256 {
            let taken = one_trap(|| guest.cpus[0].call(rvic::ACKNOWLEDGE, [0; 3]));
            assert_eq!(taken, Ok(intid));
        }
    }),
    ("rVIC: ENABLE and DISABLE, all lines high", BUDGET, || {
        let guest = Guest::full();
        for intid in 0..TRUSTED {
            let v = &guest.cpus[0].vcpu;
            (guest.domain.machine)
                .hypervisor(3, || guest.domain.inject_private(v, intid as u32, true));
        }
        for function in [rvic::DISABLE, rvic::ENABLE, rvic::DISABLE, rvic::ENABLE] {
            one_trap(|| guest.cpus[0].must(function, [0; 3]));
        }
    }),
    ("rVIC: injection", ONE, || {
        let guest = Guest::open();
        let v = &guest.cpus[0].vcpu;
        for n in 0..8 {
            for level in [true, false] {
                one_trap(|| guest.inject(n * 251, level));
                one_trap(|| guest.domain.inject_private(v, 16 + n as u32, level));
            }
        }
    }),
    ("rVIC: message", ONE, || {
        let guest = Guest::open();
        for data in INPUTS - MESSAGES..INPUTS {
            let sent = one_trap(|| guest.domain.inject_msi(3, DOORBELL, 0, 0, data as u32));
            assert_eq!(sent, Ok(()));
        }
    }),
    ("rVIC: a vCPU moves, 256 host interrupts", BUDGET, || {
        let mut guest = Guest::boot();
        for virq in 32..288 {
            assert_eq!(guest.domain.route(virq, virq, true), Ok(()));
            let input = u64::from(virq) - TRUSTED;
            (guest.caller()).must(rvid::MAP, [input, 0, TRUSTED + input]);
        }
        for cpu in [4, 0] {
            one_trap(|| guest.cpus[0].migrate(cpu));
        }
    }),
    ("rVIC: reset", BUDGET, || {
        let guest = Guest::full();
        let Guest { cpus, domain } = guest;
        drop(cpus);
        for _ in 0..2 {
            let more = one_trap(|| domain.reset_part(None)).expect("a reset");
            assert!(!more);
        }
    }),
];

/// What the mock does in place of a CPU interface and of a physical GIC.
const MOCK: [&str; 4] = [
    "*VirtualCpuInterface::misr",
    "*PhysicalGic::acknowledge",
    "*PhysicalGic::asserted",
    "rvgic_desc_route",
];

/// What of the mock is not counted in a workload.
pub fn not_counted(workload: &str) -> &'static [&'static str] {
    let ours = WORKLOADS.iter().any(|w| w.0 == workload);
    if ours { &MOCK } else { &[] }
}

/// In the program that is counted. Says whether it is one of these.
pub fn run(name: &str) -> bool {
    let found = WORKLOADS.iter().find(|w| w.0 == name);
    found.map(|(.., run)| run()).is_some()
}

#[test]
fn bounded_is_each_call_of_an_rvic_and_each_event() {
    let mut over = Vec::new();
    for (workload, bound, _) in WORKLOADS {
        let Some((most, _)) = longest(workload) else {
            return;
        };
        if most > bound {
            over.push((workload, most, bound));
        }
    }
    assert!(over.is_empty(), "{over:?}");
}
