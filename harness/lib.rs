// SPDX-License-Identifier: GPL-2.0-only
//! A mock Xen: enough of a machine and of a hypervisor to run the vGIC's exported C functions on a laptop.
//!
//! | module | what |
//! |---|---|
//! | [`lr`], [`cpuif`] | list registers and the virtual CPU interface that works on them |
//! | [`physgic`] | the physical GIC: shared interrupts, their lines, activation |
//! | [`profile`] | kinds of machines |
//! | [`machine`] | physical CPUs; Xen's way through interrupts, exits and entries |
//! | [`domain`] | domains and vCPUs, made and unmade as Xen does |
//! | [`guest`] | a vCPU as its guest has it |
//! | [`play`] | recordings and scripts, step by step |
//! | [`replay`], [`script`] | a recording compared with what comes, a script with what it says |
//! | `steps` | what of a script is in no recording, and how what is seen of a step is told |
//! | [`scenario`] | the scripted guest of `cargo run` |
//! | [`timeline`] | the lives of interrupts, drawn |
//! | [`generate`], [`compare`], [`transcript`], [`qtest`] | scripts by chance, on ours and on a peer: another vGIC, or QEMU's GIC |
//! | [`diff`], [`differences`] | the whole comparison, and what is known of it |
//! | [`linux`] | what Linux's GIC drivers do to a GIC |
//! | [`its`] | what Linux's driver does with LPIs and ITSes |
//! | [`peer`] | which vGIC runs: ours, or one in a shared object |
//! | [`mod@bench`] | the rows of `cargo xtask bench` |
//! | [`faults`] | the vGIC's allocations: counted, and failed on request |
//!
//! `harness/c` and `harness/include` are the C half: Xen's structures and headers, in the small, against which
//! xen-glue's C compiles unchanged.

pub mod abi;
mod bell;
pub mod bench;
pub mod compare;
pub mod cpuif;
pub mod diff;
pub mod differences;
pub mod domain;
pub mod faults;
pub mod generate;
pub mod guest;
pub mod its;
pub mod linux;
pub mod lr;
pub mod machine;
pub mod peer;
pub mod physgic;
pub mod play;
pub mod profile;
pub mod qtest;
pub mod replay;
pub mod scenario;
pub mod script;
mod steps;
pub mod timeline;
pub mod transcript;
mod xen;
