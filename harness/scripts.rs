// SPDX-License-Identifier: GPL-2.0-only
//! Scripts and recordings, played on a domain; what is seen of it, and drawings.

pub mod play;
pub mod replay;
pub mod script;
pub(crate) mod steps;
pub mod timeline;
pub mod transcript;
