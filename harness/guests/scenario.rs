// SPDX-License-Identifier: GPL-2.0-only
//! A short scripted guest: brings its GIC up as Linux does, then lives on timer ticks, device interrupts and SGIs, with a
//! thread per vCPU. Whoever raises an interrupt counts it, and so does whoever handles it.

use crate::guests::guest::GuestCpu;
use crate::guests::linux;
use crate::machine::profile::Profile;
use crate::xen::domain::{Config, Domain, Errno};
use crate::xen::flaws;
use crate::xen::host::Machine;
use crate::xen::vcpu::Vcpu;
use std::fmt;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// An emulated device, edge-triggered.
pub const EDGE: u32 = 40;
/// An emulated device, level-sensitive.
pub const LEVEL: u32 = 41;
/// A physical device, level-sensitive.
pub const HW_LEVEL: u32 = 42;
/// A physical device, edge-triggered.
pub const HW_EDGE: u32 = 43;
/// The SGI that goes round.
const SGI: u32 = 3;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub profile: Profile,
    /// The guest's; one that the machine can have.
    pub gic: u8,
    pub cpus: usize,
    pub rounds: u64,
}

/// An interrupt source: raised and handled so many times.
#[derive(Debug, Default)]
struct Source {
    raised: AtomicU64,
    handled: AtomicU64,
    /// Handled without a reason: the device had nothing.
    spurious: AtomicU64,
    /// The device wants to be served.
    wants: AtomicBool,
}

impl Source {
    fn raise(&self) {
        self.raised.fetch_add(1, Ordering::SeqCst);
        self.wants.store(true, Ordering::SeqCst);
    }

    fn handle(&self) {
        if self.wants.swap(false, Ordering::SeqCst) {
            self.handled.fetch_add(1, Ordering::SeqCst);
        } else {
            self.spurious.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn line(&self, name: impl Into<String>) -> Line {
        Line {
            name: name.into(),
            raised: self.raised.load(Ordering::SeqCst),
            handled: self.handled.load(Ordering::SeqCst),
            spurious: self.spurious.load(Ordering::SeqCst),
        }
    }
}

/// One line of the summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub name: String,
    pub raised: u64,
    pub handled: u64,
    pub spurious: u64,
}

impl Line {
    /// Everything that was raised was handled once, and nothing else was.
    pub fn is_exact(&self) -> bool {
        self.raised == self.handled && self.spurious == 0
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub struct Summary {
    pub options: Options,
    pub interrupts: u32,
    pub lines: Vec<Line>,
    pub exits: u64,
    pub ipis: u64,
    pub maintenance: u64,
    pub list_register_reads: u64,
    pub list_register_writes: u64,
    pub elapsed: Duration,
    /// Whatever was wrong besides the counts.
    pub reports: Vec<String>,
}

impl Summary {
    pub fn is_ok(&self) -> bool {
        self.reports.is_empty() && self.lines.iter().all(Line::is_exact)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options {
            profile,
            gic,
            cpus,
            rounds,
        } = self.options;
        writeln!(
            f,
            "{}: a guest with a GICv{gic}, {cpus} vCPUs, {rounds} rounds",
            profile.about
        )?;
        writeln!(f, "its distributor says: {} interrupts", self.interrupts)?;
        writeln!(f)?;
        writeln!(
            f,
            "{:<34} {:>9} {:>9} {:>9}",
            "interrupt", "raised", "handled", "spurious"
        )?;
        for l in &self.lines {
            let mark = if l.is_exact() { "" } else { "  <-- wrong" };
            writeln!(
                f,
                "{:<34} {:>9} {:>9} {:>9}{mark}",
                l.name, l.raised, l.handled, l.spurious
            )?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "{} exits, {} IPIs, {} maintenance interrupts, list registers read {} and written {} times, {:.1} s",
            self.exits,
            self.ipis,
            self.maintenance,
            self.list_register_reads,
            self.list_register_writes,
            self.elapsed.as_secs_f64()
        )?;
        for report in &self.reports {
            writeln!(f, "wrong: {report}")?;
        }
        Ok(())
    }
}

/// Everything that the threads share.
struct Shared {
    ticks: Vec<Source>,
    spis: [(u32, Source); 4],
    sgi: Source,
    sgi_hops: u64,
    /// Where each shared interrupt is routed, for a look at the end.
    retargets: AtomicU32,
    stop: AtomicBool,
}

/// Runs the guest.
///
/// # Errors
/// If the domain cannot be created.
pub fn run(options: Options) -> Result<Summary, Errno> {
    let cpus = options.cpus;
    // One physical CPU more, for the devices.
    let machine = Machine::power_on(options.profile.with_cpus(cpus + 1).forgiving());
    let domain = Domain::with_vcpus(&machine, Config::dom0(options.gic, cpus))?;
    domain.route(HW_LEVEL, HW_LEVEL, true)?;
    domain.route(HW_EDGE, HW_EDGE, false)?;
    let shared = Shared {
        ticks: (0..cpus).map(|_| Source::default()).collect(),
        spis: [EDGE, LEVEL, HW_LEVEL, HW_EDGE].map(|intid| (intid, Source::default())),
        sgi: Source::default(),
        sgi_hops: options.rounds,
        retargets: AtomicU32::new(0),
        stop: AtomicBool::new(false),
    };
    let interrupts = AtomicU32::new(0);
    let ready = Barrier::new(cpus + 1);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for id in 0..cpus {
            let (domain, shared, ready, interrupts) = (&domain, &shared, &ready, &interrupts);
            scope.spawn(move || {
                let mut cpu = GuestCpu::start(domain, id);
                cpu.traps_win = id % 2 == 1;
                if id == 0 {
                    interrupts.store(linux::init_distributor(&cpu), Ordering::SeqCst);
                    set_up_devices(&cpu);
                }
                linux::init_cpu(&cpu);
                linux::enable(&cpu, Vcpu::VTIMER);
                ready.wait();
                let served = live(domain, &mut cpu, shared, options.rounds);
                if !served {
                    domain.machine.report(format!("vCPU {id} was never woken"));
                    stop(&domain.machine, shared);
                }
            });
        }
        ready.wait();
        devices(&domain, &shared, options);
        stop(&machine, &shared);
    });
    let mut lines: Vec<Line> = shared
        .ticks
        .iter()
        .enumerate()
        .map(|(n, s)| s.line(format!("timer, vCPU {n} (level PPI)")))
        .collect();
    let names = [
        "emulated, edge SPI",
        "emulated, level SPI",
        "physical, level SPI",
        "physical, edge SPI",
    ];
    lines.extend(
        shared
            .spis
            .iter()
            .zip(names)
            .map(|((n, s), name)| s.line(format!("{n}: {name}"))),
    );
    lines.push(shared.sgi.line("SGI, handed round"));
    drop(domain);
    let sum = |f: &dyn Fn(usize) -> u64| (0..=cpus).map(f).sum();
    use Ordering::Relaxed;
    Ok(Summary {
        options,
        interrupts: interrupts.load(Relaxed),
        lines,
        exits: sum(&|n| machine.pcpu(n).counters.exits.load(Relaxed)),
        ipis: sum(&|n| machine.pcpu(n).counters.ipis.load(Relaxed)),
        maintenance: sum(&|n| machine.pcpu(n).counters.maintenance.load(Relaxed)),
        list_register_reads: sum(&|n| machine.pcpu(n).interface().traffic.lr_reads),
        list_register_writes: sum(&|n| machine.pcpu(n).interface().traffic.lr_writes),
        elapsed: start.elapsed(),
        reports: machine.take_reports(),
    })
}

fn stop(machine: &Machine, shared: &Shared) {
    shared.stop.store(true, Ordering::SeqCst);
    (0..machine.pcpus().len()).for_each(|n| machine.ring(n));
}

fn set_up_devices(cpu: &GuestCpu) {
    for (intid, edge) in [
        (EDGE, true),
        (LEVEL, false),
        (HW_LEVEL, false),
        (HW_EDGE, true),
    ] {
        linux::set_trigger(cpu, intid, edge);
        linux::route(cpu, intid, 0);
        linux::enable(cpu, intid);
    }
}

/// A vCPU's life.
fn live(domain: &Domain, cpu: &mut GuestCpu, shared: &Shared, rounds: u64) -> bool {
    let id = cpu.vcpu.id;
    let machine = &domain.machine;
    let tick = |cpu: &GuestCpu| {
        if shared.ticks[id].raised.load(Ordering::SeqCst) < rounds {
            shared.ticks[id].raise();
            cpu.vcpu.expire_vtimer(machine);
        }
    };
    let pass_on = |cpu: &GuestCpu| {
        if shared.sgi.raised.load(Ordering::SeqCst) < shared.sgi_hops {
            shared.sgi.raise();
            linux::send_sgi(cpu, (id + 1) % domain.config.vcpus, SGI);
        }
    };
    tick(cpu);
    if id == 0 {
        pass_on(cpu);
    }
    cpu.serve(
        || shared.stop.load(Ordering::SeqCst),
        |cpu, iar| match linux::intid(cpu, iar) {
            Vcpu::VTIMER => {
                shared.ticks[id].handle();
                cpu.vcpu.program_vtimer();
                tick(cpu);
            }
            SGI => {
                shared.sgi.handle();
                pass_on(cpu);
            }
            intid => match shared.spis.iter().find(|(n, _)| *n == intid) {
                Some((_, source)) => serve_device(domain, cpu, shared, intid, source),
                None => machine.report(format!(
                    "vCPU {id} takes interrupt {intid}, which nobody raised"
                )),
            },
        },
    )
}

fn serve_device(domain: &Domain, cpu: &GuestCpu, shared: &Shared, intid: u32, source: &Source) {
    // The device's registers first: a level falls when it is served.
    match intid {
        LEVEL => cpu.hypercall(|| domain.inject(LEVEL, false)),
        HW_LEVEL => domain.machine.gic.set_line(HW_LEVEL as u16, false),
        _ => {}
    }
    // Now and then a balancer moves it to the next vCPU.
    let movable = !flaws::loses_moved_interrupts();
    if movable && source.handled.load(Ordering::SeqCst) % 16 == 15 {
        linux::route(cpu, intid, (cpu.vcpu.id + 1) % domain.config.vcpus);
        shared.retargets.fetch_add(1, Ordering::SeqCst);
    }
    source.handle();
}

/// The devices: each raises again when it has been served.
fn devices(domain: &Domain, shared: &Shared, options: Options) {
    let machine = &domain.machine;
    let mut patience = Instant::now() + crate::guests::guest::PATIENCE;
    let mut last = 0;
    loop {
        let mut busy = false;
        for (intid, source) in &shared.spis {
            let served =
                source.handled.load(Ordering::SeqCst) == source.raised.load(Ordering::SeqCst);
            busy |= !served;
            if served && source.raised.load(Ordering::SeqCst) < options.rounds {
                busy = true;
                source.raise();
                let irq = *intid as u16;
                match *intid {
                    HW_LEVEL => machine.gic.set_line(irq, true),
                    HW_EDGE => machine.gic.pulse(irq),
                    _ => machine.hypervisor(options.cpus, || domain.inject(*intid, true)),
                }
            }
        }
        let all = shared.ticks.iter().chain([&shared.sgi]);
        busy |= all
            .clone()
            .any(|s| s.handled.load(Ordering::SeqCst) < options.rounds);
        let done = all
            .chain(shared.spis.iter().map(|(_, s)| s))
            .map(|s| s.handled.load(Ordering::SeqCst))
            .sum();
        if done != last {
            last = done;
            patience = Instant::now() + crate::guests::guest::PATIENCE;
        }
        if !busy || shared.stop.load(Ordering::SeqCst) {
            return;
        }
        if Instant::now() > patience {
            machine.report("nothing has been handled for a long time");
            return;
        }
        std::thread::yield_now();
    }
}
