/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Physical interrupts, with Xen's descriptors of them.
 */

#include "half.h"

static struct irq_desc descs[MAX_SPIS], espi_descs[MAX_ESPIS];
static struct irq_desc local_descs[MOCK_CPUS][NR_LOCAL_IRQS];

static void desc_enable(struct irq_desc *desc)
{
    ASSERT(spin_is_locked(&desc->lock));
    clear_bit(_IRQ_DISABLED, &desc->status);
    mock_phys_enable(desc->irq, true);
}

static void desc_disable(struct irq_desc *desc)
{
    ASSERT(spin_is_locked(&desc->lock));
    mock_phys_enable(desc->irq, false);
    set_bit(_IRQ_DISABLED, &desc->status);
}

static void desc_set_affinity(struct irq_desc *desc, const cpumask_t *mask)
{
    unsigned int word = 0;

    while ( !mask->bits[word] )
        word++;
    mock_phys_target(desc->irq, word * BITS_PER_LONG + __builtin_ctzl(mask->bits[word]));
}

static const hw_irq_controller controller = {
    .enable = desc_enable,
    .disable = desc_disable,
    .set_affinity = desc_set_affinity,
};

static void init_descs(struct irq_desc *desc, unsigned int n, unsigned int first)
{
    unsigned int i;

    memset(desc, 0, n * sizeof(*desc));
    for ( i = 0; i < n; i++ )
    {
        desc[i].irq = first + i;
        desc[i].handler = &controller;
        desc[i].status = 1UL << _IRQ_DISABLED;
        desc[i].arch.type = IRQ_TYPE_INVALID;
    }
}

void mock_hwirq_power_on(void)
{
    unsigned int cpu;

    for ( cpu = 0; cpu < MOCK_CPUS; cpu++ )
    {
        init_descs(local_descs[cpu], NR_LOCAL_IRQS, 0);
        local_descs[cpu][mock_host.vtimer % NR_LOCAL_IRQS].arch.type = IRQ_TYPE_LEVEL_HIGH;
        local_descs[cpu][mock_host.vtimer % NR_LOCAL_IRQS].status = 0;
    }
    init_descs(descs, MAX_SPIS, NR_LOCAL_IRQS);
    init_descs(espi_descs, MAX_ESPIS, ESPI_BASE_INTID);
}

struct irq_desc *__irq_to_desc(unsigned int irq)
{
    if ( is_espi(irq) && espi_intid_to_idx(irq) < mock_host.espis )
        return &espi_descs[espi_intid_to_idx(irq)];

    if ( irq < NR_LOCAL_IRQS )
        return &local_descs[mock_this_cpu() % MOCK_CPUS][irq];

    if ( irq >= gic_number_lines() )
        return NULL;

    return &descs[irq - NR_LOCAL_IRQS];
}

void irq_set_affinity(struct irq_desc *desc, const cpumask_t *mask)
{
    if ( !desc )
        return;
#ifndef MOCK_PEER
    /* The old C vGIC does not mask them in arch_move_irqs(). */
    ASSERT(!local_irq_is_enabled());
#endif
    desc->handler->set_affinity(desc, mask);
}

void gic_set_irq_type(struct irq_desc *desc, unsigned int type)
{
    ASSERT(test_bit(_IRQ_DISABLED, &desc->status));
    ASSERT(spin_is_locked(&desc->lock));
    desc->arch.type = type;
    mock_phys_trigger(desc->irq, type == IRQ_TYPE_LEVEL_HIGH);
}

void gic_set_active_state(struct irq_desc *desc, bool on)
{
    ASSERT(test_bit(_IRQ_GUEST, &desc->status));
    mock_phys_active(desc->irq, on);
}

void gic_set_pending_state(struct irq_desc *desc, bool on)
{
    mock_phys_pending(desc->irq, on);
}

bool gic_read_pending_state(struct irq_desc *desc)
{
    return mock_phys_is_pending(desc->irq);
}

bool irq_type_set_by_domain(const struct domain *d)
{
    return is_hardware_domain(d);
}

/* What do_IRQ() does with a guest's, with the lock held. */
void mock_irq_inject(unsigned int irq)
{
    struct irq_desc *desc = irq_to_desc(irq);

#ifdef MOCK_PEER
    vgic_inject_irq(desc->guest, NULL, desc->virq, true);
#else
    vgic_host_irq(desc->guest, desc, desc->virq);
#endif
}

/* The beginning of do_IRQ(): with the lock held, whose interrupt it is. */
struct domain *mock_irq_begin(unsigned int irq, unsigned int *virq)
{
    struct irq_desc *desc = irq_to_desc(irq);

    spin_lock(&desc->lock);
    if ( !test_bit(_IRQ_GUEST, &desc->status) )
        return NULL;
    set_bit(_IRQ_INPROGRESS, &desc->status);
    *virq = desc->virq;

    return desc->guest;
}

void mock_irq_end(unsigned int irq)
{
    spin_unlock(&irq_to_desc(irq)->lock);
}

bool mock_irq_in_progress(unsigned int irq)
{
    return test_bit(_IRQ_INPROGRESS, &irq_to_desc(irq)->status);
}

/* Before that, while it may still wait for memory. */
int mock_watch(struct domain *d)
{
#ifdef MOCK_PEER
    return 0;
#else
    return vgic_watch_storms(d);
#endif
}

/* route_irq_to_guest(), as the toolstack or the domain builder asks for it. */
int mock_route(struct domain *d, unsigned int virq, unsigned int irq, bool level)
{
    struct irq_desc *desc = irq_to_desc(irq);
    unsigned long flags;
    int rc = -EBUSY;

    if ( irq < NR_LOCAL_IRQS || !desc || !vgic_is_spi(d, virq) )
        return -EINVAL;

    spin_lock_irqsave(&desc->lock, flags);
    if ( !test_bit(_IRQ_GUEST, &desc->status) )
    {
        desc->arch.type = level ? IRQ_TYPE_LEVEL_HIGH : IRQ_TYPE_EDGE_RISING;
        rc = vgic_connect_hw_irq(d, NULL, virq, desc, true);
        if ( !rc )
        {
            set_bit(_IRQ_GUEST, &desc->status);
            desc->guest = d;
            desc->virq = virq;
            if ( !irq_type_set_by_domain(d) )
                gic_set_irq_type(desc, desc->arch.type);
        }
    }
    spin_unlock_irqrestore(&desc->lock, flags);

    return rc;
}

int release_guest_irq(struct domain *d, unsigned int virq)
{
    struct irq_desc *desc;
    unsigned long flags;
    int rc = -EINVAL;

    if ( !vgic_is_spi(d, virq) )
        return -EINVAL;
    desc = vgic_get_hw_irq_desc(d, NULL, virq);
    if ( !desc )
        return -EINVAL;

    spin_lock_irqsave(&desc->lock, flags);
    if ( test_bit(_IRQ_GUEST, &desc->status) && desc->guest == d )
    {
        ASSERT(d->is_dying);
        desc_disable(desc);
        if ( test_bit(_IRQ_INPROGRESS, &desc->status) )
            mock_phys_active(desc->irq, false);
        clear_bit(_IRQ_INPROGRESS, &desc->status);
        rc = vgic_connect_hw_irq(d, NULL, virq, desc, false);
        if ( !rc )
        {
            clear_bit(_IRQ_GUEST, &desc->status);
            desc->guest = NULL;
        }
    }
    spin_unlock_irqrestore(&desc->lock, flags);

    /* Xen waits here without a bound. */
    if ( !rc && test_bit(_IRQ_INPROGRESS, &desc->status) )
        mock_broken("a released interrupt is still in progress");

    return rc;
}

#ifndef MOCK_PEER
/* Of storm.c, from Xen's command line. */
int mock_param_parse_vgic_storm(const char *s);

/* vgic-storm=... */
void mock_storm_param(const char *text, bool *ok)
{
    *ok = !mock_param_parse_vgic_storm(text);
}
#endif
