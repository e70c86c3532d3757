/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What virtual ITSes need of Xen: guest memory, and the host's ITSes behind
 * those of the hardware domain. Nothing here knows what a command is.
 */

#include <xen/iommu.h>
#include <xen/lib.h>
#include <xen/list.h>
#include <xen/rbtree.h>
#include <xen/sched.h>
#include <xen/sizes.h>
#include <xen/spinlock.h>

#include <asm/current.h>
#include <asm/gic_v3_its.h>
#include <asm/guest_access.h>
#include <asm/mmio.h>
#include <asm/vgic.h>

#include "glue.h"

#ifdef CONFIG_HAS_ITS

bool rvgic_read_guest(struct domain *d, uint64_t gpa, void *to, uint32_t size)
{
    return !access_guest_memory_by_gpa(d, gpa, to, size, false);
}

bool rvgic_write_guest(struct domain *d, uint64_t gpa, const void *from,
                       uint32_t size)
{
    /* It is only read from. */
    return !access_guest_memory_by_gpa(d, gpa, (void *)from, size, true);
}

/* The host's ITS number n, in the order of its device tree. */
static const struct host_its *host_its(unsigned int n)
{
    const struct host_its *its;

    list_for_each_entry(its, &host_its_list, entry)
        if ( !n-- )
            return its;

    return NULL;
}

/* The hardware domain has one for each of the host's, at the same address. */
unsigned int vgic_v3_its_count(const struct domain *d)
{
    unsigned int n = 0;

    if ( is_hardware_domain(d) && d->arch.vgic.version == GIC_V3 )
        while ( host_its(n) )
            n++;

    return n;
}

bool rvgic_its(const struct domain *d, unsigned int n,
               uint32_t *device_bits, uint32_t *event_bits)
{
    const struct host_its *its = host_its(n);

    if ( n >= vgic_v3_its_count(d) || !its )
        return false;

    *device_bits = its->devid_bits;
    *event_bits = its->evid_bits;

    return true;
}

static int its_mmio_read(struct vcpu *v, mmio_info_t *info, register_t *r,
                         void *priv)
{
    const struct host_its *its = host_its((unsigned long)priv);

    *r = rvgic_its_read(v, (unsigned long)priv, info->gpa - its->addr,
                        info->dabt.size);

    return 1;
}

static int its_mmio_write(struct vcpu *v, mmio_info_t *info, register_t r,
                          void *priv)
{
    const struct host_its *its = host_its((unsigned long)priv);

    return rvgic_stored(rvgic_its_write(v, (unsigned long)priv,
                                        info->gpa - its->addr, info->dabt.size,
                                        rvgic_written(info, r)));
}

static const struct mmio_handler_ops its_ops = {
    .read  = its_mmio_read,
    .write = its_mmio_write,
};

/* The hardware domain's numbers and addresses are the host's. */
static paddr_t doorbell(unsigned int n)
{
    return host_its(n)->addr + ITS_DOORBELL_OFFSET;
}

/*
 * Behind an IOMMU, a device's messages are translated like all that it writes.
 * Its tables are the CPUs' on Arm: the domain's vCPUs reach the page as well,
 * and what they write has no DeviceID of a device.
 */
static int map_doorbell(struct domain *d, unsigned int n)
{
    dfn_t dfn = _dfn(PFN_DOWN(doorbell(n)));
    unsigned int flush = 0;
    int rc;

    if ( !is_iommu_enabled(d) )
        return 0;

    if ( !rvgic_iommu_maps_for(d) )
    {
        printk(XENLOG_WARNING
               "d%u: its devices behind an IOMMU cannot reach ITS %u, as it is not direct-mapped\n",
               d->domain_id, n);
        return 0;
    }

    rc = iommu_map(d, dfn, maddr_to_mfn(doorbell(n)), 1, IOMMUF_writable,
                   &flush);

    if ( !rc )
        rc = iommu_iotlb_flush(d, dfn, 1, flush);
    if ( rc )
        printk(XENLOG_ERR "d%u: its devices cannot reach ITS %u: %d\n",
               d->domain_id, n, rc);

    return rc;
}

int rvgic_register_its(struct domain *d)
{
    unsigned long n;
    int rc = 0;

    spin_lock_init(&d->arch.vgic.its_devices_lock);
    d->arch.vgic.its_devices = RB_ROOT;

    if ( rvgic_lpi_bits(d) )
        rc = rvgic_look_for_strays(d);

    for ( n = 0; n < vgic_v3_its_count(d) && !rc; n++ )
    {
        register_mmio_handler(d, &its_ops, host_its(n)->addr, SZ_128K,
                              (void *)n);
        rc = map_doorbell(d, n);
    }

    return rc;
}

/* Devices and events on the host ******************************************/

bool rvgic_map_device(struct domain *d, unsigned int n, uint32_t device,
                      uint32_t event_bits, bool valid)
{
    return !gicv3_its_map_guest_device(d, doorbell(n), device, doorbell(n),
                                       device, 1ULL << event_bits, valid);
}

bool rvgic_map_event(struct domain *d, unsigned int n, uint32_t device,
                     uint32_t event, uint32_t virq)
{
    return gicv3_assign_guest_event(d, doorbell(n), device, event, virq);
}

void rvgic_unmap_event(struct domain *d, unsigned int n, uint32_t device,
                       uint32_t event)
{
    gicv3_remove_guest_event(d, doorbell(n), device, event);
}

void rvgic_route_event(struct domain *d, unsigned int n, uint32_t device,
                       uint32_t event, const struct vcpu *v)
{
    /* The scheduler may be moving it. */
    gicv3_its_route_guest_event(d, doorbell(n), device, event,
                                read_atomic(&v->processor));
}

#else /* !CONFIG_HAS_ITS: no domain has LPIs, and nothing of this is called */

bool rvgic_read_guest(struct domain *d, uint64_t gpa, void *to, uint32_t size)
{
    return false;
}

bool rvgic_write_guest(struct domain *d, uint64_t gpa, const void *from,
                       uint32_t size)
{
    return false;
}

bool rvgic_its(const struct domain *d, unsigned int n,
               uint32_t *device_bits, uint32_t *event_bits)
{
    return false;
}

int rvgic_register_its(struct domain *d)
{
    return 0;
}

bool rvgic_map_device(struct domain *d, unsigned int n, uint32_t device,
                      uint32_t event_bits, bool valid)
{
    return false;
}

bool rvgic_map_event(struct domain *d, unsigned int n, uint32_t device,
                     uint32_t event, uint32_t virq)
{
    return false;
}

void rvgic_unmap_event(struct domain *d, unsigned int n, uint32_t device,
                       uint32_t event)
{
}

void rvgic_route_event(struct domain *d, unsigned int n, uint32_t device,
                       uint32_t event, const struct vcpu *v)
{
}

#endif

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
