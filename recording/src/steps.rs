// SPDX-License-Identifier: GPL-2.0-only
//! What a line of a script stands for.

use crate::commands;
use crate::driver::{self, Driver};
use crate::head::{Error, Head};
use crate::its::{self, command};
use crate::names::{self, Place};
use crate::op::{Field, Frame, Op, Register, Size, SysReg};
use crate::script::{Fault, Group, ItsRegister, Step, Timer, What};
use crate::words::{FIELDS, SYSREGS, WIDTHS, Words, choose, example, parse_number, quote, unknown};

/// The domain of a line.
pub(crate) struct Domain<'a> {
    pub(crate) head: &'a Head,
    /// ITSes of its machine.
    pub(crate) itses: u8,
    /// Extended SPIs of the domain.
    pub(crate) espis: u16,
}

/// System registers as words of their own.
const SYSTEM_REGISTERS: [&str; 4] = [
    "ICC_SGI1R_EL1",
    "ICC_ASGI1R_EL1",
    "ICC_SGI0R_EL1",
    "ICC_DIR_EL1",
];

/// `vtimer V …`
fn timer(vcpu: u8, words: &mut Words) -> Result<What, Error> {
    let how = words.one_of(
        "expire, rearm, mask, unmask or ctl",
        &[
            ("expire", Timer::Expire),
            ("rearm", Timer::Rearm),
            ("mask", Timer::Mask(true)),
            ("unmask", Timer::Mask(false)),
            ("ctl", Timer::Control(None)),
        ],
    )?;
    let how = match how {
        Timer::Control(_) => Timer::Control(words.known("a value")?),
        how => how,
    };
    Ok(What::Timer { vcpu, how })
}

impl Domain<'_> {
    /// What a line stands for, whose first word is `key`.
    pub(crate) fn steps(&self, key: &str, words: &mut Words) -> Result<Vec<Step>, Error> {
        let one = |what: What| Ok(vec![what.into()]);
        let of_ops = |ops: Vec<Op>| Ok(ops.into_iter().map(Step::from).collect());
        if example(key).is_none() {
            return Err(unknown(key));
        }
        match key {
            "boot" => {
                let driver = Driver::new(self.head, 0);
                return of_ops(driver.boot_extended(self.espis.into()));
            }
            "lpis" => return self.lpis(),
            "line" => {
                return one(What::Op(Op::Line {
                    intid: words.number("an INTID")?,
                    level: words.up()?,
                }));
            }
            "lpi" => return one(lpi(words)?),
            "memory" => return one(memory(words)?),
            "dump" => return one(What::Dump),
            _ => {}
        }
        if let Some(its) = numbered(key, "msi") {
            return one(What::Message {
                its: self.its(its)?,
                device: words.number("a DeviceID")?,
                event: words.number("an EventID")?,
            });
        }
        let command_of = numbered(key, "its");
        let access = key.starts_with("write") || key.starts_with("read");
        let vcpu = self.vcpu(words)?;
        if let Some(its) = command_of {
            let its = self.its(its)?;
            return one(What::Command {
                vcpu,
                its,
                command: commands::parse(its, words)?,
            });
        }
        let driver = Driver::new(self.head, vcpu);
        let op = match key {
            "init" => return of_ops(driver.start_interface()),
            "enable" => driver.enable(self.intid(words)?),
            "disable" => driver.disable(self.intid(words)?),
            "edge" => driver.trigger(self.intid(words)?, true),
            "level" => driver.trigger(self.intid(words)?, false),
            "priority" => driver.priority(self.intid(words)?, words.number("a priority")?),
            "route" => driver.route(self.spi(words)?, self.vcpu(words)?),
            "sgi" => driver.sgi(self.vcpu(words)?, sgi(words)?),
            "vtimer" => return one(timer(vcpu, words)?),
            "hold" => return one(What::Hold { vcpu }),
            "release" => return one(What::Release { vcpu }),
            "ack0" | "ack1" => {
                return one(What::Ack {
                    vcpu,
                    group: group(key),
                    intid: self.acknowledged(words)?,
                });
            }
            "eoi0" | "eoi1" => {
                return one(What::Eoi {
                    vcpu,
                    group: group(key),
                    intid: self.acknowledged(words)?,
                });
            }
            _ if access => return Ok(vec![self.access(vcpu, key, words)?]),
            _ => return Ok(vec![self.op(vcpu, key, words)?]),
        };
        Ok(vec![op.into()])
    }

    fn vcpu(&self, words: &mut Words) -> Result<u8, Error> {
        let word = words.word("a vCPU")?;
        let vcpu: u64 = parse_number(word, "a vCPU")?;
        let found = u8::try_from(vcpu).ok().filter(|v| *v < self.head.vcpus);
        found.ok_or_else(|| {
            Error::new(format!(
                "there is no vCPU {vcpu}: the domain has {}",
                self.head.vcpus
            ))
        })
    }

    fn its(&self, its: u8) -> Result<u8, Error> {
        if its < self.itses {
            return Ok(its);
        }
        let has = match self.itses {
            0 => "the machine has none: say `itses 1` in the head".to_owned(),
            n => format!("the machine has {n}"),
        };
        Err(Error::new(format!("there is no ITS {its}: {has}")))
    }

    /// Where the register is derived from it, the INTID must be one of the domain's.
    fn intid(&self, words: &mut Words) -> Result<u32, Error> {
        let n: u32 = words.number("an INTID")?;
        let limit = 32 + u32::from(self.head.spis);
        let first = driver::FIRST_ESPI;
        let extended = first..first + u32::from(self.espis);
        if n < limit || extended.contains(&n) {
            return Ok(n);
        }
        let (last, because) = match n {
            its::FIRST_LPI.. => (limit - 1, "; for LPIs there is `lpi`"),
            driver::FIRST_ESPI.. if self.espis == 0 => (
                limit - 1,
                "; extended SPIs are there if the head says `espis`",
            ),
            driver::FIRST_ESPI.. => (extended.end - 1, ", as the head says by `espis`"),
            ..1020 => (limit - 1, ", as the head says by `spis`"),
            _ => (limit - 1, ""),
        };
        let what = format!("INTID {n} is beyond the last, {last}{because}");
        Err(Error::new(what))
    }

    fn spi(&self, words: &mut Words) -> Result<u32, Error> {
        match self.intid(words)? {
            n @ 0..32 => Err(Error::new(format!(
                "INTID {n} is private, and has no route"
            ))),
            n => Ok(n),
        }
    }

    /// An INTID as `IAR` has it; `none`; or `2 from 1`, an SGI with its sender.
    fn acknowledged(&self, words: &mut Words) -> Result<Option<u32>, Error> {
        if words.passes("none") {
            return Ok(Some(1023));
        }
        let Some(intid) = words.known::<u32>("an INTID")? else {
            return Ok(None);
        };
        if !words.passes("from") {
            return Ok(Some(intid));
        }
        let from = self.vcpu(words)?;
        if intid >= 16 {
            return Err(Error::new(format!(
                "INTID {intid} comes from no vCPU: only SGIs do, which are 0 to 15"
            )));
        }
        // A GICv3 does not tell.
        let sender = if self.head.gic == 2 { from } else { 0 };
        Ok(Some(intid | u32::from(sender) << 10))
    }

    fn access(&self, vcpu: u8, key: &str, words: &mut Words) -> Result<Step, Error> {
        const WIDTH: &str = "a width of 8, 16 or 64";
        let (width, writes) = match key.strip_prefix("write") {
            Some(width) => (width, true),
            None => (key.strip_prefix("read").unwrap_or_default(), false),
        };
        let size = choose(width, WIDTH, &WIDTHS).map_err(|e| match width {
            "32" => Error::new(format!("`{key}` is `{}`: {e}", key.trim_end_matches("32"))),
            _ => e,
        })?;
        let word = words.word("a register")?;
        let Some(place) = names::parse(word, vcpu) else {
            return Err(Error::new(format!(
                "there is no register {}: {}",
                quote(word),
                names::near(word)
            )));
        };
        let what = match (place, writes) {
            (Place::Register(register), true) => What::Op(Op::Write {
                vcpu,
                size,
                register,
                value: words.number("a value")?,
            }),
            (Place::Register(register), false) => What::Op(Op::Read {
                vcpu,
                size,
                register,
                value: value(words)?,
            }),
            (Place::Gits(its, offset), _) => {
                let its = self.its(its)?;
                let at = ItsRegister { its, offset, size };
                if writes {
                    let value = words.number("a value")?;
                    What::ItsWrite { vcpu, at, value }
                } else {
                    let value = value(words)?;
                    What::ItsRead { vcpu, at, value }
                }
            }
            (Place::Sysreg(register), true) => What::Op(Op::Sysreg {
                vcpu,
                register,
                value: words.number("a value")?,
            }),
            (Place::Field(field), true) => What::Op(Op::Set {
                vcpu,
                field,
                value: words.number("a value of 8 bits")?,
            }),
            (Place::Sysreg(_), false) => {
                return Err(Error::new(format!("{word} is written only")));
            }
            (Place::Field(_), false) => {
                return Err(Error::new(format!(
                    "{word} is set only: what a script sees of a CPU interface is `ack` and `signal`"
                )));
            }
        };
        Ok(Step {
            what,
            fault: fault(words),
        })
    }

    fn op(&self, vcpu: u8, key: &str, words: &mut Words) -> Result<Step, Error> {
        let named = |names: &[&str]| names.iter().position(|name| *name == key);
        if let Some(n) = named(&SYSREGS).or_else(|| named(&SYSTEM_REGISTERS)) {
            let op = Op::Sysreg {
                vcpu,
                register: *SysReg::ALL.get(n).unwrap_or(&SysReg::Dir),
                value: words.number("a value")?,
            };
            return Ok(Step {
                what: What::Op(op),
                fault: fault(words),
            });
        }
        let op = match key {
            "ppi" => Op::PrivateLine {
                vcpu,
                intid: words.number("an INTID")?,
                level: words.up()?,
            },
            "ack" => Op::Ack {
                vcpu,
                intid: self.acknowledged(words)?,
            },
            "eoi" => Op::Eoi {
                vcpu,
                intid: self.acknowledged(words)?,
            },
            "dir" => Op::Dir {
                vcpu,
                intid: self.acknowledged(words)?,
            },
            "set" => {
                let fields: Vec<_> = FIELDS.iter().copied().zip(Field::ALL).collect();
                Op::Set {
                    vcpu,
                    field: words.one_of(
                        "a field of the CPU interface (pmr, group0, group1, eoimode, bpr0, bpr1)",
                        &fields,
                    )?,
                    value: words.number("a value of 8 bits")?,
                }
            }
            "signal" => Op::Signal {
                vcpu,
                on: match words.next() {
                    None => None,
                    Some(word) => Some(choose(word, "yes or no", &[("yes", true), ("no", false)])?),
                },
            },
            "exit" => Op::Exit { vcpu },
            "preempt" => Op::Preempt { vcpu },
            "resume" => Op::Resume { vcpu },
            "migrate" => Op::Migrate { vcpu },
            "wait" => Op::Wait { vcpu },
            "off" => Op::Off { vcpu },
            "on" => Op::On { vcpu },
            _ => return Err(unknown(key)),
        };
        Ok(op.into())
    }

    // ------------------------------------------------------------------ LPIs

    /// Every vCPU has tables and LPIs on, each ITS is on, with a collection for each vCPU of its number.
    fn lpis(&self) -> Result<Vec<Step>, Error> {
        self.its(0)?;
        let mut steps: Vec<Step> = Vec::new();
        for vcpu in 0..self.head.vcpus {
            let ops = Driver::new(self.head, vcpu).enable_lpis();
            steps.extend(ops.into_iter().map(Step::from));
        }
        for its in 0..self.itses {
            let number = usize::from(its);
            let [devices, collections] = its::basers(number);
            for (offset, size, value) in [
                (driver::gits::CTLR, Size::Word, 0),
                (driver::gits::BASER, Size::Double, devices),
                (driver::gits::BASER + 8, Size::Double, collections),
                (driver::gits::CBASER, Size::Double, its::cbaser(number)),
                (driver::gits::CWRITER, Size::Double, 0),
                (driver::gits::CTLR, Size::Word, 1),
            ] {
                let at = ItsRegister { its, offset, size };
                steps.push(What::ItsWrite { vcpu: 0, at, value }.into());
            }
            for vcpu in 0..self.head.vcpus {
                for command in [
                    command::mapc(vcpu.into(), vcpu.into()),
                    command::sync(vcpu.into()),
                ] {
                    steps.push(
                        What::Command {
                            vcpu: 0,
                            its,
                            command,
                        }
                        .into(),
                    );
                }
            }
        }
        Ok(steps)
    }
}

/// Which of several a word means: `its` is number 0, `its1` number 1.
fn numbered(key: &str, word: &str) -> Option<u8> {
    match key.strip_prefix(word)? {
        "" => Some(0),
        n if n.bytes().all(|b| b.is_ascii_digit()) => n.parse().ok(),
        _ => None,
    }
}

fn group(key: &str) -> Group {
    if key.ends_with('0') {
        Group::G0
    } else {
        Group::G1
    }
}

fn sgi(words: &mut Words) -> Result<u32, Error> {
    match words.number("an SGI")? {
        n @ 0..16 => Ok(n),
        n => Err(Error::new(format!(
            "INTID {n} is no SGI: these are 0 to 15"
        ))),
    }
}

/// A value that must be read, unless the access is to fault.
fn value(words: &mut Words) -> Result<Option<u64>, Error> {
    match words.peek() {
        Some("abort" | "undefined") => Ok(None),
        _ => words.known("a value"),
    }
}

fn fault(words: &mut Words) -> Option<Fault> {
    if words.passes("abort") {
        Some(Fault::Abort)
    } else if words.passes("undefined") {
        Some(Fault::Undefined)
    } else {
        None
    }
}

/// The configuration of an LPI: a byte of the table.
fn lpi(words: &mut Words) -> Result<What, Error> {
    let intid: u32 = words.number("an INTID")?;
    let range = its::FIRST_LPI..1 << its::ID_BITS;
    if !range.contains(&intid) {
        return Err(Error::new(format!(
            "INTID {intid} is no LPI: these are {} to {}, as GICR_PROPBASER.IDbits is set",
            range.start,
            range.end - 1
        )));
    }
    let priority: u8 = words.number("a priority")?;
    if priority & 3 != 0 {
        return Err(Error::new(format!(
            "{priority:#x} is no priority of an LPI: the table has bits 7:2 of it (IHI 0069 5.1.1)"
        )));
    }
    let enabled = match words.peek() {
        None => true,
        Some(_) => words.one_of(
            "enabled or disabled",
            &[("enabled", true), ("disabled", false)],
        )?,
    };
    Ok(What::MemoryWrite {
        address: its::PROPERTIES + u64::from(intid - its::FIRST_LPI),
        size: Size::Byte,
        value: (priority | u8::from(enabled)).into(),
    })
}

fn memory(words: &mut Words) -> Result<What, Error> {
    let word = words.word("read or write")?;
    let access = |word: &str, prefix| {
        let width = word.strip_prefix(prefix)?;
        WIDTHS
            .iter()
            .find(|(name, _)| *name == width)
            .map(|(_, size)| *size)
    };
    let writes = access(word, "write");
    let Some(size) = writes.or_else(|| access(word, "read")) else {
        let what = "read or write, with a width of 8, 16 or 64 bits, or without for 32";
        return Err(Error::new(format!("{} is not {what}", quote(word))));
    };
    let address: u64 = words.number("an address")?;
    let end = its::MEMORY + its::MEMORY_SIZE;
    let bytes = 1 << size as u32;
    if !(its::MEMORY..=end - bytes).contains(&address) {
        return Err(Error::new(format!(
            "the guest has no memory at {address:#x}: it has {:#x} to {:#x}",
            its::MEMORY,
            end - 1
        )));
    }
    let fits = |value: u64| {
        if value & !size.mask() == 0 {
            return Ok(value);
        }
        let bits = 8 * bytes;
        let what = format!("{value:#x} does not fit into {bits} bits");
        Err(Error::new(what))
    };
    if writes.is_some() {
        let value = fits(words.number("a value")?)?;
        return Ok(What::MemoryWrite {
            address,
            size,
            value,
        });
    }
    let value = words.known("a value")?.map(fits).transpose()?;
    Ok(What::MemoryRead {
        address,
        size,
        value,
    })
}

/// Whether a step can happen to that domain.
pub(crate) fn check(head: &Head, step: &Step) -> Result<(), Error> {
    // An access to an ITS is one like others.
    let like = |register: u32| Register {
        frame: Frame::Gicd,
        offset: register,
    };
    match step.what {
        What::Op(op) => head.check_op(&op),
        What::Ack { vcpu, intid, .. } => head.check_op(&Op::Ack { vcpu, intid }),
        What::Eoi { vcpu, intid, .. } => head.check_op(&Op::Eoi { vcpu, intid }),
        What::ItsWrite { vcpu, at, value } => head.check_op(&Op::Write {
            vcpu,
            register: like(at.offset),
            size: at.size,
            value,
        }),
        What::ItsRead { vcpu, at, value } => head.check_op(&Op::Read {
            vcpu,
            register: like(at.offset),
            size: at.size,
            value,
        }),
        _ => Ok(()),
    }
}
