// SPDX-License-Identifier: GPL-2.0-only
//! LPIs and ITSes as their driver has them: what is where in the guest's memory, and the commands (IHI 0069 chapter 5).

/// The first LPI.
pub const FIRST_LPI: u32 = 8192;
/// So many bits the INTIDs of LPIs have: GICR_PROPBASER.IDbits is one less.
pub const ID_BITS: u32 = 16;

/// The guest's memory, and what is where in it.
pub const MEMORY: u64 = 0x1_0000_0000;
/// Its size.
pub const MEMORY_SIZE: u64 = 0x200_0000;
/// The configuration of all LPIs, a byte each.
pub const PROPERTIES: u64 = MEMORY;
/// The pending tables, one for each vCPU.
const PENDING: u64 = MEMORY + 0x10_0000;
const PENDING_SIZE: u64 = 0x1_0000;
/// What each ITS has: its queue first.
const ITS: u64 = MEMORY + 0x100_0000;
const ITS_SIZE: u64 = 0x40_0000;
const DEVICES: u64 = 0x10_0000;
const COLLECTIONS: u64 = 0x11_0000;
const ITT: u64 = 0x20_0000;

/// Bytes of a queue, as Linux has it: 64 KiB.
pub const QUEUE_SIZE: u64 = 0x1_0000;

/// The valid bit of GITS_CBASER, of GITS_BASER, and of commands.
pub const VALID: u64 = 1 << 63;
const INNER_SHAREABLE_WRITE_BACK: u64 = 1 << 10 | 7 << 7;
/// GICR_PENDBASER.PTZ: the table is all zero.
const PTZ: u64 = 1 << 62;

/// Where the pending table of a vCPU is.
pub const fn pending_table(vcpu: usize) -> u64 {
    PENDING + vcpu as u64 * PENDING_SIZE
}

/// What GICR_PROPBASER is set to.
pub const PROPBASER: u64 = PROPERTIES | INNER_SHAREABLE_WRITE_BACK | (ID_BITS - 1) as u64;

/// What GICR_PENDBASER of a vCPU is set to: a table that is all zero.
pub const fn pendbaser(vcpu: usize) -> u64 {
    PTZ | pending_table(vcpu) | INNER_SHAREABLE_WRITE_BACK
}

/// Where the memory of ITS number n is, which begins with its queue.
pub const fn queue(its: usize) -> u64 {
    ITS + its as u64 * ITS_SIZE
}

/// What GITS_CBASER is set to.
pub const fn cbaser(its: usize) -> u64 {
    VALID | queue(its) | (QUEUE_SIZE / 0x1000 - 1)
}

/// What GITS_BASER0 and GITS_BASER1 are set to: devices and collections, 64 KiB each.
pub const fn basers(its: usize) -> [u64; 2] {
    [
        VALID | (queue(its) + DEVICES) | 0xf,
        VALID | (queue(its) + COLLECTIONS) | 0xf,
    ]
}

/// Where a device's table of interrupts is: each of 32 has its own, for 8192 events.
pub const fn itt(its: usize, device: u32) -> u64 {
    queue(its) + ITT + (device % 32) as u64 * 0x1_0000
}

/// A command, as it is in the queue.
pub type Command = [u64; 4];

/// Commands.
pub mod command {
    use super::{Command, VALID};

    const fn of_event(number: u64, device: u32, event: u32, rest: u64) -> Command {
        [number | (device as u64) << 32, event as u64, rest, 0]
    }

    /// A device with 2^`bits` events.
    pub const fn mapd(device: u32, bits: u32, itt: u64) -> Command {
        let size = (bits as u64).wrapping_sub(1) & 0x1f;
        [8 | (device as u64) << 32, size, VALID | itt, 0]
    }

    /// A device no more.
    pub const fn unmapd(device: u32) -> Command {
        of_event(8, device, 0, 0)
    }

    /// A collection to a vCPU.
    pub const fn mapc(icid: u16, vcpu: usize) -> Command {
        [9, 0, VALID | (vcpu as u64) << 16 | icid as u64, 0]
    }

    /// A collection to no vCPU.
    pub const fn unmapc(icid: u16) -> Command {
        [9, 0, icid as u64, 0]
    }

    /// An event to an LPI of a collection.
    pub const fn mapti(device: u32, event: u32, lpi: u32, icid: u16) -> Command {
        let ids = (lpi as u64) << 32 | event as u64;
        [10 | (device as u64) << 32, ids, icid as u64, 0]
    }

    /// An event to the LPI of the same number.
    pub const fn mapi(device: u32, event: u32, icid: u16) -> Command {
        of_event(11, device, event, icid as u64)
    }

    /// An event to another collection.
    pub const fn movi(device: u32, event: u32, icid: u16) -> Command {
        of_event(1, device, event, icid as u64)
    }

    /// What is pending for a vCPU to another.
    pub const fn movall(from: usize, to: usize) -> Command {
        [14, 0, (from as u64) << 16, (to as u64) << 16]
    }

    /// An event to nothing.
    pub const fn discard(device: u32, event: u32) -> Command {
        of_event(15, device, event, 0)
    }

    /// An event happens.
    pub const fn int(device: u32, event: u32) -> Command {
        of_event(3, device, event, 0)
    }

    /// An event is pending no more.
    pub const fn clear(device: u32, event: u32) -> Command {
        of_event(4, device, event, 0)
    }

    /// An event's configuration is to be read again.
    pub const fn inv(device: u32, event: u32) -> Command {
        of_event(12, device, event, 0)
    }

    /// A collection's is.
    pub const fn invall(icid: u16) -> Command {
        [13, 0, icid as u64, 0]
    }

    /// What was before is done, as this vCPU sees it.
    pub const fn sync(vcpu: usize) -> Command {
        [5, 0, (vcpu as u64) << 16, 0]
    }
}
