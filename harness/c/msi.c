/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a toolstack and device models do with messages: the flag of a domain,
 * its limits, and XEN_DMOP_inject_msi2.
 */

#include "half.h"

#ifndef MOCK_PEER

#include "glue.h"

void mock_domain_choose_msi(struct domain *d)
{
    d->options |= XEN_DOMCTL_CDF_arm_msi;
}

void mock_domain_creation_finished(struct domain *d)
{
    d->creation_finished = true;
}

void mock_domain_v2m(struct domain *d, uint32_t *base, uint32_t *count)
{
    if ( !rvgic_v2m(d, base, count) )
        *base = *count = 0;
}

void mock_inject_msi(struct domain *d, uint64_t doorbell, uint32_t segment, uint32_t source,
                     uint32_t data, int *rc)
{
    /* As the hypercall is. */
    ASSERT(local_irq_is_enabled());
    *rc = rvgic_inject_msi(d, doorbell, segment, source, data);
}

/* What a hypercall comes with, as it is in the caller's memory. */
void mock_dm_op(struct domain *d, const void *op, int *rc)
{
    struct xen_dm_op_inject_msi2 copy;

    memcpy(&copy, op, sizeof(copy));
    *rc = vgic_inject_msi2(d, &copy);
}

void mock_domctl(struct domain *d, const void *op, int *rc)
{
    struct xen_domctl_vgic_limits copy;

    memcpy(&copy, op, sizeof(copy));
    *rc = vgic_set_limits(d, &copy);
}

void mock_set_limits(struct domain *d, uint32_t lpis, uint32_t devices, uint32_t events, int *rc)
{
    const struct xen_domctl_vgic_limits limits = {
        .lpis = lpis, .devices = devices, .events = events,
    };

    *rc = vgic_set_limits(d, &limits);
}

#endif /* MOCK_PEER */
