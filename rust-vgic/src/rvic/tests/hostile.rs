// SPDX-License-Identifier: GPL-2.0-only
//! A guest that calls whatever it likes, in whatever state: each answer is the model's, and costs no more than it should.

use super::model::Model;
use super::*;

/// Numbers at and around all that has a meaning.
fn extremes(config: &Config) -> Vec<u64> {
    let edges = [
        0,
        u64::from(config.trusted),
        u64::from(config.trusted + config.untrusted),
        u64::from(config.inputs),
        0x10,
        0x100,
        1 << 16,
        1 << 31,
        1 << 32,
        1 << 63,
    ];
    let mut all: Vec<u64> = edges
        .into_iter()
        .flat_map(|n| [n.wrapping_sub(1), n, n.wrapping_add(1)])
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Each function number of both ranges and around them.
fn functions() -> impl Iterator<Item = u64> {
    [(RVID, 0x20), (RVIC, 0x20)]
        .into_iter()
        .flat_map(|(base, count)| base - 1..base + count)
        .chain([RVID + 0xff, RVIC + 0xff, RVIC + 0x100])
}

fn pair(config: &Config, features: Option<u64>) -> (Domain<Fake>, Model) {
    let levels: Vec<bool> = (0..config.inputs).map(|n| config.is_level(n)).collect();
    let model = Model::new(
        config.vcpus,
        config.trusted as usize,
        config.untrusted as usize,
        &levels,
        features,
    );
    (domain(config), model)
}

/// Both are as they are after this many steps of a domain's life.
fn live(d: &Domain<Fake>, model: &mut Model, state: usize) {
    let life = [
        (0, ENABLE, [0; 3]),
        (0, CLEAR_MASKED, [0, 3, 0]),
        (0, SIGNAL, [0, 3, 0]),
        (1, ENABLE, [0; 3]),
        (0, MAP, [0, mpidr(1), 40]),
        (1, CLEAR_MASKED, [mpidr(1), 40, 0]),
        (1, SIGNAL, [mpidr(1), 40, 0]),
        (0, ACKNOWLEDGE, [0; 3]),
        (0, DISABLE, [0; 3]),
    ];
    for (n, function, args) in &life[..state] {
        assert_eq!(
            d.hvc(*n, *function, *args),
            model.call(*n, *function, *args)
        );
    }
}

#[test]
fn every_call_with_every_extreme_in_every_state() {
    let extended = Config {
        messages: Some(Messages { first: 4, count: 4 }),
        ..EXTENDED
    };
    for (config, features) in [(LEAST, None), (extended, Some(3))] {
        let extremes = extremes(&config);
        for state in 0..10 {
            let (d, mut model) = pair(&config, features);
            live(&d, &mut model, state);
            for function in functions() {
                let range = |base| (base..base + 0x100).contains(&function);
                if !range(RVID) && !range(RVIC) {
                    assert_eq!(d.call(d.v(0), function, [0; 3]), None);
                    continue;
                }
                for first in &extremes {
                    for second in &extremes {
                        // Only MAP has a third one.
                        let thirds = if function == MAP { &extremes[..] } else { &[7] };
                        for third in thirds {
                            let args = [*first, *second, *third];
                            let expected = model.call(0, function, args);
                            let found = d.hvc(0, function, args);
                            assert_eq!(found, expected, "{state} {function:#x} {args:#x?}");
                        }
                    }
                }
                for n in [0, 1] {
                    assert_eq!(
                        d.has_pending(d.v(n)),
                        model.line(n),
                        "{state} {function:#x}"
                    );
                }
            }
        }
    }
}

/// What is dearest, in a domain as large as can be: nothing takes longer than a look at each interrupt and each input.
#[test]
fn the_largest_domain_is_bounded() {
    let config = Config {
        vcpus: 128,
        trusted: 32,
        untrusted: 2016,
        inputs: 2016,
        messages: None,
        level_inputs: true,
    };
    let d = domain(&config);
    for input in 0..2016 {
        d.inject_input(input as u32, true).unwrap();
        d.done(0, MAP, [input, mpidr(127), input + 32]);
    }
    let own = d.v(127);
    for n in 0..2048 {
        d.done(127, CLEAR_MASKED, [mpidr(127), n, 0]);
    }
    d.done(127, ENABLE, [0; 3]);
    assert_eq!(own.counters.injections.0.load(SeqCst), 2 * 2016);
    for input in 0..2016 {
        assert_eq!(d.acknowledged(127), Some(input + 32));
    }
    assert_eq!(d.acknowledged(127), None);
}
