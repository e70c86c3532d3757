/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The C half of the vGIC written in Rust: whatever takes Xen's macros, inline
 * functions or types. Nothing here knows how a GIC works.
 *
 * exports.h is generated from the Rust half. Being included next to Xen's own
 * prototypes it turns a function that does not match them into an error.
 */

#include <xen/cpumask.h>
#include <xen/errno.h>
#include <xen/init.h>
#include <xen/irq.h>
#include <xen/lib.h>
#include <xen/sched.h>
#include <xen/sizes.h>
#include <xen/spinlock.h>
#include <xen/xmalloc.h>

#include <asm/cpregs.h>
#include <asm/current.h>
#include <asm/gic.h>
#include <asm/gic_v3_defs.h>
#include <asm/gic_v3_its.h>
#include <asm/hsr.h>
#include <asm/mmio.h>
#include <asm/regs.h>
#include <asm/time.h>
#include <asm/vgic.h>

#include <public/arch-arm.h>
#include <public/domctl.h>

/* Declaring a function twice is what compares the declarations. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wredundant-decls"
#include "exports.h"
#include "releases.h"
#include "rvgic.h"
#pragma GCC diagnostic pop

/* The Rust half keeps up to 128 vCPUs in a domain. */
#define RVGIC_MAX_VCPUS     128U
#define RVGIC_V2_MAX_VCPUS  8U

#define RDIST_SIZE          (2 * SZ_64K)

/* Beside RVGIC_SGI1R and its siblings. */
#define RVGIC_DIR           (RVGIC_SGI0R + 1)

/* op1 is 0 for all three; Xen's names of these two have opc1 of AArch32. */
#define RVGIC_SYSREG_ASGI1R HSR_SYSREG(3,0,c12,c11,6)
#define RVGIC_SYSREG_SGI0R  HSR_SYSREG(3,0,c12,c11,7)

/* Where things are *********************************************************/

const struct rvgic_layout rvgic_layout = {
    .size = sizeof(struct rvgic_layout),
    .domain_id = offsetof(struct domain, domain_id),
    .domain_max_vcpus = offsetof(struct domain, max_vcpus),
    .domain_evtchn_irq = offsetof(struct domain, arch.evtchn_irq),
    .dist_version = offsetof(struct domain, arch.vgic.version),
    .dist_nr_spis = offsetof(struct domain, arch.vgic.nr_spis),
    .dist_nr_espis = offsetof(struct domain, arch.vgic.nr_espis),
    .dist_allocated_irqs = offsetof(struct domain, arch.vgic.allocated_irqs),
    .dist_priv = offsetof(struct domain, arch.vgic.priv),
    .vcpu_id = offsetof(struct vcpu, vcpu_id),
    .vcpu_domain = offsetof(struct vcpu, domain),
    .vcpu_pause_flags = offsetof(struct vcpu, pause_flags),
    .vcpu_blocked = _VPF_blocked,
    .vcpu_down = _VPF_down,
    .vgic_dist = offsetof(struct vcpu, arch.vgic.dist),
    .vgic_priv = offsetof(struct vcpu, arch.vgic.priv),
    .vgic_lines_up = offsetof(struct vcpu, arch.vgic.lines_up),
    .desc_irq = offsetof(struct irq_desc, irq),
};

#define FIELD_SIZE(type, field) sizeof(((type *)NULL)->field)

/* Not called: the widths that struct Layout is read with. */
static void __init __maybe_unused build_assertions(void)
{
    BUILD_BUG_ON(FIELD_SIZE(struct domain, domain_id) != 2);
    BUILD_BUG_ON(FIELD_SIZE(struct domain, max_vcpus) != 4);
    BUILD_BUG_ON(FIELD_SIZE(struct domain, arch.evtchn_irq) != 4);
    BUILD_BUG_ON(FIELD_SIZE(struct domain, arch.vgic.version) != 4);
    BUILD_BUG_ON(FIELD_SIZE(struct domain, arch.vgic.nr_spis) != 4);
    BUILD_BUG_ON(FIELD_SIZE(struct domain, arch.vgic.nr_espis) != 4);
    BUILD_BUG_ON(FIELD_SIZE(struct domain, arch.vgic.allocated_irqs) != 8);
    BUILD_BUG_ON(FIELD_SIZE(struct domain, arch.vgic.priv) != 8);
    BUILD_BUG_ON(FIELD_SIZE(struct vcpu, vcpu_id) != 4);
    BUILD_BUG_ON(FIELD_SIZE(struct vcpu, domain) != 8);
    BUILD_BUG_ON(FIELD_SIZE(struct vcpu, pause_flags) != 8);
    BUILD_BUG_ON(FIELD_SIZE(struct vcpu, arch.vgic.dist) != 8);
    BUILD_BUG_ON(FIELD_SIZE(struct vcpu, arch.vgic.priv) != 8);
    BUILD_BUG_ON(FIELD_SIZE(struct vcpu, arch.vgic.lines_up) != 1);
    BUILD_BUG_ON(FIELD_SIZE(struct irq_desc, irq) != 4);
    BUILD_BUG_ON(sizeof(struct vgic_cpu) != 3 * sizeof(void *));
    /* Rust compares dist_version with the architecture's version. */
    BUILD_BUG_ON(GIC_V2 + 1 != 2 || GIC_V3 + 1 != 3);
}

struct vcpu *rvgic_current(void)
{
    return current;
}

/* The run loop *************************************************************/

void vgic_sync_from_lrs(struct vcpu *v)
{
    rvgic_sync_from(v->arch.vgic.priv);
}

void vgic_sync_to_lrs(void)
{
    rvgic_sync_to(current->arch.vgic.priv);
}

/* The host's GIC ***********************************************************/

static struct {
    bool enabled;
    paddr_t dbase;
    paddr_t cbase;
    paddr_t csize;
    paddr_t vbase;
    /* Makes 8 KiB contiguous where each 4 KiB page repeats over 64 KiB. */
    uint32_t aliased_offset;
} host_v2;

void vgic_v2_setup_hw(paddr_t dbase, paddr_t cbase, paddr_t csize,
                      paddr_t vbase, uint32_t aliased_offset)
{
    host_v2.enabled = true;
    host_v2.dbase = dbase;
    host_v2.cbase = cbase;
    host_v2.csize = csize;
    host_v2.vbase = vbase;
    host_v2.aliased_offset = aliased_offset;

    rvgic_map_gich();
}

#ifdef CONFIG_GICV3
static struct {
    bool enabled;
    paddr_t dbase;
    unsigned int nr_regions;
    const struct rdist_region *regions;     /* Lives as long as Xen */
    unsigned int intid_bits;
} host_v3;

void vgic_v3_setup_hw(paddr_t dbase, unsigned int nr_rdist_regions,
                      const struct rdist_region *regions,
                      unsigned int intid_bits)
{
    host_v3.enabled = true;
    host_v3.dbase = dbase;
    host_v3.nr_regions = nr_rdist_regions;
    host_v3.regions = regions;
    host_v3.intid_bits = intid_bits;
}
#endif

unsigned int rvgic_host_version(void)
{
    return gic_hw_version() == GIC_V3 ? 3 : 2;
}

unsigned int rvgic_host_spis(void)
{
    /* Up to INTID 991: 992 to 1023 are not a whole group of 32 SPIs. */
    return min(gic_number_lines(), 992U) - NR_LOCAL_IRQS;
}

unsigned int rvgic_host_espis(void)
{
#ifdef CONFIG_GICV3_ESPI
    return gic_number_espis();
#else
    return 0;
#endif
}

unsigned int rvgic_lpi_bits(const struct domain *d)
{
#ifdef CONFIG_GICV3
    /* LPIs come by an ITS. List registers have room for 16 bits. */
    if ( vgic_v3_its_count(d) )
        return min(host_v3.intid_bits, 16U);
#endif

    return 0;
}

unsigned int vgic_max_vcpus(unsigned int domctl_vgic_version)
{
    switch ( domctl_vgic_version )
    {
    case XEN_DOMCTL_CONFIG_GIC_V2:
        return RVGIC_V2_MAX_VCPUS;

#ifdef CONFIG_GICV3
    case XEN_DOMCTL_CONFIG_GIC_V3:
        return RVGIC_MAX_VCPUS;
#endif

    default:
        return 0;
    }
}

/* A domain's frames ********************************************************/

/*
 * The CPU interface of a GICv2 has two pages. Those below csize are mapped to
 * the host's GICV: by Xen when the guest first touches them, up to 4.17 by
 * rvgic_map_gicv(). In the other one there is GICC_DIR alone, which no bit of
 * GICH_HCR or ICH_HCR_EL2 makes trap where it is in memory. It is left out: a
 * guest with EOImode 1 deactivates through us, and one with EOImode 0 never
 * goes there.
 *
 * Where each page is repeated over 64 KiB, the hardware domain sees 16 of each.
 * Where Xen maps them, it maps csize bytes from the page that was touched, and
 * not from cbase: a guest that starts at a later copy gets copies of the first
 * page in place of GICC_DIR. It can only confuse itself, and Linux starts at
 * the first.
 *
 * What guests are told of the size comes from the host's device tree or from
 * GUEST_GICC_SIZE, never from csize.
 */
static int place_v2(struct domain *d, rvgic_mmio_count_t *mmio_count)
{
    struct vgic_dist *vgic = &d->arch.vgic;

    if ( !host_v2.enabled )
        return -ENODEV;

    if ( is_hardware_domain(d) )
    {
        /* Its device tree is the host's: the frames are where that says. */
        if ( host_v2.csize < GUEST_GICC_SIZE )
            return -ENODEV;

        vgic->dbase = host_v2.dbase;
        vgic->cbase = host_v2.cbase;
        vgic->csize = host_v2.aliased_offset ? SZ_64K : PAGE_SIZE;
        vgic->vbase = host_v2.vbase;
    }
    else
    {
        bool host_layout = is_domain_direct_mapped(d);

        vgic->dbase = host_layout ? host_v2.dbase : GUEST_GICD_BASE;
        vgic->cbase = host_layout ? host_v2.cbase : GUEST_GICC_BASE;
        vgic->csize = PAGE_SIZE;
        vgic->vbase = host_v2.vbase + host_v2.aliased_offset;
    }

    *mmio_count = 2;

    return 0;
}

#ifdef CONFIG_GICV3
static int place_v3(struct domain *d, rvgic_mmio_count_t *mmio_count)
{
    struct vgic_dist *vgic = &d->arch.vgic;
    bool host_layout = domain_use_host_layout(d);
    unsigned int i, nr, first_cpu = 0;

    BUILD_BUG_ON(GUEST_GICV3_RDIST_REGIONS != 1);
    BUILD_BUG_ON(GUEST_GICV3_GICR0_SIZE / RDIST_SIZE < RVGIC_MAX_VCPUS);
    BUILD_BUG_ON(GICV3_GICR_SIZE != RDIST_SIZE);

    if ( !host_v3.enabled )
        return -ENODEV;

    nr = host_layout ? host_v3.nr_regions : GUEST_GICV3_RDIST_REGIONS;

    vgic->rdist_regions = xzalloc_array(struct vgic_rdist_region, nr);
    if ( !vgic->rdist_regions )
        return -ENOMEM;

    vgic->dbase = host_layout ? host_v3.dbase : GUEST_GICV3_GICD_BASE;

    /* As many of the host's regions as the vCPUs fill, and no more. */
    for ( i = 0; i < nr && first_cpu < d->max_vcpus; i++ )
    {
        struct vgic_rdist_region *region = &vgic->rdist_regions[i];

        region->base = host_layout ? host_v3.regions[i].base
                                   : GUEST_GICV3_GICR0_BASE;
        region->size = host_layout ? host_v3.regions[i].size
                                   : GUEST_GICV3_GICR0_SIZE;
        region->first_cpu = first_cpu;
        first_cpu += region->size / RDIST_SIZE;
    }

    vgic->nr_regions = i;
    *mmio_count = 1 + vgic->nr_regions + vgic_v3_its_count(d);

    return 0;
}
#endif

int domain_vgic_register(struct domain *d, rvgic_mmio_count_t *mmio_count)
{
    int rc = -ENODEV;

    switch ( d->arch.vgic.version )
    {
    case GIC_V2:
        rc = place_v2(d, mmio_count);
        break;

#ifdef CONFIG_GICV3
    case GIC_V3:
        rc = place_v3(d, mmio_count);
        break;
#endif

    default:
        break;
    }

    if ( rc == -ENODEV )
        printk(XENLOG_G_ERR "d%u: this host cannot give it a GICv%u\n",
               d->domain_id, d->arch.vgic.version + 1);

    return rc;
}

bool rvgic_region(const struct domain *d, unsigned int region,
                  uint64_t *base, uint64_t *size)
{
    if ( region >= d->arch.vgic.nr_regions )
        return false;

    *base = d->arch.vgic.rdist_regions[region].base;
    *size = d->arch.vgic.rdist_regions[region].size;

    return true;
}

/* Trapped accesses *********************************************************/

static int dist_mmio_read(struct vcpu *v, mmio_info_t *info, register_t *r,
                          void *priv)
{
    *r = rvgic_dist_read(v, info->gpa - v->domain->arch.vgic.dbase,
                         info->dabt.size);

    return 1;
}

static int dist_mmio_write(struct vcpu *v, mmio_info_t *info, register_t r,
                           void *priv)
{
    rvgic_dist_write(v, info->gpa - v->domain->arch.vgic.dbase, info->dabt.size,
                     rvgic_written(info, r));

    return 1;
}

static const struct mmio_handler_ops dist_ops = {
    .read  = dist_mmio_read,
    .write = dist_mmio_write,
};

/*
 * More to do than one trap may: whatever interrupt has come is taken first. Xen
 * is going to step over the store. In AArch32 that takes more, and reads of
 * GITS_CREADR, GICR_CTLR and GICR_SYNCR do the rest.
 */
void rvgic_once_more(void)
{
    struct cpu_user_regs *regs = guest_cpu_user_regs();

    if ( !(regs->cpsr & PSR_MODE_BIT) )
        regs->pc -= 4;
}

static int redist_mmio_read(struct vcpu *v, mmio_info_t *info, register_t *r,
                            void *priv)
{
    const struct vgic_dist *vgic = &v->domain->arch.vgic;
    const struct vgic_rdist_region *region = priv;

    *r = rvgic_redist_read(v, region - vgic->rdist_regions,
                           info->gpa - region->base, info->dabt.size);

    return 1;
}

static int redist_mmio_write(struct vcpu *v, mmio_info_t *info, register_t r,
                             void *priv)
{
    const struct vgic_dist *vgic = &v->domain->arch.vgic;
    const struct vgic_rdist_region *region = priv;

    if ( rvgic_redist_write(v, region - vgic->rdist_regions,
                            info->gpa - region->base, info->dabt.size,
                            rvgic_written(info, r)) )
        rvgic_once_more();

    return 1;
}

static const struct mmio_handler_ops redist_ops = {
    .read  = redist_mmio_read,
    .write = redist_mmio_write,
};

/* What follows the pages of a GICv2's CPU interface that Xen maps. */
static paddr_t dir_base(const struct domain *d)
{
    return d->arch.vgic.cbase + d->arch.vgic.csize;
}

static paddr_t dir_size(const struct domain *d)
{
    paddr_t size = is_hardware_domain(d) ? host_v2.csize : GUEST_GICC_SIZE;

    return size - d->arch.vgic.csize;
}

/* All reserved but GICC_DIR, which is write-only. */
static int dir_mmio_read(struct vcpu *v, mmio_info_t *info, register_t *r,
                         void *priv)
{
    *r = 0;

    return 1;
}

static int dir_mmio_write(struct vcpu *v, mmio_info_t *info, register_t r,
                          void *priv)
{
    paddr_t offset = info->gpa - dir_base(v->domain);

    /* There is a copy of it in each page if there are copies of pages. */
    if ( v->domain->arch.vgic.csize != PAGE_SIZE )
        offset &= PAGE_SIZE - 1;

    if ( !offset && info->dabt.size == DABT_WORD )
        rvgic_write_dir(v, rvgic_written(info, r));

    return 1;
}

static const struct mmio_handler_ops dir_ops = {
    .read  = dir_mmio_read,
    .write = dir_mmio_write,
};

/* Exactly as many handlers as domain_vgic_register() has announced. */
int rvgic_register_frames(struct domain *d)
{
    struct vgic_dist *vgic = &d->arch.vgic;
    unsigned int i;
    int rc;

    register_mmio_handler(d, &dist_ops, vgic->dbase,
                          vgic->version == GIC_V3 ? SZ_64K : PAGE_SIZE, NULL);

    if ( vgic->version == GIC_V2 )
    {
        register_mmio_handler(d, &dir_ops, dir_base(d), dir_size(d), NULL);

        rc = rvgic_map_gicv(d);
        if ( rc )
            return rc;
    }

    for ( i = 0; i < vgic->nr_regions; i++ )
        register_mmio_handler(d, &redist_ops, vgic->rdist_regions[i].base,
                              vgic->rdist_regions[i].size,
                              &vgic->rdist_regions[i]);

    return rvgic_register_its(d);
}

void rvgic_forget_frames(struct domain *d)
{
    d->arch.vgic.nr_regions = 0;
    XFREE(d->arch.vgic.rdist_regions);
}

/* ICC_SGI1R and its siblings, and ICC_DIR: all are write-only. */
bool vgic_emulate(struct cpu_user_regs *regs, union hsr hsr)
{
    unsigned int reg;
    uint64_t value;

    switch ( hsr.ec )
    {
    case HSR_EC_SYSREG:
        switch ( hsr.bits & HSR_SYSREG_REGS_MASK )
        {
        case HSR_SYSREG_ICC_SGI1R_EL1:  reg = RVGIC_SGI1R; break;
        case RVGIC_SYSREG_ASGI1R:       reg = RVGIC_ASGI1R; break;
        case RVGIC_SYSREG_SGI0R:        reg = RVGIC_SGI0R; break;
        case HSR_SYSREG_ICC_DIR_EL1:    reg = RVGIC_DIR; break;
        default: return false;
        }

        if ( hsr.sysreg.read )
            return false;

        value = get_user_reg(regs, hsr.sysreg.reg);
        break;

    case HSR_EC_CP15_32:
        switch ( hsr.bits & HSR_CP32_REGS_MASK )
        {
        case HSR_CPREG32(ICC_DIR): reg = RVGIC_DIR; break;
        default: return false;
        }

        if ( hsr.cp32.read )
            return false;

        value = (uint32_t)get_user_reg(regs, hsr.cp32.reg);
        break;

    case HSR_EC_CP15_64:
        switch ( hsr.bits & HSR_CP64_REGS_MASK )
        {
        case HSR_CPREG64(ICC_SGI1R):  reg = RVGIC_SGI1R; break;
        case HSR_CPREG64(ICC_ASGI1R): reg = RVGIC_ASGI1R; break;
        case HSR_CPREG64(ICC_SGI0R):  reg = RVGIC_SGI0R; break;
        default: return false;
        }

        if ( hsr.cp64.read )
            return false;

        value = (uint32_t)get_user_reg(regs, hsr.cp64.reg1);
        value |= (uint64_t)get_user_reg(regs, hsr.cp64.reg2) << 32;
        break;

    default:
        return false;
    }

    if ( reg != RVGIC_DIR )
        return rvgic_send_sgi(current, reg, value);

    if ( current->domain->arch.vgic.version != GIC_V3 )
        return false;

    rvgic_write_dir(current, value);

    return true;
}

rvgic_freed_t vcpu_vgic_free(struct vcpu *v)
{
    rvgic_vcpu_free(v);

    return RVGIC_FREED;
}

/* Lines that Xen keeps *****************************************************/

int rvgic_line(const struct vcpu *v, unsigned int virq)
{
    if ( virq == v->domain->arch.evtchn_irq )
        return !!read_atomic(&vcpu_info(v, evtchn_upcall_pending));

    if ( virq == v->arch.phys_timer.irq )
    {
        register_t ctl = v->arch.phys_timer.ctl;

        ctl &= CNTx_CTL_ENABLE | CNTx_CTL_PENDING | CNTx_CTL_MASK;

        return ctl == (CNTx_CTL_ENABLE | CNTx_CTL_PENDING);
    }

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
}

/* Physical interrupts ******************************************************/

bool rvgic_may_set_type(const struct domain *d)
{
    return irq_type_set_by_domain(d);
}

struct irq_desc *rvgic_irq_desc(unsigned int irq)
{
    if ( irq >= NR_LOCAL_IRQS && irq < 1020 )
        return irq_to_desc(irq);

#ifdef CONFIG_GICV3_ESPI
    if ( is_espi(irq) )
        return irq_to_desc(irq);
#endif

    return NULL;
}

unsigned long rvgic_desc_lock(struct irq_desc *desc)
{
    unsigned long flags;

    spin_lock_irqsave(&desc->lock, flags);

    return flags;
}

void rvgic_desc_unlock(struct irq_desc *desc, unsigned long flags)
{
    spin_unlock_irqrestore(&desc->lock, flags);
}

void rvgic_desc_set_enabled(struct irq_desc *desc, bool on)
{
    if ( on )
        desc->handler->enable(desc);
    else
        desc->handler->disable(desc);
}

void rvgic_desc_set_trigger(struct irq_desc *desc, bool level)
{
    /* The GIC driver takes a change only of a disabled interrupt. */
    if ( test_bit(_IRQ_DISABLED, &desc->status) )
        gic_set_irq_type(desc, level ? IRQ_TYPE_LEVEL_HIGH
                                     : IRQ_TYPE_EDGE_RISING);
}

void rvgic_desc_set_active(struct irq_desc *desc, bool on)
{
    gic_set_active_state(desc, on);
    if ( !on )
        rvgic_desc_done(desc);
}

void rvgic_desc_set_pending(struct irq_desc *desc, bool on)
{
    gic_set_pending_state(desc, on);
}

bool rvgic_desc_is_pending(struct irq_desc *desc)
{
    return gic_read_pending_state(desc);
}

void rvgic_desc_done(struct irq_desc *desc)
{
    clear_bit(_IRQ_INPROGRESS, &desc->status);
}

void rvgic_desc_route(struct irq_desc *desc, const struct vcpu *v)
{
    unsigned long flags;

    /* The GIC drivers' lock is taken by interrupt handlers, too. */
    local_irq_save(flags);
    /* The scheduler may be moving the vCPU: then either CPU will do. */
    irq_set_affinity(desc, cpumask_of(read_atomic(&v->processor)));
    local_irq_restore(flags);
}

/* Messages *****************************************************************/

void rvgic_log(unsigned int level, const char *text, size_t len)
{
    int n = min(len, (size_t)1024);

    /*
     * A guest can cause any of these but the "info" of its creation: the "G"
     * levels are rate-limited.
     */
    if ( level <= 1 )
        printk(XENLOG_G_ERR "rust-vgic: %.*s\n", n, text);
    else if ( level == 2 )
        printk(XENLOG_G_WARNING "rust-vgic: %.*s\n", n, text);
    else if ( level == 3 )
        printk(XENLOG_INFO "rust-vgic: %.*s\n", n, text);
    else
        printk(XENLOG_G_DEBUG "rust-vgic: %.*s\n", n, text);
}

void rvgic_print(const char *text, size_t len)
{
    printk("%.*s", (int)min(len, (size_t)1024), text);
}

void rvgic_panic(const char *text, size_t len)
{
    panic("rust-vgic: %.*s\n", (int)min(len, (size_t)1024), text);
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
