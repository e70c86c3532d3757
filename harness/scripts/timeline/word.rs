// SPDX-License-Identifier: GPL-2.0-only
//! The vGIC's word about an interrupt, field by field. The names are those in rust-vgic, module `irq`.

use rust_vgic::irq::{Place, State};

/// A field of the word.
pub(super) struct Field {
    pub name: &'static str,
    pub about: &'static str,
    /// What it says; None: nothing that anybody would ask about.
    pub value: fn(State) -> Option<String>,
}

macro_rules! fields {
    (
        flags { $($flag:literal $get:ident $flag_about:literal;)* }
        values { $($name:literal $about:literal $value:expr;)* }
    ) => {
        /// All of them: first those of one bit.
        pub(super) const FIELDS: &[Field] = &[
            $(Field { name: $flag, about: $flag_about, value: |s| s.$get().then(|| "1".into()) },)*
            $(Field { name: $name, about: $about, value: $value },)*
        ];
    };
}

fields! {
    flags {
        "EN" enabled "enabled by the guest";
        "LATCH" latch "pending latch that is not in a list register";
        "LATCH_LR" latch_lr "the latch that the list register carries";
        "LINE" line "its input line is up";
        "ACTIVE" folded_active "active, as of the last exit";
        "OVR_CLR" clears_active "a write to ICACTIVER waits for the list register";
        "OVR_SET" sets_active "a write to ISACTIVER waits for the list register";
        "LEVEL" level "level-sensitive";
        "GRP1" group1 "Group 1";
        "HW" hw "mapped to a physical interrupt";
        "PHYS" phys "the physical interrupt is active, and not in a list register";
        "PHYS_LR" phys_lr "the list register will deactivate the physical interrupt";
        "MAPPED" mapped "can be delivered: not an LPI without an event";
        "SGI" sgi "software-generated";
        "BY_WRITE" by_write "made active by a write, not acknowledged";
        "ACK_GRP1" ack_group1 "acknowledged in Group 1";
        "OWN" own "the physical interrupt is that of whatever CPU its vCPU is on";
        "PENDED" pended "made pending by a write, whatever its line does";
    }
    values {
        "PLACE" "the list that it is on" |s| Some(place(s).into());
        "HOLDER" "whose list that is" |s| s.place().1.map(|v| format!("vCPU {}", v.raw()));
        "TARGET" "where it is routed" |s| Some(s.target().map_or("none".into(), |v| format!("vCPU {}", v.raw())));
        "PRIORITY" "0 is the highest" |s| Some(format!("{:#04x}", s.priority5() << 3));
 "ACK_PRIORITY" "of an active one: with which it was acknowledged" |s| s.folded_active().then(|| format!("{:#04x}", s.ack_priority5() << 3));
        "ACTIVE_SOURCE" "sender of the active SGI (GICv2)" |s| source(s, s.active_source());
        "LR_SOURCE" "sender of the SGI in the list register (GICv2)" |s| source(s, s.lr_source());
        "SOURCES" "senders of a pending SGI, or ITARGETSR (GICv2)" |s| (s.sources() != 0).then(|| format!("{:#04x}", s.sources()));
    }
}

fn place(s: State) -> &'static str {
    match s.place().0 {
        Place::Idle => "none",
        Place::Inbox => "inbox",
        Place::Ready => "ready list",
        Place::Lr => "list register",
    }
}

fn source(s: State, source: u8) -> Option<String> {
    (s.sgi() && source != 0).then(|| format!("vCPU {source}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(word: u64) -> Vec<Option<String>> {
        let state = State::from_bits(word);
        FIELDS.iter().map(|field| (field.value)(state)).collect()
    }

    #[test]
    fn no_bit_of_the_word_is_left_out() {
        // An active SGI in a list register: all fields say something.
        let word = 1 << 50 | 3 << 25 | 1 << 4;
        for bit in 0..=57 {
            let other = values(word ^ 1 << bit);
            assert_ne!(other, values(word), "bit {bit}");
        }
    }

    #[test]
    fn flags_are_called_as_in_the_core() {
        for bit in (0..12).chain([49, 57]) {
            let word = 1 << bit;
            let shown = format!("{:?}", State::from_bits(word));
            let values = values(word);
            let set = |n: &usize| values[*n].as_deref() == Some("1");
            let n = (0..16).find(set).expect("a flag");
            assert!(
                shown.starts_with(&format!("{} ", FIELDS[n].name)),
                "{shown}"
            );
        }
    }
}
