// SPDX-License-Identifier: GPL-2.0-only
//! Events come, from any context and any CPU, without a lock; and a vCPU enters its guest and leaves it.

use super::controller::{Number, Rvic, Turn};
use super::{Domain, Event};
use crate::config::{Error, MessageError};
use crate::host::{Host, PhysIrq};
use crate::intid::{IntId, VcpuId};
use crate::sync::{Ordering, fence};

/// What became of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(crate) enum Arrival {
    /// The interrupt is pending.
    Pending,
    /// The rVIC is disabled, and the event is dropped.
    Dropped,
}

impl<H: Host> Domain<H> {
    /// The line of a trusted interrupt of `own` is at this level. It pends as it rises. One that nobody lowers, since its source is
    /// asked ([`Host::line`]), is high until RESAMPLE has found it low; whoever raises it meanwhile need do no more.
    ///
    /// # Errors
    /// [`Error::Invalid`]: it is not trusted.
    pub fn inject_private(
        &self,
        own: &Rvic<H::Vcpu>,
        intid: u32,
        level: bool,
    ) -> Result<(), Error> {
        let n = self.trusted(intid.into()).ok_or(Error::Invalid)?;
        if !level {
            own.set_line(n, false);
        } else if own.rise(n) {
            own.counters.injections.count();
            let _ = self.signal(own, n, None);
            own.risen(n);
        }
        Ok(())
    }

    /// The line of an input is at this level; where inputs are no levels, `true` is an event.
    ///
    /// # Errors
    /// [`Error::Invalid`]: there is no such input.
    pub fn inject_input(&self, input: u32, level: bool) -> Result<(), Error> {
        let input = self.input(input.into()).ok_or(Error::Invalid)?;
        let target = match (self.config.is_level(input), level) {
            (true, true) => self.rvid.rise(input as usize),
            (true, false) => {
                self.rvid.fall(input as usize);
                None
            }
            (false, true) => self.rvid.begin(input as usize),
            (false, false) => None,
        };
        if let Some(target) = target {
            let _ = self.arrive(input, target, None);
        }
        Ok(())
    }

    /// A device model's message to [`MESSAGE_ADDRESS`](super::MESSAGE_ADDRESS), with this data.
    ///
    /// # Errors
    /// [`MessageError::NoDevice`]: the domain takes no messages; [`MessageError::NoEvent`]: none with this data;
    /// [`MessageError::Disabled`]: the input is not mapped, or its target is disabled.
    pub fn message(&self, data: u32) -> Result<(), MessageError> {
        if self.config.messages.is_none() {
            return Err(MessageError::NoDevice);
        }
        let input = self.input(data.into());
        let input = input.filter(|input| self.config.is_message(*input));
        let input = input.ok_or(MessageError::NoEvent)?;
        let target = self.rvid.begin(input as usize);
        match target.map(|target| self.arrive(input, target, None)) {
            Some(Arrival::Pending) => Ok(()),
            _ => Err(MessageError::Disabled),
        }
    }

    /// The vCPU that such a message goes to. Any context.
    pub fn message_target(&self, data: u32) -> Option<H::Vcpu> {
        let input = self.input(data.into())?;
        let (id, _) = self.rvid.entry(input as usize)?.target()?;
        self.rvics.get(id.index())?.handle()
    }

    /// An event of an input arrives, which was begun when the input went to `target`. `own` calls, if it is a call.
    fn arrive(&self, input: u32, target: (VcpuId, u16), own: Option<&Rvic<H::Vcpu>>) -> Arrival {
        let arrival = self.to_target(target, own);
        self.rvid.arrived(input as usize);
        arrival
    }

    fn to_target(&self, (id, intid): (VcpuId, u16), own: Option<&Rvic<H::Vcpu>>) -> Arrival {
        match (self.rvics.get(id.index()), self.untrusted(intid.into())) {
            (Some(rvic), Some(n)) => {
                rvic.counters.injections.count();
                self.signal(rvic, n, own)
            }
            _ => Arrival::Dropped,
        }
    }

    /// An interrupt becomes pending.
    pub(crate) fn signal(
        &self,
        rvic: &Rvic<H::Vcpu>,
        n: Number,
        own: Option<&Rvic<H::Vcpu>>,
    ) -> Arrival {
        if self.post(rvic, n, Event::Signal, own) {
            Arrival::Pending
        } else {
            Arrival::Dropped
        }
    }

    /// Something happens to an interrupt of a vCPU, which is called if it has to know; not if it is `own`, which enters its guest
    /// after the call. Was the rVIC enabled?
    pub(crate) fn post(
        &self,
        rvic: &Rvic<H::Vcpu>,
        n: Number,
        event: Event,
        own: Option<&Rvic<H::Vcpu>>,
    ) -> bool {
        let (change, turn) = rvic.post(n, event);
        if let Some(turn) = turn {
            self.tell(rvic, turn, own);
        }
        change.new.enabled()
    }

    fn tell(&self, rvic: &Rvic<H::Vcpu>, turn: Turn, own: Option<&Rvic<H::Vcpu>>) {
        if own.is_some_and(|own| own.id() == rvic.id()) || !rvic.must_kick(turn) {
            return;
        }
        if let Some(handle) = rvic.handle() {
            rvic.counters.kicks.count();
            self.host.kick(handle);
        }
    }

    /// MAP, or UNMAP: the input goes there from now on.
    pub(crate) fn map(
        &self,
        input: u32,
        target: Option<(VcpuId, u16)>,
        own: Option<&Rvic<H::Vcpu>>,
    ) {
        let Some(old) = self.rvid.map(input as usize, target) else {
            return;
        };
        // What was on its way to where the input went comes to the new place as well: the guest may have looked at the old one
        // before it gets there.
        let owed = (old.is_busy() && old.target() != target) || old.line();
        if let Some(target) = target.filter(|_| owed) {
            let _ = self.to_target(target, own);
        }
        if old.target().is_some() != target.is_some() {
            self.mapped_or_not(input);
        }
        self.follow(input, target);
    }

    /// What is behind an input is enabled if that goes anywhere.
    fn mapped_or_not(&self, input: u32) {
        // Who puts something behind it does so first and looks where the input goes afterwards: one of both sees the other.
        fence(Ordering::SeqCst);
        // As it is by then: another CPU may have mapped it otherwise before we had the lock.
        self.with_physical(input, |phys| {
            let entry = self.rvid.entry(input as usize);
            phys.set_enabled(entry.is_some_and(|entry| entry.target().is_some()));
        });
    }

    /// An input that was saved goes there again, and its line was high. One that has risen since is an event.
    pub(crate) fn revive_input(&self, input: u32, target: Option<(VcpuId, u16)>, line: bool) {
        let Some(old) = self.rvid.revive(input as usize, target, line) else {
            return;
        };
        if let Some(target) = target.filter(|_| old.line() && !line) {
            let _ = self.to_target(target, None);
        }
        if target.is_some() {
            self.mapped_or_not(input);
            self.follow(input, target);
        }
    }

    /// Those for whom there is something are to look at it.
    pub(crate) fn wake_all(&self) {
        for rvic in self.rvics.iter().filter(|rvic| rvic.any()) {
            self.tell(rvic, Turn::Rose, None);
        }
    }

    /// `own`, which does not run, will next run on another CPU: what is behind inputs that go to it goes there, too.
    pub fn moved(&self, own: &Rvic<H::Vcpu>) {
        for (input, entry) in (0..).zip(self.rvid.entries()) {
            let target = entry.target().filter(|(id, _)| *id == own.id());
            if target.is_some() {
                self.follow(input, target);
            }
        }
    }

    /// A physical interrupt goes to where its input goes.
    fn follow(&self, input: u32, target: Option<(VcpuId, u16)>) {
        let phys = self.rvid.physical(input as usize);
        let handle = target
            .and_then(|(id, _)| self.vcpu(id))
            .and_then(Rvic::handle);
        if let (Some(phys), Some(handle)) = (phys, handle) {
            let flags = self.host.irq_save();
            self.host.phys_affinity(phys, handle);
            self.host.irq_restore(flags);
        }
    }

    /// RESAMPLE of a trusted interrupt of `own`, which calls.
    pub(crate) fn resample(&self, own: &Rvic<H::Vcpu>, n: Number) {
        if self.sample(own, n) {
            let _ = self.signal(own, n, Some(own));
        }
    }

    /// Is the line high? Its source is asked, if it can be; else it is what was last told.
    fn sample(&self, own: &Rvic<H::Vcpu>, n: Number) -> bool {
        let intid = IntId::new(n.raw().into());
        let source = || self.host.line(own.handle()?, intid?);
        match source() {
            None => own.line(n),
            Some(true) => {
                own.set_line(n, true);
                true
            }
            Some(false) => {
                own.set_line(n, false);
                // It may have risen before its line was taken for low: then who has injected it has found it high.
                let high = source() == Some(true);
                if high {
                    own.set_line(n, true);
                }
                high
            }
        }
    }

    /// ENABLE of `own`, which calls: from now on events are taken, and a line that is high is one.
    pub(crate) fn enable(&self, own: &Rvic<H::Vcpu>) {
        own.post_all(Event::Enable);
        for n in own.high_lines() {
            self.resample(own, n);
        }
        if !self.config.level_inputs {
            return;
        }
        for (entry, input) in self.rvid.entries().zip(0..) {
            let here = entry.target().is_some_and(|(id, _)| id == own.id());
            if here && entry.line() {
                self.repeat(input, own);
            }
        }
    }

    /// A level input whose line is high is an event once more.
    fn repeat(&self, input: u32, own: &Rvic<H::Vcpu>) {
        if let Some(target) = self.rvid.begin_if_high(input as usize) {
            let _ = self.arrive(input, target, Some(own));
        }
    }

    /// RVID_RESAMPLE of a level input, by `own`.
    pub(crate) fn resample_input(&self, own: &Rvic<H::Vcpu>, input: u32) {
        // Low first: as soon as the physical interrupt is inactive it may fire again, and its line has to rise then.
        self.with_physical(input, |phys| {
            if !phys.is_pending() {
                self.rvid.fall(input as usize);
                phys.set_active(false);
            }
        });
        self.repeat(input, own);
    }

    /// Runs `f` on the physical interrupt behind an input, if there is one, under its lock.
    pub(crate) fn with_physical<R>(&self, input: u32, f: impl FnOnce(&H::Phys) -> R) -> Option<R> {
        let number = self.rvid.physical(input as usize)?;
        let found = self.host.phys(number, |phys| {
            // It may have been disconnected before we had its lock.
            let ours = self.rvid.physical(input as usize) == Some(number);
            ours.then(|| f(phys))
        });
        found.flatten()
    }

    /// Puts a physical interrupt behind an input, which is level-sensitive, disabled and inactive. It is enabled while the input is mapped, and
    /// after it has fired stays active until RVID_RESAMPLE finds its line low. The caller holds its lock.
    ///
    /// # Errors
    /// [`Error::Invalid`]: there is no such input, or it is no level. [`Error::Busy`]: there is something behind it, or it is mapped.
    pub fn connect_input(&self, input: u32, phys: u16) -> Result<(), Error> {
        if !self.config.is_level(input) {
            return Err(Error::Invalid);
        }
        let mapped = || {
            let entry = self.rvid.entry(input as usize);
            entry.is_none_or(|entry| entry.target().is_some())
        };
        if mapped() || !self.rvid.set_physical(input as usize, phys) {
            return Err(Error::Busy);
        }
        // MAP may have found nothing behind it yet. One that has found this waits for its lock, and looks again.
        fence(Ordering::SeqCst);
        if mapped() {
            self.rvid.take_physical(input as usize);
            return Err(Error::Busy);
        }
        Ok(())
    }

    /// The physical interrupt behind an input is there no more, and its line is low. The caller holds its lock and has shut it down. Says which
    /// it was.
    pub fn disconnect_input(&self, input: u32) -> Option<u16> {
        let phys = self.rvid.take_physical(input as usize)?;
        self.rvid.fall(input as usize);
        Some(phys)
    }

    /// The physical interrupt behind an input.
    pub fn input_phys(&self, input: u32) -> Option<u16> {
        self.rvid.physical(input as usize)
    }

    /// Is an interrupt of a vCPU pending?
    pub fn is_pending(&self, own: &Rvic<H::Vcpu>, intid: u32) -> bool {
        let n = self.number(intid.into());
        n.is_some_and(|n| own.is_pending(n))
    }

    /// Is there anything to deliver to a vCPU, so that it is not to sleep?
    pub fn has_pending(&self, own: &Rvic<H::Vcpu>) -> bool {
        // Its exit, and that it is about to sleep, before this look: who looks for these has changed something before.
        fence(Ordering::SeqCst);
        own.any()
    }

    /// The vCPU enters its guest, on its own CPU and with interrupts masked: the host is told of its line if that has changed.
    #[inline]
    pub fn enter(&self, own: &Rvic<H::Vcpu>) {
        if let Some((on, handle)) = own.enter().zip(own.handle()) {
            self.host.set_virtual_irq(handle, on);
        }
    }

    /// It has left its guest.
    #[inline]
    pub fn leave(&self, own: &Rvic<H::Vcpu>) {
        own.leave();
    }
}
