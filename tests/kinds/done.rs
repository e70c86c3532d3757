// SPDX-License-Identifier: GPL-2.0-only
//! Done means done: what is taken away from a vCPU in its guest is gone when the writer is told so.

use super::plays;

/// The IPI to vCPU 1, which has the interrupt, is under way: what is told meanwhile, and when it has arrived.
#[test]
fn done_means_done_says_rwp_of_the_distributor() {
    for write in ["GICD_ICENABLER1 0x100", "GICD_CTLR 0x10"] {
        let ctlr = if write.contains("CTLR") { 0x50 } else { 0x53 };
        plays(&format!(
            "gic 3\nvcpus 2\nboot\nedge 0 40\nenable 0 40\nroute 0 40 1\nline 40 up\nsignal 1 yes\n\
             read 0 GICD_CTLR 0x53\nhold 1\nwrite 0 {write}\n\
             read 0 GICD_CTLR {:#x}\nread 0 GICD_CTLR {:#x}\nsignal 1 yes\n\
             release 1\nread 0 GICD_CTLR {ctlr:#x}\nsignal 1 no\nread 1 GICD_CTLR {ctlr:#x}\n",
            0x8000_0000_u32 | ctlr,
            0x8000_0000_u32 | ctlr,
        ));
    }
}

#[test]
fn done_means_done_says_rwp_of_the_redistributor() {
    plays(
        "gic 3\nvcpus 2\nboot\nenable 1 20\nppi 1 20 up\nsignal 1 yes\n\
         read 0 GICR1_CTLR 0\nhold 1\nwrite 0 GICR1_ICENABLER0 0x100000\n\
         read 0 GICR1_CTLR 0x8\nread 0 GICR0_CTLR 0\nread 0 GICD_CTLR 0x53\nsignal 1 yes\n\
         release 1\nread 0 GICR1_CTLR 0\nsignal 1 no\n",
    );
}

/// A GICv2 waits: the IPI arrives before the write is done.
#[test]
fn done_means_done_when_a_gicv2_has_written() {
    for write in [
        "GICD_ICENABLER1 0x100",
        "GICD_CTLR 0",
        "GICD_ICPENDR1 0x100",
    ] {
        plays(&format!(
            "gic 2\nvcpus 2\nboot\nedge 0 40\nenable 0 40\nroute 0 40 1\nline 40 up\nsignal 1 yes\n\
             hold 1\nwrite 0 {write}\nsignal 1 no\n"
        ));
    }
}

/// What vCPU 1 acknowledges after another has cleared the active state is not cleared with it.
#[test]
fn done_means_done_of_the_active_state() {
    plays(
        "gic 2 3\nvcpus 2\nboot\nedge 0 40\nenable 0 40\nroute 0 40 1\nline 40 up\nack 1 40\nline 40 up\n\
         exit 1\nhold 1\nwrite 0 GICD_ICACTIVER1 0x100\neoi 1 40\nack 1 40\nrelease 1\n\
         read 0 GICD_ISACTIVER1 0x100\neoi 1 40\nread 0 GICD_ISACTIVER1 0\n",
    );
}
