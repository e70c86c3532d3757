// SPDX-License-Identifier: GPL-2.0-only

use super::*;

fn register(frame: Frame, offset: u32) -> Place {
    Place::Register(Register { frame, offset })
}

#[test]
fn names_are_the_architectures() {
    for (name, register) in [
        ("GICD_CTLR", Register::gicd(0)),
        ("GICD_ISENABLER1", Register::gicd(0x104)),
        ("GICD_IPRIORITYR10+2", Register::gicd(0x42a)),
        ("GICD_IROUTER33+4", Register::gicd(0x610c)),
        ("GICD_ICPIDR2", Register::gicd(0xfe8)),
        ("GICD_ICPIDR4", Register::gicd(0xfd0)),
        ("GICD_PIDR2", Register::gicd(0xffe8)),
        ("GICD_PIDR7", Register::gicd(0xffdc)),
        ("GICD_ISENABLER31E", Register::gicd(0x127c)),
        ("GICD_IPRIORITYR2E", Register::gicd(0x2008)),
        ("GICD_IROUTER1023E", Register::gicd(0x9ff8)),
        ("GICR7_IPRIORITYR6", Register::gicr(7, 0x1_0418)),
        ("GICR0_WAKER", Register::gicr(0, 0x14)),
        ("GICR0_ISENABLER0", Register::gicr(0, 0x1_0100)),
        ("GICR0_ISENABLER2E", Register::gicr(0, 0x1_0108)),
        ("GICR0_ICFGR1", Register::gicr(0, 0x1_0c04)),
        ("GICR0_ICFGR2E", Register::gicr(0, 0x1_0c08)),
        ("GICR0_IPRIORITYR8E", Register::gicr(0, 0x1_0420)),
        ("GICR0_PROPBASER", Register::gicr(0, 0x70)),
        ("GICR0_INVLPIR", Register::gicr(0, 0xa0)),
        ("GICR0_SYNCR", Register::gicr(0, 0xc0)),
        ("GICR0_VPENDBASER+4", Register::gicr(0, 0x2_007c)),
        ("GICD+0xa00c", Register::gicd(0xa00c)),
    ] {
        assert_eq!(print(register), name);
        assert_eq!(parse(name, 0), Some(Place::Register(register)), "{name}");
    }
    assert_eq!(parse("GICC_DIR", 0), Some(register(Frame::GiccDir, 0)));
}

#[test]
fn every_offset_has_one_name() {
    for offset in 0..Register::LIMIT {
        for register in [Register::gicd(offset), Register::gicr(5, offset)] {
            assert_eq!(parse(&print(register), 0), Some(Place::Register(register)));
        }
        let name = print_in(GITS, "GITS1", offset);
        assert_eq!(parse(&name, 0), Some(Place::Gits(1, offset)), "{name}");
    }
}

#[test]
fn rows_do_not_overlap() {
    for rows in [GICD, GICR, GITS] {
        let mut sorted: Vec<&Row> = rows.iter().collect();
        sorted.sort_by_key(|row| row.offset);
        for pair in sorted.windows(2) {
            let end = pair[0].offset + pair[0].bytes * pair[0].count;
            assert!(end <= pair[1].offset, "{}", pair[1].name);
        }
    }
}

#[test]
fn a_redistributor_without_number_is_ones_own() {
    for (name, offset) in [
        ("GICR_CTLR", 0),
        ("GICR_ISENABLER0", 0x1_0100),
        ("GICR_ISENABLER", 0x1_0100),
        ("GICR+0x14", 0x14),
    ] {
        assert_eq!(parse(name, 6), Some(register(Frame::Gicr(6), offset)));
    }
    assert_eq!(
        parse("GICR2_IGROUPR", 6),
        Some(register(Frame::Gicr(2), 0x1_0080))
    );
}

#[test]
fn other_names_are_known() {
    assert_eq!(parse("GITS_BASER1", 0), Some(Place::Gits(0, 0x108)));
    assert_eq!(parse("GITS2_TRANSLATER", 0), Some(Place::Gits(2, 0x1_0040)));
    assert_eq!(
        parse("ICC_SGI1R_EL1", 0),
        Some(Place::Sysreg(SysReg::Sgi1r))
    );
    assert_eq!(parse("ICC_PMR_EL1", 0), Some(Place::Field(Field::Pmr)));
}

#[test]
fn what_is_no_register_is_none() {
    for name in [
        "",
        "GICX_CTLR",
        "GICD_",
        "GICD_CTLR1",
        "GICD_ISENABLER",
        "GICD_ISENABLER32",
        "GICD_ISENABLER+1E",
        "GICD_ISENABLER32E",
        "GICR_ICFGR",
        "GICR0_ISENABLER1",
        "GICR0_ISENABLER0E",
        "GICR999_CTLR",
        "GICR+5_CTLR",
        "GITS_BASER8",
        "GITS256_CTLR",
        "GICD+0x40000",
        "GICD_CTLR+",
        "GICD+0x+1",
        "GICD+-1",
    ] {
        assert_eq!(parse(name, 0), None, "{name}");
    }
}
