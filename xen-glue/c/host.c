/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host's GIC: where it is, and what its vGICs can have.
 */

#include <xen/lib.h>
#include <xen/param.h>
#include <xen/sched.h>

#include <asm/gic.h>
#include <asm/vgic.h>

#include "glue.h"

struct rvgic_host_v2 rvgic_host_v2;

void vgic_v2_setup_hw(paddr_t dbase, paddr_t cbase, paddr_t csize,
                      paddr_t vbase, uint32_t aliased_offset)
{
    rvgic_host_v2.enabled = true;
    rvgic_host_v2.dbase = dbase;
    rvgic_host_v2.cbase = cbase;
    rvgic_host_v2.csize = csize;
    rvgic_host_v2.vbase = vbase;
    rvgic_host_v2.aliased_offset = aliased_offset;

    rvgic_map_gich();
}

#ifdef CONFIG_GICV3
struct rvgic_host_v3 rvgic_host_v3;

void vgic_v3_setup_hw(paddr_t dbase, unsigned int nr_rdist_regions,
                      const struct rdist_region *regions,
                      unsigned int intid_bits)
{
    rvgic_host_v3.enabled = true;
    rvgic_host_v3.dbase = dbase;
    rvgic_host_v3.nr_regions = nr_rdist_regions;
    rvgic_host_v3.regions = regions;
    rvgic_host_v3.intid_bits = intid_bits;
}
#endif

/*
 * Deactivation by ICC_DIR_EL1 is trapped with all else that both groups share,
 * as on hardware that cannot trap it alone (ICH_VTR_EL2.TDS is 0). For tests
 * of that on hardware that can.
 */
bool __read_mostly rvgic_trap_common;
boolean_param("rvgic-trap-common", rvgic_trap_common);

unsigned int rvgic_host_version(void)
{
    return gic_hw_version() == GIC_V3 ? 3 : 2;
}

unsigned int rvgic_host_spis(void)
{
    /* Up to INTID 991: 992 to 1023 are not a whole group of 32 SPIs. */
    return min(gic_number_lines(), 992U) - NR_LOCAL_IRQS;
}

unsigned int rvgic_host_espis(void)
{
#ifdef CONFIG_GICV3_ESPI
    return gic_number_espis();
#else
    return 0;
#endif
}

/* The hardware domain could have all of it anyway. */
bool rvgic_unlimited(const struct domain *d)
{
    return is_hardware_domain(d);
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
