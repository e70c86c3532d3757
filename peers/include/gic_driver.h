/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * asm/gic.h: the distributor's offsets (IHI 0048B chapter 4) and how the C
 * vGICs reach the list registers of this CPU. c/gic.c is the driver.
 */
#ifndef PEER_GIC_DRIVER_H
#define PEER_GIC_DRIVER_H

#define GICD_CTLR 0x000
#define GICD_TYPER 0x004
#define GICD_IIDR 0x008
#define GICD_IGROUPR 0x080
#define GICD_IGROUPRN 0x0fc
#define GICD_ISENABLER 0x100
#define GICD_ISENABLERN 0x17c
#define GICD_ICENABLER 0x180
#define GICD_ICENABLERN 0x1fc
#define GICD_ISPENDR 0x200
#define GICD_ISPENDRN 0x27c
#define GICD_ICPENDR 0x280
#define GICD_ICPENDRN 0x2fc
#define GICD_ISACTIVER 0x300
#define GICD_ISACTIVERN 0x37c
#define GICD_ICACTIVER 0x380
#define GICD_ICACTIVERN 0x3fc
#define GICD_IPRIORITYR 0x400
#define GICD_IPRIORITYRN 0x7f8
#define GICD_ITARGETSR 0x800
#define GICD_ITARGETSR7 0x81c
#define GICD_ITARGETSR8 0x820
#define GICD_ITARGETSRN 0xbf8
#define GICD_ICFGR 0xc00
#define GICD_ICFGR1 0xc04
#define GICD_ICFGR2 0xc08
#define GICD_ICFGRN 0xcfc
#define GICD_NSACR 0xe00
#define GICD_NSACRN 0xefc
#define GICD_SGIR 0xf00
#define GICD_CPENDSGIR 0xf10
#define GICD_CPENDSGIRN 0xf1c
#define GICD_SPENDSGIR 0xf20
#define GICD_SPENDSGIRN 0xf2c
#define GICD_ICPIDR2 0xfe8

/* Fields of these registers. */
#define GICD_CTL_ENABLE 1
#define GICD_TYPE_LINES 0x1f
#define GICD_TYPE_CPUS_SHIFT 5
#define GICD_TYPE_CPUS (7 << GICD_TYPE_CPUS_SHIFT)
#define GICD_TYPE_SEC (1 << 10)
#define GICD_SGI_INTID_MASK 0xfUL
#define GICD_SGI_TARGET_SHIFT 16
#define GICD_SGI_TARGET_MASK (0xffUL << GICD_SGI_TARGET_SHIFT)
#define GICD_SGI_TARGET_LIST_SHIFT 24
#define GICD_SGI_TARGET_LIST_MASK (3UL << GICD_SGI_TARGET_LIST_SHIFT)
#define GICD_SGI_TARGET_LIST_VAL 0
#define GICD_SGI_TARGET_OTHERS_VAL 1
#define GICD_SGI_TARGET_SELF_VAL 2
#define GICD_SGI_TARGET_LIST ((unsigned long)GICD_SGI_TARGET_LIST_VAL << GICD_SGI_TARGET_LIST_SHIFT)
#define GICD_SGI_TARGET_OTHERS ((unsigned long)GICD_SGI_TARGET_OTHERS_VAL << GICD_SGI_TARGET_LIST_SHIFT)
#define GICD_SGI_TARGET_SELF ((unsigned long)GICD_SGI_TARGET_SELF_VAL << GICD_SGI_TARGET_LIST_SHIFT)

#define GICH_HCR_EN 1
#define GICH_HCR_UIE 2
/* States of a list register. */
#define GICH_LR_PENDING 1
#define GICH_LR_ACTIVE 2

/* A priority of the distributor, as a GICv2's list register holds it. */
#define GIC_PRI_TO_GUEST(priority) ((priority) >> 3)

enum gic_sgi_mode { SGI_TARGET_LIST, SGI_TARGET_OTHERS, SGI_TARGET_SELF };

struct gic_lr {
    uint32_t virq;
    uint8_t priority;           /* As the hardware has it: 5 bits on GICv2 */
    bool active;
    bool pending;
    bool hw_status;
    union {
        struct { uint32_t pirq; } hw;
        struct { bool eoi; uint8_t source; } virt;
    };
};

struct gic_hw_operations {
    void (*update_lr)(int lr, unsigned int virq, uint8_t priority,
                      unsigned int hw_irq, unsigned int state);
    void (*update_hcr_status)(uint32_t flag, bool set);
    void (*clear_lr)(int lr);
    void (*read_lr)(int lr, struct gic_lr *lr_reg);
    void (*write_lr)(int lr, const struct gic_lr *lr_reg);
    unsigned int (*read_vmcr_priority)(void);
    unsigned int (*read_apr)(int n);
};

extern const struct gic_hw_operations *const gic_hw_ops;

void gic_clear_pending_irqs(struct vcpu *v);
void gic_raise_guest_irq(struct vcpu *v, unsigned int virq, unsigned int priority);
void gic_raise_inflight_irq(struct vcpu *v, unsigned int virq);

#endif /* PEER_GIC_DRIVER_H */
