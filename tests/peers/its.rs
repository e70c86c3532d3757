// SPDX-License-Identifier: GPL-2.0-only
//! The virtual ITS of the old C vGIC: a device's message becomes an LPI. Registers and commands are those of IHI 0069
//! chapters 5 and 12.

use crate::rerun;
use vgic_harness::domain::{Config, Domain};
use vgic_harness::guest::{GuestCpu, Size};
use vgic_harness::linux;
use vgic_harness::machine::{Machine, Profile};

const CTLR: u64 = 0x0;
const CBASER: u64 = 0x80;
const CWRITER: u64 = 0x88;
const CREADR: u64 = 0x90;
/// Of devices, and of collections.
const BASER: [u64; 2] = [0x100, 0x108];
const GICR_PROPBASER: u64 = 0x70;
const GICR_PENDBASER: u64 = 0x78;
const VALID: u64 = 1 << 63;

/// The guest's memory, and what is in it.
const MEMORY: u64 = 0x4000_0000;
const QUEUE: u64 = MEMORY;
const TABLES: [u64; 2] = [MEMORY + 0x1_0000, MEMORY + 0x2_0000];
const PROPERTIES: u64 = MEMORY + 0x3_0000;
const PENDING: u64 = MEMORY + 0x5_0000;
const ITT: u64 = MEMORY + 0x8_0000;

/// An ITS, as its driver has it.
struct Its<'a> {
    domain: &'a Domain,
    cpu: &'a GuestCpu,
    base: u64,
    written: u64,
}

impl Its<'_> {
    fn write(&self, offset: u64, value: u64) {
        self.cpu
            .store(self.base + offset, Size::Double, value)
            .unwrap();
    }

    fn enable(&self) {
        for (baser, table) in BASER.into_iter().zip(TABLES) {
            self.write(baser, VALID | table | 0xf);
        }
        self.write(CBASER, VALID | QUEUE | 0xf);
        self.cpu.store(self.base + CTLR, Size::Word, 1).unwrap();
    }

    fn command(&mut self, words: [u64; 3]) {
        for (n, word) in words.into_iter().enumerate() {
            let place = QUEUE + self.written + n as u64 * 8;
            assert!(self.domain.write_memory(place, &word.to_le_bytes()));
        }
        self.written += 32;
        self.write(CWRITER, self.written);
        let read = self.cpu.load(self.base + CREADR, Size::Double);
        assert_eq!(read, Ok(self.written));
    }
}

/// `GICR_CTLR.EnableLPIs`, with the tables in place.
fn enable_lpis(cpu: &GuestCpu) {
    let frame = cpu.gicr_of(cpu.vcpu.id).unwrap();
    let pending = PENDING + cpu.vcpu.id as u64 * 0x1_0000;
    for (offset, value) in [(GICR_PROPBASER, PROPERTIES | 15), (GICR_PENDBASER, pending)] {
        cpu.store(frame + offset, Size::Double, value).unwrap();
    }
    cpu.gicr_write(linux::gicr::CTLR, 1);
}

#[test]
fn old_turns_a_message_into_an_lpi() {
    rerun("old", "its::message");
}

#[test]
#[ignore = "run by old_turns_a_message_into_an_lpi"]
fn message() {
    const DEVICE: u64 = 0x108;
    const EVENT: u64 = 3;
    const LPI: u64 = 8200;
    let profile = Profile::GICV3.with_itses(1);
    let machine = Machine::power_on(profile);
    let domain = Domain::with_vcpus(&machine, Config::dom0(3, 2)).unwrap();
    domain.add_memory(MEMORY, 0x10_0000);
    assert!(domain.write_memory(PROPERTIES + LPI - 8192, &[0xa0 | 1]));
    let cpus = linux::boot(&domain);
    cpus.iter().for_each(enable_lpis);
    let mut its = Its {
        domain: &domain,
        cpu: &cpus[0],
        base: profile.its_base(0),
        written: 0,
    };
    its.enable();
    // MAPD, MAPC of collection 1 to vCPU 1, MAPTI, INV.
    its.command([0x08 | DEVICE << 32, 4, VALID | ITT]);
    its.command([0x09, 0, VALID | 1 << 16 | 1]);
    its.command([0x0a | DEVICE << 32, LPI << 32 | EVENT, 1]);
    its.command([0x0c | DEVICE << 32, EVENT, 0]);
    let send = |event: u64| {
        machine.hypervisor(2, || domain.send_msi(0, DEVICE as u32, event as u32));
        cpus[1].take(|_| ()).map(u64::from)
    };
    assert_eq!((send(EVENT), send(EVENT + 1)), (Some(LPI), None));
    // INT does the same, and after DISCARD nothing does.
    its.command([0x03 | DEVICE << 32, EVENT, 0]);
    assert_eq!(cpus[1].take(|_| ()), Some(LPI as u32));
    its.command([0x0f | DEVICE << 32, EVENT, 0]);
    assert_eq!(send(EVENT), None);
    assert_eq!(domain.read_memory::<8>(MEMORY + 0x10_0000), None);
    // The vGIC leaves what is mapped to Xen.
    its.command([0x08 | DEVICE << 32, 4, ITT]);
}
