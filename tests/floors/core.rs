// SPDX-License-Identifier: GPL-2.0-only
//! The floors of the core.

pub const FLOORS: &[&[&str]] = &[
    // Values.
    &[
        "config", "counters", "host", "intid", "lr", "msi", "progress", "radix", "slice", "sync",
    ],
    // The data of an interrupt, a vCPU, an LPI and an ITS.
    &["irq", "its", "list", "lpi", "rvid", "takers", "vcpu"],
    // What a domain's vGIC is made of.
    &["domain"],
    // What it does.
    &[
        "cpu_interface",
        "delivery",
        "dump",
        "entry",
        "exit",
        "image",
        "inbox",
        "its::collections",
        "its::dump",
        "its::execute",
        "its::message",
        "its::persist",
        "its::place",
        "its::queue",
        "its::reset",
        "its::refill",
        "its::restore",
        "lpi::delivery",
        "lpi::registers",
        "lpi::reset",
        "observe",
        "physical",
        "recall",
        "reset",
        "routing",
        "rvic",
        "slots",
    ],
    // Registers: their frames.
    &[
        "distributor",
        "gicv2",
        "gicv2m",
        "gicv3",
        "its::registers",
        "redistributor",
        "registers",
        "sysreg",
    ],
    // All of it, from outside.
    &["state"],
];
