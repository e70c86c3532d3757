// SPDX-License-Identifier: GPL-2.0-only
//! List registers, as the hardware lays them out.
//!
//! `GICH_LRn` is IHI 0048B section 5.3.7, `ICH_LR<n>_EL2` is IHI 0069 section 12.4. The model of the virtual
//! CPU interface keeps the raw value, as hardware does, and looks at it through [`ListRegister`]. This is
//! written separately from the vGIC's own encoder on purpose: one checks the other.

/// Which of the two layouts a machine's list registers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LrFormat {
    /// 32 bits, `GICH_LRn`.
    Gich,
    /// 64 bits, `ICH_LR<n>_EL2`.
    Ich,
}

/// A decoded list register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListRegister {
    /// INTID that the guest sees, without an SGI's source.
    pub vintid: u32,
    /// CPU interface that sent a GICv2 SGI.
    pub source: u8,
    /// Physical INTID, of use with `hw`.
    pub pintid: u16,
    /// Eight-bit priority, of which the top five bits exist, or up to seven with `ICH_LR`.
    pub priority: u8,
    /// State bit 0.
    pub pending: bool,
    /// State bit 1.
    pub active: bool,
    /// Group 1 rather than 0.
    pub group1: bool,
    /// Deactivation is forwarded to the physical interrupt.
    pub hw: bool,
    /// Without `hw`: a maintenance interrupt when the guest ends it.
    pub eoi: bool,
}

impl ListRegister {
    /// State 00.
    pub fn is_invalid(&self) -> bool {
        !self.pending && !self.active
    }

    /// What the guest reads in `IAR`: for a GICv2 SGI with its source in bits 12:10.
    pub fn iar(&self) -> u32 {
        self.vintid | u32::from(self.source) << 10
    }

    /// Decodes a raw register. `gicv2_guest`: SGIs carry a source CPU (always so for `GICH_LRn`).
    pub fn decode(format: LrFormat, raw: u64, gicv2_guest: bool) -> Self {
        let bit = |n: u32| raw >> n & 1 == 1;
        match format {
            LrFormat::Gich => {
                let hw = bit(31);
                let vintid = (raw & 0x3ff) as u32;
                Self {
                    vintid,
                    source: if !hw && vintid < 16 {
                        (raw >> 10 & 7) as u8
                    } else {
                        0
                    },
                    pintid: if hw { (raw >> 10 & 0x3ff) as u16 } else { 0 },
                    priority: (raw >> 23 & 0x1f) as u8 * 8,
                    pending: bit(28),
                    active: bit(29),
                    group1: bit(30),
                    hw,
                    eoi: !hw && bit(19),
                }
            }
            LrFormat::Ich => {
                let hw = bit(61);
                let mut vintid = raw as u32;
                let mut source = 0;
                if gicv2_guest && vintid & 0x3ff < 16 {
                    source = (vintid >> 10 & 7) as u8;
                    vintid &= 0x3ff;
                }
                Self {
                    vintid,
                    source,
                    pintid: if hw { (raw >> 32 & 0x1fff) as u16 } else { 0 },
                    priority: (raw >> 48) as u8,
                    pending: bit(62),
                    active: bit(63),
                    group1: bit(60),
                    hw,
                    eoi: !hw && bit(41),
                }
            }
        }
    }

    /// The raw value for this state; the inverse of [`ListRegister::decode`].
    pub fn encode(&self, format: LrFormat) -> u64 {
        let bit = |b: bool, n: u32| u64::from(b) << n;
        match format {
            LrFormat::Gich => {
                let middle = if self.hw {
                    u64::from(self.pintid & 0x3ff) << 10
                } else {
                    u64::from(self.source & 7) << 10 | bit(self.eoi, 19)
                };
                u64::from(self.vintid & 0x3ff)
                    | middle
                    | u64::from(self.priority >> 3) << 23
                    | bit(self.pending, 28)
                    | bit(self.active, 29)
                    | bit(self.group1, 30)
                    | bit(self.hw, 31)
            }
            LrFormat::Ich => {
                let middle = if self.hw {
                    u64::from(self.pintid & 0x1fff) << 32
                } else {
                    bit(self.eoi, 41)
                };
                u64::from(self.iar())
                    | middle
                    | u64::from(self.priority) << 48
                    | bit(self.group1, 60)
                    | bit(self.hw, 61)
                    | bit(self.pending, 62)
                    | bit(self.active, 63)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_layouts_round_trip() {
        let samples = [
            ListRegister {
                vintid: 27,
                priority: 0xa0,
                pending: true,
                group1: true,
                ..Default::default()
            },
            ListRegister {
                vintid: 40,
                pintid: 40,
                hw: true,
                active: true,
                ..Default::default()
            },
            ListRegister {
                vintid: 3,
                source: 5,
                eoi: true,
                pending: true,
                active: true,
                ..Default::default()
            },
        ];
        for format in [LrFormat::Gich, LrFormat::Ich] {
            for lr in samples {
                assert_eq!(
                    ListRegister::decode(format, lr.encode(format), true),
                    lr,
                    "{format:?}"
                );
            }
        }
    }

    #[test]
    fn fields_are_where_the_architecture_has_them() {
        let lr = ListRegister {
            vintid: 34,
            pintid: 50,
            hw: true,
            pending: true,
            priority: 0xa0,
            ..Default::default()
        };
        assert_eq!(
            lr.encode(LrFormat::Gich),
            1 << 31 | 1 << 28 | 0x14 << 23 | 50 << 10 | 34
        );
        assert_eq!(
            lr.encode(LrFormat::Ich),
            1 << 62 | 1 << 61 | 0xa0 << 48 | 50 << 32 | 34
        );
    }
}
