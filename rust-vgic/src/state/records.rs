// SPDX-License-Identifier: GPL-2.0-only
//! The records of a stream: one plain structure for each block of a vGIC.
//!
//! In a field of 32 bits or of 32 elements in which nothing else is said, element n is of the n-th interrupt of the record.

use super::record::Record;
use super::stream::{Bytes, Field, Plain, Reader, State, length, placed, record};

/// [`HeaderState::magic`]: "rVGC".
pub const MAGIC: u32 = 0x4347_5672;

/// No vCPU, where a field has the number of one.
pub const NOBODY: u8 = 255;

record! {
    /// What the domain is. Where the one to be restored is anything else, the stream is refused; only
    /// [`priority_bits`](Self::priority_bits) may differ, as long as what is set fits.
    HeaderState = Header {
        /// [`MAGIC`].
        magic: u32,
        /// Of the stream as a whole: 1.
        stream: u32,
        /// 0: a GIC. 1: rVIC and rVID, of which the rest is 0 but for the vCPUs.
        model: u32,
        /// GICD_IIDR.
        iidr: u32,
        /// The revision of the tables that ITSes have in guest memory: 0.
        abi_revision: u32,
        /// 2 or 3.
        gic: u32,
        /// vCPUs.
        vcpus: u32,
        /// SPIs, a multiple of 32.
        spis: u32,
        /// Extended SPIs, a multiple of 32.
        espis: u32,
        /// Bits of an LPI's INTID; 0 without LPIs.
        id_bits: u32,
        /// ITSes.
        itses: u32,
        /// Of a priority, as the CPU interface of the host had them. For a person.
        priority_bits: u32,
        /// 0.
        reserved: u32,
    }

    /// The distributor.
    DistributorState = Distributor {
        /// GICD_CTLR: EnableGrp0 in bit 0, EnableGrp1 in bit 1.
        ctlr: u32,
        /// GICR_PROPBASER, which all redistributors share.
        propbaser: u64,
    }

    /// The private interrupts of a vCPU, 0 to 31, and its redistributor; in a GICv2, what the distributor has banked.
    RedistributorState = Redistributor {
        /// GICR_CTLR: EnableLPIs in bit 0. Then in bits 12 to 8: IDbits as LPIs were enabled, where GICR_PROPBASER has had another
        /// since; else 0.
        ctlr: u32,
        /// GICR_WAKER: ProcessorSleep in bit 1.
        waker: u32,
        /// 0.
        reserved: u32,
        /// GICR_PENDBASER, with PTZ in bit 62.
        pendbaser: u64,
        /// GICR_IGROUPR0.
        group: u32,
        /// GICR_ISENABLER0.
        enabled: u32,
        /// GICR_ICFGR: level-sensitive ones have a one.
        level: u32,
        /// Pending by their latch.
        latch: u32,
        /// The input line, as devices have it.
        line: u32,
        /// GICR_ISACTIVER0.
        active: u32,
        /// Of these: active by a write to a register, so that no EOI is to come.
        by_write: u32,
        /// Of these: acknowledged in Group 1.
        ack_group: u32,
        /// Of those with a latch that are connected: it was set by a write to a register, and does not hang on the line.
        pended: u32,
        /// A physical interrupt was behind these, and is to be connected.
        connected: u32,
        /// Of these: the physical interrupt is active for the guest.
        held: u32,
        /// 0.
        reserved2: u32,
        /// GICR_IPRIORITYR: bits 7 to 3.
        priority: [u8; 32],
        /// Of those that are active and acknowledged: with which priority.
        ack_priority: [u8; 32],
        /// Of SGIs: from which vCPUs they are pending, a bit each. With a GICv3, 1 where it is pending.
        sources: [u8; 16],
        /// Of SGIs that are active: from which vCPU.
        active_source: [u8; 16],
    }

    /// The CPU interface of a vCPU, by the registers of a GICv3. What a GICv2 calls otherwise is said.
    CpuInterfaceState = CpuInterface {
        /// Bit 0: the vCPU has been switched on, and its interface starts afresh when it is entered. Bit 1: nothing was ever written,
        /// and every register has the value at reset that the host gives it.
        /// Bit 2: the domain has been suspended and goes on, and the interface starts afresh as well, but what is active stays so.
        flags: u32,
        /// ICC_SRE_EL1; 0 with a GICv2.
        sre: u32,
        /// ICC_CTLR_EL1: CBPR in bit 0, EOImode in bit 1. GICC_CTLR's AckCtl in bit 2 and FIQEn in bit 3.
        ctlr: u32,
        /// ICC_IGRPEN0_EL1 in bit 0, ICC_IGRPEN1_EL1 in bit 1; GICC_CTLR's EnableGrp0 and EnableGrp1.
        igrpen: u32,
        /// ICC_PMR_EL1, GICC_PMR.
        pmr: u32,
        /// ICC_BPR0_EL1, GICC_BPR.
        bpr0: u32,
        /// ICC_BPR1_EL1, GICC_ABPR.
        bpr1: u32,
        /// Active priorities of Group 0, as a CPU interface with seven bits of preemption has them: bit n of all is priority 2 n.
        ap0r: [u32; 4],
        /// The same of Group 1.
        ap1r: [u32; 4],
    }

    /// 32 SPIs or extended SPIs.
    SpiState = Spi {
        /// 0.
        reserved: u32,
        /// GICD_IGROUPR.
        group: u32,
        /// GICD_ISENABLER.
        enabled: u32,
        /// GICD_ICFGR: level-sensitive ones have a one.
        level: u32,
        /// Pending by their latch.
        latch: u32,
        /// The input line, as devices have it.
        line: u32,
        /// GICD_ISACTIVER.
        active: u32,
        /// Of these: active by a write to a register, so that no EOI is to come.
        by_write: u32,
        /// Of these: acknowledged in Group 1.
        ack_group: u32,
        /// A physical interrupt was behind these, and is to be connected.
        connected: u32,
        /// Of these: the physical interrupt is active for the guest.
        held: u32,
        /// Of those that are connected: the physical interrupt is pending.
        host_pending: u32,
        /// 0.
        reserved2: u32,
        /// GICD_IPRIORITYR: bits 7 to 3.
        priority: [u8; 32],
        /// Of those that are active and acknowledged: with which priority.
        ack_priority: [u8; 32],
        /// GICD_ITARGETSR of a GICv2.
        targets: [u8; 32],
        /// The vCPU that it goes to now; [`NOBODY`]: none. What several may take goes to one of them.
        target: [u8; 32],
        /// Of those that are active: the vCPU that has it; else [`NOBODY`].
        holder: [u8; 32],
        /// GICD_IROUTER of a GICv3.
        router: [u64; 32],
    }

    /// 32 LPIs, of which at least one is mapped or pending.
    LpiState = Lpi {
        /// 0.
        reserved: u32,
        /// Enabled, as of when the configuration was last read from guest memory.
        enabled: u32,
        /// Pending.
        latch: u32,
        /// An event is mapped to it, or a pending table has had it.
        mapped: u32,
        /// Of these: an event is mapped to it.
        owned: u32,
        /// Bits 7 to 3, as of when the configuration was last read.
        priority: [u8; 32],
        /// The vCPU at whose redistributor it is pending, if it is; [`NOBODY`]: at none.
        target: [u8; 32],
        /// The vCPU to whose redistributor its messages go; [`NOBODY`]: to none.
        route: [u8; 32],
    }

    /// An ITS. What it has mapped is in its tables in guest memory.
    ItsState = Its {
        /// GITS_CTLR: Enabled in bit 0.
        ctlr: u32,
        /// GITS_CBASER.
        cbaser: u64,
        /// GITS_CREADR: Stalled in bit 0.
        creadr: u64,
        /// GITS_CWRITER.
        cwriter: u64,
        /// GITS_BASER0, of devices, and GITS_BASER1, of collections.
        baser: [u64; 2],
        /// GITS_TYPER: bits of a DeviceID.
        device_bits: u32,
        /// GITS_TYPER: bits of an EventID.
        event_bits: u32,
    }

    /// The frame of a GICv2m.
    MsiFrameState = MsiFrame {
        /// INTID of its first SPI.
        base: u32,
        /// How many there are.
        count: u32,
        /// 0.
        reserved: u32,
    }

    /// 32 interrupts of a vCPU's rVIC.
    RvicState = Rvic {
        /// Trusted interrupts of each vCPU.
        trusted: u32,
        /// Untrusted ones.
        untrusted: u32,
        /// Bit 0: the rVIC is enabled. The same in all records of the vCPU.
        flags: u32,
        /// Pending.
        pending: u32,
        /// Masked.
        masked: u32,
        /// Of trusted ones: the line, as it was last told.
        line: u32,
        /// 0.
        reserved: u32,
        /// Of those that can be delivered, which are pending and not masked while the rVIC is enabled: 1, and one more for each interrupt
        /// that has become deliverable later; 2147483647 at most. Else 0.
        after: [u32; 32],
    }

    /// 32 inputs of the rVID.
    RvidState = Rvid {
        /// RVID_FEATURES: bit 0 messages, bit 1 level inputs.
        features: u32,
        /// Inputs of the domain.
        inputs: u32,
        /// The first of those that messages become.
        first: u32,
        /// How many of these there are.
        count: u32,
        /// They go somewhere.
        mapped: u32,
        /// Of level inputs: the line, as devices have it.
        line: u32,
        /// 0.
        reserved: u32,
        /// The vCPU that each goes to; [`NOBODY`]: none.
        target: [u8; 32],
        /// The INTID that it is there, or 0.
        intid: [u16; 32],
    }
}
