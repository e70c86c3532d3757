// SPDX-License-Identifier: GPL-2.0-only
//! Commands of an ITS (IHI 0069, section 5.3), as they are in the queue.

use crate::gic::IntId;

/// Bytes of one.
pub const SIZE: usize = 32;

pub type Command = [u64; 4];

const VALID: u64 = 1 << 63;

/// One about an event, or a device.
pub fn of_event(number: u64, device: u32, event: u64, two: u64) -> Command {
    [u64::from(device) << 32 | number, event, two, 0]
}

/// The device has a table at `itt` for 2^`bits` events.
pub fn mapd(device: u32, bits: u32, itt: u64) -> Command {
    of_event(0x08, device, u64::from(bits) - 1, VALID | itt)
}

pub fn unmap_device(device: u32) -> Command {
    of_event(0x08, device, 0, 0)
}

/// The collection goes to a CPU.
pub fn mapc(icid: u16, cpu: usize) -> Command {
    mapc_to(icid, super::target(cpu))
}

/// The same by how commands name it.
pub fn mapc_to(icid: u16, target: u64) -> Command {
    [0x09, 0, VALID | target << 16 | u64::from(icid), 0]
}

pub fn unmap_collection(icid: u16) -> Command {
    [0x09, 0, icid.into(), 0]
}

pub fn mapti(device: u32, event: u32, id: IntId, icid: u16) -> Command {
    let event = u64::from(id.0) << 32 | u64::from(event);
    of_event(0x0a, device, event, icid.into())
}

pub fn mapi(device: u32, event: u32, icid: u16) -> Command {
    of_event(0x0b, device, event.into(), icid.into())
}

pub fn movi(device: u32, event: u32, icid: u16) -> Command {
    of_event(0x01, device, event.into(), icid.into())
}

pub fn int(device: u32, event: u32) -> Command {
    of_event(0x03, device, event.into(), 0)
}

pub fn clear(device: u32, event: u32) -> Command {
    of_event(0x04, device, event.into(), 0)
}

pub fn discard(device: u32, event: u32) -> Command {
    of_event(0x0f, device, event.into(), 0)
}

pub fn inv(device: u32, event: u32) -> Command {
    of_event(0x0c, device, event.into(), 0)
}

pub fn invall(icid: u16) -> Command {
    [0x0d, 0, icid.into(), 0]
}

pub fn movall(from: u64, to: u64) -> Command {
    [0x0e, 0, from << 16, to << 16]
}

pub fn sync(target: u64) -> Command {
    [0x05, 0, target << 16, 0]
}
