// SPDX-License-Identifier: GPL-2.0-only

use super::*;
use crate::op::Size;
use LrState::{Active, Invalid, Pending, PendingActive};
use proptest::prelude::*;

const MADE: Event = Event::DomainMade {
    gic: 3,
    vcpus: 2,
    spis: 64,
    lrs: 4,
};

fn lr(intid: u32, priority: u8, before: LrState, after: LrState) -> Event {
    Event::ListRegister {
        vcpu: 0,
        intid,
        before,
        after,
        priority,
    }
}

fn inject(intid: u32, level: bool) -> Event {
    Event::Injected {
        vcpu: Some(0),
        intid,
        level,
    }
}

/// A guest run in which this shows at the exit; the operations as text.
fn run(events: &[Event]) -> String {
    runs(&[events])
}

fn runs(all: &[&[Event]]) -> String {
    let mut records = vec![MADE];
    for events in all {
        records.push(Event::Entered { vcpu: 0 });
        records.extend(*events);
        records.push(Event::Exited { vcpu: 0 });
    }
    let raw = records.into_iter().map(|event| Raw { domain: 1, event });
    let recording = convert(raw, 1, "").expect("sensible records");
    let lines: Vec<String> = recording.ops.iter().map(Op::to_string).collect();
    lines.join("; ")
}

#[test]
fn each_change_of_a_list_register_is_what_the_guest_did() {
    let of = |before, after| run(&[lr(40, 0xa0, before, after)]);
    assert_eq!(of(Pending, Active), "ack 0 40");
    assert_eq!(of(Pending, Invalid), "ack 0 40; eoi 0 40");
    assert_eq!(of(Active, Invalid), "eoi 0 40");
    assert_eq!(of(PendingActive, Pending), "eoi 0 40");
    assert_eq!(of(PendingActive, Active), "eoi 0 40; ack 0 40");
    assert_eq!(of(PendingActive, Invalid), "eoi 0 40; ack 0 40; eoi 0 40");
}

#[test]
fn the_order_is_one_that_priorities_allow() {
    let equal = [
        lr(40, 0xa0, Pending, Active),
        lr(41, 0xa0, Pending, Invalid),
    ];
    assert_eq!(run(&equal), "ack 0 40; ack 0 41; eoi 0 41");
    let nested = [lr(40, 0xa0, Pending, Active), lr(41, 0x80, Pending, Active)];
    assert_eq!(
        run(&nested),
        "ack 0 41; ack 0 40",
        "no order is right: 41 came late"
    );
    // 40 is active at the entry and preempted by 41, which then ends first.
    let taken = [lr(40, 0xa0, Pending, Active)];
    let preempted = [
        lr(40, 0xa0, Active, Invalid),
        lr(41, 0x80, Pending, Invalid),
        lr(42, 0xa0, Pending, Invalid),
    ];
    assert_eq!(
        runs(&[&taken, &preempted]),
        "ack 0 40; exit 0; ack 0 41; eoi 0 41; eoi 0 40; ack 0 42; eoi 0 42"
    );
}

#[test]
fn an_end_without_a_list_register_is_the_innermost() {
    let eoi = Event::EoiCount { vcpu: 0, count: 1 };
    assert_eq!(
        runs(&[
            &[lr(40, 0xa0, Pending, Active)],
            &[lr(41, 0x80, Pending, Active)],
            &[eoi],
            &[eoi]
        ]),
        "ack 0 40; exit 0; ack 0 41; exit 0; eoi 0 41; exit 0; eoi 0 40"
    );
}

#[test]
fn eoimode_1_ends_at_once_and_deactivates_later() {
    let vmcr = Event::Vmcr {
        vcpu: 0,
        value: 1 << 9 | 2,
    };
    assert_eq!(
        runs(&[
            &[vmcr],
            &[lr(40, 0xa0, Pending, Active)],
            &[lr(40, 0xa0, Active, Invalid)]
        ]),
        "set 0 group1 0x1; set 0 eoimode 0x1; exit 0; ack 0 40; eoi 0 40; exit 0; dir 0 40"
    );
}

#[test]
fn the_interface_opens_before_and_closes_after_what_is_taken() {
    let vmcr = |value| Event::Vmcr { vcpu: 0, value };
    let taken = lr(40, 0xa0, Pending, Invalid);
    assert_eq!(
        runs(&[&[vmcr(0xf000_0002), taken], &[vmcr(0x8000_0000), taken]]),
        "set 0 pmr 0xf0; set 0 group1 0x1; ack 0 40; eoi 0 40; exit 0; \
         ack 0 40; eoi 0 40; set 0 pmr 0x80; set 0 group1 0x0"
    );
}

#[test]
fn a_timer_falls_while_its_interrupt_is_served() {
    let low = [inject(27, false)];
    let rises = [inject(27, true)];
    let served = [inject(27, false), lr(27, 0xa0, Pending, Invalid)];
    assert_eq!(
        runs(&[&low, &rises, &served, &low]),
        "exit 0; ppi 0 27 up; exit 0; ack 0 27; ppi 0 27 down; eoi 0 27; exit 0"
    );
    let edges = [inject(16, true), inject(16, true)];
    assert_eq!(
        run(&edges),
        "ppi 0 16 up; ppi 0 16 up",
        "a source that never falls is an edge"
    );
}

#[test]
fn what_is_sent_again_while_the_guest_runs_comes_after_the_first() {
    let again = Event::Injected {
        vcpu: None,
        intid: 40,
        level: true,
    };
    let taken = lr(40, 0xa0, Pending, Invalid);
    assert_eq!(
        runs(&[&[again, taken], &[taken]]),
        "ack 0 40; eoi 0 40; line 40 up; exit 0; ack 0 40; eoi 0 40"
    );
}

#[test]
fn a_line_falls_before_the_end_of_what_was_taken_earlier() {
    let low = [inject(27, false)];
    let taken = [inject(27, true), lr(27, 0xa0, Pending, Active)];
    let ended = [inject(27, false), lr(27, 0xa0, Active, Invalid)];
    assert_eq!(
        runs(&[&low, &[inject(27, true)], &taken, &ended]),
        "exit 0; ppi 0 27 up; exit 0; ack 0 27; exit 0; ppi 0 27 down; eoi 0 27"
    );
}

#[test]
fn a_vcpu_that_comes_on_again_has_a_fresh_interface() {
    let on = Event::Vmcr { vcpu: 0, value: 2 };
    assert_eq!(
        runs(&[&[on], &[Event::On { vcpu: 0 }], &[on]]),
        "set 0 group1 0x1; exit 0; on 0; exit 0; set 0 group1 0x1"
    );
}

#[test]
fn a_dump_ends_before_a_record_that_was_not_written() {
    let bytes = |event| {
        let [first, second] = Raw { domain: 0, event }.encode();
        (u128::from(first) | u128::from(second) << 64).to_le_bytes()
    };
    let exit = Event::Exited { vcpu: 0 };
    let dump = [bytes(MADE), bytes(exit), [0; BYTES], bytes(exit)].concat();
    assert_eq!(records(&dump).map(|all| all.len()), Ok(2));
}

#[test]
fn traps_and_lines_follow_the_run() {
    let register = Register::gicr(1, 0x14);
    let trap = Event::Mmio {
        vcpu: 0,
        write: false,
        register,
        size: Size::Word,
        value: 6,
    };
    let records = [
        MADE,
        Event::Connected {
            intid: 33,
            level: true,
        },
        Event::Entered { vcpu: 0 },
        Event::Exited { vcpu: 0 },
        trap,
        Event::Entered { vcpu: 0 },
        Event::Injected {
            vcpu: None,
            intid: 33,
            level: true,
        },
        Event::Exited { vcpu: 0 },
        Event::Off { vcpu: 1 },
        Event::On { vcpu: 1 },
        Event::Moved { vcpu: 0 },
    ];
    let raw = records.into_iter().map(|event| Raw { domain: 0, event });
    let text = convert(raw, 0, "a test")
        .expect("sensible records")
        .to_string();
    assert_eq!(
        text,
        "gic 3\nvcpus 2\nspis 64\nlrs 4\nhardware 33 level\norigin a test\n\n\
         read 0 GICR1_WAKER 0x6\nline 33 up\noff 1\non 1\nmigrate 0\n"
    );
}

#[test]
fn other_domains_and_what_comes_after_the_end_are_left_out() {
    let of = |domain, event| Raw { domain, event };
    let exit = |vcpu| Event::On { vcpu };
    let records = [
        of(2, exit(7)),
        of(1, MADE),
        of(2, exit(7)),
        of(1, exit(0)),
        of(2, MADE),
        of(1, MADE),
        of(1, exit(1)),
    ];
    let recording = convert(records, 1, "").expect("sensible records");
    assert_eq!(recording.ops, [Op::On { vcpu: 0 }]);
    let full = [
        of(1, MADE),
        of(1, exit(0)),
        of(0, Event::Full),
        of(1, exit(1)),
    ];
    assert_eq!(convert(full, 1, "").expect("sensible records").ops.len(), 1);
}

#[test]
fn records_without_sense_are_refused() {
    let error = |events: &[Event]| {
        let raw = events.iter().map(|event| Raw {
            domain: 0,
            event: *event,
        });
        convert(raw, 0, "").expect_err("no sense").to_string()
    };
    assert!(error(&[]).contains("not made"));
    assert!(error(&[MADE, Event::Exited { vcpu: 2 }]).contains("vCPU 2"));
    assert!(error(&[MADE, lr(40, 0, Invalid, Active)]).contains("record 1: INTID 40"));
    let gic = Event::DomainMade {
        gic: 4,
        vcpus: 1,
        spis: 0,
        lrs: 4,
    };
    assert!(error(&[gic]).contains("GICv4"));
    assert!(
        records(&[0; 17])
            .expect_err("no record")
            .to_string()
            .contains("1 bytes")
    );
    assert!(
        records(&[99; 16])
            .expect_err("no record")
            .to_string()
            .contains("record 0")
    );
    assert_eq!(records(&[0; 32]), Ok(vec![]));
}

proptest! {
    #[test]
    fn any_dump_is_converted_or_refused(words in prop::collection::vec((0_u64..17, 0_u64..3, 0_u64..64, any::<u64>()), 0..200)) {
        let random = words.iter().filter_map(|(kind, vcpu, a, b)| Raw::decode([kind | vcpu << 8 | a << 32, *b]));
        let made = Raw { domain: 0, event: MADE };
        if let Ok(recording) = convert(std::iter::once(made).chain(random), 0, "") {
            let mut file = Vec::new();
            recording.write(&mut file).expect("a valid recording");
        }
    }
}
