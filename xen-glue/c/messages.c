/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Host LPIs that are messages of a guest's PCI functions, as they arrive.
 */

#include <xen/errno.h>
#include <xen/lib.h>
#include <xen/list.h>
#include <xen/sched.h>
#include <xen/spinlock.h>
#include <xen/tasklet.h>
#include <xen/time.h>

#include <asm/gic_v3_its.h>
#include <asm/vgic.h>

#include "storm.h"

#ifdef CONFIG_HAS_PCI_MSI

/* So many messages are sent before other softirqs have their turn. */
#define MESSAGES        64
/* When the guest's ITS took none. */
#define AGAIN           MILLISECS(1)

/*
 * A message is looked up in tables of the guest's ITS, with a lock that is taken
 * with interrupts on: this CPU may have it. Then, and where an ITS says that it
 * is too early, the message is owed: its LPI is noted, as one that is pending,
 * and the tasklet sends it. What is owed of an LPI once is sent once, as what
 * comes while an LPI is pending merges with it; and it is sent as what the LPI
 * is by then, which its device cannot tell from a message that was later.
 */
static void owe(struct rvgic_storm *storm, uint32_t lpi)
{
    struct lpi_block *block = rvgic_lpi_block(lpi);
    unsigned long flags;

    if ( !block )
        return;

    spin_lock_irqsave(&rvgic_lpis_lock, flags);
    /* As with those that are held. */
    if ( block->d == storm->d && !read_atomic(&storm->dead) )
    {
        block->owed |= 1U << (lpi % LPI_BLOCK);
        if ( list_empty(&block->owing) )
            list_add_tail(&block->owing, &storm->owing);
    }
    spin_unlock_irqrestore(&rvgic_lpis_lock, flags);
}

static void noinline many_messages(struct rvgic_storm *storm, uint32_t lpi)
{
    if ( !rvgic_storm_fetch(storm) )
        rvgic_hold_lpi(storm, lpi);
    else
        rvgic_look_at_message(storm->d, lpi);
}

void vgic_host_message(struct domain *d, uint32_t lpi, uint32_t device,
                       uint32_t data)
{
    struct rvgic_storm *storm = d->arch.vgic.storm;

    /* Who has such devices is watched. */
    if ( unlikely(!storm) )
        return;

    if ( unlikely(!rvgic_storm_in_hand(storm)) )
        many_messages(storm, lpi);

    if ( unlikely(rvgic_own_message(d, device, data, true) == -EAGAIN) )
    {
        owe(storm, lpi);
        tasklet_schedule(&storm->tasklet);
    }
}

/* Under the lock: one that is owed, which is so no longer. 0: none is. */
static uint32_t take_owed(struct rvgic_storm *storm)
{
    struct lpi_block *block;
    unsigned int n;

    if ( list_empty(&storm->owing) )
        return 0;

    block = list_first_entry(&storm->owing, struct lpi_block, owing);
    n = __builtin_ctz(block->owed);
    block->owed &= ~(1U << n);
    /* Others have their turn first. */
    list_del_init(&block->owing);
    if ( block->owed )
        list_add_tail(&block->owing, &storm->owing);

    return rvgic_first_lpi(block) + n;
}

/* Softirq context: here the lock can be waited for. */
void rvgic_send_owed(struct rvgic_storm *storm)
{
    unsigned int max = MESSAGES;
    uint32_t lpi, device, data;
    unsigned long flags;
    bool early = false;

    do {
        spin_lock_irqsave(&rvgic_lpis_lock, flags);
        lpi = take_owed(storm);
        spin_unlock_irqrestore(&rvgic_lpis_lock, flags);

        /* It may have become nobody's. */
        if ( !lpi || !gicv3_lpi_message(storm->d, lpi, &device, &data) )
            continue;
        if ( rvgic_own_message(storm->d, device, data, false) == -EAGAIN )
        {
            owe(storm, lpi);
            early = true;
        }
    } while ( lpi && !early && --max );

    if ( early )
    {
        /* Its ITS waits for its guest. */
        spin_lock_irqsave(&storm->lock, flags);
        rvgic_storm_arm(storm, AGAIN);
        spin_unlock_irqrestore(&storm->lock, flags);
    }
    else if ( lpi )
        tasklet_schedule(&storm->tasklet);
}

uint32_t rvgic_take_changed(const struct domain *d, uint32_t first_lpi,
                            uint32_t *held)
{
    struct lpi_block *block = rvgic_lpi_block(first_lpi);
    unsigned long flags;
    uint32_t changed = 0;

    spin_lock_irqsave(&rvgic_lpis_lock, flags);
    if ( block && block->d == d )
    {
        changed = block->changed;
        *held = block->held;
        block->changed = 0;
        list_del_init(&block->changing);
    }
    spin_unlock_irqrestore(&rvgic_lpis_lock, flags);

    return changed;
}

void rvgic_lpi_kept(struct domain *d, uint32_t lpi, bool kept)
{
    struct lpi_block *block = rvgic_lpi_block(lpi);
    uint32_t bit = 1U << (lpi % LPI_BLOCK);
    unsigned long flags;
    bool off;

    spin_lock_irqsave(&rvgic_lpis_lock, flags);
    if ( block && block->d == d )
    {
        /* If it has been held or let go meanwhile, it has changed again. */
        off = (block->held & bit) && !kept;
        if ( off != !!(block->disabled & bit) )
            rvgic_set_lpi_enabled(d->arch.vgic.storm, block, lpi % LPI_BLOCK,
                                  !off);
        block->disabled = off ? block->disabled | bit : block->disabled & ~bit;
    }
    spin_unlock_irqrestore(&rvgic_lpis_lock, flags);
}

/* Softirq context: has the functions know what has changed. */
void rvgic_change_lpis(struct rvgic_storm *storm)
{
    unsigned long flags;
    bool any;

    spin_lock_irqsave(&rvgic_lpis_lock, flags);
    any = !list_empty(&storm->changing);
    spin_unlock_irqrestore(&rvgic_lpis_lock, flags);

    if ( any )
        rvgic_apply_held(storm->d);
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
