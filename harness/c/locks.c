/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Spin locks, which know who holds them.
 */

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "half.h"

static unsigned long myself(void)
{
    static _Thread_local char here;

    return (unsigned long)&here;
}

bool _spin_trylock(spinlock_t *lock)
{
    unsigned long expected = 0;

    return __atomic_compare_exchange_n(&lock->owner, &expected, myself(), false,
                                       __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

void _spin_lock(spinlock_t *lock)
{
    while ( !_spin_trylock(lock) )
    {
        if ( __atomic_load_n(&lock->owner, __ATOMIC_RELAXED) == myself() )
        {
            fprintf(stderr, "mock Xen: a spin lock is taken twice by one CPU\n");
            abort();
        }
        sched_yield();
    }
}

void _spin_unlock(spinlock_t *lock)
{
    if ( __atomic_exchange_n(&lock->owner, 0, __ATOMIC_RELEASE) != myself() )
        mock_broken("a spin lock is released by another CPU");
}

bool _spin_is_locked(const spinlock_t *lock)
{
    return __atomic_load_n(&lock->owner, __ATOMIC_RELAXED) != 0;
}
