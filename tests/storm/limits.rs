// SPDX-License-Identifier: GPL-2.0-only
//! The bucket: what is let through, to the message.

use super::*;

#[test]
fn storm_is_held_after_exactly_the_burst_and_let_go_at_its_time() {
    boot!(1, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    for times in 1..4 {
        storm(&domain, &cpus, 0);
        assert_eq!(dumped(&domain), Some((times, 1, 0)));
        let before = interrupts(&domain.machine);
        for _ in 0..100 {
            send(&domain, 0);
        }
        pass(&domain, HELD - TICK);
        assert_eq!(
            interrupts(&domain.machine),
            before,
            "it costs nobody anything"
        );
        assert_eq!(taken(&cpus), [[0u32; 0]]);
        pass(&domain, TICK);
        assert!(!is_held(&domain, 0));
        assert_eq!(interrupts(&domain.machine), before + 1);
        assert_eq!(taken(&cpus), [[LPI]], "the last one, once");
        assert_eq!(dumped(&domain), Some((times, 0, 0)));
        // Until the bucket is full again.
        pass(&domain, Duration::from_secs(1));
    }
}

#[test]
fn storm_limit_is_the_rate_over_any_time() {
    boot!(1, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    let before = interrupts(&domain.machine);
    // For ten seconds, a message each 100 us.
    for _ in 0..100_000 {
        domain.send_msi(0, DEVICE, 0);
        domain.machine.pass(Duration::from_micros(100));
        domain.machine.quiesce(0);
    }
    let came = interrupts(&domain.machine) - before;
    let allowed = u64::from(10 * RATE + BURST);
    // Each time it is held, one more has come.
    let (times, ..) = dumped(&domain).expect("a line");
    assert!(
        came <= allowed + times,
        "{came} of {allowed}, held {times} times"
    );
    assert!(came + u64::from(BURST) >= allowed, "{came} of {allowed}");
    assert!(times <= 1000, "{times} times in ten seconds");
}

#[test]
fn storm_is_none_at_the_rate_itself() {
    boot!(1, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    exhaust(&domain, &cpus, 0);
    for n in 0..1000 {
        pass(&domain, Duration::from_millis(1));
        send(&domain, 0);
        assert_eq!(taken(&cpus), [[LPI]], "{n}");
        assert!(!is_held(&domain, 0));
    }
    assert_eq!(dumped(&domain), Some((0, 0, 0)));
}

#[test]
fn storm_limit_may_be_off() {
    boot!(1, domain, cpus, its);
    domain.set_storm(u32::MAX, 0);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    let before = interrupts(&domain.machine);
    (0..10_000).for_each(|_| send(&domain, 0));
    assert_eq!(interrupts(&domain.machine), before + 10_000);
    assert!(!is_held(&domain, 0));
    assert!(domain.dump().contains("storms: no limit; held 0 times"));
    // What a CPU has fetched meanwhile it may spend.
    domain.set_storm(RATE, BURST);
    let before = interrupts(&domain.machine);
    (0..10_000).for_each(|_| send(&domain, 0));
    let came = interrupts(&domain.machine) - before;
    assert!(
        (u64::from(BURST)..=u64::from(BURST) + 31).contains(&came),
        "{came}"
    );
    // And off when something is held: it is let go all the same.
    assert!(is_held(&domain, 0));
    domain.set_storm(u32::MAX, 0);
    pass(&domain, HELD);
    assert!(!is_held(&domain, 0));
}

/// Which nobody has changed: more than devices need.
#[test]
fn storm_default_is_generous() {
    let machine = Machine::power_on(SMALL);
    let domain = Domain::with_vcpus(&machine, Config::dom0(3, 1).with_storms()).expect("a domain");
    let cpus = linux::boot(&domain);
    its::enable_lpis(&domain, &cpus);
    let its = Its::probe(&domain, &cpus[0], 0);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    assert!(
        domain
            .dump()
            .contains("storms: limit 200000/s, burst 4000;")
    );
    let before = interrupts(&machine);
    (0..5000).for_each(|_| send(&domain, 0));
    assert_eq!(interrupts(&machine) - before, 4001);
    assert!(is_held(&domain, 0));
    // A hundredth of a second's.
    pass(&domain, Duration::from_millis(10));
    assert!(is_held(&domain, 0));
    pass(&domain, TICK);
    assert!(!is_held(&domain, 0));
}

#[test]
fn storm_limits_of_any_size_overflow_nowhere() {
    boot!(1, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    for rate in [1, 2, 999, 1_000_000_000, u32::MAX - 1] {
        for burst in [1, 2, 1000, u32::MAX] {
            domain.set_storm(rate, burst);
            for time in [0, 1, 999_999_999, 1 << 40, 1 << 60] {
                pass(&domain, Duration::from_nanos(time));
                (0..100).for_each(|_| send(&domain, 0));
            }
            // It never stays for longer than a token takes, or a tenth of a second at most.
            pass(&domain, Duration::from_nanos(1_000_000_001));
            assert!(!is_held(&domain, 0), "{rate}, {burst}");
            taken(&cpus);
        }
    }
}

#[test]
fn storm_parameter_of_the_command_line() {
    let machine = Machine::power_on(SMALL);
    let says = |expected: &str| {
        let domain =
            Domain::with_vcpus(&machine, Config::dom0(3, 1).with_storms()).expect("a domain");
        let text = domain.dump();
        assert!(text.contains(&format!("storms: {expected};")), "{text}");
    };
    for wrong in [
        "",
        "1000x",
        "1000,",
        "1000,0",
        "0x100000000",
        "4294967295",
        ",5",
        "1000,5,5",
    ] {
        assert!(!machine.storm_parameter(wrong), "{wrong}");
        says("limit 200000/s, burst 4000");
    }
    for (text, expected) in [
        ("1000", "limit 1000/s, burst 20"),
        ("1000,7", "limit 1000/s, burst 7"),
        ("3", "limit 3/s, burst 1"),
        ("off", "no limit"),
        ("200000", "limit 200000/s, burst 4000"),
        ("on", "limit 200000/s, burst 4000"),
    ] {
        assert!(machine.storm_parameter(text), "{text}");
        says(expected);
    }
}
