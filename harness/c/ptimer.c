/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The emulated physical timer, as Xen's vtimer.c has it: for ours as the patches
 * make it, for its own vGICs as it is. Time passes for one vCPU at a time, which
 * is that its comparator comes to be in the past.
 */

#include "half.h"

uint64_t boot_count;
unsigned long cpu_khz = 62500;

void stop_timer(struct timer *timer)
{
    __atomic_store_n(&timer->set, false, __ATOMIC_SEQ_CST);
}

/* CNTP_CTL_EL0, for the guest, and for Xen on an exit. */
register_t mock_ptimer_read(struct vcpu *v)
{
#ifndef MOCK_PEER
    vgic_ptimer_look(v);
#endif
    return __atomic_load_n(&v->arch.phys_timer.ctl, __ATOMIC_SEQ_CST);
}

/* phys_timer_expired(), on any CPU, if Xen's timer is set. Was it? */
bool mock_ptimer_expire(struct vcpu *v)
{
    struct vtimer *t = &v->arch.phys_timer;

    __atomic_store_n(&t->cval, 0, __ATOMIC_SEQ_CST);
    if ( !__atomic_exchange_n(&t->timer.set, false, __ATOMIC_SEQ_CST) )
        return false;

#ifdef MOCK_PEER
    if ( !(__atomic_fetch_or(&t->ctl, CNTx_CTL_PENDING, __ATOMIC_SEQ_CST) & CNTx_CTL_MASK) )
        vgic_inject_irq(v->domain, v, t->irq, true);
#else
    vgic_ptimer_expired(v);
#endif

    return true;
}

/* The guest writes the comparator and the control register. */
void mock_ptimer_write(struct vcpu *v, register_t ctl, register_t cval)
{
    struct vtimer *t = &v->arch.phys_timer;

    __atomic_store_n(&t->cval, cval, __ATOMIC_SEQ_CST);
    __atomic_store_n(&t->ctl, ctl & ~CNTx_CTL_PENDING, __ATOMIC_SEQ_CST);

#ifdef MOCK_PEER
    __atomic_store_n(&t->timer.set, ctl & CNTx_CTL_ENABLE, __ATOMIC_SEQ_CST);
#else
    if ( vgic_ptimer_written(v) )
        __atomic_store_n(&t->timer.set, true, __ATOMIC_SEQ_CST);
#endif
}
