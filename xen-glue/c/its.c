/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host's ITSes behind those of the hardware domain. Nothing here knows what
 * a command is. What virtual ITSes need else is in msi.c.
 */

#include <xen/iommu.h>
#include <xen/lib.h>
#include <xen/list.h>
#include <xen/rbtree.h>
#include <xen/sched.h>
#include <xen/spinlock.h>

#include <asm/current.h>
#include <asm/gic_v3_its.h>
#include <asm/vgic.h>

#include "glue.h"

#ifdef CONFIG_HAS_ITS

/* The host's ITS number n, in the order of its device tree. */
static const struct host_its *host_its(unsigned int n)
{
    const struct host_its *its;

    list_for_each_entry(its, &host_its_list, entry)
        if ( !n-- )
            return its;

    return NULL;
}

bool rvgic_host_its_base(unsigned int n, paddr_t *base)
{
    const struct host_its *its = host_its(n);

    if ( !its )
        return false;

    *base = its->addr;

    return true;
}

bool rvgic_host_its_bits(unsigned int n, uint32_t *device_bits,
                         uint32_t *event_bits)
{
    const struct host_its *its = host_its(n);

    if ( !its )
        return false;

    *device_bits = its->devid_bits;
    *event_bits = its->evid_bits;

    return true;
}

/* For Xen, which asks of the hardware domain only. */
unsigned int vgic_v3_its_count(const struct domain *d)
{
    return rvgic_its_count(d);
}

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
int rvgic_map_doorbell(struct domain *d, unsigned int n)
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

int rvgic_prepare_host_its(struct domain *d)
{
    spin_lock_init(&d->arch.vgic.its_devices_lock);
    d->arch.vgic.its_devices = RB_ROOT;

    /* Only the hardware domain's LPIs come from the host's. */
    if ( is_hardware_domain(d) && rvgic_lpi_bits(d) )
        return rvgic_look_for_strays(d) ?: rvgic_watch_lpis(d);

    return 0;
}

/* Devices and events on the host ******************************************/

/* Of a domain that has none of the host's devices, all are software. */
unsigned int rvgic_map_device(struct domain *d, unsigned int n, uint32_t device,
                              uint32_t event_bits, bool valid)
{
    if ( !is_hardware_domain(d) )
        return RVGIC_SOFTWARE;

    return gicv3_its_map_guest_device(d, doorbell(n), device, doorbell(n),
                                      device, 1ULL << event_bits, valid)
           ? RVGIC_REFUSED : RVGIC_HARDWARE;
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

/* Only an LPI that is held, or has been a moment ago, may wait in the host. */
void rvgic_clear_event(struct domain *d, unsigned int n, uint32_t device,
                       uint32_t event)
{
    if ( d->arch.vgic.storm )
        rvgic_clear_lpi(d, doorbell(n), device, event);
}

void rvgic_route_event(struct domain *d, unsigned int n, uint32_t device,
                       uint32_t event, const struct vcpu *v)
{
    /* The scheduler may be moving it. */
    unsigned int cpu = read_atomic(&v->processor);

    rvgic_lpis_come_to(d, cpu);
    gicv3_its_route_guest_event(d, doorbell(n), device, event, cpu);
}

#else /* !CONFIG_HAS_ITS: what virtual ITSes there are has no host behind it */

bool rvgic_host_its_base(unsigned int n, paddr_t *base)
{
    return false;
}

bool rvgic_host_its_bits(unsigned int n, uint32_t *device_bits,
                         uint32_t *event_bits)
{
    return false;
}

int rvgic_map_doorbell(struct domain *d, unsigned int n)
{
    return 0;
}

int rvgic_prepare_host_its(struct domain *d)
{
    return 0;
}

unsigned int rvgic_map_device(struct domain *d, unsigned int n, uint32_t device,
                              uint32_t event_bits, bool valid)
{
    return RVGIC_SOFTWARE;
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

void rvgic_clear_event(struct domain *d, unsigned int n, uint32_t device,
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
