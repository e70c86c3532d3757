/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Domains and vCPUs, made and unmade, and what the Rust half asks of them.
 */

#include <stdlib.h>

#include "half.h"

#ifndef MOCK_PEER
#include "exports.h"
#endif

struct domain *mock_domain_alloc(unsigned int id, unsigned int max_vcpus,
                                 unsigned int version, bool hardware, bool direct)
{
    struct domain *d = calloc(1, sizeof(*d));

    if ( !d )
        abort();
    d->domain_id = id;
    d->max_vcpus = max_vcpus;
    d->vcpu = calloc(max_vcpus ? max_vcpus : 1, sizeof(*d->vcpu));
    d->hardware = hardware;
    d->iommu = hardware && mock_host.iommu;
    d->direct_mapped = direct;
    d->arch.vgic.version = version == 3 ? GIC_V3 : version == 2 ? GIC_V2 : GIC_INVALID;
#ifndef MOCK_PEER
    if ( version == 4 )
        d->arch.vgic.version = VGIC_RVIC;
#endif
    d->arch.evtchn_irq = 31;

    return d;
}

/* domain_io_init(): handlers beyond this many are a bug of the vGIC's. */
void mock_domain_io_init(struct domain *d, unsigned int max)
{
    d->mmio = calloc(max ? max : 1, sizeof(*d->mmio));
    d->mmio_max = max;
}

void mock_domain_dying(struct domain *d)
{
    d->is_dying = 2;
}

#ifndef MOCK_PEER
/* A turn of domain_relinquish_resources(): is there more? */
void mock_domain_relinquish(struct domain *d, bool *more)
{
    ASSERT(d->is_dying);
    mock_its_release_devices(d);
    *more = domain_vgic_relinquish(d) == -ERESTART;
}

/* A part of a reset of ITS number its or, if there is none of that number, of all. */
void mock_domain_reset(struct domain *d, unsigned int its, int *rc)
{
    *rc = its == ~0U ? rvgic_reset(d) : rvgic_reset_its(d, its);
}
#endif

/* Gives it memory, once. */
void mock_domain_ram(struct domain *d, paddr_t base, paddr_t size)
{
    d->ram = calloc(1, size);
    d->ram_base = base;
    d->ram_size = d->ram ? size : 0;
}

/* An access of the guest's own, or of a device's. */
int mock_guest_memory(struct domain *d, paddr_t gpa, void *buf, uint32_t size, bool is_write)
{
    unsigned char *ram = &d->ram[gpa - d->ram_base];

    if ( gpa < d->ram_base || gpa - d->ram_base > d->ram_size ||
         size > d->ram_size - (gpa - d->ram_base) )
        return -EINVAL;

    _spin_lock(&d->ram_lock);
    memcpy(is_write ? ram : buf, is_write ? buf : ram, size);
    _spin_unlock(&d->ram_lock);

    return 0;
}

/* The same by the vGIC, which may have to wait for a page. */
int MOCK_NAME(access_guest_memory_by_ipa, access_guest_memory_by_gpa)(
    struct domain *d, paddr_t gpa, void *buf, uint32_t size, bool is_write)
{
#ifndef MOCK_PEER
    /* The old C vGIC reads the configuration of LPIs with a lock held. */
    ASSERT(local_irq_is_enabled());
#endif
    __atomic_fetch_add(&d->ram_accesses, 1, __ATOMIC_RELAXED);

    return mock_guest_memory(d, gpa, buf, size, is_write);
}

unsigned long mock_domain_ram_accesses(const struct domain *d)
{
    return __atomic_load_n(&d->ram_accesses, __ATOMIC_RELAXED);
}

void mock_domain_release(struct domain *d)
{
    mock_its_release(d);
    xfree(d->mapped);
    free(d->ram);
    free(d->mmio);
    free(d->vcpu);
    free(d);
}

unsigned int mock_domain_mmio_used(const struct domain *d)
{
    return d->mmio_used;
}

paddr_t mock_domain_dbase(const struct domain *d)
{
    return vgic_dist_base(&d->arch.vgic);
}

#if RVGIC_XEN_RELEASE <= 417
int map_mmio_regions(struct domain *d, gfn_t start, unsigned long count, mfn_t to)
{
    BUG_ON(d->mapped);
    /* Xen may have no memory for the tables. */
    d->mapped = _xzalloc(sizeof(*d->mapped), _Alignof(struct mock_mapping));
    if ( !d->mapped )
        return -ENOMEM;
    *d->mapped = (struct mock_mapping){ start, to, count };

    return 0;
}
#endif

/* The CPU interface of a GICv2: what is mapped of it, and to where. */
paddr_t mock_domain_gicc(const struct domain *d, paddr_t *mapped, paddr_t *gicv)
{
#if RVGIC_XEN_RELEASE <= 417
    const struct mock_mapping none = {}, *map = d->mapped ? d->mapped : &none;

    *mapped = map->count * PAGE_SIZE;
    *gicv = mfn_to_maddr(map->to);

    return gfn_to_gaddr(map->at);
#else
    /* By Xen, when the guest first touches it. */
    *mapped = d->arch.vgic.csize;
    *gicv = d->arch.vgic.vbase;

    return d->arch.vgic.cbase;
#endif
}

unsigned int mock_release(void)
{
    return RVGIC_XEN_RELEASE;
}

unsigned int mock_domain_regions(const struct domain *d)
{
#ifdef CONFIG_GICV3
    return d->arch.vgic.nr_regions;
#else
    return 0;
#endif
}

paddr_t mock_domain_region(const struct domain *d, unsigned int n, paddr_t *size)
{
#ifdef CONFIG_GICV3
    *size = d->arch.vgic.rdist_regions[n].size;

    return d->arch.vgic.rdist_regions[n].base;
#else
    return *size = 0;
#endif
}

unsigned int mock_domain_nr_spis(const struct domain *d)
{
    return d->arch.vgic.nr_spis;
}

bool mock_domain_allocated(const struct domain *d, unsigned int virq)
{
    return test_bit(virq, d->arch.vgic.allocated_irqs);
}

struct vcpu *mock_vcpu_alloc(struct domain *d, unsigned int id, unsigned int processor)
{
    struct vcpu *v = calloc(1, sizeof(*v));

    if ( !v )
        abort();
    v->vcpu_id = id;
    v->domain = d;
    v->processor = processor;
    v->arch.vmpidr = (1UL << 31) | (id & 0xf) | ((id >> 4) << 8);
    v->arch.hcr_el2 = MOCK_HCR_DEFAULT;
    v->arch.phys_timer.irq = 30;
    /* As if its guest had switched it on. */
    v->arch.virt_timer.ctl = CNTx_CTL_ENABLE;
    v->arch.virt_timer.cval = 3ULL << 39;

    return v;
}

void mock_vcpu_link(struct domain *d, struct vcpu *v)
{
    __atomic_store_n(&d->vcpu[v->vcpu_id], v, __ATOMIC_RELEASE);
}

/* The idle vCPU of a physical CPU. */
struct vcpu *mock_idle(unsigned int cpu)
{
    static struct domain idle_domain = { .domain_id = 0x7fff };
    struct vcpu *v = mock_vcpu_alloc(&idle_domain, cpu, cpu);

    v->is_running = true;

    return v;
}

void mock_vcpu_release(struct vcpu *v)
{
    free(v);
}

/* What a vGIC has within struct domain, and within struct vcpu. */
unsigned long mock_embedded(bool vcpu)
{
    return vcpu ? sizeof(struct vgic_cpu) : sizeof(struct vgic_dist);
}

struct domain *mock_vcpu_domain(const struct vcpu *v) { return v->domain; }
unsigned long *mock_vcpu_pause_flags(struct vcpu *v) { return &v->pause_flags; }
bool *mock_vcpu_is_running(struct vcpu *v) { return &v->is_running; }
int *mock_vcpu_processor(struct vcpu *v) { return &v->processor; }
register_t *mock_vcpu_hcr(struct vcpu *v) { return &v->arch.hcr_el2; }
uint8_t *mock_vcpu_upcall(struct vcpu *v) { return &v->evtchn_upcall_pending; }
