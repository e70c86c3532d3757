/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Storms: no domain's devices may keep a CPU busy with their interrupts.
 *
 * What comes from hardware for a domain, host LPIs and SPIs, is counted against
 * a bucket of tokens that the domain has: so many a second, and so many at
 * once. A source that comes when there is none left is delivered, and then
 * held: an LPI is disabled in its property byte, of which the redistributors
 * hear by GICR_INVLPIR or, from a tasklet, by INV; an SPI is disabled in the
 * distributor. What such a source has to say meanwhile is pending in the
 * physical GIC. A timer lets them go when there are tokens again: as many as
 * there are tokens, which are taken for them, since each may have something to
 * say and is held again then; those that have waited longest first. So however
 * many sources there are, they come as often as the rate says, and once more
 * each time that some are let go.
 *
 * Nothing is lost by that, and no message is later than a while: pending is
 * pending, and there is always a timer when something is held.
 *
 * PPIs are not counted: they are the guest's own timers. Neither is what a
 * guest or a device model makes pending, which is CPU time of theirs.
 *
 * On each CPU a domain has some tokens in hand, which only that CPU spends.
 * When there are none, it fetches more, with the lock: up to 31 if there are
 * many left, one if there are few. So what other CPUs have in hand is a small
 * part of what there is.
 *
 * Locks: that of a descriptor, then that of the LPIs or of the domain's bucket.
 */

#include <xen/cpumask.h>
#include <xen/init.h>
#include <xen/irq.h>
#include <xen/lib.h>
#include <xen/param.h>
#include <xen/sched.h>
#include <xen/smp.h>
#include <xen/spinlock.h>
#include <xen/tasklet.h>
#include <xen/time.h>
#include <xen/timer.h>
#include <xen/xmalloc.h>

#include <asm/vgic.h>

#include "storm.h"

/*
 * More than an NVMe device or a 10 GbE adapter of today needs, each of which
 * collects what it has to say at 10,000s to 100,000 interrupts a second; and
 * little enough that handling them, at about 2 us each, leaves others half a
 * CPU even if all of them come to one.
 */
#define STORM_RATE      200000U
/* Without a burst that somebody has set: what the rate comes to in 20 ms. */
#define STORM_BURST(rate) max((rate) / 50, 1U)
/* Of a rate: there is no limit. */
#define STORM_OFF       (~0U)

/* A token, in units of what a rate of 1/s brings in a nanosecond. */
#define TOKEN           1000000000UL
/*
 * Tokens that a CPU fetches at a time. One LPI in so many is looked at by
 * strays.c, too: a prime, so that each is now and then, however devices take
 * turns.
 */
#define IN_HAND         31U
/* Nothing is held for less, or Xen's timers would be what keeps a CPU busy. */
#define HELD_FOR        MICROSECS(100)
/* What is held is let go when there is this much of the rate again, of 1/s. */
#define ENOUGH          100
/* So many are let go at a time, for each of which there may be a command. */
#define AT_A_TIME       64U
/* In desc->status, beside Xen's, with the lock of the descriptor: */
#define DESC_HELD       16      /* Disabled here, whatever the guest says ... */
#define DESC_WANTED     17      /* ... and to be enabled again */

/* The hardware domain's, from Xen's command line. */
static uint32_t __read_mostly hwdom_rate = STORM_RATE;
static uint32_t __read_mostly hwdom_burst;

static int __init parse_vgic_storm(const char *s)
{
    unsigned long long rate, burst = 0;

    switch ( parse_bool(s, NULL) )
    {
    case 0:
        hwdom_rate = STORM_OFF;
        return 0;
    case 1:
        return 0;
    }

    rate = simple_strtoull(s, &s, 0);
    if ( *s == ',' )
    {
        burst = simple_strtoull(s + 1, &s, 0);
        if ( !burst )
            return -EINVAL;
    }
    if ( *s || !rate || rate >= STORM_OFF || burst >= STORM_OFF )
        return -EINVAL;

    hwdom_rate = rate;
    hwdom_burst = burst;

    return 0;
}
custom_param("vgic-storm", parse_vgic_storm);

static uint32_t limits(const struct domain *d, uint32_t *burst)
{
    uint32_t rate = read_atomic(&d->arch.vgic.storm_rate);

    *burst = read_atomic(&d->arch.vgic.storm_burst);
    if ( is_hardware_domain(d) )
    {
        rate = rate ?: hwdom_rate;
        *burst = *burst ?: hwdom_burst;
    }
    rate = rate ?: STORM_RATE;
    *burst = *burst ?: STORM_BURST(rate);

    return rate;
}

int rvgic_set_storm(struct domain *d, uint32_t rate, uint32_t burst)
{
    if ( rate )
        write_atomic(&d->arch.vgic.storm_rate, rate);
    if ( burst )
        write_atomic(&d->arch.vgic.storm_burst, burst);

    return 0;
}

/* The bucket ***************************************************************/

/* What has come in since the last time, which does not overflow 64 bits. */
static void fill(struct rvgic_storm *storm, uint32_t rate, uint32_t burst)
{
    uint64_t full = burst * TOKEN;
    s_time_t now = NOW(), passed = now - storm->filled;

    if ( storm->level > full )
        storm->level = full;
    /* Another CPU may have been a little ahead. */
    if ( passed <= 0 )
        return;

    storm->filled = now;
    if ( (uint64_t)passed > (full - storm->level) / rate )
        storm->level = full;
    else
        storm->level += passed * (uint64_t)rate;
}

/* Under the lock. Something is held from now on: when is it let go? */
void rvgic_storm_arm(struct rvgic_storm *storm, s_time_t time)
{
    s_time_t when = NOW() + time;

    if ( storm->dead || (storm->armed && when >= storm->when) )
        return;

    if ( !storm->armed )
        storm->since = NOW();
    storm->armed = true;
    storm->when = when;
    set_timer(&storm->timer, when);
}

/* How long until a good part of the tokens is there. */
static s_time_t refill_time(const struct rvgic_storm *storm, uint32_t rate,
                            uint32_t burst)
{
    uint64_t enough = max(min(rate / ENOUGH, burst / 2), 1U) * TOKEN;
    s_time_t time = 0;

    if ( enough > storm->level )
        time = (enough - storm->level) / rate + 1;

    return max(time, HELD_FOR);
}

/* Nothing is in hand: fetches tokens for what has come and for what will. */
bool rvgic_storm_fetch(struct rvgic_storm *storm)
{
    uint32_t burst, rate = limits(storm->d, &burst);
    unsigned int count = IN_HAND;
    unsigned long flags;

    if ( rate != STORM_OFF )
    {
        spin_lock_irqsave(&storm->lock, flags);
        fill(storm, rate, burst);
        count = min(storm->level / TOKEN / 8, (uint64_t)IN_HAND);
        if ( !count )
            count = storm->level >= TOKEN;
        storm->level -= count * TOKEN;
        spin_unlock_irqrestore(&storm->lock, flags);
    }

    if ( count )
        storm->cpus_have[smp_processor_id()].tokens = count - 1;

    return count;
}

/* Something is held until there are tokens. */
static void arm_for_tokens(struct rvgic_storm *storm, bool fresh)
{
    uint32_t burst, rate = limits(storm->d, &burst);
    unsigned long flags;

    spin_lock_irqsave(&storm->lock, flags);
    storm->times += fresh && !storm->armed;
    /* There may be no limit any more. */
    rvgic_storm_arm(storm, rate == STORM_OFF ? HELD_FOR
                                             : refill_time(storm, rate, burst));
    spin_unlock_irqrestore(&storm->lock, flags);
}

/* After something is held. */
void rvgic_storm_held(struct rvgic_storm *storm)
{
    arm_for_tokens(storm, true);
}

/* SPIs *********************************************************************/

static unsigned int spi_bit(unsigned int virq)
{
    return virq < FIRST_ESPI ? virq : virq - FIRST_ESPI + 1024;
}

static unsigned int spi_of(unsigned int bit)
{
    return bit < 1024 ? bit : bit - 1024 + FIRST_ESPI;
}

static void hold_irq(struct rvgic_storm *storm, struct irq_desc *desc,
                     unsigned int virq)
{
    unsigned int bit = spi_bit(virq);

    /* Of a domain that dies there is nobody to let it go. */
    if ( bit >= SPI_BITS || read_atomic(&storm->dead) )
        return;

    if ( !test_and_set_bit(DESC_HELD, &desc->status) )
    {
        /* The guest may have disabled it when it was on its way. */
        if ( test_bit(_IRQ_DISABLED, &desc->status) )
            clear_bit(DESC_WANTED, &desc->status);
        else
        {
            set_bit(DESC_WANTED, &desc->status);
            desc->handler->disable(desc);
        }
    }
    set_bit(bit, storm->spis);
    rvgic_storm_held(storm);
}

/* All of it, so that nothing is to be kept for afterwards where it is rare. */
static void noinline many_irqs(struct rvgic_storm *storm,
                               struct irq_desc *desc, unsigned int virq)
{
    if ( !rvgic_storm_fetch(storm) )
        hold_irq(storm, desc, virq);

    vgic_inject_irq(storm->d, NULL, virq, true);
}

void vgic_host_irq(struct domain *d, struct irq_desc *desc, unsigned int virq)
{
    struct rvgic_storm *storm = d->arch.vgic.storm;

    if ( likely(storm) && unlikely(!rvgic_storm_in_hand(storm)) )
        many_irqs(storm, desc, virq);
    else
        vgic_inject_irq(d, NULL, virq, true);
}

bool rvgic_desc_held(struct irq_desc *desc, bool wanted)
{
    if ( likely(!test_bit(DESC_HELD, &desc->status)) )
        return false;

    if ( wanted )
        set_bit(DESC_WANTED, &desc->status);
    else
        clear_bit(DESC_WANTED, &desc->status);

    return true;
}

void rvgic_desc_fresh(struct irq_desc *desc)
{
    clear_bit(DESC_HELD, &desc->status);
}

static void let_go_irq(struct domain *d, unsigned int virq)
{
    struct irq_desc *desc = vgic_get_hw_irq_desc(d, NULL, virq);
    unsigned long flags;

    if ( !desc )
        return;

    spin_lock_irqsave(&desc->lock, flags);
    /* With its lock it stays whose it is, which may be another domain's. */
    if ( vgic_get_hw_irq_desc(d, NULL, virq) == desc &&
         test_and_clear_bit(DESC_HELD, &desc->status) &&
         test_bit(DESC_WANTED, &desc->status) )
        desc->handler->enable(desc);
    spin_unlock_irqrestore(&desc->lock, flags);
}

static unsigned int held_irqs(const struct rvgic_storm *storm)
{
    unsigned int bit, count = 0;

    for ( bit = 0; bit < SPI_BITS; bit++ )
        count += !!test_bit(bit, storm->spis);

    return count;
}

/* So many at most, each in its turn. How many more might there have been? */
static unsigned int let_go_irqs(struct rvgic_storm *storm, unsigned int max)
{
    unsigned int i, bit;

    for ( i = 0; i < SPI_BITS && max; i++ )
    {
        bit = storm->next_spi;
        storm->next_spi = (bit + 1) % SPI_BITS;
        if ( test_bit(bit, storm->spis) &&
             test_and_clear_bit(bit, storm->spis) )
        {
            let_go_irq(storm->d, spi_of(bit));
            max--;
        }
    }

    return max;
}

/* The domain ***************************************************************/

static void timer_expired(void *data)
{
    struct rvgic_storm *storm = data;
    unsigned long flags;

    spin_lock_irqsave(&storm->lock, flags);
    storm->due = true;
    spin_unlock_irqrestore(&storm->lock, flags);

    /* Commands to an ITS may have to wait. */
    tasklet_schedule(&storm->tasklet);
}

/* How many of those that are held have their tokens, which they take. */
static unsigned int pay(struct rvgic_storm *storm)
{
    unsigned int held = held_irqs(storm) + rvgic_held_lpis(storm);
    uint32_t burst, rate = limits(storm->d, &burst);
    unsigned int count = min(held, AT_A_TIME);
    unsigned long flags;

    if ( rate == STORM_OFF || !count )
        return count;

    spin_lock_irqsave(&storm->lock, flags);
    fill(storm, rate, burst);
    /* One in any case, as others may always have been there before. */
    count = max(min(storm->level / TOKEN, (uint64_t)count), (uint64_t)1);
    /* Who is alone finds its token there, and is not held again at once. */
    storm->level -= (count - 1) * TOKEN;
    spin_unlock_irqrestore(&storm->lock, flags);

    return count;
}

static void let_go(struct rvgic_storm *storm)
{
    unsigned int count = pay(storm);

    /* Neither kind may leave nothing for the other every time. */
    storm->lpis_first = !storm->lpis_first;
    if ( storm->lpis_first )
        count = rvgic_let_go_lpis(storm, count);
    count = let_go_irqs(storm, count);
    if ( !storm->lpis_first )
        rvgic_let_go_lpis(storm, count);
}

/* Softirq context: nothing else is under way on this CPU. */
static void settle(void *data)
{
    struct rvgic_storm *storm = data;
    unsigned long flags;
    bool due;

    spin_lock_irqsave(&storm->lock, flags);
    due = storm->due;
    if ( due )
    {
        /* What is held from now on sees to it that it is let go. */
        storm->due = storm->armed = false;
        storm->held_for += NOW() - storm->since;
    }
    spin_unlock_irqrestore(&storm->lock, flags);

    if ( due )
    {
        let_go(storm);
        /* It is the same storm still. */
        if ( held_irqs(storm) || rvgic_held_lpis(storm) )
            arm_for_tokens(storm, false);
    }
    rvgic_send_owed(storm);
    rvgic_change_lpis(storm);
    rvgic_invalidate_lpis(storm);
}

/*
 * The domain is going to have a host interrupt. Process context; whoever comes
 * here for the same domain at once finds that the other one has done it.
 */
int vgic_watch_storms(struct domain *d)
{
    struct rvgic_storm *storm;
    size_t size = sizeof(*storm) + nr_cpu_ids * sizeof(storm->cpus_have[0]);

    if ( d->arch.vgic.storm )
        return 0;

    storm = _xzalloc(size, __alignof__(*storm));
    if ( !storm )
        return -ENOMEM;

    storm->d = d;
    storm->level = ~0ULL;
    storm->filled = NOW();
    spin_lock_init(&storm->lock);
    softirq_tasklet_init(&storm->tasklet, settle, storm);
    init_timer(&storm->timer, timer_expired, storm, smp_processor_id());
#ifdef CONFIG_HAS_ITS
    INIT_LIST_HEAD(&storm->blocks);
    INIT_LIST_HEAD(&storm->owing);
    INIT_LIST_HEAD(&storm->changing);
#endif

    if ( cmpxchg(&d->arch.vgic.storm, NULL, storm) )
    {
        kill_timer(&storm->timer);
        xfree(storm);
    }

    return 0;
}

void rvgic_stop_storms(struct domain *d)
{
    struct rvgic_storm *storm = d->arch.vgic.storm;
    unsigned long flags;

    if ( !storm )
        return;

    spin_lock_irqsave(&storm->lock, flags);
    write_atomic(&storm->dead, true);
    spin_unlock_irqrestore(&storm->lock, flags);

    kill_timer(&storm->timer);
    tasklet_kill(&storm->tasklet);
    rvgic_forget_lpis(storm);
}

void rvgic_forget_storms(struct domain *d)
{
    XFREE(d->arch.vgic.storm);
}

void rvgic_dump_storms(const struct domain *d)
{
    struct rvgic_storm *storm = d->arch.vgic.storm;
    uint32_t burst, rate = limits(d, &burst);
    unsigned long flags;
    uint64_t times;
    s_time_t time;

    if ( !storm )
        return;

    spin_lock_irqsave(&storm->lock, flags);
    times = storm->times;
    time = storm->held_for;
    if ( storm->armed )
        time += NOW() - storm->since;
    spin_unlock_irqrestore(&storm->lock, flags);

    if ( rate == STORM_OFF )
        printk("  storms: no limit");
    else
        printk("  storms: limit %u/s, burst %u", rate, burst);
    printk("; held %lu times, for %lu us; now %u LPIs, %u SPIs\n",
           (unsigned long)times, (unsigned long)time / 1000,
           rvgic_held_lpis(storm), held_irqs(storm));
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
