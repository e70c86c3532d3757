// SPDX-License-Identifier: GPL-2.0-only
//! The floors of xtask, lowest first.

pub const FLOORS: &[&[&str]] = &[
    // What needs nothing else of ours: names of places, whole files, Ctrl-C, what cannot be had, how tables look.
    &["file", "interrupt", "lock", "paths", "table", "unavailable"],
    // Programs that run, how far they are, and what was downloaded.
    &["cache", "command", "progress"],
    // Debian's packages.
    &["apt"],
    &["package"],
    // Xen's source and its builds: no machine is known here.
    &["hypervisor"],
    // What is done with them.
    &["boot", "measure"],
    // The tests, which try the bench, too.
    &["verify"],
    // What fetches what all of them need.
    &["setup"],
    // The command line, which nobody needs but main.rs.
    &["cli"],
];
