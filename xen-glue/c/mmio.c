/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Trapped accesses: of a domain's frames, of the system registers that send
 * SGIs, and of those of the CPU interface that trap.
 */

#include <xen/lib.h>
#include <xen/sched.h>
#include <xen/sizes.h>

#include <asm/cpregs.h>
#include <asm/current.h>
#include <asm/gic.h>
#include <asm/hsr.h>
#include <asm/mmio.h>
#include <asm/regs.h>
#include <asm/vgic.h>

#include "glue.h"

/* op1 is 0 for all three; Xen's names of these two have opc1 of AArch32. */
#define RVGIC_SYSREG_ASGI1R HSR_SYSREG(3,0,c12,c11,6)
#define RVGIC_SYSREG_SGI0R  HSR_SYSREG(3,0,c12,c11,7)

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

    return rvgic_stored(rvgic_redist_write(v, region - vgic->rdist_regions,
                                           info->gpa - region->base,
                                           info->dabt.size,
                                           rvgic_written(info, r)));
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
    paddr_t size = is_hardware_domain(d) ? rvgic_host_v2.csize
                                         : GUEST_GICC_SIZE;

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

    if ( vgic_is_rvic(d) )
        return rvgic_prepare_host_its(d);

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

/*
 * ICC_SGI1R and its siblings, and those of the CPU interface that trap:
 * ICC_DIR by ICH_HCR_EL2.TDIR, all of them by ICH_HCR_EL2.TC.
 */
static bool emulate(unsigned int reg, bool read, uint64_t *value)
{
    if ( reg <= RVGIC_SGI0R )
        return !read && rvgic_send_sgi(current, reg, *value);

    return read ? rvgic_icc_read(current, reg, value)
                : rvgic_icc_write(current, reg, *value);
}

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
        case HSR_SYSREG_ICC_CTLR_EL1:   reg = RVGIC_CTLR; break;
        case HSR_SYSREG_ICC_PMR_EL1:    reg = RVGIC_PMR; break;
        case HSR_SYSREG_ICC_RPR_EL1:    reg = RVGIC_RPR; break;
        default: return false;
        }

        value = get_user_reg(regs, hsr.sysreg.reg);
        if ( !emulate(reg, hsr.sysreg.read, &value) )
            return false;

        if ( hsr.sysreg.read )
            set_user_reg(regs, hsr.sysreg.reg, value);

        return true;

    case HSR_EC_CP15_32:
        switch ( hsr.bits & HSR_CP32_REGS_MASK )
        {
        case HSR_CPREG32(ICC_DIR):  reg = RVGIC_DIR; break;
        case HSR_CPREG32(ICC_CTLR): reg = RVGIC_CTLR; break;
        case HSR_CPREG32(ICC_PMR):  reg = RVGIC_PMR; break;
        case HSR_CPREG32(ICC_RPR):  reg = RVGIC_RPR; break;
        default: return false;
        }

        value = (uint32_t)get_user_reg(regs, hsr.cp32.reg);
        if ( !emulate(reg, hsr.cp32.read, &value) )
            return false;

        if ( hsr.cp32.read )
            set_user_reg(regs, hsr.cp32.reg, value);

        return true;

    case HSR_EC_CP15_64:
        switch ( hsr.bits & HSR_CP64_REGS_MASK )
        {
        case HSR_CPREG64(ICC_SGI1R):  reg = RVGIC_SGI1R; break;
        case HSR_CPREG64(ICC_ASGI1R): reg = RVGIC_ASGI1R; break;
        case HSR_CPREG64(ICC_SGI0R):  reg = RVGIC_SGI0R; break;
        default: return false;
        }

        value = (uint32_t)get_user_reg(regs, hsr.cp64.reg1);
        value |= (uint64_t)get_user_reg(regs, hsr.cp64.reg2) << 32;

        return emulate(reg, hsr.cp64.read, &value);

    default:
        return false;
    }
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
