// SPDX-License-Identifier: GPL-2.0-only
//! A function by itself, and what it writes to the bus.

use super::*;
use std::sync::Arc;

/// What it has written.
type Seen = Arc<Mutex<Vec<(u64, u32)>>>;

fn function(shape: Shape) -> (Function, Seen) {
    let (function, seen) = (Function::new(shape), Seen::default());
    let to = Arc::clone(&seen);
    function.connect(move |address, data| lock(&to).push((address, data)));
    (function, seen)
}

#[test]
fn bars_tell_their_size() {
    let (f, _) = function(Shape::CROWDED);
    for at in (0x10..0x28).step_by(4) {
        f.config_write(at, 4, u32::MAX);
    }
    let bars: Vec<u32> = (0x10..0x28)
        .step_by(4)
        .map(|at| f.config_read(at, 4))
        .collect();
    assert_eq!(bars, [0, 0xffff_f000, 0xfff0_0004, u32::MAX, 0, 0]);
}

#[test]
fn what_is_masked_is_pending_and_comes_once() {
    let (f, seen) = function(Shape::CROWDED);
    assert_eq!(f.raise(0), Raised::Nowhere);
    let entry = 0x210 + 2 * reg::ENTRY_SIZE;
    f.bar_write(1, entry, 8, 0x1_2345_6740);
    f.bar_write(1, entry + 8, 4, 0x77);
    let control = |value| f.config_write(u16::from(MSIX) + reg::CONTROL, 2, value);
    control(0xc000);
    assert_eq!(f.raise(2), Raised::Pending);
    control(0x8000);
    assert_eq!((f.raise(2), f.raise(2)), (Raised::Merged, Raised::Merged));
    assert_eq!(f.bar_read(1, 0x800, 8), 1 << 2);
    assert!(lock(&seen).is_empty());
    f.bar_write(1, entry + 12, 4, 0);
    assert_eq!(*lock(&seen), [(0x1_2345_6740, 0x77)]);
    assert_eq!(f.bar_read(1, 0x800, 8), 0);
    assert_eq!(f.raise(2), Raised::Sent);
    assert_eq!(f.raise(9), Raised::Nowhere);
    f.bar_write(1, 0x20c, 4, 0xabcd);
    assert_eq!(f.bar_read(1, 0x20c, 4), 0xabcd, "beside the table");
}

#[test]
fn vectors_of_msi_are_masked_each() {
    let (f, seen) = function(Shape::MANY);
    let at = u16::from(MSI);
    f.config_write(at + 4, 4, 0x0809_0040);
    f.config_write(at + 12, 2, 0xabe3);
    f.config_write(at + 16, 4, 0b10);
    f.config_write(at + 2, 2, 1 | 2 << 4);
    assert_eq!((f.raise(0), f.raise(1)), (Raised::Sent, Raised::Pending));
    assert_eq!(f.raise(5), Raised::Merged, "five is one, of four");
    f.config_write(at + 16, 4, 0);
    let expected = [(0x0809_0040, 0xabe0), (0x0809_0040, 0xabe1)];
    assert_eq!(*lock(&seen), expected);
}
