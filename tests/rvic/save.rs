// SPDX-License-Identifier: GPL-2.0-only
//! Reset, saved and restored: what the toolstack does with a domain that has an rVIC.

use super::*;
use vgic_harness::guests::guest::hvc::Refused;
use vgic_harness::guests::linux;
use vgic_harness::xen::domain::Errno;

const EBUSY: Errno = Errno(-16);
const EINVAL: Errno = Errno(-22);

fn config() -> Config {
    Config::rvic(2).with_msi().with_levels()
}

/// Something in each state: one deliverable, one pending and masked, one unmasked alone, and inputs.
fn use_it(cpus: &[GuestCpu]) {
    let [cpu, other] = cpus else {
        panic!("two vCPUs");
    };
    signal(other, cpu, 3);
    cpu.unmask(4);
    map(cpu, 0, UNTRUSTED + 7);
    other.must(rvid::MAP, [33, 1, UNTRUSTED + 9]);
    cpu.unmask(5);
    signal(other, cpu, 5);
    assert!(line(cpu) && !line(other));
}

fn preempt(cpus: &mut [GuestCpu]) {
    cpus.iter_mut().for_each(GuestCpu::preempt);
}

/// Of a new domain on the machine that is free of the old one: its image, before anything is done with it.
fn image_of_new(domain: &Domain) -> String {
    Domain::with_vcpus(&domain.machine, Config { id: 2, ..config() })
        .expect("another domain")
        .image()
}

#[test]
fn a_reset_leaves_what_a_new_one_has_and_no_line() {
    each(config(), |domain, cpus| {
        let new = image_of_new(domain);
        use_it(cpus);
        assert_eq!(
            domain.reset(None),
            Err(EBUSY),
            "its vCPUs are in their guest"
        );
        domain.machine.take_reports();
        assert!(line(&cpus[0]));
        preempt(cpus);
        assert_ne!(domain.image(), new);
        assert_eq!(domain.reset(None), Ok(1));
        assert_eq!(domain.image(), new);
        assert_eq!(domain.reset(Some(0)), Err(EINVAL), "there is no ITS");
        for cpu in cpus.iter_mut() {
            cpu.unpreempt();
            assert!(!line(cpu), "HCR_EL2.VI from before");
            let none = cpu.call(rvic::ACKNOWLEDGE, [0; 3]);
            assert_eq!(none, Err(Refused::Disabled(0)));
            cpu.enable_rvic();
        }
        use_it(cpus);
        takes(&cpus[0], 5);
    });
}

#[test]
fn what_is_saved_goes_on_elsewhere() {
    for (from, to) in [
        (Profile::GICV2, Profile::GICV3),
        (Profile::GICV3, Profile::GICV2),
    ] {
        let machine = Machine::power_on(from);
        let domain = Domain::with_vcpus(&machine, config()).expect("a domain");
        let mut cpus = start(&domain);
        use_it(&cpus);
        preempt(&mut cpus);
        let stream = domain.save().expect("a stream");
        assert_eq!(domain.save_size(), stream.len() as i64);
        drop((cpus, domain));
        drop(machine);

        let machine = Machine::power_on(to);
        let domain = Domain::with_vcpus(&machine, config()).expect("a domain");
        assert_eq!(domain.restore(&stream), Ok(()));
        assert_eq!(domain.save(), Ok(stream));
        let cpus: Vec<_> = (0..2).map(|id| GuestCpu::start(&domain, id)).collect();
        let [cpu, other] = &cpus[..] else {
            panic!("two vCPUs");
        };
        takes(cpu, 5);
        assert!(!line(other));
        cpu.unmask(3);
        takes(cpu, 3);
        signal(other, cpu, 4);
        takes(cpu, 4);
        machine.hypervisor(3, || domain.inject(32, true));
        takes(cpu, UNTRUSTED + 7);
    }
}

/// Into the domain that it is from, whose line has changed since.
#[test]
fn what_is_restored_has_the_line_that_it_had() {
    each(config(), |domain, cpus| {
        use_it(cpus);
        preempt(cpus);
        let up = domain.save().expect("a stream");
        cpus[0].unpreempt();
        takes(&cpus[0], 5);
        preempt(cpus);
        let down = domain.save().expect("a stream");
        for (stream, has) in [(&up, true), (&down, false), (&up, true), (&up, true)] {
            assert_eq!(domain.restore_again(stream), Ok(()));
            cpus[0].unpreempt();
            assert_eq!(line(&cpus[0]), has);
            cpus[0].preempt();
        }
    });
}

#[test]
fn what_cannot_be_restored_changes_nothing() {
    for (profile, version) in [(Profile::GICV2, 2), (Profile::GICV3, 3)] {
        let machine = Machine::power_on(profile);
        let gic = Config {
            id: 2,
            ..Config::guest(version, 2)
        };
        let theirs = Domain::with_vcpus(&machine, gic).expect("a domain");
        let mut their = linux::boot(&theirs);
        preempt(&mut their);
        let of_a_gic = theirs.save().expect("a stream");

        let domain = Domain::with_vcpus(&machine, config()).expect("a domain");
        let new = domain.image();
        let mut cpus = start(&domain);
        use_it(&cpus);
        preempt(&mut cpus);
        let stream = domain.save().expect("a stream");
        assert_eq!(domain.restore(&stream), Err(EBUSY), "it is in use");
        assert_eq!(theirs.restore_again(&stream), Err(EINVAL));
        assert_eq!(domain.reset(None), Ok(1));
        assert_eq!(domain.restore(&of_a_gic), Err(EINVAL));
        for length in [0, 1, stream.len() / 2, stream.len() - 1] {
            assert_eq!(domain.restore(&stream[..length]), Err(EINVAL), "{length}");
        }
        for at in [0, 8, stream.len() / 2] {
            let mut broken = stream.clone();
            broken[at] ^= 0x5a;
            // A bit of what is pending or masked may be as good as the other.
            if let Err(errno) = domain.restore(&broken) {
                assert_eq!(errno, EINVAL);
            } else {
                assert_eq!(domain.reset(None), Ok(1));
            }
        }
        assert_eq!(domain.image(), new);
        assert_eq!(domain.restore(&stream), Ok(()));
        machine.take_console();
    }
}
