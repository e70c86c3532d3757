/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's virtual timer: its interrupt is the host's PPI, mapped. Nobody
 * but the guest writes CNTV_CTL_EL0.IMASK; what keeps a line that is high from
 * interrupting again is that the PPI is active while the Rust half answers for
 * it, on whatever CPU the vCPU is.
 *
 * That takes a level. There are machines, or their descriptions, that have the
 * PPI an edge: then Xen keeps the line, as it does the physical timer's, and
 * looks at it on each exit while it is up. As long as that is so, the PPI is
 * disabled: it may be a level after all. So it does for an rVIC, to which no
 * PPI is mapped.
 */

#include <xen/event.h>
#include <xen/irq.h>
#include <xen/lib.h>
#include <xen/perfc.h>
#include <xen/sched.h>

#include <asm/current.h>
#include <asm/gic.h>
#include <asm/time.h>
#include <asm/vgic.h>
#include <asm/vtimer.h>

#include "glue.h"

/* The host's PPI, of this CPU. */
static struct irq_desc *host_ppi(void)
{
    return irq_to_desc(timer_get_irq(TIMER_VIRT_PPI));
}

/* There is a CPU whose PPI is an edge: a vCPU may come there. */
static bool __read_mostly some_edge;

void vgic_vtimer_setup(void)
{
    struct irq_desc *desc = host_ppi();
    unsigned long flags;

    spin_lock_irqsave(&desc->lock, flags);
    /* From here on its end in Xen leaves it active. */
    if ( rvgic_desc_is_level(desc) )
        desc->handler = gic_hw_ops->gic_guest_irq_type;
    else
        some_edge = true;
    spin_unlock_irqrestore(&desc->lock, flags);
}

void vgic_vtimer_init(struct vcpu *v)
{
    v->arch.vgic.keeps_vtimer =
        some_edge ||
        !rvgic_private_connect(v, v->arch.virt_timer.irq,
                               timer_get_irq(TIMER_VIRT_PPI));
}

void rvgic_ppi_set_active(unsigned int ppi, bool on)
{
    struct irq_desc *desc = irq_to_desc(ppi);
    unsigned long flags;

    spin_lock_irqsave(&desc->lock, flags);
    gic_hw_ops->set_active_state(desc, on);
    /* No handler of Xen's is in progress; release_irq() would wait for it. */
    clear_bit(_IRQ_INPROGRESS, &desc->status);
    /* A read of the same frame returns when the write before it has arrived. */
    if ( on )
        gic_hw_ops->read_pending_state(desc);
    spin_unlock_irqrestore(&desc->lock, flags);
}

/* Nobody answers for the PPI, which its handler is about to end. */
static void drop_ppi(void)
{
    if ( host_ppi()->handler == gic_hw_ops->gic_guest_irq_type )
        rvgic_ppi_set_active(timer_get_irq(TIMER_VIRT_PPI), false);
}

/* The line of the vCPU that is current, as its registers have it. */
static bool current_line(void)
{
    register_t ctl = READ_SYSREG(CNTV_CTL_EL0);

    ctl &= CNTx_CTL_ENABLE | CNTx_CTL_PENDING | CNTx_CTL_MASK;

    return ctl == (CNTx_CTL_ENABLE | CNTx_CTL_PENDING);
}

/* The PPI of this CPU is disabled while the line that Xen keeps is up. */
static void keep_quiet(bool up)
{
    struct irq_desc *desc = host_ppi();
    unsigned long flags;

    spin_lock_irqsave(&desc->lock, flags);
    if ( up != !!test_bit(_IRQ_DISABLED, &desc->status) )
    {
        if ( up )
        {
            desc->handler->disable(desc);
            /*
             * It has arrived before the line rises: a PPI that is taken still
             * would be ended, and not deactivated.
             */
            gic_hw_ops->read_pending_state(desc);
        }
        else
            desc->handler->enable(desc);
    }
    spin_unlock_irqrestore(&desc->lock, flags);
}

static void keep_line(struct vcpu *v, bool up)
{
    vgic_inject_irq(v->domain, v, v->arch.virt_timer.irq, up);
    keep_quiet(up);
}

/*
 * Interrupts may be on, and the PPI may be taken between the look at the line
 * and what comes of it. A line that is lowered by that is looked at again by
 * the Rust half, and found up; the PPI stays enabled then, until it is taken
 * once more or until the next look.
 */
void rvgic_vtimer_sample(struct vcpu *v)
{
    if ( unlikely(v->arch.vgic.keeps_vtimer) )
        keep_line(v, current_line());
}

/*
 * With an rVIC no exit looks at lines, but a call of the guest's may be about
 * this one: while it is up, and so has the PPI disabled. An enabled PPI comes by
 * itself.
 */
void rvgic_vtimer_resample(struct vcpu *v)
{
    if ( v->arch.vgic.keeps_vtimer &&
         test_bit(_IRQ_DISABLED, &host_ppi()->status) )
        rvgic_vtimer_sample(v);
}

void vgic_vtimer_fired(void)
{
    struct vcpu *v = current;

    perfc_incr(virt_timer_irqs);

    if ( is_idle_vcpu(v) )
    {
        /* It is nobody's. Firmware may have left it on, and it would go on. */
        WRITE_SYSREG(0, CNTV_CTL_EL0);
        drop_ppi();
    }
    else if ( v->arch.vgic.keeps_vtimer )
    {
        rvgic_vtimer_sample(v);
        drop_ppi();
    }
    /*
     * It may be late: then the line is low, the timer being another vCPU's by
     * now. The word takes even that, and drops it on the way into the guest.
     */
    else if ( !rvgic_private_fired(v, v->arch.virt_timer.irq) )
        drop_ppi();
}

/* The line, of a vCPU whose timer is in no CPU. */
static bool saved_line(const struct vcpu *v)
{
    const struct vtimer *t = &v->arch.virt_timer;
    register_t ctl = read_atomic(&t->ctl);

    if ( (ctl & (CNTx_CTL_ENABLE | CNTx_CTL_MASK)) != CNTx_CTL_ENABLE )
        return false;

    return get_cycles() - v->domain->arch.virt_timer_base.offset >=
           read_atomic(&t->cval);
}

bool vgic_vtimer_save(struct vcpu *v)
{
    const struct vtimer *t = &v->arch.virt_timer;

    /* The line is low before the PPI can fire again. */
    isb();

    if ( unlikely(v->arch.vgic.keeps_vtimer) )
    {
        keep_quiet(false);
        if ( saved_line(v) )
        {
            vgic_inject_irq(v->domain, v, t->irq, true);
            return false;
        }
    }
    /* It has fired already, so there is nothing to wait for. */
    else if ( rvgic_private_unload(v, t->irq, saved_line(v)) )
        return false;

    return (t->ctl & (CNTx_CTL_ENABLE | CNTx_CTL_MASK)) == CNTx_CTL_ENABLE &&
           rvgic_comes_in_time(read_atomic(&t->cval));
}

void vgic_vtimer_expired(struct vcpu *v)
{
    /* Its line is looked at when it is restored. */
    vcpu_kick(v);
}

void vgic_vtimer_restore(struct vcpu *v)
{
    if ( unlikely(v->arch.vgic.keeps_vtimer) )
        keep_line(v, saved_line(v));
    else
        rvgic_private_load(v, v->arch.virt_timer.irq, saved_line(v));

    /* Whatever CNTV_CTL_EL0 enables has its comparator and its offset. */
    isb();
}

int rvgic_vtimer_line(const struct vcpu *v)
{
    if ( v == current )
        return current_line();

    /* Its registers are in another CPU, which alone can read them. */
    if ( read_atomic(&v->is_running) )
        return -1;

    /* Xen says that it does not run only after what it has saved. */
    smp_rmb();

    return saved_line(v);
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
