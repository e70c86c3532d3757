// SPDX-License-Identifier: GPL-2.0-only
//! Every state an interrupt can be in, and every event, as far as they make a difference.

use super::{Latch, Location, Model, Physical, Senders, target};
use rust_vgic::irq::Event;

const FLAGS: [bool; 2] = [false, true];
/// Highest, one between, lowest: nothing but equality and order of priorities matters.
pub const PRIORITIES: [u8; 3] = [0, 0x14, 0x1f];
const ROUTES: [Option<u8>; 3] = [None, Some(0), Some(1)];

/// All that differs in kind: what is latched how, whether a physical interrupt or a mapping is there.
fn kinds() -> Vec<Model> {
    let blank = Model {
        enabled: false,
        group1: false,
        priority: 0,
        level_sensitive: false,
        line_high: false,
        latch: Latch::Plain {
            set: false,
            itargets: 0,
        },
        carried: false,
        carried_sender: 0,
        active_seen: false,
        active_sender: 0,
        acknowledged: None,
        active_wanted: None,
        physical: None,
        banked: false,
        written: false,
        mapped: true,
        route: None,
        location: Location::Nowhere,
    };
    let mut kinds = Vec::new();
    // Peripheral interrupts and, where edge-triggered and not active, LPIs.
    for (set, level_sensitive, line_high) in three() {
        for itargets in [0, 3] {
            kinds.push(Model {
                latch: Latch::Plain { set, itargets },
                level_sensitive,
                line_high,
                ..blank.clone()
            });
        }
    }
    // Hardware-mapped ones have no line of ours, and nothing depends on their ITARGETSR.
    for (set, level_sensitive, word_answers) in three() {
        for list_register_answers in FLAGS {
            kinds.push(Model {
                latch: Latch::Plain { set, itargets: 1 },
                level_sensitive,
                physical: Some(Physical {
                    word_answers,
                    list_register_answers,
                }),
                ..blank.clone()
            });
        }
    }
    // So have those whose physical one is banked, which are level-sensitive; and what is latched may be that by a write.
    for (set, written, word_answers) in three() {
        for list_register_answers in FLAGS {
            kinds.push(Model {
                latch: Latch::Plain { set, itargets: 0 },
                level_sensitive: true,
                physical: Some(Physical {
                    word_answers,
                    list_register_answers,
                }),
                banked: true,
                written,
                ..blank.clone()
            });
        }
    }
    // SGIs are edge-triggered. Sources 0, 1, 2 and 7 in all combinations: the first, the last, and two between.
    for pattern in 0..16_u8 {
        let byte = pattern & 7 | (pattern & 8) << 4;
        for carried_sender in [0, 1, 7] {
            for active_sender in [0, 7] {
                kinds.push(Model {
                    latch: Latch::PerSender(Senders::of(byte)),
                    carried_sender,
                    active_sender,
                    ..blank.clone()
                });
            }
        }
    }
    // An LPI without a mapping is edge-triggered and never pending.
    kinds.push(Model {
        mapped: false,
        ..blank
    });
    kinds
}

fn three() -> impl Iterator<Item = (bool, bool, bool)> {
    (0..8).map(|n| (n & 1 != 0, n & 2 != 0, n & 4 != 0))
}

/// The priority it has, and what it was acknowledged with if it is active: the same or something else.
fn standings() -> Vec<(u8, Option<(bool, u8)>)> {
    let [high, middle, low] = PRIORITIES;
    let mut standings: Vec<_> = PRIORITIES.map(|priority| (priority, None)).into();
    for (now, then) in [(high, high), (middle, high), (low, low), (low, middle)] {
        standings.extend(FLAGS.map(|group1| (now, Some((group1, then)))));
    }
    standings
}

fn locations(private: bool) -> Vec<Location> {
    // A private interrupt is with its own vCPU.
    let holders: &[u8] = if private { &[0] } else { &[0, 1] };
    let mut locations = vec![Location::Nowhere];
    for &v in holders {
        locations.extend([
            Location::Inbox(v),
            Location::Ready(v),
            Location::ListRegister(v),
        ]);
    }
    locations
}

/// Every well-formed state. Left out is only what must not be, and the transitions are shown never to make it:
///
/// * outside of a list register: a latch that one carries, a wish it has not seen, a physical interrupt it answers for;
/// * on no list: what belongs on one and has a route;
/// * an SGI, or an LPI without a mapping, that is level-sensitive or hardware-mapped; an SGI that is routed elsewhere;
/// * one that is banked with a route or a trigger type of its own, and a write of ISPENDR with nothing latched;
/// * a line of a hardware-mapped interrupt; anything pending or active of an LPI without a mapping.
///
/// And one thing that makes no difference: the source fields where there are no sources.
pub fn all() -> Vec<Model> {
    let mut states = Vec::new();
    for kind in kinds() {
        let private = kind.is_sgi() || kind.banked;
        let routes = if private { &ROUTES[1..2] } else { &ROUTES[..] };
        for location in locations(private) {
            for &route in routes {
                for (enabled, group1, active_seen) in three() {
                    for active_wanted in [None, Some(false), Some(true)] {
                        for carried in FLAGS {
                            for (priority, acknowledged) in standings() {
                                let state = Model {
                                    enabled,
                                    group1,
                                    active_seen,
                                    active_wanted,
                                    carried,
                                    priority,
                                    acknowledged,
                                    route,
                                    location,
                                    ..kind.clone()
                                };
                                if state.is_well_formed() {
                                    states.push(state);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    states
}

impl Model {
    /// The invariants on single states: see [`all`].
    pub fn is_well_formed(&self) -> bool {
        let outside = self.active_wanted.is_none()
            && !self.carried
            && !self
                .physical
                .is_some_and(|physical| physical.list_register_answers);
        let place = match self.location {
            Location::Nowhere => outside && (self.route.is_none() || !self.belongs_on_a_list()),
            Location::Inbox(_) | Location::Ready(_) => outside,
            Location::ListRegister(_) => true,
        };
        let sgi = !self.is_sgi()
            || self.mapped && !self.level_sensitive && !self.line_high && self.physical.is_none();
        let hardware = self.physical.is_none() || self.mapped && !self.line_high;
        let unmapped = self.mapped
            || !self.is_pending()
                && !self.active_seen
                && self.active_wanted.is_none()
                && !self.level_sensitive;
        let acknowledged = self.acknowledged.is_none() || self.active_seen;
        let banked = !self.banked
            || self.physical.is_some() && self.level_sensitive && self.route == Some(0);
        let written = !self.written || self.banked && (self.is_latched() || self.carried);
        place && sgi && hardware && unmapped && acknowledged && banked && written
    }

    /// Events that may be posted to an interrupt in this state. The others have no register, command or caller.
    pub fn events(&self) -> Vec<Event> {
        let mut events = vec![
            Event::Line(false),
            Event::Line(true),
            Event::SetPending,
            Event::ClearPending,
            Event::Enable(false),
            Event::Enable(true),
            Event::Group1(false),
            Event::Group1(true),
            Event::Withdraw,
            Event::Forget,
        ];
        // The low three bits are not implemented.
        events.extend([0x00, 0x07, 0xa0, 0xa7, 0xff].map(Event::Priority));
        if self.mapped {
            events.extend([Event::SetActive, Event::ClearActive]);
        }
        // Only while it waits outside, under the lock of its holder.
        if matches!(self.location, Location::Ready(_)) {
            events.push(Event::Ended);
        }
        if self.is_sgi() {
            events.extend([0, 1, 2, 0x80, 0x83, 0xff].map(Event::Sgi));
            events.extend([0, 1, 2, 0x80, 0x83, 0xff].map(Event::ClearSgi));
            return events;
        }
        // A PPI has neither route nor trigger type, and stays what it is.
        if self.banked {
            return events;
        }
        for route in ROUTES {
            events.push(Event::Route(target(route)));
            events.extend([0, 1, 3].map(|byte| Event::Targets(byte, target(route))));
        }
        // What may be an LPI: those are edge-triggered and have no active state.
        let edge = !self.level_sensitive && !self.line_high && self.physical.is_none();
        if edge && !self.active_seen && self.active_wanted.is_none() {
            events.extend([Event::Map(false), Event::Map(true)]);
        }
        if self.mapped {
            events.extend([false, true].map(|level| Event::Trigger { level }));
        }
        match self.physical {
            Some(_) => events.push(Event::Connect(false)),
            // Refused otherwise.
            None if self.mapped
                && self.location == Location::Nowhere
                && !self.enabled
                && !self.is_pending()
                && !self.is_active() =>
            {
                events.push(Event::Connect(true));
            }
            None => {}
        }
        events
    }
}
