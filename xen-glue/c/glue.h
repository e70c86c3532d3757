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

#endif /* RVGIC_GLUE_H */

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
