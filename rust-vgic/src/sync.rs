// SPDX-License-Identifier: GPL-2.0-only
//! Atomics and the lock, so that loom can take their place in the models.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{
    AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{
    AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};

/// The lock: who waits for it gets it in turn.
///
/// It is taken with interrupts masked, and a guest chooses how many of its vCPUs want it at once. With a lock that anybody may
/// snatch, nothing bounds for how long one of them waits, and with it a physical CPU that takes no interrupt; with tickets it is
/// at most as many holds as there are other physical CPUs, each of which is bounded itself.
///
/// Xen's own lock has tickets, too, and with DEBUG_LOCKS it would find one that is taken with interrupts on in one place and off
/// in another. But the way there is a call of C, a count of preemption and, with DEBUG_LOCKS, its checks, several times what the
/// lock itself takes, on each entry to a guest that has anything to look at; `with_lists` and its siblings are few, and mask
/// interrupts by a guard. So here it is an addition and a load to take it and a store to give it back, in place.
#[cfg(not(loom))]
pub(crate) type Mutex<T> = spin::mutex::TicketMutex<T, Turn>;

/// What a CPU does while it is not its turn: nothing.
#[cfg(target_os = "none")]
type Turn = spin::relax::Spin;
/// A thread lets the others run: its CPU may be the one that the next in turn waits for.
#[cfg(all(not(target_os = "none"), not(loom)))]
type Turn = spin::relax::Yield;

#[cfg(loom)]
pub(crate) use model::Mutex;

/// loom's mutex behind the interface of spin's.
#[cfg(loom)]
mod model {
    use loom::sync::MutexGuard;

    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            match self.0.lock() {
                Ok(guard) => guard,
                Err(poisoned) => poisoned.into_inner(),
            }
        }

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok()
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
