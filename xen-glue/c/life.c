/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A domain's life: how many vCPUs it may have, where its frames are, and what
 * becomes of them. Its vGIC is made and freed by the Rust half.
 */

#include <xen/errno.h>
#include <xen/event.h>
#include <xen/lib.h>
#include <xen/sched.h>
#include <xen/sizes.h>
#include <xen/xmalloc.h>

#include <asm/gic.h>
#include <asm/gic_v3_defs.h>
#include <asm/vgic.h>
#include <public/arch-arm.h>
#include <public/domctl.h>

#include "glue.h"

/* The Rust half keeps up to 128 vCPUs in a domain. */
#define RVGIC_MAX_VCPUS     128U
#define RVGIC_V2_MAX_VCPUS  8U

#define RDIST_SIZE          (2 * SZ_64K)

unsigned int vgic_max_vcpus(unsigned int domctl_vgic_version)
{
    switch ( domctl_vgic_version )
    {
    case XEN_DOMCTL_CONFIG_GIC_V2:
        return RVGIC_V2_MAX_VCPUS;

#ifdef CONFIG_GICV3
    case XEN_DOMCTL_CONFIG_GIC_V3:
        return RVGIC_MAX_VCPUS;
#endif

    case XEN_DOMCTL_CONFIG_GIC_RVIC:
        return RVGIC_MAX_VCPUS;

    default:
        return 0;
    }
}

/*
 * The CPU interface of a GICv2 has two pages. Those below csize are mapped to
 * the host's GICV: by Xen when the guest first touches them, up to 4.17 by
 * rvgic_map_gicv(). In the other one there is GICC_DIR alone, which no bit of
 * GICH_HCR or ICH_HCR_EL2 makes trap where it is in memory. It is left out: a
 * guest with EOImode 1 deactivates through us, and one with EOImode 0 never
 * goes there.
 *
 * Where each page is repeated over 64 KiB, the hardware domain sees 16 of each.
 * Where Xen maps them, it maps csize bytes from the page that was touched, and
 * not from cbase: a guest that starts at a later copy gets copies of the first
 * page in place of GICC_DIR. It can only confuse itself, and Linux starts at
 * the first.
 *
 * What guests are told of the size comes from the host's device tree or from
 * GUEST_GICC_SIZE, never from csize.
 */
static int place_v2(struct domain *d, rvgic_mmio_count_t *mmio_count)
{
    struct vgic_dist *vgic = &d->arch.vgic;
    int rc;

    if ( !rvgic_host_v2.enabled )
        return -ENODEV;

    if ( is_hardware_domain(d) )
    {
        /* Its device tree is the host's: the frames are where that says. */
        if ( rvgic_host_v2.csize < GUEST_GICC_SIZE )
            return -ENODEV;

        vgic->dbase = rvgic_host_v2.dbase;
        vgic->cbase = rvgic_host_v2.cbase;
        vgic->csize = rvgic_host_v2.aliased_offset ? SZ_64K : PAGE_SIZE;
        vgic->vbase = rvgic_host_v2.vbase;
    }
    else
    {
        bool host_layout = is_domain_direct_mapped(d);

        vgic->dbase = host_layout ? rvgic_host_v2.dbase : GUEST_GICD_BASE;
        vgic->cbase = host_layout ? rvgic_host_v2.cbase : GUEST_GICC_BASE;
        vgic->csize = PAGE_SIZE;
        vgic->vbase = rvgic_host_v2.vbase + rvgic_host_v2.aliased_offset;
    }

    rc = rvgic_place_msi(d);
    if ( rc < 0 )
        return rc;

    *mmio_count = 2 + rc;

    return 0;
}

#ifdef CONFIG_GICV3
static int place_v3(struct domain *d, rvgic_mmio_count_t *mmio_count)
{
    struct vgic_dist *vgic = &d->arch.vgic;
    bool host_layout = domain_use_host_layout(d);
    unsigned int i, nr, first_cpu = 0;
    int rc;

    BUILD_BUG_ON(GUEST_GICV3_RDIST_REGIONS != 1);
    BUILD_BUG_ON(GUEST_GICV3_GICR0_SIZE / RDIST_SIZE < RVGIC_MAX_VCPUS);
    BUILD_BUG_ON(GICV3_GICR_SIZE != RDIST_SIZE);

    if ( !rvgic_host_v3.enabled )
        return -ENODEV;

    rc = rvgic_place_msi(d);
    if ( rc < 0 )
        return rc;

    nr = host_layout ? rvgic_host_v3.nr_regions : GUEST_GICV3_RDIST_REGIONS;

    vgic->rdist_regions = xzalloc_array(struct vgic_rdist_region, nr);
    if ( !vgic->rdist_regions )
        return -ENOMEM;

    vgic->dbase = host_layout ? rvgic_host_v3.dbase : GUEST_GICV3_GICD_BASE;

    /* As many of the host's regions as the vCPUs fill, and no more. */
    for ( i = 0; i < nr && first_cpu < d->max_vcpus; i++ )
    {
        struct vgic_rdist_region *region = &vgic->rdist_regions[i];

        region->base = host_layout ? rvgic_host_v3.regions[i].base
                                   : GUEST_GICV3_GICR0_BASE;
        region->size = host_layout ? rvgic_host_v3.regions[i].size
                                   : GUEST_GICV3_GICR0_SIZE;
        region->first_cpu = first_cpu;
        first_cpu += region->size / RDIST_SIZE;
    }

    vgic->nr_regions = i;
    *mmio_count = 1 + vgic->nr_regions + rc;

    return 0;
}
#endif

/*
 * It has no frame, and asks nothing of the host's GIC. Devices of the host have
 * that for their interrupts, also one that is given to the domain later, but for
 * those behind a host bridge of Xen's: these have messages.
 */
static int place_rvic(const struct domain *d, rvgic_mmio_count_t *mmio_count)
{
    *mmio_count = 0;

    if ( is_hardware_domain(d) )
    {
        printk(XENLOG_G_ERR "d%u: the hardware domain cannot have an rVIC\n",
               d->domain_id);
        return -EINVAL;
    }

    if ( (d->options & XEN_DOMCTL_CDF_iommu) && !has_vpci(d) )
    {
        printk(XENLOG_G_ERR
               "d%u: devices of the host do not go with an rVIC: not with an IOMMU\n",
               d->domain_id);
        return -EINVAL;
    }

    return 0;
}

int domain_vgic_register(struct domain *d, rvgic_mmio_count_t *mmio_count)
{
    int rc = -ENODEV;

    switch ( d->arch.vgic.version )
    {
    case GIC_V2:
        rc = place_v2(d, mmio_count);
        break;

#ifdef CONFIG_GICV3
    case GIC_V3:
        rc = place_v3(d, mmio_count);
        break;
#endif

    case VGIC_RVIC:
        rc = place_rvic(d, mmio_count);
        break;

    default:
        break;
    }

    if ( rc == -ENODEV )
        printk(XENLOG_G_ERR "d%u: this host cannot give it a GICv%u\n",
               d->domain_id, d->arch.vgic.version + 1);

    return rc;
}

bool rvgic_region(const struct domain *d, unsigned int region,
                  uint64_t *base, uint64_t *size)
{
    if ( region >= d->arch.vgic.nr_regions )
        return false;

    *base = d->arch.vgic.rdist_regions[region].base;
    *size = d->arch.vgic.rdist_regions[region].size;

    return true;
}

void rvgic_forget_frames(struct domain *d)
{
    rvgic_forget_storms(d);
    d->arch.vgic.nr_regions = 0;
    XFREE(d->arch.vgic.rdist_regions);
}

int domain_vgic_relinquish(struct domain *d)
{
    while ( rvgic_relinquish(d) )
        if ( hypercall_preempt_check() )
            return -ERESTART;

    return 0;
}

rvgic_freed_t vcpu_vgic_free(struct vcpu *v)
{
    rvgic_vcpu_free(v);

    return RVGIC_FREED;
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
