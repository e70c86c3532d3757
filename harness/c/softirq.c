/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Softirqs: the timers of a CPU and the tasklets that have been scheduled on it,
 * when it gets to them. And the time, which only passes on request.
 */

#include <sched.h>

#include "half.h"

static s_time_t now;

s_time_t mock_now(void)
{
    return __atomic_load_n(&now, __ATOMIC_RELAXED);
}

/* When the first timer goes off that is set. */
static s_time_t first_timer = STIME_MAX;

/* No CPU's. Has a timer's time come, for which its CPU is interrupted? */
void mock_pass_time(uint64_t ns, bool *expired)
{
    *expired = __atomic_add_fetch(&now, ns, __ATOMIC_SEQ_CST) >=
               __atomic_load_n(&first_timer, __ATOMIC_SEQ_CST);
}

/* All that are scheduled, the first one first. */
static struct {
    spinlock_t lock;
    struct tasklet *first;
    unsigned int count;
} tasklets;

void softirq_tasklet_init(struct tasklet *t, void (*func)(void *data), void *data)
{
    *t = (struct tasklet){ .func = func, .data = data, .scheduled_on = -1 };
}

static void enqueue(struct tasklet *t)
{
    struct tasklet **link = &tasklets.first;

    while ( *link )
        link = &(*link)->next;
    t->next = NULL;
    *link = t;
    __atomic_fetch_add(&tasklets.count, 1, __ATOMIC_RELEASE);
}

/* The link to a tasklet or, if that is NULL, to the first of this CPU. */
static struct tasklet **find(const struct tasklet *t, int cpu)
{
    struct tasklet **link = &tasklets.first;

    while ( *link && (t ? *link != t : (*link)->scheduled_on != cpu) )
        link = &(*link)->next;

    return link;
}

static void dequeue(struct tasklet **link)
{
    if ( *link )
    {
        *link = (*link)->next;
        __atomic_fetch_sub(&tasklets.count, 1, __ATOMIC_RELEASE);
    }
}

/* One that is scheduled already goes to that CPU. */
void tasklet_schedule_on_cpu(struct tasklet *t, unsigned int cpu)
{
    unsigned long flags;

    spin_lock_irqsave(&tasklets.lock, flags);
    if ( !t->is_dead )
    {
        if ( !t->is_running )
            dequeue(find(t, 0));
        t->scheduled_on = cpu;
        if ( !t->is_running )
            enqueue(t);
    }
    spin_unlock_irqrestore(&tasklets.lock, flags);
    if ( cpu != mock_this_cpu() )
        mock_softirq_elsewhere(cpu);
}

void tasklet_schedule(struct tasklet *t)
{
    tasklet_schedule_on_cpu(t, mock_this_cpu());
}

void tasklet_kill(struct tasklet *t)
{
    unsigned long flags;

    spin_lock_irqsave(&tasklets.lock, flags);
    dequeue(find(t, 0));
    t->scheduled_on = -1;
    t->is_dead = true;
    while ( t->is_running )
    {
        spin_unlock_irqrestore(&tasklets.lock, flags);
        sched_yield();
        spin_lock_irqsave(&tasklets.lock, flags);
    }
    spin_unlock_irqrestore(&tasklets.lock, flags);
}

/* Timers that are set, in no order; and how many, counted as the tasklets are. */
static struct {
    spinlock_t lock;
    struct timer *first;
    unsigned int count;
} timers;

void init_timer(struct timer *t, void (*function)(void *data), void *data, unsigned int cpu)
{
    *t = (struct timer){ .function = function, .data = data, .cpu = cpu, .runs_on = -1 };
}

/* Under the lock. */
static void find_first(void)
{
    s_time_t first = STIME_MAX;
    const struct timer *t;

    for ( t = timers.first; t; t = t->next )
        first = min(first, t->expires);
    __atomic_store_n(&first_timer, first, __ATOMIC_SEQ_CST);
}

/* Under the lock. */
static void unset(struct timer *t)
{
    struct timer **link = &timers.first;

    if ( !t->set )
        return;
    while ( *link != t )
        link = &(*link)->next;
    *link = t->next;
    t->set = false;
    find_first();
    __atomic_fetch_sub(&timers.count, 1, __ATOMIC_RELEASE);
}

void set_timer(struct timer *t, s_time_t expires)
{
    unsigned long flags;

    spin_lock_irqsave(&timers.lock, flags);
    if ( !t->is_dead )
    {
        unset(t);
        t->set = true;
        t->expires = expires;
        t->next = timers.first;
        timers.first = t;
        find_first();
        __atomic_fetch_add(&timers.count, 1, __ATOMIC_RELEASE);
    }
    spin_unlock_irqrestore(&timers.lock, flags);
}

void kill_timer(struct timer *t)
{
    unsigned long flags;

    spin_lock_irqsave(&timers.lock, flags);
    unset(t);
    t->is_dead = true;
    while ( t->runs_on >= 0 )
    {
        spin_unlock_irqrestore(&timers.lock, flags);
        sched_yield();
        spin_lock_irqsave(&timers.lock, flags);
    }
    spin_unlock_irqrestore(&timers.lock, flags);
}

/* Those of this CPU whose time has come. */
static void run_timers(int cpu)
{
    unsigned long flags;
    struct timer *t;

    if ( !__atomic_load_n(&timers.count, __ATOMIC_ACQUIRE) )
        return;

    spin_lock_irqsave(&timers.lock, flags);
    for ( t = timers.first; t; )
    {
        if ( (int)t->cpu != cpu || t->expires > mock_now() )
        {
            t = t->next;
            continue;
        }
        unset(t);
        t->runs_on = cpu;
        spin_unlock_irqrestore(&timers.lock, flags);
        t->function(t->data);
        spin_lock_irqsave(&timers.lock, flags);
        t->runs_on = -1;
        t = timers.first;
    }
    spin_unlock_irqrestore(&timers.lock, flags);
}

/* This memory is freed. No tasklet is in there that is going to run, and no timer. */
void mock_freed(const void *p, size_t size)
{
    const struct tasklet *t;
    const struct timer *timer;
    unsigned long flags;

    if ( __atomic_load_n(&tasklets.count, __ATOMIC_ACQUIRE) )
    {
        spin_lock_irqsave(&tasklets.lock, flags);
        for ( t = tasklets.first; t; t = t->next )
            if ( (uintptr_t)t - (uintptr_t)p < size )
                mock_broken("a tasklet is freed that is going to run");
        spin_unlock_irqrestore(&tasklets.lock, flags);
    }
    if ( __atomic_load_n(&timers.count, __ATOMIC_ACQUIRE) )
    {
        spin_lock_irqsave(&timers.lock, flags);
        for ( timer = timers.first; timer; timer = timer->next )
            if ( (uintptr_t)timer - (uintptr_t)p < size )
                mock_broken("a timer is freed that is set");
        spin_unlock_irqrestore(&timers.lock, flags);
    }
}

/* do_softirq(): on this CPU, with interrupts on and no lock held. */
void mock_do_softirq(void)
{
    int cpu = mock_this_cpu();
    unsigned long flags;
    struct tasklet *t;

    run_timers(cpu);
    if ( !__atomic_load_n(&tasklets.count, __ATOMIC_ACQUIRE) )
        return;
    ASSERT(local_irq_is_enabled());

    spin_lock_irqsave(&tasklets.lock, flags);
    while ( (t = *find(NULL, cpu)) != NULL )
    {
        dequeue(find(t, 0));
        t->scheduled_on = -1;
        t->is_running = true;
        spin_unlock_irqrestore(&tasklets.lock, flags);
        t->func(t->data);
        spin_lock_irqsave(&tasklets.lock, flags);
        t->is_running = false;
        if ( t->scheduled_on >= 0 )
            enqueue(t);
    }
    spin_unlock_irqrestore(&tasklets.lock, flags);
}
