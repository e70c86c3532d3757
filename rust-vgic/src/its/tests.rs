// SPDX-License-Identifier: GPL-2.0-only
//! An ITS as its guest drives it, against a model written from the architecture alone.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use super::*;
use crate::config::{Config, Limits, LpiConfig};
use crate::domain::Domain;
use crate::fake::{Cpu, Fake, V3, domain_of, domain_on};
use crate::intid::{IntId, VcpuId};
use crate::irq::State;
use crate::progress::Progress;
use crate::registers::Width;
use std::sync::atomic::Ordering::SeqCst;

mod commands;
mod done;
mod dump;
mod enabled;
mod messages;
mod model;
mod power;
mod random;
mod redistributor;
mod refused;
mod registers;
mod reset;
mod restore;
mod tables;
mod two;

const VCPUS: usize = 4;
const DEVICE_BITS: u32 = 8;
const EVENT_BITS: u32 = 10;
/// Guest memory: configuration, pending tables, queue, tables.
const PROPS: u64 = 0x10_0000;
const PENDING: u64 = 0x20_0000;
const QUEUE: u64 = 0x30_0000;
const DEVICES: u64 = 0x40_0000;
const COLLECTIONS: u64 = 0x41_0000;
/// Interrupt translation tables, one after the other; in memory are those of the first devices.
const ITTS: u64 = 0x50_0000;

const CTLR: u32 = 0x0;
const CBASER: u32 = 0x80;
const CWRITER: u32 = 0x88;
const CREADR: u32 = 0x90;
const BASER0: u32 = 0x100;
const BASER1: u32 = 0x108;

const LIMITS: LpiConfig = LpiConfig {
    id_bits: 14,
    limits: MANY,
};
const MANY: Limits = Limits {
    lpis: 4096,
    devices: 16,
    events: 4096,
};

/// Of a domain with these ITSes.
fn config(vcpus: usize, lpis: LpiConfig, its: &[ItsConfig]) -> Config<'_> {
    Config {
        vcpus,
        lpis,
        its,
        ..V3
    }
}

/// A guest with its ITSes, and where it is in their queues.
struct Rig {
    domain: Domain<Fake>,
    at: u32,
    queue_pages: u32,
}

impl Rig {
    /// Everything set up as a driver does it.
    fn new() -> Self {
        Self::with(LIMITS, 1)
    }

    fn with(lpis: LpiConfig, its: usize) -> Self {
        let rig = Self::bare(lpis, its);
        rig.enable(0);
        rig
    }

    /// The same but for the ITSes, which are as at reset.
    fn bare(lpis: LpiConfig, its: usize) -> Self {
        let its = vec![
            ItsConfig {
                device_bits: DEVICE_BITS,
                event_bits: EVENT_BITS
            };
            its
        ];
        let config = config(VCPUS, lpis, &its);
        let rig = Self {
            domain: domain_on(&config, VCPUS, || Cpu {
                traps_dir: true,
                // Five bits of priority.
                vtr: 4 << 29 | 4 << 26,
                ..Cpu::default()
            }),
            at: 0,
            queue_pages: 1,
        };
        rig.domain.host().poke(PROPS, &[0; 0x2000]);
        rig.domain.host().poke(QUEUE, &[0; 0x1_0000]);
        rig.domain.host().poke(DEVICES, &[0; 0x1000]);
        rig.domain.host().poke(COLLECTIONS, &[0; 0x1000]);
        rig.domain.host().poke(ITTS, &[0; 0x2_0000]);
        rig.domain.host().poke(itt(255), &[0; 0x2000]);
        for n in 0..VCPUS as u32 {
            rig.domain
                .host()
                .poke(PENDING + u64::from(n) * 0x1_0000, &[0; 0x800]);
            rig.redist(n, 0x70, PROPS | 13);
            rig.redist(n, 0x78, (PENDING + u64::from(n) * 0x1_0000) | 1 << 62);
            rig.redist(n, 0, 1);
        }
        rig.domain.dist_write(rig.domain.v(0), 0, Width::Word, 0b11);
        rig
    }

    /// Another domain, with the memory and the stream of this one.
    fn restored(&self, lpis: LpiConfig) -> Self {
        let calls = (0..10_000).take_while(|_| self.domain.prepare_save() == Ok(Progress::Again));
        assert!(calls.count() < 10_000, "no end");
        let stream = self.domain.save_boxed().unwrap();
        let new = Self::bare(lpis, self.domain.its.len());
        let memory = self.domain.host().memory.lock().unwrap().clone();
        *new.domain.host().memory.lock().unwrap() = memory;
        while new.domain.reset() == Progress::Again {}
        assert_eq!(new.domain.restore(&stream), Ok(()));
        Self {
            at: self.at,
            queue_pages: self.queue_pages,
            ..new
        }
    }

    fn enable(&self, its: usize) {
        self.write(
            its,
            CBASER,
            1 << 63 | QUEUE | u64::from(self.queue_pages - 1),
        );
        self.write(its, BASER0, 1 << 63 | DEVICES);
        self.write(its, BASER1, 1 << 63 | COLLECTIONS);
        self.write(its, CTLR, 1);
    }

    /// Disables the ITS, and waits until it is quiescent; the number of reads that took.
    fn off(&self) -> u32 {
        self.write(0, CTLR, 0);
        let reads = (0..100_000).take_while(|_| self.read(0, CTLR) & 1 << 31 == 0);
        let reads = reads.count() as u32;
        assert!(reads < 100_000, "never quiescent");
        reads
    }

    /// Enables it; the number of traps that took.
    fn on(&self) -> u32 {
        let mut traps = 1;
        while self.write(0, CTLR, 1) == Progress::Again {
            traps += 1;
            assert!(traps < 100_000, "no end");
        }
        traps
    }

    /// A page of a table goes elsewhere, and ones are where it was.
    fn copy_page(&self, from: u64, to: u64) {
        let host = self.domain.host();
        let page: Vec<u8> = (from..from + 0x1000)
            .map(|at| host.peek(at).unwrap())
            .collect();
        host.poke(from, &[0xff; 0x1000]);
        host.poke(to, &page);
    }

    /// Disables the ITS and enables it again, its tables having gone elsewhere or not.
    fn power(&self, devices: bool, collections: bool) {
        self.off();
        for (baser, moves) in [(BASER0, devices), (BASER1, collections)] {
            let old = self.read(0, baser);
            let from = old & 0xffff_ffff_f000;
            let to = from ^ 0x8000;
            if moves {
                self.copy_page(from, to);
                self.write(0, baser, old ^ 0x8000);
                assert_eq!(self.read(0, baser), old ^ 0x8000);
            } else {
                self.write(0, baser, old);
            }
        }
        self.on();
    }

    fn redist(&self, n: u32, offset: u64, value: u64) {
        let at = u64::from(n) * 0x2_0000 + offset;
        let width = if offset < 8 {
            Width::Word
        } else {
            Width::Double
        };
        let store = || (self.domain).redist_write(self.domain.v(n), 0, at, width, value);
        let traps = std::iter::repeat_with(store).take(1000);
        assert!(traps.into_iter().any(|p| p == Progress::Done), "no end");
    }

    /// GICR_PROPBASER, for which LPIs have to be disabled everywhere.
    fn set_propbaser(&self, value: u64) {
        (0..VCPUS as u32).for_each(|n| self.redist(n, 0, 0));
        self.redist(0, 0x70, value);
        (0..VCPUS as u32).for_each(|n| self.redist(n, 0, 1));
    }

    fn redist_read(&self, n: u32, offset: u64) -> u64 {
        let at = u64::from(n) * 0x2_0000 + offset;
        let width = if offset < 8 || offset == 0xc0 {
            Width::Word
        } else {
            Width::Double
        };
        self.domain.redist_read(self.domain.v(n), 0, at, width)
    }

    fn write(&self, its: usize, offset: u32, value: u64) -> Progress {
        let width = if offset == CTLR {
            Width::Word
        } else {
            Width::Double
        };
        self.domain
            .its_write(self.domain.v(0), its, offset, width, value)
    }

    fn read(&self, its: usize, offset: u32) -> u64 {
        let width = if offset == CTLR {
            Width::Word
        } else {
            Width::Double
        };
        self.domain.its_read(self.domain.v(0), its, offset, width)
    }

    fn its(&self) -> &Its {
        &self.domain.its[0]
    }

    /// Puts a command into the queue.
    fn put(&mut self, command: [u64; 4]) {
        for (n, word) in command.iter().enumerate() {
            let at = QUEUE + u64::from(self.at) + n as u64 * 8;
            self.domain.host().poke(at, &word.to_le_bytes());
        }
        self.at = (self.at + 32) % (self.queue_pages * 0x1000);
    }

    /// Has the ITS execute what is in the queue; the number of traps that took.
    fn run(&self) -> u32 {
        let mut traps = 1;
        while self.write(0, CWRITER, self.at.into()) == Progress::Again {
            traps += 1;
            assert!(traps < 100_000, "no end");
        }
        assert_eq!(self.read(0, CREADR), self.at.into());
        traps
    }

    /// Executes one command; its error code, or 0.
    fn command(&mut self, command: [u64; 4]) -> u32 {
        let its = self.its();
        let before = its.errors.load(SeqCst);
        its.last_error.store(0, SeqCst);
        self.put(command);
        self.run();
        let its = self.its();
        assert_eq!(
            its.errors.load(SeqCst) - before,
            u32::from(its.last_error.load(SeqCst) != 0)
        );
        its.last_error.load(SeqCst)
    }

    fn ok(&mut self, command: [u64; 4]) {
        assert_eq!(self.command(command), 0, "{command:x?}");
    }

    /// The guest's configuration of an LPI, in memory only.
    fn configure(&self, intid: u32, priority: u8, enabled: bool) {
        let byte = priority & 0xfc | 2 | u8::from(enabled);
        self.domain
            .host()
            .poke(PROPS + u64::from(intid - 8192), &[byte]);
    }

    fn state(&self, intid: u32) -> Option<State> {
        let lpi = self.domain.lpis.get(IntId::new(intid).unwrap());
        lpi.map(|lpi| lpi.irq.state())
    }

    /// Is it pending, and where would it go?
    fn pending(&self, intid: u32) -> Option<u32> {
        let s = self.state(intid).filter(|s| s.pending())?;
        Some(s.target().unwrap().raw().into())
    }

    /// A device's message.
    fn inject(&self, intid: u32) {
        self.domain.inject_lpi(IntId::new(intid).unwrap());
    }

    /// Runs the guest of vCPU `n` until it has taken all that comes.
    fn take(&self, n: u32) -> Vec<u16> {
        let cpu = &self.domain.host().cpus[n as usize];
        cpu.vmcr.store(0xff00_0003, SeqCst);
        let mut taken = Vec::new();
        loop {
            self.domain.enter(n);
            let loaded = self.domain.loaded(n);
            for lr in &cpu.lrs {
                lr.store(0, SeqCst);
            }
            self.domain.leave(n);
            if loaded.is_empty() {
                return taken;
            }
            taken.extend(loaded);
            assert!(taken.len() < 10_000);
        }
    }
}

/// Where the events of a device are in memory.
fn itt(device: u32) -> u64 {
    ITTS + u64::from(device % (1 << DEVICE_BITS)) * (8 << EVENT_BITS)
}

/// Commands as a driver writes them.
fn mapd(device: u32, bits: u32, valid: bool) -> [u64; 4] {
    [
        u64::from(device) << 32 | 0x08,
        u64::from(bits - 1),
        u64::from(valid) << 63 | itt(device),
        0,
    ]
}

fn mapc(icid: u16, target: u64, valid: bool) -> [u64; 4] {
    let word = u64::from(valid) << 63 | target << 16 | u64::from(icid);
    [0x09, 0, word, 0]
}

fn mapti(device: u32, event: u32, intid: u32, icid: u16) -> [u64; 4] {
    [
        u64::from(device) << 32 | 0x0a,
        u64::from(intid) << 32 | u64::from(event),
        icid.into(),
        0,
    ]
}

fn of_event(number: u64, device: u32, event: u32) -> [u64; 4] {
    [u64::from(device) << 32 | number, event.into(), 0, 0]
}

fn movi(device: u32, event: u32, icid: u16) -> [u64; 4] {
    [u64::from(device) << 32 | 0x01, event.into(), icid.into(), 0]
}

fn movall(from: u64, to: u64) -> [u64; 4] {
    [0x0e, 0, from << 16, to << 16]
}

const INT: u64 = 0x03;
const CLEAR: u64 = 0x04;
const INV: u64 = 0x0c;
const DISCARD: u64 = 0x0f;

fn invall(icid: u16) -> [u64; 4] {
    [0x0d, 0, icid.into(), 0]
}
