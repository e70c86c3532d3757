// SPDX-License-Identifier: GPL-2.0-only
//! The other CPUs, which run what CPU 0 asks of them; with a GIC there is one.
//!
//! One job at a time for each: CPU 0 writes it and raises `requested`, the other runs it and raises `done` to the same
//! number. With the MMU off only loads and stores are used, never exclusives.

use crate::cpu::MOST;
use crate::outcome::{Outcome, Stop, Text, check, fail};
use crate::{cpu, exception, gic, psci, rvic, timer};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// What another CPU can be asked: it may not capture anything, but gets a number and gives one.
pub type Job = fn(usize) -> Outcome<usize>;

/// How long a CPU may take for a job, or to come up or go off: longer where four may take turns on one.
fn limit() -> u64 {
    if rvic::is_used() { 120_000 } else { 30_000 }
}

/// What CPU 0 and another say to each other.
struct Worker {
    requested: AtomicUsize,
    done: AtomicUsize,
    /// The job for which there was no more waiting.
    given_up: AtomicUsize,
    job: AtomicUsize,
    argument: AtomicUsize,
    alive: AtomicBool,
    mpidr: AtomicU64,
    answer: UnsafeCell<Outcome<usize>>,
}

// SAFETY: all but `answer` is atomic; that one the other CPU writes before it raises `done`, and CPU 0 reads it after.
unsafe impl Sync for Worker {}

/// By the number of the CPU; of the first, only its affinity is used.
static WORKERS: [Worker; MOST] = [const {
    Worker {
        requested: AtomicUsize::new(0),
        done: AtomicUsize::new(0),
        given_up: AtomicUsize::new(0),
        job: AtomicUsize::new(0),
        argument: AtomicUsize::new(0),
        alive: AtomicBool::new(false),
        mpidr: AtomicU64::new(0),
        answer: UnsafeCell::new(Ok(0)),
    }
}; MOST];

unsafe extern "C" {
    fn second_entry();
}

/// Where each but CPU 0 goes once it can run Rust.
pub extern "C" fn secondary() -> ! {
    exception::install();
    if rvic::is_used() {
        rvic::begin();
    } else {
        gic::init_cpu_interface();
    }
    let own = Cpu(cpu::current()).worker();
    own.alive.store(true, Ordering::SeqCst);
    cpu::send_event();
    loop {
        let requested = own.requested.load(Ordering::SeqCst);
        if requested == own.done.load(Ordering::SeqCst) {
            cpu::wait_for_event();
            continue;
        }
        // SAFETY: CPU 0 stored a job before it raised `requested`.
        let job = unsafe { core::mem::transmute::<usize, Job>(own.job.load(Ordering::SeqCst)) };
        let argument = own.argument.load(Ordering::SeqCst);
        let outcome = exception::guarded(|| job(argument));
        cpu::mask_irqs();
        // SAFETY: CPU 0 does not read it before `done` is raised.
        unsafe { *own.answer.get() = outcome };
        own.done.store(requested, Ordering::SeqCst);
        cpu::send_event();
    }
}

/// A CPU by its number, in the eyes of CPU 0.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cpu(pub usize);

/// The one that there always is.
pub const CPU1: Cpu = Cpu(1);

impl Cpu {
    fn worker(self) -> &'static Worker {
        WORKERS.get(self.0).unwrap_or(&WORKERS[0])
    }

    /// Whether it is there.
    pub fn is_alive(self) -> bool {
        self.worker().alive.load(Ordering::SeqCst)
    }

    /// Its affinity, once it has been brought up.
    pub fn mpidr(self) -> u64 {
        self.worker().mpidr.load(Ordering::SeqCst)
    }

    /// Remembers which CPU it is.
    pub fn remember(self, mpidr: Option<u64>) -> Outcome {
        let Some(mpidr) = mpidr else {
            fail!("the device tree has no CPU {}", self.0)
        };
        self.worker().mpidr.store(mpidr, Ordering::SeqCst);
        Ok(())
    }

    /// The same, and starts it.
    pub fn bring_up(self, mpidr: Option<u64>) -> Outcome {
        self.remember(mpidr)?;
        self.on()
    }

    /// Where it begins: that of CPU 1 is the first, and each is two instructions long.
    fn entry(self) -> usize {
        let first = second_entry as *const () as usize;
        first.wrapping_add(self.0.wrapping_sub(1).wrapping_mul(8))
    }

    /// Starts it.
    pub fn on(self) -> Outcome {
        let worker = self.worker();
        let requested = worker.requested.load(Ordering::SeqCst);
        worker.done.store(requested, Ordering::SeqCst);
        let result = psci::cpu_on(self.mpidr(), self.entry());
        check!(result == 0, "CPU_ON says {result}");
        check!(
            timer::within(limit(), || self.is_alive()),
            "CPU {} does not come up",
            self.0
        );
        Ok(())
    }

    /// Has it switch itself off, and waits until it is.
    pub fn off(self) -> Outcome {
        self.start(
            |_| {
                let own = Cpu(cpu::current()).worker();
                own.alive.store(false, Ordering::SeqCst);
                let result = psci::cpu_off();
                own.alive.store(true, Ordering::SeqCst);
                fail!("CPU_OFF says {result}")
            },
            0,
        )?;
        let off = timer::within(limit(), || {
            !self.is_alive() && psci::affinity_info(self.mpidr()) == psci::OFF
        });
        check!(off, "CPU {} does not go off", self.0);
        Ok(())
    }

    /// Asks it to run `job`.
    pub fn start(self, job: Job, argument: usize) -> Outcome {
        let worker = self.worker();
        check!(self.is_alive(), "CPU {} is not there", self.0);
        let requested = worker.requested.load(Ordering::SeqCst);
        check!(
            requested == worker.done.load(Ordering::SeqCst),
            "CPU {} is still at its last job",
            self.0
        );
        worker.job.store(job as usize, Ordering::SeqCst);
        worker.argument.store(argument, Ordering::SeqCst);
        worker
            .requested
            .store(requested.wrapping_add(1), Ordering::SeqCst);
        cpu::send_event();
        Ok(())
    }

    /// Gives it the time to end what a case that has failed has left it at; if that does not help, not again for the same.
    pub fn settle(self) {
        let worker = self.worker();
        let requested = worker.requested.load(Ordering::SeqCst);
        if worker.given_up.load(Ordering::SeqCst) == requested {
            return;
        }
        let done = || {
            cpu::wait_for_event();
            worker.done.load(Ordering::SeqCst) == requested
        };
        if !timer::within(limit(), done) {
            worker.given_up.store(requested, Ordering::SeqCst);
        }
    }

    /// Waits for what it was asked for.
    pub fn finish(self) -> Outcome<usize> {
        let worker = self.worker();
        let done = || {
            // Both may share one physical CPU: give it away.
            cpu::wait_for_event();
            worker.requested.load(Ordering::SeqCst) == worker.done.load(Ordering::SeqCst)
        };
        check!(
            timer::within(limit(), done),
            "CPU {} does not come back",
            self.0
        );
        // SAFETY: `done` has been raised.
        let answer = unsafe { *worker.answer.get() };
        answer.map_err(|stop| match stop {
            Stop::Fail(why) => Stop::Fail(Text::new(format_args!("on CPU {}: {why}", self.0))),
            skip @ Stop::Skip(_) => skip,
        })
    }

    /// Has it run `job`, and waits for it.
    pub fn run(self, job: Job, argument: usize) -> Outcome<usize> {
        self.start(job, argument)?;
        self.finish()
    }
}

/// Whether CPU 1 is there.
pub fn is_alive() -> bool {
    CPU1.is_alive()
}

/// Starts CPU 1, whose interface of the GIC is then known.
pub fn bring_up(mpidr: Option<u64>) -> Outcome {
    CPU1.bring_up(mpidr)?;
    gic::find_second(run(|_| Ok(cpu::affinity() as usize), 0)? as u64)
}

pub fn on() -> Outcome {
    CPU1.on()
}

pub fn off() -> Outcome {
    CPU1.off()
}

/// Asks CPU 1 to run `job`.
pub fn start(job: Job, argument: usize) -> Outcome {
    CPU1.start(job, argument)
}

pub fn settle() {
    CPU1.settle();
}

/// Waits for what CPU 1 was asked for.
pub fn finish() -> Outcome<usize> {
    CPU1.finish()
}

/// Has CPU 1 run `job`, and waits for it.
pub fn run(job: Job, argument: usize) -> Outcome<usize> {
    CPU1.run(job, argument)
}
