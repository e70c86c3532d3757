// SPDX-License-Identifier: GPL-2.0-only
//! The ready lists by themselves: order, links, and which priorities have members.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use super::*;
use crate::irq::Event;

const LOW: u8 = 0x1f;
const HIGH: u8 = 2;

/// Some interrupts, whose INTIDs are their indices, and the lists that they are put on.
struct Ready {
    nodes: Vec<Irq>,
    lists: Lists,
}

impl Ready {
    fn new(states: &[State]) -> Self {
        Self {
            nodes: states.iter().map(|s| Irq::new(*s)).collect(),
            lists: Lists::new(),
        }
    }

    fn append(&mut self, intid: u16) {
        let (nodes, irq) = (&self.nodes, &self.nodes[usize::from(intid)]);
        let node = |n: u16| nodes.get(usize::from(n));
        self.lists.append(intid, irq, irq.state(), node);
    }

    fn remove(&mut self, intid: u16) {
        let nodes = &self.nodes;
        let node = |n: u16| nodes.get(usize::from(n));
        self.lists.remove(&nodes[usize::from(intid)], node);
    }

    /// Takes all of a class off its lists, in order.
    fn take(&mut self, class: Class) -> Vec<u16> {
        // A list that goes round in circles shows as one too many.
        let most = self.nodes.len() + 1;
        std::iter::from_fn(|| {
            let (_, intid) = self.lists.first(class)?;
            self.remove(intid);
            Some(intid)
        })
        .take(most)
        .collect()
    }
}

fn state(priority5: u8, group1: bool) -> State {
    let (s, _) = State::reset(None).apply(Event::Priority(priority5 << 3));
    s.apply(Event::Group1(group1)).0
}

#[test]
fn higher_priorities_come_first_and_equals_in_turn() {
    let mut ready = Ready::new(&[LOW, HIGH, LOW, HIGH, LOW].map(|p| state(p, false)));
    (0..5).for_each(|n| ready.append(n));
    assert_eq!(ready.lists.first(Class::Group0), Some((HIGH, 1)));
    assert_eq!(ready.take(Class::Group0), [1, 3, 0, 2, 4]);
}

#[test]
fn one_may_leave_from_anywhere() {
    for (gone, left) in [
        (0, [1, 2, 3]),
        (1, [0, 2, 3]),
        (2, [0, 1, 3]),
        (3, [0, 1, 2]),
    ] {
        let mut ready = Ready::new(&[state(HIGH, true); 4]);
        (0..4).for_each(|n| ready.append(n));
        ready.remove(gone);
        // Those that come after find the end of what is left.
        ready.append(gone);
        assert_eq!(ready.take(Class::Group1), [&left[..], &[gone]].concat());
    }
}

#[test]
fn each_class_says_which_priorities_wait() {
    let by_write = state(HIGH, true).apply(Event::SetActive).0;
    let taken = state(HIGH, true).with_active(true).with_ack_priority5(LOW);
    let mut ready = Ready::new(&[state(HIGH, false), state(LOW, true), taken, by_write]);
    let classes = [Class::Group0, Class::Group1, Class::Active, Class::ByWrite];
    let maps = |ready: &Ready| classes.map(|class| ready.lists.map(class));
    assert_eq!(maps(&ready), [0; 4]);
    (0..4).for_each(|n| ready.append(n));
    assert_eq!(maps(&ready), [1 << HIGH, 1 << LOW, 1 << LOW, 1 << HIGH]);
    ready.remove(1);
    assert_eq!(maps(&ready), [1 << HIGH, 0, 1 << LOW, 1 << HIGH]);
}

#[test]
fn the_most_urgent_is_of_a_group_that_is_on() {
    let mut ready = Ready::new(&[state(LOW, false), state(HIGH, true)]);
    (0..2).for_each(|n| ready.append(n));
    assert_eq!(ready.lists.most_urgent(Groups::all()), Some(HIGH));
    assert_eq!(ready.lists.most_urgent(Groups::ZERO), Some(LOW));
    assert_eq!(ready.lists.most_urgent(Groups::empty()), None);
    ready.lists.set_rest(1, 0);
    assert_eq!(
        ready.lists.most_urgent(Groups::empty()),
        Some(1),
        "what is not sorted yet may be anything"
    );
}

#[test]
fn a_backlog_is_what_is_pending_and_not_what_is_only_active() {
    let active = state(HIGH, false).apply(Event::SetActive).0;
    for (state, backlog) in [
        (state(LOW, false), true),
        (state(LOW, true), true),
        (active, false),
    ] {
        let mut ready = Ready::new(&[state]);
        assert!(!ready.lists.backlog() && !ready.lists.any());
        ready.append(0);
        assert!(ready.lists.backlog() == backlog && ready.lists.any());
        ready.remove(0);
        assert!(!ready.lists.backlog() && !ready.lists.any());
    }
    let mut ready = Ready::new(&[state(LOW, false), state(LOW, true)]);
    (0..2).for_each(|n| ready.append(n));
    assert!(ready.lists.backlog(), "both groups at once");
    ready.lists = Lists::new();
    ready.lists.set_rest(3, 0);
    assert!(ready.lists.backlog() && ready.lists.any(), "not sorted yet");
}

#[test]
fn a_node_is_sorted_until_its_priority_group_or_activity_changes() {
    let first = state(HIGH, false);
    let mut ready = Ready::new(&[first]);
    ready.append(0);
    let sorted = |state| Lists::is_sorted(&ready.nodes[0], state);
    assert!(sorted(first) && !sorted(state(LOW, false)) && !sorted(state(HIGH, true)));
    assert!(!sorted(first.apply(Event::SetActive).0));
}
