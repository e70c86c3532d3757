// SPDX-License-Identifier: GPL-2.0-only
//! What the vGIC needs from the hypervisor it is part of. Static dispatch only: a build has one host.

use crate::intid::IntId;
use core::fmt::Display;

/// The host's own name for a vCPU: a pointer or a number.
pub trait Handle: Copy + Send + Sync {
    /// The handle as a word.
    fn to_word(self) -> usize;
    /// The handle that a word was made from.
    fn from_word(word: usize) -> Self;
}

impl Handle for usize {
    fn to_word(self) -> usize {
        self
    }
    fn from_word(word: usize) -> Self {
        word
    }
}

/// The hypervisor, as seen by one domain's vGIC.
///
/// None of these is called with a lock of the vGIC held, unless it says so.
pub trait Host: Send + Sync + Sized {
    /// The host's own handle of a vCPU.
    type Vcpu: Handle;

    /// A physical interrupt while its lock is held.
    type Phys: PhysIrq;

    /// What the host calls the domain in messages.
    fn name(&self) -> impl Display;

    /// The virtual CPU interface control registers of the physical CPU that runs this code.
    fn cpu(&self) -> impl CpuInterface;

    /// Makes a vCPU look at its interrupts soon: unblocks it, and forces an exit if it runs elsewhere.
    /// Called from any context.
    fn kick(&self, vcpu: Self::Vcpu);

    /// Is the vCPU blocked, that is: has nothing to do until it is kicked?
    fn is_blocked(&self, vcpu: Self::Vcpu) -> bool;

    /// Is the vCPU switched on, as PSCI has it? One that never was is not.
    fn is_online(&self, vcpu: Self::Vcpu) -> bool;

    /// Masks interrupts of this physical CPU; returns what [`Host::irq_restore`] needs.
    fn irq_save(&self) -> usize;

    /// Undoes [`Host::irq_save`]. Called with no lock held.
    fn irq_restore(&self, flags: usize);

    /// One turn of a bounded busy wait.
    fn relax(&self);

    /// The level, now, of a line that the host can look at again (event channel upcall, timers); `None` where it has no such source,
    /// or cannot see it from this CPU. Only private interrupts have one. Whoever raises it and then injects
    /// may do so with plain stores.
    fn line(&self, vcpu: Self::Vcpu, intid: IntId) -> Option<bool>;

    /// The virtual CPU interface of a vCPU that does not run, as the host keeps it for that one's next run: for saving it.
    fn save_interface(&self, vcpu: Self::Vcpu) -> InterfaceState;

    /// Has the vCPU, which does not run, find this when it does. What of it the hardware does not have is zero.
    fn restore_interface(&self, vcpu: Self::Vcpu, state: &InterfaceState);

    /// Runs `f` on a physical interrupt, under its lock and with interrupts masked. `None` if there is no such interrupt.
    fn phys<R>(&self, phys: u16, f: impl FnOnce(&Self::Phys) -> R) -> Option<R>;

    /// [`PhysIrq::has_fallen`] without the lock, so that it may be wrong by the time it says so. No if there is no such interrupt.
    fn phys_has_fallen(&self, phys: u16) -> bool;

    /// Sets or clears the active state of a private physical interrupt (PPI) of the physical CPU that runs this code. If it is set, that has
    /// had its effect when this returns: a line that rises afterwards does not fire. Called with interrupts masked, where
    /// [`Domain`](crate::Domain) says that the vCPU is current.
    fn set_own_active(&self, phys: u16, on: bool);

    /// Routes a physical interrupt to the physical CPU that `vcpu` is on. Called with interrupts masked.
    fn phys_affinity(&self, phys: u16, vcpu: Self::Vcpu);

    /// May this domain choose the trigger type of its physical interrupts?
    fn may_set_trigger(&self) -> bool;

    /// The IRQ line of a vCPU's guest (HCR_EL2.VI), which is on its way in on this CPU with interrupts masked, is at this level from now
    /// on. Only for domains with an rVIC, and when it has changed.
    fn set_virtual_irq(&self, _vcpu: Self::Vcpu, _on: bool) {}

    /// Reads guest physical memory; no if any of it is not there. Process context, interrupts on.
    ///
    /// This and what follows is only for domains with LPIs.
    fn read_guest(&self, _address: u64, _to: &mut [u8]) -> bool {
        false
    }

    /// Writes guest physical memory. As [`Host::read_guest`].
    fn write_guest(&self, _address: u64, _from: &[u8]) -> bool {
        false
    }

    /// A device of ITS number `its` that is not mapped is mapped for 2^`event_bits` events; or it is unmapped, and with it all
    /// its events, and the answer means nothing. Process context; may wait for a physical ITS.
    ///
    /// Of a device that is [`Backing::Software`] the host hears nothing more, not even that it is unmapped.
    fn map_device(&self, _its: u16, _device: u32, _event_bits: Option<u32>) -> Backing {
        Backing::Software
    }

    /// An event of a mapped device becomes `intid`, whatever it was before. No: the host refuses, and it stays that. As
    /// [`Host::map_device`]; this and what follows is for those that are [`Backing::Hardware`].
    fn map_event(&self, _its: u16, _device: u32, _event: u32, _intid: IntId) -> bool {
        true
    }

    /// An event is mapped no longer: its messages go nowhere.
    fn unmap_event(&self, _its: u16, _device: u32, _event: u32) {}

    /// What is pending of an event's physical LPI is no longer: there was nothing to send it to, or the guest does not want it. Done when
    /// it returns, since what is sent after that is to arrive.
    fn clear_event(&self, _its: u16, _device: u32, _event: u32) {}

    /// The physical LPI behind an event should go to where `vcpu` is: the host has asked for it, by
    /// [`Domain::follow_lpi`](crate::Domain::follow_lpi). The event may have been unmapped meanwhile.
    fn route_event(&self, _its: u16, _device: u32, _event: u32, _vcpu: Self::Vcpu) {}
}

/// The virtual CPU interface of a vCPU beside its list registers, as this hardware has it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct InterfaceState {
    /// GICH_VMCR or ICH_VMCR_EL2.
    pub vmcr: u32,
    /// ICC_SRE_EL1; 0 with a GICv2 below.
    pub sre: u32,
    /// ICH_AP0R\<n\>_EL2; GICH_APR is the first.
    pub ap0r: [u32; 4],
    /// ICH_AP1R\<n\>_EL2.
    pub ap1r: [u32; 4],
}

/// What is behind a device of a guest's ITS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backing {
    /// Nothing, and the guest shall not have it.
    Refused,
    /// A device of the host's: its messages come as physical LPIs.
    Hardware,
    /// A device model: its messages come by [`Domain::message`](crate::Domain::message), and no ITS of the host knows of it.
    Software,
}

/// A physical interrupt, under its lock.
pub trait PhysIrq {
    /// Enables or disables it at the physical distributor.
    fn set_enabled(&self, on: bool);
    /// Level-sensitive or edge-triggered; only while disabled.
    fn set_trigger(&self, level: bool);
    /// Sets or clears its active state.
    fn set_active(&self, on: bool);
    /// Sets or clears its pending state.
    fn set_pending(&self, on: bool);
    /// Is it pending? For a level-sensitive one that is active: is its line still high?
    fn is_pending(&self) -> bool;
    /// Is it level-sensitive, at the physical distributor, and not pending? An edge that is active stays to be taken.
    fn has_fallen(&self) -> bool;
}

/// The virtual interface control registers (GICH_\*, ICH_\*_EL2) of this physical CPU.
///
/// List registers are in the format of the hardware; GICv2 uses the low 32 bits.
pub trait CpuInterface {
    /// Reads list register `n`.
    fn read_lr(&self, n: usize) -> u64;
    /// Writes list register `n`.
    fn write_lr(&self, n: usize, value: u64);
    /// Reads GICH_HCR or ICH_HCR_EL2.
    fn read_hcr(&self) -> u32;
    /// Writes GICH_HCR or ICH_HCR_EL2 as a whole.
    fn write_hcr(&self, value: u32);
    /// Reads GICH_VMCR or ICH_VMCR_EL2.
    fn read_vmcr(&self) -> u32;
    /// Can the hypervisor trap writes to ICC_DIR_EL1 alone (ICH_VTR_EL2.TDS)? The same on all physical CPUs, and for all guests.
    fn can_trap_dir(&self) -> bool;
    /// Writes ICH_VMCR_EL2. This and the next are for GICv3 guests only.
    fn write_vmcr(&self, value: u32);
    /// Reads ICC_CTLR_EL1, the hypervisor's own.
    fn read_icc_ctlr(&self) -> u32;
    /// Reads GICH_VTR or ICH_VTR_EL2.
    fn read_vtr(&self) -> u32;
    /// Reads GICH_APR, or ICH_AP0R\<n\>_EL2 and ICH_AP1R\<n\>_EL2, 0 to 3, and combines them: which priorities are active in either
    /// group. Those that there are not read 0.
    fn read_active_priorities(&self, n: usize) -> u32;
    /// VMCR as after power-on, no active priorities.
    fn reset(&self);
    /// Before list registers are read: makes the guest's accesses to a memory-mapped CPU interface visible
    /// (IHI 0069, section 8.1.6), where system registers are read afterwards.
    fn sync(&self);
    /// After any of these registers were written, on the way into the guest: makes that visible to the guest's accesses to a
    /// memory-mapped CPU interface, where what was written is system registers. As [`CpuInterface::sync`].
    fn sync_written(&self);
}
