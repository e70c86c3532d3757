// SPDX-License-Identifier: GPL-2.0-only
//! What an interrupt was acknowledged with, and what it has now.

use crate::{FEW_AND_MANY, plays, plays_with};

/// Three nested interrupts, and the outermost gets another priority (IHI 0048B 4.3.11 leaves open whether that is about an interrupt
/// that is active; the running priority of a virtual CPU interface is what it was).
#[test]
fn acknowledged_priority_is_what_an_eoi_drops() {
    plays_with(
        FEW_AND_MANY,
        "gic 2 3
        vcpus 1
        boot
        edge 0 40
        priority 0 40 0x80
        priority 0 41 0x60
        priority 0 42 0x40
        enable 0 40
        enable 0 41
        enable 0 42
        line 40 up
        ack 0 40
        line 41 up
        ack 0 41
        line 42 up
        ack 0 42
        priority 0 40 0x20
        exit 0
        eoi 0 42
        eoi 0 41
        read 0 GICD_ISACTIVER1 0x100
        line 41 up
        ack 0 41
        eoi 0 41
        eoi 0 40
        read 0 GICD_ISACTIVER1 0x0
        line 40 up
        ack 0 40
        eoi 0 40
        signal 0 no",
    );
}

/// The next time it is signalled with the priority it has then.
#[test]
fn acknowledged_priority_is_not_that_of_the_next_time() {
    plays_with(
        FEW_AND_MANY,
        "gic 2 3
        vcpus 1
        boot
        edge 0 40
        priority 0 40 0x80
        priority 0 41 0x60
        enable 0 40
        enable 0 41
        line 40 up
        ack 0 40
        line 40 up
        priority 0 40 0x20
        set 0 pmr 0x40
        line 41 up
        eoi 0 40
        ack 0 40
        eoi 0 40
        signal 0 no
        set 0 pmr 0xf0
        ack 0 41
        eoi 0 41",
    );
}

/// ICC_EOIR1_EL1 ends what was acknowledged by ICC_IAR1_EL1.
#[test]
fn acknowledged_group_is_what_an_eoi_is_about() {
    plays_with(
        FEW_AND_MANY,
        "gic 3
        vcpus 1
        boot
        edge 0 40
        priority 0 41 0x40
        enable 0 40
        enable 0 41
        line 40 up
        ack 0 40
        line 41 up
        ack 0 41
        write 0 GICD_IGROUPR1 0xfffffeff
        exit 0
        eoi 0 41
        eoi 0 40
        read 0 GICD_ISACTIVER1 0x0
        line 40 up
        signal 0 no
        write 0 GICD_IGROUPR1 0xffffffff
        ack 0 40
        eoi 0 40",
    );
}

/// An EOI is for the interrupt whose priority is the running one, not for what a write has made active.
#[test]
fn by_write_active_is_not_ended_by_the_eoi_of_another() {
    plays_with(
        FEW_AND_MANY,
        "gic 2 3
        vcpus 1
        boot
        edge 0 40
        priority 0 40 0x80
        priority 0 41 0x60
        priority 0 44 0x20
        enable 0 40
        enable 0 41
        write 0 GICD_ISACTIVER1 0x1000
        line 40 up
        ack 0 40
        line 41 up
        ack 0 41
        read 0 GICD_ISACTIVER1 0x1300
        eoi 0 41
        eoi 0 40
        read 0 GICD_ISACTIVER1 0x1000
        write 0 GICD_ICACTIVER1 0x1000
        read 0 GICD_ISACTIVER1 0x0
        signal 0 no",
    );
}

/// Its EOI drops a priority, and finds nothing active: the one it had interrupted is that still.
#[test]
fn by_write_inactive_leaves_its_eoi_to_nobody_else() {
    plays_with(
        FEW_AND_MANY,
        "gic 2 3
        vcpus 1
        boot
        edge 0 40
        priority 0 40 0x80
        priority 0 41 0x60
        priority 0 42 0x40
        enable 0 40
        enable 0 41
        enable 0 42
        line 40 up
        ack 0 40
        line 41 up
        ack 0 41
        line 42 up
        ack 0 42
        write 0 GICD_ICACTIVER1 0x400
        eoi 0 42
        read 0 GICD_ISACTIVER1 0x300
        write 0 GICD_ICACTIVER1 0x200
        eoi 0 41
        read 0 GICD_ISACTIVER1 0x100
        eoi 0 40
        read 0 GICD_ISACTIVER1 0x0
        signal 0 no",
    );
}

/// PSCI CPU_ON resets the priorities of a CPU interface, and leaves a shared interrupt active: no EOI of another ends it.
#[test]
fn by_write_or_forgotten_stays_active_when_its_vcpu_starts_afresh() {
    plays_with(
        FEW_AND_MANY,
        "gic 2 3
        vcpus 2
        boot
        edge 0 40
        priority 0 40 0x80
        priority 0 41 0x80
        priority 0 42 0x40
        route 0 40 1
        route 0 41 1
        route 0 42 1
        enable 0 40
        enable 0 41
        enable 0 42
        line 40 up
        ack 1 40
        off 1
        on 1
        init 1
        line 41 up
        ack 1 41
        line 42 up
        ack 1 42
        eoi 1 42
        eoi 1 41
        read 0 GICD_ISACTIVER1 0x100
        write 0 GICD_ICACTIVER1 0x100
        read 0 GICD_ISACTIVER1 0x0
        signal 1 no",
    );
}

/// With a binary point, interrupts of several priorities have one active priority.
#[test]
fn acknowledged_priority_counts_as_far_as_the_binary_point_says() {
    for gic in [2, 3] {
        // Bits 7 to 6 of Group 0 with 5; of Group 1 with 6.
        let point = if gic == 2 { "bpr0 5" } else { "bpr1 6" };
        plays_with(
            FEW_AND_MANY,
            &format!(
                "gic {gic}
                vcpus 1
                boot
                set 0 {point}
                edge 0 40
                priority 0 40 0xb8
                priority 0 41 0x78
                priority 0 42 0x30
                enable 0 40
                enable 0 41
                enable 0 42
                line 40 up
                ack 0 40
                line 41 up
                ack 0 41
                line 42 up
                ack 0 42
                eoi 0 42
                read 0 GICD_ISACTIVER1 0x300
                eoi 0 41
                read 0 GICD_ISACTIVER1 0x100
                eoi 0 40
                read 0 GICD_ISACTIVER1 0x0
                signal 0 no"
            ),
        );
    }
}

/// Nothing is forwarded while the distributor is off, nor the second edge of what ends now (IHI 0048B 4.3.1).
#[test]
fn behind_itself_nothing_is_signalled_while_the_distributor_is_off() {
    plays_with(
        FEW_AND_MANY,
        "gic 2 3
        vcpus 1
        boot
        edge 0 40
        enable 0 40
        line 40 up
        ack 0 40
        line 40 up
        write 0 GICD_CTLR 0x0
        eoi 0 40
        signal 0 no
        ack 0 none
        write 0 GICD_CTLR 0x3
        ack 0 40
        eoi 0 40
        signal 0 no",
    );
}

/// The same of its group.
#[test]
fn behind_itself_nothing_is_signalled_while_its_group_is_off() {
    plays_with(
        FEW_AND_MANY,
        "gic 3
        vcpus 1
        boot
        edge 0 40
        enable 0 40
        line 40 up
        ack 0 40
        line 40 up
        write 0 GICD_CTLR 0x1
        eoi 0 40
        signal 0 no
        write 0 GICD_CTLR 0x3
        ack 0 40
        eoi 0 40
        signal 0 no",
    );
}

/// Of what is pending the most urgent comes first (IHI 0048B 3.3).
#[test]
fn behind_itself_does_not_come_before_what_is_more_urgent() {
    plays_with(
        FEW_AND_MANY,
        "gic 2 3
        vcpus 1
        boot
        edge 0 40
        priority 0 40 0x40
        priority 0 42 0x60
        priority 0 44 0x80
        enable 0 40
        enable 0 42
        enable 0 44
        set 0 pmr 0x0
        line 44 up
        set 0 pmr 0xf0
        ack 0 44
        set 0 pmr 0x38
        line 40 up
        line 42 up
        line 44 up
        eoi 0 44
        set 0 pmr 0xf0
        ack 0 40
        eoi 0 40
        ack 0 42
        eoi 0 42
        ack 0 44
        eoi 0 44
        signal 0 no",
    );
}

/// The more urgent comes when the list register has both states already.
#[test]
fn behind_itself_makes_way_for_what_comes_later() {
    plays_with(
        &[1, 2],
        "gic 2 3
        vcpus 1
        boot
        edge 0 40
        priority 0 40 0x20
        priority 0 41 0x40
        priority 0 44 0x80
        enable 0 40
        enable 0 41
        enable 0 44
        line 44 up
        ack 0 44
        line 44 up
        set 0 pmr 0x10
        line 40 up
        line 41 up
        eoi 0 44
        set 0 pmr 0xf0
        ack 0 40
        eoi 0 40
        ack 0 41
        eoi 0 41
        ack 0 44
        eoi 0 44
        signal 0 no",
    );
}

/// And where nothing stands against it, it follows itself.
#[test]
fn behind_itself_it_comes_where_nothing_is_against_it() {
    plays(
        "gic 2 3
        vcpus 1
        boot
        edge 0 40
        enable 0 40
        line 40 up
        ack 0 40
        line 40 up
        eoi 0 40
        ack 0 40
        eoi 0 40
        signal 0 no",
    );
}
