// SPDX-License-Identifier: GPL-2.0-only
//! The short ways into the guest do what the long one does.

use super::*;
use crate::fake::{Fake, history};

#[test]
fn each_way_into_the_guest_does_what_the_general_one_does() {
    let (mut idle, mut fell, mut alone, mut other) = (0, 0, 0, 0);
    for steps in history::all(4) {
        let (short, long) = (Domain::after(&steps), Domain::<Fake>::after(&steps));
        let v = short.v(0);
        let flags = Flags::from_bits_retain(v.flags.load(Ordering::SeqCst));
        let looked = v.vmcr.load(Ordering::SeqCst) == short.host().cpu().read_vmcr();
        if Flags::FELL.contains(flags) && !looked {
            // That the guest has changed what its CPU interface takes is for a maintenance interrupt to say.
            continue;
        }
        let harmless = short.harmless(v).contains(flags.difference(Flags::CAME));
        let came = flags.came();
        match (flags.is_empty(), came) {
            (true, _) => {
                assert!(v.enters_idle());
                idle += 1;
            }
            (false, 0) if flags == Flags::FELL && harmless => {
                v.enter_guest();
                short.enter_busy(v);
                fell += 1;
            }
            _ => {
                v.enter_guest();
                if harmless && came.is_power_of_two() && short.load_alone(v, flags) {
                    alone += 1;
                } else {
                    short.prepare_entry(v);
                    other += 1;
                }
            }
        }
        long.v(0).enter_guest();
        long.prepare_entry(long.v(0));
        short.assert_same(&long, &steps);
    }
    assert!(
        idle > 1_000 && fell > 100 && alone > 1_000 && other > 1_000,
        "{idle} {fell} {alone} {other}"
    );
}
