/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the Xen releases differ, as far as the C half asks them for something:
 * each difference with the release that has it last. The other files know one
 * Xen, the newest.
 *
 * The Makefile defines RVGIC_XEN_RELEASE: 417 for 4.17.
 */
#ifndef RVGIC_RELEASES_H
#define RVGIC_RELEASES_H

#if !defined(RVGIC_XEN_RELEASE) || RVGIC_XEN_RELEASE < 417
#error RVGIC_XEN_RELEASE must be the release of Xen: 417 for 4.17, the oldest
#endif

#include <xen/mm.h>
#include <xen/sched.h>

#include <asm/vgic.h>

/* 4.17: what domain_vgic_register() counts. */
#if RVGIC_XEN_RELEASE <= 417
typedef int rvgic_mmio_count_t;
#else
typedef unsigned int rvgic_mmio_count_t;
#endif

/* 4.17: other names. */
#if RVGIC_XEN_RELEASE <= 417
#define access_guest_memory_by_gpa access_guest_memory_by_ipa
#define dt_device_get_paddr dt_device_get_address
#endif

/*
 * 4.17: the vGIC maps GICV. Later ones do it themselves, when the guest first
 * touches the CPU interface.
 */
static inline int rvgic_map_gicv(struct domain *d)
{
#if RVGIC_XEN_RELEASE <= 417
    const struct vgic_dist *vgic = &d->arch.vgic;

    return map_mmio_regions(d, gaddr_to_gfn(vgic->cbase),
                            vgic->csize / PAGE_SIZE, maddr_to_mfn(vgic->vbase));
#else
    return 0;
#endif
}

/*
 * Up to 4.20: an IOMMU that shares the CPUs' tables maps pages of domains that
 * are direct-mapped, and has a BUG_ON() for others.
 */
static inline bool rvgic_iommu_maps_for(const struct domain *d)
{
#if RVGIC_XEN_RELEASE <= 420
    return is_domain_direct_mapped(d);
#else
    return true;
#endif
}

/* Up to 4.21: vcpu_vgic_free() returns something that nobody looks at. */
#if RVGIC_XEN_RELEASE <= 421
typedef int rvgic_freed_t;
#define RVGIC_FREED 0
#else
typedef void rvgic_freed_t;
#define RVGIC_FREED
#endif

/* Up to 4.21: domain_use_host_layout() is in asm/domain.h. */
#if RVGIC_XEN_RELEASE > 421
#include <xen/domain-layout.h>
#endif

#endif /* RVGIC_RELEASES_H */

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
