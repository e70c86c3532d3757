// SPDX-License-Identifier: GPL-2.0-only
//! Is the log of a boot clean? The signs of trouble, and the few lines that look like it and are known to be none.

use crate::boot::console::{Line, Speaker};
use crate::hypervisor::arguments::Vgic;
use regex::Regex;
use std::sync::LazyLock;

/// What must not be in a log, whoever says it.
const TROUBLE: &str = r"(?x)
    \b[Uu]nhandled | \bBUG\b | WARNING | \bOops | rcu:\ INFO | rcu_\w+\ (detected|self-detected) | [Cc]all\ [Tt]race
    | soft\ lockup | hard\ LOCKUP | hung_task | blocked\ for\ more\ than | nobody\ cared | Disabling\ IRQ
    | [Gg]uest\ data\ abort | traps\.c | Kernel\ panic | Panic\ on\ CPU | \bpanic\b.*\bnot\ syncing | Assertion.*failed
    | Xen\ BUG\ at | Xen\ WARN\ at | [Ss]purious | I/O\ (error|timeout) | timeout,\ (completion\ polled|aborting|disable)
    | nvme.*(timeout|aborting|[Rr]emoving|not\ ready) | Unable\ to\ handle | SError | Bad\ mode
    | irq\ \d+:\ | unexpected\ (IRQ|interrupt) | Injecting\ (undef|data\ abort) | stall(s|ed)\b.*(CPU|cpu) | clocksource:.*unstable
    | ERROR: | \bfailed\b | vgic.*\b(bad|unknown|invalid|wrong|ignor)";

/// A line that looks like trouble and is none.
struct Harmless {
    pattern: &'static str,
    /// Whether it is so whatever the vGIC, or with upstream's old one only.
    old_vgic_only: bool,
    /// Why, for whoever reads this list.
    #[allow(dead_code, reason = "the list is read by people")]
    reason: &'static str,
}

const HARMLESS: [Harmless; 8] = [
    Harmless {
        pattern: r"guest: \d+ passed, 0 failed$",
        old_vgic_only: false,
        reason: "that is how the test guest ends",
    },
    Harmless {
        pattern: r"^PASS \w+$",
        old_vgic_only: false,
        reason: "a case of the test guest's, whose name may be of trouble",
    },
    Harmless {
        pattern: r"Unhandled SMC/HVC: 0x(84000050|8600ff01)$",
        old_vgic_only: false,
        reason: "Linux asks for two optional firmware services (a random number generator, a vendor's hypercalls); \
                 Xen says that it has none",
    },
    Harmless {
        pattern: r"Unhandled SMC/HVC: 0xc5000[12][0-9a-f]{2}$",
        old_vgic_only: false,
        reason: "the test guest, with a GIC, asks for what only an rVIC has; Xen says that there is no such call",
    },
    Harmless {
        pattern: r"traps\.c:\d+:d1v\d HSR=0x\w+ pc=0x\w+ gva=0x\w+ gpa=0x0*2e[0-3]0[0-9a-f]{4}$",
        old_vgic_only: false,
        reason: "with --pci-domu, DomU 1 looks where it had BARs (guest/life/places.h), and there is nothing",
    },
    Harmless {
        pattern: r"cpu0 init failed \(hwid 0000000000000000\): -22$",
        old_vgic_only: false,
        reason: "on a machine of one CPU, QEMU's device tree names no way to start CPUs; the boot CPU needs none",
    },
    Harmless {
        pattern: r"WARNING: virtual-timer IRQ\d+ is not level triggered\.$",
        old_vgic_only: false,
        reason: "Xen says so of a device tree that has it an edge, as one has with --edge-timer",
    },
    Harmless {
        pattern: r"vGIC[DR]: (SGI: )?unhandled word write 0x0*ffffffff to ICACTIVER\d+$",
        old_vgic_only: true,
        reason: "Linux clears all active bits at boot; upstream's old vGIC cannot, and nothing is active then",
    },
];

/// What ends a boot at once.
const FATAL: &str = r"Panic on CPU|Kernel panic|Xen BUG at|Manual reset required|timeout, completion polled|Assertion.*failed";

static TROUBLE_RE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(TROUBLE).ok());
static FATAL_RE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(FATAL).ok());
static HARMLESS_RE: LazyLock<Vec<(Regex, bool)>> = LazyLock::new(|| {
    let compile = |h: &Harmless| Regex::new(h.pattern).ok().map(|r| (r, h.old_vgic_only));
    HARMLESS.iter().filter_map(compile).collect()
});

/// Does nothing good come after this line?
pub fn is_fatal(text: &str) -> bool {
    FATAL_RE.as_ref().is_some_and(|r| r.is_match(text))
}

/// The lines that spoil the log of a boot with this vGIC.
pub fn trouble(lines: &[Line], vgic: Vgic) -> Vec<&Line> {
    lines.iter().filter(|l| is_trouble(l, vgic)).collect()
}

fn is_trouble(line: &Line, vgic: Vgic) -> bool {
    let text = line.text.trim_end();
    let sign = TROUBLE_RE.as_ref().is_some_and(|r| r.is_match(text));
    let harmless = |(pattern, old_only): &(Regex, bool)| {
        (!old_only || vgic == Vgic::Old) && pattern.is_match(text)
    };
    sign && !HARMLESS_RE.iter().any(harmless)
}

/// Who said it, for a message.
pub fn speaker(line: &Line) -> String {
    match line.speaker {
        Speaker::Xen => "Xen".to_owned(),
        Speaker::Dom0 => "Dom0".to_owned(),
        Speaker::DomU(n) => format!("DomU {n}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line {
            speaker: Speaker::Dom0,
            text: text.to_owned(),
            at: 1.0,
        }
    }

    #[test]
    fn the_patterns_compile() {
        assert!(TROUBLE_RE.is_some() && FATAL_RE.is_some());
        assert_eq!(HARMLESS_RE.len(), HARMLESS.len());
    }

    #[test]
    fn trouble_is_seen() {
        for text in [
            "[    4.2] WARNING: CPU: 1 PID: 1 at kernel/irq/chip.c:210",
            "[   31.0] rcu: INFO: rcu_sched self-detected stall on CPU",
            "[   30.0] watchdog: BUG: soft lockup - CPU#0 stuck for 22s!",
            "[    9.9] irq 36: nobody cared (try booting with the irqpoll option)",
            "[   35.1] nvme nvme0: I/O tag 3 (1003) opcode 0x2 QID 1 timeout, completion polled",
            "traps.c:1993:d0v0 HSR=0x00000093820047 pc=0xffff800080 gva=0xffff gpa=0x8000000",
            "traps.c:1993:d1v0 HSR=0x00000093820047 pc=0xffff800080 gva=0xffff gpa=0x0000002e400000",
            "d0v1: vGICD: unhandled word write 0x1 to ICACTIVER4",
            "Panic on CPU 0:",
            "[    1.0] Unable to handle kernel paging request at virtual address 0",
            "Spurious interrupt",
            "guest: 0 passed, 1 failed",
        ] {
            assert!(is_trouble(&line(text), Vgic::Rust), "{text}");
        }
    }

    #[test]
    fn what_belongs_to_a_boot_is_not_trouble() {
        for text in [
            "[    0.0] GICv3: 160 SPIs implemented",
            "[    0.3] smp: Brought up 1 node, 4 CPUs",
            "[    0.0] Kernel command line: console=hvc0 earlycon=xen role=dom0",
            "[    2.5] nvme nvme0: 4/0/0 default/read/poll queues",
            " Err:          0",
            "guest: 1 passed, 0 failed",
            "arch/arm/traps.c:1954:d1v1 HSR=0x00000093820007 pc=0x00000000400f34 gva=0xffff8ef7d000 gpa=0x0000002e10d000",
        ] {
            assert!(!is_trouble(&line(text), Vgic::Rust), "{text}");
        }
    }

    #[test]
    fn what_only_the_old_vgic_may_say() {
        let text =
            line("[    2.4] d0v0: vGICD: unhandled word write 0x000000ffffffff to ICACTIVER4");
        assert!(is_trouble(&text, Vgic::Rust));
        assert!(!is_trouble(&text, Vgic::Old));
        assert!(!is_trouble(
            &line("d1v0 Unhandled SMC/HVC: 0x84000050"),
            Vgic::New
        ));
        assert!(is_trouble(
            &line("d1v0 Unhandled SMC/HVC: 0x84000051"),
            Vgic::New
        ));
    }
}
