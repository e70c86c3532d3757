// SPDX-License-Identifier: GPL-2.0-only
//! What a script is made of: operations as in a recording, what only a person would write, and the lines where they are.

use crate::head::{Error, Head, Recording};
use crate::its::Command;
use crate::op::{Op, Size};

/// A script for one version of the GIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scene {
    /// The domain.
    pub head: Head,
    /// What is said of the machine.
    pub machine: Choice,
    /// What happens.
    pub lines: Vec<Line>,
}

/// What a script says of the machine; the rest is the machine's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Which one.
    pub name: Option<String>,
    /// List registers of each CPU.
    pub lrs: Option<u8>,
    /// `ICH_VTR_EL2.TDS`.
    pub tds: Option<bool>,
    /// ITSes.
    pub itses: Option<u8>,
    /// Extended SPIs, of the machine and of the domain.
    pub espis: u16,
}

/// A line that says what happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1 on.
    pub number: usize,
    /// Its words; the first of them if there are many.
    pub text: String,
    /// What it stands for.
    pub steps: Vec<Step>,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What.
    pub what: What,
    /// The exception that the guest must take for it.
    pub fault: Option<Fault>,
}

/// An exception in the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A data abort.
    Abort,
    /// An undefined instruction.
    Undefined,
}

/// An interrupt group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Group 0.
    G0,
    /// Group 1.
    G1,
}

/// What happens. Only an [`Op`] can be in a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// What can be recorded.
    Op(Op),
    /// The guest acknowledges by the registers of a group.
    Ack {
        /// Who.
        vcpu: u8,
        /// By which registers.
        group: Group,
        /// What must be read.
        intid: Option<u32>,
    },
    /// The guest ends an interrupt by the registers of a group.
    Eoi {
        /// Who.
        vcpu: u8,
        /// By which registers.
        group: Group,
        /// Which; the one acknowledged last if not said.
        intid: Option<u32>,
    },
    /// A store to an ITS.
    ItsWrite {
        /// Who.
        vcpu: u8,
        /// Where.
        at: ItsRegister,
        /// What.
        value: u64,
    },
    /// A load from an ITS.
    ItsRead {
        /// Who.
        vcpu: u8,
        /// From where.
        at: ItsRegister,
        /// What must be read.
        value: Option<u64>,
    },
    /// A command into the queue of an ITS, which is told of it.
    Command {
        /// Who.
        vcpu: u8,
        /// Whose.
        its: u8,
        /// What.
        command: Command,
    },
    /// A device writes the number of an event to an ITS.
    Message {
        /// Which ITS.
        its: u8,
        /// The device.
        device: u32,
        /// The event.
        event: u32,
    },
    /// The guest's memory is written.
    MemoryWrite {
        /// Where.
        address: u64,
        /// How much.
        size: Size,
        /// What.
        value: u64,
    },
    /// The guest's memory is read.
    MemoryRead {
        /// Where.
        address: u64,
        /// How much.
        size: Size,
        /// What must be there.
        value: Option<u64>,
    },
    /// A look at what Xen's console says of the domain.
    Dump,
    /// IPIs to the CPU of a vCPU are under way from now on.
    Hold {
        /// Whose.
        vcpu: u8,
    },
    /// They arrive.
    Release {
        /// Whose.
        vcpu: u8,
    },
    /// Something happens to a virtual timer.
    Timer {
        /// Whose.
        vcpu: u8,
        /// What.
        how: Timer,
    },
}

/// What happens to a virtual timer. All but the first is its guest's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// Its time comes.
    Expire,
    /// Its comparator is moved into the future.
    Rearm,
    /// `CNTV_CTL_EL0.IMASK` is set or cleared.
    Mask(bool),
    /// `CNTV_CTL_EL0` is read, and what must be read.
    Control(Option<u64>),
}

/// A register of an ITS, and how it is accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItsRegister {
    /// Which ITS.
    pub its: u8,
    /// Bytes from its start.
    pub offset: u32,
    /// How wide.
    pub size: Size,
}

impl From<Op> for Step {
    fn from(op: Op) -> Self {
        What::Op(op).into()
    }
}

impl From<What> for Step {
    fn from(what: What) -> Self {
        Self { what, fault: None }
    }
}

impl Scene {
    /// The same without what only a script has.
    ///
    /// # Errors
    /// The first line that cannot be in a recording.
    pub fn recording(&self) -> Result<Recording, Error> {
        let mut ops = Vec::new();
        for line in &self.lines {
            for step in &line.steps {
                match *step {
                    Step {
                        what: What::Op(op),
                        fault: None,
                    } => ops.push(op),
                    _ => {
                        return Err(Error::new(format!(
                            "line {}: `{}` cannot be in a recording",
                            line.number, line.text
                        )));
                    }
                }
            }
        }
        let head = self.head.clone();
        Ok(Recording { head, ops })
    }
}

impl From<&Recording> for Scene {
    fn from(recording: &Recording) -> Self {
        let line = |(n, op): (usize, &Op)| Line {
            number: n + 1,
            text: op.to_string(),
            steps: vec![(*op).into()],
        };
        Self {
            head: recording.head.clone(),
            machine: Choice {
                lrs: Some(recording.head.lrs),
                ..Choice::default()
            },
            lines: recording.ops.iter().enumerate().map(line).collect(),
        }
    }
}
