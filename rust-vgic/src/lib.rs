// SPDX-License-Identifier: GPL-2.0-only
//! A virtual Arm Generic Interrupt Controller: GICv2 (IHI 0048B) and GICv3 (IHI 0069) for the guests of a hypervisor; and, for
//! those that want less beneath them, the paravirtual rVIC and rVID (DEN0102), [`rvic`].
//!
//! The crate knows the architecture and nothing of any hypervisor: that is behind [`Host`].
//!
//! # Where to find what
//!
//! From the ground up: a module uses what is above it in this table, and of its own floor where that makes no circle. A test
//! reads the paths in the code (`tests/floors.rs`).
//!
//! | module | block |
//! |---|---|
//! | | **values** |
//! | [`config`] | what a vGIC is to be |
//! | [`host`] | what it asks of the hypervisor |
//! | [`intid`] | numbers of interrupts and vCPUs |
//! | [`lr`] | list registers of both hardware formats |
//! | `counters`, `progress` | what is counted; work that goes from trap to trap |
//! | `radix`, [`mod@slice`], `sync` | tables, boxes, atomics |
//! | [`msi`] | MSI and MSI-X of a PCI function that a guest owns: whoever emulates their registers calls it |
//! | | **data** |
//! | [`irq`] | one interrupt: the word of state and its transitions |
//! | `list` | ready lists |
//! | [`vcpu`] | a vCPU: inbox, lists, slots, what is in its redistributor |
//! | [`lpi`] | LPIs: their words and their table |
//! | `takers` | who can take what several may take |
//! | `rvid` | the inputs of an rVID |
//! | [`its`] | an interrupt translation service, its commands and its tables |
//! | | **a domain** |
//! | [`domain`] | a domain's vGIC: creation and look-up |
//! | | **what it does** |
//! | `delivery` | injection: lock-free, from any context |
//! | `inbox` | what has come is sorted by priority |
//! | `recall` | vCPUs are called out of their guests, and whether they have come |
//! | `physical` | hardware-mapped interrupts: SPIs, and private ones that follow their vCPUs from CPU to CPU |
//! | `routing` | where an SPI goes, also of several vCPUs |
//! | `entry`, `slots`, `exit` | list registers: filled and written on entry to the guest, read on exit |
//! | `cpu_interface` | the rest of the guest's CPU interface: waiting, trapped deactivation, maintenance, power |
//! | `lpi::delivery`, `lpi::registers` | LPIs: messages, configuration and pending tables |
//! | `its::queue`, `its::execute`, `its::collections` | commands of an ITS |
//! | `its::place`, `its::persist`, `its::refill`, `its::restore` | its tables in guest memory: written, and read |
//! | `its::message` | messages of device models |
//! | `reset`, `lpi::reset`, `its::reset` | the state after power-on, from any |
//! | `dump`, `its::dump`, `observe` | what a person sees: state, counters, messages |
//! | [`rvic`] | the other model, without a GIC: rVIC and rVID, all that they do |
//! | `image` and those of `irq`, `vcpu`, `lpi`, `its` | what a test sees: all there is |
//! | | **frames** |
//! | [`registers`] | how a register is described: a row of a table |
//! | [`distributor`], [`gicv2`], [`gicv2m`], [`gicv3`], [`redistributor`], `its::registers` | register frames |
//! | [`sysreg`] | ICC_SGI1R_EL1 and its siblings; ICC_CTLR_EL1 and others where they trap |
//! | | **the whole** |
//! | [`state`] | a domain's vGIC as a stream of records, and register by register |
//!
//! # One interrupt's way
//!
//! 1. A line rises, or a message arrives: [`Domain::inject`] or [`Domain::inject_lpi`], in any context and without a lock. A
//!    device model's message is looked up first, in process context: [`Domain::message`], or [`Domain::spi_message`] in a GICv2.
//!    A private one that is mapped to the hardware's fires ([`Domain::private_fired`]), or has risen when its vCPU comes to a
//!    CPU ([`Domain::load_private`]).
//! 2. [`State::at_level`](irq::State::at_level) says what becomes of the word, and a compare-exchange makes it so: if it can be
//!    delivered and was on no list, it is in the inbox of the vCPU that it is routed to ([`Place::Inbox`](irq::Place::Inbox)).
//! 3. Who has won that pushes it there ([`Effect::PUSH`](irq::Effect::PUSH)) and has the vCPU look: [`Host::kick`].
//! 4. On its way into the guest, [`Domain::sync_to`], the vCPU sorts its inbox into its ready lists, by priority
//!    ([`Place::Ready`](irq::Place::Ready)); what has come alone goes straight to a list register.
//! 5. The first of the lists get list registers ([`Place::Lr`](irq::Place::Lr)): [`State::load`](irq::State::load) says what
//!    one has to show, [`Format::encode`](lr::Format::encode) in which bits. For what waits there are maintenance interrupts.
//! 6. The guest acknowledges the interrupt and ends it, and nothing of ours runs.
//! 7. On the way out, [`Domain::sync_from`], what it did comes into the word, [`State::fold`](irq::State::fold); with nothing
//!    left of it the interrupt is on no list again, else it stays in its list register.
//!
//! # What always holds
//!
//! * No action of a guest panics, hangs or corrupts the host; every count from a guest is bounded before use.
//! * Every injected edge is delivered once; every raised level is pending until it is lowered.
//! * A word of state changes by compare-exchange only; a node is on one list at most ([`irq`]).
//! * Lock order: physical interrupt (`desc->lock`) → configuration lock → the one small lock of a vCPU.
//!   Never two vCPU locks at once; kicks come after unlock.
#![cfg_attr(not(any(test, loom)), no_std)]

extern crate alloc;

pub mod config;
mod counters;
mod cpu_interface;
mod delivery;
pub mod distributor;
pub mod domain;
mod dump;
mod entry;
mod exit;
#[cfg(test)]
mod fake;
pub mod gicv2;
pub mod gicv2m;
pub mod gicv3;
pub mod host;
#[cfg(not(target_os = "none"))]
mod image;
mod inbox;
pub mod intid;
pub mod irq;
pub mod its;
mod list;
pub mod lpi;
pub mod lr;
pub mod msi;
mod observe;
mod physical;
mod progress;
mod radix;
mod recall;
pub mod redistributor;
pub mod registers;
mod reset;
mod routing;
pub mod rvic;
mod rvid;
pub mod slice;
mod slots;
pub mod state;
mod sync;
pub mod sysreg;
mod takers;
pub mod vcpu;

pub use config::{Config, Error, ItsConfig, Limits, LpiConfig, MessageError, MsiFrame, Version};
pub use domain::Domain;
pub use host::{Backing, CpuInterface, Handle, Host, InterfaceState, PhysIrq};
pub use intid::{IntId, VcpuId};
pub use progress::Progress;
pub use registers::Width;
pub use sysreg::{IccRegister, SgiRegister};
pub use vcpu::Vcpu;
