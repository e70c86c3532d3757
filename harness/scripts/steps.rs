// SPDX-License-Identifier: GPL-2.0-only
//! Steps of a script: what a recording does not have of them, and what is said of what is seen.

use crate::guests::guest::Abort;
use crate::guests::its;
use crate::machine::cpuif::{SPURIOUS, SPURIOUS_GROUP1};
use crate::machine::physgic::FIRST_ESPI;
use crate::scripts::play::{Seen, Stage};
use crate::xen::domain::Domain;
use recording::script::{Fault, ItsRegister, Scene, Step, Timer, What};
use recording::{Op, Size};
use std::collections::BTreeMap;

/// A script's domain while it is played.
pub(crate) struct Actor {
    pub stage: Stage,
    gic: u8,
    last_spi: u32,
    espis: u32,
    /// The physical CPUs that vCPUs were on when IPIs to them were held back.
    held: BTreeMap<u8, usize>,
    /// What the dump has said of each ITS's errors.
    errors: BTreeMap<u8, String>,
}

/// What there is to say of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// It is as it should be.
    Nothing,
    /// What was seen, where the script does not say what is to be seen.
    Seen(String),
    /// What is not as it should be.
    Wrong(String),
}

impl Actor {
    pub fn new(stage: Stage, scene: &Scene) -> Self {
        // That the domain was created.
        stage.machine().take_console();
        // Only looked at here: a vCPU that is asked while it runs has to leave its guest.
        let last_spi = 31 + stage.domain().nr_spis();
        Self {
            stage,
            gic: scene.head.gic,
            last_spi,
            espis: scene.machine.espis.into(),
            held: BTreeMap::new(),
            errors: BTreeMap::new(),
        }
    }

    /// Plays a step, and says what there is to say.
    pub fn play(&mut self, step: &Step) -> Said {
        let awake = match step.what {
            What::Op(op) => guest_of(&op),
            What::Ack { vcpu, .. }
            | What::Eoi { vcpu, .. }
            | What::ItsWrite { vcpu, .. }
            | What::ItsRead { vcpu, .. }
            | What::Command { vcpu, .. } => Some(vcpu),
            _ => None,
        };
        if let Some(why) = awake.and_then(|vcpu| self.stage.away(vcpu)) {
            return Said::Wrong(why);
        }
        if let Some(idle) = self.idle(&step.what) {
            return idle;
        }
        let said = match step.what {
            What::Command { vcpu, its, command } => self.command(vcpu, its, &command),
            What::Message { its, device, event } => self.message(its, device, event),
            What::MemoryWrite {
                address,
                size,
                value,
            } => self.store(address, size, value),
            What::Dump => Said::Seen(format!("\n{}", self.dump().trim_end())),
            _ => {
                let seen = self.see(&step.what);
                match (verdict(step, seen, self.gic), step.what) {
                    // It was played: a vGIC must bear it.
                    (Said::Nothing, What::Op(Op::Line { intid, .. })) if !self.has(intid) => {
                        let last = self.last_spi;
                        Said::Seen(format!(
                            "the domain has no interrupt {intid}: its last is {last}"
                        ))
                    }
                    (said, _) => said,
                }
            }
        };
        self.stage.settle();
        said
    }

    fn has(&self, intid: u32) -> bool {
        intid <= self.last_spi
            || intid
                .checked_sub(FIRST_ESPI.into())
                .is_some_and(|n| n < self.espis)
    }

    /// A step that does nothing, though whoever wrote it may think otherwise.
    fn idle(&self, what: &What) -> Option<Said> {
        let nothing = |what: &str| Some(Said::Seen(format!("{what}: nothing is done")));
        match *what {
            What::Op(Op::Eoi { vcpu, intid: None })
            | What::Eoi {
                vcpu, intid: None, ..
            } if self.stage.active(vcpu).is_empty() => nothing("nothing is active"),
            What::Op(Op::Dir { vcpu, intid: None }) if self.stage.dropped(vcpu).is_empty() => {
                nothing("nothing waits for its deactivation")
            }
            What::Release { vcpu } if !self.held.contains_key(&vcpu) => {
                nothing("its IPIs are not held")
            }
            _ => None,
        }
    }

    fn see(&mut self, what: &What) -> Seen {
        match *what {
            What::Op(op) => self.stage.play(&op),
            What::Ack { vcpu, group, .. } => self.stage.ack_by(vcpu, group),
            What::Eoi { vcpu, group, intid } => self.stage.eoi_by(vcpu, group, intid),
            What::ItsWrite { vcpu, at, value } => {
                let address = self.address(at);
                self.stage.cpu(vcpu).map_or(Seen::Away, |(cpu, _)| {
                    let stored = cpu.store(address, at.size, value);
                    stored.map_or(Seen::Aborted, |()| Seen::Done)
                })
            }
            What::ItsRead { vcpu, at, .. } => {
                let address = self.address(at);
                self.stage.cpu(vcpu).map_or(Seen::Away, |(cpu, _)| {
                    let loaded = cpu.load(address, at.size);
                    let value = |value| Seen::Value(value & at.size.mask());
                    loaded.map_or_else(|_: Abort| Seen::Aborted, value)
                })
            }
            What::MemoryRead { address, size, .. } => {
                let value = memory(self.stage.domain(), address, size);
                value.map_or(Seen::Aborted, Seen::Value)
            }
            What::Hold { vcpu } => {
                let cpu = self.stage.domain().vcpu(vcpu.into()).processor();
                self.release(vcpu);
                self.stage.machine().hold(cpu);
                self.held.insert(vcpu, cpu);
                Seen::Done
            }
            What::Release { vcpu } => {
                self.release(vcpu);
                Seen::Done
            }
            What::Timer { vcpu, how } => self.stage.timer(vcpu, how),
            // These say themselves what there is to say.
            What::Command { .. } | What::Message { .. } | What::MemoryWrite { .. } | What::Dump => {
                Seen::Done
            }
        }
    }

    fn release(&mut self, vcpu: u8) {
        if let Some(cpu) = self.held.remove(&vcpu) {
            self.stage.machine().release(cpu);
        }
    }

    fn address(&self, at: ItsRegister) -> u64 {
        self.stage.machine().profile.its_base(at.its.into()) + u64::from(at.offset)
    }

    fn command(&mut self, vcpu: u8, its: u8, command: &its::Command) -> Said {
        let Some((cpu, domain)) = self.stage.cpu(vcpu) else {
            return Said::Wrong(format!("vCPU {vcpu} does not run"));
        };
        match its::append(domain, cpu, its.into(), command) {
            Ok(None) => self.refused(its),
            Ok(Some(note)) => Said::Seen(note),
            Err(why) => Said::Wrong(why),
        }
    }

    /// What the ITS has had against the commands that it has read just now.
    fn refused(&mut self, its: u8) -> Said {
        let line = format!("ITS {its}: ");
        let dump = self.dump();
        let errors = dump
            .lines()
            .find(|l| l.contains(&line))
            .and_then(|l| l.split_once(" events mapped, "))
            .map_or("", |(_, errors)| errors);
        let before = self.errors.insert(its, errors.to_owned());
        if before.unwrap_or_default() == errors {
            return Said::Nothing;
        }
        let code = errors.rsplit(' ').next().unwrap_or_default();
        Said::Seen(format!("it is refused, command error {code}"))
    }

    /// What Xen's console says of the domain, on a CPU that no vCPU is on.
    fn dump(&self) -> String {
        let cpu = self.stage.machine().pcpus().len() - 1;
        self.stage.domain().dump_from(cpu)
    }

    /// What the vGIC has logged since it was asked for last: the first lines, and few words of them.
    pub fn log(&self) -> Option<String> {
        let text = self.stage.machine().take_console();
        let message = |line: &str| {
            let line =
                line.trim_start_matches(|c: char| c == '<' || c == '>' || c.is_ascii_digit());
            line.trim_start_matches("rust-vgic: ")
                .chars()
                .take(200)
                .collect()
        };
        let lines: Vec<String> = text.lines().take(3).map(message).collect();
        (!lines.is_empty()).then(|| lines.join("; "))
    }

    fn message(&self, its: u8, device: u32, event: u32) -> Said {
        if self.stage.domain().send_msi(its.into(), device, event) {
            return Said::Nothing;
        }
        Said::Seen(format!(
            "ITS {its} has no device {device:#x} with an event {event}: the message goes nowhere"
        ))
    }

    fn store(&self, address: u64, size: Size, value: u64) -> Said {
        let bytes = value.to_le_bytes();
        let bytes = &bytes[..1 << size as usize];
        if self.stage.domain().write_memory(address, bytes) {
            return Said::Nothing;
        }
        Said::Wrong(format!("the guest has no memory at {address:#x}"))
    }
}

fn memory(domain: &Domain, address: u64, size: Size) -> Option<u64> {
    Some(match size {
        Size::Byte => u8::from_le_bytes(domain.read_memory(address)?).into(),
        Size::Half => u16::from_le_bytes(domain.read_memory(address)?).into(),
        Size::Word => u32::from_le_bytes(domain.read_memory(address)?).into(),
        Size::Double => u64::from_le_bytes(domain.read_memory(address)?),
    })
}

/// Whose guest executes an operation; none if it comes from outside.
fn guest_of(op: &Op) -> Option<u8> {
    match op {
        Op::Line { .. }
        | Op::PrivateLine { .. }
        | Op::Preempt { .. }
        | Op::Resume { .. }
        | Op::Migrate { .. }
        | Op::On { .. } => None,
        _ => op.vcpu(),
    }
}

/// What must be seen of a step, in words, if the script says so, and what was.
fn wanted_and_got(what: &What, seen: Seen, gic: u8) -> Option<(Option<String>, String)> {
    let hex = |value| format!("{value:#x}");
    let signal = |on| if on { "a signal" } else { "no signal" }.to_owned();
    Some(match (*what, seen) {
        (
            What::Op(Op::Read { value, .. })
            | What::ItsRead { value, .. }
            | What::MemoryRead { value, .. }
            | What::Timer {
                how: Timer::Control(value),
                ..
            },
            Seen::Value(got),
        ) => (value.map(hex), hex(got)),
        (What::Op(Op::Ack { intid, .. }) | What::Ack { intid, .. }, Seen::Taken(got)) => {
            (intid.map(|intid| name(intid, gic)), name(got, gic))
        }
        (What::Op(Op::Signal { on, .. }), Seen::Signal(got)) => (on.map(signal), signal(got)),
        _ => return None,
    })
}

/// What there is to say of what is seen of a step.
pub(crate) fn verdict(step: &Step, seen: Seen, gic: u8) -> Said {
    let unlike = |wanted: &str, got: &str| {
        Said::Wrong(format!("{wanted} was expected, and there was {got}"))
    };
    let fault = match seen {
        Seen::Aborted => Some(Fault::Abort),
        Seen::Undefined => Some(Fault::Undefined),
        _ => None,
    };
    match (step.fault, fault) {
        (Some(wanted), Some(got)) if wanted == got => return Said::Nothing,
        (Some(wanted), Some(got)) => return unlike(exception(wanted).0, exception(got).0),
        (Some(wanted), None) => {
            let got = wanted_and_got(&step.what, seen, gic);
            let got = got.map_or("none".to_owned(), |(_, got)| got);
            return unlike(exception(wanted).0, &got);
        }
        (None, Some(got)) => {
            let (name, word) = exception(got);
            let what = format!("{name} (if that is right, add `{word}`)");
            return unlike("an answer", &what);
        }
        (None, None) => {}
    }
    if seen == Seen::Away {
        let why = match step.what {
            What::Op(Op::On { vcpu }) => format!("no vCPU runs that could switch vCPU {vcpu} on"),
            _ => "the vCPU does not run".to_owned(),
        };
        return Said::Wrong(why);
    }
    match wanted_and_got(&step.what, seen, gic) {
        None => Said::Nothing,
        Some((None, got)) => Said::Seen(got),
        Some((Some(wanted), got)) if wanted == got => Said::Nothing,
        Some((Some(wanted), got)) => unlike(&wanted, &got),
    }
}

/// What an exception is called, and the word of the language for it.
fn exception(fault: Fault) -> (&'static str, &'static str) {
    match fault {
        Fault::Abort => ("a data abort", "abort"),
        Fault::Undefined => ("an undefined instruction", "undefined"),
    }
}

/// What `IAR` reads, in words.
pub(crate) fn name(iar: u32, gic: u8) -> String {
    match (iar, gic) {
        (SPURIOUS, _) => "no interrupt".to_owned(),
        (SPURIOUS_GROUP1, 2) => "1022, an interrupt of Group 1 (`ack1` takes it)".to_owned(),
        (1020..SPURIOUS, _) => format!("the special INTID {iar}"),
        (_, 2) if iar & 0x3ff < 16 && iar < 1 << 13 => {
            format!("SGI {} from CPU {}", iar & 0xf, iar >> 10)
        }
        (0..16, _) => format!("SGI {iar}"),
        (its::FIRST_LPI.., _) => format!("LPI {iar}"),
        _ => format!("interrupt {iar}"),
    }
}

#[cfg(test)]
#[path = "steps_tests.rs"]
mod tests;
