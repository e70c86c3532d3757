/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the fields are that hot paths of the Rust half read themselves.
 */

#include <xen/init.h>
#include <xen/irq.h>
#include <xen/lib.h>
#include <xen/sched.h>

#include <asm/vgic.h>

#include "glue.h"

const struct rvgic_layout rvgic_layout = {
    .size = sizeof(struct rvgic_layout),
    .domain_id = offsetof(struct domain, domain_id),
    .domain_max_vcpus = offsetof(struct domain, max_vcpus),
    .domain_evtchn_irq = offsetof(struct domain, arch.evtchn_irq),
    .dist_version = offsetof(struct domain, arch.vgic.version),
    .dist_nr_spis = offsetof(struct domain, arch.vgic.nr_spis),
    .dist_nr_espis = offsetof(struct domain, arch.vgic.nr_espis),
    .dist_allocated_irqs = offsetof(struct domain, arch.vgic.allocated_irqs),
    .dist_priv = offsetof(struct domain, arch.vgic.priv),
    .dist_rvic = offsetof(struct domain, arch.vgic.rvic),
    .vcpu_id = offsetof(struct vcpu, vcpu_id),
    .vcpu_domain = offsetof(struct vcpu, domain),
    .vcpu_pause_flags = offsetof(struct vcpu, pause_flags),
    .vcpu_blocked = _VPF_blocked,
    .vcpu_down = _VPF_down,
    .vgic_dist = offsetof(struct vcpu, arch.vgic.dist),
    .vgic_priv = offsetof(struct vcpu, arch.vgic.priv),
    .vgic_rvic = offsetof(struct vcpu, arch.vgic.rvic),
    .vgic_lines_up = offsetof(struct vcpu, arch.vgic.lines_up),
    .desc_irq = offsetof(struct irq_desc, irq),
};

#define FIELD_SIZE(type, field) sizeof(((type *)NULL)->field)

/* Not called: the widths that struct Layout is read with. */
static void __init __maybe_unused build_assertions(void)
{
    BUILD_BUG_ON(FIELD_SIZE(struct domain, domain_id) != 2);
    BUILD_BUG_ON(FIELD_SIZE(struct domain, max_vcpus) != 4);
    BUILD_BUG_ON(FIELD_SIZE(struct domain, arch.evtchn_irq) != 4);
    BUILD_BUG_ON(FIELD_SIZE(struct domain, arch.vgic.version) != 4);
    BUILD_BUG_ON(FIELD_SIZE(struct domain, arch.vgic.nr_spis) != 4);
    BUILD_BUG_ON(FIELD_SIZE(struct domain, arch.vgic.nr_espis) != 4);
    BUILD_BUG_ON(FIELD_SIZE(struct domain, arch.vgic.allocated_irqs) != 8);
    BUILD_BUG_ON(FIELD_SIZE(struct domain, arch.vgic.priv) != 8);
    BUILD_BUG_ON(FIELD_SIZE(struct domain, arch.vgic.rvic) != 8);
    BUILD_BUG_ON(FIELD_SIZE(struct vcpu, vcpu_id) != 4);
    BUILD_BUG_ON(FIELD_SIZE(struct vcpu, domain) != 8);
    BUILD_BUG_ON(FIELD_SIZE(struct vcpu, pause_flags) != 8);
    BUILD_BUG_ON(FIELD_SIZE(struct vcpu, arch.vgic.dist) != 8);
    BUILD_BUG_ON(FIELD_SIZE(struct vcpu, arch.vgic.priv) != 8);
    BUILD_BUG_ON(FIELD_SIZE(struct vcpu, arch.vgic.rvic) != 8);
    BUILD_BUG_ON(FIELD_SIZE(struct vcpu, arch.vgic.lines_up) != 1);
    BUILD_BUG_ON(FIELD_SIZE(struct irq_desc, irq) != 4);
    BUILD_BUG_ON(sizeof(struct vgic_cpu) != 4 * sizeof(void *));
    /* Rust compares dist_version with the architecture's version. */
    BUILD_BUG_ON(GIC_V2 + 1 != 2 || GIC_V3 + 1 != 3 || VGIC_RVIC + 1 != 4);
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
