// SPDX-License-Identifier: GPL-2.0-only
//! Interrupts that any vCPU may take, while none can.

use crate::plays;

/// It waits outside of the list registers as the last group that takes it goes off, and goes to who enables that first.
#[test]
fn one_of_n_waits_until_somebody_can_take_it() {
    plays(
        "gic 3
        vcpus 2
        lrs 1
        boot
        edge 0 40
        enable 0 40
        priority 0 40 0xc0
        write64 0 GICD_IROUTER40 0x80000000
        exit 0
        exit 1
        set 1 group1 0
        exit 1
        sgi 0 0 3
        line 40 up
        signal 0 yes
        set 0 group1 0
        exit 0
        set 1 group1 1
        ack 1 40
        eoi 1 40
        set 0 group1 1
        ack 0 3
        eoi 0 3
        signal 0 no
        signal 1 no",
    );
}
