// SPDX-License-Identifier: GPL-2.0-only
//! A mock Xen: enough of a machine and of a hypervisor to run the vGIC's exported C functions on a laptop.
//!
//! Wings, each on those above it; `tests/floors/` holds them to it:
//!
//! | wing | what |
//! |---|---|
//! | [`machine`] | the parts of a machine: interrupt controllers, and what a vCPU sees of them |
//! | [`xen`] | the mock Xen: domains, and its way through interrupts, exits and entries |
//! | [`guests`] | guests, and what their drivers do |
//! | [`scripts`] | scripts and recordings: played, compared with what they say, drawn |
//! | [`comparison`] | the same scripts on other vGICs and on QEMU's GIC |
//! | [`mod@bench`] | the rows of `cargo xtask bench` |
//!
//! Their rooms:
//!
//! | module | what |
//! |---|---|
//! | `lock` | a lock that a panicking test may have left poisoned |
//! | [`machine::lr`], [`machine::cpuif`] | list registers and the virtual CPU interface that works on them |
//! | [`machine::physgic`] | the physical GIC: shared interrupts, their lines, activation |
//! | [`machine::pci`] | a PCI function: configuration space, BARs, and the messages that it writes |
//! | `machine::bell` | the event-check IPI, and what wakes an idle CPU |
//! | [`machine::profile`] | kinds of machines |
//! | [`notes`] | the lives of interrupts, noted on request |
//! | [`xen::faults`] | the vGIC's allocations: counted, and failed on request |
//! | [`xen::functions`] | the functions of a vGIC, and a table of them |
//! | [`xen::peer`] | which vGIC runs: ours, or one in a shared object |
//! | [`xen::abi`] | its functions, as Xen calls them |
//! | [`xen::flaws`] | faults of Xen's C vGICs that a forgiving machine passes over |
//! | [`xen::vtimer`] | its virtual timer, in the registers of whatever CPU it is on |
//! | [`xen::vcpu`] | a vCPU |
//! | [`xen::host`] | the machine with Xen on it: its physical CPUs |
//! | [`xen::pci`], [`xen::vpci`] | functions that domains own: the host's side, and what their guests see |
//! | `xen::interrupts`, `xen::entries` | Xen's way through interrupts, exits and entries |
//! | `xen::heap`, `xen::services` | what the vGIC and the C half call |
//! | [`xen::domain`] | domains, made and unmade as Xen does |
//! | [`guests::guest`] | a vCPU as its guest has it |
//! | [`guests::guest::hvc`] | one with an rVIC: its calls, and the line that it sees |
//! | [`guests::linux`] | what Linux's GIC drivers do to a GIC |
//! | [`guests::its`] | what Linux's driver does with LPIs and ITSes |
//! | [`guests::pci`] | what Linux does with a PCI function |
//! | [`guests::travel`] | a domain is saved on one machine and restored on another |
//! | [`guests::scenario`] | the scripted guest of `cargo run` |
//! | [`scripts::play`] | recordings and scripts, step by step |
//! | [`scripts::replay`], [`scripts::script`] | a recording compared with what comes, a script with what it says |
//! | `scripts::steps` | what of a script is in no recording, and how what is seen of a step is told |
//! | [`scripts::transcript`] | what was seen, for another process to read |
//! | [`scripts::timeline`] | the lives of interrupts, drawn |
//! | [`comparison::generate`] | scripts by chance |
//! | [`comparison::compare`], [`comparison::qtest`] | a script on ours and on a peer: another vGIC, or QEMU's GIC |
//! | [`comparison::diff`], [`comparison::differences`] | the whole comparison, and what is known of it |
//! | [`comparison::oracle`], [`comparison::judge`] | a GIC from the architecture alone, and what it says of what is seen |
//! | [`comparison::chance`] | scripts by chance of all that a guest may do |
//! | [`comparison::search`] | such scripts beside the oracle, in several ways; the shortest that shows a fault |
//! | [`bench::row`] | a row of the bench: what it needs, and how it is measured |
//!
//! `harness/c` and `harness/include` are the C half of the mock Xen: Xen's structures and headers, in the small, against which
//! xen-glue's C compiles unchanged.

pub mod bench;
pub mod comparison;
pub mod guests;
mod lock;
pub mod machine;
pub mod notes;
pub mod scripts;
pub mod xen;
