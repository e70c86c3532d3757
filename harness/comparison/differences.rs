// SPDX-License-Identifier: GPL-2.0-only
//! The differences that are known. QEMU's model and ours have none, in what can be compared.
//!
//! Sections are those of IHI 0048B; what IHI 0069 says of the register of the same name is the same.

use crate::comparison::generate::Feature;

/// A difference that is known.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The peer's name: `qemu`, `new`, `old`.
    pub peer: &'static str,
    /// The versions of the GIC on which it shows.
    pub gic: &'static [u8],
    /// What is left out of random scripts for it.
    pub without: &'static [Feature],
    /// Who says that we are right.
    pub because: &'static str,
    /// What shows it, as ours does it.
    pub script: &'static str,
}

/// The list.
pub const DIFFERENCES: &[Known] = &[
    Known {
        peer: "old",
        gic: &[2, 3],
        without: &[Feature::Levels],
        because: "3.2.4: a level-sensitive interrupt stays pending while its line is up",
        script: "gic 2 3\nboot\nenable 0 41\nline 41 up\nack 0 41\neoi 0 41\nack 0 41\nline 41 down\neoi 0\nsignal 0 no",
    },
    Known {
        peer: "old",
        gic: &[2],
        without: &[Feature::Sgis],
        because: "4.4.4: GICC_IAR has the CPU that sent an SGI",
        script: "gic 2\nboot\nsgi 1 0 3\nack 0 1027\neoi 0",
    },
    Known {
        peer: "old",
        gic: &[2, 3],
        without: &[Feature::PendingReads],
        because: "4.3.7: GICD_ISPENDR reads as what is pending",
        script: "gic 2 3\nboot\nedge 0 40\nline 40 up\nread 0 GICD_ISPENDR1 0x100",
    },
    Known {
        peer: "old",
        gic: &[2, 3],
        without: &[Feature::PendingWrites],
        because: "4.3.8: GICD_ICPENDR removes the pending state",
        script: "gic 2 3\nboot\nedge 0 40\nenable 0 40\nline 40 up\nwrite 0 GICD_ICPENDR1 0x100\nack 0 1023",
    },
    Known {
        peer: "old",
        gic: &[2, 3],
        without: &[Feature::ActiveReads],
        because: "4.3.9: GICD_ISACTIVER reads as what is active",
        script: "gic 2 3\nboot\nedge 0 40\nenable 0 40\nline 40 up\nack 0 40\nread 0 GICD_ISACTIVER1 0x100\neoi 0",
    },
    Known {
        peer: "old",
        gic: &[2, 3],
        without: &[Feature::ActiveWrites],
        because: "4.3.9: GICD_ISACTIVER can be written",
        script: "gic 2 3\nboot\nwrite 0 GICD_ISACTIVER1 0x100\nread 0 GICD_ISACTIVER1 0x100",
    },
    Known {
        peer: "old",
        gic: &[2, 3],
        without: &[Feature::Disabling],
        because: "4.3.6: a disabled interrupt is not forwarded, pending or not",
        script: "gic 2 3\nboot\nedge 0 40\nenable 0 40\nline 40 up\ndisable 0 40\nack 0 1023",
    },
    Known {
        peer: "old",
        gic: &[2, 3],
        without: &[Feature::Priorities],
        because: "4.3.11: the priority of a pending interrupt is what its register says",
        script: "gic 2 3\nboot\nedge 0 40\nenable 0 40\nenable 0 41\npriority 0 40 0x80\nline 40 up\nline 41 up\n\
                 priority 0 41 0x60\nack 0 41\neoi 0\nack 0 40\neoi 0",
    },
    Known {
        peer: "old",
        gic: &[2, 3],
        without: &[Feature::Switch],
        because: "4.3.1: GICD_CTLR off forwards nothing",
        script: "gic 2 3\nboot\nedge 0 40\nenable 0 40\nline 40 up\nwrite 0 GICD_CTLR 0\nack 0 1023",
    },
    Known {
        peer: "old",
        gic: &[2, 3],
        without: &[Feature::Routing],
        because: "4.3.12: a new target takes a pending interrupt over",
        script: "gic 2 3\nboot\nedge 0 40\nenable 0 40\nline 40 up\nroute 0 40 1\nack 1 40\neoi 1",
    },
    Known {
        peer: "old",
        gic: &[2, 3],
        without: &[Feature::Backlog],
        because: "3.3: of what is pending the highest priority comes first, however many list registers there are",
        script: "gic 2 3\nlrs 1\nboot\nedge 0 40\nenable 0 40\nenable 0 41\npriority 0 41 0x60\nline 40 up\nline 41 up\n\
                 ack 0 41\neoi 0\nack 0 40\neoi 0",
    },
    Known {
        peer: "old",
        gic: &[2, 3],
        without: &[Feature::Scheduling],
        because: "3.2.4: an active interrupt that comes again is pending as soon as it ends, though its vCPU was away",
        script: "gic 2 3\nboot\nedge 0 40\nenable 0 40\nline 40 up\nack 0 40\npreempt 0\nline 40 up\nresume 0\n\
                 eoi 0\nack 0 40\neoi 0",
    },
    Known {
        peer: "new",
        gic: &[2],
        without: &[Feature::PendingReads],
        because: "4.3.7: GICD_ISPENDR reads as what is pending, in another CPU's list register as well",
        script: "gic 2\nboot\nedge 0 40\nenable 0 40\nline 40 up\nread 1 GICD_ISPENDR1 0x100",
    },
    Known {
        peer: "new",
        gic: &[2],
        without: &[Feature::PendingWrites],
        because: "4.3.8: GICD_ICPENDR removes the pending state, in another CPU's list register as well",
        script: "gic 2\nboot\nedge 0 40\nenable 0 40\nline 40 up\nwrite 1 GICD_ICPENDR1 0x100\nack 0 1023",
    },
    Known {
        peer: "new",
        gic: &[2],
        without: &[Feature::ActiveReads],
        because: "4.3.9: GICD_ISACTIVER reads as what is active, though it ended on another CPU just now",
        script: "gic 2\nboot\nedge 0 40\nenable 0 40\nline 40 up\nack 0 40\nexit 0\neoi 0\nread 1 GICD_ISACTIVER1 0",
    },
    Known {
        peer: "new",
        gic: &[2],
        without: &[Feature::Disabling],
        because: "4.3.6: a disabled interrupt is not forwarded, whoever disabled it",
        script: "gic 2\nboot\nedge 0 40\nenable 0 40\nline 40 up\ndisable 1 40\nack 0 1023",
    },
    Known {
        peer: "new",
        gic: &[2],
        without: &[Feature::Priorities],
        because: "4.3.11: the priority of a pending interrupt is what its register says, whoever wrote it",
        script: "gic 2\nboot\nedge 0 40\nenable 0 40\nenable 0 41\npriority 0 40 0x80\nline 40 up\nline 41 up\n\
                 priority 1 41 0x60\nack 0 41\neoi 0\nack 0 40\neoi 0",
    },
    Known {
        peer: "new",
        gic: &[2],
        without: &[Feature::Switch],
        because: "4.3.1: GICD_CTLR on forwards what has become pending",
        script: "gic 2\nboot\nedge 0 40\nenable 0 40\nwrite 1 GICD_CTLR 0\nline 40 up\nwrite 1 GICD_CTLR 1\nack 0 40\neoi 0",
    },
    Known {
        peer: "new",
        gic: &[2],
        without: &[Feature::Routing],
        because: "4.3.12: a new target takes a pending interrupt over",
        script: "gic 2\nboot\nedge 0 40\nenable 0 40\nline 40 up\nroute 0 40 1\nack 1 40\neoi 1",
    },
    Known {
        peer: "new",
        gic: &[2],
        without: &[Feature::Backlog],
        because: "3.3: what is pending comes, however many list registers active interrupts are in",
        script: "gic 2\nlrs 1\nboot\nedge 0 40\nenable 0 40\nenable 0 41\npriority 0 41 0x60\nline 40 up\nack 0 40\n\
                 line 41 up\nack 0 41\neoi 0\neoi 0",
    },
];
