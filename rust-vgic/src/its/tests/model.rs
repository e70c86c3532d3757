// SPDX-License-Identifier: GPL-2.0-only
//! What commands do, in as few words as possible: no lists, no lock, no words of state.

use std::collections::BTreeMap;

/// What a guest knows of an LPI.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Lpi {
    pub(super) event: (u32, u32),
    pub(super) icid: u16,
    pub(super) priority: u8,
    pub(super) enabled: bool,
    pub(super) pending: bool,
    /// Where it is pending: MOVALL moves what is pending without its collection.
    pub(super) at: Option<u32>,
    pub(super) target: Option<u32>,
}

/// Why a command is ignored: the last byte of its error.
pub(super) type Error = u32;

#[derive(Default)]
pub(super) struct Model {
    /// Event bits of each device.
    pub(super) devices: BTreeMap<u32, u32>,
    pub(super) collections: BTreeMap<u16, u32>,
    pub(super) lpis: BTreeMap<u32, Lpi>,
    /// Guest memory: priority and enable.
    pub(super) configuration: BTreeMap<u32, (u8, bool)>,
}

pub(super) struct Sizes {
    pub(super) device_bits: u32,
    pub(super) event_bits: u32,
    pub(super) collections: u32,
    pub(super) lpi_end: u32,
    pub(super) vcpus: u64,
}

impl Model {
    fn device(&self, sizes: &Sizes, device: u32) -> Result<u32, Error> {
        if device >> sizes.device_bits != 0 {
            return Err(1);
        }
        self.devices.get(&device).copied().ok_or(4)
    }

    pub(super) fn find(&self, event: (u32, u32)) -> Option<u32> {
        let mut found = self.lpis.iter().filter(|(_, lpi)| lpi.event == event);
        found.next().map(|(intid, _)| *intid)
    }

    fn event(&self, sizes: &Sizes, event: (u32, u32)) -> Result<u32, Error> {
        if u64::from(event.1) >> self.device(sizes, event.0)? != 0 {
            return Err(5);
        }
        self.find(event).ok_or(7)
    }

    fn target(&self, icid: u16) -> Option<u32> {
        self.collections.get(&icid).copied()
    }

    pub(super) fn reload(&mut self, intid: u32) {
        let (priority, enabled) = self
            .configuration
            .get(&intid)
            .copied()
            .unwrap_or((0, false));
        if let Some(lpi) = self.lpis.get_mut(&intid) {
            (lpi.priority, lpi.enabled) = (priority, enabled);
        }
    }

    pub(super) fn mapd(
        &mut self,
        sizes: &Sizes,
        device: u32,
        bits: u32,
        valid: bool,
    ) -> Result<(), Error> {
        if device >> sizes.device_bits != 0 {
            return Err(1);
        }
        if valid && bits > sizes.event_bits {
            return Err(2);
        }
        self.lpis.retain(|_, lpi| lpi.event.0 != device);
        self.devices.remove(&device);
        if valid {
            self.devices.insert(device, bits);
        }
        Ok(())
    }

    pub(super) fn mapc(
        &mut self,
        sizes: &Sizes,
        icid: u16,
        target: u64,
        valid: bool,
    ) -> Result<(), Error> {
        if u32::from(icid) >= sizes.collections {
            return Err(3);
        }
        if valid && target >= sizes.vcpus {
            return Err(2);
        }
        if valid {
            self.collections.insert(icid, target as u32);
        } else {
            self.collections.remove(&icid);
        }
        for lpi in self.lpis.values_mut().filter(|lpi| lpi.icid == icid) {
            lpi.target = valid.then_some(target as u32);
            lpi.at = lpi.target;
        }
        Ok(())
    }

    pub(super) fn mapti(
        &mut self,
        sizes: &Sizes,
        event: (u32, u32),
        intid: u32,
        icid: u16,
    ) -> Result<(), Error> {
        if u64::from(event.1) >> self.device(sizes, event.0)? != 0 {
            return Err(5);
        }
        if u32::from(icid) >= sizes.collections {
            return Err(3);
        }
        if !(8192..sizes.lpi_end).contains(&intid) {
            return Err(6);
        }
        let target = self.target(icid);
        let old = self.find(event);
        if old == Some(intid) {
            let lpi = self.lpis.get_mut(&intid).ok_or(0_u32)?;
            (lpi.icid, lpi.target, lpi.at) = (icid, target, target);
            return Ok(());
        }
        if let Some(old) = old {
            self.lpis.remove(&old);
        }
        // Another event that had it has it no longer.
        let new = Lpi {
            event,
            icid,
            priority: 0,
            enabled: false,
            pending: false,
            at: target,
            target,
        };
        self.lpis.insert(intid, new);
        self.reload(intid);
        Ok(())
    }

    pub(super) fn movi(
        &mut self,
        sizes: &Sizes,
        event: (u32, u32),
        icid: u16,
    ) -> Result<(), Error> {
        let intid = self.event(sizes, event)?;
        if u32::from(icid) >= sizes.collections {
            return Err(3);
        }
        let target = self.target(icid).ok_or(9_u32)?;
        if let Some(lpi) = self.lpis.get_mut(&intid) {
            (lpi.icid, lpi.target, lpi.at) = (icid, Some(target), Some(target));
        }
        Ok(())
    }

    pub(super) fn movall(&mut self, sizes: &Sizes, from: u64, to: u64) -> Result<(), Error> {
        if from >= sizes.vcpus || to >= sizes.vcpus {
            return Err(2);
        }
        for lpi in self.lpis.values_mut().filter(|lpi| lpi.pending) {
            if lpi.at == Some(from as u32) {
                lpi.at = Some(to as u32);
            }
        }
        Ok(())
    }

    pub(super) fn discard(&mut self, sizes: &Sizes, event: (u32, u32)) -> Result<(), Error> {
        let intid = self.event(sizes, event)?;
        self.lpis.remove(&intid);
        Ok(())
    }

    pub(super) fn set_pending(
        &mut self,
        sizes: &Sizes,
        event: (u32, u32),
        on: bool,
    ) -> Result<(), Error> {
        let intid = self.event(sizes, event)?;
        if on {
            let target = self.lpis.get(&intid).and_then(|lpi| lpi.target);
            target.ok_or(9_u32)?;
            self.inject(intid);
        } else if let Some(lpi) = self.lpis.get_mut(&intid) {
            lpi.pending = false;
        }
        Ok(())
    }

    /// A message: dropped where its collection goes nowhere.
    pub(super) fn inject(&mut self, intid: u32) {
        if let Some(lpi) = self.lpis.get_mut(&intid) {
            if !lpi.pending {
                lpi.at = lpi.target;
            }
            lpi.pending |= lpi.target.is_some();
        }
    }

    pub(super) fn inv(&mut self, sizes: &Sizes, event: (u32, u32)) -> Result<(), Error> {
        let intid = self.event(sizes, event)?;
        self.reload(intid);
        Ok(())
    }

    pub(super) fn invall(&mut self, sizes: &Sizes, icid: u16) -> Result<(), Error> {
        if u32::from(icid) >= sizes.collections {
            return Err(3);
        }
        self.target(icid).ok_or(9_u32)?;
        let of: Vec<u32> = self
            .lpis
            .iter()
            .filter(|(_, lpi)| lpi.icid == icid)
            .map(|(intid, _)| *intid)
            .collect();
        of.into_iter().for_each(|intid| self.reload(intid));
        Ok(())
    }

    /// What vCPU `n` takes when it runs until nothing comes.
    pub(super) fn take(&mut self, n: u32) -> Vec<u16> {
        let mut taken = Vec::new();
        for (intid, lpi) in &mut self.lpis {
            if lpi.pending && lpi.enabled && lpi.at == Some(n) {
                lpi.pending = false;
                taken.push(*intid as u16);
            }
        }
        taken
    }
}
