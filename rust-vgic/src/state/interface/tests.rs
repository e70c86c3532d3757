// SPDX-License-Identifier: GPL-2.0-only
//! A domain is saved before its vCPU, which is to start afresh, has been entered.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::domain::Domain;
use crate::fake::{Cpu, Fake, v3_on};
use crate::intid::IntId;
use crate::irq::Event;
use std::sync::atomic::Ordering::SeqCst;

/// ICH_VTR_EL2: five bits of priority and of preemption.
const VTR: u32 = 4 << 29 | 4 << 26;
/// VMCR: Group 1 on, nothing masked, the least binary points that these have.
const OPEN: u32 = 0xf84c_0002;
const PPI: u32 = 20;

fn domain() -> Domain<Fake> {
    v3_on(1, 32, 0, || Cpu {
        vtr: VTR,
        ..Cpu::default()
    })
}

/// Is the PPI active, and is the interface as after power-on, when the vCPU of this domain has next been entered?
fn entered(domain: &Domain<Fake>) -> (bool, bool) {
    domain.enter(0);
    let fresh = domain.host().cpus[0].vmcr.load(SeqCst) == 0;
    domain.leave(0);
    let ppi = domain.irq(domain.v(0), IntId::new(PPI).unwrap()).unwrap();
    (ppi.state().active(), fresh)
}

#[test]
fn suspend_is_over_in_the_stream_as_well() {
    for (back, active) in [
        (Domain::cpu_on as fn(&Domain<Fake>, &_), false),
        (Domain::resumed, true),
    ] {
        let domain = self::domain();
        domain.ctlr.store(2, SeqCst);
        domain.host().cpus[0].vmcr.store(OPEN, SeqCst);
        let (v, ppi) = (domain.v(0), IntId::new(PPI).unwrap());
        domain.post(v, ppi, Event::Enable(true));
        domain.post(v, ppi, Event::Group1(true));
        domain.post(v, ppi, Event::SetActive);
        domain.enter(0);
        domain.leave(0);
        back(&domain, v);
        let stream = domain.save_boxed().unwrap();
        let other = self::domain();
        other.restore(&stream).unwrap();
        for domain in [domain, other] {
            assert_eq!(entered(&domain), (active, true));
        }
    }
}
