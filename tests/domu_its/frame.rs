// SPDX-License-Identifier: GPL-2.0-only
//! A GICv2m frame: its registers, its SPIs, and messages to it.

use super::*;
use vgic_harness::guests::guest::Size;
use vgic_harness::guests::linux::gicd;
use vgic_harness::xen::domain::{GUEST_GICV2M_BASE, MSI_SETSPI_NS};

const FRAME: u64 = GUEST_GICV2M_BASE;
const TYPER: u64 = FRAME + 0x8;
const SETSPI: u64 = FRAME + MSI_SETSPI_NS;
const IIDR: u64 = FRAME + 0xfcc;

/// A domain of a GICv2 with so many SPIs beside those of the frame.
fn framed(profile: Profile, spis: u32, vcpus: usize) -> (Domain, Vec<GuestCpu>) {
    let machine = Machine::power_on(profile);
    let config = Config {
        spis,
        ..Config::guest(2, vcpus).with_msi()
    };
    let domain = Domain::with_vcpus(&machine, config).expect("a domain");
    let cpus = linux::boot(&domain);
    (domain, cpus)
}

/// A device model's write to the frame.
fn message(domain: &Domain, data: u32) -> Result<(), Errno> {
    let sent = domain.inject_msi(1, SETSPI, 0, DEVICE, data);
    settle(&domain.machine);
    sent
}

#[test]
fn the_frame_has_the_last_spis() {
    for profile in [
        Profile::GICV2,
        Profile::JUNO,
        Profile::GICV2_ALIASED,
        Profile::GICV3_GICV,
    ] {
        for (asked, base) in [
            (0, 32),
            (1, 64),
            (32, 64),
            (224, 256),
            (925, 960),
            (928, 960),
        ] {
            let (domain, cpus) = framed(profile, asked, 1);
            assert_eq!(domain.msi_spis(), Some((base, 32)), "{asked} SPIs");
            assert_eq!(domain.nr_spis(), base, "base + 32 - 32");
            let typer = cpus[0].load(TYPER, Size::Word);
            assert_eq!(typer, Ok(u64::from(base) << 16 | 32), "{asked} SPIs");
            assert_eq!(cpus[0].gicd_read(gicd::TYPER) & 0x1f, base / 32);
            // They are nobody else's.
            for spi in base..base + 32 {
                assert!(domain.is_allocated(spi) && !domain.reserve_virq(spi));
            }
            let others: Vec<u32> = std::iter::from_fn(|| domain.allocate_virq(true)).collect();
            assert_eq!(others, Vec::from_iter(32..base));
        }
        // With 32 more there would be INTIDs beyond those of SPIs.
        let machine = Machine::power_on(profile);
        for spis in [929, 960, 988, 1020] {
            let config = Config {
                spis,
                ..Config::guest(2, 1).with_msi()
            };
            assert_eq!(Domain::create(&machine, config).err(), Some(EINVAL));
            let said = machine.take_console();
            // Without a frame there would be room for up to 960.
            let why = if spis <= 960 { "GICv2m" } else { "" };
            assert!(said.contains(why), "{spis}: {said}");
        }
    }
}

#[test]
fn registers_have_their_widths() {
    const SIZES: [Size; 4] = [Size::Byte, Size::Half, Size::Word, Size::Double];
    let (domain, cpus) = framed(Profile::GICV2, 224, 1);
    linux::enable(&cpus[0], 256);
    for offset in (0..0x1000).step_by(4) {
        for size in SIZES {
            if size == Size::Double && offset % 8 != 0 {
                continue;
            }
            let expected = match (FRAME + offset, size) {
                (TYPER, Size::Word) => 256 << 16 | 32,
                (IIDR, Size::Word) => 0x5200_143b,
                _ => 0,
            };
            let read = cpus[0].load(FRAME + offset, size);
            assert_eq!(read, Ok(expected), "{offset:#x}, {size:?}");
            let writes = FRAME + offset == SETSPI && matches!(size, Size::Half | Size::Word);
            assert_eq!(cpus[0].store(FRAME + offset, size, 256), Ok(()));
            let expected: &[u32] = if writes { &[256] } else { &[] };
            assert_eq!(cpus[0].take_all(), expected, "{offset:#x}, {size:?}");
        }
    }
    // The SPI is in the lower half; bytes are no access.
    for (at, size) in [
        (2, Size::Half),
        (0, Size::Byte),
        (1, Size::Byte),
        (3, Size::Byte),
    ] {
        assert_eq!(cpus[0].store(SETSPI + at, size, 256), Ok(()));
    }
    assert_eq!(cpus[0].take_all(), []);
    assert!(cpus[0].load(FRAME + 0x1000, Size::Word).is_err());
    assert!(domain.dump().contains("accesses without a register"));
}

#[test]
fn a_message_is_an_edge_for_each_of_its_spis() {
    for profile in [Profile::GICV2, Profile::GICV3_GICV] {
        let (domain, cpus) = framed(profile, 64, 4);
        for spi in 96..128 {
            // Edge-triggered, and nothing else can be written.
            let edge = |cpu: &GuestCpu| {
                cpu.gicd_read(gicd::ICFGR + u64::from(spi / 16) * 4) >> (spi % 16 * 2) & 3
            };
            assert_eq!(edge(&cpus[0]), 2, "SPI {spi}");
            linux::set_trigger(&cpus[0], spi, false);
            assert_eq!(edge(&cpus[0]), 2, "SPI {spi}");
            let to = spi as usize % 4;
            linux::route(&cpus[0], spi, to);
            linux::enable(&cpus[0], spi);
            let mut expected = vec![vec![]; 4];
            expected[to] = vec![spi];
            assert_eq!(message(&domain, spi), Ok(()));
            assert_eq!(taken(&cpus), expected, "of a device model");
            assert_eq!(cpus[1].store(SETSPI, Size::Word, spi.into()), Ok(()));
            assert_eq!(taken(&cpus), expected, "of the guest");
            // While one is handled another is pending behind it, and further ones merge.
            assert_eq!(message(&domain, spi), Ok(()));
            let iar = cpus[to].ack();
            assert_eq!(iar, spi);
            assert_eq!(message(&domain, spi), Ok(()));
            assert_eq!(message(&domain, spi), Ok(()));
            cpus[to].eoi(iar);
            assert_eq!(taken(&cpus), expected, "behind it");
            assert_eq!(taken(&cpus), vec![vec![]; 4]);
        }
        // The SPI before is as it was: level-sensitive, if the guest likes.
        linux::set_trigger(&cpus[0], 95, true);
        linux::set_trigger(&cpus[0], 95, false);
        assert_eq!(cpus[0].gicd_read(gicd::ICFGR + 5 * 4) >> 30, 0);
    }
}

#[test]
fn ispendr_and_icpendr_are_the_same_pending_state() {
    let (domain, cpus) = framed(Profile::GICV2, 0, 1);
    let pending = |spi| linux::bit(&cpus[0], gicd::ISPENDR, spi);
    // Disabled, it stays pending.
    assert_eq!(message(&domain, 40), Ok(()));
    assert!(pending(40) && !pending(41));
    linux::poke(&cpus[0], gicd::ICPENDR, 40);
    assert!(!pending(40));
    linux::enable(&cpus[0], 40);
    assert_eq!(cpus[0].take_all(), [], "it was cleared");
    linux::poke(&cpus[0], gicd::ISPENDR, 40);
    assert_eq!(cpus[0].take_all(), [40]);
    linux::disable(&cpus[0], 40);
    assert_eq!(message(&domain, 40), Ok(()));
    linux::poke(&cpus[0], gicd::ISPENDR, 40);
    linux::enable(&cpus[0], 40);
    assert_eq!(cpus[0].take_all(), [40], "one latch");
    assert!(!pending(40));
}

#[test]
fn refused_by_a_frame_messages_change_nothing() {
    let (domain, cpus) = framed(Profile::GICV2, 64, 1);
    (32..128).for_each(|spi| linux::enable(&cpus[0], spi));
    let nowhere = [0, 15, 31, 32, 95, 128, 1019, 1023];
    for spi in nowhere {
        assert_eq!(message(&domain, spi), Err(ENOENT), "SPI {spi}");
        assert_eq!(cpus[0].store(SETSPI, Size::Word, spi.into()), Ok(()));
        assert_eq!(taken(&cpus), [vec![]]);
    }
    for address in [
        0,
        FRAME,
        SETSPI - 4,
        SETSPI + 4,
        SETSPI + 0x1000,
        0x0809_0040,
    ] {
        let sent = domain.inject_msi(1, address, 0, DEVICE, 96);
        assert_eq!(sent, Err(ENOENT), "{address:#x}");
    }
    assert_eq!(domain.inject_msi(1, SETSPI, 1, DEVICE, 96), Err(ENOENT));
    assert_eq!(
        domain.set_limits(256, 1, 1),
        Err(EOPNOTSUPP),
        "there is nothing to limit"
    );
    assert_eq!(taken(&cpus), [vec![]]);
    // Bits 9 to 0 are the SPI.
    assert_eq!(message(&domain, 96 | 0xffff_fc00), Ok(()));
    assert_eq!(taken(&cpus), [vec![96]]);
    // Who sends is not asked.
    assert_eq!(domain.inject_msi(1, SETSPI, 0, !0, 97), Ok(()));
    assert_eq!(taken(&cpus), [vec![97]]);
    // A domain without the flag has no frame.
    let (domain, cpus) = {
        let machine = Arc::clone(&domain.machine);
        drop(cpus);
        drop(domain);
        let domain = Domain::with_vcpus(&machine, Config::guest(2, 1)).expect("a domain");
        let cpus = linux::boot(&domain);
        (domain, cpus)
    };
    assert_eq!(message(&domain, 96), Err(ENOENT));
    assert_eq!(domain.msi_spis(), None);
    assert!(cpus[0].load(TYPER, Size::Word).is_err());
}

/// What is passed through has SPIs of its own: one of the frame's has no line, and would be silent of whatever is behind it.
#[test]
fn message_spis_are_connected_to_no_physical_interrupt() {
    for profile in [Profile::GICV2, Profile::GICV3_GICV] {
        let machine = Machine::power_on(profile);
        let config = Config {
            spis: 64,
            ..Config::guest(2, 1).with_msi()
        };
        let domain = Domain::with_vcpus(&machine, config).expect("a domain");
        let (base, count) = domain.msi_spis().expect("a frame");
        for (spi, level) in (base..base + count).flat_map(|spi| [(spi, true), (spi, false)]) {
            assert_eq!(domain.route(spi, 60, level), Err(EBUSY), "SPI {spi}");
            assert!(!domain.has_hw_irq(spi), "SPI {spi}");
        }
        // The last before them is nobody's yet; and the physical interrupt is not used up.
        assert_eq!(domain.route(base - 1, 60, true), Ok(()));
        assert!(domain.has_hw_irq(base - 1));
        let cpus = linux::boot(&domain);
        linux::enable(&cpus[0], base - 1);
        machine.gic.set_line(60, true);
        assert_eq!(cpus[0].ack(), base - 1);
        machine.gic.set_line(60, false);
        cpus[0].eoi(base - 1);
        // Messages come as they do.
        for spi in [base, base + count - 1] {
            linux::enable(&cpus[0], spi);
            assert_eq!(message(&domain, spi), Ok(()));
            assert_eq!(taken(&cpus), [vec![spi]]);
        }
        // Without a frame these are SPIs like others.
        drop(cpus);
        drop(domain);
        let config = Config {
            spis: base + count - 32,
            ..Config::guest(2, 1)
        };
        let domain = Domain::with_vcpus(&machine, config).expect("a domain");
        assert_eq!(domain.route(base, 60, true), Ok(()));
    }
}
