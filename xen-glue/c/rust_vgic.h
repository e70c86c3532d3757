/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The vGIC's part of struct domain and struct vcpu with RUST_VGIC.
 *
 * Installed as include/asm/rust_vgic.h and included by asm/vgic.h in place of
 * asm/new_vgic.h. The vGIC keeps its state in objects of its own: here is what
 * the rest of Xen reads, and where those objects are.
 */
#ifndef __ASM_ARM_RUST_VGIC_H__
#define __ASM_ARM_RUST_VGIC_H__

#include <xen/types.h>

#ifdef CONFIG_HAS_ITS
#include <xen/rbtree.h>
#include <xen/spinlock.h>
#endif

/* What a domain has in place of a GIC: beside enum gic_version, which ends at 2. */
#define VGIC_RVIC 3

struct vgic_rdist_region {
    paddr_t base;
    paddr_t size;
    unsigned int first_cpu;     /* First vCPU whose redistributor is here */
};

struct vgic_dist {
    /* enum gic_version or VGIC_RVIC, set by domain.c */
    uint32_t version;
    unsigned int nr_spis;       /* Without extended SPIs; a multiple of 32 */
    unsigned int nr_espis;      /* A multiple of 32 */
    unsigned int nr_regions;    /* GICv3 only */
    paddr_t dbase;              /* Distributor */
    paddr_t cbase;              /* GICv2 only: CPU interface ... */
    paddr_t csize;              /* ... what of it is mapped: not GICC_DIR ... */
    paddr_t vbase;              /* ... and the host's frame mapped there */
    struct vgic_rdist_region *rdist_regions;
    /* A bit each for local IRQs, then SPIs, then extended SPIs. */
    unsigned long *allocated_irqs;
    void *priv;                 /* The Rust object, NULL before there is one */
    void *rvic;                 /* The same, of a domain with an rVIC */
    /* Its host interrupts, see storm.c. NULL: it has none. */
    struct rvgic_storm *storm;
    uint32_t storm_rate, storm_burst;   /* 0: nobody has said */
#ifdef CONFIG_HAS_ITS
    /* gic-v3-its.c keeps here what of the host's ITSes the domain has. */
    struct rb_root its_devices;
    spinlock_t its_devices_lock;
    /* LPIs that come to other CPUs than their vCPUs'. NULL: no LPIs at all. */
    struct rvgic_strays *strays;
#endif
};

struct vgic_cpu {
    void *dist;                 /* The domain's Rust object; NULL: idle */
    void *priv;                 /* The vCPU's */
    void *rvic;                 /* With an rVIC, where those two are NULL */
    bool lines_up;              /* See vgic_lines_up() */
    bool keeps_vtimer;          /* Its PPI is not mapped, see vtimer.c */
};

/* A macro, since struct domain is not known yet. */
#define vgic_is_rvic(d) ((d)->arch.vgic.version == VGIC_RVIC)

/* An ID register whose field at this bit says that there is a GIC. */
#define vgic_id_field(d, shift, value) \
    (vgic_is_rvic(d) ? (value) & ~(0xfULL << (shift)) : (value))

static inline paddr_t vgic_cpu_base(const struct vgic_dist *vgic)
{
    return vgic->cbase;
}

static inline paddr_t vgic_dist_base(const struct vgic_dist *vgic)
{
    return vgic->dbase;
}

struct cpu_user_regs;
struct domain;
struct vcpu;
struct irq_desc;

/*
 * gic-v3-its.c allocates one for each event of a device and hands it out as the
 * name of that event. The vGIC keeps nothing in it.
 */
struct pending_irq {
    unsigned int irq;
};

/* The older name of vgic_inject_irq() for an interrupt of the vCPU itself. */
void vgic_vcpu_inject_irq(struct vcpu *v, unsigned int virq);

/*
 * Have the lines of a vCPU's physical timer and of its event channel to be
 * looked at, now that it has left its guest? Who raises one says so to
 * vgic_inject_irq(), which notes it: there is nothing to see while none is up
 * and none was. The virtual timer's interrupt is the hardware's; only where the
 * PPI cannot be mapped is its line one of them, and vgic_lines_forget() looks.
 */
#define vgic_lines_up(v) ({                                             \
    bool up_ = read_atomic(&(v)->arch.vgic.lines_up);                   \
                                                                        \
    if ( unlikely(up_) )                                                \
        vgic_lines_forget(v);                                           \
    up_;                                                                \
})

void vgic_lines_forget(struct vcpu *v);

/*
 * When a domain is destroyed and none of its vCPUs runs: what of its vGIC may
 * be much, before domain_vgic_free() has it all at once. -ERESTART: there is
 * more.
 */
int domain_vgic_relinquish(struct domain *d);

struct dt_device_node;
struct xen_dm_op_inject_msi2;
struct xen_domctl;
struct xen_domctl_createdomain;
struct xen_domctl_vgic_limits;

/* XEN_DOMCTL_vgic_limits and XEN_DMOP_inject_msi2, as public/ says. */
int vgic_set_limits(struct domain *d, const struct xen_domctl_vgic_limits *l);
int vgic_inject_msi2(struct domain *d, const struct xen_dm_op_inject_msi2 *op);

/*
 * Of a domain that is built from a node of the host's device tree: what the
 * node says, before there is a domain, and of its limits, once there is one;
 * then, for the guest's node of its interrupt controller, #address-cells and
 * what comes with it, and its children.
 */
void vgic_domu_parse(const struct dt_device_node *node,
                     struct xen_domctl_createdomain *config,
                     unsigned int flags);
void vgic_domu_limits(struct domain *d, const struct dt_device_node *node);
int vgic_domu_cells(const struct domain *d, void *fdt);
int vgic_domu_nodes(const struct domain *d, void *fdt);

/* Of the node of a PCI host bridge: what its devices send messages to, if to anything. */
int vgic_domu_pci(const struct domain *d, void *fdt);

/*
 * With an rVIC, its node and the rVID's, of which phandle is the first one's.
 * And for any domain: the properties of another node that say what its
 * interrupts are, by the cells that they have with a GIC; and may devices of
 * the host come with nodes for a GIC?
 */
int vgic_domu_rvic(const struct domain *d, void *fdt, uint32_t phandle);
int vgic_domu_passthrough(const struct domain *d);
int vgic_domu_interrupts(const struct domain *d, void *fdt, uint32_t phandle,
                         const __be32 (*gic)[3], unsigned int count);

/*
 * The calls of an rVIC, which is what the guest has in place of registers. v is
 * current; false: the domain has no such call. And how many it has.
 */
bool vgic_handle_smccc(struct cpu_user_regs *regs);
unsigned int vgic_smccc_count(const struct domain *d);

/*
 * A vCPU with an rVIC comes to its CPU, and leaves it. Interrupts are off. In
 * between no register of a GIC's CPU interface is there.
 */
void vgic_rvic_switch_to(const struct vcpu *v);
void vgic_rvic_switch_from(const struct vcpu *v);

/* Its domain is complete. What it cannot be has it crash. */
void vgic_rvic_finished(struct domain *d);

/*
 * Interrupts of hardware for a domain, which are held if there are too many.
 * For do_IRQ(), with the lock of the descriptor, and for gicv3_do_LPI(): virq
 * may be INVALID_LPI.
 */
void vgic_host_irq(struct domain *d, struct irq_desc *desc, unsigned int virq);
void vgic_host_lpi(struct domain *d, uint32_t lpi, uint32_t virq);

/*
 * The same of one that is a message of a device of d's, to d's own doorbell: who
 * it is for d, and what it writes.
 */
void vgic_host_message(struct domain *d, uint32_t lpi, uint32_t device,
                       uint32_t data);

/* The domain is going to have some. Process context; -ENOMEM. */
int vgic_watch_storms(struct domain *d);

/*
 * How many interrupts of hardware a domain may have in a second, and how many
 * at once. rate 0: as it is, and ~0: no limit. burst 0: as it is, which is what
 * the rate comes to in 20 ms if it never was said. At any time.
 */
int rvgic_set_storm(struct domain *d, uint32_t rate, uint32_t burst);

#ifdef CONFIG_HAS_ITS
/* A block of host LPIs is the domain's or, if that is NULL, nobody's now. */
void vgic_lpi_block(struct domain *d, uint32_t first_lpi);

/*
 * For gicv3_its_invalidate_lpis(): which LPIs of a block INV is to follow for,
 * which says so once; and that it could not.
 */
uint32_t vgic_take_stale_lpis(struct domain *d, uint32_t first_lpi);
void vgic_lpis_stale(struct domain *d, uint32_t first_lpi, uint32_t lpis);

/* May a message of it be pending in the host, since it is held or has been? */
bool vgic_lpi_waits(struct domain *d, uint32_t lpi);
#endif

/* To be called by the handler of the maintenance interrupt. */
void vgic_maintenance_interrupt(void);

/*
 * The guest's virtual timer: its interrupt is mapped to the host's PPI, of
 * which each CPU has its own.
 */

/* On each CPU, once the PPI has its handler. */
void vgic_vtimer_setup(void);

/* When v has its vGIC, and v->arch.virt_timer.irq is known. */
void vgic_vtimer_init(struct vcpu *v);

/* The handler of the PPI, all of it. */
void vgic_vtimer_fired(void);

/*
 * The vCPU leaves its CPU: CNTV_CTL_EL0 is saved and written without ENABLE,
 * and CNTV_CVAL_EL0 is saved. Is a timer of Xen's to wait for it? The second
 * one is for when that expires, which may be when the vCPU runs already.
 */
bool vgic_vtimer_save(struct vcpu *v);
void vgic_vtimer_expired(struct vcpu *v);

/*
 * The vCPU, which is current, comes to its CPU: CNTVOFF_EL2 and CNTV_CVAL_EL0
 * have been written, and CNTV_CTL_EL0 is written next.
 */
void vgic_vtimer_restore(struct vcpu *v);

/*
 * The guest's physical timer, whose registers are in v->arch.phys_timer,
 * without ISTATUS. Anybody may look at them; v itself writes them.
 */

/* Puts ISTATUS into its ctl, for who reads it next. */
void vgic_ptimer_look(struct vcpu *v);

/* The guest has written one. Is Xen's timer to be set, for cval? */
bool vgic_ptimer_written(struct vcpu *v);

/* Xen's timer has expired. */
void vgic_ptimer_expired(struct vcpu *v);

/* PSCI CPU_OFF of v, which is down from now on. */
void vgic_vcpu_off(struct vcpu *v);

/* PSCI SYSTEM_SUSPEND of v's domain is over: v is to go on, and does not yet. */
void vgic_vcpu_resumed(struct vcpu *v);

/*
 * As after power-on: the whole vGIC of a domain, or one of its ITSes. Connections
 * of physical interrupts stay, and so do the levels of lines. No vCPU runs, the
 * domain is not dying, and nobody else does the same. -ERESTART: there is more,
 * and hypercall_preempt_check() wants others to have their turn. -EINVAL: there
 * is no such ITS.
 */
int vgic_domain_reset(struct domain *d);
int vgic_its_reset(struct domain *d, unsigned int its);

/*
 * XEN_DOMCTL_vgic_reset, _gethvmcontext and _sethvmcontext, as public/ says. What
 * they answer is in their structures. -ERESTART: to be continued.
 */
int vgic_state_domctl(struct domain *d, struct xen_domctl *domctl);

#endif /* __ASM_ARM_RUST_VGIC_H__ */

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
