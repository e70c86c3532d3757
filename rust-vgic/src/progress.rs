// SPDX-License-Identifier: GPL-2.0-only
//! Work that goes from trap to trap.

/// Is there more to do?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// No.
    Done,
    /// The budget of this trap is spent, or another vCPU is at it: the store is to be executed once more.
    Again,
}
