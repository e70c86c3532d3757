// SPDX-License-Identifier: GPL-2.0-only
//! The architecture's names of the registers, for people: IHI 0048B table 4-1, IHI 0069 chapter 12.

use crate::op::{Field, Frame, Register, SysReg};

/// Registers of one name: where the first is, its number, how many bytes each has, how many there are.
struct Row {
    name: &'static str,
    offset: u32,
    bytes: u32,
    count: u32,
    /// The number of the first; none if there is one register, without a number.
    first: Option<u32>,
    /// What comes after the number: `E` for the extended ranges.
    end: &'static str,
}

/// One register, without a number.
const fn one(name: &'static str, offset: u32, bytes: u32) -> Row {
    Row {
        name,
        offset,
        bytes,
        count: 1,
        first: None,
        end: "",
    }
}

/// Registers with numbers from 0 on.
const fn row(name: &'static str, offset: u32, bytes: u32, count: u32) -> Row {
    Row {
        count,
        first: Some(0),
        ..one(name, offset, bytes)
    }
}

/// Registers with numbers from `first` on.
const fn from(first: u32, row: Row) -> Row {
    Row {
        first: Some(first),
        ..row
    }
}

/// Registers of the extended ranges, with numbers from `first` on.
const fn extended(first: u32, row: Row) -> Row {
    Row {
        end: "E",
        ..from(first, row)
    }
}

const GICD: &[Row] = &[
    one("CTLR", 0x0, 4),
    one("TYPER", 0x4, 4),
    one("IIDR", 0x8, 4),
    one("TYPER2", 0xc, 4),
    one("STATUSR", 0x10, 4),
    one("SETSPI_NSR", 0x40, 4),
    one("CLRSPI_NSR", 0x48, 4),
    one("SETSPI_SR", 0x50, 4),
    one("CLRSPI_SR", 0x58, 4),
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
    one("SGIR", 0xf00, 4),
    row("CPENDSGIR", 0xf10, 4, 4),
    row("SPENDSGIR", 0xf20, 4, 4),
    // To 31 with GICv3.3. In a GICv2 what identifies it is where 20 and those after it would be.
    row("INMIR", 0xf80, 4, 20),
    from(4, row("ICPIDR", 0xfd0, 4, 4)),
    row("ICPIDR", 0xfe0, 4, 4),
    row("ICCIDR", 0xff0, 4, 4),
    extended(0, row("IGROUPR", 0x1000, 4, 32)),
    extended(0, row("ISENABLER", 0x1200, 4, 32)),
    extended(0, row("ICENABLER", 0x1400, 4, 32)),
    extended(0, row("ISPENDR", 0x1600, 4, 32)),
    extended(0, row("ICPENDR", 0x1800, 4, 32)),
    extended(0, row("ISACTIVER", 0x1a00, 4, 32)),
    extended(0, row("ICACTIVER", 0x1c00, 4, 32)),
    extended(0, row("IPRIORITYR", 0x2000, 4, 256)),
    extended(0, row("ICFGR", 0x3000, 4, 64)),
    extended(0, row("IGRPMODR", 0x3400, 4, 32)),
    extended(0, row("NSACR", 0x3600, 4, 64)),
    extended(0, row("INMIR", 0x3b00, 4, 32)),
    row("IROUTER", 0x6000, 8, 1020),
    extended(0, row("IROUTER", 0x8000, 8, 1024)),
    from(4, row("PIDR", 0xffd0, 4, 4)),
    row("PIDR", 0xffe0, 4, 4),
    row("CIDR", 0xfff0, 4, 4),
];

const GICR: &[Row] = &[
    one("CTLR", 0x0, 4),
    one("IIDR", 0x4, 4),
    one("TYPER", 0x8, 8),
    one("STATUSR", 0x10, 4),
    one("WAKER", 0x14, 4),
    one("MPAMIDR", 0x18, 4),
    one("PARTIDR", 0x1c, 4),
    one("SETLPIR", 0x40, 8),
    one("CLRLPIR", 0x48, 8),
    one("PROPBASER", 0x70, 8),
    one("PENDBASER", 0x78, 8),
    one("INVLPIR", 0xa0, 8),
    one("INVALLR", 0xb0, 8),
    one("SYNCR", 0xc0, 4),
    from(4, row("PIDR", 0xffd0, 4, 4)),
    row("PIDR", 0xffe0, 4, 4),
    row("CIDR", 0xfff0, 4, 4),
    row("IGROUPR", 0x1_0080, 4, 1),
    extended(1, row("IGROUPR", 0x1_0084, 4, 2)),
    row("ISENABLER", 0x1_0100, 4, 1),
    extended(1, row("ISENABLER", 0x1_0104, 4, 2)),
    row("ICENABLER", 0x1_0180, 4, 1),
    extended(1, row("ICENABLER", 0x1_0184, 4, 2)),
    row("ISPENDR", 0x1_0200, 4, 1),
    extended(1, row("ISPENDR", 0x1_0204, 4, 2)),
    row("ICPENDR", 0x1_0280, 4, 1),
    extended(1, row("ICPENDR", 0x1_0284, 4, 2)),
    row("ISACTIVER", 0x1_0300, 4, 1),
    extended(1, row("ISACTIVER", 0x1_0304, 4, 2)),
    row("ICACTIVER", 0x1_0380, 4, 1),
    extended(1, row("ICACTIVER", 0x1_0384, 4, 2)),
    row("IPRIORITYR", 0x1_0400, 4, 8),
    extended(8, row("IPRIORITYR", 0x1_0420, 4, 16)),
    row("ICFGR", 0x1_0c00, 4, 2),
    extended(2, row("ICFGR", 0x1_0c08, 4, 4)),
    row("IGRPMODR", 0x1_0d00, 4, 1),
    extended(1, row("IGRPMODR", 0x1_0d04, 4, 2)),
    one("NSACR", 0x1_0e00, 4),
    row("INMIR", 0x1_0f80, 4, 1),
    extended(1, row("INMIR", 0x1_0f84, 4, 2)),
    one("VPROPBASER", 0x2_0070, 8),
    one("VPENDBASER", 0x2_0078, 8),
    one("VSGIR", 0x2_0080, 4),
    one("VSGIPENDR", 0x2_0088, 4),
];

const GITS: &[Row] = &[
    one("CTLR", 0x0, 4),
    one("IIDR", 0x4, 4),
    one("TYPER", 0x8, 8),
    one("MPAMIDR", 0x10, 4),
    one("PARTIDR", 0x14, 4),
    one("MPIDR", 0x18, 4),
    one("STATUSR", 0x40, 4),
    one("UMSIR", 0x48, 8),
    one("CBASER", 0x80, 8),
    one("CWRITER", 0x88, 8),
    one("CREADR", 0x90, 8),
    row("BASER", 0x100, 8, 8),
    from(4, row("PIDR", 0xffd0, 4, 4)),
    row("PIDR", 0xffe0, 4, 4),
    row("CIDR", 0xfff0, 4, 4),
    one("TRANSLATER", 0x1_0040, 4),
    one("SGIR", 0x2_0020, 8),
];

const GICC_DIR: &[Row] = &[one("DIR", 0x0, 4)];

/// What a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A register in memory.
    Register(Register),
    /// One of an ITS: which, and its offset.
    Gits(u8, u32),
    /// A system register that traps.
    Sysreg(SysReg),
    /// A register of the CPU interface that is one field.
    Field(Field),
}

/// System registers, and others of the CPU interface, whose name has no offset.
const OTHERS: [(&str, Place); 12] = [
    ("ICC_SGI1R_EL1", Place::Sysreg(SysReg::Sgi1r)),
    ("ICC_ASGI1R_EL1", Place::Sysreg(SysReg::Asgi1r)),
    ("ICC_SGI0R_EL1", Place::Sysreg(SysReg::Sgi0r)),
    ("ICC_DIR_EL1", Place::Sysreg(SysReg::Dir)),
    ("ICC_PMR_EL1", Place::Field(Field::Pmr)),
    ("ICC_BPR0_EL1", Place::Field(Field::Bpr0)),
    ("ICC_BPR1_EL1", Place::Field(Field::Bpr1)),
    ("ICC_IGRPEN0_EL1", Place::Field(Field::Group0)),
    ("ICC_IGRPEN1_EL1", Place::Field(Field::Group1)),
    ("GICC_PMR", Place::Field(Field::Pmr)),
    ("GICC_BPR", Place::Field(Field::Bpr0)),
    ("GICC_ABPR", Place::Field(Field::Bpr1)),
];

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
    print_in(rows(register.frame), &frame, register.offset)
}

fn print_in(rows: &[Row], block: &str, offset: u32) -> String {
    let inside = |row: &&Row| (row.offset..row.offset + row.bytes * row.count).contains(&offset);
    let Some(row) = rows.iter().find(inside) else {
        return format!("{block}+{offset:#x}");
    };
    let index = row.first.map_or(String::new(), |first| {
        (first + (offset - row.offset) / row.bytes).to_string()
    });
    let within = match (offset - row.offset) % row.bytes {
        0 => String::new(),
        n => format!("+{n}"),
    };
    format!("{block}_{}{index}{}{within}", row.name, row.end)
}

/// A number, decimal or with 0x.
pub(crate) fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) if !hex.starts_with('+') => u64::from_str_radix(hex, 16).ok(),
        None if text.starts_with(|c: char| c.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

/// The inverse of [`print`], and of the names that have no offset. `vcpu` is who acts: `GICR_…` is its own redistributor's.
pub(crate) fn parse(text: &str, vcpu: u8) -> Option<Place> {
    if let Some((_, place)) = OTHERS.iter().find(|(name, _)| *name == text) {
        return Some(*place);
    }
    let (name, within) = match text.split_once('+') {
        Some((name, within)) => (name, u32::try_from(number(within)?).ok()?),
        None => (text, 0),
    };
    let (block, name) = match name.split_once('_') {
        Some((block, name)) => (block, Some(name)),
        None => (name, None),
    };
    let offset = |rows: &[Row]| {
        let start = match name {
            None => 0,
            Some(name) => rows.iter().find_map(|row| row.place(name))?,
        };
        let offset = start.checked_add(within)?;
        (offset < Register::LIMIT).then_some(offset)
    };
    if let Some(its) = block.strip_prefix("GITS") {
        let its = if its.is_empty() { 0 } else { index(its)? };
        return Some(Place::Gits(its, offset(GITS)?));
    }
    let frame = match (block, block.strip_prefix("GICR")) {
        ("GICD", _) => Frame::Gicd,
        ("GICC", _) => Frame::GiccDir,
        (_, Some("")) => Frame::Gicr(vcpu),
        (_, Some(vcpu)) => Frame::Gicr(index(vcpu)?),
        _ => return None,
    };
    let offset = offset(rows(frame))?;
    Some(Place::Register(Register { frame, offset }))
}

/// Digits, and nothing else.
fn index<T: std::str::FromStr>(text: &str) -> Option<T> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

impl Row {
    /// The offset of the register of this name and number. Where there is only number 0 it may be left out.
    fn place(&self, name: &str) -> Option<u32> {
        let number = name.strip_prefix(self.name)?;
        let number = number.strip_suffix(self.end)?;
        let n = match (self.first, number) {
            (None, "") => 0,
            (Some(0), "") if self.count == 1 => 0,
            (None, _) => return None,
            (Some(first), number) => index::<u32>(number)?.checked_sub(first)?,
        };
        (n < self.count).then_some(self.offset + n * self.bytes)
    }
}

/// A name that is near this one, which is none.
pub(crate) fn near(text: &str) -> &'static str {
    let block = text.split(['_', '+']).next().unwrap_or_default();
    match block.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "GICC" | "ICC" | "ICV" | "GICV" => {
            "of the CPU interface, `ack`, `eoi`, `dir`, `set` and `signal` are the words"
        }
        "GICD" => "names are as GICD_ISENABLER1, and offsets as GICD+0x104",
        "GICR" => "names are as GICR_ISENABLER0 or, of vCPU 1, GICR1_ISENABLER0",
        "GITS" => "names are as GITS_CBASER or, of the second ITS, GITS1_CBASER",
        _ => "names begin with GICD_, GICR_, GITS_, GICC_ or ICC_",
    }
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
