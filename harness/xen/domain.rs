// SPDX-License-Identifier: GPL-2.0-only
//! Domains, made and unmade with their vCPUs in Xen's order.

mod messages;
mod rvic;
mod toolstack;

use crate::lock::lock;
use crate::machine::physgic::{FIRST_ESPI, FIRST_SPI};
use crate::notes;
use crate::xen::abi;
use crate::xen::functions::RawDomain;
use crate::xen::host::Machine;
use crate::xen::peer;
pub use crate::xen::vcpu::RVIC;
use crate::xen::vcpu::Vcpu;
use std::sync::{Arc, Mutex};

/// What a toolstack asks for.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    pub id: u16,
    pub vcpus: usize,
    /// Architecture version of its GIC, 2 or 3, or [`RVIC`].
    pub gic: u8,
    /// `nr_spis`, as in the domctl.
    pub spis: u32,
    /// Dom0: the host's layout, and the right to set trigger types.
    pub hardware: bool,
    pub direct_mapped: bool,
    /// `XEN_DOMCTL_CDF_arm_msi`: an ITS without hardware behind it, or a GICv2m frame.
    pub msi: bool,
    /// `XEN_DOMCTL_CDF_arm_rvid_levels`: lines at the inputs of its rVID are levels.
    pub levels: bool,
    /// `XEN_DOMCTL_CDF_iommu`: devices of the host may be given to it.
    pub iommu: bool,
    /// `XEN_DOMCTL_CDF_vpci`, with that: they are behind a PCI host bridge of Xen's.
    pub vpci: bool,
    /// Its host interrupts run against the limit that Xen has for them. Here time passes on request only, so who wants that has
    /// to see to it.
    pub storms: bool,
}

impl Config {
    /// A guest with a GIC of this version.
    pub const fn guest(gic: u8, vcpus: usize) -> Self {
        Self {
            id: 1,
            vcpus,
            gic,
            spis: 224,
            hardware: false,
            direct_mapped: false,
            msi: false,
            levels: false,
            iommu: false,
            vpci: false,
            storms: false,
        }
    }

    /// A guest with an rVIC.
    pub const fn rvic(vcpus: usize) -> Self {
        Self::guest(RVIC, vcpus)
    }

    /// The same, whose rVID has levels at its inputs.
    #[must_use]
    pub const fn with_levels(mut self) -> Self {
        self.levels = true;
        self
    }

    /// The same, to which devices of the host may be given.
    #[must_use]
    pub const fn with_iommu(mut self) -> Self {
        self.iommu = true;
        self
    }

    /// The same, to which PCI devices of the host may be given.
    #[must_use]
    pub const fn with_vpci(mut self) -> Self {
        self.vpci = true;
        self
    }

    /// Dom0.
    pub const fn dom0(gic: u8, vcpus: usize) -> Self {
        Self {
            id: 0,
            hardware: true,
            direct_mapped: true,
            ..Self::guest(gic, vcpus)
        }
    }

    /// The same, whose host interrupts are limited.
    #[must_use]
    pub const fn with_storms(mut self) -> Self {
        self.storms = true;
        self
    }

    /// The same with an ITS, or with a GICv2m frame, for what device models send.
    #[must_use]
    pub const fn with_msi(mut self) -> Self {
        self.msi = true;
        self
    }

    /// The same with `n` extended SPIs, and as many others as the host has: Xen's `nr_spis` is then about the highest INTID.
    #[must_use]
    pub const fn with_espis(mut self, n: u32) -> Self {
        self.spis = FIRST_ESPI as u32 + n - FIRST_SPI as u32;
        self
    }
}

/// A negative errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

const EINVAL: i32 = 22;

/// Where the ITS of a domain is that has no host's layout.
pub const GUEST_GICV3_ITS_BASE: u64 = 0x0808_0000;
/// Where the GICv2m frame of a domain is.
pub const GUEST_GICV2M_BASE: u64 = 0x0802_0000;
/// GITS_TRANSLATER, and MSI_SETSPI_NS of a GICv2m frame.
pub const TRANSLATER: u64 = 0x1_0040;
pub const MSI_SETSPI_NS: u64 = 0x40;

/// `struct xen_dm_op_inject_msi2`.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
#[expect(missing_docs, reason = "as Xen's public headers have them")]
pub struct InjectMsi2 {
    pub addr: u64,
    pub data: u32,
    pub source_id: u32,
    pub flags: u32,
    pub segment: u16,
    pub pad: u16,
}

/// `struct xen_domctl_vgic_limits`.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
#[expect(missing_docs, reason = "as Xen's public headers have them")]
pub struct VgicLimits {
    pub lpis: u32,
    pub devices: u32,
    pub events: u32,
    pub storm_rate: u32,
    pub storm_burst: u32,
    pub pad: u32,
}

fn result(rc: i32) -> Result<(), Errno> {
    if rc == 0 { Ok(()) } else { Err(Errno(rc)) }
}

/// The CPU interface of a GICv2, in the guest's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gicc {
    /// Where it starts.
    pub base: u64,
    /// `csize`: how much of it Xen maps when the guest first touches it.
    pub mapped: u64,
    /// `vbase`: the address in the physical GICV that is mapped at `base`.
    pub gicv: u64,
    /// Each 4 KiB page is there sixteen times.
    pub aliased: bool,
}

impl Gicc {
    /// The address of `GICC_DIR`.
    pub fn dir(&self) -> u64 {
        self.base + if self.aliased { 0x10000 } else { 0x1000 }
    }

    /// Does an access to this address go to the hardware without a trap?
    pub fn is_mapped(&self, address: u64) -> bool {
        (self.base..self.base + self.mapped).contains(&address)
    }
}

/// A domain. Destroyed when dropped.
pub struct Domain {
    pub machine: Arc<Machine>,
    pub config: Config,
    raw: *mut RawDomain,
    vcpus: Mutex<Vec<Arc<Vcpu>>>,
}

// SAFETY: only pointers into the C half, whose fields are constant after creation or accessed atomically.
unsafe impl Send for Domain {}
// SAFETY: as above.
unsafe impl Sync for Domain {}

impl Domain {
    /// `arch_domain_create()`, up to the vCPUs.
    ///
    /// # Errors
    /// What the vGIC answered; everything is undone, as Xen does.
    pub fn create(machine: &Arc<Machine>, config: Config) -> Result<Self, Errno> {
        // As arch_sanitise_domain_config() does.
        if (2..=RVIC).contains(&config.gic) && abi::max_vcpus(config.gic.into()) == 0 {
            return Err(Errno(-EINVAL));
        }
        // SAFETY: takes any numbers.
        let raw = unsafe {
            abi::mock_domain_alloc(
                config.id.into(),
                config.vcpus as u32,
                config.gic.into(),
                config.hardware,
                config.direct_mapped,
            )
        };
        let domain = Self {
            machine: Arc::clone(machine),
            config,
            raw,
            vcpus: Mutex::default(),
        };
        if config.msi {
            abi::choose_msi(raw);
        }
        if config.levels {
            abi::choose_levels(raw);
        }
        if config.iommu {
            abi::choose_iommu(raw);
        }
        if config.vpci {
            abi::choose_vpci(raw);
        }
        if !config.storms {
            abi::set_storm(raw, u32::MAX, 0);
        }
        // From here on, dropping it is arch_domain_destroy().
        machine.hypervisor(0, || domain.construct())?;
        Ok(domain)
    }

    pub(crate) fn raw(&self) -> *mut RawDomain {
        self.raw
    }

    fn construct(&self) -> Result<(), Errno> {
        let mut count = u32::MAX;
        result(abi::register(self.raw, &mut count))?;
        // SAFETY: this domain, once. Xen adds sixteen; here a handler too many shows.
        unsafe { abi::mock_domain_io_init(self.raw, count) };
        result(abi::init(self.raw, self.config.spis))?;
        // SAFETY: this domain.
        let used = unsafe { abi::mock_domain_mmio_used(self.raw) };
        // Xen's C vGICs may announce more than they need.
        if used != count && peer::is_ours() {
            self.machine.report(format!(
                "{count} MMIO handlers announced, {used} registered"
            ));
        }
        // Xen calls BUG() if one of these fails.
        for ppi in [Vcpu::EVTCHN, Vcpu::PTIMER, Vcpu::VTIMER, 29, 26] {
            if !abi::reserve_virq(self.raw, ppi) {
                self.machine
                    .report(format!("PPI {ppi} is taken in a new domain"));
            }
        }
        Ok(())
    }

    /// `arch_vcpu_create()` of the next vCPU, to run on `cpu`.
    ///
    /// # Errors
    /// What the vGIC answered; everything is undone.
    pub fn create_vcpu(&self, cpu: usize) -> Result<Arc<Vcpu>, Errno> {
        let mut vcpus = lock(&self.vcpus);
        let id = vcpus.len();
        // SAFETY: this domain, which has room for it.
        let raw = unsafe { abi::mock_vcpu_alloc(self.raw, id as u32, cpu as u32) };
        let made = self.machine.hypervisor(0, || {
            let made = result(abi::vcpu_init(raw));
            if made.is_err() {
                abi::vcpu_free(raw);
            } else {
                abi::vtimer_init(raw);
            }
            made
        });
        if let Err(errno) = made {
            // SAFETY: made above, known to nobody.
            unsafe { abi::mock_vcpu_release(raw) };
            return Err(errno);
        }
        // SAFETY: both are alive.
        unsafe { abi::mock_vcpu_link(self.raw, raw) };
        let vcpu = Arc::new(Vcpu::new(raw, self.raw, id, self.config.gic));
        vcpus.push(Arc::clone(&vcpu));
        Ok(vcpu)
    }

    /// A domain with all its vCPUs, vCPU n on physical CPU n.
    ///
    /// # Errors
    /// As [`Domain::create`] and [`Domain::create_vcpu`].
    pub fn with_vcpus(machine: &Arc<Machine>, config: Config) -> Result<Self, Errno> {
        let domain = Self::create(machine, config)?;
        for id in 0..config.vcpus {
            domain.create_vcpu(id % machine.pcpus().len())?;
        }
        Ok(domain)
    }

    /// A vCPU that exists.
    pub fn vcpu(&self, id: usize) -> Arc<Vcpu> {
        Arc::clone(&lock(&self.vcpus)[id])
    }

    /// Base of the distributor.
    pub fn gicd(&self) -> u64 {
        // SAFETY: alive.
        unsafe { abi::mock_domain_dbase(self.raw) }
    }

    /// Where a GICv2's CPU interface is, and what of it reaches the hardware without a trap.
    pub fn gicc(&self) -> Gicc {
        let (mut mapped, mut gicv) = (0, 0);
        // SAFETY: alive.
        let base = unsafe { abi::mock_domain_gicc(self.raw, &mut mapped, &mut gicv) };
        Gicc {
            base,
            mapped,
            gicv,
            // As Linux does: from the last copy of the first page on, both pages are where they always are.
            aliased: self.machine.profile.aliased() && self.config.hardware,
        }
    }

    /// Gives the guest memory, once.
    pub fn add_memory(&self, base: u64, size: u64) {
        // SAFETY: alive, and nothing runs yet.
        unsafe { abi::mock_domain_ram(self.raw, base, size) }
    }

    /// Reads the guest's memory. None: there is none.
    pub fn read_memory<const N: usize>(&self, gpa: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        // SAFETY: alive, and there are that many bytes.
        let rc = unsafe {
            abi::mock_guest_memory(self.raw, gpa, bytes.as_mut_ptr().cast(), N as u32, false)
        };
        (rc == 0).then_some(bytes)
    }

    /// So many bytes of the guest's memory; zeroes where there is none.
    pub fn read_range(&self, gpa: u64, size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        let to = bytes.as_mut_ptr().cast();
        // SAFETY: alive, and there are that many bytes.
        unsafe { abi::mock_guest_memory(self.raw, gpa, to, size as u32, false) };
        bytes
    }

    /// Writes the guest's memory. False: there is none.
    pub fn write_memory(&self, gpa: u64, bytes: &[u8]) -> bool {
        let from = bytes.as_ptr().cast_mut().cast();
        // SAFETY: alive, and there are that many bytes, which are only read.
        let rc = unsafe { abi::mock_guest_memory(self.raw, gpa, from, bytes.len() as u32, true) };
        rc == 0
    }

    /// How often the vGIC has accessed it.
    pub fn memory_accesses(&self) -> u64 {
        // SAFETY: alive.
        unsafe { abi::mock_domain_ram_accesses(self.raw) }
    }

    /// Base and size of each redistributor region.
    pub fn gicr_regions(&self) -> Vec<(u64, u64)> {
        // SAFETY: alive, and `n` is one of its regions.
        unsafe {
            (0..abi::mock_domain_regions(self.raw))
                .map(|n| {
                    let mut size = 0;
                    let base = abi::mock_domain_region(self.raw, n, &mut size);
                    (base, size)
                })
                .collect()
        }
    }

    /// `d->arch.vgic.nr_spis`.
    pub fn nr_spis(&self) -> u32 {
        // SAFETY: alive.
        unsafe { abi::mock_domain_nr_spis(self.raw) }
    }

    /// Is this vIRQ taken in `allocated_irqs`?
    pub fn is_allocated(&self, virq: u32) -> bool {
        // SAFETY: alive, after domain_vgic_init().
        unsafe { abi::mock_domain_allocated(self.raw, virq) }
    }

    /// Injects a shared interrupt from an emulated device: on a CPU of the machine (see [`Machine::hypervisor`]).
    pub fn inject(&self, virq: u32, level: bool) {
        let noted = notes::source(None, virq, level);
        abi::inject(self.raw, std::ptr::null_mut(), virq, level);
        noted.word(|| abi::word(self.raw, std::ptr::null_mut(), virq));
    }

    /// Injects an interrupt of a vCPU.
    pub fn inject_private(&self, v: &Vcpu, virq: u32, level: bool) {
        v.inject(virq, level);
    }

    /// The older name of the same.
    pub fn inject_old(&self, v: &Vcpu, virq: u32) {
        if !abi::vcpu_inject(v.raw(), virq) {
            v.inject(virq, true);
        }
    }

    /// `route_irq_to_guest()`.
    ///
    /// # Errors
    /// What `vgic_connect_hw_irq()` answered, or that there is no such interrupt.
    pub fn route(&self, virq: u32, irq: u32, level: bool) -> Result<(), Errno> {
        self.machine.hypervisor(0, || {
            result(abi::watch(self.raw))?;
            result(abi::route(self.raw, virq, irq, level))
        })
    }

    /// `vgic_reserve_virq()`.
    pub fn reserve_virq(&self, virq: u32) -> bool {
        self.machine
            .hypervisor(0, || abi::reserve_virq(self.raw, virq))
    }

    /// `vgic_allocate_virq()`.
    pub fn allocate_virq(&self, spi: bool) -> Option<u32> {
        u32::try_from(
            self.machine
                .hypervisor(0, || abi::allocate_virq(self.raw, spi)),
        )
        .ok()
    }

    /// `vgic_free_virq()`.
    pub fn free_virq(&self, virq: u32) {
        self.machine
            .hypervisor(0, || abi::free_virq(self.raw, virq));
    }

    /// `vgic_is_valid_line()`.
    pub fn is_valid_line(&self, virq: u32) -> bool {
        self.machine
            .hypervisor(0, || abi::is_valid_line(self.raw, virq))
    }

    /// Is a physical interrupt behind this one?
    pub fn has_hw_irq(&self, virq: u32) -> bool {
        self.machine.hypervisor(0, || {
            !abi::hw_desc(self.raw, std::ptr::null_mut(), virq).is_null()
        })
    }

    /// `gic_dump_vgic_info()` of each vCPU; the text.
    pub fn dump(&self) -> String {
        self.dump_from(0)
    }

    /// The same from this physical CPU: whoever runs there leaves its guest for it.
    pub fn dump_from(&self, cpu: usize) -> String {
        self.machine.take_console();
        self.machine.hypervisor(cpu, || {
            for v in lock(&self.vcpus).iter() {
                abi::dump(v.raw());
            }
        });
        self.machine.take_console()
    }
}

impl Domain {
    /// A turn of `domain_kill()`: it dies, and no vCPU may run. True: there is more to be freed.
    pub fn kill(&self) -> bool {
        // SAFETY: alive.
        unsafe { abi::mock_domain_dying(self.raw) };
        self.machine.hypervisor(0, || abi::relinquish(self.raw))
    }
}

impl Drop for Domain {
    fn drop(&mut self) {
        // A test that panics leaves the machine as it is, with vCPUs on their CPUs.
        if std::thread::panicking() {
            return;
        }
        while self.kill() {}
        // complete_domain_destroy(): vCPUs first, then the domain, on any CPU; no vCPU runs.
        let vcpus = std::mem::take(&mut *lock(&self.vcpus));
        for v in &vcpus {
            if v.is_running() {
                self.machine
                    .report(format!("vCPU {} runs while its domain is destroyed", v.id));
            }
        }
        self.machine.hypervisor(0, || {
            for v in vcpus.iter().rev() {
                abi::vcpu_free(v.raw());
            }
            abi::free(self.raw);
        });
        for v in &vcpus {
            // SAFETY: made in `create_vcpu`; the vGIC is done with it.
            unsafe { abi::mock_vcpu_release(v.raw()) };
        }
        self.machine.hypervisor(0, || {
            // SAFETY: made in `create`; the vGIC is done with it.
            unsafe { abi::mock_domain_release(self.raw) }
        });
    }
}
