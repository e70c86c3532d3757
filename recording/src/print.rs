// SPDX-License-Identifier: GPL-2.0-only
//! Operations and recordings as text that [`Script`](crate::text::Script) reads.

use crate::Size;
use crate::head::{Head, Recording};
use crate::names;
use crate::op::Op;
use crate::words::{FIELDS, SYSREGS, WIDTHS};
use std::fmt::{self, Write};

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
