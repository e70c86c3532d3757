/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Trapped accesses.
 */

#include "half.h"

void register_mmio_handler(struct domain *d, const struct mmio_handler_ops *ops,
                           paddr_t addr, paddr_t size, void *priv)
{
    if ( d->mmio_used >= d->mmio_max )
    {
        mock_broken("more MMIO handlers than domain_vgic_register() announced");
        return;
    }
    d->mmio[d->mmio_used++] =
        (struct mmio_handler){ .ops = ops, .addr = addr, .size = size, .priv = priv };
}

/* The last lines of Xen's handle_write(). */
static enum io_state handle_write(const struct mmio_handler *h, struct vcpu *v,
                                  mmio_info_t *info, register_t value)
{
    int rc = h->ops->write(v, info, value, h->priv);

    if ( rc == IO_RETRY )
        return IO_RETRY;

    return rc ? IO_HANDLED : IO_ABORT;
}

static _Thread_local struct cpu_user_regs guest_regs;

struct cpu_user_regs *guest_cpu_user_regs(void)
{
    return &guest_regs;
}

/*
 * A trapped access of 1 << size bytes: 1 handled, 0 abort, -1 nothing there, 2 the
 * guest executes it again. If it is post-indexed, step is added to its base register,
 * which is Xen's to do when it steps over an instruction that it had to decode.
 */
int mock_mmio(struct vcpu *v, paddr_t *base, int step, unsigned int size, bool write,
              bool aarch32, register_t *value)
{
    const register_t pc = 0x1000;
    const paddr_t gpa = *base;
    struct domain *d = v->domain;
    mmio_info_t info = { .dabt = { .size = size, .valid = 1 }, .gpa = gpa };
    unsigned int i;

    for ( i = 0; i < d->mmio_used; i++ )
    {
        const struct mmio_handler *h = &d->mmio[i];
        enum io_state state;

        if ( gpa < h->addr || gpa - h->addr >= h->size )
            continue;
        guest_regs.pc = pc;
        guest_regs.cpsr = aarch32 ? PSR_MODE_BIT : 0;
        if ( write )
            state = handle_write(h, v, &info, *value);
        else
        {
            *value = 0;
            state = h->ops->read(v, &info, value, h->priv) ? IO_HANDLED : IO_ABORT;
            ASSERT(!state || size == 3 || !(*value >> (8 << size)));
        }
        if ( state == IO_HANDLED )
        {
            *base += step;
            guest_regs.pc += 4;
        }

        return state == IO_ABORT ? 0 : guest_regs.pc == pc ? 2 : 1;
    }

    return -1;
}

/*
 * Of ICC_SGI1R (0), ICC_ASGI1R (1), ICC_SGI0R (2), ICC_DIR (3), ICC_CTLR (4), ICC_PMR (5)
 * or ICC_RPR (6). False: UNDEF.
 */
bool mock_sysreg(unsigned int which, bool aarch32, bool read, register_t *value)
{
    static const unsigned int sysregs[] = {
        HSR_SYSREG_ICC_SGI1R_EL1, HSR_SYSREG(3, 0, c12, c11, 6), HSR_SYSREG(3, 0, c12, c11, 7),
        HSR_SYSREG_ICC_DIR_EL1, HSR_SYSREG_ICC_CTLR_EL1, HSR_SYSREG_ICC_PMR_EL1,
        HSR_SYSREG_ICC_RPR_EL1,
    };
    static const unsigned int cp64[] = { ICC_SGI1R, ICC_ASGI1R, ICC_SGI0R };
    static const unsigned int cp32[] = { ICC_DIR, ICC_CTLR, ICC_PMR, ICC_RPR };
    struct cpu_user_regs regs = { 0 };
    union hsr hsr = { 0 };
    unsigned int reg = 5;

    if ( !aarch32 )
    {
        hsr.bits = sysregs[which];
        hsr.sysreg.reg = reg;
        hsr.sysreg.ec = HSR_EC_SYSREG;
        hsr.sysreg.read = read;
        regs.x[reg] = *value;
    }
    else if ( which < ARRAY_SIZE(cp64) )
    {
        regs.x[2] = (uint32_t)*value;
        regs.x[3] = *value >> 32;
        hsr.bits = cp64[which];
        hsr.cp64.reg1 = 2;
        hsr.cp64.reg2 = 3;
        hsr.cp64.ec = HSR_EC_CP15_64;
        hsr.cp64.read = read;
    }
    else
    {
        hsr.bits = cp32[which - ARRAY_SIZE(cp64)];
        hsr.cp32.reg = reg;
        hsr.cp32.ec = HSR_EC_CP15_32;
        hsr.cp32.read = read;
        regs.x[reg] = *value;
    }

    if ( !vgic_emulate(&regs, hsr) )
        return false;

    if ( read )
        *value = regs.x[reg];

    return true;
}
