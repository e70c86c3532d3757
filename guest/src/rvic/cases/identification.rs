// SPDX-License-Identifier: GPL-2.0-only
//! What they say of themselves, by calls and in the device tree, and how they are called.

use crate::fdt::{Machine, Node};
use crate::outcome::{Outcome, check, check_eq, fail};
use crate::rvic::call::{self, Conduit, Status, check_status};
use crate::rvic::{inputs, total, trusted, untrusted};
use core::arch::asm;
use core::cell::UnsafeCell;

crate::cases::cases! {
    ANY: version, version_by_smc, counts, bad_keys, features, tree_of_controllers, tree_of_devices, other_registers_stay,
        upper_half_of_function, no_such_function, conventions_of_calls, service_of_hypervisor;
}

const VERSION: u64 = 3;
const PSCI_FEATURES: u64 = 0x8400_000a;
const SMCCC_VERSION: u64 = 0x8000_0000;
const SERVICE_COUNT: u64 = 0x8500_ff00;
const SERVICE_REVISION: u64 = 0x8500_ff03;
/// The calls that Xen's service has by itself: these two, and its identity.
const OF_XEN: u64 = 3;
/// Those of Arm's rVIC, and rVID.
const CALLS: u64 = 11 + 3;

fn version() -> Outcome {
    for function in [call::RVIC_VERSION, call::RVID_VERSION] {
        let x = call::raw(Conduit::Hvc, function, [u64::MAX; 3]);
        check!(x == [0, VERSION, 0, 0], "{function:#x} says {x:x?}");
    }
    Ok(())
}

fn version_by_smc() -> Outcome {
    for function in [call::RVIC_VERSION, call::RVID_VERSION] {
        let x = call::raw(Conduit::Smc, function, [0; 3]);
        check!(x == [0, VERSION, 0, 0], "{function:#x} says {x:x?}");
    }
    Ok(())
}

fn counts() -> Outcome {
    for (name, count) in [("trusted", trusted()), ("untrusted", untrusted())] {
        check!(
            count >= 32 && count % 32 == 0,
            "there are {count} {name} interrupts"
        );
    }
    check!(total() <= 2048, "there are {} interrupts", total());
    check!(inputs() > 0, "there are no inputs");
    Ok(())
}

fn bad_keys() -> Outcome {
    for key in [2, 3, 31, 1 << 32, 1 << 32 | 1, 1 << 63, u64::MAX] {
        let (status, value) = call::info(key);
        check_status!("INFO", status, Status::error_parameter(0));
        check_eq!("x1 of INFO that fails", value, 0);
    }
    Ok(())
}

/// What the device tree has said.
struct Tree(UnsafeCell<Nodes>);
// SAFETY: written before any case runs, and only read by CPU 0.
unsafe impl Sync for Tree {}
static TREE: Tree = Tree(UnsafeCell::new(Nodes {
    rvic: None,
    rvid: None,
    timer: None,
    uart: None,
    hypervisor: None,
    parent: None,
}));

#[derive(Clone, Copy)]
struct Nodes {
    rvic: Option<Node>,
    rvid: Option<Node>,
    timer: Option<Node>,
    uart: Option<Node>,
    hypervisor: Option<Node>,
    parent: Option<u32>,
}

/// Keeps of the device tree what cases look at.
pub fn remember(machine: &Machine) {
    let nodes = Nodes {
        rvic: machine.rvic,
        rvid: machine.rvid,
        timer: machine.timer,
        uart: machine.uart,
        hypervisor: machine.hypervisor,
        parent: machine.interrupt_parent,
    };
    // SAFETY: no case runs yet.
    unsafe { *TREE.0.get() = nodes };
}

fn tree() -> Nodes {
    // SAFETY: nobody writes any more.
    unsafe { *TREE.0.get() }
}

/// The inputs that messages become.
pub fn message_inputs() -> Option<(u64, u64)> {
    let (first, count) = tree().rvid?.messages()?;
    Some((first.into(), count.into()))
}

/// The interrupt of Xen's event channels, where the tree says that there is Xen.
pub fn event_interrupt() -> Option<u64> {
    tree().hypervisor?.interrupt(0).map(u64::from)
}

/// Whether inputs are level-sensitive.
pub fn has_levels() -> bool {
    tree().rvid.is_some_and(|rvid| rvid.has_levels)
}

/// What is not Arm's is there where the tree says so, and only there.
fn features() -> Outcome {
    let Some(rvid) = tree().rvid else {
        fail!("the tree has no arm,rvid")
    };
    let wanted = u64::from(rvid.takes_messages) | u64::from(rvid.has_levels) << 1;
    let (status, seen) = call::call(call::RVID_FEATURES, [0; 3]);
    if wanted == 0 && status.is_not_supported() {
        return Ok(());
    }
    check_status!("RVID_FEATURES", status, Status::SUCCESS);
    check_eq!("RVID_FEATURES", seen, wanted);
    Ok(())
}

fn tree_of_controllers() -> Outcome {
    let Nodes {
        rvic: Some(rvic),
        rvid: Some(rvid),
        parent,
        ..
    } = tree()
    else {
        fail!("the tree has no arm,rvic, or no arm,rvid")
    };
    check!(
        rvic.interrupt_cells() == Some(2),
        "an interrupt of arm,rvic has {:?} cells",
        rvic.interrupt_cells()
    );
    check!(
        rvid.interrupt_cells() == Some(1),
        "an interrupt of arm,rvid has {:?} cells",
        rvid.interrupt_cells()
    );
    check!(
        rvic.phandle().is_some() && rvid.interrupt_parent().or(parent) == rvic.phandle(),
        "arm,rvid is not below arm,rvic"
    );
    check!(
        rvid.takes_messages == rvid.messages().is_some(),
        "arm,rvid has one of msi-controller and msi-range"
    );
    if let Some((first, count)) = message_inputs() {
        check!(
            count > 0 && first.saturating_add(count) <= inputs(),
            "msi-range is {first}, {count} of {} inputs",
            inputs()
        );
    }
    Ok(())
}

/// Timers, console and event channel have the numbers that Xen gives them.
fn tree_of_devices() -> Outcome {
    let Nodes {
        rvic,
        rvid,
        timer,
        uart,
        hypervisor,
        parent,
    } = tree();
    let (Some(rvic), Some(rvid)) = (rvic, rvid) else {
        fail!("the tree has no arm,rvic, or no arm,rvid")
    };
    let of = |node: &Node, controller: &Node| {
        let parent = node.interrupt_parent().or(parent);
        parent.is_some() && parent == controller.phandle()
    };
    let Some(timer) = timer else {
        fail!("the tree has no timer")
    };
    check!(of(&timer, &rvic), "the timer is not below arm,rvic");
    // Secure, non-secure, virtual; each a number and flags, whose low bits are 8 where the level is low, 4 where it is high.
    for (cell, wanted) in [(0, 29), (2, 30), (4, 27)] {
        let seen = timer.interrupt(cell);
        check!(seen == Some(wanted), "cell {cell} of the timer is {seen:?}");
        let flags = timer.interrupt(cell + 1).unwrap_or(0);
        check!(
            matches!(flags & 0xf, 4 | 8),
            "the timer's interrupt {wanted} has flags {flags:#x}: not a level"
        );
    }
    let Some(uart) = uart else {
        fail!("the tree has no console")
    };
    check!(of(&uart, &rvid), "the console is not below arm,rvid");
    check!(
        uart.interrupt(0) == Some(0) && uart.interrupt(1).is_none(),
        "the console is not input 0 of arm,rvid"
    );
    // Only a domain that asks for Xen's interfaces is told of them.
    let Some(hypervisor) = hypervisor else {
        return Ok(());
    };
    check!(
        of(&hypervisor, &rvic),
        "the hypervisor is not below arm,rvic"
    );
    check!(
        hypervisor.interrupt(0) == Some(31) && hypervisor.interrupt(2).is_none(),
        "the hypervisor's interrupt is {:?}",
        hypervisor.interrupt(0)
    );
    Ok(())
}

/// SMCCC 1.1: x4 and those above are as they were.
fn other_registers_stay() -> Outcome {
    let changed: u64;
    // SAFETY: all registers that are used are named; the call changes x0 to x3 only, which is what is tested.
    unsafe {
        asm!("mov x4, #1004", "mov x5, #1005", "mov x6, #1006", "mov x7, #1007", "mov x8, #1008",
            "mov x9, #1009", "mov x10, #1010", "mov x11, #1011", "mov x12, #1012", "mov x13, #1013",
            "mov x14, #1014", "mov x15, #1015", "mov x16, #1016", "mov x17, #1017",
            "hvc #0",
            "add x4, x4, x5", "add x4, x4, x6", "add x4, x4, x7", "add x4, x4, x8", "add x4, x4, x9",
            "add x4, x4, x10", "add x4, x4, x11", "add x4, x4, x12", "add x4, x4, x13", "add x4, x4, x14",
            "add x4, x4, x15", "add x4, x4, x16", "add x4, x4, x17",
            inout("x0") call::RVIC_VERSION => _, inout("x1") 0_u64 => _, inout("x2") 0_u64 => _, inout("x3") 0_u64 => _,
            out("x4") changed, out("x5") _, out("x6") _, out("x7") _, out("x8") _, out("x9") _, out("x10") _,
            out("x11") _, out("x12") _, out("x13") _, out("x14") _, out("x15") _, out("x16") _, out("x17") _,
            options(nostack));
    }
    check_eq!("the sum of x4 to x17", changed, (1004..=1017).sum::<u64>());
    Ok(())
}

/// The number of a function is w0 (DEN 0028, 3.1).
fn upper_half_of_function() -> Outcome {
    let x = call::raw(Conduit::Hvc, 0xffff_ffff << 32 | call::RVIC_VERSION, [0; 3]);
    check!(x == [0, VERSION, 0, 0], "it says {x:x?}");
    Ok(())
}

/// Beside those that there are; also by the 32-bit convention, and as a yielding call.
fn no_such_function() -> Outcome {
    let known = |f: u64| {
        (call::RVID_VERSION..=call::RVID_UNMAP).contains(&f)
            || (call::RVIC_VERSION..=call::RVIC_RESAMPLE).contains(&f)
            || (call::RVID_FEATURES..=call::RVID_RESAMPLE).contains(&f)
    };
    let fast64 = (0xc500_00f0..0xc500_0310_u64).filter(|&f| !known(f));
    let twins = (0..=10).flat_map(|n| [0x8500_0200 + n, 0x4500_0200 + n, 0x8500_0100 + n]);
    for function in fast64.chain(twins) {
        let (status, _) = call::call(function, [0; 3]);
        check!(
            status.is_not_supported(),
            "function {function:#x} says {status}"
        );
    }
    Ok(())
}

/// The calls are of SMCCC 1.1 or later (DEN 0028, 7.2), which is found by the features of PSCI.
fn conventions_of_calls() -> Outcome {
    let of_psci = call::raw(Conduit::Hvc, PSCI_FEATURES, [SMCCC_VERSION, 0, 0]);
    check!(
        of_psci[0] as i32 >= 0,
        "PSCI_FEATURES of SMCCC_VERSION says {:#x}",
        of_psci[0]
    );
    for conduit in [Conduit::Hvc, Conduit::Smc] {
        let [version, ..] = call::raw(conduit, SMCCC_VERSION, [0; 3]);
        check!(
            version as i32 >= 0x1_0001,
            "SMCCC_VERSION says {version:#x}"
        );
    }
    Ok(())
}

/// The hypervisor's service has one revision more, and as many calls more as there are.
fn service_of_hypervisor() -> Outcome {
    let [major, minor, ..] = call::raw(Conduit::Hvc, SERVICE_REVISION, [0; 3]);
    check!(
        (major, minor) == (0, 2),
        "the service's revision is {major}.{minor}"
    );
    let (status, features) = call::call(call::RVID_FEATURES, [0; 3]);
    let ours = match (status, features & 2) {
        (Status::SUCCESS, 0) => CALLS + 1,
        (Status::SUCCESS, _) => CALLS + 2,
        _ => CALLS,
    };
    let [count, ..] = call::raw(Conduit::Hvc, SERVICE_COUNT, [0; 3]);
    check_eq!("the service's number of calls", count, OF_XEN + ours);
    Ok(())
}
