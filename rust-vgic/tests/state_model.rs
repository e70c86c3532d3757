// SPDX-License-Identifier: GPL-2.0-only
//! Every transition of the word of state, from every state, against a model written separately.
//!
//! The model (`model/`) is a struct of named fields with rules in words, from IHI 0048B and IHI 0069. All states that
//! are well formed are enumerated, and for each of them all events; what is left out, and why, is said in `model/states.rs`.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::arithmetic_side_effects)]

mod model;

use model::{Duties, Latch, Location, Model, vcpu};
use rust_vgic::VcpuId;
use rust_vgic::irq::{Event, LrView, Place, State};
use std::collections::HashSet;

/// All states, each with its word; the translation is shown to lose nothing on the way.
fn states() -> Vec<(Model, State)> {
    let states: Vec<_> = model::states::all()
        .into_iter()
        .map(|model| {
            let word = model.word();
            assert_eq!(Model::of(word), model);
            (model, word)
        })
        .collect();
    let words: HashSet<u64> = states.iter().map(|(_, word)| word.bits()).collect();
    assert_eq!(words.len(), states.len(), "enumerated twice");
    // Enough of them, or the enumeration itself is broken.
    assert!(states.len() > 40_000, "{}", states.len());
    states
}

fn in_list_registers() -> impl Iterator<Item = (Model, State)> {
    states().into_iter().filter(|(m, _)| m.in_list_register())
}

/// What the vCPU's own side of a list register can have become when the guest is left, given what was loaded.
fn outcomes(view: LrView) -> Vec<(bool, bool)> {
    match (view.pending, view.active) {
        (false, false) => vec![(false, false)],
        // Not touched, acknowledged, or ended as well.
        (true, false) => vec![(true, false), (false, true), (false, false)],
        // Not touched, ended.
        (false, true) => vec![(false, true), (false, false)],
        // Not touched; ended; that and acknowledged; that and ended too.
        (true, true) => vec![(true, true), (true, false), (false, true), (false, false)],
    }
}

#[test]
fn the_word_is_laid_out_as_documented() {
    let zero = State::from_bits(0);
    let flags: [(State, u32); 18] = [
        (zero.with_enabled(true), 0),
        (zero.with_latch(true), 1),
        (zero.with_latch_lr(true), 2),
        (zero.with_line(true), 3),
        (zero.with_active(true), 4),
        (zero.with_clears_active(true), 5),
        (zero.with_sets_active(true), 6),
        (zero.with_level(true), 7),
        (zero.with_group1(true), 8),
        (zero.with_hw(true), 9),
        (zero.with_phys(true), 10),
        (zero.with_phys_lr(true), 11),
        (zero.with_mapped(true), 49),
        (zero.with_sgi(true), 50),
        (zero.with_ack_group1(true), 56),
        (zero.with_by_write(true), 57),
        (zero.with_own(true), 58),
        (zero.with_pended(true), 59),
    ];
    for (word, bit) in flags {
        assert_eq!(word.bits(), 1 << bit, "bit {bit}");
    }
    assert_eq!(zero.with_priority5(0x1f).bits(), 0x1f << 12);
    assert_eq!(zero.with_priority5(0xff).bits(), 0x1f << 12);
    assert_eq!(zero.with_ack_priority5(0xff).bits(), 0x1f << 51);
    assert_eq!(zero.with_target(None).bits(), 0xff << 17);
    assert_eq!(zero.with_target(Some(vcpu(127))).bits(), 127 << 17);
    let places = [
        (Place::Idle, 0),
        (Place::Inbox, 1 << 25 | 127 << 27),
        (Place::Ready, 2 << 25 | 127 << 27),
        (Place::Lr, 3 << 25 | 127 << 27),
    ];
    for (place, bits) in places {
        let word = zero.placed(place, vcpu(127));
        assert_eq!(word.bits(), bits);
        assert_eq!(word.place().0, place);
        assert_eq!(word.place().1, (place != Place::Idle).then_some(vcpu(127)));
        assert!(place == Place::Idle || word.is_at(place, vcpu(127)));
        assert!(!word.is_at(place, vcpu(0)));
        assert_eq!(word.idle(), zero);
    }
    assert_eq!(zero.with_active_source(7).bits(), 7 << 35);
    assert_eq!(zero.with_lr_source(7).bits(), 7 << 38);
    assert_eq!(zero.with_sources(0xff).bits(), 0xff << 41);
    assert_eq!(zero.with_itargets(0xff).bits(), 0xff << 41);
}

#[test]
fn fields_do_not_disturb_each_other() {
    let ones = State::from_bits((1 << 60) - 1);
    let cleared = [
        ones.with_priority5(0),
        ones.with_ack_priority5(0),
        ones.with_active_source(0),
        ones.with_lr_source(0),
        ones.with_sources(0),
        ones.with_target(Some(vcpu(0))),
        ones.idle(),
        ones.with_enabled(false).with_enabled(true),
    ];
    let lost = [
        0x1f << 12,
        0x1f << 51,
        7 << 35,
        7 << 38,
        0xff << 41,
        0xff << 17,
        3 << 25 | 0xff << 27,
        0,
    ];
    for (word, bits) in cleared.into_iter().zip(lost) {
        assert_eq!(word.bits(), ones.bits() & !bits);
    }
}

#[test]
fn interrupts_start_inactive_and_not_pending() {
    for (word, sgi) in [
        (State::reset(Some(vcpu(1))), false),
        (State::reset_sgi(Some(vcpu(1))), true),
    ] {
        let m = Model::of(word);
        assert!(m.is_well_formed());
        assert!(!m.enabled && !m.is_pending() && !m.is_active() && !m.group1);
        assert_eq!(
            (m.priority, m.route, m.location),
            (0, Some(1), Location::Nowhere)
        );
        assert_eq!((m.is_sgi(), m.level_sensitive, m.mapped), (sgi, !sgi, true));
    }
}

#[test]
fn what_is_said_of_a_state_is_what_the_model_says() {
    for (m, s) in states() {
        assert_eq!(s.pending(), m.is_pending(), "{m:?}");
        assert_eq!(s.active(), m.is_active(), "{m:?}");
        assert_eq!(s.ready(), m.can_be_signalled(), "{m:?}");
        assert_eq!(s.deliverable(), m.belongs_on_a_list(), "{m:?}");
        assert_eq!(s.misplaced(), m.is_misplaced(), "{m:?}");
        let stands = m.acknowledged.filter(|_| m.is_active());
        assert_eq!(s.acknowledged(), stands.is_some(), "{m:?}");
        assert_eq!(
            s.standing(),
            stands.unwrap_or((m.group1, m.priority)),
            "{m:?}"
        );
        assert_eq!(s.hangs_on_line(), m.depends_on_physical_line(), "{m:?}");
        for vcpu in (0..3).filter_map(VcpuId::new) {
            assert_eq!(s.is_for(vcpu), s.target() == Some(vcpu), "{m:?}");
        }
        assert_eq!(s.orphaned(), m.is_orphan(), "{m:?}");
        assert_eq!(s.holds_phys(), m.physical_is_active(), "{m:?}");
        assert_eq!(s.without_orphan() != s, m.is_orphan(), "{m:?}");
    }
}

#[test]
fn every_event_in_every_state() {
    let mut transitions = 0_u64;
    for (m, s) in states() {
        for event in m.events() {
            let (expected, duties) = m.apply(event);
            let (new, effect) = s.apply(event);
            let context = || format!("{event:?} in {m:#?}\n{s:?} became {new:?}");
            assert_eq!(Model::of(new), expected, "{}", context());
            assert_eq!(Duties::of(effect), duties, "{}", context());
            check_event(&m, event, &expected, duties, context);
            if let Event::Line(level) = event {
                let known = s.level() && !s.hw() && s.line() == level;
                assert_eq!(s.is_line_at(level), known, "{}", context());
                assert!(!known || (new == s && effect.is_empty()), "{}", context());
            }
            transitions += 1;
        }
    }
    assert!(transitions > 1_000_000, "{transitions}");
}

/// What must hold for any transition, whatever the model says of it.
fn check_event(old: &Model, event: Event, new: &Model, duties: Duties, why: impl Fn() -> String) {
    assert!(new.is_well_formed(), "{}", why());
    // A place changes from idle to an inbox, and that has a push.
    let pushed = old.location == Location::Nowhere && new.location != Location::Nowhere;
    assert_eq!(duties.push, pushed, "{}", why());
    assert!(pushed || old.location == new.location, "{}", why());
    if pushed {
        assert_eq!(
            new.location,
            Location::Inbox(new.route.expect("a route")),
            "{}",
            why()
        );
    }
    assert!(!duties.kick || duties.look, "{}", why());
    // Each step between active and not active at the physical GIC is a duty, or came from there.
    // Two who answer: it was ended in the list register and has fired again, and the fold does not know yet.
    let (before, after) = (
        old.physical.unwrap_or_default(),
        new.physical.unwrap_or_default(),
    );
    let stale = before.word_answers && before.list_register_answers;
    let is = after.word_answers || (after.list_register_answers && !stale);
    let fired = event == Event::Line(true) && old.physical.is_some();
    let was = before.is_active() || duties.activate || fired;
    assert_eq!(was && !duties.deactivate, is, "{}", why());
    assert!(!duties.deactivate || before.is_active(), "{}", why());
    assert!(!duties.activate || !before.is_active(), "{}", why());
    // What was on its way to be deactivated still is, unless the list register is to see to it.
    let newly_orphaned = new.is_orphan() && old.will_end_one_day();
    assert!(
        !newly_orphaned || new.in_list_register() || duties.owner,
        "{}",
        why()
    );
    // The PPI is its own CPU's.
    assert!(!old.banked || !duties.activate, "{}", why());
    assert!(
        !old.banked || !duties.deactivate || event == Event::Withdraw,
        "{}",
        why()
    );
    // Latches go by what clears latches, and by nothing else.
    if !matches!(
        event,
        Event::ClearPending | Event::ClearSgi(_) | Event::Map(false) | Event::Withdraw
    ) {
        let (before, after) = (old.pending_senders(), new.pending_senders());
        for n in 0..8 {
            assert!(after.0[n] || !before.0[n], "{}", why());
        }
    }
    // An edge is latched.
    if event == Event::Line(true) && new.mapped {
        assert!(new.is_pending(), "{}", why());
    }
    untouched(old, event, new, why);
}

/// What an event is not about stays as it is.
fn untouched(old: &Model, event: Event, new: &Model, why: impl Fn() -> String) {
    let mut rest = new.clone();
    rest.location = old.location;
    let latches = |rest: &mut Model| {
        rest.latch = match (old.latch, rest.latch) {
            (Latch::Plain { set, .. }, Latch::Plain { itargets, .. }) => {
                Latch::Plain { set, itargets }
            }
            (latch, _) => latch,
        };
        rest.carried = old.carried;
    };
    match event {
        Event::Line(_) => {
            latches(&mut rest);
            rest.line_high = old.line_high;
            rest.physical = old.physical;
        }
        Event::Sgi(_) | Event::ClearSgi(_) => latches(&mut rest),
        Event::SetPending => {
            latches(&mut rest);
            rest.written = old.written;
        }
        Event::ClearPending | Event::Withdraw => {
            latches(&mut rest);
            rest.written = old.written;
            rest.physical = old.physical;
        }
        Event::Map(_) => {
            latches(&mut rest);
            rest.mapped = old.mapped;
            rest.enabled = old.enabled;
        }
        Event::SetActive | Event::ClearActive | Event::Ended => {
            rest.active_seen = old.active_seen;
            rest.active_wanted = old.active_wanted;
            rest.acknowledged = old.acknowledged;
            rest.physical = old.physical;
        }
        Event::Enable(_) => rest.enabled = old.enabled,
        Event::Forget => rest.acknowledged = old.acknowledged,
        Event::Priority(_) => rest.priority = old.priority,
        Event::Trigger { .. } => rest.level_sensitive = old.level_sensitive,
        Event::Group1(_) => rest.group1 = old.group1,
        Event::Route(_) => rest.route = old.route,
        Event::Targets(..) => {
            rest.route = old.route;
            if let (Latch::Plain { itargets: to, .. }, Latch::Plain { itargets: from, .. }) =
                (&mut rest.latch, &old.latch)
            {
                *to = *from;
            }
        }
        Event::Connect(_) => {
            rest.physical = old.physical;
            rest.line_high = old.line_high;
        }
    }
    assert_eq!(&rest, old, "{}", why());
}

#[test]
fn every_state_is_loaded_as_the_model_says() {
    let both = |(m, s): (Model, State)| [true, false].map(|foremost| (m.clone(), s, foremost));
    for (m, s, foremost) in in_list_registers().flat_map(both) {
        let (expected, expected_view, duties) = m.load(foremost);
        let (new, view, effect) = s.load(foremost);
        let context = || format!("{m:#?}\n{s:?} became {new:?} with {view:?}");
        assert_eq!(view, expected_view, "{}", context());
        assert_eq!(Model::of(new), expected, "{}", context());
        assert_eq!(Duties::of(effect), duties, "{}", context());
        let new = expected;
        assert!(new.is_well_formed(), "{}", context());
        assert_eq!(m.location, new.location, "{}", context());
        // Nothing comes or goes.
        assert_eq!(m.is_pending(), new.is_pending(), "{}", context());
        assert_eq!(m.is_active(), new.is_active(), "{}", context());
        assert_eq!(m.pending_senders(), new.pending_senders(), "{}", context());
        // The physical interrupt.
        let answers = new.physical.unwrap_or_default();
        assert_eq!(view.hw, answers.list_register_answers, "{}", context());
        assert!(
            !(answers.word_answers && answers.list_register_answers),
            "{}",
            context()
        );
        assert_eq!(
            m.physical_is_active() && !duties.deactivate,
            new.physical_is_active(),
            "{}",
            context()
        );
        assert!(
            !new.physical_is_active() || new.will_end_one_day(),
            "{}",
            context()
        );
        // The list register itself.
        assert!(!(view.hw && view.pending && view.active), "{}", context());
        assert!(!(view.hw && view.eoi), "{}", context());
        assert!(!view.hw || view.pending || view.active, "{}", context());
        assert!(!view.pending || m.can_be_signalled(), "{}", context());
        assert!(!new.carried || view.pending, "{}", context());
        assert_eq!(view.active, m.is_active(), "{}", context());
        // Behind itself only as what it was acknowledged as, and first.
        assert!(
            !(view.pending && view.active)
                || (foremost && m.acknowledged == Some((m.group1, m.priority))),
            "{}",
            context()
        );
        if m.is_sgi() {
            assert!(!(view.pending && view.active), "two sources: {}", context());
        }
        // All that can be signalled is: now, or at the end of what is active, of which we hear.
        if m.can_be_signalled() {
            assert!(view.pending || view.active, "{}", context());
            let waits = new.is_latched() || (new.level_sensitive && new.line_high);
            assert!(!waits || view.eoi, "stranded: {}", context());
        }
        // Loaded once more, nothing changes.
        let (again, view_again, _) = s.load(foremost).0.load(foremost);
        assert_eq!(
            (again, view_again),
            (s.load(foremost).0, view),
            "{}",
            context()
        );
    }
}

#[test]
fn every_state_is_folded_as_the_model_says() {
    for (m, s) in in_list_registers() {
        for (pending, active) in [(false, false), (false, true), (true, false), (true, true)] {
            // An LPI has no active state.
            if active && !m.mapped {
                continue;
            }
            let shown = (true, 0x14);
            let new = s.fold(pending, active, shown);
            let context = || format!("{pending} {active}: {m:#?}\n{s:?} became {new:?}");
            let expected = m.fold(pending, active, shown);
            assert_eq!(Model::of(new), expected, "{}", context());
            if let (Some(end), false, false) = (s.ended(), pending, active) {
                assert!(!new.deliverable() && !new.orphaned(), "{}", context());
                assert_eq!(end, new.unload().idle(), "{}", context());
            }
            assert!(Model::of(new).is_well_formed(), "{}", context());
        }
    }
}

#[test]
fn out_of_the_list_register_and_to_where_it_belongs() {
    for (m, s) in states().into_iter().filter(|(m, _)| m.held_by().is_some()) {
        let holder = m.held_by().expect("held");
        let from = m.clone();
        let context = || format!("{from:#?}");
        let (m, s) = if m.in_list_register() {
            let (out, word) = (m.unload(), s.unload());
            assert_eq!(Model::of(word), out, "{}", context());
            assert_eq!(word.place(), s.place(), "{}", context());
            assert_eq!(out.is_pending(), m.is_pending(), "{}", context());
            assert_eq!(out.is_active(), m.is_active(), "{}", context());
            assert_eq!(out.pending_senders(), m.pending_senders(), "{}", context());
            assert_eq!(
                out.physical_is_active(),
                m.physical_is_active(),
                "{}",
                context()
            );
            // In and out again is as good as never in, but for a deactivation that is then done.
            let (loaded, _, effect) = s.load(true);
            let there_and_back = Model::of(loaded.unload());
            let mut same = out.clone();
            if Duties::of(effect).deactivate {
                same.physical = there_and_back.physical;
            }
            // Which source was the last to be loaded matters to nobody once it is out.
            same.carried_sender = there_and_back.carried_sender;
            assert_eq!(there_and_back, same, "{}", context());
            (out, word)
        } else {
            (m, s)
        };
        let home = s.rehome(vcpu(holder));
        let expected = m.rehome(holder);
        assert_eq!(Model::of(home), expected, "{}", context());
        assert!(expected.is_well_formed(), "{}", context());
        assert!(!expected.is_misplaced(), "{}", context());
        assert!(
            expected.is_active() || expected.held_by().is_none() || expected.held_by() == m.route
        );
    }
}

/// In the guest: loaded, something happens from outside, the guest does what it does, and is left. What the guest has
/// acknowledged is consumed, and nothing else; the physical interrupt is active if and only if the word says so.
///
/// One priority is enough: nothing that is done here reads it (the tests above have all three).
#[test]
fn in_the_guest_and_out_again() {
    let mut seen = HashSet::new();
    for (m, s) in in_list_registers().filter(|(m, _)| m.priority == 0) {
        // The caller empties a list register that shows nothing before it enters the guest.
        let (loaded, view, _) = s.load(true);
        let shown = loaded.standing();
        if !seen.insert(loaded.bits()) {
            continue;
        }
        for (pending, active) in outcomes(view) {
            let start = Model::of(loaded);
            let ended_physical = view.hw && !pending && !active;
            let physical = start.physical_is_active() && !ended_physical;
            for event in std::iter::once(None).chain(start.events().into_iter().map(Some)) {
                let (word, duties) = match event {
                    None => (loaded, Duties::default()),
                    // The owner's own, after it has left the guest.
                    Some(Event::Withdraw) => continue,
                    // An LPI has no active state.
                    Some(Event::Map(_)) if active || view.active => continue,
                    // The physical GIC does not signal an interrupt that is active.
                    Some(Event::Line(true)) if m.physical.is_some() && physical => continue,
                    Some(event) => {
                        let (word, effect) = loaded.apply(event);
                        (word, Duties::of(effect))
                    }
                };
                let fired = event == Some(Event::Line(true)) && m.physical.is_some();
                let expected = (physical || fired || duties.activate) && !duties.deactivate;
                let between = Model::of(word);
                let end = Model::of(word.fold(pending, active, shown));
                let context = || format!("{m:#?}\n{view:?} {event:?} {pending} {active}\n{end:#?}");
                assert_eq!(end, between.fold(pending, active, shown), "{}", context());
                assert!(end.is_well_formed(), "{}", context());
                assert_eq!(end.physical_is_active(), expected, "{}", context());
                // What the list register carried is gone exactly if it was acknowledged there, or cleared by the event.
                let acknowledged = view.pending && !pending;
                assert_eq!(
                    end.carried,
                    between.carried && !acknowledged,
                    "{}",
                    context()
                );
                assert_eq!(end.latch, between.latch, "{}", context());
                assert_eq!(end.line_high, between.line_high, "{}", context());
                // A register write to the active state wins, the guest's doing counts otherwise.
                assert_eq!(
                    end.is_active(),
                    between.active_wanted.unwrap_or(active),
                    "{}",
                    context()
                );
                if active && !view.active && m.is_sgi() {
                    assert_eq!(end.active_sender, view.source, "{}", context());
                }
                // On the next entry all of it is loaded, and the physical interrupt is let go if nobody needs it.
                let (next, next_view, effect) = word.fold(pending, active, shown).load(true);
                let next = Model::of(next);
                assert_eq!(next.is_pending(), end.is_pending(), "{}", context());
                assert!(
                    !next.physical_is_active() || next.will_end_one_day(),
                    "{}",
                    context()
                );
                assert_eq!(
                    next.physical_is_active(),
                    end.physical_is_active() && !Duties::of(effect).deactivate,
                    "{}",
                    context()
                );
                assert_eq!(next_view.active, end.is_active(), "{}", context());
            }
        }
    }
    assert!(seen.len() > 1_500, "{}", seen.len());
}

/// For the dump and for whoever reads a failed test.
#[test]
fn a_state_says_what_it_is() {
    let s = State::reset(VcpuId::new(3))
        .with_enabled(true)
        .with_active(true);
    assert_eq!(
        format!("{s:?}"),
        "EN ACTIVE LEVEL MAPPED prio 0x0 target Some(3) Idle None sources 0x0"
    );
}
