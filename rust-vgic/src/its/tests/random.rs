// SPDX-License-Identifier: GPL-2.0-only
//! Random streams of commands: what they mean, and what they cannot do.

use super::model::{Error, Model, Sizes};
use super::*;
use proptest::prelude::*;

const SIZES: Sizes = Sizes {
    device_bits: DEVICE_BITS,
    event_bits: EVENT_BITS,
    collections: 256,
    lpi_end: 1 << 14,
    vcpus: VCPUS as u64,
};

#[derive(Clone, Debug)]
enum Step {
    Mapd(u32, u32, bool),
    Mapc(u16, u64, bool),
    Mapti((u32, u32), u32, u16),
    Movi((u32, u32), u16),
    Movall(u64, u64),
    Discard((u32, u32)),
    Int((u32, u32)),
    Clear((u32, u32)),
    Inv((u32, u32)),
    Invall(u16),
    /// A device's message, and what a guest does beside commands.
    Inject(u32),
    Configure(u32, u8, bool),
    Take(u32),
    /// The ITS is disabled and enabled again, with its table of devices, or of collections, in another place meanwhile.
    Power(bool, bool),
    /// The domain is saved, and another that is restored from that takes its place. What is pending is not of its ITS.
    Save,
}

/// A number that mostly is one of a few, so that commands meet.
fn few<T: Clone + std::fmt::Debug + 'static>(
    small: std::ops::Range<u32>,
    edges: &'static [u32],
    as_: fn(u32) -> T,
) -> impl Strategy<Value = T> {
    prop_oneof![
        12 => small.prop_map(as_),
        1 => prop::sample::select(edges).prop_map(as_),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let device = || few(0..3, &[255, 256, u32::MAX], |n| n);
    let event = || (device(), few(0..6, &[31, 32, 1023, 1024, u32::MAX], |n| n));
    let icid = || few(0..4, &[255, 256, 0xffff], |n| n as u16);
    let target = || few(0..4, &[4, 128, u32::MAX], u64::from);
    let lpi = || few(8192..8200, &[0, 8191, 0x3fff, 0x4000, u32::MAX], |n| n);
    let valid = || prop::bool::weighted(0.8);
    prop_oneof![
        2 => (device(), 1_u32..=11, valid()).prop_map(|(d, b, v)| Step::Mapd(d, b, v)),
        3 => (icid(), target(), valid()).prop_map(|(c, t, v)| Step::Mapc(c, t, v)),
        8 => (event(), lpi(), icid()).prop_map(|(e, l, c)| Step::Mapti(e, l, c)),
        3 => (event(), icid()).prop_map(|(e, c)| Step::Movi(e, c)),
        1 => (target(), target()).prop_map(|(a, b)| Step::Movall(a, b)),
        2 => event().prop_map(Step::Discard),
        4 => event().prop_map(Step::Int),
        2 => event().prop_map(Step::Clear),
        3 => event().prop_map(Step::Inv),
        2 => icid().prop_map(Step::Invall),
        8 => (8192_u32..8200).prop_map(Step::Inject),
        6 => (8192_u32..8200, any::<u8>(), valid()).prop_map(|(n, p, e)| Step::Configure(n, p, e)),
        4 => (0_u32..4).prop_map(Step::Take),
        2 => any::<(bool, bool)>().prop_map(|(d, c)| Step::Power(d, c)),
        1 => Just(Step::Save),
    ]
}

/// The command of a step, and what the model says to it.
fn both(model: &mut Model, step: &Step) -> Option<([u64; 4], Result<(), Error>)> {
    let m = model;
    Some(match *step {
        Step::Mapd(d, b, v) => (mapd(d, b, v), m.mapd(&SIZES, d, b, v)),
        Step::Mapc(c, t, v) => (mapc(c, t, v), m.mapc(&SIZES, c, t, v)),
        Step::Mapti(e, l, c) => (mapti(e.0, e.1, l, c), m.mapti(&SIZES, e, l, c)),
        Step::Movi(e, c) => (movi(e.0, e.1, c), m.movi(&SIZES, e, c)),
        Step::Movall(a, b) => (movall(a, b), m.movall(&SIZES, a, b)),
        Step::Discard(e) => (of_event(DISCARD, e.0, e.1), m.discard(&SIZES, e)),
        Step::Int(e) => (of_event(INT, e.0, e.1), m.set_pending(&SIZES, e, true)),
        Step::Clear(e) => (of_event(CLEAR, e.0, e.1), m.set_pending(&SIZES, e, false)),
        Step::Inv(e) => (of_event(INV, e.0, e.1), m.inv(&SIZES, e)),
        Step::Invall(c) => (invall(c), m.invall(&SIZES, c)),
        Step::Inject(_) | Step::Configure(..) | Step::Take(_) | Step::Power(..) | Step::Save => {
            return None;
        }
    })
}

fn check(rig: &Rig, model: &Model) -> Result<(), TestCaseError> {
    for intid in 8192..8200 {
        let s = rig.state(intid);
        let Some(lpi) = model.lpis.get(&intid) else {
            prop_assert!(s.is_none_or(|s| !s.mapped() && !s.pending()), "{}", intid);
            continue;
        };
        let s = s.unwrap();
        prop_assert!(s.mapped());
        prop_assert_eq!(s.pending(), lpi.pending, "{}", intid);
        prop_assert_eq!(s.enabled(), lpi.enabled, "{}", intid);
        prop_assert_eq!(s.priority5(), lpi.priority >> 3, "{}", intid);
        let number = |v: VcpuId| u32::from(v.raw());
        if lpi.pending {
            prop_assert_eq!(s.target().map(number), lpi.at, "{}", intid);
        }
        let mapped = rig.domain.lpis.get(IntId::new(intid).unwrap()).unwrap();
        prop_assert_eq!(mapped.route().map(number), lpi.target, "{}", intid);
    }
    let events = rig.domain.host().events.lock().unwrap();
    prop_assert_eq!(events.len(), model.lpis.len());
    let devices = rig.domain.host().devices.lock().unwrap();
    prop_assert_eq!(devices.len(), model.devices.len());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Also if the ITS is disabled and enabled in between, wherever its tables are then.
    #[test]
    fn commands_do_what_the_model_says(steps in prop::collection::vec(step(), 1..120)) {
        let (mut rig, mut model) = (Rig::new(), Model::default());
        for step in &steps {
            if let Some((command, expected)) = both(&mut model, step) {
                let code = rig.command(command);
                prop_assert_eq!(code & 0xff, expected.err().unwrap_or(0), "{:?}", step);
                prop_assert_eq!(code == 0, expected.is_ok());
            }
            match *step {
                Step::Inject(intid) => {
                    rig.inject(intid);
                    model.inject(intid);
                }
                Step::Configure(intid, priority, enabled) => {
                    rig.configure(intid, priority, enabled);
                    model.configuration.insert(intid, (priority & 0xfc, enabled));
                }
                Step::Take(n) => {
                    let mut taken = rig.take(n);
                    taken.sort_unstable();
                    prop_assert_eq!(taken, model.take(n));
                }
                Step::Power(devices, collections) => {
                    rig.power(devices, collections);
                    if devices {
                        // What an event is mapped to anew is configured as in memory.
                        (8192..8200).for_each(|intid| model.reload(intid));
                    }
                }
                Step::Save => {
                    rig = super::restore::another(&rig, LIMITS).unwrap();
                    model.lpis.values_mut().for_each(|lpi| lpi.pending = false);
                    (8192..8200).for_each(|intid| model.reload(intid));
                }
                _ => {}
            }
            check(&rig, &model)?;
        }
    }

    /// Whatever is in the queue and in the registers: an end, and no more memory than allowed.
    #[test]
    fn a_hostile_guest_gets_nowhere(
        words in prop::collection::vec(hostile(), 1..100),
        writes in prop::collection::vec((0_u32..0x40, any::<u64>(), any::<bool>()), 0..20),
        holes in prop::collection::vec(0_usize..4, 0..2),
    ) {
        let limits = LpiConfig { limits: Limits { lpis: 512, devices: 4, events: 64 }, ..LIMITS };
        let mut rig = Rig::with(limits, 1);
        for hole in holes {
            let page = [PROPS, DEVICES, PENDING, PROPS + 0x1000][hole];
            rig.domain.host().memory.lock().unwrap().remove(&page);
        }
        let mut writes = writes.into_iter();
        for command in words {
            rig.put(command);
            let mut traps = 0;
            while rig.write(0, CWRITER, rig.at.into()) == Progress::Again {
                traps += 1;
                prop_assert!(traps < 1000);
            }
            if let Some((offset, value, wide)) = writes.next() {
                let width = if wide { Width::Double } else { Width::Word };
                rig.domain.its_write(rig.domain.v(1), 0, offset * 8, width, value & !(0xfff << 52));
                rig.domain.redist_write(rig.domain.v(1), 0, u64::from(offset * 8), width, value & !(0xfff << 52));
            }
            let host = rig.domain.host();
            prop_assert!(host.events.lock().unwrap().len() <= 64);
            prop_assert!(host.devices.lock().unwrap().len() <= 4);
            (8192..8704).step_by(37).for_each(|intid| rig.inject(intid));
        }
        let pages = rig.domain.lpis.all(0).count() / 256;
        prop_assert!(pages <= 2);
    }
}

/// Commands that exist, with anything in their fields.
fn hostile() -> impl Strategy<Value = [u64; 4]> {
    let word = || {
        prop_oneof![
            any::<u64>(),
            Just(u64::MAX),
            Just(0),
            (0_u64..8, 0_u64..8).prop_map(|(a, b)| a << 32 | b),
            (0_u64..8, 8190_u64..8200).prop_map(|(a, b)| b << 32 | a),
            (0_u64..8).prop_map(|a| 1 << 63 | a),
        ]
    };
    (0_u64..0x10, 0_u64..8, word(), word(), word())
        .prop_map(|(number, device, a, b, c)| [number | device << 32, a, b, c])
}
