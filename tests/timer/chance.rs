// SPDX-License-Identifier: GPL-2.0-only
//! Whatever was done to it, in whatever order: once all of it is over, the timer works as ever, and what sleeps is woken by it.

use super::*;
use vgic_harness::guests::guest::Size;

struct Random(fastrand::Rng);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0.u64(..n)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    Cpu,
    Waits,
    Preempted,
    Off,
}

const REGISTERS: [u64; 6] = [0x1_0100, 0x1_0180, 0x1_0200, 0x1_0280, 0x1_0300, 0x1_0380];
const OWN: [u64; 4] = [
    gicd::ISPENDR,
    gicd::ICPENDR,
    gicd::ISACTIVER,
    gicd::ICACTIVER,
];

struct State {
    at: At,
    acked: Vec<u32>,
    dropped: Vec<u32>,
    split: bool,
    enabled: bool,
    pmr: u8,
    priority: u8,
    group1: bool,
    group: bool,
    /// Written active, perhaps.
    written: bool,
    /// Written pending, and not taken or cleared since.
    pended: bool,
}

impl State {
    fn is_open(&self) -> bool {
        self.priority < self.pmr && self.group1
    }
}

fn group(cpu: &GuestCpu, on: bool) {
    let all = if cpu.vcpu.gic_version == 3 { 0x12 } else { 1 };
    cpu.gicd_write(0, if on { all } else { 0 });
}

fn round(domain: &Domain, cpus: &mut [GuestCpu], seed: u64) {
    let mut r = Random(fastrand::Rng::with_seed(seed));
    let (first, second) = cpus.split_at_mut(1);
    let (owner, writer) = (&mut first[0], &mut second[0]);
    let mut s = State {
        at: At::Cpu,
        acked: vec![],
        dropped: vec![],
        split: false,
        enabled: true,
        pmr: 0xf0,
        priority: 0xa0,
        group1: true,
        group: true,
        written: false,
        pended: false,
    };
    let mut log = vec![];
    let v3 = owner.vcpu.gic_version == 3;
    for _ in 0..40 {
        let op = r.below(32);
        log.push((op, s.at));
        let on = s.at == At::Cpu;
        match op {
            0..=2 => expire(owner),
            3 if on => owner.vcpu.program_vtimer(),
            4 if on => owner.vcpu.timer.set_expired(false),
            5 if on => owner.vcpu.timer.write(r.below(4)),
            6..=8 if on && owner.signalled() => {
                let n = owner.ack();
                if n == TIMER {
                    s.pended = false;
                }
                if n < 1020 {
                    s.acked.push(n);
                }
            }
            9 | 10 if on => {
                if let Some(n) = s.acked.pop() {
                    owner.eoi(n);
                    if s.split {
                        s.dropped.push(n);
                    }
                }
            }
            11 | 12 if on => {
                let n = r.below(s.dropped.len().max(1) as u64) as usize;
                if n < s.dropped.len() {
                    owner.dir(s.dropped.remove(n));
                }
            }
            13 if on => {
                let register = OWN[r.below(4) as usize];
                s.written |= register == gicd::ISACTIVER;
                match register {
                    gicd::ISPENDR => s.pended = true,
                    gicd::ICPENDR => s.pended = false,
                    _ => {}
                }
                linux::poke(owner, register, TIMER);
            }
            14 if on => {
                s.enabled = r.below(2) == 0;
                if s.enabled {
                    linux::enable(owner, TIMER);
                } else {
                    linux::disable(owner, TIMER);
                }
            }
            15 if on => {
                s.pmr = [0xf0, 0x60, 0x10][r.below(3) as usize];
                owner.set_pmr(s.pmr);
            }
            16 | 17 if v3 => {
                let register = REGISTERS[r.below(6) as usize];
                match register {
                    0x1_0100 => s.enabled = true,
                    0x1_0180 => s.enabled = false,
                    0x1_0300 => s.written = true,
                    0x1_0200 => s.pended = true,
                    0x1_0280 => s.pended = false,
                    _ => {}
                }
                let base = writer.gicr_of(owner.vcpu.id).expect("a redistributor");
                let _ = writer.store(base + register, Size::Word, 1 << TIMER);
            }
            18 if on && !owner.signalled() && !owner.wfi() => {
                s.at = At::Waits;
            }
            19 if on => {
                owner.preempt();
                s.at = At::Preempted;
            }
            19 | 20 if s.at == At::Preempted => {
                owner.unpreempt();
                s.at = At::Cpu;
            }
            20 if on => owner.hypercall(|| ()),
            21 => {
                let at = r.below(3) as usize;
                if at != 1 {
                    let at = if at == 0 { 0 } else { 2 };
                    if s.at != At::Off && (on || s.at == At::Preempted) {
                        owner.migrate(at);
                    }
                }
            }
            22 => domain.machine.late_vtimer(owner.cpu()),
            23 if on => {
                let n = 40 + r.below(3) as u32;
                crowd(
                    domain,
                    owner,
                    n..n + 1,
                    [0x20, 0x80, 0xb0][r.below(3) as usize],
                );
            }
            24 if on && r.below(3) == 0 => {
                owner.psci_off();
                s.at = At::Off;
            }
            24 if s.at == At::Off => {
                writer.psci_on(owner);
                linux::init_cpu(owner);
                linux::enable(owner, TIMER);
                s = State {
                    at: At::Cpu,
                    acked: vec![],
                    dropped: vec![],
                    split: s.split,
                    enabled: true,
                    pmr: 0xf0,
                    priority: 0xa0,
                    group1: true,
                    group: s.group,
                    written: false,
                    pended: s.pended,
                };
                owner.set_pmr(0xf0);
                owner.set_eoimode(s.split);
            }
            25 if on && s.acked.is_empty() && s.dropped.is_empty() => {
                s.split = r.below(2) == 0;
                owner.set_eoimode(s.split);
            }
            26 if on => {
                s.group = r.below(2) == 0;
                group(owner, s.group);
            }
            27 if v3 && matches!(s.at, At::Preempted | At::Off | At::Waits) => {
                let base = writer.gicr_of(owner.vcpu.id).expect("a redistributor");
                let read = writer
                    .load(base + 0x1_0200, Size::Word)
                    .expect("a register");
                let high = owner.vcpu.timer.read() == CNT_ENABLE | CNT_PENDING;
                let want = high || s.pended;
                assert_eq!(
                    read >> TIMER & 1 != 0,
                    want,
                    "seed {seed}: other's: {log:?}"
                );
            }
            28 if on => {
                s.priority = [0x20, 0x80, 0xb0][r.below(3) as usize];
                linux::set_priority(owner, TIMER, s.priority);
            }
            29 if v3 => {
                s.priority = [0x20, 0x80, 0xb0][r.below(3) as usize];
                let base = writer.gicr_of(owner.vcpu.id).expect("a redistributor");
                let to = base + 0x1_0400 + u64::from(TIMER);
                let _ = writer.store(to, Size::Byte, s.priority.into());
            }
            30 if v3 => {
                s.group1 = r.below(2) == 0;
                let base = writer.gicr_of(owner.vcpu.id).expect("a redistributor");
                let all = if s.group1 { !0 } else { !(1 << TIMER) };
                let _ = writer.store(base + 0x1_0080, Size::Word, all & 0xffff_ffff);
            }
            31 => {
                s.group = r.below(2) == 0;
                group(writer, s.group);
            }
            _ => {}
        }
        if s.at == At::Waits {
            let plain = s.acked.is_empty() && s.dropped.is_empty() && !s.written;
            let high = owner.vcpu.timer.read() == CNT_ENABLE | CNT_PENDING;
            let woke = owner.try_wake();
            assert!(
                woke || !(plain && s.enabled && s.is_open() && s.group && high),
                "seed {seed}: it sleeps: {log:?}"
            );
            if woke {
                s.at = At::Cpu;
            }
        }
        if s.at == At::Cpu {
            let plain = s.acked.is_empty() && s.dropped.is_empty() && !s.written;
            owner.step();
            let shows = shown(owner).0;
            let high = owner.vcpu.timer.read() == CNT_ENABLE | CNT_PENDING;
            assert_eq!(shows, high || s.pended, "seed {seed}: shown: {log:?}");
            if plain && s.enabled && s.is_open() && s.group && high {
                assert!(owner.signalled(), "seed {seed}: lost: {log:?}");
            }
        }
    }
    match s.at {
        At::Cpu => {}
        At::Waits => {
            owner.vcpu.set_awake();
            assert!(owner.try_wake());
        }
        At::Preempted => owner.unpreempt(),
        At::Off => {
            writer.psci_on(owner);
            linux::init_cpu(owner);
            s.acked.clear();
            s.dropped.clear();
        }
    }
    while let Some(n) = s.acked.pop() {
        owner.eoi(n);
        if s.split {
            s.dropped.push(n);
        }
    }
    for n in s.dropped.drain(..) {
        owner.dir(n);
    }
    owner.set_eoimode(false);
    owner.set_pmr(0xf0);
    group(owner, true);
    if v3 {
        linux::private_write(owner, gicd::IGROUPR, !0);
    }
    linux::set_priority(owner, TIMER, 0xa0);
    for n in [TIMER, 40, 41, 42] {
        linux::poke(owner, gicd::ICACTIVER, n);
    }
    owner.vcpu.program_vtimer();
    linux::enable(owner, TIMER);
    linux::poke(owner, gicd::ICPENDR, TIMER);
    owner.hypercall(|| ());
    for _ in 0..20 {
        if !owner.signalled() {
            break;
        }
        let took = owner.take(|_| ());
        assert_ne!(took, Some(TIMER), "seed {seed}: of nothing: {log:?}");
    }
    owner.hypercall(|| ());
    assert!(!is_held(owner), "seed {seed}: held: {log:?}");
    assert!(!owner.signalled());
    expire(owner);
    let took = owner.take(|_| owner.vcpu.program_vtimer());
    assert_eq!(took, Some(TIMER), "seed {seed}: dead: {log:?}");
    assert!(!owner.signalled(), "seed {seed}: twice: {log:?}");
    let before = exits(owner);
    for _ in 0..3 {
        assert!(!owner.signalled());
    }
    assert_eq!(exits(owner), before, "seed {seed}: a storm: {log:?}");
}

#[test]
fn timer_chance() {
    // More, on request: VGIC_SEEDS=1000 cargo test --release --test timer chance
    let count = std::env::var("VGIC_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(20);
    each(2, |domain, cpus| {
        (0..count).for_each(|seed| round(domain, cpus, seed));
    });
}
