// SPDX-License-Identifier: GPL-2.0-only
//! rVIC and rVID by their description alone, as simply as can be: nothing of the code under test is used, not even its numbers.

/// One interrupt of a vCPU.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Interrupt {
    pub(super) pending: bool,
    pub(super) masked: bool,
    /// Of a trusted one: the level of its line.
    pub(super) line: bool,
}

/// A vCPU's.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Controller {
    pub(super) enabled: bool,
    pub(super) interrupts: Vec<Interrupt>,
    /// What can be delivered, in the order in which that became so.
    pub(super) queue: Vec<usize>,
}

impl Controller {
    /// The queue follows from the state, but for the order.
    fn settle(&mut self) {
        let all = &self.interrupts;
        let can = |n: &usize| self.enabled && all[*n].pending && !all[*n].masked;
        self.queue.retain(can);
        let missing = (0..all.len()).filter(can);
        let missing: Vec<usize> = missing.filter(|n| !self.queue.contains(n)).collect();
        self.queue.extend(missing);
    }

    fn signal(&mut self, n: usize) -> bool {
        if self.enabled {
            self.interrupts[n].pending = true;
            self.settle();
        }
        self.enabled
    }
}

/// An input.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Input {
    pub(super) target: Option<(usize, usize)>,
    pub(super) line: bool,
    pub(super) level: bool,
}

/// A domain's.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Model {
    pub(super) controllers: Vec<Controller>,
    pub(super) inputs: Vec<Input>,
    pub(super) trusted: usize,
    pub(super) features: Option<u64>,
    /// What the source of trusted interrupts says, where it can be asked.
    pub(super) source: Option<bool>,
}

const SUCCESS: u64 = 0;

impl Model {
    /// At reset, with so many trusted and untrusted interrupts; inputs, with whether they are levels.
    pub(super) fn new(
        vcpus: usize,
        trusted: usize,
        untrusted: usize,
        inputs: &[bool],
        features: Option<u64>,
    ) -> Self {
        let interrupt = Interrupt {
            pending: false,
            masked: true,
            line: false,
        };
        let controller = Controller {
            enabled: false,
            interrupts: vec![interrupt; trusted + untrusted],
            queue: Vec::new(),
        };
        let input = |level: &bool| Input {
            target: None,
            line: false,
            level: *level,
        };
        Self {
            controllers: vec![controller; vcpus],
            inputs: inputs.iter().map(input).collect(),
            trusted,
            features,
            source: None,
        }
    }

    /// The vCPU that an argument names: Aff0 counts to 16, and so does Aff1.
    fn vcpu(&self, mpidr: u64) -> Option<usize> {
        let numbers = 0..self.controllers.len();
        let named = |n: &usize| (n % 16 + n / 16 * 256) as u64 == mpidr;
        numbers.into_iter().find(named)
    }

    /// The IRQ line of a vCPU.
    pub(super) fn line(&self, vcpu: usize) -> bool {
        !self.controllers[vcpu].queue.is_empty()
    }

    pub(super) fn inject_private(&mut self, vcpu: usize, intid: usize, level: bool) {
        let before = self.controllers[vcpu].interrupts[intid].line;
        self.controllers[vcpu].interrupts[intid].line = level;
        if level && !before {
            self.controllers[vcpu].signal(intid);
        }
    }

    /// Whether it became pending.
    pub(super) fn inject_input(&mut self, input: usize, level: bool) -> bool {
        let was = self.inputs[input];
        if was.level {
            self.inputs[input].line = level;
        }
        level && !(was.level && was.line) && self.arrive(input)
    }

    fn arrive(&mut self, input: usize) -> bool {
        let target = self.inputs[input].target;
        target.is_some_and(|(vcpu, intid)| self.controllers[vcpu].signal(intid))
    }

    fn resample(&mut self, vcpu: usize, intid: usize) {
        let place = &mut self.controllers[vcpu].interrupts[intid].line;
        *place = self.source.unwrap_or(*place);
        if *place {
            self.controllers[vcpu].signal(intid);
        }
    }

    pub(super) fn cpu_off(&mut self, vcpu: usize) {
        self.controllers[vcpu].enabled = false;
        self.controllers[vcpu].settle();
    }

    pub(super) fn cpu_on(&mut self, vcpu: usize) {
        let controller = &mut self.controllers[vcpu];
        controller.enabled = false;
        for interrupt in &mut controller.interrupts {
            interrupt.pending = false;
            interrupt.masked = true;
        }
        controller.settle();
    }

    /// A call of `own`: x0 and x1.
    pub(super) fn call(&mut self, own: usize, function: u64, args: [u64; 3]) -> (u64, u64) {
        let parameter = |index: u64| (index << 8 | 1, 0);
        let total = self.controllers[0].interrupts.len() as u64;
        match function {
            0xc500_0200 | 0xc500_0100 => (SUCCESS, 3),
            0xc500_0201 => match args[0] {
                0 => (SUCCESS, self.trusted as u64),
                1 => (SUCCESS, total - self.trusted as u64),
                _ => parameter(0),
            },
            0xc500_0202 => {
                self.controllers[own].enabled = true;
                self.controllers[own].settle();
                for n in 0..self.trusted {
                    if self.controllers[own].interrupts[n].line {
                        self.resample(own, n);
                    }
                }
                for n in 0..self.inputs.len() {
                    let input = self.inputs[n];
                    if input.line && input.target.is_some_and(|(vcpu, _)| vcpu == own) {
                        self.arrive(n);
                    }
                }
                (SUCCESS, 0)
            }
            0xc500_0203 => {
                self.controllers[own].enabled = false;
                self.controllers[own].settle();
                (SUCCESS, 0)
            }
            0xc500_0204..=0xc500_0208 => {
                let Some(vcpu) = self.vcpu(args[0]) else {
                    return (2, 0);
                };
                if args[1] >= total {
                    return parameter(1);
                }
                let n = args[1] as usize;
                let controller = &mut self.controllers[vcpu];
                let interrupt = &mut controller.interrupts[n];
                let mut value = 0;
                match function {
                    0xc500_0204 => interrupt.masked = true,
                    0xc500_0205 => interrupt.masked = false,
                    0xc500_0206 => value = interrupt.pending.into(),
                    0xc500_0207 if !controller.enabled => return (3, 0),
                    0xc500_0207 => interrupt.pending = true,
                    _ => interrupt.pending = false,
                }
                controller.settle();
                (SUCCESS, value)
            }
            0xc500_0209 => {
                let controller = &mut self.controllers[own];
                if !controller.enabled {
                    return (3, 0);
                }
                let Some(first) = controller.queue.first().copied() else {
                    return (4, 0);
                };
                controller.interrupts[first].pending = false;
                controller.interrupts[first].masked = true;
                controller.settle();
                (SUCCESS, first as u64)
            }
            0xc500_020a if args[0] < self.trusted as u64 => {
                self.resample(own, args[0] as usize);
                (SUCCESS, 0)
            }
            0xc500_020a => parameter(0),
            0xc500_0101 | 0xc500_0102 if args[0] >= self.inputs.len() as u64 => parameter(0),
            0xc500_0101 => {
                let Some(vcpu) = self.vcpu(args[1]) else {
                    return parameter(1);
                };
                if args[2] < self.trusted as u64 || args[2] >= total {
                    return parameter(2);
                }
                let input = args[0] as usize;
                self.inputs[input].target = Some((vcpu, args[2] as usize));
                if self.inputs[input].line {
                    self.arrive(input);
                }
                (SUCCESS, 0)
            }
            0xc500_0102 => {
                self.inputs[args[0] as usize].target = None;
                (SUCCESS, 0)
            }
            0xc500_0110 => match self.features {
                Some(features) => (SUCCESS, features),
                None => (u64::MAX, 0),
            },
            0xc500_0111 if self.features.is_some_and(|features| features & 2 != 0) => {
                let level = |n: &&Input| n.level;
                let input = usize::try_from(args[0]).ok();
                let input = input.filter(|n| self.inputs.get(*n).filter(level).is_some());
                let Some(input) = input else {
                    return parameter(0);
                };
                if self.inputs[input].line {
                    self.arrive(input);
                }
                (SUCCESS, 0)
            }
            _ => (u64::MAX, 0),
        }
    }
}
