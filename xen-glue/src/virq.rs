// SPDX-License-Identifier: GPL-2.0-only
//! Which vIRQs of a domain are taken: a bitmap that Xen's toolstack interface reads, too.
//!
//! Bits are in the order local interrupts, SPIs, extended SPIs, without a gap. No lock protects them.

use crate::layout::XenDomain;
use core::sync::atomic::{AtomicU64, Ordering};
use rust_vgic::IntId;

/// SGIs and PPIs.
pub const LOCAL: u32 = IntId::SPI;

/// How many bits the bitmap of a domain has.
fn bits(d: XenDomain) -> u32 {
    d.spis().saturating_add(d.espis()).saturating_add(LOCAL)
}

/// Words of a bitmap with a bit for each interrupt of a domain.
pub fn words(d: XenDomain) -> usize {
    bits(d).div_ceil(64) as usize
}

/// Is it a number that the domain has: local, SPI or extended SPI?
pub fn is_valid(d: XenDomain, virq: u32) -> bool {
    bit_of(d, virq).is_some()
}

fn bit_of(d: XenDomain, virq: u32) -> Option<u32> {
    if virq < d.spis().saturating_add(LOCAL) {
        return Some(virq);
    }
    let index = virq.checked_sub(IntId::ESPI)?;
    (index < d.espis()).then(|| index.saturating_add(d.spis()).saturating_add(LOCAL))
}

fn virq_of(d: XenDomain, bit: u32) -> u32 {
    match bit.checked_sub(d.spis().saturating_add(LOCAL)) {
        Some(index) => index.saturating_add(IntId::ESPI),
        None => bit,
    }
}

/// The word of the bitmap that holds a bit, and its mask.
fn word(d: XenDomain, bit: u32) -> Option<(&'static AtomicU64, u64)> {
    let bitmap = d.allocated_irqs();
    if bitmap.is_null() || bit >= bits(d) {
        return None;
    }
    let at = bitmap.wrapping_add(bit as usize / 64);
    // SAFETY: inside the bitmap, which lives as long as the domain: no reference outlives these functions.
    let word = unsafe { &*at };
    Some((word, 1_u64.wrapping_shl(bit)))
}

/// Takes a number; `false` if it is taken or does not exist.
pub fn reserve(d: XenDomain, virq: u32) -> bool {
    bit_of(d, virq).is_some_and(|bit| take(d, bit))
}

fn take(d: XenDomain, bit: u32) -> bool {
    word(d, bit).is_some_and(|(word, mask)| word.fetch_or(mask, Ordering::AcqRel) & mask == 0)
}

/// Takes a free PPI or SPI.
pub fn allocate(d: XenDomain, spi: bool) -> Option<u32> {
    let mut range = if spi {
        LOCAL..bits(d)
    } else {
        IntId::PPI..LOCAL
    };
    range.find(|bit| take(d, *bit)).map(|bit| virq_of(d, bit))
}

/// Gives a number back.
pub fn free(d: XenDomain, virq: u32) {
    if let Some((word, mask)) = bit_of(d, virq).and_then(|bit| word(d, bit)) {
        word.fetch_and(!mask, Ordering::AcqRel);
    }
}
