// SPDX-License-Identifier: GPL-2.0-only
//! The level of a line, whatever the interrupt makes of it.

use crate::{FEW_AND_MANY, plays, plays_with};

#[test]
fn line_that_falls_while_it_is_an_edge_is_down() {
    plays(
        "gic 2 3
        vcpus 1
        boot
        line 40 up
        read 0 GICD_ISPENDR1 0x100
        edge 0 40
        line 40 down
        level 0 40
        read 0 GICD_ISPENDR1 0x0
        enable 0 40
        signal 0 no",
    );
}

#[test]
fn line_that_rises_while_it_is_an_edge_is_up() {
    plays(
        "gic 2 3
        vcpus 1
        boot
        edge 0 40
        line 40 up
        write 0 GICD_ICPENDR1 0x100
        level 0 40
        read 0 GICD_ISPENDR1 0x100
        enable 0 40
        ack 0 40
        line 40 down
        eoi 0 40
        signal 0 no",
    );
}

/// Each raise of an edge is an edge, whether or not anybody has lowered the line between.
#[test]
fn line_of_an_edge_need_not_be_lowered() {
    plays(
        "gic 2 3
        vcpus 1
        boot
        edge 0 40
        enable 0 40
        line 40 up
        ack 0 40
        eoi 0 40
        signal 0 no
        line 40 up
        ack 0 40
        line 40 down
        eoi 0 40
        signal 0 no
        line 40 up
        ack 0 40
        eoi 0 40
        signal 0 no",
    );
}

#[test]
fn physical_level_that_falls_while_disabled_is_not_pending() {
    plays(
        "gic 2 3
        vcpus 1
        hardware 42 level
        boot
        enable 0 42
        line 42 up
        signal 0 yes
        disable 0 42
        line 42 down
        read 0 GICD_ISPENDR1 0x0
        enable 0 42
        signal 0 no
        line 42 up
        ack 0 42
        line 42 down
        eoi 0 42
        signal 0 no",
    );
}

/// It waits for a list register, and is never given one.
#[test]
fn physical_level_that_falls_while_it_waits_is_not_pending() {
    plays_with(
        FEW_AND_MANY,
        "gic 2 3
        vcpus 1
        hardware 42 level
        hardware 43 level
        boot
        edge 0 50
        priority 0 50 0x20
        priority 0 51 0x28
        enable 0 50
        enable 0 51
        enable 0 42
        enable 0 43
        set 0 pmr 0x0
        line 50 up
        line 51 up
        line 42 up
        line 43 up
        line 42 down
        exit 0
        read 0 GICD_ISPENDR1 0xc0800
        set 0 pmr 0xf0
        ack 0 50
        eoi 0 50
        ack 0 51
        eoi 0 51
        ack 0 43
        line 43 down
        eoi 0 43
        signal 0 no
        line 42 up
        ack 0 42
        line 42 down
        eoi 0 42
        signal 0 no",
    );
}

/// The vCPU was off its CPU when the line fell: in a list register, and on its way to one.
#[test]
fn physical_level_that_falls_while_its_vcpu_is_preempted_is_not_pending() {
    plays_with(
        FEW_AND_MANY,
        "gic 2 3
        vcpus 2
        hardware 42 level
        hardware 43 level
        boot
        enable 0 42
        enable 0 43
        set 0 pmr 0x0
        line 42 up
        preempt 0
        line 42 down
        resume 0
        set 0 pmr 0xf0
        signal 0 no
        preempt 0
        line 43 up
        line 43 down
        resume 0
        signal 0 no
        line 42 up
        line 43 up
        ack 0
        line 42 down
        line 43 down
        eoi 0
        exit 0
        signal 0 no",
    );
}
