// SPDX-License-Identifier: GPL-2.0-only
//! A sparse array whose memory grows with what is in it, and whose allocations may fail.
//!
//! A trie with sixteen ways at each step: an index of 16 bits is found in four loads, and a value that is alone in its
//! neighbourhood costs a few hundred bytes. Nothing is hashed, so no choice of indices is slower than another.

use crate::slice::try_box;
use alloc::boxed::Box;

const WAYS: usize = 16;
const WAY_BITS: u32 = 4;

enum Node<T> {
    Inner([Option<Box<Node<T>>>; WAYS]),
    Leaf([Option<T>; WAYS]),
}

/// Sparse array of `T`, indexed by numbers of a fixed number of bits.
pub(crate) struct Radix<T> {
    root: Option<Box<Node<T>>>,
    /// Steps from the root to a value, 1 to 8.
    steps: u8,
    /// There is room at [`Radix::reserved`], which stays. The two are apart, and `steps` is short, so that they take no memory of their own.
    reserves: bool,
    reserved: u32,
}

/// There is no memory for a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Full;

#[cfg(not(target_os = "none"))]
impl<T: core::fmt::Debug> core::fmt::Debug for Radix<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self {
            root,
            steps,
            reserves,
            reserved,
        } = self;
        let reserved = reserves.then_some(reserved);
        write!(f, "{steps} {reserved:?} {} ", root.is_some())?;
        let mut next = self.next(0);
        while let Some((n, value)) = next {
            write!(f, "{n:#x}: {value:?} ")?;
            next = n.checked_add(1).and_then(|n| self.next(n));
        }
        Ok(())
    }
}

impl<T> Node<T> {
    fn new(leaf: bool) -> Option<Box<Self>> {
        try_box(if leaf {
            Node::Leaf([const { None }; WAYS])
        } else {
            Node::Inner([const { None }; WAYS])
        })
    }

    fn is_empty(&self) -> bool {
        match self {
            Node::Inner(ways) => ways.iter().all(Option::is_none),
            Node::Leaf(ways) => ways.iter().all(Option::is_none),
        }
    }
}

impl<T> Radix<T> {
    /// An empty array with indices of `bits` bits, 1 to 32. Allocates nothing.
    pub(crate) const fn new(bits: u32) -> Self {
        Self {
            root: None,
            steps: if bits == 0 {
                1
            } else {
                bits.div_ceil(WAY_BITS) as u8
            },
            reserves: false,
            reserved: 0,
        }
    }

    /// Bytes of a node.
    pub(crate) const NODE: usize = size_of::<Node<T>>();

    /// Bytes that `count` values can take in `arrays` of them with indices of `bits` bits: at each step there is a node for each
    /// value, but no more than there are ways to it.
    pub(crate) fn most_bytes(count: u64, arrays: u64, bits: u32) -> u64 {
        let mut nodes = 0_u64;
        let mut ways = arrays;
        for _ in 0..bits.div_ceil(WAY_BITS) {
            nodes = nodes.saturating_add(count.min(ways));
            ways = ways.saturating_mul(WAYS as u64);
        }
        nodes.saturating_mul(Self::NODE as u64)
    }

    /// Which way to go at a step, counted from the root.
    const fn way(&self, index: u32, step: u32) -> usize {
        let below = (self.steps as u32).wrapping_sub(step).wrapping_sub(1);
        (index.wrapping_shr(below.wrapping_mul(WAY_BITS)) & 0xf) as usize
    }

    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        let mut node = self.root.as_deref()?;
        for step in 0..u32::from(self.steps) {
            node = match node {
                Node::Inner(ways) => ways.get(self.way(index, step))?.as_deref()?,
                Node::Leaf(ways) => return ways.get(self.way(index, step))?.as_ref(),
            };
        }
        None
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        match self.place(index, false) {
            Ok(place) => place.as_mut(),
            Err(Full) => None,
        }
    }

    /// Where a value is or would be, with the nodes on the way made if they are to be.
    fn place(&mut self, index: u32, make: bool) -> Result<&mut Option<T>, Full> {
        let steps = u32::from(self.steps);
        let ways: [usize; 8] = core::array::from_fn(|step| self.way(index, step as u32));
        let mut node = &mut self.root;
        for (step, &way) in (1..=steps).zip(&ways) {
            if node.is_none() && make {
                *node = Node::new(step == steps);
            }
            match node.as_deref_mut().ok_or(Full)? {
                Node::Inner(inner) => node = inner.get_mut(way).ok_or(Full)?,
                Node::Leaf(leaf) => return leaf.get_mut(way).ok_or(Full),
            }
        }
        Err(Full)
    }

    /// Puts a value in place of what is there, which is returned.
    ///
    /// # Errors
    /// There is no memory; the value is dropped.
    pub(crate) fn insert(&mut self, index: u32, value: T) -> Result<Option<T>, Full> {
        let done = self.place(index, true).map(|place| place.replace(value));
        if done.is_err() {
            // Nodes that were made on the way to the one that could not be.
            self.prune(index);
        } else {
            self.end_reservation(index);
        }
        done
    }

    /// Makes room for a value, so that the next [`Radix::insert`] there cannot fail, whatever is removed until then; [`Radix::remove`]
    /// there gives it back. There is one such place at a time: this ends what was reserved before.
    ///
    /// # Errors
    /// There is no memory.
    pub(crate) fn reserve(&mut self, index: u32) -> Result<(), Full> {
        if self.reserves {
            self.reserves = false;
            self.prune(self.reserved);
        }
        let done = self.place(index, true).map(|_| ());
        if done.is_err() {
            self.prune(index);
        } else {
            (self.reserves, self.reserved) = (true, index);
        }
        done
    }

    /// Takes a value out, and frees the nodes that are empty without it.
    pub(crate) fn remove(&mut self, index: u32) -> Option<T> {
        self.end_reservation(index);
        let taken = self.place(index, false).ok()?.take();
        self.prune(index);
        taken
    }

    fn end_reservation(&mut self, index: u32) {
        if self.reserved == index {
            self.reserves = false;
        }
    }

    /// Frees the empty nodes on the way to an index, but for those that are reserved.
    fn prune(&mut self, index: u32) {
        let kept = self.reserves.then_some(self.reserved);
        Self::prune_from(&mut self.root, index, self.steps.into(), kept);
    }

    /// The same of a node and those below it; what is on the way to `kept` stays. Recursion is as deep as there are steps: eight at most.
    fn prune_from(node: &mut Option<Box<Node<T>>>, index: u32, steps: u32, kept: Option<u32>) {
        let Some(below) = steps.checked_sub(1) else {
            return;
        };
        let way = (index.wrapping_shr(below.wrapping_mul(WAY_BITS)) & 0xf) as usize;
        if let Some(Node::Inner(ways)) = node.as_deref_mut()
            && let Some(next) = ways.get_mut(way)
        {
            Self::prune_from(next, index, below, kept);
        }
        // All that differs is below this node.
        let shift = steps.wrapping_mul(WAY_BITS);
        let is_kept = kept.is_some_and(|kept| u64::from(kept ^ index).wrapping_shr(shift) == 0);
        if !is_kept && node.as_deref().is_some_and(Node::is_empty) {
            *node = None;
        }
    }

    /// The first value at `index` or after it, and its index.
    pub(crate) fn next(&self, index: u32) -> Option<(u32, &T)> {
        // Beyond the last there is none: steps would lead to the first again.
        let bits = u32::from(self.steps).wrapping_mul(WAY_BITS);
        if u64::from(index).wrapping_shr(bits) != 0 {
            return None;
        }
        Self::next_in(self.root.as_deref()?, index, self.steps.into())
    }

    fn next_in(node: &Node<T>, index: u32, steps: u32) -> Option<(u32, &T)> {
        let below = steps.checked_sub(1)?;
        let shift = below.wrapping_mul(WAY_BITS);
        let own = u64::from(index).wrapping_shr(shift) as usize;
        let first = own & 0xf;
        // What is before this node in the index: its children have what is below.
        let base = u64::from(index) & !low_bits(shift.wrapping_add(WAY_BITS));
        for way in first..WAYS {
            let start = base | (way as u64).wrapping_shl(shift);
            let from = if way == first { index } else { start as u32 };
            let found = match node {
                Node::Leaf(ways) => ways.get(way)?.as_ref().map(|value| (start as u32, value)),
                Node::Inner(ways) => ways
                    .get(way)?
                    .as_deref()
                    .and_then(|next| Self::next_in(next, from, below)),
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

/// A mask of the lowest `bits` bits, up to 63.
const fn low_bits(bits: u32) -> u64 {
    1_u64.wrapping_shl(bits).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn nodes<T>(node: &Option<Box<Node<T>>>) -> usize {
        match node.as_deref() {
            None => 0,
            Some(Node::Leaf(_)) => 1,
            Some(Node::Inner(ways)) => ways.iter().map(nodes).fold(1, usize::saturating_add),
        }
    }

    proptest! {
        #[test]
        fn behaves_as_a_map(
            bits in 1_u32..=32,
            steps in proptest::collection::vec((0_u8..5, any::<u32>(), any::<u16>()), 1..200),
            near in any::<bool>(),
        ) {
            let mut radix = Radix::new(bits);
            let mut model = BTreeMap::new();
            let mut reserved = None;
            for (what, index, value) in steps {
                let index = index.wrapping_shr(32_u32.wrapping_sub(bits)) & if near { 0xff } else { u32::MAX };
                if what < 3 {
                    reserved = reserved.filter(|at| *at != index);
                }
                match what {
                    3 => {
                        prop_assert_eq!(radix.reserve(index), Ok(()));
                        reserved = Some(index);
                    }
                    0 | 1 => prop_assert_eq!(radix.insert(index, value), Ok(model.insert(index, value))),
                    2 => prop_assert_eq!(radix.remove(index), model.remove(&index)),
                    _ => {
                        let next = model.range(index..).next().map(|(k, v)| (*k, *v));
                        prop_assert_eq!(radix.next(index).map(|(k, v)| (k, *v)), next);
                    }
                }
                prop_assert_eq!(radix.get(index), model.get(&index));
                prop_assert_eq!(radix.get_mut(index).copied(), model.get(&index).copied());
                let paths = (1..=u32::from(radix.steps)).map(|step| {
                    let node = |index: &u32| u64::from(*index).wrapping_shr(step.wrapping_mul(WAY_BITS));
                    model.keys().chain(&reserved).map(node).collect::<BTreeSet<_>>().len()
                });
                prop_assert_eq!(nodes(&radix.root), paths.sum::<usize>(), "memory is given back, but for what is reserved");
            }
        }
    }

    #[test]
    fn reserved_room_stays_when_a_neighbour_goes() {
        // In the leaf of the one that goes, in a node above that, and with nothing in common but the root.
        for at in [0x1234, 0x1204, 0x1034, 0x0234] {
            let mut radix = Radix::new(16);
            assert_eq!(radix.insert(0x1235, 1_u32), Ok(None));
            assert_eq!(radix.reserve(at), Ok(()));
            assert_eq!(radix.remove(0x1235), Some(1));
            assert_eq!(nodes(&radix.root), 4, "room for {at:#x}");
            assert_eq!(radix.insert(at, 2), Ok(None));
            assert_eq!(radix.remove(at), Some(2));
            assert_eq!(nodes(&radix.root), 0, "the reservation has ended");
        }
    }

    /// Also where the number has no more bits than the steps have.
    #[test]
    fn nothing_comes_after_the_last() {
        for bits in [4, 5, 8, 12, 16] {
            let mut radix = Radix::new(bits);
            let last = 1_u32.wrapping_shl(bits).wrapping_sub(1);
            for index in [0, last] {
                assert_eq!(radix.insert(index, index), Ok(None));
            }
            assert_eq!(radix.next(last), Some((last, &last)));
            for index in [last.wrapping_add(1), 1 << 16, u32::MAX] {
                assert_eq!(radix.next(index), None, "{index} of {bits} bits");
            }
        }
    }

    #[test]
    fn reserved_room_is_given_back_unused() {
        let mut radix = Radix::<u32>::new(32);
        assert_eq!(radix.reserve(u32::MAX), Ok(()));
        assert_eq!(radix.reserve(0), Ok(()));
        assert_eq!(nodes(&radix.root), 8, "one at a time");
        assert_eq!(radix.remove(0), None);
        assert_eq!(nodes(&radix.root), 0);
    }
}
