// SPDX-License-Identifier: GPL-2.0-only
//! An inbox with one interrupt in it is sorted as one with several.

use super::*;
use crate::fake::{Fake, history};

#[test]
fn one_alone_is_sorted_as_several_are() {
    let mut alone = 0;
    for steps in history::all(4) {
        let (short, long) = (Domain::after(&steps), Domain::<Fake>::after(&steps));
        let v = short.v(0);
        let came = v.came();
        let at = came.trailing_zeros() as u8;
        let first = short.node(v, v.inbox(at).load(Ordering::SeqCst));
        if v.lock.lock().unsorted() != 0
            || !came.is_power_of_two()
            || first.is_none_or(|irq| irq.next.load(Ordering::SeqCst) != NIL)
        {
            continue;
        }
        alone += 1;
        short.with_lists(v, |lists, moved| short.drain(v, lists, moved));
        let v = long.v(0);
        long.with_lists(v, |lists, moved| {
            let chain = v.inbox(at).swap(NIL, Ordering::SeqCst);
            assert_eq!(long.sort(v, chain, &mut 2, lists, moved), NIL);
        });
        for domain in [&short, &long] {
            domain.enter(0);
        }
        short.assert_same(&long, &steps);
    }
    assert!(alone > 1_000, "{alone}");
}
