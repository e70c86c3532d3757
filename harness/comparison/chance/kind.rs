// SPDX-License-Identifier: GPL-2.0-only
//! Kinds of things that happen in a script.

use std::str::FromStr;

/// What can be left out. Each script has some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Levels,
    /// Hardware-mapped ones.
    PhysicalEdges,
    PhysicalLevels,
    Private,
    /// The virtual timer, which follows its vCPU: its guest and time move its line.
    Timer,
    /// A GICv3 vCPU writes another's redistributor.
    Others,
    Sgis,
    /// SGIs of one number from several CPUs.
    Senders,
    PendingWrites,
    /// `ISACTIVER`, also of what was never acknowledged.
    SetActive,
    /// `ICACTIVER`, also of what was acknowledged.
    ClearActive,
    /// Priorities that change, also of what is pending or active.
    Priorities,
    /// The group of an interrupt, also of an active one.
    Groups,
    /// The groups' enables in `GICD_CTLR`.
    Switch,
    /// The groups' enables at the CPU interface.
    Interface,
    Mask,
    /// EOImode 1, and `DIR`.
    SplitEnd,
    /// `EOIR` of what was acknowledged and is inactive since, by `ICACTIVER`: the priority drops, and nothing else changes.
    EndInactive,
    /// `DIR` by another vCPU.
    DirElsewhere,
    /// `ICH_VTR_EL2.TDS` = 0: no trap of `ICC_DIR_EL1` alone.
    NoTds,
    /// `ICFGR` of disabled interrupts, whose lines rise and fall.
    Triggers,
    Routing,
    /// An interrupt that any of several may take.
    OneOfN,
    /// vCPUs that are switched off, whatever they have, and on.
    Hotplug,
    Waiting,
    /// vCPUs that are preempted and migrated.
    Scheduling,
    Reads,
}

impl Kind {
    /// All.
    pub const ALL: [Self; 27] = [
        Self::Levels,
        Self::PhysicalEdges,
        Self::PhysicalLevels,
        Self::Private,
        Self::Timer,
        Self::Others,
        Self::Sgis,
        Self::Senders,
        Self::PendingWrites,
        Self::SetActive,
        Self::ClearActive,
        Self::Priorities,
        Self::Groups,
        Self::Switch,
        Self::Interface,
        Self::Mask,
        Self::SplitEnd,
        Self::EndInactive,
        Self::DirElsewhere,
        Self::NoTds,
        Self::Triggers,
        Self::Routing,
        Self::OneOfN,
        Self::Hotplug,
        Self::Waiting,
        Self::Scheduling,
        Self::Reads,
    ];
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let named = |k: &Self| format!("{k:?}").eq_ignore_ascii_case(name);
        let all = || {
            Self::ALL
                .map(|k| format!("{k:?}").to_lowercase())
                .join(", ")
        };
        Self::ALL.into_iter().find(named).ok_or_else(all)
    }
}
