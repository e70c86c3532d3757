// SPDX-License-Identifier: GPL-2.0-only
//! A virtual Arm Generic Interrupt Controller: GICv2 (IHI 0048B) and GICv3 (IHI 0069) for the guests of a hypervisor.
//!
//! The crate knows the architecture and nothing of any hypervisor: that is behind [`Host`].
//!
//! # Where to find what
//!
//! | module | block |
//! |---|---|
//! | [`irq`] | one interrupt: the word of state and its transitions |
//! | [`domain`] | a domain's vGIC: creation, look-up, hardware-mapped interrupts |
//! | `delivery` | injection: lock-free, from any context |
//! | `entry`, `slots` | list registers: filled and written on entry to the guest, read on exit |
//! | `cpu_interface` | the rest of the guest's CPU interface: waiting, trapped deactivation, maintenance, power |
//! | [`distributor`], [`gicv2`], [`gicv3`], [`redistributor`] | register frames, one table row per register |
//! | `routing` | where an SPI goes, also of several vCPUs |
//! | [`sysreg`] | ICC_SGI1R_EL1 and its siblings |
//! | [`lpi`] | LPIs: their words, configuration and pending tables |
//! | [`its`] | the interrupt translation service |
//! | [`lr`] | list registers of both hardware formats |
//! | `dump`, `observe` | what a person sees: state, counters, messages |
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
#[cfg(test)]
mod fake;
pub mod gicv2;
pub mod gicv3;
pub mod host;
pub mod intid;
pub mod irq;
pub mod its;
mod list;
pub mod lpi;
pub mod lr;
mod observe;
mod physical;
mod progress;
mod radix;
pub mod redistributor;
pub mod registers;
mod routing;
pub mod slice;
mod slots;
mod sync;
pub mod sysreg;
pub mod vcpu;

pub use config::{Config, Error, ItsConfig, LpiConfig, Version};
pub use domain::Domain;
pub use host::{CpuInterface, Handle, Host, PhysIrq};
pub use intid::{IntId, VcpuId};
pub use progress::Progress;
pub use registers::Width;
pub use sysreg::SgiRegister;
pub use vcpu::Vcpu;
