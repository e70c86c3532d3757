/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Host LPIs that follow their vCPUs, as far as that pays.
 *
 * The host's ITS sends an LPI to a CPU. Where another one runs the vCPU, that
 * is interrupted too, which costs an IPI. To have the LPI sent elsewhere costs
 * two commands of the host's ITS, and a guest has up to 57,344 of them, whose
 * vCPUs are moved by the scheduler or the guest at any time. So nobody is
 * asked to move any then. Of the LPIs that arrive, one in so many is looked
 * at (see IN_HAND in storm.c): most likely one that comes often. If it has come
 * to a wrong CPU it is moved, later, by a tasklet, and not many at a time.
 */

#include <xen/lib.h>
#include <xen/sched.h>
#include <xen/smp.h>
#include <xen/spinlock.h>
#include <xen/tasklet.h>
#include <xen/time.h>
#include <xen/xmalloc.h>

#include <asm/gic_v3_its.h>
#include <asm/vgic.h>

#include "glue.h"

#ifdef CONFIG_HAS_ITS

/* So many of a domain are moved in so long. */
#define RVGIC_MOVES         8
#define RVGIC_PERIOD        MILLISECS(10)

/*
 * The hardware domain's are known by their virtual numbers. Those that are
 * messages of a guest's PCI functions have none, and are known by the host's.
 */
struct rvgic_strays {
    struct domain *d;
    struct tasklet tasklet;
    spinlock_t lock;
    /* Until then, so many more. */
    s_time_t until;
    unsigned int left;
    /* To be moved. */
    unsigned int nr, numbers[RVGIC_MOVES];
};

#ifdef CONFIG_HAS_PCI_MSI
/* The vCPU that it is a message for, or NULL. */
static const struct vcpu *message_target(struct domain *d, uint32_t lpi)
{
    uint32_t device, data;

    return gicv3_lpi_message(d, lpi, &device, &data)
           ? rvgic_own_message_target(d, device, data) : NULL;
}

static void follow_message(struct domain *d, uint32_t lpi)
{
    const struct vcpu *v = message_target(d, lpi);
    unsigned int cpu;

    if ( !v )
        return;

    cpu = read_atomic(&v->processor);
    rvgic_lpis_come_to(d, cpu);
    gicv3_its_route_lpi(d, lpi, cpu);
}
#else
static void follow_message(struct domain *d, uint32_t lpi) {}
#endif

/* Softirq context: nothing else is under way on this CPU. */
static void move_strays(void *data)
{
    struct rvgic_strays *strays = data;
    unsigned int i, nr, numbers[RVGIC_MOVES];
    unsigned long flags;

    spin_lock_irqsave(&strays->lock, flags);
    nr = strays->nr;
    memcpy(numbers, strays->numbers, sizeof(numbers));
    strays->nr = 0;
    spin_unlock_irqrestore(&strays->lock, flags);

    for ( i = 0; i < nr; i++ )
    {
        if ( is_hardware_domain(strays->d) )
            rvgic_follow_lpi(strays->d, numbers[i]);
        else
            follow_message(strays->d, numbers[i]);
    }
}

/* It has come here, and is for v. */
static void look(struct rvgic_strays *strays, const struct vcpu *v,
                 unsigned int number)
{
    unsigned int cpu, i = 0;
    unsigned long flags;
    bool move = false;

    if ( !strays || !v )
        return;

    /* The scheduler may be moving it. */
    cpu = read_atomic(&v->processor);
    if ( cpu == smp_processor_id() )
        return;

    spin_lock_irqsave(&strays->lock, flags);
    if ( NOW() >= strays->until )
    {
        strays->until = NOW() + RVGIC_PERIOD;
        strays->left = RVGIC_MOVES;
    }
    while ( i < strays->nr && strays->numbers[i] != number )
        i++;
    /* If not now: as long as it comes, it will be looked at again. */
    if ( i == strays->nr && i < RVGIC_MOVES && strays->left )
    {
        strays->left--;
        strays->numbers[strays->nr++] = number;
        move = true;
    }
    spin_unlock_irqrestore(&strays->lock, flags);

    if ( move )
        tasklet_schedule(&strays->tasklet);
}

void rvgic_look_at_stray(struct domain *d, unsigned int virq)
{
    look(d->arch.vgic.strays, rvgic_lpi_target(d, virq), virq);
}

#ifdef CONFIG_HAS_PCI_MSI
void rvgic_look_at_message(struct domain *d, uint32_t lpi)
{
    look(d->arch.vgic.strays, message_target(d, lpi), lpi);
}
#endif

int rvgic_look_for_strays(struct domain *d)
{
    struct rvgic_strays *strays;

    if ( d->arch.vgic.strays )
        return 0;

    strays = xzalloc(struct rvgic_strays);
    if ( !strays )
        return -ENOMEM;

    strays->d = d;
    spin_lock_init(&strays->lock);
    softirq_tasklet_init(&strays->tasklet, move_strays, strays);
    d->arch.vgic.strays = strays;

    return 0;
}

/* No LPI of the domain arrives any more. */
void rvgic_forget_strays(struct domain *d)
{
    if ( !d->arch.vgic.strays )
        return;

    tasklet_kill(&d->arch.vgic.strays->tasklet);
    XFREE(d->arch.vgic.strays);
}

#else /* !CONFIG_HAS_ITS */

void rvgic_forget_strays(struct domain *d)
{
}

#endif

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
