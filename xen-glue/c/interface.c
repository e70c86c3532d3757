/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What Xen keeps of the virtual CPU interface of a vCPU that does not run, for
 * the Rust half to save and restore.
 */

#include <xen/lib.h>
#include <xen/sched.h>

#include <asm/gic.h>

#include "glue.h"

/* The words of rvgic.h. */
enum { VMCR, SRE, AP0R, AP1R = AP0R + 4 };

void rvgic_interface_save(const struct vcpu *v,
                          uint32_t *words)
{
    BUILD_BUG_ON(AP1R + 4 != RVGIC_INTERFACE_WORDS);

    memset(words, 0, RVGIC_INTERFACE_WORDS * sizeof(*words));
#ifdef CONFIG_GICV3
    if ( gic_hw_version() == GIC_V3 )
    {
        unsigned int i;

        words[VMCR] = v->arch.gic.v3.vmcr;
        words[SRE] = v->arch.gic.v3.sre_el1;
        for ( i = 0; i < 4; i++ )
        {
            words[AP0R + i] = v->arch.gic.v3.apr0[i];
            words[AP1R + i] = v->arch.gic.v3.apr1[i];
        }
        return;
    }
#endif
    words[VMCR] = v->arch.gic.v2.vmcr;
    words[AP0R] = v->arch.gic.v2.apr;
}

void rvgic_interface_restore(struct vcpu *v,
                             const uint32_t *words)
{
#ifdef CONFIG_GICV3
    if ( gic_hw_version() == GIC_V3 )
    {
        unsigned int i;

        v->arch.gic.v3.vmcr = words[VMCR];
        v->arch.gic.v3.sre_el1 = words[SRE];
        for ( i = 0; i < 4; i++ )
        {
            v->arch.gic.v3.apr0[i] = words[AP0R + i];
            v->arch.gic.v3.apr1[i] = words[AP1R + i];
        }
        return;
    }
#endif
    v->arch.gic.v2.vmcr = words[VMCR];
    v->arch.gic.v2.apr = words[AP0R];
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
