/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Domains that Xen itself builds from the host's device tree: what their nodes
 * say of vGICs, messages and limits, and what the guest's own device tree then has.
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

/*
 * No device of the host goes with an rVIC. Xen looks for a partial device tree
 * in the nodes of other domains, too, and gives a domain an IOMMU for that. Who
 * asks for one (releases that have this property) is told later.
 */
static void __init refuse_devices(const struct dt_device_node *node,
                                  struct xen_domctl_createdomain *config)
{
    const struct dt_device_node *module;

    dt_for_each_child_node(node, module)
        if ( dt_device_is_compatible(module, "multiboot,device-tree") )
            panic("domain %s cannot have an rVIC: its device tree is for a GIC, and no device of the host goes with it\n",
                  dt_node_name(node));

    if ( !dt_find_property(node, "passthrough", NULL) )
        config->flags &= ~XEN_DOMCTL_CDF_iommu;
}

/* What it has in place of what the host has. */
static void __init parse_version(const struct dt_device_node *node,
                                 struct xen_domctl_createdomain *config,
                                 unsigned int flags)
{
    const char *name = "native";

    if ( dt_find_property(node, "xen,vgic", NULL) &&
         dt_property_read_string(node, "xen,vgic", &name) )
        panic("xen,vgic of domain %s has to be a string\n",
              dt_node_name(node));

    if ( !strcmp(name, "rvic") )
    {
#ifdef CDF_hardware
        if ( flags & CDF_hardware )
            panic("xen,vgic = \"rvic\" cannot be specified for hardware domain\n");
#endif
        config->arch.gic_version = XEN_DOMCTL_CONFIG_GIC_RVIC;
        refuse_devices(node, config);
        /* The default counts the host's extended SPIs: an rVID has no such. */
        if ( !dt_find_property(node, "nr_spis", NULL) )
            config->arch.nr_spis = min(config->arch.nr_spis,
                                       gic_number_lines() - 32U);
    }
    else if ( strcmp(name, "native") )
        panic("xen,vgic of domain %s is \"rvic\" or \"native\", and not \"%s\"\n",
              dt_node_name(node), name);

    if ( !dt_property_read_bool(node, "xen,rvid-level-inputs") )
        return;

    if ( config->arch.gic_version != XEN_DOMCTL_CONFIG_GIC_RVIC )
        panic("xen,rvid-level-inputs of domain %s takes xen,vgic = \"rvic\"\n",
              dt_node_name(node));

    config->flags |= XEN_DOMCTL_CDF_arm_rvid_levels;
}

void __init vgic_domu_parse(const struct dt_device_node *node,
                            struct xen_domctl_createdomain *config,
                            unsigned int flags)
{
    static const char *const limits[] __initconst = {
        "xen,msi-lpis", "xen,msi-devices", "xen,msi-events",
    };
    unsigned int i;

    parse_version(node, config, flags);

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
 * The rVIC's node has the phandle of a GIC's: what it is to a timer or to the
 * hypervisor's node. That of the rVID has what a GIC's messages would have.
 */
#define PHANDLE_RVID GUEST_PHANDLE_MSI

/* What both have, up to what is their own. */
static int __init begin_controller(void *fdt, const char *name,
                                   const char *compatible, uint32_t cells,
                                   uint32_t phandle)
{
    int rc = fdt_begin_node(fdt, name);

    if ( !rc )
        rc = fdt_property_string(fdt, "compatible", compatible);
    if ( !rc )
        rc = fdt_property(fdt, "interrupt-controller", NULL, 0);
    if ( !rc )
        rc = fdt_property_cell(fdt, "#address-cells", 0);
    if ( !rc )
        rc = fdt_property_cell(fdt, "#interrupt-cells", cells);
    if ( !rc )
        rc = fdt_property_cell(fdt, "phandle", phandle);

    return rc;
}

/* Its inputs for messages are the last of all. */
static int __init rvid_messages(const struct domain *d, void *fdt)
{
    uint32_t count;
    __be32 range[2];
    __be32 *cells = range;
    int rc;

    if ( !rvgic_rvic_messages(d, &count) )
        return 0;

    dt_set_cell(&cells, 1, d->arch.vgic.nr_spis - count);
    dt_set_cell(&cells, 1, count);

    rc = fdt_property(fdt, "msi-controller", NULL, 0);
    if ( !rc )
        rc = fdt_property_cell(fdt, "#msi-cells", 0);
    if ( !rc )
        rc = fdt_property(fdt, "msi-range", range, sizeof(range));

    return rc;
}

int __init vgic_domu_rvic(const struct domain *d, void *fdt, uint32_t phandle)
{
    int rc;

    if ( !is_64bit_domain(d) )
        panic("%pd cannot have an rVIC: its kernel is for AArch32\n", d);

    rc = begin_controller(fdt, "rvic", "arm,rvic", 2, phandle);
    if ( !rc )
        rc = fdt_end_node(fdt);
    if ( !rc )
        rc = begin_controller(fdt, "rvid", "arm,rvid", 1, PHANDLE_RVID);
    if ( !rc )
        rc = fdt_property_cell(fdt, "interrupt-parent", phandle);
    if ( !rc )
        rc = rvid_messages(d, fdt);
    if ( !rc && rvgic_rvic_levels(d) )
        rc = fdt_property(fdt, "xen,level-inputs", NULL, 0);

    return rc ?: fdt_end_node(fdt);
}

int __init vgic_domu_pci(const struct domain *d, void *fdt)
{
    __be32 map[4];
    __be32 *cells = map;

    if ( !rvgic_has_msi(d) )
        return 0;

    /* Who sends it makes no difference to a GICv2m or an rVID. */
    if ( !rvgic_its_count(d) )
        return fdt_property_cell(fdt, "msi-parent", GUEST_PHANDLE_MSI);

    /* The DeviceID of a function is its RID, and there is one bridge. */
    dt_set_cell(&cells, 1, 0);
    dt_set_cell(&cells, 1, GUEST_PHANDLE_MSI);
    dt_set_cell(&cells, 1, 0);
    dt_set_cell(&cells, 1, SZ_64K);

    return fdt_property(fdt, "msi-map", map, sizeof(map));
}

int __init vgic_domu_passthrough(const struct domain *d)
{
    if ( !vgic_is_rvic(d) )
        return 0;

    printk(XENLOG_ERR
           "%pd: a device tree for a GIC is not one for an rVIC, and no device goes with it\n",
           d);

    return -EINVAL;
}

/*
 * A GIC's cells are: is it a PPI; its number among those of its kind; in bits 3
 * to 0 its type, and above that, CPUs. They are all of one kind.
 */
int __init vgic_domu_interrupts(const struct domain *d, void *fdt,
                                uint32_t phandle, const __be32 (*gic)[3],
                                unsigned int count)
{
    __be32 own[2 * 4] = {};
    __be32 *cells = own;
    unsigned int i;
    bool ppi = false;
    int rc;

    if ( !vgic_is_rvic(d) )
    {
        rc = fdt_property(fdt, "interrupts", gic, sizeof(*gic) * count);

        return rc ?: fdt_property_cell(fdt, "interrupt-parent", phandle);
    }

    if ( count * 2 > ARRAY_SIZE(own) )
        return -FDT_ERR_NOSPACE;

    for ( i = 0; i < count; i++ )
    {
        unsigned int number = be32_to_cpu(gic[i][1]);

        ppi = be32_to_cpu(gic[i][0]);
        if ( ppi )
        {
            dt_set_cell(&cells, 1, number + NR_GIC_SGI);
            dt_set_cell(&cells, 1, be32_to_cpu(gic[i][2]) & 0xf);
        }
        else
            dt_set_cell(&cells, 1, number);
    }

    rc = fdt_property(fdt, "interrupts", own, (cells - own) * sizeof(*own));
    if ( !rc )
        rc = fdt_property_cell(fdt, "interrupt-parent",
                               ppi ? phandle : PHANDLE_RVID);

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
