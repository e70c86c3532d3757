// SPDX-License-Identifier: GPL-2.0-only
//! A function that writes down what it is told, and can refuse.
#![allow(clippy::expect_used, clippy::indexing_slicing)]

use super::*;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::rc::Rc;

const BELL: u64 = 0x0809_0040;
const HOST: u64 = 0x0a00_0040;

/// What there is of a function, while the model has it and after.
#[derive(Default)]
struct Seen {
    said: RefCell<String>,
    mapped: Cell<Option<u32>>,
    bound: RefCell<BTreeMap<u32, u32>>,
    /// Its MSI has no mask bits.
    maskless: Cell<bool>,
    /// Calls that may fail until one does.
    until_failure: Cell<Option<u32>>,
}

impl Seen {
    fn say(&self, what: std::fmt::Arguments<'_>) {
        let mut said = self.said.borrow_mut();
        if !said.is_empty() {
            said.push_str(", ");
        }
        said.write_fmt(what).expect("text");
    }

    fn fails(&self) -> bool {
        match self.until_failure.get() {
            Some(left) => {
                self.until_failure.set(left.checked_sub(1));
                left == 0
            }
            None => false,
        }
    }

    /// What was said since last time.
    fn take(&self) -> String {
        std::mem::take(&mut *self.said.borrow_mut())
    }

    fn bound(&self) -> Vec<(u32, u32)> {
        let bound = self.bound.borrow();
        bound.iter().map(|(event, data)| (*event, *data)).collect()
    }
}

#[derive(Debug)]
struct Fake(Rc<Seen>);

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.said.borrow())
    }
}

impl Function for Fake {
    fn map(&self, events: u32) -> Result<u64, i32> {
        if self.0.fails() {
            return Err(-28);
        }
        assert_eq!(self.0.mapped.replace(Some(events)), None);
        Ok(HOST)
    }
    fn unmap(&self) {
        assert!(self.0.bound().is_empty(), "something is bound");
        assert!(self.0.mapped.take().is_some());
    }
    fn bind(&self, event: u32, data: u32) -> Result<(), i32> {
        if self.0.fails() {
            return Err(-16);
        }
        assert!(event < self.0.mapped.get().expect("mapped"));
        self.0.bound.borrow_mut().insert(event, data);
        Ok(())
    }
    fn unbind(&self, event: u32) {
        let was = self.0.bound.borrow_mut().remove(&event);
        assert!(was.is_some(), "{event} is not bound");
    }
    fn is_doorbell(&self, address: u64) -> bool {
        address == BELL
    }
    fn write_msi(&self, address: u64, data: u32) {
        self.0.say(format_args!("msi {address:x}={data:x}"));
    }
    fn mask_msi(&self, vector: u32, masked: bool) -> bool {
        self.0
            .say(format_args!("{vector}{}", if masked { '-' } else { '+' }));
        !self.0.maskless.get()
    }
    fn write_entry(&self, entry: u32, address: u64, data: u32) -> Result<(), i32> {
        if self.0.fails() {
            return Err(-12);
        }
        self.0
            .say(format_args!("entry {entry} {address:x}={data:x}"));
        Ok(())
    }
    fn mask_entry(&self, entry: u32, masked: bool) {
        let sign = if masked { '-' } else { '+' };
        self.0.say(format_args!("entry {entry}{sign}"));
    }
}

fn function(events: u32) -> (Msi<Fake>, Rc<Seen>) {
    let seen = Rc::new(Seen::default());
    let msi = Msi::new(Fake(Rc::clone(&seen)), events, false).expect("a function");
    (msi, seen)
}

#[test]
fn a_function_has_one_event_to_2048() {
    for (events, good) in [(0, false), (1, true), (2048, true), (2049, false)] {
        let seen = Rc::new(Seen::default());
        let made = Msi::new(Fake(Rc::clone(&seen)), events, false);
        let error = made.as_ref().err().copied();
        assert_eq!(error, (!good).then_some(Error::Invalid), "{events}");
        assert_eq!(seen.mapped.get(), good.then_some(events));
        drop(made);
        assert_eq!(seen.mapped.get(), None);
    }
}

#[test]
fn vectors_have_the_low_bits_of_data() {
    let (mut msi, seen) = function(32);
    assert_eq!(msi.enable(4, BELL, 0xffff_1236, 0b0100), Ok(()));
    let data = [(0, 0x1234), (1, 0x1235), (2, 0x1236), (3, 0x1237)];
    assert_eq!(seen.bound(), data, "and bits 15 to 0 of it");
    assert_eq!(seen.take(), "msi a000040=0, 0+, 1+, 2-, 3+");
    // One is all of it, and there are 1 to 32.
    msi.disable();
    assert_eq!(msi.enable(1, BELL, 0x1237, 0), Ok(()));
    assert_eq!(seen.bound()[0], (0, 0x1237));
    msi.disable();
    assert_eq!(msi.enable(32, BELL, 0x1fff, 0), Ok(()));
    assert_eq!(seen.bound()[31], (31, 0x1fff));
    assert_eq!(seen.bound()[0], (0, 0x1fe0));
    msi.disable();
    for vectors in [0, 3, 33, 64, 1 << 31] {
        assert_eq!(msi.enable(vectors, BELL, 0, 0), Err(Error::Invalid));
    }
    let (mut msi, _) = function(4);
    assert_eq!(msi.enable(8, BELL, 0, 0), Err(Error::Invalid));
    assert_eq!(msi.enable(4, BELL, 0, 0), Ok(()));
}

#[test]
fn a_write_while_enabled_rebinds() {
    let (mut msi, seen) = function(2);
    assert_eq!(msi.update(BELL, 5), Err(Error::NotEnabled));
    assert_eq!(msi.enable(2, BELL, 4, 0b10), Ok(()));
    msi.mask(0, true);
    msi.mask(1, false);
    seen.take();
    assert_eq!(msi.update(BELL, 8), Ok(()));
    assert_eq!(seen.bound(), [(0, 8), (1, 9)]);
    assert_eq!(
        seen.take(),
        "msi a000040=0, 0-, 1+",
        "masks are as they were"
    );
    // Elsewhere nobody gets it, until it is here again.
    for address in [0, BELL - 4, BELL + 4, BELL | 1 << 40, HOST, u64::MAX] {
        assert_eq!(msi.update(address, 8), Err(Error::Foreign));
        assert_eq!(seen.bound(), []);
        assert_eq!(seen.take(), "0-, 1-");
    }
    msi.mask(0, false);
    msi.mask(1, true);
    assert_eq!(seen.take(), "", "nothing is unmasked that goes nowhere");
    assert_eq!(msi.update(BELL, 8), Ok(()));
    assert_eq!(seen.take(), "msi a000040=0, 0+, 1-");
    msi.disable();
    assert_eq!(seen.take(), "0-, 1-");
    assert_eq!(msi.update(BELL, 8), Err(Error::NotEnabled));
    msi.mask(0, true);
    assert_eq!(seen.take(), "", "it is off");
    assert_eq!(seen.bound(), [(0, 8), (1, 9)], "what was sent is under way");
}

#[test]
fn masks_are_those_of_vectors_there_are() {
    let (mut msi, seen) = function(32);
    for vector in [0, 31, 32, 63, u32::MAX] {
        msi.mask(vector, true);
    }
    assert_eq!(msi.enable(2, BELL, 0, 0b1), Ok(()));
    seen.take();
    for vector in [1, 2, 31, 32, 33, u32::MAX] {
        msi.mask(vector, true);
    }
    assert_eq!(seen.take(), "1-");
}

#[test]
fn an_entry_is_bound_when_it_is_set_up() {
    let (mut msi, seen) = function(8);
    msi.mask_entry(5, false);
    assert_eq!(msi.disable_entry(5), Err(Error::NotEnabled));
    assert_eq!((seen.take(), seen.bound()), (String::new(), vec![]));
    assert_eq!(msi.enable_entry(5, BELL, 0xdead_beef, false), Ok(()));
    assert_eq!(seen.bound(), [(5, 0xdead_beef)], "all 32 bits");
    assert_eq!(seen.take(), "entry 5 a000040=5, entry 5+");
    msi.mask_entry(5, true);
    msi.mask_entry(5, false);
    assert_eq!(seen.take(), "entry 5-, entry 5+");
    assert_eq!(msi.disable_entry(5), Ok(()));
    assert_eq!(msi.disable_entry(5), Err(Error::NotEnabled));
    assert_eq!(seen.take(), "entry 5-");
    assert_eq!(
        seen.bound(),
        [(5, 0xdead_beef)],
        "what was sent is under way"
    );
    msi.mask_entry(5, false);
    assert_eq!(seen.take(), "", "it is not set up");
    assert_eq!(msi.enable_entry(5, BELL, 7, true), Ok(()));
    assert_eq!(seen.bound(), [(5, 7)]);
    assert_eq!(seen.take(), "entry 5 a000040=5");
    // While it is set up it is masked first.
    assert_eq!(msi.enable_entry(5, BELL, 7, false), Ok(()));
    assert_eq!(seen.take(), "entry 5-, entry 5 a000040=5, entry 5+");
    for entry in [8, 2048, u32::MAX] {
        assert_eq!(msi.enable_entry(entry, BELL, 7, false), Err(Error::Invalid));
        assert_eq!(msi.disable_entry(entry), Err(Error::NotEnabled));
        msi.mask_entry(entry, false);
    }
    assert_eq!(seen.take(), "");
}

#[test]
fn an_entry_that_cannot_be_bound_stays_masked() {
    for (failure, error) in [
        (None, Error::Foreign),
        (Some(0), Error::Host(-16)),
        (Some(1), Error::Host(-12)),
    ] {
        let (mut msi, seen) = function(8);
        let address = if failure.is_some() { BELL } else { HOST };
        seen.until_failure.set(failure);
        assert_eq!(msi.enable_entry(2, address, 7, false), Err(error));
        msi.mask_entry(2, false);
        assert_eq!(seen.take(), "");
        assert_eq!(msi.disable_entry(2), Err(Error::NotEnabled));
        // One that was set up, too.
        assert_eq!(msi.enable_entry(2, BELL, 7, false), Ok(()));
        seen.take();
        seen.until_failure.set(failure);
        assert_eq!(msi.enable_entry(2, address, 8, false), Err(error));
        msi.mask_entry(2, false);
        assert_eq!(seen.take(), "entry 2-");
        let data = if failure == Some(1) { 8 } else { 7 };
        assert_eq!(seen.bound(), [(2, data)], "what was sent is under way");
        seen.until_failure.set(None);
        assert_eq!(msi.enable(8, BELL, 0, 0), Ok(()), "none is set up");
    }
}

#[test]
fn one_kind_at_a_time() {
    let (mut msi, seen) = function(8);
    assert_eq!(msi.enable(2, BELL, 4, 0), Ok(()));
    assert_eq!(msi.enable(2, BELL, 4, 0), Err(Error::Busy));
    assert_eq!(msi.enable_entry(1, BELL, 7, false), Err(Error::Busy));
    assert_eq!(seen.bound(), [(0, 4), (1, 5)]);
    msi.disable();
    assert_eq!(msi.enable_entry(1, BELL, 7, false), Ok(()));
    assert_eq!(msi.enable_entry(1, BELL, 7, false), Ok(()));
    assert_eq!(msi.enable(2, BELL, 4, 0), Err(Error::Busy));
    assert_eq!(seen.bound(), [(0, 4), (1, 7)]);
    assert_eq!(msi.disable_entry(1), Ok(()));
    assert_eq!(msi.enable(2, BELL, 4, 0), Ok(()));
    assert_eq!(seen.bound(), [(0, 4), (1, 5)]);
}

#[test]
fn a_vector_that_cannot_be_bound_takes_the_others_with_it() {
    for vector in 0..8 {
        let (mut msi, seen) = function(8);
        seen.until_failure.set(Some(vector));
        assert_eq!(msi.enable(8, BELL, 0x40, 0), Err(Error::Host(-16)));
        assert_eq!((seen.take(), seen.bound()), (String::new(), vec![]));
        msi.mask(0, false);
        assert_eq!(seen.take(), "", "it is off");
        assert_eq!(msi.enable(8, BELL, 0x40, 0), Ok(()));
        seen.take();
        seen.until_failure.set(Some(vector));
        assert_eq!(msi.update(BELL, 0x48), Err(Error::Host(-16)));
        assert_eq!(seen.bound(), [], "neither old nor new, vector {vector}");
        assert_eq!(seen.take(), "0-, 1-, 2-, 3-, 4-, 5-, 6-, 7-");
        assert_eq!(msi.update(BELL, 0x48), Ok(()));
        assert_eq!(seen.bound().len(), 8);
    }
    // Also those that were bound before, when there were more.
    let (mut msi, seen) = function(8);
    assert_eq!(msi.enable(8, BELL, 0x40, 0), Ok(()));
    msi.disable();
    assert_eq!(msi.enable(2, HOST, 0x40, 0), Err(Error::Foreign));
    assert_eq!(seen.bound(), []);
    let seen = Rc::new(Seen::default());
    seen.until_failure.set(Some(0));
    let refused = Msi::new(Fake(Rc::clone(&seen)), 8, false).err();
    assert_eq!(refused, Some(Error::Host(-28)));
    assert_eq!(seen.mapped.get(), None);
}

#[test]
fn what_is_taken_away_is_masked_and_bound_to_nothing() {
    let (mut msi, seen) = function(4);
    msi.enable_entry(1, BELL, 7, false).expect("an entry");
    msi.enable_entry(2, BELL, 8, false).expect("an entry");
    msi.disable_entry(2).expect("an entry");
    seen.take();
    drop(msi);
    assert_eq!((seen.take(), seen.bound()), ("entry 1-".into(), vec![]));
    assert_eq!(seen.mapped.get(), None);
    let (mut msi, seen) = function(4);
    msi.enable(2, BELL, 7, 0).expect("two vectors");
    seen.take();
    drop(msi);
    assert_eq!((seen.take(), seen.bound()), ("0-, 1-".into(), vec![]));
    assert_eq!(seen.mapped.get(), None);
}

/// A guest whose values are the host's: its ITSes map what it says.
#[test]
fn direct_functions_have_what_their_guest_says() {
    let seen = Rc::new(Seen::default());
    let mut msi = Msi::new(Fake(Rc::clone(&seen)), 8, true).expect("a function");
    assert_eq!(msi.enable(2, BELL, 4, 0b10), Ok(()));
    assert_eq!(seen.take(), "msi 8090040=4, 0+, 1-");
    assert_eq!(msi.update(HOST, 4), Err(Error::Foreign));
    assert_eq!(seen.take(), "0-, 1-");
    msi.disable();
    assert_eq!(seen.take(), "0-, 1-");
    assert_eq!(msi.enable_entry(3, BELL, 9, false), Ok(()));
    assert_eq!(seen.take(), "entry 3 8090040=9, entry 3+");
    assert_eq!(msi.enable_entry(4, HOST, 9, false), Err(Error::Foreign));
    assert_eq!(seen.take(), "");
    drop(msi);
    assert_eq!(seen.take(), "entry 3-");
    assert_eq!((seen.mapped.get(), seen.bound()), (None, vec![]));
}

#[test]
fn what_is_kept_stays_masked_whatever_the_guest_does() {
    let (mut msi, seen) = function(4);
    msi.enable_entry(1, BELL, 7, false).expect("an entry");
    seen.take();
    assert!(msi.keep(1, true));
    assert_eq!(seen.take(), "entry 1-");
    msi.mask_entry(1, true);
    msi.mask_entry(1, false);
    assert_eq!(seen.take(), "entry 1-, entry 1-");
    msi.disable_entry(1).expect("an entry");
    msi.enable_entry(1, BELL, 8, false).expect("an entry");
    assert!(!seen.take().contains('+'), "it was unmasked");
    // It was kept all the time, and is let go where the guest has it.
    assert!(msi.keep(1, true));
    assert_eq!(seen.take(), "");
    assert!(!msi.keep(1, false));
    assert_eq!(seen.take(), "entry 1+");
    msi.mask_entry(1, true);
    assert!(msi.keep(1, true));
    assert!(!msi.keep(1, false));
    assert!(!seen.take().contains('+'), "the guest has it masked");
}

#[test]
fn vectors_are_kept_if_they_have_mask_bits() {
    let (mut msi, seen) = function(4);
    msi.enable(4, BELL, 0, 0b1000).expect("vectors");
    seen.take();
    assert!(msi.keep(2, true));
    assert_eq!(seen.take(), "2-");
    msi.mask(2, false);
    msi.update(BELL, 4).expect("vectors");
    assert!(!seen.take().contains("2+"), "it was unmasked");
    assert!(!msi.keep(2, false));
    assert_eq!(seen.take(), "2+");
    assert!(msi.keep(3, true));
    assert!(!msi.keep(3, false));
    assert!(!seen.take().contains('+'), "the guest has it masked");
    seen.maskless.set(true);
    assert!(!msi.keep(2, true), "there is no bit");
    // And what is kept of what the function cannot send is nothing.
    msi.disable();
    assert!(!msi.keep(2, true));
    assert!(!msi.keep(4, true));
    seen.take();
    msi.enable_entry(2, BELL, 0, false).expect("an entry");
    assert!(seen.take().ends_with("entry 2+"), "it is not kept");
}

#[test]
fn an_entry_that_was_kept_is_let_go_as_a_vector() {
    let (mut msi, seen) = function(2);
    msi.enable_entry(0, BELL, 7, false).expect("an entry");
    assert!(msi.keep(0, true));
    seen.take();
    msi.disable_entry(0).expect("an entry");
    msi.enable(1, BELL, 0, 0).expect("a vector");
    assert!(!seen.take().contains("0+"), "it is kept still");
    assert!(!msi.keep(0, false));
    assert_eq!(seen.take(), "0+");
}
