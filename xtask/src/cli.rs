// SPDX-License-Identifier: GPL-2.0-only
//! The command line: which tasks there are; what each can be asked for is said where it is done.

use crate::boot::arguments::BootArguments;
use crate::boot::bare::GuestArguments;
use crate::boot::record::RecordArguments;
use crate::boot::{figures, latency};
use crate::hypervisor::arguments::{TreeArguments, XenArguments};
use crate::hypervisor::{releases, toolstack};
use crate::measure::{bench, reach};
use crate::setup::SetupArguments;
use crate::verify::diff::DiffArguments;
use crate::verify::fuzz::FuzzArguments;
use crate::verify::mutants;
use crate::verify::test::TestArguments;
use clap::{Parser, Subcommand};

/// Tasks of the Rust vGIC that Cargo has no verb for.
#[derive(Parser, Debug)]
#[command(name = "vgic", bin_name = "./vgic", disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub task: Task,
}

/// The tasks.
#[derive(Subcommand, Debug)]
pub enum Task {
    /// Build Xen with the vGIC and boot Debian's Linux on it under QEMU, checking what it says
    Boot(BootArguments),
    /// Run the bare-metal test guest on Xen under QEMU: what only a guest sees of its interrupt controller
    Guest(GuestArguments),
    /// Measure how long it takes until a handler of the test guest runs: ours beside Xen's C vGICs, in counted instructions
    Latency(latency::Arguments),
    /// Measure what an interrupt takes of the hypervisor, with a GIC and with an rVIC: traps and counted instructions
    Figures(figures::Arguments),
    /// Patch and build Xen only
    Xen(XenArguments),
    /// Patch and build each of several Xen trees, without and with its support for the ITS, and check the Rust object
    Releases(releases::Arguments),
    /// Boot as `boot` does, and record what Dom0 does with its interrupt controller
    Record(RecordArguments),
    /// Run all tests: the workspace's, the loom models, the header against Xen's own prototypes
    Test(TestArguments),
    /// Show that the patches change no object while RUST_VGIC is off
    Unchanged(TreeArguments),
    /// Patch and build the toolstack of each of several Xen trees for arm64, and look at what libxl makes for guests
    Tools(toolstack::Arguments),
    /// Build Xen's C vGICs, and ours, as shared objects for the mock Xen
    Peers(TreeArguments),
    /// Compare ours with Xen's C vGICs and QEMU's model of a GIC, on random scripts and on the recordings
    Diff(DiffArguments),
    /// Measure ours beside Xen's C vGICs: instructions, time, memory
    Bench(bench::Arguments),
    /// Count the instructions of ours that a guest can reach: with a GICv2, a GICv3 without and with an ITS, an rVIC
    Reach(reach::Arguments),
    /// Run the tests that have threads, C and all, under ThreadSanitizer
    Tsan,
    /// Restore domains from what chance makes of streams and tables in guest memory, led by what that reaches in the code
    Fuzz(FuzzArguments),
    /// Plant small faults in the modules that decide; a test must fail for each (hours)
    Mutants(mutants::Arguments),
    /// Fetch what the others need, and build nothing but Rust's core library where rustup has none; looks for the newest of
    /// Debian's Xen sources that can be had
    Setup(SetupArguments),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
