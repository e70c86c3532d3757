// SPDX-License-Identifier: GPL-2.0-only
//! Messages against commands: the LPI that a device sends is unmapped, moved or configured at that moment.
//!
//! A message is what the host's hard interrupt makes of it, [`Domain::inject_lpi`](rust_vgic::Domain::inject_lpi), or an INT
//! of another ITS. Commands are those of vCPU 1, which is in the hypervisor meanwhile; the LPI goes to vCPU 0 at first.

use crate::machine::*;
use loom::sync::Arc;
use loom::thread;
use rust_vgic::lr::Format;
use rust_vgic::redistributor::Region;
use rust_vgic::{Config, Host, ItsConfig, Limits, LpiConfig, Progress, Version, Width};

mod models;
mod redistributors;

const LPI: u32 = 8192;
/// Guest memory: configuration, pending tables, and for each ITS a queue and its tables.
const PROPERTIES: u64 = 0x10_0000;
const PENDING: u64 = 0x20_0000;
const QUEUES: u64 = 0x30_0000;
const TABLES: u64 = 0x40_0000;
const VALID: u64 = 1 << 63;

mod gits {
    pub const CTLR: u32 = 0x00;
    pub const CBASER: u32 = 0x80;
    pub const CWRITER: u32 = 0x88;
    pub const CREADR: u32 = 0x90;
    pub const BASER0: u32 = 0x100;
    pub const BASER1: u32 = 0x108;
}

mod gicr {
    pub const CTLR: u64 = 0x00;
    pub const PROPBASER: u64 = 0x70;
    pub const PENDBASER: u64 = 0x78;
    pub const INVLPIR: u64 = 0xa0;
    /// GICR_PENDBASER.PTZ.
    pub const PTZ: u64 = 1 << 62;
}

type Command = [u64; 4];

const MAPD: Command = [0x08, 1, VALID, 0];
const UNMAPD: Command = [0x08, 0, 0, 0];
const DISCARD: Command = [0x0f, 0, 0, 0];
const INT: Command = [0x03, 0, 0, 0];
const INV: Command = [0x0c, 0, 0, 0];
/// At vCPU 0.
const SYNC: Command = [0x05, 0, 0, 0];

/// Event 0 of device 0 becomes [`LPI`] of a collection.
const fn mapti(icid: u64) -> Command {
    [0x0a, (LPI as u64) << 32, icid, 0]
}
const fn movi(icid: u64) -> Command {
    [0x01, 0, icid, 0]
}
const fn mapc(icid: u64, vcpu: u64) -> Command {
    [0x09, 0, VALID | vcpu << 16 | icid, 0]
}
const fn movall(from: u64, to: u64) -> Command {
    [0x0e, 0, from << 16, to << 16]
}
const fn invall(icid: u64) -> Command {
    [0x0d, 0, icid, 0]
}

fn redist(d: &Vgic, n: usize, offset: u64, value: u64) {
    let width = if offset < 8 {
        Width::Word
    } else {
        Width::Double
    };
    let at = n as u64 * 0x2_0000 + offset;
    while d.redist_write(vcpu(d, n), 0, at, width, value) == Progress::Again {}
}

fn its(d: &Vgic, n: usize, its: usize, offset: u32, value: u64) -> Progress {
    let width = if offset == gits::CTLR {
        Width::Word
    } else {
        Width::Double
    };
    d.its_write(vcpu(d, n), its, offset, width, value)
}

/// What the guest's table says of [`LPI`].
fn configure(d: &Vgic, enabled: bool) {
    d.host()
        .write_guest(PROPERTIES, &[0x80 | u8::from(enabled)]);
}

/// vCPU `n` puts commands in the queue of an ITS, after those before them, and has them executed.
fn send(d: &Vgic, n: usize, number: usize, commands: &[Command]) {
    let read = d.its_read(vcpu(d, n), number, gits::CWRITER, Width::Double);
    let bytes: Vec<u8> = commands
        .iter()
        .flatten()
        .flat_map(|w| w.to_le_bytes())
        .collect();
    d.host()
        .write_guest(QUEUES + number as u64 * 0x1000 + read, &bytes);
    let end = read + bytes.len() as u64;
    while its(d, n, number, gits::CWRITER, end) == Progress::Again {
        thread::yield_now();
    }
}

/// Two vCPUs with LPIs enabled, and ITSes whose collections 0 and 1 go to them. Device 0 is mapped, with no event; [`LPI`] was
/// mapped once: how its page is published is not loom's to see.
fn domain(itses: usize) -> Arc<Vgic> {
    let config = Config {
        version: Version::V3,
        vcpus: 2,
        spis: 0,
        espis: 0,
        list_registers: LRS,
        format: Format::V3 { sources: false },
        regions: &[Region {
            base: 0x1000_0000,
            size: 0x4_0000,
        }],
        lpis: LpiConfig {
            id_bits: 14,
            limits: Limits {
                lpis: 256,
                devices: 4,
                events: 4,
            },
        },
        its: &vec![
            ItsConfig {
                device_bits: 4,
                event_bits: 4
            };
            itses
        ],
        msi_frame: None,
    };
    let d = create(&config, false);
    write(&d, 0, gicd::CTLR, 0b10);
    configure(&d, true);
    for n in 0..2 {
        redist(&d, n, gicr::PROPBASER, PROPERTIES | 13);
        redist(&d, n, gicr::PENDBASER, pending_table(n) | gicr::PTZ);
        redist(&d, n, gicr::CTLR, 1);
    }
    for n in 0..itses {
        its(&d, 1, n, gits::BASER0, VALID | TABLES);
        its(&d, 1, n, gits::BASER1, VALID | (TABLES + 0x1000));
        its(&d, 1, n, gits::CBASER, VALID | (QUEUES + n as u64 * 0x1000));
        its(&d, 1, n, gits::CTLR, 1);
        send(&d, 1, n, &[mapc(0, 0), mapc(1, 1), MAPD, mapti(0), DISCARD]);
    }
    Arc::new(d)
}

fn pending_table(n: usize) -> u64 {
    PENDING + n as u64 * 0x1_0000
}

/// Where [`LPI`] is in it, in bit 0.
fn pending_byte(n: usize) -> u64 {
    pending_table(n) + u64::from(LPI / 8)
}

/// The same with [`LPI`] mapped, to vCPU 0.
fn mapped() -> Arc<Vgic> {
    let d = domain(1);
    send(&d, 1, 0, &[mapti(0)]);
    d
}

/// The same, and vCPU 0 has taken a message of it (0 in its list register, an LPI is never active) and is still in the guest.
fn taken() -> Arc<Vgic> {
    let d = mapped();
    message(&d);
    enter(&d, 0);
    guest(&d, 0, LPI, 1, 0);
    forget_ipis(&d);
    d
}

/// The device's message arrives at the host.
fn message(d: &Vgic) {
    d.inject_lpi(intid(LPI));
}

/// Both vCPUs run, and have seen what was asked of them. What their list registers then show of [`LPI`].
fn seen(d: &Vgic) -> [Vec<u64>; 2] {
    for n in [0, 1, 0] {
        if !is_running(d, n) {
            enter(d, n);
        }
        settle(d, n);
    }
    [0, 1].map(|n| shown(d, n, LPI))
}

const NOTHING: [Vec<u64>; 2] = [vec![], vec![]];
fn once_at(n: usize) -> [Vec<u64>; 2] {
    [0, 1].map(|v| if v == n { vec![1] } else { vec![] })
}

// -------------------------------------------------------------------- unmapping

/// What arrives late is gone with the event: whoever has the LPI next does not get it.
fn a_message_against<const N: usize>(unmapping: Command, mapping: [Command; N]) {
    explore(3, move || {
        let d = mapped();
        let (other, runs) = (d.clone(), d.clone());
        let t = thread::spawn(move || message(&other));
        let u = thread::spawn(move || enter(&runs, 0));
        send(&d, 1, 0, &[unmapping]);
        t.join().unwrap();
        send(&d, 1, 0, &mapping);
        u.join().unwrap();
        assert_eq!(seen(&d), NOTHING, "from its former life");
        message(&d);
        assert_eq!(seen(&d), once_at(1));
    });
}

#[test]
fn a_message_against_discard() {
    a_message_against(DISCARD, [mapti(1)]);
}

#[test]
fn a_message_against_unmapping_the_device() {
    a_message_against(UNMAPD, [MAPD, mapti(1)]);
}

/// Mapped anew while the old one is in a list register: it leaves that, and the new one's message is not taken for it.
#[test]
fn discard_of_a_loaded_one_against_exit_and_entry() {
    explore(2, || {
        let d = mapped();
        message(&d);
        enter(&d, 0);
        assert_eq!(shown(&d, 0, LPI), [1]);
        forget_ipis(&d);
        let other = d.clone();
        let t = thread::spawn(move || trap(&other, 0));
        send(&d, 1, 0, &[DISCARD, mapti(1)]);
        message(&d);
        t.join().unwrap();
        assert_eq!(seen(&d), once_at(1));
    });
}

/// Two ITSes map the same LPI, and each may find that the other has it: one has it in the end, with nothing left of the other's event.
#[test]
fn two_itses_map_one_lpi() {
    explore(3, || {
        let d = domain(2);
        let other = d.clone();
        let t = thread::spawn(move || send(&other, 0, 0, &[mapti(0)]));
        send(&d, 1, 1, &[mapti(1)]);
        t.join().unwrap();
        // Only the event of one is mapped, and it goes where that one says.
        let by = [0, 1].map(|n| {
            send(&d, n, n, &[INT]);
            let got = seen(&d);
            let taken = [0, 1].map(|v| got[v] == [1]);
            (0..2).filter(|v| taken[*v]).for_each(|v| {
                guest(&d, v, LPI, 1, 0);
                trap(&d, v);
            });
            assert_eq!(seen(&d), NOTHING);
            taken
        });
        assert!(
            by == [[true, false], [false; 2]] || by == [[false; 2], [false, true]],
            "{by:?}"
        );
    });
}

// -------------------------------------------------------------------- moving

/// A message is delivered once, and to the new target: whether it arrives before, after, or while the old one enters
/// the guest or leaves it.
fn a_message_against_moving(moving: Command) {
    explore(3, move || {
        let d = mapped();
        let (other, runs) = (d.clone(), d.clone());
        let t = thread::spawn(move || message(&other));
        let u = thread::spawn(move || enter(&runs, 0));
        send(&d, 1, 0, &[moving]);
        t.join().unwrap();
        u.join().unwrap();
        assert_eq!(seen(&d), once_at(1));
    });
}

/// The same with the old target switched off: nobody but the two can see to what is in its inbox, or on its way there.
fn a_message_against_moving_away(moving: Command) {
    explore(4, move || {
        let d = mapped();
        let other = d.clone();
        let t = thread::spawn(move || message(&other));
        send(&d, 1, 0, &[moving]);
        t.join().unwrap();
        enter(&d, 1);
        settle(&d, 1);
        assert_eq!(shown(&d, 1, LPI), [1], "left with the one that is off");
    });
}

#[test]
fn a_message_against_movi_with_the_old_target_switched_off() {
    a_message_against_moving_away(movi(1));
}

#[test]
fn a_message_against_mapc_with_the_old_target_switched_off() {
    a_message_against_moving_away(mapc(0, 1));
}

#[test]
fn a_message_against_movi() {
    a_message_against_moving(movi(1));
}

#[test]
fn a_message_against_mapc() {
    a_message_against_moving(mapc(0, 1));
}

/// The LPI's message was moved to vCPU 1 by MOVALL, and that one's guest has taken it; its collection still goes to vCPU 0.
fn moved_and_taken() -> Arc<Vgic> {
    let d = mapped();
    message(&d);
    send(&d, 1, 0, &[movall(0, 1)]);
    enter(&d, 1);
    guest(&d, 1, LPI, 1, 0);
    d
}

/// MOVALL moves what is pending: one that arrives after it stays where its collection goes. Once, in either case, also where one was
/// moved before and the word still says so.
#[test]
fn a_message_against_movall() {
    explore(3, || {
        let d = mapped();
        let (other, runs) = (d.clone(), d.clone());
        let t = thread::spawn(move || message(&other));
        let u = thread::spawn(move || enter(&runs, 0));
        send(&d, 1, 0, &[movall(0, 1)]);
        t.join().unwrap();
        u.join().unwrap();
        let got = seen(&d);
        assert!([0, 1].map(once_at).contains(&got), "{got:?}");
    });
}

/// The word still says where the last one was moved to when the collection goes there, too: the next message finds the way.
#[test]
fn a_message_after_movall_against_mapc() {
    explore(4, || {
        let d = moved_and_taken();
        trap(&d, 1);
        forget_ipis(&d);
        let other = d.clone();
        let t = thread::spawn(move || message(&other));
        send(&d, 1, 0, &[mapc(0, 1)]);
        t.join().unwrap();
        assert_eq!(seen(&d), once_at(1));
    });
}

/// One more has come since it was taken where MOVALL has moved it. It leaves that vCPU's guest for where its collection goes, which
/// changes meanwhile: to where the word already has it, or on from there.
#[test]
fn what_movall_has_moved_is_left_against_mapc() {
    explore(3, || {
        let d = moved_and_taken();
        message(&d);
        forget_ipis(&d);
        let other = d.clone();
        let t = thread::spawn(move || trap(&other, 1));
        send(&d, 0, 0, &[mapc(0, 1)]);
        t.join().unwrap();
        assert_eq!(seen(&d), once_at(1));
    });
}

/// The old target has taken it when it is moved: it is not delivered to the new one again.
#[test]
fn movi_against_the_guest_that_has_taken_it() {
    explore(3, || {
        let d = taken();
        let other = d.clone();
        let t = thread::spawn(move || send(&other, 1, 0, &[movi(1)]));
        trap(&d, 0);
        t.join().unwrap();
        assert_eq!(seen(&d), NOTHING);
    });
}

/// The same, and the next message comes as soon as the old target has left the guest: delivered once.
#[test]
fn movi_against_an_exit_and_the_next_message() {
    explore(3, || {
        let d = taken();
        let other = d.clone();
        let t = thread::spawn(move || {
            exit(&other, 0);
            message(&other);
        });
        send(&d, 1, 0, &[movi(1)]);
        t.join().unwrap();
        assert_eq!(seen(&d), once_at(1));
    });
}

/// The new target blocks just then: it is woken.
#[test]
fn movi_of_a_pending_one_against_blocking() {
    explore(4, || {
        let d = mapped();
        message(&d);
        enter(&d, 0);
        enter(&d, 1);
        exit(&d, 1);
        forget_ipis(&d);
        let other = d.clone();
        let t = thread::spawn(move || {
            send(&other, 0, 0, &[movi(1)]);
            // The old target ran: its exit hands the LPI over.
            trap(&other, 0);
        });
        let sleeps = block(&d, 1);
        t.join().unwrap();
        settle(&d, 0);
        assert!(!sleeps || is_woken(&d, 1), "nobody wakes it");
        assert_eq!(seen(&d), once_at(1));
    });
}

// -------------------------------------------------------------------- configuration

/// Enabled by INV while its message arrives and its vCPU blocks: it is delivered, and the vCPU woken for it.
#[test]
fn a_message_against_inv_that_enables() {
    explore(3, || {
        let d = mapped();
        configure(&d, false);
        send(&d, 1, 0, &[INV]);
        enter(&d, 0);
        exit(&d, 0);
        forget_ipis(&d);
        configure(&d, true);
        let (a, b) = (d.clone(), d.clone());
        let t = thread::spawn(move || message(&a));
        let u = thread::spawn(move || send(&b, 1, 0, &[INV]));
        let sleeps = block(&d, 0);
        t.join().unwrap();
        u.join().unwrap();
        assert!(!sleeps || is_woken(&d, 0), "nobody wakes it");
        assert_eq!(seen(&d), once_at(0));
    });
}

/// Disabled while its message arrives: it is not signalled, and not lost.
#[test]
fn a_message_against_inv_that_disables() {
    explore(2, || {
        let d = mapped();
        configure(&d, false);
        let (a, b) = (d.clone(), d.clone());
        let t = thread::spawn(move || message(&a));
        let u = thread::spawn(move || send(&b, 1, 0, &[INV]));
        enter(&d, 0);
        t.join().unwrap();
        u.join().unwrap();
        assert_eq!(seen(&d), NOTHING, "disabled");
        configure(&d, true);
        send(&d, 1, 0, &[INV]);
        assert_eq!(seen(&d), once_at(0), "lost");
    });
}

/// The table is read by two at once, by an ITS and by the redistributor: what was written before the last of them began is
/// what stands.
#[test]
fn invall_against_invlpir() {
    explore(3, || {
        let d = mapped();
        configure(&d, false);
        let other = d.clone();
        let t = thread::spawn(move || {
            configure(&other, true);
            redist(&other, 0, gicr::INVLPIR, LPI.into());
        });
        send(&d, 1, 0, &[invall(0)]);
        t.join().unwrap();
        message(&d);
        assert_eq!(seen(&d), once_at(0), "an older table stands");
    });
}

// -------------------------------------------------------------------- the queue

/// One waits for its commands by reading CREADR, as Linux does, while another adds some: whoever works for the ITS, none are left when
/// the second's store is done.
#[test]
fn a_reader_of_creadr_against_a_writer_of_cwriter() {
    explore(3, || {
        let d = mapped();
        let other = d.clone();
        let t = thread::spawn(move || creadr(&other));
        send(&d, 1, 0, &[INT]);
        let read = creadr(&d);
        t.join().unwrap();
        assert_eq!(
            read,
            d.its_read(vcpu(&d, 1), 0, gits::CWRITER, Width::Double)
        );
        assert_eq!(seen(&d), once_at(0));
    });
}

fn creadr(d: &Vgic) -> u64 {
    d.its_read(vcpu(d, 0), 0, gits::CREADR, Width::Double)
}
