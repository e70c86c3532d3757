// SPDX-License-Identifier: GPL-2.0-only
//! Streams as they are, and broken ones: what is refused changes nothing, and what is not is what is saved again.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use super::*;
use crate::config::{Config, ItsConfig, Limits, LpiConfig, MsiFrame, Version};
use crate::fake::{Cpu, Fake, V3, domain_on};
use crate::intid::IntId;
use crate::lr::Format;
use crate::registers::Width;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::Ordering::SeqCst;

mod access;
mod docs;
mod fuzz;
mod merge;
mod old;

/// ICH_VTR_EL2 of five bits of priority, and of seven.
const FIVE: u32 = 4 << 29 | 4 << 26;
const SEVEN: u32 = 6 << 29 | 6 << 26;

const PROPS: u64 = 0x10_0000;
const QUEUE: u64 = 0x30_0000;
const DEVICES: u64 = 0x40_0000;
const COLLECTIONS: u64 = 0x41_0000;
const ITT: u64 = 0x50_0000;

fn v3_with(vtr: u32, vcpus: usize, spis: usize, lrs: usize) -> Domain<Fake> {
    let config = Config {
        vcpus,
        spis,
        espis: 32,
        list_registers: lrs,
        lpis: LpiConfig {
            id_bits: 14,
            limits: Limits::DEFAULT,
        },
        its: &[ItsConfig {
            device_bits: 8,
            event_bits: 8,
        }],
        ..V3
    };
    v3_of(&config, vtr, 1, &[PROPS, QUEUE, DEVICES, COLLECTIONS, ITT])
}

/// All that has to do with its ITSes: which devices are not the host's, and pages of the guest's memory.
fn v3_of(config: &Config<'_>, vtr: u32, software_from: u32, pages: &[u64]) -> Domain<Fake> {
    let d = domain_on(config, config.vcpus, || Cpu {
        traps_dir: true,
        vtr,
        ..Cpu::default()
    });
    d.host().software_from.store(software_from, SeqCst);
    for page in pages {
        d.host().poke(*page, &[0; 0x1000]);
    }
    d
}

fn v3() -> Domain<Fake> {
    v3_with(FIVE, 2, 32, 4)
}

fn v2_with(format: Format, frame: bool) -> Domain<Fake> {
    let config = Config {
        version: Version::V2,
        vcpus: 2,
        spis: 64,
        espis: 0,
        list_registers: 4,
        format,
        regions: &[],
        lpis: LpiConfig::default(),
        its: &[],
        msi_frame: frame.then_some(MsiFrame {
            base: 64,
            count: 16,
        }),
    };
    domain_on(&config, 2, || Cpu {
        traps_dir: format != Format::V2,
        vtr: FIVE,
        ..Cpu::default()
    })
}

fn v2() -> Domain<Fake> {
    v2_with(Format::V2, true)
}

fn command(d: &Domain<Fake>, at: u64, words: [u64; 4]) {
    command_to(d, (0, QUEUE), at, words);
}

/// The same for an ITS with its queue there.
fn command_to(d: &Domain<Fake>, (its, queue): (usize, u64), at: u64, words: [u64; 4]) {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    d.host().poke(queue + at, &bytes);
    d.its_write(d.v(0), its, 0x88, Width::Double, at + 32);
}

/// SPIs in many states: pending by line and by latch, active by a write and by an acknowledge, shared, routed elsewhere.
fn bring_up_spis(d: &Domain<Fake>, first: u32) {
    let v = d.v(0);
    let write = |offset, value| d.dist_write(v, offset, Width::Word, value);
    write(0, 3);
    for offset in [0x104, 0x204] {
        write(offset, 0x0000_ff00);
    }
    write(0xc0c, 0x0000_aaaa);
    write(0x304, 0x0003_0000);
    for n in 0..8 {
        write(0x420 + 4 * n, 0x5048_1018 + u64::from(n) * 0x0808);
    }
    for raw in first..first + 5 {
        d.inject(None, IntId::new(raw).unwrap(), true);
    }
}

/// A guest with something of everything.
fn used_v3() -> Domain<Fake> {
    let d = v3();
    let v = d.v(0);
    for n in 0..2_u64 {
        let rd = n * 0x2_0000;
        let redist = |offset, width, value| {
            d.redist_write(v, 0, rd + offset, width, value);
        };
        redist(0x14, Width::Word, n * 2);
        redist(0x70, Width::Double, PROPS | 13);
        redist(0x78, Width::Double, 1 << 62 | (0x60_0000 + n * 0x1_0000));
        redist(0x0, Width::Word, 1);
        redist(0x1_0100, Width::Word, 0xffff_00ff);
        redist(0x1_0400, Width::Word, 0x8008_6050);
        redist(0x1_0300, Width::Word, 1 << 20);
    }
    bring_up_spis(&d, 40);
    d.dist_write(v, 0x6100 + 8, Width::Double, 1 << 31);
    d.dist_write(v, 0x6100 + 16, Width::Double, 1);
    d.dist_write(v, 0x1200, Width::Word, 0xff);
    d.inject(None, IntId::new(4097).unwrap(), true);
    d.post_sgi(d.v(1), IntId::new(3).unwrap(), 0);
    d.post_sgi(v, IntId::new(2).unwrap(), 0);
    d.inject(Some(d.v(1)), IntId::new(30).unwrap(), true);
    d.host().poke(PROPS, &[0xa1; 64]);
    d.its_write(v, 0, 0x100, Width::Double, 1 << 63 | DEVICES);
    d.its_write(v, 0, 0x108, Width::Double, 1 << 63 | COLLECTIONS);
    d.its_write(v, 0, 0x80, Width::Double, 1 << 63 | QUEUE);
    d.its_write(v, 0, 0, Width::Word, 1);
    command(&d, 0, [8 | 2 << 32, 4, 1 << 63 | ITT, 0]);
    command(&d, 32, [9, 0, 1 << 63 | 1 << 16 | 2, 0]);
    command(&d, 64, [0xa | 2 << 32, 5 | 8200 << 32, 2, 0]);
    command(&d, 96, [0xa | 2 << 32, 6 | 8201 << 32, 2, 0]);
    assert_eq!(d.message(0, 2, 5), Ok(()));
    // Two acknowledge what they have, one of them in the end of both groups.
    let vmcr = 3 | 3 << 18 | 2 << 21 | 0xf0 << 24;
    d.host().cpus[0].vmcr.store(vmcr, SeqCst);
    d.enter(0);
    for lr in &d.host().cpus[0].lrs[..2] {
        let taken = lr.load(SeqCst) & !(3 << 62) | 2 << 62;
        lr.store(taken, SeqCst);
    }
    d.host().cpus[0].ap1r[0].store(1 << 3, SeqCst);
    d.leave(0);
    d
}

fn used_v2() -> Domain<Fake> {
    let d = v2();
    let v = d.v(0);
    bring_up_spis(&d, 40);
    let write = |offset, value| d.dist_write(v, offset, Width::Word, value);
    write(0x820, 0x0302_0100);
    write(0x82c, 0x0203_0201);
    write(0x80, 0x10);
    d.dist_write(d.v(1), 0xf00, Width::Word, 3 << 16 | 5);
    d.dist_write(v, 0xf00, Width::Word, 2 << 16 | 5);
    assert_eq!(d.spi_message(65), Ok(()));
    let vmcr = 3 | 1 << 2 | 3 << 18 | 2 << 21 | 0x1e << 27;
    d.host().cpus[0].vmcr.store(vmcr, SeqCst);
    d.enter(0);
    d.acknowledge_all();
    d.host().cpus[0].active_priorities[0].store(1 << 3, SeqCst);
    d
}

/// The memory of a guest goes with it.
fn with_memory_of(d: Domain<Fake>, from: &Domain<Fake>) -> Domain<Fake> {
    *d.host().memory.lock().unwrap() = from.host().memory.lock().unwrap().clone();
    d
}

/// A record: which, where the first byte is, and how many there are.
type Place = (Record, usize, usize);

/// The records of a stream, up to one that cannot be read.
fn framed(stream: &[u8]) -> impl Iterator<Item = Result<Place, RestoreError>> {
    let mut records = stream::Records::new(stream);
    std::iter::from_fn(move || {
        let next = (records.at() < stream.len()).then(|| records.next())?;
        Some(next.map(|framed| (framed.record, framed.at, framed.body.len())))
    })
}

/// All of them can be.
fn records(stream: &[u8]) -> Vec<Place> {
    framed(stream).collect::<Result<_, _>>().unwrap()
}

/// Where a field is in a stream that has its record at `at`.
fn place(at: usize, field: &Field) -> Range<usize> {
    let first = at + field.offset;
    first..first + field.element * field.count
}

/// Is it what the host has, or what is not of the stream alone?
fn is_of_others(d: &Domain<Fake>, record: Record, field: &Field) -> bool {
    let moved = record == Record::Lpi && field.name == "target";
    // A GICv2 has one register for both groups.
    let joined = d.format == Format::V2 && ["ap0r", "ap1r"].contains(&field.name);
    moved || joined || OF_THE_HOST.contains(&field.name)
}

fn fields(record: Record) -> &'static [Field] {
    match record {
        Record::End => &[],
        Record::Header => HeaderState::FIELDS,
        Record::Distributor => DistributorState::FIELDS,
        Record::Redistributor => RedistributorState::FIELDS,
        Record::CpuInterface => CpuInterfaceState::FIELDS,
        Record::Spi => SpiState::FIELDS,
        Record::Lpi => LpiState::FIELDS,
        Record::Its => ItsState::FIELDS,
        Record::MsiFrame => MsiFrameState::FIELDS,
        Record::Rvic => RvicState::FIELDS,
        Record::Rvid => RvidState::FIELDS,
    }
}

fn is_of_a_gic(record: Record) -> bool {
    !matches!(record, Record::Rvic | Record::Rvid)
}

/// Restores into a new one: either that is then what the stream says, or it is as it was.
fn try_restore(new: impl Fn() -> Domain<Fake>, stream: &[u8]) -> Result<(), RestoreError> {
    let d = new();
    let before = d.save_boxed().unwrap();
    let done = d.restore(stream);
    let after = d.save_boxed().unwrap();
    match done {
        Ok(()) => {
            let (mut is, mut was) = (after.to_vec(), stream.to_vec());
            if is.len() != was.len() {
                // The guest's memory has LPIs of which the stream knows nothing.
                let lpis = |stream| {
                    records(stream)
                        .iter()
                        .filter(|r| r.0 == Record::Lpi)
                        .count()
                };
                assert!(lpis(&is) > lpis(&was));
                return done;
            }
            for (record, at, _) in records(stream) {
                let others = fields(record).iter();
                for field in others.filter(|f| is_of_others(&d, record, f)) {
                    let place = place(at, field);
                    is[place.clone()].fill(0);
                    was[place].fill(0);
                }
            }
            let place = is.iter().zip(&was).position(|(a, b)| a != b);
            let about = place.map(|place| {
                let mut all = records(stream).into_iter();
                let (record, at, _) = all.rfind(|r| r.1 <= place).unwrap();
                let mut fields = fields(record).iter();
                let field = fields.rfind(|f| at + f.offset <= place).unwrap();
                (
                    record,
                    field.name,
                    place - at - field.offset,
                    is[place],
                    was[place],
                )
            });
            assert_eq!(about, None, "what was restored is another thing");
        }
        Err(_) => assert_eq!(after, before, "what was refused has changed something"),
    }
    done
}

/// What the host has, and the guest's memory: the stream does not make it so.
const OF_THE_HOST: [&str; 7] = [
    "priority_bits",
    "connected",
    "held",
    "host_pending",
    "owned",
    "route",
    "pended",
];

type Kind = (fn() -> Domain<Fake>, fn() -> Domain<Fake>);
const KINDS: [Kind; 2] = [(v3, used_v3), (v2, used_v2)];

#[test]
fn streams_of_used_domains_say_something_of_everything() {
    let mut seen = BTreeSet::new();
    for (_, used) in KINDS {
        let stream = used().save_boxed().unwrap();
        for (record, at, _) in records(&stream) {
            for field in fields(record) {
                let bytes = &stream[place(at, field)];
                if bytes.iter().any(|byte| *byte != 0) {
                    seen.insert((record, field.name));
                }
            }
        }
    }
    let all = Record::ALL
        .iter()
        .filter(|record| is_of_a_gic(**record))
        .flat_map(|record| fields(*record).iter().map(|f| (*record, f.name)));
    let unused: Vec<_> = all.filter(|field| !seen.contains(field)).collect();
    let none = [
        (Record::Header, "model"),
        (Record::Header, "abi_revision"),
        (Record::Header, "reserved"),
        (Record::Redistributor, "reserved"),
        (Record::Redistributor, "pended"),
        (Record::Redistributor, "connected"),
        (Record::Redistributor, "held"),
        (Record::Redistributor, "reserved2"),
        (Record::CpuInterface, "sre"),
        (Record::Spi, "reserved"),
        (Record::Spi, "connected"),
        (Record::Spi, "held"),
        (Record::Spi, "host_pending"),
        (Record::Spi, "reserved2"),
        (Record::Lpi, "reserved"),
        (Record::MsiFrame, "reserved"),
    ];
    let unused: BTreeSet<_> = unused.into_iter().collect();
    let more: Vec<_> = unused
        .iter()
        .filter(|field| !none.contains(field))
        .collect();
    assert!(more.is_empty(), "{more:?}");
}

#[test]
fn round_trip_is_the_same_stream() {
    for (new, used) in KINDS {
        let d = used();
        let stream = d.save_boxed().unwrap();
        assert_eq!(d.save_size(), Ok(stream.len()));
        assert_eq!(d.save_boxed().unwrap(), stream, "saving changes nothing");
        let restored = try_restore(|| with_memory_of(new(), &d), &stream);
        assert_eq!(restored, Ok(()));
    }
}

#[test]
fn a_domain_in_use_is_busy() {
    for (_, used) in KINDS {
        let d = used();
        let stream = d.save_boxed().unwrap();
        let error = d.restore(&stream).unwrap_err();
        assert_eq!(error.why, Why::Busy);
        assert_eq!(d.save_boxed().unwrap(), stream);
        while d.reset() == Progress::Again {}
        assert_eq!(d.restore(&stream), Ok(()), "after a reset it is new");
        assert_eq!(d.save_boxed().unwrap(), stream);
        d.enter(0);
        assert_eq!(d.save_size(), Err(SaveError::Busy), "a vCPU runs");
        d.leave(0);
    }
}

#[test]
fn a_stream_that_ends_early_is_refused() {
    for (new, used) in KINDS {
        let d = used();
        let stream = d.save_boxed().unwrap();
        let new = with_memory_of(new(), &d);
        let before = new.save_boxed().unwrap();
        for end in 0..stream.len() {
            let error = new.restore(&stream[..end]).unwrap_err();
            assert_eq!(error.why, Why::Truncated, "{end}: {error}");
            assert!(error.offset <= end, "{end}: {error}");
        }
        assert_eq!(new.save_boxed().unwrap(), before);
        let mut longer = stream.to_vec();
        longer.push(0);
        assert_eq!(new.restore(&longer).unwrap_err().why, Why::Order);
        assert_eq!(new.save_boxed().unwrap(), before);
    }
}

#[test]
fn every_byte_of_a_stream_counts() {
    for (new, used) in KINDS {
        let d = used();
        let stream = d.save_boxed().unwrap();
        for at in 0..stream.len() {
            for flip in [0xff, 0x01, 0x80] {
                let mut broken = stream.to_vec();
                broken[at] ^= flip;
                let _ = try_restore(|| with_memory_of(new(), &d), &broken);
            }
        }
    }
}

#[test]
fn a_field_that_is_wrong_is_named() {
    let mut named = BTreeSet::new();
    for (new, used) in KINDS {
        let d = used();
        let stream = d.save_boxed().unwrap();
        for (record, at, _) in records(&stream) {
            for field in fields(record) {
                let fills = [0xff, 0x55, 0];
                for (n, fill) in (0..field.count).flat_map(|n| fills.map(|fill| (n, fill))) {
                    let mut broken = stream.to_vec();
                    let place = at + field.offset + n * field.element;
                    broken[place..place + field.element].fill(fill);
                    if let Err(error) = try_restore(|| with_memory_of(new(), &d), &broken) {
                        assert_eq!(error.record, Some(record), "{}: {error}", field.name);
                        assert!(error.offset >= at, "{}: {error}", field.name);
                        if error.field == field.name {
                            assert_eq!(error.offset, at + field.offset, "{error}");
                            named.insert((record, field.name));
                        }
                    }
                }
            }
        }
    }
    // Of these, all values are good somewhere, or another field is named first.
    let free = [
        (Record::Redistributor, "group"),
        (Record::Redistributor, "enabled"),
        (Record::Redistributor, "active"),
        (Record::Redistributor, "held"),
        (Record::Spi, "group"),
        (Record::Spi, "enabled"),
        (Record::Spi, "latch"),
        (Record::Spi, "line"),
        (Record::Spi, "active"),
        (Record::Spi, "connected"),
    ];
    let all = Record::ALL
        .iter()
        .filter(|record| is_of_a_gic(**record))
        .flat_map(|record| fields(*record).iter().map(|f| (*record, f.name)));
    let missing: Vec<_> = all
        .filter(|field| !named.contains(field) && !free.contains(field))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn other_hosts_and_domains() {
    let d = used_v3();
    let stream = d.save_boxed().unwrap();
    let restore = |other: Domain<Fake>| {
        let error = with_memory_of(other, &d).restore(&stream);
        error.map_err(|e| (e.record, e.field, e.why))
    };
    let header = |field| Err((Some(Record::Header), field, Why::Mismatch));
    for lrs in [1, 2, 16] {
        assert_eq!(restore(v3_with(FIVE, 2, 32, lrs)), Ok(()), "{lrs}");
    }
    // What it has is possible with more bits of priority.
    assert_eq!(restore(v3_with(SEVEN, 2, 32, 4)), Ok(()));
    assert_eq!(restore(v3_with(FIVE, 3, 32, 4)), header("vcpus"));
    assert_eq!(restore(v3_with(FIVE, 2, 64, 4)), header("spis"));
    assert_eq!(restore(crate::fake::v3(2, 32, 32)), header("id_bits"));
    assert_eq!(restore(v2()), header("gic"));
    // And what another had with seven is not with five.
    let seven = v3_with(SEVEN, 2, 32, 4);
    let vmcr = 1 | 1 << 18 | 0xf0 << 24;
    seven.host().cpus[1].vmcr.store(vmcr, SeqCst);
    let stream = seven.save_boxed().unwrap();
    let error = v3().restore(&stream).unwrap_err();
    assert_eq!(
        (error.record, error.instance),
        (Some(Record::CpuInterface), 1)
    );
    assert_eq!((error.field, error.why), ("bpr0", Why::Mismatch));
    assert_eq!(v3_with(SEVEN, 2, 32, 4).restore(&stream), Ok(()));
}

#[test]
fn a_gicv2_guest_goes_between_both_kinds_of_hardware() {
    let gicv3 = Format::V3 { sources: true };
    let d = used_v2();
    let stream = d.save_boxed().unwrap();
    let there = v2_with(gicv3, true);
    assert_eq!(there.restore(&stream), Ok(()));
    assert_eq!(there.save_boxed().unwrap(), stream);
    let back = v2();
    assert_eq!(back.restore(&stream), Ok(()));
    assert_eq!(back.host().save_interface(0), d.host().save_interface(0));
    let other = v2_with(gicv3, false).restore(&stream).unwrap_err();
    assert_eq!(other.why, Why::Order, "it has no GICv2m: {other}");
}

#[test]
fn a_newer_stream_is_refused() {
    let stream = used_v3().save_boxed().unwrap();
    let mut newer = stream.to_vec();
    newer[DESCRIPTOR + HeaderState::FIELDS[2].offset] = 2;
    let error = v3().restore(&newer).unwrap_err();
    assert_eq!((error.field, error.why), ("stream", Why::Version));
    assert_eq!(
        error.to_string(),
        "HEADER 0, stream at 0x10: its version is not known"
    );
    for (record, at, _) in records(&stream).into_iter().filter(|r| r.2 != 0) {
        let mut newer = stream.to_vec();
        newer[at] = 2;
        let error = v3().restore(&newer).unwrap_err();
        assert_eq!(error.record, Some(record));
        assert_eq!((error.field, error.why), ("version", Why::Version));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Several things are wrong at once.
    #[test]
    fn whatever_is_in_a_stream_is_refused_or_restored(
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..12),
        moved in any::<(usize, usize, usize)>(),
    ) {
        for (new, used) in KINDS {
            let d = used();
            let mut stream = d.save_boxed().unwrap().to_vec();
            let (from, to, len) = (moved.0 % stream.len(), moved.1 % stream.len(), moved.2 % 64);
            if moved.2 % 3 == 0 {
                let piece: Vec<u8> = stream.iter().skip(from).take(len).copied().collect();
                stream.splice(to..to, piece);
            }
            for (at, byte) in &changes {
                let at = at % stream.len();
                stream[at] = *byte;
            }
            let _ = try_restore(|| with_memory_of(new(), &d), &stream);
        }
    }

    #[test]
    fn bytes_by_chance_are_no_stream(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(try_restore(v3, &bytes).is_err());
    }
}
