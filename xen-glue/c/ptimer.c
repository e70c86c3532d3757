/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's physical timer, which Xen emulates. Its line is what its
 * registers say of the counter, whenever somebody asks. Xen's own timer is
 * there to have it asked when it rises by itself; it falls only by what the
 * guest writes.
 *
 * Its registers are written by the vCPU alone. A softirq that looks at them
 * while the vCPU is already on another CPU may see half of a write: the vCPU
 * hands in its level after that, and is asked for it on its next exit, too.
 */

#include <xen/lib.h>
#include <xen/perfc.h>
#include <xen/sched.h>
#include <xen/time.h>
#include <xen/timer.h>

#include <asm/time.h>
#include <asm/vgic.h>

#include "glue.h"

/* CNTP_CTL_EL0.ISTATUS. Where the timer is not enabled nobody may ask. */
static bool has_expired(const struct vtimer *t)
{
    return (read_atomic(&t->ctl) & CNTx_CTL_ENABLE) &&
           get_cycles() >= read_atomic(&t->cval);
}

bool rvgic_ptimer_line(const struct vcpu *v)
{
    const struct vtimer *t = &v->arch.phys_timer;

    return !(read_atomic(&t->ctl) & CNTx_CTL_MASK) && has_expired(t);
}

/*
 * Xen's clock, nanoseconds in 63 bits, ends before the counter does. What would
 * come after that never comes. Half of the clock is left for the offset that a
 * caller may add.
 */
bool rvgic_comes_in_time(uint64_t ticks)
{
    return ticks / cpu_khz < STIME_MAX / MILLISECS(2);
}

void vgic_ptimer_look(struct vcpu *v)
{
    struct vtimer *t = &v->arch.phys_timer;
    register_t ctl = t->ctl & ~CNTx_CTL_PENDING;

    if ( has_expired(t) )
        ctl |= CNTx_CTL_PENDING;
    write_atomic(&t->ctl, ctl);

    /* Who sees it expired sees it pending, however late Xen's timer is. */
    if ( ctl == (CNTx_CTL_ENABLE | CNTx_CTL_PENDING) )
        vgic_inject_irq(v->domain, v, t->irq, true);
}

bool vgic_ptimer_written(struct vcpu *v)
{
    struct vtimer *t = &v->arch.phys_timer;
    register_t ctl = t->ctl & (CNTx_CTL_ENABLE | CNTx_CTL_MASK);
    bool unmasked = ctl == CNTx_CTL_ENABLE;
    bool expired;

    write_atomic(&t->ctl, ctl);
    expired = has_expired(t);
    vgic_inject_irq(v->domain, v, t->irq, unmasked && expired);

    if ( unmasked && !expired && rvgic_comes_in_time(t->cval - boot_count) )
        return true;

    stop_timer(&t->timer);

    return false;
}

void vgic_ptimer_expired(struct vcpu *v)
{
    /* The guest may have written meanwhile, and then has set it again. */
    if ( !rvgic_ptimer_line(v) )
        return;

    perfc_incr(vtimer_phys_inject);
    vgic_inject_irq(v->domain, v, v->arch.phys_timer.irq, true);

    /* The vCPU may be on another CPU, and have lowered it just before that. */
    if ( !rvgic_ptimer_line(v) )
        vgic_inject_irq(v->domain, v, v->arch.phys_timer.irq, false);
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
