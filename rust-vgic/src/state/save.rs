// SPDX-License-Identifier: GPL-2.0-only
//! A domain is saved: each block says what it is.
//!
//! The words are as they are out of the list registers ([`State::unload`]): what a list register carries is the word's then.

use super::SaveError;
use super::interface::{AFRESH, Hardware, RESUMED};
use super::records::{
    CpuInterfaceState, DistributorState, HeaderState, LpiState, MAGIC, MsiFrameState, NOBODY,
    RedistributorState, SpiState,
};
use super::stream::Bytes;
use crate::config::Version;
use crate::domain::Domain;
use crate::host::{CpuInterface, Host, InterfaceState, PhysIrq};
use crate::intid::IntId;
use crate::irq::{Irq, State};
use crate::lr::Vtr;
use crate::progress::Progress;
use crate::registers::IIDR;
use crate::sync::Ordering;
use crate::vcpu::{Flags, Vcpu};

/// Interrupts of a record.
pub(super) const BLOCK: usize = 32;

/// The revision of an ITS's tables in guest memory.
pub(super) const ABI_REVISION: u32 = 0;

/// In GICR, of a redistributor with EnableLPIs: IDbits of its pending table; 0: that of GICR_PROPBASER.
pub(super) const TABLE_BITS: u32 = 0x1f << 8;

/// Element n of a field.
pub(super) fn put<T, const N: usize>(array: &mut [T; N], n: usize, value: T) {
    if let Some(place) = array.get_mut(n) {
        *place = value;
    }
}

/// Bit n of a field, if `on`.
pub(super) fn set(bits: &mut u32, n: usize, on: bool) {
    if on {
        *bits |= 1_u32.wrapping_shl(n as u32);
    }
}

/// What GICR and SPI records alike say of an interrupt: its state `s`, as their `n`-th. In both, fields of the same names have it.
macro_rules! put_state {
    ($block:ident, $n:ident, $s:ident) => {{
        let (priority, ack_priority) = priorities($s);
        set(&mut $block.group, $n, $s.group1());
        set(&mut $block.enabled, $n, $s.enabled());
        set(&mut $block.level, $n, $s.level());
        set(&mut $block.latch, $n, $s.latch());
        set(&mut $block.line, $n, $s.line());
        set(&mut $block.active, $n, $s.active());
        set(&mut $block.by_write, $n, $s.active() && $s.by_write());
        set(
            &mut $block.ack_group,
            $n,
            $s.acknowledged() && $s.ack_group1(),
        );
        put(&mut $block.priority, $n, priority);
        put(&mut $block.ack_priority, $n, ack_priority);
    }};
}

impl<H: Host> Domain<H> {
    /// What has been begun and not been done is done, a part of it at a time: a command of an ITS, a change of EnableLPIs. Then
    /// it can be saved.
    ///
    /// # Errors
    /// [`SaveError::Busy`]: a vCPU runs.
    pub fn prepare_save(&self) -> Result<Progress, SaveError> {
        self.check_paused()?;
        for v in &self.vcpus {
            if v.redist.lpi.changing() && self.changing_lpis(v) {
                return Ok(Progress::Again);
            }
        }
        Ok(self.write_all_tables())
    }

    /// Has nothing been begun that is not done?
    pub(super) fn is_prepared(&self) -> bool {
        let changing = self.vcpus.iter().any(|v| v.redist.lpi.changing());
        !changing && self.its.iter().all(|its| its.is_idle())
    }

    /// All of it, in the order of the typecodes.
    pub(super) fn put_records(&self, to: &mut Bytes<'_>) {
        to.record(0, &self.header());
        to.record(0, &self.distributor_state());
        for (n, v) in (0..).zip(&self.vcpus) {
            to.record(n, &self.redistributor_state(v));
        }
        for (n, v) in (0..).zip(&self.vcpus) {
            to.record(n, &self.interface_state(v));
        }
        let tables = [(&self.spis, IntId::SPI), (&self.espis, IntId::ESPI)];
        for (table, base) in tables {
            for (irqs, first) in table.chunks(BLOCK).zip((base..).step_by(BLOCK)) {
                to.record((first / 32) as u16, &self.spi_state(first, irqs));
            }
        }
        self.put_lpis(to);
        for (n, its) in (0..).zip(&self.its) {
            to.record(n, &its.state());
        }
        if let Some(frame) = self.msi_frame {
            let state = MsiFrameState {
                base: frame.base,
                count: frame.count,
                reserved: 0,
            };
            to.record(0, &state);
        }
        to.end();
    }

    /// What this domain is.
    pub(super) fn header(&self) -> HeaderState {
        let vtr = Vtr(self.host.cpu().read_vtr());
        HeaderState {
            magic: MAGIC,
            stream: 1,
            model: 0,
            iidr: IIDR as u32,
            abi_revision: ABI_REVISION,
            gic: match self.version {
                Version::V2 => 2,
                Version::V3 => 3,
            },
            vcpus: self.vcpus.len() as u32,
            spis: self.spis.len() as u32,
            espis: self.espis.len() as u32,
            id_bits: self.lpis.id_bits,
            itses: self.its.len() as u32,
            priority_bits: vtr.priority_mask().count_ones(),
            reserved: 0,
        }
    }

    fn distributor_state(&self) -> DistributorState {
        DistributorState {
            ctlr: self.group_enables().bits(),
            propbaser: self.propbaser(),
        }
    }

    fn redistributor_state(&self, v: &Vcpu<H::Vcpu>) -> RedistributorState {
        let v3 = self.version == Version::V3;
        let mut block = RedistributorState {
            ctlr: self.lpi_ctlr(v),
            waker: if v3 {
                v.redist.waker.load(Ordering::Relaxed)
            } else {
                0
            },
            reserved: 0,
            pendbaser: v.redist.lpi.pendbaser.load(Ordering::Relaxed),
            group: 0,
            enabled: 0,
            level: 0,
            latch: 0,
            line: 0,
            active: 0,
            by_write: 0,
            ack_group: 0,
            pended: 0,
            connected: 0,
            held: 0,
            reserved2: 0,
            priority: [0; 32],
            ack_priority: [0; 32],
            sources: [0; 16],
            active_source: [0; 16],
        };
        for (n, irq) in v.all_private().iter().enumerate() {
            let s = irq.state().unload();
            put_state!(block, n, s);
            set(&mut block.pended, n, s.own() && s.latch() && s.pended());
            set(&mut block.connected, n, s.own());
            set(&mut block.held, n, s.own() && s.phys());
            if s.sgi() {
                put(&mut block.sources, n, s.sources());
                let source = if s.active() { s.active_source() } else { 0 };
                put(&mut block.active_source, n, source);
            }
        }
        block
    }

    /// EnableLPIs, and the bits of the pending table's INTIDs if they are not those of GICR_PROPBASER any more.
    fn lpi_ctlr(&self, v: &Vcpu<H::Vcpu>) -> u32 {
        let registers = &v.redist.lpi;
        // With 0 there are no LPIs, as with 1.
        let bits = registers.table_bits.load(Ordering::Relaxed).max(1);
        let own = if bits == self.lpis.table_bits().max(1) {
            0
        } else {
            bits.wrapping_shl(TABLE_BITS.trailing_zeros())
        };
        match registers.enabled() {
            true => 1 | own,
            false => 0,
        }
    }

    pub(super) fn hardware(&self) -> Hardware {
        Hardware {
            vtr: Vtr(self.host.cpu().read_vtr()),
            format: self.format,
            version: self.version,
        }
    }

    fn interface_state(&self, v: &Vcpu<H::Vcpu>) -> CpuInterfaceState {
        let raw = v.handle().map_or(InterfaceState::default(), |handle| {
            self.host.save_interface(handle)
        });
        let flags = Flags::from_bits_retain(v.flags.load(Ordering::Relaxed));
        let mut afresh = 0;
        for (flag, bit) in [(Flags::RESET, AFRESH), (Flags::RESUME, RESUMED)] {
            if flags.contains(flag) {
                afresh |= bit;
            }
        }
        // Whatever it is, it will not be seen.
        let raw = if afresh != 0 {
            InterfaceState {
                sre: raw.sre,
                ..InterfaceState::default()
            }
        } else {
            raw
        };
        self.hardware()
            .save(&raw, afresh, self.active_group1(v, &raw))
    }

    /// The active priorities of what `v` has acknowledged in Group 1, as the stream has them.
    fn active_group1(&self, v: &Vcpu<H::Vcpu>, raw: &InterfaceState) -> u128 {
        let vmcr = self.format.vmcr(raw.vmcr);
        let shared = self.spis.iter().chain(self.espis.iter());
        let own = v.all_private().iter().chain(shared);
        let taken = own.map(Irq::state).filter(|s| {
            let here = s.place().1 == Some(v.id());
            here && s.acknowledged() && s.ack_group1()
        });
        let levels = taken.fold(0, |levels, s| levels | vmcr.level(s.standing()));
        // A bit for each of the 32 priorities that our interrupts have.
        let spread = (0..32_u32).filter(|n| levels >> n & 1 != 0);
        spread.fold(0, |all, n| all | 1_u128.wrapping_shl(n.wrapping_mul(4)))
    }

    fn spi_state(&self, first: u32, irqs: &[Irq]) -> SpiState {
        let mut block = SpiState {
            reserved: 0,
            group: 0,
            enabled: 0,
            level: 0,
            latch: 0,
            line: 0,
            active: 0,
            by_write: 0,
            ack_group: 0,
            connected: 0,
            held: 0,
            host_pending: 0,
            reserved2: 0,
            priority: [0; 32],
            ack_priority: [0; 32],
            targets: [0; 32],
            target: [NOBODY; 32],
            holder: [NOBODY; 32],
            router: [0; 32],
        };
        for ((n, irq), raw) in irqs.iter().enumerate().zip(first..) {
            // The table of SPIs is longer than there are numbers.
            let Some(intid) = IntId::new(raw) else {
                continue;
            };
            let before = irq.state();
            let s = before.unload();
            put_state!(block, n, s);
            set(&mut block.connected, n, s.hw());
            set(&mut block.held, n, s.hw() && s.phys());
            let pending = |phys: Option<&H::Phys>| phys.is_some_and(PhysIrq::is_pending);
            set(
                &mut block.host_pending,
                n,
                s.hw() && self.with_phys(irq, pending),
            );
            if self.version == Version::V2 {
                put(&mut block.targets, n, s.itargets());
            }
            put(&mut block.target, n, s.target().map_or(NOBODY, |v| v.raw()));
            let holder = before.place().1.filter(|_| s.active());
            put(&mut block.holder, n, holder.map_or(NOBODY, |v| v.raw()));
            let router = self.router(intid);
            let router = router.map_or(0, |router| router.load(Ordering::Relaxed));
            put(&mut block.router, n, router);
        }
        block
    }

    /// A record for each 32 of which one has something to say.
    fn put_lpis(&self, to: &mut Bytes<'_>) {
        let mut begun: Option<(u16, LpiState)> = None;
        for (intid, lpi) in self.lpis.all(IntId::LPI) {
            let s = lpi.irq.state().unload();
            if !s.mapped() {
                continue;
            }
            let index = intid.raw().wrapping_sub(IntId::LPI);
            let (instance, n) = ((index / 32) as u16, (index % 32) as usize);
            if let Some((last, block)) = begun.filter(|(last, _)| *last != instance) {
                to.record(last, &block);
                begun = None;
            }
            let (_, block) = begun.get_or_insert((instance, LpiState::EMPTY));
            set(&mut block.enabled, n, s.enabled());
            set(&mut block.latch, n, s.latch());
            set(&mut block.mapped, n, true);
            set(&mut block.owned, n, lpi.its().is_some());
            put(&mut block.priority, n, s.priority5() << 3);
            let target = if s.latch() { s.target() } else { lpi.route() };
            put(&mut block.target, n, target.map_or(NOBODY, |v| v.raw()));
            put(&mut block.route, n, lpi.route().map_or(NOBODY, |v| v.raw()));
        }
        if let Some((last, block)) = begun {
            to.record(last, &block);
        }
    }
}

impl LpiState {
    const EMPTY: Self = Self {
        reserved: 0,
        enabled: 0,
        latch: 0,
        mapped: 0,
        owned: 0,
        priority: [0; 32],
        target: [NOBODY; 32],
        route: [NOBODY; 32],
    };
}

/// The priority, and that with which it was acknowledged, if it was.
fn priorities(s: State) -> (u8, u8) {
    let ack = if s.acknowledged() {
        s.ack_priority5()
    } else {
        0
    };
    (s.priority5() << 3, ack << 3)
}
