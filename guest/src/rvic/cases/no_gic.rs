// SPDX-License-Identifier: GPL-2.0-only
//! There is no GIC beside it.

use crate::cpu::{read_sysreg, write_sysreg};
use crate::exception::survives;
use crate::mmio::probe_read32;
use crate::outcome::{Outcome, check, check_eq};

crate::cases::cases! {
    ANY: id_registers_have_no_gic, gic_registers_are_undefined, gic_frames_are_not_there;
}

fn id_registers_have_no_gic() -> Outcome {
    check_eq!(
        "ID_AA64PFR0_EL1.GIC",
        read_sysreg!("id_aa64pfr0_el1") >> 24 & 0xf,
        0
    );
    check_eq!(
        "ID_PFR1_EL1.GIC",
        read_sysreg!("id_pfr1_el1") >> 28 & 0xf,
        0
    );
    Ok(())
}

macro_rules! undefined {
    ($($name:literal $register:literal),+ $(,)?) => {
        $(
            check!(!survives(|| { read_sysreg!($register); }), "{} can be read", $name);
        )+
        $(
            check!(!survives(|| write_sysreg!($register, 0)), "{} can be written", $name);
        )+
    };
}

/// All of the CPU interface (IHI 0069, 12.2). ICC_SRE_EL1 is apart: an implementation may have it trapped by no one (12.2.22:
/// ICC_SRE_EL2.Enable may be RAO/WI, as QEMU's is).
fn gic_registers_are_undefined() -> Outcome {
    undefined!(
        "ICC_PMR_EL1" "S3_0_C4_C6_0", "ICC_BPR0_EL1" "S3_0_C12_C8_3", "ICC_AP0R0_EL1" "S3_0_C12_C8_4",
        "ICC_AP1R0_EL1" "S3_0_C12_C9_0", "ICC_BPR1_EL1" "S3_0_C12_C12_3", "ICC_CTLR_EL1" "S3_0_C12_C12_4",
        "ICC_IGRPEN0_EL1" "S3_0_C12_C12_6", "ICC_IGRPEN1_EL1" "S3_0_C12_C12_7",
    );
    for (name, defined) in [
        (
            "ICC_IAR0_EL1",
            survives(|| {
                read_sysreg!("S3_0_C12_C8_0");
            }),
        ),
        (
            "ICC_IAR1_EL1",
            survives(|| {
                read_sysreg!("S3_0_C12_C12_0");
            }),
        ),
        (
            "ICC_HPPIR0_EL1",
            survives(|| {
                read_sysreg!("S3_0_C12_C8_2");
            }),
        ),
        (
            "ICC_HPPIR1_EL1",
            survives(|| {
                read_sysreg!("S3_0_C12_C12_2");
            }),
        ),
        (
            "ICC_RPR_EL1",
            survives(|| {
                read_sysreg!("S3_0_C12_C11_3");
            }),
        ),
        (
            "ICC_EOIR0_EL1",
            survives(|| write_sysreg!("S3_0_C12_C8_1", 1023)),
        ),
        (
            "ICC_EOIR1_EL1",
            survives(|| write_sysreg!("S3_0_C12_C12_1", 1023)),
        ),
        (
            "ICC_DIR_EL1",
            survives(|| write_sysreg!("S3_0_C12_C11_1", 1023)),
        ),
        (
            "ICC_SGI1R_EL1",
            survives(|| write_sysreg!("S3_0_C12_C11_5", 1)),
        ),
        (
            "ICC_ASGI1R_EL1",
            survives(|| write_sysreg!("S3_0_C12_C11_6", 1)),
        ),
        (
            "ICC_SGI0R_EL1",
            survives(|| write_sysreg!("S3_0_C12_C11_7", 1)),
        ),
    ] {
        check!(!defined, "{name} is there");
    }
    Ok(())
}

/// Where Xen puts them for others.
fn gic_frames_are_not_there() -> Outcome {
    for address in [
        0x0300_1000,
        0x0300_2000,
        0x0302_0000,
        0x0302_0000 + 0x1_0000,
    ] {
        check!(
            probe_read32(address).is_none(),
            "there is something at {address:#x}"
        );
    }
    Ok(())
}
