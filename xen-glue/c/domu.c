/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Domains that Xen itself builds from the host's device tree: what their nodes
 * say of messages and limits, and what the guest's own device tree then has.
 */

#include <xen/device_tree.h>
#include <xen/init.h>
#include <xen/lib.h>
#include <xen/libfdt/libfdt.h>
#include <xen/sched.h>
#include <xen/sizes.h>

#include <asm/vgic.h>
#include <public/arch-arm.h>
#include <public/device_tree_defs.h>
#include <public/domctl.h>

#include "glue.h"

/* A property that is there says something. */
static uint32_t __init number(const struct dt_device_node *node,
                              const char *name)
{
    uint32_t value = 0;

    if ( !dt_find_property(node, name, NULL) )
        return 0;

    if ( !dt_property_read_u32(node, name, &value) || !value )
        panic("%s of domain %s has to be a number of one cell, and not 0\n",
              name, dt_node_name(node));

    return value;
}

void __init vgic_domu_parse(const struct dt_device_node *node,
                            struct xen_domctl_createdomain *config,
                            unsigned int flags)
{
    static const char *const limits[] __initconst = {
        "xen,msi-lpis", "xen,msi-devices", "xen,msi-events",
    };
    unsigned int i;

    if ( dt_property_read_bool(node, "xen,arm-msi") )
    {
#ifdef CDF_hardware
        if ( flags & CDF_hardware )
            panic("xen,arm-msi cannot be specified for hardware domain\n");
#endif
        config->flags |= XEN_DOMCTL_CDF_arm_msi;
        return;
    }

    for ( i = 0; i < ARRAY_SIZE(limits); i++ )
        if ( dt_find_property(node, limits[i], NULL) )
            panic("%s of domain %s takes xen,arm-msi\n", limits[i],
                  dt_node_name(node));
}

void __init vgic_domu_limits(struct domain *d,
                             const struct dt_device_node *node)
{
    struct xen_domctl_vgic_limits limits = {
        .lpis = number(node, "xen,msi-lpis"),
        .devices = number(node, "xen,msi-devices"),
        .events = number(node, "xen,msi-events"),
        .storm_rate = number(node, "xen,vgic-storm-rate"),
        .storm_burst = number(node, "xen,vgic-storm-burst"),
    };
    int rc = vgic_set_limits(d, &limits);

    if ( rc )
        panic("Domain %s cannot have the limits of its vGIC: %d\n",
              dt_node_name(node), rc);
}

int __init vgic_domu_cells(const struct domain *d, void *fdt)
{
    int rc;

    /* Without children there is nothing to number. */
    if ( !rvgic_has_msi(d) )
        return fdt_property_cell(fdt, "#address-cells", 0);

    rc = fdt_property_cell(fdt, "#address-cells", GUEST_ROOT_ADDRESS_CELLS);
    if ( !rc )
        rc = fdt_property_cell(fdt, "#size-cells", GUEST_ROOT_SIZE_CELLS);
    if ( !rc )
        rc = fdt_property(fdt, "ranges", NULL, 0);

    return rc;
}

/* What both kinds of node have. Their end is up to the caller. */
static int __init begin(void *fdt, const char *kind, const char *compatible,
                        paddr_t base, paddr_t size, uint32_t phandle)
{
    /* Room for a name, @, a 64-bit number and \0. */
    char name[34];
    __be32 reg[GUEST_ROOT_ADDRESS_CELLS + GUEST_ROOT_SIZE_CELLS];
    __be32 *cells = reg;
    int rc;

    dt_child_set_range(&cells, GUEST_ROOT_ADDRESS_CELLS, GUEST_ROOT_SIZE_CELLS,
                       base, size);
    snprintf(name, sizeof(name), "%s@%"PRIx64, kind, (uint64_t)base);

    rc = fdt_begin_node(fdt, name);
    if ( !rc )
        rc = fdt_property_string(fdt, "compatible", compatible);
    if ( !rc )
        rc = fdt_property(fdt, "msi-controller", NULL, 0);
    if ( !rc )
        rc = fdt_property(fdt, "reg", reg, sizeof(reg));
    if ( !rc )
        rc = fdt_property_cell(fdt, "phandle", phandle);

    return rc;
}

int __init vgic_domu_nodes(const struct domain *d, void *fdt)
{
    unsigned int n;
    uint32_t base, count;
    int rc = 0;

    if ( rvgic_v2m(d, &base, &count) )
    {
        rc = begin(fdt, "v2m", "arm,gic-v2m-frame", GUEST_GICV2M_BASE,
                   GUEST_GICV2M_SIZE, GUEST_PHANDLE_MSI);

        return rc ?: fdt_end_node(fdt);
    }

    for ( n = 0; n < rvgic_its_count(d) && !rc; n++ )
    {
        rc = begin(fdt, "msi-controller", "arm,gic-v3-its",
                   rvgic_its_base(d, n), SZ_128K, GUEST_PHANDLE_MSI + n);
        /* A DeviceID. */
        if ( !rc )
            rc = fdt_property_cell(fdt, "#msi-cells", 1);
        if ( !rc )
            rc = fdt_end_node(fdt);
    }

    return rc;
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
