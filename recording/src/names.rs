// SPDX-License-Identifier: GPL-2.0-only
//! The architecture's names of the registers, for people (IHI 0048B table 4-1, IHI 0069 chapter 12).

use crate::op::{Frame, Register};

/// Registers of one name: where the first is, how many bytes each has, how many there are.
struct Row {
    name: &'static str,
    offset: u32,
    bytes: u32,
    count: u32,
}

const fn row(name: &'static str, offset: u32, bytes: u32, count: u32) -> Row {
    Row {
        name,
        offset,
        bytes,
        count,
    }
}

const GICD: &[Row] = &[
    row("CTLR", 0x0, 4, 1),
    row("TYPER", 0x4, 4, 1),
    row("IIDR", 0x8, 4, 1),
    row("TYPER2", 0xc, 4, 1),
    row("STATUSR", 0x10, 4, 1),
    row("SETSPI_NSR", 0x40, 4, 1),
    row("CLRSPI_NSR", 0x48, 4, 1),
    row("IGROUPR", 0x80, 4, 32),
    row("ISENABLER", 0x100, 4, 32),
    row("ICENABLER", 0x180, 4, 32),
    row("ISPENDR", 0x200, 4, 32),
    row("ICPENDR", 0x280, 4, 32),
    row("ISACTIVER", 0x300, 4, 32),
    row("ICACTIVER", 0x380, 4, 32),
    row("IPRIORITYR", 0x400, 4, 255),
    row("ITARGETSR", 0x800, 4, 255),
    row("ICFGR", 0xc00, 4, 64),
    row("IGRPMODR", 0xd00, 4, 32),
    row("NSACR", 0xe00, 4, 64),
    row("SGIR", 0xf00, 4, 1),
    row("CPENDSGIR", 0xf10, 4, 4),
    row("SPENDSGIR", 0xf20, 4, 4),
    row("IROUTER", 0x6000, 8, 1020),
];

const GICR: &[Row] = &[
    row("CTLR", 0x0, 4, 1),
    row("IIDR", 0x4, 4, 1),
    row("TYPER", 0x8, 8, 1),
    row("STATUSR", 0x10, 4, 1),
    row("WAKER", 0x14, 4, 1),
    row("IGROUPR", 0x1_0080, 4, 1),
    row("ISENABLER", 0x1_0100, 4, 1),
    row("ICENABLER", 0x1_0180, 4, 1),
    row("ISPENDR", 0x1_0200, 4, 1),
    row("ICPENDR", 0x1_0280, 4, 1),
    row("ISACTIVER", 0x1_0300, 4, 1),
    row("ICACTIVER", 0x1_0380, 4, 1),
    row("IPRIORITYR", 0x1_0400, 4, 8),
    row("ICFGR", 0x1_0c00, 4, 2),
    row("IGRPMODR", 0x1_0d00, 4, 1),
    row("NSACR", 0x1_0e00, 4, 1),
];

const GICC_DIR: &[Row] = &[row("DIR", 0x0, 4, 1)];

fn rows(frame: Frame) -> &'static [Row] {
    match frame {
        Frame::Gicd => GICD,
        Frame::Gicr(_) => GICR,
        Frame::GiccDir => GICC_DIR,
    }
}

/// `GICD_ISENABLER1`, `GICR3_WAKER`, `GICD_IPRIORITYR10+2`, and `GICD+0x1234` where there is no name.
pub(crate) fn print(register: Register) -> String {
    let frame = match register.frame {
        Frame::Gicd => "GICD".to_owned(),
        Frame::Gicr(vcpu) => format!("GICR{vcpu}"),
        Frame::GiccDir => "GICC".to_owned(),
    };
    let inside = |row: &&Row| {
        let size = row.bytes * row.count;
        (row.offset..row.offset + size).contains(&register.offset)
    };
    let Some(row) = rows(register.frame).iter().find(inside) else {
        return format!("{frame}+{:#x}", register.offset);
    };
    let index = match (register.offset - row.offset) / row.bytes {
        0 if row.count == 1 => String::new(),
        n => n.to_string(),
    };
    let within = match (register.offset - row.offset) % row.bytes {
        0 => String::new(),
        n => format!("+{n}"),
    };
    format!("{frame}_{}{index}{within}", row.name)
}

/// A number, decimal or with 0x.
pub(crate) fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) if !hex.starts_with('+') => u64::from_str_radix(hex, 16).ok(),
        None if text.starts_with(|c: char| c.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

/// The inverse of [`print`].
pub(crate) fn parse(text: &str) -> Option<Register> {
    let (name, within) = match text.split_once('+') {
        Some((name, within)) => (name, u32::try_from(number(within)?).ok()?),
        None => (text, 0),
    };
    let (block, name) = match name.split_once('_') {
        Some((block, name)) => (block, Some(name)),
        None => (name, None),
    };
    let frame = match (block, block.strip_prefix("GICR")) {
        ("GICD", _) => Frame::Gicd,
        ("GICC", _) => Frame::GiccDir,
        (_, Some(vcpu)) => Frame::Gicr(vcpu.parse().ok()?),
        _ => return None,
    };
    let start = match name {
        None => 0,
        Some(name) => rows(frame).iter().find_map(|row| row.place(name))?,
    };
    let offset = start.checked_add(within)?;
    (offset < Register::LIMIT).then_some(Register { frame, offset })
}

impl Row {
    /// The offset of the register of this name and number.
    fn place(&self, name: &str) -> Option<u32> {
        let index = name.strip_prefix(self.name)?;
        let index: u32 = match (index, self.count) {
            ("", 1) => 0,
            (_, 1) => return None,
            _ => index.parse().ok()?,
        };
        (index < self.count).then_some(self.offset + index * self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_architectures() {
        for (name, register) in [
            ("GICD_CTLR", Register::gicd(0)),
            ("GICD_ISENABLER1", Register::gicd(0x104)),
            ("GICD_IPRIORITYR10+2", Register::gicd(0x42a)),
            ("GICD_IROUTER33+4", Register::gicd(0x610c)),
            ("GICR7_IPRIORITYR6", Register::gicr(7, 0x1_0418)),
            ("GICR0_WAKER", Register::gicr(0, 0x14)),
            ("GICD+0xffe8", Register::gicd(0xffe8)),
            (
                "GICC_DIR",
                Register {
                    frame: Frame::GiccDir,
                    offset: 0,
                },
            ),
        ] {
            assert_eq!(print(register), name);
            assert_eq!(parse(name), Some(register), "{name}");
        }
    }

    #[test]
    fn every_offset_has_one_name() {
        for offset in 0..0x1_1000 {
            for register in [Register::gicd(offset), Register::gicr(5, offset)] {
                assert_eq!(parse(&print(register)), Some(register));
            }
        }
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
            "GICR_CTLR",
            "GICR999_CTLR",
            "GICD+0x40000",
            "GICD_CTLR+",
            "GICD+0x+1",
            "GICD+-1",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
