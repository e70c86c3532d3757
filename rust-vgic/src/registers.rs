// SPDX-License-Identifier: GPL-2.0-only
//! How registers are described, and the one loop that reads and writes them.
//!
//! Each frame is a table with one row per register (`Row`): name, offset, size of the whole array, widths of access,
//! what an element of it is (a bit, a field or a register), value at reset, what a read and what a write does. The frames are in
//! [`gicv2`](crate::gicv2), [`gicv3`](crate::gicv3) and [`redistributor`](crate::redistributor); what they share is in
//! [`distributor`](crate::distributor).
//!
//! What no table names, and what is misaligned or of a width that the register does not have, reads as zero and
//! ignores writes (IHI 0048B, section 4.1; IHI 0069, section 12.1). So does every element whose interrupt does not exist.

use crate::domain::Domain;
use crate::host::Host;
use crate::intid::IntId;
use crate::irq::Irq;
use crate::its::Its;
use crate::recall::only;
use crate::vcpu::Vcpu;
use core::cell::Cell;
use core::fmt;

/// GICD_IIDR and GICR_IIDR: implementer Arm (JEP106 0x43b, as guests expect of a GIC), ProductID 'R', revision 1.
pub(crate) const IIDR: u64 = 0x5200_143b;

/// Width of an access. The number is the binary logarithm of the number of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Width {
    /// 8 bits.
    Byte = 0,
    /// 16 bits.
    Half,
    /// 32 bits.
    Word,
    /// 64 bits.
    Double,
}

impl Width {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Byte, Self::Half, Self::Word, Self::Double];

    /// From the binary logarithm of the number of bytes, as in ESR_ELx.ISS.SAS. Bits beyond the lower two are ignored.
    ///
    /// ```
    /// use rust_vgic::Width;
    /// assert_eq!(Width::from_log2(2), Width::Word);
    /// ```
    #[must_use]
    pub const fn from_log2(log2: u8) -> Self {
        match log2 & 3 {
            0 => Self::Byte,
            1 => Self::Half,
            2 => Self::Word,
            _ => Self::Double,
        }
    }

    /// Its number of bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        8_u32.wrapping_shl(self as u32)
    }

    /// Its number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        1_u32.wrapping_shl(self as u32)
    }

    const fn as_widths(self) -> Widths {
        Widths::from_bits_truncate(1_u8.wrapping_shl(self as u32))
    }
}

bitflags::bitflags! {
    /// The widths of access that a register has, as a bit each.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) struct Widths: u8 {
        const BYTE = 1 << 0;
        const HALF = 1 << 1;
        const WORD = 1 << 2;
        const DOUBLE = 1 << 3;
    }
}

/// 32 bits only: what most registers have.
pub(crate) const W: Widths = Widths::WORD;
/// Bytes and words: registers with a byte for each interrupt.
pub(crate) const BW: Widths = Widths::BYTE.union(Widths::WORD);
/// Halfwords and words: registers that a device may be the one to write.
pub(crate) const HW: Widths = Widths::HALF.union(Widths::WORD);
/// A 64-bit register, as a whole or in halves (IHI 0069, section 12.1).
pub(crate) const WD: Widths = Widths::WORD.union(Widths::DOUBLE);

/// What a register array is made of. The number is the binary logarithm of the number of bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Element {
    /// One bit for each interrupt.
    Bit = 0,
    /// Two bits for each interrupt.
    Pair = 1,
    /// One byte for each interrupt.
    Byte = 3,
    /// Registers of 32 bits.
    Word = 5,
    /// Registers of 64 bits.
    Double = 6,
}

/// `bits` ones.
const fn ones(bits: u32) -> u64 {
    match 1_u64.checked_shl(bits) {
        Some(bit) => bit.wrapping_sub(1),
        None => u64::MAX,
    }
}

impl Element {
    const fn log2(self) -> u32 {
        self as u32
    }

    pub(crate) const fn bits(self) -> u32 {
        1_u32.wrapping_shl(self.log2())
    }
}

/// What of an element is written: all of it, or the part that a narrower access covers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Written {
    /// Zero outside of `mask`.
    pub(crate) value: u64,
    /// Which bits are written.
    pub(crate) mask: u64,
}

impl Written {
    /// What the element contains afterwards.
    pub(crate) const fn merge(self, old: u64) -> u64 {
        old & !self.mask | self.value
    }
}

/// A trapped access: whose it is, and whose registers it is about.
pub(crate) struct Access<'a, H: Host> {
    pub(crate) domain: &'a Domain<H>,
    /// The vCPU that makes it.
    pub(crate) cur: &'a Vcpu<H::Vcpu>,
    /// The vCPU whose private interrupts the frame shows: `cur`, or that of the redistributor.
    pub(crate) owner: &'a Vcpu<H::Vcpu>,
    /// The ITS whose frame it is, if it is one's.
    pub(crate) its: Option<&'a Its>,
    /// Set by a write that could not do all that it has to: it is to be executed once more.
    pub(crate) again: Cell<bool>,
}

impl<H: Host> Domain<H> {
    /// An access of `cur` to registers of `owner`.
    pub(crate) fn access<'a>(
        &'a self,
        cur: &'a Vcpu<H::Vcpu>,
        owner: &'a Vcpu<H::Vcpu>,
    ) -> Access<'a, H> {
        Access {
            domain: self,
            cur,
            owner,
            its: None,
            again: Cell::new(false),
        }
    }
}

/// What a read of an element does.
pub(crate) enum Read<H: Host> {
    /// Shows the value at reset.
    Reset,
    /// Shows a register, by its index in the array.
    Register(fn(&Access<'_, H>, u32) -> u64),
    /// Shows something of each interrupt.
    Irqs(fn(&Access<'_, H>, &Run<'_>) -> u64),
}

/// What a write to an element does.
pub(crate) enum Write<H: Host> {
    /// Nothing.
    Ignored,
    /// Writes a register, by its index in the array.
    Register(fn(&Access<'_, H>, u32, Written)),
    /// Does something to each interrupt.
    Irqs(fn(&Access<'_, H>, &Run<'_>, u64)),
    /// Does something to the interrupts for which a one is written. Elements are bits.
    Ones(fn(&Access<'_, H>, IntId, &Irq)),
}

/// What of an access has to do with the list registers of vCPUs that are in their guests: what these have done there is in no word
/// before they leave it, and what is written reaches them then ([`crate::recall`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exact {
    /// Nothing.
    Never,
    /// Before it is read, they leave.
    Read,
    /// Once ones have been written to it, they leave before the write is done.
    Write,
    /// Both.
    Both,
    /// The same, and also before ones are written: what that does depends on what the guest has done.
    Always,
    /// Once ones have been written to it they are to leave; the frame's RWP tells whether they have.
    Rwp,
}

impl Exact {
    const fn before_read(self) -> bool {
        matches!(self, Self::Read | Self::Both | Self::Always)
    }
}

/// One register, or an array of them.
pub(crate) struct Row<H: Host> {
    pub(crate) name: &'static str,
    pub(crate) offset: u32,
    /// Of the whole array.
    pub(crate) bytes: u32,
    pub(crate) widths: Widths,
    pub(crate) element: Element,
    /// The INTID of the first element, if elements are interrupts.
    pub(crate) first: u32,
    /// Of each element. Not meaningful where what a read shows depends on the domain's configuration, and
    /// other for SGIs where the handler says so.
    pub(crate) reset: u64,
    pub(crate) read: Read<H>,
    pub(crate) write: Write<H>,
    pub(crate) exact: Exact,
}

/// What a read does, as a line of [`rows`] has it. `Irq` is of one interrupt; it becomes part of the loop over those of an access.
macro_rules! read {
    (Irq($read:path)) => {
        crate::registers::Read::Irqs(|access, run| run.read(|intid, irq| $read(access, intid, irq)))
    };
    ($kind:ident $(($read:path))?) => {
        crate::registers::Read::$kind $(($read))?
    };
}
pub(crate) use read;

/// The same for a write.
macro_rules! write {
    (Irq($write:path)) => {
        crate::registers::Write::Irqs(|access, run, value| {
            run.write(value, |intid, irq, written| $write(access, intid, irq, written))
        })
    };
    ($kind:ident $(($write:path))?) => {
        crate::registers::Write::$kind $(($write))?
    };
}
pub(crate) use write;

/// A table of registers: a line each, with the columns
/// name, offset, bytes, widths, element, first INTID, reset value, read, write, when others leave their guests for it.
macro_rules! rows {
    ($($name:ident $offset:literal $bytes:literal $widths:ident $element:ident $first:literal $reset:tt
       $read:ident $(($reader:path))? , $write:ident $(($writer:path))? , $exact:ident;)*) => {
        &[$(crate::registers::Row {
            name: stringify!($name),
            offset: $offset,
            bytes: $bytes,
            widths: crate::registers::$widths,
            element: crate::registers::Element::$element,
            first: $first,
            reset: $reset,
            read: crate::registers::read!($read $(($reader))?),
            write: crate::registers::write!($write $(($writer))?),
            exact: crate::registers::Exact::$exact,
        }),*]
    };
}
pub(crate) use rows;

impl<H: Host> Row<H> {
    /// The offset after the array.
    pub(crate) const fn end(&self) -> u32 {
        self.offset.wrapping_add(self.bytes)
    }

    /// The elements that an access covers.
    fn span(&self, offset: u32, width: Width) -> Span {
        let bit = offset.wrapping_sub(self.offset).wrapping_mul(8);
        let log2 = self.element.log2();
        let bits = self.element.bits();
        Span {
            index: bit.wrapping_shr(log2),
            count: width.bits().wrapping_shr(log2).max(1),
            bits: bits.min(width.bits()),
            shift: bit & bits.wrapping_sub(1),
        }
    }
}

/// Part of a register array. Either several elements or, if the access is narrower than one, a part of one.
#[derive(Clone, Copy)]
struct Span {
    /// The first element.
    index: u32,
    /// How many: 64 at the most.
    count: u32,
    /// How many bits of each.
    bits: u32,
    /// Which is the lowest of these bits.
    shift: u32,
}

impl Span {
    /// What is read, of the elements as they are.
    fn part(self, elements: u64) -> u64 {
        elements.wrapping_shr(self.shift) & ones(self.bits.wrapping_mul(self.count))
    }

    /// The first of them, out of the value of the access.
    fn written(self, value: u64) -> Written {
        let mask = ones(self.bits);
        Written {
            value: (value & mask).wrapping_shl(self.shift),
            mask: mask.wrapping_shl(self.shift),
        }
    }
}

/// The interrupts that an access covers: those of them that there are, side by side in their table.
pub(crate) struct Run<'a> {
    span: Span,
    first: IntId,
    irqs: &'a [Irq],
}

impl<'a> Run<'a> {
    /// What `show` says of each, side by side.
    #[inline(always)]
    pub(crate) fn read(&self, show: impl Fn(IntId, &Irq) -> u64) -> u64 {
        let irqs = self.irqs.iter().enumerate().rev();
        irqs.fold(0, |elements, (n, irq)| {
            elements.wrapping_shl(self.span.bits) | show(self.first.after(n as u16), irq)
        })
    }

    /// Hands each its part of what is written.
    #[inline(always)]
    pub(crate) fn write(&self, value: u64, write: impl Fn(IntId, &Irq, Written)) {
        let mut left = value;
        for (n, irq) in self.irqs.iter().enumerate() {
            write(self.first.after(n as u16), irq, self.span.written(left));
            left = left.wrapping_shr(self.span.bits);
        }
    }

    /// Where elements are bits: those for which a one is written.
    fn ones(&self, value: u64) -> impl Iterator<Item = (IntId, &'a Irq)> + Clone + use<'a> {
        let (first, irqs) = (self.first, self.irqs);
        let mut left = value & ones(self.span.count);
        core::iter::from_fn(move || {
            let n = left.trailing_zeros();
            left &= left.wrapping_sub(1);
            Some((first.after(n as u16), irqs.get(n as usize)?))
        })
    }
}

impl<'a, H: Host> Access<'a, H> {
    /// The row of a table that has this access, if any. Rows are in the order of their offsets.
    fn row(rows: &[Row<H>], offset: u32, width: Width) -> Option<&Row<H>> {
        let after = rows.partition_point(|row| row.offset <= offset);
        let row = rows.get(after.checked_sub(1)?)?;
        let end = offset.checked_add(width.bytes())?;
        let aligned = offset & width.bytes().wrapping_sub(1) == 0;
        (aligned && end <= row.end() && row.widths.contains(width.as_widths())).then_some(row)
    }

    pub(crate) fn irq(&self, intid: IntId) -> Option<&'a Irq> {
        self.domain.irq(self.owner, intid)
    }

    /// The interrupts whose elements an access covers.
    fn run(&self, row: &Row<H>, span: Span) -> Option<Run<'a>> {
        let first = IntId::new(row.first.wrapping_add(span.index))?;
        let irqs = self.domain.irqs(self.owner, first, span.count as usize);
        Some(Run { span, first, irqs })
    }

    /// Reads from a frame.
    pub(crate) fn read(&self, rows: &[Row<H>], offset: u32, width: Width) -> u64 {
        let Some(row) = Self::row(rows, offset, width) else {
            self.reserved(
                rows,
                format_args!("a read of {} bits", width.bits()),
                offset,
            );
            return 0;
        };
        let span = row.span(offset, width);
        span.part(match row.read {
            Read::Reset => row.reset,
            Read::Register(read) => read(self, span.index),
            Read::Irqs(read) => {
                let Some(run) = self.run(row, span) else {
                    return 0;
                };
                if row.exact.before_read() {
                    self.recall(run.first, run.irqs.iter());
                }
                read(self, &run)
            }
        })
    }

    /// Writes to a frame. What is beyond the width is ignored.
    pub(crate) fn write(&self, rows: &[Row<H>], offset: u32, width: Width, value: u64) {
        let Some(row) = Self::row(rows, offset, width) else {
            let written = value & ones(width.bits());
            let access = format_args!("a write of {} bits, {written:#x},", width.bits());
            self.reserved(rows, access, offset);
            return;
        };
        let span = row.span(offset, width);
        match row.write {
            Write::Ignored => {}
            Write::Register(write) => write(self, span.index, span.written(value)),
            Write::Irqs(write) => {
                if let Some(run) = self.run(row, span) {
                    write(self, &run, value);
                }
            }
            Write::Ones(write) => {
                let Some(run) = self.run(row, span) else {
                    return;
                };
                let named = || run.ones(value).map(|(_, irq)| irq);
                if row.exact == Exact::Always {
                    self.recall(run.first, named());
                }
                for (intid, irq) in run.ones(value) {
                    write(self, intid, irq);
                }
                match row.exact {
                    Exact::Never | Exact::Read => {}
                    Exact::Write | Exact::Both | Exact::Always => self.recall(run.first, named()),
                    Exact::Rwp => {
                        let holders = self.domain.holders(self.cur, named());
                        let inside = self.domain.call_out(holders);
                        // A redistributor's is about one vCPU, which says itself whether it is awaited.
                        if inside != 0 && !run.first.is_private() {
                            self.domain.writes.begin();
                        }
                    }
                }
            }
        }
    }

    /// No row has this access.
    #[cold]
    fn reserved(&self, rows: &[Row<H>], access: fmt::Arguments<'_>, offset: u32) {
        let frame = rows.first().map_or("", |row| row.name);
        let there = rows
            .iter()
            .find(|row| row.offset <= offset && offset < row.end());
        let why = match there {
            Some(row) => format_args!("{} is not accessed like this", row.name),
            None => format_args!("there is no such register"),
        };
        self.domain.reserved(
            self.cur,
            format_args!("{access} at offset {offset:#x} of the frame of {frame}: {why}"),
        );
    }

    /// Has who may have these interrupts, of which `first` is a neighbour, leave the guest, and waits for it. Not `cur`, which has
    /// left its own for this access.
    fn recall<'i>(&self, first: IntId, mut irqs: impl Iterator<Item = &'i Irq>) {
        let set = if !first.is_private() {
            self.domain.holders(self.cur, irqs)
        } else if self.owner.id() != self.cur.id() && irqs.next().is_some() {
            only(self.owner)
        } else {
            0
        };
        self.domain.recall(set);
    }
}

#[cfg(test)]
mod tests;
