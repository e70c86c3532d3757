/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Messages for guests: the virtual ITSes of a domain that has them without any
 * hardware behind, the frame of a GICv2m, and who sends to either. None of it
 * asks for a GICv3 or an ITS of the host, or for Xen's driver of one.
 */

#include <xen/errno.h>
#include <xen/lib.h>
#include <xen/sched.h>
#include <xen/sizes.h>

#include <asm/gic_v3_its.h>
#include <asm/guest_access.h>
#include <asm/mmio.h>
#include <asm/vgic.h>
#include <public/arch-arm.h>
#include <public/domctl.h>
#include <public/hvm/dm_op.h>

#include "glue.h"

/* A software ITS: bits of a DeviceID, of an EventID, and of an LPI's INTID. */
#define MSI_DEVICE_BITS 16
#define MSI_EVENT_BITS  16
#define MSI_LPI_BITS    16

/* The SPIs of a GICv2m, above those that were asked for. */
#define V2M_SPIS        32

/* Of the frame of a GICv2m: what a message is written to. */
#define V2M_SETSPI_NS   0x040

/* The hardware domain has what the host has, and nothing beside it. */
bool rvgic_has_msi(const struct domain *d)
{
    return (d->options & XEN_DOMCTL_CDF_arm_msi) && !is_hardware_domain(d);
}

/* Guest memory *************************************************************/

bool rvgic_read_guest(struct domain *d, uint64_t gpa, void *to, uint32_t size)
{
    return !access_guest_memory_by_gpa(d, gpa, to, size, false);
}

bool rvgic_write_guest(struct domain *d, uint64_t gpa, const void *from,
                       uint32_t size)
{
    /* It is only read from. */
    return !access_guest_memory_by_gpa(d, gpa, (void *)from, size, true);
}

/* ITSes ********************************************************************/

/*
 * The hardware domain has one for each of the host's, at the same address. So
 * has a direct-mapped one, of which nothing can be where the host has something
 * else; but there they are software.
 */
unsigned int rvgic_its_count(const struct domain *d)
{
    unsigned int n = 0;
    paddr_t base;

    if ( d->arch.vgic.version != GIC_V3 )
        return 0;

    if ( !is_hardware_domain(d) && !rvgic_has_msi(d) )
        return 0;

    if ( !domain_use_host_layout(d) )
        return 1;

    while ( rvgic_host_its_base(n, &base) )
        n++;

    return n;
}

/* ITS number n of those. */
paddr_t rvgic_its_base(const struct domain *d, unsigned int n)
{
    paddr_t base = GUEST_GICV3_ITS_BASE;

    if ( domain_use_host_layout(d) )
        rvgic_host_its_base(n, &base);

    return base;
}

unsigned int rvgic_lpi_bits(const struct domain *d)
{
    /* LPIs come by an ITS. */
    if ( !rvgic_its_count(d) )
        return 0;

#ifdef CONFIG_GICV3
    /* List registers have room for 16 bits. */
    if ( is_hardware_domain(d) )
        return min(rvgic_host_v3.intid_bits, 0U + MSI_LPI_BITS);
#endif

    return MSI_LPI_BITS;
}

bool rvgic_its(const struct domain *d, unsigned int n,
               uint32_t *device_bits, uint32_t *event_bits)
{
    if ( n >= rvgic_its_count(d) )
        return false;

    if ( is_hardware_domain(d) )
        return rvgic_host_its_bits(n, device_bits, event_bits);

    *device_bits = MSI_DEVICE_BITS;
    *event_bits = MSI_EVENT_BITS;

    return true;
}

static int its_mmio_read(struct vcpu *v, mmio_info_t *info, register_t *r,
                         void *priv)
{
    unsigned int n = (unsigned long)priv;

    *r = rvgic_its_read(v, n, info->gpa - rvgic_its_base(v->domain, n),
                        info->dabt.size);

    return 1;
}

static int its_mmio_write(struct vcpu *v, mmio_info_t *info, register_t r,
                          void *priv)
{
    unsigned int n = (unsigned long)priv;
    paddr_t base = rvgic_its_base(v->domain, n);

    return rvgic_stored(rvgic_its_write(v, n, info->gpa - base, info->dabt.size,
                                        rvgic_written(info, r)));
}

static const struct mmio_handler_ops its_ops = {
    .read  = its_mmio_read,
    .write = its_mmio_write,
};

/* The frame of a GICv2m ****************************************************/

static bool has_v2m(const struct domain *d)
{
    return d->arch.vgic.version == GIC_V2 && rvgic_has_msi(d);
}

bool rvgic_v2m(const struct domain *d, uint32_t *base, uint32_t *count)
{
    if ( !has_v2m(d) )
        return false;

    /* Its SPIs are the last of those that the domain has. */
    *count = V2M_SPIS;
    *base = NR_LOCAL_IRQS;
    if ( d->arch.vgic.nr_spis > V2M_SPIS )
        *base += d->arch.vgic.nr_spis - V2M_SPIS;

    return true;
}

static int v2m_mmio_read(struct vcpu *v, mmio_info_t *info, register_t *r,
                         void *priv)
{
    *r = rvgic_v2m_read(v, info->gpa - GUEST_GICV2M_BASE, info->dabt.size);

    return 1;
}

static int v2m_mmio_write(struct vcpu *v, mmio_info_t *info, register_t r,
                          void *priv)
{
    rvgic_v2m_write(v, info->gpa - GUEST_GICV2M_BASE, info->dabt.size,
                    rvgic_written(info, r));

    return 1;
}

static const struct mmio_handler_ops v2m_ops = {
    .read  = v2m_mmio_read,
    .write = v2m_mmio_write,
};

/* The inputs of an rVID ****************************************************/

bool rvgic_rvic_messages(const struct domain *d, uint32_t *count)
{
    /* Above those that were asked for. */
    *count = GUEST_RVID_MSI_INPUTS;

    return vgic_is_rvic(d) && rvgic_has_msi(d);
}

/* All of them **************************************************************/

/*
 * Is it where messages are written to? Of an ITS: which one. An rVID has none
 * that a CPU could find: only emulated devices and the host's know the address,
 * which may be one of RAM, too.
 */
static bool is_doorbell(const struct domain *d, uint64_t address,
                        unsigned int *its)
{
    unsigned int n;

    if ( vgic_is_rvic(d) )
        return rvgic_has_msi(d) && address == GUEST_RVID_MSI_ADDRESS;

    if ( has_v2m(d) )
        return address == GUEST_GICV2M_BASE + V2M_SETSPI_NS;

    for ( n = 0; n < rvgic_its_count(d); n++ )
        if ( address == rvgic_its_base(d, n) + ITS_DOORBELL_OFFSET )
        {
            *its = n;
            return true;
        }

    return false;
}

/* How many handlers, or why the domain cannot have what it is to have. */
int rvgic_place_msi(const struct domain *d)
{
    /* The host's GICv2m, if it has one, is the hardware domain's. */
    if ( has_v2m(d) && is_domain_direct_mapped(d) )
    {
        printk(XENLOG_G_ERR
               "d%u: a direct-mapped domain with a GICv2 cannot have a GICv2m\n",
               d->domain_id);
        return -EINVAL;
    }

    if ( has_v2m(d) )
        return 1;

    if ( rvgic_has_msi(d) && !rvgic_its_count(d) )
    {
        printk(XENLOG_G_ERR
               "d%u: a direct-mapped domain has its ITSes where the host has, which has none\n",
               d->domain_id);
        return -EINVAL;
    }

    return rvgic_its_count(d);
}

int rvgic_register_its(struct domain *d)
{
    unsigned long n;
    int rc = rvgic_prepare_host_its(d);

    if ( has_v2m(d) )
        register_mmio_handler(d, &v2m_ops, GUEST_GICV2M_BASE, GUEST_GICV2M_SIZE,
                              NULL);

    for ( n = 0; n < rvgic_its_count(d) && !rc; n++ )
    {
        register_mmio_handler(d, &its_ops, rvgic_its_base(d, n), SZ_128K,
                              (void *)n);
        if ( is_hardware_domain(d) )
            rc = rvgic_map_doorbell(d, n);
    }

    return rc;
}

/*
 * What becomes of a message to the domain's own doorbell, or to the one of its
 * ITS number n. irq: in hard interrupt context, where what may have to wait is
 * not done, which is -EAGAIN.
 */
static int message(struct domain *d, unsigned int n, uint32_t device,
                   uint32_t data, bool irq)
{
    if ( vgic_is_rvic(d) )
        return rvgic_rvic_message(d, data);

    if ( has_v2m(d) )
        return rvgic_spi_message(d, data);

    return irq ? rvgic_message_now(d, n, device, data)
               : rvgic_message(d, n, device, data);
}

int rvgic_inject_msi(struct domain *d, uint64_t doorbell, uint32_t segment,
                     uint32_t source, uint32_t data)
{
    unsigned int n = 0;

    /* There is one segment, of which all DeviceIDs are. */
    if ( segment || !is_doorbell(d, doorbell, &n) )
        return -ENOENT;

    return message(d, n, source, data, false);
}

/* Functions of the host's, see vpci.c **************************************/

/*
 * A message that arrives is sent to the domain's doorbell, and only the
 * hardware domain, whose hardware sends its own, may have several: another one
 * with the host's layout has the first.
 */
bool rvgic_msi_is_doorbell(const struct domain *d, uint64_t address)
{
    unsigned int n = 0;

    /* Without an ITS it has whatever else the host has. */
    if ( is_hardware_domain(d) && !rvgic_its_count(d) )
        return true;

    return is_doorbell(d, address, &n) && (!n || is_hardware_domain(d));
}

/* Its addresses and DeviceIDs are the host's, and its ITSes map what they do. */
bool rvgic_msi_is_direct(const struct domain *d)
{
    return is_hardware_domain(d);
}

int rvgic_own_message(struct domain *d, uint32_t device, uint32_t data,
                      bool irq)
{
    return message(d, 0, device, data, irq);
}

struct vcpu *rvgic_own_message_target(struct domain *d, uint32_t device,
                                      uint32_t data)
{
    if ( vgic_is_rvic(d) )
        return rvgic_rvic_target(d, data);

    if ( has_v2m(d) )
        return rvgic_spi_target(d, data);

    return rvgic_message_target(d, 0, device, data);
}

int vgic_inject_msi2(struct domain *d, const struct xen_dm_op_inject_msi2 *op)
{
    if ( op->pad || (op->flags & ~XEN_DMOP_MSI_SOURCE_ID_VALID) )
        return -EINVAL;

    /* An ITS has to be told whose message it is. */
    if ( d->arch.vgic.version == GIC_V3 &&
         !(op->flags & XEN_DMOP_MSI_SOURCE_ID_VALID) )
        return -EINVAL;

    return rvgic_inject_msi(d, op->addr, op->segment, op->source_id, op->data);
}

static int set_its_limits(struct domain *d,
                          const struct xen_domctl_vgic_limits *l)
{
    /* The hardware domain has no limits. */
    if ( is_hardware_domain(d) || !rvgic_its_count(d) )
        return -EOPNOTSUPP;

    /* What a guest was promised is not taken away from it. */
    if ( d->creation_finished )
        return -EBUSY;

    return rvgic_set_limits(d, l->lpis, l->devices, l->events);
}

int vgic_set_limits(struct domain *d, const struct xen_domctl_vgic_limits *l)
{
    int rc = 0;

    if ( l->pad )
        return -EINVAL;

    if ( l->lpis || l->devices || l->events )
        rc = set_its_limits(d, l);

    return rc ?: rvgic_set_storm(d, l->storm_rate, l->storm_burst);
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
