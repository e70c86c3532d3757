// SPDX-License-Identifier: GPL-2.0-only
//! What the registers of the ITS, and those of LPIs, say of themselves.

use super::cases;
use crate::cpu::CPUS;
use crate::gic::{self, gicd, gicr};
use crate::its::{self, gicr_lpi, gits};
use crate::mmio::{read32, read64, write32, write64};
use crate::outcome::{Outcome, check, check_eq};
use crate::timer;

cases! {
    V3: its_gicd_typer_has_lpis, its_gicr_typer_has_plpis, its_identification, its_typer, its_typer_by_halves, its_read_only_registers, its_creadr_is_read_only,
        its_enabled_and_quiescent, its_basers_have_types, its_baser_keeps_what_is_written, its_other_basers_are_raz_wi,
        its_cbaser_begins_anew, its_cwriter_reads_back, its_gicr_bases_read_back, its_ptz_reads_zero, its_enable_lpis, its_syncr_is_not_busy;
}

fn its_gicd_typer_has_lpis() -> Outcome {
    its::base()?;
    let typer = gic::read_gicd(gicd::TYPER);
    check!(typer & 1 << 17 != 0, "GICD_TYPER.LPIS is 0 ({typer:#x})");
    let bits = (typer >> 19 & 0x1f) + 1;
    check!((14..=24).contains(&bits), "INTIDs have {bits} bits");
    Ok(())
}

fn its_gicr_typer_has_plpis() -> Outcome {
    its::base()?;
    for cpu in 0..CPUS {
        let typer = read64(its::gicr_register(cpu, gicr::TYPER));
        check!(typer & 1 != 0, "GICR_TYPER.PLPIS of CPU {cpu} is 0");
    }
    check!(
        its::target(0) != its::target(1),
        "both redistributors have the same name for commands"
    );
    Ok(())
}

fn its_identification() -> Outcome {
    its::base()?;
    let iidr = read32(its::register(gits::IIDR));
    check!(
        iidr & 0x7f != 0 && iidr != u32::MAX,
        "GITS_IIDR {iidr:#x} names no implementer"
    );
    let revision = read32(its::register(gits::PIDR2)) >> 4 & 0xf;
    check!(
        (3..=4).contains(&revision),
        "GITS_PIDR2.ArchRev is {revision}"
    );
    check_eq!(
        "the distributor's ArchRev",
        gic::read_gicd(gicd::PIDR2_V3) >> 4 & 0xf,
        revision
    );
    let component = [0, 4, 8, 12].map(|n| read32(its::register(0xfff0 + n)));
    check!(
        component == [0x0d, 0xf0, 0x05, 0xb1],
        "the component is {component:x?}"
    );
    Ok(())
}

fn its_typer() -> Outcome {
    its::base()?;
    let typer = its::typer();
    check!(typer & 1 != 0, "GITS_TYPER.Physical is 0");
    check!(
        its::event_bits() >= 5 && its::device_bits() >= 8,
        "{} bits of EventIDs and {} of DeviceIDs",
        its::event_bits(),
        its::device_bits()
    );
    // Collections in memory: without GITS_TYPER.CIL, 16 bits; with it as many as CIDbits says.
    let in_hardware = typer >> 24 & 0xff;
    check!(
        in_hardware != 0 || its::baser(4).is_ok(),
        "there is no place for collections"
    );
    Ok(())
}

fn its_typer_by_halves() -> Outcome {
    its::base()?;
    for offset in [gits::TYPER, gits::CBASER, gits::BASER] {
        let at = its::register(offset);
        let halves = u64::from(read32(at)) | u64::from(read32(at + 4)) << 32;
        check_eq!("by halves", halves, read64(at));
    }
    Ok(())
}

fn its_read_only_registers() -> Outcome {
    its::base()?;
    for offset in [gits::IIDR, gits::PIDR2] {
        let at = its::register(offset);
        let before = read32(at);
        write32(at, !before);
        check_eq!("a read-only register", read32(at), before);
    }
    let at = its::register(gits::TYPER);
    let before = read64(at);
    write64(at, !before);
    check_eq!("GITS_TYPER", read64(at), before);
    Ok(())
}

fn its_creadr_is_read_only() -> Outcome {
    its::begin()?;
    let before = its::creadr();
    write64(its::register(gits::CREADR), !before);
    check_eq!("GITS_CREADR", its::creadr(), before);
    Ok(())
}

fn its_enabled_and_quiescent() -> Outcome {
    its::begin()?;
    let ctlr = || read32(its::register(gits::CTLR));
    check!(ctlr() & its::ENABLED != 0, "GITS_CTLR.Enabled reads 0");
    its::disable()?;
    check!(ctlr() & its::ENABLED == 0, "GITS_CTLR.Enabled reads 1");
    check!(
        ctlr() & its::QUIESCENT != 0,
        "GITS_CTLR.Quiescent is 1 once, and then 0"
    );
    its::enable();
    check!(
        ctlr() & its::ENABLED != 0,
        "GITS_CTLR.Enabled reads 0 the second time"
    );
    Ok(())
}

fn its_basers_have_types() -> Outcome {
    its::base()?;
    for kind in [1, 4] {
        let typed = (0..8)
            .map(|n| read64(its::register(gits::BASER + n * 8)))
            .filter(|value| value >> 56 & 7 == kind);
        let (mut count, mut entry) = (0, 0);
        for value in typed {
            count += 1;
            entry = (value >> 48 & 0x1f) + 1;
        }
        check!(count == 1, "{count} GITS_BASER are of type {kind}");
        check!(entry >= 1, "entries of type {kind} have no size");
    }
    Ok(())
}

fn its_baser_keeps_what_is_written() -> Outcome {
    its::begin()?;
    its::disable()?;
    for kind in [1, 4] {
        let at = its::baser(kind)?;
        let fixed = 7 << 56 | 0x1f << 48;
        let before = read64(at) & fixed;
        for address in [0x4560_0000, 0x1_2340_0000] {
            let value = its::VALID | address | 3;
            write64(at, value | fixed);
            let now = read64(at);
            check_eq!("type and size of entries", now & fixed, before);
            check_eq!("Valid", now >> 63, 1);
            check_eq!("the address", now & 0xffff_ffff_0000, address);
            check_eq!("the number of pages less one", now & 0xff, 3);
            write64(at, 0);
            check_eq!("Valid", read64(at) >> 63, 0);
        }
    }
    Ok(())
}

fn its_other_basers_are_raz_wi() -> Outcome {
    its::base()?;
    for n in 0..8 {
        let at = its::register(gits::BASER + n * 8);
        if read64(at) >> 56 & 7 == 0 {
            write64(at, u64::MAX);
            check_eq!("a GITS_BASER without a type", read64(at), 0);
        }
    }
    Ok(())
}

fn its_cbaser_begins_anew() -> Outcome {
    its::begin()?;
    check!(its::creadr() != 0, "nothing has been executed");
    its::disable()?;
    its::set_queue(its::queue(), 1);
    check_eq!("GITS_CREADR", its::creadr(), 0);
    let cbaser = read64(its::register(gits::CBASER));
    check_eq!("Valid", cbaser >> 63, 1);
    check_eq!(
        "the address",
        cbaser & 0xf_ffff_ffff_f000,
        its::queue() as u64
    );
    check_eq!("the number of pages less one", cbaser & 0xff, 0);
    Ok(())
}

fn its_cwriter_reads_back() -> Outcome {
    its::begin()?;
    its::disable()?;
    let at = its::register(gits::CWRITER);
    for offset in [0x40, 0xfe0, 0] {
        write64(at, offset);
        check_eq!("GITS_CWRITER", read64(at), offset);
    }
    Ok(())
}

fn its_gicr_bases_read_back() -> Outcome {
    its::begin()?;
    for cpu in 0..CPUS {
        its::set_lpis(cpu, false)?;
    }
    for cpu in 0..CPUS {
        let at = its::gicr_register(cpu, gicr_lpi::PENDBASER);
        write64(at, its::PTZ | 0x4560_0000);
        let value = read64(at);
        check_eq!(
            "the pending table's address",
            value & 0xf_ffff_ffff_0000,
            0x4560_0000
        );
        let at = its::gicr_register(cpu, gicr_lpi::PROPBASER);
        write64(at, 0x4560_1000 | 14);
        let value = read64(at);
        check_eq!(
            "the configuration table's address",
            value & 0xf_ffff_ffff_f000,
            0x4560_1000
        );
        check_eq!("GICR_PROPBASER.IDbits", value & 0x1f, 14);
    }
    Ok(())
}

/// GICR_PENDBASER.PTZ is write-only.
fn its_ptz_reads_zero() -> Outcome {
    its::begin()?;
    for cpu in 0..CPUS {
        let value = read64(its::gicr_register(cpu, gicr_lpi::PENDBASER));
        check_eq!("GICR_PENDBASER.PTZ", value & its::PTZ, 0);
    }
    Ok(())
}

fn its_enable_lpis() -> Outcome {
    its::begin()?;
    for cpu in 0..CPUS {
        let at = its::gicr_register(cpu, gicr::CTLR);
        check!(
            read32(at) & its::ENABLE_LPIS != 0,
            "GICR_CTLR.EnableLPIs of CPU {cpu} reads 0"
        );
        if read32(at) & its::CES != 0 {
            its::set_lpis(cpu, false)?;
            check!(
                read32(at) & its::ENABLE_LPIS == 0,
                "GICR_CTLR.EnableLPIs of CPU {cpu} stays 1, although CES is"
            );
        }
    }
    Ok(())
}

fn its_syncr_is_not_busy() -> Outcome {
    its::begin()?;
    for cpu in 0..CPUS {
        let at = its::gicr_register(cpu, gicr_lpi::SYNCR);
        let calm = timer::within(1000, || read32(at) & 1 == 0);
        check!(calm, "GICR_SYNCR.Busy of CPU {cpu} stays 1");
    }
    Ok(())
}
