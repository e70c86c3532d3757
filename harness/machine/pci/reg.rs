// SPDX-License-Identifier: GPL-2.0-only
//! Registers of configuration space, and of its capabilities from their starts on.
#![allow(missing_docs, reason = "names of the specification")]

pub const VENDOR: u16 = 0x00;
pub const DEVICE: u16 = 0x02;
pub const COMMAND: u16 = 0x04;
pub const STATUS: u16 = 0x06;
pub const REVISION: u16 = 0x08;
pub const CLASS: u16 = 0x09;
pub const HEADER_TYPE: u16 = 0x0e;
pub const BAR0: u16 = 0x10;
pub const SUBSYSTEM: u16 = 0x2c;
pub const CAPABILITIES: u16 = 0x34;
pub const INTERRUPT_LINE: u16 = 0x3c;
pub const INTERRUPT_PIN: u16 = 0x3d;
/// COMMAND: memory space, and bus master.
pub const MEMORY: u16 = 1 << 1;
pub const MASTER: u16 = 1 << 2;
/// Capability IDs.
pub const CAP_PM: u8 = 0x01;
pub const CAP_MSI: u8 = 0x05;
pub const CAP_MSIX: u8 = 0x11;
/// Message Control, of both.
pub const CONTROL: u16 = 2;
pub const MSI_ENABLE: u16 = 1 << 0;
pub const MSI_MULTIPLE: u16 = 7 << 4;
pub const MSI_WIDE: u16 = 1 << 7;
pub const MSI_MASKS: u16 = 1 << 8;
pub const MSI_ADDRESS: u16 = 4;
pub const MSIX_ENABLE: u16 = 1 << 15;
pub const MSIX_MASKALL: u16 = 1 << 14;
pub const MSIX_TABLE: u16 = 4;
pub const MSIX_PBA: u16 = 8;
/// An entry of the table.
pub const ENTRY_DATA: u64 = 8;
pub const ENTRY_CONTROL: u64 = 12;
pub const ENTRY_SIZE: u64 = 16;
