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

/// Its second edge comes while it is active at a vCPU that then takes no more: it goes to the other when it has ended.
#[test]
fn one_of_n_is_decided_anew_for_the_second_edge() {
    plays(
        "gic 2
        vcpus 2
        boot
        edge 0 44
        line 44 up
        enable 0 44
        set 0 group0 0
        write8 0 GICD_ITARGETSR11 0x3
        ack 1 44
        line 44 up
        set 1 group0 0
        set 0 group0 1
        eoi 1 44
        signal 0 yes
        ack 0 44
        eoi 0 44
        signal 0 no",
    );
}

/// Who has it is switched off while another vCPU does not run, which cannot take it anyway.
#[test]
fn one_of_n_leaves_who_is_switched_off_whoever_else_runs() {
    plays(
        "gic 2
        vcpus 3
        boot
        enable 0 42
        write8 0 GICD_ITARGETSR10+2 0x5
        line 42 up
        preempt 1
        off 0
        signal 2 yes",
    );
}

/// Who has it disables the group and is preempted before that was seen; only then others may take it, too.
#[test]
fn one_of_n_goes_by_nothing_that_was_seen_before() {
    plays(
        "gic 3
        vcpus 2
        boot
        write 1 GICD_ISENABLER2 0x1
        line 64 up
        set 0 group1 0
        preempt 0
        write64 1 GICD_IROUTER64 0x80000000
        signal 1 yes",
    );
}
