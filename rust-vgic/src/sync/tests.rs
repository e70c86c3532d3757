// SPDX-License-Identifier: GPL-2.0-only
#![allow(clippy::unwrap_used)]

use super::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

/// Several begin to wait, one after the other. In which order do they get the lock?
fn order() -> Vec<usize> {
    let lock = Mutex::new(Vec::new());
    let waiting = AtomicUsize::new(0);
    thread::scope(|scope| {
        let held = lock.lock();
        for n in 0..6 {
            let (lock, waiting) = (&lock, &waiting);
            scope.spawn(move || {
                waiting.fetch_add(1, SeqCst);
                lock.lock().push(n);
            });
            while waiting.load(SeqCst) <= n {
                thread::yield_now();
            }
            // It has said that it is about to; until it does, there is nothing to be seen of it.
            thread::sleep(Duration::from_millis(20));
        }
        drop(held);
    });
    let mut got = lock.lock();
    std::mem::take(&mut *got)
}

/// Whoever has waited longest is the next. A test of threads can be held up between two of its steps, so it may try again;
/// a lock that goes to anybody is hardly ever seen to go in turn.
#[test]
fn fair_locks_are_taken_in_turn() {
    let turns: Vec<_> = (0..5).map(|_| order()).collect();
    let in_turn = turns.iter().filter(|order| order.is_sorted()).count();
    assert!(in_turn >= 2, "{turns:?}");
    assert!(turns.iter().all(|order| order.len() == 6));
}
