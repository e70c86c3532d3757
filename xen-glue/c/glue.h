/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the C half have in common. Nothing in them knows how a GIC
 * works: they are whatever takes Xen's macros, inline functions or types.
 *
 * exports.h is generated from the Rust half. Being included next to Xen's own
 * prototypes it turns a function that does not match them into an error.
 */
#ifndef RVGIC_GLUE_H
#define RVGIC_GLUE_H

#include <xen/irq.h>
#include <xen/sched.h>
#include <xen/xmalloc.h>

#include <asm/gic.h>
#include <asm/vgic.h>

/* Declaring a function twice is what compares the declarations. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wredundant-decls"
#include "exports.h"
#include "releases.h"
#include "rvgic.h"
#pragma GCC diagnostic pop

/* The host's GIC, as its driver tells host.c. */
extern struct rvgic_host_v2 {
    bool enabled;
    paddr_t dbase;
    paddr_t cbase;
    paddr_t csize;
    paddr_t vbase;
    /* Makes 8 KiB contiguous where each 4 KiB page repeats over 64 KiB. */
    uint32_t aliased_offset;
} rvgic_host_v2;

#ifdef CONFIG_GICV3
extern struct rvgic_host_v3 {
    bool enabled;
    paddr_t dbase;
    unsigned int nr_regions;
    const struct rdist_region *regions;     /* Lives as long as Xen */
    unsigned int intid_bits;
} rvgic_host_v3;
#endif

/*
 * Messages for guests, see msi.c: has somebody given them to the domain, how
 * many ITSes has it and where are they; how many handlers all of it takes, or
 * -errno.
 */
bool rvgic_has_msi(const struct domain *d);
unsigned int rvgic_its_count(const struct domain *d);
paddr_t rvgic_its_base(const struct domain *d, unsigned int n);
int rvgic_place_msi(const struct domain *d);

/*
 * A message from software: to this address, by this device of this segment.
 * -ENOENT: nothing is there that takes it. -EAGAIN: it is not known yet whether
 * something is; to be sent again. Process context.
 */
int rvgic_inject_msi(struct domain *d, uint64_t doorbell, uint32_t segment,
                     uint32_t source, uint32_t data);

/* The host's ITS number n, see its.c; false: there is none. */
bool rvgic_host_its_base(unsigned int n, paddr_t *base);
bool rvgic_host_its_bits(unsigned int n, uint32_t *device_bits,
                         uint32_t *event_bits);

/* What the host's driver keeps in a domain, whether it has an ITS or not. */
int rvgic_prepare_host_its(struct domain *d);
/* The hardware domain's devices reach its ITS number n. */
int rvgic_map_doorbell(struct domain *d, unsigned int n);

#endif /* RVGIC_GLUE_H */

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
