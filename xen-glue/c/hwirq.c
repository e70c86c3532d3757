/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Physical interrupts, as Xen has them.
 */

#include <xen/cpumask.h>
#include <xen/irq.h>
#include <xen/lib.h>
#include <xen/sched.h>
#include <xen/spinlock.h>

#include <asm/gic.h>
#include <asm/vgic.h>

#include "glue.h"

bool rvgic_may_set_type(const struct domain *d)
{
    return irq_type_set_by_domain(d);
}

struct irq_desc *rvgic_irq_desc(unsigned int irq)
{
    if ( irq >= NR_LOCAL_IRQS && irq < 1020 )
        return irq_to_desc(irq);

#ifdef CONFIG_GICV3_ESPI
    if ( is_espi(irq) )
        return irq_to_desc(irq);
#endif

    return NULL;
}

unsigned long rvgic_desc_lock(struct irq_desc *desc)
{
    unsigned long flags;

    spin_lock_irqsave(&desc->lock, flags);

    return flags;
}

void rvgic_desc_unlock(struct irq_desc *desc, unsigned long flags)
{
    spin_unlock_irqrestore(&desc->lock, flags);
}

void rvgic_desc_set_enabled(struct irq_desc *desc, bool on)
{
    if ( rvgic_desc_held(desc, on) )
        return;

    if ( on )
        desc->handler->enable(desc);
    else
        desc->handler->disable(desc);
}

void rvgic_desc_set_trigger(struct irq_desc *desc, bool level)
{
    /* The GIC driver takes a change only of a disabled interrupt. */
    if ( test_bit(_IRQ_DISABLED, &desc->status) )
        gic_set_irq_type(desc, level ? IRQ_TYPE_LEVEL_HIGH
                                     : IRQ_TYPE_EDGE_RISING);
}

void rvgic_desc_set_active(struct irq_desc *desc, bool on)
{
    gic_set_active_state(desc, on);
    if ( !on )
        rvgic_desc_done(desc);
}

void rvgic_desc_set_pending(struct irq_desc *desc, bool on)
{
    gic_set_pending_state(desc, on);
}

bool rvgic_desc_is_pending(struct irq_desc *desc)
{
    return gic_read_pending_state(desc);
}

bool rvgic_desc_is_level(const struct irq_desc *desc)
{
    /* As the GIC drivers tell one. */
    return desc->arch.type & IRQ_TYPE_LEVEL_MASK;
}

bool rvgic_desc_has_fallen(struct irq_desc *desc)
{
    return rvgic_desc_is_level(desc) && !gic_read_pending_state(desc);
}

void rvgic_desc_done(struct irq_desc *desc)
{
    clear_bit(_IRQ_INPROGRESS, &desc->status);
}

void rvgic_desc_route(struct irq_desc *desc, const struct vcpu *v)
{
    unsigned long flags;

    /* The GIC drivers' lock is taken by interrupt handlers, too. */
    local_irq_save(flags);
    /* The scheduler may be moving the vCPU: then either CPU will do. */
    irq_set_affinity(desc, cpumask_of(read_atomic(&v->processor)));
    local_irq_restore(flags);
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
