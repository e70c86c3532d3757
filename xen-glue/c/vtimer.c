/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's virtual timer: its interrupt is the host's PPI, mapped. Nobody but
 * the guest writes CNTV_CTL_EL0.IMASK; what keeps a line that is high from
 * interrupting again is that the PPI is active while the Rust half answers for
 * it, on whatever CPU the vCPU is.
 */

#include <xen/irq.h>
#include <xen/lib.h>
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

void vgic_vtimer_setup(void)
{
    struct irq_desc *desc = host_ppi();
    unsigned long flags;

    spin_lock_irqsave(&desc->lock, flags);
    /* From here on its end in Xen leaves it active. */
    gic_ppi_to_guest_kind(desc);
    spin_unlock_irqrestore(&desc->lock, flags);
}

void vgic_vtimer_init(struct vcpu *v)
{
    if ( !rvgic_private_connect(v, v->arch.virt_timer.irq,
                                timer_get_irq(TIMER_VIRT_PPI)) )
        BUG();
}

void rvgic_ppi_set_active(unsigned int ppi, bool on)
{
    struct irq_desc *desc = irq_to_desc(ppi);
    unsigned long flags;

    spin_lock_irqsave(&desc->lock, flags);
    gic_ppi_set_active(desc, on);
    spin_unlock_irqrestore(&desc->lock, flags);
}

void vgic_vtimer_fired(void)
{
    struct vcpu *v = current;

    /*
     * It may be late: then the line is low, the timer being another vCPU's or
     * none's by now. A vCPU's word takes even that, and drops it on the way into
     * the guest; where there is none, nothing would ever deactivate it.
     */
    if ( is_idle_vcpu(v) || !rvgic_private_fired(v, v->arch.virt_timer.irq) )
        rvgic_ppi_set_active(timer_get_irq(TIMER_VIRT_PPI), false);
}

/* The line, of a vCPU whose timer is in no CPU. */
static bool saved_line(const struct vcpu *v)
{
    const struct vtimer *t = &v->arch.virt_timer;

    if ( (t->ctl & (CNTx_CTL_ENABLE | CNTx_CTL_MASK)) != CNTx_CTL_ENABLE )
        return false;

    return get_cycles() - v->domain->arch.virt_timer_base.offset >= t->cval;
}

bool vgic_vtimer_save(struct vcpu *v)
{
    register_t ctl = v->arch.virt_timer.ctl;

    /* It has fired already, so there is nothing to wait for. */
    if ( rvgic_private_unload(v, v->arch.virt_timer.irq) )
        return false;

    return (ctl & (CNTx_CTL_ENABLE | CNTx_CTL_MASK)) == CNTx_CTL_ENABLE;
}

void vgic_vtimer_restore(struct vcpu *v)
{
    rvgic_private_load(v, v->arch.virt_timer.irq, saved_line(v));
}

int rvgic_vtimer_line(const struct vcpu *v)
{
    if ( v == current )
    {
        register_t ctl = READ_SYSREG(CNTV_CTL_EL0);

        ctl &= CNTx_CTL_ENABLE | CNTx_CTL_PENDING | CNTx_CTL_MASK;

        return ctl == (CNTx_CTL_ENABLE | CNTx_CTL_PENDING);
    }

    /* Its registers are in another CPU, which alone can read them. */
    if ( read_atomic(&v->is_running) )
        return -1;

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
