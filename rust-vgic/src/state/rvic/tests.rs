// SPDX-License-Identifier: GPL-2.0-only
//! What is saved of rVICs is what is restored, and nothing else is.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use super::*;
use crate::fake::chance::Chance;
use crate::fake::{Fake, v2};
use crate::rvic::{Config, Messages};
use crate::state::{DESCRIPTOR, Field};
use std::collections::BTreeSet;

const SMALL: Config = Config {
    vcpus: 2,
    trusted: 32,
    untrusted: 64,
    inputs: 40,
    messages: Some(Messages {
        first: 36,
        count: 4,
    }),
    level_inputs: true,
};

const MAP: u64 = 0xc500_0101;
const ENABLE: u64 = 0xc500_0202;
const CLEAR_MASKED: u64 = 0xc500_0205;
const SIGNAL: u64 = 0xc500_0207;
const ACKNOWLEDGE: u64 = 0xc500_0209;

fn new_of(config: &Config) -> Domain<Fake> {
    let domain = Domain::new(config, Fake::default()).unwrap();
    for n in 0..config.vcpus {
        let id = VcpuId::new(n as u32).unwrap();
        domain.create_vcpu(id, n).unwrap();
    }
    domain
}

fn new() -> Domain<Fake> {
    new_of(&SMALL)
}

fn own(d: &Domain<Fake>, n: usize) -> &Rvic<usize> {
    d.vcpu(VcpuId::new(n as u32).unwrap()).unwrap()
}

fn call(d: &Domain<Fake>, n: usize, function: u64, args: [u64; 3]) -> Option<u64> {
    let [status, value, ..] = d.call(own(d, n), function, args).unwrap();
    (status == 0).then_some(value)
}

/// Something of everything: vCPU 1 is disabled.
fn used() -> Domain<Fake> {
    let d = new();
    for n in [0, 1] {
        call(&d, n, ENABLE, [0; 3]).unwrap();
    }
    for intid in [95, 3, 40, 17, 64] {
        call(&d, 0, CLEAR_MASKED, [0, intid, 0]).unwrap();
        call(&d, 0, SIGNAL, [0, intid, 0]).unwrap();
    }
    call(&d, 0, SIGNAL, [0, 5, 0]).unwrap();
    call(&d, 1, SIGNAL, [1, 33, 0]).unwrap();
    call(&d, 1, CLEAR_MASKED, [1, 33, 0]).unwrap();
    assert_eq!(call(&d, 0, ACKNOWLEDGE, [0; 3]), Some(95));
    call(&d, 1, ENABLE + 1, [0; 3]).unwrap();
    for (input, vcpu, intid) in [(0, 0, 40), (35, 1, 64), (39, 1, 95)] {
        call(&d, 0, MAP, [input, vcpu, intid]).unwrap();
    }
    for input in [0, 1, 35] {
        d.inject_input(input, true).unwrap();
    }
    d.inject_private(own(&d, 0), 27, true).unwrap();
    d.inject_private(own(&d, 1), 26, true).unwrap();
    d.host().kicked();
    d
}

fn save(d: &Domain<Fake>) -> Vec<u8> {
    d.save_boxed().unwrap().to_vec()
}

/// Its records, where they begin, and their fields.
fn records(stream: &[u8]) -> Vec<(Record, usize, &'static [Field])> {
    let mut all = Vec::new();
    let mut records = Records::new(stream);
    while records.at() < stream.len() {
        let framed = records.next().unwrap();
        let fields = match framed.record {
            Record::Header => HeaderState::FIELDS,
            Record::Rvic => RvicState::FIELDS,
            Record::Rvid => RvidState::FIELDS,
            _ => &[],
        };
        all.push((framed.record, framed.at, fields));
    }
    all
}

/// Restores into a new one: either that is then what the stream says, or it is as it was.
fn try_restore(stream: &[u8]) -> Result<(), RestoreError> {
    let d = new();
    let before = save(&d);
    let done = d.restore(stream);
    let expected = if done.is_ok() { stream } else { &before };
    assert!(save(&d) == expected, "{done:?}");
    done
}

fn drain(d: &Domain<Fake>, n: usize) -> Vec<u64> {
    core::iter::from_fn(|| call(d, n, ACKNOWLEDGE, [0; 3])).collect()
}

#[test]
fn what_was_saved_goes_on() {
    let d = used();
    let stream = save(&d);
    let there = new();
    there.restore(&stream).unwrap();
    assert_eq!(save(&there), stream);
    assert_eq!(there.host().kicked(), [0], "it may sleep");
    for d in [&d, &there] {
        assert_eq!(drain(d, 0), [3, 40, 17, 64]);
        // What comes now is behind all that was there.
        assert_eq!(call(d, 1, ACKNOWLEDGE, [0; 3]), None);
        for intid in [26, 64] {
            call(d, 1, CLEAR_MASKED, [1, intid, 0]).unwrap();
        }
        call(d, 1, ENABLE, [0; 3]).unwrap();
        assert_eq!(drain(d, 1), [33, 26, 64]);
    }
}

#[test]
fn the_order_goes_on_with_what_comes() {
    let there = new();
    there.restore(&save(&used())).unwrap();
    call(&there, 0, CLEAR_MASKED, [0, 5, 0]).unwrap();
    call(&there, 0, CLEAR_MASKED, [0, 27, 0]).unwrap();
    assert_eq!(drain(&there, 0), [3, 40, 17, 64, 5, 27]);
}

/// Lines that have risen since the domain was made are events for what is restored, and stay high.
#[test]
fn what_has_risen_since_is_kept() {
    let d = used();
    call(&d, 0, MAP, [3, 0, 41]).unwrap();
    assert_eq!(call(&d, 0, ACKNOWLEDGE, [0; 3]), Some(3));
    let there = new();
    // Of the first the stream knows, and of the first two where they go.
    for input in [0, 3, 2] {
        there.inject_input(input, true).unwrap();
    }
    for intid in [27, 28] {
        there.inject_private(own(&there, 0), intid, true).unwrap();
    }
    call(&d, 0, ACKNOWLEDGE, [0; 3]).unwrap();
    there.restore(&save(&d)).unwrap();
    // 40 was taken before it was saved, and input 0 is no event since; input 3 is one.
    assert!(!there.is_pending(own(&there, 0), 40));
    assert!(there.is_pending(own(&there, 0), 41));
    assert!(there.is_pending(own(&there, 0), 28));
    let high = |input| there.rvid.entry(input).unwrap().line();
    assert!([0, 1, 2, 3, 35].into_iter().all(high) && !high(4));
}

#[test]
fn a_domain_that_is_used_is_not_restored() {
    let stream = save(&used());
    let busy = |d: &Domain<Fake>| d.restore(&stream).map_err(|error| error.why);
    let uses: [fn(&Domain<Fake>); 4] = [
        |d| d.enter(own(d, 1)),
        |d| assert_eq!(call(d, 1, ENABLE, [0; 3]), Some(0)),
        |d| assert_eq!(call(d, 1, CLEAR_MASKED, [0, 70, 0]), Some(0)),
        |d| assert_eq!(call(d, 1, MAP, [39, 0, 40]), Some(0)),
    ];
    for used in uses {
        let d = new();
        used(&d);
        assert_eq!(busy(&d), Err(Why::Busy));
        d.leave(own(&d, 1));
        d.reset().unwrap();
        assert_eq!(busy(&d), Ok(()));
    }
    let d = new();
    d.enter(own(&d, 0));
    assert_eq!(d.save_boxed(), Err(SaveError::Busy));
    assert_eq!(d.reset(), Err(crate::Error::Busy));
}

#[test]
fn a_buffer_that_is_too_small_is_refused() {
    let d = used();
    let size = d.save_size();
    assert_eq!(new().save_size(), size);
    let mut buffer = vec![0; size + 8];
    for room in 0..size {
        assert_eq!(d.save_to(&mut buffer[..room]), Err(SaveError::NoRoom));
    }
    assert_eq!(d.save_to(&mut buffer), Ok(size));
}

#[test]
fn a_stream_that_ends_early_or_late_is_refused() {
    let stream = save(&used());
    for end in 0..stream.len() {
        let error = try_restore(&stream[..end]).unwrap_err();
        assert_eq!(error.why, Why::Truncated, "{end}: {error}");
    }
    let longer = [&stream[..], &[0]].concat();
    assert_eq!(try_restore(&longer).unwrap_err().why, Why::Order);
}

#[test]
fn every_byte_of_a_stream_counts() {
    let stream = save(&used());
    for at in 0..stream.len() {
        for flip in [0xff, 0x01, 0x80] {
            let mut broken = stream.clone();
            broken[at] ^= flip;
            let _ = try_restore(&broken);
        }
    }
}

#[test]
fn a_field_that_is_wrong_is_named() {
    let stream = save(&used());
    let mut named = BTreeSet::new();
    let mut all = BTreeSet::new();
    for (record, at, fields) in records(&stream) {
        for field in fields {
            all.insert((record, field.name));
            for n in 0..field.count {
                for fill in [0xff, 0x55, 0] {
                    let mut broken = stream.clone();
                    let place = at + field.offset + n * field.element;
                    broken[place..place + field.element].fill(fill);
                    if let Err(error) = try_restore(&broken) {
                        assert_eq!(error.record, Some(record), "{}: {error}", field.name);
                        if error.field == field.name {
                            assert_eq!(error.offset, at + field.offset, "{error}");
                            named.insert((record, field.name));
                        }
                    }
                }
            }
        }
    }
    // What is pending or masked can be anything; where it contradicts the order, that is named.
    let free = [(Record::Rvic, "pending"), (Record::Rvic, "masked")];
    let missing: Vec<_> = all.difference(&named).collect();
    assert_eq!(missing, free.iter().rev().collect::<Vec<_>>());
}

#[test]
fn bytes_by_chance_are_refused_or_restored() {
    let stream = save(&used());
    let mut chance = Chance::new(18);
    for _ in 0..3000 {
        let mut broken = stream.clone();
        for _ in 0..1 + chance.index(6) {
            let at = chance.index(broken.len());
            broken[at] = chance.next() as u8;
        }
        let _ = try_restore(&broken);
    }
}

#[test]
fn other_domains_refuse_it() {
    let stream = save(&used());
    let why = |config: Config| {
        let error = new_of(&config).restore(&stream).unwrap_err();
        (error.field, error.why)
    };
    let mismatch = |field| (field, Why::Mismatch);
    assert_eq!(why(Config { vcpus: 3, ..SMALL }), mismatch("vcpus"));
    let trusted = Config {
        trusted: 64,
        untrusted: 32,
        ..SMALL
    };
    assert_eq!(why(trusted), mismatch("trusted"));
    let untrusted = Config {
        untrusted: 32,
        ..SMALL
    };
    assert_eq!(why(untrusted), mismatch("untrusted"));
    let inputs = Config {
        inputs: 41,
        ..SMALL
    };
    assert_eq!(why(inputs), mismatch("inputs"));
    let messages = Config {
        messages: None,
        ..SMALL
    };
    assert_eq!(why(messages), mismatch("features"));
    let levels = Config {
        level_inputs: false,
        ..SMALL
    };
    assert_eq!(why(levels), mismatch("features"));
    for (first, count, field) in [(35, 4, "first"), (36, 3, "count")] {
        let messages = Some(Messages { first, count });
        assert_eq!(why(Config { messages, ..SMALL }), mismatch(field));
    }
    // Nor is one model's stream the other's.
    let gic = v2(2, 32);
    let error = gic.restore(&stream).unwrap_err();
    assert_eq!((error.field, error.why), mismatch("model"));
    let error = new().restore(&gic.save_boxed().unwrap()).unwrap_err();
    assert_eq!((error.field, error.why), mismatch("model"));
    let mut newer = stream.clone();
    newer[DESCRIPTOR + HeaderState::FIELDS[2].offset] = 2;
    assert_eq!(try_restore(&newer).unwrap_err().why, Why::Version);
}

/// The extremes of what can be saved.
#[test]
fn the_least_and_the_most() {
    let least = Config {
        vcpus: 1,
        trusted: 32,
        untrusted: 32,
        inputs: 0,
        ..Config::default()
    };
    let most = Config {
        vcpus: 128,
        trusted: 32,
        untrusted: 2016,
        inputs: 2016,
        ..SMALL
    };
    let most = Config {
        messages: None,
        ..most
    };
    for (config, records) in [(least, 2 + 1), (most, 128 * 64 + 63)] {
        let d = new_of(&config);
        let last = config.vcpus - 1;
        let me = (last & 15 | last >> 4 << 8) as u64;
        call(&d, last, ENABLE, [0; 3]).unwrap();
        let all = u64::from(config.interrupts());
        for n in (0..all).rev() {
            call(&d, last, CLEAR_MASKED, [me, n, 0]).unwrap();
            call(&d, last, SIGNAL, [me, n, 0]).unwrap();
        }
        let stream = save(&d);
        assert_eq!(super::tests::records(&stream).len(), 2 + records);
        let there = new_of(&config);
        there.restore(&stream).unwrap();
        assert_eq!(save(&there), stream);
        let order: Vec<u64> = (0..all).rev().collect();
        assert_eq!(drain(&there, last), order);
    }
}

/// What was saved of a domain in this version of the stream is restored by all later ones. It is written, once for each version, as those
/// of a GIC are: VGIC_WRITE_STREAMS=1 cargo test -p rust-vgic.
#[test]
fn a_stream_of_version_1_is_restored() {
    if std::env::var_os("VGIC_WRITE_STREAMS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/state/rvic/v1-rvic.bin");
        std::fs::write(path, save(&used())).unwrap();
    }
    let stream: &[u8] = include_bytes!("v1-rvic.bin");
    assert_eq!(try_restore(stream), Ok(()));
    assert_eq!(save(&used()), stream);
}

/// What has risen since the stream was written, or as it was, comes.
#[test]
fn sources_that_are_high_are_events() {
    let d = new();
    call(&d, 0, ENABLE, [0; 3]).unwrap();
    for intid in 0..32 {
        call(&d, 0, CLEAR_MASKED, [0, intid, 0]).unwrap();
    }
    let stream = d.save_boxed().unwrap();
    for source in [None, Some(false), Some(true)] {
        let there = new();
        *there.host().line.lock().unwrap() = source;
        there.restore(&stream).unwrap();
        assert_eq!(
            call(&there, 0, ACKNOWLEDGE, [0; 3]).is_some(),
            source == Some(true)
        );
    }
}

/// A line has risen as it is saved, and is no event yet: it is one where that is restored, or once its rVIC is enabled there.
#[test]
fn a_line_that_is_about_to_be_an_event_is_one_elsewhere() {
    for vcpu in [0, 1] {
        let d = used();
        let n = d.trusted(20).unwrap();
        assert!(own(&d, vcpu).rise(n));
        let stream = save(&d);
        let _ = d.signal(own(&d, vcpu), n, None);
        own(&d, vcpu).risen(n);
        let there = new();
        there.restore(&stream).unwrap();
        if vcpu == 1 {
            call(&there, vcpu, ENABLE, [0; 3]).unwrap();
        }
        assert!(there.is_pending(own(&there, vcpu), 20));
        assert!(!there.is_pending(own(&there, vcpu), 21));
    }
}

/// However its words were left: two CPU_ONs of one vCPU at once, one of which comes late.
#[test]
fn what_is_saved_says_the_same_of_all_words() {
    let d = used();
    let v = own(&d, 0);
    let _ = v.set_block(
        1,
        &Block {
            enabled: false,
            ..v.block(1)
        },
    );
    let there = new();
    assert_eq!(there.restore(&d.save_boxed().unwrap()), Ok(()));
}
