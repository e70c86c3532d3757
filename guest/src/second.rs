// SPDX-License-Identifier: GPL-2.0-only
//! The second CPU, which runs what CPU 0 asks of it.
//!
//! One job at a time: CPU 0 writes it and raises REQUESTED, CPU 1 runs it and raises DONE to the same number. With the
//! MMU off only loads and stores are used, never exclusives.

use crate::outcome::{Outcome, Stop, check, fail};
use crate::{cpu, exception, gic, psci, timer};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// What CPU 1 can be asked: it may not capture anything, but gets a number and gives one.
pub type Job = fn(usize) -> Outcome<usize>;

/// How long a job may take.
const LIMIT: u64 = 30_000;

static REQUESTED: AtomicUsize = AtomicUsize::new(0);
static DONE: AtomicUsize = AtomicUsize::new(0);
/// The job for which there was no more waiting.
static GIVEN_UP: AtomicUsize = AtomicUsize::new(0);
static JOB: AtomicUsize = AtomicUsize::new(0);
static ARGUMENT: AtomicUsize = AtomicUsize::new(0);
static ALIVE: AtomicBool = AtomicBool::new(false);
static MPIDR: AtomicU64 = AtomicU64::new(0);

struct Answer(UnsafeCell<Outcome<usize>>);
// SAFETY: CPU 1 writes it before it raises DONE, CPU 0 reads it after.
unsafe impl Sync for Answer {}
static ANSWER: Answer = Answer(UnsafeCell::new(Ok(0)));

unsafe extern "C" {
    fn second_entry();
}

/// Where CPU 1 goes once it can run Rust.
pub extern "C" fn secondary() -> ! {
    exception::install();
    gic::init_cpu_interface();
    ALIVE.store(true, Ordering::SeqCst);
    cpu::send_event();
    loop {
        let requested = REQUESTED.load(Ordering::SeqCst);
        if requested == DONE.load(Ordering::SeqCst) {
            cpu::wait_for_event();
            continue;
        }
        // SAFETY: CPU 0 stored a job before it raised REQUESTED.
        let job = unsafe { core::mem::transmute::<usize, Job>(JOB.load(Ordering::SeqCst)) };
        let argument = ARGUMENT.load(Ordering::SeqCst);
        let outcome = exception::guarded(|| job(argument));
        cpu::mask_irqs();
        // SAFETY: CPU 0 does not read it before DONE is raised.
        unsafe { *ANSWER.0.get() = outcome };
        DONE.store(requested, Ordering::SeqCst);
        cpu::send_event();
    }
}

/// Whether CPU 1 is there.
pub fn is_alive() -> bool {
    ALIVE.load(Ordering::SeqCst)
}

/// Remembers which CPU it is, and starts it.
pub fn bring_up(mpidr: Option<u64>) -> Outcome {
    let Some(mpidr) = mpidr else {
        fail!("the device tree has one CPU only, two are needed")
    };
    MPIDR.store(mpidr, Ordering::SeqCst);
    on()?;
    gic::find_second(run(|_| Ok(cpu::affinity() as usize), 0)? as u64)
}

/// Starts CPU 1.
pub fn on() -> Outcome {
    DONE.store(REQUESTED.load(Ordering::SeqCst), Ordering::SeqCst);
    let result = psci::cpu_on(
        MPIDR.load(Ordering::SeqCst),
        second_entry as *const () as usize,
    );
    check!(result == 0, "CPU_ON says {result}");
    check!(timer::within(2000, is_alive), "CPU 1 does not come up");
    Ok(())
}

/// Has CPU 1 switch itself off, and waits until it is.
pub fn off() -> Outcome {
    start(
        |_| {
            ALIVE.store(false, Ordering::SeqCst);
            let result = psci::cpu_off();
            ALIVE.store(true, Ordering::SeqCst);
            fail!("CPU_OFF says {result}")
        },
        0,
    )?;
    let mpidr = MPIDR.load(Ordering::SeqCst);
    let off = timer::within(2000, || {
        !is_alive() && psci::affinity_info(mpidr) == psci::OFF
    });
    check!(off, "CPU 1 does not go off");
    Ok(())
}

/// Asks CPU 1 to run `job`.
pub fn start(job: Job, argument: usize) -> Outcome {
    check!(is_alive(), "CPU 1 is not there");
    let requested = REQUESTED.load(Ordering::SeqCst);
    check!(
        requested == DONE.load(Ordering::SeqCst),
        "CPU 1 is still at its last job"
    );
    JOB.store(job as usize, Ordering::SeqCst);
    ARGUMENT.store(argument, Ordering::SeqCst);
    REQUESTED.store(requested.wrapping_add(1), Ordering::SeqCst);
    cpu::send_event();
    Ok(())
}

/// Gives CPU 1 the time to end what a case that has failed has left it at; if that does not help, not again for the same.
pub fn settle() {
    let requested = REQUESTED.load(Ordering::SeqCst);
    if GIVEN_UP.load(Ordering::SeqCst) == requested {
        return;
    }
    let done = || {
        cpu::wait_for_event();
        DONE.load(Ordering::SeqCst) == requested
    };
    if !timer::within(LIMIT, done) {
        GIVEN_UP.store(requested, Ordering::SeqCst);
    }
}

/// Waits for what CPU 1 was asked for.
pub fn finish() -> Outcome<usize> {
    let done = || {
        // Both may share one physical CPU: give it away.
        cpu::wait_for_event();
        REQUESTED.load(Ordering::SeqCst) == DONE.load(Ordering::SeqCst)
    };
    check!(timer::within(LIMIT, done), "CPU 1 does not come back");
    // SAFETY: DONE has been raised.
    let answer = unsafe { *ANSWER.0.get() };
    answer.map_err(|stop| match stop {
        Stop::Fail(why) => Stop::Fail(crate::outcome::Text::new(format_args!("on CPU 1: {why}"))),
        skip @ Stop::Skip(_) => skip,
    })
}

/// Has CPU 1 run `job`, and waits for it.
pub fn run(job: Job, argument: usize) -> Outcome<usize> {
    start(job, argument)?;
    finish()
}
