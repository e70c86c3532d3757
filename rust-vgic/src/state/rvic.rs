// SPDX-License-Identifier: GPL-2.0-only
//! rVICs and an rVID as a stream, and back: a HEADER of its own model, RVICs of each vCPU, RVIDs, and END.
//!
//! How much that is depends on what the domain was made to be, and on nothing else. There is nothing to prepare. Interrupts that can
//! be delivered are in the order in which they became so; how that is counted is not the stream's, but how many came since is.

use super::SaveError;
use super::error::{RestoreError, Why};
use super::record::Record;
use super::records::{HeaderState, MAGIC, NOBODY, RvicState, RvidState};
use super::save::{BLOCK, put};
use super::stream::{Bytes, Framed, Records, State};
use super::walk::{Checked, take, take_end};
use super::word::has;
use crate::host::Host;
use crate::intid::{IntId, VcpuId};
use crate::rvic::{Block, Domain, FEATURE_LEVELS, FEATURE_MESSAGES, LAST, MOST_INPUTS, Rvic};
use crate::slice::try_boxed;
use alloc::boxed::Box;

/// [`HeaderState::model`].
const MODEL: u32 = 1;

/// [`RvicState::flags`]: it is enabled.
const ENABLED: u32 = 1;

/// Instances of RVIC that a vCPU can have: its first is its number by this.
const BLOCKS: u32 = 64;

/// Those that are set.
fn gather(is: impl Fn(usize) -> bool) -> u32 {
    let set = (0..BLOCK).filter(|n| is(*n));
    set.fold(0, |all, n| all | 1_u32.wrapping_shl(n as u32))
}

impl<H: Host> Domain<H> {
    /// Bytes that saving takes, always.
    pub fn save_size(&self) -> usize {
        let mut bytes = Bytes::new(None);
        self.put_records(&mut bytes);
        bytes.written().unwrap_or_default()
    }

    /// Saves to a buffer; how many bytes that took. No vCPU runs; lines may rise and fall meanwhile.
    ///
    /// # Errors
    /// [`SaveError::Busy`]; [`SaveError::NoRoom`], and then nothing is to be made of what is there.
    pub fn save_to(&self, buffer: &mut [u8]) -> Result<usize, SaveError> {
        if !self.is_paused() {
            return Err(SaveError::Busy);
        }
        let mut bytes = Bytes::new(Some(buffer));
        self.put_records(&mut bytes);
        bytes.written().ok_or(SaveError::NoRoom)
    }

    /// The same, to a buffer of its own.
    ///
    /// # Errors
    /// As [`Domain::save_to`].
    pub fn save_boxed(&self) -> Result<Box<[u8]>, SaveError> {
        let mut buffer = try_boxed(self.save_size(), |_| 0).ok_or(SaveError::NoRoom)?;
        self.save_to(&mut buffer)?;
        Ok(buffer)
    }

    fn put_records(&self, to: &mut Bytes<'_>) {
        to.record(0, &self.header());
        // Before what is pending is looked at: what rises from here on may be saved as low, and is an event when it is restored, but
        // not as high without its event.
        let mut high = [0; (MOST_INPUTS as usize).div_ceil(BLOCK)];
        for (high, block) in high.iter_mut().zip(0..self.input_blocks()) {
            *high = self.high_of(block);
        }
        for (rvic, vcpu) in self.rvics.iter().zip(0_u32..) {
            for block in 0..self.blocks() {
                to.record(instance(vcpu, block), &self.rvic_state(rvic, block));
            }
        }
        for block in 0..self.input_blocks() {
            let mut state = self.rvid_state(block);
            state.line &= high.get(block as usize).copied().unwrap_or(0);
            to.record(block as u16, &state);
        }
        to.end();
    }

    /// RVIC records of each vCPU.
    fn blocks(&self) -> u32 {
        self.config.interrupts() / 32
    }

    /// RVID records: also without inputs there is one, which says that.
    fn input_blocks(&self) -> u32 {
        self.config.inputs.div_ceil(BLOCK as u32).max(1)
    }

    fn header(&self) -> HeaderState {
        HeaderState {
            magic: MAGIC,
            stream: 1,
            model: MODEL,
            iidr: 0,
            abi_revision: 0,
            gic: 0,
            vcpus: self.rvics.len() as u32,
            spis: 0,
            espis: 0,
            id_bits: 0,
            itses: 0,
            priority_bits: 0,
            reserved: 0,
        }
    }

    fn rvic_state(&self, rvic: &Rvic<H::Vcpu>, block: u32) -> RvicState {
        let is = rvic.block(block as usize);
        RvicState {
            trusted: self.config.trusted,
            untrusted: self.config.untrusted,
            flags: if is.enabled { ENABLED } else { 0 },
            pending: is.pending,
            masked: is.masked,
            line: is.line,
            reserved: 0,
            after: is.after,
        }
    }

    /// Lines that are high, and whose event has arrived.
    fn high_of(&self, block: u32) -> u32 {
        let first = (block as usize).wrapping_mul(BLOCK);
        gather(|n| {
            let entry = self.rvid.entry(first.wrapping_add(n));
            entry.is_some_and(|entry| entry.line() && !entry.is_busy())
        })
    }

    fn rvid_state(&self, block: u32) -> RvidState {
        let messages = self.config.messages;
        let features = messages.map_or(0, |_| FEATURE_MESSAGES)
            | if self.config.level_inputs {
                FEATURE_LEVELS
            } else {
                0
            };
        let mut state = RvidState {
            features: features as u32,
            inputs: self.config.inputs,
            first: messages.map_or(0, |messages| messages.first),
            count: messages.map_or(0, |messages| messages.count),
            mapped: 0,
            line: 0,
            reserved: 0,
            target: [NOBODY; BLOCK],
            intid: [0; BLOCK],
        };
        let first = (block as usize).wrapping_mul(BLOCK);
        let entry = |n: usize| self.rvid.entry(first.wrapping_add(n));
        state.mapped = gather(|n| entry(n).is_some_and(|entry| entry.target().is_some()));
        state.line = gather(|n| entry(n).is_some_and(|entry| entry.line()));
        for n in 0..BLOCK {
            if let Some((id, intid)) = entry(n).and_then(|entry| entry.target()) {
                put(&mut state.target, n, id.raw());
                put(&mut state.intid, n, intid);
            }
        }
        state
    }

    /// Restores what was saved, of this domain or of another that is like it. It is as after its creation or a reset; lines that have risen
    /// since stay high. No vCPU runs, and no one else is at this or at a reset.
    ///
    /// # Errors
    /// What is wrong, with the stream or with the domain: then that is as it was.
    pub fn restore(&self, stream: &[u8]) -> Result<(), RestoreError> {
        let is_new = |rvic: &Rvic<_>| (0..self.blocks()).all(|n| rvic.block(n as usize).is_reset());
        let unmapped = self.rvid.entries().all(|entry| entry.target().is_none());
        if !self.is_paused() || !unmapped || !self.rvics.iter().all(is_new) {
            return Err(RestoreError {
                record: None,
                instance: 0,
                field: "state",
                offset: 0,
                why: Why::Busy,
            });
        }
        let mut head = 0;
        self.each_record(
            stream,
            |framed, block, state| self.check_rvic(framed, block, state, &mut head),
            |framed, block, state| self.check_rvid(framed, block, state),
        )?;
        // From here on nothing fails.
        self.each_record(
            stream,
            |framed, block, state| {
                self.revive_rvic(framed, block, state);
                Ok(())
            },
            |_, block, state| {
                self.revive_rvid(block, state);
                Ok(())
            },
        )?;
        self.ask_sources();
        self.wake_all();
        Ok(())
    }

    /// Trusted interrupts whose source is high now, and perhaps was not as the stream was written, or was on its way then. One that is
    /// masked is looked at again by its guest, when that ends it.
    fn ask_sources(&self) {
        for rvic in &self.rvics {
            let all = (0..u64::from(self.config.trusted)).filter_map(|n| self.trusted(n));
            for n in all {
                let of = rvic.handle().zip(IntId::new(n.raw().into()));
                let source = of.and_then(|(vcpu, intid)| self.host().line(vcpu, intid));
                if source == Some(true) && (!rvic.set_line(n, true) || !rvic.is_masked(n)) {
                    let _ = self.signal(rvic, n, None);
                }
            }
        }
    }

    fn each_record(
        &self,
        stream: &[u8],
        mut rvic: impl FnMut(&Framed<'_>, u32, &RvicState) -> Checked,
        mut rvid: impl FnMut(&Framed<'_>, u32, &RvidState) -> Checked,
    ) -> Checked {
        let mut records = Records::new(stream);
        let framed = take(&mut records, Record::Header, 0)?;
        self.check_header(&framed, &framed.state()?)?;
        for vcpu in 0..self.rvics.len() as u32 {
            for block in 0..self.blocks() {
                let number = instance(vcpu, block).into();
                let framed = take(&mut records, Record::Rvic, number)?;
                rvic(&framed, block, &framed.state()?)?;
            }
        }
        for block in 0..self.input_blocks() {
            let framed = take(&mut records, Record::Rvid, block)?;
            rvid(&framed, block, &framed.state()?)?;
        }
        take_end(&mut records, stream)
    }

    fn check_header(&self, framed: &Framed<'_>, state: &HeaderState) -> Checked {
        let own = self.header();
        let rules = [
            ("magic", state.magic != own.magic, Why::Value),
            ("stream", state.stream != own.stream, Why::Version),
            ("model", state.model != own.model, Why::Mismatch),
            ("iidr", state.iidr != 0, Why::Reserved),
            ("abi_revision", state.abi_revision != 0, Why::Reserved),
            ("gic", state.gic != 0, Why::Reserved),
            ("vcpus", state.vcpus != own.vcpus, Why::Mismatch),
            ("spis", state.spis != 0, Why::Reserved),
            ("espis", state.espis != 0, Why::Reserved),
            ("id_bits", state.id_bits != 0, Why::Reserved),
            ("itses", state.itses != 0, Why::Reserved),
            ("priority_bits", state.priority_bits != 0, Why::Reserved),
            ("reserved", state.reserved != 0, Why::Reserved),
        ];
        first_fault::<HeaderState>(framed, &rules)
    }

    /// `head` is what the first record of the vCPU has said of it as a whole.
    fn check_rvic(
        &self,
        framed: &Framed<'_>,
        block: u32,
        state: &RvicState,
        head: &mut u32,
    ) -> Checked {
        if block == 0 {
            *head = state.flags;
        }
        let config = &self.config;
        let first = block.wrapping_mul(BLOCK as u32);
        // What can be delivered has its place in the order, and nothing else has.
        let placed = gather(|n| state.after.get(n).is_some_and(|after| *after != 0));
        let far = |after: &u32| *after > LAST;
        let none_trusted = first >= config.trusted;
        let rules = [
            ("trusted", state.trusted != config.trusted, Why::Mismatch),
            (
                "untrusted",
                state.untrusted != config.untrusted,
                Why::Mismatch,
            ),
            ("flags", state.flags & !ENABLED != 0, Why::Value),
            ("flags", state.flags != *head, Why::Contradiction),
            ("line", none_trusted && state.line != 0, Why::Value),
            ("reserved", state.reserved != 0, Why::Reserved),
            ("after", state.after.iter().any(far), Why::Value),
            ("after", placed != deliverable(state), Why::Contradiction),
        ];
        first_fault::<RvicState>(framed, &rules)
    }

    fn check_rvid(&self, framed: &Framed<'_>, block: u32, state: &RvidState) -> Checked {
        let own = self.rvid_state(block);
        let first = block.wrapping_mul(BLOCK as u32);
        let input = |n: usize| first.wrapping_add(n as u32);
        let all = gather(|n| input(n) < self.config.inputs);
        let levels = gather(|n| self.config.is_level(input(n)));
        let place = |n: usize| (state.target.get(n).copied(), state.intid.get(n).copied());
        let wrong_target = |n: usize| match place(n).0 {
            Some(vcpu) if has(state.mapped, n) => usize::from(vcpu) >= self.rvics.len(),
            target => target != Some(NOBODY),
        };
        let wrong_intid = |n: usize| match place(n).1 {
            Some(intid) if has(state.mapped, n) => self.untrusted(intid.into()).is_none(),
            intid => intid != Some(0),
        };
        let rules = [
            ("features", state.features != own.features, Why::Mismatch),
            ("inputs", state.inputs != own.inputs, Why::Mismatch),
            ("first", state.first != own.first, Why::Mismatch),
            ("count", state.count != own.count, Why::Mismatch),
            ("mapped", state.mapped & !all != 0, Why::Value),
            ("line", state.line & !levels != 0, Why::Value),
            ("reserved", state.reserved != 0, Why::Reserved),
            ("target", (0..BLOCK).any(wrong_target), Why::Value),
            ("intid", (0..BLOCK).any(wrong_intid), Why::Value),
        ];
        first_fault::<RvidState>(framed, &rules)
    }

    fn revive_rvic(&self, framed: &Framed<'_>, block: u32, state: &RvicState) {
        let vcpu = usize::from(framed.instance) / 64;
        let Some(rvic) = self.rvics.get(vcpu) else {
            return;
        };
        let risen = rvic.set_block(
            block as usize,
            &Block {
                enabled: state.flags & ENABLED != 0,
                pending: state.pending,
                masked: state.masked,
                line: state.line,
                after: state.after,
            },
        );
        let first = block.wrapping_mul(BLOCK as u32);
        for n in (0..BLOCK).filter(|n| has(risen, *n)) {
            let raw = first.wrapping_add(n as u32);
            if let Some(n) = self.trusted(raw.into()) {
                let _ = self.signal(rvic, n, None);
            }
        }
    }

    fn revive_rvid(&self, block: u32, state: &RvidState) {
        for n in 0..BLOCK {
            let input = block.wrapping_mul(BLOCK as u32).wrapping_add(n as u32);
            let place = state.target.get(n).zip(state.intid.get(n));
            let mapped = place.filter(|_| has(state.mapped, n));
            let target =
                mapped.and_then(|(vcpu, intid)| Some((VcpuId::new((*vcpu).into())?, *intid)));
            self.revive_input(input, target, has(state.line, n));
        }
    }
}

/// What of it can be delivered.
fn deliverable(state: &RvicState) -> u32 {
    if state.flags & ENABLED != 0 {
        state.pending & !state.masked
    } else {
        0
    }
}

fn instance(vcpu: u32, block: u32) -> u16 {
    vcpu.wrapping_mul(BLOCKS).wrapping_add(block) as u16
}

/// The first of these that is so.
fn first_fault<S: State>(framed: &Framed<'_>, rules: &[(&'static str, bool, Why)]) -> Checked {
    let fault = rules.iter().find(|(_, wrong, _)| *wrong);
    fault.map_or(
        Ok(()),
        |(field, _, why)| Err(framed.wrong::<S>(field, *why)),
    )
}

#[cfg(test)]
mod tests;
