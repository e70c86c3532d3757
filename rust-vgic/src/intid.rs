// SPDX-License-Identifier: GPL-2.0-only
//! Interrupt and vCPU numbers as types (IHI 0069, section 2.2).

/// An interrupt identifier that a guest can see: SGI 0–15, PPI 16–31, SPI 32–1019, extended SPI 4096–5119 or LPI 8192–65535.
///
/// List registers carry 16 bits of INTID on GICv3, so larger LPIs cannot exist here.
///
/// ```
/// use rust_vgic::IntId;
/// assert!(IntId::new(27).is_some_and(IntId::is_ppi));
/// assert_eq!(IntId::new(1023), None); // special: "no pending interrupt"
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct IntId(u16);

impl IntId {
    /// First PPI.
    pub const PPI: u32 = 16;
    /// First SPI.
    pub const SPI: u32 = 32;
    /// First number after the SPIs.
    pub const SPI_END: u32 = 1020;
    /// First extended SPI.
    pub const ESPI: u32 = 4096;
    /// First number after the extended SPIs.
    pub const ESPI_END: u32 = 5120;
    /// First LPI.
    pub const LPI: u32 = 8192;

    /// The INTID `raw`, unless it is special, reserved, an extended PPI or beyond 16 bits.
    #[must_use]
    pub const fn new(raw: u32) -> Option<Self> {
        match raw {
            0..Self::SPI_END | Self::ESPI..Self::ESPI_END | Self::LPI..=0xffff => {
                Some(Self(raw as u16))
            }
            _ => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn raw(self) -> u32 {
        self.0 as u32
    }

    /// The number in the 16 bits that links and list registers hold.
    #[must_use]
    pub const fn raw16(self) -> u16 {
        self.0
    }

    /// The INTID that is `n` after this one, for who knows that it has as many after it in its range.
    pub(crate) const fn after(self, n: u16) -> Self {
        Self(self.0.wrapping_add(n))
    }

    /// Software-generated interrupt, 0–15.
    #[must_use]
    pub const fn is_sgi(self) -> bool {
        self.raw() < Self::PPI
    }

    /// Private peripheral interrupt, 16–31.
    #[must_use]
    pub const fn is_ppi(self) -> bool {
        self.raw() >= Self::PPI && self.raw() < Self::SPI
    }

    /// SGI or PPI: each vCPU has its own.
    #[must_use]
    pub const fn is_private(self) -> bool {
        self.raw() < Self::SPI
    }

    /// Shared peripheral interrupt, 32–1019.
    #[must_use]
    pub const fn is_spi(self) -> bool {
        self.raw() >= Self::SPI && self.raw() < Self::SPI_END
    }

    /// Extended SPI, 4096–5119 (GICv3.1).
    #[must_use]
    pub const fn is_espi(self) -> bool {
        self.raw() >= Self::ESPI && self.raw() < Self::ESPI_END
    }

    /// Locality-specific peripheral interrupt, 8192 and up.
    #[must_use]
    pub const fn is_lpi(self) -> bool {
        self.raw() >= Self::LPI
    }
}

/// A vCPU of a domain: 0–127.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct VcpuId(u8);

impl VcpuId {
    /// vCPUs a domain can have.
    pub const MAX: usize = 128;

    /// vCPU 0, which every domain has.
    pub const ZERO: Self = Self(0);

    /// vCPU number `n`, if there can be such a one.
    #[must_use]
    pub const fn new(n: u32) -> Option<Self> {
        if n < Self::MAX as u32 {
            Some(Self(n as u8))
        } else {
            None
        }
    }

    /// Its place in a table of vCPUs.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The number.
    #[must_use]
    pub const fn raw(self) -> u8 {
        self.0
    }

    /// Its affinity as a GICv3 guest sees it, Aff3.Aff2.Aff1.Aff0 in a byte each: 16 vCPUs to a cluster, because a write to
    /// ICC_SGI1R_EL1 reaches 16 (IHI 0069, section 12.2).
    ///
    /// ```
    /// use rust_vgic::VcpuId;
    /// let v = VcpuId::new(18).unwrap();
    /// assert_eq!(v.affinity(), 0x0102);
    /// assert_eq!(VcpuId::from_affinity(0x0102), Some(v));
    /// assert_eq!(VcpuId::from_affinity(0x0110), None);
    /// ```
    #[must_use]
    pub const fn affinity(self) -> u32 {
        (self.0 & 0xf) as u32 | ((self.0 >> 4) as u32) << 8
    }

    /// The vCPU with this affinity, if there can be such a one.
    #[must_use]
    pub const fn from_affinity(affinity: u32) -> Option<Self> {
        if affinity & !0x0f0f == 0 {
            Self::new(affinity & 0xf | (affinity >> 4) & 0xf0)
        } else {
            None
        }
    }
}
