// SPDX-License-Identifier: GPL-2.0-only
use super::*;
use crate::comparison::chance::{self, Kind, Model};
use recording::driver::Driver;
use std::collections::BTreeMap;

fn head(gic: u8) -> Head {
    Head::small(gic)
}

/// A guest that has booted, with edges from 40 on and levels from 48 on, all enabled.
fn booted(head: &Head) -> Judge {
    let mut judge = Judge::new(head, 0);
    let driver = Driver::new(head, 0);
    let mut ops = driver.boot();
    ops.push(driver.trigger(40, true));
    ops.extend([40, 41, 48].map(|intid| driver.enable(intid)));
    for op in ops {
        assert_eq!(judge.see(&op, Seen::Done), (op, None));
    }
    judge
}

fn up(judge: &mut Judge, intid: u32, level: bool) {
    let op = Op::Line { intid, level };
    assert_eq!(judge.see(&op, Seen::Done).1, None);
}

fn ack(judge: &mut Judge, vcpu: u8, iar: u32) -> Option<String> {
    judge
        .see(&Op::Ack { vcpu, intid: None }, Seen::Taken(iar))
        .1
}

#[test]
fn what_is_not_pending_does_not_come_and_what_is_does() {
    for head in [head(2), head(3)] {
        let mut judge = booted(&head);
        assert!(ack(&mut judge, 0, 40).is_some());
        up(&mut judge, 40, true);
        assert!(ack(&mut judge, 0, SPURIOUS).is_some());
        let look = Op::Signal { vcpu: 0, on: None };
        let (right, wrong) = judge.see(&look, Seen::Signal(false));
        assert!(wrong.is_some());
        assert_eq!(
            right,
            Op::Signal {
                vcpu: 0,
                on: Some(true)
            }
        );
        assert_eq!(ack(&mut judge, 0, 40), None);
        assert!(ack(&mut judge, 0, 40).is_some(), "it is active");
    }
}

#[test]
fn of_equal_priorities_any_may_come() {
    let head = head(3);
    for first in [40, 41] {
        let mut judge = booted(&head);
        up(&mut judge, 40, true);
        up(&mut judge, 41, true);
        assert_eq!(ack(&mut judge, 0, first), None);
        assert!(
            ack(&mut judge, 0, 81 - first).is_some(),
            "it does not preempt"
        );
    }
}

#[test]
fn what_fell_may_come_once_before_an_exit_and_not_after() {
    let head = head(2);
    for exits in [false, true] {
        let mut judge = booted(&head);
        up(&mut judge, 48, true);
        up(&mut judge, 48, false);
        if exits {
            judge.see(&Op::Exit { vcpu: 0 }, Seen::Done);
        }
        assert_eq!(ack(&mut judge, 0, 48).is_some(), exits);
        judge.see(
            &Op::Eoi {
                vcpu: 0,
                intid: Some(48),
            },
            Seen::Done,
        );
        assert!(ack(&mut judge, 0, 48).is_some(), "once");
    }
}

#[test]
fn what_any_may_take_is_at_one_that_can() {
    let head = head(3);
    let mut judge = booted(&head);
    let anywhere = match Driver::new(&head, 0).route(40, 0) {
        Op::Write {
            vcpu,
            register,
            size,
            ..
        } => Op::Write {
            vcpu,
            register,
            size,
            value: 1 << 31,
        },
        op => panic!("{op}"),
    };
    judge.see(&anywhere, Seen::Done);
    up(&mut judge, 40, true);
    let mut look = |vcpu, on| {
        judge
            .see(&Op::Signal { vcpu, on: None }, Seen::Signal(on))
            .1
    };
    assert_eq!(look(0, false), None, "it is at vCPU 1");
    assert!(look(1, false).is_some(), "it is nowhere");
    assert_eq!(look(1, true), None);
}

#[test]
fn what_is_left_open_is_not_done() {
    let head = head(2);
    let mut judge = booted(&head);
    let eoi = |intid| Op::Eoi { vcpu: 0, intid };
    assert_eq!(judge.resolve(&eoi(None)), None, "nothing is active");
    assert_eq!(
        judge.resolve(&Driver::new(&head, 0).trigger(40, false)),
        None,
        "it is enabled"
    );
    up(&mut judge, 40, true);
    ack(&mut judge, 0, 40);
    assert_eq!(judge.resolve(&eoi(None)), Some(eoi(Some(40))));
    let split = Op::Set {
        vcpu: 0,
        field: Field::EoiMode,
        value: 1,
    };
    assert_eq!(judge.resolve(&split), None, "something is active");
    let dir = Op::Dir {
        vcpu: 0,
        intid: Some(40),
    };
    assert_eq!(judge.resolve(&dir), None, "EOImode is 0");
}

/// What a vGIC shows that does as the oracle says.
fn answer(judge: &Judge, op: &Op) -> Seen {
    let Some(n) = op.vcpu().map(usize::from) else {
        return Seen::Done;
    };
    let cpu = &judge.gic.cpus[n];
    let outside = matches!(
        op,
        Op::On { .. }
            | Op::Resume { .. }
            | Op::Preempt { .. }
            | Op::Migrate { .. }
            | Op::PrivateLine { .. }
    );
    match *op {
        _ if outside => Seen::Done,
        _ if !cpu.on_cpu() || cpu.waiting => Seen::Away,
        Op::Ack { .. } => Seen::Taken(judge.gic.acknowledge(n)[0].0),
        Op::Signal { .. } => Seen::Signal(judge.gic.signal(n)[0]),
        Op::Read { register, size, .. } => Seen::Value(judge.gic.load(n, register, size).0),
        _ => Seen::Done,
    }
}

#[test]
fn enough_happens_in_scripts_by_chance() {
    for model in Model::ALL {
        let mut happened: BTreeMap<String, u32> = BTreeMap::new();
        for seed in 0..200 {
            let script = chance::script(model, seed, &Kind::ALL);
            let mut judge = Judge::new(&script.head, script.espis);
            for op in &script.ops[..] {
                let Some(op) = judge.resolve(op) else {
                    continue;
                };
                let seen = answer(&judge, &op);
                let (_, wrong) = judge.see(&op, seen);
                assert_eq!(wrong, None, "{op}, of {seed}");
                let name = match seen {
                    Seen::Taken(SPURIOUS) | Seen::Away => continue,
                    _ => op
                        .to_string()
                        .split(' ')
                        .next()
                        .unwrap_or_default()
                        .to_owned(),
                };
                *happened.entry(name).or_default() += 1;
            }
        }
        for (name, least) in [
            ("ack", 2000),
            ("eoi", 2000),
            ("dir", 150),
            ("off", 30),
            ("on", 300),
            ("wait", 30),
            ("line", 2500),
        ] {
            let times = happened.get(name).copied().unwrap_or(0);
            assert!(times >= least, "{name}: {times} times, {model:?}");
        }
    }
}
