/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The run loop: who is woken, and the lines that Xen has looked at on an exit.
 */

#include "half.h"

void vcpu_kick(struct vcpu *v)
{
    bool running = __atomic_load_n(&v->is_running, __ATOMIC_SEQ_CST);

    clear_bit(_VPF_blocked, &v->pause_flags);
    mock_wake(v, __atomic_load_n(&v->processor, __ATOMIC_SEQ_CST),
              running && v != current);
}

/* Does the vGIC look at levels, which Xen then hands it on exits? */
bool mock_samples_lines(void)
{
#ifdef CONFIG_NEW_VGIC
    return true;
#else
    return false;
#endif
}

/* Does it want to see them on this exit? */
bool mock_wants_lines(struct vcpu *v)
{
#ifdef MOCK_PEER
    return mock_samples_lines();
#else
    return vgic_lines_up(v);
#endif
}
