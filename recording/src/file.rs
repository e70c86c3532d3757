// SPDX-License-Identifier: GPL-2.0-only
//! The file format, version 1.
//!
//! Eight bytes, `vgicrec` and the version, then a zlib stream (RFC 1950) of what follows. Numbers are unsigned LEB128: seven bits
//! to a byte, the lowest first, bit 7 set in all but the last. A byte is a byte.
//!
//! | head | |
//! |---|---|
//! | version of the GIC, vCPUs, SPIs, list registers | four numbers |
//! | hardware lines | their number; for each the INTID, and a byte: 1 for level, 0 for edge |
//! | origin | its bytes' number, UTF-8 |
//! | operations | their number |
//!
//! An operation is a byte for its kind, a byte for the vCPU (not for a line), and then:
//!
//! | kind | | |
//! |---|---|---|
//! | 1 | write | access, number: the value |
//! | 2 | read | access; 3: access, number: what it read |
//! | 4 | system register | byte: [`SysReg`] in its order, number: the value |
//! | 5, 6 | line down, up | number: the INTID |
//! | 7, 8 | private line down, up | number: the INTID |
//! | 9, 10, 11 | ack, eoi, dir | number: 0, or the INTID and 1 |
//! | 12 | set | byte: [`Field`] in its order, byte: the value |
//! | 13 | signal | byte: 0 unknown, 1 off, 2 on |
//! | 14 … 20 | exit, preempt, resume, migrate, wait, off, on | |
//!
//! An access is a byte, bits 1:0 the logarithm of its width in bytes, bits 3:2 the block (0 `GICD`, 1 `GICR`, 2 the page of
//! `GICC_DIR`); for `GICR` a byte, the vCPU whose it is; and a number, the offset.

use crate::head::{Error, HardwareLine, Head, MAX_OPS, MAX_ORIGIN, Recording};
use crate::op::{Field, Frame, Op, Register, Size, SysReg};
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use std::io::{self, BufRead, BufReader, Read, Write};

const MAGIC: &[u8; 7] = b"vgicrec";
const VERSION: u8 = 1;

fn cut_off(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::new("the recording ends in the middle"),
        _ => Error::new(format!("the recording is damaged ({error})")),
    }
}

// ---------------------------------------------------------------------- writing

struct Encoder(Vec<u8>);

impl Encoder {
    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn number(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.byte(n as u8 | 0x80);
            n >>= 7;
        }
        self.byte(n as u8);
    }

    fn head(&mut self, head: &Head, ops: usize) {
        for n in [
            head.gic.into(),
            head.vcpus.into(),
            head.spis,
            head.lrs.into(),
        ] {
            self.number(n.into());
        }
        self.number(head.hardware.len() as u64);
        for line in &head.hardware {
            self.number(line.intid.into());
            self.byte(line.level.into());
        }
        self.number(head.origin.len() as u64);
        self.0.extend_from_slice(head.origin.as_bytes());
        self.number(ops as u64);
    }

    fn access(&mut self, register: Register, size: Size) {
        let (frame, whose) = match register.frame {
            Frame::Gicd => (0, None),
            Frame::Gicr(vcpu) => (1, Some(vcpu)),
            Frame::GiccDir => (2, None),
        };
        self.byte(size as u8 | frame << 2);
        if let Some(vcpu) = whose {
            self.byte(vcpu);
        }
        self.number(register.offset.into());
    }

    fn op(&mut self, op: &Op) {
        self.byte(kind(op));
        if let Some(vcpu) = op.vcpu() {
            self.byte(vcpu);
        }
        match *op {
            Op::Write {
                register,
                size,
                value,
                ..
            } => {
                self.access(register, size);
                self.number(value);
            }
            Op::Read {
                register,
                size,
                value,
                ..
            } => {
                self.access(register, size);
                if let Some(value) = value {
                    self.number(value);
                }
            }
            Op::Sysreg {
                register, value, ..
            } => {
                self.byte(register as u8);
                self.number(value);
            }
            Op::Line { intid, .. } | Op::PrivateLine { intid, .. } => self.number(intid.into()),
            Op::Ack { intid, .. } | Op::Eoi { intid, .. } | Op::Dir { intid, .. } => {
                self.number(intid.map_or(0, |n| u64::from(n) + 1));
            }
            Op::Set { field, value, .. } => {
                self.byte(field as u8);
                self.byte(value);
            }
            Op::Signal { on, .. } => self.byte(on.map_or(0, |on| 1 + u8::from(on))),
            Op::Exit { .. }
            | Op::Preempt { .. }
            | Op::Resume { .. }
            | Op::Migrate { .. }
            | Op::Wait { .. }
            | Op::Off { .. }
            | Op::On { .. } => {}
        }
    }
}

fn kind(op: &Op) -> u8 {
    match op {
        Op::Write { .. } => 1,
        Op::Read { value, .. } => 2 + u8::from(value.is_some()),
        Op::Sysreg { .. } => 4,
        Op::Line { level, .. } => 5 + u8::from(*level),
        Op::PrivateLine { level, .. } => 7 + u8::from(*level),
        Op::Ack { .. } => 9,
        Op::Eoi { .. } => 10,
        Op::Dir { .. } => 11,
        Op::Set { .. } => 12,
        Op::Signal { .. } => 13,
        Op::Exit { .. } => 14,
        Op::Preempt { .. } => 15,
        Op::Resume { .. } => 16,
        Op::Migrate { .. } => 17,
        Op::Wait { .. } => 18,
        Op::Off { .. } => 19,
        Op::On { .. } => 20,
    }
}

impl Recording {
    /// Writes the file.
    ///
    /// # Errors
    /// What `to` says; and what is no valid recording is not written.
    pub fn write(&self, mut to: impl Write) -> io::Result<()> {
        let invalid = |e: Error| io::Error::new(io::ErrorKind::InvalidInput, e);
        self.head.check().map_err(invalid)?;
        if self.ops.len() > MAX_OPS {
            return Err(invalid(Error::new("too many operations for a file")));
        }
        to.write_all(MAGIC)?;
        to.write_all(&[VERSION])?;
        let mut stream = ZlibEncoder::new(to, Compression::best());
        let mut encoder = Encoder(Vec::new());
        encoder.head(&self.head, self.ops.len());
        for op in &self.ops {
            self.head.check_op(op).map_err(invalid)?;
            encoder.op(op);
            if encoder.0.len() > 1 << 16 {
                stream.write_all(&encoder.0)?;
                encoder.0.clear();
            }
        }
        stream.write_all(&encoder.0)?;
        stream.finish()?.flush()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong with it. Memory is bounded whatever is in it.
    pub fn read(mut from: impl Read) -> Result<Self, Error> {
        let mut magic = [0; MAGIC.len()];
        let mut version = [0];
        let none = |_| Error::new("this is no recording: it does not begin with `vgicrec`");
        from.read_exact(&mut magic).map_err(none)?;
        if magic != *MAGIC {
            return Err(none(io::ErrorKind::InvalidData.into()));
        }
        from.read_exact(&mut version).map_err(|e| cut_off(&e))?;
        if version != [VERSION] {
            return Err(Error::new(format!(
                "the recording has version {}, and this reads version {VERSION}: record it again",
                version[0]
            )));
        }
        let mut decoder = Decoder(BufReader::new(ZlibDecoder::new(from)));
        let (head, count) = decoder.head()?;
        let mut ops = Vec::with_capacity(count.min(1 << 16));
        for n in 0..count {
            let op = decoder.op()?;
            head.check_op(&op)
                .map_err(|e| Error::new(format!("operation {n} of the recording: {e}")))?;
            ops.push(op);
        }
        decoder.end()?;
        Ok(Self { head, ops })
    }
}

// ---------------------------------------------------------------------- reading

struct Decoder<R>(BufReader<R>);

impl<R: Read> Decoder<R> {
    fn byte(&mut self) -> Result<u8, Error> {
        let mut byte = [0];
        self.0.read_exact(&mut byte).map_err(|e| cut_off(&e))?;
        Ok(byte[0])
    }

    fn number(&mut self) -> Result<u64, Error> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            n |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(n);
            }
        }
        Err(Error::new(
            "the recording has a number of more than 64 bits",
        ))
    }

    /// A number that must fit into less than 64 bits.
    fn small<T: TryFrom<u64>>(&mut self, what: &str) -> Result<T, Error> {
        let n = self.number()?;
        T::try_from(n).map_err(|_| Error::new(format!("the recording has {n} for {what}")))
    }

    fn at_most(&mut self, most: usize, what: &str) -> Result<usize, Error> {
        let n: usize = self.small(what)?;
        if n > most {
            return Err(Error::new(format!(
                "the recording claims {n} {what}, of at most {most}"
            )));
        }
        Ok(n)
    }

    fn head(&mut self) -> Result<(Head, usize), Error> {
        let mut head = Head {
            gic: self.small("the version of the GIC")?,
            vcpus: self.small("the number of vCPUs")?,
            spis: self.small("the number of SPIs")?,
            lrs: self.small("the number of list registers")?,
            hardware: Vec::new(),
            origin: String::new(),
        };
        for _ in 0..self.at_most(988, "hardware lines")? {
            head.hardware.push(HardwareLine {
                intid: self.small("an INTID")?,
                level: self.byte()? != 0,
            });
        }
        let mut origin = vec![0; self.at_most(MAX_ORIGIN, "bytes of origin")?];
        self.0.read_exact(&mut origin).map_err(|e| cut_off(&e))?;
        head.origin = String::from_utf8(origin)
            .map_err(|_| Error::new("the origin of the recording is no UTF-8"))?;
        head.check()?;
        Ok((head, self.at_most(MAX_OPS, "operations")?))
    }

    fn access(&mut self) -> Result<(Register, Size), Error> {
        let byte = self.byte()?;
        let frame = match byte >> 2 {
            0 => Frame::Gicd,
            1 => Frame::Gicr(self.byte()?),
            2 => Frame::GiccDir,
            n => return Err(Error::new(format!("the recording has {n} for a block"))),
        };
        let offset = self.small("an offset")?;
        Ok((Register { frame, offset }, Size::from_log2(byte)))
    }

    fn one_of<T: Copy>(&mut self, all: &[T], what: &str) -> Result<T, Error> {
        let n = self.byte()?;
        let found = all.get(usize::from(n)).copied();
        found.ok_or_else(|| Error::new(format!("the recording has {n} for {what}")))
    }

    fn known_intid(&mut self) -> Result<Option<u32>, Error> {
        Ok(self.small::<u32>("an INTID")?.checked_sub(1))
    }

    fn op(&mut self) -> Result<Op, Error> {
        let kind = self.byte()?;
        if let 5 | 6 = kind {
            return Ok(Op::Line {
                intid: self.small("an INTID")?,
                level: kind == 6,
            });
        }
        let vcpu = self.byte()?;
        Ok(match kind {
            1 => {
                let (register, size) = self.access()?;
                Op::Write {
                    vcpu,
                    register,
                    size,
                    value: self.number()?,
                }
            }
            2 | 3 => {
                let (register, size) = self.access()?;
                Op::Read {
                    vcpu,
                    register,
                    size,
                    value: if kind == 3 {
                        Some(self.number()?)
                    } else {
                        None
                    },
                }
            }
            4 => Op::Sysreg {
                vcpu,
                register: self.one_of(&SysReg::ALL, "a system register")?,
                value: self.number()?,
            },
            7 | 8 => Op::PrivateLine {
                vcpu,
                intid: self.small("an INTID")?,
                level: kind == 8,
            },
            9 => Op::Ack {
                vcpu,
                intid: self.known_intid()?,
            },
            10 => Op::Eoi {
                vcpu,
                intid: self.known_intid()?,
            },
            11 => Op::Dir {
                vcpu,
                intid: self.known_intid()?,
            },
            12 => Op::Set {
                vcpu,
                field: self.one_of(&Field::ALL, "a field")?,
                value: self.byte()?,
            },
            13 => Op::Signal {
                vcpu,
                on: self.one_of(&[None, Some(false), Some(true)], "a signal")?,
            },
            14 => Op::Exit { vcpu },
            15 => Op::Preempt { vcpu },
            16 => Op::Resume { vcpu },
            17 => Op::Migrate { vcpu },
            18 => Op::Wait { vcpu },
            19 => Op::Off { vcpu },
            20 => Op::On { vcpu },
            n => {
                return Err(Error::new(format!(
                    "the recording has {n} for an operation"
                )));
            }
        })
    }

    /// Nothing may follow, and the stream's checksum must be right.
    fn end(&mut self) -> Result<(), Error> {
        match self.0.fill_buf() {
            Ok([]) => Ok(()),
            Ok(_) => Err(Error::new("the recording goes on after its last operation")),
            Err(e) => Err(cut_off(&e)),
        }
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
