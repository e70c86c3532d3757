// SPDX-License-Identifier: GPL-2.0-only
//! What a guest has written is done when it is told so, and what it has ended owes the hardware nothing: scripts, on the library as
//! Xen calls it.

use std::io::Write as _;
use vgic_harness::scripts::script;

/// Plays a script, on each version of the GIC that it names, and finds all as it says.
fn play(text: &str) {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    let (_, scenes) = script::open(&file.path().display().to_string()).expect("a script");
    for scene in scenes {
        let wrong = script::play(&scene).expect("a domain");
        assert!(
            wrong.is_empty(),
            "{text}\nGICv{}: {wrong:#?}",
            scene.head.gic
        );
    }
}

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
                    play(&format!(
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
            play(&format!(
                "gic {gic}\nvcpus 2\ntds 1\nhardware 42 edge\nboot\nedge 0 42\nenable 0 42\nroute 0 42 1\n\
                 set 0 eoimode 1\nset 1 eoimode 1\nexit 0\nexit 1\n\
                 line 42 up\nack 1 42\neoi 1 42\noff 1\n{steps}\nline 42 up\nack 0 42\neoi 0 42\ndir 0 42\n\
                 read 0 GICD_ISACTIVER1 0\n"
            ));
        }
    }
}

/// The IPI to vCPU 1, which has the interrupt, is under way: what is told meanwhile, and when it has arrived.
#[test]
fn done_means_done_says_rwp_of_the_distributor() {
    for write in ["GICD_ICENABLER1 0x100", "GICD_CTLR 0x10"] {
        let ctlr = if write.contains("CTLR") { 0x50 } else { 0x53 };
        play(&format!(
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
    play(
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
        play(&format!(
            "gic 2\nvcpus 2\nboot\nedge 0 40\nenable 0 40\nroute 0 40 1\nline 40 up\nsignal 1 yes\n\
             hold 1\nwrite 0 {write}\nsignal 1 no\n"
        ));
    }
}

/// What vCPU 1 acknowledges after another has cleared the active state is not cleared with it.
#[test]
fn done_means_done_of_the_active_state() {
    play(
        "gic 2 3\nvcpus 2\nboot\nedge 0 40\nenable 0 40\nroute 0 40 1\nline 40 up\nack 1 40\nline 40 up\n\
         exit 1\nhold 1\nwrite 0 GICD_ICACTIVER1 0x100\neoi 1 40\nack 1 40\nrelease 1\n\
         read 0 GICD_ISACTIVER1 0x100\neoi 1 40\nread 0 GICD_ISACTIVER1 0\n",
    );
}
