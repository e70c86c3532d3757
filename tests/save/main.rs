// SPDX-License-Identifier: GPL-2.0-only
//! A domain's vGIC is saved and restored.

mod messages;
mod moved;
mod size;
