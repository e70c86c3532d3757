// SPDX-License-Identifier: GPL-2.0-only
//! By chance: what happens to a vCPU's interrupts, to `HCR_EL2` and to the vCPU itself, in any order. After each step its line is what
//! its interrupts say, and a virtual abort is pending exactly if it was not taken since.

use super::*;
use fastrand::Rng;
use std::collections::BTreeSet;
use vgic_harness::xen::vcpu::{TVM, VA};

const INTIDS: std::ops::Range<u64> = 0..4;
const STEPS: usize = 400;

/// What is known of vCPU 0.
#[derive(Default)]
struct Model {
    disabled: bool,
    pending: BTreeSet<u64>,
    unmasked: BTreeSet<u64>,
    abort: bool,
    traps: bool,
}

impl Model {
    fn line(&self) -> bool {
        !self.disabled && self.pending.intersection(&self.unmasked).next().is_some()
    }
}

/// A call about one interrupt of vCPU 0, by whichever vCPU.
fn call(model: &mut Model, caller: &GuestCpu, rng: &mut Rng) {
    let intid = rng.u64(INTIDS);
    let own = [0, intid, 0];
    match rng.u8(0..4) {
        0 => {
            let disabled = caller.call(rvic::SIGNAL, own).is_err();
            assert_eq!(disabled, model.disabled);
            if !disabled {
                model.pending.insert(intid);
            }
        }
        1 => {
            caller.must(rvic::CLEAR_PENDING, own);
            model.pending.remove(&intid);
        }
        2 => {
            caller.must(rvic::SET_MASKED, own);
            model.unmasked.remove(&intid);
        }
        _ => {
            caller.must(rvic::CLEAR_MASKED, own);
            model.unmasked.insert(intid);
        }
    }
}

/// What only the vCPU itself does, which is on a CPU.
fn own(model: &mut Model, cpu: &mut GuestCpu, rng: &mut Rng) {
    match rng.u8(0..8) {
        0 => {
            model.disabled = rng.bool();
            let what = if model.disabled {
                rvic::DISABLE
            } else {
                rvic::ENABLE
            };
            cpu.must(what, [0; 3]);
        }
        1 => {
            let there = model.line();
            match cpu.call(rvic::ACKNOWLEDGE, [0; 3]) {
                Ok(intid) => {
                    assert!(there && model.pending.remove(&intid));
                    assert!(model.unmasked.remove(&intid));
                }
                Err(_) => assert!(!there),
            }
        }
        2 => {
            cpu.pend_abort();
            model.abort = true;
        }
        3 => {
            assert_eq!(cpu.take_abort(), model.abort);
            model.abort = false;
        }
        4 => {
            model.traps = rng.bool();
            cpu.trap_memory(model.traps);
        }
        5 => cpu.hypercall(|| ()),
        6 => {
            assert_eq!(
                cpu.wfi(),
                model.line(),
                "what is to be taken is what keeps it awake"
            );
            cpu.vcpu.set_awake();
        }
        _ => cpu.preempt(),
    }
}

fn run(profile: Profile, seed: u64) {
    let machine = Machine::power_on(profile.with_cpus(3));
    let domain = Domain::with_vcpus(&machine, Config::rvic(2)).expect("a domain");
    let [mut cpu, other]: [GuestCpu; 2] = start(&domain).try_into().ok().expect("two of them");
    let (mut model, mut rng) = (Model::default(), Rng::with_seed(seed));
    for step in 0..STEPS {
        match rng.u8(0..5) {
            0 | 1 => call(&mut model, &other, &mut rng),
            2 if cpu.is_on_cpu() => call(&mut model, &cpu, &mut rng),
            _ if cpu.is_on_cpu() => own(&mut model, &mut cpu, &mut rng),
            _ => {
                if rng.bool() {
                    cpu.migrate([0, 2][rng.usize(0..2)]);
                }
                assert!(cpu.try_wake());
            }
        }
        let what = format!("step {step} of seed {seed} on {}", profile.name);
        if cpu.is_on_cpu() {
            assert_eq!(cpu.isr(), model.line(), "{what}: the line");
            // Taken, it is seen on the next exit.
            cpu.hypercall(|| ());
            assert_eq!(line(&cpu), model.line(), "{what}: the line after an exit");
            let hcr = cpu.vcpu.hcr();
            assert_eq!(
                (hcr & VA != 0, hcr & TVM != 0),
                (model.abort, model.traps),
                "{what}"
            );
        }
        assert!(!line(&other), "{what}");
    }
}

#[test]
fn the_line_is_right_after_each_step() {
    for seed in 0..60 {
        for profile in [Profile::GICV2, Profile::GICV3] {
            run(profile, seed);
        }
    }
}
