// SPDX-License-Identifier: GPL-2.0-only
//! Plays operations on the mock Xen, step by step on one thread, and says what is seen of each.

mod player;

pub use player::Seen;
pub(crate) use player::pick;

use crate::guests::guest::GuestCpu;
use crate::machine::profile::Profile;
use crate::notes;
use crate::xen::abi;
use crate::xen::domain::{Config, Domain};
use crate::xen::host::Machine;
use crate::xen::peer;
use crate::xen::vcpu::Vcpu;
use crate::xen::vtimer::{CNT_ENABLE, CNT_MASK};
use anyhow::{Result, bail};
use player::{Player, address, done, loaded, set, sysreg};
use recording::driver::FIRST_ESPI;
use recording::script::Timer;
use recording::{Head, Op};
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::machine::cpuif::Group;

/// A domain on a machine that operations are played on.
pub struct Stage {
    vcpus: Vec<Player>,
    domain: Domain,
    head: Head,
    /// A physical CPU that no vCPU is on, to migrate to.
    spare: usize,
    /// The virtual timer's line was last lowered by IMASK.
    masks: bool,
    /// Lines of the host's that are high.
    high: BTreeSet<u32>,
    espis: u32,
}

impl Stage {
    /// A machine and a domain as the head says. vCPUs start when they are first played.
    ///
    /// # Errors
    /// If the mock has no such machine, or the vGIC refuses the domain.
    pub fn new(head: &Head) -> Result<Self> {
        Self::on_machine(machine(head), head, 0)
    }

    /// The same on a machine of this kind, which gets as many CPUs as are needed, and with so many extended SPIs.
    ///
    /// # Errors
    /// If the vGIC refuses the domain.
    pub fn on_machine(profile: Profile, head: &Head, espis: u32) -> Result<Self> {
        let vcpus = usize::from(head.vcpus);
        let room: u64 = profile.regions.iter().map(|r| r.redistributors).sum();
        if head.gic == 3 && vcpus as u64 > room {
            bail!(
                "{vcpus} vCPUs: {} has room for {room} redistributors",
                profile.name
            );
        }
        // One more for migration, and one for devices.
        let machine = Machine::power_on(profile.with_cpus(vcpus + 2).forgiving());
        let config = Config {
            spis: head.spis.into(),
            ..Config::dom0(head.gic, vcpus)
        };
        let config = match espis {
            0 => config,
            n => config.with_espis(n),
        };
        if let Some(why) = machine.take_reports().first() {
            bail!("{why}");
        }
        let Ok(domain) = Domain::with_vcpus(&machine, config) else {
            machine.take_reports();
            let (vgic, gic) = (peer::called(), head.gic);
            if abi::max_vcpus(gic.into()) == 0 {
                bail!("{vgic} has no GICv{gic} for guests here");
            }
            bail!(
                "the vGIC ({vgic}) refuses to create a domain with {vcpus} vCPUs and {} SPIs",
                head.spis
            );
        };
        for line in &head.hardware {
            if domain.route(line.intid, line.intid, line.level).is_err() {
                bail!(
                    "the vGIC refuses to connect the physical interrupt {}",
                    line.intid
                );
            }
        }
        Ok(Self {
            vcpus: (0..vcpus).map(|_| Player::default()).collect(),
            domain,
            head: head.clone(),
            spare: vcpus,
            masks: true,
            high: BTreeSet::new(),
            espis,
        })
    }

    /// The domain stays where it is, and is saved, reset and restored.
    ///
    /// # Errors
    /// What went wrong.
    pub fn copied(&mut self) -> Result<()> {
        for player in &mut self.vcpus {
            player.cpu.iter_mut().for_each(GuestCpu::preempt);
        }
        let stream = match self.domain.save() {
            Ok(stream) => stream,
            Err(errno) => bail!("it cannot be saved: {errno:?}"),
        };
        if self.domain.restore_again(&stream).is_err() {
            bail!("it is refused: {}", self.machine().take_console());
        }
        for player in self.vcpus.iter_mut().filter(|p| !p.preempted) {
            if let Some(cpu) = &mut player.cpu {
                cpu.try_wake();
            }
        }
        self.settle();
        Ok(())
    }

    /// The domain goes to a new machine: it is saved there, and a new one is restored here. What the machine before reports is an
    /// error, and so is a refusal.
    ///
    /// # Errors
    /// What went wrong, and where.
    pub fn moved_to(mut self, profile: Profile) -> Result<Self> {
        for player in &mut self.vcpus {
            player.cpu.iter_mut().for_each(GuestCpu::preempt);
        }
        self.settle();
        let count = self.vcpus.len();
        let kept: Vec<_> = (0..count).map(|n| self.domain.vcpu(n).kept()).collect();
        let stream = match self.domain.save() {
            Ok(stream) => stream,
            Err(errno) => bail!("it cannot be saved: {errno:?}"),
        };
        let (head, espis, masks) = (self.head.clone(), self.espis, self.masks);
        let high = std::mem::take(&mut self.high);
        let mut players = std::mem::take(&mut self.vcpus);
        let started: Vec<bool> = players.iter().map(|p| p.cpu.is_some()).collect();
        let ways = |p: &Player| p.cpu.as_ref().map(|cpu| (cpu.traps_win, cpu.aarch32));
        let ways: Vec<_> = players.iter().map(ways).collect();
        players.iter_mut().for_each(|p| p.cpu = None);
        let reports = self.end();
        if let Some(why) = reports.first() {
            bail!("{why}");
        }
        let mut new = Self::on_machine(profile, &head, espis)?;
        new.masks = masks;
        for irq in &high {
            // As whoever connects it has set it up.
            new.machine().gic.set_level_sensitive(*irq as u16, true);
            new.machine().gic.set_line(*irq as u16, true);
        }
        new.high = high;
        for (n, kept) in kept.iter().enumerate() {
            new.domain.vcpu(n).keep(kept);
        }
        if new.domain.restore(&stream).is_err() {
            bail!("it is refused: {}", new.machine().take_console());
        }
        for (n, player) in players.iter_mut().enumerate() {
            if started[n] {
                let mut cpu = GuestCpu::parked(&new.domain, n);
                (cpu.traps_win, cpu.aarch32) = ways[n].unwrap_or_default();
                if !player.preempted {
                    cpu.try_wake();
                }
                player.cpu = Some(cpu);
            }
        }
        new.vcpus = players;
        new.settle();
        Ok(new)
    }

    /// Destroys the domain; what would have been a crash, a hang or a failed assertion of Xen from the beginning to here.
    pub fn end(self) -> Vec<String> {
        let machine = Arc::clone(self.machine());
        drop(self);
        machine.take_reports()
    }

    /// All vCPUs are taken off their CPUs, all lines are lowered, and the vGIC is reset. vCPUs start anew when they are next played.
    pub fn reset(&mut self) {
        self.vcpus
            .iter_mut()
            .for_each(|player| *player = Player::default());
        self.masks = true;
        let spis = 32..32 + u32::from(self.head.spis);
        for intid in spis.chain(FIRST_ESPI..FIRST_ESPI + self.espis) {
            self.line(intid, false);
        }
        for vcpu in 0..self.vcpus.len() {
            let v = self.domain.vcpu(vcpu);
            v.program_vtimer();
            v.take_upcall();
            self.device(|| v.program_ptimer(false));
            for ppi in 16..32 {
                if ppi != Vcpu::VTIMER {
                    self.device(|| self.domain.inject_private(&v, ppi, false));
                }
            }
        }
        self.settle();
        if let Err(errno) = self.domain.reset(None) {
            self.machine().report(format!("no reset: {errno:?}"));
        }
        self.domain.restart_vcpus();
    }

    /// The machine.
    pub fn machine(&self) -> &Arc<Machine> {
        &self.domain.machine
    }

    /// The domain.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Plays an operation that the head allows.
    pub fn play(&mut self, op: &Op) -> Seen {
        notes::operation(op);
        if let Op::Wait { vcpu } | Op::Off { vcpu } | Op::Preempt { vcpu } | Op::Migrate { vcpu } =
            *op
        {
            self.unmask(vcpu);
        }
        let seen = match *op {
            Op::Line { intid, level } => self.line(intid, level),
            Op::PrivateLine { vcpu, intid, level } => self.private_line(vcpu, intid, level),
            Op::Preempt { vcpu } => self.preempt(vcpu),
            Op::Resume { vcpu } => self.resume(vcpu),
            Op::Migrate { vcpu } => self.migrate(vcpu),
            Op::On { vcpu } => self.on(vcpu),
            _ => self.execute(op),
        };
        self.settle();
        seen
    }

    /// Physical CPUs that nobody executes on take their interrupts, too.
    pub fn settle(&self) {
        self.machine().settle();
    }

    /// What the guest of a vCPU does itself.
    fn execute(&mut self, op: &Op) -> Seen {
        let Some(player) = op.vcpu().and_then(|v| self.running(v)) else {
            return Seen::Away;
        };
        let Some(cpu) = &mut player.cpu else {
            return Seen::Away;
        };
        match *op {
            Op::Write {
                register,
                size,
                value,
                ..
            } => match address(cpu, register) {
                Some(address) => done(cpu.store(address, size, value)),
                None => Seen::Aborted,
            },
            Op::Read { register, size, .. } => match address(cpu, register) {
                Some(address) => loaded(cpu.load(address, size), size),
                None => Seen::Aborted,
            },
            Op::Sysreg {
                register, value, ..
            } => sysreg(cpu, register, value),
            Op::Ack { .. } => player.ack(None),
            Op::Eoi { intid, .. } => player.eoi(None, intid),
            Op::Dir { intid, .. } => player.dir(intid),
            Op::Set { field, value, .. } => set(cpu, field, value),
            Op::Signal { .. } => Seen::Signal(cpu.signalled()),
            Op::Exit { .. } => {
                cpu.hypercall(|| {});
                Seen::Done
            }
            Op::Wait { .. } => {
                cpu.wfi();
                Seen::Done
            }
            Op::Off { .. } => {
                cpu.psci_off();
                player.active.clear();
                player.dropped.clear();
                Seen::Done
            }
            Op::Line { .. }
            | Op::PrivateLine { .. }
            | Op::Preempt { .. }
            | Op::Resume { .. }
            | Op::Migrate { .. }
            | Op::On { .. } => Seen::Done,
        }
    }

    fn player(&mut self, vcpu: u8) -> &mut Player {
        let player = &mut self.vcpus[usize::from(vcpu)];
        let domain = &self.domain;
        player
            .cpu
            .get_or_insert_with(|| GuestCpu::start(domain, vcpu.into()));
        player
    }

    /// The vCPU, if its guest can execute something now.
    fn running(&mut self, vcpu: u8) -> Option<&mut Player> {
        let player = self.player(vcpu);
        let awake = !player.preempted && player.cpu.as_mut()?.try_wake();
        awake.then_some(player)
    }

    // ------------------------------------------------------------------ from outside

    fn device(&self, f: impl FnOnce()) {
        let machine = self.machine();
        machine.hypervisor(machine.pcpus().len() - 1, f);
    }

    fn line(&mut self, intid: u32, level: bool) -> Seen {
        let gic = &self.machine().gic;
        match (self.head.hardware_line(intid), level) {
            (Some(line), _) if line.level => {
                gic.set_line(intid as u16, level);
                if level {
                    self.high.insert(intid);
                } else {
                    self.high.remove(&intid);
                }
            }
            (Some(_), true) => gic.pulse(intid as u16),
            (Some(_), false) => {}
            (None, _) => self.device(|| self.domain.inject(intid, level)),
        }
        Seen::Done
    }

    /// Sources that Xen looks at on every exit are states of the mock's; others are injected.
    fn private_line(&mut self, vcpu: u8, intid: u32, level: bool) -> Seen {
        self.player(vcpu);
        let v = self.domain.vcpu(vcpu.into());
        match (intid, level) {
            // With Xen's C vGICs, IMASK is Xen's.
            (Vcpu::VTIMER, true) => {
                if peer::is_ours() {
                    v.timer.write(CNT_ENABLE);
                }
                v.expire_vtimer(self.machine());
            }
            // In turns by the comparator and by IMASK: the line is the same.
            (Vcpu::VTIMER, false) => {
                self.masks = !self.masks;
                if self.masks && v.timer.is_loaded() && peer::is_ours() {
                    v.timer.write(CNT_ENABLE | CNT_MASK);
                } else {
                    v.program_vtimer();
                }
            }
            (Vcpu::PTIMER, true) => self.device(|| {
                v.program_ptimer(true);
                v.expire_ptimer();
            }),
            (Vcpu::PTIMER, false) => self.device(|| v.program_ptimer(false)),
            (Vcpu::EVTCHN, true) => self.device(|| v.send_event()),
            (Vcpu::EVTCHN, false) => drop(v.take_upcall()),
            _ => self.device(|| self.domain.inject_private(&v, intid, level)),
        }
        Seen::Done
    }

    /// What is masked has no time that comes: the guest sets its timer before it goes.
    fn unmask(&mut self, vcpu: u8) {
        let v = self.domain.vcpu(vcpu.into());
        if peer::is_ours() && v.timer.is_loaded() && v.timer.read() & CNT_MASK != 0 {
            v.program_vtimer();
        }
    }

    // ------------------------------------------------------------------ the scheduler and PSCI

    fn preempt(&mut self, vcpu: u8) -> Seen {
        let player = self.player(vcpu);
        player.preempted = true;
        player.cpu.iter_mut().for_each(GuestCpu::preempt);
        Seen::Done
    }

    fn resume(&mut self, vcpu: u8) -> Seen {
        let player = self.player(vcpu);
        player.preempted = false;
        if let Some(cpu) = &mut player.cpu {
            cpu.try_wake();
        }
        Seen::Done
    }

    fn migrate(&mut self, vcpu: u8) -> Seen {
        let to = self.spare;
        let mut from = to;
        if let Some(cpu) = &mut self.player(vcpu).cpu {
            from = cpu.cpu();
            cpu.migrate(to);
        }
        self.spare = from;
        Seen::Done
    }

    /// `CPU_ON` by any vCPU that runs. One that never ran starts; one that is on stays so.
    fn on(&mut self, vcpu: u8) -> Seen {
        self.player(vcpu);
        if !self.domain.vcpu(vcpu.into()).is_down() {
            return Seen::Done;
        }
        let sender = (0..self.head.vcpus).find(|&v| v != vcpu && self.running(v).is_some());
        let pair = sender.map(|v| [usize::from(vcpu), usize::from(v)]);
        match pair.map(|pair| self.vcpus.get_disjoint_mut(pair)) {
            Some(Ok(
                [
                    Player {
                        cpu: Some(target), ..
                    },
                    Player {
                        cpu: Some(sender), ..
                    },
                ],
            )) => {
                sender.psci_on(target);
                Seen::Done
            }
            _ => Seen::Away,
        }
    }

    // ------------------------------------------------------------------ for scripts

    /// The virtual timer of a vCPU, whose guest may be the one to change it.
    pub fn timer(&mut self, vcpu: u8, how: Timer) -> Seen {
        self.player(vcpu);
        let v = self.domain.vcpu(vcpu.into());
        let seen = if how == Timer::Expire {
            v.expire_vtimer(self.machine());
            Seen::Done
        } else if self.running(vcpu).is_none() {
            return Seen::Away;
        } else {
            match how {
                Timer::Control(_) => Seen::Value(v.timer.read()),
                Timer::Mask(on) => {
                    v.timer.write(CNT_ENABLE | if on { CNT_MASK } else { 0 });
                    Seen::Done
                }
                Timer::Expire | Timer::Rearm => {
                    v.timer.set_expired(false);
                    Seen::Done
                }
            }
        };
        self.settle();
        seen
    }

    /// From now on, when an interrupt and a trap come at once, the trap is taken first. Either is right.
    pub fn let_traps_win(&mut self) {
        for vcpu in 0..self.head.vcpus {
            if let Some(cpu) = &mut self.player(vcpu).cpu {
                cpu.traps_win = true;
            }
        }
    }

    /// Why the guest of a vCPU can execute nothing now, and what ends that.
    pub fn away(&mut self, vcpu: u8) -> Option<String> {
        if self.running(vcpu).is_some() {
            return None;
        }
        let v = self.domain.vcpu(vcpu.into());
        Some(if v.is_down() {
            format!("vCPU {vcpu} is off: `on {vcpu}` is missing")
        } else if self.player(vcpu).preempted {
            format!("vCPU {vcpu} is preempted: `resume {vcpu}` is missing")
        } else {
            format!("vCPU {vcpu} waits, and no interrupt has woken it")
        })
    }

    /// A vCPU, if its guest can execute something now, and its domain.
    pub fn cpu(&mut self, vcpu: u8) -> Option<(&GuestCpu, &Domain)> {
        self.running(vcpu)?;
        Some((self.vcpus[usize::from(vcpu)].cpu.as_ref()?, &self.domain))
    }

    /// Acknowledges by the registers of a group.
    pub fn ack_by(&mut self, vcpu: u8, group: Group) -> Seen {
        self.running(vcpu)
            .map_or(Seen::Away, |p| p.ack(Some(group)))
    }

    /// Ends an interrupt by the registers of a group.
    pub fn eoi_by(&mut self, vcpu: u8, group: Group, intid: Option<u32>) -> Seen {
        let player = self.running(vcpu);
        player.map_or(Seen::Away, |p| p.eoi(Some(group), intid))
    }

    /// Of several interrupts of the highest priority, the vCPU is to take this one.
    pub fn prefer(&mut self, vcpu: u8, intid: u32) {
        if let Some(cpu) = &self.player(vcpu).cpu {
            cpu.interface(|i| i.preferred = Some(intid));
        }
    }

    /// What a vCPU has acknowledged and not ended, innermost last.
    pub fn active(&self, vcpu: u8) -> &[u32] {
        &self.vcpus[usize::from(vcpu)].active
    }

    /// What it has ended with EOImode 1 and not deactivated.
    pub fn dropped(&self, vcpu: u8) -> &[u32] {
        &self.vcpus[usize::from(vcpu)].dropped
    }
}

/// A small machine with what a head says.
fn machine(head: &Head) -> Profile {
    let base = if head.gic == 2 {
        Profile::GICV2
    } else {
        Profile::GICV3
    };
    Profile {
        lrs: head.lrs.into(),
        spis: usize::from(head.spis).max(32),
        // A write of ICC_CTLR_EL1 that changes nothing is in no recording, and without TDS the next ones would trap.
        tds: head.gic == 3,
        ..base
    }
}
