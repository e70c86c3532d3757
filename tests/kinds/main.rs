// SPDX-License-Identifier: GPL-2.0-only
//! Kinds of faults that a guest could see, a script for each: named after the kind, and what must happen by the architecture.
//!
//! Those that are about list registers play with few and with many of them, for a guest must see no difference.

mod done;
mod lines;
mod one_of_n;
mod owed;
mod priorities;

use recording::text::Script;
use vgic_harness::scripts::script::play;

/// A script on each version of the GIC that its head names: all is as it says.
fn plays(text: &str) {
    let script: Script = text.parse().expect("a script");
    for scene in &script.versions {
        let wrong = play(scene).expect("a domain");
        assert!(wrong.is_empty(), "{wrong:#?}\n{text}");
    }
}

/// The same with these numbers of list registers.
fn plays_with(list_registers: &[usize], text: &str) {
    for lrs in list_registers {
        plays(&format!("lrs {lrs}\n{text}"));
    }
}

const FEW_AND_MANY: &[usize] = &[1, 2, 4, 16];
