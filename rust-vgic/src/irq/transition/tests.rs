// SPDX-License-Identifier: GPL-2.0-only
//! The short way to load an interrupt says what the general one says.

use super::*;

#[test]
fn what_is_mostly_loaded_is_loaded_as_anything_is() {
    let (here, there) = (VcpuId::new(1), VcpuId::new(2));
    let mut short = 0;
    // All single-bit fields: 0 to 11, 49 and 50.
    for flags in 0..1_u64 << 14 {
        let word = flags & 0xfff | flags >> 12 << 49;
        for target in [here, there, None] {
            for sources in [0, 1, 0b1010] {
                let s = State::from_bits(word)
                    .with_target(target)
                    .with_sources(sources)
                    .placed(Place::Lr, VcpuId::new(1).unwrap_or(VcpuId::ZERO));
                // An SGI has no line and no physical interrupt.
                let lines = s.level() || s.line() || s.hw() || s.phys() || s.phys_lr();
                if s.sgi() && lines {
                    continue;
                }
                if let Some(new) = s.load_inactive() {
                    let view = new.view_inactive();
                    assert_eq!((new, view, Effect::empty()), s.load_any(false), "{s:?}");
                    short += 1;
                }
            }
        }
    }
    assert!(short > 300, "{short}");
}
