// SPDX-License-Identifier: GPL-2.0-only
//! What is owed to hardware does not wait for the next entry of a vCPU that may never enter.

use super::plays;

/// vCPU 1 has the interrupt of a device in a list register, pending or active, and is off or preempted; vCPU 0 ends it, and routes
/// it to itself before, after or without that. The device's next one arrives.
#[test]
fn owed_deactivation_does_not_wait_for_a_vcpu_that_is_away() {
    let ends = [
        ("signal 1 yes", "write 0 GICD_ICPENDR1 0x400"),
        ("ack 1 42", "write 0 GICD_ICACTIVER1 0x400"),
        (
            "ack 1 42",
            "write 0 GICD_ICENABLER1 0x400\nwrite 0 GICD_ICACTIVER1 0x400\nenable 0 42",
        ),
    ];
    for kind in ["level", "edge"] {
        for (taken, end) in ends {
            for (leave, back) in [("off 1", "on 1\ninit 1"), ("preempt 1", "resume 1")] {
                for steps in [
                    format!("{end}\nroute 0 42 0"),
                    format!("route 0 42 0\n{end}"),
                ] {
                    let fall = |line: &'static str| if kind == "level" { line } else { "" };
                    plays(&format!(
                        "gic 2 3\nvcpus 2\nhardware 42 {kind}\nboot\n{} 0 42\nenable 0 42\nroute 0 42 1\n\
                         line 42 up\n{taken}\n{leave}\n{}\n{steps}\n\
                         line 42 up\nack 0 42\n{}\neoi 0 42\nsignal 0 no\n\
                         {back}\nsignal 1 no\nread 0 GICD_ISACTIVER1 0\nline 42 up\nack 0 42\n",
                        kind,
                        fall("line 42 down"),
                        fall("line 42 down"),
                    ));
                }
            }
        }
    }
}

/// The same by a write to DIR, with EOImode 1.
#[test]
fn owed_deactivation_by_dir_does_not_wait_for_a_vcpu_that_is_away() {
    for (gic, dir) in [(2, "write 0 GICC_DIR 42"), (3, "icc_dir 0 42")] {
        for steps in [
            format!("{dir}\nroute 0 42 0"),
            format!("route 0 42 0\n{dir}"),
        ] {
            plays(&format!(
                "gic {gic}\nvcpus 2\ntds 1\nhardware 42 edge\nboot\nedge 0 42\nenable 0 42\nroute 0 42 1\n\
                 set 0 eoimode 1\nset 1 eoimode 1\nexit 0\nexit 1\n\
                 line 42 up\nack 1 42\neoi 1 42\noff 1\n{steps}\nline 42 up\nack 0 42\neoi 0 42\ndir 0 42\n\
                 read 0 GICD_ISACTIVER1 0\n"
            ));
        }
    }
}
