/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the mock Xen's C half have from each other, and from its
 * Rust half. They are what has to know the layout of struct domain, struct vcpu
 * and struct irq_desc, and what takes variable arguments. The rest is in Rust,
 * which sees these structures as pointers only.
 */
#ifndef HALF_H
#define HALF_H

#include "mock.h"

/* From the Rust half. */
void mock_print(const char *text, size_t len);
void mock_phys_enable(unsigned int irq, bool on);
void mock_phys_trigger(unsigned int irq, bool level);
void mock_phys_active(unsigned int irq, bool on);
void mock_phys_pending(unsigned int irq, bool on);
bool mock_phys_is_pending(unsigned int irq);
void mock_phys_target(unsigned int irq, unsigned int cpu);
void mock_softirq_elsewhere(unsigned int cpu);
void mock_wake(struct vcpu *v, int processor, bool running);

/* host.c */
extern struct mock_machine mock_host;

/* hwirq.c */
#define MAX_SPIS 992
#define MAX_ESPIS (ESPI_MAX_INTID - ESPI_BASE_INTID + 1)
void mock_hwirq_power_on(void);

/* its.c */
#ifdef CONFIG_HAS_ITS
void mock_its_power_on(const struct mock_machine *machine);
void mock_its_release(struct domain *d);
void mock_its_release_devices(struct domain *d);
void mock_its_translate(struct domain *d, uint32_t id, paddr_t doorbell, uint32_t number,
                        unsigned int *lpi);
int mock_its_map_function(struct domain *d, uint32_t id, paddr_t doorbell, unsigned int events,
                          unsigned int *first_lpi);
void mock_its_unmap_function(struct domain *d, uint32_t id, paddr_t doorbell);
void mock_its_message(unsigned int lpi, bool bound, uint32_t device, uint32_t data);

/* iommu.c */
bool mock_iommu_reaches(const struct domain *d, paddr_t address);
void mock_iommu_release(struct domain *d);
#else
static inline void mock_its_power_on(const struct mock_machine *machine) {}
static inline void mock_its_release(struct domain *d) {}
static inline void mock_its_release_devices(struct domain *d) {}
#endif

#endif /* HALF_H */
