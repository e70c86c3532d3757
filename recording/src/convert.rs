// SPDX-License-Identifier: GPL-2.0-only
//! From what a recorder in the hypervisor writes to operations.
//!
//! The hypervisor does not see a guest acknowledge and end interrupts: it sees list registers change between an entry and the
//! exit after it. From these changes, and from what is active already, follows an order in which the guest can have done it;
//! where several are possible, the one in which an interrupt is ended as soon as nothing preempts it.
//!
//! When it did that is not known either. Until the exit the hypervisor does not see it, so that the vGIC does the same whenever it
//! was: all of it is put right after the entry. An interrupt that was sent again meanwhile is then a second one, if it was.
//!
//! Of the sources of private interrupts, which Xen looks at on every exit, only the changes are kept. A line that fell while the
//! guest ran fell because the guest served its device: before the end of that interrupt, if it ended.

use crate::head::{Error, HardwareLine, Head, Recording};
use crate::op::{Field, Op, Register, SysReg};
use crate::raw::{BYTES, Event, LrState, Raw};
use std::collections::VecDeque;

/// The fields of `VMCR`: bit, width.
const VMCR: [(Field, u32, u32); 6] = [
    (Field::Pmr, 24, 8),
    (Field::Group0, 0, 1),
    (Field::Group1, 1, 1),
    (Field::EoiMode, 9, 1),
    (Field::Bpr0, 21, 3),
    (Field::Bpr1, 18, 3),
];

/// What a guest does with an interrupt in a list register.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Take,
    End,
}

/// An interrupt whose list register changed, with the steps that were not put in order yet.
struct Change {
    intid: u32,
    priority: u8,
    steps: VecDeque<Step>,
}

fn steps(before: LrState, after: LrState) -> Option<VecDeque<Step>> {
    use LrState::{Active, Invalid, Pending, PendingActive};
    use Step::{End, Take};
    let steps: &[Step] = match (before, after) {
        (Pending, Active) => &[Take],
        (Pending, Invalid) => &[Take, End],
        (Active, Invalid) | (PendingActive, Pending) => &[End],
        (PendingActive, Active) => &[End, Take],
        (PendingActive, Invalid) => &[End, Take, End],
        _ => return None,
    };
    Some(steps.iter().copied().collect())
}

/// A vCPU while its records are read.
#[derive(Default)]
struct Guest {
    inside: bool,
    /// The record of its last entry.
    entered: usize,
    /// It has done something since it was left.
    busy: bool,
    changes: Vec<Change>,
    eoicount: u8,
    vmcr: u32,
    new_vmcr: Option<u32>,
    /// Acknowledged and not ended, innermost last: INTID and priority.
    active: Vec<(u32, u8)>,
    /// Private lines that changed while the guest ran, and in which records.
    moved: Vec<(usize, u32, bool)>,
    /// Private lines: their level, and whether they were ever seen low, which an edge never is.
    level: u32,
    lowered: u32,
}

impl Guest {
    fn eoimode(&self) -> bool {
        self.vmcr >> 9 & 1 != 0
    }

    /// Whether this is news about a private line.
    fn line_changes(&mut self, intid: u32, level: bool) -> bool {
        let bit = 1_u32.checked_shl(intid).unwrap_or(0);
        let was = self.level & bit != 0;
        let known = self.lowered & bit != 0;
        if level {
            self.level |= bit;
        } else {
            self.level &= !bit;
            self.lowered |= bit;
        }
        was != level || (level && !known)
    }

    /// The changed fields of `VMCR`: those that let more in if `opening`, or else those that do not.
    fn settings(&self, vcpu: u8, opening: bool) -> Vec<Op> {
        let Some(new) = self.new_vmcr else {
            return Vec::new();
        };
        let fields = VMCR.iter().filter_map(|&(field, bit, width)| {
            let of = |vmcr: u32| (vmcr >> bit & ((1 << width) - 1)) as u8;
            let (before, after) = (of(self.vmcr), of(new));
            let closes =
                matches!(field, Field::Pmr | Field::Group0 | Field::Group1) && after < before;
            let value = after;
            (before != after && closes != opening).then_some(Op::Set { vcpu, field, value })
        });
        fields.collect()
    }

    /// What the guest did between its entry and this exit.
    fn run(&mut self, vcpu: u8) -> Vec<Op> {
        let mut ops = self.settings(vcpu, true);
        let closing = self.settings(vcpu, false);
        self.vmcr = self.new_vmcr.take().unwrap_or(self.vmcr);
        while let Some(op) = self.next_end_or_take(vcpu, &mut ops) {
            ops.push(op);
        }
        // Ended without a list register: the innermost of those that are left.
        for _ in 0..std::mem::take(&mut self.eoicount) {
            let intid = self.active.pop().map(|(intid, _)| intid);
            ops.extend(intid.and_then(|intid| self.served(vcpu, intid)));
            ops.push(if self.eoimode() {
                Op::Dir { vcpu, intid }
            } else {
                Op::Eoi { vcpu, intid }
            });
        }
        self.changes.clear();
        ops.extend(closing);
        ops
    }

    /// The fall of a line whose interrupt the guest has taken, if it fell while the guest ran.
    fn served(&mut self, vcpu: u8, intid: u32) -> Option<Op> {
        let fell = |&(_, line, level): &(usize, u32, bool)| line == intid && !level;
        let n = self.moved.iter().position(fell)?;
        self.moved.remove(n);
        let level = false;
        Some(Op::PrivateLine { vcpu, intid, level })
    }

    /// The interrupt to take next if there is one that can be, else the one to end.
    fn next_end_or_take(&mut self, vcpu: u8, ops: &mut Vec<Op>) -> Option<Op> {
        let next = |c: &Change, step| c.steps.front() == Some(&step);
        let running = self
            .active
            .last()
            .map_or(u8::MAX, |(_, priority)| *priority);
        let best = |c: &&mut Change| c.priority;
        let preempts = self
            .changes
            .iter_mut()
            .filter(|c| next(c, Step::Take) && c.priority < running)
            .min_by_key(best);
        if let Some(change) = preempts {
            change.steps.pop_front();
            let (intid, priority) = (change.intid, change.priority);
            return Some(self.take(vcpu, intid, priority, ops));
        }
        // Innermost first; what was not seen to become active, last.
        let depth = |intid: u32| self.active.iter().rposition(|(n, _)| *n == intid);
        let ends = self
            .changes
            .iter_mut()
            .filter(|c| next(c, Step::End))
            .max_by_key(|c| depth(c.intid));
        if let Some(change) = ends {
            change.steps.pop_front();
            let intid = change.intid;
            self.active.retain(|(n, _)| *n != intid);
            ops.extend(self.served(vcpu, intid));
            let intid = Some(intid);
            return Some(if self.eoimode() {
                Op::Dir { vcpu, intid }
            } else {
                Op::Eoi { vcpu, intid }
            });
        }
        let change = self
            .changes
            .iter_mut()
            .filter(|c| next(c, Step::Take))
            .min_by_key(best)?;
        change.steps.pop_front();
        let (intid, priority) = (change.intid, change.priority);
        Some(self.take(vcpu, intid, priority, ops))
    }

    /// Acknowledges: the last of the operations, after others, is the result.
    fn take(&mut self, vcpu: u8, intid: u32, priority: u8, ops: &mut Vec<Op>) -> Op {
        let mut new = vec![Op::Ack {
            vcpu,
            intid: Some(intid),
        }];
        new.extend(self.served(vcpu, intid));
        if self.eoimode() {
            // Who splits the end in two drops the priority at once.
            new.push(Op::Eoi {
                vcpu,
                intid: Some(intid),
            });
        } else {
            self.active.push((intid, priority));
        }
        let last = new.pop().unwrap_or(Op::Ack {
            vcpu,
            intid: Some(intid),
        });
        ops.extend(new);
        last
    }
}

/// Reads the records of one domain.
struct Converter {
    head: Head,
    guests: Vec<Guest>,
    /// The number of the record.
    now: usize,
    /// Each with the record that it belongs to.
    ops: Vec<(usize, Op)>,
}

impl Converter {
    fn guest(&mut self, vcpu: u8) -> Result<&mut Guest, Error> {
        let guest = self.guests.get_mut(usize::from(vcpu));
        guest.ok_or_else(|| {
            Error::new(format!(
                "a record is about vCPU {vcpu}, which the domain does not have"
            ))
        })
    }

    /// An operation of a vCPU that traps or comes from outside.
    fn push(&mut self, op: Op) -> Result<(), Error> {
        if let Some(vcpu) = op.vcpu() {
            self.guest(vcpu)?.busy = true;
        }
        self.add(self.now, op)
    }

    /// An operation, where a record is.
    fn add(&mut self, at: usize, op: Op) -> Result<(), Error> {
        self.head.check_op(&op)?;
        self.ops.push((at, op));
        Ok(())
    }

    fn event(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::DomainMade { .. } | Event::Full => {}
            Event::Connected { intid, level } => {
                self.head.hardware.retain(|l| l.intid != intid);
                self.head.hardware.push(HardwareLine { intid, level });
                self.head.check()?;
            }
            Event::Mmio {
                vcpu,
                write,
                register,
                size,
                value,
            } => {
                let value = value & size.mask();
                self.deactivated(vcpu, register, value)?;
                self.push(if write {
                    Op::Write {
                        vcpu,
                        register,
                        size,
                        value,
                    }
                } else {
                    Op::Read {
                        vcpu,
                        register,
                        size,
                        value: Some(value),
                    }
                })?;
            }
            Event::Sysreg {
                vcpu,
                register,
                value,
            } => {
                if register == SysReg::Dir {
                    self.guest(vcpu)?
                        .active
                        .retain(|(n, _)| u64::from(*n) != value);
                }
                self.push(Op::Sysreg {
                    vcpu,
                    register,
                    value,
                })?;
            }
            Event::Injected {
                vcpu: Some(vcpu),
                intid: intid @ 16..32,
                level,
            } => self.private_line(vcpu, intid, level)?,
            // A software-generated interrupt that Xen sends has no source that a player could raise.
            Event::Injected { vcpu: Some(_), .. } => {}
            Event::Injected {
                vcpu: None,
                intid,
                level,
            } => self.push(Op::Line { intid, level })?,
            Event::Entered { vcpu } => {
                let now = self.now;
                let guest = self.guest(vcpu)?;
                guest.inside = true;
                guest.entered = now;
                if !std::mem::take(&mut guest.busy) {
                    self.add(now, Op::Exit { vcpu })?;
                }
            }
            Event::ListRegister {
                vcpu,
                intid,
                before,
                after,
                priority,
            } => {
                let steps = steps(before, after).ok_or_else(|| {
                    Error::new(format!(
                        "INTID {intid} goes from {before:?} to {after:?}, which no guest can do"
                    ))
                })?;
                self.guest(vcpu)?.changes.push(Change {
                    intid,
                    priority,
                    steps,
                });
            }
            Event::Exited { vcpu } => {
                let guest = self.guest(vcpu)?;
                guest.inside = false;
                guest.busy = false;
                let (entered, ops) = (guest.entered, guest.run(vcpu));
                let moved = std::mem::take(&mut guest.moved);
                for op in ops {
                    self.add(entered, op)?;
                }
                for (at, intid, level) in moved {
                    self.add(at, Op::PrivateLine { vcpu, intid, level })?;
                }
            }
            Event::Vmcr { vcpu, value } => self.guest(vcpu)?.new_vmcr = Some(value),
            Event::EoiCount { vcpu, count } => self.guest(vcpu)?.eoicount = count & 31,
            Event::Off { vcpu } => self.push(Op::Off { vcpu })?,
            Event::On { vcpu } => {
                let guest = self.guest(vcpu)?;
                guest.vmcr = 0;
                guest.active.clear();
                self.push(Op::On { vcpu })?;
            }
            Event::Moved { vcpu } => self.push(Op::Migrate { vcpu })?,
        }
        Ok(())
    }

    /// A trapped write of `GICC_DIR` takes an active interrupt away, whoever has it.
    fn deactivated(&mut self, vcpu: u8, register: Register, value: u64) -> Result<(), Error> {
        if register.frame == crate::op::Frame::GiccDir {
            self.guest(vcpu)?
                .active
                .retain(|(n, _)| u64::from(*n) != value);
        }
        Ok(())
    }

    fn private_line(&mut self, vcpu: u8, intid: u32, level: bool) -> Result<(), Error> {
        let now = self.now;
        let guest = self.guest(vcpu)?;
        if !guest.line_changes(intid, level) {
            return Ok(());
        }
        if guest.inside {
            guest.moved.push((now, intid, level));
            return Ok(());
        }
        self.push(Op::PrivateLine { vcpu, intid, level })
    }
}

/// The recording of one domain: from where it is made to the end, to where it is made again, or to where the recorder was full.
///
/// # Errors
/// If the domain is not made in these records, or a record makes no sense.
pub fn convert(
    records: impl IntoIterator<Item = Raw>,
    domain: u16,
    origin: &str,
) -> Result<Recording, Error> {
    let mut converter: Option<Converter> = None;
    for (n, raw) in records.into_iter().enumerate() {
        let begins = matches!(raw.event, Event::DomainMade { .. });
        if raw.event == Event::Full || (begins && raw.domain == domain && converter.is_some()) {
            break;
        }
        if raw.domain != domain {
            continue;
        }
        let at = |e: Error| Error::new(format!("record {n}: {e}"));
        match (raw.event, &mut converter) {
            (
                Event::DomainMade {
                    gic,
                    vcpus,
                    spis,
                    lrs,
                },
                None,
            ) => {
                let head = Head {
                    gic,
                    vcpus,
                    spis,
                    lrs,
                    hardware: Vec::new(),
                    origin: origin.to_owned(),
                };
                head.check().map_err(at)?;
                let guests = (0..vcpus)
                    .map(|_| Guest {
                        busy: true,
                        ..Guest::default()
                    })
                    .collect();
                converter = Some(Converter {
                    head,
                    guests,
                    now: n,
                    ops: Vec::new(),
                });
            }
            (event, Some(converter)) => {
                converter.now = n;
                converter.event(event).map_err(at)?;
            }
            // Of a domain that was there before the recorder.
            (_, None) => {}
        }
    }
    match converter {
        Some(Converter { head, mut ops, .. }) => {
            ops.sort_by_key(|(at, _)| *at);
            let ops = ops.into_iter().map(|(_, op)| op).collect();
            Ok(Recording { head, ops })
        }
        None => Err(Error::new(format!(
            "domain {domain} is not made in these records"
        ))),
    }
}

/// The records of a dump, sixteen bytes each, to the first that was not written: what follows that has a gap before it.
///
/// # Errors
/// If a record is none.
pub fn records(dump: &[u8]) -> Result<Vec<Raw>, Error> {
    let (chunks, rest) = dump.as_chunks::<BYTES>();
    if !rest.is_empty() {
        return Err(Error::new(format!(
            "the dump ends with {} bytes of a record",
            rest.len()
        )));
    }
    let written = chunks.iter().enumerate().take_while(|(_, c)| c[0] != 0);
    let records = written
        .map(|(n, c)| Raw::from_bytes(c).ok_or_else(|| Error::new(format!("record {n} is none"))));
    records.collect()
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
