// SPDX-License-Identifier: GPL-2.0-only
//! /proc/interrupts, as Linux prints it.

/// One line of /proc/interrupts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The Linux number, or a name such as IPI0.
    pub name: String,
    /// The counts of each CPU.
    pub counts: Vec<u64>,
    /// Controller, hardware number, trigger and action.
    pub what: String,
}

/// One reading of /proc/interrupts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interrupts {
    /// Its lines.
    pub rows: Vec<Row>,
}

impl Row {
    /// The count of all CPUs.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl Interrupts {
    /// Reads a listing; lines that are none are passed over.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Interrupts {
        let mut lines = lines.into_iter();
        let cpus = loop {
            match lines.next() {
                Some(line) if line.trim_start().starts_with("CPU") => {
                    break line.split_whitespace().count();
                }
                Some(_) => {}
                None => return Interrupts::default(),
            }
        };
        let rows = lines
            .filter_map(|line| {
                let (name, rest) = line.split_once(':')?;
                let mut words = rest.split_whitespace();
                let counts: Vec<u64> = words
                    .by_ref()
                    .take(cpus)
                    .map_while(|w| w.parse().ok())
                    .collect();
                let what = words.collect::<Vec<_>>().join(" ");
                // "Err: 0" has one count however many CPUs there are.
                (!counts.is_empty()).then(|| Row {
                    name: name.trim().to_owned(),
                    counts,
                    what,
                })
            })
            .collect();
        Interrupts { rows }
    }

    /// The lines whose description fits.
    pub fn matching(&self, fits: impl Fn(&Row) -> bool) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |r| fits(r))
    }

    /// The counts of each CPU over the lines that fit.
    pub fn by_cpu(&self, fits: impl Fn(&Row) -> bool) -> Vec<u64> {
        self.matching(fits).fold(Vec::new(), |mut sums, row| {
            sums.resize(sums.len().max(row.counts.len()), 0);
            sums.iter_mut().zip(&row.counts).for_each(|(s, n)| *s += n);
            sums
        })
    }

    /// The count of all CPUs over the lines that fit.
    pub fn total(&self, fits: impl Fn(&Row) -> bool) -> u64 {
        self.matching(fits).map(Row::total).sum()
    }
}

/// The disk that has a queue on this line, such as nvme0. With INTx or a single vector one line serves all queues, the
/// administrative one included; a line with that one alone has none of the disk's requests.
pub fn disk(row: &Row) -> Option<&str> {
    row.what.split([',', ' ']).find_map(|word| {
        let (disk, queue) = word.split_once('q')?;
        let number = disk.strip_prefix("nvme")?;
        let fits = number.parse::<u32>().is_ok() && queue.parse::<u32>().is_ok_and(|q| q > 0);
        fits.then_some(disk)
    })
}

/// Is this the architected timer?
pub fn is_timer(row: &Row) -> bool {
    row.what.split_whitespace().any(|w| w == "arch_timer")
}

/// Is this the interrupt by which Xen announces events?
pub fn is_event_upcall(row: &Row) -> bool {
    row.what.contains("GIC") && row.what.split_whitespace().any(|w| w == "events")
}

/// Is this an interrupt from one CPU to another?
pub fn is_ipi(row: &Row) -> bool {
    row.name.starts_with("IPI")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "           CPU0       CPU1       \n\
         11:        450        300     GICv3  27 Level     arch_timer\n\
         13:         12          3     GICv3  31 Level     events\n\
         14:       2010          0     GICv3  36 Level     nvme0q0, nvme0q1\n\
         15:          7          9 PCI-MSIX-0000:00:01.0   1 Edge      nvme0q1\n\
         16:          5          0 PCI-MSIX-0000:00:01.0   0 Edge      nvme0q0\n\
        IPI0:        33         44       Rescheduling interrupts\n\
         Err:          0\n";

    #[test]
    fn a_listing_is_read() {
        let all = Interrupts::parse(LISTING.lines());
        assert_eq!(all.rows.len(), 7);
        assert_eq!(all.total(is_timer), 750);
        assert_eq!(all.by_cpu(is_timer), [450, 300]);
        assert_eq!(all.total(is_event_upcall), 15);
        assert_eq!(all.total(is_ipi), 77);
        assert_eq!(all.total(|r| disk(r) == Some("nvme0")), 2026);
        assert_eq!(all.total(|r| disk(r) == Some("nvme1")), 0);
        assert_eq!(Interrupts::parse(["no listing"]).rows.len(), 0);
    }
}
