/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Domains with an rVIC: their calls, and HCR_EL2 and ICH_HCR_EL2 of this CPU.
 */

#include "half.h"

#ifndef MOCK_PEER

/* Of the CPU, from the Rust half. */
register_t mock_hcr_el2(void);
void mock_set_hcr_el2(register_t hcr);
uint32_t rvgic_mock_read_hcr(void);
void rvgic_mock_write_hcr(uint32_t value);

register_t mock_sysreg_HCR_EL2(void)
{
    return mock_hcr_el2();
}

void mock_set_sysreg_HCR_EL2(register_t hcr)
{
    mock_set_hcr_el2(hcr);
}

register_t mock_sysreg_ICH_HCR_EL2(void)
{
    return rvgic_mock_read_hcr();
}

void mock_set_sysreg_ICH_HCR_EL2(register_t hcr)
{
    rvgic_mock_write_hcr(hcr);
}

void domain_crash(struct domain *d)
{
    d->crashed = true;
}

void mock_domain_choose_levels(struct domain *d)
{
    d->options |= XEN_DOMCTL_CDF_arm_rvid_levels;
}

void mock_domain_choose_iommu(struct domain *d)
{
    d->options |= XEN_DOMCTL_CDF_iommu;
}

void mock_domain_choose_vpci(struct domain *d)
{
    d->options |= XEN_DOMCTL_CDF_iommu | XEN_DOMCTL_CDF_vpci;
}

/* It becomes a 32-bit domain, of which nobody has asked the vGIC. */
void mock_domain_choose_aarch32(struct domain *d)
{
    d->aarch32 = true;
}

/* arch_domain_creation_finished(). Has the domain crashed? */
void mock_domain_finished(struct domain *d, bool *crashed)
{
    vgic_rvic_finished(d);
    *crashed = d->crashed;
}

/* HVC or SMC by the vCPU that is current, with a number of owner 5: x0 to x3. */
void mock_smccc(register_t *x)
{
    struct cpu_user_regs regs = { .x = { x[0], x[1], x[2], x[3] } };

    ASSERT(local_irq_is_enabled());
    /* ARM_SMCCC_ERR_UNKNOWN_FUNCTION */
    if ( !vgic_handle_smccc(&regs) )
        set_user_reg(&regs, 0, ~(register_t)0);
    memcpy(x, regs.x, 4 * sizeof(*x));
}

void mock_smccc_count(const struct domain *d, unsigned int *count)
{
    *count = vgic_smccc_count(d);
}

/* ctxt_switch_to(), and ctxt_switch_from(). */
void mock_rvic_switch(struct vcpu *v, bool to)
{
    ASSERT(!local_irq_is_enabled());
    if ( !vgic_is_rvic(v->domain) )
        return;

    if ( to )
        vgic_rvic_switch_to(v);
    else
        vgic_rvic_switch_from(v);
}

#endif /* MOCK_PEER */
