// SPDX-License-Identifier: GPL-2.0-only
//! A bare-metal arm64 guest that tests the interrupt controller it is given: GICv2, GICv3, or rVIC and rVID.
//!
//! It knows nothing of who made that controller: it runs as a domain on Xen and on an emulated board without any
//! hypervisor, and what it expects is what the architecture says (IHI 0048B for GICv2, IHI 0069 for GICv3, DEN 0102 alpha 0.3 for rVIC).
//!
//! The MMU stays off: every access is made in order, which keeps the cases readable, and no exclusive access is used.
#![no_std]
#![no_main]

mod boot;
mod cases;
mod console;
mod cpu;
mod exception;
mod fdt;
mod figures;
mod gic;
mod its;
mod latency;
mod messages;
mod mmio;
mod outcome;
mod psci;
mod rvic;
mod second;
mod state;
mod timer;

use crate::console::println;
use crate::fdt::Machine;
use crate::outcome::Tally;

/// Where CPU 0 goes once it can run Rust; `fdt` is the address of the device tree.
pub extern "C" fn primary(fdt: usize) -> ! {
    exception::install();
    // SAFETY: the boot protocol puts the device tree there.
    let machine = unsafe { Machine::read(fdt) };
    console::init(machine.console.unwrap_or(0x2200_0000));
    println!("guest: a test of the interrupt controller");
    if machine.rvic.is_some() {
        let (passed, failed) = rvic::report(&machine, fdt);
        println!("guest: {passed} passed, {failed} failed");
        if machine.resets().is_some() {
            psci::system_reset()
        }
        psci::system_off()
    }
    match gic::discover(&machine) {
        Ok(version) => println!("guest: {version}, {} interrupts", gic::lines()),
        Err(why) => {
            println!("FAIL setup: {why}");
            println!("guest: 0 passed, 1 failed");
            psci::system_off()
        }
    }
    its::discover(&machine);
    gic::v2m::discover(&machine);
    if let Some((kind, count)) = machine.figure() {
        rvic::uart::init(machine.console.unwrap_or(0x2200_0000));
        let (passed, failed) = figures::report(&machine, kind, count);
        println!("guest: {passed} passed, {failed} failed");
        psci::system_off()
    }
    if let Some(count) = machine.latency() {
        let (passed, failed) = latency::report(count);
        println!("guest: {passed} passed, {failed} failed");
        psci::system_off()
    }
    if machine.copies().is_some() || machine.resets().is_some() {
        state::announce(boot::address(), fdt);
    }
    if machine.copies().is_some() {
        let (passed, failed) = state::report(&machine);
        println!("guest: {passed} passed, {failed} failed");
        psci::system_off()
    }
    if machine.resets().is_some() {
        state::is_ready();
    }
    if machine.messages().is_some() {
        let (passed, failed) = messages::report(&machine);
        println!("guest: {passed} passed, {failed} failed");
        psci::system_off()
    }
    let mut tally = Tally::default();
    tally.count("second_cpu_on", second::bring_up(machine.cpus[1]));
    for case in cases::ALL.iter().flat_map(|group| group.iter()) {
        if case.version.is_none_or(|v| v == gic::version()) && machine.asks_for(case.name) {
            tally.count(case.name, cases::run(case));
        }
    }
    let (passed, failed) = tally.result();
    println!("guest: {passed} passed, {failed} failed");
    if machine.resets().is_some() {
        psci::system_reset()
    }
    psci::system_off()
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    println!("FAIL panic: {}", info.message());
    println!("guest: 0 passed, 1 failed");
    psci::system_off()
}
