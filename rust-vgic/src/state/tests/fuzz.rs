// SPDX-License-Identifier: GPL-2.0-only
//! Streams and tables in guest memory by chance, led by what they reach in the code: `cargo xtask fuzz`. What was found so is in
//! `fuzz/corpus`, and each test run goes through it.
//!
//! Whatever the input, restoring it does not panic, nor does anything after it; takes no more memory than the domain's limits allow;
//! changes nothing, allocates nothing and writes nothing where it is refused. What is accepted is what is saved then, that can be restored
//! and is saved as the same again, and is a vGIC that can be run, used and reset to a new one.
//!
//! The driver is our own, on the counters that stable rustc has LLVM make: libFuzzer would bring its licence and a C++ compiler, and knows
//! nothing of records and tables.

mod coverage;
mod driver;
mod memory;
mod mutate;

use super::*;
use crate::fake::chance::Chance;
use mutate::mutate;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Bytes of a page, and how much of an input is looked at.
const PAGE: usize = 0x1000;
const MOST_POKES: usize = 64;
const MOST_STREAM: usize = 0x4000;

/// Tables of a second ITS, and where ITTs may be.
const QUEUE2: u64 = 0x31_0000;
const DEVICES2: u64 = 0x42_0000;
const COLLECTIONS2: u64 = 0x43_0000;
const ITTS: [u64; 4] = [ITT, ITT + 0x800, 0x51_0000, DEVICES];
/// Guest memory that an input can change, by number.
const PAGES: [u64; 10] = [
    DEVICES,
    COLLECTIONS,
    ITT,
    0x51_0000,
    DEVICES2,
    COLLECTIONS2,
    PROPS,
    QUEUE,
    QUEUE2,
    0x60_0000,
];

/// A doubleword of guest memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Poke {
    /// Which of [`PAGES`]; with bit 7 it is not there.
    page: u8,
    slot: u16,
    value: u64,
}

/// What is restored, where, and with what in guest memory.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Input {
    kind: u8,
    pokes: Vec<Poke>,
    stream: Vec<u8>,
}

impl Input {
    /// Any bytes are one.
    fn parse(bytes: &[u8]) -> Self {
        let (kind, rest) = bytes
            .split_first()
            .map_or((0, bytes), |(k, rest)| (*k, rest));
        let (count, rest) = rest.split_first().map_or((0, rest), |(n, rest)| (*n, rest));
        let end = (usize::from(count).min(MOST_POKES) * 11).min(rest.len());
        let (pokes, stream) = rest.split_at(end);
        let pokes = pokes.chunks_exact(11).map(|poke| Poke {
            page: poke[0],
            slot: u16::from_le_bytes([poke[1], poke[2]]),
            value: u64::from_le_bytes(poke[3..].try_into().unwrap()),
        });
        Self {
            kind,
            pokes: pokes.collect(),
            stream: stream[..stream.len().min(MOST_STREAM)].to_vec(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.kind, self.pokes.len() as u8];
        for poke in &self.pokes {
            bytes.push(poke.page);
            bytes.extend(poke.slot.to_le_bytes());
            bytes.extend(poke.value.to_le_bytes());
        }
        bytes.extend(&self.stream);
        bytes
    }
}

/// A kind of domain.
struct Base {
    new: fn() -> Domain<Fake>,
    memory: HashMap<u64, [u8; PAGE]>,
    /// Of one that is in use, and of a new one.
    stream: Box<[u8]>,
    fresh: Box<[u8]>,
}

/// A GICv2 guest on a GICv3.
fn v2_on_v3() -> Domain<Fake> {
    v2_with(Format::V3 { sources: true }, true)
}

const FEW: Limits = Limits {
    lpis: 512,
    devices: 3,
    events: 6,
};

/// Two ITSes that may map little, one of which has devices of the host's.
fn two() -> Domain<Fake> {
    let its = ItsConfig {
        device_bits: 10,
        event_bits: 6,
    };
    let config = Config {
        vcpus: 3,
        list_registers: 2,
        lpis: LpiConfig {
            id_bits: 14,
            limits: FEW,
        },
        its: &[its, its],
        ..V3
    };
    v3_of(&config, SEVEN, 2, &PAGES)
}

fn used_two() -> Domain<Fake> {
    let d = two();
    let v = d.v(0);
    d.dist_write(v, 0, Width::Word, 2);
    d.host().poke(PROPS, &[0xa1; 0x200]);
    for n in 0..3_u64 {
        let rd = n * 0x2_0000;
        let redist = |offset, width, value| d.redist_write(v, 0, rd + offset, width, value);
        redist(0x14, Width::Word, 0);
        redist(0x70, Width::Double, PROPS | 13);
        redist(0x78, Width::Double, 1 << 62 | (0x60_0000 + n * 0x1_0000));
        redist(0x0, Width::Word, u64::from(n != 2));
    }
    let tables = [
        (DEVICES, COLLECTIONS, QUEUE),
        (DEVICES2, COLLECTIONS2, QUEUE2),
    ];
    for (its, (devices, collections, queue)) in (0..).zip(tables) {
        d.its_write(v, its, 0x100, Width::Double, 1 << 63 | devices);
        d.its_write(v, its, 0x108, Width::Double, 1 << 63 | collections);
        d.its_write(v, its, 0x80, Width::Double, 1 << 63 | queue);
        d.its_write(v, its, 0, Width::Word, 1);
        let first = its as u64;
        let itt = ITT + first * 0x1_0000;
        let commands = [
            [8 | (1 + first) << 32, 4, 1 << 63 | itt, 0],
            [9, 0, 1 << 63 | first << 16 | 2, 0],
            [9, 0, 1 << 63 | 2 << 16 | 5, 0],
            [
                0xa | (1 + first) << 32,
                5 | (8200 + first * 256) << 32,
                2,
                0,
            ],
            [0xa | (1 + first) << 32, 17 | (8300 + first) << 32, 5, 0],
        ];
        for (at, words) in (0..).step_by(32).zip(commands) {
            command_to(&d, (its, queue), at, words);
        }
    }
    assert_eq!(d.message(1, 2, 5), Ok(()));
    assert_eq!(d.message(1, 2, 17), Err(crate::MessageError::Disabled));
    d.inject_lpi(IntId::new(8200).unwrap());
    d
}

fn base(new: fn() -> Domain<Fake>, used: fn() -> Domain<Fake>) -> Base {
    let d = used();
    let stream = d.save_boxed().unwrap();
    let memory = d.host().memory.lock().unwrap().clone();
    Base {
        new,
        memory,
        stream,
        fresh: new().save_boxed().unwrap(),
    }
}

static BASES: LazyLock<[Base; 4]> = LazyLock::new(|| {
    [
        base(v3, used_v3),
        base(v2, used_v2),
        base(v2_on_v3, used_v2),
        base(two, used_two),
    ]
});

fn base_of(input: &Input) -> &'static Base {
    &BASES[usize::from(input.kind) % BASES.len()]
}

/// Bytes of memory from an address on.
type Range = (u64, u64);

/// Where the ITSes of a stream that were enabled have their tables, as far as they are known to be good: `None` for those of two levels.
fn ranges(d: &Domain<Fake>, stream: &[u8]) -> Option<Vec<Range>> {
    let mut all = Vec::new();
    let word = |at: u64| {
        let bytes = [0, 1, 2, 3, 4, 5, 6, 7].map(|n| d.host().peek(at + n).unwrap_or_default());
        u64::from_le_bytes(bytes)
    };
    let its = records(stream).into_iter().filter(|r| r.0 == Record::Its);
    for (_, at, _) in its {
        let get =
            |offset: usize| u64::from_le_bytes(stream[at + offset..][..8].try_into().unwrap());
        let (ctlr, devices, collections, bits) = (get(4) & 1, get(32), get(40), get(48) as u32);
        if ctlr == 0 {
            continue;
        }
        let address = |baser: u64| match baser >> 8 & 3 {
            0 | 1 => baser & 0xffff_ffff_f000,
            _ => baser & 0xffff_ffff_0000 | (baser & 0xf000) << 36,
        };
        if devices >> 63 != 0 {
            if devices >> 62 & 1 != 0 {
                return None;
            }
            let page = [0x1000, 0x4000, 0x1_0000, 0x1_0000][(devices >> 8 & 3) as usize];
            let ids = (((devices & 0xff) + 1) * page / 8).min(1 << bits);
            all.push((address(devices), address(devices) + ids * 8));
            for id in 0..ids {
                let entry = word(address(devices) + id * 8);
                if entry >> 63 != 0 {
                    let itt = entry >> 5 << 8 & 0xf_ffff_ffff_ff00;
                    all.push((itt, itt + (8 << ((entry & 0x1f) + 1))));
                }
            }
        }
        if collections >> 63 != 0 {
            if collections >> 62 & 1 != 0 {
                return None;
            }
            all.push((address(collections), address(collections) + 0x900));
        }
    }
    Some(all)
}

/// Has the guest tables that are not in each other's way?
fn are_apart(mut ranges: Vec<Range>) -> bool {
    ranges.sort_unstable();
    ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0)
}

/// What was restored is what the stream says. Guest memory may have LPIs besides.
fn assert_restored(d: &Domain<Fake>, stream: &[u8], saved: &[u8]) {
    let of = |stream: &[u8]| {
        let all = records(stream).into_iter();
        let key =
            |at: usize| u32::from_le_bytes(stream[at - DESCRIPTOR..][..4].try_into().unwrap());
        let all = all.map(|(record, at, len)| (key(at), (record, stream[at..at + len].to_vec())));
        all.collect::<HashMap<_, _>>()
    };
    let (was, is) = (of(stream), of(saved));
    let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap());
    let word = |spis: &[u8], name| {
        let field = SpiState::FIELDS.iter().find(|f| f.name == name).unwrap();
        number(&spis[place(0, field)])
    };
    for (key, (record, whole)) in &was {
        let is = &is.get(key).unwrap_or_else(|| panic!("no {record:?}")).1;
        let mapped = whole.get(16..20).map_or(0, number);
        let compared = fields(*record).iter();
        for field in compared.filter(|f| !is_of_others(d, *record, f)) {
            let place = place(0, field);
            let (was, is) = (&whole[place.clone()], &is[place]);
            // What several may take goes to one of them, whoever takes it now.
            if *record == Record::Spi && field.name == "target" {
                continue;
            }
            // With no physical interrupt behind it, an edge that the host had is pending by itself.
            if *record == Record::Spi && field.name == "latch" {
                let edges = word(whole, "host_pending") & !word(whole, "level");
                assert_eq!(word(whole, "latch") | edges, number(is), "SPI latch");
                continue;
            }
            if *record != Record::Lpi {
                assert_eq!(was, is, "{record:?} {}", field.name);
                continue;
            }
            match field.name {
                "enabled" | "latch" | "mapped" => {
                    assert_eq!(number(was), number(is) & mapped, "LPI {}", field.name);
                }
                "priority" => {
                    for n in (0..32).filter(|n| mapped >> n & 1 != 0) {
                        assert_eq!(was[n], is[n], "LPI priority {n}");
                    }
                }
                _ => (),
            }
        }
    }
}

/// It runs, takes messages and writes, and can be reset to a new one.
fn use_it(d: &Domain<Fake>, base: &Base) {
    for n in 0..d.vcpus.len() as u32 {
        d.enter(n);
        d.leave(n);
    }
    let v = d.v(0);
    for n in 0..d.its.len() {
        for (device, event) in (0..4).flat_map(|device| (0..20).map(move |event| (device, event))) {
            let _ = d.message(n, device, event);
        }
        let quiescent = || d.its_read(v, n, 0, Width::Word) >> 31 != 0;
        d.its_write(v, n, 0, Width::Word, 0);
        assert!((0..10_000).any(|_| quiescent()), "it is never quiescent");
        let on = || d.its_write(v, n, 0, Width::Word, 1) == Progress::Done;
        assert!((0..100_000).any(|_| on()), "it is never done");
    }
    for n in 0..d.vcpus.len() as u32 {
        d.enter(n);
        d.leave(n);
    }
    let done = (0..10_000).any(|_| d.reset() == Progress::Done);
    assert!(done, "it is never reset");
    let saved = d.save_boxed().unwrap();
    assert_eq!(
        saved.len(),
        base.fresh.len(),
        "as many records as of a new one"
    );
    for (record, at, _) in records(&saved) {
        if record == Record::CpuInterface {
            continue;
        }
        for field in fields(record).iter().filter(|f| f.name != "line") {
            let place = place(at, field);
            let (is, was) = (&saved[place.clone()], &base.fresh[place]);
            assert_eq!(is, was, "after a reset: {record:?} {}", field.name);
        }
    }
}

/// Restores an input. Whether it was accepted.
fn check(input: &Input) -> bool {
    let base = base_of(input);
    let d = (base.new)();
    {
        let mut memory = d.host().memory.lock().unwrap();
        memory.clone_from(&base.memory);
        for poke in &input.pokes {
            let page = PAGES[usize::from(poke.page & 0x7f) % PAGES.len()];
            if poke.page & 0x80 != 0 {
                memory.remove(&page);
            } else if let Some(bytes) = memory.get_mut(&page) {
                let at = usize::from(poke.slot) * 8 % PAGE;
                bytes[at..at + 8].copy_from_slice(&poke.value.to_le_bytes());
            }
        }
    }
    let ways = [&d.host().reads, &d.host().writes];
    ways.iter().for_each(|way| way.store(0, SeqCst));
    let (done, left, most) = memory::of(|| d.restore(&input.stream));
    // What the domain may have mapped, what says what, and a little.
    let its: Vec<_> = (d.its.iter())
        .map(|its| ItsConfig {
            device_bits: its.device_bits,
            event_bits: its.event_bits,
        })
        .collect();
    let limit = crate::its::most_bytes(d.limits(), &its) + its.len() as u64 * 2048 + 8192;
    assert!(most as u64 <= limit, "{most} bytes of {limit}");
    assert!(ways[0].load(SeqCst) < 1 << 14, "{ways:?}");
    let Err(error) = done else {
        let saved = d.save_boxed().unwrap();
        assert_restored(&d, &input.stream, &saved);
        if ranges(&d, &input.stream).is_some_and(are_apart) {
            let again = with_memory_of((base.new)(), &d);
            assert_eq!(again.restore(&saved), Ok(()), "what was saved");
            assert!(again.save_boxed().unwrap() == saved, "no fixed point");
        }
        use_it(&d, base);
        return true;
    };
    assert!(!error.to_string().is_empty() && error.offset <= input.stream.len());
    assert_eq!(ways[1].load(SeqCst), 0, "refused, and has written: {error}");
    assert_eq!(left, 0, "refused, and keeps memory: {error}");
    assert!(d.host().devices.lock().unwrap().is_empty());
    assert!(
        d.save_boxed().unwrap() == base.fresh,
        "refused, and is not new: {error}"
    );
    false
}

/// Of each kind one that is in use, and a new one.
fn seeds() -> Vec<Input> {
    let streams: [fn(&Base) -> &[u8]; 2] = [|base| &base.stream, |base| &base.fresh];
    let all = streams.into_iter().flat_map(|of| {
        (0..).zip(BASES.iter()).map(move |(kind, base)| Input {
            kind,
            pokes: Vec::new(),
            stream: of(base).to_vec(),
        })
    });
    all.collect()
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/state/tests/fuzz/corpus")
}

fn read_all(folder: &Path) -> Vec<(PathBuf, Input)> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).unwrap();
        (path, Input::parse(&bytes))
    };
    paths.into_iter().map(read).collect()
}

/// Its name is what is in it.
fn write(folder: &Path, input: &Input) -> PathBuf {
    let bytes = input.bytes();
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    std::fs::create_dir_all(folder).unwrap();
    let path = folder.join(format!("{hash:016x}.bin"));
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn fuzz_seeds_are_restored() {
    for seed in seeds() {
        assert!(check(&seed), "{}", seed.kind);
        assert_eq!(Input::parse(&seed.bytes()), seed);
    }
}

/// All that is kept, and another one: VGIC_FUZZ_INPUT=FILE cargo test -p rust-vgic fuzz_kept.
#[test]
fn fuzz_kept_inputs_break_nothing() {
    let kept = read_all(&corpus());
    assert!(!kept.is_empty());
    let named = std::env::var_os("VGIC_FUZZ_INPUT").map(PathBuf::from);
    let named = named.map(|path| (path.clone(), Input::parse(&std::fs::read(path).unwrap())));
    let mut accepted = 0;
    for (path, input) in kept.iter().chain(&named) {
        let done = std::panic::catch_unwind(|| check(input));
        accepted += u32::from(done.unwrap_or_else(|_| panic!("{}", path.display())));
    }
    assert!(accepted > 0 && accepted < kept.len() as u32);
}

/// Some of what chance makes of the seeds, without being led.
#[test]
fn fuzz_by_chance() {
    let seeds = seeds();
    let mut chance = Chance::new(1);
    for n in 0..400 {
        let of = &seeds[n % seeds.len()];
        let other = &seeds[chance.index(seeds.len())];
        let input = mutate(&mut chance, of, other, &[]);
        let done = std::panic::catch_unwind(|| check(&input));
        assert!(
            done.is_ok(),
            "{}",
            write(&std::env::temp_dir(), &input).display()
        );
    }
}
