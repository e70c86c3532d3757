/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Domains with an rVIC in place of a GIC: calls of the guest, its virtual
 * interrupt, and what of the GIC's CPU interface is kept from it.
 *
 * The virtual interrupt is HCR_EL2.VI, which Xen has twice: in v->arch.hcr_el2,
 * and in the register while the vCPU is on a CPU. Xen writes the register from
 * the field when the vCPU comes to a CPU and whenever it sets or clears another
 * bit; and reads it back into the field on exits while HCR_VA is set. So VI is
 * always the same in both, and nobody but the vCPU itself writes it.
 */

#include <xen/event.h>
#include <xen/lib.h>
#include <xen/percpu.h>
#include <xen/sched.h>

#include <asm/current.h>
#include <asm/gic.h>
#include <asm/io.h>
#include <asm/processor.h>
#include <asm/regs.h>
#include <asm/smccc.h>
#include <asm/vgic.h>
#include <public/domctl.h>

#include "glue.h"

/* Of ICH_HCR_EL2: what both groups have in common, and each of them, traps. */
#define ICH_HCR_TC      (1U << 10)
#define ICH_HCR_TALL0   (1U << 11)
#define ICH_HCR_TALL1   (1U << 12)

bool rvgic_rvic_levels(const struct domain *d)
{
    return d->options & XEN_DOMCTL_CDF_arm_rvid_levels;
}

void rvgic_set_virtual_irq(struct vcpu *v, bool on)
{
    ASSERT(v == current && !local_irq_is_enabled());

    if ( on == !!(v->arch.hcr_el2 & HCR_VI) )
        return;

    /* The exit that comes before has read back what the register had. */
    v->arch.hcr_el2 ^= HCR_VI;
    WRITE_SYSREG(v->arch.hcr_el2, HCR_EL2);
}

/*
 * GICH_HCR or ICH_HCR_EL2, as the Rust half has left it for the vCPU of a GIC
 * that runs next on this CPU: it expects nobody else to write it.
 */
static DEFINE_PER_CPU(uint32_t, gic_hcr);

static uint32_t read_gic_hcr(void)
{
    if ( rvgic_gich )
        return readl_relaxed(rvgic_gich + GICH_HCR);

#ifdef CONFIG_GICV3
    return READ_SYSREG(ICH_HCR_EL2);
#else
    return 0;
#endif
}

static void write_gic_hcr(uint32_t hcr)
{
    if ( rvgic_gich )
        writel_relaxed(hcr, rvgic_gich + GICH_HCR);
#ifdef CONFIG_GICV3
    else
        WRITE_SYSREG(hcr, ICH_HCR_EL2);
#endif
}

/*
 * The registers of the CPU interface are UNDEFINED: they trap, and the handler
 * finds no GIC. ICC_SRE_EL1 does where ICC_SRE_EL2.Enable can be 0, which is
 * gic-v3.c's. On a GICv2 they are in memory, and nothing is mapped there. In
 * either case the virtual interface is off, and has nothing to show.
 */
void vgic_rvic_switch_to(const struct vcpu *v)
{
    this_cpu(gic_hcr) = read_gic_hcr();
    write_gic_hcr(rvgic_gich ? 0 : ICH_HCR_TC | ICH_HCR_TALL0 | ICH_HCR_TALL1);
}

void vgic_rvic_switch_from(const struct vcpu *v)
{
    write_gic_hcr(this_cpu(gic_hcr));

    /*
     * An idle vCPU does not write HCR_EL2, and would not sleep in WFI with a
     * virtual interrupt. The field keeps it.
     */
    if ( v->arch.hcr_el2 & HCR_VI )
    {
        WRITE_SYSREG(v->arch.hcr_el2 & ~HCR_VI, HCR_EL2);
        isb();
    }
}

bool vgic_handle_smccc(struct cpu_user_regs *regs)
{
    struct vcpu *v = current;
    uint64_t x[4];
    unsigned int i;

    /* Others have no such calls. */
    if ( !vgic_is_rvic(v->domain) )
        return false;

    for ( i = 0; i < ARRAY_SIZE(x); i++ )
        x[i] = get_user_reg(regs, i);

    rvgic_vtimer_resample(v);

    if ( !rvgic_rvic_call(v, x) )
        return false;

    for ( i = 0; i < ARRAY_SIZE(x); i++ )
        set_user_reg(regs, i, x[i]);

    return true;
}

unsigned int vgic_smccc_count(const struct domain *d)
{
    return rvgic_rvic_functions(d);
}

void vgic_rvic_finished(struct domain *d)
{
    if ( !vgic_is_rvic(d) || is_64bit_domain(d) )
        return;

    printk(XENLOG_G_ERR
           "%pd: the calls of an rVIC have 64-bit arguments: not for AArch32\n",
           d);
    domain_crash(d);
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
