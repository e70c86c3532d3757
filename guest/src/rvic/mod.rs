// SPDX-License-Identifier: GPL-2.0-only
//! The driver of an rVIC, one for each CPU, and of the domain's rVID: docs/rvic.md says what it does and why.
//!
//! Interrupts are named by plain numbers here, as in the calls: cases hand over what no interrupt can be.

pub mod call;
mod cases;

pub use cases::{has_levels, message_inputs};

pub mod uart;

use crate::console::println;
use crate::cpu::{self, MOST};
use crate::fdt::Machine;
use crate::outcome::{Outcome, Tally, Text, check, fail};
use crate::second::Cpu;
use crate::timer::Timer;
use crate::{boot, exception, figures, messages, state};
use call::{Status, TRUSTED, UNTRUSTED, check_status};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

static USED: AtomicBool = AtomicBool::new(false);
static COUNTS: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
static INPUTS: AtomicU64 = AtomicU64::new(0);
static HANDLERS: [AtomicUsize; MOST] = [const { AtomicUsize::new(0) }; MOST];
/// Exceptions for which there was nothing to acknowledge.
static SPURIOUS: [AtomicUsize; MOST] = [const { AtomicUsize::new(0) }; MOST];

/// What emulated devices send messages to. It is no frame.
pub const MESSAGE_ADDRESS: usize = 0xba5e_0000;

/// Whether this is the interrupt controller that there is.
pub fn is_used() -> bool {
    USED.load(Relaxed)
}

/// Interrupts that come from the hypervisor or by SIGNAL: from 0.
pub fn trusted() -> u64 {
    COUNTS[0].load(Relaxed)
}

/// Interrupts that inputs of the rVID become: from [`trusted`].
pub fn untrusted() -> u64 {
    COUNTS[1].load(Relaxed)
}

/// All of them.
pub fn total() -> u64 {
    trusted() + untrusted()
}

/// Inputs of the rVID.
pub fn inputs() -> u64 {
    INPUTS.load(Relaxed)
}

/// The affinity of a CPU.
pub fn mpidr(cpu: usize) -> u64 {
    Cpu(cpu).mpidr()
}

/// This CPU's.
pub fn own() -> u64 {
    cpu::affinity()
}

/// Makes this CPU's rVIC ready: everything is masked and nothing pending.
pub fn bring_up() {
    call::disable();
    for intid in 0..total() {
        call::set_masked(own(), intid);
        call::clear_pending(own(), intid);
    }
    call::enable();
}

/// Interrupts of this CPU go to `handler`, which ends them; the counts start again.
pub fn set_handler(handler: fn(u64)) {
    let own = cpu::current();
    HANDLERS[own].store(handler as usize, Relaxed);
    SPURIOUS[own].store(0, Relaxed);
    exception::forget();
}

/// Exceptions for which there was no interrupt, since then.
pub fn spurious() -> usize {
    SPURIOUS[cpu::current()].load(Relaxed)
}

/// A change of affinity, of an input that nobody moves at the same time: what is pending goes with it. It is masked until it is not
/// on the new CPU.
pub fn move_input(input: u64, old: u64, new: u64, intid: u64) -> Outcome {
    let done = |what, status| {
        check_status!(what, status, Status::SUCCESS);
        Ok(())
    };
    done("SET_MASKED", call::set_masked(old, intid))?;
    done("MAP", call::map(input, new, intid))?;
    let (status, pending) = call::is_pending(old, intid);
    done("IS_PENDING", status)?;
    if pending != 0 {
        done("CLEAR_PENDING", call::clear_pending(old, intid))?;
        done("SIGNAL", call::signal(new, intid))?;
    }
    Ok(())
}

/// The interrupt may come again.
pub fn end(intid: u64) {
    call::clear_masked(own(), intid);
}

/// What the exception for an interrupt does.
pub fn take() {
    let own = cpu::current();
    let Ok(intid) = call::acknowledge() else {
        SPURIOUS[own].store(SPURIOUS[own].load(Relaxed) + 1, Relaxed);
        return;
    };
    let handler = HANDLERS[own].load(Relaxed);
    if handler != 0 {
        // SAFETY: set_handler stored a function of this type.
        let handler = unsafe { core::mem::transmute::<usize, fn(u64)>(handler) };
        handler(intid);
    }
}

/// Whether this CPU would take an interrupt, were they not masked: ISR_EL1.I.
pub fn line() -> bool {
    cpu::read_sysreg!("isr_el1") >> 7 & 1 != 0
}

/// Finds it, and the other CPUs; CPU 0's is as it was found.
fn discover(machine: &Machine) -> Result<usize, Text> {
    let text = |status| Text::new(format_args!("INFO says {status}"));
    for (count, key) in COUNTS.iter().zip([TRUSTED, UNTRUSTED]) {
        match call::info(key) {
            (Status::SUCCESS, n) if n <= 2048 => count.store(n, Relaxed),
            (Status::SUCCESS, n) => {
                return Err(Text::new(format_args!("INFO({key}) says {n}")));
            }
            (status, _) => return Err(text(status)),
        }
    }
    // No call says how many inputs there are: the first that is refused is one too many.
    let inputs = (0..2048).find(|&n| call::unmap(n) != Status::SUCCESS);
    INPUTS.store(inputs.unwrap_or(0), Relaxed);
    USED.store(true, Relaxed);
    Ok(machine.cpus.iter().flatten().count())
}

/// Runs the cases, or what the command line asks for in their place; how many passed and failed. The device tree is at `fdt`.
pub fn report(machine: &Machine, fdt: usize) -> (u32, u32) {
    let mut tally = Tally::default();
    let cpus = match discover(machine) {
        Ok(cpus) => cpus,
        Err(why) => {
            println!("FAIL setup: {why}");
            return (0, 1);
        }
    };
    println!(
        "guest: rVIC, {} trusted and {} untrusted interrupts, {} inputs, {cpus} CPUs",
        trusted(),
        untrusted(),
        inputs()
    );
    uart::init(machine.console.unwrap_or(0x2200_0000));
    cases::remember(machine);
    let counts = machine.copies().is_some();
    if counts || machine.resets().is_some() {
        state::announce(boot::address(), fdt);
    }
    if counts || machine.figure().is_some() || machine.messages().is_some() {
        bring_up();
        tally.count("cpu_0_is_known", Cpu(0).remember(machine.cpus[0]));
        return match machine.figure() {
            Some((kind, count)) => figures::report(machine, kind, count),
            None if counts => state::report(machine),
            None => messages::report(machine),
        };
    }
    if machine.resets().is_some() {
        state::is_ready();
    }
    // As it is found: nobody has used it.
    tally.count("first_state", exception::guarded(first_state));
    bring_up();
    let up = (0..MOST).try_for_each(|n| match n {
        0 => Cpu(0).remember(machine.cpus[0]),
        n => Cpu(n).bring_up(machine.cpus[n]),
    });
    tally.count("other_cpus_on", up);
    cases::run_all(machine, &mut tally);
    tally.result()
}

/// All masked, none pending, disabled.
fn first_state() -> Outcome {
    let own = own();
    check!(!line(), "ISR_EL1.I is set");
    if call::acknowledge() != Err(Status::DISABLED) {
        fail!("ACKNOWLEDGE does not say DISABLED")
    }
    let pending = |intid| call::is_pending(own, intid);
    for intid in 0..total() {
        check!(
            pending(intid) == (Status::SUCCESS, 0),
            "interrupt {intid} is pending"
        );
        check_status!("SIGNAL", call::signal(own, intid), Status::DISABLED);
        check!(
            pending(intid) == (Status::SUCCESS, 0),
            "interrupt {intid} is pending by a SIGNAL while disabled"
        );
    }
    check_status!("ENABLE", call::enable(), Status::SUCCESS);
    for intid in 0..total() {
        check_status!("SIGNAL", call::signal(own, intid), Status::SUCCESS);
        check!(
            pending(intid) == (Status::SUCCESS, 1),
            "interrupt {intid} is not pending after SIGNAL"
        );
        check!(!line(), "interrupt {intid} is not masked");
    }
    Ok(())
}

/// The state in which each case begins, of this CPU.
fn clean_own() {
    cpu::mask_irqs();
    for timer in Timer::ALL {
        timer.stop();
    }
    bring_up();
    set_handler(end);
}

/// Whether a CPU that comes up is to look at the state in which it is.
static LOOK: AtomicBool = AtomicBool::new(false);

/// What it has found.
struct Found(UnsafeCell<Outcome>);
// SAFETY: the CPU that comes up writes it before it says that it is alive, CPU 0 reads it after.
unsafe impl Sync for Found {}
static FOUND: Found = Found(UnsafeCell::new(Ok(())));

/// The next CPU that comes up is to look, or not.
pub fn look_first(look: bool) {
    LOOK.store(look, Relaxed);
}

/// What the last one that looked has found.
pub fn found() -> Outcome {
    // SAFETY: CPU 0 has seen that it is alive.
    unsafe { *FOUND.0.get() }
}

/// The first thing on each CPU but CPU 0.
pub fn begin() {
    if LOOK.load(Relaxed) {
        let outcome = exception::guarded(first_state);
        // SAFETY: CPU 0 waits for this CPU to be alive.
        unsafe { *FOUND.0.get() = outcome };
    }
    bring_up();
}
