/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reset, save and restore of a domain's vGIC: what the toolstack asks for, and
 * what else in Xen may.
 *
 * All three want vCPUs that do not run. Interrupts of the host, device models'
 * messages and lines go on meanwhile. Domctls exclude each other, so that nobody
 * destroys the domain during one, but between two parts of one that takes long.
 * It has such parts only if the toolstack itself has paused the domain: nobody is
 * to find a part of it.
 */

#include <xen/errno.h>
#include <xen/event.h>
#include <xen/guest_access.h>
#include <xen/lib.h>
#include <xen/sched.h>
#include <xen/vmap.h>

#include <asm/vgic.h>
#include <public/domctl.h>

#include "glue.h"

/*
 * What the domctl has room for is more than any vGIC needs: 230 kB have all LPIs
 * of 16 bits, and 60 kB the SPIs of both kinds and 128 vCPUs. 128 rVICs of 2048
 * interrupts each have 1.4 MB.
 */
#define STREAM_MAX MB(2)

static bool stops_here(const struct domain *d)
{
    return d->controller_pause_count && hypercall_preempt_check();
}

int vgic_domain_reset(struct domain *d)
{
    /* As Xen makes a vCPU. */
    static const uint32_t interface[RVGIC_INTERFACE_WORDS];
    struct vcpu *v;
    int rc;

    do
        rc = rvgic_reset(d);
    while ( rc == -ERESTART && !stops_here(d) );

    if ( !rc )
        for_each_vcpu ( d, v )
            rvgic_interface_restore(v, interface);

    return rc;
}

int vgic_its_reset(struct domain *d, unsigned int its)
{
    int rc;

    do
        rc = rvgic_reset_its(d, its);
    while ( rc == -ERESTART && !stops_here(d) );

    return rc;
}

static int reset(struct domain *d, const struct xen_domctl_vgic_reset *r)
{
    switch ( r->what )
    {
    case XEN_DOMCTL_VGIC_RESET_ALL:
        return r->its ? -EINVAL : vgic_domain_reset(d);

    case XEN_DOMCTL_VGIC_RESET_ITS:
        return vgic_its_reset(d, r->its);

    default:
        return -EINVAL;
    }
}

/*
 * What takes long comes before the stream has a buffer: how large it has to be is
 * known only then. With the vCPUs paused it stays that large.
 */
static int save(struct domain *d, struct xen_domctl_hvmcontext *c)
{
    size_t written = 0;
    uint8_t *stream;
    int64_t size;
    int rc;

    do
        size = rvgic_save_size(d);
    while ( size == -ERESTART && !stops_here(d) );

    if ( size < 0 )
        return size;

    if ( size > UINT32_MAX )
        return -E2BIG;

    /* How much is it? */
    if ( guest_handle_is_null(c->buffer) )
    {
        c->size = size;
        return 0;
    }

    if ( c->size < size )
        return -ENOSPC;

    stream = vmalloc(size);
    if ( !stream )
        return -ENOMEM;

    rc = rvgic_save(d, stream, size, &written);
    if ( !rc )
    {
        c->size = written;
        if ( copy_to_guest(c->buffer, stream, written) )
            rc = -EFAULT;
    }

    vfree(stream);

    return rc;
}

static int restore(struct domain *d, const struct xen_domctl_hvmcontext *c)
{
    uint8_t *stream;
    int rc;

    if ( !c->size || c->size > STREAM_MAX )
        return -EINVAL;

    stream = vmalloc(c->size);
    if ( !stream )
        return -ENOMEM;

    if ( copy_from_guest(stream, c->buffer, c->size) )
        rc = -EFAULT;
    else
        rc = rvgic_restore(d, stream, c->size);

    vfree(stream);

    return rc;
}

/* Each vCPU of a stream has to be there. */
static bool has_all_vcpus(const struct domain *d)
{
    unsigned int i;

    for ( i = 0; i < d->max_vcpus; i++ )
    {
        const struct vcpu *v = d->vcpu[i];

        if ( !v || (!v->arch.vgic.priv && !v->arch.vgic.rvic) )
            return false;
    }

    return true;
}

static int stopped_domctl(struct domain *d, struct xen_domctl *domctl)
{
    if ( domctl->cmd == XEN_DOMCTL_vgic_reset )
        return reset(d, &domctl->u.vgic_reset);

    /* Its devices are the host's, and what they are told is not ours to know. */
    if ( is_hardware_domain(d) )
        return -EOPNOTSUPP;

    if ( !has_all_vcpus(d) )
        return -EINVAL;

    /* The guest decides how long it takes, and only so can it be continued. */
    if ( !d->controller_pause_count )
        return -EBUSY;

    if ( domctl->cmd == XEN_DOMCTL_gethvmcontext )
        return save(d, &domctl->u.hvmcontext);

    return restore(d, &domctl->u.hvmcontext);
}

int vgic_state_domctl(struct domain *d, struct xen_domctl *domctl)
{
    int rc;

    /* Nobody pauses himself, and of what dies there is less each time. */
    if ( d == current->domain || d->is_dying )
        return -EINVAL;

    domain_pause(d);
    rc = stopped_domctl(d, domctl);
    domain_unpause(d);

    return rc;
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
