/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The virtual interface control registers (GICH) of a host GICv2.
 *
 * gic-v2.c has them mapped, too, but offers neither raw list registers nor
 * EOIcount and the group bits of GICH_HCR. Two mappings of one device frame do
 * no harm, and the driver stays as it is.
 */

#include <xen/acpi.h>
#include <xen/device_tree.h>
#include <xen/init.h>
#include <xen/lib.h>
#include <xen/mm.h>

#include <asm/gic.h>
#include <asm/io.h>

#include "releases.h"
#include "rvgic.h"

volatile void *rvgic_gich;

static paddr_t __initdata gich_base = INVALID_PADDR;

#ifdef CONFIG_ACPI
static int __init gich_from_gicc(struct acpi_subtable_header *header,
                                 const unsigned long end)
{
    const struct acpi_madt_generic_interrupt *gicc =
        container_of(header, struct acpi_madt_generic_interrupt, header);

    /* The frame is banked: every CPU's entry has the same address. */
    gich_base = gicc->gich_base_address;

    return 0;
}

static void __init find_gich_acpi(void)
{
    acpi_table_parse_madt(ACPI_MADT_TYPE_GENERIC_INTERRUPT, gich_from_gicc, 0);
}
#else
static void __init find_gich_acpi(void)
{
}
#endif

/* The GIC driver calls this through vgic_v2_setup_hw(), on one CPU. */
void __init rvgic_map_gich(void)
{
    if ( gic_hw_version() != GIC_V2 || rvgic_gich )
        return;

    if ( !acpi_disabled )
        find_gich_acpi();
    else if ( dt_device_get_paddr(dt_interrupt_controller, 2, &gich_base,
                                  NULL) )
        gich_base = INVALID_PADDR;

    if ( gich_base != INVALID_PADDR )
        rvgic_gich = ioremap_nocache(gich_base, PAGE_SIZE);

    if ( !rvgic_gich )
        panic("rust-vgic: cannot map the GICH frame of the GICv2\n");
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
