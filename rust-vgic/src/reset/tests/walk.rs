// SPDX-License-Identifier: GPL-2.0-only
//! Walks by chance through all that can happen to a domain: its guest's accesses, what its list registers show, interrupts of the
//! host's and messages of device models. The same for the same seed.

use super::*;
use crate::config::{Config, ItsConfig, Limits, LpiConfig, MsiFrame, Region, Version};
use crate::fake::chance::Chance;
use crate::fake::{Cpu, domain_on};
use crate::lr::Format;

const VCPUS: usize = 3;
/// SPIs that are mapped to physical interrupts of the same number, a level and an edge; and a PPI.
pub(super) const PHYSICAL: [u16; 3] = [40, 41, 42];
pub(super) const OWN: u32 = 27;
/// Guest memory.
pub(super) const PROPS: u64 = 0x10_0000;
pub(super) const PENDING: u64 = 0x20_0000;
pub(super) const QUEUE: u64 = 0x30_0000;
const DEVICES: u64 = 0x40_0000;
const COLLECTIONS: u64 = 0x41_0000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    V2,
    V2Alone,
    V2m,
    V2OnV3,
    V3,
    V3WithTc,
    Its,
}

/// Something that happens.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Dist(u32, u32, Width, u64),
    Redist(u32, u64, Width, u64),
    ItsWrite(u32, usize, u32, Width, u64),
    Command(usize, [u64; 4]),
    Sgi(u32, u64),
    Inject(u32, u32, bool),
    Fires(u16),
    OwnFires(bool),
    Lpi(u32),
    Message(usize, u32, u32),
    SpiMessage(u32),
    Enter(u32),
    /// The guest does something to its list registers, by this chance.
    Guest(u32, u64),
    Leave(u32),
    Dir(u32, u64),
    Off(u32),
    On(u32),
    Moved(u32),
    Pending(u32),
}

/// Enough for whatever a store asks for.
pub(super) const ALL: u32 = 1000;

/// Who is in the guest, where the queues are, and how many traps a store gets: it may be left unfinished.
pub(super) struct Inside {
    vcpus: [bool; VCPUS],
    at: [u32; 2],
    traps: u32,
}

impl Inside {
    pub(super) fn new(traps: u32) -> Self {
        Self {
            vcpus: [false; VCPUS],
            at: [0; 2],
            traps,
        }
    }
}

pub(super) fn domain(kind: Kind) -> Domain<Fake> {
    let v3 = matches!(kind, Kind::V3 | Kind::V3WithTc | Kind::Its);
    let vcpus = if kind == Kind::V2Alone { 1 } else { VCPUS };
    let its = [ItsConfig {
        device_bits: 8,
        event_bits: 10,
    }; 2];
    let has_its = kind == Kind::Its;
    let config = Config {
        version: if v3 { Version::V3 } else { Version::V2 },
        vcpus: vcpus + 1,
        spis: 64,
        espis: if kind == Kind::V3 { 32 } else { 0 },
        list_registers: 3,
        format: match kind {
            Kind::V2 | Kind::V2Alone | Kind::V2m => Format::V2,
            Kind::V2OnV3 => Format::V3 { sources: true },
            _ => Format::V3 { sources: false },
        },
        regions: &[Region {
            base: 0x1000_0000,
            size: 0x10_0000,
        }],
        lpis: if has_its {
            LpiConfig {
                id_bits: 14,
                limits: Limits {
                    lpis: 8192,
                    devices: 16,
                    events: 8192,
                },
            }
        } else {
            LpiConfig::default()
        },
        its: if has_its { &its } else { &[] },
        msi_frame: (kind == Kind::V2m).then_some(MsiFrame { base: 80, count: 8 }),
    };
    // One of them is never made, unless one is all there are.
    let config = Config {
        vcpus: if vcpus == 1 { 1 } else { config.vcpus },
        ..config
    };
    let domain = domain_on(&config, vcpus, || Cpu {
        traps_dir: v3 && kind != Kind::V3WithTc,
        ..Cpu::default()
    });
    domain.host.sets_trigger.store(true, SeqCst);
    for raw in PHYSICAL {
        domain.connected_spi(raw);
        domain.host.change(raw, |phys| phys.level = true);
    }
    domain.host.change(41, |phys| phys.edge = true);
    domain.host.change(OWN as u16, |phys| phys.level = true);
    let own = IntId::new(OWN).unwrap();
    (domain.connect_private(domain.v(0), own, OWN as u16)).unwrap();
    if has_its {
        domain.host.software_from.store(4, SeqCst);
        domain.host.poke(PROPS, &[0xa1; 0x2000]);
        domain.host.poke(QUEUE, &[0; 0x2_0000]);
        domain.host.poke(DEVICES, &[0; 0x1000]);
        for n in 0..VCPUS as u64 {
            domain.host.poke(PENDING + n * 0x1_0000, &[0; 0x800]);
        }
    }
    domain
}

fn enter(domain: &Domain<Fake>, n: u32) {
    let _masked = domain.mask();
    domain.enter(n);
}

fn leave(domain: &Domain<Fake>, n: u32) {
    let _masked = domain.mask();
    domain.leave(n);
}

/// As a driver does it.
pub(super) fn boot(domain: &Domain<Fake>) {
    for n in 0..domain.created().count() as u32 {
        enter(domain, n);
        leave(domain, n);
    }
    domain.host.off.lock().unwrap().clear();
    let v = domain.v(0);
    let v3 = domain.version == Version::V3;
    domain.dist_write(v, 0, Width::Word, 0b11);
    for (n, v) in (0..).zip(domain.created()) {
        if v3 {
            redist(domain, n, (0x14, Width::Word), 0, ALL);
            redist(domain, n, (0x1_0100, Width::Word), 0xffff_ffff, ALL);
        } else {
            domain.dist_write(v, 0x100, Width::Word, 0xffff_ffff);
        }
        if domain.lpis.exist() {
            redist(domain, n, (0x70, Width::Double), PROPS | 13, ALL);
            let table = (PENDING + u64::from(n) * 0x1_0000) | 1 << 62;
            redist(domain, n, (0x78, Width::Double), table, ALL);
            redist(domain, n, (0, Width::Word), 1, ALL);
        }
    }
    for n in 1..4 {
        domain.dist_write(v, 0x100 + n * 4, Width::Word, 0xffff_ffff);
        if !v3 {
            for word in 0..8 {
                let offset = 0x800 + n * 32 + word * 4;
                domain.dist_write(v, offset, Width::Word, 0x0201_0201);
            }
        }
    }
    for its in 0..domain.its.len() {
        let queue = QUEUE + its as u64 * 0x1_0000;
        for (offset, value) in [
            (0x80, 1 << 63 | queue),
            (0x100, 1 << 63 | DEVICES),
            (0x108, 1 << 63 | COLLECTIONS),
        ] {
            its_write(domain, 0, its, (offset, Width::Double), value, ALL);
        }
        its_write(domain, 0, its, (0, Width::Word), 1, ALL);
    }
}

/// A store to the redistributor of vCPU `n`, as often as it is asked for, or for so many traps.
fn redist(domain: &Domain<Fake>, n: u32, at: (u64, Width), value: u64, traps: u32) {
    let (offset, width) = at;
    let at = u64::from(n) * 0x2_0000 + offset;
    let store = || domain.redist_write(domain.v(n), 0, at, width, value);
    let _ = (0..traps).any(|_| store() == Progress::Done);
}

/// The same to an ITS.
fn its_write(domain: &Domain<Fake>, n: u32, its: usize, at: (u32, Width), value: u64, traps: u32) {
    let store = || domain.its_write(domain.v(n), its, at.0, at.1, value);
    let _ = (0..traps).any(|_| store() == Progress::Done);
}

/// All vCPUs are out of their guests, and on no CPU.
pub(super) fn stop(domain: &Domain<Fake>, inside: &mut Inside) {
    for n in 0..domain.created().count() {
        if std::mem::take(&mut inside.vcpus[n]) {
            leave(domain, n as u32);
        }
    }
    own_ppi(domain, |v, own| {
        domain.unload_private(v, own, false);
    });
}

pub(super) fn own_ppi(domain: &Domain<Fake>, f: impl FnOnce(&Vcpu<usize>, IntId)) {
    domain.host.current.store(0, SeqCst);
    let _masked = domain.mask();
    f(domain.v(0), IntId::new(OWN).unwrap());
}

pub(super) fn steps(kind: Kind, chance: &mut Chance, count: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    if kind == Kind::Its {
        // Something is mapped, of the host's and of a device model.
        for icid in 0..3 {
            steps.push(Step::Command(0, [0x09, 0, 1 << 63 | icid << 16 | icid, 0]));
        }
        for device in [1, 5] {
            steps.push(Step::Command(0, [0x08 | device << 32, 9, 1 << 63, 0]));
            for event in 0..4 {
                let lpi = 8192 + device * 4 + event;
                let words = [0x0a | device << 32, lpi << 32 | event, event % 3, 0];
                steps.push(Step::Command(0, words));
            }
        }
    }
    steps.extend((0..count).map(|_| any(kind, chance)));
    steps
}

fn any(kind: Kind, chance: &mut Chance) -> Step {
    let v3 = matches!(kind, Kind::V3 | Kind::V3WithTc | Kind::Its);
    let vcpus = if kind == Kind::V2Alone { 1 } else { VCPUS };
    let n = chance.below(vcpus as u64) as u32;
    let value = match chance.below(4) {
        0 => u64::MAX,
        1 => 1 << chance.below(64),
        _ => chance.next(),
    };
    let width = chance.of(&[Width::Byte, Width::Word, Width::Word, Width::Double]);
    let its = chance.below(2) as usize;
    let lpi = 8192 + chance.below(40) as u32;
    match chance.below(if kind == Kind::Its { 36 } else { 24 }) {
        0..5 => {
            let array = chance.of(&[
                0, 0x80, 0x100, 0x180, 0x200, 0x280, 0x300, 0x380, 0x400, 0x800, 0xc00, 0xf00,
            ]);
            let next = chance.of(&[0, 4]) * chance.below(16) as u32;
            let array = array + next;
            Step::Dist(n, array, width, value)
        }
        5 if v3 => {
            let router = 0x6000 + 8 * (32 + chance.below(64) as u32);
            let to = chance.of(&[0, 1, 2, 3, 1 << 31, 77]);
            Step::Dist(n, router, Width::Double, to)
        }
        6 if v3 => {
            let espi = chance.of(&[
                0x1000, 0x1200, 0x1400, 0x1600, 0x1c00, 0x2000, 0x3000, 0x8000,
            ]);
            Step::Dist(n, espi, width, value)
        }
        5..8 if v3 => {
            let array = chance.of(&[
                0x14, 0x1_0080, 0x1_0100, 0x1_0180, 0x1_0200, 0x1_0280, 0x1_0300, 0x1_0380,
                0x1_0400, 0x1_0c04,
            ]);
            Step::Redist(n, array, Width::Word, value)
        }
        5..8 => Step::Sgi(n, chance.below(1 << 26)),
        8..10 => Step::Sgi(n, value),
        10..14 => {
            let espi = kind == Kind::V3 && chance.below(4) == 0;
            let first = if espi { 4096 } else { 0 };
            Step::Inject(n, first + chance.below(96) as u32, chance.below(3) != 0)
        }
        14 => Step::Fires(chance.of(&PHYSICAL)),
        15 => Step::OwnFires(chance.below(2) == 0),
        16..18 => Step::Enter(n),
        18 => Step::Guest(n, value),
        19 => Step::Leave(n),
        20 => Step::Dir(n, chance.below(100)),
        21 => Step::Off(n),
        22 => chance.of(&[Step::On(n), Step::Moved(n)]),
        23 if kind == Kind::V2m => Step::SpiMessage(76 + chance.below(16) as u32),
        23 => Step::Pending(n),
        24..27 => Step::Lpi(lpi),
        27 => Step::Message(its, chance.below(8) as u32, chance.below(6) as u32),
        28 => {
            let offset = chance.of(&[0, 0x70, 0x78, 0xa0, 0xb0]);
            let width = if offset == 0 {
                Width::Word
            } else {
                Width::Double
            };
            let value = match offset {
                0 => chance.below(2),
                0xa0 => lpi.into(),
                0x70 => PROPS | 13,
                0x78 => PENDING + u64::from(n) * 0x1_0000,
                _ => value,
            };
            Step::Redist(n, offset, width, value)
        }
        29 => {
            let (offset, value) = chance.of(&[
                (0, 0),
                (0, 1),
                (0x80, 1 << 63 | QUEUE),
                (0x100, 1 << 63 | DEVICES),
                (0x100, 0),
                (0x108, 1 << 63 | COLLECTIONS | 1),
                (0x88, value & 0xfe0),
            ]);
            let width = if offset == 0 {
                Width::Word
            } else {
                Width::Double
            };
            Step::ItsWrite(n, its, offset, width, value)
        }
        _ => {
            let (device, event) = (chance.below(8), chance.below(6));
            let icid = chance.below(3);
            let at = device << 32;
            Step::Command(
                its,
                match chance.below(10) {
                    0..2 => [0x08 | at, chance.of(&[4, 9]), 1 << 63, 0],
                    2 => [0x08 | at, 4, 0, 0],
                    3..5 => [0x09, 0, 1 << 63 | chance.below(3) << 16 | icid, 0],
                    5..8 => [0x0a | at, u64::from(lpi) << 32 | event, icid, 0],
                    8 => [0x03 | at, event, 0, 0],
                    _ => [
                        chance.of(&[0x0f, 0x04, 0x0c, 0x01, 0x0d, 0x0e, 0x05]) | at,
                        event,
                        icid | chance.below(3) << 16,
                        chance.below(3) << 16,
                    ],
                },
            )
        }
    }
}

pub(super) fn step(domain: &Domain<Fake>, inside: &mut Inside, step: Step) {
    let v = |n: u32| domain.v(n);
    let traps = inside.traps;
    let is_off = |n: u32| domain.host.off.lock().unwrap().contains(&(n as usize));
    // Whose trap it is, out of its guest.
    let trap = |inside: &mut Inside, n: u32, f: &dyn Fn()| {
        if is_off(n) {
            return;
        }
        let was = std::mem::take(&mut inside.vcpus[n as usize]);
        if !was {
            enter(domain, n);
        }
        leave(domain, n);
        domain.host.current.store(n as usize, SeqCst);
        f();
        if was {
            enter(domain, n);
            inside.vcpus[n as usize] = true;
        }
    };
    match step {
        Step::Dist(n, offset, width, value) => {
            trap(inside, n, &|| domain.dist_write(v(n), offset, width, value));
        }
        Step::Redist(n, offset, width, value) => {
            trap(inside, n, &|| {
                redist(domain, n, (offset, width), value, traps)
            });
        }
        Step::ItsWrite(n, its, offset, width, value) => {
            trap(inside, n, &|| {
                its_write(domain, n, its, (offset, width), value, traps)
            });
        }
        Step::Command(its, words) => {
            let at = &mut inside.at[its];
            for (n, word) in (0..).zip(words) {
                let place = QUEUE + its as u64 * 0x1_0000 + u64::from(*at) + n * 8;
                domain.host.poke(place, &word.to_le_bytes());
            }
            *at = (*at + 32) % 0x1000;
            let next = (*at).into();
            trap(inside, 0, &|| {
                its_write(domain, 0, its, (0x88, Width::Double), next, traps);
            });
        }
        Step::Sgi(n, value) => trap(inside, n, &|| match domain.version {
            Version::V2 => domain.dist_write(v(n), 0xf00, Width::Word, value),
            Version::V3 => {
                domain.send_sgi(v(n), crate::SgiRegister::Sgi1r, value);
            }
        }),
        Step::Inject(n, raw, level) => {
            let own = domain.shared(IntId::new(raw).unwrap());
            let hw = own.is_some_and(|irq| irq.state().hw()) || raw == OWN;
            if !hw {
                domain.inject(Some(v(n)), IntId::new(raw).unwrap(), level);
            }
        }
        Step::Fires(raw) => {
            let mut fires = false;
            domain.host.change(raw, |phys| {
                phys.pending = true;
                fires = phys.enabled && !phys.active;
                phys.active |= fires;
                phys.pending &= !phys.edge || !fires;
            });
            if fires {
                domain.inject(None, IntId::new(raw.into()).unwrap(), true);
            }
        }
        Step::OwnFires(comes) => own_ppi(domain, |v, own| {
            let active = domain.host.phys_state(OWN as u16).active;
            match (comes, active) {
                (true, false) => {
                    domain.host.change(OWN as u16, |phys| phys.active = true);
                    domain.private_fired(v, own);
                }
                (true, true) => {}
                (false, _) => {
                    if !inside.vcpus[0] {
                        domain.unload_private(v, own, active);
                        domain.load_private(v, own, true);
                    }
                }
            }
        }),
        Step::Lpi(raw) => domain.inject_lpi(IntId::new(raw).unwrap()),
        Step::Message(its, device, event) => {
            let _ = domain.message(its, device, event);
        }
        Step::SpiMessage(data) => {
            let _ = domain.spi_message(data);
        }
        Step::Enter(n) => {
            if !is_off(n) && !std::mem::replace(&mut inside.vcpus[n as usize], true) {
                enter(domain, n);
            }
        }
        Step::Leave(n) => {
            if std::mem::take(&mut inside.vcpus[n as usize]) {
                leave(domain, n);
            }
        }
        Step::Guest(n, seed) => {
            if inside.vcpus[n as usize] {
                guest(domain, n, &mut Chance::new(seed));
            }
        }
        Step::Dir(n, value) => trap(inside, n, &|| domain.write_dir(v(n), value)),
        Step::Off(n) => {
            trap(inside, n, &|| {});
            if std::mem::take(&mut inside.vcpus[n as usize]) {
                leave(domain, n);
            }
            domain.host.off.lock().unwrap().insert(n as usize);
            domain.host.current.store(n as usize, SeqCst);
            domain.cpu_off(v(n));
        }
        Step::On(n) => {
            if domain.host.off.lock().unwrap().remove(&(n as usize)) {
                domain.cpu_on(v(n));
            }
        }
        Step::Moved(n) => {
            if !inside.vcpus[n as usize] {
                domain.moved(v(n));
            }
        }
        Step::Pending(n) => {
            trap(inside, n, &|| {
                domain.has_pending(v(n));
            });
        }
    }
}

/// The guest of a vCPU takes, ends or leaves what its list registers show, and changes its CPU interface.
fn guest(domain: &Domain<Fake>, n: u32, chance: &mut Chance) {
    let cpu = &domain.host.cpus[n as usize];
    let shift = if domain.format == Format::V2 { 28 } else { 62 };
    for lr in &cpu.lrs[..domain.list_registers] {
        let was = lr.load(SeqCst);
        let (pending, active) = (was >> shift & 1 != 0, was >> shift & 2 != 0);
        let state = match chance.below(3) {
            0 => continue,
            1 if pending && !active => 2,
            1 | 2 if active => u64::from(pending),
            _ => continue,
        };
        lr.store(was & !(3 << shift) | state << shift, SeqCst);
        if domain.format.is_hw(was) && state == 0 {
            domain.host.change(domain.format.intid(was), |phys| {
                phys.active = false;
            });
        }
    }
    // Groups, EOImode and the mask, in either format.
    let vmcr = chance.next() as u32 & 0xf800_0203 & !crate::vcpu::UNKNOWN;
    if chance.below(4) == 0 {
        cpu.vmcr.store(vmcr, SeqCst);
    } else {
        cpu.vmcr.store(0xf800_0003, SeqCst);
    }
}
