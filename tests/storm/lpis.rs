// SPDX-License-Identifier: GPL-2.0-only
//! Host LPIs that are held, and whatever becomes of them meanwhile.

use super::*;

/// LPIs arrive, without a softirq after them: for a window of interrupts, and no more.
fn arrive(domain: &Domain, event: u32) {
    domain.send_msi(0, DEVICE, event);
    let _ = domain.route(40, 40, false);
}

#[test]
fn storm_sends_no_command_in_interrupt_context() {
    boot!(1, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    let before = domain.host_commands();
    let mut cpus = cpus;
    // Idle CPU, whose softirqs nobody executes.
    cpus[0].migrate(3);
    for _ in 0..BURST + 3 {
        arrive(&domain, 0);
    }
    assert!(is_held(&domain, 0));
    assert_eq!(domain.host_commands(), before, "not yet");
    // Redistributors do not know yet.
    let came = interrupts(&domain.machine);
    arrive(&domain, 0);
    assert!(interrupts(&domain.machine) > came);
    domain.machine.quiesce(0);
    // INV, and SYNC for both CPUs that it may be at; and MOVI with SYNC, as it is a stray.
    assert_eq!(domain.host_commands() - before, 5);
    let came = interrupts(&domain.machine);
    send(&domain, 0);
    assert_eq!(interrupts(&domain.machine), came);
    pass(&domain, HELD);
    assert_eq!(domain.host_commands() - before, 5 + 3);
    assert_eq!(interrupts(&domain.machine), came + 1);
}

/// Where the redistributor has GICR_INVLPIR, nothing comes any more when the handler returns.
#[test]
fn storm_is_held_at_once_where_a_redistributor_has_the_register() {
    boot!(1, domain, cpus, its);
    domain.machine.gic.set_invlpir(true);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    let before = domain.host_commands();
    let lpi = physical(&domain, 0);
    let came = interrupts(&domain.machine);
    domain.machine.gic.set_restless(lpi, 1000);
    settle(&domain.machine);
    assert_eq!(interrupts(&domain.machine) - came, u64::from(BURST) + 1);
    assert_eq!(domain.host_commands(), before);
    assert_eq!(taken(&cpus), [[LPI]]);
    pass(&domain, HELD);
    // Half of the burst, and one more.
    assert_eq!(
        interrupts(&domain.machine) - came,
        u64::from(BURST + BURST / 2) + 2
    );
    assert!(domain.machine.gic.rest(lpi) > 900);
    pass(&domain, HELD);
    assert_eq!(taken(&cpus), [[LPI]]);
    assert_eq!(dumped(&domain), Some((2, 0, 0)));
}

#[test]
fn storm_lpi_that_the_guest_masks_is_let_go_and_waits_for_the_guest() {
    boot!(1, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    storm(&domain, &cpus, 0);
    its::configure(&domain, LPI, 0xa0, false);
    its.send(&cpus[0], &[command::inv(DEVICE, 0)]);
    assert!(is_held(&domain, 0), "the guest's INV is not the host's");
    send(&domain, 0);
    pass(&domain, HELD);
    assert!(!is_held(&domain, 0));
    assert_eq!(taken(&cpus), [[0u32; 0]], "masked");
    its::configure(&domain, LPI, 0xa0, true);
    its.send(&cpus[0], &[command::inv(DEVICE, 0)]);
    assert_eq!(taken(&cpus), [[LPI]]);
}

#[test]
fn storm_lpi_that_is_discarded_and_mapped_again_comes() {
    boot!(2, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    storm(&domain, &cpus, 0);
    its.send(&cpus[0], &[command::discard(DEVICE, 0)]);
    send(&domain, 0);
    // To another LPI, at another vCPU. What was sent while it was not mapped has gone nowhere.
    its::configure(&domain, LPI + 5, 0xa0, true);
    its.send(&cpus[0], &[command::mapti(DEVICE, 0, LPI + 5, 1)]);
    assert_eq!(taken(&cpus), [[0u32; 0], []]);
    pass(&domain, HELD);
    assert_eq!(taken(&cpus), [[0u32; 0], []]);
    assert!(!is_held(&domain, 0));
    send(&domain, 0);
    assert_eq!(taken(&cpus), [vec![], vec![LPI + 5]]);
}

#[test]
fn storm_message_before_discard_is_not_one_of_the_next_mapping() {
    boot!(2, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    storm(&domain, &cpus, 0);
    send(&domain, 0);
    its.send(&cpus[0], &[command::discard(DEVICE, 0)]);
    its::configure(&domain, LPI + 5, 0xa0, true);
    its.send(&cpus[0], &[command::mapti(DEVICE, 0, LPI + 5, 1)]);
    pass(&domain, HELD);
    assert_eq!(taken(&cpus), [[0u32; 0], []]);
    // One that comes after that, though it is held, does arrive.
    its.send(&cpus[0], &[command::discard(DEVICE, 0)]);
    its.send(&cpus[0], &[command::mapti(DEVICE, 0, LPI, 0)]);
    storm_and_one(&domain, &cpus);
}

/// What is sent after the mapping waits, and comes.
fn storm_and_one(domain: &Domain, cpus: &[GuestCpu]) {
    pass(domain, Duration::from_secs(1));
    storm(domain, cpus, 0);
    send(domain, 0);
    assert_eq!(taken(cpus).concat(), [0u32; 0]);
    pass(domain, HELD);
    assert_eq!(taken(cpus).concat(), [LPI]);
}

#[test]
fn storm_message_before_clear_is_cleared_and_one_after_it_comes() {
    boot!(1, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    let clear = [0x04 | u64::from(DEVICE) << 32, 0, 0, 0];
    storm(&domain, &cpus, 0);
    send(&domain, 0);
    its.send(&cpus[0], &[clear]);
    pass(&domain, HELD);
    assert_eq!(taken(&cpus), [[0u32; 0]]);
    pass(&domain, Duration::from_secs(1));
    storm(&domain, &cpus, 0);
    its.send(&cpus[0], &[clear]);
    send(&domain, 0);
    pass(&domain, HELD);
    assert_eq!(taken(&cpus), [[LPI]]);
    // Nothing is held: the host hears nothing.
    let before = domain.host_commands();
    its.send(&cpus[0], &[clear]);
    assert_eq!(domain.host_commands(), before);
}

#[test]
fn storm_lpi_that_stays_discarded_is_let_go() {
    boot!(1, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    storm(&domain, &cpus, 0);
    its.send(&cpus[0], &[command::discard(DEVICE, 0)]);
    send(&domain, 0);
    pass(&domain, HELD);
    assert!(!is_held(&domain, 0));
    its.send(&cpus[0], &[command::mapti(DEVICE, 0, LPI, 0)]);
    send(&domain, 0);
    assert_eq!(taken(&cpus), [[LPI]]);
}

#[test]
fn storm_lpi_of_an_unmapped_device_is_as_a_fresh_one() {
    boot!(1, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    storm(&domain, &cpus, 0);
    send(&domain, 0);
    let lpi = physical(&domain, 0);
    its.send(&cpus[0], &[command::unmapd(DEVICE)]);
    assert_eq!(dumped(&domain), Some((1, 0, 0)), "nothing is held any more");
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    assert_eq!(physical(&domain, 0), lpi);
    assert!(!is_held(&domain, 0));
    pass(&domain, HELD);
    send(&domain, 0);
    assert_eq!(taken(&cpus), [[LPI]]);
}

/// One of its LPIs is held, and it is another domain's before the timer goes off. Nobody else may find it disabled, or enable it.
#[test]
fn storm_lpi_of_a_dead_domain_is_another_domains() {
    boot!(1, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    storm(&domain, &cpus, 0);
    send(&domain, 0);
    let lpi = physical(&domain, 0);
    let machine = Arc::clone(&domain.machine);
    drop((cpus, domain));
    machine.pass(HELD);
    settle(&machine);
    let domain = Domain::with_vcpus(&machine, Config::dom0(3, 1).with_storms()).expect("a domain");
    domain.set_storm(RATE, BURST);
    let cpus = linux::boot(&domain);
    its::enable_lpis(&domain, &cpus);
    let its = Its::probe(&domain, &cpus[0], 0);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    assert_eq!(physical(&domain, 0), lpi);
    storm(&domain, &cpus, 0);
}

/// A device that is mapped by a domain that dies, with the tasklet and the timer still to come.
#[test]
fn storm_of_a_domain_that_dies_at_once() {
    boot!(1, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    let mut cpus = cpus;
    cpus[0].migrate(3);
    (0..BURST + 3).for_each(|_| arrive(&domain, 0));
    assert!(is_held(&domain, 0));
    let machine = Arc::clone(&domain.machine);
    drop((cpus, domain));
    machine.pass(HELD);
    settle(&machine);
}

#[test]
fn storm_lpi_moves_with_its_vcpu_while_it_is_held() {
    boot!(2, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    storm(&domain, &cpus, 0);
    send(&domain, 0);
    // The guest moves it; strays.c, the host's.
    its.send(&cpus[0], &[command::movi(DEVICE, 0, 1)]);
    let lpi = physical(&domain, 0);
    domain.machine.gic.set_lpi_target(lpi, 1);
    assert_eq!(taken(&cpus), [[0u32; 0], []]);
    let before = |n: usize| domain.machine.pcpu(n).counters.interrupts.load(Relaxed);
    let (zero, one) = (before(0), before(1));
    pass(&domain, HELD);
    assert_eq!((before(0), before(1)), (zero, one + 1));
    assert_eq!(taken(&cpus), [vec![], vec![LPI]]);
}

#[test]
fn storm_lpi_arrives_with_its_vcpu_off_its_cpu() {
    boot!(2, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    storm(&domain, &cpus, 0);
    let mut cpus = cpus;
    cpus[0].preempt();
    send(&domain, 0);
    pass(&domain, HELD);
    assert!(!is_held(&domain, 0));
    cpus[0].migrate(2);
    cpus[0].unpreempt();
    assert_eq!(taken(&cpus), [vec![LPI], vec![]]);
}

/// Nothing is lost when an ITS takes no command: it is asked again.
#[test]
fn storm_is_held_and_let_go_by_an_its_that_is_busy() {
    const AGAIN: Duration = Duration::from_millis(1);
    boot!(1, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    exhaust(&domain, &cpus, 0);
    domain.refuse_commands(1);
    send(&domain, 0);
    let before = interrupts(&domain.machine);
    send(&domain, 0);
    assert_eq!(interrupts(&domain.machine), before + 1, "not known yet");
    // Let go it is not known either, ten times.
    domain.refuse_commands(10);
    pass(&domain, HELD);
    for _ in 0..12 {
        pass(&domain, AGAIN);
    }
    taken(&cpus);
    assert!(!is_held(&domain, 0));
    pass(&domain, Duration::from_secs(1));
    send(&domain, 0);
    assert_eq!(taken(&cpus), [[LPI]]);
    assert_eq!(dumped(&domain).map(|d| d.1), Some(0));
}

#[test]
fn storm_of_many_lpis_is_held_and_each_comes_once_more() {
    const MANY: u32 = 300;
    boot!(1, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, MANY, |_| 0);
    exhaust(&domain, &cpus, 0);
    for round in 0..2 {
        (0..MANY).for_each(|event| send(&domain, event));
        assert!((0..MANY).all(|event| is_held(&domain, event)));
        assert_eq!(taken(&cpus)[0].len() as u32, MANY);
        let before = interrupts(&domain.machine);
        for _ in 0..3 {
            (0..MANY).for_each(|event| send(&domain, event));
        }
        assert_eq!(interrupts(&domain.machine), before);
        assert_eq!(dumped(&domain).map(|d| (d.1, d.2)), Some((MANY.into(), 0)));
        // As many at a time as there are tokens, for each of which there is one.
        let mut came = Vec::new();
        for n in 1..=MANY / (BURST / 2) {
            pass(&domain, HELD);
            came.extend(taken(&cpus).remove(0));
            assert_eq!(came.len() as u32, n * (BURST / 2));
        }
        came.sort_unstable();
        let each: Vec<u32> = (LPI..LPI + MANY).collect();
        assert_eq!(came, each);
        assert_eq!(
            dumped(&domain),
            Some((round + 1, (MANY - MANY / (BURST / 2)).into(), 0))
        );
        // Most have been held again. Those that have nothing to say stay let go.
        for _ in 0..MANY / (BURST / 2) {
            pass(&domain, HELD);
        }
        assert_eq!(taken(&cpus), [[0u32; 0]]);
        assert!((0..MANY).all(|event| !is_held(&domain, event)));
        if round == 0 {
            pass(&domain, Duration::from_secs(1));
            exhaust(&domain, &cpus, 0);
        }
    }
}

/// Commands are sent some at a time, and whoever has none held again meanwhile gets all of them.
#[test]
fn storm_of_many_lpis_is_let_go_to_the_last() {
    const MANY: u32 = 300;
    boot!(1, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, MANY, |_| 0);
    exhaust(&domain, &cpus, 0);
    for _ in 0..2 {
        (0..MANY).for_each(|event| send(&domain, event));
        taken(&cpus);
    }
    domain.set_storm(u32::MAX, 0);
    pass(&domain, HELD);
    for _ in 0..MANY / 64 {
        pass(&domain, Duration::from_micros(100));
    }
    assert_eq!(dumped(&domain).map(|d| d.1), Some(0));
    let mut came = taken(&cpus).remove(0);
    came.sort_unstable();
    let each: Vec<u32> = (LPI..LPI + MANY).collect();
    assert_eq!(came, each);
}

/// However many sources there are, what comes in a second is the rate and the burst, each source once,
/// and one more each time that some are let go.
#[test]
fn storm_of_many_sources_is_bounded_by_the_rate() {
    const MANY: u32 = 300;
    boot!(1, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, MANY, |_| 0);
    domain.machine.gic.set_invlpir(true);
    let came = interrupts(&domain.machine);
    for event in 0..MANY {
        let lpi = physical(&domain, event);
        domain.machine.gic.set_restless(lpi, 100_000);
    }
    settle(&domain.machine);
    for _ in 0..100 {
        pass(&domain, HELD);
        for _ in 0..10 {
            settle(&domain.machine);
        }
    }
    let came = interrupts(&domain.machine) - came;
    assert!(
        came <= u64::from(RATE + BURST + MANY) + 100,
        "{came} interrupts in a second"
    );
}

/// The default rate with a burst of 1, and 64 queues: each source comes once, and then one is let go at a time, with a token.
#[test]
fn storm_with_a_small_burst_is_bounded_by_the_rate() {
    const MANY: u32 = 64;
    boot!(1, domain, cpus, its);
    domain.set_storm(200_000, 1);
    its.map_device(&cpus[0], DEVICE, LPI, MANY, |_| 0);
    domain.machine.gic.set_invlpir(true);
    let came = interrupts(&domain.machine);
    for event in 0..MANY {
        let lpi = physical(&domain, event);
        domain.machine.gic.set_restless(lpi, 100_000);
    }
    settle(&domain.machine);
    for _ in 0..100 {
        pass(&domain, Duration::from_nanos(100_001));
        for _ in 0..4 {
            settle(&domain.machine);
        }
    }
    let came = interrupts(&domain.machine) - came;
    assert!(
        came <= 2 * 100 + 1 + u64::from(MANY),
        "{came} interrupts in 10 ms"
    );
}

/// A device that MAPD has mapped, and an event that MAPTI has not, or DISCARD has unmapped: it costs the same, and goes nowhere.
#[test]
fn storm_of_an_event_that_is_not_mapped_is_held() {
    for discards in [false, true] {
        for register in [false, true] {
            boot!(1, domain, cpus, its);
            domain.machine.gic.set_invlpir(register);
            its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
            let event = u32::from(!discards);
            let lpi = physical(&domain, event);
            if discards {
                its.send(&cpus[0], &[command::discard(DEVICE, 0)]);
            }
            let came = interrupts(&domain.machine);
            if register {
                domain.machine.gic.set_restless(lpi, 1000);
                settle(&domain.machine);
            } else {
                (0..1000).for_each(|_| send(&domain, event));
            }
            let came = interrupts(&domain.machine) - came;
            assert_eq!(came, u64::from(BURST) + 1);
            assert!(is_held(&domain, event));
            domain.machine.gic.rest(lpi);
            for _ in 0..3 {
                pass(&domain, HELD);
            }
            assert!(!is_held(&domain, event));
            assert_eq!(taken(&cpus), [[0u32; 0]]);
            // What has been held is mapped, and comes.
            its.send(&cpus[0], &[command::mapti(DEVICE, event, LPI, 0)]);
            send(&domain, event);
            assert_eq!(taken(&cpus), [[LPI]]);
        }
    }
}

/// One at a time, and none stays held for want of its turn: LPIs of the same block and of another one, and an SPI beside them.
#[test]
fn storm_of_many_sources_leaves_each_its_turn() {
    const SPI: u32 = 41;
    const EVENTS: [u32; 4] = [0, 1, 31, 40];
    boot!(1, domain, cpus, its);
    domain.set_storm(RATE, 1);
    its.map_device(&cpus[0], DEVICE, LPI, 64, |_| 0);
    linux::set_trigger(&cpus[0], SPI, true);
    domain.route(SPI, SPI, false).expect("a route");
    linux::enable(&cpus[0], SPI);
    let gic = &domain.machine.gic;
    gic.set_invlpir(true);
    let mut came = [0; EVENTS.len() + 1];
    for _ in 0..100 {
        EVENTS.iter().for_each(|event| send(&domain, *event));
        gic.pulse(SPI as u16);
        for intid in taken(&cpus).remove(0) {
            let n = EVENTS.iter().position(|event| LPI + event == intid);
            came[n.unwrap_or(EVENTS.len())] += 1;
        }
        pass(&domain, Duration::from_nanos(1_000_001));
    }
    assert!(came.iter().all(|n| *n >= 10), "{came:?}");
}
