// SPDX-License-Identifier: GPL-2.0-only
//! The races of the design, explored by loom on the real code.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p rust-vgic --release --test loom`
//!
//! Each model runs a domain of one or two vCPUs on loom's threads, in a host that does what a hypervisor does:
//! a kick unblocks the vCPU, and if it is running sends an inter-processor interrupt. At the end, a vCPU that was
//! interrupted leaves the guest and enters it once more; then every interrupt must be where it belongs, once.
#![cfg(loom)]

mod done;
mod injection;
mod life;
mod lpi;
mod machine;
mod one_of_n;
mod owed;
mod registers;
mod reset;
mod routing;
mod rvic;
mod timer;
