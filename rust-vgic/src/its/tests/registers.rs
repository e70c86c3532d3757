// SPDX-License-Identifier: GPL-2.0-only
//! Each register bit by bit (IHI 0069, sections 12.11 and 12.19), and where tables are.

use super::commands::two_events;
use super::*;

/// An ITS that is switched off, as are the LPIs of vCPU 0.
fn off() -> Rig {
    let rig = Rig::new();
    rig.write(0, CTLR, 0);
    rig.redist(0, 0, 0);
    for n in 1..VCPUS as u32 {
        rig.redist(n, 0, 0);
    }
    rig
}

#[test]
fn registers_keep_what_the_architecture_says() {
    let rig = off();
    for (offset, kept) in [
        (CBASER, 0xb8ef_ffff_ffff_fcff),
        // Type and Entry_Size are fixed: devices, and collections, of 8 bytes.
        (BASER0, 0xf9e7_ffff_ffff_ffff),
        (BASER1, 0xfce7_ffff_ffff_ffff),
        (0x110, 0),
        (0x138, 0),
    ] {
        rig.write(0, offset, u64::MAX);
        assert_eq!(rig.read(0, offset), kept, "{offset:#x}");
        rig.write(0, offset, 0);
        let fixed = match offset {
            BASER0 => 0x0107_0000_0000_0000,
            BASER1 => 0x0407_0000_0000_0000,
            _ => 0,
        };
        assert_eq!(rig.read(0, offset), fixed, "{offset:#x}");
    }
    assert_eq!(rig.read(0, 8), 0x17_0000_e971, "GITS_TYPER");
    rig.redist(0, 0x70, u64::MAX);
    assert_eq!(rig.redist_read(0, 0x70), 0x070f_ffff_ffff_ff9f);
    rig.redist(0, 0x78, u64::MAX);
    assert_eq!(rig.redist_read(0, 0x78), 0x070f_ffff_ffff_0f80, "no PTZ");
}

#[test]
fn an_enabled_its_keeps_its_tables_and_its_queue() {
    let rig = Rig::new();
    for offset in [CBASER, BASER0, BASER1] {
        let before = rig.read(0, offset);
        rig.write(0, offset, u64::MAX);
        assert_eq!(rig.read(0, offset), before, "{offset:#x}");
    }
    for offset in [0x70, 0x78] {
        let before = rig.redist_read(0, offset);
        rig.redist(0, offset, u64::MAX);
        assert_eq!(rig.redist_read(0, offset), before, "{offset:#x}");
    }
}

/// Entries of 32 bytes; bit 0 restarts a queue that has stalled and reads as zero.
#[test]
fn the_write_offset_is_that_of_a_command_in_the_queue() {
    let rig = off();
    rig.write(0, CBASER, 1 << 63 | QUEUE | 1);
    for (written, read) in [
        (0x3f, 0x20),
        (0x1fe0, 0x1fe0),
        (0x2000, 0x1fe0),
        (u64::MAX, 0x1fe0),
        (0, 0),
    ] {
        rig.write(0, CWRITER, written);
        assert_eq!(rig.read(0, CWRITER), read, "{written:#x}");
    }
}

#[test]
fn the_bits_of_a_device_and_of_an_event_are_1_to_32() {
    for (device_bits, event_bits, good) in [
        (1, 32, true),
        (32, 1, true),
        (0, 16, false),
        (33, 16, false),
        (16, 0, false),
        (16, 33, false),
    ] {
        let config = ItsConfig {
            device_bits,
            event_bits,
        };
        assert_eq!(create(&[config]).is_ok(), good, "{config:?}");
    }
}

/// GICR_PROPBASER.IDbits is one less than the number of bits; INTIDs of this domain have 15.
#[test]
fn lpis_end_with_the_configuration_table() {
    let rig = Rig::with(
        LpiConfig {
            id_bits: 15,
            ..LIMITS
        },
        1,
    );
    for (field, end) in [(12, 0), (13, 1 << 14), (14, 1 << 15), (31, 1 << 15)] {
        rig.set_propbaser(PROPS | field);
        let exists = |raw| rig.domain.lpis.number(raw).is_some();
        let last = (0..1 << 16).rev().find(|raw| exists(*raw));
        assert_eq!(last.map_or(0, |raw| raw + 1), end, "IDbits {field}");
    }
}

#[test]
fn a_flat_table_has_as_many_entries_as_its_pages_hold() {
    let rig = off();
    let has = |id| rig.domain.table_has(rig.its(), 0, id);
    assert!(!rig.domain.table_has(rig.its(), 2, 0), "there are two");
    for (page, entries) in [(0, 512), (1, 2048), (2, 8192), (3, 8192)] {
        for pages in [1, 3, 256] {
            rig.write(0, BASER0, 1 << 63 | DEVICES | page << 8 | (pages - 1));
            let entries = entries * pages;
            assert!(
                has(0) && has(entries - 1) && !has(entries),
                "{page} {pages}"
            );
        }
        rig.write(0, BASER0, DEVICES | page << 8);
        assert!(!has(0), "not valid");
    }
}

/// A valid entry of the first level stands for a page of the second.
#[test]
fn a_table_of_two_levels_has_what_its_first_level_says() {
    let rig = off();
    let host = rig.domain.host();
    let has = |id| rig.domain.table_has(rig.its(), 0, id);
    // With pages of 64 KiB, bits 15 to 12 are bits 51 to 48 of the address.
    for (page, size, field, at) in [
        (0, 0x1000, DEVICES, DEVICES),
        (1, 0x4000, DEVICES, DEVICES),
        (2, 0x1_0000, DEVICES | 0x5000, DEVICES | 5 << 48),
        (0, 0x1000, DEVICES | 0x5000, DEVICES | 0x5000),
    ] {
        let (second, first) = (size / 8, size / 8);
        host.poke(at, &vec![0; size as usize]);
        host.poke(at + size, &[0xff; 8]);
        host.poke(at + 3 * 8, &(1_u64 << 63).to_le_bytes());
        host.poke(at + (first - 1) * 8, &u64::MAX.to_le_bytes());
        rig.write(0, BASER0, 0b11 << 62 | field | page << 8);
        for (id, there) in [
            (0, false),
            (3 * second - 1, false),
            (3 * second, true),
            (4 * second - 1, true),
            (4 * second, false),
            ((first - 1) * second, true),
            (first * second - 1, true),
            // The first level ends here, whatever is behind it.
            (first * second, false),
        ] {
            assert_eq!(has(id), there, "page {size:#x}, ID {id:#x}");
        }
        rig.write(0, BASER0, 0b11 << 62 | 1 << 44 | page << 8);
        assert!(!has(0), "no memory");
    }
}

/// The same table with other attributes, or with more pages, is not another.
#[test]
fn with_another_table_nothing_is_mapped() {
    for (table, kept) in [
        (1 << 63 | DEVICES, true),
        (
            1 << 63 | 0b111 << 59 | 0b111 << 53 | 0b11 << 10 | 0xff | DEVICES,
            true,
        ),
        (DEVICES, false),
        (1 << 63 | 1 << 62 | DEVICES, false),
        (1 << 63 | 1 << 8 | DEVICES, false),
        (1 << 63 | 1 << 12 | DEVICES, false),
        (1 << 63 | 1 << 47 | DEVICES, false),
    ] {
        let rig = two_events();
        rig.write(0, CTLR, 0);
        rig.write(0, BASER0, table);
        assert_eq!(rig.state(8200).unwrap().mapped(), kept, "{table:#x}");
    }
}

/// CES and IR are set: LPIs can be disabled again, and invalidated by a redistributor. Half of a register says as much as all of
/// it, if it is the half with the INTID.
#[test]
fn a_redistributor_invalidates_by_words_too() {
    let mut rig = off();
    assert_eq!(rig.redist_read(0, 0), 0b110);
    (0..VCPUS as u32).for_each(|n| rig.redist(n, 0, 1));
    assert_eq!(rig.redist_read(0, 0), 0b111);
    rig.enable(0);
    rig.ok(mapc(0, 0, true));
    rig.ok(mapd(7, 5, true));
    rig.configure(8200, 0xa0, false);
    rig.ok(mapti(7, 0, 8200, 0));
    let (invlpir, invallr) = (0xa0, 0xb0);
    for (offset, value, enabled, seen) in [
        (invlpir + 4, 8200, true, false),
        (invlpir, 8201, true, false),
        (invlpir, 8200, true, true),
        (invallr + 4, 0, false, true),
        (invallr, 0, false, false),
    ] {
        rig.configure(8200, 0xa0, enabled);
        (rig.domain).redist_write(rig.domain.v(0), 0, offset, Width::Word, value);
        let state = rig.state(8200).unwrap();
        assert_eq!(state.enabled(), seen, "{offset:#x} {value}");
    }
}
