// SPDX-License-Identifier: GPL-2.0-only
//! What the drawings have in common: a lane for each interrupt, with bars from one event to the next.

use crate::notes::{Event, Lives, Moment, State, whose};
use std::collections::BTreeMap;

/// The life of one interrupt.
pub(super) struct Lane {
    pub intid: u32,
    /// Of a private one.
    pub vcpu: Option<usize>,
    pub bars: Vec<Bar>,
}

/// From an event to the next of the same interrupt, or to the end of its machine.
pub(super) struct Bar {
    pub from: usize,
    pub to: usize,
    pub event: Event,
}

/// How a state is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Idle,
    Queued,
    Loaded,
    Active,
}

impl Look {
    pub fn of(state: State) -> Self {
        match state {
            State { active: true, .. } => Self::Active,
            State { loaded: true, .. } => Self::Loaded,
            State { raised: true, .. } => Self::Queued,
            _ => Self::Idle,
        }
    }
}

impl Lane {
    pub fn name(&self) -> String {
        match self.vcpu {
            Some(vcpu) => format!("{} vCPU {vcpu}", self.intid),
            None => self.intid.to_string(),
        }
    }
}

impl Bar {
    pub fn look(&self) -> Look {
        Look::of(self.event.state)
    }
}

impl Lives {
    /// The lanes, in the order of their numbers. The column of an event is its number.
    pub(super) fn lanes(&self) -> Vec<Lane> {
        let mut lanes: BTreeMap<_, Lane> = BTreeMap::new();
        let mut starts = self.later_machines().peekable();
        let mut end = self.events.len();
        for (from, event) in self.events.iter().enumerate() {
            while starts.next_if(|(start, _)| *start <= from).is_some() {}
            end = starts.peek().map_or(self.events.len(), |(start, _)| *start);
            let (intid, vcpu) = whose(event.intid, event.vcpu);
            let lane = lanes.entry((intid, vcpu)).or_insert_with(|| Lane {
                intid,
                vcpu,
                bars: Vec::new(),
            });
            if let Some(last) = lane.bars.last_mut() {
                last.to = last.to.min(from);
            }
            lane.bars.push(Bar {
                from,
                to: end,
                event: *event,
            });
        }
        debug_assert!(end == self.events.len());
        lanes.into_values().collect()
    }

    /// Machines but the first, each with the column that it starts at.
    pub(super) fn later_machines(&self) -> impl Iterator<Item = (usize, &'static str)> {
        let later = |(start, _): &(usize, _)| (1..self.events.len()).contains(start);
        self.machines.iter().copied().filter(later)
    }
}

pub(super) fn sign(moment: Moment) -> char {
    match moment {
        Moment::Injected => 'i',
        Moment::Lowered => 'd',
        Moment::Loaded => 'l',
        Moment::Queued => 'q',
        Moment::Acknowledged => 'A',
        Moment::Ended => 'E',
    }
}
