/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef MOCK_VGIC_H
#define MOCK_VGIC_H

#include "mock.h"
#include "rust_vgic.h"

#define vgic_num_irqs(d) ((d)->arch.vgic.nr_spis + 32)
#define VGIC_MAX_IRQS 992U
bool vgic_is_valid_line(struct domain *d, unsigned int virq);

static inline bool vgic_is_spi(struct domain *d, unsigned int virq)
{
    return virq >= NR_LOCAL_IRQS && vgic_is_valid_line(d, virq);
}

unsigned int vgic_max_vcpus(unsigned int domctl_vgic_version);
#if RVGIC_XEN_RELEASE <= 417
int domain_vgic_register(struct domain *d, int *mmio_count);
#else
int domain_vgic_register(struct domain *d, unsigned int *mmio_count);
#endif
int domain_vgic_init(struct domain *d, unsigned int nr_spis);
void domain_vgic_free(struct domain *d);
int vcpu_vgic_init(struct vcpu *v);
#if RVGIC_XEN_RELEASE <= 421
int vcpu_vgic_free(struct vcpu *v);
#else
void vcpu_vgic_free(struct vcpu *v);
#endif
void vgic_v2_setup_hw(paddr_t dbase, paddr_t cbase, paddr_t csize,
                      paddr_t vbase, uint32_t aliased_offset);
void vgic_v3_setup_hw(paddr_t dbase, unsigned int nr_rdist_regions,
                      const struct rdist_region *regions, unsigned int intid_bits);
bool vgic_reserve_virq(struct domain *d, unsigned int virq);
int vgic_allocate_virq(struct domain *d, bool spi);
void vgic_free_virq(struct domain *d, unsigned int virq);
void vgic_inject_irq(struct domain *d, struct vcpu *v, unsigned int virq, bool level);
void vgic_sync_to_lrs(void);
void vgic_sync_from_lrs(struct vcpu *v);
int vgic_vcpu_pending_irq(struct vcpu *v);
bool vgic_evtchn_irq_pending(struct vcpu *v);
void vgic_clear_pending_irqs(struct vcpu *v);
bool vgic_emulate(struct cpu_user_regs *regs, union hsr hsr);
struct irq_desc *vgic_get_hw_irq_desc(struct domain *d, struct vcpu *v, unsigned int virq);
int vgic_connect_hw_irq(struct domain *d, struct vcpu *v, unsigned int virq,
                        struct irq_desc *desc, bool connect);
void arch_move_irqs(struct vcpu *v);
void gic_dump_vgic_info(struct vcpu *v);

#endif /* MOCK_VGIC_H */
