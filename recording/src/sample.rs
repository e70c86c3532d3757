// SPDX-License-Identifier: GPL-2.0-only
//! Any valid recording, for tests.

use crate::head::{HardwareLine, Head, Recording};
use crate::op::{Field, Frame, Op, Register, Size, SysReg};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

fn register(vcpus: u8) -> impl Strategy<Value = Register> {
    let frame = prop_oneof![
        Just(Frame::Gicd),
        (0..vcpus).prop_map(Frame::Gicr),
        Just(Frame::GiccDir)
    ];
    (frame, 0..Register::LIMIT).prop_map(|(frame, offset)| Register { frame, offset })
}

fn op(vcpus: u8) -> impl Strategy<Value = Op> {
    let v = 0..vcpus;
    let size = (0_u8..4).prop_map(Size::from_log2);
    let known = option::of(0_u32..1 << 16);
    prop_oneof![
        (v.clone(), register(vcpus), size.clone(), any::<u64>()).prop_map(
            |(vcpu, register, size, value)| Op::Write {
                vcpu,
                register,
                size,
                value: value & size.mask(),
            }
        ),
        (v.clone(), register(vcpus), size, option::of(any::<u64>())).prop_map(
            |(vcpu, register, size, value)| Op::Read {
                vcpu,
                register,
                size,
                value: value.map(|v| v & size.mask()),
            }
        ),
        (v.clone(), select(&SysReg::ALL[..]), any::<u64>()).prop_map(|(vcpu, register, value)| {
            Op::Sysreg {
                vcpu,
                register,
                value,
            }
        }),
        (32_u32..1 << 16, any::<bool>()).prop_map(|(intid, level)| Op::Line { intid, level }),
        (v.clone(), 16_u32..32, any::<bool>()).prop_map(|(vcpu, intid, level)| Op::PrivateLine {
            vcpu,
            intid,
            level
        }),
        (v.clone(), known.clone(), 0..3).prop_map(|(vcpu, intid, n)| match n {
            0 => Op::Ack { vcpu, intid },
            1 => Op::Eoi { vcpu, intid },
            _ => Op::Dir { vcpu, intid },
        }),
        (v.clone(), select(&Field::ALL[..]), 0_u8..2).prop_map(|(vcpu, field, value)| Op::Set {
            vcpu,
            field,
            value
        }),
        (v.clone(), option::of(any::<bool>())).prop_map(|(vcpu, on)| Op::Signal { vcpu, on }),
        (v, 0..7).prop_map(|(vcpu, n)| match n {
            0 => Op::Exit { vcpu },
            1 => Op::Preempt { vcpu },
            2 => Op::Resume { vcpu },
            3 => Op::Migrate { vcpu },
            4 => Op::Wait { vcpu },
            5 => Op::Off { vcpu },
            _ => Op::On { vcpu },
        }),
    ]
}

/// Any recording, its origin one line.
pub fn recording() -> impl Strategy<Value = Recording> {
    let hardware = vec(
        (32_u32..40, any::<bool>()).prop_map(|(intid, level)| HardwareLine { intid, level }),
        0..4,
    );
    let head = (
        2_u8..4,
        1_u8..9,
        8_u16..989,
        1_u8..17,
        hardware,
        "[a-zå]{0,20}",
    );
    head.prop_flat_map(|(gic, vcpus, spis, lrs, hardware, origin)| {
        let head = Head {
            gic,
            vcpus,
            spis,
            lrs,
            hardware,
            origin,
        };
        vec(op(vcpus), 0..60).prop_map(move |ops| Recording {
            head: head.clone(),
            ops,
        })
    })
}
