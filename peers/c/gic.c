/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The driver of the list registers, for vGICs that reach them through Xen's
 * gic_hw_ops: GICH_* of IHI 0048B chapter 5, ICH_* of IHI 0069 chapter 12.
 */

#include "mock.h"

/* This CPU's registers, from the Rust half. */
uint64_t rvgic_mock_read_lr(size_t n);
void rvgic_mock_write_lr(size_t n, uint64_t value);
uint32_t rvgic_mock_read_hcr(void);
void rvgic_mock_write_hcr(uint32_t value);
uint32_t rvgic_mock_read_vmcr(void);
uint32_t mock_read_apr(void);

/* Where the fields of a list register are. */
struct format {
    unsigned int state, hw, group1, priority, priority_bits, pirq, pirq_bits, eoi, virq_bits;
};

static const struct format gich = {
    .state = 28, .hw = 31, .group1 = 30, .priority = 23, .priority_bits = 5,
    .pirq = 10, .pirq_bits = 10, .eoi = 19, .virq_bits = 10,
};

static const struct format ich = {
    .state = 62, .hw = 61, .group1 = 60, .priority = 48, .priority_bits = 8,
    .pirq = 32, .pirq_bits = 13, .eoi = 41, .virq_bits = 32,
};

/* In both, for a guest with a GICv2: who sent an SGI. */
#define SOURCE_SHIFT 10

static const struct format *format(void)
{
    return gic_hw_version() == GIC_V3 ? &ich : &gich;
}

static bool guest_has_sources(void)
{
    return current->domain->arch.vgic.version == GIC_V2;
}

static uint64_t bits(uint64_t value, unsigned int from, unsigned int count)
{
    return value >> from & (~0ULL >> (64 - count));
}

static void read_lr(int n, struct gic_lr *lr)
{
    const struct format *f = format();
    uint64_t raw = rvgic_mock_read_lr(n);

    lr->virq = bits(raw, 0, f->virq_bits);
    if ( guest_has_sources() )
        lr->virq &= 0x3ff;
    lr->priority = bits(raw, f->priority, f->priority_bits);
    lr->pending = bits(raw, f->state, 1);
    lr->active = bits(raw, f->state + 1, 1);
    lr->hw_status = bits(raw, f->hw, 1);
    if ( lr->hw_status )
        lr->hw.pirq = bits(raw, f->pirq, f->pirq_bits);
    else
    {
        lr->virt.eoi = bits(raw, f->eoi, 1);
        lr->virt.source = guest_has_sources() ? bits(raw, SOURCE_SHIFT, 3) : 0;
    }
}

static void write_lr(int n, const struct gic_lr *lr)
{
    const struct format *f = format();
    uint64_t raw = bits(lr->virq, 0, f->virq_bits) |
                   bits(lr->priority, 0, f->priority_bits) << f->priority |
                   (uint64_t)lr->pending << f->state | (uint64_t)lr->active << (f->state + 1) |
                   (uint64_t)lr->hw_status << f->hw |
                   (uint64_t)(!guest_has_sources()) << f->group1;

    if ( lr->hw_status )
        raw |= bits(lr->hw.pirq, 0, f->pirq_bits) << f->pirq;
    else
    {
        raw |= (uint64_t)lr->virt.eoi << f->eoi;
        if ( guest_has_sources() )
            raw |= bits(lr->virt.source, 0, 3) << SOURCE_SHIFT;
    }
    rvgic_mock_write_lr(n, raw);
}

static void clear_lr(int n)
{
    rvgic_mock_write_lr(n, 0);
}

static void update_lr(int n, unsigned int virq, uint8_t priority, unsigned int hw_irq,
                      unsigned int state)
{
    struct gic_lr lr = {
        .virq = virq,
        /* The distributor's eight bits. */
        .priority = priority >> (8 - format()->priority_bits),
        .pending = state & GICH_LR_PENDING,
        .active = state & GICH_LR_ACTIVE,
        .hw_status = hw_irq != INVALID_IRQ,
    };

    if ( lr.hw_status )
        lr.hw.pirq = hw_irq;
    write_lr(n, &lr);
}

static void update_hcr_status(uint32_t flag, bool set)
{
    uint32_t hcr = rvgic_mock_read_hcr();

    rvgic_mock_write_hcr(set ? hcr | flag : hcr & ~flag);
}

static unsigned int read_vmcr_priority(void)
{
    uint32_t vmcr = rvgic_mock_read_vmcr();

    return gic_hw_version() == GIC_V3 ? vmcr >> 24 : vmcr >> 27;
}

static unsigned int read_apr(int n)
{
    return n ? 0 : mock_read_apr();
}

static const struct gic_hw_operations operations = {
    .update_lr = update_lr,
    .update_hcr_status = update_hcr_status,
    .clear_lr = clear_lr,
    .read_lr = read_lr,
    .write_lr = write_lr,
    .read_vmcr_priority = read_vmcr_priority,
    .read_apr = read_apr,
};

const struct gic_hw_operations *const gic_hw_ops = &operations;

/* Which list registers of this CPU the old vGIC uses. */
DEFINE_PER_CPU(uint64_t, lr_mask);

/* gic_save_state() and gic_restore_state(), beside the registers themselves. */
void mock_save_state(struct vcpu *v)
{
    v->arch.lr_mask = this_cpu(lr_mask);
}

void mock_restore_state(struct vcpu *v)
{
    this_cpu(lr_mask) = v->arch.lr_mask;
}

#if RVGIC_XEN_RELEASE <= 420
bool vgic_is_valid_line(struct domain *d, unsigned int virq)
{
    return virq < vgic_num_irqs(d);
}
#endif
