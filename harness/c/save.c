/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A domain's vGIC is saved and restored, and so are the CPU interfaces of vCPUs
 * that come and go.
 */

#include "half.h"
#ifndef MOCK_PEER
#include "glue.h"
#endif

#ifndef MOCK_PEER
void mock_interface_get(struct vcpu *v, uint32_t *words)
{
    rvgic_interface_save(v, words);
}

void mock_interface_set(struct vcpu *v, const uint32_t *words)
{
    rvgic_interface_restore(v, words);
}

/*
 * What Xen keeps of a vCPU's timers, of which the vGIC's stream says nothing:
 * CTL and CVAL of the virtual one, and of the emulated one, and whether Xen's
 * own timer for that is set.
 */
void mock_timers_get(struct vcpu *v, uint64_t *words)
{
    words[0] = v->arch.virt_timer.ctl;
    words[1] = v->arch.virt_timer.cval;
    words[2] = v->arch.phys_timer.ctl;
    words[3] = v->arch.phys_timer.cval;
    words[4] = v->arch.phys_timer.timer.set;
}

void mock_timers_set(struct vcpu *v, const uint64_t *words)
{
    v->arch.virt_timer.ctl = words[0];
    v->arch.virt_timer.cval = words[1];
    v->arch.phys_timer.ctl = words[2];
    v->arch.phys_timer.cval = words[3];
    v->arch.phys_timer.timer.set = words[4];
}

/* As the domctl does it, which is continued. */
void mock_save_size(struct domain *d, int64_t *size)
{
    do {
        *size = rvgic_save_size(d);
    } while ( *size == -ERESTART );
}

void mock_save(struct domain *d, void *to, size_t size, size_t *written, int *rc)
{
    *rc = rvgic_save(d, to, size, written);
}

/* Into the same domain, whose vGIC is reset before. */
void mock_restore_again(struct domain *d, const void *from, size_t size, int *rc)
{
    do {
        *rc = rvgic_reset(d);
    } while ( *rc == -ERESTART );

    if ( !*rc )
        *rc = rvgic_restore(d, from, size);
}

void mock_restore(struct domain *d, const void *from, size_t size, int *rc)
{
    *rc = rvgic_restore(d, from, size);
}
#endif
