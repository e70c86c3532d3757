// SPDX-License-Identifier: GPL-2.0-only
//! QEMU's own model of a GIC, driven from outside: another reading of the same architecture.
//!
//! QEMU's protocol for tests reads and writes guest memory and moves the GIC's input lines while no CPU runs. A GICv2 is seen as
//! CPU 0 sees it, and its CPU interface is memory; of a GICv3 there are only the distributor and the redistributors. What cannot
//! be done so is [`Seen::Unknown`].

use crate::guests::linux::gicd;
use crate::machine::cpuif::SPURIOUS;
use crate::scripts::play::Seen;
use anyhow::{Context, Result, anyhow, bail};
use recording::{Field, Frame, Head, Op, Register, Size};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PROGRAM: &str = "qemu-system-aarch64";
/// An answer takes microseconds; on a busy machine the start takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Addresses of QEMU's `virt` machine, and how many SPIs its GIC has.
const GICD: u64 = 0x0800_0000;
const GICC: u64 = 0x0801_0000;
const GICR: u64 = 0x080a_0000;
const GICR_STRIDE: u64 = 0x2_0000;
const SPIS: u32 = 256;

/// Registers of the CPU interface of a GICv2 (IHI 0048B section 4.4).
mod gicc {
    pub const CTLR: u64 = 0x0;
    pub const PMR: u64 = 0x4;
    pub const BPR: u64 = 0x8;
    pub const IAR: u64 = 0xc;
    pub const EOIR: u64 = 0x10;
    pub const ABPR: u64 = 0x1c;
    pub const DIR: u64 = 0x1000;
    pub const EOIMODE: u64 = 1 << 9;
}

/// Is there a QEMU?
pub fn is_installed() -> bool {
    let version = Command::new(PROGRAM)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}

/// A connection on which each line is answered by a line.
struct Lines(BufReader<UnixStream>);

impl Lines {
    fn new(stream: UnixStream) -> Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    fn send(&mut self, line: &str) -> Result<()> {
        writeln!(self.0.get_mut(), "{line}").context("QEMU does not listen any more")
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let n = self
            .0
            .read_line(&mut line)
            .context("QEMU does not answer")?;
        if n == 0 {
            bail!("QEMU ended in the middle");
        }
        Ok(line.trim_end().to_owned())
    }
}

/// A machine in QEMU.
pub struct Qemu {
    child: Child,
    test: Lines,
    gic: u8,
    /// Its place in QEMU's tree of objects.
    path: String,
    /// What the GIC tells CPU 0: IRQ, FIQ.
    output: [bool; 2],
    active: Vec<u32>,
    dropped: Vec<u32>,
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Qemu {
    /// A machine whose GIC has that version. A GICv2 has one CPU, because QEMU asks which CPU it is that accesses it.
    ///
    /// # Errors
    /// If QEMU does not start, or is not as expected.
    pub fn start(head: &Head) -> Result<Self> {
        let (test, their_test) = UnixStream::pair()?;
        let (monitor, their_monitor) = UnixStream::pair()?;
        let cpus = if head.gic == 2 { 1 } else { head.vcpus };
        let mut command = Command::new(PROGRAM);
        command
            .args([
                "-machine",
                &format!("virt,gic-version={}", head.gic),
                "-cpu",
                "cortex-a57",
            ])
            .args(["-smp", &cpus.to_string(), "-nodefaults", "-display", "none"])
            // Distributions leave out the accelerator that is made for this; CPUs that never start do as well.
            .args(["-accel", "tcg", "-S"])
            .args([
                "-chardev",
                "socket,id=test,fd=0",
                "-object",
                "qtest,id=qtest,chardev=test,log=/dev/null",
            ])
            .args([
                "-chardev",
                "socket,id=monitor,fd=1",
                "-mon",
                "chardev=monitor,mode=control",
            ])
            .stdin(OwnedFd::from(their_test))
            .stdout(OwnedFd::from(their_monitor))
            .stderr(Stdio::null());
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {PROGRAM}"))?;
        // Our copies of its ends would keep the connections open after its end.
        drop(command);
        let mut new = Self {
            child,
            test: Lines::new(test)?,
            gic: head.gic,
            path: String::new(),
            output: [false; 2],
            active: Vec::new(),
            dropped: Vec::new(),
        };
        let objects = objects(&mut Lines::new(monitor)?)?;
        let find = |class: &str| {
            find_object(&objects, class)
                .ok_or_else(|| anyhow!("this QEMU has no {class} where it is looked for"))
        };
        new.path = find(if head.gic == 2 {
            "child<arm_gic>"
        } else {
            "child<arm-gicv3>"
        })?;
        let cpu = find("child<cortex-a57-arm-cpu>")?;
        new.ask(&format!("irq_intercept_in {cpu}"))?;
        Ok(new)
    }

    /// One request; what is after `OK` in the answer.
    fn ask(&mut self, request: &str) -> Result<String> {
        self.test.send(request)?;
        loop {
            let line = self.test.line()?;
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["OK", ref rest @ ..] => return Ok(rest.join(" ")),
                ["IRQ", change, n] => {
                    if let Some(output) = n.parse().ok().and_then(|n: usize| self.output.get_mut(n))
                    {
                        *output = change == "raise";
                    }
                }
                _ => bail!("QEMU answers `{line}` to `{request}`"),
            }
        }
    }

    fn load(&mut self, address: u64, size: Size) -> Result<u64> {
        let width = ["b", "w", "l", "q"][size as usize];
        let answer = self.ask(&format!("read{width} {address:#x}"))?;
        let hex = answer.trim_start_matches("0x");
        u64::from_str_radix(hex, 16).with_context(|| format!("QEMU reads `{answer}`"))
    }

    fn store(&mut self, address: u64, size: Size, value: u64) -> Result<()> {
        let width = ["b", "w", "l", "q"][size as usize];
        self.ask(&format!("write{width} {address:#x} {value:#x}"))
            .map(drop)
    }

    fn line(&mut self, n: u32, level: bool) -> Result<Seen> {
        let path = &self.path;
        let request = format!("set_irq_in {path} unnamed-gpio-in {n} {}", u8::from(level));
        self.ask(&request)?;
        Ok(Seen::Done)
    }

    /// Is it edge-triggered? Then the wire must fall before it can rise again.
    fn is_edge(&mut self, intid: u32) -> Result<bool> {
        let register = GICD + gicd::ICFGR + u64::from(intid / 16 * 4);
        let config = self.load(register, Size::Word)?;
        Ok(config >> (intid % 16 * 2 + 1) & 1 != 0)
    }

    /// Plays an operation.
    ///
    /// # Errors
    /// If QEMU is gone, or says something unexpected.
    pub fn play(&mut self, op: &Op) -> Result<Seen> {
        let banked = self.gic == 2;
        if op.vcpu().is_some_and(|v| banked && v != 0) {
            return Ok(Seen::Unknown);
        }
        match *op {
            Op::Write {
                register,
                size,
                value,
                ..
            } => {
                self.store(address(register), size, value)?;
                Ok(Seen::Done)
            }
            Op::Read { register, size, .. } => Ok(Seen::Value(self.load(address(register), size)?)),
            Op::Line { intid, level } if intid < 32 + SPIS => {
                let seen = self.line(intid - 32, level)?;
                if level && self.is_edge(intid)? {
                    self.line(intid - 32, false)
                } else {
                    Ok(seen)
                }
            }
            Op::PrivateLine { vcpu, intid, level } => {
                self.line(SPIS + u32::from(vcpu) * 32 + intid, level)
            }
            Op::Exit { .. } => Ok(Seen::Done),
            _ if !banked => Ok(Seen::Unknown),
            Op::Ack { .. } => {
                let iar = self.load(GICC + gicc::IAR, Size::Word)? as u32;
                if !(1020..=SPURIOUS).contains(&iar) {
                    self.active.push(iar);
                }
                Ok(Seen::Taken(iar))
            }
            Op::Eoi { intid, .. } => {
                if let Some(iar) = crate::scripts::play::pick(&mut self.active, intid) {
                    self.store(GICC + gicc::EOIR, Size::Word, iar.into())?;
                    if self.load(GICC + gicc::CTLR, Size::Word)? & gicc::EOIMODE != 0 {
                        self.dropped.push(iar);
                    }
                }
                Ok(Seen::Done)
            }
            Op::Dir { intid, .. } => {
                if let Some(iar) = crate::scripts::play::pick(&mut self.dropped, intid) {
                    self.store(GICC + gicc::DIR, Size::Word, iar.into())?;
                }
                Ok(Seen::Done)
            }
            Op::Set { field, value, .. } => self.set(field, value),
            Op::Signal { .. } => Ok(Seen::Signal(self.output.contains(&true))),
            _ => Ok(Seen::Unknown),
        }
    }

    fn set(&mut self, field: Field, value: u8) -> Result<Seen> {
        let bit = match field {
            Field::Pmr => return self.set_register(gicc::PMR, value),
            Field::Bpr0 => return self.set_register(gicc::BPR, value),
            Field::Bpr1 => return self.set_register(gicc::ABPR, value),
            Field::Group0 => 1,
            Field::Group1 => 2,
            Field::EoiMode => gicc::EOIMODE,
        };
        let old = self.load(GICC + gicc::CTLR, Size::Word)?;
        let new = if value == 0 { old & !bit } else { old | bit };
        self.store(GICC + gicc::CTLR, Size::Word, new)?;
        Ok(Seen::Done)
    }

    fn set_register(&mut self, offset: u64, value: u8) -> Result<Seen> {
        self.store(GICC + offset, Size::Word, value.into())?;
        Ok(Seen::Done)
    }
}

fn address(register: Register) -> u64 {
    let base = match register.frame {
        Frame::Gicd => GICD,
        Frame::Gicr(vcpu) => GICR + u64::from(vcpu) * GICR_STRIDE,
        Frame::GiccDir => GICC + gicc::DIR,
    };
    base + u64::from(register.offset)
}

/// The list of the machine's objects, as QEMU's monitor has it.
fn objects(monitor: &mut Lines) -> Result<String> {
    monitor.line()?;
    monitor.send(r#"{"execute":"qmp_capabilities"}"#)?;
    monitor.line()?;
    monitor.send(r#"{"execute":"qom-list","arguments":{"path":"/machine/unattached"}}"#)?;
    monitor.line()
}

/// The path of the first object of a class: in the list each is `{"name": "device[1]", "type": "child<arm_gic>"}`.
fn find_object(objects: &str, class: &str) -> Option<String> {
    let class = format!("\"{class}\"");
    let entry = objects.split('{').find(|entry| entry.contains(&class))?;
    let name = entry.split('"').find(|word| word.starts_with("device["))?;
    Some(format!("/machine/unattached/{name}"))
}
