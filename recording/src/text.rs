// SPDX-License-Identifier: GPL-2.0-only
//! Operations as text, one to a line; `#` begins a comment.
//!
//! First the head, each line as needed: `gic 2` (or `3`, or `2 3` for a script that is for both), `vcpus 2`, `spis 64`,
//! `lrs 4`, `hardware 42 level` or `edge`, `origin` and words. Then what happens:
//!
//! | line | |
//! |---|---|
//! | `write V GICD_ISENABLER1 0x100` | `write8`, `write16`, `write64` for other widths; `GICR3_…` is vCPU 3's redistributor |
//! | `read V GICD_ISPENDR1 0x100` | the value, if given, is what it must read |
//! | `sgi1r V 0x1000001` | `asgi1r`, `sgi0r`: writes of system registers; `icc_dir`: one of `ICC_DIR_EL1` that traps |
//! | `line 40 up`, `line 40 down` | a shared interrupt's source; an edge is only ever raised |
//! | `ppi V 27 up`, `ppi V 27 down` | a private one's |
//! | `ack V 40`, `ack V` | the INTID, if given, is what it must be; 1023 for none |
//! | `eoi V`, `eoi V 40`, `dir V`, `dir V 40` | without an INTID: the innermost |
//! | `set V pmr 0xf0` | `group0`, `group1`, `eoimode`, `bpr0`, `bpr1` |
//! | `signal V yes`, `signal V` | whether the CPU interface signals an interrupt |
//! | `exit V`, `preempt V`, `resume V`, `migrate V`, `wait V`, `off V`, `on V` | |
//!
//! And what stands for several of these, as Linux's driver would do it:
//!
//! | line | |
//! |---|---|
//! | `boot` | all vCPUs set everything up, interrupts disabled but for SGIs |
//! | `init V` | a vCPU sets its own part up |
//! | `enable V 40`, `disable V 40` | |
//! | `priority V 40 0x80`, `route V 40 1` | |
//! | `edge V 40`, `level V 40` | the sixteen interrupts that share the register |
//! | `sgi V TO 3` | vCPU V sends SGI 3 to vCPU TO |

use crate::driver::Driver;
use crate::head::{Error, HardwareLine, Head, MAX_OPS, Recording};
use crate::names;
use crate::op::{Field, Op, Size, SysReg};
use std::fmt::{self, Write};
use std::str::{FromStr, SplitWhitespace};

/// A script, which may be for both versions of the GIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// What it is for each version, the lower first.
    pub versions: Vec<Recording>,
}

const WIDTHS: [(&str, Size); 4] = [
    ("8", Size::Byte),
    ("16", Size::Half),
    ("", Size::Word),
    ("64", Size::Double),
];
const SYSREGS: [&str; 4] = ["sgi1r", "asgi1r", "sgi0r", "icc_dir"];
const FIELDS: [&str; 6] = ["pmr", "group0", "group1", "eoimode", "bpr0", "bpr1"];

// ---------------------------------------------------------------------- parsing

/// The words of a line after the first.
struct Words<'a>(SplitWhitespace<'a>);

impl<'a> Words<'a> {
    fn word(&mut self, what: &str) -> Result<&'a str, Error> {
        let word = self.0.next();
        word.ok_or_else(|| Error::new(format!("{what} is missing")))
    }

    fn number<T: TryFrom<u64>>(&mut self, what: &str) -> Result<T, Error> {
        let word = self.word(what)?;
        parse_number(word, what)
    }

    /// A number, if there is one more word.
    fn known<T: TryFrom<u64>>(&mut self, what: &str) -> Result<Option<T>, Error> {
        self.0.next().map(|w| parse_number(w, what)).transpose()
    }

    fn one_of<T: Copy>(&mut self, what: &str, all: &[(&str, T)]) -> Result<T, Error> {
        let word = self.word(what)?;
        choose(word, what, all)
    }

    fn up(&mut self) -> Result<bool, Error> {
        self.one_of("up or down", &[("up", true), ("down", false)])
    }

    fn end(mut self) -> Result<(), Error> {
        match self.0.next() {
            Some(word) => Err(Error::new(format!("`{word}` is one word too many"))),
            None => Ok(()),
        }
    }
}

fn parse_number<T: TryFrom<u64>>(word: &str, what: &str) -> Result<T, Error> {
    let n = names::number(word).and_then(|n| T::try_from(n).ok());
    n.ok_or_else(|| Error::new(format!("`{word}` is not {what}")))
}

fn choose<T: Copy>(word: &str, what: &str, all: &[(&str, T)]) -> Result<T, Error> {
    let found = all.iter().find(|(name, _)| *name == word);
    found
        .map(|(_, value)| *value)
        .ok_or_else(|| Error::new(format!("`{word}` is not {what}")))
}

/// The versions, and whether this line is one of the head's.
fn head_line(
    head: &mut Head,
    versions: &mut Vec<u8>,
    key: &str,
    words: &mut Words,
) -> Result<bool, Error> {
    match key {
        "gic" => {
            *versions = vec![words.number("2 or 3")?];
            versions.extend(words.known::<u8>("2 or 3")?);
            versions.dedup();
        }
        "vcpus" => head.vcpus = words.number("a number of vCPUs")?,
        "spis" => head.spis = words.number("a number of SPIs")?,
        "lrs" => head.lrs = words.number("a number of list registers")?,
        "hardware" => head.hardware.push(HardwareLine {
            intid: words.number("an INTID")?,
            level: words.one_of("level or edge", &[("level", true), ("edge", false)])?,
        }),
        "origin" => {
            let all: Vec<&str> = words.0.by_ref().collect();
            head.origin = all.join(" ");
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// What a line stands for.
fn ops_of(head: &Head, key: &str, words: &mut Words) -> Result<Vec<Op>, Error> {
    if key == "boot" {
        return Ok(Driver::new(head, 0).boot());
    }
    if key == "line" {
        return Ok(vec![Op::Line {
            intid: words.number("an INTID")?,
            level: words.up()?,
        }]);
    }
    if !key.starts_with("write") && !key.starts_with("read") && !KEYS.contains(&key) {
        return Err(Error::new(format!("there is no `{key}`")));
    }
    let vcpu = words.number("a vCPU")?;
    let driver = Driver::new(head, vcpu);
    if vcpu >= head.vcpus {
        return Err(Error::new(format!("there is no vCPU {vcpu}")));
    }
    // Where the register is derived from it, the INTID must be one of the domain's.
    let intid = |words: &mut Words| {
        let n: u32 = words.number("an INTID")?;
        let limit = 32 + u32::from(head.spis);
        if n < limit {
            Ok(n)
        } else {
            Err(Error::new(format!(
                "INTID {n} is beyond the last, {}",
                limit - 1
            )))
        }
    };
    let one = match key {
        "init" => return Ok(driver.start_interface()),
        "enable" => driver.enable(intid(words)?),
        "disable" => driver.disable(intid(words)?),
        "edge" => driver.trigger(intid(words)?, true),
        "level" => driver.trigger(intid(words)?, false),
        "priority" => driver.priority(intid(words)?, words.number("a priority")?),
        "route" => driver.route(intid(words)?, words.number("a vCPU")?),
        "sgi" => driver.sgi(words.number("a vCPU")?, words.number("an SGI")?),
        _ => op_of(vcpu, key, words)?,
    };
    Ok(vec![one])
}

/// The first words of lines that have a vCPU next, accesses aside.
const KEYS: [&str; 25] = [
    "sgi1r", "asgi1r", "sgi0r", "icc_dir", "ppi", "ack", "eoi", "dir", "set", "signal", "exit",
    "preempt", "resume", "migrate", "wait", "off", "on", "init", "enable", "disable", "priority",
    "route", "edge", "level", "sgi",
];

fn op_of(vcpu: u8, key: &str, words: &mut Words) -> Result<Op, Error> {
    let register = |words: &mut Words| {
        let word = words.word("a register")?;
        match names::parse(word, vcpu) {
            Some(names::Place::Register(register)) => Ok(register),
            _ => Err(Error::new(format!(
                "there is no register `{word}`: {}",
                names::near(word)
            ))),
        }
    };
    if let Some(width) = key.strip_prefix("write") {
        return Ok(Op::Write {
            vcpu,
            size: choose(width, "a width of 8, 16 or 64", &WIDTHS)?,
            register: register(words)?,
            value: words.number("a value")?,
        });
    }
    if let Some(width) = key.strip_prefix("read") {
        return Ok(Op::Read {
            vcpu,
            size: choose(width, "a width of 8, 16 or 64", &WIDTHS)?,
            register: register(words)?,
            value: words.known("a value")?,
        });
    }
    if let Some(n) = SYSREGS.iter().position(|name| *name == key) {
        return Ok(Op::Sysreg {
            vcpu,
            register: *SysReg::ALL.get(n).unwrap_or(&SysReg::Dir),
            value: words.number("a value")?,
        });
    }
    Ok(match key {
        "ppi" => Op::PrivateLine {
            vcpu,
            intid: words.number("an INTID")?,
            level: words.up()?,
        },
        "ack" => Op::Ack {
            vcpu,
            intid: words.known("an INTID")?,
        },
        "eoi" => Op::Eoi {
            vcpu,
            intid: words.known("an INTID")?,
        },
        "dir" => Op::Dir {
            vcpu,
            intid: words.known("an INTID")?,
        },
        "set" => {
            let fields: Vec<_> = FIELDS.iter().copied().zip(Field::ALL).collect();
            Op::Set {
                vcpu,
                field: words.one_of("a field of the CPU interface", &fields)?,
                value: words.number("a value of 8 bits")?,
            }
        }
        "signal" => Op::Signal {
            vcpu,
            on: match words.0.next() {
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
        _ => return Err(Error::new(format!("there is no `{key}`"))),
    })
}

impl FromStr for Script {
    type Err = Error;

    /// # Errors
    /// The line that is wrong, and what is wrong with it.
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut head = Head::small(3);
        let mut versions = vec![3];
        let lines: Vec<(usize, &str)> = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default().trim())
            .enumerate()
            .filter(|(_, line)| !line.is_empty())
            .collect();
        let at = |n: usize, e: Error| Error::new(format!("line {}: {e}", n + 1));
        let mut rest = lines.iter();
        let mut first = None;
        for &(n, line) in rest.by_ref() {
            let mut words = Words(line.split_whitespace());
            let key = words.word("a word").map_err(|e| at(n, e))?;
            if !head_line(&mut head, &mut versions, key, &mut words).map_err(|e| at(n, e))? {
                first = Some((n, line));
                break;
            }
            words.end().map_err(|e| at(n, e))?;
        }
        let body: Vec<(usize, &str)> = first.into_iter().chain(rest.copied()).collect();
        let for_version = |gic: &u8| {
            let head = Head {
                gic: *gic,
                ..head.clone()
            };
            head.check()?;
            let mut ops = Vec::new();
            for &(n, line) in &body {
                let mut words = Words(line.split_whitespace());
                let key = words.word("a word").map_err(|e| at(n, e))?;
                let new = ops_of(&head, key, &mut words).map_err(|e| at(n, e))?;
                words.end().map_err(|e| at(n, e))?;
                for op in &new {
                    head.check_op(op).map_err(|e| at(n, e))?;
                }
                ops.extend(new);
                if ops.len() > MAX_OPS {
                    return Err(at(n, Error::new("too many operations")));
                }
            }
            Ok(Recording { head, ops })
        };
        Ok(Self {
            versions: versions.iter().map(for_version).collect::<Result<_, _>>()?,
        })
    }
}

// ---------------------------------------------------------------------- printing

fn width(size: Size) -> &'static str {
    WIDTHS
        .iter()
        .find(|(_, s)| *s == size)
        .map_or("", |(name, _)| name)
}

fn known(intid: Option<u32>) -> String {
    intid.map_or_else(String::new, |n| format!(" {n}"))
}

fn up(level: bool) -> &'static str {
    if level { "up" } else { "down" }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Write {
                vcpu,
                register,
                size,
                value,
            } => {
                write!(
                    f,
                    "write{} {vcpu} {} {value:#x}",
                    width(size),
                    names::print(register)
                )
            }
            Self::Read {
                vcpu,
                register,
                size,
                value,
            } => {
                write!(f, "read{} {vcpu} {}", width(size), names::print(register))?;
                value.map_or(Ok(()), |value| write!(f, " {value:#x}"))
            }
            Self::Sysreg {
                vcpu,
                register,
                value,
            } => {
                let name = SYSREGS.get(register as usize).unwrap_or(&"");
                write!(f, "{name} {vcpu} {value:#x}")
            }
            Self::Line { intid, level } => write!(f, "line {intid} {}", up(level)),
            Self::PrivateLine { vcpu, intid, level } => {
                write!(f, "ppi {vcpu} {intid} {}", up(level))
            }
            Self::Ack { vcpu, intid } => write!(f, "ack {vcpu}{}", known(intid)),
            Self::Eoi { vcpu, intid } => write!(f, "eoi {vcpu}{}", known(intid)),
            Self::Dir { vcpu, intid } => write!(f, "dir {vcpu}{}", known(intid)),
            Self::Set { vcpu, field, value } => {
                let name = FIELDS.get(field as usize).unwrap_or(&"");
                write!(f, "set {vcpu} {name} {value:#x}")
            }
            Self::Signal { vcpu, on } => {
                let on = on.map_or("", |on| if on { " yes" } else { " no" });
                write!(f, "signal {vcpu}{on}")
            }
            Self::Exit { vcpu } => write!(f, "exit {vcpu}"),
            Self::Preempt { vcpu } => write!(f, "preempt {vcpu}"),
            Self::Resume { vcpu } => write!(f, "resume {vcpu}"),
            Self::Migrate { vcpu } => write!(f, "migrate {vcpu}"),
            Self::Wait { vcpu } => write!(f, "wait {vcpu}"),
            Self::Off { vcpu } => write!(f, "off {vcpu}"),
            Self::On { vcpu } => write!(f, "on {vcpu}"),
        }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "gic {}", self.gic)?;
        writeln!(f, "vcpus {}", self.vcpus)?;
        writeln!(f, "spis {}", self.spis)?;
        writeln!(f, "lrs {}", self.lrs)?;
        for line in &self.hardware {
            let trigger = if line.level { "level" } else { "edge" };
            writeln!(f, "hardware {} {trigger}", line.intid)?;
        }
        let origin: Vec<&str> = self
            .origin
            .split(['#', '\n'])
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        if origin.is_empty() {
            Ok(())
        } else {
            writeln!(f, "origin {}", origin.join(" "))
        }
    }
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.head)?;
        f.write_char('\n')?;
        self.ops.iter().try_for_each(|op| writeln!(f, "{op}"))
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
