// SPDX-License-Identifier: GPL-2.0-only
//! How large a stream is, of a domain that is stopped in the middle of something.

use recording::its::pending_table;
use vgic_harness::guests::guest::Size;
use vgic_harness::guests::its::{self, FIRST_LPI};
use vgic_harness::guests::linux::{self, gicr};
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;

/// A domain is stopped while a redistributor reads its pending table, whose last LPIs are yet to be found.
#[test]
fn size_of_what_a_pending_table_that_is_being_read_will_have() {
    let machine = Machine::power_on(Profile::GICV3);
    let domain = Domain::with_vcpus(&machine, Config::guest(3, 1).with_msi()).expect("a domain");
    domain.unpause();
    let mut cpus = linux::boot(&domain);
    domain.add_memory(recording::its::MEMORY, recording::its::MEMORY_SIZE);
    its::set_lpi_tables(&cpus[0]);
    let frame = cpus[0].gicr_of(0).expect("a redistributor");
    let table = cpus[0]
        .load(frame + gicr::PENDBASER, Size::Double)
        .expect("GICR_PENDBASER");
    cpus[0]
        .store(frame + gicr::PENDBASER, Size::Double, table & !(1 << 62))
        .expect("GICR_PENDBASER");
    // In the first and in the last part of the table.
    for lpi in [FIRST_LPI, u32::from(u16::MAX) - 64] {
        assert!(domain.write_memory(pending_table(0) + u64::from(lpi) / 8, &[1]));
    }
    cpus[0].gicr_write(gicr::CTLR, 1);
    cpus[0].preempt();
    domain.machine.settle();
    let stream = domain.save().expect("a stream");
    assert_eq!(Ok(domain.save_size() as usize), Ok::<_, ()>(stream.len()));
    assert_eq!(domain.save(), Ok(stream));
}
