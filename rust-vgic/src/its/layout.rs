// SPDX-License-Identifier: GPL-2.0-only
//! The entries of an ITS's tables in guest memory: revision 0 of the layout that KVM documents and GITS_IIDR.Revision names.
//!
//! The architecture leaves the layout open, but for the first level of a table of two (IHI 0069, section 5.2.1). Each entry is a
//! little-endian doubleword. `next` leads to the next entry that is valid, so that who reads a table in order need not look at what
//! is between: 0 after the last, and where that is further than the field can say, as far as it can, to an entry that is not valid.

/// Bytes of an entry.
pub(super) const ENTRY: u64 = 8;
/// A valid entry; of an event it is an INTID that is not 0.
const VALID: u64 = 1 << 63;
/// `next` of a device and of an event.
const DEVICE_NEXT: u64 = (1 << 14) - 1;
const EVENT_NEXT: u64 = (1 << 16) - 1;
/// Bits 51 to 8 of an address, which is 52 bits wide.
const ITT: u64 = 0xf_ffff_ffff_ff00;
const RDBASE: u64 = (1 << 36) - 1;

/// An entry of the device table: V\[63\], next\[62:49\], bits 51 to 8 of the ITT's address\[48:5\], EventID bits less one\[4:0\].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct DeviceEntry {
    pub(crate) next: u16,
    pub(crate) itt: u64,
    /// 1 to 32.
    pub(crate) event_bits: u32,
}

impl DeviceEntry {
    pub(crate) const fn encode(self) -> u64 {
        let bits = (self.event_bits as u64).wrapping_sub(1) & 0x1f;
        VALID | (self.next as u64 & DEVICE_NEXT) << 49 | (self.itt & ITT) >> 8 << 5 | bits
    }

    /// `None`: it is not valid.
    pub(crate) const fn decode(entry: u64) -> Option<Self> {
        if entry & VALID == 0 {
            return None;
        }
        Some(Self {
            next: (entry >> 49 & DEVICE_NEXT) as u16,
            itt: entry >> 5 << 8 & ITT,
            event_bits: ((entry & 0x1f) as u32).wrapping_add(1),
        })
    }

    /// [`DeviceEntry::next`] of device `from`, if the next is `to`.
    pub(crate) fn next(from: u32, to: Option<u32>) -> u16 {
        distance(from, to, DEVICE_NEXT)
    }
}

/// An entry of the collection table: V\[63\], RDbase\[51:16\], which is GICR_TYPER.Processor_Number, ICID\[15:0\]. They are in no
/// order, and end with one that is not valid or with the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CollectionEntry {
    pub(crate) target: u64,
    pub(crate) icid: u16,
}

impl CollectionEntry {
    pub(crate) const fn encode(self) -> u64 {
        VALID | (self.target & RDBASE) << 16 | self.icid as u64
    }

    /// `None`: it is not valid. Otherwise also whether its reserved bits are zero.
    pub(crate) const fn decode(entry: u64) -> Option<(Self, bool)> {
        if entry & VALID == 0 {
            return None;
        }
        let this = Self {
            target: entry >> 16 & RDBASE,
            icid: entry as u16,
        };
        Some((this, this.encode() == entry))
    }
}

/// An entry of an interrupt translation table: next\[63:48\], pINTID\[47:16\], ICID\[15:0\].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct EventEntry {
    pub(crate) next: u16,
    pub(crate) intid: u32,
    pub(crate) icid: u16,
}

impl EventEntry {
    pub(crate) const fn encode(self) -> u64 {
        (self.next as u64) << 48 | (self.intid as u64) << 16 | self.icid as u64
    }

    /// `None`: nothing is mapped.
    pub(crate) const fn decode(entry: u64) -> Option<Self> {
        let intid = (entry >> 16) as u32;
        if intid == 0 {
            return None;
        }
        Some(Self {
            next: (entry >> 48) as u16,
            intid,
            icid: entry as u16,
        })
    }

    /// [`EventEntry::next`] of event `from`, if the next is `to`.
    pub(crate) fn next(from: u32, to: Option<u32>) -> u16 {
        distance(from, to, EVENT_NEXT)
    }
}

/// Where the page of the second level is, of `page` bytes, that an entry of the first one has: V\[63\], address\[51:N\].
pub(crate) const fn second_level(entry: u64, page: u64) -> Option<u64> {
    if entry & VALID == 0 {
        return None;
    }
    Some(entry & 0xf_ffff_ffff_ffff & !page.wrapping_sub(1))
}

fn distance(from: u32, to: Option<u32>, most: u64) -> u16 {
    let next = to.map_or(0, |to| u64::from(to.saturating_sub(from)));
    next.min(most) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_where_the_layout_has_them() {
        let device = DeviceEntry {
            next: 0x3ffe,
            itt: 0xa_bcde_f012_3400,
            event_bits: 17,
        };
        let word = 1 << 63 | 0x3ffe << 49 | 0x0abc_def0_1234 << 5 | 16;
        assert_eq!(device.encode(), word, "{word:#x}");
        assert_eq!(DeviceEntry::decode(word), Some(device));
        assert_eq!(DeviceEntry::decode(word & !VALID), None);

        let collection = CollectionEntry {
            target: 0x77,
            icid: 0xabcd,
        };
        assert_eq!(collection.encode(), 1 << 63 | 0x77 << 16 | 0xabcd);
        let decoded = CollectionEntry::decode(collection.encode());
        assert_eq!(decoded, Some((collection, true)));
        let reserved = CollectionEntry::decode(collection.encode() | 1 << 52);
        assert_eq!(reserved, Some((collection, false)));
        assert_eq!(CollectionEntry::decode(collection.encode() >> 1), None);

        let event = EventEntry {
            next: 0x1234,
            intid: 0x89ab_cdef,
            icid: 0x4567,
        };
        assert_eq!(event.encode(), 0x1234_89ab_cdef_4567);
        assert_eq!(EventEntry::decode(event.encode()), Some(event));
        assert_eq!(EventEntry::decode(0x1234_0000_0000_4567), None);

        assert_eq!(second_level(1 << 63 | 0x5_0000, 0x1_0000), Some(0x5_0000));
        assert_eq!(second_level(u64::MAX, 0x1000), Some(0xf_ffff_ffff_f000));
        assert_eq!(second_level(u64::MAX >> 1, 0x1000), None);
    }

    /// Whatever the bits, what is read and written again is the same, but for what is reserved.
    #[test]
    fn each_bit_of_an_entry_is_one_of_a_field() {
        for bit in 0..64 {
            let word = VALID | 1 << 16 | 1_u64 << bit;
            assert_eq!(
                DeviceEntry::decode(word).map(DeviceEntry::encode),
                Some(word)
            );
            assert_eq!(EventEntry::decode(word).map(EventEntry::encode), Some(word));
            let collection =
                CollectionEntry::decode(word).map(|(entry, good)| (entry.encode(), good));
            let reserved = 52..63;
            let good = !reserved.contains(&bit);
            let kept = if good { word } else { VALID | 1 << 16 };
            assert_eq!(collection, Some((kept, good)), "{bit}");
        }
    }

    #[test]
    fn next_goes_as_far_as_it_can() {
        for (from, to, device, event) in [
            (0, None, 0, 0),
            (7, Some(8), 1, 1),
            (0, Some(0x3fff), 0x3fff, 0x3fff),
            (0, Some(0x4000), 0x3fff, 0x4000),
            (1, Some(0x1_0000), 0x3fff, 0xffff),
            (0, Some(0x1_0000), 0x3fff, 0xffff),
            (0, Some(u32::MAX), 0x3fff, 0xffff),
        ] {
            assert_eq!(DeviceEntry::next(from, to), device, "{from} {to:?}");
            assert_eq!(EventEntry::next(from, to), event, "{from} {to:?}");
        }
    }
}
