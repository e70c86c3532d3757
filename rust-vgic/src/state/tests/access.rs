// SPDX-License-Identifier: GPL-2.0-only
//! Register by register, as a virtual machine monitor does it.

use super::*;
use crate::intid::VcpuId;

const V0: VcpuId = VcpuId::ZERO;

fn get(d: &Domain<Fake>, block: Block, offset: u32) -> u64 {
    d.get_register(block, V0, offset, Width::Word).unwrap()
}

fn set(d: &Domain<Fake>, block: Block, offset: u32, value: u64) {
    let done = d.set_register(block, V0, offset, Width::Word, value);
    assert_eq!(done, Ok(Progress::Done));
}

fn pends(d: &Domain<Fake>, offset: u32) -> u64 {
    d.dist_read(d.v(0), offset, Width::Word)
}

#[test]
fn a_latch_and_a_line_are_apart() {
    for (new, _) in KINDS {
        let d = new();
        let dist = Block::Distributor;
        d.inject(None, IntId::new(34).unwrap(), true);
        set(&d, dist, 0x204, 0b10);
        assert_eq!(get(&d, dist, 0x204), 0b10, "the latch alone");
        assert_eq!(get(&d, dist, 0x284), 0, "GICD_ICPENDR");
        assert_eq!(pends(&d, 0x204), 0b110, "what the guest sees");
        set(&d, dist, 0x284, 0xff);
        assert_eq!(get(&d, dist, 0x204), 0b10, "it is ignored");
        set(&d, dist, 0x204, 0b1000);
        assert_eq!(get(&d, dist, 0x204), 0b1000, "a zero takes it away");
        assert_eq!(d.line_levels(V0, 32), Ok(0b100));
        assert_eq!(d.set_line_levels(V0, 32, 0b1), Ok(()));
        assert_eq!(d.line_levels(V0, 32), Ok(0b1));
        assert_eq!(pends(&d, 0x204), 0b1001);
        assert_eq!(d.line_levels(V0, 33), Err(crate::Error::Invalid));
        assert_eq!(d.line_levels(V0, 8192), Err(crate::Error::Invalid));
    }
}

#[test]
fn what_a_guest_sees_is_written_as_by_the_guest() {
    let d = v3();
    let (dist, redist) = (Block::Distributor, Block::Redistributor);
    let both = [(0x104, 0x184), (0x304, 0x384), (0x1200, 0x1400)];
    for (sets, clears) in both {
        set(&d, dist, sets, 0xf0);
        set(&d, dist, sets, 0x0f);
        set(&d, dist, clears, 0x3c);
        assert_eq!(get(&d, dist, sets), 0xc3, "{sets:#x}");
    }
    set(&d, redist, 0x1_0200, 0xf0);
    set(&d, redist, 0x1_0200, 0x3c);
    assert_eq!(get(&d, redist, 0x1_0200), 0x3c);
    set(&d, dist, 0x1600, 0x3c);
    assert_eq!(get(&d, dist, 0x1600), 0x3c);
    set(&d, dist, 0, 3);
    assert_eq!(get(&d, dist, 0) & 3, 3);
    set(&d, redist, 0x14, 0);
    assert_eq!(get(&d, redist, 0x14), 0);
    set(&d, Block::Its(0), 0x100, 0x1234_0000);
    assert_eq!(get(&d, Block::Its(0), 0x100), 0x1234_0000);
}

#[test]
fn what_is_not_there_is_refused() {
    let d = v3();
    let (one, three) = (VcpuId::new(1).unwrap(), VcpuId::new(3).unwrap());
    let get = |block, id| d.get_register(block, id, 0, Width::Word);
    assert!(get(Block::Redistributor, one).is_ok());
    assert_eq!(get(Block::Redistributor, three), Err(crate::Error::Invalid));
    assert_eq!(get(Block::Its(1), V0), Err(crate::Error::Invalid));
    d.enter(1);
    assert_eq!(get(Block::Distributor, V0), Err(crate::Error::Busy));
    let v2 = v2();
    v2.set_register(Block::Distributor, V0, 0xf00, Width::Word, 1 << 16)
        .unwrap();
    assert!(v2.host().kicked().is_empty(), "GICD_SGIR sends nothing");
}
