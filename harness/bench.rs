// SPDX-License-Identifier: GPL-2.0-only
//! What `cargo xtask bench` measures: one row after the other, on the vGIC that is chosen.

mod bed;
mod commands;
mod cycles;
mod memory;
mod registers;
pub mod row;
mod state;
mod whole;

use crate::bench::row::Row;

/// All rows, in the order of the table.
pub fn rows() -> Vec<Row> {
    let mut rows = cycles::rows();
    rows.extend(registers::rows());
    rows.extend(commands::rows());
    rows.extend(whole::rows());
    rows.extend(memory::rows());
    rows.extend(state::rows());
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::row::Unit;

    /// Every row on ours, and what the values are that do not depend on the machine.
    #[test]
    fn all_rows_can_be_measured() {
        let mut rows = 0;
        for row in rows_of("") {
            let measure = row
                .run(true)
                .unwrap_or_else(|e| panic!("{}: {e:#}", row.name));
            let measure = measure.unwrap_or_else(|| panic!("{} is not for ours", row.name));
            assert!(measure.operations > 0, "{}", row.name);
            let parts = (row.unit == Unit::Instructions).then_some(measure.parts);
            assert_ne!(parts, Some(0), "{}", row.name);
            assert!(
                measure.value() > 0.0 || row.unit == Unit::Accesses,
                "{}",
                row.name
            );
            rows += 1;
        }
        assert!(rows > 100, "{rows}");
    }

    fn rows_of(part: &str) -> Vec<Row> {
        let found = rows().into_iter().filter(|r| r.name.contains(part));
        found.collect()
    }

    #[test]
    fn an_exit_on_which_nothing_changed_writes_no_list_register_and_reads_each_once() {
        for gic in [2, 3] {
            for n in [0, 1, 4] {
                let value = |what: &str| {
                    let name = format!("v{gic}: LR {what} per exit, {n} in");
                    let row = rows_of(&name).pop().expect("the row");
                    row.run(true).expect("a run").expect("ours").value()
                };
                assert_eq!((value("reads"), value("writes")), (f64::from(n), 0.0));
            }
        }
    }

    #[test]
    fn saving_is_linear_in_lpis() {
        let bytes = |n: u32| {
            let name = format!("v3: a stream with {n} LPIs");
            let row = rows_of(&name).pop().expect("the row");
            row.run(true).expect("a run").expect("ours").value()
        };
        // A record of 128 bytes for each 32 of them.
        assert_eq!(bytes(1000) - bytes(1), f64::from(31 * 128));
        assert_eq!(bytes(32_000) - bytes(1), f64::from(999 * 128));
    }

    #[test]
    fn an_rvic_takes_less_than_a_gic_where_there_are_few_inputs() {
        let value = |name: &str| {
            let row = rows_of(name).pop().expect("the row");
            row.run(true).expect("a run").expect("ours").value()
        };
        for rest in ["a domain of 1 vCPU", "a domain of 4 vCPUs", "one more vCPU"] {
            let of = |gic: &str| value(&format!("{gic}: {rest}, 32 SPIs"));
            assert!(of("rvic") < of("v2") && of("rvic") < of("v3"), "{rest}");
        }
        // Each vCPU has the untrusted ones, too: two bits and the domain's ENABLED, in a word for 16 of them, and a ticket.
        let vcpu = |spis: u32| value(&format!("rvic: one more vCPU, {spis} SPIs"));
        let untrusted = (vcpu(960) - vcpu(32)) / (960.0 - 32.0);
        assert!((untrusted - 4.5).abs() < 1e-9, "{untrusted}");
        // And the domain has an input, and as for an SPI a bit for who allocates it.
        let input = value("rvic: one more SPI") - untrusted;
        assert!((8.125..8.13).contains(&input), "{input}");
    }

    #[test]
    fn an_spi_takes_a_word_and_its_links() {
        // And on GICv3 what the guest wrote to GICD_IROUTER. Xen's C vGICs need 80 bytes, and 59.
        for (name, most) in [("v2: one more SPI", 17.0), ("v3: one more SPI", 25.0)] {
            let row = rows_of(name).pop().expect("the row");
            let value = row.run(true).expect("a run").expect("ours").value();
            assert!(value > 0.0 && value <= most, "{name}: {value}");
        }
    }
}
