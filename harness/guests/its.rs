// SPDX-License-Identifier: GPL-2.0-only
//! What Linux's driver does with LPIs and ITSes: tables in the guest's memory, a queue of commands, and a wait until the ITS
//! has read them. Registers and commands are those of IHI 0069 chapters 5 and 12.

use crate::guests::guest::{GuestCpu, Size};
use crate::guests::linux::gicr;
use crate::lock::lock;
use crate::xen::domain::Domain;
pub use recording::its::{
    Command, FIRST_LPI, MEMORY, PROPERTIES, QUEUE_SIZE, command, pending_table,
};
use recording::its::{MEMORY_SIZE, PROPBASER, VALID, basers, cbaser, itt, pendbaser, queue};
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
    pub use recording::its::VALID;
    /// BASER: a table of two levels.
    pub const INDIRECT: u64 = 1 << 62;
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
    for (offset, value) in [
        (gicr::PROPBASER, PROPBASER),
        (gicr::PENDBASER, pendbaser(cpu.vcpu.id)),
    ] {
        let frame = cpu.gicr_of(cpu.vcpu.id).unwrap_or_default();
        if let Err(abort) = cpu.store(frame + offset, Size::Double, value) {
            cpu.machine()
                .report(format!("a table of LPIs cannot be set: {abort:?}"));
        }
    }
}

/// Enables or disables an LPI in the table, at a priority. The ITS is to be told of it.
pub fn configure(domain: &Domain, lpi: u32, priority: u8, enabled: bool) {
    let place = PROPERTIES + u64::from(lpi - FIRST_LPI);
    let byte = priority & 0xfc | u8::from(enabled);
    assert!(domain.write_memory(place, &[byte]), "memory for {lpi}");
}

/// How often GITS_CREADR is read until an ITS is given up.
const READS: u32 = 10_000;

/// An ITS, as its driver has it.
pub struct Its<'a> {
    domain: &'a Domain,
    pub base: u64,
    number: usize,
    /// The next byte of the queue. Whoever holds it writes commands.
    written: Mutex<u64>,
}

impl<'a> Its<'a> {
    /// ITS number n of the domain, not touched yet.
    pub fn new(domain: &'a Domain, n: usize) -> Self {
        Self {
            domain,
            base: domain.its_base(n),
            number: n,
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
        for (n, baser) in basers(self.number).into_iter().enumerate() {
            self.write(cpu, gits::BASER + n as u64 * 8, baser);
        }
        self.write(cpu, gits::CBASER, cbaser(self.number));
        self.write(cpu, gits::CWRITER, 0);
        *lock(&self.written) = 0;
        self.write(cpu, gits::CTLR, 1);
    }

    /// Where the queue is.
    pub fn queue(&self) -> u64 {
        queue(self.number)
    }

    /// Where a device's table of interrupts is: each of 32 has its own, for 8192 events.
    pub fn itt(&self, device: u32) -> u64 {
        itt(self.number, device)
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
    pub fn submit(&self, commands: &[Command], execute: impl FnOnce(u64)) {
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
        if (0..READS).all(|_| self.read(cpu, gits::CREADR) != written) {
            let what = format!("the ITS does not get to {written:#x} in {READS} reads");
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

/// What a guest does with one command and nothing else: it goes to where GITS_CWRITER is, whatever was set up before. Some: the
/// command has not been executed, for a reason that is no fault of the ITS.
///
/// # Errors
/// Why it cannot get into the queue, or is not read.
pub fn append(
    domain: &Domain,
    cpu: &GuestCpu,
    its: usize,
    command: &Command,
) -> Result<Option<String>, String> {
    let its = Its::new(domain, its);
    let number = its.number;
    let read = |offset: u64, name: &str| {
        cpu.load(its.base + offset, Its::width(offset))
            .map_err(|_| format!("a read of GITS_{name} aborts"))
    };
    let cbaser = read(gits::CBASER, "CBASER")?;
    if cbaser & VALID == 0 {
        return Err(format!(
            "ITS {number} has no queue: `lpis` sets one up, as does a write of GITS_CBASER"
        ));
    }
    let queue = cbaser & 0xf_ffff_ffff_f000;
    let size = ((cbaser & 0xff) + 1) * 0x1000;
    let at = (read(gits::CWRITER, "CWRITER")? & 0xf_ffe0) % size;
    let next = (at + 32) % size;
    if read(gits::CREADR, "CREADR")? & 0xf_ffe0 == next {
        return Err(format!(
            "the queue of ITS {number} is full: GITS_CREADR is {next:#x}"
        ));
    }
    let bytes: Vec<u8> = command.iter().flat_map(|word| word.to_le_bytes()).collect();
    if !domain.write_memory(queue + at, &bytes) {
        return Err(format!(
            "the queue of ITS {number} is at {queue:#x}, where the guest has no memory"
        ));
    }
    cpu.store(its.base + gits::CWRITER, Size::Double, next)
        .map_err(|_| "a write of GITS_CWRITER aborts".to_owned())?;
    if read(gits::CTLR, "CTLR")? & 1 == 0 {
        let what = format!("it waits in the queue: ITS {number} is off (GITS_CTLR.Enabled)");
        return Ok(Some(what));
    }
    for _ in 0..READS {
        if read(gits::CREADR, "CREADR")? & 0xf_ffe0 == next {
            return Ok(None);
        }
    }
    Err(format!(
        "ITS {number} does not get to the command in {READS} reads of GITS_CREADR"
    ))
}
