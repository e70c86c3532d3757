// SPDX-License-Identifier: GPL-2.0-only
//! What Linux's driver does with LPIs and ITSes: tables in the guest's memory, a queue of commands, and a wait until the ITS
//! has read them. Registers and commands are those of IHI 0069 chapters 5 and 12.

use crate::domain::Domain;
use crate::guest::{GuestCpu, Size};
use crate::linux::gicr;
use crate::machine::lock;
use std::sync::Mutex;

/// Registers of an ITS.
pub mod gits {
    pub const CTLR: u64 = 0x0;
    pub const IIDR: u64 = 0x4;
    pub const TYPER: u64 = 0x8;
    pub const CBASER: u64 = 0x80;
    pub const CWRITER: u64 = 0x88;
    pub const CREADR: u64 = 0x90;
    pub const BASER: u64 = 0x100;
    pub const PIDR2: u64 = 0xffe8;
    pub const TRANSLATER: u64 = 0x1_0040;
    /// The valid bit of CBASER, of BASER, and of commands.
    pub const VALID: u64 = 1 << 63;
    /// BASER: a table of two levels.
    pub const INDIRECT: u64 = 1 << 62;
}

/// The first LPI.
pub const FIRST_LPI: u32 = 8192;

/// The guest's memory, and what is where in it.
pub const MEMORY: u64 = 0x1_0000_0000;
const MEMORY_SIZE: u64 = 0x200_0000;
/// The configuration of all LPIs, a byte each.
pub const PROPERTIES: u64 = MEMORY;
/// The pending tables, one for each vCPU.
const PENDING: u64 = MEMORY + 0x10_0000;
const PENDING_SIZE: u64 = 0x1_0000;
/// What each ITS has.
const ITS: u64 = MEMORY + 0x100_0000;
const ITS_SIZE: u64 = 0x40_0000;
const DEVICES: u64 = 0x10_0000;
const COLLECTIONS: u64 = 0x11_0000;
const ITT: u64 = 0x20_0000;

/// Bytes of a queue, as Linux has it: 64 KiB.
pub const QUEUE_SIZE: u64 = 0x1_0000;

/// A command, as it is in the queue.
pub type Command = [u64; 4];

/// Commands.
pub mod command {
    use super::Command;
    use super::gits::VALID;

    fn of_event(number: u64, device: u32, event: u32) -> Command {
        [number | u64::from(device) << 32, event.into(), 0, 0]
    }

    /// A device with 2^`bits` events.
    pub fn mapd(device: u32, bits: u32, itt: u64) -> Command {
        let size = u64::from(bits - 1);
        [8 | u64::from(device) << 32, size, VALID | itt, 0]
    }

    pub fn unmapd(device: u32) -> Command {
        [8 | u64::from(device) << 32, 0, 0, 0]
    }

    /// A collection to a vCPU.
    pub fn mapc(icid: u16, vcpu: usize) -> Command {
        [9, 0, VALID | (vcpu as u64) << 16 | u64::from(icid), 0]
    }

    pub fn unmapc(icid: u16) -> Command {
        [9, 0, icid.into(), 0]
    }

    pub fn mapti(device: u32, event: u32, lpi: u32, icid: u16) -> Command {
        let ids = u64::from(lpi) << 32 | u64::from(event);
        [10 | u64::from(device) << 32, ids, icid.into(), 0]
    }

    pub fn mapi(device: u32, event: u32, icid: u16) -> Command {
        let [zero, one, _, _] = of_event(11, device, event);
        [zero, one, icid.into(), 0]
    }

    pub fn movi(device: u32, event: u32, icid: u16) -> Command {
        let [zero, one, _, _] = of_event(1, device, event);
        [zero, one, icid.into(), 0]
    }

    pub fn movall(from: usize, to: usize) -> Command {
        [14, 0, (from as u64) << 16, (to as u64) << 16]
    }

    pub fn discard(device: u32, event: u32) -> Command {
        of_event(15, device, event)
    }

    pub fn int(device: u32, event: u32) -> Command {
        of_event(3, device, event)
    }

    pub fn clear(device: u32, event: u32) -> Command {
        of_event(4, device, event)
    }

    pub fn inv(device: u32, event: u32) -> Command {
        of_event(12, device, event)
    }

    pub fn invall(icid: u16) -> Command {
        [13, 0, icid.into(), 0]
    }

    pub fn sync(vcpu: usize) -> Command {
        [5, 0, (vcpu as u64) << 16, 0]
    }
}

/// Gives the guest memory, and lets its redistributors have LPIs.
pub fn enable_lpis(domain: &Domain, cpus: &[GuestCpu]) {
    domain.add_memory(MEMORY, MEMORY_SIZE);
    for cpu in cpus {
        set_lpi_tables(cpu);
        cpu.gicr_write(gicr::CTLR, 1);
    }
}

/// Where a vCPU's tables are, with pending ones that are all zero (PTZ).
pub fn set_lpi_tables(cpu: &GuestCpu) {
    const INNER_SHAREABLE_WRITE_BACK: u64 = 1 << 10 | 7 << 7;
    const PTZ: u64 = 1 << 62;
    let pending = pending_table(cpu.vcpu.id);
    for (offset, value) in [
        (
            gicr::PROPBASER,
            PROPERTIES | INNER_SHAREABLE_WRITE_BACK | 15,
        ),
        (gicr::PENDBASER, PTZ | pending | INNER_SHAREABLE_WRITE_BACK),
    ] {
        let frame = cpu.gicr_of(cpu.vcpu.id).unwrap_or_default();
        if let Err(abort) = cpu.store(frame + offset, Size::Double, value) {
            cpu.machine()
                .report(format!("a table of LPIs cannot be set: {abort:?}"));
        }
    }
}

/// Where the pending table of a vCPU is.
pub fn pending_table(vcpu: usize) -> u64 {
    PENDING + vcpu as u64 * PENDING_SIZE
}

/// Enables or disables an LPI in the table, at a priority. The ITS is to be told of it.
pub fn configure(domain: &Domain, lpi: u32, priority: u8, enabled: bool) {
    let place = PROPERTIES + u64::from(lpi - FIRST_LPI);
    let byte = priority & 0xfc | u8::from(enabled);
    assert!(domain.write_memory(place, &[byte]), "memory for {lpi}");
}

/// An ITS, as its driver has it.
pub struct Its<'a> {
    domain: &'a Domain,
    pub base: u64,
    memory: u64,
    /// The next byte of the queue. Whoever holds it writes commands.
    written: Mutex<u64>,
}

impl<'a> Its<'a> {
    /// ITS number n of the domain, not touched yet.
    pub fn new(domain: &'a Domain, n: usize) -> Self {
        Self {
            domain,
            base: domain.machine.profile.its_base(n),
            memory: ITS + n as u64 * ITS_SIZE,
            written: Mutex::new(0),
        }
    }

    /// As Linux does when it comes up: off, tables, queue, on, and a collection for each vCPU, with its number.
    pub fn probe(domain: &'a Domain, cpu: &GuestCpu, n: usize) -> Self {
        let new = Self::new(domain, n);
        new.set_up(cpu);
        let vcpus = 0..domain.config.vcpus;
        let commands: Vec<Command> = vcpus
            .flat_map(|v| [command::mapc(v as u16, v), command::invall(v as u16)])
            .collect();
        new.send(cpu, &commands);
        new
    }

    /// Tables and queue, and the ITS enabled with nothing mapped.
    pub fn set_up(&self, cpu: &GuestCpu) {
        self.write(cpu, gits::CTLR, 0);
        for (n, table) in [DEVICES, COLLECTIONS].into_iter().enumerate() {
            // 64 KiB.
            let value = gits::VALID | (self.memory + table) | 0xf;
            self.write(cpu, gits::BASER + n as u64 * 8, value);
        }
        self.write(
            cpu,
            gits::CBASER,
            gits::VALID | self.queue() | (QUEUE_SIZE / 0x1000 - 1),
        );
        self.write(cpu, gits::CWRITER, 0);
        *lock(&self.written) = 0;
        self.write(cpu, gits::CTLR, 1);
    }

    /// Where the queue is.
    pub fn queue(&self) -> u64 {
        self.memory
    }

    /// Where a device's table of interrupts is: each of 32 has its own, for 8192 events.
    pub fn itt(&self, device: u32) -> u64 {
        self.memory + ITT + u64::from(device % 32) * 0x1_0000
    }

    pub fn read(&self, cpu: &GuestCpu, offset: u64) -> u64 {
        match cpu.load(self.base + offset, Self::width(offset)) {
            Ok(value) => value,
            Err(abort) => {
                let what = format!("a read of an ITS at {offset:#x} aborts: {abort:?}");
                self.domain.machine.report(what);
                0
            }
        }
    }

    pub fn write(&self, cpu: &GuestCpu, offset: u64, value: u64) {
        if let Err(abort) = cpu.store(self.base + offset, Self::width(offset), value) {
            let what = format!("a write of an ITS at {offset:#x} aborts: {abort:?}");
            self.domain.machine.report(what);
        }
    }

    fn width(offset: u64) -> Size {
        if !(gits::TYPER..0xffd0).contains(&offset) {
            Size::Word
        } else {
            Size::Double
        }
    }

    /// Puts commands into the queue, has them executed, and waits until the ITS has read the last. As many as there is
    /// room for.
    pub fn send(&self, cpu: &GuestCpu, commands: &[Command]) {
        self.submit(commands, |written| {
            self.write(cpu, gits::CWRITER, written);
            self.wait(cpu, written);
        });
    }

    /// Puts commands into the queue; `execute` gets what GITS_CWRITER is to be for them, and writes it.
    pub(crate) fn submit(&self, commands: &[Command], execute: impl FnOnce(u64)) {
        assert!(commands.len() as u64 * 32 < QUEUE_SIZE, "too many commands");
        let mut written = lock(&self.written);
        for command in commands {
            for (n, word) in command.iter().enumerate() {
                let place = self.queue() + *written + n as u64 * 8;
                assert!(self.domain.write_memory(place, &word.to_le_bytes()));
            }
            *written = (*written + 32) % QUEUE_SIZE;
        }
        execute(*written);
    }

    /// Waits for GITS_CREADR to get there, as Linux does: for a second, which is here so many reads.
    fn wait(&self, cpu: &GuestCpu, written: u64) {
        let reads = 10_000;
        if (0..reads).all(|_| self.read(cpu, gits::CREADR) != written) {
            let what = format!("the ITS does not get to {written:#x} in {reads} reads");
            self.domain.machine.report(what);
        }
    }

    /// Maps a device with `count` events: event n to LPI `first` + n, enabled, to the collection that `icid` says.
    pub fn map_device(
        &self,
        cpu: &GuestCpu,
        device: u32,
        first: u32,
        count: u32,
        icid: impl Fn(u32) -> u16,
    ) {
        let bits = count.next_power_of_two().trailing_zeros().max(1);
        self.send(cpu, &[command::mapd(device, bits, self.itt(device))]);
        for n in 0..count {
            configure(self.domain, first + n, 0xa0, true);
            let commands = [
                command::mapti(device, n, first + n, icid(n)),
                command::inv(device, n),
                command::sync(icid(n).into()),
            ];
            self.send(cpu, &commands);
        }
    }
}
