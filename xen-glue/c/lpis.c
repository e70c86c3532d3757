/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Host LPIs that a storm has held, see storm.c: which they are, and how the
 * redistributors come to know.
 *
 * An LPI is disabled and enabled in its property byte, which a redistributor
 * reads again when it is told to: here and now where this CPU's can be, and
 * otherwise by a command of the ITS, from a tasklet. Messages of a disabled LPI
 * become pending, and stay so until it is enabled. That is kept by the host's
 * number of the LPI: it does not matter what of it the guest moves or
 * invalidates meanwhile, nor whether strays.c sends it to another CPU. What the
 * guest clears, or was sent before it maps the event, is cleared in the host.
 *
 * One lock for all of them, which is taken when one is held or let go, and when
 * a device is mapped or unmapped.
 */

#include <xen/cpumask.h>
#include <xen/lib.h>
#include <xen/list.h>
#include <xen/sched.h>
#include <xen/smp.h>
#include <xen/spinlock.h>
#include <xen/tasklet.h>
#include <xen/time.h>
#include <xen/xmalloc.h>

#include <asm/gic_v3_its.h>
#include <asm/vgic.h>

#include "storm.h"

#ifdef CONFIG_HAS_ITS

/* So many LPIs are invalidated before other softirqs have their turn. */
#define INVALIDATIONS   64
/* When the ITS took no command. */
#define AGAIN           MILLISECS(1)
/*
 * Of so many LPIs that come though they are held, one has another CPU tell the
 * redistributors: this one may not get to its tasklets.
 */
#define RESTLESS        16

/* Under the lock; who has nothing to do for it looks without. */
static void set_stale(struct lpi_block *block, uint32_t stale)
{
    write_atomic(&block->stale, stale);
}

spinlock_t rvgic_lpis_lock = SPIN_LOCK_UNLOCKED;

/* What the host has. Once there, the table stays. */
static struct {
    struct lpi_block *blocks;
    unsigned int nr;
} host_lpis;

struct lpi_block *rvgic_lpi_block(uint32_t lpi)
{
    unsigned int n = (lpi - LPI_OFFSET) / LPI_BLOCK;
    unsigned int nr = read_atomic(&host_lpis.nr);

    /* As watch_lpis() has it: who sees that there are some sees where. */
    smp_rmb();

    return n < nr ? &host_lpis.blocks[n] : NULL;
}

uint32_t rvgic_first_lpi(const struct lpi_block *block)
{
    return LPI_OFFSET + (block - host_lpis.blocks) * LPI_BLOCK;
}

static int watch_lpis(void)
{
    unsigned int i, nr = gicv3_lpi_count() / LPI_BLOCK;
    struct lpi_block *blocks;
    unsigned long flags;

    if ( read_atomic(&host_lpis.nr) )
        return 0;

    blocks = xzalloc_array(struct lpi_block, nr);
    if ( !blocks )
        return -ENOMEM;
    for ( i = 0; i < nr; i++ )
    {
        INIT_LIST_HEAD(&blocks[i].entry);
        INIT_LIST_HEAD(&blocks[i].owing);
        INIT_LIST_HEAD(&blocks[i].changing);
    }

    spin_lock_irqsave(&rvgic_lpis_lock, flags);
    if ( !host_lpis.nr )
    {
        host_lpis.blocks = blocks;
        smp_wmb();
        write_atomic(&host_lpis.nr, nr);
        blocks = NULL;
    }
    spin_unlock_irqrestore(&rvgic_lpis_lock, flags);
    xfree(blocks);

    return 0;
}

/* Under the lock. */
static void forget_block(struct lpi_block *block)
{
    struct rvgic_storm *storm;

    if ( !list_empty(&block->entry) )
    {
        storm = block->d->arch.vgic.storm;
        list_del_init(&block->entry);
        storm->nr_lpis -= hweight32(block->held);
    }
    list_del_init(&block->owing);
    list_del_init(&block->changing);
    block->owed = block->changed = block->disabled = 0;
    block->d = NULL;
    block->held = 0;
    block->next = 0;
    set_stale(block, 0);
}

void vgic_lpi_block(struct domain *d, uint32_t first_lpi)
{
    struct lpi_block *block = rvgic_lpi_block(first_lpi);
    unsigned long flags;

    if ( !block )
        return;

    spin_lock_irqsave(&rvgic_lpis_lock, flags);
    forget_block(block);
    block->d = d;
    spin_unlock_irqrestore(&rvgic_lpis_lock, flags);
}

/*
 * Those of a guest's PCI functions are messages, and the functions are told to
 * keep them, which takes no command of the ITS: see rvgic_apply_held().
 */
static bool keeps_them(const struct rvgic_storm *storm)
{
#ifdef CONFIG_HAS_PCI_MSI
    return !is_hardware_domain(storm->d);
#else
    return false;
#endif
}

/* Under the lock. */
static void change(struct rvgic_storm *storm, struct lpi_block *block,
                   uint32_t bit)
{
    block->changed |= bit;
    if ( list_empty(&block->changing) )
        list_add_tail(&block->changing, &storm->changing);
}

/* Under the lock. */
void rvgic_set_lpi_enabled(struct rvgic_storm *storm, struct lpi_block *block,
                           unsigned int n, bool on)
{
    gicv3_lpi_set_enabled(rvgic_first_lpi(block) + n, on);
    set_stale(block, block->stale | (1U << n));
    storm->stale = true;
}

void rvgic_hold_lpi(struct rvgic_storm *storm, uint32_t lpi)
{
    struct lpi_block *block = rvgic_lpi_block(lpi);
    uint32_t bit = 1U << (lpi % LPI_BLOCK);
    unsigned int cpu = smp_processor_id();
    bool tell = false;
    unsigned long flags;

    if ( !block )
        return;

    spin_lock_irqsave(&rvgic_lpis_lock, flags);
    /*
     * It may have been unmapped meanwhile, and be another domain's. That of one
     * that dies would stay held: rvgic_forget_lpis() has been, or will be here.
     */
    if ( block->d == storm->d && !read_atomic(&storm->dead) )
    {
        bool fresh = !(block->held & bit);

        if ( fresh )
        {
            write_atomic(&storm->has_held, true);
            block->held |= bit;
            storm->nr_lpis++;
            if ( list_empty(&block->entry) )
                list_add_tail(&block->entry, &storm->blocks);
            if ( keeps_them(storm) )
                change(storm, block, bit);
            else
                gicv3_lpi_set_enabled(lpi, false);
        }
        /* One that comes though it is held may have been moved here. */
        if ( fresh && keeps_them(storm) )
            tell = true;
        else if ( !gicv3_lpi_invalidate_here(lpi) )
        {
            if ( fresh )
            {
                set_stale(block, block->stale | bit);
                storm->stale = true;
            }
            if ( fresh || !(++storm->restless % RESTLESS) )
                tell = true;
            if ( !fresh )
                cpu = cpumask_cycle(cpu, &cpu_online_map);
        }
        cpumask_set_cpu(smp_processor_id(), &storm->cpus);
    }
    spin_unlock_irqrestore(&rvgic_lpis_lock, flags);

    rvgic_storm_held(storm);
    if ( tell )
        tasklet_schedule_on_cpu(&storm->tasklet, cpu);
}

/*
 * What is of an event that the guest has not mapped is nobody's, but costs the
 * same.
 */
static void inject(struct domain *d, uint32_t virq)
{
    if ( likely(virq != INVALID_LPI) )
        rvgic_inject_lpi(d, virq);
}

/* All of it, as many_irqs() of storm.c. */
static void noinline many_lpis(struct rvgic_storm *storm, uint32_t lpi,
                               uint32_t virq)
{
    if ( !rvgic_storm_fetch(storm) )
        rvgic_hold_lpi(storm, lpi);
    else if ( virq != INVALID_LPI )
        rvgic_look_at_stray(storm->d, virq);

    inject(storm->d, virq);
}

void vgic_host_lpi(struct domain *d, uint32_t lpi, uint32_t virq)
{
    struct rvgic_storm *storm = d->arch.vgic.storm;

    if ( likely(storm) && unlikely(!rvgic_storm_in_hand(storm)) )
        many_lpis(storm, lpi, virq);
    else
        inject(d, virq);
}

void rvgic_lpis_come_to(struct domain *d, unsigned int cpu)
{
    if ( d->arch.vgic.storm )
        cpumask_set_cpu(cpu, &d->arch.vgic.storm->cpus);
}

/* Under the lock: the block that has waited longest, as far as max goes. */
static unsigned int let_go_block(struct rvgic_storm *storm,
                                 struct lpi_block *block, unsigned int max)
{
    uint32_t bit;

    for ( ; block->next < LPI_BLOCK && max; block->next++ )
    {
        bit = 1U << block->next;
        if ( !(block->held & bit) )
            continue;
        block->held &= ~bit;
        if ( keeps_them(storm) )
            change(storm, block, bit);
        else
            rvgic_set_lpi_enabled(storm, block, block->next, true);
        storm->nr_lpis--;
        max--;
    }

    if ( !block->held || block->next == LPI_BLOCK )
    {
        /* What has been held since is for its next turn. */
        block->next = 0;
        list_del_init(&block->entry);
        if ( block->held )
            list_add_tail(&block->entry, &storm->blocks);
    }

    return max;
}

unsigned int rvgic_let_go_lpis(struct rvgic_storm *storm, unsigned int max)
{
    unsigned long flags;
    bool more = true;

    while ( more && max )
    {
        spin_lock_irqsave(&rvgic_lpis_lock, flags);
        more = !list_empty(&storm->blocks);
        if ( more )
            max = let_go_block(storm, list_first_entry(&storm->blocks,
                                                       struct lpi_block, entry),
                               max);
        spin_unlock_irqrestore(&rvgic_lpis_lock, flags);
    }

    return max;
}

uint32_t vgic_take_stale_lpis(struct domain *d, uint32_t first_lpi)
{
    struct lpi_block *block = rvgic_lpi_block(first_lpi);
    unsigned long flags;
    uint32_t stale = 0;

    if ( !block || !read_atomic(&block->stale) )
        return 0;

    spin_lock_irqsave(&rvgic_lpis_lock, flags);
    if ( block->d == d )
    {
        stale = block->stale;
        set_stale(block, 0);
    }
    spin_unlock_irqrestore(&rvgic_lpis_lock, flags);

    return stale;
}

void vgic_lpis_stale(struct domain *d, uint32_t first_lpi, uint32_t lpis)
{
    struct lpi_block *block = rvgic_lpi_block(first_lpi);
    unsigned long flags;

    if ( !block )
        return;

    spin_lock_irqsave(&rvgic_lpis_lock, flags);
    if ( block->d == d )
    {
        set_stale(block, block->stale | lpis);
        d->arch.vgic.storm->stale = true;
    }
    spin_unlock_irqrestore(&rvgic_lpis_lock, flags);
}

/* Has the redistributors read what has changed, as far as it goes. */
void rvgic_invalidate_lpis(struct rvgic_storm *storm)
{
    unsigned long flags;
    bool stale;
    int rc;

    spin_lock_irqsave(&rvgic_lpis_lock, flags);
    stale = storm->stale;
    storm->stale = false;
    spin_unlock_irqrestore(&rvgic_lpis_lock, flags);

    if ( !stale )
        return;

    rc = gicv3_its_invalidate_lpis(storm->d, &storm->cpus, INVALIDATIONS);
    if ( !rc )
        return;

    spin_lock_irqsave(&rvgic_lpis_lock, flags);
    storm->stale = true;
    spin_unlock_irqrestore(&rvgic_lpis_lock, flags);

    if ( rc == -ERESTART )
        tasklet_schedule(&storm->tasklet);
    else
    {
        spin_lock_irqsave(&storm->lock, flags);
        rvgic_storm_arm(storm, AGAIN);
        spin_unlock_irqrestore(&storm->lock, flags);
    }
}

bool vgic_lpi_waits(struct domain *d, uint32_t lpi)
{
    struct lpi_block *block = rvgic_lpi_block(lpi);
    uint32_t bit = 1U << (lpi % LPI_BLOCK);
    unsigned long flags;
    bool waits;

    if ( !block )
        return false;

    spin_lock_irqsave(&rvgic_lpis_lock, flags);
    waits = block->d == d && ((block->held | block->stale) & bit);
    spin_unlock_irqrestore(&rvgic_lpis_lock, flags);

    return waits;
}

/*
 * The driver is asked only where there may be something: it looks for the
 * device, which takes longer than all else of the guest's command.
 */
void rvgic_clear_lpi(struct domain *d, paddr_t doorbell, uint32_t device,
                     uint32_t event)
{
    struct rvgic_storm *storm = d->arch.vgic.storm;

    if ( read_atomic(&storm->has_held) )
        gicv3_its_clear_guest_event(d, doorbell, device, event, &storm->cpus);
}

void rvgic_forget_lpis(struct rvgic_storm *storm)
{
    unsigned long flags;

    spin_lock_irqsave(&rvgic_lpis_lock, flags);
    while ( !list_empty(&storm->blocks) )
        forget_block(list_first_entry(&storm->blocks, struct lpi_block, entry));
    spin_unlock_irqrestore(&rvgic_lpis_lock, flags);
}

unsigned int rvgic_held_lpis(const struct rvgic_storm *storm)
{
    unsigned long flags;
    unsigned int count;

    spin_lock_irqsave(&rvgic_lpis_lock, flags);
    count = storm->nr_lpis;
    spin_unlock_irqrestore(&rvgic_lpis_lock, flags);

    return count;
}

int rvgic_watch_lpis(struct domain *d)
{
    return watch_lpis() ?: vgic_watch_storms(d);
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
