/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The run loop: exits from a guest and entries, and the lines that can be
 * looked at then.
 */

#include <xen/lib.h>
#include <xen/sched.h>

#include <asm/current.h>
#include <asm/time.h>
#include <asm/vgic.h>

#include "glue.h"

struct vcpu *rvgic_current(void)
{
    return current;
}

void vgic_sync_from_lrs(struct vcpu *v)
{
    rvgic_sync_from(v->arch.vgic.priv);
}

void vgic_sync_to_lrs(void)
{
    rvgic_sync_to(current->arch.vgic.priv);
}

int rvgic_line(const struct vcpu *v, unsigned int virq)
{
    if ( virq == v->domain->arch.evtchn_irq )
        return !!read_atomic(&vcpu_info(v, evtchn_upcall_pending));

    if ( virq == v->arch.phys_timer.irq )
        return rvgic_ptimer_line(v);

    if ( virq == v->arch.virt_timer.irq )
        return rvgic_vtimer_line(v);

    return -1;
}

void vgic_lines_forget(struct vcpu *v)
{
    /*
     * Before the lines are looked at: each that is found up sets it again, and
     * so does who raises one meanwhile.
     */
    write_atomic(&v->arch.vgic.lines_up, false);
    smp_mb();
    rvgic_vtimer_sample(v);
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
