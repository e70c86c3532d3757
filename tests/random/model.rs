// SPDX-License-Identifier: GPL-2.0-only
//! What the world outside of the vGIC knows of an interrupt.

use crate::{FIRST, PER_KIND};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Edge,
    Level,
    HwEdge,
    HwLevel,
}

impl Kind {
    pub fn of(n: usize) -> Self {
        [Self::Edge, Self::Level, Self::HwEdge, Self::HwLevel][n / PER_KIND]
    }

    pub fn is_level(self) -> bool {
        matches!(self, Self::Level | Self::HwLevel)
    }
}

/// An interrupt.
#[derive(Clone, Copy, Default)]
pub struct Model {
    /// Edge: raised and not acknowledged since. Level: the line.
    pub pending: bool,
    /// A second edge, which the physical GIC has latched while the first was active there.
    pub second: bool,
    /// The line fell, and the vCPU that has it may not have left its guest since.
    pub stale: bool,
    pub active_on: Option<usize>,
    pub enabled: bool,
    pub target: usize,
    pub priority: u8,
    /// In the group that the guest does not use.
    pub hidden: bool,
}

impl Model {
    /// Why vCPU `v` cannot have acknowledged it, if so.
    pub fn objection(&self, v: usize) -> Option<String> {
        if let Some(other) = self.active_on {
            Some(format!("is active on vCPU {other} already"))
        } else if !(self.pending || self.stale) {
            Some("was not pending".into())
        } else if !self.enabled {
            Some("is disabled".into())
        } else if self.hidden {
            Some("is in another group".into())
        } else if self.target != v {
            Some(format!("is routed to vCPU {}", self.target))
        } else {
            None
        }
    }
}

/// Of those that the vGIC must know of, one of a higher priority that vCPU `v` should have been given.
pub fn rival(all: &[Model], v: usize, priority: u8) -> Option<u32> {
    let known = |n: &usize| matches!(Kind::of(*n), Kind::Edge | Kind::Level);
    let better = |m: &Model| m.pending && m.objection(v).is_none() && m.priority < priority;
    (0..all.len())
        .filter(known)
        .find(|n| better(&all[*n]))
        .map(|n| FIRST + n as u32)
}
