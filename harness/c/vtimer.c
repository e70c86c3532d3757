/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The virtual timer, as Xen has it: its PPI's handler, and how it is saved and
 * restored. For ours as the patches make it, for its own vGICs as it is.
 */

#include "half.h"

/* Of the CPU, from the Rust half; and the virtual count. */
register_t mock_cntv_ctl(void);
void mock_set_cntv_ctl(register_t ctl);
register_t mock_cntv_cval(void);

#define MOCK_OFFSET 0x1000
#define MOCK_COUNT  (1ULL << 40)

register_t mock_sysreg_CNTV_CTL_EL0(void)
{
    return mock_cntv_ctl();
}

void mock_set_sysreg_CNTV_CTL_EL0(register_t ctl)
{
    mock_set_cntv_ctl(ctl);
}

register_t get_cycles(void)
{
    return MOCK_OFFSET + MOCK_COUNT;
}

unsigned int timer_get_irq(enum timer_ppi ppi)
{
    return ppi == TIMER_VIRT_PPI ? mock_host.vtimer : 0;
}

#ifndef MOCK_PEER
static void ppi_enable(struct irq_desc *desc)
{
    ASSERT(spin_is_locked(&desc->lock));
    clear_bit(_IRQ_DISABLED, &desc->status);
    mock_phys_enable(desc->irq, true);
}

static void ppi_disable(struct irq_desc *desc)
{
    ASSERT(spin_is_locked(&desc->lock));
    mock_phys_enable(desc->irq, false);
    set_bit(_IRQ_DISABLED, &desc->status);
}

/* A PPI, the end of whose handler in Xen drops the priority alone. */
static const hw_irq_controller guest_kind = {
    .enable = ppi_enable,
    .disable = ppi_disable,
};

static void ppi_active(struct irq_desc *desc, bool on)
{
    ASSERT(spin_is_locked(&desc->lock));
    ASSERT(!local_irq_is_enabled());
    ASSERT(desc->handler == &guest_kind);
    if ( on )
        set_bit(_IRQ_INPROGRESS, &desc->status);
    mock_phys_active(desc->irq, on);
}

static bool ppi_pending(struct irq_desc *desc)
{
    ASSERT(spin_is_locked(&desc->lock));

    /* What it says is of no interest: that it says something is. */
    return false;
}

static const struct gic_hw_operations operations = {
    .gic_guest_irq_type = &guest_kind,
    .set_active_state = ppi_active,
    .read_pending_state = ppi_pending,
};

const struct gic_hw_operations *gic_hw_ops = &operations;
#endif

/* The end of vcpu_vtimer_init(). */
void mock_vtimer_init(struct vcpu *v)
{
    v->arch.virt_timer.irq = is_hardware_domain(v->domain) ? timer_get_irq(TIMER_VIRT_PPI) : 27;
    v->domain->arch.virt_timer_base.offset = MOCK_OFFSET;
#ifndef MOCK_PEER
    vgic_vtimer_init(v);
#endif
}

/* The end of init_timer_interrupt(), on each CPU. */
void mock_vtimer_setup(void)
{
#ifndef MOCK_PEER
    vgic_vtimer_setup();
#endif
}

/* vtimer_interrupt(). Does its end in Xen deactivate it? */
bool mock_vtimer_interrupt(void)
{
#ifdef MOCK_PEER
    struct vcpu *v = current;

    if ( is_idle_vcpu(v) )
        return true;

    mock_set_cntv_ctl(mock_cntv_ctl() | CNTx_CTL_MASK);
    vgic_inject_irq(v->domain, v, v->arch.virt_timer.irq, true);

    return true;
#else
    vgic_vtimer_fired();

    return false;
#endif
}

static void save_cval(struct vtimer *t)
{
    register_t cval;

    /* Time may pass meanwhile, which here is that the comparator comes back. */
    do {
        cval = mock_cntv_cval();
        __atomic_store_n(&t->cval, cval, __ATOMIC_SEQ_CST);
    } while ( cval != mock_cntv_cval() );
}

/* virt_timer_save(). Is Xen's own timer armed? */
bool mock_vtimer_save(struct vcpu *v)
{
    struct vtimer *t = &v->arch.virt_timer;

    t->ctl = mock_cntv_ctl();
    mock_set_cntv_ctl(t->ctl & ~CNTx_CTL_ENABLE);
    save_cval(t);

#ifdef MOCK_PEER
    return (t->ctl & (CNTx_CTL_ENABLE | CNTx_CTL_MASK)) == CNTx_CTL_ENABLE;
#else
    return vgic_vtimer_save(v);
#endif
}

/* virt_timer_restore(). */
void mock_vtimer_restore(struct vcpu *v)
{
#ifndef MOCK_PEER
    vgic_vtimer_restore(v);
#endif
    mock_set_cntv_ctl(v->arch.virt_timer.ctl);
}

/* virt_timer_expired(). */
void mock_vtimer_expired(struct vcpu *v)
{
#ifdef MOCK_PEER
    v->arch.virt_timer.ctl |= CNTx_CTL_MASK;
    vgic_inject_irq(v->domain, v, v->arch.virt_timer.irq, true);
#else
    vgic_vtimer_expired(v);
#endif
}

/* CTL and CVAL, while it is on no CPU. */
register_t *mock_vcpu_cntv(struct vcpu *v)
{
    return &v->arch.virt_timer.ctl;
}
